#!/usr/bin/env bash
# ./demo.sh [VIDEO]: sets everything up, encodes and decodes VIDEO (or the built-in clip), compares. Results go to out/.

given=()
[ $# -eq 0 ] || given=("$(realpath -m -- "$1")")
EXTRAS=appearance
source "$(dirname "${BASH_SOURCE[0]}")/scripts/setup.sh"
say "encoding and decoding"
exec "$venv/bin/python" -m gvcodec.demo "${given[@]}"

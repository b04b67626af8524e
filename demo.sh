#!/usr/bin/env bash
# ./demo.sh [VIDEO]: sets everything up, encodes and decodes VIDEO (or the built-in clip), compares. Results go to out/.

given=()
[ $# -eq 0 ] || given=("$(realpath -m -- "$1")")
EXTRAS=demo
source "$(dirname "${BASH_SOURCE[0]}")/scripts/setup.sh"
say "encoding and decoding"
"$venv/bin/python" -m gvcodec.demo "${given[@]}"
say "coding the same with x265 and SVT-AV1, at equal bytes"
"$venv/bin/python" -m eval panels out/demo.png --source "${given[0]:-out/demo.y4m}" --stream out/demo.bin --decoded out/demo.mkv
say "the picture is out/demo.png"

#!/usr/bin/env bash
# ./demo.sh [VIDEO]: sets everything up, encodes and decodes VIDEO (or the built-in clip), compares. Results go to out/.

given=()
[ $# -eq 0 ] || given=("$(realpath -m -- "$1")")
EXTRAS=demo
source "$(dirname "${BASH_SOURCE[0]}")/scripts/setup.sh"
say "encoding and decoding"
mkdir -p out
source=${given[0]:-out/demo.y4m}
[ $# -ne 0 ] || "$venv/bin/python" -m gvcodec.demo "$source"
"$venv/bin/gvcodec" encode "$source" out/demo.bin -y
"$venv/bin/gvcodec" decode out/demo.bin out/demo.mkv --lossless -y
"$venv/bin/gvcodec" verify out/demo.bin --source "$source"
say "coding the same with x265 and SVT-AV1, at equal bytes"
"$venv/bin/python" -m eval panels out/demo.png --source "$source" --stream out/demo.bin --decoded out/demo.mkv
say "the picture is out/demo.png"

#!/usr/bin/env bash
# ./demo.sh [VIDEO]: sets everything up, encodes and decodes VIDEO (or the built-in clip), compares. Results go to out/.

given=()
[ $# -eq 0 ] || given=("$(realpath -m -- "$1")")
EXTRAS=fit
source "$(dirname "${BASH_SOURCE[0]}")/scripts/setup.sh"
say "encoding and decoding"
mkdir -p out
source=${given[0]:-out/demo.y4m}
[ $# -ne 0 ] || "$venv/bin/python" scripts/demo_clip.py "$source"
"$venv/bin/gvcodec" encode "$source" out/demo.bin -y
"$venv/bin/gvcodec" decode out/demo.bin out/demo.mkv --lossless -y
"$venv/bin/gvcodec" verify out/demo.bin --source "$source"
say "coding the same with x265 and SVT-AV1, at equal bytes"
if "$venv/bin/gvcodec" compare "$source" out/demo.html --stream out/demo.bin -y; then
    say "the page, with a slider between any two of them: $PWD/out/demo.html"
    say "open it in a browser; then try a clip of yours: $PWD/demo.sh YOUR_CLIP.mp4"
else
    say "the stream, and a video that every player shows: $PWD/out/demo.bin, $PWD/out/demo.mkv"
    say "see it beside the frames below the paint: $venv/bin/gvcodec play $PWD/out/demo.bin"
fi

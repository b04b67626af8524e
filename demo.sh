#!/usr/bin/env bash
# ./demo.sh [VIDEO]: sets everything up, encodes and decodes ten seconds of VIDEO (or the built-in clip), compares. Results go to out/,
# under a new name where one is taken.

video=()
[ $# -eq 0 ] || video=("$(realpath -m -- "$1")")
EXTRAS=fit
source "$(dirname "${BASH_SOURCE[0]}")/scripts/setup.sh"
say "encoding and decoding"
mkdir -p out
name=demo
if [ $# -ne 0 ]; then
    name=$(basename -- "${video[0]}")
    name=${name%.*}
fi
result=out/$name
for ((number = 2; ; number++)); do
    [ -e "$result.gvc" ] || [ -e "$result.mkv" ] || [ -e "$result.html" ] || [ -e "$result.y4m" ] || break
    result=out/$name-$number
done
source=${video[0]:-$result.y4m}
[ $# -ne 0 ] || "$venv/bin/python" scripts/demo_clip.py "$source"
"$venv/bin/gvcodec" encode "$source" "$result.gvc" --duration 10
"$venv/bin/gvcodec" decode "$result.gvc" "$result.mkv" --lossless
"$venv/bin/gvcodec" verify "$result.gvc" --source "$source"
say "coding the same with x265 and SVT-AV1, at equal bytes"
if "$venv/bin/gvcodec" compare "$source" "$result.html" --stream "$result.gvc" --duration 10; then
    say "the page, with a slider between any two of them: $PWD/$result.html"
    say "open it in a browser; then try a clip of yours: $PWD/demo.sh YOUR_CLIP.mp4"
else
    say "the stream, and a video that every player shows: $PWD/$result.gvc, $PWD/$result.mkv"
    say "play it, painted and not: $venv/bin/gvcodec play $PWD/$result.gvc"
fi

#!/usr/bin/env bash
# web/build.sh: compiles the core to web/built/: core.* (one thread) and threads.* (for pages that may share memory), each once more as *-relaxed.* for browsers with
# relaxed SIMD. Debian: apt-get install emscripten clang-16 lld-16 llvm-16 (Emscripten's own clang 14 does not know relaxed SIMD).
# What it makes is part of the checkout, so that nobody else needs a compiler for the web.
set -euo pipefail
cd "$(dirname "$0")/.."
export NODE_PATH=/usr/share/nodejs  # where Debian keeps what emscripten needs of Node
tools=$(mktemp -d)
trap 'rm -r "$tools"' EXIT
for tool in /usr/lib/llvm-16/bin/*; do
  ln -s "$tool" "$tools/"
  ln -s "$tool" "$tools/$(basename "$tool")-14"  # as Debian's emscripten calls it
done
export EM_LLVM_ROOT=$tools
functions=_malloc,_free,_hash_open,_hash_take,_hash_digest,_picture_rgba,_painter_error,_painter_open
functions+=,_painter_close,_painter_forget,_painter_start,_painter_move,_painter_vectors,_painter_paint,_painter_carry
# compiled NAME OPTION…
compiled() {
  emcc -std=c++17 -O3 -msimd128 -fwasm-exceptions -Icsrc \
    web/core/{hash,painter,picture}.cpp csrc/common/{cpu,sha256}.cpp csrc/motion/{block_motion,motion_search}.cpp \
    csrc/painter/{painter,forms,input}.cpp \
    -sMODULARIZE -sEXPORT_ES6 -sFILESYSTEM=0 -sEXPORTED_RUNTIME_METHODS=UTF8ToString -sIMPORTED_MEMORY -sALLOW_MEMORY_GROWTH -sMAXIMUM_MEMORY=1GB \
    -sENVIRONMENT=web,worker -sEXPORTED_FUNCTIONS=$functions -o "web/built/$1.js" "${@:2}"
}
for form in "" -relaxed; do
  flags=${form:+-mrelaxed-simd}
  compiled core$form $flags web/core/no_threads.cpp
  compiled threads$form $flags -pthread -Wno-pthreads-mem-growth -sPTHREAD_POOL_SIZE=Module.helpers csrc/common/pool.cpp
done

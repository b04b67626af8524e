#!/usr/bin/env bash
# web/build.sh: compiles the core to web/built/core.* (one thread) and web/built/threads.* (for pages that may share memory). Debian:
# apt-get install emscripten. What it makes is part of the checkout, so that nobody else needs a compiler for the web.
set -euo pipefail
cd "$(dirname "$0")/.."
export NODE_PATH=/usr/share/nodejs  # where Debian keeps what emscripten needs of Node
functions=_malloc,_free,_hash_open,_hash_take,_hash_digest,_painter_error,_painter_open
functions+=,_painter_close,_painter_forget,_painter_start,_painter_move,_painter_vectors,_painter_paint
# compiled NAME OPTION…
compiled() {
  emcc -std=c++17 -O3 -msimd128 -msse4.1 -fwasm-exceptions -Icsrc \
    web/core/{hash,painter}.cpp csrc/common/cpu.cpp csrc/motion/{block_motion,motion_search}.cpp \
    csrc/painter/{painter,forms,input}.cpp \
    -sMODULARIZE -sEXPORT_ES6 -sFILESYSTEM=0 -sEXPORTED_RUNTIME_METHODS=UTF8ToString -sIMPORTED_MEMORY -sALLOW_MEMORY_GROWTH -sMAXIMUM_MEMORY=1GB \
    -sEXPORTED_FUNCTIONS=$functions -o "web/built/$1.js" "${@:2}"
}
compiled core -sENVIRONMENT=web,worker web/core/no_threads.cpp
compiled threads -sENVIRONMENT=web,worker -pthread -Wno-pthreads-mem-growth -sPTHREAD_POOL_SIZE=Module.helpers csrc/common/pool.cpp

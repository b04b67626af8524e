#!/usr/bin/env bash
# web/build.sh: compiles the core to web/built/core.js and core.wasm (Debian: apt-get install emscripten). What it makes is part of
# the checkout, so that nobody else needs a compiler for the web.
set -euo pipefail
cd "$(dirname "$0")/.."
export NODE_PATH=/usr/share/nodejs  # where Debian keeps what emscripten needs of Node
functions=_malloc,_free,_gv_error,_klt_open,_klt_close,_klt_decode,_hash_open,_hash_close,_hash_take,_hash_digest,_painter_error,_painter_open,_painter_close,_painter_start,_painter_paint
emcc -std=c++17 -O3 -msimd128 -msse4.1 -fwasm-exceptions -Icsrc \
  web/core/*.cpp csrc/common/cpu.cpp csrc/klt/{codec,deblock,motion,refiner,tokens,transform,window_tokens}.cpp \
  csrc/entropy/{intnet,mixer,rans,cdf}.cpp csrc/painter/integer{,_forms,_input}.cpp \
  -sMODULARIZE -sEXPORT_ES6 -sENVIRONMENT=web,worker -sFILESYSTEM=0 -sEXPORTED_RUNTIME_METHODS=UTF8ToString,HEAPU8,HEAPU16,HEAPU32 -sALLOW_MEMORY_GROWTH -sMAXIMUM_MEMORY=1GB \
  -sEXPORTED_FUNCTIONS=$functions -o web/built/core.js

// Compiles code several times for sets of instructions that a machine may have, and has compilers
// write loops out.
//
// Code between GV_TARGET and GV_TARGET_END may use the instructions named there.
// GV_UNROLL precedes a loop whose values have to stay in registers.
#pragma once

#include "common/cpu.hpp"
#if GV_FORMS
#if defined(__GNUC__) && !defined(__clang__)
// GCC's intrinsics read undefined vectors on purpose, and GCC 12 warns of it (bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#endif

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
#endif
#if GV_NEON
#include <arm_neon.h>
#endif

#define GV_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define GV_UNROLL GV_PRAGMA(clang loop unroll(full))
#define GV_TARGET(names) \
  GV_PRAGMA(clang attribute push(__attribute__((target(names))), apply_to = function))
#define GV_TARGET_END GV_PRAGMA(clang attribute pop)
#define GV_DOTPROD_TARGET "dotprod"
#elif defined(__GNUC__)
#define GV_UNROLL GV_PRAGMA(GCC unroll 16)
#define GV_TARGET(names) GV_PRAGMA(GCC push_options) GV_PRAGMA(GCC target(names))
#define GV_TARGET_END GV_PRAGMA(GCC pop_options)
#define GV_DOTPROD_TARGET "arch=armv8.2-a+dotprod"
#else
#define GV_UNROLL
#endif

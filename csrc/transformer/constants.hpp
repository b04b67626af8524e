// Constants of the exact floating-point arithmetic (docs/spec/exact-arithmetic.md), and what a
// compiler must not do to it.
#pragma once

#include <cfloat>
#include <cstdint>

// A product that is not rounded before it is added changes the last bit: this is the format's
// definition, not a setting. GCC has no pragma for it: CMakeLists.txt, web/build.sh and
// scripts/golden_machines.py pass -ffp-contract=off.
#if defined(__FAST_MATH__)
#error "exact arithmetic cannot be compiled with -ffast-math"
#endif
#if defined(__clang__)
#pragma clang fp contract(off)
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif
#if !defined(__CUDACC__)
static_assert(FLT_EVAL_METHOD == 0, "float has to be rounded after each operation");
#endif

namespace gv::exact {

constexpr float kLimit = 79228162514264337593543950336.0f;  // 2^96: sums of such numbers are finite
constexpr float kExpLow = -64, kExpHigh = 88;  // exp(x) is 0 below; e^88 is below the largest float
constexpr float kLog2e = 1.44269502f;
constexpr float kRounder = 12582912;                         // 1.5 * 2^23
constexpr float kLn2High = 0.693359375f;                     // 355/512: n * kLn2High is exact
constexpr float kLn2Low = -2.12194442e-4f;                   // ln 2 - kLn2High
constexpr float kLogLow = FLT_MIN, kLogHigh = FLT_MAX;
constexpr float kGeluCube = 0.044715f, kGeluScale = 1.59576917f;  // 2 * sqrt(2 / pi)
constexpr uint32_t kOneBits = 0x3f800000, kRootHalfBits = 0x3f3504f3, kRounderBits = 0x4b400000;
constexpr int kSumLanes = 16;  // partial sums of a normalization
constexpr float kEpsilon = 1e-5f;  // of a block's normalizations

}  // namespace gv::exact

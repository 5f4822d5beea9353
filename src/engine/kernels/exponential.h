/* exp as a scalar formula without branches, for kernels that use it on the way (vector maths, softmax, attention):
 * x = n log 2 + r, |r| ≤ log(2)/2; 2ⁿ is applied in two halves, so that denormal results round once. */
#ifndef TB_ENGINE_KERNELS_EXPONENTIAL_H
#define TB_ENGINE_KERNELS_EXPONENTIAL_H

#include "engine/kernels/polynomials.h"

#if TB_REAL_BITS == 32
#define ROUNDER   12582912.0f /* 1.5·2²³: adding it rounds to an integer, kept in the low bits */
#define LN2_HIGH  0.693359375f
#define LN2_LOW   -2.12194440e-4f
#define EXP_LEAST -104.0f
#define EXP_MOST  89.0f
#else
#define ROUNDER   6755399441055744.0 /* 1.5·2⁵² */
#define LN2_HIGH  6.93147180369123816490e-01
#define LN2_LOW   1.90821492927058770002e-10
#define EXP_LEAST -746.0
#define EXP_MOST  710.0
#endif
#define FALLING_LEAST (TB_REAL_BITS == 32 ? REAL(-87.0) : REAL(-708.0))
#define LOG2_E        REAL(1.44269504088896340736)
#define INFINITE      ((real)__builtin_inff())

/* x, but no more than most; NaN stays */
INLINE real at_most(real x, real most) {
  return x > most ? most : x;
}

INLINE real at_least(real x, real least) {
  return x < least ? least : x;
}

/* exp(x) = (1 + rest)·first·second with powers of two */
typedef struct split {
  real rest, first, second;
} split;

/* A number near ROUNDER + k·bias carries n + k·bias in its low bits, and nothing above them that a shift up to the
 * exponent would keep. */
INLINE real power_of_two(natural biased) {
  return as_real((integer)(biased << MANTISSA_BITS));
}

/* of the integers that two numbers near ROUNDER carry in their low bits */
INLINE integer difference(real a, real b) {
  return (integer)((natural)as_integer(a) - (natural)as_integer(b));
}

INLINE split exp_split(real x) {
  const real rounder = ROUNDER + 2 * EXPONENT_BIAS, t = fused(x, LOG2_E, rounder), n = t - rounder;
  const real r = fused(n, -LN2_LOW, fused(n, -LN2_HIGH, x));
  const natural whole = (natural)as_integer(t), half = whole >> 1;
  return (split){ fused(r * r, exp_rest(r), r), power_of_two(half), power_of_two(whole - half) };
}

INLINE real exp_(real x) {
  const split s = exp_split(at_least(at_most(x, EXP_MOST), EXP_LEAST));
  return (1 + s.rest) * s.first * s.second;
}

/* exp(x) of x ≤ 0 or NaN, as softmax needs it: 0 where it would be less than the smallest normal number */
INLINE real exp_falling(real x) {
  const real rounder = ROUNDER + EXPONENT_BIAS, t = fused(x, LOG2_E, rounder), n = t - rounder;
#if TB_REAL_BITS == 32 /* what this leaves of log 2 is less than 2⁻²⁸: an ulp where the weight is 10⁻²⁰ */
  const real r = fused(n, REAL(-0.693147182464599609375), x);
#else
  const real r = fused(n, -LN2_LOW, fused(n, -LN2_HIGH, x));
#endif
  const real y = fused(fused(exp_rest(r), r, 1), r, 1) * power_of_two((natural)as_integer(t));
  return x < FALLING_LEAST ? 0 : y;
}

#endif

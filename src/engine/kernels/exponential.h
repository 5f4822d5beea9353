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

INLINE real power_of_two(integer n) {
  return as_real((integer)(((natural)n + EXPONENT_BIAS) << MANTISSA_BITS));
}

/* of the integers that two numbers near ROUNDER carry in their low bits */
INLINE integer difference(real a, real b) {
  return (integer)((natural)as_integer(a) - (natural)as_integer(b));
}

INLINE split exp_split(real x) {
  const real t = fused(x, LOG2_E, ROUNDER), n = t - ROUNDER;
  const real r = fused(n, -LN2_LOW, fused(n, -LN2_HIGH, x));
  const integer whole = difference(t, ROUNDER), half = difference(fused(n, REAL(0.5), ROUNDER), ROUNDER);
  return (split){ fused(r * r, exp_rest(r), r), power_of_two(half),
                  power_of_two((integer)((natural)whole - (natural)half)) };
}

INLINE real exp_(real x) {
  const split s = exp_split(at_least(at_most(x, EXP_MOST), EXP_LEAST));
  return (1 + s.rest) * s.first * s.second;
}

/* exp(x) of x ≤ 0 or NaN, as softmax needs it: 0 where it would be less than the smallest normal number */
INLINE real exp_falling(real x) {
  const real t = fused(x, LOG2_E, ROUNDER), n = t - ROUNDER;
  const real r = fused(n, -LN2_LOW, fused(n, -LN2_HIGH, x));
  const real y = (1 + fused(r * r, exp_rest(r), r)) * power_of_two(difference(t, ROUNDER));
  return x < FALLING_LEAST ? 0 : y;
}

#endif

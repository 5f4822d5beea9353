/* exp_falling on whole vectors, and what formulas of vectors want: compilers make chains of masks of clamps in a scalar
 * formula, here each is one instruction. */
#ifndef TB_ENGINE_KERNELS_VECTORS_H
#define TB_ENGINE_KERNELS_VECTORS_H

#include "engine/kernels/exponential.h"

typedef natural natural_vector __attribute__((vector_size(VECTOR_BYTES)));

INLINE vector bits_and(vector a, natural b) {
  return (vector)((natural_vector)a & b);
}

/* a, but no more or no less than b; NaN stays */
INLINE vector cap(vector a, real b) {
  return smaller_of(spread(b), a);
}
INLINE vector raise(vector a, real b) {
  return larger_of(spread(b), a);
}

INLINE vector power_vector(natural_vector biased) {
  return (vector)(biased << MANTISSA_BITS);
}

/* exp_falling of each lane */
INLINE vector exp_falling_vector(vector x) {
  const vector rounder = spread(ROUNDER + EXPONENT_BIAS), one = spread(1);
  const vector t = fused_vector(x, spread(LOG2_E), rounder), n = t - rounder;
#if TB_REAL_BITS == 32 /* what this leaves of log 2 is less than 2⁻²⁸: an ulp where the weight is 10⁻²⁰ */
  const vector r = fused_vector(n, spread(-0.693147182464599609375f), x);
#else
  const vector r = fused_vector(n, spread(-LN2_LOW), fused_vector(n, spread(-LN2_HIGH), x));
#endif
  const vector y = fused_vector(fused_vector(exp_rest_vector(r), r, one), r, one) * power_vector((natural_vector)t);
  return unless_less(x, spread(FALLING_LEAST), y);
}

#endif

/* Vector maths: every function of tb_unary with its native derivatives, as scalar formulas without branches that the
 * compiler turns into vectors; the same formula gives the same bits in every lane and every table with fused
 * multiply-adds.
 *
 * exp:   in exponential.h.
 * log:   x = 2^e m, m in [√½, √2), log m by s = (m − 1)/(m + 1) (Sun's fdlibm).
 * Φ(−t): exp(−t²/2) M(t), t ≥ 0, with Mills's ratio M as a polynomial in (t − a)/(t + a), and t² carried in two pieces:
 *        GELU and its derivatives keep their relative accuracy down to the smallest number.
 * Largest errors in units of the last place, measured by tests/engine/test_math.c, stand in tb_kernel_bounds there. */
#include "engine/kernels/vectors.h"

/* ---- constants ---- */

#if TB_REAL_BITS == 32
#define TAIL_MOST 15.2f /* t³ exp(−t²/2) = 0 beyond */
#define ERF_MOST  10.6f
#define LEAST     1.17549435e-38f /* normal */
#define LIFT      33554432.0f     /* 2²⁵ */
#define LIFT_LOG  25.0f
#define TURN_MOST 30000.0f /* sin and cos reduce up to here; the C library's beyond */
#else
#define TAIL_MOST 39.2
#define ERF_MOST  27.6
#define LEAST     2.2250738585072014e-308
#define LIFT      18014398509481984.0 /* 2⁵⁴ */
#define LIFT_LOG  54.0
#define TURN_MOST 1e6
#endif
#define SQRT_HALF       REAL(0.70710678118654752440)
#define SQRT_2          REAL(1.41421356237309504880)
#define INV_SQRT_2PI    REAL(0.39894228040143267794)
#define TWO_INV_SQRT_PI REAL(1.12837916709551257390)
#define NOT_A_NUMBER    ((real)__builtin_nanf(""))

INLINE real magnitude(real x) {
  return as_real((integer)((natural)as_integer(x) & ((natural)-1 >> 1)));
}

INLINE real with_sign(real size, real sign) {
  const natural bit = (natural)1 << (TB_REAL_BITS - 1);
  return as_real((integer)(((natural)as_integer(size) & ~bit) | ((natural)as_integer(sign) & bit)));
}

INLINE real take_sign(real size, real sign) { /* size ≥ +0 */
  const natural bit = (natural)1 << (TB_REAL_BITS - 1);
  return as_real((integer)((natural)as_integer(size) | ((natural)as_integer(sign) & bit)));
}

/* ---- exp ---- */

INLINE real expm1_(real x) {
  const split s = exp_split(at_least(at_most(x, EXP_MOST), -60));
  const real h = REAL(0.5) * s.first * s.second;
  return 2 * fused(h, s.rest, h - REAL(0.5));
}

/* exp(−a) and expm1(−a), a ≥ 0 */
typedef struct decay {
  real e, m;
} decay;

INLINE decay decay_of(real a) {
  const split s = exp_split(-at_most(a, -EXP_LEAST));
  const real p = s.first * s.second;
  return (decay){ (1 + s.rest) * s.first * s.second, fused(p, s.rest, p - 1) };
}

/* ---- log ---- */

/* log(u) + c for finite u > 0 and a correction c small against u's last place times 1/u */
INLINE real log_plus(real u, real c) {
#if TB_REAL_BITS == 32
  const real high = 6.9313812256e-01f, low = 9.0580006145e-06f;
#else
  const real high = 6.93147180369123816490e-01, low = 1.90821492927058770002e-10;
#endif
  const bool tiny = u < LEAST;
  const natural i = (natural)as_integer(tiny ? u * LIFT : u), bias = (natural)EXPONENT_BIAS << MANTISSA_BITS;
  const natural e = (i - (natural)as_integer(SQRT_HALF) + bias) >> MANTISSA_BITS; /* biased */
  const real m = as_real((integer)(i - ((e - EXPONENT_BIAS) << MANTISSA_BITS)));
  real n = as_real((integer)(e + (natural)as_integer(ROUNDER))) - (ROUNDER + (real)EXPONENT_BIAS);
  n = tiny ? n - LIFT_LOG : n;
  const real f = m - 1, s = f / (2 + f), z = s * s, half = REAL(0.5) * f * f;
#if TB_REAL_BITS == 32
  real p = 0.24279078841f;
  p = fused(p, z, 0.28498786688f);
  p = fused(p, z, 0.40000972152f);
  p = fused(p, z, 0.66666662693f);
#else
  real p = 1.479819860511658591e-01;
  p = fused(p, z, 1.531383769920937332e-01);
  p = fused(p, z, 1.818357216161805012e-01);
  p = fused(p, z, 2.222219843214978396e-01);
  p = fused(p, z, 2.857142874366239149e-01);
  p = fused(p, z, 3.999999999940941908e-01);
  p = fused(p, z, 6.666666666666735130e-01);
#endif
  return fused(n, high, -((half - fused(s, fused(z, p, half), fused(n, low, c))) - f));
}

INLINE real log_ends(real x, real y) {
  y = x <= REAL_MAX ? y : x;
  return x > 0 ? y : x == 0 ? -INFINITE : NOT_A_NUMBER;
}

INLINE real log_(real x) {
  return log_ends(x, log_plus(x, 0));
}

INLINE real log1p_(real x) {
  const real u = 1 + x;
  return log_ends(u, log_plus(u, (x >= 1 ? 1 - (u - x) : x - (u - 1)) / u));
}

/* ---- hyperbolic and logistic ---- */

/* tanh|x| and sech²x from exp(−2|x|) = e = 1 − m, with one division: m/(2 − m) and 4e/(2 − m)².  2ˢm and 2²ˢ⁺²e stand
 * for m and e, so that what is small is still normal and rounds once, in the last product. */
typedef struct slope {
  real size, first;
} slope;

/* −2|x| = n log 2 + r; t carries n + S, biased, in its low bits */
enum { TANH_SHIFT = 60 };
typedef struct reduced {
  real t, r;
} reduced;

INLINE reduced reduce_twice(real x) {
  const real a = at_most(magnitude(x) + magnitude(x), -EXP_LEAST), rounder = ROUNDER + EXPONENT_BIAS + TANH_SHIFT;
  const real t = fused(a, -LOG2_E, rounder), n = t - rounder;
  return (reduced){ t, fused(n, -LN2_LOW, fused(n, -LN2_HIGH, -a)) };
}

INLINE real exp_beyond(real r) { /* exp(r) − 1 */
  return fused(r * r, exp_rest(r), r);
}

INLINE slope slope_of(real t, real beyond) {
  const real scale = (real)((int64_t)1 << TANH_SHIFT);
  const natural n = (natural)as_integer(t);
  const real low = power_of_two(n), high = power_of_two(n + TANH_SHIFT + 2);
  const real m = fused(-low, beyond, scale - low), d = 1 / (2 * scale - m);
  return (slope){ m * d, (1 + beyond) * high * d * d };
}

INLINE slope tanh_of(real x) {
  const reduced y = reduce_twice(x);
  return slope_of(y.t, exp_beyond(y.r));
}

INLINE real square_inverse(real e) {
  const real d = 1 / (1 + e);
  return e * d * d;
}

INLINE real tanh1(real x) {
  return tanh_of(x).first;
}

INLINE real tanh2(real x) {
  const slope s = tanh_of(x);
  return -2 * s.first * take_sign(s.size, x);
}

INLINE real tanh3(real x) {
  const slope s = tanh_of(x);
  return -2 * s.first * fused(-2 * s.size, s.size, s.first);
}

INLINE real sigmoid_(real x) {
  const real e = decay_of(magnitude(x)).e, d = 1 / (1 + e);
  return x >= 0 ? d : e * d;
}

INLINE real sigmoid1(real x) {
  return square_inverse(decay_of(magnitude(x)).e);
}

INLINE real sigmoid2(real x) {
  const decay d = decay_of(magnitude(x));
  return square_inverse(d.e) * with_sign(d.m / (1 + d.e), -x);
}

INLINE real sigmoid3(real x) {
  const real s = square_inverse(decay_of(magnitude(x)).e);
  return s * fused(-6, s, 1);
}

INLINE real log1p_decay(real x) { /* log(1 + exp(−|x|)) */
  const real e = decay_of(magnitude(x)).e, u = 1 + e;
  return log_plus(u, (e - (u - 1)) / u);
}

INLINE real softplus_(real x) {
  return (x > 0 ? x : 0) + log1p_decay(x);
}

INLINE real log_sigmoid_(real x) {
  return (x < 0 ? x : 0) - log1p_decay(x);
}

/* ---- normal distribution ---- */

/* exp(−c t²) = size·first·second, c being 1 or ½, the square in two pieces.  Factors go to the size before the powers
 * of two are applied, so that a denormal product rounds once. */
typedef struct bell {
  real size, first, second;
} bell;

INLINE bell bell_of(real t, real c) {
  const real square = t * t;
#if defined(__FMA__)
  const real low = fused(t, t, -square);
#else
  const real grid = (real)(((natural)1 << (MANTISSA_BITS / 2 + 1)) + 1) * t, high = grid - (grid - t), rest = t - high;
  const real low = ((high * high - square) + 2 * high * rest) + rest * rest;
#endif
  const split s = exp_split(-c * square);
  const real p = 1 + s.rest;
  return (bell){ fused(p, -c * low, p), s.first, s.second };
}

INLINE real times(real factor, bell b) {
  return factor * b.size * b.first * b.second;
}

/* s = (t − a)/(t + a) and 1/(t + a) */
typedef struct tail {
  real s, inverse;
} tail;

INLINE tail tail_of(real t) {
  const real inverse = 1 / (t + TAIL_CENTRE);
  return (tail){ (t - TAIL_CENTRE) * inverse, inverse };
}

INLINE real mills_ratio(real t) { /* Φ(−t) exp(t²/2) */
  const tail u = tail_of(t);
  return mills(u.s) * u.inverse;
}

INLINE real within(real x, real most) {
  return at_least(at_most(x, most), -most);
}

INLINE real gelu3(real x) {
  const real w = within(x, TAIL_MOST);
  return times(INV_SQRT_2PI * w * fused(w, w, -4), bell_of(w, REAL(0.5)));
}

INLINE real erf_(real x) {
  const real t = at_most(magnitude(x), ERF_MOST), z = t * t;
  const real near = fused(t, erf_rest(z), t);
  const real far = 1 - times(2 * mills_ratio(SQRT_2 * t), bell_of(t, 1));
  return with_sign(t < REAL(0.9) ? near : far, x);
}

INLINE real erf1(real x) {
  return times(TWO_INV_SQRT_PI, bell_of(within(x, ERF_MOST), 1));
}

INLINE real erf2(real x) {
  const real w = within(x, ERF_MOST);
  return times(-2 * TWO_INV_SQRT_PI * w, bell_of(w, 1));
}

INLINE real erf3(real x) {
  const real w = within(x, ERF_MOST);
  return times(TWO_INV_SQRT_PI * fused(4 * w, w, -2), bell_of(w, 1));
}

INLINE real log_normal_cdf_(real x) {
  const real t = at_most(magnitude(x), REAL_MAX / 4);
  const real m = mills_ratio(t), q = times(m, bell_of(at_most(t, TAIL_MOST), REAL(0.5))), u = 1 - q;
  const real log_part = log_plus(x > 0 ? u : m, x > 0 ? ((1 - u) - q) / u : 0);
  return x > 0 ? log_part : log_part - magnitude(x) * (REAL(0.5) * magnitude(x));
}

/* h = φ(x)/Φ(x) is size·(powers of two) for x > 0: φ(x)/(1 − Φ(−x)) */
INLINE bell hazard_above(real w) {
  const bell b = bell_of(w, REAL(0.5));
  return (bell){ INV_SQRT_2PI * b.size / (1 - times(mills_ratio(magnitude(w)), b)), b.first, b.second };
}

INLINE real log_normal_cdf1(real x) {
  const real t = at_most(magnitude(x), REAL_MAX / 4);
  const real above = times(1, hazard_above(within(x, TAIL_MOST)));
  return x > 0 ? above : INV_SQRT_2PI * (magnitude(x) + TAIL_CENTRE) / mills(tail_of(t).s);
}

INLINE real log_normal_cdf2(real x) {
  const real t = at_most(magnitude(x), REAL_MAX / 4), w = within(x, TAIL_MOST);
  const bell h = hazard_above(w);
  return x > 0 ? times(-(w + times(1, h)), h) : -tail_slope(tail_of(t).s);
}

INLINE real log_normal_cdf3(real x) {
  const tail u = tail_of(at_most(magnitude(x), REAL_MAX / 4));
  const real w = within(x, TAIL_MOST);
  const bell b = hazard_above(w);
  const real h = times(1, b);
  return x > 0 ? times(fused(w + h, fused(2, h, w), -1), b) : tail_bend(u.s) * u.inverse * u.inverse * u.inverse;
}

/* ---- sin and cos ---- */

/* sin(x + quarter·π/2), |x| ≤ TURN_MOST.  π/2 is taken off in pieces whose products with n are exact. */
INLINE real turn(real x, integer quarter) {
  const real t = fused(x, REAL(0.63661977236758134308), ROUNDER), n = t - ROUNDER;
#if TB_REAL_BITS == 32 && defined(__FMA__)
  real r = fused(n, -1.57079637050628662109375f, x);
  r = fused(n, 4.371138828673793e-08f, r);
  r = fused(n, 1.7151245100058819e-15f, r);
#elif TB_REAL_BITS == 32
  real r = x - n * 1.5703125f;
  r = r - n * 0.00048351287841796875f;
  r = r - n * 3.1385570764541625977e-7f;
  r = r - n * 6.0708771343342959881e-11f;
  r = r - n * 6.2233721719e-14f;
#elif defined(__FMA__)
  real r = fused(n, -1.5707963267948965580, x);
  r = fused(n, -6.1232339957367660359e-17, r);
  r = fused(n, 1.4973849048591698e-33, r);
#else
  real r = x - n * 1.57079632673412561417e+00;
  r = r - n * 6.07710050630396597660e-11;
  r = r - n * 2.02226624871116645580e-21;
  r = r - n * 8.47842766036889956997e-32;
#endif
  const integer turns = (integer)((natural)difference(t, ROUNDER) + (natural)quarter);
  const real z = r * r;
#if TB_REAL_BITS == 32
  real s = -1.9515295891e-4f;
  s = fused(s, z, 8.3321608736e-3f);
  s = fused(s, z, -1.6666654611e-1f);
  real c = 2.443315711809948e-5f;
  c = fused(c, z, -1.388731625493765e-3f);
  c = fused(c, z, 4.166664568298827e-2f);
#else
  real s = 1.58969099521155010221e-10;
  s = fused(s, z, -2.50507602534068634195e-08);
  s = fused(s, z, 2.75573137070700676789e-06);
  s = fused(s, z, -1.98412698298579493134e-04);
  s = fused(s, z, 8.33333333332248946124e-03);
  s = fused(s, z, -1.66666666666666324348e-01);
  real c = -1.13596475577881948265e-11;
  c = fused(c, z, 2.08757232129817482790e-09);
  c = fused(c, z, -2.75573143513906633035e-07);
  c = fused(c, z, 2.48015872894767294178e-05);
  c = fused(c, z, -1.38888888888741095749e-03);
  c = fused(c, z, 4.16666666666666019037e-02);
#endif
  const real sine = fused(r * z, s, r);
  const real half = REAL(0.5) * z, w = 1 - half;
  const real cosine = w + fused(z * z, c, (1 - w) - half);
  const real y = (turns & 1) ? cosine : sine;
  return (turns & 2) ? -y : y;
}

INLINE real turn_sine(real x) {
  return turn(x, 0);
}

INLINE real turn_cosine(real x) {
  return turn(x, 1);
}

/* ---- the rest ---- */

INLINE real negate_(real x) {
  return -x;
}
INLINE real sign_(real x) {
  return x > 0 ? 1 : x < 0 ? -1 : x;
}
INLINE real sqrt_(real x) {
#if TB_REAL_BITS == 32
  return __builtin_sqrtf(x);
#else
  return __builtin_sqrt(x);
#endif
}
INLINE real reciprocal_(real x) {
  return 1 / x;
}
INLINE real square_(real x) {
  return x * x;
}
INLINE real relu_(real x) {
  return x < 0 ? 0 : x;
}
INLINE real relu1(real x) {
  return x > 0 ? 1 : 0;
}
INLINE real floor_(real x) {
#if TB_REAL_BITS == 32
  return __builtin_floorf(x);
#else
  return __builtin_floor(x);
#endif
}

/* ---- pairs that share their exponential ---- */

typedef struct two {
  real a, b;
} two;

INLINE two sigmoid_pair(real x) {
  const real e = decay_of(magnitude(x)).e, d = 1 / (1 + e);
  return (two){ x >= 0 ? d : e * d, e * d * d };
}

INLINE two softplus_pair(real x) { /* and the sigmoid */
  const real e = decay_of(magnitude(x)).e, u = 1 + e, d = 1 / u;
  return (two){ (x > 0 ? x : 0) + log_plus(u, (e - (u - 1)) / u), x >= 0 ? d : e * d };
}

INLINE two tanh_pair2(real x) {
  const slope s = tanh_of(x);
  return (two){ s.first, -2 * s.first * take_sign(s.size, x) };
}

INLINE two sigmoid_pair2(real x) {
  const decay d = decay_of(magnitude(x));
  const real s = square_inverse(d.e);
  return (two){ s, s * with_sign(d.m / (1 + d.e), -x) };
}

/* ---- GELU, vector by vector ---- */

/* exp(−t²/2) = size·first·second, Mills's ratio m of t = |x|, |x| ≤ most */
typedef struct bell_vector {
  vector t, m, size, second; /* the first power is in the size */
} bell_vector;

INLINE bell_vector bell_of_vector(vector x) {
  const vector t = bits_and(x, (natural)-1 >> 1), square = t * t, half = spread(REAL(-0.5));
#if defined(__FMA__)
  const vector low = fused_vector(t, t, -square);
#else
  const vector grid = t * (real)(((natural)1 << (MANTISSA_BITS / 2 + 1)) + 1), high = grid - (grid - t),
               rest = t - high;
  const vector low = ((high * high - square) + 2 * high * rest) + rest * rest;
#endif
  const vector rounder = spread(ROUNDER + 2 * EXPONENT_BIAS), y = square * half;
  const vector k = fused_vector(y, spread(LOG2_E), rounder), n = k - rounder;
  const vector r = fused_vector(n, spread(-LN2_LOW), fused_vector(low, half, fused_vector(n, spread(-LN2_HIGH), y)));
  const vector size = fused_vector(fused_vector(exp_rest_vector(r), r, spread(1)), r, spread(1));
  const natural_vector whole = (natural_vector)k, first = whole >> 1;
  const vector inverse = 1 / (t + TAIL_CENTRE), s = (t - TAIL_CENTRE) * inverse;
  return (bell_vector){ t, mills_vector(s) * inverse, size * power_vector(first), power_vector(whole - first) };
}

/* max(x, 0) − |x| Φ(−|x|) */
INLINE vector gelu_value_vector(vector x, bell_vector b) {
  return larger_of((vector){ 0 }, x) - b.t * b.m * b.size * b.second;
}

/* (1 −) ∓(|x| φ(x) − Φ(−|x|)) by the sign of x */
INLINE vector gelu_slope_vector(vector x, bell_vector b) {
  const vector beside = fused_vector(b.t, spread(INV_SQRT_2PI), -b.m) * b.size * b.second;
  const natural_vector sign = (natural_vector)x & ((natural)1 << (TB_REAL_BITS - 1));
  const natural_vector negative = sign == 0;
  return (vector)((natural_vector)beside ^ sign) + (vector)(negative & (natural_vector)spread(1));
}

typedef struct vector_two {
  vector a, b;
} vector_two;

INLINE vector within_vector(vector x) {
  return cap(raise(x, -TAIL_MOST), TAIL_MOST);
}

INLINE vector gelu_(vector x) {
  x = raise(x, -TAIL_MOST);
  return gelu_value_vector(x, bell_of_vector(cap(x, TAIL_MOST)));
}

INLINE vector gelu1(vector x) {
  const vector w = within_vector(x);
  return gelu_slope_vector(w, bell_of_vector(w));
}

INLINE vector_two gelu_pair(vector x) {
  const vector y = raise(x, -TAIL_MOST), w = cap(y, TAIL_MOST);
  const bell_vector b = bell_of_vector(w);
  return (vector_two){ gelu_value_vector(y, b), gelu_slope_vector(w, b) };
}

INLINE vector_two gelu_pair2(vector x) { /* (2 − w²) φ(w) */
  const vector w = within_vector(x);
  const bell_vector b = bell_of_vector(w);
  return (vector_two){ gelu_slope_vector(w, b), INV_SQRT_2PI * fused_vector(-w, w, spread(2)) * b.size * b.second };
}

INLINE vector gelu2(vector x) {
  return gelu_pair2(x).b;
}

/* ---- kernels: whole vectors, then the last ones from a padded copy ---- */

#define KERNEL(f)                                                                                                      \
  static __attribute__((noinline)) void f##_vectors(size_t vectors, real *y, const real *x) {                          \
    LOOP for (size_t i = 0; i < vectors * LANES; i++) y[i] = f(x[i]);                                                  \
  }                                                                                                                    \
  KERNEL_OF(f)
#define KERNEL_OF(f)                                                                                                   \
  static void f##_kernel(size_t rows, size_t cols, void *out, size_t ldo, const void *a, size_t lda) {                 \
    map(f##_vectors, rows, cols, out, ldo, a, lda);                                                                    \
  }

typedef void map_function(size_t vectors, real *y, const real *x);

static void map(map_function *f, size_t rows, size_t cols, real *y, size_t ldo, const real *x, size_t lda) {
  const size_t whole = cols / LANES, rest = cols % LANES;
  for (size_t r = 0; r < rows; r++, x += lda, y += ldo) {
    if (whole)
      f(whole, y, x);
    if (rest) {
      real t[LANES] = { 0 };
      memcpy(t, x + whole * LANES, rest * sizeof(real));
      f(1, t, t);
      memcpy(y + whole * LANES, t, rest * sizeof(real));
    }
  }
}

#define PAIR(f)                                                                                                        \
  static __attribute__((noinline)) void f##_vectors(size_t vectors, real *y, real *z, const real *x) {                 \
    LOOP for (size_t i = 0; i < vectors * LANES; i++) {                                                                \
      const two t = f(x[i]);                                                                                           \
      y[i] = t.a;                                                                                                      \
      z[i] = t.b;                                                                                                      \
    }                                                                                                                  \
  }                                                                                                                    \
  PAIR_OF(f)
#define PAIR_OF(f)                                                                                                     \
  static void f##_kernel(size_t rows, size_t cols, void *out0, size_t ldo0, void *out1, size_t ldo1, const void *a,    \
                         size_t lda) {                                                                                 \
    map_pair(f##_vectors, rows, cols, out0, ldo0, out1, ldo1, a, lda);                                                 \
  }

typedef void map_pair_function(size_t vectors, real *y, real *z, const real *x);

static void map_pair(map_pair_function *f, size_t rows, size_t cols, real *y, size_t ldo0, real *z, size_t ldo1,
                     const real *x, size_t lda) {
  const size_t whole = cols / LANES, rest = cols % LANES;
  for (size_t r = 0; r < rows; r++, x += lda, y += ldo0, z += ldo1) {
    if (whole)
      f(whole, y, z, x);
    if (rest) {
      real t[LANES] = { 0 }, u[LANES];
      memcpy(t, x + whole * LANES, rest * sizeof(real));
      f(1, t, u, t);
      memcpy(y + whole * LANES, t, rest * sizeof(real));
      memcpy(z + whole * LANES, u, rest * sizeof(real));
    }
  }
}

/* The same with vectors, which f(x) takes. */
#define VECTOR_KERNEL(f)                                                                                               \
  static __attribute__((noinline)) void f##_vectors(size_t vectors, real *y, const real *x) {                          \
    for (size_t i = 0; i < vectors; i++)                                                                               \
      store(y + i * LANES, f(load(x + i * LANES)));                                                                    \
  }                                                                                                                    \
  static void f##_kernel(size_t rows, size_t cols, void *out, size_t ldo, const void *a, size_t lda) {                 \
    map(f##_vectors, rows, cols, out, ldo, a, lda);                                                                    \
  }
#define VECTOR_PAIR(f)                                                                                                 \
  static __attribute__((noinline)) void f##_vectors(size_t vectors, real *y, real *z, const real *x) {                 \
    for (size_t i = 0; i < vectors; i++) {                                                                             \
      const vector_two t = f(load(x + i * LANES));                                                                     \
      store(y + i * LANES, t.a);                                                                                       \
      store(z + i * LANES, t.b);                                                                                       \
    }                                                                                                                  \
  }                                                                                                                    \
  static void f##_kernel(size_t rows, size_t cols, void *out0, size_t ldo0, void *out1, size_t ldo1, const void *a,    \
                         size_t lda) {                                                                                 \
    map_pair(f##_vectors, rows, cols, out0, ldo0, out1, ldo1, a, lda);                                                 \
  }

/* ---- tanh in stages ----
 *
 * A processor looks a hundred or so instructions ahead.  Of a formula of thirty that wait for one another these are too
 * few vectors to keep its multipliers busy, so a block of vectors goes through one part of it after the other, with the
 * very same operations on each element: 1.5 times as fast. */

enum { STAGED = 8 * LANES };
#define STAGE(count) LOOP for (size_t i = 0; i < (count); i++)

/* y = tanh x and, unless NULL, z = tanh' x */
INLINE void tanh_stages(size_t count, real *y, real *z, const real *x) {
  real t[STAGED], r[STAGED];
  STAGE(count) {
    const reduced w = reduce_twice(x[i]);
    t[i] = w.t;
    r[i] = w.r;
  }
  STAGE(count) r[i] = exp_beyond(r[i]);
  if (z)
    STAGE(count) {
      const slope s = slope_of(t[i], r[i]);
      y[i] = take_sign(s.size, x[i]);
      z[i] = s.first;
    }
  else
    STAGE(count) y[i] = take_sign(slope_of(t[i], r[i]).size, x[i]);
}

static __attribute__((noinline)) void tanh__vectors(size_t vectors, real *y, const real *x) {
  for (size_t left = vectors * LANES, n; left > 0; left -= n, x += n, y += n)
    tanh_stages(n = left < STAGED ? left : STAGED, y, NULL, x);
}

static __attribute__((noinline)) void tanh_pair_vectors(size_t vectors, real *y, real *z, const real *x) {
  for (size_t left = vectors * LANES, n; left > 0; left -= n, x += n, y += n, z += n)
    tanh_stages(n = left < STAGED ? left : STAGED, y, z, x);
}

/* clang-format off */
VECTOR_KERNEL(gelu_) VECTOR_KERNEL(gelu1) VECTOR_KERNEL(gelu2) VECTOR_PAIR(gelu_pair) VECTOR_PAIR(gelu_pair2)
KERNEL(negate_) KERNEL(magnitude) KERNEL(sign_) KERNEL(exp_) KERNEL(log_) KERNEL(log1p_) KERNEL(expm1_) KERNEL(sqrt_)
KERNEL(reciprocal_) KERNEL(square_) KERNEL_OF(tanh_) KERNEL(erf_) KERNEL(sigmoid_) KERNEL(softplus_) KERNEL(relu_)
KERNEL(log_sigmoid_) KERNEL(floor_) KERNEL(log_normal_cdf_) KERNEL(relu1) KERNEL(tanh1) KERNEL(tanh2)
KERNEL(tanh3) KERNEL(erf1) KERNEL(erf2) KERNEL(erf3) KERNEL(sigmoid1) KERNEL(sigmoid2) KERNEL(sigmoid3)
KERNEL(gelu3) KERNEL(log_normal_cdf1) KERNEL(log_normal_cdf2) KERNEL(log_normal_cdf3) KERNEL(turn_sine)
KERNEL(turn_cosine) PAIR_OF(tanh_pair) PAIR(sigmoid_pair) PAIR(softplus_pair) PAIR(tanh_pair2)
PAIR(sigmoid_pair2)
    /* clang-format on */

    static const struct {
  real (*sin)(real), (*cos)(real), (*pow)(real, real);
#if TB_REAL_BITS == 32
} library = { sinf, cosf, powf };
#else
} library = { sin, cos, pow };
#endif

/* Arguments beyond TURN_MOST, infinities and NaN go to the C library, element by element. */
static void turn_kernel(tb_kernel_unary *fast, real (*slow)(real), size_t rows, size_t cols, real *y, size_t ldo,
                        const real *x, size_t lda) {
  for (size_t r = 0; r < rows; r++, x += lda, y += ldo) {
    size_t i = 0;
    while (i < cols) {
      size_t end = i;
      while (end < cols && magnitude(x[end]) <= TURN_MOST)
        end++;
      fast(1, end - i, y + i, 0, x + i, 0);
      for (i = end; i < cols && !(magnitude(x[i]) <= TURN_MOST); i++)
        y[i] = slow(x[i]);
    }
  }
}

static void sin_kernel(size_t rows, size_t cols, void *out, size_t ldo, const void *a, size_t lda) {
  turn_kernel(turn_sine_kernel, library.sin, rows, cols, out, ldo, a, lda);
}

static void cos_kernel(size_t rows, size_t cols, void *out, size_t ldo, const void *a, size_t lda) {
  turn_kernel(turn_cosine_kernel, library.cos, rows, cols, out, ldo, a, lda);
}

/* The C library's: within an ulp and right at every edge; common exponents never come here (see fuse_steps.c). */
static void power_kernel(size_t rows, size_t cols, void *out, size_t ldo, const void *a_, size_t lda, const void *b_,
                         size_t ldb) {
  const real *a = a_, *b = b_;
  real *y = out;
  for (size_t r = 0; r < rows; r++, a += lda, b += ldb, y += ldo) {
    const real exponent = *b;
    for (size_t i = 0; i < cols; i++)
      y[i] = library.pow(a[i], exponent);
  }
}

const tb_kernel_math NAME(math) = {
  .unary = {
    [TB_NEGATE] = { negate__kernel },
    [TB_ABSOLUTE] = { magnitude_kernel },
    [TB_SIGN] = { sign__kernel },
    [TB_EXP] = { exp__kernel },
    [TB_LOG] = { log__kernel },
    [TB_LOG1P] = { log1p__kernel },
    [TB_EXPM1] = { expm1__kernel },
    [TB_SQRT] = { sqrt__kernel },
    [TB_RECIPROCAL] = { reciprocal__kernel },
    [TB_SQUARE] = { square__kernel },
    [TB_SIN] = { sin_kernel },
    [TB_COS] = { cos_kernel },
    [TB_TANH] = { tanh__kernel, tanh1_kernel, tanh2_kernel, tanh3_kernel },
    [TB_ERF] = { erf__kernel, erf1_kernel, erf2_kernel, erf3_kernel },
    [TB_SIGMOID] = { sigmoid__kernel, sigmoid1_kernel, sigmoid2_kernel, sigmoid3_kernel },
    [TB_SOFTPLUS] = { softplus__kernel },
    [TB_RELU] = { relu__kernel, relu1_kernel },
    [TB_GELU] = { gelu__kernel, gelu1_kernel, gelu2_kernel, gelu3_kernel },
    [TB_LOG_SIGMOID] = { log_sigmoid__kernel },
    [TB_FLOOR] = { floor__kernel },
    [TB_LOG_NORMAL_CDF] = { log_normal_cdf__kernel, log_normal_cdf1_kernel, log_normal_cdf2_kernel,
                            log_normal_cdf3_kernel },
  },
  .pair = { [TB_TANH] = tanh_pair_kernel, [TB_SIGMOID] = sigmoid_pair_kernel, [TB_SOFTPLUS] = softplus_pair_kernel,
            [TB_GELU] = gelu_pair_kernel },
  .pair2 = { [TB_TANH] = tanh_pair2_kernel, [TB_SIGMOID] = sigmoid_pair2_kernel, [TB_GELU] = gelu_pair2_kernel },
  .power = power_kernel,
};

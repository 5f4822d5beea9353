/* Vector maths against long double over the whole range: every number of a logarithmic sweep (denormals included), a
 * dense sweep of the middle, the special values.  The largest errors allowed, in units of the last place of the result,
 * stand in `bounds`: they are the documentation of the kernels' accuracy. */
#include "engine/kernels/kernels.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef long double quad;

static const quad root_half = 0.70710678118654752440084436210484903928L;
static const quad inv_sqrt_2pi = 0.39894228040143267793994605993438186848L;
static const quad two_inv_sqrt_pi = 1.12837916709551257389615890312154517168L;

/* ---- references ---- */

static quad cdf(quad x) {
  return 0.5L * erfcl(-x * root_half);
}
static quad density(quad x) {
  return inv_sqrt_2pi * expl(-0.5L * x * x);
}
static quad ref_negate(quad x) {
  return -x;
}
static quad ref_sign(quad x) {
  return x > 0 ? 1 : x < 0 ? -1 : x;
}
static quad ref_reciprocal(quad x) {
  return 1 / x;
}
static quad ref_square(quad x) {
  return x * x;
}
static quad decay(quad x) { /* exp(−|x|) */
  return expl(-fabsl(x));
}
static quad ref_sigmoid(quad x) {
  return x >= 0 ? 1 / (1 + decay(x)) : decay(x) / (1 + decay(x));
}
static quad ref_sigmoid1(quad x) {
  return decay(x) / ((1 + decay(x)) * (1 + decay(x)));
}
static quad ref_sigmoid2(quad x) {
  return -ref_sigmoid1(x) * tanhl(0.5L * x);
}
static quad ref_sigmoid3(quad x) {
  return ref_sigmoid1(x) * (1 - 6 * ref_sigmoid1(x));
}
static quad ref_tanh1(quad x) {
  return 4 * ref_sigmoid1(2 * x);
}
static quad ref_tanh2(quad x) {
  return -2 * tanhl(x) * ref_tanh1(x);
}
static quad ref_tanh3(quad x) {
  return -2 * ref_tanh1(x) * (ref_tanh1(x) - 2 * tanhl(x) * tanhl(x));
}
static quad limited(quad x) { /* before inf · 0 */
  return fmaxl(fminl(x, 1e4L), -1e4L);
}
static quad ref_erf1(quad x) {
  return two_inv_sqrt_pi * expl(-x * x);
}
static quad ref_erf2(quad x) {
  return -2 * limited(x) * ref_erf1(x);
}
static quad ref_erf3(quad x) {
  return (4 * limited(x) * limited(x) - 2) * ref_erf1(x);
}
static quad ref_softplus(quad x) {
  return fmaxl(x, 0) + log1pl(decay(x));
}
static quad ref_log_sigmoid(quad x) {
  return fminl(x, 0) - log1pl(decay(x));
}
static quad ref_relu(quad x) {
  return x < 0 ? 0 : x;
}
static quad ref_relu1(quad x) {
  return x > 0;
}
static quad ref_gelu(quad x) {
  return x > 1e4L ? x : limited(x) * cdf(x);
}
static quad ref_gelu1(quad x) {
  return cdf(x) + limited(x) * density(x);
}
static quad ref_gelu2(quad x) {
  return density(x) * (2 - limited(x) * limited(x));
}
static quad ref_gelu3(quad x) {
  return density(x) * limited(x) * (limited(x) * limited(x) - 4);
}
/* start/(t + (start + 1)/(t + …)): Laplace's fraction for the normal tail, t large */
static quad fraction(quad t, int start) {
  quad v = 0;
  for (int k = start + 300; k >= start; k--)
    v = k / (t + v);
  return v;
}
static quad ref_log_normal_cdf(quad x) {
  if (x < -2)
    return -0.5L * x * x - logl(-x + fraction(-x, 1)) + logl(inv_sqrt_2pi);
  return x > 0 ? log1pl(-cdf(-x)) : logl(cdf(x));
}
static quad ref_hazard(quad x) {
  return x < -2 ? -x + fraction(-x, 1) : density(x) / cdf(x);
}
static quad ref_hazard1(quad x) {
  if (x < -2)
    return isinf(x) ? -1 : -ref_hazard(x) * fraction(-x, 1);
  return -ref_hazard(x) * (limited(x) + ref_hazard(x));
}
static quad ref_hazard2(quad x) {
  if (x < -2) {
    if (isinf(x))
      return 0;
    const quad h = ref_hazard(x), u = fraction(-x, 1), v = fraction(-x, 2), w = fraction(-x, 3);
    return h * u * u * v * (w - v);
  }
  const quad h = ref_hazard(x), y = limited(x);
  return h * ((y + h) * (y + 2 * h) - 1);
}

/* What a function with roots is measured against near them: the size of the terms that cancel. */
static quad no_terms(quad x) {
  return 0;
}
static quad terms_gelu2(quad x) {
  return 2 * density(x);
}
static quad terms_gelu3(quad x) {
  return 4 * fabsl(limited(x)) * density(x);
}
static quad terms_erf3(quad x) {
  return 2 * ref_erf1(x);
}

/* ---- the bounds ---- */

typedef struct bound {
  const char *name;
  tb_unary kind;
  int order;
  quad (*reference)(quad);
  quad (*terms)(quad);
  double fused[2], plain[2]; /* ulp of float, double: with and without fused multiply-adds */
} bound;

static const bound bounds[] = {
  { "negate", TB_NEGATE, 0, ref_negate, no_terms, { 0, 0 }, { 0, 0 } },
  { "absolute", TB_ABSOLUTE, 0, fabsl, no_terms, { 0, 0 }, { 0, 0 } },
  { "sign", TB_SIGN, 0, ref_sign, no_terms, { 0, 0 }, { 0, 0 } },
  { "floor", TB_FLOOR, 0, floorl, no_terms, { 0, 0 }, { 0, 0 } },
  { "square", TB_SQUARE, 0, ref_square, no_terms, { 0.51, 0.51 }, { 0.51, 0.51 } },
  { "sqrt", TB_SQRT, 0, sqrtl, no_terms, { 0.51, 0.51 }, { 0.51, 0.51 } },
  { "reciprocal", TB_RECIPROCAL, 0, ref_reciprocal, no_terms, { 0.51, 0.51 }, { 0.51, 0.51 } },
  { "exp", TB_EXP, 0, expl, no_terms, { 1, 1 }, { 1.5, 1.5 } },
  { "expm1", TB_EXPM1, 0, expm1l, no_terms, { 2, 2 }, { 3, 3 } },
  { "log", TB_LOG, 0, logl, no_terms, { 1, 1 }, { 1.5, 1.5 } },
  { "log1p", TB_LOG1P, 0, log1pl, no_terms, { 1.5, 1.5 }, { 2, 2 } },
  { "sin", TB_SIN, 0, sinl, no_terms, { 1.5, 1.5 }, { 2, 2 } },
  { "cos", TB_COS, 0, cosl, no_terms, { 1.5, 1.5 }, { 2, 2 } },
  { "tanh", TB_TANH, 0, tanhl, no_terms, { 3, 3 }, { 3.5, 3.5 } },
  { "tanh'", TB_TANH, 1, ref_tanh1, no_terms, { 5, 5 }, { 5, 5 } },
  { "tanh''", TB_TANH, 2, ref_tanh2, no_terms, { 8, 8 }, { 8, 8 } },
  { "tanh'''", TB_TANH, 3, ref_tanh3, ref_tanh1, { 12, 12 }, { 12, 12 } },
  { "sigmoid", TB_SIGMOID, 0, ref_sigmoid, no_terms, { 2.5, 2.5 }, { 3, 3 } },
  { "sigmoid'", TB_SIGMOID, 1, ref_sigmoid1, no_terms, { 5, 5 }, { 5, 5 } },
  { "sigmoid''", TB_SIGMOID, 2, ref_sigmoid2, no_terms, { 6, 6 }, { 6, 6 } },
  { "sigmoid'''", TB_SIGMOID, 3, ref_sigmoid3, ref_sigmoid1, { 8, 8 }, { 8, 8 } },
  { "softplus", TB_SOFTPLUS, 0, ref_softplus, no_terms, { 2, 2 }, { 2.5, 2.5 } },
  { "log_sigmoid", TB_LOG_SIGMOID, 0, ref_log_sigmoid, no_terms, { 2, 2 }, { 2.5, 2.5 } },
  { "relu", TB_RELU, 0, ref_relu, no_terms, { 0, 0 }, { 0, 0 } },
  { "relu'", TB_RELU, 1, ref_relu1, no_terms, { 0, 0 }, { 0, 0 } },
  { "erf", TB_ERF, 0, erfl, no_terms, { 2, 2 }, { 2, 2 } },
  { "erf'", TB_ERF, 1, ref_erf1, no_terms, { 3, 3 }, { 3, 3 } },
  { "erf''", TB_ERF, 2, ref_erf2, no_terms, { 3, 3 }, { 4, 4 } },
  { "erf'''", TB_ERF, 3, ref_erf3, terms_erf3, { 5, 5 }, { 6, 6 } },
  { "gelu", TB_GELU, 0, ref_gelu, no_terms, { 5, 5 }, { 6, 6 } },
  { "gelu'", TB_GELU, 1, ref_gelu1, cdf, { 6, 6 }, { 8, 8 } },
  { "gelu''", TB_GELU, 2, ref_gelu2, terms_gelu2, { 5, 5 }, { 6, 6 } },
  { "gelu'''", TB_GELU, 3, ref_gelu3, terms_gelu3, { 5, 5 }, { 6, 6 } },
  { "log_normal_cdf", TB_LOG_NORMAL_CDF, 0, ref_log_normal_cdf, no_terms, { 6, 6 }, { 6, 6 } },
  { "log_normal_cdf'", TB_LOG_NORMAL_CDF, 1, ref_hazard, no_terms, { 5, 5 }, { 6, 6 } },
  { "log_normal_cdf''", TB_LOG_NORMAL_CDF, 2, ref_hazard1, no_terms, { 8, 8 }, { 9, 9 } },
  { "log_normal_cdf'''", TB_LOG_NORMAL_CDF, 3, ref_hazard2, no_terms, { 64, 64 }, { 64, 64 } },
};
enum { BOUNDS = sizeof bounds / sizeof bounds[0] };

/* ---- arguments ---- */

enum { SWEEP = 6000, MIDDLE = 12000, ARGUMENTS = 2 * SWEEP + MIDDLE };

static uint64_t state = 88172645463325252u;
static double uniform(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (double)(state >> 11) * 0x1p-53;
}

static size_t arguments(tb_dtype dtype, double *x) {
  const double low = dtype == TB_FLOAT32 ? -149 : -1074, high = dtype == TB_FLOAT32 ? 127.999 : 1023.999;
  size_t n = 0;
  for (int i = 0; i < SWEEP; i++) {
    const double size = exp2(low + (high - low) * (i + uniform()) / SWEEP);
    x[n++] = size;
    x[n++] = -size;
  }
  for (int i = 0; i < MIDDLE; i++) { /* dense near 0, on to where every tail has ended */
    const double t = 2 * (i + uniform()) / MIDDLE - 1, reach = i % 4 == 0   ? 750
                                                               : i % 4 == 1 ? 110
                                                               : i % 4 == 2 ? 40
                                                                            : 6;
    x[n++] = reach * t;
  }
  if (dtype == TB_FLOAT32)
    for (size_t i = 0; i < n; i++)
      x[i] = (float)x[i];
  return n;
}

static void evaluate(tb_kernel_unary *kernel, tb_dtype dtype, size_t n, const double *x, double *y) {
  static float a[ARGUMENTS], b[ARGUMENTS];
  if (dtype == TB_FLOAT64) {
    kernel(1, n, y, n, x, n);
    return;
  }
  for (size_t i = 0; i < n; i++)
    a[i] = (float)x[i];
  kernel(1, n, b, n, a, n);
  for (size_t i = 0; i < n; i++)
    y[i] = b[i];
}

/* Error in units of the last place of a number of the size of `size`. */
static double ulps(tb_dtype dtype, quad reference, quad size, double value) {
  const quad most = dtype == TB_FLOAT32 ? FLT_MAX : DBL_MAX;
  const int digits = dtype == TB_FLOAT32 ? 24 : 53, least = dtype == TB_FLOAT32 ? -149 : -1074;
  if (isnan(reference))
    return isnan(value) ? 0 : INFINITY;
  if (fabsl(reference) > most)
    return isinf(value) && signbit(value) == signbit(reference) ? 0 : (double)(fabsl(value) / most < 1 - 1e-5L) * 1e9;
  if (!isfinite(value))
    return INFINITY;
  int exponent = least;
  const quad s = fmaxl(size, fabsl(reference));
  if (s > 0) {
    frexpl(s, &exponent);
    exponent = exponent - digits < least ? least : exponent - digits;
  }
  return (double)(fabsl(value - reference) * ldexpl(1, -exponent));
}

static void accuracy(tb_dtype dtype) {
  static double x[ARGUMENTS], y[ARGUMENTS];
  static quad reference[ARGUMENTS], size[ARGUMENTS];
  const size_t n = arguments(dtype, x);
  const tb_kernels *tables[TB_KERNELS_MAX];
  const size_t count = tb_kernels_available(dtype, tables);
  bool good = true;
  for (size_t f = 0; f < BOUNDS; f++) {
    for (size_t i = 0; i < n; i++) {
      reference[i] = bounds[f].reference(x[i]);
      size[i] = bounds[f].terms(x[i]);
    }
    for (size_t t = 0; t < count; t++) {
      evaluate(tables[t]->math->unary[bounds[f].kind][bounds[f].order], dtype, n, x, y);
      double worst = 0;
      size_t at = 0;
      for (size_t i = 0; i < n; i++) {
        const double error = ulps(dtype, reference[i], size[i], y[i]);
        if (error > worst) {
          worst = error;
          at = i;
        }
      }
      const bool fused = strcmp(tables[t]->name, "v3") == 0 || strcmp(tables[t]->name, "v4") == 0;
      const double allowed = (fused ? bounds[f].fused : bounds[f].plain)[dtype == TB_FLOAT64];
      if (worst > allowed || getenv("VERBOSE"))
        print_message("%-18s %s float%d: %.3g ulp at x = %.17g: %.17g, not %.17Lg (allowed %g)\n", bounds[f].name,
                      tables[t]->name, dtype == TB_FLOAT32 ? 32 : 64, worst, x[at], y[at], reference[at], allowed);
      good = good && worst <= allowed;
    }
  }
  assert_true(good);
}

static void test_accuracy_float(void **unused) {
  accuracy(TB_FLOAT32);
}
static void test_accuracy_double(void **unused) {
  accuracy(TB_FLOAT64);
}

/* Zeros, infinities, NaN: what the reference in long double gives, in every table. */
static void test_special_values(void **unused) {
  static const double special[] = { 0.0, -0.0, INFINITY, -INFINITY, NAN, 1, -1, 1e300, -1e300, 3e38, -3e38, 5e-324 };
  enum { COUNT = sizeof special / sizeof special[0] };
  for (int d = 0; d < 2; d++) {
    const tb_kernels *tables[TB_KERNELS_MAX];
    const size_t count = tb_kernels_available(d ? TB_FLOAT64 : TB_FLOAT32, tables);
    for (size_t f = 0; f < BOUNDS; f++)
      for (size_t t = 0; t < count; t++) {
        double x[COUNT], y[COUNT];
        for (int i = 0; i < COUNT; i++)
          x[i] = d ? special[i] : (float)special[i];
        evaluate(tables[t]->math->unary[bounds[f].kind][bounds[f].order], tables[t]->dtype, COUNT, x, y);
        for (int i = 0; i < COUNT; i++) {
          const quad reference = bounds[f].reference(x[i]);
          if (ulps(tables[t]->dtype, reference, 0, y[i]) > 14)
            fail_msg("%s of %g in %s: %g, not %Lg", bounds[f].name, x[i], tables[t]->name, y[i], reference);
        }
      }
  }
}

/* Pairs give what the single functions give, and v3 gives the bits of v4. */
static void test_same_bits(void **unused) {
  static double x[ARGUMENTS], y[4][ARGUMENTS];
  static float a[ARGUMENTS];
  for (int d = 0; d < 2; d++) {
    const tb_dtype dtype = d ? TB_FLOAT64 : TB_FLOAT32;
    const size_t n = arguments(dtype, x), bytes = n * (d ? 8 : 4);
    const void *in = d ? (void *)x : (void *)a;
    for (size_t i = 0; i < n; i++)
      a[i] = (float)x[i];
    const tb_kernels *tables[TB_KERNELS_MAX];
    const size_t count = tb_kernels_available(dtype, tables);
    for (size_t t = 0; t < count; t++) {
      const tb_kernel_math *m = tables[t]->math;
      for (int f = 0; f < TB_UNARY_COUNT; f++) {
        static const tb_unary slope_of[TB_UNARY_COUNT] = { [TB_SOFTPLUS] = TB_SIGMOID };
        for (int order = 0; order < 2; order++) {
          tb_kernel_pair *pair = order ? m->pair2[f] : m->pair[f];
          if (!pair)
            continue;
          tb_kernel_unary *second = slope_of[f] ? m->unary[slope_of[f]][0] : m->unary[f][order + 1];
          pair(1, n, y[0], n, y[1], n, in, n);
          m->unary[f][order](1, n, y[2], n, in, n);
          second(1, n, y[3], n, in, n);
          assert_memory_equal(y[0], y[2], bytes);
          assert_memory_equal(y[1], y[3], bytes);
        }
        for (int order = 0; order < 4; order++)
          if (t > 0 && strcmp(tables[t]->name, "v3") == 0 && m->unary[f][order]) {
            m->unary[f][order](1, n, y[0], n, in, n);
            tables[t - 1]->math->unary[f][order](1, n, y[1], n, in, n);
            assert_memory_equal(y[0], y[1], bytes);
          }
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_accuracy_float),
    cmocka_unit_test(test_accuracy_double),
    cmocka_unit_test(test_special_values),
    cmocka_unit_test(test_same_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

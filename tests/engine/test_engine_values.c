/* Values against independent references: small cases worked by hand (as NumPy gives them), and the scalar functions
 * with their derivatives against 80-bit arithmetic, tails and extremes included. */
#include <tiebreak/tiebreak.h>

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct bench {
  tb_context *context;
  tb_graph *g;
} bench;

static bench open_bench(void) {
  bench b = { tb_context_new(NULL, NULL), NULL };
  assert_int_equal(tb_graph_new(b.context, &b.g), TB_OK);
  return b;
}

static void close_bench(bench *b) {
  tb_graph_free(b->g);
  tb_context_free(b->context);
}

/* Runs a graph without inputs. */
static void run(bench *b, tb_value a, void *out) {
  tb_program *program;
  if (tb_program_new(b->context, b->g, 1, &a, &(tb_program_options){ TB_NAIVE }, &program) != TB_OK)
    fail_msg("%s: %s", tb_context_place(b->context), tb_context_message(b->context));
  assert_int_equal(tb_program_run(program, 0, NULL, 1, &out), TB_OK);
  tb_program_free(program);
}

static void assert_values(bench *b, tb_value a, size_t n, const double *expected) {
  double out[64];
  assert_int_equal(tb_elements(b->g, a), n);
  assert_int_equal(tb_value_dtype(b->g, a), TB_FLOAT64);
  run(b, a, out);
  for (size_t i = 0; i < n; i++)
    if (!(fabs(out[i] - expected[i]) <= 4e-16 * fabs(expected[i]) || out[i] == expected[i]))
      fail_msg("element %zu: %.17g instead of %.17g", i, out[i], expected[i]);
}
#define ASSERT_VALUES(b, a, ...)                                                                                       \
  assert_values(b, a, sizeof((double[]){ __VA_ARGS__ }) / sizeof(double), (double[]){ __VA_ARGS__ })
#define CONSTANT(b, rank, dims, ...) tb_constant((b)->g, TB_FLOAT64, rank, dims, (double[]){ __VA_ARGS__ })
#define DIMS(...)                    ((size_t[]){ __VA_ARGS__ })

static void test_worked(void **state) {
  bench b = open_bench();
  tb_graph *g = b.g;
  tb_value a = CONSTANT(&b, 2, DIMS(2, 3), 1, 2, 3, 4, 5, 6), v = CONSTANT(&b, 1, DIMS(3), 10, 20, 30);
  tb_value c = CONSTANT(&b, 2, DIMS(2, 1), 100, 200), s = tb_scalar(g, TB_FLOAT64, 2);
  ASSERT_VALUES(&b, tb_add(g, a, v), 11, 22, 33, 14, 25, 36);
  ASSERT_VALUES(&b, tb_subtract(g, c, v), 90, 80, 70, 190, 180, 170);
  ASSERT_VALUES(&b, tb_divide(g, a, s), 0.5, 1, 1.5, 2, 2.5, 3);
  ASSERT_VALUES(&b, tb_less(g, a, tb_scalar(g, TB_FLOAT64, 3)), 1, 1, 0, 0, 0, 0);
  ASSERT_VALUES(&b, tb_less_equal(g, a, tb_scalar(g, TB_FLOAT64, 3)), 1, 1, 1, 0, 0, 0);
  ASSERT_VALUES(&b, tb_select(g, tb_less(g, s, a), a, s), 2, 2, 3, 4, 5, 6);
  ASSERT_VALUES(&b, tb_power(g, CONSTANT(&b, 1, DIMS(3), -2, 0, 3), 3), -8, 0, 27);
  ASSERT_VALUES(&b, tb_power(g, CONSTANT(&b, 1, DIMS(2), -2, 4), -2), 0.25, 0.0625);
  ASSERT_VALUES(&b, tb_matmul(g, a, false, a, true), 14, 32, 32, 77);
  ASSERT_VALUES(&b, tb_matmul(g, a, true, a, false), 17, 22, 27, 22, 29, 36, 27, 36, 45);
  ASSERT_VALUES(&b, tb_matvec(g, a, v), 140, 320);
  ASSERT_VALUES(&b, tb_matmul(g, CONSTANT(&b, 3, DIMS(2, 1, 2), 1, 2, 3, 4), false, tb_slice(g, a, 1, 0, 2), false), 9,
                12, 19, 26);
  ASSERT_VALUES(&b, tb_transpose(g, a, NULL), 1, 4, 2, 5, 3, 6);
  ASSERT_VALUES(&b, tb_reshape(g, tb_transpose(g, a, NULL), 1, DIMS(6)), 1, 4, 2, 5, 3, 6);
  ASSERT_VALUES(&b, tb_broadcast(g, c, 2, DIMS(2, 2)), 100, 100, 200, 200);
  ASSERT_VALUES(&b, tb_slice(g, a, 1, 1, 2), 2, 3, 5, 6);
  ASSERT_VALUES(&b, tb_concat(g, 1, 2, (tb_value[]){ c, a }), 100, 1, 2, 3, 200, 4, 5, 6);
  tb_value index = tb_constant(g, TB_INT32, 1, DIMS(3), (double[]){ 2, 0, 2 });
  ASSERT_VALUES(&b, tb_gather(g, a, 1, index), 3, 1, 3, 6, 4, 6);
  ASSERT_VALUES(&b, tb_scatter_add(g, a, 1, index, 4), 2, 0, 4, 0, 5, 0, 10, 0);
  ASSERT_VALUES(&b, tb_reduce(g, TB_SUM, a, 1, false), 5, 7, 9);
  ASSERT_VALUES(&b, tb_reduce(g, TB_MEAN, a, 2, true), 2, 5);
  ASSERT_VALUES(&b, tb_reduce(g, TB_MAX, a, 3, false), 6);
  ASSERT_VALUES(&b, tb_reduce(g, TB_MIN, a, 2, false), 1, 4);
  ASSERT_VALUES(&b, tb_reduce(g, TB_LOGSUMEXP, a, 2, false), 3.4076059644443806, 6.4076059644443806);
  ASSERT_VALUES(&b, tb_softmax(g, tb_slice(g, a, 0, 0, 1)), 0.090030573170380462, 0.24472847105479767,
                0.66524095577482178);
  ASSERT_VALUES(&b, tb_iota(g, TB_FLOAT64, 2, DIMS(2, 3), 1), 0, 1, 2, 0, 1, 2);
  ASSERT_VALUES(&b, tb_cholesky(g, CONSTANT(&b, 2, DIMS(2, 2), 4, 99, 2, 10)), 2, 0, 1, 3);
  ASSERT_VALUES(&b, tb_triangular_solve(g, CONSTANT(&b, 2, DIMS(2, 2), 2, 99, 1, 3), false, c), 50, 50);
  ASSERT_VALUES(&b, tb_triangular_solve(g, CONSTANT(&b, 2, DIMS(2, 2), 2, 99, 1, 4), true, c), 25, 50);
  ASSERT_VALUES(&b, tb_solve(g, CONSTANT(&b, 2, DIMS(2, 2), 0, 2, 4, 0), false, c), 50, 50);
  ASSERT_VALUES(&b, tb_solve(g, CONSTANT(&b, 2, DIMS(2, 2), 0, 2, 4, 0), true, c), 100, 25);
  ASSERT_VALUES(&b, tb_floor(g, CONSTANT(&b, 1, DIMS(2), -1.5, 1.5)), -2, 1);
  ASSERT_VALUES(&b, tb_cast(g, tb_cast(g, CONSTANT(&b, 1, DIMS(4), -1.9, 1.9, 1e300, NAN), TB_INT32), TB_FLOAT64), -1,
                1, INT32_MAX, 0);
  close_bench(&b);
}

/* Empty axes: sums are 0, a maximum −∞, a mean and a product's entries what their definitions give. */
static void test_empty(void **state) {
  bench b = open_bench();
  tb_graph *g = b.g;
  tb_value a = tb_fill(g, TB_FLOAT64, 2, DIMS(2, 0), 1);
  ASSERT_VALUES(&b, tb_reduce(g, TB_SUM, a, 2, false), 0, 0);
  ASSERT_VALUES(&b, tb_reduce(g, TB_MAX, a, 2, false), -INFINITY, -INFINITY);
  ASSERT_VALUES(&b, tb_reduce(g, TB_MIN, a, 2, false), INFINITY, INFINITY);
  ASSERT_VALUES(&b, tb_reduce(g, TB_LOGSUMEXP, a, 2, false), -INFINITY, -INFINITY);
  ASSERT_VALUES(&b, tb_matmul(g, a, false, a, true), 0, 0, 0, 0);
  double mean[2];
  run(&b, tb_reduce(g, TB_MEAN, a, 2, false), mean);
  assert_true(isnan(mean[0]) && isnan(mean[1]));
  run(&b, tb_softmax(g, a), mean);
  run(&b, tb_cholesky(g, tb_fill(g, TB_FLOAT64, 2, DIMS(0, 0), 1)), mean);
  close_bench(&b);
}

static void test_integers(void **state) {
  bench b = open_bench();
  tb_graph *g = b.g;
  tb_value i = tb_constant(g, TB_INT32, 1, DIMS(3), (double[]){ -3, 5, INT32_MAX });
  int32_t out[3];
  run(&b, tb_add(g, i, tb_scalar(g, TB_INT32, 1)), out);
  assert_true(out[0] == -2 && out[1] == 6 && out[2] == INT32_MIN);
  run(&b, tb_square(g, i), out);
  assert_true(out[0] == 9 && out[1] == 25 && out[2] == 1);
  run(&b, tb_scale(g, i, -2), out);
  assert_true(out[0] == 6 && out[1] == -10 && out[2] == 2);
  run(&b, tb_reduce(g, TB_MAX, i, 1, false), out);
  assert_true(out[0] == INT32_MAX);
  run(&b, tb_reduce(g, TB_SUM, tb_slice(g, i, 0, 0, 2), 1, false), out);
  assert_true(out[0] == 2);
  run(&b, tb_less(g, i, tb_scalar(g, TB_INT32, 0)), out);
  assert_true(out[0] == 1 && out[1] == 0 && out[2] == 0);
  close_bench(&b);
}

/* Draws are those of random.h, element by element. */
static void test_draws(void **state) {
  bench b = open_bench();
  tb_value key = tb_constant(b.g, TB_INT32, 1, DIMS(3), (double[]){ -7, 12, 3 });
  tb_key expected_key = { (uint64_t)(uint32_t)-7 | (uint64_t)12 << 32, 3, tb_use("noise") };
  double out[6], expected[6];
  float single[6], expected_single[6];
  run(&b, tb_normal(b.g, key, tb_use("noise"), TB_FLOAT64, 2, DIMS(2, 3)), out);
  tb_random_normal(expected_key, 0, 6, expected);
  assert_memory_equal(out, expected, sizeof out);
  run(&b, tb_uniform(b.g, key, tb_use("noise"), TB_FLOAT32, 2, DIMS(2, 3)), single);
  tb_random_uniform_float(expected_key, 0, 6, expected_single);
  assert_memory_equal(single, expected_single, sizeof single);
  close_bench(&b);
}

/* ---- scalar functions against 80-bit arithmetic ---- */

static long double density(long double x) {
  return expl(-0.5L * x * x) / sqrtl(2 * acosl(-1));
}
static long double cdf(long double x) {
  return 0.5L * erfcl(-x / sqrtl(2));
}

static long double reference(tb_unary kind, int order, long double x) {
  long double s = 1 / (1 + expl(-x)), s1 = expl(-x) / ((1 + expl(-x)) * (1 + expl(-x))), t = tanhl(x),
              t1 = 1 / (coshl(x) * coshl(x)), p = density(x), h = p / cdf(x), h1 = -h * (x + h);
  long double e1 = 2 / sqrtl(acosl(-1)) * expl(-x * x);
  const long double of_sigmoid[] = { s, s1, -s1 * tanhl(x / 2), s1 * (1 - 6 * s1) };
  const long double of_tanh[] = { t, t1, -2 * t * t1, -2 * t1 * (1 - 3 * t * t) };
  const long double of_erf[] = { erfl(x), e1, -2 * x * e1, (4 * x * x - 2) * e1 };
  const long double of_gelu[] = { x * cdf(x), cdf(x) + x * p, (2 - x * x) * p, (x * x - 4) * x * p };
  const long double of_cdf[] = { x > 0 ? log1pl(-cdf(-x)) : logl(cdf(x)), h, h1, -h1 * (x + h) - h * (1 + h1) };
  switch (kind) {
  case TB_SIGMOID:
    return of_sigmoid[order];
  case TB_TANH:
    return of_tanh[order];
  case TB_ERF:
    return of_erf[order];
  case TB_GELU:
    return of_gelu[order];
  case TB_LOG_NORMAL_CDF:
    return of_cdf[order];
  case TB_SOFTPLUS:
    return order == 0 ? log1pl(expl(x)) : of_sigmoid[order - 1];
  default: /* TB_LOG_SIGMOID = −softplus(−x) */
    return order == 0 ? -log1pl(expl(-x)) : reference(TB_SIGMOID, order - 1, -x) * (order % 2 ? 1 : -1);
  }
}

enum { POINTS = 1201 };

/* Relative error, where a zero crossing near the origin counts as size `floor`. */
static void check_function(tb_unary kind, int order, double low, double high, double floor, double tolerance) {
  bench b = open_bench();
  double *x = malloc(2 * POINTS * sizeof *x), *y = x + POINTS;
  for (size_t i = 0; i < POINTS; i++)
    x[i] = low + (high - low) * (double)i / (POINTS - 1);
  run(&b, tb_unary_derivative(b.g, kind, order, tb_constant(b.g, TB_FLOAT64, 1, DIMS(POINTS), x)), y);
  for (size_t i = 0; i < POINTS; i++) {
    long double r = reference(kind, order, x[i]);
    long double size = fabs(x[i]) < 6 ? fmaxl(fabsl(r), (long double)floor) : fabsl(r);
    if (!(fabsl(y[i] - r) <= (long double)tolerance * size))
      fail_msg("function %d order %d at %.17g: %.17g instead of %.17Lg (relative %Lg)", (int)kind, order, x[i], y[i], r,
               fabsl(y[i] - r) / size);
  }
  free(x);
  close_bench(&b);
}

static void test_functions(void **state) {
#if LDBL_MANT_DIG < 64
  skip();
#endif
  static const tb_unary kinds[] = {
    TB_SIGMOID, TB_TANH, TB_ERF, TB_GELU, TB_SOFTPLUS, TB_LOG_SIGMOID, TB_LOG_NORMAL_CDF
  };
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    for (int order = 0; order <= 3; order++) {
      bool mills = kinds[i] == TB_LOG_NORMAL_CDF;
      check_function(kinds[i], order, mills ? -5 : -25, 25, order ? 0.05 : 0, mills ? 4e-14 : 4e-15);
    }
  check_function(TB_GELU, 0, -37, -25, 0, 1e-14); /* erfc has digits to the last */
  check_function(TB_GELU, 1, -37, -25, 0, 1e-13);
}

/* log Φ and derivatives, from 80 digits of mpmath. */
static void test_mills(void **state) {
  static const struct {
    double x, expected[4];
  } cases[] = {
    { -30.0, { -454.3212439563432, 30.033259667433677, -0.99889622848810991, 7.3099930157844385e-5 } },
    { -9.3, { -46.405198397388907, 9.4051730670530903, -0.98917089762708647, 0.0021845551650113265 } },
    { -3.7, { -9.1352353718728765, 3.9404575210740387, -0.94751264741501415, 0.021012359128941373 } },
    { -1.05, { -1.9182819523102702, 1.5653249200773409, -0.8066509393339257, 0.1130332279084155 } },
    { -0.9, { -1.6924928065613382, 1.4456430984031135, -0.78880517939775184, 0.12509376730088932 } },
    { 0.5, { -0.36894641528865639, 0.50916043383703349, -0.5138245643036329, 0.27099012446870783 } },
    { 3.0, { -0.0013508099647481938, 0.0044378390421256638, -0.013333211541740806, 0.035680136876570471 } },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int order = 0; order <= 3; order++) {
      bench b = open_bench();
      double got, expected = cases[i].expected[order];
      run(&b, tb_unary_derivative(b.g, TB_LOG_NORMAL_CDF, order, tb_scalar(b.g, TB_FLOAT64, cases[i].x)), &got);
      if (!(fabs(got - expected) <= 1e-14 * fabs(expected)))
        fail_msg("order %d at %g: %.17g instead of %.17g", order, cases[i].x, got, expected);
      close_bench(&b);
    }
}

/* log Φ far out: h = z + 1/z − 2/z³, and derivatives of that; relative accuracy where the naive form has no digit. */
static void test_mills_tail(void **state) {
  static const double points[] = { -1e3, -1e4, -1e6, -1e10 };
  for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
    bench b = open_bench();
    double x = points[i], z = -x, got[4];
    double expected[4] = { -0.5 * z * z - log(z) - 0.91893853320467274178 - log1p(1 / (z * z)),
                           z + 1 / z - 2 / (z * z * z), -1 + 1 / (z * z), 2 / (z * z * z) - 24 / pow(z, 5) };
    for (int order = 0; order <= 3; order++) {
      run(&b, tb_unary_derivative(b.g, TB_LOG_NORMAL_CDF, order, tb_constant(b.g, TB_FLOAT64, 1, DIMS(1), &x)),
          &got[order]);
      if (!(fabs(got[order] - expected[order]) <= 1e-9 * fabs(expected[order])))
        fail_msg("order %d at %g: %.17g instead of %.17g", order, x, got[order], expected[order]);
    }
    close_bench(&b);
  }
}

/* At ±10⁴ and ±10³⁰⁰ every function and all derivatives to order 5, by repeated reverse mode, have the limit's value.
 */
static void test_extremes(void **state) {
  static const struct {
    tb_unary kind;
    double at, value, slope, curvature;
  } cases[] = {
    { TB_SOFTPLUS, 1e4, 1e4, 1, 0 },
    { TB_SOFTPLUS, -1e4, 0, 0, 0 },
    { TB_SOFTPLUS, 1e300, 1e300, 1, 0 },
    { TB_SOFTPLUS, -1e300, 0, 0, 0 },
    { TB_LOG_SIGMOID, 1e4, 0, 0, 0 },
    { TB_LOG_SIGMOID, -1e4, -1e4, 1, 0 },
    { TB_LOG_SIGMOID, 1e300, 0, 0, 0 },
    { TB_LOG_SIGMOID, -1e300, -1e300, 1, 0 },
    { TB_SIGMOID, 1e300, 1, 0, 0 },
    { TB_SIGMOID, -1e300, 0, 0, 0 },
    { TB_TANH, 1e300, 1, 0, 0 },
    { TB_TANH, -1e4, -1, 0, 0 },
    { TB_ERF, 1e300, 1, 0, 0 },
    { TB_ERF, -1e4, -1, 0, 0 },
    { TB_GELU, 1e4, 1e4, 1, 0 },
    { TB_GELU, -1e4, 0, 0, 0 },
    { TB_GELU, 1e300, 1e300, 1, 0 },
    { TB_GELU, -1e300, 0, 0, 0 },
    { TB_LOG_NORMAL_CDF, 1e4, 0, 0, 0 },
    { TB_LOG_NORMAL_CDF, 1e300, 0, 0, 0 },
    { TB_LOG_NORMAL_CDF, -1e4, -50000010.129278911, 10000.000099999999, -0.99999999 },
    { TB_LOG_NORMAL_CDF, -1e300, -INFINITY, 1e300, -1 },
    { TB_RELU, 1e300, 1e300, 1, 0 },
    { TB_EXPM1, -1e300, -1, 0, 0 },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    bench b = open_bench();
    tb_value x = tb_scalar(b.g, TB_FLOAT64, cases[i].at), y = tb_unary(b.g, cases[i].kind, x);
    for (int order = 0; order <= 5; order++) {
      double expected = order == 0   ? cases[i].value
                        : order == 1 ? cases[i].slope
                        : order == 2 ? cases[i].curvature
                                     : 0,
             got;
      run(&b, y, &got);
      if (!(got == expected || fabs(got - expected) <= 2e-12 * fmax(1, fabs(expected))))
        fail_msg("function %d at %g: derivative %d is %.17g instead of %.17g", (int)cases[i].kind, cases[i].at, order,
                 got, expected);
      tb_gradient(b.g, y, 1, &x, &y);
    }
    close_bench(&b);
  }
}

static void test_logsumexp_extremes(void **state) {
  bench b = open_bench();
  tb_graph *g = b.g;
  tb_value x = CONSTANT(&b, 2, DIMS(4, 2), 1e4, 1e4, -1e300, -1e300, 1e300, -1e300, -INFINITY, 3), gradient;
  tb_value y = tb_reduce(g, TB_LOGSUMEXP, x, 2, false);
  ASSERT_VALUES(&b, y, 1e4 + M_LN2, -1e300, 1e300, 3);
  tb_gradient(g, tb_sum(g, y), 1, &x, &gradient);
  ASSERT_VALUES(&b, gradient, 0.5, 0.5, 0.5, 0.5, 1, 0, 0, 1);
  ASSERT_VALUES(&b, tb_softmax(g, x), 0.5, 0.5, 0.5, 0.5, 1, 0, 0, 1);
  ASSERT_VALUES(&b, tb_slice(g, tb_log_softmax(g, x), 0, 0, 3), -M_LN2, -M_LN2, -M_LN2, -M_LN2, 0, -INFINITY);
  close_bench(&b);
}

/* Ties and kinks: what graph.h promises. */
static void test_ties(void **state) {
  bench b = open_bench();
  tb_graph *g = b.g;
  tb_value x = CONSTANT(&b, 1, DIMS(4), 2, 7, 7, 0), zero = tb_scalar(g, TB_FLOAT64, 0), gradient;
  tb_gradient(g, tb_reduce(g, TB_MAX, x, 1, false), 1, &x, &gradient);
  ASSERT_VALUES(&b, gradient, 0, 0.5, 0.5, 0);
  tb_gradient(g, tb_sum(g, tb_maximum(g, x, tb_scalar(g, TB_FLOAT64, 7))), 1, &x, &gradient);
  ASSERT_VALUES(&b, gradient, 0, 0.5, 0.5, 0);
  tb_gradient(g, tb_sum(g, tb_relu(g, x)), 1, &x, &gradient);
  ASSERT_VALUES(&b, gradient, 1, 1, 1, 0);
  tb_gradient(g, tb_absolute(g, zero), 1, &zero, &gradient);
  ASSERT_VALUES(&b, gradient, 0);
  tb_gradient(g, tb_sum(g, tb_multiply(g, x, tb_stop(g, x))), 1, &x, &gradient);
  ASSERT_VALUES(&b, gradient, 2, 7, 7, 0);
  close_bench(&b);
}

/* Inputs that depend on each other get total derivatives; inputs that matter to nothing get zeros. */
static void test_total_derivatives(void **state) {
  bench b = open_bench();
  tb_graph *g = b.g;
  tb_value w = CONSTANT(&b, 1, DIMS(2), 3, 4), h = tb_square(g, w), other = tb_scalar(g, TB_FLOAT64, 1);
  tb_value loss = tb_sum(g, tb_multiply(g, h, w)), inputs[3] = { w, h, other }, gradients[3];
  assert_int_equal(tb_gradient(g, loss, 3, inputs, gradients), TB_OK);
  ASSERT_VALUES(&b, gradients[0], 27, 48);
  ASSERT_VALUES(&b, gradients[1], 3, 4);
  ASSERT_VALUES(&b, gradients[2], 0);
  tb_value dots[3] = { CONSTANT(&b, 1, DIMS(2), 1, 0), CONSTANT(&b, 1, DIMS(2), 0, 1), other }, loss_dot;
  assert_int_equal(tb_jvp(g, 1, &loss, 3, inputs, dots, &loss_dot), TB_OK);
  ASSERT_VALUES(&b, loss_dot, 31);
  close_bench(&b);
}

/* Factorisations of what they cannot factor give NaN, not a crash. */
static void test_degenerate(void **state) {
  bench b = open_bench();
  double out[4];
  run(&b, tb_cholesky(b.g, CONSTANT(&b, 2, DIMS(2, 2), 1, 0, 2, 1)), out);
  assert_true(isnan(out[0]) && out[1] == 0 && isnan(out[2]) && isnan(out[3]));
  run(&b, tb_solve(b.g, CONSTANT(&b, 2, DIMS(2, 2), 1, 2, 2, 4), false, CONSTANT(&b, 2, DIMS(2, 1), 1, 1)), out);
  assert_true(isnan(out[0]) && isnan(out[1]));
  close_bench(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_worked),
    cmocka_unit_test(test_empty),
    cmocka_unit_test(test_integers),
    cmocka_unit_test(test_draws),
    cmocka_unit_test(test_functions),
    cmocka_unit_test(test_mills),
    cmocka_unit_test(test_mills_tail),
    cmocka_unit_test(test_extremes),
    cmocka_unit_test(test_logsumexp_extremes),
    cmocka_unit_test(test_ties),
    cmocka_unit_test(test_total_derivatives),
    cmocka_unit_test(test_degenerate),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

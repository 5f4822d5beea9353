/* Curvature products against references that share no code with them: a perceptron in long double with its loss, whose
 * second and first differences give the Hessian, the Jacobian and with it Gauss–Newton and Fisher matrices; second
 * derivatives of the objective; expectations over labels by enumeration. */
#include "fixture.h"

#include "measure/curvature.h"
#include "optim/objective.h"

/* ---- a two-layer perceptron with c outputs, by hand: f = W₂ a(W₁ x + b₁) + b₂ ---- */

enum { MOST_P = 64, MOST_N = 8, MOST_C = 4 };

typedef struct net {
  size_t n, d, width, c;
  tb_unary activation;
  double x[64], targets[32], weights[8], theta[MOST_P];
  tb_row_loss loss;
} net;

static size_t net_parameters(const net *t) {
  return t->width * (t->d + 1) + t->c * (t->width + 1);
}

static long double activate(tb_unary activation, long double z) {
  return activation == TB_RELU ? (z > 0 ? z : 0) : tanhl(z);
}

static void outputs_by_hand(const net *t, const long double *theta, size_t i, long double *f) {
  const long double *w1 = theta, *b1 = w1 + t->width * t->d, *w2 = b1 + t->width, *b2 = w2 + t->c * t->width;
  for (size_t o = 0; o < t->c; o++)
    f[o] = b2[o];
  for (size_t k = 0; k < t->width; k++) {
    long double z = b1[k];
    for (size_t j = 0; j < t->d; j++)
      z += w1[k * t->d + j] * t->x[i * t->d + j];
    for (size_t o = 0; o < t->c; o++)
      f[o] += w2[o * t->width + k] * activate(t->activation, z);
  }
}

static long double row_loss(const net *t, const long double *f, const double *y) {
  long double sum = 0;
  if (t->loss == TB_ROW_SOFTMAX) {
    for (size_t o = 0; o < t->c; o++)
      sum += expl(f[o]);
    return logl(sum) - f[(size_t)y[0]];
  }
  for (size_t o = 0; o < t->c; o++)
    sum += t->loss == TB_ROW_SQUARE ? (f[o] - y[o]) * (f[o] - y[o]) / 2 : log1pl(expl(-y[o] * f[o]));
  return sum;
}

static const double *row_target(const net *t, size_t i) {
  return t->targets + (t->loss == TB_ROW_SOFTMAX ? i : i * t->c);
}

static long double loss_by_hand(const net *t, const long double *theta) {
  long double sum = 0, f[MOST_C];
  for (size_t i = 0; i < t->n; i++) {
    outputs_by_hand(t, theta, i, f);
    sum += t->weights[i] * row_loss(t, f, row_target(t, i));
  }
  return sum;
}

static void start(const net *t, long double *theta) {
  for (size_t q = 0; q < net_parameters(t); q++)
    theta[q] = t->theta[q];
}

/* Second differences of the loss; errors of step² and of 2⁻⁶⁴ / step², both about 1e-9. */
static void hessian_by_hand(const net *t, double *hessian) {
  const size_t p = net_parameters(t);
  const long double step = 2e-5L;
  long double theta[MOST_P];
  start(t, theta);
  for (size_t a = 0; a < p; a++)
    for (size_t b = 0; b <= a; b++) {
      long double sum = 0;
      for (int corner = 0; corner < 4; corner++) {
        const long double sa = corner & 1 ? step : -step, sb = corner & 2 ? step : -step;
        theta[a] += sa;
        theta[b] += sb;
        sum += (sa > 0) == (sb > 0) ? loss_by_hand(t, theta) : -loss_by_hand(t, theta);
        start(t, theta);
      }
      hessian[a * p + b] = hessian[b * p + a] = (double)(sum / (4 * step * step));
    }
}

/* First differences of the outputs: J[n·c × p]; errors about 1e-13. */
static void jacobian_by_hand(const net *t, double *jacobian) {
  const size_t p = net_parameters(t);
  const long double step = 1e-6L;
  long double theta[MOST_P], up[MOST_C], down[MOST_C];
  start(t, theta);
  for (size_t q = 0; q < p; q++)
    for (size_t i = 0; i < t->n; i++) {
      theta[q] = t->theta[q] + step;
      outputs_by_hand(t, theta, i, up);
      theta[q] = t->theta[q] - step;
      outputs_by_hand(t, theta, i, down);
      theta[q] = t->theta[q];
      for (size_t o = 0; o < t->c; o++)
        jacobian[(i * t->c + o) * p + q] = (double)((up[o] - down[o]) / (2 * step));
    }
}

/* ∂ℓ/∂f at label y by hand. */
static void residual_by_hand(const net *t, const long double *f, const double *y, long double *r) {
  long double sum = 0;
  for (size_t o = 0; o < t->c; o++)
    sum += expl(f[o]);
  for (size_t o = 0; o < t->c; o++)
    r[o] = t->loss == TB_ROW_SQUARE     ? f[o] - y[o]
           : t->loss == TB_ROW_LOGISTIC ? -y[o] / (1 + expl(y[o] * f[o]))
                                        : expl(f[o]) / sum - ((size_t)y[0] == o);
}

/* matrix += weight g gᵀ, g = J_iᵀ r */
static void add_outer(const net *t, const double *jacobian, size_t i, const long double *r, long double weight,
                      double *matrix) {
  const size_t p = net_parameters(t);
  long double g[MOST_P] = { 0 };
  for (size_t q = 0; q < p; q++)
    for (size_t o = 0; o < t->c; o++)
      g[q] += r[o] * jacobian[(i * t->c + o) * p + q];
  for (size_t a = 0; a < p; a++)
    for (size_t b = 0; b < p; b++)
      matrix[a * p + b] += (double)(weight * g[a] * g[b]);
}

/* Σ_i w_i E_y g_i(y) g_i(y)ᵀ: every label with its probability; a Gaussian's two points f ± 1 in each coordinate stand
 * for its second moment. */
static void fisher_by_enumeration(const net *t, double *fisher) {
  const size_t p = net_parameters(t);
  static double jacobian[MOST_N * MOST_C * MOST_P];
  jacobian_by_hand(t, jacobian);
  long double theta[MOST_P], f[MOST_C], r[MOST_C];
  start(t, theta);
  memset(fisher, 0, p * p * sizeof *fisher);
  for (size_t i = 0; i < t->n; i++) {
    outputs_by_hand(t, theta, i, f);
    if (t->loss == TB_ROW_SOFTMAX) {
      long double sum = 0;
      for (size_t o = 0; o < t->c; o++)
        sum += expl(f[o]);
      for (size_t o = 0; o < t->c; o++) {
        residual_by_hand(t, f, (double[]){ (double)o }, r);
        add_outer(t, jacobian, i, r, t->weights[i] * expl(f[o]) / sum, fisher);
      }
      continue;
    }
    for (unsigned labels = 0; labels < 1u << t->c; labels++) { /* all sign patterns */
      double y[MOST_C];
      long double probability = 1;
      for (size_t o = 0; o < t->c; o++) {
        y[o] = labels >> o & 1 ? 1 : -1;
        probability *= t->loss == TB_ROW_SQUARE ? 0.5L : 1 / (1 + expl(-y[o] * f[o]));
      }
      if (t->loss == TB_ROW_SQUARE)
        for (size_t o = 0; o < t->c; o++)
          r[o] = y[o];
      else
        residual_by_hand(t, f, y, r);
      add_outer(t, jacobian, i, r, t->weights[i] * probability, fisher);
    }
  }
}

static void empirical_by_hand(const net *t, double *fisher) {
  const size_t p = net_parameters(t);
  static double jacobian[MOST_N * MOST_C * MOST_P];
  jacobian_by_hand(t, jacobian);
  long double theta[MOST_P], f[MOST_C], r[MOST_C];
  start(t, theta);
  memset(fisher, 0, p * p * sizeof *fisher);
  for (size_t i = 0; i < t->n; i++) {
    outputs_by_hand(t, theta, i, f);
    residual_by_hand(t, f, row_target(t, i), r);
    add_outer(t, jacobian, i, r, t->weights[i], fisher);
  }
}

/* ---- the same as a graph ---- */

static tb_value piece(tb_graph *g, tb_value theta, size_t *offset, size_t rows, size_t cols) {
  const tb_value flat = tb_slice(g, theta, 1, *offset, rows * cols);
  *offset += rows * cols;
  return tb_reshape(g, flat, 3, (size_t[]){ tb_dim(g, theta, 0), rows, cols });
}

static tb_value build_net(void *user, tb_graph *g, tb_value theta, const tb_value *data) {
  const net *t = user;
  size_t offset = 0;
  const tb_value w1 = piece(g, theta, &offset, t->width, t->d), b1 = piece(g, theta, &offset, 1, t->width);
  const tb_value w2 = piece(g, theta, &offset, t->c, t->width), b2 = piece(g, theta, &offset, 1, t->c);
  const tb_value h = tb_unary(g, t->activation, tb_add(g, tb_matmul(g, data[0], false, w1, true), b1));
  return tb_add(g, tb_matmul(g, h, false, w2, true), b2); /* [R,n,c] */
}

static tb_function function_of(net *t, tb_dtype dtype) {
  return (tb_function){ .parameters = net_parameters(t),
                        .dtype = dtype,
                        .data_count = 1,
                        .data = { { .rank = 2, .dims = { t->n, t->d }, .values = t->x } },
                        .build = build_net,
                        .user = t,
                        .loss = t->loss,
                        .targets = t->targets,
                        .weights = t->weights };
}

static net make_net(tb_row_loss loss, size_t n, size_t d, size_t width, size_t c, tb_unary activation) {
  net t = { .n = n, .d = d, .width = width, .c = c, .activation = activation, .loss = loss };
  tb_random_normal((tb_key){ .use = 1 }, 0, n * d, t.x);
  tb_random_normal((tb_key){ .use = 2 }, 0, net_parameters(&t), t.theta);
  tb_random_uniform((tb_key){ .use = 3 }, 0, n, t.weights);
  for (size_t i = 0; i < n * c; i++)
    t.targets[i] = loss == TB_ROW_SOFTMAX    ? (double)tb_random_below((tb_key){ .use = 4 }, i, c)
                   : loss == TB_ROW_LOGISTIC ? (i % 3 ? 1 : -1)
                                             : 0.3 * (double)i - 1;
  return t;
}

static void compare(net *t, tb_curvature_kind kind, size_t block, tb_dtype dtype, const double *expected,
                    double tolerance) {
  const size_t p = net_parameters(t);
  static double dense[MOST_P * MOST_P];
  const tb_function f = function_of(t, dtype);
  tb_curvature *curvature;
  check(tb_curvature_new(context, &f, kind, block, &curvature));
  tb_curvature_move(curvature, t->theta);
  const tb_operator op = tb_curvature_operator(curvature);
  check(tb_operator_dense(&op, dense));
  double size = 0;
  for (size_t i = 0; i < p * p; i++)
    size = fmax(size, fabs(expected[i]));
  for (size_t i = 0; i < p * p; i++)
    assert_near(dense[i], expected[i], tolerance * fmax(1, size));
  tb_curvature_free(curvature);
}

static const struct {
  size_t n, d, width, c, block;
} sizes[] = { { 5, 3, 4, 3, 7 }, { 1, 1, 1, 1, 1 }, { 7, 2, 3, 1, 4 }, { 3, 5, 1, 2, 100 } };

static void equals_references_by_hand(void **state) {
  static double expected[MOST_P * MOST_P];
  const tb_row_loss losses[] = { TB_ROW_SQUARE, TB_ROW_LOGISTIC, TB_ROW_SOFTMAX };
  const tb_unary activations[] = { TB_TANH, TB_RELU };
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (size_t l = 0; l < 3; l++)
      for (size_t a = 0; a < 2; a++) {
        net t = make_net(losses[l], sizes[s].n, sizes[s].d, sizes[s].width, sizes[s].c, activations[a]);
        hessian_by_hand(&t, expected);
        compare(&t, TB_HESSIAN, sizes[s].block, TB_FLOAT64, expected, 3e-8);
        compare(&t, TB_HESSIAN, sizes[s].block, TB_FLOAT32, expected, 1e-5);
        fisher_by_enumeration(&t, expected);
        compare(&t, TB_FISHER, sizes[s].block, TB_FLOAT64, expected, 1e-11);
        compare(&t, TB_GAUSS_NEWTON, sizes[s].block, TB_FLOAT64, expected, 1e-11);
        compare(&t, TB_GAUSS_NEWTON, sizes[s].block, TB_FLOAT32, expected, 1e-5);
        empirical_by_hand(&t, expected);
        compare(&t, TB_EMPIRICAL_FISHER, sizes[s].block, TB_FLOAT64, expected, 1e-11);
        compare(&t, TB_EMPIRICAL_FISHER, sizes[s].block, TB_FLOAT32, expected, 1e-5);
      }
}

/* ---- models of the table ---- */

typedef struct table_case {
  const char *model;
  int depth;
  size_t width, n, d;
  tb_unary activation;
  tb_loss loss;
} table_case;

static const table_case table[] = {
  { "mlp", 3, 5, 7, 4, TB_GELU, TB_LOSS_LOGISTIC },    { "mlp", 1, 1, 1, 1, TB_TANH, TB_LOSS_SQUARE },
  { "mlp", 4, 3, 5, 3, TB_RELU, TB_LOSS_SQUARE },      { "dense", 3, 4, 6, 3, TB_TANH, TB_LOSS_LOGISTIC },
  { "diagonal", 3, 3, 5, 3, TB_TANH, TB_LOSS_SQUARE }, { "linear", 1, 1, 4, 3, TB_TANH, TB_LOSS_LOGISTIC },
};

/* The Hessian against p second derivatives of the objective, Gauss–Newton against JᵀHJ with its Jacobian. */
static void equals_the_objective(void **state) {
  for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
    const table_case *c = &table[k];
    const tb_model *model = tb_model_find(c->model);
    const tb_model_shape shape = { .inputs = c->d, .depth = c->depth, .width = c->width, .activation = c->activation };
    const size_t n = c->n, p = model->parameters(&shape);
    double x[64], y[16], theta[256], unit[256] = { 0 }, row[256], f[16];
    static double jacobian[16 * 256], dense[256 * 256];
    tb_random_normal((tb_key){ .seed = k, .use = 1 }, 0, n * c->d, x);
    tb_random_normal((tb_key){ .seed = k, .use = 2 }, 0, p, theta);
    for (size_t i = 0; i < n; i++)
      y[i] = i % 2 ? 1 : -1;
    tb_objective *objective;
    check(tb_objective_new(context, model, &shape, c->loss, TB_FLOAT64, n, x, y, &objective));
    check(tb_objective_jacobian(objective, theta, f, jacobian));
    const tb_model_function m = { model, &shape };
    const bool logistic = c->loss == TB_LOSS_LOGISTIC;
    const tb_function function =
        tb_function_of_model(&m, TB_FLOAT64, n, x, logistic ? TB_ROW_LOGISTIC : TB_ROW_SQUARE, y);
    tb_curvature *curvature;
    check(tb_curvature_new(context, &function, TB_HESSIAN, 5, &curvature));
    tb_curvature_move(curvature, theta);
    tb_operator op = tb_curvature_operator(curvature);
    check(tb_operator_dense(&op, dense));
    for (size_t a = 0; a < p; a++) {
      unit[a] = 1;
      check(tb_objective_descent_product(objective, theta, 0, unit, row));
      unit[a] = 0;
      for (size_t b = 0; b < p; b++)
        assert_near(dense[a * p + b], -row[b], 1e-11 * fmax(1, fabs(row[b])));
    }
    tb_curvature_free(curvature);
    check(tb_curvature_new(context, &function, TB_GAUSS_NEWTON, 5, &curvature));
    tb_curvature_move(curvature, theta);
    op = tb_curvature_operator(curvature);
    check(tb_operator_dense(&op, dense));
    for (size_t a = 0; a < p; a++)
      for (size_t b = 0; b < p; b++) {
        double sum = 0, size = 0;
        for (size_t i = 0; i < n; i++) {
          const double h = logistic ? 1 / (2 + 2 * cosh(f[i])) : 1;
          const double term = h * jacobian[i * p + a] * jacobian[i * p + b] / (double)n;
          sum += term;
          size += fabs(term);
        }
        assert_near(dense[a * p + b], sum, 1e-11 * fmax(1, size));
      }
    tb_curvature_free(curvature);
    tb_objective_free(objective);
  }
}

/* ---- scalar functions, bits, mistakes ---- */

/* Σ_q a_q θ_q⁴ + θ_0 θ_{p−1}, an integer among its data: H = diag(12 a θ²) and two ones. */
static tb_value build_quartic(void *user, tb_graph *g, tb_value theta, const tb_value *data) {
  const tb_value fourth = tb_power(g, theta, tb_dim(g, data[1], 0) == 1 ? 4 : 1);
  const tb_value sum = tb_reduce(g, TB_SUM, tb_multiply(g, fourth, data[0]), 1u << 1, false);
  const size_t last = tb_dim(g, theta, 1) - 1;
  const tb_value ends = tb_multiply(g, tb_slice(g, theta, 1, 0, 1), tb_slice(g, theta, 1, last, 1));
  return tb_add(g, sum, tb_reshape(g, ends, 1, (size_t[]){ tb_dim(g, theta, 0) }));
}

static void hessian_of_a_scalar(void **state) {
  const double a[3] = { 1, -2, 0.5 }, theta[3] = { 0.5, 2, -3 };
  const int32_t one = 1;
  const tb_function f = { .parameters = 3,
                          .dtype = TB_FLOAT64,
                          .data_count = 2,
                          .data = { { .rank = 1, .dims = { 3 }, .values = a },
                                    { .integer = true, .rank = 1, .dims = { 1 }, .values = &one } },
                          .build = build_quartic };
  tb_curvature *curvature;
  double dense[9];
  check(tb_curvature_new(context, &f, TB_HESSIAN, 2, &curvature));
  tb_curvature_move(curvature, theta);
  const tb_operator op = tb_curvature_operator(curvature);
  check(tb_operator_dense(&op, dense));
  for (size_t i = 0; i < 3; i++)
    for (size_t j = 0; j < 3; j++)
      assert_near(dense[i * 3 + j], (i == j ? 12 * a[i] * theta[i] * theta[i] : 0) + (i + j == 2 && i != j), 1e-13);
  tb_curvature_move(curvature, (double[]){ 1e300, 1, 1 }); /* 12e600 */
  assert_int_equal(tb_operator_dense(&op, dense), TB_FAILED);
  tb_curvature_free(curvature);
  assert_int_equal(tb_curvature_new(context, &f, TB_GAUSS_NEWTON, 1, &curvature), TB_USAGE);
  assert_null(curvature);
}

static void same_bits_and_no_allocation(void **state) {
  net t = make_net(TB_ROW_SOFTMAX, 5, 3, 4, 3, TB_TANH);
  const tb_function f = function_of(&t, TB_FLOAT64);
  const size_t p = net_parameters(&t);
  double v[3 * MOST_P], once[3 * MOST_P], again[3 * MOST_P], alone[MOST_P];
  tb_random_normal((tb_key){ .use = 9 }, 0, 3 * p, v);
  tb_curvature *curvature;
  check(tb_curvature_new(context, &f, TB_HESSIAN, 4, &curvature));
  tb_curvature_move(curvature, t.theta);
  const tb_operator op = tb_curvature_operator(curvature);
  check(tb_operator_apply(&op, 3, v, once));
  const uint64_t allocations = tb_context_allocations(context);
  check(tb_operator_apply(&op, 3, v, again));
  assert_memory_equal(once, again, 3 * p * sizeof *once);
  check(tb_operator_apply(&op, 1, v + p, alone));
  for (size_t q = 0; q < p; q++)
    assert_near(alone[q], once[p + q], 1e-14 * fmax(1, fabs(alone[q])));
  assert_int_equal(tb_context_allocations(context), allocations);
  tb_curvature_free(curvature);
}

static void targets_are_checked(void **state) {
  net t = make_net(TB_ROW_SOFTMAX, 5, 3, 4, 3, TB_TANH);
  tb_curvature *curvature;
  tb_function f = function_of(&t, TB_FLOAT64);
  t.targets[2] = 3;
  assert_int_equal(tb_curvature_new(context, &f, TB_HESSIAN, 1, &curvature), TB_BAD_DATA);
  t.targets[2] = 0.5;
  assert_int_equal(tb_curvature_new(context, &f, TB_HESSIAN, 1, &curvature), TB_BAD_DATA);
  f.targets = NULL;
  assert_int_equal(tb_curvature_new(context, &f, TB_EMPIRICAL_FISHER, 1, &curvature), TB_USAGE);
  check(tb_curvature_new(context, &f, TB_FISHER, 1, &curvature));
  tb_curvature_free(curvature);
  f.loss = TB_ROW_LOGISTIC;
  f.targets = t.targets;
  assert_int_equal(tb_curvature_new(context, &f, TB_HESSIAN, 1, &curvature), TB_BAD_DATA);
}

static tb_status dense_fisher(tb_context *metered) {
  static net t;
  t = make_net(TB_ROW_SOFTMAX, 3, 2, 2, 2, TB_TANH);
  const tb_function f = function_of(&t, TB_FLOAT32);
  double dense[MOST_P * MOST_P];
  tb_curvature *curvature;
  tb_status status = tb_curvature_new(metered, &f, TB_EMPIRICAL_FISHER, 2, &curvature);
  if (status == TB_OK) {
    const tb_operator op = tb_curvature_operator(curvature);
    tb_curvature_move(curvature, t.theta);
    status = tb_operator_dense(&op, dense);
  }
  tb_curvature_free(curvature);
  return status;
}

static void memory_runs_out(void **state) {
  memory_runs_out_in(dense_fisher);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(memory_runs_out),
    cmocka_unit_test(equals_references_by_hand),
    cmocka_unit_test(equals_the_objective),
    cmocka_unit_test(hessian_of_a_scalar),
    cmocka_unit_test(same_bits_and_no_allocation),
    cmocka_unit_test(targets_are_checked),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

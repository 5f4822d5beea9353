/* Objectives: every program against another one or against differences; the loss at any margin; bad data. */
#include "fixture.h"

#include <float.h>

typedef struct model_case {
  const char *model;
  int depth;
  size_t width;
  double init;
} model_case;

static const model_case models[] = {
  { "linear", 1, 0, 0 }, { "diagonal", 1, 0, .3 }, { "diagonal", 3, 0, .7 }, { "dense", 3, 4, .5 },
  { "dense", 2, 1, .8 }, { "mlp", 2, 6, .6 },      { "mlp", 3, 3, .6 },
};
enum { MODELS = sizeof models / sizeof *models };

static void open_case(setting *s, const model_case *c, size_t n, size_t d, const double *x, const double *y) {
  open_setting(s, c->model, c->depth, c->width, c->init, NULL, n, d, x, y);
  double noise[512];
  tb_random_normal((tb_key){ .seed = 5 }, 0, s->p, noise);
  for (size_t k = 0; k < s->p; k++)
    s->theta[k] += 0.2 * noise[k];
}

static double loss_at(setting *s, const double *theta) {
  double f[16];
  check(tb_objective_outputs(s->objective, theta, f));
  return exp(tb_objective_log_loss(s->objective, f));
}

static void programs_agree(void **state) {
  for (int k = 0; k < 2 * MODELS; k++) {
    setting s;
    if (k % 2)
      open_case(&s, &models[k / 2], DATA_A);
    else
      open_case(&s, &models[k / 2], DATA_B);
    const size_t n = s.n, p = s.p, d = s.d;
    double f[8], again[8], jacobian[8 * 512], pull[512], want[512], descent[512], v[512], product[512];
    check(tb_objective_outputs(s.objective, s.theta, f));
    check(tb_objective_jacobian(s.objective, s.theta, again, jacobian));
    for (size_t i = 0; i < n; i++)
      assert_near(again[i], f[i], 1e-14 * fmax(1, fabs(f[i])));
    /* Jᵀc */
    const double c[] = { 1, -.5, 2, .25, -3, 1.5 };
    check(tb_objective_pullback(s.objective, s.theta, c, again, pull));
    memset(want, 0, sizeof want);
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < p; j++)
        want[j] += c[i] * jacobian[i * p + j];
    for (size_t j = 0; j < p; j++)
      assert_near(pull[j], want[j], 1e-13 * fmax(1, fabs(want[j])));
    /* descent = Jᵀ(−∂L/∂f) = differences of the loss */
    double r[8], log_scale;
    tb_objective_residual(s.objective, f, r, &log_scale);
    check(tb_objective_pullback(s.objective, s.theta, r, NULL, pull));
    check(tb_objective_descent(s.objective, s.theta, 0, descent));
    for (size_t j = 0; j < p; j++) {
      assert_near(descent[j], exp(log_scale) * pull[j], 1e-14);
      const double h = 1e-5, keep = s.theta[j];
      s.theta[j] = keep + h;
      const double up = loss_at(&s, s.theta);
      s.theta[j] = keep - h;
      const double down = loss_at(&s, s.theta);
      s.theta[j] = keep;
      assert_near(descent[j], -(up - down) / (2 * h), 1e-9);
    }
    /* its derivative */
    tb_random_normal((tb_key){ .seed = 6 }, 0, p, v);
    check(tb_objective_descent_product(s.objective, s.theta, 0.5, v, product));
    double plus[512], minus[512], moved[512];
    const double h = 1e-5;
    for (size_t j = 0; j < p; j++)
      moved[j] = s.theta[j] + h * v[j];
    check(tb_objective_descent(s.objective, moved, 0.5, plus));
    for (size_t j = 0; j < p; j++)
      moved[j] = s.theta[j] - h * v[j];
    check(tb_objective_descent(s.objective, moved, 0.5, minus));
    for (size_t j = 0; j < p; j++)
      assert_near(product[j], (plus[j] - minus[j]) / (2 * h), 1e-6);
    /* Jv, JJᵀ */
    double image[8], gram[64];
    check(tb_objective_push(s.objective, s.theta, v, image));
    for (size_t i = 0; i < n; i++) {
      double want_i = 0;
      for (size_t j = 0; j < p; j++)
        want_i += jacobian[i * p + j] * v[j];
      assert_near(image[i], want_i, 1e-13 * fmax(1, fabs(want_i)));
    }
    if (tb_objective_has_gram(s.objective)) {
      check(tb_objective_gram(s.objective, s.theta, gram));
      for (size_t i = 0; i < n; i++)
        for (size_t q = 0; q < n; q++) {
          double entry = 0;
          for (size_t j = 0; j < p; j++)
            entry += jacobian[i * p + j] * jacobian[q * p + j];
          assert_near(gram[i * n + q], entry, 1e-13 * fmax(1, fabs(entry)));
        }
    }
    /* J = X D, f = X β */
    double beta[8], map[8 * 512];
    if (!tb_objective_has_predictor(s.objective)) {
      assert_int_equal(tb_objective_predictor(s.objective, s.theta, beta, NULL), TB_USAGE);
      close_setting(&s);
      continue;
    }
    check(tb_objective_predictor(s.objective, s.theta, beta, map));
    check(tb_objective_predictor_push(s.objective, s.theta, v, image));
    check(tb_objective_predictor_pullback(s.objective, s.theta, c, pull));
    memset(want, 0, sizeof want);
    for (size_t i = 0; i < d; i++) {
      double want_i = 0;
      for (size_t j = 0; j < p; j++) {
        want_i += map[i * p + j] * v[j];
        want[j] += map[i * p + j] * c[i];
      }
      assert_near(image[i], want_i, 1e-13 * fmax(1, fabs(want_i)));
    }
    for (size_t j = 0; j < p; j++)
      assert_near(pull[j], want[j], 1e-13 * fmax(1, fabs(want[j])));
    if (tb_objective_has_gram(s.objective)) {
      check(tb_objective_predictor_gram(s.objective, s.theta, gram));
      for (size_t i = 0; i < d; i++)
        for (size_t q = 0; q < d; q++) {
          double entry = 0;
          for (size_t j = 0; j < p; j++)
            entry += map[i * p + j] * map[q * p + j];
          assert_near(gram[i * d + q], entry, 1e-13 * fmax(1, fabs(entry)));
        }
    }
    for (size_t i = 0; i < n; i++) {
      double fi = 0;
      for (size_t j = 0; j < d; j++)
        fi += tb_objective_x(s.objective)[i * d + j] * beta[j];
      assert_near(fi, f[i], 1e-13 * fmax(1, fabs(fi)));
      for (size_t q = 0; q < p; q++) {
        double jiq = 0;
        for (size_t j = 0; j < d; j++)
          jiq += tb_objective_x(s.objective)[i * d + j] * map[j * p + q];
        assert_near(jiq, jacobian[i * p + q], 1e-13 * fmax(1, fabs(jiq)));
      }
    }
    close_setting(&s);
  }
}

/* A Jacobian of more rows than a block: the block is 2^20 / p rows. */
static void long_jacobians_come_in_blocks(void **state) {
  enum { N = 1000, D = 2, WIDTH = 400 };
  double *x = malloc(N * D * sizeof *x), *y = malloc(N * sizeof *y);
  tb_random_normal((tb_key){ .seed = 1 }, 0, N * D, x);
  for (size_t i = 0; i < N; i++)
    y[i] = i % 3 ? 1 : -1;
  const tb_model *mlp = tb_model_find("mlp");
  const tb_model_shape shape = { .inputs = D, .depth = 2, .width = WIDTH, .activation = TB_TANH };
  const size_t p = mlp->parameters(&shape);
  assert_true((size_t)N * p > 1 << 20 && N % ((1 << 20) / p) != 0);
  double *theta = malloc(p * sizeof *theta), *jacobian = malloc(N * p * sizeof *jacobian), *f = malloc(N * sizeof *f);
  double *row = malloc(p * sizeof *row), *unit = calloc(N, sizeof *unit), *g = malloc(N * sizeof *g);
  tb_objective *o;
  check(tb_objective_new(context, mlp, &shape, TB_LOSS_LOGISTIC, TB_FLOAT64, N, x, y, &o));
  check(mlp->initialise(context, &shape, .5, NULL, (tb_key){ .seed = 2 }, theta));
  check(tb_objective_jacobian(o, theta, f, jacobian));
  for (size_t i = 0; i < N; i += 333) {
    unit[i] = 1;
    check(tb_objective_pullback(o, theta, unit, g, row));
    unit[i] = 0;
    for (size_t j = 0; j < p; j++)
      assert_near(jacobian[i * p + j], row[j], 1e-13);
    assert_near(f[i], g[i], 1e-13);
  }
  tb_objective_free(o);
  free(x), free(y), free(theta), free(jacobian), free(f), free(row), free(unit), free(g);
}

static void loss_at_any_margin(void **state) {
  const double x[] = { 1, 1 }, y[] = { 1, -1 };
  setting s;
  open_setting(&s, "linear", 1, 0, 0, NULL, 2, 1, x, y);
  double f[2], r[2], log_scale;
  f[0] = 1e6, f[1] = -1e6; /* both right by 10⁶ */
  assert_near(tb_objective_log_loss(s.objective, f), -1e6, 1e-9);
  tb_objective_residual(s.objective, f, r, &log_scale);
  assert_near(log_scale, -1e6 - log(2), 1e-9);
  assert_true(r[0] == 1 && r[1] == -1);
  f[0] = -1e6, f[1] = 1; /* wrong by 10⁶, wrong by 1 */
  assert_near(tb_objective_log_loss(s.objective, f), log((1e6 + log1p(exp(1))) / 2), 1e-14);
  tb_objective_residual(s.objective, f, r, &log_scale);
  assert_near(log_scale, -log(2), 1e-15);
  assert_near(r[1], -1 / (1 + exp(-1)), 1e-15);
  assert_true(tb_objective_least_margin(s.objective, f) == -1e6);
  for (double m = -40; m <= 40; m += 0.37) {
    f[0] = m, f[1] = -m;
    const long double want = logl(log1pl(expl(-(long double)m)));
    assert_near(tb_objective_log_loss(s.objective, f), (double)want, 4e-16 * fmax(1, fabs((double)want)));
  }
  /* descent with its factor inside: e^{10⁶}·σ(−10⁶)·mean(z) */
  double theta = 1e6, descent, product;
  close_setting(&s);
  const double right[] = { 1, -1 };
  open_setting(&s, "linear", 1, 0, 0, NULL, 2, 1, right, y);
  check(tb_objective_descent(s.objective, &theta, 1e6, &descent));
  assert_near(descent, 1, 1e-9); /* margins of 10⁶ are rounded at 1e-10 */
  check(tb_objective_descent_product(s.objective, &theta, 1e6, &(double){ 2 }, &product));
  assert_near(product, -2, 1e-9);
  close_setting(&s);
}

static void square_loss(void **state) {
  const double x[] = { 1, 2, 3 }, y[] = { .5, 7, -1 };
  const tb_model *linear = tb_model_find("linear");
  const tb_model_shape shape = { .inputs = 1, .depth = 1 };
  tb_objective *o;
  check(tb_objective_new(context, linear, &shape, TB_LOSS_SQUARE, TB_FLOAT64, 3, x, y, &o));
  const double theta = 2, f[] = { 2, 4, 6 };
  double descent, r[3], log_scale;
  assert_near(exp(tb_objective_log_loss(o, f)), (2.25 + 9 + 49) / 6, 1e-14);
  check(tb_objective_descent(o, &theta, 0, &descent));
  assert_near(descent, (-1.5 + 6 - 21) / 3, 1e-14);
  tb_objective_residual(o, f, r, &log_scale);
  assert_near(exp(log_scale), 7. / 3, 1e-15);
  assert_near(r[0], -1.5 / 7, 1e-15);
  assert_true(tb_objective_log_loss(o, y) == -INFINITY);
  tb_objective_residual(o, y, r, &log_scale);
  assert_true(log_scale == -INFINITY && r[0] == 0 && r[2] == 0);
  tb_objective_free(o);
}

static void single_precision(void **state) {
  for (int k = 0; k < MODELS; k++) {
    setting s;
    open_case(&s, &models[k], DATA_A);
    tb_objective *single;
    check(tb_objective_new(context, s.model, &s.shape, TB_LOSS_LOGISTIC, TB_FLOAT32, 3, a_x, a_y, &single));
    double f[3], f32[3], j[3 * 512], j32[3 * 512], g[512], g32[512];
    check(tb_objective_jacobian(s.objective, s.theta, f, j));
    check(tb_objective_jacobian(single, s.theta, f32, j32));
    check(tb_objective_descent(s.objective, s.theta, 0, g));
    check(tb_objective_descent(single, s.theta, 0, g32));
    for (size_t q = 0; q < s.p; q++)
      assert_near(g[q], g32[q], 2e-6 * fmax(1, fabs(g[q])));
    for (size_t q = 0; q < 3 * s.p; q++)
      assert_near(j[q], j32[q], 1e-5 * fmax(1, fabs(j[q])));
    assert_near(f[1], f32[1], 1e-5);
    check(tb_objective_pullback(single, s.theta, (double[]){ 1, 1, 1 }, NULL, g32)); /* an output dropped */
    tb_objective_free(single);
    close_setting(&s);
  }
}

static void bad_data_is_refused(void **state) {
  const tb_model *linear = tb_model_find("linear"), *mlp = tb_model_find("mlp");
  tb_model_shape shape = { .inputs = 1, .depth = 1 };
  tb_objective *o;
  const double x[] = { 1, NAN }, y[] = { 1, 2 };
  assert_int_equal(tb_objective_new(context, linear, &shape, TB_LOSS_LOGISTIC, TB_FLOAT64, 0, x, y, &o), TB_BAD_DATA);
  assert_null(o);
  assert_int_equal(tb_objective_new(context, linear, &shape, TB_LOSS_LOGISTIC, TB_FLOAT64, 2, x, a_y, &o), TB_BAD_DATA);
  assert_non_null(strstr(tb_context_message(context), "row 2, column 1"));
  assert_int_equal(tb_objective_new(context, linear, &shape, TB_LOSS_LOGISTIC, TB_FLOAT64, 2, a_x, y, &o), TB_BAD_DATA);
  assert_non_null(strstr(tb_context_message(context), "row 2"));
  shape.depth = -1;
  assert_int_equal(tb_objective_new(context, mlp, &shape, TB_LOSS_LOGISTIC, TB_FLOAT64, 1, x, y, &o), TB_USAGE);
  /* a Jacobian beyond memory is refused before anything is allocated */
  enum { N = 40 };
  double many[N], labels[N];
  for (int i = 0; i < N; i++)
    many[i] = i, labels[i] = 1;
  shape = (tb_model_shape){ .inputs = 1, .depth = 3, .width = 4000, .activation = TB_TANH };
  check(tb_objective_new(context, mlp, &shape, TB_LOSS_LOGISTIC, TB_FLOAT64, N, many, labels, &o));
  assert_int_equal(tb_objective_jacobian(o, many, NULL, many), TB_NO_MEMORY);
  assert_non_null(strstr(tb_context_message(context), "GiB"));
  tb_objective_free(o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(programs_agree),     cmocka_unit_test(long_jacobians_come_in_blocks),
    cmocka_unit_test(loss_at_any_margin), cmocka_unit_test(square_loss),
    cmocka_unit_test(single_precision),   cmocka_unit_test(bad_data_is_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

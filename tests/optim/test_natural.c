/* Natural-gradient velocities: laws that hold at any point, known directions, every awkward shape of data. */
#include "fixture.h"

#include "num/linear.h"

typedef struct velocity {
  double theta[512], beta[16], f[16];
  tb_natural_report report;
} velocity;

static void evaluate(setting *s, tb_fisher fisher, double damping, velocity *v) {
  tb_natural *natural;
  check(tb_natural_new(context, s->objective, fisher, damping, &natural));
  check(tb_natural_velocity(natural, s->theta, v->theta, v->beta, &v->report));
  tb_natural_free(natural);
  check(tb_objective_outputs(s->objective, s->theta, v->f));
}

static void shake(setting *s, double size) {
  double noise[512];
  tb_random_normal((tb_key){ .seed = 21 }, 0, s->p, noise);
  for (size_t k = 0; k < s->p; k++)
    s->theta[k] += size * noise[k];
}

/* y_i J_i·v */
static void margin_rates(setting *s, const velocity *v, double *rate) {
  double jacobian[16 * 512];
  check(tb_objective_jacobian(s->objective, s->theta, NULL, jacobian));
  tb_gemv(false, s->n, s->p, 1, jacobian, v->theta, 0, rate);
  for (size_t i = 0; i < s->n; i++)
    rate[i] *= tb_objective_y(s->objective)[i];
}

static void self_test_passes_and_catches_a_wrong_scale(void **state) {
  check(tb_natural_self_test(context));
  setting s;
  open_setting(&s, "linear", 1, 0, 0, NULL, DATA_B);
  shake(&s, 0.5);
  velocity v;
  evaluate(&s, TB_FISHER_PARAMETER, 0, &v);
  double error;
  check(tb_natural_law_error(s.objective, s.theta, v.theta, &error));
  assert_near(error, 0, 1e-13);
  for (size_t k = 0; k < s.p; k++)
    v.theta[k] *= 6; /* mean in F, sum in L */
  check(tb_natural_law_error(s.objective, s.theta, v.theta, &error));
  assert_near(error, 5, 1e-12);
  for (size_t k = 0; k < s.p; k++)
    v.theta[k] /= 36;
  check(tb_natural_law_error(s.objective, s.theta, v.theta, &error));
  assert_near(error, 5. / 6, 1e-12);
  close_setting(&s);
}

static void margins_grow_at_unit_rate(void **state) {
  const struct {
    const char *model;
    int depth;
    size_t width;
    double init;
    tb_fisher fisher;
  } cases[] = {
    { "linear", 1, 0, 0, TB_FISHER_PREDICTOR },    { "linear", 1, 0, 0, TB_FISHER_PARAMETER },
    { "linear", 1, 0, 0, TB_FISHER_EMPIRICAL },    { "diagonal", 2, 0, .5, TB_FISHER_PREDICTOR },
    { "diagonal", 3, 0, .5, TB_FISHER_PARAMETER }, { "diagonal", 4, 0, 1e-3, TB_FISHER_PARAMETER },
    { "diagonal", 2, 0, .5, TB_FISHER_EMPIRICAL }, { "dense", 3, 4, .5, TB_FISHER_PREDICTOR },
    { "dense", 2, 7, .5, TB_FISHER_PARAMETER },    { "mlp", 2, 6, .5, TB_FISHER_PARAMETER },
    { "mlp", 3, 4, .5, TB_FISHER_EMPIRICAL },
  };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    setting s;
    open_setting(&s, cases[k].model, cases[k].depth, cases[k].width, cases[k].init, NULL, DATA_A);
    shake(&s, 0.2 * cases[k].init);
    velocity v;
    evaluate(&s, cases[k].fisher, 0, &v);
    assert_true(v.report.fast && !v.report.rank_loss);
    assert_int_equal(v.report.rank, 3);
    assert_int_equal(v.report.full_rank, 3);
    double rate[3];
    margin_rates(&s, &v, rate);
    for (size_t i = 0; i < 3; i++) {
      const double m = a_y[i] * v.f[i], want = 1 + exp(cases[k].fisher == TB_FISHER_EMPIRICAL ? m : -m);
      assert_near(rate[i] / want, 1, 1e-12);
    }
    if (strcmp(cases[k].model, "mlp") != 0) { /* velocity_beta = D·velocity */
      double beta[8], map[8 * 512], image[8];
      check(tb_objective_predictor(s.objective, s.theta, beta, map));
      tb_gemv(false, 5, s.p, 1, map, v.theta, 0, image);
      for (size_t j = 0; j < 5; j++)
        assert_near(v.beta[j], image[j], 1e-12 * fmax(1, fabs(image[j])));
    }
    close_setting(&s);
  }
}

static void predictor_velocity_is_the_pseudo_inverse(void **state) {
  const char *const names[] = { "linear", "diagonal", "dense" };
  for (int k = 0; k < 3; k++) {
    setting s;
    open_setting(&s, names[k], k == 0 ? 1 : 3, 4, .5, NULL, DATA_A);
    velocity v;
    evaluate(&s, TB_FISHER_PREDICTOR, 0, &v);
    if (k < 2) { /* at β = 0: 2 X⁺y = (7, −1, −1, −7, 10)/12 */
      const double want[] = { 7, -1, -1, -7, 10 };
      for (int j = 0; j < 5; j++)
        assert_near(v.beta[j], want[j] / 12, 1e-14);
    }
    double target[3], want[5];
    for (int i = 0; i < 3; i++)
      target[i] = a_y[i] * (1 + exp(-a_y[i] * v.f[i]));
    check(tb_least_squares(context, 3, 5, a_x, 1, target, 0, want, NULL, NULL));
    for (int j = 0; j < 5; j++)
      assert_near(v.beta[j], want[j], 1e-13);
    close_setting(&s);
  }
}

/* Newton's direction H⁻¹(−∇L) by LU. */
static void more_rows_than_columns_is_newton(void **state) {
  const char *const names[] = { "linear", "diagonal", "dense" };
  const tb_fisher fishers[] = { TB_FISHER_PREDICTOR, TB_FISHER_PARAMETER };
  for (int k = 0; k < 6; k++) {
    setting s;
    open_setting(&s, names[k / 2], k < 2 ? 1 : 2, 3, .5, NULL, DATA_B);
    shake(&s, 0.1);
    velocity v;
    evaluate(&s, fishers[k % 2], 0, &v);
    assert_int_equal(v.report.rank, 3);
    assert_int_equal(v.report.full_rank, 3);
    assert_false(v.report.fast);
    double hessian[9] = { 0 }, pull[3] = { 0 };
    for (int i = 0; i < 6; i++) {
      const double m = b_y[i] * v.f[i], p = 1 / (1 + exp(m)), w = p * (1 - p);
      for (int j = 0; j < 3; j++) {
        pull[j] += b_y[i] * p * b_x[3 * i + j];
        for (int q = 0; q < 3; q++)
          hessian[3 * j + q] += w * b_x[3 * i + j] * b_x[3 * i + q];
      }
    }
    bool singular;
    check(tb_lu_solve(context, 3, hessian, 1, pull, &singular));
    for (int j = 0; j < 3; j++)
      assert_near(v.beta[j], pull[j], 1e-12 * tb_norm(3, pull));
    close_setting(&s);
  }
}

/* On B far along the flow, β = b* t + b₁: the velocity is b* although every weight is below e^{−10⁵}. */
static void vanishing_weights_are_harmless(void **state) {
  const double slope[] = { 1, 2.25, .75 }, dual[] = { 23. / 8, 0, 0, 0, 47. / 8, 3. / 8 };
  /* Z_A b₁ = −log c_A on the active rows 1, 5, 6 */
  double za[9], offset[3];
  const int active[] = { 0, 4, 5 };
  for (int k = 0; k < 3; k++) {
    for (int j = 0; j < 3; j++)
      za[3 * k + j] = b_y[active[k]] * b_x[3 * active[k] + j];
    offset[k] = -log(dual[active[k]]);
  }
  bool singular;
  check(tb_lu_solve(context, 3, za, 1, offset, &singular));
  const double times[] = { 80, 1e3, 1e5, 1e7 };
  for (int k = 0; k < 4; k++) {
    double start[3];
    for (int j = 0; j < 3; j++)
      start[j] = slope[j] * times[k] + offset[j];
    for (int model = 0; model < 2; model++) {
      setting s;
      open_setting(&s, model ? "diagonal" : "linear", 2, 0, .1, start, DATA_B);
      velocity v;
      evaluate(&s, TB_FISHER_PREDICTOR, 0, &v);
      assert_int_equal(v.report.rank, 3);
      for (int j = 0; j < 3; j++)
        assert_near(v.beta[j], slope[j], 1e-14 * times[k] + 1e-12);
      close_setting(&s);
    }
  }
}

static void awkward_data(void **state) {
  velocity v, w;
  setting s, t;
  /* duplicate rows: the velocity of the distinct ones (weights cancel), rank 3 of 4 rows */
  double x[20], y[4];
  memcpy(x, a_x, sizeof a_x);
  memcpy(x + 15, a_x + 5, 5 * sizeof *x);
  memcpy(y, a_y, sizeof a_y);
  y[3] = y[1];
  const tb_fisher fishers[] = { TB_FISHER_PREDICTOR, TB_FISHER_PARAMETER, TB_FISHER_EMPIRICAL };
  for (int k = 0; k < 3; k++) {
    open_setting(&s, "diagonal", 2, 0, .4, NULL, DATA_A);
    open_setting(&t, "diagonal", 2, 0, .4, NULL, 4, 5, x, y);
    shake(&s, .1);
    shake(&t, .1);
    evaluate(&s, fishers[k], 0, &v);
    evaluate(&t, fishers[k], 0, &w);
    assert_int_equal(w.report.rank, 3);
    assert_int_equal(w.report.full_rank, 4);
    assert_true(w.report.fast);
    for (size_t q = 0; q < s.p; q++)
      assert_near(v.theta[q], w.theta[q], 1e-14);
    close_setting(&s);
    close_setting(&t);
  }
  /* the same row with both labels at f = 0: it stays */
  y[3] = -y[1];
  open_setting(&s, "linear", 1, 0, 0, NULL, 4, 5, x, y);
  evaluate(&s, TB_FISHER_PREDICTOR, 0, &v);
  double rate[4];
  margin_rates(&s, &v, rate);
  assert_near(rate[0], 2, 1e-13);
  assert_near(rate[1], 0, 1e-13);
  assert_near(rate[3], 0, 1e-13);
  close_setting(&s);
  /* a zero row changes nothing for a linear predictor */
  memset(x + 15, 0, 5 * sizeof *x);
  for (int k = 0; k < 3; k++) {
    open_setting(&s, "diagonal", 2, 0, .4, NULL, DATA_A);
    open_setting(&t, "diagonal", 2, 0, .4, NULL, 4, 5, x, y);
    evaluate(&s, fishers[k], 0, &v);
    evaluate(&t, fishers[k], 0, &w);
    assert_int_equal(w.report.rank, 3);
    for (size_t q = 0; q < s.p; q++)
      assert_near(v.theta[q], w.theta[q], 1e-14);
    close_setting(&s);
    close_setting(&t);
  }
  /* dependent rows, n ≤ d: row 3 = row 1 + row 2; N1 = weighted least squares of minimum norm */
  const double dependent[] = { 1, 2, 0, 1, 0, -1, 1, 1, 1, 1, 1, 2 }, labels[] = { 1, -1, 1 };
  double normal[3 * 4], target[3], want[4];
  for (int i = 0; i < 3; i++) {
    for (int j = 0; j < 4; j++)
      normal[4 * i + j] = .5 * dependent[4 * i + j]; /* √w at β = 0 */
    target[i] = .5 * 2 * labels[i];
  }
  size_t rank;
  check(tb_least_squares(context, 3, 4, normal, 1, target, 0, want, &rank, NULL));
  assert_int_equal(rank, 2);
  for (int k = 0; k < 2; k++) {
    open_setting(&s, "linear", 1, 0, 0, NULL, 3, 4, dependent, labels);
    evaluate(&s, fishers[k], 0, &v);
    assert_int_equal(v.report.rank, 2);
    assert_int_equal(v.report.full_rank, 3);
    assert_false(v.report.fast);
    for (int j = 0; j < 4; j++)
      assert_near(v.theta[j], want[j], 1e-14);
    close_setting(&s);
  }
  /* the same in parameters of a diagonal net: J⁺ by SVD of √W J */
  open_setting(&s, "diagonal", 3, 0, .4, NULL, 3, 4, dependent, labels);
  shake(&s, .2);
  evaluate(&s, TB_FISHER_PARAMETER, 0, &v);
  double jacobian[3 * 8], of_theta[8];
  check(tb_objective_jacobian(s.objective, s.theta, NULL, jacobian));
  for (int i = 0; i < 3; i++) {
    const double m = labels[i] * v.f[i], root = 1 / (exp(m / 2) + exp(-m / 2));
    for (int q = 0; q < 8; q++)
      jacobian[8 * i + q] *= root;
    target[i] = root * labels[i] * (1 + exp(-m));
  }
  check(tb_least_squares(context, 3, 8, jacobian, 1, target, 0, of_theta, &rank, NULL));
  assert_int_equal(rank, 2);
  for (int q = 0; q < 8; q++)
    assert_near(v.theta[q], of_theta[q], 1e-13);
  close_setting(&s);
  /* one row, one column; many rows, one column; all rows zero */
  open_setting(&s, "linear", 1, 0, 0, (double[]){ .5 }, 1, 1, (double[]){ -2 }, (double[]){ 1 });
  evaluate(&s, TB_FISHER_PREDICTOR, 0, &v);
  assert_near(v.theta[0], (1 + exp(1)) / -2, 1e-14);
  close_setting(&s);
  open_setting(&s, "linear", 1, 0, 0, NULL, 3, 1, (double[]){ 1, 2, -1 }, labels);
  evaluate(&s, TB_FISHER_PREDICTOR, 0, &v);
  assert_near(v.theta[0], (1. - 2 - 1) / 2 / (6. / 4), 1e-14); /* Σ z/2 over Σ x²/4 */
  close_setting(&s);
  open_setting(&s, "linear", 1, 0, 0, NULL, 2, 2, (double[]){ 0, 0, 0, 0 }, labels);
  evaluate(&s, TB_FISHER_PREDICTOR, 0, &v);
  assert_true(v.theta[0] == 0 && v.theta[1] == 0 && v.report.rank == 0);
  close_setting(&s);
}

static void population_freezes_what_it_can(void **state) {
  /* at β = 0, F = I/4: the velocity is 4 times the gradient's */
  setting s;
  open_setting(&s, "diagonal", 2, 0, .3, NULL, DATA_B);
  velocity v;
  evaluate(&s, TB_FISHER_POPULATION, 0, &v);
  for (int j = 0; j < 3; j++) {
    double want = 0;
    for (int i = 0; i < 6; i++)
      want += 4 * b_y[i] * b_x[3 * i + j] * .5 / 6;
    assert_near(v.beta[j], want, 1e-14);
  }
  close_setting(&s);
  /* F β' = −∇L at β with F by Simpson's rule over the angle: ρ large, where along ≪ across */
  const double start[] = { 3, 4, 12 };
  open_setting(&s, "linear", 1, 0, 0, start, DATA_B);
  evaluate(&s, TB_FISHER_POPULATION, 0, &v);
  double descent[3], along = 0, across[3], rho = 13, a = 0, c = 0;
  check(tb_objective_descent(s.objective, s.theta, 0, descent));
  const double h = 1e-3;
  for (double g = -9; g <= 9; g += h) {
    const double e = exp(-fabs(rho * g)), weight = exp(-g * g / 2) / sqrt(2 * acos(-1)) * e / (1 + e) / (1 + e) * h;
    a += weight;
    c += g * g * weight;
  }
  for (int j = 0; j < 3; j++)
    along += start[j] / rho * v.beta[j];
  for (int j = 0; j < 3; j++) {
    across[j] = v.beta[j] - along * start[j] / rho;
    assert_near((a * across[j] + c * along * start[j] / rho) / tb_norm(3, descent), descent[j] / tb_norm(3, descent),
                1e-9);
  }
  assert_int_equal(v.report.rank, 3);
  close_setting(&s);
}

/* (F + λI)⁻¹(−∇L) by LU in the space where the inverse is taken. */
static void damping_is_absolute(void **state) {
  const double dampings[] = { 1e-9, 1e-4, 1, 1e5 };
  for (int k = 0; k < 16; k++) {
    const double damping = dampings[k % 4];
    const bool wide = k < 8, in_theta = k % 8 >= 4;
    setting s;
    if (wide)
      open_setting(&s, "diagonal", 2, 0, .6, NULL, DATA_A);
    else
      open_setting(&s, "diagonal", 2, 0, .6, NULL, DATA_B);
    shake(&s, .2);
    velocity v;
    evaluate(&s, in_theta ? TB_FISHER_PARAMETER : TB_FISHER_PREDICTOR, damping, &v);
    const size_t c = in_theta ? s.p : s.d;
    double rows[6 * 16], normal[256] = { 0 }, want[16] = { 0 };
    if (in_theta)
      check(tb_objective_jacobian(s.objective, s.theta, NULL, rows));
    else
      memcpy(rows, tb_objective_x(s.objective), s.n * s.d * sizeof *rows);
    for (size_t q = 0; q < c; q++)
      normal[q * c + q] = damping;
    for (size_t i = 0; i < s.n; i++) {
      const double y = tb_objective_y(s.objective)[i], p = 1 / (1 + exp(y * v.f[i])), w = p * (1 - p) / (double)s.n;
      for (size_t q = 0; q < c; q++) {
        want[q] += y * p / (double)s.n * rows[i * c + q];
        for (size_t r = 0; r < c; r++)
          normal[q * c + r] += w * rows[i * c + q] * rows[i * c + r];
      }
    }
    bool singular;
    check(tb_lu_solve(context, c, normal, 1, want, &singular));
    const double *got = in_theta ? v.theta : v.beta;
    for (size_t q = 0; q < c; q++)
      assert_near(got[q] / tb_norm(c, want), want[q] / tb_norm(c, want), 1e-13 + 1e-15 / damping);
    assert_false(v.report.fast);
    close_setting(&s);
  }
}

/* At margins far beyond the range of double a damped velocity is the gradient's direction. */
static void damping_at_vanishing_weights_is_the_gradient(void **state) {
  const tb_fisher fishers[] = { TB_FISHER_PREDICTOR, TB_FISHER_PARAMETER, TB_FISHER_EMPIRICAL };
  for (int k = 0; k < 6; k++) {
    const double start_a[] = { 7e4, -1e4, -1e4, -7e4, 1e5 }, start_b[] = { 1e4, 1.5e4, 1.5e4 };
    setting s;
    if (k % 2)
      open_setting(&s, "linear", 1, 0, 0, start_a, DATA_A);
    else
      open_setting(&s, "linear", 1, 0, 0, start_b, DATA_B);
    const tb_method *ngf = tb_method_find("ngf"), *gf = tb_method_find("gf");
    const tb_method_options options = { .damping = 1e-6, .fisher = fishers[k / 2] };
    tb_trajectory *natural, *plain;
    check(tb_trajectory_new(context, ngf, &options, s.objective, NULL, s.theta, &natural));
    check(tb_trajectory_new(context, gf, &options, s.objective, NULL, s.theta, &plain));
    double v[5], w[5], v_beta[5], w_beta[5];
    check(tb_trajectory_velocity(natural, v, v_beta));
    check(tb_trajectory_velocity(plain, w, w_beta));
    assert_near(tb_angle_degrees(s.d, v, w), 0, 1e-8); /* exponents of 10⁵ are rounded at 1e-11 */
    assert_near(tb_angle_degrees(s.d, v_beta, w_beta), 0, 1e-8);
    tb_trajectory_free(natural);
    tb_trajectory_free(plain);
    close_setting(&s);
  }
}

/* Duplicate rows with layers: the kernel of the distinct rows; nearly dependent rows: by the Jacobian, as accurately.
 */
static void layers_change_nothing(void **state) {
  double x[20], y[4];
  memcpy(x, a_x, sizeof a_x);
  memcpy(y, a_y, sizeof a_y);
  y[3] = y[0];
  for (int k = 0; k < 8; k++) {
    const double gap = k < 2 ? 0 : pow(10, -2. * (k - 1)); /* row 4 = row 1 + gap·(…) */
    for (int j = 0; j < 5; j++)
      x[15 + j] = x[j] + gap * (j % 2 ? 1 : -.5);
    setting s;
    open_setting(&s, k % 2 ? "mlp" : "dense", 2, 6, .7, NULL, 4, 5, x, y);
    velocity v;
    evaluate(&s, TB_FISHER_PARAMETER, 0, &v);
    assert_int_equal(v.report.rank, k < 2 ? 3 : 4);
    assert_true(v.report.fast);
    double rate[4];
    margin_rates(&s, &v, rate);
    for (int i = 0; i < 4; i++)
      assert_near(rate[i] / (1 + exp(-y[i] * v.f[i])), 1, k < 2 ? 1e-13 : 1e-14 / gap + 1e-13);
    /* of minimum norm: x = Jᵀλ is orthogonal to the kernel of J; compare with SVD where that is accurate */
    if (k >= 2 && k < 5) {
      double jacobian[4 * 512], target[4], want[512];
      check(tb_objective_jacobian(s.objective, s.theta, NULL, jacobian));
      for (int i = 0; i < 4; i++)
        target[i] = y[i] * (1 + exp(-y[i] * v.f[i]));
      check(tb_least_squares(context, 4, s.p, jacobian, 1, target, 0, want, NULL, NULL));
      for (size_t q = 0; q < s.p; q++)
        assert_near(v.theta[q], want[q], 1e-13 * tb_norm(s.p, want) / gap);
    }
    close_setting(&s);
  }
}

static void what_cannot_be_is_said(void **state) {
  setting s;
  tb_natural *natural;
  open_setting(&s, "mlp", 2, 3, .5, NULL, DATA_A);
  assert_int_equal(tb_natural_new(context, s.objective, TB_FISHER_PREDICTOR, 0, &natural), TB_USAGE);
  assert_int_equal(tb_natural_new(context, s.objective, TB_FISHER_POPULATION, 0, &natural), TB_USAGE);
  assert_int_equal(tb_natural_new(context, s.objective, TB_FISHER_PARAMETER, -1, &natural), TB_USAGE);
  assert_int_equal(tb_natural_new(context, s.objective, TB_FISHER_PARAMETER, NAN, &natural), TB_USAGE);
  assert_null(natural);
  close_setting(&s);
  /* D = 0 at the origin of a deep net */
  open_setting(&s, "dense", 2, 3, 0, NULL, DATA_A);
  velocity v;
  check(tb_natural_new(context, s.objective, TB_FISHER_PREDICTOR, 0, &natural));
  assert_int_equal(tb_natural_velocity(natural, s.theta, v.theta, v.beta, &v.report), TB_FAILED);
  assert_true(v.report.rank_loss);
  assert_non_null(strstr(tb_context_message(context), "lost rank"));
  tb_natural_free(natural);
  close_setting(&s);
  /* wrong by 10⁶: the velocity is e^{10⁶} */
  open_setting(&s, "linear", 1, 0, 0, (double[]){ -1e6, 0, 0 }, 1, 3, (double[]){ 1, 0, 0 }, (double[]){ 1 });
  check(tb_natural_new(context, s.objective, TB_FISHER_PREDICTOR, 0, &natural));
  assert_int_equal(tb_natural_velocity(natural, s.theta, v.theta, v.beta, &v.report), TB_FAILED);
  assert_non_null(strstr(tb_context_message(context), "e^1e+06"));
  tb_natural_free(natural);
  close_setting(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(self_test_passes_and_catches_a_wrong_scale),
    cmocka_unit_test(margins_grow_at_unit_rate),
    cmocka_unit_test(predictor_velocity_is_the_pseudo_inverse),
    cmocka_unit_test(more_rows_than_columns_is_newton),
    cmocka_unit_test(vanishing_weights_are_harmless),
    cmocka_unit_test(awkward_data),
    cmocka_unit_test(population_freezes_what_it_can),
    cmocka_unit_test(damping_is_absolute),
    cmocka_unit_test(damping_at_vanishing_weights_is_the_gradient),
    cmocka_unit_test(layers_change_nothing),
    cmocka_unit_test(what_cannot_be_is_said),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

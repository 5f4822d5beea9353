/* Gradient flows against closed forms, a Runge-Kutta integration in long double, and their limits; pausing any flow. */
#include "fixture.h"

#include "num/linear.h"

static tb_trajectory *start_flow(setting *s, const tb_flow_limits *limits) {
  tb_trajectory *t;
  const tb_method_options options = { .lr = 0 };
  check(tb_trajectory_new(context, tb_method_find("gf"), &options, s->objective, limits, s->theta, &t));
  return t;
}

static void reach(tb_trajectory *t, double time) {
  tb_stop why;
  check(tb_trajectory_advance(t, time, NULL, NULL, &why));
  if (why != TB_STOP_TIME)
    fail_msg("stopped by %d at %g: %s", why, tb_trajectory_time(t), tb_trajectory_reason(t));
  assert_true(tb_trajectory_time(t) == time);
}

static tb_trajectory *reach_margin(setting *s, double margin) {
  tb_trajectory *t = start_flow(s, &(tb_flow_limits){ .until_margin = margin });
  tb_stop why;
  check(tb_trajectory_advance(t, INFINITY, NULL, NULL, &why));
  if (why != TB_STOP_MARGIN)
    fail_msg("stopped by %d at %g: %s", why, tb_trajectory_log_time(t), tb_trajectory_reason(t));
  double f[16];
  check(tb_objective_outputs(s->objective, tb_trajectory_theta(t), f));
  assert_near(tb_objective_least_margin(s->objective, f), margin, 1e-10 * fmax(1, margin));
  return t;
}

/* One row: m' = ‖x‖²σ(−m), so e^m + m = 1 + ‖x‖² t from m = 0. */
static void one_row_in_closed_form(void **state) {
  const double x[] = { 1, -2, .5 }, y[] = { -1 }, square = 5.25;
  const double margins[] = { 1e-3, 1, 30, 600, 1e4, 1e6 };
  for (int k = 0; k < 6; k++) {
    const double m = margins[k];
    setting s;
    open_setting(&s, "linear", 1, 0, 0, NULL, 1, 3, x, y);
    tb_trajectory *t = reach_margin(&s, m);
    const double log_time = m > 40 ? m + log1p(m * exp(-m)) - log(square) : log((expm1(m) + m) / square);
    assert_near(tb_trajectory_log_time(t), log_time, 1e-9 + 1e-13 * m);
    assert_true(m > 700 ? isinf(tb_trajectory_time(t)) : isfinite(tb_trajectory_time(t)));
    for (int j = 0; j < 3; j++)
      assert_near(tb_trajectory_theta(t)[j], -x[j] * m / square, 1e-10 * fmax(1, m));
    tb_trajectory_free(t);
    const double times[] = { 1e-6, .1, 10, 1e12, 1e300 };
    t = start_flow(&s, NULL);
    for (int q = 0; k == 0 && q < 5; q++) {
      reach(t, times[q]);
      double f;
      check(tb_objective_outputs(s.objective, tb_trajectory_theta(t), &f));
      const double a = square * times[q]; /* e^f' + f' = 1 + a by Newton */
      double root = a > 1 ? log1p(a) : a / 2;
      for (int i = 0; i < 50; i++)
        root -= (root + expm1(root) - a) / (1 + exp(root));
      assert_near(-f, root, 1e-10 * fmax(1, root) * fmin(1, fmax(root, 1e-6)));
    }
    tb_trajectory_free(t);
    close_setting(&s);
  }
}

/* dθ/ds = e^s(−∇L), s = log(1 + t), for θ = β or (u, v), in long double */
static void plain_slope(int depth, size_t n, size_t d, const double *x, const double *y, long double s,
                        const long double *theta, long double *slope) {
  long double beta[8], pull[8] = { 0 };
  for (size_t j = 0; j < d; j++)
    beta[j] = depth == 0 ? theta[j] : powl(theta[j], depth) - powl(theta[d + j], depth);
  for (size_t i = 0; i < n; i++) {
    long double m = 0;
    for (size_t j = 0; j < d; j++)
      m += y[i] * x[i * d + j] * beta[j];
    for (size_t j = 0; j < d; j++)
      pull[j] += y[i] * x[i * d + j] * expl(s) / (1 + expl(m)) / n;
  }
  for (size_t j = 0; j < d; j++) {
    slope[j] = pull[j] * (depth == 0 ? 1 : depth * powl(theta[j], depth - 1));
    if (depth > 0)
      slope[d + j] = -pull[j] * depth * powl(theta[d + j], depth - 1);
  }
}

static void long_double_runge_kutta(void **state) {
  const struct {
    int depth;
    double init;
    bool wide;
  } cases[] = { { 0, 0, true }, { 0, 0, false }, { 1, .1, true }, { 2, .1, true }, { 2, .2, false }, { 3, .2, true } };
  for (int k = 0; k < 6; k++) {
    setting s;
    const int depth = cases[k].depth;
    const char *name = depth == 0 ? "linear" : "diagonal";
    if (cases[k].wide)
      open_setting(&s, name, depth == 0 ? 1 : depth, 0, cases[k].init, NULL, DATA_A);
    else
      open_setting(&s, name, depth == 0 ? 1 : depth, 0, cases[k].init, NULL, DATA_B);
    tb_trajectory *t = start_flow(&s, NULL);
    long double theta[16], moved[16], slope[4][16];
    for (size_t q = 0; q < s.p; q++)
      theta[q] = s.theta[q];
    enum { STEPS = 6000 };
    const long double end = 5, h = end / STEPS;
    for (int step = 0; step < STEPS; step++) {
      const long double shares[] = { 0, .5L, .5L, 1 };
      for (int stage = 0; stage < 4; stage++) {
        for (size_t q = 0; q < s.p; q++)
          moved[q] = theta[q] + (stage ? shares[stage] * h * slope[stage - 1][q] : 0);
        plain_slope(depth, s.n, s.d, tb_objective_x(s.objective), tb_objective_y(s.objective),
                    step * h + shares[stage] * h, moved, slope[stage]);
      }
      for (size_t q = 0; q < s.p; q++)
        theta[q] += h / 6 * (slope[0][q] + 2 * slope[1][q] + 2 * slope[2][q] + slope[3][q]);
      if ((step + 1) % (STEPS / 5) == 0) {
        reach(t, expm1((double)((step + 1) * h)));
        for (size_t q = 0; q < s.p; q++)
          assert_near(tb_trajectory_theta(t)[q], (double)theta[q], 1e-10);
      }
    }
    tb_trajectory_free(t);
    close_setting(&s);
  }
}

static void linear_velocity_finds_the_l2_machine(void **state) {
  const double svm_a[] = { 11, -3, -13, -1, 50 }, svm_b[] = { 1, 1.5, 1.5 };
  double v[16], beta[5];
  setting s;
  open_setting(&s, "linear", 1, 0, 0, NULL, DATA_A);
  tb_trajectory *t = reach_margin(&s, 44); /* τ = ∫Σσ(−m) dt ≈ 10 */
  check(tb_trajectory_velocity(t, v, beta));
  assert_true(tb_angle_degrees(5, v, svm_a) <= 1e-6);
  assert_true(tb_angle_degrees(5, tb_trajectory_theta(t), svm_a) > .5); /* the position isn't there yet */
  tb_trajectory_free(t);
  close_setting(&s);
  open_setting(&s, "linear", 1, 0, 0, NULL, DATA_B);
  t = reach_margin(&s, 200);
  check(tb_trajectory_velocity(t, v, beta));
  const double size = tb_norm(3, v), want = tb_norm(3, svm_b);
  for (int j = 0; j < 3; j++) {
    assert_near(v[j] / size, svm_b[j] / want, 1e-8);
    assert_near(beta[j], v[j], 1e-14);
  }
  tb_trajectory_free(t);
  close_setting(&s);
}

static void diagonal_finds_the_l1_machine(void **state) {
  setting s;
  open_setting(&s, "diagonal", 2, 0, 1e-3, NULL, DATA_A);
  tb_trajectory *t = reach_margin(&s, 1e6);
  double beta[5], v[16], v_beta[5];
  check(tb_objective_predictor(s.objective, tb_trajectory_theta(t), beta, NULL));
  check(tb_trajectory_velocity(t, v, v_beta));
  for (int j = 0; j < 5; j++) {
    assert_near(beta[j] / 1e6, j == 4 ? .5 : 0, 1e-6);
    assert_near(v_beta[j] / v_beta[4], j == 4, 1e-6);
  }
  tb_trajectory_free(t);
  close_setting(&s);
}

static void dense_finds_the_l2_machine(void **state) {
  const double svm_a[] = { 11, -3, -13, -1, 50 };
  setting s;
  open_setting(&s, "dense", 3, 3, .1, NULL, DATA_A);
  double v[64], v_beta[5], angle[3];
  for (int k = 0; k < 3; k++) {
    tb_trajectory *t = reach_margin(&s, pow(10, 1 + 1.5 * k));
    check(tb_trajectory_velocity(t, v, v_beta));
    angle[k] = tb_angle_degrees(5, v_beta, svm_a);
    tb_trajectory_free(t);
  }
  assert_true(angle[1] < angle[0] && angle[2] < angle[1] && angle[2] < 1);
  close_setting(&s);
}

/* W_{k+1}ᵀW_{k+1} − W_kW_kᵀ is conserved: depth 2 with one hidden unit, w² − ‖W_1‖². */
static void balance_is_conserved(void **state) {
  setting s;
  open_setting(&s, "dense", 2, 1, .5, NULL, DATA_A);
  tb_trajectory *t = start_flow(&s, NULL);
  const double before = s.theta[5] * s.theta[5] - tb_dot(5, s.theta, s.theta);
  reach(t, 1e4);
  const double *theta = tb_trajectory_theta(t);
  assert_near(theta[5] * theta[5] - tb_dot(5, theta, theta), before, 1e-10);
  tb_trajectory_free(t);
  close_setting(&s);
}

/* Data that no hyperplane separates: the flow comes to rest at the maximum of the likelihood. */
static void not_separable_data_come_to_rest(void **state) {
  const double x[] = { 1, 0, 0, 1, 1, 1, 1, 0 }, y[] = { 1, -1, 1, -1 };
  setting s;
  open_setting(&s, "linear", 1, 0, 0, NULL, 4, 2, x, y);
  tb_trajectory *t = start_flow(&s, &(tb_flow_limits){ .until_margin = 5 });
  reach(t, 1e9);
  double g[2];
  check(tb_objective_descent(s.objective, tb_trajectory_theta(t), 0, g));
  assert_near(g[0], 0, 1e-12);
  assert_near(g[1], 0, 1e-12);
  tb_trajectory_free(t);
  close_setting(&s);
}

static void square_loss_decays(void **state) {
  const double x[] = { 2 }, y[] = { 3 };
  const tb_model *linear = tb_model_find("linear");
  const tb_model_shape shape = { .inputs = 1, .depth = 1 };
  tb_objective *o;
  tb_trajectory *t;
  tb_stop why;
  check(tb_objective_new(context, linear, &shape, TB_LOSS_SQUARE, TB_FLOAT64, 1, x, y, &o));
  const char *const names[] = { "gf", "ngf" };
  for (int k = 0; k < 2; k++) { /* residual e^{−‖x‖²t} and e^{−t} */
    const double start = 0, rate = k ? 1 : 4;
    const tb_method_options options = { .fisher = TB_FISHER_PREDICTOR };
    check(tb_trajectory_new(context, tb_method_find(names[k]), &options, o, NULL, &start, &t));
    for (double time = .1; time < 4; time *= 2) {
      reach(t, time);
      assert_near(2 * *tb_trajectory_theta(t), 3 - 3 * exp(-rate * time), 1e-11);
    }
    tb_trajectory_free(t);
    check(tb_trajectory_new(context, tb_method_find(names[k]), &options, o,
                            &(tb_flow_limits){ .until_loss = 4.5e-8, .until_margin = INFINITY }, &start, &t));
    check(tb_trajectory_advance(t, INFINITY, NULL, NULL, &why));
    assert_int_equal(why, TB_STOP_LOSS);
    assert_near(tb_trajectory_time(t), 4 * log(10) / rate, 1e-8);
    tb_trajectory_free(t);
    assert_int_equal(tb_trajectory_new(context, tb_method_find(names[k]), &options, o,
                                       &(tb_flow_limits){ .until_margin = 1 }, &start, &t),
                     TB_USAGE);
  }
  tb_objective_free(o);
}

static void single_precision_flows_end_too(void **state) {
  setting s;
  open_setting(&s, "diagonal", 2, 0, .1, NULL, DATA_A);
  tb_objective *single;
  check(tb_objective_new(context, s.model, &s.shape, TB_LOSS_LOGISTIC, TB_FLOAT32, 3, a_x, a_y, &single));
  const char *const names[] = { "gf", "ngf" };
  for (int k = 0; k < 2; k++) {
    const tb_method_options options = { .fisher = TB_FISHER_PREDICTOR };
    tb_trajectory *t, *t32;
    check(tb_trajectory_new(context, tb_method_find(names[k]), &options, s.objective, NULL, s.theta, &t));
    check(tb_trajectory_new(context, tb_method_find(names[k]), &options, single, NULL, s.theta, &t32));
    reach(t, 3);
    reach(t32, 3);
    for (size_t q = 0; q < s.p; q++)
      assert_near(tb_trajectory_theta(t)[q], tb_trajectory_theta(t32)[q], 1e-4);
    tb_trajectory_free(t);
    tb_trajectory_free(t32);
  }
  tb_objective_free(single);
  close_setting(&s);
}

static bool always(void *user) {
  return true;
}

/* A relu net whose gradient flow runs into a kink from both sides: it ends and says so. */
static void sliding_along_a_kink_ends_the_flow(void **state) {
  setting s;
  open_setting(&s, "mlp", 2, 8, .5, NULL, DATA_A);
  tb_objective_free(s.objective);
  s.shape.activation = TB_RELU;
  check(tb_objective_new(context, s.model, &s.shape, TB_LOSS_LOGISTIC, TB_FLOAT64, 3, a_x, a_y, &s.objective));
  tb_trajectory *t = start_flow(&s, &(tb_flow_limits){ .until_margin = 10 });
  tb_stop why;
  check(tb_trajectory_advance(t, INFINITY, NULL, NULL, &why));
  assert_int_equal(why, TB_STOP_BLOW_UP);
  assert_non_null(strstr(tb_trajectory_reason(t), "kink of relu"));
  tb_trajectory_free(t);
  close_setting(&s);
}

/* Run, pausing at every occasion and restoring into a fresh trajectory: the bits of an undisturbed run. */
static void a_paused_run_repeats_its_bits(void **state) {
  const struct {
    const char *method;
    double damping, margin;
  } cases[] = { { "ngf", 0, 1e7 }, { "ngf", 1e-3, 1e3 }, { "gf", 0, 1e7 } };
  int pauses = 0;
  for (int k = 0; k < 3; k++) {
    setting s;
    open_setting(&s, "diagonal", 2, 0, 1e-3, NULL, DATA_A);
    const tb_method *method = tb_method_find(cases[k].method);
    const tb_method_options options = { .fisher = TB_FISHER_PARAMETER, .damping = cases[k].damping };
    const tb_flow_limits limits = { .until_margin = cases[k].margin };
    tb_trajectory *whole, *part;
    tb_stop why;
    check(tb_trajectory_new(context, method, &options, s.objective, &limits, s.theta, &whole));
    reach(whole, 10);
    check(tb_trajectory_advance(whole, INFINITY, NULL, NULL, &why));
    assert_int_equal(why, TB_STOP_MARGIN);
    check(tb_trajectory_new(context, method, &options, s.objective, &limits, s.theta, &part));
    for (int stop = 0; stop < 2; stop++)
      do {
        check(tb_trajectory_advance(part, stop ? INFINITY : 10, always, NULL, &why));
        double theta[512];
        memcpy(theta, tb_trajectory_theta(part), s.p * sizeof *theta);
        const double clock = tb_trajectory_clock(part);
        tb_trajectory_free(part);
        check(tb_trajectory_new(context, method, &options, s.objective, &limits, s.theta, &part));
        check(tb_trajectory_restore(part, clock, theta));
        pauses += why == TB_STOP_PAUSED;
      } while (why == TB_STOP_PAUSED);
    assert_memory_equal(tb_trajectory_theta(part), tb_trajectory_theta(whole), s.p * sizeof(double));
    assert_true(tb_trajectory_clock(part) == tb_trajectory_clock(whole));
    tb_trajectory_free(whole);
    tb_trajectory_free(part);
    close_setting(&s);
  }
  assert_true(pauses > 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(one_row_in_closed_form),
    cmocka_unit_test(long_double_runge_kutta),
    cmocka_unit_test(linear_velocity_finds_the_l2_machine),
    cmocka_unit_test(diagonal_finds_the_l1_machine),
    cmocka_unit_test(dense_finds_the_l2_machine),
    cmocka_unit_test(balance_is_conserved),
    cmocka_unit_test(not_separable_data_come_to_rest),
    cmocka_unit_test(square_loss_decays),
    cmocka_unit_test(single_precision_flows_end_too),
    cmocka_unit_test(sliding_along_a_kink_ends_the_flow),
    cmocka_unit_test(a_paused_run_repeats_its_bits),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

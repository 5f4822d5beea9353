/* Natural gradient flows against their closed forms, limits and ends. */
#include "fixture.h"

#include "num/linear.h"

static const double ray[] = { 7. / 24, -1. / 24, -1. / 24, -7. / 24, 10. / 24 }; /* X⁺y of data A */

static tb_trajectory *start_flow(setting *s, tb_fisher fisher, double damping, const tb_flow_limits *limits) {
  tb_trajectory *t;
  const tb_method_options options = { .fisher = fisher, .damping = damping };
  check(tb_trajectory_new(context, tb_method_find("ngf"), &options, s->objective, limits, s->theta, &t));
  return t;
}

static void reach(tb_trajectory *t, double time) {
  tb_stop why;
  check(tb_trajectory_advance(t, time, NULL, NULL, &why));
  if (why != TB_STOP_TIME)
    fail_msg("stopped by %d at %g: %s", why, tb_trajectory_time(t), tb_trajectory_reason(t));
  assert_true(tb_trajectory_time(t) == time);
}

static double margin_law(double start, double t) { /* log((1 + e^m)e^t − 1) */
  const double top = t + (start > 0 ? start + log1p(exp(-start)) : log1p(exp(start)));
  return top + log1p(-exp(-top));
}

static void beta_of(setting *s, const tb_trajectory *t, double *beta) {
  check(tb_objective_predictor(s->objective, tb_trajectory_theta(t), beta, NULL));
}

typedef struct law_case {
  const char *model;
  int depth;
  size_t width;
  double init;
  tb_fisher fisher;
} law_case;

static void margins_obey_the_law(void **state) {
  const law_case cases[] = {
    { "linear", 1, 0, 0, TB_FISHER_PREDICTOR },    { "linear", 1, 0, 0, TB_FISHER_PARAMETER },
    { "diagonal", 2, 0, .3, TB_FISHER_PREDICTOR }, { "diagonal", 3, 0, .3, TB_FISHER_PREDICTOR },
    { "diagonal", 2, 0, .3, TB_FISHER_PARAMETER }, { "diagonal", 3, 0, .3, TB_FISHER_PARAMETER },
    { "dense", 2, 4, .4, TB_FISHER_PREDICTOR },    { "dense", 3, 3, .5, TB_FISHER_PARAMETER },
  };
  const double times[] = { 0.01, .5, 1, 5, 40 };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    setting s;
    open_setting(&s, cases[k].model, cases[k].depth, cases[k].width, cases[k].init, NULL, DATA_A);
    double start[3], f[3];
    check(tb_objective_outputs(s.objective, s.theta, start));
    tb_trajectory *t = start_flow(&s, cases[k].fisher, 0, NULL);
    for (int q = 0; q < 5; q++) {
      reach(t, times[q]);
      check(tb_objective_outputs(s.objective, tb_trajectory_theta(t), f));
      for (int i = 0; i < 3; i++) {
        const double want = margin_law(a_y[i] * start[i], times[q]);
        assert_near(a_y[i] * f[i], want, 1e-10 * fmax(1, want));
      }
    }
    assert_int_equal(tb_trajectory_report(t, true).rank, 3);
    tb_trajectory_free(t);
    close_setting(&s);
  }
}

/* n = 4, 6 tanh units: J keeps full row rank. */
static void an_mlp_obeys_it_too(void **state) {
  const double x[] = { 1, .2, -.5, 1.1, .3, -1.4, -1, -.7 }, y[] = { 1, -1, 1, -1 };
  setting s;
  open_setting(&s, "mlp", 2, 6, 1, NULL, 4, 2, x, y);
  double start[4], f[4];
  check(tb_objective_outputs(s.objective, s.theta, start));
  tb_trajectory *t = start_flow(&s, TB_FISHER_PARAMETER, 0, NULL);
  for (double time = .25; time <= 8; time *= 2) {
    reach(t, time);
    check(tb_objective_outputs(s.objective, tb_trajectory_theta(t), f));
    for (int i = 0; i < 4; i++)
      assert_near(y[i] * f[i], margin_law(y[i] * start[i], time), 1e-10 * fmax(1, fabs(f[i])));
  }
  tb_trajectory_free(t);
  close_setting(&s);
}

static void the_ray_is_straight(void **state) {
  for (int k = 0; k < 4; k++) {
    setting s;
    open_setting(&s, k == 0 ? "linear" : "diagonal", k == 0 ? 1 : k + 1, 0, .2, NULL, DATA_A);
    tb_trajectory *t = start_flow(&s, TB_FISHER_PREDICTOR, 0, NULL);
    double beta[5], f[3];
    for (double time = .125; time <= 64; time *= 2) {
      reach(t, time);
      beta_of(&s, t, beta);
      for (int j = 0; j < 5; j++)
        assert_near(beta[j], margin_law(0, time) * ray[j], 1e-10 * fmax(1, fabs(beta[j])));
      if (time == 1) {
        check(tb_objective_outputs(s.objective, tb_trajectory_theta(t), f));
        assert_near(exp(tb_objective_log_loss(s.objective, f)), 0.203267054915, 1e-11);
      }
    }
    tb_trajectory_free(t);
    close_setting(&s);
  }
}

/* (I − X⁺X)β(0) + X⁺(y∘m(t)) from a start of its own, for any parametrisation */
static void from_any_start_as_the_linear_model(void **state) {
  const double own[] = { .4, -.3, .2, .1, -.6 };
  for (int k = 0; k < 4; k++) {
    const char *const names[] = { "linear", "diagonal", "diagonal", "dense" };
    setting s;
    open_setting(&s, names[k], k == 0 ? 1 : k == 3 ? 3 : k + 1, 4, .5, k == 3 ? NULL : own, DATA_A);
    double start[5], f[3], moved[3], shift[5], beta[5];
    check(tb_objective_predictor(s.objective, s.theta, start, NULL));
    check(tb_objective_outputs(s.objective, s.theta, f));
    tb_trajectory *t = start_flow(&s, TB_FISHER_PREDICTOR, 0, NULL);
    for (double time = .5; time <= 8; time *= 4) {
      reach(t, time);
      for (int i = 0; i < 3; i++)
        moved[i] = a_y[i] * margin_law(a_y[i] * f[i], time) - f[i];
      check(tb_least_squares(context, 3, 5, a_x, 1, moved, 0, shift, NULL, NULL));
      beta_of(&s, t, beta);
      for (int j = 0; j < 5; j++)
        assert_near(beta[j], start[j] + shift[j], 1e-10 * fmax(1, fabs(beta[j])));
    }
    tb_trajectory_free(t);
    close_setting(&s);
  }
}

/* Data B: slope (1, 9/4, 3/4), offset from the dual, Σσ(−m)z e^t constant; at t = 80 and at t = 10⁵. */
static void more_rows_follow_the_limit_programme(void **state) {
  const double slope[] = { 1, 2.25, .75 }, dual[] = { 23. / 8, 47. / 8, 3. / 8 };
  const int active[] = { 0, 4, 5 };
  double za[9], offset[3];
  for (int k = 0; k < 3; k++) {
    for (int j = 0; j < 3; j++)
      za[3 * k + j] = b_y[active[k]] * b_x[3 * active[k] + j];
    offset[k] = -log(dual[k]);
  }
  bool singular;
  check(tb_lu_solve(context, 3, za, 1, offset, &singular));
  const law_case cases[] = {
    { "linear", 1, 0, 0, TB_FISHER_PREDICTOR },
    { "linear", 1, 0, 0, TB_FISHER_PARAMETER },
    { "diagonal", 2, 0, .3, TB_FISHER_PREDICTOR },
    { "diagonal", 3, 0, .3, TB_FISHER_PARAMETER },
  };
  const double times[] = { .5, 10, 80, 1e5 };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    setting s;
    open_setting(&s, cases[k].model, cases[k].depth, 0, cases[k].init, NULL, DATA_B);
    tb_trajectory *t = start_flow(&s, cases[k].fisher, 0, NULL);
    for (int q = 0; q < 4; q++) {
      reach(t, times[q]);
      double f[6], beta[3], sum[3] = { 0 }, v[16], v_beta[3];
      check(tb_objective_outputs(s.objective, tb_trajectory_theta(t), f));
      for (int i = 0; i < 6; i++)
        for (int j = 0; j < 3; j++)
          sum[j] += exp(times[q] - tb_softplus_scalar(b_y[i] * f[i])) * b_y[i] * b_x[3 * i + j];
      const double g0[] = { .5, 2.5, 4 };
      for (int j = 0; j < 3; j++)
        assert_near(sum[j], g0[j], 1e-9 * fmax(1, times[q]));
      if (times[q] < 80)
        continue;
      beta_of(&s, t, beta);
      check(tb_trajectory_velocity(t, v, v_beta));
      for (int j = 0; j < 3; j++) {
        assert_near(beta[j], slope[j] * times[q] + offset[j], 1e-10 * fmax(1, beta[j]));
        assert_near(v_beta[j], slope[j], 1e-10);
      }
      assert_int_equal(tb_trajectory_report(t, false).rank, 3);
    }
    tb_trajectory_free(t);
    close_setting(&s);
  }
}

/* Moore-Penrose in parameters keeps the bias of depth: the ℓ1-minimal interpolator. */
static void parameter_fisher_finds_the_sparse_interpolator(void **state) {
  const double sparse[] = { 2. / 9, 0, 0, -1. / 3, 4. / 9 };
  for (int depth = 2; depth <= 4; depth++) {
    setting s;
    open_setting(&s, "diagonal", depth, 0, 1e-3, NULL, DATA_A);
    tb_trajectory *t = start_flow(&s, TB_FISHER_PARAMETER, 0, NULL);
    double v[16], v_beta[5], f[3];
    reach(t, 1e4);
    check(tb_trajectory_velocity(t, v, v_beta));
    for (int j = 0; j < 5; j++)
      assert_near(v_beta[j], sparse[j], 1e-5);
    check(tb_objective_outputs(s.objective, tb_trajectory_theta(t), f));
    for (int i = 0; i < 3; i++)
      assert_near(a_y[i] * f[i], margin_law(0, 1e4), 1e-6);
    tb_trajectory_free(t);
    close_setting(&s);
  }
}

/* The population's Fisher matrix: the same path for every parametrisation, and a direction that freezes. */
static void population_direction_freezes(void **state) {
  double at_ten[2][5], unit[3][5];
  for (int k = 0; k < 2; k++) {
    setting s;
    open_setting(&s, k ? "diagonal" : "linear", k ? 2 : 1, 0, .4, NULL, DATA_A);
    tb_trajectory *t = start_flow(&s, TB_FISHER_POPULATION, 0, NULL);
    reach(t, 10);
    beta_of(&s, t, at_ten[k]);
    tb_trajectory_free(t);
    close_setting(&s);
  }
  for (int j = 0; j < 5; j++)
    assert_near(at_ten[0][j], at_ten[1][j], 1e-10 * fmax(1, fabs(at_ten[0][j])));
  for (int k = 0; k < 3; k++) {
    setting s;
    open_setting(&s, "linear", 1, 0, 0, NULL, DATA_A);
    tb_trajectory *t = start_flow(&s, TB_FISHER_POPULATION, 0, &(tb_flow_limits){ .until_margin = pow(10, k + 1) });
    tb_stop why;
    check(tb_trajectory_advance(t, INFINITY, NULL, NULL, &why));
    assert_int_equal(why, TB_STOP_MARGIN);
    beta_of(&s, t, unit[k]);
    tb_trajectory_free(t);
    close_setting(&s);
  }
  const double early = tb_angle_degrees(5, unit[0], unit[1]), late = tb_angle_degrees(5, unit[1], unit[2]);
  assert_true(early < 1 && late < early / 20);
  assert_true(tb_angle_degrees(5, unit[2], ray) > 5); /* and not X⁺y */
}

static void empirical_flow_blows_up(void **state) {
  const law_case cases[] = { { "linear", 1, 0, 0, 0 }, { "diagonal", 2, 0, .3, 0 }, { "mlp", 2, 6, 0, 0 } };
  for (int k = 0; k < 2; k++) {
    setting s;
    open_setting(&s, cases[k].model, cases[k].depth, cases[k].width, cases[k].init, NULL, DATA_A);
    tb_trajectory *t = start_flow(&s, TB_FISHER_EMPIRICAL, 0, NULL);
    double f[3];
    reach(t, .5); /* loss_i(t) = loss_i(0) − t */
    check(tb_objective_outputs(s.objective, tb_trajectory_theta(t), f));
    for (int i = 0; i < 3; i++)
      assert_near(tb_softplus_scalar(-a_y[i] * f[i]), log(2) - .5, 1e-11);
    tb_stop why;
    check(tb_trajectory_advance(t, 10, NULL, NULL, &why));
    assert_int_equal(why, TB_STOP_BLOW_UP);
    assert_near(tb_trajectory_time(t), log(2), 1e-9 * log(2));
    assert_non_null(strstr(tb_trajectory_reason(t), "margins grow without bound at t = 0.693147"));
    tb_trajectory_free(t);
    close_setting(&s);
  }
  setting s;
  open_setting(&s, "linear", 1, 0, 0, NULL, DATA_B);
  tb_trajectory *t = start_flow(&s, TB_FISHER_EMPIRICAL, 0, NULL);
  tb_stop why;
  check(tb_trajectory_advance(t, 10, NULL, NULL, &why));
  assert_int_equal(why, TB_STOP_BLOW_UP);
  assert_near(tb_trajectory_time(t), .9063, 1e-4); /* fourth-order Runge-Kutta with steps of 1e-3 */
  tb_trajectory_free(t);
  close_setting(&s);
}

/* u_j = √(2|β_j|), v = 0: D = 0 where β crosses 0, at t* = log(2/(1 + e^{−1})). */
static void loss_of_rank_ends_the_flow(void **state) {
  double start[5];
  for (int j = 0; j < 5; j++)
    start[j] = -ray[j];
  setting s;
  open_setting(&s, "diagonal", 2, 0, 0, start, DATA_A);
  tb_trajectory *t = start_flow(&s, TB_FISHER_PREDICTOR, 0, NULL);
  tb_stop why;
  check(tb_trajectory_advance(t, 5, NULL, NULL, &why));
  assert_int_equal(why, TB_STOP_BLOW_UP);
  assert_near(tb_trajectory_time(t), log(2 / (1 + exp(-1))), 1e-9);
  assert_non_null(strstr(tb_trajectory_reason(t), "the predictor map D lost rank at t = "));
  tb_trajectory_free(t);
  close_setting(&s);
  open_setting(&s, "dense", 3, 3, 0, NULL, DATA_A);
  t = start_flow(&s, TB_FISHER_PREDICTOR, 0, NULL);
  check(tb_trajectory_advance(t, 5, NULL, NULL, &why));
  assert_int_equal(why, TB_STOP_BLOW_UP);
  assert_true(tb_trajectory_time(t) == 0);
  assert_true(tb_trajectory_report(t, false).rank_loss);
  tb_trajectory_free(t);
  close_setting(&s);
}

static void limits_are_met_on_the_dot(void **state) {
  setting s;
  tb_stop why;
  const double margins[] = { 1, 10, 1e3, 1e6 };
  for (int k = 0; k < 4; k++) {
    open_setting(&s, "diagonal", 2, 0, .5, NULL, DATA_A);
    tb_trajectory *t = start_flow(&s, TB_FISHER_PREDICTOR, 0, &(tb_flow_limits){ .until_margin = margins[k] });
    check(tb_trajectory_advance(t, INFINITY, NULL, NULL, &why));
    assert_int_equal(why, TB_STOP_MARGIN);
    const double want = tb_softplus_scalar(margins[k]) - log(2);
    assert_near(tb_trajectory_time(t), want, 1e-9 * want);
    assert_near(tb_trajectory_log_time(t), log(want), 1e-9);
    check(tb_trajectory_advance(t, INFINITY, NULL, NULL, &why)); /* and again at once */
    assert_int_equal(why, TB_STOP_MARGIN);
    tb_trajectory_free(t);
    close_setting(&s);
  }
  open_setting(&s, "linear", 1, 0, 0, NULL, DATA_A);
  tb_trajectory *t =
      start_flow(&s, TB_FISHER_PREDICTOR, 0, &(tb_flow_limits){ .until_loss = 1e-30, .until_margin = 1e3 });
  check(tb_trajectory_advance(t, 1e3, NULL, NULL, &why));
  assert_int_equal(why, TB_STOP_LOSS);
  assert_near(tb_trajectory_time(t), 30 * log(10) - log(2), 1e-8); /* e^{−t}/2 = 10^{−30} */
  tb_trajectory_free(t);
  t = start_flow(&s, TB_FISHER_PREDICTOR, 0, &(tb_flow_limits){ .until_loss = .7, .until_margin = INFINITY });
  check(tb_trajectory_advance(t, 1, NULL, NULL, &why));
  assert_int_equal(why, TB_STOP_LOSS);
  assert_true(tb_trajectory_time(t) == 0);
  tb_trajectory_free(t);
  close_setting(&s);
}

/* Damping λ: the ray until margin ≈ log(κ/nλ), then gradient flow. */
static void damping_turns_it_into_gradient_flow(void **state) {
  double turned[2];
  for (int k = 0; k < 2; k++) {
    setting s;
    open_setting(&s, "linear", 1, 0, 0, NULL, DATA_A);
    const double lambda = k ? 1e-8 : 1e-4;
    tb_trajectory *t = start_flow(&s, TB_FISHER_PREDICTOR, lambda, NULL);
    double v[5], beta[5], f[3], g[5], r[3], scale;
    reach(t, 1);
    check(tb_trajectory_velocity(t, v, NULL));
    assert_true(tb_angle_degrees(5, v, ray) < 1000 * lambda);
    turned[k] = 0;
    for (double time = 2; time < 1e12; time = time < 30 ? time + .1 : time * 1e3) {
      reach(t, time);
      check(tb_trajectory_velocity(t, v, NULL));
      check(tb_objective_outputs(s.objective, tb_trajectory_theta(t), f));
      tb_objective_residual(s.objective, f, r, &scale);
      tb_gemv(true, 3, 5, 1, a_x, r, 0, g);
      if (tb_angle_degrees(5, v, g) < 5 && turned[k] == 0)
        turned[k] = tb_objective_least_margin(s.objective, f);
    }
    assert_true(tb_angle_degrees(5, v, g) < 1e-3);
    assert_true(turned[k] > 0);
    beta_of(&s, t, beta);
    assert_true(tb_angle_degrees(5, beta, ray) > 5);
    tb_trajectory_free(t);
    close_setting(&s);
  }
  assert_near(turned[1] - turned[0], log(1e4), .5); /* it moves with log 1/λ */
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(margins_obey_the_law),
    cmocka_unit_test(an_mlp_obeys_it_too),
    cmocka_unit_test(the_ray_is_straight),
    cmocka_unit_test(from_any_start_as_the_linear_model),
    cmocka_unit_test(more_rows_follow_the_limit_programme),
    cmocka_unit_test(parameter_fisher_finds_the_sparse_interpolator),
    cmocka_unit_test(population_direction_freezes),
    cmocka_unit_test(empirical_flow_blows_up),
    cmocka_unit_test(loss_of_rank_ends_the_flow),
    cmocka_unit_test(limits_are_met_on_the_dot),
    cmocka_unit_test(damping_turns_it_into_gradient_flow),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

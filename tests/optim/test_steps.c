/* Discrete methods: single steps by hand, directions that hold for every step size, convergence to the flow. */
#include "fixture.h"

#include "num/linear.h"

static void run_steps(setting *s, const char *name, const tb_method_options *options, uint64_t first, uint64_t count,
                      double *theta, double *state) {
  tb_stepper *stepper;
  const tb_method *method = tb_method_find(name);
  check(tb_stepper_new(context, method, options, s->objective, &stepper));
  for (uint64_t k = first; k < first + count; k++)
    check(method->step(stepper, k, theta, state));
  if (method->natural)
    assert_int_equal(tb_stepper_report(stepper).rank, 3);
  tb_stepper_free(stepper);
}

/* −∇L of the linear model by hand */
static void descent_of(const double *beta, double *g) {
  memset(g, 0, 5 * sizeof *g);
  for (int i = 0; i < 3; i++) {
    const double m = a_y[i] * tb_dot(5, a_x + 5 * i, beta);
    for (int j = 0; j < 5; j++)
      g[j] += a_y[i] / (1 + exp(m)) / 3 * a_x[5 * i + j];
  }
}

static void three_steps_by_hand(void **state) {
  const tb_method_options o = { .lr = .3, .momentum = .9, .beta1 = .8, .beta2 = .95, .epsilon = 1e-3 };
  setting s;
  const double start[] = { .1, -.2, .3, 0, .5 };
  open_setting(&s, "linear", 1, 0, 0, start, DATA_A);
  double gd[5], heavy[5], adam[5], group[5], second = 0, ball[5] = { 0 }, m[5] = { 0 }, v[5] = { 0 }, g[5];
  memcpy(gd, start, sizeof gd), memcpy(heavy, start, sizeof gd), memcpy(adam, start, sizeof gd);
  memcpy(group, start, sizeof gd);
  for (int k = 1; k <= 3; k++) {
    descent_of(gd, g);
    for (int j = 0; j < 5; j++)
      gd[j] += o.lr * g[j];
    descent_of(heavy, g);
    for (int j = 0; j < 5; j++) {
      ball[j] = o.momentum * ball[j] + g[j];
      heavy[j] += o.lr * ball[j];
    }
    descent_of(group, g);
    double square = 0;
    for (int j = 0; j < 5; j++)
      square += g[j] * g[j];
    second = o.beta2 * second + (1 - o.beta2) * square;
    for (int j = 0; j < 5; j++)
      group[j] += o.lr * g[j] / (sqrt(second / (1 - pow(o.beta2, k))) + o.epsilon);
    descent_of(adam, g);
    for (int j = 0; j < 5; j++) {
      m[j] = o.beta1 * m[j] + (1 - o.beta1) * g[j];
      v[j] = o.beta2 * v[j] + (1 - o.beta2) * g[j] * g[j];
      adam[j] += o.lr * (m[j] / (1 - pow(o.beta1, k))) / (sqrt(v[j] / (1 - pow(o.beta2, k))) + o.epsilon);
    }
  }
  const struct {
    const char *name;
    const double *want;
    size_t state;
  } cases[] = { { "gd", gd, 0 }, { "momentum", heavy, 1 }, { "adam", adam, 2 }, { "grouprms", group, 1 } };
  for (int k = 0; k < 4; k++) {
    double theta[5], memory[10] = { 0 };
    memcpy(theta, start, sizeof theta);
    assert_int_equal(tb_method_find(cases[k].name)->state, cases[k].state);
    run_steps(&s, cases[k].name, &o, 0, 1, theta, memory); /* in two parts: nothing is hidden in the stepper */
    run_steps(&s, cases[k].name, &o, 1, 2, theta, memory);
    for (int j = 0; j < 5; j++)
      assert_near(theta[j], cases[k].want[j], 1e-14);
  }
  close_setting(&s);
}

/* First steps: Adam's is lr·sign(g) (ε = 0), GD's from 0 is lr·Σz/2n. */
static void first_steps(void **state) {
  setting s;
  open_setting(&s, "linear", 1, 0, 0, NULL, DATA_A);
  double theta[5] = { 0 }, memory[10] = { 0 }, g[5];
  descent_of(theta, g);
  const tb_method_options o = { .lr = .01, .beta1 = .9, .beta2 = .999 };
  run_steps(&s, "adam", &o, 0, 1, theta, memory);
  for (int j = 0; j < 5; j++)
    if (fabs(g[j]) > 1e-15) /* the sign of rounding is nobody's business */
      assert_near(theta[j], copysign(.01, g[j]), 1e-16);
  close_setting(&s);
}

static void natural_steps_from_zero_keep_the_direction(void **state) {
  const double ray[] = { 7. / 24, -1. / 24, -1. / 24, -7. / 24, 10. / 24 };
  for (double lr = .01; lr < 3; lr *= 4) {
    setting s;
    open_setting(&s, "linear", 1, 0, 0, NULL, DATA_A);
    const tb_method_options o = { .lr = lr, .fisher = TB_FISHER_PREDICTOR };
    double m = 0;
    for (int k = 0; k < 200; k++)
      m += lr * (1 + exp(-m));
    run_steps(&s, "ngd", &o, 0, 200, s.theta, NULL);
    for (int j = 0; j < 5; j++)
      assert_near(s.theta[j], m * ray[j], 1e-12 * m);
    close_setting(&s);
  }
}

/* θ after time 1 in steps of η differs from the flow by O(η). */
static void natural_steps_converge_to_the_flow(void **state) {
  const struct {
    const char *model;
    int depth;
    tb_fisher fisher;
  } cases[] = { { "linear", 1, TB_FISHER_PREDICTOR },
                { "diagonal", 2, TB_FISHER_PARAMETER },
                { "mlp", 2, TB_FISHER_PARAMETER } };
  for (int k = 0; k < 3; k++) {
    setting s;
    open_setting(&s, cases[k].model, cases[k].depth, 6, .7, NULL, DATA_A);
    tb_method_options o = { .fisher = cases[k].fisher };
    tb_trajectory *t;
    tb_stop why;
    check(tb_trajectory_new(context, tb_method_find("ngf"), &o, s.objective, NULL, s.theta, &t));
    check(tb_trajectory_advance(t, 1, NULL, NULL, &why));
    double error[3];
    for (int level = 0; level < 3; level++) {
      const uint64_t steps = 64ull << level;
      double theta[512];
      memcpy(theta, s.theta, sizeof theta);
      o.lr = 1. / (double)steps;
      run_steps(&s, "ngd", &o, 0, steps, theta, NULL);
      error[level] = 0;
      for (size_t q = 0; q < s.p; q++)
        error[level] = fmax(error[level], fabs(theta[q] - tb_trajectory_theta(t)[q]));
    }
    assert_true(error[0] > 1e-5 && error[0] < .1);
    assert_near(error[0] / error[1], 2, .15);
    assert_near(error[1] / error[2], 2, .08);
    tb_trajectory_free(t);
    close_setting(&s);
  }
}

static void tables_and_refusals(void **state) {
  size_t count = 0;
  for (const tb_method *const *m = tb_methods(); *m; m++, count++) {
    assert_ptr_equal(tb_method_find((*m)->name), *m);
    assert_true((*m)->summary && (*m)->formula && (*m)->source);
    assert_true((*m)->flow == ((*m)->step == NULL) && (*m)->flow == ((*m)->velocity != NULL));
  }
  assert_int_equal(count, 7);
  assert_null(tb_method_find("sgd"));
  setting s;
  open_setting(&s, "mlp", 2, 3, .5, NULL, DATA_A);
  tb_stepper *stepper;
  tb_trajectory *t;
  tb_method_options o = { .lr = 1 };
  assert_int_equal(tb_stepper_new(context, tb_method_find("gf"), &o, s.objective, &stepper), TB_USAGE);
  assert_int_equal(tb_trajectory_new(context, tb_method_find("gd"), &o, s.objective, NULL, s.theta, &t), TB_USAGE);
  o.fisher = TB_FISHER_PREDICTOR; /* an mlp has no predictor */
  assert_int_equal(tb_stepper_new(context, tb_method_find("ngd"), &o, s.objective, &stepper), TB_USAGE);
  assert_int_equal(tb_trajectory_new(context, tb_method_find("ngf"), &o, s.objective, NULL, s.theta, &t), TB_USAGE);
  o.lr = NAN;
  assert_int_equal(tb_stepper_new(context, tb_method_find("gd"), &o, s.objective, &stepper), TB_USAGE);
  assert_true(!stepper && !t);
  close_setting(&s);
}

/* Every allocation fails once: the failure is reported, nothing leaks. */
static tb_status short_run(tb_context *c, const char *model, const char *method, tb_fisher fisher, double damping) {
  const tb_model *m = tb_model_find(model);
  const tb_model_shape shape = { .inputs = 3, .depth = 2, .width = 3, .activation = TB_TANH };
  tb_objective *objective = NULL;
  tb_trajectory *trajectory = NULL;
  tb_stepper *stepper = NULL;
  double theta[64], velocity[64], beta[3];
  tb_stop why;
  const tb_method_options options = { .lr = .1, .fisher = fisher, .damping = damping };
  const double x[] = { 1, 2, 0, 1, 0, -1, 1, 1, 1, 1, 1, 2 }, y[] = { 1, -1, 1, 1 };
  tb_status status = tb_objective_new(c, m, &shape, TB_LOSS_LOGISTIC, TB_FLOAT64, 4, x, y, &objective);
  if (status == TB_OK)
    status = m->initialise(c, &shape, .5, NULL, (tb_key){ .seed = 1 }, theta);
  if (status == TB_OK && tb_method_find(method)->flow) {
    status = tb_trajectory_new(c, tb_method_find(method), &options, objective, NULL, theta, &trajectory);
    if (status == TB_OK)
      status = tb_trajectory_advance(trajectory, .01, NULL, NULL, &why);
    if (status == TB_OK)
      status = tb_trajectory_velocity(trajectory, velocity, beta);
  } else if (status == TB_OK) {
    status = tb_stepper_new(c, tb_method_find(method), &options, objective, &stepper);
    if (status == TB_OK)
      status = tb_method_find(method)->step(stepper, 0, theta, velocity);
  }
  tb_stepper_free(stepper);
  tb_trajectory_free(trajectory);
  tb_objective_free(objective);
  return status;
}

static void failing_allocations(void **state) {
  const struct {
    const char *model, *method;
    tb_fisher fisher;
    double damping;
  } cases[] = {
    { "mlp", "ngd", TB_FISHER_PARAMETER, 0 },
    { "mlp", "ngd", TB_FISHER_PARAMETER, .1 },
    { "dense", "ngd", TB_FISHER_PREDICTOR, 0 },
    { "diagonal", "ngd", TB_FISHER_PARAMETER, 0 },
    { "diagonal", "ngf", TB_FISHER_PREDICTOR, .1 },
    { "linear", "ngf", TB_FISHER_POPULATION, 0 },
    { "dense", "gf", 0, 0 },
    { "diagonal", "gd", 0, 0 },
  };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    long fail_at = 1;
    for (tb_status status = TB_FAILED; status != TB_OK; fail_at++) {
      meter m = { 0 };
      tb_context *c = tb_context_new(meter_allocate, &m);
      assert_non_null(c);
      m.fail_at = m.calls + fail_at;
      status = short_run(c, cases[k].model, cases[k].method, cases[k].fisher, cases[k].damping);
      assert_true(status == TB_OK || status == TB_NO_MEMORY);
      tb_context_free(c);
      assert_int_equal(m.live, 0);
    }
    assert_true(fail_at > 20);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(three_steps_by_hand),
    cmocka_unit_test(first_steps),
    cmocka_unit_test(natural_steps_from_zero_keep_the_direction),
    cmocka_unit_test(natural_steps_converge_to_the_flow),
    cmocka_unit_test(tables_and_refusals),
    cmocka_unit_test(failing_allocations),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

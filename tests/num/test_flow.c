/* Flows against closed forms and published values: accuracy over whole runs, exact stops, located events, blow-ups,
 * stiffness, failing derivatives, and resumption to the same bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "num/flow.h"
#include "num/linear.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int setup(void **state) {
  *state = tb_context_new(NULL, NULL);
  return *state == NULL;
}

static int teardown(void **state) {
  tb_context_free(*state);
  return 0;
}

static void assert_near(double value, double truth, double tolerance) {
  if (!(fabs(value - truth) <= tolerance * fmax(1, fabs(truth))))
    fail_msg("%.17g, should be %.17g (off by %.3g, allowed %.3g)", value, truth, fabs(value - truth),
             tolerance * fmax(1, fabs(truth)));
}

static tb_flow *flow_of(tb_context *context, tb_flow_problem problem, tb_flow_kind kind, double s, const double *y) {
  tb_flow *flow = NULL;
  tb_flow_options options = { .kind = kind };
  assert_int_equal(tb_flow_new(context, &problem, &options, &flow), TB_OK);
  assert_int_equal(tb_flow_set(flow, s, y), TB_OK);
  return flow;
}

static tb_flow_end advance(tb_flow *flow, double target) {
  tb_flow_end end;
  size_t event;
  assert_int_equal(tb_flow_advance(flow, target, 0, NULL, NULL, &end, &event), TB_OK);
  return end;
}

/* ---- closed forms ---- */

static tb_status growth(void *user, double s, const double *y, double *dy) {
  dy[0] = *(double *)user * y[0];
  return TB_OK;
}

static void exponential(void **state) {
  double rates[] = { 1, -1, 30, -30 };
  for (int stiff = 0; stiff < 2; stiff++)
    for (size_t i = 0; i < 4; i++) {
      double one = 1;
      tb_flow *flow = flow_of(*state, (tb_flow_problem){ .dim = 1, .user = &rates[i], .derivative = growth },
                              stiff ? TB_FLOW_STIFF : TB_FLOW_EXPLICIT, 0, &one);
      assert_int_equal(advance(flow, 1), TB_FLOW_REACHED);
      assert_true(tb_flow_time(flow) == 1);
      assert_near(tb_flow_state(flow)[0], exp(rates[i]), stiff && rates[i] == 30 ? 1e-9 : 1e-11);
      assert_int_equal(advance(flow, 1.25), TB_FLOW_REACHED);
      assert_true(tb_flow_time(flow) == 1.25);
      assert_int_equal(advance(flow, 0.5), TB_FLOW_REACHED); /* backwards too */
      if (rates[i] > -30)                                    /* backwards the error of e^{-30} grows */
        assert_near(tb_flow_state(flow)[0] / exp(rates[i] / 2), 1, 1e-10);
      tb_flow_free(flow);
    }
}

static tb_status oscillator(void *user, double s, const double *y, double *dy) {
  dy[0] = y[1];
  dy[1] = -y[0];
  return TB_OK;
}

static void circle(void **state) {
  double y[] = { 1, 0 };
  tb_flow *flow = flow_of(*state, (tb_flow_problem){ .dim = 2, .derivative = oscillator }, TB_FLOW_AUTO, 0, y);
  for (int turn = 1; turn <= 20; turn++) {
    assert_int_equal(advance(flow, turn * 5.0), TB_FLOW_REACHED);
    assert_near(tb_flow_state(flow)[0], cos(turn * 5.0), 1e-11);
    assert_near(tb_flow_state(flow)[1], -sin(turn * 5.0), 1e-11);
  }
  tb_flow_free(flow);
}

static tb_status cosine(void *user, double s, const double *y, double *dy) {
  dy[0] = cos(s);
  return TB_OK;
}

static void quadrature(void **state) { /* where an embedded pair of Fehlberg's sees no error */
  double zero = 0;
  tb_flow *flow = flow_of(*state, (tb_flow_problem){ .dim = 1, .derivative = cosine }, TB_FLOW_AUTO, 0, &zero);
  assert_int_equal(advance(flow, 50), TB_FLOW_REACHED);
  assert_near(tb_flow_state(flow)[0], sin(50), 1e-12);
  tb_flow_free(flow);
}

/* ---- events ---- */

static tb_status sigmoid_like(void *user, double s, const double *y, double *dy) {
  double depth = *(double *)user;
  dy[0] = depth * pow(y[0], 2 - 2 / depth) * (1 - y[0]);
  return TB_OK;
}

static tb_status half(void *user, double s, const double *y, double *g) {
  g[0] = y[0] - 0.5;
  return TB_OK;
}

static void time_to_half(void **state) {
  double depths[] = { 1, 2 }, truth[] = { 0.69214668022636, 3.4533773893243 };
  for (int kind = TB_FLOW_AUTO; kind <= TB_FLOW_STIFF; kind++)
    for (int i = 0; i < 2; i++) {
      double start = 1e-3;
      tb_flow_end end;
      size_t event = 9;
      tb_flow *flow = flow_of(
          *state,
          (tb_flow_problem){ .dim = 1, .user = &depths[i], .derivative = sigmoid_like, .n_events = 1, .events = half },
          (tb_flow_kind)kind, 0, &start);
      assert_int_equal(tb_flow_advance(flow, 10, 0, NULL, NULL, &end, &event), TB_OK);
      assert_int_equal(end, TB_FLOW_EVENT);
      assert_int_equal(event, 0);
      assert_near(tb_flow_time(flow), truth[i], 1e-11);
      assert_near(tb_flow_state(flow)[0], 0.5, 1e-14);
      assert_int_equal(advance(flow, 11), TB_FLOW_REACHED); /* the crossing is behind us */
      tb_flow_free(flow);
    }
}

static tb_status three_levels(void *user, double s, const double *y, double *g) {
  g[0] = y[0] - 0.75;
  g[1] = 0.25 - y[0]; /* falls through zero first */
  g[2] = s - 100;
  return TB_OK;
}

static void earliest_event_wins(void **state) {
  double rate = 1, start = 0.2;
  tb_flow *flow = flow_of(
      *state, (tb_flow_problem){ .dim = 1, .user = &rate, .derivative = growth, .n_events = 3, .events = three_levels },
      TB_FLOW_AUTO, 0, &start);
  tb_flow_end end;
  size_t event;
  double levels[] = { 0.25, 0.75 };
  for (int i = 0; i < 2; i++) {
    assert_int_equal(tb_flow_advance(flow, 50, 0, NULL, NULL, &end, &event), TB_OK);
    assert_int_equal(end, TB_FLOW_EVENT);
    assert_int_equal(event, 1 - i);
    assert_near(tb_flow_time(flow) / log(levels[i] / 0.2), 1, 1e-12);
  }
  tb_flow_free(flow);
}

/* ---- blow-up and failure ---- */

static tb_status empirical(void *user, double s, const double *y, double *dy) {
  dy[0] = 1 + exp(y[0]);
  return TB_OK;
}

static tb_status empirical_with_wall(void *user, double s, const double *y, double *dy) {
  return y[0] > 30 ? TB_FAILED : empirical(user, s, y, dy);
}

static tb_status square(void *user, double s, const double *y, double *dy) {
  dy[0] = y[0] * y[0];
  return TB_OK;
}

static void blow_up(void **state) {
  double zero = 0, one = 1;
  tb_status (*walls[])(void *, double, const double *, double *) = { empirical, empirical_with_wall };
  for (int kind = TB_FLOW_AUTO; kind <= TB_FLOW_STIFF; kind++) {
    for (int i = 0; i < 2; i++) {
      tb_flow *flow =
          flow_of(*state, (tb_flow_problem){ .dim = 1, .derivative = walls[i] }, (tb_flow_kind)kind, 0, &zero);
      assert_int_equal(advance(flow, 5), TB_FLOW_STUCK); /* y = −log(2e^{−s} − 1): log 2 */
      assert_near(tb_flow_time(flow), log(2), 1e-11);
      tb_flow_free(flow);
    }
    tb_flow *flow = flow_of(*state, (tb_flow_problem){ .dim = 1, .derivative = square }, (tb_flow_kind)kind, 0, &one);
    assert_int_equal(advance(flow, 5), TB_FLOW_STUCK);
    assert_near(tb_flow_time(flow), 1, 1e-11);
    tb_flow_free(flow);
  }
}

static tb_status root(void *user, double s, const double *y, double *dy) {
  if (y[0] < 0)
    return TB_FAILED;
  dy[0] = -sqrt(y[0]) * y[0];
  return TB_OK;
}

static tb_status stop_soon(void *user, double s, const double *y, double *dy) {
  dy[0] = 1;
  return s > 0.5 ? TB_INTERRUPTED : TB_OK;
}

static void failing_derivative(void **state) {
  double big = 1e8, zero = 0;
  for (int kind = TB_FLOW_AUTO; kind <= TB_FLOW_STIFF; kind++) {
    /* y = 4 / (s + 2e-4)²: too bold a step leaves the domain */
    tb_flow_problem problem = { .dim = 1, .derivative = root };
    tb_flow_options options = { .kind = (tb_flow_kind)kind, .first_step = 1 };
    tb_flow *flow;
    assert_int_equal(tb_flow_new(*state, &problem, &options, &flow), TB_OK);
    tb_flow_set(flow, 0, &big);
    assert_int_equal(advance(flow, 10), TB_FLOW_REACHED);
    assert_near(tb_flow_state(flow)[0], 4 / ((10 + 2e-4) * (10 + 2e-4)), 1e-11);
    tb_flow_free(flow);

    tb_flow_end end;
    size_t event;
    flow = flow_of(*state, (tb_flow_problem){ .dim = 1, .derivative = stop_soon }, (tb_flow_kind)kind, 0, &zero);
    assert_int_equal(tb_flow_advance(flow, 1, 0, NULL, NULL, &end, &event), TB_INTERRUPTED);
    tb_flow_free(flow);
  }
}

/* ---- stiffness ---- */

static tb_status van_der_pol(void *user, double s, const double *y, double *dy) {
  dy[0] = y[1];
  dy[1] = ((1 - y[0] * y[0]) * y[1] - y[0]) / 1e-6;
  return TB_OK;
}

static tb_status robertson(void *user, double s, const double *y, double *dy) {
  dy[0] = -0.04 * y[0] + 1e4 * y[1] * y[2];
  dy[2] = 3e7 * y[1] * y[1];
  dy[1] = -dy[0] - dy[2];
  return TB_OK;
}

static tb_status robertson_times(void *user, double s, const double *y, const double *v, double *jv) {
  jv[0] = -0.04 * v[0] + 1e4 * (v[1] * y[2] + y[1] * v[2]);
  jv[2] = 6e7 * y[1] * v[1];
  jv[1] = -jv[0] - jv[2];
  return TB_OK;
}

static void stiff_problems(void **state) {
  /* References: the test set for initial value problem solvers of Mazzia & Magherini. */
  double y[] = { 2, 0 };
  tb_flow *flow = flow_of(*state, (tb_flow_problem){ .dim = 2, .derivative = van_der_pol }, TB_FLOW_AUTO, 0, y);
  assert_int_equal(advance(flow, 2), TB_FLOW_REACHED);
  assert_near(tb_flow_state(flow)[0], 1.706167732170483, 1e-11);
  assert_near(tb_flow_state(flow)[1], -0.8928097010247975, 1e-11);
  tb_flow_counts counts = tb_flow_count(flow);
  assert_true(counts.stiff_switches > 0 && counts.evaluations < 100000);
  tb_flow_free(flow);
  for (int analytic = 0; analytic < 2; analytic++) {
    double start[] = { 1, 0, 0 };
    flow = flow_of(
        *state,
        (tb_flow_problem){ .dim = 3, .derivative = robertson, .jacobian_times = analytic ? robertson_times : NULL },
        TB_FLOW_AUTO, 0, start);
    assert_int_equal(advance(flow, 1e11), TB_FLOW_REACHED);
    assert_near(tb_flow_state(flow)[0], 0.2083340149701255e-7, 1e-12);
    assert_near(tb_flow_state(flow)[1], 0.8333360770334713e-13, 1e-12);
    assert_near(tb_flow_state(flow)[2], 0.9999999791665050, 1e-12);
    assert_true(tb_flow_count(flow).evaluations < 100000);
    tb_flow_free(flow);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(exponential, setup, teardown),
    cmocka_unit_test_setup_teardown(circle, setup, teardown),
    cmocka_unit_test_setup_teardown(quadrature, setup, teardown),
    cmocka_unit_test_setup_teardown(time_to_half, setup, teardown),
    cmocka_unit_test_setup_teardown(earliest_event_wins, setup, teardown),
    cmocka_unit_test_setup_teardown(blow_up, setup, teardown),
    cmocka_unit_test_setup_teardown(failing_derivative, setup, teardown),
    cmocka_unit_test_setup_teardown(stiff_problems, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

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

/* ---- gradient flows in s = log(1 + t) ---- */

/* (1 + t) σ(−m) with t = e^s − 1, whatever the size of s and m. */
static double scaled_sigmoid(double s, double m) {
  return m > 0 ? exp(s - m - log1p(exp(-m))) : exp(s) / (1 + exp(m));
}

static const double data_a[] = { 0, 0, -1, 1, 3, -1, -3, -1, -1, 2, 2, 3, 0, 1, 2 }; /* rows y_i x_i */

static tb_status linear_logistic(void *user, double s, const double *b, double *db) {
  memset(db, 0, 5 * sizeof *db);
  for (size_t i = 0; i < 3; i++) {
    double q = scaled_sigmoid(s, tb_dot(5, data_a + 5 * i, b)) / 3;
    for (size_t j = 0; j < 5; j++)
      db[j] += q * data_a[5 * i + j];
  }
  return TB_OK;
}

static void logistic_to_late_times(void **state) {
  double zero[5] = { 0 }, svm[] = { 11, -3, -13, -1, 50 };
  double early[5], slope[5];
  tb_flow *flow = flow_of(*state, (tb_flow_problem){ .dim = 5, .derivative = linear_logistic }, TB_FLOW_AUTO, 0, zero);
  tb_flow *strict =
      flow_of(*state, (tb_flow_problem){ .dim = 5, .derivative = linear_logistic }, TB_FLOW_STIFF, 0, zero);
  assert_int_equal(advance(flow, 40), TB_FLOW_REACHED);
  assert_int_equal(advance(strict, 40), TB_FLOW_REACHED);
  memcpy(early, tb_flow_state(flow), sizeof early);
  for (size_t j = 0; j < 5; j++) /* explicit and stiff agree */
    assert_near(tb_flow_state(strict)[j], early[j], 1e-10);
  assert_int_equal(advance(flow, 1000), TB_FLOW_REACHED);
  linear_logistic(NULL, 1000, tb_flow_state(flow), slope); /* db/ds: the direction of the largest margin */
  assert_near(tb_angle_degrees(5, slope, svm), 0, 1e-3);
  for (size_t j = 0; j < 5; j++)
    assert_near(slope[j] * 112 / svm[j], 1, 2e-2);
  assert_true(tb_flow_count(flow).evaluations < 60000);
  tb_flow_free(flow), tb_flow_free(strict);
}

/* Diagonal net β = u² − v²: the parameters themselves, u' = 2 u w', v' = −2 v w' … */
static tb_status diagonal_net(void *user, double s, const double *theta, double *d_theta) {
  double b[5], w[5] = { 0 };
  for (size_t j = 0; j < 5; j++)
    b[j] = theta[j] * theta[j] - theta[5 + j] * theta[5 + j];
  linear_logistic(user, s, b, w);
  for (size_t j = 0; j < 5; j++) {
    d_theta[j] = 2 * theta[j] * w[j];
    d_theta[5 + j] = -2 * theta[5 + j] * w[j];
  }
  return TB_OK;
}

/* … and the accumulated dual, β = 2 sinh(4 w) from u = v = 1. */
static tb_status dual_of_diagonal_net(void *user, double s, const double *w, double *dw) {
  double b[5];
  for (size_t j = 0; j < 5; j++)
    b[j] = 2 * sinh(4 * w[j]);
  return linear_logistic(user, s, b, dw);
}

static tb_status margin_a_million(void *user, double s, const double *theta, double *g) {
  double least = INFINITY, b[5];
  for (size_t j = 0; j < 5; j++)
    b[j] = theta[j] * theta[j] - theta[5 + j] * theta[5 + j];
  for (size_t i = 0; i < 3; i++)
    least = fmin(least, tb_dot(5, data_a + 5 * i, b));
  g[0] = least - 1e6;
  return TB_OK;
}

static void diagonal_net_to_margin_a_million(void **state) {
  double start[10], zero[5] = { 0 };
  for (size_t j = 0; j < 10; j++)
    start[j] = 1;
  tb_flow *net = flow_of(
      *state, (tb_flow_problem){ .dim = 10, .derivative = diagonal_net, .n_events = 1, .events = margin_a_million },
      TB_FLOW_AUTO, 0, start);
  tb_flow *dual =
      flow_of(*state, (tb_flow_problem){ .dim = 5, .derivative = dual_of_diagonal_net }, TB_FLOW_AUTO, 0, zero);
  tb_flow_end end;
  size_t event;
  double stops[] = { 1, 10, 100, 1000, 1e5 };
  for (size_t k = 0; k < 5; k++) {
    assert_int_equal(tb_flow_advance(net, stops[k], 0, NULL, NULL, &end, &event), TB_OK);
    assert_int_equal(end, TB_FLOW_REACHED);
    assert_int_equal(advance(dual, stops[k]), TB_FLOW_REACHED);
    for (size_t j = 0; j < 5; j++) {
      double u = tb_flow_state(net)[j], v = tb_flow_state(net)[5 + j];
      assert_near(u * v, 1, 1e-10); /* conserved */
      assert_near(u * u - v * v, 2 * sinh(4 * tb_flow_state(dual)[j]), 1e-10);
    }
  }
  assert_int_equal(tb_flow_advance(net, 1e8, 0, NULL, NULL, &end, &event), TB_OK);
  assert_int_equal(end, TB_FLOW_EVENT);
  double g;
  margin_a_million(NULL, 0, tb_flow_state(net), &g);
  assert_near(g / 1e6, 0, 1e-11);
  const double *u = tb_flow_state(net), *v = u + 5;
  for (size_t j = 0; j < 5; j++) /* direction of the l1 machine (0, 0, 0, 0, ½) */
    assert_near((u[j] * u[j] - v[j] * v[j]) / 1e6, j == 4 ? 0.5 : 0, 1e-4);
  tb_flow_counts a = tb_flow_count(net), b = tb_flow_count(dual);
  print_message("diagonal net: %ld steps %ld evaluations %ld switches; dual %ld %ld %ld\n", a.steps, a.evaluations,
                a.stiff_switches, b.steps, b.evaluations, b.stiff_switches);
  tb_flow_free(net), tb_flow_free(dual);
}

/* ---- many dimensions: a discretised heat equation, beyond the dense solver ---- */

typedef struct rod {
  size_t n;
} rod;

static tb_status heat(void *user, double s, const double *y, double *dy) {
  size_t n = ((rod *)user)->n;
  double h = 1.0 / (double)(n + 1);
  for (size_t i = 0; i < n; i++)
    dy[i] = ((i > 0 ? y[i - 1] : 0) - 2 * y[i] + (i + 1 < n ? y[i + 1] : 0)) / (h * h);
  return TB_OK;
}

static tb_status heat_times(void *user, double s, const double *y, const double *v, double *jv) {
  return heat(user, s, v, jv);
}

static void heat_equation(void **state) {
  size_t sizes[] = { 20, 100, 700 };
  for (size_t k = 0; k < 3; k++) {
    rod user = { sizes[k] };
    size_t n = user.n;
    double *y = malloc(n * sizeof *y), h = 1.0 / (double)(n + 1), rate = 4 / (h * h) * pow(sin(M_PI * h / 2), 2);
    for (size_t i = 0; i < n; i++)
      y[i] = sin(M_PI * (double)(i + 1) * h);
    tb_flow *flow = flow_of(
        *state,
        (tb_flow_problem){ .dim = n, .user = &user, .derivative = heat, .jacobian_times = k ? heat_times : NULL },
        k == 2 ? TB_FLOW_STIFF : TB_FLOW_AUTO, 0, y);
    double time = k == 2 ? 0.01 : 0.5;
    assert_int_equal(advance(flow, time), TB_FLOW_REACHED);
    for (size_t i = 0; i < n; i++) /* y is an eigenvector */
      assert_near(tb_flow_state(flow)[i], y[i] * exp(-rate * time), 1e-10);
    tb_flow_free(flow);
    free(y);
  }
}

/* ---- resumption ---- */

typedef struct saved {
  double s, y[10];
  size_t dim;
  bool always;
} saved;

static bool save(void *user, double s, const double *y) {
  saved *at = user;
  at->s = s;
  memcpy(at->y, y, at->dim * sizeof *y);
  return at->always;
}

/* Pauses at every segment, throws the flow away, builds another from what was saved. */
static void assert_same_bits(tb_context *context, tb_flow_problem problem, tb_flow_kind kind, const double *start,
                             double target, long segment) {
  saved here = { .dim = problem.dim }, stop = { .dim = problem.dim, .always = true };
  tb_flow_end end, end_resumed = TB_FLOW_PAUSED;
  size_t event, pauses = 0;
  tb_flow *whole = flow_of(context, problem, kind, 0, start), *part = NULL;
  assert_int_equal(tb_flow_advance(whole, target, segment, save, &here, &end, &event), TB_OK);
  memcpy(stop.y, start, problem.dim * sizeof *start);
  for (; end_resumed == TB_FLOW_PAUSED; pauses++) {
    tb_flow_free(part);
    part = flow_of(context, problem, kind, stop.s, stop.y);
    assert_int_equal(tb_flow_advance(part, target, segment, save, &stop, &end_resumed, &event), TB_OK);
  }
  assert_true(pauses > 2);
  assert_int_equal(end, end_resumed);
  assert_memory_equal(&(double){ tb_flow_time(whole) }, &(double){ tb_flow_time(part) }, sizeof(double));
  assert_memory_equal(tb_flow_state(whole), tb_flow_state(part), problem.dim * sizeof(double));
  tb_flow_free(whole), tb_flow_free(part);
}

static void resumed_to_the_same_bits(void **state) {
  double y[] = { 2, 0 }, net[10], depth = 2, small = 1e-3;
  for (size_t j = 0; j < 10; j++)
    net[j] = 1;
  for (int kind = TB_FLOW_AUTO; kind <= TB_FLOW_STIFF; kind++) {
    if (kind != TB_FLOW_EXPLICIT)
      assert_same_bits(*state, (tb_flow_problem){ .dim = 2, .derivative = van_der_pol }, (tb_flow_kind)kind, y, 1, 700);
    assert_same_bits(*state, (tb_flow_problem){ .dim = 10, .derivative = diagonal_net }, (tb_flow_kind)kind, net, 100,
                     kind == TB_FLOW_STIFF ? 300 : 20);
    assert_same_bits(
        *state,
        (tb_flow_problem){ .dim = 1, .user = &depth, .derivative = sigmoid_like, .n_events = 1, .events = half },
        (tb_flow_kind)kind, &small, 10, kind == TB_FLOW_STIFF ? 100 : 5);
    assert_same_bits(*state, (tb_flow_problem){ .dim = 1, .derivative = empirical }, (tb_flow_kind)kind, &(double){ 0 },
                     5, kind == TB_FLOW_STIFF ? 100 : 5);
  }
}

static void refusals(void **state) {
  tb_flow *flow;
  tb_flow_problem none = { .derivative = growth };
  assert_int_equal(tb_flow_new(*state, &none, NULL, &flow), TB_USAGE);
  double bad = NAN, one = 1, rate = 1;
  flow = flow_of(*state, (tb_flow_problem){ .dim = 1, .user = &rate, .derivative = growth }, TB_FLOW_AUTO, 0, &one);
  assert_int_equal(tb_flow_set(flow, 0, &bad), TB_FAILED);
  tb_flow_end end;
  size_t event;
  assert_int_equal(tb_flow_advance(flow, INFINITY, 0, NULL, NULL, &end, &event), TB_FAILED);
  assert_int_equal(advance(flow, 0), TB_FLOW_REACHED);
  assert_int_equal(advance(flow, 1e-300), TB_FLOW_REACHED);
  assert_int_equal(advance(flow, 1), TB_FLOW_REACHED);
  assert_int_equal(advance(flow, nextafter(1, 2)), TB_FLOW_REACHED);
  assert_near(tb_flow_state(flow)[0], exp(1), 1e-12);
  tb_flow_free(flow);
  tb_flow_options few = { .most_steps = 3 };
  tb_flow_problem problem = { .dim = 1, .user = &rate, .derivative = growth };
  assert_int_equal(tb_flow_new(*state, &problem, &few, &flow), TB_OK);
  tb_flow_set(flow, 0, &one);
  assert_int_equal(tb_flow_advance(flow, 100, 0, NULL, NULL, &end, &event), TB_FAILED);
  tb_flow_free(flow);
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
    cmocka_unit_test_setup_teardown(logistic_to_late_times, setup, teardown),
    cmocka_unit_test_setup_teardown(diagonal_net_to_margin_a_million, setup, teardown),
    cmocka_unit_test_setup_teardown(heat_equation, setup, teardown),
    cmocka_unit_test_setup_teardown(resumed_to_the_same_bits, setup, teardown),
    cmocka_unit_test_setup_teardown(refusals, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

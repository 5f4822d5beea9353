/* Score networks: what preconditioning promises, traces against differences, the loss against its definition, and that
 * it learns the score of a Gaussian. */
#include "testing.h"

#include <math.h>

#include "diffusion/score_net.h"
#include "diffusion/shapes.h"
#include "optim/training.h"

static tb_context *context;

static int set_up(void **state) {
  context = tb_context_new(NULL, NULL);
  return context ? 0 : -1;
}

static int tear_down(void **state) {
  tb_context_free(context);
  return 0;
}

static void check(tb_status status) {
  if (status != TB_OK)
    fail_msg("%s: %s", tb_context_place(context), tb_context_message(context));
}

static void near(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))))
    fail_msg("%.17g instead of %.17g", got, want);
}

static const tb_process vp = { TB_PROCESS_VP, 0.5, 0.1, 20, 1 };
static const double mean[] = { 0.8, -0.5, 0.1 }, sd[] = { 0.5, 1.5, 1 };
enum { MOST = 4000 };

static tb_score_net net_of(size_t d, bool preconditioned) {
  return (tb_score_net){ .dims = d,
                         .width = 6,
                         .depth = 3,
                         .activation = TB_GELU,
                         .preconditioned = preconditioned,
                         .mean = mean,
                         .sd = sd,
                         .end = 1 };
}

/* A network that has not learned anything is the score of N(mean, diag sd²), or nothing. */
static void starts(void **state) {
  enum { D = 3, N = 7 };
  double theta[MOST], x[N * D], got[N * D], want[N * D];
  tb_random_normal((tb_key){ .seed = 1 }, 0, N * D, x);
  tb_noised *gaussian;
  check(tb_noised_mixture(context, D, 1, (double[]){ 1 }, mean, sd, &gaussian));
  for (int preconditioned = 0; preconditioned < 2; preconditioned++) {
    const tb_score_net net = net_of(D, preconditioned);
    check(tb_score_net_check(context, &net));
    tb_score_net_initialise(&net, (tb_key){ .seed = 2 }, theta);
    tb_learned *learned;
    check(tb_learned_new(context, &net, TB_FLOAT64, 4, &learned)); /* 7 rows in blocks of 4 */
    tb_learned_set(learned, theta);
    const tb_score score = tb_learned_score(learned), exact = tb_score_exact(gaussian);
    for (double t = 0.01; t < 1; t += 0.3) {
      const tb_noising at = tb_process_at(&vp, t);
      check(score.noise(score.self, &at, N, x, got));
      check(exact.noise(exact.self, &at, N, x, want));
      for (int i = 0; i < N * D; i++)
        near(got[i], preconditioned ? want[i] : 0, 1e-12);
    }
    tb_learned_free(learned);
  }
  tb_noised_free(gaussian);
}

static void fill_weights(const tb_score_net *net, double *theta) {
  tb_random_normal((tb_key){ .seed = 3 }, 0, tb_score_net_parameters(net), theta);
  for (size_t i = 0; i < tb_score_net_parameters(net); i++)
    theta[i] *= 0.4;
}

static void traces(void **state) {
  enum { N = 5 };
  static const double h = 1e-5;
  for (size_t d = 1; d <= 3; d += 2)
    for (int preconditioned = 0; preconditioned < 2; preconditioned++) {
      double theta[MOST], x[N * 3], noise[N * 3], high[N * 3], low[N * 3], trace[N], quadratic[N], probe[N * 3];
      const tb_score_net net = net_of(d, preconditioned);
      fill_weights(&net, theta);
      tb_random_normal((tb_key){ .seed = 4 }, 0, N * d, x);
      tb_random_normal((tb_key){ .seed = 5 }, 0, N * d, probe);
      tb_learned *learned;
      check(tb_learned_new(context, &net, TB_FLOAT64, 4, &learned));
      tb_learned_set(learned, theta);
      const tb_score score = tb_learned_score(learned);
      const tb_noising at = tb_process_at(&vp, 0.3);
      check(score.trace(score.self, &at, N, x, NULL, noise, trace));
      check(score.trace(score.self, &at, N, x, probe, noise, quadratic));
      double want[N] = { 0 };
      for (size_t j = 0; j < d; j++) {
        double moved[N * 3];
        for (int side = -1; side <= 1; side += 2) {
          memcpy(moved, x, sizeof moved);
          for (int i = 0; i < N; i++)
            moved[(size_t)i * d + j] += side * h;
          check(score.noise(score.self, &at, N, moved, side > 0 ? high : low));
        }
        for (int i = 0; i < N; i++)
          want[i] += (high[(size_t)i * d + j] - low[(size_t)i * d + j]) / (2 * h);
      }
      for (int i = 0; i < N; i++)
        near(trace[i], want[i], 1e-8);
      for (int side = -1; side <= 1; side += 2) {
        double moved[N * 3];
        for (size_t i = 0; i < N * d; i++)
          moved[i] = x[i] + side * h * probe[i];
        check(score.noise(score.self, &at, N, moved, side > 0 ? high : low));
      }
      for (size_t i = 0; i < N; i++) {
        double sum = 0;
        for (size_t j = 0; j < d; j++)
          sum += probe[i * d + j] * (high[i * d + j] - low[i * d + j]) / (2 * h);
        near(quadratic[i], sum, 1e-8);
      }
      tb_learned_free(learned);
    }
}

typedef struct problem {
  tb_score_net net;
  size_t batch;
} problem;

static tb_value loss(void *user, tb_graph *g, tb_value theta, const tb_value *inputs, tb_value keys, tb_value *notes) {
  const problem *p = user;
  const tb_value key = tb_reshape(g, keys, 1, (size_t[]){ 3 });
  return tb_score_net_loss(g, &p->net, &vp, 1e-5, 1, p->batch, theta, inputs[0], key);
}

/* The loss of a Gaussian's own score is E α²s²/(α²s² + σ²), t uniform; training finds it from a plain start. */
static void learns(void **state) {
  enum { D = 2, POINTS = 2000, STEPS = 300 };
  static double data[POINTS * D], theta[MOST];
  problem p = { net_of(D, true), 512 };
  tb_random_normal((tb_key){ .seed = 6 }, 0, POINTS * D, data);
  double want = 0;
  for (int i = 0; i < POINTS * D; i++)
    data[i] = mean[i % D] + sd[i % D] * data[i];
  for (int k = 0; k < 2000; k++)
    for (int j = 0; j < D; j++) {
      const tb_noising at = tb_process_at(&vp, (k + 0.5) / 2000);
      const double clean = at.alpha * at.alpha * sd[j] * sd[j];
      want += clean / (clean + at.sigma * at.sigma) / 2000 / D;
    }
  for (int preconditioned = 0; preconditioned < 2; preconditioned++) {
    p.net = net_of(D, preconditioned);
    p.net.width = 24;
    const tb_training_input input = { "data", TB_FLOAT64, 2, { POINTS, D } };
    const tb_training_shape shape = { .dtype = TB_FLOAT64,
                                      .replicas = 1,
                                      .parameters = tb_score_net_parameters(&p.net),
                                      .update = TB_UPDATE_ADAM,
                                      .beta1 = 0.9,
                                      .beta2 = 0.999,
                                      .epsilon = 1e-8,
                                      .n_inputs = 1,
                                      .inputs = &input,
                                      .loss = loss,
                                      .user = &p };
    tb_training *training;
    check(tb_training_new(context, &shape, NULL, &training));
    tb_score_net_initialise(&p.net, (tb_key){ .seed = 7 }, theta);
    tb_training_start(training, 0, theta);
    double first = 0, last = 0;
    const double still = 0, rate = 0.01;
    for (int k = 0; k < STEPS + 100; k++) {
      const double *const now = preconditioned || k >= STEPS || k < 50 ? &still : &rate;
      double value;
      check(tb_training_step(training, (const void *[]){ data }, now, (uint64_t[]){ 8 }, &value, NULL));
      first += k < 50 ? value / 50 : 0;
      last += k >= STEPS ? value / 100 : 0;
    }
    near(first, preconditioned ? want : 1, 0.04); /* the plain start predicts no noise */
    near(last, want, preconditioned ? 0.02 : 0.06);
    tb_training_free(training);
  }
}

static void shapes_are_drawn_by_number(void **state) {
  double x[2 * 40], again[2];
  for (const tb_shape *const *shape = tb_shapes(); *shape; shape++) {
    assert_ptr_equal(tb_shape_find((*shape)->name), *shape);
    assert_non_null(strstr(TB_SHAPE_NAMES, (*shape)->name));
    tb_shape_draw(*shape, (tb_key){ .seed = 9 }, 0, 40, x);
    tb_shape_draw(*shape, (tb_key){ .seed = 9 }, 31, 1, again);
    assert_true(again[0] == x[62] && again[1] == x[63]);
    for (int i = 0; i < 80; i++)
      assert_true(fabs(x[i]) < 4);
  }
  assert_null(tb_shape_find("moon"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(starts),
    cmocka_unit_test(traces),
    cmocka_unit_test(learns),
    cmocka_unit_test(shapes_are_drawn_by_number),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

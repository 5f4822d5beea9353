/* Minibatch training: updates by hand, replicas that know nothing of each other, clipping, noise, checkpoints. */
#include "fixture.h"

#include <tiebreak/random.h>

#include "optim/training.h"

/* ½ Σ_j c_j (θ_j − x_j)², of a batch x[R,3]; note: Σ θ.  Its gradient is c (θ − x). */
static const double curvature[] = { 1, 2, 4 };

static tb_value quadratic(void *user, tb_graph *g, tb_value theta, const tb_value *in, tb_value keys, tb_value *notes) {
  const tb_dtype dtype = tb_value_dtype(g, theta);
  const tb_value c = tb_constant(g, dtype, 1, (size_t[]){ 3 }, curvature);
  notes[0] = tb_reduce(g, TB_SUM, theta, 1u << 1, false);
  const tb_value off = tb_subtract(g, theta, in[0]);
  return tb_scale(g, tb_reduce(g, TB_SUM, tb_multiply(g, c, tb_square(g, off)), 1u << 1, false), 0.5);
}

static const tb_training_input points[] = { { "x", TB_FLOAT64, 2, { 2, 3 } } };
static const tb_training_shape two = { .dtype = TB_FLOAT64,
                                       .replicas = 2,
                                       .parameters = 3,
                                       .momentum = 0.9,
                                       .beta1 = 0.8,
                                       .beta2 = 0.95,
                                       .epsilon = 1e-3,
                                       .n_inputs = 1,
                                       .inputs = points,
                                       .n_notes = 1,
                                       .loss = quadratic };

static const double x[2][6] = { { 1, -2, 3, 0, 0.5, -0.25 }, { 2, 1, 0, -1, 3, 0.5 } };
static const double start[] = { 0.3, 0.1, -0.2, 1, 1, 1 }, rates[] = { 0.1, 0.02 };

/* One replica by plain loops. */
static void by_hand(const tb_training_shape *s, int r, int steps, double *theta) {
  double v[3] = { 0 }, m[3] = { 0 };
  memcpy(theta, start + 3 * r, 3 * sizeof *theta);
  for (int k = 1; k <= steps; k++) {
    double g[3], norm = 0;
    for (int j = 0; j < 3; j++) {
      g[j] = curvature[j] * (theta[j] - x[k % 2][3 * r + j]);
      if (s->clip_entry > 0)
        g[j] = fmax(-s->clip_entry, fmin(s->clip_entry, g[j]));
      norm += g[j] * g[j];
    }
    norm = sqrt(norm);
    for (int j = 0; j < 3; j++) {
      if (s->clip_norm > 0 && norm > s->clip_norm)
        g[j] *= s->clip_norm / norm;
      if (s->update == TB_UPDATE_GD) {
        theta[j] -= rates[r] * g[j];
      } else if (s->update == TB_UPDATE_MOMENTUM) {
        v[j] = s->momentum * v[j] + g[j];
        theta[j] -= rates[r] * v[j];
      } else {
        m[j] = s->beta1 * m[j] + (1 - s->beta1) * g[j];
        v[j] = s->beta2 * v[j] + (1 - s->beta2) * g[j] * g[j];
        theta[j] *= 1 - rates[r] * s->decay;
        theta[j] -= rates[r] * (m[j] / (1 - pow(s->beta1, k))) / (sqrt(v[j] / (1 - pow(s->beta2, k))) + s->epsilon);
      }
    }
  }
}

static void steps(tb_training *t, int first, int last, double *losses, double *notes) {
  for (int k = first; k <= last; k++)
    check(tb_training_step(t, (const void *[]){ x[k % 2] }, rates, NULL, losses, notes));
}

static void updates_by_hand(void **state) {
  for (int which = 0; which < 6; which++) {
    tb_training_shape s = two;
    s.update = which < 2 ? TB_UPDATE_GD : which == 2 ? TB_UPDATE_MOMENTUM : TB_UPDATE_ADAM;
    s.clip_norm = which == 1 ? 0.7 : 0;
    s.clip_entry = which == 4 ? 0.5 : 0;
    s.decay = which == 5 ? 0.3 : 0;
    tb_training *t;
    check(tb_training_new(context, &s, NULL, &t));
    for (size_t r = 0; r < 2; r++)
      tb_training_start(t, r, start + 3 * r);
    double losses[2], notes[2], theta[3], want[3];
    steps(t, 1, 1, losses, notes);
    for (int r = 0; r < 2; r++) {
      double loss = 0;
      for (int j = 0; j < 3; j++)
        loss += 0.5 * curvature[j] * pow(start[3 * r + j] - x[1][3 * r + j], 2);
      assert_near(losses[r], loss, 1e-14);
      assert_near(notes[r], start[3 * r] + start[3 * r + 1] + start[3 * r + 2], 1e-15);
    }
    steps(t, 2, 7, NULL, NULL);
    assert_int_equal(tb_training_steps(t), 7);
    for (int r = 0; r < 2; r++) {
      by_hand(&s, r, 7, want);
      tb_training_point(t, (size_t)r, theta);
      for (int j = 0; j < 3; j++)
        assert_near(theta[j], want[j], 1e-14);
    }
    tb_training_free(t);
  }
}

static void gradient_alone(void **state) {
  tb_training_shape s = two;
  s.update = TB_UPDATE_NONE;
  tb_training *t;
  check(tb_training_new(context, &s, NULL, &t));
  for (size_t r = 0; r < 2; r++)
    tb_training_start(t, r, start + 3 * r);
  steps(t, 0, 0, NULL, NULL);
  const double *g = tb_training_gradient(t), *theta = tb_training_theta(t);
  for (int i = 0; i < 6; i++) {
    assert_near(g[i], curvature[i % 3] * (start[i] - x[0][i]), 1e-15);
    assert_true(theta[i] == start[i]);
  }
  tb_training_free(t);
}

/* A saved training goes on to the same bits, in another object. */
static void checkpoint(void **state) {
  tb_training_shape s = two;
  s.update = TB_UPDATE_ADAM;
  s.dtype = TB_FLOAT32;
  static const tb_training_input floats[] = { { "x", TB_FLOAT32, 2, { 2, 3 } } };
  static const float batch[6] = { 1, -2, 3, 0, 0.5, -0.25f };
  s.inputs = floats;
  tb_training *whole, *half;
  check(tb_training_new(context, &s, NULL, &whole));
  check(tb_training_new(context, &s, NULL, &half));
  void *block = malloc(tb_training_size(whole));
  for (int k = 0; k < 9; k++) {
    check(tb_training_step(whole, (const void *[]){ batch }, rates, NULL, NULL, NULL));
    if (k == 3)
      tb_training_save(whole, block);
  }
  tb_training_restore(half, block);
  for (int k = 4; k < 9; k++)
    check(tb_training_step(half, (const void *[]){ batch }, rates, NULL, NULL, NULL));
  assert_int_equal(tb_training_steps(half), 9);
  assert_true(tb_training_bytes(half) >= (3 + 1) * 6 * sizeof(float));
  assert_memory_equal(tb_training_theta(whole), tb_training_theta(half), 6 * sizeof(float));
  free(block);
  tb_training_free(whole);
  tb_training_free(half);
}

/* Loss = the sum of p draws of the replica's own key; gradient zero but for θ itself. */
static tb_value noisy(void *user, tb_graph *g, tb_value theta, const tb_value *in, tb_value keys, tb_value *notes) {
  tb_value rows[2];
  for (size_t r = 0; r < 2; r++) {
    const tb_value key = tb_reshape(g, tb_slice(g, keys, 0, r, 1), 1, (size_t[]){ 3 });
    rows[r] = tb_normal(g, key, tb_use("noise"), TB_FLOAT64, 2, (size_t[]){ 1, 3 });
  }
  const tb_value noise = tb_concat(g, 0, 2, rows);
  return tb_reduce(g, TB_SUM, tb_add(g, tb_scale(g, theta, 0), noise), 1u << 1, false);
}

static void own_noise(void **state) {
  const tb_training_shape s = { .dtype = TB_FLOAT64, .replicas = 2, .parameters = 3, .loss = noisy };
  const uint64_t seeds[] = { 7, (uint64_t)5 << 40 | 9 };
  tb_training *t;
  check(tb_training_new(context, &s, NULL, &t));
  for (uint32_t k = 0; k < 3; k++) {
    double losses[2], z[3];
    check(tb_training_step(t, NULL, rates, seeds, losses, NULL));
    for (int r = 0; r < 2; r++) {
      tb_random_normal((tb_key){ .seed = seeds[r], .step = k, .use = tb_use("noise") }, 0, 3, z);
      assert_near(losses[r], z[0] + z[1] + z[2], 1e-14);
    }
  }
  tb_training_free(t);
}

static void refusals(void **state) {
  tb_training *t;
  tb_training_shape s = two;
  s.replicas = 0;
  assert_int_equal(tb_training_new(context, &s, NULL, &t), TB_USAGE);
  assert_null(t);
  tb_training_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(updates_by_hand), cmocka_unit_test(gradient_alone), cmocka_unit_test(checkpoint),
    cmocka_unit_test(own_noise),       cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

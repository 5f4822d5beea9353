/* The chain of rollout.h. */
#include "diffusion/rollout.h"

#include <math.h>

void tb_rollout_grid(size_t steps, double horizon, double alpha, double *times, double *beta) {
  const double half_pi = 1.57079632679489661923, offset = 0.008;
  double total = 0, time = 0;
  for (size_t k = 0; k < steps; k++) {
    const double place = steps > 1 ? (double)k / (double)(steps - 1) : 0;
    const double c = cos((place + offset) / (1 + offset) * half_pi);
    beta[k] = c * c * c * c;
    total += beta[k];
  }
  for (size_t k = 0; k < steps; k++) {
    const double apart = beta[k] / total * horizon;
    times[k] = time;
    time += apart;
    beta[k] = fmin(alpha * sqrt(apart), 1);
  }
}

/* What a step multiplies with, [K] each. */
enum { KEEP, PUSH, SHAKE, RUNNING, STOCHASTIC, FACTORS };

static void factors(tb_graph *g, const tb_rollout_shape *s, tb_dtype dtype, tb_value out[FACTORS]) {
  const tb_value beta = tb_constant(g, TB_FLOAT64, 1, &s->steps, s->beta), square = tb_square(g, beta);
  out[KEEP] = tb_sqrt(g, tb_shift(g, tb_negate(g, square), 1)); /* √(1 − β²) */
  out[PUSH] = square;
  out[SHAKE] = tb_scale(g, beta, s->sigma);
  out[RUNNING] = tb_scale(g, square, 0.5 / (s->sigma * s->sigma));
  out[STOCHASTIC] = tb_scale(g, beta, 1 / s->sigma);
  for (int i = 0; i < FACTORS; i++)
    out[i] = tb_cast(g, out[i], dtype);
}

enum { STATE, RUNNING_SUM, STOCHASTIC_SUM, CARRIES };
enum { BIAS = FACTORS, GATE, SLICES };

static tb_value sum_last(tb_graph *g, tb_value a) {
  return tb_reduce(g, TB_SUM, a, 1u << 2, false);
}

/* key with the step word step·K + k */
static tb_value key_of(tb_graph *g, tb_value key, tb_value k, size_t steps) {
  const tb_value word = tb_add(g, tb_scale(g, tb_slice(g, key, 0, 2, 1), (double)steps), k);
  return tb_concat(g, 0, 2, (tb_value[]){ tb_slice(g, key, 0, 0, 2), word });
}

/* consts: key, then the drift's weights */
static tb_status one_step(void *user, tb_graph *g, tb_value k, size_t n_carry, const tb_value *carry, size_t n_slice,
                          const tb_value *at, size_t n_const, const tb_value *consts, tb_value *carry_out, size_t n_out,
                          tb_value *outs) {
  const tb_rollout_shape *s = user;
  const tb_value y = carry[STATE];
  const size_t dims[] = { tb_dim(g, y, 0), tb_dim(g, y, 1), tb_dim(g, y, 2) };
  const tb_value score = tb_density_score(s->density, g, y);
  const tb_value f = tb_drift_step(g, &s->drift, consts + 1, at[BIAS], at[GATE], y, score);
  const tb_value noise =
      tb_normal(g, key_of(g, consts[0], k, s->steps), tb_use("noise of the chain"), tb_value_dtype(g, y), 3, dims);
  const tb_value moved = tb_add(g, tb_multiply(g, y, at[KEEP]), tb_multiply(g, f, at[PUSH]));
  carry_out[STATE] = tb_add(g, moved, tb_multiply(g, noise, at[SHAKE]));
  const tb_value running = tb_multiply(g, sum_last(g, tb_square(g, f)), at[RUNNING]);
  const tb_value stochastic = tb_multiply(g, sum_last(g, tb_multiply(g, f, noise)), at[STOCHASTIC]);
  carry_out[RUNNING_SUM] = tb_add(g, carry[RUNNING_SUM], running);
  carry_out[STOCHASTIC_SUM] = tb_add(g, carry[STOCHASTIC_SUM], stochastic);
  return TB_OK;
}

tb_rollout tb_rollout_build(tb_graph *g, const tb_rollout_shape *s, tb_value theta, tb_value key) {
  const size_t replicas = tb_dim(g, theta, 0), d = s->drift.dims;
  const tb_dtype dtype = tb_value_dtype(g, theta);
  const tb_value times = tb_cast(g, tb_constant(g, TB_FLOAT64, 1, &s->steps, s->times), dtype);
  const tb_drift drift = tb_drift_prepare(g, &s->drift, theta, times);
  tb_value slices[SLICES], consts[1 + TB_DRIFT_WEIGHTS] = { key }, end[CARRIES];
  factors(g, s, dtype, slices);
  slices[BIAS] = drift.bias;
  slices[GATE] = drift.gate;
  for (size_t i = 0; i < drift.count; i++)
    consts[1 + i] = drift.weights[i];
  const tb_value unit = tb_normal(g, key, tb_use("start of the chain"), dtype, 3, (size_t[]){ replicas, s->batch, d });
  const tb_value zero = tb_fill(g, dtype, 2, (size_t[]){ replicas, s->batch }, 0);
  const tb_value start[CARRIES] = { tb_scale(g, unit, s->sigma), zero, zero };
  tb_rollout_shape shape = *s; /* read while the body is built, that is during this call */
  tb_scan(g, s->steps, false, one_step, &shape, CARRIES, start, SLICES, slices, 1 + drift.count, consts, end, 0, NULL);
  const tb_value ratio =
      tb_subtract(g, tb_log_normal(g, end[STATE], 0, s->sigma), s->density->target->build(s->density, g, end[STATE]));
  return (tb_rollout){ end[RUNNING_SUM], end[STOCHASTIC_SUM], ratio, end[STATE] };
}

tb_value tb_rollout_loss(tb_graph *g, const tb_rollout *r) {
  return tb_reduce(g, TB_MEAN, tb_add(g, r->running, r->terminal), 1u << 1, false);
}

tb_value tb_rollout_log_weight(tb_graph *g, const tb_rollout *r) {
  return tb_negate(g, tb_add(g, tb_add(g, r->running, r->stochastic), r->terminal));
}

/* The chain of rollout.h. */
#include "diffusion/rollout.h"

#include <math.h>

/* What a step multiplies with, [K] each. */
enum { KEEP, PUSH, SHAKE, RUNNING, STOCHASTIC, BACK_KEEP, BACK_SHAKE, FACTORS };

static void factors(tb_graph *g, const tb_chain *c, tb_dtype dtype, tb_value out[FACTORS]) {
  const tb_value push = tb_constant(g, TB_FLOAT64, 1, &c->steps, c->push);
  const tb_value shake = tb_constant(g, TB_FLOAT64, 1, &c->steps, c->shake);
  const tb_value least = tb_scalar(g, TB_FLOAT64, 1e-300); /* a step of no length pushes by 0 and costs 0 */
  out[KEEP] = tb_constant(g, TB_FLOAT64, 1, &c->steps, c->keep);
  out[PUSH] = push;
  out[SHAKE] = shake;
  out[STOCHASTIC] = tb_divide(g, push, tb_maximum(g, shake, least));
  out[RUNNING] = tb_scale(g, tb_square(g, out[STOCHASTIC]), 0.5);
  out[BACK_KEEP] = tb_constant(g, TB_FLOAT64, 1, &c->steps, c->back_keep);
  out[BACK_SHAKE] = tb_constant(g, TB_FLOAT64, 1, &c->steps, c->back_shake);
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

/* f(y, t_k) [R,B,d]; consts: key, then the drift's weights */
static tb_value control(tb_graph *g, const tb_rollout_shape *s, const tb_value *at, const tb_value *consts,
                        tb_value y) {
  if (s->affine)
    return tb_shift(g, tb_scale(g, y, s->affine[0]), s->affine[1]);
  const size_t dims[] = { tb_dim(g, y, 0), tb_dim(g, y, 1), tb_dim(g, y, 2) };
  const tb_value score = s->density ? tb_density_score(s->density, g, y) : tb_fill(g, tb_value_dtype(g, y), 3, dims, 0);
  return tb_drift_step(g, &s->drift, consts + 1, at[BIAS], at[GATE], y, score);
}

static tb_value noise_of(tb_graph *g, const tb_rollout_shape *s, tb_value key, tb_value k, tb_value y,
                         const char *purpose) {
  const size_t dims[] = { tb_dim(g, y, 0), tb_dim(g, y, 1), tb_dim(g, y, 2) };
  return tb_normal(g, key_of(g, key, k, s->chain->steps), tb_use(purpose), tb_value_dtype(g, y), 3, dims);
}

static void add_costs(tb_graph *g, const tb_value *at, const tb_value *carry, tb_value f, tb_value noise,
                      tb_value *carry_out) {
  const tb_value running = tb_multiply(g, sum_last(g, tb_square(g, f)), at[RUNNING]);
  const tb_value stochastic = tb_multiply(g, sum_last(g, tb_multiply(g, f, noise)), at[STOCHASTIC]);
  carry_out[RUNNING_SUM] = tb_add(g, carry[RUNNING_SUM], running);
  carry_out[STOCHASTIC_SUM] = tb_add(g, carry[STOCHASTIC_SUM], stochastic);
}

/* Held, the step was made by a copy f₀ of the control that is no function of θ, and its noise under f is
 * ξ + push/shake (f₀ − f): what ln w says of a path depends on f through both costs. */
static tb_status one_step(void *user, tb_graph *g, tb_value k, size_t n_carry, const tb_value *carry, size_t n_slice,
                          const tb_value *at, size_t n_const, const tb_value *consts, tb_value *carry_out, size_t n_out,
                          tb_value *outs) {
  const tb_rollout_shape *s = user;
  const tb_value y = carry[STATE], f = control(g, s, at, consts, y);
  tb_value noise = noise_of(g, s, consts[0], k, y, "noise of the chain");
  const tb_value driven = s->held ? tb_stop(g, f) : f;
  const tb_value moved = tb_add(g, tb_multiply(g, y, at[KEEP]), tb_multiply(g, driven, at[PUSH]));
  carry_out[STATE] = tb_add(g, moved, tb_multiply(g, noise, at[SHAKE]));
  if (s->held)
    noise = tb_add(g, noise, tb_multiply(g, tb_subtract(g, driven, f), at[STOCHASTIC]));
  add_costs(g, at, carry, f, noise, carry_out);
  return TB_OK;
}

/* From y_{k+1} to y_k, whose control would have made the step by the noise (y_{k+1} − keep y_k − push f)/shake. */
static tb_status one_step_back(void *user, tb_graph *g, tb_value k, size_t n_carry, const tb_value *carry,
                               size_t n_slice, const tb_value *at, size_t n_const, const tb_value *consts,
                               tb_value *carry_out, size_t n_out, tb_value *outs) {
  const tb_rollout_shape *s = user;
  const tb_value next = carry[STATE], noise = noise_of(g, s, consts[0], k, next, "noise of the chain backwards");
  const tb_value y = tb_add(g, tb_multiply(g, next, at[BACK_KEEP]), tb_multiply(g, noise, at[BACK_SHAKE]));
  const tb_value f = control(g, s, at, consts, y);
  const tb_value moved = tb_add(g, tb_multiply(g, y, at[KEEP]), tb_multiply(g, f, at[PUSH]));
  const tb_value least = tb_scalar(g, tb_value_dtype(g, y), 1e-30);
  carry_out[STATE] = y;
  add_costs(g, at, carry, f, tb_divide(g, tb_subtract(g, next, moved), tb_maximum(g, at[SHAKE], least)), carry_out);
  return TB_OK;
}

static tb_rollout build(tb_graph *g, const tb_rollout_shape *s, tb_value theta, tb_value key, bool back,
                        tb_value from) {
  const size_t replicas = tb_dim(g, theta, 0), steps = s->chain->steps;
  const tb_dtype dtype = tb_value_dtype(g, theta);
  tb_value slices[SLICES], consts[1 + TB_DRIFT_WEIGHTS] = { key }, end[CARRIES];
  size_t n_consts = 1, n_slices = FACTORS;
  factors(g, s->chain, dtype, slices);
  if (!s->affine) {
    const tb_value times = tb_cast(g, tb_constant(g, TB_FLOAT64, 1, &steps, s->chain->times), dtype);
    const tb_drift drift = tb_drift_prepare(g, &s->drift, theta, times);
    slices[BIAS] = drift.bias;
    slices[GATE] = drift.gate;
    n_slices = SLICES;
    for (size_t i = 0; i < drift.count; i++)
      consts[n_consts++] = drift.weights[i];
  }
  const tb_value zero = tb_fill(g, dtype, 2, (size_t[]){ replicas, s->batch }, 0);
  const tb_value start[CARRIES] = { from, zero, zero };
  tb_rollout_shape shape = *s; /* read while the body is built, that is during this call */
  tb_scan(g, steps, back, back ? one_step_back : one_step, &shape, CARRIES, start, n_slices, slices, n_consts, consts,
          end, 0, NULL);
  return (tb_rollout){ end[RUNNING_SUM], end[STOCHASTIC_SUM], back ? from : end[STATE] };
}

tb_rollout tb_rollout_build(tb_graph *g, const tb_rollout_shape *s, tb_value theta, tb_value key) {
  const size_t dims[] = { tb_dim(g, theta, 0), s->batch, s->drift.dims };
  const tb_dtype dtype = tb_value_dtype(g, theta);
  const double spread = s->chain->start;
  return build(g, s, theta, key, false,
               spread > 0 ? tb_scale(g, tb_normal(g, key, tb_use("start of the chain"), dtype, 3, dims), spread)
                          : tb_fill(g, dtype, 3, dims, 0));
}

tb_rollout tb_rollout_back(tb_graph *g, const tb_rollout_shape *s, tb_value theta, tb_value key, tb_value end) {
  return build(g, s, theta, key, true, end);
}

tb_value tb_rollout_terminal(tb_graph *g, const tb_rollout_shape *s, const tb_rollout *r, const tb_density *density) {
  return tb_subtract(g, tb_log_normal(g, r->end, 0, s->chain->sigma), density->target->build(density, g, r->end));
}

tb_value tb_rollout_loss(tb_graph *g, const tb_rollout *r, tb_value terminal) {
  return tb_reduce(g, TB_MEAN, tb_add(g, r->running, terminal), 1u << 1, false);
}

tb_value tb_rollout_log_weight(tb_graph *g, const tb_rollout *r, tb_value terminal) {
  return tb_negate(g, tb_add(g, tb_add(g, r->running, r->stochastic), terminal));
}

tb_value tb_rollout_log_variance(tb_graph *g, const tb_rollout *r, tb_value terminal) {
  const tb_value log_weight = tb_rollout_log_weight(g, r, terminal);
  const double batch = (double)tb_dim(g, log_weight, 1);
  const tb_value away = tb_subtract(g, log_weight, tb_reduce(g, TB_MEAN, log_weight, 1u << 1, true));
  return tb_scale(g, tb_reduce(g, TB_MEAN, tb_square(g, away), 1u << 1, false), batch / (batch - 1));
}

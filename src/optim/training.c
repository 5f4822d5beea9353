/* The step as a graph, and the memory between steps. */
#include "optim/training.h"

#include <math.h>
#include <string.h>

/* memory: θ, then the state (momentum v; adam m, v) or the gradient, each R p numbers; written in place */
enum { MOST_STATE = 2, OWN_INPUTS = 2 + MOST_STATE + 2, OWN_OUTPUTS = 1 + 1 + MOST_STATE };

struct tb_training {
  tb_context *context;
  tb_dtype dtype;
  size_t replicas, count; /* R, R p */
  tb_update update;
  double beta1, beta2;
  size_t n_inputs, n_notes, n_state;
  size_t input_bytes[TB_TRAINING_INPUTS];
  tb_program *program;
  char *memory;
  void *rates, *corrections, *losses; /* R, 2, (1 + n_notes) R numbers */
  int32_t *keys;                      /* R 3 */
  uint64_t steps;
};

static const size_t state_of[] = {
  [TB_UPDATE_GD] = 0, [TB_UPDATE_MOMENTUM] = 1, [TB_UPDATE_ADAM] = 2, [TB_UPDATE_NONE] = 1 /* the gradient */
};

static size_t width_of(tb_dtype dtype) {
  return dtype == TB_FLOAT64 ? sizeof(double) : sizeof(float);
}

/* ---- the program ---- */

static tb_value clipped(tb_graph *g, const tb_training_shape *s, tb_value gradient) {
  if (s->clip_entry > 0) {
    const tb_value most = tb_scalar(g, s->dtype, s->clip_entry), least = tb_scalar(g, s->dtype, -s->clip_entry);
    gradient = tb_minimum(g, tb_maximum(g, gradient, least), most);
  }
  if (s->clip_norm > 0) {
    const tb_value norm = tb_sqrt(g, tb_reduce(g, TB_SUM, tb_square(g, gradient), 1u << 1, true));
    const tb_value most = tb_scalar(g, s->dtype, s->clip_norm);
    gradient = tb_multiply(g, gradient, tb_divide(g, most, tb_maximum(g, norm, most)));
  }
  return gradient;
}

/* next[0]: θ after the step; next[1 …]: the state.  rate [R,1]; corrections 1/(1 − βᵏ) of both moments. */
static void update(tb_graph *g, const tb_training_shape *s, tb_value theta, const tb_value *state, tb_value rate,
                   tb_value corrections, tb_value gradient, tb_value *next) {
  switch (s->update) {
  case TB_UPDATE_GD:
    next[0] = tb_subtract(g, theta, tb_multiply(g, rate, gradient));
    break;
  case TB_UPDATE_MOMENTUM:
    next[1] = tb_add(g, tb_scale(g, state[0], s->momentum), gradient);
    next[0] = tb_subtract(g, theta, tb_multiply(g, rate, next[1]));
    break;
  case TB_UPDATE_ADAM: {
    const tb_value c1 = tb_slice(g, corrections, 0, 0, 1), c2 = tb_slice(g, corrections, 0, 1, 1);
    next[1] = tb_add(g, tb_scale(g, state[0], s->beta1), tb_scale(g, gradient, 1 - s->beta1));
    next[2] = tb_add(g, tb_scale(g, state[1], s->beta2), tb_scale(g, tb_square(g, gradient), 1 - s->beta2));
    const tb_value root = tb_shift(g, tb_sqrt(g, tb_multiply(g, next[2], c2)), s->epsilon);
    const tb_value ratio = tb_divide(g, tb_multiply(g, next[1], c1), root);
    const tb_value move = s->decay > 0 ? tb_add(g, tb_scale(g, theta, s->decay), ratio) : ratio;
    next[0] = tb_subtract(g, theta, tb_multiply(g, rate, move));
    break;
  }
  case TB_UPDATE_NONE:
    next[0] = theta;
    next[1] = gradient;
    break;
  }
}

/* inputs: θ, state, rates, corrections, keys, data; outputs: [1 + notes, R], θ, state */
static tb_status compile(tb_training *t, const tb_training_shape *s, const tb_program_options *options) {
  const size_t shape[] = { s->replicas, s->parameters };
  tb_value state[MOST_STATE], data[TB_TRAINING_INPUTS], reports[1 + TB_TRAINING_NOTES], gradient, next[1 + MOST_STATE];
  tb_value out[OWN_OUTPUTS];
  tb_graph *g;
  tb_status status = tb_graph_new(t->context, &g);
  if (status)
    return status;
  const tb_value theta = tb_input(g, "theta", s->dtype, 2, shape);
  for (size_t i = 0; i < t->n_state; i++)
    state[i] = tb_input(g, "state", s->dtype, 2, shape);
  const tb_value rate = tb_input(g, "rate", s->dtype, 2, (size_t[]){ s->replicas, 1 });
  const tb_value corrections = tb_input(g, "corrections", s->dtype, 1, (size_t[]){ 2 });
  const tb_value keys = tb_input(g, "keys", TB_INT32, 2, (size_t[]){ s->replicas, 3 });
  for (size_t i = 0; i < s->n_inputs; i++)
    data[i] = tb_input(g, s->inputs[i].name, s->inputs[i].dtype, s->inputs[i].rank, s->inputs[i].dims);
  reports[0] = s->loss(s->user, g, theta, data, keys, reports + 1);
  tb_gradient(g, tb_sum(g, reports[0]), 1, &theta, &gradient);
  update(g, s, theta, state, rate, corrections, clipped(g, s, gradient), next);
  for (size_t i = 0; i <= s->n_notes; i++)
    reports[i] = tb_reshape(g, reports[i], 1, &s->replicas);
  out[0] = tb_concat(g, 0, 1 + s->n_notes, reports);
  const bool moves = s->update != TB_UPDATE_NONE;
  memcpy(out + 1, next + !moves, (moves + t->n_state) * sizeof *out);
  status = tb_program_new(t->context, g, 1 + moves + t->n_state, out, options, &t->program);
  tb_graph_free(g);
  return status;
}

tb_status tb_training_new(tb_context *context, const tb_training_shape *s, const tb_program_options *options,
                          tb_training **out) {
  *out = NULL;
  if (s->replicas == 0 || s->parameters == 0 || s->parameters > ((size_t)1 << 40) / s->replicas ||
      s->n_inputs > TB_TRAINING_INPUTS || s->n_notes > TB_TRAINING_NOTES || s->dtype == TB_INT32)
    return tb_fail(context, TB_USAGE, "training", NULL, "no training of %zu replicas of %zu parameters", s->replicas,
                   s->parameters);
  tb_training *t = tb_allocate(context, 1, sizeof *t);
  if (!t)
    return TB_NO_MEMORY;
  *t = (tb_training){ .context = context,
                      .dtype = s->dtype,
                      .replicas = s->replicas,
                      .count = s->replicas * s->parameters,
                      .update = s->update,
                      .beta1 = s->beta1,
                      .beta2 = s->beta2,
                      .n_inputs = s->n_inputs,
                      .n_notes = s->n_notes,
                      .n_state = state_of[s->update] };
  const size_t width = width_of(s->dtype);
  for (size_t i = 0; i < s->n_inputs; i++) {
    t->input_bytes[i] = width_of(s->inputs[i].dtype);
    for (size_t k = 0; k < s->inputs[i].rank; k++)
      t->input_bytes[i] *= s->inputs[i].dims[k];
  }
  t->memory = tb_allocate(context, (1 + t->n_state) * t->count, width);
  t->rates = tb_allocate(context, t->replicas, width);
  t->corrections = tb_allocate(context, 2, width);
  t->losses = tb_allocate(context, (1 + t->n_notes) * t->replicas, width);
  t->keys = tb_allocate(context, 3 * t->replicas, sizeof *t->keys);
  tb_status status = t->memory && t->rates && t->corrections && t->losses && t->keys ? TB_OK : TB_NO_MEMORY;
  if (!status) {
    memset(t->memory, 0, (1 + t->n_state) * t->count * width);
    status = compile(t, s, options);
  }
  if (status) {
    tb_training_free(t);
    return status;
  }
  *out = t;
  return TB_OK;
}

void tb_training_free(tb_training *t) {
  if (!t)
    return;
  tb_program_free(t->program);
  tb_release(t->context, t->memory);
  tb_release(t->context, t->rates);
  tb_release(t->context, t->corrections);
  tb_release(t->context, t->losses);
  tb_release(t->context, t->keys);
  tb_release(t->context, t);
}

/* ---- a step ---- */

static void put(const tb_training *t, void *to, size_t i, double value) {
  if (t->dtype == TB_FLOAT64)
    ((double *)to)[i] = value;
  else
    ((float *)to)[i] = (float)value;
}

static double get(const tb_training *t, const void *from, size_t i) {
  return t->dtype == TB_FLOAT64 ? ((const double *)from)[i] : (double)((const float *)from)[i];
}

static char *array(const tb_training *t, size_t i) {
  return t->memory + i * t->count * width_of(t->dtype);
}

tb_status tb_training_step(tb_training *t, const void *const *inputs, const double *rates, const uint64_t *seeds,
                           double *losses, double *notes) {
  const void *in[OWN_INPUTS + TB_TRAINING_INPUTS];
  void *out[OWN_OUTPUTS];
  const double k = (double)t->steps + 1;
  const bool moves = t->update != TB_UPDATE_NONE;
  size_t n_in = 0, n_out = 0;
  for (size_t r = 0; r < t->replicas; r++) {
    const uint64_t seed = seeds ? seeds[r] : 0;
    const uint32_t words[] = { (uint32_t)seed, (uint32_t)(seed >> 32), (uint32_t)t->steps };
    memcpy(t->keys + 3 * r, words, sizeof words);
    put(t, t->rates, r, rates[r]);
  }
  if (t->update == TB_UPDATE_ADAM) {
    put(t, t->corrections, 0, 1 / (1 - pow(t->beta1, k)));
    put(t, t->corrections, 1, 1 / (1 - pow(t->beta2, k)));
  }
  for (size_t i = 0; i <= t->n_state; i++)
    in[n_in++] = array(t, i);
  in[n_in++] = t->rates;
  in[n_in++] = t->corrections;
  in[n_in++] = t->keys;
  for (size_t i = 0; i < t->n_inputs; i++)
    in[n_in++] = inputs[i];
  out[n_out++] = t->losses;
  for (size_t i = !moves; i <= t->n_state; i++)
    out[n_out++] = array(t, i);
  const tb_status status = tb_program_run(t->program, n_in, in, n_out, out);
  if (status)
    return status;
  t->steps++;
  for (size_t r = 0; losses && r < t->replicas; r++)
    losses[r] = get(t, t->losses, r);
  for (size_t i = 0; notes && i < t->n_notes * t->replicas; i++)
    notes[i] = get(t, t->losses, t->replicas + i);
  return TB_OK;
}

uint64_t tb_training_steps(const tb_training *t) {
  return t->steps;
}

/* ---- looking in ---- */

void *tb_training_theta(tb_training *t) {
  return t->memory;
}

void tb_training_start(tb_training *t, size_t replica, const double *theta) {
  const size_t p = t->count / t->replicas;
  for (size_t i = 0; i < p; i++)
    put(t, t->memory, replica * p + i, theta[i]);
}

void tb_training_point(const tb_training *t, size_t replica, double *theta) {
  const size_t p = t->count / t->replicas;
  for (size_t i = 0; i < p; i++)
    theta[i] = get(t, t->memory, replica * p + i);
}

const void *tb_training_gradient(const tb_training *t) {
  return t->update == TB_UPDATE_NONE ? array(t, 1) : NULL;
}

tb_cost tb_training_cost(const tb_training *t) {
  return tb_program_cost(t->program);
}

/* ---- checkpoints ---- */

static size_t memory_size(const tb_training *t) {
  return (1 + t->n_state) * t->count * width_of(t->dtype);
}

size_t tb_training_size(const tb_training *t) {
  return sizeof t->steps + memory_size(t);
}

void tb_training_save(const tb_training *t, void *block) {
  memcpy(block, &t->steps, sizeof t->steps);
  memcpy((char *)block + sizeof t->steps, t->memory, memory_size(t));
}

void tb_training_restore(tb_training *t, const void *block) {
  memcpy(&t->steps, block, sizeof t->steps);
  memcpy(t->memory, (const char *)block + sizeof t->steps, memory_size(t));
}

/* ---- what it takes ---- */

double tb_training_bytes(const tb_training *t) {
  double bytes = (double)memory_size(t) + tb_program_cost(t->program).arena_bytes;
  for (size_t i = 0; i < t->n_inputs; i++)
    bytes += (double)t->input_bytes[i];
  return bytes;
}

/* dds and pis: samplers whose control is learned (or affine, and then not learned).
 *
 * Built-in targets are compiled into the roll-out.  A density that is no graph takes part from outside: the network
 * goes without its score, and a training step takes two programs: one rolls out, the host asks for ln γ and ∇ ln γ at
 * the ends, one differentiates with those held, −∇ ln γ(y_K)·y_K standing for −ln γ(y_K).  The gradient is the same. */
#include <math.h>
#include <string.h>

#include "diffusion/control.h"
#include "diffusion/rollout.h"
#include "optim/training.h"

typedef struct learner {
  const tb_sampling *s;
  tb_chain chain;
  tb_rollout_shape shape;
  tb_dtype dtype;
  const double *affine;
  bool graph, lv;
  size_t dims, parameters, batch;
  uint64_t iterations;
  tb_training *training;  /* NULL: affine */
  tb_program *ends;       /* of a training batch, for a density that is no graph */
  tb_program *out, *back; /* of `rows` rows */
  size_t rows;
  uint64_t gradients; /* of ln γ, by graphs */
} learner;

static size_t width_of(const learner *l) {
  return l->dtype == TB_FLOAT64 ? sizeof(double) : sizeof(float);
}

static double get(const learner *l, const void *from, size_t i) {
  return l->dtype == TB_FLOAT64 ? ((const double *)from)[i] : (double)((const float *)from)[i];
}

static void put(const learner *l, void *to, size_t i, double value) {
  if (l->dtype == TB_FLOAT64)
    ((double *)to)[i] = value;
  else
    ((float *)to)[i] = (float)value;
}

/* ---- graphs ---- */

/* inputs: none, or from outside ∇ ln γ at the ends [1,B,d] (kl), ln γ there [1,B] (lv) */
static tb_value loss(void *user, tb_graph *g, tb_value theta, const tb_value *inputs, tb_value keys, tb_value *notes) {
  const learner *l = user;
  tb_rollout_shape shape = l->shape;
  shape.batch = l->batch;
  shape.held = l->lv;
  const tb_value key = tb_reshape(g, keys, 1, (size_t[]){ 3 });
  const tb_rollout r = tb_rollout_build(g, &shape, theta, key);
  tb_value terminal;
  if (l->graph)
    terminal = tb_rollout_terminal(g, &shape, &r, l->s->density);
  else {
    const tb_value gamma = l->lv ? inputs[0] : tb_reduce(g, TB_SUM, tb_multiply(g, inputs[0], r.end), 1u << 2, false);
    terminal = tb_subtract(g, tb_log_normal(g, r.end, 0, l->chain.sigma), gamma);
  }
  return l->lv ? tb_rollout_log_variance(g, &r, terminal) : tb_rollout_loss(g, &r, terminal);
}

/* theta, key (, end) → running, stochastic, end */
static tb_status compile(learner *l, size_t rows, bool back, tb_program **program) {
  tb_context *context = l->s->context;
  tb_rollout_shape shape = l->shape;
  shape.batch = rows;
  tb_graph *g;
  tb_status status = tb_graph_new(context, &g);
  if (status)
    return status;
  const tb_value theta = tb_input(g, "theta", l->dtype, 2, (size_t[]){ 1, l->parameters });
  const tb_value key = tb_input(g, "key", TB_INT32, 1, (size_t[]){ 3 });
  tb_rollout r;
  if (back)
    r = tb_rollout_back(g, &shape, theta, key, tb_input(g, "end", l->dtype, 3, (size_t[]){ 1, rows, l->dims }));
  else
    r = tb_rollout_build(g, &shape, theta, key);
  status = tb_program_new(context, g, back ? 2 : 3, (tb_value[]){ r.running, r.stochastic, r.end }, NULL, program);
  tb_graph_free(g);
  return status;
}

static tb_status make_training(learner *l) {
  const tb_training_input gradient = { "gradient", l->dtype, 3, { 1, l->batch, l->dims } };
  const tb_training_input value = { "value", l->dtype, 2, { 1, l->batch } };
  const tb_training_shape shape = { .dtype = l->dtype,
                                    .replicas = 1,
                                    .parameters = l->parameters,
                                    .update = TB_UPDATE_ADAM,
                                    .beta1 = 0.9,
                                    .beta2 = 0.999,
                                    .epsilon = 1e-8,
                                    .clip_entry = 1,
                                    .n_inputs = l->graph ? 0 : 1,
                                    .inputs = l->lv ? &value : &gradient,
                                    .loss = loss,
                                    .user = l };
  tb_status status = tb_training_new(l->s->context, &shape, NULL, &l->training);
  double *theta = status ? NULL : tb_arena_allocate(l->s->arena, l->parameters, sizeof *theta);
  if (!theta)
    return status ? status : TB_NO_MEMORY;
  tb_drift_initialise(&l->shape.drift, (tb_key){ .seed = l->s->seed, .use = tb_use("drift network") }, theta);
  tb_training_start(l->training, 0, theta);
  return l->graph ? TB_OK : compile(l, l->batch, false, &l->ends);
}

/* ---- what a configuration asks for ---- */

static tb_drift_shape drift_of(const tb_config *config, const tb_density *density) {
  return (tb_drift_shape){ .dims = density->dims,
                           .width = (size_t)tb_config_integer(config, "width"),
                           .layers = (size_t)tb_config_integer(config, "layers") };
}

static tb_status check(tb_context *context, const tb_config *config, const tb_density *density) {
  const double *affine;
  const size_t numbers = tb_config_reals(config, "affine", &affine);
  if (numbers && numbers != 2)
    return tb_fail(context, TB_USAGE, "option affine", "affine=a,b is the control a·y + b", "affine= has %zu numbers",
                   numbers);
  for (size_t i = 0; i < numbers; i++)
    if (!isfinite(affine[i]))
      return tb_fail(context, TB_USAGE, "option affine", "give finite numbers", "affine= holds %g", affine[i]);
  if (tb_config_is(config, "loss", "lv") && tb_config_integer(config, "batch") < 2)
    return tb_fail(context, TB_USAGE, "option batch", "give batch=2 or more", "loss=lv is a variance over the batch");
  const tb_drift_shape drift = drift_of(config, density);
  const tb_status status = tb_control_check(context, config);
  return status || numbers ? status : tb_drift_check(context, &drift);
}

/* Floating-point work of a gradient of ln γ as a graph, from a batch of them. */
static double gradient_flop(const tb_density *density) {
  enum { ROWS = 32 };
  tb_graph *g;
  tb_program *program = NULL;
  double flop = NAN;
  if (tb_graph_new(density->context, &g) != TB_OK)
    return flop;
  const tb_value score =
      tb_density_score(density, g, tb_input(g, "y", TB_FLOAT32, 3, (size_t[]){ 1, ROWS, density->dims }));
  if (tb_program_new(density->context, g, 1, &score, NULL, &program) == TB_OK)
    flop = tb_program_cost(program).flop / ROWS;
  tb_program_free(program);
  tb_graph_free(g);
  return flop;
}

static void cost(const tb_config *config, const tb_density *density, double *gradients, double *flop) {
  const double *affine;
  const double d = (double)density->dims, h = (double)tb_config_integer(config, "width");
  const double steps = (double)tb_config_integer(config, "steps"), draws = (double)tb_config_integer(config, "draws");
  const bool trained = tb_config_reals(config, "affine", &affine) == 0, graph = density->target->build != NULL;
  const double rows =
      trained ? (double)tb_config_integer(config, "batch") * (double)tb_config_integer(config, "iterations") : 0;
  const double network = 2 * h * (2 * d + h * ((double)tb_config_integer(config, "layers") - 1)) + 20 * h;
  *gradients = graph ? 0 : rows;
  /* besides: noise, transfers and weights of a row's step, and the making of programs, by what they cost in time */
  *flop = ((trained ? network : 0) + 200 * d) * steps * (3 * rows + 2 * draws) + 3e8;
  if (trained && graph)
    *flop += gradient_flop(density) * steps * (rows + 2 * draws);
}

static tb_status open(learner *l, const tb_sampling *s, tb_chain_kind kind) {
  const tb_config *config = s->config;
  *l = (learner){ .s = s,
                  .dtype = TB_FLOAT32,
                  .graph = s->density->target->build != NULL,
                  .lv = tb_config_is(config, "loss", "lv"),
                  .dims = s->density->dims,
                  .parameters = 1,
                  .batch = (size_t)tb_config_integer(config, "batch"),
                  .iterations = (uint64_t)tb_config_integer(config, "iterations") };
  if (tb_config_find(config, "dtype") && tb_config_is(config, "dtype", "float64"))
    l->dtype = TB_FLOAT64;
  const size_t most = 65536 / l->dims + 1;
  l->rows = s->draws < 512 ? s->draws : 512;
  l->rows = l->rows < most ? l->rows : most;
  tb_status status = tb_control_chain(s->context, s->arena, config, kind, &l->chain);
  const double *affine;
  if (tb_config_reals(config, "affine", &affine) == 2)
    l->affine = affine;
  l->shape = (tb_rollout_shape){ .drift = drift_of(config, s->density),
                                 .chain = &l->chain,
                                 .density = l->graph ? s->density : NULL,
                                 .affine = l->affine };
  if (!l->affine)
    l->parameters = tb_drift_parameters(&l->shape.drift);
  if (!status && !l->affine)
    status = make_training(l);
  if (!status)
    status = compile(l, l->rows, false, &l->out);
  if (!status && s->density->target->draw)
    status = compile(l, l->rows, true, &l->back);
  return status;
}

static void close(learner *l) {
  tb_training_free(l->training);
  tb_program_free(l->ends);
  tb_program_free(l->out);
  tb_program_free(l->back);
}

/* ---- training ---- */

static void key_of(uint64_t seed, uint64_t step, int32_t key[3]) {
  const uint32_t words[] = { (uint32_t)seed, (uint32_t)(seed >> 32), (uint32_t)step };
  memcpy(key, words, sizeof words);
}

/* Rolls the coming batch out and asks the density: what the loss takes from outside.  *mean: of running + terminal. */
static tb_status ask(learner *l, void *running, void *stochastic, void *end, double *x, double *value, double *gradient,
                     void *input, double *mean) {
  const size_t n = l->batch, d = l->dims;
  int32_t key[3];
  key_of(l->s->seed, tb_training_steps(l->training), key);
  tb_status status = tb_program_run(l->ends, 2, (const void *[]){ tb_training_theta(l->training), key }, 3,
                                    (void *[]){ running, stochastic, end });
  for (size_t i = 0; i < n * d && !status; i++)
    x[i] = get(l, end, i);
  if (!status)
    status = tb_density_values(l->s->density, n, x, value, l->lv ? NULL : gradient);
  *mean = 0;
  for (size_t i = 0; i < n && !status; i++) {
    double normal = 0;
    value[i] = fmax(value[i], -1e30); /* density 0: as bad as a float can say */
    for (size_t k = 0; k < d; k++)
      normal -= 0.5 * x[i * d + k] * x[i * d + k] / (l->chain.sigma * l->chain.sigma) + 0.9189385332046727 +
                log(l->chain.sigma);
    *mean += (get(l, running, i) + normal - value[i]) / (double)n;
    if (l->lv)
      put(l, input, i, value[i]);
    for (size_t k = 0; k < d && !l->lv; k++)
      put(l, input, i * d + k, fmin(fmax(gradient[i * d + k], -1e6), 1e6));
  }
  return status;
}

static tb_status save(learner *l) {
  const size_t size = tb_training_size(l->training);
  void *block = tb_allocate(l->s->context, size, 1);
  if (!block)
    return TB_NO_MEMORY;
  tb_training_save(l->training, block);
  const tb_status status = l->s->checkpoint_save(l->s->user, block, size);
  tb_release(l->s->context, block);
  return status;
}

static tb_status restore(learner *l) {
  const void *block;
  size_t size;
  tb_status status = l->s->checkpoint_load(l->s->user, &block, &size);
  if (status || !block)
    return status;
  if (size != tb_training_size(l->training))
    return tb_fail(l->s->context, TB_FAILED, "checkpoint", "start the run afresh", "the checkpoint is not of this run");
  tb_training_restore(l->training, block);
  return TB_OK;
}

/* Between two steps: tells, saves, stops. */
static tb_status pause(learner *l, uint64_t step) {
  const tb_sampling *s = l->s;
  s->progress(s->user, 0.95 * (double)step / (double)l->iterations, "training the control");
  if (s->should_stop(s->user)) {
    const tb_status status = save(l);
    return status ? status : s->stop_status(s->user);
  }
  return s->checkpoint_due(s->user) ? save(l) : TB_OK;
}

static tb_status train(learner *l) {
  const tb_sampling *s = l->s;
  const tb_config *config = s->config;
  const double lr = tb_config_real(config, "lr"), decay = tb_config_real(config, "lr_decay");
  const uint64_t every = (uint64_t)tb_config_integer(config, "lr_decay_every");
  const size_t n = l->batch, d = l->dims;
  char *block = l->graph ? NULL : tb_arena_allocate(s->arena, n * (2 + 2 * d), width_of(l));
  double *x = l->graph ? NULL : tb_arena_allocate(s->arena, n * (2 * d + 1), sizeof *x);
  if (!l->graph && (!block || !x))
    return TB_NO_MEMORY;
  void *running = block, *stochastic = block + n * width_of(l), *end = block + 2 * n * width_of(l);
  void *input = block + n * (2 + d) * width_of(l);
  tb_status status = restore(l);
  while (!status && tb_training_steps(l->training) < l->iterations) {
    const uint64_t step = tb_training_steps(l->training);
    const double rate = lr * pow(decay, (double)(step / every));
    double now, seen;
    if (step % 4 == 0 && (status = pause(l, step)))
      return status;
    if (!l->graph)
      status = ask(l, running, stochastic, end, x, x + n * d, x + n * (d + 1), input, &seen);
    if (!status)
      status = tb_training_step(l->training, (const void *[]){ input }, &rate, &s->seed, &now, NULL);
    if (!status && !isfinite(l->graph || l->lv ? now : seen))
      status =
          tb_fail(s->context, TB_FAILED, "training",
                  "lower lr=, or give another sigma=", "the loss is not finite at step %llu", (unsigned long long)step);
    l->gradients += l->graph ? (uint64_t)n * l->chain.steps : 0;
  }
  return status;
}

/* ---- draws ---- */

enum { EVALUATION = 0x40000000 }; /* step words of evaluations begin here */

/* ln w without the density: −(running + stochastic + ln N(y_K; 0, σ²I)), from float to double. */
static double without_density(const learner *l, const void *running, const void *stochastic, size_t i,
                              const double *x) {
  double normal = 0;
  for (size_t k = 0; k < l->dims; k++)
    normal -= 0.5 * x[k] * x[k] / (l->chain.sigma * l->chain.sigma) + 0.9189385332046727 + log(l->chain.sigma);
  return -(get(l, running, i) + get(l, stochastic, i) + normal);
}

/* n rows forward, or backward from exact draws: x [n,d], log_weight [n]. */
static tb_status roll(learner *l, bool back, size_t n, double *x, double *log_weight) {
  const tb_sampling *s = l->s;
  const size_t d = l->dims, rows = l->rows;
  char *block = tb_allocate(s->context, rows * (2 + d), width_of(l));
  double *value = tb_allocate(s->context, rows * (d + 1), sizeof *value), *whole = value + rows, zero = 0;
  tb_status status = block && value ? TB_OK : TB_NO_MEMORY;
  void *running = block, *stochastic = block + rows * width_of(l), *end = block + 2 * rows * width_of(l);
  const void *theta = l->training ? tb_training_theta(l->training) : (void *)&zero;
  for (size_t from = 0; from < n && !status; from += rows) {
    const size_t count = n - from < rows ? n - from : rows;
    int32_t key[3];
    key_of(s->seed, EVALUATION / l->chain.steps + from / rows, key);
    if (back)
      s->density->target->draw(s->density, (tb_key){ .seed = s->seed, .use = tb_use("ends of paths") }, from, rows,
                               whole);
    for (size_t i = 0; i < rows * d && back; i++)
      put(l, end, i, whole[i]);
    const void *in[] = { theta, key, end };
    status =
        tb_program_run(back ? l->back : l->out, back ? 3 : 2, in, back ? 2 : 3, (void *[]){ running, stochastic, end });
    for (size_t i = 0; i < count * d && !status; i++)
      x[from * d + i] = back ? whole[i] : get(l, end, i);
    if (!status)
      status = tb_density_values(s->density, count, x + from * d, value, NULL);
    for (size_t i = 0; i < count && !status; i++)
      log_weight[from + i] = value[i] + without_density(l, running, stochastic, i, x + (from + i) * d);
    if (!status && s->should_stop(s->user) && !l->training)
      status = s->stop_status(s->user);
  }
  l->gradients += l->graph && !l->affine ? (uint64_t)n * l->chain.steps : 0;
  tb_release(s->context, block);
  tb_release(s->context, value);
  return status;
}

static tb_status finish(learner *l, tb_draws *draws) {
  const tb_sampling *s = l->s;
  const size_t n = s->draws, d = l->dims;
  *draws = tb_draws_new();
  draws->count = n;
  draws->x = tb_arena_allocate(s->arena, n * d, sizeof(double));
  draws->log_weight = tb_arena_allocate(s->arena, n, sizeof(double));
  double *upper = tb_arena_allocate(s->arena, n * (d + 1), sizeof *upper);
  if (!draws->x || !draws->log_weight || !upper)
    return TB_NO_MEMORY;
  tb_status status = roll(l, false, n, draws->x, draws->log_weight);
  for (size_t i = 0; i < n && !status; i++)
    if (isnan(draws->log_weight[i]))
      status = tb_fail(s->context, TB_FAILED, "weights", "lower lr=, or give another sigma=",
                       "path %zu has no weight: its control left the range of numbers", i);
  if (!status)
    status = tb_control_report(s, &l->chain, draws);
  if (!status && l->back) {
    status = roll(l, true, n, upper, upper + n * d);
    if (!status)
      tb_control_upper(draws, n, upper + n * d);
  }
  draws->n_grad = (double)l->gradients + (double)s->density->evaluations;
  return status;
}

static tb_status run(const tb_sampling *s, tb_draws *draws, tb_chain_kind kind) {
  learner l;
  s->density->evaluations = 0;
  tb_status status = open(&l, s, kind);
  if (!status && l.training)
    status = train(&l);
  if (!status)
    status = finish(&l, draws);
  close(&l);
  return status;
}

static tb_status run_dds(const tb_sampling *s, tb_draws *draws) {
  return run(s, draws, TB_CHAIN_DDS);
}

static tb_status run_pis(const tb_sampling *s, tb_draws *draws) {
  return run(s, draws, TB_CHAIN_PIS);
}

const tb_sampler tb_sampler_dds = {
  .name = "dds",
  .summary = "denoising diffusion sampler: the reversal of an Ornstein-Uhlenbeck process with a learned control",
  .formula = "y' = √(1−β²) y + β² f(y, t) + σβ ξ;  ln w = −Σ(½β²‖f‖²/σ² + β f·ξ/σ) − ln N(y_K; 0, σ²I) + ln γ(y_K)",
  .source = "Vargas, Grathwohl and Doucet 2023",
  .float32 = true,
  .options = &tb_control_options,
  .check = check,
  .cost = cost,
  .run = run_dds,
};

const tb_sampler tb_sampler_pis = {
  .name = "pis",
  .summary = "path integral sampler: a Brownian motion from 0 with a learned control",
  .formula = "dX = (σ/√T)(u dt + dW);  ln w = −½∫‖u‖² dt − ∫u·dW − ln N(X_T; 0, σ²I) + ln γ(X_T)",
  .source = "Zhang and Chen 2022",
  .float32 = true,
  .options = &tb_control_options,
  .check = check,
  .cost = cost,
  .run = run_pis,
};

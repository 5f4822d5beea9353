/* The network and loss of score_net.h. */
#include "diffusion/score_net.h"

#include <math.h>
#include <string.h>

/* A line and four octaves of waves: of λ, which runs from about −5 to 7, with periods 50 to 6; of t/T with 2 to ¼. */
enum { OCTAVES = 4, FEATURES = 1 + 2 * OCTAVES };
static const double slowest_ratio = 0.125, ratio_unit = 0.25, slowest_time = 3.14159265358979323846;

static tb_model_shape perceptron(const tb_score_net *net) {
  return (tb_model_shape){ .inputs = net->dims + FEATURES,
                           .depth = net->depth,
                           .width = net->width,
                           .activation = net->activation,
                           .outputs = net->dims };
}

tb_status tb_score_net_check(tb_context *context, const tb_score_net *net) {
  const tb_model_shape shape = perceptron(net);
  if (net->depth < 2)
    return tb_fail(context, TB_USAGE, "option depth", "give depth=2 or more", "a score network needs a hidden layer");
  return tb_model_check(context, tb_model_find("mlp"), &shape);
}

size_t tb_score_net_parameters(const tb_score_net *net) {
  const tb_model_shape shape = perceptron(net);
  return tb_model_find("mlp")->parameters(&shape);
}

void tb_score_net_initialise(const tb_score_net *net, tb_key key, double *theta) {
  const tb_model_shape shape = perceptron(net);
  const tb_model *model = tb_model_find("mlp");
  size_t rows, cols, at = 0;
  char name[32];
  tb_random_normal(key, 0, model->parameters(&shape), theta);
  for (size_t k = 0; model->block(&shape, k, name, &rows, &cols); k++) {
    const bool zero = name[0] == 'b' || k / 2 + 1 == (size_t)net->depth;
    for (size_t i = 0; i < rows * cols; i++, at++)
      theta[at] *= zero ? 0 : sqrt(2 / (double)cols);
  }
}

/* a [R,n,1] or [1,1,1] → [.., FEATURES]: unit·a, then sines and cosines */
static tb_value waves(tb_graph *g, tb_value a, double unit, double frequency) {
  tb_value parts[FEATURES] = { tb_scale(g, a, unit) };
  for (int k = 0; k < OCTAVES; k++, frequency *= 2) {
    const tb_value angle = tb_scale(g, a, frequency);
    parts[1 + 2 * k] = tb_sin(g, angle);
    parts[2 + 2 * k] = tb_cos(g, angle);
  }
  return tb_concat(g, 2, FEATURES, parts);
}

/* F of z [R,n,d] and features [R,n,..] or [1,1,..] */
static tb_value apply(tb_graph *g, const tb_score_net *net, tb_value theta, tb_value z, tb_value features) {
  const tb_model_shape shape = perceptron(net);
  const size_t all[] = { tb_dim(g, z, 0), tb_dim(g, z, 1), FEATURES };
  const tb_value input = tb_concat(g, 2, 2, (tb_value[]){ z, tb_broadcast(g, features, 3, all) });
  const tb_value f = tb_model_find("mlp")->output(g, &shape, theta, input);
  return net->dims > 1 ? f : tb_reshape(g, f, 3, (size_t[]){ all[0], all[1], 1 });
}

tb_value tb_score_net_build(tb_graph *g, const tb_score_net *net, tb_value theta, tb_value x, tb_value t,
                            tb_value alpha, tb_value sigma) {
  if (!net->preconditioned)
    return apply(g, net, theta, x, waves(g, tb_scale(g, t, 1 / net->end), 1, slowest_time));
  const tb_dtype dtype = tb_value_dtype(g, x);
  const tb_value mean = tb_cast(g, tb_constant(g, TB_FLOAT64, 1, &net->dims, net->mean), dtype);
  const tb_value sd = tb_cast(g, tb_constant(g, TB_FLOAT64, 1, &net->dims, net->sd), dtype);
  const tb_value scaled = tb_multiply(g, alpha, sd); /* αs [..,d] */
  const tb_value spread = tb_sqrt(g, tb_add(g, tb_square(g, scaled), tb_square(g, sigma)));
  const tb_value z = tb_divide(g, tb_subtract(g, x, tb_multiply(g, alpha, mean)), spread);
  const tb_value features = waves(g, tb_log(g, tb_divide(g, alpha, sigma)), ratio_unit, slowest_ratio);
  const tb_value f = apply(g, net, theta, z, features);
  return tb_add(g, tb_multiply(g, z, tb_divide(g, sigma, spread)), tb_multiply(g, f, tb_divide(g, scaled, spread)));
}

tb_value tb_score_net_loss(tb_graph *g, const tb_score_net *net, const tb_process *process, double first, double last,
                           size_t batch, tb_value theta, tb_value data, tb_value key) {
  const tb_dtype dtype = tb_value_dtype(g, theta);
  const size_t d = net->dims, rows = tb_dim(g, data, 0), one[] = { 1, batch, 1 }, all[] = { 1, batch, d };
  const tb_value pick = tb_uniform(g, key, tb_use("rows of a batch"), TB_FLOAT64, 1, &batch);
  const tb_value index = tb_cast(g, tb_scale(g, pick, (double)rows), TB_INT32);
  const tb_value x0 = tb_reshape(g, tb_gather(g, data, 0, index), 3, all);
  /* one time in each of `batch` equal parts */
  const tb_value place = tb_add(g, tb_uniform(g, key, tb_use("times of a batch"), dtype, 3, one),
                                tb_cast(g, tb_iota(g, TB_INT32, 3, one, 1), dtype));
  const tb_value t = tb_shift(g, tb_scale(g, place, (last - first) / (double)batch), first);
  const tb_value noise = tb_normal(g, key, tb_use("noise of a batch"), dtype, 3, all);
  tb_value alpha, sigma;
  tb_process_build(g, process, t, &alpha, &sigma);
  const tb_value x = tb_add(g, tb_multiply(g, alpha, x0), tb_multiply(g, sigma, noise));
  const tb_value error = tb_subtract(g, tb_score_net_build(g, net, theta, x, t, alpha, sigma), noise);
  return tb_reduce(g, TB_MEAN, tb_square(g, error), 1u << 1 | 1u << 2, false);
}

/* ---- a trained network as a score ---- */

enum { PLAIN, TRACE, PROBED, PROGRAMS };

struct tb_learned {
  tb_context *context;
  tb_arena *arena;
  const tb_score_net *net;
  tb_dtype dtype;
  size_t block, parameters;
  tb_program *programs[PROGRAMS];               /* compiled when first asked for */
  void *theta, *x, *probe, *noise, *trace, *at; /* in dtype; a block of rows; t, α, σ */
};

tb_status tb_learned_new(tb_context *context, const tb_score_net *net, tb_dtype dtype, size_t block, tb_learned **out) {
  tb_learned *l = *out = tb_allocate(context, 1, sizeof *l);
  if (!l)
    return TB_NO_MEMORY;
  *l = (tb_learned){ .context = context,
                     .net = net,
                     .dtype = dtype,
                     .block = block,
                     .parameters = tb_score_net_parameters(net),
                     .arena = tb_arena_new(context) };
  const size_t size = block * net->dims, counts[] = { l->parameters, size, size, size, block, 3 };
  void **const arrays[] = { &l->theta, &l->x, &l->probe, &l->noise, &l->trace, &l->at };
  for (size_t i = 0; l->arena && i < sizeof arrays / sizeof *arrays; i++)
    if (!(*arrays[i] = tb_arena_allocate(l->arena, counts[i] + 1, dtype == TB_FLOAT64 ? 8 : 4)))
      break;
  if (l->at)
    return TB_OK;
  tb_learned_free(l);
  *out = NULL;
  return TB_NO_MEMORY;
}

void tb_learned_free(tb_learned *l) {
  if (!l)
    return;
  for (int i = 0; i < PROGRAMS; i++)
    tb_program_free(l->programs[i]);
  tb_arena_free(l->arena);
  tb_release(l->context, l);
}

static void store(tb_dtype dtype, void *array, size_t count, const double *values) {
  if (dtype == TB_FLOAT64)
    memcpy(array, values, count * sizeof *values);
  else
    for (size_t i = 0; i < count; i++)
      ((float *)array)[i] = (float)values[i];
}

static void load(tb_dtype dtype, const void *array, size_t count, double *values) {
  if (dtype == TB_FLOAT64)
    memcpy(values, array, count * sizeof *values);
  else
    for (size_t i = 0; i < count; i++)
      values[i] = ((const float *)array)[i];
}

void tb_learned_set(tb_learned *l, const double *theta) {
  store(l->dtype, l->theta, l->parameters, theta);
}

/* ε̂ of x at times [3] = t, α, σ */
static tb_value at_one_time(tb_graph *g, const tb_learned *l, tb_value theta, tb_value x, tb_value time) {
  const size_t one[] = { 1, 1, 1 };
  tb_value parts[3];
  for (size_t i = 0; i < 3; i++)
    parts[i] = tb_reshape(g, tb_slice(g, time, 0, i, 1), 3, one);
  return tb_score_net_build(g, l->net, theta, x, parts[0], parts[1], parts[2]);
}

/* tr ∂ε̂/∂x of every row: d copies of the block, the i-th pushed along coordinate i. */
static tb_value trace_of(tb_graph *g, const tb_learned *l, tb_value theta, tb_value x, tb_value time) {
  const size_t d = l->net->dims, n = l->block, copies[] = { d, n, d }, flat[] = { 1, d * n, d };
  const tb_value many = tb_reshape(g, tb_broadcast(g, x, 3, copies), 3, flat);
  const tb_value row = tb_iota(g, TB_INT32, 3, copies, 0), column = tb_iota(g, TB_INT32, 3, copies, 2);
  const tb_value along = tb_cast(g, tb_equal(g, row, column), l->dtype); /* [d,n,d]: e_i */
  const tb_value tangent = tb_reshape(g, along, 3, flat), noise = at_one_time(g, l, theta, many, time);
  tb_value moved;
  if (tb_jvp(g, 1, &noise, 1, &many, &tangent, &moved))
    return (tb_value){ -1 };
  const tb_value own = tb_multiply(g, tb_reshape(g, moved, 3, copies), along);
  return tb_reduce(g, TB_SUM, own, 1u << 0 | 1u << 2, false); /* [n] */
}

/* uᵀ ∂ε̂/∂x u */
static tb_value probed(tb_graph *g, tb_value noise, tb_value x, tb_value probe) {
  tb_value moved;
  if (tb_jvp(g, 1, &noise, 1, &x, &probe, &moved))
    return (tb_value){ -1 };
  return tb_reduce(g, TB_SUM, tb_multiply(g, moved, probe), 1u << 0 | 1u << 2, false);
}

/* inputs: θ, x, time, probe; outputs: ε̂ and a trace */
static tb_status compile(tb_learned *l, int kind) {
  if (l->programs[kind])
    return TB_OK;
  const size_t dims[] = { 1, l->block, l->net->dims };
  tb_graph *g;
  tb_status status = tb_graph_new(l->context, &g);
  if (status)
    return status;
  const tb_value theta = tb_input(g, "theta", l->dtype, 2, (size_t[]){ 1, l->parameters });
  const tb_value x = tb_input(g, "x", l->dtype, 3, dims), time = tb_input(g, "time", l->dtype, 1, (size_t[]){ 3 });
  const tb_value probe = tb_input(g, "probe", l->dtype, 3, dims);
  tb_value outputs[2] = { at_one_time(g, l, theta, x, time) };
  if (kind == TRACE)
    outputs[1] = trace_of(g, l, theta, x, time);
  else if (kind == PROBED)
    outputs[1] = probed(g, outputs[0], x, probe);
  status = tb_program_new(l->context, g, kind == PLAIN ? 1 : 2, outputs, NULL, &l->programs[kind]);
  tb_graph_free(g);
  return status;
}

static tb_status run(tb_learned *l, int kind, const tb_noising *at, size_t n, const double *x, const double *probe,
                     double *noise, double *trace) {
  const size_t d = l->net->dims;
  tb_status status = compile(l, kind);
  store(l->dtype, l->at, 3, (double[]){ at->t, at->alpha, at->sigma });
  for (size_t first = 0; !status && first < n; first += l->block) {
    const size_t rows = n - first < l->block ? n - first : l->block; /* what is left of the block is of the last time */
    store(l->dtype, l->x, rows * d, x + first * d);
    if (probe)
      store(l->dtype, l->probe, rows * d, probe + first * d);
    status = tb_program_run(l->programs[kind], 4, (const void *[]){ l->theta, l->x, l->at, l->probe },
                            kind == PLAIN ? 1 : 2, (void *[]){ l->noise, l->trace });
    if (status)
      break;
    load(l->dtype, l->noise, rows * d, noise + first * d);
    if (trace)
      load(l->dtype, l->trace, rows, trace + first);
  }
  return status;
}

static tb_status learned_noise(void *self, const tb_noising *at, size_t n, const double *x, double *noise) {
  return run(self, PLAIN, at, n, x, NULL, noise, NULL);
}

static tb_status learned_trace(void *self, const tb_noising *at, size_t n, const double *x, const double *probe,
                               double *noise, double *trace) {
  return run(self, probe ? PROBED : TRACE, at, n, x, probe, noise, trace);
}

tb_score tb_learned_score(tb_learned *l) {
  return (tb_score){ l->net->dims, l, learned_noise, learned_trace };
}

/* The networks of trained.h: graphs of their losses, their batches, and evaluation in blocks of rows. */
#include "diffusion/trained.h"

#include <math.h>
#include <string.h>

#include <tiebreak/random.h>

#include "optim/training.h"

enum { ROWS = 512 }; /* of an evaluation */

struct tb_trained {
  tb_context *context;
  tb_trained_shape shape;
  tb_model_shape mlp;
  tb_training *training;
  tb_program *evaluate; /* θ, x [ROWS,d], t → v̂ [ROWS,d] */
  void *batch[3];       /* score: (x, t) [B,d+1], what v̂ should be [B,d], weights [B]; control: starts [B,d] */
  void *rows, *out;     /* [ROWS,d+1], [ROWS,d] */
};

static tb_model_shape mlp_of(const tb_trained_shape *s) {
  return (tb_model_shape){ .inputs = s->family->dims + 1,
                           .depth = s->depth,
                           .width = s->width,
                           .activation = TB_TANH,
                           .outputs = s->family->dims };
}

size_t tb_trained_parameters(const tb_trained_shape *s) {
  const tb_model_shape mlp = mlp_of(s);
  return tb_model_find("mlp")->parameters(&mlp);
}

size_t tb_trained_nodes(const tb_trained_shape *s) {
  return 2 * s->family->dims + 1 + (size_t)(s->depth - 1) * s->width;
}

/* inputs [R,n,d+1] → v̂ [R,n,d] */
static tb_value network(tb_graph *g, const tb_model_shape *mlp, tb_value theta, tb_value inputs) {
  const tb_value out = tb_model_find("mlp")->output(g, mlp, theta, inputs);
  const size_t dims[] = { tb_dim(g, out, 0), tb_dim(g, out, 1), mlp->outputs };
  return tb_reshape(g, out, 3, dims);
}

/* ---- losses ---- */

static tb_value score_loss(void *user, tb_graph *g, tb_value theta, const tb_value *inputs, tb_value keys,
                           tb_value *notes) {
  const tb_trained *t = user;
  const tb_value off = tb_subtract(g, network(g, &t->mlp, theta, inputs[0]), inputs[1]);
  const tb_value squares = tb_reduce(g, TB_SUM, tb_square(g, off), 1u << 2, false);
  return tb_reduce(g, TB_MEAN, tb_multiply(g, squares, inputs[2]), 1u << 1, false);
}

static tb_value numbers(tb_graph *g, tb_dtype dtype, size_t rank, const size_t *dims, const double *values) {
  return tb_cast(g, tb_constant(g, TB_FLOAT64, rank, dims, values), dtype);
}

/* ln f(y) [R,B] of y [R,B,d]: terms a_j exp(constant_j + Σ α y² + β y) cos(w_j·y). */
static tb_value log_ratio(tb_graph *g, const tb_family *f, double *scratch, tb_value y) {
  const tb_dtype dtype = tb_value_dtype(g, y);
  const size_t d = f->dims, matrix[] = { f->count, d };
  double *quadratic = scratch, *linear = quadratic + f->count * d, *constant = linear + f->count * d;
  for (size_t j = 0; j < f->count; j++) {
    constant[j] = f->frequency ? 0 : log(f->weight[j]);
    for (size_t i = 0; i < d; i++) {
      const double m = f->mean[j * d + i], s = f->sd[j * d + i];
      quadratic[j * d + i] = 0.5 / (f->sigma * f->sigma) - 0.5 / (s * s);
      linear[j * d + i] = m / (s * s);
      constant[j] += log(f->sigma / s) - 0.5 * m * m / (s * s);
    }
  }
  const tb_value squares = tb_matmul(g, tb_square(g, y), false, numbers(g, dtype, 2, matrix, quadratic), true);
  const tb_value lines = tb_matmul(g, y, false, numbers(g, dtype, 2, matrix, linear), true);
  const tb_value logs = tb_add(g, tb_add(g, squares, lines), numbers(g, dtype, 1, matrix, constant));
  if (!f->frequency)
    return tb_reduce(g, TB_LOGSUMEXP, logs, 1u << 2, false);
  const tb_value phase = tb_matmul(g, y, false, numbers(g, dtype, 2, matrix, f->frequency), true);
  const tb_value sizes = tb_multiply(g, tb_exp(g, logs), numbers(g, dtype, 1, matrix, f->weight));
  return tb_log(g, tb_reduce(g, TB_SUM, tb_multiply(g, sizes, tb_cos(g, phase)), 1u << 2, false));
}

static tb_girsanov chain_of(const tb_trained_shape *s) {
  return (tb_girsanov){ .family = s->family, .process = s->process, .steps = s->steps };
}

/* carry: y [1,B,d], cost [1,B]; slice: time; consts: θ, key */
static tb_status chain_step(void *user, tb_graph *g, tb_value k, size_t n_carry, const tb_value *carry, size_t n_slice,
                            const tb_value *at, size_t n_const, const tb_value *consts, tb_value *carry_out,
                            size_t n_out, tb_value *outs) {
  const tb_trained *t = user;
  const tb_girsanov chain = chain_of(&t->shape);
  const tb_chain_step s = tb_girsanov_step(&chain);
  const tb_value y = carry[0];
  const size_t dims[] = { 1, t->shape.batch, t->shape.family->dims }, column[] = { 1, t->shape.batch, 1 };
  const tb_value time = tb_broadcast(g, tb_reshape(g, at[0], 3, (size_t[]){ 1, 1, 1 }), 3, column);
  const tb_value v = network(g, &t->mlp, consts[0], tb_concat(g, 2, 2, (tb_value[]){ y, time }));
  const tb_value word = tb_add(g, tb_scale(g, tb_slice(g, consts[1], 0, 2, 1), (double)t->shape.steps), k);
  const tb_value key = tb_concat(g, 0, 2, (tb_value[]){ tb_slice(g, consts[1], 0, 0, 2), word });
  const tb_value noise = tb_normal(g, key, tb_use("noise of a trained chain"), tb_value_dtype(g, y), 3, dims);
  const tb_value moved = tb_add(g, tb_scale(g, y, s.keep), tb_scale(g, v, s.push));
  const tb_value squares = tb_reduce(g, TB_SUM, tb_square(g, v), 1u << 2, false);
  carry_out[0] = tb_add(g, moved, tb_scale(g, noise, s.shake));
  carry_out[1] = tb_add(g, carry[1], tb_scale(g, squares, s.push * s.push / (2 * s.shake * s.shake)));
  return TB_OK;
}

static tb_value control_loss(void *user, tb_graph *g, tb_value theta, const tb_value *inputs, tb_value keys,
                             tb_value *notes) {
  tb_trained *t = user;
  const tb_girsanov chain = chain_of(&t->shape);
  const tb_family *f = t->shape.family;
  const tb_dtype dtype = tb_value_dtype(g, theta);
  double *scratch = tb_allocate(t->context, t->shape.steps + f->count * (2 * f->dims + 1), sizeof *scratch);
  if (!scratch)
    return (tb_value){ -1 };
  for (size_t k = 0; k < t->shape.steps; k++)
    scratch[k] = tb_girsanov_time(&chain, k);
  const tb_value times = numbers(g, dtype, 1, &t->shape.steps, scratch);
  const tb_value start[] = { inputs[0], tb_fill(g, dtype, 2, (size_t[]){ 1, t->shape.batch }, 0) };
  const tb_value consts[] = { theta, tb_reshape(g, keys, 1, (size_t[]){ 3 }) };
  tb_value end[2];
  tb_scan(g, t->shape.steps, false, chain_step, t, 2, start, 1, &times, 2, consts, end, 0, NULL);
  const tb_value cost = tb_subtract(g, end[1], log_ratio(g, f, scratch + t->shape.steps, end[0]));
  tb_release(t->context, scratch);
  return tb_reduce(g, TB_MEAN, cost, 1u << 1, false);
}

/* ---- making ---- */

static tb_status make_training(tb_trained *t) {
  const tb_trained_shape *s = &t->shape;
  const size_t b = s->batch, d = s->family->dims;
  const tb_training_input score[] = { { "places", s->dtype, 3, { 1, b, d + 1 } },
                                      { "aims", s->dtype, 3, { 1, b, d } },
                                      { "weights", s->dtype, 2, { 1, b } } };
  const tb_training_input control[] = { { "starts", s->dtype, 3, { 1, b, d } } };
  const bool scores = s->objective == TB_OBJECTIVE_SCORE;
  const tb_training_shape shape = { .dtype = s->dtype,
                                    .replicas = 1,
                                    .parameters = tb_trained_parameters(s),
                                    .update = TB_UPDATE_ADAM,
                                    .beta1 = 0.9,
                                    .beta2 = 0.999,
                                    .epsilon = 1e-8,
                                    .clip_norm = scores ? 0 : 10,
                                    .n_inputs = scores ? 3 : 1,
                                    .inputs = scores ? score : control,
                                    .loss = scores ? score_loss : control_loss,
                                    .user = t };
  return tb_training_new(t->context, &shape, NULL, &t->training);
}

static tb_status make_evaluation(tb_trained *t) {
  const size_t p = tb_trained_parameters(&t->shape), d = t->shape.family->dims;
  tb_graph *g;
  tb_status status = tb_graph_new(t->context, &g);
  if (status)
    return status;
  const tb_value theta = tb_input(g, "theta", t->shape.dtype, 2, (size_t[]){ 1, p });
  const tb_value rows = tb_input(g, "places", t->shape.dtype, 3, (size_t[]){ 1, ROWS, d + 1 });
  const tb_value out = network(g, &t->mlp, theta, rows);
  status = tb_program_new(t->context, g, 1, &out, NULL, &t->evaluate);
  tb_graph_free(g);
  return status;
}

/* Weights N(0, 1/inputs), biases and the last layer 0: v̂ = 0. */
static tb_status start(tb_trained *t) {
  const size_t p = tb_trained_parameters(&t->shape);
  const tb_model *mlp = tb_model_find("mlp");
  double *theta = tb_allocate(t->context, p, sizeof *theta);
  char name[32];
  size_t rows, cols, at = 0;
  if (!theta)
    return TB_NO_MEMORY;
  tb_random_normal((tb_key){ .seed = t->shape.seed, .use = tb_use("weights of a drift") }, 0, p, theta);
  for (size_t k = 0; mlp->block(&t->mlp, k, name, &rows, &cols); at += rows * cols, k++)
    for (size_t i = at; i < at + rows * cols; i++)
      theta[i] = name[0] == 'W' && k + 2 < 2 * (size_t)t->shape.depth ? theta[i] / sqrt((double)cols) : 0;
  tb_training_start(t->training, 0, theta);
  tb_release(t->context, theta);
  return TB_OK;
}

static size_t width_of(const tb_trained *t) {
  return t->shape.dtype == TB_FLOAT64 ? sizeof(double) : sizeof(float);
}

tb_status tb_trained_new(tb_context *context, const tb_trained_shape *s, tb_trained **out) {
  const size_t d = s->family->dims;
  tb_trained *t = *out = tb_allocate(context, 1, sizeof *t);
  if (!t)
    return TB_NO_MEMORY;
  *t = (tb_trained){ .context = context, .shape = *s, .mlp = mlp_of(s) };
  t->batch[0] = tb_allocate(context, s->batch * (d + 1), width_of(t));
  t->batch[1] = tb_allocate(context, s->batch * d, width_of(t));
  t->batch[2] = tb_allocate(context, s->batch, width_of(t));
  t->rows = tb_allocate(context, ROWS * (d + 1), width_of(t));
  t->out = tb_allocate(context, ROWS * d, width_of(t));
  tb_status status = t->batch[0] && t->batch[1] && t->batch[2] && t->rows && t->out ? TB_OK : TB_NO_MEMORY;
  if (!status)
    status = make_training(t);
  if (!status)
    status = make_evaluation(t);
  if (!status)
    status = start(t);
  if (status) {
    tb_trained_free(t);
    *out = NULL;
  }
  return status;
}

void tb_trained_free(tb_trained *t) {
  if (!t)
    return;
  tb_training_free(t->training);
  tb_program_free(t->evaluate);
  for (int i = 0; i < 3; i++)
    tb_release(t->context, t->batch[i]);
  tb_release(t->context, t->rows);
  tb_release(t->context, t->out);
  tb_release(t->context, t);
}

/* ---- steps ---- */

static void put(const tb_trained *t, void *to, size_t i, double value) {
  if (t->shape.dtype == TB_FLOAT64)
    ((double *)to)[i] = value;
  else
    ((float *)to)[i] = (float)value;
}

/* Row i of a batch of the score's: times are stratified over the batch. */
static void score_row(tb_trained *t, uint64_t number, size_t i) {
  enum { MOST = 64 };
  const tb_trained_shape *s = &t->shape;
  const tb_family *f = s->family;
  const size_t d = f->dims;
  double u, y[MOST], z[MOST];
  tb_random_uniform((tb_key){ .seed = s->seed, .use = tb_use("times of a drift") }, number, 1, &u);
  const double time = ((double)i + u) / (double)s->batch;
  const tb_smoothing at = tb_smoothing_at(s->process, time);
  const bool ou = s->process == TB_DIFFUSION_OU;
  const double keep = ou ? at.keep : time, spread = ou ? at.spread : time * (1 - time);
  tb_family_draw(f, s->seed ^ 0x5851f42d4c957f2d, number, y);
  tb_random_normal((tb_key){ .seed = s->seed, .use = tb_use("noise of a drift") }, number * d, d, z);
  for (size_t k = 0; k < d; k++) {
    const double x = keep * y[k] + f->sigma * sqrt(spread) * z[k];
    put(t, t->batch[0], i * (d + 1) + k, x);
    put(t, t->batch[1], i * d + k, at.keep * (y[k] - at.keep * x) / (f->sigma * f->sigma * at.spread));
  }
  put(t, t->batch[0], i * (d + 1) + d, time);
  put(t, t->batch[2], i, at.spread);
}

static void control_row(tb_trained *t, uint64_t number, size_t i) {
  enum { MOST = 64 };
  const size_t d = t->shape.family->dims;
  double y[MOST] = { 0 };
  if (t->shape.process == TB_DIFFUSION_OU)
    tb_family_draw_at(t->shape.family, TB_DIFFUSION_OU, 1, t->shape.seed ^ 0x5851f42d4c957f2d, number, y);
  for (size_t k = 0; k < d; k++)
    put(t, t->batch[0], i * d + k, y[k]);
}

tb_status tb_trained_step(tb_trained *t, double *loss) {
  const tb_trained_shape *s = &t->shape;
  const uint64_t step = tb_training_steps(t->training);
  for (size_t i = 0; i < s->batch; i++)
    (s->objective == TB_OBJECTIVE_SCORE ? score_row : control_row)(t, step * s->batch + i, i);
  const double rate = 0.5 * s->lr * (1 + cos(3.14159265358979323846 * (double)step / (double)s->iterations));
  return tb_training_step(t->training, (const void *const *)t->batch, &rate, &s->seed, loss, NULL);
}

uint64_t tb_trained_steps(const tb_trained *t) {
  return tb_training_steps(t->training);
}

size_t tb_trained_size(const tb_trained *t) {
  return tb_training_size(t->training);
}

void tb_trained_save(const tb_trained *t, void *block) {
  tb_training_save(t->training, block);
}

void tb_trained_restore(tb_trained *t, const void *block) {
  tb_training_restore(t->training, block);
}

/* ---- evaluation ---- */

tb_status tb_trained_at(void *user, double time, size_t n, const double *x, double *drift) {
  tb_trained *t = user;
  const size_t d = t->shape.family->dims;
  const void *in[] = { tb_training_theta(t->training), t->rows };
  for (size_t from = 0; from < n; from += ROWS) {
    const size_t rows = n - from < ROWS ? n - from : ROWS;
    for (size_t i = 0; i < ROWS; i++) {
      for (size_t k = 0; k < d; k++)
        put(t, t->rows, i * (d + 1) + k, i < rows ? x[(from + i) * d + k] : 0);
      put(t, t->rows, i * (d + 1) + d, time);
    }
    const tb_status status = tb_program_run(t->evaluate, 2, in, 1, &t->out);
    if (status)
      return status;
    for (size_t k = 0; k < rows * d; k++)
      drift[from * d + k] = t->shape.dtype == TB_FLOAT64 ? ((double *)t->out)[k] : (double)((float *)t->out)[k];
  }
  return TB_OK;
}

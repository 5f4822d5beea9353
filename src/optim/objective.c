/* The programs of an objective, built from the model's graph when first asked for.
 *
 * With f = model(θ, x) and L the mean loss, every program is a composition of derivatives of one graph:
 *   outputs          f
 *   pullback         Jᵀc                       vjp with a free cotangent
 *   descent          Jᵀr, r = −exp(c)·∂L/∂f    vjp with the residual, its factor inside the exponent
 *   descent product  (∂/∂θ Jᵀr) v              jvp of that vjp
 *   push             Jv                        jvp
 *   gram             JJᵀ                       from the layers, without J (gram.h)
 *   jacobian         J, a block of rows        gradient of Σ_i f(θ_i, x_i) in copies θ_i = θ
 *   predictor        β
 *   predictor push   Dv                        jvp
 *   predictor pull   Dᵀc, D = ∂β/∂θ            vjp with a free cotangent
 *   predictor gram   DDᵀ                       from the layers at x = I
 *   predictor map    D, a block of rows        gradient of Σ_i β_i(θ_i) in copies */
#include <math.h>
#include <string.h>

#include "optim/gram.h"
#include "optim/structure.h"

enum { MOST_INPUTS = 6 };
enum {
  OUTPUTS,
  PULLBACK,
  PUSH,
  DESCENT,
  DESCENT_PRODUCT,
  GRAM,
  JACOBIAN,
  PREDICTOR,
  PREDICTOR_PUSH,
  PREDICTOR_PULL,
  PREDICTOR_GRAM,
  PREDICTOR_MAP,
  PROGRAMS
};

#define BLOCK_ENTRIES    ((size_t)1 << 20) /* of copied parameters in a block of Jacobian rows */
#define JACOBIAN_ENTRIES ((size_t)1 << 29) /* 4 GiB */

typedef struct compiled {
  tb_program *program;
  size_t n_in, n_out;
  size_t in_count[MOST_INPUTS], out_count[2]; /* elements */
} compiled;

struct tb_objective {
  tb_context *context;
  tb_structure structure; /* has_structure: its functions stand for all programs */
  bool has_structure;
  const tb_model *model;
  tb_model_shape shape;
  size_t *widths; /* own copy of shape.widths */
  tb_loss loss;
  tb_dtype dtype;
  size_t n, d, p;
  size_t row_block, beta_block; /* rows of J, of D computed at once */
  double *x, *y, *covariance;
  double *x_block, *mask; /* [row_block×(d + 1)]: x and f of a last, padded block; [beta_block×d] */
  double *jacobian_block; /* last block of J or D, which may be longer than what is left */
  compiled programs[PROGRAMS];
  float *staging; /* float32 copies of inputs and outputs */
  size_t staging_count;
};

/* ---- building ---- */

typedef struct leaves {
  tb_graph *g;
  tb_value in[MOST_INPUTS];
  size_t n_in, in_count[MOST_INPUTS];
} leaves;

static tb_value leaf(leaves *l, const tb_objective *o, const char *name, size_t rank, size_t rows, size_t cols) {
  const size_t dims[2] = { rows, cols };
  l->in[l->n_in] = tb_input(l->g, name, o->dtype, rank, dims);
  l->in_count[l->n_in] = rank == 0 ? 1 : rank == 1 ? rows : rows * cols;
  return l->in[l->n_in++];
}

static tb_value as_row(tb_graph *g, tb_value a) {
  return tb_reshape(g, a, 2, (size_t[]){ 1, tb_elements(g, a) });
}

static tb_value as_vector(tb_graph *g, tb_value a) {
  return tb_reshape(g, a, 1, (size_t[]){ tb_elements(g, a) });
}

/* theta[p], x[n,d] → f[n] */
static tb_value outputs_of(leaves *l, const tb_objective *o, tb_value *theta) {
  *theta = leaf(l, o, "theta", 1, o->p, 0);
  const tb_value x = leaf(l, o, "x", 2, o->n, o->d);
  return as_vector(l->g, o->model->output(l->g, &o->shape, as_row(l->g, *theta), x));
}

static tb_status build_outputs(leaves *l, const tb_objective *o, tb_value *out) {
  tb_value theta;
  out[0] = outputs_of(l, o, &theta);
  return TB_OK;
}

static tb_status build_pullback(leaves *l, const tb_objective *o, tb_value *out) {
  tb_value theta;
  out[0] = outputs_of(l, o, &theta);
  const tb_value c = leaf(l, o, "c", 1, o->n, 0);
  return tb_vjp(l->g, 1, out, &c, 1, &theta, &out[1]);
}

static tb_status build_push(leaves *l, const tb_objective *o, tb_value *out) {
  tb_value theta;
  const tb_value f = outputs_of(l, o, &theta);
  const tb_value v = leaf(l, o, "v", 1, o->p, 0);
  return tb_jvp(l->g, 1, &f, 1, &theta, &v, out);
}

/* Jᵀr with r_i = exp(c)·(−n ∂L/∂f_i): logistic y exp(c − softplus(y f)), square exp(c)·(y − f). */
static tb_status descent_of(leaves *l, const tb_objective *o, tb_value *theta, tb_value *descent) {
  tb_graph *g = l->g;
  const tb_value f = outputs_of(l, o, theta);
  const tb_value y = leaf(l, o, "y", 1, o->n, 0), c = leaf(l, o, "c", 0, 0, 0);
  tb_value r;
  if (o->loss == TB_LOSS_LOGISTIC)
    r = tb_multiply(g, y, tb_exp(g, tb_subtract(g, c, tb_softplus(g, tb_multiply(g, y, f)))));
  else
    r = tb_multiply(g, tb_exp(g, c), tb_subtract(g, y, f));
  return tb_vjp(g, 1, &f, &r, 1, theta, descent);
}

static tb_status build_descent(leaves *l, const tb_objective *o, tb_value *out) {
  tb_value theta;
  return descent_of(l, o, &theta, out);
}

static tb_status build_descent_product(leaves *l, const tb_objective *o, tb_value *out) {
  tb_value theta, descent;
  tb_status status = descent_of(l, o, &theta, &descent);
  if (status != TB_OK)
    return status;
  const tb_value v = leaf(l, o, "v", 1, o->p, 0);
  return tb_jvp(l->g, 1, &descent, 1, &theta, &v, out);
}

static tb_status build_gram(leaves *l, const tb_objective *o, tb_value *out) {
  const tb_value theta = leaf(l, o, "theta", 1, o->p, 0), x = leaf(l, o, "x", 2, o->n, o->d);
  tb_value f;
  out[0] = tb_gram(l->g, o->model, &o->shape, as_row(l->g, theta), x, &f);
  return TB_OK;
}

/* theta[p] → copies[rows, p] */
static tb_value copies_of(leaves *l, const tb_objective *o, size_t rows) {
  const tb_value theta = leaf(l, o, "theta", 1, o->p, 0);
  return tb_broadcast(l->g, as_row(l->g, theta), 2, (size_t[]){ rows, o->p });
}

/* f[rows] and J[rows, p] of x[rows, d] */
static tb_status build_jacobian(leaves *l, const tb_objective *o, tb_value *out) {
  tb_graph *g = l->g;
  const size_t rows = o->row_block;
  const tb_value copies = copies_of(l, o, rows);
  const tb_value x = leaf(l, o, "x", 2, rows, o->d);
  out[0] = o->model->output(g, &o->shape, copies, tb_reshape(g, x, 3, (size_t[]){ rows, 1, o->d })); /* [rows, 1] */
  return tb_gradient(g, tb_sum(g, out[0]), 1, &copies, &out[1]);
}

static tb_status build_predictor(leaves *l, const tb_objective *o, tb_value *out) {
  const tb_value theta = leaf(l, o, "theta", 1, o->p, 0);
  out[0] = as_vector(l->g, o->model->predictor(l->g, &o->shape, as_row(l->g, theta)));
  return TB_OK;
}

static tb_status build_predictor_push(leaves *l, const tb_objective *o, tb_value *out) {
  const tb_value theta = leaf(l, o, "theta", 1, o->p, 0), v = leaf(l, o, "v", 1, o->p, 0);
  const tb_value beta = as_vector(l->g, o->model->predictor(l->g, &o->shape, as_row(l->g, theta)));
  return tb_jvp(l->g, 1, &beta, 1, &theta, &v, out);
}

static tb_status build_predictor_pull(leaves *l, const tb_objective *o, tb_value *out) {
  const tb_value theta = leaf(l, o, "theta", 1, o->p, 0), c = leaf(l, o, "c", 1, o->d, 0);
  const tb_value beta = as_vector(l->g, o->model->predictor(l->g, &o->shape, as_row(l->g, theta)));
  return tb_vjp(l->g, 1, &beta, &c, 1, &theta, out);
}

/* β_j is the output at the j-th unit vector, so D is the Jacobian of the outputs at x = I. */
static tb_status build_predictor_gram(leaves *l, const tb_objective *o, tb_value *out) {
  tb_graph *g = l->g;
  const size_t d = o->d;
  const tb_value theta = leaf(l, o, "theta", 1, o->p, 0);
  const tb_value rows = tb_iota(g, o->dtype, 2, (size_t[]){ d, d }, 0);
  const tb_value cols = tb_iota(g, o->dtype, 2, (size_t[]){ d, d }, 1);
  tb_value beta;
  out[0] = tb_gram(g, o->model, &o->shape, as_row(g, theta), tb_equal(g, rows, cols), &beta);
  return TB_OK;
}

/* D[rows, p] of the coordinates that mask[rows, d] selects */
static tb_status build_predictor_map(leaves *l, const tb_objective *o, tb_value *out) {
  const size_t rows = o->beta_block;
  const tb_value copies = copies_of(l, o, rows);
  const tb_value mask = leaf(l, o, "mask", 2, rows, o->d);
  const tb_value beta = o->model->predictor(l->g, &o->shape, copies); /* [rows, d] */
  return tb_gradient(l->g, tb_sum(l->g, tb_multiply(l->g, beta, mask)), 1, &copies, out);
}

static const struct {
  tb_status (*build)(leaves *, const tb_objective *, tb_value *out);
  size_t n_out;
} recipes[PROGRAMS] = {
  [OUTPUTS] = { build_outputs, 1 },
  [PULLBACK] = { build_pullback, 2 },
  [PUSH] = { build_push, 1 },
  [DESCENT] = { build_descent, 1 },
  [DESCENT_PRODUCT] = { build_descent_product, 1 },
  [GRAM] = { build_gram, 1 },
  [JACOBIAN] = { build_jacobian, 2 },
  [PREDICTOR] = { build_predictor, 1 },
  [PREDICTOR_PUSH] = { build_predictor_push, 1 },
  [PREDICTOR_PULL] = { build_predictor_pull, 1 },
  [PREDICTOR_GRAM] = { build_predictor_gram, 1 },
  [PREDICTOR_MAP] = { build_predictor_map, 1 },
};

static tb_status compile(tb_objective *o, int which) {
  compiled *c = &o->programs[which];
  if (c->program)
    return TB_OK;
  leaves l = { 0 };
  tb_status status = tb_graph_new(o->context, &l.g);
  if (status != TB_OK)
    return status;
  tb_value out[2];
  status = recipes[which].build(&l, o, out);
  if (status == TB_OK)
    status = tb_program_new(o->context, l.g, recipes[which].n_out, out, NULL, &c->program);
  if (status == TB_OK) {
    c->n_in = l.n_in;
    c->n_out = recipes[which].n_out;
    memcpy(c->in_count, l.in_count, sizeof l.in_count);
    for (size_t k = 0; k < c->n_out; k++)
      c->out_count[k] = tb_elements(l.g, out[k]);
  }
  tb_graph_free(l.g);
  return status;
}

/* ---- running ---- */

static tb_status stage(tb_objective *o, size_t count) {
  if (count <= o->staging_count)
    return TB_OK;
  float *grown = tb_reallocate(o->context, o->staging, count, sizeof *grown);
  if (!grown)
    return TB_NO_MEMORY;
  o->staging = grown;
  o->staging_count = count;
  return TB_OK;
}

/* Runs a program on float64 arrays; a NULL output is computed and dropped. */
static tb_status run(tb_objective *o, int which, const double *const *in, double *const *out) {
  tb_status status = compile(o, which);
  if (status != TB_OK)
    return status;
  const compiled *c = &o->programs[which];
  const void *inputs[MOST_INPUTS];
  void *outputs[2];
  size_t total = 0;
  for (size_t k = 0; k < c->n_in; k++)
    total += o->dtype == TB_FLOAT32 ? c->in_count[k] : 0;
  for (size_t k = 0; k < c->n_out; k++)
    total += o->dtype == TB_FLOAT32 ? c->out_count[k] : out[k] ? 0 : 2 * c->out_count[k];
  if ((status = stage(o, total)) != TB_OK)
    return status;
  float *free_space = o->staging;
  for (size_t k = 0; k < c->n_in; k++) {
    inputs[k] = in[k];
    if (o->dtype == TB_FLOAT32) {
      for (size_t i = 0; i < c->in_count[k]; i++)
        free_space[i] = (float)in[k][i];
      inputs[k] = free_space;
      free_space += c->in_count[k];
    }
  }
  for (size_t k = 0; k < c->n_out; k++) {
    outputs[k] = out[k];
    if (o->dtype == TB_FLOAT32 || !out[k]) {
      outputs[k] = free_space;
      free_space += o->dtype == TB_FLOAT32 ? c->out_count[k] : 2 * c->out_count[k];
    }
  }
  status = tb_program_run(c->program, c->n_in, inputs, c->n_out, outputs);
  if (status == TB_OK && o->dtype == TB_FLOAT32)
    for (size_t k = 0; k < c->n_out; k++)
      for (size_t i = 0; out[k] && i < c->out_count[k]; i++)
        out[k][i] = (double)((const float *)outputs[k])[i];
  return status;
}

tb_status tb_objective_outputs(tb_objective *o, const double *theta, double *f) {
  if (o->has_structure)
    return o->structure.outputs(o->structure.self, theta, f);
  return run(o, OUTPUTS, (const double *[]){ theta, o->x }, (double *[]){ f });
}

tb_status tb_objective_pullback(tb_objective *o, const double *theta, const double *c, double *f, double *gradient) {
  if (o->has_structure)
    return o->structure.pullback(o->structure.self, theta, c, f, gradient);
  return run(o, PULLBACK, (const double *[]){ theta, o->x, c }, (double *[]){ f, gradient });
}

tb_status tb_objective_push(tb_objective *o, const double *theta, const double *v, double *f_dot) {
  if (o->has_structure)
    return o->structure.push(o->structure.self, theta, v, f_dot);
  return run(o, PUSH, (const double *[]){ theta, o->x, v }, (double *[]){ f_dot });
}

bool tb_objective_has_gram(const tb_objective *o) {
  if (o->has_structure)
    return false;
  return o->model->layers && o->shape.depth <= TB_MAX_LAYERS;
}

tb_status tb_objective_gram(tb_objective *o, const double *theta, double *gram) {
  return run(o, GRAM, (const double *[]){ theta, o->x }, (double *[]){ gram });
}

tb_status tb_objective_predictor_gram(tb_objective *o, const double *theta, double *gram) {
  return run(o, PREDICTOR_GRAM, (const double *[]){ theta }, (double *[]){ gram });
}

tb_status tb_objective_descent(tb_objective *o, const double *theta, double log_factor, double *descent) {
  const double c = log_factor - log((double)o->n);
  if (o->has_structure)
    return o->structure.descent(o->structure.self, theta, exp(c), NULL, descent, NULL);
  return run(o, DESCENT, (const double *[]){ theta, o->x, o->y, &c }, (double *[]){ descent });
}

tb_status tb_objective_descent_product(tb_objective *o, const double *theta, double log_factor, const double *v,
                                       double *product) {
  const double c = log_factor - log((double)o->n);
  if (o->has_structure)
    return o->structure.descent(o->structure.self, theta, exp(c), v, NULL, product);
  return run(o, DESCENT_PRODUCT, (const double *[]){ theta, o->x, o->y, &c, v }, (double *[]){ product });
}

/* Memory of the last block, kept until the objective goes. */
static tb_status last_block(tb_objective *o, size_t rows) {
  if (!o->jacobian_block) {
    const size_t most = o->row_block > o->beta_block ? o->row_block : o->beta_block;
    o->jacobian_block = tb_allocate(o->context, most * o->p, sizeof(double));
  }
  return o->jacobian_block ? TB_OK : TB_NO_MEMORY;
}

tb_status tb_objective_jacobian(tb_objective *o, const double *theta, double *f, double *jacobian) {
  const size_t n = o->n, d = o->d, p = o->p, block = o->row_block;
  if (p > JACOBIAN_ENTRIES / n)
    return tb_fail(o->context, TB_NO_MEMORY, NULL, "take fewer rows, a smaller model, or a method without a Jacobian",
                   "the Jacobian of %zu outputs in %zu parameters would take %.1f GiB", n, p,
                   (double)n * (double)p * 8.0 / 1073741824.0);
  for (size_t row = 0; row < n; row += block) {
    if (n - row >= block) {
      const tb_status status = run(o, JACOBIAN, (const double *[]){ theta, o->x + row * d },
                                   (double *[]){ f ? f + row : NULL, jacobian + row * p });
      if (status != TB_OK)
        return status;
      continue;
    }
    /* The last rows, padded with zeros to a whole block. */
    const size_t left = n - row;
    tb_status status = last_block(o, left);
    if (status != TB_OK)
      return status;
    memset(o->x_block, 0, block * d * sizeof(double));
    memcpy(o->x_block, o->x + row * d, left * d * sizeof(double));
    double *f_block = o->x_block + block * d; /* [block] */
    status = run(o, JACOBIAN, (const double *[]){ theta, o->x_block }, (double *[]){ f_block, o->jacobian_block });
    if (status != TB_OK)
      return status;
    memcpy(jacobian + row * p, o->jacobian_block, left * p * sizeof(double));
    if (f)
      memcpy(f + row, f_block, left * sizeof(double));
  }
  return TB_OK;
}

static tb_status need_predictor(tb_objective *o) {
  if (o->model->predictor)
    return TB_OK;
  return tb_fail(o->context, TB_USAGE, "option model", "a linear, diagonal or dense model has one",
                 "model %s has no predictor map", o->model->name);
}

tb_status tb_objective_predictor_push(tb_objective *o, const double *theta, const double *v, double *beta_dot) {
  if (o->has_structure)
    return o->structure.predictor_push(o->structure.self, theta, v, beta_dot);
  const tb_status status = need_predictor(o);
  return status != TB_OK ? status : run(o, PREDICTOR_PUSH, (const double *[]){ theta, v }, (double *[]){ beta_dot });
}

tb_status tb_objective_predictor_pullback(tb_objective *o, const double *theta, const double *c, double *gradient) {
  const tb_status status = need_predictor(o);
  return status != TB_OK ? status : run(o, PREDICTOR_PULL, (const double *[]){ theta, c }, (double *[]){ gradient });
}

tb_status tb_objective_predictor(tb_objective *o, const double *theta, double *beta, double *d_beta) {
  if (o->has_structure)
    return o->structure.predictor(o->structure.self, theta, beta);
  const size_t d = o->d, p = o->p, block = o->beta_block;
  tb_status status = need_predictor(o);
  if (status == TB_OK && beta)
    status = run(o, PREDICTOR, (const double *[]){ theta }, (double *[]){ beta });
  if (status != TB_OK || !d_beta)
    return status;
  if (p > JACOBIAN_ENTRIES / d)
    return tb_fail(o->context, TB_NO_MEMORY, NULL, "take fewer inputs, a smaller model, or a method without it",
                   "the map from %zu parameters to %zu predictor entries would take %.1f GiB", p, d,
                   (double)d * (double)p * 8.0 / 1073741824.0);
  for (size_t row = 0; row < d; row += block) {
    const size_t left = d - row < block ? d - row : block;
    double *into = d_beta + row * p;
    if (left < block) {
      if ((status = last_block(o, left)) != TB_OK)
        return status;
      into = o->jacobian_block;
    }
    memset(o->mask, 0, block * d * sizeof(double));
    for (size_t i = 0; i < left; i++)
      o->mask[i * d + row + i] = 1.0;
    if ((status = run(o, PREDICTOR_MAP, (const double *[]){ theta, o->mask }, (double *[]){ into })) != TB_OK)
      return status;
    if (left < block)
      memcpy(d_beta + row * p, into, left * p * sizeof(double));
  }
  return TB_OK;
}

/* ---- life ---- */

static tb_status check_data(tb_context *context, tb_loss loss, size_t n, size_t d, const double *x, const double *y) {
  if (n == 0)
    return tb_fail(context, TB_BAD_DATA, NULL, "give at least one row", "the data set has no rows");
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < d; j++)
      if (!isfinite(x[i * d + j]))
        return tb_fail(context, TB_BAD_DATA, NULL, NULL, "row %zu, column %zu: %g is not finite", i + 1, j + 1,
                       x[i * d + j]);
    if (loss == TB_LOSS_LOGISTIC ? fabs(y[i]) != 1.0 : !isfinite(y[i]))
      return tb_fail(context, TB_BAD_DATA, NULL, loss == TB_LOSS_LOGISTIC ? "labels are +1 and -1" : NULL,
                     "row %zu: the label %g can't be used", i + 1, y[i]);
  }
  return TB_OK;
}

static size_t block_rows(size_t rows, size_t p) {
  const size_t most = p < BLOCK_ENTRIES ? BLOCK_ENTRIES / p : 1;
  return rows < most ? rows : most;
}

static tb_status take(tb_objective *o, const tb_model_shape *shape, const double *x, const double *y) {
  tb_context *context = o->context;
  if (shape->widths && shape->depth > 1) {
    const size_t count = (size_t)shape->depth - 1;
    if (!(o->widths = tb_allocate(context, count, sizeof *o->widths)))
      return TB_NO_MEMORY;
    memcpy(o->widths, shape->widths, count * sizeof *o->widths);
    o->shape.widths = o->widths;
  }
  o->p = o->model->parameters(&o->shape);
  o->row_block = block_rows(o->n, o->p);
  o->beta_block = block_rows(o->d, o->p);
  o->x = tb_allocate(context, o->n * o->d, sizeof *o->x);
  o->y = tb_allocate(context, o->n, sizeof *o->y);
  o->x_block = tb_allocate(context, o->row_block * (o->d + 1), sizeof *o->x_block);
  o->mask = tb_allocate(context, o->beta_block * o->d, sizeof *o->mask);
  if (!o->x || !o->y || !o->x_block || !o->mask)
    return TB_NO_MEMORY;
  memcpy(o->x, x, o->n * o->d * sizeof *x);
  memcpy(o->y, y, o->n * sizeof *y);
  return TB_OK;
}

tb_status tb_objective_new(tb_context *context, const tb_model *model, const tb_model_shape *shape, tb_loss loss,
                           tb_dtype dtype, size_t n, const double *x, const double *y, tb_objective **objective) {
  *objective = NULL;
  tb_status status = tb_model_check(context, model, shape);
  if (status == TB_OK)
    status = check_data(context, loss, n, shape->inputs, x, y);
  if (status != TB_OK)
    return status;
  tb_objective *o = tb_allocate(context, 1, sizeof *o);
  if (!o)
    return TB_NO_MEMORY;
  *o = (tb_objective){
    .context = context, .model = model, .shape = *shape, .loss = loss, .dtype = dtype, .n = n, .d = shape->inputs
  };
  status = take(o, shape, x, y);
  if (status != TB_OK) {
    tb_objective_free(o);
    return status;
  }
  *objective = o;
  return TB_OK;
}

tb_status tb_objective_structured(tb_context *context, const tb_structure *structure, const double *y,
                                  tb_objective **objective) {
  tb_objective *o = tb_allocate(context, 1, sizeof *o);
  *objective = NULL;
  if (!o) {
    structure->free(structure->self);
    return TB_NO_MEMORY;
  }
  *o = (tb_objective){ .context = context,
                       .structure = *structure,
                       .has_structure = true,
                       .loss = TB_LOSS_SQUARE,
                       .dtype = TB_FLOAT64,
                       .n = structure->rows,
                       .d = structure->inputs,
                       .p = structure->parameters };
  tb_status status = check_data(context, TB_LOSS_SQUARE, o->n, 0, NULL, y);
  if (status == TB_OK && !(o->y = tb_allocate(context, o->n, sizeof *o->y)))
    status = TB_NO_MEMORY;
  if (status != TB_OK) {
    tb_objective_free(o);
    return status;
  }
  memcpy(o->y, y, o->n * sizeof *y);
  *objective = o;
  return TB_OK;
}

const tb_structure *tb_objective_structure(const tb_objective *o) {
  return o->has_structure ? &o->structure : NULL;
}

void tb_objective_free(tb_objective *o) {
  if (!o)
    return;
  if (o->has_structure)
    o->structure.free(o->structure.self);
  for (int k = 0; k < PROGRAMS; k++)
    tb_program_free(o->programs[k].program);
  tb_release(o->context, o->widths);
  tb_release(o->context, o->x);
  tb_release(o->context, o->y);
  tb_release(o->context, o->covariance);
  tb_release(o->context, o->x_block);
  tb_release(o->context, o->mask);
  tb_release(o->context, o->jacobian_block);
  tb_release(o->context, o->staging);
  tb_release(o->context, o);
}

tb_context *tb_objective_context(const tb_objective *o) {
  return o->context;
}

size_t tb_objective_rows(const tb_objective *o) {
  return o->n;
}

size_t tb_objective_inputs(const tb_objective *o) {
  return o->d;
}

size_t tb_objective_parameters(const tb_objective *o) {
  return o->p;
}

tb_loss tb_objective_loss_kind(const tb_objective *o) {
  return o->loss;
}

tb_dtype tb_objective_dtype(const tb_objective *o) {
  return o->dtype;
}

const double *tb_objective_x(const tb_objective *o) {
  return o->x;
}

const double *tb_objective_y(const tb_objective *o) {
  return o->y;
}

bool tb_objective_has_predictor(const tb_objective *o) {
  return o->has_structure || o->model->predictor != NULL;
}

tb_status tb_objective_set_covariance(tb_objective *o, const double *covariance) {
  if (!o->covariance && !(o->covariance = tb_allocate(o->context, o->d, sizeof *o->covariance)))
    return TB_NO_MEMORY;
  memcpy(o->covariance, covariance, o->d * sizeof *covariance);
  return TB_OK;
}

const double *tb_objective_covariance(const tb_objective *o) {
  return o->covariance;
}

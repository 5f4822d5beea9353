/* Products by composing derivatives of one graph in `block` copies θ_k = θ of the parameters, tangents v_k:
 *   Hessian           d/dε ∇L(θ_k + ε v_k)                jvp of a vjp
 *   Gauss–Newton      Jᵀ W H J v_k, H = ∂²ℓ/∂f²           vjp of a jvp
 *   empirical Fisher  Jᵀ W r (r·J v_k), r = ∂ℓ/∂f         vjp of a jvp
 * Copies do not mix, so the sum of their losses has every copy's own gradient.  The point is held: what depends on it
 * alone, the passes of the network itself, is computed once for all vectors. */
#include "measure/curvature.h"

#include <math.h>
#include <string.h>

enum { LEAVES = TB_FUNCTION_DATA + 4 }; /* theta, data, targets, weights, vectors */

struct tb_curvature {
  tb_context *context;
  tb_program *program;
  tb_dtype dtype;
  size_t parameters, block;
  size_t leaf_count;
  void *leaves[LEAVES]; /* as the program wants them: theta first, the vectors last */
  void *products;       /* [block×p] */
};

/* ---- leaves ---- */

static size_t dtype_size(tb_dtype dtype) {
  return dtype == TB_FLOAT64 ? sizeof(double) : 4;
}

static void to_program(tb_dtype dtype, size_t count, const double *from, void *to) {
  if (dtype == TB_FLOAT64)
    memcpy(to, from, count * sizeof *from);
  else
    for (size_t i = 0; i < count; i++)
      ((float *)to)[i] = (float)from[i];
}

/* An input of the graph and its memory; values may be NULL (zeros). */
static tb_status leaf(tb_curvature *c, tb_graph *g, const char *name, tb_dtype dtype, size_t rank, const size_t *dims,
                      const void *values, tb_value *value) {
  size_t count = 1;
  for (size_t i = 0; i < rank; i++)
    count *= dims[i];
  void *memory = tb_allocate(c->context, count, dtype_size(dtype));
  if (!memory)
    return TB_NO_MEMORY;
  c->leaves[c->leaf_count++] = memory;
  if (values && dtype == TB_INT32)
    memcpy(memory, values, count * sizeof(int32_t));
  else if (values)
    to_program(dtype, count, values, memory);
  *value = tb_input(g, name, dtype, rank, dims);
  return TB_OK;
}

/* ---- the loss of a row: f[R,n,c], y[n,c] ---- */

typedef struct row_terms {
  tb_graph *g;
  tb_row_loss loss;
  tb_value f, y, w; /* w[n,1] */
} row_terms;

/* Σ_i w_i ℓ_i, summed over copies. */
static tb_value total_loss(const row_terms *r) {
  tb_graph *g = r->g;
  tb_value each;
  switch (r->loss) {
  case TB_ROW_SQUARE:
    each = tb_scale(g, tb_square(g, tb_subtract(g, r->f, r->y)), 0.5);
    break;
  case TB_ROW_LOGISTIC:
    each = tb_softplus(g, tb_negate(g, tb_multiply(g, r->y, r->f)));
    break;
  default: /* softmax, y one-hot */
    each = tb_negate(g, tb_multiply(g, r->y, tb_log_softmax(g, r->f)));
  }
  return tb_sum(g, tb_multiply(g, each, r->w));
}

/* ∂ℓ_i/∂f_i [R,n,c] */
static tb_value loss_gradient(const row_terms *r) {
  tb_graph *g = r->g;
  if (r->loss == TB_ROW_SQUARE)
    return tb_subtract(g, r->f, r->y);
  if (r->loss == TB_ROW_LOGISTIC)
    return tb_negate(g, tb_multiply(g, r->y, tb_sigmoid(g, tb_negate(g, tb_multiply(g, r->y, r->f)))));
  return tb_subtract(g, tb_softmax(g, r->f), r->y);
}

/* (∂²ℓ_i/∂f_i²) u_i, u[R,n,c] */
static tb_value loss_hessian_product(const row_terms *r, tb_value u) {
  tb_graph *g = r->g;
  if (r->loss == TB_ROW_SQUARE)
    return u;
  if (r->loss == TB_ROW_LOGISTIC)
    return tb_multiply(g, tb_multiply(g, tb_sigmoid(g, r->f), tb_sigmoid(g, tb_negate(g, r->f))), u);
  const tb_value s = tb_softmax(g, r->f), su = tb_multiply(g, s, u); /* (diag s − s sᵀ) u */
  return tb_subtract(g, su, tb_multiply(g, s, tb_reduce(g, TB_SUM, su, 1u << 2, true)));
}

/* ---- products ---- */

static tb_status hessian_product(tb_graph *g, tb_value total, tb_value copies, tb_value v, tb_value *product) {
  tb_value gradient;
  const tb_status status = tb_gradient(g, total, 1, &copies, &gradient);
  return status == TB_OK ? tb_jvp(g, 1, &gradient, 1, &copies, &v, product) : status;
}

static tb_status outer_product(const row_terms *r, tb_curvature_kind kind, tb_value copies, tb_value v,
                               tb_value *product) {
  tb_graph *g = r->g;
  tb_value u, back;
  const tb_status status = tb_jvp(g, 1, &r->f, 1, &copies, &v, &u);
  if (status != TB_OK)
    return status;
  if (kind == TB_EMPIRICAL_FISHER) {
    const tb_value residual = loss_gradient(r);
    const tb_value slope = tb_reduce(g, TB_SUM, tb_multiply(g, residual, u), 1u << 2, true); /* g_i·v [R,n,1] */
    back = tb_multiply(g, residual, slope);
  } else {
    back = loss_hessian_product(r, u);
  }
  back = tb_multiply(g, back, r->w);
  return tb_vjp(g, 1, &r->f, &back, 1, &copies, product);
}

static tb_status bad_target(tb_context *context, size_t row, double target, const char *wanted) {
  return tb_fail(context, TB_BAD_DATA, NULL, NULL, "target %g of row %zu is not %s", target, row, wanted);
}

/* Targets as the loss reads them, [n×c]. */
static tb_status fill_targets(tb_context *context, const tb_function *f, size_t n, size_t c, double *y) {
  for (size_t i = 0; i < (f->loss == TB_ROW_SOFTMAX ? n : n * c); i++) {
    const double target = f->targets[i];
    if (f->loss == TB_ROW_SOFTMAX) {
      if (!(target >= 0) || target >= (double)c || target != floor(target))
        return bad_target(context, i, target, "a class");
      y[i * c + (size_t)target] = 1;
    } else {
      if (!isfinite(target))
        return bad_target(context, i / c, target, "finite");
      if (f->loss == TB_ROW_LOGISTIC && target != 1 && target != -1)
        return bad_target(context, i / c, target, "1 or -1");
      y[i] = target;
    }
  }
  return TB_OK;
}

/* Leaves for targets [n,c] and weights [n,1]. */
static tb_status row_leaves(tb_curvature *c, const tb_function *f, row_terms *r) {
  const size_t n = tb_dim(r->g, r->f, 1), outputs = tb_dim(r->g, r->f, 2);
  double *y = tb_allocate(c->context, n * outputs, sizeof *y), *w = tb_allocate(c->context, n, sizeof *w);
  tb_status status = y && w ? TB_OK : TB_NO_MEMORY;
  if (status == TB_OK && f->targets)
    status = fill_targets(c->context, f, n, outputs, y);
  if (status == TB_OK) {
    for (size_t i = 0; i < n; i++)
      w[i] = f->weights ? f->weights[i] : 1 / (double)n;
    status = leaf(c, r->g, "targets", f->dtype, 2, (size_t[]){ n, outputs }, y, &r->y);
  }
  if (status == TB_OK)
    status = leaf(c, r->g, "weights", f->dtype, 2, (size_t[]){ n, 1 }, w, &r->w);
  tb_release(c->context, w);
  tb_release(c->context, y);
  return status;
}

static tb_status check(tb_context *context, const tb_function *f, tb_curvature_kind kind) {
  if (f->loss == TB_ROW_NONE && kind != TB_HESSIAN)
    return tb_fail(context, TB_USAGE, NULL, "give the outputs and a loss on them",
                   "a Gauss–Newton or Fisher matrix needs outputs and a loss, not a scalar function");
  if (f->loss != TB_ROW_NONE && !f->targets && (kind == TB_HESSIAN || kind == TB_EMPIRICAL_FISHER))
    return tb_fail(context, TB_USAGE, NULL, "give targets, or take the Gauss–Newton matrix",
                   "a Hessian or empirical Fisher matrix of a loss needs targets");
  return TB_OK;
}

static tb_status build(tb_curvature *c, const tb_function *f, tb_curvature_kind kind, tb_graph *g) {
  const size_t p = f->parameters;
  tb_value theta, data[TB_FUNCTION_DATA], v, product;
  tb_status status = leaf(c, g, "theta", f->dtype, 2, (size_t[]){ 1, p }, NULL, &theta);
  for (size_t i = 0; i < f->data_count && status == TB_OK; i++)
    status = leaf(c, g, "data", f->data[i].integer ? TB_INT32 : f->dtype, f->data[i].rank, f->data[i].dims,
                  f->data[i].values, &data[i]);
  if (status != TB_OK)
    return status;
  const tb_value copies = tb_broadcast(g, theta, 2, (size_t[]){ c->block, p });
  const tb_value value = f->build(f->user, g, copies, data);
  if ((status = tb_graph_status(g)) != TB_OK)
    return status;
  row_terms r = { .g = g, .loss = f->loss, .f = value };
  if (f->loss != TB_ROW_NONE) {
    const size_t c_out = tb_rank(g, value) == 3 ? tb_dim(g, value, 2) : 1;
    r.f = tb_reshape(g, value, 3, (size_t[]){ c->block, tb_dim(g, value, 1), c_out });
    if ((status = tb_graph_status(g)) != TB_OK || (status = row_leaves(c, f, &r)) != TB_OK)
      return status;
  }
  if ((status = leaf(c, g, "vectors", f->dtype, 2, (size_t[]){ c->block, p }, NULL, &v)) != TB_OK)
    return status;
  if (kind == TB_HESSIAN)
    status = hessian_product(g, f->loss == TB_ROW_NONE ? tb_sum(g, value) : total_loss(&r), copies, v, &product);
  else
    status = outer_product(&r, kind, copies, v, &product);
  const tb_program_options options = { .held = c->leaf_count - 1 }; /* all but the vectors */
  return status == TB_OK ? tb_program_new(c->context, g, 1, &product, &options, &c->program) : status;
}

tb_status tb_curvature_new(tb_context *context, const tb_function *f, tb_curvature_kind kind, size_t block,
                           tb_curvature **curvature) {
  *curvature = NULL;
  tb_status status = check(context, f, kind);
  if (status != TB_OK)
    return status;
  tb_curvature *c = tb_allocate(context, 1, sizeof *c);
  tb_graph *g = NULL;
  if (!c)
    return TB_NO_MEMORY;
  *c = (tb_curvature){ .context = context, .dtype = f->dtype, .parameters = f->parameters, .block = block };
  status = tb_graph_new(context, &g);
  if (status == TB_OK)
    status = build(c, f, kind, g);
  tb_graph_free(g);
  if (status == TB_OK && !(c->products = tb_allocate(context, block * f->parameters, dtype_size(f->dtype))))
    status = TB_NO_MEMORY;
  if (status == TB_OK)
    *curvature = c;
  else
    tb_curvature_free(c);
  return status;
}

void tb_curvature_free(tb_curvature *c) {
  if (!c)
    return;
  tb_program_free(c->program);
  for (size_t i = 0; i < c->leaf_count; i++)
    tb_release(c->context, c->leaves[i]);
  tb_release(c->context, c->products);
  tb_release(c->context, c);
}

void tb_curvature_move(tb_curvature *c, const double *theta) {
  to_program(c->dtype, c->parameters, theta, c->leaves[0]);
  tb_program_renew(c->program);
}

/* Blocks of the program's length; the last is filled up with zeros. */
static tb_status apply(void *user, size_t count, const double *v, double *product) {
  tb_curvature *c = user;
  const size_t p = c->parameters, size = dtype_size(c->dtype);
  void *vectors = c->leaves[c->leaf_count - 1];
  for (size_t first = 0; first < count; first += c->block) {
    const size_t rows = count - first < c->block ? count - first : c->block;
    to_program(c->dtype, rows * p, v + first * p, vectors);
    memset((char *)vectors + rows * p * size, 0, (c->block - rows) * p * size);
    const tb_status status =
        tb_program_run(c->program, c->leaf_count, (const void *const *)c->leaves, 1, (void *[]){ c->products });
    if (status != TB_OK)
      return status;
    if (c->dtype == TB_FLOAT64)
      memcpy(product + first * p, c->products, rows * p * size);
    else
      for (size_t i = 0; i < rows * p; i++)
        product[first * p + i] = (double)((const float *)c->products)[i];
  }
  return TB_OK;
}

tb_operator tb_curvature_operator(tb_curvature *c) {
  return (
      tb_operator){ .context = c->context, .dimension = c->parameters, .block = c->block, .apply = apply, .user = c };
}

/* ---- models of the table ---- */

static tb_value build_model(void *user, tb_graph *g, tb_value theta, const tb_value *data) {
  const tb_model_function *m = user;
  return m->model->output(g, m->shape, theta, data[0]);
}

tb_function tb_function_of_model(const tb_model_function *m, tb_dtype dtype, size_t n, const double *x,
                                 tb_row_loss loss, const double *targets) {
  return (tb_function){
    .parameters = m->model->parameters(m->shape),
    .dtype = dtype,
    .data_count = 1,
    .data = { { .rank = 2, .dims = { n, m->shape->inputs }, .values = x } },
    .build = build_model,
    .user = (void *)(uintptr_t)m,
    .loss = loss,
    .targets = targets,
  };
}

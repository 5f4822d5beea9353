/* Two layers with a positive part between them, narrow outside and wide inside, as models write them and reverse mode
 * leaves them:
 *
 *   h = relu(x W₁ + b₁),  y = h W₂;   W̄₂ = ȳᵀ h,  d = (ȳ W₂ᵀ) relu′(h),  b̄₁ = Σ d,  x̄ = d W₁ᵀ,  W̄₁ = dᵀ x
 *
 * Forward and reverse become a unit each, and the wide values are never stored: to write and read them takes longer
 * than to compute them again.  A sum of gradients may stand in either order (ȳᵀ h or hᵀ ȳ). */
#include "engine/patterns.h"

#include <string.h>

enum { LEAST_HIDDEN = 256 };

typedef struct feed {
  bool reverse;
  bool turned[TB_FEED_ARRAYS];    /* rows and columns exchanged against what the kernel calls them */
  uint32_t nodes[TB_FEED_ARRAYS]; /* or TB_NO_BUFFER */
} feed;

typedef struct found {
  uint32_t hidden;
  feed forward, back;
  uint32_t inside[8], inside_count;
} found;

static bool put_inside(const tb_matcher *m, found *f, uint32_t index, uint32_t readers) {
  if (!tb_only_inside(m, index, readers) || m->p->pattern_of[index])
    return false;
  f->inside[f->inside_count++] = index;
  return true;
}

static void put(feed *unit, tb_feed_array array, uint32_t node, bool turned) {
  unit->nodes[array] = node;
  unit->turned[array] = turned;
}

static bool is_relu(const tb_node *node, uint32_t order) {
  return node->op == TB_OP_UNARY && node->attributes.kind == TB_RELU && node->attributes.order == order;
}

static size_t rows_of(const tb_node *node) {
  return node->dims[node->rank - 2];
}
static size_t cols_of(const tb_node *node) {
  return node->dims[node->rank - 1];
}
static bool narrow(size_t n) {
  return n > 0 && n <= TB_FEED_MOST;
}

/* A broadcast of one row for each matrix. */
static bool repeats_rows(const tb_matcher *m, uint32_t index) {
  const tb_node *node = tb_matched(m, index);
  if (node->op != TB_OP_BROADCAST)
    return false;
  const tb_node *from = tb_matched(m, node->operands[0]);
  return from->rank > 0 && cols_of(node) == from->dims[from->rank - 1] && (from->rank < 2 || rows_of(from) == 1);
}

/* ---- forward ---- */

/* h = relu(x W₁ + b₁) */
static bool find_hidden(const tb_matcher *m, found *f) {
  const tb_node *node = tb_matched(m, f->hidden);
  if (!is_relu(node, 0) || !tb_dtype_real(node->dtype) || node->rank < 2 || node->rank > 3 || node->elements == 0 ||
      cols_of(node) < LEAST_HIDDEN)
    return false;
  const tb_node *sum = tb_matched(m, node->operands[0]);
  if (!tb_is_binary(sum, TB_ADD) || !put_inside(m, f, node->operands[0], 1))
    return false;
  for (int side = 0; side < 2; side++) {
    const uint32_t product = sum->operands[side], bias = sum->operands[!side];
    const tb_node *p = tb_matched(m, product);
    if (p->op != TB_OP_MATMUL || p->attributes.transpose_a || !repeats_rows(m, bias) ||
        !narrow(cols_of(tb_matched(m, p->operands[0]))))
      continue;
    put(&f->forward, TB_FEED_X, p->operands[0], false);
    put(&f->forward, TB_FEED_FIRST, p->operands[1], p->attributes.transpose_b);
    put(&f->forward, TB_FEED_BIAS, bias, false);
    return put_inside(m, f, product, 1);
  }
  return false;
}

/* ---- reverse ---- */

/* Σ_rows aᵀ b, a gradient of `what` in the kernel's order with `other` first */
static bool is_gradient(const tb_node *node, uint32_t other, uint32_t what, bool *turned) {
  if (node->op != TB_OP_MATMUL || !node->attributes.transpose_a || node->attributes.transpose_b || other == what)
    return false;
  *turned = node->operands[0] == what;
  return node->operands[*turned] == other && node->operands[!*turned] == what;
}

/* What comes of d */
static bool find_ends(const tb_matcher *m, uint32_t slope, found *f) {
  feed *back = &f->back;
  const uint32_t count = tb_reader_count(m, slope);
  if (!put_inside(m, f, slope, count))
    return false;
  for (uint32_t k = 0; k < count; k++) {
    const uint32_t reader = tb_reader(m, slope, k);
    const tb_node *node = tb_matched(m, reader);
    tb_feed_array array;
    bool turned = false;
    if (node->op == TB_OP_REDUCE && node->attributes.kind == TB_SUM &&
        node->attributes.axes == 1u << (tb_matched(m, slope)->rank - 2))
      array = TB_FEED_BIAS_BAR;
    else if (is_gradient(node, back->nodes[TB_FEED_X], slope, &turned))
      array = TB_FEED_FIRST_BAR;
    else if (node->op == TB_OP_MATMUL && !node->attributes.transpose_a && node->operands[0] == slope &&
             node->operands[1] != slope && narrow(cols_of(node)))
      array = TB_FEED_X_BAR;
    else
      return false;
    if (back->nodes[array] != TB_NO_BUFFER)
      return false;
    put(back, array, reader, turned);
    if (array == TB_FEED_X_BAR)
      put(back, TB_FEED_BACK, node->operands[1], node->attributes.transpose_b);
  }
  return back->nodes[TB_FEED_FIRST_BAR] != TB_NO_BUFFER &&
         (back->nodes[TB_FEED_X_BAR] == TB_NO_BUFFER ||
          cols_of(tb_matched(m, back->nodes[TB_FEED_X_BAR])) == cols_of(tb_matched(m, back->nodes[TB_FEED_X])));
}

/* d = (ȳ W₂ᵀ) relu′(h), from relu′(h) */
static bool find_slope(const tb_matcher *m, uint32_t derivative, found *f) {
  if (!put_inside(m, f, derivative, 1))
    return false;
  const uint32_t slope = tb_reader(m, derivative, 0);
  const tb_node *d = tb_matched(m, slope);
  if (!tb_is_binary(d, TB_MULTIPLY))
    return false;
  const uint32_t product = d->operands[d->operands[0] == derivative];
  const tb_node *p = tb_matched(m, product);
  if (p->op != TB_OP_MATMUL || p->attributes.transpose_a || p->operands[0] != f->back.nodes[TB_FEED_BAR] ||
      !put_inside(m, f, product, 1))
    return false;
  put(&f->back, TB_FEED_SECOND, p->operands[1], p->attributes.transpose_b);
  return find_ends(m, slope, f);
}

/* Who reads h: y, and all or nothing of the reverse. */
static bool find_readers(const tb_matcher *m, found *f) {
  const uint32_t count = tb_reader_count(m, f->hidden);
  uint32_t derivative = TB_NO_BUFFER;
  f->back.reverse = count == 3;
  if ((count != 1 && count != 3) || !put_inside(m, f, f->hidden, count))
    return false;
  for (int k = TB_FEED_X; k <= TB_FEED_BIAS; k++)
    put(&f->back, k, f->forward.nodes[k], f->forward.turned[k]);
  for (uint32_t k = 0; k < count; k++) {
    const uint32_t reader = tb_reader(m, f->hidden, k);
    const tb_node *node = tb_matched(m, reader);
    bool turned;
    if (is_relu(node, 1)) {
      derivative = reader;
    } else if (node->op == TB_OP_MATMUL && !node->attributes.transpose_a && node->operands[0] == f->hidden &&
               node->operands[1] != f->hidden && narrow(cols_of(node))) {
      put(&f->forward, TB_FEED_OUT, reader, false);
      put(&f->forward, TB_FEED_SECOND, node->operands[1], node->attributes.transpose_b);
    } else if (node->op == TB_OP_MATMUL) {
      const uint32_t bar = node->operands[node->operands[0] == f->hidden];
      if (!is_gradient(node, bar, f->hidden, &turned) || !narrow(cols_of(tb_matched(m, bar))))
        return false;
      put(&f->back, TB_FEED_SECOND_BAR, reader, turned);
      put(&f->back, TB_FEED_BAR, bar, false);
    }
  }
  return f->forward.nodes[TB_FEED_OUT] != TB_NO_BUFFER &&
         (!f->back.reverse || (derivative != TB_NO_BUFFER && f->back.nodes[TB_FEED_SECOND_BAR] != TB_NO_BUFFER &&
                               find_slope(m, derivative, f)));
}

/* ---- the pattern ---- */

static tb_status views_of(tb_planner *p, const feed *f, tb_view views[TB_FEED_ARRAYS]) {
  tb_status status = TB_OK;
  for (int k = 0; k < TB_FEED_ARRAYS && status == TB_OK; k++) {
    const uint32_t node = f->nodes[k];
    if (node == TB_NO_BUFFER)
      continue;
    if (k == TB_FEED_X || k == TB_FEED_BAR)
      status = tb_rows_view(p, node, &views[k]);
    else if (k < TB_FEED_OUT)
      status = tb_view_of(p, node, &views[k]);
    else if (k == TB_FEED_OUT || k == TB_FEED_X_BAR)
      status = tb_view_make_rows(p, node, &views[k]);
    else
      status = tb_view_make(p, node, &views[k]);
  }
  return status;
}

static tb_feed_forward shape_of(const tb_planner *p, const feed *f, const tb_view views[TB_FEED_ARRAYS]) {
  const tb_node *x = p->graph->nodes[f->nodes[TB_FEED_X]], *bias = p->graph->nodes[f->nodes[TB_FEED_BIAS]];
  const tb_node *out = p->graph->nodes[f->nodes[f->reverse ? TB_FEED_BAR : TB_FEED_OUT]];
  tb_feed_forward shape = { .rows = rows_of(x), .in = cols_of(x), .hidden = cols_of(bias), .out = cols_of(out) };
  size_t *const ld[TB_FEED_ARRAYS] = { [TB_FEED_X] = &shape.ld_x,
                                       [TB_FEED_BAR] = &shape.ld_bar,
                                       [TB_FEED_OUT] = &shape.ld_out,
                                       [TB_FEED_X_BAR] = &shape.ld_x_bar };
  tb_feed_strides *const by[TB_FEED_ARRAYS] = { [TB_FEED_FIRST] = &shape.first,
                                                [TB_FEED_SECOND] = &shape.second,
                                                [TB_FEED_BACK] = &shape.back,
                                                [TB_FEED_FIRST_BAR] = &shape.first_bar,
                                                [TB_FEED_SECOND_BAR] = &shape.second_bar };
  for (int k = 0; k < TB_FEED_ARRAYS; k++) {
    if (f->nodes[k] == TB_NO_BUFFER)
      continue;
    const size_t row = views[k].strides[x->rank - 2], col = views[k].strides[x->rank - 1];
    if (ld[k])
      *ld[k] = row;
    if (by[k])
      *by[k] = f->turned[k] ? (tb_feed_strides){ col, row } : (tb_feed_strides){ row, col };
  }
  shape.bias_step = views[TB_FEED_BIAS].strides[x->rank - 1];
  return shape;
}

static tb_status lower_feed(tb_planner *p, const tb_pattern *pattern) {
  const feed *f = pattern->detail;
  const tb_node *x = p->graph->nodes[f->nodes[TB_FEED_X]];
  const size_t size = tb_dtype_size(x->dtype);
  tb_feed *d = tb_arena_allocate(p->arena, 1, sizeof *d);
  tb_view views[TB_FEED_ARRAYS];
  tb_status status = d ? views_of(p, f, views) : TB_NO_MEMORY;
  if (status != TB_OK)
    return status;
  *d = (tb_feed){ .kernel = p->kernels[x->dtype]->feed,
                  .reverse = f->reverse,
                  .batch = x->rank > 2 ? x->dims[0] : 1,
                  .shape = shape_of(p, f, views) };
  for (int k = 0; k < TB_FEED_ARRAYS && status == TB_OK; k++) {
    d->used[k] = f->nodes[k] != TB_NO_BUFFER;
    if (!d->used[k])
      continue;
    d->strides[k] = d->batch > 1 ? views[k].strides[0] * size : 0;
    status = tb_touch(p, &views[k], size, k >= TB_FEED_OUT, &d->at[k]);
  }
  if (status == TB_OK)
    status = tb_touch_scratch(p, d->kernel->scratch(&d->shape, d->reverse) * size, &d->scratch);
  return status == TB_OK ? tb_emit(p, tb_run_feed, d, d->reverse ? "two layers, reverse" : "two layers",
                                   pattern->yields[pattern->yield_count - 1])
                         : status;
}

/* Known before a node is computed: built before it, or a leaf seen in another way. */
static bool known(const tb_matcher *m, uint32_t index, uint32_t before) {
  while (index > before && tb_op_is_view(tb_matched(m, index)->op) && tb_matched(m, index)->op != TB_OP_RESULT)
    index = tb_matched(m, index)->operands[0];
  return index < before || tb_ops[tb_matched(m, index)->op].arity == 0;
}

/* A unit needs all that it reads before the first that it yields. */
static bool in_order(const tb_matcher *m, const feed *f) {
  uint32_t first = UINT32_MAX;
  bool fits = true;
  for (int k = TB_FEED_OUT; k < TB_FEED_ARRAYS; k++)
    if (f->nodes[k] != TB_NO_BUFFER) {
      first = f->nodes[k] < first ? f->nodes[k] : first;
      fits = fits && !m->p->pattern_of[f->nodes[k]] && !m->inside[f->nodes[k]];
    }
  for (int k = 0; k < TB_FEED_OUT; k++)
    fits = fits && (f->nodes[k] == TB_NO_BUFFER || known(m, f->nodes[k], first));
  return fits;
}

static tb_status claim(tb_matcher *m, const found *f, const feed *unit) {
  feed *detail = tb_arena_allocate(m->p->scratch, 1, sizeof *detail);
  tb_pattern pattern = { .lower = lower_feed, .detail = detail };
  if (!detail)
    return TB_NO_MEMORY;
  *detail = *unit;
  tb_pattern_nodes(&pattern, TB_FEED_OUT, unit->nodes, TB_FEED_ARRAYS - TB_FEED_OUT, unit->nodes + TB_FEED_OUT);
  return tb_claim(m, &pattern, f->inside_count, f->inside);
}

tb_status tb_match_feed(tb_matcher *m, uint32_t index) {
  found f = { .hidden = index };
  memset(f.forward.nodes, 0xff, sizeof f.forward.nodes);
  memset(f.back.nodes, 0xff, sizeof f.back.nodes);
  if (!find_hidden(m, &f) || !find_readers(m, &f) || !in_order(m, &f.forward) ||
      (f.back.reverse && !in_order(m, &f.back)))
    return TB_OK;
  tb_status status = claim(m, &f, &f.forward);
  return status == TB_OK && f.back.reverse ? claim(m, &f, &f.back) : status;
}

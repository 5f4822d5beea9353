/* Units become instructions: operands as addresses, sizes and strides fixed once and for all. */
#include "engine/naive.h"
#include "engine/patterns.h"

#include <string.h>

/* ---- emitting ---- */

tb_status tb_emit(tb_planner *p, void (*run)(const tb_instruction *, tb_frame *), const void *detail, const char *name,
                  uint32_t node) {
  if (p->instruction_count == p->instruction_capacity) {
    const uint32_t capacity = p->instruction_capacity ? 2 * p->instruction_capacity : 64;
    tb_instruction *list = tb_reallocate(p->context, p->instructions, capacity, sizeof *list);
    if (!list)
      return TB_NO_MEMORY;
    p->instructions = list;
    p->instruction_capacity = capacity;
  }
  p->instructions[p->instruction_count++] = (tb_instruction){ run, detail, name, node };
  return TB_OK;
}

tb_status tb_touch_buffer(tb_planner *p, uint32_t buffer, size_t offset, tb_address *address) {
  if (p->address_count == p->address_capacity) {
    const uint32_t capacity = p->address_capacity ? 2 * p->address_capacity : 256;
    tb_address **list = tb_reallocate(p->context, p->addresses, capacity, sizeof *list);
    if (!list)
      return TB_NO_MEMORY;
    p->addresses = list;
    p->address_capacity = capacity;
  }
  tb_buffer *b = &p->buffers[buffer];
  const uint32_t now = p->instruction_count;
  b->first = b->first == UINT32_MAX ? now : b->first;
  b->last = now;
  *address = (tb_address){ buffer, offset };
  p->addresses[p->address_count++] = address;
  return TB_OK;
}

tb_status tb_touch(tb_planner *p, const tb_view *view, size_t element, bool write, tb_address *address) {
  tb_status status = tb_touch_buffer(p, view->buffer, view->offset * element, address);
  if (!write && status == TB_OK)
    p->buffers[view->buffer].crossed = p->instruction_count + 1;
  return status;
}

tb_status tb_touch_in_step(tb_planner *p, const tb_view *view, size_t element, tb_address *address) {
  return tb_touch_buffer(p, view->buffer, view->offset * element, address);
}

tb_status tb_note_in_step(tb_planner *p, uint32_t output, uint32_t input) {
  if (p->buffers[output].kind != TB_IN_OUTPUT || p->buffers[input].kind != TB_IN_INPUT ||
      p->buffers[output].bytes != p->buffers[input].bytes)
    return TB_OK;
  tb_in_step *note = tb_arena_allocate(p->scratch, 1, sizeof *note);
  if (!note)
    return TB_NO_MEMORY;
  *note = (tb_in_step){ output, input, p->in_step };
  p->in_step = note;
  return TB_OK;
}

tb_status tb_touch_scratch(tb_planner *p, size_t bytes, tb_address *address) {
  const uint32_t buffer = tb_new_buffer(p, TB_IN_ARENA, bytes);
  return buffer == TB_NO_BUFFER ? TB_NO_MEMORY : tb_touch_buffer(p, buffer, 0, address);
}

static const tb_node *node_at(const tb_planner *p, uint32_t index) {
  return p->graph->nodes[index];
}

/* Row-major copies of operands where they are needed: instructions of their own, before the one that reads them. */
tb_status tb_prepare_operands(tb_planner *p, const tb_node *node) {
  tb_view view;
  tb_status status = TB_OK;
  for (uint32_t k = 0; k < node->operand_count && status == TB_OK; k++)
    status = tb_contiguous_view(p, node->operands[k], &view);
  return status;
}

/* An operand in row-major order. */
tb_status tb_read_contiguous(tb_planner *p, uint32_t index, tb_address *address) {
  tb_view view;
  tb_status status = tb_contiguous_view(p, index, &view);
  return status == TB_OK ? tb_touch(p, &view, tb_dtype_size(node_at(p, index)->dtype), false, address) : status;
}

tb_status tb_write_result(tb_planner *p, uint32_t index, tb_address *address) {
  tb_view view;
  tb_status status = tb_view_make(p, index, &view);
  return status == TB_OK ? tb_touch(p, &view, tb_dtype_size(node_at(p, index)->dtype), true, address) : status;
}

/* ---- products ---- */

/* A matrix [rows × cols] with these strides as BLAS sees it: row-major, or its transpose, with a leading dimension. */
static bool matrix_layout(size_t rows, size_t cols, size_t row, size_t col, bool *transposed, size_t *ld) {
  if (col == 1 || cols == 1) {
    *transposed = false;
    *ld = rows == 1 ? cols : row;
    return true;
  }
  *transposed = true;
  *ld = col;
  return row == 1 || rows == 1;
}

static tb_status matrix_operand(tb_planner *p, uint32_t index, bool *transpose, size_t *ld, tb_view *view) {
  const tb_node *node = node_at(p, index);
  const uint32_t r = node->rank;
  bool transposed = false;
  tb_status status = tb_view_of(p, index, view);
  if (status == TB_OK && !matrix_layout(node->dims[r - 2], node->dims[r - 1], view->strides[r - 2],
                                        view->strides[r - 1], &transposed, ld)) {
    status = tb_contiguous_view(p, index, view);
    matrix_layout(node->dims[r - 2], node->dims[r - 1], view->strides[r - 2], view->strides[r - 1], &transposed, ld);
  }
  *transpose = *transpose != transposed;
  return status;
}

/* What is added or multiplied, seen with the product's shape: rows that run on, each row repeated or not. */
static tb_status other_operand(tb_planner *p, const tb_epilogue *e, const tb_node *product, tb_view *view) {
  const tb_node *node = node_at(p, e->other);
  tb_view from = { .offset = 0 };
  tb_status status = tb_view_of(p, e->other, &from);
  *view = from;
  const uint32_t r = product->rank;
  if (status == TB_OK && tb_view_reshape(node->rank, node->dims, from.strides, r, product->dims, view->strides) &&
      (view->strides[r - 1] == 1 || product->dims[r - 1] == 1))
    return TB_OK;
  if (status == TB_OK)
    status = tb_contiguous_view(p, e->other, view);
  tb_strides(r, product->dims, view->strides);
  return status;
}

/* a·aᵀ or aᵀ·a */
static bool is_gram(const tb_node *node) {
  return node->op == TB_OP_MATMUL && node->operands[0] == node->operands[1] &&
         node->attributes.transpose_a != node->attributes.transpose_b;
}

/* Whether matrices are known to be symmetric, in all bits: Gram matrices and what is made of them entry by entry. */
static bool is_symmetric(const tb_planner *p, uint32_t index) {
  const tb_node *node = node_at(p, index);
  switch (node->op) {
  case TB_OP_MATMUL:
    return is_gram(node);
  case TB_OP_FILL:
    return true;
  case TB_OP_SCALE:
  case TB_OP_SHIFT:
  case TB_OP_UNARY:
    return is_symmetric(p, node->operands[0]);
  case TB_OP_BINARY:
    return is_symmetric(p, node->operands[0]) && is_symmetric(p, node->operands[1]);
  default:
    return false;
  }
}

static const char *product_name(const tb_product *g) {
  switch (g->with) {
  case TB_TIMES:
    return "product × factor";
  case TB_WHERE_POSITIVE:
    return "product × slope of relu";
  case TB_PLUS_POSITIVE:
    return g->has_d ? "relu of product + sum" : "relu of product";
  default:
    return g->has_d ? "product + sum" : "product";
  }
}

static tb_status lower_product(tb_planner *p, const tb_epilogue *e) {
  const tb_node *node = node_at(p, e->matmul);
  const uint32_t r = node->rank;
  const tb_node *x = tb_node_operand(p->graph, node, 0);
  const tb_kernels *kernels = p->kernels[node->dtype];
  const size_t size = tb_dtype_size(node->dtype);
  tb_product *g = tb_arena_allocate(p->arena, 1, sizeof *g);
  if (!g)
    return TB_NO_MEMORY;
  g->gemm = kernels->gemm;
  g->transpose_a = node->attributes.transpose_a;
  g->transpose_b = node->attributes.transpose_b;
  g->m = node->dims[r - 2];
  g->n = node->dims[r - 1];
  g->k = x->dims[g->transpose_a ? r - 2 : r - 1];
  g->alpha = e->alpha;
  g->has_d = e->other != TB_NO_BUFFER;
  g->with = e->with;
  g->beta = g->has_d ? e->beta : 0;
  tb_view a, b, c, d = { .offset = 0 };
  tb_status status = matrix_operand(p, node->operands[0], &g->transpose_a, &g->lda, &a);
  if (status == TB_OK)
    status = matrix_operand(p, node->operands[1], &g->transpose_b, &g->ldb, &b);
  if (status == TB_OK && e->other != TB_NO_BUFFER)
    status = other_operand(p, e, node, &d);
  const tb_node *yields = node_at(p, e->yields);
  if (status == TB_OK)
    status = tb_same_shape(yields, node) ? tb_view_make_rows(p, e->yields, &c) : tb_view_make(p, e->yields, &c);
  if (status != TB_OK)
    return status;
  if (!tb_same_shape(yields, node)) /* row-major, seen with the product's shape */
    tb_strides(r, node->dims, c.strides);
  g->ldc = g->m == 1 ? g->n : c.strides[r - 2];
  g->batch = 1;
  for (uint32_t i = r - 2; i-- > 0;) {
    g->batch_dims[i] = node->dims[i];
    g->batch *= node->dims[i];
    g->stride_a[i] = a.strides[i] * size;
    g->stride_b[i] = b.strides[i] * size;
    g->stride_c[i] = c.strides[i] * size;
    g->stride_d[i] = d.strides[i] * size;
  }
  g->batch_rank = r - 2;
  g->symmetric = is_gram(node) && (e->with == TB_PLUS    ? e->other == TB_NO_BUFFER
                                   : e->with == TB_TIMES ? is_symmetric(p, e->other) && tb_same_shape(yields, node)
                                                         : false);
  g->move = kernels->move;
  status = tb_touch(p, &a, size, false, &g->a);
  if (status == TB_OK)
    status = tb_touch(p, &b, size, false, &g->b);
  if (status == TB_OK && e->other != TB_NO_BUFFER) {
    g->ldd = g->m == 1 ? g->n : d.strides[r - 2];
    const bool in_step = g->batch == 1 && d.offset == c.offset && (g->m == 1 || d.strides[r - 2] == g->ldc);
    status = in_step ? tb_touch_in_step(p, &d, size, &g->d) : tb_touch(p, &d, size, false, &g->d);
    if (status == TB_OK && in_step)
      status = tb_note_in_step(p, c.buffer, d.buffer);
  }
  if (status == TB_OK)
    status = tb_touch(p, &c, size, true, &g->c);
  if (status == TB_OK)
    status = tb_touch_scratch(p, kernels->gemm_scratch * size, &g->scratch);
  return status == TB_OK ? tb_emit(p, tb_run_product, g, product_name(g), e->yields) : status;
}

/* ---- reductions ---- */

/* Axes that are reduced alike and run on are one. */
typedef struct run {
  size_t size, stride;
  bool reduced;
} run;

static uint32_t find_runs(const tb_node *a, const size_t *strides, uint32_t axes, run runs[TB_MAX_RANK]) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < a->rank; i++) {
    const bool reduced = axes >> i & 1;
    run *last = &runs[count - 1];
    if (a->dims[i] == 1)
      continue;
    if (count && last->reduced == reduced && last->stride == strides[i] * a->dims[i]) {
      last->size *= a->dims[i];
      last->stride = strides[i];
    } else {
      runs[count++] = (run){ a->dims[i], strides[i], reduced };
    }
  }
  return count;
}

/* [kept] reduced [kept, running on], whatever the outer strides. */
static bool one_fold(const run *runs, uint32_t count, tb_fold *f) {
  uint32_t i = 0;
  f->outer = f->count = f->inner = 1;
  f->stride_outer = 0;
  f->stride_count = 1;
  if (i < count && !runs[i].reduced && count > 1) {
    f->outer = runs[i].size;
    f->stride_outer = runs[i++].stride;
  }
  if (i == count || !runs[i].reduced)
    return false;
  f->count = runs[i].size;
  f->stride_count = runs[i++].stride;
  if (i < count) {
    f->inner = runs[i].size;
    if (runs[i].reduced || runs[i++].stride != 1)
      return false;
  }
  return i == count;
}

static tb_status emit_fold(tb_planner *p, const tb_fold *template, uint32_t kind, const tb_view *a, const tb_view *out,
                           uint32_t index) {
  const tb_node *node = node_at(p, index);
  const size_t size = tb_dtype_size(node->dtype);
  tb_fold *f = tb_arena_allocate(p->arena, 1, sizeof *f);
  if (!f)
    return TB_NO_MEMORY;
  *f = *template;
  f->reduce = p->kernels[node->dtype]->reduce->reduce[kind];
  tb_status status = tb_touch(p, a, size, false, &f->a);
  if (status == TB_OK)
    status = tb_touch(p, out, size, true, &f->out);
  return status == TB_OK ? tb_emit(p, tb_run_fold, f, tb_reduction_name((tb_reduction)kind), index) : status;
}

static tb_status lower_reduce(tb_planner *p, uint32_t index) {
  const tb_node *node = node_at(p, index), *a = tb_node_operand(p->graph, node, 0);
  const uint32_t kind = node->attributes.kind, axes = node->attributes.axes;
  run runs[TB_MAX_RANK];
  tb_fold f = { .outer = 1 };
  tb_view from, out;
  tb_status status = tb_view_of(p, node->operands[0], &from);
  if (status != TB_OK)
    return status;
  uint32_t count = find_runs(a, from.strides, axes, runs);
  if (one_fold(runs, count, &f)) {
    status = tb_view_make(p, index, &out);
    return status == TB_OK ? emit_fold(p, &f, kind, &from, &out, index) : status;
  }
  /* row-major, then one reduced run after the other, the last first */
  status = tb_contiguous_view(p, node->operands[0], &from);
  count = find_runs(a, from.strides, axes, runs);
  uint32_t left = 0;
  for (uint32_t i = 0; i < count; i++)
    left += runs[i].reduced;
  if (status == TB_OK && left == 0) { /* every reduced axis has length 1 */
    status = tb_view_make(p, index, &out);
    tb_node shape = *node;
    tb_strides(node->rank, node->dims, from.strides);
    return status == TB_OK ? tb_emit_copy(p, index, &shape, &from, &out) : status;
  }
  for (uint32_t i = count; i-- > 0 && status == TB_OK;) {
    if (!runs[i].reduced)
      continue;
    f = (tb_fold){ .outer = 1, .count = runs[i].size, .inner = 1 };
    for (uint32_t k = 0; k < count; k++)
      if (k != i)
        *(k < i ? &f.outer : &f.inner) *= runs[k].size;
    f.stride_count = f.inner;
    f.stride_outer = f.inner * f.count;
    if (--left == 0) {
      status = tb_view_make(p, index, &out);
    } else {
      out = (tb_view){ .buffer = tb_new_buffer(p, TB_IN_ARENA, f.outer * f.inner * tb_dtype_size(node->dtype)) };
      status = out.buffer == TB_NO_BUFFER ? TB_NO_MEMORY : TB_OK;
    }
    if (status == TB_OK)
      status = emit_fold(p, &f, kind, &from, &out, index);
    from = out;
    runs[i].size = 1;
  }
  return status;
}

static tb_status lower_rows(tb_planner *p, uint32_t index) {
  const tb_node *node = node_at(p, index);
  const tb_kernel_reduce *reduce = p->kernels[node->dtype]->reduce;
  tb_rows *r = tb_arena_allocate(p->arena, 1, sizeof *r);
  if (!r)
    return TB_NO_MEMORY;
  r->f = node->op == TB_OP_SOFTMAX ? reduce->softmax : reduce->log_softmax;
  r->cols = node->dims[node->rank - 1];
  r->rows = node->elements / r->cols;
  tb_status status = tb_read_contiguous(p, node->operands[0], &r->a);
  if (status == TB_OK)
    status = tb_write_result(p, index, &r->out);
  return status == TB_OK ? tb_emit(p, tb_run_rows, r, tb_ops[node->op].name, index) : status;
}

/* ---- moves ---- */

static tb_status emit_zero(tb_planner *p, const tb_view *view, uint32_t index) {
  tb_zero *z = tb_arena_allocate(p->arena, 1, sizeof *z);
  if (!z)
    return TB_NO_MEMORY;
  z->bytes = tb_node_bytes(node_at(p, index));
  tb_status status = tb_touch(p, view, 1, true, &z->out);
  return status == TB_OK ? tb_emit(p, tb_run_zero, z, "zero", index) : status;
}

static tb_status lower_pad(tb_planner *p, uint32_t index) {
  const tb_node *node = node_at(p, index);
  const uint32_t part = node->operands[0];
  tb_view view, from;
  tb_status status = tb_view_make(p, index, &view);
  if (status == TB_OK)
    status = emit_zero(p, &view, index);
  if (status != TB_OK || node_at(p, part)->elements == 0)
    return status;
  view.offset += node->attributes.start * view.strides[node->attributes.axis];
  status = tb_view_of(p, part, &from);
  return status == TB_OK ? tb_emit_copy(p, index, node_at(p, part), &from, &view) : status;
}

static tb_status lower_concat(tb_planner *p, uint32_t index) {
  const tb_node *node = node_at(p, index);
  tb_view whole = p->views[index];
  tb_status status = whole.buffer == TB_NO_BUFFER ? tb_view_make_rows(p, index, &whole) : TB_OK;
  for (uint32_t k = 0; k < node->operand_count && status == TB_OK; k++) {
    const uint32_t part = node->operands[k];
    const tb_view to = tb_part_of(p, index, k, &whole);
    tb_view from;
    if (node_at(p, part)->elements == 0)
      continue;
    status = tb_view_of(p, part, &from);
    if (status == TB_OK && !tb_same_view(node_at(p, part), &from, &to))
      status = tb_emit_copy(p, index, node_at(p, part), &from, &to);
  }
  return status;
}

static tb_status lower_index(tb_planner *p, uint32_t index) {
  const tb_node *node = node_at(p, index), *a = tb_node_operand(p->graph, node, 0);
  const bool gather = node->op == TB_OP_GATHER;
  const tb_kernel_move *move = p->kernels[node->dtype]->move;
  tb_index_move *m = tb_arena_allocate(p->arena, 1, sizeof *m);
  if (!m)
    return TB_NO_MEMORY;
  m->f = gather ? move->gather : move->scatter_add;
  m->name = tb_ops[node->op].name;
  tb_around_axis(node, node->attributes.axis, &m->outer, &m->inner);
  m->length = (gather ? a : node)->dims[node->attributes.axis];
  m->count = tb_node_operand(p->graph, node, 1)->elements;
  tb_status status = tb_prepare_operands(p, node);
  if (status == TB_OK)
    status = tb_read_contiguous(p, node->operands[0], &m->a);
  if (status == TB_OK)
    status = tb_read_contiguous(p, node->operands[1], &m->index);
  if (status == TB_OK)
    status = tb_write_result(p, index, &m->out);
  return status == TB_OK ? tb_emit(p, tb_run_index, m, m->name, index) : status;
}

/* ---- dense solves, draws, plain loops ---- */

static tb_status lower_dense(tb_planner *p, uint32_t index) {
  const tb_node *node = node_at(p, index);
  tb_dense *d = tb_arena_allocate(p->arena, 1, sizeof *d);
  if (!d)
    return TB_NO_MEMORY;
  const tb_kernels *kernels = p->kernels[node->dtype], *wide = p->kernels[TB_FLOAT64];
  d->factor = kernels->factor;
  d->wide = wide->factor;
  d->dtype = node->dtype;
  d->transpose = node->attributes.transpose_a;
  d->n = node->dims[node->rank - 2];
  d->k = node->dims[node->rank - 1];
  d->batch = node->elements / (d->n * d->k);
  const size_t factor = TB_FACTOR_BLOCK * d->n;
  size_t work = (d->n * d->n + d->n * d->k) * sizeof(double);
  void (*execute)(const tb_instruction *, tb_frame *) = tb_run_solve;
  if (node->op == TB_OP_CHOLESKY) {
    execute = tb_run_cholesky;
    work = (d->n * d->n + factor + wide->gemm_scratch) * sizeof(double);
    if (work < (factor + kernels->gemm_scratch) * kernels->move->element)
      work = (factor + kernels->gemm_scratch) * kernels->move->element;
  } else if (node->op == TB_OP_TRIANGULAR_SOLVE) {
    execute = tb_run_triangular_solve;
    work = (factor + kernels->gemm_scratch) * kernels->move->element;
  }
  tb_status status = tb_prepare_operands(p, node);
  if (status == TB_OK)
    status = tb_read_contiguous(p, node->operands[0], &d->a);
  if (status == TB_OK && node->op != TB_OP_CHOLESKY)
    status = tb_read_contiguous(p, node->operands[1], &d->b);
  if (status == TB_OK)
    status = tb_write_result(p, index, &d->out);
  if (status == TB_OK)
    status = tb_touch_scratch(p, work, &d->work);
  if (status == TB_OK && node->op == TB_OP_SOLVE)
    status = tb_touch_scratch(p, d->n * sizeof(int64_t), &d->pivots);
  return status == TB_OK ? tb_emit(p, execute, d, tb_ops[node->op].name, index) : status;
}

static tb_status lower_draw(tb_planner *p, uint32_t index) {
  const tb_node *node = node_at(p, index);
  tb_draw *d = tb_arena_allocate(p->arena, 1, sizeof *d);
  if (!d)
    return TB_NO_MEMORY;
  d->normal = node->op == TB_OP_NORMAL;
  d->dtype = node->dtype;
  d->use = node->attributes.use;
  d->count = node->elements;
  tb_status status = tb_prepare_operands(p, node);
  if (status == TB_OK)
    status = tb_read_contiguous(p, node->operands[0], &d->key);
  d->row_elements[0] = node->attributes.start;
  d->row_elements[1] = node->attributes.index;
  for (d->tiles = 0; d->tiles + 1 < node->operand_count && status == TB_OK; d->tiles++)
    status = tb_read_contiguous(p, node->operands[1 + d->tiles], &d->rows[d->tiles]);
  if (status == TB_OK)
    status = tb_write_result(p, index, &d->out);
  return status == TB_OK ? tb_emit(p, tb_run_draw, d, tb_ops[node->op].name, index) : status;
}

static tb_status lower_plain(tb_planner *p, uint32_t index) {
  const tb_node *node = node_at(p, index);
  tb_plain *plain = tb_arena_allocate(p->arena, 1, sizeof *plain);
  tb_address *operands = tb_arena_allocate(p->arena, node->operand_count + 1, sizeof *operands);
  if (!plain || !operands)
    return TB_NO_MEMORY;
  *plain = (tb_plain){ .graph = p->graph, .node = node, .operand_count = node->operand_count, .operands = operands };
  assert(node->operand_count <= TB_PLAIN_OPERANDS);
  tb_status status = tb_prepare_operands(p, node);
  for (uint32_t k = 0; k < node->operand_count && status == TB_OK; k++)
    status = tb_read_contiguous(p, node->operands[k], &operands[k]);
  if (status == TB_OK)
    status = tb_write_result(p, index, &plain->out);
  return status == TB_OK ? tb_emit(p, tb_run_plain, plain, tb_ops[node->op].name, index) : status;
}

/* ---- units ---- */

static tb_status lower_pattern(tb_planner *p, const tb_pattern *pattern) {
  return pattern->lower(p, pattern);
}

static tb_status lower_node(tb_planner *p, uint32_t index) {
  const tb_node *node = node_at(p, index);
  switch (node->op) {
  case TB_OP_MATMUL:
    return lower_product(p, &(tb_epilogue){ index, TB_NO_BUFFER, index, TB_NO_BUFFER, 1, 0, TB_PLUS });
  case TB_OP_REDUCE:
    return node->dtype == TB_INT32 ? lower_plain(p, index) : lower_reduce(p, index);
  case TB_OP_SOFTMAX:
  case TB_OP_LOG_SOFTMAX:
    return lower_rows(p, index);
  case TB_OP_PAD:
    return lower_pad(p, index);
  case TB_OP_CONCAT:
    return lower_concat(p, index);
  case TB_OP_GATHER:
    return lower_index(p, index);
  case TB_OP_SCATTER_ADD:
    return node->dtype == TB_INT32 ? lower_plain(p, index) : lower_index(p, index);
  case TB_OP_CHOLESKY:
  case TB_OP_SOLVE:
  case TB_OP_TRIANGULAR_SOLVE:
    return lower_dense(p, index);
  case TB_OP_NORMAL:
  case TB_OP_UNIFORM:
    return lower_draw(p, index);
  case TB_OP_SCAN:
    return tb_lower_loop(p, index);
  case TB_OP_TILES:
    return tb_lower_tiles(p, index);
  default:
    return lower_plain(p, index);
  }
}

/* Outputs that no instruction wrote in place: leaves, views, and the second time that a value is asked for. */
static tb_status copy_outputs(tb_planner *p) {
  tb_status status = TB_OK;
  for (size_t i = 0; i < p->n_out && status == TB_OK; i++) {
    const tb_node *node = node_at(p, p->outputs[i]);
    tb_view from, to = { .offset = 0 };
    if (node->elements == 0)
      continue;
    status = tb_view_of(p, p->outputs[i], &from);
    if (status == TB_OK && p->buffers[from.buffer].kind == TB_IN_OUTPUT && p->buffers[from.buffer].index == i)
      continue;
    tb_strides(node->rank, node->dims, to.strides);
    to.buffer = tb_new_buffer(p, TB_IN_OUTPUT, tb_node_bytes(node));
    if (to.buffer == TB_NO_BUFFER)
      return TB_NO_MEMORY;
    p->buffers[to.buffer].index = (uint32_t)i;
    if (status == TB_OK)
      status = tb_emit_copy(p, p->outputs[i], node, &from, &to);
  }
  return status;
}

tb_status tb_lower(tb_planner *p) {
  tb_status status = TB_OK;
  tb_find_homes(p);
  for (uint32_t u = 0; u < p->unit_count && status == TB_OK; u++) {
    const tb_unit *unit = &p->units[u];
    status = unit->kind == TB_UNIT_GROUP     ? tb_lower_group(p, unit)
             : unit->kind == TB_UNIT_PATTERN ? lower_pattern(p, p->pattern_of[unit->members[0]])
             : unit->kind == TB_UNIT_PRODUCT ? lower_product(p, &p->epilogues[unit->members[0]])
                                             : lower_node(p, unit->members[0]);
  }
  return status == TB_OK ? copy_outputs(p) : status;
}

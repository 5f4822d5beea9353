/* Products with rows that are all equal: one row is multiplied, not all of them.
 *
 * A network that is told the time beside its inputs multiplies concat(x, copies of t) by W.  Here that becomes
 * x Wx + copies of (t Wt), and its gradient concat(xᵀ Ȳ, tᵀ (sum of the rows of Ȳ)).  Copies of a row that are added
 * one after the other are added as one. */
#include "engine/rewrite.h"

#include <string.h>

/* ---- rows ---- */

static bool equal_rows(const tb_rewriter *w, uint32_t index) {
  const tb_node *node = tb_rewritten(w, index);
  if (node->op != TB_OP_BROADCAST || node->rank < 2 || node->dims[node->rank - 2] < 2)
    return false;
  const tb_node *source = tb_rewritten(w, node->operands[0]);
  return source->rank < 2 || source->dims[source->rank - 2] == 1;
}

static tb_node resized(const tb_node *like, tb_op op, uint32_t axis, size_t length) {
  tb_node node = tb_shaped_like(like, op);
  if (node.dims[axis])
    node.elements = node.elements / node.dims[axis] * length;
  node.dims[axis] = length;
  return node;
}

/* [… m, n] of equal rows → [… 1, n] */
static tb_status one_row(tb_rewriter *w, uint32_t rows, uint32_t *index) {
  const tb_node *node = tb_rewritten(w, rows), *source = tb_rewritten(w, node->operands[0]);
  tb_node one = resized(node, TB_OP_RESHAPE, node->rank - 2, 1);
  if (source->elements != one.elements)
    one.op = TB_OP_BROADCAST;
  return tb_rewrite_node(w, &one, 1, node->operands, index);
}

static tb_status stretch(tb_rewriter *w, const tb_node *like, uint32_t one, uint32_t *index) {
  const tb_node node = tb_shaped_like(like, TB_OP_BROADCAST);
  return tb_rewrite_node(w, &node, 1, &one, index);
}

static tb_status sum_along(tb_rewriter *w, uint32_t a, uint32_t axis, uint32_t *index) {
  tb_node node = resized(tb_rewritten(w, a), TB_OP_REDUCE, axis, 1);
  node.attributes.kind = TB_SUM;
  node.attributes.axes = 1u << axis;
  node.attributes.keep = 1;
  return tb_rewrite_node(w, &node, 1, &a, index);
}

static tb_status slice_of(tb_rewriter *w, uint32_t a, uint32_t axis, size_t start, size_t length, uint32_t *index) {
  tb_node node = resized(tb_rewritten(w, a), TB_OP_SLICE, axis, length);
  node.attributes.axis = axis;
  node.attributes.start = start;
  return tb_rewrite_node(w, &node, 1, &a, index);
}

/* ---- products ---- */

/* The axis of an operand along which a product sums. */
static uint32_t summed_axis(const tb_node *product, int side) {
  const bool rows = side == 0 ? product->attributes.transpose_a : !product->attributes.transpose_b;
  return product->rank - (rows ? 2 : 1);
}

static tb_status product_of(tb_rewriter *w, const tb_node *like, uint32_t axis, size_t length, uint32_t a, uint32_t b,
                            uint32_t *index) {
  tb_node node = resized(like, TB_OP_MATMUL, axis, length);
  node.attributes = like->attributes;
  return tb_rewrite_node(w, &node, 2, (uint32_t[]){ a, b }, index);
}

/* op(copies of a)ᵀ b = aᵀ (sum of the rows of b), on either side */
static tb_status product_of_sum(tb_rewriter *w, tb_rule_input in, int side, uint32_t *index) {
  uint32_t operands[2];
  tb_status status = one_row(w, in.operands[side], &operands[side]);
  if (status == TB_OK)
    status = sum_along(w, in.operands[!side], summed_axis(in.node, !side), &operands[!side]);
  return status == TB_OK ? tb_rewrite_node(w, in.node, 2, operands, index) : status;
}

static tb_status product_of_copies(tb_rewriter *w, tb_rule_input in, uint32_t *index) {
  uint32_t one = 0, product = 0;
  tb_status status = one_row(w, in.operands[0], &one);
  if (status == TB_OK)
    status = product_of(w, in.node, in.node->rank - 2, 1, one, in.operands[1], &product);
  return status == TB_OK ? stretch(w, in.node, product, index) : status;
}

/* The rows of a concatenation are summed over: its parts give parts of the result. */
static tb_status concatenated_products(tb_rewriter *w, tb_rule_input in, int side, uint32_t *index) {
  const tb_node *concat = tb_rewritten(w, in.operands[side]);
  const uint32_t axis = in.node->rank - (side == 0 ? 2 : 1);
  uint32_t *parts = tb_arena_allocate(w->to->arena, concat->operand_count, sizeof *parts);
  tb_status status = parts ? TB_OK : TB_NO_MEMORY;
  for (uint32_t k = 0; k < concat->operand_count && status == TB_OK; k++) {
    const uint32_t part = concat->operands[k];
    const size_t length = tb_rewritten(w, part)->dims[concat->rank - 1];
    status = product_of(w, in.node, axis, length, side == 0 ? part : in.operands[0], side == 0 ? in.operands[1] : part,
                        &parts[k]);
  }
  tb_node joined = tb_shaped_like(in.node, TB_OP_CONCAT);
  joined.attributes.axis = axis;
  return status == TB_OK ? tb_rewrite_node(w, &joined, concat->operand_count, parts, index) : status;
}

/* concat(x, copies of t) W = x Wx + copies of (t Wt); neighbours that are no copies stay together. */
static tb_status split_product(tb_rewriter *w, tb_rule_input in, uint32_t *index) {
  const tb_node *concat = tb_rewritten(w, in.operands[0]);
  const uint32_t last = concat->rank - 1, axis = summed_axis(in.node, 1);
  tb_node sum = tb_shaped_like(in.node, TB_OP_BINARY);
  sum.attributes.kind = TB_ADD;
  tb_status status = TB_OK;
  bool any = false;
  for (int copies = 0; copies < 2; copies++) { /* copies are added last */
    size_t start = 0;
    for (uint32_t k = 0, end; k < concat->operand_count && status == TB_OK; k = end) {
      const bool equal = equal_rows(w, concat->operands[k]);
      size_t length = 0;
      for (end = k; end < concat->operand_count && equal_rows(w, concat->operands[end]) == equal; end++)
        length += tb_rewritten(w, concat->operands[end])->dims[last];
      if (equal == (copies == 1)) {
        tb_node run = resized(concat, TB_OP_CONCAT, last, length);
        run.attributes.axis = last;
        uint32_t part = concat->operands[k], weights = 0, product = 0;
        if (end > k + 1)
          status = tb_rewrite_node(w, &run, end - k, concat->operands + k, &part);
        if (status == TB_OK)
          status = slice_of(w, in.operands[1], axis, start, length, &weights);
        if (status == TB_OK)
          status = tb_rewrite_node(w, in.node, 2, (uint32_t[]){ part, weights }, &product);
        if (status == TB_OK && any)
          status = tb_rewrite_node(w, &sum, 2, (uint32_t[]){ *index, product }, index);
        else if (status == TB_OK)
          *index = product;
        any = true;
      }
      start += length;
    }
  }
  return status;
}

static bool holds_copies(const tb_rewriter *w, uint32_t index) {
  const tb_node *node = tb_rewritten(w, index);
  bool some = false;
  for (uint32_t k = 0; node->op == TB_OP_CONCAT && node->attributes.axis == node->rank - 1 && k < node->operand_count;
       k++)
    some = some || equal_rows(w, node->operands[k]);
  return some;
}

static bool rows_of_product(tb_rewriter *w, tb_rule_input in, uint32_t *index, tb_status *status) {
  const uint32_t rows = in.node->rank - 2;
  for (int side = 0; side < 2; side++) {
    if (summed_axis(in.node, side) != rows)
      continue;
    if (equal_rows(w, in.operands[side])) {
      *status = product_of_sum(w, in, side, index);
      return true;
    }
    if (holds_copies(w, in.operands[side])) {
      *status = concatenated_products(w, in, side, index);
      return true;
    }
  }
  if (in.node->attributes.transpose_a)
    return false;
  if (equal_rows(w, in.operands[0]))
    *status = product_of_copies(w, in, index);
  else if (holds_copies(w, in.operands[0]))
    *status = split_product(w, in, index);
  else
    return false;
  return true;
}

/* ---- around products ---- */

/* (product + copies of u) + copies of v = product + copies of (u + v) */
static bool rows_of_sum(tb_rewriter *w, tb_rule_input in, uint32_t *index, tb_status *status) {
  for (int k = 0; k < 2; k++) {
    const tb_node *inner = tb_rewritten(w, in.operands[k]);
    if (!equal_rows(w, in.operands[!k]) || inner->op != TB_OP_BINARY || inner->attributes.kind != TB_ADD)
      continue;
    for (int m = 0; m < 2; m++) {
      const uint32_t product = inner->operands[m], row = inner->operands[!m];
      if (tb_rewritten(w, product)->op != TB_OP_MATMUL || !equal_rows(w, row))
        continue;
      tb_node sum = resized(in.node, TB_OP_BINARY, in.node->rank - 2, 1);
      sum.attributes.kind = TB_ADD;
      uint32_t u = 0, v = 0, both = 0, copies = 0;
      *status = one_row(w, row, &u);
      if (*status == TB_OK)
        *status = one_row(w, in.operands[!k], &v);
      if (*status == TB_OK)
        *status = tb_rewrite_node(w, &sum, 2, (uint32_t[]){ u, v }, &both);
      if (*status == TB_OK)
        *status = stretch(w, in.node, both, &copies);
      if (*status == TB_OK)
        *status = tb_rewrite_node(w, in.node, 2, (uint32_t[]){ product, copies }, index);
      return true;
    }
  }
  return false;
}

static bool rows_of_concat(tb_rewriter *w, tb_rule_input in, uint32_t *index, tb_status *status) {
  if (in.node->rank < 2 || in.node->attributes.axis == in.node->rank - 2 || in.count == 0)
    return false;
  for (uint32_t k = 0; k < in.count; k++)
    if (!equal_rows(w, in.operands[k]))
      return false;
  uint32_t *ones = tb_arena_allocate(w->to->arena, in.count, sizeof *ones), joined = 0;
  *status = ones ? TB_OK : TB_NO_MEMORY;
  for (uint32_t k = 0; k < in.count && *status == TB_OK; k++)
    *status = one_row(w, in.operands[k], &ones[k]);
  tb_node one = resized(in.node, TB_OP_CONCAT, in.node->rank - 2, 1);
  one.attributes = in.node->attributes;
  if (*status == TB_OK)
    *status = tb_rewrite_node(w, &one, in.count, ones, &joined);
  if (*status == TB_OK)
    *status = stretch(w, in.node, joined, index);
  return true;
}

bool tb_rule_rows(tb_rewriter *w, tb_rule_input in, uint32_t *index, tb_status *status) {
  if (!tb_dtype_real(in.node->dtype) || in.node->elements == 0)
    return false;
  if (in.node->op == TB_OP_MATMUL)
    return rows_of_product(w, in, index, status);
  if (in.node->op == TB_OP_BINARY && in.node->attributes.kind == TB_ADD)
    return rows_of_sum(w, in, index, status);
  return in.node->op == TB_OP_CONCAT && rows_of_concat(w, in, index, status);
}

/* ---- products of which only some columns are needed ---- */

static bool sums_rows(const tb_node *node, uint32_t rank) {
  return node->op == TB_OP_REDUCE && node->attributes.kind == TB_SUM && node->attributes.axes >> (rank - 2) & 1;
}

/* Slices of a product's columns are products of slices, and their sums over rows products of sums, where the whole
 * product has no other reader and columns that are only summed, or not read at all, are spared. */
tb_status tb_rewrite_spare(tb_context *context, const tb_graph *graph, size_t n_out, const uint32_t *outputs,
                           const bool *needed, const bool *replaced, tb_spare *spare) {
  bool *other = tb_allocate(context, 2 * (size_t)graph->count + 1, sizeof *other), *summed = other + graph->count;
  size_t *read = tb_allocate(context, graph->count + 1, sizeof *read);
  tb_status status = other && read ? TB_OK : TB_NO_MEMORY;
  for (size_t k = 0; k < n_out && status == TB_OK; k++)
    other[outputs[k]] = true;
  for (uint32_t i = 0; i < graph->count && status == TB_OK; i++) { /* other: than slices, of a slice than sums */
    const tb_node *node = graph->nodes[i];
    for (uint32_t k = 0; k < node->operand_count && needed[i]; k++) {
      const uint32_t a = node->operands[k];
      const tb_node *from = graph->nodes[a];
      if (from->op == TB_OP_SLICE && from->rank > 1 && sums_rows(node, from->rank))
        summed[a] = true;
      else if (from->op != TB_OP_MATMUL || node->op != TB_OP_SLICE || node->attributes.axis != from->rank - 1)
        other[a] = true;
    }
  }
  for (uint32_t i = 0; i < graph->count && status == TB_OK; i++)
    if (needed[i] && graph->nodes[i]->op == TB_OP_SLICE && (other[i] || !summed[i]))
      read[graph->nodes[i]->operands[0]] += graph->nodes[i]->dims[graph->nodes[i]->rank - 1];
  for (uint32_t i = 0; i < graph->count && status == TB_OK; i++) {
    const tb_node *node = graph->nodes[i];
    const uint32_t a = node->operand_count == 1 ? node->operands[0] : 0;
    const tb_node *from = graph->nodes[a];
    if (!needed[i])
      continue;
    if (node->op == TB_OP_SLICE && from->op == TB_OP_MATMUL && !other[a] && !(replaced && replaced[a]) &&
        read[a] < from->dims[from->rank - 1])
      spare[i] = TB_SPARE_COLUMNS;
    else if (node->op == TB_OP_REDUCE && spare[a] == TB_SPARE_COLUMNS && !other[a])
      spare[i] = TB_SPARE_ROWS;
  }
  tb_release(context, other);
  tb_release(context, read);
  return status;
}

tb_status tb_rewrite_spared(tb_rewriter *w, const tb_graph *from, const tb_node *node, tb_spare spare,
                            const uint32_t *map, uint32_t *index) {
  const tb_node *slice = spare == TB_SPARE_ROWS ? from->nodes[node->operands[0]] : node;
  const tb_node *product = from->nodes[slice->operands[0]];
  const uint32_t last = product->rank - 1, rows = product->rank - 2;
  uint32_t a = map[product->operands[0]], b = 0, c = 0;
  tb_status status = slice_of(w, map[product->operands[1]], product->attributes.transpose_b ? rows : last,
                              slice->attributes.start, slice->dims[last], &b);
  if (spare == TB_SPARE_COLUMNS)
    return status == TB_OK ? product_of(w, product, last, slice->dims[last], a, b, index) : status;
  if (status == TB_OK)
    status = sum_along(w, a, product->attributes.transpose_a ? last : rows, &a);
  tb_node one = resized(product, TB_OP_MATMUL, rows, 1);
  if (status == TB_OK) {
    one.attributes = product->attributes;
    status = product_of(w, &one, last, slice->dims[last], a, b, &c);
  }
  return status == TB_OK ? tb_rewrite_node(w, node, 1, &c, index) : status;
}

/* The rules of row_tags.h. */
#include "engine/row_tags.h"

static const tb_tag none = { TB_TAG_NONE, 0, 0 };

static tb_tag rows_at(uint32_t axis, size_t unit) {
  return (tb_tag){ TB_TAG_ROWS, axis, unit };
}

static size_t behind(const tb_node *node, uint32_t axis) {
  size_t product = 1;
  for (uint32_t i = axis + 1; i < node->rank; i++)
    product *= node->dims[i];
  return product;
}

size_t tb_rows_inner(const tb_node *node, tb_tag tag) {
  return behind(node, tag.axis) * tag.unit;
}

/* The axis of `to` that holds the rows which lie `inner` elements apart. */
static tb_tag reshaped(const tb_node *to, size_t rows, size_t inner) {
  for (uint32_t i = 0; i < to->rank; i++) {
    const size_t after = behind(to, i);
    if (after && inner % after == 0 && to->dims[i] > 1 && to->dims[i] % (inner / after * rows) == 0)
      return rows_at(i, inner / after);
  }
  return none;
}

/* The axis of a reduction's result that is axis i of its operand, or the other way round. */
static uint32_t kept_axis(const tb_node *node, uint32_t axis) {
  uint32_t gone = 0;
  for (uint32_t i = 0; i < axis && !node->attributes.keep; i++)
    gone += node->attributes.axes >> i & 1;
  return axis - gone;
}

static uint32_t reduced_from(const tb_node *node, uint32_t axis) {
  uint32_t i = 0;
  for (uint32_t left = axis;; i++)
    if (node->attributes.keep || !(node->attributes.axes >> i & 1))
      if (left-- == 0)
        return i;
}

/* The axes of a product's operands that are its rows, its columns, and summed over. */
static uint32_t row_axis(const tb_node *node) {
  return node->rank - (node->attributes.transpose_a ? 1 : 2);
}
static uint32_t column_axis(const tb_node *node) {
  return node->rank - (node->attributes.transpose_b ? 2 : 1);
}
static uint32_t summed_axis(const tb_node *node, uint32_t k) {
  return k == 0 ? node->rank - (node->attributes.transpose_a ? 2 : 1)
                : node->rank - (node->attributes.transpose_b ? 1 : 2);
}

/* A draw numbers its elements: the rows must follow one another. */
static bool in_one_stretch(const tb_node *node, size_t rows, tb_tag tag) {
  return node->elements == rows * tb_rows_inner(node, tag) && node->elements <= INT32_MAX;
}

bool tb_tag_of_operand(const tb_graph *graph, const tb_node *node, size_t rows, uint32_t k, tb_tag tag, tb_tag *need) {
  const uint32_t axis = tag.axis, last = node->rank - 1;
  const tb_node *a = node->operand_count ? tb_node_operand(graph, node, k) : NULL;
  *need = tag;
  switch (node->op) {
  case TB_OP_UNARY:
  case TB_OP_BINARY:
  case TB_OP_POWER:
  case TB_OP_SCALE:
  case TB_OP_SHIFT:
  case TB_OP_SELECT:
  case TB_OP_CAST:
  case TB_OP_STOP:
    return true;
  case TB_OP_MATMUL:
    if (axis + 1 == last)
      *need = k == 0 ? rows_at(row_axis(node), tag.unit) : none;
    else if (axis == last)
      *need = k == 1 ? rows_at(column_axis(node), tag.unit) : none;
    return true;
  case TB_OP_CHOLESKY:
  case TB_OP_TRIANGULAR_SOLVE:
  case TB_OP_SOLVE:
  case TB_OP_LOWER:
    return axis + 1 < last;
  case TB_OP_RESHAPE:
    *need = reshaped(a, rows, tb_rows_inner(node, tag));
    return need->state == TB_TAG_ROWS;
  case TB_OP_TRANSPOSE:
    need->axis = node->attributes.permutation[axis];
    return true;
  case TB_OP_BROADCAST: {
    const uint32_t new = node->rank - a->rank;
    if (axis < new || a->dims[axis - new] != node->dims[axis])
      *need = none;
    else
      need->axis = axis - new;
    return true;
  }
  case TB_OP_SLICE:
  case TB_OP_PAD:
  case TB_OP_CONCAT:
    return axis != node->attributes.axis;
  case TB_OP_GATHER:
    if (axis == node->attributes.axis)
      *need = k == 0 ? none : rows_at(0, tag.unit);
    else if (k == 1)
      *need = none;
    return true;
  case TB_OP_SCATTER_ADD:
    if (k == 1)
      *need = none;
    return axis != node->attributes.axis;
  case TB_OP_REDUCE:
    need->axis = reduced_from(node, axis);
    return true;
  case TB_OP_SOFTMAX:
  case TB_OP_LOG_SOFTMAX:
    return axis != last;
  case TB_OP_NORMAL:
  case TB_OP_UNIFORM:
    *need = none;
    return node->operand_count <= 2 && in_one_stretch(node, rows, tag);
  default:
    return false;
  }
}

tb_tag tb_tag_of_result(const tb_graph *graph, const tb_node *node, size_t rows, uint32_t k, tb_tag tag) {
  const uint32_t axis = tag.axis;
  const tb_node *a = tb_node_operand(graph, node, k);
  switch (node->op) {
  case TB_OP_UNARY:
  case TB_OP_BINARY:
  case TB_OP_POWER:
  case TB_OP_SCALE:
  case TB_OP_SHIFT:
  case TB_OP_SELECT:
  case TB_OP_CAST:
  case TB_OP_STOP:
    return tag;
  case TB_OP_MATMUL:
    if (axis + 2 < node->rank)
      return tag;
    if (axis == summed_axis(node, k))
      return none;
    return rows_at(node->rank - (k == 0 ? 2 : 1), tag.unit);
  case TB_OP_CHOLESKY:
  case TB_OP_TRIANGULAR_SOLVE:
  case TB_OP_SOLVE:
  case TB_OP_LOWER:
    return axis + 2 < node->rank ? tag : none;
  case TB_OP_RESHAPE:
    return reshaped(node, rows, tb_rows_inner(a, tag));
  case TB_OP_TRANSPOSE:
    for (uint32_t i = 0; i < node->rank; i++)
      if (node->attributes.permutation[i] == axis)
        return rows_at(i, tag.unit);
    return none;
  case TB_OP_BROADCAST:
    return rows_at(axis + node->rank - a->rank, tag.unit);
  case TB_OP_SLICE:
  case TB_OP_PAD:
  case TB_OP_CONCAT:
    return axis == node->attributes.axis ? none : tag;
  case TB_OP_GATHER:
    if (k == 1)
      return rows_at(node->attributes.axis, tag.unit);
    return axis == node->attributes.axis ? none : tag;
  case TB_OP_SCATTER_ADD:
    return k == 1 || axis == node->attributes.axis ? none : tag;
  case TB_OP_REDUCE:
    return node->attributes.axes >> axis & 1 ? none : rows_at(kept_axis(node, axis), tag.unit);
  case TB_OP_SOFTMAX:
  case TB_OP_LOG_SOFTMAX:
    return axis + 1 == node->rank ? none : tag;
  default:
    return none;
  }
}

bool tb_tag_of_sum(const tb_graph *graph, const tb_node *node, uint32_t k, tb_tag tag, uint32_t other, tb_tag *need) {
  *need = tag;
  switch (node->op) {
  case TB_OP_REDUCE:
    return node->attributes.kind == TB_SUM && node->attributes.axes >> tag.axis & 1;
  case TB_OP_MATMUL:
    need->axis = summed_axis(node, other);
    return tag.axis == summed_axis(node, k);
  case TB_OP_SCATTER_ADD: {
    const uint32_t axis = node->attributes.axis, of[2] = { axis, 0 };
    need->axis = of[other];
    return tag.axis == of[k];
  }
  default:
    return false;
  }
}

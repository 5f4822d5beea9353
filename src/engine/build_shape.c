/* Shape operations: the same numbers in another arrangement. */
#include "engine/rules.h"

#include <string.h>

bool tb_join_shapes(size_t *rank, size_t dims[TB_MAX_RANK], size_t other_rank, const size_t *other_dims) {
  size_t joined_rank = *rank > other_rank ? *rank : other_rank, joined[TB_MAX_RANK] = { 0 };
  for (size_t i = 1; i <= joined_rank; i++) { /* from the right */
    size_t a = i <= *rank ? dims[*rank - i] : 1, b = i <= other_rank ? other_dims[other_rank - i] : 1;
    if (a != b && a != 1 && b != 1)
      return false;
    joined[joined_rank - i] = a == 1 ? b : a;
  }
  *rank = joined_rank;
  memcpy(dims, joined, sizeof joined);
  return true;
}

static void copy_shape(tb_node *node, const tb_node *from) {
  node->dtype = from->dtype;
  node->rank = from->rank;
  memcpy(node->dims, from->dims, sizeof node->dims);
}

static const char *text_of(const tb_node *node, char text[static TB_SHAPE_TEXT]) {
  return tb_shape_text(node->rank, node->dims, text);
}

/* A wanted shape, checked to be one. */
static bool take_shape(tb_place place, tb_graph *graph, const char *operation, size_t rank, const size_t *dims,
                       tb_node *node) {
  char text[TB_SHAPE_TEXT];
  if (rank > TB_MAX_RANK) {
    tb_graph_fail(place, graph, operation, "rank %zu is above %d", rank, TB_MAX_RANK);
    return false;
  }
  if (!tb_shape_elements(rank, dims, &node->elements)) {
    tb_graph_fail(place, graph, operation, "%s is too large", tb_shape_text(rank, dims, text));
    return false;
  }
  node->rank = (uint32_t)rank;
  for (size_t i = 0; i < rank; i++)
    node->dims[i] = dims[i];
  return true;
}

tb_value tb_reshape_at(tb_place place, tb_graph *graph, tb_value a, size_t rank, const size_t *dims) {
  tb_node node = { .op = TB_OP_RESHAPE };
  if (!tb_graph_check(place, graph, "reshape", 1, &a) || !take_shape(place, graph, "reshape", rank, dims, &node))
    return tb_no_value;
  const tb_node *from = tb_node_of(graph, a);
  node.dtype = from->dtype;
  if (node.elements != from->elements) {
    char old[TB_SHAPE_TEXT], new[TB_SHAPE_TEXT];
    return tb_graph_fail(place, graph, "reshape", "%s has %zu elements, %s has %zu", text_of(from, old), from->elements,
                         text_of(&node, new), node.elements);
  }
  if (tb_same_shape(&node, from))
    return a;
  if (from->op == TB_OP_FILL)
    return tb_fill_at(place, graph, from->dtype, rank, dims, from->attributes.value);
  return tb_node_append(place, graph, &node, 1, &a);
}

bool tb_transpose_shape(tb_graph *graph, tb_node *node) {
  const tb_node *a = tb_node_operand(graph, node, 0);
  copy_shape(node, a);
  for (uint32_t i = 0; i < a->rank; i++)
    node->dims[i] = a->dims[node->attributes.permutation[i]];
  return true;
}

tb_value tb_transpose_at(tb_place place, tb_graph *graph, tb_value a, const size_t *permutation) {
  if (!tb_graph_check(place, graph, "transpose", 1, &a))
    return tb_no_value;
  const tb_node *from = tb_node_of(graph, a);
  size_t rank = from->rank, swapped[TB_MAX_RANK];
  char text[TB_SHAPE_TEXT];
  if (!permutation) {
    if (rank < 2)
      return tb_graph_fail(place, graph, "transpose", "%s has no two last axes to swap", text_of(from, text));
    for (size_t i = 0; i < rank; i++)
      swapped[i] = i;
    swapped[rank - 2] = rank - 1;
    swapped[rank - 1] = rank - 2;
    permutation = swapped;
  }
  tb_node node = { .op = TB_OP_TRANSPOSE };
  unsigned seen = 0;
  bool identity = true;
  for (size_t i = 0; i < rank; i++) {
    if (permutation[i] >= rank || seen & 1u << permutation[i])
      return tb_graph_fail(place, graph, "transpose", "not a permutation of the %zu axes of %s", rank,
                           text_of(from, text));
    seen |= 1u << permutation[i];
    identity = identity && permutation[i] == i;
    node.attributes.permutation[i] = (uint8_t)permutation[i];
  }
  return identity ? a : tb_node_append(place, graph, &node, 1, &a);
}

tb_value tb_broadcast_at(tb_place place, tb_graph *graph, tb_value a, size_t rank, const size_t *dims) {
  tb_node node = { .op = TB_OP_BROADCAST };
  if (!tb_graph_check(place, graph, "broadcast", 1, &a) || !take_shape(place, graph, "broadcast", rank, dims, &node))
    return tb_no_value;
  const tb_node *from = tb_node_of(graph, a);
  node.dtype = from->dtype;
  if (tb_same_shape(&node, from))
    return a;
  size_t joined_rank = from->rank, joined[TB_MAX_RANK];
  memcpy(joined, from->dims, sizeof joined);
  if (!tb_join_shapes(&joined_rank, joined, rank, dims) || joined_rank != rank ||
      memcmp(joined, node.dims, rank * sizeof *joined) != 0) {
    char old[TB_SHAPE_TEXT], new[TB_SHAPE_TEXT];
    return tb_graph_fail(place, graph, "broadcast", "%s does not stretch to %s", text_of(from, old),
                         text_of(&node, new));
  }
  if (from->op == TB_OP_FILL)
    return tb_fill_at(place, graph, from->dtype, rank, dims, from->attributes.value);
  return tb_node_append(place, graph, &node, 1, &a);
}

tb_value tb_broadcast_like_at(tb_place place, tb_graph *graph, tb_value a, tb_value like) {
  if (!tb_graph_check(place, graph, "broadcast", 1, &like))
    return tb_no_value;
  return tb_broadcast_at(place, graph, a, tb_node_of(graph, like)->rank, tb_node_of(graph, like)->dims);
}

tb_value tb_sum_like_at(tb_place place, tb_graph *graph, tb_value bar, tb_value like) {
  if (!tb_graph_check(place, graph, "sum", 2, (tb_value[]){ bar, like }))
    return tb_no_value;
  const tb_node *wide = tb_node_of(graph, bar), *narrow = tb_node_of(graph, like);
  uint32_t axes = 0, added = wide->rank - narrow->rank;
  for (uint32_t i = 0; i < wide->rank; i++)
    if (i < added || (narrow->dims[i - added] == 1 && wide->dims[i] != 1))
      axes |= 1u << i;
  bar = tb_reduce_at(place, graph, TB_SUM, bar, axes, false);
  return tb_reshape_at(place, graph, bar, narrow->rank, narrow->dims);
}

/* ---- pieces along an axis ---- */

static bool axis_exists(tb_place place, tb_graph *graph, const char *operation, const tb_node *a, size_t axis) {
  char text[TB_SHAPE_TEXT];
  if (axis >= a->rank)
    tb_graph_fail(place, graph, operation, "no axis %zu in %s", axis, text_of(a, text));
  return axis < a->rank;
}

tb_value tb_slice_at(tb_place place, tb_graph *graph, tb_value a, size_t axis, size_t start, size_t length) {
  if (!tb_graph_check(place, graph, "slice", 1, &a))
    return tb_no_value;
  const tb_node *from = tb_node_of(graph, a);
  char text[TB_SHAPE_TEXT];
  if (!axis_exists(place, graph, "slice", from, axis))
    return tb_no_value;
  if (start > from->dims[axis] || length > from->dims[axis] - start)
    return tb_graph_fail(place, graph, "slice", "%zu elements from %zu on do not lie in axis %zu of %s", length, start,
                         axis, text_of(from, text));
  if (length == from->dims[axis])
    return a;
  tb_node node = { .op = TB_OP_SLICE, .attributes = { .axis = (uint32_t)axis, .start = start } };
  copy_shape(&node, from);
  node.dims[axis] = length;
  return tb_node_append(place, graph, &node, 1, &a);
}

tb_value tb_pad_at(tb_place place, tb_graph *graph, tb_value a, size_t axis, size_t start, size_t length) {
  if (!tb_graph_check(place, graph, "pad", 1, &a))
    return tb_no_value;
  const tb_node *from = tb_node_of(graph, a);
  assert(axis < from->rank && start <= length && from->dims[axis] <= length - start);
  if (length == from->dims[axis])
    return a;
  tb_node node = { .op = TB_OP_PAD, .attributes = { .axis = (uint32_t)axis, .start = start } };
  copy_shape(&node, from);
  node.dims[axis] = length;
  return tb_node_append(place, graph, &node, 1, &a);
}

bool tb_concat_shape(tb_graph *graph, tb_node *node) {
  size_t axis = node->attributes.axis;
  copy_shape(node, tb_node_operand(graph, node, 0));
  for (uint32_t i = 1; i < node->operand_count; i++)
    node->dims[axis] += tb_node_operand(graph, node, i)->dims[axis];
  return true;
}

tb_value tb_concat_at(tb_place place, tb_graph *graph, size_t axis, size_t count, const tb_value *parts) {
  if (!tb_graph_check(place, graph, "concat", count, parts))
    return tb_no_value;
  if (count == 0)
    return tb_graph_fail(place, graph, "concat", "nothing to join");
  const tb_node *first = tb_node_of(graph, parts[0]);
  if (!axis_exists(place, graph, "concat", first, axis))
    return tb_no_value;
  for (size_t i = 1; i < count; i++) {
    const tb_node *part = tb_node_of(graph, parts[i]);
    bool fits = part->rank == first->rank && part->dtype == first->dtype;
    for (size_t k = 0; fits && k < first->rank; k++)
      fits = k == axis || part->dims[k] == first->dims[k];
    if (!fits) {
      char a[TB_SHAPE_TEXT], b[TB_SHAPE_TEXT];
      return tb_graph_fail(place, graph, "concat", "parts do not fit along axis %zu: %s%s and %s%s", axis,
                           tb_dtype_name(first->dtype), text_of(first, a), tb_dtype_name(part->dtype),
                           text_of(part, b));
    }
  }
  if (count == 1)
    return parts[0];
  return tb_node_append(place, graph, &(tb_node){ .op = TB_OP_CONCAT, .attributes.axis = (uint32_t)axis }, count,
                        parts);
}

static bool index_fits(tb_place place, tb_graph *graph, const char *operation, const tb_node *index) {
  char text[TB_SHAPE_TEXT];
  bool fits = index->dtype == TB_INT32 && index->rank == 1;
  if (!fits)
    tb_graph_fail(place, graph, operation, "the index must be int32 of rank 1, got %s%s", tb_dtype_name(index->dtype),
                  text_of(index, text));
  return fits;
}

tb_value tb_gather_at(tb_place place, tb_graph *graph, tb_value a, size_t axis, tb_value index) {
  tb_value operands[2] = { a, index };
  if (!tb_graph_check(place, graph, "gather", 2, operands))
    return tb_no_value;
  const tb_node *from = tb_node_of(graph, a), *at = tb_node_of(graph, index);
  if (!axis_exists(place, graph, "gather", from, axis) || !index_fits(place, graph, "gather", at))
    return tb_no_value;
  tb_node node = { .op = TB_OP_GATHER, .attributes.axis = (uint32_t)axis };
  copy_shape(&node, from);
  node.dims[axis] = at->dims[0];
  return tb_node_append(place, graph, &node, 2, operands);
}

tb_value tb_scatter_add_at(tb_place place, tb_graph *graph, tb_value a, size_t axis, tb_value index, size_t length) {
  tb_value operands[2] = { a, index };
  if (!tb_graph_check(place, graph, "scatter_add", 2, operands))
    return tb_no_value;
  const tb_node *from = tb_node_of(graph, a), *at = tb_node_of(graph, index);
  char text[TB_SHAPE_TEXT];
  if (!axis_exists(place, graph, "scatter_add", from, axis) || !index_fits(place, graph, "scatter_add", at))
    return tb_no_value;
  if (at->dims[0] != from->dims[axis])
    return tb_graph_fail(place, graph, "scatter_add", "%zu indices for axis %zu of %s", at->dims[0], axis,
                         text_of(from, text));
  tb_node node = { .op = TB_OP_SCATTER_ADD, .attributes.axis = (uint32_t)axis };
  copy_shape(&node, from);
  node.dims[axis] = length;
  return tb_node_append(place, graph, &node, 2, operands);
}

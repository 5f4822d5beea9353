/* Plain loops: moving elements about. */
#include "engine/naive.h"

#include <string.h>

/* out[i] = a[offset(i)], where the offset moves by stride[axis] along each axis of the result. */
static void pick(const tb_node *node, const size_t *stride, const char *a, char *out) {
  size_t index[TB_MAX_RANK] = { 0 }, offset = 0, size = tb_dtype_size(node->dtype);
  for (size_t i = 0; i < node->elements; i++) {
    memcpy(out + i * size, a + offset * size, size);
    offset = tb_advance(node->rank, node->dims, index, stride, offset);
  }
}

tb_status tb_transpose_naive(tb_context *context, const tb_graph *graph, const tb_node *node,
                             const void *const *operands, void *out) {
  const tb_node *a = tb_node_operand(graph, node, 0);
  size_t strides[TB_MAX_RANK], moved[TB_MAX_RANK] = { 0 };
  tb_strides(a->rank, a->dims, strides);
  for (size_t i = 0; i < node->rank; i++)
    moved[i] = strides[node->attributes.permutation[i]];
  pick(node, moved, operands[0], out);
  return TB_OK;
}

tb_status tb_broadcast_naive(tb_context *context, const tb_graph *graph, const tb_node *node,
                             const void *const *operands, void *out) {
  const tb_node *a = tb_node_operand(graph, node, 0);
  size_t strides[TB_MAX_RANK], stretched[TB_MAX_RANK] = { 0 }, added = node->rank - a->rank;
  tb_strides(a->rank, a->dims, strides);
  for (size_t i = added; i < node->rank; i++)
    stretched[i] = a->dims[i - added] == 1 ? 0 : strides[i - added];
  pick(node, stretched, operands[0], out);
  return TB_OK;
}

tb_status tb_slice_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                         void *out) {
  const tb_node *a = tb_node_operand(graph, node, 0);
  size_t axis = node->attributes.axis, outer, inner;
  tb_around_axis(node, axis, &outer, &inner);
  size_t row = inner * tb_dtype_size(node->dtype), block = node->dims[axis] * row;
  for (size_t i = 0; i < outer; i++)
    memcpy((char *)out + i * block, (const char *)operands[0] + (i * a->dims[axis] + node->attributes.start) * row,
           block);
  return TB_OK;
}

tb_status tb_pad_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                       void *out) {
  const tb_node *a = tb_node_operand(graph, node, 0);
  size_t axis = node->attributes.axis, outer, inner;
  tb_around_axis(node, axis, &outer, &inner);
  size_t row = inner * tb_dtype_size(node->dtype), block = a->dims[axis] * row;
  memset(out, 0, tb_node_bytes(node));
  for (size_t i = 0; i < outer; i++)
    memcpy((char *)out + (i * node->dims[axis] + node->attributes.start) * row, (const char *)operands[0] + i * block,
           block);
  return TB_OK;
}

tb_status tb_concat_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                          void *out) {
  size_t axis = node->attributes.axis, outer, inner, start = 0;
  tb_around_axis(node, axis, &outer, &inner);
  size_t row = inner * tb_dtype_size(node->dtype);
  for (uint32_t k = 0; k < node->operand_count; k++) {
    size_t length = tb_node_operand(graph, node, k)->dims[axis];
    for (size_t i = 0; i < outer; i++)
      memcpy((char *)out + (i * node->dims[axis] + start) * row, (const char *)operands[k] + i * length * row,
             length * row);
    start += length;
  }
  return TB_OK;
}

static tb_status out_of_range(tb_context *context, const tb_node *node, int32_t index, size_t length) {
  return tb_fail(context, TB_BAD_DATA, NULL, NULL, "%s: index %d lies outside [0,%zu)", tb_ops[node->op].name, index,
                 length);
}

tb_status tb_gather_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                          void *out) {
  size_t axis = node->attributes.axis, outer, inner, length = tb_node_operand(graph, node, 0)->dims[axis];
  tb_around_axis(node, axis, &outer, &inner);
  const int32_t *index = operands[1];
  size_t row = inner * tb_dtype_size(node->dtype), count = node->dims[axis];
  for (size_t j = 0; j < count; j++)
    if (index[j] < 0 || (size_t)index[j] >= length)
      return out_of_range(context, node, index[j], length);
  for (size_t i = 0; i < outer; i++)
    for (size_t j = 0; j < count; j++)
      memcpy((char *)out + (i * count + j) * row, (const char *)operands[0] + (i * length + (size_t)index[j]) * row,
             row);
  return TB_OK;
}

tb_status tb_scatter_add_naive(tb_context *context, const tb_graph *graph, const tb_node *node,
                               const void *const *operands, void *out) {
  size_t axis = node->attributes.axis, outer, inner, length = node->dims[axis];
  size_t count = tb_node_operand(graph, node, 0)->dims[axis];
  tb_around_axis(node, axis, &outer, &inner);
  const int32_t *index = operands[1];
  for (size_t j = 0; j < count; j++)
    if (index[j] < 0 || (size_t)index[j] >= length)
      return out_of_range(context, node, index[j], length);
  memset(out, 0, tb_node_bytes(node));
  for (size_t i = 0; i < outer; i++)
    for (size_t j = 0; j < count; j++) {
      size_t from = (i * count + j) * inner, to = (i * length + (size_t)index[j]) * inner;
      for (size_t k = 0; k < inner; k++)
        if (node->dtype == TB_INT32)
          ((uint32_t *)out)[to + k] += ((const uint32_t *)operands[0])[from + k];
        else
          tb_put(node->dtype, out, to + k,
                 tb_get(node->dtype, out, to + k) + tb_get(node->dtype, operands[0], from + k));
    }
  return TB_OK;
}

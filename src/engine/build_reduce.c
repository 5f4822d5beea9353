/* Reductions, and softmax over the last axis.  A mean is a sum divided by the count, so it needs no rules of its own.
 */
#include "engine/rules.h"

bool tb_reduce_shape(tb_graph *graph, tb_node *node) {
  const tb_node *a = tb_node_operand(graph, node, 0);
  node->dtype = a->dtype;
  node->rank = 0;
  for (uint32_t i = 0; i < a->rank; i++) {
    bool reduced = node->attributes.axes >> i & 1;
    if (!reduced || node->attributes.keep)
      node->dims[node->rank++] = reduced ? 1 : a->dims[i];
  }
  return true;
}

tb_value tb_reduce_at(tb_place place, tb_graph *graph, tb_reduction kind, tb_value a, uint32_t axes, bool keep) {
  const char *name = tb_reduction_name(kind);
  if (!tb_graph_check(place, graph, name, 1, &a))
    return tb_no_value;
  const tb_node *from = tb_node_of(graph, a);
  uint32_t all = (1u << from->rank) - 1;
  char text[TB_SHAPE_TEXT];
  if ((unsigned)kind > TB_LOGSUMEXP)
    return tb_graph_fail(place, graph, "reduce", "unknown reduction %d", (int)kind);
  if (axes == ~0u)
    axes = all;
  if (axes & ~all)
    return tb_graph_fail(place, graph, name, "axes 0x%x do not exist in %s", axes & ~all,
                         tb_shape_text(from->rank, from->dims, text));
  if (!tb_dtype_real(from->dtype) && (kind == TB_MEAN || kind == TB_LOGSUMEXP))
    return tb_graph_fail(place, graph, name, "needs float32 or float64, got int32");
  if (axes == 0)
    return a;
  if (kind == TB_MEAN) {
    double count = 1;
    for (uint32_t i = 0; i < from->rank; i++)
      count *= axes >> i & 1 ? (double)from->dims[i] : 1;
    tb_value sum = tb_reduce_at(place, graph, TB_SUM, a, axes, keep);
    return tb_binary_at(place, graph, TB_DIVIDE, sum, tb_fill_like_at(place, graph, sum, count));
  }
  tb_node node = { .op = TB_OP_REDUCE, .attributes = { .kind = kind, .axes = axes, .keep = keep } };
  return tb_node_append(place, graph, &node, 1, &a);
}

static tb_value over_last(tb_place place, tb_graph *graph, tb_op op, tb_value a) {
  const char *name = tb_ops[op].name;
  if (!tb_graph_check(place, graph, name, 1, &a))
    return tb_no_value;
  const tb_node *from = tb_node_of(graph, a);
  if (from->rank == 0 || !tb_dtype_real(from->dtype)) {
    char text[TB_SHAPE_TEXT];
    return tb_graph_fail(place, graph, name, "needs floats with at least one axis, got %s%s",
                         tb_dtype_name(from->dtype), tb_shape_text(from->rank, from->dims, text));
  }
  return tb_node_append(place, graph, &(tb_node){ .op = op }, 1, &a);
}

tb_value tb_softmax_at(tb_place place, tb_graph *graph, tb_value a) {
  return over_last(place, graph, TB_OP_SOFTMAX, a);
}
tb_value tb_log_softmax_at(tb_place place, tb_graph *graph, tb_value a) {
  return over_last(place, graph, TB_OP_LOG_SOFTMAX, a);
}

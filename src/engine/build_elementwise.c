/* Elementwise operations.  Binary operations and select broadcast as NumPy does: dimensions are aligned at the right, a
 * missing one or a 1 stretches.  The stretching is a node of its own, so that a derivative sums over it by itself. */
#include "engine/rules.h"

#include <math.h>

bool tb_elementwise_shape(tb_graph *graph, tb_node *node) {
  const tb_node *a = tb_node_operand(graph, node, 0);
  node->dtype = a->dtype;
  node->rank = a->rank;
  for (size_t i = 0; i < TB_MAX_RANK; i++)
    node->dims[i] = a->dims[i];
  return true;
}

bool tb_select_shape(tb_graph *graph, tb_node *node) {
  tb_elementwise_shape(graph, node);
  node->dtype = tb_node_operand(graph, node, 1)->dtype;
  return true;
}

bool tb_cast_shape(tb_graph *graph, tb_node *node) {
  tb_dtype dtype = node->dtype;
  tb_elementwise_shape(graph, node);
  node->dtype = dtype;
  return true;
}

/* ---- unary ---- */

static bool takes_integers(tb_unary kind) {
  return kind == TB_NEGATE || kind == TB_ABSOLUTE || kind == TB_SIGN || kind == TB_SQUARE || kind == TB_RELU ||
         kind == TB_FLOOR;
}

static tb_value native(tb_place place, tb_graph *graph, tb_unary kind, unsigned order, tb_value a) {
  tb_node node = { .op = TB_OP_UNARY, .attributes = { .kind = kind, .order = order } };
  return tb_node_append(place, graph, &node, 1, &a);
}

tb_value tb_unary_derivative_at(tb_place place, tb_graph *graph, tb_unary kind, int order, tb_value a) {
  const char *name = tb_unary_name(kind);
  if (!tb_graph_check(place, graph, name, 1, &a))
    return tb_no_value;
  if ((unsigned)kind > TB_LOG_NORMAL_CDF)
    return tb_graph_fail(place, graph, "unary", "unknown function %d", (int)kind);
  if (order < 0 || order > 3)
    return tb_graph_fail(place, graph, name, "derivatives of order 0 to 3 exist, not %d", order);
  if (!tb_dtype_real(tb_node_of(graph, a)->dtype) && (order > 0 || !takes_integers(kind)))
    return tb_graph_fail(place, graph, name, "needs float32 or float64, got int32");
  return tb_unary_native(kind, (unsigned)order) ? native(place, graph, kind, (unsigned)order, a)
                                                : tb_unary_rewrite_at(place, graph, kind, order, a);
}

tb_value tb_unary_at(tb_place place, tb_graph *graph, tb_unary kind, tb_value a) {
  return tb_unary_derivative_at(place, graph, kind, 0, a);
}

/* A unary operation with a number. */
static tb_value with_number(tb_place place, tb_graph *graph, tb_op op, tb_value a, double number, double neutral) {
  const char *name = tb_ops[op].name;
  if (!tb_graph_check(place, graph, name, 1, &a))
    return tb_no_value;
  if (!tb_dtype_real(tb_node_of(graph, a)->dtype) &&
      (op == TB_OP_POWER || number != floor(number) || fabs(number) > INT32_MAX))
    return tb_graph_fail(
        place, graph, name,
        op == TB_OP_POWER ? "needs float32 or float64, got int32" : "an int32 takes a whole number, not %g", number);
  if (number == neutral)
    return a;
  tb_node node = { .op = op, .attributes.value = number };
  return tb_node_append(place, graph, &node, 1, &a);
}

tb_value tb_power_at(tb_place place, tb_graph *graph, tb_value a, double exponent) {
  return with_number(place, graph, TB_OP_POWER, a, exponent, 1);
}
tb_value tb_scale_at(tb_place place, tb_graph *graph, tb_value a, double factor) {
  return with_number(place, graph, TB_OP_SCALE, a, factor, 1);
}
tb_value tb_shift_at(tb_place place, tb_graph *graph, tb_value a, double offset) {
  return with_number(place, graph, TB_OP_SHIFT, a, offset, 0);
}

tb_value tb_cast_at(tb_place place, tb_graph *graph, tb_value a, tb_dtype dtype) {
  if (!tb_graph_check(place, graph, "cast", 1, &a))
    return tb_no_value;
  if (tb_node_of(graph, a)->dtype == dtype)
    return a;
  return tb_node_append(place, graph, &(tb_node){ .op = TB_OP_CAST, .dtype = dtype }, 1, &a);
}

tb_value tb_stop_at(tb_place place, tb_graph *graph, tb_value a) {
  return tb_node_append(place, graph, &(tb_node){ .op = TB_OP_STOP }, 1, &a);
}

/* ---- binary and select ---- */

/* Stretches the operands to their common shape; false with the mistake recorded where there is none. */
static bool stretch(tb_place place, tb_graph *graph, const char *name, size_t count, tb_value *operands) {
  size_t rank = 0, dims[TB_MAX_RANK];
  for (size_t i = 0; i < count; i++)
    if (!tb_join_shapes(&rank, dims, tb_node_of(graph, operands[i])->rank, tb_node_of(graph, operands[i])->dims)) {
      char text[3][TB_SHAPE_TEXT];
      for (size_t j = 0; j < count; j++)
        tb_shape_text(tb_node_of(graph, operands[j])->rank, tb_node_of(graph, operands[j])->dims, text[j]);
      tb_graph_fail(place, graph, name, "shapes do not broadcast: %s and %s%s%s", text[0], text[1],
                    count > 2 ? " and " : "", count > 2 ? text[2] : "");
      return false;
    }
  for (size_t i = 0; i < count; i++)
    operands[i] = tb_broadcast_at(place, graph, operands[i], rank, dims);
  return graph->status == TB_OK;
}

static bool same_dtype(tb_place place, tb_graph *graph, const char *name, tb_value a, tb_value b) {
  tb_dtype x = tb_node_of(graph, a)->dtype, y = tb_node_of(graph, b)->dtype;
  if (x != y)
    tb_graph_fail(place, graph, name, "types differ: %s and %s", tb_dtype_name(x), tb_dtype_name(y));
  return x == y;
}

tb_value tb_binary_at(tb_place place, tb_graph *graph, tb_binary kind, tb_value a, tb_value b) {
  const char *name = tb_binary_name(kind);
  tb_value operands[2] = { a, b };
  if (!tb_graph_check(place, graph, name, 2, operands) || !same_dtype(place, graph, name, a, b))
    return tb_no_value;
  if ((unsigned)kind > TB_EQUAL)
    return tb_graph_fail(place, graph, "binary", "unknown operation %d", (int)kind);
  if (kind == TB_DIVIDE && !tb_dtype_real(tb_node_of(graph, a)->dtype))
    return tb_graph_fail(place, graph, name, "needs float32 or float64, got int32");
  if (!stretch(place, graph, name, 2, operands))
    return tb_no_value;
  return tb_node_append(place, graph, &(tb_node){ .op = TB_OP_BINARY, .attributes.kind = kind }, 2, operands);
}

tb_value tb_select_at(tb_place place, tb_graph *graph, tb_value condition, tb_value yes, tb_value no) {
  tb_value operands[3] = { condition, yes, no };
  if (!tb_graph_check(place, graph, "select", 3, operands) || !same_dtype(place, graph, "select", yes, no) ||
      !stretch(place, graph, "select", 3, operands))
    return tb_no_value;
  return tb_node_append(place, graph, &(tb_node){ .op = TB_OP_SELECT }, 3, operands);
}

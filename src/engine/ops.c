/* The table of operations: one record each, and what their work costs. */
#include "engine/rules.h"

static double flop_zero(const tb_graph *graph, const tb_node *node) {
  return 0;
}
static double flop_elements(const tb_graph *graph, const tb_node *node) {
  return (double)node->elements;
}
static double flop_random(const tb_graph *graph, const tb_node *node) {
  return (double)node->elements;
}
static double flop_operand(const tb_graph *graph, const tb_node *node) {
  return (double)tb_node_operand(graph, node, 0)->elements;
}
/* x − max, exp, add; of a sum, maximum or minimum one operation an element */
static double flop_reduce(const tb_graph *graph, const tb_node *node) {
  return flop_operand(graph, node) * (node->attributes.kind == TB_LOGSUMEXP ? 4 : 1);
}
static double flop_softmax(const tb_graph *graph, const tb_node *node) {
  return 5 * (double)node->elements;
}
static double flop_matmul(const tb_graph *graph, const tb_node *node) {
  const tb_node *a = tb_node_operand(graph, node, 0);
  return 2 * (double)node->elements * (double)a->dims[a->rank - (node->attributes.transpose_a ? 2 : 1)];
}
static double columns(const tb_node *node) {
  return (double)node->dims[node->rank - 1];
}
static double flop_cholesky(const tb_graph *graph, const tb_node *node) {
  return (double)node->elements * columns(node) / 3;
}
static double flop_triangular_solve(const tb_graph *graph, const tb_node *node) {
  return (double)node->elements * columns(tb_node_operand(graph, node, 0));
}
/* 2/3 n³ to factor, 2 n² a column */
static double flop_solve(const tb_graph *graph, const tb_node *node) {
  const tb_node *a = tb_node_operand(graph, node, 0);
  return 2.0 / 3 * (double)a->elements * columns(a) + 2 * (double)node->elements * columns(a);
}
static double flop_graph(const tb_graph *graph) {
  double flop = 0;
  for (uint32_t i = 0; i < graph->count; i++)
    flop += tb_ops[graph->nodes[i]->op].flop(graph, graph->nodes[i]);
  return flop;
}
static double flop_scan(const tb_graph *graph, const tb_node *node) {
  return flop_graph(node->scan->body) * (double)node->scan->length;
}

static double flop_tiles(const tb_graph *graph, const tb_node *node) {
  const tb_tiling *t = node->tiling;
  const double less = t->body[1] ? (double)(t->tiles - t->full) * flop_graph(t->body[1]) : 0;
  return (double)t->full * flop_graph(t->body[0]) + less;
}

#define DERIVATIVES(name) .vjp = tb_##name##_vjp, .jvp = tb_##name##_jvp

const tb_op_record tb_ops[TB_OP_COUNT] = {
  [TB_OP_INPUT] = { "input", 0, tb_given_shape, .flop = flop_zero },
  [TB_OP_FILL] = { "fill", 0, tb_given_shape, .naive = tb_fill_naive, .flop = flop_zero },
  [TB_OP_CONSTANT] = { "constant", 0, tb_given_shape, .naive = tb_constant_naive, .flop = flop_zero },
  [TB_OP_IOTA] = { "iota", 0, tb_given_shape, .naive = tb_iota_naive, .flop = flop_zero },

  [TB_OP_UNARY] = { "unary", 1, tb_elementwise_shape, DERIVATIVES(unary), tb_unary_naive, flop_elements },
  [TB_OP_BINARY] = { "binary", 2, tb_elementwise_shape, DERIVATIVES(binary), tb_binary_naive, flop_elements },
  [TB_OP_POWER] = { "power", 1, tb_elementwise_shape, DERIVATIVES(power), tb_power_naive, flop_elements },
  [TB_OP_SCALE] = { "scale", 1, tb_elementwise_shape, DERIVATIVES(scale), tb_scale_naive, flop_elements },
  [TB_OP_SHIFT] = { "shift", 1, tb_elementwise_shape, DERIVATIVES(shift), tb_shift_naive, flop_elements },
  [TB_OP_SELECT] = { "select", 3, tb_select_shape, DERIVATIVES(select), tb_select_naive, flop_zero },
  [TB_OP_CAST] = { "cast", 1, tb_cast_shape, DERIVATIVES(cast), tb_cast_naive, flop_zero },
  [TB_OP_STOP] = { "stop", 1, tb_elementwise_shape, .naive = tb_copy_naive, .flop = flop_zero },

  [TB_OP_MATMUL] = { "matmul", 2, tb_matmul_shape, DERIVATIVES(matmul), tb_matmul_naive, flop_matmul },
  [TB_OP_CHOLESKY] = { "cholesky", 1, tb_square_matrix_shape, DERIVATIVES(cholesky), tb_cholesky_naive, flop_cholesky },
  [TB_OP_TRIANGULAR_SOLVE] = { "triangular_solve", 2, tb_solve_shape, DERIVATIVES(triangular_solve),
                               tb_triangular_solve_naive, flop_triangular_solve },
  [TB_OP_SOLVE] = { "solve", 2, tb_solve_shape, DERIVATIVES(solve), tb_solve_naive, flop_solve },
  [TB_OP_LOWER] = { "lower", 1, tb_square_matrix_shape, DERIVATIVES(lower), tb_lower_naive, flop_zero },

  [TB_OP_RESHAPE] = { "reshape", 1, tb_given_shape, DERIVATIVES(reshape), tb_copy_naive, flop_zero },
  [TB_OP_TRANSPOSE] = { "transpose", 1, tb_transpose_shape, DERIVATIVES(transpose), tb_transpose_naive, flop_zero },
  [TB_OP_BROADCAST] = { "broadcast", 1, tb_given_shape, DERIVATIVES(broadcast), tb_broadcast_naive, flop_zero },
  [TB_OP_SLICE] = { "slice", 1, tb_given_shape, DERIVATIVES(slice), tb_slice_naive, flop_zero },
  [TB_OP_PAD] = { "pad", 1, tb_given_shape, DERIVATIVES(pad), tb_pad_naive, flop_zero },
  [TB_OP_CONCAT] = { "concat", -1, tb_concat_shape, DERIVATIVES(concat), tb_concat_naive, flop_zero },
  [TB_OP_GATHER] = { "gather", 2, tb_given_shape, DERIVATIVES(gather), tb_gather_naive, flop_zero },
  [TB_OP_SCATTER_ADD] = { "scatter_add", 2, tb_given_shape, DERIVATIVES(scatter_add), tb_scatter_add_naive,
                          flop_operand },

  [TB_OP_REDUCE] = { "reduce", 1, tb_reduce_shape, DERIVATIVES(reduce), tb_reduce_naive, flop_reduce },
  [TB_OP_SOFTMAX] = { "softmax", 1, tb_elementwise_shape, DERIVATIVES(softmax), tb_softmax_naive, flop_softmax },
  [TB_OP_LOG_SOFTMAX] = { "log_softmax", 1, tb_elementwise_shape, DERIVATIVES(log_softmax), tb_log_softmax_naive,
                          flop_softmax },

  [TB_OP_NORMAL] = { "normal", 1, tb_given_shape, .naive = tb_random_naive, .flop = flop_random },
  [TB_OP_UNIFORM] = { "uniform", 1, tb_given_shape, .naive = tb_random_naive, .flop = flop_random },

  [TB_OP_SCAN] = { "scan", -1, tb_given_shape, DERIVATIVES(scan), .flop = flop_scan },
  [TB_OP_RESULT] = { "result", 1, tb_given_shape, .flop = flop_zero },
  [TB_OP_TILES] = { "tiles", -1, tb_given_shape, .flop = flop_tiles },
};

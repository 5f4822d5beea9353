/* Linear algebra on the last two axes, with broadcast batch axes in front.
 *
 * Shared factors are kept out of batches: […,m,k] times one [k,n] is a single product with m long, so that its weight
 * gradient is a single product too instead of a sum over a batch of them. */
#include "engine/rules.h"

#include <string.h>

static const char *text_of(const tb_node *node, char text[static TB_SHAPE_TEXT]) {
  return tb_shape_text(node->rank, node->dims, text);
}

static size_t rows(const tb_node *a) {
  return a->dims[a->rank - 2];
}
static size_t columns(const tb_node *a) {
  return a->dims[a->rank - 1];
}

/* Operands agree in type, are floats and have at least the ranks given. */
static bool fit(tb_place place, tb_graph *graph, const char *name, const tb_node *a, size_t rank_a, const tb_node *b,
                size_t rank_b) {
  char x[TB_SHAPE_TEXT], y[TB_SHAPE_TEXT];
  if (a->dtype != b->dtype || !tb_dtype_real(a->dtype))
    tb_graph_fail(place, graph, name, "needs two of float32 or two of float64, got %s and %s", tb_dtype_name(a->dtype),
                  tb_dtype_name(b->dtype));
  else if (a->rank < rank_a || b->rank < rank_b)
    tb_graph_fail(place, graph, name, "too few axes: %s × %s", text_of(a, x), text_of(b, y));
  return graph->status == TB_OK;
}

/* Broadcasts the batch axes (all but the last two) of both to their common shape. */
static bool join_batches(tb_place place, tb_graph *graph, const char *name, tb_value operands[2]) {
  const tb_node *a = tb_node_of(graph, operands[0]), *b = tb_node_of(graph, operands[1]);
  size_t rank = a->rank - 2, dims[TB_MAX_RANK];
  memcpy(dims, a->dims, sizeof dims);
  if (!tb_join_shapes(&rank, dims, b->rank - 2, b->dims)) {
    char x[TB_SHAPE_TEXT], y[TB_SHAPE_TEXT];
    tb_graph_fail(place, graph, name, "batch axes do not broadcast: %s × %s", text_of(a, x), text_of(b, y));
    return false;
  }
  for (int i = 0; i < 2; i++) {
    const tb_node *node = tb_node_of(graph, operands[i]);
    dims[rank] = rows(node);
    dims[rank + 1] = columns(node);
    operands[i] = tb_broadcast_at(place, graph, operands[i], rank + 2, dims);
  }
  return graph->status == TB_OK;
}

/* ---- products ---- */

bool tb_matmul_shape(tb_graph *graph, tb_node *node) {
  const tb_node *a = tb_node_operand(graph, node, 0), *b = tb_node_operand(graph, node, 1);
  node->dtype = a->dtype;
  node->rank = a->rank;
  memcpy(node->dims, a->dims, sizeof node->dims);
  node->dims[a->rank - 2] = node->attributes.transpose_a ? columns(a) : rows(a);
  node->dims[a->rank - 1] = node->attributes.transpose_b ? rows(b) : columns(b);
  return true;
}

static tb_value product(tb_place place, tb_graph *graph, tb_value operands[2], bool transpose_a, bool transpose_b) {
  tb_node node = { .op = TB_OP_MATMUL, .attributes = { .transpose_a = transpose_a, .transpose_b = transpose_b } };
  return tb_node_append(place, graph, &node, 2, operands);
}

tb_value tb_matmul_at(tb_place place, tb_graph *graph, tb_value a, bool transpose_a, tb_value b, bool transpose_b) {
  tb_value operands[2] = { a, b };
  if (!tb_graph_check(place, graph, "matmul", 2, operands))
    return tb_no_value;
  const tb_node *x = tb_node_of(graph, a), *y = tb_node_of(graph, b);
  if (!fit(place, graph, "matmul", x, 2, y, 2))
    return tb_no_value;
  if ((transpose_a ? rows(x) : columns(x)) != (transpose_b ? columns(y) : rows(y))) {
    char s[TB_SHAPE_TEXT], t[TB_SHAPE_TEXT];
    return tb_graph_fail(place, graph, "matmul", "inner sizes differ: %s%s × %s%s", text_of(x, s),
                         transpose_a ? "ᵀ" : "", text_of(y, t), transpose_b ? "ᵀ" : "");
  }
  if (x->rank > 2 && y->rank == 2 && !transpose_a) { /* […,m,k] → [… m, k] */
    size_t dims[TB_MAX_RANK], lead = 1;
    memcpy(dims, x->dims, sizeof dims);
    for (uint32_t i = 0; i + 1 < x->rank; i++)
      lead *= x->dims[i];
    operands[0] = tb_reshape_at(place, graph, a, 2, (size_t[]){ lead, columns(x) });
    dims[x->rank - 1] = transpose_b ? rows(y) : columns(y);
    tb_value c = product(place, graph, operands, false, transpose_b);
    return c.id < 0 ? c : tb_reshape_at(place, graph, c, x->rank, dims);
  }
  if (!join_batches(place, graph, "matmul", operands))
    return tb_no_value;
  return product(place, graph, operands, transpose_a, transpose_b);
}

/* With one matrix for all vectors, the vectors are the rows of a product with aᵀ; with one vector for all matrices, or
 * a batch of both, the vectors are columns. */
tb_value tb_matvec_at(tb_place place, tb_graph *graph, tb_value a, tb_value x) {
  if (!tb_graph_check(place, graph, "matvec", 2, (tb_value[]){ a, x }))
    return tb_no_value;
  const tb_node *m = tb_node_of(graph, a), *v = tb_node_of(graph, x);
  if (!fit(place, graph, "matvec", m, 2, v, 1))
    return tb_no_value;
  if (columns(m) != v->dims[v->rank - 1]) {
    char s[TB_SHAPE_TEXT], t[TB_SHAPE_TEXT];
    return tb_graph_fail(place, graph, "matvec", "inner sizes differ: %s × %s", text_of(m, s), text_of(v, t));
  }
  if (m->rank == 2 && v->rank >= 2)
    return tb_matmul_at(place, graph, x, false, a, true);
  if (v->rank == TB_MAX_RANK)
    return tb_graph_fail(place, graph, "matvec", "the vectors have too many axes");
  size_t dims[TB_MAX_RANK];
  memcpy(dims, v->dims, sizeof dims);
  dims[v->rank] = 1;
  tb_value column = tb_reshape_at(place, graph, x, v->rank + 1, dims);
  tb_value y = tb_matmul_at(place, graph, a, false, column, false);
  if (y.id < 0)
    return y;
  const tb_node *result = tb_node_of(graph, y);
  return tb_reshape_at(place, graph, y, result->rank - 1, result->dims);
}

/* ---- factorisations and solves ---- */

bool tb_square_matrix_shape(tb_graph *graph, tb_node *node) {
  const tb_node *a = tb_node_operand(graph, node, 0);
  node->dtype = a->dtype;
  node->rank = a->rank;
  memcpy(node->dims, a->dims, sizeof node->dims);
  return true;
}

static bool square(tb_place place, tb_graph *graph, const char *name, const tb_node *a) {
  char text[TB_SHAPE_TEXT];
  if (!tb_dtype_real(a->dtype) || a->rank < 2 || rows(a) != columns(a))
    tb_graph_fail(place, graph, name, "needs square matrices of floats, got %s%s", tb_dtype_name(a->dtype),
                  text_of(a, text));
  return graph->status == TB_OK;
}

tb_value tb_cholesky_at(tb_place place, tb_graph *graph, tb_value a) {
  if (!tb_graph_check(place, graph, "cholesky", 1, &a) || !square(place, graph, "cholesky", tb_node_of(graph, a)))
    return tb_no_value;
  return tb_node_append(place, graph, &(tb_node){ .op = TB_OP_CHOLESKY }, 1, &a);
}

tb_value tb_lower_at(tb_place place, tb_graph *graph, tb_value a, double diagonal) {
  if (!tb_graph_check(place, graph, "lower", 1, &a) || !square(place, graph, "lower", tb_node_of(graph, a)))
    return tb_no_value;
  return tb_node_append(place, graph, &(tb_node){ .op = TB_OP_LOWER, .attributes.value = diagonal }, 1, &a);
}

bool tb_solve_shape(tb_graph *graph, tb_node *node) {
  const tb_node *b = tb_node_operand(graph, node, 1);
  node->dtype = b->dtype;
  node->rank = b->rank;
  memcpy(node->dims, b->dims, sizeof node->dims);
  return true;
}

static tb_value solve(tb_place place, tb_graph *graph, tb_op op, tb_value a, bool transpose, tb_value b) {
  const char *name = tb_ops[op].name;
  tb_value operands[2] = { a, b };
  if (!tb_graph_check(place, graph, name, 2, operands))
    return tb_no_value;
  const tb_node *x = tb_node_of(graph, a), *y = tb_node_of(graph, b);
  if (!square(place, graph, name, x) || !fit(place, graph, name, x, 2, y, 2))
    return tb_no_value;
  if (columns(x) != rows(y)) {
    char s[TB_SHAPE_TEXT], t[TB_SHAPE_TEXT];
    return tb_graph_fail(place, graph, name, "sizes differ: %s and %s", text_of(x, s), text_of(y, t));
  }
  if (!join_batches(place, graph, name, operands))
    return tb_no_value;
  return tb_node_append(place, graph, &(tb_node){ .op = op, .attributes.transpose_a = transpose }, 2, operands);
}

tb_value tb_triangular_solve_at(tb_place place, tb_graph *graph, tb_value l, bool transpose, tb_value b) {
  return solve(place, graph, TB_OP_TRIANGULAR_SOLVE, l, transpose, b);
}
tb_value tb_solve_at(tb_place place, tb_graph *graph, tb_value a, bool transpose, tb_value b) {
  return solve(place, graph, TB_OP_SOLVE, a, transpose, b);
}

/* Derivatives of reductions and softmax.  With weights w that sum to one over the reduced axes (1 for a sum),
 *   y = Σ x: w = 1;  log Σ exp x: w ∝ exp(x − y);  max x: w ∝ [x = y], equal among ties,
 * reverse is x̄ = w ȳ and forward ẏ = Σ w ẋ. */
#include "engine/derive.h"

/* A result of the reduction, stretched back to the operand's shape. */
static tb_value stretched(tb_graph *g, uint32_t self, tb_value y) {
  const tb_node *node = tb_node_at(g, self), *a = tb_node_operand(g, node, 0);
  size_t dims[TB_MAX_RANK];
  for (uint32_t i = 0; i < a->rank; i++)
    dims[i] = node->attributes.axes >> i & 1 ? 1 : a->dims[i];
  return tb_broadcast(g, tb_reshape(g, y, a->rank, dims), a->rank, a->dims);
}

/* w: normalised afresh, because y carries the rounding of its own size: at 10⁴, exp(x − y) alone is off by 10⁻¹². */
static tb_value weights(tb_graph *g, uint32_t self) {
  const tb_attributes *at = &tb_node_at(g, self)->attributes;
  tb_value a = operand(g, self, 0), y = stretched(g, self, tb_stop(g, tb_value_at(g, self)));
  tb_value w = at->kind == TB_LOGSUMEXP ? tb_exp(g, tb_subtract(g, a, y)) : tb_equal(g, a, y);
  return tb_divide(g, w, stretched(g, self, tb_reduce(g, TB_SUM, w, at->axes, at->keep)));
}

void tb_reduce_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  operand_bars[0] = stretched(g, self, bars[0]);
  if (tb_node_at(g, self)->attributes.kind != TB_SUM)
    operand_bars[0] = tb_multiply(g, weights(g, self), operand_bars[0]);
}
void tb_reduce_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  const tb_attributes *at = &tb_node_at(g, self)->attributes;
  tb_value dot = operand_dots[0];
  if (at->kind != TB_SUM)
    dot = tb_multiply(g, weights(g, self), dot);
  dots[0] = tb_reduce(g, TB_SUM, dot, at->axes, at->keep);
}

static tb_value sum_over_last(tb_graph *g, tb_value a) {
  return tb_reduce(g, TB_SUM, a, 1u << (tb_rank(g, a) - 1), true);
}

/* The Jacobian diag(y) − y yᵀ is symmetric. */
static tb_value times_softmax_jacobian(tb_graph *g, uint32_t self, tb_value x) {
  tb_value y = tb_value_at(g, self);
  return tb_multiply(g, y, tb_subtract(g, x, sum_over_last(g, tb_multiply(g, y, x))));
}
void tb_softmax_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  operand_bars[0] = times_softmax_jacobian(g, self, bars[0]);
}
void tb_softmax_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  dots[0] = times_softmax_jacobian(g, self, operand_dots[0]);
}

/* The Jacobian is I − 1 exp(y)ᵀ. */
void tb_log_softmax_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  tb_value y = tb_value_at(g, self);
  operand_bars[0] = tb_subtract(g, bars[0], tb_multiply(g, tb_exp(g, y), sum_over_last(g, bars[0])));
}
void tb_log_softmax_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  tb_value y = tb_value_at(g, self), dot = operand_dots[0];
  dots[0] = tb_subtract(g, dot, sum_over_last(g, tb_multiply(g, tb_exp(g, y), dot)));
}

/* Derivatives of elementwise operations.  The cotangent of a result is `bar`, the tangent of an operand `dot`; a value
 * that does not exist (id < 0) stands for zero and costs nothing. */
#include "engine/derive.h"

/* ---- unary: f′(a) ---- */

/* f^(n+1)(a); order 4 is composed. */
static tb_value next_derivative(tb_graph *g, const tb_node *node) {
  tb_unary kind = (tb_unary)node->attributes.kind;
  int order = (int)node->attributes.order + 1;
  tb_value a = tb_value_at(g, node->operands[0]);
  return tb_unary_native(kind, (unsigned)order) ? tb_unary_derivative(g, kind, order, a)
                                                : tb_unary_rewrite_at(TB_HERE, g, kind, order, a);
}

static tb_value times_derivative(tb_graph *g, uint32_t self, tb_value x) {
  const tb_node *node = tb_node_at(g, self);
  tb_unary kind = (tb_unary)node->attributes.kind;
  unsigned order = node->attributes.order;
  if (kind == TB_SIGN || kind == TB_FLOOR || (kind == TB_RELU && order == 1))
    return tb_no_value;
  if (kind == TB_NEGATE)
    return tb_negate(g, x);
  if (kind == TB_EXP) /* exp′ is the node itself */
    return tb_multiply(g, x, tb_value_at(g, self));
  return tb_multiply(g, x, next_derivative(g, node));
}

void tb_unary_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  operand_bars[0] = times_derivative(g, self, bars[0]);
}
void tb_unary_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  dots[0] = times_derivative(g, self, operand_dots[0]);
}

/* a^e: e a^(e−1) */
static tb_value times_power(tb_graph *g, uint32_t self, tb_value x) {
  const tb_node *node = tb_node_at(g, self);
  double e = node->attributes.value;
  if (e == 0)
    return tb_no_value;
  return tb_multiply(g, x, tb_scale(g, tb_power(g, operand(g, self, 0), e - 1), e));
}
void tb_power_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  operand_bars[0] = times_power(g, self, bars[0]);
}
void tb_power_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  dots[0] = times_power(g, self, operand_dots[0]);
}

static tb_value times_factor(tb_graph *g, uint32_t self, tb_value x) {
  return tb_scale(g, x, tb_node_at(g, self)->attributes.value);
}
void tb_scale_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  operand_bars[0] = times_factor(g, self, bars[0]);
}
void tb_scale_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  dots[0] = times_factor(g, self, operand_dots[0]);
}

void tb_shift_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  operand_bars[0] = bars[0];
}
void tb_shift_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  dots[0] = operand_dots[0];
}

/* Between floats a cast is linear; through an integer nothing passes. */
void tb_cast_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  tb_dtype from = tb_node_operand(g, tb_node_at(g, self), 0)->dtype;
  if (tb_dtype_real(from) && tb_dtype_real(tb_node_at(g, self)->dtype))
    operand_bars[0] = tb_cast(g, bars[0], from);
}
void tb_cast_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  if (tb_dtype_real(tb_node_at(g, self)->dtype))
    dots[0] = tb_cast(g, operand_dots[0], tb_node_at(g, self)->dtype);
}

/* ---- binary ---- */

/* ∂/∂a of max(a, b): 1 where a wins, a half at a tie. */
static tb_value winner(tb_graph *g, tb_binary kind, tb_value a, tb_value b) {
  tb_value wins = kind == TB_MAXIMUM ? tb_less(g, b, a) : tb_less(g, a, b);
  return tb_add(g, wins, tb_scale(g, tb_equal(g, a, b), 0.5));
}

/* The partial derivative with respect to operand i, times x (linear in x, and elementwise: its own transpose). */
static tb_value times_partial(tb_graph *g, uint32_t self, int i, tb_value x) {
  tb_value a = operand(g, self, 0), b = operand(g, self, 1);
  tb_binary kind = (tb_binary)tb_node_at(g, self)->attributes.kind;
  switch (kind) {
  case TB_ADD:
    return x;
  case TB_SUBTRACT:
    return i == 0 ? x : tb_negate(g, x);
  case TB_MULTIPLY:
    return tb_multiply(g, x, i == 0 ? b : a);
  case TB_DIVIDE: /* 1/b, −(a/b)/b */
    return i == 0 ? tb_divide(g, x, b) : tb_negate(g, tb_divide(g, tb_multiply(g, x, tb_value_at(g, self)), b));
  case TB_MAXIMUM:
  case TB_MINIMUM:
    return tb_multiply(g, x, i == 0 ? winner(g, kind, a, b) : winner(g, kind, b, a));
  default: /* comparisons are constant almost everywhere */
    return tb_no_value;
  }
}

void tb_binary_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  for (int i = 0; i < 2; i++)
    if (wanted[i])
      operand_bars[i] = times_partial(g, self, i, bars[0]);
}
void tb_binary_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  for (int i = 0; i < 2; i++)
    if (!is_zero(operand_dots[i]))
      dots[0] = plus(g, dots[0], times_partial(g, self, i, operand_dots[i]));
}

void tb_select_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  tb_value condition = operand(g, self, 0), zero = tb_fill_like_at(TB_HERE, g, bars[0], 0);
  if (wanted[1])
    operand_bars[1] = tb_select(g, condition, bars[0], zero);
  if (wanted[2])
    operand_bars[2] = tb_select(g, condition, zero, bars[0]);
}
void tb_select_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  if (is_zero(operand_dots[1]) && is_zero(operand_dots[2]))
    return;
  tb_value zero = tb_fill_like_at(TB_HERE, g, tb_value_at(g, self), 0);
  dots[0] = tb_select(g, operand(g, self, 0), is_zero(operand_dots[1]) ? zero : operand_dots[1],
                      is_zero(operand_dots[2]) ? zero : operand_dots[2]);
}

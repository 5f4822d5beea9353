/* Derivatives of products, factorisations and solves (Giles 2008, "Collected matrix derivative results").
 * All operands have equal batch axes here; broadcasting is a node of its own. */
#include "engine/derive.h"

static tb_value transposed(tb_graph *g, tb_value a) {
  return tb_transpose(g, a, NULL);
}
static tb_value product(tb_graph *g, tb_value a, bool ta, tb_value b, bool tb) {
  return tb_matmul(g, a, ta, b, tb);
}

/* ---- c = op(a) op(b) ---- */

void tb_matmul_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  tb_value a = operand(g, self, 0), b = operand(g, self, 1), bar = bars[0];
  bool ta = tb_node_at(g, self)->attributes.transpose_a, tb = tb_node_at(g, self)->attributes.transpose_b;
  if (wanted[0]) /* ā = c̄ op(b)ᵀ, or its transpose */
    operand_bars[0] = ta ? product(g, b, tb, bar, true) : product(g, bar, false, b, !tb);
  if (wanted[1]) /* b̄ = op(a)ᵀ c̄, or its transpose */
    operand_bars[1] = tb ? product(g, bar, true, a, ta) : product(g, a, !ta, bar, false);
}

void tb_matmul_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  tb_value a = operand(g, self, 0), b = operand(g, self, 1);
  bool ta = tb_node_at(g, self)->attributes.transpose_a, tb = tb_node_at(g, self)->attributes.transpose_b;
  if (!is_zero(operand_dots[0]))
    dots[0] = product(g, operand_dots[0], ta, b, tb);
  if (!is_zero(operand_dots[1]))
    dots[0] = plus(g, dots[0], product(g, a, ta, operand_dots[1], tb));
}

/* ---- a = L Lᵀ, of which only the lower triangle is read ---- */

/* With Φ(X) = the lower triangle of X, its diagonal halved: S = L⁻ᵀ Φ(Lᵀ L̄) L⁻¹, ā = Φ(S + Sᵀ). */
void tb_cholesky_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  tb_value l = tb_value_at(g, self);
  tb_value p = tb_lower_at(TB_HERE, g, product(g, l, true, bars[0], false), 0.5);
  tb_value y = tb_triangular_solve(g, l, true, p);
  tb_value s = tb_triangular_solve(g, l, true, transposed(g, y));
  operand_bars[0] = tb_lower_at(TB_HERE, g, tb_add(g, s, transposed(g, s)), 0.5);
}

/* L̇ = L Φ(L⁻¹ Ȧ L⁻ᵀ), Ȧ made symmetric from its lower triangle. */
void tb_cholesky_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  tb_value l = tb_value_at(g, self), dot = operand_dots[0];
  tb_value symmetric = tb_add(g, tb_lower_at(TB_HERE, g, dot, 1), transposed(g, tb_lower_at(TB_HERE, g, dot, 0)));
  tb_value y = tb_triangular_solve(g, l, false, symmetric);
  tb_value m = tb_triangular_solve(g, l, false, transposed(g, y));
  dots[0] = product(g, l, false, tb_lower_at(TB_HERE, g, m, 0.5), false);
}

void tb_lower_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  operand_bars[0] = tb_lower_at(TB_HERE, g, bars[0], tb_node_at(g, self)->attributes.value);
}
void tb_lower_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  dots[0] = tb_lower_at(TB_HERE, g, operand_dots[0], tb_node_at(g, self)->attributes.value);
}

/* ---- op(a) x = b: b̄ = op(a)⁻ᵀ x̄, op(a)̄ = −b̄ xᵀ; ẋ = op(a)⁻¹ (ḃ − op(ȧ) x) ---- */

typedef tb_value (*solver)(tb_place, tb_graph *, tb_value, bool, tb_value);

static tb_value only_lower(tb_graph *g, bool triangular, tb_value a) {
  return triangular ? tb_lower_at(TB_HERE, g, a, 1) : a;
}

static void solve_vjp(tb_graph *g, uint32_t self, solver solve, bool triangular, const tb_value *bars,
                      const bool *wanted, tb_value *operand_bars) {
  bool transpose = tb_node_at(g, self)->attributes.transpose_a;
  tb_value x = tb_value_at(g, self), b_bar = solve(TB_HERE, g, operand(g, self, 0), !transpose, bars[0]);
  if (wanted[1])
    operand_bars[1] = b_bar;
  if (wanted[0]) {
    tb_value a_bar = transpose ? product(g, x, false, b_bar, true) : product(g, b_bar, false, x, true);
    operand_bars[0] = tb_negate(g, only_lower(g, triangular, a_bar));
  }
}

static void solve_jvp(tb_graph *g, uint32_t self, solver solve, bool triangular, const tb_value *operand_dots,
                      tb_value *dots) {
  bool transpose = tb_node_at(g, self)->attributes.transpose_a;
  tb_value x = tb_value_at(g, self), right = operand_dots[1];
  if (!is_zero(operand_dots[0])) {
    tb_value a_dot = only_lower(g, triangular, operand_dots[0]);
    right = plus(g, right, tb_negate(g, product(g, a_dot, transpose, x, false)));
  }
  dots[0] = solve(TB_HERE, g, operand(g, self, 0), transpose, right);
}

void tb_triangular_solve_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted,
                             tb_value *operand_bars) {
  solve_vjp(g, self, tb_triangular_solve_at, true, bars, wanted, operand_bars);
}
void tb_triangular_solve_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  solve_jvp(g, self, tb_triangular_solve_at, true, operand_dots, dots);
}
void tb_solve_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  solve_vjp(g, self, tb_solve_at, false, bars, wanted, operand_bars);
}
void tb_solve_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  solve_jvp(g, self, tb_solve_at, false, operand_dots, dots);
}

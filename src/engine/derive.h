/* What the rules of differentiation share.  New nodes get the place of the node that is differentiated, so the rules
 * use the public macros as they are. */
#ifndef TB_ENGINE_DERIVE_H
#define TB_ENGINE_DERIVE_H

#include "engine/rules.h"

/* Whether derivatives pass through a node at all. */
static inline bool tb_differentiable(const tb_node *node) {
  return node->op == TB_OP_RESULT || (tb_ops[node->op].vjp && tb_dtype_real(node->dtype));
}
static inline bool is_zero(tb_value a) {
  return a.id < 0;
}
static inline tb_value operand(const tb_graph *g, uint32_t self, uint32_t i) {
  return tb_value_at(g, tb_node_at(g, self)->operands[i]);
}
/* a + b where either may be zero */
static inline tb_value plus(tb_graph *g, tb_value a, tb_value b) {
  return is_zero(a) ? b : is_zero(b) ? a : tb_add(g, a, b);
}

#endif

/* Work on equal copies is done once: op(copies of x, copies of y) = copies of op(x, y).
 *
 * A program in k copies of the parameters (block tangents, a Jacobian by rows) leaves the forward pass at the common
 * point equal in every copy; this rule takes it out of the leading axis, whatever it is made of. */
#include "engine/rewrite.h"

#include <string.h>

/* Whether a value is one and the same along its leading axis. */
static bool is_copies(const tb_rewriter *w, const tb_node *node) {
  if (node->rank == 0 || node->dims[0] < 2)
    return false;
  if (tb_is_fill(node))
    return true;
  if (node->op != TB_OP_BROADCAST)
    return false;
  const tb_node *source = tb_rewritten(w, node->operands[0]);
  return source->rank < node->rank || source->dims[0] == 1;
}

static tb_node with_leading_one(const tb_node *node) {
  tb_node one = *node;
  one.elements /= one.dims[0];
  one.dims[0] = 1;
  return one;
}

/* [k, …] of copies → [1, …] */
static tb_status one_of(tb_rewriter *w, const tb_node *copies, uint32_t *index) {
  const tb_node one = with_leading_one(copies);
  if (tb_is_fill(copies))
    return tb_rewrite_append(w, &one, 0, NULL, index);
  const tb_node *source = tb_rewritten(w, copies->operands[0]);
  const tb_node seen = tb_shaped_like(&one, source->elements == one.elements ? TB_OP_RESHAPE : TB_OP_BROADCAST);
  return tb_rewrite_node(w, &seen, 1, copies->operands, index);
}

/* Whether the operation leaves the leading axis alone and works on each of its slices by itself. */
static bool keeps_leading_axis(const tb_rewriter *w, tb_rule_input in) {
  const tb_node *node = in.node;
  if (node->rank == 0 || in.count == 0 || in.count > 3)
    return false;
  switch (node->op) {
  case TB_OP_UNARY:
  case TB_OP_BINARY:
  case TB_OP_POWER:
  case TB_OP_SCALE:
  case TB_OP_SHIFT:
  case TB_OP_SELECT:
  case TB_OP_CAST:
    return true;
  case TB_OP_MATMUL:
    return node->rank > 2;
  case TB_OP_RESHAPE:
    return tb_rewritten(w, in.operands[0])->rank > 0 && tb_rewritten(w, in.operands[0])->dims[0] == node->dims[0];
  case TB_OP_TRANSPOSE:
    return node->attributes.permutation[0] == 0;
  case TB_OP_SLICE:
  case TB_OP_PAD:
    return node->attributes.axis != 0;
  case TB_OP_REDUCE:
    return (node->attributes.axes & 1) == 0;
  case TB_OP_SOFTMAX:
  case TB_OP_LOG_SOFTMAX:
    return node->rank > 1;
  default:
    return false;
  }
}

bool tb_rule_copies(tb_rewriter *w, tb_rule_input in, uint32_t *index, tb_status *status) {
  if (!keeps_leading_axis(w, in))
    return false;
  bool fills = true;
  for (uint32_t k = 0; k < in.count; k++) {
    const tb_node *operand = tb_rewritten(w, in.operands[k]);
    if (!is_copies(w, operand))
      return false;
    fills = fills && tb_is_fill(operand);
  }
  if (fills)
    return false;
  uint32_t operands[3], inner = 0;
  *status = TB_OK;
  for (uint32_t k = 0; k < in.count && *status == TB_OK; k++)
    *status = one_of(w, tb_rewritten(w, in.operands[k]), &operands[k]);
  const tb_node one = with_leading_one(in.node), stretched = tb_shaped_like(in.node, TB_OP_BROADCAST);
  if (*status == TB_OK)
    *status = tb_rewrite_node(w, &one, in.count, operands, &inner);
  if (*status == TB_OK)
    *status = tb_rewrite_node(w, &stretched, 1, &inner, index);
  return true;
}

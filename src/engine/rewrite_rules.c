/* The algebra of rewriting: done where it keeps every bit, or where only an order of rounding changes. */
#include "engine/rewrite.h"

#include <math.h>
#include <string.h>

/* ±2ᵏ: multiplying by it is exact short of under- and overflow. */
static bool power_of_two(double x) {
  int exponent;
  return x != 0 && isfinite(x) && fabs(frexp(x, &exponent)) == 0.5 && exponent > -60 && exponent < 60;
}

static bool elementwise(tb_op op) {
  return op == TB_OP_UNARY || op == TB_OP_BINARY || op == TB_OP_POWER || op == TB_OP_SCALE || op == TB_OP_SHIFT ||
         op == TB_OP_SELECT;
}

static bool copy_of(uint32_t operand, uint32_t *index, tb_status *status) {
  *index = operand;
  *status = TB_OK;
  return true;
}

static bool with_value(tb_rewriter *w, const tb_node *like, tb_op op, uint32_t operand, double value, uint32_t *index,
                       tb_status *status) {
  tb_node node = tb_shaped_like(like, op);
  node.attributes.value = value;
  *status = tb_rewrite_node(w, &node, 1, &operand, index);
  return true;
}

static bool binary_of(tb_rewriter *w, const tb_node *like, tb_binary kind, uint32_t a, uint32_t b, uint32_t *index,
                      tb_status *status) {
  tb_node node = tb_shaped_like(like, TB_OP_BINARY);
  node.attributes.kind = kind;
  *status = tb_rewrite_node(w, &node, 2, (uint32_t[]){ a, b }, index);
  return true;
}

/* x·c, x + c, x/2ᵏ with a number; −x as a scale; sums and differences of negated terms */
static bool rule_arithmetic(tb_rewriter *w, tb_rule_input in, uint32_t *index, tb_status *status) {
  const tb_node *node = in.node;
  if (node->dtype == TB_INT32)
    return false;
  if (node->op == TB_OP_UNARY && node->attributes.kind == TB_NEGATE)
    return with_value(w, node, TB_OP_SCALE, in.operands[0], -1, index, status);
  if (node->op == TB_OP_SCALE) {
    const tb_node *a = tb_rewritten(w, in.operands[0]);
    if (node->attributes.value == 1)
      return copy_of(in.operands[0], index, status);
    if (a->op == TB_OP_SCALE && (power_of_two(a->attributes.value) || power_of_two(node->attributes.value)))
      return with_value(w, node, TB_OP_SCALE, a->operands[0], a->attributes.value * node->attributes.value, index,
                        status);
    return false;
  }
  if (node->op != TB_OP_BINARY)
    return false;
  const uint32_t a = in.operands[0], b = in.operands[1];
  const tb_node *x = tb_rewritten(w, a), *y = tb_rewritten(w, b);
  const bool minus_x = x->op == TB_OP_SCALE && x->attributes.value == -1;
  const bool minus_y = y->op == TB_OP_SCALE && y->attributes.value == -1;
  switch (node->attributes.kind) {
  case TB_ADD:
    if (tb_is_fill(x) || tb_is_fill(y))
      return with_value(w, node, TB_OP_SHIFT, tb_is_fill(x) ? b : a, (tb_is_fill(x) ? x : y)->attributes.value, index,
                        status);
    if (minus_y)
      return binary_of(w, node, TB_SUBTRACT, a, y->operands[0], index, status);
    if (minus_x)
      return binary_of(w, node, TB_SUBTRACT, b, x->operands[0], index, status);
    return false;
  case TB_SUBTRACT:
    if (tb_is_fill(y))
      return with_value(w, node, TB_OP_SHIFT, a, -y->attributes.value, index, status);
    if (minus_y)
      return binary_of(w, node, TB_ADD, a, y->operands[0], index, status);
    return false;
  case TB_MULTIPLY:
    if (tb_is_fill(x) || tb_is_fill(y))
      return with_value(w, node, TB_OP_SCALE, tb_is_fill(x) ? b : a, (tb_is_fill(x) ? x : y)->attributes.value, index,
                        status);
    if (a == b) {
      tb_node square = tb_shaped_like(node, TB_OP_UNARY);
      square.attributes.kind = TB_SQUARE;
      *status = tb_rewrite_node(w, &square, 1, &a, index);
      return true;
    }
    return false;
  case TB_DIVIDE:
    if (tb_is_fill(y) && power_of_two(y->attributes.value))
      return with_value(w, node, TB_OP_SCALE, a, 1 / y->attributes.value, index, status);
    return false;
  default:
    return false;
  }
}

/* Exponents that are one or two cheap functions */
static bool rule_power(tb_rewriter *w, tb_rule_input in, uint32_t *index, tb_status *status) {
  enum { NO_MORE = UINT32_MAX };
  static const struct {
    double exponent;
    uint32_t kinds[2]; /* one after the other */
  } known[] = { { 2, { TB_SQUARE, NO_MORE } },
                { 0.5, { TB_SQRT, NO_MORE } },
                { -1, { TB_RECIPROCAL, NO_MORE } },
                { -2, { TB_RECIPROCAL, TB_SQUARE } },
                { -0.5, { TB_SQRT, TB_RECIPROCAL } } };
  if (in.node->op != TB_OP_POWER)
    return false;
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (in.node->attributes.value != known[i].exponent)
      continue;
    *index = in.operands[0];
    *status = TB_OK;
    for (int k = 0; k < 2 && known[i].kinds[k] != NO_MORE && *status == TB_OK; k++) {
      tb_node node = tb_shaped_like(in.node, TB_OP_UNARY);
      node.attributes.kind = known[i].kinds[k];
      *status = tb_rewrite_node(w, &node, 1, (uint32_t[]){ *index }, index);
    }
    return true;
  }
  return false;
}

/* tanh″ = −2 tanh tanh′, which share their exponential */
static bool rule_tanh(tb_rewriter *w, tb_rule_input in, uint32_t *index, tb_status *status) {
  if (in.node->op != TB_OP_UNARY || in.node->attributes.kind != TB_TANH || in.node->attributes.order != 2)
    return false;
  uint32_t factors[2];
  *status = TB_OK;
  for (uint32_t order = 0; order < 2 && *status == TB_OK; order++) {
    tb_node node = *in.node;
    node.attributes.order = order;
    *status = tb_rewrite_node(w, &node, 1, in.operands, &factors[order]);
  }
  uint32_t product = 0;
  if (*status == TB_OK)
    binary_of(w, in.node, TB_MULTIPLY, factors[0], factors[1], &product, status);
  if (*status == TB_OK)
    with_value(w, in.node, TB_OP_SCALE, product, -2, index, status);
  return true;
}

static bool is_relu(const tb_node *node, uint32_t order) {
  return node->op == TB_OP_UNARY && node->attributes.kind == TB_RELU && node->attributes.order == order;
}

/* relu′(x) = relu′(relu(x)): the argument of a positive part need not be kept. */
static bool rule_relu(tb_rewriter *w, tb_rule_input in, uint32_t *index, tb_status *status) {
  if (!is_relu(in.node, 1) || is_relu(tb_rewritten(w, in.operands[0]), 0))
    return false;
  tb_node positive = *in.node;
  positive.attributes.order = 0;
  uint32_t operand = 0;
  *status = tb_rewrite_node(w, &positive, 1, in.operands, &operand);
  if (*status == TB_OK && !is_relu(tb_rewritten(w, operand), 0)) /* a rule made something else of it */
    return false;
  if (*status == TB_OK)
    *status = tb_rewrite_node(w, in.node, 1, &operand, index);
  return true;
}

/* Work on a broadcast value is work on the value: f(broadcast x, broadcast y) = broadcast f(x, y). */
static bool rule_broadcast(tb_rewriter *w, tb_rule_input in, uint32_t *index, tb_status *status) {
  if (!elementwise(in.node->op))
    return false;
  const tb_node *source = NULL;
  uint32_t sources[3] = { 0 };
  for (uint32_t k = 0; k < in.count; k++) {
    const tb_node *a = tb_rewritten(w, in.operands[k]);
    if (tb_is_fill(a))
      continue;
    if (a->op != TB_OP_BROADCAST)
      return false;
    sources[k] = a->operands[0];
    const tb_node *from = tb_rewritten(w, sources[k]);
    if (source && !tb_same_shape(source, from))
      return false;
    source = from;
  }
  if (!source || source->elements >= in.node->elements)
    return false;
  *status = TB_OK;
  for (uint32_t k = 0; k < in.count && *status == TB_OK; k++) {
    const tb_node *a = tb_rewritten(w, in.operands[k]);
    if (tb_is_fill(a)) {
      tb_node fill = tb_shaped_like(source, TB_OP_FILL);
      fill.dtype = a->dtype;
      fill.attributes.value = a->attributes.value;
      *status = tb_rewrite_append(w, &fill, 0, NULL, &sources[k]);
    }
  }
  tb_node small = *in.node;
  small.rank = source->rank;
  small.elements = source->elements;
  memcpy(small.dims, source->dims, sizeof small.dims);
  uint32_t inner = 0;
  if (*status == TB_OK)
    *status = tb_rewrite_node(w, &small, in.count, sources, &inner);
  const tb_node stretched = tb_shaped_like(in.node, TB_OP_BROADCAST);
  if (*status == TB_OK)
    *status = tb_rewrite_node(w, &stretched, 1, &inner, index);
  return true;
}

/* Reshapes of reshapes, transposes of transposes, broadcasts of broadcasts; those that change nothing. */
static bool rule_shape(tb_rewriter *w, tb_rule_input in, uint32_t *index, tb_status *status) {
  const tb_node *node = in.node;
  if (node->op == TB_OP_STOP)
    return copy_of(in.operands[0], index, status);
  if (node->op != TB_OP_RESHAPE && node->op != TB_OP_TRANSPOSE && node->op != TB_OP_BROADCAST)
    return false;
  const tb_node *a = tb_rewritten(w, in.operands[0]);
  bool identity = tb_same_shape(a, node);
  for (uint32_t i = 0; node->op == TB_OP_TRANSPOSE && i < node->rank; i++)
    identity = identity && node->attributes.permutation[i] == i;
  if (identity)
    return copy_of(in.operands[0], index, status);
  if (a->op != node->op)
    return false;
  tb_node merged = *node;
  for (uint32_t i = 0; node->op == TB_OP_TRANSPOSE && i < node->rank; i++)
    merged.attributes.permutation[i] = a->attributes.permutation[node->attributes.permutation[i]];
  *status = tb_rewrite_node(w, &merged, 1, a->operands, index);
  return true;
}

/* Over axes of length 1: a reshape.  A sum over stretched axes: a multiple. */
static bool rule_reduce(tb_rewriter *w, tb_rule_input in, uint32_t *index, tb_status *status) {
  const tb_node *node = in.node;
  if (node->op != TB_OP_REDUCE || node->dtype == TB_INT32)
    return false;
  const tb_node *a = tb_rewritten(w, in.operands[0]);
  bool trivial = true, stretched = a->op == TB_OP_BROADCAST && node->attributes.kind == TB_SUM;
  double count = 1;
  for (uint32_t i = 0; i < a->rank; i++)
    if (node->attributes.axes >> i & 1) {
      trivial = trivial && a->dims[i] == 1;
      count *= (double)a->dims[i];
      if (stretched && a->dims[i] != 1) {
        const tb_node *source = tb_rewritten(w, a->operands[0]);
        const uint32_t added = a->rank - source->rank;
        stretched = i < added || source->dims[i - added] == 1;
      }
    }
  if (!trivial && !(stretched && count > 0))
    return false;
  /* the source seen with the result's shape (reduced axes 1 or gone), stretched over what is left */
  tb_node small = tb_shaped_like(node, TB_OP_RESHAPE);
  uint32_t reshaped = in.operands[0];
  *status = TB_OK;
  if (!trivial) {
    const tb_node *source = tb_rewritten(w, a->operands[0]);
    const uint32_t added = a->rank - source->rank;
    tb_node kept = *source;
    kept.op = TB_OP_RESHAPE;
    kept.data = NULL;
    kept.name = NULL;
    kept.scan = NULL;
    kept.attributes = (tb_attributes){ 0 };
    kept.rank = 0;
    for (uint32_t i = 0; i < a->rank; i++)
      if (!(node->attributes.axes >> i & 1) || node->attributes.keep)
        kept.dims[kept.rank++] = node->attributes.axes >> i & 1 ? 1 : i < added ? 1 : source->dims[i - added];
    for (uint32_t i = kept.rank; i < TB_MAX_RANK; i++)
      kept.dims[i] = 0;
    *status = tb_rewrite_node(w, &kept, 1, a->operands, &reshaped);
    small.op = TB_OP_BROADCAST;
  }
  uint32_t seen = 0;
  if (*status == TB_OK)
    *status = tb_rewrite_node(w, &small, 1, &reshaped, &seen);
  if (*status == TB_OK && count != 1)
    with_value(w, node, TB_OP_SCALE, seen, count, index, status);
  else
    *index = seen;
  return true;
}

static bool rule_select(tb_rewriter *w, tb_rule_input in, uint32_t *index, tb_status *status) {
  if (in.node->op != TB_OP_SELECT || !tb_is_fill(tb_rewritten(w, in.operands[0])))
    return false;
  return copy_of(in.operands[tb_rewritten(w, in.operands[0])->attributes.value != 0 ? 1 : 2], index, status);
}

tb_rewrite_rule *const tb_rewrite_rules[] = {
  rule_shape,     rule_select, rule_power,     rule_tanh,    rule_relu,      rule_arithmetic,
  rule_broadcast, rule_reduce, tb_rule_copies, tb_rule_rows, tb_rule_pieces, NULL,
};

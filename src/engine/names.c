/* The names of kinds and types, as messages and listings say them. */
#include "engine/node.h"

#include <stdio.h>

static const char *const unary_names[] = {
  [TB_NEGATE] = "negate",
  [TB_ABSOLUTE] = "absolute",
  [TB_SIGN] = "sign",
  [TB_EXP] = "exp",
  [TB_LOG] = "log",
  [TB_LOG1P] = "log1p",
  [TB_EXPM1] = "expm1",
  [TB_SQRT] = "sqrt",
  [TB_RECIPROCAL] = "reciprocal",
  [TB_SQUARE] = "square",
  [TB_SIN] = "sin",
  [TB_COS] = "cos",
  [TB_TANH] = "tanh",
  [TB_ERF] = "erf",
  [TB_SIGMOID] = "sigmoid",
  [TB_SOFTPLUS] = "softplus",
  [TB_RELU] = "relu",
  [TB_GELU] = "gelu",
  [TB_LOG_SIGMOID] = "log_sigmoid",
  [TB_FLOOR] = "floor",
  [TB_LOG_NORMAL_CDF] = "log_normal_cdf",
};
static const char *const binary_names[] = {
  [TB_ADD] = "add",       [TB_SUBTRACT] = "subtract",     [TB_MULTIPLY] = "multiply",
  [TB_DIVIDE] = "divide", [TB_MAXIMUM] = "maximum",       [TB_MINIMUM] = "minimum",
  [TB_LESS] = "less",     [TB_LESS_EQUAL] = "less_equal", [TB_EQUAL] = "equal",
};
static const char *const reduction_names[] = {
  [TB_SUM] = "sum", [TB_MEAN] = "mean", [TB_MAX] = "max", [TB_MIN] = "min", [TB_LOGSUMEXP] = "logsumexp",
};
static const char *const dtype_names[] = { [TB_FLOAT32] = "float32", [TB_FLOAT64] = "float64", [TB_INT32] = "int32" };

#define NAME(list, kind) ((size_t)(kind) < sizeof list / sizeof list[0] ? list[kind] : "unknown")

const char *tb_unary_name(tb_unary kind) {
  return NAME(unary_names, kind);
}
const char *tb_binary_name(tb_binary kind) {
  return NAME(binary_names, kind);
}
const char *tb_reduction_name(tb_reduction kind) {
  return NAME(reduction_names, kind);
}
const char *tb_dtype_name(tb_dtype dtype) {
  return NAME(dtype_names, dtype);
}

const char *tb_node_name(const tb_node *node, char buffer[static 32]) {
  const char *name = tb_ops[node->op].name;
  unsigned order = 0;
  if (node->op == TB_OP_UNARY) {
    name = tb_unary_name((tb_unary)node->attributes.kind);
    order = node->attributes.order;
  } else if (node->op == TB_OP_BINARY) {
    name = tb_binary_name((tb_binary)node->attributes.kind);
  } else if (node->op == TB_OP_REDUCE) {
    name = tb_reduction_name((tb_reduction)node->attributes.kind);
  }
  snprintf(buffer, 32, "%s%.*s", name, (int)order, "'''");
  return buffer;
}

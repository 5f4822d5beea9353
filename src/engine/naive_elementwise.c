/* Plain loops: leaves and elementwise operations. */
#include "engine/naive.h"

#include <tiebreak/random.h>

#include <math.h>
#include <string.h>

/* Integers wrap as two's complement. */
static int32_t wrap(int64_t value) {
  return (int32_t)(uint32_t)(uint64_t)value;
}

/* ---- leaves ---- */

tb_status tb_fill_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                        void *out) {
  for (size_t i = 0; i < node->elements; i++)
    tb_put(node->dtype, out, i, node->attributes.value);
  return TB_OK;
}

tb_status tb_constant_naive(tb_context *context, const tb_graph *graph, const tb_node *node,
                            const void *const *operands, void *out) {
  memcpy(out, node->data, tb_node_bytes(node));
  return TB_OK;
}

tb_status tb_iota_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                        void *out) {
  size_t outer, inner, length = node->dims[node->attributes.axis];
  tb_around_axis(node, node->attributes.axis, &outer, &inner);
  for (size_t i = 0; i < node->elements; i++)
    tb_put(node->dtype, out, i, (double)(i / inner % length));
  return TB_OK;
}

tb_status tb_random_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                          void *out) {
  const int32_t *words = operands[0];
  tb_key key = { .seed = (uint64_t)(uint32_t)words[0] | (uint64_t)(uint32_t)words[1] << 32,
                 .step = (uint32_t)words[2],
                 .use = node->attributes.use };
  bool normal = node->op == TB_OP_NORMAL;
  if (node->dtype == TB_FLOAT64)
    (normal ? tb_random_normal : tb_random_uniform)(key, 0, node->elements, out);
  else
    (normal ? tb_random_normal_float : tb_random_uniform_float)(key, 0, node->elements, out);
  return TB_OK;
}

/* ---- unary ---- */

static int64_t unary_integer(tb_unary kind, int64_t x) {
  switch (kind) {
  case TB_NEGATE:
    return -x;
  case TB_ABSOLUTE:
    return x < 0 ? -x : x;
  case TB_SIGN:
    return (x > 0) - (x < 0);
  case TB_SQUARE:
    return x * x;
  case TB_RELU:
    return x > 0 ? x : 0;
  default: /* floor */
    return x;
  }
}

tb_status tb_unary_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                         void *out) {
  tb_unary kind = (tb_unary)node->attributes.kind;
  unsigned order = node->attributes.order;
  if (node->dtype == TB_INT32) {
    for (size_t i = 0; i < node->elements; i++)
      ((int32_t *)out)[i] = wrap(unary_integer(kind, ((const int32_t *)operands[0])[i]));
    return TB_OK;
  }
  for (size_t i = 0; i < node->elements; i++)
    tb_put(node->dtype, out, i, tb_unary_evaluate(kind, order, tb_get(node->dtype, operands[0], i)));
  return TB_OK;
}

static double power(double a, double e) {
  return e == 2 ? a * a : e == 0.5 ? sqrt(a) : e == -1 ? 1 / a : e == -0.5 ? 1 / sqrt(a) : pow(a, e);
}

tb_status tb_power_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                         void *out) {
  double e = node->attributes.value;
  for (size_t i = 0; i < node->elements; i++)
    tb_put(node->dtype, out, i, power(tb_get(node->dtype, operands[0], i), e));
  return TB_OK;
}

tb_status tb_scale_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                         void *out) {
  double factor = tb_rounded(node->dtype, node->attributes.value);
  if (node->dtype == TB_INT32) {
    for (size_t i = 0; i < node->elements; i++)
      ((int32_t *)out)[i] = wrap((int64_t)factor * ((const int32_t *)operands[0])[i]);
    return TB_OK;
  }
  for (size_t i = 0; i < node->elements; i++)
    tb_put(node->dtype, out, i, factor * tb_get(node->dtype, operands[0], i));
  return TB_OK;
}

tb_status tb_shift_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                         void *out) {
  double offset = tb_rounded(node->dtype, node->attributes.value);
  if (node->dtype == TB_INT32) {
    for (size_t i = 0; i < node->elements; i++)
      ((int32_t *)out)[i] = wrap((int64_t)offset + ((const int32_t *)operands[0])[i]);
    return TB_OK;
  }
  for (size_t i = 0; i < node->elements; i++)
    tb_put(node->dtype, out, i, offset + tb_get(node->dtype, operands[0], i));
  return TB_OK;
}

tb_status tb_copy_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                        void *out) {
  memcpy(out, operands[0], tb_node_bytes(node));
  return TB_OK;
}

static int32_t to_integer(double x) {
  return isnan(x) ? 0 : x >= INT32_MAX ? INT32_MAX : x <= INT32_MIN ? INT32_MIN : (int32_t)x;
}

tb_status tb_cast_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                        void *out) {
  tb_dtype from = tb_node_operand(graph, node, 0)->dtype;
  for (size_t i = 0; i < node->elements; i++) {
    double x = tb_get(from, operands[0], i);
    tb_put(node->dtype, out, i, node->dtype == TB_INT32 ? to_integer(x) : x);
  }
  return TB_OK;
}

/* ---- binary and select ---- */

static int64_t binary_integer(tb_binary kind, int64_t a, int64_t b) {
  switch (kind) {
  case TB_ADD:
    return a + b;
  case TB_SUBTRACT:
    return a - b;
  case TB_MULTIPLY:
    return a * b;
  case TB_MAXIMUM:
    return a > b ? a : b;
  case TB_MINIMUM:
    return a < b ? a : b;
  case TB_LESS:
    return a < b;
  case TB_LESS_EQUAL:
    return a <= b;
  default:
    return a == b;
  }
}

/* NaN wins in maximum and minimum. */
static double binary_real(tb_binary kind, double a, double b) {
  switch (kind) {
  case TB_ADD:
    return a + b;
  case TB_SUBTRACT:
    return a - b;
  case TB_MULTIPLY:
    return a * b;
  case TB_DIVIDE:
    return a / b;
  case TB_MAXIMUM:
    return a > b || isnan(a) ? a : b;
  case TB_MINIMUM:
    return a < b || isnan(a) ? a : b;
  case TB_LESS:
    return a < b;
  case TB_LESS_EQUAL:
    return a <= b;
  default:
    return a == b;
  }
}

tb_status tb_binary_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                          void *out) {
  tb_binary kind = (tb_binary)node->attributes.kind;
  if (node->dtype == TB_INT32) {
    const int32_t *a = operands[0], *b = operands[1];
    for (size_t i = 0; i < node->elements; i++)
      ((int32_t *)out)[i] = wrap(binary_integer(kind, a[i], b[i]));
    return TB_OK;
  }
  for (size_t i = 0; i < node->elements; i++)
    tb_put(node->dtype, out, i,
           binary_real(kind, tb_get(node->dtype, operands[0], i), tb_get(node->dtype, operands[1], i)));
  return TB_OK;
}

tb_status tb_select_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                          void *out) {
  tb_dtype dtype = tb_node_operand(graph, node, 0)->dtype;
  size_t size = tb_dtype_size(node->dtype);
  for (size_t i = 0; i < node->elements; i++) {
    const char *from = tb_get(dtype, operands[0], i) != 0 ? operands[1] : operands[2];
    memcpy((char *)out + i * size, from + i * size, size);
  }
  return TB_OK;
}

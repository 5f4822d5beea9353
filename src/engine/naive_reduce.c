/* Plain loops: reductions and softmax.  Elements are taken in row-major order; sums accumulate in float64. */
#include "engine/naive.h"

#include <math.h>

/* The result's strides along each axis of the operand: zero where it is reduced. */
static void result_strides(const tb_node *a, const tb_node *node, size_t strides[TB_MAX_RANK]) {
  size_t stride = 1;
  for (size_t i = a->rank; i-- > 0;) {
    bool reduced = node->attributes.axes >> i & 1;
    strides[i] = reduced ? 0 : stride;
    stride *= reduced ? 1 : a->dims[i];
  }
}

static tb_status reduce_integer(const tb_node *a, const tb_node *node, const int32_t *x, int32_t *out) {
  tb_reduction kind = (tb_reduction)node->attributes.kind;
  int32_t start = kind == TB_SUM ? 0 : kind == TB_MAX ? INT32_MIN : INT32_MAX;
  for (size_t i = 0; i < node->elements; i++)
    out[i] = start;
  size_t strides[TB_MAX_RANK], index[TB_MAX_RANK] = { 0 }, to = 0;
  result_strides(a, node, strides);
  for (size_t i = 0; i < a->elements; i++) {
    if (kind == TB_SUM)
      out[to] = (int32_t)((uint32_t)out[to] + (uint32_t)x[i]);
    else if (kind == TB_MAX ? x[i] > out[to] : x[i] < out[to])
      out[to] = x[i];
    to = tb_advance(a->rank, a->dims, index, strides, to);
  }
  return TB_OK;
}

/* One pass: sum, maximum or minimum, or (given the maxima) the sum of exp(x − maximum). */
static void pass(const tb_node *a, const tb_node *node, tb_reduction kind, const void *x, const double *maxima,
                 double *result) {
  double start = kind == TB_MAX ? -INFINITY : kind == TB_MIN ? INFINITY : 0;
  for (size_t i = 0; i < node->elements; i++)
    result[i] = start;
  size_t strides[TB_MAX_RANK], index[TB_MAX_RANK] = { 0 }, to = 0;
  result_strides(a, node, strides);
  for (size_t i = 0; i < a->elements; i++) {
    double value = tb_get(a->dtype, x, i);
    if (kind == TB_SUM)
      result[to] += value;
    else if (kind == TB_LOGSUMEXP)
      result[to] += isinf(maxima[to]) ? value != maxima[to] ? 0 : 1 : exp(value - maxima[to]);
    else if (isnan(value) || (kind == TB_MAX ? value > result[to] : value < result[to]))
      result[to] = value;
    to = tb_advance(a->rank, a->dims, index, strides, to);
  }
}

tb_status tb_reduce_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                          void *out) {
  const tb_node *a = tb_node_operand(graph, node, 0);
  if (node->dtype == TB_INT32)
    return reduce_integer(a, node, operands[0], out);
  tb_reduction kind = (tb_reduction)node->attributes.kind;
  double *result = tb_allocate(context, 2 * node->elements + 1, sizeof *result), *maxima = result + node->elements;
  if (!result)
    return TB_NO_MEMORY;
  if (kind == TB_LOGSUMEXP) {
    pass(a, node, TB_MAX, operands[0], NULL, maxima);
    pass(a, node, TB_LOGSUMEXP, operands[0], maxima, result);
    for (size_t i = 0; i < node->elements; i++)
      result[i] = isinf(maxima[i]) ? maxima[i] : maxima[i] + log(result[i]);
  } else {
    pass(a, node, kind, operands[0], NULL, result);
  }
  for (size_t i = 0; i < node->elements; i++)
    tb_put(node->dtype, out, i, result[i]);
  tb_release(context, result);
  return TB_OK;
}

/* y = exp(x − log Σ exp x) or its logarithm, a row at a time. */
static void softmax(const tb_node *node, bool logarithm, const void *x, void *out) {
  size_t n = node->dims[node->rank - 1], rows = n ? node->elements / n : 0;
  for (size_t r = 0; r < rows; r++) {
    double maximum = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) {
      double value = tb_get(node->dtype, x, r * n + i);
      maximum = value > maximum || isnan(value) ? value : maximum;
    }
    for (size_t i = 0; i < n; i++)
      sum += exp(tb_get(node->dtype, x, r * n + i) - maximum);
    for (size_t i = 0; i < n; i++) {
      double value = tb_get(node->dtype, x, r * n + i) - maximum;
      value = logarithm ? value - log(sum) : exp(value) / sum;
      tb_put(node->dtype, out, r * n + i, value);
    }
  }
}

tb_status tb_softmax_naive(tb_context *context, const tb_graph *graph, const tb_node *node, const void *const *operands,
                           void *out) {
  softmax(node, false, operands[0], out);
  return TB_OK;
}

tb_status tb_log_softmax_naive(tb_context *context, const tb_graph *graph, const tb_node *node,
                               const void *const *operands, void *out) {
  softmax(node, true, operands[0], out);
  return TB_OK;
}

/* What the plain kernels share.
 *
 * A float32 node is computed in float64 and rounded once, at the end; for the four operations and the square root that
 * equals float32 arithmetic, for sums and functions it is the best float32 answer: an oracle. */
#ifndef TB_ENGINE_NAIVE_H
#define TB_ENGINE_NAIVE_H

#include "engine/rules.h"

static inline double tb_get(tb_dtype dtype, const void *data, size_t i) {
  return dtype == TB_FLOAT64   ? ((const double *)data)[i]
         : dtype == TB_FLOAT32 ? (double)((const float *)data)[i]
                               : ((const int32_t *)data)[i];
}

/* The value must be one of dtype, up to rounding of floats. */
static inline void tb_put(tb_dtype dtype, void *data, size_t i, double value) {
  if (dtype == TB_FLOAT64)
    ((double *)data)[i] = value;
  else if (dtype == TB_FLOAT32)
    ((float *)data)[i] = (float)value;
  else
    ((int32_t *)data)[i] = (int32_t)value;
}

/* A number as dtype holds it. */
static inline double tb_rounded(tb_dtype dtype, double value) {
  return dtype == TB_FLOAT32 ? (double)(float)value : value;
}

/* Row-major strides in elements. */
static inline void tb_strides(size_t rank, const size_t *dims, size_t *strides) {
  size_t stride = 1;
  for (size_t i = rank; i-- > 0;) {
    strides[i] = stride;
    stride *= dims[i];
  }
}

/* Advances a multi-index in row-major order, and with it an offset that moves by stride[i] along axis i. */
static inline size_t tb_advance(size_t rank, const size_t *dims, size_t *index, const size_t *stride, size_t offset) {
  for (size_t i = rank; i-- > 0;) {
    offset += stride[i];
    if (++index[i] < dims[i])
      return offset;
    offset -= dims[i] * stride[i];
    index[i] = 0;
  }
  return offset;
}

/* A node seen as [outer, its axis, inner]. */
static inline void tb_around_axis(const tb_node *node, size_t axis, size_t *outer, size_t *inner) {
  *outer = *inner = 1;
  for (size_t i = 0; i < node->rank; i++)
    *(i < axis ? outer : inner) *= i == axis ? 1 : node->dims[i];
}

#endif

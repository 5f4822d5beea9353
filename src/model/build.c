/* The helpers of build.h. */
#include "model/build.h"

size_t tb_size_sum(size_t a, size_t b) {
  return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

size_t tb_size_product(size_t a, size_t b) {
  return b != 0 && a > SIZE_MAX / b ? SIZE_MAX : a * b;
}

size_t tb_layer_width(const tb_model_shape *shape, size_t k) {
  if (k == 0)
    return shape->inputs;
  if (k >= (size_t)shape->depth)
    return shape->outputs ? shape->outputs : 1;
  return shape->widths ? shape->widths[k - 1] : shape->width;
}

tb_value tb_block_at(tb_graph *g, tb_value theta, size_t *offset, size_t rows, size_t cols) {
  const size_t replicas = tb_dim(g, theta, 0);
  const tb_value flat = tb_slice(g, theta, 1, *offset, rows * cols);
  *offset += rows * cols;
  return tb_reshape(g, flat, 3, (size_t[]){ replicas, rows, cols });
}

tb_value tb_linear_readout(tb_graph *g, tb_value beta, tb_value x) {
  if (tb_rank(g, x) == 2)
    return tb_matmul(g, beta, false, x, true); /* [R,d] [n,d]ᵀ */
  return tb_matvec(g, x, beta);                /* [R,n,d] [R,d] */
}

void tb_normal_start(tb_key key, double scale, size_t count, double *theta) {
  tb_random_normal(key, 0, count, theta);
  for (size_t i = 0; i < count; i++)
    theta[i] *= scale;
}

/* The fully connected deep linear net with a scalar output and no biases: βᵀ = W_L W_{L−1} … W_1.
 *
 * W_k is [width of layer k × width of layer k−1], stored row-major one after the other from W_1 on; W_L is a row.
 * The predictor is multiplied out first, from the output down, so that outputs cost n·d instead of n·d·width. */
#include <stdio.h>

#include "model/build.h"

static size_t parameters(const tb_model_shape *shape) {
  size_t total = 0;
  for (size_t k = 1; k <= (size_t)shape->depth; k++)
    total = tb_size_sum(total, tb_size_product(tb_layer_width(shape, k), tb_layer_width(shape, k - 1)));
  return total;
}

static bool block(const tb_model_shape *shape, size_t k, char name[32], size_t *rows, size_t *cols) {
  if (k >= (size_t)shape->depth)
    return false;
  snprintf(name, 32, "W%zu", k + 1);
  *rows = tb_layer_width(shape, k + 1);
  *cols = tb_layer_width(shape, k);
  return true;
}

static tb_status initialise(tb_context *context, const tb_model_shape *shape, double scale, const double *start,
                            tb_key key, double *theta) {
  if (start)
    return tb_fail(context, TB_USAGE, "option start", "use model=linear or model=diagonal, or init= and seed=",
                   "a dense net can't be started from a given predictor");
  tb_normal_start(key, scale, parameters(shape), theta);
  return TB_OK;
}

static tb_value predictor(tb_graph *g, const tb_model_shape *shape, tb_value theta) {
  size_t end = parameters(shape);
  tb_value row = { -1 };
  for (size_t k = (size_t)shape->depth; k >= 1; k--) {
    const size_t rows = tb_layer_width(shape, k), cols = tb_layer_width(shape, k - 1);
    size_t offset = end - rows * cols;
    end = offset;
    const tb_value weight = tb_block_at(g, theta, &offset, rows, cols);
    row = k == (size_t)shape->depth ? weight : tb_matmul(g, row, false, weight, false); /* [R,1,rows] [R,rows,cols] */
  }
  return tb_reshape(g, row, 2, (size_t[]){ tb_dim(g, theta, 0), shape->inputs });
}

static tb_value output(tb_graph *g, const tb_model_shape *shape, tb_value theta, tb_value x) {
  return tb_linear_readout(g, predictor(g, shape, theta), x);
}

static tb_value layers(tb_graph *g, const tb_model_shape *shape, tb_value theta, tb_value x, tb_layer *layer,
                       size_t *count) {
  const size_t replicas = tb_dim(g, theta, 0), n = tb_dim(g, x, tb_rank(g, x) - 2);
  size_t offset = 0;
  tb_value h = x; /* [n, in] or [R, n, in] */
  for (size_t k = 1; k <= (size_t)shape->depth; k++) {
    const tb_value weight = tb_block_at(g, theta, &offset, tb_layer_width(shape, k), tb_layer_width(shape, k - 1));
    const tb_value z = tb_matmul(g, h, false, weight, true); /* [R,n,in] [R,out,in]ᵀ */
    if (k <= TB_MAX_LAYERS)
      layer[k - 1] = (tb_layer){ .input = h, .output = z };
    h = z;
  }
  *count = (size_t)shape->depth;
  return tb_reshape(g, h, 2, (size_t[]){ replicas, n });
}

static bool can_start(const tb_model_shape *shape) {
  return false;
}

const tb_model tb_model_dense = {
  .name = "dense",
  .summary = "a fully connected deep linear net with scalar output and no biases; entries start as N(0, init²)",
  .formula = "f(x) = W_L … W_1 x",
  .source = "Gunasekar et al. 2018, NeurIPS; Ji and Telgarsky 2019, ICLR",
  .parameters = parameters,
  .block = block,
  .initialise = initialise,
  .predictor = predictor,
  .output = output,
  .can_start = can_start,
  .layers = layers,
};

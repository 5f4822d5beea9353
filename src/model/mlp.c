/* The multi-layer perceptron with biases: h_0 = x, h_k = a(W_k h_{k−1} + b_k), f = W_L h_{L−1} + b_L.
 *
 * theta holds W_1, b_1, …, W_L, b_L; W_k is [width of layer k × width of layer k−1].  It has no predictor map: off the
 * training inputs a natural gradient of it depends on the parametrisation. */
#include <stdio.h>

#include "model/build.h"

static size_t parameters(const tb_model_shape *shape) {
  size_t total = 0;
  for (size_t k = 1; k <= (size_t)shape->depth; k++)
    total = tb_size_sum(total, tb_size_product(tb_layer_width(shape, k), tb_size_sum(tb_layer_width(shape, k - 1), 1)));
  return total;
}

static bool block(const tb_model_shape *shape, size_t k, char name[32], size_t *rows, size_t *cols) {
  const size_t layer = k / 2 + 1;
  if (layer > (size_t)shape->depth)
    return false;
  snprintf(name, 32, "%c%zu", k % 2 == 0 ? 'W' : 'b', layer);
  *rows = tb_layer_width(shape, layer);
  *cols = k % 2 == 0 ? tb_layer_width(shape, layer - 1) : 1;
  return true;
}

static tb_status initialise(tb_context *context, const tb_model_shape *shape, double scale, const double *start,
                            tb_key key, double *theta) {
  if (start)
    return tb_fail(context, TB_USAGE, "option start", "use model=linear or model=diagonal, or init= and seed=",
                   "an mlp can't be started from a given predictor");
  tb_normal_start(key, scale, parameters(shape), theta);
  return TB_OK;
}

static tb_value layers(tb_graph *g, const tb_model_shape *shape, tb_value theta, tb_value x, tb_layer *layer,
                       size_t *count) {
  const size_t replicas = tb_dim(g, theta, 0), n = tb_dim(g, x, tb_rank(g, x) - 2);
  size_t offset = 0;
  tb_value h = x; /* [n, in] or [R, n, in] */
  for (size_t k = 1; k <= (size_t)shape->depth; k++) {
    const size_t rows = tb_layer_width(shape, k), cols = tb_layer_width(shape, k - 1);
    const tb_value weight = tb_block_at(g, theta, &offset, rows, cols);
    const tb_value bias = tb_block_at(g, theta, &offset, 1, rows);
    const tb_value z = tb_add(g, tb_matmul(g, h, false, weight, true), bias); /* [R,n,in] [R,out,in]ᵀ + [R,1,out] */
    if (k <= TB_MAX_LAYERS)
      layer[k - 1] = (tb_layer){ .input = h, .output = z, .bias = true };
    h = z;
    if (k < (size_t)shape->depth)
      h = tb_unary_at(TB_HERE, g, shape->activation, h);
  }
  *count = (size_t)shape->depth;
  return shape->outputs > 1 ? h : tb_reshape(g, h, 2, (size_t[]){ replicas, n });
}

static tb_value output(tb_graph *g, const tb_model_shape *shape, tb_value theta, tb_value x) {
  tb_layer layer[TB_MAX_LAYERS];
  size_t count;
  return layers(g, shape, theta, x, layer, &count);
}

static bool can_start(const tb_model_shape *shape) {
  return false;
}

const tb_model tb_model_mlp = {
  .name = "mlp",
  .summary = "a multi-layer perceptron with biases; all entries start as N(0, init²)",
  .formula = "f(x) = W_L a(… a(W_1 x + b_1) …) + b_L",
  .source = "Zhang, Martens and Grosse 2019, NeurIPS",
  .parameters = parameters,
  .block = block,
  .initialise = initialise,
  .predictor = NULL,
  .output = output,
  .can_start = can_start,
  .layers = layers,
};

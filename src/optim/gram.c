/* Each layer z = W a + b adds to ∂f_i/∂θ the blocks δ_i a_iᵀ and δ_i with δ_i = ∂f_i/∂z_i; rows do not mix, so one
 * reverse pass of Σ_i f_i gives every δ_i. */
#include "optim/gram.h"

#include <assert.h>

tb_value tb_gram(tb_graph *g, const tb_model *model, const tb_model_shape *shape, tb_value theta, tb_value x,
                 tb_value *outputs) {
  tb_layer layers[TB_MAX_LAYERS];
  tb_value signals[TB_MAX_LAYERS], z[TB_MAX_LAYERS];
  size_t n = tb_dim(g, x, 0), count = 0;
  tb_value f = model->layers(g, shape, theta, x, layers, &count);
  assert(count <= TB_MAX_LAYERS);
  for (size_t l = 0; l < count; l++)
    z[l] = layers[l].output;
  tb_gradient(g, tb_sum(g, f), count, z, signals);
  tb_value gram = { -1 };
  for (size_t l = 0; l < count; l++) {
    tb_value a =
        tb_reshape(g, layers[l].input, 2, (size_t[]){ n, tb_dim(g, layers[l].input, tb_rank(g, layers[l].input) - 1) });
    tb_value delta = tb_reshape(g, signals[l], 2, (size_t[]){ n, tb_dim(g, signals[l], 2) });
    tb_value inputs = tb_matmul(g, a, false, a, true), back = tb_matmul(g, delta, false, delta, true);
    tb_value part = tb_multiply(g, layers[l].bias ? tb_shift(g, inputs, 1) : inputs, back);
    gram = l == 0 ? part : tb_add(g, gram, part);
  }
  *outputs = tb_reshape(g, f, 1, (size_t[]){ n });
  return gram;
}

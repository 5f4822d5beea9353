/* Each layer z = W a + b adds to ∂f_i/∂θ the blocks δ_i a_iᵀ and δ_i with δ_i = ∂f_i/∂z_i; rows do not mix, so one
 * reverse pass of Σ_i f_i gives every δ_i. */
#include "optim/gram.h"

#include <assert.h>

void tb_jacobian_factors(tb_graph *g, const tb_model *model, const tb_model_shape *shape, tb_value theta, tb_value x,
                         tb_jacobian_factor *factors, size_t *count, tb_value *outputs) {
  tb_layer layers[TB_MAX_LAYERS];
  tb_value signals[TB_MAX_LAYERS], z[TB_MAX_LAYERS];
  const size_t n = tb_dim(g, x, 0);
  const tb_value f = model->layers(g, shape, theta, x, layers, count);
  assert(*count <= TB_MAX_LAYERS);
  for (size_t l = 0; l < *count; l++)
    z[l] = layers[l].output;
  tb_gradient(g, tb_sum(g, f), *count, z, signals);
  for (size_t l = 0; l < *count; l++) {
    const tb_value a = layers[l].input;
    factors[l] =
        (tb_jacobian_factor){ .input = tb_reshape(g, a, 2, (size_t[]){ n, tb_dim(g, a, tb_rank(g, a) - 1) }),
                              .signal = tb_reshape(g, signals[l], 2, (size_t[]){ n, tb_dim(g, signals[l], 2) }),
                              .bias = layers[l].bias };
  }
  *outputs = tb_reshape(g, f, 1, (size_t[]){ n });
}

tb_value tb_gram(tb_graph *g, const tb_model *model, const tb_model_shape *shape, tb_value theta, tb_value x,
                 tb_value *outputs) {
  tb_jacobian_factor factors[TB_MAX_LAYERS];
  size_t count = 0;
  tb_jacobian_factors(g, model, shape, theta, x, factors, &count, outputs);
  tb_value gram = { -1 };
  for (size_t l = 0; l < count; l++) {
    const tb_value inputs = tb_matmul(g, factors[l].input, false, factors[l].input, true);
    const tb_value back = tb_matmul(g, factors[l].signal, false, factors[l].signal, true);
    const tb_value part = tb_multiply(g, factors[l].bias ? tb_shift(g, inputs, 1) : inputs, back);
    gram = l == 0 ? part : tb_add(g, gram, part);
  }
  return gram;
}

/* What the builders of all models share: sizes that saturate, blocks of the parameter vector, a linear read-out.
 *
 * Private to src/model. */
#ifndef TB_MODEL_BUILD_H
#define TB_MODEL_BUILD_H

#include "model/model.h"

/* Sums and products that stop at SIZE_MAX, so that an absurd size is refused rather than wrapped around. */
size_t tb_size_sum(size_t a, size_t b);
size_t tb_size_product(size_t a, size_t b);

/* Width of layer k's input (k = 0 … depth); layer 0 has the inputs, layer `depth` the outputs. */
size_t tb_layer_width(const tb_model_shape *shape, size_t k);

/* theta[R, p] → the block [R, rows, cols] that starts at *offset, which moves past it. */
tb_value tb_block_at(tb_graph *, tb_value theta, size_t *offset, size_t rows, size_t cols);

/* beta[R, d], x[n, d] or x[R, n, d] → outputs[R, n] */
tb_value tb_linear_readout(tb_graph *, tb_value beta, tb_value x);

/* theta[count] ~ N(0, scale²) */
void tb_normal_start(tb_key key, double scale, size_t count, double *theta);

extern const tb_model tb_model_linear, tb_model_diagonal, tb_model_dense, tb_model_mlp;

#endif

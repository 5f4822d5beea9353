/* The gated recurrent unit (Cho et al. 2014) as PyTorch has it, layers in a stack:
 *
 *   r, z = σ(W x_t + b + V h_{t−1} + c) of their rows,  n = tanh(W_n x_t + b_n + r (V_n h_{t−1} + c_n))
 *   h_t = (1 − z) n + z h_{t−1},  h_0 = 0
 *
 * Rows of W, V, b, c hold r, z, n in this order. */
#ifndef TB_MODEL_GRU_H
#define TB_MODEL_GRU_H

#include "model/recurrent.h"

extern const tb_cell tb_gru_cell;

#endif

/* The long short-term memory (Hochreiter & Schmidhuber 1997; with forget gate: Gers et al. 2000), layers in a stack:
 *
 *   z = W x_t + b + V h_{t−1} + c,   i, f, o = σ(z_i), σ(z_f), σ(z_o),   u = tanh(z_g)
 *   s_t = f s_{t−1} + i u,           h_t = o tanh(s_t),                  h_0 = s_0 = 0
 *
 * z holds i, f, g, o in this order.  Two biases, as the published networks have them. */
#ifndef TB_MODEL_LSTM_H
#define TB_MODEL_LSTM_H

#include "model/recurrent.h"

typedef tb_recurrent_shape tb_lstm_shape;

/* Refuses shapes that make no sense or no sane size (TB_USAGE): an empty size, more than 2^28 parameters. */
tb_status tb_lstm_check(tb_context *, const tb_lstm_shape *);
/* p; SIZE_MAX when it overflows. */
size_t tb_lstm_parameters(const tb_lstm_shape *);
/* The k-th block in theta: E [V,inputs]; for each layer W [4H,in], V [4H,H], b and c [1,4H]; U [V,H] and u [1,V].
 * False past the last. */
bool tb_lstm_block(const tb_lstm_shape *, size_t k, char name[32], size_t *rows, size_t *cols);
/* theta[p]: embeddings N(0,1), everything else U(±1/√H): the start that PyTorch's layers have. */
void tb_lstm_initialise(const tb_lstm_shape *, tb_key key, double *theta);

/* Real inputs: theta[R,p], x[R,T,B,inputs] → states h of the last layer [T,R,B,H]. */
tb_value tb_lstm_states(tb_graph *, const tb_lstm_shape *, tb_value theta, tb_value x);
/* theta[R,p], tokens int32 [B,T] or [R,B,T] → logits [R,B,T,V] of the next symbol. */
tb_value tb_lstm_logits(tb_graph *, const tb_lstm_shape *, tb_value theta, tb_value tokens);

extern const tb_cell tb_lstm_cell;

#endif

/* The cell of lstm.h; everything around it is the stack of recurrent.h. */
#include "model/lstm.h"

/* carry h, s [R,B,H] */
static void advance(tb_graph *g, tb_value z, tb_value weight, tb_value bias, const tb_value *carry,
                    tb_value *carry_out) {
  const size_t hidden = tb_dim(g, carry[0], 2);
  z = tb_add(g, z, tb_matmul(g, carry[0], false, weight, true));
  const tb_value input = tb_sigmoid(g, tb_slice(g, z, 2, 0, hidden));
  const tb_value forget = tb_sigmoid(g, tb_slice(g, z, 2, hidden, hidden));
  const tb_value update = tb_tanh(g, tb_slice(g, z, 2, 2 * hidden, hidden));
  const tb_value output = tb_sigmoid(g, tb_slice(g, z, 2, 3 * hidden, hidden));
  carry_out[1] = tb_add(g, tb_multiply(g, forget, carry[1]), tb_multiply(g, input, update));
  carry_out[0] = tb_multiply(g, output, tb_tanh(g, carry_out[1]));
}

const tb_cell tb_lstm_cell = { .name = "an LSTM", .gates = 4, .carries = 2, .joined = true, .advance = advance };

size_t tb_lstm_parameters(const tb_lstm_shape *s) {
  return tb_recurrent_parameters(&tb_lstm_cell, s);
}

bool tb_lstm_block(const tb_lstm_shape *s, size_t k, char name[32], size_t *rows, size_t *cols) {
  return tb_recurrent_block(&tb_lstm_cell, s, k, name, rows, cols);
}

void tb_lstm_initialise(const tb_lstm_shape *s, tb_key key, double *theta) {
  tb_recurrent_initialise(&tb_lstm_cell, s, key, theta);
}

tb_status tb_lstm_check(tb_context *context, const tb_lstm_shape *s) {
  return tb_recurrent_check(context, &tb_lstm_cell, s);
}

tb_value tb_lstm_states(tb_graph *g, const tb_lstm_shape *s, tb_value theta, tb_value x) {
  return tb_recurrent_states(g, &tb_lstm_cell, s, theta, x);
}

tb_value tb_lstm_logits(tb_graph *g, const tb_lstm_shape *s, tb_value theta, tb_value tokens) {
  return tb_recurrent_logits(g, &tb_lstm_cell, s, theta, tokens, 0, (tb_value){ -1 });
}

/* The cell of gru.h; everything around it is the stack of recurrent.h. */
#include "model/gru.h"

/* carry h [R,B,H] */
static void advance(tb_graph *g, tb_value z, tb_value weight, tb_value bias, const tb_value *carry,
                    tb_value *carry_out) {
  const size_t hidden = tb_dim(g, carry[0], 2);
  const tb_value s = tb_add(g, tb_matmul(g, carry[0], false, weight, true), bias);
  const tb_value gates = tb_sigmoid(g, tb_add(g, tb_slice(g, z, 2, 0, 2 * hidden), tb_slice(g, s, 2, 0, 2 * hidden)));
  const tb_value reset = tb_slice(g, gates, 2, 0, hidden), keep = tb_slice(g, gates, 2, hidden, hidden);
  const tb_value seen = tb_multiply(g, reset, tb_slice(g, s, 2, 2 * hidden, hidden));
  const tb_value fresh = tb_tanh(g, tb_add(g, tb_slice(g, z, 2, 2 * hidden, hidden), seen));
  carry_out[0] = tb_add(g, fresh, tb_multiply(g, keep, tb_subtract(g, carry[0], fresh)));
}

const tb_cell tb_gru_cell = { .name = "a GRU", .gates = 3, .carries = 1, .joined = false, .advance = advance };

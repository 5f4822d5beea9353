/* Stacks of recurrent cells: what the LSTM and the GRU share.
 *
 * Private to src/model.  What a layer does with its inputs does not depend on its state, so it is one product over all
 * steps; the scan adds what depends on the state. */
#ifndef TB_MODEL_RECURRENT_H
#define TB_MODEL_RECURRENT_H

#include "model/blocks.h"

typedef struct tb_recurrent_shape {
  size_t vocabulary; /* V; 0: real inputs, no embedding and no read-out */
  size_t inputs;     /* width of the embedding, or of real inputs */
  size_t hidden;     /* H */
  size_t layers;     /* at least 1 */
} tb_recurrent_shape;

enum { TB_MOST_CARRIES = 2 };

typedef struct tb_cell {
  const char *name; /* "an LSTM" */
  size_t gates;     /* G: W is [G·H, in], V [G·H, H] */
  size_t carries;   /* arrays [R,B,H] from step to step, h first */
  bool joined;      /* both biases are added before the state enters */
  /* z = W x + b (+ c where joined) [R,B,G·H], weight V [R,G·H,H], bias c [R,1,G·H], carry → carry_out. */
  void (*advance)(tb_graph *, tb_value z, tb_value weight, tb_value bias, const tb_value *carry, tb_value *carry_out);
} tb_cell;

tb_status tb_recurrent_check(tb_context *, const tb_cell *, const tb_recurrent_shape *);
size_t tb_recurrent_parameters(const tb_cell *, const tb_recurrent_shape *);
bool tb_recurrent_block(const tb_cell *, const tb_recurrent_shape *, size_t k, char name[32], size_t *rows,
                        size_t *cols);
void tb_recurrent_initialise(const tb_cell *, const tb_recurrent_shape *, tb_key key, double *theta);
/* theta[R,p], x[R,T,B,inputs] → h of the last layer [T,R,B,H] */
tb_value tb_recurrent_states(tb_graph *, const tb_cell *, const tb_recurrent_shape *, tb_value theta, tb_value x);
/* theta[R,p], tokens [B,T] or [R,B,T] → logits [R,B,T,V]; dropout of that rate before the read-out (keys [R,3]). */
tb_value tb_recurrent_logits(tb_graph *, const tb_cell *, const tb_recurrent_shape *, tb_value theta, tb_value tokens,
                             double rate, tb_value keys);
/* One step: tokens [R,B], memory and next[layers·carries] [R,B,H] → logits [R,B,V]. */
tb_value tb_recurrent_step(tb_graph *, const tb_cell *, const tb_recurrent_shape *, tb_value theta, tb_value tokens,
                           const tb_value *memory, tb_value *next);

#endif

/* Dropout (Srivastava et al. 2014): entries are zero with probability `rate`, the others grow by 1/(1 − rate).
 *
 * Each place of a network draws under a purpose of its own, counted as the network is built. */
#ifndef TB_MODEL_DROPOUT_H
#define TB_MODEL_DROPOUT_H

#include <tiebreak/graph.h>

typedef struct tb_dropout {
  double rate;   /* 0: nothing happens */
  tb_value keys; /* TB_INT32 [R,3], a row a replica; read when rate > 0 */
  uint32_t places;
} tb_dropout;

/* x[R,…]: each replica draws with its own key what it would draw alone. */
tb_value tb_drop(tb_graph *, tb_dropout *, tb_value x);

#endif

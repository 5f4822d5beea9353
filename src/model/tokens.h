/* Symbols in and symbols out: what every language model shares.
 *
 * Tokens and targets are TB_INT32 [B,T] (all replicas read the same batch) or [R,B,T] (each its own).  A symbol outside
 * the vocabulary fails the run with "bad data" (embedding), or takes another's logit (loss): check data once. */
#ifndef TB_MODEL_TOKENS_H
#define TB_MODEL_TOKENS_H

#include <tiebreak/graph.h>

/* table[R,V,d], tokens → rows of the table [R, B·T, d] */
tb_value tb_embed(tb_graph *, tb_value table, tb_value tokens);

/* −ln softmax(logits)[target] of logits[R,B,T,V], each place by itself: [R,B,T] */
tb_value tb_next_token_nats(tb_graph *, tb_value logits, tb_value targets);

/* Cross-entropy in nats a symbol, −Σ m ln softmax(logits)[target] / Σ m, of logits[R,B,T,V] → [R].  mask m ≥ 0 [B,T] or
 * [R,B,T] in the logits' type, NULL: all ones.  A mask of zeros only gives NaN. */
tb_value tb_next_token_loss(tb_graph *, tb_value logits, tb_value targets, const tb_value *mask);

#endif

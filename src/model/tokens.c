/* Embedding and next-token cross-entropy, both by gathering from flat arrays: row r·V + token of all tables, number
 * i·V + target of all logits. */
#include "model/tokens.h"

static tb_value flatten(tb_graph *g, tb_value a) {
  return tb_reshape(g, a, 1, (size_t[]){ tb_elements(g, a) });
}

/* [B,T] → [R,B,T]; what has a replica axis stays. */
static tb_value for_replicas(tb_graph *g, tb_value a, size_t replicas) {
  if (tb_rank(g, a) != 2)
    return a;
  return tb_broadcast(g, a, 3, (size_t[]){ replicas, tb_dim(g, a, 0), tb_dim(g, a, 1) });
}

tb_value tb_embed(tb_graph *g, tb_value table, tb_value tokens) {
  const size_t replicas = tb_dim(g, table, 0), vocabulary = tb_dim(g, table, 1), width = tb_dim(g, table, 2);
  if (tb_rank(g, tokens) == 2)
    return tb_gather(g, table, 1, flatten(g, tokens));
  const size_t shape[] = { replicas, tb_dim(g, tokens, 1), tb_dim(g, tokens, 2) };
  const tb_value first = tb_scale(g, tb_iota(g, TB_INT32, 3, shape, 0), (double)vocabulary); /* row r·V */
  const tb_value rows = tb_reshape(g, table, 2, (size_t[]){ replicas * vocabulary, width });
  const tb_value found = tb_gather(g, rows, 0, flatten(g, tb_add(g, first, tokens)));
  return tb_reshape(g, found, 3, (size_t[]){ replicas, shape[1] * shape[2], width });
}

tb_value tb_next_token_nats(tb_graph *g, tb_value logits, tb_value targets) {
  const size_t replicas = tb_dim(g, logits, 0), vocabulary = tb_dim(g, logits, 3);
  const size_t shape[] = { replicas, tb_dim(g, logits, 1), tb_dim(g, logits, 2) };
  const tb_value target = flatten(g, for_replicas(g, targets, replicas));
  const size_t count[] = { replicas * shape[1] * shape[2] };
  const tb_value at = tb_add(g, tb_scale(g, tb_iota(g, TB_INT32, 1, count, 0), (double)vocabulary), target);
  const tb_value chosen = tb_reshape(g, tb_gather(g, flatten(g, logits), 0, at), 3, shape);
  return tb_subtract(g, tb_reduce(g, TB_LOGSUMEXP, logits, 1u << 3, false), chosen);
}

tb_value tb_next_token_loss(tb_graph *g, tb_value logits, tb_value targets, const tb_value *mask) {
  const tb_value nats = tb_next_token_nats(g, logits, targets); /* [R,B,T] */
  if (!mask)
    return tb_reduce(g, TB_MEAN, nats, 1u << 1 | 1u << 2, false);
  const tb_value weight = for_replicas(g, *mask, tb_dim(g, logits, 0));
  return tb_divide(g, tb_reduce(g, TB_SUM, tb_multiply(g, nats, weight), 1u << 1 | 1u << 2, false),
                   tb_reduce(g, TB_SUM, weight, 1u << 1 | 1u << 2, false));
}

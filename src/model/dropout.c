/* Masks from keyed uniform numbers, a replica at a time. */
#include "model/dropout.h"

#include <tiebreak/random.h>

tb_value tb_drop(tb_graph *g, tb_dropout *d, tb_value x) {
  if (!(d->rate > 0))
    return x;
  const uint32_t use = tb_use("dropout") + d->places++;
  const size_t rank = tb_rank(g, x), replicas = tb_dim(g, x, 0), three = 3;
  size_t dims[TB_MAX_RANK] = { 1 };
  tb_value kept = { -1 };
  for (size_t i = 1; i < rank; i++)
    dims[i] = tb_dim(g, x, i);
  for (size_t r = 0; r < replicas; r++) {
    const tb_value key = tb_reshape(g, tb_slice(g, d->keys, 0, r, 1), 1, &three);
    const tb_value u = tb_uniform(g, key, use, tb_value_dtype(g, x), rank, dims);
    const tb_value one = tb_less_equal(g, tb_scalar(g, tb_value_dtype(g, x), d->rate), u);
    kept = r == 0 ? one : tb_concat(g, 0, 2, (tb_value[]){ kept, one });
  }
  return tb_multiply(g, x, tb_scale(g, kept, 1 / (1 - d->rate)));
}

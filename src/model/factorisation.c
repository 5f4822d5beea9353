/* The product of factorisation.h and its two losses. */
#include "model/factorisation.h"

#include <stdio.h>

#include "model/blocks.h"

typedef struct scaled_shape {
  const tb_factorisation_shape *shape;
  double scale;
} scaled_shape;

static bool list(const void *shape, size_t k, tb_block *block) {
  const scaled_shape *scaled = shape;
  const tb_factorisation_shape *s = scaled->shape;
  if (k >= s->depth)
    return false;
  *block = (tb_block){ .rows = k + 1 == s->depth ? s->rows : s->width,
                       .cols = k == 0 ? s->cols : s->width,
                       .start = TB_START_NORMAL,
                       .spread = scaled->scale };
  snprintf(block->name, sizeof block->name, "W%zu", k + 1);
  return true;
}

size_t tb_factorisation_parameters(const tb_factorisation_shape *shape) {
  return tb_blocks_count(list, &(scaled_shape){ shape, 1 });
}

bool tb_factorisation_block(const tb_factorisation_shape *shape, size_t k, char name[32], size_t *rows, size_t *cols) {
  return tb_block_read(list, &(scaled_shape){ shape, 1 }, k, name, rows, cols);
}

void tb_factorisation_initialise(const tb_factorisation_shape *shape, double scale, tb_key key, double *theta) {
  tb_blocks_start(list, &(scaled_shape){ shape, scale }, key, theta);
}

tb_status tb_factorisation_check(tb_context *context, const tb_factorisation_shape *s) {
  enum { MOST_SIZE = 1 << 20, MOST_DEPTH = 1000, MOST_PARAMETERS = 1 << 28 };
  const size_t sizes[] = { s->rows, s->cols, s->depth, s->width };
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    if (sizes[i] == 0 || sizes[i] > MOST_SIZE)
      return tb_fail(context, TB_USAGE, NULL, "rows, columns, depth and width count from 1",
                     "a factorisation of %zu×%zu, depth %zu, width %zu", s->rows, s->cols, s->depth, s->width);
  if (s->depth > MOST_DEPTH || tb_factorisation_parameters(s) > MOST_PARAMETERS)
    return tb_fail(context, TB_USAGE, "option depth", "take a smaller width or depth",
                   "a factorisation of depth above %d or more than %d parameters", MOST_DEPTH, MOST_PARAMETERS);
  return TB_OK;
}

tb_value tb_factorisation_product(tb_graph *g, const tb_factorisation_shape *s, tb_value theta) {
  const scaled_shape shape = { s, 1 };
  tb_block_walk walk = { .graph = g, .list = list, .shape = &shape, .theta = theta };
  tb_value product = tb_block_take(&walk);
  for (size_t k = 1; k < s->depth; k++)
    product = tb_matmul(g, tb_block_take(&walk), false, product, false);
  return product;
}

static tb_value half_squares(tb_graph *g, tb_value residual, uint32_t axes) {
  return tb_scale(g, tb_reduce(g, TB_SUM, tb_square(g, residual), axes, false), 0.5);
}

tb_value tb_factorisation_loss(tb_graph *g, tb_value product, tb_value matrix) {
  return half_squares(g, tb_subtract(g, product, matrix), 1u << 1 | 1u << 2);
}

tb_value tb_factorisation_observed_loss(tb_graph *g, tb_value product, tb_value entries, tb_value values) {
  const size_t all = tb_dim(g, product, 1) * tb_dim(g, product, 2);
  const tb_value flat = tb_reshape(g, product, 2, (size_t[]){ tb_dim(g, product, 0), all });
  return half_squares(g, tb_subtract(g, tb_gather(g, flat, 1, entries), values), 1u << 1);
}

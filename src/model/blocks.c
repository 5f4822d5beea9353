/* The helpers of blocks.h. */
#include "model/blocks.h"

#include <stdio.h>

#include "model/build.h"

bool tb_block_read(tb_block_list list, const void *shape, size_t k, char name[32], size_t *rows, size_t *cols) {
  tb_block block;
  if (!list(shape, k, &block))
    return false;
  snprintf(name, sizeof block.name, "%s", block.name);
  *rows = block.rows;
  *cols = block.cols;
  return true;
}

size_t tb_blocks_count(tb_block_list list, const void *shape) {
  tb_block block;
  size_t total = 0;
  for (size_t k = 0; total < SIZE_MAX && list(shape, k, &block); k++)
    total = tb_size_sum(total, tb_size_product(block.rows, block.cols));
  return total;
}

void tb_blocks_start(tb_block_list list, const void *shape, tb_key key, double *theta) {
  tb_block block;
  size_t at = 0;
  for (size_t k = 0; list(shape, k, &block); k++) {
    const size_t count = block.rows * block.cols;
    double *entry = theta + at;
    if (block.start == TB_START_NORMAL)
      tb_random_normal(key, at, count, entry);
    else if (block.start == TB_START_UNIFORM)
      tb_random_uniform(key, at, count, entry);
    for (size_t i = 0; i < count; i++)
      switch (block.start) {
      case TB_START_ZERO:
      case TB_START_ONE:
        entry[i] = block.start == TB_START_ONE;
        break;
      case TB_START_NORMAL:
        entry[i] *= block.spread;
        break;
      case TB_START_UNIFORM:
        entry[i] = (2 * entry[i] - 1) * block.spread;
        break;
      }
    at += count;
  }
}

tb_value tb_block_take(tb_block_walk *walk) {
  tb_block block = { .rows = 0 };
  walk->list(walk->shape, walk->next++, &block);
  return tb_block_at(walk->graph, walk->theta, &walk->offset, block.rows, block.cols);
}

tb_value tb_block_affine(tb_block_walk *walk, tb_value x) {
  const tb_value weight = tb_block_take(walk), bias = tb_block_take(walk);
  return tb_add(walk->graph, tb_matmul(walk->graph, x, false, weight, true), bias);
}

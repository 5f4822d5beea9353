/* A parameter vector described by a list of blocks: one description gives the count, the names, the start and the order
 * in which a builder takes its weights. */
#ifndef TB_MODEL_BLOCKS_H
#define TB_MODEL_BLOCKS_H

#include <tiebreak/graph.h>
#include <tiebreak/random.h>

typedef enum tb_start {
  TB_START_ZERO,
  TB_START_ONE,
  TB_START_NORMAL, /* N(0, spread²) */
  TB_START_UNIFORM /* U(−spread, spread) */
} tb_start;

typedef struct tb_block {
  char name[32];
  size_t rows, cols;
  tb_start start;
  double spread;
} tb_block;

/* The k-th block of a shape; false past the last. */
typedef bool (*tb_block_list)(const void *shape, size_t k, tb_block *block);

/* Name and shape of the k-th block; false past the last. */
bool tb_block_read(tb_block_list, const void *shape, size_t k, char name[32], size_t *rows, size_t *cols);
size_t tb_blocks_count(tb_block_list, const void *shape); /* numbers in all blocks; SIZE_MAX when it overflows */
void tb_blocks_start(tb_block_list, const void *shape, tb_key key, double *theta);

/* Takes the blocks off theta[R,p] in order. */
typedef struct tb_block_walk {
  tb_graph *graph;
  tb_block_list list;
  const void *shape;
  tb_value theta;
  size_t offset, next;
} tb_block_walk;

tb_value tb_block_take(tb_block_walk *); /* [R, rows, cols] */
/* x[R,n,in] → x Wᵀ + b [R,n,out], where the next two blocks are W [out,in] and b [1,out]. */
tb_value tb_block_affine(tb_block_walk *, tb_value x);

#endif

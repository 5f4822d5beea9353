/* Random graphs that work on rows: networks, loops forward and backward, draws, tables, sums over rows, in shapes where
 * the row axis is first, last, merged with others or inside a stack of steps.  A graph is a function of its seed. */
#ifndef TESTS_ENGINE_RANDOM_ROWS_H
#define TESTS_ENGINE_RANDOM_ROWS_H

#include <tiebreak/tiebreak.h>

enum { ROWS_INPUTS = 5, ROWS_OUTPUTS = 7 };

typedef struct random_rows {
  tb_graph *graph;
  size_t n_in, n_out;
  tb_value in[ROWS_INPUTS]; /* parameters, rows, a stack of rows by steps, a direction of the parameters, key */
  /* loss, a value by rows, gradients by parameters, rows and the stack, a Hessian product, sums by rows */
  tb_value out[ROWS_OUTPUTS];
} random_rows;

tb_status random_rows_make(tb_context *, uint64_t seed, random_rows *);

#endif

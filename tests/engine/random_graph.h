/* Random well-typed graphs with their derivatives, for comparing executors and testing identities.
 *
 * A graph is a function of its seed.  Values stay of order one by construction (every builder tracks a bound and scales
 * back), so results of two executors can be compared to rounding.  Shapes have sizes 0, 1 and odd ones; all primitives
 * occur. */
#ifndef TESTS_ENGINE_RANDOM_GRAPH_H
#define TESTS_ENGINE_RANDOM_GRAPH_H

#include <stdint.h>

#include <tiebreak/tiebreak.h>

enum { RANDOM_PARAMETERS = 3, RANDOM_RESULTS = 3, RANDOM_INPUTS = 1 + 3 * RANDOM_PARAMETERS + RANDOM_RESULTS };

typedef struct random_graph {
  tb_context *context;
  tb_graph *graph;
  tb_dtype dtype;
  size_t parameters, results;
  tb_value x[RANDOM_PARAMETERS], v[RANDOM_PARAMETERS], w[RANDOM_PARAMETERS]; /* inputs and two tangents of them */
  tb_value y[RANDOM_RESULTS], u[RANDOM_RESULTS];                             /* results and cotangents (inputs) */
  /* derivatives: J v, Jᵀ u, H v, H w with H the Hessian of Σ u·y */
  tb_value y_dot[RANDOM_RESULTS], x_bar[RANDOM_PARAMETERS], hv[RANDOM_PARAMETERS], hw[RANDOM_PARAMETERS];
  /* in the order of the tb_input calls: what tb_program_run takes */
  size_t inputs;
  void *data[RANDOM_INPUTS];
} random_graph;

/* Builds the graph of a seed.  comparable: the same function in float32 and float64, with inputs exact in both and
 * nothing discontinuous, so that rounding cannot flip a branch (use it for float32). */
tb_status random_graph_make(tb_context *, uint64_t seed, tb_dtype, bool comparable, random_graph *);
/* The same, but the first choices are the bytes', four at a time; what comes after them is the seed 0's. */
tb_status random_graph_read(tb_context *, const uint8_t *bytes, size_t count, tb_dtype, random_graph *);
void random_graph_free(random_graph *);

#endif

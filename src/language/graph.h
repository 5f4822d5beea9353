/* Finite machines: nodes, edges that emit a symbol, a probability to end at each node.
 *
 * Automata and counters become one by following their steps from the start.  With a bound a node is a state at a
 * length, and the law is conditioned on ending in time; without, the states reachable must be finite. */
#ifndef TB_LANGUAGE_GRAPH_H
#define TB_LANGUAGE_GRAPH_H

#include "language.h"

enum { TB_GRAPH_WORDS = 16, TB_GRAPH_MOST_NODES = 2000000 };

typedef struct tb_graph_key {
  int64_t at[TB_GRAPH_WORDS];
} tb_graph_key;

typedef struct tb_graph_step {
  size_t symbol; /* n_symbols: the end */
  double probability;
  tb_graph_key next;
} tb_graph_step;

typedef struct tb_graph_source {
  const void *model;
  tb_graph_key start;
  size_t most_steps;
  /* The steps possible at a state; their probabilities sum to 1. */
  tb_status (*steps)(const void *model, const tb_graph_key *, size_t length, size_t *count, tb_graph_step *);
  /* Records a failure of the whole at its place in the file. */
  tb_status (*fail)(const void *model, const tb_graph_key *, const char *hint, const char *message);
} tb_graph_source;

/* Builds the machine of a language, sets l->kind and l->data. */
tb_status tb_graph_build(tb_language *l, const tb_graph_source *);

#endif

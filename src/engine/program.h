/* A program: a pruned private copy of a graph, handed to one of the executors. */
#ifndef TB_ENGINE_PROGRAM_H
#define TB_ENGINE_PROGRAM_H

#include "engine/node.h"

/* An executor makes of program->graph what it likes and keeps it in program->state.  run gets arrays in the order of
 * graph->inputs (never NULL where program->needed) and of program->outputs; sizes are checked by the caller. */
typedef struct tb_executor_record {
  const char *name;
  tb_status (*compile)(tb_program *);
  tb_status (*run)(tb_program *, const void *const *inputs, void *const *outputs);
  tb_status (*print)(const tb_program *, tb_text *);
  void (*free)(tb_program *);  /* frees state; also called when compile failed half-way */
  void (*renew)(tb_program *); /* held inputs have changed; NULL: none are held */
} tb_executor_record;

typedef struct tb_limits {
  uint32_t threads;  /* ≥ 1 */
  size_t tile_rows;  /* 0: as it pays */
  size_t tape_bytes; /* of a pair of loops */
} tb_limits;

struct tb_program {
  tb_context *context;
  const tb_executor_record *executor;
  tb_graph *graph; /* owned: only what the outputs need, and all inputs */
  tb_limits limits;
  size_t held; /* leading inputs that stay as they are between runs */
  size_t n_out;
  uint32_t *outputs; /* [n_out] node indices in graph; may repeat, may be inputs */
  bool *needed;      /* [graph->input_count] */
  tb_cost cost; /* flop and bytes are filled in before compile; compile sets arena_bytes and may refine the others */
  void *state;  /* the executor's */
};

/* held: planned, and what the held inputs alone decide is kept between runs (hold.c). */
extern const tb_executor_record tb_executor_naive, tb_executor_planned, tb_executor_held;

/* A program of nodes of a graph, which is copied. */
tb_status tb_program_of_graph(tb_context *, const tb_executor_record *, const tb_limits *, const tb_graph *,
                              size_t n_out, const uint32_t *outputs, tb_program **);

/* Arithmetic and bytes of all nodes, loops included. */
tb_cost tb_graph_cost(const tb_graph *);

#endif

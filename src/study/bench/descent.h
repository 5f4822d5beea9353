/* Rows that descend: a loss over theta[R,p], fixed keyed data, an update: steps of optim/training.h.  A row
 * is a record; its file says sizes, data and loss. */
#ifndef TB_STUDY_BENCH_DESCENT_H
#define TB_STUDY_BENCH_DESCENT_H

#include <tiebreak/bench.h>
#include <tiebreak/graph.h>

#include "io/npz.h"
#include "optim/training.h"
#include "study/bench/workload.h"

typedef struct tb_descent_input {
  const char *name; /* in the file that peers start from */
  tb_dtype dtype;   /* floats get the row's type */
  size_t rank, dims[4];
  void (*fill)(size_t count, double *values);
  bool counts; /* the last number is the number of steps done: the step word of a key */
} tb_descent_input;

enum { TB_DESCENT_INPUTS = 4 };

typedef struct tb_descent {
  tb_dtype dtype;
  size_t replicas;  /* R */
  tb_update update; /* TB_UPDATE_NONE: the parameters reported are the gradient */
  double lr, decay;
  double lr_factor;           /* of the rate every lr_every steps */
  size_t lr_every;            /* 0: the rate stays */
  double clip_entry;          /* > 0: entries of the gradient are cut to ± this */
  size_t (*parameters)(void); /* p */
  bool (*block)(size_t k, char name[32], size_t *rows, size_t *cols); /* for the file; R = 1 */
  void (*start)(size_t count, double *theta);                         /* count = R p */
  size_t n_inputs;
  tb_descent_input inputs[TB_DESCENT_INPUTS];
  tb_value (*loss)(tb_graph *, tb_value theta, const tb_value *inputs); /* theta[R,p] → [R] */
  /* Further arrays for the file (may be NULL): appends to arrays[*count …], at most 4, memory from the arena. */
  tb_status (*more)(tb_arena *, tb_dtype, size_t *count, tb_array *arrays);
} tb_descent;

tb_status tb_descent_open(tb_context *, const tb_descent *, tb_workload **);
tb_status tb_descent_step(tb_workload *, double *loss);
double tb_descent_flop(const tb_workload *);
const void *tb_descent_parameters(const tb_workload *, size_t *bytes);
tb_status tb_descent_save(tb_workload *, const char *path);
void tb_descent_close(tb_workload *);

/* The workload record `id` of a descent row. */
#define TB_DESCENT_ROW(id, row, text, type_name, default_steps)                                                        \
  static tb_status id##_open(tb_context *context, tb_workload **out) {                                                 \
    return tb_descent_open(context, &(row), out);                                                                      \
  }                                                                                                                    \
  const tb_workload_record tb_workload_##id = { .name = #id,                                                           \
                                                .summary = text,                                                       \
                                                .dtype = type_name,                                                    \
                                                .steps = default_steps,                                                \
                                                .open = id##_open,                                                     \
                                                .step = tb_descent_step,                                               \
                                                .flop = tb_descent_flop,                                               \
                                                .parameters = tb_descent_parameters,                                   \
                                                .save = tb_descent_save,                                               \
                                                .close = tb_descent_close }

#endif

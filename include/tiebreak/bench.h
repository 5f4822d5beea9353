/* tiebreak/bench.h: the standard workloads, one record each, timed a step at a time. */
#ifndef TIEBREAK_BENCH_H
#define TIEBREAK_BENCH_H

#include <tiebreak/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tb_workload tb_workload; /* made ready: data drawn, programs compiled */

typedef struct tb_workload_record {
  const char *name;    /* "mlp32" */
  const char *summary; /* one line: sizes, loss, update */
  const char *dtype;   /* "float32", "float64" */
  size_t steps;        /* default number of timed steps (after one that is not timed) */
  tb_status (*open)(tb_context *, tb_workload **);
  /* One step of the work: forward, backward and update where there is one.  *loss is of the point before the update
   * (NaN where the workload has none). */
  tb_status (*step)(tb_workload *, double *loss);
  double (*flop)(const tb_workload *); /* of one step; NaN where it depends on the path taken */
  /* All parameters as they stand: bytes and their number. */
  const void *(*parameters)(const tb_workload *, size_t *bytes);
  /* Writes initial weights and data to an .npz, so that a peer can start from the same point. */
  tb_status (*save)(tb_workload *, const char *path);
  void (*close)(tb_workload *);
  /* Where steps differ in what they are worth: the word for it ("effective_draws") and the worth of the last step. */
  const char *yields; /* NULL: nothing but time counts */
  double (*yield)(const tb_workload *);
} tb_workload_record;

/* The table, ended by NULL. */
const tb_workload_record *const *tb_workloads(void);

typedef struct tb_bench_result {
  double seconds; /* median of one step */
  double gflops, peak_share;
  double loss_first, loss_last;
  uint64_t parameters_hash; /* FNV-1a 64 of the bytes of all parameters after 100 steps, or after all */
  size_t steps;
  double yield, yield_rate; /* mean of a step, sum over all of them a second of all of them; NaN: none */
} tb_bench_result;

/* Opens, runs one step untimed from the initial point, goes back, times `steps` (0: the record's) and closes.  file
 * (may be NULL): where to save the starting point. */
tb_status tb_bench_run(tb_context *, const tb_workload_record *, size_t steps, const char *file, tb_bench_result *);

#ifdef __cplusplus
}
#endif
#endif

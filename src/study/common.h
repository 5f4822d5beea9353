/* Options that every study on parameters shares, and the schedule of snapshots that `at=` asks for. */
#ifndef TB_STUDY_COMMON_H
#define TB_STUDY_COMMON_H

#include <tiebreak/study.h>

#include "optim/method.h"

/* seed, dtype, at, steps, time, until_loss, until_margin */
extern const tb_option_table tb_common_options;
/* method, lr, fisher, damping, momentum, beta1, beta2, epsilon */
extern const tb_option_table tb_optimiser_options;

/* The method that `method=` names and its settings.  TB_USAGE for names of the contract that this version lacks. */
tb_status tb_method_of_config(tb_context *, const tb_config *, const tb_method **, tb_method_options *);

/* When to look and when to stop. */
typedef struct tb_schedule {
  bool flow;       /* times; else steps */
  double end;      /* last time or step; inf: only until_loss or until_margin stop the run */
  double log_loss; /* of until_loss; −inf: never */
  double margin;   /* until_margin; inf: never */
  size_t count;    /* of `at`; 0: a default spread */
  double *at;      /* ascending, distinct */
} tb_schedule;

/* Reads it from a configuration; at[] is of the arena.  Errors TB_USAGE: a negative or fractional step, a snapshot past
 * the end.  default_end: where a run ends that names no end. */
tb_status tb_schedule_read(tb_context *, tb_arena *, const tb_config *, const tb_method *, double default_end,
                           tb_schedule *);
/* The i-th time or step to look at (0 is the start); inf past the last. */
double tb_schedule_at(const tb_schedule *, size_t i);
/* log of it: a gradient flow's default snapshots go on beyond 1e308. */
double tb_schedule_log_at(const tb_schedule *, size_t i);

#endif

/* One run as the study sees it: tb_run of tiebreak/study.h, made and finished by the scheduler. */
#ifndef TB_RUN_EXECUTE_H
#define TB_RUN_EXECUTE_H

#include <stdatomic.h>

#include "run/trace.h"

/* What the run tells the scheduler; called from the run's thread. */
typedef struct tb_run_hooks {
  void *user;
  void (*progress)(void *user, size_t index, double fraction, const char *what);
  void (*warned)(void *user, size_t index, const char *message);
  tb_status (*stop)(void *user); /* TB_OK: go on */
} tb_run_hooks;

struct tb_run {
  tb_context *context;
  const tb_study *study;
  const tb_config *config;
  const char *name, *folder; /* folder NULL: a question, which keeps nothing */
  size_t index;              /* in the batch */
  tb_trace trace;
  double begun;      /* clock at which this session's work began */
  double earlier;    /* seconds of work before this session */
  double last_saved; /* clock */
  double interval;   /* seconds between checkpoints */
  double save_cost;  /* seconds the last one took */
  const void *state; /* of the checkpoint it starts from, NULL: fresh */
  size_t state_size;
  const tb_run_hooks *hooks;
};

/* Opens the trace, reads the checkpoint in the folder, starts the clock. */
tb_status tb_run_begin(tb_run *);
void tb_run_end(tb_run *);
double tb_run_seconds(const tb_run *);
/* Appends a line with the time to the run's log. */
tb_status tb_run_log(tb_run *, const char *format, ...) TB_PRINTF(2, 3);

/* The request to stop made by tb_request_stop; TB_OK: none. */
tb_status tb_stop_requested(void);

#endif

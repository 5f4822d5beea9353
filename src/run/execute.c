/* The run a study sees: snapshots, warnings, progress, checkpoints and the wish to stop.
 *
 * A checkpoint is due by time alone, but a study asks only at points that do not depend on time, so that a resumed run
 * goes through the same arithmetic.  Saving takes at most a twentieth of the time. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "run/execute.h"

static _Atomic int stop_request; /* set by signal handlers: the one thing shared by all runs of the process */

void tb_request_stop(tb_status why) {
  int none = TB_OK;
  atomic_compare_exchange_strong(&stop_request, &none, (int)why);
}

void tb_clear_stop(void) {
  atomic_store(&stop_request, TB_OK);
}

tb_status tb_stop_requested(void) {
  return (tb_status)atomic_load(&stop_request);
}

/* ---- for the scheduler ---- */

static const char *path_in(tb_run *run, const char *name) {
  return tb_arena_format(run->trace.arena, "%s/%s", run->folder, name);
}

tb_status tb_run_begin(tb_run *run) {
  tb_status status = tb_trace_new(run->context, &run->trace);
  if (!status) {
    const char *path = path_in(run, "checkpoint");
    status = path ? tb_checkpoint_read(run->context, path, &run->trace, &run->state, &run->state_size) : TB_NO_MEMORY;
  }
  run->earlier = run->trace.seconds;
  run->begun = run->last_saved = tb_clock_seconds();
  return status;
}

void tb_run_end(tb_run *run) {
  tb_trace_free(&run->trace);
}

double tb_run_seconds(const tb_run *run) {
  return run->earlier + tb_clock_seconds() - run->begun;
}

tb_status tb_run_log(tb_run *run, const char *format, ...) {
  if (!run->folder)
    return TB_OK;
  char message[1024], now[40], line[1100];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  tb_clock_utc(now, sizeof now);
  snprintf(line, sizeof line, "%s %s\n", now, message);
  const char *path = path_in(run, "log.txt");
  return path ? tb_file_append(run->context, path, line) : TB_NO_MEMORY;
}

/* ---- for the study ---- */

tb_context *tb_run_context(tb_run *run) {
  return run->context;
}

const tb_config *tb_run_config(const tb_run *run) {
  return run->config;
}

tb_status tb_run_snapshot(tb_run *run, const tb_metrics *metrics) {
  return tb_trace_snapshot(&run->trace, metrics);
}

tb_metrics *tb_run_metrics(tb_run *run) {
  return run->trace.metrics;
}

/* kept: what stands in `warnings`. */
static tb_status warn(tb_run *run, const char *kept, const char *message) {
  bool added;
  tb_status status = tb_trace_warn(&run->trace, kept, &added);
  if (status || !added)
    return status;
  if (run->hooks && run->hooks->warned)
    run->hooks->warned(run->hooks->user, run->index, message);
  return tb_run_log(run, "warning: %s", message);
}

tb_status tb_run_warn(tb_run *run, const char *format, ...) {
  char message[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  return warn(run, message, message);
}

tb_status tb_run_caution(tb_run *run, const char *word, const char *format, ...) {
  char message[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  return warn(run, word, message);
}

void tb_run_progress(tb_run *run, double fraction, const char *what) {
  if (run->hooks && run->hooks->progress)
    run->hooks->progress(run->hooks->user, run->index, fraction, what);
}

bool tb_run_should_stop(const tb_run *run) {
  return run->hooks && run->hooks->stop && run->hooks->stop(run->hooks->user) != TB_OK;
}

tb_status tb_run_stop_status(tb_run *run) {
  tb_status why = run->hooks && run->hooks->stop ? run->hooks->stop(run->hooks->user) : TB_OK;
  return tb_fail(run->context, why ? why : TB_STOPPED, "", NULL, "stopped after %.3g seconds of work",
                 tb_run_seconds(run));
}

bool tb_run_checkpoint_due(const tb_run *run) {
  return run->folder && tb_clock_seconds() - run->last_saved >= fmax(run->interval, 20 * run->save_cost);
}

tb_status tb_run_checkpoint_save(tb_run *run, const void *data, size_t size) {
  double before = tb_clock_seconds();
  run->trace.seconds = tb_run_seconds(run);
  const char *path = path_in(run, "checkpoint");
  tb_status status = path ? tb_checkpoint_write(run->context, path, &run->trace, data, size) : TB_NO_MEMORY;
  run->last_saved = tb_clock_seconds();
  run->save_cost = run->last_saved - before;
  return status;
}

tb_status tb_run_checkpoint_load(tb_run *run, const void **data, size_t *size) {
  *data = run->state;
  *size = run->state_size;
  return TB_OK;
}

tb_status tb_run_file(tb_run *run, const char *key, const char *name, const char **path) {
  *path = path_in(run, name);
  return *path ? tb_trace_file(&run->trace, key, name) : TB_NO_MEMORY;
}

/* Spreading the runs of a batch over threads.
 *
 * Runs are taken from the list in its order, each by one thread with a context of its own; a single run has all threads
 * for itself.  Results are handed out in the order of the list, whatever order they finish in.  A request to stop (a
 * signal, the time limit) is passed to the runs that ask, and no more are begun. */
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tiebreak/machine.h>

#include "run/folder.h"
#include "run/schedule.h"

typedef struct job {
  bool begun, done;
  tb_status status;
  tb_context *context; /* of a finished run, until it is handed out; holds the failure and the line */
  tb_text line;
  double weight;           /* share of the work */
  _Atomic double fraction; /* done of it */
} job;

typedef struct scheduler {
  tb_batch *batch;
  const tb_run_options *options;
  int threads, digits;
  double begun, deadline, last_progress;
  pthread_mutex_t mutex; /* everything below, and all callbacks */
  job *jobs;
  size_t next; /* to be handed out */
  size_t finished;
  atomic_size_t claimed; /* runs taken by threads */
  tb_context *first_failure;
  size_t first_failed;
  tb_run_hooks hooks;
} scheduler;

/* ---- progress ---- */

static void report_progress(scheduler *s, const char *what) {
  double all = 0, done = 0;
  for (size_t i = 0; i < s->batch->n_runs; i++) {
    double fraction = atomic_load_explicit(&s->jobs[i].fraction, memory_order_relaxed);
    all += s->jobs[i].weight;
    done += s->jobs[i].weight * (isnan(fraction) ? 0 : fraction);
  }
  double fraction = all > 0 ? done / all : NAN, elapsed = tb_clock_seconds() - s->begun;
  double left = fraction > 0 && elapsed > 0.2 ? elapsed * (1 - fraction) / fraction : NAN;
  s->last_progress = tb_clock_seconds();
  s->options->progress(s->options->user, s->finished, s->batch->n_runs, fraction, left, what);
}

static void on_progress(void *user, size_t index, double fraction, const char *what) {
  scheduler *s = user;
  atomic_store_explicit(&s->jobs[index].fraction, fraction, memory_order_relaxed);
  if (!s->options->progress || pthread_mutex_trylock(&s->mutex) != 0)
    return;
  if (tb_clock_seconds() - s->last_progress > 0.1)
    report_progress(s, what);
  pthread_mutex_unlock(&s->mutex);
}

static void on_warned(void *user, size_t index, const char *message) {
  scheduler *s = user;
  pthread_mutex_lock(&s->mutex);
  if (s->options->warned)
    s->options->warned(s->options->user, index, message);
  pthread_mutex_unlock(&s->mutex);
}

static void on_started(void *user, size_t index, const char *name) {
  scheduler *s = user;
  pthread_mutex_lock(&s->mutex);
  if (s->options->started)
    s->options->started(s->options->user, index, name);
  pthread_mutex_unlock(&s->mutex);
}

static tb_status on_stop(void *user) {
  const scheduler *s = user;
  tb_status asked = tb_stop_requested();
  return asked ? asked : s->deadline > 0 && tb_clock_seconds() >= s->deadline ? TB_STOPPED : TB_OK;
}

/* ---- handing out ---- */

static bool is_stop(tb_status status) {
  return status == TB_STOPPED || status == TB_INTERRUPTED;
}

static void hand_out(scheduler *s, size_t index) {
  const tb_run_options *options = s->options;
  job *j = &s->jobs[index];
  if (j->status && !is_stop(j->status) && options->failed)
    options->failed(options->user, index, j->context);
  if (options->finished)
    options->finished(options->user, index, j->status, j->status ? NULL : j->line.data);
  if (j->status && !is_stop(j->status) && !s->first_failure) {
    s->first_failure = j->context;
    s->first_failed = index;
    j->context = NULL;
  }
  tb_text_free(&j->line);
  tb_context_free(j->context);
  j->context = NULL;
}

static void finish(scheduler *s, size_t index, tb_context *context, tb_text line, tb_status status) {
  pthread_mutex_lock(&s->mutex);
  job *j = &s->jobs[index];
  j->status = status;
  j->context = context;
  j->line = line;
  j->done = true;
  atomic_store(&j->fraction, 1.0);
  s->finished += !status;
  while (s->next < s->batch->n_runs && s->jobs[s->next].done)
    hand_out(s, s->next++);
  if (s->options->progress)
    report_progress(s, "");
  pthread_mutex_unlock(&s->mutex);
}

/* ---- working ---- */

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static void run_job(scheduler *s, size_t index) {
  char folder[4200], name[600];
  const tb_batch *batch = s->batch;
  tb_context *context = tb_context_new(NULL, NULL);
  if (!context)
    return; /* stays undone: told at the end */
  tb_text line = tb_text_new(context);
  if (batch->n_runs > 1) {
    snprintf(folder, sizeof folder, "%s/%0*zu", batch->folder, s->digits, index);
    snprintf(name, sizeof name, "%s/%0*zu", base_name(batch->folder), s->digits, index);
  } else {
    snprintf(folder, sizeof folder, "%s", batch->folder);
    snprintf(name, sizeof name, "%s", batch->run_name ? batch->run_name : base_name(batch->folder));
  }
  tb_member member = { .batch = batch,
                       .index = index,
                       .folder = folder,
                       .name = name,
                       .threads = s->threads,
                       .checkpoint_seconds = s->options->checkpoint_seconds,
                       .hooks = &s->hooks,
                       .started = on_started,
                       .user = s };
  s->jobs[index].begun = true;
  tb_status status = tb_member_run(context, &member, &line);
  finish(s, index, context, line, status);
}

static void work(scheduler *s) {
  for (;;) {
    size_t index = atomic_fetch_add(&s->claimed, 1);
    if (index >= s->batch->n_runs || on_stop(s))
      return;
    run_job(s, index);
  }
}

static void work_in_parallel(scheduler *s) {
  size_t runs = s->batch->n_runs;
  int before = omp_get_max_threads();
  if (runs == 1) {
    omp_set_num_threads(s->threads);
    work(s);
    omp_set_num_threads(before);
    return;
  }
  int team = (size_t)s->threads < runs ? s->threads : (int)runs;
#pragma omp parallel num_threads(team)
  {
    omp_set_num_threads(1); /* nothing nests inside a run */
    work(s);
  }
}

/* ---- a batch's folder ---- */

/* The files that the folder of that name begins with; texts are in the arena. */
static tb_status first_files(tb_context *context, tb_batch *batch, const char *name, int threads, size_t *count,
                             tb_folder_file files[3]) {
  char started[40];
  if (batch->n_runs == 1) {
    const tb_config *config = tb_batch_config(batch, 0);
    if (!config)
      return TB_NO_MEMORY;
    tb_manifest manifest = tb_member_manifest(batch, 0, name, config, threads, started);
    *count = 3;
    return tb_member_files(context, batch->arena, batch, &manifest, files);
  }
  tb_text described = tb_text_new(context);
  tb_status status = tb_batch_manifest_text(context, batch, &described);
  const char *kept = status ? NULL : tb_arena_text(batch->arena, described.data);
  tb_text_free(&described);
  if (!kept)
    return TB_NO_MEMORY;
  *count = 2;
  files[0] = (tb_folder_file){ .name = "study.yaml", .data = batch->source, .size = strlen(batch->source) };
  files[1] = (tb_folder_file){ .name = "batch.json", .data = kept, .size = strlen(kept) };
  return TB_OK;
}

static tb_status make_folder(tb_context *context, tb_batch *batch, const tb_run_options *options, int threads) {
  const char *root = options->folder ? options->folder : "runs", *path;
  bool taken = true;
  tb_folder_file files[3];
  size_t n_files;
  tb_folder_sweep(root);
  for (unsigned long count = tb_folder_next(root, batch->name); taken; count++) {
    const char *name = options->name ? options->name : tb_arena_format(batch->arena, "%s-%lu", batch->name, count);
    tb_status status = name ? first_files(context, batch, name, threads, &n_files, files) : TB_NO_MEMORY;
    if (!status)
      status = tb_folder_make(context, batch->arena, root, name, n_files, files, &path, &taken);
    if (!status && taken && options->name)
      status = tb_fail(context, TB_USAGE, path, "choose another name, or take it up with `tiebreak resume`",
                       "there is a run of the name '%s' already", name);
    if (status)
      return status;
  }
  batch->folder = path;
  return TB_OK;
}

/* Shares of the work from the studies' estimates where all give one, else equal. */
static void weigh(scheduler *s) {
  tb_batch *batch = s->batch;
  tb_estimate *each = batch->n_runs <= 5000 ? tb_allocate(batch->context, batch->n_runs + 1, sizeof *each) : NULL;
  bool known = each && tb_batch_estimate_each(batch, each, NULL) == TB_OK;
  for (size_t i = 0; i < batch->n_runs && known; i++)
    known = each[i].flop > 0;
  for (size_t i = 0; i < batch->n_runs; i++)
    s->jobs[i].weight = known ? each[i].flop : 1;
  tb_release(batch->context, each);
  tb_context_clear(batch->context);
}

/* ---- the end ---- */

static tb_status conclude(tb_context *context, scheduler *s) {
  const tb_batch *batch = s->batch;
  char hint[600];
  size_t undone = 0;
  tb_status stopped = on_stop(s), status = TB_OK;
  bool cut_off = false;
  for (size_t i = 0; i < batch->n_runs; i++) {
    undone += !s->jobs[i].done;
    cut_off |= !s->jobs[i].done || is_stop(s->jobs[i].status);
  }
  if (stopped && cut_off) {
    snprintf(hint, sizeof hint, "`tiebreak resume %s` continues", base_name(batch->folder));
    status = tb_fail(context, stopped, "", hint, "%s: %zu of %zu runs finished", tb_status_name(stopped), s->finished,
                     batch->n_runs);
  } else if (s->first_failure) {
    const tb_context *why = s->first_failure;
    status = tb_fail(context, tb_context_status(why), tb_context_place(why), tb_context_hint(why), "%s",
                     tb_context_message(why));
    if (*tb_context_excerpt(why))
      tb_fail_excerpt(context, tb_context_excerpt(why), 0);
  } else if (undone) {
    status = tb_fail(context, TB_NO_MEMORY, "", NULL, "out of memory: %zu runs were not begun", undone);
  }
  return status;
}

tb_status tb_batch_run(tb_context *context, tb_batch *batch, const tb_run_options *options) {
  static const tb_run_options defaults = { .folder = "runs" };
  scheduler s = { .batch = batch, .options = options ? options : &defaults, .mutex = PTHREAD_MUTEX_INITIALIZER };
  int handle = -1;
  s.threads = s.options->threads > 0 ? s.options->threads : tb_machine_cores();
  if (!batch->folder) {
    tb_status status = make_folder(context, batch, s.options, s.threads);
    if (status)
      return status;
  }
  if (batch->n_runs > 1) {
    tb_status status = tb_folder_hold(context, batch->folder, &handle);
    if (status)
      return status;
    tb_folder_sweep(batch->folder);
  }
  tb_status status = TB_NO_MEMORY;
  s.digits = tb_batch_digits(batch);
  s.jobs = tb_allocate(context, batch->n_runs, sizeof *s.jobs);
  if (!s.jobs)
    goto done;
  s.hooks = (tb_run_hooks){ .user = &s, .progress = on_progress, .warned = on_warned, .stop = on_stop };
  weigh(&s);
  s.begun = s.last_progress = tb_clock_seconds();
  s.deadline = s.options->time_limit > 0 ? s.begun + s.options->time_limit : 0;
  work_in_parallel(&s);
  while (s.next < batch->n_runs) { /* what waited behind a run that was never begun */
    if (s.jobs[s.next].done)
      hand_out(&s, s.next);
    s.next++;
  }
  status = conclude(context, &s);
done:
  tb_context_free(s.first_failure);
  tb_release(context, s.jobs);
  pthread_mutex_destroy(&s.mutex);
  if (handle >= 0)
    close(handle);
  return status;
}

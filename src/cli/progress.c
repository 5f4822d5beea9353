/* Running a batch for a person: progress with ETA, warnings, failures, signals.
 *
 * On a terminal one line is redrawn; in a log there are plain lines, one a run and one every ten seconds.  The first
 * SIGINT or SIGTERM asks the runs to stop with checkpoints, a second one ends the program at once. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

enum { MOST_FAILURES = 20, MOST_WARNINGS = 10 };

typedef struct session {
  cli *cli;
  tb_batch *batch;
  bool terminal; /* stderr is one, and talk is wanted */
  bool drawn;    /* a progress line stands on it */
  double last_line;
  size_t runs;
  size_t failures, warnings;
} session;

/* ---- signals ---- */

static void on_signal(int number) {
  tb_request_stop(number == SIGINT ? TB_INTERRUPTED : TB_STOPPED);
}

static void listen(bool on, struct sigaction before[2]) {
  struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)(SA_RESETHAND | SA_RESTART) };
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, on ? &action : &before[0], on ? &before[0] : NULL);
  sigaction(SIGTERM, on ? &action : &before[1], on ? &before[1] : NULL);
}

/* ---- the line ---- */

static void erase(session *s) {
  if (s->drawn)
    fputs("\r\033[K", stderr);
  s->drawn = false;
}

static void draw(session *s, const char *text) {
  int width = (int)terminal_width(stderr) - 1;
  const char *end = text;
  if (width < 20)
    width = 79;
  for (int shown = 0; *end && shown < width; shown++) /* by character, not byte */
    for (end++; ((unsigned char)*end & 0xc0) == 0x80; end++)
      ;
  fprintf(stderr, "\r%.*s\033[K", (int)(end - text), text);
  fflush(stderr);
  s->drawn = true;
}

static void on_progress(void *user, size_t finished, size_t runs, double fraction, double left, const char *what) {
  session *s = user;
  char text[300], time[40];
  double now = tb_clock_seconds();
  if (!s->terminal && (s->cli->quiet || now - s->last_line < 10))
    return;
  s->last_line = now;
  snprintf(text, sizeof text, "%s%3.0f %%  %zu of %zu run%s%s%s%s%s",
           s->terminal ? "" : "tiebreak: ", isnan(fraction) ? 0 : 100 * fraction, finished, runs, runs == 1 ? "" : "s",
           isnan(left) ? "" : "  ", isnan(left) ? "" : readable_seconds(left, time), isnan(left) ? "" : " left", "");
  if (*what)
    snprintf(text + strlen(text), sizeof text - strlen(text), "  %s", what);
  if (s->terminal)
    draw(s, text);
  else
    fprintf(stderr, "%s\n", text);
}

/* ---- what happens ---- */

static void on_started(void *user, size_t run, const char *name) {
  session *s = user;
  if (!s->terminal && !s->cli->quiet && s->runs <= 100)
    fprintf(stderr, "tiebreak: %s started\n", name);
}

static const char *name_of(session *s, size_t run) {
  const char *folder = tb_batch_run_folder(s->batch, run), *slash = folder ? strrchr(folder, '/') : NULL;
  if (s->runs == 1)
    return slash ? slash + 1 : folder ? folder : "";
  while (slash && slash > folder && slash[-1] != '/')
    slash--; /* batch/0007 */
  return slash ? slash : "";
}

static void on_warned(void *user, size_t run, const char *message) {
  session *s = user;
  if (++s->warnings > MOST_WARNINGS)
    return;
  erase(s);
  message_warning(s->cli, "%s: %s", name_of(s, run), message);
}

static void on_failed(void *user, size_t run, const tb_context *why) {
  session *s = user;
  erase(s);
  s->failures++;
  if (s->failures > MOST_FAILURES)
    return;
  if (s->runs > 1)
    fprintf(stderr, "tiebreak: run %s failed\n", name_of(s, run));
  message_failure(s->cli, why);
  s->cli->failed_aloud = true;
}

static void on_finished(void *user, size_t run, tb_status status, const char *record) {
  session *s = user;
  erase(s);
  if (record && s->cli->json) {
    fputs(record, stdout);
    fflush(stdout);
  }
  if (!status && !s->terminal && !s->cli->quiet && s->runs <= 100)
    fprintf(stderr, "tiebreak: %s finished\n", name_of(s, run));
}

tb_status run_batch(cli *c, tb_batch *batch) {
  for (size_t i = 0; i < tb_batch_skips(batch); i++)
    message_warning(c, "%s", tb_batch_skip(batch, i));
  session s = { .cli = c,
                .batch = batch,
                .terminal = !c->quiet && isatty(STDERR_FILENO),
                .last_line = tb_clock_seconds(),
                .runs = tb_batch_runs(batch) };
  tb_run_options options = { .folder = cli_runs_folder(c),
                             .name = c->name,
                             .threads = (int)c->threads,
                             .time_limit = c->time_limit,
                             .checkpoint_seconds = c->checkpoint_every,
                             .user = &s,
                             .started = on_started,
                             .progress = on_progress,
                             .warned = on_warned,
                             .failed = on_failed,
                             .finished = on_finished };
  struct sigaction before[2];
  c->failed_aloud = false;
  listen(true, before);
  tb_status status = tb_batch_run(c->context, batch, &options);
  listen(false, before);
  erase(&s);
  if (s.failures > MOST_FAILURES)
    message_note(c, "%zu more runs failed", s.failures - MOST_FAILURES);
  if (s.warnings > MOST_WARNINGS)
    message_note(c, "%zu more warnings, in the logs of the runs", s.warnings - MOST_WARNINGS);
  if (status == TB_INTERRUPTED || status == TB_STOPPED)
    c->failed_aloud = false; /* that it stopped is not said yet */
  return status;
}

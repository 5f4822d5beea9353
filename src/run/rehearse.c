/* The child runs the member as ever, with hooks that note the time of progress in memory shared with the parent and
 * that ask to stop when the budget is spent; the parent reads the notes and the child's peak of memory.
 *
 * Work is taken to be even between the first and the last sign of progress. */
#include <ftw.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "run/rehearse.h"
#include <tiebreak/machine.h>

#include "run/folder.h"
#include "run/schedule.h"

typedef struct moment {
  double seconds, fraction;
} moment;

typedef struct notes { /* shared */
  double budget, clock, mapped;
  size_t signs;
  moment first, last; /* of progress */
  moment end;         /* fraction 1: the run finished */
} notes;

static double spent(const notes *n) {
  return tb_clock_seconds() - n->clock;
}

static void on_progress(void *user, size_t index, double fraction, const char *what) {
  notes *n = user;
  n->last = (moment){ spent(n), fraction };
  if (n->signs++ == 0)
    n->first = n->last;
}

static tb_status on_stop(void *user) {
  const notes *n = user;
  return tb_clock_seconds() - n->clock > n->budget ? TB_STOPPED : TB_OK;
}

/* In the child: never returns. */
static void perform(const tb_batch *batch, size_t run, const char *folder, notes *n) {
  if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
    _exit(1);
  tb_context *context = tb_context_new(NULL, NULL);
  const tb_run_hooks hooks = { .user = n, .progress = on_progress, .stop = on_stop };
  const tb_member member = {
    .batch = batch, .index = run, .folder = folder, .name = "rehearsal", .threads = 1, .hooks = &hooks
  };
  tb_text line = tb_text_new(context);
  n->clock = tb_clock_seconds();
  const tb_status status = tb_member_run(context, &member, &line);
  n->end = (moment){ spent(n), status == TB_OK };
  n->mapped = tb_machine_mapped();
  _exit(0);
}

/* Waits for the child; one that does not stop by itself is stopped. */
static double wait_for(pid_t child, double budget) {
  struct rusage usage = { 0 };
  const struct timespec nap = { 0, 2000000 };
  const double patience = tb_clock_seconds() + 3 * budget + 2;
  while (wait4(child, NULL, WNOHANG, &usage) == 0) {
    if (tb_clock_seconds() > patience)
      kill(child, SIGKILL);
    nanosleep(&nap, NULL);
  }
  return 1024.0 * (double)usage.ru_maxrss;
}

static double whole(const notes *n) {
  if (n->end.fraction == 1)
    return n->end.seconds;
  const double done = n->last.fraction - n->first.fraction;
  if (n->signs < 2 || !(done > 0))
    return NAN;
  return n->first.seconds + (1 - n->first.fraction) * (n->last.seconds - n->first.seconds) / done;
}

static int discard(const char *path, const struct stat *about, int kind, struct FTW *level) {
  return remove(path);
}

tb_status tb_rehearse(tb_batch *batch, size_t run, double budget, tb_rehearsal *out) {
  *out = (tb_rehearsal){ NAN, NAN };
  const char *scratch = getenv("TMPDIR");
  char folder[PATH_MAX], member[PATH_MAX + 16];
  snprintf(folder, sizeof folder, "%s/tiebreak-XXXXXX", scratch && *scratch ? scratch : "/tmp");
  notes *n = mmap(NULL, sizeof *n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (n == MAP_FAILED)
    return tb_fail(batch->context, TB_NO_MEMORY, "", NULL, "out of memory");
  if (!mkdtemp(folder)) { /* nowhere to write: no rehearsal */
    munmap(n, sizeof *n);
    return TB_OK;
  }
  snprintf(member, sizeof member, "%s/run", folder);
  n->budget = budget;
  fflush(stdout);
  fflush(stderr);
  const pid_t child = fork();
  if (child == 0)
    perform(batch, run, member, n);
  if (child > 0) {
    const double peak = wait_for(child, budget);
    *out = (tb_rehearsal){ whole(n), fmax(0, peak - n->mapped) };
  }
  nftw(folder, discard, 16, FTW_DEPTH | FTW_PHYS);
  munmap(n, sizeof *n);
  return TB_OK;
}

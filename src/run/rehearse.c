/* Each run has a child process, which goes on only while it is its turn: it is stopped by signal when its slice is
 * spent.  First every run has a short slice; then always the one has a longer slice whose end is the least certain,
 * counted as often as it stands for others, until all of them together are certain enough or the budget is spent. Short
 * runs come to their end; of the others progress tells.
 *
 * Time is a child's own: the clock's, less what it stood still or waited for a processor.  So what else this machine
 * does counts for nothing.  The rest of a run is taken to go on as the latter half of what it has done. */
#include <ftw.h>
#include <limits.h>
#include <math.h>
#include <omp.h>
#include <signal.h>
#include <stdint.h>
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

enum { SIGNS = 64, ALIVE = 128 };

static const double first_slice = 0.1; /* seconds */
static const double shortest = 5e-4;   /* seconds from sign to sign */
static const double waiting = 0.25;    /* what a second of waiting takes of the budget */
static const double unseen = 0.15;     /* what may be wrong of the part of a run that nobody has seen */
static const double certain = 0.04;    /* of the whole: what may be wrong */

typedef struct moment {
  double seconds, fraction;
} moment;

typedef struct notes { /* shared; signs of progress, every stride-th of them */
  size_t count, stride, seen;
  moment signs[SIGNS], last;
  double begun, still;        /* the clock as it began; seconds that it was made to stand still since */
  double looked;              /* the clock at the last sign */
  double end;                 /* of a finished run: own seconds; else 0 */
  double program, peak, kept; /* bytes: of program and libraries, at its peak, of its record */
  int failed;
} notes;

typedef struct rehearsed {
  pid_t child; /* 0: not begun, or gone */
  bool done;
  double spent, guess, doubt; /* own seconds: so far, of the whole, what the guess changed by */
  double charged;             /* of the budget */
  double halted;              /* the clock when it was */
} rehearsed;

/* ---- in the child ---- */

/* Seconds that the first thread of a process was ready to run and had no processor; 0 where the system does not say. */
static double waited(pid_t process) {
  char path[64];
  long long delay = 0;
  snprintf(path, sizeof path, "/proc/%d/schedstat", (int)process);
  FILE *file = fopen(path, "r");
  if (file) {
    if (fscanf(file, "%*d %lld", &delay) != 1)
      delay = 0;
    fclose(file);
  }
  return 1e-9 * (double)delay;
}

static double own_seconds(const notes *n, pid_t process) {
  return tb_clock_seconds() - n->begun - n->still - waited(process);
}

/* A full list keeps every other sign. */
static void on_progress(void *user, size_t index, double fraction, const char *what) {
  notes *n = user;
  const double now = tb_clock_seconds();
  if (now < n->looked + shortest)
    return;
  n->looked = now;
  n->last = (moment){ own_seconds(n, getpid()), fraction };
  if (n->seen++ % n->stride)
    return;
  if (n->count == SIGNS) {
    n->count = SIGNS / 2;
    n->stride *= 2;
    for (size_t i = 0; i < SIGNS / 2; i++)
      n->signs[i] = n->signs[2 * i];
  }
  n->signs[n->count++] = n->last;
}

static double peak_bytes(void) {
  struct rusage usage;
  return getrusage(RUSAGE_SELF, &usage) == 0 ? 1024.0 * (double)usage.ru_maxrss : 0;
}

/* Counts the bytes that are allocated, with what the C library adds to a block. */
static void *counting(void *user, void *block, size_t old_size, size_t new_size) {
  enum { ADDED = 16 };
  double *bytes = user;
  *bytes += (new_size ? (double)(new_size + ADDED) : 0) - (block ? (double)(old_size + ADDED) : 0);
  if (new_size)
    return realloc(block, new_size);
  free(block);
  return NULL;
}

/* What is done at the end with the records of all runs. */
static void read_back(const char *folder, notes *n) {
  double bytes = 0;
  size_t count;
  tb_verdict *verdicts;
  tb_record *record;
  tb_context *context = tb_context_new(counting, &bytes);
  tb_arena *arena = context ? tb_arena_new(context) : NULL;
  if (arena && tb_record_open(context, folder, &record) == TB_OK &&
      tb_claims_judge(context, arena, 1, &record, &count, &verdicts) == TB_OK)
    n->kept = bytes;
}

/* A forked process finds its program's pages again as it reads them.  It reads those that its parent has, so that it
 * has as many as the parent would have had.  To a sanitizer the gaps between variables are not to be read. */
__attribute__((no_sanitize("address"))) static void fetch_program(pid_t parent) {
  char line[PATH_MAX + 100], path[64];
  unsigned long long first, end, inode;
  char access[8];
  snprintf(path, sizeof path, "/proc/%d/pagemap", (int)parent);
  FILE *maps = fopen("/proc/self/maps", "r"), *pages = fopen(path, "rb");
  const unsigned long long size = (unsigned long long)sysconf(_SC_PAGESIZE);
  while (maps && pages && fgets(line, sizeof line, maps)) {
    if (sscanf(line, "%llx-%llx %7s %*x %*s %llu", &first, &end, access, &inode) != 4 || inode == 0 ||
        access[0] != 'r' || fseeko(pages, (off_t)(first / size * sizeof(uint64_t)), SEEK_SET) != 0)
      continue;
    uint64_t entry;
    for (; first < end && fread(&entry, sizeof entry, 1, pages) == 1; first += size)
      if (entry >> 63)
        (void)*(const volatile char *)(uintptr_t)first;
  }
  if (maps)
    fclose(maps);
  if (pages)
    fclose(pages);
}

/* Never returns. */
static void perform(const tb_batch *batch, size_t run, const char *folder, int threads, notes *n) {
  if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
    _exit(1);
  fetch_program(getppid());
  omp_set_num_threads(threads);
  tb_context *context = tb_context_new(NULL, NULL);
  const tb_run_hooks hooks = { .user = n, .progress = on_progress };
  const tb_member member = {
    .batch = batch, .index = run, .folder = folder, .name = "rehearsal", .threads = threads, .hooks = &hooks
  };
  tb_text line = tb_text_new(context);
  const tb_status status = tb_member_run(context, &member, &line);
  n->failed = status != TB_OK;
  if (!n->failed)
    read_back(folder, n);
  n->program = tb_machine_mapped();
  n->peak = peak_bytes();
  n->end = own_seconds(n, getpid());
  _exit(0);
}

/* ---- what a run will take ---- */

static double guess_whole(const notes *n, double spent) {
  if (n->end > 0)
    return n->failed ? NAN : n->end;
  if (n->count < 2 || !(n->last.fraction > n->signs[0].fraction))
    return NAN;
  const double half = 0.5 * (n->signs[0].seconds + n->last.seconds);
  size_t i = n->count;
  while (i > 1 && (n->signs[i - 1].seconds > half || !(n->last.fraction > n->signs[i - 1].fraction)))
    i--;
  const moment from = n->signs[i - 1];
  const double whole =
      n->last.seconds + (1 - n->last.fraction) * (n->last.seconds - from.seconds) / (n->last.fraction - from.fraction);
  return fmax(spent, whole);
}

/* Bytes by the kernel's count while the child stands still. */
static void look_at_memory(pid_t child, notes *n) {
  char path[64], line[200];
  double kilobytes, file = 0, shared = 0, peak = 0;
  snprintf(path, sizeof path, "/proc/%d/status", (int)child);
  FILE *status = fopen(path, "r");
  while (status && fgets(line, sizeof line, status)) {
    if (sscanf(line, "VmHWM: %lf", &kilobytes) == 1)
      peak = kilobytes;
    else if (sscanf(line, "RssFile: %lf", &kilobytes) == 1)
      file = kilobytes;
    else if (sscanf(line, "RssShmem: %lf", &kilobytes) == 1)
      shared = kilobytes;
  }
  if (status)
    fclose(status);
  n->program = 1024 * (file + shared);
  n->peak = 1024 * peak;
}

/* ---- taking turns ---- */

typedef struct stage {
  tb_batch *batch;
  const size_t *runs;
  const double *times;
  int threads;
  size_t count;
  rehearsed *all;
  notes *notes;
  char folder[PATH_MAX];
} stage;

static void retire(stage *s, size_t i, bool killed) {
  if (killed) {
    kill(s->all[i].child, SIGKILL);
    waitpid(s->all[i].child, NULL, 0);
  }
  s->all[i].child = 0;
  s->all[i].done = true;
}

static bool begin_or_continue(stage *s, size_t i) {
  rehearsed *r = &s->all[i];
  if (r->child)
    return kill(r->child, SIGCONT) == 0;
  char member[PATH_MAX + 32];
  snprintf(member, sizeof member, "%s/%zu", s->folder, i);
  s->notes[i].stride = 1;
  s->notes[i].begun = tb_clock_seconds();
  fflush(stdout);
  fflush(stderr);
  r->child = fork();
  if (r->child == 0)
    perform(s->batch, s->runs[i], member, s->threads, &s->notes[i]);
  return r->child > 0;
}

static double processor_seconds(pid_t child) {
  clockid_t clock;
  struct timespec t;
  const bool known = clock_getcpuclockid(child, &clock) == 0 && clock_gettime(clock, &t) == 0;
  return known ? (double)t.tv_sec + 1e-9 * (double)t.tv_nsec : 0;
}

/* Lets a run go on for a slice of the budget, or to its end. */
static void let_go_on(stage *s, size_t i, double slice) {
  rehearsed *r = &s->all[i];
  notes *n = &s->notes[i];
  const struct timespec nap = { 0, 1000000 };
  const double before = r->guess, from = r->charged, patience = tb_clock_seconds() + 30 * slice + 2;
  int how;
  if (r->child)
    n->still += tb_clock_seconds() - r->halted;
  if (!begin_or_continue(s, i)) {
    retire(s, i, r->child > 0);
    return;
  }
  bool running;
  while ((running = waitpid(r->child, &how, WNOHANG) == 0)) {
    r->spent = own_seconds(n, r->child);
    r->charged = fmax(r->charged, fmax(processor_seconds(r->child), waiting * r->spent));
    if (r->charged - from >= slice || tb_clock_seconds() > patience)
      break;
    nanosleep(&nap, NULL);
  }
  if (running) {
    kill(r->child, SIGSTOP);
    running = waitpid(r->child, &how, WUNTRACED) == r->child && WIFSTOPPED(how);
    r->halted = tb_clock_seconds();
  }
  if (running)
    look_at_memory(r->child, n);
  else
    retire(s, i, false);
  r->guess = guess_whole(n, r->spent);
  r->doubt = r->done ? 0 : fabs(r->guess - before); /* NaN: anything may come */
}

/* The run that is the least certain, and the next slice; false: all are certain enough. */
static bool choose(const stage *s, size_t *next, double *slice) {
  double whole = 0, wrong = 0, most = -1;
  for (size_t i = 0; i < s->count; i++) {
    const rehearsed *r = &s->all[i];
    const double guess = isnan(r->guess) ? 10 * r->spent : r->guess, rest = r->done ? 0 : guess - r->spent,
                 doubt = fmin(rest, isnan(r->doubt) ? guess : fmax(r->doubt, unseen * rest));
    whole += s->times[i] * guess;
    wrong += s->times[i] * doubt;
    if (!r->done && s->times[i] * doubt > most) {
      most = s->times[i] * doubt;
      *next = i;
      *slice = r->charged;
    }
  }
  return most > 0 && wrong > certain * whole;
}

/* So many children may stand still at a time; the others end with their first slice. */
static void take_turns(stage *s, double budget) {
  double spent = 0, slice = 0;
  size_t alive = 0, next = 0;
  for (size_t i = 0; i < s->count && spent < budget; i++) {
    let_go_on(s, i, fmin(first_slice, budget - spent));
    spent += s->all[i].charged;
    if (s->all[i].child && ++alive > ALIVE)
      retire(s, i, true);
  }
  while (spent < budget && choose(s, &next, &slice)) {
    const double before = s->all[next].charged;
    let_go_on(s, next, fmax(first_slice, fmin(slice, budget - spent)));
    spent += fmax(s->all[next].charged - before, 0.001);
  }
  for (size_t i = 0; i < s->count; i++)
    if (s->all[i].child)
      retire(s, i, true);
}

static int discard(const char *path, const struct stat *about, int kind, struct FTW *level) {
  return remove(path);
}

tb_status tb_rehearse(tb_batch *batch, size_t count, const size_t *runs, const double *times, int threads,
                      double budget, tb_rehearsal *heard) {
  const char *scratch = getenv("TMPDIR");
  stage s = { .batch = batch, .runs = runs, .times = times, .threads = threads, .count = count };
  snprintf(s.folder, sizeof s.folder, "%s/tiebreak-XXXXXX", scratch && *scratch ? scratch : "/tmp");
  for (size_t i = 0; i < count; i++)
    heard[i] = (tb_rehearsal){ NAN, NAN, 0, NAN };
  const size_t bytes = (count + 1) * sizeof *s.notes;
  s.all = tb_allocate(batch->context, count + 1, sizeof *s.all);
  s.notes = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (!s.all || s.notes == MAP_FAILED) {
    tb_release(batch->context, s.all);
    return tb_fail(batch->context, TB_NO_MEMORY, "", NULL, "out of memory");
  }
  for (size_t i = 0; i < count; i++)
    s.all[i].guess = NAN;
  if (mkdtemp(s.folder)) { /* else: nowhere to write, no rehearsal */
    take_turns(&s, budget);
    nftw(s.folder, discard, 16, FTW_DEPTH | FTW_PHYS);
  }
  for (size_t i = 0; i < count; i++)
    if (!isnan(s.all[i].guess))
      heard[i] = (tb_rehearsal){ s.all[i].guess, fmax(0, s.notes[i].peak - s.notes[i].program), s.notes[i].program,
                                 s.notes[i].end > 0 ? s.notes[i].kept : NAN };
  munmap(s.notes, bytes);
  tb_release(batch->context, s.all);
  return TB_OK;
}

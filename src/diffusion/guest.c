/* The host's side and the child's loop of guest.h. */
#include "diffusion/guest.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "diffusion/target_parts.h"

enum { TEXT = 1024, NAME = 128, MOST_ROWS = 4096 };
enum { SHARED = 64 << 20 }; /* bytes; touched only as far as used */

typedef enum operation { OPEN, NAMES, EVALUATE, NATURAL } operation;

typedef struct request {
  operation what;
  size_t rows; /* NAMES: the first coordinate */
  bool gradient;
} request;

typedef struct answer {
  tb_status status;
  int code; /* of a failed call */
  size_t dims, naturals;
  char text[TEXT]; /* of a failure; NAMES: the name */
} answer;

typedef struct guest {
  const char *what, *so;
  pid_t child;
  int socket;
  double timeout;
  size_t rows;    /* that fit into the shared memory */
  double *memory; /* SHARED bytes: x[rows,d], value[rows], gradient or natural */
  size_t dims, naturals;
} guest;

/* ---- the child ---- */

static bool send_all(int socket, const void *data, size_t size) {
  return send(socket, data, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static bool receive_all(int socket, void *data, size_t size) {
  ssize_t got;
  do
    got = recv(socket, data, size, MSG_WAITALL);
  while (got < 0 && errno == EINTR);
  return got == (ssize_t)size;
}

/* Nothing of the host's must be felt by the guest, nor the other way round: files, stdout, signals, core dumps. */
static void leave_the_house(int socket) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  dup2(socket, 3);
  syscall(SYS_close_range, 4u, ~0u, 0u);
  setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
  const int hers[] = { SIGINT, SIGTERM, SIGHUP }, ours[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
  for (size_t i = 0; i < sizeof hers / sizeof *hers; i++)
    signal(hers[i], SIG_IGN); /* the host decides when to end */
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    signal(ours[i], SIG_DFL);
}

static void perform(const tb_guest_code *code, void *self, const guest *g, const request *r, answer *a) {
  const size_t d = code->dims(self);
  double *x = g->memory, *value = x + r->rows * d, *more = value + r->rows;
  if (r->what == NAMES)
    a->code = !code->name(self, r->rows, a->text, NAME);
  else if (r->what == EVALUATE)
    a->code = code->evaluate(self, r->rows, x, value, r->gradient ? more : NULL, a->text, TEXT);
  else
    a->code = code->natural(self, r->rows, x, more, a->text, TEXT);
}

static _Noreturn void serve(const tb_guest_code *code, const guest *g, const char *data, int socket) {
  void *self = NULL;
  request r;
  leave_the_house(socket);
  while (receive_all(3, &r, sizeof r)) {
    answer a = { .status = TB_OK };
    if (r.what == OPEN) {
      self = code->open(g->so, data, &a.status, a.text, TEXT);
      if (self) {
        a.dims = code->dims(self);
        a.naturals = code->naturals(self);
      }
    } else {
      perform(code, self, g, &r, &a);
    }
    if (!send_all(3, &a, sizeof a))
      break;
  }
  _exit(0);
}

/* ---- the host ---- */

static void end_child(guest *g) {
  if (g->child > 0) {
    kill(g->child, SIGKILL);
    while (waitpid(g->child, NULL, 0) < 0 && errno == EINTR)
      ;
  }
  g->child = 0;
}

static tb_status fail(const tb_density *density, const char *hint, const char *format, const char *more) {
  const guest *g = density->self;
  char text[TEXT + 200];
  snprintf(text, sizeof text, format, more);
  return tb_fail(density->context, TB_FAILED, g->so, hint, "the %s %s", g->what, text);
}

/* The child is gone: why? */
static tb_status tell_death(tb_density *density) {
  guest *g = density->self;
  int how = 0;
  char text[100];
  while (waitpid(g->child, &how, 0) < 0 && errno == EINTR)
    ;
  g->child = 0;
  if (WIFSIGNALED(how))
    snprintf(text, sizeof text, "signal %d, %s", WTERMSIG(how), strsignal(WTERMSIG(how)));
  else
    snprintf(text, sizeof text, "it ended the process, exit code %d", WEXITSTATUS(how));
  return fail(density, "run it under a debugger on the same points", "crashed (%s)", text);
}

static tb_status ask(tb_density *density, const request *r, answer *a) {
  guest *g = density->self;
  char text[60];
  if (g->child == 0)
    return fail(density, NULL, "is gone%s", "");
  struct pollfd wait = { .fd = g->socket, .events = POLLIN };
  if (!send_all(g->socket, r, sizeof *r))
    return tell_death(density);
  const double until = tb_clock_seconds() + g->timeout;
  for (;;) {
    const double left = until - tb_clock_seconds();
    const int ready = poll(&wait, 1, left > 0 ? (int)fmin(ceil(1000 * left), 1e9) : 0);
    if (ready > 0)
      break;
    if (ready < 0 && errno == EINTR)
      continue;
    if (left > 0)
      continue;
    end_child(g);
    snprintf(text, sizeof text, "%g", g->timeout);
    return fail(density, "raise plugin_timeout= if it is only slow",
                "hangs: no answer within plugin_timeout=%s seconds", text);
  }
  if (!receive_all(g->socket, a, sizeof *a))
    return tell_death(density);
  a->text[TEXT - 1] = 0;
  return TB_OK;
}

static tb_status start(tb_density *density, const tb_guest_code *code, const char *data) {
  guest *g = density->self;
  int ends[2];
  g->memory = mmap(NULL, SHARED, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (g->memory == MAP_FAILED) {
    g->memory = NULL;
    return tb_fail(density->context, TB_NO_MEMORY, g->so, NULL, "no shared memory for the %s", g->what);
  }
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return tb_fail(density->context, TB_FAILED, g->so, NULL, "no socket for the %s: %s", g->what, strerror(errno));
  g->socket = ends[0];
  g->child = fork();
  if (g->child == 0)
    serve(code, g, data, ends[1]);
  close(ends[1]);
  if (g->child < 0) {
    g->child = 0;
    return tb_fail(density->context, TB_FAILED, g->so, NULL, "no process for the %s: %s", g->what, strerror(errno));
  }
  return TB_OK;
}

static tb_status read_names(tb_density *density) {
  const guest *g = density->self;
  const char **names = tb_arena_allocate(density->arena, g->naturals, sizeof *names);
  if (!names)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < g->naturals; i++) {
    answer a;
    tb_status status = ask(density, &(request){ .what = NAMES, .rows = i }, &a);
    if (status)
      return status;
    names[i] = a.code || !*a.text ? tb_arena_format(density->arena, "x[%zu]", i + 1)
                                  : tb_arena_format(density->arena, "%.*s", NAME - 1, a.text);
    if (!names[i])
      return TB_NO_MEMORY;
  }
  density->names = names;
  return TB_OK;
}

tb_status tb_guest_open(tb_density *density, const tb_config *config, const char *what, const tb_guest_code *code) {
  enum { MOST_DIMS = 1000000 };
  if (!tb_config_is_set(config, "so"))
    return tb_fail(density->context, TB_USAGE, "option so", "give so=FILE.so", "the %s needs a shared object", what);
  guest *g = density->self = tb_arena_allocate(density->arena, 1, sizeof *g);
  if (!g)
    return TB_NO_MEMORY;
  const char *so = tb_config_word(config, "so");
  *g = (guest){ .what = what, .socket = -1, .timeout = tb_config_real(config, "plugin_timeout") };
  /* A bare name would be looked for among the system's libraries. */
  g->so = strchr(so, '/') ? tb_arena_text(density->arena, so) : tb_arena_format(density->arena, "./%s", so);
  if (!g->so)
    return TB_NO_MEMORY;
  if (!tb_file_exists(g->so))
    return tb_fail(density->context, TB_BAD_DATA, so, "give the path of a shared object", "there is no such file");
  answer a;
  tb_status status = start(density, code, tb_config_is_set(config, "data") ? tb_config_word(config, "data") : NULL);
  if (!status)
    status = ask(density, &(request){ .what = OPEN }, &a);
  if (status)
    return status;
  if (a.status)
    return tb_fail(density->context, a.status, g->so, NULL, "%s", a.text);
  if (a.dims == 0 || a.dims > MOST_DIMS || a.naturals > MOST_DIMS)
    return tb_fail(density->context, TB_USAGE, g->so, "dimensions count from 1 to 1000000",
                   "the %s says that it has %zu dimensions", what, a.dims);
  g->dims = density->dims = a.dims;
  g->naturals = density->naturals = a.naturals;
  const size_t wide = a.dims + 1 + (a.dims > a.naturals ? a.dims : a.naturals);
  g->rows = SHARED / (wide * sizeof(double));
  g->rows = g->rows < MOST_ROWS ? g->rows : MOST_ROWS;
  return read_names(density);
}

void tb_guest_close(tb_density *density) {
  guest *g = density->self;
  if (!g)
    return;
  end_child(g);
  if (g->socket >= 0)
    close(g->socket);
  if (g->memory)
    munmap(g->memory, SHARED);
}

/* ---- calls ---- */

static tb_status not_a_number(tb_density *density, bool in_gradient, const double *x, double found) {
  char text[300], place[200] = "";
  const size_t d = density->dims;
  for (size_t j = 0, at = 0; j < d && j < 4; j++)
    at += (size_t)snprintf(place + at, sizeof place - at, "%s%g", j ? "," : "", x[j]);
  snprintf(text, sizeof text, "%s %s at x = %s%s",
           isnan(found) ? "NaN"
           : found > 0  ? "+inf"
                        : "-inf",
           in_gradient ? "in the gradient" : "as log density", place, d > 4 ? ",…" : "");
  return fail(density,
              in_gradient ? "fill the gradient wherever it is asked for and the density is not 0: samplers need it"
                          : "a log density is finite, or -INFINITY where the density is 0",
              "returned %s", text);
}

static tb_status check_rows(tb_density *density, size_t n, const double *x, const double *value,
                            const double *gradient) {
  const size_t d = density->dims;
  for (size_t i = 0; i < n; i++) {
    if (isnan(value[i]) || value[i] == INFINITY)
      return not_a_number(density, false, x + i * d, value[i]);
    for (size_t j = 0; gradient && j < d && value[i] > -INFINITY; j++)
      if (!isfinite(gradient[i * d + j]))
        return not_a_number(density, true, x + i * d, gradient[i * d + j]);
  }
  return TB_OK;
}

/* A trajectory that has lost its way ends where powers of x overflow, and then a sound density may well be inf − inf:
 * such points are none.  0 is asked for instead, and the density there is 0. */
static bool is_lost(size_t d, const double *x) {
  const double most = 1e50;
  bool lost = false;
  for (size_t j = 0; j < d; j++)
    lost |= !(fabs(x[j]) <= most);
  return lost;
}

static tb_status call(tb_density *density, const request *r) {
  answer a;
  tb_status status = ask(density, r, &a);
  char text[TEXT + 60];
  if (status || !a.code)
    return status;
  snprintf(text, sizeof text, "%d%s%s", a.code, *a.text ? ": " : "", a.text);
  return fail(density, r->gradient ? "the gradient was asked for, too: samplers need it" : NULL, "reported error %s",
              text);
}

tb_status tb_guest_evaluate(tb_density *density, size_t n, const double *x, double *value, double *gradient) {
  const guest *g = density->self;
  const size_t d = g->dims;
  for (size_t done = 0; done < n;) {
    const size_t rows = n - done < g->rows ? n - done : g->rows;
    double *shared = g->memory, *values = shared + rows * d, *slopes = values + rows;
    memcpy(shared, x + done * d, rows * d * sizeof *x);
    for (size_t i = 0; i < rows; i++)
      if (is_lost(d, shared + i * d))
        memset(shared + i * d, 0, d * sizeof *shared);
    tb_status status = call(density, &(request){ .what = EVALUATE, .rows = rows, .gradient = gradient != NULL });
    if (!status && !density->probing)
      status = check_rows(density, rows, shared, values, gradient ? slopes : NULL);
    if (status)
      return status;
    memcpy(value + done, values, rows * sizeof *value);
    if (gradient)
      memcpy(gradient + done * d, slopes, rows * d * sizeof *gradient);
    for (size_t i = 0; i < rows; i++)
      if (is_lost(d, x + (done + i) * d))
        value[done + i] = -INFINITY;
    done += rows;
  }
  return TB_OK;
}

tb_status tb_guest_natural(tb_density *density, size_t n, const double *x, double *natural) {
  const guest *g = density->self;
  for (size_t done = 0; done < n;) {
    const size_t rows = n - done < g->rows ? n - done : g->rows;
    memcpy(g->memory, x + done * g->dims, rows * g->dims * sizeof *x);
    tb_status status = call(density, &(request){ .what = NATURAL, .rows = rows });
    if (status)
      return status;
    memcpy(natural + done * g->naturals, g->memory + rows * g->dims + rows, rows * g->naturals * sizeof *natural);
    done += rows;
  }
  return TB_OK;
}

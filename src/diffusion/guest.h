/* A guest: foreign code (a plug-in, a Stan model) that runs in a process of its own, so that its crash, hang or exit
 * is a message here and nothing more.
 *
 * The host forks once; the child loads the shared object and answers requests over a socket, with points and values in
 * shared memory.  A call that takes longer than the timeout ends the child.  A round trip costs about 10 µs. */
#ifndef TB_DIFFUSION_GUEST_H
#define TB_DIFFUSION_GUEST_H

#include "diffusion/density.h"

/* What the child does, in the child: nothing here may use the host's context or arenas. */
typedef struct tb_guest_code {
  /* Loads `so` and opens it.  *trouble: TB_USAGE, TB_BAD_DATA or TB_FAILED, with its text in error. */
  void *(*open)(const char *so, const char *data, tb_status *trouble, char *error, size_t size);
  size_t (*dims)(void *self);
  size_t (*naturals)(void *self);
  /* Name of natural coordinate i into name; false: it has none. */
  bool (*name)(void *self, size_t i, char *name, size_t size);
  /* 0: done; else error says more. */
  int (*evaluate)(void *self, size_t n, const double *x, double *value, double *gradient, char *error, size_t size);
  int (*natural)(void *self, size_t n, const double *x, double *natural, char *error, size_t size);
} tb_guest_code;

/* Opens the density `what` ("plug-in") of options so=, data=, plugin_timeout=; sets everything but the target.
 * TB_BAD_DATA: no such file; TB_USAGE: refused, wrong ABI; TB_FAILED: crash, hang. */
tb_status tb_guest_open(tb_density *, const tb_config *, const char *what, const tb_guest_code *);
/* The functions of a target whose code is a guest. */
tb_status tb_guest_evaluate(tb_density *, size_t n, const double *x, double *value, double *gradient);
tb_status tb_guest_natural(tb_density *, size_t n, const double *x, double *natural);
void tb_guest_close(tb_density *);

#endif

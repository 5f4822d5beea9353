/* A plug-in that goes wrong in the way that data= names; without it a standard normal in the plane.
 * Compiled with -DABI=… it is of another ABI. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tiebreak/plugin.h>

#ifndef ABI
#define ABI TIEBREAK_PLUGIN_ABI
#endif

static char how[40];

static void *open_bad(const char *data, char *error, size_t size) {
  snprintf(how, sizeof how, "%s", data ? data : "");
  if (strcmp(how, "refuse") == 0) {
    snprintf(error, size, "the moon is not full");
    return NULL;
  }
  if (strcmp(how, "crash_open") == 0)
    abort();
  return how;
}

static size_t dim(void *self) {
  return strcmp(how, "no_dims") == 0 ? 0 : 2;
}

static int log_density(void *self, size_t n, const double *x, double *value, double *gradient) {
  if (strcmp(how, "crash") == 0)
    raise(SIGSEGV);
  if (strcmp(how, "hang") == 0)
    for (;;)
      pause();
  if (strcmp(how, "exit") == 0)
    exit(0);
  if (strcmp(how, "error") == 0)
    return 7;
  for (size_t i = 0; i < n; i++) {
    const double a = x[2 * i], b = x[2 * i + 1];
    value[i] = -0.5 * (a * a + b * b) - 1.8378770664093453;
    if (strcmp(how, "nan") == 0 && a > 0.5)
      value[i] = NAN;
    if (strcmp(how, "flat") == 0)
      value[i] = -0.5 * a * a;
    if (strcmp(how, "quartic") == 0) /* sound, but inf − inf beyond 10⁷⁷ */
      value[i] += a * a * a * a - 2 * a * a * a * a;
    if (!gradient)
      continue;
    gradient[2 * i] = strcmp(how, "gradient") == 0 ? a : -a;
    gradient[2 * i + 1] = strcmp(how, "flat") == 0 ? 0 : strcmp(how, "nan_gradient") == 0 ? NAN : -b;
    if (strcmp(how, "quartic") == 0)
      gradient[2 * i] -= 4 * a * a * a;
  }
  return 0;
}

const struct tiebreak_density tiebreak_density = { ABI,         "bad", "a plug-in that goes wrong", open_bad, dim, NULL,
                                                   log_density, NULL };

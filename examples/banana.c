/* A plug-in: the banana of Haario, Saksman & Tamminen (1999), a Gaussian bent along its first axis.
 *
 *   ln γ(a, b) = ln N(a; 0, s²) + ln N(b + c (a² − s²); 0, 1),   ln Z = 0
 *
 * data= is "s c" (10 0.03 unless given).  Build and use:
 *   cc -O2 -shared -fPIC -o banana.so banana.c -lm
 *   tiebreak density plugin so=banana.so x=3,-1 --check
 *   tiebreak sample plugin so=banana.so method=nuts
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <tiebreak/plugin.h>

typedef struct banana {
  double s, c;
} banana;

static void *open_banana(const char *data, char *error, size_t size) {
  banana *b = malloc(sizeof *b);
  if (!b) {
    snprintf(error, size, "out of memory");
    return NULL;
  }
  *b = (banana){ 10, 0.03 };
  if (data && (sscanf(data, "%lf %lf", &b->s, &b->c) != 2 || !(b->s > 0))) {
    snprintf(error, size, "data= is two numbers, s > 0 and c, not '%s'", data);
    free(b);
    return NULL;
  }
  return b;
}

static size_t dim(void *self) {
  return 2;
}

static const char *coordinate(void *self, size_t i) {
  return i == 0 ? "a" : "b";
}

static int log_density(void *self, size_t n, const double *x, double *value, double *gradient) {
  const banana *k = self;
  const double square = k->s * k->s, log_two_pi = 1.8378770664093453;
  for (size_t i = 0; i < n; i++) {
    const double a = x[2 * i], b = x[2 * i + 1] + k->c * (a * a - square);
    value[i] = -0.5 * (a * a / square + b * b) - log(k->s) - log_two_pi;
    if (gradient) {
      gradient[2 * i] = -a / square - 2 * k->c * a * b;
      gradient[2 * i + 1] = -b;
    }
  }
  return 0;
}

const struct tiebreak_density tiebreak_density = {
  TIEBREAK_PLUGIN_ABI, "banana", "a Gaussian bent along its first axis", open_banana, dim, coordinate,
  log_density,         free,
};

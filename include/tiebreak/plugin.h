/* tiebreak/plugin.h: a log density in a shared object, ABI 1.  cc -shared -fPIC -o mine.so mine.c */
#ifndef TIEBREAK_PLUGIN_H
#define TIEBREAK_PLUGIN_H
#include <stddef.h>
#define TIEBREAK_PLUGIN_ABI 1
/* clang-format off */
struct tiebreak_density {   /* exported as: const struct tiebreak_density tiebreak_density = { TIEBREAK_PLUGIN_ABI, ... }; */
  int abi;                                                   /* read before anything else */
  const char *name, *summary;
  void *(*open)(const char *data, char *error, size_t size); /* data= or NULL; on failure fills error, returns NULL; may be NULL */
  size_t (*dim)(void *self);
  const char *(*coordinate)(void *self, size_t i);           /* name of coordinate i; may be NULL */
  int (*log_density)(void *self, size_t n, const double *x, double *value, double *gradient);
  /* never called from two threads at once for one self; value -INFINITY means density 0 */
  /* x is n by d, value n, gradient n by d or NULL, row by row; all constants included; 0 where done */
  void (*close)(void *self);                                 /* may be NULL */
};
/* clang-format on */
#endif

/* tiebreak/catalogue.h: what methods, models, samplers and targets there are, for `explain` and docs. */
#ifndef TIEBREAK_CATALOGUE_H
#define TIEBREAK_CATALOGUE_H

#include <tiebreak/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tb_catalogue_entry {
  const char *kind; /* "method", "model", "sampler", "target" */
  const char *name, *summary;
  const char *formula, *source; /* may be NULL */
} tb_catalogue_entry;

/* The i-th entry; false past the last. */
bool tb_catalogue_at(size_t i, tb_catalogue_entry *entry);

#ifdef __cplusplus
}
#endif
#endif

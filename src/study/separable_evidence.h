/* What a claim of `separable` reads: an outcome's points in time, its data and exact limits, computed anew from the
 * configuration so that no reference passes through the code under test. */
#ifndef TB_STUDY_SEPARABLE_EVIDENCE_H
#define TB_STUDY_SEPARABLE_EVIDENCE_H

#include "study/natural_gradient.h"
#include "study/separable.h"

typedef struct evidence {
  tb_context *context;
  tb_arena *arena;
  const tb_outcome *outcome;
  tb_classification *problem;
  size_t n, d;
  size_t distinct, rank;  /* distinct rows, rank of X */
  double *z;              /* distinct×d */
  size_t points;          /* snapshots and the end */
  const double *beta0;    /* d; NULL: the start was not recorded */
  const double *margins0; /* n; likewise */
  tb_limits *limits;      /* of that start (of zero where it is unknown) */
} evidence;

tb_status evidence_open(evidence *, tb_context *, const tb_outcome *);
void evidence_close(evidence *);
/* The i-th snapshot; the last is the end. */
const tb_metrics *evidence_point(const evidence *, size_t i);
/* A vector of that length, or NULL where it is missing or not finite. */
const double *evidence_vector(const tb_metrics *, const char *name, size_t count);

/* The claim does not apply to this run after all: its data are of another shape, or it has not gone far enough. */
tb_status evidence_skip(double *value, double *reference);

/* log σ(−m) = −log(1 + e^m) */
double log_error_probability(double margin);

/* ---- arms ---- */
bool config_flow(const tb_config *, const char *method, const char *fisher /* NULL: any */, const char *model);
bool config_starts_at_zero(const tb_config *); /* linear, diagonal without start= */
bool config_undamped(const tb_config *);

#endif

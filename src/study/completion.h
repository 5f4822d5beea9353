/* The study `completion` from the inside: what its configuration means, and what is measured on a state. */
#ifndef TB_STUDY_COMPLETION_H
#define TB_STUDY_COMPLETION_H

#include "bias/completion.h"
#include "optim/factored.h"
#include "study/path.h"

/* A configuration made concrete.  Zero before completion_open; closed in any state. */
typedef struct completion {
  tb_context *context;
  const tb_config *config;
  tb_arena *arena;
  tb_partial_matrix *problem;
  tb_factorisation_shape shape;
  const tb_method *method;
  tb_method_options options;
  tb_schedule schedule;
  size_t size, parameters; /* rows·cols, p */
  /* from completion_start on */
  tb_objective *objective;
  double *theta;                     /* p: the start */
  double *f, *w;                     /* count, size: scratch of the measurement */
  double *start, *start_f;           /* size, count: W and its measurements at the start */
  double *completed;                 /* size: the matrix of least nuclear norm; NULL: not asked for */
  double nuclear, gap;               /* its norm, relative duality gap */
  bool crossed;                      /* det W has changed its sign under a balanced gradient flow, which it can't */
  double completed_rank, truth_rank; /* effective ranks; NaN: not known */
} completion;

/* Data alone, as the configuration names it (the claims' references start from it). */
tb_status completion_data(tb_context *, const tb_config *, tb_partial_matrix **);
/* Reads data and checks that the options go together: TB_USAGE, TB_BAD_DATA. */
tb_status completion_open(completion *, tb_context *, const tb_config *);
/* Factors at time 0, the objective, the references. */
tb_status completion_start(completion *, tb_run *);
void completion_close(completion *);

/* log loss; the margin is −inf. */
tb_status completion_look(void *completion, const double *theta, double *log_loss, double *margin);
/* Every metric of a state. */
tb_status completion_measure(void *completion, const tb_path_state *, tb_metrics *);
/* exp of the entropy of singular values as shares of their sum (Roy and Vetterli 2007); NaN for a zero matrix. */
tb_status completion_effective_rank(completion *, const double *w, double *rank);

/* −1, 0 or 1: the sign of det a[n×n], by elimination with pivots; a is destroyed. */
int completion_determinant_sign(size_t n, double *a);

enum { COMPLETION_MOST_SHOWN = 400 }; /* entries of a `matrix` that is recorded */
enum { COMPLETION_METRICS = 24, COMPLETION_CLAIMS = 21 };
extern const tb_metric completion_metrics[COMPLETION_METRICS];
extern const tb_claim *const completion_claims[COMPLETION_CLAIMS];
extern const tb_study tb_study_completion;

#endif

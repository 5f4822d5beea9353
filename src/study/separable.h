/* The study `separable` from the inside: what its configuration means, and what is measured on a state. */
#ifndef TB_STUDY_SEPARABLE_H
#define TB_STUDY_SEPARABLE_H

#include "bias/classification.h"
#include "bias/limits.h"
#include "model/model.h"
#include "study/path.h"

/* A configuration made concrete: data, model, method, schedule.  Zero before separable_open; closed in any state. */
typedef struct separable {
  tb_context *context;
  const tb_config *config;
  tb_arena *arena;
  tb_classification *problem;
  const tb_model *model;
  tb_model_shape shape;
  bool has_predictor;
  const tb_method *method;
  tb_method_options options;
  tb_schedule schedule;
  size_t n, d, p; /* points, features, parameters */
  /* from separable_start on */
  tb_objective *objective;
  tb_objective *fresh;                  /* a thousand new points of the teacher, for a model without a predictor */
  double *theta;                        /* p: the start */
  double *start_margins;                /* n: of the start */
  tb_limits *limits;                    /* NULL without a predictor */
  double *f, *margins, *beta, *descent; /* n, n, d, d: scratch of the measurement */
} separable;

/* Data alone, as the configuration names it (the claims' references start from it). */
tb_status separable_data(tb_context *, const tb_config *, tb_classification **);
/* Reads data and checks that the options go together: TB_USAGE, TB_BAD_DATA. */
tb_status separable_open(separable *, tb_context *, const tb_config *);
/* Parameters at time 0, the compiled objective, the limits from that start. */
tb_status separable_start(separable *);
void separable_close(separable *);
/* TB_BAD_DATA with the certificate where a margin is asked for that no predictor can have. */
tb_status separable_require(separable *, tb_limits *);

/* The margin at time t of a training point under natural gradient flow with independent rows, from its start: log((1 +
 * e^m) e^t − 1), for any size of m and t. */
double separable_law_margin(double start, double t);
/* Every metric of a state.  TB_FAILED when outputs are not finite. */
tb_status separable_measure(separable *, const tb_path_state *, tb_metrics *);
/* log loss and least margin alone. */
tb_status separable_look(separable *, const double *theta, double *log_loss, double *margin);

enum { SEPARABLE_METRICS = 29, SEPARABLE_CLAIMS = 57 };
extern const tb_metric separable_metrics[SEPARABLE_METRICS];
extern const tb_claim *const separable_claims[SEPARABLE_CLAIMS];
/* What the study is made of, for `nonlinear`, which is the same with a nonlinear network. */
extern const tb_option_table separable_options;
tb_status separable_check(tb_context *, const tb_config *);
tb_status separable_estimate(tb_context *, const tb_config *, tb_estimate *);
tb_status separable_run(tb_run *);
extern const tb_study tb_study_separable;

#endif

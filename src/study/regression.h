/* The study `regression` from the inside. */
#ifndef TB_STUDY_REGRESSION_H
#define TB_STUDY_REGRESSION_H

#include "bias/regression.h"
#include "model/model.h"
#include "study/path.h"

/* A configuration made concrete.  Zero before regression_open; closed in any state. */
typedef struct regression {
  tb_context *context;
  const tb_config *config;
  tb_arena *arena;
  tb_regression *problem;
  const tb_model *model;
  tb_model_shape shape;
  const tb_method *method;
  tb_method_options options;
  tb_schedule schedule;
  size_t parameters;
  /* from regression_start on */
  tb_objective *objective;
  double *theta, *beta, *f; /* p: the start; d, n: scratch */
  double *l1, *l2;          /* d: interpolators of least norm; l1 NULL where nothing interpolates */
} regression;

/* Data alone, as the configuration names it (the claims' references start from it). */
tb_status regression_data(tb_context *, const tb_config *, tb_regression **);

enum { REGRESSION_METRICS = 15, REGRESSION_CLAIMS = 8 };
extern const tb_claim *const regression_claims[REGRESSION_CLAIMS];
extern const tb_study tb_study_regression;

#endif

/* Study and question `drift`: drifts of diffusions, exact and approximated. */
#ifndef TB_STUDY_DRIFT_H
#define TB_STUDY_DRIFT_H

#include <tiebreak/study.h>

#include "diffusion/constructed.h"
#include "diffusion/expressiveness.h"
#include "diffusion/family.h"
#include "diffusion/girsanov.h"
#include "diffusion/trained.h"

extern const tb_study tb_study_drift, tb_question_drift;

typedef enum drift_network { DRIFT_ZERO, DRIFT_CONSTRUCTED, DRIFT_TRAINED } drift_network;

/* A configuration made concrete.  Zero before drift_open; closed in any state. */
typedef struct drift_study {
  tb_context *context;
  const tb_config *config;
  tb_arena *arena;
  tb_density *density;
  tb_family family;
  tb_diffusion process;
  drift_network network;
  uint64_t seed;
  size_t draws, path_steps;
  /* from drift_start on */
  tb_regularity regularity;
  tb_constructed constructed;
  tb_trained_shape shape;
  tb_trained *trained;
} drift_study;

tb_status drift_open(drift_study *, tb_context *, const tb_config *);
tb_status drift_start(drift_study *);
void drift_close(drift_study *);

/* Every final metric but the training's own. */
tb_status drift_measure(drift_study *, tb_run *);

enum { DRIFT_METRICS = 31 };
extern const tb_metric drift_metrics[DRIFT_METRICS];

enum { DRIFT_CLAIMS = 19 };
extern const tb_claim *const drift_claims[DRIFT_CLAIMS];

#endif

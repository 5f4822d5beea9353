/* One run of one method on one objective: steps or a flow along a schedule, with snapshots, stop rules, progress and
 * checkpoints.  What is measured at a point, the study says. */
#ifndef TB_STUDY_PATH_H
#define TB_STUDY_PATH_H

#include "study/common.h"

/* A point of a run. */
typedef struct tb_path_state {
  double t, log_t;
  const double *theta;      /* p */
  const double *velocity;   /* d: any positive multiple of dβ/dt or of the last step; NULL: there is none */
  const double *direction;  /* p: any positive multiple of dθ/dt of a flow; NULL: there is none */
  tb_natural_report report; /* of natural gradients; rank 0: there is none */
} tb_path_state;

typedef struct tb_path {
  tb_context *context;
  tb_arena *arena;
  tb_run *run;
  const tb_method *method;
  tb_method_options options;
  const tb_schedule *schedule;
  tb_objective *objective;
  const double *theta; /* p: the start */
  size_t d;            /* > 0: states carry the velocity of a predictor of d numbers */
  void *study;         /* for: */
  /* log loss and least margin (−inf where there are none).  TB_FAILED when outputs are not finite. */
  tb_status (*look)(void *study, const double *theta, double *log_loss, double *margin);
  /* Every metric of a state. */
  tb_status (*measure)(void *study, const tb_path_state *, tb_metrics *);
} tb_path;

/* Runs it, or takes it up from its checkpoint to the same bits. */
tb_status tb_path_run(tb_path *);

#endif

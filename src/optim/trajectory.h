/* What a flow integrates; private to trajectory.c, gf.c and ngf.c. */
#ifndef TB_OPTIM_TRAJECTORY_H
#define TB_OPTIM_TRAJECTORY_H

#include "num/flow.h"
#include "optim/natural.h"

/* A flow as seen by its derivative callbacks. */
typedef struct tb_field_of_flow {
  tb_context *context;
  tb_objective *objective;
  tb_natural *natural; /* natural methods only */
  bool log_clock;      /* s = log(1 + t), else s = t */
  double *f, *r;       /* n each: scratch */
  tb_natural_report last, worst;
  tb_natural_trouble trouble; /* of the last evaluation */
} tb_field_of_flow;

struct tb_flow_velocity {
  bool (*log_clock)(const tb_method_options *);
  tb_flow_kind (*kind)(const tb_method_options *);
  /* dtheta/ds at s; user is a tb_field_of_flow. TB_FAILED: not a point of the flow. */
  tb_status (*derivative)(void *user, double s, const double *theta, double *dtheta);
  tb_status (*jacobian_times)(void *user, double s, const double *theta, const double *v, double *jv); /* or NULL */
  /* dtheta/dt up to a positive factor, and the predictor's where wanted and where there is one. */
  tb_status (*direction)(tb_field_of_flow *, const double *theta, double *velocity, double *velocity_beta);
};

#endif

/* What the parts of the flow integrator share: the checked problem and the two one-step integrators. */
#ifndef TB_NUM_FLOW_PARTS_H
#define TB_NUM_FLOW_PARTS_H

#include "num/flow.h"

/* The user's problem with a watch on it. */
typedef struct tb_field {
  tb_context *context;
  tb_flow_problem problem;
  double relative, absolute, least_step;
  double *scratch;  /* 4×dim */
  tb_status status; /* of a callback that must end the run; TB_OK otherwise */
  tb_flow_counts counts;
} tb_field;

/* dy = f(s, y): 0 good, 1 outside the domain (a failure or a value that is not finite), -1 the run must end. */
int tb_field_derivative(tb_field *, double s, const double *y, double *dy);
int tb_field_jacobian_times(tb_field *, double s, const double *y, const double *v, double *jv);
/* weight[i] = 1 / (relative |y_i| + floor): the floor is `absolute`, or the rounding of the largest entry. */
void tb_field_weights(const tb_field *, const double *y, double *weight);
/* A first step for a method of the given order (Hairer, Nørsett, Wanner II.4), at most room; 0: f fails at (s, y). */
double tb_field_first_step(tb_field *, double s, const double *y, double room, int order);
/* Estimate of the spectral radius of the Jacobian by a few power iterations from v (kept between calls). */
double tb_field_spectral_radius(tb_field *, double s, const double *y, const double *f, double *v);

typedef enum tb_advance { TB_ADVANCED, TB_COLLAPSED, TB_ABORTED } tb_advance;

/* A one-step integrator from (s, y) towards `limit`, which it hits exactly. Opened anew at every restart. */
typedef struct tb_integrator tb_integrator;
typedef struct tb_integrator_kind {
  tb_integrator *(*open)(tb_field *, double s, const double *y, double limit, double first_step);
  /* One accepted step: s and y[dim] move on. */
  tb_advance (*step)(tb_integrator *, double *s, double *y);
  double (*cost)(const tb_integrator *); /* linear algebra so far, in units of a derivative evaluation */
  void (*close)(tb_integrator *);
} tb_integrator_kind;

extern const tb_integrator_kind tb_integrator_explicit, tb_integrator_stiff;
#endif

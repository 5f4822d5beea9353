/* An objective whose structure no graph over rows of inputs shows: it comes with functions of its own, and every method
 * works on it as on any other.  Square loss, float64, and a predictor (a vector of `inputs` numbers of which every
 * output is a linear function). */
#ifndef TB_OPTIM_STRUCTURE_H
#define TB_OPTIM_STRUCTURE_H

#include "optim/natural.h"

struct tb_structure {
  size_t rows, inputs, parameters; /* n, d, p */
  void *self;
  /* f[n] */
  tb_status (*outputs)(void *self, const double *theta, double *f);
  /* gradient[p] = Jᵀ c; f[n] may be NULL */
  tb_status (*pullback)(void *self, const double *theta, const double *c, double *f, double *gradient);
  /* f_dot[n] = J v */
  tb_status (*push)(void *self, const double *theta, const double *v, double *f_dot);
  /* descent[p] = Jᵀ r with r = factor·(y − f); with v: also product[p] = its derivative along v. */
  tb_status (*descent)(void *self, const double *theta, double factor, const double *v, double *descent,
                       double *product);
  /* beta[d]; beta_dot[d] = D v */
  tb_status (*predictor)(void *self, const double *theta, double *beta);
  tb_status (*predictor_push)(void *self, const double *theta, const double *v, double *beta_dot);
  /* As tb_natural_evaluate.  A Fisher matrix that is not defined here is refused by `accepts` (TB_USAGE). */
  tb_status (*accepts)(void *self, tb_fisher);
  tb_status (*natural)(void *self, tb_fisher, double damping, const double *theta, double *velocity,
                       double *velocity_beta, double *log_scale, tb_natural_report *, tb_natural_trouble *);
  void (*free)(void *self);
};

/* y[n] is copied.  The objective owns `self` from the call on, also where it fails. */
tb_status tb_objective_structured(tb_context *, const tb_structure *, const double *y, tb_objective **);
/* NULL for an objective made of a graph. */
const tb_structure *tb_objective_structure(const tb_objective *);

#endif

/* What a discrete method works with; private to the files of the methods. */
#ifndef TB_OPTIM_STEPPER_H
#define TB_OPTIM_STEPPER_H

#include "optim/method.h"

struct tb_stepper {
  tb_context *context;
  const tb_method *method;
  tb_method_options options;
  tb_objective *objective;
  tb_natural *natural; /* natural methods only */
  size_t p;
  double *descent; /* p: −∇L, or the natural gradient's velocity */
  tb_natural_report report;
};

extern const tb_method tb_method_gd, tb_method_momentum, tb_method_adam, tb_method_grouprms, tb_method_ngd,
    tb_method_gf, tb_method_ngf;

#endif

/* What a discrete method works with; private to the files of the methods. */
#ifndef TB_OPTIM_STEPPER_H
#define TB_OPTIM_STEPPER_H

#include "engine/kernels/kernels.h"
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
  const tb_kernels *kernels; /* float64 */
};

/* theta[p] += rate·direction[p], in one rounding where the processor has it */
void tb_stepper_move(const tb_stepper *, double rate, const double *direction, double *theta);

extern const tb_method tb_method_gd, tb_method_momentum, tb_method_adam, tb_method_grouprms, tb_method_ngd,
    tb_method_gf, tb_method_ngf;

#endif

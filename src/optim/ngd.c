/* Natural gradient descent with the exact Fisher matrix: θ_{k+1} = θ_k − η (F + λI)⁺ ∇L(θ_k). */
#include "optim/stepper.h"

static tb_status step(tb_stepper *s, uint64_t k, double *theta, double *state) {
  const tb_status status = tb_natural_velocity(s->natural, theta, s->descent, NULL, &s->report);
  if (status == TB_OK)
    tb_stepper_move(s, s->options.lr, s->descent, theta);
  return status;
}

const tb_method tb_method_ngd = {
  .name = "ngd",
  .summary = "natural gradient descent: exact Fisher matrix, pseudo-inverse or damped inverse",
  .formula = "θ ← θ − η (F + λI)⁺ ∇L(θ)",
  .source = "Kerekes, Mészáros and Huszár 2021; Amari 1998",
  .natural = true,
  .step = step,
};

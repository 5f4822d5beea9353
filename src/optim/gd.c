/* Gradient descent: θ_{k+1} = θ_k − η ∇L(θ_k). */
#include "optim/stepper.h"

static tb_status step(tb_stepper *s, uint64_t k, double *theta, double *state) {
  const tb_status status = tb_objective_descent(s->objective, theta, 0.0, s->descent);
  if (status == TB_OK)
    tb_stepper_move(s, s->options.lr, s->descent, theta);
  return status;
}

const tb_method tb_method_gd = {
  .name = "gd",
  .summary = "gradient descent with a fixed step size",
  .formula = "θ ← θ − η ∇L(θ)",
  .source = "Soudry et al. 2018, JMLR 19",
  .step = step,
};

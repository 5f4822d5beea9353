/* Gradient descent: θ_{k+1} = θ_k − η ∇L(θ_k). */
#include <math.h>

#include "optim/stepper.h"

static tb_status step(tb_stepper *s, uint64_t k, double *theta, double *state) {
  const tb_status status = tb_objective_descent(s->objective, theta, 0.0, s->descent);
  for (size_t i = 0; status == TB_OK && i < s->p; i++)
    theta[i] = fma(s->options.lr, s->descent[i], theta[i]);
  return status;
}

const tb_method tb_method_gd = {
  .name = "gd",
  .summary = "gradient descent with a fixed step size",
  .formula = "θ ← θ − η ∇L(θ)",
  .source = "Soudry et al. 2018, JMLR 19",
  .step = step,
};

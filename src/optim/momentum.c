/* Heavy-ball momentum (Polyak 1964): v_{k+1} = μ v_k − ∇L(θ_k), θ_{k+1} = θ_k + η v_{k+1}; v_0 = 0. */
#include "optim/stepper.h"

static tb_status step(tb_stepper *s, uint64_t k, double *theta, double *velocity) {
  const tb_status status = tb_objective_descent(s->objective, theta, 0.0, s->descent);
  for (size_t i = 0; status == TB_OK && i < s->p; i++)
    velocity[i] = s->options.momentum * velocity[i] + s->descent[i];
  if (status == TB_OK)
    tb_stepper_move(s, s->options.lr, velocity, theta);
  return status;
}

const tb_method tb_method_momentum = {
  .name = "momentum",
  .summary = "gradient descent with heavy-ball momentum",
  .formula = "v ← μ v − ∇L(θ), θ ← θ + η v",
  .source = "Polyak 1964",
  .state = 1,
  .step = step,
};

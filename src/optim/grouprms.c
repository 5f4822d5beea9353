/* RMSprop with one second moment for the whole gradient: normalised gradient descent with a memory.
 *
 *     v ← ρ v + (1 − ρ)‖g‖²,   θ ← θ − η g/(√v̂ + ε),   v̂ = v/(1 − ρᵗ)
 *
 * Every coordinate is scaled alike, so the path is gradient flow's in another time, which saddles do not slow down. */
#include <math.h>

#include "num/linear.h"
#include "optim/stepper.h"

static tb_status step(tb_stepper *s, uint64_t k, double *theta, double *state) {
  const tb_method_options *o = &s->options;
  const tb_status status = tb_objective_descent(s->objective, theta, 0.0, s->descent);
  if (status != TB_OK)
    return status;
  const double norm = tb_norm(s->p, s->descent);
  state[0] = fma(o->beta2, state[0], (1.0 - o->beta2) * norm * norm); /* the one number kept */
  const double rate = o->lr / (sqrt(state[0] / (1.0 - pow(o->beta2, (double)k + 1.0))) + o->epsilon);
  if (norm > 0)
    tb_stepper_move(s, rate, s->descent, theta);
  return TB_OK;
}

const tb_method tb_method_grouprms = {
  .name = "grouprms",
  .summary = "RMSprop with a single second moment for all parameters (its decay is beta2)",
  .formula = "v ← β₂ v + (1 − β₂)‖∇L‖²,  θ ← θ − η ∇L/(√v̂ + ε)",
  .source = "Arora, Cohen, Hu and Luo 2019, NeurIPS (their code)",
  .state = 1,
  .step = step,
};

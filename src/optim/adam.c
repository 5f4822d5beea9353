/* Adam with bias correction (Kingma and Ba 2015, algorithm 1), g = ∇L(θ_k), t = k + 1:
 *
 *     m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  θ ← θ − η m̂/(√v̂ + ε),  m̂ = m/(1 − β₁ᵗ),  v̂ = v/(1 − β₂ᵗ) */
#include <math.h>

#include "optim/stepper.h"

static tb_status step(tb_stepper *s, uint64_t k, double *theta, double *state) {
  const tb_method_options *o = &s->options;
  const tb_status status = tb_objective_descent(s->objective, theta, 0.0, s->descent);
  double *m = state, *v = state + s->p; /* m is kept of the descent direction −g */
  const double t = (double)k + 1.0;
  const double correct_m = 1.0 - pow(o->beta1, t), correct_v = 1.0 - pow(o->beta2, t);
  for (size_t i = 0; status == TB_OK && i < s->p; i++) {
    const double g = s->descent[i];
    m[i] = fma(o->beta1, m[i], (1.0 - o->beta1) * g);
    v[i] = fma(o->beta2, v[i], (1.0 - o->beta2) * g * g);
    if (m[i] != 0.0) /* a coordinate without gradient rests, with ε = 0 too */
      theta[i] += o->lr * (m[i] / correct_m) / (sqrt(v[i] / correct_v) + o->epsilon);
  }
  return status;
}

const tb_method tb_method_adam = {
  .name = "adam",
  .summary = "Adam: steps scaled by running moments of the gradient, with bias correction",
  .formula = "θ ← θ − η m̂/(√v̂ + ε)",
  .source = "Kingma and Ba 2015, ICLR",
  .state = 2,
  .step = step,
};

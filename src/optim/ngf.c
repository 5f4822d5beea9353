/* Natural gradient flow, θ' = −(F + λI)⁺∇L(θ).
 *
 * Without damping, training outputs move at unit rate and t itself is the clock.  With damping, and for the
 * population's Fisher matrix, F no longer vanishes as fast as ∇L: margins grow like log t, and the clock is s = log(1 +
 * t). */
#include <math.h>

#include "optim/stepper.h"
#include "optim/trajectory.h"

static bool log_clock(const tb_method_options *options) {
  return options->damping > 0 || options->fisher == TB_FISHER_POPULATION;
}

static tb_flow_kind kind(const tb_method_options *options) {
  return log_clock(options) ? TB_FLOW_AUTO : TB_FLOW_EXPLICIT;
}

static tb_status derivative(void *user, double s, const double *theta, double *dtheta) {
  tb_field_of_flow *field = user;
  double log_scale;
  const tb_status status =
      tb_natural_evaluate(field->natural, theta, dtheta, NULL, &log_scale, &field->last, &field->trouble);
  if (status != TB_OK)
    return status;
  if (field->trouble != TB_NATURAL_FINE)
    return TB_FAILED;
  const double log_factor = log_scale + (field->log_clock ? s : 0.0);
  const double factor = exp(log_factor);
  for (size_t k = 0; k < tb_objective_parameters(field->objective) && log_factor != 0.0; k++)
    dtheta[k] *= factor;
  return TB_OK;
}

static tb_status direction(tb_field_of_flow *field, const double *theta, double *velocity, double *velocity_beta) {
  double log_scale;
  const tb_status status =
      tb_natural_evaluate(field->natural, theta, velocity, velocity_beta, &log_scale, &field->last, &field->trouble);
  if (status == TB_OK && field->trouble != TB_NATURAL_FINE)
    return tb_fail(field->context, TB_FAILED, NULL, NULL, "the natural gradient has no direction here");
  return status;
}

static const tb_flow_velocity velocity_record = {
  .log_clock = log_clock,
  .kind = kind,
  .derivative = derivative,
  .direction = direction,
};

const tb_method tb_method_ngf = {
  .name = "ngf",
  .summary = "natural gradient flow: exact Fisher matrix, in continuous time",
  .formula = "θ' = −(F + λI)⁺ ∇L(θ)",
  .source = "Kerekes, Mészáros and Huszár 2021",
  .flow = true,
  .natural = true,
  .velocity = &velocity_record,
};

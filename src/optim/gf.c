/* Gradient flow, θ' = −∇L(θ), in s = log(1 + t): dθ/ds = e^s·(−∇L), with e^s inside the exponent of every residual.
 *
 * Margins of separable data grow like log t, that is, like s; the factor e^s σ(−m) neither over- nor underflows. */
#include "optim/stepper.h"
#include "optim/trajectory.h"

static bool log_clock(const tb_method_options *options) {
  return true;
}

static tb_flow_kind kind(const tb_method_options *options) {
  return TB_FLOW_AUTO;
}

static tb_status derivative(void *user, double s, const double *theta, double *dtheta) {
  return tb_objective_descent(((tb_field_of_flow *)user)->objective, theta, s, dtheta);
}

static tb_status jacobian_times(void *user, double s, const double *theta, const double *v, double *jv) {
  return tb_objective_descent_product(((tb_field_of_flow *)user)->objective, theta, s, v, jv);
}

static tb_status direction(tb_field_of_flow *field, const double *theta, double *velocity, double *velocity_beta) {
  tb_objective *o = field->objective;
  tb_status status = tb_objective_outputs(o, theta, field->f);
  if (status != TB_OK)
    return status;
  double log_scale;
  tb_objective_residual(o, field->f, field->r, &log_scale);
  status = tb_objective_pullback(o, theta, field->r, NULL, velocity);
  if (status == TB_OK && velocity_beta && tb_objective_has_predictor(o))
    status = tb_objective_predictor_push(o, theta, velocity, velocity_beta);
  return status;
}

static const tb_flow_velocity velocity_record = {
  .log_clock = log_clock,
  .kind = kind,
  .derivative = derivative,
  .jacobian_times = jacobian_times,
  .direction = direction,
};

const tb_method tb_method_gf = {
  .name = "gf",
  .summary = "gradient flow: gradient descent with infinitely small steps, in continuous time",
  .formula = "θ' = −∇L(θ)",
  .source = "Soudry et al. 2018, JMLR 19; Lyu and Li 2020, ICLR",
  .flow = true,
  .velocity = &velocity_record,
};

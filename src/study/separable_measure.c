/* What the study `separable` measures on a state: margins and loss, the predictor and its velocity, angles to limits.
 *
 * Nothing here knows how the state was reached.  The limits come from convex programming, once per run. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "num/linear.h"
#include "study/separable.h"

#define PAPER "Depth Without the Magic, 2021"

const tb_metric separable_metrics[] = {
  { "t", "", "time of a flow, steps of a discrete method", NULL, NULL },
  { "log_t", "", "natural logarithm of t; right where t is beyond 1e308", NULL, NULL },
  { "stopped", "", "what ended the run: time, steps, loss, margin or blow_up", NULL, NULL },
  { "loss", "nats", "mean logistic loss", "(1/n) Σ log(1 + e^{−m_i})", NULL },
  { "log_loss", "", "natural logarithm of the loss; right where the loss is below 1e-308", NULL, NULL },
  { "min_margin", "", "least margin", "min_i m_i", NULL },
  { "margins", "", "margins of all points", "m_i = y_i f(x_i)", NULL },
  { "law_error", "",
    "undamped natural gradient flow over the training inputs: worst margin against the law that holds where their rows "
    "are independent, relative",
    "m_i(t) = log((1 + e^{m_i(0)}) e^t − 1)", PAPER },
  { "law_rate_error", "", "the same of the velocity: spread of the margins' rates over those of the law, relative",
    "m_i'/(1 + e^{−m_i})", PAPER },
  { "beta", "", "predictor (none for mlp)", "f(x) = β·x", NULL },
  { "velocity", "", "unit vector along dβ/dt, or along the last step; NaN before the first step", NULL, NULL },
  { "rank", "", "rank of the weighted system that the natural gradient solved; of X for other methods", NULL, NULL },
  { "full_rank", "", "what full rank would be", NULL, NULL },
  { "condition", "", "condition number of what was factored; of X for methods without a Fisher matrix", NULL, NULL },
  { "angle_to.l2_svm", "degrees", "β to the l2 maximum-margin predictor", "min ½‖b‖² s.t. z_i·b ≥ 1", NULL },
  { "angle_to.l1_svm", "degrees", "β to the l1 maximum-margin predictor", "min ‖b‖₁ s.t. z_i·b ≥ 1", NULL },
  { "angle_to.linf_svm", "degrees", "β to the maximum-margin predictor of the l-infinity norm",
    "min ‖b‖_∞ s.t. z_i·b ≥ 1", NULL },
  { "angle_to.min_norm", "degrees", "β to the least-squares fit of the labels", "X⁺y", NULL },
  { "angle_to.min_l1", "degrees", "β to the interpolator of the labels of least l1 norm", "min ‖b‖₁ s.t. x_i·b = y_i",
    NULL },
  { "angle_to.lp_limit", "degrees", "β to the limit of natural gradient flow from this start",
    "min g₀·b s.t. z_i·b ≥ 1, g₀ = Σ σ(−m_i(0)) z_i", PAPER },
  { "velocity_angle_to.NAME", "degrees", "the same angles of the velocity, which converges much faster", NULL, NULL },
  { "angle_to_gradient", "degrees", "velocity to −∇L, both in predictor space; 0 for gradient flow of β itself", NULL,
    NULL },
  { "test_error", "", "share of new points with another label than the teacher's (data=sparse)",
    "angle(β, teacher)/π; mlp: on 1000 new points", NULL },
  { "velocity_test_error", "", "the same of the velocity: where the error goes", "angle(dβ/dt, teacher)/π", NULL },
  { "separable", "", "1 when some predictor separates the data, else 0", NULL, NULL },
  { "certificate", "", "of data that are not separable: weights c ≥ 0 with Σc = 1, Σ c_i z_i = 0", NULL, NULL },
  { "reference.NAME", "", "the limits themselves, in the scale of their programme (margins at least 1)", NULL, NULL },
  { "reference.lp_dual", "", "multipliers of the limit programme", "c ≥ 0, Σ c_i z_i = g₀", PAPER },
  { "reference.lp_offset", "", "offset of natural gradient flow from its slope; NaN where the vertex is degenerate",
    "β(t) = b t + offset + o(1), z_i·offset = −log c_i on the active rows", PAPER },
};
_Static_assert(sizeof separable_metrics / sizeof *separable_metrics == SEPARABLE_METRICS, "metrics are counted");

tb_status separable_look(separable *s, const double *theta, double *log_loss, double *margin) {
  tb_status status = tb_objective_outputs(s->objective, theta, s->f);
  *margin = INFINITY;
  *log_loss = NAN;
  if (status)
    return status;
  for (size_t i = 0; i < s->n; i++) {
    s->margins[i] = s->problem->y[i] * s->f[i];
    if (!isfinite(s->margins[i]))
      return tb_fail(s->context, TB_FAILED, NULL,
                     s->method->flow ? NULL : "lower lr=", "the model's outputs are not finite any more");
    *margin = fmin(*margin, s->margins[i]);
  }
  *log_loss = tb_objective_log_loss(s->objective, s->f);
  return TB_OK;
}

/* −∇_β L up to a positive factor: Σ σ(−m_i) z_i with the largest weight at 1. */
static void descent_direction(separable *s) {
  const double *m = s->margins;
  double scale = -INFINITY;
  for (size_t i = 0; i < s->n; i++)
    scale = fmax(scale, -tb_softplus_scalar(m[i]));
  memset(s->descent, 0, s->d * sizeof *s->descent);
  for (size_t i = 0; i < s->n; i++) {
    double weight = exp(-tb_softplus_scalar(m[i]) - scale); /* σ(−m) = e^{−softplus(m)} */
    for (size_t j = 0; j < s->d; j++)
      s->descent[j] = fma(weight, s->problem->z[i * s->d + j], s->descent[j]);
  }
}

static tb_status measure_angles(separable *s, const char *prefix, const double *direction, tb_metrics *metrics) {
  tb_status status = TB_OK;
  for (int i = 0; i < TB_LIMITS && !status; i++) {
    const double *limit;
    char name[64];
    snprintf(name, sizeof name, "%s.%s", prefix, tb_limit_name((tb_limit)i));
    status = tb_limits_solution(s->limits, (tb_limit)i, &limit);
    if (!status)
      status = tb_metrics_real(metrics, name, tb_angle_degrees(s->d, direction, limit));
  }
  return status;
}

static tb_status measure_references(separable *s, tb_metrics *metrics) {
  bool separated;
  const double *certificate, *dual, *offset, *limit;
  tb_status status = tb_limits_separable(s->limits, &separated, &certificate);
  if (!status)
    status = tb_metrics_integer(metrics, "separable", separated);
  if (!status && certificate)
    status = tb_metrics_vector(metrics, "certificate", s->n, certificate);
  for (int i = 0; i < TB_LIMITS && !status; i++) {
    char name[64];
    snprintf(name, sizeof name, "reference.%s", tb_limit_name((tb_limit)i));
    status = tb_limits_solution(s->limits, (tb_limit)i, &limit);
    if (!status)
      status = tb_metrics_vector(metrics, name, s->d, limit);
  }
  if (status || (status = tb_limits_programme(s->limits, &dual, &offset)) ||
      (status = tb_metrics_vector(metrics, "reference.lp_dual", s->n, dual)))
    return status;
  return tb_metrics_vector(metrics, "reference.lp_offset", s->d, offset);
}

static double angle_share(const separable *s, const double *direction) {
  return tb_angle_degrees(s->d, direction, s->problem->teacher) / 180;
}

static tb_status measure_predictor(separable *s, const tb_path_state *state, tb_metrics *metrics) {
  tb_status status = tb_objective_predictor(s->objective, state->theta, s->beta, NULL);
  double *velocity = tb_allocate(s->context, s->d, sizeof *velocity);
  if (!velocity)
    status = TB_NO_MEMORY;
  double length = !status && state->velocity ? tb_norm(s->d, state->velocity) : 0;
  for (size_t j = 0; !status && j < s->d; j++)
    velocity[j] = length > 0 ? state->velocity[j] / length : NAN;
  descent_direction(s);
  if (status || (status = tb_metrics_vector(metrics, "beta", s->d, s->beta)) ||
      (status = tb_metrics_vector(metrics, "velocity", s->d, velocity)) ||
      (status = measure_angles(s, "angle_to", s->beta, metrics)) ||
      (status = measure_angles(s, "velocity_angle_to", velocity, metrics)) ||
      (status = tb_metrics_real(metrics, "angle_to_gradient", tb_angle_degrees(s->d, velocity, s->descent))))
    goto done;
  if (s->problem->teacher && ((status = tb_metrics_real(metrics, "test_error", angle_share(s, s->beta))) ||
                              (status = tb_metrics_real(metrics, "velocity_test_error", angle_share(s, velocity)))))
    goto done;
  status = measure_references(s, metrics);
done:
  tb_release(s->context, velocity);
  return status;
}

static tb_status measure_fresh(separable *s, const double *theta, tb_metrics *metrics) {
  size_t count = tb_objective_rows(s->fresh), wrong = 0;
  double *f = tb_allocate(s->context, count, sizeof *f);
  if (!f)
    return TB_NO_MEMORY;
  tb_status status = tb_objective_outputs(s->fresh, theta, f);
  for (size_t i = 0; i < count; i++)
    wrong += f[i] * tb_objective_y(s->fresh)[i] <= 0;
  tb_release(s->context, f);
  return status ? status : tb_metrics_real(metrics, "test_error", (double)wrong / (double)count);
}

static tb_status measure_rank(separable *s, const tb_path_state *state, tb_metrics *metrics) {
  tb_natural_report report = state->report;
  if (report.full_rank == 0 && s->limits) /* no Fisher matrix: the inputs themselves */
    report = (tb_natural_report){ .rank = tb_limits_rank(s->limits),
                                  .full_rank = s->n < s->d ? s->n : s->d,
                                  .condition = tb_limits_condition(s->limits) };
  if (report.full_rank == 0)
    return TB_OK;
  tb_status status = tb_metrics_integer(metrics, "rank", (int64_t)report.rank);
  if (!status)
    status = tb_metrics_integer(metrics, "full_rank", (int64_t)report.full_rank);
  return status ? status : tb_metrics_real(metrics, "condition", report.condition);
}

double separable_law_margin(double start, double t) {
  double lift = t + tb_softplus_scalar(start);
  return !(t > 0) ? start : lift > 0.5 ? lift + log1p(-exp(-lift)) : log(expm1(lift));
}

/* Largest less smallest of m_i'/(1 + e^{−m_i}), relative to the largest: 0 where all rows are independent. */
static tb_status measure_law_rate(separable *s, const tb_path_state *state, tb_metrics *metrics) {
  double *rate = tb_allocate(s->context, s->n, sizeof *rate), least = INFINITY, most = 0;
  if (!rate)
    return TB_NO_MEMORY;
  tb_status status = tb_objective_push(s->objective, state->theta, state->direction, rate);
  for (size_t i = 0; !status && i < s->n; i++) {
    double ratio = s->problem->y[i] * rate[i] * exp(-tb_softplus_scalar(-s->margins[i])); /* σ(m) = 1/(1 + e^{−m}) */
    least = fmin(least, ratio);
    most = fmax(most, fabs(ratio));
  }
  tb_release(s->context, rate);
  return status ? status : tb_metrics_real(metrics, "law_rate_error", (most - least) / most);
}

static tb_status measure_law(separable *s, const tb_path_state *state, tb_metrics *metrics) {
  bool lawful = s->method->flow && s->method->natural && s->options.damping == 0 &&
                (s->options.fisher == TB_FISHER_PREDICTOR || s->options.fisher == TB_FISHER_PARAMETER);
  double worst = 0;
  if (!lawful)
    return TB_OK;
  for (size_t i = 0; i < s->n; i++) {
    double expected = separable_law_margin(s->start_margins[i], state->t);
    worst = fmax(worst, fabs(s->margins[i] - expected) / fmax(1, fabs(expected)));
  }
  tb_status status = tb_metrics_real(metrics, "law_error", worst);
  return status || !state->direction ? status : measure_law_rate(s, state, metrics);
}

tb_status separable_measure(separable *s, const tb_path_state *state, tb_metrics *metrics) {
  double log_loss, margin;
  tb_status status = separable_look(s, state->theta, &log_loss, &margin);
  if (status || (status = tb_metrics_real(metrics, "t", state->t)) ||
      (status = tb_metrics_real(metrics, "log_t", state->log_t)) ||
      (status = tb_metrics_real(metrics, "loss", exp(log_loss))) ||
      (status = tb_metrics_real(metrics, "log_loss", log_loss)) ||
      (status = tb_metrics_real(metrics, "min_margin", margin)) ||
      (status = tb_metrics_vector(metrics, "margins", s->n, s->margins)) || (status = measure_law(s, state, metrics)) ||
      (status = measure_rank(s, state, metrics)))
    return status;
  if (s->limits)
    return measure_predictor(s, state, metrics);
  return s->fresh ? measure_fresh(s, state->theta, metrics) : TB_OK;
}

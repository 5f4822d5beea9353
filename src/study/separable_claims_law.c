/* Claims on natural gradient flow and descent along the way: the law of margins, the straight ray, one trajectory.
 *
 * With L and F means over the same points every training point's error probability obeys σ(−m_i(t)) = σ(−m_i(0)) e^{−t}
 * where the rows are independent, and Σ σ(−m_i(t)) z_i = e^{−t} Σ σ(−m_i(0)) z_i always.  The references are those
 * closed forms, X⁺ by LAPACK, and Newton's method on the convex function whose minimum is β(t). */
#include <float.h>
#include <math.h>
#include <string.h>

#include "num/linear.h"
#include "study/separable_claims.h"

static double relative_error(double value, double reference) {
  return fabs(value - reference) / fmax(1, fabs(reference));
}

/* ---- σ(−m_i(t)) = σ(−m_i(0)) e^{−t} ---- */

static bool lawful(const tb_config *config) {
  return tb_config_is(config, "method", "ngf") && config_undamped(config) &&
         (tb_config_is(config, "fisher", "predictor") || tb_config_is(config, "fisher", "parameter"));
}

/* Independent rows: of the data for linear predictors, of the Jacobian as every evaluation reported it for an MLP. */
static bool has_full_rank(const evidence *e, const tb_outcome *outcome) {
  if (!tb_config_is(outcome->config, "model", "mlp"))
    return e->rank == e->distinct;
  for (size_t k = 0; k < e->points; k++)
    if (tb_metrics_get(evidence_point(e, k), "rank") < (double)e->distinct)
      return false;
  return true;
}

static tb_status measure_margin_law(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  evidence e;
  tb_status status = evidence_open(&e, context, outcome);
  *value = *reference = 0;
  if (status || !e.margins0 || !has_full_rank(&e, outcome)) {
    evidence_close(&e);
    return status ? status : evidence_skip(value, reference);
  }
  for (size_t k = 0; k < e.points; k++) {
    const tb_metrics *point = evidence_point(&e, k);
    const double *m = evidence_vector(point, "margins", e.n);
    for (size_t i = 0; i < e.n; i++) {
      double expected = separable_law_margin(e.margins0[i], tb_metrics_get(point, "t"));
      *value = fmax(*value, m ? relative_error(m[i], expected) : INFINITY);
    }
  }
  evidence_close(&e);
  return status;
}

#define LAW_CLAIM(model, heading, extra)                                                                               \
  static int arm_law_##model(const tb_config *config) {                                                                \
    return lawful(config) && tb_config_is(config, "model", #model) ? 0 : -1;                                           \
  }                                                                                                                    \
  const tb_claim claim_margin_law_##model = {                                                                          \
    .id = "separable.margin_law." #model,                                                                              \
    .statement = "Natural gradient flow of the " #model " model: every training point's error probability falls as "   \
                 "exp(-t), whatever the start" extra,                                                                  \
    .source = PAPER_NGD "; derived for every model whose Jacobian has full row rank",                                  \
    .reference = "closed form m(t) = log((1 + e^m(0)) e^t - 1); value: worst relative error of a margin",              \
    .group = heading,                                                                                                  \
    .kind = TB_CLAIM_AT_MOST,                                                                                          \
    .tolerance = 1e-9,                                                                                                 \
    .unit = "",                                                                                                        \
    .arm = arm_law_##model,                                                                                            \
    .measure = measure_margin_law,                                                                                     \
  }
LAW_CLAIM(linear, ABSTRACT_SEPARABLE, "");
LAW_CLAIM(diagonal, ABSTRACT_SEPARABLE, "");
LAW_CLAIM(dense, ABSTRACT_SEPARABLE, "");
LAW_CLAIM(mlp, ABSTRACT_NONLINEAR, ", as long as there are enough parameters");

/* ---- ∇L(t) = e^{−t} ∇L(0), any number of points ---- */

static int arm_gradient_law(const tb_config *config) {
  return lawful(config) && !tb_config_is(config, "model", "mlp") ? 0 : -1;
}

/* out = Σ e^{shift} σ(−m_i) z_i */
static void weighted_rows(const evidence *e, const double *margins, double shift, double *out) {
  memset(out, 0, e->d * sizeof *out);
  for (size_t i = 0; i < e->n; i++) {
    double weight = exp(shift + log_error_probability(margins[i]));
    for (size_t j = 0; j < e->d; j++)
      out[j] = fma(weight, e->problem->z[i * e->d + j], out[j]);
  }
}

/* Condition of Σ e^t σ(−m_i) z_i in relative rounding of the margins: Σ e^t σ(−m_i) σ(m_i) |m_i| ‖z_i‖ over ‖g₀‖.  On
 * separable data it grows like t, on others like e^t, for there the gradient vanishes by cancellation. */
static double gradient_condition(const evidence *e, const double *margins, double t, double size) {
  double sum = 0;
  for (size_t i = 0; i < e->n; i++)
    sum += exp(t + log_error_probability(margins[i]) + log_error_probability(-margins[i])) * fmax(1, fabs(margins[i])) *
           tb_norm(e->d, e->problem->z + i * e->d);
  return sum / size;
}

static tb_status measure_gradient_law(tb_context *context, const tb_outcome *outcome, double *value,
                                      double *reference) {
  evidence e;
  tb_status status = evidence_open(&e, context, outcome);
  double *g0 = status ? NULL : tb_arena_allocate(e.arena, 2 * e.d, sizeof *g0), *g = g0 ? g0 + e.d : NULL;
  *value = *reference = 0;
  if (!status && !g0)
    status = TB_NO_MEMORY;
  if (status || !e.margins0) {
    evidence_close(&e);
    return status ? status : evidence_skip(value, reference);
  }
  weighted_rows(&e, e.margins0, 0, g0);
  for (size_t k = 0; k < e.points; k++) {
    const double *m = evidence_vector(evidence_point(&e, k), "margins", e.n);
    if (!m) {
      *value = INFINITY;
      continue;
    }
    double t = tb_metrics_get(evidence_point(&e, k), "t"), size = tb_norm(e.d, g0);
    weighted_rows(&e, m, t, g);
    for (size_t j = 0; j < e.d; j++)
      g[j] -= g0[j];
    *value = fmax(*value, tb_norm(e.d, g) / size / fmax(1, gradient_condition(&e, m, t, size)));
  }
  evidence_close(&e);
  return TB_OK;
}

const tb_claim claim_gradient_law = {
  .id = "separable.gradient_law",
  .statement =
      "Natural gradient flow keeps the direction of the loss gradient and shrinks it as exp(-t), for any number "
      "of points and every parametrisation",
  .source = "derived: the Fisher matrix of training inputs is the Hessian of the logistic loss (continuous Newton)",
  .reference =
      "closed form e^t grad L(t) = grad L(0) from the recorded margins; value: worst relative deviation over its "
      "condition, the factor by which rounding of the margins is amplified",
  .group = ABSTRACT_INVARIANT,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-9,
  .unit = "",
  .arm = arm_gradient_law,
  .measure = measure_gradient_law,
};

/* ---- n ≤ d: the straight ray from the origin, and the closed form from any start ---- */

static bool on_predictor_path(const tb_config *config) {
  return config_flow(config, "ngf", "predictor", NULL) && config_undamped(config);
}

static int arm_ray(const tb_config *config) {
  return on_predictor_path(config) && config_starts_at_zero(config) ? 0 : -1;
}

static tb_status measure_ray(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  evidence e;
  const double *slope = NULL;
  tb_status status = evidence_open(&e, context, outcome);
  *value = *reference = 0;
  if (!status)
    status = tb_limits_solution(e.limits, TB_LIMIT_MIN_NORM, &slope);
  if (status || e.rank < e.distinct) {
    evidence_close(&e);
    return status ? status : evidence_skip(value, reference);
  }
  for (size_t k = 0; k < e.points; k++) {
    const double *beta = evidence_vector(evidence_point(&e, k), "beta", e.d);
    double t = tb_metrics_get(evidence_point(&e, k), "t"), along = t > 0 ? separable_law_margin(0, t) : 0;
    for (size_t j = 0; j < e.d; j++)
      *value = fmax(*value, beta ? relative_error(beta[j], along * slope[j]) : INFINITY);
  }
  evidence_close(&e);
  return status;
}

const tb_claim claim_ray = {
  .id = "separable.ngf_ray",
  .statement = "From the origin, with no more points than features, natural gradient flow runs along the straight ray "
               "log(2 e^t - 1) X+ y at every depth",
  .source = PAPER_NGD "; derived",
  .reference = "X+ y by LAPACK's complete orthogonal factorisation times the closed form; value: worst relative error",
  .group = ABSTRACT_SEPARABLE,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-9,
  .unit = "",
  .arm = arm_ray,
  .measure = measure_ray,
};

/* β(t) = (I − X⁺X) β(0) + X⁺ (y∘m(t)) = β(0) + X⁺ (y∘(m(t) − m(0))), into out. */
static tb_status closed_form(const evidence *e, double t, double *out) {
  double *change = tb_allocate(e->context, e->n, sizeof *change);
  if (!change)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < e->n; i++)
    change[i] = e->problem->y[i] * (t > 0 ? separable_law_margin(e->margins0[i], t) - e->margins0[i] : 0);
  tb_status status = tb_least_squares(e->context, e->n, e->d, e->problem->x, 1, change, 0, out, NULL, NULL);
  for (size_t j = 0; !status && j < e->d; j++)
    out[j] += e->beta0[j];
  tb_release(e->context, change);
  return status;
}

static tb_status measure_trajectory(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  evidence e;
  tb_status status = evidence_open(&e, context, outcome);
  double *expected = status ? NULL : tb_arena_allocate(e.arena, e.d, sizeof *expected);
  *value = *reference = 0;
  if (!status && !expected)
    status = TB_NO_MEMORY;
  if (status || !e.beta0 || !e.margins0 || e.rank < e.distinct) {
    evidence_close(&e);
    return status ? status : evidence_skip(value, reference);
  }
  for (size_t k = 0; k < e.points && !status; k++) {
    const double *beta = evidence_vector(evidence_point(&e, k), "beta", e.d);
    status = closed_form(&e, tb_metrics_get(evidence_point(&e, k), "t"), expected);
    for (size_t j = 0; j < e.d; j++)
      *value = fmax(*value, beta ? relative_error(beta[j], expected[j]) : INFINITY);
  }
  evidence_close(&e);
  return status;
}

#define TRAJECTORY_CLAIM(model)                                                                                        \
  static int arm_trajectory_##model(const tb_config *config) {                                                         \
    return on_predictor_path(config) && tb_config_is(config, "model", #model) ? 0 : -1;                                \
  }                                                                                                                    \
  const tb_claim claim_trajectory_##model = {                                                                          \
    .id = "separable.one_trajectory." #model,                                                                          \
    .statement = "Natural gradient flow of the " #model " model follows, from its own start, the trajectory of the "   \
                 "linear model (no more points than features)",                                                        \
    .source = PAPER_NGD "; derived",                                                                                   \
    .reference = "closed form (I - X+ X) beta(0) + X+ (y m(t)), X+ by LAPACK; value: worst relative error",            \
    .group = ABSTRACT_INVARIANT,                                                                                       \
    .kind = TB_CLAIM_AT_MOST,                                                                                          \
    .tolerance = 1e-9,                                                                                                 \
    .unit = "",                                                                                                        \
    .arm = arm_trajectory_##model,                                                                                     \
    .measure = measure_trajectory,                                                                                     \
  }
TRAJECTORY_CLAIM(linear);
TRAJECTORY_CLAIM(diagonal);
TRAJECTORY_CLAIM(dense);

/* ---- n > d: β(t) minimises Σ log(1 + e^{−m_i}) + e^{−t} g₀·β ---- */

/* φ at beta, its gradient (e^{−t} g₀ − Σ σ(−m_i) z_i) and Hessian Zᵀ diag(σ(m)σ(−m)) Z. */
static double tilted_loss(const evidence *e, const double *tilt, const double *beta, double *gradient,
                          double *hessian) {
  size_t d = e->d;
  double total = tb_dot(d, tilt, beta);
  memcpy(gradient, tilt, d * sizeof *gradient);
  memset(hessian, 0, d * d * sizeof *hessian);
  for (size_t i = 0; i < e->n; i++) {
    const double *z = e->problem->z + i * d;
    double m = tb_dot(d, z, beta), wrong = exp(-tb_softplus_scalar(m)), right = exp(-tb_softplus_scalar(-m));
    total += tb_softplus_scalar(-m);
    for (size_t j = 0; j < d; j++) {
      gradient[j] -= wrong * z[j];
      for (size_t k = 0; k <= j; k++)
        hessian[j * d + k] += wrong * right * z[j] * z[k];
    }
  }
  return total;
}

/* Newton's method with halving from the beta given; where rounding hides the decrease the steps are taken whole, until
 * they shrink no more. */
static tb_status minimise_tilted(const evidence *e, const double *tilt, double *beta, bool *found) {
  size_t d = e->d;
  *found = false;
  double *work = tb_allocate(e->context, 3 * d + d * d, sizeof *work);
  if (!work)
    return TB_NO_MEMORY;
  double *gradient = work, *step = work + d, *trial = work + 2 * d, *hessian = work + 3 * d, last = INFINITY;
  tb_status status = TB_OK;
  for (int iteration = 0; iteration < 100 && !status && !*found; iteration++) {
    double before = tilted_loss(e, tilt, beta, gradient, hessian);
    bool definite;
    memcpy(step, gradient, d * sizeof *step);
    status = tb_cholesky_factor(e->context, d, hessian, &definite);
    if (status || !definite)
      break;
    tb_cholesky_solve(d, hessian, 1, step);
    double decrement = tb_dot(d, gradient, step), scale = 1, size = tb_norm(d, step) / fmax(1, tb_norm(d, beta));
    bool hidden = decrement <= 16 * DBL_EPSILON * fabs(before);
    for (; scale > 1e-9; scale /= 2) {
      for (size_t j = 0; j < d; j++)
        trial[j] = beta[j] - scale * step[j];
      if (hidden || tilted_loss(e, tilt, trial, gradient, hessian) <= before - 0.25 * scale * decrement)
        break;
    }
    memcpy(beta, trial, d * sizeof *beta);
    *found = size <= 1e-12 || (hidden && size >= last / 2);
    last = size;
  }
  tb_release(e->context, work);
  return status;
}

/* Later the Hessian's conditioning, e^{(ρ − 1) t}, would spoil the reference. */
static const double newton_most_time = 6;

static tb_status measure_newton_path(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  evidence e;
  tb_status status = evidence_open(&e, context, outcome);
  double *beta = status ? NULL : tb_arena_allocate(e.arena, 3 * e.d, sizeof *beta);
  *value = *reference = 0;
  if (!status && !beta)
    status = TB_NO_MEMORY;
  if (status || !e.beta0 || !e.margins0 || e.rank < e.d || e.distinct <= e.d) {
    evidence_close(&e);
    return status ? status : evidence_skip(value, reference);
  }
  double *tilt = beta + e.d, *g0 = beta + 2 * e.d;
  memcpy(beta, e.beta0, e.d * sizeof *beta);
  weighted_rows(&e, e.margins0, 0, g0);
  size_t compared = 0;
  for (size_t k = 0; k < e.points && !status; k++) {
    const double *seen = evidence_vector(evidence_point(&e, k), "beta", e.d);
    double t = tb_metrics_get(evidence_point(&e, k), "t");
    bool found;
    if (!(t <= newton_most_time))
      break;
    for (size_t j = 0; j < e.d; j++)
      tilt[j] = exp(-t) * g0[j];
    status = minimise_tilted(&e, tilt, beta, &found);
    for (size_t j = 0; j < e.d && found; j++)
      *value = fmax(*value, seen ? relative_error(seen[j], beta[j]) : INFINITY);
    compared += found;
  }
  evidence_close(&e);
  return status ? status : compared ? TB_OK : evidence_skip(value, reference);
}

const tb_claim claim_newton_path = {
  .id = "separable.one_trajectory.many_points",
  .statement = "With more points than features natural gradient flow follows one trajectory for every parametrisation: "
               "the minima of loss + e^-t g0.beta",
  .source = "derived: for canonical links the flow is continuous Newton",
  .reference =
      "Newton's method on that convex function at each time, from the run's start; value: worst relative error",
  .group = ABSTRACT_INVARIANT,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-8,
  .unit = "",
  .arm = arm_gradient_law,
  .measure = measure_newton_path,
};

/* ---- discrete natural gradient descent ---- */

static bool steps_in_predictor_space(const tb_config *config) {
  return tb_config_is(config, "method", "ngd") && tb_config_is(config, "fisher", "predictor") &&
         config_undamped(config) && tb_config_is(config, "dtype", "float64");
}

static int arm_ngd_linear(const tb_config *config) {
  return steps_in_predictor_space(config) && tb_config_is(config, "model", "linear") ? 0 : -1;
}

static int arm_ngd_direction(const tb_config *config) {
  return config_starts_at_zero(config) ? arm_ngd_linear(config) : -1;
}

static tb_status measure_ngd_direction(tb_context *context, const tb_outcome *outcome, double *value,
                                       double *reference) {
  evidence e;
  const double *slope = NULL;
  tb_status status = evidence_open(&e, context, outcome);
  *value = *reference = 0;
  if (!status)
    status = tb_limits_solution(e.limits, TB_LIMIT_MIN_NORM, &slope);
  if (status || e.rank < e.distinct) {
    evidence_close(&e);
    return status ? status : evidence_skip(value, reference);
  }
  for (size_t k = 0; k < e.points; k++) {
    const double *beta = evidence_vector(evidence_point(&e, k), "beta", e.d);
    if (tb_metrics_get(evidence_point(&e, k), "t") > 0)
      *value = fmax(*value, beta ? tb_angle_degrees(e.d, beta, slope) : INFINITY);
  }
  evidence_close(&e);
  return status;
}

const tb_claim claim_ngd_direction = {
  .id = "separable.ngd_direction",
  .statement =
      "Natural gradient descent from the origin points along X+ y after every step, whatever the learning rate",
  .source = "derived",
  .reference = "X+ y by LAPACK; value: largest angle to it",
  .group = ABSTRACT_SEPARABLE,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-9,
  .unit = "degrees",
  .arm = arm_ngd_direction,
  .measure = measure_ngd_direction,
};

static tb_status measure_ngd_recursion(tb_context *context, const tb_outcome *outcome, double *value,
                                       double *reference) {
  evidence e;
  tb_status status = evidence_open(&e, context, outcome);
  double *m = status ? NULL : tb_arena_allocate(e.arena, e.n, sizeof *m), lr = tb_config_real(outcome->config, "lr");
  *value = *reference = 0;
  if (!status && !m)
    status = TB_NO_MEMORY;
  if (status || !e.margins0 || e.rank < e.distinct) {
    evidence_close(&e);
    return status ? status : evidence_skip(value, reference);
  }
  memcpy(m, e.margins0, e.n * sizeof *m);
  double step = 0;
  for (size_t k = 0; k < e.points; k++) {
    const double *seen = evidence_vector(evidence_point(&e, k), "margins", e.n);
    for (double t = tb_metrics_get(evidence_point(&e, k), "t"); step < t; step++)
      for (size_t i = 0; i < e.n; i++)
        m[i] += lr * (1 + exp(-m[i]));
    for (size_t i = 0; i < e.n; i++)
      *value = fmax(*value, seen ? relative_error(seen[i], m[i]) : INFINITY);
  }
  evidence_close(&e);
  return status;
}

const tb_claim claim_ngd_recursion = {
  .id = "separable.ngd_recursion",
  .statement = "A step of natural gradient descent moves every margin by lr (1 + e^-m), each point on its own",
  .source = "derived",
  .reference = "that recursion from the run's own start; value: worst relative error of a margin",
  .group = ABSTRACT_SEPARABLE,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-9,
  .unit = "",
  .arm = arm_ngd_linear,
  .measure = measure_ngd_recursion,
};

/* Approximate invariance: a deep parametrisation leaves the flow's curve by O(lr) at the same time lr·steps. */
static int arm_ngd_order(const tb_config *config) {
  return steps_in_predictor_space(config) && tb_config_is(config, "model", "diagonal") ? 0 : -1;
}

static tb_status measure_ngd_order(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  evidence e;
  tb_status status = evidence_open(&e, context, outcome);
  double *expected = status ? NULL : tb_arena_allocate(e.arena, e.d, sizeof *expected);
  double lr = tb_config_real(outcome->config, "lr"), t = lr * tb_metrics_get(outcome->metrics, "t");
  if (!status && !expected)
    status = TB_NO_MEMORY;
  const double *beta = status ? NULL : evidence_vector(outcome->metrics, "beta", e.d);
  if (status || !e.margins0 || !e.beta0 || !beta || !(t > 0) || e.rank < e.distinct) {
    evidence_close(&e);
    return status ? status : evidence_skip(value, reference);
  }
  status = closed_form(&e, t, expected);
  for (size_t j = 0; j < e.d; j++)
    expected[j] -= beta[j];
  *value = log(tb_norm(e.d, expected));
  *reference = log(lr);
  evidence_close(&e);
  return status;
}

const tb_claim claim_ngd_order = {
  .id = "separable.ngd_order",
  .statement =
      "Natural gradient descent of a diagonal network leaves the flow's trajectory by an amount of first order in "
      "the learning rate: invariance is approximate",
  .source = PAPER_NGD " (approximately invariant); derived",
  .reference = "closed form of the flow at the time lr times steps; value: slope of log distance over log lr",
  .group = ABSTRACT_INVARIANT,
  .kind = TB_CLAIM_SLOPE,
  .tolerance = 0.15,
  .unit = "",
  .min_seeds = 5,
  .arm = arm_ngd_order,
  .measure = measure_ngd_order,
};

/* Claims on what the word Fisher hides: inverted in parameter space, taken over the population, taken from the observed
 * labels; and on damping, which turns natural gradient flow into gradient flow at a margin that its size sets. */
#include <math.h>
#include <string.h>

#include "num/linear.h"
#include "num/reference.h"
#include "study/separable_claims.h"

#define DEGREES (180 / M_PI)

/* ---- parameter space: the depth bias survives off the training points ---- */

static int arm_parameter(const tb_config *config) {
  return config_flow(config, "ngf", "parameter", "diagonal") && tb_config_integer(config, "depth") == 2 &&
                 config_undamped(config) && config_starts_at_zero(config)
             ? 0
             : -1;
}

static tb_status measure_parameter_l1(tb_context *context, const tb_outcome *outcome, double *value,
                                      double *reference) {
  enum { FACTOR = 3 }; /* to leading order */
  evidence e;
  tb_reference l1 = { 0 };
  bool judged = false;
  tb_status status = evidence_open(&e, context, outcome);
  double t = tb_metrics_get(outcome->metrics, "t");
  double *one = status ? NULL : tb_arena_allocate(e.arena, e.distinct, sizeof *one);
  if (!status && !one)
    status = TB_NO_MEMORY;
  for (size_t i = 0; !status && i < e.distinct; i++)
    one[i] = 1;
  if (!status && t >= 1000 && e.rank == e.distinct)
    status = tb_interpolate_l1(context, e.distinct, e.d, e.z, one, &l1);
  if (!status && l1.b && l1.unique) {
    const double *velocity = evidence_vector(outcome->metrics, "velocity", e.d);
    *value = velocity ? tb_angle_degrees(e.d, velocity, l1.b) : INFINITY;
    status = separable_sparse_leftover(&e, l1.b, t, tb_config_real(outcome->config, "init"), reference);
    judged = *reference < 5;
    *reference *= FACTOR;
  }
  tb_reference_free(context, &l1);
  evidence_close(&e);
  return status || judged ? status : evidence_skip(value, reference);
}

const tb_claim claim_parameter_l1 = {
  .id = "separable.parameter_fisher_l1",
  .statement =
      "With the pseudo-inverse taken in parameter space natural gradient flow of the diagonal network ends on the "
      "least-l1 interpolator: the depth bias survives",
  .source = "derived",
  .reference =
      "linear programme and its dual: coordinates off the support die as (t/init^2)^(|dual_j| - 1); value: angle "
      "of the velocity to the programme's solution",
  .group = BEYOND_FISHER,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-2,
  .unit = "degrees",
  .arm = arm_parameter,
  .measure = measure_parameter_l1,
};

/* ---- population Fisher: F(β) = a (I − β̂β̂ᵀ) + c β̂β̂ᵀ for x ~ N(0, I) ---- */

static int arm_population(const tb_config *config) {
  return config_flow(config, "ngf", "population", NULL) && config_undamped(config) ? 0 : -1;
}

/* a = E s(ρg), c = E g² s(ρg), s = σ(1 − σ), g ~ N(0, 1): the trapezoidal rule in u = ρg, which converges
 * exponentially for integrands analytic in a strip. */
static void population_moments(double rho, double *a, double *c) {
  enum { NODES = 8000 };
  *a = *c = 0.25;
  if (rho < 1e-6)
    return;
  double reach = fmin(45, 40 * rho), h = 2 * reach / NODES, sum_a = 0, sum_c = 0;
  for (int i = 0; i <= NODES; i++) {
    double u = -reach + h * i, g = u / rho;
    double weight = exp(-tb_softplus_scalar(u) - tb_softplus_scalar(-u) - 0.5 * g * g) / sqrt(2 * M_PI);
    sum_a += weight;
    sum_c += weight * g * g;
  }
  *a = sum_a * h / rho;
  *c = sum_c * h / rho;
}

/* Splits −∇L(β) of the recorded margins into its part along β (returned) and across (norm in *across);
 * out = F⁻¹(−∇L). */
static double population_split(const evidence *e, const double *beta, const double *margins, double *out,
                               double *across) {
  double rho = tb_norm(e->d, beta), a, c, along = 0, scale = -INFINITY;
  population_moments(rho, &a, &c);
  for (size_t i = 0; i < e->n; i++)
    scale = fmax(scale, log_error_probability(margins[i]));
  memset(out, 0, e->d * sizeof *out);
  for (size_t i = 0; i < e->n; i++)
    for (size_t j = 0; j < e->d; j++)
      out[j] += exp(log_error_probability(margins[i]) - scale) * e->problem->z[i * e->d + j];
  if (rho > 0)
    along = tb_dot(e->d, out, beta) / rho;
  double squares = 0;
  for (size_t j = 0; j < e->d; j++) {
    double unit = rho > 0 ? beta[j] / rho : 0, rest = out[j] - along * unit;
    squares += rest * rest;
    out[j] = rest / a + along * unit / c;
  }
  *across = sqrt(squares);
  return along;
}

static tb_status measure_population_velocity(tb_context *context, const tb_outcome *outcome, double *value,
                                             double *reference) {
  evidence e;
  tb_status status = evidence_open(&e, context, outcome);
  double *expected = status ? NULL : tb_arena_allocate(e.arena, e.d, sizeof *expected), across;
  *value = *reference = 0;
  if (!status && !expected)
    status = TB_NO_MEMORY;
  for (size_t k = 0; !status && k < e.points; k++) {
    const tb_metrics *point = evidence_point(&e, k);
    const double *beta = evidence_vector(point, "beta", e.d), *margins = evidence_vector(point, "margins", e.n);
    const double *velocity = evidence_vector(point, "velocity", e.d);
    if (beta && margins && velocity) {
      population_split(&e, beta, margins, expected, &across);
      *value = fmax(*value, tb_angle_degrees(e.d, velocity, expected));
    } else
      *value = INFINITY;
  }
  evidence_close(&e);
  return status;
}

const tb_claim claim_population_velocity = {
  .id = "separable.population_velocity",
  .statement =
      "Under the Fisher matrix of x ~ N(0, I) the flow's velocity is a (1/a, 1/c) stretch of -grad L across and "
      "along beta, for every parametrisation",
  .source = "derived",
  .reference = "a = E s(rho g) and c = E g^2 s(rho g) by the trapezoidal rule; value: largest angle to that velocity",
  .group = BEYOND_FISHER,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-6,
  .unit = "degrees",
  .arm = arm_population,
  .measure = measure_population_velocity,
};

/* dβ̂/dρ = (c/aρ) tan φ with c/a ≈ π²/3ρ² and φ the angle of −∇L to β: from ρ₁ on the direction can turn by no more than
 * (π²/6)(ρ₁⁻² − ρ_T⁻²) max tan φ. */
static tb_status measure_population_freezes(tb_context *context, const tb_outcome *outcome, double *value,
                                            double *reference) {
  static const double first_norm = 5, asymptotic = 1.3, most_degrees = 10;
  evidence e;
  tb_status status = evidence_open(&e, context, outcome);
  double *unused = status ? NULL : tb_arena_allocate(e.arena, e.d, sizeof *unused);
  const double *first = NULL, *last = NULL;
  double steepest = 0;
  if (!status && !unused)
    status = TB_NO_MEMORY;
  for (size_t k = 0; !status && k < e.points; k++) {
    const double *beta = evidence_vector(evidence_point(&e, k), "beta", e.d);
    const double *margins = evidence_vector(evidence_point(&e, k), "margins", e.n);
    if (!beta || !margins || tb_norm(e.d, beta) < first_norm)
      continue;
    double across, along = population_split(&e, beta, margins, unused, &across);
    first = first ? first : beta;
    last = beta;
    steepest = fmax(steepest, along > 0 ? across / along : INFINITY);
  }
  bool judged = false;
  if (!status && first && tb_norm(e.d, last) > 1.5 * tb_norm(e.d, first)) {
    double from = tb_norm(e.d, first), to = tb_norm(e.d, last);
    *value = tb_angle_degrees(e.d, first, last);
    *reference = asymptotic * DEGREES * M_PI * M_PI / 6 * (1 / (from * from) - 1 / (to * to)) * steepest;
    judged = *reference < most_degrees;
  }
  evidence_close(&e);
  return status || judged ? status : evidence_skip(value, reference);
}

const tb_claim claim_population_freezes = {
  .id = "separable.population_freezes",
  .statement =
      "Under the population Fisher matrix the direction freezes: it turns by no more than the inverse square of "
      "its length allows",
  .source = "derived",
  .reference = "bound (pi^2/6)(1/rho_1^2 - 1/rho_T^2) max tan(angle of -grad L to beta), asymptotic factor 1.3; value: "
               "degrees turned since rho = 5",
  .group = BEYOND_FISHER,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-6,
  .unit = "degrees",
  .arm = arm_population,
  .measure = measure_population_freezes,
};

static tb_status measure_population_end(tb_context *context, const tb_outcome *outcome, double *value,
                                        double *reference) {
  static const double far = 10;
  evidence e;
  const double *limit[2] = { NULL, NULL }, *beta = NULL;
  tb_status status = evidence_open(&e, context, outcome);
  if (!status)
    beta = evidence_vector(outcome->metrics, "beta", e.d);
  bool judged = beta && tb_norm(e.d, beta) >= far && e.distinct > 1 && e.rank == e.distinct;
  if (judged && !(status = tb_limits_solution(e.limits, TB_LIMIT_L2_SVM, &limit[0])) &&
      !(status = tb_limits_solution(e.limits, TB_LIMIT_MIN_NORM, &limit[1]))) {
    *value = fmin(tb_angle_degrees(e.d, beta, limit[0]), tb_angle_degrees(e.d, beta, limit[1]));
    *reference = 1;
  }
  evidence_close(&e);
  return status || judged ? status : evidence_skip(value, reference);
}

const tb_claim claim_population_end = {
  .id = "separable.population_end",
  .statement = "Where it freezes is neither the maximum-margin predictor nor X+ y",
  .source = "derived",
  .reference = "quadratic programme and LAPACK; value: the smaller angle to the two, at least one degree",
  .group = BEYOND_FISHER,
  .kind = TB_CLAIM_AT_LEAST,
  .tolerance = 0,
  .unit = "degrees",
  .arm = arm_population,
  .measure = measure_population_end,
};

/* ---- empirical Fisher: loss_i(t) = loss_i(0) − t, over at log(1 + e^{−m_i(0)}) ---- */

static int arm_empirical(const tb_config *config) {
  return config_flow(config, "ngf", "empirical", NULL) && config_undamped(config) ? 0 : -1;
}

static bool empirical_applies(const evidence *e) {
  return e->margins0 && (e->rank == e->distinct || tb_config_is(e->outcome->config, "model", "mlp"));
}

static double empirical_end(const evidence *e) {
  double end = INFINITY;
  for (size_t i = 0; i < e->n; i++)
    end = fmin(end, tb_softplus_scalar(-e->margins0[i]));
  return end;
}

static tb_status measure_empirical_blow_up(tb_context *context, const tb_outcome *outcome, double *value,
                                           double *reference) {
  evidence e;
  bool judged = false;
  tb_status status = evidence_open(&e, context, outcome);
  if (!status && empirical_applies(&e)) {
    tb_metric_value stopped = tb_metrics_find(outcome->metrics, "stopped");
    bool blew_up = stopped.name && stopped.words && strcmp(stopped.words[0], "blow_up") == 0;
    *reference = empirical_end(&e);
    *value = blew_up ? tb_metrics_get(outcome->metrics, "t") : INFINITY;
    judged = blew_up || tb_metrics_get(outcome->metrics, "t") > *reference;
  }
  evidence_close(&e);
  return status || judged ? status : evidence_skip(value, reference);
}

const tb_claim claim_empirical_blow_up = {
  .id = "separable.empirical_blow_up",
  .statement =
      "With the Fisher matrix of the observed labels the flow is another method: from the origin it blows up at "
      "t = log 2",
  .source = "derived; Kunstner, Balles and Hennig 2019 on the empirical Fisher",
  .reference = "closed form min_i log(1 + e^-m_i(0)), log 2 from the origin; value: time of the blow-up",
  .group = BEYOND_FISHER,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 1e-7,
  .unit = "",
  .arm = arm_empirical,
  .measure = measure_empirical_blow_up,
};

static tb_status measure_empirical_loss(tb_context *context, const tb_outcome *outcome, double *value,
                                        double *reference) {
  static const double clear = 1e-3; /* before the end, where margins still are numbers one can compare */
  evidence e;
  tb_status status = evidence_open(&e, context, outcome);
  bool judged = !status && empirical_applies(&e);
  *value = *reference = 0;
  for (size_t k = 0; judged && k < e.points; k++) {
    const double *m = evidence_vector(evidence_point(&e, k), "margins", e.n);
    double t = tb_metrics_get(evidence_point(&e, k), "t");
    if (t > empirical_end(&e) - clear)
      break;
    for (size_t i = 0; i < e.n; i++)
      *value = fmax(*value, m ? fabs(tb_softplus_scalar(-m[i]) - tb_softplus_scalar(-e.margins0[i]) + t) : INFINITY);
  }
  evidence_close(&e);
  return status || judged ? status : evidence_skip(value, reference);
}

const tb_claim claim_empirical_loss = {
  .id = "separable.empirical_loss",
  .statement = "Until then every training point's loss falls at unit rate, a straight line to zero",
  .source = "derived",
  .reference = "closed form loss_i(t) = loss_i(0) - t; value: worst deviation",
  .group = BEYOND_FISHER,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-9,
  .unit = "nats",
  .arm = arm_empirical,
  .measure = measure_empirical_loss,
};

/* ---- damping ---- */

static int arm_damping(const tb_config *config) {
  return config_flow(config, "ngf", "predictor", NULL) && !config_undamped(config) && config_starts_at_zero(config)
             ? 0
             : -1;
}

/* Angle between Σ s_k u_k/(s_k² + μ) v_k, the damped velocity while all margins are equal, and Σ s_k u_k v_k, its −∇L;
 * s singular values of Z, u_k the sums of its left singular vectors, μ = nλ/σ(m)σ(−m). */
static double damped_angle(size_t r, const double *s, const double *u, double mu) {
  double dot = 0, one = 0, two = 0;
  for (size_t k = 0; k < r; k++) {
    double gradient = s[k] * u[k], velocity = gradient / (s[k] * s[k] + mu);
    dot += gradient * velocity;
    one += gradient * gradient;
    two += velocity * velocity;
  }
  return DEGREES * acos(fmin(1, dot / sqrt(one * two)));
}

/* The undamped angle and the μ at which half of it is left, by bisection in log μ.  r ≤ n rows independent. */
static tb_status half_way(const evidence *e, double *undamped, double *kappa) {
  size_t r = e->distinct;
  double *z = tb_allocate(e->context, r * e->d, sizeof *z), *s = tb_allocate(e->context, r, sizeof *s);
  double *left = tb_allocate(e->context, r * r, sizeof *left), *u = tb_allocate(e->context, r, sizeof *u);
  tb_status status = TB_NO_MEMORY;
  if (z && s && left && u) {
    memcpy(z, e->z, r * e->d * sizeof *z);
    status = tb_singular_values(e->context, r, e->d, z, s, left, NULL);
  }
  for (size_t i = 0; !status && i < r; i++)
    for (size_t k = 0; k < r; k++)
      u[k] += left[i * r + k];
  if (!status) {
    *undamped = damped_angle(r, s, u, 0);
    double low = log(s[r - 1] * s[r - 1]) - 30, high = log(s[0] * s[0]) + 30;
    for (int i = 0; i < 200; i++) {
      double middle = (low + high) / 2;
      *(damped_angle(r, s, u, exp(middle)) > *undamped / 2 ? &low : &high) = middle;
    }
    *kappa = exp(low);
  }
  tb_release(e->context, z);
  tb_release(e->context, s);
  tb_release(e->context, left);
  tb_release(e->context, u);
  return status;
}

/* The least margin at which the recorded angle to −∇L falls to `level`; NaN: it never does, or there is no angle yet.
 */
static double crossing_margin(const evidence *e, double level) {
  double before_angle = NAN, before_margin = NAN;
  for (size_t k = 0; k < e->points; k++) {
    double angle = tb_metrics_get(evidence_point(e, k), "angle_to_gradient");
    double margin = tb_metrics_get(evidence_point(e, k), "min_margin");
    if (angle <= level)
      return before_margin + (margin - before_margin) * (before_angle - level) / (before_angle - angle);
    before_angle = angle;
    before_margin = margin;
  }
  return NAN;
}

/* *prediction = log(κ/nλ), the margin at which σ(m)σ(−m) ≈ e^{−m} has made μ = κ; both NaN where the run has no
 * crossing to speak of: dependent or repeated rows, gradient and natural gradient parallel from the start, or a run cut
 * short. */
static tb_status find_crossing(tb_context *context, const tb_outcome *outcome, double *crossing, double *prediction) {
  static const double least_angle = 1, least_margin = 2;
  evidence e;
  double undamped = 0, kappa = NAN, damping = tb_config_real(outcome->config, "damping");
  *crossing = *prediction = NAN;
  tb_status status = evidence_open(&e, context, outcome);
  if (!status && e.rank == e.n)
    status = half_way(&e, &undamped, &kappa);
  if (!status && undamped >= least_angle) {
    *prediction = log(kappa / ((double)e.n * damping));
    *crossing = crossing_margin(&e, undamped / 2);
    bool cut_short = isnan(*crossing) && tb_metrics_get(outcome->metrics, "min_margin") < *prediction + 2;
    if (*prediction < least_margin || cut_short)
      *crossing = *prediction = NAN;
  }
  evidence_close(&e);
  return status;
}

const tb_claim claim_damping_crossing = {
  .id = "separable.damping_crossing",
  .statement =
      "Damping lambda turns natural gradient flow into gradient flow at a least margin of log(kappa/(n lambda))",
  .source = "derived",
  .reference =
      "kappa from the singular values of Z: where half of the undamped angle to -grad L is left with all margins "
      "equal; value: margin at which the flow's angle has halved",
  .group = BEYOND_FISHER,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 3,
  .unit = "",
  .arm = arm_damping,
  .measure = find_crossing,
};

static tb_status measure_damping_slope(tb_context *context, const tb_outcome *outcome, double *value,
                                       double *reference) {
  tb_status status = find_crossing(context, outcome, value, reference);
  if (!status && !isnan(*reference))
    *reference = -log(tb_config_real(outcome->config, "damping"));
  return status;
}

const tb_claim claim_damping_slope = {
  .id = "separable.damping_slope",
  .statement = "That margin moves with log(1/lambda), one for one",
  .source = "derived",
  .reference = "slope 1; value: slope of the crossing margin over log(1/lambda), fitted in each seed",
  .group = BEYOND_FISHER,
  .kind = TB_CLAIM_SLOPE,
  .tolerance = 0.05,
  .unit = "",
  .min_seeds = 5,
  .arm = arm_damping,
  .measure = measure_damping_slope,
};

/* Past the crossing the angle to −∇L dies as e^{−(m − m_×)}. */
static tb_status measure_damping_turns(tb_context *context, const tb_outcome *outcome, double *value,
                                       double *reference) {
  double crossing, prediction, margin = tb_metrics_get(outcome->metrics, "min_margin");
  tb_status status = find_crossing(context, outcome, &crossing, &prediction);
  if (status)
    return status;
  if (isnan(prediction) || margin < prediction + 5)
    return evidence_skip(value, reference);
  *value = tb_metrics_get(outcome->metrics, "angle_to_gradient");
  *reference = 180 * exp(prediction - margin);
  return TB_OK;
}

const tb_claim claim_damping_turns = {
  .id = "separable.damping_turns",
  .statement = "Past that margin the damped flow moves along -grad L: it has become gradient flow",
  .source = "derived",
  .reference =
      "the angle dies as e^-(m - crossing), from at most 180 degrees; value: angle of the velocity to -grad L at "
      "the end",
  .group = BEYOND_FISHER,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-6,
  .unit = "degrees",
  .arm = arm_damping,
  .measure = measure_damping_turns,
};

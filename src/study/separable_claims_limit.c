/* Claims on where natural gradient flow ends, read from the velocity: on X⁺y or a vertex of a linear programme.
 *
 * A limit is judged only on runs that have gone far enough; how far is computed from the limit's own dual, never from
 * the distance that is to be judged. */
#include <math.h>
#include <string.h>

#include "num/linear.h"
#include "study/separable_claims.h"

/* ---- n > d: the vertex of the limit programme, and its offset ---- */

static int arm_lp(const tb_config *config) {
  bool fisher = tb_config_is(config, "fisher", "predictor") || tb_config_is(config, "fisher", "parameter");
  return tb_config_is(config, "method", "ngf") && fisher && config_undamped(config) &&
                 !tb_config_is(config, "model", "mlp")
             ? 0
             : -1;
}

/* The other rows' share of the gradient, exp(−(ρ_i − 1) t − z_i·b₁) against the least multiplier, has died. */
static bool reached_vertex(const evidence *e, const double *b, const double *dual, const double *offset, double t) {
  double least = INFINITY;
  for (size_t i = 0; i < e->n; i++)
    if (tb_dot(e->d, e->problem->z + i * e->d, b) < 1 + 1e-9)
      least = fmin(least, dual[i]);
  for (size_t i = 0; i < e->n; i++) {
    const double *z = e->problem->z + i * e->d;
    double rho = tb_dot(e->d, z, b), margin = rho * t + tb_dot(e->d, z, offset);
    if (rho < 1 + 1e-9 ? margin < separable_negligible : margin - t + log(least) < separable_negligible)
      return false;
  }
  return true;
}

/* The programme of a run with more points than features that has reached its vertex; *b NULL: not such a run. */
static tb_status programme_of(evidence *e, const double **b, const double **offset) {
  const double *dual, *slope;
  *b = NULL;
  if (!e->margins0 || !e->beta0 || e->rank < e->d || e->distinct <= e->d)
    return TB_OK;
  tb_status status = tb_limits_solution(e->limits, TB_LIMIT_LP, &slope);
  if (!status)
    status = tb_limits_programme(e->limits, &dual, offset);
  if (status || !tb_limits_unique(e->limits, TB_LIMIT_LP) || isnan((*offset)[0]))
    return status;
  if (reached_vertex(e, slope, dual, *offset, tb_metrics_get(e->outcome->metrics, "t")))
    *b = slope;
  return TB_OK;
}

static tb_status measure_lp_vertex(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  evidence e;
  const double *b = NULL, *offset;
  tb_status status = evidence_open(&e, context, outcome);
  if (!status)
    status = programme_of(&e, &b, &offset);
  if (!status && b) {
    const double *velocity = evidence_vector(outcome->metrics, "velocity", e.d);
    *value = velocity ? tb_angle_degrees(e.d, velocity, b) : INFINITY;
    *reference = 0;
  }
  evidence_close(&e);
  return status || b ? status : evidence_skip(value, reference);
}

const tb_claim claim_lp_vertex = {
  .id = "separable.ngf_lp_vertex",
  .statement = "With more points than features natural gradient flow goes to the vertex of min g0.b s.t. z_i.b >= 1, "
               "which depends on the start through g0",
  .source = PAPER_NGD "; derived",
  .reference = "linear programme (simplex, polished by LAPACK); value: angle of the velocity to its vertex",
  .group = ABSTRACT_SEPARABLE,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-6,
  .unit = "degrees",
  .arm = arm_lp,
  .measure = measure_lp_vertex,
};

static tb_status measure_lp_offset(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  evidence e;
  const double *b = NULL, *offset;
  tb_status status = evidence_open(&e, context, outcome);
  if (!status)
    status = programme_of(&e, &b, &offset);
  if (!status && b) {
    const double *beta = evidence_vector(outcome->metrics, "beta", e.d);
    double t = tb_metrics_get(outcome->metrics, "t"), largest = 1;
    *value = *reference = 0;
    for (size_t j = 0; j < e.d; j++)
      largest = fmax(largest, fabs(b[j] * t));
    for (size_t j = 0; j < e.d; j++)
      *value = fmax(*value, beta ? fabs(beta[j] - b[j] * t - offset[j]) / largest : INFINITY);
  }
  evidence_close(&e);
  return status || b ? status : evidence_skip(value, reference);
}

const tb_claim claim_lp_offset = {
  .id = "separable.ngf_lp_offset",
  .statement = "Its distance from the ray through that vertex is the offset that the programme's dual gives: "
               "z_i.offset = -log c_i on the active points",
  .source = "derived",
  .reference = "dual of the linear programme; value: largest |beta(t) - b t - offset| over the largest |b t|",
  .group = ABSTRACT_SEPARABLE,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-9,
  .unit = "",
  .arm = arm_lp,
  .measure = measure_lp_offset,
};

/* ---- NGF = SVM exactly when (ZZᵀ)⁻¹1 ≥ 0 ---- */

static int arm_svm_iff(const tb_config *config) {
  return config_flow(config, "ngf", "predictor", NULL) && config_undamped(config) ? 0 : -1;
}

/* least entry of (ZZᵀ)⁻¹1 over the largest */
static tb_status support_sign(const evidence *e, double *sign) {
  size_t n = e->distinct;
  double *kernel = tb_allocate(e->context, n * n, sizeof *kernel), *alpha = tb_allocate(e->context, n, sizeof *alpha);
  tb_status status = TB_NO_MEMORY;
  bool singular = true;
  if (kernel && alpha) {
    tb_gemm(false, true, n, n, e->d, 1, e->z, e->z, 0, kernel);
    for (size_t i = 0; i < n; i++)
      alpha[i] = 1;
    status = tb_lu_solve(e->context, n, kernel, 1, alpha, &singular);
  }
  double least = INFINITY, largest = 0;
  for (size_t i = 0; !status && i < n; i++) {
    least = fmin(least, alpha[i]);
    largest = fmax(largest, fabs(alpha[i]));
  }
  *sign = singular ? NAN : least / largest;
  tb_release(e->context, kernel);
  tb_release(e->context, alpha);
  return status;
}

static tb_status measure_svm_iff(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  evidence e;
  double sign = NAN;
  const double *svm = NULL, *velocity = NULL;
  tb_status status = evidence_open(&e, context, outcome);
  bool settled = config_starts_at_zero(outcome->config) || tb_metrics_get(outcome->metrics, "t") > separable_negligible;
  bool fits = !status && settled && e.rank == e.distinct;
  if (fits && !(status = support_sign(&e, &sign)))
    status = tb_limits_solution(e.limits, TB_LIMIT_L2_SVM, &svm);
  if (fits && !status) {
    velocity = evidence_vector(outcome->metrics, "velocity", e.d);
    *value = velocity ? tb_angle_degrees(e.d, velocity, svm) < 1e-5 : NAN;
    *reference = sign >= 0;
  }
  evidence_close(&e);
  return status || (fits && fabs(sign) > 1e-9) ? status : evidence_skip(value, reference);
}

const tb_claim claim_ngf_svm_iff = {
  .id = "separable.ngf_is_svm_only_if",
  .statement = "Natural gradient flow ends on the maximum-margin predictor exactly when every entry of (Z Z^T)^-1 1 is "
               "non-negative, else on another one",
  .source = "derived",
  .reference = "sign of (Z Z^T)^-1 1 by LU (1: the same predictor, 0: another); value: 1 when the velocity is within "
               "1e-5 degrees of the quadratic programme's solution",
  .group = ABSTRACT_SEPARABLE,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 0,
  .unit = "",
  .arm = arm_svm_iff,
  .measure = measure_svm_iff,
};

/* ---- a user's data ---- */

static int arm_real_data(const tb_config *config) {
  return config_flow(config, "ngf", "predictor", NULL) && config_undamped(config) &&
                 !tb_config_is(config, "data", "sparse")
             ? 0
             : -1;
}

static tb_status measure_real_data(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  evidence e;
  const double *svm = NULL, *vertex = NULL, *offset;
  tb_status status = evidence_open(&e, context, outcome);
  if (!status)
    status = programme_of(&e, &vertex, &offset);
  if (!status && vertex)
    status = tb_limits_solution(e.limits, TB_LIMIT_L2_SVM, &svm);
  if (!status && svm) {
    const double *velocity = evidence_vector(outcome->metrics, "velocity", e.d);
    *value = velocity ? tb_angle_degrees(e.d, velocity, svm) : INFINITY;
    *reference = tb_angle_degrees(e.d, vertex, svm);
  }
  evidence_close(&e);
  return status || svm ? status : evidence_skip(value, reference);
}

const tb_claim claim_real_data_ends = {
  .id = "separable.ngf_svm_angle.own_data",
  .statement = "On a user's data with more points than features natural gradient flow parts from the maximum-margin "
               "predictor, where gradient descent goes, by the angle between two convex programmes",
  .source = PAPER_NGD,
  .reference =
      "angle between the vertex of the linear programme and the solution of the quadratic one; value: angle of the "
      "velocity to the latter",
  .group = ABSTRACT_INVARIANT,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 1e-6,
  .unit = "degrees",
  .arm = arm_real_data,
  .measure = measure_real_data,
};

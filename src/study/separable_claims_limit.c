/* Claims on where flows end, read from the velocity: natural gradient flow on X⁺y or a vertex of a linear programme,
 * gradient flow on the maximum-margin predictor of its parametrisation.
 *
 * A limit is judged only on runs that have gone far enough; how far is computed from the limit's own dual, never from
 * the distance that is to be judged. */
#include <math.h>
#include <string.h>

#include "num/linear.h"
#include "num/reference.h"
#include "study/separable_claims.h"

static const double negligible = 25; /* e^-25 = 1.4e-11 */

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
    if (rho < 1 + 1e-9 ? margin < negligible : margin - t + log(least) < negligible)
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
  bool settled = config_starts_at_zero(outcome->config) || tb_metrics_get(outcome->metrics, "t") > negligible;
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

/* ---- gradient flow: l2 maximum margin for linear and dense models ---- */

/* Weights on the support relax as e^{−μ M} with μ the least eigenvalue of √α ZZᵀ √α, other points die as
 * e^{−(z_i·b − 1) M}, M the least margin. */
static tb_status reached_svm(const evidence *e, double margin, const double **b, bool *reached) {
  size_t n = e->distinct, support = 0;
  tb_reference svm = { 0 };
  double *kernel = tb_allocate(e->context, n * n, sizeof *kernel), *eigen = tb_allocate(e->context, n, sizeof *eigen);
  size_t *row = tb_allocate(e->context, n, sizeof *row);
  tb_status status = kernel && eigen && row ? tb_svm_l2(e->context, n, e->d, e->z, &svm) : TB_NO_MEMORY;
  *reached = !status && svm.b != NULL;
  for (size_t i = 0; !status && svm.b && i < n; i++) {
    double rho = tb_dot(e->d, e->z + i * e->d, svm.b);
    if (rho < 1 + 1e-9)
      row[support++] = i;
    else if ((rho - 1) * margin < negligible)
      *reached = false;
  }
  for (size_t i = 0; i < support; i++)
    for (size_t j = 0; j < support; j++)
      kernel[i * support + j] =
          sqrt(svm.dual[row[i]] * svm.dual[row[j]]) * tb_dot(e->d, e->z + row[i] * e->d, e->z + row[j] * e->d);
  if (!status && *reached && support) {
    status = tb_symmetric_eigen(e->context, support, kernel, eigen, NULL);
    *reached = !status && eigen[0] * margin >= negligible;
  }
  if (!status && *reached)
    status = tb_limits_solution(e->limits, TB_LIMIT_L2_SVM, b);
  tb_reference_free(e->context, &svm);
  tb_release(e->context, kernel);
  tb_release(e->context, eigen);
  tb_release(e->context, row);
  return status;
}

static tb_status measure_gf_l2(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  evidence e;
  const double *b = NULL;
  bool reached = false;
  tb_status status = evidence_open(&e, context, outcome);
  double margin = tb_metrics_get(outcome->metrics, "min_margin");
  bool dense = tb_config_is(outcome->config, "model", "dense"); /* its layers align as 1/M */
  if (!status && margin >= (dense ? 1000 : negligible))
    status = reached_svm(&e, margin, &b, &reached);
  if (!status && reached) {
    const double *velocity = evidence_vector(outcome->metrics, "velocity", e.d);
    *value = velocity ? tb_angle_degrees(e.d, velocity, b) : INFINITY;
    *reference = 0;
  }
  evidence_close(&e);
  return status || reached ? status : evidence_skip(value, reference);
}

static int arm_gf_linear(const tb_config *config) {
  return config_flow(config, "gf", NULL, "linear") ? 0 : -1;
}

static int arm_gf_dense(const tb_config *config) {
  return config_flow(config, "gf", NULL, "dense") ? 0 : -1;
}

const tb_claim claim_gf_l2_linear = {
  .id = "separable.gf_l2_svm.linear",
  .statement = "Gradient flow of the linear model ends on the l2 maximum-margin predictor, whatever its start",
  .source = "Soudry et al. 2018",
  .reference = "quadratic programme (active set, polished by LAPACK); value: angle of the velocity to its solution",
  .group = ABSTRACT_BIAS,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-6,
  .unit = "degrees",
  .arm = arm_gf_linear,
  .measure = measure_gf_l2,
};

const tb_claim claim_gf_l2_dense = {
  .id = "separable.gf_l2_svm.dense",
  .statement = "Gradient flow of a dense linear network of any depth ends on the l2 maximum-margin predictor",
  .source = "Gunasekar et al. 2018; Ji and Telgarsky 2019",
  .reference = "quadratic programme (active set, polished by LAPACK); value: angle of the velocity to its solution",
  .group = ABSTRACT_BIAS,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-3,
  .unit = "degrees",
  .arm = arm_gf_dense,
  .measure = measure_gf_l2,
};

/* ---- sparse ends of the diagonal network of depth two ---- */

/* Coordinates off the support of a sparse limit b with multipliers c die as (scale/init²)^(|Zᵀc|_j − 1).  Returns the
 * angle (degrees) that those left over open, with a factor for what the power law leaves open. */
double separable_sparse_leftover(const evidence *e, const double *b, const double *dual, double scale, double init) {
  enum { FACTOR = 4 };
  double largest = 0, off = 0, on = 0;
  for (size_t j = 0; j < e->d; j++)
    largest = fmax(largest, fabs(b[j]));
  for (size_t j = 0; j < e->d; j++) {
    double slope = 0;
    for (size_t i = 0; i < e->distinct; i++)
      slope = fma(dual[i], e->z[i * e->d + j], slope);
    double power = largest * pow(scale / (init * init), fabs(slope) - 1);
    if (fabs(b[j]) > 1e-9 * largest)
      on += b[j] * b[j];
    else
      off += power * power;
  }
  return FACTOR * 180 / M_PI * atan2(sqrt(off), sqrt(on));
}

static int arm_gf_diagonal(const tb_config *config) {
  return config_flow(config, "gf", NULL, "diagonal") && tb_config_integer(config, "depth") == 2 &&
                 config_starts_at_zero(config)
             ? 0
             : -1;
}

static tb_status measure_gf_l1(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  enum { MOST_DEGREES = 20 };
  evidence e;
  tb_reference svm = { 0 };
  bool judged = false;
  tb_status status = evidence_open(&e, context, outcome);
  double margin = tb_metrics_get(outcome->metrics, "min_margin");
  if (!status && margin >= 1000)
    status = tb_svm_l1(context, e.distinct, e.d, e.z, &svm);
  if (!status && svm.b && svm.unique) {
    const double *velocity = evidence_vector(outcome->metrics, "velocity", e.d);
    *value = velocity ? tb_angle_degrees(e.d, velocity, svm.b) : INFINITY;
    *reference = separable_sparse_leftover(&e, svm.b, svm.dual, margin, tb_config_real(outcome->config, "init"));
    judged = *reference < MOST_DEGREES;
  }
  tb_reference_free(context, &svm);
  evidence_close(&e);
  return status || judged ? status : evidence_skip(value, reference);
}

const tb_claim claim_gf_l1_diagonal = {
  .id = "separable.gf_l1_svm.diagonal",
  .statement =
      "Gradient flow of the diagonal network of depth two ends on the sparse l1 maximum-margin predictor, at the "
      "rate that the linear programme's dual gives",
  .source = "Gunasekar et al. 2018; Woodworth et al. 2020",
  .reference =
      "linear programme and its dual: coordinates off the support die as (margin/init^2)^(|dual_j| - 1); value: "
      "angle of the velocity to the programme's solution",
  .group = ABSTRACT_BIAS,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-2,
  .unit = "degrees",
  .arm = arm_gf_diagonal,
  .measure = measure_gf_l1,
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
  const double *svm = NULL, *velocity = NULL;
  tb_status status = evidence_open(&e, context, outcome);
  bool separated = false;
  if (!status)
    status = tb_limits_separable(e.limits, &separated, NULL);
  bool fits = !status && separated && e.distinct > e.d;
  if (fits)
    status = tb_limits_solution(e.limits, TB_LIMIT_L2_SVM, &svm);
  if (fits && !status && (velocity = evidence_vector(outcome->metrics, "velocity", e.d))) {
    *value = tb_angle_degrees(e.d, velocity, svm);
    *reference = 1;
  }
  evidence_close(&e);
  return status || velocity ? status : evidence_skip(value, reference);
}

const tb_claim claim_real_data_ends = {
  .id = "separable.ngf_is_not_svm.real_data",
  .statement =
      "On measured data with more points than features natural gradient flow heads more than a degree away from "
      "the maximum-margin predictor, where gradient descent goes",
  .source = PAPER_NGD,
  .reference = "quadratic programme; value: angle of the velocity to its solution, at least one degree",
  .group = ABSTRACT_INVARIANT,
  .kind = TB_CLAIM_AT_LEAST,
  .tolerance = 0,
  .unit = "degrees",
  .arm = arm_real_data,
  .measure = measure_real_data,
};

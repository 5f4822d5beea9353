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

/* Of a dense network's layers, entries N(0, init²), what is not aligned stays as large as it began while the aligned
 * part grows to (M ‖b‖)^{1/L}: degrees left, with the Frobenius norm of a layer's start for its largest part. */
static double unaligned(const evidence *e, const double *b, double margin) {
  const tb_config *config = e->outcome->config;
  double start = tb_config_real(config, "init") * sqrt((double)e->d + (double)tb_config_integer(config, "width"));
  double aligned = pow(margin * tb_norm(e->d, b), 1 / (double)tb_config_integer(config, "depth"));
  return 180 / M_PI * atan(start / aligned);
}

static tb_status measure_gf_l2(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  evidence e;
  const double *b = NULL;
  bool reached = false;
  tb_status status = evidence_open(&e, context, outcome);
  double margin = tb_metrics_get(outcome->metrics, "min_margin");
  bool dense = tb_config_is(outcome->config, "model", "dense");
  if (!status && margin >= negligible)
    status = reached_svm(&e, margin, &b, &reached);
  if (!status && reached) {
    const double *velocity = evidence_vector(outcome->metrics, "velocity", e.d);
    *value = velocity ? tb_angle_degrees(e.d, velocity, b) : INFINITY;
    *reference = dense ? unaligned(&e, b, margin) : 0;
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
  .statement =
      "Gradient flow of a dense linear network of any depth ends on the l2 maximum-margin predictor, as fast as "
      "its layers outgrow their start",
  .source = "Gunasekar et al. 2018; Ji and Telgarsky 2019",
  .reference =
      "quadratic programme; the angle dies as init sqrt(d + width) (margin |b|)^(-1/depth); value: angle of the "
      "velocity to its solution",
  .group = ABSTRACT_BIAS,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-6,
  .unit = "degrees",
  .arm = arm_gf_dense,
  .measure = measure_gf_l2,
};

/* ---- sparse ends of the diagonal network of depth two ---- */

/* β = 2α² sinh(Zᵀν) with α = init on the way (u v = α² is conserved), and ν grows on the active rows only.  At β ≈
 * scale·b the support gives ν, and ν what is left off the support: about (scale/α²)^(|Zᵀc|_j − 1) with c the limit's
 * dual. */
tb_status separable_sparse_leftover(const evidence *e, const double *b, double scale, double init, double *degrees) {
  size_t d = e->d, n = e->distinct, rows = 0, support = 0;
  double *system = tb_allocate(e->context, n * d, sizeof *system), *nu = tb_allocate(e->context, d, sizeof *nu);
  size_t *row = tb_allocate(e->context, n, sizeof *row), *column = tb_allocate(e->context, d, sizeof *column);
  tb_status status = system && nu && row && column ? TB_OK : TB_NO_MEMORY;
  double largest = 0, on = 0, off = 0;
  bool singular = true;
  *degrees = INFINITY;
  for (size_t j = 0; j < d; j++)
    largest = fmax(largest, fabs(b[j]));
  for (size_t i = 0; !status && i < n; i++)
    if (tb_dot(d, e->z + i * d, b) < 1 + 1e-9)
      row[rows++] = i;
  for (size_t j = 0; !status && j < d; j++)
    if (fabs(b[j]) > 1e-9 * largest) {
      nu[support] = asinh(scale * b[j] / (2 * init * init));
      on += b[j] * b[j];
      column[support++] = j;
    }
  if (!status && rows == support) { /* a vertex: Z_ASᵀ ν = asinh(scale·b_S/2α²) */
    for (size_t k = 0; k < support; k++)
      for (size_t i = 0; i < rows; i++)
        system[k * rows + i] = e->z[row[i] * d + column[k]];
    status = tb_lu_solve(e->context, rows, system, 1, nu, &singular);
  }
  for (size_t j = 0, k = 0; !status && !singular && j < d; j++) {
    if (k < support && column[k] == j) {
      k++;
      continue;
    }
    double exponent = 0;
    for (size_t i = 0; i < rows; i++)
      exponent = fma(nu[i], e->z[row[i] * d + j], exponent);
    double left = 2 * init * init * sinh(fmin(fabs(exponent), 700)) / scale;
    off += left * left;
  }
  if (!status && !singular)
    *degrees = 180 / M_PI * atan2(sqrt(off), sqrt(on));
  tb_release(e->context, system);
  tb_release(e->context, nu);
  tb_release(e->context, row);
  tb_release(e->context, column);
  return status;
}

static int arm_gf_diagonal(const tb_config *config) {
  return config_flow(config, "gf", NULL, "diagonal") && tb_config_integer(config, "depth") == 2 &&
                 config_starts_at_zero(config)
             ? 0
             : -1;
}

/* From a small start the dual first climbs to log(1/init²) along rows that later count no more; only margins far beyond
 * forget that. */
static bool beyond_start(const tb_outcome *outcome, double *margin) {
  double init = tb_config_real(outcome->config, "init");
  *margin = tb_metrics_get(outcome->metrics, "min_margin");
  return *margin >= 1e5 && log(*margin) >= 2.5 * log(1 / (init * init));
}

static tb_status measure_gf_l1_margin(tb_context *context, const tb_outcome *outcome, double *value,
                                      double *reference) {
  evidence e;
  tb_reference svm = { 0 };
  double margin;
  tb_status status = evidence_open(&e, context, outcome);
  if (!status && beyond_start(outcome, &margin))
    status = tb_svm_l1(context, e.distinct, e.d, e.z, &svm);
  bool judged = !status && svm.b;
  if (judged) {
    const double *beta = evidence_vector(outcome->metrics, "beta", e.d);
    double norm = 0, least = 0; /* the programme's least l1 norm at margin 1 */
    for (size_t j = 0; j < e.d; j++) {
      norm += beta ? fabs(beta[j]) : NAN;
      least += fabs(svm.b[j]);
    }
    *value = margin / norm * least;
    *reference = 1;
  }
  tb_reference_free(context, &svm);
  evidence_close(&e);
  return status || judged ? status : evidence_skip(value, reference);
}

const tb_claim claim_gf_l1_margin = {
  .id = "separable.gf_l1_margin.diagonal",
  .statement = "Gradient flow of the diagonal network of depth two maximises the l1 margin",
  .source = "Gunasekar et al. 2018; Woodworth et al. 2020",
  .reference =
      "linear programme: the largest l1 margin; value: least margin over l1 norm of beta as a share of it, once "
      "log(margin) is 2.5 times log(1/init^2)",
  .group = ABSTRACT_BIAS,
  .kind = TB_CLAIM_AT_LEAST,
  .tolerance = 0.02,
  .unit = "",
  .arm = arm_gf_diagonal,
  .measure = measure_gf_l1_margin,
};

static tb_status measure_gf_l1(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  enum { FACTOR = 10 }; /* rows that counted early shift the exponents by a constant */
  evidence e;
  tb_reference svm = { 0 };
  bool judged = false;
  double margin;
  tb_status status = evidence_open(&e, context, outcome);
  if (!status && beyond_start(outcome, &margin) && tb_config_real(outcome->config, "init") >= 1)
    status = tb_svm_l1(context, e.distinct, e.d, e.z, &svm);
  if (!status && svm.b && svm.unique) {
    const double *velocity = evidence_vector(outcome->metrics, "velocity", e.d);
    *value = velocity ? tb_angle_degrees(e.d, velocity, svm.b) : INFINITY;
    status = separable_sparse_leftover(&e, svm.b, margin, tb_config_real(outcome->config, "init"), reference);
    judged = *reference < 1;
    *reference *= FACTOR;
  }
  tb_reference_free(context, &svm);
  evidence_close(&e);
  return status || judged ? status : evidence_skip(value, reference);
}

const tb_claim claim_gf_l1_diagonal = {
  .id = "separable.gf_l1_svm.diagonal",
  .statement =
      "Its velocity turns into the sparse l1 maximum-margin predictor as fast as the linear programme's dual says",
  .source = "Gunasekar et al. 2018; Woodworth et al. 2020",
  .reference =
      "linear programme: coordinates off the support die as (margin/init^2)^(|dual_j| - 1), a factor 10 allowed; "
      "value: angle of the velocity to the programme's solution",
  .group = ABSTRACT_BIAS,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-2,
  .unit = "degrees",
  .arm = arm_gf_diagonal,
  .measure = measure_gf_l1,
};

/* ---- on the way: asinh(β/2α²) stays in the span of the rows ---- */

static tb_status measure_gf_mirror(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  evidence e;
  tb_status status = evidence_open(&e, context, outcome);
  size_t d = e.d, n = e.distinct;
  double init = tb_config_real(outcome->config, "init");
  double *columns = tb_allocate(context, n * d, sizeof *columns), *dual = tb_allocate(context, d + n, sizeof *dual);
  double *mirror = dual ? dual + n : NULL;
  *value = *reference = 0;
  if (!status && (!columns || !dual))
    status = TB_NO_MEMORY;
  bool judged = !status && e.rank < d;
  for (size_t i = 0; judged && i < n; i++)
    for (size_t j = 0; j < d; j++)
      columns[j * n + i] = e.z[i * d + j]; /* Zᵀ[d×n] */
  for (size_t k = 0; judged && k < e.points && !status; k++) {
    const double *beta = evidence_vector(evidence_point(&e, k), "beta", d);
    for (size_t j = 0; j < d; j++)
      mirror[j] = beta ? asinh(beta[j] / (2 * init * init)) : NAN;
    double size = fmax(1, tb_norm(d, mirror));
    if (beta) /* out of the span: mirror − Zᵀ (Zᵀ)⁺ mirror */
      status = tb_least_squares(context, d, n, columns, 1, mirror, 0, dual, NULL, NULL);
    tb_gemv(false, d, n, -1, columns, dual, 1, mirror);
    *value = fmax(*value, beta ? tb_norm(d, mirror) / size : INFINITY);
  }
  tb_release(context, columns);
  tb_release(context, dual);
  evidence_close(&e);
  return status || judged ? status : evidence_skip(value, reference);
}

const tb_claim claim_gf_mirror = {
  .id = "separable.gf_mirror.diagonal",
  .statement =
      "All along, asinh(beta / 2 init^2) of the diagonal network stays in the span of the points: of all predictors "
      "with its margins it has the least hyperbolic entropy",
  .source = "Woodworth et al. 2020",
  .reference = "conservation of u v, projection by LAPACK; value: largest relative part outside the span",
  .group = ABSTRACT_BIAS,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-7,
  .unit = "",
  .arm = arm_gf_diagonal,
  .measure = measure_gf_mirror,
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

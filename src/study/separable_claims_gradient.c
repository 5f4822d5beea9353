/* Claims on where gradient flow ends: on the maximum-margin predictor of its parametrisation, l2 for linear and dense
 * models, l1 for the diagonal network of depth two.
 *
 * A limit is judged only on runs that have gone far enough; how far is computed from the limit's own dual, never from
 * the distance that is to be judged. */
#include <math.h>
#include <string.h>

#include "num/linear.h"
#include "num/reference.h"
#include "study/separable_claims.h"

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
    else if ((rho - 1) * margin < separable_negligible)
      *reached = false;
  }
  for (size_t i = 0; i < support; i++)
    for (size_t j = 0; j < support; j++)
      kernel[i * support + j] =
          sqrt(svm.dual[row[i]] * svm.dual[row[j]]) * tb_dot(e->d, e->z + row[i] * e->d, e->z + row[j] * e->d);
  if (!status && *reached && support) {
    status = tb_symmetric_eigen(e->context, support, kernel, eigen, NULL);
    *reached = !status && eigen[0] * margin >= separable_negligible;
  }
  if (!status && *reached)
    status = tb_limits_solution(e->limits, TB_LIMIT_L2_SVM, b);
  tb_reference_free(e->context, &svm);
  tb_release(e->context, kernel);
  tb_release(e->context, eigen);
  tb_release(e->context, row);
  return status;
}

/* What of a dense network's layers is not aligned with b, their start and what they learnt before the margins grew (of
 * order 1), no longer grows, while the aligned part is (M ‖b‖)^{1/L}: degrees left. */
static double unaligned(const evidence *e, const double *b, double margin) {
  const tb_config *config = e->outcome->config;
  double start = 1 + tb_config_real(config, "init") * sqrt((double)e->d + (double)tb_config_integer(config, "width"));
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
  if (!status && margin >= separable_negligible)
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

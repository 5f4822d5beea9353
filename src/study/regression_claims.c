/* Claims of `regression`: the interpolator on which each flow ends.
 *
 * A diagonal net started at u = v = α moves by a mirror map: gradient flow keeps β = α^L h_L(Xᵀν) for some ν, with
 *     h_2(z) = 2 sinh z,     h_L(z) = (1 − z)^{−L/(L−2)} − (1 + z)^{−L/(L−2)}  for L > 2      (Woodworth et al. 2020)
 * and so does every flow whose predictor velocity is G Xᵀμ, G = DDᵀ.  Its end is the solution of X β(ν) = y, found here
 * by Newton's method from the data alone. */
#include <math.h>
#include <string.h>

#include "num/linear.h"
#include "study/natural_gradient.h"
#include "study/regression.h"

static tb_status skip(double *value, double *reference) {
  *value = *reference = NAN;
  return TB_OK;
}

static const double *end_of(const tb_outcome *outcome) {
  return tb_metrics_find(outcome->metrics, "beta").values;
}

static bool converged(const tb_outcome *outcome) {
  return tb_metrics_get(outcome->metrics, "log_loss") < log(1e-20);
}

static double worst(size_t d, const double *beta, const double *expected) {
  double error = 0, size = 1;
  for (size_t j = 0; j < d; j++) {
    error = fmax(error, fabs(beta[j] - expected[j]));
    size = fmax(size, fabs(expected[j]));
  }
  return error / size;
}

static bool starts_at_zero(const tb_config *config) {
  const double *start;
  size_t count = tb_config_reals(config, "start", &start);
  for (size_t j = 0; j < count; j++)
    if (start[j] != 0)
      return false;
  return true;
}

static bool is_flow(const tb_config *config, const char *method, const char *fisher) {
  return tb_config_is(config, "method", method) && starts_at_zero(config) &&
         (!fisher || (tb_config_is(config, "fisher", fisher) && tb_config_real(config, "damping") == 0));
}

/* ---- the mirror map ---- */

static void mirror(double depth, double scale, double z, double *beta, double *slope) {
  if (depth == 2) {
    *beta = 2 * scale * sinh(z);
    *slope = 2 * scale * cosh(z);
    return;
  }
  double power = depth / (depth - 2);
  *beta = scale * (pow(1 - z, -power) - pow(1 + z, -power));
  *slope = scale * power * (pow(1 - z, -power - 1) + pow(1 + z, -power - 1));
}

/* Whether every z of Xᵀν is inside the map's domain. */
static bool inside(const tb_regression *p, double depth, const double *nu, double *z) {
  tb_gemv(true, p->n, p->d, 1, p->x, nu, 0, z);
  for (size_t j = 0; j < p->d; j++)
    if (!(fabs(z[j]) < (depth == 2 ? 300 : 1)))
      return false;
  return true;
}

/* The convex function whose gradient is Xβ(Xᵀν) − y: Σ ∫₀^z β − y·ν. */
static double potential(const tb_regression *p, double depth, double scale, const double *nu, const double *z) {
  double sum = -tb_dot(p->n, p->y, nu), power = depth > 2 ? 2 / (depth - 2) : 0;
  for (size_t j = 0; j < p->d; j++)
    sum +=
        depth == 2 ? 2 * scale * (cosh(z[j]) - 1) : scale / power * (pow(1 - z[j], -power) + pow(1 + z[j], -power) - 2);
  return sum;
}

/* beta[d]: X β(ν) = y by damped Newton steps. */
static tb_status mirror_limit(tb_context *context, const tb_regression *p, double depth, double scale, double *beta,
                              bool *found) {
  size_t n = p->n, d = p->d;
  double *work = tb_allocate(context, n * n + n * d + 3 * n + 2 * d, sizeof *work);
  *found = false;
  if (!work)
    return TB_NO_MEMORY;
  double *a = work, *weighted = a + n * n, *nu = weighted + n * d, *step = nu + n, *trial = step + n, *z = trial + n,
         *slope = z + d;
  memset(nu, 0, n * sizeof *nu);
  for (int round = 0; round < 500; round++) {
    inside(p, depth, nu, z);
    for (size_t j = 0; j < d; j++)
      mirror(depth, scale, z[j], &beta[j], &slope[j]);
    double norm = 0;
    for (size_t i = 0; i < n; i++) {
      step[i] = p->y[i] - tb_dot(d, p->x + i * d, beta);
      norm = fmax(norm, fabs(step[i]));
      for (size_t j = 0; j < d; j++)
        weighted[i * d + j] = p->x[i * d + j] * slope[j];
    }
    *found = norm < 1e-12;
    tb_gemm(false, true, n, n, d, 1, weighted, p->x, 0, a);
    bool singular;
    if (*found || tb_lu_solve(context, n, a, 1, step, &singular) || singular)
      break;
    inside(p, depth, nu, z);
    double here = potential(p, depth, scale, nu, z), rate = 1;
    for (int halving = 0; halving < 60; halving++, rate /= 2) {
      for (size_t i = 0; i < n; i++)
        trial[i] = nu[i] + rate * step[i];
      if (inside(p, depth, trial, z) && potential(p, depth, scale, trial, z) <= here + 1e-14 * fabs(here))
        break;
    }
    memcpy(nu, trial, n * sizeof *nu);
  }
  tb_release(context, work);
  return TB_OK;
}

static tb_status measure_mirror(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  tb_regression *p;
  tb_status status = regression_data(context, outcome->config, &p);
  if (status)
    return status;
  double depth = (double)tb_config_integer(outcome->config, "depth");
  double scale = pow(tb_config_real(outcome->config, "init"), depth);
  double *beta = tb_allocate(context, p->d, sizeof *beta);
  bool found = false;
  status = !beta ? TB_NO_MEMORY : !converged(outcome) ? TB_OK : mirror_limit(context, p, depth, scale, beta, &found);
  *value = found ? worst(p->d, end_of(outcome), beta) : NAN;
  *reference = 0;
  tb_release(context, beta);
  tb_regression_free(context, p);
  return status || found ? status : skip(value, reference);
}

static bool is_diagonal(const tb_config *config, int64_t least) {
  return tb_config_is(config, "model", "diagonal") && tb_config_integer(config, "depth") >= least;
}

static int arm_mirror(const tb_config *config) {
  return is_flow(config, "gf", NULL) && is_diagonal(config, 2) && tb_config_integer(config, "depth") == 2 ? 0 : -1;
}
static int arm_mirror_deep(const tb_config *config) {
  return is_flow(config, "gf", NULL) && is_diagonal(config, 3) ? 0 : -1;
}
static int arm_parameter(const tb_config *config) {
  return is_flow(config, "ngf", "parameter") && is_diagonal(config, 2) ? 0 : -1;
}

#define MIRROR_CLAIM(name, text, origin, heading)                                                                      \
  static const tb_claim claim_##name = {                                                                               \
    .id = "regression." #name,                                                                                         \
    .statement = text,                                                                                                 \
    .source = origin,                                                                                                  \
    .reference = "Newton's method on the dual of that problem, from the data alone; value: worst entry, relative",     \
    .group = heading,                                                                                                  \
    .kind = TB_CLAIM_AT_MOST,                                                                                          \
    .tolerance = 1e-7,                                                                                                 \
    .unit = "",                                                                                                        \
    .arm = arm_##name,                                                                                                 \
    .measure = measure_mirror,                                                                                         \
  }

MIRROR_CLAIM(mirror,
             "Gradient flow of a diagonal net of depth 2 ends on the interpolator that minimises "
             "sum a^2 q(b/a^2), between l2 and l1 as the start a shrinks",
             "Woodworth et al. 2020, theorem 1", ABSTRACT_BIAS);
MIRROR_CLAIM(mirror_deep,
             "At depth L > 2 gradient flow ends on b = a^L h_L(X^T nu): another depth, another interpolator",
             "Woodworth et al. 2020, theorem 3", ABSTRACT_BIAS);
MIRROR_CLAIM(
    parameter,
    "Natural gradient flow with the pseudo-inverse in parameter space ends on the very interpolator of gradient "
    "flow: the bias of depth and start stays",
    "derived: both move along G X^T mu", BEYOND_FISHER);

/* ---- rich and kernel ends ---- */

static tb_status measure_distance(const tb_outcome *outcome, const char *name, double *value, double *reference) {
  *value = tb_metrics_get(outcome->metrics, name);
  *reference = 0;
  return converged(outcome) && !isnan(*value) ? TB_OK : skip(value, reference);
}

static tb_status measure_l1(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  return measure_distance(outcome, "distance_to.l1", value, reference);
}
static tb_status measure_l2(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  return measure_distance(outcome, "distance_to.l2", value, reference);
}

static int arm_rich(const tb_config *config) {
  return arm_mirror(config) == 0 && tb_config_real(config, "init") <= 1e-5 ? 0 : -1;
}
static int arm_kernel(const tb_config *config) {
  return arm_mirror(config) == 0 && tb_config_real(config, "init") >= 30 ? 0 : -1;
}

static const tb_claim claim_rich = {
  .id = "regression.rich",
  .statement = "From a tiny start the diagonal net ends on the interpolator of least l1 norm",
  .source = "Woodworth et al. 2020, corollary 2",
  .reference = "linear programme; value: worst entry, relative to the largest",
  .group = ABSTRACT_BIAS,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-2,
  .unit = "",
  .arm = arm_rich,
  .measure = measure_l1,
};

static const tb_claim claim_kernel = {
  .id = "regression.kernel",
  .statement = "From a huge start it ends on the interpolator of least l2 norm",
  .source = "Woodworth et al. 2020, theorem 1",
  .reference = "least squares by LAPACK; value: worst entry, relative to the largest",
  .group = ABSTRACT_BIAS,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-4,
  .unit = "",
  .arm = arm_kernel,
  .measure = measure_l2,
};

/* ---- natural gradient in predictor space: β(t) = (1 − e^{−t}) X⁺y ---- */

static int arm_ray(const tb_config *config) {
  return is_flow(config, "ngf", "predictor") ? 0 : -1;
}

static tb_status measure_ray(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  tb_regression *p;
  tb_status status = regression_data(context, outcome->config, &p);
  if (status)
    return status;
  *value = *reference = 0;
  double *limit = tb_allocate(context, 2 * p->d, sizeof *limit), *expected = limit + p->d;
  status = limit ? tb_least_squares(context, p->n, p->d, p->x, 1, p->y, 0, limit, NULL, NULL) : TB_NO_MEMORY;
  for (size_t i = 0; !status && i <= outcome->n_snapshots; i++) {
    const tb_metrics *point = i < outcome->n_snapshots ? outcome->snapshots[i] : outcome->metrics;
    for (size_t j = 0; j < p->d; j++)
      expected[j] = -expm1(-tb_metrics_get(point, "t")) * limit[j];
    *value = fmax(*value, worst(p->d, tb_metrics_find(point, "beta").values, expected));
  }
  tb_release(context, limit);
  tb_regression_free(context, p);
  return status;
}

static const tb_claim claim_ray = {
  .id = "regression.ray",
  .statement =
      "Natural gradient flow in predictor space runs along a straight ray to X+ y, at every depth and from every "
      "size of the factors",
  .source = PAPER_NGD "; derived",
  .reference = "closed form beta(t) = (1 - exp(-t)) X+ y; value: worst entry over all snapshots",
  .group = ABSTRACT_INVARIANT,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-9,
  .unit = "",
  .arm = arm_ray,
  .measure = measure_ray,
};

/* ---- over the population: β = Σ⁻¹Xᵀ(XΣ⁻¹Xᵀ)⁻¹y ---- */

static int arm_population(const tb_config *config) {
  return is_flow(config, "ngf", "population") ? 0 : -1;
}

static tb_status measure_population(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  tb_regression *p;
  const double *covariance;
  bool weighted = tb_config_reals(outcome->config, "covariance", &covariance) > 0;
  tb_status status = regression_data(context, outcome->config, &p);
  if (status)
    return status;
  double *x = tb_allocate(context, p->n * p->d + p->d, sizeof *x), *beta = x + p->n * p->d;
  bool applies = converged(outcome) && p->n <= p->d;
  *value = *reference = 0;
  if (!x)
    status = TB_NO_MEMORY;
  for (size_t i = 0; x && i < p->n; i++) /* in coordinates of unit variance it is the least norm */
    for (size_t j = 0; j < p->d; j++)
      x[i * p->d + j] = p->x[i * p->d + j] / (weighted ? sqrt(covariance[j]) : 1);
  if (!status && applies)
    status = tb_least_squares(context, p->n, p->d, x, 1, p->y, 0, beta, NULL, NULL);
  for (size_t j = 0; x && j < p->d; j++)
    beta[j] /= weighted ? sqrt(covariance[j]) : 1;
  if (!status && applies)
    *value = worst(p->d, end_of(outcome), beta);
  tb_release(context, x);
  tb_regression_free(context, p);
  return status || applies ? status : skip(value, reference);
}

static const tb_claim claim_population = {
  .id = "regression.population",
  .statement = "Over the population natural gradient flow ends on the interpolator of least norm in the inputs' "
               "covariance, at every depth",
  .source = "Amari et al. 2020, section 3",
  .reference = "S^-1 X^T (X S^-1 X^T)^-1 y by LAPACK's least squares in whitened features; value: worst entry",
  .group = BEYOND_FISHER,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-8,
  .unit = "",
  .arm = arm_population,
  .measure = measure_population,
};

/* ---- who generalises ---- */

static int arm_sparse(const tb_config *config) {
  if (!tb_config_is(config, "data", "sparse") || tb_config_is_set(config, "covariance"))
    return -1;
  return arm_mirror(config) == 0 && tb_config_real(config, "init") <= 0.01 ? 0 : arm_ray(config) == 0 ? 1 : -1;
}

static tb_status measure_test(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = tb_metrics_get(outcome->metrics, "test_error");
  *reference = 0;
  return tb_metrics_get(outcome->metrics, "log_loss") < log(1e-12) ? TB_OK : skip(value, reference);
}

static const tb_claim claim_sparse = {
  .id = "regression.gd_beats_ngd",
  .statement =
      "Sparse teacher: gradient flow of the diagonal net from a small start beats natural gradient flow on new "
      "inputs",
  .source = PAPER_NGD,
  .reference = "difference of excess risks, paired by seed",
  .group = ABSTRACT_FAILS,
  .kind = TB_CLAIM_BELOW,
  .tolerance = 0,
  .unit = "",
  .min_seeds = 5,
  .arm = arm_sparse,
  .measure = measure_test,
};

const tb_claim *const regression_claims[REGRESSION_CLAIMS] = {
  &claim_ray,    &claim_mirror,    &claim_mirror_deep, &claim_rich,
  &claim_kernel, &claim_parameter, &claim_population,  &claim_sparse,
};

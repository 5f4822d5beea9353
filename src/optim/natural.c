/* The natural gradient velocity −(F + λI)⁺∇L for each named Fisher matrix.
 *
 * Undamped, with rows J_i = ∂f_i/∂θ, weights w and targets b of fisher.h:
 *   predictor    β' = argmin Σ w (x_i·β' − b_i)², then θ' = D⁺β', D = ∂β/∂θ
 *   parameter    θ' = argmin Σ w (J_i·θ' − b_i)²; a linear predictor has J = XD, so with X = C V (V: orthonormal rows
 * that span its row space) and D onto, θ' = (VD)⁺ (V β') population   β' = F(β)⁻¹(−∇_βL), θ' = D⁺β' empirical    as
 * predictor, or as parameter where there is no predictor, with other w and b each of minimum norm.  With full row rank
 * (x_i·β' = b_i) the weights cancel; else they are used in logarithms.  Damping adds λI where the inverse is taken, and
 * then everything is kept relative to the largest weight. Rows with equal inputs are merged first (their outputs are
 * one output): w = Σw_i, b = Σw_i b_i / w. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "num/linear.h"
#include "optim/fisher.h"
#include "optim/kernel.h"
#include "optim/natural_parts.h"
#include "optim/population.h"
#include "optim/structure.h"

/* ---- the four matrices ---- */

/* β' of the training or empirical Fisher matrix */
static tb_status predictor_velocity(tb_natural *s, double *v, tb_solution *found) {
  const bool factored = s->full_rows && s->damping == 0;
  const tb_status status =
      tb_natural_solve(s, s->d, s->x, s->full_rows || s->damping > 0 ? s->data : NULL, factored, v, found);
  if (factored)
    found->condition = s->condition_x;
  return status;
}

/* v = F⁻¹ pull, F = a across β and c along it; returns its condition. */
static double invert_bernoulli(const tb_natural *s, double *v) {
  const size_t d = s->d;
  const double rho = tb_norm(d, s->beta);
  double across, along, projection = 0.0; /* β̂·pull */
  tb_population_fisher(rho, &across, &along);
  across += s->damping;
  along += s->damping;
  for (size_t j = 0; j < d && rho > 0; j++)
    projection += s->beta[j] / rho * s->pull[j];
  for (size_t j = 0; j < d; j++) {
    const double part = rho > 0 ? projection * (s->beta[j] / rho) : 0.0;
    v[j] = (s->pull[j] - part) / across + part / along;
  }
  return d > 1 ? fmax(across / along, along / across) : 1.0;
}

/* v = (Σ + λ)⁻¹ pull */
static double invert_covariance(const tb_natural *s, double *v) {
  const double *covariance = tb_objective_covariance(s->objective);
  double least = INFINITY, most = 0.0;
  for (size_t j = 0; j < s->d; j++) {
    const double variance = (covariance ? covariance[j] : 1.0) + s->damping;
    v[j] = s->pull[j] / variance;
    least = fmin(least, variance);
    most = fmax(most, variance);
  }
  return most / least;
}

/* β' of the population's: (a + λ)⁻¹ across β and (c + λ)⁻¹ along it; square loss: (Σ + λ)⁻¹, Σ the inputs' covariance
 */
static tb_status population_velocity(tb_natural *s, const double *theta, double *v, tb_solution *found) {
  const size_t n = s->n, d = s->d;
  tb_status status = tb_objective_predictor(s->objective, theta, s->beta, NULL);
  if (status != TB_OK)
    return status;
  tb_objective_residual(s->objective, s->f, s->row, &found->log_scale);
  tb_gemv(true, n, d, 1.0, tb_objective_x(s->objective), s->row, 0.0, s->pull);
  if (tb_objective_loss_kind(s->objective) == TB_LOSS_LOGISTIC)
    found->condition = invert_bernoulli(s, v);
  else
    found->condition = invert_covariance(s, v);
  found->rank = d;
  if (!isfinite(found->log_scale)) /* no residual at all */
    found->log_scale = 0.0;
  return TB_OK;
}

/* Jᵀ and J of the distinct rows */
static tb_status pull(void *user, const double *lambda, double *x) {
  tb_natural *s = user;
  memset(s->row, 0, s->n * sizeof *s->row);
  for (size_t g = 0; g < s->m; g++)
    s->row[s->first[g]] = lambda[g];
  return tb_objective_pullback(s->objective, s->theta, s->row, NULL, x);
}

static tb_status push(void *user, const double *x, double *image) {
  tb_natural *s = user;
  const tb_status status = tb_objective_push(s->objective, s->theta, x, s->row);
  for (size_t g = 0; g < s->m; g++)
    image[g] = s->row[s->first[g]];
  return status;
}

/* θ' = Jᵀ(JJᵀ)⁻¹b from the layers; *good false when that would not be accurate. */
static tb_status gram_velocity(tb_natural *s, const double *theta, double *velocity, tb_solution *found, bool *good) {
  const size_t n = s->n, m = s->m;
  const tb_kernel_map map = { s, pull, push };
  tb_status status = tb_objective_gram(s->objective, theta, s->kernel);
  if (status != TB_OK)
    return status;
  for (size_t g = 0; g < m; g++) /* first[g] ≥ g: entries only move up */
    for (size_t h = 0; h < m; h++)
      s->kernel[g * m + h] = s->kernel[s->first[g] * n + s->first[h]];
  s->theta = theta;
  *found = (tb_solution){ .rank = m, .fast = true, .log_scale = s->frame };
  return tb_kernel_solve(s->context, m, s->p, s->kernel, s->target, &map, s->work, velocity, good, &found->condition);
}

/* θ' by the Jacobian; also for rows whose D or J has lost rank. */
static tb_status jacobian_velocity(tb_natural *s, const double *theta, double *velocity, tb_solution *found) {
  tb_status status = TB_OK;
  if (s->gram && s->damping == 0 && s->n <= s->p && s->m > 0) {
    bool good;
    status = gram_velocity(s, theta, velocity, found, &good);
    if (status != TB_OK || good)
      return status;
  }
  if (!s->jacobian && !(s->jacobian = tb_allocate(s->context, s->n * s->p, sizeof *s->jacobian)))
    return TB_NO_MEMORY;
  if (s->owner) {
    if ((status = tb_natural_map(s, theta)) == TB_OK)
      tb_natural_compose(s, s->m, s->x, s->jacobian);
  } else {
    status = tb_objective_jacobian(s->objective, theta, NULL, s->jacobian);
    for (size_t g = 0; g < s->m && status == TB_OK; g++) /* first[g] ≥ g: rows only move up */
      if (s->first[g] != g)
        memmove(s->jacobian + g * s->p, s->jacobian + s->first[g] * s->p, s->p * sizeof *s->jacobian);
  }
  if (status != TB_OK)
    return status;
  return tb_natural_solve(s, s->p, s->jacobian, s->system_rows == s->m ? s->system : NULL, false, velocity, found);
}

/* θ' for a linear predictor whose rows depend on each other: (VD)⁺(Vβ'), V = I where X has rank d */
static tb_status reduced_velocity(tb_natural *s, const double *theta, double *velocity, tb_solution *found,
                                  size_t *rank) {
  const size_t r = s->rank_x;
  tb_status status = predictor_velocity(s, s->velocity_beta, found);
  if (status != TB_OK)
    return status;
  double condition = 1.0, log_scale;
  if (!s->basis)
    status = tb_natural_lift(s, theta, s->velocity_beta, velocity, rank, &condition);
  else if ((status = tb_natural_map(s, theta)) == TB_OK) {
    tb_natural_compose(s, r, s->basis, s->rows);
    status = tb_minimum_norm_factor(s->system, s->rows, NULL, s->epsilon, rank, &condition);
    if (status == TB_OK && *rank == r) {
      tb_gemv(false, r, s->d, 1.0, s->basis, s->velocity_beta, 0.0, s->image);
      tb_minimum_norm_solve(s->system, s->image, NULL, velocity, &log_scale);
    }
  }
  found->condition = fmax(found->condition, condition);
  return status;
}

static bool all_finite(size_t count, const double *v) {
  for (size_t k = 0; k < count; k++)
    if (!isfinite(v[k]))
      return false;
  return true;
}

static tb_status in_predictor(tb_natural *s, const double *theta, double *velocity, double *velocity_beta,
                              tb_solution *found, tb_natural_report *report, tb_natural_trouble *trouble) {
  tb_status status = s->fisher == TB_FISHER_POPULATION ? population_velocity(s, theta, s->velocity_beta, found)
                                                       : predictor_velocity(s, s->velocity_beta, found);
  if (status != TB_OK)
    return status;
  if (!all_finite(s->d, s->velocity_beta)) {
    *trouble = TB_NATURAL_NOT_FINITE;
    return TB_OK;
  }
  size_t rank;
  double condition;
  status = tb_natural_lift(s, theta, s->velocity_beta, velocity, &rank, &condition);
  if (status != TB_OK)
    return status;
  found->condition = fmax(found->condition, condition);
  if (rank < s->d) {
    report->rank_loss = true;
    *trouble = TB_NATURAL_MAP_RANK;
  } else if (velocity_beta)
    memcpy(velocity_beta, s->velocity_beta, s->d * sizeof *velocity_beta);
  return TB_OK;
}

static tb_status in_parameters(tb_natural *s, const double *theta, double *velocity, double *velocity_beta,
                               tb_solution *found, tb_natural_report *report) {
  size_t rank = s->rank_x;
  tb_status status = TB_OK;
  if (s->reduced)
    status = reduced_velocity(s, theta, velocity, found, &rank);
  if (status == TB_OK && (!s->reduced || rank < s->rank_x))
    status = jacobian_velocity(s, theta, velocity, found);
  const size_t full = s->linear ? s->rank_x : s->m < s->p ? s->m : s->p;
  report->rank_loss = status == TB_OK && found->rank < full && s->damping == 0;
  if (status != TB_OK || !velocity_beta || !s->linear)
    return status;
  return tb_objective_predictor_push(s->objective, theta, velocity, velocity_beta);
}

tb_status tb_natural_evaluate(tb_natural *s, const double *theta, double *velocity, double *velocity_beta,
                              double *log_scale, tb_natural_report *report, tb_natural_trouble *trouble) {
  *report = (tb_natural_report){ 0 };
  *trouble = TB_NATURAL_FINE;
  *log_scale = 0.0;
  const tb_structure *structure = tb_objective_structure(s->objective);
  if (structure)
    return structure->natural(structure->self, s->fisher, s->damping, theta, velocity, velocity_beta, log_scale, report,
                              trouble);
  const size_t side = s->fisher == TB_FISHER_POPULATION ? SIZE_MAX : s->n, width = s->linear ? s->d : s->p;
  report->full_rank = side < width ? side : width;
  tb_status status = tb_objective_outputs(s->objective, theta, s->f);
  if (status != TB_OK)
    return status;
  if (!all_finite(s->n, s->f)) {
    *trouble = TB_NATURAL_NOT_FINITE;
    return TB_OK;
  }
  if (s->fisher != TB_FISHER_POPULATION) {
    tb_fisher_weights(s->objective, s->fisher == TB_FISHER_EMPIRICAL, s->f, s->row_weight, s->row_target, s->row_sign);
    tb_natural_merge(s);
  }
  tb_solution found = { 0 };
  status = s->in_predictor ? in_predictor(s, theta, velocity, velocity_beta, &found, report, trouble)
                           : in_parameters(s, theta, velocity, velocity_beta, &found, report);
  report->rank = found.rank < report->full_rank ? found.rank : report->full_rank;
  report->condition = found.condition;
  report->fast = found.fast;
  *log_scale = found.log_scale;
  if (status == TB_OK && *trouble == TB_NATURAL_FINE && !all_finite(s->p, velocity))
    *trouble = TB_NATURAL_NOT_FINITE;
  return status;
}

tb_status tb_natural_velocity(tb_natural *s, const double *theta, double *velocity, double *velocity_beta,
                              tb_natural_report *report) {
  tb_natural_report own;
  tb_natural_trouble trouble;
  double log_scale;
  if (!report)
    report = &own;
  const tb_status status = tb_natural_evaluate(s, theta, velocity, velocity_beta, &log_scale, report, &trouble);
  if (status != TB_OK)
    return status;
  if (trouble == TB_NATURAL_MAP_RANK)
    return tb_fail(s->context, TB_FAILED, NULL, "start from other weights: init= and seed=",
                   "the predictor map D = dβ/dθ has lost rank: no parameter velocity has the predictor's");
  const double scale = exp(log_scale);
  for (size_t k = 0; trouble == TB_NATURAL_FINE && k < s->p && log_scale != 0.0; k++)
    velocity[k] *= scale;
  for (size_t k = 0; trouble == TB_NATURAL_FINE && velocity_beta && s->linear && k < s->d && log_scale != 0.0; k++)
    velocity_beta[k] *= scale;
  if (trouble != TB_NATURAL_FINE || !all_finite(s->p, velocity))
    return tb_fail(s->context, TB_FAILED, NULL, "start nearer to the data, or add damping=",
                   "the natural gradient is not finite (its size would be about e^%.4g)", log_scale);
  return TB_OK;
}

/* ---- life ---- */

tb_status tb_natural_new(tb_context *context, tb_objective *objective, tb_fisher fisher, double damping,
                         tb_natural **natural) {
  *natural = NULL;
  const bool linear = tb_objective_has_predictor(objective);
  if (!(damping >= 0) || !isfinite(damping))
    return tb_fail(context, TB_USAGE, "option damping", "damping=0 is the exact natural gradient",
                   "damping %g is not a finite number >= 0", damping);
  if (!linear && (fisher == TB_FISHER_PREDICTOR || fisher == TB_FISHER_POPULATION))
    return tb_fail(context, TB_USAGE, "option fisher", "use fisher=parameter, or a linear, diagonal or dense model",
                   "fisher=%s needs a model with a predictor",
                   fisher == TB_FISHER_PREDICTOR ? "predictor" : "population");
  tb_natural *s = tb_allocate(context, 1, sizeof *s);
  if (!s)
    return TB_NO_MEMORY;
  *s = (tb_natural){
    .context = context,
    .objective = objective,
    .fisher = fisher,
    .damping = damping,
    .epsilon = tb_objective_dtype(objective) == TB_FLOAT32 ? FLT_EPSILON : DBL_EPSILON,
    .n = tb_objective_rows(objective),
    .d = tb_objective_inputs(objective),
    .p = tb_objective_parameters(objective),
    .linear = linear,
    .in_predictor =
        fisher == TB_FISHER_PREDICTOR || fisher == TB_FISHER_POPULATION || (fisher == TB_FISHER_EMPIRICAL && linear),
  };
  const tb_structure *structure = tb_objective_structure(objective);
  const tb_status status = structure ? structure->accepts(structure->self, fisher) : tb_natural_prepare(s);
  if (status != TB_OK) {
    tb_natural_free(s);
    return status;
  }
  *natural = s;
  return TB_OK;
}

void tb_natural_free(tb_natural *s) {
  if (!s)
    return;
  void *const blocks[] = { s->group,    s->first,         s->members,    s->x,     s->basis,      s->owner,
                           s->slope,    s->norm,          s->f,          s->row,   s->row_weight, s->row_target,
                           s->row_sign, s->log_weight,    s->log_target, s->sign,  s->target,     s->log_delta,
                           s->beta,     s->velocity_beta, s->pull,       s->image, s->map,        s->jacobian,
                           s->rows,     s->kernel,        s->work,       s->tall,  s->tall_b,     s->tall_w,
                           s->normal };
  for (size_t k = 0; k < sizeof blocks / sizeof *blocks; k++)
    tb_release(s->context, blocks[k]);
  tb_minimum_norm_free(s->data);
  tb_minimum_norm_free(s->lift);
  tb_minimum_norm_free(s->system);
  tb_release(s->context, s);
}

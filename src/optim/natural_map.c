/* The predictor map D = ∂β/∂θ of a natural gradient: dense in general, one entry a column for diagonal nets.
 *
 * Which of the two is seen at a generic point, where an entry of D is zero only if it always is.  The sparse one costs
 * a pullback, Dᵀ1, and lifts row by row: θ'_k = D_jk β'_j / ‖D_j‖², j the coordinate that θ_k moves. */
#include <math.h>
#include <string.h>

#include "num/linear.h"
#include "optim/kernel.h"
#include "optim/natural_parts.h"

/* owner[p] from D at a random point; *sparse false when a parameter moves several coordinates. */
static tb_status find_owners(tb_natural *s, bool *sparse) {
  const size_t d = s->d, p = s->p;
  double *theta = tb_allocate(s->context, p, sizeof *theta);
  double *map = tb_allocate(s->context, d * p, sizeof *map);
  tb_status status = theta && map ? TB_OK : TB_NO_MEMORY;
  if (status == TB_OK) {
    tb_random_normal((tb_key){ .use = tb_use("generic point") }, 0, p, theta);
    status = tb_objective_predictor(s->objective, theta, NULL, map);
  }
  *sparse = status == TB_OK;
  for (size_t k = 0; k < p && *sparse; k++) {
    s->owner[k] = TB_NO_ROW;
    for (size_t j = 0; j < d && *sparse; j++)
      if (map[j * p + k] != 0.0) {
        *sparse = s->owner[k] == TB_NO_ROW;
        s->owner[k] = j;
      }
  }
  tb_release(s->context, theta);
  tb_release(s->context, map);
  return status;
}

tb_status tb_natural_prepare_map(tb_natural *s) {
  const size_t d = s->d, p = s->p;
  if (!(s->owner = tb_allocate(s->context, p, sizeof *s->owner)))
    return TB_NO_MEMORY;
  bool sparse;
  tb_status status = find_owners(s, &sparse);
  if (status != TB_OK)
    return status;
  if (sparse) {
    s->slope = tb_allocate(s->context, p, sizeof *s->slope);
    s->norm = tb_allocate(s->context, d, sizeof *s->norm);
    return s->slope && s->norm ? TB_OK : TB_NO_MEMORY;
  }
  tb_release(s->context, s->owner);
  s->owner = NULL;
  return TB_OK;
}

/* norm_j = ‖D_j‖ without over- or underflow: in units of the largest entry. */
static void row_norms(tb_natural *s) {
  double *largest = s->image; /* d */
  memset(largest, 0, s->d * sizeof *largest);
  memset(s->norm, 0, s->d * sizeof *s->norm);
  for (size_t k = 0; k < s->p; k++)
    if (s->owner[k] != TB_NO_ROW)
      largest[s->owner[k]] = fmax(largest[s->owner[k]], fabs(s->slope[k]));
  for (size_t k = 0; k < s->p; k++)
    if (s->owner[k] != TB_NO_ROW && largest[s->owner[k]] > 0) {
      const double part = s->slope[k] / largest[s->owner[k]];
      s->norm[s->owner[k]] = fma(part, part, s->norm[s->owner[k]]);
    }
  for (size_t j = 0; j < s->d; j++)
    s->norm[j] = largest[j] * sqrt(s->norm[j]);
}

tb_status tb_natural_map(tb_natural *s, const double *theta) {
  if (!s->owner) {
    if (!s->map && !(s->map = tb_allocate(s->context, s->d * s->p, sizeof *s->map)))
      return TB_NO_MEMORY;
    return tb_objective_predictor(s->objective, theta, NULL, s->map);
  }
  for (size_t j = 0; j < s->d; j++)
    s->image[j] = 1.0;
  const tb_status status = tb_objective_predictor_pullback(s->objective, theta, s->image, s->slope);
  if (status == TB_OK)
    row_norms(s);
  return status;
}

static tb_status pull(void *user, const double *lambda, double *x) {
  tb_natural *s = user;
  return tb_objective_predictor_pullback(s->objective, s->theta, lambda, x);
}

static tb_status push(void *user, const double *x, double *image) {
  tb_natural *s = user;
  return tb_objective_predictor_push(s->objective, s->theta, x, image);
}

static tb_status lift_dense(tb_natural *s, const double *theta, const double *velocity_beta, double *velocity,
                            size_t *rank, double *condition) {
  tb_status status = TB_OK;
  if (s->gram) {
    const tb_kernel_map map = { s, pull, push };
    bool good;
    s->theta = theta;
    *rank = s->d;
    status = tb_objective_predictor_gram(s->objective, theta, s->kernel);
    if (status == TB_OK)
      status =
          tb_kernel_solve(s->context, s->d, s->p, s->kernel, velocity_beta, &map, s->work, velocity, &good, condition);
    if (status != TB_OK || good)
      return status;
  }
  if (!s->lift)
    status = tb_minimum_norm_new(s->context, s->d, s->p, &s->lift);
  if (status == TB_OK)
    status = tb_natural_map(s, theta);
  if (status == TB_OK)
    status = tb_minimum_norm_factor(s->lift, s->map, NULL, s->epsilon, rank, condition);
  double log_scale;
  if (status == TB_OK && *rank == s->d)
    tb_minimum_norm_solve(s->lift, velocity_beta, NULL, velocity, &log_scale);
  return status;
}

tb_status tb_natural_lift(tb_natural *s, const double *theta, const double *velocity_beta, double *velocity,
                          size_t *rank, double *condition) {
  if (!s->owner)
    return lift_dense(s, theta, velocity_beta, velocity, rank, condition);
  const tb_status status = tb_natural_map(s, theta);
  if (status != TB_OK)
    return status;
  *rank = 0;
  *condition = 1.0;
  for (size_t j = 0; j < s->d; j++)
    *rank += s->norm[j] > 0;
  for (size_t k = 0; k < s->p && *rank == s->d; k++) {
    const size_t j = s->owner[k];
    velocity[k] = j == TB_NO_ROW ? 0.0 : s->slope[k] / s->norm[j] * (velocity_beta[j] / s->norm[j]);
  }
  return TB_OK;
}

void tb_natural_compose(const tb_natural *s, size_t k, const double *a, double *product) {
  if (!s->owner) {
    tb_gemm(false, false, k, s->p, s->d, 1.0, a, s->map, 0.0, product);
    return;
  }
  for (size_t i = 0; i < k; i++)
    for (size_t q = 0; q < s->p; q++)
      product[i * s->p + q] = s->owner[q] == TB_NO_ROW ? 0.0 : a[i * s->d + s->owner[q]] * s->slope[q];
}

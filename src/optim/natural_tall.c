/* Systems of a natural gradient with more rows than columns: v[c] = (AᵀWA/n + λI)⁻¹AᵀWb/n.
 *
 * Normal equations, relative to the largest weight and of unit diagonal, where those are not too ill conditioned; two
 * steps of refinement through the rows make up for the squared condition number.  Else, as when the weights have
 * spread, weighted least squares, with the damping as c more rows. */
#include <math.h>
#include <string.h>

#include "num/linear.h"
#include "optim/natural_parts.h"

#define LEAST_RCOND 1e-10

/* The scales that are taken out: weights in units of e^{top}, forces w_i b_i in units of e^{force}. */
typedef struct frame {
  double top, force, log_ridge, ridge; /* ridge = nλ e^{−top} */
} frame;

static frame frame_of(const tb_natural *s) {
  frame f = { -INFINITY, -INFINITY, log((double)s->n * s->damping), 0.0 };
  for (size_t i = 0; i < s->m; i++) {
    f.top = fmax(f.top, s->log_weight[i]);
    f.force = fmax(f.force, s->log_weight[i] + s->log_target[i]);
  }
  f.top = fmax(f.top, f.log_ridge);
  f.ridge = exp(f.log_ridge - f.top);
  return f;
}

/* normal = S(Σ w a aᵀ + ridge)S with unit diagonal, scale[c] = S; returns its 1-norm. */
static double normal_matrix(tb_natural *s, size_t c, const double *a, const frame *f, double *scale) {
  for (size_t i = 0; i < s->m; i++) {
    const double root = exp(0.5 * (s->log_weight[i] - f->top));
    for (size_t k = 0; k < c; k++)
      s->tall[i * c + k] = root * a[i * c + k];
  }
  tb_gemm(true, false, c, c, s->m, 1.0, s->tall, s->tall, 0.0, s->normal);
  for (size_t k = 0; k < c; k++) {
    s->normal[k * c + k] += f->ridge;
    scale[k] = 1.0 / sqrt(s->normal[k * c + k]);
  }
  double norm = 0.0;
  for (size_t k = 0; k < c; k++) {
    double sum = 0.0;
    for (size_t j = 0; j < c; j++) {
      s->normal[k * c + j] *= scale[k] * scale[j];
      sum += fabs(s->normal[k * c + j]);
    }
    norm = fmax(norm, sum);
  }
  return norm;
}

/* v += S(LLᵀ)⁻¹S (Aᵀ rows − ridge v) where rows[m] is what the forces leave at v */
static void correct(tb_natural *s, size_t c, const double *a, const frame *f, const double *scale, double *v) {
  double *rows = s->tall_b, *step = s->tall_w;
  tb_gemv(false, s->m, c, 1.0, a, v, 0.0, rows);
  for (size_t i = 0; i < s->m; i++) {
    const double force = s->sign[i] * exp(s->log_weight[i] + s->log_target[i] - f->force);
    rows[i] = force - exp(s->log_weight[i] - f->top) * rows[i];
  }
  for (size_t k = 0; k < c; k++)
    step[k] = -f->ridge * v[k];
  tb_gemv(true, s->m, c, 1.0, a, rows, 1.0, step);
  for (size_t k = 0; k < c; k++)
    step[k] *= scale[k];
  tb_cholesky_solve(c, s->normal, 1, step);
  for (size_t k = 0; k < c; k++)
    v[k] = fma(scale[k], step[k], v[k]);
}

static tb_status by_normal_equations(tb_natural *s, size_t c, const double *a, const frame *f, double *v,
                                     tb_solution *found, bool *good) {
  double *scale = s->tall + s->m * c; /* c, below the weighted rows */
  *good = false;
  const double norm = normal_matrix(s, c, a, f, scale);
  bool definite;
  const tb_status status = tb_cholesky_factor(s->context, c, s->normal, &definite);
  if (status != TB_OK || !definite || !isfinite(norm))
    return status;
  const double rcond = tb_cholesky_rcond(s->context, c, s->normal, norm);
  if (!(rcond >= LEAST_RCOND))
    return TB_OK;
  memset(v, 0, c * sizeof *v);
  for (int pass = 0; pass < 3; pass++)
    correct(s, c, a, f, scale, v);
  *found = (tb_solution){ .rank = c, .condition = 1.0 / sqrt(rcond), .log_scale = f->force - f->top };
  *good = true;
  return TB_OK;
}

tb_status tb_natural_solve_tall(tb_natural *s, size_t c, const double *a, double *v, tb_solution *found) {
  const size_t m = s->m;
  const frame f = frame_of(s);
  if (!isfinite(f.force)) { /* no force on any row */
    memset(v, 0, c * sizeof *v);
    found->rank = c;
    return TB_OK;
  }
  bool good;
  const tb_status status = by_normal_equations(s, c, a, &f, v, found, &good);
  if (status != TB_OK || good)
    return status;
  found->log_scale = s->frame;
  if (s->damping == 0)
    return tb_weighted_least_squares(s->context, m, c, a, s->target, s->log_weight, 0.0, v, &found->rank,
                                     &found->condition);
  memcpy(s->tall, a, m * c * sizeof *a);
  memset(s->tall + m * c, 0, c * c * sizeof *a);
  for (size_t i = 0; i < m + c; i++) {
    s->tall_b[i] = i < m ? s->target[i] : 0.0;
    s->tall_w[i] = i < m ? s->log_weight[i] : f.log_ridge;
    if (i >= m)
      s->tall[i * c + (i - m)] = 1.0;
  }
  return tb_weighted_least_squares(s->context, m + c, c, s->tall, s->tall_b, s->tall_w, 0.0, v, &found->rank,
                                   &found->condition);
}

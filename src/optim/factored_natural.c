/* Natural gradients of a deep factorisation.
 *
 * With residuals r = y − f, weights w and targets b (Gaussian: w = 1, b = r; empirical: w = r², b = 1/r), λ the damping
 * and n measurements M_k, the velocity of the predictor (predictor, population, empirical) is
 *
 *     W' = Σ_k c_k M_k,   (√w ⟨M, M⟩ √w + nλ) c/√w = √w b,       for entries c = w b/(w + nλ)
 *
 * and that of the factors its lift V = D⁺W': V_l = A_lᵀ X B_lᵀ with Σ_l A_lA_lᵀ X B_lᵀB_l = W'.  That equation is
 * solved in the eigenbases of A_1A_1ᵀ and B_LᵀB_L, where two of its terms are diagonal, by conjugate gradients,
 * preconditioned by the diagonal of all (exact up to depth two and for balanced factors), and refined against W' − DV,
 * which sees the condition of D, not of its square.
 * In parameter space V = Jᵀc with (JJᵀ + nλ) c = r and the kernel of factored_kernel.c. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "num/linear.h"
#include "optim/factored_parts.h"

#define LEAST_RCOND 1e-12
enum { MOST_ITERATIONS = 400, MOST_REFINEMENTS = 6 };
static const double CG_GOAL = 1e-10;   /* of one solve */
static const double LIFT_GOAL = 2e-14; /* of the refined lift; what it must reach at least: */
static const double LIFT_LEAST = 1e-10;
static const double ROUNDED = 100; /* a refinement that gains so much less than the first has met rounding */

struct tb_factored_natural {
  double *f, *r, *root_weight, *target, *multiplier, *correction, *scale; /* n */
  double *kernel;                                                         /* n×n; when first needed */
  double *around, *above, *below;                                         /* tb_factored_squares */
  double *left, *right, *values;     /* eigenvectors (rows), eigenvalues: rows², cols², rows + cols */
  double *inner_above, *inner_below; /* A_lA_lᵀ and B_lᵀB_l, l = 2 … L − 1, in those bases */
  double *outer, *inverse;           /* size: there, the diagonal of the terms 1 and L, and 1 over that of all */
  double *beta, *missing, *x, *g, *z, *direction, *image, *work; /* size */
  double *step;                                                  /* p */
};

static tb_status work_space(tb_factored *s) {
  if (s->natural)
    return TB_OK;
  tb_factored_natural *w = tb_arena_allocate(s->arena, 1, sizeof *w);
  if (!w)
    return TB_NO_MEMORY;
  const size_t rows = s->rows, cols = s->cols, n = s->count;
  const size_t most = (rows > cols ? rows : cols) * (s->width > rows ? s->width : rows);
  const tb_factored_room rooms[] = { { &w->f, n },
                                     { &w->r, n },
                                     { &w->root_weight, n },
                                     { &w->target, n },
                                     { &w->multiplier, n },
                                     { &w->correction, n },
                                     { &w->scale, n },
                                     { &w->around, 2 * most > cols * cols ? 2 * most : cols * cols },
                                     { &w->above, s->depth * rows * rows },
                                     { &w->below, s->depth * cols * cols },
                                     { &w->left, rows * rows },
                                     { &w->right, cols * cols },
                                     { &w->values, rows + cols },
                                     { &w->inner_above, s->depth * rows * rows },
                                     { &w->inner_below, s->depth * cols * cols },
                                     { &w->outer, s->size },
                                     { &w->inverse, s->size },
                                     { &w->beta, s->size },
                                     { &w->missing, s->size },
                                     { &w->x, s->size },
                                     { &w->g, s->size },
                                     { &w->z, s->size },
                                     { &w->direction, s->size },
                                     { &w->image, s->size },
                                     { &w->work, s->size > most ? s->size : most },
                                     { &w->step, s->parameters } };
  const tb_status status = tb_factored_rooms(s, sizeof rooms / sizeof *rooms, rooms);
  if (status == TB_OK)
    s->natural = w;
  return status;
}

/* ---- systems with a kernel ---- */

/* K c for the kernel's own map: MMᵀ in the predictor's space, JJᵀ in the parameters'. */
static void apply_map(tb_factored *s, const double *theta, const double *c, double *image) {
  tb_factored_natural *w = s->natural;
  if (theta) {
    tb_factored_pull_residual(s, theta, c, w->step);
    tb_factored_push_outputs(s, theta, w->step, image);
  } else {
    tb_factored_spread(s, c, w->work);
    tb_factored_measure(s, w->work, image);
  }
}

static tb_status fill_kernel(tb_factored *s, const double *theta) {
  tb_factored_natural *w = s->natural;
  const size_t n = s->count;
  if (!w->kernel && !(w->kernel = tb_arena_allocate(s->arena, n * n, sizeof *w->kernel)))
    return TB_NO_MEMORY;
  if (theta)
    return tb_factored_kernel(s, w->above, w->below, w->kernel);
  tb_gemm(false, true, n, n, s->size, 1.0, s->dense, s->dense, 0.0, w->kernel);
  return TB_OK;
}

/* kernel ← scale (√w K √w + ridge) scale with unit diagonal, its lower part; the 1-norm, NaN when some row is no
 * length. */
static double equilibrate(size_t n, double ridge, const double *root_weight, double *kernel, double *scale,
                          double *sums) {
  for (size_t i = 0; i < n; i++) {
    const double square = root_weight[i] * root_weight[i] * kernel[i * n + i] + ridge;
    if (!(square > 1e-250 && square < 1e250))
      return NAN;
    scale[i] = 1.0 / sqrt(square);
    sums[i] = 0.0;
  }
  double norm = 0.0;
  for (size_t i = 0; i < n; i++) {
    double *row = kernel + i * n;
    const double factor = scale[i] * root_weight[i];
    double sum = 1.0;
    for (size_t j = 0; j < i; j++) {
      row[j] *= factor * (scale[j] * root_weight[j]);
      sum += fabs(row[j]);
      sums[j] += fabs(row[j]);
    }
    row[i] = 1.0;
    sums[i] += sum;
  }
  for (size_t i = 0; i < n; i++)
    norm = fmax(norm, sums[i]);
  return norm;
}

/* c += √w scale (LLᵀ)⁻¹ scale √w residual */
static void back_substitute(size_t n, const double *factor, const tb_factored_natural *w, double *residual, double *c) {
  for (size_t i = 0; i < n; i++)
    residual[i] *= w->scale[i] * w->root_weight[i];
  tb_cholesky_solve(n, factor, 1, residual);
  for (size_t i = 0; i < n; i++)
    c[i] += w->root_weight[i] * w->scale[i] * residual[i];
}

/* Multipliers c with K c + ridge w⁻¹ c = b by Cholesky and two steps of refinement through the map itself; *good false
 * where the kernel is too ill conditioned. */
static tb_status by_cholesky(tb_factored *s, const double *theta, double ridge, bool *good, double *condition) {
  tb_factored_natural *w = s->natural;
  const size_t n = s->count;
  *good = false;
  tb_status status = fill_kernel(s, theta);
  if (status != TB_OK)
    return status;
  const double norm = equilibrate(n, ridge, w->root_weight, w->kernel, w->scale, w->correction);
  bool definite;
  if (!isfinite(norm) || (status = tb_cholesky_factor(s->context, n, w->kernel, &definite)) != TB_OK || !definite)
    return status;
  const double rcond = tb_cholesky_rcond(s->context, n, w->kernel, norm);
  if (!(rcond >= LEAST_RCOND))
    return TB_OK;
  memcpy(w->correction, w->target, n * sizeof *w->target);
  memset(w->multiplier, 0, n * sizeof *w->multiplier);
  back_substitute(n, w->kernel, w, w->correction, w->multiplier);
  for (int k = 0; k < 2; k++) {
    apply_map(s, theta, w->multiplier, w->correction);
    for (size_t i = 0; i < n; i++) {
      const double weight = w->root_weight[i] * w->root_weight[i];
      w->correction[i] = w->target[i] - w->correction[i] - (ridge > 0 ? ridge * w->multiplier[i] / weight : 0.0);
    }
    back_substitute(n, w->kernel, w, w->correction, w->multiplier);
  }
  *condition = 1.0 / sqrt(rcond);
  *good = true;
  return TB_OK;
}

/* c = K⁺b where K has lost rank: V = Jᵀc is then J⁺b, of least norm.  Unit weights, no ridge. */
static tb_status by_eigenvalues(tb_factored *s, const double *theta, size_t *rank, double *condition) {
  tb_factored_natural *w = s->natural;
  const size_t n = s->count;
  tb_status status = fill_kernel(s, theta);
  double *vectors = status == TB_OK ? tb_allocate(s->context, n * n + n, sizeof *vectors) : NULL;
  if (!vectors)
    return status == TB_OK ? TB_NO_MEMORY : status;
  double *values = vectors + n * n;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < i; j++)
      w->kernel[j * n + i] = w->kernel[i * n + j];
  status = tb_symmetric_eigen(s->context, n, w->kernel, values, vectors);
  const double least = values[n - 1] * (double)n * DBL_EPSILON;
  memset(w->multiplier, 0, n * sizeof *w->multiplier);
  *rank = 0;
  *condition = INFINITY;
  for (size_t k = n; status == TB_OK && k-- > 0 && values[k] > least;) {
    const double part = tb_dot(n, vectors + k * n, w->target) / values[k];
    for (size_t i = 0; i < n; i++)
      w->multiplier[i] = fma(part, vectors[k * n + i], w->multiplier[i]);
    ++*rank;
    *condition = sqrt(values[n - 1] / values[k]);
  }
  tb_release(s->context, vectors);
  return status;
}

/* ---- the predictor's velocity ---- */

/* beta[size] = W' of dense measurements. */
static tb_status velocity_of_sensing(tb_factored *s, double ridge, tb_natural_report *report) {
  tb_factored_natural *w = s->natural;
  bool good = false;
  tb_status status = TB_OK;
  if (s->count <= s->size || ridge > 0)
    status = by_cholesky(s, NULL, ridge, &good, &report->condition);
  report->rank = report->full_rank;
  if (status != TB_OK)
    return status;
  if (good) {
    tb_factored_spread(s, w->multiplier, w->beta);
    return TB_OK;
  }
  for (size_t k = 0; k < s->count; k++)
    w->correction[k] = 2.0 * log(w->root_weight[k]);
  return tb_weighted_least_squares(s->context, s->count, s->size, s->dense, w->target, w->correction, 0.0, w->beta,
                                   &report->rank, &report->condition);
}

static tb_status predictor_velocity(tb_factored *s, double ridge, tb_natural_report *report) {
  tb_factored_natural *w = s->natural;
  if (s->dense)
    return velocity_of_sensing(s, ridge, report);
  for (size_t k = 0; k < s->count; k++) {
    const double weight = w->root_weight[k] * w->root_weight[k];
    w->multiplier[k] = ridge > 0 ? weight * w->target[k] / (weight + ridge) : w->target[k];
  }
  tb_factored_spread(s, w->multiplier, w->beta);
  report->rank = report->full_rank;
  report->condition = 1.0;
  report->fast = true;
  return TB_OK;
}

/* ---- the lift ---- */

/* out = basis m basisᵀ, m[n×n], eigenvectors by rows */
static void in_basis(tb_factored *s, size_t n, const double *basis, const double *m, double *work, double *out) {
  tb_factored_gemm(s, false, false, n, n, n, basis, m, 0.0, work);
  tb_factored_gemm(s, false, true, n, n, n, work, basis, 0.0, out);
}

/* The eigenbases and DDᵀ in them; *condition from the spread of its diagonal. */
static tb_status diagonalise(tb_factored *s, double *condition) {
  tb_factored_natural *w = s->natural;
  const size_t rows = s->rows, cols = s->cols;
  memcpy(w->work, w->above, rows * rows * sizeof *w->work);
  tb_status status = tb_symmetric_eigen(s->context, rows, w->work, w->values, w->left);
  if (status == TB_OK) {
    memcpy(w->around, w->below + (s->depth - 1) * cols * cols, cols * cols * sizeof *w->around);
    status = tb_symmetric_eigen(s->context, cols, w->around, w->values + rows, w->right);
  }
  if (status != TB_OK)
    return status;
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < cols; j++)
      w->outer[i * cols + j] = fmax(w->values[i], 0.0) + fmax(w->values[rows + j], 0.0);
  memcpy(w->inverse, w->outer, s->size * sizeof *w->inverse);
  for (size_t l = 2; l < s->depth; l++) {
    double *above = w->inner_above + (l - 2) * rows * rows, *below = w->inner_below + (l - 2) * cols * cols;
    in_basis(s, rows, w->left, w->above + (l - 1) * rows * rows, w->work, above);
    in_basis(s, cols, w->right, w->below + (l - 1) * cols * cols, w->around, below);
    for (size_t i = 0; i < rows; i++)
      for (size_t j = 0; j < cols; j++)
        w->inverse[i * cols + j] += above[i * rows + i] * below[j * cols + j];
  }
  double least = INFINITY, most = 0.0;
  for (size_t k = 0; k < s->size; k++) {
    least = fmin(least, w->inverse[k]);
    most = fmax(most, w->inverse[k]);
  }
  *condition = sqrt(most / least);
  const double floor = most * DBL_EPSILON * DBL_EPSILON;
  for (size_t k = 0; k < s->size; k++)
    w->inverse[k] = 1.0 / fmax(w->inverse[k], floor);
  return TB_OK;
}

/* image[size] = DDᵀ x in the eigenbases */
static void apply_metric(tb_factored *s, const double *x, double *image) {
  tb_factored_natural *w = s->natural;
  const size_t rows = s->rows, cols = s->cols;
  for (size_t k = 0; k < s->size; k++)
    image[k] = w->outer[k] * x[k];
  for (size_t l = 2; l < s->depth; l++) {
    tb_factored_gemm(s, false, false, rows, cols, rows, w->inner_above + (l - 2) * rows * rows, x, 0.0, w->work);
    tb_factored_gemm(s, false, false, rows, cols, cols, w->work, w->inner_below + (l - 2) * cols * cols, 1.0, image);
  }
}

/* out = a x + y, n = size */
static void combine(const tb_factored *s, double a, const double *x, const double *y, double *out) {
  s->kernels->pointwise->fused[TB_MULTIPLY_ADD][1](1, s->size, out, s->size, x, s->size, &a, 1, y, s->size);
}

/* z = g over the diagonal; the product of the two */
static double precondition(const tb_factored *s, const double *g, double *z) {
  for (size_t k = 0; k < s->size; k++)
    z[k] = s->natural->inverse[k] * g[k];
  return tb_dot(s->size, g, z);
}

/* x ≈ (DDᵀ)⁻¹ g in the eigenbases; g is spent. */
static void conjugate_gradients(tb_factored *s, double *g, double *x) {
  tb_factored_natural *w = s->natural;
  const size_t n = s->size;
  memset(x, 0, n * sizeof *x);
  double product = precondition(s, g, w->z), goal = CG_GOAL * CG_GOAL * tb_dot(n, g, g);
  memcpy(w->direction, w->z, n * sizeof *w->z);
  for (int k = 0; k < MOST_ITERATIONS && product > 0; k++) {
    apply_metric(s, w->direction, w->image);
    const double step = product / tb_dot(n, w->direction, w->image);
    if (!isfinite(step))
      return;
    combine(s, step, w->direction, x, x);
    combine(s, -step, w->image, g, g);
    if (tb_dot(n, g, g) <= goal)
      return;
    const double next = precondition(s, g, w->z);
    combine(s, next / product, w->direction, w->z, w->direction);
    product = next;
  }
}

/* x[size] ≈ (DDᵀ)⁻¹ b */
static void solve_metric(tb_factored *s, const double *b, double *x) {
  tb_factored_natural *w = s->natural;
  const size_t rows = s->rows, cols = s->cols;
  tb_factored_gemm(s, false, false, rows, cols, rows, w->left, b, 0.0, w->work);
  tb_factored_gemm(s, false, true, rows, cols, cols, w->work, w->right, 0.0, w->g);
  conjugate_gradients(s, w->g, x);
  tb_factored_gemm(s, true, false, rows, cols, rows, w->left, x, 0.0, w->work);
  tb_factored_gemm(s, false, false, rows, cols, cols, w->work, w->right, 0.0, x);
}

/* out[p] = Dᵀ x: A_lᵀ X B_lᵀ, block by block */
static void pull_predictor(tb_factored *s, const double *theta, const double *x, double *out) {
  tb_factored_natural *w = s->natural;
  const size_t depth = s->depth, h = s->width, rows = s->rows, cols = s->cols;
  /* B_l are climbed anew: what is left of them is of the last push */
  tb_factored_product(s, theta, w->image);
  double *down = w->around, *next = w->around + h * cols;
  for (size_t l = depth; l >= 1; l--) {
    double *at = out + tb_factored_offset(s, l);
    const double *b = l >= 2 ? tb_factored_below(s, theta, l) : NULL;
    if (l == depth) { /* X B_Lᵀ, and W_LᵀX */
      tb_factored_gemm(s, false, true, rows, h, cols, x, b, 0.0, at);
      tb_factored_gemm(s, true, false, h, cols, rows, theta + tb_factored_offset(s, l), x, 0.0, down);
    } else if (l == 1)
      memcpy(at, down, h * cols * sizeof *at);
    else {
      tb_factored_gemm(s, false, true, h, h, cols, down, b, 0.0, at);
      tb_factored_gemm(s, true, false, h, cols, h, theta + tb_factored_offset(s, l), down, 0.0, next);
      double *swap = down;
      down = next;
      next = swap;
    }
  }
}

/* velocity[p] = D⁺ beta; *reached: ‖beta − D velocity‖ relative to ‖beta‖ */
static tb_status lift(tb_factored *s, const double *theta, double *velocity, double *condition, double *reached) {
  tb_factored_natural *w = s->natural;
  *reached = 0.0;
  if (s->depth == 1) {
    memcpy(velocity, w->beta, s->size * sizeof *velocity);
    *condition = 1.0;
    return TB_OK;
  }
  tb_factored_squares(s, theta, w->around, w->above, w->below);
  tb_status status = diagonalise(s, condition);
  const double size = tb_norm(s->size, w->beta);
  memset(velocity, 0, s->parameters * sizeof *velocity);
  memcpy(w->missing, w->beta, s->size * sizeof *w->missing);
  double before = 1.0, first = 0.0;
  for (int k = 0; status == TB_OK && size > 0 && k < MOST_REFINEMENTS; k++) {
    solve_metric(s, w->missing, w->x);
    pull_predictor(s, theta, w->x, w->step);
    for (size_t i = 0; i < s->parameters; i++)
      velocity[i] += w->step[i];
    tb_factored_push(s, theta, velocity, w->missing);
    for (size_t i = 0; i < s->size; i++)
      w->missing[i] = w->beta[i] - w->missing[i];
    *reached = tb_norm(s->size, w->missing) / size;
    if (k == 0)
      first = *reached;
    const bool rounded = *reached <= LIFT_LEAST && *reached > ROUNDED * first * before;
    if (*reached <= LIFT_GOAL || !(*reached < 0.5 * before) || rounded)
      break;
    before = *reached;
  }
  return status;
}

/* ---- the evaluation ---- */

tb_status tb_factored_accepts(void *self, tb_fisher fisher) {
  tb_factored *s = self;
  if (s->dense && fisher == TB_FISHER_POPULATION)
    return tb_fail(s->context, TB_USAGE, "option fisher", "give fisher=predictor or parameter",
                   "fisher=population takes every index pair, and measurement=sensing does not observe pairs");
  return TB_OK;
}

static bool all_finite(size_t count, const double *v) {
  for (size_t k = 0; k < count; k++)
    if (!isfinite(v[k]))
      return false;
  return true;
}

static tb_status in_parameters(tb_factored *s, const double *theta, double ridge, double *velocity,
                               tb_natural_report *report) {
  tb_factored_natural *w = s->natural;
  bool good;
  tb_factored_squares(s, theta, w->around, w->above, w->below);
  report->rank = report->full_rank;
  tb_status status = by_cholesky(s, theta, ridge, &good, &report->condition);
  if (status == TB_OK && !good)
    status = by_eigenvalues(s, theta, &report->rank, &report->condition);
  if (status != TB_OK)
    return status;
  report->fast = good;
  report->rank_loss = report->rank < report->full_rank;
  tb_factored_pull_residual(s, theta, w->multiplier, velocity);
  return TB_OK;
}

static tb_status in_predictor(tb_factored *s, const double *theta, double ridge, double *velocity,
                              tb_natural_report *report, tb_natural_trouble *trouble) {
  tb_factored_natural *w = s->natural;
  double condition = 1.0, reached = 0.0;
  tb_status status = predictor_velocity(s, ridge, report);
  if (status == TB_OK && all_finite(s->size, w->beta))
    status = lift(s, theta, velocity, &condition, &reached);
  else if (status == TB_OK)
    *trouble = TB_NATURAL_NOT_FINITE;
  report->condition = fmax(report->condition, condition);
  if (status == TB_OK && *trouble == TB_NATURAL_FINE && !(reached <= LIFT_LEAST)) {
    report->rank_loss = true;
    *trouble = TB_NATURAL_MAP_RANK;
  }
  return status;
}

tb_status tb_factored_evaluate(void *self, tb_fisher fisher, double damping, const double *theta, double *velocity,
                               double *velocity_beta, double *log_scale, tb_natural_report *report,
                               tb_natural_trouble *trouble) {
  tb_factored *s = self;
  tb_status status = work_space(s);
  if (status != TB_OK)
    return status;
  tb_factored_natural *w = s->natural;
  const size_t n = s->count;
  *log_scale = 0.0;
  report->full_rank = n < s->size ? n : s->size;
  tb_factored_product(s, theta, w->beta);
  tb_factored_measure(s, w->beta, w->f);
  if (!all_finite(n, w->f)) {
    *trouble = TB_NATURAL_NOT_FINITE;
    return TB_OK;
  }
  for (size_t k = 0; k < n; k++) {
    w->r[k] = s->y[k] - w->f[k];
    w->root_weight[k] = fisher == TB_FISHER_EMPIRICAL ? fabs(w->r[k]) : 1.0;
    w->target[k] = fisher == TB_FISHER_EMPIRICAL ? 1.0 / w->r[k] : w->r[k];
  }
  const double ridge = (double)n * damping;
  status = fisher == TB_FISHER_PARAMETER ? in_parameters(s, theta, ridge, velocity, report)
                                         : in_predictor(s, theta, ridge, velocity, report, trouble);
  if (status == TB_OK && *trouble == TB_NATURAL_FINE && !all_finite(s->parameters, velocity))
    *trouble = TB_NATURAL_NOT_FINITE;
  if (status != TB_OK || *trouble != TB_NATURAL_FINE || !velocity_beta)
    return status;
  if (fisher == TB_FISHER_PARAMETER)
    tb_factored_push(s, theta, velocity, velocity_beta);
  else
    memcpy(velocity_beta, w->beta, s->size * sizeof *velocity_beta);
  return TB_OK;
}

/* Is a density what a sampler may trust: is its gradient the gradient, and is its integral finite?
 *
 * The integral cannot be known from values at points, but its common failures can: ln γ that does not fall along some
 * direction (a flat coordinate, separable labels without a prior, a sign slip).  Rays are thick (a mean over points
 * around them), so that a ridge that narrows is not taken for one that stays. */
#include <math.h>
#include <string.h>

#include "diffusion/target_parts.h"

/* ---- the gradient ---- */

enum { LENGTHS = 3, PLACES = 4, AT_ONCE = 16 };
static const double lengths[LENGTHS] = { 1e-3, 1e-4, 1e-6 };
static const double places[PLACES] = { -2, -1, 1, 2 };
static const double share[PLACES] = { 1 / 12.0, -8 / 12.0, 8 / 12.0, -1 / 12.0 }; /* five points, order h⁴ */

static double step_of(double x, size_t length) {
  return lengths[length] * fmax(1, fabs(x));
}

/* The error of `count` coordinates from `first` on; rows[count·12,d], values[count·12]. */
static tb_status error_of_some(tb_density *density, const double *x, const double *gradient, size_t first, size_t count,
                               double *rows, double *values, double *worst) {
  const size_t d = density->dims, each = LENGTHS * PLACES;
  for (size_t j = 0; j < count; j++)
    for (size_t k = 0; k < each; k++) {
      double *row = rows + (j * each + k) * d;
      memcpy(row, x, d * sizeof *row);
      row[first + j] += places[k % PLACES] * step_of(x[first + j], k / PLACES);
    }
  tb_status status = tb_density_values(density, count * each, rows, values, NULL);
  for (size_t j = 0; j < count && !status; j++) {
    const double slope = gradient[first + j];
    double best = INFINITY;
    for (size_t l = 0; l < LENGTHS; l++) {
      const double *v = values + j * each + l * PLACES;
      double difference = 0;
      for (size_t k = 0; k < PLACES; k++)
        difference += share[k] * v[k];
      const double error = fabs(slope - difference / step_of(x[first + j], l)) / fmax(1, fabs(slope));
      best = error < best ? error : best; /* a NaN is no better */
    }
    *worst = fmax(*worst, best);
  }
  return status;
}

tb_status tb_density_gradient_error(tb_density *density, size_t n, const double *x, double *error) {
  const size_t d = density->dims, rows = AT_ONCE * LENGTHS * PLACES;
  tb_arena *arena = tb_arena_new(density->context);
  double *value = tb_arena_allocate(arena, n, sizeof *value),
         *gradient = tb_arena_allocate(arena, n * d, sizeof *value);
  double *moved = tb_arena_allocate(arena, rows * d, sizeof *value),
         *values = tb_arena_allocate(arena, rows, sizeof *value);
  tb_status status = value && gradient && moved && values ? TB_OK : TB_NO_MEMORY;
  *error = 0;
  if (!status)
    status = tb_density_values(density, n, x, value, gradient);
  for (size_t i = 0; i < n && !status; i++) {
    if (isinf(value[i]))
      status = tb_fail(density->context, TB_FAILED, "gradient", "give a point inside the support",
                       "the density of %s is 0 at this point, so there is no gradient to check", density->target->name);
    for (size_t j = 0; j < d && !status; j += AT_ONCE)
      status = error_of_some(density, x + i * d, gradient + i * d, j, d - j < AT_ONCE ? d - j : AT_ONCE, moved, values,
                             error);
  }
  tb_arena_free(arena);
  return status;
}

/* ---- the integral ---- */

enum { RADII = 4, AROUND = 16, CLIMB = 200, MOST_AXES = 64, RANDOM = 16 };
static const double radii[RADII] = { 1e6, 1e8, 1e10, 1e12 }; /* far beyond what depends on where the ray begins */

typedef struct rays {
  tb_density *density;
  tb_key key;
  double *centre, *direction, *points, *values, *gradient; /* [d], [d], [AROUND,d], [AROUND], [d] */
  double summit;                                           /* ln γ at the centre */
} rays;

/* Uphill from 0 with a step that grows while it succeeds: ends at a mode, or far away where there is none. */
static tb_status climb(rays *r) {
  const size_t d = r->density->dims;
  double step = 0.1, *next = r->points;
  tb_status status = tb_density_values(r->density, 1, r->centre, &r->summit, r->gradient);
  for (int i = 0; i < CLIMB && !status; i++) {
    double norm = 0, value;
    for (size_t j = 0; j < d; j++)
      norm = hypot(norm, r->gradient[j]);
    if (!(norm > 0))
      break;
    for (size_t j = 0; j < d; j++)
      next[j] = r->centre[j] + step * r->gradient[j] / norm;
    status = tb_density_values(r->density, 1, next, &value, NULL);
    if (!status && value > r->summit) {
      memcpy(r->centre, next, d * sizeof *next);
      status = tb_density_values(r->density, 1, r->centre, &r->summit, r->gradient);
      step *= 2;
    } else {
      step *= 0.25;
    }
  }
  return status;
}

/* Mean of γ around centre + radius·direction, as a logarithm. */
static tb_status around(rays *r, double radius, double *mean) {
  const size_t d = r->density->dims;
  double most = -INFINITY, sum = 0;
  for (size_t i = 0; i < AROUND; i++) {
    double *point = r->points + i * d;
    tb_draw_normals(r->key, "around a ray", i, d, point);
    for (size_t j = 0; j < d; j++)
      point[j] = 0.1 * point[j] + r->centre[j] + radius * r->direction[j];
  }
  tb_status status = tb_density_values(r->density, AROUND, r->points, r->values, NULL);
  for (size_t i = 0; i < AROUND && !status; i++)
    most = fmax(most, r->values[i]);
  for (size_t i = 0; i < AROUND && !status && most > -INFINITY; i++)
    sum += exp(r->values[i] - most);
  *mean = most + log(sum / AROUND);
  return status;
}

/* Does r^k γ(centre + r·direction) not fall? */
static tb_status endless(rays *r, double k, bool *found) {
  double logs[RADII];
  for (int i = 0; i < RADII; i++) {
    tb_status status = around(r, radii[i], &logs[i]);
    *found = false;
    if (status || !(logs[i] > -INFINITY))
      return status;
  }
  *found = true;
  for (int i = 1; i < RADII; i++)
    *found &= (logs[i] - logs[i - 1]) / log(radii[i] / radii[i - 1]) + k >= -1e-3;
  return TB_OK;
}

static tb_status improper(rays *r, const char *where, const char *which) {
  return tb_fail(r->density->context, TB_FAILED, "improper", "add a prior, or bound the coordinates",
                 "the density of %s is improper: it does not fall %s%s", r->density->target->name, where, which);
}

static tb_status look_along_rays(rays *r) {
  const size_t d = r->density->dims;
  bool found = false;
  double norm = 0;
  tb_status status = climb(r);
  for (size_t j = 0; j < d; j++)
    norm = hypot(norm, r->centre[j]);
  if (!status && norm > 1e3) { /* far away: is it the way to infinity? */
    for (size_t j = 0; j < d; j++) {
      r->direction[j] = r->centre[j] / norm;
      r->centre[j] = 0;
    }
    status = endless(r, 1, &found);
    if (!status && found)
      return improper(r, "in the direction in which it rises", "");
  }
  for (size_t j = 0; j < 2 * d && j < MOST_AXES && !status; j++) {
    memset(r->direction, 0, d * sizeof *r->direction);
    r->direction[j / 2] = j % 2 ? -1 : 1;
    status = endless(r, 1, &found);
    if (!status && found)
      return improper(r, r->density->naturals == d ? "along coordinate " : "along a coordinate",
                      r->density->naturals == d ? r->density->names[j / 2] : "");
  }
  for (uint64_t i = 0; i < RANDOM && !status; i++) {
    norm = 0;
    tb_draw_normals(r->key, "rays", i, d, r->direction);
    for (size_t j = 0; j < d; j++)
      norm = hypot(norm, r->direction[j]);
    for (size_t j = 0; j < d; j++)
      r->direction[j] /= norm;
    status = endless(r, (double)d, &found);
    if (!status && found)
      return improper(r, "faster than its room grows", "");
  }
  return status;
}

tb_status tb_density_proper(tb_density *density, uint64_t seed) {
  const size_t d = density->dims;
  if (density->improper)
    return tb_fail(density->context, TB_FAILED, "improper", "give a finite prior_sd=, or other data",
                   "the density of %s is improper: %s", density->target->name, density->improper);
  if (!isnan(density->log_normaliser))
    return TB_OK;
  tb_arena *arena = tb_arena_new(density->context);
  rays r = { .density = density,
             .key = { .seed = seed },
             .centre = tb_arena_allocate(arena, d, sizeof(double)),
             .direction = tb_arena_allocate(arena, d, sizeof(double)),
             .points = tb_arena_allocate(arena, AROUND * d, sizeof(double)),
             .values = tb_arena_allocate(arena, AROUND, sizeof(double)),
             .gradient = tb_arena_allocate(arena, d, sizeof(double)) };
  const bool memory = r.centre && r.direction && r.points && r.values && r.gradient;
  density->probing = true;
  tb_status status = memory ? look_along_rays(&r) : TB_NO_MEMORY;
  density->probing = false;
  tb_arena_free(arena);
  return status;
}

/* Points, radius and plane of paths in predictor space. */
#include "report/path.h"

#include <lapacke.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- vectors ---- */

double tb_path_dot(size_t n, const double *x, const double *y) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum = fma(x[i], y[i], sum);
  return sum;
}

static double norm(size_t n, const double *x) {
  double largest = 0, sum = 0;
  for (size_t i = 0; i < n; i++)
    largest = fmax(largest, fabs(x[i]));
  for (size_t i = 0; i < n && largest > 0; i++)
    sum += (x[i] / largest) * (x[i] / largest);
  return largest * sqrt(sum);
}

/* A vector metric of d components (any number where d is 0). */
static tb_metric_value vector_of(const tb_metrics *metrics, const char *name, size_t d) {
  tb_metric_value value = tb_metrics_find(metrics, name);
  if (value.name && (value.kind != TB_METRIC_VECTOR || (d != 0 && value.cols != d)))
    value.name = NULL;
  return value;
}

size_t tb_path_dimension(const tb_outcome *outcome) {
  tb_metric_value beta = outcome->n_snapshots ? vector_of(outcome->snapshots[0], "beta", 0) : (tb_metric_value){ 0 };
  return beta.name ? beta.cols : 0;
}

static tb_metric_value reference_of(const tb_outcome *outcome, size_t d, const char *name) {
  char metric[64];
  snprintf(metric, sizeof metric, "reference.%s", name);
  tb_metric_value value = vector_of(outcome->metrics, metric, d);
  for (size_t i = 0; value.name && i < d; i++)
    if (!isfinite(value.values[i])) /* it does not exist on these data */
      value.name = NULL;
  return value;
}

const double *tb_path_reference(tb_arena *arena, const tb_outcome *outcome, size_t d, const char *name) {
  tb_metric_value value = reference_of(outcome, d, name);
  double length = value.name ? norm(d, value.values) : 0;
  double *unit = length > 0 && isfinite(length) ? tb_arena_allocate(arena, d, sizeof *unit) : NULL;
  for (size_t i = 0; unit && i < d; i++)
    unit[i] = value.values[i] / length;
  return unit;
}

/* ---- which runs ---- */

static bool same_vector(tb_metric_value a, tb_metric_value b) {
  if (!a.name || !b.name)
    return !a.name && !b.name;
  if (a.cols != b.cols)
    return false;
  for (size_t i = 0; i < a.cols; i++)
    if (!(fabs(a.values[i] - b.values[i]) <= 1e-6 * norm(a.cols, a.values)))
      return false;
  return true;
}

static bool same_problem(const tb_outcome *a, const tb_outcome *b) {
  size_t d = tb_path_dimension(a);
  if (d != tb_path_dimension(b))
    return false;
  for (size_t r = 0; r < tb_references_count; r++)
    if (!tb_references[r].of_start &&
        !same_vector(reference_of(a, d, tb_references[r].name), reference_of(b, d, tb_references[r].name)))
      return false;
  return true;
}

static size_t choose(size_t n_groups, const tb_group *groups, const tb_layout *layout, tb_path *paths) {
  size_t count = 0;
  for (size_t g = 0; g < n_groups; g++)
    for (size_t r = 0; r < groups[g].n; r++) {
      const tb_outcome *outcome = groups[g].runs[r]->outcome;
      if (outcome->n_snapshots < 3 || tb_path_dimension(outcome) < 2 ||
          (count > 0 && !same_problem(paths[0].outcome, outcome)))
        continue;
      paths[count++] = (tb_path){ .panel = layout->panel_of[g], .series = layout->series_of[g], .outcome = outcome };
      break;
    }
  return count;
}

/* ---- how far ---- */

static double radius_of(size_t n, const tb_path *paths, size_t d) {
  tb_metric_value svm = reference_of(paths[0].outcome, d, "l2_svm");
  double radius = svm.name && norm(d, svm.values) > 0 ? 10 * norm(d, svm.values) : INFINITY;
  for (size_t p = 0; p < n; p++) {
    double farthest = 0;
    for (size_t s = 0; s < paths[p].outcome->n_snapshots; s++) {
      tb_metric_value beta = vector_of(paths[p].outcome->snapshots[s], "beta", d);
      if (beta.name)
        farthest = fmax(farthest, norm(d, beta.values));
    }
    if (farthest > 0)
      radius = fmin(radius, farthest);
  }
  return radius;
}

/* point ← the place on the chord from before to it where the norm is the radius, by bisection. */
static void cut(size_t d, double radius, const double *before, double *point, const double *beyond) {
  double least = 0, most = 1;
  for (int i = 0; i < 60; i++) {
    double share = 0.5 * (least + most);
    for (size_t j = 0; j < d; j++)
      point[j] = (1 - share) * before[j] + share * beyond[j];
    *(norm(d, point) > radius ? &most : &least) = share;
  }
}

/* Fills the path's points up to the radius, the first one beyond it cut off on the circle. */
static tb_status walk(tb_context *context, tb_arena *arena, size_t d, double radius, tb_path *path) {
  path->points = tb_arena_allocate(arena, path->outcome->n_snapshots * d, sizeof *path->points);
  path->snapshots = tb_arena_allocate(arena, path->outcome->n_snapshots, sizeof *path->snapshots);
  if (!path->points || !path->snapshots)
    return tb_context_status(context);
  for (size_t s = 0; s < path->outcome->n_snapshots; s++) {
    tb_metric_value beta = vector_of(path->outcome->snapshots[s], "beta", d);
    if (!beta.name)
      continue;
    double *point = path->points + path->n * d;
    bool beyond = norm(d, beta.values) > radius * (1 + 1e-9);
    if (beyond && path->n > 0)
      cut(d, radius, point - d, point, beta.values);
    else
      memcpy(point, beta.values, d * sizeof *point);
    path->snapshots[path->n++] = path->outcome->snapshots[s];
    if (beyond)
      break;
  }
  return TB_OK;
}

tb_status tb_paths_of(tb_context *context, tb_arena *arena, size_t n_groups, const tb_group *groups,
                      const tb_layout *layout, size_t *count, tb_path **out, double *radius) {
  *count = 0;
  *radius = INFINITY;
  tb_path *paths = *out = tb_arena_allocate(arena, n_groups, sizeof *paths);
  if (!paths)
    return tb_context_status(context);
  size_t n = choose(n_groups, groups, layout, paths);
  size_t d = n ? tb_path_dimension(paths[0].outcome) : 0;
  *radius = n ? radius_of(n, paths, d) : INFINITY;
  if (!isfinite(*radius))
    return TB_OK;
  for (size_t p = 0; p < n; p++)
    if (walk(context, arena, d, *radius, &paths[p]) != TB_OK)
      return tb_context_status(context);
  *count = n;
  return TB_OK;
}

/* ---- the plane ---- */

/* Right singular vectors of all points, the two largest. */
static tb_status principal(tb_context *context, tb_arena *arena, size_t count, const tb_path *paths, tb_plane *plane) {
  size_t d = plane->d, n = 0;
  for (size_t p = 0; p < count; p++)
    n += paths[p].n;
  size_t k = n < d ? n : d;
  double *points = tb_arena_allocate(arena, n * d, sizeof *points), *s = tb_arena_allocate(arena, k, sizeof *s);
  double *vt = tb_arena_allocate(arena, k * d, sizeof *vt), *rest = tb_arena_allocate(arena, k, sizeof *rest);
  double *left = tb_arena_allocate(arena, n * k, sizeof *left);
  if (!points || !s || !vt || !rest || !left)
    return tb_context_status(context);
  for (size_t p = 0, at = 0; p < count; at += paths[p++].n * d)
    memcpy(points + at, paths[p].points, paths[p].n * d * sizeof *points);
  if (LAPACKE_dgesvd(LAPACK_ROW_MAJOR, 'S', 'S', (lapack_int)n, (lapack_int)d, points, (lapack_int)d, s, left,
                     (lapack_int)k, vt, (lapack_int)d, rest) != 0)
    return tb_fail(context, TB_FAILED, NULL, NULL, "the principal directions of a path were not found");
  memcpy(plane->u, vt, d * sizeof *vt);
  memcpy(plane->v, vt + d, d * sizeof *vt);
  double total = tb_path_dot(k, s, s);
  plane->share_u = s[0] * s[0] / total;
  plane->share_v = s[1] * s[1] / total;
  return TB_OK;
}

/* v ← the part across u of the reference that has the largest. */
static void turn_to_references(tb_arena *arena, const tb_outcome *outcome, tb_plane *plane) {
  double farthest = 1e-6;
  for (size_t r = 0; r < tb_references_count; r++) {
    const double *unit = tb_path_reference(arena, outcome, plane->d, tb_references[r].name);
    double along = unit ? tb_path_dot(plane->d, unit, plane->u) : 1, across = sqrt(fmax(0, 1 - along * along));
    if (across <= farthest)
      continue;
    farthest = across;
    for (size_t j = 0; j < plane->d; j++)
      plane->v[j] = (unit[j] - along * plane->u[j]) / across;
  }
}

/* A direction in which the paths move forwards. */
static void orient(size_t count, const tb_path *paths, size_t d, double *axis) {
  double sum = 0;
  for (size_t p = 0; p < count; p++)
    for (size_t i = 0; i < paths[p].n; i++)
      sum += tb_path_dot(d, axis, paths[p].points + i * d);
  for (size_t j = 0; j < d && sum < 0; j++)
    axis[j] = -axis[j];
}

tb_status tb_plane_of(tb_context *context, tb_arena *arena, size_t count, const tb_path *paths, tb_plane *plane) {
  size_t d = tb_path_dimension(paths[0].outcome);
  *plane = (tb_plane){ .d = d,
                       .u = tb_arena_allocate(arena, d, sizeof(double)),
                       .v = tb_arena_allocate(arena, d, sizeof(double)),
                       .coordinates = d == 2 };
  if (!plane->u || !plane->v)
    return tb_context_status(context);
  if (plane->coordinates) {
    plane->u[0] = plane->v[1] = 1;
    return TB_OK;
  }
  tb_status status = principal(context, arena, count, paths, plane);
  if (status != TB_OK)
    return status;
  orient(count, paths, d, plane->u);
  if (plane->share_v < 1e-3)
    turn_to_references(arena, paths[0].outcome, plane);
  else
    orient(count, paths, d, plane->v);
  return TB_OK;
}

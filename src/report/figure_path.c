/* The path in predictor space: every snapshot of β in two coordinates, or in the two principal directions of all of
 * them (not centred: the origin keeps its place), with the directions of the references.
 *
 * Paths can be compared only on one problem, so of each group one run is drawn, and only runs whose references are
 * those of the first.  Norms grow without bound; the picture ends where the shortest path does. */
#include <lapacke.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/assets.h"
#include "report/figure.h"
#include "report/layout.h"
#include "report/write.h"

typedef struct trail {
  size_t group, panel, series;
  const tb_outcome *outcome;
} trail;

/* The plane: p[i] is coordinate i of a predictor. */
typedef struct projection {
  size_t d;
  double *u, *v;           /* [d] each, orthonormal */
  double share_u, share_v; /* of the snapshots' squared length */
} projection;

static tb_metric_value beta_of(const tb_metrics *snapshot, size_t d) {
  tb_metric_value beta = tb_metrics_find(snapshot, "beta");
  if (beta.name && (beta.kind != TB_METRIC_VECTOR || (d != 0 && beta.cols != d)))
    beta.name = NULL;
  return beta;
}

static size_t dimension(const tb_outcome *outcome) {
  return outcome->n_snapshots ? beta_of(outcome->snapshots[0], 0).cols : 0;
}

static double norm(size_t n, const double *x) {
  double largest = 0, sum = 0;
  for (size_t i = 0; i < n; i++)
    largest = fmax(largest, fabs(x[i]));
  for (size_t i = 0; i < n && largest > 0; i++)
    sum += (x[i] / largest) * (x[i] / largest);
  return largest * sqrt(sum);
}

static double dot(size_t n, const double *x, const double *y) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum = fma(x[i], y[i], sum);
  return sum;
}

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

/* Whether two runs have the same data, as far as their references tell. */
static bool same_problem(const tb_outcome *a, const tb_outcome *b) {
  if (dimension(a) != dimension(b))
    return false;
  for (size_t i = 0; i < tb_metrics_count(a->metrics); i++) {
    tb_metric_value value = tb_metrics_at(a->metrics, i);
    if (strncmp(value.name, "reference.", 10) == 0 && value.kind == TB_METRIC_VECTOR &&
        !same_vector(value, tb_metrics_find(b->metrics, value.name)))
      return false;
  }
  return true;
}

/* One run of each group, all on the first one's problem. */
static size_t choose(size_t n_groups, const tb_group *groups, const tb_layout *layout, trail *paths) {
  size_t count = 0;
  for (size_t g = 0; g < n_groups; g++)
    for (size_t r = 0; r < groups[g].n; r++) {
      const tb_outcome *outcome = groups[g].runs[r]->outcome;
      if (outcome->n_snapshots < 3 || dimension(outcome) < 2 || (count > 0 && !same_problem(paths[0].outcome, outcome)))
        continue;
      paths[count++] = (trail){ g, layout->panel_of[g], layout->series_of[g], outcome };
      break;
    }
  return count;
}

/* Where the picture ends: the least of the paths' largest norms. */
static double radius_of(size_t n, const trail *paths, size_t d) {
  double radius = INFINITY;
  for (size_t p = 0; p < n; p++) {
    double farthest = 0;
    for (size_t s = 0; s < paths[p].outcome->n_snapshots; s++) {
      tb_metric_value beta = beta_of(paths[p].outcome->snapshots[s], d);
      if (beta.name)
        farthest = fmax(farthest, norm(d, beta.values));
    }
    if (farthest > 0)
      radius = fmin(radius, farthest);
  }
  return radius;
}

/* The points of a path within the radius, the first one beyond it cut off on the circle. */
static size_t points_of(const trail *path, size_t d, double radius, double *points, const tb_metrics **snapshots) {
  size_t count = 0;
  for (size_t s = 0; s < path->outcome->n_snapshots; s++) {
    tb_metric_value beta = beta_of(path->outcome->snapshots[s], d);
    if (!beta.name)
      continue;
    double *point = points + count * d, length = norm(d, beta.values);
    memcpy(point, beta.values, d * sizeof *point);
    snapshots[count++] = path->outcome->snapshots[s];
    if (length > radius * (1 + 1e-9)) {
      if (count == 1)
        break;
      /* On the chord from the last point: ‖a + share (b − a)‖ = radius, by bisection. */
      double least = 0, most = 1;
      for (int i = 0; i < 60; i++) {
        double share = 0.5 * (least + most);
        for (size_t j = 0; j < d; j++)
          point[j] = (1 - share) * point[j - d] + share * beta.values[j];
        *(norm(d, point) > radius ? &most : &least) = share;
      }
      break;
    }
  }
  return count;
}

/* The two principal directions of n points [n × d], by singular values. */
static tb_status principal(tb_context *context, tb_arena *arena, size_t n, const double *points, projection *plane) {
  size_t d = plane->d, k = n < d ? n : d;
  double *copy = tb_arena_allocate(arena, n * d, sizeof *copy), *s = tb_arena_allocate(arena, k, sizeof *s);
  double *vt = tb_arena_allocate(arena, k * d, sizeof *vt), *rest = tb_arena_allocate(arena, k, sizeof *rest);
  double *left = tb_arena_allocate(arena, n * k, sizeof *left);
  if (!copy || !s || !vt || !rest || !left)
    return tb_context_status(context);
  memcpy(copy, points, n * d * sizeof *copy);
  if (LAPACKE_dgesvd(LAPACK_ROW_MAJOR, 'S', 'S', (lapack_int)n, (lapack_int)d, copy, (lapack_int)d, s, left,
                     (lapack_int)k, vt, (lapack_int)d, rest) != 0)
    return tb_fail(context, TB_FAILED, NULL, NULL, "the principal directions of a path were not found");
  memcpy(plane->u, vt, d * sizeof *vt);
  memcpy(plane->v, vt + d, d * sizeof *vt);
  double total = dot(k, s, s);
  plane->share_u = s[0] * s[0] / total;
  plane->share_v = s[1] * s[1] / total;
  return TB_OK;
}

/* A direction in which the paths move forwards. */
static void orient(size_t n, const double *points, size_t d, double *axis) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += dot(d, axis, points + i * d);
  for (size_t j = 0; j < d && sum < 0; j++)
    axis[j] = -axis[j];
}

typedef struct bounds {
  double x0, x1, y0, y1;
} bounds;

static void widen(bounds *box, double x, double y) {
  box->x0 = fmin(box->x0, x);
  box->x1 = fmax(box->x1, x);
  box->y0 = fmin(box->y0, y);
  box->y1 = fmax(box->y1, y);
}

/* A reference's ray in the plane and where its label goes. */
typedef struct ray {
  const char *tag;
  double x, y, label_y;
} ray;

enum { MOST_RAYS = 16 };

/* The references as points on the circle of the picture, seen in the plane; returns how many. */
static size_t add_references(const tb_outcome *outcome, const projection *plane, double radius, tb_text *csv,
                             bounds *box, ray *rays) {
  size_t count = 0;
  for (size_t r = 0; r < tb_references_count && count < MOST_RAYS; r++) {
    char name[64];
    snprintf(name, sizeof name, "reference.%s", tb_references[r].name);
    tb_metric_value value = tb_metrics_find(outcome->metrics, name);
    double length = value.name && value.cols == plane->d ? norm(plane->d, value.values) : 0;
    if (!(length > 0 && isfinite(length)))
      continue;
    double x = radius * dot(plane->d, plane->u, value.values) / length;
    double y = radius * dot(plane->d, plane->v, value.values) / length;
    tb_text_format(csv, "reference,0,%zu,,,%.10g,%.10g,,", count + 1, x, y);
    tb_write_csv(csv, tb_references[r].label);
    tb_text_add(csv, "\n");
    widen(box, x, y);
    rays[count++] = (ray){ tb_references[r].tag, x, y, y };
  }
  return count;
}

/* Labels on the same side keep `gap` of height between them: each is pushed down from the one above. */
static void part_labels(size_t n, ray *rays, double gap) {
  for (size_t i = 1; i < n; i++) /* by height, the highest first */
    for (size_t j = i; j > 0 && rays[j].y > rays[j - 1].y; j--) {
      ray other = rays[j];
      rays[j] = rays[j - 1];
      rays[j - 1] = other;
    }
  for (size_t i = 1; i < n; i++)
    for (size_t j = 0; j < i; j++)
      if ((rays[i].x < 0) == (rays[j].x < 0) && rays[i].label_y > rays[j].label_y - gap)
        rays[i].label_y = rays[j].label_y - gap;
}

/* Room for labels of about 60 pixels beside a picture of about 300. */
static void write_rays(size_t n, ray *rays, bounds *box, tb_text *script) {
  double pixel = (box->x1 - box->x0) / 230;
  const char *tags[MOST_RAYS];
  part_labels(n, rays, 17 * pixel);
  double left = box->x0, right = box->x1;
  for (size_t r = 0; r < n; r++) {
    tags[r] = rays[r].tag;
    left = fmin(left, rays[r].x < 0 ? rays[r].x - 60 * pixel : left);
    right = fmax(right, rays[r].x < 0 ? right : rays[r].x + 60 * pixel);
    box->y0 = fmin(box->y0, rays[r].label_y);
  }
  box->x0 = left;
  box->x1 = right;
  tb_text_format(script, "references = %zu\n", n);
  if (n == 0)
    return;
  tb_script_words(script, "reference_name", n, tags);
  tb_text_format(script, "array reference_x[%zu] = [", n);
  for (size_t r = 0; r < n; r++)
    tb_text_format(script, "%s%.6g", r ? ", " : "", rays[r].x + (rays[r].x < 0 ? -6 : 6) * pixel);
  tb_text_format(script, "]\narray reference_y[%zu] = [", n);
  for (size_t r = 0; r < n; r++)
    tb_text_format(script, "%s%.6g", r ? ", " : "", rays[r].label_y);
  tb_text_add(script, "]\n");
}

static void add_path(const trail *path, size_t n, const double *points, const tb_metrics *const *snapshots,
                     const projection *plane, const char *panel, const char *series, tb_text *csv, bounds *box) {
  for (size_t i = 0; i < n; i++) {
    double x = dot(plane->d, plane->u, points + i * plane->d), y = dot(plane->d, plane->v, points + i * plane->d);
    double t = tb_metrics_get(snapshots[i], "t"), log_t = tb_snapshot_log_time(snapshots[i]);
    tb_text_format(csv, "path,%zu,%zu,%.10g,%.10g,%.10g,%.10g,", path->panel + 1, path->series + 1, t, log_t, x, y);
    tb_write_csv(csv, panel);
    tb_text_add(csv, ",");
    tb_write_csv(csv, series);
    tb_text_add(csv, "\n");
    widen(box, x, y);
  }
}

static void write_script(const tb_layout *layout, const projection *plane, bounds box, tb_picture *picture) {
  tb_text *script = &picture->script;
  const char *names[64];
  int colours[64];
  size_t n = layout->n_series < 64 ? layout->n_series : 64;
  for (size_t s = 0; s < n; s++) {
    names[s] = layout->series[s].name;
    colours[s] = layout->series[s].colour;
  }
  tb_script_word(script, "file", picture->file);
  tb_text_format(script, "panels = %zu; series = %zu\n", layout->n_panels, n);
  tb_script_words(script, "panel_name", layout->n_panels, layout->panels);
  tb_script_words(script, "series_name", n, names);
  tb_script_integers(script, "series_colour", n, colours);
  tb_text_format(script, "longest = %zu; longest_panel = %zu\n", tb_longest_of(n, names),
                 tb_longest_of(layout->n_panels, layout->panels));
  double pad = 0.06 * fmax(box.x1 - box.x0, box.y1 - box.y0);
  tb_text_format(script, "xlow = %.10g; xhigh = %.10g; ylow = %.10g; yhigh = %.10g\n", box.x0 - pad, box.x1 + pad,
                 box.y0 - pad, box.y1 + pad);
  if (plane->d == 2) {
    tb_script_word(script, "xlabel", "β₁");
    tb_script_word(script, "ylabel", "β₂");
  } else {
    tb_text_format(script, "xlabel = 'first principal direction (%.0f %%)'\n", 100 * plane->share_u);
    tb_text_format(script, "ylabel = 'second (%.0f %%)'\n", 100 * plane->share_v);
  }
}

static tb_status draw_path(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                           tb_group *groups, tb_picture *picture) {
  tb_layout layout;
  trail *paths = tb_arena_allocate(arena, n_groups, sizeof *paths);
  size_t *lengths = tb_arena_allocate(arena, n_groups, sizeof *lengths);
  if (!paths || !lengths || tb_layout_of(context, arena, n_groups, groups, &layout) != TB_OK)
    return tb_context_status(context);
  size_t count = choose(n_groups, groups, &layout, paths);
  if (count < 2)
    return TB_OK;
  size_t d = dimension(paths[0].outcome), most = 0, n = 0;
  for (size_t p = 0; p < count; p++)
    most += paths[p].outcome->n_snapshots;
  double *points = tb_arena_allocate(arena, most * d, sizeof *points);
  const tb_metrics **snapshots = tb_arena_allocate(arena, most, sizeof *snapshots);
  projection plane = { .d = d,
                       .u = tb_arena_allocate(arena, d, sizeof(double)),
                       .v = tb_arena_allocate(arena, d, sizeof(double)) };
  if (!points || !snapshots || !plane.u || !plane.v)
    return tb_context_status(context);
  double radius = radius_of(count, paths, d);
  if (!isfinite(radius))
    return TB_OK;
  for (size_t p = 0; p < count; p++)
    n += lengths[p] = points_of(&paths[p], d, radius, points + n * d, snapshots + n);
  if (d == 2) {
    plane.u[0] = plane.v[1] = 1;
  } else {
    tb_status status = principal(context, arena, n, points, &plane);
    if (status != TB_OK)
      return status;
    orient(n, points, d, plane.u);
    orient(n, points, d, plane.v);
  }
  bounds box = { 0, 0, 0, 0 };
  tb_text_add(&picture->csv, "what,panel,series,t,log_t,x,y,panel_name,name\n");
  for (size_t p = 0, at = 0; p < count; at += lengths[p++])
    add_path(&paths[p], lengths[p], points + at * d, snapshots + at, &plane, layout.panels[paths[p].panel],
             layout.series[paths[p].series].name, &picture->csv, &box);
  ray rays[MOST_RAYS];
  size_t n_rays = add_references(paths[0].outcome, &plane, radius, &picture->csv, &box, rays);
  write_rays(n_rays, rays, &box, &picture->script);
  write_script(&layout, &plane, box, picture);
  if (!tb_config_find(paths[0].outcome->config, "seed"))
    return TB_OK;
  long long seed = (long long)tb_config_integer(paths[0].outcome->config, "seed");
  picture->note = tb_arena_format(arena, "Here the runs of seed %lld.", seed);
  return picture->note ? TB_OK : tb_context_status(context);
}

const tb_figure tb_figure_path = {
  "path",
  "The path in predictor space",
  "Each line is the predictor's way from its start (dot), whatever the parameters behind it; the dashed rays are the "
  "directions of the reference solutions (their length is the part that lies in this plane). Lines on top of one "
  "another are one path: the method does not see the parametrisation.",
  tb_asset_path_size_gp,
  tb_asset_path_gp,
  draw_path,
};

/* The figure of paths in predictor space: lines in a plane, the references as rays with names at their ends. */
#include <math.h>
#include <string.h>

#include "report/assets.h"
#include "report/figure.h"
#include "report/path.h"
#include "report/write.h"

typedef struct bounds {
  double x0, x1, y0, y1;
} bounds;

static void widen(bounds *box, double x, double y) {
  box->x0 = fmin(box->x0, x);
  box->x1 = fmax(box->x1, x);
  box->y0 = fmin(box->y0, y);
  box->y1 = fmax(box->y1, y);
}

/* ---- paths ---- */

static void add_path(const tb_path *path, const tb_plane *plane, const tb_layout *layout, tb_text *csv, bounds *box) {
  for (size_t i = 0; i < path->n; i++) {
    const double *point = path->points + i * plane->d;
    double x = tb_path_dot(plane->d, plane->u, point), y = tb_path_dot(plane->d, plane->v, point);
    tb_text_format(csv, "path,%zu,%zu,%.10g,%.10g,%.10g,%.10g,", path->panel + 1, path->series + 1,
                   tb_metrics_get(path->snapshots[i], "t"), tb_snapshot_log_time(path->snapshots[i]), x, y);
    tb_write_csv(csv, layout->panels[path->panel]);
    tb_text_add(csv, ",");
    tb_write_csv(csv, layout->series[path->series].name);
    tb_text_add(csv, "\n");
    widen(box, x, y);
  }
}

/* ---- references ---- */

/* A reference's ray in the plane, and its label. */
typedef struct ray {
  const char *tag;
  double x, y, label_y;
} ray;

enum { MOST_RAYS = 16 };

/* A reference that depends on the start is one for all only where all paths agree on it. */
static bool is_shared(tb_arena *arena, size_t count, const tb_path *paths, size_t d, const tb_reference *reference) {
  const double *first = tb_path_reference(arena, paths[0].outcome, d, reference->name);
  for (size_t p = 1; first && reference->of_start && p < count; p++) {
    const double *other = tb_path_reference(arena, paths[p].outcome, d, reference->name);
    if (!other || tb_path_dot(d, first, other) < 1 - 1e-6)
      return false;
  }
  return first != NULL;
}

/* The references' directions as long as the picture's radius, seen in the plane. */
static size_t add_references(tb_arena *arena, size_t count, const tb_path *paths, const tb_plane *plane, double radius,
                             tb_text *csv, bounds *box, ray *rays) {
  size_t n = 0;
  for (size_t r = 0; r < tb_references_count && n < MOST_RAYS; r++) {
    if (!is_shared(arena, count, paths, plane->d, &tb_references[r]))
      continue;
    const double *unit = tb_path_reference(arena, paths[0].outcome, plane->d, tb_references[r].name);
    if (!unit)
      continue;
    double x = radius * tb_path_dot(plane->d, plane->u, unit), y = radius * tb_path_dot(plane->d, plane->v, unit);
    tb_text_format(csv, "reference,0,%zu,,,%.10g,%.10g,,", n + 1, x, y);
    tb_write_csv(csv, tb_references[r].label);
    tb_text_add(csv, "\n");
    widen(box, x, y);
    rays[n++] = (ray){ tb_references[r].tag, x, y, y };
  }
  return n;
}

/* Rays that end in one place share a label: "ℓ2 SVM = min ℓ2". */
static bool merge_labels(tb_arena *arena, size_t *n, ray *rays, double distance) {
  for (size_t i = 0; i < *n; i++)
    for (size_t j = i + 1; j < *n;) {
      if (hypot(rays[i].x - rays[j].x, rays[i].y - rays[j].y) > distance) {
        j++;
        continue;
      }
      if (!(rays[i].tag = tb_arena_format(arena, "%s = %s", rays[i].tag, rays[j].tag)))
        return false;
      memmove(&rays[j], &rays[j + 1], (--*n - j) * sizeof *rays);
    }
  return true;
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

/* Scales differ where the picture would be a strip. */
static bool is_strip(const bounds *box) {
  return box->y1 - box->y0 < 0.15 * (box->x1 - box->x0);
}

static double room_of(const ray *r) {
  return 7.5 * (double)tb_longest_of(1, &r->tag) + 12; /* pixels */
}

/* Names and places of labels; the box grows by the room they take in a panel of about `width` pixels. */
static bool write_labels(tb_arena *arena, size_t count, ray *rays, double width, bounds *box, tb_text *script) {
  size_t n = count;
  if (!merge_labels(arena, &n, rays, 0.015 * (box->x1 - box->x0)))
    return false;
  double room = 0;
  for (size_t r = 0; r < n; r++)
    room = fmax(room, room_of(&rays[r]));
  double pixel = (box->x1 - box->x0) / fmax(width - room, 0.3 * width);
  part_labels(n, rays, is_strip(box) ? 0.1 * (box->y1 - box->y0) : 16 * pixel);
  const char *tags[MOST_RAYS];
  double left = box->x0, right = box->x1;
  for (size_t r = 0; r < n; r++) {
    tags[r] = rays[r].tag;
    left = fmin(left, rays[r].x < 0 ? rays[r].x - room_of(&rays[r]) * pixel : left);
    right = fmax(right, rays[r].x < 0 ? right : rays[r].x + room_of(&rays[r]) * pixel);
    box->y0 = fmin(box->y0, rays[r].label_y);
  }
  box->x0 = left;
  box->x1 = right;
  tb_text_format(script, "references = %zu; labels = %zu\n", count, n);
  if (n == 0)
    return true;
  tb_script_words(script, "label_name", n, tags);
  tb_text_format(script, "array label_x[%zu] = [", n);
  for (size_t r = 0; r < n; r++)
    tb_text_format(script, "%s%.6g", r ? ", " : "", rays[r].x + (rays[r].x < 0 ? -7 : 7) * pixel);
  tb_text_format(script, "]\narray label_y[%zu] = [", n);
  for (size_t r = 0; r < n; r++)
    tb_text_format(script, "%s%.6g", r ? ", " : "", rays[r].label_y);
  tb_text_add(script, "]\n");
  return true;
}

/* ---- the figure ---- */

static tb_status write_series(tb_context *context, tb_arena *arena, const tb_layout *layout, tb_text *script) {
  const char **names = tb_arena_allocate(arena, layout->n_series, sizeof *names);
  int *colours = tb_arena_allocate(arena, layout->n_series, sizeof *colours);
  if (!names || !colours)
    return tb_context_status(context);
  for (size_t s = 0; s < layout->n_series; s++) {
    names[s] = layout->series[s].name;
    colours[s] = layout->series[s].colour;
  }
  tb_text_format(script, "panels = %zu; series = %zu\n", layout->n_panels, layout->n_series);
  tb_script_words(script, "panel_name", layout->n_panels, layout->panels);
  tb_script_words(script, "series_name", layout->n_series, names);
  tb_script_integers(script, "series_colour", layout->n_series, colours);
  tb_text_format(script, "longest = %zu; longest_panel = %zu\n", tb_longest_of(layout->n_series, names),
                 tb_longest_of(layout->n_panels, layout->panels));
  return TB_OK;
}

static void write_axes(const tb_plane *plane, bounds box, tb_text *script) {
  double pad_x = 0.05 * (box.x1 - box.x0), pad_y = is_strip(&box) ? fmax(0.1 * (box.y1 - box.y0), 0.2 * pad_x) : pad_x;
  tb_text_format(script, "xlow = %.10g; xhigh = %.10g; ylow = %.10g; yhigh = %.10g; equal = %d\n", box.x0 - pad_x,
                 box.x1 + pad_x, box.y0 - pad_y, box.y1 + pad_y, !is_strip(&box));
  if (plane->coordinates) {
    tb_script_word(script, "xlabel", "β₁");
    tb_script_word(script, "ylabel", "β₂");
  } else {
    tb_text_format(script, "xlabel = 'first principal direction (%.0f %%)'\n", 100 * plane->share_u);
    if (plane->share_v < 1e-3)
      tb_script_word(script, "ylabel", "across");
    else
      tb_text_format(script, "ylabel = 'second (%.1f %%)'\n", 100 * plane->share_v);
  }
}

/* Only groups that have a path take part, so that the legend names what is there. */
static tb_status draw_path(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                           tb_group *groups, tb_picture *picture) {
  tb_layout layout;
  tb_path *paths;
  tb_plane plane;
  size_t count;
  double radius;
  tb_group *shown = tb_arena_allocate(arena, n_groups, sizeof *shown);
  if (!shown || tb_layout_of(context, arena, n_groups, groups, &layout) != TB_OK ||
      tb_paths_of(context, arena, n_groups, groups, &layout, &count, &paths, &radius) != TB_OK)
    return tb_context_status(context);
  if (count < 2)
    return TB_OK;
  size_t n_shown = 0;
  for (size_t g = 0; g < n_groups; g++)
    for (size_t p = 0; p < count; p++)
      if (paths[p].panel == layout.panel_of[g] && paths[p].series == layout.series_of[g])
        shown[n_shown++] = groups[g];
  if (tb_layout_of(context, arena, n_shown, shown, &layout) != TB_OK ||
      tb_paths_of(context, arena, n_shown, shown, &layout, &count, &paths, &radius) != TB_OK ||
      tb_plane_of(context, arena, count, paths, &plane) != TB_OK)
    return tb_context_status(context);
  tb_script_word(&picture->script, "file", picture->file);
  if (write_series(context, arena, &layout, &picture->script) != TB_OK)
    return tb_context_status(context);
  bounds box = { 0, 0, 0, 0 };
  ray rays[MOST_RAYS];
  tb_text_add(&picture->csv, "what,panel,series,t,log_t,x,y,panel_name,name\n");
  for (size_t p = 0; p < count; p++)
    add_path(&paths[p], &plane, &layout, &picture->csv, &box);
  size_t n_rays = add_references(arena, count, paths, &plane, radius, &picture->csv, &box, rays);
  if (!write_labels(arena, n_rays, rays, layout.n_panels == 1 ? 400 : 260, &box, &picture->script))
    return tb_context_status(context);
  write_axes(&plane, box, &picture->script);
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

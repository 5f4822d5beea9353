/* How large a network must be to follow a drift: path divergence against parameters, both axes logarithmic.
 *
 * A line a kind of network and process through its sizes: the construction, trained networks, and the theorem's number
 * of points for the divergences that the construction reached. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/assets.h"
#include "report/figure.h"
#include "report/plot.h"
#include "report/write.h"
#include <tiebreak/statistics.h>

typedef struct kind {
  const char *network, *objective; /* objective NULL: any */
  const char *ou, *brownian;       /* names of the two lines; NULL: left out */
  const char *x;                   /* the metric along the axis of sizes */
  int colour;
} kind;

static const kind kinds[] = {
  { "constructed", NULL, "construction", "construction, Brownian", "parameters", 1 },
  { "trained", "score", "score matching", "score matching, Brownian", "parameters", 2 },
  { "trained", "control", "control objective", "control objective, Brownian", "parameters", 3 },
  { "constructed", NULL, "theorem (C = 1)", NULL, "bound.at_path_kl", 8 },
};
enum { KINDS = sizeof kinds / sizeof *kinds, SERIES = 2 * KINDS };

static const tb_config *config_of(const tb_group *group) {
  return group->runs[0]->outcome->config;
}

static bool belongs(const tb_group *group, const kind *k, bool ou) {
  const tb_config *config = config_of(group);
  return tb_config_is(config, "network", k->network) && tb_config_is(config, "process", ou ? "ou" : "brownian") &&
         tb_config_real(config, "accuracy") == 0 && (!k->objective || tb_config_is(config, "objective", k->objective));
}

/* The x-th place of a quantile over the group's runs; NaN: none is finite. */
static double quantile(tb_arena *arena, const tb_group *group, const char *metric, double p) {
  double *values = tb_arena_allocate(arena, group->n, sizeof *values);
  size_t count = 0;
  for (size_t r = 0; values && r < group->n; r++) {
    const double value = tb_metrics_get(group->runs[r]->outcome->metrics, metric);
    if (isfinite(value))
      values[count++] = value;
  }
  return count ? tb_quantile(count, values, p) : NAN;
}

typedef struct point {
  double x, y, low, high;
  size_t runs;
} point;

static int compare_points(const void *a, const void *b) {
  const point *p = a, *q = b;
  return (p->x > q->x) - (p->x < q->x);
}

static size_t points_of(tb_arena *arena, size_t n_groups, const tb_group *groups, const kind *k, bool ou,
                        point *points) {
  size_t count = 0;
  for (size_t g = 0; g < n_groups; g++) {
    if (!belongs(&groups[g], k, ou))
      continue;
    const point p = { quantile(arena, &groups[g], k->x, 0.5), quantile(arena, &groups[g], "path_kl", 0.5),
                      quantile(arena, &groups[g], "path_kl", 0.1), quantile(arena, &groups[g], "path_kl", 0.9),
                      groups[g].n };
    if (p.x > 0 && p.low > 0)
      points[count++] = p;
  }
  qsort(points, count, sizeof *points, compare_points);
  return count;
}

static tb_status draw_size(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                           tb_group *groups, tb_picture *picture) {
  const char *names[SERIES];
  int colours[SERIES], dashes[SERIES];
  double least = INFINITY, most = 0, shallow = INFINITY, deep = 0;
  size_t series = 0, sizes = 0;
  if (strcmp(chapter->study->name, "drift") != 0)
    return TB_OK;
  point *points = tb_arena_allocate(arena, n_groups + 1, sizeof *points);
  if (!points)
    return tb_context_status(context);
  tb_text csv = tb_text_new(context);
  tb_text_add(&csv, "series,size,value,p10,p90,runs,name\n");
  for (size_t s = 0; s < SERIES; s++) {
    const kind *k = &kinds[s / 2];
    const bool ou = s % 2 == 0;
    if (!ou && !k->brownian)
      continue;
    const size_t count = points_of(arena, n_groups, groups, k, ou, points);
    if (count < 2)
      continue;
    names[series] = ou ? k->ou : k->brownian;
    colours[series] = k->colour;
    dashes[series++] = ou ? 1 : 2;
    sizes += count;
    for (size_t i = 0; i < count; i++) {
      tb_text_format(&csv, "%zu,%.10g,%.10g,%.10g,%.10g,%zu,", series, points[i].x, points[i].y, points[i].low,
                     points[i].high, points[i].runs);
      tb_write_csv(&csv, names[series - 1]);
      tb_text_add(&csv, "\n");
      least = fmin(least, points[i].x);
      most = fmax(most, points[i].x);
      shallow = fmin(shallow, points[i].low);
      deep = fmax(deep, points[i].high);
    }
  }
  tb_status status = tb_text_finish(&csv);
  if (!status && sizes >= 3) {
    tb_text_add(&picture->csv, csv.data);
    tb_script_word(&picture->script, "file", picture->file);
    tb_script_word(&picture->script, "size_label", "parameters (theorem: points)");
    tb_script_word(&picture->script, "error_label", "path divergence (nats)");
    tb_text_format(&picture->script, "series = %zu; longest = %zu\n", series, tb_longest_of(series, names));
    tb_script_words(&picture->script, "series_name", series, names);
    tb_script_integers(&picture->script, "series_colour", series, colours);
    tb_script_integers(&picture->script, "series_dash", series, dashes);
    tb_script_axis(&picture->script, 'x', tb_axis_of(least / 2, most * 2, true));
    tb_script_axis(&picture->script, 'y', tb_axis_of(shallow / 1.5, deep * 1.5, true));
  }
  tb_text_free(&csv);
  return status;
}

const tb_figure tb_figure_size = {
  "size",
  "What a theorem asks for and what suffices",
  "Path divergence against the number of parameters (for the theorem: of points), median over seeds with 10 % to 90 % "
  "quantiles. The construction's divergence falls as one over its number of points; the theorem, for the same "
  "divergence "
  "and with its unspecified constant taken as 1, lies tens of decades to the right. Trained networks end above the "
  "construction: what limits them is training, not size.",
  tb_asset_size_size_gp,
  tb_asset_size_gp,
  draw_size,
};

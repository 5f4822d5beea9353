/* In-context accuracy, and on the other axis what the loss on documents has to do with it.
 *
 * Through the number of examples: accuracy of the law and of the law that was overwritten after prompts, and the
 * Kullback–Leibler divergence between the two.  Through smoothing: accuracy of the law, and its loss on documents. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/assets.h"
#include "report/figure.h"
#include "report/plot.h"
#include "report/write.h"
#include <tiebreak/statistics.h>

typedef struct quantity {
  const char *metric, *name;
  int colour, dash;
  bool right; /* on the right axis */
  double factor;
} quantity;

typedef struct view {
  const char *option, *xlabel; /* along the axis */
  bool log_x;
  const char *right_label;
  bool log_right;
  size_t n;
  quantity quantities[3];
} view;

static const view views[] = {
  { "n",
    "examples in the prompt",
    false,
    "log₁₀ nats a document",
    false,
    3,
    { { "accuracy", "the law", 1, 1, false, 1 },
      { "accuracy.altered", "overwritten after prompts", 2, 1, false, 1 },
      { "log_kl", "divergence (right)", 8, 2, true, 0.43429448190325182765 } } },
  { "smoothing",
    "smoothing of transitions",
    true,
    "nats a token",
    false,
    2,
    { { "accuracy", "accuracy", 1, 1, false, 1 }, { "nll", "loss on documents (right)", 8, 2, true, 1 } } },
};

typedef struct point {
  double x, y, low, high;
} point;

static int compare_points(const void *a, const void *b) {
  const point *p = a, *q = b;
  return (p->x > q->x) - (p->x < q->x);
}

static double x_of(const tb_group *group, const char *option) {
  const tb_config *config = group->runs[0]->outcome->config;
  return strcmp(option, "n") == 0 ? (double)tb_config_integer(config, option) : tb_config_real(config, option);
}

/* Median and range of a metric over a group's runs; false where it has none. */
static bool point_of(tb_arena *arena, const tb_group *group, const view *v, const quantity *q, point *p) {
  double *values = tb_arena_allocate(arena, group->n, sizeof *values);
  size_t count = 0;
  for (size_t r = 0; values && r < group->n; r++) {
    const double value = q->factor * tb_metrics_get(group->runs[r]->outcome->metrics, q->metric);
    if (isfinite(value))
      values[count++] = value;
  }
  *p = (point){ x_of(group, v->option), NAN, NAN, NAN };
  if (count == 0 || (v->log_x && !(p->x > 0)))
    return false;
  p->y = tb_quantile(count, values, 0.5);
  p->low = tb_quantile(count, values, 0);
  p->high = tb_quantile(count, values, 1);
  return true;
}

/* Groups along the axis: the exact law, and where a second option varies its first value alone. */
static bool along(const tb_group *group, const tb_group *first, const char *option) {
  const tb_config *a = group->runs[0]->outcome->config, *b = first->runs[0]->outcome->config;
  for (size_t i = 0; i < tb_config_count(a); i++) {
    const char *name = tb_config_option(a, i)->name;
    if (strcmp(name, option) != 0 && strcmp(name, "seed") != 0 &&
        strcmp(tb_config_text(a, i), tb_config_text(b, i)) != 0)
      return false;
  }
  return tb_config_is(a, "predictor", "bayes");
}

static tb_status draw_view(tb_context *context, tb_arena *arena, const view *v, size_t n_groups, const tb_group *groups,
                           tb_picture *picture) {
  point *points = tb_arena_allocate(arena, n_groups + 1, sizeof *points);
  const char *names[3];
  int colours[3], dashes[3], right[3];
  double least = INFINITY, most = -INFINITY, low = INFINITY, high = -INFINITY;
  size_t series = 0, left = 0;
  tb_text csv = tb_text_new(context);
  if (!points)
    return tb_context_status(context);
  tb_text_add(&csv, "series,x,y,low,high,name\n");
  for (size_t k = 0; k < v->n; k++) {
    const quantity *q = &v->quantities[k];
    size_t count = 0;
    for (size_t g = 0; g < n_groups; g++)
      if (along(&groups[g], &groups[0], v->option) && point_of(arena, &groups[g], v, q, &points[count]))
        count++;
    if (count < 3)
      continue;
    qsort(points, count, sizeof *points, compare_points);
    names[series] = q->name;
    colours[series] = q->colour;
    dashes[series] = q->dash;
    right[series++] = q->right;
    left += !q->right;
    for (size_t i = 0; i < count; i++) {
      tb_text_format(&csv, "%zu,%.10g,%.10g,%.10g,%.10g,", series, points[i].x, points[i].y, points[i].low,
                     points[i].high);
      tb_write_csv(&csv, q->name);
      tb_text_add(&csv, "\n");
      least = fmin(least, points[i].x);
      most = fmax(most, points[i].x);
      low = q->right ? fmin(low, points[i].low) : low;
      high = q->right ? fmax(high, points[i].high) : high;
    }
  }
  tb_status status = tb_text_finish(&csv);
  if (!status && left > 0 && series > left) {
    tb_text_add(&picture->csv, csv.data);
    tb_script_word(&picture->script, "file", picture->file);
    tb_text_format(&picture->script, "series = %zu; longest = %zu\n", series, tb_longest_of(series, names));
    tb_script_words(&picture->script, "series_name", series, names);
    tb_script_integers(&picture->script, "series_colour", series, colours);
    tb_script_integers(&picture->script, "series_dash", series, dashes);
    tb_script_integers(&picture->script, "series_right", series, right);
    tb_script_word(&picture->script, "xlabel", v->xlabel);
    tb_script_word(&picture->script, "rlabel", v->right_label);
    tb_script_axis(&picture->script, 'x', tb_axis_of(least, most, v->log_x));
    tb_script_axis(&picture->script, 'r', tb_axis_of(low, high, false));
  }
  tb_text_free(&csv);
  return status;
}

static tb_status draw_context(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                              tb_group *groups, tb_picture *picture) {
  if (strcmp(chapter->study->name, "icl") != 0)
    return TB_OK;
  for (size_t k = 0; k < sizeof views / sizeof *views; k++) {
    tb_status status = draw_view(context, arena, &views[k], n_groups, groups, picture);
    if (status || picture->csv.length > 0)
      return status;
  }
  return TB_OK;
}

const tb_figure tb_figure_context = {
  "context",
  "Learning in context, and what the loss sees of it",
  "Left axis: how often the likeliest next token after a prompt is the right one (median over seeds, bars from the "
  "least "
  "to the largest). Right axis, dashed: what tells the laws apart on documents. In-context behaviour changes from one "
  "end of the left axis to the other while the loss on documents does not move.",
  tb_asset_context_size_gp,
  tb_asset_context_gp,
  draw_context,
};

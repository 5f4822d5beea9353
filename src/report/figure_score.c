/* Two pictures of denoising diffusions: how samplers' errors fall with their steps, and data that become noise and come
 * back. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/assets.h"
#include "report/figure.h"
#include "report/plot.h"
#include "report/write.h"
#include <tiebreak/statistics.h>

static const tb_outcome *first_of(const tb_group *group) {
  return group->runs[0]->outcome;
}

/* ---- error against steps ---- */

enum { MOST_SERIES = 32 };

typedef struct point {
  double steps, error;
} point;

static int compare_points(const void *a, const void *b) {
  const point *p = a, *q = b;
  return (p->steps > q->steps) - (p->steps < q->steps);
}

/* Error of end points where the sampler is deterministic, of the law where it draws noise. */
static double error_of(const tb_outcome *outcome) {
  const double flow = tb_metrics_get(outcome->metrics, "flow_error");
  return isnan(flow) ? tb_metrics_get(outcome->metrics, "law_error") : flow;
}

/* The sampler and process of a line. */
static bool same_line(const tb_config *a, const tb_config *b) {
  return tb_config_is(a, "sampler", tb_config_word(b, "sampler")) &&
         tb_config_is(a, "process", tb_config_word(b, "process"));
}

/* Points of the line of group g, a median over its seeds each, ascending. */
static size_t points_of(tb_arena *arena, size_t n_groups, const tb_group *groups, size_t g, point *points) {
  size_t count = 0;
  for (size_t k = g; k < n_groups; k++) {
    const tb_config *config = first_of(&groups[k])->config;
    double *errors = tb_arena_allocate(arena, groups[k].n, sizeof *errors);
    if (!errors || !same_line(config, first_of(&groups[g])->config))
      continue;
    size_t have = 0;
    for (size_t r = 0; r < groups[k].n; r++) {
      const double error = error_of(groups[k].runs[r]->outcome);
      if (error > 0)
        errors[have++] = error;
    }
    if (have)
      points[count++] = (point){ (double)tb_config_integer(config, "sampler_steps"), tb_quantile(have, errors, 0.5) };
  }
  qsort(points, count, sizeof *points, compare_points);
  return count;
}

/* −slope of ln error over ln steps */
static double order_of(size_t n, const point *points) {
  double x = 0, y = 0, xx = 0, xy = 0;
  for (size_t i = 0; i < n; i++)
    x += log(points[i].steps) / (double)n, y += log(points[i].error) / (double)n;
  for (size_t i = 0; i < n; i++) {
    xx += (log(points[i].steps) - x) * (log(points[i].steps) - x);
    xy += (log(points[i].steps) - x) * (log(points[i].error) - y);
  }
  return -xy / xx;
}

/* One colour a sampler. */
static int colour_of(const tb_config *config) {
  static const char *const samplers[] = { "em", "ancestral", "exponential", "ddim", "heun", "dpmpp2m", "pc", "rk45" };
  int colour = 1;
  for (size_t i = 0; i < sizeof samplers / sizeof *samplers; i++)
    if (tb_config_is(config, "sampler", samplers[i]))
      colour = (int)i + 1;
  return colour;
}

static tb_status draw_orders(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                             tb_group *groups, tb_picture *picture) {
  const char *names[MOST_SERIES];
  int colours[MOST_SERIES], dashes[MOST_SERIES];
  double fewest = INFINITY, most_steps = 0, least = INFINITY, most = 0;
  size_t series = 0;
  if (strcmp(chapter->study->name, "score") != 0)
    return TB_OK;
  point *points = tb_arena_allocate(arena, n_groups + 1, sizeof *points);
  if (!points)
    return tb_context_status(context);
  tb_text csv = tb_text_new(context);
  tb_text_add(&csv, "series,size,value,p10,p90,runs,name\n");
  for (size_t g = 0; g < n_groups && series < MOST_SERIES; g++) {
    const tb_config *config = first_of(&groups[g])->config;
    bool begun = false;
    for (size_t k = 0; k < g; k++)
      begun |= same_line(config, first_of(&groups[k])->config);
    const size_t count = begun ? 0 : points_of(arena, n_groups, groups, g, points);
    if (count < 3 || points[0].steps == points[count - 1].steps)
      continue;
    const bool vp = tb_config_is(config, "process", "vp");
    names[series] = tb_arena_format(arena, "%s%s%s: order %.2f", tb_config_word(config, "sampler"), vp ? "" : ", ",
                                    vp ? "" : tb_config_word(config, "process"), order_of(count, points));
    if (!names[series]) {
      tb_text_free(&csv);
      return tb_context_status(context);
    }
    colours[series] = colour_of(config);
    dashes[series++] = vp ? 1 : 2;
    for (size_t i = 0; i < count; i++) {
      tb_text_format(&csv, "%zu,%.10g,%.10g,%.10g,%.10g,1,", series, points[i].steps, points[i].error, points[i].error,
                     points[i].error);
      tb_write_csv(&csv, names[series - 1]);
      tb_text_add(&csv, "\n");
      fewest = fmin(fewest, points[i].steps);
      most_steps = fmax(most_steps, points[i].steps);
      least = fmin(least, points[i].error);
      most = fmax(most, points[i].error);
    }
  }
  const tb_status status = tb_text_finish(&csv);
  if (!status && series > 0) {
    tb_text_add(&picture->csv, csv.data);
    tb_script_word(&picture->script, "file", picture->file);
    tb_script_word(&picture->script, "size_label", "steps of the sampler");
    tb_script_word(&picture->script, "error_label", "distance from the exact flow or law");
    tb_text_format(&picture->script, "series = %zu; longest = %zu\n", series, tb_longest_of(series, names));
    tb_script_words(&picture->script, "series_name", series, names);
    tb_script_integers(&picture->script, "series_colour", series, colours);
    tb_script_integers(&picture->script, "series_dash", series, dashes);
    tb_script_axis(&picture->script, 'x', tb_axis_of(fewest, most_steps, true));
    tb_script_axis(&picture->script, 'y', tb_axis_of(least, most, true));
  }
  tb_text_free(&csv);
  return status;
}

const tb_figure tb_figure_orders = {
  "orders",
  "How fast samplers converge",
  "Error on Gaussian data against the number of steps, both axes logarithmic, with the fitted order of each line. "
  "Samplers "
  "that follow the probability flow: root mean square distance of end points from the exact flow of the same noise. "
  "Samplers that draw noise: distance (W2) of the exact law of their end from the law that it should be; neither "
  "number "
  "has any Monte Carlo error in it.",
  tb_asset_size_size_gp,
  tb_asset_size_gp,
  draw_orders,
};

/* ---- data, noise, samples ---- */

enum { MOST_ROWS = 4 };

/* "gmm10, pinned, exact score" */
static const char *name_of(tb_arena *arena, const tb_config *config) {
  const char *data = tb_config_word(config, "data"), *process = tb_config_word(config, "process");
  const bool named = *data != '\0', vp = strcmp(process, "vp") == 0;
  return tb_arena_format(arena, "%s%s%s%s%s", named ? data : tb_config_word(config, "target"), vp ? "" : ", ",
                         vp ? "" : process, tb_config_is(config, "network", "exact") ? ", exact score" : "",
                         tb_config_is(config, "parametrisation", "noise") ? ", network of (x, t)" : "");
}

/* Enough points to see a shape. */
static bool is_worth_it(const tb_config *config) {
  return tb_config_integer(config, "draws") >= 300 &&
         (tb_config_is_set(config, "data") || !tb_config_is(config, "target", "gaussian")) &&
         tb_config_is(config, "sampler", "heun");
}

/* The run's points.csv after its header, every line preceded by its row of the picture. */
static tb_status add_points(tb_context *context, const tb_exhibit *run, size_t row, tb_text *csv, bool *found) {
  tb_text path = tb_text_new(context);
  char *data = NULL;
  size_t size;
  tb_text_format(&path, "%s/points.csv", run->folder);
  tb_status status = tb_text_finish(&path);
  *found = !status && *run->folder && tb_file_exists(path.data);
  if (*found)
    status = tb_file_read(context, path.data, &data, &size);
  char *line = data ? strchr(data, '\n') : NULL;
  while (line && *++line) {
    char *end = strchr(line, '\n');
    if (end)
      *end = '\0';
    tb_text_format(csv, "%zu,%s\n", row, line);
    line = end;
  }
  tb_release(context, data);
  tb_text_free(&path);
  return status;
}

static tb_status draw_reversal(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                               tb_group *groups, tb_picture *picture) {
  const char *names[MOST_ROWS];
  size_t rows = 0;
  if (strcmp(chapter->study->name, "score") != 0)
    return TB_OK;
  tb_text csv = tb_text_new(context);
  tb_text_add(&csv, "row,column,x,y\n");
  tb_status status = TB_OK;
  for (size_t g = 0; !status && g < n_groups && rows < MOST_ROWS; g++) {
    bool found;
    const tb_config *config = first_of(&groups[g])->config;
    if (!is_worth_it(config))
      continue;
    status = add_points(context, groups[g].runs[0], rows + 1, &csv, &found);
    if (status || !found)
      continue;
    if (!(names[rows++] = name_of(arena, config)))
      status = tb_context_status(context);
  }
  if (!status)
    status = tb_text_finish(&csv);
  if (!status && rows > 0) {
    tb_text_add(&picture->csv, csv.data);
    tb_script_word(&picture->script, "file", picture->file);
    tb_text_format(&picture->script, "rows = %zu\n", rows);
    tb_script_words(&picture->script, "row_name", rows, names);
  }
  tb_text_free(&csv);
  return status;
}

const tb_figure tb_figure_reversal = {
  "reversal",
  "To noise and back",
  "From left to right: data points, the same half forgotten (as much noise as data), at the end of the noising, and "
  "the "
  "samples that the reversed process makes of noise. One run a row, coordinates as the network sees them.",
  tb_asset_clouds_size_gp,
  tb_asset_clouds_gp,
  draw_reversal,
};

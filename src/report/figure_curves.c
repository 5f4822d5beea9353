/* Figures of metrics over time: margins, angles to the references, loss. */
#include <math.h>

#include "report/assets.h"
#include "report/figure.h"
#include "report/layout.h"
#include "report/write.h"

/* Appends the curve of a group's metric when it has at least two points. */
static tb_status add_line(tb_context *context, tb_arena *arena, const tb_group *group, tb_reading read,
                          const char *name, size_t panel, size_t series, size_t *count, tb_line *lines) {
  tb_line *line = &lines[*count];
  line->panel = panel;
  line->series = series;
  tb_status status = tb_curve_of(context, arena, group, read, name, &line->curve);
  if (status == TB_OK && line->curve.n > 1)
    ++*count;
  return status;
}

/* ---- margins ---- */

/* Margins grow linearly or like log t: a logarithmic axis only where they go far. */
static double largest_of(size_t n, const tb_line *lines) {
  double largest = -INFINITY;
  for (size_t l = 0; l < n; l++)
    for (size_t i = 0; i < lines[l].curve.n; i++)
      largest = fmax(largest, lines[l].curve.median[i]);
  return largest;
}

static tb_status draw_margins(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                              tb_group *groups, tb_picture *picture) {
  tb_layout layout;
  tb_line *lines = tb_arena_allocate(arena, 2 * n_groups, sizeof *lines);
  if (!lines || tb_layout_of(context, arena, n_groups, groups, &layout) != TB_OK)
    return tb_context_status(context);
  size_t count = 0;
  for (size_t g = 0; g < n_groups; g++) {
    tb_status status = add_line(context, arena, &groups[g], tb_read_real, "min_margin", layout.panel_of[g],
                                layout.series_of[g], &count, lines);
    if (status == TB_OK)
      status = add_line(context, arena, &groups[g], tb_read_largest, "margins", layout.panel_of[g],
                        layout.n_series + layout.series_of[g], &count, lines);
    if (status != TB_OK)
      return status;
  }
  if (count == 0)
    return TB_OK;
  for (size_t s = 0; s < layout.n_series; s++)
    layout.series[layout.n_series + s] = (tb_series){ NULL, layout.series[s].colour, 3 };
  tb_lines plot = { layout.n_panels,
                    2 * layout.n_series,
                    count,
                    layout.panels,
                    layout.series,
                    lines,
                    "margin",
                    .steps = tb_counts_steps(n_groups, groups),
                    .log_y = largest_of(count, lines) > 1e3,
                    .floor = 0.1,
                    .level = NAN };
  tb_lines_write(&plot, picture->file, &picture->csv, &picture->script);
  return TB_OK;
}

const tb_figure tb_figure_margins = {
  "margins",
  "Margins over time",
  "Solid: the smallest margin, dotted: the largest (median over seeds, bands from the 10 % to the 90 % quantile). "
  "Where the two meet, every point ends up equally far from the boundary; where they part, a few support vectors "
  "decide.",
  tb_asset_lines_size_gp,
  tb_asset_lines_gp,
  draw_margins,
};

/* ---- angles ---- */

enum { MOST_PANELS = 9 };

static tb_status draw_angles(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                             tb_group *groups, tb_picture *picture) {
  size_t n_panels = n_groups < MOST_PANELS ? n_groups : MOST_PANELS, n_series = 0, count = 0;
  tb_series *series = tb_arena_allocate(arena, tb_references_count, sizeof *series);
  tb_line *lines = tb_arena_allocate(arena, n_groups * tb_references_count, sizeof *lines);
  const char **panels = tb_arena_allocate(arena, n_groups, sizeof *panels);
  if (!series || !lines || !panels)
    return tb_context_status(context);
  for (size_t g = 0; g < n_groups; g++)
    panels[g] = n_groups > 1 ? groups[g].label : "";
  for (size_t r = 0; r < tb_references_count; r++) {
    const char *name = tb_arena_format(arena, "angle_to.%s", tb_references[r].name);
    if (!name)
      return tb_context_status(context);
    size_t before = count;
    for (size_t g = 0; g < n_panels; g++)
      if (add_line(context, arena, &groups[g], tb_read_real, name, g, n_series, &count, lines) != TB_OK)
        return tb_context_status(context);
    if (count > before)
      series[n_series++] = (tb_series){ tb_references[r].label, tb_references[r].colour, tb_references[r].dash };
  }
  if (count == 0)
    return TB_OK;
  if (n_groups > n_panels &&
      !(picture->note = tb_arena_format(arena, "Shown: the first %zu of %zu configurations.", n_panels, n_groups)))
    return tb_context_status(context);
  tb_lines plot = { n_panels,
                    n_series,
                    count,
                    panels,
                    series,
                    lines,
                    "angle (degrees)",
                    .steps = tb_counts_steps(n_groups, groups),
                    .log_y = true,
                    .floor = 1e-5,
                    .level = NAN };
  tb_lines_write(&plot, picture->file, &picture->csv, &picture->script);
  return TB_OK;
}

const tb_figure tb_figure_angles = {
  "angles",
  "Which solution: angles to the references over time",
  "The angle between the predictor and each reference solution, each computed without the method under test (median "
  "over seeds, bands from the 10 % to the 90 % quantile). A line that falls names the solution that the method picks.",
  tb_asset_lines_size_gp,
  tb_asset_lines_gp,
  draw_angles,
};

/* ---- loss ---- */

static double read_exp(const tb_metrics *snapshot, const char *name) {
  return exp(tb_metrics_get(snapshot, name));
}

static double read_minus(const tb_metrics *snapshot, const char *name) {
  return -tb_metrics_get(snapshot, name);
}

/* Below this logarithm the loss is not a floating-point number and minus its logarithm is drawn instead. */
static const double least_log_loss = -600;

static double least_of(size_t n, const tb_exhibit *const *runs, const char *name) {
  double least = INFINITY;
  for (size_t r = 0; r < n; r++)
    for (size_t s = 0; s < runs[r]->outcome->n_snapshots; s++)
      least = fmin(least, tb_metrics_get(runs[r]->outcome->snapshots[s], name));
  return least;
}

static tb_status draw_loss(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                           tb_group *groups, tb_picture *picture) {
  tb_layout layout;
  tb_line *lines = tb_arena_allocate(arena, n_groups, sizeof *lines);
  if (!lines || tb_layout_of(context, arena, n_groups, groups, &layout) != TB_OK)
    return tb_context_status(context);
  bool representable = least_of(chapter->n, chapter->runs, "log_loss") > least_log_loss;
  size_t count = 0;
  for (size_t g = 0; g < n_groups; g++)
    if (add_line(context, arena, &groups[g], representable ? read_exp : read_minus, "log_loss", layout.panel_of[g],
                 layout.series_of[g], &count, lines) != TB_OK)
      return tb_context_status(context);
  if (count == 0)
    return TB_OK;
  tb_lines plot = { layout.n_panels,
                    layout.n_series,
                    count,
                    layout.panels,
                    layout.series,
                    lines,
                    representable ? "loss" : "−log loss",
                    .steps = tb_counts_steps(n_groups, groups),
                    .log_y = true,
                    .floor = representable ? 1e-300 : 0.1,
                    .level = NAN };
  tb_lines_write(&plot, picture->file, &picture->csv, &picture->script);
  return TB_OK;
}

const tb_figure tb_figure_loss = {
  "loss",
  "Loss over time",
  "The training loss (median over seeds, bands from the 10 % to the 90 % quantile).",
  tb_asset_lines_size_gp,
  tb_asset_lines_gp,
  draw_loss,
};

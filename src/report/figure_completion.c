/* Figures of matrices known in part: how far each method ends from the matrix, and how its singular values get there.
 */
#include <math.h>

#include "report/assets.h"
#include "report/figure.h"
#include "report/layout.h"

/* ---- error by method and depth, beside the least nuclear norm ---- */

/* The error of the least nuclear norm over runs that have it, each matrix once (seeds differ, groups repeat them). */
static tb_status nuclear_bar(tb_context *context, size_t n_groups, const tb_group *groups, const char *name,
                             tb_bar *bar) {
  *bar = (tb_bar){ 0 };
  for (size_t g = 0; g < n_groups && bar->n == 0; g++)
    if (tb_bar_of(context, &groups[g], name, bar) != TB_OK)
      return tb_context_status(context);
  return TB_OK;
}

static tb_status draw_recovery(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                               tb_group *groups, tb_picture *picture) {
  const char **names = tb_arena_allocate(arena, n_groups + 1, sizeof *names);
  int *colours = tb_arena_allocate(arena, n_groups + 1, sizeof *colours);
  tb_bar *bars = tb_arena_allocate(arena, n_groups + 1, sizeof *bars);
  if (!names || !colours || !bars)
    return tb_context_status(context);
  size_t count = 0;
  for (size_t g = 0; g < n_groups; g++) {
    if (tb_bar_of(context, &groups[g], "error_unobserved", &bars[count]) != TB_OK)
      return tb_context_status(context);
    names[count] = *groups[g].label ? groups[g].label : "all runs";
    colours[count] = (int)(groups[g].method_index % 8) + 1;
    count += bars[count].n > 0;
  }
  if (count < 2)
    return TB_OK;
  if (nuclear_bar(context, n_groups, groups, "reference.nuclear_error_unobserved", &bars[count]) != TB_OK)
    return tb_context_status(context);
  names[count] = "least nuclear norm";
  colours[count] = 8;
  count += bars[count].n > 0;
  tb_bars plot = { count, names, colours, bars, "mean squared error, entries not observed", true, 1e-12 };
  tb_bars_write(&plot, picture->file, &picture->csv, &picture->script);
  return TB_OK;
}

const tb_figure tb_figure_recovery = {
  "recovery",
  "Which matrix: error on the entries that were not observed",
  "The worst seed of each configuration, on a logarithmic axis in units of the entries' mean square; beside them the "
  "matrix of least nuclear norm. All agree with the observed entries; an error of 1 is what entries that never move "
  "have.",
  tb_asset_bars_size_gp,
  tb_asset_bars_gp,
  draw_recovery,
};

/* ---- singular values over time ---- */

enum { SHOWN = 6, MOST_PANELS = 9 };

#define READ_VALUE(k)                                                                                                  \
  static double read_##k(const tb_metrics *snapshot, const char *name) {                                               \
    tb_metric_value v = tb_metrics_find(snapshot, name);                                                               \
    return v.name && v.cols > k ? exp(v.values[k]) : NAN;                                                              \
  }
/* clang-format off */
READ_VALUE(0)
READ_VALUE(1)
READ_VALUE(2)
READ_VALUE(3)
READ_VALUE(4)
READ_VALUE(5)
/* clang-format on */

static const tb_reading readings[SHOWN] = { read_0, read_1, read_2, read_3, read_4, read_5 };
static const char *const ordinals[SHOWN] = { "largest", "2nd", "3rd", "4th", "5th", "6th" };

static tb_status draw_spectrum(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                               tb_group *groups, tb_picture *picture) {
  size_t n_panels = n_groups < MOST_PANELS ? n_groups : MOST_PANELS, count = 0, n_series = 0;
  tb_series *series = tb_arena_allocate(arena, SHOWN, sizeof *series);
  tb_line *lines = tb_arena_allocate(arena, n_panels * SHOWN, sizeof *lines);
  const char **panels = tb_arena_allocate(arena, n_groups, sizeof *panels);
  if (!series || !lines || !panels)
    return tb_context_status(context);
  if (!tb_have_snapshots_of(chapter->n, chapter->runs, "log_singular_values", 8))
    return TB_OK;
  for (size_t g = 0; g < n_groups; g++)
    panels[g] = n_groups > 1 ? groups[g].label : "";
  for (size_t k = 0; k < SHOWN; k++) {
    size_t before = count;
    for (size_t g = 0; g < n_panels; g++) {
      tb_line *line = &lines[count];
      line->panel = g;
      line->series = k;
      if (tb_curve_of(context, arena, &groups[g], readings[k], "log_singular_values", &line->curve) != TB_OK)
        return tb_context_status(context);
      count += line->curve.n > 1;
    }
    if (count > before)
      series[n_series++] = (tb_series){ ordinals[k], (int)k + 1, 1 };
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
                    "singular value",
                    .steps = tb_counts_steps(n_groups, groups),
                    .floor = 1e-8,
                    .level = NAN };
  tb_lines_write(&plot, picture->file, &picture->csv, &picture->script);
  return TB_OK;
}

const tb_figure tb_figure_spectrum = {
  "spectrum",
  "Singular values over time",
  "The largest singular values of the product (median over seeds, bands from the 10 % to the 90 % quantile). The "
  "deeper "
  "the product, the more they rise one after the other, and the lower the rest stays.",
  tb_asset_lines_size_gp,
  tb_asset_lines_gp,
  draw_spectrum,
};

/* The figure of a threshold: how well the law of natural gradient flow is kept, by width of the network. */
#include <math.h>

#include "report/assets.h"
#include "report/curves.h"
#include "report/figure.h"
#include "report/plot.h"

/* The largest error over a group's snapshots, at the start as a rate. */
static tb_bar error_of(const tb_group *group, bool *full) {
  tb_bar bar = { .mean = NAN, .low = NAN, .high = NAN, .least = NAN, .most = NAN };
  for (size_t r = 0; r < group->n; r++) {
    const tb_metrics *metrics = group->runs[r]->outcome->metrics;
    double value = tb_metrics_get(metrics, "law_rate_error");
    tb_metric_value margins = tb_metrics_find(metrics, "margins");
    *full = margins.name && tb_metrics_get(metrics, "rank") >= (double)margins.cols;
    if (isnan(value))
      continue;
    bar.n++;
    bar.mean = value;
    bar.least = fmin(bar.least, value);
    bar.most = fmax(bar.most, value);
  }
  return bar;
}

static tb_status draw_width(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                            tb_group *groups, tb_picture *picture) {
  const char **names = tb_arena_allocate(arena, n_groups, sizeof *names);
  int *colours = tb_arena_allocate(arena, n_groups, sizeof *colours);
  tb_bar *bars = tb_arena_allocate(arena, n_groups, sizeof *bars);
  if (!names || !colours || !bars)
    return tb_context_status(context);
  size_t count = 0, short_of = 0;
  for (size_t g = 0; g < n_groups; g++) {
    bool full = false;
    bars[count] = error_of(&groups[g], &full);
    names[count] = groups[g].label;
    colours[count] = full ? 1 : 2;
    if (bars[count].n > 0) {
      count++;
      short_of += !full;
    }
  }
  if (short_of == 0 || short_of == count) /* there is no threshold in sight */
    return TB_OK;
  tb_bars plot = { count, names, colours, bars, "error of the law of margins, as a rate", true, 1e-17 };
  tb_bars_write(&plot, picture->file, &picture->csv, &picture->script);
  return TB_OK;
}

const tb_figure tb_figure_width = {
  "width",
  "How many parameters are enough",
  "How far the margins' rates are from the law 1 + exp(−m), the worst seed, on a logarithmic axis: rounding errors lie "
  "at "
  "the left edge. One colour where the Jacobian's rank is the number of points, the other where parameters are too "
  "few.",
  tb_asset_bars_size_gp,
  tb_asset_bars_gp,
  draw_width,
};

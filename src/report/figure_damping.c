/* Damping turns natural gradient into gradient descent: where, and how that moves with the damping.
 *
 * Left: the angle between the flow's velocity and −∇L over time, a line for each λ.  Right: the time at which it falls
 * through 45° against log 1/λ.  The natural gradient lasts until the smallest margin reaches about log(κ/(nλ)), so the
 * points should lie on a line of slope 1. */
#include <math.h>

#include "report/assets.h"
#include "report/figure.h"
#include "report/layout.h"
#include "report/write.h"
#include <tiebreak/statistics.h>

static const double half_way = 45; /* degrees: as much natural gradient as gradient */

/* Median and 10 and 90 % quantiles of the crossing time over a group's runs. */
static tb_status crossing(tb_context *context, tb_arena *arena, const tb_group *group, double quantiles[3],
                          size_t *have) {
  double *times = tb_arena_allocate(arena, group->n, sizeof *times);
  if (!times)
    return tb_context_status(context);
  *have = 0;
  for (size_t r = 0; r < group->n; r++) {
    double log_t = tb_crossing_of(group->runs[r]->outcome, "angle_to_gradient", half_way);
    if (!isnan(log_t))
      times[(*have)++] = exp(log_t);
  }
  static const double p[3] = { 0.5, 0.1, 0.9 };
  for (size_t i = 0; i < 3; i++)
    quantiles[i] = *have ? tb_quantile(*have, times, p[i]) : NAN;
  return TB_OK;
}

/* Least-squares line through n points; false for fewer than two abscissae. */
static bool fit(size_t n, const double *x, const double *y, double *slope, double *offset) {
  double mean_x = tb_mean_of(n, x), mean_y = tb_mean_of(n, y), xx = 0, xy = 0;
  for (size_t i = 0; i < n; i++) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  *slope = xy / xx;
  *offset = mean_y - *slope * mean_x;
  return n > 1 && xx > 0;
}

static tb_status draw_damping(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                              tb_group *groups, tb_picture *picture) {
  tb_layout layout;
  tb_line *lines = tb_arena_allocate(arena, n_groups, sizeof *lines);
  double *damping = tb_arena_allocate(arena, n_groups, sizeof *damping);
  double *x = tb_arena_allocate(arena, n_groups, sizeof *x), *y = tb_arena_allocate(arena, n_groups, sizeof *y);
  if (!lines || !damping || !x || !y || tb_layout_of(context, arena, n_groups, groups, &layout) != TB_OK)
    return tb_context_status(context);
  size_t count = 0, points = 0;
  for (size_t g = 0; g < n_groups; g++) {
    const tb_config *config = groups[g].runs[0]->outcome->config;
    if (!tb_config_find(config, "damping") || tb_config_real(config, "damping") <= 0)
      continue;
    damping[g] = tb_config_real(config, "damping");
    lines[count] = (tb_line){ .panel = 0, .series = g };
    if (tb_curve_of(context, arena, &groups[g], tb_read_real, "angle_to_gradient", &lines[count].curve) != TB_OK)
      return tb_context_status(context);
    count += lines[count].curve.n > 1;
  }
  if (count < 2)
    return TB_OK;
  for (size_t g = 0; g < n_groups; g++)
    layout.series[g] = (tb_series){ groups[g].label, (int)(g % 8) + 1, 1 };
  static const char *const panel[] = { "angle" };
  tb_lines plot = { 1,
                    n_groups,
                    count,
                    panel,
                    layout.series,
                    lines,
                    "angle of velocity to −∇L (degrees)",
                    .level = half_way,
                    .extra_name = "damping",
                    .extra = damping };
  tb_lines_write(&plot, picture->file, &picture->csv, &picture->script);
  for (size_t l = 0; l < count; l++) {
    const tb_group *group = &groups[lines[l].series];
    double q[3] = { NAN, NAN, NAN };
    size_t have = 0;
    if (crossing(context, arena, group, q, &have) != TB_OK)
      return tb_context_status(context);
    if (have == 0)
      continue;
    tb_text_format(&picture->csv, "2,%zu,%.10g,,,%.10g,%.10g,%.10g,%zu,\"time of 45 degrees\",", lines[l].series + 1,
                   damping[lines[l].series], q[0], q[1], q[2], have);
    tb_write_csv(&picture->csv, group->label);
    tb_text_add(&picture->csv, "\n");
    x[points] = -log(damping[lines[l].series]);
    y[points++] = q[0];
  }
  double slope, offset;
  bool line = fit(points, x, y, &slope, &offset);
  tb_script_number(&picture->script, "points", (double)points);
  tb_script_number(&picture->script, "slope", line ? slope : NAN);
  tb_script_number(&picture->script, "intercept", line ? offset : NAN);
  if (line && !(picture->note = tb_arena_format(arena, "Here the slope is %.3f.", slope)))
    return tb_context_status(context);
  return TB_OK;
}

const tb_figure tb_figure_damping = {
  "damping",
  "Damping turns natural gradient into gradient descent",
  "Left: the angle between the flow's velocity and −∇L for several dampings λ; at 45° it is as much the one as the "
  "other. Right: the time of that crossing against log 1/λ, with the fitted line; slope 1 means that a tenfold smaller "
  "λ keeps the natural gradient for log 10 longer.",
  tb_asset_damping_size_gp,
  tb_asset_damping_gp,
  draw_damping,
};

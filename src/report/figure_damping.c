/* Damping turns natural gradient into gradient descent: where, and how that moves with the damping.
 *
 * Left: the angle between the flow's velocity and −∇L over time, a line for each λ.  Right: the smallest margin where
 * that angle has fallen to half of what it is without damping, against log 1/λ.  The natural gradient lasts until that
 * margin is about log(κ/(nλ)), so the points should lie on a line of slope 1. */
#include <math.h>

#include "report/assets.h"
#include "report/figure.h"
#include "report/layout.h"
#include "report/write.h"
#include <tiebreak/statistics.h>

static double first_angle(const tb_outcome *outcome) {
  for (size_t i = 0; i < outcome->n_snapshots; i++) {
    double angle = tb_metrics_get(outcome->snapshots[i], "angle_to_gradient");
    if (!isnan(angle))
      return angle;
  }
  return NAN;
}

/* The angle at the start on this run's problem without damping: that of the least damped run of the same seed. */
static double undamped_angle(size_t n_groups, const tb_group *groups, const tb_exhibit *run) {
  double least = INFINITY, angle = NAN;
  for (size_t g = 0; g < n_groups; g++)
    for (size_t r = 0; r < groups[g].n; r++) {
      const tb_config *config = groups[g].runs[r]->outcome->config;
      double here = tb_config_real(config, "damping");
      bool same = !tb_config_find(config, "seed") ||
                  tb_config_integer(config, "seed") == tb_config_integer(run->outcome->config, "seed");
      if (!same || here >= least || isnan(first_angle(groups[g].runs[r]->outcome)))
        continue;
      least = here;
      angle = first_angle(groups[g].runs[r]->outcome);
    }
  return angle;
}

/* Median and 10 and 90 % quantiles over a group's runs of the smallest margin half-way. */
static tb_status crossing(tb_context *context, tb_arena *arena, size_t n_groups, const tb_group *groups,
                          const tb_group *group, double quantiles[3], size_t *have) {
  double *margins = tb_arena_allocate(arena, group->n, sizeof *margins);
  if (!margins)
    return tb_context_status(context);
  *have = 0;
  for (size_t r = 0; r < group->n; r++) {
    const tb_outcome *outcome = group->runs[r]->outcome;
    double level = 0.5 * undamped_angle(n_groups, groups, group->runs[r]);
    double log_t = tb_crossing_of(outcome, "angle_to_gradient", level);
    double margin = isnan(log_t) ? NAN : tb_value_at(outcome, "min_margin", log_t);
    if (!isnan(margin))
      margins[(*have)++] = margin;
  }
  static const double p[3] = { 0.5, 0.1, 0.9 };
  for (size_t i = 0; i < 3; i++)
    quantiles[i] = *have ? tb_quantile(*have, margins, p[i]) : NAN;
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
                    .level = NAN,
                    .extra_name = "damping",
                    .extra = damping };
  tb_lines_write(&plot, picture->file, &picture->csv, &picture->script);
  for (size_t l = 0; l < count; l++) {
    const tb_group *group = &groups[lines[l].series];
    double q[3] = { NAN, NAN, NAN };
    size_t have = 0;
    if (crossing(context, arena, n_groups, groups, group, q, &have) != TB_OK)
      return tb_context_status(context);
    if (have == 0)
      continue;
    tb_text_format(&picture->csv, "2,%zu,%.10g,,,%.10g,%.10g,%.10g,%zu,\"smallest margin half-way\",",
                   lines[l].series + 1, damping[lines[l].series], q[0], q[1], q[2], have);
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
  "The angle between the flow's velocity and −∇L for several dampings λ: once it is 0, the natural gradient has become "
  "gradient descent. Then the smallest margin at which the angle has fallen to half of what it is without damping, "
  "against log 1/λ (median over seeds, 10 % to 90 % quantile), with the fitted line: slope 1 means that the natural "
  "gradient lasts until the margin is log 1/λ and a constant.",
  tb_asset_damping_size_gp,
  tb_asset_damping_gp,
  draw_damping,
};

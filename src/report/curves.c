/* Curves and bars: from runs' snapshots and metrics to numbers ready to be drawn.
 *
 * Seeds need not share snapshot times (a run may stop early, a solver may choose its own): every run is read at the
 * union of all times of its group.  This file knows nothing of figures, studies or metric names. */
#include "report/curves.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tiebreak/statistics.h>

double tb_read_real(const tb_metrics *snapshot, const char *name) {
  return tb_metrics_get(snapshot, name);
}

double tb_read_largest(const tb_metrics *snapshot, const char *name) {
  tb_metric_value value = tb_metrics_find(snapshot, name);
  if (!value.name || !value.values)
    return NAN;
  double largest = NAN;
  for (size_t i = 0; i < value.rows * value.cols; i++)
    largest = fmax(largest, value.values[i]);
  return largest;
}

double tb_snapshot_log_time(const tb_metrics *snapshot) {
  double log_t = tb_metrics_get(snapshot, "log_t");
  return isnan(log_t) ? log(tb_metrics_get(snapshot, "t")) : log_t;
}

/* ---- one run read at any time ---- */

typedef struct sample {
  double t, log_t, value;
} sample;

/* Equal up to rounding: the same requested time, recorded by two runs. */
static bool same_time(double a, double b) {
  return a == b || (isfinite(a) && fabs(a - b) <= 1e-9 * fmax(1, fabs(a)));
}

/* The run's value at log_t, between the neighbours i − 1 and i found by walking on from *at. */
static double read_at(size_t n, const sample *samples, size_t *at, double t, double log_t) {
  while (*at < n && samples[*at].log_t < log_t && !same_time(samples[*at].log_t, log_t))
    ++*at;
  if (*at == n) /* runs that stop at an event end a little apart: that must not make the median jump */
    return n > 0 && log_t - samples[n - 1].log_t <= 0.01 * fmax(1, fabs(log_t)) ? samples[n - 1].value : NAN;
  const sample *right = &samples[*at];
  if (same_time(right->log_t, log_t))
    return right->value;
  if (*at == 0)
    return NAN;
  const sample *left = right - 1;
  double share = isfinite(left->log_t) ? (log_t - left->log_t) / (right->log_t - left->log_t)
                                       : (t - left->t) / (right->t - left->t);
  return left->value + share * (right->value - left->value);
}

static int by_time(const void *a, const void *b) {
  double x = ((const sample *)a)->log_t, y = ((const sample *)b)->log_t;
  return (x > y) - (x < y);
}

/* ---- curves ---- */

static tb_status allocate_curve(tb_context *context, tb_arena *arena, size_t n, tb_curve *curve) {
  double **columns[] = { &curve->t, &curve->log_t, &curve->median, &curve->low, &curve->high };
  for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
    if (!(*columns[c] = tb_arena_allocate(arena, n, sizeof(double))))
      return tb_context_status(context);
  curve->runs = tb_arena_allocate(arena, n, sizeof(size_t));
  return curve->runs ? TB_OK : tb_context_status(context);
}

/* Sorts the times, drops doubles and thins to what a picture can show; returns how many are left. */
static size_t thin_times(size_t n, sample *times) {
  qsort(times, n, sizeof *times, by_time);
  size_t kept = 0;
  for (size_t i = 0; i < n; i++)
    if (kept == 0 || !same_time(times[kept - 1].log_t, times[i].log_t))
      times[kept++] = times[i];
  if (kept <= TB_CURVE_POINTS)
    return kept;
  for (size_t i = 0; i < TB_CURVE_POINTS; i++)
    times[i] = times[i * (kept - 1) / (TB_CURVE_POINTS - 1)];
  return TB_CURVE_POINTS;
}

tb_status tb_curve_of(tb_context *context, tb_arena *arena, const tb_group *group, tb_reading read, const char *name,
                      tb_curve *curve) {
  *curve = (tb_curve){ 0 };
  size_t total = 0;
  for (size_t r = 0; r < group->n; r++)
    total += group->runs[r]->outcome->n_snapshots;
  sample *samples = tb_arena_allocate(arena, total + 1, sizeof *samples); /* of all runs, one after another */
  sample *times = tb_arena_allocate(arena, total + 1, sizeof *times);
  size_t *starts = tb_arena_allocate(arena, group->n + 1, sizeof *starts);
  size_t *at = tb_arena_allocate(arena, group->n + 1, sizeof *at);
  double *values = tb_arena_allocate(arena, group->n + 1, sizeof *values);
  if (!samples || !times || !starts || !at || !values)
    return tb_context_status(context);
  size_t n = 0;
  for (size_t r = 0; r < group->n; r++) {
    const tb_outcome *outcome = group->runs[r]->outcome;
    starts[r] = n;
    for (size_t s = 0; s < outcome->n_snapshots; s++) {
      double log_t = tb_snapshot_log_time(outcome->snapshots[s]), t = tb_metrics_get(outcome->snapshots[s], "t");
      double value = read(outcome->snapshots[s], name);
      if (!isnan(log_t) && !isnan(value))
        samples[n++] = (sample){ isnan(t) ? exp(log_t) : t, log_t, value };
    }
  }
  starts[group->n] = n;
  memcpy(times, samples, n * sizeof *samples);
  size_t points = thin_times(n, times);
  if (allocate_curve(context, arena, points + 1, curve) != TB_OK)
    return tb_context_status(context);
  for (size_t i = 0; i < points; i++) {
    size_t have = 0;
    for (size_t r = 0; r < group->n; r++) {
      double value = read_at(starts[r + 1] - starts[r], samples + starts[r], &at[r], times[i].t, times[i].log_t);
      if (!isnan(value))
        values[have++] = value;
    }
    if (have == 0 || 2 * have < group->n)
      continue;
    size_t k = curve->n++;
    curve->t[k] = times[i].t;
    curve->log_t[k] = times[i].log_t;
    curve->median[k] = tb_quantile(have, values, 0.5);
    curve->low[k] = tb_quantile(have, values, 0.1);
    curve->high[k] = tb_quantile(have, values, 0.9);
    curve->runs[k] = have;
  }
  return TB_OK;
}

double tb_crossing_of(const tb_outcome *outcome, const char *name, double level) {
  double before = NAN, log_before = NAN;
  for (size_t s = 0; s < outcome->n_snapshots; s++) {
    double value = tb_metrics_get(outcome->snapshots[s], name), log_t = tb_snapshot_log_time(outcome->snapshots[s]);
    if (isnan(value) || !isfinite(log_t))
      continue;
    if (!isnan(before) && (before - level) * (value - level) <= 0 && before != value)
      return log_before + (log_t - log_before) * (level - before) / (value - before);
    before = value;
    log_before = log_t;
  }
  return NAN;
}

double tb_value_at(const tb_outcome *outcome, const char *name, double log_t) {
  double before = NAN, log_before = NAN;
  for (size_t s = 0; s < outcome->n_snapshots; s++) {
    double value = tb_metrics_get(outcome->snapshots[s], name), here = tb_snapshot_log_time(outcome->snapshots[s]);
    if (isnan(value) || !isfinite(here))
      continue;
    if (here == log_t)
      return value;
    if (here > log_t)
      return before + (value - before) * (log_t - log_before) / (here - log_before);
    before = value;
    log_before = here;
  }
  return NAN;
}

/* ---- bars ---- */

tb_status tb_bar_of(tb_context *context, const tb_group *group, const char *name, tb_bar *bar) {
  *bar = (tb_bar){ .mean = NAN, .low = NAN, .high = NAN, .least = NAN, .most = NAN };
  double *values = tb_allocate(context, group->n + 1, sizeof *values);
  if (!values)
    return tb_context_status(context);
  for (size_t r = 0; r < group->n; r++) {
    double value = tb_metrics_get(group->runs[r]->outcome->metrics, name);
    if (isnan(value))
      continue;
    values[bar->n++] = value;
    bar->least = fmin(bar->least, value);
    bar->most = fmax(bar->most, value);
  }
  if (bar->n > 0) {
    bar->mean = tb_mean_of(bar->n, values);
    tb_mean_interval(bar->n, values, 0.95, &bar->low, &bar->high);
  }
  tb_release(context, values);
  return TB_OK;
}

/* ---- what there is ---- */

bool tb_have_metric(size_t n, const tb_exhibit *const *runs, const char *name) {
  for (size_t r = 0; r < n; r++)
    if (tb_metrics_find(runs[r]->outcome->metrics, name).name)
      return true;
  return false;
}

bool tb_have_snapshots_of(size_t n, const tb_exhibit *const *runs, const char *name, size_t at_least) {
  for (size_t r = 0; r < n; r++) {
    size_t have = 0;
    for (size_t s = 0; s < runs[r]->outcome->n_snapshots; s++)
      have += tb_metrics_find(runs[r]->outcome->snapshots[s], name).name != NULL;
    if (have >= at_least)
      return true;
  }
  return false;
}

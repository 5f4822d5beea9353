/* Metrics over time and over runs: curves with seed bands, bars with intervals. */
#ifndef TB_REPORT_CURVES_H
#define TB_REPORT_CURVES_H

#include "report/groups.h"

/* A metric of one group over time: at each time the median and the 10 % and 90 % quantiles over the runs. */
typedef struct tb_curve {
  size_t n;
  double *t, *log_t; /* log_t is −inf at t = 0; t may be inf where log_t is not */
  double *median, *low, *high;
  size_t *runs; /* that had a value at that time */
} tb_curve;

/* A number read from a snapshot, NaN where it has none. */
typedef double (*tb_reading)(const tb_metrics *snapshot, const char *name);
double tb_read_real(const tb_metrics *, const char *name);    /* the metric itself */
double tb_read_largest(const tb_metrics *, const char *name); /* the largest component of a vector */

/* The curve belongs to the arena; at most TB_CURVE_POINTS points, the last always kept.  Runs with other snapshot times
 * are interpolated linearly in log t (in t next to t = 0), not beyond their own first and last snapshot (but a run that
 * stopped within 1 % of a time in log t keeps its last value); times at which fewer than half of the runs have a value
 * are left out. */
enum { TB_CURVE_POINTS = 150 };
tb_status tb_curve_of(tb_context *, tb_arena *, const tb_group *, tb_reading, const char *name, tb_curve *);

/* Natural logarithm of a snapshot's time: `log_t` where recorded, else log(`t`). */
double tb_snapshot_log_time(const tb_metrics *);
/* Where a run first crosses `level` (from below or above), as log t, interpolated linearly in log t; NaN when never. */
double tb_crossing_of(const tb_outcome *, const char *name, double level);

/* A metric of a run at any time between its snapshots, interpolated linearly in log t; NaN outside. */
double tb_value_at(const tb_outcome *, const char *name, double log_t);

/* A final metric of one group: mean with its 95 % interval over the runs (NaN ends for a single run). */
typedef struct tb_bar {
  size_t n;
  double mean, low, high, least, most;
} tb_bar;
tb_status tb_bar_of(tb_context *, const tb_group *, const char *name, tb_bar *);

/* Whether any finished run has the metric: finally, or in a snapshot. */
bool tb_have_metric(size_t n, const tb_exhibit *const *runs, const char *name);
bool tb_have_snapshots_of(size_t n, const tb_exhibit *const *runs, const char *name, size_t at_least);

#endif

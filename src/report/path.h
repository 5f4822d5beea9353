/* The geometry of paths in predictor space: which runs can be compared, how far they are drawn, in which plane. */
#ifndef TB_REPORT_PATH_H
#define TB_REPORT_PATH_H

#include "report/layout.h"

/* The way of one run: its predictors within the radius, [n × d]. */
typedef struct tb_path {
  size_t panel, series;
  const tb_outcome *outcome;
  size_t n;
  double *points;
  const tb_metrics **snapshots; /* n of them */
} tb_path;

/* A plane through the origin, spanned by the orthonormal u and v, each [d]. */
typedef struct tb_plane {
  size_t d;
  double *u, *v;
  double share_u, share_v; /* of the points' squared length; 1 − share_u − share_v is not seen */
  bool coordinates;        /* d = 2: the predictor's own coordinates */
} tb_plane;

/* One run of each group, all on the problem of the first: the same data, as the references tell that depend on nothing
 * else.  Their points end where the shortest path does, and at ten times the length of the ℓ2 SVM (margin 10): norms
 * grow without bound and beyond that a path is its direction. */
tb_status tb_paths_of(tb_context *, tb_arena *, size_t n_groups, const tb_group *, const tb_layout *, size_t *count,
                      tb_path **paths, double *radius);

/* The two principal directions of all points (not centred: the origin keeps its place); where the points lie on one
 * line, the second is towards the reference that lies farthest from it. */
tb_status tb_plane_of(tb_context *, tb_arena *, size_t count, const tb_path *paths, tb_plane *);

size_t tb_path_dimension(const tb_outcome *);
/* The direction of a reference of this run, [d] of unit length in the arena; NULL where it has none. */
const double *tb_path_reference(tb_arena *, const tb_outcome *, size_t d, const char *name);
double tb_path_dot(size_t n, const double *x, const double *y);

#endif

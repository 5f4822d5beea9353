/* Linear programmes with their optimal basis: what the reference solvers share.
 *
 *     min c·x  s.t.  row_low ≤ A x ≤ row_high,  low ≤ x ≤ high */
#ifndef TB_NUM_PROGRAMME_H
#define TB_NUM_PROGRAMME_H

#include <tiebreak/base.h>

typedef struct tb_programme {
  size_t m, n;                      /* rows, columns */
  const double *c, *a;              /* n; m×n row-major */
  const double *row_low, *row_high; /* m */
  const double *low, *high;         /* n */
} tb_programme;

typedef enum tb_outcome { TB_OPTIMAL, TB_INFEASIBLE, TB_UNBOUNDED } tb_outcome;

/* Where a row's activity or a column stands in the final basis. */
typedef enum tb_place { TB_BASIC, TB_AT_LOW, TB_AT_HIGH, TB_FREE } tb_place;

/* x[n], dual[m] (c − Aᵀ dual are the reduced costs), place[n + m]: columns, then rows.  Optimal: all polished by LU of
 * the basis with refinement in long double.  Infeasible: dual is a Farkas ray.  Unbounded: nothing is set. */
tb_status tb_programme_solve(tb_context *, const tb_programme *, double *x, double *dual, tb_place *place,
                             tb_outcome *outcome);

/* Whether the optimal x is the only one, by Goldman and Tucker: every constraint active at x must carry a positive
 * multiplier in some optimal dual, and x be a vertex.  Solves one more programme where the basis is dual degenerate. */
tb_status tb_programme_unique(tb_context *, const tb_programme *, const double *x, const double *dual,
                              const tb_place *place, bool *unique);

#endif

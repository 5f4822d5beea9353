/* Nuclear-norm completion: the convex reference for matrix factorisations. */
#ifndef TB_NUM_NUCLEAR_H
#define TB_NUM_NUCLEAR_H

#include <tiebreak/base.h>

typedef struct tb_nuclear {
  double *matrix;   /* rows×cols: agrees with every entry exactly, with other measurements to rounding */
  double *dual;     /* count: multiplier of each measurement; Σ dual_k A_k has spectral norm ≤ 1 */
  double objective; /* ‖matrix‖_* */
  double bound;     /* Σ dual·value ≤ the optimum ≤ objective */
  double gap;       /* (objective − bound) / max(1, objective): proof of optimality, however it was found */
  size_t iterations;
} tb_nuclear;

/* min ‖W‖_*  s.t.  W[row[k], col[k]] = value[k], k < count.  An entry given twice must agree.  gap: wanted (0: 1e-7);
 * most: iterations (0: 20000), each one singular value decomposition; TB_FAILED when the gap is not reached.
 * 100×100 with 2000 entries: about a thousand iterations. */
tb_status tb_nuclear_complete(tb_context *, size_t rows, size_t cols, size_t count, const size_t *row,
                              const size_t *col, const double *value, double gap, size_t most, tb_nuclear *);
/* The same with ⟨A_k, W⟩ = value[k], dense[count × rows·cols] the matrices A_k row by row; they must not depend on one
 * another (TB_FAILED). */
tb_status tb_nuclear_sense(tb_context *, size_t rows, size_t cols, size_t count, const double *dense,
                           const double *value, double gap, size_t most, tb_nuclear *);
void tb_nuclear_free(tb_context *, tb_nuclear *);

#endif

/* Eigenpairs at both ends of an operator's spectrum, by block Lanczos with full reorthogonalisation. */
#ifndef TB_MEASURE_LANCZOS_H
#define TB_MEASURE_LANCZOS_H

#include <tiebreak/random.h>

#include "measure/operator.h"

typedef struct tb_lanczos_options {
  size_t top, bottom; /* eigenpairs wanted at each end; top + bottom in 1 … p */
  size_t block;       /* start vectors; 0: 1.  An eigenvalue shows at most `block` times unless the basis fills up */
  size_t most;        /* basis vectors at most; 0: 200, or 3 (top + bottom) + block where that is more */
  double tolerance;   /* residual over the largest eigenvalue's size, at which a pair has converged; 0: 1e-8 */
  tb_key key;         /* of the start vectors */
} tb_lanczos_options;

typedef struct tb_eigenpairs {
  tb_context *context;
  size_t count;    /* top + bottom */
  double *values;  /* [count]: the top ones descending, then the bottom ones ascending */
  double *vectors; /* [count×p], orthonormal rows */
  double *bounds; /* [count]: ‖A y − θ y‖ computed afresh; an eigenvalue of A lies within it of θ (Parlett 1998, 4.5) */
  bool converged;   /* every pair to the tolerance */
  size_t products;  /* with the operator, all told */
  size_t dimension; /* of the Krylov space at the end */
} tb_eigenpairs;

/* Errors: TB_USAGE for impossible counts, those of the operator.  Pairs that did not converge are given all the same,
 * with their bounds.  Cost: `products` and about 4 p most² multiply-adds; memory p (most + block + count) numbers.
 * Source: Golub and Underwood 1977; full reorthogonalisation as in Parlett 1998, chapter 13. */
tb_status tb_lanczos(const tb_operator *, const tb_lanczos_options *, tb_eigenpairs *);
void tb_eigenpairs_free(tb_eigenpairs *);

#endif

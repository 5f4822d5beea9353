/* Minimum-norm solutions of A x = b, A[n×p], from the kernel AAᵀ and products with A and Aᵀ: A itself is never formed.
 */
#ifndef TB_OPTIM_KERNEL_H
#define TB_OPTIM_KERNEL_H

#include <tiebreak/base.h>

typedef struct tb_kernel_map {
  void *user;
  tb_status (*pull)(void *user, const double *lambda, double *x); /* x[p] = Aᵀ lambda[n] */
  tb_status (*push)(void *user, const double *x, double *image);  /* image[n] = A x[p] */
} tb_kernel_map;

/* x[p] = Aᵀ(AAᵀ)⁻¹b by Cholesky of the equilibrated kernel[n×n] (destroyed) and one step of refinement through A.
 * work: 3n + p doubles.  *good is false when the kernel is too ill conditioned for that (or not definite): x is then
 * not touched.  *condition: of the equilibrated A. */
tb_status tb_kernel_solve(tb_context *, size_t n, size_t p, double *kernel, const double *b, const tb_kernel_map *,
                          double *work, double *x, bool *good, double *condition);

#endif

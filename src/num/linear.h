/* Dense linear algebra in float64 over LAPACK and BLAS: row-major matrices, leading dimension = columns.
 * Every function allocates its work space from the context and leaves its inputs alone unless it says otherwise. */
#ifndef TB_NUM_LINEAR_H
#define TB_NUM_LINEAR_H

#include <tiebreak/base.h>

/* c[m×n] = alpha op(a) op(b) + beta c, op(a)[m×k] */
void tb_gemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, double alpha, const double *a,
             const double *b, double beta, double *c);
/* y = alpha op(a) x + beta y, a[m×n] */
void tb_gemv(bool transpose, size_t m, size_t n, double alpha, const double *a, const double *x, double beta,
             double *y);
double tb_dot(size_t n, const double *x, const double *y);
double tb_norm(size_t n, const double *x); /* no overflow or underflow */
/* Angle in degrees between two vectors, accurate near 0 and 180 (2·atan2 of ‖u−v‖, ‖u+v‖ of the unit vectors); NaN when
 * one is zero. */
double tb_angle_degrees(size_t n, const double *x, const double *y);

/* Lower Cholesky factor in place of a[n×n] (upper part untouched); *definite false when a pivot is not positive. */
tb_status tb_cholesky_factor(tb_context *, size_t n, double *a, bool *definite);
void tb_cholesky_solve(size_t n, const double *l, size_t k, double *b /* n×k in place */);
/* Estimated reciprocal condition number (1-norm) of the factored matrix whose 1-norm was anorm. */
double tb_cholesky_rcond(tb_context *, size_t n, const double *l, double anorm);
/* General solve by LU with partial pivoting; *singular set instead of an error. a destroyed, b[n×k] becomes the
 * solution. */
tb_status tb_lu_solve(tb_context *, size_t n, double *a, size_t k, double *b, bool *singular);
/* Symmetric eigenproblem: values ascending, vectors as rows of v (may be NULL); a destroyed. */
tb_status tb_symmetric_eigen(tb_context *, size_t n, double *a, double *values, double *v);
/* Singular values descending; u[m×r], vt[r×n], r = min(m,n), may be NULL; a[m×n] destroyed. */
tb_status tb_singular_values(tb_context *, size_t m, size_t n, double *a, double *s, double *u, double *vt);

/* Minimum-norm least squares by complete orthogonal factorisation or SVD: x[n×k] = a⁺ b[m×k].
 * rcond <= 0: max(m,n)·eps.  Outputs rank and the condition number of the kept part (both may be NULL). */
tb_status tb_least_squares(tb_context *, size_t m, size_t n, const double *a, size_t k, const double *b, double rcond,
                           double *x, size_t *rank, double *condition);

/* argmin_x Σ_i exp(log_weight_i) (a_i·x − b_i)², a[m×n], of minimum norm, for weights of any spread: where a weight
 * underflows against others its row counts only for what those leave undetermined (the lexicographic limit), and
 * log_weight = −inf leaves a row out.  A row adds a direction when what heavier rows leave of it exceeds rcond times
 * its own norm (rcond <= 0: 10 max(m,n) eps); row-wise backward stable.  rank counts directions; condition is that of
 * the triangle solved, rows scaled alike (estimated, ∞-norm); both may be NULL.  TB_FAILED for entries that are not
 * finite. Cost 4 m n² or so. */
tb_status tb_weighted_least_squares(tb_context *, size_t m, size_t n, const double *a, const double *b,
                                    const double *log_weight, double rcond, double *x, size_t *rank, double *condition);

#endif

/* The facade over BLAS and LAPACK.
 *
 * LAPACK is column-major: a row-major a[m×n] is its column-major transpose aᵀ[n×m], so symmetric problems and singular
 * values need no copy at all (A = U S Vᵀ  ⇔  Aᵀ = V S Uᵀ), triangles swap names, and only general right-hand sides are
 * transposed.  Work space comes from the context. */
#include "num/linear.h"
#include "num/blas.h"

#include <cblas.h>
#include <float.h>
#include <lapacke.h>
#include <limits.h>
#include <math.h>
#include <string.h>

void tb_gemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, double alpha, const double *a,
             const double *b, double beta, double *c) {
  if (m == 0 || n == 0)
    return;
  if (k == 0) { /* BLAS would refuse the leading dimension 0 */
    for (size_t i = 0; i < m * n; i++)
      c[i] = beta == 0 ? 0 : beta * c[i];
    return;
  }
  TB_BLAS(cblas_dgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans,
                      (int)m, (int)n, (int)k, alpha, a, (int)(transpose_a ? m : k), b, (int)(transpose_b ? k : n), beta,
                      c, (int)n));
}

void tb_gemv(bool transpose, size_t m, size_t n, double alpha, const double *a, const double *x, double beta,
             double *y) {
  size_t out = transpose ? n : m, in = transpose ? m : n;
  if (in == 0) {
    for (size_t i = 0; i < out; i++)
      y[i] = beta == 0 ? 0 : beta * y[i];
    return;
  }
  if (out > 0)
    TB_BLAS(cblas_dgemv(CblasRowMajor, transpose ? CblasTrans : CblasNoTrans, (int)m, (int)n, alpha, a, (int)n, x, 1,
                        beta, y, 1));
}

double tb_dot(size_t n, const double *x, const double *y) {
  return cblas_ddot((int)n, x, 1, y, 1);
}

double tb_norm(size_t n, const double *x) {
  double largest = 0;
  for (size_t i = 0; i < n; i++) {
    if (isnan(x[i]))
      return x[i];
    largest = fmax(largest, fabs(x[i]));
  }
  if (largest == 0 || isinf(largest))
    return largest;
  int exponent;
  frexp(largest, &exponent);
  /* scaling by a power of two is exact, in two halves because 2^1074 itself overflows */
  double half = ldexp(1, -(exponent / 2)), rest = ldexp(1, -(exponent - exponent / 2));
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    double scaled = x[i] * half * rest;
    sum += scaled * scaled;
  }
  return ldexp(sqrt(sum), exponent);
}

double tb_angle_degrees(size_t n, const double *x, const double *y) {
  double norm_x = tb_norm(n, x), norm_y = tb_norm(n, y);
  if (!(norm_x > 0) || !(norm_y > 0) || isinf(norm_x) || isinf(norm_y))
    return NAN;
  double difference = 0, sum = 0;
  for (size_t i = 0; i < n; i++) {
    double u = x[i] / norm_x, v = y[i] / norm_y;
    difference += (u - v) * (u - v);
    sum += (u + v) * (u + v);
  }
  return 2 * atan2(sqrt(difference), sqrt(sum)) * (180 / M_PI);
}

/* LAPACK counts in int, and a NaN sends some of its iterations astray. */
static tb_status check_input(tb_context *context, const char *place, size_t m, size_t n, const double *a) {
  if (m > INT_MAX / 2 || n > INT_MAX / 2 || m * n > (size_t)INT_MAX * 2)
    return tb_fail(context, TB_FAILED, place, NULL, "a matrix of %zu × %zu is too large", m, n);
  for (size_t i = 0; i < m * n; i++)
    if (!isfinite(a[i]))
      return tb_fail(context, TB_FAILED, place, NULL, "entry (%zu, %zu) of the matrix is not finite", i / n, i % n);
  return TB_OK;
}

tb_status tb_cholesky_factor(tb_context *context, size_t n, double *a, bool *definite) {
  *definite = true;
  if (n == 0)
    return TB_OK;
  /* row-major lower = column-major upper */
  lapack_int info;
  TB_BLAS(info = LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (int)n, a, (int)n));
  if (info < 0)
    return tb_fail(context, TB_FAILED, "cholesky", NULL, "LAPACK refused argument %d", -(int)info);
  *definite = info == 0;
  for (size_t i = 0; i < n && *definite; i++) /* a NaN may pass for positive */
    *definite = isfinite(a[i * n + i]) && a[i * n + i] > 0;
  return TB_OK;
}

void tb_cholesky_solve(size_t n, const double *l, size_t k, double *b) {
  if (n == 0 || k == 0)
    return;
  TB_BLAS(cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, (int)n, (int)k, 1, l, (int)n, b,
                      (int)k));
  TB_BLAS(cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasTrans, CblasNonUnit, (int)n, (int)k, 1, l, (int)n, b,
                      (int)k));
}

double tb_cholesky_rcond(tb_context *context, size_t n, const double *l, double anorm) {
  if (n == 0)
    return 1;
  double rcond = NAN;
  double *work = tb_allocate(context, 3 * n, sizeof *work);
  lapack_int *iwork = tb_allocate(context, n, sizeof *iwork);
  if (work && iwork)
    TB_BLAS(LAPACKE_dpocon_work(LAPACK_COL_MAJOR, 'U', (int)n, l, (int)n, anorm, &rcond, work, iwork));
  tb_release(context, iwork);
  tb_release(context, work);
  return rcond;
}

static void transpose(size_t m, size_t n, const double *a, double *t) { /* t[n×m] = a[m×n]ᵀ */
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < n; j++)
      t[j * m + i] = a[i * n + j];
}

tb_status tb_lu_solve(tb_context *context, size_t n, double *a, size_t k, double *b, bool *singular) {
  *singular = false;
  if (n == 0 || k == 0)
    return TB_OK;
  tb_status status = TB_OK;
  double *columns = NULL;
  lapack_int *pivot = tb_allocate(context, n, sizeof *pivot);
  if (!pivot)
    return TB_NO_MEMORY;
  lapack_int info;
  TB_BLAS(info = LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, (int)n, (int)n, a, (int)n, pivot)); /* factors aᵀ */
  if (info < 0)
    status = tb_fail(context, TB_FAILED, "lu", NULL, "LAPACK refused argument %d", -(int)info);
  *singular = info > 0;
  if (info != 0)
    goto end;
  if (k == 1) {
    TB_BLAS(LAPACKE_dgetrs_work(LAPACK_COL_MAJOR, 'T', (int)n, 1, a, (int)n, pivot, b, (int)n));
    goto end;
  }
  columns = tb_allocate(context, n * k, sizeof *columns);
  if (!columns) {
    status = TB_NO_MEMORY;
    goto end;
  }
  transpose(n, k, b, columns);
  TB_BLAS(LAPACKE_dgetrs_work(LAPACK_COL_MAJOR, 'T', (int)n, (int)k, a, (int)n, pivot, columns, (int)n));
  transpose(k, n, columns, b);
end:
  tb_release(context, columns);
  tb_release(context, pivot);
  return status;
}

tb_status tb_symmetric_eigen(tb_context *context, size_t n, double *a, double *values, double *v) {
  if (n == 0)
    return TB_OK;
  tb_status status = check_input(context, "eigenvalues", n, n, a);
  if (status != TB_OK)
    return status;
  char job = v ? 'V' : 'N';
  double size;
  lapack_int integer_size;
  TB_BLAS(LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, job, 'U', (int)n, a, (int)n, values, &size, -1, &integer_size, -1));
  double *work = tb_allocate(context, (size_t)size, sizeof *work);
  lapack_int *iwork = tb_allocate(context, (size_t)integer_size, sizeof *iwork);
  if (!work || !iwork) {
    status = TB_NO_MEMORY;
    goto end;
  }
  lapack_int info;
  TB_BLAS(info = LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, job, 'U', (int)n, a, (int)n, values, work, (int)size, iwork,
                                     integer_size));
  if (info != 0)
    status =
        tb_fail(context, TB_FAILED, "eigenvalues", NULL, "the symmetric eigenproblem did not converge (%d)", (int)info);
  else if (v)
    memcpy(v, a, n * n * sizeof *v); /* eigenvectors: columns there, rows here */
end:
  tb_release(context, iwork);
  tb_release(context, work);
  return status;
}

/* The QR iteration of dgesvd, slower and surer than divide and conquer; factors of the column-major at[n×m]. */
static tb_status singular_values_by_iteration(tb_context *context, size_t m, size_t n, double *at, double *s, double *u,
                                              double *vt) {
  size_t r = m < n ? m : n;
  double size;
  char job_v = vt ? 'S' : 'N', job_u = u ? 'S' : 'N';
  TB_BLAS(LAPACKE_dgesvd_work(LAPACK_COL_MAJOR, job_v, job_u, (int)n, (int)m, at, (int)n, s, vt, (int)n, u, (int)r,
                              &size, -1));
  double *work = tb_allocate(context, (size_t)size, sizeof *work);
  if (!work)
    return TB_NO_MEMORY;
  lapack_int info;
  TB_BLAS(info = LAPACKE_dgesvd_work(LAPACK_COL_MAJOR, job_v, job_u, (int)n, (int)m, at, (int)n, s, vt, (int)n, u,
                                     (int)r, work, (int)size));
  tb_release(context, work);
  return info == 0 ? TB_OK
                   : tb_fail(context, TB_FAILED, "singular values", NULL,
                             "the singular value decomposition did not converge (%d)", (int)info);
}

tb_status tb_singular_values(tb_context *context, size_t m, size_t n, double *a, double *s, double *u, double *vt) {
  size_t r = m < n ? m : n;
  if (r == 0)
    return TB_OK;
  tb_status status = check_input(context, "singular values", m, n, a);
  if (status != TB_OK)
    return status;
  bool vectors = u || vt;
  double size;
  double *work = NULL, *copy = NULL, *spare = NULL;
  lapack_int *iwork = tb_allocate(context, 8 * r, sizeof *iwork);
  copy = tb_allocate(context, m * n, sizeof *copy);
  /* divide and conquer computes both factors or none: one that is not wanted goes to spare room */
  spare = vectors && !(u && vt) ? tb_allocate(context, r * (u ? n : m), sizeof *spare) : NULL;
  if (!iwork || !copy || (vectors && !(u && vt) && !spare)) {
    status = TB_NO_MEMORY;
    goto end;
  }
  memcpy(copy, a, m * n * sizeof *copy);
  double *left = vt ? vt : spare, *right = u ? u : spare; /* of aᵀ[n×m] = left[n×r] s right[r×m] */
  char job = vectors ? 'S' : 'N';
  TB_BLAS(LAPACKE_dgesdd_work(LAPACK_COL_MAJOR, job, (int)n, (int)m, a, (int)n, s, left, (int)n, right, (int)r, &size,
                              -1, iwork));
  work = tb_allocate(context, (size_t)size, sizeof *work);
  if (!work) {
    status = TB_NO_MEMORY;
    goto end;
  }
  lapack_int info;
  TB_BLAS(info = LAPACKE_dgesdd_work(LAPACK_COL_MAJOR, job, (int)n, (int)m, a, (int)n, s, left, (int)n, right, (int)r,
                                     work, (int)size, iwork));
  if (info != 0)
    status = singular_values_by_iteration(context, m, n, copy, s, u, vt);
end:
  tb_release(context, work);
  tb_release(context, spare);
  tb_release(context, copy);
  tb_release(context, iwork);
  return status;
}

tb_status tb_least_squares(tb_context *context, size_t m, size_t n, const double *a, size_t k, const double *b,
                           double rcond, double *x, size_t *rank, double *condition) {
  size_t r = m < n ? m : n, longer = m < n ? n : m;
  if (rank)
    *rank = 0;
  if (condition)
    *condition = 1;
  if (r == 0 || k == 0) {
    memset(x, 0, n * k * sizeof *x);
    return TB_OK;
  }
  tb_status status = check_input(context, "least squares", m, n, a);
  if (status == TB_OK)
    status = check_input(context, "least squares", m, k, b);
  if (status != TB_OK)
    return status;
  if (rcond <= 0)
    rcond = (double)longer * DBL_EPSILON;
  double *columns = tb_allocate(context, m * n, sizeof *columns);  /* a, column-major */
  double *right = tb_allocate(context, longer * k, sizeof *right); /* b, then x, column-major */
  double *s = tb_allocate(context, r, sizeof *s), *work = NULL, size;
  lapack_int *iwork = NULL, integer_size, found = 0;
  if (!columns || !right || !s) {
    status = TB_NO_MEMORY;
    goto end;
  }
  transpose(m, n, a, columns);
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < k; j++)
      right[j * longer + i] = b[i * k + j];
  TB_BLAS(LAPACKE_dgelsd_work(LAPACK_COL_MAJOR, (int)m, (int)n, (int)k, columns, (int)m, right, (int)longer, s, rcond,
                              &found, &size, -1, &integer_size));
  work = tb_allocate(context, (size_t)size, sizeof *work);
  iwork = tb_allocate(context, (size_t)integer_size, sizeof *iwork);
  if (!work || !iwork) {
    status = TB_NO_MEMORY;
    goto end;
  }
  lapack_int info;
  TB_BLAS(info = LAPACKE_dgelsd_work(LAPACK_COL_MAJOR, (int)m, (int)n, (int)k, columns, (int)m, right, (int)longer, s,
                                     rcond, &found, work, (int)size, iwork));
  if (info != 0) {
    status = tb_fail(context, TB_FAILED, "least squares", NULL, "the singular values did not converge (%d)", (int)info);
    goto end;
  }
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < k; j++)
      x[i * k + j] = right[j * longer + i];
  if (s[0] == 0)
    found = 0;
  if (rank)
    *rank = (size_t)found;
  if (condition)
    *condition = found > 0 ? s[0] / s[found - 1] : 1;
end:
  tb_release(context, iwork);
  tb_release(context, work);
  tb_release(context, s);
  tb_release(context, right);
  tb_release(context, columns);
  return status;
}

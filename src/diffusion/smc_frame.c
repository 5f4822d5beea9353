/* The frame of smc_frame.h. */
#include "diffusion/smc_frame.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "diffusion/mcmc.h"
#include "num/blas.h"

size_t tb_frame_size(size_t d) {
  return d + d * d + 1;
}

tb_status tb_frame_new(tb_arena *arena, size_t d, double *numbers, size_t rows, tb_frame *f) {
  *f = (tb_frame){ .d = d, .numbers = numbers };
  if (!numbers)
    return TB_OK;
  f->x = tb_arena_allocate(arena, rows * d, sizeof(double));
  return f->x ? TB_OK : TB_NO_MEMORY;
}

/* Mean and covariance of x[n,d], the covariance's diagonal raised by a thousandth so that it can be factored. */
static void measure(size_t n, size_t d, const double *x, double *mean, double *covariance) {
  memset(mean, 0, d * sizeof *mean);
  memset(covariance, 0, d * d * sizeof *covariance);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < d; j++)
      mean[j] += x[i * d + j] / (double)n;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < d; j++)
      for (size_t k = 0; k <= j; k++)
        covariance[j * d + k] += (x[i * d + j] - mean[j]) * (x[i * d + k] - mean[k]) / (double)(n - 1);
  for (size_t j = 0; j < d; j++)
    covariance[j * d + j] *= 1.001;
}

tb_status tb_frame_fit(tb_frame *f, const tb_sampling *s, uint64_t seed) {
  enum { CHAINS = 4, WARMUP = 400 };
  const size_t d = f->d, draws = 250 + d, n = CHAINS * draws;
  double *x = tb_allocate(s->context, n * d, sizeof *x), *mean = f->numbers, *lower = mean + d,
         *log_volume = lower + d * d;
  int trouble = 0;
  tb_status status = x ? tb_mcmc_explore(s, seed, CHAINS, WARMUP, draws, x) : TB_NO_MEMORY;
  if (!status) {
    measure(n, d, x, mean, lower);
    TB_BLAS(trouble = LAPACKE_dpotrf(LAPACK_ROW_MAJOR, 'L', (int)d, lower, (int)d));
  }
  if (!status && trouble)
    status = tb_fail(s->context, TB_FAILED, "option start", "give start=normal",
                     "the draws of the first look have no covariance that can be factored");
  *log_volume = 0;
  for (size_t j = 0; j < d && !status; j++)
    *log_volume += log(lower[j * d + j]);
  tb_release(s->context, x);
  return status;
}

void tb_frame_points(const tb_frame *f, size_t n, const double *z, double *x) {
  const size_t d = f->d;
  if (z != x)
    memcpy(x, z, n * d * sizeof *x);
  if (!f->numbers)
    return;
  const int rows = (int)n, width = (int)d;
  TB_BLAS(cblas_dtrmm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, rows, width, 1, f->numbers + d,
                      width, x, width));
  for (size_t i = 0; i < n * d; i++)
    x[i] += f->numbers[i % d];
}

tb_status tb_frame_values(const tb_frame *f, tb_density *density, size_t n, const double *z, double *value,
                          double *gradient) {
  if (!f->numbers)
    return tb_density_values(density, n, z, value, gradient);
  const int rows = (int)n, width = (int)f->d;
  const double *lower = f->numbers + f->d;
  tb_frame_points(f, n, z, f->x);
  tb_status status = tb_density_values(density, n, f->x, value, gradient);
  if (status)
    return status;
  TB_BLAS(cblas_dtrmm(CblasRowMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit, rows, width, 1, lower, width,
                      gradient, width));
  for (size_t i = 0; i < n; i++)
    value[i] += lower[f->d * f->d];
  return TB_OK;
}

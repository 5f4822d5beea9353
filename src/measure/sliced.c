/* Sliced Wasserstein distance: project, sort, compare quantiles. */
#include <math.h>
#include <stdlib.h>

#include "measure/two_samples.h"

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Quantiles are steps at i/n and j/m; whole numbers i·m and j·n compare them exactly. */
double tb_line_w2_squared(size_t n, const double *x, size_t m, const double *y) {
  double total = 0;
  for (size_t i = 0, j = 0, at = 0; i < n && j < m;) {
    const size_t x_end = (i + 1) * m, y_end = (j + 1) * n, end = x_end < y_end ? x_end : y_end;
    total += (double)(end - at) * (x[i] - y[j]) * (x[i] - y[j]);
    at = end;
    i += x_end == end;
    j += y_end == end;
  }
  return total / ((double)n * (double)m);
}

static void project(size_t d, size_t n, const double *x, const double *direction, double *out) {
  for (size_t i = 0; i < n; i++) {
    out[i] = 0;
    for (size_t j = 0; j < d; j++)
      out[i] += x[i * d + j] * direction[j];
  }
  qsort(out, n, sizeof *out, ascending);
}

tb_status tb_sliced_w2(tb_context *context, size_t d, size_t n, const double *x, size_t m, const double *y,
                       size_t directions, tb_key key, double *distance) {
  *distance = NAN;
  if (n == 0 || m == 0)
    return TB_OK;
  double *direction = tb_allocate(context, d + n + m, sizeof *direction), sum = 0;
  if (!direction)
    return TB_NO_MEMORY;
  double *first = direction + d, *second = first + n;
  const size_t count = d == 1 ? 1 : directions;
  for (size_t k = 0; k < count; k++) {
    double length = 0;
    tb_random_normal(key, k * d, d, direction);
    for (size_t j = 0; j < d; j++)
      length += direction[j] * direction[j];
    for (size_t j = 0; j < d; j++)
      direction[j] /= sqrt(length);
    project(d, n, x, direction, first);
    project(d, m, y, direction, second);
    sum += tb_line_w2_squared(n, first, m, second);
  }
  *distance = sqrt(sum / (double)count);
  tb_release(context, direction);
  return TB_OK;
}

/* Maximum mean discrepancy.  The median of the pooled distances is found by counting on the bits of their squares,
 * which order as the numbers do, so that no list of all pairs is kept. */
#include <math.h>
#include <string.h>

#include "measure/two_samples.h"

typedef struct pool {
  size_t d, n, m;
  const double *x, *y;
} pool;

static const double *row_of(const pool *p, size_t i) {
  return i < p->n ? p->x + i * p->d : p->y + (i - p->n) * p->d;
}

static double square(size_t d, const double *a, const double *b) {
  double sum = 0;
  for (size_t j = 0; j < d; j++)
    sum += (a[j] - b[j]) * (a[j] - b[j]);
  return sum;
}

static uint64_t bits_of(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/* counts[2^16]: of the 16 bits below `shift + 16`, over the pairs whose bits above those are those of prefix */
static void count_bits(const pool *p, uint64_t prefix, int shift, uint64_t *counts) {
  memset(counts, 0, (1u << 16) * sizeof *counts);
  for (size_t i = 1; i < p->n + p->m; i++)
    for (size_t j = 0; j < i; j++) {
      const uint64_t bits = bits_of(square(p->d, row_of(p, i), row_of(p, j)));
      if (shift == 48 || bits >> (shift + 16) == prefix)
        counts[bits >> shift & 0xffff]++;
    }
}

/* The squared distance that has `rank` smaller or equal ones before it. */
static double square_of_rank(const pool *p, uint64_t rank, uint64_t *counts) {
  uint64_t prefix = 0;
  double value;
  for (int shift = 48; shift >= 0; shift -= 16) {
    uint64_t digit = 0;
    count_bits(p, prefix, shift, counts);
    for (; rank >= counts[digit]; digit++)
      rank -= counts[digit];
    prefix = prefix << 16 | digit;
  }
  memcpy(&value, &prefix, sizeof value);
  return value;
}

static tb_status median(tb_context *context, const pool *p, double *out) {
  const uint64_t rows = p->n + p->m, pairs = rows * (rows - 1) / 2;
  uint64_t *counts = tb_allocate(context, 1u << 16, sizeof *counts);
  if (!counts)
    return TB_NO_MEMORY;
  const double low = square_of_rank(p, (pairs - 1) / 2, counts);
  const double high = pairs % 2 ? low : square_of_rank(p, pairs / 2, counts);
  *out = 0.5 * (sqrt(low) + sqrt(high));
  tb_release(context, counts);
  return TB_OK;
}

static double kernel_sum(size_t d, size_t n, const double *x, size_t m, const double *y, double scale) {
  double total = 0;
  for (size_t i = 0; i < n; i++) {
    double sum = 0; /* a row at a time, so that rounding stays that of a row */
    for (size_t j = 0; j < (y ? m : i); j++)
      sum += exp(scale * square(d, x + i * d, (y ? y : x) + j * d));
    total += sum;
  }
  return total;
}

tb_status tb_mmd(tb_context *context, size_t d, size_t n, const double *x, size_t m, const double *y, double *mmd) {
  const pool p = { d, n, m, x, y };
  double h;
  *mmd = NAN;
  if (n < 2 || m < 2)
    return TB_OK;
  const tb_status status = median(context, &p, &h);
  if (status || !(h > 0))
    return status;
  const double scale = -0.5 / (h * h), own = (double)n * (double)(n - 1), others = (double)m * (double)(m - 1);
  const double value = 2 * kernel_sum(d, n, x, 0, NULL, scale) / own +
                       2 * kernel_sum(d, m, y, 0, NULL, scale) / others -
                       2 * kernel_sum(d, n, x, m, y, scale) / ((double)n * (double)m);
  *mmd = sqrt(fmax(0, value));
  return TB_OK;
}

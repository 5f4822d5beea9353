/* The chains' half of convergence.h. */
#include "diffusion/convergence.h"

#include <math.h>
#include <stdlib.h>

/* ---- ranks ---- */

/* Φ⁻¹(p): the rational start of Abramowitz & Stegun 26.2.23, then Halley's steps on erfc. */
static double normal_quantile(double p) {
  const double tail = p < 0.5 ? p : 1 - p, t = sqrt(-2 * log(tail));
  double x = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  for (int i = 0; i < 3; i++) {
    const double e = 0.5 * erfc(x * 0.70710678118654752440) - tail, u = e * 2.50662827463100050242 * exp(0.5 * x * x);
    x += u / (1 - 0.5 * x * u);
  }
  return p < 0.5 ? -x : x;
}

typedef struct place {
  double value;
  size_t at;
} place;

static int by_value(const void *a, const void *b) {
  const double x = ((const place *)a)->value, y = ((const place *)b)->value;
  return (x > y) - (x < y);
}

/* Normal scores of the ranks (ties share their mean rank): out[n]; places[n] is left sorted. */
static void normal_scores(size_t n, const double *x, place *places, double *out) {
  for (size_t i = 0; i < n; i++)
    places[i] = (place){ x[i], i };
  qsort(places, n, sizeof *places, by_value);
  for (size_t i = 0, j; i < n; i = j) {
    for (j = i + 1; j < n && places[j].value == places[i].value;)
      j++;
    const double rank = 0.5 * (double)(i + 1 + j), score = normal_quantile((rank - 0.375) / ((double)n + 0.25));
    for (size_t k = i; k < j; k++)
      out[places[k].at] = score;
  }
}

/* ---- chains [m,n] ---- */

typedef struct chains {
  size_t m, n;
  double *means;       /* [m] */
  double within, plus; /* mean variance (n − 1), and the estimate of the variance from all */
} chains;

static void measure_chains(chains *c, const double *x) {
  double grand = 0, between = 0, within = 0;
  for (size_t i = 0; i < c->m; i++) {
    double sum = 0, square = 0;
    for (size_t t = 0; t < c->n; t++)
      sum += x[i * c->n + t];
    c->means[i] = sum / (double)c->n;
    for (size_t t = 0; t < c->n; t++)
      square += (x[i * c->n + t] - c->means[i]) * (x[i * c->n + t] - c->means[i]);
    within += square / (double)(c->n - 1) / (double)c->m;
    grand += c->means[i] / (double)c->m;
  }
  for (size_t i = 0; i < c->m; i++)
    between += (c->means[i] - grand) * (c->means[i] - grand) / (double)(c->m - 1);
  c->within = within;
  c->plus = within * (double)(c->n - 1) / (double)c->n + (c->m > 1 ? between : 0);
}

static double potential_reduction(chains *c, const double *x) {
  measure_chains(c, x);
  return c->within > 0 ? sqrt(c->plus / c->within) : NAN;
}

/* Autocorrelation at a lag, over all chains. */
static double correlation(const chains *c, const double *x, size_t lag) {
  double sum = 0;
  for (size_t i = 0; i < c->m; i++) {
    const double *y = x + i * c->n, mean = c->means[i];
    for (size_t t = 0; t + lag < c->n; t++)
      sum += (y[t] - mean) * (y[t + lag] - mean);
  }
  return 1 - (c->within - sum / (double)(c->n * c->m)) / c->plus;
}

/* Geyer's initial monotone sequence; rho[n + 2] is scratch. */
static double effective(chains *c, const double *x, double *rho) {
  const double draws = (double)(c->m * c->n);
  measure_chains(c, x);
  if (!(c->within > 0))
    return NAN;
  size_t t = 0;
  double even = 1, odd = correlation(c, x, 1);
  rho[0] = even;
  rho[1] = odd;
  while (t + 5 < c->n && even + odd > 0) {
    t += 2;
    even = correlation(c, x, t);
    odd = correlation(c, x, t + 1);
    rho[t] = rho[t + 1] = 0;
    if (even + odd >= 0) {
      rho[t] = even;
      rho[t + 1] = odd;
    }
  }
  const size_t last = t;
  if (even > 0)
    rho[last] = even;
  for (t = 2; t + 2 <= last; t += 2)
    if (rho[t] + rho[t + 1] > rho[t - 2] + rho[t - 1])
      rho[t] = rho[t + 1] = 0.5 * (rho[t - 2] + rho[t - 1]);
  double time = -1 + (last ? rho[last] : 1);
  for (t = 0; t < last; t++)
    time += 2 * rho[t];
  return draws / fmax(time, 1 / log10(draws));
}

static double indicator_effective(chains *c, const double *x, double most, double *scratch, double *rho) {
  for (size_t i = 0; i < c->m * c->n; i++)
    scratch[i] = x[i] <= most;
  return effective(c, scratch, rho);
}

static double quantile(size_t n, const place *sorted, double p) {
  const double at = p * (double)(n - 1);
  const size_t k = (size_t)at;
  return sorted[k].value + (k + 1 < n ? (at - (double)k) * (sorted[k + 1].value - sorted[k].value) : 0);
}

static double smaller(double a, double b) {
  return isnan(a) || isnan(b) ? NAN : fmin(a, b);
}

tb_status tb_chain_convergence(tb_context *context, size_t chains_given, size_t length, const double *x, size_t stride,
                               tb_convergence *out) {
  const size_t half = length / 2, n = 2 * chains_given * half; /* an odd chain loses its middle */
  *out = (tb_convergence){ NAN, NAN, NAN, NAN };
  if (length < 4 || chains_given == 0)
    return TB_OK;
  double *block = tb_allocate(context, 3 * n + half + 2 + 2 * chains_given, sizeof *block);
  place *places = tb_allocate(context, n, sizeof *places);
  if (!block || !places) {
    tb_release(context, block);
    tb_release(context, places);
    return TB_NO_MEMORY;
  }
  double *split = block, *scores = split + n, *scratch = scores + n, *rho = scratch + n;
  chains c = { .m = 2 * chains_given, .n = half, .means = rho + half + 2 };
  for (size_t i = 0; i < c.m; i++)
    for (size_t t = 0; t < half; t++)
      split[i * half + t] = x[(i / 2 * length + (i % 2) * (length - half) + t) * stride];
  normal_scores(n, split, places, scores);
  const double low = quantile(n, places, 0.05), high = quantile(n, places, 0.95), median = quantile(n, places, 0.5);
  out->bulk = effective(&c, scores, rho);
  out->mean = effective(&c, split, rho);
  out->tail =
      smaller(indicator_effective(&c, split, low, scratch, rho), indicator_effective(&c, split, high, scratch, rho));
  out->rhat = potential_reduction(&c, scores);
  for (size_t i = 0; i < n; i++)
    scratch[i] = fabs(split[i] - median);
  normal_scores(n, scratch, places, scores);
  const double folded = potential_reduction(&c, scores);
  out->rhat = folded > out->rhat ? folded : out->rhat;
  tb_release(context, block);
  tb_release(context, places);
  return TB_OK;
}

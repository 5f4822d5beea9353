/* The weights' half of convergence.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/convergence.h"

double tb_khat_threshold(size_t n) {
  return n > 1 ? fmin(1 - 1 / log10((double)n), 0.7) : -INFINITY;
}

/* Mean of ln(1 − θx), which is the shape that θ implies. */
static double shape(size_t n, const double *x, double theta) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += log1p(-theta * x[i]);
  return sum / (double)n;
}

void tb_pareto_fit(size_t n, const double *x, double *k, double *scale) {
  const size_t points = 30 + (size_t)sqrt((double)n);
  const double quartile = x[(size_t)floor((double)n / 4 + 0.5) - 1], largest = x[n - 1];
  double theta[512], fit[512], most = -INFINITY, total = 0, mean = 0;
  const size_t count = points < 512 ? points : 512;
  for (size_t j = 0; j < count; j++) { /* profile likelihood on a grid */
    theta[j] = 1 / largest + (1 - sqrt((double)count / ((double)j + 0.5))) / (3 * quartile);
    const double s = shape(n, x, theta[j]);
    fit[j] = (double)n * (log(-theta[j] / s) - s - 1);
    most = fit[j] > most ? fit[j] : most;
  }
  for (size_t j = 0; j < count; j++) {
    const double weight = exp(fit[j] - most);
    total += weight;
    mean += weight * theta[j];
  }
  mean /= total;
  const double raw = shape(n, x, mean);
  *scale = -raw / mean;
  *k = (raw * (double)n + 0.5 * 10) / ((double)n + 10);
}

static int descending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x < y) - (x > y);
}

/* sorted[n]: weights in descending order, the first 1. */
static double tail_shape(size_t n, const double *sorted, double *exceed) {
  size_t tail = (size_t)ceil(fmin(0.2 * (double)n, 3 * sqrt((double)n)));
  if (n < 25 || tail < 5 || sorted[tail] == sorted[0])
    return NAN;
  size_t count = 0;
  for (size_t i = tail; i-- > 0;)
    if (sorted[i] > sorted[tail])
      exceed[count++] = sorted[i] - sorted[tail]; /* ascending */
  double k, scale;
  if (count < 5)
    return NAN;
  tb_pareto_fit(count, exceed, &k, &scale);
  return k;
}

tb_status tb_weigh(tb_context *context, size_t n, const double *log_weight, tb_weighing *out) {
  *out = (tb_weighing){ NAN, NAN, NAN, NAN, NAN, NAN };
  if (n == 0)
    return TB_OK;
  double *w = tb_allocate(context, 2 * n, sizeof *w), most = -INFINITY, sum = 0, square = 0, mean = 0, spread = 0;
  if (!w)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < n; i++)
    most = log_weight[i] > most ? log_weight[i] : most;
  for (size_t i = 0; i < n; i++) {
    w[i] = most > -INFINITY ? exp(log_weight[i] - most) : 0;
    sum += w[i];
    square += w[i] * w[i];
    mean += log_weight[i] / (double)n;
  }
  for (size_t i = 0; i < n; i++)
    spread += (log_weight[i] - mean) * (log_weight[i] - mean);
  const double count = (double)n;
  out->log_mean = most + log(sum / count);
  out->effective = sum > 0 ? sum * sum / square : 0;
  out->log_mean_se = n > 1 ? sqrt(fmax(0, square * count / (sum * sum) - 1) / (count - 1)) : NAN;
  out->mean_log = mean;
  out->mean_log_se = n > 1 ? sqrt(spread / (count - 1) / count) : NAN;
  qsort(w, n, sizeof *w, descending);
  out->khat = tail_shape(n, w, w + n);
  tb_release(context, w);
  return TB_OK;
}

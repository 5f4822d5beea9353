/* Means, spreads and intervals.
 *
 * Student's t: the distribution by the regularised incomplete beta function (continued fraction, modified Lentz), its
 * inverse by Newton steps kept in a bracket, on the side where the tail is small so that no digits cancel. */
#include <tiebreak/statistics.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

double tb_mean_of(size_t n, const double *x) {
  double sum = 0, lost = 0; /* Neumaier */
  for (size_t i = 0; i < n; i++) {
    double next = sum + x[i];
    lost += fabs(sum) >= fabs(x[i]) ? (sum - next) + x[i] : (x[i] - next) + sum;
    sum = next;
  }
  if (!isfinite(sum)) /* the compensation of an infinite sum is not a number */
    return sum / (double)n;
  return n > 0 ? (sum + lost) / (double)n : NAN;
}

double tb_sd_of(size_t n, const double *x) {
  if (n < 2)
    return NAN;
  double mean = tb_mean_of(n, x), square = 0, drift = 0;
  for (size_t i = 0; i < n; i++) {
    square = fma(x[i] - mean, x[i] - mean, square);
    drift += x[i] - mean;
  }
  return sqrt(fmax(0, square - drift * drift / (double)n) / (double)(n - 1));
}

static int ascending(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

double tb_quantile(size_t n, const double *x, double p) {
  if (n == 0 || !(p >= 0 && p <= 1))
    return NAN;
  for (size_t i = 0; i < n; i++)
    if (isnan(x[i]))
      return NAN;
  double *sorted = malloc(n * sizeof *sorted);
  if (!sorted)
    return NAN;
  memcpy(sorted, x, n * sizeof *sorted);
  qsort(sorted, n, sizeof *sorted, ascending);
  double position = p * (double)(n - 1);
  size_t k = (size_t)position;
  double part = position - (double)k, value = sorted[k];
  if (part > 0 && sorted[k + 1] != value)
    value = fma(part, sorted[k + 1] - value, value);
  free(sorted);
  return value;
}

/* log Γ(a + ½) − log Γ(a), also where the difference of the two would be all rounding */
static double log_gamma_half_step(double a) {
  if (a < 25)
    return lgamma(a + 0.5) - lgamma(a);
  double r = 1 / a, r2 = r * r;
  return 0.5 * log(a) - r * (1. / 8 - r2 * (1. / 192 - r2 * (1. / 640 - r2 * (17. / 14336))));
}

/* I_x(a, b) for x ≤ (a+1)/(a+b+2), y = 1 − x, one of a, b being ½ and the other `half` */
static double incomplete_beta(double a, double b, double half, double x, double y) {
  if (x <= 0)
    return 0;
  double log_x = x < 0.5 ? log(x) : log1p(-y), log_y = y < 0.5 ? log(y) : log1p(-x);
  double front = exp(log_gamma_half_step(half) - 0.5 * log(M_PI) + a * log_x + b * log_y) / a;
  double c = 1, d = 1 - (a + b) * x / (a + 1);
  d = 1 / (d == 0 ? DBL_MIN : d);
  double value = d;
  for (int m = 1; m < 10000; m++) {
    double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / (1 + even * d), c = 1 + even / c;
    value *= d * c;
    double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / (1 + odd * d), c = 1 + odd / c;
    value *= d * c;
    if (fabs(d * c - 1) < DBL_EPSILON)
      break;
  }
  return front * value;
}

/* P(T > t), t ≥ 0 */
static double upper_tail(double t, double nu) {
  double x = nu / (nu + t * t), y = t * t / (nu + t * t);
  if (x <= (nu / 2 + 1) / (nu / 2 + 2.5))
    return 0.5 * incomplete_beta(nu / 2, 0.5, nu / 2, x, y);
  return 0.5 - 0.5 * incomplete_beta(0.5, nu / 2, nu / 2, y, x);
}

double tb_student_quantile(double p, double nu) {
  if (!(p > 0 && p < 1) || !(nu > 0))
    return NAN;
  if (p == 0.5)
    return 0;
  double tail = fmin(p, 1 - p), low = 0, high = 1;
  while (upper_tail(high, nu) > tail && high < 1e300)
    low = high, high *= 2;
  double log_norm = log_gamma_half_step(nu / 2) - 0.5 * log(nu * M_PI), t = 0.5 * (low + high);
  for (int i = 0; i < 2000 && high - low > 2 * DBL_EPSILON * high; i++) {
    double gap = upper_tail(t, nu) - tail;
    if (gap > 0)
      low = t;
    else
      high = t;
    double density = exp(log_norm - 0.5 * (nu + 1) * log1p(t * t / nu));
    double next = t + gap / density;
    if (next == t)
      break;
    t = next > low && next < high ? next : 0.5 * (low + high);
  }
  return p < 0.5 ? -t : t;
}

void tb_mean_interval(size_t n, const double *x, double level, double *low, double *high) {
  *low = *high = NAN;
  if (n < 2)
    return;
  double mean = tb_mean_of(n, x);
  double half = tb_student_quantile(0.5 + 0.5 * level, (double)(n - 1)) * tb_sd_of(n, x) / sqrt((double)n);
  *low = mean - half;
  *high = mean + half;
}

/* Twice the rank of x[i], from 2; ties at their mean. */
static double twice_rank(size_t n, const double *x, size_t i) {
  double below = 0, equal = 0;
  for (size_t j = 0; j < n; j++) {
    below += x[j] < x[i];
    equal += x[j] == x[i];
  }
  return 2 * below + equal + 1;
}

double tb_rank_correlation(size_t n, const double *x, const double *y) {
  const double mean = (double)n + 1; /* of twice the ranks */
  double xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < n; i++) {
    if (isnan(x[i]) || isnan(y[i]))
      return NAN;
    const double a = twice_rank(n, x, i) - mean, b = twice_rank(n, y, i) - mean;
    xx += a * a;
    yy += b * b;
    xy += a * b;
  }
  return xy / sqrt(xx * yy);
}

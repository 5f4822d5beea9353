/* The closed forms of semigroup.h. */
#include "diffusion/semigroup.h"

#include <math.h>

#include <tiebreak/random.h>

tb_smoothing tb_smoothing_at(tb_diffusion process, double t) {
  if (process == TB_DIFFUSION_OU)
    return (tb_smoothing){ exp(-t), -expm1(-2 * t) };
  return (tb_smoothing){ 1, 1 - t };
}

/* One coordinate of a term, with k = s²/σ², D = τ + (1−τ)k, w = c x:
 *
 *   ∫ N(y; w, σ²τ) N(y; m, s²)/N(y; 0, σ²) dy = D^{−½} exp([2mw − (1−k)w² − (1−τ)m²] / 2σ²D)
 *
 * and y has there mean μ = (mτ + wk)/D and variance s²τ/D. */
typedef struct coordinate {
  double log_value, slope; /* and its derivative in x */
  double mean, mean_slope, variance;
} coordinate;

static coordinate integrate(double sigma, tb_smoothing at, double m, double s, double x) {
  const double square = sigma * sigma, k = s * s / square, d = at.spread + (1 - at.spread) * k, w = at.keep * x;
  return (coordinate){
    .log_value = -0.5 * log(d) + (2 * m * w - (1 - k) * w * w - (1 - at.spread) * m * m) / (2 * square * d),
    .slope = at.keep * (m - (1 - k) * w) / (square * d),
    .mean = (m * at.spread + w * k) / d,
    .mean_slope = at.keep * k / d,
    .variance = s * s * at.spread / d,
  };
}

/* ln of term j without its weight and cosine, and the phase w·μ of the cosine. */
static double term(const tb_family *f, tb_smoothing at, size_t j, const double *x, double *phase) {
  double sum = 0;
  *phase = 0;
  for (size_t i = 0; i < f->dims; i++) {
    const size_t ji = j * f->dims + i;
    const coordinate c = integrate(f->sigma, at, f->mean[ji], f->sd[ji], x[i]);
    const double frequency = f->frequency ? f->frequency[ji] : 0;
    sum += c.log_value - 0.5 * c.variance * frequency * frequency;
    *phase += frequency * c.mean;
  }
  return sum;
}

double tb_semigroup(const tb_family *f, tb_smoothing at, const double *x, double *gradient) {
  double largest = -INFINITY, sum = 0, phase;
  for (size_t j = 0; j < f->count; j++)
    largest = fmax(largest, term(f, at, j, x, &phase));
  for (size_t i = 0; gradient && i < f->dims; i++)
    gradient[i] = 0;
  for (size_t j = 0; j < f->count; j++) {
    const double size = f->weight[j] * exp(term(f, at, j, x, &phase) - largest), cosine = cos(phase), sine = sin(phase);
    sum += size * cosine;
    for (size_t i = 0; gradient && i < f->dims; i++) {
      const size_t ji = j * f->dims + i;
      const coordinate c = integrate(f->sigma, at, f->mean[ji], f->sd[ji], x[i]);
      const double frequency = f->frequency ? f->frequency[ji] : 0;
      gradient[i] += size * (c.slope * cosine - frequency * c.mean_slope * sine);
    }
  }
  for (size_t i = 0; gradient && i < f->dims; i++)
    gradient[i] = sum > 0 ? gradient[i] / sum : NAN;
  return sum > 0 ? largest + log(sum) : -INFINITY;
}

/* ---- draws ---- */

/* ∫ N(y; m, s²) cos(w·y) dy = e^{−½ Σ s²w²} cos(w·m) */
static double integral(const tb_family *f, size_t j) {
  double exponent = 0, phase = 0;
  for (size_t i = 0; f->frequency && i < f->dims; i++) {
    const size_t ji = j * f->dims + i;
    const double product = f->sd[ji] * f->frequency[ji];
    exponent -= 0.5 * product * product;
    phase += f->frequency[ji] * f->mean[ji];
  }
  return exp(exponent) * cos(phase);
}

double tb_family_normaliser(const tb_family *f) {
  double sum = 0;
  for (size_t j = 0; j < f->count; j++)
    sum += f->weight[j] * integral(f, j);
  return sum;
}

static void draw_mixture(const tb_family *f, uint64_t seed, uint64_t i, double *x) {
  double total = 0, u;
  for (size_t j = 0; j < f->count; j++)
    total += f->weight[j];
  tb_random_uniform((tb_key){ .seed = seed, .use = tb_use("component of the target") }, i, 1, &u);
  size_t j = 0;
  for (double left = u * total - f->weight[0]; left > 0 && j + 1 < f->count; left -= f->weight[j])
    j++;
  tb_random_normal((tb_key){ .seed = seed, .use = tb_use("draw of the target") }, i * f->dims, f->dims, x);
  for (size_t k = 0; k < f->dims; k++)
    x[k] = f->mean[j * f->dims + k] + f->sd[j * f->dims + k] * x[k];
}

/* All terms share the first one's Gaussian: π/N = Σ a_j cos(w_j·y) ≤ Σ |a_j|. */
static void draw_cosine(const tb_family *f, uint64_t seed, uint64_t i, double *x) {
  double most = 0;
  for (size_t j = 0; j < f->count; j++)
    most += fabs(f->weight[j]);
  for (uint32_t attempt = 0;; attempt++) {
    double u, ratio = 0;
    tb_random_normal((tb_key){ seed, attempt, tb_use("draw of the target") }, i * f->dims, f->dims, x);
    tb_random_uniform((tb_key){ seed, attempt, tb_use("rejection of the target") }, i, 1, &u);
    for (size_t k = 0; k < f->dims; k++)
      x[k] = f->mean[k] + f->sd[k] * x[k];
    for (size_t j = 0; j < f->count; j++) {
      double phase = 0;
      for (size_t k = 0; k < f->dims; k++)
        phase += f->frequency[j * f->dims + k] * x[k];
      ratio += f->weight[j] * cos(phase);
    }
    if (u * most < ratio)
      return;
  }
}

void tb_family_draw(const tb_family *f, uint64_t seed, uint64_t i, double *x) {
  if (f->frequency)
    draw_cosine(f, seed, i, x);
  else
    draw_mixture(f, seed, i, x);
}

void tb_family_draw_at(const tb_family *f, tb_diffusion process, double t, uint64_t seed, uint64_t i, double *x) {
  const double keep = process == TB_DIFFUSION_OU ? exp(-t) : t;
  const double spread = process == TB_DIFFUSION_OU ? -expm1(-2 * t) : t * (1 - t);
  tb_family_draw(f, seed, i, x);
  for (size_t k = 0; k < f->dims; k++) {
    double z;
    tb_random_normal((tb_key){ .seed = seed, .use = tb_use("noise of the process") }, i * f->dims + k, 1, &z);
    x[k] = keep * x[k] + f->sigma * sqrt(spread) * z;
  }
}

/* The noised targets of noised.h: one record of functions a family. */
#include "diffusion/noised.h"

#include <math.h>
#include <string.h>

static const double log_two_pi = 1.8378770664093454836;

/* What is wanted of one row; NULL: not wanted. */
typedef struct wanted {
  const double *x, *probe; /* probe NULL: the trace */
  double *log_density, *score, *curvature;
} wanted;

struct tb_noised {
  tb_context *context;
  tb_arena *arena;
  size_t dims, count;
  /* Called once a time, then for every row. */
  void (*prepare)(tb_noised *, const tb_noising *);
  void (*row)(tb_noised *, const tb_noising *, const wanted *);
  double *weights;         /* [k]: logarithms; of the cosine its amplitudes */
  double *means, *squares; /* [k,d]: m and s²; the cosine's frequencies and none */
  double spread;           /* of the funnel */
  double *precision;       /* [k,d]: 1/(α²s² + σ²), at the time prepared for */
  double *offset;          /* [k]: ln w_k − Σ ½ ln 2π(α²s² + σ²) */
  double *terms, *scratch; /* [k], [3d] */
};

static tb_status noised_new(tb_context *context, size_t dims, size_t count, tb_noised **out) {
  tb_arena *arena = tb_arena_new(context);
  tb_noised *n = arena ? tb_arena_allocate(arena, 1, sizeof *n) : NULL;
  *out = n;
  if (!n) {
    tb_arena_free(arena);
    return TB_NO_MEMORY;
  }
  n->context = context;
  n->arena = arena;
  n->dims = dims;
  n->count = count;
  double **const arrays[] = { &n->weights, &n->offset, &n->terms, &n->means, &n->squares, &n->precision, &n->scratch };
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    if (!(*arrays[i] = tb_arena_allocate(arena, i < 3 ? count + 1 : i < 6 ? count * dims + 1 : 3 * dims, 8))) {
      tb_noised_free(n);
      *out = NULL;
      return TB_NO_MEMORY;
    }
  return TB_OK;
}

void tb_noised_free(tb_noised *n) {
  if (n)
    tb_arena_free(n->arena);
}

size_t tb_noised_dims(const tb_noised *n) {
  return n->dims;
}

/* ---- mixtures ---- */

static void mixture_prepare(tb_noised *n, const tb_noising *at) {
  const double scale = at->alpha * at->alpha, noise = at->sigma * at->sigma;
  for (size_t k = 0; k < n->count; k++) {
    double offset = n->weights[k];
    for (size_t i = 0; i < n->dims; i++) {
      const double variance = scale * n->squares[k * n->dims + i] + noise;
      n->precision[k * n->dims + i] = 1 / variance;
      offset -= 0.5 * (log_two_pi + log(variance));
    }
    n->offset[k] = offset;
  }
}

/* With r_k the share of component k at x and s_k its score: s = Σ r_k s_k,
 * ∇² = Σ r_k (∇s_k + s_k s_kᵀ) − s sᵀ, ∇s_k diagonal. */
static void mixture_row(tb_noised *n, const tb_noising *at, const wanted *w) {
  const size_t d = n->dims;
  double most = -INFINITY, total = 0, *score = n->scratch, *second = score + d, curvature = 0;
  for (size_t k = 0; k < n->count; k++) {
    double squares = 0;
    for (size_t i = 0; i < d; i++) {
      const double apart = w->x[i] - at->alpha * n->means[k * d + i];
      squares += apart * apart * n->precision[k * d + i];
    }
    n->terms[k] = n->offset[k] - 0.5 * squares;
    most = fmax(most, n->terms[k]);
  }
  for (size_t k = 0; k < n->count; k++)
    total += n->terms[k] = exp(n->terms[k] - most);
  if (w->log_density)
    *w->log_density = most + log(total);
  if (!w->score && !w->curvature)
    return;
  memset(score, 0, 2 * d * sizeof *score);
  for (size_t k = 0; k < n->count; k++) {
    const double share = n->terms[k] / total;
    if (share == 0)
      continue;
    double along = 0, own = 0;
    for (size_t i = 0; i < d; i++) {
      const double precision = n->precision[k * d + i];
      const double s = -(w->x[i] - at->alpha * n->means[k * d + i]) * precision;
      score[i] += share * s;
      if (w->probe) {
        along += s * w->probe[i];
        own += precision * w->probe[i] * w->probe[i];
      } else {
        own += precision;
        second[i] += share * s * s;
      }
    }
    curvature += share * (along * along - own);
  }
  double along = 0;
  for (size_t i = 0; i < d; i++) {
    if (w->score)
      w->score[i] = score[i];
    if (w->probe)
      along += score[i] * w->probe[i];
    else
      curvature += second[i] - score[i] * score[i];
  }
  if (w->curvature)
    *w->curvature = curvature - along * along;
}

tb_status tb_noised_mixture(tb_context *context, size_t dims, size_t count, const double *weights, const double *means,
                            const double *sds, tb_noised **out) {
  tb_status status = noised_new(context, dims, count, out);
  if (status)
    return status;
  tb_noised *n = *out;
  double total = 0;
  for (size_t k = 0; k < count; k++)
    total += weights[k];
  for (size_t k = 0; k < count; k++)
    n->weights[k] = log(weights[k] / total);
  memcpy(n->means, means, count * dims * sizeof *means);
  for (size_t i = 0; sds && i < count * dims; i++)
    n->squares[i] = sds[i] * sds[i];
  n->prepare = mixture_prepare;
  n->row = mixture_row;
  return TB_OK;
}

bool tb_noised_gaussian(const tb_noised *n, double *mean, double *sd) {
  if (n->row != mixture_row || n->count != 1)
    return false;
  for (size_t i = 0; i < n->dims; i++) {
    mean[i] = n->means[i];
    sd[i] = sqrt(n->squares[i]);
  }
  return true;
}

/* ---- the funnel ---- */

static void nothing_to_prepare(tb_noised *n, const tb_noising *at) {}

/* The integrand at v = μ + τz: the neck's own law is N(z; 0, 1), the rest is N(0, u) with u = α²e^v + σ². */
typedef struct neck {
  double scale, noise; /* α², σ² */
  double center, width;
  double squares, others; /* Σ_{i>1} y_i², d − 1 */
} neck;

static double neck_log(const neck *k, double z, double *u, double *e) {
  *e = k->scale * exp(k->center + k->width * z);
  *u = *e + k->noise;
  return -0.5 * (z * z + log_two_pi + k->others * (log_two_pi + log(*u)) + k->squares / *u);
}

/* Moments of the integrand: with q = ∂_v ln N(rest), p = 1/u. */
typedef struct neck_moments {
  double log_total, q, qq, q_prime, p, pp, qp, p_prime;
} neck_moments;

static neck_moments neck_integrate(const neck *k) {
  enum { FARTHEST = 40 };
  static const double negligible = 45;
  double u, e, most = -INFINITY, terms[2 * FARTHEST + 1];
  for (int i = -FARTHEST; i <= FARTHEST; i++)
    most = fmax(most, terms[i + FARTHEST] = neck_log(k, i, &u, &e));
  int first = -FARTHEST, last = FARTHEST;
  while (first < FARTHEST - 1 && terms[first + 1 + FARTHEST] < most - negligible)
    first++;
  while (last > first + 1 && terms[last - 1 + FARTHEST] < most - negligible)
    last--;
  const double scale = sqrt(2 / fmax(1, k->others)); /* of v, in which the rest's law changes */
  const int parts = (int)ceil(1 / fmin(0.4, 0.4 * scale / k->width));
  const double step = 1.0 / parts;
  neck_moments m = { 0 };
  double total = 0;
  for (int i = first * parts; i <= last * parts; i++) {
    const double weight = exp(neck_log(k, i * step, &u, &e) - most);
    const double ratio = e / u, over = k->squares / u;
    const double q = 0.5 * ratio * (over - k->others), p = 1 / u;
    /* ∂_v ratio = ratio (1 − ratio), ∂_v over = −over ratio, ∂_v p = −p ratio */
    const double q_prime = 0.5 * ratio * ((1 - ratio) * (over - k->others) - ratio * over);
    total += weight;
    m.q += weight * q, m.qq += weight * q * q, m.q_prime += weight * q_prime;
    m.p += weight * p, m.pp += weight * p * p, m.qp += weight * q * p, m.p_prime -= weight * p * ratio;
  }
  double *const means[] = { &m.q, &m.qq, &m.q_prime, &m.p, &m.pp, &m.qp, &m.p_prime };
  for (size_t i = 0; i < sizeof means / sizeof *means; i++)
    *means[i] /= total;
  m.log_total = most + log(total * step);
  return m;
}

/* N(v; 0, s²) N(y_1; αv, σ²) = N(y_1; 0, A²) N(v; cy_1, s²σ²/A²) with A² = α²s² + σ², c = αs²/A²: nothing cancels when
 * σ is small, and y_1 enters only by shifting v. */
static void funnel_row(tb_noised *n, const tb_noising *at, const wanted *w) {
  const double *y = w->x, variance = at->alpha * at->alpha * n->spread * n->spread + at->sigma * at->sigma;
  const double c = at->alpha * n->spread * n->spread / variance;
  neck k = { .scale = at->alpha * at->alpha,
             .noise = at->sigma * at->sigma,
             .center = c * y[0],
             .width = n->spread * at->sigma / sqrt(variance),
             .others = (double)(n->dims - 1) };
  for (size_t i = 1; i < n->dims; i++)
    k.squares += y[i] * y[i];
  neck_moments m;
  if (k.width > 0)
    m = neck_integrate(&k);
  else { /* no noise yet: v = y_1 */
    double u, e;
    m.log_total = neck_log(&k, 0, &u, &e) + 0.5 * log_two_pi;
    m.q = 0.5 * (k.squares / u - k.others);
    m.qq = m.q * m.q, m.q_prime = -0.5 * k.squares / u;
    m.p = 1 / u, m.pp = m.p * m.p, m.qp = m.q * m.p, m.p_prime = -m.p;
  }
  if (w->log_density)
    *w->log_density = m.log_total - 0.5 * (log_two_pi + log(variance) + y[0] * y[0] / variance);
  if (w->score) {
    w->score[0] = c * m.q - y[0] / variance;
    for (size_t i = 1; i < n->dims; i++)
      w->score[i] = -m.p * y[i];
  }
  if (!w->curvature)
    return;
  const double first = c * c * (m.q_prime + m.qq - m.q * m.q) - 1 / variance; /* ∂_1∂_1 */
  const double mixed = -c * (m.qp - m.q * m.p + m.p_prime);                   /* ∂_1∂_i over y_i */
  const double across = m.pp - m.p * m.p; /* ∂_i∂_j over y_i y_j, besides −δ_ij E p */
  if (!w->probe) {
    *w->curvature = first - k.others * m.p + across * k.squares;
    return;
  }
  double along = 0, length = 0;
  for (size_t i = 1; i < n->dims; i++) {
    along += w->probe[i] * y[i];
    length += w->probe[i] * w->probe[i];
  }
  const double u = w->probe[0];
  *w->curvature = first * u * u + 2 * mixed * u * along - m.p * length + across * along * along;
}

tb_status tb_noised_funnel(tb_context *context, size_t dims, double spread, tb_noised **out) {
  tb_status status = noised_new(context, dims, 0, out);
  if (status)
    return status;
  (*out)->spread = spread;
  (*out)->prepare = nothing_to_prepare;
  (*out)->row = funnel_row;
  return TB_OK;
}

/* ---- the cosine family ---- */

/* x_0 | y under N(0, I) is N(αy/A², σ²/A² I), A² = α² + σ²; E cos w·x_0 = e^{−|w|²σ²/2A²} cos(αw·y/A²). */
static void cosine_row(tb_noised *n, const tb_noising *at, const wanted *w) {
  const size_t d = n->dims;
  const double variance = at->alpha * at->alpha + at->sigma * at->sigma, c = at->alpha / variance;
  double value = 1, curvature = 0, along_y = 0, length = 0, squares = 0, *gradient = n->scratch;
  memset(gradient, 0, d * sizeof *gradient);
  for (size_t k = 0; k < n->count; k++) {
    const double *frequency = n->means + k * d;
    double square = 0, angle = 0, along = 0;
    for (size_t i = 0; i < d; i++) {
      square += frequency[i] * frequency[i];
      angle += frequency[i] * w->x[i];
      along += w->probe ? frequency[i] * w->probe[i] : 0;
    }
    const double damped = n->weights[k] * exp(-0.5 * square * at->sigma * at->sigma / variance);
    value += damped * cos(c * angle) - n->weights[k] * exp(-0.5 * square);
    curvature -= damped * c * c * cos(c * angle) * (w->probe ? along * along : square);
    for (size_t i = 0; i < d; i++)
      gradient[i] -= damped * c * sin(c * angle) * frequency[i];
  }
  for (size_t i = 0; i < d; i++) {
    const double relative = gradient[i] / value;
    squares += w->x[i] * w->x[i];
    along_y += w->probe ? relative * w->probe[i] : 0;
    length += w->probe ? w->probe[i] * w->probe[i] : 1 + variance * relative * relative;
    if (w->score)
      w->score[i] = relative - w->x[i] / variance;
  }
  if (w->log_density)
    *w->log_density = log(value) - 0.5 * ((double)d * (log_two_pi + log(variance)) + squares / variance);
  if (w->curvature)
    *w->curvature = curvature / value - along_y * along_y - length / variance;
}

tb_status tb_noised_cosine(tb_context *context, size_t dims, size_t count, const double *frequencies,
                           const double *amplitudes, tb_noised **out) {
  tb_status status = noised_new(context, dims, count, out);
  if (status)
    return status;
  memcpy((*out)->means, frequencies, count * dims * sizeof *frequencies);
  memcpy((*out)->weights, amplitudes, count * sizeof *amplitudes);
  (*out)->prepare = nothing_to_prepare;
  (*out)->row = cosine_row;
  return TB_OK;
}

void tb_noised_at(tb_noised *n, const tb_noising *at, size_t count, const double *x, const double *probe,
                  double *log_density, double *score, double *curvature) {
  n->prepare(n, at);
  for (size_t i = 0; i < count; i++) {
    const wanted w = { .x = x + i * n->dims,
                       .probe = probe ? probe + i * n->dims : NULL,
                       .log_density = log_density ? log_density + i : NULL,
                       .score = score ? score + i * n->dims : NULL,
                       .curvature = curvature ? curvature + i : NULL };
    n->row(n, at, &w);
  }
}

/* The estimators of girsanov.h. */
#include "diffusion/girsanov.h"

#include <math.h>
#include <string.h>

#include <tiebreak/random.h>
#include <tiebreak/statistics.h>

static tb_chain_step step_of(const tb_girsanov *g, size_t steps) {
  const double apart = 1 / (double)steps, square = g->family->sigma * g->family->sigma;
  if (g->process == TB_DIFFUSION_BROWNIAN)
    return (tb_chain_step){ 1, square * apart, sqrt(square * apart) };
  const double keep = exp(-apart);
  return (tb_chain_step){ keep, 2 * square * (1 - keep), sqrt(square * -expm1(-2 * apart)) };
}

/* Time at which Q's step k of `steps` begins. */
static double time_of(const tb_girsanov *g, size_t k, size_t steps) {
  const double done = (double)k / (double)steps;
  return g->process == TB_DIFFUSION_OU ? 1 - done : done;
}

tb_chain_step tb_girsanov_step(const tb_girsanov *g) {
  return step_of(g, g->steps);
}

double tb_girsanov_time(const tb_girsanov *g, size_t k) {
  return time_of(g, k, g->steps);
}

static void draw(const tb_girsanov *g, const char *purpose, size_t k, size_t count, double *out) {
  tb_random_normal((tb_key){ g->seed, (uint32_t)k, tb_use(purpose) }, 0, count, out);
}

static double inner(size_t n, const double *a, const double *b) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += a[i] * b[i];
  return sum;
}

static tb_estimated estimated(size_t n, const double *values) {
  return (tb_estimated){ tb_mean_of(n, values), tb_sd_of(n, values) / sqrt((double)n) };
}

/* Takes off ln w what the ratio 1/w tells of it: its mean is 1 (on each grid exactly), so it is a control variate, here
 * at its fitted coefficient.  For laws that are near each other the two are nearly the same variable. */
static void control(size_t n, double *log_weight) {
  double mean[2] = { 0 }, square = 0, product = 0;
  for (size_t i = 0; i < n; i++) {
    mean[0] += log_weight[i] / (double)n;
    mean[1] += expm1(-log_weight[i]) / (double)n;
  }
  for (size_t i = 0; i < n; i++) {
    const double away = expm1(-log_weight[i]) - mean[1];
    square += away * away;
    product += away * (log_weight[i] - mean[0]);
  }
  /* with heavy tails the fitted coefficient would bend the mean */
  const double slope = square > 0 && square < 0.25 * (double)n ? product / square : 0;
  for (size_t i = 0; i < n && slope != 0; i++)
    log_weight[i] -= slope * expm1(-log_weight[i]);
}

/* The mean of ln w at steps of no length, from those of a grid and of every second point of it. */
static tb_estimated extrapolated(size_t n, double *fine, double *coarse) {
  control(n, fine);
  control(n, coarse);
  for (size_t i = 0; i < n; i++)
    fine[i] = 2 * fine[i] - coarse[i];
  return estimated(n, fine);
}

/* ln f of P's end over the density of its start against the reference: what ln w has besides the steps. */
static double ends(const tb_girsanov *g, const double *start, const double *end) {
  const double last = tb_semigroup(g->family, (tb_smoothing){ 1, 0 }, end, NULL);
  return last - (g->process == TB_DIFFUSION_OU
                     ? tb_semigroup(g->family, tb_smoothing_at(TB_DIFFUSION_OU, 1), start, NULL)
                     : log(tb_family_normaliser(g->family)));
}

/* ---- at exact marginals ---- */

enum { NODES = 32 };

/* Gauss–Legendre on [0, 1] by Newton's method on P_n. */
static void gauss_legendre(double *nodes, double *weights) {
  static const double pi = 3.14159265358979323846;
  for (int i = 0; i < NODES; i++) {
    double x = cos(pi * (i + 0.75) / (NODES + 0.5)), slope = 1;
    for (int round = 0; round < 20; round++) {
      double last = 1, p = x;
      for (int k = 2; k <= NODES; k++) {
        const double next = ((2 * k - 1) * x * p - (k - 1) * last) / k;
        last = p;
        p = next;
      }
      slope = NODES * (x * p - last) / (x * x - 1);
      x -= p / slope;
    }
    nodes[i] = (1 - x) / 2;
    weights[i] = 1 / ((1 - x * x) * slope * slope);
  }
}

static void add_squares(const tb_girsanov *g, double t, double weight, size_t n, const double *x, const double *drift,
                        double *sums) {
  const size_t d = g->family->dims;
  const tb_smoothing at = tb_smoothing_at(g->process, t);
  double v[64];
  for (size_t i = 0; i < n; i++) {
    double square = 0;
    tb_semigroup(g->family, at, x + i * d, v);
    for (size_t k = 0; k < d; k++)
      square += (v[k] - drift[i * d + k]) * (v[k] - drift[i * d + k]);
    sums[i] += weight * square;
  }
}

tb_status tb_girsanov_forward(const tb_girsanov *g, tb_estimated *kl) {
  const size_t n = g->draws, d = g->family->dims;
  const double square = g->family->sigma * g->family->sigma, rate = g->process == TB_DIFFUSION_OU ? square : square / 2;
  double nodes[NODES], weights[NODES];
  double *x = tb_allocate(g->context, n * (2 * d + 1), sizeof *x), *drift = x + n * d, *sums = drift + n * d;
  tb_status status = x ? TB_OK : TB_NO_MEMORY;
  gauss_legendre(nodes, weights);
  for (int j = 0; j < NODES && !status; j++) { /* t = u² or 1 − u², |dt| = 2u du */
    const double t = g->process == TB_DIFFUSION_OU ? nodes[j] * nodes[j] : 1 - nodes[j] * nodes[j];
    for (size_t i = 0; i < n; i++)
      tb_family_draw_at(g->family, g->process, t, g->seed, i, x + i * d);
    status = g->drift.at(g->drift.user, t, n, x, drift);
    if (!status)
      add_squares(g, t, rate * 2 * nodes[j] * weights[j], n, x, drift, sums);
  }
  if (!status)
    *kl = estimated(n, sums);
  tb_release(g->context, x);
  return status;
}

/* ---- on paths of P ---- */

/* x (at time_of k + 1) → the path's point at time_of k, which is farther from the data. */
static void step_away(const tb_girsanov *g, size_t k, size_t count, double *x, double *noise) {
  const double sigma = g->family->sigma, now = time_of(g, k + 1, g->steps), next = time_of(g, k, g->steps);
  const tb_chain_step s = step_of(g, g->steps);
  const double keep = g->process == TB_DIFFUSION_OU ? s.keep : next / now;
  const double shake = g->process == TB_DIFFUSION_OU ? s.shake : sigma * sqrt(next * (now - next) / now);
  draw(g, "noise of a path from the target", k, count, noise);
  for (size_t i = 0; i < count; i++)
    x[i] = keep * x[i] + shake * noise[i];
}

/* ln of Q's step over the reference's, for the move from `from` to `to`. */
static void add_ratio(size_t n, size_t d, tb_chain_step s, const double *from, const double *to, const double *drift,
                      double *sums) {
  for (size_t i = 0; i < n; i++) {
    double sum = 0;
    for (size_t k = i * d; k < (i + 1) * d; k++) {
      const double u = s.push * drift[k];
      sum += (to[k] - s.keep * from[k] - 0.5 * u) * u;
    }
    sums[i] += sum / (s.shake * s.shake);
  }
}

tb_status tb_girsanov_forward_weights(const tb_girsanov *g, tb_estimated *kl) {
  const size_t n = g->draws, d = g->family->dims, count = n * d;
  const tb_chain_step fine = step_of(g, g->steps), coarse = step_of(g, g->steps / 2);
  double *block = tb_allocate(g->context, 6 * count + 2 * n, sizeof *block);
  double *end = block, *x = end + count, *one = x + count, *two = one + count, *drift = two + count;
  double *noise = drift + count, *sums = noise + count, *coarse_sums = sums + n;
  tb_status status = block ? TB_OK : TB_NO_MEMORY;
  for (size_t i = 0; i < n && !status; i++)
    tb_family_draw(g->family, g->seed, i, end + i * d);
  if (!status) {
    memcpy(x, end, count * sizeof *x);
    memcpy(two, end, count * sizeof *x);
  }
  for (size_t k = g->steps; k-- > 0 && !status;) {
    memcpy(one, x, count * sizeof *x);
    step_away(g, k, count, x, noise);
    status = g->drift.at(g->drift.user, time_of(g, k, g->steps), n, x, drift);
    if (status)
      break;
    add_ratio(n, d, fine, x, one, drift, sums);
    if (k % 2 == 0) {
      add_ratio(n, d, coarse, x, two, drift, coarse_sums);
      memcpy(two, x, count * sizeof *x);
    }
  }
  for (size_t i = 0; i < n && !status; i++) {
    const double both = ends(g, x + i * d, end + i * d);
    sums[i] = both - sums[i];
    coarse_sums[i] = both - coarse_sums[i];
  }
  if (!status)
    *kl = extrapolated(n, sums, coarse_sums);
  tb_release(g->context, block);
  return status;
}

/* ---- on paths of Q ---- */

/* A chain of Q: state [n,d], Σ ‖v − v̂‖² with its rate, ln dQ/dP without the ends. */
typedef struct chain {
  size_t steps;
  double *start, *y, *drift, *squares, *weights;
} chain;

static tb_status begin(const tb_girsanov *g, size_t n, size_t steps, chain *c, double *block) {
  const size_t d = g->family->dims;
  *c = (chain){ steps, block, block + n * d, block + 2 * n * d, block + 3 * n * d, block + 3 * n * d + n };
  for (size_t i = 0; i < n && g->process == TB_DIFFUSION_OU; i++)
    tb_family_draw_at(g->family, TB_DIFFUSION_OU, 1, g->seed, i, c->start + i * d);
  memcpy(c->y, c->start, n * d * sizeof *c->y);
  return TB_OK;
}

static tb_status advance(const tb_girsanov *g, chain *c, size_t n, size_t k, const double *noise) {
  const size_t d = g->family->dims;
  const tb_chain_step s = step_of(g, c->steps);
  const double t = time_of(g, k, c->steps), rate = s.push * s.push / (2 * s.shake * s.shake);
  tb_status status = g->drift.at(g->drift.user, t, n, c->y, c->drift);
  if (status)
    return status;
  if (c->squares)
    add_squares(g, t, rate, n, c->y, c->drift, c->squares);
  for (size_t i = 0; i < n; i++) {
    const double *v = c->drift + i * d, *xi = noise + i * d;
    if (c->weights)
      c->weights[i] += rate * inner(d, v, v) + s.push / s.shake * inner(d, v, xi);
    for (size_t j = 0; j < d; j++)
      c->y[i * d + j] = s.keep * c->y[i * d + j] + s.push * v[j] + s.shake * xi[j];
  }
  return TB_OK;
}

/* Two steps' noise as one of a step twice as long. */
static void join(const tb_girsanov *g, size_t count, const double *first, double *second) {
  const tb_chain_step fine = step_of(g, g->steps), coarse = step_of(g, g->steps / 2);
  for (size_t i = 0; i < count; i++)
    second[i] = fine.shake / coarse.shake * (fine.keep * first[i] + second[i]);
}

/* weights: ln dQ/dP, ends included */
static void finish(const tb_girsanov *g, chain *c) {
  const size_t d = g->family->dims;
  for (size_t i = 0; i < g->draws; i++)
    c->weights[i] -= ends(g, c->start + i * d, c->y + i * d);
}

tb_status tb_girsanov_reverse(const tb_girsanov *g, tb_estimated *kl, tb_estimated *weights) {
  const size_t n = g->draws, d = g->family->dims, count = n * d, size = 3 * count + 2 * n;
  double *block = tb_allocate(g->context, 2 * size + 2 * count, sizeof *block), *noise = block + 2 * size;
  chain fine, coarse;
  tb_status status = block ? TB_OK : TB_NO_MEMORY;
  if (!status && !(status = begin(g, n, g->steps, &fine, block)))
    status = begin(g, n, g->steps / 2, &coarse, block + size);
  for (size_t k = 0; k < g->steps && !status; k++) {
    double *now = noise + (k % 2) * count;
    draw(g, "noise of a path", k, count, now);
    status = advance(g, &fine, n, k, now);
    if (!status && k % 2 == 1) {
      join(g, count, noise, now);
      status = advance(g, &coarse, n, k / 2, now);
    }
  }
  if (!status) {
    finish(g, &fine);
    finish(g, &coarse);
    for (size_t i = 0; i < n; i++)
      fine.squares[i] = 2 * fine.squares[i] - coarse.squares[i];
    *kl = estimated(n, fine.squares);
    *weights = extrapolated(n, fine.weights, coarse.weights);
  }
  tb_release(g->context, block);
  return status;
}

tb_status tb_girsanov_sample(const tb_girsanov *g, size_t n, double *x) {
  const size_t count = n * g->family->dims;
  double *block = tb_allocate(g->context, 4 * count + 2 * n, sizeof *block);
  chain c;
  tb_status status = block ? begin(g, n, g->steps, &c, block) : TB_NO_MEMORY;
  for (size_t k = 0; k < g->steps && !status; k++) {
    double *noise = block + 3 * count + 2 * n;
    c.squares = c.weights = NULL;
    draw(g, "noise of a path", k, count, noise);
    status = advance(g, &c, n, k, noise);
  }
  if (!status)
    memcpy(x, c.y, count * sizeof *x);
  tb_release(g->context, block);
  return status;
}

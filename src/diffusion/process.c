/* The processes of process.h.  Small σ come from expm1, so that nothing is lost near the data. */
#include "diffusion/process.h"

#include <math.h>

/* ∫₀ᵗ of the linear schedule */
static double clock_at(const tb_process *p, double t) {
  return p->least * t + 0.5 * (p->most - p->least) * t * t / p->end;
}

static double whole_clock(const tb_process *p) {
  return 0.5 * p->end * (p->least + p->most);
}

static double speed_at(const tb_process *p, double t) {
  return p->least + (p->most - p->least) * t / p->end;
}

tb_noising tb_process_at(const tb_process *p, double t) {
  tb_noising at = { .t = t, .alpha = 1 };
  const double clock = clock_at(p, t), speed = speed_at(p, t);
  switch (p->kind) {
  case TB_PROCESS_VP:
    at.alpha = exp(-p->rate * clock);
    at.sigma = sqrt(-expm1(-2 * p->rate * clock));
    at.drift = -p->rate * speed;
    at.diffusion = 2 * p->rate * speed;
    break;
  case TB_PROCESS_SUBVP:
    at.alpha = exp(-0.5 * clock);
    at.sigma = -expm1(-clock);
    at.drift = -0.5 * speed;
    at.diffusion = speed * -expm1(-2 * clock);
    break;
  case TB_PROCESS_VE: {
    const double growth = log(p->most / p->least) / p->end;
    at.sigma = p->least * sqrt(expm1(2 * growth * t));
    at.diffusion = 2 * growth * p->least * p->least * exp(2 * growth * t);
    break;
  }
  case TB_PROCESS_PINNED: {
    const double whole = whole_clock(p);
    const double left = 0.5 * (p->end - t) * (speed + speed_at(p, p->end)); /* whole − clock without cancellation */
    at.alpha = left / whole;
    at.sigma = sqrt(clock * left / whole);
    at.drift = -speed / left;
    at.diffusion = speed;
    break;
  }
  }
  return at;
}

double tb_noising_log_ratio(const tb_noising *at) {
  return at->alpha > 0 ? log(at->alpha / at->sigma) : -INFINITY;
}

/* λ falls in t: bisection on the bits that a double has, in √t, which spreads the times near 0. */
double tb_process_time_of(const tb_process *p, double log_ratio) {
  double low = 0, high = sqrt(p->end);
  for (;;) {
    const double middle = 0.5 * (low + high);
    if (middle <= low || middle >= high)
      break;
    const tb_noising at = tb_process_at(p, middle * middle);
    if (tb_noising_log_ratio(&at) > log_ratio)
      low = middle;
    else
      high = middle;
  }
  return fmin(low * low, p->end);
}

double tb_process_reference_sd(const tb_process *p, double t) {
  return p->kind == TB_PROCESS_VP ? 1 : tb_process_at(p, t).sigma;
}

/* ---- as graphs ---- */

static tb_value clock_graph(tb_graph *g, const tb_process *p, tb_value t) {
  const tb_value bend = tb_scale(g, tb_square(g, t), 0.5 * (p->most - p->least) / p->end);
  return tb_add(g, tb_scale(g, t, p->least), bend);
}

void tb_process_build(tb_graph *g, const tb_process *p, tb_value t, tb_value *alpha, tb_value *sigma) {
  if (p->kind == TB_PROCESS_VE) {
    const double growth = log(p->most / p->least) / p->end;
    *alpha = tb_shift(g, tb_scale(g, t, 0), 1);
    *sigma = tb_scale(g, tb_sqrt(g, tb_expm1(g, tb_scale(g, t, 2 * growth))), p->least);
    return;
  }
  const tb_value clock = clock_graph(g, p, t);
  if (p->kind == TB_PROCESS_VP) {
    *alpha = tb_exp(g, tb_scale(g, clock, -p->rate));
    *sigma = tb_sqrt(g, tb_negate(g, tb_expm1(g, tb_scale(g, clock, -2 * p->rate))));
  } else if (p->kind == TB_PROCESS_SUBVP) {
    *alpha = tb_exp(g, tb_scale(g, clock, -0.5));
    *sigma = tb_negate(g, tb_expm1(g, tb_negate(g, clock)));
  } else {
    /* a_T − a = (T − t)(speed(t) + speed(T))/2: no cancellation near T */
    const double whole = whole_clock(p);
    const tb_value speeds = tb_shift(g, tb_scale(g, t, (p->most - p->least) / p->end), p->least + p->most);
    const tb_value before = tb_shift(g, tb_negate(g, t), p->end);
    const tb_value left = tb_scale(g, tb_multiply(g, before, speeds), 0.5);
    *alpha = tb_scale(g, left, 1 / whole);
    *sigma = tb_sqrt(g, tb_scale(g, tb_multiply(g, clock, left), 1 / whole));
  }
}

/* ---- grids ---- */

static double to_grid(const tb_process *p, tb_time_grid grid, double t) {
  const tb_noising at = tb_process_at(p, t);
  switch (grid) {
  case TB_GRID_QUADRATIC:
    return sqrt(t);
  case TB_GRID_LOG_RATIO:
    return tb_noising_log_ratio(&at);
  case TB_GRID_KARRAS:
    return pow(at.sigma / at.alpha, 1.0 / 7);
  default:
    return t;
  }
}

static double from_grid(const tb_process *p, tb_time_grid grid, double u) {
  switch (grid) {
  case TB_GRID_QUADRATIC:
    return u * u;
  case TB_GRID_LOG_RATIO:
    return tb_process_time_of(p, u);
  case TB_GRID_KARRAS:
    return tb_process_time_of(p, -7 * log(u));
  default:
    return u;
  }
}

void tb_process_grid(const tb_process *p, tb_time_grid grid, double from, double to, size_t n, double *times) {
  const double first = to_grid(p, grid, from), last = to_grid(p, grid, to);
  for (size_t i = 0; i <= n; i++)
    times[i] = from_grid(p, grid, first + (last - first) * (double)i / (double)n);
  times[0] = from;
  times[n] = to;
}

/* The grids of chain.h. */
#include "diffusion/chain.h"

#include <math.h>

static double length(tb_chain_grid grid, bool quirks, size_t k, size_t steps) {
  const double parts = (double)(quirks && steps > 1 ? steps - 1 : steps), place = (double)k / parts;
  switch (grid) {
  case TB_CHAIN_COS4: {
    const double c = cos((place + 0.008) / 1.008 * 1.57079632679489661923);
    return c * c * c * c;
  }
  case TB_CHAIN_LINEAR:
    return (double)(steps - k);
  case TB_CHAIN_EXP:
    return exp(-5 * (double)k / (double)steps);
  default:
    return 1;
  }
}

/* A Brownian motion from 0 that is at y at time `next` was at time `now` N(y now/next, g² now (next − now)/next). */
static void pis_step(tb_chain *c, size_t k, double horizon) {
  const double g = c->sigma / sqrt(horizon), now = c->times[k], next = now + c->apart[k];
  c->beta[k] = sqrt(c->apart[k] / horizon);
  c->keep[k] = 1;
  c->push[k] = g * c->apart[k];
  c->shake[k] = g * sqrt(c->apart[k]);
  c->back_keep[k] = next > 0 ? now / next : 0;
  c->back_shake[k] = next > 0 ? g * sqrt(now * c->apart[k] / next) : 0;
}

static void dds_step(tb_chain *c, size_t k, double alpha) {
  c->beta[k] = fmin(alpha * sqrt(c->apart[k]), 1);
  c->keep[k] = sqrt(1 - c->beta[k] * c->beta[k]);
  c->push[k] = c->beta[k] * c->beta[k];
  c->shake[k] = c->sigma * c->beta[k];
  c->back_keep[k] = c->keep[k]; /* stationary and reversible */
  c->back_shake[k] = c->shake[k];
}

void tb_chain_fill(tb_chain_kind kind, tb_chain_grid grid, bool quirks, size_t steps, double horizon, double sigma,
                   double alpha, double *numbers, tb_chain *c) {
  double total = 0, time = 0;
  if (quirks && grid == TB_CHAIN_UNIFORM && steps > 1)
    steps--;
  *c = (tb_chain){ .steps = steps,
                   .sigma = sigma,
                   .start = kind == TB_CHAIN_DDS ? sigma : 0,
                   .times = numbers,
                   .apart = numbers + steps,
                   .beta = numbers + 2 * steps,
                   .keep = numbers + 3 * steps,
                   .push = numbers + 4 * steps,
                   .shake = numbers + 5 * steps,
                   .back_keep = numbers + 6 * steps,
                   .back_shake = numbers + 7 * steps };
  for (size_t k = 0; k < steps; k++)
    total += c->apart[k] = length(grid, quirks, k, steps);
  for (size_t k = 0; k < steps; k++) {
    c->times[k] = time;
    c->apart[k] *= horizon / total;
    time += c->apart[k];
    if (kind == TB_CHAIN_DDS)
      dds_step(c, k, alpha);
    else
      pis_step(c, k, horizon);
  }
}

tb_status tb_chain_new(tb_arena *arena, tb_chain_kind kind, tb_chain_grid grid, bool quirks, size_t steps,
                       double horizon, double sigma, double alpha, tb_chain *c) {
  double *numbers = tb_arena_allocate(arena, TB_CHAIN_ARRAYS * steps, sizeof *numbers);
  if (numbers)
    tb_chain_fill(kind, grid, quirks, steps, horizon, sigma, alpha, numbers, c);
  return numbers ? TB_OK : TB_NO_MEMORY;
}

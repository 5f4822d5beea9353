/* Samplers that simulate the reversed diffusion: em, ancestral, exponential, pc. */
#include <math.h>

#include "diffusion/reverse_parts.h"

/* ---- Euler and Maruyama ---- */

static tb_status step_em(tb_reverse *r, const tb_noising *from, const tb_noising *to, double *x) {
  const tb_status status = tb_reverse_look(r, from, x);
  if (status)
    return status;
  const double step = from->t - to->t, push = step * from->diffusion / from->sigma;
  const double keep = 1 - step * from->drift, shake = sqrt(from->diffusion * step);
  tb_reverse_draw(r, TB_REVERSE_NOISE);
  for (size_t i = 0; i < r->size; i++)
    x[i] = keep * x[i] - push * r->noise[i] + shake * r->drawn[i];
  return TB_OK;
}

const tb_reverse_sampler tb_reverse_em = {
  .name = "em",
  .summary = "Euler-Maruyama on the reversed diffusion",
  .formula = "x ← x − (f x + g²/σ ε̂) Δt + g √Δt ξ",
  .source = "Song et al. 2021, ICLR",
  .random = true,
  .order = 1,
  .evaluations = 1,
  .step = step_em,
};

/* ---- the posterior of the forward chain, the data replaced by what the score says of them ---- */

static tb_status step_ancestral(tb_reverse *r, const tb_noising *from, const tb_noising *to, double *x) {
  const tb_status status = tb_reverse_look(r, from, x);
  if (status)
    return status;
  const double ratio = from->alpha / to->alpha, before = from->sigma * from->sigma, after = to->sigma * to->sigma;
  const double added = before - ratio * ratio * after; /* variance of x_s given x_t */
  const double keep = ratio * after / before, data = to->alpha * added / before;
  const double shake = sqrt(added * after / before);
  tb_reverse_draw(r, TB_REVERSE_NOISE);
  for (size_t i = 0; i < r->size; i++) {
    const double denoised = (x[i] - from->sigma * r->noise[i]) / from->alpha;
    x[i] = keep * x[i] + data * denoised + shake * r->drawn[i];
  }
  return TB_OK;
}

const tb_reverse_sampler tb_reverse_ancestral = {
  .name = "ancestral",
  .summary = "draws from q(x_t | x_s, x_0 = D), D the data as the score sees them",
  .formula = "N(α_{s|t} σ_t²/σ_s² x + α_t σ_{s|t}²/σ_s² D, σ_{s|t}² σ_t²/σ_s²)",
  .source = "Ho, Jain and Abbeel 2020",
  .random = true,
  .order = 1,
  .evaluations = 1,
  .step = step_ancestral,
};

/* ---- linear part and noise exactly, ε̂ held ---- */

static tb_status step_exponential(tb_reverse *r, const tb_noising *from, const tb_noising *to, double *x) {
  const tb_status status = tb_reverse_look(r, from, x);
  if (status)
    return status;
  const double h = tb_noising_log_ratio(to) - tb_noising_log_ratio(from);
  const double keep = to->alpha / from->alpha, push = 2 * to->sigma * expm1(h), shake = to->sigma * sqrt(expm1(2 * h));
  tb_reverse_draw(r, TB_REVERSE_NOISE);
  for (size_t i = 0; i < r->size; i++)
    x[i] = keep * x[i] - push * r->noise[i] + shake * r->drawn[i];
  return TB_OK;
}

const tb_reverse_sampler tb_reverse_exponential = {
  .name = "exponential",
  .summary = "exponential integrator of the reversed diffusion: only the predicted noise is held over a step",
  .formula = "x ← (α_t/α_s) x − 2σ_t (e^h − 1) ε̂ + σ_t √(e^{2h} − 1) ξ, h = λ_t − λ_s",
  .source = "Lu et al. 2022 (SDE-DPM-Solver-1)",
  .random = true,
  .order = 1,
  .evaluations = 1,
  .step = step_exponential,
};

/* ---- predictor and corrector ---- */

/* Annealed Langevin: x ← x − η ε̂/σ + √(2η) ξ with η = 2 (snr σ)², the size at which a step's drift is about snr of its
 * noise; Song et al. take the batch's mean norm of the score in place of √d/σ, which would couple the rows. */
static tb_status step_pc(tb_reverse *r, const tb_noising *from, const tb_noising *to, double *x) {
  tb_status status = step_ancestral(r, from, to, x);
  if (!status)
    status = tb_reverse_look(r, to, x);
  if (status)
    return status;
  const double eta = 2 * r->options.snr * r->options.snr * to->sigma * to->sigma;
  const double push = eta / to->sigma, shake = sqrt(2 * eta);
  tb_reverse_draw(r, TB_REVERSE_CORRECTOR);
  for (size_t i = 0; i < r->size; i++)
    x[i] += shake * r->drawn[i] - push * r->noise[i];
  return TB_OK;
}

const tb_reverse_sampler tb_reverse_pc = {
  .name = "pc",
  .summary = "ancestral step, then one step of Langevin dynamics at the new time (snr=)",
  .formula = "x ← x − η ε̂/σ + √(2η) ξ, η = 2 (snr σ)²",
  .source = "Song et al. 2021, ICLR",
  .random = true,
  .order = 0,
  .evaluations = 2,
  .step = step_pc,
};

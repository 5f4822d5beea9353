/* Samplers that follow the probability flow: ddim, heun, dpmpp2m, rk45. */
#include <math.h>
#include <string.h>

#include "diffusion/reverse_parts.h"
#include "num/rows_flow.h"

/* ---- first order ---- */

static tb_status step_ddim(tb_reverse *r, const tb_noising *from, const tb_noising *to, double *x) {
  const tb_status status = tb_reverse_look(r, from, x);
  if (status)
    return status;
  const double keep = to->alpha / from->alpha, push = to->sigma - keep * from->sigma;
  for (size_t i = 0; i < r->size; i++)
    x[i] = keep * x[i] + push * r->noise[i];
  return TB_OK;
}

const tb_reverse_sampler tb_reverse_ddim = {
  .name = "ddim",
  .summary = "Euler's step of the probability flow in x/α over σ/α",
  .formula = "x ← α_t D + σ_t ε̂",
  .source = "Song, Meng and Ermon 2021; first-order DPM-Solver",
  .order = 1,
  .evaluations = 1,
  .step = step_ddim,
};

/* ---- Heun ---- */

static tb_status step_heun(tb_reverse *r, const tb_noising *from, const tb_noising *to, double *x) {
  tb_status status = tb_reverse_look(r, from, x);
  if (status)
    return status;
  const double keep = to->alpha / from->alpha, push = to->sigma - keep * from->sigma;
  memcpy(r->other, x, r->size * sizeof *x);
  memcpy(r->previous, r->noise, r->size * sizeof *x);
  for (size_t i = 0; i < r->size; i++)
    x[i] = keep * x[i] + push * r->noise[i];
  if ((status = tb_reverse_look(r, to, x)))
    return status;
  for (size_t i = 0; i < r->size; i++)
    x[i] = keep * r->other[i] + 0.5 * push * (r->previous[i] + r->noise[i]);
  return TB_OK;
}

const tb_reverse_sampler tb_reverse_heun = {
  .name = "heun",
  .summary = "Heun's second-order step of the probability flow in x/α over σ/α",
  .formula = "x/α ← x/α + Δ(σ/α) (ε̂_s + ε̂_t)/2",
  .source = "Karras et al. 2022",
  .order = 2,
  .evaluations = 2,
  .step = step_heun,
};

/* ---- two steps back ---- */

/* previous holds D of the last step, last its h; r->last is NaN at the start of a walk. */
static tb_status step_dpmpp2m(tb_reverse *r, const tb_noising *from, const tb_noising *to, double *x) {
  const tb_status status = tb_reverse_look(r, from, x);
  if (status)
    return status;
  const double h = tb_noising_log_ratio(to) - tb_noising_log_ratio(from);
  const double back = isnan(r->last) ? 0 : h / (2 * r->last); /* 1/(2r), r = h_prev/h */
  const double keep = to->sigma / from->sigma, push = -to->alpha * expm1(-h);
  for (size_t i = 0; i < r->size; i++) {
    const double denoised = (x[i] - from->sigma * r->noise[i]) / from->alpha;
    x[i] = keep * x[i] + push * ((1 + back) * denoised - back * r->previous[i]);
    r->previous[i] = denoised;
  }
  r->last = h;
  return TB_OK;
}

const tb_reverse_sampler tb_reverse_dpmpp2m = {
  .name = "dpmpp2m",
  .summary = "DPM-Solver++ (2M): second order in λ from two values of D",
  .formula = "x ← (σ_t/σ_s) x − α_t (e^{−h} − 1) ((1 + 1/2r) D_s − D_prev/2r)",
  .source = "Lu et al. 2022 (DPM-Solver++)",
  .order = 2,
  .evaluations = 1,
  .step = step_dpmpp2m,
};

/* ---- adaptive ---- */

/* The probability flow in y = x/α over u = σ/α; with `trace` a last column gathers ∫ α tr ∂ε̂/∂x du. */
typedef struct flow {
  tb_context *context;
  const tb_process *process;
  const tb_score *score;
  const double *probe;
  bool trace;
  size_t rows;
  double *x, *noise, *traces; /* [n,d], [n,d], [n] */
  long evaluations;
} flow;

static tb_status flow_slope(void *user, double u, const double *y, double *dy) {
  flow *f = user;
  const size_t d = f->score->dims, width = d + f->trace;
  const tb_noising at = tb_process_at(f->process, tb_process_time_of(f->process, -log(u)));
  for (size_t i = 0; i < f->rows; i++)
    for (size_t j = 0; j < d; j++)
      f->x[i * d + j] = at.alpha * y[i * width + j];
  f->evaluations++;
  const tb_status status = f->trace ? f->score->trace(f->score->self, &at, f->rows, f->x, f->probe, f->noise, f->traces)
                                    : f->score->noise(f->score->self, &at, f->rows, f->x, f->noise);
  for (size_t i = 0; i < f->rows; i++) {
    for (size_t j = 0; j < d; j++)
      dy[i * width + j] = f->noise[i * d + j];
    if (f->trace)
      dy[i * width + d] = at.alpha * f->traces[i];
  }
  return status;
}

static tb_status step_rk45(tb_reverse *r, const tb_noising *from, const tb_noising *to, double *x) {
  flow f = {
    .context = r->context, .process = r->process, .score = r->score, .rows = r->rows, .x = r->other, .noise = r->noise
  };
  tb_rows_flow pair = { .rows = r->rows,
                        .width = r->score->dims,
                        .user = &f,
                        .derivative = flow_slope,
                        .relative = r->options.tolerance,
                        .absolute = r->options.tolerance };
  for (size_t i = 0; i < r->size; i++)
    x[i] /= from->alpha;
  const tb_status status = tb_rows_flow_run(r->context, &pair, from->sigma / from->alpha, to->sigma / to->alpha, x);
  for (size_t i = 0; i < r->size; i++)
    x[i] *= to->alpha;
  r->evaluations += f.evaluations;
  return status;
}

const tb_reverse_sampler tb_reverse_rk45 = {
  .name = "rk45",
  .summary = "the pair 5(4) of Dormand and Prince with its own steps (tolerance=)",
  .formula = "d(x/α) = ε̂ d(σ/α)",
  .source = "Song et al. 2021, ICLR",
  .adaptive = true,
  .evaluations = NAN,
  .step = step_rk45,
};

/* ---- likelihood ---- */

tb_status tb_reverse_likelihood(tb_context *context, const tb_process *process, const tb_score *score, double from,
                                double to, double tolerance, const double *probe, tb_noised *start, double sd, size_t n,
                                const double *x, double *log_density) {
  static const double log_two_pi = 1.8378770664093454836;
  const size_t d = score->dims, width = d + 1;
  const tb_noising first = tb_process_at(process, from), last = tb_process_at(process, to);
  double *memory = tb_allocate(context, n * (2 * d + 1) + n * width + 1, sizeof *memory);
  if (!memory)
    return TB_NO_MEMORY;
  double *y = memory + n * (2 * d + 1);
  flow f = { .context = context,
             .process = process,
             .score = score,
             .probe = probe,
             .trace = true,
             .rows = n,
             .x = memory,
             .noise = memory + n * d,
             .traces = memory + 2 * n * d };
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < d; j++)
      y[i * width + j] = x[i * d + j] / first.alpha;
  tb_rows_flow pair = {
    .rows = n, .width = width, .user = &f, .derivative = flow_slope, .relative = tolerance, .absolute = tolerance
  };
  const tb_status status = tb_rows_flow_run(context, &pair, first.sigma / first.alpha, last.sigma / last.alpha, y);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < d; j++)
      f.x[i * d + j] = last.alpha * y[i * width + j];
  if (start)
    tb_noised_at(start, &last, n, f.x, NULL, log_density, NULL, NULL);
  for (size_t i = 0; i < n; i++) {
    double squares = 0;
    for (size_t j = 0; j < d; j++)
      squares += f.x[i * d + j] * f.x[i * d + j];
    if (!start)
      log_density[i] = -0.5 * ((double)d * (log_two_pi + 2 * log(sd)) + squares / (sd * sd));
    log_density[i] += (double)d * log(last.alpha / first.alpha) + y[i * width + d];
  }
  tb_release(context, memory);
  return status;
}

/* `block` independent Lanczos runs in step, each with a basis of its own: a round multiplies the newest vector of every
 * run that still goes on.  A run whose space has become invariant has its quadrature, exact, and leaves. */
#include "measure/slq.h"

#include <math.h>
#include <string.h>

#include <tiebreak/statistics.h>

#include "measure/orthogonal.h"
#include "measure/probe.h"
#include "num/linear.h"

typedef struct lanczos_run {
  double *basis;        /* [(steps + 1)×p] */
  double *alpha, *beta; /* [steps] */
  size_t size;          /* steps done */
  double largest;       /* ‖A q‖, the largest so far */
  bool over;
} lanczos_run;

typedef struct rounds {
  const tb_operator *op;
  tb_spectrum *spectrum;
  size_t p, steps, block;
  lanczos_run *runs;     /* [block] */
  double *numbers;       /* memory of the runs' arrays */
  double *v, *product;   /* [block×p] */
  double *t, *theta, *u; /* [steps×steps], [steps], [steps×steps] */
  double *work;          /* [steps + 1] */
} rounds;

static tb_status open_rounds(rounds *r) {
  const size_t each = (r->steps + 1) * r->p + 2 * r->steps;
  tb_context *context = r->op->context;
  r->runs = tb_allocate(context, r->block, sizeof *r->runs);
  r->numbers = tb_allocate(context, r->block * each, sizeof(double));
  r->v = tb_allocate(context, r->block * r->p, sizeof(double));
  r->product = tb_allocate(context, r->block * r->p, sizeof(double));
  r->t = tb_allocate(context, r->steps * r->steps, sizeof(double));
  r->theta = tb_allocate(context, r->steps, sizeof(double));
  r->u = tb_allocate(context, r->steps * r->steps, sizeof(double));
  r->work = tb_allocate(context, r->steps + 1, sizeof(double));
  if (!r->runs || !r->numbers || !r->v || !r->product || !r->t || !r->theta || !r->u || !r->work)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < r->block; i++) {
    r->runs[i].basis = r->numbers + i * each;
    r->runs[i].alpha = r->runs[i].basis + (r->steps + 1) * r->p;
    r->runs[i].beta = r->runs[i].alpha + r->steps;
  }
  return TB_OK;
}

static void close_rounds(rounds *r) {
  void *arrays[] = { r->runs, r->numbers, r->v, r->product, r->t, r->theta, r->u, r->work };
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    tb_release(r->op->context, arrays[i]);
}

/* A step with the product w = A q of the newest vector. */
static void step(rounds *r, lanczos_run *run, const double *w) {
  const size_t p = r->p, k = run->size;
  const double *q = run->basis + k * p;
  double *next = run->basis + (k + 1) * p;
  memcpy(next, w, p * sizeof *next);
  run->largest = fmax(run->largest, tb_norm(p, w));
  run->alpha[k] = tb_dot(p, q, w);
  run->size = k + 1;
  run->over = run->size == r->steps ||
              tb_orthonormalise(p, k + 1, 1, run->basis, tb_rounding_floor(p, run->largest), r->work) == 0;
  if (!run->over)
    run->beta[k] = tb_dot(p, next, w);
}

/* Nodes and weights of a finished run. */
static tb_status quadrature(rounds *r, const lanczos_run *run, size_t probe) {
  const size_t m = run->size;
  memset(r->t, 0, m * m * sizeof *r->t);
  for (size_t i = 0; i < m; i++) {
    r->t[i * m + i] = run->alpha[i];
    if (i + 1 < m)
      r->t[i * m + i + 1] = r->t[(i + 1) * m + i] = run->beta[i];
  }
  const tb_status status = tb_symmetric_eigen(r->op->context, m, r->t, r->theta, r->u);
  for (size_t i = 0; i < r->steps && status == TB_OK; i++) {
    const size_t at = probe * r->steps + i;
    r->spectrum->nodes[at] = i < m ? r->theta[i] : r->theta[m - 1];
    r->spectrum->weights[at] = i < m ? r->u[i * m] * r->u[i * m] : 0;
  }
  return status;
}

/* Probes first … first + count − 1, in step. */
static tb_status block_of_runs(rounds *r, tb_probe kind, tb_key key, size_t first, size_t count) {
  const size_t p = r->p;
  tb_probes(kind, key, p, first, count, r->v);
  for (size_t i = 0; i < count; i++) {
    const double size = tb_norm(p, r->v + i * p);
    lanczos_run *run = &r->runs[i];
    run->size = 0;
    run->largest = 0;
    run->over = false;
    for (size_t j = 0; j < p; j++)
      run->basis[j] = r->v[i * p + j] / size;
  }
  for (;;) {
    size_t going = 0;
    for (size_t i = 0; i < count; i++)
      if (!r->runs[i].over)
        memcpy(r->v + going++ * p, r->runs[i].basis + r->runs[i].size * p, p * sizeof *r->v);
    if (going == 0)
      break;
    const tb_status status = tb_operator_apply(r->op, going, r->v, r->product);
    if (status != TB_OK)
      return status;
    r->spectrum->products += going;
    going = 0;
    for (size_t i = 0; i < count; i++)
      if (!r->runs[i].over)
        step(r, &r->runs[i], r->product + going++ * p);
  }
  for (size_t i = 0; i < count; i++) {
    const tb_status status = quadrature(r, &r->runs[i], first + i);
    if (status != TB_OK)
      return status;
  }
  return TB_OK;
}

tb_status tb_slq(const tb_operator *op, tb_probe kind, size_t probes, size_t steps, tb_key key, tb_spectrum *spectrum) {
  const size_t p = op->dimension;
  if (steps > p)
    steps = p;
  *spectrum = (tb_spectrum){ .context = op->context, .dimension = p, .probes = probes, .steps = steps };
  if (probes < 1 || steps < 1)
    return tb_fail(op->context, TB_USAGE, NULL, NULL, "a spectral density needs probes and steps, not %zu and %zu",
                   probes, steps);
  rounds r = { .op = op, .spectrum = spectrum, .p = p, .steps = steps };
  r.block = op->block < probes ? op->block : probes;
  spectrum->nodes = tb_allocate(op->context, probes * steps, sizeof(double));
  spectrum->weights = tb_allocate(op->context, probes * steps, sizeof(double));
  tb_status status = spectrum->nodes && spectrum->weights ? open_rounds(&r) : TB_NO_MEMORY;
  for (size_t first = 0; first < probes && status == TB_OK; first += r.block)
    status = block_of_runs(&r, kind, key, first, probes - first < r.block ? probes - first : r.block);
  close_rounds(&r);
  if (status != TB_OK)
    tb_spectrum_free(spectrum);
  return status;
}

void tb_spectrum_free(tb_spectrum *s) {
  tb_release(s->context, s->nodes);
  tb_release(s->context, s->weights);
  *s = (tb_spectrum){ .context = s->context };
}

tb_status tb_spectrum_trace(const tb_spectrum *s, double (*f)(void *user, double lambda), void *user,
                            tb_trace_estimate *trace) {
  double *samples = tb_allocate(s->context, s->probes, sizeof *samples);
  if (!samples)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < s->probes; i++)
    for (size_t k = 0; k < s->steps; k++)
      if (s->weights[i * s->steps + k] > 0)
        samples[i] += (double)s->dimension * s->weights[i * s->steps + k] * f(user, s->nodes[i * s->steps + k]);
  *trace = (tb_trace_estimate){ .value = tb_mean_of(s->probes, samples),
                                .se = tb_sd_of(s->probes, samples) / sqrt((double)s->probes),
                                .products = s->products };
  tb_release(s->context, samples);
  return TB_OK;
}

void tb_spectrum_density(const tb_spectrum *s, double width, size_t count, const double *grid, double *density,
                         double *se) {
  const double height = 1 / (width * sqrt(2 * M_PI)), probes = (double)s->probes;
  for (size_t j = 0; j < count; j++) {
    double mean = 0, squares = 0; /* Welford's updates */
    for (size_t i = 0; i < s->probes; i++) {
      double sample = 0;
      for (size_t k = 0; k < s->steps; k++) {
        const double z = (grid[j] - s->nodes[i * s->steps + k]) / width;
        sample += s->weights[i * s->steps + k] * height * exp(-0.5 * z * z);
      }
      const double off = sample - mean;
      mean += off / (double)(i + 1);
      squares += off * (sample - mean);
    }
    density[j] = mean;
    if (se)
      se[j] = s->probes < 2 ? NAN : sqrt(squares / (probes - 1) / probes);
  }
}

void tb_spectrum_range(const tb_spectrum *s, double *least, double *largest) {
  *least = s->nodes[0];
  *largest = s->nodes[0];
  for (size_t i = 0; i < s->probes * s->steps; i++) {
    *least = fmin(*least, s->nodes[i]);
    *largest = fmax(*largest, s->nodes[i]);
  }
}

/* Question `drift`: the exact semigroup of f = γ/N(0, σ²I) at a point and time, the gradient of its log, the score. */
#include <math.h>

#include "diffusion/family.h"
#include "diffusion/noised.h"
#include "study/diffusion_abstract.h"
#include "study/drift.h"

#define ANY      1, 0
#define COUNT(a) (sizeof(a) / sizeof *(a))

static const tb_option options[] = {
  { "process", TB_CHOICE, "ou", "ou|brownian", ANY, false,
    "ou: noising by an Ornstein-Uhlenbeck process (β = 1); brownian: the Föllmer process, a Brownian motion from 0 "
    "pinned to π at time 1",
    "ou: U_t f(x) = E f(e^{−t} x + σ √(1−e^{−2t}) Z);  brownian: E f(x + σ √(1−t) Z)", "Vargas, Reu and Kerekes 2023" },
  { "t", TB_REAL, "0.5", NULL, 0, 1e6, false, "ou: noising time, 0 is the data; brownian: Föllmer time, 1 is the data",
    NULL, NULL },
  { "x", TB_REALS, "", NULL, ANY, false, "the point; unset: 0; one number stands for all", NULL, NULL },
  { "sigma", TB_REAL, "1", NULL, 0, INFINITY, true, "standard deviation of the reference N(0, σ²I)", NULL, NULL },
};

static const tb_option_table own = { "drift", options, COUNT(options) };
static const tb_option_table *const tables[] = { &tb_target_options, &own };

static const tb_metric metrics[] = {
  { "value", "", "the semigroup of f = γ/N(0, σ²I), not its logarithm", "U_t f(x)", NULL },
  { "gradient", "", "the drift: gradient of the semigroup's logarithm", "∇ ln U_t f(x)", NULL },
  { "score", "", "score of the noised law (process=ou)", "∇ ln p_t(x) = −x/σ² + ∇ ln U_t f(x)", NULL },
};

static tb_status read_point(tb_context *context, const tb_config *config, size_t d, double *x) {
  const double *given;
  const size_t count = tb_config_reals(config, "x", &given);
  if (count > 1 && count != d)
    return tb_fail(context, TB_USAGE, "option x", "give one number a coordinate", "x= has %zu numbers, %s has %zu",
                   count, tb_config_word(config, "target"), d);
  for (size_t i = 0; i < d; i++) {
    x[i] = count == 0 ? 0 : given[count == 1 ? 0 : i];
    if (!isfinite(x[i]))
      return tb_fail(context, TB_USAGE, "option x", "give finite numbers", "x= holds %g", x[i]);
  }
  return TB_OK;
}

/* A question made concrete: f = γ/N(0, σ²I), its semigroup by c and τ. */
typedef struct question {
  tb_context *context;
  tb_arena *arena;
  tb_density *density;
  const tb_config *config;
  tb_diffusion process;
  double sigma, t;
  size_t d;
  double *x, *gradient; /* [d] */
} question;

/* ln N(x; 0, variance I) */
static double log_normal(const question *q, double variance) {
  double sum = 0;
  for (size_t i = 0; i < q->d; i++)
    sum -= 0.5 * (q->x[i] * q->x[i] / variance + log(6.28318530717958647693 * variance));
  return sum;
}

/* ln S f where the law of the process at t is known, with its score in gradient[]: over that of the reference. */
static double over_reference(question *q, double log_density, double variance) {
  for (size_t i = 0; i < q->d; i++)
    q->gradient[i] += q->x[i] / variance;
  return log_density - log_normal(q, variance);
}

/* At the data end the semigroup is f itself. */
static tb_status at_the_data(question *q, double *log_value) {
  tb_status status = tb_density_values(q->density, 1, q->x, log_value, q->gradient);
  if (!status)
    *log_value = over_reference(q, *log_value, q->sigma * q->sigma);
  return status;
}

/* The funnel after noising, by quadrature; pinned, the Föllmer process is at t y + σ√(t(1−t)) Z. */
static tb_status of_funnel(question *q, double *log_value) {
  const bool ou = q->process == TB_DIFFUSION_OU;
  const double keep = ou ? exp(-q->t) : q->t, spread = ou ? -expm1(-2 * q->t) : q->t * (1 - q->t);
  const tb_noising at = { .t = q->t, .alpha = keep, .sigma = q->sigma * sqrt(spread) };
  tb_noised *noised;
  if (!ou && q->t == 0)
    return tb_fail(q->context, TB_USAGE, "option t", "give t > 0",
                   "a funnel's tails make the semigroup infinite at the start of the Föllmer process");
  tb_status status = tb_noised_funnel(q->context, q->d, q->density->spread, &noised);
  if (status)
    return status;
  tb_noised_at(noised, &at, 1, q->x, NULL, log_value, q->gradient, NULL);
  *log_value = over_reference(q, *log_value, q->sigma * q->sigma * (ou ? 1 : q->t));
  tb_noised_free(noised);
  return TB_OK;
}

static tb_status of_family(question *q, double *log_value) {
  tb_family family;
  tb_status status = tb_family_of(q->density, q->config, q->arena, q->sigma, 0, &family);
  if (!status)
    *log_value = tb_semigroup(&family, tb_smoothing_at(q->process, q->t), q->x, q->gradient);
  return status;
}

static tb_status answer(question *q, tb_metrics *m) {
  const bool ou = q->process == TB_DIFFUSION_OU;
  double log_value = NAN;
  tb_status status = q->t == (ou ? 0 : 1)     ? at_the_data(q, &log_value)
                     : q->density->spread > 0 ? of_funnel(q, &log_value)
                                              : of_family(q, &log_value);
  if (!status)
    status = tb_metrics_real(m, "value", exp(log_value));
  if (!status)
    status = tb_metrics_vector(m, "gradient", q->d, q->gradient);
  for (size_t i = 0; i < q->d; i++)
    q->gradient[i] -= q->x[i] / (q->sigma * q->sigma);
  return status || !ou ? status : tb_metrics_vector(m, "score", q->d, q->gradient);
}

static tb_status measure(tb_context *context, tb_arena *arena, tb_density *density, const tb_config *config,
                         tb_metrics *m) {
  const size_t d = density->dims;
  question q = { context,
                 arena,
                 density,
                 config,
                 tb_config_is(config, "process", "ou") ? TB_DIFFUSION_OU : TB_DIFFUSION_BROWNIAN,
                 tb_config_real(config, "sigma"),
                 tb_config_real(config, "t"),
                 d,
                 tb_arena_allocate(arena, d, sizeof(double)),
                 tb_arena_allocate(arena, d, sizeof(double)) };
  if (!q.x || !q.gradient)
    return TB_NO_MEMORY;
  if (q.process == TB_DIFFUSION_BROWNIAN && q.t > 1)
    return tb_fail(context, TB_USAGE, "option t", "1 is the data", "t=%g is past the end of the Föllmer process", q.t);
  tb_status status = read_point(context, config, d, q.x);
  return status ? status : answer(&q, m);
}

static tb_status run(tb_run *run) {
  tb_context *context = tb_run_context(run);
  tb_arena *arena = tb_arena_new(context);
  tb_density *density = NULL;
  tb_status status = arena ? tb_density_open(context, tb_run_config(run), &density) : TB_NO_MEMORY;
  if (!status)
    status = measure(context, arena, density, tb_run_config(run), tb_run_metrics(run));
  tb_density_close(density);
  tb_arena_free(arena);
  return status;
}

const tb_study tb_question_drift = {
  .name = "drift",
  .laboratory = "diffusion",
  .summary = "exact drift of a target's diffusion at a point and time",
  .paper = PAPER_DIFFUSION,
  .details = "Closed forms: gaussian, mixture, cosine, gmm9, gmm25, gmm40; funnels by quadrature; every target at the "
             "data end.",
  .tables = tables,
  .n_tables = COUNT(tables),
  .metrics = metrics,
  .n_metrics = COUNT(metrics),
  .run = run,
};

/* Study `invariance`: does the parametrisation matter?
 *
 * One problem (separable classification or regression, more features than points) in several parametrisations of the
 * linear predictor: β itself, diagonal nets of depth 2 and 3, dense nets of depth 2 and 3; and a multilayer perceptron
 * on the training points.  Every method runs in each, and beside it in β itself from the same predictor; recorded is
 * how far their outputs come apart at the training inputs and at fresh ones.  ("Depth Without the Magic", 2021.) */
#include "study/invariance.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/block.h"
#include "bias/classification.h"
#include "bias/regression.h"
#include "study/natural_gradient.h"

#define ANY      1, 0
#define COUNT(a) (sizeof(a) / sizeof *(a))

static const tb_option options[] = {
  { "problem", TB_CHOICE, "separable", "separable|regression", ANY, false,
    "classification with the logistic loss, or regression with the square loss", NULL, NULL },
  { "data", TB_FILE, "sparse", "sparse|FILE.csv", ANY, false,
    "points of a sparse teacher drawn by seed, or a CSV with header x1,...,xd,y", NULL, NULL },
  { "d", TB_INTEGER, "8", NULL, 1, 1e4, false, "features of data=sparse", NULL, NULL },
  { "n", TB_INTEGER, "4", NULL, 1, 1e4, false, "points of data=sparse", NULL, NULL },
  { "k", TB_INTEGER, "2", NULL, 1, 1e4, false, "equal non-zero entries of the teacher of data=sparse", NULL, NULL },
  { "method", TB_CHOICE, "all", "all|gd|adam|gf|ngd|ngf", ANY, false, "methods to compare", NULL, NULL },
  { "fisher", TB_CHOICE, "all", "all|predictor|parameter|population|empirical", ANY, false,
    "Fisher matrices of the natural gradients to compare", NULL, NULL },
  { "lr", TB_REAL, "0.02", NULL, 0, INFINITY, true, "learning rate of the discrete methods", "θ ← θ − lr·(…)", NULL },
  { "width", TB_INTEGER, "5", NULL, 1, 1e4, false, "hidden units of the dense nets (mlp: at least twice as many)", NULL,
    NULL },
  { "init", TB_REAL, "0.5", NULL, 0, INFINITY, true, "start: diagonal u = v = init, dense and mlp entries N(0, init²)",
    NULL, NULL },
  { "time", TB_REAL, "5", NULL, 0, INFINITY, true,
    "end of the flows (with the empirical Fisher matrix no later than 0.8 of when it blows up)", NULL, NULL },
  { "steps", TB_INTEGER, "100", NULL, 1, 1e9, false, "steps of the discrete methods", NULL, NULL },
};

static const tb_option_table problem_options = { "invariance", options, COUNT(options) };
static const tb_option_table *const tables[] = { &tb_common_options, &tb_optimiser_options, &problem_options };

static const tb_metric metrics_table[] = {
  { "t", "", "time of the flows", NULL, NULL },
  { "stopped", "", "time", NULL, NULL },
  { "deviation.on_sample.NAME", "",
    "method NAME (gd, adam, gf, ngd.FISHER, ngf.FISHER): largest difference of outputs at the training inputs between "
    "a parametrisation and the linear model from the same start, up to then, relative (mlp: against the law of its own "
    "start)",
    "max |f − f_linear| / max(1, max |f_linear|)", NULL },
  { "deviation.off_sample.NAME", "", "the same at 50 fresh normal inputs (without mlp)", NULL, NULL },
  { "warnings", "", "what to know before trusting the run", NULL, NULL },
};

/* ---- opening ---- */

static tb_status take_points(invariance *s, size_t n, size_t d, const double *x, const double *y) {
  s->n = n;
  s->d = d;
  s->x = tb_arena_allocate(s->arena, n * d, sizeof(double));
  s->y = tb_arena_allocate(s->arena, n, sizeof(double));
  s->fresh = tb_arena_allocate(s->arena, INVARIANCE_FRESH * d, sizeof(double));
  if (!s->x || !s->y || !s->fresh)
    return TB_NO_MEMORY;
  memcpy(s->x, x, n * d * sizeof(double));
  memcpy(s->y, y, n * sizeof(double));
  tb_random_normal((tb_key){ (uint64_t)tb_config_integer(s->config, "seed"), 0, tb_use("invariance fresh inputs") }, 0,
                   INVARIANCE_FRESH * d, s->fresh);
  return TB_OK;
}

static tb_status read_data(invariance *s) {
  const tb_config *config = s->config;
  bool drawn = tb_config_is(config, "data", "sparse"), classes = tb_config_is(config, "problem", "separable");
  size_t n = (size_t)tb_config_integer(config, "n"), d = (size_t)tb_config_integer(config, "d");
  size_t k = (size_t)tb_config_integer(config, "k");
  uint64_t seed = (uint64_t)tb_config_integer(config, "seed");
  const char *file = tb_config_word(config, "data");
  tb_classification *c = NULL;
  tb_regression *r = NULL;
  tb_status status;
  if (drawn && k > d)
    return tb_fail(s->context, TB_USAGE, "option k", "give k <= d", "k=%zu entries of a teacher in d=%zu dimensions", k,
                   d);
  s->loss = classes ? TB_LOSS_LOGISTIC : TB_LOSS_SQUARE;
  if (classes) {
    status = drawn ? tb_classification_sparse(s->context, n, d, k, false, seed, &c)
                   : tb_classification_read(s->context, file, false, &c);
    if (!status)
      status = take_points(s, c->n, c->d, c->x, c->y);
    tb_classification_free(s->context, c);
    return status;
  }
  status =
      drawn ? tb_regression_sparse(s->context, n, d, k, 0, NULL, seed, &r) : tb_regression_read(s->context, file, &r);
  if (!status)
    status = take_points(s, r->n, r->d, r->x, r->y);
  tb_regression_free(s->context, r);
  return status;
}

static tb_status set_points(invariance *s) {
  static const double shares[] = { 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1 };
  const double *at;
  size_t given = tb_config_reals(s->config, "at", &at);
  double time = tb_config_real(s->config, "time"), steps = (double)tb_config_integer(s->config, "steps");
  if (isinf(time))
    return tb_fail(s->context, TB_USAGE, "option time", "give a finite time=", "the flows would never end");
  s->points = given ? given : COUNT(shares);
  s->times = tb_arena_allocate(s->arena, s->points, sizeof(double));
  s->steps = tb_arena_allocate(s->arena, s->points, sizeof(double));
  if (!s->times || !s->steps)
    return TB_NO_MEMORY;
  for (size_t j = 0; j < s->points; j++) {
    s->times[j] = given ? at[j] : shares[j] * time;
    if (!(s->times[j] >= 0) || s->times[j] > time || (j > 0 && s->times[j] <= s->times[j - 1]))
      return tb_fail(s->context, TB_USAGE, "option at", "give ascending times up to time=", "at=%.17g is out of place",
                     s->times[j]);
    s->steps[j] = time > 0 ? ceil(s->times[j] / time * steps) : 0;
  }
  return TB_OK;
}

tb_status invariance_open(invariance *s, tb_context *context, const tb_config *config) {
  *s = (invariance){ .context = context, .config = config, .arena = tb_arena_new(context) };
  if (!s->arena)
    return TB_NO_MEMORY;
  static const char *const unused[] = { "until_loss", "until_margin" };
  for (size_t i = 0; i < COUNT(unused); i++) {
    char place[32];
    snprintf(place, sizeof place, "option %s", unused[i]);
    if (tb_config_is_set(config, unused[i]))
      return tb_fail(context, TB_USAGE, place, "give time= and steps=", "paths are compared at equal times");
  }
  if (!tb_config_is(config, "dtype", "float64"))
    return tb_fail(context, TB_USAGE, "option dtype", "leave dtype=float64", "paths are compared to 1e-10");
  if (tb_config_real(config, "damping") != 0)
    return tb_fail(context, TB_USAGE, "option damping", "leave damping=0",
                   "a damped natural gradient depends on where damping is added, and the laws do not hold");
  s->options = (tb_method_options){ .lr = tb_config_real(config, "lr"),
                                    .momentum = tb_config_real(config, "momentum"),
                                    .beta1 = tb_config_real(config, "beta1"),
                                    .beta2 = tb_config_real(config, "beta2"),
                                    .epsilon = tb_config_real(config, "epsilon") };
  tb_status status = read_data(s);
  return status ? status : set_points(s);
}

void invariance_close(invariance *s) {
  tb_arena_free(s->arena);
  *s = (invariance){ 0 };
}

/* ---- running ---- */

typedef struct progress {
  char magic[8];
  uint64_t next; /* comparison to come */
} progress;

static const char magic[8] = "invar-1";
enum { COMPARISONS = INVARIANCE_METHODS * INVARIANCE_MODELS };

/* A checkpoint: how many comparisons are done, and what they found. */
static tb_status save(invariance *s, tb_run *run, uint64_t next, double *found, size_t count) {
  progress head = { .next = next };
  const tb_block_part parts[] = { { &head, sizeof head }, { found, count * sizeof *found } };
  size_t size;
  memcpy(head.magic, magic, sizeof magic);
  char *block = tb_block_join(s->context, 2, parts, &size);
  const tb_status status = block ? tb_run_checkpoint_save(run, block, size) : TB_NO_MEMORY;
  tb_release(s->context, block);
  return status;
}

static tb_status load(invariance *s, tb_run *run, uint64_t *next, double *found, size_t count) {
  progress head = { .next = 0 };
  const tb_block_part parts[] = { { &head, sizeof head }, { found, count * sizeof *found } };
  const void *block;
  size_t size;
  memcpy(head.magic, magic, sizeof magic);
  tb_status status = tb_run_checkpoint_load(run, &block, &size);
  if (!status && block)
    status = tb_block_split(s->context, block, size, sizeof magic, 2, parts);
  *next = head.next;
  return status;
}

static tb_status compare_all(invariance *s, tb_run *run, invariance_found *found, double *all, size_t count) {
  uint64_t next;
  tb_status status = load(s, run, &next, all, count);
  for (; !status && next < COMPARISONS; next++) {
    size_t method = next / INVARIANCE_MODELS, model = next % INVARIANCE_MODELS;
    const char *warning = NULL;
    tb_run_progress(run, (double)next / COMPARISONS, invariance_methods[method].method);
    if (tb_run_should_stop(run)) {
      status = save(s, run, next, all, count);
      return status ? status : tb_run_stop_status(run);
    }
    if (tb_run_checkpoint_due(run) && (status = save(s, run, next, all, count)))
      return status;
    if (model == 0 || !invariance_wanted(s, method) || !invariance_defined(method, model))
      continue; /* the linear model is the other side of every comparison */
    status = invariance_compare(s, method, model, found, &warning);
    if (!status && warning)
      status = tb_run_warn(run, "%s: a path ended early: %s", invariance_methods[method].method, warning);
  }
  return status;
}

/* The largest up to that point, over the largest output. */
static tb_status add_deviation(tb_metrics *metrics, const char *place, size_t method, size_t point, const double *apart,
                               const double *size) {
  const invariance_method *m = &invariance_methods[method];
  double most = NAN, scale = 1;
  char name[64];
  for (size_t j = 0; j <= point; j++) {
    most = isnan(most) || apart[j] > most ? apart[j] : most;
    scale = size[j] > scale ? size[j] : scale;
  }
  if (isnan(most))
    return TB_OK;
  snprintf(name, sizeof name, "deviation.%s.%s%s%s", place, m->method, m->fisher ? "." : "",
           m->fisher ? m->fisher : "");
  return tb_metrics_real(metrics, name, most / scale);
}

static tb_status fill(const invariance *s, const invariance_found *found, size_t point, tb_metrics *metrics) {
  tb_status status = tb_metrics_real(metrics, "t", s->times[point]);
  for (size_t m = 0; !status && m < INVARIANCE_METHODS; m++) {
    size_t at = m * s->points;
    status = add_deviation(metrics, "on_sample", m, point, found->on + at, found->size_on + at);
    if (!status)
      status = add_deviation(metrics, "off_sample", m, point, found->off + at, found->size_off + at);
  }
  return status;
}

static tb_status record(invariance *s, tb_run *run, const invariance_found *found) {
  tb_status status = TB_OK;
  for (size_t j = 0; !status && j < s->points; j++) {
    tb_metrics *metrics;
    if ((status = tb_metrics_new(s->context, &metrics)))
      return status;
    status = fill(s, found, j, metrics);
    if (!status)
      status = tb_run_snapshot(run, metrics);
    tb_metrics_free(metrics);
  }
  if (!status)
    status = fill(s, found, s->points - 1, tb_run_metrics(run));
  return status ? status : tb_metrics_word(tb_run_metrics(run), "stopped", "time");
}

static tb_status run(tb_run *run) {
  invariance s;
  tb_status status = invariance_open(&s, tb_run_context(run), tb_run_config(run));
  size_t each = INVARIANCE_METHODS * s.points;
  double *all = status ? NULL : tb_arena_allocate(s.arena, 4 * each, sizeof *all);
  if (!status && !all)
    status = TB_NO_MEMORY;
  for (size_t k = 0; !status && k < 4 * each; k++)
    all[k] = NAN;
  invariance_found found = { all, all + each, all + 2 * each, all + 3 * each };
  if (!status)
    status = compare_all(&s, run, &found, all, 4 * each);
  if (!status)
    status = record(&s, run, &found);
  invariance_close(&s);
  return status;
}

static tb_status check(tb_context *context, const tb_config *config) {
  invariance s;
  tb_status status = invariance_open(&s, context, config);
  invariance_close(&s);
  return status;
}

static tb_status estimate(tb_context *context, const tb_config *config, tb_estimate *out) {
  invariance s;
  tb_status status = invariance_open(&s, context, config);
  if (!status) {
    double n = (double)s.n, d = (double)s.d, h = (double)tb_config_integer(config, "width");
    double once = 6 * n * d * h + 4 * n * n * d * h + n * n * n, evaluations = 20000;
    *out = (tb_estimate){ .steps = NAN,
                          .flop = evaluations * once,
                          .seconds = evaluations * (once / 4e9 + 2e-5),
                          .memory = 8 * (8 * n * d + 8 * n * d * h),
                          .parameters = NAN };
  }
  invariance_close(&s);
  return status;
}

/* ---- claims ---- */

static const double INVARIANT = 1e-8;

static int arm_any(const tb_config *config) {
  return 0;
}

static tb_status read_two(const tb_outcome *outcome, const char *first, const char *second, bool least, double *value,
                          double *reference) {
  double a = tb_metrics_get(outcome->metrics, first), b = second ? tb_metrics_get(outcome->metrics, second) : NAN;
  *value = isnan(b) ? a : least ? fmin(a, b) : fmax(a, b);
  *reference = least ? 1e-3 : 0;
  if (isnan(*value))
    *reference = NAN;
  return TB_OK;
}

#define PLACES(name) "deviation.on_sample." name, "deviation.off_sample." name
#define INVARIANCE_CLAIM(id_, text, from, which, heading, judged, bound, least, ...)                                   \
  static tb_status measure_##id_(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {   \
    return read_two(outcome, __VA_ARGS__, least, value, reference);                                                    \
  }                                                                                                                    \
  static const tb_claim claim_##id_ = { .id = "invariance." #id_,                                                      \
                                        .statement = text,                                                             \
                                        .source = from,                                                                \
                                        .reference = which,                                                            \
                                        .group = heading,                                                              \
                                        .kind = judged,                                                                \
                                        .tolerance = bound,                                                            \
                                        .unit = "",                                                                    \
                                        .arm = arm_any,                                                                \
                                        .measure = measure_##id_ }

#define BESIDE "the linear model from the same start; value: largest relative difference of outputs"

INVARIANCE_CLAIM(predictor,
                 "Natural gradient flow in predictor space follows one trajectory in every parametrisation, on and off "
                 "the training points",
                 PAPER_NGD, BESIDE, ABSTRACT_INVARIANT, TB_CLAIM_AT_MOST, INVARIANT, false, PLACES("ngf.predictor"));
INVARIANCE_CLAIM(population, "So does natural gradient flow with the population's Fisher matrix", "derived", BESIDE,
                 ABSTRACT_INVARIANT, TB_CLAIM_AT_MOST, INVARIANT, false, PLACES("ngf.population"));
INVARIANCE_CLAIM(
    parameter_on,
    "With the pseudo-inverse in parameter space training outputs are invariant, those of a nonlinear network "
    "too",
    "derived", BESIDE " (mlp: the law from its own start)", BEYOND_FISHER, TB_CLAIM_AT_MOST, INVARIANT, false,
    "deviation.on_sample.ngf.parameter", NULL);
INVARIANCE_CLAIM(parameter_off, "But off the training points they depend on the parametrisation", "derived",
                 "a difference of 1e-3; value: largest relative difference of outputs at fresh inputs", BEYOND_FISHER,
                 TB_CLAIM_AT_LEAST, 0, true, "deviation.off_sample.ngf.parameter", NULL);
INVARIANCE_CLAIM(
    gradient,
    "Gradient flow and descent follow different trajectories in different parametrisations, on the training "
    "points already",
    PAPER_NGD, "a difference of 1e-3; value: the smaller of the two largest relative differences", ABSTRACT_BIAS,
    TB_CLAIM_AT_LEAST, 0, true, "deviation.on_sample.gf", "deviation.on_sample.gd");
INVARIANCE_CLAIM(adam, "Adam too depends on the parametrisation", "derived",
                 "a difference of 1e-3; value: the smaller of the largest relative differences on and off the training "
                 "points",
                 ABSTRACT_BIAS, TB_CLAIM_AT_LEAST, 0, true, PLACES("adam"));

const tb_claim *const invariance_claims[INVARIANCE_CLAIMS] = { &claim_predictor,    &claim_population,
                                                               &claim_parameter_on, &claim_parameter_off,
                                                               &claim_gradient,     &claim_adam };

const tb_study tb_study_invariance = {
  .name = "invariance",
  .laboratory = "natural-gradient",
  .summary = "does the parametrisation matter: one problem, six parametrisations, every method beside the linear model",
  .paper = "Depth Without the Magic: Inductive Bias of Natural Gradient Descent (Kerekes, Meszaros, Huszar 2021)",
  .details =
      "The linear predictor of one problem is written as itself, as diagonal nets of depth 2 and 3 and as dense nets "
      "of\n"
      "depth 2 and 3.  Each method runs in each, and beside it in the predictor itself from the same start; the "
      "metrics\n"
      "say how far outputs come apart at the training inputs and at 50 fresh ones.  A multilayer perceptron joins on\n"
      "the training inputs, against the law of natural gradient flow from its own start.",
  .tables = tables,
  .n_tables = COUNT(tables),
  .metrics = metrics_table,
  .n_metrics = COUNT(metrics_table),
  .claims = invariance_claims,
  .n_claims = INVARIANCE_CLAIMS,
  .check = check,
  .estimate = estimate,
  .run = run,
};

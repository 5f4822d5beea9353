/* Study `regression`: of all predictors that interpolate the targets, which one does training end on?
 *
 * Data: a sparse teacher or a user's CSV, more features than points.  Model: β itself or a diagonal net of any depth.
 * Method: gradient and natural gradient, descent and flow.  Measures: the predictor beside the interpolators of least
 * l1 and l2 norm.  (Woodworth et al. 2020; Amari et al. 2020; "Depth Without the Magic", 2021.) */
#include "study/regression.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "num/linear.h"
#include "num/reference.h"

#define ANY       1, 0
#define COUNT(a)  (sizeof(a) / sizeof *(a))
#define MOST_SIZE 2.5e8 /* numbers in X: 2 GB */

static const tb_option options[] = {
  { "data", TB_FILE, "sparse", "sparse|FILE.csv", ANY, false,
    "points of a sparse teacher drawn by seed, or a CSV with header x1,...,xd,y",
    "sparse: x ~ N(0, diag covariance), y = x·teacher + noise", NULL },
  { "d", TB_INTEGER, "40", NULL, 1, 1e6, false, "features of data=sparse", NULL, NULL },
  { "n", TB_INTEGER, "20", NULL, 1, 1e6, false, "points of data=sparse", NULL, NULL },
  { "k", TB_INTEGER, "3", NULL, 1, 1e6, false, "equal non-zero entries of the teacher of data=sparse", NULL, NULL },
  { "noise", TB_REAL, "0", NULL, 0, INFINITY, false, "standard deviation of the targets' noise in data=sparse", NULL,
    NULL },
  { "covariance", TB_REALS, "", NULL, ANY, false,
    "variances of the d features: of data=sparse, and of the inputs of fisher=population; unset: all 1", NULL, NULL },
  { "model", TB_CHOICE, "diagonal", "linear|diagonal", ANY, false,
    "linear: β itself; diagonal: β = u^L − v^L entry by entry", NULL, NULL },
  { "depth", TB_INTEGER, "2", NULL, 1, 64, false, "depth L of the diagonal net", NULL, NULL },
  { "init", TB_REAL, "0.1", NULL, 0, INFINITY, false, "start of the diagonal net, u = v = init; linear starts at 0",
    NULL, NULL },
  { "start", TB_REALS, "", NULL, ANY, false, "predictor b1,...,bd to start from; unset: 0", "β(0) = start", NULL },
};

static const tb_option_table problem_options = { "regression", options, COUNT(options) };
static const tb_option_table *const tables[] = { &tb_common_options, &tb_optimiser_options, &problem_options };

static const tb_metric metrics_table[] = {
  { "t", "", "time of a flow, steps of a discrete method", NULL, NULL },
  { "log_t", "", "natural logarithm of t", NULL, NULL },
  { "stopped", "", "what ended the run: time, steps, loss or blow_up", NULL, NULL },
  { "loss", "", "half the mean squared residual", "(1/2n) Σ (f(x_i) − y_i)²", NULL },
  { "log_loss", "", "natural logarithm of the loss", NULL, NULL },
  { "beta", "", "predictor", "f(x) = β·x", NULL },
  { "distance_to.l1", "", "β to the interpolator of least l1 norm, largest entry, relative to the latter's",
    "‖β − b‖_∞/‖b‖_∞", NULL },
  { "distance_to.l2", "", "the same to the interpolator of least l2 norm", NULL, NULL },
  { "test_error", "", "excess risk on new inputs (data=sparse)", "E (x·β − x·teacher)²", NULL },
  { "rank", "", "rank of the system that the natural gradient solved", NULL, NULL },
  { "full_rank", "", "what full rank would be", NULL, NULL },
  { "condition", "", "condition number of what the natural gradient inverted", NULL, NULL },
  { "reference.l1", "", "interpolator of least l1 norm (absent where nothing interpolates)",
    "min ‖b‖₁ s.t. x_i·b = y_i", NULL },
  { "reference.l2", "", "interpolator of least l2 norm, or the least-squares fit", "X⁺y", NULL },
  { "warnings", "", "what to know before trusting the run", NULL, NULL },
};
_Static_assert(COUNT(metrics_table) == REGRESSION_METRICS, "metrics are counted");

/* ---- data and what goes together ---- */

tb_status regression_data(tb_context *context, const tb_config *config, tb_regression **problem) {
  const double *covariance;
  size_t given = tb_config_reals(config, "covariance", &covariance);
  *problem = NULL;
  for (size_t j = 0; j < given; j++)
    if (!(covariance[j] > 0) || isinf(covariance[j]))
      return tb_fail(context, TB_USAGE, "option covariance", "give positive variances", "covariance= holds %g",
                     covariance[j]);
  if (!tb_config_is(config, "data", "sparse"))
    return tb_regression_read(context, tb_config_word(config, "data"), problem);
  size_t n = (size_t)tb_config_integer(config, "n"), d = (size_t)tb_config_integer(config, "d");
  size_t k = (size_t)tb_config_integer(config, "k");
  if (k > d)
    return tb_fail(context, TB_USAGE, "option k", "give k <= d", "k=%zu entries of a teacher in d=%zu dimensions", k,
                   d);
  if (given && given != d)
    return tb_fail(context, TB_USAGE, "option covariance", "give one variance a feature",
                   "covariance= has %zu numbers, the data have d=%zu features", given, d);
  if ((double)n * (double)d > MOST_SIZE)
    return tb_fail(context, TB_USAGE, "option n", "lower n= or d=", "n=%zu points of d=%zu features are too many", n,
                   d);
  return tb_regression_sparse(context, n, d, k, tb_config_real(config, "noise"), given ? covariance : NULL,
                              (uint64_t)tb_config_integer(config, "seed"), problem);
}

static tb_status check_lists(const regression *s) {
  static const char *const names[] = { "covariance", "start" };
  for (size_t i = 0; i < COUNT(names); i++) {
    const double *values;
    size_t given = tb_config_reals(s->config, names[i], &values);
    char place[32];
    snprintf(place, sizeof place, "option %s", names[i]);
    if (given && given != s->problem->d)
      return tb_fail(s->context, TB_USAGE, place, "give one number a feature",
                     "%s= has %zu numbers, the data have d=%zu features", names[i], given, s->problem->d);
    for (size_t j = 0; j < given; j++)
      if (!isfinite(values[j]))
        return tb_fail(s->context, TB_USAGE, place, "give finite numbers", "%s= holds %g", names[i], values[j]);
  }
  return TB_OK;
}

static tb_status regression_open(regression *s, tb_context *context, const tb_config *config) {
  *s = (regression){ .context = context, .config = config, .arena = tb_arena_new(context) };
  if (!s->arena)
    return TB_NO_MEMORY;
  tb_status status = tb_method_of_config(context, config, &s->method, &s->options);
  if (!status && s->method->flow && !tb_config_is(config, "dtype", "float64"))
    status = tb_fail(context, TB_USAGE, "option dtype", "leave dtype=float64",
                     "method=%s is integrated to 1e-10, which dtype=float32 does not have", s->method->name);
  if (!status && tb_config_is_set(config, "until_margin"))
    status = tb_fail(context, TB_USAGE, "option until_margin", "use until_loss=", "regression has no margins");
  if (!status)
    status = tb_schedule_read(context, s->arena, config, s->method,
                              !s->method->flow     ? 1000
                              : s->method->natural ? 20
                                                   : 1e6,
                              &s->schedule);
  if (!status)
    status = regression_data(context, config, &s->problem);
  if (!status)
    status = check_lists(s);
  if (status)
    return status;
  bool linear = tb_config_is(config, "model", "linear");
  s->model = tb_model_find(linear ? "linear" : "diagonal");
  s->shape = (tb_model_shape){ .inputs = s->problem->d, .depth = linear ? 1 : (int)tb_config_integer(config, "depth") };
  if ((status = tb_model_check(context, s->model, &s->shape)))
    return status;
  s->parameters = s->model->parameters(&s->shape);
  return TB_OK;
}

static void regression_close(regression *s) {
  tb_objective_free(s->objective);
  if (s->context)
    tb_regression_free(s->context, s->problem);
  tb_arena_free(s->arena);
  *s = (regression){ 0 };
}

/* ---- the start ---- */

static tb_status find_references(regression *s, tb_run *run) {
  const tb_regression *p = s->problem;
  tb_reference l1;
  s->l2 = tb_arena_allocate(s->arena, p->d, sizeof(double));
  if (!s->l2)
    return TB_NO_MEMORY;
  tb_status status = tb_least_squares(s->context, p->n, p->d, p->x, 1, p->y, 0, s->l2, NULL, NULL);
  if (!status)
    status = tb_interpolate_l1(s->context, p->n, p->d, p->x, p->y, &l1);
  if (status == TB_FAILED) {
    status = tb_run_warn(run, "no interpolator of least l1 norm: %s", tb_context_message(s->context));
    tb_context_clear(s->context);
    return status;
  }
  if (status)
    return status;
  if (l1.b && (s->l1 = tb_arena_allocate(s->arena, p->d, sizeof(double))))
    memcpy(s->l1, l1.b, p->d * sizeof(double));
  tb_reference_free(s->context, &l1);
  return tb_context_status(s->context);
}

static tb_status regression_start(regression *s, tb_run *run) {
  const tb_regression *p = s->problem;
  const double *start, *covariance;
  bool given = tb_config_reals(s->config, "start", &start) > 0;
  bool weighted = tb_config_reals(s->config, "covariance", &covariance) > 0;
  s->theta = tb_arena_allocate(s->arena, s->parameters, sizeof(double));
  s->beta = tb_arena_allocate(s->arena, p->d, sizeof(double));
  s->f = tb_arena_allocate(s->arena, p->n, sizeof(double));
  if (!s->theta || !s->beta || !s->f)
    return TB_NO_MEMORY;
  tb_status status = s->model->initialise(s->context, &s->shape, tb_config_real(s->config, "init"),
                                          given ? start : NULL, (tb_key){ 0 }, s->theta);
  if (!status)
    status = tb_objective_new(s->context, s->model, &s->shape, TB_LOSS_SQUARE,
                              tb_config_is(s->config, "dtype", "float32") ? TB_FLOAT32 : TB_FLOAT64, p->n, p->x, p->y,
                              &s->objective);
  if (!status && weighted)
    status = tb_objective_set_covariance(s->objective, covariance);
  return status ? status : find_references(s, run);
}

/* ---- measures ---- */

static tb_status look(void *study, const double *theta, double *log_loss, double *margin) {
  regression *s = study;
  *margin = -INFINITY;
  tb_status status = tb_objective_outputs(s->objective, theta, s->f);
  for (size_t i = 0; !status && i < s->problem->n; i++)
    if (!isfinite(s->f[i]))
      return tb_fail(s->context, TB_FAILED, NULL,
                     s->method->flow ? NULL : "lower lr=", "the model's outputs are not finite any more");
  *log_loss = status ? NAN : tb_objective_log_loss(s->objective, s->f);
  return status;
}

static double distance(size_t d, const double *beta, const double *b) {
  double apart = 0, size = 0;
  for (size_t j = 0; j < d; j++) {
    apart = fmax(apart, fabs(beta[j] - b[j]));
    size = fmax(size, fabs(b[j]));
  }
  return apart / size;
}

static double excess_risk(const tb_regression *p, const double *beta) {
  double sum = 0;
  for (size_t j = 0; j < p->d; j++)
    sum += (p->covariance ? p->covariance[j] : 1) * (beta[j] - p->teacher[j]) * (beta[j] - p->teacher[j]);
  return sum;
}

static tb_status measure(void *study, const tb_path_state *state, tb_metrics *metrics) {
  regression *s = study;
  const tb_regression *p = s->problem;
  double log_loss, margin;
  tb_status status = look(s, state->theta, &log_loss, &margin);
  if (status || (status = tb_objective_predictor(s->objective, state->theta, s->beta, NULL)) ||
      (status = tb_metrics_real(metrics, "t", state->t)) ||
      (status = tb_metrics_real(metrics, "log_t", state->log_t)) ||
      (status = tb_metrics_real(metrics, "loss", exp(log_loss))) ||
      (status = tb_metrics_real(metrics, "log_loss", log_loss)) ||
      (status = tb_metrics_vector(metrics, "beta", p->d, s->beta)) ||
      (status = tb_metrics_real(metrics, "distance_to.l2", distance(p->d, s->beta, s->l2))) ||
      (status = tb_metrics_vector(metrics, "reference.l2", p->d, s->l2)))
    return status;
  if (s->l1 && ((status = tb_metrics_real(metrics, "distance_to.l1", distance(p->d, s->beta, s->l1))) ||
                (status = tb_metrics_vector(metrics, "reference.l1", p->d, s->l1))))
    return status;
  if (p->teacher && (status = tb_metrics_real(metrics, "test_error", excess_risk(p, s->beta))))
    return status;
  if (state->report.full_rank == 0)
    return TB_OK;
  if ((status = tb_metrics_integer(metrics, "rank", (int64_t)state->report.rank)) ||
      (status = tb_metrics_integer(metrics, "full_rank", (int64_t)state->report.full_rank)))
    return status;
  return tb_metrics_real(metrics, "condition", state->report.condition);
}

/* ---- the record's functions ---- */

static tb_status check(tb_context *context, const tb_config *config) {
  regression s;
  tb_status status = regression_open(&s, context, config);
  regression_close(&s);
  return status;
}

static tb_status estimate(tb_context *context, const tb_config *config, tb_estimate *out) {
  regression s;
  tb_status status = regression_open(&s, context, config);
  if (!status) {
    double n = (double)s.problem->n, d = (double)s.problem->d, p = (double)s.parameters, m = n < d ? n : d;
    double evaluations = s.method->flow ? s.method->natural ? 600 : 3000 : s.schedule.end;
    evaluations = isinf(evaluations) ? 1e5 : evaluations;
    double once = 6 * n * d + (s.method->natural ? 2 * n * m * m + m * m * m : 0);
    *out = (tb_estimate){ .steps = s.method->flow ? NAN : evaluations,
                          .flop = evaluations * once,
                          .seconds = evaluations * (once / 4e9 + 1e-5),
                          .memory = 8 * (6 * n * d + 12 * p),
                          .parameters = p };
  }
  regression_close(&s);
  return status;
}

static tb_status run(tb_run *run) {
  regression s;
  tb_context *context = tb_run_context(run);
  tb_status status = regression_open(&s, context, tb_run_config(run));
  if (!status)
    status = regression_start(&s, run);
  if (!status)
    status = tb_path_run(&(tb_path){ .context = context,
                                     .arena = s.arena,
                                     .run = run,
                                     .method = s.method,
                                     .options = s.options,
                                     .schedule = &s.schedule,
                                     .objective = s.objective,
                                     .theta = s.theta,
                                     .study = &s,
                                     .look = look,
                                     .measure = measure });
  regression_close(&s);
  return status;
}

const tb_study tb_study_regression = {
  .name = "regression",
  .laboratory = "natural-gradient",
  .summary =
      "which interpolating predictor does training end on: linear or diagonal nets, gradient or natural gradient",
  .paper = "Depth Without the Magic: Inductive Bias of Natural Gradient Descent (Kerekes, Meszaros, Huszar 2021)",
  .details =
      "With more features than points many predictors interpolate the targets.  Gradient flow of a diagonal net ends "
      "on\n"
      "the one of least l2 norm from a large start and of least l1 norm from a small one; between them a function of\n"
      "the start decides.  Natural gradient flow in predictor space ends on the least l2 norm at every depth, over "
      "the\n"
      "population on the least norm in the inputs' covariance, and in parameter space where gradient flow ends.",
  .tables = tables,
  .n_tables = COUNT(tables),
  .metrics = metrics_table,
  .n_metrics = REGRESSION_METRICS,
  .claims = regression_claims,
  .n_claims = REGRESSION_CLAIMS,
  .check = check,
  .estimate = estimate,
  .run = run,
};

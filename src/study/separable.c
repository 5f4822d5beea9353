/* Study `separable`: which of all separating predictors does training end on?
 *
 * Data: points of a sparse teacher or a user's CSV.  Model: predictors β, or networks that are linear in x but not in
 * their parameters, or a multilayer perceptron.  Method: gradient descent and flow, natural gradient descent and flow
 * with the Fisher matrix named.  Measures: angles of β and of its velocity to the exact limits of convex programming.
 * ("Depth Without the Magic: Inductive Bias of Natural Gradient Descent", Kerekes, Meszaros, Huszar 2021.) */
#include "study/separable.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#define ANY       1, 0
#define COUNT(a)  (sizeof(a) / sizeof *(a))
#define MOST_SIZE 2.5e8 /* numbers in X: 2 GB */

static const tb_option options[] = {
  { "data", TB_FILE, "sparse", "sparse|FILE.csv", ANY, false,
    "points of a sparse teacher drawn by seed, or a CSV with header x1,...,xd,y and labels -1 and 1",
    "sparse: x ~ N(0, I), y = sign(x·teacher)", NULL },
  { "d", TB_INTEGER, "50", NULL, 1, 1e6, false, "features of data=sparse", NULL, NULL },
  { "n", TB_INTEGER, "20", NULL, 1, 1e6, false, "points of data=sparse", NULL, NULL },
  { "k", TB_INTEGER, "1", NULL, 1, 1e6, false,
    "equal non-zero entries of the teacher of data=sparse, at places drawn "
    "by seed",
    NULL, NULL },
  { "bias", TB_BOOLEAN, "false", NULL, ANY, false, "append a feature of ones", "x ← (x, 1)", NULL },
  { "loss", TB_CHOICE, "logistic", "logistic|softmax", ANY, false, "the loss, a mean over the points",
    "L = (1/n) Σ log(1 + exp(−y_i f(x_i)))", NULL },
  { "model", TB_CHOICE, "linear", "linear|diagonal|dense|conv|mlp", ANY, false,
    "linear: β itself; diagonal: β = u^L − v^L entry by entry; dense: β = W_1ᵀ…W_Lᵀ; mlp: nonlinear", NULL, NULL },
  { "depth", TB_INTEGER, "2", NULL, 1, 64, false, "weight layers L (linear has one whatever this says)", NULL, NULL },
  { "width", TB_INTEGER, "10", NULL, 1, 1e6, false, "hidden units of each layer of dense and mlp", NULL, NULL },
  { "activation", TB_CHOICE, "tanh", "tanh|softplus|relu|gelu", ANY, false, "nonlinearity of mlp", NULL, NULL },
  { "init", TB_REAL, "0.1", NULL, 0, INFINITY, false,
    "scale of the start: diagonal u = v = init, dense and mlp entries N(0, init²); linear starts at 0", NULL, NULL },
  { "start", TB_REALS, "", NULL, ANY, false,
    "predictor b1,...,bd to start from (linear, diagonal); unset: what init= gives", "β(0) = start", NULL },
};

const tb_option_table separable_options = { "separable classification", options, COUNT(options) };
static const tb_option_table *const tables[] = { &tb_common_options, &tb_optimiser_options, &separable_options };

/* ---- data ---- */

tb_status separable_data(tb_context *context, const tb_config *config, tb_classification **problem) {
  bool bias = tb_config_boolean(config, "bias");
  *problem = NULL;
  if (!tb_config_is(config, "data", "sparse"))
    return tb_classification_read(context, tb_config_word(config, "data"), bias, problem);
  size_t n = (size_t)tb_config_integer(config, "n"), d = (size_t)tb_config_integer(config, "d");
  size_t k = (size_t)tb_config_integer(config, "k");
  if (k > d)
    return tb_fail(context, TB_USAGE, "option k", "give k <= d", "k=%zu entries of a teacher in d=%zu dimensions", k,
                   d);
  if ((double)n * (double)d > MOST_SIZE)
    return tb_fail(context, TB_USAGE, "option n",
                   "lower n= or d=", "n=%zu points of d=%zu features are %.3g numbers, more than %.3g", n, d,
                   (double)n * (double)d, MOST_SIZE);
  return tb_classification_sparse(context, n, d, k, bias, (uint64_t)tb_config_integer(config, "seed"), problem);
}

/* ---- what goes together ---- */

static tb_status choose_model(separable *s) {
  static const char *const words[] = { "tanh", "softplus", "relu", "gelu" };
  static const tb_unary activations[] = { TB_TANH, TB_SOFTPLUS, TB_RELU, TB_GELU };
  const char *name = tb_config_word(s->config, "model");
  s->model = tb_model_find(name);
  if (!s->model)
    return tb_fail(s->context, TB_USAGE, "option model", "available: linear, diagonal, dense, mlp",
                   "model=%s is not available in this version", name);
  s->has_predictor = s->model->predictor != NULL;
  s->shape = (tb_model_shape){ .inputs = s->d,
                               .depth = strcmp(name, "linear") == 0 ? 1 : (int)tb_config_integer(s->config, "depth"),
                               .width = (size_t)tb_config_integer(s->config, "width") };
  for (size_t i = 0; i < COUNT(words); i++)
    if (tb_config_is(s->config, "activation", words[i]))
      s->shape.activation = activations[i];
  if (!s->has_predictor && s->shape.depth < 2)
    return tb_fail(s->context, TB_USAGE, "option depth", "give depth=2 or more",
                   "model=%s with depth=%d has no hidden layer", name, s->shape.depth);
  tb_status status = tb_model_check(s->context, s->model, &s->shape);
  s->p = status ? 0 : s->model->parameters(&s->shape);
  return status;
}

static tb_status check_start(separable *s) {
  const double *start;
  size_t count = tb_config_reals(s->config, "start", &start);
  if (count == 0)
    return TB_OK;
  const char *model = tb_config_word(s->config, "model");
  if (!s->model->can_start || !s->model->can_start(&s->shape))
    return tb_fail(s->context, TB_USAGE, "option start", "leave start= out, or take model=linear or model=diagonal",
                   "model=%s cannot start from a given predictor", model);
  if (count != s->d)
    return tb_fail(s->context, TB_USAGE, "option start", "give one number a feature (with bias=true also for the ones)",
                   "start= has %zu numbers, the data have d=%zu features", count, s->d);
  for (size_t i = 0; i < count; i++)
    if (!isfinite(start[i]))
      return tb_fail(s->context, TB_USAGE, "option start", "give finite numbers", "start= holds %g", start[i]);
  return TB_OK;
}

static tb_status check_method(separable *s) {
  const char *method = s->method->name, *model = tb_config_word(s->config, "model");
  if (s->method->flow && !tb_config_is(s->config, "dtype", "float64"))
    return tb_fail(s->context, TB_USAGE, "option dtype", "leave dtype=float64",
                   "method=%s is integrated to 1e-10, which dtype=float32 does not have", method);
  if (s->method->natural && !s->has_predictor && s->options.fisher == TB_FISHER_PREDICTOR)
    return tb_fail(s->context, TB_USAGE, "option fisher",
                   "give fisher=parameter: its claims are about the training points",
                   "fisher=predictor with model=%s: this model has no predictor space", model);
  if (s->method->natural && !s->has_predictor && s->options.fisher == TB_FISHER_POPULATION)
    return tb_fail(s->context, TB_USAGE, "option fisher", "give fisher=parameter",
                   "fisher=population needs a linear predictor, model=%s has none", model);
  return TB_OK;
}

tb_status separable_open(separable *s, tb_context *context, const tb_config *config) {
  *s = (separable){ .context = context, .config = config, .arena = tb_arena_new(context) };
  if (!s->arena)
    return TB_NO_MEMORY;
  if (tb_config_is(config, "loss", "softmax"))
    return tb_fail(context, TB_USAGE, "option loss", "available: logistic",
                   "loss=softmax is not available in this version");
  tb_status status = tb_method_of_config(context, config, &s->method, &s->options);
  if (!status)
    status = tb_schedule_read(context, s->arena, config, s->method,
                              !s->method->flow     ? 1000
                              : s->method->natural ? 20
                                                   : 1e6,
                              &s->schedule);
  if (!status)
    status = separable_data(context, config, &s->problem);
  if (status)
    return status;
  s->n = s->problem->n;
  s->d = s->problem->d;
  if ((status = choose_model(s)) || (status = check_start(s)))
    return status;
  return check_method(s);
}

void separable_close(separable *s) {
  tb_limits_free(s->limits);
  tb_objective_free(s->objective);
  tb_objective_free(s->fresh);
  if (s->context)
    tb_classification_free(s->context, s->problem);
  tb_arena_free(s->arena);
  *s = (separable){ 0 };
}

/* ---- the start ---- */

static tb_status make_fresh_points(separable *s) {
  enum { POINTS = 1000 };
  uint64_t seed = (uint64_t)tb_config_integer(s->config, "seed");
  double *x = tb_allocate(s->context, POINTS * s->d, sizeof *x), *y = tb_allocate(s->context, POINTS, sizeof *y);
  tb_status status = TB_NO_MEMORY;
  if (x && y) {
    bool bias = tb_config_boolean(s->config, "bias");
    for (size_t i = 0; i < POINTS; i++) {
      double *row = x + i * s->d;
      tb_random_normal((tb_key){ seed, 0, tb_use("separable fresh inputs") }, i * s->d, s->d, row);
      if (bias)
        row[s->d - 1] = 1;
      double score = 0;
      for (size_t j = 0; j < s->d; j++)
        score = fma(row[j], s->problem->teacher[j], score);
      y[i] = score < 0 ? -1 : 1;
    }
    status = tb_objective_new(s->context, s->model, &s->shape, TB_LOSS_LOGISTIC, TB_FLOAT64, POINTS, x, y, &s->fresh);
  }
  tb_release(s->context, x);
  tb_release(s->context, y);
  return status;
}

tb_status separable_start(separable *s) {
  tb_dtype dtype = tb_config_is(s->config, "dtype", "float32") ? TB_FLOAT32 : TB_FLOAT64;
  s->theta = tb_arena_allocate(s->arena, s->p, sizeof(double));
  s->f = tb_arena_allocate(s->arena, s->n, sizeof(double));
  s->margins = tb_arena_allocate(s->arena, s->n, sizeof(double));
  s->start_margins = tb_arena_allocate(s->arena, s->n, sizeof(double));
  s->beta = tb_arena_allocate(s->arena, s->d, sizeof(double));
  s->descent = tb_arena_allocate(s->arena, s->d, sizeof(double));
  if (!s->theta || !s->f || !s->margins || !s->start_margins || !s->beta || !s->descent)
    return TB_NO_MEMORY;
  const double *start;
  size_t given = tb_config_reals(s->config, "start", &start);
  tb_key key = { (uint64_t)tb_config_integer(s->config, "seed"), 0, tb_use("separable weights") };
  tb_status status = s->model->initialise(s->context, &s->shape, tb_config_real(s->config, "init"),
                                          given ? start : NULL, key, s->theta);
  if (!status)
    status = tb_objective_new(s->context, s->model, &s->shape, TB_LOSS_LOGISTIC, dtype, s->n, s->problem->x,
                              s->problem->y, &s->objective);
  if (status || (!s->has_predictor && s->problem->teacher && (status = make_fresh_points(s))))
    return status;
  double log_loss, margin;
  if ((status = separable_look(s, s->theta, &log_loss, &margin)))
    return status;
  memcpy(s->start_margins, s->margins, s->n * sizeof(double));
  if (!s->has_predictor)
    return TB_OK;
  if ((status = tb_objective_predictor(s->objective, s->theta, s->beta, NULL)))
    return status;
  return tb_limits_new(s->context, s->problem, s->beta, s->margins, &s->limits);
}

tb_status separable_require(separable *s, tb_limits *limits) {
  const tb_classification *p = s->problem;
  const char *place = p->path ? p->path : "option data";
  char name[32], other[32];
  if (p->opposed != p->opposed_to) {
    tb_classification_row_name(p, p->opposed, name);
    tb_classification_row_name(p, p->opposed_to, other);
    return tb_fail(s->context, TB_BAD_DATA, place, "leave until_margin= out, or give other data",
                   "not separable: %s and %s have the same features and opposite labels", name, other);
  }
  if (!s->has_predictor)
    return TB_OK;
  bool separated;
  const double *certificate;
  tb_status status = tb_limits_separable(limits, &separated, &certificate);
  if (status || separated)
    return status;
  tb_text text = tb_text_new(s->context);
  status = tb_certificate_text(s->context, p, certificate, &text);
  if (!status)
    status = tb_fail(s->context, TB_BAD_DATA, place, "leave until_margin= out, or give other data (bias=true may help)",
                     "not separable, so no margin can be reached: %s", text.data);
  tb_text_free(&text);
  return status;
}

/* ---- the record's functions ---- */

tb_status separable_check(tb_context *context, const tb_config *config) {
  separable s;
  tb_limits *limits = NULL;
  tb_status status = separable_open(&s, context, config);
  if (!status && s.schedule.margin < INFINITY) {
    double *zero = tb_arena_allocate(s.arena, s.n + s.d, sizeof *zero);
    status = zero ? tb_limits_new(context, s.problem, zero, zero + s.d, &limits) : TB_NO_MEMORY;
    if (!status)
      status = separable_require(&s, limits);
  }
  tb_limits_free(limits);
  separable_close(&s);
  return status;
}

/* Evaluations of a flow as measured on the shipped studies; a gradient is 3 passes over the model's n·p products, a
 * natural gradient also a kernel (n²p) and a factorisation. */
tb_status separable_estimate(tb_context *context, const tb_config *config, tb_estimate *out) {
  separable s;
  tb_status status = separable_open(&s, context, config);
  if (!status) {
    double n = (double)s.n, d = (double)s.d, p = (double)s.p, m = n < d ? n : d;
    double evaluations = s.schedule.end;
    if (s.method->flow)
      evaluations = s.method->natural ? 600 : s.p > s.d ? 6000 : 1500;
    else if (isinf(evaluations))
      evaluations = NAN;
    double once = 6 * n * p + (s.method->natural ? n * m * m * 2 + m * m * m + n * p * (s.has_predictor ? 2 : n) : 0);
    *out = (tb_estimate){ .steps = s.method->flow ? NAN : evaluations,
                          .flop = evaluations * once,
                          .seconds = evaluations * (once / 4e9 + 1e-5),
                          .memory = 8 * (8 * n * d + 12 * p + (s.method->natural ? 4 * m * m + n * p : 0)),
                          .parameters = p };
  }
  separable_close(&s);
  return status;
}

static tb_status look(void *s, const double *theta, double *log_loss, double *margin) {
  return separable_look(s, theta, log_loss, margin);
}

static tb_status measure(void *s, const tb_path_state *state, tb_metrics *metrics) {
  return separable_measure(s, state, metrics);
}

tb_status separable_run(tb_run *run) {
  separable s;
  tb_context *context = tb_run_context(run);
  tb_status status = separable_open(&s, context, tb_run_config(run));
  if (!status)
    status = separable_start(&s);
  if (!status && s.schedule.margin < INFINITY)
    status = separable_require(&s, s.limits);
  if (!status && s.problem->duplicates)
    status = tb_run_warn(run, "%zu of %zu rows repeat an earlier row; they count as often as they stand there",
                         s.problem->duplicates, s.n);
  bool separated = true;
  if (!status && s.limits)
    status = tb_limits_separable(s.limits, &separated, NULL);
  if (!status && !separated && isinf(s.schedule.end)) {
    s.schedule.end = !s.method->flow ? 1e6 : s.method->natural ? 1e3 : 1e6;
    status = tb_run_warn(
        run, "the data are not separable and until_loss may lie below the least loss: the run ends at %s=%g",
        s.method->flow ? "time" : "steps", s.schedule.end);
  }
  if (!status)
    status = tb_path_run(&(tb_path){ .context = context,
                                     .arena = s.arena,
                                     .run = run,
                                     .method = s.method,
                                     .options = s.options,
                                     .schedule = &s.schedule,
                                     .objective = s.objective,
                                     .theta = s.theta,
                                     .d = s.has_predictor ? s.d : 0,
                                     .study = &s,
                                     .look = look,
                                     .measure = measure });
  for (int i = 0; !status && s.limits && i < TB_LIMITS; i++)
    if (*tb_limits_trouble(s.limits, (tb_limit)i))
      status = tb_run_warn(run, "%s", tb_limits_trouble(s.limits, (tb_limit)i));
  separable_close(&s);
  return status;
}

const tb_study tb_study_separable = {
  .name = "separable",
  .laboratory = "natural-gradient",
  .summary = "which separating predictor does training end on: gradient or natural gradient, linear or deep",
  .paper = "Depth Without the Magic: Inductive Bias of Natural Gradient Descent (Kerekes, Meszaros, Huszar 2021)",
  .details =
      "Points x_i in R^d with labels +1 and -1 are separated by many predictors.  Gradient descent ends on one that "
      "its\n"
      "parametrisation prefers: the l2 maximum-margin predictor for linear and dense networks, the sparse l1 one for\n"
      "diagonal networks of depth two.  Natural gradient flow does not see the parametrisation: every training "
      "point's\n"
      "error probability falls as exp(-t), and it ends on X+ y (n <= d) or on a vertex of a linear programme (n > d),\n"
      "unless its Fisher matrix is inverted in parameter space, taken over the population, or taken from the observed\n"
      "labels, which are other methods with other ends.\n"
      "Every snapshot holds angles (degrees) of beta and of its velocity to those limits; the velocity converges much\n"
      "faster than the position.",
  .tables = tables,
  .n_tables = COUNT(tables),
  .metrics = separable_metrics,
  .n_metrics = SEPARABLE_METRICS,
  .claims = separable_claims,
  .n_claims = SEPARABLE_CLAIMS,
  .check = separable_check,
  .estimate = separable_estimate,
  .run = separable_run,
};

/* Study `completion`: of all matrices that agree with what was measured, which one does training end on?
 *
 * Data: a low-rank matrix seen through some entries or random measurements, a user's CSV, ratings.  Model: a product of
 * depth factors.  Method: gradient descent and flow, natural gradient descent and flow with the Fisher matrix named.
 * Measures: errors on all and on unobserved entries, the spectrum, what the flow conserves; beside them the matrix of
 * least nuclear norm.  ("Depth Without the Magic", 2021; Arora, Cohen, Hu and Luo 2019; Razin and Cohen 2020.) */
#include "study/completion.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "num/linear.h"
#include "num/nuclear.h"

#define ANY       1, 0
#define COUNT(a)  (sizeof(a) / sizeof *(a))
#define MOST_SIZE 2.5e8 /* entries, or numbers in all measurement matrices: 2 GB */

static const tb_option options[] = {
  { "data", TB_FILE, "low_rank", "low_rank|FILE.csv", ANY, false,
    "a low-rank matrix drawn by seed, or a CSV: of entries with header i,j,value (zero-based), of measurements with "
    "header a00,a01,...,y",
    "low_rank: U Vᵀ scaled to root mean square 1, U and V normal with rank= columns", "Arora et al. 2019" },
  { "format", TB_CHOICE, "csv", "csv|movielens", ANY, false,
    "of the file: csv, or MovieLens' u.data (user, item, rating, timestamp by tabs; one-based; users are rows)", NULL,
    NULL },
  { "train", TB_INTEGER, "", NULL, 1, 1e9, false,
    "ratings that are observed, the first in the file (format=movielens); the others are the truth; unset: all", NULL,
    NULL },
  { "truth", TB_FILE, "", NULL, ANY, false, "CSV of entries (i,j,value) to compare with", NULL, NULL },
  { "measurement", TB_CHOICE, "entries", "entries|sensing", ANY, false,
    "what is known: entries, or inner products with measurement matrices (low_rank: entries N(0, 1/(rows·cols)))",
    "f_k = ⟨A_k, W⟩", NULL },
  { "rows", TB_INTEGER, "", NULL, 1, 1e6, false, "rows of the matrix; unset: 20 (low_rank), what the file needs", NULL,
    NULL },
  { "cols", TB_INTEGER, "", NULL, 1, 1e6, false, "columns of the matrix; unset: 20 (low_rank), what the file needs",
    NULL, NULL },
  { "rank", TB_INTEGER, "2", NULL, 1, 1e6, false, "rank of data=low_rank", NULL, NULL },
  { "observed", TB_INTEGER, "200", NULL, 1, 1e9, false,
    "entries observed (drawn without replacement), or measurements made, of data=low_rank", NULL, NULL },
  { "depth", TB_INTEGER, "2", NULL, 1, 16, false, "factors", "W = W_depth … W_1", NULL },
  { "width", TB_INTEGER, "", NULL, 1, 1e6, false, "inner size of the product; unset: min(rows, cols), no bottleneck",
    NULL, NULL },
  { "init", TB_REAL, "1e-3", NULL, 0, INFINITY, false, "scale of the product at the start",
    "identity, orthogonal: factors init^{1/depth}·Q; gaussian: entries of sd init^{1/depth}/√width", NULL },
  { "init_kind", TB_CHOICE, "gaussian", "identity|gaussian|orthogonal", ANY, false, "factors at the start", NULL,
    NULL },
  { "reference", TB_CHOICE, "auto", "auto|true|false", ANY, false,
    "also find the matrix of least nuclear norm that agrees with the measurements; auto: up to 40,000 entries",
    "min ‖W‖_* s.t. ⟨A_k, W⟩ = y_k", "Candès and Recht 2009" },
};

static const tb_option_table problem_options = { "matrix completion", options, COUNT(options) };
static const tb_option_table *const tables[] = { &tb_common_options, &tb_optimiser_options, &problem_options };

/* ---- data ---- */

static size_t size_or(const tb_config *config, const char *name, size_t fallback) {
  return tb_config_is_set(config, name) ? (size_t)tb_config_integer(config, name) : fallback;
}

static tb_status draw_data(tb_context *context, const tb_config *config, bool sensing, tb_partial_matrix **problem) {
  size_t rows = size_or(config, "rows", 20), cols = size_or(config, "cols", 20);
  size_t rank = (size_t)tb_config_integer(config, "rank"), observed = (size_t)tb_config_integer(config, "observed");
  double all = (double)rows * (double)cols;
  if (all > MOST_SIZE || (sensing && all * (double)observed > MOST_SIZE))
    return tb_fail(context, TB_USAGE, "option rows", "lower rows=, cols= or observed=",
                   "a %zu×%zu matrix and its measurements are more than %.3g numbers", rows, cols, MOST_SIZE);
  if (rank > rows || rank > cols)
    return tb_fail(context, TB_USAGE, "option rank", "give rank <= min(rows, cols)", "rank=%zu of a %zu×%zu matrix",
                   rank, rows, cols);
  if (!sensing && (double)observed > all)
    return tb_fail(context, TB_USAGE, "option observed", "give observed <= rows·cols",
                   "observed=%zu entries of a %zu×%zu matrix", observed, rows, cols);
  return tb_partial_matrix_low_rank(context, rows, cols, rank, observed, sensing,
                                    (uint64_t)tb_config_integer(config, "seed"), problem);
}

static tb_status refuse_with(tb_context *context, const tb_config *config, const char *name, const char *why,
                             const char *hint) {
  char place[64];
  if (tb_config_is_default(config, name))
    return TB_OK;
  snprintf(place, sizeof place, "option %s", name);
  return tb_fail(context, TB_USAGE, place, hint, "%s= %s", name, why);
}

tb_status completion_data(tb_context *context, const tb_config *config, tb_partial_matrix **problem) {
  const char *path = tb_config_word(config, "data"), *truth = tb_config_word(config, "truth");
  bool sensing = tb_config_is(config, "measurement", "sensing"), drawn = strcmp(path, "low_rank") == 0;
  bool movielens = tb_config_is(config, "format", "movielens");
  tb_status status = TB_OK;
  *problem = NULL;
  if (drawn && ((status = refuse_with(context, config, "truth", "is for a file's data, low_rank knows its own",
                                      "leave it out, or give data=FILE.csv")) ||
                (status = refuse_with(context, config, "format", "is of a file", "leave it out, or give data=FILE"))))
    return status;
  if (!movielens &&
      (status = refuse_with(context, config, "train", "parts the ratings of format=movielens", "leave it out")))
    return status;
  if (drawn)
    return draw_data(context, config, sensing, problem);
  size_t rows = size_or(config, "rows", 0), cols = size_or(config, "cols", 0);
  if (movielens) {
    if ((status = refuse_with(context, config, "measurement", "is entries where format=movielens", "leave it out")) ||
        (status = refuse_with(context, config, "truth", "is not for format=movielens, where train= parts the ratings",
                              "leave it out")))
      return status;
    return tb_partial_matrix_read_movielens(context, path, rows, cols, size_or(config, "train", 0), problem);
  }
  return (sensing ? tb_partial_matrix_read_sensing : tb_partial_matrix_read)(context, path, rows, cols, truth, problem);
}

/* ---- what goes together ---- */

static tb_status check_method(completion *s) {
  if (!tb_config_is(s->config, "dtype", "float64"))
    return tb_fail(s->context, TB_USAGE, "option dtype", "leave dtype=float64",
                   "completion computes in float64, dtype=float32 is not available");
  if (tb_config_is_set(s->config, "until_margin"))
    return tb_fail(s->context, TB_USAGE, "option until_margin",
                   "use until_loss=", "a matrix that is fitted to numbers has no margins");
  if (s->method->natural && s->options.fisher == TB_FISHER_POPULATION && s->problem->dense)
    return tb_fail(s->context, TB_USAGE, "option fisher", "give fisher=predictor or fisher=parameter",
                   "fisher=population takes every index pair, and measurement=sensing does not observe pairs");
  return TB_OK;
}

tb_status completion_open(completion *s, tb_context *context, const tb_config *config) {
  *s = (completion){ .context = context, .config = config, .arena = tb_arena_new(context) };
  if (!s->arena)
    return TB_NO_MEMORY;
  tb_status status = tb_method_of_config(context, config, &s->method, &s->options);
  if (!status)
    status = tb_schedule_read(context, s->arena, config, s->method,
                              !s->method->flow     ? 1000
                              : s->method->natural ? 20
                                                   : 1e6,
                              &s->schedule);
  if (!status)
    status = completion_data(context, config, &s->problem);
  if (status)
    return status;
  size_t rows = s->problem->rows, cols = s->problem->cols;
  s->size = rows * cols;
  s->shape = (tb_factorisation_shape){ .rows = rows,
                                       .cols = cols,
                                       .depth = (size_t)tb_config_integer(config, "depth"),
                                       .width = size_or(config, "width", rows < cols ? rows : cols) };
  if ((status = tb_factorisation_check(context, &s->shape)))
    return status;
  s->parameters = tb_factorisation_parameters(&s->shape);
  return check_method(s);
}

void completion_close(completion *s) {
  tb_objective_free(s->objective);
  if (s->context)
    tb_partial_matrix_free(s->context, s->problem);
  tb_arena_free(s->arena);
  *s = (completion){ 0 };
}

/* ---- the start ---- */

/* q[rows×cols] ← the nearest matrix with orthonormal rows or columns: uniformly distributed when q was normal. */
static tb_status orthogonalise(tb_context *context, size_t rows, size_t cols, double *q) {
  size_t least = rows < cols ? rows : cols;
  double *u = tb_allocate(context, rows * least + least * cols + least, sizeof *u);
  if (!u)
    return TB_NO_MEMORY;
  double *vt = u + rows * least;
  tb_status status = tb_singular_values(context, rows, cols, q, vt + least * cols, u, vt);
  if (!status)
    tb_gemm(false, false, rows, cols, least, 1, u, vt, 0, q);
  tb_release(context, u);
  return status;
}

static tb_status start_factors(completion *s) {
  double scale = pow(tb_config_real(s->config, "init"), 1 / (double)s->shape.depth);
  tb_key key = { (uint64_t)tb_config_integer(s->config, "seed"), 0, tb_use("completion factors") };
  char name[32];
  size_t rows, cols, offset = 0;
  tb_status status = TB_OK;
  bool gaussian = tb_config_is(s->config, "init_kind", "gaussian");
  bool identity = tb_config_is(s->config, "init_kind", "identity");
  size_t width = s->shape.depth > 1 ? s->shape.width : s->shape.rows < s->shape.cols ? s->shape.rows : s->shape.cols;
  tb_factorisation_initialise(&s->shape, gaussian ? scale / sqrt((double)width) : 1, key, s->theta);
  for (size_t k = 0; !status && !gaussian && tb_factorisation_block(&s->shape, k, name, &rows, &cols); k++) {
    double *block = s->theta + offset;
    if (!identity)
      status = orthogonalise(s->context, rows, cols, block);
    for (size_t i = 0; i < rows; i++)
      for (size_t j = 0; j < cols; j++)
        block[i * cols + j] = scale * (identity ? (double)(i == j) : block[i * cols + j]);
    offset += rows * cols;
  }
  return status;
}

enum { MOST_REFERENCE = 40000 }; /* entries: beyond, finding it takes longer than most runs */

/* The truth's effective rank where all of it is known; the matrix of least nuclear norm. */
static tb_status find_references(completion *s, tb_run *run) {
  const tb_partial_matrix *p = s->problem;
  tb_nuclear n;
  tb_status known = TB_OK;
  s->truth_rank = s->completed_rank = NAN;
  bool whole = p->truth != NULL;
  for (size_t k = 0; whole && k < s->size; k++)
    whole = !isnan(p->truth[k]);
  if (whole && (known = completion_effective_rank(s, p->truth, &s->truth_rank)))
    return known;
  bool wanted = tb_config_is(s->config, "reference", "auto") ? s->size <= MOST_REFERENCE
                                                             : tb_config_is(s->config, "reference", "true");
  if (!wanted)
    return TB_OK;
  tb_status status =
      p->dense ? tb_nuclear_sense(s->context, p->rows, p->cols, p->count, p->dense, p->y, 5e-7, 0, &n)
               : tb_nuclear_complete(s->context, p->rows, p->cols, p->count, p->row, p->col, p->y, 5e-7, 0, &n);
  if (status == TB_FAILED) {
    status = tb_run_warn(run, "no matrix of least nuclear norm: %s", tb_context_message(s->context));
    tb_context_clear(s->context);
    return status;
  }
  if (status)
    return status;
  if ((s->completed = tb_arena_allocate(s->arena, s->size, sizeof(double))))
    memcpy(s->completed, n.matrix, s->size * sizeof(double));
  s->nuclear = n.objective;
  s->gap = n.gap;
  tb_nuclear_free(s->context, &n);
  return s->completed ? completion_effective_rank(s, s->completed, &s->completed_rank) : TB_NO_MEMORY;
}

tb_status completion_start(completion *s, tb_run *run) {
  const tb_partial_matrix *p = s->problem;
  s->theta = tb_arena_allocate(s->arena, s->parameters, sizeof(double));
  s->f = tb_arena_allocate(s->arena, p->count, sizeof(double));
  s->start_f = tb_arena_allocate(s->arena, p->count, sizeof(double));
  s->w = tb_arena_allocate(s->arena, s->size, sizeof(double));
  s->start = tb_arena_allocate(s->arena, s->size, sizeof(double));
  if (!s->theta || !s->f || !s->start_f || !s->w || !s->start)
    return TB_NO_MEMORY;
  tb_measurements measurements = { p->rows, p->cols, p->count, p->row, p->col, p->dense };
  tb_status status = start_factors(s);
  if (!status)
    status = tb_factored_objective(s->context, &s->shape, &measurements, p->y, &s->objective);
  if (!status)
    status = tb_objective_predictor(s->objective, s->theta, s->start, NULL);
  if (!status)
    status = tb_objective_outputs(s->objective, s->theta, s->start_f);
  return status ? status : find_references(s, run);
}

/* ---- the record's functions ---- */

static tb_status check(tb_context *context, const tb_config *config) {
  completion s;
  tb_status status = completion_open(&s, context, config);
  completion_close(&s);
  return status;
}

/* A gradient: dense products below the last factor, the measurements' part at it; a natural gradient: the kernel's
 * factor, or the lift's products. */
static tb_status estimate(tb_context *context, const tb_config *config, tb_estimate *out) {
  completion s;
  tb_status status = completion_open(&s, context, config);
  if (!status) {
    double m = (double)s.problem->count, h = (double)s.shape.width, l = (double)s.shape.depth, p = (double)s.parameters;
    double rows = (double)s.shape.rows, cols = (double)s.shape.cols, size = (double)s.size;
    double gradient = l < 2 ? 4 * size : 6 * h * h * cols * (l - 2) + 6 * m * h;
    if (s.problem->dense)
      gradient += 4 * m * size + 6 * size * h;
    double natural = s.options.fisher == TB_FISHER_PARAMETER ? m * m * m / 3 + m * m * l + 6 * gradient
                     : l < 2                                 ? 4 * size
                                                             : 20 * (rows + cols) * size * (l < 3 ? 2 : 6 * l);
    double once = s.method->natural ? natural : gradient;
    double evaluations = s.method->flow ? s.method->natural ? 600 : 20000 : s.schedule.end;
    if (isinf(evaluations))
      evaluations = 40000;
    *out = (tb_estimate){ .steps = s.method->flow ? NAN : evaluations,
                          .flop = evaluations * once,
                          .seconds = evaluations * (once / 1e10 + 2e-6),
                          .memory = 8 * (12 * p + 12 * size + (s.problem->dense ? m * size : 0) +
                                         (s.method->natural && s.options.fisher == TB_FISHER_PARAMETER ? m * m : 0)),
                          .parameters = p };
  }
  completion_close(&s);
  return status;
}

static tb_status run(tb_run *run) {
  completion s;
  tb_context *context = tb_run_context(run);
  tb_status status = completion_open(&s, context, tb_run_config(run));
  if (!status)
    status = completion_start(&s, run);
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
                                     .look = completion_look,
                                     .measure = completion_measure });
  if (!status && s.crossed)
    status =
        tb_run_warn(run, "det W changed its sign, which this flow cannot: a singular value fell below the rounding "
                         "of the largest, and what follows is not the flow's (take depth=3 or more, or stop "
                         "earlier)");
  completion_close(&s);
  return status;
}

const tb_study tb_study_completion = {
  .name = "completion",
  .laboratory = "natural-gradient",
  .summary = "which matrix that agrees with some of its entries does training end on: deep or flat, natural or not",
  .paper = "Depth Without the Magic: Inductive Bias of Natural Gradient Descent (Kerekes, Meszaros, Huszar 2021)",
  .details =
      "A matrix is known through some of its entries, or through inner products with measurement matrices, and is\n"
      "fitted by a product of factors.  Gradient descent from a small start prefers low rank, the more so the deeper\n"
      "the product.  Natural gradient flow in predictor space does not see the factors: residuals fall as exp(-t) and\n"
      "entries that were not observed stay where they started.  Its Fisher matrix inverted in parameter space, it\n"
      "fits as fast and keeps the bias of depth.  Where the factors lose rank together (a balanced start) no flow of\n"
      "theirs goes on, and the run says so.  Beside every run stands the matrix of least nuclear norm, with its\n"
      "duality gap.",
  .tables = tables,
  .n_tables = COUNT(tables),
  .metrics = completion_metrics,
  .n_metrics = COMPLETION_METRICS,
  .claims = completion_claims,
  .n_claims = COMPLETION_CLAIMS,
  .check = check,
  .estimate = estimate,
  .run = run,
};

/* Claims on flows of a factorisation: the exponential law of residuals and what does not move, where factors lose rank,
 * what is conserved, and end points known in closed form.
 *
 * Predictor space (training inputs or all index pairs): W' = −P(W − Y), so W(t) = Y + e^{−t}(W(0) − Y) on the observed
 * entries and W(0) elsewhere.  References start from the data and the recorded start, never from the flow. */
#include <math.h>
#include <string.h>

#include "num/linear.h"
#include "study/completion_claims.h"

static const tb_metrics *point(const tb_outcome *outcome, size_t i) {
  return i < outcome->n_snapshots ? outcome->snapshots[i] : outcome->metrics;
}

/* The largest value of a metric over snapshots and the end; NaN where it is recorded nowhere. */
static double largest(const tb_outcome *outcome, const char *name) {
  double most = NAN;
  for (size_t i = 0; i <= outcome->n_snapshots; i++) {
    double value = tb_metrics_get(point(outcome, i), name);
    most = isnan(most) || value > most ? value : most;
  }
  return most;
}

/* The matrix at t = 0, or NULL where it was not recorded. */
static const double *start_of(const tb_outcome *outcome) {
  for (size_t i = 0; i < outcome->n_snapshots; i++)
    if (tb_metrics_get(outcome->snapshots[i], "t") == 0)
      return tb_metrics_find(outcome->snapshots[i], "matrix").values;
  return NULL;
}

static double longest_time(const tb_outcome *outcome) {
  return tb_metrics_get(outcome->metrics, "t");
}

/* ---- W(t) = Y + e^{−t}(W(0) − Y) ---- */

static bool unbalanced(const tb_config *config) {
  return completion_depth(config) == 1 || tb_config_is(config, "init_kind", "gaussian");
}

static int arm_predictor(const tb_config *config) {
  return completion_is_ngf(config, "predictor") && unbalanced(config) ? 0 : -1;
}

/* Worst entry against the closed form, from the recorded matrices; larger ones by what the run itself measured. */
static tb_status measure_residual_law(tb_context *context, const tb_outcome *outcome, double *value,
                                      double *reference) {
  tb_partial_matrix *p;
  tb_status status = completion_data(context, outcome->config, &p);
  if (status)
    return status;
  const double *start = start_of(outcome);
  *reference = 0;
  *value = largest(outcome, "residual_law_error");
  for (size_t i = 0; start && !p->dense && i <= outcome->n_snapshots; i++) {
    tb_metric_value w = tb_metrics_find(point(outcome, i), "matrix");
    double decay = exp(-tb_metrics_get(point(outcome, i), "t"));
    for (size_t k = 0; k < p->count; k++) {
      size_t at = p->row[k] * p->cols + p->col[k];
      double expected = p->y[k] + decay * (start[at] - p->y[k]);
      *value = fmax(*value, fabs(w.values[at] - expected) / fmax(1, fabs(expected)));
    }
  }
  tb_partial_matrix_free(context, p);
  return isnan(*value) ? completion_skip(value, reference) : TB_OK;
}

const tb_claim claim_completion_residual_law = {
  .id = "completion.residual_law",
  .statement = "Natural gradient flow in predictor space: every observed residual falls as exp(-t), at any depth",
  .source = PAPER_NGD "; derived",
  .reference = "closed form W(t) = Y + exp(-t) (W(0) - Y) on the observed entries; value: worst error of an entry",
  .group = ABSTRACT_FACTORED,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-9,
  .unit = "",
  .arm = arm_predictor,
  .measure = measure_residual_law,
};

static tb_status measure_moved(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = largest(outcome, "unobserved_moved");
  *reference = 0;
  return isnan(*value) ? completion_skip(value, reference) : TB_OK;
}

const tb_claim claim_completion_unobserved_rest = {
  .id = "completion.unobserved_rest",
  .statement = "Natural gradient flow in predictor space never moves an entry that is not observed, at any depth",
  .source = PAPER_NGD "; derived",
  .reference = "the entries at the start; value: largest distance from them over all snapshots",
  .group = ABSTRACT_INVARIANT,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-9,
  .unit = "",
  .arm = arm_predictor,
  .measure = measure_moved,
};

static int arm_population(const tb_config *config) {
  return completion_is_ngf(config, "population") && unbalanced(config) ? 0 : -1;
}

static tb_status measure_both(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  double moved;
  tb_status status = measure_residual_law(context, outcome, value, reference);
  if (status || isnan(*value))
    return status;
  moved = largest(outcome, "unobserved_moved");
  *value = isnan(moved) ? *value : fmax(*value, moved);
  return TB_OK;
}

const tb_claim claim_completion_population = {
  .id = "completion.population",
  .statement = "The Fisher matrix over all index pairs gives the same flow: unobserved entries rest, residuals fall as "
               "exp(-t)",
  .source = "derived",
  .reference = "closed form; value: worst error of an entry over all snapshots",
  .group = BEYOND_FISHER,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-9,
  .unit = "",
  .arm = arm_population,
  .measure = measure_both,
};

/* ---- sensing: W(0) + A⁺(y − A W(0)) ---- */

static int arm_sensing(const tb_config *config) {
  return arm_predictor(config) == 0 && tb_config_is(config, "measurement", "sensing") ? 0 : -1;
}

static tb_status measure_sensing(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  tb_partial_matrix *p;
  tb_status status = completion_data(context, outcome->config, &p);
  if (status)
    return status;
  const double *start = start_of(outcome);
  tb_metric_value end = tb_metrics_find(outcome->metrics, "matrix");
  size_t size = p->rows * p->cols;
  *value = *reference = 0;
  double *work = tb_allocate(context, p->count + size, sizeof *work);
  if (!work)
    status = TB_NO_MEMORY;
  else if (!start || !end.name || !(longest_time(outcome) >= 25))
    completion_skip(value, reference);
  else {
    memcpy(work, p->y, p->count * sizeof *work);
    tb_gemv(false, p->count, size, -1, p->dense, start, 1, work);
    status = tb_least_squares(context, p->count, size, p->dense, 1, work, 0, work + p->count, NULL, NULL);
    for (size_t k = 0; k < size; k++)
      *value = fmax(*value, fabs(end.values[k] - start[k] - work[p->count + k]));
  }
  tb_release(context, work);
  tb_partial_matrix_free(context, p);
  return status;
}

const tb_claim claim_completion_sensing_predictor = {
  .id = "completion.sensing_predictor",
  .statement = "Of matrices seen through random measurements, natural gradient flow in predictor space ends on the one "
               "nearest to its start, at any depth",
  .source = "derived",
  .reference = "W(0) + A+ (y - A W(0)) by LAPACK's least squares; value: worst entry",
  .group = ABSTRACT_FACTORED,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-8,
  .unit = "",
  .arm = arm_sensing,
  .measure = measure_sensing,
};

/* ---- balanced factors lose rank where det W(t) = 0 ---- */

static int arm_rank_loss(const tb_config *config) {
  return completion_is_ngf(config, "predictor") && completion_depth(config) >= 2 &&
                 tb_config_is(config, "init_kind", "identity") && tb_config_is(config, "measurement", "entries")
             ? 0
             : -1;
}

/* The sign of det W(t), W(t) = Y + e^{−t}(init·I − Y) on the observed entries and init·I elsewhere.  work[n×n]. */
static int sign_of_determinant(const tb_partial_matrix *p, double init, double t, double *work) {
  size_t n = p->rows;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      work[i * n + j] = i == j ? init : 0;
  for (size_t k = 0; k < p->count; k++) {
    double *w = &work[p->row[k] * n + p->col[k]];
    *w = fma(exp(-t), *w, -expm1(-t) * p->y[k]);
  }
  return completion_determinant_sign(n, work);
}

/* The first change of that sign on a fine geometric grid from 1e-12 on, then bisection; inf where there is none. */
static double first_crossing(const tb_partial_matrix *p, double init, double *work) {
  const double ratio = 1.02;
  double from = 1e-12;
  int before = sign_of_determinant(p, init, from, work);
  for (double t = from; t < 40; t *= ratio) {
    if (sign_of_determinant(p, init, t, work) == before)
      continue;
    double low = t / ratio, high = t;
    for (int k = 0; k < 60; k++) {
      double middle = 0.5 * (low + high);
      *(sign_of_determinant(p, init, middle, work) == before ? &low : &high) = middle;
    }
    return high;
  }
  return INFINITY;
}

static tb_status measure_rank_loss(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  tb_partial_matrix *p;
  tb_status status = completion_data(context, outcome->config, &p);
  if (status)
    return status;
  double init = tb_config_real(outcome->config, "init");
  double *work = tb_allocate(context, p->rows * p->rows, sizeof *work);
  if (!work)
    status = TB_NO_MEMORY;
  else if (p->rows != p->cols)
    completion_skip(value, reference);
  else {
    tb_metric_value stopped = tb_metrics_find(outcome->metrics, "stopped");
    bool ended = stopped.name && strcmp(stopped.words[0], "blow_up") == 0;
    double crossing = first_crossing(p, init, work), t = longest_time(outcome);
    if (isinf(crossing) || (!ended && t < crossing))
      completion_skip(value, reference);
    else {
      *value = ended ? t / crossing : INFINITY;
      *reference = 1;
    }
  }
  tb_release(context, work);
  tb_partial_matrix_free(context, p);
  return status;
}

const tb_claim claim_completion_rank_loss = {
  .id = "completion.rank_loss",
  .statement =
      "From a balanced start all factors become singular together where det W(t) first crosses 0, and no flow of "
      "the factors goes on",
  .source = "derived",
  .reference = "first root of det(Y + exp(-t)(W(0) - Y)) by bisection; value: time at which the run says blow_up, "
               "relative",
  .group = ABSTRACT_FACTORED,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 1e-6,
  .unit = "",
  .arm = arm_rank_loss,
  .measure = measure_rank_loss,
};

/* ---- parameter space ---- */

static int arm_parameter(const tb_config *config) {
  return completion_is_ngf(config, "parameter") ? 0 : -1;
}

/* While JJᵀ has full rank, as every evaluation reported it. */
static tb_status measure_parameter_law(tb_context *context, const tb_outcome *outcome, double *value,
                                       double *reference) {
  for (size_t i = 0; i <= outcome->n_snapshots; i++)
    if (tb_metrics_get(point(outcome, i), "rank") < tb_metrics_get(point(outcome, i), "full_rank"))
      return completion_skip(value, reference);
  return measure_residual_law(context, outcome, value, reference);
}

const tb_claim claim_completion_parameter_law = {
  .id = "completion.parameter_law",
  .statement = "With the pseudo-inverse in parameter space observed residuals fall as exp(-t) too",
  .source = "derived",
  .reference = "closed form; value: worst error of an observed entry over all snapshots",
  .group = BEYOND_FISHER,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-8,
  .unit = "",
  .arm = arm_parameter,
  .measure = measure_parameter_law,
};

static int arm_balance(const tb_config *config) {
  bool flow = tb_config_is(config, "method", "gf") || completion_is_ngf(config, "parameter") ||
              completion_is_ngf(config, "predictor");
  return flow && completion_depth(config) >= 2 ? 0 : -1;
}

static tb_status measure_balance_drift(tb_context *context, const tb_outcome *outcome, double *value,
                                       double *reference) {
  *value = largest(outcome, "balance_drift");
  *reference = 0;
  return isnan(*value) ? completion_skip(value, reference) : TB_OK;
}

const tb_claim claim_completion_balance = {
  .id = "completion.balance",
  .statement = "Gradient flow, and natural gradient flow lifted by the Moore-Penrose inverse, conserve "
               "W_(l+1)^T W_(l+1) - W_l W_l^T",
  .source = "Arora, Cohen and Hazan 2018, theorem 1; derived for natural gradients",
  .reference = "its value at the start; value: largest change of an entry over all snapshots",
  .group = ABSTRACT_FACTORED,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-8,
  .unit = "",
  .arm = arm_balance,
  .measure = measure_balance_drift,
};

/* ---- the empirical Fisher matrix: residual² falls at rate 2 ---- */

static int arm_empirical(const tb_config *config) {
  return completion_is_ngf(config, "empirical") && unbalanced(config) && tb_config_is(config, "measurement", "entries")
             ? 0
             : -1;
}

static tb_status measure_empirical(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  tb_partial_matrix *p;
  const double *start = start_of(outcome);
  tb_status status = completion_data(context, outcome->config, &p);
  if (status)
    return status;
  double least = INFINITY;
  for (size_t k = 0; start && k < p->count; k++)
    least = fmin(least, fabs(p->y[k] - start[p->row[k] * p->cols + p->col[k]]));
  tb_partial_matrix_free(context, p);
  double t = longest_time(outcome), end = 0.5 * least * least;
  if (!start || t < end * (1 - 1e-6))
    return completion_skip(value, reference);
  *value = t / end;
  *reference = 1;
  return TB_OK;
}

const tb_claim claim_completion_empirical = {
  .id = "completion.empirical",
  .statement = "With the empirical Fisher matrix the flow ends in finite time, when the smallest residual reaches 0",
  .source = "derived",
  .reference = "r' = -1/r, so t = min r(0)^2/2; value: time at which the run says blow_up, relative",
  .group = BEYOND_FISHER,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 1e-6,
  .unit = "",
  .arm = arm_empirical,
  .measure = measure_empirical,
};

/* ---- one entry: σ' = N σ^{2−2/N} (s − σ) ---- */

static int arm_one_entry(const tb_config *config) {
  return tb_config_is(config, "method", "gf") && tb_config_is(config, "init_kind", "identity") &&
                 tb_config_is_set(config, "until_loss")
             ? 0
             : -1;
}

/* ∫ dσ/(N σ^{2−2/N}(s − σ)) by Gauss and Legendre in log σ, where it is smooth. */
static double time_between(double from, double to, double target, double depth) {
  enum { PANELS = 400 };
  static const double node[4] = { 0.1834346424956498, 0.5255324099163290, 0.7966664774136267, 0.9602898564975363 };
  static const double weight[4] = { 0.3626837833783620, 0.3137066458778873, 0.2223810344533745, 0.1012285362903763 };
  double low = log(from), step = (log(to) - low) / PANELS, sum = 0;
  for (int k = 0; k < PANELS; k++)
    for (int i = 0; i < 8; i++) {
      double x = (k + 0.5 + 0.5 * (i % 2 ? -node[i / 2] : node[i / 2])) * step + low, sigma = exp(x);
      sum += 0.5 * step * weight[i / 2] * sigma / (depth * pow(sigma, 2 - 2 / depth) * (target - sigma));
    }
  return sum;
}

static tb_status measure_one_entry(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  tb_partial_matrix *p;
  tb_status status = completion_data(context, outcome->config, &p);
  if (status)
    return status;
  double target = p->count ? p->y[0] : NAN, init = tb_config_real(outcome->config, "init");
  bool one = !p->dense && p->rows == 1 && p->cols == 1;
  tb_partial_matrix_free(context, p);
  double end = target - sqrt(2 * tb_config_real(outcome->config, "until_loss"));
  if (!one || !(init > 0 && init < end))
    return completion_skip(value, reference);
  *value = longest_time(outcome);
  *reference = time_between(init, end, target, (double)completion_depth(outcome->config));
  return TB_OK;
}

const tb_claim claim_completion_one_entry = {
  .id = "completion.one_entry",
  .statement =
      "One singular value under gradient flow of N balanced factors obeys s' = N s^(2-2/N) (1 - s): depth makes "
      "small ones wait",
  .source = "Arora, Cohen, Hu and Luo 2019, theorem 3; Saxe et al. 2014",
  .reference = "quadrature of the separated equation; value: time at which the loss asked for is reached",
  .group = ABSTRACT_BIAS,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 1e-8,
  .unit = "",
  .arm = arm_one_entry,
  .measure = measure_one_entry,
};

/* ---- commuting measurements: the least nuclear norm in the limit, an entropy before it ---- */

static int arm_commuting(const tb_config *config) {
  return tb_config_is(config, "method", "gf") && tb_config_is(config, "measurement", "sensing") &&
                 tb_config_is(config, "init_kind", "identity") && completion_depth(config) == 2
             ? 0
             : -1;
}

/* Diagonal measurements: X = diag(init exp(Aᵀλ)) with A X = y, by Newton's method on λ. */
static tb_status entropic_limit(tb_context *context, const tb_partial_matrix *p, double init, double *x, bool *found) {
  size_t n = p->rows, m = p->count;
  double *work = tb_allocate(context, m * m + 3 * m, sizeof *work), *lambda = work + m * m, *b = lambda + m;
  if (!work)
    return TB_NO_MEMORY;
  memset(lambda, 0, m * sizeof *lambda);
  *found = false;
  for (int round = 0; round < 200 && !*found; round++) {
    double norm = 0;
    for (size_t i = 0; i < n; i++) {
      double exponent = 0;
      for (size_t k = 0; k < m; k++)
        exponent += lambda[k] * p->dense[k * n * n + i * n + i];
      x[i] = init * exp(exponent);
    }
    for (size_t k = 0; k < m; k++) {
      b[k] = p->y[k];
      for (size_t i = 0; i < n; i++)
        b[k] -= p->dense[k * n * n + i * n + i] * x[i];
      norm = fmax(norm, fabs(b[k]));
      for (size_t l = 0; l < m; l++) {
        work[k * m + l] = 0;
        for (size_t i = 0; i < n; i++)
          work[k * m + l] += p->dense[k * n * n + i * n + i] * x[i] * p->dense[l * n * n + i * n + i];
      }
    }
    *found = norm < 1e-13;
    bool singular = false;
    if (*found || tb_lu_solve(context, m, work, 1, b, &singular) || singular)
      break;
    double step = 0;
    for (size_t k = 0; k < m; k++)
      step = fmax(step, fabs(b[k]));
    for (size_t k = 0; k < m; k++) /* no more than e-fold at once */
      lambda[k] += b[k] * fmin(1, 1 / step);
  }
  tb_release(context, work);
  return TB_OK;
}

static bool only_diagonal(const tb_partial_matrix *p) {
  for (size_t k = 0; p->dense && k < p->count; k++)
    for (size_t i = 0; i < p->rows * p->cols; i++)
      if (p->dense[k * p->rows * p->cols + i] != 0 && i / p->cols != i % p->cols)
        return false;
  return p->dense && p->rows == p->cols;
}

static tb_status measure_commuting(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  tb_partial_matrix *p;
  tb_metric_value end = tb_metrics_find(outcome->metrics, "matrix");
  tb_status status = completion_data(context, outcome->config, &p);
  if (status)
    return status;
  bool found = false;
  double *x = tb_allocate(context, p->rows, sizeof *x);
  if (!x)
    status = TB_NO_MEMORY;
  if (!status && only_diagonal(p) && end.name && tb_metrics_get(outcome->metrics, "log_loss") < log(1e-20))
    status = entropic_limit(context, p, tb_config_real(outcome->config, "init"), x, &found);
  *value = *reference = 0;
  for (size_t i = 0; found && i < p->rows; i++)
    for (size_t j = 0; j < p->cols; j++)
      *value = fmax(*value, fabs(end.values[i * p->cols + j] - (i == j ? x[i] : 0)));
  tb_release(context, x);
  tb_partial_matrix_free(context, p);
  return status || found ? status : completion_skip(value, reference);
}

const tb_claim claim_completion_commuting = {
  .id = "completion.commuting",
  .statement =
      "With measurements that commute, gradient flow of two factors from a multiple of the identity ends on the "
      "matrix of least entropy relative to its start",
  .source = "Gunasekar et al. 2017, theorem 1",
  .reference = "x = init exp(A^T lambda) with A x = y by Newton's method; value: worst entry",
  .group = ABSTRACT_BIAS,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-9,
  .unit = "",
  .arm = arm_commuting,
  .measure = measure_commuting,
};

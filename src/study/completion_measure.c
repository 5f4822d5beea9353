/* What the study `completion` measures on a state: errors, the spectrum of the product, and how far the state is from
 * the laws of its flow. */
#include <math.h>
#include <string.h>

#include "num/linear.h"
#include "study/completion.h"

const tb_metric completion_metrics[] = {
  { "t", "", "time of a flow, steps of a discrete method", NULL, NULL },
  { "log_t", "", "natural logarithm of t", NULL, NULL },
  { "stopped", "", "what ended the run: time, steps, loss or blow_up", NULL, NULL },
  { "loss", "", "half the mean squared residual over the measurements", "(1/2n) Σ (f_k − y_k)²", NULL },
  { "log_loss", "", "natural logarithm of the loss; right where the loss is below 1e-308", NULL, NULL },
  { "error_all", "", "mean squared error over all entries that are known", NULL, "Arora et al. 2019" },
  { "error_unobserved", "", "mean squared error over entries that are known and were not observed", NULL, NULL },
  { "effective_rank", "", "exponential of the entropy of the singular values as shares of their sum",
    "exp(−Σ p_i log p_i), p_i = σ_i/Σσ", "Roy and Vetterli 2007" },
  { "nuclear_norm", "", "sum of the singular values", "‖W‖_*", NULL },
  { "log_singular_values", "", "natural logarithms of the singular values, descending", NULL, NULL },
  { "residual_law_error", "",
    "flows: worst measurement against the exponential law, relative to the largest residual "
    "at the start or 1",
    "|r_k(t) − e^{−t} r_k(0)|", NULL },
  { "unobserved_moved", "", "largest distance of an entry that is not observed from where it started", NULL, NULL },
  { "balance_drift", "", "largest change of an entry of what gradient flow conserves", "W_{l+1}ᵀW_{l+1} − W_lW_lᵀ",
    "Arora et al. 2018" },
  { "matrix", "", "the matrix itself, where it has at most 400 entries", NULL, NULL },
  { "rank", "", "rank of the system that the natural gradient solved", NULL, NULL },
  { "full_rank", "", "what full rank would be", NULL, NULL },
  { "condition", "", "condition number of what the natural gradient inverted", NULL, NULL },
  { "reference.nuclear_norm", "", "least nuclear norm of a matrix that agrees with the measurements", "min ‖W‖_*",
    NULL },
  { "reference.nuclear_gap", "", "its duality gap, relative: a proof of optimality", NULL, NULL },
  { "reference.nuclear_error", "", "mean squared error of that matrix over all entries that are known", NULL, NULL },
  { "reference.nuclear_error_unobserved", "", "the same over those that were not observed", NULL, NULL },
  { "reference.nuclear_effective_rank", "", "its effective rank", NULL, NULL },
  { "reference.truth_effective_rank", "", "effective rank of the truth, where every entry is known", NULL, NULL },
  { "reference.mean_error_unobserved", "", "error over unobserved entries of the mean of the observed ones", NULL,
    NULL },
};
_Static_assert(sizeof completion_metrics / sizeof *completion_metrics == COMPLETION_METRICS, "metrics are counted");

tb_status completion_look(void *study, const double *theta, double *log_loss, double *margin) {
  completion *s = study;
  tb_status status = tb_objective_outputs(s->objective, theta, s->f);
  *margin = -INFINITY;
  *log_loss = NAN;
  if (status)
    return status;
  double zero = 0;
  for (size_t k = 0; k < s->problem->count; k++)
    zero += 0 * s->f[k];
  if (zero != 0)
    return tb_fail(s->context, TB_FAILED, NULL,
                   s->method->flow ? NULL : "lower lr=", "the measurements of the product are not finite any more");
  *log_loss = tb_objective_log_loss(s->objective, s->f);
  return TB_OK;
}

static double effective_rank(size_t count, const double *values) {
  double sum = 0, entropy = 0;
  for (size_t k = 0; k < count; k++)
    sum += values[k];
  for (size_t k = 0; k < count; k++)
    if (values[k] > 0)
      entropy -= values[k] / sum * log(values[k] / sum);
  return sum > 0 ? exp(entropy) : NAN;
}

/* Mean squared difference over known entries, or over those of them that were not observed; NaN when there are none. */
static double error_of(const tb_partial_matrix *p, const double *w, bool unobserved) {
  double sum = 0;
  size_t count = 0;
  for (size_t k = 0; p->truth && k < p->rows * p->cols; k++) {
    if (isnan(p->truth[k]) || (unobserved && p->observed[k]))
      continue;
    double difference = w[k] - p->truth[k];
    sum = fma(difference, difference, sum);
    count++;
  }
  return count ? sum / (double)count : NAN;
}

static tb_status real_if_known(tb_metrics *metrics, const char *name, double value) {
  return isnan(value) ? TB_OK : tb_metrics_real(metrics, name, value);
}

/* values[min(rows, cols)] of w[size], which stays. */
static tb_status spectrum(completion *s, const double *w, double *values) {
  double *copy = tb_allocate(s->context, s->size, sizeof *copy);
  if (!copy)
    return TB_NO_MEMORY;
  memcpy(copy, w, s->size * sizeof *copy);
  tb_status status = tb_singular_values(s->context, s->problem->rows, s->problem->cols, copy, values, NULL, NULL);
  tb_release(s->context, copy);
  return status;
}

tb_status completion_effective_rank(completion *s, const double *w, double *rank) {
  size_t least = s->problem->rows < s->problem->cols ? s->problem->rows : s->problem->cols;
  double *values = tb_allocate(s->context, least, sizeof *values);
  tb_status status = values ? spectrum(s, w, values) : TB_NO_MEMORY;
  if (!status)
    *rank = effective_rank(least, values);
  tb_release(s->context, values);
  return status;
}

static tb_status measure_spectrum(completion *s, tb_metrics *metrics) {
  size_t least = s->problem->rows < s->problem->cols ? s->problem->rows : s->problem->cols;
  double *values = tb_allocate(s->context, least, sizeof *values), sum = 0;
  if (!values)
    return TB_NO_MEMORY;
  tb_status status = spectrum(s, s->w, values);
  for (size_t k = 0; k < least; k++)
    sum += values[k];
  if (!status)
    status = tb_metrics_real(metrics, "effective_rank", effective_rank(least, values));
  if (!status)
    status = tb_metrics_real(metrics, "nuclear_norm", sum);
  for (size_t k = 0; k < least; k++)
    values[k] = log(values[k]);
  if (!status)
    status = tb_metrics_vector(metrics, "log_singular_values", least, values);
  tb_release(s->context, values);
  return status;
}

static tb_status measure_laws(completion *s, double t, tb_metrics *metrics) {
  const tb_partial_matrix *p = s->problem;
  if (s->method->flow) {
    double size = 1, worst = 0;
    for (size_t k = 0; k < p->count; k++) {
      double start = p->y[k] - s->start_f[k];
      size = fmax(size, fabs(start));
      worst = fmax(worst, fabs(p->y[k] - s->f[k] - exp(-t) * start));
    }
    tb_status status = tb_metrics_real(metrics, "residual_law_error", worst / size);
    if (status)
      return status;
  }
  double moved = 0;
  for (size_t k = 0; k < s->size; k++)
    if (!p->observed[k])
      moved = fmax(moved, fabs(s->w[k] - s->start[k]));
  return p->dense || p->count == s->size ? TB_OK : tb_metrics_real(metrics, "unobserved_moved", moved);
}

int completion_determinant_sign(size_t n, double *a) {
  int sign = 1;
  for (size_t k = 0; k < n; k++) {
    size_t pivot = k;
    for (size_t i = k + 1; i < n; i++)
      pivot = fabs(a[i * n + k]) > fabs(a[pivot * n + k]) ? i : pivot;
    for (size_t j = 0; pivot != k && j < n; j++) {
      double swap = a[k * n + j];
      a[k * n + j] = a[pivot * n + j];
      a[pivot * n + j] = swap;
    }
    double diagonal = a[k * n + k];
    if (diagonal == 0)
      return 0;
    sign *= (pivot != k ? -1 : 1) * (diagonal < 0 ? -1 : 1);
    for (size_t i = k + 1; i < n; i++)
      for (size_t j = n; j-- > k;)
        a[i * n + j] = fma(-a[i * n + k] / diagonal, a[k * n + j], a[i * n + j]);
  }
  return sign;
}

/* Under gradient flow from a balanced start singular values of two or more factors reach 0 at no time.  In float64 one
 * that has fallen below the rounding of the largest may come out on the other side. */
static tb_status watch_determinant(completion *s) {
  size_t n = s->problem->rows;
  bool watched = strcmp(s->method->name, "gf") == 0 && s->shape.depth > 1 && n == s->problem->cols &&
                 s->size <= COMPLETION_MOST_SHOWN && !tb_config_is(s->config, "init_kind", "gaussian");
  if (!watched || s->crossed)
    return TB_OK;
  double *copy = tb_allocate(s->context, s->size, sizeof *copy);
  if (!copy)
    return TB_NO_MEMORY;
  memcpy(copy, s->start, s->size * sizeof *copy);
  int before = completion_determinant_sign(n, copy);
  memcpy(copy, s->w, s->size * sizeof *copy);
  s->crossed = completion_determinant_sign(n, copy) * before < 0;
  tb_release(s->context, copy);
  return TB_OK;
}

/* W_{l+1}ᵀW_{l+1} − W_lW_lᵀ, [width×width] for l = 1 … depth − 1 */
static void balance_of(const completion *s, const double *theta, double *out) {
  size_t h = s->shape.width, offset = 0, rows, cols, next_rows, next_cols;
  char name[32];
  for (size_t l = 0; l + 1 < s->shape.depth; l++) {
    tb_factorisation_block(&s->shape, l, name, &rows, &cols);
    tb_factorisation_block(&s->shape, l + 1, name, &next_rows, &next_cols);
    const double *below = theta + offset, *above = below + rows * cols;
    tb_gemm(false, true, h, h, cols, -1, below, below, 0, out + l * h * h);
    tb_gemm(true, false, h, h, next_rows, 1, above, above, 1, out + l * h * h);
    offset += rows * cols;
  }
}

static tb_status measure_balance(completion *s, const double *theta, tb_metrics *metrics) {
  size_t count = (s->shape.depth - 1) * s->shape.width * s->shape.width;
  if (count == 0)
    return TB_OK;
  double *now = tb_allocate(s->context, 2 * count, sizeof *now), drift = 0;
  if (!now)
    return TB_NO_MEMORY;
  balance_of(s, theta, now);
  balance_of(s, s->theta, now + count);
  for (size_t k = 0; k < count; k++)
    drift = fmax(drift, fabs(now[k] - now[count + k]));
  tb_release(s->context, now);
  return tb_metrics_real(metrics, "balance_drift", drift);
}

static double mean_error(const tb_partial_matrix *p) {
  double sum = 0, error = 0;
  size_t count = 0;
  for (size_t k = 0; k < p->count; k++)
    sum += p->y[k] / (double)p->count;
  for (size_t k = 0; p->truth && !p->dense && k < p->rows * p->cols; k++)
    if (!isnan(p->truth[k]) && !p->observed[k]) {
      error += (p->truth[k] - sum) * (p->truth[k] - sum);
      count++;
    }
  return count ? error / (double)count : NAN;
}

static tb_status measure_references(completion *s, tb_metrics *metrics) {
  const tb_partial_matrix *p = s->problem;
  tb_status status = real_if_known(metrics, "reference.mean_error_unobserved", mean_error(p));
  if (!status)
    status = real_if_known(metrics, "reference.truth_effective_rank", s->truth_rank);
  if (status || !s->completed || (status = tb_metrics_real(metrics, "reference.nuclear_norm", s->nuclear)) ||
      (status = tb_metrics_real(metrics, "reference.nuclear_gap", s->gap)) ||
      (status = real_if_known(metrics, "reference.nuclear_error", error_of(p, s->completed, false))) ||
      (status = real_if_known(metrics, "reference.nuclear_error_unobserved", error_of(p, s->completed, true))))
    return status;
  return real_if_known(metrics, "reference.nuclear_effective_rank", s->completed_rank);
}

static tb_status measure_rank(const tb_path_state *state, tb_metrics *metrics) {
  if (state->report.full_rank == 0)
    return TB_OK;
  tb_status status = tb_metrics_integer(metrics, "rank", (int64_t)state->report.rank);
  if (!status)
    status = tb_metrics_integer(metrics, "full_rank", (int64_t)state->report.full_rank);
  return status ? status : tb_metrics_real(metrics, "condition", state->report.condition);
}

tb_status completion_measure(void *study, const tb_path_state *state, tb_metrics *metrics) {
  completion *s = study;
  double log_loss, margin;
  tb_status status = completion_look(s, state->theta, &log_loss, &margin);
  if (status || (status = tb_objective_predictor(s->objective, state->theta, s->w, NULL)) ||
      (status = tb_metrics_real(metrics, "t", state->t)) ||
      (status = tb_metrics_real(metrics, "log_t", state->log_t)) ||
      (status = tb_metrics_real(metrics, "loss", exp(log_loss))) ||
      (status = tb_metrics_real(metrics, "log_loss", log_loss)) ||
      (status = real_if_known(metrics, "error_all", error_of(s->problem, s->w, false))) ||
      (status = real_if_known(metrics, "error_unobserved", error_of(s->problem, s->w, true))) ||
      (status = watch_determinant(s)) || (status = measure_spectrum(s, metrics)) ||
      (status = measure_laws(s, state->t, metrics)) || (status = measure_balance(s, state->theta, metrics)) ||
      (status = measure_rank(state, metrics)))
    return status;
  if (s->size <= COMPLETION_MOST_SHOWN &&
      (status = tb_metrics_matrix(metrics, "matrix", s->problem->rows, s->problem->cols, s->w)))
    return status;
  return measure_references(s, metrics);
}

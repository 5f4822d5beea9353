/* The loss and its derivative on the host, in logarithms: right to rounding at margins of ±10⁶ as at ±1.
 *
 * Logistic: L = mean log(1 + e^{−m_i}), −∂L/∂f_i = y_i σ(−m_i)/n with log σ(−m) = −log(1 + e^m).
 * Square: L = ½ mean r_i², −∂L/∂f_i = r_i/n. */
#include <math.h>

#include "optim/objective.h"

double tb_softplus_scalar(double x) {
  return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

/* For x → −∞: log log(1 + e^x) = x − e^x/2 + O(e^{2x}) */
double tb_log_softplus_scalar(double x) {
  return x < -36 ? x - 0.5 * exp(x) : log(tb_softplus_scalar(x));
}

/* Logarithm of row i's term of n·L. */
static double log_term(const tb_objective *o, const double *f, size_t i) {
  const double y = tb_objective_y(o)[i];
  if (tb_objective_loss_kind(o) == TB_LOSS_LOGISTIC)
    return tb_log_softplus_scalar(-y * f[i]);
  return 2.0 * log(fabs(y - f[i])) - log(2.0);
}

double tb_objective_log_loss(const tb_objective *o, const double *f) {
  const size_t n = tb_objective_rows(o);
  double most = -INFINITY, sum = 0.0;
  for (size_t i = 0; i < n; i++)
    most = fmax(most, log_term(o, f, i));
  if (isinf(most))
    return most;
  for (size_t i = 0; i < n; i++)
    sum += exp(log_term(o, f, i) - most);
  return most + log(sum / (double)n);
}

void tb_objective_residual(const tb_objective *o, const double *f, double *r, double *log_scale) {
  const size_t n = tb_objective_rows(o);
  const double *y = tb_objective_y(o);
  const bool logistic = tb_objective_loss_kind(o) == TB_LOSS_LOGISTIC;
  double most = logistic ? -INFINITY : 0.0; /* log of the largest, or the largest */
  for (size_t i = 0; i < n; i++) {
    r[i] = logistic ? -tb_softplus_scalar(y[i] * f[i]) : y[i] - f[i];
    most = fmax(most, logistic ? r[i] : fabs(r[i]));
  }
  for (size_t i = 0; i < n; i++)
    r[i] = logistic ? y[i] * exp(r[i] - most) : most > 0 ? r[i] / most : 0.0;
  *log_scale = (logistic ? most : log(most)) - log((double)n);
}

double tb_objective_least_margin(const tb_objective *o, const double *f) {
  const double *y = tb_objective_y(o);
  double least = INFINITY;
  for (size_t i = 0; i < tb_objective_rows(o); i++)
    least = fmin(least, y[i] * f[i]);
  return least;
}

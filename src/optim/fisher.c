/* The weights and targets of fisher.h. */
#include "optim/fisher.h"

#include <math.h>

static const double LOG_LARGE = 600.0; /* targets beyond e^600 are kept in units of the largest */

typedef struct row {
  double log_weight;
  double exponent; /* |b| = 1 + e^exponent for logistic loss, e^exponent for square loss */
} row;

static row logistic_row(bool empirical, double margin) {
  if (empirical)
    return (row){ -2.0 * tb_softplus_scalar(margin), margin };
  return (row){ -tb_softplus_scalar(margin) - tb_softplus_scalar(-margin), -margin };
}

static row square_row(bool empirical, double residual) {
  const double size = log(fabs(residual));
  if (empirical)
    return (row){ 2.0 * size, residual == 0.0 ? -INFINITY : -size };
  return (row){ 0.0, size };
}

double tb_fisher_weights(const tb_objective *o, bool empirical, const double *f, double *log_weight, double *target) {
  const size_t n = tb_objective_rows(o);
  const double *y = tb_objective_y(o);
  const bool logistic = tb_objective_loss_kind(o) == TB_LOSS_LOGISTIC;
  double most = 0.0;
  for (size_t i = 0; i < n; i++) {
    const row r = logistic ? logistic_row(empirical, y[i] * f[i]) : square_row(empirical, y[i] - f[i]);
    log_weight[i] = r.log_weight;
    target[i] = r.exponent;
    most = fmax(most, r.exponent);
  }
  const double frame = most > LOG_LARGE ? most : 0.0;
  for (size_t i = 0; i < n; i++) {
    const double size = exp(target[i] - frame);
    if (logistic)
      target[i] = y[i] * (exp(-frame) + size);
    else
      target[i] = copysign(empirical ? size : fabs(y[i] - f[i]), y[i] - f[i]);
  }
  return frame;
}

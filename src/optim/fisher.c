/* The weights and targets of fisher.h, as logarithms: at a margin of 10⁶ either is beyond the range of double. */
#include "optim/fisher.h"

#include <math.h>

void tb_fisher_weights(const tb_objective *o, bool empirical, const double *f, double *log_weight, double *log_target,
                       double *sign) {
  const double *y = tb_objective_y(o);
  const bool logistic = tb_objective_loss_kind(o) == TB_LOSS_LOGISTIC;
  for (size_t i = 0; i < tb_objective_rows(o); i++) {
    if (logistic) {
      const double wrong = tb_softplus_scalar(y[i] * f[i]), right = tb_softplus_scalar(-y[i] * f[i]);
      log_weight[i] = empirical ? -2.0 * wrong : -wrong - right; /* −log σ(−m), −log σ(m) */
      log_target[i] = empirical ? wrong : right;
      sign[i] = y[i];
    } else {
      const double residual = y[i] - f[i], size = log(fabs(residual));
      log_weight[i] = empirical ? 2.0 * size : 0.0;
      log_target[i] = empirical && residual != 0.0 ? -size : size;
      sign[i] = copysign(1.0, residual);
    }
  }
}

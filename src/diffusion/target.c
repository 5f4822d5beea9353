/* The densities of target.h. */
#include "diffusion/target.h"

#include <math.h>

static const double log_two_pi = 1.8378770664093454836;

static tb_value sum_squares(tb_graph *g, tb_value y) {
  return tb_reduce(g, TB_SUM, tb_square(g, y), 1u << (tb_rank(g, y) - 1), false);
}

static tb_value gaussian(const tb_target *target, tb_graph *g, tb_value y) {
  const double d = (double)target->dims, s = target->spread;
  const tb_value squares = sum_squares(g, tb_shift(g, y, -target->location));
  return tb_shift(g, tb_scale(g, squares, -0.5 / (s * s)), target->log_normaliser - d * (0.5 * log_two_pi + log(s)));
}

/* −y_1²/(2 s²) − ½ e^{−y_1} Σ_{i>1} y_i² − (d − 1)/2 y_1 − d/2 ln 2π − ln s */
static tb_value funnel(const tb_target *target, tb_graph *g, tb_value y) {
  const size_t rank = tb_rank(g, y), d = target->dims;
  size_t dims[TB_MAX_RANK];
  for (size_t i = 0; i + 1 < rank; i++)
    dims[i] = tb_dim(g, y, i);
  const double s = target->spread, wide = 0.5 * ((double)d - 1);
  const tb_value neck = tb_reshape(g, tb_slice(g, y, rank - 1, 0, 1), rank - 1, dims);
  const tb_value rest = sum_squares(g, tb_slice(g, y, rank - 1, 1, d - 1));
  const tb_value own = tb_add(g, tb_scale(g, tb_square(g, neck), -0.5 / (s * s)), tb_scale(g, neck, -wide));
  const tb_value across = tb_scale(g, tb_multiply(g, tb_exp(g, tb_negate(g, neck)), rest), -0.5);
  return tb_shift(g, tb_add(g, own, across), target->log_normaliser - 0.5 * (double)d * log_two_pi - log(s));
}

tb_target tb_target_gaussian(size_t dims, double location, double spread, double log_normaliser) {
  return (tb_target){ "gaussian", dims, location, spread, log_normaliser, gaussian };
}

tb_target tb_target_funnel(size_t dims, double spread) {
  return (tb_target){ "funnel", dims, 0, spread, 0, funnel };
}

tb_value tb_target_score(const tb_target *target, tb_graph *g, tb_value y) {
  const tb_value fixed = tb_stop(g, y);
  tb_value score = { -1 };
  tb_gradient(g, tb_sum(g, target->log_density(target, g, fixed)), 1, &fixed, &score);
  return tb_stop(g, score);
}

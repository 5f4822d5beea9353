/* eight_schools, non-centred: μ ~ N(0, 5²), τ ~ half-Cauchy(0, 5) not renormalised, η_j ~ N(0, 1), θ_j = μ + τη_j,
 * y_j ~ N(θ_j, σ_j²).  Coordinates μ, ln τ, η_1 … η_8; natural ones μ, τ, θ_1 … θ_8. */
#include <math.h>

#include "diffusion/target_parts.h"

enum { SCHOOLS = 8, DIMS = SCHOOLS + 2 };
static const double effect[SCHOOLS] = { 28, 8, -3, 7, -1, 1, 18, 12 };
static const double precision[SCHOOLS] = {
  1 / 15.0, 1 / 10.0, 1 / 16.0, 1 / 11.0, 1 / 9.0, 1 / 11.0, 1 / 10.0, 1 / 18.0
};
static const double scale = 5, log_pi = 1.1447298858494001741;

static tb_status open(tb_density *density, const tb_config *config) {
  static const char *const names[DIMS] = { "mu",       "tau",      "theta[1]", "theta[2]", "theta[3]",
                                           "theta[4]", "theta[5]", "theta[6]", "theta[7]", "theta[8]" };
  density->names = names;
  return tb_density_plain(density, DIMS);
}

static tb_value build(const tb_density *density, tb_graph *g, tb_value y) {
  const size_t last = tb_rank(g, y) - 1;
  const tb_value mu = tb_slice(g, y, last, 0, 1), log_tau = tb_slice(g, y, last, 1, 1);
  const tb_value eta = tb_slice(g, y, last, 2, SCHOOLS), tau = tb_exp(g, log_tau);
  const tb_value theta = tb_add(g, mu, tb_multiply(g, tau, eta));
  const tb_value apart = tb_subtract(g, theta, tb_numbers(g, y, 0, SCHOOLS, effect));
  const tb_value data = tb_square(g, tb_multiply(g, apart, tb_numbers(g, y, 0, SCHOOLS, precision)));
  const tb_value squares = tb_sum_last(g, tb_add(g, data, tb_square(g, eta)));
  const tb_value own = tb_scale(g, tb_square(g, mu), -0.5 / (scale * scale));
  const tb_value cauchy = tb_negate(g, tb_log1p(g, tb_square(g, tb_scale(g, tau, 1 / scale))));
  const tb_value outer = tb_sum_last(g, tb_add(g, own, tb_add(g, cauchy, log_tau)));
  double constant = -(SCHOOLS + 0.5) * TB_LOG_TWO_PI - log(scale) - log_pi - log(scale);
  for (size_t j = 0; j < SCHOOLS; j++)
    constant += log(precision[j]);
  return tb_shift(g, tb_add(g, tb_scale(g, squares, -0.5), outer), constant);
}

static tb_status natural(tb_density *density, size_t n, const double *x, double *out) {
  for (size_t i = 0; i < n; i++, x += DIMS, out += DIMS) {
    out[0] = x[0];
    out[1] = exp(x[1]);
    for (size_t j = 2; j < DIMS; j++)
      out[j] = x[0] + out[1] * x[j];
  }
  return TB_OK;
}

const tb_target tb_target_eight_schools = {
  .name = "eight_schools",
  .summary = "the eight schools, non-centred, d = 10: mu, tau, theta",
  .formula = "y_j ~ N(mu + tau η_j, σ_j²), mu ~ N(0, 5²), tau ~ Cauchy(0, 5) on tau > 0",
  .source = "Rubin 1981; posteriordb eight_schools_noncentered",
  .open = open,
  .build = build,
  .natural = natural,
};

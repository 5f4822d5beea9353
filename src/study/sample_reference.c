/* References of the claims of `sample`: closed forms and quadrature that know nothing of samplers or targets. */
#include <math.h>

#include "study/sample_claims.h"

static const double log_two_pi = 1.8378770664093454836;

/* A pair of manywell and the wells of mw5 and mw50, by adaptive quadrature elsewhere. */
static const double pair_log_z = 10.2934797, mw5_log_z = -0.5410555, mw50_log_z = 42.81724;

double sample_exact_log_z(const tb_config *config) {
  static const char *const normalised[] = { "gaussian",    "mixture", "cosine", "funnel",
                                            "funnel_easy", "gmm9",    "gmm25",  "gmm40" };
  for (size_t i = 0; i < sizeof normalised / sizeof *normalised; i++)
    if (tb_config_is(config, "target", normalised[i]))
      return 0;
  if (tb_config_is(config, "target", "manywell"))
    return pair_log_z * 0.5 * (tb_config_is_set(config, "d") ? (double)tb_config_integer(config, "d") : 32);
  if (tb_config_is(config, "target", "mw5"))
    return mw5_log_z;
  if (tb_config_is(config, "target", "mw50"))
    return mw50_log_z;
  if (tb_config_is(config, "target", "eight_schools")) {
    double schools[3];
    sample_eight_schools(schools);
    return schools[0];
  }
  return NAN;
}

/* Given τ, y_j ~ N(μ, σ_j² + τ²) with μ ~ N(0, 5²): everything but τ is Gaussian. */
void sample_eight_schools(double out[3]) {
  static const double y[8] = { 28, 8, -3, 7, -1, 1, 18, 12 }, sigma[8] = { 15, 10, 16, 11, 9, 11, 10, 18 };
  enum { CELLS = 4000 };
  const double low = -16, high = 12, step = (high - low) / CELLS, pi = 3.14159265358979323846;
  double mass = 0, mu = 0, tau_mean = 0;
  for (int i = 0; i <= CELLS; i++) {
    const double log_tau = low + step * i, tau = exp(log_tau);
    double precision = 1.0 / 25, weighted = 0, log_value = -0.5 * log_two_pi - log(5);
    for (int j = 0; j < 8; j++) {
      const double variance = sigma[j] * sigma[j] + tau * tau;
      precision += 1 / variance;
      weighted += y[j] / variance;
      log_value -= 0.5 * (log_two_pi + log(variance) + y[j] * y[j] / variance);
    }
    log_value += 0.5 * (log_two_pi - log(precision) + weighted * weighted / precision);
    log_value += log_tau - log(pi * 5 * (1 + tau * tau / 25));
    const double value = exp(log_value + 32) * step;
    mass += value;
    mu += value * weighted / precision;
    tau_mean += value * tau;
  }
  out[0] = log(mass) - 32;
  out[1] = mu / mass;
  out[2] = tau_mean / mass;
}

/* ---- the Brownian path ---- */

enum { SEEN = 20 };
static const double path_y[SEEN] = {
  0.21592641,  0.118771404, -0.07945447, 0.037677474, -0.27885845, -0.1484156, -0.3250906,
  -0.22957903, -0.44110894, -0.09830782, -0.8786016,  -0.83736074, -0.7384849, -0.8939254,
  -0.7774566,  -0.70238715, -0.87771565, -0.51853573, -0.6948214,  -0.6202789,
};

/* ln N(y; 0, s² min(t, t') + o² I) by Cholesky. */
static double log_likelihood(double s, double o) {
  double l[SEEN][SEEN], z[SEEN], value = -0.5 * SEEN * log_two_pi;
  for (int i = 0; i < SEEN; i++) {
    const int t = i < 10 ? i + 1 : i + 11;
    z[i] = path_y[i];
    for (int j = 0; j <= i; j++) {
      const int u = j < 10 ? j + 1 : j + 11;
      double sum = s * s * (t < u ? t : u) + (i == j ? o * o : 0);
      for (int k = 0; k < j; k++)
        sum -= l[i][k] * l[j][k];
      l[i][j] = i == j ? sqrt(sum) : sum / l[j][j];
    }
    for (int k = 0; k < i; k++)
      z[i] -= l[i][k] * z[k];
    z[i] /= l[i][i];
    value -= log(l[i][i]) + 0.5 * z[i] * z[i];
  }
  return value;
}

double sample_brownian_log_z(void) {
  enum { CELLS = 200 };
  const double low = -10, high = 4, step = (high - low) / CELLS;
  double mass = 0;
  for (int i = 0; i <= CELLS; i++)
    for (int j = 0; j <= CELLS; j++) {
      const double a = low + step * i, b = low + step * j, prior = -(a * a + b * b) / 8 - 2 * log(2) - log_two_pi;
      mass += exp(prior + log_likelihood(exp(a), exp(b))) * step * step;
    }
  return log(mass);
}

/* Quadrature for population.h: the trapezoidal rule on the real line, which for integrands analytic in a strip of half
 * width w errs by e^{−2πw/h}.
 *
 * In g (for ρ ≤ 1) the nearest poles of s(ρg) lie at ±iπ/ρ, in u = ρg (for ρ > 1) those of s(u) at ±iπ: with h = ¼ the
 * error is e^{−79} times at most e^{π²/2}.  All terms are positive, so sums keep their relative accuracy. */
#include "optim/population.h"

#include <math.h>

static const double STEP = 0.25;
static const double REACH = 42.0; /* e^{−42}: what lies beyond is below rounding */

/* s(u) = σ(u)σ(−u), even */
static double slope(double u) {
  const double e = exp(-fabs(u));
  return e / ((1.0 + e) * (1.0 + e));
}

void tb_population_fisher(double rho, double *across, double *along) {
  const double unit = fmax(rho, 1.0); /* the variable is u = unit·g */
  const double inverse_root_two_pi = 0.39894228040143267794;
  double a = 0.125, c = 0.0; /* half of the term at 0: s(0)/2 */
  for (int k = 1; k * STEP <= REACH; k++) {
    const double u = k * STEP, g = u / unit;
    const double term = exp(-0.5 * g * g) * slope(rho <= 1.0 ? rho * u : u);
    a += term;
    c += g * g * term;
  }
  const double weight = 2.0 * STEP * inverse_root_two_pi / unit;
  *across = a * weight;
  *along = c * weight;
}

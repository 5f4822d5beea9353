/* The scalar functions in float64: the definition to which every kernel is held.
 *
 * Relative accuracy everywhere, tails included: the normal distribution function through erfc with a corrected
 * argument, logistic functions through exp(−|x|), the inverse Mills ratio and its derivatives through one continued
 * fraction in which nothing cancels.  None overflows before its value does. */
#include "engine/node.h"

#include <math.h>

static const double sqrt_half = 0.70710678118654752440, sqrt_half_low = -4.8336466567264567e-17;
static const double two_over_sqrt_pi = 1.12837916709551257390, one_over_sqrt_two_pi = 0.39894228040143267794;

/* exp(−x²/2)/√(2π); the rounding of x² would cost x² ulp in the tail, so its low part is put back. */
static double normal_density(double x) {
  if (fabs(x) > 39)
    return 0 * x * 0 + (isnan(x) ? x : 0);
  double square = x * x, low = fma(x, x, -square);
  return one_over_sqrt_two_pi * exp(-0.5 * square) * (1 - 0.5 * low);
}

/* Φ(x) = erfc(−x/√2)/2 */
static double normal_cdf(double x) {
  double y = -x * sqrt_half;
  if (!(fabs(x) < 39))
    return 0.5 * erfc(y);
  double low = fma(-x, sqrt_half, -y) - x * sqrt_half_low;
  return 0.5 * erfc(y) - low * one_over_sqrt_two_pi * 1.41421356237309504880 * exp(-y * y);
}

/* ---- tanh, erf, sigmoid, gelu and derivatives ---- */

static double tanh_derivative(unsigned order, double x) {
  double t = tanh(x);
  if (order == 0)
    return t;
  double e = exp(-2 * fabs(x)), d = 1 + e, t1 = 4 * e / (d * d); /* sech² */
  switch (order) {
  case 1:
    return t1;
  case 2:
    return -2 * t * t1;
  default:
    return -2 * t1 * (t1 - 2 * t * t);
  }
}

static double erf_derivative(unsigned order, double x) {
  if (order == 0)
    return erf(x);
  if (fabs(x) > 28)
    return 0;
  double square = x * x, low = fma(x, x, -square);
  double e1 = two_over_sqrt_pi * exp(-square) * (1 - low);
  switch (order) {
  case 1:
    return e1;
  case 2:
    return -2 * x * e1;
  default:
    return (4 * square - 2) * e1;
  }
}

static double sigmoid_derivative(unsigned order, double x) {
  double e = exp(-fabs(x)), d = 1 + e;
  if (order == 0)
    return x >= 0 ? 1 / d : x < 0 ? e / d : x;
  double s1 = e / (d * d);
  switch (order) {
  case 1:
    return s1;
  case 2:
    return -s1 * tanh(0.5 * x);
  default:
    return s1 * (1 - 6 * s1);
  }
}

static double gelu_derivative(unsigned order, double x) {
  switch (order) {
  case 0:
    return isinf(x) ? (x > 0 ? x : 0) : x * normal_cdf(x);
  case 1:
    return fabs(x) > 39 ? (x > 0) : normal_cdf(x) + x * normal_density(x);
  case 2:
    return fabs(x) > 39 ? 0 : (2 - x * x) * normal_density(x);
  default:
    return fabs(x) > 39 ? 0 : (x * x - 4) * x * normal_density(x);
  }
}

/* ---- log Φ: l′ = h = φ/Φ, the inverse Mills ratio ---- */

/* For x = −z < 0: h = z + δ, δ = 1/(z + ε), ε = 2/(z + ζ), ζ = 3/(z + …); then exactly
 *   x + h = δ,  h′ = −h δ,  1 + h′ = δ (ε − δ),  h″ = h δ² ε (ζ − ε). */
static void mills_fraction(double z, double *delta, double *epsilon, double *zeta) {
  int terms = 30 + (int)(500 / (z * z));
  double tail = 0;
  for (int k = terms; k > 3; k--)
    tail = k / (z + tail);
  *zeta = 3 / (z + tail);
  *epsilon = 2 / (z + *zeta);
  *delta = 1 / (z + *epsilon);
}

static double log_normal_cdf_derivative(unsigned order, double x) {
  if (isnan(x))
    return x;
  if (x < -1) {
    if (isinf(x))
      return order == 0 ? x : order == 1 ? -x : order == 2 ? -1 : 0;
    double z = -x, delta, epsilon, zeta;
    mills_fraction(z, &delta, &epsilon, &zeta);
    double h = z + delta;
    switch (order) {
    case 0: /* log φ(z) − log h */
      return -0.5 * z * z - log(h) - 0.91893853320467274178;
    case 1:
      return h;
    case 2:
      return -h * delta;
    default:
      return h * delta * delta * epsilon * (zeta - epsilon);
    }
  }
  if (order == 0)
    return x > 0 ? log1p(-normal_cdf(-x)) : log(normal_cdf(x));
  double h = normal_density(x) / normal_cdf(x);
  if (order == 1)
    return h;
  if (h == 0)
    return 0;
  double h1 = -h * (x + h);
  return order == 2 ? h1 : -h1 * (x + h) - h * (1 + h1);
}

/* ---- the rest ---- */

static double softplus(double x) {
  return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}

double tb_unary_evaluate(tb_unary kind, unsigned order, double x) {
  assert(tb_unary_native(kind, order));
  switch (kind) {
  case TB_NEGATE:
    return -x;
  case TB_ABSOLUTE:
    return fabs(x);
  case TB_SIGN:
    return x > 0 ? 1 : x < 0 ? -1 : x;
  case TB_EXP:
    return exp(x);
  case TB_LOG:
    return log(x);
  case TB_LOG1P:
    return log1p(x);
  case TB_EXPM1:
    return expm1(x);
  case TB_SQRT:
    return sqrt(x);
  case TB_RECIPROCAL:
    return 1 / x;
  case TB_SQUARE:
    return x * x;
  case TB_SIN:
    return sin(x);
  case TB_COS:
    return cos(x);
  case TB_TANH:
    return tanh_derivative(order, x);
  case TB_ERF:
    return erf_derivative(order, x);
  case TB_SIGMOID:
    return sigmoid_derivative(order, x);
  case TB_SOFTPLUS:
    return isnan(x) ? x : softplus(x);
  case TB_RELU:
    return order ? x > 0 : x > 0 || isnan(x) ? x : 0;
  case TB_GELU:
    return gelu_derivative(order, x);
  case TB_LOG_SIGMOID:
    return isnan(x) ? x : -softplus(-x);
  case TB_FLOOR:
    return floor(x);
  case TB_LOG_NORMAL_CDF:
    return log_normal_cdf_derivative(order, x);
  }
  return NAN;
}

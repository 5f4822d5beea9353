/* The problem as the integrators see it: the user's derivative with its failures sorted into "not here" (a smaller step
 * may help) and "stop", the error weights, the first step and the size of the Jacobian. */
#include "num/flow_parts.h"
#include "num/linear.h"

#include <float.h>
#include <math.h>
#include <string.h>

static int sort_out(tb_field *field, tb_status status, const double *dy) {
  if (status == TB_FAILED)
    return 1;
  if (status != TB_OK) {
    field->status = status;
    return -1;
  }
  for (size_t i = 0; i < field->problem.dim; i++)
    if (!isfinite(dy[i]))
      return 1;
  return 0;
}

int tb_field_derivative(tb_field *field, double s, const double *y, double *dy) {
  field->counts.evaluations++;
  return sort_out(field, field->problem.derivative(field->problem.user, s, y, dy), dy);
}

int tb_field_jacobian_times(tb_field *field, double s, const double *y, const double *v, double *jv) {
  field->counts.evaluations++;
  return sort_out(field, field->problem.jacobian_times(field->problem.user, s, y, v, jv), jv);
}

void tb_field_weights(const tb_field *field, const double *y, double *weight) {
  double largest = 0;
  for (size_t i = 0; i < field->problem.dim; i++)
    largest = fmax(largest, fabs(y[i]));
  double floor = fmax(field->absolute, 0.25 * DBL_EPSILON * largest);
  for (size_t i = 0; i < field->problem.dim; i++)
    weight[i] = 1 / fma(field->relative, fabs(y[i]), floor);
}

static double weighted_norm(size_t n, const double *x, const double *weight) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += (x[i] * weight[i]) * (x[i] * weight[i]);
  return sqrt(sum / (double)n);
}

double tb_field_first_step(tb_field *field, double s, const double *y, double room, int order) {
  size_t n = field->problem.dim;
  double *weight = field->scratch, *slope = weight + n, *moved = slope + n, *slope_moved = moved + n;
  tb_field_weights(field, y, weight);
  if (tb_field_derivative(field, s, y, slope) != 0)
    return 0;
  double size = weighted_norm(n, y, weight), speed = weighted_norm(n, slope, weight);
  double h = size > 0 && speed > 0 && isfinite(speed) ? 0.01 * size / speed : 1e-6 * fabs(room);
  h = fmin(h, fabs(room));
  for (int attempt = 0; attempt < 40; attempt++, h *= 0.1) {
    double signed_step = copysign(h, room);
    for (size_t i = 0; i < n; i++)
      moved[i] = fma(signed_step, slope[i], y[i]);
    int outcome = tb_field_derivative(field, s + signed_step, moved, slope_moved);
    if (outcome < 0)
      return 0;
    if (outcome > 0)
      continue;
    for (size_t i = 0; i < n; i++)
      moved[i] = slope_moved[i] - slope[i];
    double bend = weighted_norm(n, moved, weight) / h, steepest = fmax(speed, bend);
    double wanted = isfinite(steepest) && steepest > 0 ? pow(0.01 / steepest, 1.0 / (order + 1)) : h;
    return fmin(fmin(100 * h, wanted), fabs(room));
  }
  return h;
}

double tb_field_spectral_radius(tb_field *field, double s, const double *y, const double *f, double *v) {
  size_t n = field->problem.dim;
  double *moved = field->scratch, *slope = moved + n;
  double size = tb_norm(n, v), radius = 0;
  if (!(size > 0)) {
    memcpy(v, f, n * sizeof *v);
    size = tb_norm(n, v);
  }
  double nudge = sqrt(DBL_EPSILON) * fmax(tb_norm(n, y), 1e-5);
  for (int i = 0; i < 5 && size > 0 && isfinite(size); i++) {
    for (size_t j = 0; j < n; j++)
      moved[j] = fma(nudge / size, v[j], y[j]);
    if (tb_field_derivative(field, s, moved, slope) != 0)
      return radius;
    for (size_t j = 0; j < n; j++)
      v[j] = (slope[j] - f[j]) / nudge;
    size = tb_norm(n, v);
    radius = size;
  }
  return radius;
}

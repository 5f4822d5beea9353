/* The theorem's arithmetic, and L and c of a family. */
#include "diffusion/expressiveness.h"

#include <math.h>

#include <tiebreak/random.h>

enum { MOST_DIMS = 64, SIDE = 321, SCATTERED = 10000 };

/* ---- L and c ---- */

typedef struct survey {
  const tb_family *family;
  tb_regularity found;
  double slope, curvature; /* largest ‖∇f‖, ‖∇²f‖ (Frobenius) */
  double at_least[MOST_DIMS], at_most[MOST_DIMS];
  bool derivatives;
} survey;

static double value_of(const tb_family *f, const double *x, double *gradient) {
  const double value = exp(tb_semigroup(f, (tb_smoothing){ 1, 0 }, x, gradient));
  for (size_t i = 0; gradient && i < f->dims; i++)
    gradient[i] = value > 0 ? gradient[i] * value : 0;
  return value;
}

static void look_at(survey *s, const double *x) {
  const size_t d = s->family->dims;
  double gradient[MOST_DIMS], moved[MOST_DIMS], other[MOST_DIMS], square = 0;
  const double value = value_of(s->family, x, s->derivatives ? gradient : NULL);
  double *keep = value < s->found.least ? s->at_least : value > s->found.most ? s->at_most : NULL;
  for (size_t i = 0; keep && i < d; i++)
    keep[i] = x[i];
  s->found.least = fmin(s->found.least, value);
  s->found.most = fmax(s->found.most, value);
  if (!s->derivatives)
    return;
  for (size_t i = 0; i < d; i++) {
    square += gradient[i] * gradient[i];
    moved[i] = x[i];
  }
  s->slope = fmax(s->slope, sqrt(square));
  square = 0;
  for (size_t i = 0; i < d; i++) { /* a row of ∇²f by a central difference of ∇f */
    const double step = 1e-5 * s->family->sigma;
    double ahead[MOST_DIMS];
    moved[i] = x[i] + step;
    value_of(s->family, moved, ahead);
    moved[i] = x[i] - step;
    value_of(s->family, moved, other);
    moved[i] = x[i];
    for (size_t k = 0; k < d; k++)
      square += pow((ahead[k] - other[k]) / (2 * step), 2);
  }
  s->curvature = fmax(s->curvature, sqrt(square));
}

/* Pattern search: sign +1 up, −1 down. */
static double polish(const tb_family *f, double *x, double sign) {
  double best = sign * value_of(f, x, NULL);
  for (double step = 0.05 * f->sigma; step > 1e-9 * f->sigma;) {
    bool better = false;
    for (size_t i = 0; i < f->dims; i++)
      for (int way = -1; way <= 1; way += 2) {
        x[i] += way * step;
        const double value = sign * value_of(f, x, NULL);
        if (value > best) {
          best = value;
          better = true;
        } else {
          x[i] -= way * step;
        }
      }
    if (!better)
      step /= 2;
  }
  return sign * best;
}

static void survey_points(survey *s) {
  const tb_family *f = s->family;
  const size_t d = f->dims;
  double x[MOST_DIMS], reach[2] = { 8 * f->sigma, 8 * f->sigma };
  for (size_t k = 0; d <= 2 && k < f->count * d; k++)
    reach[k % d] = fmax(reach[k % d], fabs(f->mean[k]) + 4 * f->sd[k]);
  for (size_t a = 0; d <= 2 && a < SIDE; a++)
    for (size_t b = 0; b < (d == 2 ? SIDE : 1); b++) {
      x[0] = reach[0] * (2 * (double)a / (SIDE - 1) - 1);
      x[1] = reach[1] * (2 * (double)b / (SIDE - 1) - 1);
      look_at(s, x);
    }
  for (size_t i = 0; d > 2 && i < SCATTERED; i++) {
    tb_random_normal((tb_key){ .use = tb_use("points of a survey") }, i * d, d, x);
    for (size_t k = 0; k < d; k++)
      x[k] *= 2 * f->sigma;
    look_at(s, x);
  }
}

/* How terms behave at infinity.  *flat: one of them is a constant there; *wide: one grows. */
static void classify(const tb_family *f, bool *flat, bool *wide) {
  *flat = *wide = false;
  for (size_t j = 0; j < f->count; j++) {
    bool reference = true;
    for (size_t i = 0; i < f->dims; i++) {
      const double m = f->mean[j * f->dims + i], s = f->sd[j * f->dims + i];
      const bool same = s == f->sigma && m == 0;
      *wide |= s > f->sigma || (s == f->sigma && m != 0);
      reference &= same;
    }
    *flat |= reference;
  }
}

static bool trigonometric_lipschitz(const tb_family *f, double *lipschitz) {
  double first = 0, second = 0;
  for (size_t j = 0; j < f->count; j++) {
    double square = 0;
    for (size_t i = 0; i < f->dims; i++) {
      const size_t ji = j * f->dims + i;
      if (!f->frequency || f->mean[ji] != 0 || f->sd[ji] != f->sigma)
        return false;
      square += f->frequency[ji] * f->frequency[ji];
    }
    first += fabs(f->weight[j]) * sqrt(square);
    second += fabs(f->weight[j]) * square;
  }
  *lipschitz = fmax(first, second);
  return true;
}

tb_regularity tb_regularity_of(const tb_family *f) {
  survey s = { .family = f, .found = { .least = INFINITY, .most = -INFINITY } };
  bool flat, wide;
  s.derivatives = !trigonometric_lipschitz(f, &s.found.lipschitz);
  classify(f, &flat, &wide);
  survey_points(&s);
  s.found.least = flat ? fmax(0, polish(f, s.at_least, -1)) : 0;
  s.found.most = wide ? INFINITY : polish(f, s.at_most, 1);
  if (s.derivatives)
    s.found.lipschitz = wide ? INFINITY : fmax(s.slope, s.curvature);
  return s.found;
}

/* ---- the theorem ---- */

tb_expressiveness tb_expressiveness_of(tb_diffusion process, size_t dims, const tb_regularity *r, double kl) {
  static const double pi = 3.14159265358979323846;
  const double d = (double)dims, l = r->lipschitz, c = r->least;
  if (!(c > 0) || isinf(l))
    return (tb_expressiveness){ 0, INFINITY, INFINITY };
  tb_expressiveness e;
  e.delta = c * c * sqrt(kl) / (16 * l);
  e.radius = 9 * d * l * l * (sqrt(d) + l / c) / (c * c * kl);
  const double moment = fmax(e.radius, 1) + sqrt(process == TB_DIFFUSION_OU ? 2 * d : d) + sqrt(6);
  const double deviation = 16 * sqrt(6 * pi * e.radius * d) + 5 * sqrt(log(4 * (d + 1)));
  const double root = sqrt(d) / e.delta * l * moment * deviation;
  e.points = ceil(root * root);
  return e;
}

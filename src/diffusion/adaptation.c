/* The warm-up of adaptation.h. */
#include "diffusion/adaptation.h"

#include <math.h>
#include <string.h>

static const double gain = 0.05, offset = 10, decay = 0.75; /* γ, t₀, κ */

void tb_step_size_begin(tb_step_size *s, double step) {
  s->now = step;
  s->centre = log(10 * step);
  s->error = s->average = s->count = 0;
}

void tb_step_size_learn(tb_step_size *s, double acceptance) {
  const double share = 1 / (++s->count + offset), weight = pow(s->count, -decay);
  s->error = (1 - share) * s->error + share * (s->target - acceptance);
  const double log_step = s->centre - s->error * sqrt(s->count) / gain;
  s->average = (1 - weight) * s->average + weight * log_step;
  s->now = exp(log_step);
}

double tb_step_size_end(const tb_step_size *s) {
  return s->count > 0 ? exp(s->average) : s->now;
}

tb_windows tb_windows_begin(size_t warmup) {
  tb_windows w = { .warmup = warmup, .first = 75, .last = 50, .length = 25 };
  if (warmup < 20) {
    w.first = warmup;
    w.last = 0;
  } else if (warmup < 150) {
    w.first = warmup * 15 / 100;
    w.last = warmup / 10;
    w.length = warmup - w.first - w.last;
  }
  w.end = w.first + w.length - 1;
  return w;
}

bool tb_windows_inside(const tb_windows *w, size_t i) {
  return i >= w->first && i < w->warmup - w->last;
}

bool tb_windows_ends(tb_windows *w, size_t i) {
  const size_t stop = w->warmup - w->last;
  if (i != w->end || i >= stop)
    return false;
  w->length *= 2;
  w->end += w->length;
  /* A last window too short to double takes the rest. */
  if (w->end >= stop || w->end + 2 * w->length >= stop)
    w->end = stop - 1;
  return true;
}

void tb_spread_add(tb_spread *s, const double *x) {
  s->count++;
  for (size_t j = 0; j < s->d; j++) {
    const double apart = x[j] - s->mean[j];
    s->mean[j] += apart / s->count;
    s->square[j] += apart * (x[j] - s->mean[j]);
  }
}

void tb_spread_take(tb_spread *s, double *inverse) {
  const double n = s->count;
  for (size_t j = 0; j < s->d && n > 1; j++)
    inverse[j] = n / (n + 5) * (s->square[j] / (n - 1)) + 1e-3 * 5 / (n + 5);
  s->count = 0;
  memset(s->mean, 0, s->d * sizeof *s->mean);
  memset(s->square, 0, s->d * sizeof *s->square);
}

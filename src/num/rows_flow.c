/* The pair of rows_flow.h: local extrapolation, first same as last, step control by the fifth root. */
#include "num/rows_flow.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { STAGES = 7 };

static const double nodes[STAGES] = { 0, 1.0 / 5, 3.0 / 10, 4.0 / 5, 8.0 / 9, 1, 1 };
static const double table[STAGES][STAGES - 1] = {
  { 0 },
  { 1.0 / 5 },
  { 3.0 / 40, 9.0 / 40 },
  { 44.0 / 45, -56.0 / 15, 32.0 / 9 },
  { 19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729 },
  { 9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656 },
  { 35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84 },
};
/* fifth minus fourth order */
static const double error_weights[STAGES] = { 71.0 / 57600,      0,          -71.0 / 16695, 71.0 / 1920,
                                              -17253.0 / 339200, 22.0 / 525, -1.0 / 40 };

typedef struct work {
  tb_rows_flow *flow;
  size_t size;
  double *stage[STAGES], *next; /* rows·width each */
} work;

static tb_status slope(work *w, double s, const double *y, double *dy) {
  w->flow->evaluations++;
  return w->flow->derivative(w->flow->user, s, y, dy);
}

/* Largest error of a row in units of the tolerance; infinite where something isn't finite. */
static double worst_row(const work *w, double step, const double *y) {
  double worst = 0;
  for (size_t r = 0; r < w->flow->rows; r++) {
    double sum = 0;
    for (size_t i = r * w->flow->width; i < (r + 1) * w->flow->width; i++) {
      double error = 0;
      for (int k = 0; k < STAGES; k++)
        error += error_weights[k] * w->stage[k][i];
      error *= step / (w->flow->absolute + w->flow->relative * fmax(fabs(y[i]), fabs(w->next[i])));
      sum += error * error;
    }
    const double size = sqrt(sum / (double)w->flow->width);
    if (!isfinite(size))
      return INFINITY;
    worst = fmax(worst, size);
  }
  return worst;
}

/* stage[0] holds the slope at (s, y); fills the others and next. */
static tb_status try_step(work *w, double s, double step, const double *y) {
  for (int k = 1; k < STAGES; k++) {
    for (size_t i = 0; i < w->size; i++) {
      double sum = 0;
      for (int j = 0; j < k; j++)
        sum += table[k][j] * w->stage[j][i];
      w->next[i] = y[i] + step * sum;
    }
    const tb_status status = slope(w, s + nodes[k] * step, w->next, w->stage[k]);
    if (status)
      return status;
  }
  return TB_OK;
}

/* A first step in the manner of Hairer, Nørsett and Wanner (II.4), from the sizes of y and f alone. */
static double first_step(const work *w, double room, const double *y) {
  double size = 0, speed = 0;
  for (size_t i = 0; i < w->size; i++) {
    const double unit = w->flow->absolute + w->flow->relative * fabs(y[i]);
    size = fmax(size, fabs(y[i]) / unit);
    speed = fmax(speed, fabs(w->stage[0][i]) / unit);
  }
  const double step = size > 1e-5 && speed > 1e-5 ? 0.01 * size / speed : 1e-6 * fabs(room);
  return copysign(fmin(step, fabs(room)), room);
}

tb_status tb_rows_flow_run(tb_context *context, tb_rows_flow *flow, double from, double to, double *y) {
  work w = { .flow = flow, .size = flow->rows * flow->width };
  double *memory = tb_allocate(context, (STAGES + 1) * w.size + 1, sizeof *memory);
  if (!memory)
    return TB_NO_MEMORY;
  for (int k = 0; k < STAGES; k++)
    w.stage[k] = memory + (size_t)k * w.size;
  w.next = memory + STAGES * w.size;
  const long most = flow->most_steps > 0 ? flow->most_steps : 1000000;
  double s = from, step = 0;
  tb_status status = slope(&w, s, y, w.stage[0]);
  if (!status)
    step = first_step(&w, to - from, y);
  for (long k = 0; !status && s != to; k++) {
    const bool last = fabs(to - s) <= fabs(step);
    if (last)
      step = to - s;
    if (k >= most || !(fabs(step) > 4 * DBL_EPSILON * fabs(s)) || step == 0) {
      status =
          tb_fail(context, TB_FAILED, "flow", "raise tolerance=", "the step of the pair 5(4) collapsed at %.6g", s);
      break;
    }
    if ((status = try_step(&w, s, step, y)))
      break;
    const double error = worst_row(&w, step, y);
    if (error <= 1) {
      s = last ? to : s + step;
      memcpy(y, w.next, w.size * sizeof *y);
      double *const end = w.stage[STAGES - 1];
      w.stage[STAGES - 1] = w.stage[0];
      w.stage[0] = end;
      flow->steps++;
    }
    step *= fmin(5, fmax(0.2, 0.9 * pow(fmax(error, 1e-10), -0.2)));
  }
  tb_release(context, memory);
  return status;
}

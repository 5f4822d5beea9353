/* What the tests of optim share: a context, data sets A and B, objectives by name. */
#ifndef TB_TESTS_OPTIM_FIXTURE_H
#define TB_TESTS_OPTIM_FIXTURE_H

#include "testing.h"

#include <math.h>
#include <stdio.h>

#include "optim/method.h"

static tb_context *context;

static inline int set_up(void **state) {
  context = tb_context_new(NULL, NULL);
  return context ? 0 : -1;
}

static inline int tear_down(void **state) {
  tb_context_free(context);
  return 0;
}

static inline void check(tb_status status) {
  if (status != TB_OK)
    fail_msg("%s: %s", tb_context_place(context), tb_context_message(context));
}

#define assert_near(a, b, tolerance) near_at(a, b, tolerance, __FILE__, __LINE__)
static inline void near_at(double a, double b, double tolerance, const char *file, int line) {
  if (!(fabs(a - b) <= tolerance)) {
    print_error("%s:%d: %.17g is not %.17g within %g (off by %.3g)\n", file, line, a, b, tolerance, a - b);
    _fail(file, line);
  }
}

/* Data A: n = 3, d = 5.  Data B: n = 6, d = 3. */
static const double a_x[] = { 0, 0, -1, 1, 3, 1, 3, 1, 1, -2, 2, 3, 0, 1, 2 }, a_y[] = { 1, -1, 1 };
static const double b_x[] = { -2, 1, 1, 2, -3, -2, 1, 2, 0, -2, 0, -2, 1, 0, 0, -1, 1, -3 };
static const double b_y[] = { 1, -1, 1, -1, 1, -1 };
#define DATA_A 3, 5, a_x, a_y
#define DATA_B 6, 3, b_x, b_y

typedef struct setting {
  tb_objective *objective;
  tb_model_shape shape;
  const tb_model *model;
  size_t n, d, p;
  double theta[512];
} setting;

static inline void open_setting(setting *s, const char *model, int depth, size_t width, double init,
                                const double *start, size_t n, size_t d, const double *x, const double *y) {
  s->model = tb_model_find(model);
  s->shape = (tb_model_shape){ .inputs = d, .depth = depth, .width = width, .activation = TB_TANH };
  s->n = n;
  s->d = d;
  s->p = s->model->parameters(&s->shape);
  assert_true(s->p <= sizeof s->theta / sizeof *s->theta);
  check(tb_objective_new(context, s->model, &s->shape, TB_LOSS_LOGISTIC, TB_FLOAT64, n, x, y, &s->objective));
  check(s->model->initialise(context, &s->shape, init, start, (tb_key){ .seed = 1, .use = tb_use("initial weights") },
                             s->theta));
}

static inline void close_setting(setting *s) {
  tb_objective_free(s->objective);
}

#endif

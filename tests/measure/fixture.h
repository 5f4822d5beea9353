/* What the tests of measure share: a context, checks, matrices with a known spectrum. */
#ifndef TB_TESTS_MEASURE_FIXTURE_H
#define TB_TESTS_MEASURE_FIXTURE_H

#include "testing.h"

#include <math.h>
#include <stdio.h>

#include <tiebreak/random.h>

#include "measure/operator.h"

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

/* a[p×p] = Vᵀ diag(values) V, V a product of reflections 1 − 2uuᵀ: its rows are eigenvectors, to rounding. */
static inline void spectral_matrix(size_t p, const double *values, uint64_t seed, double *a, double *vectors) {
  enum { REFLECTIONS = 4 };
  double u[256];
  assert_true(p <= 256);
  for (size_t i = 0; i < p * p; i++)
    vectors[i] = i % (p + 1) == 0;
  for (uint32_t k = 0; k < REFLECTIONS; k++) {
    double size = 0;
    tb_random_normal((tb_key){ .seed = seed, .step = k }, 0, p, u);
    for (size_t i = 0; i < p; i++)
      size += u[i] * u[i];
    for (size_t i = 0; i < p; i++) {
      double dot = 0;
      for (size_t j = 0; j < p; j++)
        dot += vectors[i * p + j] * u[j];
      for (size_t j = 0; j < p; j++)
        vectors[i * p + j] -= 2 * dot * u[j] / size;
    }
  }
  for (size_t i = 0; i < p; i++)
    for (size_t j = 0; j < p; j++) {
      double sum = 0;
      for (size_t k = 0; k < p; k++)
        sum += vectors[k * p + i] * values[k] * vectors[k * p + j];
      a[i * p + j] = sum;
    }
}

/* Runs an action again and again while the n-th allocation fails, n = 1, 2, …, until it succeeds: every failure is
 * TB_NO_MEMORY and leaves nothing behind. */
static inline void memory_runs_out_in(tb_status (*action)(tb_context *)) {
  for (long fail_at = 1;; fail_at++) {
    meter m = { 0 };
    tb_context *metered = tb_context_new(meter_allocate, &m);
    m.fail_at = m.calls + fail_at;
    const tb_status status = action(metered);
    assert_true(status == TB_OK || status == TB_NO_MEMORY);
    tb_context_free(metered);
    assert_int_equal(m.live, 0);
    if (status == TB_OK)
      return;
  }
}

#endif

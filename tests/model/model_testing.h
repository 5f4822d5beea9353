/* What the tests of sequence models and the factorisation share: a context, keyed draws, running a graph once. */
#ifndef TB_TESTS_MODEL_TESTING_H
#define TB_TESTS_MODEL_TESTING_H

#include "testing.h"

#include <math.h>

#include <tiebreak/graph.h>
#include <tiebreak/random.h>

static tb_context *context;

static int set_up(void **state) {
  context = tb_context_new(NULL, NULL);
  return context ? 0 : -1;
}

static int tear_down(void **state) {
  tb_context_free(context);
  return 0;
}

static void check(tb_status status) {
  if (status != TB_OK)
    fail_msg("%s: %s", tb_context_place(context), tb_context_message(context));
}

static inline void draw(const char *purpose, size_t count, double *out) {
  tb_random_normal((tb_key){ .seed = 11, .use = tb_use(purpose) }, 0, count, out);
}

static inline double *numbers(size_t count) {
  double *made = calloc(count + 1, sizeof *made);
  assert_non_null(made);
  return made;
}

/* Compiles the outputs, runs them on the inputs, frees the graph. */
static inline void run(tb_graph *g, size_t n_in, const void *const *in, size_t n_out, const tb_value *y,
                       void *const *out) {
  tb_program *program;
  check(tb_program_new(context, g, n_out, y, NULL, &program));
  check(tb_program_run(program, n_in, in, n_out, out));
  tb_program_free(program);
  tb_graph_free(g);
}

static inline void near(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))))
    fail_msg("%.17g instead of %.17g", got, want);
}

#endif

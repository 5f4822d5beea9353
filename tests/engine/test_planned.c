/* The planned executor against the naive one: random graphs with their derivatives in both types and with every kernel
 * table, the same bits for runs and for vector widths, no allocation while running, outputs on inputs. */
#include "random_graph.h"

#include "engine/kernels/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { GRAPHS = 1000, MOST = 2 * RANDOM_RESULTS + 4 * RANDOM_PARAMETERS };

/* All outputs of a graph, in its type. */
typedef struct answers {
  size_t count, size, elements[MOST];
  void *data[MOST];
} answers;

static size_t append(tb_value *values, size_t n, size_t count, const tb_value *more) {
  for (size_t i = 0; i < count; i++)
    values[n++] = more[i];
  return n;
}

static size_t all_values(const random_graph *r, tb_value *values) {
  size_t n = append(values, 0, r->results, r->y);
  n = append(values, n, r->results, r->y_dot);
  n = append(values, n, r->parameters, r->x_bar);
  n = append(values, n, r->parameters, r->hv);
  return append(values, n, r->parameters, r->x); /* an input as an output */
}

static void prepare(const random_graph *r, size_t n, const tb_value *values, answers *out) {
  *out = (answers){ .count = n, .size = r->dtype == TB_FLOAT64 ? 8 : 4 };
  for (size_t i = 0; i < n; i++) {
    out->elements[i] = tb_elements(r->graph, values[i]);
    out->data[i] = malloc((out->elements[i] + 1) * out->size);
    memset(out->data[i], 0x7f, (out->elements[i] + 1) * out->size);
  }
}

static void release(answers *a) {
  for (size_t i = 0; i < a->count; i++)
    free(a->data[i]);
}

static double get(const answers *a, size_t i, size_t k) {
  return a->size == 8 ? ((double *)a->data[i])[k] : (double)((float *)a->data[i])[k];
}

static tb_program *compile(const random_graph *r, tb_executor executor, size_t n, const tb_value *values) {
  tb_program *program;
  if (tb_program_new(r->context, r->graph, n, values, &(tb_program_options){ executor }, &program) != TB_OK)
    fail_msg("%s", tb_context_message(r->context));
  return program;
}

static void run(const random_graph *r, tb_program *program, answers *out) {
  if (tb_program_run(program, r->inputs, (const void *const *)r->data, out->count, (void *const *)out->data) != TB_OK)
    fail_msg("%s", tb_context_message(r->context));
}

static void compare(int seed, const answers *expected, const answers *got, double tolerance, const char *what) {
  for (size_t i = 0; i < expected->count; i++) {
    double scale = 1;
    for (size_t k = 0; k < expected->elements[i]; k++)
      scale = fmax(scale, fabs(get(expected, i, k)));
    for (size_t k = 0; k < expected->elements[i]; k++) {
      const double x = get(expected, i, k), y = get(got, i, k);
      if (!(fabs(x - y) <= tolerance * scale) && !(isnan(x) && isnan(y)) && x != y)
        fail_msg("graph %d (%s): output %zu element %zu: planned %.17g, naive %.17g", seed, what, i, k, y, x);
    }
  }
}

static void same_bytes(int seed, const answers *a, const answers *b, const char *what) {
  for (size_t i = 0; i < a->count; i++)
    if (memcmp(a->data[i], b->data[i], a->elements[i] * a->size) != 0)
      fail_msg("graph %d: output %zu differs in its bits: %s", seed, i, what);
}

/* One graph with one table: against the naive answer, twice, without an allocation. */
static void check_table(const random_graph *r, int seed, size_t n, const tb_value *values, const answers *naive,
                        double tolerance, const char *table, answers *got) {
  setenv("TIEBREAK_KERNELS", table, 1);
  tb_program *program = compile(r, TB_PLANNED, n, values);
  answers again;
  prepare(r, n, values, got);
  prepare(r, n, values, &again);
  run(r, program, got);
  const uint64_t allocations = tb_context_allocations(r->context);
  run(r, program, &again);
  assert_int_equal(tb_context_allocations(r->context), allocations);
  compare(seed, naive, got, tolerance, table);
  same_bytes(seed, got, &again, "a second run");
  release(&again);
  tb_program_free(program);
}

/* The same graph in tiles of rows, for any number of threads, and for two of them with next to no tape. */
static void check_tiles(const random_graph *r, int seed, size_t n, const tb_value *values, const answers *naive,
                        double tolerance) {
  enum { TEAMS = 3 };
  const size_t rows = 1 + (size_t)seed % 4;
  answers got[TEAMS];
  for (uint32_t threads = 1; threads <= (seed % 8 == 0 ? TEAMS : 1); threads++) {
    const size_t tape = threads == 2 ? 1 : 0;
    const tb_program_options options = { .threads = threads, .tile_rows = rows, .tape_bytes = tape };
    tb_program *program;
    if (tb_program_new(r->context, r->graph, n, values, &options, &program) != TB_OK)
      fail_msg("graph %d: %s", seed, tb_context_message(r->context));
    prepare(r, n, values, &got[threads - 1]);
    run(r, program, &got[threads - 1]);
    tb_program_free(program);
    compare(seed, naive, &got[threads - 1], tolerance, "tiles");
    same_bytes(seed, &got[0], &got[threads - 1], "threads or tape");
    if (threads > 1)
      release(&got[threads - 1]);
  }
  release(&got[0]);
}

static void run_with(const random_graph *r, tb_program *program, const void *const *inputs, answers *out) {
  if (tb_program_run(program, r->inputs, inputs, out->count, (void *const *)out->data) != TB_OK)
    fail_msg("%s", tb_context_message(r->context));
}

/* The same graph with some inputs held: runs with other values of the others, and of the held ones when renewed. */
static void check_held(const random_graph *r, int seed, size_t n, const tb_value *values, const answers *naive,
                       double tolerance) {
  static const char zeros[1 << 16];
  const size_t held = 1 + (size_t)seed % r->inputs;
  const tb_program_options options = { .held = held };
  const void *others[RANDOM_INPUTS], *held_ones[RANDOM_INPUTS];
  tb_program *program;
  if (tb_program_new(r->context, r->graph, n, values, &options, &program) != TB_OK)
    fail_msg("graph %d: %s", seed, tb_context_message(r->context));
  for (size_t i = 0; i < r->inputs; i++) {
    others[i] = i < held ? r->data[i] : zeros;
    held_ones[i] = i < held ? zeros : r->data[i];
  }
  answers got, again;
  prepare(r, n, values, &got);
  prepare(r, n, values, &again);
  run_with(r, program, others, &again);
  const uint64_t allocations = tb_context_allocations(r->context);
  run(r, program, &got);
  compare(seed, naive, &got, tolerance, "held");
  tb_program_renew(program);
  run_with(r, program, held_ones, &again);
  tb_program_renew(program);
  run(r, program, &again);
  assert_int_equal(tb_context_allocations(r->context), allocations);
  same_bytes(seed, &got, &again, "renewed");
  tb_program_free(program);
  release(&got);
  release(&again);
}

static void check_graph(int seed, tb_dtype dtype, bool comparable, double tolerance) {
  tb_context *context = tb_context_new(NULL, NULL);
  random_graph r;
  if (random_graph_make(context, (uint64_t)seed, dtype, comparable, &r) != TB_OK)
    fail_msg("graph %d: %s", seed, tb_context_message(context));
  tb_value values[MOST];
  const size_t n = all_values(&r, values);
  answers naive, got[TB_KERNELS_MAX];
  prepare(&r, n, values, &naive);
  tb_program *program = compile(&r, TB_NAIVE, n, values);
  run(&r, program, &naive);
  tb_program_free(program);
  const tb_kernels *tables[TB_KERNELS_MAX];
  const size_t available = tb_kernels_available(dtype, tables), count = seed % 4 == 0 ? available : 1;
  for (size_t t = 0; t < count; t++)
    check_table(&r, seed, n, values, &naive, tolerance, tables[t]->name, &got[t]);
  for (size_t t = 1; t < count; t++)
    if (strcmp(tables[t]->name, "v3") == 0)
      same_bytes(seed, &got[t - 1], &got[t], "v3 and v4");
  for (size_t t = 0; t < count; t++)
    release(&got[t]);
  unsetenv("TIEBREAK_KERNELS");
  check_tiles(&r, seed, n, values, &naive, tolerance);
  if (seed % 4 == 1)
    check_held(&r, seed, n, values, &naive, tolerance);
  release(&naive);
  random_graph_free(&r);
  tb_context_free(context);
}

static void test_random_float64(void **unused) {
  for (int seed = 1; seed <= GRAPHS; seed++)
    check_graph(seed, TB_FLOAT64, true, 1e-11);
}

static void test_random_float32(void **unused) {
  for (int seed = 1; seed <= GRAPHS; seed++)
    check_graph(seed, TB_FLOAT32, true, 2e-4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_random_float64),
    cmocka_unit_test(test_random_float32),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

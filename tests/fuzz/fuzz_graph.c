/* Bytes choose a graph with its derivatives; the plan, whole or in tiles of a few rows with hardly a tape, computes
 * what the plain loops compute.  The last byte says how it runs, and whether the rest is a graph, or the number of one
 * that works on rows. */
#include "fuzz.h"

#include <math.h>
#include <string.h>

#include "../engine/random_graph.h"
#include "../engine/random_rows.h"

enum { MOST = 2 * RANDOM_RESULTS + 3 * RANDOM_PARAMETERS + ROWS_OUTPUTS };

static void run(tb_context *context, tb_graph *graph, tb_program_options options, size_t n_in, const void *const *in,
                size_t n, const tb_value *values, double **out) {
  tb_program *program;
  if (tb_program_new(context, graph, n, values, &options, &program) != TB_OK)
    abort();
  for (size_t i = 0; i < n; i++)
    out[i] = calloc(tb_elements(graph, values[i]) + 1, sizeof **out);
  if (tb_program_run(program, n_in, in, n, (void *const *)out) != TB_OK)
    abort();
  tb_program_free(program);
}

static void compare(size_t count, const double *naive, const double *planned) {
  double scale = 1;
  for (size_t k = 0; k < count; k++)
    scale = fmax(scale, fabs(naive[k]));
  for (size_t k = 0; k < count; k++)
    if (!(fabs(naive[k] - planned[k]) <= 1e-10 * scale) && !(isnan(naive[k]) && isnan(planned[k])) &&
        naive[k] != planned[k])
      abort();
}

/* how: two bits of rows in a tile (0: as planned), the lower one also takes all tape but a step's. */
static void compare_executors(tb_context *context, tb_graph *graph, unsigned how, size_t n_in, const void *const *in,
                              size_t n, const tb_value *values) {
  double *naive[MOST], *planned[MOST];
  const size_t rows = how % 4;
  const tb_program_options plain = { .executor = TB_NAIVE };
  const tb_program_options tiles = { .threads = 1 + how / 4 % 2, .tile_rows = rows, .tape_bytes = rows % 2 };
  run(context, graph, plain, n_in, in, n, values, naive);
  run(context, graph, tiles, n_in, in, n, values, planned);
  for (size_t i = 0; i < n; i++) {
    compare(tb_elements(graph, values[i]), naive[i], planned[i]);
    free(naive[i]);
    free(planned[i]);
  }
}

static void try_graph(tb_context *context, const uint8_t *data, size_t size, unsigned how) {
  random_graph r;
  if (random_graph_read(context, data, size, TB_FLOAT64, &r) == TB_OK) {
    tb_value values[MOST];
    size_t n = 0;
    for (size_t i = 0; i < r.results; i++) {
      values[n++] = r.y[i];
      values[n++] = r.y_dot[i];
    }
    for (size_t i = 0; i < r.parameters; i++) {
      values[n++] = r.x_bar[i];
      values[n++] = r.hv[i];
      values[n++] = r.x[i];
    }
    compare_executors(context, r.graph, how, r.inputs, (const void *const *)r.data, n, values);
  }
  random_graph_free(&r);
}

static void try_rows(tb_context *context, const uint8_t *data, size_t size, unsigned how) {
  random_rows r;
  uint64_t seed = 0;
  memcpy(&seed, data, size < sizeof seed ? size : sizeof seed);
  if (random_rows_make(context, seed, &r) != TB_OK)
    abort();
  const int32_t key[3] = { 5, 0, 100 };
  const void *in[ROWS_INPUTS] = { NULL };
  double *numbers[ROWS_INPUTS] = { NULL };
  in[ROWS_INPUTS - 1] = key;
  for (size_t i = 0; i + 1 < r.n_in; i++) {
    const size_t count = tb_elements(r.graph, r.in[i]);
    in[i] = numbers[i] = calloc(count + 1, sizeof(double));
    for (size_t k = 0; k < count; k++)
      numbers[i][k] = sin(1.3 * (double)k + (double)(i + seed % 100));
  }
  compare_executors(context, r.graph, how, r.n_in, in, r.n_out, r.out);
  for (size_t i = 0; i < ROWS_INPUTS; i++)
    free(numbers[i]);
  tb_graph_free(r.graph);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tb_context *context = tb_context_new(NULL, NULL);
  const unsigned how = size ? data[size - 1] : 0;
  if (how & 8)
    try_rows(context, data, size - 1, how);
  else
    try_graph(context, data, size, how);
  tb_context_free(context);
  return 0;
}

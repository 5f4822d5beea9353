/* Bytes choose a graph with its derivatives; the plan, whole or in tiles of a few rows with hardly a tape, computes
 * what the plain loops compute. */
#include "fuzz.h"

#include <math.h>

#include "../engine/random_graph.h"

enum { MOST = 2 * RANDOM_RESULTS + 3 * RANDOM_PARAMETERS };

static void run(const random_graph *r, tb_program_options options, size_t n, const tb_value *values, double **out) {
  tb_program *program;
  if (tb_program_new(r->context, r->graph, n, values, &options, &program) != TB_OK)
    abort();
  for (size_t i = 0; i < n; i++)
    out[i] = calloc(tb_elements(r->graph, values[i]) + 1, sizeof **out);
  if (tb_program_run(program, r->inputs, (const void *const *)r->data, n, (void *const *)out) != TB_OK)
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tb_context *context = tb_context_new(NULL, NULL);
  random_graph r;
  if (random_graph_read(context, data, size, TB_FLOAT64, &r) == TB_OK) {
    tb_value values[MOST];
    double *naive[MOST], *planned[MOST];
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
    const size_t rows = size ? data[size - 1] % 4 : 0;
    const tb_program_options plain = { .executor = TB_NAIVE };
    const tb_program_options tiles = { .threads = 1, .tile_rows = rows, .tape_bytes = rows % 2 };
    run(&r, plain, n, values, naive);
    run(&r, tiles, n, values, planned);
    for (size_t i = 0; i < n; i++) {
      compare(tb_elements(r.graph, values[i]), naive[i], planned[i]);
      free(naive[i]);
      free(planned[i]);
    }
  }
  random_graph_free(&r);
  tb_context_free(context);
  return 0;
}

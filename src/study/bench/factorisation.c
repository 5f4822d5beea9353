/* factorisation and factorisation64: a step of gradient descent on a 100×100 matrix of rank 5 seen whole, depth 3. */
#include "model/factorisation.h"
#include "study/bench/descent.h"

#include <tiebreak/random.h>

enum { SIZE = 100, RANK = 5 };

static const tb_factorisation_shape shape = { .rows = SIZE, .cols = SIZE, .depth = 3, .width = SIZE };

static size_t parameters(void) {
  return tb_factorisation_parameters(&shape);
}

static bool block(size_t k, char name[32], size_t *rows, size_t *cols) {
  return tb_factorisation_block(&shape, k, name, rows, cols);
}

static void start(size_t count, double *theta) {
  tb_factorisation_initialise(&shape, 0.05, (tb_key){ .seed = 0, .use = tb_use("initial weights") }, theta);
}

/* M = A Bᵀ/10, entries of variance RANK/100 */
static void matrix(size_t count, double *values) {
  double a[SIZE * RANK], b[SIZE * RANK];
  tb_random_normal((tb_key){ .seed = 0, .use = tb_use("left factor") }, 0, SIZE * RANK, a);
  tb_random_normal((tb_key){ .seed = 0, .use = tb_use("right factor") }, 0, SIZE * RANK, b);
  for (size_t i = 0; i < count; i++) {
    values[i] = 0;
    for (size_t k = 0; k < RANK; k++)
      values[i] += a[i / SIZE * RANK + k] * b[i % SIZE * RANK + k] / 10;
  }
}

static tb_value loss(tb_graph *g, tb_value theta, const tb_value *data) {
  return tb_factorisation_loss(g, tb_factorisation_product(g, &shape, theta), data[0]);
}

#define FACTORISATION(id, type, type_name, default_steps)                                                              \
  static const tb_descent id = { .dtype = type,                                                                        \
                                 .replicas = 1,                                                                        \
                                 .update = TB_UPDATE_GD,                                                               \
                                 .lr = 1e-3,                                                                           \
                                 .parameters = parameters,                                                             \
                                 .block = block,                                                                       \
                                 .start = start,                                                                       \
                                 .n_inputs = 1,                                                                        \
                                 .inputs = { { "matrix", TB_FLOAT32, 2, { SIZE, SIZE }, matrix, false } },             \
                                 .loss = loss };                                                                       \
  TB_DESCENT_ROW(id, id, "100×100 depth-3 factorisation, all entries, gradient descent", type_name, default_steps)

FACTORISATION(factorisation, TB_FLOAT32, "float32", 500);
FACTORISATION(factorisation64, TB_FLOAT64, "float64", 300);

/* Network rows that descend: mlp32 and mlp64 (tanh, Adam), mlp32_seeds (32 of mlp32 side by side, each with its own
 * data), mlp1024 (ReLU, plain steps).  Inputs are normal; output j should be the sine of its share of the inputs' sum.
 */
#include "study/bench/descent.h"
#include "study/bench/workload.h"

#include <math.h>

static const tb_model_shape mlp32_shape = { .inputs = 10, .depth = 3, .width = 32, .activation = TB_TANH };
static const tb_model_shape mlp64_shape = { .inputs = 10, .depth = 3, .width = 64, .activation = TB_TANH };
static const tb_model_shape mlp1024_shape = {
  .inputs = 100, .depth = 5, .width = 1024, .activation = TB_RELU, .outputs = 10
};
enum { MOST_INPUTS = 100 };

/* ---- data ---- */

static void inputs(size_t count, double *values) {
  tb_random_normal((tb_key){ .seed = 0, .use = tb_use("inputs") }, 0, count, values);
}

/* Row i's output j: sin(Σ x/√m) over its m = d/outputs inputs. */
static void targets(const tb_model_shape *shape, size_t count, double *values) {
  const size_t d = shape->inputs, outputs = shape->outputs ? shape->outputs : 1, share = d / outputs;
  double x[MOST_INPUTS];
  for (size_t i = 0; i < count; i++) {
    double sum = 0;
    tb_random_normal((tb_key){ .seed = 0, .use = tb_use("inputs") }, i * share, share, x);
    for (size_t j = 0; j < share; j++)
      sum += x[j];
    values[i] = sin(sum / sqrt((double)share));
  }
}

/* Weights N(0, gain/fan_in), gain 2 for ReLU; biases 0; replica after replica. */
static void weights(const tb_model_shape *shape, size_t count, double *theta) {
  const double gain = shape->activation == TB_RELU ? 2 : 1;
  char name[32];
  size_t rows, cols;
  for (size_t at = 0; at < count;)
    for (size_t k = 0; tb_model_find("mlp")->block(shape, k, name, &rows, &cols); at += rows * cols, k++) {
      for (size_t i = at; i < at + rows * cols; i++)
        theta[i] = 0;
      if (name[0] != 'W')
        continue;
      tb_random_normal((tb_key){ .seed = 0, .use = tb_use("initial weights") }, at, rows * cols, theta + at);
      for (size_t i = at; i < at + rows * cols; i++)
        theta[i] *= sqrt(gain / (double)cols);
    }
}

/* Half the mean square over the batch and the outputs. */
static tb_value half_mean_square(tb_graph *g, const tb_model_shape *shape, tb_value theta, const tb_value *data) {
  const tb_value f = tb_model_find("mlp")->output(g, shape, theta, data[0]); /* [R,n] or [R,n,outputs] */
  const uint32_t axes = tb_rank(g, f) == 2 ? 1u << 1 : 1u << 1 | 1u << 2;
  return tb_scale(g, tb_reduce(g, TB_MEAN, tb_square(g, tb_subtract(g, f, data[1])), axes, false), 0.5);
}

/* ---- rows ---- */

#define NETWORK(shape)                                                                                                 \
  static size_t shape##_parameters(void) {                                                                             \
    return tb_model_find("mlp")->parameters(&shape);                                                                   \
  }                                                                                                                    \
  static bool shape##_block(size_t k, char name[32], size_t *rows, size_t *cols) {                                     \
    return tb_model_find("mlp")->block(&shape, k, name, rows, cols);                                                   \
  }                                                                                                                    \
  static void shape##_start(size_t count, double *theta) {                                                             \
    weights(&shape, count, theta);                                                                                     \
  }                                                                                                                    \
  static void shape##_targets(size_t count, double *values) {                                                          \
    targets(&shape, count, values);                                                                                    \
  }                                                                                                                    \
  static tb_value shape##_loss(tb_graph *g, tb_value theta, const tb_value *data) {                                    \
    return half_mean_square(g, &shape, theta, data);                                                                   \
  }

NETWORK(mlp32_shape)
NETWORK(mlp64_shape)
NETWORK(mlp1024_shape)

#define OF(shape)                                                                                                      \
  .dtype = TB_FLOAT32, .parameters = shape##_parameters, .block = shape##_block, .start = shape##_start,               \
  .loss = shape##_loss, .n_inputs = 2

static const tb_descent mlp32 = {
  OF(mlp32_shape),
  .replicas = 1,
  .update = TB_UPDATE_ADAM,
  .lr = 1e-3,
  .inputs = { { "x", TB_FLOAT32, 2, { 32, 10 }, inputs, false },
              { "y", TB_FLOAT32, 1, { 32 }, mlp32_shape_targets, false } },
};
static const tb_descent mlp32_seeds = {
  OF(mlp32_shape),
  .replicas = 32,
  .update = TB_UPDATE_ADAM,
  .lr = 1e-3,
  .inputs = { { "x", TB_FLOAT32, 3, { 32, 32, 10 }, inputs, false },
              { "y", TB_FLOAT32, 2, { 32, 32 }, mlp32_shape_targets, false } },
};
static const tb_descent mlp64 = {
  OF(mlp64_shape),
  .replicas = 1,
  .update = TB_UPDATE_ADAM,
  .lr = 1e-3,
  .inputs = { { "x", TB_FLOAT32, 2, { 128, 10 }, inputs, false },
              { "y", TB_FLOAT32, 1, { 128 }, mlp64_shape_targets, false } },
};
static const tb_descent mlp1024 = {
  OF(mlp1024_shape),
  .replicas = 1,
  .update = TB_UPDATE_GD,
  .lr = 1e-2,
  .inputs = { { "x", TB_FLOAT32, 2, { 256, 100 }, inputs, false },
              { "y", TB_FLOAT32, 2, { 256, 10 }, mlp1024_shape_targets, false } },
};

TB_DESCENT_ROW(mlp32, mlp32, "MLP 10-32-32-1, batch 32, tanh, squared error, Adam", "float32", 4000);
TB_DESCENT_ROW(mlp32_seeds, mlp32_seeds, "32 seeds of mlp32 at once, each with its own data", "float32", 400);
TB_DESCENT_ROW(mlp64, mlp64, "MLP 10-64-64-1, batch 128, tanh, squared error, Adam", "float32", 2000);
TB_DESCENT_ROW(mlp1024, mlp1024, "MLP 100-1024×4-10, batch 256, ReLU, squared error, plain steps", "float32", 10);

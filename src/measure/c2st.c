/* The classifier two-sample test: five perceptrons, each trained on four fifths, as replicas of one training.
 *
 * The program sees all rows; a fold's weights say which it learns from and which it is asked about, and its accuracy on
 * the latter is a note of every step, read after the last. */
#include <math.h>
#include <string.h>

#include "measure/two_samples.h"
#include "model/model.h"
#include "optim/training.h"

enum { FOLDS = 5, WIDTH = 32, DEPTH = 3, STEPS = 150 };
static const double rate = 0.01, decay = 0.01;

typedef struct test {
  tb_model_shape shape;
  const tb_model *model;
} test;

/* inputs: x[2n,d], label[2n] = ±1, learns[R,2n] = 1 or 0 */
static tb_value loss(void *user, tb_graph *g, tb_value theta, const tb_value *inputs, tb_value keys, tb_value *notes) {
  const test *t = user;
  const tb_value margin = tb_multiply(g, t->model->output(g, &t->shape, theta, inputs[0]), inputs[1]); /* [R,2n] */
  const tb_value learns = inputs[2], asks = tb_shift(g, tb_negate(g, learns), 1);
  const tb_value half = tb_shift(g, tb_scale(g, tb_sign(g, margin), 0.5), 0.5); /* a tie counts half */
  notes[0] = tb_divide(g, tb_reduce(g, TB_SUM, tb_multiply(g, asks, half), 1u << 1, false),
                       tb_reduce(g, TB_SUM, asks, 1u << 1, false));
  const tb_value each = tb_multiply(g, learns, tb_softplus(g, tb_negate(g, margin)));
  return tb_divide(g, tb_reduce(g, TB_SUM, each, 1u << 1, false), tb_reduce(g, TB_SUM, learns, 1u << 1, false));
}

/* rows[2n,d] standardised, labels, folds of a random order in which both samples take equal part. */
static void fill(size_t d, size_t n, const double *x, const double *y, const uint32_t *order, float *rows,
                 float *labels, float *learns) {
  for (size_t j = 0; j < d; j++) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
      sum += x[i * d + j] + y[i * d + j];
    const double mean = sum / (2 * (double)n);
    for (size_t i = 0; i < n; i++)
      squares += pow(x[i * d + j] - mean, 2) + pow(y[i * d + j] - mean, 2);
    const double sd = sqrt(squares / (2 * (double)n)), unit = sd > 0 ? 1 / sd : 0;
    for (size_t i = 0; i < n; i++) {
      rows[i * d + j] = (float)((x[i * d + j] - mean) * unit);
      rows[(n + i) * d + j] = (float)((y[i * d + j] - mean) * unit);
    }
  }
  for (size_t i = 0; i < n; i++) {
    labels[i] = 1;
    labels[n + i] = -1;
    for (size_t fold = 0; fold < FOLDS; fold++)
      learns[fold * 2 * n + i] = learns[fold * 2 * n + n + i] = order[i] % FOLDS != fold;
  }
}

/* He's start, biases zero. */
static tb_status start(tb_context *context, const test *t, uint64_t seed, tb_training *training, size_t count) {
  double *theta = tb_allocate(context, count, sizeof *theta);
  if (!theta)
    return TB_NO_MEMORY;
  for (size_t fold = 0; fold < FOLDS; fold++) {
    size_t rows, cols, at = 0;
    char name[32];
    tb_random_normal((tb_key){ seed, (uint32_t)fold, tb_use("two-sample classifier") }, 0, count, theta);
    for (size_t k = 0; t->model->block(&t->shape, k, name, &rows, &cols); k++)
      for (size_t i = 0; i < rows * cols; i++, at++)
        theta[at] *= name[0] == 'W' ? sqrt(2 / (double)cols) : 0;
    tb_training_start(training, fold, theta);
  }
  tb_release(context, theta);
  return TB_OK;
}

static tb_status train(tb_context *context, size_t d, size_t n, const float *rows, const float *labels,
                       const float *learns, uint64_t seed, double *accuracy) {
  test t = { { .inputs = d, .depth = DEPTH, .width = WIDTH, .activation = TB_GELU }, tb_model_find("mlp") };
  const tb_training_input inputs[] = { { "x", TB_FLOAT32, 2, { 2 * n, d } },
                                       { "label", TB_FLOAT32, 1, { 2 * n } },
                                       { "learns", TB_FLOAT32, 2, { FOLDS, 2 * n } } };
  const tb_training_shape shape = { .dtype = TB_FLOAT32,
                                    .replicas = FOLDS,
                                    .parameters = t.model->parameters(&t.shape),
                                    .update = TB_UPDATE_ADAM,
                                    .beta1 = 0.9,
                                    .beta2 = 0.999,
                                    .epsilon = 1e-8,
                                    .decay = decay,
                                    .n_inputs = 3,
                                    .inputs = inputs,
                                    .n_notes = 1,
                                    .loss = loss,
                                    .user = &t };
  double rates[FOLDS], right[FOLDS] = { 0 };
  tb_training *training = NULL;
  tb_status status = tb_training_new(context, &shape, NULL, &training);
  if (!status)
    status = start(context, &t, seed, training, shape.parameters);
  for (int k = 0; !status && k <= STEPS; k++) {
    for (int fold = 0; fold < FOLDS; fold++)
      rates[fold] = rate * 0.5 * (1 + cos(3.14159265358979323846 * k / STEPS)); /* the last step only asks */
    status = tb_training_step(training, (const void *[]){ rows, labels, learns }, rates, NULL, NULL, right);
  }
  *accuracy = 0;
  for (int fold = 0; fold < FOLDS; fold++)
    *accuracy += right[fold] / FOLDS;
  tb_training_free(training);
  return status;
}

tb_status tb_c2st(tb_context *context, size_t d, size_t n, const double *x, size_t m, const double *y, uint64_t seed,
                  double *accuracy) {
  const size_t rows = n < m ? n : m;
  *accuracy = NAN;
  if (rows < 2 * FOLDS)
    return TB_OK;
  float *data = tb_allocate(context, 2 * rows * (d + 1 + FOLDS), sizeof *data);
  uint32_t *order = tb_allocate(context, rows, sizeof *order);
  tb_status status = data && order ? TB_OK : TB_NO_MEMORY;
  if (!status) {
    float *labels = data + 2 * rows * d, *learns = labels + 2 * rows;
    tb_random_permutation((tb_key){ seed, 0, tb_use("two-sample folds") }, rows, order);
    fill(d, rows, x, y, order, data, labels, learns);
    status = train(context, d, rows, data, labels, learns, seed, accuracy);
  }
  tb_release(context, order);
  tb_release(context, data);
  return status;
}

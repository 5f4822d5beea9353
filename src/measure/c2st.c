/* The classifier two-sample test: five perceptrons, each trained on four fifths, as replicas of one training in small
 * batches; each is then asked about the fifth that it has not seen. */
#include <math.h>
#include <string.h>

#include "measure/two_samples.h"
#include "model/model.h"
#include "optim/training.h"

enum { FOLDS = 5, WIDTH = 32, DEPTH = 4, BATCH = 200, EPOCHS = 300, MOST_STEPS = 5000 };
static const double rate = 0.01, decay = 0.01;

typedef struct test {
  tb_context *context;
  tb_model_shape shape;
  const tb_model *model;
  size_t d, learned, asked, batch; /* rows of a fold: to learn from, to be asked about */
  float *x, *label;                /* [R,learned,d], [R,learned] */
  float *new_x, *new_label;        /* [R,asked,d], [R,asked] */
} test;

/* inputs: x, label; the same rows of every fold's list are taken, the lists being in random order */
static tb_value loss(void *user, tb_graph *g, tb_value theta, const tb_value *inputs, tb_value keys, tb_value *notes) {
  const test *t = user;
  const tb_value key = tb_reshape(g, tb_slice(g, keys, 0, 0, 1), 1, (size_t[]){ 3 });
  const tb_value place = tb_uniform(g, key, tb_use("rows of a two-sample batch"), TB_FLOAT32, 1, &t->batch);
  const tb_value index = tb_cast(g, tb_scale(g, place, (double)t->learned), TB_INT32);
  const tb_value f = t->model->output(g, &t->shape, theta, tb_gather(g, inputs[0], 1, index));
  const tb_value margin = tb_multiply(g, f, tb_gather(g, inputs[1], 1, index));
  return tb_reduce(g, TB_MEAN, tb_softplus(g, tb_negate(g, margin)), 1u << 1, false);
}

/* Fold by fold: standardised rows of both samples in random order, those of the fold apart. */
static void fill(test *t, size_t n, const double *x, const double *y, const uint32_t *order) {
  for (size_t fold = 0; fold < FOLDS; fold++) {
    size_t learned = 0, asked = 0;
    for (size_t k = 0; k < 2 * n; k++) {
      const size_t i = order[k] % n;
      const double *row = order[k] < n ? x + i * t->d : y + i * t->d;
      const bool apart = i % FOLDS == fold;
      const size_t place = apart ? fold * t->asked + asked++ : fold * t->learned + learned++;
      for (size_t j = 0; j < t->d; j++)
        (apart ? t->new_x : t->x)[place * t->d + j] = (float)row[j];
      (apart ? t->new_label : t->label)[place] = order[k] < n ? 1 : -1;
    }
  }
}

/* z of rows[n,d] in units of the pooled deviations */
static void standardise(size_t d, size_t n, double *x, double *y) {
  for (size_t j = 0; j < d; j++) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
      sum += x[i * d + j] + y[i * d + j];
    const double mean = sum / (2 * (double)n);
    for (size_t i = 0; i < n; i++)
      squares += pow(x[i * d + j] - mean, 2) + pow(y[i * d + j] - mean, 2);
    const double sd = sqrt(squares / (2 * (double)n)), unit = sd > 0 ? 1 / sd : 0;
    for (size_t i = 0; i < n; i++) {
      x[i * d + j] = (x[i * d + j] - mean) * unit;
      y[i * d + j] = (y[i * d + j] - mean) * unit;
    }
  }
}

/* He's start, biases zero. */
static tb_status start(const test *t, uint64_t seed, tb_training *training, size_t count) {
  double *theta = tb_allocate(t->context, count, sizeof *theta);
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
  tb_release(t->context, theta);
  return TB_OK;
}

/* Mean over folds of the share told rightly; a tie counts half. */
static tb_status ask(const test *t, const void *theta, size_t count, double *accuracy) {
  tb_graph *g;
  tb_program *program = NULL;
  float right = 0;
  tb_status status = tb_graph_new(t->context, &g);
  if (status)
    return status;
  const tb_value weights = tb_input(g, "theta", TB_FLOAT32, 2, (size_t[]){ FOLDS, count });
  const tb_value x = tb_input(g, "x", TB_FLOAT32, 3, (size_t[]){ FOLDS, t->asked, t->d });
  const tb_value label = tb_input(g, "label", TB_FLOAT32, 2, (size_t[]){ FOLDS, t->asked });
  const tb_value margin = tb_multiply(g, t->model->output(g, &t->shape, weights, x), label);
  const tb_value share = tb_mean(g, tb_shift(g, tb_scale(g, tb_sign(g, margin), 0.5), 0.5));
  status = tb_program_new(t->context, g, 1, &share, NULL, &program);
  tb_graph_free(g);
  if (!status)
    status = tb_program_run(program, 3, (const void *[]){ theta, t->new_x, t->new_label }, 1, (void *[]){ &right });
  *accuracy = right;
  tb_program_free(program);
  return status;
}

static tb_status train(test *t, uint64_t seed, double *accuracy) {
  const tb_training_input inputs[] = { { "x", TB_FLOAT32, 3, { FOLDS, t->learned, t->d } },
                                       { "label", TB_FLOAT32, 2, { FOLDS, t->learned } } };
  const tb_training_shape shape = { .dtype = TB_FLOAT32,
                                    .replicas = FOLDS,
                                    .parameters = t->model->parameters(&t->shape),
                                    .update = TB_UPDATE_ADAM,
                                    .beta1 = 0.9,
                                    .beta2 = 0.999,
                                    .epsilon = 1e-8,
                                    .decay = decay,
                                    .n_inputs = 2,
                                    .inputs = inputs,
                                    .loss = loss,
                                    .user = t };
  const size_t wanted = EPOCHS * t->learned / t->batch, steps = wanted < MOST_STEPS ? wanted : MOST_STEPS;
  double rates[FOLDS];
  uint64_t seeds[FOLDS];
  tb_training *training = NULL;
  tb_status status = tb_training_new(t->context, &shape, NULL, &training);
  if (!status)
    status = start(t, seed, training, shape.parameters);
  for (size_t k = 0; !status && k < steps; k++) {
    for (int fold = 0; fold < FOLDS; fold++) {
      rates[fold] = rate * 0.5 * (1 + cos(3.14159265358979323846 * (double)k / (double)steps));
      seeds[fold] = seed;
    }
    status = tb_training_step(training, (const void *[]){ t->x, t->label }, rates, seeds, NULL, NULL);
  }
  if (!status)
    status = ask(t, tb_training_theta(training), shape.parameters, accuracy);
  tb_training_free(training);
  return status;
}

tb_status tb_c2st(tb_context *context, size_t d, size_t n, const double *x, size_t m, const double *y, uint64_t seed,
                  double *accuracy) {
  const size_t rows = (n < m ? n : m) / FOLDS * FOLDS; /* as many of either sample in every fold */
  *accuracy = NAN;
  if (rows < 2 * FOLDS)
    return TB_OK;
  test t = { .context = context,
             .shape = { .inputs = d, .depth = DEPTH, .width = WIDTH, .activation = TB_GELU },
             .model = tb_model_find("mlp"),
             .d = d,
             .learned = 2 * rows / FOLDS * (FOLDS - 1),
             .asked = 2 * rows / FOLDS };
  t.batch = t.learned < BATCH ? t.learned : BATCH;
  double *both = tb_allocate(context, 2 * rows * d, sizeof *both);
  float *all = tb_allocate(context, FOLDS * 2 * rows * (d + 1), sizeof *all);
  uint32_t *order = tb_allocate(context, 2 * rows, sizeof *order);
  tb_status status = both && all && order ? TB_OK : TB_NO_MEMORY;
  if (!status) {
    t.x = all;
    t.label = t.x + FOLDS * t.learned * d;
    t.new_x = t.label + FOLDS * t.learned;
    t.new_label = t.new_x + FOLDS * t.asked * d;
    memcpy(both, x, rows * d * sizeof *x);
    memcpy(both + rows * d, y, rows * d * sizeof *y);
    standardise(d, rows, both, both + rows * d);
    tb_random_permutation((tb_key){ seed, 0, tb_use("two-sample order") }, 2 * rows, order);
    fill(&t, rows, both, both + rows * d, order);
    status = train(&t, seed, accuracy);
  }
  tb_release(context, order);
  tb_release(context, all);
  tb_release(context, both);
  return status;
}

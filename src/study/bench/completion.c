/* completion: a step of gradient descent on a 100×100 matrix of rank 5 seen through 2,000 entries, depth 2 (float64).
 * completion_natural: its natural gradient in parameter space at depth 3; completion_natural_d4: that in the
 * predictor's space, lifted to four factors, where the lift's equation is the worst conditioned. */
#include "bias/completion.h"
#include "io/npz.h"
#include "optim/factored.h"
#include "optim/method.h"
#include "study/bench/workload.h"

#include <math.h>

enum { SIZE = 100, RANK = 5, ENTRIES = 2000 };

struct tb_workload {
  tb_context *context;
  tb_factorisation_shape shape;
  tb_partial_matrix *data;
  tb_objective *objective;
  tb_stepper *stepper;
  tb_natural *natural;
  double *theta, *velocity; /* p */
  double *f;                /* ENTRIES */
  size_t p;
  uint64_t steps;
};

static void completion_close(tb_workload *w) {
  tb_context *context = w->context;
  tb_stepper_free(w->stepper);
  tb_natural_free(w->natural);
  tb_objective_free(w->objective);
  tb_partial_matrix_free(context, w->data);
  tb_release(context, w->theta);
  tb_release(context, w->velocity);
  tb_release(context, w->f);
  tb_release(context, w);
}

/* Factors N(0, 1/100)·½^{1/depth}: as after some training, where no product is negligible. */
static tb_status completion_open(tb_context *context, size_t depth, tb_fisher fisher, tb_workload **out) {
  tb_workload *w = tb_allocate(context, 1, sizeof *w);
  if (!w)
    return TB_NO_MEMORY;
  *w = (tb_workload){ .context = context, .shape = { SIZE, SIZE, depth, SIZE } };
  w->p = tb_factorisation_parameters(&w->shape);
  w->theta = tb_allocate(context, w->p, sizeof *w->theta);
  w->velocity = tb_allocate(context, w->p, sizeof *w->velocity);
  w->f = tb_allocate(context, ENTRIES, sizeof *w->f);
  tb_status status = w->theta && w->velocity && w->f
                         ? tb_partial_matrix_low_rank(context, SIZE, SIZE, RANK, ENTRIES, false, 0, &w->data)
                         : TB_NO_MEMORY;
  if (!status) {
    const tb_measurements m = { SIZE, SIZE, ENTRIES, w->data->row, w->data->col, NULL };
    tb_factorisation_initialise(&w->shape, 0.1 * pow(0.5, 1 / (double)depth),
                                (tb_key){ .seed = 0, .use = tb_use("initial weights") }, w->theta);
    status = tb_factored_objective(context, &w->shape, &m, w->data->y, &w->objective);
  }
  const tb_method_options options = { .lr = 1 };
  if (!status && depth == 2)
    status = tb_stepper_new(context, tb_method_find("gd"), &options, w->objective, &w->stepper);
  if (!status && depth > 2)
    status = tb_natural_new(context, w->objective, fisher, 0, &w->natural);
  if (status) {
    completion_close(w);
    return status;
  }
  *out = w;
  return TB_OK;
}

static tb_status gradient_open(tb_context *context, tb_workload **out) {
  return completion_open(context, 2, TB_FISHER_PARAMETER, out);
}

static tb_status natural_open(tb_context *context, tb_workload **out) {
  return completion_open(context, 3, TB_FISHER_PARAMETER, out);
}

static tb_status lifted_open(tb_context *context, tb_workload **out) {
  return completion_open(context, 4, TB_FISHER_PREDICTOR, out);
}

/* The loss is that of the point before the update, at two steps of a hundred: a step itself does not need it. */
static tb_status gradient_step(tb_workload *w, double *loss) {
  *loss = NAN;
  tb_status status = TB_OK;
  if ((w->steps + 1) % 100 < 2 && !(status = tb_objective_outputs(w->objective, w->theta, w->f)))
    *loss = exp(tb_objective_log_loss(w->objective, w->f));
  return status ? status : tb_method_find("gd")->step(w->stepper, w->steps++, w->theta, NULL);
}

static tb_status natural_step(tb_workload *w, double *loss) {
  *loss = NAN;
  return tb_natural_velocity(w->natural, w->theta, w->velocity, NULL, NULL);
}

/* Three passes over entries × width, multiply and add. */
static double gradient_flop(const tb_workload *w) {
  return 6.0 * ENTRIES * SIZE + 2.0 * (double)w->p;
}

static double natural_flop(const tb_workload *w) {
  return (double)ENTRIES * ENTRIES * ENTRIES / 3;
}

static double lifted_flop(const tb_workload *w) { /* the iterations of the lift are not known beforehand */
  return NAN;
}

static const void *completion_parameters(const tb_workload *w, size_t *bytes) {
  *bytes = w->p * sizeof(double);
  return w->natural ? w->velocity : w->theta;
}

static tb_status completion_save(tb_workload *w, const char *path) {
  tb_array arrays[8];
  char names[8][32];
  int64_t *entries = tb_allocate(w->context, ENTRIES, sizeof *entries);
  size_t count = 0, rows, cols, offset = 0;
  if (!entries)
    return TB_NO_MEMORY;
  for (size_t k = 0; k < ENTRIES; k++)
    entries[k] = (int64_t)(w->data->row[k] * SIZE + w->data->col[k]);
  for (; tb_factorisation_block(&w->shape, count, names[count], &rows, &cols); count++) {
    arrays[count] = (tb_array){
      .name = names[count], .type = TB_ARRAY_FLOAT64, .rank = 2, .dims = { rows, cols }, .data = w->theta + offset
    };
    offset += rows * cols;
  }
  arrays[count++] =
      (tb_array){ .name = "entries", .type = TB_ARRAY_INT64, .rank = 1, .dims = { ENTRIES }, .data = entries };
  arrays[count++] =
      (tb_array){ .name = "values", .type = TB_ARRAY_FLOAT64, .rank = 1, .dims = { ENTRIES }, .data = w->data->y };
  tb_status status = tb_npz_write(w->context, path, count, arrays);
  tb_release(w->context, entries);
  return status;
}

const tb_workload_record tb_workload_completion = {
  "completion",    "100×100 depth-2 factorisation, 2,000 entries, gradient descent",
  "float64",       2000,
  gradient_open,   gradient_step,
  gradient_flop,   completion_parameters,
  completion_save, completion_close
};

const tb_workload_record tb_workload_completion_natural = {
  "completion_natural",
  "natural gradient in parameter space, 100×100 depth-3 factorisation, 2,000 entries",
  "float64",
  5,
  natural_open,
  natural_step,
  natural_flop,
  completion_parameters,
  completion_save,
  completion_close
};

const tb_workload_record tb_workload_completion_natural_d4 = {
  "completion_natural_d4",
  "natural gradient in the predictor's space, 100×100 depth-4 factorisation, 2,000 entries",
  "float64",
  5,
  lifted_open,
  natural_step,
  lifted_flop,
  completion_parameters,
  completion_save,
  completion_close
};

/* The machinery of descent.h. */
#include "study/bench/descent.h"

#include <math.h>
#include <string.h>

struct tb_workload {
  tb_context *context;
  const tb_descent *row;
  size_t count; /* R p */
  tb_training *training;
  void *data[TB_DESCENT_INPUTS];
  double *rates, *losses; /* R */
};

static size_t width_of(tb_dtype dtype) {
  return dtype == TB_FLOAT64 ? sizeof(double) : 4;
}

static tb_dtype input_dtype(const tb_descent *row, const tb_descent_input *input) {
  return input->dtype == TB_INT32 ? TB_INT32 : row->dtype;
}

static size_t input_count(const tb_descent_input *input) {
  size_t count = 1;
  for (size_t i = 0; i < input->rank; i++)
    count *= input->dims[i];
  return count;
}

/* ---- the data ---- */

static void narrow(tb_dtype dtype, size_t count, const double *from, void *to) {
  for (size_t i = 0; i < count; i++)
    if (dtype == TB_FLOAT64)
      ((double *)to)[i] = from[i];
    else if (dtype == TB_FLOAT32)
      ((float *)to)[i] = (float)from[i];
    else
      ((int32_t *)to)[i] = (int32_t)from[i];
}

static tb_status fill(tb_workload *w, tb_dtype dtype, size_t count, void (*numbers)(size_t, double *), void *out) {
  double *wide = tb_allocate(w->context, count, sizeof *wide);
  if (!wide)
    return TB_NO_MEMORY;
  numbers(count, wide);
  narrow(dtype, count, wide, out);
  tb_release(w->context, wide);
  return TB_OK;
}

void tb_descent_close(tb_workload *w) {
  tb_context *context = w->context;
  tb_training_free(w->training);
  for (size_t i = 0; i < w->row->n_inputs; i++)
    tb_release(context, w->data[i]);
  tb_release(context, w->rates);
  tb_release(context, w->losses);
  tb_release(context, w);
}

static tb_value loss(void *user, tb_graph *g, tb_value theta, const tb_value *data, tb_value keys, tb_value *notes) {
  return ((const tb_descent *)user)->loss(g, theta, data);
}

static tb_status compile(tb_workload *w) {
  const tb_descent *row = w->row;
  tb_training_input inputs[TB_DESCENT_INPUTS];
  for (size_t i = 0; i < row->n_inputs; i++) {
    const tb_descent_input *input = &row->inputs[i];
    inputs[i] = (tb_training_input){ .name = input->name, .dtype = input_dtype(row, input), .rank = input->rank };
    memcpy(inputs[i].dims, input->dims, sizeof input->dims);
  }
  const tb_training_shape shape = { .dtype = row->dtype,
                                    .replicas = row->replicas,
                                    .parameters = row->parameters(),
                                    .update = row->update,
                                    .beta1 = 0.9,
                                    .beta2 = 0.999,
                                    .epsilon = 1e-8,
                                    .decay = row->decay,
                                    .clip_entry = row->clip_entry,
                                    .n_inputs = row->n_inputs,
                                    .inputs = inputs,
                                    .loss = loss,
                                    .user = (void *)row };
  return tb_training_new(w->context, &shape, NULL, &w->training);
}

tb_status tb_descent_open(tb_context *context, const tb_descent *row, tb_workload **out) {
  tb_workload *w = tb_allocate(context, 1, sizeof *w);
  if (!w)
    return TB_NO_MEMORY;
  *w = (tb_workload){ .context = context, .row = row, .count = row->replicas * row->parameters() };
  w->rates = tb_allocate(context, row->replicas, sizeof *w->rates);
  w->losses = tb_allocate(context, row->replicas, sizeof *w->losses);
  tb_status status = w->rates && w->losses ? compile(w) : TB_NO_MEMORY;
  if (!status)
    status = fill(w, row->dtype, w->count, row->start, tb_training_theta(w->training));
  for (size_t i = 0; !status && i < row->n_inputs; i++) {
    const tb_dtype dtype = input_dtype(row, &row->inputs[i]);
    const size_t count = input_count(&row->inputs[i]);
    w->data[i] = tb_allocate(context, count, width_of(dtype));
    status = w->data[i] ? fill(w, dtype, count, row->inputs[i].fill, w->data[i]) : TB_NO_MEMORY;
  }
  if (status) {
    tb_descent_close(w);
    return status;
  }
  *out = w;
  return TB_OK;
}

/* ---- a step ---- */

tb_status tb_descent_step(tb_workload *w, double *mean) {
  const tb_descent *row = w->row;
  const void *in[TB_DESCENT_INPUTS];
  const uint64_t falls = row->lr_every ? tb_training_steps(w->training) / row->lr_every : 0;
  for (size_t r = 0; r < row->replicas; r++)
    w->rates[r] = row->lr * pow(row->lr_factor, (double)falls);
  for (size_t i = 0; i < row->n_inputs; i++) {
    if (row->inputs[i].counts)
      ((int32_t *)w->data[i])[input_count(&row->inputs[i]) - 1] = (int32_t)tb_training_steps(w->training);
    in[i] = w->data[i];
  }
  const tb_status status = tb_training_step(w->training, in, w->rates, NULL, w->losses, NULL);
  double sum = 0;
  for (size_t r = 0; r < row->replicas; r++)
    sum += w->losses[r];
  *mean = sum / (double)row->replicas;
  return status;
}

double tb_descent_flop(const tb_workload *w) {
  return tb_training_cost(w->training).flop;
}

const void *tb_descent_parameters(const tb_workload *w, size_t *bytes) {
  *bytes = w->count * width_of(w->row->dtype);
  return w->row->update == TB_UPDATE_NONE ? tb_training_gradient(w->training) : tb_training_theta(w->training);
}

/* ---- the file ---- */

/* Parameters: a block an array; those of several replicas in one, theta [R,p]. */
static void parameter_arrays(const tb_workload *w, tb_array_type type, size_t *count, tb_array *arrays,
                             char (*names)[32]) {
  const tb_descent *row = w->row;
  const char *theta = tb_training_theta(w->training);
  size_t rows, cols;
  if (row->replicas > 1) {
    arrays[(*count)++] = (tb_array){
      .name = "theta", .type = type, .rank = 2, .dims = { row->replicas, w->count / row->replicas }, .data = theta
    };
    return;
  }
  for (size_t k = 0; row->block(k, names[k], &rows, &cols); k++) {
    arrays[(*count)++] = (tb_array){ .name = names[k], .type = type, .rank = 2, .dims = { rows, cols }, .data = theta };
    theta += rows * cols * width_of(row->dtype);
  }
}

static tb_status input_array(const tb_workload *w, size_t i, tb_array_type type, tb_arena *arena, tb_array *array) {
  const tb_descent_input *input = &w->row->inputs[i];
  *array = (tb_array){ .name = input->name, .type = type, .rank = input->rank, .data = w->data[i] };
  memcpy(array->dims, input->dims, sizeof input->dims);
  if (input->dtype != TB_INT32)
    return TB_OK;
  const size_t count = input_count(input);
  int64_t *wide = tb_arena_allocate(arena, count, sizeof *wide);
  if (!wide)
    return TB_NO_MEMORY;
  for (size_t k = 0; k < count; k++)
    wide[k] = ((const int32_t *)w->data[i])[k];
  array->type = TB_ARRAY_INT64;
  array->data = wide;
  return TB_OK;
}

tb_status tb_descent_save(tb_workload *w, const char *path) {
  enum { MOST_BLOCKS = 128, MOST = MOST_BLOCKS + TB_DESCENT_INPUTS + 4 };
  const tb_array_type type = w->row->dtype == TB_FLOAT64 ? TB_ARRAY_FLOAT64 : TB_ARRAY_FLOAT32;
  tb_arena *arena = tb_arena_new(w->context);
  if (!arena)
    return TB_NO_MEMORY;
  tb_array *arrays = tb_arena_allocate(arena, MOST, sizeof *arrays);
  char(*names)[32] = tb_arena_allocate(arena, MOST_BLOCKS, sizeof *names);
  tb_status status = arrays && names ? TB_OK : TB_NO_MEMORY;
  size_t count = 0;
  if (!status)
    parameter_arrays(w, type, &count, arrays, names);
  for (size_t i = 0; !status && i < w->row->n_inputs; i++)
    status = input_array(w, i, type, arena, &arrays[count++]);
  if (!status && w->row->more)
    status = w->row->more(arena, w->row->dtype, &count, arrays);
  if (!status)
    status = tb_npz_write(w->context, path, count, arrays);
  tb_arena_free(arena);
  return status;
}

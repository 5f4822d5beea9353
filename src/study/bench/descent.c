/* The machinery of descent.h. */
#include "study/bench/descent.h"

#include <math.h>
#include <string.h>

struct tb_workload {
  tb_context *context;
  const tb_descent *row;
  size_t count; /* R p */
  tb_program *program;
  void *state[2]; /* each θ, m, v of R p numbers */
  void *data[TB_DESCENT_INPUTS];
  int now; /* which of the two states is the current point */
  uint64_t step;
};

static const double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;

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

/* ---- the program ---- */

/* Bias corrections c1 = 1/(1 − β1^k), c2 = 1/(1 − β2^k) are inputs.  out: θ, m, v after the step. */
static void adam(tb_graph *g, const tb_descent *row, tb_value theta, tb_value m, tb_value v, tb_value corrections,
                 tb_value gradient, tb_value out[3]) {
  const tb_value c1 = tb_slice(g, corrections, 0, 0, 1), c2 = tb_slice(g, corrections, 0, 1, 1);
  out[1] = tb_add(g, tb_scale(g, m, beta1), tb_scale(g, gradient, 1 - beta1));
  out[2] = tb_add(g, tb_scale(g, v, beta2), tb_scale(g, tb_square(g, gradient), 1 - beta2));
  const tb_value root = tb_shift(g, tb_sqrt(g, tb_multiply(g, out[2], c2)), epsilon);
  const tb_value move = tb_scale(g, tb_divide(g, tb_multiply(g, out[1], c1), root), row->lr);
  out[0] = tb_subtract(g, tb_scale(g, theta, 1 - row->lr * row->decay), move);
}

/* inputs: θ, m, v [R p], corrections [2], data; outputs: loss, then θ (or the gradient), and m, v with Adam */
static tb_status compile(tb_workload *w) {
  const tb_descent *row = w->row;
  tb_value data[TB_DESCENT_INPUTS], gradient, out[4];
  tb_graph *g;
  tb_status status = tb_graph_new(w->context, &g);
  if (status)
    return status;
  const tb_value theta = tb_input(g, "theta", row->dtype, 1, &w->count);
  const tb_value m = tb_input(g, "m", row->dtype, 1, &w->count), v = tb_input(g, "v", row->dtype, 1, &w->count);
  const tb_value corrections = tb_input(g, "corrections", row->dtype, 1, (size_t[]){ 2 });
  for (size_t i = 0; i < row->n_inputs; i++) {
    const tb_descent_input *input = &row->inputs[i];
    data[i] = tb_input(g, input->name, input_dtype(row, input), input->rank, input->dims);
  }
  const size_t shape[] = { row->replicas, w->count / row->replicas };
  const tb_value losses = row->loss(g, tb_reshape(g, theta, 2, shape), data);
  tb_gradient(g, tb_sum(g, losses), 1, &theta, &gradient);
  out[0] = tb_mean(g, losses);
  out[1] = gradient;
  if (row->rule == TB_RULE_PLAIN)
    out[1] = tb_subtract(g, theta, tb_scale(g, gradient, row->lr));
  else if (row->rule == TB_RULE_ADAM)
    adam(g, row, theta, m, v, corrections, gradient, out + 1);
  status = tb_program_new(w->context, g, row->rule == TB_RULE_ADAM ? 4 : 2, out, NULL, &w->program);
  tb_graph_free(g);
  return status;
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

/* An array of `room` numbers, the first `count` of which are filled. */
static tb_status filled(tb_workload *w, tb_dtype dtype, size_t count, size_t room, void (*fill)(size_t, double *),
                        void **out) {
  double *wide = tb_allocate(w->context, count, sizeof *wide);
  *out = tb_allocate(w->context, room, width_of(dtype));
  if (wide && *out) {
    fill(count, wide);
    narrow(dtype, count, wide, *out);
  }
  tb_release(w->context, wide);
  return wide && *out ? TB_OK : TB_NO_MEMORY;
}

void tb_descent_close(tb_workload *w) {
  tb_context *context = w->context;
  tb_program_free(w->program);
  for (int k = 0; k < 2; k++)
    tb_release(context, w->state[k]);
  for (size_t i = 0; i < w->row->n_inputs; i++)
    tb_release(context, w->data[i]);
  tb_release(context, w);
}

tb_status tb_descent_open(tb_context *context, const tb_descent *row, tb_workload **out) {
  tb_workload *w = tb_allocate(context, 1, sizeof *w);
  if (!w)
    return TB_NO_MEMORY;
  w->context = context;
  w->row = row;
  w->count = row->replicas * row->parameters();
  tb_status status = compile(w);
  for (int k = 0; !status && k < 2; k++)
    status = filled(w, row->dtype, w->count, 3 * w->count, row->start, &w->state[k]);
  for (size_t i = 0; !status && i < row->n_inputs; i++) {
    const size_t count = input_count(&row->inputs[i]);
    status = filled(w, input_dtype(row, &row->inputs[i]), count, count, row->inputs[i].fill, &w->data[i]);
  }
  if (status) {
    tb_descent_close(w);
    return status;
  }
  *out = w;
  return TB_OK;
}

/* ---- a step ---- */

tb_status tb_descent_step(tb_workload *w, double *loss) {
  const tb_descent *row = w->row;
  const size_t block = w->count * width_of(row->dtype);
  const char *from = w->state[w->now];
  char *to = w->state[!w->now];
  const void *in[4 + TB_DESCENT_INPUTS] = { from, from + block, from + 2 * block };
  double wide[2], value;
  float slim[2];
  for (size_t i = 0; i < row->n_inputs; i++) {
    if (row->inputs[i].counts)
      ((int32_t *)w->data[i])[input_count(&row->inputs[i]) - 1] = (int32_t)w->step;
    in[4 + i] = w->data[i];
  }
  const double k = (double)++w->step;
  wide[0] = 1 / (1 - pow(beta1, k));
  wide[1] = 1 / (1 - pow(beta2, k));
  slim[0] = (float)wide[0];
  slim[1] = (float)wide[1];
  in[3] = row->dtype == TB_FLOAT64 ? (void *)wide : (void *)slim;
  const tb_status status = tb_program_run(w->program, 4 + row->n_inputs, in, row->rule == TB_RULE_ADAM ? 4 : 2,
                                          (void *[]){ &value, to, to + block, to + 2 * block });
  if (row->rule != TB_RULE_NONE)
    w->now = !w->now;
  float single;
  memcpy(&single, &value, sizeof single);
  *loss = row->dtype == TB_FLOAT64 ? value : (double)single;
  return status;
}

double tb_descent_flop(const tb_workload *w) {
  return tb_program_cost(w->program).flop;
}

/* Without an update the gradient stands in the state that isn't the current one. */
const void *tb_descent_parameters(const tb_workload *w, size_t *bytes) {
  *bytes = w->count * width_of(w->row->dtype);
  return w->state[w->row->rule == TB_RULE_NONE ? !w->now : w->now];
}

/* ---- the file ---- */

/* Parameters: a block an array; those of several replicas in one, theta [R,p]. */
static void parameter_arrays(const tb_workload *w, tb_array_type type, size_t *count, tb_array *arrays,
                             char (*names)[32]) {
  const tb_descent *row = w->row;
  const char *theta = w->state[w->now];
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

/* A network without attention, read a place at a time.
 *
 * Memory by place (the linear model's embeddings) is [1,B,rows,C]: C columns of which those read so far are filled,
 * the others zero.  C grows by a third as strings grow, with a program for each C; so short strings never pay for long
 * ones. */
#include "language/reader.h"

#include <string.h>

enum { LEAST_COLUMNS = 16, MOST_PROGRAMS = 64 };

typedef struct array {
  size_t rows;
  bool by_place;
  char *values; /* [B, rows, C], or [B, rows] */
  char *fresh;  /* [B, rows]: what the step gives */
} array;

typedef struct network {
  const tb_sequence_model *model;
  tb_sequence_shape shape;
  tb_dtype dtype;
  size_t width, parameters, n_arrays; /* width: bytes of a number */
  array *arrays;
  char *theta, *scores;
  const void **in;
  void **out;
  int32_t place;
  size_t columns;
  size_t n_programs;
  struct {
    size_t columns;
    tb_program *program;
  } programs[MOST_PROGRAMS];
} network;

static void release(tb_reader *r) {
  network *n = r->data;
  if (!n)
    return;
  for (size_t i = 0; i < n->n_programs; i++)
    tb_program_free(n->programs[i].program);
  for (size_t k = 0; n->arrays && k < n->n_arrays; k++) {
    tb_release(r->context, n->arrays[k].values);
    tb_release(r->context, n->arrays[k].fresh);
  }
  tb_release(r->context, n->arrays);
  tb_release(r->context, n->theta);
  tb_release(r->context, n->scores);
  tb_release(r->context, n->in);
  tb_release(r->context, n->out);
  tb_release(r->context, n);
}

/* inputs: θ, tokens, place, memory; outputs: scores, what belongs into the memory */
static tb_status compile(tb_reader *r, size_t columns, tb_program **program) {
  const network *n = r->data;
  tb_value memory[TB_SEQUENCE_MEMORY], out[1 + TB_SEQUENCE_MEMORY];
  tb_graph *g;
  tb_status status = tb_graph_new(r->context, &g);
  if (status)
    return status;
  const tb_value theta = tb_input(g, "theta", n->dtype, 2, (size_t[]){ 1, n->parameters });
  const tb_value tokens = tb_input(g, "tokens", TB_INT32, 2, (size_t[]){ 1, r->batch });
  const tb_value place = tb_input(g, "place", TB_INT32, 0, NULL);
  for (size_t k = 0; k < n->n_arrays; k++) {
    const array *a = &n->arrays[k];
    memory[k] = tb_input(g, "memory", n->dtype, a->by_place ? 4 : 3, (size_t[]){ 1, r->batch, a->rows, columns });
  }
  out[0] = n->model->step(g, &n->shape, theta, tokens, place, memory, out + 1);
  status = tb_program_new(r->context, g, 1 + n->n_arrays, out, NULL, program);
  tb_graph_free(g);
  return status;
}

static tb_status program_of(tb_reader *r, size_t columns, tb_program **program) {
  network *n = r->data;
  for (size_t i = 0; i < n->n_programs; i++)
    if (n->programs[i].columns == columns) {
      *program = n->programs[i].program;
      return TB_OK;
    }
  tb_status status = compile(r, columns, program);
  if (!status) {
    n->programs[n->n_programs].columns = columns;
    n->programs[n->n_programs++].program = *program;
  }
  return status;
}

/* Arrays by place with `columns` columns: what is there is kept, the rest is zero. */
static tb_status widen(tb_reader *r, size_t columns) {
  network *n = r->data;
  for (size_t k = 0; k < n->n_arrays; k++) {
    array *a = &n->arrays[k];
    const size_t rows = r->batch * a->rows;
    if (!a->by_place)
      continue;
    char *wider = tb_allocate(r->context, rows * columns, n->width);
    if (!wider)
      return TB_NO_MEMORY;
    for (size_t i = 0; i < rows && a->values; i++)
      memcpy(wider + i * columns * n->width, a->values + i * n->columns * n->width, n->columns * n->width);
    tb_release(r->context, a->values);
    a->values = wider;
  }
  n->columns = columns;
  return TB_OK;
}

/* A third more, in whole multiples of the least. */
static size_t next_columns(const network *n, size_t columns) {
  const size_t wider = (columns + columns / 3) / LEAST_COLUMNS * LEAST_COLUMNS + LEAST_COLUMNS;
  return wider < n->shape.length ? wider : n->shape.length;
}

static tb_status start(tb_reader *r) {
  network *n = r->data;
  n->place = 0;
  for (size_t k = 0; k < n->n_arrays; k++)
    if (!n->arrays[k].by_place)
      memset(n->arrays[k].values, 0, r->batch * n->arrays[k].rows * n->width);
    else {
      tb_release(r->context, n->arrays[k].values);
      n->arrays[k].values = NULL;
    }
  n->columns = 0;
  return widen(r, next_columns(n, 0));
}

/* The step's column into its place. */
static void keep(const tb_reader *r, array *a) {
  const network *n = r->data;
  const size_t rows = r->batch * a->rows, place = (size_t)n->place;
  if (!a->by_place) {
    char *swap = a->values;
    a->values = a->fresh;
    a->fresh = swap;
  } else if (n->dtype == TB_FLOAT32)
    for (size_t i = 0; i < rows; i++)
      ((float *)a->values)[i * n->columns + place] = ((const float *)a->fresh)[i];
  else
    for (size_t i = 0; i < rows; i++)
      ((double *)a->values)[i * n->columns + place] = ((const double *)a->fresh)[i];
}

static tb_status read(tb_reader *r, const int32_t *tokens, double *scores) {
  network *n = r->data;
  tb_program *program;
  if ((size_t)n->place >= n->shape.length)
    return tb_fail(r->context, TB_USAGE, NULL, NULL, "more than %zu tokens in a string", n->shape.length);
  tb_status status = TB_OK;
  if ((size_t)n->place == n->columns)
    status = widen(r, next_columns(n, n->columns));
  if (!status)
    status = program_of(r, n->columns, &program);
  if (status)
    return status;
  n->in[0] = n->theta;
  n->in[1] = tokens;
  n->in[2] = &n->place;
  n->out[0] = n->scores;
  for (size_t k = 0; k < n->n_arrays; k++) {
    n->in[3 + k] = n->arrays[k].values;
    n->out[1 + k] = n->arrays[k].fresh;
  }
  status = tb_program_run(program, 3 + n->n_arrays, n->in, 1 + n->n_arrays, n->out);
  if (status)
    return status;
  for (size_t k = 0; k < n->n_arrays; k++)
    keep(r, &n->arrays[k]);
  n->place++;
  for (size_t i = 0; i < r->batch * r->vocabulary; i++)
    scores[i] = n->dtype == TB_FLOAT32 ? (double)((const float *)n->scores)[i] : ((const double *)n->scores)[i];
  return TB_OK;
}

static void move(tb_reader *r, const double *theta) {
  network *n = r->data;
  for (size_t i = 0; i < n->parameters; i++)
    if (n->dtype == TB_FLOAT32)
      ((float *)n->theta)[i] = (float)theta[i];
    else
      ((double *)n->theta)[i] = theta[i];
}

static tb_status prepare(tb_reader *r) {
  network *n = r->data;
  size_t rows;
  bool by_place;
  while (n->n_arrays < TB_SEQUENCE_MEMORY && n->model->memory(&n->shape, n->n_arrays, &rows, &by_place))
    n->n_arrays++;
  n->arrays = tb_allocate(r->context, n->n_arrays, sizeof *n->arrays);
  n->theta = tb_allocate(r->context, n->parameters, n->width);
  n->scores = tb_allocate(r->context, r->batch * r->vocabulary, n->width);
  n->in = tb_allocate(r->context, 3 + n->n_arrays, sizeof *n->in);
  n->out = tb_allocate(r->context, 1 + n->n_arrays, sizeof *n->out);
  if (!n->arrays || !n->theta || !n->scores || !n->in || !n->out)
    return TB_NO_MEMORY;
  for (size_t k = 0; k < n->n_arrays; k++) {
    array *a = &n->arrays[k];
    n->model->memory(&n->shape, k, &a->rows, &a->by_place);
    a->fresh = tb_allocate(r->context, r->batch * a->rows, n->width);
    a->values = a->by_place ? NULL : tb_allocate(r->context, r->batch * a->rows, n->width);
    if (!a->fresh || (!a->by_place && !a->values))
      return TB_NO_MEMORY;
  }
  return TB_OK;
}

tb_status tb_network_reader(tb_context *context, const tb_sequence_model *model, const tb_sequence_shape *shape,
                            tb_dtype dtype, size_t batch, tb_reader **out) {
  *out = NULL;
  tb_status status = model->check(context, shape);
  if (status || model->attend)
    return status ? status : tb_attentive_reader(context, model, shape, dtype, batch, out);
  tb_reader *r = tb_allocate(context, 1, sizeof *r);
  network *n = r ? tb_allocate(context, 1, sizeof *n) : NULL;
  if (!n) {
    tb_release(context, r);
    return TB_NO_MEMORY;
  }
  *n = (network){ .model = model,
                  .shape = *shape,
                  .dtype = dtype,
                  .width = dtype == TB_FLOAT32 ? sizeof(float) : sizeof(double),
                  .parameters = model->parameters(shape) };
  *r = (tb_reader){ .context = context,
                    .vocabulary = shape->vocabulary,
                    .batch = batch,
                    .length = shape->length,
                    .start = start,
                    .read = read,
                    .move = move,
                    .free = release,
                    .data = n };
  status = prepare(r);
  if (!status)
    status = start(r);
  if (status) {
    tb_reader_free(r);
    return status;
  }
  *out = r;
  return TB_OK;
}

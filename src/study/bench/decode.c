/* decode: greedy completion of 256 prompts by 300 symbols, through the cache, with the published transformer.
 *
 * The end is never chosen, so that the work is the same whatever the weights.  Prompts: the strings of {a, b}⁸. */
#include "study/bench/workload.h"

#include <math.h>
#include <string.h>

#include "io/npz.h"
#include "language/reader.h"

enum { PROMPTS = 256, ROWS = 32, PROMPT = 8, NEW = 300, A = 0, B = 1, START = 3, V = 5, TOKENS = PROMPT + NEW };

struct tb_workload {
  tb_context *context;
  tb_reader *reader;
  size_t parameters;
  double *theta;
  float *single; /* θ as it is computed with */
  int32_t chosen[ROWS];
  double scores[ROWS * V];
};

static const tb_sequence_shape shape = { .vocabulary = V,
                                         .length = TOKENS,
                                         .layers = 5,
                                         .width = 10,
                                         .heads = 5,
                                         .feedforward = 1024,
                                         .post_norm = true,
                                         .position = TB_POSITION_SINUSOIDAL };

static void close_workload(tb_workload *w) {
  if (!w)
    return;
  tb_reader_free(w->reader);
  tb_release(w->context, w->theta);
  tb_release(w->context, w->single);
  tb_release(w->context, w);
}

static tb_status open_workload(tb_context *context, tb_workload **out) {
  const tb_sequence_model *model = tb_sequence_model_find("transformer");
  tb_workload *w = *out = tb_allocate(context, 1, sizeof *w);
  if (!w)
    return TB_NO_MEMORY;
  w->context = context;
  w->parameters = model->parameters(&shape);
  w->theta = tb_allocate(context, w->parameters, sizeof *w->theta);
  w->single = tb_allocate(context, w->parameters, sizeof *w->single);
  tb_status status = w->theta && w->single ? TB_OK : TB_NO_MEMORY;
  if (!status)
    status = tb_network_reader(context, model, &shape, TB_FLOAT32, ROWS, &w->reader);
  if (status) {
    close_workload(w);
    *out = NULL;
    return status;
  }
  model->initialise(&shape, (tb_key){ .seed = 0 }, w->theta);
  for (size_t i = 0; i < w->parameters; i++)
    w->single[i] = (float)w->theta[i];
  tb_network_reader_move(w->reader, w->theta);
  return TB_OK;
}

/* The likelier of a and b; adds what it cost. */
static int32_t choose(const double *scores, double *nats) {
  const int32_t best = scores[B] > scores[A] ? B : A;
  double sum = 0;
  for (size_t v = 0; v < V; v++)
    sum += exp(scores[v] - scores[best]);
  *nats += log(sum);
  return best;
}

/* Prompts number first … first + ROWS − 1. */
static tb_status complete(tb_workload *w, size_t first, double *nats) {
  for (size_t i = 0; i < ROWS; i++)
    w->chosen[i] = START;
  tb_status status = tb_reader_start(w->reader);
  for (size_t t = 0; t < TOKENS && !status; t++) {
    status = tb_reader_read(w->reader, w->chosen, w->scores);
    for (size_t i = 0; i < ROWS && !status; i++)
      w->chosen[i] = t < PROMPT ? (int32_t)((first + i) >> (PROMPT - 1 - t) & 1) : choose(w->scores + i * V, nats);
  }
  return status;
}

/* loss: nats a chosen symbol */
static tb_status step(tb_workload *w, double *loss) {
  double nats = 0;
  tb_status status = TB_OK;
  for (size_t first = 0; first < PROMPTS && !status; first += ROWS)
    status = complete(w, first, &nats);
  *loss = nats / (PROMPTS * NEW);
  return status;
}

/* Products with weights; attention over what has been read. */
static double flop(const tb_workload *w) {
  const double d = (double)shape.width, f = (double)shape.feedforward, l = (double)shape.layers;
  const double token = 2 * l * (4 * d * d + 2 * d * f) + 2 * d * V, seen = (TOKENS + 1) / 2.0;
  return PROMPTS * TOKENS * (token + 4 * l * d * seen);
}

static const void *parameters(const tb_workload *w, size_t *bytes) {
  *bytes = w->parameters * sizeof *w->single;
  return w->single;
}

static tb_status save(tb_workload *w, const char *path) {
  const tb_sequence_model *model = tb_sequence_model_find("transformer");
  enum { MOST = 80 };
  tb_array arrays[MOST];
  char names[MOST][32];
  size_t count = 0, at = 0, rows, cols;
  for (; count < MOST && model->block(&shape, count, names[count], &rows, &cols); count++) {
    arrays[count] = (tb_array){
      .name = names[count], .type = TB_ARRAY_FLOAT32, .rank = 2, .dims = { rows, cols }, .data = w->single + at
    };
    at += rows * cols;
  }
  return tb_npz_write(w->context, path, count, arrays);
}

const tb_workload_record tb_workload_decode = {
  .name = "decode",
  .summary = "256 prompts completed by 300 symbols through the cache: transformer d 10, 5 heads, 5 layers, hidden 1024",
  .dtype = "float32",
  .steps = 3,
  .open = open_workload,
  .step = step,
  .flop = flop,
  .parameters = parameters,
  .save = save,
  .close = close_workload,
};

/* A network with attention, read a place at a time.
 *
 * A step is layers + 1 compiled programs, parted by attention, which a kernel computes over the keys and values kept
 * here: for each layer, row and head a stream of pages, a few places each, in the kernel's layout.  All of it is read
 * at every step: batches of some dozen rows stay near enough to be fast. */
#include "language/reader.h"

#include <string.h>

#include "engine/kernels/kernels.h"

typedef struct attentive {
  const tb_sequence_model *model;
  tb_sequence_shape shape;
  tb_dtype dtype;
  const tb_kernels *kernels;
  size_t number, parameters; /* bytes of a number; p */
  size_t place, pages;       /* read so far; room for */
  size_t stages;
  tb_program **programs; /* [stages] */
  char *theta;
  char *memory; /* [stages − 1][batch][heads][pages] */
  char *stream[2], *seen, *query, *key, *value, *logits;
  char *scratch;
} attentive;

static void release(tb_reader *r) {
  attentive *n = r->data;
  void *const blocks[] = { n->theta, n->memory, n->stream[0], n->stream[1], n->seen,
                           n->query, n->key,    n->value,     n->logits,    n->scratch };
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
    tb_release(r->context, blocks[i]);
  for (size_t k = 0; n->programs && k < n->stages; k++)
    tb_program_free(n->programs[k]);
  tb_release(r->context, n->programs);
  tb_release(r->context, n);
}

/* inputs: θ, tokens, place, stream, seen; outputs: stream, query, key, value, or logits at the end */
static tb_status compile(tb_reader *r, size_t k) {
  attentive *n = r->data;
  const size_t stream[] = { 1, r->batch, n->shape.width };
  tb_transformer_stage stage;
  tb_graph *g;
  tb_status status = tb_graph_new(r->context, &g);
  if (status)
    return status;
  const tb_value theta = tb_input(g, "theta", n->dtype, 2, (size_t[]){ 1, n->parameters });
  stage.tokens = tb_input(g, "tokens", TB_INT32, 2, (size_t[]){ 1, r->batch });
  stage.place = tb_input(g, "place", TB_INT32, 0, NULL);
  stage.stream = tb_input(g, "stream", n->dtype, 3, stream);
  stage.seen = tb_input(g, "seen", n->dtype, 3, stream);
  n->model->attend(g, &n->shape, theta, k, &stage);
  if (k + 1 < n->stages)
    status = tb_program_new(r->context, g, 4, (tb_value[]){ stage.stream, stage.query, stage.key, stage.value }, NULL,
                            &n->programs[k]);
  else
    status = tb_program_new(r->context, g, 1, &stage.logits, NULL, &n->programs[k]);
  tb_graph_free(g);
  return status;
}

/* Bytes of a page of a head: keys and values of `places` places. */
static size_t page_bytes(const attentive *n) {
  return 2 * (n->shape.width / n->shape.heads) * n->kernels->recall->places * n->number;
}

/* Room for half as many pages more: what is there is kept. */
static tb_status widen(tb_reader *r) {
  attentive *n = r->data;
  const size_t wider = n->pages + n->pages / 2 + 2, page = page_bytes(n);
  const size_t streams = (n->stages - 1) * r->batch * n->shape.heads;
  char *fresh = tb_allocate(r->context, streams * wider, page);
  if (!fresh)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < streams && n->memory; i++)
    memcpy(fresh + i * wider * page, n->memory + i * n->pages * page, n->pages * page);
  tb_release(r->context, n->memory);
  tb_release(r->context, n->scratch);
  n->memory = fresh;
  n->pages = wider;
  n->scratch = tb_allocate(r->context, wider * n->kernels->recall->places, n->number);
  return n->scratch ? TB_OK : TB_NO_MEMORY;
}

/* key[width] and value[width] of this place into its page of a stream. */
static void keep(const attentive *n, char *stream, size_t width, const char *key, const char *value) {
  const size_t places = n->kernels->recall->places, lane = n->place % places;
  char *page = stream + n->place / places * page_bytes(n);
  for (size_t f = 0; f < width; f++) {
    const size_t at = f * places + lane, beyond = at + width * places;
    if (n->dtype == TB_FLOAT32) {
      ((float *)page)[at] = ((const float *)key)[f];
      ((float *)page)[beyond] = ((const float *)value)[f];
    } else {
      ((double *)page)[at] = ((const double *)key)[f];
      ((double *)page)[beyond] = ((const double *)value)[f];
    }
  }
}

/* Attention of a layer for all rows. */
static void recall(attentive *n, size_t layer, size_t rows) {
  const size_t width = n->shape.width, heads = n->shape.heads, head = width / heads;
  char *stream = n->memory + layer * rows * heads * n->pages * page_bytes(n);
  for (size_t i = 0; i < rows * heads; i++, stream += n->pages * page_bytes(n)) {
    const size_t own = i * head * n->number;
    keep(n, stream, head, n->key + own, n->value + own);
    n->kernels->recall->run(n->place + 1, head, n->query + own, stream, n->model->slope(&n->shape, i % heads),
                            n->seen + own, n->scratch);
  }
}

static tb_status read(tb_reader *r, const int32_t *tokens, double *scores) {
  attentive *n = r->data;
  const int32_t place = (int32_t)n->place;
  if (n->place >= n->shape.length)
    return tb_fail(r->context, TB_USAGE, NULL, NULL, "more than %zu tokens in a string", n->shape.length);
  tb_status status = n->place == n->pages * n->kernels->recall->places ? widen(r) : TB_OK;
  for (size_t k = 0; k < n->stages && !status; k++) {
    const void *const in[] = { n->theta, tokens, &place, n->stream[k % 2], n->seen };
    const bool last = k + 1 == n->stages;
    void *const out[] = { last ? n->logits : n->stream[(k + 1) % 2], n->query, n->key, n->value };
    status = tb_program_run(n->programs[k], 5, in, last ? 1 : 4, out);
    if (!status && !last)
      recall(n, k, r->batch);
  }
  for (size_t i = 0; i < r->batch * r->vocabulary && !status; i++)
    scores[i] = n->dtype == TB_FLOAT32 ? (double)((float *)n->logits)[i] : ((double *)n->logits)[i];
  n->place += !status;
  return status;
}

static tb_status start(tb_reader *r) {
  attentive *n = r->data;
  n->place = 0;
  return TB_OK;
}

static void move(tb_reader *r, const double *theta) {
  attentive *n = r->data;
  for (size_t i = 0; i < n->parameters; i++)
    if (n->dtype == TB_FLOAT32)
      ((float *)n->theta)[i] = (float)theta[i];
    else
      ((double *)n->theta)[i] = theta[i];
}

static tb_status prepare(tb_reader *r) {
  attentive *n = r->data;
  const size_t stream = r->batch * n->shape.width;
  char **const arrays[] = { &n->stream[0], &n->stream[1], &n->seen, &n->query, &n->key, &n->value };
  n->programs = tb_allocate(r->context, n->stages, sizeof(tb_program *));
  n->theta = tb_allocate(r->context, n->parameters, n->number);
  n->logits = tb_allocate(r->context, r->batch * r->vocabulary, n->number);
  if (!n->programs || !n->theta || !n->logits)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    if (!(*arrays[i] = tb_allocate(r->context, stream, n->number)))
      return TB_NO_MEMORY;
  tb_status status = tb_kernels_choose(r->context, n->dtype, &n->kernels);
  for (size_t k = 0; k < n->stages && !status; k++)
    status = compile(r, k);
  return status ? status : widen(r);
}

tb_status tb_attentive_reader(tb_context *context, const tb_sequence_model *model, const tb_sequence_shape *shape,
                              tb_dtype dtype, size_t batch, tb_reader **out) {
  *out = NULL;
  tb_reader *r = tb_allocate(context, 1, sizeof *r);
  attentive *n = r ? tb_allocate(context, 1, sizeof *n) : NULL;
  if (!n) {
    tb_release(context, r);
    return TB_NO_MEMORY;
  }
  *n = (attentive){ .model = model,
                    .shape = *shape,
                    .dtype = dtype,
                    .number = dtype == TB_FLOAT32 ? sizeof(float) : sizeof(double),
                    .parameters = model->parameters(shape),
                    .stages = shape->layers + 1 };
  *r = (tb_reader){ .context = context,
                    .vocabulary = shape->vocabulary,
                    .batch = batch,
                    .length = shape->length,
                    .start = start,
                    .read = read,
                    .move = move,
                    .free = release,
                    .data = n };
  const tb_status status = prepare(r);
  if (status) {
    tb_reader_free(r);
    return status;
  }
  *out = r;
  return TB_OK;
}

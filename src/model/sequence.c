/* The table of sequence models: the common shape in each network's own terms. */
#include "model/sequence.h"

#include <string.h>

#include "model/gru.h"
#include "model/lstm.h"

/* ---- transformer ---- */

/* The published network's constant (its other sizes are options). */
static const double norm_epsilon = 6e-3;

static tb_transformer_shape transformer_of(const tb_sequence_shape *s) {
  return (tb_transformer_shape){ .vocabulary = s->vocabulary,
                                 .width = s->width,
                                 .heads = s->heads,
                                 .feedforward = s->feedforward,
                                 .layers = s->layers,
                                 .length = s->length,
                                 .post_norm = s->post_norm,
                                 .scale_embedding = true,
                                 .activation = TB_RELU,
                                 .position = s->position,
                                 .place_by_row = s->place_by_row,
                                 .epsilon = norm_epsilon };
}

static tb_status transformer_check(tb_context *context, const tb_sequence_shape *s) {
  const tb_transformer_shape shape = transformer_of(s);
  return tb_transformer_check(context, &shape);
}

static size_t transformer_parameters(const tb_sequence_shape *s) {
  const tb_transformer_shape shape = transformer_of(s);
  return tb_transformer_parameters(&shape);
}

static bool transformer_block(const tb_sequence_shape *s, size_t k, char name[32], size_t *rows, size_t *cols) {
  const tb_transformer_shape shape = transformer_of(s);
  return tb_transformer_block(&shape, k, name, rows, cols);
}

static void transformer_initialise(const tb_sequence_shape *s, tb_key key, double *theta) {
  const tb_transformer_shape shape = transformer_of(s);
  tb_transformer_initialise(&shape, key, theta);
}

static tb_value transformer_logits(tb_graph *g, const tb_sequence_shape *s, tb_value theta, tb_value tokens,
                                   double rate, tb_value keys) {
  const tb_transformer_shape shape = transformer_of(s);
  return tb_transformer_logits_dropout(g, &shape, theta, tokens, rate, keys);
}

static void transformer_attend(tb_graph *g, const tb_sequence_shape *s, tb_value theta, size_t k,
                               tb_transformer_stage *stage) {
  const tb_transformer_shape shape = transformer_of(s);
  tb_transformer_step(g, &shape, theta, k, stage);
}

static double transformer_slope(const tb_sequence_shape *s, size_t head) {
  const tb_transformer_shape shape = transformer_of(s);
  return tb_transformer_slope(&shape, head);
}

static const tb_sequence_model transformer = {
  .name = "transformer",
  .summary = "decoder-only transformer: ReLU, embeddings times the root of the width",
  .formula = "h ← N(h + A(h)), h ← N(h + F(h)) (norm=post)",
  .source = "Vaswani et al. 2017",
  .check = transformer_check,
  .parameters = transformer_parameters,
  .block = transformer_block,
  .initialise = transformer_initialise,
  .logits = transformer_logits,
  .attend = transformer_attend,
  .slope = transformer_slope,
};

/* ---- recurrent networks ---- */

static tb_recurrent_shape recurrent_of(const tb_sequence_shape *s) {
  return (tb_recurrent_shape){
    .vocabulary = s->vocabulary, .inputs = s->embedding, .hidden = s->width, .layers = s->layers
  };
}

static bool recurrent_memory(const tb_cell *cell, const tb_sequence_shape *s, size_t k, size_t *rows, bool *by_place) {
  *rows = s->width;
  *by_place = false;
  return k < cell->carries * s->layers;
}

/* A record of a cell: the functions of recurrent.h with the cell filled in. */
#define RECURRENT(NAME, CELL, SUMMARY, FORMULA, SOURCE)                                                                \
  static tb_status NAME##_check(tb_context *context, const tb_sequence_shape *s) {                                     \
    const tb_recurrent_shape shape = recurrent_of(s);                                                                  \
    return tb_recurrent_check(context, &CELL, &shape);                                                                 \
  }                                                                                                                    \
  static size_t NAME##_parameters(const tb_sequence_shape *s) {                                                        \
    const tb_recurrent_shape shape = recurrent_of(s);                                                                  \
    return tb_recurrent_parameters(&CELL, &shape);                                                                     \
  }                                                                                                                    \
  static bool NAME##_block(const tb_sequence_shape *s, size_t k, char name[32], size_t *rows, size_t *cols) {          \
    const tb_recurrent_shape shape = recurrent_of(s);                                                                  \
    return tb_recurrent_block(&CELL, &shape, k, name, rows, cols);                                                     \
  }                                                                                                                    \
  static void NAME##_initialise(const tb_sequence_shape *s, tb_key key, double *theta) {                               \
    const tb_recurrent_shape shape = recurrent_of(s);                                                                  \
    tb_recurrent_initialise(&CELL, &shape, key, theta);                                                                \
  }                                                                                                                    \
  static tb_value NAME##_logits(tb_graph *g, const tb_sequence_shape *s, tb_value theta, tb_value tokens, double rate, \
                                tb_value keys) {                                                                       \
    const tb_recurrent_shape shape = recurrent_of(s);                                                                  \
    return tb_recurrent_logits(g, &CELL, &shape, theta, tokens, rate, keys);                                           \
  }                                                                                                                    \
  static bool NAME##_memory(const tb_sequence_shape *s, size_t k, size_t *rows, bool *by_place) {                      \
    return recurrent_memory(&CELL, s, k, rows, by_place);                                                              \
  }                                                                                                                    \
  static tb_value NAME##_step(tb_graph *g, const tb_sequence_shape *s, tb_value theta, tb_value tokens,                \
                              tb_value place, const tb_value *memory, tb_value *next) {                                \
    const tb_recurrent_shape shape = recurrent_of(s);                                                                  \
    return tb_recurrent_step(g, &CELL, &shape, theta, tokens, memory, next);                                           \
  }                                                                                                                    \
  static const tb_sequence_model NAME = { .name = #NAME,                                                               \
                                          .summary = SUMMARY,                                                          \
                                          .formula = FORMULA,                                                          \
                                          .source = SOURCE,                                                            \
                                          .check = NAME##_check,                                                       \
                                          .parameters = NAME##_parameters,                                             \
                                          .block = NAME##_block,                                                       \
                                          .initialise = NAME##_initialise,                                             \
                                          .logits = NAME##_logits,                                                     \
                                          .memory = NAME##_memory,                                                     \
                                          .step = NAME##_step }

RECURRENT(lstm, tb_lstm_cell, "long short-term memory, layers in a stack", "s ← f s + i u, h = o tanh(s)",
          "Hochreiter and Schmidhuber 1997; Gers et al. 2000");
RECURRENT(gru, tb_gru_cell, "gated recurrent unit, layers in a stack", "h ← (1 − z) n + z h", "Cho et al. 2014");

/* ---- the table ---- */

static const tb_sequence_model *const table[] = { &transformer, &lstm, &gru, &tb_sequence_linear, NULL };

const tb_sequence_model *const *tb_sequence_models(void) {
  return table;
}

const tb_sequence_model *tb_sequence_model_find(const char *name) {
  for (const tb_sequence_model *const *model = table; *model; model++)
    if (strcmp((*model)->name, name) == 0)
      return *model;
  return NULL;
}

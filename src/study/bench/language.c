/* transformer, transformer_published and lstm. */
#include "study/bench/descent.h"

#include <tiebreak/random.h>

#include "model/lstm.h"
#include "model/tokens.h"
#include "model/transformer.h"

static const tb_key start_key = { .seed = 0 };

static tb_value next_token(tb_graph *g, const tb_transformer_shape *shape, tb_value theta, const tb_value *data) {
  return tb_next_token_loss(g, tb_transformer_logits(g, shape, theta, data[0]), data[1], NULL);
}

/* ---- transformer: symbols at random, learned positions ---- */

enum { BATCH = 128, LENGTH = 64, SYMBOLS = 6 };

static const tb_transformer_shape small = { .vocabulary = SYMBOLS,
                                            .width = 32,
                                            .heads = 4,
                                            .feedforward = 128,
                                            .layers = 2,
                                            .length = LENGTH,
                                            .activation = TB_GELU,
                                            .position = TB_POSITION_LEARNED,
                                            .epsilon = 1e-5 };

static size_t small_parameters(void) {
  return tb_transformer_parameters(&small);
}

static bool small_block(size_t k, char name[32], size_t *rows, size_t *cols) {
  return tb_transformer_block(&small, k, name, rows, cols);
}

static void small_start(size_t count, double *theta) {
  tb_transformer_initialise(&small, start_key, theta);
}

static void symbols(size_t count, double *values, size_t ahead) {
  const tb_key key = { .seed = 0, .use = tb_use("symbols") };
  for (size_t i = 0; i < count; i++)
    values[i] = (double)tb_random_below(key, i / LENGTH * (LENGTH + 1) + i % LENGTH + ahead, SYMBOLS);
}

static void small_tokens(size_t count, double *values) {
  symbols(count, values, 0);
}

static void small_targets(size_t count, double *values) {
  symbols(count, values, 1);
}

static tb_value small_loss(tb_graph *g, tb_value theta, const tb_value *data) {
  return next_token(g, &small, theta, data);
}

static const tb_descent transformer = {
  .dtype = TB_FLOAT32,
  .replicas = 1,
  .update = TB_UPDATE_ADAM,
  .lr = 1e-3,
  .parameters = small_parameters,
  .block = small_block,
  .start = small_start,
  .n_inputs = 2,
  .inputs = { { "tokens", TB_INT32, 2, { BATCH, LENGTH }, small_tokens, false },
              { "targets", TB_INT32, 2, { BATCH, LENGTH }, small_targets, false } },
  .loss = small_loss,
};

TB_DESCENT_ROW(transformer, transformer, "transformer d 32, 4 heads, 2 layers, batch 128 × 64, pre-norm, Adam",
               "float32", 20);

/* ---- transformer_published: a^n b^n, n = 1 … 128 ---- */

enum { STRINGS = 128, PLACES = 257, A = 0, B_ = 1, SOS = 2, EOS = 3, PAD = 4 };

static const tb_transformer_shape published = { .vocabulary = 5,
                                                .width = 10,
                                                .heads = 5,
                                                .feedforward = 1024,
                                                .layers = 5,
                                                .length = PLACES,
                                                .post_norm = true,
                                                .scale_embedding = true,
                                                .activation = TB_RELU,
                                                .position = TB_POSITION_SINUSOIDAL,
                                                .epsilon = 6e-3 };

static size_t published_parameters(void) {
  return tb_transformer_parameters(&published);
}

static bool published_block(size_t k, char name[32], size_t *rows, size_t *cols) {
  return tb_transformer_block(&published, k, name, rows, cols);
}

static void published_start(size_t count, double *theta) {
  tb_transformer_initialise(&published, start_key, theta);
}

/* Symbol at place t of SOS a^n b^n EOS PAD … */
static double symbol(size_t n, size_t t) {
  if (t == 0)
    return SOS;
  return t <= n ? A : t <= 2 * n ? B_ : t == 2 * n + 1 ? EOS : PAD;
}

static void published_tokens(size_t count, double *values) {
  for (size_t i = 0; i < count; i++)
    values[i] = symbol(i / PLACES + 1, i % PLACES);
}

static void published_targets(size_t count, double *values) {
  for (size_t i = 0; i < count; i++)
    values[i] = symbol(i / PLACES + 1, i % PLACES + 1);
}

static tb_value published_loss(tb_graph *g, tb_value theta, const tb_value *data) {
  return next_token(g, &published, theta, data);
}

static const tb_descent transformer_published = {
  .dtype = TB_FLOAT32,
  .replicas = 1,
  .update = TB_UPDATE_ADAM,
  .lr = 2e-3,
  .decay = 0.01,
  .parameters = published_parameters,
  .block = published_block,
  .start = published_start,
  .n_inputs = 2,
  .inputs = { { "tokens", TB_INT32, 2, { STRINGS, PLACES }, published_tokens, false },
              { "targets", TB_INT32, 2, { STRINGS, PLACES }, published_targets, false } },
  .loss = published_loss,
};

TB_DESCENT_ROW(transformer_published, transformer_published,
               "transformer d 10, 5 heads, feed-forward 1024, 5 layers, batch 128 × 257, post-norm, AdamW", "float32",
               3);

/* ---- lstm: half the mean square of all states, gradient only ---- */

static const tb_lstm_shape recurrent = { .inputs = 32, .hidden = 64, .layers = 1 };

static size_t lstm_parameters(void) {
  return tb_lstm_parameters(&recurrent);
}

static bool lstm_block(size_t k, char name[32], size_t *rows, size_t *cols) {
  return tb_lstm_block(&recurrent, k, name, rows, cols);
}

static void lstm_start(size_t count, double *theta) {
  tb_lstm_initialise(&recurrent, start_key, theta);
}

static void lstm_inputs(size_t count, double *values) {
  tb_random_normal((tb_key){ .seed = 0, .use = tb_use("inputs") }, 0, count, values);
}

static tb_value lstm_loss(tb_graph *g, tb_value theta, const tb_value *data) {
  const tb_value states = tb_lstm_states(g, &recurrent, theta, data[0]); /* [T,R,B,H] */
  return tb_scale(g, tb_reduce(g, TB_MEAN, tb_square(g, states), 1u << 0 | 1u << 2 | 1u << 3, false), 0.5);
}

static const tb_descent lstm = {
  .dtype = TB_FLOAT32,
  .replicas = 1,
  .update = TB_UPDATE_NONE,
  .parameters = lstm_parameters,
  .block = lstm_block,
  .start = lstm_start,
  .n_inputs = 1,
  .inputs = { { "x", TB_FLOAT32, 4, { 1, 64, 32, 32 }, lstm_inputs, false } }, /* [R,T,B,in] */
  .loss = lstm_loss,
};

TB_DESCENT_ROW(lstm, lstm, "LSTM 32 inputs, hidden 64, 64 steps, batch 32, gradient", "float32", 100);

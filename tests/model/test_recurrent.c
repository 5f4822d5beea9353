/* The LSTM and the matrix factorisation against plain loops, their derivatives against differences. */
#include "model_testing.h"

#include "model/factorisation.h"
#include "model/lstm.h"
#include "model/tokens.h"

/* ---- LSTM ---- */

enum { B = 3, T = 5, MOST = 16 };

static double sigmoid(double a) {
  return 1 / (1 + exp(-a));
}

/* One sequence x[T,in] through one layer's weights → h[T,H]; returns where the next layer's weights stand. */
static const double *plain_layer(size_t in, size_t H, const double *w, double x[][MOST], double h[][MOST]) {
  const double *v = w + 4 * H * in, *b = v + 4 * H * H, *c = b + 4 * H;
  double cell[MOST] = { 0 }, last[MOST] = { 0 };
  for (size_t t = 0; t < T; t++) {
    double z[4 * MOST];
    for (size_t i = 0; i < 4 * H; i++) {
      z[i] = b[i] + c[i];
      for (size_t j = 0; j < in; j++)
        z[i] += w[i * in + j] * x[t][j];
      for (size_t j = 0; j < H; j++)
        z[i] += v[i * H + j] * last[j];
    }
    for (size_t i = 0; i < H; i++) {
      cell[i] = sigmoid(z[H + i]) * cell[i] + sigmoid(z[i]) * tanh(z[2 * H + i]);
      h[t][i] = sigmoid(z[3 * H + i]) * tanh(cell[i]);
    }
    memcpy(last, h[t], sizeof last);
  }
  return c + 4 * H;
}

/* tokens[T] → logits[T,V]; without a vocabulary x[T,in] → h[T,H] */
static void plain_lstm(const tb_lstm_shape *s, const double *theta, const int32_t *tokens, const double *x,
                       double *out) {
  double from[T][MOST], to[T][MOST];
  for (size_t t = 0; t < T; t++)
    for (size_t i = 0; i < s->inputs; i++)
      from[t][i] = s->vocabulary ? theta[(size_t)tokens[t] * s->inputs + i] : x[t * s->inputs + i];
  theta += s->vocabulary * s->inputs;
  for (size_t l = 0; l < s->layers; l++) {
    theta = plain_layer(l ? s->hidden : s->inputs, s->hidden, theta, from, to);
    memcpy(from, to, sizeof from);
  }
  for (size_t t = 0; t < T; t++)
    for (size_t v = 0; v < (s->vocabulary ? s->vocabulary : s->hidden); v++) {
      double *y = out + t * (s->vocabulary ? s->vocabulary : s->hidden) + v;
      *y = s->vocabulary ? theta[s->vocabulary * s->hidden + v] : to[t][v];
      for (size_t i = 0; i < s->hidden && s->vocabulary; i++)
        *y += theta[v * s->hidden + i] * to[t][i];
    }
}

static const tb_lstm_shape samples[] = {
  { .vocabulary = 5, .inputs = 3, .hidden = 4, .layers = 1 },
  { .vocabulary = 6, .inputs = 7, .hidden = 5, .layers = 3 },
  { .vocabulary = 0, .inputs = 3, .hidden = 7, .layers = 2 },
};
enum { SAMPLES = sizeof samples / sizeof *samples };

static void lstm_is_the_definition(void **state) {
  enum { R = 2 };
  for (int k = 0; k < SAMPLES; k++) {
    const tb_lstm_shape *s = &samples[k];
    const size_t p = tb_lstm_parameters(s), in = s->inputs, out = s->vocabulary ? s->vocabulary : s->hidden;
    double *theta = numbers(R * p), *y = numbers(R * B * T * out), *x = numbers(R * T * B * in);
    int32_t tokens[R * B * T];
    draw("theta", R * p, theta);
    draw("x", R * T * B * in, x);
    for (size_t i = 0; i < R * B * T; i++)
      tokens[i] = (int32_t)(i * 7 % 5);
    check(tb_lstm_check(context, s));
    for (int own = 0; own < (s->vocabulary ? 2 : 1); own++) {
      tb_graph *g;
      check(tb_graph_new(context, &g));
      const tb_value t = tb_input(g, "theta", TB_FLOAT64, 2, (size_t[]){ R, p });
      tb_value data, value;
      if (s->vocabulary) {
        data = own ? tb_input(g, "tokens", TB_INT32, 3, (size_t[]){ R, B, T })
                   : tb_input(g, "tokens", TB_INT32, 2, (size_t[]){ B, T });
        value = tb_lstm_logits(g, s, t, data);
      } else {
        data = tb_input(g, "x", TB_FLOAT64, 4, (size_t[]){ R, T, B, in });
        value = tb_transpose(g, tb_lstm_states(g, s, t, data), (size_t[]){ 1, 2, 0, 3 });
      }
      run(g, 2, (const void *[]){ theta, s->vocabulary ? (void *)tokens : (void *)x }, 1, &value, (void *[]){ y });
      for (size_t i = 0; i < R * B; i++) {
        double want[T * MOST], sequence[T * MOST];
        for (size_t u = 0; u < T; u++) /* x[R,T,B,in] */
          memcpy(sequence + u * in, x + ((i / B * T + u) * B + i % B) * in, in * sizeof *x);
        plain_lstm(s, theta + i / B * p, tokens + (own ? i : i % B) * T, sequence, want);
        for (size_t j = 0; j < T * out; j++)
          near(y[i * T * out + j], want[j], 1e-13);
      }
    }
    free(theta);
    free(x);
    free(y);
  }
}

static double plain_loss(const tb_lstm_shape *s, const double *theta, const int32_t *tokens) {
  double sum = 0, logits[T * MOST];
  for (size_t b = 0; b < B; b++) {
    plain_lstm(s, theta, tokens + b * T, NULL, logits);
    for (size_t t = 0; t < T; t++) {
      double total = 0;
      for (size_t v = 0; v < s->vocabulary; v++)
        total += exp(logits[t * s->vocabulary + v]);
      sum += log(total) - logits[t * s->vocabulary + (size_t)tokens[b * T + (t + 1) % T]];
    }
  }
  return sum / (B * T);
}

static void lstm_gradient_agrees_with_differences(void **state) {
  const tb_lstm_shape *s = &samples[1];
  const size_t p = tb_lstm_parameters(s);
  double *theta = numbers(p), *gradient = numbers(p), loss;
  int32_t tokens[B * T], next[B * T];
  draw("theta", p, theta);
  for (size_t i = 0; i < B * T; i++)
    tokens[i] = (int32_t)(i * i % 6);
  for (size_t i = 0; i < B * T; i++)
    next[i] = tokens[i / T * T + (i % T + 1) % T];
  tb_graph *g;
  check(tb_graph_new(context, &g));
  const tb_value t = tb_input(g, "theta", TB_FLOAT64, 2, (size_t[]){ 1, p });
  const tb_value in = tb_input(g, "tokens", TB_INT32, 2, (size_t[]){ B, T });
  const tb_value out = tb_input(g, "targets", TB_INT32, 2, (size_t[]){ B, T });
  tb_value y[2] = { tb_next_token_loss(g, tb_lstm_logits(g, s, t, in), out, NULL) };
  check(tb_gradient(g, tb_sum(g, y[0]), 1, &t, &y[1]));
  run(g, 3, (const void *[]){ theta, tokens, next }, 2, y, (void *[]){ &loss, gradient });
  near(loss, plain_loss(s, theta, tokens), 1e-13);
  for (size_t j = 0; j < p; j++) {
    const double kept = theta[j], h = 1e-5;
    theta[j] = kept + h;
    const double above = plain_loss(s, theta, tokens);
    theta[j] = kept - h;
    const double below = plain_loss(s, theta, tokens);
    theta[j] = kept;
    near(gradient[j], (above - below) / (2 * h), 1e-8);
  }
  free(theta);
  free(gradient);
}

static void lstm_sizes_and_start(void **state) {
  const tb_lstm_shape published = { .vocabulary = 5, .inputs = 10, .hidden = 64, .layers = 5 };
  assert_int_equal(tb_lstm_parameters(&published), 152951);
  for (int k = 0; k < SAMPLES; k++) {
    const size_t p = tb_lstm_parameters(&samples[k]);
    double *theta = numbers(p);
    size_t at = 0, rows, cols;
    char name[32];
    tb_lstm_initialise(&samples[k], (tb_key){ .seed = 5 }, theta);
    for (size_t b = 0; tb_lstm_block(&samples[k], b, name, &rows, &cols); at += rows * cols, b++)
      for (size_t i = at; i < at + rows * cols && name[0] != 'E'; i++)
        assert_true(theta[i] != 0 && fabs(theta[i]) <= 1 / sqrt((double)samples[k].hidden));
    assert_int_equal(at, p);
    free(theta);
  }
  assert_int_equal(tb_lstm_check(context, &(tb_lstm_shape){ .inputs = 3, .hidden = 0, .layers = 1 }), TB_USAGE);
  assert_int_equal(tb_lstm_check(context, &(tb_lstm_shape){ .inputs = 3, .hidden = 1 << 20, .layers = 1 }), TB_USAGE);
}

/* ---- factorisation ---- */

static const tb_factorisation_shape products[] = {
  { .rows = 3, .cols = 5, .depth = 1, .width = 2 },
  { .rows = 3, .cols = 5, .depth = 2, .width = 2 },
  { .rows = 4, .cols = 3, .depth = 4, .width = 5 },
};
enum { ENTRIES = 4 };
static const int32_t entries[ENTRIES] = { 0, 7, 11, 7 }; /* one twice */

/* P[rows,cols], multiplied from the left, that is in another order than the model's. */
static void plain_product(const tb_factorisation_shape *s, const double *theta, double *out) {
  double left[64] = { 0 }, next[64];
  for (size_t i = 0; i < s->rows; i++)
    left[i * s->rows + i] = 1;
  size_t inner = s->rows, end = tb_factorisation_parameters(s);
  for (size_t k = s->depth; k-- > 0;) {
    const size_t cols = k == 0 ? s->cols : s->width, rows = k + 1 == s->depth ? s->rows : s->width;
    const double *w = theta + (end -= rows * cols);
    for (size_t i = 0; i < s->rows; i++)
      for (size_t j = 0; j < cols; j++) {
        next[i * cols + j] = 0;
        for (size_t l = 0; l < rows; l++)
          next[i * cols + j] += left[i * inner + l] * w[l * cols + j];
      }
    inner = cols;
    memcpy(left, next, sizeof left);
  }
  memcpy(out, left, s->rows * s->cols * sizeof *out);
}

static void plain_losses(const tb_factorisation_shape *s, const double *theta, const double *matrix, double losses[2]) {
  double product[64];
  plain_product(s, theta, product);
  losses[0] = losses[1] = 0;
  for (size_t i = 0; i < s->rows * s->cols; i++)
    losses[0] += 0.5 * (product[i] - matrix[i]) * (product[i] - matrix[i]);
  for (size_t i = 0; i < ENTRIES; i++)
    losses[1] += 0.5 * pow(product[entries[i]] - matrix[i], 2);
}

static void factorisation_is_the_definition(void **state) {
  enum { R = 2 };
  for (size_t k = 0; k < sizeof products / sizeof *products; k++) {
    const tb_factorisation_shape *s = &products[k];
    const size_t p = tb_factorisation_parameters(s), all = s->rows * s->cols;
    double *theta = numbers(R * p), matrix[64], product[R * 64], losses[2][R],
           *gradient[2] = { numbers(R * p), numbers(R * p) };
    draw("theta", R * p, theta);
    draw("matrix", all, matrix);
    check(tb_factorisation_check(context, s));
    tb_graph *g;
    check(tb_graph_new(context, &g));
    const tb_value t = tb_input(g, "theta", TB_FLOAT64, 2, (size_t[]){ R, p });
    const tb_value m = tb_input(g, "matrix", TB_FLOAT64, 2, (size_t[]){ s->rows, s->cols });
    const tb_value at = tb_input(g, "entries", TB_INT32, 1, (size_t[]){ ENTRIES });
    const tb_value values = tb_input(g, "values", TB_FLOAT64, 1, (size_t[]){ ENTRIES });
    tb_value y[5] = { tb_factorisation_product(g, s, t) };
    y[1] = tb_factorisation_loss(g, y[0], m);
    y[2] = tb_factorisation_observed_loss(g, y[0], at, values);
    check(tb_gradient(g, tb_sum(g, y[1]), 1, &t, &y[3]));
    check(tb_gradient(g, tb_sum(g, y[2]), 1, &t, &y[4]));
    run(g, 4, (const void *[]){ theta, matrix, entries, matrix }, 5, y,
        (void *[]){ product, losses[0], losses[1], gradient[0], gradient[1] });
    for (size_t r = 0; r < R; r++) {
      double want[64], want_losses[2], above[2], below[2], *own = theta + r * p;
      plain_product(s, own, want);
      plain_losses(s, own, matrix, want_losses);
      for (size_t i = 0; i < all; i++)
        near(product[r * all + i], want[i], 1e-13);
      for (size_t j = 0; j < p; j++) {
        const double kept = own[j], h = 1e-5;
        own[j] = kept + h;
        plain_losses(s, own, matrix, above);
        own[j] = kept - h;
        plain_losses(s, own, matrix, below);
        own[j] = kept;
        for (int l = 0; l < 2; l++)
          near(gradient[l][r * p + j], (above[l] - below[l]) / (2 * h), 1e-7);
      }
      near(losses[0][r], want_losses[0], 1e-13);
      near(losses[1][r], want_losses[1], 1e-13);
    }
    free(theta);
    free(gradient[0]);
    free(gradient[1]);
  }
}

static void factorisation_sizes_and_start(void **state) {
  const tb_factorisation_shape s = { .rows = 100, .cols = 100, .depth = 3, .width = 100 };
  const size_t p = tb_factorisation_parameters(&s);
  double *theta = numbers(p), squares = 0;
  size_t rows, cols;
  char name[32];
  assert_int_equal(p, 30000);
  tb_factorisation_initialise(&s, 0.1, (tb_key){ .seed = 5 }, theta);
  for (size_t i = 0; i < p; i++)
    squares += theta[i] * theta[i];
  assert_true(fabs(squares / (double)p / 0.01 - 1) < 0.04); /* five standard errors */
  assert_true(tb_factorisation_block(&s, 2, name, &rows, &cols));
  assert_string_equal(name, "W3");
  assert_false(tb_factorisation_block(&s, 3, name, &rows, &cols));
  assert_int_equal(tb_factorisation_check(context, &(tb_factorisation_shape){ 3, 3, 0, 2 }), TB_USAGE);
  assert_int_equal(tb_factorisation_check(context, &(tb_factorisation_shape){ 1 << 16, 1 << 16, 1, 2 }), TB_USAGE);
  free(theta);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(lstm_is_the_definition),        cmocka_unit_test(lstm_gradient_agrees_with_differences),
    cmocka_unit_test(lstm_sizes_and_start),          cmocka_unit_test(factorisation_is_the_definition),
    cmocka_unit_test(factorisation_sizes_and_start),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

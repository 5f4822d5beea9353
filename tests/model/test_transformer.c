/* The transformer against a plain forward pass in loops, its position codes against their formulas, its derivatives
 * against differences, and the counts of published networks. */
#include "model_testing.h"

#include "model/tokens.h"
#include "model/transformer.h"

/* ---- the plain forward pass: one sequence, one replica ---- */

static const double *affine(const double *at, size_t out, size_t in, const double *x, double *y) {
  for (size_t i = 0; i < out; i++) {
    y[i] = at[out * in + i];
    for (size_t j = 0; j < in; j++)
      y[i] += at[i * in + j] * x[j];
  }
  return at + out * in + out;
}

static void layer_norm(const double *gain, size_t d, double epsilon, const double *x, double *y) {
  double mean = 0, variance = 0;
  for (size_t i = 0; i < d; i++)
    mean += x[i] / (double)d;
  for (size_t i = 0; i < d; i++)
    variance += (x[i] - mean) * (x[i] - mean) / (double)d;
  for (size_t i = 0; i < d; i++)
    y[i] = (x[i] - mean) / sqrt(variance + epsilon) * gain[i] + gain[d + i];
}

static double activation(tb_unary kind, double a) {
  return kind == TB_GELU ? 0.5 * a * (1 + erf(a / sqrt(2))) : fmax(a, 0);
}

/* Rotation as a complex product: (a + ib) e^{iφ}. */
static void rotate(double *x, size_t width, size_t place) {
  for (size_t i = 0; i < width / 2; i++) {
    const double phi = (double)place / pow(10000, 2.0 * (double)i / (double)width);
    const double a = x[i], b = x[width / 2 + i];
    x[i] = a * cos(phi) - b * sin(phi);
    x[width / 2 + i] = a * sin(phi) + b * cos(phi);
  }
}

enum { MOST_LENGTH = 7, MOST_WIDTH = 16 };

static void attend(const tb_transformer_shape *s, size_t length, double qkv[][3 * MOST_WIDTH],
                   double out[][MOST_WIDTH]) {
  const size_t d = s->width, h = d / s->heads;
  for (size_t k = 0; k < s->heads; k++) {
    for (size_t t = 0; t < length && s->position == TB_POSITION_ROPE; t++) {
      rotate(qkv[t] + k * h, h, t);
      rotate(qkv[t] + d + k * h, h, t);
    }
    const double slope = s->position == TB_POSITION_ALIBI ? pow(2, -8.0 * (double)(k + 1) / (double)s->heads) : 0;
    for (size_t t = 0; t < length; t++) {
      double weight[MOST_LENGTH], total = 0;
      for (size_t u = 0; u <= t; u++) {
        double score = 0;
        for (size_t i = 0; i < h; i++)
          score += qkv[t][k * h + i] * qkv[u][d + k * h + i];
        weight[u] = exp(score / sqrt((double)h) - slope * (double)(t - u));
        total += weight[u];
      }
      for (size_t i = 0; i < h; i++) {
        out[t][k * h + i] = 0;
        for (size_t u = 0; u <= t; u++)
          out[t][k * h + i] += weight[u] / total * qkv[u][2 * d + k * h + i];
      }
    }
  }
}

/* tokens[length] → logits[length,V]; reads theta in the order that the header states. */
static void plain_logits(const tb_transformer_shape *s, const double *theta, size_t length, const int32_t *tokens,
                         double *logits) {
  const size_t d = s->width;
  const double *embedding = theta;
  double h[MOST_LENGTH][MOST_WIDTH], x[MOST_WIDTH], y[MOST_WIDTH], hidden[32];
  theta += s->vocabulary * d;
  for (size_t t = 0; t < length; t++)
    for (size_t i = 0; i < d; i++) {
      h[t][i] = embedding[(size_t)tokens[t] * d + i] * (s->scale_embedding ? sqrt((double)d) : 1);
      if (s->position == TB_POSITION_LEARNED)
        h[t][i] += theta[t * d + i];
      const double angle = (double)t / pow(10000, (double)(i / 2 * 2) / (double)d);
      if (s->position == TB_POSITION_SINUSOIDAL)
        h[t][i] += i % 2 ? cos(angle) : sin(angle);
    }
  if (s->position == TB_POSITION_LEARNED)
    theta += s->length * d;
  for (size_t l = 0; l < s->layers; l++) {
    const double *norm1 = theta, *qkv_weights = norm1 + 2 * d, *o_weights = qkv_weights + 3 * d * d + 3 * d;
    const double *norm2 = o_weights + d * d + d, *w1 = norm2 + 2 * d;
    double qkv[MOST_LENGTH][3 * MOST_WIDTH], seen[MOST_LENGTH][MOST_WIDTH];
    for (size_t t = 0; t < length; t++) {
      memcpy(x, h[t], sizeof x);
      if (!s->post_norm)
        layer_norm(norm1, d, s->epsilon, h[t], x);
      affine(qkv_weights, 3 * d, d, x, qkv[t]);
    }
    attend(s, length, qkv, seen);
    for (size_t t = 0; t < length; t++) {
      affine(o_weights, d, d, seen[t], y);
      for (size_t i = 0; i < d; i++)
        h[t][i] += y[i];
      if (s->post_norm) {
        memcpy(x, h[t], sizeof x);
        layer_norm(norm1, d, s->epsilon, x, h[t]);
      }
      memcpy(x, h[t], sizeof x);
      if (!s->post_norm)
        layer_norm(norm2, d, s->epsilon, h[t], x);
      const double *w2 = affine(w1, s->feedforward, d, x, hidden);
      for (size_t i = 0; i < s->feedforward; i++)
        hidden[i] = activation(s->activation, hidden[i]);
      theta = affine(w2, d, s->feedforward, hidden, y);
      for (size_t i = 0; i < d; i++)
        h[t][i] += y[i];
      if (s->post_norm) {
        memcpy(x, h[t], sizeof x);
        layer_norm(norm2, d, s->epsilon, x, h[t]);
      }
    }
  }
  const double *last = theta;
  theta += s->post_norm ? 0 : 2 * d;
  for (size_t t = 0; t < length; t++) {
    memcpy(x, h[t], sizeof x);
    if (!s->post_norm)
      layer_norm(last, d, s->epsilon, h[t], x);
    affine(theta, s->vocabulary, d, x, logits + t * s->vocabulary);
  }
}

/* ---- samples ---- */

#define SHAPE(...)                                                                                                     \
  { .vocabulary = 5, .layers = 2, .length = 7, .epsilon = 1e-5, __VA_ARGS__ }
static const tb_transformer_shape samples[] = {
  SHAPE(.width = 6, .heads = 3, .feedforward = 11, .activation = TB_RELU),
  SHAPE(.width = 6, .heads = 2, .feedforward = 7, .activation = TB_GELU, .position = TB_POSITION_SINUSOIDAL),
  SHAPE(.width = 5, .heads = 1, .feedforward = 7, .activation = TB_GELU, .position = TB_POSITION_SINUSOIDAL,
        .post_norm = true, .scale_embedding = true),
  SHAPE(.width = 6, .heads = 3, .feedforward = 9, .activation = TB_GELU, .position = TB_POSITION_LEARNED),
  SHAPE(.width = 12, .heads = 3, .feedforward = 9, .activation = TB_GELU, .position = TB_POSITION_ROPE),
  SHAPE(.width = 8, .heads = 4, .feedforward = 9, .activation = TB_GELU, .position = TB_POSITION_ALIBI,
        .post_norm = true),
};
enum { SAMPLES = sizeof samples / sizeof *samples, B = 3, T = 6, V = 5 };

static void draw_tokens(size_t count, size_t vocabulary, int32_t *tokens) {
  for (size_t i = 0; i < count; i++)
    tokens[i] = (int32_t)tb_random_below((tb_key){ .seed = 3, .use = tb_use("tokens") }, i, vocabulary);
}

/* Two replicas: on a shared batch, and each on its own. */
static void logits_are_the_definition(void **state) {
  enum { R = 2 };
  for (int k = 0; k < SAMPLES; k++) {
    const tb_transformer_shape *s = &samples[k];
    const size_t p = tb_transformer_parameters(s);
    double *theta = numbers(R * p), shared[R * B * T * V], own[R * B * T * V], want[T * V];
    int32_t tokens[R * B * T];
    draw("theta", R * p, theta);
    draw_tokens(R * B * T, V, tokens);
    check(tb_transformer_check(context, s));
    tb_graph *g;
    check(tb_graph_new(context, &g));
    const tb_value t = tb_input(g, "theta", TB_FLOAT64, 2, (size_t[]){ R, p });
    const tb_value one = tb_input(g, "tokens", TB_INT32, 2, (size_t[]){ B, T });
    const tb_value each = tb_input(g, "own tokens", TB_INT32, 3, (size_t[]){ R, B, T });
    const tb_value y[] = { tb_transformer_logits(g, s, t, one), tb_transformer_logits(g, s, t, each) };
    run(g, 3, (const void *[]){ theta, tokens, tokens }, 2, y, (void *[]){ shared, own });
    for (size_t i = 0; i < R * B; i++) {
      plain_logits(s, theta + i / B * p, T, tokens + i % B * T, want);
      for (size_t j = 0; j < T * V; j++)
        near(shared[i * T * V + j], want[j], 1e-12);
      plain_logits(s, theta + i / B * p, T, tokens + i * T, want);
      for (size_t j = 0; j < T * V; j++)
        near(own[i * T * V + j], want[j], 1e-12);
    }
    free(theta);
  }
}

/* Σ m nll / Σ m of the plain logits */
static double plain_loss(const tb_transformer_shape *s, const double *theta, const int32_t *tokens,
                         const int32_t *targets, const double *mask) {
  double sum = 0, count = 0, logits[T * V];
  for (size_t b = 0; b < B; b++) {
    plain_logits(s, theta, T, tokens + b * T, logits);
    for (size_t t = 0; t < T; t++) {
      double total = 0;
      for (size_t v = 0; v < V; v++)
        total += exp(logits[t * V + v]);
      sum += mask[b * T + t] * (log(total) - logits[t * V + (size_t)targets[b * T + t]]);
      count += mask[b * T + t];
    }
  }
  return sum / count;
}

static void gradient_agrees_with_differences(void **state) {
  for (int k = 0; k < SAMPLES; k++) {
    const tb_transformer_shape *s = &samples[k];
    const size_t p = tb_transformer_parameters(s);
    double *theta = numbers(p), *gradient = numbers(p), loss, plain, mask[B * T], ones[B * T];
    int32_t tokens[B * T], targets[2 * B * T];
    draw("theta", p, theta);
    draw_tokens(B * T, V, tokens);
    draw_tokens(2 * B * T, V, targets);
    for (size_t i = 0; i < B * T; i++) {
      mask[i] = (double)(i % 3);
      ones[i] = 1;
    }
    tb_graph *g;
    check(tb_graph_new(context, &g));
    const tb_value t = tb_input(g, "theta", TB_FLOAT64, 2, (size_t[]){ 1, p });
    const tb_value in = tb_input(g, "tokens", TB_INT32, 2, (size_t[]){ B, T });
    const tb_value out = tb_input(g, "targets", TB_INT32, 2, (size_t[]){ B, T });
    const tb_value m = tb_input(g, "mask", TB_FLOAT64, 2, (size_t[]){ B, T });
    const tb_value logits = tb_transformer_logits(g, s, t, in);
    tb_value y[3] = { tb_next_token_loss(g, logits, out, &m), { -1 }, tb_next_token_loss(g, logits, out, NULL) };
    check(tb_gradient(g, tb_sum(g, y[0]), 1, &t, &y[1]));
    run(g, 4, (const void *[]){ theta, tokens, targets + B * T, mask }, 3, y, (void *[]){ &loss, gradient, &plain });
    near(loss, plain_loss(s, theta, tokens, targets + B * T, mask), 1e-13);
    near(plain, plain_loss(s, theta, tokens, targets + B * T, ones), 1e-13);
    const double h = 1e-5;
    for (size_t j = 0; j < p; j++) {
      const double kept = theta[j];
      theta[j] = kept + h;
      const double above = plain_loss(s, theta, tokens, targets + B * T, mask);
      theta[j] = kept - h;
      const double below = plain_loss(s, theta, tokens, targets + B * T, mask);
      theta[j] = kept;
      near(gradient[j], (above - below) / (2 * h), 3e-7);
    }
    free(theta);
    free(gradient);
  }
}

/* Another ending leaves every earlier logit the same bits, in float32 too. */
static void the_future_is_not_seen(void **state) {
  enum { CUT = 4 };
  for (int k = 0; k < SAMPLES; k++)
    for (int real = 0; real < 2; real++) {
      const tb_transformer_shape *s = &samples[k];
      const tb_dtype dtype = real ? TB_FLOAT64 : TB_FLOAT32;
      const size_t p = tb_transformer_parameters(s), size = real ? sizeof(double) : sizeof(float);
      double *theta = numbers(p);
      float *narrow = malloc(p * sizeof *narrow);
      unsigned char logits[2][B * T * V * sizeof(double)];
      int32_t tokens[B * T];
      draw("theta", p, theta);
      assert_non_null(narrow);
      for (size_t i = 0; i < p; i++)
        narrow[i] = (float)theta[i];
      draw_tokens(B * T, V, tokens);
      for (int ending = 0; ending < 2; ending++) {
        for (size_t i = 0; i < B * T && ending; i++)
          if (i % T >= CUT)
            tokens[i] = (tokens[i] + 1) % V;
        tb_graph *g;
        check(tb_graph_new(context, &g));
        const tb_value t = tb_input(g, "theta", dtype, 2, (size_t[]){ 1, p });
        const tb_value in = tb_input(g, "tokens", TB_INT32, 2, (size_t[]){ B, T });
        const tb_value y = tb_transformer_logits(g, s, t, in);
        run(g, 2, (const void *[]){ real ? (void *)theta : (void *)narrow, tokens }, 1, &y,
            (void *[]){ logits[ending] });
      }
      for (size_t b = 0; b < B; b++) {
        const size_t row = b * T * V * size;
        assert_memory_equal(logits[0] + row, logits[1] + row, CUT * V * size);
        assert_memory_not_equal(logits[0] + row + CUT * V * size, logits[1] + row + CUT * V * size, V * size);
      }
      free(theta);
      free(narrow);
    }
}

/* Rotary scores depend on distance only, so without a mask's help a shifted copy of a sequence looks the same: all
 * tokens alike, logits of every place are alike with rope, ALiBi or none, and differ with codes that are added. */
static void relative_codes_see_distance_only(void **state) {
  for (int k = 0; k < SAMPLES; k++) {
    const tb_transformer_shape *s = &samples[k];
    const size_t p = tb_transformer_parameters(s);
    double *theta = numbers(p), logits[T * V];
    const int32_t tokens[T] = { 2, 2, 2, 2, 2, 2 };
    draw("theta", p, theta);
    tb_graph *g;
    check(tb_graph_new(context, &g));
    const tb_value t = tb_input(g, "theta", TB_FLOAT64, 2, (size_t[]){ 1, p });
    const tb_value in = tb_input(g, "tokens", TB_INT32, 2, (size_t[]){ 1, T });
    const tb_value y = tb_transformer_logits(g, s, t, in);
    run(g, 2, (const void *[]){ theta, tokens }, 1, &y, (void *[]){ logits });
    const bool added = s->position == TB_POSITION_SINUSOIDAL || s->position == TB_POSITION_LEARNED;
    for (size_t v = 0; v < V; v++)
      assert_true((fabs(logits[(T - 1) * V + v] - logits[v]) > 1e-9) == added);
    free(theta);
  }
}

static void published_sizes(void **state) {
  tb_transformer_shape s = { .vocabulary = 5,
                             .width = 10,
                             .heads = 5,
                             .feedforward = 1024,
                             .layers = 5,
                             .length = 257,
                             .post_norm = true,
                             .scale_embedding = true,
                             .activation = TB_RELU,
                             .position = TB_POSITION_SINUSOIDAL,
                             .epsilon = 6e-3 };
  assert_int_equal(tb_transformer_parameters(&s), 110075);
  s.layers = 7;
  assert_int_equal(tb_transformer_parameters(&s), 154063);
  s.vocabulary = 6;
  assert_int_equal(tb_transformer_parameters(&s), 154084);
  s.vocabulary = 7;
  assert_int_equal(tb_transformer_parameters(&s), 154105);
  s = (tb_transformer_shape){
    .vocabulary = 5, .width = 8, .heads = 4, .feedforward = 1024, .layers = 3, .length = 257, .post_norm = true
  };
  assert_int_equal(tb_transformer_parameters(&s), 53293);
}

static void blocks_and_start(void **state) {
  for (int k = 0; k < SAMPLES; k++) {
    const tb_transformer_shape *s = &samples[k];
    const size_t p = tb_transformer_parameters(s);
    double *theta = numbers(p);
    size_t at = 0, rows, cols;
    char name[32];
    tb_transformer_initialise(s, (tb_key){ .seed = 5, .use = tb_use("initial weights") }, theta);
    for (size_t b = 0; tb_transformer_block(s, b, name, &rows, &cols); at += rows * cols, b++)
      for (size_t i = at; i < at + rows * cols; i++) {
        const double bound = strstr(name, "Wqkv")                            ? sqrt(6.0 / (4.0 * (double)s->width))
                             : strstr(name, "W1") || strchr("Uu", name[0])   ? 1 / sqrt((double)s->width)
                             : strstr(name, "gain") || strstr(name, "shift") ? 1
                                                                             : 7;
        assert_true(fabs(theta[i]) <= bound);
        if (strstr(name, "gain"))
          assert_true(theta[i] == 1);
        if (strstr(name, "shift") || strstr(name, "bqkv") || strstr(name, "bo"))
          assert_true(theta[i] == 0);
      }
    assert_int_equal(at, p);
    free(theta);
  }
}

static void bad_shapes_are_refused(void **state) {
  const tb_transformer_shape bad[] = {
    SHAPE(.width = 6, .heads = 4, .feedforward = 8),
    SHAPE(.width = 6, .heads = 2, .feedforward = 8, .position = TB_POSITION_ROPE),
    SHAPE(.width = 6, .heads = 0, .feedforward = 8),
    SHAPE(.width = 1 << 20, .heads = 1, .feedforward = 1 << 20),
    { .vocabulary = 5, .width = 6, .heads = 2, .feedforward = 8, .layers = 1, .length = 4 },
  };
  for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
    assert_int_equal(tb_transformer_check(context, &bad[k]), TB_USAGE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(logits_are_the_definition), cmocka_unit_test(gradient_agrees_with_differences),
    cmocka_unit_test(the_future_is_not_seen),    cmocka_unit_test(relative_codes_see_distance_only),
    cmocka_unit_test(published_sizes),           cmocka_unit_test(blocks_and_start),
    cmocka_unit_test(bad_shapes_are_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

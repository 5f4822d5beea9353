/* Readers and decoding: a network read a place at a time gives the logits of its training graph, completions are those
 * of naive decoding, draws follow the law. */
#include "../model/model_testing.h"

#include "language/decode.h"

enum { ROWS = 5, PLACES = 37, V = 5 };

static const struct sample {
  const char *model;
  tb_sequence_shape shape;
} samples[] = {
  { "transformer", { .layers = 2, .width = 8, .heads = 2, .feedforward = 12, .post_norm = true } },
  { "transformer", { .layers = 1, .width = 6, .heads = 3, .feedforward = 7, .position = TB_POSITION_SINUSOIDAL } },
  { "transformer", { .layers = 2, .width = 8, .heads = 2, .feedforward = 9, .position = TB_POSITION_LEARNED } },
  { "transformer", { .layers = 2, .width = 8, .heads = 2, .feedforward = 9, .position = TB_POSITION_ROPE } },
  { "transformer", { .layers = 3, .width = 12, .heads = 4, .feedforward = 9, .position = TB_POSITION_ALIBI } },
  { "transformer",
    { .layers = 1,
      .width = 6,
      .heads = 3,
      .feedforward = 7,
      .position = TB_POSITION_SINUSOIDAL,
      .place_by_row = true } },
  { "lstm", { .layers = 2, .width = 7, .embedding = 3 } },
  { "gru", { .layers = 3, .width = 5, .embedding = 4 } },
  { "linear", { .embedding = 3 } },
};
enum { SAMPLES = sizeof samples / sizeof *samples };

static tb_sequence_shape shape_of(const struct sample *s, size_t length) {
  tb_sequence_shape shape = s->shape;
  shape.vocabulary = V;
  shape.length = length;
  return shape;
}

/* θ from the start plus noise, so that nothing is zero. */
static double *point(const tb_sequence_model *model, const tb_sequence_shape *shape) {
  const size_t p = model->parameters(shape);
  double *theta = numbers(p), *noise = numbers(p);
  model->initialise(shape, (tb_key){ .seed = 3 }, theta);
  draw("noise", p, noise);
  for (size_t i = 0; i < p; i++)
    theta[i] += 0.1 * noise[i];
  free(noise);
  return theta;
}

/* logits [ROWS, PLACES, V] of the training graph */
static void by_graph(const tb_sequence_model *model, const tb_sequence_shape *shape, tb_dtype dtype,
                     const double *theta, const int32_t *tokens, double *out) {
  const size_t p = model->parameters(shape);
  tb_graph *g;
  check(tb_graph_new(context, &g));
  const tb_value t = tb_input(g, "theta", TB_FLOAT64, 2, (size_t[]){ 1, p });
  const tb_value in = tb_input(g, "tokens", TB_INT32, 2, (size_t[]){ ROWS, PLACES });
  const tb_value y = model->logits(g, shape, tb_cast(g, t, dtype), in, 0, (tb_value){ -1 });
  const tb_value y64 = tb_cast(g, y, TB_FLOAT64);
  run(g, 2, (const void *[]){ theta, tokens }, 1, &y64, (void *[]){ out });
}

static void reading_gives_the_training_graphs_logits(void **state) {
  const tb_dtype dtypes[] = { TB_FLOAT64, TB_FLOAT32 };
  double largest[2] = { 0, 0 };
  for (size_t k = 0; k < 2 * SAMPLES; k++) {
    const tb_dtype dtype = dtypes[k % 2];
    const tb_sequence_model *model = tb_sequence_model_find(samples[k / 2].model);
    const tb_sequence_shape shape = shape_of(&samples[k / 2], PLACES);
    double *theta = point(model, &shape), *want = numbers(ROWS * PLACES * V), got[ROWS * V];
    int32_t tokens[ROWS * PLACES], column[ROWS];
    for (size_t i = 0; i < ROWS * PLACES; i++)
      tokens[i] = (int32_t)tb_random_below((tb_key){ .seed = 5 }, i, V);
    by_graph(model, &shape, dtype, theta, tokens, want);
    tb_reader *r;
    check(tb_network_reader(context, model, &shape, dtype, ROWS, &r));
    tb_network_reader_move(r, theta);
    for (int again = 0; again < 2; again++) {
      check(tb_reader_start(r));
      for (size_t t = 0; t < PLACES; t++) {
        for (size_t b = 0; b < ROWS; b++)
          column[b] = tokens[b * PLACES + t];
        check(tb_reader_read(r, column, got));
        for (size_t b = 0; b < ROWS; b++)
          for (size_t v = 0; v < V; v++) {
            const double y = want[(b * PLACES + t) * V + v];
            near(got[b * V + v], y, dtype == TB_FLOAT64 ? 1e-14 : 4e-6);
            largest[k % 2] = fmax(largest[k % 2], fabs(got[b * V + v] - y) / fmax(1, fabs(y)));
          }
      }
      assert_int_equal(tb_reader_read(r, column, got), TB_USAGE);
    }
    tb_reader_free(r);
    free(theta);
    free(want);
  }
  print_message("largest difference: %.2g float64, %.2g float32\n", largest[0], largest[1]);
}

/* Greedy completion by the whole training graph, again for every symbol. */
static void completions_are_those_of_naive_decoding(void **state) {
  enum { CAP = 12 };
  tb_language *l;
  tb_arena *arena = tb_arena_new(context);
  check(tb_language_open(context, "anbn", 8, &l));
  for (size_t k = 0; k < SAMPLES; k++) {
    const tb_sequence_model *model = tb_sequence_model_find(samples[k].model);
    const tb_sequence_shape shape = shape_of(&samples[k], PLACES);
    double *theta = point(model, &shape), *logits = numbers(ROWS * PLACES * V);
    tb_prompt prompts[ROWS];
    tb_completion got[ROWS];
    uint16_t symbols[ROWS][ROWS];
    for (size_t b = 0; b < ROWS; b++) {
      for (size_t i = 0; i < b; i++)
        symbols[b][i] = (uint16_t)tb_random_below((tb_key){ .seed = 7 }, b * ROWS + i, 2);
      prompts[b] = (tb_prompt){ .count = b, .completed = b, .symbols = symbols[b] };
    }
    tb_reader *r;
    check(tb_network_reader(context, model, &shape, TB_FLOAT64, ROWS, &r));
    tb_network_reader_move(r, theta);
    check(tb_decode(context, arena, r, l, ROWS, prompts, &(tb_decoding){ .cap = CAP }, got));
    int32_t tokens[ROWS * PLACES] = { 0 };
    size_t length[ROWS], count[ROWS] = { 0 };
    bool done[ROWS] = { false };
    for (size_t b = 0; b < ROWS; b++) {
      tokens[b * PLACES] = 3;
      for (size_t i = 0; i < b; i++)
        tokens[b * PLACES + 1 + i] = symbols[b][i];
      length[b] = 1 + b;
    }
    for (int step = 0; step < CAP; step++) {
      by_graph(model, &shape, TB_FLOAT64, theta, tokens, logits);
      for (size_t b = 0; b < ROWS; b++) {
        if (done[b])
          continue;
        const double *y = logits + (b * PLACES + length[b] - 1) * V;
        const size_t chosen = y[1] > y[0] ? (y[2] > y[1] ? 2 : 1) : y[2] > y[0] ? 2 : 0;
        done[b] = chosen == 2;
        if (!done[b]) {
          assert_true(count[b] < got[b].count);
          assert_int_equal(got[b].symbols[count[b]], chosen);
          count[b]++;
          tokens[b * PLACES + length[b]++] = (int32_t)chosen;
        }
      }
    }
    for (size_t b = 0; b < ROWS; b++) {
      assert_int_equal(got[b].count, count[b]);
      assert_int_equal(got[b].finished, done[b]);
    }
    tb_reader_free(r);
    free(theta);
    free(logits);
  }
  tb_arena_free(arena);
  tb_language_free(l);
}

/* Drawing from the law itself gives the law's own strings: a^n b^n, n = 1 … 4, each a quarter of the time. */
static void draws_follow_the_law(void **state) {
  enum { N = 4000, BATCH = 300 };
  tb_language *l;
  tb_reader *r, *other;
  tb_arena *arena = tb_arena_new(context);
  tb_completion *c = calloc(N, sizeof *c), *d = calloc(N, sizeof *d);
  tb_prompt *prompts = calloc(N, sizeof *prompts);
  size_t count[5] = { 0 };
  check(tb_language_open(context, "anbn", 8, &l));
  check(tb_law_reader(context, l, TB_EOS_NOW, BATCH, &r));
  check(tb_law_reader(context, l, TB_EOS_NOW, 7, &other));
  const tb_decoding how = { .cap = 9, .sample = true, .seed = 2 };
  check(tb_decode(context, arena, r, l, N, prompts, &how, c));
  check(tb_decode(context, arena, other, l, 50, prompts, &how, d));
  for (size_t i = 0; i < N; i++) {
    const size_t n = c[i].count / 2;
    assert_true(c[i].finished && n >= 1 && n <= 4 && c[i].count % 2 == 0);
    for (size_t k = 0; k < 2 * n; k++)
      assert_int_equal(c[i].symbols[k], k >= n);
    count[n]++;
    if (i < 50) /* whatever the batch */
      assert_int_equal(c[i].count, d[i].count);
  }
  double chi2 = 0;
  for (size_t n = 1; n <= 4; n++)
    chi2 += pow((double)count[n] - N / 4.0, 2) / (N / 4.0);
  assert_true(chi2 < 16.3); /* 0.1 % point of 3 degrees of freedom */
  tb_reader_free(r);
  tb_reader_free(other);
  tb_arena_free(arena);
  tb_language_free(l);
  free(c);
  free(d);
  free(prompts);
}

/* Off the law the strategy decides. */
static void strategies_complete_impossible_prompts(void **state) {
  tb_language *l;
  tb_arena *arena = tb_arena_new(context);
  check(tb_language_open(context, "anbn", 8, &l));
  const uint16_t baa[] = { 1, 0, 0 }, ab[] = { 0, 1 }, aa[] = { 0, 0 };
  const tb_prompt prompts[] = { { .count = 3, .symbols = baa },
                                { .count = 2, .symbols = ab },
                                { .count = 2, .symbols = aa } };
  for (int strategy = 0; strategy < 2; strategy++) {
    tb_reader *r;
    tb_completion c[3];
    check(tb_law_reader(context, l, (tb_strategy)strategy, 2, &r));
    check(tb_decode(context, arena, r, l, 3, prompts, &(tb_decoding){ .cap = 20 }, c));
    assert_int_equal(c[0].count, strategy == TB_APPEND_TO_BALANCE ? 1 : 0);
    assert_int_equal(c[1].count, 0);
    assert_int_equal(c[2].count, 6); /* a a with n = 2, 3, 4 equally likely: goes on to n = 4 */
    assert_true(c[0].finished && c[1].finished && c[2].finished);
    check(tb_decode(context, arena, r, l, 3, prompts, &(tb_decoding){ .cap = 6 }, c));
    assert_int_equal(c[2].count, 6);
    assert_false(c[2].finished); /* the end would have been the seventh token */
    tb_reader_free(r);
  }
  tb_arena_free(arena);
  tb_language_free(l);
}

static void shortest_completions(void **state) {
  static const struct {
    const char *language, *prompt, *completion; /* NULL: none */
  } cases[] = {
    { "L3", "aab", "b" }, { "L3", "abb", "a" },   { "L3", "ba", "" },    { "L1", "ab", "a" },    { "L1", "baa", "" },
    { "L2", "aba", "a" }, { "L5", "aab", "bcc" }, { "L4", ")[[]", "]" }, { "L6", ")[([]", "]" }, { "L4", "]", NULL },
  };
  tb_arena *arena = tb_arena_new(context);
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    tb_language *l;
    size_t count, length;
    uint16_t *symbols, *completion;
    check(tb_language_open(context, cases[k].language, 32, &l));
    check(tb_language_read(context, arena, l, cases[k].prompt, &count, &symbols, NULL));
    check(tb_rule_mend(context, arena, l, 0, count, symbols, 40, &length, &completion));
    if (!cases[k].completion)
      assert_true(length == SIZE_MAX);
    else
      assert_string_equal(tb_language_text(arena, l, length, completion), cases[k].completion);
    tb_language_free(l);
  }
  tb_arena_free(arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(reading_gives_the_training_graphs_logits),
    cmocka_unit_test(completions_are_those_of_naive_decoding),
    cmocka_unit_test(draws_follow_the_law),
    cmocka_unit_test(strategies_complete_impossible_prompts),
    cmocka_unit_test(shortest_completions),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* Hidden Markov mixtures against sums over all hidden paths and all strings, closed forms far below the range of
 * double, and the published numbers of the released GINC mixture. */
#include "../testing.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include <io/json.h>
#include <language/hmm.h>

enum { V = 3, LONGEST = 8 };

/* Two concepts over {/, a, b}: three states with full rows, and two that emit one token each. */
static const char *const small =
    "{\"tokens\": [\"/\", \"a\", \"b\"], \"delimiter\": \"/\", \"components\": [\n"
    " {\"weight\": 0.25, \"start\": [0.5, 0.25, 0.25], \"transition\": [[0.1, 0.6, 0.3], [0, 0.5, 0.5], [0.7, 0.1, "
    "0.2]],\n"
    "  \"emission\": [[0.2, 0.5, 0.3], [0, 0.9, 0.1], [0.6, 0.1, 0.3]]},\n"
    " {\"weight\": 0.75, \"start\": [1, 0, 0], \"transition\": [[0, 1, 0], [0.5, 0, 0.5], [0.25, 0.75, 0]],\n"
    "  \"emission\": [1, 0, 2]}]}";

static char *scratch_file(const char *name, const char *content) {
  static char path[200];
  snprintf(path, sizeof path, "/tmp/tb_hmm_%d_%s", (int)getpid(), name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(content, file);
  fclose(file);
  return path;
}

static tb_hmm *open_text(tb_context *c, const char *content) {
  tb_hmm *m;
  char *path = scratch_file("mixture.json", content);
  tb_status status = tb_hmm_read(c, path, &m);
  unlink(path);
  if (status)
    print_error("%s: %s\n", tb_context_place(c), tb_context_message(c));
  assert_int_equal(status, TB_OK);
  return m;
}

static double emission_of(const tb_hmm_component *c, size_t state, size_t token) {
  for (uint32_t e = c->first[token]; e < c->first[token + 1]; e++)
    if (c->emitter[e] == state)
      return c->emission[e];
  return 0;
}

/* Σ over all hidden paths, in long double */
static long double paths(const tb_hmm_component *c, size_t length, const uint32_t *tokens, size_t t, size_t before) {
  if (t == length)
    return 1;
  long double sum = 0;
  for (size_t j = 0; j < c->states; j++) {
    long double step = t == 0 ? c->start[j] : c->transition[before * c->states + j];
    if (step > 0)
      sum += step * emission_of(c, j, tokens[t]) * paths(c, length, tokens, t + 1, j);
  }
  return sum;
}

static long double probability(const tb_hmm *m, size_t length, const uint32_t *tokens) {
  long double sum = 0;
  for (size_t k = 0; k < m->n_components; k++)
    sum += m->components[k].weight * paths(&m->components[k], length, tokens, 0, 0);
  return sum;
}

static void close_to(double value, double expected, double tolerance) {
  if (value != expected && !(fabs(value - expected) <= tolerance * fmax(1, fabs(expected))))
    fail_msg("%.17g, expected %.17g", value, expected);
}

static void agrees_with_hidden_paths(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  tb_hmm *m = open_text(c, small);
  tb_hmm_filter *f, *g;
  double law[V], posterior[2];
  uint32_t tokens[LONGEST + 1];
  assert_int_equal(tb_hmm_filter_new(c, m, &f), TB_OK);
  assert_int_equal(tb_hmm_filter_new(c, m, &g), TB_OK);
  for (size_t length = 0; length <= 5; length++)
    for (size_t code = 0; code < (size_t)pow(V, (double)length); code++) {
      size_t rest = code;
      tb_hmm_filter_reset(f, SIZE_MAX);
      for (size_t t = 0; t < length; t++, rest /= V) {
        tokens[t] = (uint32_t)(rest % V);
        tb_hmm_filter_push(f, tokens[t]);
      }
      const long double p = probability(m, length, tokens);
      close_to(tb_hmm_filter_log_probability(f), (double)logl(p), 1e-13);
      tb_hmm_filter_copy(g, f);
      tb_hmm_filter_law(g, law);
      tb_hmm_filter_posterior(g, posterior);
      for (uint32_t y = 0; y < V; y++) {
        tokens[length] = y;
        close_to(law[y], p > 0 ? (double)(probability(m, length + 1, tokens) / p) : 0, 1e-14);
      }
      for (size_t k = 0; k < 2; k++)
        close_to(posterior[k],
                 p > 0 ? (double)(m->components[k].weight * paths(&m->components[k], length, tokens, 0, 0) / p) : 0,
                 1e-14);
      tb_hmm_filter_reset(f, 1);
      for (size_t t = 0; t < length; t++)
        tb_hmm_filter_push(f, tokens[t]);
      close_to(tb_hmm_filter_log_probability(f), (double)logl(paths(&m->components[1], length, tokens, 0, 0)), 1e-13);
    }
  tb_hmm_filter_free(f);
  tb_hmm_filter_free(g);
  tb_hmm_free(m);
  tb_context_free(c);
}

/* A chain that is 10^-3000 behind becomes the only possible one. */
static void nothing_underflows(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  tb_hmm *m = open_text(c, "{\"tokens\": [\"/\", \"a\", \"c\"], \"delimiter\": \"/\", \"components\": [{\"weight\": 1,"
                           "\"start\": [0.75, 0.25], \"transition\": [[1, 0], [0, 1]],"
                           "\"emission\": [[0.5, 0.5, 0], [0.998, 0.001, 0.001]]}]}");
  tb_hmm_filter *f;
  double law[V];
  assert_int_equal(tb_hmm_filter_new(c, m, &f), TB_OK);
  for (int t = 0; t < 1000; t++)
    tb_hmm_filter_push(f, 1);
  close_to(tb_hmm_filter_log_probability(f), log(0.75) + 1000 * log(0.5), 1e-13);
  tb_hmm_filter_push(f, 2);
  close_to(tb_hmm_filter_log_probability(f), log(0.25) + 1001 * log(0.001), 1e-13);
  tb_hmm_filter_law(f, law);
  close_to(law[0], 0.998, 1e-13);
  tb_hmm_filter_free(f);
  tb_hmm_free(m);
  /* the same between two concepts */
  m = open_text(c,
                "{\"tokens\": [\"/\", \"a\", \"c\"], \"delimiter\": \"/\", \"components\": ["
                "{\"weight\": 0.75, \"start\": [1], \"transition\": [[1]], \"emission\": [[0.5, 0.5, 0]]},"
                "{\"weight\": 0.25, \"start\": [1], \"transition\": [[1]], \"emission\": [[0.998, 0.001, 0.001]]}]}");
  assert_int_equal(tb_hmm_filter_new(c, m, &f), TB_OK);
  for (int t = 0; t < 1000; t++)
    tb_hmm_filter_push(f, 1);
  tb_hmm_filter_posterior(f, law);
  close_to(law[0], 1, 1e-15);
  tb_hmm_filter_push(f, 2);
  close_to(tb_hmm_filter_log_probability(f), log(0.25) + 1001 * log(0.001), 1e-13);
  tb_hmm_filter_posterior(f, law);
  close_to(law[1], 1, 1e-15);
  tb_hmm_filter_free(f);
  tb_hmm_free(m);
  tb_context_free(c);
}

/* Probability of the pattern and cost of the swap, summed over all strings. */
static void over_all_strings(const tb_hmm *m, size_t n, size_t k, double *mass, double *cost, size_t *possible) {
  const size_t length = n * (k + 1) + k - 1;
  uint32_t tokens[LONGEST + 2];
  *mass = *cost = 0;
  *possible = 0;
  for (size_t code = 0; code < (size_t)pow(V, (double)length); code++) {
    bool fits = true;
    size_t rest = code;
    for (size_t t = 0; t < length; t++, rest /= V) {
      tokens[t] = (uint32_t)(rest % V);
      fits &= (tokens[t] == 0) == (t % (k + 1) == k);
    }
    const double p = (double)probability(m, length, tokens);
    if (!fits || p == 0)
      continue;
    double law[V], first = 0, second = 0;
    for (uint32_t y = 0; y < V; y++) {
      tokens[length] = y;
      law[y] = (double)probability(m, length + 1, tokens) / p;
      second = fmax(second, fmin(first, law[y]));
      first = fmax(first, law[y]);
    }
    *mass += p;
    *cost += first == second ? 0 : p * (first - second) * log(first / second);
    *possible += 1;
  }
}

static void the_swap_costs_what_enumeration_says(void **state) {
  static const size_t cases[][2] = { { 0, 1 }, { 0, 3 }, { 1, 1 }, { 1, 2 }, { 2, 1 }, { 2, 2 }, { 1, 3 } };
  tb_context *c = tb_context_new(NULL, NULL);
  tb_hmm *m = open_text(c, small);
  const tb_key key = { 5, 0, tb_use("test") };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    double mass, cost, log_mass;
    size_t possible;
    tb_hmm_swap exact, drawn;
    const size_t n = cases[i][0], k = cases[i][1];
    over_all_strings(m, n, k, &mass, &cost, &possible);
    assert_int_equal(tb_hmm_pattern_log_probability(c, m, n, k, &log_mass), TB_OK);
    close_to(exp(log_mass), mass, 1e-13);
    assert_int_equal(tb_hmm_swap_cost(c, m, n, k, 1000, 4000, key, &exact), TB_OK);
    assert_true(exact.exact);
    assert_int_equal(exact.prefixes, possible);
    close_to(exact.kl, cost, 1e-13);
    assert_int_equal(tb_hmm_swap_cost(c, m, n, k, 0, 4000, key, &drawn), TB_OK);
    assert_false(drawn.exact);
    if (isinf(cost))
      assert_true(isinf(drawn.kl));
    else if (!(fabs(drawn.kl - cost) <= 4 * drawn.se + 1e-12 && drawn.se <= 0.4 * cost))
      fail_msg("n=%zu k=%zu: %g ± %g, expected %g", n, k, drawn.kl, drawn.se, cost);
  }
  tb_hmm_free(m);
  tb_context_free(c);
}

static void draws_follow_the_law(void **state) {
  enum { DRAWS = 20000, LENGTH = 3 };
  tb_context *c = tb_context_new(NULL, NULL);
  tb_hmm *m = open_text(c, small);
  double count[27] = { 0 }, chi = 0;
  int cells = 0;
  uint32_t tokens[LENGTH], again[LENGTH];
  for (uint64_t i = 0; i < DRAWS; i++) {
    tb_hmm_sample(m, (tb_key){ 3, 0, tb_use("test") }, i, LENGTH, tokens, NULL);
    count[tokens[0] * 9 + tokens[1] * 3 + tokens[2]]++;
  }
  tb_hmm_sample(m, (tb_key){ 3, 0, tb_use("test") }, DRAWS - 1, LENGTH, again, NULL);
  assert_memory_equal(tokens, again, sizeof tokens);
  for (uint32_t code = 0; code < 27; code++) {
    const uint32_t string[] = { code / 9, code / 3 % 3, code % 3 };
    const double expected = DRAWS * (double)probability(m, LENGTH, string);
    if (expected == 0) {
      assert_true(count[code] == 0);
      continue;
    }
    chi += (count[code] - expected) * (count[code] - expected) / expected;
    cells++;
  }
  assert_true(chi < cells - 1 + 4 * sqrt(2.0 * (cells - 1)));
  tb_hmm_free(m);
  tb_context_free(c);
}

static void ginc_is_made_as_published(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  tb_arena *arena = tb_arena_new(c);
  tb_hmm *m, *again;
  tb_hmm_prompt *prompts;
  char *path = scratch_file("ginc.json", "");
  assert_int_equal(tb_hmm_ginc(c, 50, 7, &m), TB_OK);
  assert_true(m->ginc);
  assert_int_equal(m->n_components, 5);
  size_t zeros = 0;
  for (size_t k = 0; k < 5; k++) {
    const tb_hmm_component *h = &m->components[k];
    double start = 0;
    assert_int_equal(h->states, 100);
    for (size_t i = 0; i < 100; i++) {
      double row = 0;
      start += h->start[i];
      assert_true(h->start[i] > 0.009 && h->start[i] < 0.0111); /* softmax of ±1/20 */
      assert_true((emission_of(h, i, 0) > 0) == (i % 10 == 0));
      for (size_t j = 0; j < 100; j++) {
        row += h->transition[i * 100 + j];
        zeros += h->transition[i * 100 + j] == 0;
        /* one draw of values for all concepts, Kronecker's product with the slots */
        const size_t a = i / 10 * 10, b = j / 10 * 10;
        double value = 0, first = 0;
        for (size_t s = 0; s < 10; s++) {
          value += h->transition[(a + i % 10) * 100 + b + s];
          first += m->components[0].transition[a * 100 + b + s];
        }
        close_to(value, first, 1e-14);
      }
      close_to(row, 1, 1e-14);
    }
    close_to(start, 1, 1e-14);
  }
  assert_true(zeros > 5 * 4500 && zeros < 5 * 6700); /* 1 − (1 − 0.9^10)² = 0.58 on average */
  assert_int_equal(tb_hmm_write(c, m, path), TB_OK);
  assert_int_equal(tb_hmm_read(c, path, &again), TB_OK);
  unlink(path);
  assert_true(again->ginc);
  for (size_t k = 0; k < 5; k++) {
    assert_memory_equal(m->components[k].transition, again->components[k].transition, 10000 * sizeof(double));
    assert_memory_equal(m->components[k].first, again->components[k].first, 51 * sizeof(uint32_t));
    assert_memory_equal(m->components[k].emitter, again->components[k].emitter, 100 * sizeof(uint32_t));
  }
  assert_int_equal(tb_hmm_prompts(c, arena, again, 4, 5, false, 50, (tb_key){ 1, 0, tb_use("prompts") }, &prompts),
                   TB_OK);
  for (size_t i = 0; i < 50; i++) {
    assert_int_equal(prompts[i].length, 4 * 6 + 4);
    for (size_t e = 0; e < 4; e++) {
      assert_int_equal(prompts[i].tokens[6 * e + 5], 0);
      assert_int_not_equal(prompts[i].tokens[6 * e], 0); /* the prompt's slot is not the delimiter's */
    }
  }
  assert_int_equal(tb_hmm_prompts(c, arena, again, 4, 5, true, 50, (tb_key){ 1, 0, tb_use("prompts") }, &prompts),
                   TB_OK);
  for (size_t i = 0; i < 50; i++)
    assert_true(tb_hmm_pattern_matches(again, 4, 5, prompts[i].length, prompts[i].tokens));
  tb_hmm_free(m);
  tb_hmm_free(again);
  tb_arena_free(arena);
  tb_context_free(c);
}

static void smoothing_mixes_in_the_uniform_law(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  tb_hmm *m = open_text(c, small), *smooth;
  assert_int_equal(tb_hmm_smooth(c, m, 0.03, &smooth), TB_OK);
  for (size_t k = 0; k < 2; k++)
    for (size_t i = 0; i < 9; i++)
      close_to(smooth->components[k].transition[i], 0.97 * m->components[k].transition[i] + 0.01, 1e-15);
  assert_true(smooth->components[1].deterministic && !smooth->components[0].deterministic);
  assert_string_equal(smooth->tokens[2], "b");
  tb_hmm_free(m);
  tb_hmm_free(smooth);
  tb_context_free(c);
}

/* The released mixture: published and independently computed numbers. */
static void the_released_mixture(void **state) {
  const char *folder = getenv("TIEBREAK_DATA");
  if (!folder || !*folder) {
    print_message("skipped: TIEBREAK_DATA does not name the public data sets\n");
    skip();
  }
  char path[600];
  tb_context *c = tb_context_new(NULL, NULL);
  tb_hmm *m;
  tb_hmm_filter *f;
  snprintf(path, sizeof path, "%s/ginc/hmm.json", folder);
  assert_int_equal(tb_hmm_read(c, path, &m), TB_OK);
  assert_true(m->ginc);
  size_t zeros = 0;
  for (size_t k = 0; k < 5; k++)
    for (size_t i = 0; i < 10000; i++)
      zeros += m->components[k].transition[i] == 0;
  close_to((double)zeros / 50000, 0.566, 5e-4);
  assert_int_equal(tb_hmm_filter_new(c, m, &f), TB_OK);
  snprintf(path, sizeof path, "%s/ginc/documents.txt", folder);
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  char *line = NULL;
  size_t room = 0, tokens = 0;
  double nats = 0;
  while (getline(&line, &room, file) > 0) {
    tb_hmm_filter_reset(f, SIZE_MAX);
    for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n"), tokens++)
      tb_hmm_filter_push(f, tb_hmm_token(m, word, strlen(word)));
    nats -= tb_hmm_filter_log_probability(f);
  }
  free(line);
  fclose(file);
  assert_int_equal(tokens, 102400);
  close_to(nats / (double)tokens, 1.3224, 5e-5);
  static const struct {
    size_t n, k;
    double log_probability;
  } patterns[] = { { 1, 3, -2.6853 }, { 4, 3, -9.2711 }, { 8, 3, -17.2957 }, { 8, 10, -26.4803 } };
  for (size_t i = 0; i < 4; i++) { /* printed: 6.82e-2, 9.41e-5, 3.08e-8, 3.16e-12 */
    double log_probability;
    assert_int_equal(tb_hmm_pattern_log_probability(c, m, patterns[i].n, patterns[i].k, &log_probability), TB_OK);
    close_to(log_probability, patterns[i].log_probability, 1e-3);
  }
  tb_hmm_filter_free(f);
  tb_hmm_free(m);
  tb_context_free(c);
}

/* ---- files that are none ---- */

static const struct {
  const char *content, *place, *message; /* message NULL: the JSON library's own words */
} faulty[] = {
  { "", ":1:1", "the file is empty" },
  { " \n\n", ":1:1", "the file is empty" },
  { "{\"tokens\": [\"/\" \"a\"]}", ":1:19", NULL },
  { "[1]", ":1:1", "expected an object" },
  { "{\"tokens\": [\"/\"],\n \"delimter\": \"/\"}", ":2:14", "a mixture file has no \"delimter\" here" },
  { "{\"tokens\": [\"/\", \"a\"], \"delimiter\": \"/\"}", ":1:1", "\"components\" is missing" },
  { "{\"tokens\": [\"/\"], \"delimiter\": \"/\", \"components\": [1]}", ":1:12",
    "tokens: expected 2 to 100000 of them, the delimiter and another at least" },
  { "{\"tokens\": [\"/\", \"a b\"], \"delimiter\": \"/\", \"components\": [1]}", ":1:18",
    "tokens[1]: a token is a text without blanks" },
  { "{\"tokens\": [\"/\", \"/\"], \"delimiter\": \"/\", \"components\": [1]}", ":1:18",
    "tokens[1]: token \"/\" is given twice" },
  { "{\"tokens\": [\"/\", \"a\"], \"delimiter\": \"b\", \"components\": [1]}", ":1:37",
    "the delimiter is none of the tokens" },
  { "{\"tokens\": [\"/\", \"a\"], \"delimiter\": \"/\", \"components\": []}", ":1:56",
    "components: expected 1 to 10000 of them" },
  { "{\"tokens\": [\"/\", \"a\"], \"delimiter\": \"/\", \"components\": [1]}", ":1:57",
    "components[0]: expected an object" },
#define BODY(rest) "{\"tokens\": [\"/\", \"a\"], \"delimiter\": \"/\", \"components\": [\n{" rest "}]}"
  { BODY("\"weight\": 1, \"start\": [1], \"transition\": [[1]]"), ":2:1", "components[0]: \"emission\" is missing" },
  { BODY("\"weight\": 1, \"start\": [], \"transition\": [[1]], \"emission\": [1]"), ":2:24",
    "components[0].start: expected a probability for each of 1 to 10000 states" },
  { BODY("\"weight\": 1.5, \"start\": [1], \"transition\": [[1]], \"emission\": [1]"), ":2:12",
    "components[0].weight is 1.5: a probability lies between 0 and 1" },
  { BODY("\"weight\": 1, \"start\": [0.5, 0.4], \"transition\": [[1]], \"emission\": [1]"), ":2:24",
    "components[0].start: the probabilities sum to 0.9, not 1" },
  { BODY("\"weight\": 1, \"start\": [0.5, \"x\"], \"transition\": [[1]], \"emission\": [1]"), ":2:30",
    "components[0].start[1]: expected a number from 0 to 1" },
  { BODY("\"weight\": 1, \"start\": [0.5, 0.5], \"transition\": [[1]], \"emission\": [1]"), ":2:50",
    "components[0].transition has 1 entries, expected 2 (a probability for each state)" },
  { BODY("\"weight\": 1, \"start\": [0.5, 0.5], \"transition\": [[1, 0], [0]], \"emission\": [1]"), ":2:59",
    "components[0].transition[1] has 1 entries, expected 2 (a probability for each state)" },
  { BODY("\"weight\": 1, \"start\": [0.5, 0.5], \"transition\": [[1, 0], [-0.1, 1.1]], \"emission\": [1]"), ":2:60",
    "components[0].transition[1][0] is -0.1: a probability lies between 0 and 1" },
  { BODY("\"weight\": 1, \"start\": [1], \"transition\": [[1]], \"emission\": [2]"), ":2:63",
    "components[0].emission[0]: expected the index of a token, 0 to 1" },
  { BODY("\"weight\": 1, \"start\": [1], \"transition\": [[1]], \"emission\": [[0.5, 0.6]]"), ":2:63",
    "components[0].emission[0]: the probabilities sum to 1.1, not 1" },
  { BODY("\"weight\": 0.5, \"start\": [1], \"transition\": [[1]], \"emission\": [[0.5, 0.5]]"), ":1:56",
    "components: the weights sum to 0.5, not 1" },
};

static void faults_are_told_at_their_place(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  for (size_t i = 0; i < sizeof faulty / sizeof *faulty; i++) {
    tb_hmm *m;
    char *path = scratch_file("fault.json", faulty[i].content), place[300];
    assert_int_equal(tb_hmm_read(c, path, &m), TB_BAD_DATA);
    unlink(path);
    assert_null(m);
    snprintf(place, sizeof place, "%s%s", path, faulty[i].place);
    if (faulty[i].message)
      assert_string_equal(tb_context_message(c), faulty[i].message);
    assert_string_equal(tb_context_place(c), place);
  }
  tb_context_free(c);
}

static void every_failing_allocation_is_told(void **state) {
  char *path = scratch_file("memory.json", small), out[300];
  snprintf(out, sizeof out, "%s.out", path);
  for (long fail_at = 0;; fail_at++) {
    meter m = { 0 };
    tb_context *c = tb_context_new(meter_allocate, &m);
    tb_arena *arena = tb_arena_new(c);
    tb_hmm *mixture = NULL, *smooth = NULL;
    tb_hmm_prompt *prompts;
    tb_hmm_swap swap;
    m.fail_at = fail_at ? m.calls + fail_at : 0;
    tb_status status = tb_hmm_read(c, path, &mixture);
    if (!status)
      status = tb_hmm_smooth(c, mixture, 0.1, &smooth);
    if (!status)
      status = tb_hmm_prompts(c, arena, smooth, 2, 2, true, 3, (tb_key){ 0 }, &prompts);
    if (!status)
      status = tb_hmm_swap_cost(c, smooth, 1, 2, 100, 3, (tb_key){ 0 }, &swap);
    if (!status)
      status = tb_hmm_swap_cost(c, smooth, 1, 2, 0, 3, (tb_key){ 0 }, &swap);
    if (!status)
      status = tb_hmm_write(c, smooth, out);
    assert_true(status == TB_OK || status == TB_NO_MEMORY);
    tb_hmm_free(mixture);
    tb_hmm_free(smooth);
    tb_arena_free(arena);
    const bool done = fail_at && m.calls < m.fail_at;
    tb_context_free(c);
    assert_int_equal(m.live, 0);
    if (done)
      break;
  }
  unlink(path);
  unlink(out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(agrees_with_hidden_paths),
    cmocka_unit_test(nothing_underflows),
    cmocka_unit_test(the_swap_costs_what_enumeration_says),
    cmocka_unit_test(draws_follow_the_law),
    cmocka_unit_test(ginc_is_made_as_published),
    cmocka_unit_test(smoothing_mixes_in_the_uniform_law),
    cmocka_unit_test(the_released_mixture),
    cmocka_unit_test(faults_are_told_at_their_place),
    cmocka_unit_test(every_failing_allocation_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

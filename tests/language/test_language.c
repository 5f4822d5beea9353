/* Languages against enumeration: the law of every kind is written down a second time, string by string, and everything
 * the library says of prefixes, entropy, accuracy and rules must follow from the list. */
#include "../testing.h"

#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <unistd.h>

#include <tiebreak/language.h>

/* P(string) by its definition, up to a constant that bounded files divide out. */
typedef double (*reference)(size_t n, const uint16_t *s, size_t longest);

enum { LONGEST = 12 };

static size_t count_of(size_t n, const uint16_t *s, uint16_t symbol) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++)
    count += s[i] == symbol;
  return count;
}

static double choose(size_t n, size_t k) {
  double product = 1;
  for (size_t i = 0; i < k; i++)
    product *= (double)(n - i) / (double)(i + 1);
  return product;
}

/* s is x^i y^j z^k with these counts */
static bool blocks(size_t n, const uint16_t *s, const char *symbols, const size_t *counts) {
  size_t at = 0;
  for (size_t b = 0; symbols[b]; b++)
    for (size_t i = 0; i < counts[b]; i++, at++)
      if (at >= n || s[at] != symbols[b] - '0')
        return false;
  return at == n;
}

static double l1(size_t n, const uint16_t *s, size_t longest) {
  size_t as = count_of(n, s, 0);
  return n == 0 || s[0] != 1 || as % 2 ? 0 : 1 / (double)longest / ((double)((n - 1) / 2) + 1) / choose(n - 1, as);
}

static double l2(size_t n, const uint16_t *s, size_t longest) {
  size_t as = count_of(n, s, 0), counts[] = { n - as, as };
  return n == 0 || as == n || as % 2 || !blocks(n, s, "10", counts) ? 0
                                                                    : 1 / (double)longest / ((double)((n - 1) / 2) + 1);
}

static double l3(size_t n, const uint16_t *s, size_t longest) {
  size_t counts[] = { n / 2, n / 2 };
  return n && n % 2 == 0 && blocks(n, s, "01", counts) ? 1 / (double)(longest / 2) : 0;
}

static double l5(size_t n, const uint16_t *s, size_t longest) {
  size_t counts[] = { n / 3, n / 3, n / 3 };
  return n && n % 3 == 0 && blocks(n, s, "012", counts) ? 1 / (double)(longest / 3) : 0;
}

static double anbnan(size_t n, const uint16_t *s, size_t longest) {
  size_t counts[] = { n / 3, n / 3, n / 3 };
  return n && n % 3 == 0 && blocks(n, s, "010", counts) ? 1 / (double)(longest / 3) : 0;
}

static double abn(size_t n, const uint16_t *s, size_t longest) {
  return n && 2 * count_of(n, s, 0) == n ? 1 / (double)(longest / 2) / choose(n, n / 2) : 0;
}

static double anbm(size_t n, const uint16_t *s, size_t longest) {
  size_t half = longest / 2, as = count_of(n, s, 0), counts[] = { as, n - as };
  return as && as < n && as <= half && n - as <= half && blocks(n, s, "01", counts) ? 1 / (double)(half * half) : 0;
}

/* One budget's path through the sampler of L4. */
static double nested(size_t n, const uint16_t *s, size_t longest) {
  double sum = 0;
  for (size_t l = 1; l <= longest / 2; l++) {
    double p = 1;
    uint16_t stack[LONGEST + 1];
    size_t depth = 0;
    for (size_t i = 0; i < n && p > 0; i++) {
      bool opener = s[i] % 2 == 0, must = i + depth >= 2 * l;
      if (i > 0 && depth == 0)
        p = 0;
      else if (opener) {
        p *= must ? 0 : i == 0 ? 0.5 : 1.0 / 3;
        stack[depth++] = s[i];
      } else if (depth == 0 || stack[depth - 1] + 1 != s[i]) {
        p = 0;
      } else {
        p *= must ? 1 : 1.0 / 3;
        depth--;
      }
    }
    sum += n > 0 && depth == 0 ? p : 0;
  }
  return sum / (double)(longest / 2);
}

static double interleaved(size_t n, const uint16_t *s, size_t longest) {
  double p = 1 / (double)(longest / 2);
  size_t open[2] = { 0, 0 };
  if (n == 0 || n % 2)
    return 0;
  for (size_t i = 0; i < n; i++) {
    size_t kind = s[i] / 2, kinds = (open[0] > 0) + (open[1] > 0);
    bool must = open[0] + open[1] >= n - i;
    if (s[i] % 2 == 0) {
      if (must)
        return 0;
      open[kind]++;
    } else if (open[kind]-- == 0) {
      return 0;
    }
    p /= (double)(must ? kinds : 2 + kinds);
  }
  return p;
}

/* ---- files ---- */

static const char automaton_text[] = "alphabet: [a, b]\n"
                                     "automaton:\n"
                                     "  start: p\n"
                                     "  states:\n"
                                     "    p: {end: 0.2, a: [q, 0.3], b: [p, 0.5]}\n"
                                     "    q: {a: [p, 0.9], end: 0.1}\n";

static double automaton(size_t n, const uint16_t *s, size_t longest) {
  double p = 1;
  int state = 0;
  for (size_t i = 0; i < n; i++) {
    p *= state == 0 ? s[i] == 0 ? 0.3 : 0.5 : s[i] == 0 ? 0.9 : 0;
    state = state == 0 && s[i] == 0;
  }
  return p * (state == 0 ? 0.2 : 0.1);
}

/* Two steps emit a and part ways: a prefix does not fix the counters. */
static const char counters_text[] = "alphabet: [a, b]\n"
                                    "counters:\n"
                                    "  start: {x: 1, y: 0}\n"
                                    "  steps:\n"
                                    "    - {emit: a, weight: 2, when: \"x < 3 and length != 2\", do: {x: 1}}\n"
                                    "    - {emit: a, when: \"y <= x\", do: {y: 1}}\n"
                                    "    - {emit: b, weight: 0.5, do: {x: -1, y: 1}}\n"
                                    "    - {emit: end, when: \"length >= 1\"}\n";

static double counters_from(size_t n, const uint16_t *s, size_t i, int x, int y) {
  bool can[4] = { x < 3 && i != 2, y <= x, x >= 1, i >= 1 };
  double weights[4] = { 2, 1, 0.5, 1 }, sum = 0;
  for (int k = 0; k < 4; k++)
    sum += can[k] ? weights[k] : 0;
  if (i == n)
    return can[3] ? 1 / sum : 0;
  double p = 0;
  if (s[i] == 0)
    p = (can[0] ? 2 / sum * counters_from(n, s, i + 1, x + 1, y) : 0) +
        (can[1] ? 1 / sum * counters_from(n, s, i + 1, x, y + 1) : 0);
  else
    p = can[2] ? 0.5 / sum * counters_from(n, s, i + 1, x - 1, y + 1) : 0;
  return p;
}

static double counters(size_t n, const uint16_t *s, size_t longest) {
  return counters_from(n, s, 0, 1, 0);
}

/* Left recursion, an empty and a unit production, ambiguity. */
static const char grammar_text[] =
    "alphabet: [a, b]\n"
    "grammar:\n"
    "  start: S\n"
    "  productions:\n"
    "    S: [[0.15, \"S S\"], [0.2, \"S T\"], [0.3, \"a T b\"], [0.2, \"\"], [0.15, \"T\"]]\n"
    "    T: [[0.1, \"S\"], [0.4, \"a\"], [0.3, \"b a\"], [0.2, \"\"]]\n";

/* P(S or T derives s[i..j)) by iterating the equations to their least solution. */
static double grammar(size_t n, const uint16_t *s, size_t longest) {
  static double in[2][LONGEST + 1][LONGEST + 1];
  memset(in, 0, sizeof in);
  for (int round = 0; round < 400; round++)
    for (size_t i = 0; i <= n; i++)
      for (size_t j = i; j <= n; j++) {
        double ss = 0, st = 0;
        for (size_t m = i; m <= j; m++) {
          ss += in[0][i][m] * in[0][m][j];
          st += in[0][i][m] * in[1][m][j];
        }
        in[0][i][j] = 0.15 * ss + 0.2 * st + 0.2 * (i == j) + 0.15 * in[1][i][j];
        if (j >= i + 2 && s[i] == 0 && s[j - 1] == 1)
          in[0][i][j] += 0.3 * in[1][i + 1][j - 1];
        in[1][i][j] = 0.1 * in[0][i][j] + 0.4 * (j == i + 1 && s[i] == 0) +
                      0.3 * (j == i + 2 && s[i] == 1 && s[i + 1] == 0) + 0.2 * (i == j);
      }
  return in[0][0][n];
}

/* ---- comparison ---- */

typedef struct fixture {
  tb_context *context;
  tb_arena *arena;
  tb_language *l;
  meter m;
} fixture;

static void open_named(fixture *f, const char *name, size_t longest) {
  *f = (fixture){ 0 };
  f->context = tb_context_new(meter_allocate, &f->m);
  f->arena = tb_arena_new(f->context);
  if (tb_language_open(f->context, name, longest, &f->l))
    fail_msg("%s: %s", tb_context_place(f->context), tb_context_message(f->context));
}

static void open_text(fixture *f, const char *text, size_t longest) {
  char path[] = "/tmp/tiebreak-language-XXXXXX";
  int file = mkstemp(path);
  assert_true(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text));
  close(file);
  open_named(f, path, longest);
  unlink(path);
}

static void close_all(fixture *f) {
  tb_language_free(f->l);
  tb_arena_free(f->arena);
  tb_context_free(f->context);
  assert_int_equal(f->m.live, 0);
}

typedef struct sums {
  fixture *f;
  tb_walk *walk;
  reference p;
  size_t longest, v;
  double total, entropy, length, strings, right;
  uint16_t s[LONGEST + 1];
} sums;

static double total_below(sums *e, size_t n) {
  double sum = e->p(n, e->s, e->longest);
  if (sum > 0) {
    double q = sum / e->total;
    e->entropy -= e->total > 0 ? q * log(q) : 0;
    e->length += (double)n * q;
    e->strings += 1;
  }
  for (size_t a = 0; a < e->v && n < e->longest; a++) {
    e->s[n] = (uint16_t)a;
    sum += total_below(e, n + 1);
  }
  return sum;
}

/* Checks the walk at the prefix s[0..n); returns the mass of strings that begin so. */
static double check_below(sums *e, size_t n) {
  double parts[8] = { 0 }, sum = 0, most = 0;
  for (size_t a = 0; a < e->v && n < e->longest; a++) {
    e->s[n] = (uint16_t)a;
    assert_int_equal(tb_walk_push(e->walk, a), TB_OK);
    sum += parts[a] = check_below(e, n + 1);
    tb_walk_pop(e->walk);
  }
  sum += parts[e->v] = e->p(n, e->s, e->longest) / e->total;
  const double *law = tb_walk_law(e->walk);
  assert_true(fabs(exp(tb_walk_log_probability(e->walk)) - sum) <= 1e-12 * sum);
  assert_true((law != NULL) == (sum > 0));
  for (size_t a = 0; a <= e->v && law; a++) {
    if (fabs(law[a] - parts[a] / sum) > 1e-11)
      fail_msg("law of symbol %zu behind %zu symbols: %.17g, enumeration %.17g", a, n, law[a], parts[a] / sum);
    most = fmax(most, parts[a]);
  }
  e->right += most;
  return sum;
}

static void compare(fixture *f, reference p, size_t longest, bool law_of_its_own) {
  sums e = { .f = f, .p = p, .longest = longest, .v = tb_language_symbols(f->l), .total = 1 };
  tb_language_facts facts;
  double total = total_below(&e, 0);
  if (law_of_its_own)
    assert_true(fabs(total - 1) < 1e-13);
  e.total = total;
  e.entropy = e.length = e.strings = 0;
  total_below(&e, 0);
  assert_int_equal(tb_walk_new(f->context, f->l, &e.walk), TB_OK);
  assert_true(fabs(check_below(&e, 0) - 1) < 1e-12);
  tb_walk_free(e.walk);
  assert_int_equal(tb_language_measure(f->context, f->l, &facts), TB_OK);
  assert_true(fabs(facts.entropy - e.entropy) < 1e-11);
  assert_true(fabs(facts.mean_length - e.length) < 1e-11);
  assert_true(facts.strings == e.strings);
  double positions = (double)longest + 1;
  assert_true(fabs(facts.optimal_loss - e.entropy / positions) < 1e-12);
  assert_true(fabs(facts.optimal_accuracy - (e.right + positions - e.length - 1) / positions) < 1e-11);
}

static void builtin_laws(void **state) {
  const struct {
    const char *name;
    reference p;
    size_t longest[2];
  } laws[] = { { "L1", l1, { 9, 12 } },         { "L2", l2, { 9, 12 } },    { "L3", l3, { 9, 12 } },
               { "anbn", l3, { 3, 12 } },       { "L4", nested, { 7, 8 } }, { "L5", l5, { 9, 10 } },
               { "L6", interleaved, { 6, 8 } }, { "abn", abn, { 9, 12 } },  { "anbm", anbm, { 9, 12 } },
               { "anbnan", anbnan, { 9, 12 } } };
  for (size_t i = 0; i < sizeof laws / sizeof *laws; i++)
    for (int k = 0; k < 2; k++) {
      fixture f;
      open_named(&f, laws[i].name, laws[i].longest[k]);
      compare(&f, laws[i].p, laws[i].longest[k], true);
      close_all(&f);
    }
}

static void file_laws(void **state) {
  const struct {
    const char *text;
    reference p;
    size_t longest;
  } laws[] = { { automaton_text, automaton, 10 }, { counters_text, counters, 8 }, { grammar_text, grammar, 7 } };
  for (size_t i = 0; i < 3; i++) {
    fixture f;
    open_text(&f, laws[i].text, laws[i].longest);
    compare(&f, laws[i].p, laws[i].longest, false);
    close_all(&f);
  }
}

/* ---- without a bound ---- */

static void unbounded(void **state) {
  fixture f;
  tb_language_facts facts;
  tb_walk *walk;
  open_text(&f, automaton_text, 0);
  assert_int_equal(tb_language_measure(f.context, f.l, &facts), TB_OK);
  /* visits: p = 1 + p/2 + 0.9 q, q = 0.3 p */
  double p = 1 / (1 - 0.5 - 0.27), q = 0.3 * p;
  double h = p * -(0.2 * log(0.2) + 0.3 * log(0.3) + 0.5 * log(0.5)) - q * (0.9 * log(0.9) + 0.1 * log(0.1));
  assert_true(fabs(facts.mean_length - (0.8 * p + 0.9 * q)) < 1e-13 * p);
  assert_true(fabs(facts.entropy - h) < 1e-13 * h);
  assert_true(isinf(facts.strings) && isnan(facts.positions) && isnan(facts.optimal_loss));
  close_all(&f);
  open_text(
      &f, "alphabet: [a, b]\ngrammar:\n  start: S\n  productions:\n    S: [[0.7, \"a S b b\"], [0.3, \"a b b\"]]\n", 0);
  assert_int_equal(tb_language_measure(f.context, f.l, &facts), TB_OK);
  assert_true(fabs(facts.mean_length - 10) < 1e-12);
  assert_true(fabs(facts.entropy + (0.7 * log(0.7) + 0.3 * log(0.3)) / 0.3) < 1e-12);
  assert_true(isinf(facts.strings));
  close_all(&f);
  /* prefixes: the sum over strings of at most 11 symbols, and the tail behind them */
  open_text(&f,
            "alphabet: [a]\ngrammar:\n  start: S\n  productions:\n    S: [[0.3, \"S S\"], [0.3, \"a\"], [0.4, \"\"]]\n",
            0);
  assert_int_equal(tb_walk_new(f.context, f.l, &walk), TB_OK);
  double tail = 0, at[400] = { 0 }, e = (1 - sqrt(1 - 4 * 0.3 * 0.4)) / 0.6;
  at[0] = e;
  for (size_t n = 1; n < 400; n++) { /* at_n (1 - 0.6 e) = 0.3 [n = 1] + 0.3 Σ at_k at_{n-k} */
    double sum = n == 1 ? 0.3 : 0;
    for (size_t k = 1; k < n; k++)
      sum += 0.3 * at[k] * at[n - k];
    at[n] = sum / (1 - 0.6 * e);
  }
  for (size_t n = 0; n < 40; n++) {
    tail = 0;
    for (size_t k = 400; k-- > n;)
      tail += at[k];
    assert_true(fabs(exp(tb_walk_log_probability(walk)) - tail) < 1e-13);
    assert_true(fabs(tb_walk_law(walk)[1] - at[n] / tail) < 1e-9);
    assert_int_equal(tb_walk_push(walk, 0), TB_OK);
  }
  tb_walk_free(walk);
  close_all(&f);
}

/* ---- published sizes ---- */

static void published(void **state) {
  const struct {
    const char *name;
    double loss, accuracy, mean;
    size_t id, ood;
    double eos_ood;
  } rows[] = { { "L3", log(128) / 257, 1 - 127.0 / (128 * 257), 129, 5, 251, 69.0 / 251 },
               { "L5", log(85) / 257, NAN, 129, 4, 239, 0 },
               { "L1", NAN, NAN, 128.5, 128, 128, 0.5 },
               { "L4", NAN, NAN, 66.46875, 32, 32, 0 },
               { "L6", NAN, NAN, 129, 32, 32, 0 } };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    fixture f;
    tb_language_facts facts;
    tb_prompt *prompts;
    tb_baselines id, ood;
    size_t count;
    open_named(&f, rows[i].name, 0);
    assert_int_equal(tb_language_measure(f.context, f.l, &facts), TB_OK);
    assert_true(isnan(rows[i].loss) || fabs(facts.optimal_loss - rows[i].loss) < 1e-15);
    assert_true(isnan(rows[i].accuracy) || fabs(facts.optimal_accuracy - rows[i].accuracy) < 1e-14);
    assert_true(fabs(facts.mean_length - rows[i].mean) < 0.005);
    assert_int_equal(tb_language_prompts(f.context, f.arena, f.l, 0, 0, &count, &prompts), TB_OK);
    tb_language_baselines(f.l, count, prompts, true, &id);
    tb_language_baselines(f.l, count, prompts, false, &ood);
    assert_int_equal(id.prompts, rows[i].id);
    assert_int_equal(ood.prompts, rows[i].ood);
    assert_true(fabs(ood.eos_now_r1 - rows[i].eos_ood) < 1e-15);
    close_all(&f);
  }
}

static void prompts_of_l3(void **state) {
  const size_t expected[] = { 69, 111, 55, 15, 1 };
  size_t count, histogram[9] = { 0 }, end_in_b = 0;
  fixture f;
  tb_prompt *prompts;
  open_named(&f, "L3", 0);
  assert_int_equal(tb_language_prompts(f.context, f.arena, f.l, 0, 0, &count, &prompts), TB_OK);
  for (size_t i = 0; i < count; i++) {
    size_t as = count_of(8, prompts[i].symbols, 0), first_b = 0;
    while (first_b < 8 && prompts[i].symbols[first_b] == 0)
      first_b++;
    assert_true(prompts[i].id == (first_b == as && as >= 4));
    if (prompts[i].id)
      continue;
    histogram[as > 4 ? 2 * as - 8 : 8 - 2 * as]++;
    end_in_b += prompts[i].symbols[7] == 1;
  }
  for (size_t k = 0; k < 5; k++)
    assert_int_equal(histogram[2 * k], expected[k]);
  assert_int_equal(end_in_b, 124);
  close_all(&f);
}

static void prompts_drawn(void **state) {
  size_t count;
  fixture f;
  tb_prompt *prompts;
  open_named(&f, "L2", 0);
  assert_int_equal(tb_language_prompts(f.context, f.arena, f.l, 0, 5, &count, &prompts), TB_OK);
  assert_int_equal(count, 256);
  for (size_t i = 0; i < count; i++) {
    tb_walk *walk;
    assert_int_equal(tb_walk_new(f.context, f.l, &walk), TB_OK);
    for (size_t k = 0; k < prompts[i].count; k++)
      assert_int_equal(tb_walk_push(walk, prompts[i].symbols[k]), TB_OK);
    assert_true(prompts[i].id == !isinf(tb_walk_log_probability(walk)));
    assert_true(prompts[i].id == !tb_rule_broken(f.l, 1, prompts[i].count, prompts[i].symbols));
    tb_walk_free(walk);
  }
  close_all(&f);
  for (int k = 0; k < 2; k++) {
    open_named(&f, k ? "L6" : "L4", 0);
    assert_int_equal(tb_language_prompts(f.context, f.arena, f.l, 0, 5, &count, &prompts), TB_OK);
    for (size_t i = 0; i < count; i++) {
      assert_int_equal(prompts[i].count, 8);
      assert_true(nested(6, prompts[i].symbols + 2, 6) > 0);
      assert_true(tb_rule_broken(f.l, 1, 8, prompts[i].symbols) == !prompts[i].id);
      assert_false(tb_rule_broken(f.l, 0, 8, prompts[i].symbols));
      assert_memory_equal(prompts[i].symbols + 2, prompts[i % 32].symbols + 2, 12);
    }
    close_all(&f);
  }
}

/* ---- rules ---- */

/* chance(w) = ([rule holds] + Σ_a chance(w a)) / (V + 1); no chance, no hope. */
static void chance_below(fixture *f, size_t rule, uint16_t *s, size_t n, size_t most) {
  size_t v = tb_language_symbols(f->l);
  double sum = tb_rule_holds(f->l, rule, n, s), chance = tb_rule_chance(f->l, rule, n, s);
  for (size_t a = 0; a < v; a++) {
    s[n] = (uint16_t)a;
    sum += tb_rule_chance(f->l, rule, n + 1, s);
  }
  assert_true(fabs(chance - sum / (double)(v + 1)) < 1e-14);
  assert_true(tb_rule_broken(f->l, rule, n, s) == !(chance > 0));
  for (size_t a = 0; a < v && n < most; a++) {
    s[n] = (uint16_t)a;
    chance_below(f, rule, s, n + 1, most);
  }
}

static bool possible_below(fixture *f, uint16_t *s, size_t n, size_t most) {
  bool all = true;
  for (size_t r = 0; r < tb_language_rules(f->l); r++)
    all &= tb_rule_holds(f->l, r, n, s);
  for (size_t a = 0; a < tb_language_symbols(f->l) && !all && n < most; a++) {
    s[n] = (uint16_t)a;
    all = possible_below(f, s, n + 1, most);
  }
  return all;
}

/* Prompts of up to `most` symbols against continuations of up to `more`. */
static void satisfiable_below(fixture *f, uint16_t *s, size_t n, size_t most, size_t more) {
  uint16_t copy[LONGEST + 1];
  tb_answer answer;
  memcpy(copy, s, sizeof copy);
  assert_int_equal(tb_rules_satisfiable(f->context, f->l, n, s, &answer), TB_OK);
  assert_int_equal(answer, possible_below(f, copy, n, n + more) ? TB_YES : TB_NO);
  for (size_t a = 0; a < tb_language_symbols(f->l) && n < most; a++) {
    s[n] = (uint16_t)a;
    satisfiable_below(f, s, n + 1, most, more);
  }
}

static const char rules_text[] = "alphabet: [a, b, c]\n"
                                 "max_length: 4\n"
                                 "automaton: {start: p, states: {p: {end: 0.5, a: [p, 0.5]}}}\n"
                                 "rules:\n"
                                 "  r1: {equal: {a: 2, b: 3}}\n"
                                 "  r2: {order: [c, a]}\n"
                                 "  three: {equal: [a, b, c]}\n"
                                 "  even: {even: [a, b]}\n"
                                 "  odd: {odd: [c]}\n"
                                 "  dyck: {balanced: [b, a]}\n"
                                 "  regex: {regex: \"(a|bc+){1,2}[^c]?\"}\n";

static void rule_chances(void **state) {
  const char *names[] = { "L1", "L2", "L3", "L4", "L5", "anbnan", NULL };
  uint16_t s[LONGEST + 1];
  for (size_t i = 0; i < 7; i++) {
    fixture f;
    if (names[i])
      open_named(&f, names[i], 0);
    else
      open_text(&f, rules_text, 0);
    for (size_t r = 0; r < tb_language_rules(f.l); r++)
      chance_below(&f, r, s, 0, names[i] ? 5 : 4);
    close_all(&f);
  }
}

static void rules_together(void **state) {
  const char *names[] = { "L1", "L2", "L3", "anbnan" };
  uint16_t s[LONGEST + 1] = { 0 };
  for (size_t i = 0; i < 4; i++) {
    fixture f;
    open_named(&f, names[i], 0);
    satisfiable_below(&f, s, 0, 4, 8);
    close_all(&f);
  }
}

/* The automaton of an expression against the C library's matcher. */
static void expressions(void **state) {
  const char *patterns[] = { "a*b",      "(ab|c)+", "a{2,3}",      "(a|b){0,2}c?",  "[ab]*c",      "[^a]+",
                             "(a*b*)*c", "",        "a|",          "(|a)b",         "a{0}b",       "(a{2}b?)*",
                             ".c.",      "^ab?$",   "(a|b|c){3,}", "((a+)(b?)){2}", "[a-b]{1,}c*", "[[:alpha:]]b",
                             "a+b+|c{2}" };
  for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
    char text[400], whole[100], string[8];
    regex_t regex;
    fixture f;
    snprintf(text, sizeof text,
             "alphabet: [a, b, c]\nmax_length: 1\nautomaton: {start: p, states: {p: {end: 1}}}\n"
             "rules: {r1: {regex: \"%s\"}}\n",
             patterns[i]);
    snprintf(whole, sizeof whole, "^(%s)$", patterns[i]);
    open_text(&f, text, 0);
    assert_int_equal(regcomp(&regex, whole, REG_EXTENDED | REG_NOSUB), 0);
    for (size_t n = 0; n <= 6; n++) {
      size_t total = 1;
      for (size_t k = 0; k < n; k++)
        total *= 3;
      for (size_t number = 0; number < total; number++) {
        uint16_t s[8];
        size_t rest = number;
        for (size_t k = 0; k < n; k++, rest /= 3)
          string[k] = (char)('a' + (s[k] = (uint16_t)(rest % 3)));
        string[n] = 0;
        if (tb_rule_holds(f.l, 0, n, s) != (regexec(&regex, string, 0, NULL, 0) == 0))
          fail_msg("'%s' on '%s'", patterns[i], string);
      }
    }
    regfree(&regex);
    close_all(&f);
  }
}

/* ---- the sampler ---- */

static void samples(void **state) {
  fixture f;
  double mean = 0, squares = 0;
  enum { DRAWS = 4000 };
  open_named(&f, "L4", 64);
  tb_language_facts facts;
  assert_int_equal(tb_language_measure(f.context, f.l, &facts), TB_OK);
  for (size_t i = 0; i < DRAWS; i++) {
    size_t count, again;
    uint16_t *s, *t;
    assert_int_equal(tb_language_sample(f.context, f.arena, f.l, 7, i, &count, &s), TB_OK);
    assert_true(tb_rule_holds(f.l, 0, count, s) && tb_rule_holds(f.l, 1, count, s) && count >= 2 && count <= 64);
    if (i < 10) {
      assert_int_equal(tb_language_sample(f.context, f.arena, f.l, 7, i, &again, &t), TB_OK);
      assert_int_equal(again, count);
      assert_memory_equal(s, t, count * sizeof *s);
    }
    mean += (double)count / DRAWS;
    squares += (double)count * (double)count / DRAWS;
  }
  assert_true(fabs(mean - facts.mean_length) < 4 * sqrt((squares - mean * mean) / DRAWS));
  close_all(&f);
}

/* Every allocation fails once. */
static void exhaustion(void **state) {
  const char *texts[] = { automaton_text, grammar_text, rules_text };
  for (size_t i = 0; i < 3; i++) {
    char path[] = "/tmp/tiebreak-language-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0 && write(file, texts[i], strlen(texts[i])) > 0);
    close(file);
    bool done = false;
    for (long fail = 3; !done && fail < 400; fail++) {
      meter m = { .fail_at = fail };
      tb_language *l = NULL;
      tb_language_facts facts;
      tb_context *context = tb_context_new(meter_allocate, &m);
      tb_status status = tb_language_open(context, path, 3, &l);
      if (!status)
        status = tb_language_measure(context, l, &facts);
      done = m.calls < fail;
      assert_int_equal(status, done ? TB_OK : TB_NO_MEMORY);
      tb_language_free(l);
      tb_context_free(context);
      assert_int_equal(m.live, 0);
    }
    assert_true(done);
    unlink(path);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(builtin_laws), cmocka_unit_test(file_laws),      cmocka_unit_test(unbounded),
    cmocka_unit_test(published),    cmocka_unit_test(prompts_of_l3),  cmocka_unit_test(prompts_drawn),
    cmocka_unit_test(rule_chances), cmocka_unit_test(rules_together), cmocka_unit_test(expressions),
    cmocka_unit_test(samples),      cmocka_unit_test(exhaustion),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

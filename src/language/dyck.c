/* L4: nested words of two kinds of brackets that end at their first empty stack.
 *
 * Budget n = 2l, l ~ U{1..M}; the first symbol opens; then uniform over both openers and the closer of the innermost
 * bracket; closers are forced once length + depth >= n.  length + depth is twice the number o of openers, so l = o
 * means forced and l > o free: after c closers since the last opener the odds are 1 : (M - o) 3^-c.  A state is
 * (o, c, stack); facts need only (o, c, depth). */
#include "dyck.h"

#include <tiebreak/random.h>

#include <math.h>
#include <string.h>

enum { OPENED, CLOSED, DEPTH, STACK, STACK_WORDS = TB_STATE_WORDS - STACK };

static bool square_on_top(const tb_language_state *s) {
  int top = s->at[DEPTH] - 1;
  return (uint32_t)s->at[STACK + top / 32] >> (top % 32) & 1;
}

static void start(const tb_language *l, tb_language_state *s) {
  memset(s, 0, sizeof *s);
}

/* Probability that only closers may follow. */
static double forced(size_t most, size_t opened, size_t closed) {
  return 1 / (1 + (double)(most - opened) * pow(3, -(double)closed));
}

static void law(const tb_language *l, const tb_language_state *s, double *law) {
  memset(law, 0, (TB_BRACKETS + 1) * sizeof *law);
  if (s->at[OPENED] == 0)
    law[TB_ROUND_OPEN] = law[TB_SQUARE_OPEN] = 0.5;
  else if (s->at[DEPTH] == 0)
    law[TB_BRACKETS] = 1;
  else {
    double f = forced(l->max_length / 2, (size_t)s->at[OPENED], (size_t)s->at[CLOSED]), each = (1 - f) / 3;
    if ((size_t)s->at[OPENED] < l->max_length / 2)
      law[TB_ROUND_OPEN] = law[TB_SQUARE_OPEN] = each;
    law[square_on_top(s) ? TB_SQUARE_CLOSE : TB_ROUND_CLOSE] = f + each;
  }
}

static void step(const tb_language *l, tb_language_state *s, size_t symbol) {
  if (symbol == TB_ROUND_CLOSE || symbol == TB_SQUARE_CLOSE) {
    int top = --s->at[DEPTH];
    s->at[STACK + top / 32] = (int32_t)((uint32_t)s->at[STACK + top / 32] & ~(1u << top % 32));
    s->at[CLOSED]++;
    return;
  }
  if (symbol == TB_SQUARE_OPEN)
    s->at[STACK + s->at[DEPTH] / 32] = (int32_t)((uint32_t)s->at[STACK + s->at[DEPTH] / 32] | 1u << s->at[DEPTH] % 32);
  s->at[DEPTH]++;
  s->at[OPENED]++;
  s->at[CLOSED] = 0;
}

/* ---- facts ---- */

/* One layer of o openers: after[d] is the probability to stand at depth d behind the o-th; next[d] likewise. */
static void layer(size_t most, size_t o, const double *after, double *next, tb_language_facts *f, double *right) {
  for (size_t top = 1; top <= o; top++) { /* depth behind the opener: the run of closers leads down from it */
    double mass = after[top];
    for (size_t c = 0; c < top && mass > 0; c++) {
      double p = forced(most, o, c), opener = o < most ? (1 - p) / 3 : 0, closer = p + (1 - p) / 3;
      double law[3] = { opener, opener, closer };
      f->entropy += mass * tb_law_entropy(3, law);
      *right += mass * fmax(opener, closer);
      next[top - c + 1] += 2 * mass * opener;
      mass *= closer;
    }
    f->mean_length += mass * 2 * (double)o;
    *right += mass; /* the end is certain */
  }
}

static tb_status measure(tb_context *context, const tb_language *l, tb_language_facts *f) {
  size_t most = l->max_length / 2;
  double words = 2, right = 0.5; /* prime words with o openers: Catalan(o - 1) 2^o */
  double *after = tb_allocate(context, most + 3, sizeof *after), *next = tb_allocate(context, most + 3, sizeof *next);
  tb_status status = after && next ? TB_OK : TB_NO_MEMORY;
  if (!status) {
    *f = (tb_language_facts){ .entropy = log(2) };
    after[1] = 1;
    for (size_t o = 1; o <= most; o++) {
      memset(next, 0, (most + 3) * sizeof *next);
      layer(most, o, after, next, f, &right);
      memcpy(after, next, (most + 3) * sizeof *next);
      f->strings += words;
      words = words * 4 * (2 * (double)o - 1) / ((double)o + 1); /* exact below 2^53 */
    }
    tb_language_close_facts(l, f, right);
  }
  tb_release(context, after);
  tb_release(context, next);
  return status;
}

/* ---- prompts of L4 and L6 ---- */

/* A prime word of exactly `length` symbols: the sampler's with budget length, drawn again while it ends earlier. */
static void prime_word(tb_key key, uint64_t number, size_t length, uint16_t *word, uint16_t *stack) {
  for (uint64_t draw = 0;; draw++) {
    size_t n = 0, depth = 0;
    do {
      bool must_close = n + depth >= length;
      uint64_t first = (number << 40) + (draw << 16) + n;
      uint64_t choice = must_close ? 2 : tb_random_below(key, first, n == 0 ? 2 : 3);
      if (choice < 2)
        stack[depth++] = word[n++] = choice ? TB_SQUARE_OPEN : TB_ROUND_OPEN;
      else
        word[n++] = stack[--depth] + 1;
    } while (depth > 0);
    if (n == length)
      return;
  }
}

tb_status tb_bracket_prompts(tb_context *context, tb_arena *arena, const tb_language *l, size_t length, uint64_t seed,
                             size_t *count, tb_prompt **prompts) {
  enum { EACH = 32 };
  tb_key key = { .seed = seed, .use = tb_use("prompts of brackets") };
  if (length % 2)
    return tb_fail(context, TB_USAGE, "option prompt_length", "two symbols and a word of even length",
                   "prompts of %s have an even length", l->name);
  *count = 2 * EACH;
  *prompts = tb_arena_allocate(arena, *count, sizeof **prompts);
  uint16_t *stack = tb_arena_allocate(arena, length, sizeof *stack);
  if (!*prompts || !stack)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < *count; i++) {
    uint16_t *symbols = tb_arena_allocate(arena, length, sizeof *symbols);
    if (!symbols)
      return TB_NO_MEMORY;
    symbols[0] = i < EACH ? TB_ROUND_OPEN : TB_ROUND_CLOSE;
    symbols[1] = TB_SQUARE_OPEN;
    prime_word(key, i % EACH, length - 2, symbols + 2, stack);
    (*prompts)[i] = (tb_prompt){ .id = i < EACH, .count = length, .completed = 2, .symbols = symbols };
  }
  return TB_OK;
}

const tb_language_kind tb_language_l4 = {
  .name = "L4",
  .summary = "nested round and square brackets (Dyck-2, prime words), context-free",
  .alphabet = "()[]",
  .least = 2,
  .own = 256,
  .most = 1000,
  .rules = { { .kind = TB_RULE_BALANCED, .count = 2, .symbols = { TB_SQUARE_OPEN, TB_SQUARE_CLOSE } },
             { .kind = TB_RULE_BALANCED, .count = 2, .symbols = { TB_ROUND_OPEN, TB_ROUND_CLOSE } } },
  .start = start,
  .law = law,
  .step = step,
  .measure = measure,
  .prompts = tb_bracket_prompts,
  .prompt_least = 4,
  .prompt_own = 8,
};

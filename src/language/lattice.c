/* L1, L2, abn, anbm: laws that a prefix's counts of a and b fix.
 *
 * exact(i, j) = ln P(a string with i a and j b); W(i, j) = ln P(a string begins with a given prefix of i a and j b)
 * sums exact over what may follow, backwards from the longest strings, in the log domain because strings of 256 symbols
 * have probabilities near 1e-76 (L1). */
#include "language.h"

#include <tiebreak/random.h>

#include <math.h>
#include <string.h>

enum { A, B };

typedef struct lattice {
  size_t side;   /* max_length + 1 */
  double *exact; /* [side × side], by a, then b */
  double *begin; /* W, likewise */
} lattice;

typedef struct shape {
  const tb_language_kind *kind;
  double (*exact)(size_t most, size_t a, size_t b);
  bool ordered; /* blocks: `first`, then the other symbol; else any order behind `lead` symbols b */
  int first;
} shape;

/* n ~ U{1..N}, #a = 2u with u ~ U{0..⌊(n−1)/2⌋} */
static double even_law(size_t most, size_t a, size_t b) {
  size_t n = a + b;
  if (n == 0 || n > most || a % 2 || b == 0)
    return -INFINITY;
  return -log((double)most) - log((double)((n - 1) / 2 + 1));
}

/* L1: the first symbol is b, the rest a uniform shuffle */
static double exact_l1(size_t most, size_t a, size_t b) {
  return even_law(most, a, b) - (b ? tb_log_choose(a + b - 1, a) : 0);
}

static double exact_l2(size_t most, size_t a, size_t b) {
  return even_law(most, a, b);
}

static double exact_abn(size_t most, size_t a, size_t b) {
  return a == b && a >= 1 && a <= most / 2 ? -log((double)(most / 2)) - tb_log_choose(2 * a, a) : -INFINITY;
}

static double exact_anbm(size_t most, size_t a, size_t b) {
  size_t half = most / 2;
  return a >= 1 && b >= 1 && a <= half && b <= half ? -2 * log((double)half) : -INFINITY;
}

static const shape shapes[] = { { &tb_language_l1, exact_l1, false, B },
                                { &tb_language_l2, exact_l2, true, B },
                                { &tb_language_abn, exact_abn, false, A },
                                { &tb_language_anbm, exact_anbm, true, A } };

static const shape *shape_of(const tb_language *l) {
  for (size_t i = 0;; i++)
    if (shapes[i].kind == l->kind)
      return &shapes[i];
}

/* May `symbol` follow a prefix with these counts? */
static bool may_follow(const tb_language *l, const shape *sh, size_t a, size_t b, int symbol) {
  size_t second = sh->first == A ? b : a;
  if (sh->ordered)
    return symbol != sh->first || second == 0;
  return l->kind != &tb_language_l1 || a + b > 0 || symbol == B;
}

static tb_status open_lattice(tb_language *l) {
  const shape *sh = shape_of(l);
  lattice *t = l->data = tb_arena_allocate(l->arena, 1, sizeof *t);
  if (!t)
    return TB_NO_MEMORY;
  size_t side = t->side = l->max_length + 1;
  t->exact = tb_arena_allocate(l->arena, side * side, sizeof *t->exact);
  t->begin = tb_arena_allocate(l->arena, side * side, sizeof *t->begin);
  if (!t->exact || !t->begin)
    return TB_NO_MEMORY;
  for (size_t a = side; a-- > 0;)
    for (size_t b = side; b-- > 0;) {
      size_t at = a * side + b;
      t->exact[at] = a + b <= l->max_length ? sh->exact(l->max_length, a, b) : -INFINITY;
      double w = t->exact[at];
      if (a + 1 < side && may_follow(l, sh, a, b, A))
        w = tb_log_add(w, t->begin[at + side]);
      if (b + 1 < side && may_follow(l, sh, a, b, B))
        w = tb_log_add(w, t->begin[at + 1]);
      t->begin[at] = w;
    }
  return TB_OK;
}

static void start(const tb_language *l, tb_language_state *s) {
  memset(s, 0, sizeof *s);
}

static void law(const tb_language *l, const tb_language_state *s, double *law) {
  const lattice *t = l->data;
  const shape *sh = shape_of(l);
  size_t a = (size_t)s->at[A], b = (size_t)s->at[B], at = a * t->side + b;
  law[A] = a + 1 < t->side && may_follow(l, sh, a, b, A) ? exp(t->begin[at + t->side] - t->begin[at]) : 0;
  law[B] = b + 1 < t->side && may_follow(l, sh, a, b, B) ? exp(t->begin[at + 1] - t->begin[at]) : 0;
  law[2] = exp(t->exact[at] - t->begin[at]);
}

static void step(const tb_language *l, tb_language_state *s, size_t symbol) {
  s->at[symbol]++;
}

/* L2: half of 256 prompts b^i a^{P−i}, i ~ U{1..P−1}; the others a b^i a^{P−1−i}, i ~ U{1..P−2}. */
static tb_status prompts_l2(tb_context *context, tb_arena *arena, const tb_language *l, size_t length, uint64_t seed,
                            size_t *count, tb_prompt **prompts) {
  enum { EACH = 128 };
  tb_key key = { .seed = seed, .use = tb_use("prompts of L2") };
  *count = 2 * EACH;
  *prompts = tb_arena_allocate(arena, *count, sizeof **prompts);
  if (!*prompts)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < *count; i++) {
    bool id = i < EACH;
    uint16_t *symbols = tb_arena_allocate(arena, length, sizeof *symbols);
    if (!symbols)
      return TB_NO_MEMORY;
    size_t before = !id, bs = 1 + (size_t)tb_random_below(key, i, length - 1 - before);
    for (size_t k = 0; k < length; k++)
      symbols[k] = k >= before && k < before + bs ? B : A;
    (*prompts)[i] = (tb_prompt){ .id = id, .count = length, .completed = length, .symbols = symbols };
  }
  return TB_OK;
}

#define LATTICE                                                                                                        \
  .alphabet = "ab", .own = 256, .most = 1024, .open = open_lattice, .start = start, .law = law, .step = step

const tb_language_kind tb_language_l1 = {
  .name = "L1",
  .summary = "strings that begin with b and have an even number of a, regular",
  .least = 1,
  .rules = { { .kind = TB_RULE_EVEN, .count = 1, .symbols = { A } }, { .kind = TB_RULE_REGEX, .pattern = "b[ab]*" } },
  LATTICE,
};

const tb_language_kind tb_language_l2 = {
  .name = "L2",
  .summary = "b^n a^2m, regular",
  .least = 1,
  .rules = { { .kind = TB_RULE_REGEX, .pattern = "([ab]*b)?(aa)*" }, { .kind = TB_RULE_REGEX, .pattern = "b+a*" } },
  .prompts = prompts_l2,
  .prompt_least = 3,
  .prompt_own = 8,
  LATTICE,
};

const tb_language_kind tb_language_abn = {
  .name = "abn",
  .summary = "as many a as b in any order; r1 of L3 alone",
  .least = 2,
  .rules = { { .kind = TB_RULE_EQUAL, .count = 2, .symbols = { A, B }, .factors = { 1, 1 } },
             { .kind = TB_RULE_ORDER, .count = 2, .symbols = { A, B } } },
  LATTICE,
};

const tb_language_kind tb_language_anbm = {
  .name = "anbm",
  .summary = "a^n b^m, n and m independent; r2 of L3 alone",
  .least = 2,
  .rules = { { .kind = TB_RULE_EQUAL, .count = 2, .symbols = { A, B }, .factors = { 1, 1 } },
             { .kind = TB_RULE_ORDER, .count = 2, .symbols = { A, B } } },
  LATTICE,
};

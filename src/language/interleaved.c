/* L6: two kinds of balanced brackets that may interleave ("CS Dyck").
 *
 * Length n = 2l, l ~ U{1..M}; uniform over what the counters p, q of open brackets and the length left allow; when the
 * rest must close, uniform over the kinds still open.  The rest must close once p + q = n − length, that is once l = o,
 * the number of openers.  Behind the last opener, closers with both kinds open (c2 of them) have probability 1/2 forced
 * and 1/4 free, with one kind (c3) 1 and 1/3: the odds of l = o are 1 : (M − o) 2^-c2 3^-c3. */
#include "dyck.h"

#include <math.h>
#include <string.h>

enum { OPENED, ROUND, SQUARE, BOTH, ONE };

static void start(const tb_language *l, tb_language_state *s) {
  memset(s, 0, sizeof *s);
}

static void law(const tb_language *l, const tb_language_state *s, double *law) {
  double left = (double)(l->max_length / 2) - s->at[OPENED];
  double f = s->at[OPENED] ? 1 / (1 + left * pow(2, -s->at[BOTH]) * pow(3, -s->at[ONE])) : 0;
  int kinds = (s->at[ROUND] > 0) + (s->at[SQUARE] > 0);
  double opener = left > 0 ? (1 - f) / (2 + kinds) : 0, closer = kinds ? f / kinds + (1 - f) / (2 + kinds) : 0;
  law[TB_ROUND_OPEN] = law[TB_SQUARE_OPEN] = opener;
  law[TB_ROUND_CLOSE] = s->at[ROUND] > 0 ? closer : 0;
  law[TB_SQUARE_CLOSE] = s->at[SQUARE] > 0 ? closer : 0;
  law[TB_BRACKETS] = kinds ? 0 : f;
}

static void step(const tb_language *l, tb_language_state *s, size_t symbol) {
  int counter = symbol <= TB_ROUND_CLOSE ? ROUND : SQUARE;
  if (symbol == TB_ROUND_OPEN || symbol == TB_SQUARE_OPEN) {
    s->at[OPENED]++;
    s->at[BOTH] = s->at[ONE] = 0;
    s->at[counter]++;
  } else {
    s->at[s->at[ROUND] > 0 && s->at[SQUARE] > 0 ? BOTH : ONE]++;
    s->at[counter]--;
  }
}

/* ---- entropy ---- */

/* ln M + the mean over l of the entropy given l (the length tells l): free choices before the l-th opener, forced ones
 * behind it.  By symmetry states are (p, q) with p >= q; `side` of them a row. */
static double *cell(double *table, size_t side, size_t p, size_t q) {
  return p >= q ? &table[p * side + q] : &table[q * side + p];
}

static tb_status entropy(tb_context *context, size_t most, double *sum) {
  size_t side = most + 3, bytes = side * side * sizeof(double);
  double *after = tb_allocate(context, side * side, sizeof *after); /* behind the o-th opener; then all visits */
  double *next = tb_allocate(context, side * side, sizeof *next);
  double *closing = tb_allocate(context, side * side, sizeof *closing); /* entropy of closing (p, q) */
  tb_status status = after && next && closing ? TB_OK : TB_NO_MEMORY;
  double before = 0;
  *sum = log((double)most);
  for (size_t p = 0; p <= most && !status; p++)
    for (size_t q = 0; q <= p; q++)
      closing[p * side + q] =
          q == 0 ? 0 : log(2) + (*cell(closing, side, p - 1, q) + *cell(closing, side, p, q - 1)) / 2;
  if (!status)
    after[0] = 1;
  for (size_t o = 0; o <= most && !status; o++) {
    memset(next, 0, bytes);
    double forced = 0;
    for (size_t p = 0; p <= o; p++)
      for (size_t q = 0; q <= p && p + q <= o; q++)
        forced += after[p * side + q] * closing[p * side + q];
    if (o > 0)
      *sum += (before + forced) / (double)most;
    for (size_t open = o + 1; open-- > 0;)
      for (size_t q = 0; 2 * q <= open; q++) {
        size_t p = open - q, kinds = (p > 0) + (q > 0);
        double mass = after[p * side + q], each = mass / (double)(2 + kinds);
        before += mass * log((double)(2 + kinds));
        *cell(next, side, p + 1, q) += each;
        *cell(next, side, p, q + 1) += each;
        if (p > 0)
          *cell(after, side, p - 1, q) += each;
        if (q > 0)
          *cell(after, side, p, q - 1) += each;
      }
    memcpy(after, next, bytes);
  }
  tb_release(context, after);
  tb_release(context, next);
  tb_release(context, closing);
  return status;
}

/* ---- accuracy ---- */

/* Masses over states (p >= q, c2) with both kinds open and (p, c2, c3) with at most one, a layer of o openers at a
 * time; a cell is cleared when it is left. */
typedef struct masses {
  size_t side, most;
  double *both, *one;   /* [side³] */
  double *next;         /* [side²]: behind the next opener */
  double *half, *third; /* powers */
  double right;
} masses;

static void arrive(masses *m, size_t p, size_t q, size_t c2, size_t c3, double mass) {
  if (p < q) {
    size_t swap = p;
    p = q;
    q = swap;
  }
  if (q > 0)
    m->both[(p * m->side + q) * m->side + c2] += mass;
  else
    m->one[(p * m->side + c2) * m->side + c3] += mass;
}

static void leave(masses *m, size_t o, size_t p, size_t q, size_t c2, size_t c3, double *here) {
  double mass = *here;
  if (!(mass > 0))
    return;
  *here = 0;
  double kinds = (double)((p > 0) + (q > 0)), left = (double)(m->most - o);
  double f = o ? 1 / (1 + left * m->half[c2] * m->third[c3]) : 0;
  double opener = left > 0 ? (1 - f) / (2 + kinds) : 0;
  double closer = kinds > 0 ? f / kinds + (1 - f) / (2 + kinds) : f; /* no kind open: the end */
  m->right += mass * fmax(opener, closer);
  if (left > 0) {
    *cell(m->next, m->side, p + 1, q) += mass * opener;
    *cell(m->next, m->side, p, q + 1) += mass * opener;
  }
  bool two = q > 0;
  if (p > 0)
    arrive(m, p - 1, q, c2 + two, c3 + !two, mass * closer);
  if (two)
    arrive(m, p, q - 1, c2 + 1, c3, mass * closer);
}

static void leave_layer(masses *m, size_t o) {
  for (size_t open = o + 1; open-- > 0;)
    for (size_t q = open / 2 + 1; q-- > 0;) {
      size_t p = open - q, spare = o - open;
      for (size_t c2 = 0; c2 <= spare; c2++)
        if (q > 0)
          leave(m, o, p, q, c2, 0, &m->both[(p * m->side + q) * m->side + c2]);
        else
          for (size_t c3 = 0; c2 + c3 <= spare; c3++)
            leave(m, o, p, 0, c2, c3, &m->one[(p * m->side + c2) * m->side + c3]);
    }
}

static tb_status accuracy(tb_context *context, size_t most, double *right) {
  size_t side = most + 3;
  masses m = { .side = side, .most = most };
  double *after = tb_allocate(context, side * side, sizeof *after);
  m.both = tb_allocate(context, side * side * side, sizeof *m.both);
  m.one = tb_allocate(context, side * side * side, sizeof *m.one);
  m.next = tb_allocate(context, side * side, sizeof *m.next);
  m.half = tb_allocate(context, side, sizeof *m.half);
  m.third = tb_allocate(context, side, sizeof *m.third);
  tb_status status = after && m.both && m.one && m.next && m.half && m.third ? TB_OK : TB_NO_MEMORY;
  for (size_t i = 0; i < side && !status; i++) {
    m.half[i] = pow(2, -(double)i);
    m.third[i] = pow(3, -(double)i);
  }
  if (!status)
    after[0] = 1;
  for (size_t o = 0; o <= most && !status; o++) {
    for (size_t p = 0; p <= o; p++)
      for (size_t q = 0; q <= p && p + q <= o; q++)
        if (after[p * side + q] > 0)
          arrive(&m, p, q, 0, 0, after[p * side + q]);
    memset(m.next, 0, side * side * sizeof *m.next);
    leave_layer(&m, o);
    memcpy(after, m.next, side * side * sizeof *after);
  }
  *right = m.right;
  tb_release(context, after);
  tb_release(context, m.both);
  tb_release(context, m.one);
  tb_release(context, m.next);
  tb_release(context, m.half);
  tb_release(context, m.third);
  return status;
}

static tb_status measure(tb_context *context, const tb_language *l, tb_language_facts *f) {
  size_t most = l->max_length / 2;
  double right = 0, words = 2; /* balanced interleavings of length 2l: Catalan(l) Catalan(l + 1) */
  *f = (tb_language_facts){ .mean_length = (double)most + 1 };
  tb_status status = entropy(context, most, &f->entropy);
  if (!status)
    status = accuracy(context, most, &right);
  for (size_t l2 = 1; l2 <= most && !status; l2++) {
    double n = (double)l2;
    f->strings += words;
    words = words * ((4 * n + 2) * (4 * n + 6)) / ((n + 2) * (n + 3)); /* exact below 2^53 */
  }
  tb_language_close_facts(l, f, right);
  return status;
}

const tb_language_kind tb_language_l6 = {
  .name = "L6",
  .summary = "balanced round and square brackets that may interleave, context-sensitive",
  .alphabet = "()[]",
  .least = 2,
  .own = 256,
  .most = 512,
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

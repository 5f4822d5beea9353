/* Each rule as a small machine that reads symbols: does it hold here, can it still hold, how likely is it at a random
 * end?
 *
 * Random completion: the next token is uniform over the alphabet and the end.  Tokens that a rule does not look at
 * change nothing, so with m symbols that it looks at each of m + 1 events has probability 1/(m + 1). */
#include "language.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* equal: factor·count of each symbol · order: place · even, odd: parity · balanced: depth · flanks: phase, a's open ·
 * regex: state; place, depth and phase are -1 when the rule is broken for good */
typedef struct progress {
  int64_t at[TB_RULE_MOST_SYMBOLS];
} progress;

/* Which of the rule's symbols; count when none. */
static size_t which(const tb_rule *r, size_t symbol) {
  size_t i = 0;
  while (i < r->count && r->symbols[i] != symbol)
    i++;
  return i;
}

static void step_flanks(progress *p, size_t i) {
  enum { FIRST, MIDDLE, LAST };
  if (p->at[0] < 0)
    return;
  if (i == 1)
    p->at[0] = p->at[0] == LAST ? -1 : MIDDLE;
  else if (p->at[0] == FIRST)
    p->at[1]++;
  else {
    p->at[0] = p->at[1] > 0 ? LAST : -1;
    p->at[1]--;
  }
}

static void step(const tb_rule *r, progress *p, size_t symbol) {
  size_t i = r->kind == TB_RULE_REGEX ? 0 : which(r, symbol);
  if (i == r->count && r->kind != TB_RULE_REGEX) {
    if (r->kind == TB_RULE_FLANKS)
      p->at[0] = -1;
    return;
  }
  switch (r->kind) {
  case TB_RULE_EQUAL:
    p->at[i] += r->factors[i];
    break;
  case TB_RULE_ORDER:
    p->at[0] = p->at[0] < 0 || (int64_t)i < p->at[0] ? -1 : (int64_t)i;
    break;
  case TB_RULE_EVEN:
  case TB_RULE_ODD:
    p->at[0] ^= 1;
    break;
  case TB_RULE_BALANCED:
    p->at[0] = p->at[0] < 0 ? -1 : i == 0 ? p->at[0] + 1 : p->at[0] - 1;
    break;
  case TB_RULE_FLANKS:
    step_flanks(p, i);
    break;
  case TB_RULE_REGEX:
    p->at[0] = r->regex->next[(size_t)p->at[0] * r->regex->n_symbols + symbol];
    break;
  case TB_RULE_NONE:
    break;
  }
}

static progress read_all(const tb_rule *r, size_t count, const uint16_t *symbols) {
  progress p = { 0 };
  for (size_t i = 0; i < count; i++)
    step(r, &p, symbols[i]);
  return p;
}

static bool holds(const tb_rule *r, const progress *p) {
  switch (r->kind) {
  case TB_RULE_EQUAL:
    for (size_t i = 1; i < r->count; i++)
      if (p->at[i] != p->at[0])
        return false;
    return true;
  case TB_RULE_ORDER:
    return p->at[0] >= 0;
  case TB_RULE_EVEN:
  case TB_RULE_BALANCED:
    return p->at[0] == 0;
  case TB_RULE_ODD:
    return p->at[0] == 1;
  case TB_RULE_FLANKS:
    return p->at[0] > 0 && p->at[1] == 0;
  case TB_RULE_REGEX:
    return r->regex->accepts[p->at[0]];
  case TB_RULE_NONE:
    break;
  }
  return true;
}

/* Numbers of symbols and their parity can always be made right. */
static bool broken(const tb_rule *r, const progress *p) {
  if (r->kind == TB_RULE_REGEX)
    return !r->regex->alive[p->at[0]];
  return (r->kind == TB_RULE_ORDER || r->kind == TB_RULE_BALANCED || r->kind == TB_RULE_FLANKS) && p->at[0] < 0;
}

/* ---- chance ---- */

static int64_t common_multiple(const tb_rule *r) {
  int64_t multiple = 1;
  for (size_t i = 0; i < r->count; i++) {
    int64_t a = multiple, b = r->factors[i];
    while (b) {
      int64_t rest = a % b;
      a = b;
      b = rest;
    }
    multiple = multiple / a * r->factors[i];
  }
  return multiple;
}

/* Σ over the common value T of multinomial(k) (m+1)^-(|k|+1), k_i = T/factor_i - count_i: positive terms that fall
 * faster than geometrically behind their one maximum. */
static double chance_equal(const tb_rule *r, const progress *p) {
  int64_t step_size = common_multiple(r), most = 0;
  double sum = 0, last = 0, m = (double)r->count;
  for (size_t i = 0; i < r->count; i++)
    most = p->at[i] > most ? p->at[i] : most;
  for (int64_t value = (most + step_size - 1) / step_size * step_size;; value += step_size) {
    double log_term = 0, total = 0;
    for (size_t i = 0; i < r->count; i++) {
      double k = (double)((value - p->at[i]) / r->factors[i]);
      total += k;
      log_term -= lgamma(k + 1);
    }
    double term = exp(log_term + lgamma(total + 1) - (total + 1) * log(m + 1));
    sum += term;
    if (term <= last && term <= 1e-18 * sum)
      return sum;
    last = term;
  }
}

/* P_j = (1 + Σ_{i>j} P_i) / m */
static double chance_order(const tb_rule *r, const progress *p) {
  double m = (double)r->count, behind = 0, chance = 0;
  if (p->at[0] < 0)
    return 0;
  for (int64_t j = (int64_t)r->count - 1; j >= p->at[0]; j--) {
    chance = (1 + behind) / m;
    behind += chance;
  }
  return chance;
}

/* P(d) = ρ^{d+1}, ρ + 1/ρ = 3 */
static double chance_balanced(const progress *p) {
  return p->at[0] < 0 ? 0 : pow((3 - sqrt(5)) / 2, (double)p->at[0] + 1);
}

/* s = 1/(symbols + 1) for each token; P_last(i) = s^{i+1}, P_middle(i) = s^{i+1}/(1-s), and from the first flank
 * s^{i+2}/((1-s)(1-s²)) */
static double chance_flanks(const progress *p, size_t n_symbols) {
  double s = 1 / ((double)n_symbols + 1), i = (double)p->at[1];
  switch (p->at[0]) {
  case 0:
    return pow(s, i + 2) / ((1 - s) * (1 - s * s));
  case 1:
    return pow(s, i + 1) / (1 - s);
  case 2:
    return pow(s, i + 1);
  default:
    return 0;
  }
}

static double chance(const tb_language *l, const tb_rule *r, const progress *p) {
  double m = (double)r->count, same = (m + 1) / (2 * m + 1); /* parity at the end is the parity here */
  switch (r->kind) {
  case TB_RULE_EQUAL:
    return chance_equal(r, p);
  case TB_RULE_ORDER:
    return chance_order(r, p);
  case TB_RULE_EVEN:
    return p->at[0] == 0 ? same : 1 - same;
  case TB_RULE_ODD:
    return p->at[0] == 1 ? same : 1 - same;
  case TB_RULE_BALANCED:
    return chance_balanced(p);
  case TB_RULE_FLANKS:
    return chance_flanks(p, l->n_symbols);
  case TB_RULE_REGEX:
    return r->regex->chance[p->at[0]];
  case TB_RULE_NONE:
    break;
  }
  return NAN;
}

/* ---- in public ---- */

size_t tb_language_rules(const tb_language *l) {
  return l->n_rules;
}

const char *tb_language_rule(const tb_language *l, size_t i) {
  return l->rules[i].name;
}

size_t tb_language_rule_find(const tb_language *l, const char *name) {
  for (size_t i = 0; i < l->n_rules; i++)
    if (strcmp(l->rules[i].name, name) == 0)
      return i;
  return SIZE_MAX;
}

bool tb_rule_holds(const tb_language *l, size_t rule, size_t count, const uint16_t *symbols) {
  progress p = read_all(&l->rules[rule], count, symbols);
  return holds(&l->rules[rule], &p);
}

bool tb_rule_broken(const tb_language *l, size_t rule, size_t count, const uint16_t *symbols) {
  progress p = read_all(&l->rules[rule], count, symbols);
  return broken(&l->rules[rule], &p);
}

double tb_rule_chance(const tb_language *l, size_t rule, size_t count, const uint16_t *symbols) {
  progress p = read_all(&l->rules[rule], count, symbols);
  return chance(l, &l->rules[rule], &p);
}

/* One more of the alphabet's last symbol is what the rule counts too few of. */
static bool wants_last(const tb_language *l, const tb_rule *r, const progress *p) {
  const size_t i = r->kind == TB_RULE_REGEX ? r->count : which(r, l->n_symbols - 1);
  int64_t most = 0;
  if (r->kind == TB_RULE_BALANCED)
    return i == 1 && p->at[0] > 0;
  if (r->kind != TB_RULE_EQUAL || i == r->count)
    return false;
  for (size_t k = 0; k < r->count; k++)
    most = k != i && p->at[k] > most ? p->at[k] : most;
  return p->at[i] < most;
}

bool tb_rule_wants_last(const tb_language *l, size_t rule, size_t count, const uint16_t *symbols) {
  const progress p = read_all(&l->rules[rule], count, symbols);
  return wants_last(l, &l->rules[rule], &p);
}

bool tb_rule_append_to_balance(const tb_language *l, size_t rule, size_t count, const uint16_t *symbols) {
  const tb_rule *r = &l->rules[rule];
  progress p = read_all(r, count, symbols);
  while (wants_last(l, r, &p))
    step(r, &p, l->n_symbols - 1);
  return holds(r, &p);
}

/* ---- the shortest completion ---- */

enum { MOST_MENDING = 4096 };

/* Breadth first over the rule's own states, so that a completion is found without trying every string. */
typedef struct mending {
  progress state;
  size_t from; /* number of the state before */
  uint16_t symbol;
} mending;

static bool known(size_t count, const mending *found, const progress *p) {
  for (size_t i = count; i-- > 0;)
    if (memcmp(&found[i].state, p, sizeof *p) == 0)
      return true;
  return false;
}

tb_status tb_rule_mend(tb_context *context, tb_arena *arena, const tb_language *l, size_t rule, size_t count,
                       const uint16_t *symbols, size_t most, size_t *length, uint16_t **completion) {
  const tb_rule *r = &l->rules[rule];
  mending *found = tb_allocate(context, MOST_MENDING, sizeof *found);
  size_t n = 1, end = SIZE_MAX, layer_end = 1, depth = 0;
  *length = SIZE_MAX;
  *completion = NULL;
  if (!found)
    return TB_NO_MEMORY;
  found[0] = (mending){ .state = read_all(r, count, symbols) };
  for (size_t i = 0; i < n && end == SIZE_MAX; i++) {
    if (i == layer_end) {
      layer_end = n;
      depth++;
    }
    if (holds(r, &found[i].state))
      end = i;
    for (size_t a = 0; a < l->n_symbols && end == SIZE_MAX && depth < most && n < MOST_MENDING; a++) {
      progress p = found[i].state;
      step(r, &p, a);
      if (!broken(r, &p) && !known(n, found, &p))
        found[n++] = (mending){ .state = p, .from = i, .symbol = (uint16_t)a };
    }
  }
  tb_status status = TB_OK;
  if (end != SIZE_MAX) {
    size_t steps = 0;
    for (size_t i = end; i; i = found[i].from)
      steps++;
    *completion = tb_arena_allocate(arena, steps + 1, sizeof **completion);
    status = *completion ? TB_OK : TB_NO_MEMORY;
    *length = steps;
    for (size_t i = end, k = steps; i && !status; i = found[i].from)
      (*completion)[--k] = found[i].symbol;
  }
  tb_release(context, found);
  return status;
}

/* ---- all rules at once ---- */

typedef struct search {
  const tb_language *l;
  size_t count, room, slots_room;
  progress *states; /* [room × n_rules] */
  uint32_t *slots;
  int64_t bound;
} search;

enum { MOST_JOINT = 200000 };

/* Only differences of an equal rule's counts matter for what is to come. */
static void reduce(const tb_rule *r, progress *p) {
  if (r->kind != TB_RULE_EQUAL)
    return;
  int64_t step_size = common_multiple(r), least = p->at[0];
  for (size_t i = 1; i < r->count; i++)
    least = p->at[i] < least ? p->at[i] : least;
  for (size_t i = 0; i < r->count; i++)
    p->at[i] -= least / step_size * step_size;
}

static bool within(const search *s, const progress *joint) {
  for (size_t k = 0; k < s->l->n_rules; k++) {
    if (broken(&s->l->rules[k], &joint[k]))
      return false;
    for (size_t i = 0; i < TB_RULE_MOST_SYMBOLS && s->l->rules[k].kind != TB_RULE_REGEX; i++)
      if (joint[k].at[i] > s->bound)
        return false;
  }
  return true;
}

/* Adds a joint state unless it is known; false when there is no room. */
static bool add(search *s, const progress *joint) {
  size_t bytes = s->l->n_rules * sizeof *joint;
  uint64_t h = 0xcbf29ce484222325u;
  for (size_t i = 0; i < bytes / 8; i++)
    h = (h ^ (uint64_t)((const int64_t *)joint)[i]) * 0x100000001b3u, h ^= h >> 29;
  size_t at = h & (s->slots_room - 1);
  for (; s->slots[at]; at = (at + 1) & (s->slots_room - 1))
    if (memcmp(&s->states[(s->slots[at] - 1) * s->l->n_rules], joint, bytes) == 0)
      return true;
  if (s->count == s->room)
    return false;
  memcpy(&s->states[s->count * s->l->n_rules], joint, bytes);
  s->slots[at] = (uint32_t)++s->count;
  return true;
}

static bool all_hold(const tb_language *l, const progress *joint) {
  for (size_t k = 0; k < l->n_rules; k++)
    if (!holds(&l->rules[k], &joint[k]))
      return false;
  return true;
}

static tb_answer explore(search *s, progress *joint) {
  const tb_language *l = s->l;
  for (size_t i = 0; i < s->count; i++) {
    if (all_hold(l, &s->states[i * l->n_rules]))
      return TB_YES;
    for (size_t a = 0; a < l->n_symbols; a++) {
      memcpy(joint, &s->states[i * l->n_rules], l->n_rules * sizeof *joint);
      for (size_t k = 0; k < l->n_rules; k++) {
        step(&l->rules[k], &joint[k], a);
        reduce(&l->rules[k], &joint[k]);
      }
      if (within(s, joint) && !add(s, joint))
        return TB_UNKNOWN;
    }
  }
  return TB_NO;
}

tb_status tb_rules_satisfiable(tb_context *context, const tb_language *l, size_t count, const uint16_t *symbols,
                               tb_answer *answer) {
  progress *joint = tb_allocate(context, l->n_rules + 1, sizeof *joint);
  search s = { .l = l, .bound = 32 };
  if (!joint)
    return TB_NO_MEMORY;
  tb_status status = TB_OK;
  *answer = TB_YES;
  for (size_t k = 0; k < l->n_rules; k++) {
    joint[k] = read_all(&l->rules[k], count, symbols);
    if (broken(&l->rules[k], &joint[k]))
      *answer = TB_NO;
    reduce(&l->rules[k], &joint[k]);
    for (size_t i = 0; i < TB_RULE_MOST_SYMBOLS && l->rules[k].kind != TB_RULE_REGEX; i++)
      s.bound = joint[k].at[i] > s.bound ? joint[k].at[i] : s.bound;
    for (size_t i = 0; i < l->rules[k].count; i++) /* room for a few rounds of large factors */
      s.bound = l->rules[k].kind == TB_RULE_EQUAL && 8 * l->rules[k].factors[i] > s.bound ? 8 * l->rules[k].factors[i]
                                                                                          : s.bound;
  }
  s.bound *= 2;
  if (*answer == TB_YES && !all_hold(l, joint)) {
    s.room = MOST_JOINT;
    s.slots_room = 524288;
    s.states = tb_allocate(context, s.room * l->n_rules, sizeof *s.states);
    s.slots = tb_allocate(context, s.slots_room, sizeof *s.slots);
    if (s.states && s.slots) {
      add(&s, joint);
      *answer = explore(&s, joint);
    } else {
      status = TB_NO_MEMORY;
    }
  }
  tb_release(context, s.states);
  tb_release(context, s.slots);
  tb_release(context, joint);
  return status;
}

/* Entropy, mean length, number of strings and the best accuracy, exactly.
 *
 * By the chain rule H = Σ over prefixes w of P(w) H(next | w), and likewise the expected number of right guesses is
 * Σ P(w) max P(next | w).  Where a prefix fixes a small state the sum runs over states, a length at a time; else over
 * all strings. */
#include "language.h"

#include <math.h>
#include <string.h>

/* ---- over states ---- */

typedef struct entry {
  tb_language_state state;
  double mass;  /* P(a string passes here) */
  double count; /* prefixes that lead here */
} entry;

/* The states of one length: open addressing over indices into a dense list. */
typedef struct layer {
  size_t count, room;
  entry *entries;  /* [room] */
  uint32_t *slots; /* [2 room], index + 1 */
} layer;

static uint64_t hash(const tb_language_state *s) {
  uint64_t h = 0x9e3779b97f4a7c15u;
  for (size_t i = 0; i < TB_STATE_WORDS; i++) {
    h = (h ^ (uint32_t)s->at[i]) * 0xff51afd7ed558ccdu;
    h ^= h >> 32;
  }
  return h;
}

static entry *place(const layer *la, const tb_language_state *s, uint32_t **slot) {
  size_t at = hash(s) & (2 * la->room - 1);
  for (; la->slots[at]; at = (at + 1) & (2 * la->room - 1))
    if (memcmp(&la->entries[la->slots[at] - 1].state, s, sizeof *s) == 0)
      return &la->entries[la->slots[at] - 1];
  *slot = &la->slots[at];
  return NULL;
}

static tb_status layer_grow(tb_context *context, layer *la) {
  size_t room = la->room ? 2 * la->room : 1024;
  entry *entries = tb_reallocate(context, la->entries, room, sizeof *entries);
  if (!entries)
    return TB_NO_MEMORY;
  la->entries = entries;
  uint32_t *slots = tb_allocate(context, 2 * room, sizeof *slots), *slot = NULL;
  if (!slots)
    return TB_NO_MEMORY;
  tb_release(context, la->slots);
  la->slots = slots;
  la->room = room;
  for (size_t i = 0; i < la->count; i++) {
    place(la, &la->entries[i].state, &slot);
    *slot = (uint32_t)i + 1;
  }
  return TB_OK;
}

static tb_status layer_add(tb_context *context, layer *la, const tb_language_state *s, double mass, double count) {
  uint32_t *slot = NULL;
  entry *e = la->room ? place(la, s, &slot) : NULL;
  if (e) {
    e->mass += mass;
    e->count += count;
    return TB_OK;
  }
  if (la->count == la->room) {
    tb_status status = layer_grow(context, la);
    if (status)
      return status;
    place(la, s, &slot);
  }
  la->entries[la->count] = (entry){ .state = *s, .mass = mass, .count = count };
  *slot = (uint32_t)++la->count;
  return TB_OK;
}

static void layer_clear(layer *la) {
  if (la->slots)
    memset(la->slots, 0, 2 * la->room * sizeof *la->slots);
  la->count = 0;
}

static double largest(size_t n, const double *law) {
  double most = 0;
  for (size_t i = 0; i < n; i++)
    most = fmax(most, law[i]);
  return most;
}

void tb_language_close_facts(const tb_language *l, tb_language_facts *f, double right) {
  f->positions = f->optimal_loss = f->optimal_accuracy = NAN;
  if (l->max_length == 0)
    return;
  f->positions = (double)l->max_length + 1;
  f->optimal_loss = f->entropy / f->positions;
  f->optimal_accuracy = (right + f->positions - f->mean_length - 1) / f->positions;
}

tb_status tb_language_measure_states(tb_context *context, const tb_language *l, tb_language_facts *f) {
  layer now = { 0 }, next = { 0 };
  tb_language_state start = { 0 };
  size_t v = l->n_symbols;
  double right = 0, *law = tb_allocate(context, v + 1, sizeof *law);
  *f = (tb_language_facts){ 0 };
  tb_status status = law ? TB_OK : TB_NO_MEMORY;
  if (!status) {
    l->kind->start(l, &start);
    status = layer_add(context, &now, &start, 1, 1);
  }
  for (size_t length = 0; now.count && !status; length++) {
    for (size_t i = 0; i < now.count && !status; i++) {
      entry e = now.entries[i];
      l->kind->law(l, &e.state, law);
      f->entropy += e.mass * tb_law_entropy(v + 1, law);
      right += e.mass * largest(v + 1, law);
      f->mean_length += e.mass * law[v] * (double)length;
      f->strings += law[v] > 0 ? e.count : 0;
      for (size_t a = 0; a < v && !status; a++)
        if (law[a] > 0) {
          tb_language_state s = e.state;
          l->kind->step(l, &s, a);
          status = layer_add(context, &next, &s, e.mass * law[a], e.count);
        }
    }
    layer done = now;
    now = next;
    next = done;
    layer_clear(&next);
  }
  tb_language_close_facts(l, f, right);
  tb_release(context, now.entries);
  tb_release(context, now.slots);
  tb_release(context, next.entries);
  tb_release(context, next.slots);
  tb_release(context, law);
  return status;
}

/* ---- over strings ---- */

typedef struct enumeration {
  tb_walk *walk;
  size_t v, visited;
  double least, right, lost; /* prefixes below `least` are left out */
  tb_language_facts *facts;
  bool whole;
} enumeration;

static tb_status visit(tb_context *context, enumeration *e, size_t length) {
  double p = exp(tb_walk_log_probability(e->walk));
  if (p < e->least) {
    e->lost += p;
    return TB_OK;
  }
  if (++e->visited > 8 * (size_t)TB_MOST_STRINGS)
    e->whole = false;
  if (!e->whole)
    return TB_OK;
  double *law = tb_allocate(context, e->v + 1, sizeof *law);
  if (!law)
    return TB_NO_MEMORY;
  memcpy(law, tb_walk_law(e->walk), (e->v + 1) * sizeof *law);
  e->facts->entropy += p * tb_law_entropy(e->v + 1, law);
  e->facts->mean_length += p * law[e->v] * (double)length;
  e->facts->strings += law[e->v] > 0;
  e->right += p * largest(e->v + 1, law);
  if (e->facts->strings > TB_MOST_STRINGS)
    e->whole = false;
  tb_status status = TB_OK;
  for (size_t a = 0; a < e->v && e->whole && !status; a++)
    if (law[a] > 0) {
      status = tb_walk_push(e->walk, a);
      if (!status)
        status = visit(context, e, length + 1);
      tb_walk_pop(e->walk);
    }
  tb_release(context, law);
  return status;
}

tb_status tb_language_measure_strings(tb_context *context, const tb_language *l, tb_language_facts *f, double least,
                                      bool *whole) {
  *f = (tb_language_facts){ 0 };
  enumeration e = { .v = l->n_symbols, .least = least, .facts = f, .whole = true };
  tb_status status = tb_walk_new(context, l, &e.walk);
  if (!status)
    status = visit(context, &e, 0);
  tb_walk_free(e.walk);
  *whole = e.whole && e.lost < 1e-15;
  if (!status)
    tb_language_close_facts(l, f, e.right);
  return status;
}

/* ---- either ---- */

tb_status tb_language_measure(tb_context *context, const tb_language *l, tb_language_facts *f) {
  if (l->kind->measure)
    return l->kind->measure(context, l, f);
  return tb_language_measure_states(context, l, f);
}

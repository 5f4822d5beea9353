/* Enumeration along the law's own walk, and draws. */
#include "language/corpus.h"

#include <math.h>
#include <string.h>

typedef struct listing {
  tb_context *context;
  tb_arena *arena;
  tb_walk *walk;
  size_t v, most, room, visited;
  uint16_t *prefix; /* [room] */
  size_t prefix_room;
  bool too_many;
  tb_corpus *corpus;
} listing;

static tb_status add(listing *s, size_t count, double weight) {
  tb_corpus *c = s->corpus;
  if (c->count == s->most) {
    s->too_many = true;
    return TB_OK;
  }
  if (c->count == s->room) {
    const size_t room = s->room ? 2 * s->room : 256;
    tb_corpus_string *wider = tb_arena_allocate(s->arena, room, sizeof *wider);
    if (!wider)
      return TB_NO_MEMORY;
    if (c->count)
      memcpy(wider, c->strings, c->count * sizeof *wider);
    c->strings = wider;
    s->room = room;
  }
  uint16_t *symbols = tb_arena_allocate(s->arena, count + 1, sizeof *symbols);
  if (!symbols)
    return TB_NO_MEMORY;
  if (count)
    memcpy(symbols, s->prefix, count * sizeof *symbols);
  c->strings[c->count++] = (tb_corpus_string){ .count = count, .symbols = symbols, .weight = weight };
  c->longest = count > c->longest ? count : c->longest;
  return TB_OK;
}

/* Depth first: the walk stands behind `depth` symbols. */
static tb_status visit(listing *s, size_t depth) {
  enum { PREFIXES_A_STRING = 1000 };
  if (++s->visited > PREFIXES_A_STRING * s->most)
    s->too_many = true;
  if (depth == s->prefix_room) {
    const size_t room = depth ? 2 * depth : 64;
    uint16_t *wider = tb_reallocate(s->context, s->prefix, room, sizeof *wider);
    if (!wider)
      return TB_NO_MEMORY;
    s->prefix = wider;
    s->prefix_room = room;
  }
  double *law = tb_allocate(s->context, s->v + 1, sizeof *law);
  if (!law)
    return TB_NO_MEMORY;
  memcpy(law, tb_walk_law(s->walk), (s->v + 1) * sizeof *law);
  tb_status status = TB_OK;
  if (law[s->v] > 0)
    status = add(s, depth, exp(tb_walk_log_probability(s->walk) + log(law[s->v])));
  for (size_t a = 0; a < s->v && !status && !s->too_many; a++)
    if (law[a] > 0) {
      s->prefix[depth] = (uint16_t)a;
      status = tb_walk_push(s->walk, a);
      if (!status)
        status = visit(s, depth + 1);
      tb_walk_pop(s->walk);
    }
  tb_release(s->context, law);
  return status;
}

tb_status tb_corpus_enumerate(tb_context *context, tb_arena *arena, const tb_language *l, size_t most,
                              tb_corpus *corpus) {
  *corpus = (tb_corpus){ .whole = false };
  if (tb_language_max_length(l) == 0)
    return TB_OK;
  listing s = { .context = context, .arena = arena, .v = tb_language_symbols(l), .most = most, .corpus = corpus };
  tb_status status = tb_walk_new(context, l, &s.walk);
  if (!status)
    status = visit(&s, 0);
  tb_walk_free(s.walk);
  tb_release(context, s.prefix);
  if (!status && s.too_many)
    *corpus = (tb_corpus){ .whole = false };
  else
    corpus->whole = !status;
  return status;
}

tb_status tb_corpus_draw(tb_context *context, tb_arena *arena, const tb_language *l, uint64_t seed, uint64_t first,
                         size_t count, tb_corpus *corpus) {
  *corpus = (tb_corpus){ .count = count, .strings = tb_arena_allocate(arena, count, sizeof *corpus->strings) };
  tb_status status = corpus->strings ? TB_OK : TB_NO_MEMORY;
  for (size_t i = 0; i < count && !status; i++) {
    tb_corpus_string *s = &corpus->strings[i];
    uint16_t *symbols;
    status = tb_language_sample(context, arena, l, seed, first + i, &s->count, &symbols);
    s->symbols = status ? NULL : symbols;
    s->weight = 1 / (double)count;
    corpus->longest = s->count > corpus->longest ? s->count : corpus->longest;
  }
  return status;
}

tb_status tb_corpus_laws(tb_context *context, tb_arena *arena, const tb_language *l, tb_corpus *corpus) {
  const size_t width = tb_language_symbols(l) + 1;
  tb_walk *walk;
  tb_status status = tb_walk_new(context, l, &walk);
  for (size_t i = 0; i < corpus->count && !status; i++) {
    tb_corpus_string *s = &corpus->strings[i];
    double *laws = tb_arena_allocate(arena, (s->count + 1) * width, sizeof *laws);
    if (!laws)
      status = TB_NO_MEMORY;
    for (size_t t = 0; t <= s->count && !status; t++) {
      memcpy(laws + t * width, tb_walk_law(walk), width * sizeof *laws);
      if (t < s->count)
        status = tb_walk_push(walk, s->symbols[t]);
    }
    for (size_t t = 0; t < s->count; t++)
      tb_walk_pop(walk);
    s->law = laws;
  }
  tb_walk_free(walk);
  return status;
}

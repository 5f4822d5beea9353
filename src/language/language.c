/* Opening languages, symbols as text, the walk along a prefix, the sampler.
 *
 * A walk keeps ln P(prefix) as the sum of ln P(next | prefix), so that it never underflows. */
#include "language.h"

#include <base/utf8.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <tiebreak/random.h>

static const tb_language_kind *const builtin[] = { &tb_language_l1,   &tb_language_l2,     &tb_language_l3,
                                                   &tb_language_l4,   &tb_language_l5,     &tb_language_l6,
                                                   &tb_language_anbn, &tb_language_anbnan, &tb_language_abn,
                                                   &tb_language_anbm };
enum { N_BUILTIN = sizeof builtin / sizeof *builtin };

const char *tb_language_builtin(size_t i, const char **summary) {
  if (i >= N_BUILTIN)
    return NULL;
  if (summary)
    *summary = builtin[i]->summary;
  return builtin[i]->name;
}

/* ---- opening ---- */

static tb_status open_builtin(tb_language *l, const tb_language_kind *kind, size_t max_length) {
  char hint[100];
  l->kind = kind;
  l->name = kind->name;
  l->max_length = max_length ? max_length : kind->own;
  if (l->max_length < kind->least || l->max_length > kind->most) {
    snprintf(hint, sizeof hint, "from %zu to %zu; the published one is %zu", kind->least, kind->most, kind->own);
    return tb_fail(l->context, TB_USAGE, "option max_length", hint, "%s cannot have max_length=%zu", kind->name,
                   l->max_length);
  }
  l->n_symbols = strlen(kind->alphabet);
  l->joined = true;
  l->symbols = tb_arena_allocate(l->arena, l->n_symbols, sizeof *l->symbols);
  l->rules = tb_arena_allocate(l->arena, 2, sizeof *l->rules);
  if (!l->symbols || !l->rules)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < l->n_symbols; i++)
    if (!(l->symbols[i] = tb_arena_format(l->arena, "%c", kind->alphabet[i])))
      return TB_NO_MEMORY;
  for (size_t i = 0; i < 2; i++) {
    tb_rule *rule = &l->rules[l->n_rules++];
    *rule = kind->rules[i];
    rule->name = i ? "r2" : "r1";
    if (rule->kind == TB_RULE_REGEX) {
      tb_status status =
          tb_regex_compile(l->context, l->arena, rule->pattern, l->n_symbols, l->symbols, true, NULL, &rule->regex);
      if (status)
        return status;
    }
  }
  return kind->open ? kind->open(l) : TB_OK;
}

static tb_status unknown_name(tb_context *context, const char *name) {
  const char *names[N_BUILTIN];
  char hint[100];
  for (size_t i = 0; i < N_BUILTIN; i++)
    names[i] = builtin[i]->name;
  const char *near = tb_suggest(name, names, N_BUILTIN);
  if (near)
    snprintf(hint, sizeof hint, "did you mean '%s'?", near);
  else
    snprintf(hint, sizeof hint, "L1 to L6, anbn, anbnan, abn, anbm, or a file");
  return tb_fail(context, TB_USAGE, "", hint, "unknown language '%s'", name);
}

tb_status tb_language_open(tb_context *context, const char *name, size_t max_length, tb_language **language) {
  *language = NULL;
  const tb_language_kind *kind = NULL;
  for (size_t i = 0; i < N_BUILTIN && !kind; i++)
    if (strcmp(builtin[i]->name, name) == 0)
      kind = builtin[i];
  if (!kind && !strpbrk(name, "/.") && !tb_file_exists(name))
    return unknown_name(context, name);
  tb_arena *arena = tb_arena_new(context);
  tb_language *l = arena ? tb_arena_allocate(arena, 1, sizeof *l) : NULL;
  if (!l) {
    tb_arena_free(arena);
    return TB_NO_MEMORY;
  }
  l->context = context;
  l->arena = arena;
  tb_status status = kind ? open_builtin(l, kind, max_length) : tb_language_read_file(l, name, max_length);
  if (status) {
    tb_language_free(l);
    return status;
  }
  *language = l;
  return TB_OK;
}

void tb_language_free(tb_language *l) {
  if (!l)
    return;
  if (l->kind && l->kind->close)
    l->kind->close(l);
  tb_arena_free(l->arena);
}

/* ---- symbols ---- */

const char *tb_language_name(const tb_language *l) {
  return l->name;
}

size_t tb_language_symbols(const tb_language *l) {
  return l->n_symbols;
}

const char *tb_language_symbol(const tb_language *l, size_t i) {
  return i < l->n_symbols ? l->symbols[i] : "end";
}

size_t tb_language_max_length(const tb_language *l) {
  return l->max_length;
}

size_t tb_language_symbol_find(const tb_language *l, const char *name, size_t length) {
  for (size_t i = 0; i < l->n_symbols; i++)
    if (strlen(l->symbols[i]) == length && memcmp(l->symbols[i], name, length) == 0)
      return i;
  return SIZE_MAX;
}

static tb_status unknown_symbol(tb_context *context, const tb_language *l, const char *symbol, size_t length) {
  char word[100], hint[200];
  snprintf(word, sizeof word, "%.*s", (int)length, symbol);
  const char *near = l->n_symbols <= TB_MOST_SYMBOLS ? tb_suggest(word, l->symbols, l->n_symbols) : NULL;
  if (near)
    snprintf(hint, sizeof hint, "did you mean '%s'?", near);
  else {
    int used = snprintf(hint, sizeof hint, "the alphabet is");
    for (size_t i = 0; i < l->n_symbols && used < 150; i++)
      used += snprintf(hint + used, sizeof hint - (size_t)used, " %.40s", l->symbols[i]);
  }
  return tb_fail(context, TB_USAGE, "", hint, "unknown symbol '%s' of %s", word, l->name);
}

tb_status tb_language_read(tb_context *context, tb_arena *arena, const tb_language *l, const char *text, size_t *count,
                           uint16_t **symbols, size_t *fault) {
  *count = 0;
  *symbols = tb_arena_allocate(arena, strlen(text) + 1, sizeof **symbols);
  if (!*symbols)
    return TB_NO_MEMORY;
  for (const char *at = text; *at;) {
    size_t length = l->joined ? tb_utf8_length(at) : strcspn(at, " ");
    if (!l->joined && length == 0) {
      at++;
      continue;
    }
    length += l->joined && length == 0; /* a byte that is no text */
    size_t symbol = tb_language_symbol_find(l, at, length);
    if (symbol == SIZE_MAX) {
      if (fault)
        *fault = (size_t)(at - text);
      return unknown_symbol(context, l, at, length);
    }
    (*symbols)[(*count)++] = (uint16_t)symbol;
    at += length;
  }
  return TB_OK;
}

char *tb_language_text(tb_arena *arena, const tb_language *l, size_t count, const uint16_t *symbols) {
  size_t size = 1;
  for (size_t i = 0; i < count; i++)
    size += strlen(l->symbols[symbols[i]]) + 1;
  char *text = tb_arena_allocate(arena, size, 1), *end = text;
  for (size_t i = 0; text && i < count; i++) {
    if (i && !l->joined)
      *end++ = ' ';
    end = stpcpy(end, l->symbols[symbols[i]]);
  }
  return text;
}

/* ---- the walk ---- */

struct tb_walk {
  tb_context *context;
  const tb_language *language;
  size_t depth, possible, room; /* symbols pushed; how many of them were possible */
  tb_language_state *states;    /* [room]; of deterministic kinds */
  double *log_probability;      /* [room] */
  double *law;                  /* [n_symbols + 1]; of the prefix of `possible` symbols when `fresh` */
  bool fresh;
  void *own; /* of other kinds */
};

static tb_status walk_grow(tb_walk *w) {
  size_t room = w->room ? 2 * w->room : 64;
  if (w->possible + 1 < w->room)
    return TB_OK;
  tb_language_state *states = tb_reallocate(w->context, w->states, room, sizeof *states);
  if (!states)
    return TB_NO_MEMORY;
  w->states = states;
  double *logs = tb_reallocate(w->context, w->log_probability, room, sizeof *logs);
  if (!logs)
    return TB_NO_MEMORY;
  w->log_probability = logs;
  w->room = room;
  return TB_OK;
}

tb_status tb_walk_new(tb_context *context, const tb_language *l, tb_walk **walk) {
  tb_walk *w = *walk = tb_allocate(context, 1, sizeof *w);
  if (!w)
    return TB_NO_MEMORY;
  w->context = context;
  w->language = l;
  w->law = tb_allocate(context, l->n_symbols + 1, sizeof *w->law);
  tb_status status = w->law ? walk_grow(w) : TB_NO_MEMORY;
  if (!status) {
    memset(w->states, 0, sizeof *w->states);
    w->log_probability[0] = 0;
    if (l->kind->start)
      l->kind->start(l, w->states);
    else
      status = l->kind->walk_new(context, l, &w->own);
  }
  if (status) {
    tb_walk_free(w);
    *walk = NULL;
  }
  return status;
}

void tb_walk_free(tb_walk *w) {
  if (!w)
    return;
  if (w->own)
    w->language->kind->walk_free(w->own);
  tb_release(w->context, w->states);
  tb_release(w->context, w->log_probability);
  tb_release(w->context, w->law);
  tb_release(w->context, w);
}

static void walk_law(tb_walk *w) {
  if (w->fresh)
    return;
  if (w->own)
    w->language->kind->walk_law(w->own, w->law);
  else
    w->language->kind->law(w->language, &w->states[w->possible], w->law);
  w->fresh = true;
}

tb_status tb_walk_push(tb_walk *w, size_t symbol) {
  const tb_language *l = w->language;
  if (w->possible < w->depth) {
    w->depth++;
    return TB_OK;
  }
  tb_status status = walk_grow(w);
  if (status)
    return status;
  walk_law(w);
  w->depth++;
  if (!(w->law[symbol] > 0))
    return TB_OK;
  if (w->own) {
    status = l->kind->walk_push(w->own, symbol, w->law[symbol]);
    if (status) {
      w->depth--;
      return status;
    }
  } else {
    w->states[w->possible + 1] = w->states[w->possible];
    l->kind->step(l, &w->states[w->possible + 1], symbol);
  }
  w->log_probability[w->possible + 1] = w->log_probability[w->possible] + log(w->law[symbol]);
  w->possible++;
  w->fresh = false;
  return TB_OK;
}

void tb_walk_pop(tb_walk *w) {
  if (w->depth == 0)
    return;
  if (w->depth-- > w->possible)
    return;
  if (w->own)
    w->language->kind->walk_pop(w->own);
  w->possible--;
  w->fresh = false;
}

double tb_walk_log_probability(const tb_walk *w) {
  return w->possible < w->depth ? -INFINITY : w->log_probability[w->possible];
}

const double *tb_walk_law(tb_walk *w) {
  if (w->possible < w->depth)
    return NULL;
  walk_law(w);
  return w->law;
}

/* ---- the sampler ---- */

/* Inversion of the next-symbol law: the uniform of place k of string i is number i·2³² + k of its key. */
tb_status tb_language_sample(tb_context *context, tb_arena *arena, const tb_language *l, uint64_t seed, uint64_t index,
                             size_t *count, uint16_t **symbols) {
  tb_key key = { .seed = seed, .use = tb_use("string of a language") };
  tb_walk *walk;
  uint16_t *drawn = NULL;
  size_t n = 0, room = 0;
  tb_status status = tb_walk_new(context, l, &walk);
  while (!status) {
    const double *law = tb_walk_law(walk);
    size_t chosen = SIZE_MAX;
    double u, below = 0;
    tb_random_uniform(key, (index << 32) + n, 1, &u);
    for (size_t v = 0; v <= l->n_symbols; v++)
      if (law[v] > 0 && (chosen == SIZE_MAX || below <= u)) { /* the last possible one takes what rounding leaves */
        chosen = v;
        below += law[v];
      }
    if (chosen == l->n_symbols)
      break;
    if (n == room) {
      room = room ? 2 * room : 64;
      uint16_t *larger = tb_reallocate(context, drawn, room, sizeof *drawn);
      if (!larger) {
        status = TB_NO_MEMORY;
        break;
      }
      drawn = larger;
    }
    drawn[n++] = (uint16_t)chosen;
    status = tb_walk_push(walk, chosen);
  }
  if (!status && !(*symbols = tb_arena_allocate(arena, n, sizeof *drawn)))
    status = TB_NO_MEMORY;
  if (!status && n)
    memcpy(*symbols, drawn, n * sizeof *drawn);
  *count = n;
  tb_release(context, drawn);
  tb_walk_free(walk);
  return status;
}

/* ---- small mathematics ---- */

double tb_law_entropy(size_t n, const double *law) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    if (law[i] > 0)
      sum -= law[i] * log(law[i]);
  return sum;
}

double tb_log_add(double a, double b) {
  double most = fmax(a, b);
  return isinf(most) && most < 0 ? most : most + log1p(exp(fmin(a, b) - most));
}

double tb_log_choose(size_t n, size_t k) {
  double d = (double)n, j = (double)k;
  return k > n ? -INFINITY : lgamma(d + 1) - lgamma(j + 1) - lgamma(d - j + 1);
}

double tb_language_mass_bound(const tb_language_facts *f, double loss) {
  return -expm1(-f->positions * (loss - f->optimal_loss));
}

/* `grammar` of a language file: reading, and the linear algebra that removes empty and unit productions.
 *
 * Right sides are cut to two symbols.  e_A = P(A derives "") solves e = f(e) by Newton's method from 0.  Then A → B C
 * also acts as A → B (times e_C) and A → C (times e_B); chains of such steps sum to (1 - U)^-1.  Lengths:
 * L = (1 - U)^-1 (emissions z + Σ p L_B L_C).  Left corners: Q = (1 - M)^-1 with M_AB = U_AB + Σ p L_C over A → B C
 * (Jelinek and Lafferty 1991, Stolcke 1995), as series in z so that the bound can be conditioned on. */
#include "grammar.h"
#include "read.h"

#include <num/linear.h>

#include <math.h>
#include <string.h>

enum { MOST_NONTERMINALS = 500 };

/* ---- preparing ---- */

static tb_status solve(tb_context *context, size_t n, const double *matrix, size_t k, double *b, bool *singular) {
  double *copy = tb_allocate(context, n * n, sizeof *copy);
  if (!copy)
    return TB_NO_MEMORY;
  memcpy(copy, matrix, n * n * sizeof *copy);
  tb_status status = tb_lu_solve(context, n, copy, k, b, singular);
  tb_release(context, copy);
  return status;
}

/* g->empty holds P(A → "") on entry: the constant of f.  unit: A → B alone. */
static tb_status solve_empty(tb_context *context, tb_grammar *g) {
  size_t n = g->n;
  double *constant = tb_allocate(context, n, sizeof *constant),
         *jacobian = tb_allocate(context, n * n, sizeof *jacobian);
  double *e = tb_allocate(context, n, sizeof *e);
  tb_status status = constant && jacobian && e ? TB_OK : TB_NO_MEMORY;
  bool singular = false;
  double change = 1;
  for (int round = 0; round < 100 && change > 1e-17 && !singular && !status; round++) {
    memcpy(constant, g->empty, n * sizeof *constant); /* becomes f(e) - e, then the step */
    for (size_t a = 0; a < n; a++) {
      constant[a] -= e[a];
      for (size_t b = 0; b < n; b++) {
        constant[a] += g->unit[a * n + b] * e[b];
        jacobian[a * n + b] = (a == b) - g->unit[a * n + b];
      }
    }
    for (size_t i = 0; i < g->n_binary; i++) {
      const tb_binary *r = &g->binary[i];
      constant[r->a] += r->p * e[r->b] * e[r->c];
      jacobian[r->a * n + r->b] -= r->p * e[r->c];
      jacobian[r->a * n + r->c] -= r->p * e[r->b];
    }
    status = solve(context, n, jacobian, 1, constant, &singular);
    change = 0;
    for (size_t a = 0; a < n && !status && !singular; a++) {
      e[a] += constant[a];
      change = fmax(change, fabs(constant[a]));
    }
  }
  for (size_t a = 0; a < n && !status; a++)
    g->empty[a] = e[a] > 0 ? e[a] : 0;
  tb_release(context, constant);
  tb_release(context, jacobian);
  tb_release(context, e);
  return status;
}

/* Clears row a of the inverse where no chain of steps leads, so that rounding makes nothing possible. */
static void clear_unreached(size_t n, const double *m, size_t a, double *row, size_t *stack, bool *seen) {
  size_t top = 0;
  memset(seen, 0, n * sizeof *seen);
  seen[a] = true;
  stack[top++] = a;
  while (top > 0) {
    size_t i = stack[--top];
    for (size_t j = 0; j < n; j++)
      if (m[i * n + j] > 0 && !seen[j]) {
        seen[j] = true;
        stack[top++] = j;
      }
  }
  for (size_t j = 0; j < n; j++)
    if (!seen[j] || row[j] < 0)
      row[j] = 0;
}

/* (1 - m)^-1 */
static tb_status invert(tb_context *context, size_t n, const double *m, double *inverse) {
  bool singular;
  double *matrix = tb_allocate(context, n * n, sizeof *matrix);
  size_t *stack = tb_allocate(context, n, sizeof *stack);
  bool *seen = tb_allocate(context, n, sizeof *seen);
  tb_status status = matrix && stack && seen ? TB_OK : TB_NO_MEMORY;
  for (size_t i = 0; i < n * n && !status; i++) {
    matrix[i] = (i % (n + 1) == 0) - m[i];
    inverse[i] = i % (n + 1) == 0;
  }
  if (!status)
    status = tb_lu_solve(context, n, matrix, n, inverse, &singular);
  for (size_t a = 0; a < n && !status; a++)
    clear_unreached(n, m, a, inverse + a * n, stack, seen);
  tb_release(context, matrix);
  tb_release(context, stack);
  tb_release(context, seen);
  return status;
}

/* Coefficient d of every L_A, from those below it. */
static void length_coefficient(const tb_grammar *g, size_t d, double *raw) {
  size_t n = g->n, degrees = g->degrees;
  memset(raw, 0, n * sizeof *raw);
  for (size_t i = 0; i < g->n_emissions && d == 1; i++)
    raw[g->emissions[i].a] += g->emissions[i].p;
  for (size_t i = 0; i < g->n_binary; i++) {
    const double *b = g->length + g->binary[i].b * degrees, *c = g->length + g->binary[i].c * degrees;
    double sum = 0;
    for (size_t k = 1; k < d; k++)
      sum += b[k] * c[d - k];
    raw[g->binary[i].a] += g->binary[i].p * sum;
  }
  for (size_t a = 0; a < n; a++)
    g->length[a * degrees + d] = tb_dot(n, g->closure + a * n, raw);
}

/* Q_0 = (1 - U)^-1, Q_d = Q_0 Σ_j M_j Q_{d-j} */
static tb_status corners(tb_context *context, tb_grammar *g) {
  size_t n = g->n, degrees = g->degrees;
  double *sum = tb_allocate(context, n * n, sizeof *sum), *product = tb_allocate(context, n * n, sizeof *product);
  tb_status status = sum && product ? TB_OK : TB_NO_MEMORY;
  for (size_t i = 0; i < n * n && !status; i++)
    g->corner[i * degrees] = g->closure[i];
  for (size_t d = 1; d < degrees && !status; d++) {
    memset(sum, 0, n * n * sizeof *sum);
    for (size_t i = 0; i < g->n_binary; i++) {
      const tb_binary *r = &g->binary[i];
      const double *pending = g->length + r->c * degrees;
      for (size_t x = 0; x < n; x++) {
        const double *q = g->corner + (r->b * n + x) * degrees;
        double total = 0;
        for (size_t j = 1; j <= d; j++)
          total += pending[j] * q[d - j];
        sum[r->a * n + x] += r->p * total;
      }
    }
    tb_gemm(false, false, n, n, n, 1, g->closure, sum, 0, product);
    for (size_t i = 0; i < n * n; i++)
      g->corner[i * degrees + d] = product[i];
  }
  tb_release(context, sum);
  tb_release(context, product);
  return status;
}

static tb_status corners_unbounded(tb_context *context, tb_grammar *g) {
  size_t n = g->n;
  double *m = tb_allocate(context, n * n, sizeof *m);
  if (!m)
    return TB_NO_MEMORY;
  memcpy(m, g->unit, n * n * sizeof *m);
  for (size_t i = 0; i < g->n_binary; i++)
    m[g->binary[i].a * n + g->binary[i].b] += g->binary[i].p * g->length[g->binary[i].c];
  tb_status status = invert(context, n, m, g->corner);
  tb_release(context, m);
  return status;
}

tb_status tb_grammar_prepare(tb_context *context, tb_arena *arena, size_t max_length, tb_grammar *g) {
  size_t n = g->n;
  g->max_length = max_length;
  g->degrees = max_length ? max_length + 1 : 1;
  g->length = tb_arena_allocate(arena, n * g->degrees, sizeof *g->length);
  g->corner = tb_arena_allocate(arena, n * n * g->degrees, sizeof *g->corner);
  g->span = tb_arena_allocate(arena, n * n, sizeof *g->span);
  double *raw = tb_allocate(context, n, sizeof *raw);
  tb_status status = g->length && g->corner && g->span && raw ? TB_OK : TB_NO_MEMORY;
  for (size_t d = 1; d < g->degrees && !status; d++)
    length_coefficient(g, d, raw);
  for (size_t a = 0; a < n && !status && max_length == 0; a++)
    g->length[a] = 1 - g->empty[a];
  if (!status)
    status = max_length ? corners(context, g) : corners_unbounded(context, g);
  for (size_t i = 0; i < n * n && !status; i++)
    for (size_t d = 0; d < g->degrees; d++)
      if (g->corner[i * g->degrees + d] > 0)
        g->span[i] = (uint32_t)d + 1;
  tb_release(context, raw);
  return status;
}

double tb_grammar_mass(const tb_grammar *g) {
  double sum = g->empty[0];
  for (size_t d = 1; d < g->degrees; d++)
    sum += g->length[d];
  return g->max_length ? sum : 1;
}

/* ---- reading ---- */

typedef struct reading {
  const tb_tree_file *file;
  const tb_tree *map; /* productions */
  tb_language *l;
  tb_grammar *g;
  size_t *number; /* [map->count]; 0: not reached, else 1 + index */
  size_t *order;  /* of non-terminals reached */
  size_t reached, room_binary;
  size_t *wrapped; /* [n_symbols]; 1 + the non-terminal that derives just the symbol */
  double *unit;    /* [room × room] A → B before the number of non-terminals is known */
} reading;

/* One word of a right side: symbol (index) or non-terminal (n_symbols + index in the map). */
static tb_status read_word(const reading *r, const tb_tree *node, const char *word, size_t length, size_t *code) {
  size_t symbol = tb_language_symbol_find(r->l, word, length);
  if (symbol != SIZE_MAX) {
    *code = symbol;
    return TB_OK;
  }
  const char *names[MOST_NONTERMINALS];
  for (size_t i = 0; i < r->map->count; i++) {
    names[i] = r->map->keys[i]->text;
    if (strlen(names[i]) == length && memcmp(names[i], word, length) == 0) {
      *code = r->l->n_symbols + i;
      return TB_OK;
    }
  }
  const char *copy = tb_arena_format(r->file->arena, "%.*s", (int)length, word);
  const char *near = copy ? tb_suggest(copy, names, r->map->count) : NULL;
  return tb_tree_fail(r->file, node, near ? tb_arena_format(r->file->arena, "did you mean '%s'?", near) : NULL,
                      "'%s' is neither a symbol nor a non-terminal", copy ? copy : "");
}

/* Codes of a right side, in the arena. */
static tb_status read_side(const reading *r, const tb_tree *node, size_t *count, size_t **codes) {
  *count = 0;
  if (node->kind != TB_TREE_SCALAR)
    return tb_tree_fail(r->file, node, NULL, "expected a text, \"a S b\"");
  *codes = tb_arena_allocate(r->file->arena, strlen(node->text) / 2 + 2, sizeof **codes);
  if (!*codes)
    return TB_NO_MEMORY;
  for (const char *at = node->text + strspn(node->text, " \t\n"); *at; at += strspn(at, " \t\n")) {
    size_t length = strcspn(at, " \t\n");
    tb_status status = read_word(r, node, at, length, &(*codes)[(*count)++]);
    if (status)
      return status;
    at += length;
  }
  return TB_OK;
}

static tb_status check_productions(const reading *r) {
  for (size_t i = 0; i < r->map->count; i++) {
    const tb_tree *key = r->map->keys[i], *list = r->map->items[i];
    double sum = 0, p;
    size_t count, *codes;
    if (!*key->text || strpbrk(key->text, " \t\n") || strcmp(key->text, "end") == 0)
      return tb_tree_fail(r->file, key, NULL, "'%s' cannot name a non-terminal", key->text);
    if (tb_language_symbol_find(r->l, key->text, strlen(key->text)) != SIZE_MAX)
      return tb_tree_fail(r->file, key, NULL, "'%s' is a symbol of the alphabet and a non-terminal", key->text);
    if (list->kind != TB_TREE_LIST || list->count == 0)
      return tb_tree_fail(r->file, list, NULL, "expected a list of [PROBABILITY, \"right side\"]");
    for (size_t k = 0; k < list->count; k++) {
      const tb_tree *pair = list->items[k];
      if (pair->kind != TB_TREE_LIST || pair->count != 2)
        return tb_tree_fail(r->file, pair, NULL, "expected [PROBABILITY, \"right side\"]");
      tb_status status = tb_tree_number(r->file, pair->items[0], 0, 1, "a probability", &p);
      if (!status)
        status = read_side(r, pair->items[1], &count, &codes);
      if (status)
        return status;
      sum += p;
    }
    if (fabs(sum - 1) > 1e-9)
      return tb_tree_fail(r->file, key, NULL, "the probabilities of '%s' sum to %.10g, not 1", key->text, sum);
  }
  return TB_OK;
}

/* Numbers the non-terminals that the start reaches with positive probability, and counts what cutting will add. */
static tb_status reach(reading *r, size_t start, size_t *extra) {
  r->number[start] = ++r->reached;
  r->order[0] = start;
  *extra = r->l->n_symbols;
  for (size_t i = 0; i < r->reached; i++) {
    const tb_tree *list = r->map->items[r->order[i]];
    for (size_t k = 0; k < list->count; k++) {
      size_t count, *codes;
      double p;
      tb_status status = tb_tree_number(r->file, list->items[k]->items[0], 0, 1, "", &p);
      if (!status)
        status = read_side(r, list->items[k]->items[1], &count, &codes);
      if (status)
        return status;
      *extra += count > 2 ? count - 2 : 0;
      r->room_binary += count;
      for (size_t c = 0; c < count && p > 0; c++)
        if (codes[c] >= r->l->n_symbols && !r->number[codes[c] - r->l->n_symbols]) {
          r->order[r->reached++] = codes[c] - r->l->n_symbols;
          r->number[codes[c] - r->l->n_symbols] = r->reached;
        }
    }
  }
  return TB_OK;
}

/* The non-terminal of a code; a symbol gets one that derives just it. */
static uint32_t wrap(reading *r, size_t code) {
  if (code >= r->l->n_symbols)
    return (uint32_t)r->number[code - r->l->n_symbols] - 1;
  if (!r->wrapped[code]) {
    r->wrapped[code] = ++r->g->n;
    r->g->emissions[r->g->n_emissions++] =
        (tb_emission){ .a = (uint32_t)r->g->n - 1, .symbol = (uint16_t)code, .p = 1 };
  }
  return (uint32_t)r->wrapped[code] - 1;
}

/* A → codes; `room` is the row length of the matrices until the number of non-terminals is known. */
static void add_production(reading *r, uint32_t a, double p, size_t count, const size_t *codes, size_t room) {
  tb_grammar *g = r->g;
  if (count == 0)
    g->empty[a] += p;
  else if (count == 1 && codes[0] < r->l->n_symbols)
    g->emissions[g->n_emissions++] = (tb_emission){ .a = a, .symbol = (uint16_t)codes[0], .p = p };
  else if (count == 1)
    r->unit[a * room + wrap(r, codes[0])] += p;
  for (size_t i = 0; count >= 2 && i + 1 < count; i++) {
    uint32_t b = wrap(r, codes[i]), c = i + 2 == count ? wrap(r, codes[i + 1]) : (uint32_t)g->n++;
    g->binary[g->n_binary++] = (tb_binary){ .a = a, .b = b, .c = c, .p = i == 0 ? p : 1 };
    a = c;
  }
}

/* Expected numbers: x = 1 + E x has a positive solution just where derivations are finite on average. */
static tb_status expected_length(tb_context *context, tb_grammar *g, bool *finite) {
  size_t n = g->n;
  bool singular;
  double *m = tb_allocate(context, n * n, sizeof *m), *x = tb_allocate(context, 2 * n, sizeof *x);
  tb_status status = m && x ? TB_OK : TB_NO_MEMORY;
  *finite = false;
  if (!status) {
    for (size_t i = 0; i < n * n; i++)
      m[i] = (i % (n + 1) == 0) - g->unit[i];
    for (size_t i = 0; i < g->n_binary; i++) {
      m[g->binary[i].a * n + g->binary[i].b] -= g->binary[i].p;
      m[g->binary[i].a * n + g->binary[i].c] -= g->binary[i].p;
    }
    for (size_t a = 0; a < n; a++)
      x[2 * a] = 1;
    for (size_t i = 0; i < g->n_emissions; i++)
      x[2 * g->emissions[i].a + 1] += g->emissions[i].p;
    status = tb_lu_solve(context, n, m, 2, x, &singular);
    *finite = !singular;
    for (size_t a = 0; a < n; a++)
      *finite &= x[2 * a] > 0.5 && x[2 * a] < 1e12;
    g->mean_length = x[1];
  }
  tb_release(context, m);
  tb_release(context, x);
  return status;
}

static tb_status fill(reading *r, size_t start) {
  tb_language *l = r->l;
  tb_grammar *g = r->g;
  size_t extra = 0;
  tb_status status = reach(r, start, &extra);
  if (status)
    return status;
  size_t room = r->reached + extra;
  if (room - l->n_symbols > 4 * MOST_NONTERMINALS)
    return tb_tree_fail(r->file, r->map, NULL, "the grammar is too large");
  g->empty = tb_arena_allocate(l->arena, room, sizeof *g->empty);
  g->binary = tb_arena_allocate(l->arena, r->room_binary + 1, sizeof *g->binary);
  g->emissions = tb_arena_allocate(l->arena, r->room_binary + l->n_symbols + 1, sizeof *g->emissions);
  r->unit = tb_arena_allocate(l->arena, room * room, sizeof *r->unit);
  r->wrapped = tb_arena_allocate(l->arena, l->n_symbols, sizeof *r->wrapped);
  if (!g->empty || !g->binary || !g->emissions || !r->unit || !r->wrapped)
    return TB_NO_MEMORY;
  g->n = r->reached;
  for (size_t i = 0; i < r->reached; i++) {
    const tb_tree *list = r->map->items[r->order[i]];
    double sum = 0, p;
    for (int pass = 0; pass < 2; pass++)
      for (size_t k = 0; k < list->count && !status; k++) {
        size_t count, *codes;
        status = tb_tree_number(r->file, list->items[k]->items[0], 0, 1, "", &p);
        if (!status && pass == 0)
          sum += p;
        else if (!status && !(status = read_side(r, list->items[k]->items[1], &count, &codes)) && p > 0)
          add_production(r, (uint32_t)i, p / sum, count, codes, room);
      }
  }
  g->unit = tb_arena_allocate(l->arena, g->n * g->n, sizeof *g->unit);
  g->closure = tb_arena_allocate(l->arena, g->n * g->n, sizeof *g->closure);
  if (!g->unit || !g->closure)
    return TB_NO_MEMORY;
  for (size_t a = 0; a < g->n && !status; a++)
    memcpy(g->unit + a * g->n, r->unit + a * room, g->n * sizeof *g->unit);
  return status;
}

tb_status tb_grammar_read(const tb_tree_file *f, const tb_tree *node, tb_language *l) {
  static const char *const keys[] = { "start", "productions" };
  bool finite;
  tb_status status = tb_tree_check_keys(f, node, "`grammar`", keys, 2);
  if (status)
    return status;
  const tb_tree *start = tb_tree_get(node, "start");
  reading r = { .file = f, .map = tb_tree_get(node, "productions"), .l = l };
  if (!start || !r.map)
    return tb_tree_fail(f, node, NULL, "a grammar has `start` and `productions`");
  if (r.map->kind != TB_TREE_MAP || r.map->count == 0 || r.map->count > MOST_NONTERMINALS)
    return tb_tree_fail(f, r.map, NULL, "`productions` is a mapping of at most %d non-terminals to lists",
                        MOST_NONTERMINALS);
  r.g = tb_arena_allocate(l->arena, 1, sizeof *r.g);
  r.number = tb_arena_allocate(l->arena, r.map->count, sizeof *r.number);
  r.order = tb_arena_allocate(l->arena, r.map->count, sizeof *r.order);
  if (!r.g || !r.number || !r.order)
    return TB_NO_MEMORY;
  status = check_productions(&r);
  size_t first = 0;
  while (first < r.map->count && (start->kind != TB_TREE_SCALAR || strcmp(r.map->keys[first]->text, start->text) != 0))
    first++;
  if (!status && first == r.map->count)
    return tb_tree_fail(f, start, NULL, "the start '%s' has no productions", start->text);
  if (!status)
    status = fill(&r, first);
  if (!status)
    status = expected_length(l->context, r.g, &finite);
  if (!status && !finite)
    return tb_tree_fail(f, r.map->keys[first], "recursion must be less than certain",
                        "the expected length of '%s' is not finite", start->text);
  if (!status)
    status = solve_empty(l->context, r.g);
  for (size_t i = 0; i < r.g->n_binary && !status; i++) { /* with one side empty a binary step is a unit step */
    const tb_binary *b = &r.g->binary[i];
    r.g->unit[b->a * r.g->n + b->b] += b->p * r.g->empty[b->c];
    r.g->unit[b->a * r.g->n + b->c] += b->p * r.g->empty[b->b];
  }
  if (!status)
    status = invert(l->context, r.g->n, r.g->unit, r.g->closure);
  if (!status && (double)r.g->n * (double)r.g->n * ((double)l->max_length + 1) > 3e7)
    return tb_tree_fail(f, node, "a smaller max_length", "the grammar is too large for this max_length");
  if (!status)
    status = tb_grammar_prepare(l->context, l->arena, l->max_length, r.g);
  if (!status && !(tb_grammar_mass(r.g) > 1e-300))
    return tb_tree_fail(f, node, "a larger max_length", "no string is as short as max_length");
  l->data = r.g;
  l->kind = &tb_language_grammar;
  return status;
}

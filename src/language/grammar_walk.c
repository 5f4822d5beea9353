/* Prefix probabilities of a grammar, symbol by symbol, and its facts.
 *
 * I[i][j]_B = P(B derives symbols i…j-1).  F_C(k) = weight of all ways to have read k symbols with C to come next, and
 * G(k) = F(k) Q the same for its left corners X; both are series in z over the symbols pending further right.  So
 *   P(next is a) ∝ Σ_X G_X(k) P(X → a),   F_C(j) = Σ_{X → B C, i} p I[i][j]_B G_X(i).
 * Weights are divided by each symbol's conditional probability as it is read, so that nothing underflows. */
#include "grammar.h"

#include <math.h>
#include <string.h>

typedef struct column {
  double *inside; /* [depth × n]: I[i][depth] */
  size_t n_filled;
  uint32_t *filled; /* [depth]: the i where that is not 0, from the last */
  double *corner;   /* [n × degrees]: G(depth) */
} column;

typedef struct walk {
  tb_context *context;
  const tb_language *l;
  const tb_grammar *g;
  size_t depth, room;
  column *columns; /* [room]; allocated when first reached, kept */
  double *raw;     /* [n] */
  double *ahead;   /* [n × degrees]: F */
} walk;

static void walk_free(void *data) {
  walk *w = data;
  for (size_t k = 0; k < w->room; k++) {
    tb_release(w->context, w->columns[k].inside);
    tb_release(w->context, w->columns[k].filled);
    tb_release(w->context, w->columns[k].corner);
  }
  tb_release(w->context, w->columns);
  tb_release(w->context, w->raw);
  tb_release(w->context, w->ahead);
  tb_release(w->context, w);
}

static tb_status column_at(walk *w, size_t k, column **c) {
  if (k >= w->room) {
    size_t room = 2 * k + 16;
    column *columns = tb_reallocate(w->context, w->columns, room, sizeof *columns);
    if (!columns)
      return TB_NO_MEMORY;
    memset(columns + w->room, 0, (room - w->room) * sizeof *columns);
    w->columns = columns;
    w->room = room;
  }
  *c = &w->columns[k];
  if (!(*c)->inside)
    (*c)->inside = tb_allocate(w->context, (k + 1) * w->g->n, sizeof *(*c)->inside);
  if (!(*c)->filled)
    (*c)->filled = tb_allocate(w->context, k + 1, sizeof *(*c)->filled);
  if (!(*c)->corner)
    (*c)->corner = tb_allocate(w->context, w->g->n * w->g->degrees, sizeof *(*c)->corner);
  return (*c)->inside && (*c)->filled && (*c)->corner ? TB_OK : TB_NO_MEMORY;
}

/* Number of coefficients that still matter behind k symbols. */
static size_t left(const tb_grammar *g, size_t k) {
  return g->max_length ? g->max_length + 1 - k : 1;
}

/* G = F Q */
static void turn_corners(const walk *w, size_t k, double *corner) {
  const tb_grammar *g = w->g;
  size_t n = g->n, degrees = g->degrees, most = left(g, k);
  memset(corner, 0, n * degrees * sizeof *corner);
  for (size_t c = 0; c < n; c++)
    for (size_t i = 0; i < most; i++) {
      double f = w->ahead[c * degrees + i];
      for (size_t x = 0; x < n && f > 0; x++) {
        const double *q = g->corner + (c * n + x) * degrees;
        for (size_t d = 0; d < g->span[c * n + x] && d + i < most; d++)
          corner[x * degrees + i + d] += f * q[d];
      }
    }
}

static tb_status walk_new(tb_context *context, const tb_language *l, void **data) {
  walk *w = *data = tb_allocate(context, 1, sizeof *w);
  column *c;
  if (!w)
    return TB_NO_MEMORY;
  w->context = context;
  w->l = l;
  w->g = l->data;
  w->raw = tb_allocate(context, w->g->n, sizeof *w->raw);
  w->ahead = tb_allocate(context, w->g->n * w->g->degrees, sizeof *w->ahead);
  tb_status status = w->raw && w->ahead ? column_at(w, 0, &c) : TB_NO_MEMORY;
  if (!status) {
    w->ahead[0] = 1;
    turn_corners(w, 0, c->corner);
  }
  return status;
}

static void walk_law(void *data, double *law) {
  const walk *w = data;
  const tb_grammar *g = w->g;
  const column *c = &w->columns[w->depth];
  size_t v = w->l->n_symbols;
  double sum = 0;
  memset(law, 0, (v + 1) * sizeof *law);
  for (size_t i = 0; i < g->n_emissions && (g->max_length == 0 || w->depth < g->max_length); i++) {
    const double *series = c->corner + g->emissions[i].a * g->degrees;
    double pending = 0;
    for (size_t d = 0; d < (g->max_length ? left(g, w->depth) - 1 : 1); d++)
      pending += series[d];
    law[g->emissions[i].symbol] += g->emissions[i].p * pending;
  }
  law[v] = w->depth ? c->inside[0] : g->empty[0];
  for (size_t a = 0; a <= v; a++)
    sum += law[a];
  for (size_t a = 0; a <= v; a++)
    law[a] /= sum;
}

/* Adds chains of unit steps in place; false when the cell is empty. */
static bool close_units(const walk *w, double *cell) {
  size_t n = w->g->n, filled = 0;
  memcpy(w->raw, cell, n * sizeof *cell);
  for (size_t x = 0; x < n; x++)
    filled += w->raw[x] > 0;
  for (size_t a = 0; a < n && filled; a++) {
    double sum = 0;
    for (size_t x = 0; x < n; x++)
      sum += w->g->closure[a * n + x] * w->raw[x];
    cell[a] = sum;
  }
  return filled > 0;
}

/* out_A += Σ p first_B second_C */
static void join(const tb_grammar *g, const double *first, const double *second, double *out) {
  for (size_t r = 0; r < g->n_binary; r++)
    out[g->binary[r].a] += g->binary[r].p * first[g->binary[r].b] * second[g->binary[r].c];
}

static tb_status walk_push(void *data, size_t symbol, double probability) {
  walk *w = data;
  const tb_grammar *g = w->g;
  size_t n = g->n, k = w->depth, j = k + 1, most = left(g, j);
  column *c;
  tb_status status = column_at(w, j, &c);
  if (status)
    return status;
  memset(c->inside, 0, j * n * sizeof *c->inside);
  for (size_t i = 0; i < g->n_emissions; i++)
    if (g->emissions[i].symbol == symbol)
      c->inside[k * n + g->emissions[i].a] += g->emissions[i].p / probability;
  c->n_filled = 0;
  for (size_t m = j;
       m-- > 0;) { /* all that adds to I[m][j] has been read; it adds to I[i][j] where I[i][m] is filled */
    if (!close_units(w, c->inside + m * n))
      continue;
    c->filled[c->n_filled++] = (uint32_t)m;
    const column *before = &w->columns[m];
    for (size_t f = 0; f < before->n_filled; f++)
      join(g, before->inside + before->filled[f] * n, c->inside + m * n, c->inside + before->filled[f] * n);
  }
  memset(w->ahead, 0, n * g->degrees * sizeof *w->ahead);
  for (size_t f = 0; f < c->n_filled; f++)
    for (size_t r = 0; r < g->n_binary; r++) {
      const tb_binary *b = &g->binary[r];
      double weight = b->p * c->inside[c->filled[f] * n + b->b];
      const double *from = w->columns[c->filled[f]].corner + b->a * g->degrees;
      for (size_t d = 0; d < most && weight > 0; d++)
        w->ahead[b->c * g->degrees + d] += weight * from[d];
    }
  turn_corners(w, j, c->corner);
  w->depth = j;
  return TB_OK;
}

static void walk_pop(void *data) {
  ((walk *)data)->depth--;
}

/* ---- facts ---- */

/* Some non-terminal contains itself and something more. */
static tb_status is_infinite(tb_context *context, const tb_grammar *g, bool *infinite) {
  size_t n = g->n;
  bool *reaches = tb_allocate(context, n * n, sizeof *reaches);
  if (!reaches)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < n * n; i++)
    reaches[i] = i % (n + 1) == 0 || g->unit[i] > 0;
#define GROWS(r) (g->empty[(r)->b] < 1 && g->empty[(r)->c] < 1)
  for (size_t i = 0; i < g->n_binary; i++)
    if (GROWS(&g->binary[i]))
      reaches[g->binary[i].a * n + g->binary[i].b] = reaches[g->binary[i].a * n + g->binary[i].c] = true;
  for (size_t m = 0; m < n; m++)
    for (size_t a = 0; a < n; a++)
      for (size_t b = 0; b < n && reaches[a * n + m]; b++)
        reaches[a * n + b] |= reaches[m * n + b];
  *infinite = false;
  for (size_t i = 0; i < g->n_binary; i++) {
    const tb_binary *r = &g->binary[i];
    *infinite |= GROWS(r) && (reaches[r->b * n + r->a] || reaches[r->c * n + r->a]);
  }
  tb_release(context, reaches);
  return TB_OK;
}

/* Prefixes less probable than 1e-22 are left out: their mass is far below the rounding of the sums. */
static tb_status measure_unbounded(tb_context *context, const tb_language *l, tb_language_facts *f) {
  const tb_grammar *g = l->data;
  bool infinite = false, whole = false;
  tb_language_facts listed;
  tb_status status = is_infinite(context, g, &infinite);
  if (!status)
    status = tb_language_measure_strings(context, l, &listed, infinite ? 1e-22 : 0, &whole);
  f->mean_length = g->mean_length;
  f->entropy = whole ? listed.entropy : NAN;
  f->strings = infinite ? INFINITY : whole ? listed.strings : NAN;
  f->positions = f->optimal_loss = f->optimal_accuracy = NAN;
  if (!whole)
    f->reason = "a grammar with more than a million strings of notable probability";
  return status;
}

static tb_status measure(tb_context *context, const tb_language *l, tb_language_facts *f) {
  const tb_grammar *g = l->data;
  bool whole;
  *f = (tb_language_facts){ 0 };
  if (l->max_length == 0)
    return measure_unbounded(context, l, f);
  tb_status status = tb_language_measure_strings(context, l, f, 0, &whole);
  if (!status && !whole) {
    double sum = 0;
    for (size_t d = 1; d < g->degrees; d++)
      sum += (double)d * g->length[d];
    *f = (tb_language_facts){ .entropy = NAN, .strings = NAN, .mean_length = sum / tb_grammar_mass(g) };
    tb_language_close_facts(l, f, NAN);
    f->reason = "a grammar of more than a million strings";
  }
  return status;
}

const tb_language_kind tb_language_grammar = {
  .name = "grammar",
  .walk_new = walk_new,
  .walk_free = walk_free,
  .walk_law = walk_law,
  .walk_push = walk_push,
  .walk_pop = walk_pop,
  .measure = measure,
};

/* Readers in general, and the exact law with a strategy where the law says nothing. */
#include "language/reader.h"

#include <math.h>
#include <string.h>

size_t tb_token_end(const tb_language *l) {
  return tb_language_symbols(l);
}

size_t tb_token_start(const tb_language *l) {
  return tb_language_symbols(l) + 1;
}

size_t tb_token_padding(const tb_language *l) {
  return tb_language_symbols(l) + 2;
}

tb_status tb_reader_start(tb_reader *r) {
  return r->start(r);
}

tb_status tb_reader_read(tb_reader *r, const int32_t *tokens, double *scores) {
  return r->read(r, tokens, scores);
}

void tb_network_reader_move(tb_reader *r, const double *theta) {
  r->move(r, theta);
}

void tb_reader_free(tb_reader *r) {
  if (!r)
    return;
  r->free(r);
  tb_release(r->context, r);
}

/* ---- the law and a strategy ---- */

typedef struct row {
  tb_walk *walk;
  uint16_t *symbols; /* [room] */
  size_t count, room;
  bool begun;
} row;

typedef struct law {
  const tb_language *language;
  tb_strategy strategy;
  size_t r1; /* SIZE_MAX: no such rule */
  row *rows;
} law;

static void release(tb_reader *r) {
  law *l = r->data;
  for (size_t i = 0; l->rows && i < r->batch; i++) {
    tb_walk_free(l->rows[i].walk);
    tb_release(r->context, l->rows[i].symbols);
  }
  tb_release(r->context, l->rows);
  tb_release(r->context, l);
}

static tb_status start(tb_reader *r) {
  law *l = r->data;
  for (size_t i = 0; i < r->batch; i++) {
    for (; l->rows[i].count; l->rows[i].count--)
      tb_walk_pop(l->rows[i].walk);
    l->rows[i].begun = false;
  }
  return TB_OK;
}

static tb_status append(tb_reader *r, row *at, size_t symbol) {
  const law *l = r->data;
  if (!at->begun || symbol >= tb_language_symbols(l->language)) { /* the start, or behind the end */
    at->begun = true;
    return TB_OK;
  }
  if (at->count == at->room) {
    uint16_t *symbols = tb_reallocate(r->context, at->symbols, at->room ? 2 * at->room : 64, sizeof *symbols);
    if (!symbols)
      return TB_NO_MEMORY;
    at->symbols = symbols;
    at->room = at->room ? 2 * at->room : 64;
  }
  tb_status status = tb_walk_push(at->walk, symbol);
  if (!status)
    at->symbols[at->count++] = (uint16_t)symbol;
  return status;
}

static tb_status read(tb_reader *r, const int32_t *tokens, double *scores) {
  law *l = r->data;
  const size_t v = tb_language_symbols(l->language);
  for (size_t i = 0; i < r->batch; i++) {
    row *at = &l->rows[i];
    double *score = scores + i * r->vocabulary;
    tb_status status = append(r, at, (size_t)tokens[i]);
    if (status)
      return status;
    const double *next = tb_walk_law(at->walk);
    for (size_t a = 0; a < r->vocabulary; a++)
      score[a] = next && a <= v ? log(next[a]) : -INFINITY;
    if (!next)
      score[l->strategy == TB_APPEND_TO_BALANCE && l->r1 != SIZE_MAX &&
                    tb_rule_wants_last(l->language, l->r1, at->count, at->symbols)
                ? v - 1
                : v] = 0;
  }
  return TB_OK;
}

tb_status tb_law_reader(tb_context *context, const tb_language *language, tb_strategy strategy, size_t batch,
                        tb_reader **out) {
  *out = NULL;
  tb_reader *r = tb_allocate(context, 1, sizeof *r);
  law *l = r ? tb_allocate(context, 1, sizeof *l) : NULL;
  if (!l) {
    tb_release(context, r);
    return TB_NO_MEMORY;
  }
  *l = (law){ .language = language, .strategy = strategy, .r1 = tb_language_rule_find(language, "r1") };
  *r = (tb_reader){ .context = context,
                    .vocabulary = tb_language_symbols(language) + TB_EXTRA_TOKENS,
                    .batch = batch,
                    .length = SIZE_MAX,
                    .start = start,
                    .read = read,
                    .free = release,
                    .data = l };
  l->rows = tb_allocate(context, batch, sizeof *l->rows);
  tb_status status = l->rows ? TB_OK : TB_NO_MEMORY;
  for (size_t i = 0; i < batch && !status; i++)
    status = tb_walk_new(context, language, &l->rows[i].walk);
  if (status) {
    tb_reader_free(r);
    return status;
  }
  *out = r;
  return TB_OK;
}

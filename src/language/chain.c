/* L3, L5, anbnan: blocks of n equal symbols each, every n from 1 to M exactly once, M = ⌊max_length / blocks⌋.
 *
 * While the first block grows, each n still possible is as likely as the others; its end fixes the string. */
#include "language.h"

#include <string.h>

enum { BLOCK, HERE, SIZE }; /* words of a state: which block, symbols in it, n once it is known */

/* The symbol of each block. */
static const char *blocks(const tb_language *l) {
  return l->data;
}

static tb_status open_blocks(tb_language *l) {
  l->data = (void *)(l->kind == &tb_language_anbnan ? "aba" : l->kind->alphabet);
  return TB_OK;
}

static void start(const tb_language *l, tb_language_state *s) {
  memset(s, 0, sizeof *s);
}

static size_t symbol_of(const tb_language *l, size_t block) {
  return block < strlen(blocks(l)) ? (size_t)(blocks(l)[block] - 'a') : l->n_symbols;
}

static void law(const tb_language *l, const tb_language_state *s, double *law) {
  size_t most = l->max_length / strlen(blocks(l)), here = (size_t)s->at[HERE], block = (size_t)s->at[BLOCK];
  memset(law, 0, (l->n_symbols + 1) * sizeof *law);
  if (block > 0)
    law[symbol_of(l, block + (here == (size_t)s->at[SIZE]))] = 1;
  else if (here == 0)
    law[symbol_of(l, 0)] = 1;
  else {
    double left = (double)(most - here + 1); /* n = here, …, M */
    law[symbol_of(l, 0)] = (left - 1) / left;
    law[symbol_of(l, 1)] = 1 / left;
  }
}

static void step(const tb_language *l, tb_language_state *s, size_t symbol) {
  if (symbol == symbol_of(l, (size_t)s->at[BLOCK])) {
    s->at[HERE]++;
    return;
  }
  if (s->at[BLOCK] == 0)
    s->at[SIZE] = s->at[HERE];
  s->at[BLOCK]++;
  s->at[HERE] = 1;
}

#define CHAIN(least_length)                                                                                            \
  .least = least_length, .own = 256, .most = 4096, .open = open_blocks, .start = start, .law = law, .step = step

const tb_language_kind tb_language_l3 = {
  .name = "L3",
  .summary = "a^n b^n, context-free (the language of the ICML study)",
  .alphabet = "ab",
  .rules = { { .kind = TB_RULE_EQUAL, .count = 2, .symbols = { 0, 1 }, .factors = { 1, 1 } },
             { .kind = TB_RULE_ORDER, .count = 2, .symbols = { 0, 1 } } },
  CHAIN(2),
};

const tb_language_kind tb_language_anbn = {
  .name = "anbn",
  .summary = "L3 by another name",
  .alphabet = "ab",
  .rules = { { .kind = TB_RULE_EQUAL, .count = 2, .symbols = { 0, 1 }, .factors = { 1, 1 } },
             { .kind = TB_RULE_ORDER, .count = 2, .symbols = { 0, 1 } } },
  CHAIN(2),
};

const tb_language_kind tb_language_l5 = {
  .name = "L5",
  .summary = "a^n b^n c^n, context-sensitive",
  .alphabet = "abc",
  .rules = { { .kind = TB_RULE_EQUAL, .count = 3, .symbols = { 0, 1, 2 }, .factors = { 1, 1, 1 } },
             { .kind = TB_RULE_ORDER, .count = 3, .symbols = { 0, 1, 2 } } },
  CHAIN(3),
};

const tb_language_kind tb_language_anbnan = {
  .name = "anbnan",
  .summary = "a^n b^n a^n, a target of fine-tuning; r1: as many a as twice the b, r2: equal flanks around the b",
  .alphabet = "ab",
  .rules = { { .kind = TB_RULE_EQUAL, .count = 2, .symbols = { 0, 1 }, .factors = { 1, 2 } },
             { .kind = TB_RULE_FLANKS, .count = 2, .symbols = { 0, 1 } } },
  CHAIN(3),
};

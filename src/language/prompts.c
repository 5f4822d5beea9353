/* Prompts in and out of distribution, and what strategies without a model score on them.
 *
 * A prompt is in distribution where the law gives it positive probability.  Unless a language draws its prompts they
 * are all strings of one length, by default the longest of which there are at most 256 and which a string can have. */
#include "language.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static tb_status all_strings(tb_context *context, tb_arena *arena, const tb_language *l, size_t length, size_t *count,
                             tb_prompt **prompts) {
  tb_walk *walk;
  size_t total = 1;
  for (size_t i = 0; i < length; i++)
    if ((total *= l->n_symbols) > TB_MOST_STRINGS)
      return tb_fail(context, TB_USAGE, "option prompt_length", NULL, "more than a million prompts of %zu symbols",
                     length);
  *prompts = tb_arena_allocate(arena, total, sizeof **prompts);
  if (!*prompts)
    return TB_NO_MEMORY;
  *count = total;
  tb_status status = tb_walk_new(context, l, &walk);
  size_t depth = 0;
  uint16_t *last = NULL;
  for (size_t i = 0; i < total && !status; i++) {
    uint16_t *symbols = tb_arena_allocate(arena, length, sizeof *symbols);
    size_t rest = i, common = 0;
    if (!symbols) {
      status = TB_NO_MEMORY;
      break;
    }
    for (size_t k = length; k-- > 0; rest /= l->n_symbols)
      symbols[k] = (uint16_t)(rest % l->n_symbols);
    while (last && common < length && symbols[common] == last[common])
      common++;
    for (; depth > common; depth--)
      tb_walk_pop(walk);
    for (; depth < length && !status; depth++)
      status = tb_walk_push(walk, symbols[depth]);
    bool possible = !isinf(tb_walk_log_probability(walk));
    (*prompts)[i] = (tb_prompt){ .id = possible, .count = length, .completed = length, .symbols = symbols };
    last = symbols;
  }
  tb_walk_free(walk);
  return status;
}

static size_t default_length(const tb_language *l) {
  size_t length = 1;
  for (double total = (double)l->n_symbols; length < 8 && total * (double)l->n_symbols <= 256; length++)
    total *= (double)l->n_symbols;
  const size_t longest = tb_language_max_length(l);
  return longest && longest < length ? longest : length;
}

tb_status tb_language_prompts(tb_context *context, tb_arena *arena, const tb_language *l, size_t length, uint64_t seed,
                              size_t *count, tb_prompt **prompts) {
  *count = 0;
  *prompts = NULL;
  if (!l->kind->prompts)
    return all_strings(context, arena, l, length ? length : default_length(l), count, prompts);
  length = length ? length : l->kind->prompt_own;
  if (length < l->kind->prompt_least || length > 10000)
    return tb_fail(context, TB_USAGE, "option prompt_length", NULL, "prompts of %s have from %zu to 10000 symbols",
                   l->name, l->kind->prompt_least);
  return l->kind->prompts(context, arena, l, length, seed, count, prompts);
}

void tb_language_baselines(const tb_language *l, size_t count, const tb_prompt *prompts, bool id, tb_baselines *b) {
  size_t r1 = tb_language_rule_find(l, "r1");
  *b = (tb_baselines){ 0 };
  for (size_t i = 0; i < count; i++) {
    const tb_prompt *p = &prompts[i];
    if (p->id != id)
      continue;
    b->prompts++;
    if (r1 == SIZE_MAX)
      continue;
    b->eos_now_r1 += tb_rule_holds(l, r1, p->count, p->symbols);
    b->append_to_balance_r1 += tb_rule_append_to_balance(l, r1, p->count, p->symbols);
    b->chance_r1 += tb_rule_chance(l, r1, p->count, p->symbols);
  }
  double n = r1 == SIZE_MAX || b->prompts == 0 ? NAN : (double)b->prompts;
  b->eos_now_r1 /= n;
  b->append_to_balance_r1 /= n;
  b->chance_r1 /= n;
}

/* The drawn prompts of brackets continue with a balanced word, so the empty completion is where theirs start too. */
double tb_language_chance_completion(const tb_language *l) {
  size_t r2 = tb_language_rule_find(l, "r2");
  return r2 == SIZE_MAX ? NAN : tb_rule_chance(l, r2, 0, NULL);
}

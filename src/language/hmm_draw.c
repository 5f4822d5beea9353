/* Documents and prompts drawn from a hidden Markov mixture.
 *
 * Every draw is an inverse of a cumulative sum at a keyed uniform, so document or prompt i is the same whatever else is
 * drawn. */
#include "hmm.h"

#include <math.h>
#include <string.h>

static double uniform(tb_key key, uint64_t place) {
  double u;
  tb_random_uniform(key, place, 1, &u);
  return u;
}

/* The entry at which the running sum passes u; the last positive one where rounding leaves the sum short. */
static size_t pick(size_t count, const double *p, double u) {
  size_t last = 0;
  double sum = 0;
  for (size_t i = 0; i < count; i++) {
    if (p[i] > 0)
      last = i;
    sum += p[i];
    if (sum > u)
      return i;
  }
  return last;
}

static size_t pick_component(const tb_hmm *m, double u) {
  size_t last = 0;
  double sum = 0;
  for (size_t k = 0; k < m->n_components; k++) {
    if (m->components[k].weight > 0)
      last = k;
    sum += m->components[k].weight;
    if (sum > u)
      return k;
  }
  return last;
}

/* Emissions are listed by token: the running sum of a state's goes over them in the order of tokens. */
static uint32_t emit(const tb_hmm *m, const tb_hmm_component *c, size_t state, double u) {
  uint32_t last = 0;
  double sum = 0;
  for (size_t y = 0; y < m->n_tokens; y++)
    for (uint32_t e = c->first[y]; e < c->first[y + 1]; e++)
      if (c->emitter[e] == state) {
        last = (uint32_t)y;
        sum += c->emission[e];
        if (sum > u)
          return last;
      }
  return last;
}

/* `count` tokens from a first state, using 2·count uniforms from `place` on. */
static void walk(const tb_hmm *m, const tb_hmm_component *c, tb_key key, uint64_t place, size_t state, size_t count,
                 uint32_t *tokens) {
  for (size_t t = 0; t < count; t++) {
    if (t > 0)
      state = pick(c->states, c->transition + state * c->states, uniform(key, place + 2 * t));
    tokens[t] = emit(m, c, state, c->deterministic ? 0 : uniform(key, place + 2 * t + 1));
  }
}

void tb_hmm_sample(const tb_hmm *m, tb_key key, uint64_t index, size_t length, uint32_t *tokens, size_t *component) {
  key.step = (uint32_t)index;
  const size_t k = pick_component(m, uniform(key, 0));
  const tb_hmm_component *c = &m->components[k];
  walk(m, c, key, 2, pick(c->states, c->start, uniform(key, 1)), length, tokens);
  if (component)
    *component = k;
}

/* ---- prompts ---- */

typedef struct prompter {
  tb_context *context;
  const tb_hmm *mixture;
  size_t n, k;
  bool undelimited;
  tb_hmm_filter *filter;
  double *start; /* [S]: law of an example's first state */
  double *law;   /* [V] */
} prompter;

/* Example number `i` of a prompt, `count` tokens: drawn until there is no delimiter in it where that is asked for. */
static tb_status draw_example(const prompter *p, const tb_hmm_component *c, tb_key key, size_t i, size_t count,
                              uint32_t *tokens) {
  enum { ATTEMPTS = 100000 };
  const uint64_t width = 2 * p->k + 1, round = 1 + (p->n + 1) * width;
  for (uint64_t attempt = 0; attempt < ATTEMPTS; attempt++) {
    const uint64_t place = 1 + attempt * round + i * width;
    bool found = false;
    walk(p->mixture, c, key, place + 1, pick(c->states, p->start, uniform(key, place)), count, tokens);
    for (size_t t = 0; t < count && p->undelimited; t++)
      found |= tokens[t] == p->mixture->delimiter;
    if (!found)
      return TB_OK;
  }
  return tb_fail(p->context, TB_FAILED, "option examples", "take examples=any, or smaller k",
                 "no example of %zu tokens without a delimiter in %d draws", count, ATTEMPTS);
}

static tb_status draw(prompter *p, tb_arena *arena, tb_key key, tb_hmm_prompt *prompt) {
  const size_t component = pick_component(p->mixture, uniform(key, 0));
  const tb_hmm_component *c = &p->mixture->components[component];
  const tb_key slot_key = { key.seed, key.step, tb_use("prompt slot") };
  const size_t slot = 1 + (size_t)tb_random_below(slot_key, 0, TB_GINC_SLOTS - 1);
  for (size_t j = 0; j < c->states; j++)
    p->start[j] = p->mixture->ginc ? (j % TB_GINC_SLOTS == slot ? 1.0 / TB_GINC_VALUES : 0) : c->start[j];
  const size_t length = tb_hmm_pattern_length(p->n, p->k);
  uint32_t *tokens = tb_arena_allocate(arena, length + 1, sizeof *tokens);
  tb_status status = tokens ? TB_OK : TB_NO_MEMORY;
  for (size_t i = 0; i <= p->n && !status; i++) {
    status = draw_example(p, c, key, i, i < p->n ? p->k : p->k - 1, tokens + i * (p->k + 1));
    if (i < p->n)
      tokens[i * (p->k + 1) + p->k] = (uint32_t)p->mixture->delimiter;
  }
  if (status)
    return status;
  tb_hmm_filter_reset_at(p->filter, component, p->start);
  for (size_t t = length - (p->k - 1); t < length; t++)
    tb_hmm_filter_push(p->filter, tokens[t]);
  tb_hmm_filter_law(p->filter, p->law);
  size_t first, second;
  tb_hmm_top_two(p->mixture->n_tokens, p->law, &first, &second);
  *prompt = (tb_hmm_prompt){ .length = length, .tokens = tokens, .label = (uint32_t)first, .component = component };
  return TB_OK;
}

tb_status tb_hmm_prompts(tb_context *context, tb_arena *arena, const tb_hmm *m, size_t n, size_t k, bool undelimited,
                         size_t count, tb_key key, tb_hmm_prompt **prompts) {
  prompter p = { .context = context, .mixture = m, .n = n, .k = k, .undelimited = undelimited };
  tb_status status = tb_hmm_filter_new(context, m, &p.filter);
  *prompts = tb_arena_allocate(arena, count + 1, sizeof **prompts);
  p.start = tb_allocate(context, m->most_states, sizeof *p.start);
  p.law = tb_allocate(context, m->n_tokens, sizeof *p.law);
  if (!status && (!*prompts || !p.start || !p.law))
    status = TB_NO_MEMORY;
  for (size_t i = 0; i < count && !status; i++) {
    key.step = (uint32_t)i;
    status = draw(&p, arena, key, &(*prompts)[i]);
  }
  tb_hmm_filter_free(p.filter);
  tb_release(context, p.start);
  tb_release(context, p.law);
  return status;
}

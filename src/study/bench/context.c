/* icl_bayes: the exact in-context prediction of 2,500 GINC prompts of 64 examples of 10 tokens, in a mixture smoothed
 * so that none of them is impossible: five concepts of 100 states are followed through 713 tokens and a law of 50
 * tokens is formed, for every prompt. */
#include "io/npz.h"
#include "language/hmm.h"
#include "study/bench/workload.h"

#include <math.h>

enum { PROMPTS = 2500, EXAMPLES = 64, TOKENS = 10, VOCABULARY = 50 };

struct tb_workload {
  tb_context *context;
  tb_arena *arena;
  tb_hmm *mixture;
  tb_hmm_filter *filter;
  tb_hmm_prompt *prompts;
  double law[VOCABULARY];
  uint32_t predictions[PROMPTS];
};

static void context_close(tb_workload *w) {
  tb_context *context = w->context;
  tb_hmm_filter_free(w->filter);
  tb_hmm_free(w->mixture);
  tb_arena_free(w->arena);
  tb_release(context, w);
}

static tb_status context_open(tb_context *context, tb_workload **out) {
  tb_workload *w = tb_allocate(context, 1, sizeof *w);
  tb_hmm *exact = NULL;
  if (!w)
    return TB_NO_MEMORY;
  *w = (tb_workload){ .context = context, .arena = tb_arena_new(context) };
  tb_status status = w->arena ? tb_hmm_ginc(context, VOCABULARY, 0, &exact) : TB_NO_MEMORY;
  if (!status)
    status = tb_hmm_prompts(context, w->arena, exact, EXAMPLES, TOKENS, false, PROMPTS,
                            (tb_key){ 0, 0, tb_use("prompts") }, &w->prompts);
  if (!status)
    status = tb_hmm_smooth(context, exact, 1e-6, &w->mixture);
  if (!status)
    status = tb_hmm_filter_new(context, w->mixture, &w->filter);
  tb_hmm_free(exact);
  if (status)
    context_close(w);
  else
    *out = w;
  return status;
}

static tb_status context_step(tb_workload *w, double *loss) {
  *loss = NAN;
  for (size_t i = 0; i < PROMPTS; i++) {
    size_t first, second;
    tb_hmm_filter_reset(w->filter, SIZE_MAX);
    for (size_t t = 0; t < w->prompts[i].length; t++)
      tb_hmm_filter_push(w->filter, w->prompts[i].tokens[t]);
    tb_hmm_filter_law(w->filter, w->law);
    tb_hmm_top_two(VOCABULARY, w->law, &first, &second);
    w->predictions[i] = (uint32_t)first;
  }
  return TB_OK;
}

static double context_flop(const tb_workload *w) {
  return NAN;
}

static const void *context_predictions(const tb_workload *w, size_t *bytes) {
  *bytes = sizeof w->predictions;
  return w->predictions;
}

/* Transitions of all concepts, the token of every state and the prompts. */
static tb_status context_save(tb_workload *w, const char *path) {
  enum { STATES = TB_GINC_VALUES * TB_GINC_SLOTS, LENGTH = EXAMPLES * (TOKENS + 1) + TOKENS - 1 };
  double *transition = tb_arena_allocate(w->arena, TB_GINC_CONCEPTS * STATES * STATES, sizeof *transition);
  double *start = tb_arena_allocate(w->arena, TB_GINC_CONCEPTS * STATES, sizeof *start);
  double *token = tb_arena_allocate(w->arena, STATES, sizeof *token);
  double *prompts = tb_arena_allocate(w->arena, PROMPTS * LENGTH, sizeof *prompts);
  if (!transition || !start || !token || !prompts)
    return TB_NO_MEMORY;
  for (size_t c = 0; c < TB_GINC_CONCEPTS; c++)
    for (size_t i = 0; i < STATES; i++) {
      start[c * STATES + i] = w->mixture->components[c].start[i];
      for (size_t j = 0; j < STATES; j++)
        transition[(c * STATES + i) * STATES + j] = w->mixture->components[c].transition[i * STATES + j];
    }
  for (uint32_t y = 0; y < VOCABULARY; y++)
    for (uint32_t e = w->mixture->components[0].first[y]; e < w->mixture->components[0].first[y + 1]; e++)
      token[w->mixture->components[0].emitter[e]] = y;
  for (size_t i = 0; i < PROMPTS; i++)
    for (size_t t = 0; t < LENGTH; t++)
      prompts[i * LENGTH + t] = w->prompts[i].tokens[t];
  const tb_array arrays[] = {
    { .name = "transition",
      .type = TB_ARRAY_FLOAT64,
      .rank = 3,
      .dims = { TB_GINC_CONCEPTS, STATES, STATES },
      .data = transition },
    { .name = "start", .type = TB_ARRAY_FLOAT64, .rank = 2, .dims = { TB_GINC_CONCEPTS, STATES }, .data = start },
    { .name = "token", .type = TB_ARRAY_FLOAT64, .rank = 1, .dims = { STATES }, .data = token },
    { .name = "prompts", .type = TB_ARRAY_FLOAT64, .rank = 2, .dims = { PROMPTS, LENGTH }, .data = prompts },
  };
  return tb_npz_write(w->context, path, 4, arrays);
}

const tb_workload_record tb_workload_icl_bayes = {
  "icl_bayes",  "exact Bayes prediction for 2,500 GINC prompts of 64 examples of 10 tokens (steps are all of them)",
  "float64",    3,
  context_open, context_step,
  context_flop, context_predictions,
  context_save, context_close
};

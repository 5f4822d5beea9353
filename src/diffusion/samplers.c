/* The table of all samplers, and what comes back from one. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "diffusion/control.h"
#include "diffusion/sampler.h"

static const tb_sampler *const samplers[] = {
  &tb_sampler_smc, &tb_sampler_hmc, &tb_sampler_nuts, &tb_sampler_dds, &tb_sampler_pis, &tb_sampler_sfs, NULL
};

const tb_sampler *const *tb_samplers(void) {
  return samplers;
}

const tb_sampler *tb_sampler_find(const char *name) {
  for (const tb_sampler *const *s = samplers; *s; s++)
    if (strcmp((*s)->name, name) == 0)
      return *s;
  return NULL;
}

tb_draws tb_draws_new(void) {
  return (tb_draws){ .log_z = NAN,
                     .log_z_se = NAN,
                     .elbo = NAN,
                     .elbo_se = NAN,
                     .eubo = NAN,
                     .eubo_se = NAN,
                     .ess = NAN,
                     .khat = NAN,
                     .n_grad = NAN };
}

tb_status tb_draws_warn(const tb_sampling *s, tb_draws *draws, const char *word, const char *sentence, ...) {
  char text[400];
  va_list list;
  for (size_t i = 0; i < draws->n_warnings; i++)
    if (strcmp(draws->warnings[i].word, word) == 0)
      return TB_OK;
  if (draws->n_warnings == TB_DRAWS_WARNINGS)
    return TB_OK;
  va_start(list, sentence);
  vsnprintf(text, sizeof text, sentence, list);
  va_end(list);
  const char *copy = tb_arena_text(s->arena, text), *kept = tb_arena_text(s->arena, word);
  if (!copy || !kept)
    return TB_NO_MEMORY;
  draws->warnings[draws->n_warnings++] = (struct tb_draws_warning){ kept, copy };
  return TB_OK;
}

tb_status tb_draws_metric(const tb_sampling *s, tb_draws *draws, const char *name, size_t rows, size_t cols,
                          const double *values) {
  const size_t most = sizeof draws->metrics / sizeof *draws->metrics;
  if (draws->n_metrics == most)
    return tb_fail(s->context, TB_FAILED, NULL, NULL, "more than %zu metrics of a sampler", most);
  double *copy = tb_arena_allocate(s->arena, rows * cols + 1, sizeof *copy);
  const char *kept = tb_arena_text(s->arena, name);
  if (!copy || !kept)
    return TB_NO_MEMORY;
  memcpy(copy, values, rows * cols * sizeof *copy);
  draws->metrics[draws->n_metrics++] = (struct tb_draws_metric){ kept, rows, cols, copy };
  return TB_OK;
}

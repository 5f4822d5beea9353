/* The two languages of `finetune` as batches of next-token prediction over one alphabet. */
#include "study/finetune.h"

#include <math.h>
#include <string.h>

static const char *const option_of[LOSSES] = { "language", "target" };

/* ---- alphabets ---- */

/* Tokens of both alphabets, symbols of the same name being one. */
static tb_status join_alphabets(finetune *f) {
  const char **names = tb_arena_allocate(f->arena, 2 * 1024, sizeof *names);
  if (!names)
    return TB_NO_MEMORY;
  for (int i = 0; i < LOSSES; i++) {
    finetune_text *t = &f->text[i];
    const size_t count = tb_language_symbols(t->language);
    t->symbols = tb_arena_allocate(f->arena, count, sizeof *t->symbols);
    if (!t->symbols)
      return TB_NO_MEMORY;
    for (size_t s = 0; s < count; s++) {
      const char *name = tb_language_symbol(t->language, s);
      size_t k = 0;
      while (k < f->n_symbols && strcmp(names[k], name) != 0)
        k++;
      if (k == f->n_symbols)
        names[f->n_symbols++] = name;
      t->symbols[s] = (uint16_t)k;
    }
  }
  f->vocabulary = f->n_symbols + 3;
  return TB_OK;
}

tb_status finetune_read_texts(finetune *f) {
  for (int i = 0; i < LOSSES; i++) {
    finetune_text *t = &f->text[i];
    const char *name = tb_config_word(f->config, option_of[i]);
    const size_t most = (size_t)tb_config_integer(f->config, "max_length");
    tb_status status = tb_language_open(f->context, name, most, &t->language);
    if (!status)
      status = tb_language_measure(f->context, t->language, &t->facts);
    if (status)
      return status;
  }
  return join_alphabets(f);
}

/* ---- batches ---- */

static void write_string(const finetune *f, finetune_text *t, size_t row, const tb_corpus_string *s) {
  const int32_t end = (int32_t)f->n_symbols, start = end + 1, padding = end + 2;
  for (size_t p = 0; p < t->places; p++) {
    const size_t i = row * t->places + p;
    t->tokens[i] = p == 0 ? start : p <= s->count ? t->symbols[s->symbols[p - 1]] : padding;
    t->targets[i] = p < s->count ? t->symbols[s->symbols[p]] : p == s->count ? end : padding;
    t->weights[i] = p <= s->count ? s->weight / (double)(tb_language_max_length(t->language) + 1) : 0;
    if (f->dtype == TB_FLOAT32)
      ((float *)t->typed_weights)[i] = (float)t->weights[i];
    else
      ((double *)t->typed_weights)[i] = t->weights[i];
  }
}

static tb_status prepare(finetune *f, finetune_text *t) {
  const size_t batch = (size_t)tb_config_integer(f->config, "batch");
  tb_corpus all;
  tb_status status = tb_corpus_enumerate(f->context, f->arena, t->language, batch, &all);
  if (status)
    return status;
  t->whole = all.whole;
  t->rows = all.whole ? all.count : batch;
  t->places = tb_language_max_length(t->language) + 1;
  if (all.whole && all.longest + 1 < t->places)
    t->places = all.longest + 1;
  const size_t count = t->rows * t->places;
  t->tokens = tb_arena_allocate(f->arena, count, sizeof *t->tokens);
  t->targets = tb_arena_allocate(f->arena, count, sizeof *t->targets);
  t->weights = tb_arena_allocate(f->arena, count, sizeof *t->weights);
  t->typed_weights = tb_arena_allocate(f->arena, count, sizeof(double));
  if (!t->tokens || !t->targets || !t->weights || !t->typed_weights)
    return TB_NO_MEMORY;
  for (size_t r = 0; r < t->rows && t->whole; r++)
    write_string(f, t, r, &all.strings[r]);
  return TB_OK;
}

tb_status finetune_fill(finetune *f, int loss, uint64_t step) {
  finetune_text *t = &f->text[loss];
  tb_corpus drawn;
  if (f->scalar || t->whole)
    return TB_OK;
  tb_arena_reset(f->scratch);
  tb_status status = tb_corpus_draw(f->context, f->scratch, t->language, f->seed, step * t->rows, t->rows, &drawn);
  for (size_t r = 0; r < t->rows && !status; r++)
    write_string(f, t, r, &drawn.strings[r]);
  return status;
}

tb_status finetune_prepare_texts(finetune *f) {
  tb_status status = TB_OK;
  for (int i = 0; i < LOSSES && !status; i++) {
    status = prepare(f, &f->text[i]);
    if (!status)
      status = finetune_fill(f, i, 0);
    f->text[i].total = 0;
    for (size_t k = 0; k < f->text[i].rows * f->text[i].places && !status; k++)
      f->text[i].total += f->text[i].weights[k];
  }
  return status;
}

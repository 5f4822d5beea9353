/* What a run of `rules` reports of a model: how well it fits, what it does with prompts, where its mass lies. */
#include "study/rules.h"

#include "io/csv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 64, PUBLISHED_ROWS = 256, SHORT = 8, DRAWN = 512 };

static bool has(const rules *r, rules_quirk quirk) {
  return (r->settings.quirks & quirk) != 0;
}

tb_status rules_readers_new(rules *r, rules_readers *out) {
  *out = (rules_readers){ NULL, NULL };
  if (!r->model) {
    const tb_status status = tb_ngram_reader(r->context, r->language, &r->train, r->settings.order, ROWS, &out->fit);
    out->completions = out->fit;
    return status;
  }
  const size_t rows = has(r, RULES_ROWS) ? PUBLISHED_ROWS : ROWS; /* a whole set of prompts: its rows are numbered */
  tb_sequence_shape shape = r->shape;
  shape.last_place = false;
  tb_status status = tb_network_reader(r->context, r->model, &shape, r->settings.dtype, rows, &out->fit);
  out->completions = out->fit;
  if (!status && r->shape.last_place)
    status = tb_network_reader(r->context, r->model, &r->shape, r->settings.dtype, rows, &out->completions);
  if (status)
    rules_readers_free(out);
  return status;
}

void rules_readers_move(const rules_readers *readers, const double *theta) {
  tb_network_reader_move(readers->fit, theta);
  if (readers->completions != readers->fit)
    tb_network_reader_move(readers->completions, theta);
}

void rules_readers_free(rules_readers *readers) {
  if (readers->completions != readers->fit)
    tb_reader_free(readers->completions);
  tb_reader_free(readers->fit);
  *readers = (rules_readers){ NULL, NULL };
}

/* ---- prompts ---- */

/* Each set is a batch of its own, as published: the row of a prompt counts where codes are taken by row. */
tb_status rules_complete(rules *r, tb_reader *reader, tb_arena *arena, tb_completion **completions) {
  const tb_decoding how = {
    .cap = r->cap, .sample = r->settings.sample, .seed = r->settings.seed, .over_time = has(r, RULES_TIME_SOFTMAX)
  };
  tb_completion *all = *completions = tb_arena_allocate(arena, r->n_prompts + 1, sizeof *all);
  tb_completion *own = tb_arena_allocate(arena, r->n_prompts + 1, sizeof *own);
  tb_prompt *set = tb_arena_allocate(arena, r->n_prompts + 1, sizeof *set);
  tb_status status = all && own && set ? TB_OK : TB_NO_MEMORY;
  for (int id = 1; id >= 0 && !status; id--) {
    size_t count = 0;
    for (size_t i = 0; i < r->n_prompts; i++)
      if (r->prompts[i].id == id)
        set[count++] = r->prompts[i];
    status = tb_decode(r->context, arena, reader, r->language, count, set, &how, own);
    for (size_t i = 0, k = 0; i < r->n_prompts && !status; i++)
      if (r->prompts[i].id == id)
        all[i] = own[k++];
  }
  return status;
}

/* The published tables' values: over finished completions, 0 when there are none. */
static void finished_only(tb_conduct *c) {
  double *const shares[] = { c->r1, c->r2, c->r2_completion };
  for (size_t k = 0; k < 3; k++)
    shares[k][0] = isnan(shares[k][1]) ? 0 : shares[k][1];
}

static tb_status measure_prompts(rules *r, tb_reader *reader, tb_arena *arena, rules_behaviour *b) {
  tb_status status = rules_complete(r, reader, arena, &b->completions);
  tb_conduct *const sets[] = { &b->ood, &b->id };
  for (int id = 0; id < 2 && !status; id++) {
    status = tb_measure_conduct(r->context, r->language, r->n_prompts, r->prompts, b->completions, id == 1, sets[id]);
    if (!status && has(r, RULES_FINISHED_ONLY))
      finished_only(sets[id]);
  }
  return status;
}

/* The largest change of a next-token probability when prompts take other rows of the batch: 0 of anything that reads
 * strings. */
static tb_status measure_row_dependence(rules *r, tb_reader *reader, double *largest) {
  const size_t n = r->n_prompts * reader->vocabulary;
  double *own = tb_allocate(r->context, 2 * n + 1, sizeof *own), *other = own + n;
  tb_status status = own ? TB_OK : TB_NO_MEMORY;
  if (!status)
    status = tb_next_laws(r->context, reader, r->language, r->n_prompts, r->prompts, 0, own);
  if (!status)
    status = tb_next_laws(r->context, reader, r->language, r->n_prompts, r->prompts, 1, other);
  *largest = 0;
  for (size_t i = 0; i < n && !status; i++)
    *largest = fmax(*largest, fabs(own[i] - other[i]));
  tb_release(r->context, own);
  return status;
}

/* ---- mass ---- */

static bool in_language(tb_walk *walk, const tb_completion *c, size_t end, tb_status *status) {
  size_t pushed = 0;
  for (; pushed < c->count && !*status; pushed++)
    *status = tb_walk_push(walk, c->symbols[pushed]);
  const double *law = *status ? NULL : tb_walk_law(walk);
  const bool in = c->finished && law && law[end] > 0;
  while (pushed--)
    tb_walk_pop(walk);
  return in;
}

/* Strings drawn from the model itself that are not of the language. */
static tb_status draw_ungrammatical(rules *r, tb_reader *reader, tb_arena *arena, double *share, double *se) {
  const tb_decoding how = { .cap = tb_language_max_length(r->language) + 1,
                            .sample = true,
                            .seed = r->settings.seed,
                            .over_time = has(r, RULES_TIME_SOFTMAX) };
  tb_prompt *empty = tb_arena_allocate(arena, DRAWN, sizeof *empty);
  tb_completion *drawn = tb_arena_allocate(arena, DRAWN, sizeof *drawn);
  tb_walk *walk = NULL;
  size_t wrong = 0;
  tb_status status = empty && drawn ? tb_walk_new(r->context, r->language, &walk) : TB_NO_MEMORY;
  if (!status)
    status = tb_decode(r->context, arena, reader, r->language, DRAWN, empty, &how, drawn);
  for (size_t i = 0; i < DRAWN && !status; i++)
    wrong += !in_language(walk, &drawn[i], tb_token_end(r->language), &status);
  tb_walk_free(walk);
  *share = (double)wrong / DRAWN;
  *se = sqrt(*share * (1 - *share) / DRAWN);
  return status;
}

/* ---- all of it ---- */

tb_status rules_measure(rules *r, const rules_readers *readers, tb_arena *arena, rules_behaviour *b) {
  tb_reader *reader = readers->completions;
  *b = (rules_behaviour){ 0 };
  tb_status status = tb_measure_fit(r->context, readers->fit, r->language, &r->test, has(r, RULES_PADDING), &b->fit);
  b->loss = r->facts.optimal_loss + (b->fit.kl + b->fit.padding) / r->facts.positions;
  b->excess = b->loss - r->facts.optimal_loss;
  b->bound = tb_language_mass_bound(&r->facts, b->loss);
  if (!status)
    status = measure_prompts(r, reader, arena, b);
  const size_t readable =
      reader->length - 1 < SHORT ? reader->length - 1 : SHORT; /* of a model that knows few places */
  if (!status)
    status = tb_measure_short_strings(r->context, readers->fit, r->language, readable, b->short_strings);
  if (!status)
    status = measure_row_dependence(r, reader, &b->row_dependence);
  if (!status)
    status = draw_ungrammatical(r, reader, arena, &b->drawn_ungrammatical, &b->drawn_ungrammatical_se);
  b->ungrammatical = fmax(0, 1 - b->fit.mass);
  if (isnan(b->fit.mass))
    b->ungrammatical = b->drawn_ungrammatical;
  return status;
}

tb_status rules_write_prompts(rules *r, const rules_behaviour *b, const char *path) {
  const size_t r1 = tb_language_rule_find(r->language, "r1"), r2 = tb_language_rule_find(r->language, "r2");
  tb_text text = tb_text_new(r->context);
  tb_arena *arena = tb_arena_new(r->context);
  tb_status status = arena ? TB_OK : TB_NO_MEMORY;
  tb_text_add(&text, "set,prompt,completion,finished,r1,r2,r2_completion\n");
  for (size_t i = 0; i < r->n_prompts && !status; i++) {
    const tb_prompt *p = &r->prompts[i];
    const tb_completion *c = &b->completions[i];
    size_t count;
    const uint16_t *string = tb_completed(arena, p, c, 0, &count);
    const char *prompt = tb_language_text(arena, r->language, p->count, p->symbols);
    const char *completion = tb_language_text(arena, r->language, c->count, c->symbols);
    if (!string || !prompt || !completion) {
      status = TB_NO_MEMORY;
      break;
    }
    const bool first = c->finished && r1 != SIZE_MAX && tb_rule_holds(r->language, r1, count, string);
    const bool second = c->finished && r2 != SIZE_MAX && tb_rule_holds(r->language, r2, count, string);
    const bool alone = c->finished && r2 != SIZE_MAX && tb_completion_holds(arena, r->language, r2, p, c);
    const char *const fields[] = { p->id ? "id" : "ood", prompt, completion };
    for (size_t k = 0; k < 3; k++) {
      tb_csv_add_field(&text, fields[k]);
      tb_text_add(&text, ",");
    }
    tb_text_format(&text, "%d,%d,%d,%d\n", c->finished, first, second, alone);
    if (i % 64 == 63)
      tb_arena_reset(arena);
  }
  if (!status)
    status = tb_text_finish(&text);
  if (!status)
    status = tb_file_write(r->context, path, text.data, text.length);
  tb_text_free(&text);
  tb_arena_free(arena);
  return status;
}

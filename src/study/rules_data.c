/* What a run of `rules` is made of: the language and its prompts, what is taught beside the likelihood, strings to
 * train and to measure on, batches. */
#include "study/rules.h"

#include <math.h>
#include <string.h>

enum {
  MOST_MEASURED = 2048,    /* a language with more strings is measured on draws */
  DRAWS_MEASURED = 512,    /* how many */
  FIRST_MEASURED = 1 << 30 /* draws are numbered from here: no training string is one of them */
};

static bool has(const rules *r, rules_quirk quirk) {
  return (r->settings.quirks & quirk) != 0;
}

/* ---- what goes together ---- */

static tb_status check_quirks(const rules *r) {
  const rules_settings *s = &r->settings;
  const bool all = s->quirks == (1u << RULES_QUIRKS) - 1;
  const struct {
    rules_quirk quirk;
    bool fits;
    const char *needs;
  } needs[] = {
    { RULES_ROWS, strcmp(s->model, "transformer") == 0 && s->shape.position == TB_POSITION_SINUSOIDAL,
      "model=transformer positions=sinusoidal" },
    { RULES_TIME_SOFTMAX, s->sample && r->model, "decoding=sample and a network" },
    { RULES_LAST_INDEX, strcmp(s->model, "linear") == 0, "model=linear" },
    { RULES_LATE_COMPLETION, s->training != RULES_LIKELIHOOD, "training=adversarial or training=oracle" },
    { RULES_SAME_PROMPTS, s->training != RULES_LIKELIHOOD, "training=adversarial or training=oracle" },
  };
  for (size_t i = 0; i < sizeof needs / sizeof *needs && !all; i++)
    if (has(r, needs[i].quirk) && !needs[i].fits) {
      size_t k = 0;
      while ((unsigned)needs[i].quirk != 1u << k)
        k++;
      return tb_fail(r->context, TB_USAGE, "option published_quirks", needs[i].needs,
                     "the quirk %s changes nothing in this run", rules_quirk_names[k]);
    }
  return TB_OK;
}

/* All strings are one batch, each with its probability. */
static bool trains_on_all(const rules *r) {
  return r->test.whole && (!r->model || r->test.count <= r->settings.batch);
}

static tb_status check_data(rules *r) {
  const rules_settings *s = &r->settings;
  if (!r->model && !r->test.whole && s->strings == 0)
    return tb_fail(r->context, TB_USAGE, "option strings", "give strings=15000", "model=ngram needs strings to count");
  if (r->model && s->method == RULES_NGD && (!trains_on_all(r) || s->training != RULES_LIKELIHOOD))
    return tb_fail(r->context, TB_USAGE, "option method",
                   "take training=likelihood and a language of at most batch= strings",
                   "method=ngd needs the whole language as one batch and nothing beside the likelihood");
  return TB_OK;
}

static tb_status choose_model(rules *r) {
  const rules_settings *s = &r->settings;
  if (strcmp(s->model, "ngram") == 0) {
    if (s->training != RULES_LIKELIHOOD)
      return tb_fail(r->context, TB_USAGE, "option training", "give training=likelihood, or a network",
                     "model=ngram only counts strings; it can't be taught completions");
    return TB_OK;
  }
  r->model = tb_sequence_model_find(s->model);
  if (!r->model)
    return tb_fail(r->context, TB_USAGE, "option model", "available: transformer, lstm, gru, linear, ngram",
                   "model=%s is not available in this version", s->model);
  r->shape = s->shape;
  r->shape.vocabulary = tb_language_symbols(r->language) + TB_EXTRA_TOKENS;
  r->shape.place_by_row = has(r, RULES_ROWS) && strcmp(s->model, "transformer") == 0;
  r->shape.last_place = has(r, RULES_LAST_INDEX) && strcmp(s->model, "linear") == 0;
  const size_t trained = tb_language_max_length(r->language) + 1, read = r->prompt_longest + r->cap;
  const bool bounded = strcmp(s->model, "linear") == 0 || s->shape.position == TB_POSITION_LEARNED;
  r->shape.length = bounded || trained > read ? trained : read;
  if (r->lesson_longest > r->shape.length)
    return tb_fail(r->context, TB_USAGE, "option max_length", "raise max_length=",
                   "what is taught has up to %zu tokens, a model that knows %zu places can't read it",
                   r->lesson_longest, r->shape.length);
  if (r->prompt_longest >= r->shape.length)
    return tb_fail(r->context, TB_USAGE, "option prompt_length", "lower prompt_length=, or raise max_length=",
                   "prompts of %zu symbols are longer than the %zu places that this model knows", r->prompt_longest,
                   r->shape.length);
  tb_status status = r->model->check(r->context, &r->shape);
  if (!status)
    r->parameters = r->model->parameters(&r->shape);
  return status;
}

/* ---- prompts and what is taught of them ---- */

/* The completion that makes r1 hold (oracle), or that and one symbol too many (adversarial). */
static tb_status lesson_of(rules *r, size_t r1, const tb_prompt *prompt, tb_completion *lesson, bool *found) {
  enum { MOST_MISSING = 200 };
  uint16_t *missing;
  size_t count;
  tb_status status = tb_rule_mend(r->context, r->arena, r->language, r1, prompt->count, prompt->symbols, MOST_MISSING,
                                  &count, &missing);
  *found = !status && count != SIZE_MAX;
  if (!*found)
    return status;
  *lesson = (tb_completion){ .count = count, .symbols = missing, .finished = true };
  if (r->settings.training == RULES_ORACLE)
    return TB_OK;
  const size_t v = tb_language_symbols(r->language);
  uint16_t *wrong = tb_arena_allocate(r->arena, count + 1, sizeof *wrong);
  if (!wrong)
    return TB_NO_MEMORY;
  if (count)
    memcpy(wrong, missing, count * sizeof *wrong);
  *lesson = (tb_completion){ .count = count + 1, .symbols = wrong, .finished = true };
  *found = false;
  for (size_t i = 0; i < v && !*found; i++) { /* the last symbol again, else any that breaks the rule */
    const size_t last = count ? missing[count - 1] : v - 1;
    size_t whole;
    wrong[count] = (uint16_t)((last + v - i) % v);
    const uint16_t *string = tb_completed(r->arena, prompt, lesson, 0, &whole);
    if (!string)
      return TB_NO_MEMORY;
    *found = !tb_rule_holds(r->language, r1, whole, string);
  }
  return TB_OK;
}

/* Half of the OOD prompts, drawn by seed, are taught; the others are evaluated. */
static tb_status teach(rules *r) {
  const size_t r1 = tb_language_rule_find(r->language, "r1"), n = r->n_prompts;
  size_t ood = 0, kept = 0, half = 0;
  if (r1 == SIZE_MAX)
    return tb_fail(r->context, TB_USAGE, "option training", "give the language a rule r1, or training=likelihood",
                   "%s has no rule r1 to teach", tb_language_name(r->language));
  for (size_t i = 0; i < n; i++)
    ood += !r->prompts[i].id;
  uint32_t *order = tb_arena_allocate(r->arena, ood + 1, sizeof *order);
  bool *taught = tb_arena_allocate(r->arena, n + 1, sizeof *taught);
  r->taught = tb_arena_allocate(r->arena, ood + 1, sizeof *r->taught);
  r->lessons = tb_arena_allocate(r->arena, ood + 1, sizeof *r->lessons);
  if (!order || !taught || !r->taught || !r->lessons)
    return TB_NO_MEMORY;
  tb_random_permutation((tb_key){ .seed = r->settings.data_seed, .use = tb_use("prompts that are taught") }, ood,
                        order);
  half = has(r, RULES_SAME_PROMPTS) ? ood : ood / 2;
  size_t *numbers = tb_arena_allocate(r->arena, ood + 1, sizeof *numbers), k = 0; /* of the OOD prompts */
  if (!numbers)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < n; i++)
    if (!r->prompts[i].id)
      numbers[k++] = i;
  for (size_t j = 0; j < half; j++)
    taught[numbers[order[j]]] = true;
  for (size_t i = 0; i < n; i++) {
    if (!taught[i])
      continue;
    bool found;
    tb_status status = lesson_of(r, r1, &r->prompts[i], &r->lessons[r->n_taught], &found);
    if (status)
      return status;
    if (found) {
      const size_t tokens = r->prompts[i].count + r->lessons[r->n_taught].count + 1;
      r->lesson_longest = tokens > r->lesson_longest ? tokens : r->lesson_longest;
      r->taught[r->n_taught++] = r->prompts[i];
    }
  }
  for (size_t i = 0; i < n && !has(r, RULES_SAME_PROMPTS); i++)
    if (!taught[i])
      r->prompts[kept++] = r->prompts[i];
  if (!has(r, RULES_SAME_PROMPTS))
    r->n_prompts = kept;
  if (r->n_taught == 0)
    return tb_fail(r->context, TB_USAGE, "option training", "give another prompt_length=, or training=likelihood",
                   "no prompt of %s can be completed to obey r1", tb_language_name(r->language));
  return TB_OK;
}

static tb_status know_language(rules *r) {
  tb_status status = tb_language_measure(r->context, r->language, &r->facts);
  if (!status && isnan(r->facts.entropy))
    status = tb_fail(r->context, TB_USAGE, "option language",
                     "take a smaller max_length=", "the entropy of %s is not known: %s", tb_language_name(r->language),
                     r->facts.reason ? r->facts.reason : "it is infinite");
  return status ? status : tb_corpus_enumerate(r->context, r->arena, r->language, MOST_MEASURED, &r->test);
}

static tb_status choose_prompts(rules *r) {
  const rules_settings *s = &r->settings;
  tb_status status = tb_language_prompts(r->context, r->arena, r->language, s->prompt_length, s->data_seed,
                                         &r->n_prompts, &r->prompts);
  for (size_t i = 0; i < r->n_prompts && !status; i++)
    r->prompt_longest = r->prompts[i].count > r->prompt_longest ? r->prompts[i].count : r->prompt_longest;
  const size_t most = tb_language_max_length(r->language);
  r->cap = s->cap ? s->cap : most + 44;
  if (has(r, RULES_SHORT_CAP))
    r->cap = most > r->prompt_longest ? most - r->prompt_longest : 1;
  if (!status && s->training != RULES_LIKELIHOOD)
    status = teach(r);
  return status;
}

tb_status rules_open(rules *r, tb_context *context, const rules_settings *settings) {
  *r = (rules){ .context = context, .arena = tb_arena_new(context), .settings = *settings, .order_epoch = UINT64_MAX };
  if (!r->arena)
    return TB_NO_MEMORY;
  tb_status status = tb_language_open(context, settings->language, settings->max_length, &r->language);
  if (!status && tb_language_max_length(r->language) == 0)
    status = tb_fail(context, TB_USAGE, "option max_length", "give max_length=, or max_length: in the file",
                     "strings of %s have no bound, batches need one", tb_language_name(r->language));
  if (!status)
    status = know_language(r);
  if (!status)
    status = choose_prompts(r);
  if (!status)
    status = choose_model(r);
  if (!status)
    status = check_quirks(r);
  if (!status)
    status = check_data(r);
  return status;
}

void rules_close(rules *r) {
  tb_language_free(r->language);
  tb_arena_free(r->arena);
  *r = (rules){ 0 };
}

/* ---- strings and batches ---- */

static tb_status batch_new(rules *r, rules_batch *b) {
  const size_t count = b->rows * b->places;
  b->tokens = tb_arena_allocate(r->arena, count + 1, sizeof(int32_t));
  b->targets = tb_arena_allocate(r->arena, count + 1, sizeof(int32_t));
  b->weights = tb_arena_allocate(r->arena, count + 1, sizeof(double));
  return b->tokens && b->targets && b->weights ? TB_OK : TB_NO_MEMORY;
}

void rules_sizes(rules *r) {
  const size_t batch = r->settings.batch;
  r->main.rows = trains_on_all(r) ? r->test.count : batch;
  r->main.places = tb_language_max_length(r->language) + 1;
  r->lesson.rows = r->n_taught < batch ? r->n_taught : batch;
  r->lesson.places = r->lesson_longest;
}

tb_status rules_prepare(rules *r) {
  const rules_settings *s = &r->settings;
  tb_status status = TB_OK;
  if (!r->test.whole)
    status = tb_corpus_draw(r->context, r->arena, r->language, s->data_seed, FIRST_MEASURED, DRAWS_MEASURED, &r->test);
  if (!status)
    status = tb_corpus_laws(r->context, r->arena, r->language, &r->test);
  if (status)
    return status;
  const bool whole = trains_on_all(r);
  if (whole)
    r->train = r->test;
  else if (s->strings)
    status = tb_corpus_draw(r->context, r->arena, r->language, s->data_seed, 0, s->strings, &r->train);
  if (status || !r->model)
    return status;
  r->order = tb_arena_allocate(r->arena, r->train.count + 1, sizeof *r->order);
  if (!r->order)
    return TB_NO_MEMORY;
  rules_sizes(r);
  status = batch_new(r, &r->main);
  return status ? status : batch_new(r, &r->lesson);
}

static void put_weight(const rules *r, rules_batch *b, size_t i, double weight) {
  if (r->settings.dtype == TB_FLOAT64)
    ((double *)b->weights)[i] = weight;
  else
    ((float *)b->weights)[i] = (float)weight;
}

/* start, symbols, end, padding …; targets from place `from` on have that weight, padding only where it is to cost. */
static void fill_row(const rules *r, rules_batch *b, size_t row, size_t count, const uint16_t *const parts[2],
                     const size_t counts[2], size_t from, bool padded, double weight) {
  int32_t *tokens = b->tokens + row * b->places, *targets = b->targets + row * b->places;
  const int32_t end = (int32_t)tb_token_end(r->language), padding = (int32_t)tb_token_padding(r->language);
  for (size_t t = 0; t < b->places; t++) {
    const int32_t symbol = t < counts[0] ? parts[0][t]
                           : t < count   ? parts[1][t - counts[0]]
                           : t == count  ? end
                                         : padding;
    tokens[t] = t == 0 ? (int32_t)tb_token_start(r->language) : targets[t - 1];
    targets[t] = symbol;
    put_weight(r, b, row * b->places + t, t >= from && (t <= count || padded) ? weight : 0);
  }
}

static tb_status fill_main(rules *r, uint64_t step) {
  const double positions = (double)tb_language_max_length(r->language) + 1;
  rules_batch *b = &r->main;
  const size_t n = r->train.count, steps = n / b->rows ? n / b->rows : 1; /* a step of an epoch */
  const bool whole = r->train.whole;
  tb_arena *fresh = n ? NULL : tb_arena_new(r->context);
  tb_corpus drawn = { 0 };
  tb_status status = n || fresh ? TB_OK : TB_NO_MEMORY;
  if (!status && !n)
    status = tb_corpus_draw(r->context, fresh, r->language, r->settings.seed, step * b->rows % FIRST_MEASURED, b->rows,
                            &drawn);
  if (!status && n && !whole && r->order_epoch != step / steps) {
    r->order_epoch = step / steps;
    tb_random_permutation((tb_key){ r->settings.seed, (uint32_t)r->order_epoch, tb_use("order of training strings") },
                          n, r->order);
  }
  for (size_t i = 0; i < b->rows && !status; i++) {
    const tb_corpus_string *s = !n      ? &drawn.strings[i]
                                : whole ? &r->train.strings[i]
                                        : &r->train.strings[r->order[(step % steps * b->rows + i) % n]];
    fill_row(r, b, i, s->count, (const uint16_t *const[]){ s->symbols, NULL }, (size_t[]){ s->count, 0 }, 0,
             has(r, RULES_PADDING), (whole ? s->weight : 1 / (double)b->rows) / positions);
  }
  tb_arena_free(fresh);
  return status;
}

/* A batch of lessons: the mean over their tokens. */
static void fill_lessons(rules *r, uint64_t step) {
  rules_batch *b = &r->lesson;
  const tb_key key = { r->settings.seed, (uint32_t)step, tb_use("taught prompts of a step") };
  const size_t late = has(r, RULES_LATE_COMPLETION), all = b->rows == r->n_taught;
  size_t tokens = 0;
  for (int pass = 0; pass < 2; pass++)
    for (size_t i = 0; i < b->rows; i++) {
      const size_t k = all ? i : tb_random_below(key, i, r->n_taught);
      const tb_prompt *p = &r->taught[k];
      const tb_completion *c = &r->lessons[k];
      if (pass == 0)
        tokens += c->count + 1 - late;
      else
        fill_row(r, b, i, p->count + c->count, (const uint16_t *const[]){ p->symbols, c->symbols },
                 (size_t[]){ p->count, c->count }, p->count + late, false, 1 / (double)(tokens ? tokens : 1));
    }
}

tb_status rules_fill(rules *r, uint64_t step) {
  tb_status status = TB_OK;
  if (!r->filled || !r->train.whole)
    status = fill_main(r, step);
  if (!status && r->n_taught && (!r->filled || r->lesson.rows < r->n_taught))
    fill_lessons(r, step);
  r->filled = !status;
  return status;
}

double rules_flop_per_step(const rules *r) {
  const tb_sequence_shape *s = &r->shape;
  if (!r->model)
    return 0;
  const double v = (double)s->vocabulary, d = (double)s->width, e = (double)s->embedding, l = (double)s->layers;
  double flop = 0;
  const size_t rows[] = { r->main.rows, r->lesson.rows }, places[] = { r->main.places, r->lesson.places };
  for (size_t i = 0; i < 2; i++) {
    const double t = (double)places[i], tokens = (double)rows[i] * t;
    if (strcmp(r->settings.model, "transformer") == 0)
      flop += tokens * (2 * l * (4 * d * d + 2 * d * (double)s->feedforward) + 4 * l * d * t + 2 * d * v);
    else if (strcmp(r->settings.model, "linear") == 0)
      flop += tokens * 2 * t * e * v;
    else {
      const double gates = strcmp(r->settings.model, "lstm") == 0 ? 4 : 3;
      flop += tokens * 2 * (gates * d * (e + d) + (l - 1) * gates * d * 2 * d + d * v);
    }
  }
  return 3 * flop * (r->settings.method == RULES_NGD ? 1 + 4.0 / 3 * (double)r->settings.products : 1);
}

/* What the study `score` learns from and compares with: a target's exact draws, a shape, or the user's files. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "diffusion/family.h"
#include "io/csv.h"
#include "study/score_parts.h"

void score_draw(const score *s, uint32_t stream, size_t n, double *x) {
  const tb_key key = { s->seed, stream, 0 };
  if (s->shape)
    tb_shape_draw(s->shape, key, 0, n, x);
  else
    s->density->target->draw(s->density, key, 0, n, x);
}

/* ---- files ---- */

/* rows[n,d] of a CSV; d = 0: as many columns as it has. */
static tb_status read_rows(score *s, const char *option, size_t least, size_t *d, size_t *n, double **rows) {
  const char *path = tb_config_word(s->config, option);
  tb_table *table;
  tb_status status = tb_csv_read(s->context, path, &table);
  if (status)
    return status;
  if (*d && table->cols != *d)
    status = tb_fail(s->context, TB_BAD_DATA, path, "give a file with a column for every coordinate",
                     "%s= has %zu columns, the data have %zu", option, table->cols, *d);
  else if (table->rows < least)
    status = tb_fail(s->context, TB_BAD_DATA, path, "give more rows", "too few rows in %s=: %zu of at least %zu",
                     option, table->rows, least);
  *d = table->cols;
  *n = table->rows;
  if (!status) {
    *rows = tb_arena_allocate(s->arena, table->rows * table->cols, sizeof **rows);
    if (*rows)
      memcpy(*rows, table->values, table->rows * table->cols * sizeof **rows);
    else
      status = TB_NO_MEMORY;
  }
  tb_table_free(s->context, table);
  return status;
}

/* ---- the exact law ---- */

static tb_status find_law(score *s) {
  const char *name = s->density->target->name;
  tb_family family;
  if (strcmp(name, "funnel") == 0 || strcmp(name, "funnel_easy") == 0)
    return tb_noised_funnel(s->context, s->d, s->density->spread, &s->law);
  tb_status status = tb_family_of(s->density, s->config, s->arena, 1, 0, &family);
  if (status == TB_USAGE) { /* no closed form: learned from draws alone */
    tb_context_clear(s->context);
    return TB_OK;
  }
  if (status)
    return status;
  if (!family.frequency)
    return tb_noised_mixture(s->context, s->d, family.count, family.weight, family.mean, family.sd, &s->law);
  return tb_noised_cosine(s->context, s->d, family.count - 1, family.frequency + s->d, family.weight + 1, &s->law);
}

/* Means and deviations of rows[n,d]; a constant coordinate counts as deviation 1. */
static void moments(size_t n, size_t d, const double *rows, double *mean, double *sd) {
  for (size_t j = 0; j < d; j++) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
      sum += rows[i * d + j];
    mean[j] = sum / (double)n;
    for (size_t i = 0; i < n; i++)
      squares += (rows[i * d + j] - mean[j]) * (rows[i * d + j] - mean[j]);
    sd[j] = squares > 0 ? sqrt(squares / (double)n) : 1;
  }
}

static tb_status allocate(score *s, size_t count, double **out) {
  *out = tb_arena_allocate(s->arena, count, sizeof **out);
  return *out ? TB_OK : TB_NO_MEMORY;
}

/* A target without exact draws is refused before it reads files of its own. */
static tb_status open_target(score *s) {
  const char *name = tb_config_word(s->config, "target");
  const tb_target *target = tb_target_find(name);
  if (target && !target->draw)
    return tb_fail(s->context, TB_USAGE, "option target", "take gaussian, mixture, funnel, gmm10, … or give data=",
                   "target=%s has no exact draws to learn from", name);
  const tb_status status = tb_density_open(s->context, s->config, &s->density);
  s->d = status ? 0 : s->density->dims;
  return status ? status : find_law(s);
}

/* A word that is neither a shape nor a file. */
static tb_status refuse_word(score *s, const char *word) {
  const char *names[16];
  size_t count = 0;
  for (const tb_shape *const *shape = tb_shapes(); *shape && count < 16; shape++)
    names[count++] = (*shape)->name;
  const char *near = tb_suggest(word, names, count);
  char hint[96] = "shapes: " TB_SHAPE_NAMES;
  if (near)
    snprintf(hint, sizeof hint, "did you mean '%s'?", near);
  return tb_fail(s->context, TB_BAD_DATA, "option data", hint, "no such file or shape '%s'", word);
}

/* Files, sizes and laws; nothing is drawn. */
tb_status score_data(score *s) {
  const char *data = tb_config_word(s->config, "data");
  tb_status status = TB_OK;
  s->shape = tb_shape_find(data);
  const bool file = *data && !s->shape;
  s->d = s->shape ? 2 : 0;
  if (!*data)
    status = open_target(s);
  else if (file && !tb_file_exists(data))
    status = refuse_word(s, data);
  else if (file)
    status = read_rows(s, "data", 2, &s->d, &s->n_data, &s->data);
  size_t d = s->d;
  if (!status && tb_config_is_set(s->config, "test"))
    status = read_rows(s, "test", 2, &d, &s->n_test, &s->test);
  if (!status && s->compare)
    status = read_rows(s, "samples", 2, &d, &s->n_samples, &s->samples);
  if (status)
    return status;
  if (!file)
    s->n_data = (size_t)tb_config_integer(s->config, "points");
  if (!s->test)
    s->n_test = file ? s->n_data : s->draws;
  if ((double)(s->n_data + s->n_test) * (double)s->d > 2.5e8)
    return tb_fail(s->context, TB_USAGE, "option points", "lower points=", "%zu points of %zu coordinates are too many",
                   s->n_data, s->d);
  if (s->density && !s->law && !s->learned && !s->compare)
    return tb_fail(s->context, TB_USAGE, "option network", "leave network=trained",
                   "network=exact: the score of target=%s is not known", s->density->target->name);
  if (!(status = allocate(s, s->d, &s->center)) && !(status = allocate(s, s->d, &s->scale)) &&
      !(status = allocate(s, s->d, &s->mean)))
    status = allocate(s, s->d, &s->sd);
  return status;
}

/* ---- draws ---- */

static void standardise(score *s) {
  moments(s->n_data, s->d, s->data, s->center, s->scale);
  for (size_t i = 0; i < s->n_data * s->d; i++)
    s->data[i] = (s->data[i] - s->center[i % s->d]) / s->scale[i % s->d];
}

/* The law that network=exact scores: the target's, or that of the data set, every point alike. */
static tb_status find_exact(score *s) {
  s->exact = s->law;
  if (s->law || s->learned || s->compare)
    return TB_OK;
  double *equal;
  const tb_status status = allocate(s, s->n_data, &equal);
  for (size_t i = 0; !status && i < s->n_data; i++)
    equal[i] = 1;
  return status ? status : tb_noised_mixture(s->context, s->d, s->n_data, equal, s->data, NULL, &s->exact);
}

tb_status score_fill(score *s) {
  const bool file = s->data != NULL;
  tb_status status = TB_OK;
  if (!file && !(status = allocate(s, s->n_data * s->d, &s->data)))
    score_draw(s, SCORE_TRAINING, s->n_data, s->data);
  if (!status && !s->test && !(status = allocate(s, s->n_test * s->d, &s->test))) {
    if (file)
      memcpy(s->test, s->data, s->n_data * s->d * sizeof *s->test);
    else
      score_draw(s, SCORE_TEST, s->n_test, s->test);
  }
  if (status)
    return status;
  for (size_t j = 0; j < s->d; j++)
    s->scale[j] = 1;
  if (!s->density)
    standardise(s);
  s->gaussian = s->law && tb_noised_gaussian(s->law, s->mean, s->sd);
  if (!s->gaussian)
    moments(s->n_data, s->d, s->data, s->mean, s->sd);
  return find_exact(s);
}

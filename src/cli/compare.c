/* tiebreak compare RUN RUN: options that differ, and metrics side by side (means over the runs of a batch). */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

typedef struct side {
  const char *name;
  size_t n;
  tb_record **records;
} side;

/* The text of an option in all runs of a side; "(varies)" where they differ, NULL where there is none. */
static const char *option_text(const side *s, const char *name) {
  const char *text = NULL;
  for (size_t i = 0; i < s->n; i++) {
    const tb_config *config = tb_record_outcome(s->records[i])->config;
    for (size_t k = 0; k < tb_config_count(config); k++)
      if (strcmp(tb_config_option(config, k)->name, name) == 0) {
        if (text && strcmp(text, tb_config_text(config, k)) != 0)
          return "(varies)";
        text = tb_config_text(config, k);
      }
  }
  return text;
}

/* Mean of a metric's elements over the runs of a side that have it: count elements, or none. */
static size_t mean_of(cli *c, const side *s, const char *name, double **mean) {
  size_t count = 0, have = 0;
  *mean = NULL;
  for (size_t i = 0; i < s->n; i++) {
    tb_metric_value v = tb_metrics_find(tb_record_outcome(s->records[i])->metrics, name);
    if (!v.name || v.kind == TB_METRIC_WORD || v.kind == TB_METRIC_WORDS)
      continue;
    if (!*mean) {
      count = v.rows * v.cols;
      *mean = tb_arena_allocate(c->arena, count + 1, sizeof **mean);
      if (!*mean)
        return 0;
    }
    if (v.rows * v.cols != count)
      continue;
    have++;
    for (size_t k = 0; k < count; k++)
      (*mean)[k] += v.values[k];
  }
  for (size_t k = 0; k < count; k++)
    (*mean)[k] /= (double)have;
  return have ? count : 0;
}

static double largest_difference(size_t count, const double *a, const double *b) {
  double largest = 0;
  for (size_t k = 0; k < count; k++) {
    double difference = a[k] == b[k] ? 0 : fabs(a[k] - b[k]);
    largest = isnan(difference) || difference > largest ? difference : largest;
  }
  return largest;
}

static tb_status print_options(cli *c, const side sides[2]) {
  const tb_config *config = tb_record_outcome(sides[0].records[0])->config;
  table t = table_new(c, 3);
  table_row(&t);
  table_cell(&t, 0, COLOUR_BOLD, "option");
  for (size_t s = 0; s < 2; s++)
    table_cell(&t, s + 1, COLOUR_BOLD, "%s", sides[s].name);
  for (size_t i = 0; i < tb_config_count(config); i++) {
    const char *name = tb_config_option(config, i)->name;
    const char *texts[2] = { option_text(&sides[0], name), option_text(&sides[1], name) };
    if (texts[0] && texts[1] && strcmp(texts[0], texts[1]) == 0)
      continue;
    table_row(&t);
    table_cell(&t, 0, COLOUR_NONE, "%s", name);
    for (size_t s = 0; s < 2; s++)
      table_cell(&t, s + 1, COLOUR_NONE, "%s", texts[s] ? texts[s] : "(none)");
  }
  return table_print(&t, stdout, "");
}

static tb_status print_metrics(cli *c, const side sides[2], json_t *object) {
  const tb_metrics *metrics = tb_record_outcome(sides[0].records[0])->metrics;
  table t = table_new(c, 4);
  const char *const heads[] = { "metric", sides[0].name, sides[1].name, "largest difference" };
  table_row(&t);
  for (size_t k = 0; k < 4; k++)
    table_cell(&t, k, COLOUR_BOLD, "%s", heads[k]);
  for (size_t i = 0; i < tb_metrics_count(metrics); i++) {
    const char *name = tb_metrics_at(metrics, i).name;
    char number[40];
    double *means[2];
    size_t counts[2];
    for (size_t s = 0; s < 2; s++)
      counts[s] = mean_of(c, &sides[s], name, &means[s]);
    if (!counts[0] || counts[0] != counts[1])
      continue;
    double difference = largest_difference(counts[0], means[0], means[1]);
    json_object_set_new(object, name, isfinite(difference) ? json_real(difference) : json_null());
    table_row(&t);
    table_cell(&t, 0, COLOUR_NONE, "%s", name);
    for (size_t s = 0; s < 2; s++) {
      tb_metric_value shown = {
        .kind = counts[s] > 1 ? TB_METRIC_VECTOR : TB_METRIC_REAL, .rows = 1, .cols = counts[s], .values = means[s]
      };
      table_cell(&t, s + 1, COLOUR_NONE, "%s", readable_metric(c, &shown, 36));
    }
    table_cell(&t, 3, COLOUR_NONE, "%s", readable_number(difference, number));
  }
  return c->json ? TB_OK : table_print(&t, stdout, "");
}

static tb_status print_both(cli *c, const side sides[2]) {
  json_t *metrics = json_object();
  tb_status status = c->json ? TB_OK : print_options(c, sides);
  if (!status)
    status = print_metrics(c, sides, metrics);
  json_t *object = json_pack("{s:[s,s], s:o}", "runs", sides[0].name, sides[1].name, "differences", metrics);
  char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
  if (!status && c->json && text)
    puts(text);
  json_decref(object);
  free(text);
  return status;
}

static tb_status compare(cli *c) {
  side sides[2] = { { .name = c->words[0] }, { .name = c->words[1] } };
  tb_status status = TB_OK;
  for (size_t s = 0; s < 2 && !status; s++) {
    const char **folders;
    size_t count;
    status = tb_runs_resolve(c->context, c->arena, cli_runs_folder(c), c->words[s], &count, &folders);
    if (status)
      tb_fail_excerpt(c->context, c->typed, c->columns[s]);
    else
      status = open_records(c, count, folders, &sides[s].n, &sides[s].records);
    if (!status && sides[s].n == 0)
      status = arguments_fail(c, s, NULL, "'%s' holds no runs", c->words[s]);
  }
  if (!status)
    status = print_both(c, sides);
  for (size_t s = 0; s < 2; s++)
    free_records(sides[s].n, sides[s].records);
  return status;
}

const verb verb_compare = {
  .name = "compare",
  .usage = "RUN RUN",
  .summary = "options that differ and metrics side by side",
  .details = "Of batches the means over their runs are compared.",
  .flags = FLAG_RUNS,
  .least = 2,
  .most = 2,
  .run = compare,
};

/* --dry-run: resolved options with their origins, the number of runs, estimated work, time and memory. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const double rehearsing = 6; /* seconds at most */

/* The runs differ in this option. */
static bool is_swept(const tb_part *part, const char *key) {
  const char *last = NULL;
  for (size_t i = 0; i < part->count; i++)
    if (strcmp(part->assignments[i].key, key) == 0)
      last = part->assignments[i].text;
  return last && strpbrk(last, ",:");
}

static const char *last_text(const tb_part *part, const char *key) {
  const char *last = "";
  for (size_t i = 0; i < part->count; i++)
    if (strcmp(part->assignments[i].key, key) == 0)
      last = part->assignments[i].text;
  return last;
}

/* Index of the first run of a part, and their number. */
static size_t first_run(tb_batch *batch, size_t part, size_t *runs) {
  size_t first = 0, p = 0;
  *runs = 0;
  for (p = 0; p <= part; p++) {
    first += *runs;
    *runs = tb_batch_part_runs(batch, p);
  }
  return first;
}

/* ---- for people ---- */

static tb_status print_part(cli *c, tb_batch *batch, size_t p) {
  const tb_part *part = tb_batch_part(batch, p);
  size_t runs, first = first_run(batch, p, &runs);
  const tb_config *config = tb_batch_config(batch, first);
  if (!config)
    return TB_NO_MEMORY;
  printf("%s%s%s%s: study %s, %zu run%s\n", colour_on(stdout, COLOUR_BOLD), part->name, *part->title ? ", " : "",
         part->title, part->study->name, runs, runs == 1 ? "" : "s");
  fputs(colour_off(stdout), stdout);
  table t = table_new(c, 3);
  for (size_t i = 0; i < tb_config_count(config); i++) {
    const char *name = tb_config_option(config, i)->name, *origin = tb_config_origin(config, i);
    bool swept = strcmp(origin, "default") != 0 && runs > 1 && is_swept(part, name) &&
                 tb_config_option(config, i)->type != TB_REALS && tb_config_option(config, i)->type != TB_MATRIX;
    table_row(&t);
    table_cell(&t, 0, COLOUR_NONE, "%s", name);
    table_cell(&t, 1, COLOUR_NONE, "%s", swept ? last_text(part, name) : tb_config_text(config, i));
    table_cell(&t, 2, strcmp(origin, "default") == 0 ? COLOUR_DIM : COLOUR_NONE, "%s", origin);
  }
  return table_print(&t, stdout, "  ");
}

static tb_status print_batch(cli *c, tb_batch *batch) {
  char time[40], memory[40];
  tb_prediction predicted;
  tb_status status = tb_batch_predict(batch, (int)c->threads, rehearsing, &predicted);
  for (size_t p = 0; p < tb_batch_parts(batch) && !status; p++)
    status = print_part(c, batch, p);
  if (status)
    return status;
  printf("runs %zu, work ", tb_batch_runs(batch));
  printf(isnan(predicted.all.flop) ? "unknown" : "%.3g FLOP", predicted.all.flop);
  printf(", time %s, memory %s\n", readable_seconds(predicted.seconds, time), readable_bytes(predicted.memory, memory));
  return TB_OK;
}

/* ---- for programs ---- */

static json_t *known(double value) {
  return isfinite(value) ? json_real(value) : json_null();
}

static json_t *claims_of(cli *c, tb_batch *batch) {
  const tb_claim **list;
  size_t count;
  if (tb_batch_claims(batch, c->arena, &count, &list))
    return NULL;
  json_t *claims = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(claims, json_pack("{s:s, s:s, s:n, s:n, s:f, s:s}", "id", list[i]->id, "statement",
                                            list[i]->statement, "value", "reference", "tolerance", list[i]->tolerance,
                                            "verdict", "undecided"));
  return claims;
}

static json_t *parts_of(tb_batch *batch) {
  json_t *parts = json_array();
  for (size_t p = 0; p < tb_batch_parts(batch); p++) {
    const tb_part *part = tb_batch_part(batch, p);
    size_t runs, first = first_run(batch, p, &runs);
    const tb_config *config = tb_batch_config(batch, first);
    json_t *options = json_object();
    for (size_t i = 0; config && i < tb_config_count(config); i++)
      json_object_set_new(
          options, tb_config_option(config, i)->name,
          json_pack("{s:s, s:s}", "value", tb_config_text(config, i), "origin", tb_config_origin(config, i)));
    json_array_append_new(parts, json_pack("{s:s, s:s, s:I, s:o}", "name", part->name, "study", part->study->name,
                                           "runs", (json_int_t)runs, "options", options));
  }
  return parts;
}

static tb_status print_json(cli *c, tb_batch *batch) {
  tb_prediction predicted;
  tb_status status = tb_batch_predict(batch, (int)c->threads, rehearsing, &predicted);
  if (status)
    return status;
  const tb_estimate total = predicted.all;
  json_t *object =
      json_pack("{s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "study", tb_batch_name(batch), "runs",
                (json_int_t)tb_batch_runs(batch), "parameters",
                total.parameters > 0 ? json_integer((json_int_t)total.parameters) : json_null(), "flop_per_step",
                known(total.flop / total.steps), "flop", known(total.flop), "seconds", known(predicted.seconds),
                "memory", known(predicted.memory), "claims", claims_of(c, batch), "parts", parts_of(batch));
  char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
  json_decref(object);
  if (!text)
    return tb_fail(c->context, TB_NO_MEMORY, "", NULL, "out of memory");
  puts(text);
  free(text);
  return TB_OK;
}

tb_status dry_run(cli *c, size_t n, tb_batch **batches) {
  tb_status status = TB_OK;
  for (size_t i = 0; i < n && !status; i++)
    status = c->json ? print_json(c, batches[i]) : print_batch(c, batches[i]);
  return status;
}

/* tiebreak runs: what is recorded, newest first; batches as one line each. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static tb_status print_json(cli *c, const tb_run_row *row) {
  json_t *object =
      json_pack("{s:s, s:s, s:s, s:s, s:s, s:f, s:s}", "run", row->name, "study", row->study, "part", row->part,
                "state", row->state, "started", row->started, "seconds", row->seconds, "options", row->summary);
  char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
  json_decref(object);
  if (!text)
    return tb_fail(c->context, TB_NO_MEMORY, "", NULL, "out of memory");
  puts(text);
  free(text);
  return TB_OK;
}

/* Length of a name's batch, 0 for a run of its own. */
static size_t batch_length(const char *name) {
  const char *slash = strchr(name, '/');
  return slash ? (size_t)(slash - name) : 0;
}

static bool same_batch(const tb_run_row *a, const tb_run_row *b) {
  size_t n = batch_length(a->name);
  return n && n == batch_length(b->name) && strncmp(a->name, b->name, n) == 0;
}

static colour state_colour(const char *state) {
  return strcmp(state, "finished") == 0 ? COLOUR_NONE : strcmp(state, "unfinished") == 0 ? COLOUR_YELLOW : COLOUR_RED;
}

static void print_single(table *t, const tb_run_row *row) {
  char time[40];
  table_row(t);
  table_cell(t, 0, COLOUR_NONE, "%s", row->name);
  table_cell(t, 1, COLOUR_NONE, "%s", row->study);
  table_cell(t, 2, state_colour(row->state), "%s", row->state);
  table_cell(t, 3, COLOUR_NONE, "%s", row->started);
  table_cell(t, 4, COLOUR_NONE, "%s", readable_seconds(row->seconds, time));
  table_cell(t, 5, COLOUR_DIM, "%s", row->summary);
}

/* A batch in one line: its members are rows[i] and those marked by the same name. */
static void print_batch(table *t, const tb_run_row *rows, size_t count, size_t i) {
  char time[40];
  size_t runs = 0, finished = 0;
  double seconds = 0;
  for (size_t k = i; k < count; k++)
    if (same_batch(&rows[i], &rows[k])) {
      runs++;
      finished += strcmp(rows[k].state, "finished") == 0;
      seconds += rows[k].seconds;
    }
  table_row(t);
  table_cell(t, 0, COLOUR_NONE, "%.*s", (int)batch_length(rows[i].name), rows[i].name);
  table_cell(t, 1, COLOUR_NONE, "%s", rows[i].study);
  table_cell(t, 2, finished == runs ? COLOUR_NONE : COLOUR_YELLOW, "%zu of %zu finished", finished, runs);
  table_cell(t, 3, COLOUR_NONE, "%s", rows[i].started);
  table_cell(t, 4, COLOUR_NONE, "%s", readable_seconds(seconds, time));
}

static tb_status runs(cli *c) {
  size_t count;
  tb_run_row *rows;
  const char *root = cli_runs_folder(c);
  tb_status status = tb_runs_list(c->context, c->arena, root, &count, &rows);
  if (status)
    return status;
  if (count == 0)
    message_note(c, "no runs in '%s' yet", root);
  table t = table_new(c, 6);
  for (size_t i = 0; i < count && !status; i++) {
    bool seen = false;
    for (size_t k = i; k-- > 0 && !seen && batch_length(rows[i].name) && !c->json;)
      seen = same_batch(&rows[k], &rows[i]);
    if (c->json)
      status = print_json(c, &rows[i]);
    else if (!batch_length(rows[i].name))
      print_single(&t, &rows[i]);
    else if (!seen)
      print_batch(&t, rows, count, i);
  }
  return status ? status : table_print(&t, stdout, "");
}

const verb verb_runs = {
  .name = "runs",
  .usage = "",
  .summary = "what is recorded, newest first",
  .details = "A batch takes one line; `tiebreak show BATCH` lists its runs.",
  .flags = FLAG_RUNS | FLAG_OUT,
  .run = runs,
};

/* A run's record: the contract's JSON line, written from a trace and read back.
 *
 * Infinities and NaN are the strings "inf", "-inf", "nan"; reals carry 17 digits and always a point or an exponent, so
 * that a reader can tell 1.0 from 1.  What is not set is null. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tiebreak/tiebreak.h>

#include "io/json.h"
#include "run/record.h"

/* ---- writing ---- */

static json_t *option_json(const tb_config *config, const tb_option *option) {
  const double *values;
  size_t rows, cols;
  if (!tb_config_is_set(config, option->name))
    return json_null();
  switch (option->type) {
  case TB_INTEGER:
    return json_integer(tb_config_integer(config, option->name));
  case TB_REAL:
    return tb_json_real(tb_config_real(config, option->name));
  case TB_BOOLEAN:
    return json_boolean(tb_config_boolean(config, option->name));
  case TB_REALS:
    cols = tb_config_reals(config, option->name, &values);
    return tb_json_reals(cols, values);
  case TB_MATRIX:
    tb_config_matrix(config, option->name, &rows, &cols, &values);
    return tb_json_matrix(rows, cols, values);
  case TB_CHOICE:
  case TB_WORD:
  case TB_FILE:
    break;
  }
  return tb_json_text(tb_config_word(config, option->name));
}

static json_t *config_json(const tb_config *config) {
  json_t *object = json_object();
  for (size_t i = 0; i < tb_config_count(config); i++)
    json_object_set_new(object, tb_config_option(config, i)->name, option_json(config, tb_config_option(config, i)));
  return object;
}

static const char *word_of(tb_verdict_word word) {
  return word == TB_HOLDS ? "holds" : word == TB_FAILS ? "fails" : "undecided";
}

static tb_status claims_json(tb_context *context, const tb_study *study, const tb_outcome *outcome, json_t **out) {
  *out = json_array();
  for (size_t i = 0; i < study->n_claims; i++) {
    const tb_claim *claim = study->claims[i];
    tb_verdict verdict;
    bool applies;
    tb_status status = tb_claim_judge(context, claim, 1, outcome, &applies, &verdict);
    if (status)
      return status;
    if (!applies)
      continue;
    bool unmeasured = verdict.word == TB_UNDECIDED && isnan(verdict.value);
    json_array_append_new(*out,
                          json_pack("{s:s, s:s, s:o, s:o, s:o, s:s}", "id", claim->id, "statement", claim->statement,
                                    "value", unmeasured ? json_null() : tb_json_real(verdict.value), "reference",
                                    tb_json_real(verdict.reference), "tolerance", tb_json_real(claim->tolerance),
                                    "verdict", word_of(verdict.word)));
  }
  return TB_OK;
}

static json_t *files_json(const char *folder, const tb_trace *trace) {
  char path[PATH_MAX];
  json_t *object = folder ? json_pack("{s:s}", "folder", folder) : json_object();
  for (size_t i = 0; i < trace->n_files; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, trace->file_names[i]);
    json_object_set_new(object, trace->file_keys[i], tb_json_text(path));
  }
  return object;
}

/* All snapshots as an array; NULL with the failure recorded. */
static json_t *snapshots_json(tb_context *context, const tb_trace *trace) {
  json_t *array = json_array();
  for (size_t i = 0; array && i < trace->n_snapshots; i++)
    if (json_array_append_new(array, tb_metrics_to_json(context, trace->snapshots[i]))) {
      json_decref(array);
      return NULL;
    }
  return array;
}

tb_status tb_record_line(tb_context *context, const tb_study *study, const tb_manifest *m, const char *folder,
                         const tb_trace *trace, tb_text *out) {
  tb_outcome outcome = { .run = m->name,
                         .config = m->config,
                         .metrics = trace->metrics,
                         .n_snapshots = trace->n_snapshots,
                         .snapshots = trace->snapshots };
  json_t *claims = NULL;
  tb_status status = claims_json(context, study, &outcome, &claims);
  json_t *line =
      json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:f, s:i}", "tiebreak", TB_VERSION, "study", study->name,
                "run", m->name, "config", config_json(m->config), "metrics",
                tb_metrics_to_json(context, trace->metrics), "snapshots", snapshots_json(context, trace), "claims",
                claims, "files", files_json(folder, trace), "seconds", m->seconds, "threads", m->threads);
  if (!status && !line)
    status = tb_fail(context, TB_NO_MEMORY, "", NULL, "out of memory: the record of '%s'", m->name);
  char *text = status ? NULL : tb_json_line(context, line);
  if (!status && !text)
    status = TB_NO_MEMORY;
  if (!status) {
    tb_text_add(out, text);
    tb_text_add(out, "\n");
    status = tb_text_finish(out);
  }
  tb_release(context, text);
  json_decref(line);
  return status;
}

/* ---- reading ---- */

static tb_status read_line(tb_record *record, const json_t *root) {
  const json_t *snapshots = json_object_get(root, "snapshots");
  tb_metrics *one;
  tb_status status = tb_metrics_from_json(record->context, json_object_get(root, "metrics"), &one);
  if (status)
    return status;
  tb_metrics_free(record->trace.metrics);
  record->trace.metrics = one;
  for (size_t i = 0; i < json_array_size(snapshots) && !status; i++) {
    status = tb_metrics_from_json(record->context, json_array_get(snapshots, i), &one);
    if (status)
      break;
    status = tb_trace_snapshot(&record->trace, one);
    tb_metrics_free(one);
  }
  return status;
}

static tb_status damaged(tb_record *record, const char *path) {
  tb_context *context = record->context;
  const char *place = tb_context_place(context);
  return tb_fail(context, TB_BAD_DATA, strchr(place, ':') ? place : path,
                 "this run folder is damaged: run the study again", "damaged record.json: %s",
                 tb_context_message(context));
}

static tb_status read_finished(tb_record *record) {
  char *text;
  size_t size;
  json_t *root = NULL;
  const char *path = tb_arena_format(record->arena, "%s/record.json", record->folder);
  if (!path)
    return TB_NO_MEMORY;
  tb_status status = tb_file_read(record->context, path, &text, &size);
  if (status)
    return status;
  status = tb_json_parse(record->context, path, text, size, &root);
  if (!status)
    status = read_line(record, root);
  if (status == TB_BAD_DATA)
    status = damaged(record, path);
  if (!status && !(record->json = tb_arena_text(record->arena, text)))
    status = TB_NO_MEMORY;
  json_decref(root);
  tb_release(record->context, text);
  return status;
}

/* What a run that has not finished left behind: its checkpoint, if it can still be read. */
static tb_status read_unfinished(tb_record *record) {
  const void *state;
  size_t size;
  const char *path = tb_arena_format(record->arena, "%s/checkpoint", record->folder);
  tb_status status = path ? tb_checkpoint_read(record->context, path, &record->trace, &state, &size) : TB_NO_MEMORY;
  if (status)
    return status;
  tb_text line = tb_text_new(record->context);
  record->manifest.config = record->config;
  status = tb_record_line(record->context, record->study, &record->manifest, record->folder, &record->trace, &line);
  if (!status) {
    record->json = tb_arena_text(record->arena, line.data);
    status = record->json ? TB_OK : TB_NO_MEMORY;
  }
  tb_text_free(&line);
  return status;
}

tb_status tb_record_open(tb_context *context, const char *folder, tb_record **out) {
  *out = NULL;
  tb_record *record = tb_allocate(context, 1, sizeof *record);
  if (!record)
    return TB_NO_MEMORY;
  record->context = context;
  record->arena = tb_arena_new(context);
  tb_status status = record->arena ? tb_trace_new(context, &record->trace) : TB_NO_MEMORY;
  if (!status && !(record->folder = tb_arena_text(record->arena, folder)))
    status = TB_NO_MEMORY;
  if (!status)
    status = tb_manifest_read(context, record->arena, folder, &record->manifest);
  if (!status && !(record->study = tb_study_find(record->manifest.study)))
    status = tb_fail(context, TB_USAGE, folder, "it was made by another version of tiebreak", "unknown study '%s'",
                     record->manifest.study);
  if (!status)
    status = tb_manifest_config(context, &record->manifest, record->study, &record->config);
  if (!status)
    status = strcmp(record->manifest.state, "finished") == 0 ? read_finished(record) : read_unfinished(record);
  if (status) {
    tb_record_free(record);
    return status;
  }
  record->outcome = (tb_outcome){ .run = record->manifest.name,
                                  .config = record->config,
                                  .metrics = record->trace.metrics,
                                  .n_snapshots = record->trace.n_snapshots,
                                  .snapshots = record->trace.snapshots };
  *out = record;
  return TB_OK;
}

void tb_record_free(tb_record *record) {
  if (!record)
    return;
  tb_trace_free(&record->trace);
  tb_config_free(record->config);
  tb_arena_free(record->arena);
  tb_release(record->context, record);
}

const tb_outcome *tb_record_outcome(const tb_record *record) {
  return &record->outcome;
}

const tb_study *tb_record_study(const tb_record *record) {
  return record->study;
}

const char *tb_record_folder(const tb_record *record) {
  return record->folder;
}

const char *tb_record_part(const tb_record *record) {
  return record->manifest.part;
}

const char *tb_record_title(const tb_record *record) {
  return record->manifest.title;
}

const char *tb_record_json(const tb_record *record) {
  return record->json;
}

const char *tb_record_state(const tb_record *record) {
  return record->manifest.state;
}

double tb_record_seconds(const tb_record *record) {
  return record->manifest.seconds;
}

/* manifest.json, batch.json and resolved.yaml: what ran, in words that a person and a later program can read. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tiebreak/machine.h>
#include <tiebreak/tiebreak.h>

#include "io/json.h"
#include "run/build.h"
#include "run/manifest.h"

/* ---- paths ---- */

static const char *working_folder(char buffer[PATH_MAX]) {
  return getcwd(buffer, PATH_MAX) ? buffer : "";
}

/* ---- writing ---- */

static json_t *options_json(const tb_config *config) {
  json_t *all = json_array();
  for (size_t i = 0; i < tb_config_count(config); i++)
    json_array_append_new(all, json_pack("{s:s, s:s, s:s}", "name", tb_config_option(config, i)->name, "text",
                                         tb_config_text(config, i), "origin", tb_config_origin(config, i)));
  return all;
}

static json_t *error_json(const tb_manifest *m) {
  return m->status && m->message
             ? json_pack("{s:s, s:s, s:s, s:s}", "status", tb_status_name(m->status), "message", m->message, "place",
                         m->place ? m->place : "", "hint", m->hint ? m->hint : "")
             : json_null();
}

/* Takes the object over; its text goes to out. */
static tb_status dump(tb_context *context, json_t *object, tb_text *out) {
  char *text = object ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
  json_decref(object);
  if (!text)
    return tb_fail(context, TB_NO_MEMORY, "", NULL, "out of memory");
  tb_text_add(out, text);
  tb_text_add(out, "\n");
  free(text);
  return tb_text_finish(out);
}

tb_status tb_manifest_text(tb_context *context, const tb_manifest *m, tb_text *out) {
  char folder[PATH_MAX];
  const tb_option *seed = tb_config_find(m->config, "seed");
  bool running = strcmp(m->state, "unfinished") == 0;
  json_t *object = json_object();
  const struct {
    const char *key;
    json_t *value;
  } fields[] = {
    { "tiebreak", json_string(TB_VERSION) },
    { "run", json_string(m->name) },
    { "study", json_string(m->study) },
    { "part", json_string(m->part) },
    { "title", json_string(m->title) },
    { "paper", json_string(m->paper ? m->paper : "") },
    { "laboratory", json_string(m->laboratory ? m->laboratory : "") },
    { "state", json_string(m->state) },
    { "exit", running && !m->status ? json_null() : json_integer(tb_status_exit_code(m->status)) },
    { "error", error_json(m) },
    { "seed", seed ? json_integer(tb_config_integer(m->config, "seed")) : json_null() },
    { "started", json_string(m->started) },
    { "finished", json_string(m->finished) },
    { "seconds", json_real(m->seconds) },
    { "threads", json_integer(m->threads) },
    { "commit", json_string(tb_build_commit()) },
    { "compiler", json_string(tb_build_compiler()) },
    { "cpu", json_string(tb_machine_cpu()) },
    { "kernels", json_string(tb_machine_kernels()) },
    { "working_folder", json_string(working_folder(folder)) },
    { "options", options_json(m->config) },
  };
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    json_object_set_new(object, fields[i].key, fields[i].value);
  return dump(context, object, out);
}

tb_status tb_manifest_write(tb_context *context, const char *folder, const tb_manifest *m) {
  char path[PATH_MAX];
  tb_text text = tb_text_new(context);
  tb_status status = tb_manifest_text(context, m, &text);
  snprintf(path, sizeof path, "%s/manifest.json", folder);
  if (!status)
    status = tb_file_write(context, path, text.data, text.length);
  tb_text_free(&text);
  return status;
}

/* ---- resolved.yaml ---- */

static void add_scalar(tb_text *out, const char *text) {
  size_t plain = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-");
  if (*text && !text[plain] && strcmp(text, "-") != 0 && strncmp(text, "---", 3) != 0) {
    tb_text_add(out, text);
    return;
  }
  tb_text_add(out, "\"");
  for (; *text; text++) {
    if (*text == '"' || *text == '\\')
      tb_text_format(out, "\\%c", *text);
    else if ((unsigned char)*text < 0x20)
      tb_text_format(out, "\\x%02x", (unsigned char)*text);
    else
      tb_text_add_bytes(out, text, 1);
  }
  tb_text_add(out, "\"");
}

static void add_value(tb_text *out, const tb_option *option, const char *text) {
  char path[PATH_MAX];
  if (tb_option_names_file(option, text, strlen(text)) && realpath(text, path))
    text = path;
  if (option->type == TB_REALS && *text)
    tb_text_format(out, "[%s]", text); /* a list reads better, and means the same */
  else
    add_scalar(out, text);
}

tb_status tb_resolved_text(tb_context *context, const tb_manifest *m, tb_text *out) {
  tb_text_format(out, "# every option of this run, with where its value comes from\nstudy: %s\n", m->study);
  tb_text_add(out, "name: ");
  add_scalar(out, m->part);
  if (*m->title) {
    tb_text_add(out, "\ntitle: ");
    add_scalar(out, m->title);
  }
  tb_text_add(out, "\n");
  for (size_t i = 0; i < tb_config_count(m->config); i++) {
    const tb_option *option = tb_config_option(m->config, i);
    const char *text = tb_config_text(m->config, i);
    if (!*text) {
      tb_text_format(out, "# %s is not set\n", option->name);
      continue;
    }
    tb_text line = tb_text_new(context);
    tb_text_format(&line, "%s: ", option->name);
    add_value(&line, option, text);
    tb_text_format(out, "%-32s # %s\n", line.data ? line.data : "", tb_config_origin(m->config, i));
    tb_text_free(&line);
  }
  return tb_text_finish(out);
}

/* ---- reading ---- */

/* Loads folder/name; the caller drops the reference. */
static tb_status load(tb_context *context, const char *folder, const char *name, json_t **root) {
  char path[PATH_MAX], *text = NULL;
  size_t size;
  *root = NULL;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  tb_status status = tb_file_read(context, path, &text, &size);
  if (status)
    return status;
  status = tb_json_parse(context, path, text, size, root);
  if (!status && !json_is_object(*root)) {
    json_decref(*root);
    status = tb_fail(context, TB_BAD_DATA, path, NULL, "not an object");
  }
  if (status == TB_BAD_DATA)
    tb_fail(context, TB_BAD_DATA, tb_context_place(context), "this run folder is damaged: run the study again",
            "damaged %s: %s", name, tb_context_message(context));
  if (status)
    *root = NULL;
  tb_release(context, text);
  return status;
}

static const char *text_of(tb_arena *arena, const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? tb_arena_text(arena, text) : "";
}

static tb_status damaged(tb_context *context, const char *folder, const char *name, const char *key) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return tb_fail(context, TB_BAD_DATA, path, "this run folder is damaged: run the study again",
                 "damaged %s: '%s' is missing", name, key);
}

/* An array of {name or key, text, origin}. */
static tb_status read_assignments(tb_context *context, tb_arena *arena, const json_t *array, const char *key,
                                  size_t *count, tb_assignment **out) {
  *count = 0;
  *out = tb_arena_allocate(arena, json_array_size(array) + 1, sizeof **out);
  if (!*out)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < json_array_size(array); i++) {
    const json_t *one = json_array_get(array, i);
    tb_assignment *a = &(*out)[(*count)++];
    a->key = text_of(arena, one, key);
    a->text = text_of(arena, one, "text");
    a->origin = text_of(arena, one, "origin");
    if (!a->key || !a->text || !a->origin)
      return TB_NO_MEMORY;
  }
  return TB_OK;
}

/* The status with that name. */
static tb_status status_named(const char *name) {
#define TB_STATUS_MATCH(symbol, exit_code, text)                                                                       \
  if (strcmp(name, text) == 0)                                                                                         \
    return symbol;
  TB_STATUS_LIST(TB_STATUS_MATCH)
#undef TB_STATUS_MATCH
  return TB_FAILED;
}

static bool elsewhere(const char *recorded) {
  char here[PATH_MAX];
  return *recorded && strcmp(recorded, working_folder(here)) != 0;
}

tb_status tb_manifest_read(tb_context *context, tb_arena *arena, const char *folder, tb_manifest *m) {
  json_t *root;
  tb_status status = load(context, folder, "manifest.json", &root);
  if (status)
    return status;
  const char *const needed[] = { "run", "study", "part", "state", "options" };
  for (size_t i = 0; i < sizeof needed / sizeof *needed && !status; i++)
    if (!json_object_get(root, needed[i]))
      status = damaged(context, folder, "manifest.json", needed[i]);
  if (status)
    goto done;
  const json_t *error = json_object_get(root, "error");
  *m = (tb_manifest){
    .name = text_of(arena, root, "run"),
    .study = text_of(arena, root, "study"),
    .part = text_of(arena, root, "part"),
    .title = text_of(arena, root, "title"),
    .paper = text_of(arena, root, "paper"),
    .laboratory = text_of(arena, root, "laboratory"),
    .state = text_of(arena, root, "state"),
    .status = json_is_object(error) ? status_named(json_string_value(json_object_get(error, "status"))
                                                       ? json_string_value(json_object_get(error, "status"))
                                                       : "")
                                    : TB_OK,
    .message = text_of(arena, error, "message"),
    .place = text_of(arena, error, "place"),
    .hint = text_of(arena, error, "hint"),
    .started = text_of(arena, root, "started"),
    .finished = text_of(arena, root, "finished"),
    .seconds = json_number_value(json_object_get(root, "seconds")),
    .threads = (int)json_integer_value(json_object_get(root, "threads")),
    .working_folder = text_of(arena, root, "working_folder"),
  };
  if (!m->name || !m->study || !m->part || !m->state || !m->working_folder)
    status = TB_NO_MEMORY;
  else
    status =
        read_assignments(context, arena, json_object_get(root, "options"), "name", &m->n_assignments, &m->assignments);
  const tb_study *study = status ? NULL : tb_study_find(m->study);
  for (size_t t = 0; study && elsewhere(m->working_folder) && t < study->n_tables; t++)
    for (size_t k = 0; k < study->tables[t]->count; k++)
      for (size_t i = 0; i < m->n_assignments; i++)
        if (strcmp(m->assignments[i].key, study->tables[t]->options[k].name) == 0)
          m->assignments[i].text =
              tb_assignment_rebase(arena, &study->tables[t]->options[k], m->assignments[i].text, m->working_folder);
done:
  json_decref(root);
  return status;
}

tb_status tb_manifest_config(tb_context *context, const tb_manifest *m, const tb_study *study, tb_config **config) {
  tb_status status = tb_config_new(context, study->n_tables, study->tables, config);
  if (status)
    return status;
  for (size_t i = 0; i < m->n_assignments && !status; i++) {
    const tb_assignment *a = &m->assignments[i];
    if (tb_config_find(*config, a->key))
      status = tb_config_set(*config, a->key, a->text, a->origin);
  }
  if (status)
    tb_config_free(*config);
  return status;
}

/* ---- batch.json ---- */

tb_status tb_batch_manifest_text(tb_context *context, const tb_batch *batch, tb_text *out) {
  char folder[PATH_MAX];
  json_t *parts = json_array();
  for (size_t p = 0; p < batch->n_parts; p++) {
    const tb_part *part = &batch->parts[p].part;
    json_t *assignments = json_array();
    for (size_t i = 0; i < part->count; i++)
      json_array_append_new(assignments, json_pack("{s:s, s:s, s:s}", "key", part->assignments[i].key, "text",
                                                   part->assignments[i].text, "origin", part->assignments[i].origin));
    json_array_append_new(parts,
                          json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "name", part->name, "title", part->title, "study",
                                    part->study->name, "paper", part->paper ? part->paper : "", "laboratory",
                                    part->laboratory ? part->laboratory : "", "assignments", assignments));
  }
  return dump(context,
              json_pack("{s:s, s:s, s:s, s:I, s:s, s:o}", "tiebreak", TB_VERSION, "name", batch->name, "title",
                        batch->title, "runs", (json_int_t)batch->n_runs, "working_folder", working_folder(folder),
                        "parts", parts),
              out);
}

static tb_status read_part(tb_batch *batch, const char *folder, const char *recorded_folder, const json_t *object,
                           tb_section *out) {
  const char *study_name = text_of(batch->arena, object, "study");
  const tb_study *study = study_name ? tb_study_find(study_name) : NULL;
  if (!study)
    return tb_fail(batch->context, TB_USAGE, folder, "it was made by another version of tiebreak", "unknown study '%s'",
                   study_name ? study_name : "");
  tb_assignment *assignments;
  out->part = (tb_part){ .name = text_of(batch->arena, object, "name"),
                         .title = text_of(batch->arena, object, "title"),
                         .paper = text_of(batch->arena, object, "paper"),
                         .laboratory = text_of(batch->arena, object, "laboratory"),
                         .study = study };
  tb_status status = read_assignments(batch->context, batch->arena, json_object_get(object, "assignments"), "key",
                                      &out->part.count, &assignments);
  if (status)
    return status;
  out->part.assignments = assignments;
  for (size_t t = 0; elsewhere(recorded_folder) && t < study->n_tables; t++)
    for (size_t k = 0; k < study->tables[t]->count; k++)
      for (size_t i = 0; i < out->part.count; i++)
        if (strcmp(assignments[i].key, study->tables[t]->options[k].name) == 0)
          assignments[i].text =
              tb_assignment_rebase(batch->arena, &study->tables[t]->options[k], assignments[i].text, recorded_folder);
  return TB_OK;
}

tb_status tb_batch_manifest_read(tb_context *context, const char *folder, tb_batch *batch) {
  json_t *root;
  tb_status status = load(context, folder, "batch.json", &root);
  if (status)
    return status;
  const json_t *parts = json_object_get(root, "parts");
  const char *recorded_folder = text_of(batch->arena, root, "working_folder");
  batch->name = text_of(batch->arena, root, "name");
  batch->title = text_of(batch->arena, root, "title");
  batch->parts = tb_arena_allocate(batch->arena, json_array_size(parts) + 1, sizeof *batch->parts);
  if (!recorded_folder || !batch->name || !batch->title || !batch->parts)
    status = TB_NO_MEMORY;
  else if (!json_array_size(parts))
    status = damaged(context, folder, "batch.json", "parts");
  for (size_t i = 0; i < json_array_size(parts) && !status; i++)
    status = read_part(batch, folder, recorded_folder, json_array_get(parts, i), &batch->parts[batch->n_parts++]);
  if (!status)
    status = tb_batch_expand(batch);
  if (!status && (size_t)json_integer_value(json_object_get(root, "runs")) != batch->n_runs)
    status = tb_fail(context, TB_BAD_DATA, folder, "run the study again",
                     "the batch in '%s' was made with other sweeps than it describes", folder);
  json_decref(root);
  return status;
}

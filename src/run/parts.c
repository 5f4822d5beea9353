/* What was asked: a study's name or a study file, and overrides, read into the parts of a batch.
 *
 * A document's own keys (study, name, title, paper, laboratory) are kept apart, the rest are assignments to the study's
 * options.  Overrides follow the document's assignments, so that the last wins. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/yaml.h"
#include "run/batch.h"

/* ---- places ---- */

tb_status tb_assignment_fail(tb_context *context, const tb_assignment *at, bool at_key, size_t offset) {
  tb_status status = tb_context_status(context);
  if (at->path) { /* elements of a YAML list don't stand where their joined text would put them */
    return tb_yaml_fail(context, at->path, at->line, (int)(at_key ? at->key_column : at->value_column),
                        tb_context_hint(context), "%s", tb_context_message(context)) == TB_NO_MEMORY
               ? TB_NO_MEMORY
               : status;
  }
  if (at->excerpt)
    tb_fail_excerpt(context, at->excerpt, at_key ? at->key_column : at->value_column + offset);
  return status;
}

const char *tb_assignment_rebase(tb_arena *arena, const tb_option *option, const char *text, const char *folder) {
  if (option->type != TB_FILE || !*folder || !*text)
    return text;
  const char *joined = "";
  for (const char *s = text; joined;) {
    size_t n = strcspn(s, ",");
    bool keep = s[0] == '/' || !tb_option_names_file(option, s, n);
    joined =
        tb_arena_format(arena, "%s%s%s%.*s%s", joined, keep ? "" : folder, keep ? "" : "/", (int)n, s, s[n] ? "," : "");
    if (!s[n])
      break;
    s += n + 1;
  }
  return joined;
}

static const char *folder_of(tb_arena *arena, const char *path) {
  const char *slash = strrchr(path, '/');
  return !slash ? "" : slash == path ? "/" : tb_arena_format(arena, "%.*s", (int)(slash - path), path);
}

/* ---- names ---- */

/* A name fit for a folder: letters, digits, . _ - and not hidden. */
static const char *folder_name(tb_arena *arena, const char *name) {
  char *copy = tb_arena_text(arena, name);
  for (char *s = copy; s && *s; s++)
    if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *s) || (s == copy && *s == '.'))
      *s = '-';
  return copy && *copy ? copy : "runs";
}

/* studies/separable.quick.yaml → separable.quick */
static const char *stem_of(tb_arena *arena, const char *path) {
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
  size_t length = dot && dot > name && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0) ? (size_t)(dot - name)
                                                                                               : strlen(name);
  return tb_arena_format(arena, "%.*s", (int)length, name);
}

static const char *nearest_study(const char *name) {
  const char *names[256];
  size_t count = 0;
  for (const tb_study *const *study = tb_studies(); *study && count < 256; study++)
    names[count++] = (*study)->name;
  return tb_suggest(name, names, count);
}

static tb_status unknown_study(tb_context *context, const char *name, const char *path, int line, int column) {
  const char *nearest = nearest_study(name);
  char hint[200];
  if (nearest)
    snprintf(hint, sizeof hint, "did you mean '%s'?", nearest);
  else
    snprintf(hint, sizeof hint, "`tiebreak studies` lists them");
  if (path)
    return tb_yaml_fail(context, path, line, column, hint, "unknown study '%s'", name);
  return tb_fail(context, TB_USAGE, "", hint, "unknown study '%s'", name);
}

/* ---- assignments ---- */

/* The study's option of that name; a later table redefines it. */
static bool knows(const tb_study *study, const char *key, const tb_option **found) {
  *found = NULL;
  for (size_t t = 0; t < study->n_tables; t++)
    for (size_t i = 0; i < study->tables[t]->count; i++)
      if (strcmp(study->tables[t]->options[i].name, key) == 0)
        *found = &study->tables[t]->options[i];
  return *found;
}

/* Appends to the part's assignments those overrides that its study knows. */
static tb_status append_overrides(tb_batch *batch, tb_section *part, size_t n, const tb_assignment *overrides) {
  tb_assignment *all = tb_arena_allocate(batch->arena, part->part.count + n + 1, sizeof *all);
  if (!all)
    return TB_NO_MEMORY;
  size_t count = part->part.count;
  if (count)
    memcpy(all, part->part.assignments, count * sizeof *all);
  const tb_option *option;
  for (size_t i = 0; i < n; i++)
    if (knows(part->part.study, overrides[i].key, &option)) {
      const tb_assignment *o = &overrides[i];
      all[count] = *o;
      all[count].key = tb_arena_text(batch->arena, o->key);
      all[count].text = tb_arena_text(batch->arena, o->text);
      all[count].origin = tb_arena_text(batch->arena, o->origin);
      all[count].path = o->path ? tb_arena_text(batch->arena, o->path) : NULL;
      all[count].excerpt = o->excerpt ? tb_arena_text(batch->arena, o->excerpt) : NULL;
      if (!all[count].key || !all[count].text || !all[count].origin)
        return TB_NO_MEMORY;
      count++;
    }
  part->part.count = count;
  part->part.assignments = all;
  return TB_OK;
}

/* An override that no part knows is a mistake: the first part's table complains and suggests. */
static tb_status check_overrides(tb_batch *batch, size_t n, const tb_assignment *overrides) {
  const tb_option *option;
  for (size_t i = 0; i < n; i++) {
    bool known = false;
    for (size_t p = 0; p < batch->n_parts && !known; p++)
      known = knows(batch->parts[p].part.study, overrides[i].key, &option);
    if (known)
      continue;
    const tb_study *study = batch->parts[0].part.study;
    tb_config *scratch;
    tb_status status = tb_config_new(batch->context, study->n_tables, study->tables, &scratch);
    if (status)
      return status;
    tb_config_set(scratch, overrides[i].key, overrides[i].text, overrides[i].origin);
    tb_config_free(scratch);
    return tb_assignment_fail(batch->context, &overrides[i], true, 0);
  }
  return TB_OK;
}

static tb_status finish(tb_batch *batch, size_t n, const tb_assignment *overrides) {
  tb_status status = check_overrides(batch, n, overrides);
  for (size_t p = 0; p < batch->n_parts && !status; p++)
    status = append_overrides(batch, &batch->parts[p], n, overrides);
  return status ? status : tb_batch_expand(batch);
}

/* ---- a study's name ---- */

static tb_status from_study(tb_batch *batch, const tb_study *study, size_t n, const tb_assignment *overrides) {
  batch->name = folder_name(batch->arena, study->name);
  batch->parts = tb_arena_allocate(batch->arena, 1, sizeof *batch->parts);
  tb_text source = tb_text_new(batch->context);
  tb_text_format(&source, "study: %s\n", study->name);
  for (size_t i = 0; i < n; i++)
    tb_text_format(&source, "# %s=%s (%s)\n", overrides[i].key, overrides[i].text, overrides[i].origin);
  tb_status status = tb_text_finish(&source);
  batch->source = status ? NULL : tb_arena_text(batch->arena, source.data);
  tb_text_free(&source);
  if (!batch->parts || !batch->source)
    return TB_NO_MEMORY;
  batch->n_parts = 1;
  batch->parts[0].part = (tb_part){
    .name = study->name, .title = "", .paper = study->paper, .laboratory = study->laboratory, .study = study
  };
  return finish(batch, n, overrides);
}

/* ---- a study file ---- */

/* A file named `$NAME/…` or `${NAME}/…` is looked for in the folder that the environment's NAME gives.  Returns the
 * path, or NULL with *missing = NAME when there is no such variable (or memory: *missing NULL too). */
static const char *from_environment(tb_arena *arena, const char *text, const char **missing) {
  *missing = NULL;
  if (*text != '$')
    return text;
  bool braces = text[1] == '{';
  const char *start = text + 1 + braces, *end = start + strspn(start, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
  const char *name = tb_arena_format(arena, "%.*s", (int)(end - start), start);
  const char *value = name ? getenv(name) : NULL;
  if (!value || !*value)
    *missing = name;
  return value && *value ? tb_arena_format(arena, "%s%s", value, end + (braces && *end == '}')) : NULL;
}

/* The document's own keys. */
typedef struct heading {
  const tb_yaml_pair *study, *name, *title, *paper, *laboratory;
  size_t others;
} heading;

static heading heading_of(const tb_yaml_document *document) {
  heading h = { 0 };
  const struct {
    const char *key;
    const tb_yaml_pair **pair;
  } own[] = { { "study", &h.study },
              { "name", &h.name },
              { "title", &h.title },
              { "paper", &h.paper },
              { "laboratory", &h.laboratory } };
  for (size_t i = 0; i < document->count; i++) {
    bool mine = false;
    for (size_t k = 0; k < sizeof own / sizeof *own && !mine; k++)
      if (strcmp(document->pairs[i].key, own[k].key) == 0) {
        *own[k].pair = &document->pairs[i];
        mine = true;
      }
    h.others += !mine;
  }
  return h;
}

static bool is_own(const heading *h, const tb_yaml_pair *pair) {
  return pair == h->study || pair == h->name || pair == h->title || pair == h->paper || pair == h->laboratory;
}

static const char *value_or(const tb_yaml_pair *pair, const char *otherwise) {
  return pair && *pair->value ? pair->value : otherwise;
}

/* *missing: the variable of the environment that the document needs and does not find; else NULL. */
static tb_status read_part(tb_batch *batch, const char *path, const tb_yaml_document *document, const heading *header,
                           const tb_study *before, tb_section *out, const char **missing) {
  *missing = NULL;
  heading h = heading_of(document);
  const tb_study *study = h.study ? tb_study_find(h.study->value) : before;
  if (h.study && !study)
    return unknown_study(batch->context, h.study->value, path, h.study->value_line, h.study->value_column);
  if (!study)
    return tb_yaml_fail(batch->context, path, document->pairs[0].key_line, document->pairs[0].key_column,
                        "begin the document with `study: NAME`", "this document does not say which study it is of");
  tb_assignment *all = tb_arena_allocate(batch->arena, h.others + 1, sizeof *all);
  const char *folder = folder_of(batch->arena, path);
  if (!all || !folder)
    return TB_NO_MEMORY;
  size_t count = 0;
  for (size_t i = 0; i < document->count; i++) {
    const tb_yaml_pair *pair = &document->pairs[i];
    if (is_own(&h, pair))
      continue;
    const tb_option *option;
    const char *text = pair->value, *absent = NULL;
    if (knows(study, pair->key, &option)) {
      if (option->type == TB_FILE)
        text = from_environment(batch->arena, text, &absent);
      if (absent) {
        *missing = absent;
        text = pair->value;
      } else if (text)
        text = tb_assignment_rebase(batch->arena, option, text, folder);
    }
    all[count] = (tb_assignment){ .key = pair->key,
                                  .text = text,
                                  .origin = tb_arena_format(batch->arena, "%s:%d", path, pair->key_line),
                                  .path = path,
                                  .line = pair->value_line ? pair->value_line : pair->key_line,
                                  .key_column = (size_t)pair->key_column,
                                  .value_column = (size_t)pair->value_column };
    if (!text || !all[count].origin)
      return TB_NO_MEMORY;
    if (all[count].line != pair->key_line) /* the value stands below its key: messages point at the key */
      all[count].line = pair->key_line, all[count].value_column = (size_t)pair->key_column;
    count++;
  }
  out->part = (tb_part){ .name = value_or(h.name, study->name),
                         .title = value_or(h.title, ""),
                         .paper = value_or(h.paper, value_or(header->paper, study->paper)),
                         .laboratory = value_or(h.laboratory, value_or(header->laboratory, study->laboratory)),
                         .study = study,
                         .count = count,
                         .assignments = all };
  return TB_OK;
}

static tb_status read_source(tb_batch *batch, const char *path) {
  char *text;
  size_t size;
  tb_status status = tb_file_read(batch->context, path, &text, &size);
  if (status)
    return status;
  batch->source = tb_arena_text(batch->arena, text);
  tb_release(batch->context, text);
  return batch->source ? TB_OK : TB_NO_MEMORY;
}

static tb_status from_file(tb_batch *batch, const char *typed, size_t n, const tb_assignment *overrides) {
  const char *path = tb_arena_text(batch->arena, typed);
  size_t count;
  tb_yaml_document *documents;
  if (!path)
    return TB_NO_MEMORY;
  tb_status status = read_source(batch, path);
  if (!status)
    status = tb_yaml_read(batch->context, batch->arena, path, &count, &documents);
  if (status == TB_BAD_DATA) /* a study file is configuration, not data */
    status = tb_fail(batch->context, TB_USAGE, tb_context_place(batch->context), tb_context_hint(batch->context), "%s",
                     tb_context_message(batch->context));
  if (status)
    return status;
  heading header = { 0 };
  size_t first = 0;
  if (count > 0)
    header = heading_of(&documents[0]);
  if (count > 1 && !header.study && !header.others)
    first = 1;
  batch->name = folder_name(batch->arena, first && header.name ? header.name->value : stem_of(batch->arena, path));
  batch->title = first ? value_or(header.title, "") : "";
  batch->parts = tb_arena_allocate(batch->arena, count + 1, sizeof *batch->parts);
  if (!batch->name || !batch->parts)
    return TB_NO_MEMORY;
  const tb_study *before = NULL;
  batch->skipped = tb_arena_allocate(batch->arena, count + 1, sizeof *batch->skipped);
  if (!batch->skipped)
    return TB_NO_MEMORY;
  for (size_t i = first; i < count; i++) {
    const char *missing;
    if (documents[i].count == 0)
      continue;
    tb_section *section = &batch->parts[batch->n_parts];
    if ((status = read_part(batch, path, &documents[i], &header, before, section, &missing)))
      return status;
    before = section->part.study;
    if (!missing)
      batch->n_parts++;
    else if (!(batch->skipped[batch->n_skipped++] =
                   tb_arena_format(batch->arena, "part %s (%s:%d) is skipped: %s is not set", section->part.name, path,
                                   documents[i].pairs[0].key_line, missing)))
      return TB_NO_MEMORY;
  }
  if (batch->n_parts == 0 && batch->n_skipped)
    return tb_fail(batch->context, TB_USAGE, path, "set it to the folder that holds the data", "nothing to run: %s",
                   batch->skipped[0]);
  if (batch->n_parts == 0)
    return tb_fail(batch->context, TB_USAGE, path, "begin with `study: NAME`; `tiebreak studies` lists the names",
                   "the study file '%s' asks for nothing", path);
  return finish(batch, n, overrides);
}

size_t tb_batch_skips(const tb_batch *batch) {
  return batch->n_skipped;
}

const char *tb_batch_skip(const tb_batch *batch, size_t i) {
  return batch->skipped[i];
}

/* ---- either ---- */

static bool looks_like_file(const char *text) {
  size_t length = strlen(text);
  return strchr(text, '/') || (length > 5 && strcmp(text + length - 5, ".yaml") == 0) ||
         (length > 4 && strcmp(text + length - 4, ".yml") == 0) || tb_file_exists(text);
}

tb_status tb_batch_of_study(tb_context *context, const tb_study *study, size_t n, const tb_assignment *overrides,
                            tb_batch **out) {
  *out = NULL;
  tb_batch *batch = tb_batch_blank(context);
  tb_status status = batch ? from_study(batch, study, n, overrides) : TB_NO_MEMORY;
  if (status)
    tb_batch_free(batch);
  else
    *out = batch;
  return status;
}

tb_status tb_batch_new(tb_context *context, const char *study_or_file, size_t n_overrides,
                       const tb_assignment *overrides, tb_batch **out) {
  *out = NULL;
  const tb_study *study = tb_study_find(study_or_file);
  if (study)
    return tb_batch_of_study(context, study, n_overrides, overrides, out);
  tb_batch *batch = tb_batch_blank(context);
  if (!batch)
    return TB_NO_MEMORY;
  tb_status status = looks_like_file(study_or_file) ? from_file(batch, study_or_file, n_overrides, overrides)
                                                    : unknown_study(context, study_or_file, NULL, 0, 0);
  if (status) {
    tb_batch_free(batch);
    return status;
  }
  *out = batch;
  return TB_OK;
}

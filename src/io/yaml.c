/* YAML files of `key: value` documents, over libfyaml's events.
 *
 * A document is a flat mapping: a scalar or a sequence of scalars a key; a sequence of sequences is a matrix.  The
 * first complaint is kept while the rest is parsed, because what looks like a nested mapping is often a missing
 * bracket, and then the syntax error says it better.  libfyaml ends silently at bytes that are no text, so those are
 * refused before. */
#include "yaml.h"

#include <base/utf8.h>

#include <libfyaml.h>
#include <stdio.h>
#include <string.h>

typedef struct reader {
  tb_context *context;
  tb_arena *arena;
  const char *path, *data;
  size_t size, start; /* start: behind a byte-order mark */
  struct fy_parser *parser;
  tb_yaml_pair *pairs; /* of this document, grown in context memory */
  size_t n_pairs, pairs_capacity;
  tb_yaml_document *documents;
  size_t n_documents, documents_capacity;
  tb_text text; /* of the value being joined */
} reader;

static const char what_is_expected[] = "a study file has lines of 'key: value', with a blank behind the colon";

/* ---- places ---- */

/* Line and column (in bytes, both from 1) of a byte. */
static void locate(const reader *r, size_t at, int *line, int *column) {
  size_t begin = r->start;
  *line = 1;
  if (at > r->size)
    at = r->size;
  for (const char *s; begin < at && (s = memchr(r->data + begin, '\n', at - begin));) {
    begin = (size_t)(s - r->data) + 1;
    ++*line;
  }
  *column = (int)(at < begin ? 1 : at - begin + 1);
}

static const char *line_text(const char *data, int line) {
  for (; line > 1 && *data; line--) {
    const char *end = strchr(data, '\n');
    data = end ? end + 1 : data + strlen(data);
  }
  return data;
}

static tb_status fail_place(const reader *r, int line, int column, const char *hint, const char *message) {
  char place[4352];
  snprintf(place, sizeof place, "%s:%d:%d", r->path, line, column);
  tb_fail(r->context, TB_USAGE, place, hint, "%s", message);
  if (r->data)
    tb_fail_excerpt(r->context, line_text(r->data + r->start, line), (size_t)column);
  return TB_USAGE;
}

static tb_status fail_at(const reader *r, size_t at, const char *hint, const char *message) {
  int line, column;
  locate(r, at, &line, &column);
  return fail_place(r, line, column, hint, message);
}

/* First byte of what the event shows, an opening quote or the star of an alias included. */
static size_t event_start(struct fy_event *event) {
  const struct fy_mark *mark = fy_event_start_mark(event);
  bool signed_before =
      event->type == FYET_ALIAS || (event->type == FYET_SCALAR && event->scalar.value &&
                                    (fy_token_scalar_style(event->scalar.value) == FYSS_SINGLE_QUOTED ||
                                     fy_token_scalar_style(event->scalar.value) == FYSS_DOUBLE_QUOTED));
  return mark ? mark->input_pos - (signed_before && mark->input_pos > 0) : 0;
}

/* ---- events ---- */

/* The next event, NULL at the end or at a syntax error. */
static struct fy_event *next_event(const reader *r) {
  return fy_parser_parse(r->parser);
}

static void release_event(const reader *r, struct fy_event *event) {
  if (event)
    fy_parser_event_free(r->parser, event);
}

/* Appends a scalar's text; null words are the empty text. */
static void add_scalar(tb_text *text, struct fy_event *event) {
  static const char *const nulls[] = { "~", "null", "Null", "NULL" };
  size_t length = 0;
  const char *scalar = event->scalar.value ? fy_token_get_text(event->scalar.value, &length) : "";
  if (event->scalar.value && fy_token_scalar_style(event->scalar.value) == FYSS_PLAIN)
    for (size_t i = 0; i < 4; i++)
      if (length == strlen(nulls[i]) && memcmp(scalar, nulls[i], length) == 0)
        length = 0;
  while (length > 0 && scalar[length - 1] == '\n') /* of a block scalar */
    length--;
  tb_text_add_bytes(text, scalar ? scalar : "", scalar ? length : 0);
}

/* Joins a sequence whose start was read: scalars by ',', rows of scalars by '/'.  Leaves *event with the event that
 * did not fit, else NULL. */
static tb_status join_sequence(reader *r, int depth, struct fy_event **bad) {
  for (size_t count = 0;; count++) {
    struct fy_event *event = next_event(r);
    if (!event)
      return TB_OK; /* a syntax error, reported by the caller */
    if (event->type == FYET_SEQUENCE_END) {
      release_event(r, event);
      return TB_OK;
    }
    if (count > 0)
      tb_text_add(&r->text, event->type == FYET_SEQUENCE_START ? "/" : ",");
    if (event->type == FYET_SCALAR) {
      add_scalar(&r->text, event);
      release_event(r, event);
    } else if (event->type == FYET_SEQUENCE_START && depth == 0) {
      release_event(r, event);
      tb_status status = join_sequence(r, depth + 1, bad);
      if (status)
        return status;
    } else {
      *bad = event;
      return TB_USAGE;
    }
  }
}

static tb_status refuse_event(const reader *r, struct fy_event *event) {
  size_t at = event_start(event);
  switch (event->type) {
  case FYET_MAPPING_START:
    return fail_at(r, at, "options are flat: one 'key: value' a line", "a mapping within a mapping");
  case FYET_SEQUENCE_START:
    return fail_at(r, at, NULL, "sequences are nested too deeply");
  case FYET_ALIAS:
    return fail_at(r, at, "write the value out", "aliases are not supported");
  default:
    return fail_at(r, at, what_is_expected, "not a value");
  }
}

/* ---- documents ---- */

/* Makes room for one more element. */
static tb_status grow(tb_context *context, void *array, size_t count, size_t *capacity, size_t size) {
  void *old, *larger;
  memcpy(&old, array, sizeof old);
  if (count < *capacity)
    return TB_OK;
  larger = tb_reallocate(context, old, *capacity ? 2 * *capacity : 16, size);
  if (!larger)
    return TB_NO_MEMORY;
  memcpy(array, &larger, sizeof larger);
  *capacity = *capacity ? 2 * *capacity : 16;
  return TB_OK;
}

static tb_status read_value(reader *r, tb_yaml_pair *pair) {
  struct fy_event *event = next_event(r);
  if (!event)
    return TB_OK;
  tb_status status = TB_OK;
  size_t at = event_start(event);
  if (event->type == FYET_SCALAR && !event->scalar.value) { /* nothing there: the place behind the key */
    pair->value_line = pair->key_line;
    pair->value_column = pair->key_column + (int)strlen(pair->key) + 1;
  } else {
    locate(r, at, &pair->value_line, &pair->value_column);
  }
  tb_text_free(&r->text);
  tb_text_add(&r->text, "");
  if (event->type == FYET_SCALAR) {
    add_scalar(&r->text, event);
  } else if (event->type == FYET_SEQUENCE_START) {
    struct fy_event *bad = NULL;
    status = join_sequence(r, 0, &bad);
    if (bad) {
      status = refuse_event(r, bad);
      release_event(r, bad);
    }
  } else {
    status = refuse_event(r, event);
  }
  release_event(r, event);
  if (!status)
    status = tb_text_finish(&r->text);
  if (!status && !(pair->value = tb_arena_text(r->arena, r->text.data)))
    status = TB_NO_MEMORY;
  return status;
}

/* One pair, whose key's event was read. */
static tb_status read_pair(reader *r, struct fy_event *key) {
  tb_yaml_pair pair = { 0 };
  size_t at = event_start(key);
  if (key->type != FYET_SCALAR)
    return key->type == FYET_ALIAS ? refuse_event(r, key) : fail_at(r, at, what_is_expected, "a key must be a word");
  locate(r, at, &pair.key_line, &pair.key_column);
  tb_text_free(&r->text);
  tb_text_add(&r->text, "");
  add_scalar(&r->text, key);
  tb_status status = tb_text_finish(&r->text);
  if (status)
    return status;
  if (!r->text.data[0])
    return fail_at(r, at, what_is_expected, "a key without a name");
  if (!(pair.key = tb_arena_text(r->arena, r->text.data)))
    return TB_NO_MEMORY;
  for (size_t i = 0; i < r->n_pairs; i++)
    if (strcmp(r->pairs[i].key, pair.key) == 0) {
      char message[300], hint[64];
      snprintf(message, sizeof message, "'%.200s' is given twice", pair.key);
      snprintf(hint, sizeof hint, "first in line %d", r->pairs[i].key_line);
      return fail_at(r, at, hint, message);
    }
  status = read_value(r, &pair);
  if (!status)
    status = grow(r->context, &r->pairs, r->n_pairs, &r->pairs_capacity, sizeof *r->pairs);
  if (!status && pair.value)
    r->pairs[r->n_pairs++] = pair;
  return status;
}

/* The pairs of a mapping whose start was read, moved to the arena as a document. */
static tb_status read_mapping(reader *r) {
  tb_status status = TB_OK;
  r->n_pairs = 0;
  for (struct fy_event *event; !status && (event = next_event(r));) {
    bool end = event->type == FYET_MAPPING_END;
    if (!end)
      status = read_pair(r, event);
    release_event(r, event);
    if (end)
      break;
  }
  if (!status)
    status = grow(r->context, &r->documents, r->n_documents, &r->documents_capacity, sizeof *r->documents);
  if (status)
    return status;
  tb_yaml_document *document = &r->documents[r->n_documents++];
  document->count = r->n_pairs;
  document->pairs = tb_arena_allocate(r->arena, r->n_pairs, sizeof *r->pairs);
  if (!document->pairs)
    return TB_NO_MEMORY;
  if (r->n_pairs > 0)
    memcpy(document->pairs, r->pairs, r->n_pairs * sizeof *r->pairs);
  return TB_OK;
}

static tb_status read_documents(reader *r) {
  tb_status status = TB_OK;
  for (struct fy_event *event; !status && (event = next_event(r));) {
    bool empty = event->type == FYET_SCALAR && !event->scalar.value;
    size_t at = event_start(event);
    if (event->type == FYET_MAPPING_START)
      status = read_mapping(r);
    else if ((event->type == FYET_SCALAR && !empty) || event->type == FYET_SEQUENCE_START || event->type == FYET_ALIAS)
      status = fail_at(r, at, what_is_expected, "expected 'key: value'");
    release_event(r, event);
  }
  return status;
}

/* ---- files ---- */

static tb_status check_text(reader *r) {
  if (r->size >= 2 && (memcmp(r->data, "\xff\xfe", 2) == 0 || memcmp(r->data, "\xfe\xff", 2) == 0))
    return tb_fail(r->context, TB_USAGE, r->path, "save the file as UTF-8", "'%s' is UTF-16 text", r->path);
  if (r->size >= 3 && memcmp(r->data, "\xef\xbb\xbf", 3) == 0)
    r->start = 3;
  for (size_t at = r->start, n; at < r->size; at += n) {
    n = tb_utf8_length(r->data + at);
    if (n == 0 || r->data[at] == 0)
      return fail_at(r, at, n ? "is this a text file?" : "save the file as UTF-8",
                     n ? "a zero byte" : "a byte that is not UTF-8");
  }
  return TB_OK;
}

/* The first collected syntax error, its column counted in characters by libfyaml. */
static tb_status syntax_error(const reader *r, struct fy_diag *diag) {
  void *previous = NULL;
  struct fy_diag_error *error = fy_diag_errors_iterate(diag, &previous);
  if (!error)
    return fail_place(r, 1, 1, what_is_expected, "this is not YAML");
  const char *line = line_text(r->data + r->start, error->line);
  size_t column = 0;
  for (int characters = 1; characters < error->column && line[column] && line[column] != '\n'; characters++)
    column += tb_utf8_length(line + column);
  return fail_place(r, error->line, (int)column + 1, what_is_expected, error->msg);
}

static tb_status parse(reader *r) {
  tb_status status = TB_NO_MEMORY;
  struct fy_diag_cfg diag_cfg;
  fy_diag_cfg_default(&diag_cfg);
  diag_cfg.fp = NULL; /* never to stderr */
  struct fy_diag *diag = fy_diag_create(&diag_cfg);
  struct fy_parse_cfg cfg = { .flags = FYPCF_QUIET, .diag = diag };
  if (diag) {
    fy_diag_set_collect_errors(diag, true);
    r->parser = fy_parser_create(&cfg);
  }
  if (!r->parser || fy_parser_set_string(r->parser, r->data, r->size)) {
    tb_fail(r->context, TB_NO_MEMORY, NULL, NULL, "out of memory: reading '%s'", r->path);
    goto done;
  }
  status = read_documents(r);
  if (status == TB_USAGE) /* parse on: is there a syntax error behind it? */
    for (struct fy_event *event; (event = next_event(r));)
      release_event(r, event);
  if (status != TB_NO_MEMORY && fy_parser_get_stream_error(r->parser))
    status = syntax_error(r, diag);
done:
  if (r->parser)
    fy_parser_destroy(r->parser);
  if (diag)
    fy_diag_destroy(diag);
  return status;
}

tb_status tb_yaml_read(tb_context *context, tb_arena *arena, const char *path, size_t *count,
                       tb_yaml_document **documents) {
  char *data;
  reader r = { .context = context, .arena = arena, .path = path, .text = tb_text_new(context) };
  *count = 0;
  *documents = NULL;
  tb_status status = tb_file_read(context, path, &data, &r.size);
  if (status)
    return status;
  r.data = data;
  status = check_text(&r);
  if (!status && r.size > r.start)
    status = parse(&r);
  if (!status && r.n_documents == 0)
    status = tb_fail(context, TB_USAGE, path, what_is_expected, "'%s' is empty", path);
  if (!status && !(*documents = tb_arena_allocate(arena, r.n_documents, sizeof **documents)))
    status = TB_NO_MEMORY;
  if (!status) {
    memcpy(*documents, r.documents, r.n_documents * sizeof **documents);
    *count = r.n_documents;
  }
  tb_text_free(&r.text);
  tb_release(context, r.pairs);
  tb_release(context, r.documents);
  tb_release(context, data);
  return status;
}

tb_status tb_yaml_fail(tb_context *context, const char *path, int line, int column, const char *hint,
                       const char *format, ...) {
  char message[1024];
  va_list list;
  va_start(list, format);
  vsnprintf(message, sizeof message, format, list);
  va_end(list);
  char *data;
  reader r = { .context = context, .path = path };
  if (tb_file_read(context, path, &data, &r.size) == TB_OK) { /* else the complaint stands without its excerpt */
    r.data = data;
    r.start = r.size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
  }
  tb_status status = fail_place(&r, line, column, hint, message);
  tb_release(context, data);
  return status;
}

/* One YAML document as a tree, over libfyaml's events; places of every node, faults as a compiler tells them. */
#include "read.h"

#include <base/number.h>
#include <base/utf8.h>

#include <libfyaml.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 16 };

typedef struct reader {
  tb_tree_file *file;
  size_t size;
  struct fy_parser *parser;
} reader;

/* ---- places ---- */

static tb_status fail_place(const tb_tree_file *f, int line, int column, const char *hint, const char *message) {
  char place[4352];
  const char *text = f->data;
  snprintf(place, sizeof place, "%s:%d:%d", f->path, line, column);
  tb_fail(f->context, TB_BAD_DATA, place, hint, "%s", message);
  for (int k = 1; k < line && text; k++) {
    text = strchr(text, '\n');
    text += text != NULL;
  }
  if (text)
    tb_fail_excerpt(f->context, text, (size_t)column);
  return TB_BAD_DATA;
}

tb_status tb_tree_fail(const tb_tree_file *f, const tb_tree *node, const char *hint, const char *format, ...) {
  char message[1024];
  va_list list;
  va_start(list, format);
  vsnprintf(message, sizeof message, format, list);
  va_end(list);
  return fail_place(f, node->line, node->column, hint, message);
}

static void locate(const reader *r, size_t at, int *line, int *column) {
  const char *data = r->file->data, *begin = data, *end = data + (at < r->size ? at : r->size);
  *line = 1;
  for (const char *s; begin < end && (s = memchr(begin, '\n', (size_t)(end - begin))); ++*line)
    begin = s + 1;
  *column = (int)(end - begin) + 1;
}

static tb_status fail_at(const reader *r, size_t at, const char *hint, const char *message) {
  int line, column;
  locate(r, at, &line, &column);
  return fail_place(r->file, line, column, hint, message);
}

/* First byte of what the event shows, an opening quote or the star of an alias included. */
static size_t event_start(struct fy_event *event) {
  const struct fy_mark *mark = fy_event_start_mark(event);
  enum fy_scalar_style style =
      event->type == FYET_SCALAR && event->scalar.value ? fy_token_scalar_style(event->scalar.value) : FYSS_PLAIN;
  bool before = event->type == FYET_ALIAS || style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
  return mark ? mark->input_pos - (before && mark->input_pos > 0) : 0;
}

/* ---- nodes ---- */

/* Children are collected in context memory, then moved to the arena. */
typedef struct children {
  size_t count, room;
  tb_tree **keys, **items;
} children;

static tb_status children_add(tb_context *context, children *c, tb_tree *key, tb_tree *item) {
  if (c->count == c->room) {
    size_t room = c->room ? 2 * c->room : 16;
    tb_tree **keys = tb_reallocate(context, c->keys, room, sizeof *keys);
    if (!keys)
      return TB_NO_MEMORY;
    c->keys = keys;
    tb_tree **items = tb_reallocate(context, c->items, room, sizeof *items);
    if (!items)
      return TB_NO_MEMORY;
    c->items = items;
    c->room = room;
  }
  c->keys[c->count] = key;
  c->items[c->count++] = item;
  return TB_OK;
}

static tb_status read_node(reader *r, struct fy_event *event, int depth, tb_tree **node);

/* The next event as a node; *end when it closes the collection. */
static tb_status read_next(reader *r, int depth, bool *end, tb_tree **node) {
  struct fy_event *event = fy_parser_parse(r->parser);
  *node = NULL;
  if (!event) { /* a syntax error, told at the end */
    *end = true;
    return TB_OK;
  }
  *end = event->type == FYET_MAPPING_END || event->type == FYET_SEQUENCE_END;
  tb_status status = *end ? TB_OK : read_node(r, event, depth, node);
  fy_parser_event_free(r->parser, event);
  return status;
}

static tb_status read_key(reader *r, const children *c, const tb_tree *key) {
  if (key->kind != TB_TREE_SCALAR)
    return tb_tree_fail(r->file, key, NULL, "a key must be a word");
  for (size_t i = 0; i < c->count; i++)
    if (strcmp(c->keys[i]->text, key->text) == 0) {
      char hint[64];
      snprintf(hint, sizeof hint, "first in line %d", c->keys[i]->line);
      return tb_tree_fail(r->file, key, hint, "'%s' is given twice", key->text);
    }
  return TB_OK;
}

static tb_status read_collection(reader *r, int depth, tb_tree *node) {
  children c = { 0 };
  tb_status status = TB_OK;
  for (bool end = false; !status;) {
    tb_tree *key = NULL, *item = NULL;
    if (node->kind == TB_TREE_MAP) {
      status = read_next(r, depth + 1, &end, &key);
      if (status || end)
        break;
      status = read_key(r, &c, key);
      if (status)
        break;
    }
    status = read_next(r, depth + 1, &end, &item);
    if (status || end || !item)
      break;
    status = children_add(r->file->context, &c, key, item);
  }
  if (!status) {
    node->count = c.count;
    node->keys = tb_arena_allocate(r->file->arena, c.count, sizeof *node->keys);
    node->items = tb_arena_allocate(r->file->arena, c.count, sizeof *node->items);
    status = node->keys && node->items ? TB_OK : TB_NO_MEMORY;
  }
  if (!status && c.count) {
    memcpy(node->keys, c.keys, c.count * sizeof *c.keys);
    memcpy(node->items, c.items, c.count * sizeof *c.items);
  }
  tb_release(r->file->context, c.keys);
  tb_release(r->file->context, c.items);
  return status;
}

static tb_status read_scalar(reader *r, struct fy_event *event, tb_tree *node) {
  size_t length = 0;
  const char *text = event->scalar.value ? fy_token_get_text(event->scalar.value, &length) : "";
  char *copy = tb_arena_allocate(r->file->arena, length + 1, 1);
  if (!copy)
    return TB_NO_MEMORY;
  if (length)
    memcpy(copy, text, length);
  node->text = copy;
  return strlen(copy) < length ? tb_tree_fail(r->file, node, NULL, "a zero byte within a text") : TB_OK;
}

static tb_status read_node(reader *r, struct fy_event *event, int depth, tb_tree **out) {
  tb_tree *node = *out = tb_arena_allocate(r->file->arena, 1, sizeof *node);
  if (!node)
    return TB_NO_MEMORY;
  locate(r, event_start(event), &node->line, &node->column);
  node->text = "";
  if (depth > DEEPEST)
    return tb_tree_fail(r->file, node, NULL, "nested too deeply");
  switch (event->type) {
  case FYET_SCALAR:
    return read_scalar(r, event, node);
  case FYET_SEQUENCE_START:
    node->kind = TB_TREE_LIST;
    return read_collection(r, depth, node);
  case FYET_MAPPING_START:
    node->kind = TB_TREE_MAP;
    return read_collection(r, depth, node);
  default:
    return tb_tree_fail(r->file, node, "write the value out", "aliases are not supported");
  }
}

/* ---- the file ---- */

static const char shape[] = "a language file has name, alphabet, rules and one of automaton, grammar, counters";

static tb_status read_documents(reader *r) {
  tb_status status = TB_OK;
  struct fy_event *event;
  while (!status && (event = fy_parser_parse(r->parser))) {
    bool node = event->type == FYET_SCALAR || event->type == FYET_SEQUENCE_START || event->type == FYET_MAPPING_START ||
                event->type == FYET_ALIAS;
    bool empty = event->type == FYET_SCALAR && !event->scalar.value;
    tb_tree *root;
    if (node && !empty && r->file->root)
      status = fail_at(r, event_start(event), NULL, "a second document: a file holds one language");
    else if (node && !empty && event->type != FYET_MAPPING_START)
      status = fail_at(r, event_start(event), shape, "expected 'key: value'");
    else if (node && !empty) {
      status = read_node(r, event, 0, &root);
      r->file->root = root;
    }
    fy_parser_event_free(r->parser, event);
  }
  return status;
}

/* The first collected syntax error, its column counted in characters by libfyaml. */
static tb_status syntax_error(const reader *r, struct fy_diag *diag) {
  void *previous = NULL;
  struct fy_diag_error *error = fy_diag_errors_iterate(diag, &previous);
  if (!error)
    return fail_place(r->file, 1, 1, shape, "this is not YAML");
  const char *line = r->file->data;
  for (int k = 1; k < error->line && line; k++) {
    line = strchr(line, '\n');
    line += line != NULL;
  }
  size_t column = 0;
  for (int k = 1; line && k < error->column && line[column] && line[column] != '\n'; k++)
    column += tb_utf8_length(line + column);
  return fail_place(r->file, error->line, (int)column + 1, shape, error->msg);
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
  if (!r->parser || fy_parser_set_string(r->parser, r->file->data, r->size)) {
    tb_fail(r->file->context, TB_NO_MEMORY, NULL, NULL, "out of memory: reading '%s'", r->file->path);
    goto done;
  }
  status = read_documents(r);
  if (status == TB_BAD_DATA) /* parse on: is there a syntax error behind it? */
    for (struct fy_event *event; (event = fy_parser_parse(r->parser));)
      fy_parser_event_free(r->parser, event);
  if (status != TB_NO_MEMORY && fy_parser_get_stream_error(r->parser))
    status = syntax_error(r, diag);
done:
  if (r->parser)
    fy_parser_destroy(r->parser);
  if (diag)
    fy_diag_destroy(diag);
  return status;
}

tb_status tb_tree_read(tb_context *context, tb_arena *arena, const char *path, tb_tree_file *file) {
  char *data;
  *file = (tb_tree_file){ .context = context, .arena = arena, .path = path };
  reader r = { .file = file };
  tb_status status = tb_file_read(context, path, &data, &r.size);
  if (status)
    return status;
  bool mark = r.size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0;
  char *copy = tb_arena_allocate(arena, r.size + 1, 1);
  if (copy)
    memcpy(copy, data + (mark ? 3 : 0), r.size - (mark ? 3 : 0));
  r.size -= mark ? 3 : 0;
  file->data = copy;
  tb_release(context, data);
  if (!copy)
    return TB_NO_MEMORY;
  for (size_t at = 0, n; at < r.size; at += n) {
    n = tb_utf8_length(copy + at);
    if (n == 0 || copy[at] == 0)
      return fail_at(&r, at, n ? "is this a text file?" : "save the file as UTF-8",
                     n ? "a zero byte" : "a byte that is not UTF-8");
  }
  if (r.size > 0)
    status = parse(&r);
  if (!status && !file->root)
    status = fail_place(file, 1, 1, shape, "the file is empty");
  return status;
}

/* ---- values ---- */

const tb_tree *tb_tree_get(const tb_tree *map, const char *key) {
  for (size_t i = 0; i < map->count; i++)
    if (strcmp(map->keys[i]->text, key) == 0)
      return map->items[i];
  return NULL;
}

tb_status tb_tree_check_keys(const tb_tree_file *f, const tb_tree *map, const char *what, const char *const *known,
                             size_t count) {
  if (map->kind != TB_TREE_MAP)
    return tb_tree_fail(f, map, NULL, "%s: expected a mapping, {key: value, …}", what);
  for (size_t i = 0; i < map->count; i++) {
    size_t k = 0;
    while (k < count && strcmp(known[k], map->keys[i]->text) != 0)
      k++;
    if (k == count) {
      char hint[200];
      const char *near = tb_suggest(map->keys[i]->text, known, count);
      int used = snprintf(hint, sizeof hint, near ? "did you mean '%s'?" : "known are", near);
      for (k = 0; k < count && !near && used < 170; k++)
        used += snprintf(hint + used, sizeof hint - (size_t)used, "%s %s", k ? "," : "", known[k]);
      return tb_tree_fail(f, map->keys[i], hint, "unknown key '%s' in %s", map->keys[i]->text, what);
    }
  }
  return TB_OK;
}

tb_status tb_tree_number(const tb_tree_file *f, const tb_tree *node, double least, double most, const char *what,
                         double *value) {
  const char *end = node->kind == TB_TREE_SCALAR ? tb_number_read(node->text, value) : NULL;
  if (!end || *end || !isfinite(*value))
    return tb_tree_fail(f, node, NULL, "%s: expected a number%s%s%s", what, *node->text ? ", found '" : "", node->text,
                        *node->text ? "'" : "");
  if (*value < least || *value > most)
    return tb_tree_fail(f, node, NULL, "%s: %s is not in [%g, %g]", what, node->text, least, most);
  return TB_OK;
}

tb_status tb_tree_integer(const tb_tree_file *f, const tb_tree *node, int64_t least, int64_t most, const char *what,
                          int64_t *value) {
  char *end = NULL;
  if (node->kind == TB_TREE_SCALAR && *node->text && !strchr(" \t\n", *node->text))
    *value = strtoll(node->text, &end, 10);
  if (!end || *end)
    return tb_tree_fail(f, node, NULL, "%s: expected a whole number%s%s%s", what, *node->text ? ", found '" : "",
                        node->text, *node->text ? "'" : "");
  if (*value < least || *value > most)
    return tb_tree_fail(f, node, NULL, "%s: %s is not between %lld and %lld", what, node->text, (long long)least,
                        (long long)most);
  return TB_OK;
}

tb_status tb_tree_symbol(const tb_tree_file *f, const tb_tree *node, const tb_language *l, bool end, size_t *symbol) {
  if (node->kind != TB_TREE_SCALAR)
    return tb_tree_fail(f, node, NULL, "expected a symbol of the alphabet");
  *symbol = tb_language_symbol_find(l, node->text, strlen(node->text));
  if (*symbol == SIZE_MAX && end && strcmp(node->text, "end") == 0)
    *symbol = l->n_symbols;
  if (*symbol == SIZE_MAX) {
    const char *near = tb_suggest(node->text, l->symbols, l->n_symbols);
    const char *hint = near ? tb_arena_format(f->arena, "did you mean '%s'?", near) : "list it in `alphabet`";
    return tb_tree_fail(f, node, hint, "'%s' is not in the alphabet", node->text);
  }
  return TB_OK;
}

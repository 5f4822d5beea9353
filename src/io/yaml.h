/* YAML files of `key: value` documents, over libfyaml: every scalar with its line and column. */
#ifndef TB_IO_YAML_H
#define TB_IO_YAML_H

#include <tiebreak/base.h>

typedef struct tb_yaml_pair {
  const char *key;
  const char *value; /* scalar text, null is ""; a sequence of scalars is joined by ',', rows of a matrix by '/' */
  int key_line, key_column, value_line, value_column; /* 1-based, columns in bytes */
} tb_yaml_pair;

typedef struct tb_yaml_document {
  size_t count;
  tb_yaml_pair *pairs;
} tb_yaml_document;

/* Reads all documents of a file into the arena; empty ones are left out.  Errors: missing file TB_BAD_DATA; no
 * document, syntax, a duplicate key, a nested mapping, an alias TB_USAGE, with place file:line:column and the excerpt.
 */
tb_status tb_yaml_read(tb_context *, tb_arena *, const char *path, size_t *count, tb_yaml_document **documents);
/* Records TB_USAGE at a place of that file, with the excerpt and caret. */
tb_status tb_yaml_fail(tb_context *, const char *path, int line, int column, const char *hint, const char *format, ...)
    TB_PRINTF(6, 7);

#endif

/* A language file as a tree of YAML nodes that know their places, and the readers of its parts. */
#ifndef TB_LANGUAGE_READ_H
#define TB_LANGUAGE_READ_H

#include "language.h"

typedef struct tb_tree {
  enum { TB_TREE_SCALAR, TB_TREE_LIST, TB_TREE_MAP } kind;
  int line, column;      /* 1-based, columns in bytes */
  const char *text;      /* scalar; null is "" */
  size_t count;          /* items of a list, pairs of a map */
  struct tb_tree **keys; /* map: scalars */
  struct tb_tree **items;
} tb_tree;

typedef struct tb_tree_file {
  tb_context *context;
  tb_arena *arena;
  const char *path, *data; /* data without a byte-order mark */
  const tb_tree *root;     /* a map */
} tb_tree_file;

/* Everything lies in the arena.  Errors TB_BAD_DATA at path:line:column. */
tb_status tb_tree_read(tb_context *, tb_arena *, const char *path, tb_tree_file *);
/* Records TB_BAD_DATA at a node, with excerpt and caret. */
tb_status tb_tree_fail(const tb_tree_file *, const tb_tree *, const char *hint, const char *format, ...)
    TB_PRINTF(4, 5);
/* The value of a key of a map, NULL when absent. */
const tb_tree *tb_tree_get(const tb_tree *map, const char *key);
/* Fails at a key that is none of the `count` known ones, with a suggestion. */
tb_status tb_tree_check_keys(const tb_tree_file *, const tb_tree *map, const char *what, const char *const *known,
                             size_t count);
tb_status tb_tree_number(const tb_tree_file *, const tb_tree *, double least, double most, const char *what, double *);
tb_status tb_tree_integer(const tb_tree_file *, const tb_tree *, int64_t least, int64_t most, const char *what,
                          int64_t *);
/* A symbol of the language; with `end` allowed that is n_symbols. */
tb_status tb_tree_symbol(const tb_tree_file *, const tb_tree *, const tb_language *, bool end, size_t *symbol);

/* Parts: each reads its node into l->data and sets l->kind. */
tb_status tb_automaton_read(const tb_tree_file *, const tb_tree *, tb_language *);
tb_status tb_counters_read(const tb_tree_file *, const tb_tree *, tb_language *);
tb_status tb_grammar_read(const tb_tree_file *, const tb_tree *, tb_language *);

#endif

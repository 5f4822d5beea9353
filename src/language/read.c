/* Language files: name, alphabet, bound, rules; the law is read by automaton.c, grammar.c or counters.c. */
#include "read.h"

#include <base/utf8.h>

#include <stdio.h>
#include <string.h>

static tb_status read_alphabet(const tb_tree_file *f, tb_language *l) {
  const tb_tree *list = tb_tree_get(f->root, "alphabet");
  if (!list)
    return tb_tree_fail(f, f->root, "alphabet: [a, b]", "the file has no `alphabet`");
  if (list->kind != TB_TREE_LIST || list->count == 0)
    return tb_tree_fail(f, list, "alphabet: [a, b]", "`alphabet` is a list of symbols");
  if (list->count > TB_MOST_SYMBOLS)
    return tb_tree_fail(f, list, NULL, "an alphabet of more than %d symbols", TB_MOST_SYMBOLS);
  l->symbols = tb_arena_allocate(l->arena, list->count, sizeof *l->symbols);
  if (!l->symbols)
    return TB_NO_MEMORY;
  l->joined = true;
  for (size_t i = 0; i < list->count; i++) {
    const tb_tree *item = list->items[i];
    if (item->kind != TB_TREE_SCALAR || !*item->text || strpbrk(item->text, " \t\r\n"))
      return tb_tree_fail(f, item, NULL, "a symbol is a word without blanks");
    if (strcmp(item->text, "end") == 0)
      return tb_tree_fail(f, item, NULL, "'end' is reserved for the end of a string");
    if (tb_language_symbol_find(l, item->text, strlen(item->text)) != SIZE_MAX)
      return tb_tree_fail(f, item, NULL, "symbol '%s' is given twice", item->text);
    l->symbols[l->n_symbols++] = item->text;
    l->joined &= tb_utf8_length(item->text) == strlen(item->text);
  }
  return TB_OK;
}

/* ---- rules ---- */

static tb_status add_symbol(const tb_tree_file *f, const tb_language *l, const tb_tree *node, tb_rule *r) {
  size_t symbol;
  tb_status status = tb_tree_symbol(f, node, l, false, &symbol);
  if (status)
    return status;
  if (r->count == TB_RULE_MOST_SYMBOLS)
    return tb_tree_fail(f, node, NULL, "a rule looks at %d symbols at most", TB_RULE_MOST_SYMBOLS);
  for (size_t i = 0; i < r->count; i++)
    if (r->symbols[i] == symbol)
      return tb_tree_fail(f, node, NULL, "symbol '%s' is given twice", node->text);
  r->factors[r->count] = 1;
  r->symbols[r->count++] = (uint16_t)symbol;
  return TB_OK;
}

static tb_status read_regex(const tb_tree_file *f, const tb_language *l, const tb_tree *value, tb_rule *r) {
  size_t fault = 0;
  char message[300];
  if (value->kind != TB_TREE_SCALAR)
    return tb_tree_fail(f, value, NULL, "regex: expected a text in quotes");
  r->pattern = value->text;
  tb_status status =
      tb_regex_compile(f->context, l->arena, r->pattern, l->n_symbols, l->symbols, l->joined, &fault, &r->regex);
  if (status == TB_NO_MEMORY || status == TB_OK)
    return status;
  snprintf(message, sizeof message, "%s", tb_context_message(f->context));
  return tb_tree_fail(f, value, NULL, "regex, character %zu: %s", fault + 1, message);
}

static const struct {
  const char *name;
  tb_rule_kind kind;
  size_t least, most;
} rule_kinds[] = { { "equal", TB_RULE_EQUAL, 2, TB_RULE_MOST_SYMBOLS },
                   { "order", TB_RULE_ORDER, 2, TB_RULE_MOST_SYMBOLS },
                   { "even", TB_RULE_EVEN, 1, TB_RULE_MOST_SYMBOLS },
                   { "odd", TB_RULE_ODD, 1, TB_RULE_MOST_SYMBOLS },
                   { "balanced", TB_RULE_BALANCED, 2, 2 },
                   { "regex", TB_RULE_REGEX, 0, 0 } };
enum { N_RULE_KINDS = sizeof rule_kinds / sizeof *rule_kinds };

static tb_status read_rule(const tb_tree_file *f, const tb_language *l, const tb_tree *name, const tb_tree *node,
                           tb_rule *r) {
  const char *names[N_RULE_KINDS];
  size_t k = 0;
  for (size_t i = 0; i < N_RULE_KINDS; i++)
    names[i] = rule_kinds[i].name;
  r->name = name->text;
  if (!*r->name)
    return tb_tree_fail(f, name, NULL, "a rule without a name");
  tb_status status = tb_tree_check_keys(f, node, "a rule", names, N_RULE_KINDS);
  if (status)
    return status;
  if (node->count != 1)
    return tb_tree_fail(f, node, NULL, "a rule is one of equal, order, even, odd, balanced, regex");
  while (strcmp(rule_kinds[k].name, node->keys[0]->text) != 0)
    k++;
  r->kind = rule_kinds[k].kind;
  const tb_tree *value = node->items[0];
  if (r->kind == TB_RULE_REGEX)
    return read_regex(f, l, value, r);
  if (value->kind == TB_TREE_SCALAR || (value->kind == TB_TREE_MAP && r->kind != TB_RULE_EQUAL))
    return tb_tree_fail(f, value, NULL, "%s: expected a list of symbols", names[k]);
  for (size_t i = 0; i < value->count && !status; i++) {
    status = add_symbol(f, l, value->kind == TB_TREE_MAP ? value->keys[i] : value->items[i], r);
    if (!status && value->kind == TB_TREE_MAP)
      status = tb_tree_integer(f, value->items[i], 1, 1000, "a factor", &r->factors[i]);
  }
  if (!status && (r->count < rule_kinds[k].least || r->count > rule_kinds[k].most))
    return tb_tree_fail(f, value, NULL, "%s takes %s%zu symbol%s", names[k],
                        rule_kinds[k].least == rule_kinds[k].most ? "" : "at least ", rule_kinds[k].least,
                        rule_kinds[k].least == 1 ? "" : "s");
  return status;
}

static tb_status read_rules(const tb_tree_file *f, tb_language *l) {
  const tb_tree *map = tb_tree_get(f->root, "rules");
  if (!map || (map->kind == TB_TREE_SCALAR && !*map->text))
    return TB_OK;
  if (map->kind != TB_TREE_MAP)
    return tb_tree_fail(f, map, "r1: {equal: [a, b]}", "`rules` is a mapping of names to rules");
  l->rules = tb_arena_allocate(l->arena, map->count, sizeof *l->rules);
  if (!l->rules)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < map->count; i++) {
    tb_status status = read_rule(f, l, map->keys[i], map->items[i], &l->rules[l->n_rules]);
    if (status)
      return status;
    l->n_rules++;
  }
  return TB_OK;
}

/* ---- the whole ---- */

static const struct {
  const char *name;
  tb_status (*read)(const tb_tree_file *, const tb_tree *, tb_language *);
} laws[] = { { "automaton", tb_automaton_read }, { "grammar", tb_grammar_read }, { "counters", tb_counters_read } };

static tb_status read_law(const tb_tree_file *f, tb_language *l) {
  size_t found = 3;
  for (size_t i = 0; i < f->root->count; i++)
    for (size_t k = 0; k < 3; k++)
      if (strcmp(f->root->keys[i]->text, laws[k].name) == 0) {
        if (found < 3)
          return tb_tree_fail(f, f->root->keys[i], NULL, "`%s` beside `%s`: a language has one law", laws[k].name,
                              laws[found].name);
        found = k;
      }
  if (found == 3)
    return tb_tree_fail(f, f->root, NULL, "the file has none of `automaton`, `grammar`, `counters`");
  return laws[found].read(f, tb_tree_get(f->root, laws[found].name), l);
}

tb_status tb_language_read_file(tb_language *l, const char *path, size_t max_length) {
  static const char *const keys[] = { "name", "alphabet", "max_length", "automaton", "grammar", "counters", "rules" };
  tb_tree_file f;
  int64_t bound;
  tb_status status = tb_tree_read(l->context, l->arena, path, &f);
  if (!status)
    status = tb_tree_check_keys(&f, f.root, "a language file", keys, sizeof keys / sizeof *keys);
  if (status)
    return status;
  const tb_tree *name = tb_tree_get(f.root, "name"), *most = tb_tree_get(f.root, "max_length");
  if (name && (name->kind != TB_TREE_SCALAR || !*name->text))
    return tb_tree_fail(&f, name, NULL, "`name` is a word");
  l->name = tb_arena_text(l->arena, name ? name->text : path);
  if (!l->name)
    return TB_NO_MEMORY;
  if (most && (status = tb_tree_integer(&f, most, 1, 100000, "max_length", &bound)))
    return status;
  l->max_length = max_length ? max_length : most ? (size_t)bound : 0;
  status = read_alphabet(&f, l);
  if (!status)
    status = read_law(&f, l);
  return status ? status : read_rules(&f, l);
}

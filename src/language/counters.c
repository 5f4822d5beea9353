/* `counters` of a language file: integers that steps change and conditions look at.
 *
 * At each symbol the steps whose condition holds and that leave every counter at 0 or more are possible; one is chosen
 * with probability proportional to its weight. */
#include "graph.h"
#include "read.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TERMS = 16, LENGTH = -1, CONSTANT = -2 };

typedef enum relation { LESS, LESS_EQUAL, GREATER, GREATER_EQUAL, EQUAL, DIFFERENT } relation;

/* In the order in which they are tried: longer ones first. */
static const struct {
  const char *text;
  relation relation;
} relations[] = { { "<=", LESS_EQUAL }, { ">=", GREATER_EQUAL }, { "==", EQUAL }, { "!=", DIFFERENT },
                  { "<", LESS },        { ">", GREATER },        { "=", EQUAL } };

typedef struct term {
  int left, right; /* a counter, LENGTH or CONSTANT */
  int64_t value;   /* of the constant */
  relation relation;
} term;

typedef struct step {
  size_t symbol;
  double weight;
  size_t n_terms;
  term terms[MOST_TERMS];
  int64_t change[TB_GRAPH_WORDS];
} step;

typedef struct counters {
  const tb_tree_file *file;
  const tb_tree *start, *list;
  size_t n_steps;
  step *steps;
} counters;

/* ---- following ---- */

static int64_t value_of(const tb_graph_key *key, size_t length, int which, int64_t constant) {
  return which == CONSTANT ? constant : which == LENGTH ? (int64_t)length : key->at[which];
}

static bool holds(const step *s, const tb_graph_key *key, size_t length) {
  for (size_t i = 0; i < s->n_terms; i++) {
    const term *t = &s->terms[i];
    int64_t a = value_of(key, length, t->left, t->value), b = value_of(key, length, t->right, t->value);
    const bool truth[] = { a<b, a <= b, a> b, a >= b, a == b, a != b };
    if (!truth[t->relation])
      return false;
  }
  return true;
}

static tb_status fail(const void *model, const tb_graph_key *key, const char *hint, const char *message) {
  const counters *m = model;
  return tb_tree_fail(m->file, m->list, hint, "%s", message);
}

static tb_status steps(const void *model, const tb_graph_key *key, size_t length, size_t *count, tb_graph_step *out) {
  const counters *m = model;
  double sum = 0;
  *count = 0;
  for (size_t k = 0; k < m->n_steps; k++) {
    const step *s = &m->steps[k];
    tb_graph_key next = *key;
    bool possible = s->weight > 0 && holds(s, key, length);
    for (size_t c = 0; c < m->start->count && possible; c++)
      possible = (next.at[c] += s->change[c]) >= 0;
    if (!possible)
      continue;
    out[(*count)++] = (tb_graph_step){ .symbol = s->symbol, .probability = s->weight, .next = next };
    sum += s->weight;
  }
  for (size_t k = 0; k < *count; k++)
    out[k].probability /= sum;
  if (*count > 0)
    return TB_OK;
  char where[500];
  int used = snprintf(where, sizeof where, "no step is possible at length %zu", length);
  for (size_t c = 0; c < m->start->count && used < 400; c++)
    used += snprintf(where + used, sizeof where - (size_t)used, ", %.60s = %lld", m->start->keys[c]->text,
                     (long long)key->at[c]);
  return tb_tree_fail(m->file, m->list, "add a step for this case, perhaps the end", "%s", where);
}

/* ---- reading ---- */

/* A place within a scalar: exact for text on one line without escapes. */
static tb_status fail_within(const counters *m, const tb_tree *node, const char *at, const char *hint,
                             const char *message) {
  tb_tree place = *node;
  const char *line = m->file->data;
  for (int k = 1; k < node->line && line; k++) {
    line = strchr(line, '\n');
    line += line != NULL;
  }
  bool quoted = line && strchr("'\"", line[node->column - 1]) && line[node->column - 1];
  place.column += (int)(at - node->text) + quoted;
  return tb_tree_fail(m->file, &place, hint, "when: %s", message);
}

static const char *skip(const char *at) {
  return at + strspn(at, " \t");
}

static tb_status read_operand(const counters *m, const tb_tree *node, const char **at, int *which, int64_t *value) {
  const char *from = *at = skip(*at);
  char *end;
  if (isdigit((unsigned char)*from) || (*from == '-' && isdigit((unsigned char)from[1]))) {
    *which = CONSTANT;
    *value = strtoll(from, &end, 10);
    *at = end;
    if (*value > 1000000000 || *value < -1000000000)
      return fail_within(m, node, from, NULL, "a number beyond a thousand million");
    return TB_OK;
  }
  size_t length = strcspn(from, " \t<>=!");
  *at = from + length;
  if (length == 6 && memcmp(from, "length", 6) == 0) {
    *which = LENGTH;
    return TB_OK;
  }
  const char *names[TB_GRAPH_WORDS + 1] = { "length" };
  for (size_t c = 0; c < m->start->count; c++) {
    names[c + 1] = m->start->keys[c]->text;
    if (strlen(names[c + 1]) == length && memcmp(from, names[c + 1], length) == 0) {
      *which = (int)c;
      return TB_OK;
    }
  }
  if (length == 0)
    return fail_within(m, node, from, "COUNTER OP COUNTER or NUMBER, joined by `and`",
                       "expected a counter or a number");
  const char *word = tb_arena_format(m->file->arena, "%.*s", (int)length, from);
  const char *near = word ? tb_suggest(word, names, m->start->count + 1) : NULL;
  const char *message = tb_arena_format(m->file->arena, "unknown counter '%s'", word ? word : "");
  return fail_within(m, node, from, near ? tb_arena_format(m->file->arena, "did you mean '%s'?", near) : NULL,
                     message ? message : "unknown counter");
}

static tb_status read_when(const counters *m, const tb_tree *node, step *s) {
  if (node->kind != TB_TREE_SCALAR)
    return tb_tree_fail(m->file, node, NULL, "when: expected a text, \"depth < 3\"");
  for (const char *at = node->text;;) {
    term *t = &s->terms[s->n_terms];
    size_t k = 0;
    int64_t ignored = 0;
    if (s->n_terms == MOST_TERMS)
      return fail_within(m, node, at, NULL, "more than 16 conditions");
    const char *left = at;
    tb_status status = read_operand(m, node, &at, &t->left, &ignored);
    if (status)
      return status;
    if (t->left == CONSTANT)
      return fail_within(m, node, skip(left), NULL, "a counter stands on the left");
    at = skip(at);
    while (k < sizeof relations / sizeof *relations && strncmp(at, relations[k].text, strlen(relations[k].text)) != 0)
      k++;
    if (k == sizeof relations / sizeof *relations)
      return fail_within(m, node, at, NULL, "expected one of < <= > >= == !=");
    at += strlen(relations[k].text);
    t->relation = relations[k].relation;
    status = read_operand(m, node, &at, &t->right, &t->value);
    if (status)
      return status;
    s->n_terms++;
    at = skip(at);
    if (!*at)
      return TB_OK;
    if (strncmp(at, "and", 3) != 0 || (at[3] != ' ' && at[3] != '\t'))
      return fail_within(m, node, at, "conditions are joined by `and`", "expected `and`");
    at += 3;
  }
}

static tb_status read_step(const counters *m, const tb_language *l, const tb_tree *node, step *s) {
  static const char *const keys[] = { "emit", "weight", "when", "do" };
  tb_status status = tb_tree_check_keys(m->file, node, "a step", keys, 4);
  if (status)
    return status;
  const tb_tree *emit = tb_tree_get(node, "emit"), *weight = tb_tree_get(node, "weight");
  const tb_tree *when = tb_tree_get(node, "when"), *change = tb_tree_get(node, "do");
  if (!emit)
    return tb_tree_fail(m->file, node, "emit: SYMBOL, or emit: end", "a step without `emit`");
  status = tb_tree_symbol(m->file, emit, l, true, &s->symbol);
  s->weight = 1;
  if (!status && weight)
    status = tb_tree_number(m->file, weight, 0, 1e300, "weight", &s->weight);
  if (!status && when)
    status = read_when(m, when, s);
  if (status || !change)
    return status;
  const char *names[TB_GRAPH_WORDS];
  for (size_t c = 0; c < m->start->count; c++)
    names[c] = m->start->keys[c]->text;
  status = tb_tree_check_keys(m->file, change, "`do`", names, m->start->count);
  for (size_t i = 0; i < change->count && !status; i++)
    for (size_t c = 0; c < m->start->count && !status; c++)
      if (strcmp(names[c], change->keys[i]->text) == 0)
        status = tb_tree_integer(m->file, change->items[i], -1000000, 1000000, "a change", &s->change[c]);
  return status;
}

tb_status tb_counters_read(const tb_tree_file *f, const tb_tree *node, tb_language *l) {
  static const char *const keys[] = { "start", "steps" };
  tb_graph_source source = { .steps = steps, .fail = fail };
  tb_status status = tb_tree_check_keys(f, node, "`counters`", keys, 2);
  if (status)
    return status;
  counters m = { .file = f, .start = tb_tree_get(node, "start"), .list = tb_tree_get(node, "steps") };
  if (!m.start || !m.list)
    return tb_tree_fail(f, node, NULL, "counters have `start` and `steps`");
  if (m.start->kind != TB_TREE_MAP)
    return tb_tree_fail(f, m.start, NULL, "`start` gives each counter's first value, {depth: 0}");
  if (m.start->count > TB_GRAPH_WORDS)
    return tb_tree_fail(f, m.start, NULL, "more than %d counters", TB_GRAPH_WORDS);
  if (m.list->kind != TB_TREE_LIST || m.list->count == 0)
    return tb_tree_fail(f, m.list, NULL, "`steps` is a list of steps");
  for (size_t c = 0; c < m.start->count && !status; c++) {
    if (strcmp(m.start->keys[c]->text, "length") == 0 || strpbrk(m.start->keys[c]->text, " \t<>=!"))
      return tb_tree_fail(f, m.start->keys[c], NULL, "'%s' cannot name a counter", m.start->keys[c]->text);
    status = tb_tree_integer(f, m.start->items[c], 0, 1000000, "a counter's start", &source.start.at[c]);
  }
  m.steps = tb_arena_allocate(l->arena, m.list->count, sizeof *m.steps);
  if (!m.steps)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < m.list->count && !status; i++)
    status = read_step(&m, l, m.list->items[i], &m.steps[m.n_steps++]);
  bool by_length = false;
  for (size_t i = 0; i < m.n_steps; i++)
    for (size_t k = 0; k < m.steps[i].n_terms; k++)
      by_length |= m.steps[i].terms[k].left == LENGTH || m.steps[i].terms[k].right == LENGTH;
  if (!status && by_length && l->max_length == 0)
    return tb_tree_fail(f, m.list, "set max_length", "conditions on the length need a bound on it");
  source.model = &m;
  source.most_steps = m.n_steps;
  return status ? status : tb_graph_build(l, &source);
}

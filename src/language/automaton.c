/* `automaton` of a language file: states, each with a law over the next symbol or the end. */
#include "graph.h"
#include "read.h"

#include <math.h>
#include <string.h>

typedef struct automaton {
  const tb_tree_file *file;
  const tb_tree *states; /* map */
  size_t n_symbols;
  double *probability; /* [states × (n_symbols + 1)] */
  uint32_t *next;      /* likewise */
} automaton;

static tb_status steps(const void *model, const tb_graph_key *key, size_t length, size_t *count, tb_graph_step *out) {
  const automaton *m = model;
  size_t row = (size_t)key->at[0] * (m->n_symbols + 1);
  *count = 0;
  for (size_t a = 0; a <= m->n_symbols; a++)
    if (m->probability[row + a] > 0)
      out[(*count)++] = (tb_graph_step){ .symbol = a,
                                         .probability = m->probability[row + a],
                                         .next = { .at = { m->next[row + a] } } };
  return TB_OK;
}

static tb_status fail(const void *model, const tb_graph_key *key, const char *hint, const char *message) {
  const automaton *m = model;
  const tb_tree *state = m->states->keys[key->at[0]];
  return tb_tree_fail(m->file, state, hint, "state '%s': %s", state->text, message);
}

static tb_status find_state(const automaton *m, const tb_tree *name, uint32_t *state) {
  const char *names[1000];
  size_t count = 0;
  for (size_t i = 0; i < m->states->count; i++) {
    if (name->kind == TB_TREE_SCALAR && strcmp(m->states->keys[i]->text, name->text) == 0) {
      *state = (uint32_t)i;
      return TB_OK;
    }
    if (count < 1000)
      names[count++] = m->states->keys[i]->text;
  }
  if (name->kind != TB_TREE_SCALAR)
    return tb_tree_fail(m->file, name, NULL, "expected the name of a state");
  const char *near = tb_suggest(name->text, names, count);
  return tb_tree_fail(m->file, name, near ? tb_arena_format(m->file->arena, "did you mean '%s'?", near) : NULL,
                      "unknown state '%s'", name->text);
}

/* `end: 0.2` or `a: [q, 0.3]` */
static tb_status read_arrow(automaton *m, const tb_language *l, size_t row, const tb_tree *key, const tb_tree *value,
                            double *sum) {
  size_t symbol;
  double p;
  tb_status status = tb_tree_symbol(m->file, key, l, true, &symbol);
  if (status)
    return status;
  const tb_tree *number = value;
  if (symbol < l->n_symbols) {
    if (value->kind != TB_TREE_LIST || value->count != 2)
      return tb_tree_fail(m->file, value, NULL, "expected [STATE, PROBABILITY]");
    number = value->items[1];
    status = find_state(m, value->items[0], &m->next[row + symbol]);
  }
  if (!status)
    status = tb_tree_number(m->file, number, 0, 1, "a probability", &p);
  if (!status) {
    m->probability[row + symbol] = p;
    *sum += p;
  }
  return status;
}

static tb_status read_state(automaton *m, const tb_language *l, size_t state) {
  const tb_tree *name = m->states->keys[state], *map = m->states->items[state];
  size_t row = state * (l->n_symbols + 1);
  double sum = 0;
  if (map->kind != TB_TREE_MAP)
    return tb_tree_fail(m->file, map->line ? map : name, NULL, "state '%s': expected {end: P, SYMBOL: [STATE, P], …}",
                        name->text);
  for (size_t i = 0; i < map->count; i++) {
    tb_status status = read_arrow(m, l, row, map->keys[i], map->items[i], &sum);
    if (status)
      return status;
  }
  if (fabs(sum - 1) > 1e-9)
    return tb_tree_fail(m->file, name, NULL, "the probabilities of state '%s' sum to %.10g, not 1", name->text, sum);
  for (size_t a = 0; a <= l->n_symbols; a++)
    m->probability[row + a] /= sum;
  return TB_OK;
}

tb_status tb_automaton_read(const tb_tree_file *f, const tb_tree *node, tb_language *l) {
  static const char *const keys[] = { "start", "states" };
  tb_status status = tb_tree_check_keys(f, node, "`automaton`", keys, 2);
  if (status)
    return status;
  const tb_tree *start = tb_tree_get(node, "start");
  automaton m = { .file = f, .states = tb_tree_get(node, "states"), .n_symbols = l->n_symbols };
  if (!start || !m.states)
    return tb_tree_fail(f, node, NULL, "an automaton has `start` and `states`");
  if (m.states->kind != TB_TREE_MAP || m.states->count == 0)
    return tb_tree_fail(f, m.states, NULL, "`states` is a mapping of names to laws");
  size_t cells = m.states->count * (l->n_symbols + 1);
  if (cells > 50000000)
    return tb_tree_fail(f, m.states, NULL, "too many states");
  m.probability = tb_arena_allocate(l->arena, cells, sizeof *m.probability);
  m.next = tb_arena_allocate(l->arena, cells, sizeof *m.next);
  if (!m.probability || !m.next)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < m.states->count && !status; i++)
    status = read_state(&m, l, i);
  uint32_t first = 0;
  if (!status)
    status = find_state(&m, start, &first);
  tb_graph_source source = { &m, { .at = { first } }, l->n_symbols + 1, steps, fail };
  return status ? status : tb_graph_build(l, &source);
}

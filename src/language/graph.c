/* Building the machine, conditioning on the bound, its facts, and the walk where a prefix does not fix the node.
 *
 * S(node) = P(the end comes in time), in the log domain, backwards through the layers; an edge of probability p gets
 * p S(next) / S(node).  Without a bound, visits solve v = e_start + Pᵀ v, and H = Σ v H(law), E[length] = Σ v (1 -
 * P(end)). */
#include "graph.h"

#include <num/linear.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SOLVED = 3000 };

typedef struct edge {
  uint32_t next;
  uint16_t symbol;
  double probability;
} edge;

typedef struct graph {
  size_t n_nodes, n_edges;
  size_t *first; /* [n_nodes + 1]; edges by node, then symbol */
  edge *edges;
  double *end; /* [n_nodes] */
} graph;

/* ---- building ---- */

typedef struct builder {
  tb_language *l;
  const tb_graph_source *source;
  size_t n_nodes, room, n_edges, edges_room;
  tb_graph_key *keys;
  uint32_t *lengths;
  double *end; /* ln P */
  size_t *first;
  edge *edges; /* probability: ln p */
  uint32_t *slots;
  tb_graph_step *steps;
  double *in_time; /* ln S */
} builder;

static uint64_t hash(const tb_graph_key *key, size_t length) {
  uint64_t h = 0x9e3779b97f4a7c15u ^ length;
  for (size_t i = 0; i < TB_GRAPH_WORDS; i++) {
    h = (h ^ (uint64_t)key->at[i]) * 0xff51afd7ed558ccdu;
    h ^= h >> 32;
  }
  return h;
}

static uint32_t *slot_of(const builder *b, const tb_graph_key *key, size_t length) {
  size_t mask = 2 * b->room - 1, at = hash(key, length) & mask;
  for (; b->slots[at]; at = (at + 1) & mask) {
    size_t i = b->slots[at] - 1;
    if (b->lengths[i] == length && memcmp(&b->keys[i], key, sizeof *key) == 0)
      break;
  }
  return &b->slots[at];
}

#define GROW(array, room)                                                                                              \
  do {                                                                                                                 \
    void *larger = tb_reallocate(b->l->context, array, room, sizeof *(array));                                         \
    if (!larger)                                                                                                       \
      return TB_NO_MEMORY;                                                                                             \
    (array) = larger;                                                                                                  \
  } while (0)

static tb_status grow_nodes(builder *b) {
  size_t room = b->room ? 2 * b->room : 1024;
  GROW(b->keys, room);
  GROW(b->lengths, room);
  GROW(b->end, room);
  GROW(b->first, room + 1);
  tb_release(b->l->context, b->slots);
  b->slots = tb_allocate(b->l->context, 2 * room, sizeof *b->slots);
  if (!b->slots)
    return TB_NO_MEMORY;
  b->room = room;
  for (size_t i = 0; i < b->n_nodes; i++)
    *slot_of(b, &b->keys[i], b->lengths[i]) = (uint32_t)i + 1;
  return TB_OK;
}

static tb_status node_of(builder *b, const tb_graph_key *key, size_t length, uint32_t *node) {
  if (b->n_nodes == b->room) {
    tb_status status = grow_nodes(b);
    if (status)
      return status;
  }
  uint32_t *slot = slot_of(b, key, length);
  if (!*slot) {
    size_t most = b->l->max_length ? TB_GRAPH_MOST_NODES : TB_GRAPH_MOST_NODES / 20;
    if (b->n_nodes == most)
      return b->source->fail(b->source->model, key, "set max_length, or a smaller one",
                             b->l->max_length ? "more than two million states within max_length"
                                              : "without max_length the states must be finite: more than 100000 found");
    b->keys[b->n_nodes] = *key;
    b->lengths[b->n_nodes] = (uint32_t)length;
    *slot = (uint32_t)++b->n_nodes;
  }
  *node = *slot - 1;
  return TB_OK;
}

static tb_status add_edge(builder *b, size_t from, const tb_graph_step *s, uint32_t next) {
  double p = log(s->probability);
  for (size_t i = b->first[from]; i < b->n_edges; i++)
    if (b->edges[i].next == next && b->edges[i].symbol == s->symbol) {
      b->edges[i].probability = tb_log_add(b->edges[i].probability, p);
      return TB_OK;
    }
  if (b->n_edges == b->edges_room) {
    size_t room = b->edges_room ? 2 * b->edges_room : 1024;
    GROW(b->edges, room);
    b->edges_room = room;
  }
  b->edges[b->n_edges++] = (edge){ .next = next, .symbol = (uint16_t)s->symbol, .probability = p };
  return TB_OK;
}

/* Breadth first: with a bound the nodes come out by length. */
static tb_status follow(builder *b) {
  uint32_t node;
  bool bounded = b->l->max_length > 0;
  tb_status status = node_of(b, &b->source->start, 0, &node);
  for (size_t i = 0; i < b->n_nodes && !status; i++) {
    tb_graph_key key = b->keys[i];
    size_t length = b->lengths[i], count;
    b->first[i] = b->n_edges;
    b->end[i] = -INFINITY;
    status = b->source->steps(b->source->model, &key, length, &count, b->steps);
    for (size_t k = 0; k < count && !status; k++) {
      const tb_graph_step *s = &b->steps[k];
      if (!(s->probability > 0))
        continue;
      if (s->symbol == b->l->n_symbols)
        b->end[i] = tb_log_add(b->end[i], log(s->probability));
      else if (!bounded || length < b->l->max_length) {
        status = node_of(b, &s->next, bounded ? length + 1 : 0, &node);
        if (!status)
          status = add_edge(b, i, s, node);
      }
    }
  }
  if (!status)
    b->first[b->n_nodes] = b->n_edges;
  return status;
}

/* ln S of every node; without a bound the end comes for certain where it can be reached from everywhere. */
static tb_status condition(builder *b) {
  b->in_time = tb_allocate(b->l->context, b->n_nodes, sizeof *b->in_time);
  if (!b->in_time)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < b->n_nodes; i++)
    b->in_time[i] = b->l->max_length || isinf(b->end[i]) ? -INFINITY : 0;
  for (size_t i = b->n_nodes; b->l->max_length && i-- > 0;) {
    b->in_time[i] = b->end[i];
    for (size_t e = b->first[i]; e < b->first[i + 1]; e++)
      b->in_time[i] = tb_log_add(b->in_time[i], b->edges[e].probability + b->in_time[b->edges[e].next]);
  }
  for (bool changed = !b->l->max_length; changed;) {
    changed = false;
    for (size_t i = b->n_nodes; i-- > 0;)
      for (size_t e = b->first[i]; e < b->first[i + 1] && isinf(b->in_time[i]); e++)
        if (!isinf(b->in_time[b->edges[e].next])) {
          b->in_time[i] = 0;
          changed = true;
        }
  }
  if (b->l->max_length)
    return isinf(b->in_time[0]) ? b->source->fail(b->source->model, &b->keys[0], "a larger max_length",
                                                  "no string is as short as max_length")
                                : TB_OK;
  for (size_t i = 0; i < b->n_nodes; i++)
    if (isinf(b->in_time[i]))
      return b->source->fail(b->source->model, &b->keys[i], "every state needs a way to the end, or set max_length",
                             "from this state the end can't be reached");
  return TB_OK;
}

static int by_symbol(const void *a, const void *b) {
  const edge *x = a, *y = b;
  return x->symbol != y->symbol ? (x->symbol > y->symbol) - (x->symbol < y->symbol)
                                : (x->next > y->next) - (x->next < y->next);
}

static const tb_language_kind machine, belief_machine;

/* Moves the machine to the language, edges conditioned, impossible ones left out. */
static tb_status keep(builder *b) {
  tb_language *l = b->l;
  graph *g = tb_arena_allocate(l->arena, 1, sizeof *g);
  if (!g)
    return TB_NO_MEMORY;
  g->n_nodes = b->n_nodes;
  g->first = tb_arena_allocate(l->arena, b->n_nodes + 1, sizeof *g->first);
  g->edges = tb_arena_allocate(l->arena, b->n_edges, sizeof *g->edges);
  g->end = tb_arena_allocate(l->arena, b->n_nodes, sizeof *g->end);
  if (!g->first || !g->edges || !g->end)
    return TB_NO_MEMORY;
  bool deterministic = true;
  for (size_t i = 0; i < b->n_nodes; i++) {
    g->first[i] = g->n_edges;
    if (isinf(b->in_time[i])) /* never visited */
      continue;
    g->end[i] = exp(b->end[i] - b->in_time[i]);
    for (size_t e = b->first[i]; e < b->first[i + 1]; e++) {
      edge kept = b->edges[e];
      kept.probability = exp(kept.probability + b->in_time[kept.next] - b->in_time[i]);
      if (kept.probability > 0)
        g->edges[g->n_edges++] = kept;
    }
    qsort(g->edges + g->first[i], g->n_edges - g->first[i], sizeof *g->edges, by_symbol);
    for (size_t e = g->first[i] + 1; e < g->n_edges; e++)
      deterministic &= g->edges[e].symbol != g->edges[e - 1].symbol;
  }
  g->first[b->n_nodes] = g->n_edges;
  l->data = g;
  l->kind = deterministic ? &machine : &belief_machine;
  return TB_OK;
}

tb_status tb_graph_build(tb_language *l, const tb_graph_source *source) {
  builder b = { .l = l, .source = source };
  b.steps = tb_allocate(l->context, source->most_steps + 1, sizeof *b.steps);
  tb_status status = b.steps ? follow(&b) : TB_NO_MEMORY;
  if (!status)
    status = condition(&b);
  if (!status)
    status = keep(&b);
  tb_release(l->context, b.keys);
  tb_release(l->context, b.lengths);
  tb_release(l->context, b.end);
  tb_release(l->context, b.first);
  tb_release(l->context, b.edges);
  tb_release(l->context, b.slots);
  tb_release(l->context, b.steps);
  tb_release(l->context, b.in_time);
  return status;
}

/* ---- a prefix fixes the node ---- */

static void start(const tb_language *l, tb_language_state *s) {
  memset(s, 0, sizeof *s);
}

static void add_law(const graph *g, size_t n_symbols, size_t node, double weight, double *law) {
  law[n_symbols] += weight * g->end[node];
  for (size_t e = g->first[node]; e < g->first[node + 1]; e++)
    law[g->edges[e].symbol] += weight * g->edges[e].probability;
}

static void law(const tb_language *l, const tb_language_state *s, double *law) {
  memset(law, 0, (l->n_symbols + 1) * sizeof *law);
  add_law(l->data, l->n_symbols, (size_t)s->at[0], 1, law);
}

static void step(const tb_language *l, tb_language_state *s, size_t symbol) {
  const graph *g = l->data;
  size_t e = g->first[s->at[0]];
  while (g->edges[e].symbol != symbol)
    e++;
  s->at[0] = (int32_t)g->edges[e].next;
}

/* ---- facts ---- */

/* Length of the longest path from the start in edges; SIZE_MAX when there is a cycle.  order: nodes so that edges lead
 * forwards, [n_nodes]; all nodes can be reached. */
static bool sort_nodes(const graph *g, size_t *order, uint32_t *entering) {
  size_t done = 0;
  memset(entering, 0, g->n_nodes * sizeof *entering);
  for (size_t e = 0; e < g->n_edges; e++)
    entering[g->edges[e].next]++;
  for (size_t i = 0; i < g->n_nodes; i++)
    if (entering[i] == 0)
      order[done++] = i;
  for (size_t i = 0; i < done; i++)
    for (size_t e = g->first[order[i]]; e < g->first[order[i] + 1]; e++)
      if (--entering[g->edges[e].next] == 0)
        order[done++] = g->edges[e].next;
  return done == g->n_nodes;
}

/* visits[n_nodes] along the order; *paths: number of ways to the end. */
static tb_status visit_forwards(tb_context *context, const graph *g, const size_t *order, double *visits,
                                double *paths) {
  double *ways = tb_allocate(context, g->n_nodes, sizeof *ways);
  if (!ways)
    return TB_NO_MEMORY;
  visits[0] = ways[0] = 1;
  *paths = 0;
  for (size_t k = 0; k < g->n_nodes; k++) {
    size_t i = order[k];
    *paths += g->end[i] > 0 ? ways[i] : 0;
    for (size_t e = g->first[i]; e < g->first[i + 1]; e++) {
      visits[g->edges[e].next] += visits[i] * g->edges[e].probability;
      ways[g->edges[e].next] += ways[i];
    }
  }
  tb_release(context, ways);
  return TB_OK;
}

static tb_status visit_solving(tb_context *context, const graph *g, double *visits, bool *solved) {
  size_t n = g->n_nodes;
  bool singular = true;
  *solved = false;
  if (n > MOST_SOLVED)
    return TB_OK;
  double *matrix = tb_allocate(context, n * n, sizeof *matrix);
  if (!matrix)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < n; i++) {
    matrix[i * n + i] += 1;
    for (size_t e = g->first[i]; e < g->first[i + 1]; e++)
      matrix[g->edges[e].next * n + i] -= g->edges[e].probability;
  }
  visits[0] = 1;
  tb_status status = tb_lu_solve(context, n, matrix, 1, visits, &singular);
  *solved = !singular;
  tb_release(context, matrix);
  return status;
}

/* What visits tell: everything but the number of strings. */
static tb_status add_up(tb_context *context, const tb_language *l, const double *visits, tb_language_facts *f) {
  const graph *g = l->data;
  double right = 0, *law = tb_allocate(context, l->n_symbols + 1, sizeof *law);
  if (!law)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < g->n_nodes; i++) {
    double most = 0;
    if (!(visits[i] > 0))
      continue;
    memset(law, 0, (l->n_symbols + 1) * sizeof *law);
    add_law(g, l->n_symbols, i, 1, law);
    for (size_t a = 0; a <= l->n_symbols; a++)
      most = fmax(most, law[a]);
    f->entropy += visits[i] * tb_law_entropy(l->n_symbols + 1, law);
    f->mean_length += visits[i] * (1 - law[l->n_symbols]);
    right += visits[i] * most;
  }
  tb_language_close_facts(l, f, right);
  tb_release(context, law);
  return TB_OK;
}

static tb_status measure(tb_context *context, const tb_language *l, tb_language_facts *f) {
  const graph *g = l->data;
  *f = (tb_language_facts){ 0 };
  double *visits = tb_allocate(context, g->n_nodes, sizeof *visits);
  size_t *order = tb_allocate(context, g->n_nodes, sizeof *order);
  uint32_t *entering = tb_allocate(context, g->n_nodes, sizeof *entering);
  tb_status status = visits && order && entering ? TB_OK : TB_NO_MEMORY;
  bool solved = true;
  if (!status && sort_nodes(g, order, entering)) {
    status = visit_forwards(context, g, order, visits, &f->strings);
  } else if (!status) {
    f->strings = INFINITY;
    status = visit_solving(context, g, visits, &solved);
  }
  if (!status && solved)
    status = add_up(context, l, visits, f);
  if (!status && !solved) {
    f->entropy = f->mean_length = f->positions = f->optimal_loss = f->optimal_accuracy = NAN;
    f->reason = g->n_nodes > MOST_SOLVED ? "without max_length, more than 3000 states" : "the end is too improbable";
  }
  tb_release(context, visits);
  tb_release(context, order);
  tb_release(context, entering);
  return status;
}

static const tb_language_kind machine = {
  .name = "machine", .start = start, .law = law, .step = step, .measure = measure
};

/* ---- a prefix leaves a belief over nodes ---- */

typedef struct part {
  uint32_t node;
  double weight;
} part;

typedef struct belief {
  tb_context *context;
  const tb_language *l;
  size_t depth, room, *first; /* [room]; parts of the belief at a depth, first[depth + 1] the end */
  size_t parts_room;
  part *parts;
} belief;

static void belief_free(void *walk) {
  belief *b = walk;
  tb_release(b->context, b->first);
  tb_release(b->context, b->parts);
  tb_release(b->context, b);
}

static tb_status belief_reserve(belief *b, size_t depth, size_t parts) {
  if (depth + 2 > b->room) {
    size_t room = 2 * depth + 16, *first = tb_reallocate(b->context, b->first, room, sizeof *first);
    if (!first)
      return TB_NO_MEMORY;
    b->first = first;
    b->room = room;
  }
  if (parts > b->parts_room) {
    size_t room = 2 * parts + 16;
    part *larger = tb_reallocate(b->context, b->parts, room, sizeof *larger);
    if (!larger)
      return TB_NO_MEMORY;
    b->parts = larger;
    b->parts_room = room;
  }
  return TB_OK;
}

static tb_status belief_new(tb_context *context, const tb_language *l, void **walk) {
  belief *b = *walk = tb_allocate(context, 1, sizeof *b);
  if (!b)
    return TB_NO_MEMORY;
  b->context = context;
  b->l = l;
  tb_status status = belief_reserve(b, 0, 1);
  if (!status) {
    b->first[0] = 0;
    b->first[1] = 1;
    b->parts[0] = (part){ .node = 0, .weight = 1 };
  }
  return status;
}

static void belief_law(void *walk, double *law) {
  belief *b = walk;
  memset(law, 0, (b->l->n_symbols + 1) * sizeof *law);
  for (size_t k = b->first[b->depth]; k < b->first[b->depth + 1]; k++)
    add_law(b->l->data, b->l->n_symbols, b->parts[k].node, b->parts[k].weight, law);
}

static int by_node(const void *a, const void *b) {
  const part *x = a, *y = b;
  return (x->node > y->node) - (x->node < y->node);
}

static tb_status belief_push(void *walk, size_t symbol, double probability) {
  belief *b = walk;
  const graph *g = b->l->data;
  size_t from = b->first[b->depth], to = b->first[b->depth + 1], at = to, kept = to;
  for (size_t k = from; k < to; k++) {
    size_t node = b->parts[k].node;
    tb_status status = belief_reserve(b, b->depth + 1, at + g->first[node + 1] - g->first[node]);
    if (status)
      return status;
    for (size_t e = g->first[node]; e < g->first[node + 1]; e++)
      if (g->edges[e].symbol == symbol)
        b->parts[at++] =
            (part){ .node = g->edges[e].next, .weight = b->parts[k].weight * g->edges[e].probability / probability };
  }
  qsort(b->parts + to, at - to, sizeof *b->parts, by_node);
  for (size_t k = to; k < at; k++)
    if (kept > to && b->parts[kept - 1].node == b->parts[k].node)
      b->parts[kept - 1].weight += b->parts[k].weight;
    else
      b->parts[kept++] = b->parts[k];
  b->depth++;
  b->first[b->depth + 1] = kept;
  return TB_OK;
}

static void belief_pop(void *walk) {
  ((belief *)walk)->depth--;
}

/* Strings are enumerated; where there are too many, the mean length still follows from visits. */
static tb_status belief_measure(tb_context *context, const tb_language *l, tb_language_facts *f) {
  tb_language_facts listed;
  bool whole;
  tb_status status = measure(context, l, f);
  if (status)
    return status;
  f->entropy = f->optimal_loss = f->optimal_accuracy = NAN;
  if (isinf(f->strings)) {
    f->reason = "steps that emit the same symbol, and infinitely many strings";
    return TB_OK;
  }
  f->strings = NAN;
  f->reason = "a prefix does not fix the counters, and there are more than a million strings";
  status = tb_language_measure_strings(context, l, &listed, 0, &whole);
  if (!status && whole)
    *f = listed;
  return status;
}

static const tb_language_kind belief_machine = {
  .name = "belief",
  .walk_new = belief_new,
  .walk_free = belief_free,
  .walk_law = belief_law,
  .walk_push = belief_push,
  .walk_pop = belief_pop,
  .measure = belief_measure,
};

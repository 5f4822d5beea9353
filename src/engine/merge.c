/* Loops that are one: a loop whose steps another loop takes as well is not run a second time.
 *
 * Forward mode writes a loop's body out again beside its tangents.  Where the loop's own results are wanted, too (a
 * value and its directional derivative; a Hessian product, whose reverse loop reads the entries), the larger loop
 * yields them: it has carries that start from the same values and go through the same steps, so they are the same
 * values.  What the smaller loop stacks besides is computed and stacked by the larger one, too.
 *
 * That carries are the same is assumed and then checked: if all of them enter a step with the same values and leave it
 * with the same node, they do so at every step. */
#include "engine/rewrite.h"

#include <string.h>

enum { NONE = UINT32_MAX };

typedef struct merging {
  tb_context *context;
  const tb_graph *graph;
  uint32_t smaller, larger; /* scans */
  uint32_t *same;           /* [nodes of the smaller body]: the node of the larger one */
  uint32_t *carry;          /* [carries of the smaller]: of the larger */
  bool *steps, *stacked;    /* [nodes of the smaller body]: what its carries, and what its outs need */
  bool *before;             /* [nodes]: what the larger loop needs, and itself */
} merging;

/* ---- the same steps ---- */

static bool same_bodies(const tb_scan *a, const tb_scan *b);

static bool same_node(const tb_node *a, const tb_node *b, const uint32_t *same) {
  if (a->op != b->op || a->dtype != b->dtype || !tb_same_shape(a, b) || a->operand_count != b->operand_count ||
      memcmp(&a->attributes, &b->attributes, sizeof a->attributes) != 0 || a->op == TB_OP_TILES ||
      (a->data && memcmp(a->data, b->data, tb_node_bytes(a)) != 0) || (a->scan && !same_bodies(a->scan, b->scan)))
    return false;
  for (uint32_t k = 0; k < a->operand_count; k++)
    if (same[a->operands[k]] != b->operands[k])
      return false;
  return true;
}

/* Node by node, in order: what one body and its copy are. */
static bool same_bodies(const tb_scan *a, const tb_scan *b) {
  const tb_graph *g = a->body, *h = b->body;
  bool same = a->length == b->length && a->reverse == b->reverse && a->carries == b->carries &&
              a->slices == b->slices && a->constants == b->constants && a->outs == b->outs && g->count == h->count;
  for (uint32_t i = 0; i < g->count && same; i++) {
    const tb_node *x = g->nodes[i], *y = h->nodes[i];
    same = x->op == y->op && x->dtype == y->dtype && tb_same_shape(x, y) && x->operand_count == y->operand_count &&
           memcmp(&x->attributes, &y->attributes, sizeof x->attributes) == 0 && x->op != TB_OP_TILES &&
           (!x->data || memcmp(x->data, y->data, tb_node_bytes(x)) == 0) &&
           (!x->scan || same_bodies(x->scan, y->scan)) &&
           (x->operand_count == 0 || memcmp(x->operands, y->operands, x->operand_count * sizeof *x->operands) == 0);
  }
  return same && (tb_scan_body_results(a) == 0 ||
                  memcmp(a->results, b->results, tb_scan_body_results(a) * sizeof *a->results) == 0);
}

/* The larger loop's operand of the same kind with the same value, from..to; NONE: there is none. */
static uint32_t find_operand(const tb_node *larger, uint32_t value, uint32_t from, uint32_t to) {
  for (uint32_t i = from; i < to; i++)
    if (larger->operands[i] == value)
      return i;
  return NONE;
}

/* Assumes carries with the same start to be the same. */
static bool match_inputs(const merging *m) {
  const tb_node *a = m->graph->nodes[m->smaller], *b = m->graph->nodes[m->larger];
  const uint32_t ends[2][4] = {
    { 0, a->scan->carries, a->scan->carries + a->scan->slices, a->operand_count },
    { 0, b->scan->carries, b->scan->carries + b->scan->slices, b->operand_count },
  };
  m->same[a->scan->body->inputs[0]] = b->scan->body->inputs[0];
  for (int kind = 0; kind < 3; kind++) {
    uint32_t next = ends[1][kind];
    for (uint32_t i = ends[0][kind]; i < ends[0][kind + 1]; i++) {
      /* several carries may start alike: in the order in which they stand */
      uint32_t found = find_operand(b, a->operands[i], next, ends[1][kind + 1]);
      if (found == NONE && kind > 0)
        found = find_operand(b, a->operands[i], ends[1][kind], ends[1][kind + 1]);
      if (found == NONE)
        return false;
      m->same[a->scan->body->inputs[1 + i]] = b->scan->body->inputs[1 + found];
      if (kind == 0) {
        m->carry[i] = found;
        next = found + 1;
      }
    }
  }
  return true;
}

static void mark(const tb_graph *body, uint32_t count, const uint32_t *results, bool *needed) {
  memset(needed, 0, body->count * sizeof *needed);
  for (uint32_t i = 0; i < count; i++)
    needed[results[i]] = true;
  for (uint32_t i = body->count; i-- > 0;)
    for (uint32_t k = 0; k < body->nodes[i]->operand_count && needed[i]; k++)
      needed[body->nodes[i]->operands[k]] = true;
}

/* The carries leave a step with the same values; outs are made of what can be computed anywhere. */
static bool match_steps(const merging *m) {
  const tb_scan *a = m->graph->nodes[m->smaller]->scan, *b = m->graph->nodes[m->larger]->scan;
  mark(a->body, a->carries, a->results, m->steps);
  mark(a->body, a->outs, a->results + a->carries, m->stacked);
  uint32_t next = 0; /* a copy stands in the same order */
  for (uint32_t i = 0; i < a->body->count; i++) {
    const tb_node *node = a->body->nodes[i];
    if (m->stacked[i] && (node->op == TB_OP_SCAN || node->op == TB_OP_RESULT))
      return false;
    if (node->op == TB_OP_INPUT || !m->steps[i])
      continue;
    uint32_t tried = 0;
    while (tried < b->body->count && !same_node(node, b->body->nodes[next], m->same)) {
      next = next + 1 < b->body->count ? next + 1 : 0;
      tried++;
    }
    if (tried == b->body->count)
      return false;
    m->same[i] = next;
  }
  for (uint32_t i = 0; i < a->carries; i++)
    if (m->same[a->results[i]] != b->results[m->carry[i]])
      return false;
  return true;
}

/* ---- which loops ---- */

/* before: what a scan needs; false where that is something of the other one. */
static bool find_needs(const merging *m) {
  const tb_graph *graph = m->graph;
  memset(m->before, 0, graph->count * sizeof *m->before);
  m->before[m->larger] = true;
  for (uint32_t i = m->larger + 1; i-- > 0;)
    for (uint32_t k = 0; k < graph->nodes[i]->operand_count && m->before[i]; k++)
      m->before[graph->nodes[i]->operands[k]] = true;
  return !m->before[m->smaller];
}

static bool could_merge(const tb_scan *a, const tb_scan *b) {
  return a->length == b->length && a->reverse == b->reverse && a->length > 0 && a->carries > 0 &&
         a->carries <= b->carries && a->slices <= b->slices && a->constants <= b->constants &&
         a->body->count <= b->body->count;
}

static bool find_pair(merging *m) {
  const tb_graph *graph = m->graph;
  for (m->smaller = 0; m->smaller < graph->count; m->smaller++) {
    if (graph->nodes[m->smaller]->op != TB_OP_SCAN)
      continue;
    for (m->larger = 0; m->larger < graph->count; m->larger++)
      if (m->larger != m->smaller && graph->nodes[m->larger]->op == TB_OP_SCAN &&
          could_merge(graph->nodes[m->smaller]->scan, graph->nodes[m->larger]->scan) && match_inputs(m) &&
          match_steps(m) && find_needs(m))
        return true;
  }
  return false;
}

/* ---- the graph with one of them ---- */

typedef struct writing {
  const merging *m;
  tb_rewriter w;
  uint32_t *map; /* [nodes] */
  bool *written; /* [nodes] */
} writing;

/* The larger loop with the outs of the smaller one behind its own; results of both are mapped. */
static tb_status write_larger(writing *l) {
  const tb_graph *graph = l->m->graph;
  const tb_node *a = graph->nodes[l->m->smaller], *b = graph->nodes[l->m->larger];
  const tb_scan *small = a->scan, *old = b->scan;
  const uint32_t results = tb_scan_body_results(old), more = small->outs, all = results + more;
  tb_arena *arena = l->w.to->arena;
  tb_scan *scan = tb_arena_allocate(arena, 1, sizeof *scan);
  uint32_t *found = tb_arena_allocate(arena, all + 1, sizeof *found);
  uint32_t *operands = tb_arena_allocate(arena, b->operand_count + 1, sizeof *operands);
  uint32_t *at = tb_arena_allocate(arena, all + old->carries + 1, sizeof *at); /* results in the new graph */
  if (!scan || !found || !operands || !at)
    return TB_NO_MEMORY;
  for (uint32_t k = 0; k < b->operand_count; k++)
    operands[k] = l->map[b->operands[k]];
  const tb_body_edit edit = { .source = small->body,
                              .known = l->m->stacked,
                              .same_as = l->m->same,
                              .tape_count = more,
                              .tape = small->results + small->carries };
  *scan = *old;
  scan->results = found;
  scan->outs += more;
  tb_status status = tb_rewrite_graph(l->m->context, old->body, results, old->results, NULL, &edit, found, &scan->body);
  if (status != TB_OK)
    return status;
  tb_node node = *b;
  node.scan = scan;
  status = tb_rewrite_append(&l->w, &node, b->operand_count, operands, &l->map[l->m->larger]);
  if (status != TB_OK) {
    tb_graph_free(scan->body);
    return status;
  }
  for (uint32_t r = 0; r < all + old->carries && status == TB_OK; r++) {
    const bool new = r >= results &&r < all;
    const uint32_t from =
        new ? l->m->smaller + 1 + small->carries + (r - results) : l->m->larger + 1 + (r < results ? r : r - more);
    tb_node result = *graph->nodes[from];
    result.attributes.index = r;
    status = tb_rewrite_append(&l->w, &result, 1, &l->map[l->m->larger], &at[r]);
    l->map[from] = at[r];
  }
  l->map[l->m->smaller] = l->map[l->m->larger];
  for (uint32_t i = 0; i < small->carries && status == TB_OK; i++) {
    l->map[l->m->smaller + 1 + i] = at[l->m->carry[i]];
    l->map[l->m->smaller + 1 + tb_scan_body_results(small) + i] = at[all + l->m->carry[i]];
  }
  return status;
}

/* A node; behind a scan its results, which stay together. */
static tb_status write_node(writing *l, uint32_t index) {
  const tb_graph *graph = l->m->graph;
  const tb_node *node = graph->nodes[index];
  if (l->written[index])
    return TB_OK;
  l->written[index] = true;
  uint32_t *operands = tb_arena_allocate(l->w.to->arena, node->operand_count + 1, sizeof *operands);
  tb_node copy = *node;
  if (!operands)
    return TB_NO_MEMORY;
  for (uint32_t k = 0; k < node->operand_count; k++)
    operands[k] = l->map[node->operands[k]];
  if (node->op == TB_OP_INPUT && !(copy.name = tb_arena_text(l->w.to->arena, node->name ? node->name : "")))
    return TB_NO_MEMORY;
  copy.scan = NULL;
  tb_status status = node->scan ? tb_scan_copy(l->m->context, node->scan, l->w.to->arena, &copy.scan) : TB_OK;
  if (status == TB_OK)
    status = tb_rewrite_append(&l->w, &copy, node->operand_count, operands, &l->map[index]);
  if (status != TB_OK && copy.scan)
    tb_graph_free(copy.scan->body);
  for (uint32_t r = 1; node->scan && r <= tb_scan_results(node->scan) && status == TB_OK; r++) {
    const tb_node *result = graph->nodes[index + r];
    l->written[index + r] = true;
    status = tb_rewrite_append(&l->w, result, 1, &l->map[index], &l->map[index + r]);
  }
  return status;
}

static tb_status write_any(writing *l, uint32_t index) {
  const uint32_t larger = l->m->larger, smaller = l->m->smaller;
  if (index != larger)
    return index == smaller ? TB_OK : write_node(l, index);
  if (l->written[larger])
    return TB_OK;
  l->written[larger] = l->written[smaller] = true;
  for (uint32_t r = 1; r <= tb_scan_results(l->m->graph->nodes[larger]->scan); r++)
    l->written[larger + r] = true;
  for (uint32_t r = 1; r <= tb_scan_results(l->m->graph->nodes[smaller]->scan); r++)
    l->written[smaller + r] = true;
  return write_larger(l);
}

/* In order, but what the larger loop needs stands before what reads either. */
static tb_status write_all(writing *l) {
  const tb_graph *graph = l->m->graph;
  tb_status status = TB_OK;
  l->w.to->inputs = tb_allocate(l->w.context, graph->input_count + 1, sizeof *l->w.to->inputs);
  l->w.to->input_capacity = graph->input_count + 1;
  if (!l->w.to->inputs)
    return TB_NO_MEMORY;
  for (uint32_t i = 0; i < graph->count && status == TB_OK; i++) {
    for (uint32_t k = 0; i == l->m->smaller && k <= l->m->larger && status == TB_OK; k++)
      if (l->m->before[k])
        status = write_any(l, k);
    if (status == TB_OK)
      status = write_any(l, i);
  }
  for (uint32_t i = 0; i < graph->input_count && status == TB_OK; i++)
    l->w.to->inputs[l->w.to->input_count++] = l->map[graph->inputs[i]];
  return status;
}

tb_status tb_merge(tb_context *context, const tb_graph *graph, size_t n_out, const uint32_t *outputs,
                   uint32_t *outputs_new, tb_graph **to) {
  uint32_t most = 0;
  *to = NULL;
  for (uint32_t i = 0; i < graph->count; i++)
    if (graph->nodes[i]->op == TB_OP_SCAN && graph->nodes[i]->scan->body->count > most)
      most = graph->nodes[i]->scan->body->count;
  if (most == 0)
    return TB_OK;
  tb_arena *arena = tb_arena_new(context);
  merging m = { .context = context, .graph = graph };
  writing l = { .m = &m, .w = { .context = context } };
  m.same = arena ? tb_arena_allocate(arena, most + 1, sizeof *m.same) : NULL;
  m.carry = arena ? tb_arena_allocate(arena, most + 1, sizeof *m.carry) : NULL;
  m.steps = arena ? tb_arena_allocate(arena, most + 1, sizeof *m.steps) : NULL;
  m.stacked = arena ? tb_arena_allocate(arena, most + 1, sizeof *m.stacked) : NULL;
  m.before = arena ? tb_arena_allocate(arena, graph->count + 1, sizeof *m.before) : NULL;
  l.map = arena ? tb_arena_allocate(arena, graph->count + 1, sizeof *l.map) : NULL;
  l.written = arena ? tb_arena_allocate(arena, graph->count + 1, sizeof *l.written) : NULL;
  tb_status status = m.same && m.carry && m.steps && m.stacked && m.before && l.map && l.written ? TB_OK : TB_NO_MEMORY;
  if (status == TB_OK && find_pair(&m)) {
    status = tb_graph_new(context, &l.w.to);
    if (status == TB_OK)
      status = write_all(&l);
    status = tb_rewrite_end(&l.w, status, l.map, n_out, outputs, outputs_new, to);
  }
  tb_arena_free(arena);
  return status;
}

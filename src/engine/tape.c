/* Tapes: a reverse loop reads what the forward loop computed, instead of computing it again.
 *
 * Reverse mode writes a loop's body out again, from the entries of its carries.  What there depends only on entries,
 * slices and constants that the forward loop has too is known when the forward loop runs: it is computed there once,
 * and what the rest of the reverse body needs of it becomes a stacked result of the one loop and a slice of the other.
 * An activation and its derivative then share a step.  Views are taken again from what they show.  A tape that is too
 * long is the executor's affair (lower_loop.c). */
#include "engine/rewrite.h"

#include <string.h>

enum { NONE = UINT32_MAX };

typedef struct tape {
  tb_context *context;
  const tb_graph *graph;
  uint32_t forward, backward; /* the two scans */
  bool *known;                /* [nodes of the backward body] */
  bool *replaced;             /* [same]: read from the tape */
  uint32_t *same_as;          /* [same]: of known inputs, the node of the forward body */
  uint32_t count, *nodes;     /* on the tape, in order */
} tape;

/* ---- what is known ---- */

/* The forward body's node that an operand of the backward loop equals, step by step; slice: it is one slice a step. */
static uint32_t forward_node(const tape *t, uint32_t operand, bool slice) {
  const tb_node *f = t->graph->nodes[t->forward], *a = t->graph->nodes[operand];
  const tb_scan *scan = f->scan;
  const uint32_t slices = scan->carries, constants = slices + scan->slices;
  if (slice && a->op == TB_OP_RESULT && a->operands[0] == t->forward) {
    const uint32_t r = a->attributes.index, results = tb_scan_body_results(scan);
    return r >= results ? scan->body->inputs[1 + r - results] : r >= scan->carries ? scan->results[r] : NONE;
  }
  for (uint32_t i = slice ? slices : constants; i < (slice ? constants : f->operand_count); i++)
    if (f->operands[i] == operand)
      return scan->body->inputs[1 + i];
  return NONE;
}

static void find_known(tape *t) {
  const tb_node *r = t->graph->nodes[t->backward];
  const tb_scan *scan = r->scan;
  const tb_graph *body = scan->body;
  for (uint32_t i = 0; i < body->input_count; i++) {
    const bool slice = i >= 1 + scan->carries && i < 1 + scan->carries + scan->slices;
    const uint32_t same = i == 0                  ? t->graph->nodes[t->forward]->scan->body->inputs[0]
                          : i < 1 + scan->carries ? NONE
                                                  : forward_node(t, r->operands[i - 1], slice);
    t->same_as[body->inputs[i]] = same;
    t->known[body->inputs[i]] = same != NONE;
  }
  for (uint32_t i = 0; i < body->count; i++) {
    const tb_node *node = body->nodes[i];
    if (node->op == TB_OP_INPUT || node->op == TB_OP_SCAN || node->op == TB_OP_RESULT)
      continue;
    t->known[i] = true;
    for (uint32_t k = 0; k < node->operand_count; k++)
      t->known[i] = t->known[i] && t->known[node->operands[k]];
  }
}

/* Known nodes that the rest needs, views looked through; false: none. */
static bool find_tape(tape *t, bool *wanted) {
  const tb_scan *scan = t->graph->nodes[t->backward]->scan;
  const tb_graph *body = scan->body;
  t->count = 0;
  for (uint32_t i = 0; i < tb_scan_body_results(scan); i++)
    wanted[scan->results[i]] = true;
  for (uint32_t i = body->count; i-- > 0;) {
    const tb_node *node = body->nodes[i];
    if (!wanted[i] || node->operand_count == 0)
      continue;
    if (t->known[i] && !tb_op_is_view(node->op)) {
      t->replaced[i] = true;
      t->count++;
    } else {
      for (uint32_t k = 0; k < node->operand_count; k++)
        wanted[node->operands[k]] = true;
    }
  }
  for (uint32_t i = 0, n = 0; i < body->count; i++)
    if (t->replaced[i])
      t->nodes[n++] = i;
  return t->count > 0;
}

static bool reads_entries(const tb_graph *graph, const tb_node *r, uint32_t *forward) {
  for (uint32_t i = 0; i < r->scan->slices; i++) {
    const tb_node *a = graph->nodes[r->operands[r->scan->carries + i]];
    if (a->op != TB_OP_RESULT)
      continue;
    const tb_scan *scan = graph->nodes[a->operands[0]]->scan;
    if (a->attributes.index >= tb_scan_body_results(scan) && scan->length == r->scan->length) {
      *forward = a->operands[0];
      return true;
    }
  }
  return false;
}

/* The next pair of loops with something to move. */
static tb_status find_pair(tape *t, tb_arena *arena, bool *found) {
  const tb_graph *graph = t->graph;
  *found = false;
  for (uint32_t i = 0; i < graph->count && !*found; i++) {
    if (graph->nodes[i]->op != TB_OP_SCAN || !reads_entries(graph, graph->nodes[i], &t->forward))
      continue;
    const size_t n = graph->nodes[i]->scan->body->count + 1;
    t->backward = i;
    t->known = tb_arena_allocate(arena, n, sizeof *t->known);
    t->replaced = tb_arena_allocate(arena, n, sizeof *t->replaced);
    t->same_as = tb_arena_allocate(arena, n, sizeof *t->same_as);
    t->nodes = tb_arena_allocate(arena, n, sizeof *t->nodes);
    bool *wanted = tb_arena_allocate(arena, n, sizeof *wanted);
    if (!t->known || !t->replaced || !t->same_as || !t->nodes || !wanted)
      return TB_NO_MEMORY;
    find_known(t);
    *found = find_tape(t, wanted);
  }
  return TB_OK;
}

/* ---- the graph with the tape ---- */

typedef struct laying {
  const tape *t;
  tb_rewriter w;
  uint32_t *map;  /* [nodes] */
  uint32_t *tape; /* [count]: results of the forward loop in the new graph */
} laying;

/* A scan of the same kind with another body and more slices or outs; its results follow. */
static tb_status append_scan(laying *l, uint32_t index, tb_scan *scan, const uint32_t *operands, uint32_t count) {
  const tb_graph *graph = l->t->graph;
  const tb_scan *old = graph->nodes[index]->scan;
  const uint32_t results = tb_scan_body_results(old), more = scan->outs - old->outs;
  tb_node node = *graph->nodes[index];
  node.scan = scan;
  tb_status status = tb_rewrite_append(&l->w, &node, count, operands, &l->map[index]);
  if (status != TB_OK) {
    tb_graph_free(scan->body);
    return status;
  }
  for (uint32_t r = 0; r < tb_scan_results(scan) && status == TB_OK; r++) {
    const bool new = r >= results &&r < results + more;
    const uint32_t from = index + 1 + (r < results ? r : r - more);
    tb_node result = *graph->nodes[new ? index + 1 : from];
    if (new) {
      const tb_node *stacked = l->t->graph->nodes[l->t->backward]->scan->body->nodes[l->t->nodes[r - results]];
      result = (tb_node){ .op = TB_OP_RESULT,
                          .dtype = stacked->dtype,
                          .rank = stacked->rank + 1,
                          .elements = stacked->elements * scan->length,
                          .place = stacked->place };
      result.dims[0] = scan->length;
      memcpy(result.dims + 1, stacked->dims, stacked->rank * sizeof result.dims[0]);
    }
    result.attributes.index = r;
    status = tb_rewrite_append(&l->w, &result, 1, &l->map[index], new ? &l->tape[r - results] : &l->map[from]);
  }
  return status;
}

static tb_status lay(laying *l, uint32_t index) {
  const tape *t = l->t;
  const tb_graph *graph = t->graph;
  const tb_node *node = graph->nodes[index];
  const tb_scan *old = node->scan;
  const uint32_t results = tb_scan_body_results(old);
  tb_arena *arena = l->w.to->arena;
  tb_scan *scan = tb_arena_allocate(arena, 1, sizeof *scan);
  uint32_t *new_results = tb_arena_allocate(arena, results + t->count + 1, sizeof *new_results);
  uint32_t *operands = tb_arena_allocate(arena, node->operand_count + t->count + 1, sizeof *operands);
  if (!scan || !new_results || !operands)
    return TB_NO_MEMORY;
  *scan = *old;
  scan->results = new_results;
  tb_body_edit edit = { .before = 0 };
  uint32_t count = 0;
  for (uint32_t k = 0; k < node->operand_count; k++)
    operands[count++] = l->map[node->operands[k]];
  if (index == t->forward) {
    edit = (tb_body_edit){ .source = graph->nodes[t->backward]->scan->body,
                           .known = t->known,
                           .same_as = t->same_as,
                           .tape_count = t->count,
                           .tape = t->nodes };
    scan->outs += t->count;
  } else if (index == t->backward) {
    const uint32_t before = old->carries + old->slices;
    edit = (tb_body_edit){ .replaced = t->replaced, .before = 1 + before };
    memmove(operands + before + t->count, operands + before, (count - before) * sizeof *operands);
    memcpy(operands + before, l->tape, t->count * sizeof *operands);
    scan->slices += t->count;
    count += t->count;
  }
  tb_status status =
      tb_rewrite_graph(t->context, old->body, results, old->results, NULL, &edit, new_results, &scan->body);
  return status == TB_OK ? append_scan(l, index, scan, operands, count) : status;
}

static tb_status lay_all(laying *l) {
  const tb_graph *graph = l->t->graph;
  tb_status status = TB_OK;
  l->w.to->inputs = tb_allocate(l->w.context, graph->input_count + 1, sizeof *l->w.to->inputs);
  l->w.to->input_capacity = graph->input_count + 1;
  if (!l->w.to->inputs)
    return TB_NO_MEMORY;
  for (uint32_t i = 0; i < graph->count && status == TB_OK; i++) {
    const tb_node *node = graph->nodes[i];
    if (node->op == TB_OP_RESULT) /* it came with its scan */
      continue;
    if (node->op == TB_OP_SCAN) {
      status = lay(l, i);
      continue;
    }
    uint32_t *operands = tb_arena_allocate(l->w.to->arena, node->operand_count + 1, sizeof *operands);
    tb_node copy = *node;
    if (!operands)
      return TB_NO_MEMORY;
    for (uint32_t k = 0; k < node->operand_count; k++)
      operands[k] = l->map[node->operands[k]];
    if (node->op == TB_OP_INPUT && !(copy.name = tb_arena_text(l->w.to->arena, node->name ? node->name : "")))
      return TB_NO_MEMORY;
    status = tb_rewrite_append(&l->w, &copy, node->operand_count, operands, &l->map[i]);
  }
  for (uint32_t i = 0; i < graph->input_count && status == TB_OK; i++)
    l->w.to->inputs[l->w.to->input_count++] = l->map[graph->inputs[i]];
  return status;
}

tb_status tb_tape(tb_context *context, const tb_graph *graph, size_t n_out, const uint32_t *outputs,
                  uint32_t *outputs_new, tb_graph **to) {
  *to = NULL;
  tape t = { .context = context, .graph = graph };
  bool found = false;
  tb_arena *arena = tb_arena_new(context);
  tb_status status = arena ? find_pair(&t, arena, &found) : TB_NO_MEMORY;
  if (status == TB_OK && found) {
    laying l = { .t = &t, .w = { .context = context } };
    l.map = tb_arena_allocate(arena, graph->count + 1, sizeof *l.map);
    l.tape = tb_arena_allocate(arena, t.count + 1, sizeof *l.tape);
    status = l.map && l.tape ? tb_graph_new(context, &l.w.to) : TB_NO_MEMORY;
    if (status == TB_OK)
      status = lay_all(&l);
    status = tb_rewrite_end(&l.w, status, l.map, n_out, outputs, outputs_new, to);
  }
  tb_arena_free(arena);
  return status;
}

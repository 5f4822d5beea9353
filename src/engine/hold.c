/* Held inputs: what depends on them alone is computed once for many runs.
 *
 *   graph(held, others)  →  first(held) → kept values;  rest(held, others, kept)
 *
 * As hoist.c does with the constants of a loop, for the loop that a caller writes around a program: products of one
 * matrix, given by a graph at one point, with many vectors.  Views are taken again; they cost nothing. */
#include "engine/rewrite.h"

#include <string.h>

/* Nodes that depend on the first `held` inputs alone. */
static void find_known(const tb_graph *graph, size_t held, bool *known) {
  for (uint32_t i = 0; i < graph->count; i++) {
    const tb_node *node = graph->nodes[i];
    known[i] = node->op != TB_OP_INPUT || node->attributes.index < held;
    for (uint32_t k = 0; k < node->operand_count; k++)
      known[i] = known[i] && known[node->operands[k]];
  }
}

/* Those of them that the others, or the outputs, read; their bytes. */
static uint32_t find_kept(const tb_graph *graph, size_t n_out, const uint32_t *outputs, const bool *known, bool *wanted,
                          bool *kept, size_t *bytes) {
  uint32_t count = 0;
  for (size_t i = 0; i < n_out; i++)
    wanted[outputs[i]] = true;
  for (uint32_t i = graph->count; i-- > 0;) {
    const tb_node *node = graph->nodes[i];
    if (!wanted[i] || node->operand_count == 0)
      continue;
    if (known[i] && (node->op == TB_OP_RESULT || !tb_op_is_view(node->op))) {
      kept[i] = true;
      *bytes += tb_node_bytes(node);
      count++;
    } else {
      for (uint32_t k = 0; k < node->operand_count; k++)
        wanted[node->operands[k]] = true;
    }
  }
  return count;
}

typedef struct held {
  tb_program *first, *rest; /* first: NULL where nothing is kept */
  void **kept;              /* [count] */
  size_t count;
  const void **inputs; /* [inputs + count]: of the rest */
  bool known;          /* the kept values are there */
} held;

/* ---- making ---- */

/* The two programs and the memory between them. */
static tb_status split(tb_program *program, const tb_graph *graph, const uint32_t *outputs, const bool *kept,
                       uint32_t count, held *h) {
  tb_context *context = program->context;
  uint32_t *nodes = tb_allocate(context, count, sizeof *nodes), n = 0;
  uint32_t *keeping = tb_allocate(context, count, sizeof *keeping);
  uint32_t *results = tb_allocate(context, program->n_out + 1, sizeof *results);
  tb_graph *first = NULL, *rest = NULL;
  h->kept = tb_allocate(context, count, sizeof *h->kept);
  tb_status status = nodes && keeping && results && h->kept ? TB_OK : TB_NO_MEMORY;
  for (uint32_t i = 0; i < graph->count && status == TB_OK; i++)
    if (kept[i]) {
      nodes[n] = i;
      h->kept[n++] = tb_allocate(context, tb_node_bytes(graph->nodes[i]) + 1, 1);
      status = h->kept[n - 1] ? TB_OK : TB_NO_MEMORY;
    }
  h->count = n;
  const tb_body_edit edit = { .replaced = kept, .before = graph->input_count };
  if (status == TB_OK)
    status = tb_rewrite_graph(context, graph, count, nodes, NULL, NULL, keeping, &first);
  if (status == TB_OK)
    status = tb_rewrite_graph(context, graph, program->n_out, outputs, NULL, &edit, results, &rest);
  if (status == TB_OK)
    status = tb_program_of_graph(context, &tb_executor_planned, &program->limits, first, count, keeping, &h->first);
  if (status == TB_OK)
    status =
        tb_program_of_graph(context, &tb_executor_planned, &program->limits, rest, program->n_out, results, &h->rest);
  tb_graph_free(first);
  tb_graph_free(rest);
  tb_release(context, nodes);
  tb_release(context, keeping);
  tb_release(context, results);
  return status;
}

static tb_status held_compile(tb_program *program) {
  enum { MOST_BYTES = 8 * TB_CACHE }; /* beyond, to read them again costs as much as to compute them */
  tb_context *context = program->context;
  held *h = tb_allocate(context, 1, sizeof *h);
  if (!h)
    return TB_NO_MEMORY;
  program->state = h;
  uint32_t *outputs = tb_allocate(context, program->n_out + 1, sizeof *outputs), count = 0;
  tb_graph *simple = NULL;
  bool *known = NULL;
  size_t bytes = 0;
  tb_status status =
      outputs ? tb_simplify(context, program->graph, program->n_out, program->outputs, outputs, &simple) : TB_NO_MEMORY;
  if (status == TB_OK && !(known = tb_allocate(context, 3 * (size_t)simple->count + 1, sizeof *known)))
    status = TB_NO_MEMORY;
  if (status == TB_OK) {
    bool *wanted = known + simple->count, *kept = wanted + simple->count;
    find_known(simple, program->held, known);
    count = find_kept(simple, program->n_out, outputs, known, wanted, kept, &bytes);
    if (count > 0 && bytes <= MOST_BYTES)
      status = split(program, simple, outputs, kept, count, h);
    else
      status = tb_program_of_graph(context, &tb_executor_planned, &program->limits, program->graph, program->n_out,
                                   program->outputs, &h->rest);
  }
  if (status == TB_OK &&
      !(h->inputs = tb_allocate(context, program->graph->input_count + h->count + 1, sizeof *h->inputs)))
    status = TB_NO_MEMORY;
  if (status == TB_OK) {
    program->cost = tb_program_cost(h->rest);
    if (h->first)
      program->cost.arena_bytes += tb_program_cost(h->first).arena_bytes + (double)bytes;
  }
  tb_release(context, known);
  tb_release(context, outputs);
  tb_graph_free(simple);
  return status;
}

/* ---- running ---- */

static tb_status held_run(tb_program *program, const void *const *inputs, void *const *outputs) {
  held *h = program->state;
  const size_t n = program->graph->input_count;
  tb_status status = TB_OK;
  if (h->first && !h->known) {
    status = tb_program_run(h->first, n, inputs, h->count, h->kept);
    h->known = status == TB_OK;
  }
  memcpy(h->inputs, inputs, n * sizeof *inputs);
  for (size_t i = 0; i < h->count; i++)
    h->inputs[n + i] = h->kept[i];
  return status == TB_OK ? tb_program_run(h->rest, n + h->count, h->inputs, program->n_out, outputs) : status;
}

static void held_renew(tb_program *program) {
  held *h = program->state;
  h->known = false;
}

static tb_status held_print(const tb_program *program, tb_text *text) {
  const held *h = program->state;
  if (h->first) {
    tb_text_format(text, "once, for %zu values that are kept:\n", h->count);
    const tb_status status = tb_program_print(h->first, text);
    if (status != TB_OK)
      return status;
  }
  return tb_program_print(h->rest, text);
}

static void held_free(tb_program *program) {
  held *h = program->state;
  if (!h)
    return;
  tb_program_free(h->first);
  tb_program_free(h->rest);
  for (size_t i = 0; i < h->count; i++)
    tb_release(program->context, h->kept[i]);
  tb_release(program->context, h->kept);
  tb_release(program->context, h->inputs);
  tb_release(program->context, h);
}

const tb_executor_record tb_executor_held = { "held", held_compile, held_run, held_print, held_free, held_renew };

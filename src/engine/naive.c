/* The naive executor: a node at a time with plain loops, each result in memory of its own until its last reader is
 * done.  It is the oracle of the tests and the debugging mode, so it does nothing clever. */
#include "engine/program.h"

#include <string.h>

typedef struct tb_execution {
  tb_context *context;
  const tb_graph *graph;
  const void **values;    /* [count]: where each node's result is */
  void **owned;           /* [count]: the same where it must be released */
  uint32_t *readers;      /* [count]: readers to come; outputs are read once more at the end */
  const void **arguments; /* [most operands] of the node at hand */
} tb_execution;

static tb_status execute(tb_context *context, const tb_graph *graph, const void *const *inputs, size_t n_out,
                         const uint32_t *outputs, void *const *out);

static tb_status own(tb_execution *e, uint32_t index) {
  e->owned[index] = tb_allocate(e->context, tb_node_bytes(e->graph->nodes[index]) + 1, 1);
  e->values[index] = e->owned[index];
  return e->owned[index] ? TB_OK : TB_NO_MEMORY;
}

static void release_read(tb_execution *e, const tb_node *node) {
  for (uint32_t k = 0; k < node->operand_count; k++) {
    uint32_t operand = node->operands[k];
    if (--e->readers[operand] == 0) {
      tb_release(e->context, e->owned[operand]);
      e->owned[operand] = NULL;
    }
  }
}

/* ---- scan ---- */

static void *row(tb_execution *e, uint32_t index, size_t k, size_t length) {
  return (char *)e->owned[index] + k * (tb_node_bytes(e->graph->nodes[index]) / length);
}

static void keep_entries(tb_execution *e, const tb_scan *scan, uint32_t self, size_t k, void *const *carry) {
  for (uint32_t i = 0; i < scan->carries; i++) {
    uint32_t entry = self + 1 + tb_scan_body_results(scan) + i;
    if (e->owned[entry])
      memcpy(row(e, entry, k, scan->length), carry[i], tb_node_bytes(e->graph->nodes[entry]) / scan->length);
  }
}

/* One step's inputs are the step number, the carries, pointers into the slices, and the constants; its results go to
 * the next carries and into the stacked outs. */
static tb_status scan_steps(tb_execution *e, const tb_scan *scan, const tb_node *node, uint32_t self, void **carry,
                            void **next, const void **inputs, void **results) {
  for (size_t step = 0; step < scan->length; step++) {
    size_t k = scan->reverse ? scan->length - 1 - step : step;
    int32_t number = (int32_t)k;
    uint32_t at = 0;
    inputs[at++] = &number;
    for (uint32_t i = 0; i < scan->carries; i++)
      inputs[at++] = carry[i];
    for (uint32_t i = 0; i < scan->slices; i++) {
      uint32_t operand = node->operands[scan->carries + i];
      inputs[at++] = (const char *)e->values[operand] + k * (tb_node_bytes(e->graph->nodes[operand]) / scan->length);
    }
    for (uint32_t i = 0; i < scan->constants; i++)
      inputs[at++] = e->values[node->operands[scan->carries + scan->slices + i]];
    for (uint32_t i = 0; i < scan->carries; i++)
      results[i] = next[i];
    for (uint32_t i = 0; i < scan->outs; i++)
      results[scan->carries + i] = row(e, self + 1 + scan->carries + i, k, scan->length);
    keep_entries(e, scan, self, k, carry);
    tb_status status = execute(e->context, scan->body, inputs, tb_scan_body_results(scan), scan->results, results);
    if (status != TB_OK)
      return status;
    for (uint32_t i = 0; i < scan->carries; i++) {
      void *swap = carry[i];
      carry[i] = next[i];
      next[i] = swap;
    }
  }
  for (uint32_t i = 0; i < scan->carries; i++)
    memcpy(e->owned[self + 1 + i], carry[i], tb_node_bytes(e->graph->nodes[self + 1 + i]));
  return TB_OK;
}

static tb_status run_scan(tb_execution *e, uint32_t self) {
  const tb_node *node = e->graph->nodes[self];
  const tb_scan *scan = node->scan;
  tb_status status = TB_OK;
  for (uint32_t i = 0; i < tb_scan_results(scan) && status == TB_OK; i++)
    if (i < tb_scan_body_results(scan) || e->readers[self + 1 + i] > 0)
      status = own(e, self + 1 + i);
  size_t inputs = 1 + scan->carries + scan->slices + scan->constants;
  void **pointers = tb_allocate(e->context, 2 * scan->carries + inputs + tb_scan_body_results(scan), sizeof *pointers);
  if (!pointers)
    return TB_NO_MEMORY;
  void **carry = pointers, **next = carry + scan->carries, **results = next + scan->carries;
  const void **arguments = (const void **)(results + tb_scan_body_results(scan));
  for (uint32_t i = 0; i < scan->carries && status == TB_OK; i++) {
    size_t bytes = tb_node_bytes(e->graph->nodes[node->operands[i]]);
    carry[i] = tb_allocate(e->context, bytes + 1, 1);
    next[i] = tb_allocate(e->context, bytes + 1, 1);
    if (carry[i] && next[i])
      memcpy(carry[i], e->values[node->operands[i]], bytes);
    else
      status = TB_NO_MEMORY;
  }
  if (status == TB_OK)
    status = scan_steps(e, scan, node, self, carry, next, arguments, results);
  for (uint32_t i = 0; i < 2 * scan->carries; i++)
    tb_release(e->context, pointers[i]);
  tb_release(e->context, pointers);
  return status;
}

/* ---- one graph ---- */

static tb_status run_node(tb_execution *e, const void *const *inputs, uint32_t self) {
  const tb_node *node = e->graph->nodes[self];
  if (node->op == TB_OP_INPUT) {
    e->values[self] = inputs[node->attributes.index];
    return TB_OK;
  }
  if (node->op == TB_OP_RESULT) /* its scan has filled it */
    return TB_OK;
  if (node->op == TB_OP_SCAN)
    return run_scan(e, self);
  for (uint32_t k = 0; k < node->operand_count; k++)
    e->arguments[k] = e->values[node->operands[k]];
  tb_status status = own(e, self);
  return status == TB_OK ? tb_ops[node->op].naive(e->context, e->graph, node, e->arguments, e->owned[self]) : status;
}

static tb_status execute(tb_context *context, const tb_graph *graph, const void *const *inputs, size_t n_out,
                         const uint32_t *outputs, void *const *out) {
  uint32_t most = 1;
  for (uint32_t i = 0; i < graph->count; i++)
    most = graph->nodes[i]->operand_count > most ? graph->nodes[i]->operand_count : most;
  tb_execution e = { .context = context, .graph = graph };
  e.values = tb_allocate(context, graph->count + 1, sizeof *e.values);
  e.owned = tb_allocate(context, graph->count + 1, sizeof *e.owned);
  e.readers = tb_allocate(context, graph->count + 1, sizeof *e.readers);
  e.arguments = tb_allocate(context, most, sizeof *e.arguments);
  tb_status status = e.values && e.owned && e.readers && e.arguments ? TB_OK : TB_NO_MEMORY;
  if (status == TB_OK) {
    for (uint32_t i = 0; i < graph->count; i++)
      for (uint32_t k = 0; k < graph->nodes[i]->operand_count; k++)
        e.readers[graph->nodes[i]->operands[k]]++;
    for (size_t i = 0; i < n_out; i++)
      e.readers[outputs[i]]++;
  }
  for (uint32_t i = 0; i < graph->count && status == TB_OK; i++) {
    status = run_node(&e, inputs, i);
    release_read(&e, graph->nodes[i]);
  }
  for (size_t i = 0; i < n_out && status == TB_OK; i++)
    if (graph->nodes[outputs[i]]->elements)
      memmove(out[i], e.values[outputs[i]], tb_node_bytes(graph->nodes[outputs[i]]));
  for (uint32_t i = 0; e.owned && i < graph->count; i++)
    tb_release(context, e.owned[i]);
  tb_release(context, e.values);
  tb_release(context, e.owned);
  tb_release(context, e.readers);
  tb_release(context, e.arguments);
  return status;
}

/* ---- the executor ---- */

static tb_status naive_compile(tb_program *program) {
  const tb_graph *graph = program->graph;
  for (uint32_t i = 0; i < graph->count; i++)
    if (graph->nodes[i]->op != TB_OP_INPUT)
      program->cost.arena_bytes += (double)tb_node_bytes(graph->nodes[i]);
  return TB_OK;
}

static tb_status naive_run(tb_program *program, const void *const *inputs, void *const *outputs) {
  return execute(program->context, program->graph, inputs, program->n_out, program->outputs, outputs);
}

static tb_status naive_print(const tb_program *program, tb_text *text) {
  return tb_graph_print(program->graph, text);
}

static void naive_free(tb_program *program) {}

const tb_executor_record tb_executor_naive = { "naive", naive_compile, naive_run, naive_print, naive_free };

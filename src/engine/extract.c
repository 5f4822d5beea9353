/* Copies of graphs: the part that some outputs need (what a program keeps), and a body written out in place. */
#include "engine/node.h"

#include <string.h>

tb_status tb_scan_copy(tb_context *context, const tb_scan *scan, tb_arena *arena, const tb_scan **copy) {
  uint32_t count = tb_scan_body_results(scan);
  tb_scan *s = tb_arena_allocate(arena, 1, sizeof *s);
  uint32_t *results = tb_arena_allocate(arena, count + 1, sizeof *results);
  if (!s || !results)
    return TB_NO_MEMORY;
  *s = *scan;
  s->results = results;
  s->body = NULL;
  *copy = s;
  return tb_graph_extract(context, scan->body, count, scan->results, results, &s->body);
}

/* Appends a copy of a node whose operands are mapped already; without checks, they passed once. */
static tb_status copy_node(tb_graph *to, const tb_node *node, const uint32_t *map) {
  tb_node *copy = tb_arena_allocate(to->arena, 1, sizeof *copy);
  uint32_t *operands = tb_arena_allocate(to->arena, node->operand_count + 1, sizeof *operands);
  if (!copy || !operands)
    return TB_NO_MEMORY;
  *copy = *node;
  copy->operands = operands;
  for (uint32_t k = 0; k < node->operand_count; k++)
    operands[k] = map[node->operands[k]];
  if (node->data) {
    void *data = tb_arena_allocate(to->arena, tb_node_bytes(node) + 1, 1);
    if (!data)
      return TB_NO_MEMORY;
    memcpy(data, node->data, tb_node_bytes(node));
    copy->data = data;
  }
  if (node->name && !(copy->name = tb_arena_text(to->arena, node->name)))
    return TB_NO_MEMORY;
  copy->place.file = node->place.file ? tb_arena_text(to->arena, node->place.file) : NULL;
  copy->scan = NULL;
  to->nodes[to->count++] = copy; /* from here on the graph frees what the scan owns */
  return node->scan ? tb_scan_copy(to->context, node->scan, to->arena, &copy->scan) : TB_OK;
}

/* Inputs always; of a scan all results. */
static void mark_needed(const tb_graph *graph, size_t n_out, const uint32_t *outputs, bool *needed) {
  for (uint32_t i = 0; i < graph->input_count; i++)
    needed[graph->inputs[i]] = true;
  for (size_t i = 0; i < n_out; i++)
    needed[outputs[i]] = true;
  for (uint32_t i = graph->count; i-- > 0;) {
    const tb_node *node = graph->nodes[i];
    for (uint32_t k = 0; k < node->operand_count && needed[i]; k++)
      needed[node->operands[k]] = true;
  }
  for (uint32_t i = 0; i < graph->count; i++)
    if (graph->nodes[i]->op == TB_OP_RESULT)
      needed[i] = needed[graph->nodes[i]->operands[0]];
}

tb_status tb_graph_extract(tb_context *context, const tb_graph *graph, size_t n_out, const uint32_t *outputs,
                           uint32_t *outputs_new, tb_graph **copy) {
  bool *needed = tb_allocate(context, graph->count + 1, sizeof *needed);
  uint32_t *map = tb_allocate(context, graph->count + 1, sizeof *map);
  tb_status status = needed && map ? tb_graph_new(context, copy) : TB_NO_MEMORY;
  if (status != TB_OK)
    goto done;
  tb_graph *to = *copy;
  to->nodes = tb_allocate(context, graph->count + 1, sizeof *to->nodes);
  to->inputs = tb_allocate(context, graph->input_count + 1, sizeof *to->inputs);
  status = to->nodes && to->inputs ? TB_OK : TB_NO_MEMORY;
  if (status != TB_OK)
    goto done;
  to->capacity = graph->count + 1;
  to->input_capacity = graph->input_count + 1;
  to->closed = graph->closed;
  mark_needed(graph, n_out, outputs, needed);
  for (uint32_t i = 0; i < graph->count && status == TB_OK; i++)
    if (needed[i]) {
      map[i] = to->count;
      status = copy_node(to, graph->nodes[i], map);
    }
  for (uint32_t i = 0; i < graph->input_count && status == TB_OK; i++)
    to->inputs[to->input_count++] = map[graph->inputs[i]];
  for (size_t i = 0; i < n_out; i++)
    outputs_new[i] = map[outputs[i]];
done:
  tb_release(context, needed);
  tb_release(context, map);
  return status;
}

tb_status tb_graph_inline(tb_graph *graph, const tb_graph *body, const tb_value *inputs, size_t count,
                          const uint32_t *wanted, tb_value *results) {
  if (graph->status != TB_OK)
    return graph->status;
  tb_context *context = graph->context;
  uint32_t *map = tb_allocate(context, body->count + 1, sizeof *map);
  tb_node **nodes = tb_reallocate(context, graph->nodes, graph->count + body->count + 1, sizeof *nodes);
  if (nodes) {
    graph->nodes = nodes;
    graph->capacity = graph->count + body->count + 1;
  }
  tb_status status = map && nodes ? TB_OK : TB_NO_MEMORY;
  for (uint32_t i = 0; i < body->input_count && status == TB_OK; i++)
    map[body->inputs[i]] = tb_index(graph, inputs[i]);
  for (uint32_t i = 0; i < body->count && status == TB_OK; i++)
    if (body->nodes[i]->op != TB_OP_INPUT) {
      map[i] = graph->count;
      status = copy_node(graph, body->nodes[i], map);
    }
  for (size_t i = 0; i < count && status == TB_OK; i++)
    results[i] = tb_value_at(graph, map[wanted[i]]);
  tb_release(context, map);
  if (status != TB_OK)
    graph->status = status;
  return status;
}

/* Storage of a graph: nodes in an arena, the first mistake, and the one way in.
 *
 * A mistake is kept and makes every later call a no-op, so that a model reads as its formula, without a check after
 * each line; whoever compiles the graph learns of it. */
#include "engine/node.h"

#include <stdio.h>
#include <string.h>

tb_status tb_graph_new(tb_context *context, tb_graph **graph) {
  *graph = NULL;
  tb_arena *arena = tb_arena_new(context);
  tb_graph *g = arena ? tb_allocate(context, 1, sizeof *g) : NULL;
  if (!g) {
    tb_arena_free(arena);
    return TB_NO_MEMORY;
  }
  *g = (tb_graph){ .context = context, .arena = arena };
  *graph = g;
  return TB_OK;
}

tb_status tb_graph_child(tb_graph *outer, tb_graph **child) {
  tb_status status = tb_graph_new(outer->context, child);
  if (status == TB_OK) {
    (*child)->first = outer->first + (int32_t)outer->count;
    (*child)->origin = outer->origin;
  }
  return status;
}

void tb_graph_free(tb_graph *graph) {
  if (!graph)
    return;
  for (uint32_t i = 0; i < graph->count; i++)
    if (graph->nodes[i]->scan)
      tb_graph_free(graph->nodes[i]->scan->body);
  for (uint32_t i = 0; i < graph->count; i++)
    if (graph->nodes[i]->tiling)
      for (int k = 0; k < 2; k++) {
        tb_graph_free(graph->nodes[i]->tiling->body[k]);
        tb_graph_free(graph->nodes[i]->tiling->source[k]);
      }
  tb_context *context = graph->context;
  tb_release(context, graph->nodes);
  tb_release(context, graph->inputs);
  tb_arena_free(graph->arena);
  tb_release(context, graph);
}

/* ---- mistakes ---- */

tb_status tb_graph_status(tb_graph *graph) {
  if (graph->status == TB_OK || graph->status == TB_NO_MEMORY || !graph->message)
    return graph->status;
  return tb_fail(graph->context, graph->status, graph->message_place, NULL, "%s", graph->message);
}

tb_value tb_graph_fail(tb_place place, tb_graph *graph, const char *operation, const char *format, ...) {
  if (graph->status != TB_OK)
    return tb_no_value;
  if (graph->origin)
    place = *graph->origin;
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  graph->status = TB_USAGE;
  graph->message = tb_arena_format(graph->arena, "%s: %s", operation, text);
  graph->message_place = tb_arena_format(graph->arena, "%s:%d", place.file ? place.file : "?", place.line);
  if (!graph->message || !graph->message_place)
    graph->status = TB_NO_MEMORY;
  return tb_no_value;
}

void tb_graph_adopt_failure(tb_graph *graph, const tb_graph *child) {
  if (graph->status != TB_OK || child->status == TB_OK)
    return;
  graph->status = child->status;
  graph->message = child->message ? tb_arena_text(graph->arena, child->message) : NULL;
  graph->message_place = child->message_place ? tb_arena_text(graph->arena, child->message_place) : NULL;
}

static tb_value out_of_memory(tb_graph *graph) {
  graph->status = TB_NO_MEMORY;
  return tb_no_value;
}

/* ---- shapes ---- */

size_t tb_rank(const tb_graph *graph, tb_value a) {
  return tb_value_valid(graph, a) ? tb_node_of(graph, a)->rank : 0;
}

size_t tb_dim(const tb_graph *graph, tb_value a, size_t axis) {
  return tb_value_valid(graph, a) && axis < TB_MAX_RANK ? tb_node_of(graph, a)->dims[axis] : 0;
}

size_t tb_elements(const tb_graph *graph, tb_value a) {
  return tb_value_valid(graph, a) ? tb_node_of(graph, a)->elements : 0;
}

tb_dtype tb_value_dtype(const tb_graph *graph, tb_value a) {
  return tb_value_valid(graph, a) ? tb_node_of(graph, a)->dtype : TB_FLOAT64;
}

bool tb_same_shape(const tb_node *a, const tb_node *b) {
  return a->rank == b->rank && memcmp(a->dims, b->dims, a->rank * sizeof a->dims[0]) == 0;
}

const char *tb_shape_text(size_t rank, const size_t *dims, char buffer[static TB_SHAPE_TEXT]) {
  int length = snprintf(buffer, TB_SHAPE_TEXT, "[");
  for (size_t i = 0; i < rank; i++)
    length += snprintf(buffer + length, TB_SHAPE_TEXT - (size_t)length, i ? ",%zu" : "%zu", dims[i]);
  snprintf(buffer + length, TB_SHAPE_TEXT - (size_t)length, "]");
  return buffer;
}

/* A zero anywhere makes the product zero, but the others may still not be absurd: axes are summed and split. */
bool tb_shape_elements(size_t rank, const size_t *dims, size_t *elements) {
  const size_t most = (size_t)1 << 45; /* × 8 bytes = 2⁴⁸ */
  size_t product = 1, nonzero = 1;
  for (size_t i = 0; i < rank; i++) {
    product *= dims[i] ? 1 : 0;
    if (dims[i] && dims[i] > most / nonzero)
      return false;
    nonzero *= dims[i] ? dims[i] : 1;
  }
  *elements = product * nonzero;
  return true;
}

/* ---- appending ---- */

static bool reserve(tb_graph *graph) {
  if (graph->count < graph->capacity)
    return true;
  uint32_t capacity = graph->capacity ? 2 * graph->capacity : 64;
  tb_node **nodes = tb_reallocate(graph->context, graph->nodes, capacity, sizeof(tb_node *));
  if (!nodes)
    return false;
  graph->nodes = nodes;
  graph->capacity = capacity;
  return true;
}

/* Ids of scan bodies number on from their outer graph; 2³⁰ nodes are 200 GiB, far beyond any honest use. */
static const int32_t most_ids = 1 << 30;

bool tb_graph_check(tb_place place, tb_graph *graph, const char *operation, size_t operand_count,
                    const tb_value *operands) {
  if (graph->status != TB_OK)
    return false;
  for (size_t i = 0; i < operand_count; i++)
    if (!tb_value_valid(graph, operands[i]) || tb_node_of(graph, operands[i])->op == TB_OP_SCAN) {
      tb_graph_fail(place, graph, operation, "operand %zu is not a value of this graph", i + 1);
      return false;
    }
  return true;
}

tb_value tb_node_append(tb_place place, tb_graph *graph, const tb_node *template, size_t operand_count,
                        const tb_value *operands) {
  char name[32];
  tb_node_name(template, name);
  bool of_scan = template->op == TB_OP_RESULT;
  if (graph->status != TB_OK || (!of_scan && !tb_graph_check(place, graph, name, operand_count, operands)))
    return tb_no_value;
  if (graph->first + (int32_t)graph->count >= most_ids)
    return tb_graph_fail(place, graph, name, "the graph has too many nodes");

  tb_node *node = tb_arena_allocate(graph->arena, 1, sizeof *node);
  uint32_t *indices = tb_arena_allocate(graph->arena, operand_count + 1, sizeof *indices);
  if (!node || !indices || !reserve(graph))
    return out_of_memory(graph);
  for (size_t i = 0; i < operand_count; i++)
    indices[i] = tb_index(graph, operands[i]);
  *node = *template;
  node->operands = indices;
  node->operand_count = (uint32_t)operand_count;
  node->place = graph->origin ? *graph->origin : place;

  const tb_op_record *record = &tb_ops[node->op];
  assert(record->arity < 0 || (size_t)record->arity == operand_count);
  if (!record->shape(graph, node))
    return tb_no_value;
  for (size_t i = node->rank; i < TB_MAX_RANK; i++)
    node->dims[i] = 0;
  if (node->op != TB_OP_SCAN && !tb_shape_elements(node->rank, node->dims, &node->elements)) {
    char shape[TB_SHAPE_TEXT];
    return tb_graph_fail(place, graph, name, "%s is too large", tb_shape_text(node->rank, node->dims, shape));
  }
  graph->nodes[graph->count] = node;
  return tb_value_at(graph, graph->count++);
}

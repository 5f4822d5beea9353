/* Differentiation, graph → graph: walks the nodes once, backward (vjp) or forward (jvp), and lets each node's rule
 * append what its derivative needs.  The result is ordinary nodes, so it can be differentiated again.
 *
 * Zero is the absence of a value (id < 0): nodes on which nothing of interest depends never get any. */
#include "engine/derive.h"

#include <string.h>

/* Both walks work on the nodes that existed when they began. */
typedef struct tb_walk {
  tb_graph *graph;
  const tb_place *origin; /* to restore */
  uint32_t count;         /* nodes up to the last output (and its fellow results) */
  tb_value *derivative;   /* [count] cotangent or tangent of each node */
  tb_value *operand;      /* [most operands] of the node at hand */
  bool *active, *wanted;  /* [count], [most operands] */
} tb_walk;

static tb_status begin(tb_walk *walk, const tb_place *place, tb_graph *graph, size_t n_out, const tb_value *outputs) {
  *walk = (tb_walk){ .graph = graph, .origin = graph->origin };
  if (!graph->origin)
    graph->origin = place;
  uint32_t most = 1;
  for (size_t i = 0; i < n_out; i++)
    if (tb_index(graph, outputs[i]) + 1 > walk->count)
      walk->count = tb_index(graph, outputs[i]) + 1;
  while (walk->count < graph->count && graph->nodes[walk->count]->op == TB_OP_RESULT)
    walk->count++; /* a scan's results stay together */
  for (uint32_t i = 0; i < walk->count; i++)
    if (graph->nodes[i]->operand_count > most)
      most = graph->nodes[i]->operand_count;
  walk->derivative = tb_allocate(graph->context, walk->count + 1, sizeof(tb_value));
  walk->operand = tb_allocate(graph->context, most, sizeof(tb_value));
  walk->active = tb_allocate(graph->context, walk->count + 1, 1);
  walk->wanted = tb_allocate(graph->context, most, 1);
  if (!walk->derivative || !walk->operand || !walk->active || !walk->wanted) {
    graph->status = TB_NO_MEMORY;
    return TB_NO_MEMORY;
  }
  for (uint32_t i = 0; i < walk->count; i++)
    walk->derivative[i] = tb_no_value;
  return TB_OK;
}

static tb_status finish(tb_walk *walk) {
  tb_graph *graph = walk->graph;
  graph->origin = walk->origin;
  tb_release(graph->context, walk->derivative);
  tb_release(graph->context, walk->operand);
  tb_release(graph->context, walk->active);
  tb_release(graph->context, walk->wanted);
  return tb_graph_status(graph);
}

/* Derivatives must look like what they belong to. */
static bool alike(tb_place place, tb_graph *graph, const char *name, size_t count, const tb_value *values,
                  const tb_value *derivatives) {
  if (!tb_graph_check(place, graph, name, count, values) || !tb_graph_check(place, graph, name, count, derivatives))
    return false;
  for (size_t i = 0; i < count; i++) {
    const tb_node *a = tb_node_of(graph, values[i]), *b = tb_node_of(graph, derivatives[i]);
    if (a->dtype != b->dtype || !tb_same_shape(a, b)) {
      char x[TB_SHAPE_TEXT], y[TB_SHAPE_TEXT];
      tb_graph_fail(place, graph, name, "value %zu is %s%s, its derivative %s%s", i + 1, tb_dtype_name(a->dtype),
                    tb_shape_text(a->rank, a->dims, x), tb_dtype_name(b->dtype), tb_shape_text(b->rank, b->dims, y));
      return false;
    }
  }
  return true;
}

static tb_status give_up(tb_graph *graph, size_t count, tb_value *results) {
  for (size_t i = 0; i < count; i++)
    results[i] = tb_no_value;
  return tb_graph_status(graph);
}

/* What the walk found for each value, zeros where it found nothing. */
static void hand_out(tb_walk *walk, size_t count, const tb_value *values, tb_value *derivatives) {
  for (size_t i = 0; i < count; i++) {
    uint32_t index = tb_index(walk->graph, values[i]);
    tb_value found = index < walk->count ? walk->derivative[index] : tb_no_value;
    if (is_zero(found)) {
      walk->graph->origin = &walk->graph->nodes[index]->place;
      found = tb_fill_like_at(TB_HERE, walk->graph, values[i], 0);
    }
    derivatives[i] = found;
  }
}

/* ---- reverse ---- */

static bool any(const tb_value *values, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (!is_zero(values[i]))
      return true;
  return false;
}

/* active: the node depends on an input. */
static void mark_dependents(tb_walk *walk, size_t n_in, const tb_value *inputs) {
  tb_graph *graph = walk->graph;
  for (size_t i = 0; i < n_in; i++)
    if (tb_index(graph, inputs[i]) < walk->count && tb_dtype_real(tb_node_of(graph, inputs[i])->dtype))
      walk->active[tb_index(graph, inputs[i])] = true;
  for (uint32_t i = 0; i < walk->count; i++) {
    const tb_node *node = graph->nodes[i];
    for (uint32_t k = 0; k < node->operand_count && tb_differentiable(node); k++)
      walk->active[i] |= walk->active[node->operands[k]];
  }
}

static void pull_back(tb_walk *walk, uint32_t self) {
  tb_graph *graph = walk->graph;
  const tb_node *node = graph->nodes[self];
  bool is_scan = node->op == TB_OP_SCAN;
  const tb_value *bars = walk->derivative + self + is_scan;
  if (!walk->active[self] || !tb_differentiable(node) || node->op == TB_OP_RESULT ||
      !any(bars, is_scan ? tb_scan_results(node->scan) : 1))
    return;
  for (uint32_t k = 0; k < node->operand_count; k++) {
    walk->operand[k] = tb_no_value;
    walk->wanted[k] = walk->active[node->operands[k]];
  }
  graph->origin = &node->place;
  tb_ops[node->op].vjp(graph, self, bars, walk->wanted, walk->operand);
  for (uint32_t k = 0; k < node->operand_count; k++)
    if (walk->wanted[k])
      walk->derivative[node->operands[k]] = plus(graph, walk->derivative[node->operands[k]], walk->operand[k]);
}

tb_status tb_vjp_at(tb_place place, tb_graph *graph, size_t n_out, const tb_value *outputs, const tb_value *outputs_bar,
                    size_t n_in, const tb_value *inputs, tb_value *inputs_bar) {
  if (!alike(place, graph, "vjp", n_out, outputs, outputs_bar) || !tb_graph_check(place, graph, "vjp", n_in, inputs))
    return give_up(graph, n_in, inputs_bar);
  tb_walk walk;
  if (begin(&walk, &place, graph, n_out, outputs) == TB_OK) {
    mark_dependents(&walk, n_in, inputs);
    for (size_t i = 0; i < n_out; i++) {
      uint32_t index = tb_index(graph, outputs[i]);
      if (walk.active[index])
        walk.derivative[index] = plus(graph, walk.derivative[index], outputs_bar[i]);
    }
    for (uint32_t i = walk.count; i-- > 0 && graph->status == TB_OK;)
      pull_back(&walk, i);
  }
  if (graph->status == TB_OK)
    hand_out(&walk, n_in, inputs, inputs_bar);
  if (finish(&walk) != TB_OK)
    return give_up(graph, n_in, inputs_bar);
  return TB_OK;
}

tb_status tb_gradient_at(tb_place place, tb_graph *graph, tb_value scalar, size_t n_in, const tb_value *inputs,
                         tb_value *gradients) {
  if (!tb_graph_check(place, graph, "gradient", 1, &scalar))
    return give_up(graph, n_in, gradients);
  const tb_node *node = tb_node_of(graph, scalar);
  if (node->elements != 1 || !tb_dtype_real(node->dtype)) {
    char text[TB_SHAPE_TEXT];
    tb_graph_fail(place, graph, "gradient", "needs a scalar of floats, got %s%s", tb_dtype_name(node->dtype),
                  tb_shape_text(node->rank, node->dims, text));
    return give_up(graph, n_in, gradients);
  }
  tb_value one = tb_fill_like_at(place, graph, scalar, 1);
  return tb_vjp_at(place, graph, 1, &scalar, &one, n_in, inputs, gradients);
}

/* ---- forward ---- */

/* active: an output depends on the node. */
static void mark_needed(tb_walk *walk, size_t n_out, const tb_value *outputs) {
  tb_graph *graph = walk->graph;
  for (size_t i = 0; i < n_out; i++)
    walk->active[tb_index(graph, outputs[i])] = true;
  for (uint32_t i = walk->count; i-- > 0;)
    for (uint32_t k = 0; k < graph->nodes[i]->operand_count && walk->active[i]; k++)
      walk->active[graph->nodes[i]->operands[k]] = true;
}

static void push_forward(tb_walk *walk, uint32_t self) {
  tb_graph *graph = walk->graph;
  const tb_node *node = graph->nodes[self];
  if (!walk->active[self] || !tb_differentiable(node) || node->op == TB_OP_RESULT)
    return;
  for (uint32_t k = 0; k < node->operand_count; k++)
    walk->operand[k] = walk->derivative[node->operands[k]];
  if (!any(walk->operand, node->operand_count))
    return;
  graph->origin = &node->place;
  tb_ops[node->op].jvp(graph, self, walk->operand, walk->derivative + self + (node->op == TB_OP_SCAN));
}

tb_status tb_jvp_at(tb_place place, tb_graph *graph, size_t n_out, const tb_value *outputs, size_t n_in,
                    const tb_value *inputs, const tb_value *inputs_dot, tb_value *outputs_dot) {
  if (!alike(place, graph, "jvp", n_in, inputs, inputs_dot) || !tb_graph_check(place, graph, "jvp", n_out, outputs))
    return give_up(graph, n_out, outputs_dot);
  tb_walk walk;
  if (begin(&walk, &place, graph, n_out, outputs) == TB_OK) {
    mark_needed(&walk, n_out, outputs);
    for (uint32_t i = 0; i < walk.count && graph->status == TB_OK; i++) {
      push_forward(&walk, i);
      for (size_t j = 0; j < n_in; j++)
        if (tb_index(graph, inputs[j]) == i && tb_dtype_real(graph->nodes[i]->dtype))
          walk.derivative[i] = plus(graph, walk.derivative[i], inputs_dot[j]);
    }
  }
  if (graph->status == TB_OK)
    hand_out(&walk, n_out, outputs, outputs_dot);
  if (finish(&walk) != TB_OK)
    return give_up(graph, n_out, outputs_dot);
  return TB_OK;
}

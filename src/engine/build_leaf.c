/* Leaves: inputs, fills, constants, counters and keyed random numbers. */
#include "engine/rules.h"

#include <math.h>
#include <string.h>

/* The shape stands in the template already. */
bool tb_given_shape(tb_graph *graph, tb_node *node) {
  return true;
}

/* A template with shape; NULL dims are allowed for rank 0. */
static bool shaped(tb_place place, tb_graph *graph, const char *operation, size_t rank, const size_t *dims,
                   tb_node *node) {
  if (graph->status != TB_OK)
    return false;
  if (rank > TB_MAX_RANK) {
    tb_graph_fail(place, graph, operation, "rank %zu is above %d", rank, TB_MAX_RANK);
    return false;
  }
  node->rank = (uint32_t)rank;
  for (size_t i = 0; i < rank; i++)
    node->dims[i] = dims[i];
  char text[TB_SHAPE_TEXT];
  if (!tb_shape_elements(rank, node->dims, &node->elements)) {
    tb_graph_fail(place, graph, operation, "%s is too large", tb_shape_text(rank, dims, text));
    return false;
  }
  return true;
}

/* Integers must be integers: a fraction or an overflow is a mistake, not a rounding. */
static bool representable(tb_place place, tb_graph *graph, const char *operation, tb_dtype dtype, double value) {
  if (dtype != TB_INT32 || (value == floor(value) && value >= INT32_MIN && value <= INT32_MAX))
    return true;
  tb_graph_fail(place, graph, operation, "%g is not an int32", value);
  return false;
}

tb_value tb_input_at(tb_place place, tb_graph *graph, const char *name, tb_dtype dtype, size_t rank,
                     const size_t *dims) {
  tb_node node = { .op = TB_OP_INPUT, .dtype = dtype, .attributes.index = graph->input_count };
  if (!shaped(place, graph, "input", rank, dims, &node))
    return tb_no_value;
  if (graph->closed)
    return tb_graph_fail(place, graph, "input", "a scan's body reads only its carries, slices and constants");
  if (graph->input_count == graph->input_capacity) {
    uint32_t capacity = graph->input_capacity ? 2 * graph->input_capacity : 8;
    uint32_t *inputs = tb_reallocate(graph->context, graph->inputs, capacity, sizeof *inputs);
    if (!inputs) {
      graph->status = TB_NO_MEMORY;
      return tb_no_value;
    }
    graph->inputs = inputs;
    graph->input_capacity = capacity;
  }
  node.name = tb_arena_text(graph->arena, name ? name : "");
  if (!node.name) {
    graph->status = TB_NO_MEMORY;
    return tb_no_value;
  }
  tb_value a = tb_node_append(place, graph, &node, 0, NULL);
  if (a.id >= 0)
    graph->inputs[graph->input_count++] = tb_index(graph, a);
  return a;
}

tb_value tb_fill_at(tb_place place, tb_graph *graph, tb_dtype dtype, size_t rank, const size_t *dims, double value) {
  tb_node node = { .op = TB_OP_FILL, .dtype = dtype, .attributes.value = value };
  if (!shaped(place, graph, "fill", rank, dims, &node) || !representable(place, graph, "fill", dtype, value))
    return tb_no_value;
  return tb_node_append(place, graph, &node, 0, NULL);
}

tb_value tb_scalar_at(tb_place place, tb_graph *graph, tb_dtype dtype, double value) {
  return tb_fill_at(place, graph, dtype, 0, NULL, value);
}

tb_value tb_fill_like_at(tb_place place, tb_graph *graph, tb_value like, double value) {
  if (!tb_graph_check(place, graph, "fill", 1, &like))
    return tb_no_value;
  const tb_node *node = tb_node_of(graph, like);
  return tb_fill_at(place, graph, node->dtype, node->rank, node->dims, value);
}

tb_value tb_constant_at(tb_place place, tb_graph *graph, tb_dtype dtype, size_t rank, const size_t *dims,
                        const double *values) {
  tb_node node = { .op = TB_OP_CONSTANT, .dtype = dtype };
  if (!shaped(place, graph, "constant", rank, dims, &node))
    return tb_no_value;
  void *data = tb_arena_allocate(graph->arena, node.elements + 1, tb_dtype_size(dtype));
  if (!data) {
    graph->status = TB_NO_MEMORY;
    return tb_no_value;
  }
  for (size_t i = 0; i < node.elements; i++) {
    if (!representable(place, graph, "constant", dtype, values[i]))
      return tb_no_value;
    if (dtype == TB_FLOAT64)
      ((double *)data)[i] = values[i];
    else if (dtype == TB_FLOAT32)
      ((float *)data)[i] = (float)values[i];
    else
      ((int32_t *)data)[i] = (int32_t)values[i];
  }
  node.data = data;
  return tb_node_append(place, graph, &node, 0, NULL);
}

tb_value tb_iota_at(tb_place place, tb_graph *graph, tb_dtype dtype, size_t rank, const size_t *dims, size_t axis) {
  tb_node node = { .op = TB_OP_IOTA, .dtype = dtype, .attributes.axis = (uint32_t)axis };
  if (!shaped(place, graph, "iota", rank, dims, &node))
    return tb_no_value;
  char shape[TB_SHAPE_TEXT];
  if (axis >= rank)
    return tb_graph_fail(place, graph, "iota", "no axis %zu in %s", axis, tb_shape_text(rank, dims, shape));
  if (dtype == TB_INT32 && dims[axis] > (size_t)INT32_MAX + 1)
    return tb_graph_fail(place, graph, "iota", "%zu does not fit in int32", dims[axis]);
  return tb_node_append(place, graph, &node, 0, NULL);
}

/* ---- keyed random numbers ---- */

static tb_value random_at(tb_place place, tb_graph *graph, tb_op op, tb_value key, uint32_t use, tb_dtype dtype,
                          size_t rank, const size_t *dims) {
  tb_node node = { .op = op, .dtype = dtype, .attributes.use = use };
  const char *name = tb_ops[op].name;
  if (!shaped(place, graph, name, rank, dims, &node) || !tb_graph_check(place, graph, name, 1, &key))
    return tb_no_value;
  const tb_node *k = tb_node_of(graph, key);
  char shape[TB_SHAPE_TEXT];
  if (k->dtype != TB_INT32 || k->rank != 1 || k->dims[0] != 3)
    return tb_graph_fail(place, graph, name, "the key must be int32[3] (seed low, seed high, step), got %s%s",
                         tb_dtype_name(k->dtype), tb_shape_text(k->rank, k->dims, shape));
  if (!tb_dtype_real(dtype))
    return tb_graph_fail(place, graph, name, "draws float32 or float64, not int32");
  return tb_node_append(place, graph, &node, 1, &key);
}

tb_value tb_normal_at(tb_place place, tb_graph *graph, tb_value key, uint32_t use, tb_dtype dtype, size_t rank,
                      const size_t *dims) {
  return random_at(place, graph, TB_OP_NORMAL, key, use, dtype, rank, dims);
}

tb_value tb_uniform_at(tb_place place, tb_graph *graph, tb_value key, uint32_t use, tb_dtype dtype, size_t rank,
                       const size_t *dims) {
  return random_at(place, graph, TB_OP_UNIFORM, key, use, dtype, rank, dims);
}

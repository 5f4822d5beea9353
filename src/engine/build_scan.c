/* Scan: a loop whose body is a graph of its own.  The user's function fills the body once; what it may read are its
 * arguments (handles of the outer graph are foreign to it, and are refused). */
#include "engine/node.h"

#include <stdio.h>
#include <string.h>

/* ---- appending a scan whose body stands ---- */

/* Marks what the results of the body need. */
static void mark_read(const tb_graph *body, uint32_t count, const uint32_t *results, bool *read) {
  for (uint32_t i = 0; i < count; i++)
    read[results[i]] = true;
  for (uint32_t i = body->count; i-- > 0;)
    for (uint32_t k = 0; k < body->nodes[i]->operand_count && read[i]; k++)
      read[body->nodes[i]->operands[k]] = true;
}

/* Leaves out slices and constants that nothing reads, and their operands. */
static void drop_unread(tb_graph *body, tb_scan *scan, const bool *read, tb_value *operands) {
  uint32_t kept = 1 + scan->carries, slices = scan->slices, total = kept + slices + scan->constants;
  for (uint32_t i = kept; i < total; i++) {
    if (!read[body->inputs[i]]) {
      (i < 1 + scan->carries + slices ? &scan->slices : &scan->constants)[0]--;
      continue;
    }
    operands[kept - 1] = operands[i - 1];
    body->nodes[body->inputs[i]]->attributes.index = kept;
    body->inputs[kept++] = body->inputs[i];
  }
  body->input_count = kept;
}

static tb_value append_result(tb_place place, tb_graph *graph, tb_value scan, uint32_t index, const tb_node *like,
                              bool stacked) {
  tb_node node = { .op = TB_OP_RESULT, .dtype = like->dtype, .rank = like->rank, .attributes.index = index };
  if (stacked) {
    if (like->rank == TB_MAX_RANK)
      return tb_graph_fail(place, graph, "scan", "a value of rank %d cannot be stacked", TB_MAX_RANK);
    node.rank++;
    node.dims[0] = tb_node_of(graph, scan)->scan->length;
  }
  memcpy(node.dims + stacked, like->dims, like->rank * sizeof *node.dims);
  return tb_node_append(place, graph, &node, 1, &scan);
}

static tb_status append(tb_place place, tb_graph *graph, const tb_scan *shape, tb_graph *body, const tb_value *results,
                        const tb_value *operands, tb_value *first) {
  uint32_t count = tb_scan_body_results(shape), arguments = shape->carries + shape->slices + shape->constants;
  tb_scan *scan = tb_arena_allocate(graph->arena, 1, sizeof *scan);
  uint32_t *indices = tb_arena_allocate(graph->arena, count + 1, sizeof *indices);
  bool *read = tb_arena_allocate(body->arena, body->count + 1, sizeof *read);
  tb_value *kept = tb_arena_allocate(body->arena, arguments + 1, sizeof *kept);
  if (!scan || !indices || !read || !kept) {
    tb_graph_free(body);
    return graph->status = TB_NO_MEMORY;
  }
  for (uint32_t i = 0; i < count; i++)
    indices[i] = tb_index(body, results[i]);
  memcpy(kept, operands, arguments * sizeof *kept);
  *scan = *shape;
  scan->body = body;
  scan->results = indices;
  mark_read(body, count, indices, read);
  drop_unread(body, scan, read, kept);
  arguments = scan->carries + scan->slices + scan->constants;
  tb_value self = tb_node_append(place, graph, &(tb_node){ .op = TB_OP_SCAN, .scan = scan }, arguments, kept);
  if (self.id < 0) {
    tb_graph_free(body);
    return graph->status;
  }
  *first = tb_value_at(graph, graph->count);
  for (uint32_t i = 0; i < count; i++)
    append_result(place, graph, self, i, body->nodes[indices[i]], i >= scan->carries);
  for (uint32_t i = 0; i < scan->carries; i++)
    append_result(place, graph, self, count + i, body->nodes[indices[i]], true);
  return graph->status;
}

tb_status tb_scan_append(tb_place place, tb_graph *graph, const tb_scan *shape, tb_graph *body, const tb_value *results,
                         const tb_value *operands, tb_value *first) {
  tb_graph_adopt_failure(graph, body);
  if (graph->status == TB_OK)
    return append(place, graph, shape, body, results, operands, first);
  tb_graph_free(body);
  return graph->status;
}

/* ---- the public builder ---- */

static bool slices_fit(tb_place place, tb_graph *graph, size_t length, size_t count, const tb_value *xs) {
  for (size_t i = 0; i < count; i++) {
    const tb_node *x = tb_node_of(graph, xs[i]);
    char text[TB_SHAPE_TEXT];
    if (x->rank == 0 || x->dims[0] != length) {
      tb_graph_fail(place, graph, "scan", "slices come from [%zu,…], got %s", length,
                    tb_shape_text(x->rank, x->dims, text));
      return false;
    }
  }
  return true;
}

static bool carries_fit(tb_place place, tb_graph *graph, const tb_graph *body, size_t count, const tb_value *carry,
                        const tb_value *carry_out) {
  for (size_t i = 0; i < count; i++) {
    const tb_node *in = tb_node_of(graph, carry[i]), *out = tb_node_of(body, carry_out[i]);
    char x[TB_SHAPE_TEXT], y[TB_SHAPE_TEXT];
    if (in->dtype != out->dtype || !tb_same_shape(in, out)) {
      tb_graph_fail(place, graph, "scan", "carry %zu enters as %s%s and leaves as %s%s", i + 1,
                    tb_dtype_name(in->dtype), tb_shape_text(in->rank, in->dims, x), tb_dtype_name(out->dtype),
                    tb_shape_text(out->rank, out->dims, y));
      return false;
    }
  }
  return true;
}

/* The body's inputs: step, carries, slices, constants. */
static void make_inputs(tb_place place, const tb_graph *graph, tb_graph *body, const tb_scan *shape,
                        const tb_value *operands, tb_value *inputs) {
  inputs[0] = tb_input_at(place, body, "step", TB_INT32, 0, NULL);
  for (uint32_t i = 0; i < shape->carries + shape->slices + shape->constants; i++) {
    const tb_node *node = tb_node_of(graph, operands[i]);
    bool slice = i >= shape->carries && i < shape->carries + shape->slices;
    inputs[1 + i] = tb_input_at(place, body,
                                i < shape->carries ? "carry"
                                : slice            ? "slice"
                                                   : "constant",
                                node->dtype, node->rank - slice, node->dims + slice);
  }
  body->closed = true;
}

/* Runs the user's function on the body; the graph fails where it does. */
static bool fill_body(tb_place place, tb_graph *graph, tb_graph *body, const tb_scan *shape, tb_scan_body function,
                      void *user, const tb_value *inputs, tb_value *results) {
  const tb_value *carry = inputs + 1, *slices = carry + shape->carries, *constants = slices + shape->slices;
  tb_status status = TB_OK;
  for (uint32_t i = 0; i < tb_scan_body_results(shape); i++)
    results[i] = tb_no_value;
  if (body->status == TB_OK)
    status = function(user, body, inputs[0], shape->carries, carry, shape->slices, slices, shape->constants, constants,
                      results, shape->outs, results + shape->carries);
  if (body->status == TB_OK && status == TB_OK)
    tb_graph_check(place, body, "scan", tb_scan_body_results(shape), results);
  tb_graph_adopt_failure(graph, body);
  if (graph->status == TB_OK && status != TB_OK) {
    tb_graph_fail(place, graph, "scan", "its body failed: %s", tb_context_message(graph->context));
    graph->status = status;
  }
  return graph->status == TB_OK;
}

static void hand_out(tb_value first, size_t n_carry, tb_value *carry_out, size_t n_out, tb_value *outs) {
  for (size_t i = 0; i < n_carry; i++)
    carry_out[i] = first.id < 0 ? tb_no_value : (tb_value){ first.id + (int32_t)i };
  for (size_t i = 0; i < n_out; i++)
    outs[i] = first.id < 0 ? tb_no_value : (tb_value){ first.id + (int32_t)(n_carry + i) };
}

tb_status tb_scan_at(tb_place place, tb_graph *graph, size_t length, bool reverse, tb_scan_body body, void *user,
                     size_t n_carry, const tb_value *carry, size_t n_slice, const tb_value *xs, size_t n_const,
                     const tb_value *consts, tb_value *carry_out, size_t n_out, tb_value *outs) {
  tb_value first = tb_no_value;
  tb_graph *child = NULL;
  size_t arguments = n_carry + n_slice + n_const, most = 1u << 20;
  if (graph->status == TB_OK && (n_carry > most || n_slice > most || n_const > most || n_out > most))
    tb_graph_fail(place, graph, "scan", "too many carries, slices, constants or outs");
  if (graph->status == TB_OK && length > INT32_MAX)
    tb_graph_fail(place, graph, "scan", "%zu steps are more than an int32 counts", length);
  if (!tb_graph_check(place, graph, "scan", n_carry, carry) || !tb_graph_check(place, graph, "scan", n_slice, xs) ||
      !tb_graph_check(place, graph, "scan", n_const, consts) || !slices_fit(place, graph, length, n_slice, xs))
    goto done;
  const tb_scan shape = { .length = length,
                          .reverse = reverse,
                          .carries = (uint32_t)n_carry,
                          .slices = (uint32_t)n_slice,
                          .constants = (uint32_t)n_const,
                          .outs = (uint32_t)n_out };
  tb_value *operands = tb_arena_allocate(graph->arena, 2 * arguments + n_carry + n_out + 2, sizeof *operands);
  if (!operands || tb_graph_child(graph, &child) != TB_OK) {
    graph->status = TB_NO_MEMORY;
    goto done;
  }
  tb_value *inputs = operands + arguments, *results = inputs + arguments + 1;
  for (size_t i = 0; i < arguments; i++)
    operands[i] = i < n_carry ? carry[i] : i < n_carry + n_slice ? xs[i - n_carry] : consts[i - n_carry - n_slice];
  make_inputs(place, graph, child, &shape, operands, inputs);
  if (fill_body(place, graph, child, &shape, body, user, inputs, results) &&
      carries_fit(place, graph, child, n_carry, carry, results)) {
    tb_scan_append(place, graph, &shape, child, results, operands, &first);
    child = NULL;
  }
done:
  tb_graph_free(child);
  hand_out(graph->status == TB_OK ? first : tb_no_value, n_carry, carry_out, n_out, outs);
  return tb_graph_status(graph);
}

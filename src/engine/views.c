/* Views: how the elements of a node lie in a buffer.
 *
 * Reshapes, slices, broadcasts and transposes are views of their operand wherever strides can say it; only who needs
 * row-major elements gets a copy, once. */
#include "engine/naive.h"
#include "engine/plan.h"

#include <string.h>

uint32_t tb_new_buffer(tb_planner *p, tb_place_kind kind, size_t bytes) {
  if (p->buffer_count == p->buffer_capacity) {
    const uint32_t capacity = p->buffer_capacity ? 2 * p->buffer_capacity : 64;
    tb_buffer *buffers = tb_reallocate(p->context, p->buffers, capacity, sizeof *buffers);
    if (buffers)
      p->buffers = buffers;
    const void **data = buffers ? tb_reallocate(p->context, p->constant_data, capacity, sizeof *data) : NULL;
    if (!data)
      return TB_NO_BUFFER;
    p->constant_data = data;
    p->buffer_capacity = capacity;
  }
  p->buffers[p->buffer_count] = (tb_buffer){ .kind = kind, .bytes = bytes, .first = UINT32_MAX };
  p->constant_data[p->buffer_count] = NULL;
  return p->buffer_count++;
}

static tb_status new_buffer(tb_planner *p, tb_place_kind kind, size_t bytes, uint32_t *buffer) {
  *buffer = tb_new_buffer(p, kind, bytes);
  return *buffer == TB_NO_BUFFER ? TB_NO_MEMORY : TB_OK;
}

tb_status tb_constant_bytes(tb_planner *p, const void *data, size_t bytes, uint32_t *buffer) {
  void *copy = tb_arena_allocate(p->scratch, bytes + 1, 1);
  if (!copy)
    return TB_NO_MEMORY;
  tb_status status = new_buffer(p, TB_IN_CONSTANTS, bytes, buffer);
  if (status == TB_OK)
    p->constant_data[*buffer] = memcpy(copy, data, bytes);
  return status;
}

bool tb_view_is_contiguous(const tb_node *node, const tb_view *view) {
  size_t stride = 1;
  for (uint32_t i = node->rank; i-- > 0;) {
    if (node->dims[i] != 1 && view->strides[i] != stride)
      return false;
    stride *= node->dims[i];
  }
  return true;
}

bool tb_view_reshape(size_t rank, const size_t *dims, const size_t *strides, size_t new_rank, const size_t *new_dims,
                     size_t *new_strides) {
  size_t i = 0, j = 0;
  while (i < rank || j < new_rank) {
    /* the shortest runs of old and new axes with the same number of elements */
    size_t from = i, to = j, old_size = i < rank ? dims[i++] : 1, new_size = j < new_rank ? new_dims[j++] : 1;
    while (old_size != new_size) {
      if (old_size < new_size && i < rank)
        old_size *= dims[i++];
      else if (j < new_rank)
        new_size *= new_dims[j++];
      else
        return false;
    }
    size_t last = i; /* the old run must be one stretch */
    while (last > from && dims[last - 1] == 1)
      last--;
    size_t stride = last > from ? strides[last - 1] : 1, expected = stride;
    for (size_t k = last; k-- > from;) {
      if (dims[k] != 1 && strides[k] != expected)
        return false;
      expected *= dims[k];
    }
    for (size_t k = j; k-- > to;) {
      new_strides[k] = stride;
      stride *= new_dims[k];
    }
  }
  return true;
}

/* ---- leaves ---- */

static tb_status leaf_view(tb_planner *p, uint32_t index, tb_view *view) {
  const tb_node *node = p->graph->nodes[index];
  *view = (tb_view){ .offset = 0 };
  if (node->op == TB_OP_FILL) { /* one number, stretched */
    double wide = 0;
    tb_put(node->dtype, &wide, 0, node->attributes.value);
    return tb_constant_bytes(p, &wide, tb_dtype_size(node->dtype), &view->buffer);
  }
  tb_strides(node->rank, node->dims, view->strides);
  if (node->op == TB_OP_INPUT) {
    if (node->attributes.start) /* [outer, rows of a tile, inner] of [outer, rows, inner] */
      view->strides[0] = node->attributes.start * node->dims[2];
    tb_status status = new_buffer(p, TB_IN_INPUT, tb_node_bytes(node), &view->buffer);
    if (status == TB_OK)
      p->buffers[view->buffer].index = node->attributes.index;
    return status;
  }
  void *data = tb_arena_allocate(p->scratch, tb_node_bytes(node) + 1, 1);
  if (!data)
    return TB_NO_MEMORY;
  tb_status status = tb_ops[node->op].naive(p->context, p->graph, node, NULL, data);
  return status == TB_OK ? tb_constant_bytes(p, data, tb_node_bytes(node), &view->buffer) : status;
}

/* ---- views of an operand ---- */

static tb_status operand_view(tb_planner *p, uint32_t index, tb_view *view) {
  const tb_node *node = p->graph->nodes[index], *a = tb_node_operand(p->graph, node, 0);
  tb_view from;
  tb_status status = tb_view_of(p, node->operands[0], &from);
  if (status != TB_OK)
    return status;
  *view = (tb_view){ .buffer = from.buffer, .offset = from.offset };
  switch (node->op) {
  case TB_OP_TRANSPOSE:
    for (uint32_t i = 0; i < node->rank; i++)
      view->strides[i] = from.strides[node->attributes.permutation[i]];
    return TB_OK;
  case TB_OP_BROADCAST:
    for (uint32_t i = node->rank - a->rank; i < node->rank; i++) {
      const uint32_t k = i - (node->rank - a->rank);
      view->strides[i] = a->dims[k] == 1 ? 0 : from.strides[k];
    }
    return TB_OK;
  case TB_OP_SLICE:
    memcpy(view->strides, from.strides, sizeof view->strides);
    view->offset += node->attributes.start * from.strides[node->attributes.axis];
    return TB_OK;
  case TB_OP_RESHAPE:
    if (node->elements == 0 || tb_view_reshape(a->rank, a->dims, from.strides, node->rank, node->dims, view->strides))
      return TB_OK;
    status = tb_contiguous_view(p, node->operands[0], view);
    tb_strides(node->rank, node->dims, view->strides);
    return status;
  default: /* stop */
    *view = from;
    return TB_OK;
  }
}

tb_status tb_view_of(tb_planner *p, uint32_t index, tb_view *view) {
  const tb_op op = p->graph->nodes[index]->op;
  tb_status status = TB_OK;
  if (p->views[index].buffer == TB_NO_BUFFER && p->graph->nodes[index]->elements == 0 && op != TB_OP_INPUT) {
    status = tb_view_make(p, index, view); /* nothing computes what has no elements */
  } else if (p->views[index].buffer == TB_NO_BUFFER) {
    assert(tb_op_is_view(op) || tb_ops[op].arity == 0);
    tb_view made;
    status = tb_op_is_view(op) ? operand_view(p, index, &made) : leaf_view(p, index, &made);
    if (status == TB_OK)
      p->views[index] = made;
  }
  *view = p->views[index];
  return status;
}

/* Memory of the node's own, row-major: an output where it is one. */
static tb_status own_view(tb_planner *p, uint32_t index, tb_view *view) {
  const tb_node *node = p->graph->nodes[index];
  *view = (tb_view){ .offset = 0 };
  tb_strides(node->rank, node->dims, view->strides);
  tb_status status = new_buffer(p, TB_IN_ARENA, tb_node_bytes(node), &view->buffer);
  for (size_t i = 0; i < p->n_out && status == TB_OK && p->is_output[index]; i++)
    if (p->outputs[i] == index) { /* straight into the first output that it is */
      p->buffers[view->buffer].kind = TB_IN_OUTPUT;
      p->buffers[view->buffer].index = (uint32_t)i;
      break;
    }
  return status;
}

static tb_status make_view(tb_planner *p, uint32_t index, bool rows, tb_view *view) {
  const tb_node *node = p->graph->nodes[index];
  bool found;
  tb_status status = tb_place_at_home(p, index, view, &found);
  if (found && rows) {
    uint32_t axes = node->rank; /* up to the last that has a length */
    while (axes > 0 && node->dims[axes - 1] == 1)
      axes--;
    found = axes == 0 || view->strides[axes - 1] == 1;
  } else if (found) {
    found = tb_view_is_contiguous(node, view);
  }
  if (status == TB_OK && !found)
    status = own_view(p, index, view);
  p->views[index] = *view;
  return status;
}

tb_status tb_view_make(tb_planner *p, uint32_t index, tb_view *view) {
  return make_view(p, index, false, view);
}

tb_status tb_view_make_rows(tb_planner *p, uint32_t index, tb_view *view) {
  return make_view(p, index, true, view);
}

/* ---- copies ---- */

tb_status tb_emit_copy(tb_planner *p, uint32_t index, const tb_node *shape, const tb_view *from, const tb_view *to) {
  tb_copy *copy = tb_arena_allocate(p->arena, 1, sizeof *copy);
  if (!copy)
    return TB_NO_MEMORY;
  const size_t element = tb_dtype_size(shape->dtype);
  copy->element = element;
  for (uint32_t i = 0; i < shape->rank; i++) { /* axes that run on are one */
    if (shape->dims[i] == 1)
      continue;
    const size_t a = from->strides[i] * element, b = to->strides[i] * element;
    const uint32_t last = copy->rank - 1;
    if (copy->rank && copy->from[last] == a * shape->dims[i] && copy->to[last] == b * shape->dims[i]) {
      copy->dims[last] *= shape->dims[i];
      copy->from[last] = a;
      copy->to[last] = b;
    } else {
      copy->dims[copy->rank] = shape->dims[i];
      copy->from[copy->rank] = a;
      copy->to[copy->rank++] = b;
    }
  }
  const uint32_t r = copy->rank;
  if (r >= 2 && copy->from[r - 2] == element && copy->to[r - 1] == element && copy->from[r - 1] >= element)
    copy->transpose = p->kernels[shape->dtype]->move->transpose;
  if (r && element == 8 && copy->transpose)
    copy->transpose = p->kernels[TB_FLOAT64]->move->transpose;
  tb_status status = tb_touch(p, from, element, false, &copy->a);
  if (status == TB_OK)
    status = tb_touch(p, to, element, true, &copy->out);
  return status == TB_OK ? tb_emit(p, tb_run_copy, copy, copy->transpose ? "transpose" : "copy", index) : status;
}

tb_status tb_contiguous_view(tb_planner *p, uint32_t index, tb_view *view) {
  const tb_node *node = p->graph->nodes[index];
  tb_status status = tb_view_of(p, index, view);
  if (status != TB_OK || tb_view_is_contiguous(node, view))
    return status;
  tb_view *known = &p->contiguous[index];
  if (known->buffer == TB_NO_BUFFER) {
    tb_view made = { .offset = 0 };
    tb_strides(node->rank, node->dims, made.strides);
    if (node->op == TB_OP_FILL) {
      void *data = tb_arena_allocate(p->scratch, tb_node_bytes(node) + 1, 1);
      status = data ? tb_ops[TB_OP_FILL].naive(p->context, p->graph, node, NULL, data) : TB_NO_MEMORY;
      if (status == TB_OK)
        status = tb_constant_bytes(p, data, tb_node_bytes(node), &made.buffer);
    } else {
      status = new_buffer(p, TB_IN_ARENA, tb_node_bytes(node), &made.buffer);
      if (status == TB_OK)
        status = tb_emit_copy(p, index, node, view, &made);
    }
    if (status == TB_OK)
      *known = made;
  }
  *view = *known;
  return status;
}

/* Places: a result is computed where it will be read.
 *
 * Parts of a concatenation are computed in its memory, and what is only read turned (heads of attention, batches of
 * products) is written turned, so that nothing is copied.  home[node] is the node's reader: the concatenation itself,
 * or a reshape or transpose whose own home may be another reader.  The node's strides follow from its reader's; where
 * they cannot say it, or the kernel needs rows that run on and they do not, the node gets memory of its own and who
 * needs it elsewhere copies. */
#include "engine/naive.h"
#include "engine/plan.h"

#include <string.h>

static const tb_node *node_at(const tb_planner *p, uint32_t index) {
  return p->graph->nodes[index];
}

bool tb_same_view(const tb_node *node, const tb_view *a, const tb_view *b) {
  if (a->buffer != b->buffer || a->offset != b->offset)
    return false;
  for (uint32_t i = 0; i < node->rank; i++)
    if (node->dims[i] != 1 && a->strides[i] != b->strides[i])
      return false;
  return true;
}

tb_view tb_part_of(const tb_planner *p, uint32_t concat, uint32_t k, const tb_view *whole) {
  const tb_node *node = node_at(p, concat);
  const uint32_t axis = node->attributes.axis;
  tb_view view = *whole;
  for (uint32_t i = 0; i < k; i++)
    view.offset += node_at(p, node->operands[i])->dims[axis] * whole->strides[axis];
  return view;
}

/* ---- who lives where ---- */

/* Computed by an instruction that can write anywhere. */
static bool is_free(const tb_planner *p, uint32_t index) {
  const tb_op op = node_at(p, index)->op;
  return tb_ops[op].arity != 0 && !tb_op_is_view(op) && !p->is_output[index] && p->home[index] == TB_NO_BUFFER;
}

static bool is_passed_on(const tb_planner *p, uint32_t index) {
  const tb_op op = node_at(p, index)->op;
  return (op == TB_OP_RESHAPE || op == TB_OP_TRANSPOSE) && !p->is_output[index] && p->home[index] == TB_NO_BUFFER &&
         p->uses[index] == 1;
}

/* The chain of reshapes and transposes from a part of a concatenation down to what is computed. */
static void house(tb_planner *p, uint32_t reader, uint32_t part) {
  uint32_t chain[8], length = 0;
  while (length < 8 && is_passed_on(p, part)) {
    chain[length++] = part;
    part = node_at(p, part)->operands[0];
  }
  if (!is_free(p, part))
    return;
  for (uint32_t i = 0; i < length; reader = chain[i++])
    p->home[chain[i]] = reader;
  p->home[part] = reader;
}

/* Whether a transpose moves whole rows of something that a kernel by batches computes. */
static bool moves_rows(const tb_planner *p, uint32_t index) {
  const tb_node *node = node_at(p, index);
  const uint32_t a = node->operands[0], last = node->rank - 1;
  return node->rank > 2 && node->attributes.permutation[last] == last && p->uses[a] == 1 && is_free(p, a) &&
         (p->pattern_of[a] || node_at(p, a)->op == TB_OP_MATMUL);
}

void tb_find_homes(tb_planner *p) {
  for (uint32_t i = p->graph->count; i-- > 0;) { /* outer concatenations first */
    const tb_node *node = node_at(p, i);
    if (node->op == TB_OP_CONCAT && p->unit_of[i] != UINT32_MAX)
      for (uint32_t k = 0; k < node->operand_count; k++)
        house(p, i, node->operands[k]);
  }
  for (uint32_t i = 0; i < p->graph->count; i++)
    if (node_at(p, i)->op == TB_OP_TRANSPOSE && moves_rows(p, i))
      p->home[node_at(p, i)->operands[0]] = i;
}

/* ---- where that is ---- */

/* The view of the value that a node lives in: in its own home, or new and row-major. */
static tb_status view_of_home(tb_planner *p, uint32_t index, tb_view *view, bool *found) {
  tb_status status = TB_OK;
  *found = true;
  if (p->views[index].buffer != TB_NO_BUFFER)
    *view = p->views[index];
  else if (node_at(p, index)->op == TB_OP_CONCAT || p->home[index] == TB_NO_BUFFER)
    status = tb_view_make_rows(p, index, view);
  else
    status = tb_place_at_home(p, index, view, found);
  return status;
}

tb_status tb_place_at_home(tb_planner *p, uint32_t index, tb_view *view, bool *found) {
  *found = false;
  const uint32_t home = p->home[index];
  if (home == TB_NO_BUFFER)
    return TB_OK;
  const tb_node *node = node_at(p, index), *reader = node_at(p, home);
  tb_view whole;
  tb_status status = view_of_home(p, home, &whole, found);
  if (status != TB_OK || !*found)
    return status;
  *view = (tb_view){ .buffer = whole.buffer, .offset = whole.offset };
  if (reader->op == TB_OP_CONCAT) {
    uint32_t k = 0;
    while (reader->operands[k] != index)
      k++;
    *view = tb_part_of(p, home, k, &whole);
  } else if (reader->op == TB_OP_TRANSPOSE) {
    for (uint32_t i = 0; i < reader->rank; i++)
      view->strides[reader->attributes.permutation[i]] = whole.strides[i];
  } else {
    *found = node->elements > 0 &&
             tb_view_reshape(reader->rank, reader->dims, whole.strides, node->rank, node->dims, view->strides);
  }
  return TB_OK;
}

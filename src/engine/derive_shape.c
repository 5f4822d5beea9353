/* Derivatives of shape operations: all are linear, so forward is the operation itself and reverse its transpose. */
#include "engine/derive.h"

static const tb_node *operand_node(const tb_graph *g, uint32_t self, uint32_t i) {
  return tb_node_operand(g, tb_node_at(g, self), i);
}

void tb_reshape_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  const tb_node *a = operand_node(g, self, 0);
  operand_bars[0] = tb_reshape(g, bars[0], a->rank, a->dims);
}
void tb_reshape_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  const tb_node *node = tb_node_at(g, self);
  dots[0] = tb_reshape(g, operand_dots[0], node->rank, node->dims);
}

void tb_transpose_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  const tb_node *node = tb_node_at(g, self);
  size_t inverse[TB_MAX_RANK] = { 0 };
  for (uint32_t i = 0; i < node->rank; i++)
    inverse[node->attributes.permutation[i]] = i;
  operand_bars[0] = tb_transpose(g, bars[0], inverse);
}
void tb_transpose_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  const tb_node *node = tb_node_at(g, self);
  size_t permutation[TB_MAX_RANK] = { 0 };
  for (uint32_t i = 0; i < node->rank; i++)
    permutation[i] = node->attributes.permutation[i];
  dots[0] = tb_transpose(g, operand_dots[0], permutation);
}

void tb_broadcast_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  operand_bars[0] = tb_sum_like_at(TB_HERE, g, bars[0], operand(g, self, 0));
}
void tb_broadcast_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  dots[0] = tb_broadcast_like_at(TB_HERE, g, operand_dots[0], tb_value_at(g, self));
}

void tb_slice_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  const tb_attributes *at = &tb_node_at(g, self)->attributes;
  operand_bars[0] = tb_pad_at(TB_HERE, g, bars[0], at->axis, at->start, operand_node(g, self, 0)->dims[at->axis]);
}
void tb_slice_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  const tb_node *node = tb_node_at(g, self);
  const tb_attributes *at = &node->attributes;
  dots[0] = tb_slice(g, operand_dots[0], at->axis, at->start, node->dims[at->axis]);
}

void tb_pad_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  const tb_attributes *at = &tb_node_at(g, self)->attributes;
  operand_bars[0] = tb_slice(g, bars[0], at->axis, at->start, operand_node(g, self, 0)->dims[at->axis]);
}
void tb_pad_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  const tb_node *node = tb_node_at(g, self);
  const tb_attributes *at = &node->attributes;
  dots[0] = tb_pad_at(TB_HERE, g, operand_dots[0], at->axis, at->start, node->dims[at->axis]);
}

void tb_concat_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  const tb_node *node = tb_node_at(g, self);
  size_t axis = node->attributes.axis, start = 0;
  for (uint32_t i = 0; i < node->operand_count; i++) {
    size_t length = operand_node(g, self, i)->dims[axis];
    if (wanted[i])
      operand_bars[i] = tb_slice(g, bars[0], axis, start, length);
    start += length;
  }
}
/* Only the parts that move are padded into place: a concatenation has many parts, and few of them move. */
void tb_concat_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  const tb_node *node = tb_node_at(g, self);
  size_t axis = node->attributes.axis, start = 0;
  for (uint32_t i = 0; i < node->operand_count; i++) {
    if (!is_zero(operand_dots[i]))
      dots[0] = plus(g, dots[0], tb_pad_at(TB_HERE, g, operand_dots[i], axis, start, node->dims[axis]));
    start += operand_node(g, self, i)->dims[axis];
  }
}

void tb_gather_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  size_t axis = tb_node_at(g, self)->attributes.axis;
  operand_bars[0] = tb_scatter_add(g, bars[0], axis, operand(g, self, 1), operand_node(g, self, 0)->dims[axis]);
}
void tb_gather_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  if (!is_zero(operand_dots[0]))
    dots[0] = tb_gather(g, operand_dots[0], tb_node_at(g, self)->attributes.axis, operand(g, self, 1));
}

void tb_scatter_add_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  operand_bars[0] = tb_gather(g, bars[0], tb_node_at(g, self)->attributes.axis, operand(g, self, 1));
}
void tb_scatter_add_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  const tb_node *node = tb_node_at(g, self);
  size_t axis = node->attributes.axis;
  if (!is_zero(operand_dots[0]))
    dots[0] = tb_scatter_add(g, operand_dots[0], axis, operand(g, self, 1), node->dims[axis]);
}

/* Sums of padded pieces, as reverse mode leaves them behind slices, are concatenations. */
#include "engine/rewrite.h"

#include <stdlib.h>
#include <string.h>

/* A value that is zero but for pieces along an axis: a pad, or a concatenation with zeros between. */
typedef struct pieces {
  uint32_t axis, count;
  const uint32_t *operands;
  size_t start; /* of the first operand */
} pieces;

static bool pieces_of(const tb_node *node, pieces *p) {
  if (node->op != TB_OP_PAD && node->op != TB_OP_CONCAT)
    return false;
  *p = (pieces){ node->attributes.axis, node->operand_count, node->operands, node->attributes.start };
  return true;
}

typedef struct piece {
  uint32_t node;
  size_t start, length;
} piece;

static uint32_t add_pieces(const tb_rewriter *w, const pieces *p, piece *list, uint32_t count) {
  size_t start = p->start;
  for (uint32_t k = 0; k < p->count; k++) {
    const tb_node *a = tb_rewritten(w, p->operands[k]);
    const size_t length = a->dims[p->axis];
    if (!(tb_is_fill(a) && a->attributes.value == 0) && length)
      list[count++] = (piece){ p->operands[k], start, length };
    start += length;
  }
  return count;
}

static int by_start(const void *a, const void *b) {
  const piece *x = a, *y = b;
  return (x->start > y->start) - (x->start < y->start);
}

/* Pieces that do not overlap are put side by side: the gradient of a parameter vector from those of its slices. */
bool tb_rule_pieces(tb_rewriter *w, tb_rule_input in, uint32_t *index, tb_status *status) {
  pieces x, y;
  if (in.node->op != TB_OP_BINARY || in.node->attributes.kind != TB_ADD || !tb_dtype_real(in.node->dtype) ||
      !pieces_of(tb_rewritten(w, in.operands[0]), &x) || !pieces_of(tb_rewritten(w, in.operands[1]), &y) ||
      x.axis != y.axis)
    return false;
  const uint32_t most = x.count + y.count;
  piece *list = tb_arena_allocate(w->to->arena, most, sizeof *list);
  uint32_t *operands = tb_arena_allocate(w->to->arena, 2 * (size_t)most + 1, sizeof *operands);
  *status = list && operands ? TB_OK : TB_NO_MEMORY;
  if (*status != TB_OK)
    return true;
  const uint32_t count = add_pieces(w, &y, list, add_pieces(w, &x, list, 0));
  qsort(list, count, sizeof *list, by_start);
  for (uint32_t k = 1; k < count; k++)
    if (list[k - 1].start + list[k - 1].length > list[k].start)
      return false;
  const size_t whole = in.node->dims[x.axis];
  uint32_t parts = 0;
  size_t end = 0;
  for (uint32_t k = 0; k <= count && *status == TB_OK; k++) {
    const size_t start = k < count ? list[k].start : whole;
    if (start > end) {
      tb_node zeros = tb_shaped_like(in.node, TB_OP_FILL);
      zeros.elements = zeros.elements / whole * (start - end);
      zeros.dims[x.axis] = start - end;
      *status = tb_rewrite_append(w, &zeros, 0, NULL, &operands[parts++]);
    }
    if (k < count) {
      operands[parts++] = list[k].node;
      end = start + list[k].length;
    }
  }
  tb_node joined = tb_shaped_like(in.node, TB_OP_CONCAT);
  joined.attributes.axis = x.axis;
  if (*status == TB_OK)
    *status = tb_rewrite_append(w, &joined, parts, operands, index);
  return true;
}

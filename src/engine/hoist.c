/* Hoisting: what a loop computes from its constants alone is computed once, before it.
 *
 * Such nodes of the body become constants of the loop; views of them are taken again inside, where they cost nothing.
 */
#include "engine/rewrite.h"

/* Nodes of the body that depend on constants alone. */
static void find_known(const tb_scan *scan, bool *known) {
  const tb_graph *body = scan->body;
  for (uint32_t i = 1 + scan->carries + scan->slices; i < body->input_count; i++)
    known[body->inputs[i]] = true;
  for (uint32_t i = 0; i < body->count; i++) {
    const tb_node *node = body->nodes[i];
    if (node->op == TB_OP_INPUT || node->op == TB_OP_SCAN || node->op == TB_OP_RESULT)
      continue;
    known[i] = true;
    for (uint32_t k = 0; k < node->operand_count; k++)
      known[i] = known[i] && known[node->operands[k]];
  }
}

/* Those of them that what stays reads. */
static uint32_t find_leaving(const tb_graph *body, uint32_t results, const uint32_t *result, const bool *known,
                             bool *wanted, bool *leaving) {
  uint32_t count = 0;
  for (uint32_t k = 0; k < results; k++)
    wanted[result[k]] = true;
  for (uint32_t i = body->count; i-- > 0;) {
    const tb_node *node = body->nodes[i];
    if (!wanted[i] || node->operand_count == 0)
      continue;
    if (known[i] && !tb_op_is_view(node->op)) {
      leaving[i] = true;
      count++;
    } else {
      for (uint32_t k = 0; k < node->operand_count; k++)
        wanted[node->operands[k]] = true;
    }
  }
  return count;
}

/* Computes what leaves, with all that it is made of, in the graph that is being written. */
static tb_status compute_before(tb_rewriter *w, const tb_node *node, const uint32_t *map, const bool *leaving,
                                bool *wanted, uint32_t *place, uint32_t *values) {
  const tb_graph *body = node->scan->body;
  tb_status status = TB_OK;
  for (uint32_t i = body->count; i-- > 0;)
    for (uint32_t k = 0; k < body->nodes[i]->operand_count && (wanted[i] || leaving[i]); k++)
      wanted[body->nodes[i]->operands[k]] = true;
  for (uint32_t i = 0, n = 0; i < body->count && status == TB_OK; i++) {
    const tb_node *inner = body->nodes[i];
    if (!wanted[i] && !leaving[i])
      continue;
    if (inner->op == TB_OP_INPUT) {
      place[i] = map[node->operands[inner->attributes.index - 1]];
      continue;
    }
    uint32_t *operands = tb_arena_allocate(w->to->arena, inner->operand_count + 1, sizeof *operands);
    if (!operands)
      return TB_NO_MEMORY;
    for (uint32_t k = 0; k < inner->operand_count; k++)
      operands[k] = place[inner->operands[k]];
    status = tb_rewrite_node(w, inner, inner->operand_count, operands, &place[i]);
    if (leaving[i])
      values[n++] = place[i];
  }
  return status;
}

tb_status tb_hoist(tb_rewriter *w, const tb_node *node, const uint32_t *map, uint32_t results, const uint32_t *result,
                   bool *leaving, uint32_t *count, uint32_t *values) {
  const uint32_t n = node->scan->body->count;
  *count = 0;
  if (node->scan->length == 0) /* what would not run cannot fail */
    return TB_OK;
  bool *known = tb_allocate(w->context, 3 * (size_t)n + 1, sizeof *known);
  uint32_t *place = tb_allocate(w->context, n + 1, sizeof *place);
  tb_status status = known && place ? TB_OK : TB_NO_MEMORY;
  if (status == TB_OK) {
    find_known(node->scan, known);
    *count = find_leaving(node->scan->body, results, result, known, known + n, leaving);
    if (*count > 0)
      status = compute_before(w, node, map, leaving, known + 2 * (size_t)n, place, values);
  }
  tb_release(w->context, known);
  tb_release(w->context, place);
  return status;
}

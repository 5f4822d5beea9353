/* The readable listing of a graph: a node a line, as
 *   %7 = matmul %0 %3ᵀ → float64[8,2]    model.c:41 */
#include "engine/node.h"

static void print_operand(tb_text *text, uint32_t index, bool transposed) {
  tb_text_format(text, " %%%u%s", index, transposed ? "ᵀ" : "");
}

static void print_attributes(const tb_node *node, tb_text *text) {
  const tb_attributes *at = &node->attributes;
  switch (node->op) {
  case TB_OP_INPUT:
    tb_text_format(text, " \"%s\"", node->name);
    break;
  case TB_OP_FILL:
  case TB_OP_POWER:
  case TB_OP_SCALE:
  case TB_OP_SHIFT:
  case TB_OP_LOWER:
    tb_text_format(text, " %.17g", at->value);
    break;
  case TB_OP_IOTA:
  case TB_OP_CONCAT:
  case TB_OP_GATHER:
  case TB_OP_SCATTER_ADD:
    tb_text_format(text, " axis %u", at->axis);
    break;
  case TB_OP_SLICE:
  case TB_OP_PAD:
    tb_text_format(text, " axis %u from %llu", at->axis, (unsigned long long)at->start);
    break;
  case TB_OP_TRANSPOSE:
    tb_text_add(text, " axes");
    for (uint32_t i = 0; i < node->rank; i++)
      tb_text_format(text, "%c%u", i ? ',' : ' ', at->permutation[i]);
    break;
  case TB_OP_REDUCE:
    tb_text_add(text, " over");
    for (uint32_t i = 0, first = 1; i < TB_MAX_RANK; i++)
      if (at->axes >> i & 1) {
        tb_text_format(text, "%c%u", first ? ' ' : ',', i);
        first = 0;
      }
    break;
  case TB_OP_NORMAL:
  case TB_OP_UNIFORM:
    tb_text_format(text, " use 0x%08x", at->use);
    break;
  case TB_OP_RESULT:
    tb_text_format(text, " .%u", at->index);
    break;
  case TB_OP_SCAN:
    tb_text_format(text, " %s%zu steps: %u carries, %u slices, %u constants → %u outs",
                   node->scan->reverse ? "reverse " : "", node->scan->length, node->scan->carries, node->scan->slices,
                   node->scan->constants, node->scan->outs);
    break;
  default:
    break;
  }
}

static void print_nodes(const tb_graph *graph, int indent, tb_text *text);

static void print_node(const tb_graph *graph, uint32_t index, int indent, tb_text *text) {
  const tb_node *node = graph->nodes[index];
  char name[32], shape[TB_SHAPE_TEXT];
  bool product = node->op == TB_OP_MATMUL;
  tb_text_format(text, "%*s%%%u = %s", indent, "", index, tb_node_name(node, name));
  for (uint32_t k = 0; k < node->operand_count; k++)
    print_operand(text, node->operands[k],
                  (k == 0 && node->attributes.transpose_a) || (k == 1 && product && node->attributes.transpose_b));
  print_attributes(node, text);
  if (node->op != TB_OP_SCAN)
    tb_text_format(text, " → %s%s", tb_dtype_name(node->dtype), tb_shape_text(node->rank, node->dims, shape));
  if (node->place.file)
    tb_text_format(text, "    %s:%d", node->place.file, node->place.line);
  tb_text_add(text, "\n");
  if (!node->scan)
    return;
  print_nodes(node->scan->body, indent + 4, text);
  tb_text_format(text, "%*sgives", indent + 4, "");
  for (uint32_t k = 0; k < tb_scan_body_results(node->scan); k++)
    print_operand(text, node->scan->results[k], false);
  tb_text_add(text, "\n");
}

static void print_nodes(const tb_graph *graph, int indent, tb_text *text) {
  for (uint32_t i = 0; i < graph->count; i++)
    print_node(graph, i, indent, text);
}

tb_status tb_graph_print(const tb_graph *graph, tb_text *text) {
  print_nodes(graph, 0, text);
  if (graph->message)
    tb_text_format(text, "%s: %s\n", graph->message_place, graph->message);
  return tb_text_finish(text);
}

/* Appending to a graph under rewriting: an equal node is found again, what depends on constants only is computed, and
 * the rules have their say. */
#include "engine/rewrite.h"
#include "engine/rules.h"

#include <string.h>

/* Constants are computed at planning time up to this many elements. */
enum { FOLD_MOST = 1 << 20 };

static bool is_constant(const tb_node *node) {
  return node->op == TB_OP_FILL || node->op == TB_OP_CONSTANT || node->op == TB_OP_IOTA;
}

tb_node tb_shaped_like(const tb_node *like, tb_op op) {
  tb_node node = {
    .op = op, .dtype = like->dtype, .rank = like->rank, .elements = like->elements, .place = like->place
  };
  memcpy(node.dims, like->dims, sizeof node.dims);
  return node;
}

/* ---- equal nodes ---- */

static uint64_t hash_word(uint64_t h, uint64_t word) {
  h = (h ^ word) * 0x9e3779b97f4a7c15u;
  return h ^ h >> 32; /* places in the table are low bits */
}

static uint64_t hash_bytes(uint64_t h, const void *data, size_t size) {
  const unsigned char *p = data;
  uint64_t word = 0;
  for (; size >= sizeof word; size -= sizeof word, p += sizeof word) {
    memcpy(&word, p, sizeof word);
    h = hash_word(h, word);
  }
  word = 0;
  if (size) /* data may be NULL where there is none */
    memcpy(&word, p, size);
  return hash_word(h, word);
}

static uint64_t hash_node(const tb_node *node, uint32_t count, const uint32_t *operands) {
  uint64_t h = 14695981039346656037u;
  const uint32_t head[3] = { (uint32_t)node->op, (uint32_t)node->dtype, node->rank };
  h = hash_bytes(h, head, sizeof head);
  h = hash_bytes(h, node->dims, node->rank * sizeof node->dims[0]);
  h = hash_bytes(h, &node->attributes, sizeof node->attributes);
  h = hash_bytes(h, operands, count * sizeof *operands);
  return node->data ? hash_bytes(h, node->data, tb_node_bytes(node)) : h;
}

static bool equal_nodes(const tb_node *a, const tb_node *b, uint32_t count, const uint32_t *operands) {
  return a->op == b->op && a->dtype == b->dtype && tb_same_shape(a, b) && a->operand_count == count &&
         (count == 0 || memcmp(a->operands, operands, count * sizeof *operands) == 0) &&
         memcmp(&a->attributes, &b->attributes, sizeof a->attributes) == 0 &&
         (!a->data || memcmp(a->data, b->data, tb_node_bytes(a)) == 0);
}

static tb_status grow_table(tb_rewriter *w) {
  if (2 * (w->to->count + 1) < w->table_size)
    return TB_OK;
  const uint32_t size = w->table_size ? 2 * w->table_size : 256;
  uint32_t *table = tb_allocate(w->context, size, sizeof *table);
  if (!table)
    return TB_NO_MEMORY;
  for (uint32_t i = 0; i < w->table_size; i++)
    if (w->table[i]) {
      const tb_node *node = tb_rewritten(w, w->table[i] - 1);
      uint64_t h = hash_node(node, node->operand_count, node->operands);
      while (table[h & (size - 1)])
        h++;
      table[h & (size - 1)] = w->table[i];
    }
  tb_release(w->context, w->table);
  w->table = table;
  w->table_size = size;
  return TB_OK;
}

/* Appends a node whose shape stands in the template, or finds its equal. */
tb_status tb_rewrite_append(tb_rewriter *w, const tb_node *node, uint32_t count, const uint32_t *operands,
                            uint32_t *index) {
  tb_status status = grow_table(w);
  if (status != TB_OK)
    return status;
  const bool shared =
      node->op != TB_OP_SCAN && node->op != TB_OP_TILES && node->op != TB_OP_RESULT && node->op != TB_OP_INPUT;
  uint64_t h = hash_node(node, count, operands);
  for (; shared && w->table[h & (w->table_size - 1)]; h++) {
    const uint32_t found = w->table[h & (w->table_size - 1)] - 1;
    if (equal_nodes(tb_rewritten(w, found), node, count, operands)) {
      *index = found;
      return TB_OK;
    }
  }
  tb_node *copy = tb_arena_allocate(w->to->arena, 1, sizeof *copy);
  uint32_t *list = tb_arena_allocate(w->to->arena, count + 1, sizeof *list);
  if (!copy || !list)
    return TB_NO_MEMORY;
  *copy = *node;
  if (node->place.file) { /* the graph it comes from may not live as long */
    const char *last = w->to->count ? w->to->nodes[w->to->count - 1]->place.file : NULL;
    copy->place.file =
        last && strcmp(last, node->place.file) == 0 ? last : tb_arena_text(w->to->arena, node->place.file);
    if (!copy->place.file)
      return TB_NO_MEMORY;
  }
  if (count)
    memcpy(list, operands, count * sizeof *list);
  copy->operands = list;
  copy->operand_count = count;
  if (node->data) {
    void *data = tb_arena_allocate(w->to->arena, tb_node_bytes(node) + 1, 1);
    if (!data)
      return TB_NO_MEMORY;
    copy->data = memcpy(data, node->data, tb_node_bytes(node));
  }
  if (w->to->count == w->to->capacity) {
    const uint32_t capacity = w->to->capacity ? 2 * w->to->capacity : 64;
    tb_node **nodes = tb_reallocate(w->context, w->to->nodes, capacity, sizeof *nodes);
    if (!nodes)
      return TB_NO_MEMORY;
    w->to->nodes = nodes;
    w->to->capacity = capacity;
  }
  *index = w->to->count;
  w->to->nodes[w->to->count++] = copy;
  if (shared)
    w->table[h & (w->table_size - 1)] = *index + 1;
  return TB_OK;
}

tb_status tb_rewrite_end(tb_rewriter *w, tb_status status, const uint32_t *map, size_t n_out, const uint32_t *outputs,
                         uint32_t *outputs_new, tb_graph **to) {
  for (size_t i = 0; i < n_out && status == TB_OK; i++)
    outputs_new[i] = map[outputs[i]];
  if (status != TB_OK) {
    tb_graph_free(w->to);
    w->to = NULL;
  }
  *to = w->to;
  tb_release(w->context, w->table);
  w->table = NULL;
  return status;
}

/* ---- constants ---- */

/* All elements of a constant node, in memory of the caller's. */
static tb_status constant_elements(tb_rewriter *w, const tb_node *node, void **data) {
  *data = tb_allocate(w->context, tb_node_bytes(node) + 1, 1);
  return *data ? tb_ops[node->op].naive(w->context, w->to, node, NULL, *data) : TB_NO_MEMORY;
}

static bool all_equal(const tb_node *node, const char *data) {
  const size_t size = tb_dtype_size(node->dtype);
  for (size_t i = 1; i < node->elements; i++)
    if (memcmp(data, data + i * size, size) != 0)
      return false;
  return node->elements > 0;
}

static tb_status fold(tb_rewriter *w, const tb_node *node, uint32_t count, const uint32_t *operands, uint32_t *index) {
  void *data[8] = { NULL }, *result = tb_allocate(w->context, tb_node_bytes(node) + 1, 1);
  tb_status status = result ? TB_OK : TB_NO_MEMORY;
  for (uint32_t k = 0; k < count && status == TB_OK; k++)
    status = constant_elements(w, tb_rewritten(w, operands[k]), &data[k]);
  tb_node located = *node;
  located.operands = operands;
  located.operand_count = count;
  if (status == TB_OK)
    status = tb_ops[node->op].naive(w->context, w->to, &located, (const void *const *)data, result);
  if (status == TB_OK) {
    tb_node constant = tb_shaped_like(node, TB_OP_CONSTANT);
    constant.data = result;
    if (all_equal(node, result)) {
      constant.op = TB_OP_FILL;
      constant.data = NULL;
      constant.attributes.value = node->dtype == TB_FLOAT64   ? *(double *)result
                                  : node->dtype == TB_FLOAT32 ? (double)*(float *)result
                                                              : *(int32_t *)result;
    }
    status = tb_rewrite_append(w, &constant, 0, NULL, index);
  }
  for (uint32_t k = 0; k < count; k++)
    tb_release(w->context, data[k]);
  tb_release(w->context, result);
  return status;
}

static bool foldable(const tb_rewriter *w, const tb_node *node, uint32_t count, const uint32_t *operands) {
  bool constant = count > 0 && count <= 8 && node->elements <= FOLD_MOST && node->op != TB_OP_SCAN &&
                  node->op != TB_OP_RESULT && node->op != TB_OP_NORMAL && node->op != TB_OP_UNIFORM &&
                  node->op != TB_OP_GATHER && node->op != TB_OP_SCATTER_ADD; /* whose indices may be wrong */
  for (uint32_t k = 0; k < count && constant; k++)
    constant = is_constant(tb_rewritten(w, operands[k])) && tb_rewritten(w, operands[k])->elements <= FOLD_MOST;
  return constant;
}

tb_status tb_rewrite_node(tb_rewriter *w, const tb_node *node, uint32_t count, const uint32_t *operands,
                          uint32_t *index) {
  if (foldable(w, node, count, operands))
    return fold(w, node, count, operands, index);
  tb_status status;
  for (size_t i = 0; tb_rewrite_rules[i]; i++)
    if (tb_rewrite_rules[i](w, (tb_rule_input){ node, count, operands }, index, &status))
      return status;
  if (node->op == TB_OP_BINARY && operands[0] > operands[1] &&
      (node->attributes.kind == TB_ADD || node->attributes.kind == TB_MULTIPLY))
    return tb_rewrite_append(w, node, 2, (uint32_t[]){ operands[1], operands[0] }, index);
  return tb_rewrite_append(w, node, count, operands, index);
}

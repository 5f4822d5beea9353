/* The analysis of rows.h: tags spread until they stand, then every node is classified in order. */
#include "engine/row_tags.h"

#include <string.h>

static const tb_tag none = { TB_TAG_NONE, 0, 0 };

size_t tb_rows_outer(const tb_row_map *r, const tb_node *node, tb_tag tag) {
  size_t outer = node->dims[tag.axis] / (tag.unit * r->count);
  for (uint32_t i = 0; i < tag.axis; i++)
    outer *= node->dims[i];
  return outer;
}

/* ---- tags spread ---- */

static bool is_leaf(const tb_node *node) {
  return node->op == TB_OP_FILL || node->op == TB_OP_CONSTANT || node->op == TB_OP_IOTA;
}

/* Leaves stay untagged: equal ones are one node, whatever they are used for. */
static bool set(tb_row_map *r, uint32_t node, tb_tag tag) {
  tb_tag *now = &r->tags[node];
  const tb_node *n = r->graph->nodes[node];
  if (tag.state != TB_TAG_ROWS || now->state == TB_TAG_CLASH || is_leaf(n) || n->elements == 0 ||
      tb_same_tag(*now, tag) || n->dims[tag.axis] % (tag.unit * r->count))
    return false;
  if (now->state == TB_TAG_NONE)
    *now = tag;
  else
    now->state = TB_TAG_CLASH;
  return true;
}

static bool link(tb_row_map *a, uint32_t node_a, tb_row_map *b, uint32_t node_b) {
  bool changed = set(b, node_b, a->tags[node_a]);
  changed |= set(a, node_a, b->tags[node_b]);
  return changed;
}

/* A stack over steps and what is stacked. */
static bool link_stack(tb_row_map *outer, uint32_t stack, tb_row_map *body, uint32_t node) {
  tb_tag tag = outer->tags[stack];
  bool changed = false;
  if (tag.state == TB_TAG_ROWS && tag.axis > 0) {
    tag.axis--;
    changed = set(body, node, tag);
  }
  tag = body->tags[node];
  tag.axis++;
  return set(outer, stack, tag) || changed;
}

static bool spread(tb_row_map *r);

static bool spread_scan(tb_row_map *r, uint32_t index) {
  const tb_node *node = r->graph->nodes[index];
  const tb_scan *scan = node->scan;
  tb_row_map *body = r->bodies[index];
  const uint32_t *inputs = scan->body->inputs + 1, results = tb_scan_body_results(scan);
  bool changed = false;
  for (uint32_t i = 0; i < node->operand_count; i++)
    changed |= i >= scan->carries && i < scan->carries + scan->slices
                   ? link_stack(r, node->operands[i], body, inputs[i])
                   : link(r, node->operands[i], body, inputs[i]);
  for (uint32_t i = 0; i < scan->carries; i++) {
    changed |= link(body, inputs[i], body, scan->results[i]);
    changed |= link(r, index + 1 + i, body, inputs[i]);
    changed |= link_stack(r, index + 1 + results + i, body, inputs[i]);
  }
  for (uint32_t i = scan->carries; i < results; i++)
    changed |= link_stack(r, index + 1 + i, body, scan->results[i]);
  return spread(body) || changed;
}

static bool spread_node(tb_row_map *r, uint32_t index) {
  const tb_node *node = r->graph->nodes[index];
  if (node->scan)
    return spread_scan(r, index);
  if (node->op == TB_OP_RESULT || node->elements == 0)
    return false;
  bool changed = false;
  tb_tag need;
  for (uint32_t k = 0; k < node->operand_count; k++) {
    const tb_tag tag = r->tags[node->operands[k]];
    if (tag.state != TB_TAG_ROWS)
      continue;
    changed |= set(r, index, tb_tag_of_result(r->graph, node, r->count, k, tag));
    if (node->operand_count == 2 && tb_tag_of_sum(r->graph, node, k, tag, 1 - k, &need))
      changed |= set(r, node->operands[1 - k], need);
  }
  for (uint32_t k = 0; k < node->operand_count && r->tags[index].state == TB_TAG_ROWS; k++)
    if (tb_tag_of_operand(r->graph, node, r->count, k, r->tags[index], &need))
      changed |= set(r, node->operands[k], need);
  return changed;
}

static bool spread(tb_row_map *r) {
  bool ever = false;
  for (bool changed = true; changed; ever |= changed) {
    changed = false;
    for (uint32_t i = 0; i < r->graph->count; i++)
      changed |= spread_node(r, i);
    for (uint32_t i = r->graph->count; i-- > 0;)
      changed |= spread_node(r, i);
  }
  return ever;
}

/* ---- kinds ---- */

/* Whether a node may read operand `index` at `need`: rows where rows are, wholes that do not depend on rows.  In the
 * outermost graph (in == NULL) values that stand already are cut into rows on the way in. */
static bool reads(const tb_row_map *r, bool outermost, uint32_t index, tb_tag need) {
  const tb_node *node = r->graph->nodes[index];
  const bool stands = r->kinds[index] == TB_SHARED || (outermost && r->kinds[index] != TB_ROWWISE);
  if (need.state != TB_TAG_ROWS)
    return stands;
  if (r->kinds[index] == TB_ROWWISE)
    return tb_same_tag(r->tags[index], need);
  return node->op == TB_OP_FILL || (node->op == TB_OP_IOTA && node->attributes.axis != need.axis) ||
         (outermost && stands);
}

static bool is_rowwise(const tb_row_map *r, bool outermost, uint32_t index) {
  const tb_node *node = r->graph->nodes[index];
  if (r->tags[index].state != TB_TAG_ROWS || tb_ops[node->op].arity == 0)
    return false;
  tb_tag need;
  for (uint32_t k = 0; k < node->operand_count; k++)
    if (!tb_tag_of_operand(r->graph, node, r->count, k, r->tags[index], &need) ||
        !reads(r, outermost, node->operands[k], need))
      return false;
  return true;
}

/* The operand whose rows a node sums over; operand_count where it does not. */
static uint32_t summed_operand(const tb_row_map *r, bool outermost, uint32_t index) {
  const tb_node *node = r->graph->nodes[index];
  for (uint32_t k = 0; k < node->operand_count && tb_dtype_real(node->dtype); k++) {
    const uint32_t a = node->operands[k];
    bool sums = r->kinds[a] == TB_ROWWISE && !(outermost && r->light[a]);
    tb_tag need;
    for (uint32_t other = 0; other < node->operand_count && sums; other++)
      sums = tb_tag_of_sum(r->graph, node, k, r->tags[a], other, &need) &&
             reads(r, outermost, node->operands[other], need);
    if (sums)
      return k;
  }
  return node->operand_count;
}

/* Linear operations on parts: parts again (in bodies; outside, the sum is done once). */
static bool is_linear(const tb_row_map *r, const tb_node *node) {
  uint32_t parts = 0, shared = 0, zeros = 0;
  for (uint32_t k = 0; k < node->operand_count; k++) {
    const tb_node *a = tb_node_operand(r->graph, node, k);
    parts += r->kinds[node->operands[k]] == TB_PARTIAL;
    shared += r->kinds[node->operands[k]] == TB_SHARED;
    zeros += a->op == TB_OP_FILL && a->attributes.value == 0;
  }
  switch (node->op) {
  case TB_OP_UNARY:
    return parts == 1 && node->attributes.kind == TB_NEGATE && node->attributes.order == 0;
  case TB_OP_SCALE:
  case TB_OP_STOP:
  case TB_OP_RESHAPE:
  case TB_OP_TRANSPOSE:
  case TB_OP_BROADCAST:
  case TB_OP_SLICE:
  case TB_OP_PAD:
    return parts == 1;
  case TB_OP_REDUCE:
    return parts == 1 && node->attributes.kind == TB_SUM;
  case TB_OP_CONCAT:
    return parts && parts + zeros == node->operand_count;
  case TB_OP_BINARY:
    if (node->attributes.kind == TB_ADD || node->attributes.kind == TB_SUBTRACT)
      return parts && parts + zeros == 2;
    return (node->attributes.kind == TB_MULTIPLY && parts == 1 && shared == 1) ||
           (node->attributes.kind == TB_DIVIDE && r->kinds[node->operands[0]] == TB_PARTIAL && shared == 1);
  case TB_OP_MATMUL:
    return parts == 1 && shared == 1;
  default:
    return false;
  }
}

static bool has_rows(const tb_row_map *r, const tb_node *node) {
  for (uint32_t k = 0; k < node->operand_count; k++)
    if (r->kinds[node->operands[k]] != TB_SHARED)
      return true;
  return false;
}

static bool classify_body(tb_row_map *outer, uint32_t index);

/* The results of a scan that keeps rows apart are as in its body. */
static bool classify_scan(tb_row_map *r, uint32_t index) {
  const tb_scan *scan = r->graph->nodes[index]->scan;
  const uint32_t results = tb_scan_body_results(scan);
  bool local = classify_body(r, index);
  for (uint32_t i = 0; i < tb_scan_results(scan) && local; i++) {
    const uint32_t carry = i < results ? i : i - results; /* what enters may have rows where what leaves is a number */
    const uint32_t from = carry < scan->carries ? scan->body->inputs[1 + carry] : scan->results[i];
    r->kinds[index + 1 + i] = r->bodies[index]->kinds[from];
    local = r->kinds[index + 1 + i] != TB_ROWWISE || r->tags[index + 1 + i].state == TB_TAG_ROWS;
  }
  return local;
}

/* Of a body. */
static bool classify_node(tb_row_map *r, uint32_t index) {
  const tb_node *node = r->graph->nodes[index];
  tb_row_kind *kind = &r->kinds[index];
  if (node->op == TB_OP_INPUT || node->op == TB_OP_RESULT)
    return true;
  if (node->scan) {
    *kind = TB_WHOLE; /* of no account */
    return classify_scan(r, index);
  }
  *kind = is_rowwise(r, false, index)                             ? TB_ROWWISE
          : !has_rows(r, node)                                    ? TB_SHARED
          : summed_operand(r, false, index) < node->operand_count ? TB_PARTIAL
          : is_linear(r, node)                                    ? TB_PARTIAL
                                                                  : TB_WHOLE;
  return *kind != TB_WHOLE;
}

static bool is_zero(const tb_node *node) {
  return node->op == TB_OP_FILL && node->attributes.value == 0;
}

/* Of a body whose inputs with rows are known: which carries depend on rows, though they have none. */
static void find_dependent(tb_row_map *body, const tb_scan *scan) {
  for (bool changed = true; changed;) {
    changed = false;
    for (uint32_t i = 0; i < body->graph->count; i++) {
      const tb_node *node = body->graph->nodes[i];
      for (uint32_t k = 0; k < node->operand_count; k++)
        if (body->kinds[node->operands[k]] != TB_SHARED)
          body->kinds[i] = TB_WHOLE;
    }
    for (uint32_t i = 0; i < scan->carries; i++) {
      tb_row_kind *kind = &body->kinds[scan->body->inputs[1 + i]];
      if (*kind == TB_SHARED && body->kinds[scan->results[i]] != TB_SHARED) {
        *kind = TB_PARTIAL;
        changed = true;
      }
    }
  }
}

/* Operands of a scan as its body sees them; false where a whole value is not known when the rows run, or a sum does not
 * grow from zero. */
static bool classify_inputs(tb_row_map *outer, uint32_t index) {
  const tb_node *node = outer->graph->nodes[index];
  const tb_scan *scan = node->scan;
  tb_row_map *body = outer->bodies[index];
  for (uint32_t i = 0; i < node->operand_count; i++) {
    const uint32_t input = scan->body->inputs[1 + i];
    tb_tag need = body->tags[input];
    if (need.state != TB_TAG_ROWS)
      need = none;
    body->kinds[input] = need.state == TB_TAG_ROWS ? TB_ROWWISE : TB_SHARED;
    need.axis += need.state == TB_TAG_ROWS && i >= scan->carries && i < scan->carries + scan->slices;
    if (!reads(outer, outer->stages != NULL, node->operands[i], need))
      return false;
  }
  find_dependent(body, scan);
  for (uint32_t i = 0; i < scan->carries; i++)
    if (body->kinds[scan->body->inputs[1 + i]] == TB_PARTIAL && !is_zero(tb_node_operand(outer->graph, node, i)))
      return false;
  return true;
}

/* A carry leaves the step as it entered it. */
static bool carries_agree(const tb_row_map *body, const tb_scan *scan) {
  for (uint32_t i = 0; i < scan->carries; i++) {
    const uint32_t input = scan->body->inputs[1 + i], result = scan->results[i];
    const bool rows = body->kinds[input] == TB_ROWWISE;
    if (rows && body->graph->nodes[result]->op == TB_OP_FILL)
      continue;
    if (body->kinds[input] != body->kinds[result] || (rows && !tb_same_tag(body->tags[input], body->tags[result])))
      return false;
  }
  return true;
}

static bool classify_body(tb_row_map *outer, uint32_t index) {
  const tb_scan *scan = outer->graph->nodes[index]->scan;
  tb_row_map *body = outer->bodies[index];
  memset(body->kinds, 0, body->graph->count * sizeof *body->kinds);
  if (!classify_inputs(outer, index))
    return false;
  for (uint32_t i = 0; i < body->graph->count; i++)
    if (!classify_node(body, i))
      return false;
  return carries_agree(body, scan);
}

/* ---- stages ---- */

/* Cheap to do again, and of nothing that is dear. */
static bool is_light(const tb_row_map *r, const tb_node *node) {
  if (node->scan || node->op == TB_OP_RESULT || node->op == TB_OP_MATMUL)
    return false;
  for (uint32_t k = 0; k < node->operand_count; k++)
    if (r->kinds[node->operands[k]] == TB_ROWWISE && !r->light[node->operands[k]])
      return false;
  return true;
}

/* Whether any result of a loop depends on rows. */
static bool gives_rows(const tb_row_map *r, uint32_t index) {
  for (uint32_t i = 1; i <= tb_scan_results(r->graph->nodes[index]->scan); i++)
    if (r->kinds[index + i] != TB_SHARED)
      return true;
  return false;
}

static void classify_outermost(tb_row_map *r) {
  for (uint32_t i = 0; i < r->graph->count; i++) {
    const tb_node *node = r->graph->nodes[i];
    if (node->op == TB_OP_RESULT) { /* whole: the same for all rows, but known only when one has been computed */
      const bool inside = r->kinds[node->operands[0]] == TB_ROWWISE;
      r->stages[i] = r->stages[node->operands[0]];
      r->kinds[i] = !inside ? TB_SHARED : r->kinds[i] == TB_SHARED ? TB_WHOLE : r->kinds[i];
      continue;
    }
    r->kinds[i] = TB_SHARED;
    bool inside;
    if (node->scan) {
      inside = classify_scan(r, i) && gives_rows(r, i);
      r->kinds[i] = inside ? TB_ROWWISE : TB_SHARED;
    } else if ((inside = is_rowwise(r, true, i))) {
      r->kinds[i] = TB_ROWWISE;
      r->light[i] = is_light(r, node);
    } else if ((inside = summed_operand(r, true, i) < node->operand_count)) {
      r->kinds[i] = TB_PARTIAL;
    }
    for (uint32_t k = 0; k < node->operand_count; k++) {
      const uint32_t a = node->operands[k];
      const bool waits = r->kinds[a] == TB_PARTIAL || r->kinds[a] == TB_WHOLE ||
                         (!inside && r->kinds[a] == TB_ROWWISE && !r->light[a]);
      const uint32_t stage = r->stages[a] + waits;
      r->stages[i] = stage > r->stages[i] ? stage : r->stages[i];
    }
  }
}

/* ---- all of it ---- */

static tb_row_map *rows_new(tb_arena *arena, const tb_graph *graph, size_t count) {
  const size_t n = graph->count + 1;
  tb_row_map *r = tb_arena_allocate(arena, 1, sizeof *r);
  if (!r)
    return NULL;
  *r = (tb_row_map){ .graph = graph,
                     .count = count,
                     .tags = tb_arena_allocate(arena, n, sizeof *r->tags),
                     .kinds = tb_arena_allocate(arena, n, sizeof *r->kinds),
                     .light = tb_arena_allocate(arena, n, sizeof *r->light),
                     .bodies = tb_arena_allocate(arena, n, sizeof(tb_row_map *)) };
  if (!r->tags || !r->kinds || !r->light || !r->bodies)
    return NULL;
  for (uint32_t i = 0; i < graph->count; i++)
    if (graph->nodes[i]->scan && !(r->bodies[i] = rows_new(arena, graph->nodes[i]->scan->body, count)))
      return NULL;
  return r;
}

tb_status tb_rows_find(tb_arena *arena, const tb_graph *graph, uint32_t seed, uint32_t axis, tb_row_map **rows) {
  tb_row_map *r = *rows = rows_new(arena, graph, graph->nodes[seed]->dims[axis]);
  if (!r || !(r->stages = tb_arena_allocate(arena, graph->count + 1, sizeof *r->stages)))
    return TB_NO_MEMORY;
  set(r, seed, (tb_tag){ TB_TAG_ROWS, axis, 1 });
  spread(r);
  classify_outermost(r);
  return TB_OK;
}

tb_tag tb_rows_need(const tb_row_map *r, uint32_t index, uint32_t k) {
  const tb_node *node = r->graph->nodes[index];
  tb_tag need = none;
  if (r->kinds[index] == TB_ROWWISE && node->operand_count) {
    tb_tag_of_operand(r->graph, node, r->count, k, r->tags[index], &need);
  } else if (r->kinds[index] == TB_PARTIAL) {
    const uint32_t summed = summed_operand(r, r->stages != NULL, index);
    if (summed < node->operand_count)
      tb_tag_of_sum(r->graph, node, summed, r->tags[node->operands[summed]], k, &need);
  }
  return need;
}

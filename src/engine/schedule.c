/* Units and their order: which nodes run together, and when.
 *
 * What one kernel computes from many nodes is found first (patterns.h).
 * A product takes the sum or factor behind it along (biases, weight updates, slopes of activations), with a scale
 * between, and the positive part of that, or of what it multiplies. Pointwise nodes of one shape and one level are one
 * group: along every edge the level stays or grows, and it grows wherever a group is left, so no group waits for
 * itself.  Derivatives of an activation meet the activation in its group and share its exponential.  Units then run in
 * dependency order, the ones built first first. */
#include "engine/patterns.h"

#include <string.h>

bool tb_op_is_view(tb_op op) {
  return op == TB_OP_RESHAPE || op == TB_OP_TRANSPOSE || op == TB_OP_BROADCAST || op == TB_OP_SLICE ||
         op == TB_OP_STOP || op == TB_OP_RESULT;
}

static bool is_leaf(const tb_node *node) {
  return tb_ops[node->op].arity == 0;
}

static bool is_pointwise(const tb_planner *p, const tb_node *node) {
  switch (node->op) {
  case TB_OP_UNARY:
  case TB_OP_BINARY:
  case TB_OP_POWER:
  case TB_OP_SCALE:
  case TB_OP_SHIFT:
    return tb_dtype_real(node->dtype);
  case TB_OP_SELECT:
    return tb_dtype_real(node->dtype) && tb_node_operand(p->graph, node, 0)->dtype == node->dtype;
  default:
    return false;
  }
}

/* The node whose unit computes what a view shows; a leaf or a computed node. */
static uint32_t source_of(const tb_graph *graph, uint32_t index) {
  while (tb_op_is_view(graph->nodes[index]->op))
    index = graph->nodes[index]->operands[0];
  return index;
}

typedef struct builder {
  tb_planner *p;
  uint32_t *level; /* [nodes] */
  bool *pointwise; /* [nodes] */
  bool *absorbed;  /* [nodes]: by a product */
} builder;

/* ---- products with their sums ---- */

static bool used_once(const tb_planner *p, uint32_t index) {
  return p->uses[index] == 1 && !p->is_output[index];
}

/* A matmul behind single-use scales and reshapes; *factor is their product. */
static bool find_product(const tb_planner *p, uint32_t index, uint32_t *matmul, double *factor) {
  *factor = 1;
  for (;; index = p->graph->nodes[index]->operands[0]) {
    const tb_node *node = p->graph->nodes[index];
    if (!used_once(p, index))
      return false;
    if (node->op == TB_OP_MATMUL) {
      *matmul = index;
      return !p->pattern_of[index];
    }
    if (node->op == TB_OP_SCALE && *factor == 1)
      *factor = node->attributes.value;
    else if (node->op != TB_OP_RESHAPE)
      return false;
  }
}

/* Whether `node` needs the result of the node `on`: by a walk down from node; both ends are near each other. */
static bool depends(const tb_graph *graph, uint32_t node, uint32_t on, uint32_t *budget) {
  if (node == on)
    return true;
  if (node < on || *budget == 0)
    return node > on; /* out of budget: to be safe */
  --*budget;
  for (uint32_t k = 0; k < graph->nodes[node]->operand_count; k++)
    if (depends(graph, graph->nodes[node]->operands[k], on, budget))
      return true;
  return false;
}

/* A product whose sums are kept in registers. */
static bool is_short(const tb_graph *graph, uint32_t matmul) {
  const tb_node *node = graph->nodes[matmul], *a = tb_node_operand(graph, node, 0);
  return a->dims[a->rank - (node->attributes.transpose_a ? 2 : 1)] <= TB_GEMM_DEPTH;
}

/* A factor of full size, and a product short enough to meet it in registers. */
static bool can_multiply(const tb_graph *graph, uint32_t matmul, uint32_t other) {
  const tb_op op = graph->nodes[other]->op;
  return is_short(graph, matmul) && op != TB_OP_BROADCAST && op != TB_OP_FILL;
}

static bool is_relu(const tb_node *node, uint32_t order) {
  return node->op == TB_OP_UNARY && node->attributes.kind == TB_RELU && node->attributes.order == order;
}

/* The positive part of a product with or without a sum that nobody else reads. */
static void recognise_positive(tb_planner *p, builder *b, uint32_t index) {
  const uint32_t a = p->graph->nodes[index]->operands[0];
  const tb_node *node = p->graph->nodes[a];
  tb_epilogue e = p->epilogues[a];
  if (node->op == TB_OP_MATMUL && e.matmul == TB_NO_BUFFER && !p->pattern_of[a])
    e = (tb_epilogue){ a, TB_NO_BUFFER, index, TB_NO_BUFFER, 1, 0, TB_PLUS };
  if (b->absorbed[a] || !used_once(p, a) || e.matmul == TB_NO_BUFFER || e.with != TB_PLUS ||
      !is_short(p->graph, e.matmul) || !tb_same_shape(node, p->graph->nodes[index]))
    return;
  e.yields = index;
  e.with = TB_PLUS_POSITIVE;
  p->epilogues[index] = e;
  p->epilogues[a].matmul = TB_NO_BUFFER;
  b->absorbed[a] = true;
}

static void recognise_product(tb_planner *p, uint32_t index) {
  const tb_graph *graph = p->graph;
  const tb_node *node = graph->nodes[index];
  tb_epilogue *e = &p->epilogues[index];
  double factor;
  if (node->op == TB_OP_SCALE) { /* a scaled product that no sum takes along */
    if (find_product(p, node->operands[0], &e->matmul, &factor) && factor == 1)
      *e = (tb_epilogue){ e->matmul, TB_NO_BUFFER, index, TB_NO_BUFFER, node->attributes.value, 0, TB_PLUS };
    else
      e->matmul = TB_NO_BUFFER;
    return;
  }
  if (node->op != TB_OP_BINARY || !tb_dtype_real(node->dtype))
    return;
  const bool times = node->attributes.kind == TB_MULTIPLY;
  if (!times && node->attributes.kind != TB_ADD && node->attributes.kind != TB_SUBTRACT)
    return;
  const bool minus = node->attributes.kind == TB_SUBTRACT;
  for (int side = 0; side < 2; side++) { /* the product is operand `side` */
    uint32_t matmul, budget = 64;
    const uint32_t other = node->operands[1 - side];
    if (!find_product(p, node->operands[side], &matmul, &factor) || p->epilogues[matmul].matmul != TB_NO_BUFFER ||
        depends(graph, other, matmul, &budget) || (times && !can_multiply(graph, matmul, other)))
      continue;
    *e = (tb_epilogue){ matmul,
                        other,
                        index,
                        TB_NO_BUFFER,
                        minus && side == 1 ? -factor : factor,
                        minus && side == 0 ? -1 : 1,
                        times ? TB_TIMES : TB_PLUS };
    const tb_node *slope = graph->nodes[other];
    if (times && is_relu(slope, 1) && used_once(p, other)) { /* 1 where positive */
      e->slope = other;
      e->other = slope->operands[0];
      e->with = TB_WHERE_POSITIVE;
    }
    return;
  }
}

/* ---- levels and groups ---- */

static bool same_space(const tb_node *a, const tb_node *b) {
  uint32_t i = 0, j = 0;
  if (a->dtype != b->dtype || a->elements != b->elements)
    return false;
  for (;;) { /* axes of length 1 do not count */
    while (i < a->rank && a->dims[i] == 1)
      i++;
    while (j < b->rank && b->dims[j] == 1)
      j++;
    if (i == a->rank || j == b->rank)
      return i == a->rank && j == b->rank;
    if (a->dims[i++] != b->dims[j++])
      return false;
  }
}

static uint32_t level_from(const builder *b, uint32_t node, bool pointwise, uint32_t operand) {
  const tb_graph *graph = b->p->graph;
  const uint32_t source = source_of(graph, operand);
  if (is_leaf(graph->nodes[source]))
    return 0;
  const bool left =
      b->pointwise[source] && !(pointwise && source == operand && same_space(graph->nodes[source], graph->nodes[node]));
  return b->level[source] + left;
}

static void find_levels(builder *b) {
  const tb_planner *p = b->p;
  for (uint32_t i = 0; i < p->graph->count; i++) {
    const tb_node *node = p->graph->nodes[i];
    if (is_leaf(node) || tb_op_is_view(node->op) || b->absorbed[i])
      continue;
    const tb_epilogue *e = &p->epilogues[i];
    const tb_pattern *pattern = p->pattern_of[i];
    b->pointwise[i] = e->matmul == TB_NO_BUFFER && !pattern && is_pointwise(p, node);
    uint32_t level = 0;
    const tb_node *from = e->matmul == TB_NO_BUFFER ? node : p->graph->nodes[e->matmul];
    const uint32_t *reads = pattern ? pattern->reads : from->operands;
    for (uint32_t k = 0; k < (pattern ? pattern->read_count : from->operand_count); k++) {
      const uint32_t l = level_from(b, i, b->pointwise[i], reads[k]);
      level = l > level ? l : level;
    }
    if (e->matmul != TB_NO_BUFFER && e->other != TB_NO_BUFFER) {
      const uint32_t l = level_from(b, i, false, e->other);
      level = l > level ? l : level;
    }
    b->level[i] = level;
  }
}

/* A cheap pointwise node whose only readers are in a later group moves there, so that it need not be stored. */
static void sink(builder *b) {
  const tb_planner *p = b->p;
  const tb_graph *graph = p->graph;
  uint32_t *least = tb_arena_allocate(p->scratch, graph->count + 1, sizeof *least);
  bool *fixed = tb_arena_allocate(p->scratch, graph->count + 1, sizeof *fixed);
  if (!least || !fixed)
    return; /* an improvement only */
  memset(least, 0xff, graph->count * sizeof *least);
  for (uint32_t i = graph->count; i-- > 0;) {
    const tb_node *node = graph->nodes[i];
    const bool cheap = b->pointwise[i] && (node->op == TB_OP_SCALE || node->op == TB_OP_SHIFT);
    if (cheap && !fixed[i] && !p->is_output[i] && least[i] != UINT32_MAX && least[i] > b->level[i])
      b->level[i] = least[i];
    for (uint32_t k = 0; k < node->operand_count; k++) {
      const uint32_t operand = node->operands[k];
      if (b->pointwise[i] && b->pointwise[operand] && same_space(node, graph->nodes[operand]))
        least[operand] = b->level[i] < least[operand] ? b->level[i] : least[operand];
      else
        fixed[source_of(graph, operand)] = true;
    }
  }
}

typedef struct group_key {
  uint32_t level, first; /* a member, for its shape */
  uint32_t unit;
} group_key;

static uint64_t key_of(const tb_node *node, uint32_t level) {
  uint64_t h = (level * 1099511628211u) ^ (uint64_t)node->dtype;
  for (uint32_t i = 0; i < node->rank; i++)
    if (node->dims[i] != 1)
      h = (h ^ node->dims[i]) * 0x9e3779b97f4a7c15u;
  return h ^ h >> 29;
}

static tb_status make_units(builder *b) {
  tb_planner *p = b->p;
  const tb_graph *graph = p->graph;
  uint32_t size = 64;
  while (size < 2 * graph->count + 2)
    size *= 2;
  group_key *table = tb_arena_allocate(p->scratch, size, sizeof *table);
  p->units = tb_arena_allocate(p->scratch, graph->count + 1, sizeof *p->units);
  if (!table || !p->units)
    return TB_NO_MEMORY;
  for (uint32_t i = 0; i < size; i++)
    table[i].unit = UINT32_MAX;
  for (uint32_t i = 0; i < graph->count; i++) {
    const tb_node *node = graph->nodes[i];
    if (is_leaf(node) || tb_op_is_view(node->op) || b->absorbed[i] ||
        (node->elements == 0 && node->op != TB_OP_SCAN && node->op != TB_OP_TILES))
      continue;
    uint32_t unit = p->unit_count;
    if (p->pattern_of[i]) {
      uint32_t *own = &p->pattern_of[i]->unit;
      *own = *own == UINT32_MAX ? unit : *own;
      unit = *own;
    } else if (b->pointwise[i]) {
      uint64_t h = key_of(node, b->level[i]);
      for (;; h++) {
        group_key *k = &table[h & (size - 1)];
        if (k->unit == UINT32_MAX) {
          *k = (group_key){ b->level[i], i, unit };
          break;
        }
        if (k->level == b->level[i] && same_space(graph->nodes[k->first], node)) {
          unit = k->unit;
          break;
        }
      }
    }
    tb_unit *u = &p->units[unit];
    if (unit == p->unit_count) {
      *u = (tb_unit){ .kind = p->pattern_of[i]                         ? TB_UNIT_PATTERN
                              : b->pointwise[i]                        ? TB_UNIT_GROUP
                              : p->epilogues[i].matmul != TB_NO_BUFFER ? TB_UNIT_PRODUCT
                                                                       : TB_UNIT_NODE };
      p->unit_count++;
    }
    p->unit_of[i] = unit;
    u->count++;
  }
  for (uint32_t u = 0; u < p->unit_count; u++) {
    p->units[u].members = tb_arena_allocate(p->scratch, p->units[u].count + 1, sizeof(uint32_t));
    if (!p->units[u].members)
      return TB_NO_MEMORY;
    p->units[u].count = 0;
  }
  for (uint32_t i = 0; i < graph->count; i++)
    if (p->unit_of[i] != UINT32_MAX) {
      tb_unit *u = &p->units[p->unit_of[i]];
      u->members[u->count++] = i;
    }
  return TB_OK;
}

/* ---- order ---- */

typedef struct heap {
  uint32_t *items, count;
  const tb_unit *units;
} heap;

static uint32_t priority(const heap *h, uint32_t item) {
  return h->units[item].members[h->units[item].count - 1];
}

static void heap_push(heap *h, uint32_t item) {
  uint32_t i = h->count++;
  for (; i && priority(h, h->items[(i - 1) / 2]) > priority(h, item); i = (i - 1) / 2)
    h->items[i] = h->items[(i - 1) / 2];
  h->items[i] = item;
}

static uint32_t heap_pop(heap *h) {
  const uint32_t top = h->items[0], item = h->items[--h->count];
  uint32_t i = 0;
  for (;;) {
    uint32_t child = 2 * i + 1;
    if (child >= h->count)
      break;
    if (child + 1 < h->count && priority(h, h->items[child + 1]) < priority(h, h->items[child]))
      child++;
    if (priority(h, h->items[child]) >= priority(h, item))
      break;
    h->items[i] = h->items[child];
    i = child;
  }
  h->items[i] = item;
  return top;
}

/* Calls each(unit that is needed) for what a unit reads. */
static void for_each_needed(const tb_planner *p, uint32_t unit, void (*each)(void *user, uint32_t needed), void *user) {
  const tb_unit *u = &p->units[unit];
  if (u->kind == TB_UNIT_PATTERN) {
    const tb_pattern *pattern = p->pattern_of[u->members[0]];
    for (uint32_t k = 0; k < pattern->read_count; k++) {
      const uint32_t from = p->unit_of[source_of(p->graph, pattern->reads[k])];
      if (from != UINT32_MAX)
        each(user, from);
    }
    return;
  }
  for (uint32_t m = 0; m < u->count; m++) {
    const tb_node *node = p->graph->nodes[u->members[m]];
    const tb_epilogue *e = &p->epilogues[u->members[m]];
    if (u->kind == TB_UNIT_PRODUCT)
      node = p->graph->nodes[e->matmul];
    for (uint32_t k = 0; k <= node->operand_count; k++) {
      const bool other = k == node->operand_count;
      if (other && (u->kind != TB_UNIT_PRODUCT || e->other == TB_NO_BUFFER))
        continue;
      const uint32_t source = source_of(p->graph, other ? e->other : node->operands[k]);
      const uint32_t from = p->unit_of[source];
      if (from != UINT32_MAX && from != unit)
        each(user, from);
    }
  }
}

typedef struct edges {
  uint32_t *waiting, *first, *readers, *fill; /* [units]; readers in runs */
  uint32_t unit, count;
} edges;

static void count_edge(void *user, uint32_t needed) {
  edges *e = user;
  e->waiting[e->unit]++;
  e->first[needed + 1]++;
  e->count++;
}

static void note_edge(void *user, uint32_t needed) {
  edges *e = user;
  e->readers[e->first[needed] + e->fill[needed]++] = e->unit;
}

static tb_status order_units(tb_planner *p) {
  const uint32_t n = p->unit_count;
  edges e = { .waiting = tb_arena_allocate(p->scratch, n + 1, sizeof(uint32_t)),
              .first = tb_arena_allocate(p->scratch, n + 2, sizeof(uint32_t)),
              .fill = tb_arena_allocate(p->scratch, n + 1, sizeof(uint32_t)) };
  heap ready = { .items = tb_arena_allocate(p->scratch, n + 1, sizeof(uint32_t)), .units = p->units };
  tb_unit *ordered = tb_arena_allocate(p->scratch, n + 1, sizeof *ordered);
  if (!e.waiting || !e.first || !e.fill || !ready.items || !ordered)
    return TB_NO_MEMORY;
  for (e.unit = 0; e.unit < n; e.unit++)
    for_each_needed(p, e.unit, count_edge, &e);
  for (uint32_t i = 0; i < n; i++)
    e.first[i + 1] += e.first[i];
  e.readers = tb_arena_allocate(p->scratch, e.count + 1, sizeof(uint32_t));
  if (!e.readers)
    return TB_NO_MEMORY;
  for (e.unit = 0; e.unit < n; e.unit++)
    for_each_needed(p, e.unit, note_edge, &e);
  for (uint32_t i = 0; i < n; i++)
    if (!e.waiting[i])
      heap_push(&ready, i);
  uint32_t done = 0;
  while (ready.count) {
    const uint32_t unit = heap_pop(&ready);
    ordered[done++] = p->units[unit];
    for (uint32_t i = e.first[unit]; i < e.first[unit + 1]; i++)
      if (--e.waiting[e.readers[i]] == 0)
        heap_push(&ready, e.readers[i]);
  }
  assert(done == n); /* levels make every order possible */
  p->units = ordered;
  for (uint32_t u = 0; u < n; u++)
    for (uint32_t m = 0; m < ordered[u].count; m++)
      p->unit_of[ordered[u].members[m]] = u;
  return TB_OK;
}

/* ---- all of it ---- */

/* Readers of every node among those that the outputs need; what they don't need is not computed. */
static void count_uses(tb_planner *p, bool *idle) {
  for (size_t i = 0; i < p->n_out; i++)
    p->is_output[p->outputs[i]] = true;
  for (uint32_t i = p->graph->count; i-- > 0;) {
    const tb_node *node = p->graph->nodes[i];
    idle[i] = !p->is_output[i] && p->uses[i] == 0 && node->op != TB_OP_RESULT;
    for (uint32_t k = 0; k < node->operand_count && !idle[i]; k++)
      p->uses[node->operands[k]]++;
  }
}

tb_status tb_schedule(tb_planner *p) {
  const uint32_t n = p->graph->count;
  builder b = { p, tb_arena_allocate(p->scratch, n + 1, sizeof(uint32_t)),
                tb_arena_allocate(p->scratch, n + 1, sizeof(bool)),
                tb_arena_allocate(p->scratch, n + 1, sizeof(bool)) };
  if (!b.level || !b.pointwise || !b.absorbed)
    return TB_NO_MEMORY;
  memset(p->unit_of, 0xff, (n + 1) * sizeof *p->unit_of);
  for (uint32_t i = 0; i < n; i++)
    p->epilogues[i] = (tb_epilogue){ TB_NO_BUFFER, TB_NO_BUFFER, i, TB_NO_BUFFER, 1, 0, TB_PLUS };
  count_uses(p, b.absorbed);
  tb_status status = tb_find_patterns(p, b.absorbed);
  if (status != TB_OK)
    return status;
  for (int sums = 1; sums >= 0; sums--) /* sums first: a scale between product and sum belongs to the sum */
    for (uint32_t i = 0; i < n; i++) {
      if ((p->graph->nodes[i]->op == TB_OP_SCALE) == (sums == 1) || b.absorbed[i] || p->pattern_of[i] ||
          p->graph->nodes[i]->elements == 0)
        continue;
      recognise_product(p, i);
      const tb_epilogue *e = &p->epilogues[i];
      if (e->matmul == TB_NO_BUFFER)
        continue;
      const tb_node *node = p->graph->nodes[i];
      const uint32_t other = e->slope == TB_NO_BUFFER ? e->other : e->slope;
      uint32_t k = node->op == TB_OP_SCALE || other == node->operands[1] ? node->operands[0] : node->operands[1];
      for (;; k = p->graph->nodes[k]->operands[0]) {
        b.absorbed[k] = true;
        if (k == e->matmul)
          break;
      }
      if (e->slope != TB_NO_BUFFER)
        b.absorbed[e->slope] = true;
    }
  for (uint32_t i = 0; i < n; i++)
    if (is_relu(p->graph->nodes[i], 0) && !b.absorbed[i] && !p->pattern_of[i] && p->graph->nodes[i]->elements > 0)
      recognise_positive(p, &b, i);
  find_levels(&b);
  sink(&b);
  status = make_units(&b);
  return status == TB_OK ? order_units(p) : status;
}

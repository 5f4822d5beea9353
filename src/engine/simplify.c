/* Simplification: a graph rebuilt node by node, each looked up among those that stand already.
 *
 * Equal nodes become one; what depends on constants only is computed; and algebra is done where it keeps every bit, or
 * where only an order of rounding changes: x·c as a scale, −(−x), x − (−y), small powers, broadcasts moved behind the
 * elementwise work, a sum over a broadcast axis as a multiple, sums of padded pieces as a concatenation.  Of a scan,
 * results that nobody reads and whatever only they need are dropped. */
#include "engine/plan.h"
#include "engine/rules.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct rewriter {
  tb_context *context;
  tb_graph *to;
  uint32_t *table; /* open addressing by content: index + 1 */
  uint32_t table_size;
} rewriter;

/* Constants are computed at planning time up to this many elements. */
enum { FOLD_MOST = 1 << 18 };

static const tb_node *at(const rewriter *w, uint32_t index) {
  return w->to->nodes[index];
}

/* ---- equal nodes ---- */

static uint64_t hash_bytes(uint64_t h, const void *data, size_t size) {
  const unsigned char *p = data;
  for (size_t i = 0; i < size; i++)
    h = (h ^ p[i]) * 1099511628211u;
  return h;
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

static tb_status grow_table(rewriter *w) {
  if (2 * (w->to->count + 1) < w->table_size)
    return TB_OK;
  const uint32_t size = w->table_size ? 2 * w->table_size : 256;
  uint32_t *table = tb_allocate(w->context, size, sizeof *table);
  if (!table)
    return TB_NO_MEMORY;
  for (uint32_t i = 0; i < w->table_size; i++)
    if (w->table[i]) {
      const tb_node *node = at(w, w->table[i] - 1);
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
static tb_status append(rewriter *w, const tb_node *node, uint32_t count, const uint32_t *operands, uint32_t *index) {
  tb_status status = grow_table(w);
  if (status != TB_OK)
    return status;
  const bool shared = node->op != TB_OP_SCAN && node->op != TB_OP_RESULT && node->op != TB_OP_INPUT;
  uint64_t h = hash_node(node, count, operands);
  for (; shared && w->table[h & (w->table_size - 1)]; h++) {
    const uint32_t found = w->table[h & (w->table_size - 1)] - 1;
    if (equal_nodes(at(w, found), node, count, operands)) {
      *index = found;
      return TB_OK;
    }
  }
  tb_node *copy = tb_arena_allocate(w->to->arena, 1, sizeof *copy);
  uint32_t *list = tb_arena_allocate(w->to->arena, count + 1, sizeof *list);
  if (!copy || !list)
    return TB_NO_MEMORY;
  *copy = *node;
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

/* ---- helpers of the rules ---- */

static bool is_fill(const tb_node *node) {
  return node->op == TB_OP_FILL;
}

static bool is_constant(const tb_node *node) {
  return node->op == TB_OP_FILL || node->op == TB_OP_CONSTANT || node->op == TB_OP_IOTA;
}

/* ±2ᵏ: multiplying by it is exact short of under- and overflow. */
static bool power_of_two(double x) {
  int exponent;
  return x != 0 && isfinite(x) && fabs(frexp(x, &exponent)) == 0.5 && exponent > -60 && exponent < 60;
}

static bool elementwise(tb_op op) {
  return op == TB_OP_UNARY || op == TB_OP_BINARY || op == TB_OP_POWER || op == TB_OP_SCALE || op == TB_OP_SHIFT ||
         op == TB_OP_SELECT;
}

static tb_node shaped_like(const tb_node *like, tb_op op) {
  tb_node node = {
    .op = op, .dtype = like->dtype, .rank = like->rank, .elements = like->elements, .place = like->place
  };
  memcpy(node.dims, like->dims, sizeof node.dims);
  return node;
}

static tb_status simplify_node(rewriter *, const tb_node *, uint32_t count, const uint32_t *operands, uint32_t *);

/* ---- constants ---- */

/* All elements of a constant node, in memory of the caller's. */
static tb_status constant_elements(rewriter *w, const tb_node *node, void **data) {
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

static tb_status fold(rewriter *w, const tb_node *node, uint32_t count, const uint32_t *operands, uint32_t *index) {
  void *data[8] = { NULL }, *result = tb_allocate(w->context, tb_node_bytes(node) + 1, 1);
  tb_status status = result ? TB_OK : TB_NO_MEMORY;
  for (uint32_t k = 0; k < count && status == TB_OK; k++)
    status = constant_elements(w, at(w, operands[k]), &data[k]);
  tb_node located = *node;
  located.operands = operands;
  if (status == TB_OK)
    status = tb_ops[node->op].naive(w->context, w->to, &located, (const void *const *)data, result);
  if (status == TB_OK) {
    tb_node constant = shaped_like(node, TB_OP_CONSTANT);
    constant.data = result;
    if (all_equal(node, result)) {
      constant.op = TB_OP_FILL;
      constant.data = NULL;
      constant.attributes.value = node->dtype == TB_FLOAT64   ? *(double *)result
                                  : node->dtype == TB_FLOAT32 ? (double)*(float *)result
                                                              : *(int32_t *)result;
    }
    status = append(w, &constant, 0, NULL, index);
  }
  for (uint32_t k = 0; k < count; k++)
    tb_release(w->context, data[k]);
  tb_release(w->context, result);
  return status;
}

static bool foldable(const rewriter *w, const tb_node *node, uint32_t count, const uint32_t *operands) {
  bool constant = count > 0 && count <= 8 && node->elements <= FOLD_MOST && node->op != TB_OP_SCAN &&
                  node->op != TB_OP_RESULT && node->op != TB_OP_NORMAL && node->op != TB_OP_UNIFORM &&
                  node->op != TB_OP_GATHER && node->op != TB_OP_SCATTER_ADD; /* whose indices may be wrong */
  for (uint32_t k = 0; k < count && constant; k++)
    constant = is_constant(at(w, operands[k])) && at(w, operands[k])->elements <= FOLD_MOST;
  return constant;
}

/* ---- rules: each either gives the answer (true) or leaves the node to the next ---- */

typedef struct rule_input {
  const tb_node *node;
  uint32_t count;
  const uint32_t *operands;
} rule_input;

static bool copy_of(uint32_t operand, uint32_t *index, tb_status *status) {
  *index = operand;
  *status = TB_OK;
  return true;
}

static bool with_value(rewriter *w, const tb_node *like, tb_op op, uint32_t operand, double value, uint32_t *index,
                       tb_status *status) {
  tb_node node = shaped_like(like, op);
  node.attributes.value = value;
  *status = simplify_node(w, &node, 1, &operand, index);
  return true;
}

static bool binary_of(rewriter *w, const tb_node *like, tb_binary kind, uint32_t a, uint32_t b, uint32_t *index,
                      tb_status *status) {
  tb_node node = shaped_like(like, TB_OP_BINARY);
  node.attributes.kind = kind;
  *status = simplify_node(w, &node, 2, (uint32_t[]){ a, b }, index);
  return true;
}

/* x·c, x + c, x/2ᵏ with a number; −x as a scale; sums and differences of negated terms */
static bool rule_arithmetic(rewriter *w, rule_input in, uint32_t *index, tb_status *status) {
  const tb_node *node = in.node;
  if (node->dtype == TB_INT32)
    return false;
  if (node->op == TB_OP_UNARY && node->attributes.kind == TB_NEGATE)
    return with_value(w, node, TB_OP_SCALE, in.operands[0], -1, index, status);
  if (node->op == TB_OP_SCALE) {
    const tb_node *a = at(w, in.operands[0]);
    if (node->attributes.value == 1)
      return copy_of(in.operands[0], index, status);
    if (a->op == TB_OP_SCALE && (power_of_two(a->attributes.value) || power_of_two(node->attributes.value)))
      return with_value(w, node, TB_OP_SCALE, a->operands[0], a->attributes.value * node->attributes.value, index,
                        status);
    return false;
  }
  if (node->op != TB_OP_BINARY)
    return false;
  const uint32_t a = in.operands[0], b = in.operands[1];
  const tb_node *x = at(w, a), *y = at(w, b);
  const bool minus_x = x->op == TB_OP_SCALE && x->attributes.value == -1;
  const bool minus_y = y->op == TB_OP_SCALE && y->attributes.value == -1;
  switch (node->attributes.kind) {
  case TB_ADD:
    if (is_fill(x) || is_fill(y))
      return with_value(w, node, TB_OP_SHIFT, is_fill(x) ? b : a, (is_fill(x) ? x : y)->attributes.value, index,
                        status);
    if (minus_y)
      return binary_of(w, node, TB_SUBTRACT, a, y->operands[0], index, status);
    if (minus_x)
      return binary_of(w, node, TB_SUBTRACT, b, x->operands[0], index, status);
    return false;
  case TB_SUBTRACT:
    if (is_fill(y))
      return with_value(w, node, TB_OP_SHIFT, a, -y->attributes.value, index, status);
    if (minus_y)
      return binary_of(w, node, TB_ADD, a, y->operands[0], index, status);
    return false;
  case TB_MULTIPLY:
    if (is_fill(x) || is_fill(y))
      return with_value(w, node, TB_OP_SCALE, is_fill(x) ? b : a, (is_fill(x) ? x : y)->attributes.value, index,
                        status);
    if (a == b) {
      tb_node square = shaped_like(node, TB_OP_UNARY);
      square.attributes.kind = TB_SQUARE;
      *status = simplify_node(w, &square, 1, &a, index);
      return true;
    }
    return false;
  case TB_DIVIDE:
    if (is_fill(y) && power_of_two(y->attributes.value))
      return with_value(w, node, TB_OP_SCALE, a, 1 / y->attributes.value, index, status);
    return false;
  default:
    return false;
  }
}

static bool rule_power(rewriter *w, rule_input in, uint32_t *index, tb_status *status) {
  if (in.node->op != TB_OP_POWER)
    return false;
  static const struct {
    double exponent;
    tb_unary kind;
  } known[] = { { 2, TB_SQUARE }, { 0.5, TB_SQRT }, { -1, TB_RECIPROCAL } };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (in.node->attributes.value == known[i].exponent) {
      tb_node node = shaped_like(in.node, TB_OP_UNARY);
      node.attributes.kind = known[i].kind;
      *status = simplify_node(w, &node, 1, in.operands, index);
      return true;
    }
  return false;
}

/* tanh″ = −2 tanh tanh′, which share their exponential */
static bool rule_tanh(rewriter *w, rule_input in, uint32_t *index, tb_status *status) {
  if (in.node->op != TB_OP_UNARY || in.node->attributes.kind != TB_TANH || in.node->attributes.order != 2)
    return false;
  uint32_t factors[2];
  *status = TB_OK;
  for (uint32_t order = 0; order < 2 && *status == TB_OK; order++) {
    tb_node node = *in.node;
    node.attributes.order = order;
    *status = simplify_node(w, &node, 1, in.operands, &factors[order]);
  }
  uint32_t product = 0;
  if (*status == TB_OK)
    binary_of(w, in.node, TB_MULTIPLY, factors[0], factors[1], &product, status);
  if (*status == TB_OK)
    with_value(w, in.node, TB_OP_SCALE, product, -2, index, status);
  return true;
}

/* Work on a broadcast value is work on the value: f(broadcast x, broadcast y) = broadcast f(x, y). */
static bool rule_broadcast(rewriter *w, rule_input in, uint32_t *index, tb_status *status) {
  if (!elementwise(in.node->op))
    return false;
  const tb_node *source = NULL;
  uint32_t sources[3] = { 0 };
  for (uint32_t k = 0; k < in.count; k++) {
    const tb_node *a = at(w, in.operands[k]);
    if (is_fill(a))
      continue;
    if (a->op != TB_OP_BROADCAST)
      return false;
    sources[k] = a->operands[0];
    const tb_node *from = at(w, sources[k]);
    if (source && !tb_same_shape(source, from))
      return false;
    source = from;
  }
  if (!source || source->elements >= in.node->elements)
    return false;
  *status = TB_OK;
  for (uint32_t k = 0; k < in.count && *status == TB_OK; k++) {
    const tb_node *a = at(w, in.operands[k]);
    if (is_fill(a)) {
      tb_node fill = shaped_like(source, TB_OP_FILL);
      fill.dtype = a->dtype;
      fill.attributes.value = a->attributes.value;
      *status = append(w, &fill, 0, NULL, &sources[k]);
    }
  }
  tb_node small = *in.node;
  small.rank = source->rank;
  small.elements = source->elements;
  memcpy(small.dims, source->dims, sizeof small.dims);
  uint32_t inner = 0;
  if (*status == TB_OK)
    *status = simplify_node(w, &small, in.count, sources, &inner);
  const tb_node stretched = shaped_like(in.node, TB_OP_BROADCAST);
  if (*status == TB_OK)
    *status = simplify_node(w, &stretched, 1, &inner, index);
  return true;
}

/* Reshapes of reshapes, transposes of transposes, broadcasts of broadcasts; those that change nothing. */
static bool rule_shape(rewriter *w, rule_input in, uint32_t *index, tb_status *status) {
  const tb_node *node = in.node;
  if (node->op == TB_OP_STOP)
    return copy_of(in.operands[0], index, status);
  if (node->op != TB_OP_RESHAPE && node->op != TB_OP_TRANSPOSE && node->op != TB_OP_BROADCAST)
    return false;
  const tb_node *a = at(w, in.operands[0]);
  bool identity = tb_same_shape(a, node);
  for (uint32_t i = 0; node->op == TB_OP_TRANSPOSE && i < node->rank; i++)
    identity = identity && node->attributes.permutation[i] == i;
  if (identity)
    return copy_of(in.operands[0], index, status);
  if (a->op != node->op)
    return false;
  tb_node merged = *node;
  for (uint32_t i = 0; node->op == TB_OP_TRANSPOSE && i < node->rank; i++)
    merged.attributes.permutation[i] = a->attributes.permutation[node->attributes.permutation[i]];
  *status = simplify_node(w, &merged, 1, a->operands, index);
  return true;
}

/* Over axes of length 1: a reshape.  A sum over stretched axes: a multiple. */
static bool rule_reduce(rewriter *w, rule_input in, uint32_t *index, tb_status *status) {
  const tb_node *node = in.node;
  if (node->op != TB_OP_REDUCE || node->dtype == TB_INT32)
    return false;
  const tb_node *a = at(w, in.operands[0]);
  bool trivial = true, stretched = a->op == TB_OP_BROADCAST && node->attributes.kind == TB_SUM;
  double count = 1;
  for (uint32_t i = 0; i < a->rank; i++)
    if (node->attributes.axes >> i & 1) {
      trivial = trivial && a->dims[i] == 1;
      count *= (double)a->dims[i];
      if (stretched && a->dims[i] != 1) {
        const tb_node *source = at(w, a->operands[0]);
        const uint32_t added = a->rank - source->rank;
        stretched = i < added || source->dims[i - added] == 1;
      }
    }
  if (!trivial && !(stretched && count > 0))
    return false;
  /* the source seen with the result's shape (reduced axes 1 or gone), stretched over what is left */
  tb_node small = shaped_like(node, TB_OP_RESHAPE);
  uint32_t reshaped = in.operands[0];
  *status = TB_OK;
  if (!trivial) {
    const tb_node *source = at(w, a->operands[0]);
    const uint32_t added = a->rank - source->rank;
    tb_node kept = *source;
    kept.op = TB_OP_RESHAPE;
    kept.data = NULL;
    kept.name = NULL;
    kept.scan = NULL;
    kept.attributes = (tb_attributes){ 0 };
    kept.rank = 0;
    for (uint32_t i = 0; i < a->rank; i++)
      if (!(node->attributes.axes >> i & 1) || node->attributes.keep)
        kept.dims[kept.rank++] = node->attributes.axes >> i & 1 ? 1 : i < added ? 1 : source->dims[i - added];
    for (uint32_t i = kept.rank; i < TB_MAX_RANK; i++)
      kept.dims[i] = 0;
    *status = simplify_node(w, &kept, 1, a->operands, &reshaped);
    small.op = TB_OP_BROADCAST;
  }
  uint32_t seen = 0;
  if (*status == TB_OK)
    *status = simplify_node(w, &small, 1, &reshaped, &seen);
  if (*status == TB_OK && count != 1)
    with_value(w, node, TB_OP_SCALE, seen, count, index, status);
  else
    *index = seen;
  return true;
}

static bool rule_select(rewriter *w, rule_input in, uint32_t *index, tb_status *status) {
  if (in.node->op != TB_OP_SELECT || !is_fill(at(w, in.operands[0])))
    return false;
  return copy_of(in.operands[at(w, in.operands[0])->attributes.value != 0 ? 1 : 2], index, status);
}

/* ---- sums of pieces ---- */

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

static uint32_t add_pieces(const rewriter *w, const pieces *p, piece *list, uint32_t count) {
  size_t start = p->start;
  for (uint32_t k = 0; k < p->count; k++) {
    const tb_node *a = at(w, p->operands[k]);
    const size_t length = a->dims[p->axis];
    if (!(is_fill(a) && a->attributes.value == 0) && length)
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
static bool rule_pieces(rewriter *w, rule_input in, uint32_t *index, tb_status *status) {
  pieces x, y;
  if (in.node->op != TB_OP_BINARY || in.node->attributes.kind != TB_ADD || !tb_dtype_real(in.node->dtype) ||
      !pieces_of(at(w, in.operands[0]), &x) || !pieces_of(at(w, in.operands[1]), &y) || x.axis != y.axis)
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
      tb_node zeros = shaped_like(in.node, TB_OP_FILL);
      zeros.elements = zeros.elements / whole * (start - end);
      zeros.dims[x.axis] = start - end;
      *status = append(w, &zeros, 0, NULL, &operands[parts++]);
    }
    if (k < count) {
      operands[parts++] = list[k].node;
      end = start + list[k].length;
    }
  }
  tb_node joined = shaped_like(in.node, TB_OP_CONCAT);
  joined.attributes.axis = x.axis;
  if (*status == TB_OK)
    *status = append(w, &joined, parts, operands, index);
  return true;
}

static bool (*const rules[])(rewriter *, rule_input, uint32_t *, tb_status *) = {
  rule_shape, rule_select, rule_power, rule_tanh, rule_arithmetic, rule_broadcast, rule_reduce, rule_pieces,
};

static tb_status simplify_node(rewriter *w, const tb_node *node, uint32_t count, const uint32_t *operands,
                               uint32_t *index) {
  if (foldable(w, node, count, operands))
    return fold(w, node, count, operands, index);
  tb_status status;
  for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
    if (rules[i](w, (rule_input){ node, count, operands }, index, &status))
      return status;
  if (node->op == TB_OP_BINARY && operands[0] > operands[1] &&
      (node->attributes.kind == TB_ADD || node->attributes.kind == TB_MULTIPLY))
    return append(w, node, 2, (uint32_t[]){ operands[1], operands[0] }, index);
  return append(w, node, count, operands, index);
}

/* ---- what is needed ---- */

/* Needed results, operands and body inputs of a scan. */
typedef struct scan_use {
  bool *results; /* carries, outs, entries */
  bool *inputs;  /* of the body */
} scan_use;

/* A carry is needed when its final value or its entries are, or when what is needed reads it in the body: iterated
 * until it stands. */
static tb_status use_of_scan(tb_context *context, const tb_scan *scan, scan_use *use) {
  const tb_graph *body = scan->body;
  bool *needed = tb_allocate(context, body->count + 1, sizeof *needed);
  if (!needed)
    return TB_NO_MEMORY;
  for (uint32_t i = 0; i < scan->carries; i++)
    use->results[i] = use->results[i] || use->results[tb_scan_body_results(scan) + i];
  for (bool changed = true; changed;) {
    for (uint32_t i = 0; i < tb_scan_body_results(scan); i++)
      if (use->results[i])
        needed[scan->results[i]] = true;
    for (uint32_t i = body->count; i-- > 0;)
      for (uint32_t k = 0; k < body->nodes[i]->operand_count && needed[i]; k++)
        needed[body->nodes[i]->operands[k]] = true;
    changed = false;
    for (uint32_t i = 0; i < scan->carries; i++)
      if (needed[body->inputs[1 + i]] && !use->results[i])
        changed = use->results[i] = true;
  }
  for (uint32_t i = 0; i < body->input_count; i++)
    use->inputs[i] = needed[body->inputs[i]];
  for (uint32_t i = 0; i < scan->carries;
       i++) /* a carry keeps its input even where its first value is all that counts */
    use->inputs[1 + i] = use->results[i];
  tb_release(context, needed);
  return TB_OK;
}

/* ---- a whole graph ---- */

static tb_status simplify(tb_context *, const tb_graph *, size_t n_out, const uint32_t *outputs, const bool *keep_input,
                          uint32_t *outputs_new, tb_graph **);

static tb_status simplify_scan(rewriter *w, const tb_node *node, const uint32_t *map, const scan_use *use,
                               uint32_t *index) {
  const tb_scan *scan = node->scan;
  tb_arena *arena = w->to->arena;
  tb_scan *s = tb_arena_allocate(arena, 1, sizeof *s);
  uint32_t *old = tb_arena_allocate(arena, tb_scan_body_results(scan) + 1, sizeof *old);
  uint32_t *new = tb_arena_allocate(arena, tb_scan_body_results(scan) + 1, sizeof *new);
  uint32_t *operands = tb_arena_allocate(arena, node->operand_count + 1, sizeof *operands);
  if (!s || !old || !new || !operands)
    return TB_NO_MEMORY;
  *s = (tb_scan){ .results = new, .length = scan->length, .reverse = scan->reverse };
  uint32_t results = 0, count = 0;
  for (uint32_t i = 0; i < tb_scan_body_results(scan); i++)
    if (use->results[i]) {
      old[results++] = scan->results[i];
      *(i < scan->carries ? &s->carries : &s->outs) += 1;
    }
  for (uint32_t i = 0; i < node->operand_count; i++)
    if (use->inputs[1 + i]) {
      operands[count++] = map[node->operands[i]];
      if (i >= scan->carries)
        *(i < scan->carries + scan->slices ? &s->slices : &s->constants) += 1;
    }
  bool *keep = tb_arena_allocate(arena, scan->body->input_count + 1, sizeof *keep);
  if (!keep)
    return TB_NO_MEMORY;
  memcpy(keep, use->inputs, scan->body->input_count * sizeof *keep);
  keep[0] = true; /* the step */
  tb_status status = simplify(w->context, scan->body, results, old, keep, new, &s->body);
  tb_node copy = *node;
  copy.scan = s;
  if (status == TB_OK)
    status = append(w, &copy, count, operands, index);
  if (status != TB_OK)
    tb_graph_free(s->body);
  return status;
}

static tb_status add_inputs(rewriter *w, const tb_graph *from, const bool *keep, uint32_t *map) {
  w->to->inputs = tb_allocate(w->context, from->input_count + 1, sizeof *w->to->inputs);
  w->to->input_capacity = from->input_count + 1;
  tb_status status = w->to->inputs ? TB_OK : TB_NO_MEMORY;
  for (uint32_t i = 0; i < from->input_count && status == TB_OK; i++) {
    if (keep && !keep[i])
      continue;
    tb_node input = *from->nodes[from->inputs[i]];
    input.attributes.index = w->to->input_count;
    input.name = tb_arena_text(w->to->arena, input.name ? input.name : "");
    uint32_t index = 0;
    status = append(w, &input, 0, NULL, &index);
    map[from->inputs[i]] = index;
    w->to->inputs[w->to->input_count++] = index;
  }
  return status;
}

/* Marks what the outputs need; of each needed scan also which results and inputs, in uses[node]. */
static tb_status mark_needed(tb_context *context, tb_arena *arena, const tb_graph *from, size_t n_out,
                             const uint32_t *outputs, bool *needed, scan_use *uses) {
  for (size_t i = 0; i < n_out; i++)
    needed[outputs[i]] = true;
  for (uint32_t i = from->count; i-- > 0;) {
    const tb_node *node = from->nodes[i];
    if (node->op == TB_OP_SCAN) {
      const tb_scan *scan = node->scan;
      scan_use *use = &uses[i];
      use->results = tb_arena_allocate(arena, tb_scan_results(scan) + 1, sizeof *use->results);
      use->inputs = tb_arena_allocate(arena, scan->body->input_count + 1, sizeof *use->inputs);
      if (!use->results || !use->inputs)
        return TB_NO_MEMORY;
      for (uint32_t r = 0; r < tb_scan_results(scan); r++)
        use->results[r] = needed[i + 1 + r];
      tb_status status = needed[i] ? use_of_scan(context, scan, use) : TB_OK;
      if (status != TB_OK)
        return status;
      for (uint32_t k = 0; k < node->operand_count && needed[i]; k++)
        if (use->inputs[1 + k])
          needed[node->operands[k]] = true;
      continue;
    }
    for (uint32_t k = 0; k < node->operand_count && needed[i]; k++)
      needed[node->operands[k]] = true;
  }
  return TB_OK;
}

static tb_status rebuild(rewriter *w, const tb_graph *from, const bool *needed, const scan_use *uses, uint32_t *map) {
  tb_status status = TB_OK;
  for (uint32_t i = 0; i < from->count && status == TB_OK; i++) {
    const tb_node *node = from->nodes[i];
    if (!needed[i] || node->op == TB_OP_INPUT)
      continue;
    if (node->op == TB_OP_SCAN) {
      status = simplify_scan(w, node, map, &uses[i], &map[i]);
      const uint32_t body_results = tb_scan_body_results(node->scan);
      for (uint32_t r = 0, kept = 0; r < tb_scan_results(node->scan) && status == TB_OK; r++)
        if (uses[i].results[r < body_results ? r : r - body_results]) { /* results stand right behind their scan */
          tb_node result = *from->nodes[i + 1 + r];
          result.attributes.index = kept++;
          status = append(w, &result, 1, &map[i], &map[i + 1 + r]);
        }
    } else if (node->op != TB_OP_RESULT) {
      uint32_t few[8], *operands = few;
      if (node->operand_count > 8)
        operands = tb_arena_allocate(w->to->arena, node->operand_count, sizeof *operands);
      if (!operands)
        return TB_NO_MEMORY;
      for (uint32_t k = 0; k < node->operand_count; k++)
        operands[k] = map[node->operands[k]];
      status = simplify_node(w, node, node->operand_count, operands, &map[i]);
    }
  }
  return status;
}

static tb_status simplify(tb_context *context, const tb_graph *from, size_t n_out, const uint32_t *outputs,
                          const bool *keep_input, uint32_t *outputs_new, tb_graph **simple) {
  rewriter w = { .context = context };
  *simple = NULL;
  tb_arena *arena = tb_arena_new(context);
  bool *needed = arena ? tb_arena_allocate(arena, from->count + 1, sizeof *needed) : NULL;
  uint32_t *map = arena ? tb_arena_allocate(arena, from->count + 1, sizeof *map) : NULL;
  scan_use *uses = arena ? tb_arena_allocate(arena, from->count + 1, sizeof *uses) : NULL;
  tb_status status = needed && map && uses ? tb_graph_new(context, &w.to) : TB_NO_MEMORY;
  if (status == TB_OK)
    status = mark_needed(context, arena, from, n_out, outputs, needed, uses);
  if (status == TB_OK)
    status = add_inputs(&w, from, keep_input, map);
  if (status == TB_OK)
    status = rebuild(&w, from, needed, uses, map);
  for (size_t i = 0; i < n_out && status == TB_OK; i++)
    outputs_new[i] = map[outputs[i]];
  if (status != TB_OK) {
    tb_graph_free(w.to);
    w.to = NULL;
  }
  *simple = w.to;
  tb_release(context, w.table);
  tb_arena_free(arena);
  return status;
}

tb_status tb_simplify(tb_context *context, const tb_graph *graph, size_t n_out, const uint32_t *outputs,
                      uint32_t *outputs_new, tb_graph **simple) {
  uint32_t *found = tb_allocate(context, n_out + 1, sizeof *found);
  tb_graph *full = NULL;
  tb_status status = found ? simplify(context, graph, n_out, outputs, NULL, found, &full) : TB_NO_MEMORY;
  if (status == TB_OK) /* rules leave nodes behind that nobody needs */
    status = tb_graph_extract(context, full, n_out, found, outputs_new, simple);
  tb_graph_free(full);
  tb_release(context, found);
  return status;
}

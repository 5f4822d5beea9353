/* Sums over steps of products over rows, w̄ ← w̄ + aᵀb, leave the body of a reverse loop.
 *
 * A tile has few rows, so a step's product is a short sum for every entry of w̄, which costs a load and a store.  Where
 * a (or b) is a slice of the loop, its rows of neighbouring steps lie behind each other: the other operand is kept for
 * a group of steps, and one product over the rows of all of them takes the place of theirs.  Groups are counted from
 * step 0, whatever the tape, so that no bit depends on it. */
#include "engine/plan.h"

enum {
  ENOUGH_ROWS = 100,     /* of a product: more gain nothing */
  MOST_KEPT = 512 << 10, /* bytes of an operand that is kept */
};

typedef struct found {
  uint32_t matmul, kept, slice; /* nodes of the body: the sum's product, and what it reads */
  bool kept_first;              /* kept is a, slice is b */
} found;

static uint32_t without_reshapes(const tb_graph *graph, uint32_t index) {
  while (graph->nodes[index]->op == TB_OP_RESHAPE)
    index = graph->nodes[index]->operands[0];
  return index;
}

/* Counts how often the body reads a node, results included. */
static void count_readers(const tb_scan *scan, uint32_t *readers) {
  for (uint32_t i = 0; i < scan->body->count; i++)
    for (uint32_t k = 0; k < scan->body->nodes[i]->operand_count; k++)
      readers[scan->body->nodes[i]->operands[k]]++;
  for (uint32_t r = 0; r < tb_scan_body_results(scan); r++)
    readers[scan->results[r]]++;
}

/* The node behind reshapes that nobody else reads; *only: nor reads it anybody else. */
static uint32_t only_through(const tb_graph *graph, const uint32_t *readers, uint32_t index, bool *only) {
  *only = readers[index] == 1;
  for (; graph->nodes[index]->op == TB_OP_RESHAPE; *only = *only && readers[index] == 1)
    index = graph->nodes[index]->operands[0];
  return index;
}

static bool is_slice(const tb_scan *scan, uint32_t index) {
  const tb_node *node = scan->body->nodes[index];
  return node->op == TB_OP_INPUT && node->attributes.index > scan->carries &&
         node->attributes.index <= scan->carries + scan->slices;
}

static bool is_computed(const tb_graph *graph, uint32_t index) {
  return tb_ops[graph->nodes[index]->op].arity != 0 && !tb_op_is_view(graph->nodes[index]->op);
}

/* One product aᵀb of two matrices, one of them a slice, the other computed in the body. */
static bool is_product_over_rows(const tb_scan *scan, uint32_t matmul, found *f) {
  const tb_graph *body = scan->body;
  const tb_node *node = body->nodes[matmul];
  if (node->op != TB_OP_MATMUL || !node->attributes.transpose_a || node->attributes.transpose_b ||
      node->elements != node->dims[node->rank - 2] * node->dims[node->rank - 1])
    return false;
  const uint32_t a = without_reshapes(body, node->operands[0]), b = without_reshapes(body, node->operands[1]);
  f->matmul = matmul;
  f->kept_first = is_slice(scan, b);
  f->slice = f->kept_first ? b : a;
  f->kept = f->kept_first ? a : b;
  return is_slice(scan, f->slice) && is_computed(body, f->kept);
}

/* Whether carry i is only ever added such a product to. */
static bool find_sum(const tb_scan *scan, const uint32_t *readers, uint32_t i, found *f) {
  const tb_graph *body = scan->body;
  bool only;
  const tb_node *sum = body->nodes[only_through(body, readers, scan->results[i], &only)];
  if (!only || sum->op != TB_OP_BINARY || sum->attributes.kind != TB_ADD)
    return false;
  for (int side = 0; side < 2; side++) {
    const uint32_t carry = only_through(body, readers, sum->operands[side], &only);
    if (!only || carry != body->inputs[1 + i])
      continue;
    const uint32_t matmul = only_through(body, readers, sum->operands[1 - side], &only);
    return only && is_product_over_rows(scan, matmul, f);
  }
  return false;
}

static size_t rows_of(const tb_graph *body, const found *f) {
  const tb_node *a = tb_node_operand(body, body->nodes[f->matmul], 0);
  return a->dims[a->rank - 2];
}

/* The steps of a group; at most 1: not worth it. */
static size_t steps_together(const tb_scan *scan, const found *f) {
  const size_t rows = rows_of(scan->body, f), bytes = tb_node_bytes(scan->body->nodes[f->kept]);
  if (!rows || !bytes)
    return 0;
  size_t steps = ENOUGH_ROWS / rows;
  steps = steps < MOST_KEPT / bytes ? steps : MOST_KEPT / bytes;
  return steps < scan->length ? steps : scan->length;
}

static void make_product(tb_planner *p, const tb_graph *body, const found *f, tb_product *g) {
  const tb_node *node = body->nodes[f->matmul];
  *g = (tb_product){ .gemm = p->kernels[node->dtype]->gemm,
                     .transpose_a = true,
                     .m = node->dims[node->rank - 2],
                     .n = node->dims[node->rank - 1],
                     .k = rows_of(body, f),
                     .with = TB_PLUS,
                     .alpha = 1,
                     .beta = 1 };
  g->lda = g->m;
  g->ldb = g->ldc = g->ldd = g->n;
}

tb_status tb_find_loop_sums(tb_planner *p, uint32_t index, uint32_t *results, tb_loop *l) {
  const tb_scan *scan = p->graph->nodes[index]->scan;
  const uint32_t entries = index + 1 + tb_scan_body_results(scan);
  uint32_t *readers = tb_arena_allocate(p->scratch, scan->body->count + 1, sizeof *readers);
  tb_loop_sum *sums = tb_arena_allocate(p->arena, scan->carries + 1, sizeof *sums);
  if (!readers || !sums)
    return TB_NO_MEMORY;
  l->sums = sums;
  count_readers(scan, readers);
  for (uint32_t i = 0; i < scan->carries && scan->reverse; i++) {
    found f;
    if (p->uses[entries + i] || p->is_output[entries + i] || !find_sum(scan, readers, i, &f))
      continue;
    const size_t steps = steps_together(scan, &f);
    if (steps < 2)
      continue;
    tb_loop_sum *sum = &sums[l->sum_count++];
    *sum = (tb_loop_sum){ .carry = i,
                          .slice = scan->body->nodes[f.slice]->attributes.index - 1 - scan->carries,
                          .steps = steps,
                          .kept_first = f.kept_first,
                          .kept_bytes = tb_node_bytes(scan->body->nodes[f.kept]),
                          .slice_bytes = tb_node_bytes(scan->body->nodes[f.slice]) };
    make_product(p, scan->body, &f, &sum->product);
    results[i] = f.kept;
  }
  return TB_OK;
}

tb_status tb_lower_loop_sum(tb_planner *p, uint32_t index, const tb_loop *l, tb_loop_sum *sum) {
  const tb_node *carry = tb_node_operand(p->graph, p->graph->nodes[index], sum->carry);
  tb_status status = tb_read_contiguous(p, p->graph->nodes[index]->operands[sum->carry], &sum->product.d);
  if (status == TB_OK)
    status = tb_write_result(p, index + 1 + sum->carry, &sum->product.c);
  if (status == TB_OK)
    status = tb_touch_scratch(p, sum->steps * sum->kept_bytes, &sum->kept);
  if (status == TB_OK && l->slices[sum->slice].tape) /* runs on for a block only */
    status = tb_touch_scratch(p, sum->steps * sum->slice_bytes, &sum->copy);
  const tb_kernels *kernels = p->kernels[carry->dtype];
  return status == TB_OK
             ? tb_touch_scratch(p, kernels->gemm_scratch * tb_dtype_size(carry->dtype), &sum->product.scratch)
             : status;
}

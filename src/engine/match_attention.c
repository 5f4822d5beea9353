/* Attention in a graph, as models write it and reverse mode leaves it:
 *
 *   w = softmax(scale(q) kᵀ + bias),  out = w v
 *   v̄ = wᵀ ō,  w̄ = ō vᵀ,  s̄ = w ∘ (w̄ − Σ w ∘ w̄),  q̄ = scale(s̄ k),  k̄ = s̄ᵀ scale(q)
 *
 * The scale may stand on q or on the scores, the bias may be missing.  Forward and reverse become a unit each, and the
 * weights are never stored.  A constant bias that blocks what follows in each row (causal masks) becomes the number of
 * keys seen; what is left of it, if anything (slopes by distance), is added. */
#include "engine/naive.h"
#include "engine/patterns.h"

#include <string.h>

#define BLOCKED (-1e29) /* no score lifts what lies below */

typedef struct found {
  uint32_t q, k, v, bias, bar; /* bias: TB_NO_BUFFER where there is none */
  uint32_t scaled, scores, sum, weights;
  double scale;
  bool scale_on_scores;
  uint32_t out, q_bar, k_bar, v_bar; /* out and v_bar: TB_NO_BUFFER until they are found */
  uint32_t inside[24], inside_count;
} found;

static void put_inside(found *f, uint32_t index) {
  f->inside[f->inside_count++] = index;
}

static bool is_matmul(const tb_node *node, bool transpose_a, bool transpose_b) {
  return node->op == TB_OP_MATMUL && node->attributes.transpose_a == transpose_a &&
         node->attributes.transpose_b == transpose_b;
}

/* ---- forward ---- */

/* scores = q kᵀ with a scale on it or on q; the index of what is inside of it is noted. */
static bool find_scores(const tb_matcher *m, uint32_t index, found *f) {
  const tb_node *node = tb_matched(m, index);
  f->scale = 1;
  if (!tb_only_inside(m, index, 1))
    return false;
  put_inside(f, index);
  if (node->op == TB_OP_SCALE) {
    f->scale = node->attributes.value;
    f->scale_on_scores = true;
    index = node->operands[0];
    node = tb_matched(m, index);
    if (!tb_only_inside(m, index, 1))
      return false;
    put_inside(f, index);
  }
  if (!is_matmul(node, false, true))
    return false;
  f->scores = index;
  f->q = f->scaled = node->operands[0];
  f->k = node->operands[1];
  return true;
}

static bool find_weights(const tb_matcher *m, uint32_t index, found *f) {
  const tb_node *node = tb_matched(m, index);
  if (node->op != TB_OP_SOFTMAX || node->rank < 2 || m->p->is_output[index] || node->elements == 0)
    return false;
  f->weights = index;
  f->sum = node->operands[0];
  f->bias = TB_NO_BUFFER;
  const tb_node *sum = tb_matched(m, f->sum);
  if (!tb_is_binary(sum, TB_ADD))
    return find_scores(m, f->sum, f);
  if (!tb_only_inside(m, f->sum, 1))
    return false;
  put_inside(f, f->sum);
  for (int side = 0; side < 2; side++) {
    found trial = *f;
    trial.bias = sum->operands[!side];
    if (find_scores(m, sum->operands[side], &trial)) {
      *f = trial;
      return true;
    }
  }
  return false;
}

/* ---- reverse ---- */

/* The only reader of a node, or the node itself where it is read by others. */
static uint32_t behind_scale(const tb_matcher *m, uint32_t index, double scale) {
  if (!tb_only_inside(m, index, 1))
    return index;
  const uint32_t reader = tb_reader(m, index, 0);
  const tb_node *node = tb_matched(m, reader);
  return node->op == TB_OP_SCALE && node->attributes.value == scale ? reader : index;
}

/* q̄ and k̄ from s̄, the cotangent of the softmax's operand */
static bool find_ends(const tb_matcher *m, uint32_t slope, found *f) {
  if (f->scale_on_scores) {
    const uint32_t scaled = behind_scale(m, slope, f->scale);
    if (scaled == slope)
      return false;
    put_inside(f, slope);
    slope = scaled;
  }
  if (!tb_only_inside(m, slope, 2))
    return false;
  put_inside(f, slope);
  f->q_bar = f->k_bar = TB_NO_BUFFER;
  for (uint32_t i = 0; i < 2; i++) {
    const uint32_t reader = tb_reader(m, slope, i);
    const tb_node *node = tb_matched(m, reader);
    if (is_matmul(node, false, false) && node->operands[0] == slope && node->operands[1] == f->k)
      f->q_bar = reader;
    else if (is_matmul(node, true, false) && node->operands[0] == slope && node->operands[1] == f->scaled)
      f->k_bar = reader;
  }
  return f->q_bar != TB_NO_BUFFER && f->k_bar != TB_NO_BUFFER;
}

/* s̄ = w ∘ (w̄ − Σ w ∘ w̄), from the two products with w */
static bool find_slope(const tb_matcher *m, const uint32_t times[2], found *f) {
  for (int k = 0; k < 2; k++) {
    const uint32_t first = times[k], last = times[!k]; /* w ∘ w̄, and s̄ */
    const tb_node *product = tb_matched(m, first);
    const uint32_t bar = product->operands[product->operands[0] == f->weights];
    const tb_node *w_bar = tb_matched(m, bar);
    if (!is_matmul(w_bar, false, true) || w_bar->operands[1] != f->v || !tb_only_inside(m, bar, 2) ||
        !tb_only_inside(m, first, 1))
      continue;
    const uint32_t sum = tb_reader(m, first, 0);
    const tb_node *mean = tb_matched(m, sum);
    if (mean->op != TB_OP_REDUCE || mean->attributes.kind != TB_SUM ||
        mean->attributes.axes != 1u << (product->rank - 1) || !tb_only_inside(m, sum, 1))
      continue;
    uint32_t stretched = sum;
    put_inside(f, sum);
    while (tb_only_inside(m, stretched, 1) && (tb_matched(m, tb_reader(m, stretched, 0))->op == TB_OP_BROADCAST ||
                                               tb_matched(m, tb_reader(m, stretched, 0))->op == TB_OP_RESHAPE)) {
      stretched = tb_reader(m, stretched, 0);
      put_inside(f, stretched);
      if (f->inside_count > 16)
        return false;
    }
    const tb_node *slope = tb_matched(m, last);
    const uint32_t difference = slope->operands[slope->operands[0] == f->weights];
    const tb_node *d = tb_matched(m, difference);
    if (!tb_only_inside(m, stretched, 1) || !tb_is_binary(d, TB_SUBTRACT) || d->operands[0] != bar ||
        d->operands[1] != stretched || !tb_only_inside(m, difference, 1))
      return false;
    f->bar = w_bar->operands[0];
    const uint32_t inside[] = { first, bar, difference };
    for (int i = 0; i < 3; i++)
      put_inside(f, inside[i]);
    return find_ends(m, last, f);
  }
  return false;
}

/* Who reads the weights: out, and all or nothing of the reverse. */
static bool find_readers(const tb_matcher *m, found *f, bool *reverse) {
  const uint32_t count = tb_reader_count(m, f->weights);
  uint32_t times[2], products = 0;
  f->out = f->v_bar = TB_NO_BUFFER;
  *reverse = count == 4;
  if (count != 1 && count != 4)
    return false;
  for (uint32_t k = 0; k < count; k++) {
    const uint32_t reader = tb_reader(m, f->weights, k);
    const tb_node *node = tb_matched(m, reader);
    if (is_matmul(node, false, false) && node->operands[0] == f->weights && f->out == TB_NO_BUFFER)
      f->out = reader;
    else if (is_matmul(node, true, false) && node->operands[0] == f->weights && f->v_bar == TB_NO_BUFFER)
      f->v_bar = reader;
    else if (tb_is_binary(node, TB_MULTIPLY) && products < 2)
      times[products++] = reader;
    else
      return false;
  }
  if (f->out == TB_NO_BUFFER)
    return false;
  f->v = tb_matched(m, f->out)->operands[1];
  if (!*reverse)
    return true;
  return f->v_bar != TB_NO_BUFFER && products == 2 && times[0] != times[1] && find_slope(m, times, f) &&
         tb_matched(m, f->v_bar)->operands[1] == f->bar;
}

/* A scale on q belongs to the pattern when nobody else reads it. */
static void take_scale(const tb_matcher *m, bool reverse, found *f) {
  const tb_node *node = tb_matched(m, f->scaled);
  if (f->scale_on_scores || node->op != TB_OP_SCALE || !tb_only_inside(m, f->scaled, reverse ? 2 : 1))
    return;
  if (reverse) {
    const uint32_t q_bar = behind_scale(m, f->q_bar, node->attributes.value);
    if (q_bar == f->q_bar)
      return;
    put_inside(f, f->q_bar);
    f->q_bar = q_bar;
  }
  f->q = node->operands[0];
  f->scale = node->attributes.value;
  put_inside(f, f->scaled);
}

/* ---- the bias ---- */

/* The constant behind a bias of which every head and row is a copy, seen as [heads, queries, keys]. */
static const tb_node *constant_bias(const tb_matcher *m, uint32_t bias) {
  const tb_node *node = tb_matched(m, bias);
  if (node->op == TB_OP_BROADCAST) {
    const tb_node *from = tb_matched(m, node->operands[0]);
    if (from->rank < 2 || from->dims[from->rank - 1] != node->dims[node->rank - 1] ||
        from->dims[from->rank - 2] != node->dims[node->rank - 2])
      return NULL;
    node = from;
  }
  return node->op == TB_OP_CONSTANT && node->rank >= 2 ? node : NULL;
}

/* How many keys each query sees; *plain: and nothing is added to the scores of those. */
static tb_status read_bias(tb_planner *p, const tb_node *bias, const int32_t **seen, bool *plain) {
  const size_t queries = bias->dims[bias->rank - 2], keys = bias->dims[bias->rank - 1];
  const size_t heads = bias->elements / (queries * keys);
  int32_t *sees = tb_arena_allocate(p->arena, queries, sizeof *sees);
  if (!sees)
    return TB_NO_MEMORY;
  *plain = true;
  for (size_t r = 0; r < heads * queries; r++)
    for (size_t j = 0; j < keys; j++)
      if (tb_get(bias->dtype, bias->data, r * keys + j) > BLOCKED && (size_t)sees[r % queries] <= j)
        sees[r % queries] = (int32_t)j + 1;
  *seen = NULL;
  for (size_t i = 0; i < queries; i++) {
    if (sees[i] == 0) /* all alike */
      sees[i] = (int32_t)keys;
    if ((size_t)sees[i] < keys)
      *seen = sees;
  }
  for (size_t r = 0; r < heads * queries; r++)
    for (size_t j = 0; j < (size_t)sees[r % queries]; j++)
      *plain = *plain && tb_get(bias->dtype, bias->data, r * keys + j) == 0;
  return TB_OK;
}

/* ---- the pattern ---- */

typedef struct attend {
  double scale;
  const int32_t *seen;
  bool reverse;
  uint32_t nodes[TB_ATTENTION_ARRAYS]; /* or TB_NO_BUFFER */
} attend;

static tb_status lower_attention(tb_planner *p, const tb_pattern *pattern) {
  const attend *a = pattern->detail;
  const uint32_t *nodes = a->nodes, yields = pattern->yields[pattern->yield_count - 1];
  const tb_node *q = p->graph->nodes[nodes[TB_ATTENTION_Q]], *v = p->graph->nodes[nodes[TB_ATTENTION_V]];
  const uint32_t r = q->rank;
  const size_t size = tb_dtype_size(q->dtype);
  tb_attend *d = tb_arena_allocate(p->arena, 1, sizeof *d);
  if (!d)
    return TB_NO_MEMORY;
  d->kernel = p->kernels[q->dtype]->attention;
  d->reverse = a->reverse;
  d->biased = nodes[TB_ATTENTION_BIAS] != TB_NO_BUFFER;
  d->shape = (tb_attention){ .queries = q->dims[r - 2],
                             .keys = v->dims[r - 2],
                             .width = q->dims[r - 1],
                             .value_width = v->dims[r - 1],
                             .scale = a->scale,
                             .seen = a->seen };
  size_t *const ld[TB_ATTENTION_ARRAYS] = { &d->shape.ld_q,     &d->shape.ld_k,     &d->shape.ld_v,
                                            &d->shape.ld_bias,  &d->shape.ld_out,   &d->shape.ld_out,
                                            &d->shape.ld_q_bar, &d->shape.ld_k_bar, &d->shape.ld_v_bar };
  tb_view views[TB_ATTENTION_ARRAYS];
  tb_status status = TB_OK;
  for (int k = 0; k < TB_ATTENTION_ARRAYS && status == TB_OK; k++)
    if (nodes[k] != TB_NO_BUFFER)
      status = k < TB_ATTENTION_OUT ? tb_rows_view(p, nodes[k], &views[k]) : tb_view_make_rows(p, nodes[k], &views[k]);
  d->batch = 1;
  d->batch_rank = r - 2;
  for (uint32_t i = 0; i + 2 < r; i++) {
    d->batch_dims[i] = q->dims[i];
    d->batch *= q->dims[i];
  }
  for (int k = 0; k < TB_ATTENTION_ARRAYS && status == TB_OK; k++) {
    if (nodes[k] == TB_NO_BUFFER)
      continue;
    *ld[k] = views[k].strides[r - 2];
    for (uint32_t i = 0; i + 2 < r; i++)
      d->strides[k][i] = views[k].strides[i] * size;
    status = tb_touch(p, &views[k], size, k >= TB_ATTENTION_OUT, &d->at[k]);
  }
  if (status == TB_OK)
    status = tb_touch_scratch(p, d->kernel->scratch(&d->shape, d->reverse) * size, &d->scratch);
  return status == TB_OK ? tb_emit(p, tb_run_attention, d, d->reverse ? "attention, reverse" : "attention", yields)
                         : status;
}

static tb_status claim(tb_matcher *m, const found *f, const attend *shared, bool reverse) {
  attend *a = tb_arena_allocate(m->p->scratch, 1, sizeof *a);
  tb_pattern pattern = { .lower = lower_attention, .detail = a };
  if (!a)
    return TB_NO_MEMORY;
  *a = *shared;
  a->reverse = reverse;
  if (reverse) {
    a->nodes[TB_ATTENTION_BAR] = f->bar;
    a->nodes[TB_ATTENTION_Q_BAR] = f->q_bar;
    a->nodes[TB_ATTENTION_K_BAR] = f->k_bar;
    a->nodes[TB_ATTENTION_V_BAR] = f->v_bar;
  } else {
    a->nodes[TB_ATTENTION_OUT] = f->out;
  }
  tb_pattern_nodes(&pattern, TB_ATTENTION_OUT, a->nodes, TB_ATTENTION_ARRAYS - TB_ATTENTION_OUT,
                   a->nodes + TB_ATTENTION_OUT);
  return tb_claim(m, &pattern, f->inside_count, f->inside);
}

tb_status tb_match_attention(tb_matcher *m, uint32_t index) {
  found f = { .inside_count = 0 };
  bool reverse, plain = false;
  if (!tb_dtype_real(tb_matched(m, index)->dtype) || !find_weights(m, index, &f) || !find_readers(m, &f, &reverse))
    return TB_OK;
  put_inside(&f, index);
  take_scale(m, reverse, &f);
  const uint32_t reads[] = { f.q, f.k, f.v, f.bias };
  for (int k = 0; k < 4; k++) /* a unit needs all that it reads before the first that it yields */
    if (reads[k] != TB_NO_BUFFER &&
        (reads[k] > f.out || (reverse && (reads[k] > f.v_bar || reads[k] > f.q_bar || reads[k] > f.k_bar))))
      return TB_OK;
  attend shared = { .scale = f.scale };
  for (int k = 0; k < TB_ATTENTION_ARRAYS; k++)
    shared.nodes[k] = TB_NO_BUFFER;
  tb_status status = TB_OK;
  if (f.bias != TB_NO_BUFFER) {
    const tb_node *constant = constant_bias(m, f.bias);
    if (constant)
      status = read_bias(m->p, constant, &shared.seen, &plain);
  }
  shared.nodes[TB_ATTENTION_Q] = f.q;
  shared.nodes[TB_ATTENTION_K] = f.k;
  shared.nodes[TB_ATTENTION_V] = f.v;
  shared.nodes[TB_ATTENTION_BIAS] = plain ? TB_NO_BUFFER : f.bias;
  if (status == TB_OK)
    status = claim(m, &f, &shared, false);
  return status == TB_OK && reverse ? claim(m, &f, &shared, true) : status;
}

/* Layer norm in a graph, as models write it and reverse mode leaves it:
 *
 *   c = x − mean(x),  r = 1/√(mean(c²) + ε),  x̂ = c r,  y = x̂ gain + shift
 *   g = ȳ gain,  d = r g + (mean of Σ c g (−r²)(r/2)) 2c,  x̄ = d − mean(d);  gain̄ = Σ ȳ x̂,  shift̄ = Σ ȳ over rows
 *
 * and where x is read by others too, what reaches it from there is added to d before the mean is taken off.
 *
 * Reverse is found from the readers of c and of r, one known node after the other. */
#include "engine/patterns.h"

#include <string.h>

typedef struct found {
  uint32_t x, centred, inverse, spread, scaled; /* x, c, r, r stretched, x̂ */
  uint32_t gain, shift, bar, rest;              /* rest: added to x̄, or TB_NO_BUFFER */
  uint32_t out, x_bar, gain_bar, shift_bar;
  double epsilon;
  uint32_t last; /* axis */
  size_t cols;
  uint32_t inside[48], inside_count;
  bool fits;
} found;

/* What must be inside: read by so many, all of them known. */
static void inside(const tb_matcher *m, found *f, uint32_t index, uint32_t readers) {
  f->fits = f->fits && index != TB_NO_BUFFER && tb_only_inside(m, index, readers);
  if (f->fits)
    f->inside[f->inside_count++] = index;
}

static bool is_unary(const tb_node *node, tb_unary kind) {
  return node->op == TB_OP_UNARY && node->attributes.kind == (uint32_t)kind && node->attributes.order == 0;
}

static bool sums_last(const tb_node *node, uint32_t last) {
  return node->op == TB_OP_REDUCE && node->attributes.kind == TB_SUM && node->attributes.axes == 1u << last;
}

/* The operand of 1/n times it, or of it over n; TB_NO_BUFFER where the node is neither. */
static uint32_t divided(const tb_matcher *m, uint32_t index, double n) {
  const tb_node *node = tb_matched(m, index);
  if (node->op == TB_OP_SCALE && node->attributes.value == 1 / n)
    return node->operands[0];
  if (tb_is_binary(node, TB_DIVIDE)) {
    const tb_node *by = tb_matched(m, node->operands[1]);
    if (by->op == TB_OP_FILL && by->attributes.value == n)
      return node->operands[0];
  }
  return TB_NO_BUFFER;
}

/* ---- down: forward from 1/√ ---- */

/* The value whose mean over the last axis a node is. */
static uint32_t mean_of(const tb_matcher *m, found *f, uint32_t index) {
  inside(m, f, index, 1);
  uint32_t sum = f->fits ? divided(m, index, (double)f->cols) : TB_NO_BUFFER;
  inside(m, f, sum, 1);
  if (f->fits && tb_matched(m, sum)->op == TB_OP_RESHAPE) {
    sum = tb_matched(m, sum)->operands[0];
    inside(m, f, sum, 1);
  }
  f->fits = f->fits && sums_last(tb_matched(m, sum), f->last);
  return f->fits ? tb_matched(m, sum)->operands[0] : TB_NO_BUFFER;
}

/* From r = 1/√(…) down to x. */
static void find_rows(const tb_matcher *m, found *f) {
  const tb_node *inverse = tb_matched(m, f->inverse);
  const uint32_t root = inverse->operands[0];
  f->fits = is_unary(inverse, TB_RECIPROCAL) && tb_dtype_real(inverse->dtype) && inverse->rank >= 2 &&
            is_unary(tb_matched(m, root), TB_SQRT) && inverse->elements > 0;
  const uint32_t shifted = f->fits ? tb_matched(m, root)->operands[0] : TB_NO_BUFFER;
  f->fits = f->fits && tb_matched(m, shifted)->op == TB_OP_SHIFT;
  if (!f->fits)
    return;
  f->epsilon = tb_matched(m, shifted)->attributes.value;
  f->last = inverse->rank - 1;
  inside(m, f, root, 1);
  inside(m, f, shifted, 1);
  /* the number of columns: of what is summed */
  uint32_t sum = tb_matched(m, tb_matched(m, shifted)->operands[0])->operand_count
                     ? tb_matched(m, tb_matched(m, shifted)->operands[0])->operands[0]
                     : shifted;
  if (tb_matched(m, sum)->op == TB_OP_RESHAPE)
    sum = tb_matched(m, sum)->operands[0];
  f->fits = f->fits && sums_last(tb_matched(m, sum), f->last);
  if (!f->fits)
    return;
  f->cols = tb_node_operand(m->p->graph, tb_matched(m, sum), 0)->dims[f->last];
  const uint32_t square = mean_of(m, f, tb_matched(m, shifted)->operands[0]);
  inside(m, f, square, 1);
  f->fits = f->fits && is_unary(tb_matched(m, square), TB_SQUARE);
  f->centred = f->fits ? tb_matched(m, square)->operands[0] : TB_NO_BUFFER;
  f->fits = f->fits && tb_is_binary(tb_matched(m, f->centred), TB_SUBTRACT);
  if (!f->fits)
    return;
  const uint32_t mean = tb_matched(m, f->centred)->operands[1];
  f->x = tb_matched(m, f->centred)->operands[0];
  inside(m, f, mean, 1);
  f->fits = f->fits && tb_matched(m, mean)->op == TB_OP_BROADCAST;
  f->fits = f->fits && mean_of(m, f, tb_matched(m, mean)->operands[0]) == f->x;
}

/* ---- up: readers ---- */

/* The first reader of this operation; of a binary one with this other operand (TB_NO_BUFFER: any, but `a` itself). */
static uint32_t reader_of(const tb_matcher *m, const found *f, uint32_t a, tb_op op, uint32_t kind, uint32_t other) {
  for (uint32_t k = 0; f->fits && a != TB_NO_BUFFER && k < tb_reader_count(m, a); k++) {
    const uint32_t reader = tb_reader(m, a, k);
    const tb_node *node = tb_matched(m, reader);
    if (node->op != op || ((op == TB_OP_UNARY || op == TB_OP_BINARY) && node->attributes.kind != kind))
      continue;
    if (op == TB_OP_BINARY && other != TB_NO_BUFFER && node->operands[node->operands[0] == a] != other)
      continue;
    return reader;
  }
  return TB_NO_BUFFER;
}

static uint32_t other_operand(const tb_matcher *m, uint32_t node, uint32_t a) {
  const tb_node *n = tb_matched(m, node);
  return n->operands[n->operands[0] == a];
}

static uint32_t times(const tb_matcher *m, const found *f, uint32_t a, uint32_t b) {
  return reader_of(m, f, a, TB_OP_BINARY, TB_MULTIPLY, b);
}

static uint32_t scaled_by(const tb_matcher *m, const found *f, uint32_t a, double value) {
  for (uint32_t k = 0; f->fits && a != TB_NO_BUFFER && k < tb_reader_count(m, a); k++) {
    const tb_node *node = tb_matched(m, tb_reader(m, a, k));
    if (node->op == TB_OP_SCALE && node->attributes.value == value)
      return tb_reader(m, a, k);
  }
  return TB_NO_BUFFER;
}

/* Σ over the last axis of what only it reads, with a reshape that gives the axis back. */
static uint32_t summed(const tb_matcher *m, found *f, uint32_t a) {
  uint32_t sum = reader_of(m, f, a, TB_OP_REDUCE, 0, TB_NO_BUFFER);
  f->fits = f->fits && sum != TB_NO_BUFFER && sums_last(tb_matched(m, sum), f->last);
  if (f->fits && tb_reader_count(m, sum) == 1 && tb_matched(m, tb_reader(m, sum, 0))->op == TB_OP_RESHAPE) {
    inside(m, f, sum, 1);
    sum = tb_reader(m, sum, 0);
  }
  return sum;
}

/* a/n, stretched over the columns */
static uint32_t mean_spread(const tb_matcher *m, found *f, uint32_t a) {
  inside(m, f, a, 1);
  const uint32_t mean = f->fits ? tb_reader(m, a, 0) : TB_NO_BUFFER;
  f->fits = f->fits && divided(m, mean, (double)f->cols) == a;
  inside(m, f, mean, 1);
  const uint32_t spread = f->fits ? tb_reader(m, mean, 0) : TB_NO_BUFFER;
  inside(m, f, spread, 1);
  f->fits = f->fits && tb_matched(m, spread)->op == TB_OP_BROADCAST;
  return spread;
}

/* x̂, gain, shift, y */
static void find_out(const tb_matcher *m, found *f) {
  f->spread = reader_of(m, f, f->inverse, TB_OP_BROADCAST, 0, TB_NO_BUFFER);
  f->scaled = times(m, f, f->centred, f->spread);
  f->fits = f->fits && f->spread != TB_NO_BUFFER && f->scaled != TB_NO_BUFFER;
  uint32_t times_gain = TB_NO_BUFFER;
  for (uint32_t k = 0; f->fits && k < tb_reader_count(m, f->scaled); k++) {
    const uint32_t reader = tb_reader(m, f->scaled, k);
    if (tb_is_binary(tb_matched(m, reader), TB_MULTIPLY) &&
        tb_matched(m, other_operand(m, reader, f->scaled))->op == TB_OP_BROADCAST)
      times_gain = reader;
  }
  inside(m, f, times_gain, 1);
  if (!f->fits)
    return;
  f->gain = other_operand(m, times_gain, f->scaled);
  f->out = tb_reader(m, times_gain, 0);
  f->fits = tb_is_binary(tb_matched(m, f->out), TB_ADD);
  f->shift = f->fits ? other_operand(m, f->out, times_gain) : TB_NO_BUFFER;
  f->fits = f->fits && tb_matched(m, f->shift)->op == TB_OP_BROADCAST;
}

/* A broadcast of one row for each matrix. */
static bool repeats_rows(const tb_matcher *m, uint32_t index) {
  const tb_node *node = tb_matched(m, index), *from = tb_matched(m, node->operands[0]);
  return from->dims[from->rank - 1] == node->dims[node->rank - 1] &&
         (from->rank < 2 || from->dims[from->rank - 2] == 1) && from->rank > 0;
}

static bool sums_rows(const tb_node *node, uint32_t last) {
  return node->op == TB_OP_REDUCE && node->attributes.kind == TB_SUM && node->attributes.axes == 1u << (last - 1);
}

static void find_reverse(const tb_matcher *m, found *f) {
  /* r g and g */
  uint32_t scaled_g = TB_NO_BUFFER;
  for (uint32_t k = 0; k < tb_reader_count(m, f->spread); k++)
    if (tb_reader(m, f->spread, k) != f->scaled)
      scaled_g = tb_reader(m, f->spread, k);
  f->fits = f->fits && scaled_g != TB_NO_BUFFER && tb_is_binary(tb_matched(m, scaled_g), TB_MULTIPLY);
  if (!f->fits)
    return;
  const uint32_t g = other_operand(m, scaled_g, f->spread);
  f->fits = tb_is_binary(tb_matched(m, g), TB_MULTIPLY) &&
            (tb_matched(m, g)->operands[0] == f->gain || tb_matched(m, g)->operands[1] == f->gain);
  if (!f->fits)
    return;
  f->bar = other_operand(m, g, f->gain);
  inside(m, f, g, 2);
  inside(m, f, scaled_g, 1);
  /* Σ c g (−r²)(r/2)/n, stretched, times 2c */
  const uint32_t moment = times(m, f, f->centred, g);
  inside(m, f, moment, 1);
  const uint32_t sum = summed(m, f, moment), square = reader_of(m, f, f->inverse, TB_OP_UNARY, TB_SQUARE, TB_NO_BUFFER);
  inside(m, f, sum, 1);
  inside(m, f, square, 1);
  const uint32_t minus = scaled_by(m, f, square, -1), half = scaled_by(m, f, f->inverse, 0.5);
  inside(m, f, minus, 1);
  inside(m, f, half, 1);
  const uint32_t first = times(m, f, sum, minus);
  inside(m, f, first, 1);
  const uint32_t slope = mean_spread(m, f, times(m, f, first, half)), twice = scaled_by(m, f, f->centred, 2);
  inside(m, f, twice, 1);
  const uint32_t through = times(m, f, slope, twice);
  inside(m, f, through, 1);
  /* d and d − mean(d) */
  const uint32_t d = reader_of(m, f, scaled_g, TB_OP_BINARY, TB_ADD, through);
  inside(m, f, d, 2);
  const uint32_t negative = scaled_by(m, f, d, -1);
  inside(m, f, negative, 1);
  const uint32_t mean = mean_spread(m, f, summed(m, f, negative));
  f->x_bar = reader_of(m, f, d, TB_OP_BINARY, TB_ADD, mean);
  if (f->fits && f->x_bar == TB_NO_BUFFER) { /* (d + what reaches x another way) − mean(d) */
    const uint32_t both = reader_of(m, f, d, TB_OP_BINARY, TB_ADD, TB_NO_BUFFER);
    inside(m, f, both, 1);
    f->rest = f->fits ? other_operand(m, both, d) : TB_NO_BUFFER;
    f->x_bar = reader_of(m, f, both, TB_OP_BINARY, TB_ADD, mean);
  }
  f->fits = f->fits && f->x_bar != TB_NO_BUFFER;
  /* sums over rows, where they are wanted */
  const uint32_t with_bar = times(m, f, f->scaled, f->bar);
  if (f->fits && with_bar != TB_NO_BUFFER) {
    inside(m, f, with_bar, 1);
    f->gain_bar = f->fits ? tb_reader(m, with_bar, 0) : TB_NO_BUFFER;
    f->fits = f->fits && sums_rows(tb_matched(m, f->gain_bar), f->last);
  }
  for (uint32_t k = 0; f->fits && k < tb_reader_count(m, f->bar); k++)
    if (sums_rows(tb_matched(m, tb_reader(m, f->bar, k)), f->last) && !m->p->pattern_of[tb_reader(m, f->bar, k)])
      f->shift_bar = tb_reader(m, f->bar, k);
}

/* ---- the pattern ---- */

typedef struct norm {
  double epsilon;
  bool reverse;
  uint32_t nodes[TB_NORM_ARRAYS]; /* or TB_NO_BUFFER */
} norm;

static tb_status lower_norm(tb_planner *p, const tb_pattern *pattern) {
  const norm *n = pattern->detail;
  const tb_node *x = p->graph->nodes[n->nodes[TB_NORM_X]];
  const size_t size = tb_dtype_size(x->dtype);
  const uint32_t r = x->rank;
  tb_normalise *d = tb_arena_allocate(p->arena, 1, sizeof *d);
  if (!d)
    return TB_NO_MEMORY;
  d->kernel = p->kernels[x->dtype]->norm;
  d->reverse = n->reverse;
  d->batch = r > 2 ? x->dims[0] : 1;
  d->shape = (tb_layer_norm){ .rows = x->dims[r - 2], .cols = x->dims[r - 1], .epsilon = n->epsilon };
  size_t unused;
  size_t *const ld[TB_NORM_ARRAYS] = {
    [TB_NORM_X] = &d->shape.ld_x,         [TB_NORM_GAIN] = &unused,           [TB_NORM_SHIFT] = &unused,
    [TB_NORM_BAR] = &d->shape.ld_bar,     [TB_NORM_REST] = &d->shape.ld_rest, [TB_NORM_OUT] = &d->shape.ld_out,
    [TB_NORM_X_BAR] = &d->shape.ld_x_bar, [TB_NORM_GAIN_BAR] = &unused,       [TB_NORM_SHIFT_BAR] = &unused
  };
  tb_view views[TB_NORM_ARRAYS];
  tb_status status = TB_OK;
  for (int k = 0; k < TB_NORM_ARRAYS && status == TB_OK; k++) {
    d->wanted[k] = n->nodes[k] != TB_NO_BUFFER;
    if (d->wanted[k])
      status = k < TB_NORM_OUT ? tb_rows_view(p, n->nodes[k], &views[k]) : tb_view_make_rows(p, n->nodes[k], &views[k]);
  }
  for (int k = 0; k < TB_NORM_ARRAYS && status == TB_OK; k++)
    if (d->wanted[k]) {
      const bool summed = k == TB_NORM_GAIN_BAR || k == TB_NORM_SHIFT_BAR; /* [batch, cols] */
      *ld[k] = summed ? 0 : views[k].strides[r - 2];
      d->strides[k] = d->batch > 1 ? views[k].strides[0] * size : 0;
      status = tb_touch(p, &views[k], size, k >= TB_NORM_OUT, &d->at[k]);
    }
  if (status == TB_OK)
    status = tb_touch_scratch(p, d->kernel->scratch(&d->shape, d->reverse) * size, &d->scratch);
  return status == TB_OK ? tb_emit(p, tb_run_norm, d, d->reverse ? "norm, reverse" : "norm",
                                   pattern->yields[pattern->yield_count - 1])
                         : status;
}

static tb_status claim(tb_matcher *m, const found *f, bool reverse) {
  norm *n = tb_arena_allocate(m->p->scratch, 1, sizeof *n);
  tb_pattern pattern = { .lower = lower_norm, .detail = n };
  if (!n)
    return TB_NO_MEMORY;
  *n = (norm){ .epsilon = f->epsilon, .reverse = reverse };
  const uint32_t nodes[TB_NORM_ARRAYS] = { f->x,
                                           f->gain,
                                           reverse ? TB_NO_BUFFER : f->shift,
                                           reverse ? f->bar : TB_NO_BUFFER,
                                           reverse ? f->rest : TB_NO_BUFFER,
                                           reverse ? TB_NO_BUFFER : f->out,
                                           reverse ? f->x_bar : TB_NO_BUFFER,
                                           reverse ? f->gain_bar : TB_NO_BUFFER,
                                           reverse ? f->shift_bar : TB_NO_BUFFER };
  memcpy(n->nodes, nodes, sizeof nodes);
  tb_pattern_nodes(&pattern, TB_NORM_OUT, nodes, TB_NORM_ARRAYS - TB_NORM_OUT, nodes + TB_NORM_OUT);
  return tb_claim(m, &pattern, f->inside_count, f->inside);
}

/* Everything that the units read is built before what they yield. */
static bool in_order(const found *f, bool reverse) {
  const uint32_t yields[] = { f->x_bar, f->gain_bar, f->shift_bar };
  uint32_t first = UINT32_MAX; /* TB_NO_BUFFER is larger than any node */
  for (int k = 0; k < 3; k++)
    first = yields[k] < first ? yields[k] : first;
  return f->x < f->out && f->gain < f->out && f->shift < f->out &&
         (!reverse ||
          (f->x < first && f->gain < first && f->bar < first && (f->rest == TB_NO_BUFFER || f->rest < first)));
}

tb_status tb_match_norm(tb_matcher *m, uint32_t index) {
  found f = { .inverse = index,
              .bar = TB_NO_BUFFER,
              .rest = TB_NO_BUFFER,
              .x_bar = TB_NO_BUFFER,
              .gain_bar = TB_NO_BUFFER,
              .shift_bar = TB_NO_BUFFER };
  if (!is_unary(tb_matched(m, index), TB_RECIPROCAL))
    return TB_OK;
  find_rows(m, &f);
  find_out(m, &f);
  if (!f.fits || tb_matched(m, f.x)->rank > 3)
    return TB_OK;
  const bool reverse = tb_reader_count(m, f.spread) == 2;
  if (reverse)
    find_reverse(m, &f);
  inside(m, &f, f.centred, reverse ? 4 : 2);
  inside(m, &f, f.inverse, reverse ? 3 : 1);
  inside(m, &f, f.spread, reverse ? 2 : 1);
  inside(m, &f, f.scaled, f.gain_bar == TB_NO_BUFFER ? 1 : 2);
  if (!f.fits || !repeats_rows(m, f.gain) || !repeats_rows(m, f.shift) || !in_order(&f, reverse))
    return TB_OK;
  tb_status status = claim(m, &f, false);
  return status == TB_OK && reverse ? claim(m, &f, true) : status;
}

/* A pointwise group becomes one program: steps on tiles that stay in the first cache.
 *
 * Axes that run on in every operand are merged; what is left is [outer…, rows, cols].  Operands are lanes: vectors, or
 * scalars of their row (bias columns, numbers).  A product that only a sum or difference reads becomes a fused
 * multiply-add; a function and its derivative of the same argument become one step, and so does an update by Adam.
 * Values that leave the group are written where they belong, the others to temporary blocks that are used again as soon
 * as they are free. */
#include "engine/naive.h"
#include "engine/plan.h"

#include <string.h>

enum { NO_LANE = UINT16_MAX, MOST_MERGED = TB_MAX_RANK };

typedef struct value { /* of a node as this group sees it */
  uint32_t node;
  uint16_t lane;
  uint16_t reads;    /* by steps to come: of a temporary, until its block is free */
  uint32_t inside;   /* readers in the group */
  bool member, done; /* computed here; computed already */
  bool scalar;       /* of its row */
} value;

typedef struct fuser {
  tb_planner *p;
  const tb_unit *unit;
  const tb_kernels *kernels;
  size_t element;
  value *values;
  uint32_t value_count;
  uint32_t *slot; /* [nodes]: value of a node + 1; shared between groups, cleared after each */
  /* iteration space */
  uint32_t rank;
  size_t dims[TB_MAX_RANK];
  tb_view *views; /* [values]: strides along the merged axes */
  tb_pointwise *program;
  tb_lane *lanes;
  tb_step *steps;
  uint16_t free_lanes[64]; /* temporaries free again */
  uint32_t free_count;
  uint16_t *last_read, *stored; /* [lanes]: steps + 1 */
} fuser;

static const tb_node *node_of(const fuser *f, uint32_t index) {
  return f->p->graph->nodes[index];
}

/* ---- values ---- */

static value *value_of(fuser *f, uint32_t node) {
  return &f->values[f->slot[node] - 1];
}

static void add_value(fuser *f, uint32_t node, bool member) {
  if (f->slot[node])
    return;
  f->values[f->value_count++] = (value){ .node = node, .lane = NO_LANE, .member = member };
  f->slot[node] = f->value_count;
}

static void collect(fuser *f) {
  for (uint32_t m = 0; m < f->unit->count; m++)
    add_value(f, f->unit->members[m], true);
  for (uint32_t m = 0; m < f->unit->count; m++) {
    const tb_node *node = node_of(f, f->unit->members[m]);
    for (uint32_t k = 0; k < node->operand_count; k++) {
      add_value(f, node->operands[k], false);
      value_of(f, node->operands[k])->inside++;
    }
  }
}

static bool leaves(const fuser *f, const value *v) {
  return f->p->is_output[v->node] || v->inside < f->p->uses[v->node];
}

/* ---- the iteration space ---- */

/* Views of everything that is not a temporary, along the axes of the first member that are not of length 1. */
static tb_status find_views(fuser *f) {
  const tb_node *shape = node_of(f, f->unit->members[0]);
  for (uint32_t i = 0; i < shape->rank; i++)
    if (shape->dims[i] != 1)
      f->dims[f->rank++] = shape->dims[i];
  tb_status status = TB_OK;
  for (uint32_t v = 0; v < f->value_count && status == TB_OK; v++) {
    value *x = &f->values[v];
    const tb_node *node = node_of(f, x->node);
    tb_view view = { .buffer = TB_NO_BUFFER };
    if (x->member && !leaves(f, x))
      continue;
    status = x->member ? tb_view_make_rows(f->p, x->node, &view) : tb_view_of(f->p, x->node, &view);
    uint32_t axis = 0, last = TB_MAX_RANK;
    for (uint32_t i = 0; i < node->rank; i++)
      last = node->dims[i] != 1 ? i : last;
    if (status == TB_OK && !x->member && last < TB_MAX_RANK && view.strides[last] > 1)
      status = tb_contiguous_view(f->p, x->node, &view);
    if (!x->member)
      x->scalar = last == TB_MAX_RANK || view.strides[last] == 0;
    tb_view squeezed = { .buffer = view.buffer, .offset = view.offset };
    for (uint32_t i = 0; i < node->rank; i++)
      if (node->dims[i] != 1)
        squeezed.strides[axis++] = view.strides[i];
    f->views[v] = squeezed;
  }
  return status;
}

/* Merges axes that run on in every lane. */
static void merge_axes(fuser *f) {
  uint32_t rank = 0;
  for (uint32_t i = 0; i < f->rank; i++) {
    bool run_on = rank > 0;
    for (uint32_t v = 0; v < f->value_count && run_on; v++)
      run_on =
          f->views[v].buffer == TB_NO_BUFFER || f->views[v].strides[rank - 1] == f->views[v].strides[i] * f->dims[i];
    if (!run_on)
      rank++;
    f->dims[rank - 1] = run_on ? f->dims[rank - 1] * f->dims[i] : f->dims[i];
    for (uint32_t v = 0; v < f->value_count; v++)
      f->views[v].strides[rank - 1] = f->views[v].strides[i];
  }
  f->rank = rank;
}

static void make_tiles(fuser *f) {
  tb_pointwise *g = f->program;
  const size_t tile = TB_TILE_BYTES / f->element;
  g->element = f->element;
  g->cols = f->rank ? f->dims[f->rank - 1] : 1;
  g->rows = f->rank > 1 ? f->dims[f->rank - 2] : 1;
  g->outer_total = 1;
  for (uint32_t i = 0; i + 2 < f->rank; i++) {
    g->outer_dims[g->outer_count++] = f->dims[i];
    g->outer_total *= f->dims[i];
  }
  g->tile_cols = g->cols < tile ? g->cols : tile;
  g->tile_rows = g->cols < tile ? tile / g->cols : 1;
  g->tile_rows = g->tile_rows < g->rows ? g->tile_rows : g->rows;
}

/* ---- lanes ---- */

static uint16_t new_lane(fuser *f) {
  return (uint16_t)f->program->lane_count++;
}

static uint16_t temporary(fuser *f) {
  if (f->free_count)
    return f->free_lanes[--f->free_count];
  const uint16_t lane = new_lane(f);
  f->lanes[lane] = (tb_lane){ .temporary = true, .row = f->program->tile_cols, .col = 1 };
  return lane;
}

static void release(fuser *f, value *v) {
  if (v->reads && --v->reads == 0 && v->lane != NO_LANE && f->lanes[v->lane].temporary &&
      f->free_count < sizeof f->free_lanes / sizeof f->free_lanes[0])
    f->free_lanes[f->free_count++] = v->lane;
}

/* The lane of a value that lies in a buffer. */
static uint16_t lane_of_view(fuser *f, uint32_t v) {
  const tb_view *view = &f->views[v];
  const uint16_t index = new_lane(f);
  tb_lane *lane = &f->lanes[index];
  *lane = (tb_lane){ .col = f->rank ? view->strides[f->rank - 1] : 0 };
  lane->row = f->rank > 1 ? view->strides[f->rank - 2] : 0;
  if (f->values[v].member && f->rank == 0)
    lane->col = 1;
  for (uint32_t i = 0; i + 2 < f->rank; i++)
    lane->outer[i] = view->strides[i];
  return index;
}

static uint16_t destination(fuser *f, value *v) {
  const uint32_t index = (uint32_t)(v - f->values);
  v->lane = f->views[index].buffer != TB_NO_BUFFER ? lane_of_view(f, index) : temporary(f);
  v->done = true;
  return v->lane;
}

/* ---- steps ---- */

static void note_read(fuser *f, uint16_t lane) {
  f->last_read[lane] = (uint16_t)(f->program->step_count + 1);
}

static void note_read_by_last(fuser *f, uint16_t lane) {
  f->last_read[lane] = (uint16_t)f->program->step_count;
}

static bool runs_on(const fuser *f, uint16_t lane, bool scalar) {
  if (lane == NO_LANE || f->program->rows == 1)
    return true;
  const tb_lane *l = &f->lanes[lane];
  return scalar ? l->row == 0 && l->col == 0
                : l->row == f->program->tile_cols && f->program->tile_cols == f->program->cols;
}

static void add_step(fuser *f, tb_step step, bool a_scalar, bool b_scalar) {
  step.flat = runs_on(f, step.out, false) && runs_on(f, step.out1, false) && runs_on(f, step.a, a_scalar) &&
              runs_on(f, step.b, b_scalar) && runs_on(f, step.c, false);
  f->stored[step.out] = (uint16_t)(f->program->step_count + 1);
  if (step.out1 != NO_LANE)
    f->stored[step.out1] = (uint16_t)(f->program->step_count + 1);
  const uint16_t reads[3] = { step.a, step.b, step.c };
  for (int i = 0; i < 3; i++)
    if (reads[i] != NO_LANE)
      note_read(f, reads[i]);
  f->steps[f->program->step_count++] = step;
}

static uint16_t operand(fuser *f, value *v) {
  if (v->lane == NO_LANE)
    v->lane = lane_of_view(f, (uint32_t)(v - f->values));
  return v->lane;
}

/* An operand as a vector: a row scalar is spread into a temporary first. */
static uint16_t vector(fuser *f, value *v, uint16_t *spread) {
  const uint16_t lane = operand(f, v);
  *spread = NO_LANE;
  if (!v->scalar)
    return lane;
  *spread = temporary(f);
  add_step(f,
           (tb_step){ .kind = TB_STEP_UNARY,
                      .out = *spread,
                      .out1 = NO_LANE,
                      .a = lane,
                      .b = NO_LANE,
                      .c = NO_LANE,
                      .f.unary = f->kernels->pointwise->spread,
                      .name = "spread" },
           true, false);
  return *spread;
}

static void give_back(fuser *f, uint16_t spread) {
  if (spread != NO_LANE && f->free_count < sizeof f->free_lanes / sizeof f->free_lanes[0])
    f->free_lanes[f->free_count++] = spread;
}

/* A number as a lane: a constant of the program. */
static tb_status number(fuser *f, double x, uint16_t *index) {
  double wide = 0;
  uint32_t buffer;
  tb_put(f->element == 8 ? TB_FLOAT64 : TB_FLOAT32, &wide, 0, x);
  tb_status status = tb_constant_bytes(f->p, &wide, f->element, &buffer);
  if (status != TB_OK)
    return status;
  *index = new_lane(f);
  f->lanes[*index] = (tb_lane){ .col = 0 };
  const tb_view view = { .buffer = buffer };
  return tb_touch(f->p, &view, f->element, false, &f->lanes[*index].at);
}

/* The kernel for a function and another one, most often its derivative, of the same argument. */
static tb_kernel_pair *pair_of(const tb_kernel_math *math, const tb_node *first, const tb_node *second) {
  const uint32_t kind = first->attributes.kind, order = first->attributes.order;
  const uint32_t other = second->attributes.kind, other_order = second->attributes.order;
  if ((other == kind && other_order == order + 1) || (kind == TB_SOFTPLUS && other == TB_SIGMOID && other_order == 0))
    return order == 0 ? math->pair[kind] : order == 1 ? math->pair2[kind] : NULL;
  return NULL;
}

static tb_status step_unary(fuser *f, value *v) {
  const tb_node *node = node_of(f, v->node);
  const tb_kernel_math *math = f->kernels->math;
  value *a = value_of(f, node->operands[0]);
  const uint32_t kind = node->attributes.kind, order = node->attributes.order;
  uint16_t spread;
  tb_step step = {
    .kind = TB_STEP_UNARY, .out1 = NO_LANE, .b = NO_LANE, .c = NO_LANE, .name = tb_unary_name((tb_unary)kind)
  };
  step.a = vector(f, a, &spread);
  release(f, a);
  value *first = v, *second = NULL;
  for (uint32_t m = 0; m < f->unit->count && !a->scalar && !second; m++) { /* a sibling that shares the work? */
    value *other = value_of(f, f->unit->members[m]);
    const tb_node *n = node_of(f, other->node);
    if (other->done || other == v || n->op != TB_OP_UNARY || n->operands[0] != node->operands[0])
      continue;
    step.f.pair = pair_of(math, node, n);
    if (step.f.pair)
      second = other;
    else if ((step.f.pair = pair_of(math, n, node))) {
      first = other;
      second = v;
    }
  }
  if (second) {
    release(f, a);
    step.kind = TB_STEP_PAIR;
  } else if (kind == TB_SQUARE && order == 0) { /* products take short rows as they are */
    step.kind = TB_STEP_BINARY;
    step.b = step.a;
    step.f.binary = f->kernels->pointwise->binary[TB_MULTIPLY][TB_VV];
  } else {
    step.f.unary = math->unary[kind][order];
  }
  step.out = destination(f, first);
  if (second)
    step.out1 = destination(f, second);
  add_step(f, step, false, false);
  give_back(f, spread);
  return TB_OK;
}

static tb_status step_binary(fuser *f, value *v, tb_binary kind, value *a, value *b) {
  uint16_t spread = NO_LANE;
  tb_step step = { .kind = TB_STEP_BINARY, .out1 = NO_LANE, .c = NO_LANE, .name = tb_binary_name(kind) };
  const bool both = a->scalar && b->scalar;
  step.a = both ? vector(f, a, &spread) : operand(f, a);
  step.b = operand(f, b);
  const int form = b->scalar ? TB_VS : a->scalar ? TB_SV : TB_VV;
  step.f.binary = f->kernels->pointwise->binary[kind][form];
  release(f, a);
  release(f, b);
  step.out = destination(f, v);
  add_step(f, step, form == TB_SV, form == TB_VS);
  give_back(f, spread);
  return TB_OK;
}

/* a ∘ number */
static tb_status step_number(fuser *f, value *v, tb_kernel_binary *kernel, const char *name, double x) {
  value *a = value_of(f, node_of(f, v->node)->operands[0]);
  uint16_t spread;
  tb_step step = { .kind = TB_STEP_BINARY, .out1 = NO_LANE, .c = NO_LANE, .f.binary = kernel, .name = name };
  step.a = vector(f, a, &spread);
  tb_status status = number(f, x, &step.b);
  release(f, a);
  step.out = destination(f, v);
  add_step(f, step, false, true);
  give_back(f, spread);
  return status;
}

static tb_status step_select(fuser *f, value *v) {
  const tb_node *node = node_of(f, v->node);
  uint16_t spread[3];
  value *x[3];
  tb_step step = {
    .kind = TB_STEP_TERNARY, .out1 = NO_LANE, .f.ternary = f->kernels->pointwise->select, .name = "select"
  };
  for (int k = 0; k < 3; k++)
    x[k] = value_of(f, node->operands[k]);
  step.a = vector(f, x[0], &spread[0]);
  step.b = vector(f, x[1], &spread[1]);
  step.c = vector(f, x[2], &spread[2]);
  for (int k = 0; k < 3; k++)
    release(f, x[k]);
  step.out = destination(f, v);
  add_step(f, step, false, false);
  for (int k = 0; k < 3; k++)
    give_back(f, spread[k]);
  return TB_OK;
}

/* ---- steps of Adam ---- */

typedef struct adam {
  value *in[TB_ADAM_VECTORS], *out[TB_ADAM_OUTPUTS], *scalars[TB_ADAM_SCALARS], *inside[16];
  uint32_t inside_count;
  double numbers[TB_ADAM_NUMBERS];
  bool fits;
} adam;

/* The value, which must be a member of this operation that is read once, or of any readers where it leaves the group.
 */
static const tb_node *member(const fuser *f, adam *a, value *v, tb_op op, uint32_t kind, bool leaving) {
  const tb_node *node = node_of(f, v->node);
  a->fits = a->fits && v->member && !v->done && node->op == op &&
            ((op != TB_OP_BINARY && op != TB_OP_UNARY) || node->attributes.kind == kind) &&
            (op != TB_OP_UNARY || node->attributes.order == 0) &&
            (leaving ? v->inside <= 1 : v->inside == 1 && !leaves(f, v));
  if (a->fits && a->inside_count < sizeof a->inside / sizeof *a->inside)
    a->inside[a->inside_count++] = v;
  return node;
}

/* x·(scalar of its row): the vector; the scalar in *scalar. */
static value *times_scalar(fuser *f, adam *a, value *v, value **scalar) {
  const tb_node *node = member(f, a, v, TB_OP_BINARY, TB_MULTIPLY, false);
  if (!a->fits)
    return v;
  value *x = value_of(f, node->operands[0]), *y = value_of(f, node->operands[1]);
  *scalar = x->scalar ? x : y;
  a->fits = x->scalar != y->scalar && !(*scalar)->member;
  return x->scalar ? y : x;
}

/* β·old + (1 − β)·new: old; new and the numbers. */
static value *moving_average(fuser *f, adam *a, value *v, bool squared, value **slope, double *numbers) {
  const tb_node *sum = member(f, a, v, TB_OP_BINARY, TB_ADD, true);
  for (int side = 0; a->fits && side < 2; side++) {
    adam trial = *a;
    value *x = value_of(f, sum->operands[side]), *y = value_of(f, sum->operands[!side]);
    const tb_node *old = member(f, &trial, x, TB_OP_SCALE, 0, false);
    const tb_node *new = member(f, &trial, y, TB_OP_SCALE, 0, false);
    if (!trial.fits)
      continue;
    value *term = value_of(f, new->operands[0]);
    const tb_node *square = squared ? member(f, &trial, term, TB_OP_UNARY, TB_SQUARE, false) : NULL;
    value *from = trial.fits && square ? value_of(f, square->operands[0]) : term;
    if (!trial.fits || value_of(f, old->operands[0])->member || value_of(f, old->operands[0])->scalar ||
        (*slope && from != *slope))
      continue;
    *a = trial;
    *slope = from;
    numbers[0] = old->attributes.value;
    numbers[1] = new->attributes.value;
    return value_of(f, old->operands[0]);
  }
  a->fits = false;
  return v;
}

/* ratio + decay θ: the ratio, and the decay. */
static value *without_decay(fuser *f, adam *a, value *v) {
  const tb_node *sum = member(f, a, v, TB_OP_BINARY, TB_ADD, false);
  for (int side = 0; a->fits && side < 2; side++) {
    adam trial = *a;
    const tb_node *scale = member(f, &trial, value_of(f, sum->operands[side]), TB_OP_SCALE, 0, false);
    if (!trial.fits || value_of(f, scale->operands[0]) != a->in[TB_ADAM_THETA])
      continue;
    *a = trial;
    a->numbers[5] = scale->attributes.value;
    return value_of(f, sum->operands[!side]);
  }
  a->fits = false;
  return v;
}

/* θ' = θ − rate (c₁ m'/(√(c₂ v') + ε) + decay θ), from the difference down. */
static bool find_adam(fuser *f, value *v, adam *a) {
  *a = (adam){ .fits = true };
  if (f->kernels->dtype != node_of(f, v->node)->dtype)
    return false;
  const tb_node *difference = member(f, a, v, TB_OP_BINARY, TB_SUBTRACT, true);
  if (!a->fits)
    return false;
  a->out[TB_ADAM_THETA] = v;
  a->in[TB_ADAM_THETA] = value_of(f, difference->operands[0]);
  value *ratio = times_scalar(f, a, value_of(f, difference->operands[1]), &a->scalars[TB_ADAM_RATE]);
  if (a->fits && node_of(f, ratio->node)->op == TB_OP_BINARY && node_of(f, ratio->node)->attributes.kind == TB_ADD)
    ratio = without_decay(f, a, ratio);
  const tb_node *divide = a->fits ? member(f, a, ratio, TB_OP_BINARY, TB_DIVIDE, false) : NULL;
  if (!a->fits)
    return false;
  a->out[TB_ADAM_M] = times_scalar(f, a, value_of(f, divide->operands[0]), &a->scalars[TB_ADAM_C1]);
  const tb_node *shift = member(f, a, value_of(f, divide->operands[1]), TB_OP_SHIFT, 0, false);
  const tb_node *root = a->fits ? member(f, a, value_of(f, shift->operands[0]), TB_OP_UNARY, TB_SQRT, false) : NULL;
  if (!a->fits)
    return false;
  a->numbers[4] = shift->attributes.value;
  a->out[TB_ADAM_V] = times_scalar(f, a, value_of(f, root->operands[0]), &a->scalars[TB_ADAM_C2]);
  if (a->fits) /* this one says which is the slope */
    a->in[TB_ADAM_V] = moving_average(f, a, a->out[TB_ADAM_V], true, &a->in[TB_ADAM_G], a->numbers + 2);
  if (a->fits)
    a->in[TB_ADAM_M] = moving_average(f, a, a->out[TB_ADAM_M], false, &a->in[TB_ADAM_G], a->numbers);
  const value *theta = a->in[TB_ADAM_THETA], *slope = a->in[TB_ADAM_G];
  return a->fits && !theta->member && !theta->scalar && !slope->member && !slope->scalar;
}

/* All operands come from outside the group, so that the step may stand anywhere in it. */
static tb_status step_adam(fuser *f, adam *a) {
  tb_adam_step *lanes = tb_arena_allocate(f->p->arena, 1, sizeof *lanes);
  if (!lanes)
    return TB_NO_MEMORY;
  tb_step step = { .kind = TB_STEP_ADAM,
                   .out1 = NO_LANE,
                   .a = NO_LANE,
                   .b = NO_LANE,
                   .c = NO_LANE,
                   .f.adam = f->kernels->pointwise->adam,
                   .adam = lanes,
                   .name = "step of Adam" };
  memcpy(lanes->numbers, a->numbers, sizeof lanes->numbers);
  for (uint32_t k = 0; k < a->inside_count; k++)
    a->inside[k]->done = true;
  bool flat = true;
  for (int k = 0; k < TB_ADAM_VECTORS; k++) {
    lanes->in[k] = operand(f, a->in[k]);
    flat = flat && runs_on(f, lanes->in[k], false);
  }
  for (int k = 0; k < TB_ADAM_SCALARS; k++) {
    lanes->scalars[k] = operand(f, a->scalars[k]);
    flat = flat && runs_on(f, lanes->scalars[k], true);
  }
  for (int k = 0; k < TB_ADAM_OUTPUTS; k++) {
    lanes->out[k] = destination(f, a->out[k]);
    flat = flat && runs_on(f, lanes->out[k], false);
  }
  step.out = lanes->out[0];
  add_step(f, step, false, false);
  for (int k = 0; k < TB_ADAM_VECTORS; k++)
    note_read_by_last(f, lanes->in[k]);
  for (int k = 0; k < TB_ADAM_SCALARS; k++)
    note_read_by_last(f, lanes->scalars[k]);
  for (int k = 0; k < TB_ADAM_OUTPUTS; k++)
    f->stored[lanes->out[k]] = (uint16_t)f->program->step_count;
  f->steps[f->program->step_count - 1].flat = flat;
  return TB_OK;
}

static tb_status find_adams(fuser *f) {
  tb_status status = TB_OK;
  for (uint32_t m = 0; m < f->unit->count && status == TB_OK; m++) {
    adam a;
    value *v = value_of(f, f->unit->members[m]);
    if (node_of(f, v->node)->op == TB_OP_BINARY && find_adam(f, v, &a))
      status = step_adam(f, &a);
  }
  return status;
}

/* ---- fused multiply-adds ---- */

/* Whether a member is a product (or a scale) that only `reader` reads, so that it need not be computed by itself. */
static bool can_fuse(const fuser *f, const value *v) {
  const tb_node *node = node_of(f, v->node);
  return v->member && v->lane == NO_LANE && f->p->uses[v->node] == 1 && !f->p->is_output[v->node] &&
         (node->op == TB_OP_SCALE || (node->op == TB_OP_BINARY && node->attributes.kind == TB_MULTIPLY));
}

/* v = a·b + c, or c − a·b, the product being the operand `side` of the sum. */
static tb_status step_fused(fuser *f, value *v, int side) {
  const tb_node *node = node_of(f, v->node);
  value *product = value_of(f, node->operands[side]), *c = value_of(f, node->operands[1 - side]);
  const tb_node *inner = node_of(f, product->node);
  value *a = value_of(f, inner->operands[0]), *b = NULL;
  uint16_t spread_a, spread_c;
  tb_step step = { .kind = TB_STEP_TERNARY, .out1 = NO_LANE };
  tb_status status = TB_OK;
  bool scalar = true;
  if (inner->op == TB_OP_SCALE) {
    status = number(f, inner->attributes.value, &step.b);
  } else {
    b = value_of(f, inner->operands[1]);
    if (a->scalar && !b->scalar) {
      value *swap = a;
      a = b;
      b = swap;
    }
    scalar = b->scalar;
    step.b = operand(f, b);
  }
  step.a = vector(f, a, &spread_a);
  step.c = vector(f, c, &spread_c);
  const bool minus = node->attributes.kind == TB_SUBTRACT;
  step.f.ternary = f->kernels->pointwise->fused[minus ? TB_NEGATIVE_MULTIPLY_ADD : TB_MULTIPLY_ADD][scalar];
  step.name = minus ? "c-a*b" : "a*b+c";
  product->done = true;
  release(f, a);
  if (b)
    release(f, b);
  release(f, c);
  step.out = destination(f, v);
  add_step(f, step, false, scalar);
  give_back(f, spread_a);
  give_back(f, spread_c);
  return status;
}

/* Which operand of a sum or difference is a product to take along; −1: none. */
static int fusible_side(fuser *f, const tb_node *node) {
  if (node->op != TB_OP_BINARY || (node->attributes.kind != TB_ADD && node->attributes.kind != TB_SUBTRACT) ||
      node->operands[0] == node->operands[1])
    return -1;
  if (can_fuse(f, value_of(f, node->operands[1])))
    return 1;
  return node->attributes.kind == TB_ADD && can_fuse(f, value_of(f, node->operands[0])) ? 0 : -1;
}

static tb_status add_member(fuser *f, value *v) {
  const tb_node *node = node_of(f, v->node);
  const tb_kernel_pointwise *pointwise = f->kernels->pointwise;
  const double x = node->attributes.value;
  switch (node->op) {
  case TB_OP_UNARY:
    return step_unary(f, v);
  case TB_OP_SCALE:
    return step_number(f, v, pointwise->binary[TB_MULTIPLY][TB_VS], "scale", x);
  case TB_OP_SHIFT:
    return step_number(f, v, pointwise->binary[TB_ADD][TB_VS], "shift", x);
  case TB_OP_POWER:
    return step_number(f, v, f->kernels->math->power, "power", x);
  case TB_OP_SELECT:
    return step_select(f, v);
  default: {
    const int side = fusible_side(f, node);
    if (side >= 0)
      return step_fused(f, v, side);
    return step_binary(f, v, (tb_binary)node->attributes.kind, value_of(f, node->operands[0]),
                       value_of(f, node->operands[1]));
  }
  }
}

/* Products that will be taken along by their sums are marked before anything is computed. */
static void mark_fused(fuser *f) {
  for (uint32_t m = 0; m < f->unit->count; m++) {
    const tb_node *node = node_of(f, f->unit->members[m]);
    const int side = fusible_side(f, node);
    if (side >= 0)
      value_of(f, node->operands[side])->done = true;
  }
}

static void count_reads(fuser *f) {
  for (uint32_t m = 0; m < f->unit->count; m++) {
    const tb_node *node = node_of(f, f->unit->members[m]);
    for (uint32_t k = 0; k < node->operand_count; k++) {
      value *v = value_of(f, node->operands[k]);
      if (!(v->member && v->done)) /* what is taken along is not read */
        v->reads++;
    }
  }
}

/* ---- addresses ---- */

/* The input may be the output's own array when every element is read before it is written. */
static bool in_step(const fuser *f, const value *in, const value *out) {
  const tb_lane *a = &f->lanes[in->lane], *b = &f->lanes[out->lane];
  return a->row == b->row && a->col == b->col && memcmp(a->outer, b->outer, sizeof a->outer) == 0 &&
         f->views[in - f->values].offset == f->views[out - f->values].offset &&
         f->last_read[in->lane] <= f->stored[out->lane];
}

static tb_status address_lanes(fuser *f) {
  tb_status status = TB_OK;
  const size_t block = f->program->tile_rows * f->program->tile_cols * f->element;
  for (uint32_t v = 0; v < f->value_count && status == TB_OK; v++) {
    const value *x = &f->values[v];
    if (x->lane == NO_LANE || f->lanes[x->lane].temporary)
      continue;
    status = x->member ? tb_touch(f->p, &f->views[v], f->element, true, &f->lanes[x->lane].at)
                       : tb_touch_in_step(f->p, &f->views[v], f->element, &f->lanes[x->lane].at);
    for (uint32_t o = 0; o < f->value_count && status == TB_OK && !x->member; o++) {
      const value *out = &f->values[o];
      if (out->member && out->lane != NO_LANE && !f->lanes[out->lane].temporary && in_step(f, x, out))
        status = tb_note_in_step(f->p, f->views[o].buffer, f->views[v].buffer);
    }
  }
  for (uint32_t l = 0; l < f->program->lane_count && status == TB_OK; l++)
    if (f->lanes[l].temporary)
      status = tb_touch_scratch(f->p, block, &f->lanes[l].at);
  return status == TB_OK ? tb_touch_scratch(f->p, f->program->lane_count * sizeof(char *), &f->program->pointers)
                         : status;
}

tb_status tb_lower_group(tb_planner *p, const tb_unit *unit) {
  const tb_node *shape = p->graph->nodes[unit->members[0]];
  uint32_t operands = 0;
  for (uint32_t m = 0; m < unit->count; m++)
    operands += p->graph->nodes[unit->members[m]]->operand_count;
  const uint32_t values = unit->count + operands, lanes = 2 * values + 3 * unit->count;
  fuser f = {
    .p = p, .unit = unit, .kernels = p->kernels[shape->dtype], .element = tb_dtype_size(shape->dtype), .slot = p->slot
  };
  f.values = tb_arena_allocate(p->scratch, values, sizeof *f.values);
  f.views = tb_arena_allocate(p->scratch, values, sizeof *f.views);
  f.last_read = tb_arena_allocate(p->scratch, lanes, sizeof *f.last_read);
  f.stored = tb_arena_allocate(p->scratch, lanes, sizeof *f.stored);
  f.program = tb_arena_allocate(p->arena, 1, sizeof *f.program);
  f.lanes = tb_arena_allocate(p->arena, lanes, sizeof *f.lanes);
  f.steps = tb_arena_allocate(p->arena, 4 * unit->count, sizeof *f.steps);
  if (!f.values || !f.views || !f.last_read || !f.stored || !f.program || !f.lanes || !f.steps)
    return TB_NO_MEMORY;
  for (uint32_t v = 0; v < values; v++)
    f.views[v].buffer = TB_NO_BUFFER;
  f.program->lanes = f.lanes;
  f.program->steps = f.steps;
  collect(&f);
  tb_status status = find_views(&f);
  merge_axes(&f);
  make_tiles(&f);
  if (status == TB_OK)
    status = find_adams(&f);
  mark_fused(&f);
  count_reads(&f);
  for (uint32_t m = 0; m < unit->count && status == TB_OK; m++) {
    value *v = value_of(&f, unit->members[m]);
    if (!v->done)
      status = add_member(&f, v);
  }
  if (status == TB_OK)
    status = address_lanes(&f);
  for (uint32_t v = 0; v < f.value_count; v++)
    f.slot[f.values[v].node] = 0;
  return status == TB_OK ? tb_emit(p, tb_run_pointwise, f.program, "pointwise", unit->members[unit->count - 1])
                         : status;
}

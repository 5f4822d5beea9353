/* The steps of a pointwise group, a member at a time.
 *
 * A row scalar is spread where a kernel wants a vector; a function and its derivative of the same argument become one
 * step (softplus and sigmoid, tanh and tanh'); a product that only a sum or difference reads is taken along by it as a
 * fused multiply-add.  A value is released with its last reader, so its block serves the results that follow. */
#include "engine/fuse.h"
#include "engine/naive.h"

bool tb_fuse_runs_on(const tb_fuser *f, uint16_t lane, bool scalar) {
  if (lane == TB_NO_LANE || f->program->rows == 1)
    return true;
  const tb_lane *l = &f->lanes[lane];
  return scalar ? l->row == 0 && l->col == 0
                : l->row == f->program->tile_cols && f->program->tile_cols == f->program->cols;
}

void tb_fuse_step(tb_fuser *f, tb_step step, bool a_scalar, bool b_scalar) {
  step.flat = tb_fuse_runs_on(f, step.out, false) && tb_fuse_runs_on(f, step.out1, false) &&
              tb_fuse_runs_on(f, step.a, a_scalar) && tb_fuse_runs_on(f, step.b, b_scalar) &&
              tb_fuse_runs_on(f, step.c, false);
  f->stored[step.out] = (uint16_t)(f->program->step_count + 1);
  if (step.out1 != TB_NO_LANE)
    f->stored[step.out1] = (uint16_t)(f->program->step_count + 1);
  const uint16_t reads[3] = { step.a, step.b, step.c };
  for (int i = 0; i < 3; i++)
    if (reads[i] != TB_NO_LANE)
      f->last_read[reads[i]] = (uint16_t)(f->program->step_count + 1);
  f->steps[f->program->step_count++] = step;
}

/* An operand as a vector: a row scalar is spread into a temporary first. */
static uint16_t vector(tb_fuser *f, tb_fused *v, uint16_t *spread) {
  const uint16_t lane = tb_fuse_operand(f, v);
  *spread = TB_NO_LANE;
  if (!v->scalar)
    return lane;
  *spread = tb_fuse_temporary(f);
  tb_fuse_step(f,
               (tb_step){ .kind = TB_STEP_UNARY,
                          .out = *spread,
                          .out1 = TB_NO_LANE,
                          .a = lane,
                          .b = TB_NO_LANE,
                          .c = TB_NO_LANE,
                          .f.unary = f->kernels->pointwise->spread,
                          .name = "spread" },
               true, false);
  return *spread;
}

/* A number as a lane: a constant of the program. */
static tb_status number(tb_fuser *f, double x, uint16_t *index) {
  double wide = 0;
  uint32_t buffer;
  tb_put(f->element == 8 ? TB_FLOAT64 : TB_FLOAT32, &wide, 0, x);
  tb_status status = tb_constant_bytes(f->p, &wide, f->element, &buffer);
  if (status != TB_OK)
    return status;
  *index = tb_fuse_lane(f);
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

static tb_status step_unary(tb_fuser *f, tb_fused *v) {
  const tb_node *node = tb_fuser_node(f, v->node);
  const tb_kernel_math *math = f->kernels->math;
  tb_fused *a = tb_fuser_value(f, node->operands[0]);
  const uint32_t kind = node->attributes.kind, order = node->attributes.order;
  uint16_t spread;
  tb_step step = {
    .kind = TB_STEP_UNARY, .out1 = TB_NO_LANE, .b = TB_NO_LANE, .c = TB_NO_LANE, .name = tb_unary_name((tb_unary)kind)
  };
  step.a = vector(f, a, &spread);
  tb_fuse_release(f, a);
  tb_fused *first = v, *second = NULL;
  for (uint32_t m = 0; m < f->unit->count && !a->scalar && !second; m++) { /* a sibling that shares the work? */
    tb_fused *other = tb_fuser_value(f, f->unit->members[m]);
    const tb_node *n = tb_fuser_node(f, other->node);
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
    tb_fuse_release(f, a);
    step.kind = TB_STEP_PAIR;
  } else if (kind == TB_SQUARE && order == 0) { /* products take short rows as they are */
    step.kind = TB_STEP_BINARY;
    step.b = step.a;
    step.f.binary = f->kernels->pointwise->binary[TB_MULTIPLY][TB_VV];
  } else {
    step.f.unary = math->unary[kind][order];
  }
  step.out = tb_fuse_destination(f, first);
  if (second)
    step.out1 = tb_fuse_destination(f, second);
  tb_fuse_step(f, step, false, false);
  tb_fuse_give_back(f, spread);
  return TB_OK;
}

static tb_status step_binary(tb_fuser *f, tb_fused *v, tb_binary kind, tb_fused *a, tb_fused *b) {
  uint16_t spread = TB_NO_LANE;
  tb_step step = { .kind = TB_STEP_BINARY, .out1 = TB_NO_LANE, .c = TB_NO_LANE, .name = tb_binary_name(kind) };
  const bool both = a->scalar && b->scalar;
  step.a = both ? vector(f, a, &spread) : tb_fuse_operand(f, a);
  step.b = tb_fuse_operand(f, b);
  const int form = b->scalar ? TB_VS : a->scalar ? TB_SV : TB_VV;
  step.f.binary = f->kernels->pointwise->binary[kind][form];
  tb_fuse_release(f, a);
  tb_fuse_release(f, b);
  step.out = tb_fuse_destination(f, v);
  tb_fuse_step(f, step, form == TB_SV, form == TB_VS);
  tb_fuse_give_back(f, spread);
  return TB_OK;
}

/* a ∘ number */
static tb_status step_number(tb_fuser *f, tb_fused *v, tb_kernel_binary *kernel, const char *name, double x) {
  tb_fused *a = tb_fuser_value(f, tb_fuser_node(f, v->node)->operands[0]);
  uint16_t spread;
  tb_step step = { .kind = TB_STEP_BINARY, .out1 = TB_NO_LANE, .c = TB_NO_LANE, .f.binary = kernel, .name = name };
  step.a = vector(f, a, &spread);
  tb_status status = number(f, x, &step.b);
  tb_fuse_release(f, a);
  step.out = tb_fuse_destination(f, v);
  tb_fuse_step(f, step, false, true);
  tb_fuse_give_back(f, spread);
  return status;
}

static tb_status step_select(tb_fuser *f, tb_fused *v) {
  const tb_node *node = tb_fuser_node(f, v->node);
  uint16_t spread[3];
  tb_fused *x[3];
  tb_step step = {
    .kind = TB_STEP_TERNARY, .out1 = TB_NO_LANE, .f.ternary = f->kernels->pointwise->select, .name = "select"
  };
  for (int k = 0; k < 3; k++)
    x[k] = tb_fuser_value(f, node->operands[k]);
  step.a = vector(f, x[0], &spread[0]);
  step.b = vector(f, x[1], &spread[1]);
  step.c = vector(f, x[2], &spread[2]);
  for (int k = 0; k < 3; k++)
    tb_fuse_release(f, x[k]);
  step.out = tb_fuse_destination(f, v);
  tb_fuse_step(f, step, false, false);
  for (int k = 0; k < 3; k++)
    tb_fuse_give_back(f, spread[k]);
  return TB_OK;
}

/* ---- fused multiply-adds ---- */

/* Whether a member is a product (or a scale) that only `reader` reads, so that it need not be computed by itself. */
static bool can_fuse(const tb_fuser *f, const tb_fused *v) {
  const tb_node *node = tb_fuser_node(f, v->node);
  return v->member && v->lane == TB_NO_LANE && f->p->uses[v->node] == 1 && !f->p->is_output[v->node] &&
         (node->op == TB_OP_SCALE || (node->op == TB_OP_BINARY && node->attributes.kind == TB_MULTIPLY));
}

/* v = a·b + c, or c − a·b, the product being the operand `side` of the sum. */
static tb_status step_fused(tb_fuser *f, tb_fused *v, int side) {
  const tb_node *node = tb_fuser_node(f, v->node);
  tb_fused *product = tb_fuser_value(f, node->operands[side]), *c = tb_fuser_value(f, node->operands[1 - side]);
  const tb_node *inner = tb_fuser_node(f, product->node);
  tb_fused *a = tb_fuser_value(f, inner->operands[0]), *b = NULL;
  uint16_t spread_a, spread_c;
  tb_step step = { .kind = TB_STEP_TERNARY, .out1 = TB_NO_LANE };
  tb_status status = TB_OK;
  bool scalar = true;
  if (inner->op == TB_OP_SCALE) {
    status = number(f, inner->attributes.value, &step.b);
  } else {
    b = tb_fuser_value(f, inner->operands[1]);
    if (a->scalar && !b->scalar) {
      tb_fused *swap = a;
      a = b;
      b = swap;
    }
    scalar = b->scalar;
    step.b = tb_fuse_operand(f, b);
  }
  step.a = vector(f, a, &spread_a);
  step.c = vector(f, c, &spread_c);
  const bool minus = node->attributes.kind == TB_SUBTRACT;
  step.f.ternary = f->kernels->pointwise->fused[minus ? TB_NEGATIVE_MULTIPLY_ADD : TB_MULTIPLY_ADD][scalar];
  step.name = minus ? "c-a*b" : "a*b+c";
  product->done = true;
  tb_fuse_release(f, a);
  if (b)
    tb_fuse_release(f, b);
  tb_fuse_release(f, c);
  step.out = tb_fuse_destination(f, v);
  tb_fuse_step(f, step, false, scalar);
  tb_fuse_give_back(f, spread_a);
  tb_fuse_give_back(f, spread_c);
  return status;
}

/* Which operand of a sum or difference is a product to take along; −1: none. */
static int fusible_side(tb_fuser *f, const tb_node *node) {
  if (node->op != TB_OP_BINARY || (node->attributes.kind != TB_ADD && node->attributes.kind != TB_SUBTRACT) ||
      node->operands[0] == node->operands[1])
    return -1;
  if (can_fuse(f, tb_fuser_value(f, node->operands[1])))
    return 1;
  return node->attributes.kind == TB_ADD && can_fuse(f, tb_fuser_value(f, node->operands[0])) ? 0 : -1;
}

static tb_status add_member(tb_fuser *f, tb_fused *v) {
  const tb_node *node = tb_fuser_node(f, v->node);
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
    return step_binary(f, v, (tb_binary)node->attributes.kind, tb_fuser_value(f, node->operands[0]),
                       tb_fuser_value(f, node->operands[1]));
  }
  }
}

/* Products that will be taken along by their sums are marked before anything is computed. */
static void mark_fused(tb_fuser *f) {
  for (uint32_t m = 0; m < f->unit->count; m++) {
    const tb_node *node = tb_fuser_node(f, f->unit->members[m]);
    const int side = fusible_side(f, node);
    if (side >= 0)
      tb_fuser_value(f, node->operands[side])->done = true;
  }
}

static void count_reads(tb_fuser *f) {
  for (uint32_t m = 0; m < f->unit->count; m++) {
    const tb_node *node = tb_fuser_node(f, f->unit->members[m]);
    for (uint32_t k = 0; k < node->operand_count; k++) {
      tb_fused *v = tb_fuser_value(f, node->operands[k]);
      if (!(v->member && v->done)) /* what is taken along is not read */
        v->reads++;
    }
  }
}

tb_status tb_fuse_members(tb_fuser *f) {
  tb_status status = TB_OK;
  mark_fused(f);
  count_reads(f);
  for (uint32_t m = 0; m < f->unit->count && status == TB_OK; m++) {
    tb_fused *v = tb_fuser_value(f, f->unit->members[m]);
    if (!v->done)
      status = add_member(f, v);
  }
  return status;
}

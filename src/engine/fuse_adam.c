/* Adam within a pointwise group: m' = β₁m + (1 − β₁)g, v' = β₂v + (1 − β₂)g², θ' = θ − rate (c₁m'/(√(c₂v') + ε) + decay
 * θ) become one step that reads g, m, v and θ once.
 *
 * The formula is recognised from the last difference down, whatever wrote it; what does not fit stays as it is. */
#include "engine/fuse.h"

#include <string.h>

typedef struct adam {
  tb_fused *in[TB_ADAM_VECTORS], *out[TB_ADAM_OUTPUTS], *scalars[TB_ADAM_SCALARS], *inside[16];
  uint32_t inside_count;
  double numbers[TB_ADAM_NUMBERS];
  bool fits;
} adam;

/* The value, which must be a member of this operation that is read once, or of any readers where it leaves the group.
 */
static const tb_node *member(const tb_fuser *f, adam *a, tb_fused *v, tb_op op, uint32_t kind, bool leaving) {
  const tb_node *node = tb_fuser_node(f, v->node);
  a->fits = a->fits && v->member && !v->done && node->op == op &&
            ((op != TB_OP_BINARY && op != TB_OP_UNARY) || node->attributes.kind == kind) &&
            (op != TB_OP_UNARY || node->attributes.order == 0) &&
            (leaving ? v->inside <= 1 : v->inside == 1 && !tb_fuser_leaves(f, v));
  if (a->fits && a->inside_count < sizeof a->inside / sizeof *a->inside)
    a->inside[a->inside_count++] = v;
  return node;
}

/* x·(scalar of its row): the vector; the scalar in *scalar. */
static tb_fused *times_scalar(tb_fuser *f, adam *a, tb_fused *v, tb_fused **scalar) {
  const tb_node *node = member(f, a, v, TB_OP_BINARY, TB_MULTIPLY, false);
  if (!a->fits)
    return v;
  tb_fused *x = tb_fuser_value(f, node->operands[0]), *y = tb_fuser_value(f, node->operands[1]);
  *scalar = x->scalar ? x : y;
  a->fits = x->scalar != y->scalar && !(*scalar)->member;
  return x->scalar ? y : x;
}

/* β·old + (1 − β)·new: old; new and the numbers. */
static tb_fused *moving_average(tb_fuser *f, adam *a, tb_fused *v, bool squared, tb_fused **slope, double *numbers) {
  const tb_node *sum = member(f, a, v, TB_OP_BINARY, TB_ADD, true);
  for (int side = 0; a->fits && side < 2; side++) {
    adam trial = *a;
    tb_fused *x = tb_fuser_value(f, sum->operands[side]), *y = tb_fuser_value(f, sum->operands[!side]);
    const tb_node *old = member(f, &trial, x, TB_OP_SCALE, 0, false);
    const tb_node *new = member(f, &trial, y, TB_OP_SCALE, 0, false);
    if (!trial.fits)
      continue;
    tb_fused *term = tb_fuser_value(f, new->operands[0]);
    const tb_node *square = squared ? member(f, &trial, term, TB_OP_UNARY, TB_SQUARE, false) : NULL;
    tb_fused *from = trial.fits && square ? tb_fuser_value(f, square->operands[0]) : term;
    if (!trial.fits || tb_fuser_value(f, old->operands[0])->member || tb_fuser_value(f, old->operands[0])->scalar ||
        (*slope && from != *slope))
      continue;
    *a = trial;
    *slope = from;
    numbers[0] = old->attributes.value;
    numbers[1] = new->attributes.value;
    return tb_fuser_value(f, old->operands[0]);
  }
  a->fits = false;
  return v;
}

/* ratio + decay θ: the ratio, and the decay. */
static tb_fused *without_decay(tb_fuser *f, adam *a, tb_fused *v) {
  const tb_node *sum = member(f, a, v, TB_OP_BINARY, TB_ADD, false);
  for (int side = 0; a->fits && side < 2; side++) {
    adam trial = *a;
    const tb_node *scale = member(f, &trial, tb_fuser_value(f, sum->operands[side]), TB_OP_SCALE, 0, false);
    if (!trial.fits || tb_fuser_value(f, scale->operands[0]) != a->in[TB_ADAM_THETA])
      continue;
    *a = trial;
    a->numbers[5] = scale->attributes.value;
    return tb_fuser_value(f, sum->operands[!side]);
  }
  a->fits = false;
  return v;
}

/* θ' = θ − rate (c₁ m'/(√(c₂ v') + ε) + decay θ), from the difference down. */
static bool find_adam(tb_fuser *f, tb_fused *v, adam *a) {
  *a = (adam){ .fits = true };
  if (f->kernels->dtype != tb_fuser_node(f, v->node)->dtype)
    return false;
  const tb_node *difference = member(f, a, v, TB_OP_BINARY, TB_SUBTRACT, true);
  if (!a->fits)
    return false;
  a->out[TB_ADAM_THETA] = v;
  a->in[TB_ADAM_THETA] = tb_fuser_value(f, difference->operands[0]);
  tb_fused *ratio = times_scalar(f, a, tb_fuser_value(f, difference->operands[1]), &a->scalars[TB_ADAM_RATE]);
  if (a->fits && tb_fuser_node(f, ratio->node)->op == TB_OP_BINARY &&
      tb_fuser_node(f, ratio->node)->attributes.kind == TB_ADD)
    ratio = without_decay(f, a, ratio);
  const tb_node *divide = a->fits ? member(f, a, ratio, TB_OP_BINARY, TB_DIVIDE, false) : NULL;
  if (!a->fits)
    return false;
  a->out[TB_ADAM_M] = times_scalar(f, a, tb_fuser_value(f, divide->operands[0]), &a->scalars[TB_ADAM_C1]);
  const tb_node *shift = member(f, a, tb_fuser_value(f, divide->operands[1]), TB_OP_SHIFT, 0, false);
  const tb_node *root =
      a->fits ? member(f, a, tb_fuser_value(f, shift->operands[0]), TB_OP_UNARY, TB_SQRT, false) : NULL;
  if (!a->fits)
    return false;
  a->numbers[4] = shift->attributes.value;
  a->out[TB_ADAM_V] = times_scalar(f, a, tb_fuser_value(f, root->operands[0]), &a->scalars[TB_ADAM_C2]);
  if (a->fits) /* this one says which is the slope */
    a->in[TB_ADAM_V] = moving_average(f, a, a->out[TB_ADAM_V], true, &a->in[TB_ADAM_G], a->numbers + 2);
  if (a->fits)
    a->in[TB_ADAM_M] = moving_average(f, a, a->out[TB_ADAM_M], false, &a->in[TB_ADAM_G], a->numbers);
  const tb_fused *theta = a->in[TB_ADAM_THETA], *slope = a->in[TB_ADAM_G];
  return a->fits && !theta->member && !theta->scalar && !slope->member && !slope->scalar;
}

/* All operands come from outside the group, so that the step may stand anywhere in it. */
static tb_status step_adam(tb_fuser *f, adam *a) {
  tb_adam_step *lanes = tb_arena_allocate(f->p->arena, 1, sizeof *lanes);
  if (!lanes)
    return TB_NO_MEMORY;
  tb_step step = { .kind = TB_STEP_ADAM,
                   .out1 = TB_NO_LANE,
                   .a = TB_NO_LANE,
                   .b = TB_NO_LANE,
                   .c = TB_NO_LANE,
                   .f.adam = f->kernels->pointwise->adam,
                   .adam = lanes,
                   .name = "step of Adam" };
  memcpy(lanes->numbers, a->numbers, sizeof lanes->numbers);
  for (uint32_t k = 0; k < a->inside_count; k++)
    a->inside[k]->done = true;
  bool flat = true;
  for (int k = 0; k < TB_ADAM_VECTORS; k++) {
    lanes->in[k] = tb_fuse_operand(f, a->in[k]);
    flat = flat && tb_fuse_runs_on(f, lanes->in[k], false);
  }
  for (int k = 0; k < TB_ADAM_SCALARS; k++) {
    lanes->scalars[k] = tb_fuse_operand(f, a->scalars[k]);
    flat = flat && tb_fuse_runs_on(f, lanes->scalars[k], true);
  }
  for (int k = 0; k < TB_ADAM_OUTPUTS; k++) {
    lanes->out[k] = tb_fuse_destination(f, a->out[k]);
    flat = flat && tb_fuse_runs_on(f, lanes->out[k], false);
  }
  step.out = lanes->out[0];
  tb_fuse_step(f, step, false, false);
  for (int k = 0; k < TB_ADAM_VECTORS; k++)
    f->last_read[lanes->in[k]] = (uint16_t)f->program->step_count;
  for (int k = 0; k < TB_ADAM_SCALARS; k++)
    f->last_read[lanes->scalars[k]] = (uint16_t)f->program->step_count;
  for (int k = 0; k < TB_ADAM_OUTPUTS; k++)
    f->stored[lanes->out[k]] = (uint16_t)f->program->step_count;
  f->steps[f->program->step_count - 1].flat = flat;
  return TB_OK;
}

tb_status tb_fuse_adam(tb_fuser *f) {
  tb_status status = TB_OK;
  for (uint32_t m = 0; m < f->unit->count && status == TB_OK; m++) {
    adam a;
    tb_fused *v = tb_fuser_value(f, f->unit->members[m]);
    if (tb_fuser_node(f, v->node)->op == TB_OP_BINARY && find_adam(f, v, &a))
      status = step_adam(f, &a);
  }
  return status;
}

/* Loops: a body's plan, step after step.  Nothing of a loop is written but memory of its frame, so loops run in any
 * number of threads. */
#include "engine/plan.h"

#include <string.h>

/* The body's frame: carries, slices and outputs are set step by step. */
typedef struct walk {
  const tb_loop *l;
  const tb_frame *frame;
  tb_frame body;
  int32_t *number;
  char **carries, **slices, **outputs;
} walk;

static walk walk_of(const tb_loop *l, const tb_frame *frame) {
  char **bases = (char **)tb_at(frame, l->bases) + 1; /* in front: the number of the step */
  walk w = { .l = l, .frame = frame, .number = tb_at(frame, l->bases) };
  char **constants;
  w.body = (tb_frame){ .context = frame->context,
                       .team = frame->team,
                       .member = frame->member,
                       .helpers = frame->helpers,
                       .bases = bases,
                       .status = TB_OK };
  w.carries = bases + TB_BASE_FIRST + 1;
  w.slices = w.carries + l->carry_count;
  constants = w.slices + l->slice_count;
  w.outputs = constants + l->constant_count;
  bases[TB_BASE_ARENA] = tb_at(frame, l->memory);
  bases[TB_BASE_CONSTANTS] = l->body->constants;
  bases[TB_BASE_FIRST] = (char *)w.number;
  for (uint32_t i = 0; i < l->constant_count; i++)
    constants[i] = tb_at(frame, l->constants[i]);
  return w;
}

static char *entry(const walk *w, const tb_loop_carry *c, size_t place) {
  return (char *)tb_at(w->frame, c->buffers[0]) + place * c->bytes;
}

/* Where a carry lies as it enters the step-th step; past the last one, where it ends. */
static char *carry_at(const walk *w, const tb_loop_carry *c, size_t step) {
  if (step == w->l->length)
    return tb_at(w->frame, c->final);
  if (c->kept)
    return entry(w, c, w->l->reverse ? w->l->length - 1 - step : step);
  return tb_at(w->frame, step ? c->buffers[step & 1] : c->start);
}

static size_t position(const tb_loop *l, size_t step) {
  return l->reverse ? l->length - 1 - step : step;
}

/* The step k, going back, is part of the sum; the lowest of its group adds the products of all. */
static void add_products(const walk *w, const tb_loop_sum *sum, size_t k) {
  const tb_product *g = &sum->product;
  const size_t place = k % sum->steps, left = w->l->length - k, steps = left < sum->steps ? left : sum->steps;
  const char *kept = tb_at(w->frame, sum->kept), *slice = w->slices[sum->slice];
  if (w->l->slices[sum->slice].tape) {
    char *copy = tb_at(w->frame, sum->copy);
    memcpy(copy + place * sum->slice_bytes, slice, sum->slice_bytes);
    slice = copy;
  }
  if (place)
    return;
  char *c = tb_at(w->frame, g->c);
  const char *a = sum->kept_first ? kept : slice, *b = sum->kept_first ? slice : kept;
  g->gemm(true, false, g->m, g->n, steps * g->k, g->alpha, a, g->lda, b, g->ldb, g->with, g->beta,
          left <= sum->steps ? tb_at(w->frame, g->d) : c, g->ldd, c, g->ldc, tb_at(w->frame, g->scratch));
}

/* The step-th step.  again: of a block that ran before; nothing but the tape is written a second time. */
static void run_step(walk *w, size_t step, bool again) {
  const tb_loop *l = w->l;
  const size_t k = position(l, step), block = l->blocks.block, place = block ? step % block : 0;
  *w->number = (int32_t)k;
  for (uint32_t i = 0; i < l->carry_count; i++) {
    const tb_loop_carry *c = &l->carries[i];
    const bool ends = step + 1 == l->length && !again;
    if (c->summed)
      continue;
    w->carries[i] = block ? entry(w, c, place) : carry_at(w, c, step);
    w->outputs[i] = block && !ends ? entry(w, c, place + 1) : carry_at(w, c, step + 1);
    if (c->wholly && !again)
      memcpy((char *)tb_at(w->frame, c->whole) + k * c->bytes, w->carries[i], c->bytes);
  }
  for (uint32_t i = 0; i < l->slice_count; i++) {
    const tb_loop_slice *s = &l->slices[i];
    const size_t at =
        s->tape ? (l->length - 1 - step) % s->tape->blocks.block : k; /* that loop's step: the other way */
    w->slices[i] = (char *)tb_at(w->frame, s->at) + at * s->bytes;
  }
  for (uint32_t i = 0; i < l->out_count; i++) {
    const tb_loop_slice *o = &l->outs[i];
    w->outputs[l->carry_count + i] = !o->taped && again
                                         ? tb_at(w->frame, o->dump)
                                         : (char *)tb_at(w->frame, o->at) + (o->taped ? place : k) * o->bytes;
  }
  for (uint32_t i = 0; i < l->sum_count; i++) {
    const tb_loop_sum *sum = &l->sums[i];
    w->outputs[sum->carry] = (char *)tb_at(w->frame, sum->kept) + k % sum->steps * sum->kept_bytes;
  }
  tb_plan_execute(l->body, &w->body);
  for (uint32_t i = 0; i < l->sum_count; i++)
    add_products(w, &l->sums[i], k);
}

/* ---- blocks ---- */

typedef struct kept {
  size_t *count, *first; /* states kept, from the start on; the blocks that they enter */
} kept;

static kept kept_states(const walk *w) {
  size_t *numbers = tb_at(w->frame, w->l->kept);
  return (kept){ numbers, numbers + 1 };
}

static void forget_all_but_the_start(const walk *w) {
  const kept k = kept_states(w);
  *k.count = 1;
  k.first[0] = 0;
}

/* State i of those that are kept: the loop's start, or behind it. */
static char *state(const walk *w, const tb_loop_carry *c, size_t i) {
  return i ? (char *)tb_at(w->frame, c->marks) + (i - 1) * c->bytes : tb_at(w->frame, c->start);
}

/* Runs a block from the entries of its first step; the last one may be shorter. */
static void run_block(walk *w, size_t block, bool again) {
  const tb_loop *l = w->l;
  const size_t first = block * l->blocks.block, left = l->length - first,
               count = left < l->blocks.block ? left : l->blocks.block;
  for (size_t step = first; step < first + count && w->body.status == TB_OK; step++)
    run_step(w, step, again);
}

/* Goes on from where the last block ended. */
static void enter_next_block(walk *w) {
  for (uint32_t i = 0; i < w->l->carry_count; i++) {
    const tb_loop_carry *c = &w->l->carries[i];
    memcpy(entry(w, c, 0), entry(w, c, w->l->blocks.block), c->bytes);
  }
}

/* Lays the tape of a block, no later than any that was asked for before: from the last state kept before it, keeping
 * what is worth it on the way. */
static void lay_block(walk *w, size_t block, bool again) {
  const tb_loop *l = w->l;
  const kept k = kept_states(w);
  while (k.first[*k.count - 1] > block)
    (*k.count)--;
  size_t at = k.first[*k.count - 1];
  for (uint32_t i = 0; i < l->carry_count; i++)
    memcpy(entry(w, &l->carries[i], 0), state(w, &l->carries[i], *k.count - 1), l->carries[i].bytes);
  while (at < block && w->body.status == TB_OK) {
    const size_t to = at + tb_revolve_advance(block - at + 1, l->blocks.slots - (*k.count - 1));
    for (; at < to && w->body.status == TB_OK; at++) {
      run_block(w, at, again);
      enter_next_block(w);
    }
    if (to < block) {
      for (uint32_t i = 0; i < l->carry_count; i++)
        memcpy(state(w, &l->carries[i], *k.count), entry(w, &l->carries[i], 0), l->carries[i].bytes);
      k.first[(*k.count)++] = to;
    }
  }
  if (w->body.status == TB_OK)
    run_block(w, block, again);
}

/* Before the step-th step of a reverse loop: the tapes that it reads there. */
static tb_status lay_tapes(const tb_loop *l, const tb_frame *frame, size_t step) {
  tb_status status = TB_OK;
  const size_t at = l->length - 1 - step; /* the step of the loops that laid the tapes */
  for (uint32_t i = 0; i < l->tape_count && status == TB_OK; i++) {
    const tb_loop_tape *t = &l->tapes[i];
    const size_t block = t->loop->blocks.block;
    if (step ? at % block != block - 1 : !t->afresh)
      continue;
    walk w = walk_of(t->loop, frame);
    if (step == 0)
      forget_all_but_the_start(&w);
    lay_block(&w, at / block, true);
    status = w.body.status;
  }
  return status;
}

/* ---- a loop ---- */

void tb_run_loop(const tb_instruction *instruction, tb_frame *frame) {
  const tb_loop *l = instruction->detail;
  walk w = walk_of(l, frame);
  if (l->blocks.block) {
    forget_all_but_the_start(&w);
    lay_block(&w, tb_revolve_blocks(l->blocks, l->length) - 1, false);
  } else {
    for (uint32_t i = 0; i < l->carry_count; i++)
      if (l->carries[i].kept || l->length == 0)
        memcpy(carry_at(&w, &l->carries[i], 0), tb_at(frame, l->carries[i].start), l->carries[i].bytes);
    for (size_t step = 0; step < l->length && w.body.status == TB_OK; step++) {
      w.body.status = lay_tapes(l, frame, step);
      if (w.body.status == TB_OK)
        run_step(&w, step, false);
    }
  }
  frame->status = frame->status == TB_OK ? w.body.status : frame->status;
}

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
  w.body = (tb_frame){ .context = frame->context, .bases = bases, .status = TB_OK };
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

/* The step-th step.  again: of a segment that ran before; nothing but the tape is written a second time. */
static void run_step(walk *w, size_t step, bool again) {
  const tb_loop *l = w->l;
  const size_t k = l->reverse ? l->length - 1 - step : step;
  const size_t place = l->segment ? step % l->segment : 0;
  *w->number = (int32_t)k;
  for (uint32_t i = 0; i < l->carry_count; i++) {
    const tb_loop_carry *c = &l->carries[i];
    const bool ends = step + 1 == l->length && !again;
    w->carries[i] = l->segment ? entry(w, c, place) : carry_at(w, c, step);
    w->outputs[i] = l->segment && !ends ? entry(w, c, place + 1) : carry_at(w, c, step + 1);
  }
  for (uint32_t i = 0; i < l->slice_count; i++) {
    const tb_loop_slice *s = &l->slices[i];
    const size_t at = s->taped ? (l->length - 1 - step) % l->again->segment : k; /* that loop's step: the other way */
    w->slices[i] = (char *)tb_at(w->frame, s->at) + at * s->bytes;
  }
  for (uint32_t i = 0; i < l->out_count; i++) {
    const tb_loop_slice *o = &l->outs[i];
    w->outputs[l->carry_count + i] = !o->taped && again
                                         ? tb_at(w->frame, o->dump)
                                         : (char *)tb_at(w->frame, o->at) + (o->taped ? place : k) * o->bytes;
  }
  tb_plan_execute(l->body, &w->body);
}

/* ---- segments ---- */

static void run_segments(walk *w) {
  const tb_loop *l = w->l;
  for (size_t step = 0; step < l->length && w->body.status == TB_OK; step++) {
    if (step % l->segment == 0)
      for (uint32_t i = 0; i < l->carry_count; i++) {
        const tb_loop_carry *c = &l->carries[i];
        const char *from = step ? entry(w, c, l->segment) : tb_at(w->frame, c->start);
        memcpy(entry(w, c, 0), from, c->bytes);
        memcpy((char *)tb_at(w->frame, c->marks) + step / l->segment * c->bytes, from, c->bytes);
      }
    run_step(w, step, false);
  }
}

/* The tape of a segment, once more. */
static tb_status run_again(const tb_loop *l, const tb_frame *frame, size_t segment) {
  walk w = walk_of(l, frame);
  for (uint32_t i = 0; i < l->carry_count; i++) {
    const tb_loop_carry *c = &l->carries[i];
    memcpy(entry(&w, c, 0), (char *)tb_at(frame, c->marks) + segment * c->bytes, c->bytes);
  }
  for (size_t step = segment * l->segment; step < (segment + 1) * l->segment && w.body.status == TB_OK; step++)
    run_step(&w, step, true);
  return w.body.status;
}

/* ---- a loop ---- */

void tb_run_loop(const tb_instruction *instruction, tb_frame *frame) {
  const tb_loop *l = instruction->detail;
  walk w = walk_of(l, frame);
  if (l->segment) {
    run_segments(&w);
  } else {
    for (uint32_t i = 0; i < l->carry_count; i++)
      if (l->carries[i].kept || l->length == 0)
        memcpy(carry_at(&w, &l->carries[i], 0), tb_at(frame, l->carries[i].start), l->carries[i].bytes);
    for (size_t step = 0; step < l->length && w.body.status == TB_OK; step++) {
      const size_t place = l->length - 1 - step;
      if (l->again && step && place % l->again->segment == l->again->segment - 1)
        w.body.status = run_again(l->again, frame, place / l->again->segment);
      if (w.body.status == TB_OK)
        run_step(&w, step, false);
    }
  }
  frame->status = frame->status == TB_OK ? w.body.status : frame->status;
}

/* Loops: a body's plan, and where carries, slices, constants and outs lie.
 *
 * A loop's stacks that only one reverse loop reads, slice by slice, are its tape.  Where the tape of all steps would be
 * larger than the budget the loop runs in segments (plan.h): s steps of tape t and carries c, and the carries at the
 * K/s segments, take s (t + c) + c K/s bytes; the longest segment within the budget is taken, or the one that takes the
 * least. */
#include "engine/plan.h"

#include <math.h>

typedef struct tb_taped taped;
struct tb_taped {
  uint32_t node, reader; /* scans */
  tb_loop *loop;
  uint32_t begin, end; /* of its addresses */
  taped *next;
};

/* ---- the tape ---- */

static bool reads_slices(const tb_node *node, const tb_scan *forward, uint32_t k) {
  const tb_scan *scan = node->scan;
  return scan && scan->length == forward->length && scan->reverse != forward->reverse && k >= scan->carries &&
         k < scan->carries + scan->slices;
}

/* The stacks of a loop that one reverse loop, and nobody else, reads; *reader is TB_NO_BUFFER where there are none. */
static void find_tape(const tb_planner *p, uint32_t index, bool *on_tape, uint32_t *reader) {
  const tb_node *node = p->graph->nodes[index];
  const tb_scan *scan = node->scan;
  const uint32_t first = index + 1, results = tb_scan_results(scan);
  *reader = TB_NO_BUFFER;
  for (uint32_t i = scan->carries; i < results; i++)
    on_tape[i] = p->uses[first + i] > 0 && !p->is_output[first + i];
  for (uint32_t i = index + 1; i < p->graph->count; i++)
    for (uint32_t k = 0; k < p->graph->nodes[i]->operand_count; k++) {
      const uint32_t r = p->graph->nodes[i]->operands[k] - first;
      if (p->graph->nodes[i]->operands[k] < first || r >= results || !on_tape[r])
        continue;
      if (*reader == TB_NO_BUFFER && reads_slices(p->graph->nodes[i], scan, k))
        *reader = i;
      on_tape[r] = *reader == i && reads_slices(p->graph->nodes[i], scan, k);
    }
}

/* Steps of a segment; 0: no segments. */
static size_t choose_segment(const tb_planner *p, uint32_t index, const bool *on_tape) {
  const tb_scan *scan = p->graph->nodes[index]->scan;
  const uint32_t results = tb_scan_body_results(scan);
  double tape = 0, carry = 0;
  for (uint32_t i = 0; i < tb_scan_results(scan); i++) {
    const tb_node *stack = p->graph->nodes[index + 1 + i];
    if (i >= results && !on_tape[i] && (p->uses[index + 1 + i] || p->is_output[index + 1 + i]))
      return 0; /* entries that others read, too */
    if (i < scan->carries)
      carry += (double)tb_node_bytes(stack);
    else if (on_tape[i])
      tape += (double)tb_node_bytes(stack) / (double)scan->length;
  }
  const double length = (double)scan->length, budget = (double)p->limits->tape_bytes;
  if (tape * length <= budget)
    return 0;
  const double each = tape + carry, least = 4 * each * carry * length;
  const double steps =
      budget * budget > least ? (budget + sqrt(budget * budget - least)) / (2 * each) : sqrt(carry * length / each);
  return steps < 1 ? 1 : steps < length ? (size_t)steps : 0;
}

static const taped *tape_read_by(const tb_planner *p, uint32_t index) {
  for (const taped *t = p->taped; t; t = t->next)
    if (t->reader == index)
      return t;
  return NULL;
}

/* What a forward loop works on stays as it is until its reverse loop has run. */
static tb_status keep_alive(tb_planner *p, const taped *t) {
  tb_status status = TB_OK;
  for (uint32_t i = t->begin; i < t->end && status == TB_OK; i++) {
    const uint32_t buffer = p->addresses[i]->base;
    tb_address *address = tb_arena_allocate(p->scratch, 1, sizeof *address);
    status = address ? tb_touch_buffer(p, buffer, 0, address) : TB_NO_MEMORY;
    p->buffers[buffer].crossed = p->instruction_count + 1;
  }
  return status;
}

/* The result's view is a buffer of so many bytes that is no whole stack. */
static tb_status piece_of_stack(tb_planner *p, uint32_t result, size_t bytes, tb_address *at) {
  const tb_node *node = p->graph->nodes[result];
  tb_view *view = &p->views[result];
  size_t stride = 1;
  for (uint32_t i = node->rank; i-- > 0;) {
    view->strides[i] = stride;
    stride *= node->dims[i];
  }
  view->offset = 0;
  view->buffer = tb_new_buffer(p, TB_IN_ARENA, bytes);
  return view->buffer == TB_NO_BUFFER ? TB_NO_MEMORY : tb_touch_buffer(p, view->buffer, 0, at);
}

/* ---- parts of a loop ---- */

static tb_status lower_carry(tb_planner *p, uint32_t index, uint32_t i, size_t segment, tb_loop_carry *c) {
  const tb_node *node = p->graph->nodes[index];
  const tb_scan *scan = node->scan;
  const uint32_t entry = index + 1 + tb_scan_body_results(scan) + i;
  c->bytes = tb_node_bytes(tb_node_operand(p->graph, node, i));
  c->kept = segment || ((p->uses[entry] || p->is_output[entry]) && scan->length);
  tb_status status = tb_read_contiguous(p, node->operands[i], &c->start);
  if (status == TB_OK)
    status = tb_write_result(p, index + 1 + i, &c->final);
  if (status == TB_OK && segment) {
    status = piece_of_stack(p, entry, (segment + 1) * c->bytes, &c->buffers[0]);
    return status == TB_OK ? tb_touch_scratch(p, (scan->length + segment - 1) / segment * c->bytes, &c->marks) : status;
  }
  if (status == TB_OK && c->kept)
    return tb_write_result(p, entry, &c->buffers[0]);
  for (int k = 0; k < 2 && status == TB_OK; k++)
    status = tb_touch_scratch(p, c->bytes, &c->buffers[k]);
  return status;
}

static tb_status lower_out(tb_planner *p, uint32_t result, size_t length, size_t segment, bool on_tape,
                           tb_loop_slice *out) {
  out->bytes = length ? tb_node_bytes(p->graph->nodes[result]) / length : 0;
  out->taped = segment && on_tape;
  if (out->taped)
    return piece_of_stack(p, result, segment * out->bytes, &out->at);
  tb_status status = tb_write_result(p, result, &out->at);
  return status == TB_OK && segment ? tb_touch_scratch(p, out->bytes, &out->dump) : status;
}

static tb_status lower_slice(tb_planner *p, uint32_t operand, size_t length, const taped *tape, tb_loop_slice *slice) {
  slice->bytes = length ? tb_node_bytes(p->graph->nodes[operand]) / length : 0;
  slice->taped =
      tape && operand > tape->node && operand <= tape->node + tb_scan_results(p->graph->nodes[tape->node]->scan);
  return tb_read_contiguous(p, operand, &slice->at);
}

static tb_status lower_parts(tb_planner *p, uint32_t index, const bool *on_tape, const taped *tape, tb_loop *l) {
  const tb_node *node = p->graph->nodes[index];
  const tb_scan *scan = node->scan;
  const uint32_t *operand = node->operands;
  tb_loop_carry *carries = tb_arena_allocate(p->arena, scan->carries + 1, sizeof *carries);
  tb_loop_slice *slices = tb_arena_allocate(p->arena, scan->slices + 1, sizeof *slices);
  tb_loop_slice *outs = tb_arena_allocate(p->arena, scan->outs + 1, sizeof *outs);
  tb_address *constants = tb_arena_allocate(p->arena, scan->constants + 1, sizeof *constants);
  if (!carries || !slices || !outs || !constants)
    return TB_NO_MEMORY;
  l->carries = carries;
  l->slices = slices;
  l->outs = outs;
  l->constants = constants;
  tb_status status = TB_OK;
  for (uint32_t i = 0; i < scan->carries && status == TB_OK; i++, operand++)
    status = lower_carry(p, index, i, l->segment, &carries[i]);
  for (uint32_t i = 0; i < scan->slices && status == TB_OK; i++, operand++)
    status = lower_slice(p, *operand, scan->length, tape, &slices[i]);
  for (uint32_t i = 0; i < scan->constants && status == TB_OK; i++, operand++)
    status = tb_read_contiguous(p, *operand, &constants[i]);
  for (uint32_t i = 0; i < scan->outs && status == TB_OK; i++) {
    const uint32_t r = scan->carries + i;
    status = lower_out(p, index + 1 + r, scan->length, l->segment, on_tape[r], &outs[i]);
  }
  const size_t bases = TB_BASE_FIRST + l->body->input_count + l->body->output_count + 1;
  if (status == TB_OK)
    status = tb_touch_scratch(p, bases * sizeof(char *), &l->bases);
  return status == TB_OK ? tb_touch_scratch(p, l->body->arena_bytes, &l->memory) : status;
}

tb_status tb_lower_loop(tb_planner *p, uint32_t index) {
  const tb_node *node = p->graph->nodes[index];
  const tb_scan *scan = node->scan;
  tb_plan *body = NULL;
  bool *on_tape = tb_arena_allocate(p->scratch, tb_scan_results(scan) + 1, sizeof *on_tape);
  tb_loop *l = tb_arena_allocate(p->arena, 1, sizeof *l);
  taped *mine = tb_arena_allocate(p->scratch, 1, sizeof *mine);
  if (!on_tape || !l || !mine)
    return TB_NO_MEMORY;
  tb_status status = tb_plan_graph(p->context, p->arena, scan->body, tb_scan_body_results(scan), scan->results,
                                   p->limits, false, &body);
  if (status == TB_OK)
    status = tb_prepare_operands(p, node);
  if (status != TB_OK)
    return status;
  const taped *tape = tape_read_by(p, index);
  uint32_t reader;
  find_tape(p, index, on_tape, &reader);
  *l = (tb_loop){ .body = body,
                  .length = scan->length,
                  .segment = reader == TB_NO_BUFFER || tape ? 0 : choose_segment(p, index, on_tape),
                  .reverse = scan->reverse,
                  .carry_count = scan->carries,
                  .slice_count = scan->slices,
                  .constant_count = scan->constants,
                  .out_count = scan->outs,
                  .again = tape ? tape->loop : NULL };
  *mine = (taped){ .node = index, .reader = reader, .loop = l, .begin = p->address_count };
  status = lower_parts(p, index, on_tape, tape, l);
  mine->end = p->address_count;
  if (l->segment) {
    mine->next = p->taped;
    p->taped = mine;
  }
  if (status == TB_OK && tape)
    status = keep_alive(p, tape);
  return status == TB_OK ? tb_emit(p, tb_run_loop, l, "loop", index) : status;
}

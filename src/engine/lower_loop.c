/* Loops: a body's plan, and where carries, slices, constants and outs lie.
 *
 * A loop's stacks that only loops in the other direction read, slice by slice, are its tape.  Where the tape of all
 * steps would be larger than the budget the loop runs in blocks (plan.h), as many steps at a time and with as many
 * states kept as the budget allows with the fewest steps run again.
 *
 * Kept whole are stacks that something else reads, too: an output, a loop that walks the same way (of a second
 * derivative by reverse mode), an operation on the whole stack; they may be read in any order.  And the tape of a loop
 * that itself reads the tape of another in blocks: to run such a loop again the other would have to run again, for each
 * of its blocks. */
#include "engine/plan.h"

#include <string.h>

typedef struct tb_taped taped;
struct tb_taped {
  uint32_t node; /* the scan */
  const tb_loop *loop;
  const bool *on_tape;
  uint32_t begin, end; /* of its addresses */
  bool read;           /* by a loop that was lowered */
  taped *next;
};

/* ---- the tape ---- */

/* Operand k of a loop that walks against the forward one is one of its slices. */
static bool reads_slices(const tb_node *node, const tb_scan *forward, uint32_t k) {
  const tb_scan *scan = node->scan;
  return scan && scan->length == forward->length && scan->reverse != forward->reverse && k >= scan->carries &&
         k < scan->carries + scan->slices;
}

/* The stacks of a loop that loops against it, and nobody else, read slice by slice; *tape: there are some.  *others:
 * such a loop reads stacks that others read as well. */
static tb_status find_tape(const tb_planner *p, uint32_t index, bool *on_tape, bool *tape, bool *others) {
  const tb_scan *scan = p->graph->nodes[index]->scan;
  const uint32_t first = index + 1, results = tb_scan_results(scan);
  bool *read = tb_arena_allocate(p->scratch, results + 1, sizeof *read);
  if (!read)
    return TB_NO_MEMORY;
  for (uint32_t i = scan->carries; i < results; i++)
    on_tape[i] = p->uses[first + i] > 0 && !p->is_output[first + i];
  for (uint32_t i = index + 1; i < p->graph->count; i++)
    for (uint32_t k = 0; k < p->graph->nodes[i]->operand_count; k++) {
      const uint32_t operand = p->graph->nodes[i]->operands[k];
      if (operand < first || operand - first >= results)
        continue;
      const bool slices = reads_slices(p->graph->nodes[i], scan, k);
      read[operand - first] = read[operand - first] || slices;
      on_tape[operand - first] = on_tape[operand - first] && slices;
    }
  *tape = *others = false;
  for (uint32_t i = scan->carries; i < results; i++) {
    *tape = *tape || on_tape[i];
    *others = *others || (read[i] && !on_tape[i]);
  }
  return TB_OK;
}

/* Whether a loop reads the tape of another in blocks. */
static bool reads(const tb_planner *p, const tb_node *node, const taped *t) {
  const uint32_t first = t->node + 1, results = tb_scan_results(p->graph->nodes[t->node]->scan);
  for (uint32_t k = 0; k < node->operand_count; k++)
    if (node->operands[k] >= first && node->operands[k] - first < results && t->on_tape[node->operands[k] - first])
      return true;
  return false;
}

/* Blocks where the tape of all steps is beyond the budget; else why it is kept whole all the same. */
static void choose_blocks(const tb_planner *p, uint32_t index, const bool *on_tape, bool others, tb_loop *l) {
  const tb_scan *scan = p->graph->nodes[index]->scan;
  const uint32_t results = tb_scan_body_results(scan);
  const double length = (double)scan->length, budget = (double)p->limits->tape_bytes;
  double carry = 0, outs = 0, tape = 0, whole = 0; /* bytes: of a step's carries and outs on the tape; of all steps */
  for (uint32_t i = 0; i < tb_scan_results(scan); i++) {
    const double bytes = (double)tb_node_bytes(p->graph->nodes[index + 1 + i]);
    if (i < scan->carries)
      carry += bytes;
    else if (on_tape[i])
      tape += bytes;
    else if (p->uses[index + 1 + i] || p->is_output[index + 1 + i])
      whole += bytes;
    if (i >= scan->carries && i < results && on_tape[i])
      outs += bytes / length;
  }
  if (tape > budget && l->tape_count == 0)
    l->blocks = tb_revolve_choose(scan->length, outs, carry, budget);
  else if (tape > budget)
    l->whole = "the loop itself reads a tape in blocks";
  else if (others && whole > budget)
    l->whole = "not only loops against this one read it";
  l->tape_bytes = tape + whole;
}

/* The tapes in blocks that a loop reads. */
static tb_status find_tapes(tb_planner *p, uint32_t index, tb_loop *l) {
  uint32_t count = 0;
  for (const taped *t = p->taped; t; t = t->next)
    count += reads(p, p->graph->nodes[index], t);
  tb_loop_tape *tapes = tb_arena_allocate(p->arena, count + 1, sizeof *tapes);
  if (!tapes)
    return TB_NO_MEMORY;
  for (taped *t = p->taped; t; t = t->next)
    if (reads(p, p->graph->nodes[index], t)) {
      tapes[l->tape_count++] = (tb_loop_tape){ t->loop, t->read };
      t->read = true;
    }
  l->tapes = tapes;
  return TB_OK;
}

/* What a forward loop works on stays as it is until the loop at hand has run. */
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

static tb_status lower_carry_in_blocks(tb_planner *p, uint32_t entry, bool on_tape, const tb_loop *l,
                                       tb_loop_carry *c) {
  const size_t stack = (l->blocks.block + 1) * c->bytes;
  c->wholly = !on_tape && (p->uses[entry] || p->is_output[entry]);
  tb_status status =
      on_tape ? piece_of_stack(p, entry, stack, &c->buffers[0]) : tb_touch_scratch(p, stack, &c->buffers[0]);
  if (status == TB_OK && c->wholly)
    status = tb_write_result(p, entry, &c->whole);
  return status == TB_OK ? tb_touch_scratch(p, (l->blocks.slots - 1) * c->bytes, &c->marks) : status;
}

static tb_status lower_carry(tb_planner *p, uint32_t index, uint32_t i, bool on_tape, const tb_loop *l,
                             tb_loop_carry *c) {
  const tb_node *node = p->graph->nodes[index];
  const tb_scan *scan = node->scan;
  const uint32_t entry = index + 1 + tb_scan_body_results(scan) + i;
  if (c->summed)
    return TB_OK;
  c->bytes = tb_node_bytes(tb_node_operand(p->graph, node, i));
  c->kept = l->blocks.block || ((p->uses[entry] || p->is_output[entry]) && scan->length);
  tb_status status = tb_read_contiguous(p, node->operands[i], &c->start);
  if (status == TB_OK)
    status = tb_write_result(p, index + 1 + i, &c->final);
  if (status == TB_OK && l->blocks.block)
    return lower_carry_in_blocks(p, entry, on_tape, l, c);
  if (status == TB_OK && c->kept)
    return tb_write_result(p, entry, &c->buffers[0]);
  for (int k = 0; k < 2 && status == TB_OK; k++)
    status = tb_touch_scratch(p, c->bytes, &c->buffers[k]);
  return status;
}

static tb_status lower_out(tb_planner *p, uint32_t result, bool on_tape, const tb_loop *l, tb_loop_slice *out) {
  const size_t block = l->blocks.block;
  out->bytes = l->length ? tb_node_bytes(p->graph->nodes[result]) / l->length : 0;
  out->taped = block && on_tape;
  if (out->taped)
    return piece_of_stack(p, result, block * out->bytes, &out->at);
  tb_status status = tb_write_result(p, result, &out->at);
  return status == TB_OK && block ? tb_touch_scratch(p, out->bytes, &out->dump) : status;
}

static tb_status lower_slice(tb_planner *p, uint32_t operand, const tb_loop *l, tb_loop_slice *slice) {
  slice->bytes = l->length ? tb_node_bytes(p->graph->nodes[operand]) / l->length : 0;
  for (const taped *t = p->taped; t; t = t->next)
    if (operand > t->node && operand <= t->node + tb_scan_results(p->graph->nodes[t->node]->scan) &&
        t->on_tape[operand - t->node - 1])
      slice->tape = t->loop;
  return tb_read_contiguous(p, operand, &slice->at);
}

static tb_status lower_parts(tb_planner *p, uint32_t index, const bool *on_tape, tb_loop *l) {
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
  for (uint32_t i = 0; i < l->sum_count; i++)
    carries[l->sums[i].carry].summed = true;
  for (uint32_t i = 0; i < scan->carries && status == TB_OK; i++, operand++)
    status = lower_carry(p, index, i, on_tape[tb_scan_body_results(scan) + i], l, &carries[i]);
  for (uint32_t i = 0; i < scan->slices && status == TB_OK; i++, operand++)
    status = lower_slice(p, *operand, l, &slices[i]);
  for (uint32_t i = 0; i < scan->constants && status == TB_OK; i++, operand++)
    status = tb_read_contiguous(p, *operand, &constants[i]);
  for (uint32_t i = 0; i < scan->outs && status == TB_OK; i++) {
    const uint32_t r = scan->carries + i;
    status = lower_out(p, index + 1 + r, on_tape[r], l, &outs[i]);
  }
  for (uint32_t i = 0; i < l->sum_count && status == TB_OK; i++)
    status = tb_lower_loop_sum(p, index, l, &l->sums[i]);
  const size_t bases = TB_BASE_FIRST + l->body->input_count + l->body->output_count + 1;
  if (status == TB_OK && l->blocks.block)
    status = tb_touch_scratch(p, (1 + l->blocks.slots) * sizeof(size_t), &l->kept);
  if (status == TB_OK)
    status = tb_touch_scratch(p, bases * sizeof(char *), &l->bases);
  return status == TB_OK ? tb_touch_scratch(p, l->body->arena_bytes, &l->memory) : status;
}

tb_status tb_lower_loop(tb_planner *p, uint32_t index) {
  const tb_node *node = p->graph->nodes[index];
  const tb_scan *scan = node->scan;
  tb_plan *body = NULL;
  bool has_tape, others, *on_tape = tb_arena_allocate(p->scratch, tb_scan_results(scan) + 1, sizeof *on_tape);
  tb_loop *l = tb_arena_allocate(p->arena, 1, sizeof *l);
  taped *mine = tb_arena_allocate(p->scratch, 1, sizeof *mine);
  uint32_t *results = tb_arena_allocate(p->scratch, tb_scan_body_results(scan) + 1, sizeof *results);
  if (!on_tape || !l || !mine || !results)
    return TB_NO_MEMORY;
  memcpy(results, scan->results, tb_scan_body_results(scan) * sizeof *results);
  *l = (tb_loop){ .length = scan->length,
                  .reverse = scan->reverse,
                  .carry_count = scan->carries,
                  .slice_count = scan->slices,
                  .constant_count = scan->constants,
                  .out_count = scan->outs };
  tb_status status = find_tape(p, index, on_tape, &has_tape, &others);
  if (status == TB_OK && !has_tape) /* a loop that may run again sums step by step */
    status = tb_find_loop_sums(p, index, results, l);
  if (status == TB_OK)
    status =
        tb_plan_graph(p->context, p->arena, scan->body, tb_scan_body_results(scan), results, p->limits, false, &body);
  if (status == TB_OK)
    status = tb_prepare_operands(p, node);
  if (status != TB_OK)
    return status;
  l->body = body;
  status = find_tapes(p, index, l);
  if (status == TB_OK && scan->length && (has_tape || others))
    choose_blocks(p, index, on_tape, others, l);
  *mine = (taped){ .node = index, .loop = l, .on_tape = on_tape, .begin = p->address_count };
  if (status == TB_OK)
    status = lower_parts(p, index, on_tape, l);
  mine->end = p->address_count;
  for (const taped *t = p->taped; t && status == TB_OK; t = t->next)
    if (reads(p, node, t))
      status = keep_alive(p, t);
  if (l->blocks.block) {
    mine->next = p->taped;
    p->taped = mine;
  }
  return status == TB_OK ? tb_emit(p, tb_run_loop, l, "loop", index) : status;
}

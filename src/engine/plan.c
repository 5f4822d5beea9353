/* The planned executor: simplify, schedule, lower, place in memory; then run the instructions over one arena.
 *
 * Everything is decided when the program is made; a run looks up the caller's arrays and goes through a flat list.  It
 * allocates nothing and takes no locks.  Output arrays may be input arrays (weights updated in place): where an output
 * would overwrite what is still read, it waits in the arena and is copied at the end. */
#include "engine/plan.h"
#include "engine/regions.h"

#include <string.h>

/* ---- planning ---- */

static tb_status find_clashes(tb_planner *p, tb_plan *plan) {
  uint32_t count = 0;
  plan->output_bytes = tb_arena_allocate(p->arena, p->n_out + 1, sizeof *plan->output_bytes);
  plan->staging = tb_arena_allocate(p->arena, p->n_out + 1, sizeof *plan->staging);
  if (!plan->output_bytes || !plan->staging)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < p->n_out; i++)
    plan->output_bytes[i] = tb_node_bytes(p->graph->nodes[p->outputs[i]]);
  for (int pass = 0; pass < 2; pass++) {
    if (pass == 1)
      plan->clashes = tb_arena_allocate(p->arena, count + 1, sizeof *plan->clashes);
    if (pass == 1 && !plan->clashes)
      return TB_NO_MEMORY;
    count = 0;
    for (uint32_t o = 0; o < p->buffer_count; o++)
      for (uint32_t i = 0; i < p->buffer_count; i++) {
        const tb_buffer *out = &p->buffers[o], *in = &p->buffers[i];
        if (out->kind != TB_IN_OUTPUT || in->kind != TB_IN_INPUT || in->first == UINT32_MAX ||
            out->first == UINT32_MAX || in->last < out->first || out->bytes == 0 || in->bytes == 0)
          continue;
        bool same = false;
        for (const tb_in_step *note = p->in_step; note; note = note->next)
          same = same || (note->output == o && note->input == i);
        if (pass == 1)
          plan->clashes[count] = (tb_clash){ out->index, in->index, out->bytes, in->bytes,
                                             same && in->last == out->first && in->crossed <= out->first };
        count++;
      }
  }
  plan->clash_count = count;
  return TB_OK;
}

/* Where in the arena outputs wait that must not lie on an input. */
static tb_status find_staging(tb_planner *p, tb_plan *plan) {
  bool *waits = tb_arena_allocate(p->scratch, p->n_out + 1, sizeof *waits);
  if (!waits)
    return TB_NO_MEMORY;
  for (uint32_t i = 0; i < plan->clash_count; i++)
    waits[plan->clashes[i].output] = true;
  for (size_t i = 0; i < p->n_out; i++)
    if (waits[i]) {
      plan->staging[i] = plan->arena_bytes;
      plan->arena_bytes += (plan->output_bytes[i] + 63) / 64 * 64;
    }
  return TB_OK;
}

static tb_status make_tables(tb_planner *p) {
  const size_t n = p->graph->count + 1;
  p->is_output = tb_arena_allocate(p->scratch, n, sizeof *p->is_output);
  p->uses = tb_arena_allocate(p->scratch, n, sizeof *p->uses);
  p->unit_of = tb_arena_allocate(p->scratch, n, sizeof *p->unit_of);
  p->slot = tb_arena_allocate(p->scratch, n, sizeof *p->slot);
  p->epilogues = tb_arena_allocate(p->scratch, n, sizeof *p->epilogues);
  p->home = tb_arena_allocate(p->scratch, n, sizeof *p->home);
  p->views = tb_arena_allocate(p->scratch, n, sizeof *p->views);
  p->contiguous = tb_arena_allocate(p->scratch, n, sizeof *p->contiguous);
  if (!p->is_output || !p->uses || !p->unit_of || !p->slot || !p->epilogues || !p->home || !p->views || !p->contiguous)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < n; i++)
    p->views[i].buffer = p->contiguous[i].buffer = p->home[i] = TB_NO_BUFFER;
  tb_status status = tb_kernels_choose(p->context, TB_FLOAT32, &p->kernels[TB_FLOAT32]);
  if (status == TB_OK)
    status = tb_kernels_choose(p->context, TB_FLOAT64, &p->kernels[TB_FLOAT64]);
  p->kernels[TB_INT32] = p->kernels[TB_FLOAT32];
  return status;
}

static tb_status finish(tb_planner *p, tb_plan *plan) {
  *plan = (tb_plan){ .graph = p->graph,
                     .kernels = p->kernels[TB_FLOAT32]->name,
                     .count = p->instruction_count,
                     .input_count = p->graph->input_count,
                     .output_count = (uint32_t)p->n_out };
  plan->instructions = tb_arena_allocate(p->arena, p->instruction_count + 1, sizeof *plan->instructions);
  if (!plan->instructions)
    return TB_NO_MEMORY;
  if (p->instruction_count)
    memcpy(plan->instructions, p->instructions, p->instruction_count * sizeof *plan->instructions);
  tb_status status = tb_memory_plan(p, plan);
  if (status == TB_OK)
    status = find_clashes(p, plan);
  return status == TB_OK && p->outermost ? find_staging(p, plan) : status;
}

tb_status tb_plan_graph(tb_context *context, tb_arena *arena, const tb_graph *graph, size_t n_out,
                        const uint32_t *outputs, const tb_limits *limits, bool outermost, tb_plan **plan) {
  tb_planner p = { .context = context,
                   .arena = arena,
                   .graph = graph,
                   .n_out = n_out,
                   .outputs = outputs,
                   .limits = limits,
                   .outermost = outermost };
  *plan = tb_arena_allocate(arena, 1, sizeof **plan);
  p.scratch = tb_arena_new(context);
  tb_status status = *plan && p.scratch ? make_tables(&p) : TB_NO_MEMORY;
  if (status == TB_OK)
    status = tb_schedule(&p);
  if (status == TB_OK)
    status = tb_lower(&p);
  if (status == TB_OK)
    status = finish(&p, *plan);
  tb_release(context, p.buffers);
  tb_release(context, p.constant_data);
  tb_release(context, p.instructions);
  tb_release(context, p.addresses);
  tb_arena_free(p.scratch);
  return status;
}

/* ---- the executor ---- */

typedef struct planned {
  tb_arena *arena;
  tb_graph *simple, *tiled; /* tiled: with regions; NULL where there are none */
  uint32_t *outputs, threads;
  tb_plan *plan;
  char *memory;         /* of one execution */
  tb_context **workers; /* [2 threads]: where they fail, and where they fail for others; NULL for one thread */
  tb_frame frame;
} planned;

/* A plan of the graph as it is and, where that would not stay in cache, another one with regions. */
static tb_status make_plan(tb_program *program, planned *state) {
  tb_context *context = program->context;
  tb_status status =
      tb_simplify(context, program->graph, program->n_out, program->outputs, state->outputs, &state->simple);
  if (status == TB_OK)
    status = tb_plan_graph(context, state->arena, state->simple, program->n_out, state->outputs, &program->limits, true,
                           &state->plan);
  if (status == TB_OK &&
      (state->plan->arena_bytes > TB_CACHE || program->limits.tile_rows || program->limits.threads > 1))
    status = tb_regions(context, state->simple, program->n_out, state->outputs, &program->limits, state->outputs,
                        &state->tiled);
  if (status == TB_OK && state->tiled)
    status = tb_plan_graph(context, state->arena, state->tiled, program->n_out, state->outputs, &program->limits, true,
                           &state->plan);
  return status;
}

static tb_status make_workers(tb_context *context, planned *state) {
  if (state->threads < 2 || !state->tiled)
    return TB_OK;
  state->workers = tb_allocate(context, 2 * (size_t)state->threads, sizeof(tb_context *));
  for (uint32_t i = 0; i < 2 * state->threads && state->workers; i++)
    if (!(state->workers[i] = tb_context_new(NULL, NULL)))
      return TB_NO_MEMORY;
  state->frame.workers = state->workers;
  state->frame.helpers = state->workers ? state->workers + state->threads : NULL;
  return state->workers ? TB_OK : TB_NO_MEMORY;
}

/* What steps that run again add to the cost of a plan that runs so many times. */
static void add_again(const tb_plan *plan, double times, tb_cost *cost) {
  for (uint32_t i = 0; i < plan->count; i++) {
    const tb_instruction *instruction = &plan->instructions[i];
    if (instruction->run == tb_run_loop) {
      const tb_loop *l = instruction->detail;
      for (uint32_t k = 0; k < l->tape_count; k++) {
        const tb_loop *taped = l->tapes[k].loop;
        const tb_cost step = tb_graph_cost(taped->body->graph);
        const double again = times * tb_revolve_again(taped->blocks, taped->length, l->tapes[k].afresh);
        cost->flop += again * step.flop;
        cost->bytes += again * step.bytes;
        add_again(taped->body, again, cost);
      }
      add_again(l->body, times * (double)l->length, cost);
    } else if (instruction->run == tb_run_tiles) {
      const tb_tiles *t = instruction->detail;
      add_again(t->body[0], times * (double)t->full, cost);
      if (t->full != t->tiles)
        add_again(t->body[1], times * (double)(t->tiles - t->full), cost);
    }
  }
}

/* Bytes of the constants of all bodies in a plan. */
static double body_constants(const tb_plan *plan) {
  double bytes = (double)plan->constant_bytes;
  for (uint32_t i = 0; i < plan->count; i++) {
    const tb_instruction *instruction = &plan->instructions[i];
    if (instruction->run == tb_run_loop) {
      bytes += body_constants(((const tb_loop *)instruction->detail)->body);
    } else if (instruction->run == tb_run_tiles) {
      const tb_tiles *t = instruction->detail;
      bytes += body_constants(t->body[0]) + (t->full != t->tiles ? body_constants(t->body[1]) : 0);
    }
  }
  return bytes;
}

/* The largest tape kept whole though it is beyond the budget; NULL: none. */
static const tb_loop *whole_tape(const tb_plan *plan) {
  const tb_loop *most = NULL;
  for (uint32_t i = 0; i < plan->count; i++) {
    const tb_instruction *instruction = &plan->instructions[i];
    const bool loop = instruction->run == tb_run_loop, tiles = instruction->run == tb_run_tiles;
    const tb_loop *found[2] = { loop ? instruction->detail : NULL };
    if (loop)
      found[1] = whole_tape(found[0]->body);
    else if (tiles)
      found[1] = whole_tape(((const tb_tiles *)instruction->detail)->body[0]);
    for (int k = 0; k < 2; k++)
      if (found[k] && found[k]->whole && (!most || found[k]->tape_bytes > most->tape_bytes))
        most = found[k];
  }
  return most;
}

static tb_status no_room(tb_context *context, const tb_plan *plan) {
  const tb_loop *tape = whole_tape(plan);
  const double megabytes = (double)plan->arena_bytes / 1e6;
  if (tape)
    return tb_fail(context, TB_NO_MEMORY, NULL, "make the loop or the batch smaller, or take tiles of fewer rows",
                   "program: no memory for an arena of %.0f MB, %.0f MB of it the tape of a loop of %zu steps, which "
                   "tape_bytes does not shorten: %s",
                   megabytes, tape->tape_bytes / 1e6, tape->length, tape->whole);
  return tb_fail(context, TB_NO_MEMORY, NULL, "set a smaller tape_bytes, or take tiles of fewer rows",
                 "program: no memory for an arena of %.0f MB", megabytes);
}

static tb_status planned_compile(tb_program *program) {
  tb_context *context = program->context;
  planned *state = tb_allocate(context, 1, sizeof *state);
  if (!state)
    return TB_NO_MEMORY;
  program->state = state;
  state->arena = tb_arena_new(context);
  state->outputs = state->arena ? tb_arena_allocate(state->arena, program->n_out + 1, sizeof(uint32_t)) : NULL;
  if (!state->outputs)
    return TB_NO_MEMORY;
  state->threads = program->limits.threads;
  tb_status status = make_plan(program, state);
  if (status != TB_OK)
    return status;
  const tb_plan *plan = state->plan;
  state->memory = tb_arena_allocate(state->arena, plan->arena_bytes + 1, 1);
  state->frame = (tb_frame){
    .context = context,
    .bases =
        tb_arena_allocate(state->arena, TB_BASE_FIRST + plan->input_count + plan->output_count + 1, sizeof(char *)),
  };
  if (!state->memory || !state->frame.bases)
    return no_room(context, plan);
  status = make_workers(context, state);
  if (status != TB_OK)
    return status;
  program->cost = tb_graph_cost(state->simple);
  program->cost.arena_bytes = (double)plan->arena_bytes + body_constants(plan);
  add_again(plan, 1, &program->cost);
  return TB_OK;
}

/* Outputs that may not lie where the caller wants them while the plan runs. */
static bool clash(const tb_clash *c, const char *out, const char *in) {
  if (!in || out >= in + c->input_bytes || in >= out + c->output_bytes)
    return false;
  return !(c->same_allowed && in == out);
}

static tb_status planned_run(tb_program *program, const void *const *inputs, void *const *outputs) {
  planned *state = program->state;
  const tb_plan *plan = state->plan;
  tb_frame *frame = &state->frame;
  char **in = frame->bases + TB_BASE_FIRST, **out = in + plan->input_count;
  frame->bases[TB_BASE_ARENA] = state->memory;
  frame->bases[TB_BASE_CONSTANTS] = plan->constants;
  frame->status = TB_OK;
  union {
    const void *constant;
    char *bytes;
  } pointer;
  for (uint32_t i = 0; i < plan->input_count; i++) {
    pointer.constant = inputs[i]; /* inputs are only read */
    in[i] = pointer.bytes;
  }
  for (uint32_t i = 0; i < plan->output_count; i++)
    out[i] = outputs[i];
  bool waiting = false;
  for (uint32_t i = 0; i < plan->clash_count; i++) {
    const tb_clash *c = &plan->clashes[i];
    if (clash(c, outputs[c->output], in[c->input])) {
      out[c->output] = state->memory + plan->staging[c->output];
      waiting = true;
    }
  }
  tb_plan_execute(plan, frame);
  for (uint32_t i = 0; i < plan->output_count && waiting; i++)
    if (out[i] != (char *)outputs[i])
      memcpy(outputs[i], out[i], plan->output_bytes[i]);
  return frame->status;
}

static tb_status planned_print(const tb_program *program, tb_text *text) {
  const planned *state = program->state;
  tb_plan_print(state->plan, text);
  return tb_text_finish(text);
}

static void planned_free(tb_program *program) {
  planned *state = program->state;
  if (!state)
    return;
  for (uint32_t i = 0; state->workers && i < 2 * state->threads; i++)
    tb_context_free(state->workers[i]);
  tb_release(program->context, state->workers);
  tb_graph_free(state->tiled);
  tb_graph_free(state->simple);
  tb_arena_free(state->arena);
  tb_release(program->context, state);
}

const tb_executor_record tb_executor_planned = { "planned", planned_compile, planned_run, planned_print, planned_free };

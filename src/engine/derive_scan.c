/* Derivatives of a scan are scans again, so they nest to any depth.
 *
 * With one step  c′, o = f(k, c, x_k, w)  from entry carry c to exit carry c′:
 *   forward    the tangents walk along:    ċ′, ȯ = Jf (ċ, ẋ_k, ẇ), beside a second run of f;
 *   reverse    the cotangents walk back:   c̄, x̄_k, w̄ += Jfᵀ (c̄′, ō_k), with the entry carries c of each step taken
 *              from the scan's own results; w̄ is one more carry, x̄ one more stacked out.
 * Only what the derivative can reach is carried ("active"). */
#include "engine/derive.h"

/* ---- which operands matter ---- */

typedef struct tb_activity {
  bool *operand; /* [carries + slices + constants]: has a derivative within the loop */
  bool *result;  /* [carries + outs]: depends on such an operand */
} tb_activity;

/* Marks the body's nodes that depend on active operands; true when that makes a further carry active. */
static bool spread(const tb_scan *scan, bool *node, tb_activity *active) {
  const tb_graph *body = scan->body;
  uint32_t operands = scan->carries + scan->slices + scan->constants;
  for (uint32_t i = 0; i < body->count; i++) {
    node[i] = false;
    for (uint32_t k = 0; k < body->nodes[i]->operand_count && tb_differentiable(body->nodes[i]); k++)
      node[i] |= node[body->nodes[i]->operands[k]];
    for (uint32_t j = 0; j < operands; j++)
      node[i] |= active->operand[j] && body->inputs[1 + j] == i;
  }
  bool more = false;
  for (uint32_t r = 0; r < tb_scan_body_results(scan); r++) {
    active->result[r] = node[scan->results[r]];
    if (r < scan->carries && active->result[r] && !active->operand[r])
      more = active->operand[r] = true;
  }
  return more;
}

/* The least set that holds the given operands and is closed under the loop. */
static bool find_activity(tb_graph *g, const tb_node *self, const bool *given, const tb_value *dots,
                          tb_activity *active) {
  const tb_scan *scan = self->scan;
  active->operand = tb_arena_allocate(g->arena, self->operand_count + 1, sizeof(bool));
  active->result = tb_arena_allocate(g->arena, tb_scan_body_results(scan) + 1, sizeof(bool));
  bool *node = tb_arena_allocate(g->arena, scan->body->count + 1, sizeof(bool));
  if (!active->operand || !active->result || !node) {
    g->status = TB_NO_MEMORY;
    return false;
  }
  for (uint32_t i = 0; i < self->operand_count; i++)
    active->operand[i] = (given ? given[i] : !is_zero(dots[i])) && tb_dtype_real(tb_node_operand(g, self, i)->dtype);
  while (spread(scan, node, active))
    ;
  return true;
}

/* ---- a loop under construction ---- */

typedef struct tb_loop {
  tb_graph *outer, *body;
  tb_scan shape;
  uint32_t taken, given;
  tb_value step, *operands, *results;
} tb_loop;

static bool begin_loop(tb_loop *loop, tb_graph *g, const tb_scan *like, bool reverse, size_t most) {
  *loop = (tb_loop){ .outer = g, .shape = { .length = like->length, .reverse = reverse } };
  loop->operands = tb_arena_allocate(g->arena, most, sizeof(tb_value));
  loop->results = tb_arena_allocate(g->arena, most, sizeof(tb_value));
  if (!loop->operands || !loop->results || tb_graph_child(g, &loop->body) != TB_OK) {
    g->status = TB_NO_MEMORY;
    return false;
  }
  loop->step = tb_input(loop->body, "step", TB_INT32, 0, NULL);
  return true;
}

/* One more argument; carries come first, then slices, then constants.  Gives the body's input. */
static tb_value take(tb_loop *loop, const char *name, uint32_t *counter, tb_value operand) {
  if (!tb_graph_check(TB_HERE, loop->outer, "scan", 1, &operand))
    return tb_no_value;
  const tb_node *node = tb_node_of(loop->outer, operand);
  bool slice = counter == &loop->shape.slices;
  loop->operands[loop->taken++] = operand;
  (*counter)++;
  return tb_input(loop->body, name, node->dtype, node->rank - slice, node->dims + slice);
}
static tb_value take_carry(tb_loop *loop, const char *name, tb_value operand) {
  return take(loop, name, &loop->shape.carries, operand);
}
static tb_value take_slice(tb_loop *loop, const char *name, tb_value operand) {
  return take(loop, name, &loop->shape.slices, operand);
}
static tb_value take_constant(tb_loop *loop, const char *name, tb_value operand) {
  return take(loop, name, &loop->shape.constants, operand);
}

static void give(tb_loop *loop, tb_value result) {
  loop->results[loop->given++] = result;
}

static tb_value finish_loop(tb_loop *loop) {
  tb_value first = tb_no_value;
  loop->body->closed = true;
  loop->shape.outs = loop->given - loop->shape.carries;
  tb_scan_append(TB_HERE, loop->outer, &loop->shape, loop->body, loop->results, loop->operands, &first);
  return first;
}

static tb_value after(tb_value first, uint32_t count) {
  return first.id < 0 ? first : (tb_value){ first.id + (int32_t)count };
}

static tb_value zeros_where_none(tb_graph *g, tb_value a, tb_value like) {
  return is_zero(a) ? tb_fill_like_at(TB_HERE, g, like, 0) : a;
}

/* The body in work: values for each operand and result of the original. */
typedef struct tb_step {
  const tb_node *node;
  const tb_scan *scan;
  uint32_t carries, constants, operands,
      results; /* operands: carries, slices from carries on, constants; body results */
  tb_activity active;
  tb_loop loop;
  tb_value *primal;      /* [1 + operands]: what the original body reads */
  tb_value *result;      /* [results]: what it gives */
  tb_value *operand_dot; /* [operands]: tangents; in reverse, sums of the constants' cotangents so far */
  tb_value *result_bar;  /* [results]: cotangents that reach the step */
  tb_value *entry_bar;   /* [carries]: of the entries as results of the scan */
  tb_value *derivative;  /* [operands + results]: what vjp or jvp of the step gives */
  tb_value *list[3];     /* [operands + results]: arguments of that call */
} tb_step;

static bool begin_step(tb_step *step, tb_graph *g, uint32_t self, bool backward, const bool *wanted,
                       const tb_value *dots) {
  const tb_node *node = tb_node_at(g, self);
  const tb_scan *scan = node->scan;
  uint32_t operands = node->operand_count, results = tb_scan_body_results(scan), both = operands + results + 1;
  *step = (tb_step){ .node = node,
                     .scan = scan,
                     .carries = scan->carries,
                     .constants = scan->carries + scan->slices,
                     .operands = operands,
                     .results = results };
  tb_value **const arrays[] = { &step->primal,     &step->result,    &step->operand_dot,
                                &step->result_bar, &step->entry_bar, &step->derivative,
                                &step->list[0],    &step->list[1],   &step->list[2] };
  enum { ARRAYS = sizeof arrays / sizeof *arrays };
  tb_value *memory = tb_arena_allocate(g->arena, (size_t)ARRAYS * both, sizeof *memory);
  if (!memory) {
    g->status = TB_NO_MEMORY;
    return false;
  }
  for (size_t i = 0; i < (size_t)ARRAYS * both; i++)
    memory[i] = tb_no_value;
  for (size_t i = 0; i < ARRAYS; i++)
    *arrays[i] = memory + i * both;
  if (!find_activity(g, node, wanted, dots, &step->active) ||
      !begin_loop(&step->loop, g, scan, scan->reverse != backward, 4 * (size_t)both))
    return false;
  step->primal[0] = step->loop.step;
  return true;
}

static void inline_body(tb_step *step) {
  tb_graph_inline(step->loop.body, step->scan->body, step->primal, step->results, step->scan->results, step->result);
}

/* Collects those of values where the flag is set. */
static size_t collect(uint32_t count, const bool *flag, const tb_value *values, tb_value *list) {
  size_t n = 0;
  for (uint32_t i = 0; i < count; i++)
    if (flag[i])
      list[n++] = values[i];
  return n;
}

/* ---- forward ---- */

/* Whether a result of the body has a tangent: a carry is active as a whole, even where one exit does not depend. */
static bool moves(const tb_step *step, uint32_t r) {
  return r < step->carries ? step->active.operand[r] : step->active.result[r];
}

/* Every argument and, where active, its tangent, kind by kind. */
static void take_tangents(tb_step *step, tb_graph *g, uint32_t self, const tb_value *operand_dots) {
  static tb_value (*const takes[3])(tb_loop *, const char *, tb_value) = { take_carry, take_slice, take_constant };
  const uint32_t ends[3] = { step->carries, step->constants, step->operands };
  for (uint32_t kind = 0, start = 0; kind < 3; start = ends[kind++]) {
    for (uint32_t i = start; i < ends[kind]; i++)
      step->primal[1 + i] = takes[kind](&step->loop, "primal", operand(g, self, i));
    for (uint32_t i = start; i < ends[kind]; i++)
      if (step->active.operand[i])
        step->operand_dot[i] =
            takes[kind](&step->loop, "tangent", zeros_where_none(g, operand_dots[i], operand(g, self, i)));
  }
}

void tb_scan_jvp(tb_graph *g, uint32_t self, const tb_value *operand_dots, tb_value *dots) {
  tb_step step;
  if (!begin_step(&step, g, self, false, NULL, operand_dots))
    return;
  take_tangents(&step, g, self, operand_dots);
  inline_body(&step);

  const bool *active = step.active.operand;
  size_t n_in = collect(step.operands, active, step.primal + 1, step.list[0]), n_out = 0;
  collect(step.operands, active, step.operand_dot, step.list[1]);
  for (uint32_t r = 0; r < step.results; r++)
    if (moves(&step, r))
      step.list[2][n_out++] = step.result[r];
  tb_jvp(step.loop.body, n_out, step.list[2], n_in, step.list[0], step.list[1], step.derivative);

  for (uint32_t i = 0; i < step.carries; i++)
    give(&step.loop, step.result[i]);
  for (size_t i = 0; i < n_out; i++)
    give(&step.loop, step.derivative[i]);
  tb_value first = finish_loop(&step.loop);
  /* the loop's results: carries, their tangents, tangents of outs; then entries of carries, and of their tangents */
  uint32_t at = step.carries, entry = step.loop.given + step.carries;
  for (uint32_t r = 0; r < step.results; r++) {
    if (!moves(&step, r))
      continue;
    dots[r] = after(first, at++);
    if (r < step.carries)
      dots[step.results + r] = after(first, entry++);
  }
}

/* ---- reverse ---- */

/* Carries: c̄ and w̄.  Slices: entries, xs, ō and the cotangents of entries.  Constants: w. */
static void take_cotangents(tb_step *step, tb_graph *g, uint32_t self, const tb_value *bars) {
  const bool *active = step->active.operand;
  uint32_t carries = step->carries, results = step->results;
  tb_loop *loop = &step->loop;
  for (uint32_t i = 0; i < carries; i++)
    if (active[i])
      step->result_bar[i] = take_carry(loop, "cotangent", zeros_where_none(g, bars[i], operand(g, self, i)));
  for (uint32_t i = step->constants; i < step->operands; i++)
    if (active[i])
      step->operand_dot[i] = take_carry(loop, "sum", tb_fill_like_at(TB_HERE, g, operand(g, self, i), 0));
  for (uint32_t i = 0; i < carries; i++)
    step->primal[1 + i] = take_slice(loop, "entry", tb_value_at(g, self + 1 + results + i));
  for (uint32_t i = carries; i < step->constants; i++)
    step->primal[1 + i] = take_slice(loop, "slice", operand(g, self, i));
  for (uint32_t r = carries; r < results; r++)
    if (step->active.result[r] && !is_zero(bars[r]))
      step->result_bar[r] = take_slice(loop, "cotangent", bars[r]);
  for (uint32_t i = 0; i < carries; i++)
    if (active[i] && !is_zero(bars[results + i]))
      step->entry_bar[i] = take_slice(loop, "cotangent", bars[results + i]);
  for (uint32_t i = step->constants; i < step->operands; i++)
    step->primal[1 + i] = take_constant(loop, "constant", operand(g, self, i));
}

/* derivative[i]: the step's cotangent of operand i, where it is active. */
static void pull_step_back(tb_step *step) {
  size_t n_out = 0, n_in = collect(step->operands, step->active.operand, step->primal + 1, step->list[2]);
  for (uint32_t r = 0; r < step->results; r++)
    if (!is_zero(step->result_bar[r])) {
      step->list[0][n_out] = step->result[r];
      step->list[1][n_out++] = step->result_bar[r];
    }
  tb_value *found = step->primal; /* done with */
  tb_vjp(step->loop.body, n_out, step->list[0], step->list[1], n_in, step->list[2], found);
  for (uint32_t i = 0, next = 0; i < step->operands; i++)
    if (step->active.operand[i])
      step->derivative[i] = found[next++];
}

void tb_scan_vjp(tb_graph *g, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars) {
  tb_step step;
  if (!begin_step(&step, g, self, true, wanted, NULL))
    return;
  take_cotangents(&step, g, self, bars);
  inline_body(&step);
  pull_step_back(&step);

  const bool *active = step.active.operand;
  tb_loop *loop = &step.loop;
  uint32_t order[3][2] = { { 0, step.carries }, { step.constants, step.operands }, { step.carries, step.constants } };
  for (uint32_t i = 0; i < step.carries; i++)
    if (active[i])
      give(loop, plus(loop->body, step.derivative[i], step.entry_bar[i]));
  for (uint32_t i = step.constants; i < step.operands; i++)
    if (active[i])
      give(loop, plus(loop->body, step.operand_dot[i], step.derivative[i]));
  for (uint32_t i = step.carries; i < step.constants; i++)
    if (active[i])
      give(loop, step.derivative[i]);
  tb_value first = finish_loop(loop);
  for (uint32_t part = 0, at = 0; part < 3; part++)
    for (uint32_t i = order[part][0]; i < order[part][1]; i++)
      if (active[i]) {
        if (wanted[i])
          operand_bars[i] = after(first, at);
        at++;
      }
}

/* A pointwise group becomes one program: steps on tiles that stay in the first cache.
 *
 * Axes that run on in every operand are merged; what is left is [outer…, rows, cols].  Operands are lanes: vectors, or
 * scalars of their row (bias columns, numbers).  Steps are written by fuse_adam.c and fuse_steps.c.  Values that leave
 * the group are written where they belong, the others to temporary blocks that are used again as soon as they are free.
 */
#include "engine/fuse.h"

#include <string.h>

/* ---- values ---- */

static void add_value(tb_fuser *f, uint32_t node, bool member) {
  if (f->slot[node])
    return;
  f->values[f->value_count++] = (tb_fused){ .node = node, .lane = TB_NO_LANE, .member = member };
  f->slot[node] = f->value_count;
}

static void collect(tb_fuser *f) {
  for (uint32_t m = 0; m < f->unit->count; m++)
    add_value(f, f->unit->members[m], true);
  for (uint32_t m = 0; m < f->unit->count; m++) {
    const tb_node *node = tb_fuser_node(f, f->unit->members[m]);
    for (uint32_t k = 0; k < node->operand_count; k++) {
      add_value(f, node->operands[k], false);
      tb_fuser_value(f, node->operands[k])->inside++;
    }
  }
}

/* ---- the iteration space ---- */

/* Views of everything that is not a temporary, along the axes of the first member that are not of length 1. */
static tb_status find_views(tb_fuser *f) {
  const tb_node *shape = tb_fuser_node(f, f->unit->members[0]);
  for (uint32_t i = 0; i < shape->rank; i++)
    if (shape->dims[i] != 1)
      f->dims[f->rank++] = shape->dims[i];
  tb_status status = TB_OK;
  for (uint32_t v = 0; v < f->value_count && status == TB_OK; v++) {
    tb_fused *x = &f->values[v];
    const tb_node *node = tb_fuser_node(f, x->node);
    tb_view view = { .buffer = TB_NO_BUFFER };
    if (x->member && !tb_fuser_leaves(f, x))
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
static void merge_axes(tb_fuser *f) {
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

static void make_tiles(tb_fuser *f) {
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

uint16_t tb_fuse_lane(tb_fuser *f) {
  return (uint16_t)f->program->lane_count++;
}

uint16_t tb_fuse_temporary(tb_fuser *f) {
  if (f->free_count)
    return f->free_lanes[--f->free_count];
  const uint16_t lane = tb_fuse_lane(f);
  f->lanes[lane] = (tb_lane){ .temporary = true, .row = f->program->tile_cols, .col = 1 };
  return lane;
}

void tb_fuse_give_back(tb_fuser *f, uint16_t lane) {
  if (lane != TB_NO_LANE && f->free_count < sizeof f->free_lanes / sizeof f->free_lanes[0])
    f->free_lanes[f->free_count++] = lane;
}

void tb_fuse_release(tb_fuser *f, tb_fused *v) {
  if (v->reads && --v->reads == 0 && v->lane != TB_NO_LANE && f->lanes[v->lane].temporary)
    tb_fuse_give_back(f, v->lane);
}

/* The lane of a value that lies in a buffer. */
static uint16_t lane_of_view(tb_fuser *f, uint32_t v) {
  const tb_view *view = &f->views[v];
  const uint16_t index = tb_fuse_lane(f);
  tb_lane *lane = &f->lanes[index];
  *lane = (tb_lane){ .col = f->rank ? view->strides[f->rank - 1] : 0 };
  lane->row = f->rank > 1 ? view->strides[f->rank - 2] : 0;
  if (f->values[v].member && f->rank == 0)
    lane->col = 1;
  for (uint32_t i = 0; i + 2 < f->rank; i++)
    lane->outer[i] = view->strides[i];
  return index;
}

uint16_t tb_fuse_operand(tb_fuser *f, tb_fused *v) {
  if (v->lane == TB_NO_LANE)
    v->lane = lane_of_view(f, (uint32_t)(v - f->values));
  return v->lane;
}

uint16_t tb_fuse_destination(tb_fuser *f, tb_fused *v) {
  const uint32_t index = (uint32_t)(v - f->values);
  v->lane = f->views[index].buffer != TB_NO_BUFFER ? lane_of_view(f, index) : tb_fuse_temporary(f);
  v->done = true;
  return v->lane;
}

/* ---- addresses ---- */

/* The input may be the output's own array when every element is read before it is written. */
static bool in_step(const tb_fuser *f, const tb_fused *in, const tb_fused *out) {
  const tb_lane *a = &f->lanes[in->lane], *b = &f->lanes[out->lane];
  return a->row == b->row && a->col == b->col && memcmp(a->outer, b->outer, sizeof a->outer) == 0 &&
         f->views[in - f->values].offset == f->views[out - f->values].offset &&
         f->last_read[in->lane] <= f->stored[out->lane];
}

static tb_status address_lanes(tb_fuser *f) {
  tb_status status = TB_OK;
  const size_t block = f->program->tile_rows * f->program->tile_cols * f->element;
  for (uint32_t v = 0; v < f->value_count && status == TB_OK; v++) {
    const tb_fused *x = &f->values[v];
    if (x->lane == TB_NO_LANE || f->lanes[x->lane].temporary)
      continue;
    status = x->member ? tb_touch(f->p, &f->views[v], f->element, true, &f->lanes[x->lane].at)
                       : tb_touch_in_step(f->p, &f->views[v], f->element, &f->lanes[x->lane].at);
    for (uint32_t o = 0; o < f->value_count && status == TB_OK && !x->member; o++) {
      const tb_fused *out = &f->values[o];
      if (out->member && out->lane != TB_NO_LANE && !f->lanes[out->lane].temporary && in_step(f, x, out))
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
  tb_fuser f = {
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
    status = tb_fuse_adam(&f);
  if (status == TB_OK)
    status = tb_fuse_members(&f);
  if (status == TB_OK)
    status = address_lanes(&f);
  for (uint32_t v = 0; v < f.value_count; v++)
    f.slot[f.values[v].node] = 0;
  return status == TB_OK ? tb_emit(p, tb_run_pointwise, f.program, "pointwise", unit->members[unit->count - 1])
                         : status;
}

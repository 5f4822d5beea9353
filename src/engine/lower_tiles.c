/* Tiles of rows as one instruction: what a worker needs to take any tile, and how sums over rows are put together.
 *
 * Tiles stand in at most TB_MOST_GROUPS groups of neighbours, as even as can be; their number comes from the problem
 * alone.  A worker owns the memory of one tile. */
#include "engine/plan.h"

static size_t aligned(size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

/* Rows that lie one after the other are read where they are, tile by tile. */
static tb_status operands_of(tb_planner *p, const tb_node *node, const tb_tiling *t, tb_tile_operand *operands) {
  tb_status status = tb_prepare_operands(p, node);
  for (uint32_t k = 0; k < t->operand_count && status == TB_OK; k++) {
    const tb_node *a = tb_node_operand(p->graph, node, k);
    const size_t size = tb_dtype_size(a->dtype);
    tb_view view;
    operands[k].row = t->operands[k].cut ? t->operands[k].inner * size : 0;
    status = tb_contiguous_view(p, node->operands[k], &view);
    if (status != TB_OK)
      return status;
    if (operands[k].row && operands[k].row * t->rows == tb_node_bytes(a))
      status = tb_touch_in_step(p, &view, size, &operands[k].at);
    else
      status = tb_touch(p, &view, size, false, &operands[k].at);
  }
  return status;
}

/* Whether a body writes its result k, row by row, only when it has read those rows of operand j. */
static bool written_behind(const tb_plan *body, uint32_t k, uint32_t j) {
  for (uint32_t i = 0; i < body->clash_count; i++)
    if (body->clashes[i].output == k && body->clashes[i].input == 1 + j && !body->clashes[i].same_allowed)
      return false;
  return true;
}

/* Results and operands that may be one array: no tile reads rows that another one writes. */
static tb_status note_in_place(tb_planner *p, uint32_t index, const tb_tiling *t, const tb_tiles *tiles) {
  const tb_node *node = p->graph->nodes[index];
  tb_status status = TB_OK;
  for (uint32_t k = 0; k < t->result_count; k++)
    for (uint32_t j = 0; j < t->operand_count && status == TB_OK; j++) {
      const tb_tile_result *r = &tiles->results[k];
      const tb_tile_operand *a = &tiles->operands[j];
      if (r->kind != TB_TILING_ROWS || r->outer != 1 || a->row != r->row ||
          a->row * t->rows != tb_node_bytes(tb_node_operand(p->graph, node, j)) || a->at.offset || r->at.offset)
        continue;
      if (written_behind(tiles->body[0], k, j) && written_behind(tiles->body[1], k, j))
        status = tb_note_in_step(p, r->at.base, a->at.base); /* still buffers, see tb_touch */
    }
  return status;
}

/* Results go where they belong as far as they can; *parts is the memory of a worker for the others. */
static tb_status result_of(tb_planner *p, uint32_t index, const tb_tiling *t, const tb_tiles *tiles, uint32_t k,
                           tb_tile_result *r, size_t *parts) {
  const tb_tiling_result *from = &t->produce[k];
  const tb_node *node = p->graph->nodes[index + 1 + k];
  const size_t size = tb_dtype_size(node->dtype);
  *r = (tb_tile_result){ .kind = from->kind, .bytes = tb_node_bytes(node), .part = *parts };
  tb_status status = tb_write_result(p, index + 1 + k, &r->at);
  if (from->kind == TB_TILING_ROWS) {
    r->row = from->inner * size;
    r->outer = from->outer;
    *parts += r->outer > 1 ? aligned(r->outer * r->row * t->tile) : 0;
    return status;
  }
  *parts += aligned(r->bytes);
  if (from->kind == TB_TILING_SUM) {
    r->count = node->elements;
    r->element = size;
    r->add = p->kernels[node->dtype]->pointwise->binary[TB_ADD][TB_VV];
    if (status == TB_OK && tiles->groups > 1)
      status = tb_touch_scratch(p, (tiles->groups - 1) * aligned(r->bytes), &r->groups);
  }
  return status;
}

/* The most groups of tiles that an instruction of a plan has, in its loops too. */
static size_t inner_groups(const tb_plan *plan) {
  size_t most = 1;
  for (uint32_t i = 0; i < plan->count; i++) {
    const tb_instruction *instruction = &plan->instructions[i];
    size_t groups = 1;
    if (instruction->run == tb_run_tiles)
      groups = ((const tb_tiles *)instruction->detail)->groups;
    else if (instruction->run == tb_run_loop)
      groups = inner_groups(((const tb_loop *)instruction->detail)->body);
    most = groups > most ? groups : most;
  }
  return most;
}

tb_status tb_lower_tiles(tb_planner *p, uint32_t index) {
  const tb_node *node = p->graph->nodes[index];
  const tb_tiling *t = node->tiling;
  tb_tiles *tiles = tb_arena_allocate(p->arena, 1, sizeof *tiles);
  tb_tile_operand *operands = tb_arena_allocate(p->arena, t->operand_count + 1, sizeof *operands);
  tb_tile_result *results = tb_arena_allocate(p->arena, t->result_count + 1, sizeof *results);
  tb_plan *body[2] = { NULL, NULL };
  if (!tiles || !operands || !results)
    return TB_NO_MEMORY;
  tb_status status = TB_OK;
  for (int k = 0; k < 2 && t->body[k] && status == TB_OK; k++)
    status =
        tb_plan_graph(p->context, p->arena, t->body[k], t->result_count, t->results[k], p->limits, false, &body[k]);
  if (status != TB_OK)
    return status;
  *tiles = (tb_tiles){ .body = { body[0], body[1] ? body[1] : body[0] },
                       .rows = t->rows,
                       .tile = t->tile,
                       .tiles = t->tiles,
                       .full = t->full,
                       .groups = t->tiles < TB_MOST_GROUPS ? t->tiles : TB_MOST_GROUPS,
                       .operand_count = t->operand_count,
                       .result_count = t->result_count,
                       .operands = operands,
                       .results = results };
  const size_t items = tiles->groups * inner_groups(body[0]);
  const uint32_t threads = p->outermost ? p->limits->threads : 1;
  tiles->threads = threads < items ? threads : (uint32_t)items;
  size_t parts = 64; /* behind the number of the row */
  status = operands_of(p, node, t, operands);
  for (uint32_t k = 0; k < t->result_count && status == TB_OK; k++)
    status = result_of(p, index, t, tiles, k, &results[k], &parts);
  if (status == TB_OK)
    status = note_in_place(p, index, t, tiles);
  const size_t arena[2] = { body[0]->arena_bytes, body[1] ? body[1]->arena_bytes : 0 };
  tiles->bases_at = parts;
  tiles->arena_at = parts + aligned((TB_BASE_FIRST + 1 + t->operand_count + t->result_count) * sizeof(char *));
  tiles->worker_bytes = tiles->arena_at + aligned(arena[0] > arena[1] ? arena[0] : arena[1]);
  if (status == TB_OK)
    status = tb_touch_scratch(p, tiles->threads * tiles->worker_bytes, &tiles->memory);
  return status == TB_OK ? tb_emit(p, tb_run_tiles, tiles, "tiles", index) : status;
}

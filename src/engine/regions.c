/* Which rows to cut into tiles, how many a tile, and the graph in which that is done.
 *
 * Of all axes along which inputs or draws could be cut, the one that leaves the most arithmetic inside regions is
 * taken.  A simple account of arithmetic, of bytes by the cache that they come from, and of what starting a node costs
 * says how many tiles are best, and whether one is.  How many rows a tile has is decided by the problem alone, never by
 * the machine or the number of threads: sums over rows are sums over tiles, so their bits depend on it. */
#include "engine/regions.h"

#include <string.h>

enum {
  MOST_STAGES = 4,
  TEAM = 4,               /* threads that should find as many tiles each */
  SHARED_CACHE = 1 << 18, /* bytes of the nearest cache that what tiles share may fill */
  FAR_CACHE = 24 << 20,   /* of the farthest */
  LEAST_FLOP = 4000000,   /* of a region */
};
static const double FLOP_RATE = 100, NODE_TIME = 30, LEAST_GAIN = 1.03; /* FLOP a nanosecond, nanoseconds of a node */

typedef struct builder {
  tb_context *context;
  tb_arena *arena;
  const tb_graph *graph;
  size_t n_out;
  const uint32_t *outputs;
  const tb_limits *limits;
  const tb_row_map *rows;
  uint32_t stage_count;
  bool *made;                    /* [stages] */
  bool *outside;                 /* [nodes]: needed outside of regions */
  bool *inside[MOST_STAGES + 1]; /* [nodes]: of the region of the stage, NULL where none is made */
  tb_rewriter w;
  uint32_t *map; /* [nodes] */
} builder;

/* ---- the axis ---- */

static double stage_flop(const tb_row_map *rows, uint32_t stage) {
  double flop = 0;
  for (uint32_t i = 0; i < rows->graph->count; i++)
    if (rows->kinds[i] != TB_SHARED && rows->stages[i] == stage && !rows->light[i])
      flop += tb_ops[rows->graph->nodes[i]->op].flop(rows->graph, rows->graph->nodes[i]);
  return flop;
}

static double graph_flop(const tb_graph *graph) {
  double flop = 0;
  for (uint32_t i = 0; i < graph->count; i++)
    flop += tb_ops[graph->nodes[i]->op].flop(graph, graph->nodes[i]);
  return flop;
}

static uint32_t stages_of(const tb_row_map *rows) {
  uint32_t most = 0;
  for (uint32_t i = 0; i < rows->graph->count; i++)
    most = rows->stages[i] > most ? rows->stages[i] : most;
  return most + 1 < MOST_STAGES ? most + 1 : MOST_STAGES;
}

static double rows_flop(const tb_row_map *rows) {
  double flop = 0;
  for (uint32_t s = 0; s < stages_of(rows); s++)
    flop += stage_flop(rows, s);
  return flop;
}

/* Inputs, also under another shape (rows within rows of a tile), and draws. */
static bool is_seed(const tb_graph *graph, const tb_node *node) {
  return node->op == TB_OP_INPUT || node->op == TB_OP_NORMAL || node->op == TB_OP_UNIFORM ||
         (node->op == TB_OP_RESHAPE && tb_node_operand(graph, node, 0)->op == TB_OP_INPUT);
}

/* The analysis of the axis with the most work on rows, among equals of the longest; NULL: none. */
static tb_status find_rows(builder *b) {
  enum { MOST_TRIED = 64 };
  const tb_row_map *tried[MOST_TRIED];
  size_t count = 0;
  double best = b->limits->tile_rows ? 0 : LEAST_FLOP;
  tb_status status = TB_OK;
  for (uint32_t i = 0; i < b->graph->count; i++)
    for (uint32_t axis = 0; is_seed(b->graph, b->graph->nodes[i]) && axis < b->graph->nodes[i]->rank; axis++) {
      bool known = b->graph->nodes[i]->dims[axis] < 2 || count == MOST_TRIED;
      for (size_t t = 0; t < count && !known; t++)
        known = tried[t]->tags[i].state == TB_TAG_ROWS && tried[t]->tags[i].axis == axis && tried[t]->tags[i].unit == 1;
      tb_row_map *rows;
      if (known)
        continue;
      status = tb_rows_find(b->arena, b->graph, i, axis, &rows);
      if (status != TB_OK)
        return status;
      tried[count++] = rows;
      const double flop = rows_flop(rows);
      if (flop > best || (b->rows && flop == best && rows->count > b->rows->count)) {
        best = flop;
        b->rows = rows;
      }
    }
  return status;
}

/* ---- what is inside, what leaves ---- */

static bool in_stage(const builder *b, uint32_t i, uint32_t stage) {
  return b->rows->kinds[i] != TB_SHARED && b->rows->stages[i] == stage && stage < b->stage_count && b->made[stage];
}

/* Computed outside although it could be inside: cheap, or only another view. */
static bool again_outside(const builder *b, uint32_t i) {
  const tb_node *node = b->graph->nodes[i];
  return b->rows->kinds[i] == TB_ROWWISE &&
         (b->rows->light[i] || (tb_op_is_view(node->op) && node->op != TB_OP_RESULT));
}

static bool is_result(const builder *b, uint32_t i, uint32_t stage) {
  return b->outside[i] && in_stage(b, i, stage) && !again_outside(b, i) && b->graph->nodes[i]->op != TB_OP_SCAN;
}

static void need_operand(builder *b, uint32_t stage, uint32_t operand) {
  const bool here = in_stage(b, operand, stage) || (b->rows->light[operand] && b->rows->stages[operand] <= stage);
  *(here ? &b->inside[stage][operand] : &b->outside[operand]) = true;
}

static void mark(builder *b) {
  for (size_t i = 0; i < b->n_out; i++)
    b->outside[b->outputs[i]] = true;
  for (uint32_t i = b->graph->count; i-- > 0;) {
    const tb_node *node = b->graph->nodes[i];
    bool whole = b->outside[i];
    for (uint32_t s = 0; s < b->stage_count; s++) {
      if (b->made[s] && is_result(b, i, s)) {
        b->inside[s][i] = true;
        whole = false;
      }
      for (uint32_t k = 0; b->made[s] && b->inside[s][i] && k < node->operand_count; k++)
        need_operand(b, s, node->operands[k]);
    }
    for (uint32_t k = 0; whole && k < node->operand_count; k++)
      b->outside[node->operands[k]] = true;
  }
  for (uint32_t i = 0; i < b->graph->count; i++) /* results come with their loop */
    for (uint32_t s = 0; s < b->stage_count; s++)
      if (b->made[s] && b->graph->nodes[i]->op == TB_OP_RESULT)
        b->inside[s][i] = b->inside[s][b->graph->nodes[i]->operands[0]];
}

/* ---- how many rows ---- */

/* What a tile of so many rows is and does. */
typedef struct work {
  double arena, moved, flop; /* bytes of its plan; bytes that its nodes read and write */
  double shared;             /* bytes that all tiles share: operands, and sums over rows */
  double nodes;              /* that run, loops counted out */
} work;

static double nodes_run(const tb_graph *graph) {
  double count = 0;
  for (uint32_t i = 0; i < graph->count; i++) {
    const tb_node *node = graph->nodes[i];
    if (node->scan)
      count += (double)node->scan->length * nodes_run(node->scan->body);
    else
      count += tb_ops[node->op].arity != 0 && !tb_op_is_view(node->op);
  }
  return count;
}

static tb_status measure_tile(builder *b, const tb_region *region, size_t rows, work *out) {
  tb_graph *body;
  tb_region_operand *operands;
  uint32_t count, *results = tb_arena_allocate(b->arena, region->result_count + 1, sizeof *results);
  tb_arena *arena = tb_arena_new(b->context);
  tb_plan *plan = NULL;
  tb_status status = results && arena
                         ? tb_region_body(b->context, b->arena, region, rows, &body, results, &count, &operands)
                         : TB_NO_MEMORY;
  *out = (work){ .arena = 0 };
  if (status == TB_OK) {
    status = tb_plan_graph(b->context, arena, body, region->result_count, results, b->limits, false, &plan);
    out->arena = status == TB_OK ? (double)plan->arena_bytes : 0;
    for (uint32_t i = 0; i < count; i++)
      if (operands[i].need.state != TB_TAG_ROWS)
        out->shared += (double)tb_node_bytes(b->graph->nodes[operands[i].node]);
    for (uint32_t i = 0; i < region->result_count; i++)
      if (b->rows->kinds[region->results[i]] == TB_PARTIAL)
        out->shared += (double)tb_node_bytes(b->graph->nodes[region->results[i]]);
    const tb_cost cost = tb_graph_cost(body);
    out->flop = cost.flop;
    out->moved = cost.bytes;
    out->nodes = nodes_run(body);
    tb_graph_free(body);
  }
  tb_arena_free(arena);
  return status;
}

/* Bytes a nanosecond from a cache that holds so many. */
static double speed(double bytes) {
  return bytes <= SHARED_CACHE ? 100 : bytes <= TB_CACHE ? 60 : bytes <= FAR_CACHE ? 30 : 8;
}

/* Nanoseconds that all rows take in so many tiles, from what a tile of one row and one of `many` rows do: a part that
 * every tile pays and a part of each row. */
static double time_of(const work *one, const work *few, double many, double rows, double tiles) {
  const double apart = many > 1 ? many - 1 : 1;
  const double arena = (few->arena - one->arena) / apart, moved = (few->moved - one->moved) / apart;
  const double of_tile = (one->moved - moved) / speed(one->shared) + one->nodes * NODE_TIME;
  const double of_row = moved / speed(one->arena + arena * (rows / tiles - 1)) + one->flop / FLOP_RATE;
  return tiles * of_tile + rows * of_row;
}

/* The best number of tiles, a multiple of the team where there are many. */
static size_t best_tiles(const work *one, const work *few, size_t many, size_t rows, double *gain) {
  const double whole = time_of(one, few, (double)many, (double)rows, 1);
  double least = whole;
  size_t best = 1;
  for (size_t tiles = 2; tiles < rows + TEAM; tiles += tiles < TEAM ? 2 : TEAM) {
    const size_t n = tiles < rows ? tiles : rows;
    const double time = time_of(one, few, (double)many, (double)rows, (double)n);
    if (time < least) {
      least = time;
      best = n;
    }
  }
  *gain = whole / least;
  return best;
}

/* Whether rows never are rows of a matrix: then no bit depends on how many there are in a tile. */
static bool products_by_batch(const tb_row_map *rows) {
  for (uint32_t i = 0; i < rows->graph->count; i++) {
    const tb_node *node = rows->graph->nodes[i];
    if (rows->bodies[i]
            ? !products_by_batch(rows->bodies[i])
            : node->op == TB_OP_MATMUL && rows->kinds[i] == TB_ROWWISE && rows->tags[i].axis + 2 >= node->rank)
      return false;
  }
  return true;
}

/* Rows that know nothing of each other, as replicas do: no sums over them leave the region. */
static bool independent(const builder *b, const tb_region *region) {
  bool sums = false;
  for (uint32_t i = 0; i < region->result_count; i++)
    sums = sums || b->rows->kinds[region->results[i]] == TB_PARTIAL;
  return !sums && products_by_batch(b->rows);
}

/* Rows of a tile; 0 where the region does not pay.  *large: it is one, and does not stay in cache. */
static tb_status choose_tile(builder *b, const tb_region *region, size_t *rows_of_tile, bool *large) {
  enum { MANY = 8 };
  const size_t rows = b->rows->count, many = rows < MANY ? rows : MANY;
  work one, few;
  *rows_of_tile = b->limits->tile_rows < rows ? b->limits->tile_rows : 0;
  *large = b->limits->tile_rows;
  if (b->limits->tile_rows)
    return TB_OK;
  tb_status status = measure_tile(b, region, 1, &one);
  if (status == TB_OK)
    status = measure_tile(b, region, many, &few);
  if (status != TB_OK)
    return status;
  double gain;
  size_t tiles = best_tiles(&one, &few, many, rows, &gain);
  *large = one.arena > TB_CACHE;
  if (gain < LEAST_GAIN)
    tiles = 1;
  if (independent(b, region)) { /* the number of threads may have its say */
    const size_t threads = b->limits->threads < rows ? b->limits->threads : rows;
    tiles = *large ? rows : (tiles + threads - 1) / threads * threads;
    tiles = tiles < rows ? tiles : rows;
  }
  *rows_of_tile = tiles > 1 ? (rows + tiles - 1) / tiles : 0;
  *large = *large && *rows_of_tile == 1;
  return TB_OK;
}

/* ---- the new graph ---- */

static tb_status copy_outside(builder *b, uint32_t i) {
  const tb_node *node = b->graph->nodes[i];
  uint32_t *operands = tb_arena_allocate(b->w.to->arena, node->operand_count + 1, sizeof *operands);
  if (!operands)
    return TB_NO_MEMORY;
  for (uint32_t k = 0; k < node->operand_count; k++)
    operands[k] = b->map[node->operands[k]];
  tb_node copy = *node;
  if (node->scan)
    copy.scan = NULL;
  tb_status status = node->scan ? tb_scan_copy(b->context, node->scan, b->w.to->arena, &copy.scan) : TB_OK;
  if (status == TB_OK)
    status = tb_rewrite_append(&b->w, &copy, node->operand_count, operands, &b->map[i]);
  if (status != TB_OK && copy.scan)
    tb_graph_free(copy.scan->body);
  for (uint32_t r = i + 1; node->scan && status == TB_OK && r <= i + tb_scan_results(node->scan); r++)
    status = tb_rewrite_append(&b->w, b->graph->nodes[r], 1, &b->map[i], &b->map[r]);
  return status;
}

/* The operands of the tiles in the new graph, and how they are cut. */
static tb_status tiling_operands(builder *b, uint32_t count, const tb_region_operand *list, tb_tiling *t,
                                 uint32_t *operands) {
  tb_tiling_operand *cut = tb_arena_allocate(b->w.to->arena, count + 1, sizeof *cut);
  if (!cut)
    return TB_NO_MEMORY;
  t->operand_count = count;
  t->operands = cut;
  tb_status status = TB_OK;
  for (uint32_t k = 0; k < count && status == TB_OK; k++) {
    const tb_node *node = b->graph->nodes[list[k].node];
    operands[k] = b->map[list[k].node];
    if (list[k].need.state == TB_TAG_ROWS)
      cut[k] = (tb_tiling_operand){ true, tb_rows_inner(node, list[k].need) };
    if (list[k].transposed) {
      tb_node turned = tb_shaped_like(node, TB_OP_TRANSPOSE);
      for (uint32_t i = 0; i < node->rank; i++)
        turned.attributes.permutation[i] = (uint8_t)(i + 2 < node->rank ? i : 2 * node->rank - 3 - i);
      turned.dims[node->rank - 2] = node->dims[node->rank - 1];
      turned.dims[node->rank - 1] = node->dims[node->rank - 2];
      status = tb_rewrite_append(&b->w, &turned, 1, &operands[k], &operands[k]);
    }
  }
  return status;
}

static tb_status tiling_results(builder *b, const tb_region *region, tb_tiling *t) {
  tb_tiling_result *produce = tb_arena_allocate(b->w.to->arena, region->result_count + 1, sizeof *produce);
  if (!produce)
    return TB_NO_MEMORY;
  t->result_count = region->result_count;
  t->produce = produce;
  for (uint32_t k = 0; k < region->result_count; k++) {
    const uint32_t i = region->results[k];
    const tb_node *node = b->graph->nodes[i];
    if (b->rows->kinds[i] == TB_ROWWISE)
      produce[k] = (tb_tiling_result){ TB_TILING_ROWS, tb_rows_outer(b->rows, node, b->rows->tags[i]),
                                       tb_rows_inner(node, b->rows->tags[i]) };
    else
      produce[k].kind = b->rows->kinds[i] == TB_PARTIAL ? TB_TILING_SUM : TB_TILING_SAME;
  }
  return TB_OK;
}

/* Tiles within a tile: of rows of each replica, say. */
static tb_status tile_again(builder *b, tb_tiling *t, int k, uint32_t count, uint32_t *results) {
  tb_limits limits = *b->limits;
  tb_graph *tiled;
  limits.threads = 1;
  tb_status status = tb_regions(b->context, t->body[k], count, results, &limits, results, &tiled);
  if (status == TB_OK && tiled) {
    t->source[k] = t->body[k];
    t->body[k] = tiled;
  }
  return status;
}

static tb_status append_region(builder *b, const tb_region *region, size_t tile, bool large) {
  tb_arena *arena = b->w.to->arena;
  tb_tiling *t = tb_arena_allocate(arena, 1, sizeof *t);
  uint32_t *results[2] = { tb_arena_allocate(arena, region->result_count + 1, sizeof(uint32_t)),
                           tb_arena_allocate(arena, region->result_count + 1, sizeof(uint32_t)) };
  if (!t || !results[0] || !results[1])
    return TB_NO_MEMORY;
  const size_t rows = b->rows->count;
  t->rows = rows;
  t->tiles = (rows + tile - 1) / tile;
  t->tile = (rows + t->tiles - 1) / t->tiles;
  t->full = rows - t->tiles * (t->tile - 1);
  t->results[0] = results[0];
  t->results[1] = results[1];
  uint32_t count = 0, node = 0;
  tb_region_operand *list = NULL;
  tb_status status = tb_region_body(b->context, b->arena, region, t->tile, &t->body[0], results[0], &count, &list);
  if (status == TB_OK && t->full != t->tiles)
    status = tb_region_body(b->context, b->arena, region, t->tile - 1, &t->body[1], results[1], &count, &list);
  for (int k = 0; k < 2 && large && t->body[k] && status == TB_OK; k++)
    status = tile_again(b, t, k, region->result_count, results[k]);
  uint32_t *operands = tb_arena_allocate(arena, count + 1, sizeof *operands);
  if (status == TB_OK)
    status = operands ? tiling_operands(b, count, list, t, operands) : TB_NO_MEMORY;
  if (status == TB_OK)
    status = tiling_results(b, region, t);
  if (status == TB_OK)
    status = tb_rewrite_append(&b->w, &(tb_node){ .op = TB_OP_TILES, .tiling = t }, count, operands, &node);
  if (status != TB_OK) {
    for (int k = 0; k < 2; k++) {
      tb_graph_free(t->body[k]);
      tb_graph_free(t->source[k]);
    }
    return status;
  }
  for (uint32_t k = 0; k < region->result_count && status == TB_OK; k++) {
    tb_node result = tb_shaped_like(b->graph->nodes[region->results[k]], TB_OP_RESULT);
    result.attributes.index = k;
    status = tb_rewrite_append(&b->w, &result, 1, &node, &b->map[region->results[k]]);
  }
  return status;
}

/* When a node that is needed outside can be had there: before the region of this stage. */
static uint32_t known_before(const builder *b, uint32_t i) {
  const uint32_t stage = b->rows->stages[i];
  return b->rows->kinds[i] == TB_SHARED || b->rows->light[i] || !in_stage(b, i, stage) ? stage : stage + 1;
}

static tb_status emit_outside(builder *b, uint32_t stage) {
  tb_status status = TB_OK;
  for (uint32_t i = 0; i < b->graph->count && status == TB_OK; i++) {
    const tb_node *node = b->graph->nodes[i];
    if (b->outside[i] && node->op != TB_OP_RESULT && node->op != TB_OP_INPUT && known_before(b, i) == stage &&
        !is_result(b, i, b->rows->stages[i]))
      status = copy_outside(b, i);
  }
  return status;
}

static tb_status make_region(builder *b, uint32_t stage, tb_region *region) {
  uint32_t *results = tb_arena_allocate(b->arena, b->graph->count + 1, sizeof *results);
  if (!results)
    return TB_NO_MEMORY;
  *region = (tb_region){ .rows = b->rows, .stage = stage, .inside = b->inside[stage], .results = results };
  for (uint32_t i = 0; i < b->graph->count; i++)
    if (is_result(b, i, stage))
      results[region->result_count++] = i;
  return TB_OK;
}

static tb_status add_inputs(builder *b) {
  tb_graph *to = b->w.to;
  to->inputs = tb_allocate(b->context, b->graph->input_count + 1, sizeof *to->inputs);
  if (!to->inputs)
    return TB_NO_MEMORY;
  to->input_capacity = b->graph->input_count + 1;
  tb_status status = TB_OK;
  for (uint32_t i = 0; i < b->graph->input_count && status == TB_OK; i++) {
    const uint32_t input = b->graph->inputs[i];
    status = tb_rewrite_append(&b->w, b->graph->nodes[input], 0, NULL, &b->map[input]);
    to->inputs[to->input_count++] = b->map[input];
  }
  return status;
}

static tb_status assemble(builder *b, const tb_region *regions, const size_t *tiles, const bool *large, uint32_t last) {
  tb_status status = tb_graph_new(b->context, &b->w.to);
  if (status == TB_OK)
    status = add_inputs(b);
  for (uint32_t s = 0; s <= last && status == TB_OK; s++) {
    status = emit_outside(b, s);
    if (status == TB_OK && s < b->stage_count && b->made[s] && regions[s].result_count)
      status = append_region(b, &regions[s], tiles[s], large[s]);
  }
  return status;
}

/* Regions of all stages with enough work, then again without those that do not pay. */
static tb_status plan_regions(builder *b, tb_region *regions, size_t *tiles, bool *large, bool *any) {
  const size_t n = b->graph->count + 1;
  tb_status status = TB_OK;
  for (bool again = true; again && status == TB_OK;) {
    again = *any = false;
    b->outside = tb_arena_allocate(b->arena, n, sizeof *b->outside);
    for (uint32_t s = 0; s < b->stage_count; s++)
      b->inside[s] = tb_arena_allocate(b->arena, n, sizeof **b->inside);
    if (!b->outside || !b->inside[b->stage_count - 1])
      return TB_NO_MEMORY;
    mark(b);
    for (uint32_t s = 0; s < b->stage_count && status == TB_OK; s++) {
      if (!b->made[s])
        continue;
      status = make_region(b, s, &regions[s]);
      if (status == TB_OK)
        status = choose_tile(b, &regions[s], &tiles[s], &large[s]);
      b->made[s] = status == TB_OK && tiles[s] > 0;
      *any = *any || b->made[s];
      again = again || !b->made[s];
    }
  }
  return status;
}

tb_status tb_regions(tb_context *context, const tb_graph *graph, size_t n_out, const uint32_t *outputs,
                     const tb_limits *limits, uint32_t *outputs_new, tb_graph **to) {
  tb_region regions[MOST_STAGES];
  size_t tiles[MOST_STAGES];
  bool made[MOST_STAGES] = { false }, large[MOST_STAGES] = { false }, any = false;
  builder b = {
    .context = context, .graph = graph, .n_out = n_out, .outputs = outputs, .limits = limits, .made = made
  };
  b.w.context = context;
  *to = NULL;
  if (!limits->tile_rows && graph_flop(graph) < LEAST_FLOP)
    return TB_OK;
  b.arena = tb_arena_new(context);
  tb_status status = b.arena ? find_rows(&b) : TB_NO_MEMORY;
  if (status == TB_OK && b.rows) {
    b.stage_count = stages_of(b.rows);
    for (uint32_t s = 0; s < b.stage_count; s++)
      any |= made[s] = stage_flop(b.rows, s) >= (limits->tile_rows ? 1 : LEAST_FLOP);
    b.map = tb_arena_allocate(b.arena, graph->count + 1, sizeof *b.map);
    if (!b.map)
      status = TB_NO_MEMORY;
    if (status == TB_OK && any)
      status = plan_regions(&b, regions, tiles, large, &any);
  }
  if (status == TB_OK && any) {
    uint32_t last = 0;
    for (uint32_t i = 0; i < graph->count; i++)
      last = b.rows->stages[i] + 1 > last ? b.rows->stages[i] + 1 : last;
    status = assemble(&b, regions, tiles, large, last);
    status = tb_rewrite_end(&b.w, status, b.map, n_out, outputs, outputs_new, to);
  }
  tb_arena_free(b.arena);
  return status;
}

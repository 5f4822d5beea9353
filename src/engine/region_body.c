/* The body of a region: what is inside, written out for a tile of rows.
 *
 * Rowwise values keep their shape but for the rows, which are the tile's; sums over rows become sums over the tile's.
 * Draws keep their numbers: they count on from the tile's first row, which loops get as one more constant.  A matrix
 * that every tile multiplies by comes in the order that the product reads. */
#include "engine/regions.h"

#include <string.h>

typedef struct tiler tiler;
struct tiler {
  tb_context *context;
  tb_arena *arena; /* for the lists */
  const tb_row_map *rows;
  const tb_region *region; /* NULL: in the body of a loop */
  tiler *outer;            /* in the body of a loop: where the loop stands */
  const tb_node *loop;
  uint32_t turned_count, *turned; /* constants of the loop that come in again, their last two axes exchanged */
  uint32_t *turned_values;
  size_t tile;
  tb_rewriter w;
  uint32_t *map; /* [nodes] */
  uint32_t row;  /* the number of the tile's first row */
  uint32_t operand_count, operand_capacity;
  tb_region_operand *operands;
  uint32_t *values; /* [operand_count]: as the body sees them */
};

static const tb_tag none = { TB_TAG_NONE, 0, 0 };

static tb_node resized(const tiler *t, const tb_node *node, tb_tag tag) {
  tb_node copy = *node;
  if (tag.state == TB_TAG_ROWS) {
    copy.dims[tag.axis] = node->dims[tag.axis] / t->rows->count * t->tile;
    copy.elements = node->elements / t->rows->count * t->tile;
  }
  return copy;
}

static tb_tag tag_of(const tb_row_map *rows, uint32_t index) {
  return rows->kinds[index] == TB_ROWWISE ? rows->tags[index] : none;
}

/* apart: rows of the value that the input is cut from; 0: it is not cut, or in one piece. */
static tb_status add_input(tiler *t, const tb_node *shape, const char *name, size_t apart, uint32_t *index) {
  tb_graph *to = t->w.to;
  if (to->input_count == to->input_capacity) {
    const uint32_t capacity = to->input_capacity ? 2 * to->input_capacity : 16;
    uint32_t *inputs = tb_reallocate(t->context, to->inputs, capacity, sizeof *inputs);
    if (!inputs)
      return TB_NO_MEMORY;
    to->inputs = inputs;
    to->input_capacity = capacity;
  }
  tb_node input = tb_shaped_like(shape, TB_OP_INPUT);
  input.attributes.index = to->input_count;
  input.attributes.start = apart;
  input.name = name;
  tb_status status = tb_rewrite_append(&t->w, &input, 0, NULL, index);
  if (status == TB_OK)
    to->inputs[to->input_count++] = *index;
  return status;
}

/* ---- what comes from outside ---- */

static tb_node exchanged(const tb_node *node) {
  tb_node copy = *node;
  copy.dims[node->rank - 2] = node->dims[node->rank - 1];
  copy.dims[node->rank - 1] = node->dims[node->rank - 2];
  return copy;
}

static tb_status new_operand(tiler *t, tb_region_operand operand, uint32_t *value) {
  const tb_node *node = t->rows->graph->nodes[operand.node];
  if (operand.need.state != TB_TAG_ROWS) {
    const tb_node whole = operand.transposed ? exchanged(node) : *node;
    return add_input(t, &whole, "whole", 0, value);
  }
  const tb_node shape = resized(t, node, operand.need);
  tb_node cut = shape;
  memset(cut.dims, 0, sizeof cut.dims);
  cut.rank = 3;
  cut.dims[0] = tb_rows_outer(t->rows, node, operand.need);
  cut.dims[1] = t->tile;
  cut.dims[2] = tb_rows_inner(node, operand.need);
  tb_status status = add_input(t, &cut, "rows", cut.dims[0] > 1 ? t->rows->count : 0, value);
  const tb_node reshape = tb_shaped_like(&shape, TB_OP_RESHAPE);
  return status == TB_OK ? tb_rewrite_append(&t->w, &reshape, 1, value, value) : status;
}

static tb_status operand_value(tiler *t, tb_region_operand operand, uint32_t *value) {
  for (uint32_t i = 0; i < t->operand_count; i++)
    if (t->operands[i].node == operand.node && t->operands[i].transposed == operand.transposed &&
        memcmp(&t->operands[i].need, &operand.need, sizeof operand.need) == 0) {
      *value = t->values[i];
      return TB_OK;
    }
  if (t->operand_count == t->operand_capacity) {
    const uint32_t capacity = 2 * t->operand_capacity + 16;
    tb_region_operand *operands = tb_arena_allocate(t->arena, capacity, sizeof *operands);
    uint32_t *values = tb_arena_allocate(t->arena, capacity, sizeof *values);
    if (!operands || !values)
      return TB_NO_MEMORY;
    if (t->operand_count) {
      memcpy(operands, t->operands, t->operand_count * sizeof *operands);
      memcpy(values, t->values, t->operand_count * sizeof *values);
    }
    t->operands = operands;
    t->values = values;
    t->operand_capacity = capacity;
  }
  tb_status status = new_operand(t, operand, value);
  t->operands[t->operand_count] = operand;
  t->values[t->operand_count++] = *value;
  return status;
}

static tb_status value_of(tiler *t, uint32_t index, tb_tag need, uint32_t *value) {
  const tb_node *node = t->rows->graph->nodes[index];
  const bool leaf = node->op == TB_OP_FILL || node->op == TB_OP_IOTA ||
                    (node->op == TB_OP_CONSTANT && (!t->region || need.state != TB_TAG_ROWS));
  if (leaf && !(node->op == TB_OP_IOTA && need.state == TB_TAG_ROWS && node->attributes.axis == need.axis)) {
    const tb_node copy = resized(t, node, need);
    return tb_rewrite_append(&t->w, &copy, 0, NULL, value);
  }
  if (t->region && !t->region->inside[index])
    return operand_value(t, (tb_region_operand){ index, need, false }, value);
  *value = t->map[index];
  return TB_OK;
}

/* ---- what is inside ---- */

static tb_status tile_node(tiler *t, uint32_t index);

static bool draws_rows(const tb_row_map *rows) {
  for (uint32_t i = 0; i < rows->graph->count; i++) {
    const tb_op op = rows->graph->nodes[i]->op;
    if (((op == TB_OP_NORMAL || op == TB_OP_UNIFORM) && rows->kinds[i] == TB_ROWWISE) ||
        (rows->bodies[i] && draws_rows(rows->bodies[i])))
      return true;
  }
  return false;
}

/* The loop's body for a tile, with one more input where rows are drawn, and those that come in turned. */
static tb_status tile_loop(tiler *t, bool drawn, uint32_t *results) {
  const tb_graph *graph = t->rows->graph;
  const tb_scan *scan = t->loop->scan;
  t->w.context = t->context;
  t->map = tb_arena_allocate(t->arena, graph->count + 1, sizeof *t->map);
  t->turned = tb_arena_allocate(t->arena, graph->input_count + 1, sizeof *t->turned);
  t->turned_values = tb_arena_allocate(t->arena, graph->input_count + 1, sizeof *t->turned_values);
  tb_status status = t->map && t->turned && t->turned_values ? tb_graph_new(t->context, &t->w.to) : TB_NO_MEMORY;
  for (uint32_t i = 0; i < graph->input_count && status == TB_OK; i++) {
    const uint32_t input = graph->inputs[i];
    const tb_node shape = resized(t, graph->nodes[input], tag_of(t->rows, input));
    status = add_input(t, &shape, graph->nodes[input]->name, 0, &t->map[input]);
  }
  if (status == TB_OK && drawn)
    status = add_input(t, &(tb_node){ .dtype = TB_INT32, .elements = 1 }, "row", 0, &t->row);
  for (uint32_t i = 0; i < graph->count && status == TB_OK; i++)
    status = tile_node(t, i);
  for (uint32_t i = 0; i < tb_scan_body_results(scan) && status == TB_OK;
       i++) /* a number leaves as its carry entered */
    status = value_of(t, scan->results[i], tag_of(t->rows, i < scan->carries ? graph->inputs[1 + i] : scan->results[i]),
                      &results[i]);
  tb_release(t->context, t->w.table);
  return status;
}

static tb_status turned_value(tiler *t, uint32_t index, uint32_t *value);

/* Operands of a loop: its own, the row where rows are drawn, and what comes in turned. */
static tb_status loop_operands(tiler *t, const tiler *body, bool drawn, uint32_t *operands, uint32_t *count) {
  const tb_node *node = body->loop;
  const tb_scan *scan = node->scan;
  tb_status status = TB_OK;
  for (*count = 0; *count < node->operand_count && status == TB_OK; ++*count) {
    tb_tag need = tag_of(body->rows, body->rows->graph->inputs[1 + *count]);
    need.axis += need.state == TB_TAG_ROWS && *count >= scan->carries && *count < scan->carries + scan->slices;
    status = value_of(t, node->operands[*count], need, &operands[*count]);
  }
  if (drawn)
    operands[(*count)++] = t->row;
  for (uint32_t i = 0; i < body->turned_count && status == TB_OK; i++) {
    const uint32_t input = body->rows->graph->nodes[body->turned[i]]->attributes.index;
    status = turned_value(t, node->operands[input - 1], &operands[(*count)++]);
  }
  return status;
}

static tb_status tile_scan(tiler *t, uint32_t index) {
  const tb_node *node = t->rows->graph->nodes[index];
  const tb_row_map *rows = t->rows->bodies[index];
  const bool drawn = draws_rows(rows);
  tiler body = { .context = t->context, .arena = t->arena, .rows = rows, .outer = t, .loop = node, .tile = t->tile };
  tb_arena *arena = t->w.to->arena;
  tb_scan *scan = tb_arena_allocate(arena, 1, sizeof *scan);
  uint32_t *results = tb_arena_allocate(arena, tb_scan_body_results(node->scan) + 1, sizeof *results);
  uint32_t *operands = tb_arena_allocate(arena, 2 * node->operand_count + 2, sizeof *operands), count = 0;
  if (!scan || !results || !operands)
    return TB_NO_MEMORY;
  *scan = *node->scan;
  scan->results = results;
  tb_status status = tile_loop(&body, drawn, results);
  scan->body = body.w.to;
  if (status == TB_OK)
    status = loop_operands(t, &body, drawn, operands, &count);
  scan->constants += count - node->operand_count;
  tb_node copy = *node;
  copy.scan = scan;
  if (status == TB_OK)
    status = tb_rewrite_append(&t->w, &copy, count, operands, &t->map[index]);
  if (status != TB_OK) {
    tb_graph_free(scan->body);
    return status;
  }
  for (uint32_t i = index + 1; i <= index + tb_scan_results(scan) && status == TB_OK; i++) {
    const tb_node result = resized(t, t->rows->graph->nodes[i], tag_of(t->rows, i));
    status = tb_rewrite_append(&t->w, &result, 1, &t->map[index], &t->map[i]);
  }
  return status;
}

/* Whether a node, seen from here, comes from outside the region as it is, so that it may come in turned as well. */
static bool can_turn(const tiler *t, uint32_t index) {
  const tb_node *node = t->rows->graph->nodes[index];
  if (t->region)
    return !t->region->inside[index] && node->op != TB_OP_FILL;
  const uint32_t first = 1 + t->loop->scan->carries + t->loop->scan->slices;
  return node->op == TB_OP_INPUT && node->attributes.index >= first &&
         node->attributes.index <= t->loop->operand_count &&
         can_turn(t->outer, t->loop->operands[node->attributes.index - 1]);
}

static tb_status turned_value(tiler *t, uint32_t index, uint32_t *value) {
  const tb_node *node = t->rows->graph->nodes[index];
  if (t->region)
    return operand_value(t, (tb_region_operand){ index, none, true }, value);
  for (uint32_t i = 0; i < t->turned_count; i++)
    if (t->turned[i] == index) {
      *value = t->turned_values[i];
      return TB_OK;
    }
  const tb_node shape = exchanged(node);
  tb_status status = add_input(t, &shape, "turned", 0, value);
  t->turned[t->turned_count] = index;
  t->turned_values[t->turned_count++] = *value;
  return status;
}

/* A product that would turn a matrix from outside round for every tile and step. */
static bool turns(const tiler *t, uint32_t index) {
  const tb_node *node = t->rows->graph->nodes[index];
  return node->op == TB_OP_MATMUL && node->attributes.transpose_b &&
         tb_rows_need(t->rows, index, 1).state != TB_TAG_ROWS && can_turn(t, node->operands[1]);
}

static tb_status tile_node(tiler *t, uint32_t index) {
  const tb_node *node = t->rows->graph->nodes[index];
  if ((t->region && !t->region->inside[index]) || node->op == TB_OP_RESULT || tb_ops[node->op].arity == 0)
    return TB_OK;
  if (node->scan)
    return tile_scan(t, index);
  uint32_t few[8], *operands = few, count = node->operand_count;
  if (count + 1 > sizeof few / sizeof *few && !(operands = tb_arena_allocate(t->arena, count + 1, sizeof *operands)))
    return TB_NO_MEMORY;
  tb_node copy = resized(t, node, tag_of(t->rows, index));
  tb_status status = TB_OK;
  if ((node->op == TB_OP_NORMAL || node->op == TB_OP_UNIFORM) && t->rows->kinds[index] == TB_ROWWISE) {
    const size_t inner = tb_rows_inner(node, t->rows->tags[index]);
    copy.attributes.start = count == 1 ? inner : node->attributes.start;
    copy.attributes.index = count == 1 ? 0 : (uint32_t)inner;
    for (uint32_t k = 0; k < count && status == TB_OK; k++)
      status = value_of(t, node->operands[k], none, &operands[k]);
    operands[count] = t->row;
    return status == TB_OK ? tb_rewrite_append(&t->w, &copy, count + 1, operands, &t->map[index]) : status;
  }
  const bool turned = turns(t, index);
  for (uint32_t k = 0; k < count && status == TB_OK; k++)
    status = k == 1 && turned ? turned_value(t, node->operands[k], &operands[k])
                              : value_of(t, node->operands[k], tb_rows_need(t->rows, index, k), &operands[k]);
  if (turned)
    copy.attributes.transpose_b = 0;
  return status == TB_OK ? tb_rewrite_append(&t->w, &copy, count, operands, &t->map[index]) : status;
}

tb_status tb_region_body(tb_context *context, tb_arena *arena, const tb_region *region, size_t tile, tb_graph **body,
                         uint32_t *results, uint32_t *operand_count, tb_region_operand **operands) {
  const tb_graph *graph = region->rows->graph;
  tiler t = { .context = context, .arena = arena, .rows = region->rows, .region = region, .tile = tile };
  t.w.context = context;
  t.map = tb_arena_allocate(arena, graph->count + 1, sizeof *t.map);
  *body = NULL;
  tb_status status = t.map ? tb_graph_new(context, &t.w.to) : TB_NO_MEMORY;
  if (status == TB_OK)
    status = add_input(&t, &(tb_node){ .dtype = TB_INT32, .elements = 1 }, "row", 0, &t.row);
  for (uint32_t i = 0; i < graph->count && status == TB_OK; i++)
    status = tile_node(&t, i);
  for (uint32_t i = 0; i < region->result_count && status == TB_OK; i++)
    results[i] = t.map[region->results[i]];
  tb_release(context, t.w.table);
  if (status != TB_OK) {
    tb_graph_free(t.w.to);
    return status;
  }
  *body = t.w.to;
  *operand_count = t.operand_count;
  *operands = t.operands;
  return TB_OK;
}

/* Axis analysis: which axes of a graph's values are one and the same "row" axis, and what each operation does to it.
 *
 * A tag says where the rows lie in a value: axis `axis` is [outer, rows, unit], outer whatever is left.  Tags spread
 * from a seed in both directions through every operation that keeps rows apart, and through the bodies of loops.  Then,
 * in order, every node is found to be
 *   shared    the same for all rows: it does not depend on any
 *   rowwise   row i depends on rows i of other values and on shared ones
 *   partial   a sum over rows: of some rows it is a part, and the parts of all rows add up (gradients, losses)
 *   whole     anything else
 * A sum over rows that rowwise work depends on ends a stage: what follows is computed when the sum is known.
 * Knows nothing of tiles, threads or memory. */
#ifndef TB_ENGINE_ROWS_H
#define TB_ENGINE_ROWS_H

#include "engine/node.h"

typedef enum tb_tag_state { TB_TAG_NONE, TB_TAG_ROWS, TB_TAG_CLASH } tb_tag_state;

typedef struct tb_tag {
  tb_tag_state state;
  uint32_t axis;
  size_t unit;
} tb_tag;

typedef enum tb_row_kind { TB_SHARED, TB_ROWWISE, TB_PARTIAL, TB_WHOLE } tb_row_kind;

typedef struct tb_row_map tb_row_map;
struct tb_row_map {
  const tb_graph *graph;
  size_t count;        /* of rows, ≥ 2 */
  tb_tag *tags;        /* [nodes] */
  tb_row_kind *kinds;  /* [nodes]; of the outermost graph, shared means computed between the stages, and whole a result
                          of a loop that is the same for all rows */
  uint32_t *stages;    /* [nodes], outermost graph only: in which stage a rowwise or partial node is computed; before
                          which stage another one is known */
  bool *light;         /* [nodes]: rowwise and so cheap that it is as well computed twice */
  tb_row_map **bodies; /* [nodes]: of scans */
};

/* The analysis of the row axis that is axis `axis` of node `seed`; memory is the arena's. */
tb_status tb_rows_find(tb_arena *, const tb_graph *, uint32_t seed, uint32_t axis, tb_row_map **);
/* Where a rowwise or partial node looks for the rows of its k-th operand; no rows: it takes the operand whole. */
tb_tag tb_rows_need(const tb_row_map *, uint32_t node, uint32_t k);

/* The node as [outer, rows, inner]. */
size_t tb_rows_inner(const tb_node *, tb_tag);
size_t tb_rows_outer(const tb_row_map *, const tb_node *, tb_tag);

#endif

/* Regions: the work on rows of a graph becomes loops over tiles of rows.
 *
 * What is rowwise, loops forward and backward together, goes into a body for one tile (tiles.c builds it): the tile's
 * values stay in cache through all steps of all loops, and only rows that others need and sums over rows leave it. */
#ifndef TB_ENGINE_REGIONS_H
#define TB_ENGINE_REGIONS_H

#include "engine/rewrite.h"
#include "engine/rows.h"

/* Which part of a graph goes into one body. */
typedef struct tb_region {
  const tb_row_map *rows;
  uint32_t stage;
  const bool *inside;      /* [nodes]: computed in the body */
  uint32_t result_count;   /* of them */
  const uint32_t *results; /* leave it */
} tb_region;

/* What a body reads: node `node` whole, or cut at its rows; whole, its last two axes may be exchanged. */
typedef struct tb_region_operand {
  uint32_t node;
  tb_tag need;
  bool transposed;
} tb_region_operand;

/* The body for a tile of `tile` rows.  results[result_count] are nodes of it; operands[*operand_count], in the arena,
 * are in the order of its inputs behind the first, the same for every number of rows. */
tb_status tb_region_body(tb_context *, tb_arena *, const tb_region *, size_t tile, tb_graph **body, uint32_t *results,
                         uint32_t *operand_count, tb_region_operand **operands);

/* A graph with regions; *to is NULL where there is none that pays.  Tiles have limits->tile_rows rows wherever there
 * are more, or, where that is 0, as many as pay. */
tb_status tb_regions(tb_context *, const tb_graph *, size_t n_out, const uint32_t *outputs, const tb_limits *,
                     uint32_t *outputs_new, tb_graph **to);

#endif

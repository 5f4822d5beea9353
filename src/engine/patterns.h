/* Patterns: groups of nodes for which there is one kernel (attention, layer norm, two layers), found before units are
 * made.
 *
 * A matcher starts from one node, walks to its operands and readers, and where all fits claims the nodes: what the
 * pattern yields is computed by one unit, what lies inside is not computed at all.  A node inside has no other readers
 * and is no output. */
#ifndef TB_ENGINE_PATTERNS_H
#define TB_ENGINE_PATTERNS_H

#include "engine/plan.h"

enum { TB_PATTERN_READS = 8, TB_PATTERN_YIELDS = 4 };

struct tb_pattern {
  tb_status (*lower)(tb_planner *, const tb_pattern *);
  uint32_t read_count, yield_count, unit;
  uint32_t reads[TB_PATTERN_READS], yields[TB_PATTERN_YIELDS]; /* nodes; yields in order */
  double number;
  const void *detail;
};

typedef struct tb_matcher {
  tb_planner *p;
  bool *inside; /* [nodes]: by some pattern already */
} tb_matcher;

static inline const tb_node *tb_matched(const tb_matcher *m, uint32_t index) {
  return m->p->graph->nodes[index];
}
static inline uint32_t tb_reader_count(const tb_matcher *m, uint32_t index) {
  return m->p->reader_first[index + 1] - m->p->reader_first[index];
}
/* The k-th node that reads a node; once for each time it does. */
static inline uint32_t tb_reader(const tb_matcher *m, uint32_t index, uint32_t k) {
  return m->p->readers[m->p->reader_first[index] + k];
}
/* Whether a node is computed only to be read by `count` nodes: the only ones. */
static inline bool tb_only_inside(const tb_matcher *m, uint32_t index, uint32_t count) {
  return tb_reader_count(m, index) == count && !m->p->is_output[index] && !m->inside[index];
}
static inline bool tb_is_binary(const tb_node *node, tb_binary kind) {
  return node->op == TB_OP_BINARY && node->attributes.kind == (uint32_t)kind;
}

/* Claims: a copy of the pattern is kept; inside[count] are not computed. */
tb_status tb_claim(tb_matcher *, const tb_pattern *, uint32_t count, const uint32_t *inside);

/* The view of an operand whose rows run on, copied where they do not. */
tb_status tb_rows_view(tb_planner *, uint32_t index, tb_view *);
/* A pattern's nodes: reads, then yields in order; TB_NO_BUFFER is left out. */
void tb_pattern_nodes(tb_pattern *, uint32_t reads, const uint32_t *read, uint32_t yields, const uint32_t *yield);

/* A matcher looks at one node; it claims what it finds or does nothing. */
typedef tb_status tb_match(tb_matcher *, uint32_t index);
tb_match tb_match_attention, tb_match_norm, tb_match_feed;

/* All patterns of the graph; absorbed[nodes] is set for what lies inside. */
tb_status tb_find_patterns(tb_planner *, bool *absorbed);

#endif

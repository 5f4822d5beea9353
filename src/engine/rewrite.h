/* Rewriting: a graph built anew node by node, each looked up among those that stand already and passed through rules.
 */
#ifndef TB_ENGINE_REWRITE_H
#define TB_ENGINE_REWRITE_H

#include "engine/plan.h"

typedef struct tb_rewriter {
  tb_context *context;
  tb_graph *to;
  uint32_t *table; /* open addressing by content: index + 1; tb_rewrite_end releases it */
  uint32_t table_size;
} tb_rewriter;

static inline const tb_node *tb_rewritten(const tb_rewriter *w, uint32_t index) {
  return w->to->nodes[index];
}

/* Appends a node whose shape stands in the template, or finds its equal; no rules. */
tb_status tb_rewrite_append(tb_rewriter *, const tb_node *, uint32_t count, const uint32_t *operands, uint32_t *index);
/* The same after constants are folded and the rules were asked. */
tb_status tb_rewrite_node(tb_rewriter *, const tb_node *, uint32_t count, const uint32_t *operands, uint32_t *index);

/* Ends a rewriting with its status so far: the outputs where the map leads and the graph, or NULL after a failure. */
tb_status tb_rewrite_end(tb_rewriter *, tb_status, const uint32_t *map, size_t n_out, const uint32_t *outputs,
                         uint32_t *outputs_new, tb_graph **to);

/* A template of another operation with the shape of a node. */
tb_node tb_shaped_like(const tb_node *, tb_op);
static inline bool tb_is_fill(const tb_node *node) {
  return node->op == TB_OP_FILL;
}

/* A rule either gives the answer (true) or leaves the node to the next. */
typedef struct tb_rule_input {
  const tb_node *node;
  uint32_t count;
  const uint32_t *operands;
} tb_rule_input;
typedef bool tb_rewrite_rule(tb_rewriter *, tb_rule_input, uint32_t *index, tb_status *);
extern tb_rewrite_rule *const tb_rewrite_rules[]; /* ended by NULL */
tb_rewrite_rule tb_rule_pieces, tb_rule_copies, tb_rule_rows;

/* What a slice of a product, or a sum over the rows of one, spares when the rest of the product is not needed
 * (rewrite_rows.c): spare[nodes] is zero on entry. */
typedef enum tb_spare { TB_SPARE_NOTHING, TB_SPARE_COLUMNS, TB_SPARE_ROWS } tb_spare;
tb_status tb_rewrite_spare(tb_context *, const tb_graph *, size_t n_out, const uint32_t *outputs, const bool *needed,
                           const bool *replaced, tb_spare *spare);
tb_status tb_rewrite_spared(tb_rewriter *, const tb_graph *from, const tb_node *, tb_spare, const uint32_t *map,
                            uint32_t *index);

/* Changes to a scan's body while it is rebuilt: nodes that become slices (of a tape), or known nodes of another body
 * that are computed here too, some of which become results (written to the tape).  See tape.c. */
typedef struct tb_body_edit {
  const bool *replaced;    /* [nodes]: becomes an input; NULL: none */
  uint32_t before;         /* position of these inputs */
  const tb_graph *source;  /* NULL: none */
  const bool *known;       /* [source nodes] */
  const uint32_t *same_as; /* [source nodes]: of its known inputs, the node here */
  uint32_t tape_count;
  const uint32_t *tape; /* [tape_count]: source nodes; their places follow the outputs in outputs_new */
} tb_body_edit;

/* Graph → graph with all of the above; keep_input (may be NULL: all) says which inputs stay; edit may be NULL. */
tb_status tb_rewrite_graph(tb_context *, const tb_graph *, size_t n_out, const uint32_t *outputs,
                           const bool *keep_input, const tb_body_edit *edit, uint32_t *outputs_new, tb_graph **);

/* Which nodes of a scan's body leave it because they depend on its constants alone (hoist.c): leaving[body nodes] is
 * false on entry; values[count] become the values in the graph that is being written, where map leads. */
tb_status tb_hoist(tb_rewriter *, const tb_node *scan, const uint32_t *map, uint32_t results, const uint32_t *result,
                   bool *leaving, uint32_t *count, uint32_t *values);

/* One step of making two loops one, where the larger takes all steps of the smaller (merge.c); *to is NULL where there
 * are none. */
tb_status tb_merge(tb_context *, const tb_graph *, size_t n_out, const uint32_t *outputs, uint32_t *outputs_new,
                   tb_graph **to);

/* One step of moving work from a reverse loop to the forward loop whose entries it reads (tape.c); *to is NULL where
 * there is nothing to move. */
tb_status tb_tape(tb_context *, const tb_graph *, size_t n_out, const uint32_t *outputs, uint32_t *outputs_new,
                  tb_graph **to);

#endif

/* Where rows go: an operation's operands and result, axis by axis.  See rows.h. */
#ifndef TB_ENGINE_ROW_TAGS_H
#define TB_ENGINE_ROW_TAGS_H

#include "engine/rows.h"

/* Where an operation whose result has rows at `tag` looks for those of operand k; false: it does not keep rows apart.
 */
bool tb_tag_of_operand(const tb_graph *, const tb_node *, size_t rows, uint32_t k, tb_tag tag, tb_tag *need);
/* Where the result has the rows that operand k has at `tag`; no rows where they are summed or mixed. */
tb_tag tb_tag_of_result(const tb_graph *, const tb_node *, size_t rows, uint32_t k, tb_tag tag);
/* Where a sum over the rows of operand k at `tag` (a sum, a product along rows, a scatter) looks for those of operand
 * `other`; false: the operation does not sum over these rows. */
bool tb_tag_of_sum(const tb_graph *, const tb_node *, uint32_t k, tb_tag tag, uint32_t other, tb_tag *need);

static inline bool tb_same_tag(tb_tag a, tb_tag b) {
  return a.state == b.state && a.axis == b.axis && a.unit == b.unit;
}

#endif

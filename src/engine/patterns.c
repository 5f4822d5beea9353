/* The search for patterns: every matcher at every node. */
#include "engine/patterns.h"

static tb_match *const matchers[] = { tb_match_attention, tb_match_norm, tb_match_feed };
enum { MATCHERS = sizeof matchers / sizeof matchers[0] };

static tb_status find_readers(tb_planner *p) {
  const uint32_t n = p->graph->count;
  uint32_t total = 0;
  for (uint32_t i = 0; i < n; i++)
    total += p->graph->nodes[i]->operand_count;
  uint32_t *filled = tb_arena_allocate(p->scratch, n + 1, sizeof *filled);
  p->reader_first = tb_arena_allocate(p->scratch, n + 2, sizeof *p->reader_first);
  p->readers = tb_arena_allocate(p->scratch, total + 1, sizeof *p->readers);
  if (!filled || !p->reader_first || !p->readers)
    return TB_NO_MEMORY;
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t k = 0; k < p->graph->nodes[i]->operand_count; k++)
      p->reader_first[p->graph->nodes[i]->operands[k] + 1]++;
  for (uint32_t i = 0; i < n; i++)
    p->reader_first[i + 1] += p->reader_first[i];
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t k = 0; k < p->graph->nodes[i]->operand_count; k++) {
      const uint32_t a = p->graph->nodes[i]->operands[k];
      p->readers[p->reader_first[a] + filled[a]++] = i;
    }
  return TB_OK;
}

tb_status tb_claim(tb_matcher *m, const tb_pattern *pattern, uint32_t count, const uint32_t *inside) {
  tb_planner *p = m->p;
  tb_pattern *copy = tb_arena_allocate(p->scratch, 1, sizeof *copy);
  if (!copy)
    return TB_NO_MEMORY;
  *copy = *pattern;
  copy->unit = UINT32_MAX;
  for (uint32_t k = 0; k < copy->yield_count; k++)
    p->pattern_of[copy->yields[k]] = copy;
  for (uint32_t k = 0; k < count; k++)
    m->inside[inside[k]] = true;
  return TB_OK;
}

tb_status tb_rows_view(tb_planner *p, uint32_t index, tb_view *view) {
  const tb_node *node = p->graph->nodes[index];
  tb_status status = tb_view_of(p, index, view);
  if (status == TB_OK && view->strides[node->rank - 1] != 1 && node->dims[node->rank - 1] != 1)
    status = tb_contiguous_view(p, index, view);
  return status;
}

void tb_pattern_nodes(tb_pattern *pattern, uint32_t reads, const uint32_t *read, uint32_t yields,
                      const uint32_t *yield) {
  for (uint32_t k = 0; k < reads; k++)
    if (read[k] != TB_NO_BUFFER)
      pattern->reads[pattern->read_count++] = read[k];
  for (uint32_t k = 0; k < yields; k++) {
    if (yield[k] == TB_NO_BUFFER)
      continue;
    uint32_t at = pattern->yield_count++;
    for (; at > 0 && pattern->yields[at - 1] > yield[k]; at--)
      pattern->yields[at] = pattern->yields[at - 1];
    pattern->yields[at] = yield[k];
  }
}

tb_status tb_find_patterns(tb_planner *p, bool *absorbed) {
  tb_matcher m = { .p = p, .inside = absorbed };
  p->pattern_of = tb_arena_allocate(p->scratch, p->graph->count + 1, sizeof *p->pattern_of);
  tb_status status = p->pattern_of ? find_readers(p) : TB_NO_MEMORY;
  for (uint32_t i = 0; i < p->graph->count && status == TB_OK; i++)
    for (int k = 0; k < MATCHERS && status == TB_OK && !absorbed[i] && !p->pattern_of[i]; k++)
      status = matchers[k](&m, i);
  return status;
}

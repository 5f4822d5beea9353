/* Simplification of whole graphs: what is needed, rebuilt under the rules of rewriting.
 *
 * Of a scan, results that nobody reads and whatever only they need are dropped, in its body too. */
#include "engine/rewrite.h"

#include <string.h>

/* ---- what is needed ---- */

/* Needed results, operands and body inputs of a scan. */
typedef struct scan_use {
  bool *results; /* carries, outs, entries */
  bool *inputs;  /* of the body */
} scan_use;

/* A carry is needed when its final value or its entries are, or when what is needed reads it in the body: iterated
 * until it stands. */
static tb_status use_of_scan(tb_context *context, const tb_scan *scan, scan_use *use) {
  const tb_graph *body = scan->body;
  bool *needed = tb_allocate(context, body->count + 1, sizeof *needed);
  if (!needed)
    return TB_NO_MEMORY;
  for (uint32_t i = 0; i < scan->carries; i++)
    use->results[i] = use->results[i] || use->results[tb_scan_body_results(scan) + i];
  for (bool changed = true; changed;) {
    for (uint32_t i = 0; i < tb_scan_body_results(scan); i++)
      if (use->results[i])
        needed[scan->results[i]] = true;
    for (uint32_t i = body->count; i-- > 0;)
      for (uint32_t k = 0; k < body->nodes[i]->operand_count && needed[i]; k++)
        needed[body->nodes[i]->operands[k]] = true;
    changed = false;
    for (uint32_t i = 0; i < scan->carries; i++)
      if (needed[body->inputs[1 + i]] && !use->results[i])
        changed = use->results[i] = true;
  }
  for (uint32_t i = 0; i < body->input_count; i++)
    use->inputs[i] = needed[body->inputs[i]];
  for (uint32_t i = 0; i < scan->carries;
       i++) /* a carry keeps its input even where its first value is all that counts */
    use->inputs[1 + i] = use->results[i];
  tb_release(context, needed);
  return TB_OK;
}

/* ---- a whole graph ---- */

static tb_status simplify_scan(tb_rewriter *w, const tb_node *node, const uint32_t *map, const scan_use *use,
                               uint32_t *index) {
  const tb_scan *scan = node->scan;
  tb_arena *arena = w->to->arena;
  tb_scan *s = tb_arena_allocate(arena, 1, sizeof *s);
  uint32_t *old = tb_arena_allocate(arena, tb_scan_body_results(scan) + 1, sizeof *old);
  uint32_t *new = tb_arena_allocate(arena, tb_scan_body_results(scan) + 1, sizeof *new);
  uint32_t *operands = tb_arena_allocate(arena, node->operand_count + scan->body->count + 1, sizeof *operands);
  bool *hoisted = tb_arena_allocate(arena, scan->body->count + 1, sizeof *hoisted);
  if (!s || !old || !new || !operands || !hoisted)
    return TB_NO_MEMORY;
  *s = (tb_scan){ .results = new, .length = scan->length, .reverse = scan->reverse };
  uint32_t results = 0, count = 0, more = 0;
  for (uint32_t i = 0; i < tb_scan_body_results(scan); i++)
    if (use->results[i]) {
      old[results++] = scan->results[i];
      *(i < scan->carries ? &s->carries : &s->outs) += 1;
    }
  for (uint32_t i = 0; i < node->operand_count; i++)
    if (use->inputs[1 + i]) {
      operands[count++] = map[node->operands[i]];
      if (i >= scan->carries)
        *(i < scan->carries + scan->slices ? &s->slices : &s->constants) += 1;
    }
  bool *keep = tb_arena_allocate(arena, scan->body->input_count + 1, sizeof *keep);
  if (!keep)
    return TB_NO_MEMORY;
  memcpy(keep, use->inputs, scan->body->input_count * sizeof *keep);
  keep[0] = true; /* the step */
  tb_status status = tb_hoist(w, node, map, results, old, hoisted, &more, operands + count);
  const tb_body_edit edit = { .replaced = hoisted, .before = scan->body->input_count };
  count += more;
  s->constants += more;
  if (status == TB_OK)
    status = tb_rewrite_graph(w->context, scan->body, results, old, keep, more ? &edit : NULL, new, &s->body);
  tb_node copy = *node;
  copy.scan = s;
  if (status == TB_OK)
    status = tb_rewrite_append(w, &copy, count, operands, index);
  if (status != TB_OK)
    tb_graph_free(s->body);
  return status;
}

static tb_status add_input(tb_rewriter *w, const tb_node *node, const char *name, uint32_t *index) {
  tb_node input = tb_shaped_like(node, TB_OP_INPUT);
  input.attributes.index = w->to->input_count;
  input.name = tb_arena_text(w->to->arena, name ? name : "");
  tb_status status = input.name ? tb_rewrite_append(w, &input, 0, NULL, index) : TB_NO_MEMORY;
  if (status == TB_OK)
    w->to->inputs[w->to->input_count++] = *index;
  return status;
}

/* All inputs that stay, in order; nodes that become inputs stand where the edit wants them. */
static tb_status add_inputs(tb_rewriter *w, const tb_graph *from, const bool *keep, const tb_body_edit *edit,
                            uint32_t *map) {
  w->to->inputs = tb_allocate(w->context, from->input_count + from->count + 1, sizeof *w->to->inputs);
  w->to->input_capacity = from->input_count + from->count + 1;
  tb_status status = w->to->inputs ? TB_OK : TB_NO_MEMORY;
  for (uint32_t i = 0; i <= from->input_count && status == TB_OK; i++) {
    for (uint32_t k = 0; k < from->count && edit && edit->replaced && i == edit->before && status == TB_OK; k++)
      if (edit->replaced[k])
        status = add_input(w, from->nodes[k], "tape", &map[k]);
    if (i < from->input_count && (!keep || keep[i]) && status == TB_OK)
      status = add_input(w, from->nodes[from->inputs[i]], from->nodes[from->inputs[i]]->name, &map[from->inputs[i]]);
  }
  return status;
}

/* Marks what the outputs need; of each needed scan also which results and inputs, in uses[node]. */
static tb_status mark_needed(tb_context *context, tb_arena *arena, const tb_graph *from, size_t n_out,
                             const uint32_t *outputs, const tb_body_edit *edit, bool *needed, scan_use *uses) {
  for (size_t i = 0; i < n_out; i++)
    needed[outputs[i]] = true;
  for (uint32_t i = from->count; i-- > 0;) {
    const tb_node *node = from->nodes[i];
    if (edit && edit->replaced && edit->replaced[i])
      continue;
    if (node->op == TB_OP_SCAN) {
      const tb_scan *scan = node->scan;
      scan_use *use = &uses[i];
      use->results = tb_arena_allocate(arena, tb_scan_results(scan) + 1, sizeof *use->results);
      use->inputs = tb_arena_allocate(arena, scan->body->input_count + 1, sizeof *use->inputs);
      if (!use->results || !use->inputs)
        return TB_NO_MEMORY;
      for (uint32_t r = 0; r < tb_scan_results(scan); r++)
        use->results[r] = needed[i + 1 + r];
      tb_status status = needed[i] ? use_of_scan(context, scan, use) : TB_OK;
      if (status != TB_OK)
        return status;
      for (uint32_t k = 0; k < node->operand_count && needed[i]; k++)
        if (use->inputs[1 + k])
          needed[node->operands[k]] = true;
      continue;
    }
    for (uint32_t k = 0; k < node->operand_count && needed[i]; k++)
      needed[node->operands[k]] = true;
  }
  return TB_OK;
}

static tb_status rebuild(tb_rewriter *w, const tb_graph *from, const bool *needed, const scan_use *uses,
                         const tb_spare *spare, const tb_body_edit *edit, uint32_t *map) {
  tb_status status = TB_OK;
  for (uint32_t i = 0; i < from->count && status == TB_OK; i++) {
    const tb_node *node = from->nodes[i];
    if (!needed[i] || node->op == TB_OP_INPUT || (edit && edit->replaced && edit->replaced[i]))
      continue;
    if (node->op == TB_OP_SCAN) {
      status = simplify_scan(w, node, map, &uses[i], &map[i]);
      const uint32_t body_results = tb_scan_body_results(node->scan);
      for (uint32_t r = 0, kept = 0; r < tb_scan_results(node->scan) && status == TB_OK; r++)
        if (uses[i].results[r < body_results ? r : r - body_results]) { /* results stand right behind their scan */
          tb_node result = *from->nodes[i + 1 + r];
          result.attributes.index = kept++;
          status = tb_rewrite_append(w, &result, 1, &map[i], &map[i + 1 + r]);
        }
    } else if (spare[i] != TB_SPARE_NOTHING) {
      status = tb_rewrite_spared(w, from, node, spare[i], map, &map[i]);
    } else if (node->op != TB_OP_RESULT) {
      uint32_t few[8], *operands = few;
      if (node->operand_count > 8)
        operands = tb_arena_allocate(w->to->arena, node->operand_count, sizeof *operands);
      if (!operands)
        return TB_NO_MEMORY;
      for (uint32_t k = 0; k < node->operand_count; k++)
        operands[k] = map[node->operands[k]];
      status = tb_rewrite_node(w, node, node->operand_count, operands, &map[i]);
    }
  }
  return status;
}

/* What is known of another body, computed here. */
static tb_status add_known(tb_rewriter *w, const tb_body_edit *edit, const uint32_t *map, uint32_t *results) {
  const tb_graph *source = edit->source;
  uint32_t *place = tb_allocate(w->context, source->count + 1, sizeof *place);
  tb_status status = place ? TB_OK : TB_NO_MEMORY;
  for (uint32_t i = 0; i < source->count && status == TB_OK; i++) {
    const tb_node *node = source->nodes[i];
    if (!edit->known[i])
      continue;
    if (node->op == TB_OP_INPUT) {
      place[i] = map[edit->same_as[i]];
      continue;
    }
    uint32_t *operands = tb_arena_allocate(w->to->arena, node->operand_count + 1, sizeof *operands);
    if (!operands) {
      status = TB_NO_MEMORY;
      break;
    }
    for (uint32_t k = 0; k < node->operand_count; k++)
      operands[k] = place[node->operands[k]];
    status = tb_rewrite_node(w, node, node->operand_count, operands, &place[i]);
  }
  for (uint32_t i = 0; i < edit->tape_count && status == TB_OK; i++)
    results[i] = place[edit->tape[i]];
  tb_release(w->context, place);
  return status;
}

tb_status tb_rewrite_graph(tb_context *context, const tb_graph *from, size_t n_out, const uint32_t *outputs,
                           const bool *keep_input, const tb_body_edit *edit, uint32_t *outputs_new, tb_graph **simple) {
  tb_rewriter w = { .context = context };
  *simple = NULL;
  tb_arena *arena = tb_arena_new(context);
  bool *needed = arena ? tb_arena_allocate(arena, from->count + 1, sizeof *needed) : NULL;
  uint32_t *map = arena ? tb_arena_allocate(arena, from->count + 1, sizeof *map) : NULL;
  scan_use *uses = arena ? tb_arena_allocate(arena, from->count + 1, sizeof *uses) : NULL;
  tb_spare *spare = arena ? tb_arena_allocate(arena, from->count + 1, sizeof *spare) : NULL;
  tb_status status = needed && map && uses && spare ? tb_graph_new(context, &w.to) : TB_NO_MEMORY;
  if (status == TB_OK)
    status = mark_needed(context, arena, from, n_out, outputs, edit, needed, uses);
  if (status == TB_OK)
    status = add_inputs(&w, from, keep_input, edit, map);
  if (status == TB_OK)
    status = tb_rewrite_spare(context, from, n_out, outputs, needed, edit ? edit->replaced : NULL, spare);
  if (status == TB_OK)
    status = rebuild(&w, from, needed, uses, spare, edit, map);
  if (status == TB_OK && edit && edit->source)
    status = add_known(&w, edit, map, outputs_new + n_out);
  status = tb_rewrite_end(&w, status, map, n_out, outputs, outputs_new, simple);
  tb_arena_free(arena);
  return status;
}

/* How deeply loops are nested. */
static uint32_t depth_of(const tb_graph *graph) {
  uint32_t depth = 0;
  for (uint32_t i = 0; i < graph->count; i++)
    if (graph->nodes[i]->op == TB_OP_SCAN) {
      const uint32_t inner = 1 + depth_of(graph->nodes[i]->scan->body);
      depth = inner > depth ? inner : depth;
    }
  return depth;
}

/* Makes loops one until there are no more; *now, if it is not NULL, stands for the graph. */
static tb_status merge_loops(tb_context *context, const tb_graph *graph, size_t n_out, uint32_t *found, tb_graph **now,
                             bool *merged) {
  tb_graph *next;
  tb_status status;
  *merged = false;
  while ((status = tb_merge(context, *now ? *now : graph, n_out, found, found, &next)) == TB_OK && next) {
    tb_graph_free(*now);
    *now = next;
    *merged = true;
  }
  return status;
}

/* Loops that are one become one, and again where rewriting has made their operands one.  A rewriting hoists by one
 * loop. Tapes are laid until there is nothing left to move; then whatever nobody needs any more goes. */
tb_status tb_simplify(tb_context *context, const tb_graph *graph, size_t n_out, const uint32_t *outputs,
                      uint32_t *outputs_new, tb_graph **simple) {
  uint32_t *found = tb_allocate(context, n_out + 1, sizeof *found);
  tb_graph *now = NULL, *next = NULL;
  tb_status status = found ? TB_OK : TB_NO_MEMORY;
  if (status == TB_OK && n_out)
    memcpy(found, outputs, n_out * sizeof *found);
  for (bool first = true, merged; status == TB_OK; first = false) {
    status = merge_loops(context, graph, n_out, found, &now, &merged);
    if (status != TB_OK || (!merged && !first))
      break;
    status = tb_rewrite_graph(context, now ? now : graph, n_out, found, NULL, NULL, found, &next);
    tb_graph_free(now);
    now = next;
  }
  for (uint32_t depth = status == TB_OK ? depth_of(now) : 0; depth > 1 && status == TB_OK; depth--) {
    status = tb_rewrite_graph(context, now, n_out, found, NULL, NULL, found, &next);
    tb_graph_free(now);
    now = next;
  }
  while (status == TB_OK) {
    status = tb_tape(context, now, n_out, found, found, &next);
    if (status != TB_OK || !next)
      break;
    tb_graph_free(now);
    now = next;
    status = tb_rewrite_graph(context, now, n_out, found, NULL, NULL, found, &next);
    tb_graph_free(now);
    now = next;
  }
  if (status == TB_OK) /* rules leave nodes behind that nobody needs */
    status = tb_graph_extract(context, now, n_out, found, outputs_new, simple);
  tb_graph_free(now);
  tb_release(context, found);
  return status;
}

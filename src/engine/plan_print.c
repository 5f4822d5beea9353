/* A plan as a person reads it: an instruction a line, with what it works on, its arithmetic and the bytes it moves.
 *
 *   3  product + sum   128×64×64                        float32[128,64]   1.05 MFLOP    82 kB
 *   4  pointwise       8192: tanh, tanh'                float32[128,64]    16 kFLOP     98 kB */
#include "engine/plan.h"

#include <stdio.h>

static void number(tb_text *text, double x, const char *unit) {
  static const char *const prefix[] = { "", "k", "M", "G", "T", "P" };
  int i = 0;
  for (; x >= 999.5 && i < 5; i++)
    x /= 1000;
  tb_text_format(text, "%8.3g %s%s", x, prefix[i], unit);
}

static void describe_pointwise(const tb_pointwise *g, tb_text *text) {
  for (uint32_t i = 0; i < g->outer_count; i++)
    tb_text_format(text, "%zu×", g->outer_dims[i]);
  tb_text_format(text, g->rows > 1 ? "%zu×%zu" : "%.0zu%zu", g->rows > 1 ? g->rows : 0, g->cols);
  const bool tiled = g->tile_rows < g->rows || g->tile_cols < g->cols;
  if (tiled)
    tb_text_format(text, " in tiles of %zu", g->tile_rows * g->tile_cols);
  for (uint32_t s = 0; s < g->step_count; s++)
    tb_text_format(text, "%s %s%s", s ? "," : ":", g->steps[s].name,
                   g->steps[s].kind == TB_STEP_PAIR ? " and derivative" : "");
}

static void describe_tiles(const tb_tiles *t, tb_text *text) {
  size_t sums = 0, rows = 0;
  for (uint32_t k = 0; k < t->result_count; k++) {
    sums += t->results[k].kind == TB_TILING_SUM;
    rows += t->results[k].kind == TB_TILING_ROWS;
  }
  tb_text_format(text, "%zu rows: %zu × %zu", t->rows, t->full, t->tile);
  if (t->full != t->tiles)
    tb_text_format(text, " + %zu × %zu", t->tiles - t->full, t->tile - 1);
  tb_text_format(text, ", %zu group%s, %u thread%s, ", t->groups, t->groups > 1 ? "s" : "", t->threads,
                 t->threads > 1 ? "s" : "");
  number(text, (double)t->body[0]->arena_bytes, "B");
  tb_text_format(text, " a tile; %zu results by rows, %zu sums over rows", rows, sums);
}

static void describe_loop(const tb_loop *l, tb_text *text) {
  tb_text_format(text, "%zu steps%s, %u carries, %u slices, %u outs", l->length, l->reverse ? " backwards" : "",
                 l->carry_count, l->slice_count, l->out_count);
  for (uint32_t i = 0; i < l->sum_count; i++) {
    const tb_loop_sum *sum = &l->sums[i];
    tb_text_format(text, ", sums of %zu products %zu×%zu×%zu", sum->steps, sum->product.m, sum->product.n,
                   sum->product.k);
  }
  if (l->blocks.block) {
    const size_t repeats = tb_revolve_repeats(tb_revolve_blocks(l->blocks, l->length), l->blocks.slots);
    tb_text_format(text, ", tape of %zu step%s, %zu slot%s, %zu repeat%s", l->blocks.block,
                   l->blocks.block == 1 ? "" : "s", l->blocks.slots, l->blocks.slots == 1 ? "" : "s", repeats,
                   repeats == 1 ? "" : "s");
  }
  for (uint32_t k = 0; k < l->tape_count; k++) {
    const tb_loop_tape *t = &l->tapes[k];
    tb_text_format(text, ", %.0f steps again", tb_revolve_again(t->loop->blocks, t->loop->length, t->afresh));
  }
  if (l->whole) {
    tb_text_add(text, ", tape of");
    number(text, l->tape_bytes, "B");
    tb_text_format(text, " kept whole: %s", l->whole);
  }
}

static void describe(const tb_instruction *instruction, tb_text *text) {
  const void *detail = instruction->detail;
  if (instruction->run == tb_run_pointwise) {
    describe_pointwise(detail, text);
  } else if (instruction->run == tb_run_product) {
    const tb_product *g = detail;
    if (g->batch != 1)
      tb_text_format(text, "%zu × ", g->batch);
    tb_text_format(text, "%zu×%zu×%zu%s%s", g->m, g->n, g->k, g->transpose_a ? ", aᵀ" : "",
                   g->transpose_b ? ", bᵀ" : "");
    if (g->alpha != 1)
      tb_text_format(text, ", × %.4g", g->alpha);
  } else if (instruction->run == tb_run_attention) {
    const tb_attend *a = detail;
    tb_text_format(text, "%zu × %zu queries, %zu keys, width %zu%s%s", a->batch, a->shape.queries, a->shape.keys,
                   a->shape.width, a->shape.seen ? ", masked" : "", a->biased ? ", biased" : "");
  } else if (instruction->run == tb_run_norm) {
    const tb_normalise *n = detail;
    tb_text_format(text, "%zu × %zu×%zu", n->batch, n->shape.rows, n->shape.cols);
  } else if (instruction->run == tb_run_feed) {
    const tb_feed *f = detail;
    tb_text_format(text, "%zu × %zu×%zu→%zu→%zu", f->batch, f->shape.rows, f->shape.in, f->shape.hidden, f->shape.out);
  } else if (instruction->run == tb_run_fold) {
    const tb_fold *f = detail;
    tb_text_format(text, "%zu×[%zu]×%zu", f->outer, f->count, f->inner);
  } else if (instruction->run == tb_run_rows) {
    const tb_rows *r = detail;
    tb_text_format(text, "%zu×%zu", r->rows, r->cols);
  } else if (instruction->run == tb_run_cholesky || instruction->run == tb_run_triangular_solve ||
             instruction->run == tb_run_solve) {
    const tb_dense *d = detail;
    tb_text_format(text, "%zu × %zu×%zu", d->batch, d->n, d->k);
  } else if (instruction->run == tb_run_loop) {
    describe_loop(detail, text);
  } else if (instruction->run == tb_run_tiles) {
    describe_tiles(detail, text);
  }
}

static void print_plan(const tb_plan *plan, tb_text *text, int indent) {
  for (uint32_t i = 0; i < plan->count; i++) {
    const tb_instruction *instruction = &plan->instructions[i];
    const tb_node *node = plan->graph->nodes[instruction->node];
    char shape[TB_SHAPE_TEXT], name[32];
    tb_text_format(text, "%*s%3u  %-14s ", indent, "", i, instruction->name);
    describe(instruction, text);
    if (node->op == TB_OP_TILES) {
      number(text, tb_ops[node->op].flop(plan->graph, node), "FLOP");
    } else if (node->op != TB_OP_SCAN) {
      tb_text_format(text, "  → %%%u %s %s%s ", instruction->node, tb_node_name(node, name), tb_dtype_name(node->dtype),
                     tb_shape_text(node->rank, node->dims, shape));
      number(text, tb_ops[node->op].flop(plan->graph, node), "FLOP");
    }
    tb_text_add(text, "\n");
    if (instruction->run == tb_run_loop)
      print_plan(((const tb_loop *)instruction->detail)->body, text, indent + 6);
    else if (instruction->run == tb_run_tiles)
      print_plan(((const tb_tiles *)instruction->detail)->body[0], text, indent + 6);
  }
}

void tb_plan_print(const tb_plan *plan, tb_text *text) {
  tb_text_format(text, "%u instructions, arena %zu bytes, constants %zu bytes, kernels %s\n", plan->count,
                 plan->arena_bytes, plan->constant_bytes, plan->kernels);
  print_plan(plan, text, 0);
}

/* Programs: checks what comes in, keeps a private pruned graph, and hands over to an executor. */
#include "engine/program.h"

#include <omp.h>

static const tb_executor_record *const executors[] = {
  [TB_PLANNED] = &tb_executor_planned,
  [TB_NAIVE] = &tb_executor_naive,
};

/* Adds what the nodes of a graph, run `times` times, compute and move. */
static void add_cost(const tb_graph *graph, double times, tb_cost *cost) {
  for (uint32_t i = 0; i < graph->count; i++) {
    const tb_node *node = graph->nodes[i];
    if (node->scan) {
      add_cost(node->scan->body, times * (double)node->scan->length, cost);
      continue;
    }
    cost->flop += times * tb_ops[node->op].flop(graph, node);
    if (node->op == TB_OP_INPUT || node->op == TB_OP_RESULT)
      continue;
    cost->bytes += times * (double)tb_node_bytes(node);
    for (uint32_t k = 0; k < node->operand_count; k++)
      cost->bytes += times * (double)tb_node_bytes(tb_node_operand(graph, node, k));
  }
}

tb_cost tb_graph_cost(const tb_graph *graph) {
  tb_cost cost = { 0 };
  add_cost(graph, 1, &cost);
  return cost;
}

static void mark_needed_inputs(tb_program *program) {
  const tb_graph *graph = program->graph;
  for (uint32_t i = 0; i < graph->count; i++)
    for (uint32_t k = 0; k < graph->nodes[i]->operand_count; k++) {
      const tb_node *operand = tb_node_operand(graph, graph->nodes[i], k);
      if (operand->op == TB_OP_INPUT)
        program->needed[operand->attributes.index] = true;
    }
  for (size_t i = 0; i < program->n_out; i++) {
    const tb_node *output = tb_node_at(graph, program->outputs[i]);
    if (output->op == TB_OP_INPUT)
      program->needed[output->attributes.index] = true;
  }
}

static tb_status prepare(tb_program *program, const tb_graph *graph, size_t n_out, const uint32_t *outputs) {
  tb_context *context = program->context;
  program->n_out = n_out;
  program->outputs = tb_allocate(context, n_out + 1, sizeof *program->outputs);
  program->needed = tb_allocate(context, graph->input_count + 1, sizeof *program->needed);
  if (!program->outputs || !program->needed)
    return TB_NO_MEMORY;
  tb_status status = tb_graph_extract(context, graph, n_out, outputs, program->outputs, &program->graph);
  if (status != TB_OK)
    return status;
  mark_needed_inputs(program);
  program->cost = tb_graph_cost(program->graph);
  return program->executor->compile(program);
}

static tb_status make(tb_context *context, tb_program program, const tb_graph *graph, size_t n_out,
                      const uint32_t *outputs, tb_program **out) {
  tb_program *p = tb_allocate(context, 1, sizeof *p);
  if (!p)
    return TB_NO_MEMORY;
  *p = program;
  const tb_status status = prepare(p, graph, n_out, outputs);
  if (status != TB_OK)
    tb_program_free(p);
  else
    *out = p;
  return status;
}

tb_status tb_program_of_graph(tb_context *context, const tb_executor_record *executor, const tb_limits *limits,
                              const tb_graph *graph, size_t n_out, const uint32_t *outputs, tb_program **program) {
  return make(context, (tb_program){ .context = context, .executor = executor, .limits = *limits }, graph, n_out,
              outputs, program);
}

static tb_limits limits_of(const tb_program_options *options) {
  enum { TAPE_BYTES = 1 << 27 };
  tb_limits limits = { .threads = options ? options->threads : 0,
                       .tile_rows = options ? options->tile_rows : 0,
                       .tape_bytes = options ? options->tape_bytes : 0 };
  if (limits.threads == 0)
    limits.threads = omp_in_parallel() ? 1 : (uint32_t)omp_get_max_threads();
  if (limits.tape_bytes == 0)
    limits.tape_bytes = TAPE_BYTES;
  return limits;
}

tb_status tb_program_new(tb_context *context, tb_graph *graph, size_t n_out, const tb_value *outputs,
                         const tb_program_options *options, tb_program **program) {
  *program = NULL;
  tb_status status = tb_graph_status(graph);
  if (status != TB_OK)
    return status;
  const tb_executor executor = options ? options->executor : TB_PLANNED;
  if ((unsigned)executor > TB_NAIVE)
    return tb_fail(context, TB_USAGE, NULL, NULL, "program: unknown executor %d", (int)executor);
  tb_program p = { .context = context,
                   .executor = executors[executor],
                   .limits = limits_of(options),
                   .held = options ? options->held : 0 };
  if (p.held > 0 && executor == TB_PLANNED)
    p.executor = &tb_executor_held;
  uint32_t *nodes = tb_allocate(context, n_out + 1, sizeof *nodes);
  status = nodes ? TB_OK : TB_NO_MEMORY;
  for (size_t i = 0; i < n_out && status == TB_OK; i++) {
    if (tb_value_valid(graph, outputs[i]) && tb_node_of(graph, outputs[i])->op != TB_OP_SCAN)
      nodes[i] = tb_index(graph, outputs[i]);
    else
      status = tb_fail(context, TB_USAGE, NULL, NULL, "program: output %zu is not a value of this graph", i + 1);
  }
  if (status == TB_OK)
    status = make(context, p, graph, n_out, nodes, program);
  tb_release(context, nodes);
  return status;
}

void tb_program_free(tb_program *program) {
  if (!program)
    return;
  tb_context *context = program->context;
  program->executor->free(program);
  tb_graph_free(program->graph);
  tb_release(context, program->outputs);
  tb_release(context, program->needed);
  tb_release(context, program);
}

tb_status tb_program_run(tb_program *program, size_t n_in, const void *const *inputs, size_t n_out,
                         void *const *outputs) {
  tb_context *context = program->context;
  const tb_graph *graph = program->graph;
  if (n_in != graph->input_count || n_out != program->n_out)
    return tb_fail(context, TB_USAGE, NULL, NULL, "program: has %u inputs and %zu outputs, got %zu and %zu",
                   graph->input_count, program->n_out, n_in, n_out);
  for (size_t i = 0; i < n_in; i++)
    if (program->needed[i] && !inputs[i] && graph->nodes[graph->inputs[i]]->elements)
      return tb_fail(context, TB_USAGE, NULL, NULL, "program: input %zu (%s) is missing", i + 1,
                     graph->nodes[graph->inputs[i]]->name);
  for (size_t i = 0; i < n_out; i++)
    if (!outputs[i] && graph->nodes[program->outputs[i]]->elements)
      return tb_fail(context, TB_USAGE, NULL, NULL, "program: output %zu has no place to go", i + 1);
  return program->executor->run(program, inputs, outputs);
}

void tb_program_renew(tb_program *program) {
  if (program->executor->renew)
    program->executor->renew(program);
}

tb_status tb_program_print(const tb_program *program, tb_text *text) {
  tb_text_format(text, "%s: %.6g flop, %.6g bytes moved, %.6g bytes of memory\n", program->executor->name,
                 program->cost.flop, program->cost.bytes, program->cost.arena_bytes);
  return program->executor->print(program, text);
}

tb_cost tb_program_cost(const tb_program *program) {
  return program->cost;
}

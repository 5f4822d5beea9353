/* tiebreak density TARGET x=…: log density and gradient at a point; and how any verb puts a question about a target. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

tb_status metrics_print(cli *c, const tb_metrics *metrics) {
  table t = table_new(c, 2);
  for (size_t i = 0; i < tb_metrics_count(metrics); i++) {
    tb_metric_value v = tb_metrics_at(metrics, i);
    if (v.cols == 0) /* an empty list of warnings */
      continue;
    table_row(&t);
    table_cell(&t, 0, COLOUR_NONE, "%s", v.name);
    table_cell(&t, 1, COLOUR_NONE, "%s", readable_metric(c, &v, 90));
  }
  return table_print(&t, stdout, "  ");
}

tb_status target_overrides(cli *c, size_t *count, tb_assignment **overrides) {
  tb_status status = arguments_overrides(c, 1, count, overrides);
  tb_assignment *all = status ? NULL : tb_arena_allocate(c->arena, *count + 2, sizeof *all);
  if (!all)
    return status ? status : TB_NO_MEMORY;
  all[0] = (tb_assignment){ .key = "target",
                            .text = c->words[0],
                            .origin = "command line",
                            .excerpt = c->typed,
                            .key_column = c->columns[0],
                            .value_column = c->columns[0] };
  memcpy(all + 1, *overrides, *count * sizeof *all);
  *overrides = all;
  ++*count;
  return TB_OK;
}

tb_status ask_of_target(cli *c, const char *name) {
  size_t count;
  tb_assignment *overrides;
  tb_metrics *metrics = NULL;
  tb_text line = tb_text_new(c->context);
  tb_status status = target_overrides(c, &count, &overrides);
  if (!status && c->check)
    overrides[count++] = (tb_assignment){ .key = "check", .text = "true", .origin = "command line" };
  if (!status)
    status = tb_question_answer(c->context, tb_question_find(name), count, overrides, &line, &metrics);
  if (!status && c->json)
    fputs(line.data, stdout);
  else if (!status)
    status = metrics_print(c, metrics);
  tb_metrics_free(metrics);
  tb_text_free(&line);
  return status;
}

static tb_status density(cli *c) {
  return ask_of_target(c, "density");
}

const verb verb_density = {
  .name = "density",
  .usage = "TARGET x=… [key=value …]",
  .summary = "log density and gradient of a target at a point; --check compares with finite differences",
  .details =
      "x= is in unconstrained coordinates: the logarithm of a scale, say. All constants are in the log density.\n"
      "`tiebreak explain target` lists the targets, `tiebreak explain NAME` says what an option means.",
  .flags = FLAG_DENSITY,
  .least = 1,
  .most = 1000000,
  .run = density,
};

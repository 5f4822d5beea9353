/* tiebreak show RUN: options, metrics and claims of a run; a line a run of a batch. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static tb_status print_options(cli *c, const tb_config *config) {
  table t = table_new(c, 3);
  for (size_t i = 0; i < tb_config_count(config); i++) {
    table_row(&t);
    table_cell(&t, 0, COLOUR_NONE, "%s", tb_config_option(config, i)->name);
    table_cell(&t, 1, COLOUR_NONE, "%s", tb_config_text(config, i));
    table_cell(&t, 2, COLOUR_DIM, "%s", tb_config_origin(config, i));
  }
  return table_print(&t, stdout, "  ");
}

static tb_status print_metrics(cli *c, const tb_outcome *outcome) {
  table t = table_new(c, 2);
  for (size_t i = 0; i < tb_metrics_count(outcome->metrics); i++) {
    tb_metric_value v = tb_metrics_at(outcome->metrics, i);
    if (v.cols == 0) /* an empty list of warnings */
      continue;
    table_row(&t);
    table_cell(&t, 0, COLOUR_NONE, "%s", v.name);
    table_cell(&t, 1, COLOUR_NONE, "%s", readable_metric(c, &v, 90));
  }
  return table_print(&t, stdout, "  ");
}

static tb_status show_one(cli *c, tb_record *record) {
  char time[40];
  const tb_outcome *outcome = tb_record_outcome(record);
  printf("%s%s%s  %s, %s after %s, %zu snapshots\n%s\n", colour_on(stdout, COLOUR_BOLD), outcome->run,
         colour_off(stdout), tb_record_study(record)->name, tb_record_state(record),
         readable_seconds(tb_record_seconds(record), time), outcome->n_snapshots, tb_record_folder(record));
  printf("options\n");
  tb_status status = print_options(c, outcome->config);
  if (!status && tb_metrics_count(outcome->metrics)) {
    printf("metrics\n");
    status = print_metrics(c, outcome);
  }
  return status;
}

/* The options that differ among the records, as key=value. */
static const char *differences(cli *c, size_t n, tb_record **records, size_t which) {
  const tb_config *config = tb_record_outcome(records[which])->config;
  tb_text text = tb_text_new(c->context);
  for (size_t i = 0; i < tb_config_count(config); i++) {
    bool differs = false;
    for (size_t k = 0; k < n && !differs; k++)
      if (tb_record_study(records[k]) == tb_record_study(records[which]))
        differs = strcmp(tb_config_text(tb_record_outcome(records[k])->config, i), tb_config_text(config, i)) != 0;
    if (differs)
      tb_text_format(&text, "%s%s=%s", text.length ? " " : "", tb_config_option(config, i)->name,
                     tb_config_text(config, i));
  }
  const char *copy = tb_text_finish(&text) ? NULL : tb_arena_text(c->arena, text.data ? text.data : "");
  tb_text_free(&text);
  return copy ? copy : "";
}

static tb_status show_many(cli *c, size_t n, tb_record **records) {
  char time[40];
  table t = table_new(c, 4);
  for (size_t i = 0; i < n; i++) {
    const char *state = tb_record_state(records[i]);
    table_row(&t);
    table_cell(&t, 0, COLOUR_NONE, "%s", tb_record_outcome(records[i])->run);
    table_cell(&t, 1, strcmp(state, "finished") == 0 ? COLOUR_NONE : COLOUR_YELLOW, "%s", state);
    table_cell(&t, 2, COLOUR_NONE, "%s", readable_seconds(tb_record_seconds(records[i]), time));
    table_cell(&t, 3, COLOUR_DIM, "%s", differences(c, n, records, i));
  }
  return table_print(&t, stdout, "");
}

/* The figures as gnuplot's text, for the terminal at hand. */
static tb_status plot(cli *c, size_t n, tb_record **records) {
  int columns = (int)terminal_width(stdout);
  tb_text text = tb_text_new(c->context);
  tb_status status = tb_report_terminal(c->context, n, records, columns >= 40 ? columns : 100, &text);
  if (!status)
    status = tb_text_finish(&text);
  if (!status && text.data)
    fputs(text.data, stdout);
  tb_text_free(&text);
  return status;
}

static tb_status show(cli *c) {
  size_t n, failing;
  tb_record **records;
  tb_status status = named_records(c, 0, &n, &records);
  if (status)
    return status;
  if (c->json) {
    for (size_t i = 0; i < n; i++)
      fputs(tb_record_json(records[i]), stdout);
  } else {
    status = n == 1 ? show_one(c, records[0]) : show_many(c, n, records);
    if (!status)
      status = claims_print(c, stdout, n, records, &failing);
    if (!status && c->plot)
      status = plot(c, n, records);
  }
  free_records(n, records);
  return status;
}

const verb verb_show = {
  .name = "show",
  .usage = "RUN [--plot]",
  .summary = "options, metrics and claims of a run or batch; --plot draws its figures as text",
  .details = "RUN is a run's or batch's name in the folder of runs, or a folder; BATCH/0007 is one run of a batch.",
  .flags = FLAG_RUNS | FLAG_OUT | FLAG_PLOT,
  .least = 1,
  .most = 1000,
  .run = show,
};

/* tiebreak run STUDY [key=value …]: runs a study or a study file and says what came out. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static tb_status print_results(cli *c, tb_batch *batch) {
  size_t count, n, failing;
  const char **folders;
  tb_record **records;
  tb_status status = tb_runs_resolve(c->context, c->arena, ".", tb_batch_folder(batch), &count, &folders);
  if (!status)
    status = open_records(c, count, folders, &n, &records);
  if (status)
    return status;
  if (!c->json) {
    if (n == 1)
      status = metrics_print(c, tb_record_outcome(records[0])->metrics);
    if (!status)
      status = claims_print(c, stdout, n, records, &failing);
    printf("%s\n", tb_batch_folder(batch));
  } else {
    size_t verdicts;
    tb_verdict *list;
    failing = 0;
    status = tb_claims_judge(c->context, c->arena, n, records, &verdicts, &list);
    for (size_t i = 0; i < verdicts && !status; i++)
      failing += list[i].word == TB_FAILS;
  }
  free_records(n, records);
  if (!status && c->strict && failing)
    status = tb_fail(c->context, TB_FAILED, "", NULL, "%zu claim%s", failing, failing == 1 ? " fails" : "s fail");
  return status;
}

tb_status run_study(cli *c, const char *study_or_file, size_t count, const tb_assignment *overrides) {
  tb_batch *batch;
  tb_status status = tb_batch_new(c->context, study_or_file, count, overrides, &batch);
  if (status) {
    if (!*tb_context_excerpt(c->context) && !*tb_context_place(c->context))
      tb_fail_excerpt(c->context, c->typed, c->columns[0]);
    return status;
  }
  if (c->dry_run) {
    status = dry_run(c, 1, &batch);
  } else {
    status = run_batch(c, batch);
    if (!status)
      status = print_results(c, batch);
  }
  tb_batch_free(batch);
  return status;
}

static tb_status run(cli *c) {
  size_t count;
  tb_assignment *overrides;
  tb_status status = arguments_overrides(c, 1, &count, &overrides);
  return status ? status : run_study(c, c->words[0], count, overrides);
}

const verb verb_run = {
  .name = "run",
  .usage = "STUDY [key=value …]",
  .summary = "run a study, or a study file, with its options",
  .details =
      "STUDY is a study's name or a YAML file of `key: value` documents. Options come last-wins: default, study\n"
      "file, command line. key=a,b,c and key=1:5 (both ends) sweep, seed=0:9 runs ten seeds; options that are\n"
      "lists of numbers take commas as elements and never sweep. Every run is kept in a folder of its own.",
  .flags = FLAG_THREADS | FLAG_OUT | FLAG_RUNS | FLAG_DRY_RUN | FLAG_STRICT | FLAG_RUNNING,
  .least = 1,
  .most = 1000000,
  .run = run,
};

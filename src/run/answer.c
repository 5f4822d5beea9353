/* A question is a study without a folder: one run in memory, its record as the answer. */
#include "run/batch.h"
#include "run/execute.h"
#include "run/record.h"

static tb_status perform(tb_run *run, tb_text *line, tb_metrics **metrics) {
  tb_status status = run->study->run(run);
  if (!status)
    status = tb_metrics_words(run->trace.metrics, "warnings", run->trace.n_warnings, run->trace.warnings);
  const tb_manifest manifest = {
    .name = run->name, .threads = 1, .seconds = tb_run_seconds(run), .config = run->config
  };
  if (!status)
    status = tb_record_line(run->context, run->study, &manifest, NULL, &run->trace, line);
  if (!status && metrics)
    status = tb_metrics_copy(run->context, run->trace.metrics, metrics);
  return status;
}

tb_status tb_question_answer(tb_context *context, const tb_study *question, size_t n, const tb_assignment *overrides,
                             tb_text *line, tb_metrics **metrics) {
  tb_batch *batch;
  if (metrics)
    *metrics = NULL;
  tb_status status = tb_batch_of_study(context, question, n, overrides, &batch);
  if (status)
    return status;
  tb_run run = {
    .context = context, .study = question, .config = tb_batch_config(batch, 0), .name = question->name, .index = 0
  };
  if (tb_batch_runs(batch) > 1)
    status = tb_fail(context, TB_USAGE, "", "give one value an option", "`%s` answers one question at a time",
                     question->name);
  if (!status)
    status = run.config ? tb_trace_new(context, &run.trace) : TB_NO_MEMORY;
  if (!status) {
    run.begun = run.last_saved = tb_clock_seconds();
    status = perform(&run, line, metrics);
    tb_trace_free(&run.trace);
  }
  tb_batch_free(batch);
  return status;
}

/* Writes the report of the made-up runs: write_sample_report FILE.html [hostile]; prints the text plots. */
#include <stdio.h>
#include <string.h>

#include "exhibits.h"

int main(int count, char **arguments) {
  if (count < 2)
    return 2;
  tb_context *context = tb_context_new(NULL, NULL);
  fair f = fair_new(context, count > 2 && strcmp(arguments[2], "hostile") == 0);
  tb_report_options options = { .out = arguments[1], .pdf = true };
  tb_text plots = tb_text_new(context);
  tb_status status = tb_report_make(context, f.n_runs, f.runs, f.n_verdicts, f.verdicts, &options);
  if (status == TB_OK)
    status = tb_report_plot(context, f.n_runs, f.runs, 100, &plots);
  if (status == TB_OK)
    fputs(plots.data, stdout);
  else
    fprintf(stderr, "%s\n", tb_context_message(context));
  tb_text_free(&plots);
  fair_free(&f);
  tb_context_free(context);
  return tb_status_exit_code(status);
}

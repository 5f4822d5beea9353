/* tiebreak report [RUN…]: one self-contained HTML page from recorded runs; without a name, of the newest. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* The newest run, or the batch it belongs to, becomes the only word. */
static tb_status take_newest(cli *c) {
  size_t count;
  tb_run_row *rows;
  const char *root = cli_runs_folder(c);
  tb_status status = tb_runs_list(c->context, c->arena, root, &count, &rows);
  if (status)
    return status;
  if (count == 0)
    return tb_fail(c->context, TB_USAGE, "", "`tiebreak run STUDY` or `tiebreak reproduce` makes some",
                   "nothing to report: no runs in '%s'", root);
  c->words[0] = tb_arena_format(c->arena, "%.*s", (int)strcspn(rows[0].name, "/"), rows[0].name);
  c->columns[0] = 0;
  c->n_words = 1;
  message_note(c, "reporting the newest, %s", c->words[0]);
  return c->words[0] ? TB_OK : TB_NO_MEMORY;
}

static tb_status report(cli *c) {
  size_t n, kept = 0;
  tb_record **records;
  char where[PATH_MAX];
  tb_status status = c->n_words ? TB_OK : take_newest(c);
  if (!status)
    status = named_records(c, 0, &n, &records);
  if (status)
    return status;
  tb_record **finished = tb_arena_allocate(c->arena, n + 1, sizeof *finished);
  for (size_t i = 0; finished && i < n; i++)
    if (strcmp(tb_record_state(records[i]), "finished") == 0)
      finished[kept++] = records[i];
  tb_report_options options = { .out = c->out ? c->out : "report.html", .pdf = c->pdf };
  if (!finished)
    status = TB_NO_MEMORY;
  else if (kept == 0)
    status = tb_fail(c->context, TB_USAGE, "", tb_arena_format(c->arena, "`tiebreak resume %s` goes on", c->words[0]),
                     "nothing to report: no run of '%s' has finished", c->words[0]);
  else
    status = tb_report_write(c->context, kept, finished, &options);
  if (!status && kept < n)
    message_warning(c, "%zu of %zu runs have not finished and are left out", n - kept, n);
  if (!status)
    printf("%s\n", realpath(options.out, where) ? where : options.out);
  free_records(n, records);
  return status;
}

const verb verb_report = {
  .name = "report",
  .usage = "[RUN…] [--out FILE] [--pdf]",
  .summary = "one self-contained HTML page with claims and figures (default: report.html of the newest run)",
  .details = "",
  .flags = FLAG_RUNS | FLAG_OUT | FLAG_PDF,
  .most = 1000,
  .run = report,
};

/* tiebreak export RUN --format csv|npz: snapshots for other programs. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

static tb_status export_csv(cli *c, size_t n, tb_record **records) {
  tb_text text = tb_text_new(c->context);
  tb_status status = tb_records_csv(c->context, n, records, &text);
  if (!status && c->out)
    status = tb_file_write(c->context, c->out, text.data, text.length);
  else if (!status)
    fwrite(text.data, 1, text.length, stdout);
  tb_text_free(&text);
  return status;
}

static tb_status export_npz(cli *c, size_t n, tb_record **records) {
  const char *name = c->words[0], *slash = strrchr(name, '/');
  const char *path = c->out ? c->out : tb_arena_format(c->arena, "%s.npz", slash && slash[1] ? slash + 1 : name);
  if (!path)
    return TB_NO_MEMORY;
  tb_status status = tb_records_npz(c->context, n, records, path);
  if (!status)
    message_note(c, "wrote %s", path);
  return status;
}

static tb_status write_chain(cli *c, const tb_record *record, size_t chain, const char *path) {
  tb_text text = tb_text_new(c->context);
  tb_status status = tb_record_stan_csv(c->context, record, chain, NULL, &text);
  if (!status && path)
    status = tb_file_write(c->context, path, text.data, text.length);
  else if (!status)
    fwrite(text.data, 1, text.length, stdout);
  tb_text_free(&text);
  if (!status && path)
    message_note(c, "wrote %s", path);
  return status;
}

/* One file of all chains, or, where --out is a folder, a file a chain as CmdStan writes them. */
static tb_status export_stan(cli *c, const tb_record *record) {
  struct stat at;
  const size_t length = c->out ? strlen(c->out) : 0;
  const bool folder = length && (c->out[length - 1] == '/' || (stat(c->out, &at) == 0 && S_ISDIR(at.st_mode)));
  if (!folder)
    return write_chain(c, record, 0, c->out);
  size_t chains;
  tb_text all = tb_text_new(c->context);
  tb_status status = tb_record_stan_csv(c->context, record, 0, &chains, &all);
  tb_text_free(&all);
  if (!status)
    status = tb_folder_create(c->context, c->out);
  for (size_t k = 1; k <= chains && !status; k++) {
    const char *path = tb_arena_format(c->arena, "%s/chain_%zu.csv", c->out, k);
    status = path ? write_chain(c, record, k, path) : TB_NO_MEMORY;
  }
  return status;
}

static tb_status export(cli *c) {
  static const char *const formats[] = { "csv", "npz", "netcdf", "stan-csv" };
  const char *format = c->format ? c->format : "csv";
  size_t n, which = 0;
  tb_record **records;
  while (which < 4 && strcmp(format, formats[which]) != 0)
    which++;
  if (which == 4) {
    const char *near = tb_suggest(format, formats, 4);
    return tb_fail(c->context, TB_USAGE, "",
                   near ? tb_arena_format(c->arena, "did you mean '%s'?", near) : "csv and npz are there",
                   "unknown format '%s'", format);
  }
  tb_status status = named_records(c, 0, &n, &records);
  if (status)
    return status;
  if (n == 0)
    status = arguments_fail(c, 0, NULL, "'%s' holds no runs", c->words[0]);
  else if (which == 3 && n > 1)
    status = arguments_fail(c, 0, "name one of its runs", "'%s' holds %zu runs, Stan's CSV one", c->words[0], n);
  else if (which == 3)
    status = export_stan(c, records[0]);
  else if (which == 2)
    status = tb_fail(c->context, TB_USAGE, "", "--format csv or --format npz hold its snapshots",
                     "format '%s' is for draws, and '%s' has none", format, c->words[0]);
  else
    status = which == 0 ? export_csv(c, n, records) : export_npz(c, n, records);
  free_records(n, records);
  return status;
}

const verb verb_export = {
  .name = "export",
  .usage = "RUN --format csv|npz|stan-csv [--out FILE]",
  .summary = "snapshots of a run or batch for other programs",
  .details = "CSV has a row a snapshot and goes to stdout without --out; NPZ arrays have a first axis of snapshots.\n"
             "stan-csv is for the draws of `sample`: a row a draw; where --out is a folder, a file a chain.",
  .flags = FLAG_RUNS | FLAG_OUT | FLAG_FORMAT,
  .least = 1,
  .most = 1000,
  .run = export,
};

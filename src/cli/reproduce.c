/* tiebreak reproduce [LAB|PAPER|CLAIM…]: runs the shipped study files, prints the claims table, writes the report.
 *
 * A shipped file is STUDIES/NAME.quick.yaml or NAME.full.yaml; what it is about stands in its first document. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli.h"
#include "cli/paths.h"

typedef struct shipped {
  const char *name, *path; /* "depth-without-magic" */
  tb_batch *batch;
} shipped;

/* ---- finding the files ---- */

static bool has_studies(const char *folder) {
  DIR *dir = opendir(folder);
  bool found = false;
  for (struct dirent *entry; dir && !found && (entry = readdir(dir));) {
    size_t length = strlen(entry->d_name);
    found = length > 5 && strcmp(entry->d_name + length - 5, ".yaml") == 0;
  }
  if (dir)
    closedir(dir);
  return found;
}

/* TIEBREAK_STUDIES, beside the executable (a build folder, an installation), the source tree, the install prefix. */
static tb_status find_folder(cli *c, const char **folder) {
  char executable[PATH_MAX] = "";
  ssize_t length = readlink("/proc/self/exe", executable, sizeof executable - 1);
  char *slash = length > 0 ? strrchr(executable, '/') : NULL;
  if (slash)
    *slash = 0;
  const char *given = getenv("TIEBREAK_STUDIES");
  if (given && *given) {
    *folder = given;
    if (has_studies(given))
      return TB_OK;
    return tb_fail(c->context, TB_USAGE, "", "TIEBREAK_STUDIES names the folder of study files",
                   "no study files in '%s'", given);
  }
  const char *const candidates[] = { tb_arena_format(c->arena, "%s/../studies", executable),
                                     tb_arena_format(c->arena, "%s/../share/tiebreak/studies", executable),
                                     TB_STUDIES_SOURCE, TB_STUDIES_INSTALLED };
  for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++)
    if (candidates[i] && has_studies(candidates[i])) {
      *folder = candidates[i];
      return TB_OK;
    }
  return tb_fail(c->context, TB_USAGE, "", "set TIEBREAK_STUDIES to the folder that holds them",
                 "the shipped study files were not found");
}

static int compare(const void *a, const void *b) {
  return strcmp(((const shipped *)a)->name, ((const shipped *)b)->name);
}

static tb_status list_files(cli *c, const char *folder, size_t *count, shipped **files) {
  const char *ending = c->full ? ".full.yaml" : ".quick.yaml";
  char plain[PATH_MAX];
  const char *where = realpath(folder, plain) ? plain : folder;
  size_t room = 64;
  *count = 0;
  *files = tb_arena_allocate(c->arena, room, sizeof **files);
  if (!*files)
    return TB_NO_MEMORY;
  DIR *dir = opendir(folder);
  for (struct dirent *entry; dir && *count < room && (entry = readdir(dir));) {
    size_t length = strlen(entry->d_name), tail = strlen(ending);
    if (length <= tail || strcmp(entry->d_name + length - tail, ending) != 0)
      continue;
    shipped *f = &(*files)[(*count)++];
    f->name = tb_arena_format(c->arena, "%.*s", (int)(length - tail), entry->d_name);
    f->path = tb_arena_format(c->arena, "%s/%s", where, entry->d_name);
    if (!f->name || !f->path) {
      closedir(dir);
      return TB_NO_MEMORY;
    }
  }
  if (dir)
    closedir(dir);
  qsort(*files, *count, sizeof **files, compare);
  if (*count == 0)
    return tb_fail(c->context, TB_USAGE, folder, c->full ? "--quick may be there" : "--full may be there",
                   "no study file ends with %s", ending);
  return TB_OK;
}

/* ---- choosing ---- */

/* A word names a laboratory, (part of) a paper, a file, a study, a claim or a family of claims ("separable."). */
static bool names(const shipped *f, const char *word) {
  if (strcmp(word, f->name) == 0)
    return true;
  for (size_t p = 0; p < tb_batch_parts(f->batch); p++) {
    const tb_part *part = tb_batch_part(f->batch, p);
    if (strcmp(word, part->study->name) == 0 || (part->laboratory && strcasecmp(word, part->laboratory) == 0) ||
        (part->paper && strlen(word) >= 4 && strcasestr(part->paper, word)))
      return true;
    for (size_t i = 0; i < part->study->n_claims; i++)
      if (strcmp(word, part->study->claims[i]->id) == 0)
        return true;
  }
  return false;
}

static tb_status unknown_word(cli *c, size_t word, size_t count, const shipped *files) {
  const char *candidates[512];
  char hint[200];
  size_t n = 0;
  for (size_t i = 0; i < count && n < 500; i++) {
    candidates[n++] = files[i].name;
    for (size_t p = 0; p < tb_batch_parts(files[i].batch) && n < 500; p++) {
      const tb_part *part = tb_batch_part(files[i].batch, p);
      candidates[n++] = part->study->name;
      if (part->laboratory)
        candidates[n++] = part->laboratory;
      for (size_t k = 0; k < part->study->n_claims && p == 0 && n < 500; k++)
        candidates[n++] = part->study->claims[k]->id;
    }
  }
  const char *near = tb_suggest(c->words[word], candidates, n);
  if (near)
    snprintf(hint, sizeof hint, "did you mean '%s'?", near);
  else
    snprintf(hint, sizeof hint, "name a laboratory, a paper, a study or a claim; `tiebreak studies` lists them");
  return arguments_fail(c, word, hint, "nothing shipped reproduces '%s'", c->words[word]);
}

/* Opens all files and keeps those that the words name (all without words). */
static tb_status choose(cli *c, size_t *count, shipped *files) {
  for (size_t i = 0; i < *count; i++) {
    tb_status status = tb_batch_new(c->context, files[i].path, 0, NULL, &files[i].batch);
    if (status)
      return status;
  }
  for (size_t w = 0; w < c->n_words; w++) {
    bool found = false;
    for (size_t i = 0; i < *count; i++)
      found |= names(&files[i], c->words[w]);
    if (!found)
      return unknown_word(c, w, *count, files);
  }
  size_t kept = 0;
  for (size_t i = 0; i < *count; i++) {
    bool wanted = c->n_words == 0;
    for (size_t w = 0; w < c->n_words; w++)
      wanted |= names(&files[i], c->words[w]);
    if (wanted) {
      shipped one = files[i];
      files[i] = files[kept];
      files[kept++] = one;
    }
  }
  *count = kept;
  return TB_OK;
}

/* ---- running and telling ---- */

static bool is_stop(tb_status status) {
  return status == TB_STOPPED || status == TB_INTERRUPTED;
}

/* Before hours of work: how many. */
static tb_status foretell(cli *c, size_t count, shipped *files) {
  double seconds = 0;
  size_t runs = 0;
  char text[40];
  for (size_t i = 0; i < count; i++) {
    tb_prediction predicted;
    tb_status status = tb_batch_predict(files[i].batch, (int)c->threads, 20, &predicted);
    if (status)
      return status;
    const double wall = predicted.seconds;
    message_note(c, "%s: %zu runs, about %s", files[i].name, tb_batch_runs(files[i].batch),
                 readable_seconds(wall, text));
    seconds += wall;
    runs += tb_batch_runs(files[i].batch);
  }
  if (count > 1)
    message_note(c, "together %zu runs, about %s", runs, readable_seconds(seconds, text));
  return TB_OK;
}

/* Runs every file; the first failure's status, after the others had their chance. */
static tb_status run_all(cli *c, size_t count, shipped *files) {
  tb_status first = TB_OK;
  for (size_t i = 0; i < count; i++) {
    const char *title = tb_batch_title(files[i].batch);
    message_note(c, "%s: %s, %zu runs", files[i].name, *title ? title : tb_batch_part(files[i].batch, 0)->paper,
                 tb_batch_runs(files[i].batch));
    tb_status status = run_batch(c, files[i].batch);
    if (is_stop(status) || status == TB_NO_DISK)
      return status;
    first = first ? first : status;
  }
  return first;
}

static tb_status collect(cli *c, size_t count, const shipped *files, size_t *n, tb_record ***records) {
  size_t total = 0;
  *n = 0;
  for (size_t i = 0; i < count; i++)
    total += tb_batch_runs(files[i].batch);
  const char **folders = tb_arena_allocate(c->arena, total + 1, sizeof *folders);
  if (!folders)
    return TB_NO_MEMORY;
  total = 0;
  for (size_t i = 0; i < count; i++)
    for (size_t run = 0; tb_batch_folder(files[i].batch) && run < tb_batch_runs(files[i].batch); run++) {
      folders[total] = tb_batch_run_folder(files[i].batch, run);
      total += folders[total] && tb_file_exists(folders[total]);
    }
  return open_records(c, total, folders, n, records);
}

static tb_status tell(cli *c, size_t count, const shipped *files) {
  size_t n, failing = 0;
  tb_record **records;
  char where[PATH_MAX];
  tb_status status = collect(c, count, files, &n, &records);
  if (status)
    return status;
  if (!c->json || !c->quiet)
    status = claims_print(c, c->json ? stderr : stdout, n, records, &failing);
  fflush(stdout);
  tb_report_options options = { .out = c->report ? c->report : "report.html", .pdf = c->pdf };
  if (!status)
    status = tb_report_write(c->context, n, records, &options);
  free_records(n, records);
  if (!status)
    fprintf(c->json ? stderr : stdout, "report: %s\n", realpath(options.out, where) ? where : options.out);
  if (!status && c->strict && failing)
    status = tb_fail(c->context, TB_FAILED, "", NULL, "%zu claim%s", failing, failing == 1 ? " fails" : "s fail");
  return status;
}

static tb_status reproduce(cli *c) {
  const char *folder;
  size_t count = 0;
  shipped *files = NULL;
  tb_status status = find_folder(c, &folder);
  if (!status)
    status = list_files(c, folder, &count, &files);
  size_t opened = count;
  if (!status)
    status = choose(c, &count, files);
  if (!status && c->dry_run) {
    for (size_t i = 0; i < count && !status; i++)
      status = dry_run(c, 1, &files[i].batch);
  } else if (!status) {
    status = c->full ? foretell(c, count, files) : TB_OK;
    if (!status)
      status = run_all(c, count, files);
    if (!is_stop(status) && status != TB_NO_DISK) {
      tb_status told = tell(c, count, files);
      if (!status) {
        status = told;
      } else if (told) {
        message_failure(c, c->context);
      }
    }
  }
  for (size_t i = 0; i < opened && files; i++)
    tb_batch_free(files[i].batch);
  return status;
}

const verb verb_reproduce = {
  .name = "reproduce",
  .usage = "[LAB|PAPER|CLAIM…]",
  .summary = "run the shipped study files, print the claims table, write report.html",
  .details = "Without words everything that is shipped; else what a laboratory, a paper, a study or a claim names.",
  .flags = FLAG_THREADS | FLAG_OUT | FLAG_RUNS | FLAG_DRY_RUN | FLAG_STRICT | FLAG_LEVEL | FLAG_PDF | FLAG_REPORT,
  .most = 1000,
  .run = reproduce,
};

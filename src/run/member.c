/* One run: its folder, its study, its results, its end.
 *
 * The folder is complete from the start (study.yaml, resolved.yaml, manifest.json) and says "unfinished" until every
 * result is written; manifest.json comes last, so that a kill at any moment leaves a run that can be taken up. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "run/export.h"
#include "run/folder.h"
#include "run/record.h"
#include "run/schedule.h"

tb_manifest tb_member_manifest(const tb_batch *batch, size_t index, const char *name, const tb_config *config,
                               int threads, char started[40]) {
  const tb_part *part = &tb_section_of(batch, index)->part;
  tb_clock_utc(started, 40);
  return (tb_manifest){ .name = name,
                        .study = part->study->name,
                        .part = part->name,
                        .title = part->title,
                        .paper = part->paper,
                        .laboratory = part->laboratory,
                        .state = "unfinished",
                        .started = started,
                        .finished = "",
                        .threads = threads,
                        .config = config };
}

/* Moves a finished text into the arena as a file; frees it. */
static tb_status keep(tb_arena *arena, const char *name, tb_status status, tb_text *text, tb_folder_file *file) {
  if (!status) {
    *file = (tb_folder_file){ .name = name, .data = tb_arena_text(arena, text->data), .size = text->length };
    status = file->data ? TB_OK : TB_NO_MEMORY;
  }
  tb_text_free(text);
  return status;
}

tb_status tb_member_files(tb_context *context, tb_arena *arena, const tb_batch *batch, const tb_manifest *manifest,
                          tb_folder_file files[3]) {
  tb_text resolved = tb_text_new(context), described = tb_text_new(context);
  files[0] = (tb_folder_file){ .name = "study.yaml", .data = batch->source, .size = strlen(batch->source) };
  tb_status status = keep(arena, "resolved.yaml", tb_resolved_text(context, manifest, &resolved), &resolved, &files[1]);
  if (!status)
    status = keep(arena, "manifest.json", tb_manifest_text(context, manifest, &described), &described, &files[2]);
  return status;
}

/* The JSON line of a run that finished before. */
static tb_status read_line(tb_context *context, const char *folder, tb_text *line) {
  char path[PATH_MAX], *text;
  size_t size;
  snprintf(path, sizeof path, "%s/record.json", folder);
  tb_status status = tb_file_read(context, path, &text, &size);
  if (status)
    return status;
  tb_text_add_bytes(line, text, size);
  tb_release(context, text);
  return tb_text_finish(line);
}

static tb_status write_text(tb_context *context, const char *folder, const char *name, const tb_text *text) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return tb_file_write(context, path, text->data, text->length);
}

/* Arrays, table, record, and at last the manifest. */
static tb_status write_results(tb_run *run, tb_manifest *manifest, tb_text *line) {
  tb_context *context = run->context;
  char path[PATH_MAX], now[40];
  tb_outcome outcome = { .run = run->name,
                         .config = run->config,
                         .metrics = run->trace.metrics,
                         .n_snapshots = run->trace.n_snapshots,
                         .snapshots = run->trace.snapshots };
  tb_text csv = tb_text_new(context);
  tb_status status = tb_metrics_words(run->trace.metrics, "warnings", run->trace.n_warnings, run->trace.warnings);
  manifest->seconds = tb_run_seconds(run);
  if (!status)
    status = tb_record_line(context, run->study, manifest, run->folder, &run->trace, line);
  if (!status)
    status = tb_outcomes_csv(context, 1, &outcome, &csv);
  snprintf(path, sizeof path, "%s/snapshots.npz", run->folder);
  if (!status)
    status = tb_outcomes_npz(context, 1, &outcome, path);
  if (!status)
    status = write_text(context, run->folder, "metrics.csv", &csv);
  if (!status)
    status = write_text(context, run->folder, "record.json", line);
  if (!status)
    status = tb_run_log(run, "finished after %.3g seconds", manifest->seconds);
  tb_clock_utc(now, sizeof now);
  manifest->state = "finished";
  manifest->finished = now;
  if (!status)
    status = tb_manifest_write(context, run->folder, manifest);
  snprintf(path, sizeof path, "%s/checkpoint", run->folder);
  if (!status)
    unlink(path);
  tb_text_free(&csv);
  return status;
}

/* A run that did not finish says why; what cannot be written any more stays unsaid. */
static void write_failure(tb_run *run, tb_manifest *manifest, tb_status status) {
  char now[40];
  tb_context *context = run->context;
  tb_context *other = tb_context_new(NULL, NULL); /* the failure itself stays in the run's context */
  bool stopped = status == TB_STOPPED || status == TB_INTERRUPTED;
  tb_clock_utc(now, sizeof now);
  manifest->state = stopped || status == TB_NO_DISK || status == TB_NO_MEMORY ? "unfinished" : "failed";
  manifest->finished = now;
  manifest->status = status;
  manifest->message = tb_context_message(context);
  manifest->place = tb_context_place(context);
  manifest->hint = tb_context_hint(context);
  manifest->seconds = tb_run_seconds(run);
  if (other) {
    run->context = other;
    if (!tb_manifest_write(other, run->folder, manifest) &&
        tb_run_log(run, "%s: %s", tb_status_name(status), manifest->message))
      tb_context_clear(other);
    run->context = context;
    tb_context_free(other);
  }
}

/* A full disk is no end: says how to go on. */
static void resumable(tb_context *context, const char *name) {
  char hint[800];
  snprintf(hint, sizeof hint, "free some space on that disk, then `tiebreak resume %s`", name);
  tb_fail(context, TB_NO_DISK, tb_context_place(context), hint, "%s", tb_context_message(context));
}

static tb_status perform(tb_context *context, const tb_member *member, const tb_config *config, tb_manifest *manifest,
                         tb_text *line) {
  tb_run run = { .context = context,
                 .study = tb_section_of(member->batch, member->index)->part.study,
                 .config = config,
                 .name = member->name,
                 .folder = member->folder,
                 .index = member->index,
                 .interval = member->checkpoint_seconds > 0 ? member->checkpoint_seconds : 2,
                 .hooks = member->hooks };
  if (member->started)
    member->started(member->user, member->index, member->name);
  tb_status status = tb_run_begin(&run);
  if (!status)
    status = tb_run_log(&run, run.state ? "taken up after %.3g seconds of work" : "started", run.earlier);
  if (!status)
    status = run.study->run(&run);
  if (!status)
    status = write_results(&run, manifest, line);
  if (status == TB_NO_DISK)
    resumable(context, member->name);
  if (status)
    write_failure(&run, manifest, status);
  tb_run_end(&run);
  return status;
}

/* Makes the member's folder unless it is there; *finished: it holds a finished run. */
static tb_status enter(tb_context *context, tb_arena *arena, const tb_member *member, tb_manifest *manifest,
                       bool *finished) {
  char root[PATH_MAX];
  *finished = false;
  if (tb_file_exists(member->folder)) {
    tb_manifest before;
    tb_status status = tb_manifest_read(context, arena, member->folder, &before);
    if (status)
      return status;
    *finished = strcmp(before.state, "finished") == 0;
    manifest->started = before.started;
    return TB_OK;
  }
  const char *slash = strrchr(member->folder, '/'), *made;
  bool taken;
  tb_folder_file files[3];
  snprintf(root, sizeof root, "%.*s", (int)(slash - member->folder), member->folder);
  tb_status status = tb_member_files(context, arena, member->batch, manifest, files);
  if (!status)
    status = tb_folder_make(context, arena, root, slash + 1, 3, files, &made, &taken);
  return status;
}

tb_status tb_member_run(tb_context *context, const tb_member *member, tb_text *line) {
  char started[40];
  int handle = -1;
  bool finished;
  tb_config *config = NULL;
  tb_arena *arena = tb_arena_new(context);
  tb_status status = arena ? tb_batch_make_config(context, member->batch, member->index, &config) : TB_NO_MEMORY;
  if (status)
    goto done;
  tb_manifest manifest =
      tb_member_manifest(member->batch, member->index, member->name, config, member->threads, started);
  status = enter(context, arena, member, &manifest, &finished);
  if (!status)
    status = tb_folder_hold(context, member->folder, &handle);
  if (!status)
    status = finished ? read_line(context, member->folder, line) : perform(context, member, config, &manifest, line);
done:
  if (handle >= 0)
    close(handle);
  tb_config_free(config);
  tb_arena_free(arena);
  return status;
}

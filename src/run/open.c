/* Taking up a folder again: a batch from its batch.json, a single run from its manifest. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "run/batch.h"
#include "run/manifest.h"

static tb_status open_run(tb_batch *batch) {
  tb_manifest manifest;
  tb_status status = tb_manifest_read(batch->context, batch->arena, batch->folder, &manifest);
  if (status)
    return status;
  const tb_study *study = tb_study_find(manifest.study);
  if (!study)
    return tb_fail(batch->context, TB_USAGE, batch->folder, "it was made by another version of tiebreak",
                   "unknown study '%s'", manifest.study);
  batch->name = batch->run_name = manifest.name;
  batch->parts = tb_arena_allocate(batch->arena, 1, sizeof *batch->parts);
  if (!batch->parts)
    return TB_NO_MEMORY;
  size_t kept = 0; /* options that are not set have no assignment */
  for (size_t i = 0; i < manifest.n_assignments; i++)
    if (*manifest.assignments[i].text)
      manifest.assignments[kept++] = manifest.assignments[i];
  batch->n_parts = 1;
  batch->parts[0] = (tb_section){ .literal = true,
                                  .part = { .name = manifest.part,
                                            .title = manifest.title,
                                            .paper = manifest.paper,
                                            .laboratory = manifest.laboratory,
                                            .study = study,
                                            .count = kept,
                                            .assignments = manifest.assignments } };
  return tb_batch_expand(batch);
}

static tb_status read_source(tb_batch *batch) {
  char path[PATH_MAX], *text;
  size_t size;
  snprintf(path, sizeof path, "%s/study.yaml", batch->folder);
  tb_status status = tb_file_read(batch->context, path, &text, &size);
  if (status)
    return status;
  batch->source = tb_arena_text(batch->arena, text);
  tb_release(batch->context, text);
  return batch->source ? TB_OK : TB_NO_MEMORY;
}

/* Without trailing slashes. */
static const char *clean_path(tb_arena *arena, const char *folder) {
  size_t length = strlen(folder);
  while (length > 1 && folder[length - 1] == '/')
    length--;
  return tb_arena_format(arena, "%.*s", (int)length, folder);
}

tb_status tb_batch_open(tb_context *context, const char *folder, tb_batch **out) {
  char path[PATH_MAX];
  *out = NULL;
  tb_batch *batch = tb_batch_blank(context);
  if (!batch)
    return TB_NO_MEMORY;
  batch->folder = clean_path(batch->arena, folder);
  tb_status status = batch->folder ? read_source(batch) : TB_NO_MEMORY;
  snprintf(path, sizeof path, "%s/batch.json", folder);
  if (!status)
    status = tb_file_exists(path) ? tb_batch_manifest_read(context, batch->folder, batch) : open_run(batch);
  if (status) {
    tb_batch_free(batch);
    return status;
  }
  *out = batch;
  return TB_OK;
}

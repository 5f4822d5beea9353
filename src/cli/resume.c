/* tiebreak resume RUN: continues a stopped run or batch from its checkpoints, to the same bits. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

/* The folder of a run's or batch's name. */
static tb_status find_folder(cli *c, const char **folder) {
  const char *root = cli_runs_folder(c), *name = c->words[0];
  const char *const candidates[] = { tb_arena_format(c->arena, "%s/%s", root, name), name };
  for (size_t i = 0; i < 2; i++) {
    const char *batch = tb_arena_format(c->arena, "%s/batch.json", candidates[i]);
    const char *run = tb_arena_format(c->arena, "%s/manifest.json", candidates[i]);
    if (!candidates[i] || !batch || !run)
      return TB_NO_MEMORY;
    if (tb_file_exists(batch) || tb_file_exists(run)) {
      *folder = candidates[i];
      return TB_OK;
    }
  }
  size_t count;
  const char **folders;
  tb_status status = tb_runs_resolve(c->context, c->arena, root, name, &count, &folders);
  if (status)
    tb_fail_excerpt(c->context, c->typed, c->columns[0]);
  return status;
}

static tb_status resume(cli *c) {
  const char *folder = NULL;
  tb_batch *batch;
  tb_status status = find_folder(c, &folder);
  if (status)
    return status;
  status = tb_batch_open(c->context, folder, &batch);
  if (status)
    return status;
  status = run_batch(c, batch);
  if (!status && !c->json)
    printf("%s\n", tb_batch_folder(batch));
  tb_batch_free(batch);
  return status;
}

const verb verb_resume = {
  .name = "resume",
  .usage = "RUN",
  .summary = "continue a stopped run or batch from its checkpoints, to the same bits",
  .details = "Finished runs are kept as they are, runs that failed are tried again.",
  .flags = FLAG_THREADS | FLAG_RUNS | FLAG_OUT | FLAG_RUNNING,
  .least = 1,
  .most = 1,
  .run = resume,
};

/* One run from configuration to finished folder; the scheduler calls it from several threads. */
#ifndef TB_RUN_SCHEDULE_H
#define TB_RUN_SCHEDULE_H

#include "run/batch.h"
#include "run/execute.h"
#include "run/manifest.h"

/* The three files that every run folder begins with; texts are in the arena. */
typedef struct tb_folder_file tb_folder_file;
tb_status tb_member_files(tb_context *, tb_arena *, const tb_batch *, const tb_manifest *, tb_folder_file files[3]);

/* Everything about a run but its result. */
typedef struct tb_member {
  const tb_batch *batch;
  size_t index;
  const char *folder, *name;
  int threads;
  double checkpoint_seconds;
  const tb_run_hooks *hooks;
  void (*started)(void *user, size_t index, const char *name);
  void *user;
} tb_member;

/* Runs it, or takes it up, or (finished before) leaves it: its JSON line goes to `line`. */
tb_status tb_member_run(tb_context *, const tb_member *, tb_text *line);

/* Describes run `index` with that configuration as not yet finished. */
tb_manifest tb_member_manifest(const tb_batch *, size_t index, const char *name, const tb_config *, int threads,
                               char started[40]);

#endif

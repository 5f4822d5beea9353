/* What a run has left so far: final metrics, snapshots, warnings, extra files.  A run adds to it, a checkpoint keeps
 * it, a record is made of it. */
#ifndef TB_RUN_TRACE_H
#define TB_RUN_TRACE_H

#include <tiebreak/run.h>

typedef struct tb_trace {
  tb_context *context;
  tb_arena *arena; /* texts and lists */
  tb_metrics *metrics;
  size_t n_snapshots, room_snapshots;
  tb_metrics **snapshots;
  size_t n_warnings, room_warnings;
  const char **warnings;
  size_t n_files, room_files;
  const char **file_keys, **file_names; /* "draws", "draws.npz" */
  double seconds;                       /* of work so far, earlier sessions included */
} tb_trace;

tb_status tb_trace_new(tb_context *, tb_trace *);
void tb_trace_free(tb_trace *);
tb_status tb_trace_snapshot(tb_trace *, const tb_metrics *); /* copied */
/* A message that was there already is not added again (a resumed run sets up as the first did). */
tb_status tb_trace_warn(tb_trace *, const char *message, bool *added);
tb_status tb_trace_file(tb_trace *, const char *key, const char *name);

tb_status tb_metrics_copy(tb_context *, const tb_metrics *from, tb_metrics **to);

/* ---- checkpoints: a file with the trace and the study's own state ---- */

/* Written atomically, with a checksum and the program that wrote it. */
tb_status tb_checkpoint_write(tb_context *, const char *path, const tb_trace *, const void *state, size_t size);
/* Replaces the trace (new from tb_trace_new) and gives the state, owned by the trace's arena; *state stays NULL where
 * there is no checkpoint, or a damaged one, or one of another build: the run then starts again from its beginning. */
tb_status tb_checkpoint_read(tb_context *, const char *path, tb_trace *, const void **state, size_t *size);

#endif

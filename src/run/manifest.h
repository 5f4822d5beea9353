/* manifest.json of a run folder (what ran, how, how it ended), batch.json of a batch's folder, resolved.yaml. */
#ifndef TB_RUN_MANIFEST_H
#define TB_RUN_MANIFEST_H

#include "run/batch.h"

typedef struct tb_manifest {
  const char *name, *study, *part, *title, *paper, *laboratory;
  const char *state; /* "unfinished", "finished", "failed" */
  tb_status status;
  const char *message, *place, *hint; /* of a failure */
  const char *started, *finished;     /* UTC; "" while it runs */
  double seconds;
  int threads;
  const char *working_folder; /* to which relative paths among the options refer */
  const tb_config *config;    /* written; when reading, see `assignments` */
  size_t n_assignments;
  tb_assignment *assignments; /* read back: key, text, origin of every option */
} tb_manifest;

tb_status tb_manifest_text(tb_context *, const tb_manifest *, tb_text *out);
tb_status tb_manifest_write(tb_context *, const char *folder, const tb_manifest *);
/* Errors TB_BAD_DATA: missing, damaged.  Relative paths are joined to the recorded working folder where that is another
 * one now. */
tb_status tb_manifest_read(tb_context *, tb_arena *, const char *folder, tb_manifest *);
/* A configuration of the study with the recorded values; options unknown to this version are passed over. */
tb_status tb_manifest_config(tb_context *, const tb_manifest *, const tb_study *, tb_config **);

/* `key: value` lines that ask for exactly this run; every origin as a comment. */
tb_status tb_resolved_text(tb_context *, const tb_manifest *, tb_text *out);

tb_status tb_batch_manifest_text(tb_context *, const tb_batch *, tb_text *out);
tb_status tb_batch_manifest_read(tb_context *, const char *folder, tb_batch *);

#endif

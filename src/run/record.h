/* A run's record: the contract's JSON line, written from a trace and read back. */
#ifndef TB_RUN_RECORD_H
#define TB_RUN_RECORD_H

#include "run/manifest.h"
#include "run/trace.h"

struct tb_record {
  tb_context *context;
  tb_arena *arena;
  const char *folder;
  tb_manifest manifest;
  const tb_study *study;
  tb_config *config;
  tb_trace trace;
  tb_outcome outcome;
  char *json;
};

/* One line, ended by a newline: study, configuration, metrics, snapshots, claims on this run alone, files. */
tb_status tb_record_line(tb_context *, const tb_study *, const tb_manifest *, const char *folder, const tb_trace *,
                         tb_text *out);

#endif

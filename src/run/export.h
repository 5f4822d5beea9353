/* Snapshots of outcomes as tables and arrays. */
#ifndef TB_RUN_EXPORT_H
#define TB_RUN_EXPORT_H

#include <tiebreak/run.h>

/* A row (an entry of the first axis) a snapshot; a run without snapshots gives its final metrics as one.  Several
 * outcomes: a first column `run`. */
tb_status tb_outcomes_csv(tb_context *, size_t n, const tb_outcome *, tb_text *out);
tb_status tb_outcomes_npz(tb_context *, size_t n, const tb_outcome *, const char *path);

#endif

/* Rehearsals: runs begun in child processes and a scratch folder, to learn what the whole of them takes here. */
#ifndef TB_RUN_REHEARSE_H
#define TB_RUN_REHEARSE_H

#include "run/batch.h"

typedef struct tb_rehearsal {
  double seconds; /* of the whole run, on a machine that does nothing else; NaN: it showed no progress, or failed */
  double memory;  /* bytes at its peak beyond those of the program (NaN as above) */
  double program; /* bytes of the program and its libraries */
  double kept;    /* bytes of its record when it is read back with all others; NaN: it did not come to its end */
} tb_rehearsal;

/* Rehearses runs[i], which stands for times[i] alike, i < count, for `budget` seconds of theirs in all at most.  A run
 * that fails here is no failure of the rehearsal.  `threads`: of each run's engine. */
tb_status tb_rehearse(tb_batch *, size_t count, const size_t *runs, const double *times, int threads, double budget,
                      tb_rehearsal *heard);

#endif

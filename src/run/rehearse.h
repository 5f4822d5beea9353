/* A rehearsal: a run begun in a child process and a scratch folder, to learn what the whole of it takes here. */
#ifndef TB_RUN_REHEARSE_H
#define TB_RUN_REHEARSE_H

#include "run/batch.h"

typedef struct tb_rehearsal {
  double seconds; /* of the whole run, begin and end included; NaN: it showed no progress, or failed */
  double memory;  /* bytes at its peak, without the program itself */
} tb_rehearsal;

/* Runs for about `budget` seconds at most, or to the end.  A run that fails here is no failure of the rehearsal. */
tb_status tb_rehearse(tb_batch *, size_t run, double budget, tb_rehearsal *);

#endif

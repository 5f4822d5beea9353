/* Shared inside this folder: a completion problem from lists of entries. */
#ifndef TB_BIAS_COMPLETION_PARTS_H
#define TB_BIAS_COMPLETION_PARTS_H

#include "bias/completion.h"

typedef struct completion_entry {
  size_t row, col, place; /* place: in the file */
  double value;
} completion_entry;

/* An empty problem: observed all false, no truth. */
tb_partial_matrix *completion_new(tb_context *, size_t rows, size_t cols);
/* Sorts entries and takes them as the observed ones. */
tb_status completion_observe(tb_context *, tb_partial_matrix *, size_t count, completion_entry *);
/* Adds known values (truth is made when there is none). */
tb_status completion_know(tb_context *, tb_partial_matrix *, size_t count, const completion_entry *);
void completion_sort(size_t count, completion_entry *); /* by row, column, place */

#endif

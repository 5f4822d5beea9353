/* Shared inside this folder: making a classification problem and completing it once x and y are filled, and the header
 * of files of points. */
#ifndef TB_BIAS_PROBLEM_H
#define TB_BIAS_PROBLEM_H

#include "bias/classification.h"
#include "io/csv.h"

/* Zeroed arrays of n rows and d columns; NULL on exhaustion. */
tb_classification *classification_new(tb_context *, size_t n, size_t d);
/* Sets z and what is known of repeated rows from x and y. */
tb_status classification_finish(tb_context *, tb_classification *);

/* The header of points is x1,…,xd,y: a mistaken column is a mistaken experiment. */
tb_status problem_check_header(tb_context *, const tb_table *);

#endif

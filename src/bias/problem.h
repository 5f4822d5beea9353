/* Shared inside this folder: making a classification problem and completing it once x and y are filled. */
#ifndef TB_BIAS_PROBLEM_H
#define TB_BIAS_PROBLEM_H

#include "bias/classification.h"

/* Zeroed arrays of n rows and d columns; NULL on exhaustion. */
tb_classification *classification_new(tb_context *, size_t n, size_t d);
/* Sets z and what is known of repeated rows from x and y. */
tb_status classification_finish(tb_context *, tb_classification *);

#endif

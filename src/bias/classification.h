/* Linearly separable classification: n points x_i in R^d with labels y_i = ±1, z_i = y_i x_i.
 *
 * Two doors: a sparse teacher (x ~ N(0, I), y = sign(x·teacher), the teacher has k equal entries) drawn from a seed, so
 * that all methods with that seed see the same points; and a user's CSV. */
#ifndef TB_BIAS_CLASSIFICATION_H
#define TB_BIAS_CLASSIFICATION_H

#include <tiebreak/base.h>

typedef struct tb_classification {
  size_t n, d;                /* d counts the feature of ones */
  double *x, *y, *z;          /* n×d, n, n×d */
  double *teacher;            /* d, of unit length; NULL for a file's data */
  size_t *copy_of;            /* n: the first row with the same x and y (itself when there is none before) */
  size_t duplicates;          /* rows that repeat an earlier one */
  size_t opposed, opposed_to; /* two rows with the same x and opposite labels; both 0 when there are none */
  size_t *lines;              /* n: line of each row in the file; NULL for drawn data */
  char *path;                 /* NULL for drawn data */
} tb_classification;

/* Draws n points in d dimensions (and, with bias, a further feature of ones).  1 ≤ k ≤ d. */
tb_status tb_classification_sparse(tb_context *, size_t n, size_t d, size_t k, bool bias, uint64_t seed,
                                   tb_classification **);
/* Reads a CSV with header x1,…,xd,y.  Errors TB_BAD_DATA, with file:line:column: what tb_csv_read refuses, no rows, no
 * features, a header other than that, a label other than ±1, one class only (unless there is but one row).  Repeated
 * rows are legal: see `duplicates`. */
tb_status tb_classification_read(tb_context *, const char *path, bool bias, tb_classification **);
void tb_classification_free(tb_context *, tb_classification *); /* NULL is allowed */

/* The rows as a reader would find them: "line 7" of a file, "row 3" (1-based) of drawn data. */
void tb_classification_row_name(const tb_classification *, size_t row, char name[32]);

#endif

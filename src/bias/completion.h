/* A matrix seen through some of its entries, or through linear measurements: which of all matrices that agree with
 * them?
 *
 * Doors: a low-rank matrix drawn from a seed (so that all methods with that seed see the same), a user's CSV of entries
 * or of measurement matrices, and MovieLens ratings. */
#ifndef TB_BIAS_COMPLETION_H
#define TB_BIAS_COMPLETION_H

#include <tiebreak/base.h>

typedef struct tb_partial_matrix {
  size_t rows, cols, count; /* of the matrix; measurements */
  size_t *row, *col;        /* count: entries, distinct, by row and then column; NULL: `dense` */
  double *dense;            /* count × rows·cols: measurement matrices; NULL: entries */
  double *y;                /* count */
  double *truth;            /* rows·cols, NaN where it is not known; NULL: nothing is known */
  bool *observed;           /* rows·cols: the entry is among the measurements */
} tb_partial_matrix;

/* W* = U Vᵀ scaled to ‖W*‖_F² = rows·cols, U and V normal with `rank` columns (Arora et al. 2019), and `count` entries
 * of it drawn without replacement, or measurements ⟨A_k, W*⟩ with A_k entries N(0, 1/(rows·cols)).
 * 1 ≤ rank ≤ min(rows, cols); for entries 1 ≤ count ≤ rows·cols. */
tb_status tb_partial_matrix_low_rank(tb_context *, size_t rows, size_t cols, size_t rank, size_t count, bool sensing,
                                     uint64_t seed, tb_partial_matrix **);

/* Reads a CSV with header i,j,value (zero-based).  rows, cols: 0 for the smallest that hold the entries (those of
 * `truth` too).  truth: a CSV of the same kind with entries to compare with, or "".  Errors TB_BAD_DATA with
 * file:line:column: what tb_csv_read refuses, another header, no entries, an index that is not one or is outside, an
 * entry given twice. */
tb_status tb_partial_matrix_read(tb_context *, const char *path, size_t rows, size_t cols, const char *truth,
                                 tb_partial_matrix **);
/* Reads a CSV with header a00,a01,…,y: a measurement matrix row by row and its value a line.  Names are a, row index,
 * column index, an underscore between them where one is longer than a digit. */
tb_status tb_partial_matrix_read_sensing(tb_context *, const char *path, size_t rows, size_t cols, const char *truth,
                                         tb_partial_matrix **);
/* Reads MovieLens' u.data: lines of user, item, rating, timestamp, one-based, parted by tabs or blanks; users are rows.
 * The first `train` ratings are observed, the others known. */
tb_status tb_partial_matrix_read_movielens(tb_context *, const char *path, size_t rows, size_t cols, size_t train,
                                           tb_partial_matrix **);
void tb_partial_matrix_free(tb_context *, tb_partial_matrix *); /* NULL is allowed */

#endif

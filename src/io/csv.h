/* CSV with a header line: numbers only, every complaint with file:line:column, the line and a caret. */
#ifndef TB_IO_CSV_H
#define TB_IO_CSV_H

#include <tiebreak/base.h>

typedef struct tb_table {
  size_t rows, cols;
  char **names;   /* cols header names */
  double *values; /* rows × cols, row-major */
  size_t *lines;  /* line number of each row (1-based) */
  char *path;
} tb_table;

/* Reads PATH.  Errors TB_BAD_DATA: missing file, no header, ragged row, text or NaN or infinity in a field, no columns.
 * Zero rows are not an error here.  CRLF, a byte-order mark, blank lines at the end and quoted fields are accepted. */
tb_status tb_csv_read(tb_context *, const char *path, tb_table **);
void tb_table_free(tb_context *, tb_table *);
/* Column of that name, or -1. */
long tb_table_column(const tb_table *, const char *name);
/* Records TB_BAD_DATA at a field of the table: place file:line:column, excerpt from the file. */
tb_status tb_table_fail(tb_context *, const tb_table *, size_t row, size_t col, const char *hint, const char *format,
                        ...) TB_PRINTF(6, 7);

/* Writes header and rows with 17 significant digits, atomically. */
tb_status tb_csv_write(tb_context *, const char *path, size_t rows, size_t cols, const char *const *names,
                       const double *values);

#endif

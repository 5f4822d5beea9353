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

/* Reads PATH.  Errors TB_BAD_DATA: missing file, no header, unnamed or twice named columns, ragged row, text or NaN or
 * infinity in a field, zero bytes.  Zero rows are not an error here.  CRLF, a byte-order mark, blanks around fields,
 * blank lines at the end and quoted fields (closed on their line) are accepted.  The table's memory is the context's.
 */
tb_status tb_csv_read(tb_context *, const char *path, tb_table **);
void tb_table_free(tb_context *, tb_table *);
/* Column of that name, or -1. */
long tb_table_column(const tb_table *, const char *name);
/* Records TB_BAD_DATA at a field of the table: place file:line:column, excerpt from the file. */
tb_status tb_table_fail(tb_context *, const tb_table *, size_t row, size_t col, const char *hint, const char *format,
                        ...) TB_PRINTF(6, 7);

/* Writes header and rows atomically, each number as the shortest text that reads back the same. */
tb_status tb_csv_write(tb_context *, const char *path, size_t rows, size_t cols, const char *const *names,
                       const double *values);

/* Appends a text field, quoted where it must be. */
void tb_csv_add_field(tb_text *, const char *content);

#endif

/* CSV of texts: a header line, then rows of as many fields; a quote closes on its line.  Complaints name line, column
 * and show the line. */
#ifndef TB_IO_CSV_TEXT_H
#define TB_IO_CSV_TEXT_H

#include <tiebreak/base.h>

typedef struct tb_text_table {
  const char *path, *data; /* the whole file */
  size_t rows, cols;
  char **names;       /* [cols] */
  char **fields;      /* [rows × cols], without quotes and blanks around */
  const char **lines; /* [rows]: where each row starts in data */
  size_t *numbers;    /* [rows]: its line, from 1 */
  size_t *columns;    /* [rows × cols]: the byte of its line at which a field's content starts, from 1 */
} tb_text_table;

/* Everything lies in the arena.  Errors TB_BAD_DATA: a missing file, no header, rows of other lengths, an open quote,
 * a zero byte. */
tb_status tb_csv_read_text(tb_context *, tb_arena *, const char *path, tb_text_table *) TB_MUST_CHECK;
/* The column of that name, or -1. */
long tb_text_table_column(const tb_text_table *, const char *name);
/* Records TB_BAD_DATA at byte `offset` of a field. */
tb_status tb_text_table_fail(tb_context *, const tb_text_table *, size_t row, size_t col, size_t offset,
                             const char *hint, const char *format, ...) TB_PRINTF(7, 8);

#endif

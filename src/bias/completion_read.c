/* The doors for a user's matrices: entries, measurement matrices, ratings; a fault is told with its place, why it is
 * one and what to do. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bias/completion_parts.h"
#include "io/csv.h"

#define MOST_INDEX 16777216.0 /* rows and columns */
#define MOST_SIZE  2.5e8      /* entries of the matrix, numbers in all measurement matrices: 2 GB */

/* ---- entries ---- */

typedef struct entry_list {
  tb_table *table;
  size_t count;
  completion_entry *entries;
  size_t rows, cols; /* the smallest that hold them */
} entry_list;

static void entries_free(tb_context *context, entry_list *list) {
  tb_table_free(context, list->table);
  tb_release(context, list->entries);
}

static tb_status fail_header(tb_context *context, const char *path, const char *hint, const char *found,
                             const char *expected, size_t column) {
  char place[512];
  snprintf(place, sizeof place, "%.480s:1:1", path);
  return tb_fail(context, TB_BAD_DATA, place, hint, "column %zu is called \"%.60s\", expected \"%s\"", column, found,
                 expected);
}

static tb_status check_header(tb_context *context, const tb_table *table) {
  static const char *const names[] = { "i", "j", "value" };
  const char *hint = "the header is i,j,value with zero-based indices";
  char place[512];
  snprintf(place, sizeof place, "%.480s:1:1", table->path);
  if (table->cols != 3)
    return tb_fail(context, TB_BAD_DATA, place, hint, "%zu columns, expected 3", table->cols);
  for (size_t c = 0; c < 3; c++)
    if (strcmp(table->names[c], names[c]) != 0)
      return fail_header(context, table->path, hint, table->names[c], names[c], c + 1);
  if (table->rows == 0)
    return tb_fail(context, TB_BAD_DATA, table->path, "add a line for each entry under the header",
                   "no entries, only a header");
  return TB_OK;
}

static tb_status read_index(tb_context *context, const tb_table *table, size_t k, size_t column, size_t bound,
                            size_t *index) {
  double value = table->values[k * 3 + column];
  const char *what = column ? "column" : "row";
  if (!(value >= 0 && value == floor(value) && value < MOST_INDEX))
    return tb_table_fail(context, table, k, column, "indices are whole numbers from 0", "%s index %.17g is not one",
                         what, value);
  if (bound && value >= (double)bound)
    return tb_table_fail(context, table, k, column,
                         column ? "raise cols=, or correct it" : "raise rows=, or correct it",
                         "%s index %.17g is outside a matrix of %zu %ss (they count from 0)", what, value, bound, what);
  *index = (size_t)value;
  return TB_OK;
}

static tb_status check_repeats(tb_context *context, const entry_list *list) {
  for (size_t k = 1; k < list->count; k++) {
    const completion_entry *a = &list->entries[k - 1], *b = &list->entries[k];
    if (a->row == b->row && a->col == b->col)
      return tb_table_fail(context, list->table, b->place, 0, "keep one line an entry",
                           "entry (%zu, %zu) is given a second time (first on line %zu)", b->row, b->col,
                           list->table->lines[a->place]);
  }
  return TB_OK;
}

static tb_status read_entries(tb_context *context, const char *path, size_t rows, size_t cols, entry_list *list) {
  *list = (entry_list){ 0 };
  tb_status status = tb_csv_read(context, path, &list->table);
  if (status || (status = check_header(context, list->table)))
    return status;
  list->count = list->table->rows;
  if (!(list->entries = tb_allocate(context, list->count, sizeof *list->entries)))
    return TB_NO_MEMORY;
  for (size_t k = 0; k < list->count; k++) {
    completion_entry *e = &list->entries[k];
    *e = (completion_entry){ .place = k, .value = list->table->values[k * 3 + 2] };
    if ((status = read_index(context, list->table, k, 0, rows, &e->row)) ||
        (status = read_index(context, list->table, k, 1, cols, &e->col)))
      return status;
    list->rows = e->row >= list->rows ? e->row + 1 : list->rows;
    list->cols = e->col >= list->cols ? e->col + 1 : list->cols;
  }
  completion_sort(list->count, list->entries);
  return check_repeats(context, list);
}

static tb_status check_size(tb_context *context, const char *path, size_t rows, size_t cols) {
  if ((double)rows * (double)cols <= MOST_SIZE)
    return TB_OK;
  return tb_fail(context, TB_BAD_DATA, path, "the matrix is kept whole", "%zu × %zu entries are more than %.3g", rows,
                 cols, MOST_SIZE);
}

static size_t larger(size_t a, size_t b) {
  return a > b ? a : b;
}

tb_status tb_partial_matrix_read(tb_context *context, const char *path, size_t rows, size_t cols, const char *truth,
                                 tb_partial_matrix **problem) {
  *problem = NULL;
  entry_list list, known = { 0 };
  tb_partial_matrix *p = NULL;
  tb_status status = read_entries(context, path, rows, cols, &list);
  if (!status && *truth)
    status = read_entries(context, truth, rows, cols, &known);
  if (status)
    goto done;
  rows = rows ? rows : larger(list.rows, known.rows);
  cols = cols ? cols : larger(list.cols, known.cols);
  if ((status = check_size(context, path, rows, cols)))
    goto done;
  status = (p = completion_new(context, rows, cols)) ? completion_observe(context, p, list.count, list.entries)
                                                     : TB_NO_MEMORY;
  if (!status && *truth)
    status = completion_know(context, p, known.count, known.entries);
done:
  entries_free(context, &list);
  entries_free(context, &known);
  if (status)
    tb_partial_matrix_free(context, p);
  else
    *problem = p;
  return status;
}

/* ---- measurement matrices ---- */

static void name_of(size_t i, size_t j, bool apart, char name[48]) {
  snprintf(name, 48, apart ? "a%zu_%zu" : "a%zu%zu", i, j);
}

/* Whether the first `size` names are those of a matrix with that many columns. */
static bool names_fit(const tb_table *table, size_t size, size_t cols) {
  for (size_t k = 0; k < size; k++) {
    char close[48], apart[48];
    name_of(k / cols, k % cols, false, close);
    name_of(k / cols, k % cols, true, apart);
    if (strcmp(table->names[k], close) != 0 && strcmp(table->names[k], apart) != 0)
      return false;
  }
  return true;
}

/* rows and cols from the names, where they are not given. */
static tb_status shape_of(tb_context *context, const tb_table *table, size_t *rows, size_t *cols) {
  const char *hint = "the header is a00,a01,...,y: the matrix row by row, then its measurement";
  char place[512];
  snprintf(place, sizeof place, "%.480s:1:1", table->path);
  if (table->cols < 2 || strcmp(table->names[table->cols - 1], "y") != 0)
    return tb_fail(context, TB_BAD_DATA, place, hint, "the last of %zu columns is called \"%.60s\", expected \"y\"",
                   table->cols, table->names[table->cols - 1]);
  if (table->rows == 0)
    return tb_fail(context, TB_BAD_DATA, table->path, "add a line for each measurement under the header",
                   "no measurements, only a header");
  size_t size = table->cols - 1;
  for (size_t c = size; c >= 1; c--) {
    bool shape = size % c == 0 && (!*cols || *cols == c) && (!*rows || *rows == size / c);
    if (shape && names_fit(table, size, c)) {
      *rows = size / c;
      *cols = c;
      return TB_OK;
    }
  }
  if (*rows && *cols)
    return tb_fail(context, TB_BAD_DATA, place, hint, "the %zu columns before y are not those of a %zu × %zu matrix",
                   size, *rows, *cols);
  return tb_fail(context, TB_BAD_DATA, place, hint, "the %zu columns before y are not those of a matrix", size);
}

tb_status tb_partial_matrix_read_sensing(tb_context *context, const char *path, size_t rows, size_t cols,
                                         const char *truth, tb_partial_matrix **problem) {
  *problem = NULL;
  tb_table *table = NULL;
  entry_list known = { 0 };
  tb_partial_matrix *p = NULL;
  tb_status status = tb_csv_read(context, path, &table);
  if (status || (status = shape_of(context, table, &rows, &cols)))
    goto done;
  if (*truth && (status = read_entries(context, truth, rows, cols, &known)))
    goto done;
  size_t size = rows * cols;
  status = TB_NO_MEMORY;
  if (!(p = completion_new(context, rows, cols)) ||
      !(p->dense = tb_allocate(context, table->rows * size, sizeof *p->dense)) ||
      !(p->y = tb_allocate(context, table->rows, sizeof *p->y)))
    goto done;
  p->count = table->rows;
  for (size_t k = 0; k < p->count; k++) {
    memcpy(p->dense + k * size, table->values + k * table->cols, size * sizeof *p->dense);
    p->y[k] = table->values[k * table->cols + size];
  }
  status = *truth ? completion_know(context, p, known.count, known.entries) : TB_OK;
done:
  tb_table_free(context, table);
  entries_free(context, &known);
  if (status)
    tb_partial_matrix_free(context, p);
  else
    *problem = p;
  return status;
}

/* ---- ratings ---- */

typedef struct rating_reader {
  tb_context *context;
  const char *path, *line;
  size_t number;
} rating_reader;

static tb_status fail_rating(rating_reader *r, const char *at, const char *message) {
  char place[512];
  size_t column = (size_t)(at - r->line) + 1;
  snprintf(place, sizeof place, "%.450s:%zu:%zu", r->path, r->number, column);
  tb_fail(r->context, TB_BAD_DATA, place, "a line is: user item rating timestamp, parted by tabs", "%s", message);
  tb_fail_excerpt(r->context, r->line, column);
  return TB_BAD_DATA;
}

/* One number; *at moves behind it. */
static tb_status read_number(rating_reader *r, const char **at, const char *what, double *value) {
  char message[64];
  while (**at == ' ' || **at == '\t')
    ++*at;
  snprintf(message, sizeof message, "expected the %s", what);
  if (!isdigit((unsigned char)**at) && **at != '-' && **at != '.')
    return fail_rating(r, *at, message);
  char *end;
  *value = strtod(*at, &end);
  if (end == *at || !isfinite(*value) || !strchr(" \t\r\n", *end))
    return fail_rating(r, *at, message);
  *at = end;
  return TB_OK;
}

static tb_status read_rating(rating_reader *r, completion_entry *e) {
  static const char *const names[] = { "user", "item", "rating", "timestamp" };
  const char *at = r->line;
  double field[4];
  for (int k = 0; k < 4; k++) {
    const char *start = at;
    tb_status status = read_number(r, &at, names[k], &field[k]);
    if (status)
      return status;
    if (k < 2 && !(field[k] >= 1 && field[k] == floor(field[k]) && field[k] < MOST_INDEX))
      return fail_rating(r, start, k ? "items are numbered from 1" : "users are numbered from 1");
  }
  while (*at == ' ' || *at == '\t' || *at == '\r')
    at++;
  if (*at && *at != '\n')
    return fail_rating(r, at, "more than four fields");
  *e = (completion_entry){ (size_t)field[0] - 1, (size_t)field[1] - 1, r->number, field[2] };
  return TB_OK;
}

static tb_status read_ratings(tb_context *context, const char *path, const char *data, size_t size, size_t *count,
                              completion_entry **out) {
  size_t lines = 1;
  for (size_t k = 0; k < size; k++)
    lines += data[k] == '\n';
  completion_entry *entries = *out = tb_allocate(context, lines, sizeof *entries);
  *count = 0;
  if (!entries)
    return TB_NO_MEMORY;
  rating_reader r = { .context = context, .path = path };
  for (const char *at = data; at < data + size; r.number++) {
    const char *end = strchr(at, '\n');
    r.line = at;
    r.number += r.number == 0;
    if (*at != '\n' && *at != '\r') {
      tb_status status = read_rating(&r, &entries[*count]);
      if (status)
        return status;
      ++*count;
    }
    if (!end)
      break;
    at = end + 1;
  }
  if (*count == 0)
    return tb_fail(context, TB_BAD_DATA, path, "a line is: user item rating timestamp, parted by tabs", "no ratings");
  return TB_OK;
}

/* The shape, and that nothing is outside it or given twice; leaves entries sorted. */
static tb_status check_ratings(tb_context *context, const char *path, size_t count, completion_entry *entries,
                               size_t *rows, size_t *cols) {
  size_t most_row = 0, most_col = 0;
  for (size_t k = 0; k < count; k++) {
    most_row = larger(most_row, entries[k].row + 1);
    most_col = larger(most_col, entries[k].col + 1);
  }
  if ((*rows && most_row > *rows) || (*cols && most_col > *cols))
    return tb_fail(context, TB_BAD_DATA, path, "leave rows= and cols= out to take what the file has",
                   "user %zu or item %zu is outside a matrix of %zu × %zu", most_row, most_col, *rows, *cols);
  *rows = *rows ? *rows : most_row;
  *cols = *cols ? *cols : most_col;
  tb_status status = check_size(context, path, *rows, *cols);
  completion_sort(count, entries);
  for (size_t k = 1; k < count && !status; k++) {
    const completion_entry *a = &entries[k - 1], *b = &entries[k];
    char place[512];
    snprintf(place, sizeof place, "%.450s:%zu", path, b->place);
    if (a->row == b->row && a->col == b->col)
      status = tb_fail(context, TB_BAD_DATA, place, "keep one line a rating",
                       "user %zu rates item %zu a second time (first on line %zu)", a->row + 1, a->col + 1, a->place);
  }
  return status;
}

static int by_line(const void *left, const void *right) {
  const completion_entry *a = left, *b = right;
  return a->place < b->place ? -1 : a->place > b->place;
}

tb_status tb_partial_matrix_read_movielens(tb_context *context, const char *path, size_t rows, size_t cols,
                                           size_t train, tb_partial_matrix **problem) {
  char *data = NULL;
  size_t size = 0, count = 0;
  completion_entry *entries = NULL;
  tb_partial_matrix *p = NULL;
  *problem = NULL;
  tb_status status = tb_file_read(context, path, &data, &size);
  if (status == TB_OK && memchr(data, 0, size))
    status = tb_fail(context, TB_BAD_DATA, path, "give MovieLens' u.data", "the file holds zero bytes");
  if (!status)
    status = read_ratings(context, path, data, size, &count, &entries);
  if (!status && train > count)
    status = tb_fail(context, TB_BAD_DATA, path, "lower train=", "train=%zu of %zu ratings", train, count);
  if (!status)
    status = check_ratings(context, path, count, entries, &rows, &cols);
  if (!status && !(p = completion_new(context, rows, cols)))
    status = TB_NO_MEMORY;
  if (!status)
    status = completion_know(context, p, count, entries);
  if (!status) {
    qsort(entries, count, sizeof *entries, by_line);
    status = completion_observe(context, p, train ? train : count, entries);
  }
  tb_release(context, data);
  tb_release(context, entries);
  if (status)
    tb_partial_matrix_free(context, p);
  else
    *problem = p;
  return status;
}

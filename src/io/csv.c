/* CSV: a header line of column names, then rows of finite numbers.
 *
 * The file is read whole and walked once.  A plain number behind a comma takes the short way; blanks, quotes and all
 * mistakes take the long one, which knows the words.  Rows end at line ends, so a quote must close on its line. */
#include "csv.h"

#include <base/number.h>
#include <base/utf8.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef struct reader {
  tb_context *context;
  const char *path, *data, *end; /* data is terminated */
  const char *line;              /* start of the current line */
  size_t number;                 /* of the line, 1-based */
} reader;

/* A field within a line: its content without blanks around it and without quotes. */
typedef struct field {
  const char *start, *end; /* content; quotes inside are still doubled */
  const char *next;        /* the comma or line end behind it */
  bool quoted, open;       /* open: the quote does not close on this line */
} field;

/* ---- complaints ---- */

static TB_PRINTF(4, 5) tb_status fail_at(const reader *r, const char *at, const char *hint, const char *format, ...) {
  char message[1024], place[4352];
  va_list list;
  va_start(list, format);
  vsnprintf(message, sizeof message, format, list);
  va_end(list);
  size_t column = (size_t)(at - r->line) + 1;
  snprintf(place, sizeof place, "%s:%zu:%zu", r->path, r->number, column);
  tb_fail(r->context, TB_BAD_DATA, place, hint, "%s", message);
  tb_fail_excerpt(r->context, r->line, column);
  return TB_BAD_DATA;
}

/* ---- lines and fields ---- */

static bool line_end(char c) {
  return c == '\n' || c == 0;
}

static bool blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

static const char *skip_blanks(const char *s) {
  while (blank(*s))
    s++;
  return s;
}

/* The field at s, which is behind a comma or at the beginning of a line. */
static field next_field(const char *s) {
  field f = { 0 };
  f.start = s = skip_blanks(s);
  if (*s == '"') {
    f.quoted = true;
    f.start = ++s;
    for (; !line_end(*s); s++) {
      if (*s == '"' && s[1] == '"')
        s++;
      else if (*s == '"')
        break;
    }
    f.end = s;
    f.open = *s != '"';
    f.next = f.open ? s : skip_blanks(s + 1);
    return f;
  }
  while (*s != ',' && !line_end(*s))
    s++;
  f.next = f.end = s;
  while (f.end > f.start && blank(f.end[-1]))
    f.end--;
  return f;
}

static size_t count_fields(const char *line) {
  for (size_t count = 1;; count++) {
    field f = next_field(line);
    while (*f.next != ',' && !line_end(*f.next))
      f.next++;
    if (*f.next != ',')
      return count;
    line = f.next + 1;
  }
}

static const char *behind_line(const reader *r, const char *s) {
  const char *end = memchr(s, '\n', (size_t)(r->end - s));
  return end ? end + 1 : r->end;
}

/* Goes to the line that starts at s. */
static void enter_line(reader *r, const char *s) {
  r->line = s;
  r->number++;
}

/* A quote that does not close, or text behind one that does. */
static tb_status check_quotes(const reader *r, const field *f) {
  if (f->open)
    return fail_at(r, f->start - 1, "close it on the same line, or remove it", "a quote that does not close");
  if (*f->next != ',' && !line_end(*f->next))
    return fail_at(r, f->next, "a quote within quotes is written twice", "text behind a closing quote");
  return TB_OK;
}

/* ---- the header ---- */

static tb_status header_fields(const reader *r, tb_table *table, size_t *text_size) {
  for (const char *s = r->line;;) {
    field f = next_field(s);
    tb_status status = check_quotes(r, &f);
    if (status)
      return status;
    table->cols++;
    *text_size += (size_t)(f.end - f.start) + 1;
    if (f.start == f.end)
      return fail_at(r, f.start - f.quoted, "give every column a name", "column %zu has no name", table->cols);
    for (const char *c = f.start; c < f.end; c += tb_utf8_length(c))
      if (tb_utf8_length(c) == 0)
        return fail_at(r, c, "save the file as UTF-8", "the name of column %zu is not UTF-8", table->cols);
    if (*f.next != ',')
      return TB_OK;
    s = f.next + 1;
  }
}

/* Copies the content of a field, undoubling quotes; returns the place behind the terminator. */
static char *copy_field(const field *f, char *out) {
  for (const char *s = f->start; s < f->end; s++) {
    *out++ = *s;
    s += f->quoted && *s == '"';
  }
  *out++ = 0;
  return out;
}

/* A hash table of name indices keeps wide headers linear. */
static tb_status refuse_duplicates(const reader *r, const tb_table *table) {
  size_t size = 16;
  while (size < 2 * table->cols)
    size *= 2;
  size_t *slots = tb_allocate(r->context, size, sizeof *slots); /* index + 1 */
  if (!slots)
    return TB_NO_MEMORY;
  tb_status status = TB_OK;
  const char *s = r->line;
  for (size_t i = 0; i < table->cols && !status; i++) {
    field f = next_field(s);
    s = f.next + 1;
    size_t hash = 5381;
    for (const char *c = table->names[i]; *c; c++)
      hash = hash * 33 + (unsigned char)*c;
    size_t slot = hash & (size - 1);
    while (slots[slot] && strcmp(table->names[slots[slot] - 1], table->names[i]) != 0)
      slot = (slot + 1) & (size - 1);
    if (slots[slot])
      status = fail_at(r, f.start - f.quoted, "rename one of them", "columns %zu and %zu are both named '%s'",
                       slots[slot], i + 1, table->names[i]);
    slots[slot] = i + 1;
  }
  tb_release(r->context, slots);
  return status;
}

static tb_status read_header(reader *r, tb_table *table) {
  size_t text_size = 0, numbers = 0;
  tb_status status = header_fields(r, table, &text_size);
  if (status)
    return status;
  table->names = tb_allocate(r->context, 1, table->cols * sizeof *table->names + text_size);
  if (!table->names)
    return TB_NO_MEMORY;
  char *text = (char *)(table->names + table->cols);
  const char *s = r->line;
  for (size_t i = 0; i < table->cols; i++) {
    field f = next_field(s);
    table->names[i] = text;
    text = copy_field(&f, text);
    double number;
    const char *behind = tb_number_read(table->names[i], &number);
    numbers += behind && !*behind;
    s = f.next + 1;
  }
  if (numbers == table->cols)
    return fail_at(r, skip_blanks(r->line), "add a first line with column names, such as x1,x2,y",
                   "the first line holds numbers where column names are expected");
  if (table->cols == 1 && strpbrk(table->names[0], ";\t"))
    return fail_at(r, r->line + strcspn(r->line, ";\t"), "use commas, and points in numbers",
                   "fields are parted by commas, not by %s", strchr(table->names[0], ';') ? "';'" : "tabs");
  return refuse_duplicates(r, table);
}

/* ---- rows ---- */

/* The long way to a number, and all that can be wrong with it. */
static tb_status read_careful(const reader *r, const tb_table *table, const field *f, size_t col, double *value) {
  tb_status status = check_quotes(r, f);
  if (status)
    return status;
  const char *name = table->names[col], *s = f->start, *end = f->end;
  while (f->quoted && s < end && blank(*s))
    s++;
  while (f->quoted && end > s && blank(end[-1]))
    end--;
  if (s == end)
    return fail_at(r, f->start - f->quoted, "fill in the value, or remove the row", "column '%s': empty field", name);
  const char *behind = tb_number_read(s, value);
  int length = end - s > 60 ? 60 : (int)(end - s);
  if (behind == end) {
    if (isfinite(*value))
      return TB_OK;
    return fail_at(r, s, NULL, "column '%s': '%.*s' is too large for a double", name, length, s);
  }
  const char *word = s + (*s == '-' || *s == '+');
  size_t word_length = (size_t)(end - word);
  static const char *const missing[] = { "nan", "na", "n/a", "null", "none", "?" };
  for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
    if (word_length == strlen(missing[i]) && strncasecmp(word, missing[i], word_length) == 0)
      return fail_at(r, s, "fill in the value, or remove the row", "column '%s': '%.*s' is a missing value", name,
                     length, s);
  if ((word_length == 3 && strncasecmp(word, "inf", 3) == 0) ||
      (word_length == 8 && strncasecmp(word, "infinity", 8) == 0))
    return fail_at(r, s, NULL, "column '%s': '%.*s' is not finite", name, length, s);
  const char *hint = NULL;
  if (word_length > 2 && word[0] == '0' && (word[1] == 'x' || word[1] == 'X'))
    hint = "write it in decimal";
  else if (behind && (*behind == ';' || blank(*behind)))
    hint = "fields are parted by commas";
  return fail_at(r, s, hint, "column '%s': '%.*s' is not a number", name, length, s);
}

static tb_status read_row(const reader *r, const tb_table *table, double *row) {
  const char *s = r->line;
  for (size_t col = 0; col < table->cols; col++) {
    const char *behind = tb_number_read(s, &row[col]);
    if (!behind || (*behind != ',' && *behind != '\n') || !isfinite(row[col])) {
      field f = next_field(s);
      if (*f.next != ',' && col + 1 < table->cols && !f.open && line_end(*f.next))
        return fail_at(r, f.next - (f.next > r->line && f.next[-1] == '\r'), NULL,
                       "%zu field%s where the header has %zu", col + 1, col ? "s" : "", table->cols);
      tb_status status = read_careful(r, table, &f, col, &row[col]);
      if (status)
        return status;
      behind = f.next;
    }
    if (col + 1 == table->cols) {
      if (*behind == ',')
        return fail_at(r, behind + 1, NULL, "%zu fields where the header has %zu", count_fields(r->line), table->cols);
      return TB_OK;
    }
    if (*behind != ',')
      return fail_at(r, behind, NULL, "%zu field%s where the header has %zu", col + 1, col ? "s" : "", table->cols);
    s = behind + 1;
  }
  return TB_OK;
}

static bool blank_line(const char *s) {
  return line_end(*skip_blanks(s));
}

/* The first line from s on that is not blank; r->end when there is none. */
static const char *skip_blank_lines(const reader *r, const char *s) {
  while (s < r->end && blank_line(s))
    s = behind_line(r, s);
  return s;
}

static tb_status read_rows(reader *r, tb_table *table) {
  size_t capacity = 0;
  for (const char *s = behind_line(r, r->line); s < r->end; s = behind_line(r, r->line)) {
    enter_line(r, s);
    if (blank_line(s)) {
      if (skip_blank_lines(r, s) == r->end)
        return TB_OK;
      return fail_at(r, s, "remove it", "an empty line between rows");
    }
    if (table->rows == capacity) {
      size_t wanted = capacity ? 2 * capacity : 64, width;
      if (__builtin_mul_overflow(table->cols, sizeof *table->values, &width))
        width = SIZE_MAX;
      double *values = tb_reallocate(r->context, table->values, wanted, width);
      if (!values)
        return TB_NO_MEMORY;
      table->values = values;
      size_t *lines = tb_reallocate(r->context, table->lines, wanted, sizeof *lines);
      if (!lines)
        return TB_NO_MEMORY;
      table->lines = lines;
      capacity = wanted;
    }
    tb_status status = read_row(r, table, table->values + table->rows * table->cols);
    if (status)
      return status;
    table->lines[table->rows++] = r->number;
  }
  return TB_OK;
}

/* ---- files ---- */

/* Skips a byte-order mark; complains about what is no text. */
static tb_status check_text(reader *r) {
  static const char expected[] = "expected a header line of column names, then a line of numbers a row";
  if (r->end - r->data >= 2 && (memcmp(r->data, "\xff\xfe", 2) == 0 || memcmp(r->data, "\xfe\xff", 2) == 0))
    return tb_fail(r->context, TB_BAD_DATA, r->path, "save the file as UTF-8", "'%s' is UTF-16 text", r->path);
  if (r->end - r->data >= 3 && memcmp(r->data, "\xef\xbb\xbf", 3) == 0)
    r->line += 3;
  const char *zero = memchr(r->data, 0, (size_t)(r->end - r->data));
  if (zero) {
    for (const char *s; (s = memchr(r->line, '\n', (size_t)(zero - r->line)));)
      enter_line(r, s + 1);
    return fail_at(r, zero, "is this a text file?", "a zero byte");
  }
  if (skip_blank_lines(r, r->line) == r->end)
    return tb_fail(r->context, TB_BAD_DATA, r->path, expected, "'%s' is empty", r->path);
  if (blank_line(r->line))
    return fail_at(r, r->line, expected, "an empty line before the header");
  return TB_OK;
}

tb_status tb_csv_read(tb_context *context, const char *path, tb_table **result) {
  char *data;
  size_t size;
  *result = NULL;
  tb_status status = tb_file_read(context, path, &data, &size);
  if (status)
    return status;
  tb_table *table = tb_allocate(context, 1, sizeof *table);
  size_t path_size = strlen(path) + 1;
  if (table)
    table->path = tb_allocate(context, path_size, 1);
  if (table && table->path) {
    memcpy(table->path, path, path_size);
    reader r = { .context = context, .path = path, .data = data, .end = data + size, .line = data, .number = 1 };
    status = check_text(&r);
    if (!status)
      status = read_header(&r, table);
    if (!status)
      status = read_rows(&r, table);
  } else {
    status = TB_NO_MEMORY;
  }
  tb_release(context, data);
  if (status)
    tb_table_free(context, table);
  else
    *result = table;
  return status;
}

void tb_table_free(tb_context *context, tb_table *table) {
  if (!table)
    return;
  tb_release(context, table->names);
  tb_release(context, table->values);
  tb_release(context, table->lines);
  tb_release(context, table->path);
  tb_release(context, table);
}

long tb_table_column(const tb_table *table, const char *name) {
  for (size_t i = 0; i < table->cols; i++)
    if (strcmp(table->names[i], name) == 0)
      return (long)i;
  return -1;
}

tb_status tb_table_fail(tb_context *context, const tb_table *table, size_t row, size_t col, const char *hint,
                        const char *format, ...) {
  char message[1024];
  va_list list;
  va_start(list, format);
  vsnprintf(message, sizeof message, format, list);
  va_end(list);
  char *data, place[4352];
  size_t size;
  tb_status status = tb_file_read(context, table->path, &data, &size);
  if (status) { /* gone since: the complaint stands without its excerpt */
    snprintf(place, sizeof place, "%s:%zu", table->path, table->lines[row]);
    return tb_fail(context, TB_BAD_DATA, place, hint, "%s", message);
  }
  reader r = { .context = context, .path = table->path, .data = data, .end = data + size, .line = data, .number = 1 };
  while (r.number < table->lines[row] && r.line < r.end)
    enter_line(&r, behind_line(&r, r.line));
  field f = next_field(r.line);
  for (size_t i = 0; i < col && *f.next == ','; i++)
    f = next_field(f.next + 1);
  status = fail_at(&r, f.start - f.quoted, hint, "%s", message);
  tb_release(context, data);
  return status;
}

/* ---- writing ---- */

void tb_csv_add_field(tb_text *text, const char *content) {
  size_t length = strlen(content);
  bool mark = strncmp(content, "\xef\xbb\xbf", 3) == 0; /* must not be taken for the file's */
  bool plain = length > 0 && !mark && !strpbrk(content, ",\"\n\r") && !blank(content[0]) && !blank(content[length - 1]);
  if (plain) {
    tb_text_add(text, content);
    return;
  }
  tb_text_add(text, "\"");
  for (const char *s = content; *s; s++)
    tb_text_add_bytes(text, *s == '"' ? "\"\"" : s, *s == '"' ? 2 : 1);
  tb_text_add(text, "\"");
}

tb_status tb_csv_write(tb_context *context, const char *path, size_t rows, size_t cols, const char *const *names,
                       const double *values) {
  tb_text text = tb_text_new(context);
  for (size_t j = 0; j < cols; j++) {
    tb_csv_add_field(&text, names[j]);
    tb_text_add(&text, j + 1 < cols ? "," : "\n");
  }
  for (size_t i = 0; i < rows * cols; i++) {
    char number[TB_NUMBER_SIZE];
    tb_text_add_bytes(&text, number, tb_number_text(number, values[i]));
    tb_text_add_bytes(&text, (i + 1) % cols ? "," : "\n", 1);
  }
  tb_status status = tb_text_finish(&text);
  if (!status)
    status = tb_file_write(context, path, text.data, text.length);
  tb_text_free(&text);
  return status;
}

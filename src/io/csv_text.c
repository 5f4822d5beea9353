/* Texts in CSV: the file is walked twice, first to count rows, then to cut fields into a copy. */
#include "csv_text.h"

#include <stdio.h>
#include <string.h>

typedef struct reader {
  tb_context *context;
  tb_text_table *table;
  const char *line;
  size_t number;
  char *out; /* where the next field's text goes */
} reader;

static tb_status fail_at(tb_context *context, const char *path, const char *line, size_t number, size_t column,
                         const char *hint, const char *message) {
  char place[4352];
  snprintf(place, sizeof place, "%s:%zu:%zu", path, number, column);
  tb_fail(context, TB_BAD_DATA, place, hint, "%s", message);
  tb_fail_excerpt(context, line, column);
  return TB_BAD_DATA;
}

static tb_status complain(const reader *r, const char *at, const char *hint, const char *message) {
  return fail_at(r->context, r->table->path, r->line, r->number, (size_t)(at - r->line) + 1, hint, message);
}

static bool blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

static bool line_end(char c) {
  return c == '\n' || c == 0;
}

static const char *skip_blanks(const char *s) {
  while (blank(*s))
    s++;
  return s;
}

/* Cuts the field at *s out of the line into r->out and moves *s to the comma or line end behind it. */
static tb_status cut_field(reader *r, const char **s, char **field, size_t *column) {
  const char *at = skip_blanks(*s);
  *field = r->out;
  if (*at != '"') {
    *column = (size_t)(at - r->line) + 1;
    while (*at != ',' && !line_end(*at))
      *r->out++ = *at++;
    while (r->out > *field && blank(r->out[-1]))
      r->out--;
  } else {
    const char *open = at++;
    *column = (size_t)(at - r->line) + 1;
    for (; !line_end(*at) && (*at != '"' || at[1] == '"'); at++) {
      *r->out++ = *at;
      at += *at == '"';
    }
    if (*at != '"')
      return complain(r, open, "close it on the same line, or remove it", "a quote that does not close");
    at = skip_blanks(at + 1);
    if (*at != ',' && !line_end(*at))
      return complain(r, at, "a quote within quotes is written twice", "text behind a closing quote");
  }
  *r->out++ = 0;
  *s = at;
  return TB_OK;
}

/* A row's `cols` fields. */
static tb_status cut_row(reader *r, char **fields, size_t *columns) {
  const char *s = r->line;
  char message[80];
  for (size_t col = 0; col < r->table->cols; col++) {
    tb_status status = cut_field(r, &s, &fields[col], &columns[col]);
    if (status)
      return status;
    if ((*s == ',') == (col + 1 < r->table->cols)) {
      s += *s == ',';
      continue;
    }
    snprintf(message, sizeof message, "%s fields than the %zu of the header", *s == ',' ? "more" : "fewer",
             r->table->cols);
    return complain(r, s, "a field with a comma in it stands in quotes", message);
  }
  return TB_OK;
}

/* Fields of a line, commas within quotes not counted. */
static size_t count_fields(const char *line) {
  size_t count = 1;
  bool quoted = false;
  for (const char *s = line; !line_end(*s); s++) {
    quoted ^= *s == '"';
    count += *s == ',' && !quoted;
  }
  return count;
}

static const char *next_line(const char *s) {
  s += strcspn(s, "\n");
  return *s ? s + 1 : s;
}

static bool blank_line(const char *s) {
  return line_end(*skip_blanks(s));
}

static tb_status cut_rows(reader *r, tb_arena *arena, const char *start, size_t size) {
  tb_text_table *t = r->table;
  size_t most = 0;
  for (const char *s = next_line(start); *s; s = next_line(s))
    most += !blank_line(s);
  t->cols = count_fields(start);
  r->out = tb_arena_allocate(arena, size + 2 + (most + 1) * t->cols, 1);
  t->names = tb_arena_allocate(arena, t->cols, sizeof *t->names);
  t->fields = tb_arena_allocate(arena, most * t->cols + 1, sizeof *t->fields);
  t->columns = tb_arena_allocate(arena, (most + 1) * t->cols, sizeof *t->columns);
  t->lines = tb_arena_allocate(arena, most + 1, sizeof *t->lines);
  t->numbers = tb_arena_allocate(arena, most + 1, sizeof *t->numbers);
  if (!r->out || !t->names || !t->fields || !t->columns || !t->lines || !t->numbers)
    return TB_NO_MEMORY;
  r->line = start;
  tb_status status = cut_row(r, t->names, t->columns);
  for (const char *s = next_line(start); *s && !status; s = next_line(s)) {
    r->line = s;
    r->number++;
    if (blank_line(s))
      continue;
    t->lines[t->rows] = s;
    t->numbers[t->rows] = r->number;
    status = cut_row(r, t->fields + t->rows * t->cols, t->columns + t->rows * t->cols);
    t->rows++;
  }
  return status;
}

tb_status tb_csv_read_text(tb_context *context, tb_arena *arena, const char *path, tb_text_table *table) {
  char *data, *copy = NULL;
  size_t size;
  *table = (tb_text_table){ 0 };
  tb_status status = tb_file_read(context, path, &data, &size);
  if (status)
    return status;
  const char *start = data;
  if (memchr(data, 0, size))
    status = tb_fail(context, TB_BAD_DATA, path, "is this a text file?", "'%s' holds a zero byte", path);
  else if (blank_line(start))
    status = tb_fail(context, TB_BAD_DATA, path, "expected a header line of column names", "'%s' has no header", path);
  else if (!(copy = tb_arena_text(arena, data)) || !(table->path = tb_arena_text(arena, path)))
    status = TB_NO_MEMORY;
  tb_release(context, data);
  if (status)
    return status;
  table->data = copy;
  if (strncmp(copy, "\xef\xbb\xbf", 3) == 0)
    copy += 3;
  reader r = { .context = context, .table = table, .number = 1 };
  return cut_rows(&r, arena, copy, size);
}

long tb_text_table_column(const tb_text_table *t, const char *name) {
  for (size_t i = 0; i < t->cols; i++)
    if (strcmp(t->names[i], name) == 0)
      return (long)i;
  return -1;
}

tb_status tb_text_table_fail(tb_context *context, const tb_text_table *t, size_t row, size_t col, size_t offset,
                             const char *hint, const char *format, ...) {
  char message[600];
  va_list list;
  va_start(list, format);
  vsnprintf(message, sizeof message, format, list);
  va_end(list);
  return fail_at(context, t->path, t->lines[row], t->numbers[row], t->columns[row * t->cols + col] + offset, hint,
                 message);
}

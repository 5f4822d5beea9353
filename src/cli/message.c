/* Speaking to a person: failures with place, excerpt and hint, notes, colours, tables, numbers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"

/* ---- colours ---- */

static bool coloured(FILE *stream) {
  const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
  return !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0) && isatty(fileno(stream));
}

const char *colour_on(FILE *stream, colour which) {
  static const char *const codes[] = { "", "\033[1m", "\033[1;31m", "\033[1;32m", "\033[1;33m", "\033[2m" };
  return coloured(stream) ? codes[which] : "";
}

const char *colour_off(FILE *stream) {
  return coloured(stream) ? "\033[0m" : "";
}

/* ---- failures and notes ---- */

static void indented(const char *text) {
  for (const char *line = text; *line;) {
    size_t length = strcspn(line, "\n");
    fprintf(stderr, "    %.*s\n", (int)length, line);
    line += length + (line[length] == '\n');
  }
}

void message_failure(const cli *c, const tb_context *why) {
  const char *place = tb_context_place(why), *message = tb_context_message(why), *hint = tb_context_hint(why);
  bool say_place = *place && !strstr(message, place) && strcmp(place, "command line") != 0 &&
                   !(strncmp(place, "option ", 7) == 0 && *tb_context_excerpt(why));
  fprintf(stderr, "tiebreak: %serror:%s %s%s%s\n", colour_on(stderr, COLOUR_RED), colour_off(stderr),
          say_place ? place : "", say_place ? ": " : "", message);
  indented(tb_context_excerpt(why));
  if (*hint)
    fprintf(stderr, "%shint:%s %s\n", colour_on(stderr, COLOUR_BOLD), colour_off(stderr), hint);
}

static void say(const char *word, colour which, const char *format, va_list list) {
  char message[2000];
  vsnprintf(message, sizeof message, format, list);
  fprintf(stderr, "tiebreak: %s%s%s%s\n", colour_on(stderr, which), word, colour_off(stderr), message);
}

void message_note(const cli *c, const char *format, ...) {
  va_list list;
  va_start(list, format);
  if (!c->quiet)
    say("", COLOUR_NONE, format, list);
  va_end(list);
}

void message_warning(const cli *c, const char *format, ...) {
  va_list list;
  va_start(list, format);
  if (!c->quiet)
    say("warning: ", COLOUR_YELLOW, format, list);
  va_end(list);
}

/* ---- tables ---- */

/* Characters of a UTF-8 text. */
static size_t width_of(const char *text) {
  size_t width = 0;
  for (; *text; text++)
    width += ((unsigned char)*text & 0xc0) != 0x80;
  return width;
}

table table_new(cli *c, size_t cols) {
  return (table){ .cli = c, .cols = cols };
}

void table_row(table *t) {
  if (t->rows == t->room) {
    size_t room = t->room ? 2 * t->room : 32;
    const char **cells = tb_arena_allocate(t->cli->arena, room * t->cols, sizeof *cells);
    colour *colours = tb_arena_allocate(t->cli->arena, room * t->cols, sizeof *colours);
    const char **notes = tb_arena_allocate(t->cli->arena, room, sizeof *notes);
    if (!cells || !colours || !notes) {
      t->failed = true;
      return;
    }
    if (t->rows) {
      memcpy(cells, t->cells, t->rows * t->cols * sizeof *cells);
      memcpy(colours, t->colours, t->rows * t->cols * sizeof *colours);
      memcpy(notes, t->notes, t->rows * sizeof *notes);
    }
    t->cells = cells;
    t->colours = colours;
    t->notes = notes;
    t->room = room;
  }
  t->rows++;
}

void table_note(table *t, const char *text) {
  if (!t->failed)
    t->notes[t->rows - 1] = text;
}

void table_cell(table *t, size_t col, colour which, const char *format, ...) {
  char text[2000];
  if (t->failed)
    return;
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  const char *copy = tb_arena_text(t->cli->arena, text);
  t->failed |= !copy;
  t->cells[(t->rows - 1) * t->cols + col] = copy;
  t->colours[(t->rows - 1) * t->cols + col] = which;
}

/* Bytes of a text's first `width` characters. */
static int bytes_of(const char *text, size_t width) {
  const char *end = text;
  for (size_t seen = 0; *end; end++)
    if (((unsigned char)*end & 0xc0) != 0x80 && ++seen > width)
      break;
  return (int)(end - text);
}

/* On a terminal the last column is cut where the line would be longer than `width` (0: not a terminal). */
static void print_row(const table *t, size_t r, const size_t *widths, size_t width, FILE *stream, const char *indent) {
  size_t last = 0, used = strlen(indent);
  for (size_t k = 0; k < t->cols; k++)
    if (t->cells[r * t->cols + k] && *t->cells[r * t->cols + k])
      last = k;
  fputs(indent, stream);
  for (size_t k = 0; k <= last; k++) {
    const char *cell = t->cells[r * t->cols + k] ? t->cells[r * t->cols + k] : "";
    colour which = t->colours[r * t->cols + k];
    bool cut = k == last && width > used + 10 && used + width_of(cell) > width;
    fprintf(stream, "%s%.*s%s%s", which ? colour_on(stream, which) : "",
            cut ? bytes_of(cell, width - used - 1) : (int)strlen(cell), cell, cut ? "…" : "",
            which ? colour_off(stream) : "");
    if (k < last)
      fprintf(stream, "%*s", (int)(widths[k] - width_of(cell) + 2), "");
    used += widths[k] + 2;
  }
  fputc('\n', stream);
  if (t->notes[r])
    fprintf(stream, "%s  %s%s%s\n", indent, colour_on(stream, COLOUR_DIM), t->notes[r], colour_off(stream));
}

size_t terminal_width(FILE *stream) {
  struct winsize size;
  return isatty(fileno(stream)) && ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

tb_status table_print(table *t, FILE *stream, const char *indent) {
  size_t *widths = t->failed ? NULL : tb_arena_allocate(t->cli->arena, t->cols + 1, sizeof *widths);
  if (!widths)
    return TB_NO_MEMORY;
  size_t width = terminal_width(stream);
  for (size_t r = 0; r < t->rows; r++)
    for (size_t k = 0; k < t->cols; k++) {
      const char *cell = t->cells[r * t->cols + k];
      size_t wide = cell ? width_of(cell) : 0;
      widths[k] = wide > widths[k] ? wide : widths[k];
    }
  for (size_t r = 0; r < t->rows; r++)
    print_row(t, r, widths, width, stream, indent);
  return TB_OK;
}

/* ---- numbers ---- */

const char *readable_seconds(double seconds, char buffer[40]) {
  if (isnan(seconds))
    return "unknown";
  if (seconds < 0.9995e-3)
    snprintf(buffer, 40, "%.3g µs", seconds * 1e6);
  else if (seconds < 0.9995)
    snprintf(buffer, 40, "%.3g ms", seconds * 1e3);
  else if (seconds < 60)
    snprintf(buffer, 40, seconds < 9.95 ? "%.1f s" : "%.0f s", seconds);
  else if (seconds < 3600)
    snprintf(buffer, 40, "%.0f min %02.0f s", floor(seconds / 60), floor(fmod(seconds, 60)));
  else if (seconds < 1e7)
    snprintf(buffer, 40, "%.0f h %02.0f min", floor(seconds / 3600), floor(fmod(seconds, 3600) / 60));
  else
    snprintf(buffer, 40, "%.3g days", seconds / 86400);
  return buffer;
}

const char *readable_bytes(double bytes, char buffer[40]) {
  static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
  size_t unit = 0;
  if (isnan(bytes))
    return "unknown";
  while (bytes >= 1000 && unit + 1 < sizeof units / sizeof *units) {
    bytes /= 1024;
    unit++;
  }
  snprintf(buffer, 40, "%.3g %s", bytes, units[unit]);
  return buffer;
}

const char *readable_number(double value, char buffer[40]) {
  if (isnan(value))
    return "nan";
  if (isinf(value))
    return value > 0 ? "inf" : "-inf";
  snprintf(buffer, 40, "%.6g", value);
  return buffer;
}

const char *readable_metric(cli *c, const tb_metric_value *v, size_t width) {
  char number[40];
  tb_text text = tb_text_new(c->context);
  if (v->kind == TB_METRIC_MATRIX && v->rows * v->cols > 0)
    tb_text_format(&text, "%zu × %zu: ", v->rows, v->cols);
  bool words = v->kind == TB_METRIC_WORD || v->kind == TB_METRIC_WORDS;
  size_t count = words ? v->cols : v->rows * v->cols;
  for (size_t i = 0; i < count; i++) {
    size_t before = text.length;
    if (i)
      tb_text_add(&text, words ? "; " : v->kind == TB_METRIC_MATRIX && i % v->cols == 0 ? " / " : " ");
    tb_text_add(&text, words ? v->words[i] : readable_number(v->values[i], number));
    if (text.length > width && i) {
      text.length = before;
      text.data[before] = 0;
      tb_text_format(&text, " … (%zu)", count);
      break;
    }
  }
  const char *copy = tb_text_finish(&text) ? NULL : tb_arena_text(c->arena, text.data ? text.data : "");
  tb_text_free(&text);
  return copy ? copy : "";
}

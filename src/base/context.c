/* Contexts: the last failure and the memory function.
 *
 * A failure must be recordable when memory is exhausted, so its texts live in fixed buffers of the context.  Texts may
 * quote data files, so control characters and malformed UTF-8 are replaced: what a terminal or a JSON line gets is
 * always clean.  Every block carries its size in front, which is how the allocator learns the old size. */
#include <tiebreak/base.h>

#include "utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_SIZE = 2048, PLACE_SIZE = 4352, EXCERPT_SIZE = 1024, HINT_SIZE = 1024, EXCERPT_WIDTH = 100 };
enum { BLOCK_HEADER = 16 }; /* keeps malloc's alignment */

struct tb_context {
  tb_allocator allocator; /* NULL: the C library */
  void *user;
  uint64_t allocations;
  tb_status status;
  char message[MESSAGE_SIZE], place[PLACE_SIZE], excerpt[EXCERPT_SIZE], hint[HINT_SIZE];
};

/* ---- status ---- */

static const struct {
  int exit_code;
  const char *name;
} statuses[] = {
#define STATUS_ROW(symbol, exit_code, name) [symbol] = { exit_code, name },
  TB_STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
};

const char *tb_status_name(tb_status status) {
  return (size_t)status < sizeof statuses / sizeof *statuses ? statuses[status].name : "unknown status";
}

int tb_status_exit_code(tb_status status) {
  return (size_t)status < sizeof statuses / sizeof *statuses ? statuses[status].exit_code : 1;
}

/* ---- context ---- */

tb_context *tb_context_new(tb_allocator allocator, void *user) {
  tb_context *context = allocator ? allocator(user, NULL, 0, sizeof *context) : malloc(sizeof *context);
  if (!context)
    return NULL;
  context->allocator = allocator;
  context->user = user;
  context->allocations = 0;
  tb_context_clear(context);
  return context;
}

void tb_context_free(tb_context *context) {
  if (!context)
    return;
  if (context->allocator)
    context->allocator(context->user, context, sizeof *context, 0);
  else
    free(context);
}

tb_status tb_context_status(const tb_context *context) {
  return context->status;
}

const char *tb_context_message(const tb_context *context) {
  return context->message;
}

const char *tb_context_place(const tb_context *context) {
  return context->place;
}

const char *tb_context_excerpt(const tb_context *context) {
  return context->excerpt;
}

const char *tb_context_hint(const tb_context *context) {
  return context->hint;
}

uint64_t tb_context_allocations(const tb_context *context) {
  return context->allocations;
}

void tb_context_clear(tb_context *context) {
  context->status = TB_OK;
  context->message[0] = context->place[0] = context->excerpt[0] = context->hint[0] = 0;
}

/* ---- clean text ---- */

static bool control(unsigned char c) {
  return (c < 0x20 && c != '\n') || c == 0x7f;
}

/* Copies text, cleaned; an ellipsis marks what did not fit. */
static void copy_clean(char *out, size_t size, const char *text) {
  static const char ellipsis[] = "…";
  const unsigned char *s = (const unsigned char *)text;
  size_t length = 0;
  while (*s) {
    size_t n = tb_utf8_length((const char *)s);
    bool replace = n == 0 || control(*s) || (n == 2 && s[0] == 0xc2 && s[1] < 0xa0); /* C1 controls too */
    size_t width = replace ? 1 : n;
    if (length + width + sizeof ellipsis > size) {
      memcpy(out + length, ellipsis, sizeof ellipsis - 1);
      length += sizeof ellipsis - 1;
      break;
    }
    if (replace)
      out[length] = n && (*s == '\t' || *s == '\r') ? ' ' : '?';
    else
      memcpy(out + length, s, n);
    length += width;
    s += n ? n : 1;
  }
  out[length] = 0;
}

tb_status tb_fail(tb_context *context, tb_status status, const char *place, const char *hint, const char *format, ...) {
  /* The arguments may be texts of this very context: make everything before storing anything. */
  char raw[MESSAGE_SIZE], message[MESSAGE_SIZE], place_copy[PLACE_SIZE], hint_copy[HINT_SIZE];
  va_list list;
  va_start(list, format);
  int wanted = vsnprintf(raw, sizeof raw, format, list);
  va_end(list);
  if (wanted < 0)
    snprintf(raw, sizeof raw, "%s", format);
  copy_clean(message, sizeof message, raw);
  copy_clean(place_copy, sizeof place_copy, place ? place : "");
  copy_clean(hint_copy, sizeof hint_copy, hint ? hint : "");
  context->status = status;
  strcpy(context->message, message);
  strcpy(context->place, place_copy);
  strcpy(context->hint, hint_copy);
  context->excerpt[0] = 0;
  return status;
}

/* Shows at most EXCERPT_WIDTH characters around the column; columns count bytes, the caret counts characters. */
void tb_fail_excerpt(tb_context *context, const char *line, size_t column) {
  const unsigned char *s = (const unsigned char *)line;
  size_t end = strcspn(line, "\n");
  while (end > 0 && line[end - 1] == '\r')
    end--;
  size_t start = 0;
  if (column > EXCERPT_WIDTH / 2 + 10 && end > EXCERPT_WIDTH)
    start = (column - 1 < end ? column - 1 : end) - EXCERPT_WIDTH / 2;
  while (start > 0 && start < end && (s[start] & 0xc0) == 0x80)
    start--;

  char shown[EXCERPT_SIZE / 2];
  size_t length = 0, characters = 0, caret = 0;
  if (start > 0) {
    length = (size_t)sprintf(shown, "…");
    characters = 1;
  }
  for (size_t i = start; i < end;) {
    size_t n = tb_utf8_length(line + i);
    if (column > i && column <= i + (n ? n : 1))
      caret = characters;
    if (characters >= EXCERPT_WIDTH) {
      length += (size_t)sprintf(shown + length, "…");
      break;
    }
    if (n == 0 || control(s[i]) || (n == 2 && s[i] == 0xc2 && s[i + 1] < 0xa0)) {
      shown[length++] = s[i] == '\t' ? ' ' : '?';
    } else {
      memcpy(shown + length, s + i, n);
      length += n;
    }
    characters++;
    i += n ? n : 1;
  }
  if (column > end) /* just behind the line: something is missing there */
    caret = characters;
  shown[length] = 0;
  if (column > 0)
    snprintf(context->excerpt, EXCERPT_SIZE, "%s\n%*s^", shown, (int)caret, "");
  else
    snprintf(context->excerpt, EXCERPT_SIZE, "%s", shown);
}

/* ---- memory ---- */

static void *block_change(tb_context *context, unsigned char *block, size_t size) {
  size_t old = 0;
  unsigned char *base = NULL;
  if (block) {
    base = block - BLOCK_HEADER;
    memcpy(&old, base, sizeof old);
  }
  unsigned char *fresh;
  if (context->allocator)
    fresh = context->allocator(context->user, base, base ? old + BLOCK_HEADER : 0, size + BLOCK_HEADER);
  else if (base)
    fresh = realloc(base, size + BLOCK_HEADER);
  else
    fresh = calloc(1, size + BLOCK_HEADER); /* the system's pages are zero already */
  if (!fresh)
    return NULL;
  context->allocations++;
  if (!base && context->allocator)
    memset(fresh, 0, size + BLOCK_HEADER);
  memcpy(fresh, &size, sizeof size);
  return fresh + BLOCK_HEADER;
}

void *tb_reallocate(tb_context *context, void *block, size_t count, size_t size) {
  size_t bytes;
  void *fresh = NULL;
  if (!__builtin_mul_overflow(count, size, &bytes) && bytes <= PTRDIFF_MAX - BLOCK_HEADER)
    fresh = block_change(context, block, bytes);
  else
    bytes = SIZE_MAX;
  if (!fresh) {
    if (bytes == SIZE_MAX)
      tb_fail(context, TB_NO_MEMORY, NULL, NULL, "out of memory: %zu times %zu bytes asked for", count, size);
    else
      tb_fail(context, TB_NO_MEMORY, NULL, NULL, "out of memory: %zu bytes asked for", bytes);
  }
  return fresh;
}

void *tb_allocate(tb_context *context, size_t count, size_t size) {
  return tb_reallocate(context, NULL, count, size);
}

void tb_release(tb_context *context, void *block) {
  if (!block)
    return;
  unsigned char *base = (unsigned char *)block - BLOCK_HEADER;
  if (context->allocator) {
    size_t size;
    memcpy(&size, base, sizeof size);
    context->allocator(context->user, base, size + BLOCK_HEADER, 0);
  } else {
    free(base);
  }
}

/* Arenas: a list of chunks filled front to back, freed at once.
 *
 * Chunks grow with the arena, so n allocations cost O(log n) calls of the allocator.  A reset keeps the chunks and
 * remembers how far each was written: only that much is cleared when it is handed out again. */
#include <tiebreak/base.h>

#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 64, FIRST_CHUNK = 8192, LARGEST_STEP = 1 << 24 };

typedef struct chunk {
  struct chunk *next;
  unsigned char *start; /* aligned */
  size_t size, used, dirty;
} chunk;

struct tb_arena {
  tb_context *context;
  chunk *first, *current;
  size_t total;
};

tb_arena *tb_arena_new(tb_context *context) {
  tb_arena *arena = tb_allocate(context, 1, sizeof *arena);
  if (arena)
    arena->context = context;
  return arena;
}

/* A chunk of at least size bytes, put behind the current one. */
static chunk *chunk_add(tb_arena *arena, size_t size) {
  size_t step = arena->total < FIRST_CHUNK ? FIRST_CHUNK : arena->total > LARGEST_STEP ? LARGEST_STEP : arena->total;
  if (size < step)
    size = step;
  chunk *c = tb_allocate(arena->context, 1, sizeof *c + ALIGNMENT + size);
  if (!c)
    return NULL;
  uintptr_t behind = (uintptr_t)(c + 1);
  c->start = (unsigned char *)(c + 1) + (ALIGNMENT - behind % ALIGNMENT) % ALIGNMENT;
  c->size = size;
  arena->total += size;
  chunk **link = arena->current ? &arena->current->next : &arena->first;
  c->next = *link;
  *link = c;
  return c;
}

void *tb_arena_allocate(tb_arena *arena, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX / 2) {
    tb_fail(arena->context, TB_NO_MEMORY, NULL, NULL, "out of memory: %zu times %zu bytes asked for", count, size);
    return NULL;
  }
  bytes = bytes == 0 ? ALIGNMENT : (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  chunk *c = arena->current;
  while (c && c->size - c->used < bytes)
    c = c->next;
  if (!c && !(c = chunk_add(arena, bytes)))
    return NULL;
  arena->current = c;
  unsigned char *block = c->start + c->used;
  if (c->used < c->dirty)
    memset(block, 0, bytes < c->dirty - c->used ? bytes : c->dirty - c->used);
  c->used += bytes;
  return block;
}

char *tb_arena_text(tb_arena *arena, const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = tb_arena_allocate(arena, size, 1);
  if (copy)
    memcpy(copy, text, size);
  return copy;
}

char *tb_arena_format(tb_arena *arena, const char *format, ...) {
  va_list list, again;
  va_start(list, format);
  va_copy(again, list);
  int length = vsnprintf(NULL, 0, format, list);
  char *text = tb_arena_allocate(arena, (length < 0 ? 0 : (size_t)length) + 1, 1);
  if (text && length >= 0)
    vsnprintf(text, (size_t)length + 1, format, again);
  va_end(again);
  va_end(list);
  return text;
}

void tb_arena_reset(tb_arena *arena) {
  for (chunk *c = arena->first; c; c = c->next) {
    if (c->dirty < c->used)
      c->dirty = c->used;
    c->used = 0;
  }
  arena->current = arena->first;
}

void tb_arena_free(tb_arena *arena) {
  if (!arena)
    return;
  for (chunk *c = arena->first, *next; c; c = next) {
    next = c->next;
    tb_release(arena->context, c);
  }
  tb_release(arena->context, arena);
}

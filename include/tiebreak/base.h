/* tiebreak/base.h: contexts, status codes, arenas, text and files.
 *
 * Every fallible function takes a tb_context first and returns a tb_status.  On failure the context keeps the code, a
 * message, the place it concerns and a hint.  The library never prints, exits or aborts on user input.
 * Threads: a context belongs to one thread at a time; objects made with it too. */
#ifndef TIEBREAK_BASE_H
#define TIEBREAK_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TB_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define TB_MUST_CHECK          __attribute__((warn_unused_result))
#else
#define TB_PRINTF(text, first)
#define TB_MUST_CHECK
#endif

/* One list: the enum, the names and the exit codes of the program.
 *   X(symbol, exit code, name) */
#define TB_STATUS_LIST(X)                                                                                              \
  X(TB_OK, 0, "ok")                                                                                                    \
  X(TB_FAILED, 1, "failed")             /* a run failed or diverged, a solver gave up */                               \
  X(TB_USAGE, 2, "usage")               /* configuration: unknown key, wrong type, impossible combination */           \
  X(TB_BAD_DATA, 3, "bad data")         /* a data file is missing, malformed or unfit for the question */              \
  X(TB_NO_MEMORY, 4, "out of memory")   /* memory */                                                                   \
  X(TB_NO_DISK, 4, "cannot write")      /* disk full, folder not writable */                                           \
  X(TB_STOPPED, 75, "stopped")          /* SIGTERM or a time limit, checkpoint kept */                                 \
  X(TB_INTERRUPTED, 130, "interrupted") /* SIGINT, checkpoint kept */

typedef enum tb_status {
#define TB_STATUS_ENUM(symbol, exit_code, name) symbol,
  TB_STATUS_LIST(TB_STATUS_ENUM)
#undef TB_STATUS_ENUM
} tb_status;

/* The name ("bad data") and the program's exit code (3) of a status. */
const char *tb_status_name(tb_status status);
int tb_status_exit_code(tb_status status);

/* ---- context ---- */

typedef struct tb_context tb_context;

/* Memory goes through one function in the manner of Lua's: size 0 frees, NULL allocates.  user is passed back. */
typedef void *(*tb_allocator)(void *user, void *block, size_t old_size, size_t new_size);

/* Creates a context; NULL allocator means the C library's.  Returns NULL when even that memory is not to be had. */
tb_context *tb_context_new(tb_allocator allocator, void *user);
void tb_context_free(
    tb_context *context); /* NULL is allowed; all that was made with the context must be freed before */

/* The last failure: TB_OK and empty strings when there was none.  The strings live until the next failure. */
tb_status tb_context_status(const tb_context *context);
const char *tb_context_message(const tb_context *context);
const char *tb_context_place(const tb_context *context);   /* "file:line:column" or "option lr" or "" */
const char *tb_context_excerpt(const tb_context *context); /* the source line with a caret under it, or "" */
const char *tb_context_hint(const tb_context *context);    /* what to do about it, or "" */
void tb_context_clear(tb_context *context);

/* Records a failure and returns its status, so that `return tb_fail(...)` reads well.  place and hint may be NULL. */
tb_status tb_fail(tb_context *context, tb_status status, const char *place, const char *hint, const char *format, ...)
    TB_PRINTF(5, 6);
/* Adds the source line and a caret under its column (1-based; 0: no caret) to the failure just recorded. */
void tb_fail_excerpt(tb_context *context, const char *line, size_t column);

/* Number of allocations made through the context since it was created (steady-state tests assert that it stands still).
 */
uint64_t tb_context_allocations(const tb_context *context);

/* ---- memory ---- */

/* malloc, realloc and free of the context.  size 0 gives a valid unique pointer.  NULL on exhaustion, with the failure
 * TB_NO_MEMORY recorded.  tb_allocate zeroes. */
void *tb_allocate(tb_context *context, size_t count, size_t size);
void *tb_reallocate(tb_context *context, void *block, size_t count, size_t size);
void tb_release(tb_context *context, void *block);

/* An arena: many allocations, freed at once.  64-byte aligned, zeroed. */
typedef struct tb_arena tb_arena;
tb_arena *tb_arena_new(tb_context *context);
void *tb_arena_allocate(tb_arena *arena, size_t count, size_t size); /* NULL on exhaustion, failure recorded */
char *tb_arena_text(tb_arena *arena, const char *text);              /* a copy */
char *tb_arena_format(tb_arena *arena, const char *format, ...) TB_PRINTF(2, 3);
void tb_arena_reset(tb_arena *arena); /* forgets everything, keeps the memory */
void tb_arena_free(tb_arena *arena);  /* NULL is allowed */

/* ---- growing text ---- */

/* A growing string.  A failed growth is remembered: tb_text_finish reports it. */
typedef struct tb_text {
  tb_context *context;
  char *data;    /* always terminated once anything was added, else NULL */
  size_t length; /* bytes without the terminator */
  size_t capacity;
  bool failed;
} tb_text;

/* An empty text; nothing to free until something was added. */
tb_text tb_text_new(tb_context *context);
/* Adding: a string, bytes (zeros allowed), printf's formats. */
void tb_text_add(tb_text *text, const char *string);
void tb_text_add_bytes(tb_text *text, const char *bytes, size_t count);
void tb_text_format(tb_text *text, const char *format, ...) TB_PRINTF(2, 3);
tb_status tb_text_finish(tb_text *text); /* TB_NO_MEMORY when any addition failed */
void tb_text_free(tb_text *text);

/* ---- files ---- */

/* Writes a whole file atomically: a temporary file beside it, fsync, rename.  A reader sees the old content or the new,
 * never a part.  Errors: TB_NO_DISK with the path and the system's reason. */
tb_status tb_file_write(tb_context *context, const char *path, const void *data, size_t size) TB_MUST_CHECK;
/* Reads a whole file into memory of the context (release with tb_release); a terminating zero follows the data.
 * Errors: TB_BAD_DATA (missing, a folder, not readable). */
tb_status tb_file_read(tb_context *context, const char *path, char **data, size_t *size) TB_MUST_CHECK;
/* Appends a line and fsyncs. */
tb_status tb_file_append(tb_context *context, const char *path, const char *text) TB_MUST_CHECK;
/* Creates a folder and its parents; an existing folder is fine. */
tb_status tb_folder_create(tb_context *context, const char *path) TB_MUST_CHECK;
/* Creates a new folder that must not exist yet; sets *exists and returns TB_OK when it does. */
tb_status tb_folder_claim(tb_context *context, const char *path, bool *exists) TB_MUST_CHECK;
bool tb_file_exists(const char *path);

/* ---- clock ---- */

double tb_clock_seconds(void);                /* monotonic */
void tb_clock_utc(char *buffer, size_t size); /* "2026-01-31T12:00:00Z" */

/* ---- words ---- */

/* The candidate nearest to word in edit distance, or NULL when none is near enough to suggest. */
const char *tb_suggest(const char *word, const char *const *candidates, size_t count);

#ifdef __cplusplus
}
#endif
#endif

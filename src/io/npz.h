/* NumPy's .npz: named float64, float32 and int64 arrays in a zip, over libzip. */
#ifndef TB_IO_NPZ_H
#define TB_IO_NPZ_H

#include <tiebreak/base.h>

typedef enum tb_array_type { TB_ARRAY_FLOAT64, TB_ARRAY_FLOAT32, TB_ARRAY_INT64, TB_ARRAY_TEXT } tb_array_type;

typedef struct tb_array {
  const char *name;
  tb_array_type type; /* TEXT: fixed-width UTF-32 strings ("<U7") from `words` when writing */
  size_t rank, dims[8];
  const void *data; /* row-major (C order) */
  const char *const *words;
} tb_array;

/* Writes atomically; the same arrays give the same bytes.  Errors: TB_NO_DISK; TB_FAILED: a name twice, rank above 8.
 */
tb_status tb_npz_write(tb_context *, const char *path, size_t count, const tb_array *arrays);
/* Reads all numeric arrays into the arena, in C order whatever the order in the file: little-endian f8 and f4 as they
 * are, integers and booleans as INT64.  Text, objects, records and dates are left out.  Errors TB_BAD_DATA: missing, no
 * zip, a damaged member, elements of another type (complex, half, big-endian). */
tb_status tb_npz_read(tb_context *, tb_arena *, const char *path, size_t *count, tb_array **arrays);

#endif

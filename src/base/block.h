/* A checkpoint's bytes: parts one behind the other, the first of which begins with what it is a checkpoint of. */
#ifndef TB_BASE_BLOCK_H
#define TB_BASE_BLOCK_H

#include <tiebreak/base.h>

typedef struct tb_block_part {
  void *data;
  size_t size;
} tb_block_part;

/* The parts in one block of *size bytes; release with tb_release.  NULL with TB_NO_MEMORY recorded on exhaustion. */
char *tb_block_join(tb_context *, size_t count, const tb_block_part *parts, size_t *size);

/* Back into the parts.  Error TB_FAILED, with the parts as they were: the block is of another size, or its first
 * `fixed` bytes (a word for the kind, counts) are not those that the first part holds. */
tb_status tb_block_split(tb_context *, const void *block, size_t size, size_t fixed, size_t count,
                         const tb_block_part *parts);

#endif

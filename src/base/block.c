/* Copies, and the one question whether a block is of this run. */
#include "base/block.h"

#include <string.h>

static size_t size_of(size_t count, const tb_block_part *parts) {
  size_t size = 0;
  for (size_t i = 0; i < count; i++)
    size += parts[i].size;
  return size;
}

char *tb_block_join(tb_context *context, size_t count, const tb_block_part *parts, size_t *size) {
  *size = size_of(count, parts);
  char *block = tb_allocate(context, *size, 1), *at = block;
  for (size_t i = 0; block && i < count; i++) {
    memcpy(at, parts[i].data, parts[i].size);
    at += parts[i].size;
  }
  return block;
}

tb_status tb_block_split(tb_context *context, const void *block, size_t size, size_t fixed, size_t count,
                         const tb_block_part *parts) {
  const char *at = block;
  if (size != size_of(count, parts) || memcmp(block, parts[0].data, fixed) != 0)
    return tb_fail(context, TB_FAILED, "checkpoint", "start the run afresh", "the checkpoint is not of this run");
  for (size_t i = 0; i < count; i++) {
    memcpy(parts[i].data, at, parts[i].size);
    at += parts[i].size;
  }
  return TB_OK;
}

/* Any bytes as NPZ: every element of what is read lies in memory that is there. */
#include "fuzz.h"

#include <io/npz.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tb_context *context = tb_context_new(NULL, NULL);
  tb_arena *arena = tb_arena_new(context);
  size_t count;
  tb_array *arrays;
  tb_status status = tb_npz_read(context, arena, fuzz_file(data, size), &count, &arrays);
  fuzz_check(context, status, TB_BAD_DATA);
  volatile unsigned char sum = 0;
  for (size_t i = 0; i < count; i++) {
    size_t bytes = arrays[i].type == TB_ARRAY_FLOAT32 ? 4 : 8;
    for (size_t k = 0; k < arrays[i].rank; k++)
      bytes *= arrays[i].dims[k];
    for (size_t k = 0; k < bytes; k++)
      sum = (unsigned char)(sum + ((const unsigned char *)arrays[i].data)[k]);
  }
  tb_arena_free(arena);
  tb_context_free(context);
  return 0;
}

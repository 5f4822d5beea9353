/* Any bytes as YAML: every pair read has a key, a value and a place within the file. */
#include "fuzz.h"

#include <io/yaml.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tb_context *context = tb_context_new(NULL, NULL);
  tb_arena *arena = tb_arena_new(context);
  size_t count;
  tb_yaml_document *documents;
  const char *path = fuzz_file(data, size);
  tb_status status = tb_yaml_read(context, arena, path, &count, &documents);
  fuzz_check(context, status, TB_USAGE);
  for (size_t d = 0; d < count; d++)
    for (size_t i = 0; i < documents[d].count; i++) {
      const tb_yaml_pair *p = &documents[d].pairs[i];
      if (!p->key || !p->key[0] || !p->value || p->key_line < 1 || p->key_column < 1 || p->value_line < 1 ||
          p->value_column < 1 || (size_t)p->value_line > size + 1 || p->value_line < p->key_line)
        abort();
      tb_yaml_fail(context, path, p->value_line, p->value_column, NULL, "x");
    }
  tb_arena_free(arena);
  tb_context_free(context);
  return 0;
}

/* Any bytes as CSV; what is read is written, read again and the same. */
#include "fuzz.h"

#include <io/csv.h>
#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tb_context *context = tb_context_new(NULL, NULL);
  tb_table *table, *again;
  const char *path = fuzz_file(data, size);
  tb_status status = tb_csv_read(context, path, &table);
  fuzz_check(context, status, TB_BAD_DATA);
  if (!status) {
    for (size_t i = 0; i < table->rows * table->cols; i++)
      if (!isfinite(table->values[i]))
        abort();
    if (table->rows > 0)
      tb_table_fail(context, table, table->rows - 1, table->cols - 1, NULL, "x");
    tb_text text = tb_text_new(context);
    tb_text_add(&text, "");
    for (size_t j = 0; j < table->cols; j++) {
      tb_csv_add_field(&text, table->names[j]);
      tb_text_add(&text, j + 1 < table->cols ? "," : "\n");
    }
    if (tb_csv_read(context, fuzz_file((const uint8_t *)text.data, text.length), &again) == TB_OK) {
      for (size_t j = 0; j < table->cols; j++)
        if (strcmp(table->names[j], again->names[j]) != 0)
          abort();
      tb_table_free(context, again);
    } else {
      abort();
    }
    tb_text_free(&text);
  }
  tb_table_free(context, table);
  tb_context_free(context);
  return 0;
}

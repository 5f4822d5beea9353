/* Any bytes as a language file: laws of what is read sum to 1 along a walk. */
#include "fuzz.h"

#include <math.h>
#include <tiebreak/language.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tb_context *context = tb_context_new(NULL, NULL);
  tb_language *language;
  tb_walk *walk = NULL;
  tb_status status = tb_language_open(context, fuzz_file(data, size), 6, &language);
  fuzz_check(context, status, TB_BAD_DATA);
  if (!status && tb_walk_new(context, language, &walk) != TB_OK)
    abort();
  for (int step = 0; walk && step < 8; step++) {
    const double *law = tb_walk_law(walk);
    size_t n = tb_language_symbols(language), likeliest = 0;
    double sum = 0;
    for (size_t a = 0; a <= n; a++) {
      sum += law[a];
      likeliest = law[a] > law[likeliest] ? a : likeliest;
    }
    if (!(fabs(sum - 1) < 1e-6))
      abort();
    if (likeliest == n)
      break;
    if (tb_walk_push(walk, likeliest))
      abort();
  }
  tb_walk_free(walk);
  tb_language_free(language);
  tb_context_free(context);
  return 0;
}

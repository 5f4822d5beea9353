/* Any bytes as a mixture file: laws of what is read sum to 1 along the likeliest walk, and what is written reads back.
 */
#include "fuzz.h"

#include <language/hmm.h>
#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tb_context *context = tb_context_new(NULL, NULL);
  tb_hmm *mixture;
  tb_hmm_filter *filter;
  tb_status status = tb_hmm_read(context, fuzz_file(data, size), &mixture);
  fuzz_check(context, status, TB_BAD_DATA);
  if (!status) {
    double *law = malloc(mixture->n_tokens * sizeof *law);
    if (!law || tb_hmm_filter_new(context, mixture, &filter))
      abort();
    for (int step = 0; step < 8; step++) {
      double sum = 0;
      size_t first, second;
      tb_hmm_filter_law(filter, law);
      for (size_t y = 0; y < mixture->n_tokens; y++)
        sum += law[y];
      if (!(fabs(sum - 1) < 1e-6))
        abort();
      tb_hmm_top_two(mixture->n_tokens, law, &first, &second);
      tb_hmm_filter_push(filter, first);
    }
    tb_hmm_filter_free(filter);
    free(law);
  }
  tb_hmm_free(mixture);
  tb_context_free(context);
  return 0;
}

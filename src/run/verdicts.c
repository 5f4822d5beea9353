/* Verdicts over records: every claim of every study that they are of, in the order of the claim tables. */
#include <string.h>

#include "run/record.h"

/* The outcomes of one study among the records. */
static size_t outcomes_of(const tb_study *study, size_t n, tb_record *const *records, tb_outcome *outcomes) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++)
    if (records[i]->study == study && strcmp(records[i]->manifest.state, "finished") == 0)
      outcomes[count++] = records[i]->outcome;
  return count;
}

static bool first_of_study(size_t i, tb_record *const *records) {
  for (size_t j = 0; j < i; j++)
    if (records[j]->study == records[i]->study)
      return false;
  return true;
}

tb_status tb_claims_judge(tb_context *context, tb_arena *arena, size_t n, tb_record *const *records, size_t *count,
                          tb_verdict **verdicts) {
  size_t most = 0;
  *count = 0;
  for (size_t i = 0; i < n; i++)
    if (first_of_study(i, records))
      most += records[i]->study->n_claims;
  *verdicts = tb_arena_allocate(arena, most + 1, sizeof **verdicts);
  tb_outcome *outcomes = tb_arena_allocate(arena, n + 1, sizeof *outcomes);
  if (!*verdicts || !outcomes)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < n; i++) {
    if (!first_of_study(i, records))
      continue;
    const tb_study *study = records[i]->study;
    size_t m = outcomes_of(study, n, records, outcomes);
    for (size_t k = 0; k < study->n_claims; k++) {
      bool applies;
      tb_status status = tb_claim_judge(context, study->claims[k], m, outcomes, &applies, &(*verdicts)[*count]);
      if (status)
        return status;
      *count += applies;
    }
  }
  return TB_OK;
}

/* Looking up studies and claims by name in the table (table.c), whatever stands in it. */
#include <string.h>
#include <tiebreak/study.h>

const tb_study *tb_study_find(const char *name) {
  for (const tb_study *const *study = tb_studies(); *study; study++)
    if (strcmp((*study)->name, name) == 0)
      return *study;
  return NULL;
}

const tb_study *tb_question_find(const char *name) {
  for (const tb_study *const *question = tb_questions(); *question; question++)
    if (strcmp((*question)->name, name) == 0)
      return *question;
  return NULL;
}

const tb_claim *tb_claim_find(const char *id, const tb_study **study) {
  for (const tb_study *const *candidate = tb_studies(); *candidate; candidate++)
    for (size_t i = 0; i < (*candidate)->n_claims; i++)
      if (strcmp((*candidate)->claims[i]->id, id) == 0) {
        if (study)
          *study = *candidate;
        return (*candidate)->claims[i];
      }
  return NULL;
}

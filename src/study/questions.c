/* The table of all questions: one line each. */
#include "study/density.h"
#include "study/drift.h"

static const tb_study *const questions[] = { &tb_question_density, &tb_question_drift, NULL };

const tb_study *const *tb_questions(void) {
  return questions;
}

/* The table of all questions: one line each. */
#include "study/density.h"

static const tb_study *const questions[] = { &tb_question_density, NULL };

const tb_study *const *tb_questions(void) {
  return questions;
}

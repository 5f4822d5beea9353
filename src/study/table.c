/* The table of all studies: one line each.  A study's record says everything else. */
#include "study/separable.h"

static const tb_study *const studies[] = { &tb_study_separable, NULL };

const tb_study *const *tb_studies(void) {
  return studies;
}

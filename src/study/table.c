/* The table of all studies: one line each.  A study's record says everything else. */
#include "study/completion.h"
#include "study/drift.h"
#include "study/finetune.h"
#include "study/icl.h"
#include "study/invariance.h"
#include "study/measures.h"
#include "study/nonlinear.h"
#include "study/regression.h"
#include "study/rules.h"
#include "study/sample.h"
#include "study/score.h"
#include "study/separable.h"
#include "study/twins.h"

static const tb_study *const studies[] = {
  &tb_study_separable,  &tb_study_invariance,
  &tb_study_completion, &tb_study_nonlinear,
  &tb_study_regression, &tb_study_icl,
  &tb_study_finetune,   &tb_study_rules,
  &tb_study_twins,      &tb_study_measures,
  &tb_study_drift,      &tb_study_score,
  &tb_study_sample,     NULL,
};

const tb_study *const *tb_studies(void) {
  return studies;
}

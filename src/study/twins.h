/* The study `twins`: two models of equal loss, and how differently they behave. */
#ifndef TB_STUDY_TWINS_H
#define TB_STUDY_TWINS_H

#include "study/rules.h"

enum { TWINS_CLAIMS = 13 };
extern const tb_claim *const twins_claims[TWINS_CLAIMS];
extern const tb_study tb_study_twins;

#endif

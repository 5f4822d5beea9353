/* The claims of the study `icl`. */
#ifndef TB_STUDY_ICL_CLAIMS_H
#define TB_STUDY_ICL_CLAIMS_H

#include <tiebreak/study.h>

enum { ICL_CLAIMS = 12 };
extern const tb_claim *const icl_claims[ICL_CLAIMS];

#endif

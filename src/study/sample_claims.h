/* The claims of `sample`: normalisers, bounds, moments, agreement of samplers. */
#ifndef TB_STUDY_SAMPLE_CLAIMS_H
#define TB_STUDY_SAMPLE_CLAIMS_H

#include <tiebreak/study.h>

enum { SAMPLE_CLAIMS = 0 };
extern const tb_claim *const sample_claims[];

#endif

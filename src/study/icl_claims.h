/* The claims of the study `icl`. */
#ifndef TB_STUDY_ICL_CLAIMS_H
#define TB_STUDY_ICL_CLAIMS_H

#include <tiebreak/study.h>

enum { ICL_CLAIMS = 12 };
extern const tb_claim *const icl_claims[ICL_CLAIMS];

/* icl_claims_published.c, icl_claims_trained.c */
extern const tb_claim icl_claim_published_nll, icl_claim_zero_share, icl_claim_smoothing, icl_claim_smoothed_accuracy;
extern const tb_claim icl_claim_trained_loss, icl_claim_trained_behaviour, icl_claim_bias;

#endif

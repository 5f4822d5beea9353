/* The claims of `drift`, by file: rates and sizes of the construction, divergences each measured twice, which process
 * asks less of a network.  A claim is one record; drift_claims.c lists them. */
#ifndef TB_STUDY_DRIFT_CLAIMS_H
#define TB_STUDY_DRIFT_CLAIMS_H

#include "study/diffusion_abstract.h"
#include "study/drift.h"

extern const tb_claim claim_drift_kl_rate, claim_drift_kl_constant, claim_drift_sup_rate, claim_drift_size_rate;
extern const tb_claim claim_drift_circuit, claim_drift_relu, claim_drift_theorem, claim_drift_loose;

extern const tb_claim claim_drift_forward_twice, claim_drift_reverse_twice, claim_drift_marginal_forward,
    claim_drift_marginal_reverse;
extern const tb_claim claim_drift_zero, claim_drift_mismatch_bound, claim_drift_mismatch_slope;

extern const tb_claim claim_drift_ou_constructed, claim_drift_ou_score, claim_drift_ou_control, claim_drift_width;

#endif

/* The claims of `drift` in the order of the report. */
#include "study/drift_claims.h"

const tb_claim *const drift_claims[DRIFT_CLAIMS] = {
  &claim_drift_kl_rate,
  &claim_drift_kl_constant,
  &claim_drift_sup_rate,
  &claim_drift_size_rate,
  &claim_drift_circuit,
  &claim_drift_relu,
  &claim_drift_theorem,
  &claim_drift_loose,
  &claim_drift_width,
  &claim_drift_zero,
  &claim_drift_forward_twice,
  &claim_drift_reverse_twice,
  &claim_drift_marginal_forward,
  &claim_drift_marginal_reverse,
  &claim_drift_mismatch_bound,
  &claim_drift_mismatch_slope,
  &claim_drift_ou_constructed,
  &claim_drift_ou_score,
  &claim_drift_ou_control,
};

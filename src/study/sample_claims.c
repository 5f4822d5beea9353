/* The list of the claims of `sample`, in the order of the report. */
#include "study/sample_claims.h"

const tb_claim *const sample_claims[SAMPLE_CLAIMS] = {
  &claim_sample_smc_normaliser,
  &claim_sample_smc_unbiased,
  &claim_sample_elbo,
  &claim_sample_eubo,
  &claim_sample_brownian,
  &claim_sample_ionosphere,
  &claim_sample_eight_schools,
  &claim_sample_posterior_means,
  &claim_sample_modes,
  &claim_sample_funnel,
  &claim_sample_control_unbiased,
  &claim_sample_control_funnel,
  &claim_sample_control_brownian,
  &claim_sample_control_posterior,
  &claim_sample_control_evidence,
};

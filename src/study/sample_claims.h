/* The claims of `sample`: normalisers and bounds (sample_claims_normaliser.c), posterior means and warnings
 * (sample_claims_posterior.c), diffusions (sample_claims_control.c).  A claim is one record; sample_claims.c lists
 * them. */
#ifndef TB_STUDY_SAMPLE_CLAIMS_H
#define TB_STUDY_SAMPLE_CLAIMS_H

#include <tiebreak/study.h>

extern const tb_claim claim_sample_smc_normaliser, claim_sample_smc_unbiased, claim_sample_elbo, claim_sample_eubo;
extern const tb_claim claim_sample_brownian, claim_sample_ionosphere;
extern const tb_claim claim_sample_eight_schools, claim_sample_posterior_means, claim_sample_modes, claim_sample_funnel;

extern const tb_claim claim_sample_control_unbiased, claim_sample_control_funnel, claim_sample_control_brownian;
extern const tb_claim claim_sample_control_posterior, claim_sample_control_evidence;

enum { SAMPLE_CLAIMS = 15 };
extern const tb_claim *const sample_claims[SAMPLE_CLAIMS];

bool sample_by_diffusion(const tb_config *); /* method=dds, pis, sfs */

/* ---- references, obtained without any sampler ---- */

/* ln Z of a configuration's target: closed forms and published quadrature; NaN: not known so. */
double sample_exact_log_z(const tb_config *);
/* The eight schools by a one-dimensional integral over τ: ln Z, E μ, E τ. */
void sample_eight_schools(double out[3]);
/* ln Z of the published Brownian target by an integral over its two scales. */
double sample_brownian_log_z(void);

#endif

/* The claims of `score`, by file: noise, samplers, likelihood; then what is learned.  score_claims.c lists them. */
#ifndef TB_STUDY_SCORE_CLAIMS_H
#define TB_STUDY_SCORE_CLAIMS_H

#include "study/diffusion_abstract.h"
#include "study/score_parts.h"

/* noise */
extern const tb_claim claim_noise_gaussian, claim_noise_rate, claim_noise_bound;
/* samplers on exact scores */
extern const tb_claim claim_order_ddim, claim_order_heun, claim_order_dpmpp2m;
extern const tb_claim claim_order_em, claim_order_ancestral, claim_order_exponential, claim_rk45;
extern const tb_claim claim_exact_samples_vp, claim_exact_samples_others, claim_exact_transport;
extern const tb_claim claim_likelihood, claim_likelihood_hutchinson, claim_memory;
/* learned scores */
extern const tb_claim claim_excess, claim_training, claim_learned_samples, claim_learned_likelihood;
extern const tb_claim claim_ou_beats_pinned, claim_common_variables, claim_preconditioned;

/* ---- reading outcomes ---- */

bool score_config_exact(const tb_config *); /* network=exact, nothing but compared */
bool score_config_learned(const tb_config *);
/* The claim does not apply to this run after all. */
tb_status score_skip(double *value, double *reference);
/* Mean of −ln π over the run's test points, by the target's own log density and normaliser; NaN where that has none. */
tb_status score_entropy(tb_context *, const tb_outcome *, double *nats);

#endif

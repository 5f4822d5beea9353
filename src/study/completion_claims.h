/* The claims of `completion`, by file: the laws of flows, and which matrix training ends on. */
#ifndef TB_STUDY_COMPLETION_CLAIMS_H
#define TB_STUDY_COMPLETION_CLAIMS_H

#include "study/completion.h"
#include "study/natural_gradient.h"

#include <math.h>

extern const tb_claim claim_completion_residual_law, claim_completion_unobserved_rest, claim_completion_population;
extern const tb_claim claim_completion_sensing_predictor, claim_completion_rank_loss, claim_completion_parameter_law;
extern const tb_claim claim_completion_empirical, claim_completion_balance, claim_completion_one_entry;
extern const tb_claim claim_completion_commuting;

extern const tb_claim claim_completion_deep_recovers, claim_completion_depth, claim_completion_small_start;
extern const tb_claim claim_completion_effective_rank, claim_completion_deep_beats_nuclear;
extern const tb_claim claim_completion_nuclear_certificate, claim_completion_parameter_keeps_depth;
extern const tb_claim claim_completion_gd_beats_ngd, claim_completion_ngd_wins;
extern const tb_claim claim_completion_norm_grows, claim_completion_rank_falls;

/* The claim does not apply to this run after all. */
static inline tb_status completion_skip(double *value, double *reference) {
  *value = *reference = NAN;
  return TB_OK;
}

/* Undamped natural gradient flow with that Fisher matrix (NULL: any). */
bool completion_is_ngf(const tb_config *, const char *fisher);
/* Gradient descent or flow, in any form that moves along the gradient. */
bool completion_is_gradient(const tb_config *);
int64_t completion_depth(const tb_config *);

#endif

/* The list of all claims of `completion`, in the order in which a reader should meet them. */
#include "study/completion_claims.h"

const tb_claim *const completion_claims[COMPLETION_CLAIMS] = {
  &claim_completion_residual_law,
  &claim_completion_unobserved_rest,
  &claim_completion_population,
  &claim_completion_sensing_predictor,
  &claim_completion_rank_loss,
  &claim_completion_parameter_law,
  &claim_completion_balance,
  &claim_completion_empirical,
  &claim_completion_one_entry,
  &claim_completion_commuting,
  &claim_completion_nuclear_certificate,
  &claim_completion_deep_recovers,
  &claim_completion_effective_rank,
  &claim_completion_depth,
  &claim_completion_small_start,
  &claim_completion_deep_beats_nuclear,
  &claim_completion_parameter_keeps_depth,
  &claim_completion_gd_beats_ngd,
  &claim_completion_ngd_wins,
  &claim_completion_norm_grows,
  &claim_completion_rank_falls,
};

bool completion_is_ngf(const tb_config *config, const char *fisher) {
  return tb_config_is(config, "method", "ngf") && tb_config_real(config, "damping") == 0 &&
         (!fisher || tb_config_is(config, "fisher", fisher));
}

bool completion_is_gradient(const tb_config *config) {
  static const char *const methods[] = { "gd", "momentum", "grouprms", "gf" };
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
    if (tb_config_is(config, "method", methods[i]))
      return true;
  return false;
}

int64_t completion_depth(const tb_config *config) {
  return tb_config_integer(config, "depth");
}

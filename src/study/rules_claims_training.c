/* Claims on training: models of equal, nearly optimal loss whose completions differ by how they were trained; and what
 * a loss certifies. */
#include <math.h>

#include "study/language_abstract.h"
#include "study/rules_claims.h"

#define BASE "language=L3 model=transformer method=adam published_quirks=none decoding=greedy until_loss= "

/* ---- equal loss ---- */

static int arm_variants(const tb_config *c) {
  return rules_config_is(c, BASE) ? 0 : -1;
}
RULES_MEASURE(relative_excess, rules_metric(o, "excess_loss") / rules_metric(o, "optimal_loss"), 0)

const tb_claim claim_rules_equal_loss = {
  .id = "rules.equal_loss",
  .statement =
      "Whether trained by likelihood, with right or with wrong completions beside it, transformers reach a loss "
      "on a^n b^n within 5 % of the exact entropy, so that no two of them are further apart",
  .source = "Reizinger et al. 2024, case study 1 (published excess: 13 %, 18 % and 5 %)",
  .reference = "entropy by dynamic programming; the model's cross-entropy summed over every string of the language; "
               "value: excess over optimal loss, at most 0.05",
  .group = LANGUAGE_EQUAL_LOSS,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 0.05,
  .unit = "",
  .min_seeds = 5,
  .arm = arm_variants,
  .measure = measure_relative_excess,
};

/* ---- the order of the published table ---- */

RULES_MEASURE(ood_r1, rules_metric(o, "ood.r1"), 0)
RULES_ARMS(oracle, BASE "training=likelihood", BASE "training=oracle")

const tb_claim claim_rules_oracle = {
  .id = "rules.oracle",
  .statement = "At equal loss on a^n b^n, a transformer that was taught right completions of half the prompts outside "
               "the language obeys r1 on the other half more often than one trained by likelihood alone",
  .source = "Reizinger et al. 2024, figure on rule extrapolation: 0.83 against 0.46 (finished completions)",
  .reference = "difference of OOD r1 over all completions, paired by seed; rules are checked by exact counters",
  .group = LANGUAGE_EQUAL_LOSS,
  .kind = TB_CLAIM_BELOW,
  .tolerance = 0,
  .unit = "",
  .min_seeds = 5,
  .arm = arm_oracle,
  .measure = measure_ood_r1,
};

RULES_ARMS(adversarial, BASE "training=adversarial", BASE "training=likelihood")

const tb_claim claim_rules_adversarial = {
  .id = "rules.adversarial",
  .statement = "At equal loss on a^n b^n, a transformer that was taught completions with one symbol too many obeys r1 "
               "outside the language less often than one trained by likelihood alone",
  .source = "Reizinger et al. 2024, figure on rule extrapolation: 0.00 against 0.46 (finished completions)",
  .reference = "difference of OOD r1 over all completions, paired by seed; rules are checked by exact counters",
  .group = LANGUAGE_EQUAL_LOSS,
  .kind = TB_CLAIM_BELOW,
  .tolerance = 0,
  .unit = "",
  .min_seeds = 5,
  .arm = arm_adversarial,
  .measure = measure_ood_r1,
};

RULES_ARMS(ends, BASE "training=adversarial", BASE "training=oracle")

const tb_claim claim_rules_ends = {
  .id = "rules.ends",
  .statement = "At equal loss on a^n b^n, OOD r1 of transformers taught right and taught wrong completions lies more "
               "than 0.6 apart: the likelihood leaves nearly the whole range open",
  .source = "Reizinger et al. 2024, figure on rule extrapolation: 0.83 against 0.00",
  .reference = "difference of OOD r1 over all completions, paired by seed; rules are checked by exact counters",
  .group = LANGUAGE_EQUAL_LOSS,
  .kind = TB_CLAIM_BELOW,
  .tolerance = 0.6,
  .unit = "",
  .min_seeds = 5,
  .arm = arm_ends,
  .measure = measure_ood_r1,
};

/* ---- the certificate ---- */

/* What the loss says must be of the law that is drawn from and that the entropy is of. */
static int arm_sound(const tb_config *c) {
  return rules_config_is(c, "published_quirks=none") ? 0 : -1;
}

static tb_status measure_mass(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  const bool whole = rules_metric(o, "kl_to_truth.se") == 0;
  *value = whole ? rules_metric(o, "ungrammatical_mass") : NAN;
  *reference = whole ? rules_metric(o, "ungrammatical_mass_bound") : NAN;
  return TB_OK;
}

const tb_claim claim_rules_certificate = {
  .id = "rules.certificate",
  .statement = "A loss certifies: the mass outside the language, summed string by string, is at most "
               "1 − exp(−positions · excess loss)",
  .source = "KL(p ‖ q) ≥ −ln q(language); the bound that the published runs meet without using it",
  .reference = "one minus the sum of the model's probabilities over every string of the language",
  .group = LANGUAGE_RULES,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-6,
  .unit = "",
  .arm = arm_sound,
  .measure = measure_mass,
};

/* Four standard deviations of a share of 512 draws whose expectation is at most the bound, and of the bound itself. */
static tb_status measure_drawn(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  const double bound = fmin(1, fmax(0, rules_metric(o, "ungrammatical_mass_bound")));
  const double se = sqrt(bound * (1 - bound) / 512), own = rules_metric(o, "kl_to_truth.se") * (1 - bound);
  *value = rules_metric(o, "sampled.ungrammatical");
  *reference = bound + 4 * sqrt(se * se + own * own) + 1.0 / 512;
  return TB_OK;
}

const tb_claim claim_rules_certificate_drawn = {
  .id = "rules.certificate.drawn",
  .statement = "What models draw keeps the certificate: of 512 strings no larger share is ungrammatical than the loss "
               "allows, within four standard deviations",
  .source = "as rules.certificate; the published samples break it (48 % grammatical where the loss forces 95 %)",
  .reference = "membership by the language's own law; reference: the bound plus four standard deviations",
  .group = LANGUAGE_RULES,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 0,
  .unit = "",
  .arm = arm_sound,
  .measure = measure_drawn,
};

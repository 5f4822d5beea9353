/* Claims of `twins`: zero divergence and different behaviour by construction; nearly equal losses and different
 * behaviour in training. */
#include <math.h>

#include "study/language_abstract.h"
#include "study/rules_claims.h"
#include "study/twins.h"

#define PAPER "Reizinger et al. 2024, functional and epsilon non-identifiability"

#define TWINS(NAME, ID, STATEMENT, REFERENCE, KIND, TOLERANCE, SEEDS, ARM, MEASURE)                                    \
  static const tb_claim NAME = { .id = "twins." ID,                                                                    \
                                 .statement = STATEMENT,                                                               \
                                 .source = PAPER,                                                                      \
                                 .reference = REFERENCE,                                                               \
                                 .group = LANGUAGE_EQUAL_LOSS,                                                         \
                                 .kind = KIND,                                                                         \
                                 .tolerance = TOLERANCE,                                                               \
                                 .unit = "",                                                                           \
                                 .min_seeds = SEEDS,                                                                   \
                                 .arm = ARM,                                                                           \
                                 .measure = MEASURE }

/* ---- by construction ---- */

RULES_ARM(exact, "kind=exact")
RULES_MEASURE(kl, rules_metric(o, "kl"), 0)
RULES_MEASURE(exact_gap, fmax(fabs(rules_metric(o, "loss_gap")), fabs(rules_metric(o, "first.excess_loss"))), 0)

TWINS(exact_kl, "exact.kl",
      "Two models that are the law on its own prefixes and follow different strategies elsewhere "
      "have divergence zero",
      "0; measured over every string of the language, or every prefix of draws", TB_CLAIM_AGREES, 1e-12, 0, arm_exact,
      measure_kl);
TWINS(exact_gap, "exact.loss", "Both have the exact entropy as their loss",
      "0: the larger of their gap and their excess", TB_CLAIM_AGREES, 1e-12, 0, arm_exact, measure_exact_gap);

RULES_ARM(exact_l3, "kind=exact language=L3 first=append_to_balance second=eos_now prompt_length=")

/* Of 2^8 prompts (2^8 − C(8,4))/2 have more a than b, four of them in distribution: appending b differs from ending on
 * the others. */
static tb_status measure_disagreement(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = rules_metric(o, "disagreement");
  *reference = ((256 - 70) / 2.0 - 4) / (256 - 5);
  return TB_OK;
}
static tb_status measure_variation(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = rules_metric(o, "ood_total_variation");
  *reference = ((256 - 70) / 2.0 - 4) / (256 - 5);
  return TB_OK;
}
static tb_status measure_first_r1(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = rules_metric(o, "first.ood.r1") - rules_metric(o, "second.ood.r1");
  *reference = ((256 - 70) / 2.0 - 4) / (256 - 5);
  return TB_OK;
}
TWINS(exact_disagreement, "exact.disagreement",
      "Yet on a^n b^n they complete 89 of the 251 prompts outside the language differently",
      "counting: (2^8 − C(8,4))/2 − 4 prompts have more a than b", TB_CLAIM_AGREES, 1e-12, 0, arm_exact_l3,
      measure_disagreement);
TWINS(exact_variation, "exact.variation",
      "and their next-token laws there are as far apart as laws can be: total variation 1 on each of them",
      "counting: 89/251", TB_CLAIM_AGREES, 1e-12, 0, arm_exact_l3, measure_variation);
TWINS(exact_r1, "exact.r1", "and the rule r1 survives in 158 of 251 completions of one, 69 of the other",
      "counting: a difference of 89/251", TB_CLAIM_AGREES, 1e-12, 0, arm_exact_l3, measure_first_r1);

/* ---- trained ---- */

RULES_ARM(trained, "kind=trained language=L3 published_quirks=none")
RULES_MEASURE(excess,
              fmax(rules_metric(o, "first.excess_loss"), rules_metric(o, "second.excess_loss")) /
                  rules_metric(o, "optimal_loss"),
              0)
RULES_MEASURE(gap, rules_metric(o, "loss_gap") / rules_metric(o, "optimal_loss"), 0)

TWINS(trained_excess, "trained.equal_loss",
      "Trained twins: every loss on a^n b^n is within 5 % of the exact entropy, whatever the twins differ in",
      "entropy by dynamic programming; the larger excess of the two over the optimal loss, at most 0.05",
      TB_CLAIM_AT_MOST, 0.05, 5, arm_trained, measure_excess);
TWINS(trained_gap, "trained.gap",
      "Trained twins: the mean gap of their losses is 0 within 1 % of the entropy and its "
      "95 % interval",
      "0; value: gap over optimal loss, mean over everything that twins differ in", TB_CLAIM_MEAN, 0.01, 5, arm_trained,
      measure_gap);

/* Differently means: more than a fifth of the prompts outside the language are completed differently. */
RULES_MEASURE(disagree, 0, rules_metric(o, "disagreement"))

#define SAME(A, B, C) "kind=trained language=L3 published_quirks=none " A B C
RULES_ARM(by_seed, SAME("second_model=same ", "second_method=same ", "second_training=same"))
RULES_ARM(by_network, SAME("second_model=lstm ", "second_method=same ", "second_training=same"))
RULES_ARM(by_method, SAME("second_model=same ", "second_method=gd ", "second_training=same"))
RULES_ARM(by_training, SAME("second_model=same ", "second_method=same ", "second_training=oracle"))

#define DIFFERENT(NAME, ID, WHAT, ARM)                                                                                 \
  TWINS(NAME, "trained." ID,                                                                                           \
        "Twins that differ in " WHAT " alone complete more than a fifth of the prompts outside a^n b^n differently",   \
        "0.2, below the mean share over seeds; completions compared symbol by symbol", TB_CLAIM_LESS, 0.2, 5, ARM,     \
        measure_disagree)
/* Of a published share of sd s, two seeds are 2s/√π apart in the mean, so at least so many prompts end otherwise. */
TWINS(
    trained_seed_published, "trained.seed_published",
    "Twins that differ in their seed alone complete more of the prompts outside a^n b^n differently than the published "
    "spread of r1 over seeds asks for",
    "2 · 0.076/√π = 0.086, below the mean share over seeds: published 0.462 ± 0.076 (34 runs)", TB_CLAIM_LESS, 0.0858,
    5, arm_by_seed, measure_disagree);
DIFFERENT(trained_seed, "seed", "their seed", arm_by_seed);
DIFFERENT(trained_network, "network", "their network (transformer, LSTM)", arm_by_network);
DIFFERENT(trained_method, "method", "their optimiser (Adam, gradient descent)", arm_by_method);
DIFFERENT(trained_training, "training", "what they were taught beside the likelihood", arm_by_training);

RULES_MEASURE(variations, rules_metric(o, "id_total_variation"), rules_metric(o, "ood_total_variation"))
TWINS(trained_variation, "trained.variation",
      "Trained twins are further apart on prompts outside the language than on prompts of it (total variation of "
      "next-token laws)",
      "the same pair on prompts in distribution", TB_CLAIM_LESS, 0, 5, arm_trained, measure_variations);

const tb_claim *const twins_claims[TWINS_CLAIMS] = {
  &exact_kl,       &exact_gap,        &exact_disagreement, &exact_variation,        &exact_r1,
  &trained_excess, &trained_gap,      &trained_seed,       &trained_seed_published, &trained_network,
  &trained_method, &trained_training, &trained_variation,
};

/* Does the optimiser decide what is extrapolated?  One network, one start, one stopping loss; gradient descent, Adam,
 * and natural gradient, which does not see the parametrisation. */
#include <math.h>

#include "study/language_abstract.h"
#include "study/rules_claims.h"

#define STOPPED                                                                                                        \
  "language=L3 model=transformer training=likelihood published_quirks=none decoding=greedy until_loss=0.128 "

RULES_ARM(methods, STOPPED)
RULES_MEASURE(relative_excess, rules_metric(o, "excess_loss") / rules_metric(o, "optimal_loss"), 0)

const tb_claim claim_rules_methods_loss = {
  .id = "rules.methods.equal_loss",
  .statement =
      "Gradient descent, Adam and natural gradient all stop at a loss on a^n b^n within 5 % of the exact entropy",
  .source = "ours",
  .reference = "entropy by dynamic programming; value: excess over optimal loss, at most 0.05",
  .group = LANGUAGE_MEASURES,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 0.05,
  .unit = "",
  .min_seeds = 5,
  .arm = arm_methods,
  .measure = measure_relative_excess,
};

RULES_MEASURE(ood_r1, rules_metric(o, "ood.r1"), 0)

#define METHODS(NAME, ID, LESS, MORE, STATEMENT)                                                                       \
  RULES_ARMS(NAME, STOPPED "method=" LESS, STOPPED "method=" MORE)                                                     \
  const tb_claim claim_rules_##NAME = { .id = "rules.methods." ID,                                                     \
                                        .statement = STATEMENT,                                                        \
                                        .source = "ours; the direction was seen on seeds 100 to 103 and is tested on " \
                                                  "others",                                                            \
                                        .reference =                                                                   \
                                            "difference of OOD r1 from the same starts at the same stopping loss, "    \
                                            "paired by seed; ngd: (F + 0.01 I)⁻¹ by conjugate gradients",              \
                                        .group = LANGUAGE_MEASURES,                                                    \
                                        .kind = TB_CLAIM_BELOW,                                                        \
                                        .tolerance = 0,                                                                \
                                        .unit = "",                                                                    \
                                        .min_seeds = 5,                                                                \
                                        .arm = arm_##NAME,                                                             \
                                        .measure = measure_ood_r1 }

METHODS(
    ngd_gd, "ngd_gd", "ngd", "gd",
    "Without the parametrisation's bias other rules are extrapolated: from the same start to the same loss (width 12, "
    "eight strings), natural "
    "gradient obeys r1 outside a^n b^n less often than gradient descent");
METHODS(adam_gd, "adam_gd", "adam", "gd",
        "From the same start to the same loss (width 12, eight strings), Adam obeys r1 outside a^n b^n less often than "
        "gradient descent");
METHODS(
    ngd_adam, "ngd_adam", "ngd", "adam",
    "From the same start to the same loss (width 12, eight strings), natural gradient obeys r1 outside a^n b^n less "
    "often than Adam");

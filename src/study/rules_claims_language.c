/* Claims language by language: does a rule that was always kept in training outlive the other's breach, and which
 * architecture keeps it? */
#include <math.h>

#include "study/language_abstract.h"
#include "study/rules_claims.h"

#define PLAIN "training=likelihood method=adam published_quirks=none until_loss= "

/* ---- against chance ---- */

RULES_MEASURE(against_chance, rules_metric(o, "chance.ood.r1"), rules_metric(o, "ood.r1"))
RULES_MEASURE(below_chance, rules_metric(o, "ood.r1"), rules_metric(o, "chance.ood.r1"))

static int arm_networks(const tb_config *c, const char *language) {
  const bool network = tb_config_is(c, "model", "transformer") || tb_config_is(c, "model", "lstm");
  return network && rules_config_is(c, PLAIN) && tb_config_is(c, "language", language) ? 0 : -1;
}

#define EXTRAPOLATION(NAME, LANGUAGE, STATEMENT, MEASURE)                                                              \
  static int arm_##NAME(const tb_config *c) {                                                                          \
    return arm_networks(c, LANGUAGE);                                                                                  \
  }                                                                                                                    \
  const tb_claim claim_rules_##NAME = {                                                                                \
    .id = "rules.extrapolation." LANGUAGE,                                                                             \
    .statement = STATEMENT,                                                                                            \
    .source = "Meszaros et al. 2024, table of rule extrapolation",                                                     \
    .reference =                                                                                                       \
        "r1 of the same prompts when every next token is uniform over alphabet and end: closed form, rule by "         \
        "rule; mean over transformer and LSTM",                                                                        \
    .group = LANGUAGE_RULES,                                                                                           \
    .kind = TB_CLAIM_LESS,                                                                                             \
    .tolerance = 0,                                                                                                    \
    .unit = "",                                                                                                        \
    .min_seeds = 5,                                                                                                    \
    .arm = arm_##NAME,                                                                                                 \
    .measure = MEASURE                                                                                                 \
  }

EXTRAPOLATION(l1, "L1",
              "L1: networks complete strings that begin wrongly to an even number of a more often than chance",
              measure_against_chance);
EXTRAPOLATION(l2, "L2", "L2: networks complete strings in the wrong order to an even run of a more often than chance",
              measure_against_chance);
EXTRAPOLATION(l3, "L3", "L3: networks complete strings in the wrong order to as many a as b more often than chance",
              measure_against_chance);
EXTRAPOLATION(l4, "L4", "L4: networks complete strings with a stray ) to balanced [ ] more often than chance",
              measure_against_chance);
EXTRAPOLATION(l5, "L5",
              "L5: networks complete strings in the wrong order to as many a as b as c more often than chance",
              measure_against_chance);
EXTRAPOLATION(l6, "L6",
              "L6: networks complete strings with a stray ) to balanced [ ] more often than chance, crossing "
              "brackets allowed",
              measure_against_chance);
EXTRAPOLATION(anbnan, "anbnan",
              "a^n b^n a^n: networks complete other strings to twice as many a as b more often than chance",
              measure_against_chance);
EXTRAPOLATION(anbm, "anbm",
              "a^n b^m: a language that does not keep r1 does not teach it: completions have as many a as b less often "
              "than chance",
              measure_below_chance);

/* ---- architectures, in the published order ---- */

RULES_MEASURE(ood_r1, rules_metric(o, "ood.r1"), 0)

#define ARCHITECTURE(NAME, LANGUAGE, WORSE, BETTER, VALUES)                                                            \
  RULES_ARMS(NAME, PLAIN "language=" LANGUAGE " model=" WORSE, PLAIN "language=" LANGUAGE " model=" BETTER)            \
  const tb_claim claim_rules_##NAME = {                                                                                \
    .id = "rules.architecture." LANGUAGE,                                                                              \
    .statement =                                                                                                       \
        "On " LANGUAGE " the " BETTER " obeys r1 outside the language more often than the " WORSE ", as published",    \
    .source = "Meszaros et al. 2024, table of rule extrapolation (finished completions, best checkpoint): " VALUES,    \
    .reference =                                                                                                       \
        "difference of OOD r1 over all completions at the end of training, paired by seed; the table counts finished " \
        "completions alone, at each metric's best checkpoint",                                                         \
    .group = LANGUAGE_RULES,                                                                                           \
    .kind = TB_CLAIM_BELOW,                                                                                            \
    .tolerance = 0,                                                                                                    \
    .unit = "",                                                                                                        \
    .min_seeds = 5,                                                                                                    \
    .arm = arm_##NAME,                                                                                                 \
    .measure = measure_ood_r1                                                                                          \
  }

ARCHITECTURE(architecture_l1, "L1", "transformer", "lstm", "0.862 against 0.605");
ARCHITECTURE(architecture_l3, "L3", "lstm", "transformer", "0.657 against 0.376");
ARCHITECTURE(architecture_l4, "L4", "lstm", "transformer", "0.980 against 0.543");
ARCHITECTURE(architecture_l5, "L5", "lstm", "transformer", "0.187 against 0.068");
ARCHITECTURE(architecture_l6, "L6", "transformer", "lstm", "1.000 against 0.980");

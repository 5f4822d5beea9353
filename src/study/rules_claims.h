/* Claims of `rules` by what they are about; a file each. */
#ifndef TB_STUDY_RULES_CLAIMS_H
#define TB_STUDY_RULES_CLAIMS_H

#include "study/rules.h"

/* All of "key=value key=value …" are what the configuration says, as text. */
bool rules_config_is(const tb_config *, const char *values);
double rules_metric(const tb_outcome *, const char *name);

/* Arms by what configurations say: arm_NAME. */
#define RULES_ARM(NAME, VALUES)                                                                                        \
  static int arm_##NAME(const tb_config *c) {                                                                          \
    return rules_config_is(c, VALUES) ? 0 : -1;                                                                        \
  }
#define RULES_ARMS(NAME, FIRST, SECOND)                                                                                \
  static int arm_##NAME(const tb_config *c) {                                                                          \
    return rules_config_is(c, FIRST) ? 0 : rules_config_is(c, SECOND) ? 1 : -1;                                        \
  }
/* One metric, against nothing or against another metric: measure_NAME. */
#define RULES_MEASURE(NAME, VALUE, REFERENCE)                                                                          \
  static tb_status measure_##NAME(tb_context *context, const tb_outcome *o, double *value, double *reference) {        \
    *value = VALUE;                                                                                                    \
    *reference = REFERENCE;                                                                                            \
    return TB_OK;                                                                                                      \
  }

extern const tb_claim claim_rules_equal_loss, claim_rules_oracle, claim_rules_adversarial, claim_rules_ends,
    claim_rules_certificate, claim_rules_certificate_drawn;
extern const tb_claim claim_rules_bigram, claim_rules_long_ngram, claim_rules_linear;
extern const tb_claim claim_rules_rows, claim_rules_reading, claim_rules_time_softmax, claim_rules_last_index,
    claim_rules_finished_only, claim_rules_short_cap, claim_rules_best_checkpoint, claim_rules_entropy,
    claim_rules_late_completion, claim_rules_padding;
extern const tb_claim claim_rules_l1, claim_rules_l2, claim_rules_l3, claim_rules_l4, claim_rules_l5, claim_rules_l6,
    claim_rules_anbnan, claim_rules_anbm, claim_rules_architecture_l1, claim_rules_architecture_l3,
    claim_rules_architecture_l4, claim_rules_architecture_l5, claim_rules_architecture_l6;
extern const tb_claim claim_rules_methods_loss, claim_rules_ngd_gd, claim_rules_adam_gd, claim_rules_ngd_adam;

#endif

/* The table of claims of `rules`, and what all of them ask of configurations. */
#include "study/rules_claims.h"

#include <string.h>

const tb_claim *const rules_claims[RULES_CLAIMS] = {
  &claim_rules_equal_loss,
  &claim_rules_oracle,
  &claim_rules_adversarial,
  &claim_rules_ends,
  &claim_rules_certificate,
  &claim_rules_certificate_drawn,
  &claim_rules_bigram,
  &claim_rules_long_ngram,
  &claim_rules_linear,
  &claim_rules_reading,
  &claim_rules_rows,
  &claim_rules_time_softmax,
  &claim_rules_last_index,
  &claim_rules_finished_only,
  &claim_rules_short_cap,
  &claim_rules_best_checkpoint,
  &claim_rules_entropy,
  &claim_rules_late_completion,
  &claim_rules_padding,
  &claim_rules_l1,
  &claim_rules_l2,
  &claim_rules_l3,
  &claim_rules_l4,
  &claim_rules_l5,
  &claim_rules_l6,
  &claim_rules_anbnan,
  &claim_rules_anbm,
  &claim_rules_architecture_l1,
  &claim_rules_architecture_l3,
  &claim_rules_architecture_l4,
  &claim_rules_architecture_l5,
  &claim_rules_architecture_l6,
  &claim_rules_methods_loss,
  &claim_rules_ngd_gd,
  &claim_rules_adam_gd,
  &claim_rules_ngd_adam,
};

static bool says(const tb_config *config, const char *name, size_t name_length, const char *text, size_t length) {
  for (size_t i = 0; i < tb_config_count(config); i++) {
    const char *own = tb_config_option(config, i)->name, *value = tb_config_text(config, i);
    if (strlen(own) == name_length && memcmp(own, name, name_length) == 0)
      return strlen(value) == length && memcmp(value, text, length) == 0;
  }
  return false;
}

bool rules_config_is(const tb_config *config, const char *values) {
  while (*values) {
    const size_t word = strcspn(values, " "), name = strcspn(values, "=");
    if (!says(config, values, name, values + name + 1, word - name - 1))
      return false;
    values += word + (values[word] == ' ');
  }
  return true;
}

double rules_metric(const tb_outcome *outcome, const char *name) {
  return tb_metrics_get(outcome->metrics, name);
}

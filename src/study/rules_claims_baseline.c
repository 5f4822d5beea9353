/* Claims on models whose values are known: n-grams by sums, the linear model read where it should be. */
#include <math.h>

#include "study/language_abstract.h"
#include "study/rules_claims.h"

RULES_ARM(bigram, "model=ngram language=L3 order=2")

/* On a^n b^n, n = 1 … M, a bigram leaves a block with probability 1/mean n. */
static tb_status measure_bigram(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  const double longest = (double)tb_config_integer(o->config, "max_length"), most = floor(longest / 2);
  const double mean = (most + 1) / 2;
  *value = rules_metric(o, "loss");
  *reference = -2 * ((mean - 1) * log1p(-1 / mean) - log(mean)) / (longest + 1);
  return TB_OK;
}

const tb_claim claim_rules_bigram = {
  .id = "rules.ngram.bigram",
  .statement = "A bigram's loss on a^n b^n is that of geometric blocks of the same mean length",
  .source = "derived: P(b | a) = P(end | b) = 1/mean n",
  .reference = "closed form 2 ((1 − m) ln(1 − 1/m) + ln m) / positions, m = (M + 1)/2",
  .group = LANGUAGE_RULES,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 1e-12,
  .unit = "nats",
  .arm = arm_bigram,
  .measure = measure_bigram,
};

static int arm_long(const tb_config *c) {
  return rules_config_is(c, "model=ngram language=L3 published_quirks=none") &&
                 tb_config_integer(c, "order") >= tb_config_integer(c, "max_length")
             ? 0
             : -1;
}
RULES_MEASURE(kl, rules_metric(o, "kl_to_truth"), 0)

const tb_claim claim_rules_long_ngram = {
  .id = "rules.ngram.long",
  .statement = "An n-gram whose context is as long as a string is the law of a^n b^n itself: nothing is lost",
  .source = "derived: max_length − 1 tokens tell a^n b^n from the prefixes of longer strings",
  .reference = "0 nats a string",
  .group = LANGUAGE_RULES,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 1e-12,
  .unit = "nats",
  .arm = arm_long,
  .measure = measure_kl,
};

RULES_ARM(linear, "model=linear language=L3 published_quirks=none")
RULES_MEASURE(id_r1, rules_metric(o, "id.r1"), 1)

const tb_claim claim_rules_linear = {
  .id = "rules.linear",
  .statement = "Read at its own places, the linear model completes every prompt of a^n b^n rightly (published: 0.2)",
  .source = "Meszaros et al. 2024, table of rule extrapolation, row Linear",
  .reference = "1: all five prompts in distribution obey r1",
  .group = LANGUAGE_RULES,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 0,
  .unit = "",
  .min_seeds = 5,
  .arm = arm_linear,
  .measure = measure_id_r1,
};

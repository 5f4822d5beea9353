/* The defects of the published code, each switched on: what it does to the numbers. */
#include <math.h>

#include "study/language_abstract.h"
#include "study/rules_claims.h"

#define CODE "the published code, read"

#define QUIRK(NAME, ID, STATEMENT, SOURCE, REFERENCE, KIND, TOLERANCE, SEEDS, ARM, MEASURE)                            \
  const tb_claim claim_rules_##NAME = { .id = "rules.quirk." ID,                                                       \
                                        .statement = STATEMENT,                                                        \
                                        .source = SOURCE,                                                              \
                                        .reference = REFERENCE,                                                        \
                                        .group = LANGUAGE_RULES,                                                       \
                                        .kind = KIND,                                                                  \
                                        .tolerance = TOLERANCE,                                                        \
                                        .unit = "",                                                                    \
                                        .min_seeds = SEEDS,                                                            \
                                        .arm = ARM,                                                                    \
                                        .measure = MEASURE }

/* ---- positions by batch row ---- */

static int arm_reading(const tb_config *c) {
  return rules_config_is(c, "published_quirks=none") ? 0 : -1;
}
RULES_ARM(rows, "published_quirks=rows")
RULES_MEASURE(row_dependence, rules_metric(o, "row_dependence"), 0)
RULES_MEASURE(row_dependence_at_least, rules_metric(o, "row_dependence"), 0.01)

QUIRK(reading, "reading", "What a model says of a prompt does not depend on the row of the batch that it stands in",
      "a law of strings has no rows", "0, to the bit: the same prompts in other rows", TB_CLAIM_AGREES, 0, 0,
      arm_reading, measure_row_dependence);
QUIRK(rows, "rows",
      "With positions taken by batch row, as published, it does: a next-token probability moves by more than 0.01",
      CODE ": the code is added before batch and time are exchanged", "0.01, the same prompts in other rows",
      TB_CLAIM_AT_LEAST, 0, 3, arm_rows, measure_row_dependence_at_least);

/* ---- sampling normalised over time ---- */

RULES_ARM(time_softmax, "published_quirks=time_softmax")
RULES_MEASURE(excess_ungrammatical,
              rules_metric(o, "sampled.ungrammatical") - 4 * rules_metric(o, "sampled.ungrammatical.se"),
              rules_metric(o, "ungrammatical_mass_bound"))

QUIRK(
    time_softmax, "time_softmax",
    "Sampling normalised over time, as published, draws more ungrammatical strings than the model's loss allows it to "
    "have",
    CODE "; released runs force at most 2 % and draw 52 %",
    "the certificate of the same run; value: the share of 512 draws less four standard errors", TB_CLAIM_AT_LEAST, 0, 5,
    arm_time_softmax, measure_excess_ungrammatical);

/* ---- the linear model's last index ---- */

RULES_ARM(last_index, "language=L3 model=linear published_quirks=last_index prompt_length=")

/* Of the 2^8 prompts C(8,4) are balanced, one of them (a^4 b^4) in distribution; five are in distribution. */
static tb_status measure_last_index(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = rules_metric(o, "ood.r1");
  *reference = (70.0 - 1) / (256 - 5);
  return TB_OK;
}

QUIRK(last_index, "last_index",
      "The linear model read at its last place, as published, scores on a^n b^n what ending at once scores: 69/251",
      "Meszaros et al. 2024, table, row Linear on L3: 0.275 ± 0.000", "C(8,4) − 1 balanced prompts of 2^8 − 5",
      TB_CLAIM_AGREES, 1e-12, 5, arm_last_index, measure_last_index);

/* ---- metrics ---- */

RULES_ARM(finished_only, "language=L3 model=transformer published_quirks=finished_only")
static tb_status measure_finished(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = rules_metric(o, "ood.r1") * rules_metric(o, "ood.finished"); /* over all prompts */
  *reference = rules_metric(o, "ood.r1");                               /* as published: over the finished */
  return TB_OK;
}
QUIRK(finished_only, "finished_only",
      "Accuracies over finished completions only, as published, are higher than over all of them (transformers on a^n "
      "b^n)",
      CODE "; released runs: 0.657 over finished, about 0.330 over all", "the same completions, over all prompts",
      TB_CLAIM_LESS, 0, 5, arm_finished_only, measure_finished);

RULES_ARM(short_cap, "language=L3 model=ngram order=32 max_length=32 published_quirks=short_cap")
RULES_MEASURE(short_cap, rules_metric(o, "id.finished"), 0.8)
QUIRK(short_cap, "short_cap",
      "With at most max_length tokens, prompt included, as published, not even the law itself can finish a^8: 4 of 5 "
      "prompts in distribution end",
      CODE "; 253 of 268 released runs show 4/5", "a^8 takes max_length + 2 tokens with start and end", TB_CLAIM_AGREES,
      1e-12, 0, arm_short_cap, measure_short_cap);

RULES_ARMS(best_checkpoint, "language=L3 model=lstm training=likelihood decoding=greedy published_quirks=none",
           "language=L3 model=lstm published_quirks=best_checkpoint")
RULES_MEASURE(ood_r1, rules_metric(o, "ood.r1"), 0)
QUIRK(best_checkpoint, "best_checkpoint",
      "The largest value over checkpoints, as published, is above that of the model one ends with (OOD r1, LSTM)", CODE,
      "the same runs, at their end, paired by seed", TB_CLAIM_BELOW, 0, 5, arm_best_checkpoint, measure_ood_r1);

RULES_ARM(entropy, "published_quirks=entropy")
RULES_MEASURE(entropy, rules_metric(o, "kl_to_truth"), 0)
QUIRK(entropy, "entropy",
      "A divergence with the published normaliser of the entropy (half the positions) is negative, which no divergence "
      "is",
      CODE "; released values: −0.0165 to −0.0183", "0", TB_CLAIM_AT_MOST, -1e-3, 5, arm_entropy, measure_entropy);

RULES_ARMS(late_completion, "language=L3 model=lstm training=oracle published_quirks=late_completion",
           "language=L3 model=lstm training=oracle published_quirks=none")
QUIRK(late_completion, "late_completion",
      "Taught completions whose first token is left out, as published, teach r1 less well: why the published oracle "
      "stays at 0.83",
      CODE, "OOD r1 of the same training with the first token, paired by seed", TB_CLAIM_BELOW, 0.05, 5,
      arm_late_completion, measure_ood_r1);

/* At the start, padding costs about ln V like any token: the published loss counts places that hold nothing. */
RULES_ARMS(padding, "language=L3 model=lstm training=likelihood decoding=greedy published_quirks=none",
           "language=L3 model=lstm published_quirks=padding")
static tb_status measure_padding(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = o->n_snapshots ? tb_metrics_get(o->snapshots[0], "loss") : NAN;
  *reference = 0;
  return o->n_snapshots && tb_metrics_get(o->snapshots[0], "t") == 0
             ? TB_OK
             : tb_fail(context, TB_FAILED, NULL, NULL, "no snapshot of the start (at=0)");
}
QUIRK(padding, "padding",
      "A loss that counts padding, as published, is above the loss of the strings before training has begun (LSTM on "
      "a^n b^n, by more than 0.1 nats a position)",
      CODE ": plain cross-entropy over all 257 targets", "the loss of the same start without padding, paired by seed",
      TB_CLAIM_BELOW, 0.1, 5, arm_padding, measure_padding);

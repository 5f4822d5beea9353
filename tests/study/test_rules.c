/* The study `rules` as a user runs it: exact values where a model has them, the certificate, every model and way of
 * training, what is refused and how, and the same bits after a stop. */
#define STUDY "rules"
#include "study_testing.h"

static double metric(const tb_record *record, const char *name) {
  const tb_metric_value value = tb_metrics_find(tb_record_outcome(record)->metrics, name);
  if (!value.name)
    fail_msg("no metric %s", name);
  return value.values[0];
}

static void near(double value, double expected, double tolerance) {
  if (!(fabs(value - expected) <= tolerance * fmax(1, fabs(expected))))
    fail_msg("%.17g, expected %.17g", value, expected);
}

/* ---- exact values ---- */

/* A bigram on aⁿbⁿ, n = 1 … M, knows P(b|a) = P(end|b) = 1/mean n: a law whose every number is a short sum. */
static void a_bigram_has_the_loss_of_its_counts(void **state) {
  tb_record *record = run("model=ngram order=2 language=L3 max_length=32");
  const double m = 16, mean = (m + 1) / 2, stay = (mean - 1) / mean, leave = 1 / mean;
  const double nats = -2 * ((mean - 1) * log(stay) + log(leave));
  near(metric(record, "loss"), nats / 33, 1e-14);
  near(metric(record, "kl_to_truth"), nats - log(m), 1e-13);
  near(metric(record, "ungrammatical_mass_bound"), 1 - exp(-(nats - log(m))), 1e-13);
  double grammatical = 0; /* Σ_n (stay^{n−1} leave)² */
  for (int n = 1; n <= 16; n++)
    grammatical += pow(stay, 2 * (n - 1)) * leave * leave;
  near(metric(record, "ungrammatical_mass"), 1 - grammatical, 1e-13);
  /* strings a^i b^j of up to 8 symbols, i, j ≥ 1 */
  double both = 0, order_only = 0;
  for (int i = 1; i < 8; i++)
    for (int j = 1; i + j <= 8; j++)
      *(i == j ? &both : &order_only) += pow(stay, i + j - 2) * leave * leave;
  near(metric(record, "short_strings.r1r2"), both, 1e-13);
  near(metric(record, "short_strings.r2"), order_only, 1e-13);
  near(metric(record, "short_strings.r1") + metric(record, "short_strings.neither"), 0, 0);
  /* argmax: a after the start and after a, b after b: right at all but the first b and the end, which is a position */
  near(metric(record, "accuracy"), (1 + (mean - 1) + (mean - 1) + 33 - 2 * mean - 1) / 33, 1e-13);
  near(metric(record, "ood.r1"), 0, 0); /* never ends: stay > leave */
  near(metric(record, "ood.finished"), 0, 0);
  assert_true(isnan(metric(record, "ood.r1.finished_only")));
  near(metric(record, "optimal_loss"), log(m) / 33, 1e-14);
  near(metric(record, "optimal_accuracy"), 1 - 15.0 / 16 / 33, 1e-14);
  tb_record_free(record);
}

/* With contexts as long as the strings the n-gram is the law itself; off it backs off to what it has seen. */
static void a_long_ngram_is_the_law(void **state) {
  tb_record *record = run("model=ngram order=17 language=L3 max_length=16");
  near(metric(record, "excess_loss"), 0, 1e-16);
  near(metric(record, "ungrammatical_mass"), 0, 1e-15);
  near(metric(record, "id.r1"), 1, 0);
  near(metric(record, "id.r2"), 1, 0);
  near(metric(record, "accuracy"), metric(record, "optimal_accuracy"), 1e-15);
  tb_record_free(record);
}

/* The published linear model is read where it has only ever seen the end: its row of the table is "end now". */
static void the_last_index_ends_at_once(void **state) {
  tb_record *record = run("model=linear language=L3 max_length=16 embedding=6 steps=300 lr=0.01 at=300 "
                          "published_quirks=last_index");
  near(metric(record, "ood.r1"), 69.0 / 251, 1e-15);
  near(metric(record, "ood.r1"), metric(record, "eos_now.ood.r1"), 1e-15);
  near(metric(record, "id.r1"), 0.2, 1e-15);
  tb_record_free(record);
}

/* ---- training ---- */

#define SMALL " width=12 heads=2 depth=1 feedforward=24 max_length=16 batch=32 cap=30"

static void a_transformer_learns_the_language(void **state) {
  tb_record *record = run("language=L3 steps=500 lr=5e-3 schedule=cosine at=0,500" SMALL);
  const double loss = metric(record, "loss"), optimal = log(8) / 17;
  assert_true(loss >= optimal && loss < 1.1 * optimal);
  near(metric(record, "excess_loss"), loss - optimal, 1e-14);
  near(metric(record, "kl_to_truth"), 17 * (loss - optimal), 1e-13);
  assert_true(metric(record, "ungrammatical_mass") <= metric(record, "ungrammatical_mass_bound"));
  assert_true(metric(record, "ungrammatical_mass_bound") < 0.2);
  near(metric(record, "id.r1"), 1, 0);
  near(metric(record, "row_dependence"), 0, 0);
  near(metric(record, "parameters"), 5 * 12 + (4 * 144 + 2 * 12 * 24 + 24 + 9 * 12) + 5 * 12 + 5, 0);
  assert_int_equal(tb_record_outcome(record)->n_snapshots, 2);
  tb_record_free(record);
}

/* What is taught is learnt, on prompts that were not taught. */
static void lessons_reach_other_prompts(void **state) {
  tb_record *oracle = run("language=L3 training=oracle steps=500 lr=5e-3 at=500" SMALL);
  tb_record *adversary = run("language=L3 training=adversarial steps=500 lr=5e-3 at=500" SMALL);
  near(metric(oracle, "ood.prompts"), 126, 0); /* of 251, 125 are taught */
  near(metric(adversary, "ood.prompts"), 126, 0);
  assert_true(metric(oracle, "ood.r1") > 0.8);
  assert_true(metric(adversary, "ood.r1") < 0.2);
  assert_true(metric(oracle, "excess_loss") < 0.1 * metric(oracle, "optimal_loss"));
  tb_record_free(oracle);
  tb_record_free(adversary);
}

/* One quick run of everything: finite, and the books balance. */
static void one_of_everything(void **state) {
  static const char *const more[] = {
    "language=L1 model=lstm",
    "language=L2 model=gru training=oracle",
    "language=L4 positions=rope",
    "language=L5 positions=alibi dropout=0.1",
    "language=L6 positions=learned training=adversarial",
    "language=anbn positions=none norm=pre clip=1",
    "language=anbnan model=linear",
    "language=abn strings=0",
    "language=anbm schedule=cosine method=momentum",
    "language=L3 dtype=float64 method=ngd cg_products=5 lr=0.3 damping=0.01",
    "language=L3 method=ngd fisher=empirical cg_products=5 damping=0.1",
    "language=L3 schedule=inverse_sqrt warmup=5",
    "language=L3 decoding=sample published_quirks=time_softmax",
    "language=L3 published_quirks=rows+padding",
    "language=L3 training=oracle published_quirks=late_completion+same_prompts+best_checkpoint+entropy+short_cap",
    "language=L1 model=ngram strings=500",
    "language=L4 model=lstm method=gd dropout=0.2",
  };
  for (size_t k = 0; k < sizeof more / sizeof *more; k++) {
    char words[300];
    snprintf(words, sizeof words, "%s steps=6 at=6%s", more[k],
             " width=4 heads=2 depth=1 feedforward=6 max_length=12 batch=16 cap=14 prompt_length=4");
    tb_record *record = run(words);
    assert_true(isfinite(metric(record, "loss")));
    if (!strstr(words, "padding"))
      near(metric(record, "excess_loss") * 13,
           strstr(words, "entropy") ? metric(record, "excess_loss") * 13 : metric(record, "kl_to_truth"), 1e-12);
    assert_true(metric(record, "ungrammatical_mass") <= 1);
    const double share = metric(record, "ood.r1");
    if (!(share >= 0 && share <= 1) && !strstr(words, "abn ")) /* every prompt of abn is one of its own */
      fail_msg("%s: ood.r1 %g", words, share);
    tb_record_free(record);
  }
}

/* ---- refusals ---- */

static void refusals(void **state) {
  static const struct {
    const char *words, *says;
    tb_status status;
  } cases[] = {
    { "model=mamba", "model=mamba is not available", TB_USAGE },
    { "model=xlstm", "model=xlstm is not available", TB_USAGE },
    { "language=L7", "unknown language 'L7'", TB_USAGE },
    { "language=/nowhere.yaml", "nowhere.yaml", TB_BAD_DATA },
    { "language=L3 max_length=1", "max_length", TB_USAGE },
    { "heads=3", "3 heads do not divide a width of 10", TB_USAGE },
    { "positions=rope width=6 heads=2", "heads of width 3 have no pairs", TB_USAGE },
    { "published_quirks=rowz", "rowz", TB_USAGE },
    { "published_quirks=last_index", "last_index changes nothing", TB_USAGE },
    { "published_quirks=time_softmax", "time_softmax changes nothing", TB_USAGE },
    { "model=ngram training=oracle", "ngram only counts", TB_USAGE },
    { "language=L1 method=ngd", "whole language as one batch", TB_USAGE },
    { "method=ngd fisher=predictor", "no predictor space", TB_USAGE },
    { "steps=10 at=11", "at=11 is not a step", TB_USAGE },
    { "at=1.5", "at=1.5 is not a step", TB_USAGE },
    { "language=L1 model=ngram strings=0", "strings to count", TB_USAGE },
    { "lr=1e6 method=gd max_length=16 steps=200 depth=1", "the loss is", TB_FAILED },
  };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    tb_batch *batch = NULL;
    tb_run_options options = { .folder = root, .threads = 1 };
    tb_status status = batch_of(cases[k].words, &batch);
    if (!status)
      status = tb_batch_run(context, batch, &options);
    if (status != cases[k].status || !strstr(tb_context_message(context), cases[k].says))
      fail_msg("%s: %d %s", cases[k].words, status, tb_context_message(context));
    tb_batch_free(batch);
  }
}

/* ---- stopping ---- */

static void resumed_runs_have_the_same_bits(void **state) {
  const char *const words[] = {
    "language=L3 training=oracle steps=150 at=0,70,150 seed=2 dropout=0.1" SMALL,
    "language=L1 model=gru steps=60 at=20,60 strings=100 seed=2 published_quirks=best_checkpoint" SMALL,
    "language=L3 method=ngd cg_products=5 lr=0.3 damping=0.01 steps=30 seed=2 at=30" SMALL,
  };
  int stops = 0;
  for (size_t k = 0; k < sizeof words / sizeof *words; k++)
    same_bits_in_pieces(words[k], 0.03, 4, &stops);
  assert_true(stops > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_bigram_has_the_loss_of_its_counts),
    cmocka_unit_test(a_long_ngram_is_the_law),
    cmocka_unit_test(the_last_index_ends_at_once),
    cmocka_unit_test(a_transformer_learns_the_language),
    cmocka_unit_test(lessons_reach_other_prompts),
    cmocka_unit_test(one_of_everything),
    cmocka_unit_test(refusals),
    cmocka_unit_test(resumed_runs_have_the_same_bits),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}

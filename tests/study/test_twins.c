/* The study `twins` as a user runs it: exact pairs in every language, trained pairs, the same bits after a stop. */
#define STUDY "twins"
#include "study_testing.h"

static double metric(const tb_record *record, const char *name) {
  const tb_metric_value value = tb_metrics_find(tb_record_outcome(record)->metrics, name);
  if (!value.name)
    fail_msg("no metric %s", name);
  return value.values[0];
}

static void near(double value, double expected, double tolerance) {
  if (!(fabs(value - expected) <= tolerance))
    fail_msg("%.17g, expected %.17g", value, expected);
}

/* The strategies' own values are those of the language's table of baselines. */
static void exact_twins_agree_on_the_language_and_nowhere_else(void **state) {
  static const char *const languages[] = { "L1", "L2", "L3", "L4", "L5", "L6", "anbnan", "anbm", "abn" };
  for (size_t k = 0; k < sizeof languages / sizeof *languages; k++) {
    char words[100];
    snprintf(words, sizeof words, "language=%s max_length=16 cap=30", languages[k]);
    tb_record *record = run(words);
    near(metric(record, "kl"), 0, 1e-14);
    near(metric(record, "loss_gap"), 0, 1e-14);
    near(metric(record, "first.excess_loss"), 0, 1e-14);
    near(metric(record, "second.excess_loss"), 0, 1e-14);
    near(metric(record, "first.accuracy"), metric(record, "second.accuracy"), 1e-14);
    near(metric(record, "id_total_variation"), 0, 1e-14);
    tb_language *l;
    tb_arena *arena = tb_arena_new(context);
    tb_prompt *prompts;
    tb_baselines b;
    size_t count;
    assert_int_equal(tb_language_open(context, languages[k], 16, &l), TB_OK);
    assert_int_equal(tb_language_prompts(context, arena, l, 0, 0, &count, &prompts), TB_OK);
    tb_language_baselines(l, count, prompts, false, &b);
    if (b.prompts) {
      near(metric(record, "first.ood.r1"), b.append_to_balance_r1, 1e-14);
      near(metric(record, "second.ood.r1"), b.eos_now_r1, 1e-14);
      near(metric(record, "ood_total_variation"), metric(record, "disagreement"), 1e-14);
    }
    tb_arena_free(arena);
    tb_language_free(l);
    tb_record_free(record);
  }
  tb_record *record = run("language=L3 max_length=16 first=eos_now second=eos_now");
  near(metric(record, "disagreement"), 0, 0);
  near(metric(record, "ood_total_variation"), 0, 0);
  tb_record_free(record);
}

#define SMALL "kind=trained language=L3 model=gru width=8 depth=1 max_length=12 batch=32 cap=20 lr=1e-2"

static void trained_twins(void **state) {
  /* One seed twice is one model. */
  tb_record *record = run(SMALL " steps=40 at=40 seed=3 second_seed=3");
  near(metric(record, "kl"), 0, 0);
  near(metric(record, "loss_gap"), 0, 0);
  near(metric(record, "disagreement"), 0, 0);
  tb_record_free(record);
  record = run(SMALL " steps=40 at=0,40 seed=3");
  assert_true(metric(record, "kl") > 0);
  near(metric(record, "loss_gap"), metric(record, "second.loss") - metric(record, "first.loss"), 0);
  tb_record_free(record);
  /* Judged on what neither was taught. */
  record = run(SMALL " steps=10 at=10 second_training=oracle second_model=lstm second_method=gd second_width=6");
  assert_true(isfinite(metric(record, "kl")));
  near(fmod(metric(record, "disagreement") * 126, 1), 0, 1e-9);
  tb_record_free(record);
}

static void refusals(void **state) {
  static const struct {
    const char *words, *says;
  } cases[] = {
    { "kind=trained model=ngram", "two n-grams" },
    { "kind=trained second_model=mamba", "mamba" },
    { "kind=exact first=copy_last", "copy_last" },
    { "kind=trained second_training=oracle second_model=transformer second_width=7", "do not divide" },
  };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    tb_batch *batch = NULL;
    if (batch_of(cases[k].words, &batch) != TB_USAGE || !strstr(tb_context_message(context), cases[k].says))
      fail_msg("%s: %s", cases[k].words, tb_context_message(context));
    tb_batch_free(batch);
  }
}

static void resumed_runs_have_the_same_bits(void **state) {
  const char *words = SMALL " steps=200 at=0,100 seed=2 second_model=lstm until_loss=0.14";
  int stops = 0;
  same_bits_in_pieces(words, 0.03, 4, &stops);
  assert_true(stops > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(exact_twins_agree_on_the_language_and_nowhere_else),
    cmocka_unit_test(trained_twins),
    cmocka_unit_test(refusals),
    cmocka_unit_test(resumed_runs_have_the_same_bits),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}

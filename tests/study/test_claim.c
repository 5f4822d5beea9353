/* Verdicts against cases worked by hand.  Student's quantiles: t(0.975; 1) = 12.706, (2) = 4.303, (3) = 3.182,
 * (4) = 2.776. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <tiebreak/study.h>

static const tb_option options[] = {
  { .name = "seed", .type = TB_INTEGER, .fallback = "0", .least = 1, .most = 0, .summary = "" },
  { .name = "arm", .type = TB_INTEGER, .fallback = "0", .least = 1, .most = 0, .summary = "" },
  { .name = "n", .type = TB_INTEGER, .fallback = "10", .least = 1, .most = 0, .summary = "" },
};
static const tb_option_table table = { "test", options, 3 };
static const tb_option_table *const tables[] = { &table };

typedef struct fixture {
  tb_context *context;
  size_t count;
  tb_outcome outcomes[32];
  tb_config *configs[32];
  tb_metrics *metrics[32];
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  f->context = tb_context_new(NULL, NULL);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  for (size_t i = 0; i < f->count; i++) {
    tb_config_free(f->configs[i]);
    tb_metrics_free(f->metrics[i]);
  }
  tb_context_free(f->context);
  free(f);
  return 0;
}

static void add(fixture *f, int seed, int arm, int n, double value, double reference) {
  char text[20];
  size_t i = f->count++;
  assert_int_equal(tb_config_new(f->context, 1, tables, &f->configs[i]), TB_OK);
  snprintf(text, sizeof text, "%d", seed);
  assert_int_equal(tb_config_set(f->configs[i], "seed", text, "test"), TB_OK);
  snprintf(text, sizeof text, "%d", arm);
  assert_int_equal(tb_config_set(f->configs[i], "arm", text, "test"), TB_OK);
  snprintf(text, sizeof text, "%d", n);
  assert_int_equal(tb_config_set(f->configs[i], "n", text, "test"), TB_OK);
  assert_int_equal(tb_metrics_new(f->context, &f->metrics[i]), TB_OK);
  assert_int_equal(tb_metrics_real(f->metrics[i], "value", value), TB_OK);
  assert_int_equal(tb_metrics_real(f->metrics[i], "reference", reference), TB_OK);
  f->outcomes[i] = (tb_outcome){ .run = "run", .config = f->configs[i], .metrics = f->metrics[i] };
}

static int arm_of(const tb_config *config) {
  return (int)tb_config_integer(config, "arm");
}

static tb_status measure(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = tb_metrics_get(outcome->metrics, "value");
  *reference = tb_metrics_get(outcome->metrics, "reference");
  return TB_OK;
}

static tb_status cannot_measure(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  return tb_fail(context, TB_FAILED, "", NULL, "the reference has no solution");
}

static tb_verdict judge(fixture *f, tb_claim_kind kind, double tolerance, int min_seeds) {
  tb_claim claim = {
    .id = "test", .kind = kind, .tolerance = tolerance, .min_seeds = min_seeds, .arm = arm_of, .measure = measure
  };
  tb_verdict verdict;
  bool applies;
  assert_int_equal(tb_claim_judge(f->context, &claim, f->count, f->outcomes, &applies, &verdict), TB_OK);
  assert_true(applies);
  return verdict;
}

/* ---- exact kinds ---- */

static void agrees_takes_the_worst_run(void **state) {
  fixture *f = *state;
  add(f, 0, 0, 10, 1.0, 1.25);
  add(f, 1, 0, 10, 1.5, 1.0); /* off by 0.5 */
  add(f, 2, 0, 10, 1.0, 1.0);
  tb_verdict v = judge(f, TB_CLAIM_AGREES, 0.5, 0);
  assert_int_equal(v.word, TB_HOLDS);
  assert_true(v.value == 1.5 && v.reference == 1.0);
  assert_int_equal(v.runs, 3);
  assert_int_equal(v.seeds, 3);
  /* mean 7/6, sd √(1/12) = 0.288675, half width 4.302653·0.288675/√3 = 0.717109 */
  assert_true(fabs(v.low - (7.0 / 6 - 0.717109)) < 1e-5 && fabs(v.high - (7.0 / 6 + 0.717109)) < 1e-5);
  assert_int_equal(judge(f, TB_CLAIM_AGREES, 0.49, 0).word, TB_FAILS);
}

static void one_sided_kinds(void **state) {
  fixture *f = *state;
  add(f, 0, 0, 10, -7.0, 1.0);
  add(f, 1, 0, 10, 1.125, 1.0);
  assert_int_equal(judge(f, TB_CLAIM_AT_MOST, 0.125, 0).word, TB_HOLDS);
  assert_int_equal(judge(f, TB_CLAIM_AT_MOST, 0.1, 0).word, TB_FAILS);
  tb_verdict v = judge(f, TB_CLAIM_AT_LEAST, 7.5, 0);
  assert_int_equal(v.word, TB_FAILS);
  assert_true(v.value == -7.0);
  assert_int_equal(judge(f, TB_CLAIM_AT_LEAST, 8, 0).word, TB_HOLDS);
}

static void infinities_agree_and_nan_fails(void **state) {
  fixture *f = *state;
  add(f, 0, 0, 10, INFINITY, INFINITY);
  assert_int_equal(judge(f, TB_CLAIM_AGREES, 0, 0).word, TB_HOLDS);
  add(f, 1, 0, 10, NAN, 1);
  assert_int_equal(judge(f, TB_CLAIM_AGREES, 1e300, 0).word, TB_FAILS);
}

static void too_few_seeds_leave_an_exact_claim_open(void **state) {
  fixture *f = *state;
  add(f, 0, 0, 10, 1, 1);
  add(f, 1, 0, 10, 1, 1);
  assert_int_equal(judge(f, TB_CLAIM_AGREES, 0.1, 3).word, TB_UNDECIDED);
  assert_int_equal(judge(f, TB_CLAIM_AGREES, 0.1, 2).word, TB_HOLDS);
}

/* ---- BELOW ---- */

/* Differences −1, −2, −3: mean −2, sd 1, half width 4.302653/√3 = 2.484138: [−4.484138, 0.484138]. */
static void below_with_three_pairs(void **state) {
  fixture *f = *state;
  for (int seed = 0; seed < 3; seed++) {
    add(f, seed, 0, 10, 10, 0);
    add(f, seed, 1, 10, 11 + seed, 0);
  }
  tb_verdict v = judge(f, TB_CLAIM_BELOW, 0, 3);
  assert_int_equal(v.word, TB_UNDECIDED);
  assert_true(fabs(v.value + 2) < 1e-15 && v.reference == 0);
  assert_true(fabs(v.low + 4.484138) < 1e-5 && fabs(v.high - 0.484138) < 1e-5);
  assert_int_equal(v.seeds, 3);
  assert_non_null(strstr(v.note, "at this mean and spread 4 would decide")); /* (3.24 · 1/2)² < 3, so more than 3 */
  assert_non_null(strstr(judge(f, TB_CLAIM_BELOW, 1.5, 3).note, "spread 42 would")); /* (3.24 · 1/0.5)² = 41.99 */
  assert_non_null(strstr(judge(f, TB_CLAIM_BELOW, 2, 3).note, "the mean lies at it"));
  /* Wholly above −5 and wholly below −(−0.5). */
  assert_int_equal(judge(f, TB_CLAIM_BELOW, 5, 3).word, TB_FAILS);
  assert_int_equal(judge(f, TB_CLAIM_BELOW, -0.5, 3).word, TB_HOLDS);
  assert_int_equal(judge(f, TB_CLAIM_BELOW, -0.5, 4).word, TB_UNDECIDED);
}

/* Pairing removes what seeds share: arms far apart between seeds, differences −1, −1.1, −0.9, −1. */
static void below_pairs_by_seed(void **state) {
  fixture *f = *state;
  const double difference[] = { 1, 1.1, 0.9, 1 };
  for (int seed = 3; seed >= 0; seed--)
    add(f, seed, 1, 10, 100 * seed + difference[seed], 0);
  for (int seed = 0; seed < 4; seed++)
    add(f, seed, 0, 10, 100 * seed, 0);
  add(f, 9, 0, 10, 1e6, 0); /* a seed without partner is left out */
  tb_verdict v = judge(f, TB_CLAIM_BELOW, 0.5, 4);
  assert_int_equal(v.word, TB_HOLDS);
  assert_int_equal(v.seeds, 4);
  /* sd √(0.02/3) = 0.0816497, half width 3.182446·0.0816497/2 = 0.129923 */
  assert_true(fabs(v.value + 1) < 1e-12 && fabs(v.high - (-1 + 0.129923)) < 1e-5);
}

/* Both arms sweep n = 10, 20: pairs are of equal n; a seed counts once with the mean of its differences. */
static void below_pairs_by_shared_options(void **state) {
  fixture *f = *state;
  for (int seed = 0; seed < 2; seed++)
    for (int n = 10; n <= 20; n += 10) {
      add(f, seed, 0, n, 1000 * n, 0);
      add(f, seed, 1, n, 1000 * n + (n == 10 ? 1 : 3) + seed, 0);
    }
  tb_verdict v = judge(f, TB_CLAIM_BELOW, 0, 2);
  assert_int_equal(v.seeds, 2);
  assert_int_equal(v.runs, 8);
  /* seeds: −2, −3: mean −2.5, half width 12.706205·0.707107/√2 = 6.353102 */
  assert_true(fabs(v.value + 2.5) < 1e-12 && fabs(v.low + 2.5 + 6.353102) < 1e-5);
}

/* Arm 1 alone sweeps n: its runs of a seed are averaged. */
static void below_averages_what_one_arm_varies(void **state) {
  fixture *f = *state;
  for (int seed = 0; seed < 2; seed++) {
    add(f, seed, 0, 5, 0, 0);
    add(f, seed, 1, 10, 1 + seed, 0);
    add(f, seed, 1, 20, 3 + seed, 0);
  }
  tb_verdict v = judge(f, TB_CLAIM_BELOW, 0, 2);
  assert_true(fabs(v.value + 2.5) < 1e-12);
}

/* ---- LESS ---- */

/* Value − reference of each run: −1, −2, −3, as in below_with_three_pairs; the arm does not matter. */
static void less_compares_within_a_run(void **state) {
  fixture *f = *state;
  for (int seed = 0; seed < 3; seed++)
    add(f, seed, 0, 10, 10 * seed, 10 * seed + 1 + seed);
  tb_verdict v = judge(f, TB_CLAIM_LESS, 0, 3);
  assert_int_equal(v.word, TB_UNDECIDED);
  assert_true(fabs(v.value + 2) < 1e-15 && v.reference == 0 && fabs(v.high - 0.484138) < 1e-5);
  assert_int_equal(judge(f, TB_CLAIM_LESS, 5, 3).word, TB_FAILS);
  assert_int_equal(judge(f, TB_CLAIM_LESS, -0.5, 3).word, TB_HOLDS);
  assert_int_equal(judge(f, TB_CLAIM_LESS, -0.5, 4).word, TB_UNDECIDED);
}

static void below_without_pairs(void **state) {
  fixture *f = *state;
  add(f, 0, 0, 10, 1, 0);
  add(f, 1, 1, 10, 2, 0);
  tb_verdict v = judge(f, TB_CLAIM_BELOW, 0, 2);
  assert_int_equal(v.word, TB_UNDECIDED);
  assert_true(isnan(v.value) && *v.note);
}

/* ---- MEAN ---- */

/* Values 1, 2, 3, 4, 5 against 2.5: mean 3, sd √2.5 = 1.581139, half width 2.776445·1.581139/√5 = 1.963243. */
static void mean_within_tolerance_and_interval(void **state) {
  fixture *f = *state;
  for (int seed = 0; seed < 5; seed++)
    add(f, seed, 0, 10, seed + 1, 2.5);
  tb_verdict v = judge(f, TB_CLAIM_MEAN, 0, 5);
  assert_int_equal(v.word, TB_HOLDS);
  assert_true(fabs(v.value - 3) < 1e-15 && fabs(v.reference - 2.5) < 1e-15);
  assert_true(fabs(v.low - (3 - 1.963243)) < 1e-5 && fabs(v.high - (3 + 1.963243)) < 1e-5);
  assert_int_equal(judge(f, TB_CLAIM_MEAN, 0, 6).word, TB_UNDECIDED);
}

static void mean_fails_outside(void **state) {
  fixture *f = *state;
  for (int seed = 0; seed < 5; seed++)
    add(f, seed, 0, 10, seed + 1, 0.5);
  assert_int_equal(judge(f, TB_CLAIM_MEAN, 0.5, 5).word, TB_FAILS);
  assert_int_equal(judge(f, TB_CLAIM_MEAN, 0.55, 5).word, TB_HOLDS);
}

/* ---- all kinds ---- */

static void claims_that_do_not_apply(void **state) {
  fixture *f = *state;
  tb_claim claim = { .kind = TB_CLAIM_AGREES, .arm = arm_of, .measure = measure };
  tb_verdict verdict;
  bool applies;
  add(f, 0, -1, 10, 1, 1);
  assert_int_equal(tb_claim_judge(f->context, &claim, f->count, f->outcomes, &applies, &verdict), TB_OK);
  assert_false(applies);
  assert_int_equal(tb_claim_judge(f->context, &claim, 0, NULL, &applies, &verdict), TB_OK);
  assert_false(applies);
}

static void a_reference_that_fails_leaves_it_undecided(void **state) {
  fixture *f = *state;
  tb_claim claim = { .kind = TB_CLAIM_AGREES, .arm = arm_of, .measure = cannot_measure };
  tb_verdict verdict;
  bool applies;
  add(f, 0, 0, 10, 1, 1);
  assert_int_equal(tb_claim_judge(f->context, &claim, f->count, f->outcomes, &applies, &verdict), TB_OK);
  assert_true(applies);
  assert_int_equal(verdict.word, TB_UNDECIDED);
  assert_string_equal(verdict.note, "the reference has no solution");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    CASE(agrees_takes_the_worst_run),
    CASE(one_sided_kinds),
    CASE(infinities_agree_and_nan_fails),
    CASE(too_few_seeds_leave_an_exact_claim_open),
    CASE(below_with_three_pairs),
    CASE(below_pairs_by_seed),
    CASE(below_pairs_by_shared_options),
    CASE(below_averages_what_one_arm_varies),
    CASE(below_without_pairs),
    CASE(less_compares_within_a_run),
    CASE(mean_within_tolerance_and_interval),
    CASE(mean_fails_outside),
    CASE(claims_that_do_not_apply),
    CASE(a_reference_that_fails_leaves_it_undecided),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

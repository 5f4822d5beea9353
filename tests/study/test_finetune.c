/* The study `finetune`: closed forms of the scalar model, twins that are one function, the same bits after a stop. */
#define STUDY "finetune"
#include "study_testing.h"

static double get(const tb_record *r, const char *name) {
  return tb_metrics_get(tb_record_outcome(r)->metrics, name);
}

static void is_real(const tb_record *r, const char *name, double expected, double tolerance) {
  const double value = get(r, name);
  if (value != expected && !(fabs(value - expected) <= tolerance * fmax(1, fabs(expected))))
    fail_msg("%s is %.17g, expected %.17g", name, value, expected);
}

/* w ← w − η (f − 2) (w2, w1), by hand */
static void the_scalar_model_in_closed_form(void **state) {
  tb_record *r = run("model=scalar alpha=3 dtype=float64 lr=0.01 steps=4");
  double w1 = 3, w2 = 1 / 3.0;
  for (int k = 0; k < 4; k++) {
    const double off = w1 * w2 - 2, g1 = off * w2, g2 = off * w1;
    w1 -= 0.01 * g1;
    w2 -= 0.01 * g2;
    if (k == 0)
      assert_true(fabs(w1 * w2 - (1 + 0.01 * (9 + 1 / 9.0) + 1e-4)) < 1e-14);
  }
  is_real(r, "output", w1 * w2, 1e-14);
  is_real(r, "loss", 0.5 * (w1 * w2 - 2) * (w1 * w2 - 2), 1e-14);
  is_real(r, "hessian_trace", 9 + 1 / 9.0, 1e-13);
  is_real(r, "hessian_top", 9 + 1 / 9.0, 1e-13);
  is_real(r, "unmoved.hessian_trace", 2, 1e-13);
  is_real(r, "max_logit_difference", 0, 1e-15);
  const double *ratio = tb_metrics_find(tb_record_outcome(r)->metrics, "gradient_ratio").values;
  assert_true(fabs(ratio[0] - 1 / 3.0) < 1e-14 && fabs(ratio[1] - 3) < 1e-14);
  tb_record_free(r);
}

/* Natural gradient of one output: δ = g/(‖∇f‖² + λ) (f − 2), the same function from every twin as λ → 0. */
static void natural_gradient_does_not_see_the_scale(void **state) {
  tb_record *r = run("model=scalar alpha=3 dtype=float64 method=ngd lr=0.01 damping=1e-12 trust=10 steps=1");
  const double first = 1 + 0.01; /* f + η (2 − f) to first order, second order η² (2 − f)² w1 w2/‖∇f‖⁴ */
  assert_true(fabs(get(r, "unmoved.output") - first) < 1e-4);
  assert_true(fabs(get(r, "output") - get(r, "unmoved.output")) < 1e-4);
  tb_record_free(r);
  r = run("model=scalar alpha=3 dtype=float64 method=gd lr=0.01 steps=1");
  assert_true(fabs(get(r, "output") - get(r, "unmoved.output")) > 0.05);
  tb_record_free(r);
}

#define SMALL "depth=1 width=8 heads=2 feedforward=8 max_length=6 pretrain_steps=60 steps=12 probes=4 "

static void twins_are_one_function(void **state) {
  static const char *const symmetries[] = { "rescale", "heads", "permutation", "widen", "relu_scale" };
  for (size_t i = 0; i < 5; i++) {
    char words[300];
    snprintf(words, sizeof words, SMALL "dtype=float64 alpha=3 symmetry=%s", symmetries[i]);
    tb_record *r = run(words);
    assert_true(get(r, "max_logit_difference") < 1e-12);
    assert_true(get(r, "gradient_error") < 1e-11);
    assert_true(get(r, "pretrain_loss") < 1.5 * get(r, "source.optimal_loss") + 0.5);
    if (i == 2 || i == 4)
      assert_true(get(r, "twin_gap") < 1e-10);
    else
      assert_true(get(r, "twin_gap") > 1e-6);
    tb_record_free(r);
  }
}

/* Strings of L1 are drawn: more of them than a batch holds. */
static void other_languages_and_methods_run(void **state) {
  static const char *const words[] = { SMALL "language=L1 target=L2 batch=9 method=momentum positions=alibi norm=pre",
                                       SMALL "language=anbn target=L5 method=adam positions=rope",
                                       SMALL "method=ngd cg_products=5 steps=3" };
  for (size_t i = 0; i < 3; i++) {
    tb_record *r = run(words[i]);
    assert_true(isfinite(get(r, "loss")));
    tb_record_free(r);
  }
}

/* ---- stopping ---- */

static void the_same_bits_after_a_stop(void **state) {
  const char *words = SMALL "steps=200 pretrain_steps=400 language=L1 target=L2 batch=12 method=adam seed=2";
  int stops = 0;
  same_bits_in_pieces(words, 0.03, 8, &stops);
  assert_true(stops > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_scalar_model_in_closed_form), cmocka_unit_test(natural_gradient_does_not_see_the_scale),
    cmocka_unit_test(twins_are_one_function),          cmocka_unit_test(other_languages_and_methods_run),
    cmocka_unit_test(the_same_bits_after_a_stop),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}

/* The study `score` as a user runs it: closed forms on Gaussian data, files of samples, and the same bits after a
 * stop. */
#define STUDY "score"
#include "study_testing.h"

#include "io/npz.h"

static double value_of(const char *words, const char *metric) {
  tb_record *record = run(words);
  const double value = tb_metrics_get(tb_record_outcome(record)->metrics, metric);
  tb_record_free(record);
  return value;
}

static void near(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))))
    fail_msg("%.17g instead of %.17g", got, want);
}

#define EXACT "target=gaussian mean=0.8 sd=0.5 draws=200 network=exact "

static void flow_errors_fall_with_their_orders(void **state) {
  static const struct {
    const char *words;
    double order;
  } cases[] = { { EXACT "sampler=ddim", 1 },
                { EXACT "sampler=heun process=ve", 2 },
                { EXACT "sampler=dpmpp2m process=pinned", 2 } };
  for (size_t i = 0; i < 3; i++) {
    char words[256];
    snprintf(words, sizeof words, "%s sampler_steps=150", cases[i].words);
    const double coarse = value_of(words, "flow_error");
    snprintf(words, sizeof words, "%s sampler_steps=300", cases[i].words);
    near(log2(coarse / value_of(words, "flow_error")), cases[i].order, 0.05);
  }
  assert_true(value_of(EXACT "sampler=rk45", "flow_error") < 1e-7);
  assert_true(isnan(value_of(EXACT "sampler=em sampler_steps=20", "flow_error"))); /* draws noise: no such thing */
  assert_true(value_of(EXACT "sampler=em sampler_steps=20", "law_error") > 0);
}

static void likelihoods_are_exact(void **state) {
  /* entropy of N(·, ½²) at these test points is what nll must be, whatever it starts from */
  const double exact = value_of(EXACT "likelihood=exact", "nll");
  near(value_of(EXACT "likelihood=hutchinson", "nll"), exact, 1e-8);
  near(value_of(EXACT "likelihood=exact process=subvp", "nll"), exact, 1e-7);
  near(value_of(EXACT "likelihood=exact start=noise", "nll"), exact, 0.01);
  near(exact, log(0.5 * sqrt(2 * 3.14159265358979323846 * exp(1))), 0.2); /* 4 standard errors */
}

static void noise_at_the_end(void **state) {
  /* KL(N(am, a²s² + 1 − a²) ‖ N(0, 1)), a = e^{−2} */
  const double a2 = exp(-4), excess = a2 * (0.25 - 1);
  near(value_of(EXACT "schedule=paper beta_min=1 beta_max=1 time=2 sampler_steps=5", "noise_kl"),
       0.5 * (excess - log1p(excess) + a2 * 0.64), 1e-9);
}

static void write_file(const char *name, const char *text) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", root, name);
  assert_int_equal(tb_file_write(context, path, text, strlen(text)), TB_OK);
}

static void draws_are_kept(void **state) {
  tb_record *record = run("target=gaussian d=3 network=exact draws=30 sampler_steps=10");
  char path[512];
  size_t count;
  tb_array *arrays;
  tb_arena *arena = tb_arena_new(context);
  snprintf(path, sizeof path, "%s/draws.npz", tb_record_folder(record));
  assert_int_equal(tb_npz_read(context, arena, path, &count, &arrays), TB_OK);
  assert_int_equal(count, 2);
  assert_string_equal(arrays[0].name, "draws");
  assert_true(arrays[0].type == TB_ARRAY_FLOAT64 && arrays[0].dims[0] == 30 && arrays[0].dims[1] == 3);
  assert_string_equal(arrays[1].name, "log_weight");
  tb_arena_free(arena);
  tb_record_free(record);
}

/* x + shift against x: in one dimension sliced_w2 is the shift, mmd and c2st see nothing else. */
static void samples_are_compared(void **state) {
  tb_text first = tb_text_new(context), second = tb_text_new(context);
  tb_text_add(&first, "x\n");
  tb_text_add(&second, "x\n");
  for (int i = 0; i < 40; i++) {
    tb_text_format(&first, "%.17g\n", i * 0.1);
    tb_text_format(&second, "%.17g\n", i * 0.1 + 30);
  }
  write_file("a.csv", first.data);
  write_file("b.csv", second.data);
  char words[256];
  snprintf(words, sizeof words, "data=%s/a.csv samples=%s/b.csv", root, root);
  near(value_of(words, "sliced_w2"), 30, 1e-12);
  near(value_of(words, "c2st"), 1, 1e-12);
  snprintf(words, sizeof words, "data=%s/a.csv samples=%s/a.csv", root, root);
  near(value_of(words, "sliced_w2"), 0, 0);
  near(value_of(words, "mmd"), 0, 0);
  tb_text_free(&first);
  tb_text_free(&second);
}

/* A file of any scale is learned in its own units. */
static void files_are_learned(void **state) {
  enum { ROWS = 400 };
  double z[2 * ROWS];
  tb_text text = tb_text_new(context);
  tb_random_normal((tb_key){ .seed = 3 }, 0, 2 * ROWS, z);
  tb_text_add(&text, "a,b\n");
  for (int i = 0; i < ROWS; i++)
    tb_text_format(&text, "%.17g,%.17g\n", 1e4 + 50 * z[2 * i], -3 + 1e-3 * z[2 * i + 1]);
  write_file("d.csv", text.data);
  tb_text_free(&text);
  char words[256];
  snprintf(words, sizeof words, "data=%s/d.csv steps=20 at=20 batch=64 width=8 depth=2 draws=200 likelihood=exact",
           root);
  tb_record *record = run(words);
  const tb_metrics *m = tb_record_outcome(record)->metrics;
  assert_true(tb_metrics_get(m, "c2st") < 0.6);
  near(tb_metrics_get(m, "nll"), log(2 * 3.14159265358979323846 * exp(1)) + log(50) + log(1e-3), 0.1);
  tb_record_free(record);
}

static void resumed_runs_have_the_same_bits(void **state) {
  static const char *const words =
      "data=moons points=500 steps=400 at=0,30,400 batch=64 width=8 draws=60 sampler_steps=8 seed=2";
  int stops = 0;
  same_bits_in_pieces(words, 0.02, 6, &stops);
  assert_true(stops > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(flow_errors_fall_with_their_orders),
    cmocka_unit_test(likelihoods_are_exact),
    cmocka_unit_test(noise_at_the_end),
    cmocka_unit_test(draws_are_kept),
    cmocka_unit_test(samples_are_compared),
    cmocka_unit_test(files_are_learned),
    cmocka_unit_test(resumed_runs_have_the_same_bits),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}

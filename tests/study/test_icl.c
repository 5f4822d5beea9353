/* The study `icl` as a user runs it: small cases worked by hand, files read back, the same bits after a stop. */
#define STUDY "icl"
#include "study_testing.h"

#include <language/hmm.h>

static char mixture[80], prompts[80];

static void write_file(const char *path, const char *content) {
  assert_int_equal(tb_file_write(context, path, content, strlen(content)), TB_OK);
}

/* M and P stand for the files below. */
static const char *path_of(const char *value) {
  return strcmp(value, "M") == 0 ? mixture : strcmp(value, "P") == 0 ? prompts : value;
}

static int set_up_files(void **state) {
  if (setup(state))
    return -1;
  stands_for = path_of;
  snprintf(mixture, sizeof mixture, "%s/two.json", root);
  snprintf(prompts, sizeof prompts, "%s/prompts.csv", root);
  /* concept 0 says a, then a or /; concept 1 says b, then b or / */
  write_file(mixture, "{\"tokens\":[\"/\",\"a\",\"b\"],\"delimiter\":\"/\",\"components\":["
                      "{\"weight\":0.75,\"start\":[1,0],\"transition\":[[0.5,0.5],[1,0]],\"emission\":[1,0]},"
                      "{\"weight\":0.25,\"start\":[1,0],\"transition\":[[0.25,0.75],[1,0]],\"emission\":[2,0]}]}");
  write_file(prompts, "prompt,label\na / a,a\n\"b / b\",b\na b,a\n\"\",b\na /,a\n");
  return 0;
}

static void is_real(const tb_record *r, const char *name, double expected) {
  const double value = tb_metrics_get(tb_record_outcome(r)->metrics, name);
  if (value != expected && !(fabs(value - expected) <= 1e-13 * fmax(1, fabs(expected))))
    fail_msg("%s is %.17g, expected %.17g", name, value, expected);
}

static char *text_of(const tb_record *r, const char *name) {
  char path[600], *text;
  size_t size;
  snprintf(path, sizeof path, "%s/%s", tb_record_folder(r), name);
  assert_int_equal(tb_file_read(context, path, &text, &size), TB_OK);
  return text;
}

/* ---- worked by hand ---- */

static void a_users_prompts(void **state) {
  tb_record *r = run("hmm=M prompts=P n=1 k=1");
  /* after "a / a": / and a equally likely, the earlier token is taken; after "b / b": /; "a b" is impossible; after
   * nothing: a; after "a /": a */
  is_real(r, "accuracy", 1 / 5.0);
  is_real(r, "accuracy.possible_only", 1 / 4.0);
  is_real(r, "zero_probability_share", 1 / 5.0);
  is_real(r, "prompt_probability", 0.75 * 0.5 + 0.25 * 0.75);
  char *text = text_of(r, "prompts.csv");
  static const struct {
    const char *start;
    double probability, log_probability;
    int correct;
  } rows[] = { { "a / a,a,/,", 0.5, -0.98082925301172619, 0 },
               { "b / b,b,/,", 0.75, -1.6739764335716716, 0 },
               { "a b,a,,,-inf,0", NAN, NAN, 0 },
               { "\"\",b,a,", 0.75, 0, 0 },
               { "a /,a,a,", 1, -0.98082925301172619, 1 } };
  char *line = strtok(text, "\n");
  assert_string_equal(line, "prompt,label,prediction,prediction_probability,log_probability,correct");
  for (size_t i = 0; i < 5; i++) {
    double probability, log_probability;
    int correct;
    line = strtok(NULL, "\n");
    assert_memory_equal(line, rows[i].start, strlen(rows[i].start));
    if (isnan(rows[i].probability))
      continue;
    assert_int_equal(sscanf(line + strlen(rows[i].start), "%lf,%lf,%d", &probability, &log_probability, &correct), 3);
    assert_true(fabs(probability - rows[i].probability) < 1e-14);
    assert_true(fabs(log_probability - rows[i].log_probability) < 1e-14 && log_probability <= 0);
    assert_int_equal(correct, rows[i].correct);
  }
  tb_release(context, text);
  tb_record_free(r);
}

static void swapping_by_hand(void **state) {
  /* the one prefix kind of n = 1, k = 1 is (x, /): what follows has probability 1, so the second likeliest has 0 */
  tb_record *r = run("hmm=M prompts=P n=1 k=1 alter=swap");
  is_real(r, "kl", INFINITY);
  is_real(r, "accuracy.altered", 0);
  tb_record_free(r);
  /* n = 0, k = 1: the empty prefix, 3/4 against 1/4 */
  r = run("hmm=M prompts=P n=0 k=1 alter=swap");
  is_real(r, "kl", 0.5 * log(3));
  is_real(r, "kl.prefixes", 1);
  is_real(r, "accuracy.altered", 2 / 5.0);
  tb_record_free(r);
}

static void documents_are_measured(void **state) {
  char path[100], words[200];
  snprintf(path, sizeof path, "%s/documents.txt", root);
  write_file(path, "a / a\n\n  b b\r\n");
  snprintf(words, sizeof words, "hmm=M prompts=P documents=%s", path);
  tb_record *r = run(words);
  is_real(r, "nll", -(log(0.75 * 0.5) + log(0.25 * 0.25)) / 5);
  tb_record_free(r);
  write_file(path, "a b\n");
  r = run(words);
  is_real(r, "nll", INFINITY);
  tb_record_free(r);
}

static void the_mixture_used_is_written(void **state) {
  char path[600];
  tb_hmm *m;
  tb_record *r = run("hmm=M prompts=P smoothing=0.1");
  is_real(r, "zero_probability_share", 1 / 5.0); /* "a b" stays impossible: concept 0 never says b */
  snprintf(path, sizeof path, "%s/hmm.json", tb_record_folder(r));
  assert_int_equal(tb_hmm_read(context, path, &m), TB_OK);
  assert_true(fabs(m->components[1].transition[1] - (0.9 * 0.75 + 0.05)) < 1e-15);
  tb_hmm_free(m);
  tb_record_free(r);
}

/* ---- stopping ---- */

static void the_same_bits_after_a_stop(void **state) {
  const char *words = "n=8 k=4 prompts=3000 documents=50 length=200 alter=swap draws=50 seed=3";
  int stops = 0;
  tb_record *whole = run(words), *again = run_in_pieces(words, 0.02, 4, &stops);
  assert_true(stops > 0);
  char *expected = text_of(whole, "prompts.csv"), *resumed = text_of(again, "prompts.csv");
  assert_string_equal(resumed, expected);
  static const char *const names[] = { "accuracy", "nll", "kl", "kl.se", "prompt_probability", "posterior" };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const double a = tb_metrics_get(tb_record_outcome(whole)->metrics, names[i]);
    const double b = tb_metrics_get(tb_record_outcome(again)->metrics, names[i]);
    assert_memory_equal(&a, &b, sizeof a);
  }
  tb_release(context, expected);
  tb_release(context, resumed);
  tb_record_free(whole);
  tb_record_free(again);
}

#define NETWORK                                                                                                        \
  "predictor=model k=2 n=2 length=12 documents=40 prompts=50 width=8 batch=8 seed=1 alter=swap "                       \
  "examples=undelimited smoothing=0.01 "

static void a_network_is_trained(void **state) {
  tb_record *r =
      run("predictor=model model=gru hmm=M prompts=P n=1 k=1 length=10 documents=200 width=12 steps=150 lr=0.02");
  const tb_metrics *m = tb_record_outcome(r)->metrics;
  const double nll = tb_metrics_get(m, "nll"), best = tb_metrics_get(m, "bayes.nll");
  assert_true(nll > best && nll < best + 0.05);
  is_real(r, "zero_probability_share", 1 / 5.0);
  is_real(r, "bayes.accuracy", 1 / 5.0);
  is_real(r, "kl", 10 * (nll - best));
  tb_record_free(r);
}

/* Two replicas of a transformer, stopped and taken up. */
static void a_network_gives_the_same_bits_after_a_stop(void **state) {
  const char *words = NETWORK "model=transformer heads=2 feedforward=16 positions=rope steps=120";
  int stops = 0;
  tb_record *whole = run(words), *again = run_in_pieces(words, 0.05, 3, &stops);
  assert_true(stops > 0);
  static const char *const names[] = { "accuracy", "accuracy.altered", "nll", "nll.altered", "kl", "kl.altered" };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const double a = tb_metrics_get(tb_record_outcome(whole)->metrics, names[i]);
    const double b = tb_metrics_get(tb_record_outcome(again)->metrics, names[i]);
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(isfinite(a));
  }
  tb_record_free(whole);
  tb_record_free(again);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_users_prompts),
    cmocka_unit_test(swapping_by_hand),
    cmocka_unit_test(documents_are_measured),
    cmocka_unit_test(the_mixture_used_is_written),
    cmocka_unit_test(the_same_bits_after_a_stop),
    cmocka_unit_test(a_network_is_trained),
    cmocka_unit_test(a_network_gives_the_same_bits_after_a_stop),
  };
  return cmocka_run_group_tests(tests, set_up_files, teardown);
}

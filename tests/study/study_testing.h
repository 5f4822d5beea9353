/* What tests of studies share: a run from the words a user types, in a folder of its own, and the same run in pieces.
 *
 * STUDY, defined before this header, is the study of every batch; without it a batch's first word names its study. */
#ifndef TB_TESTS_STUDY_TESTING_H
#define TB_TESTS_STUDY_TESTING_H

#include "testing.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include <tiebreak/tiebreak.h>

#ifdef STUDY
static const char *const only_study = STUDY;
#else
static const char *const only_study = NULL;
#endif

static tb_context *context;
static char root[64]; /* folder of runs and files, gone afterwards */
/* What a value stands for ("A": the path of a data set); NULL: itself. */
static const char *(*stands_for)(const char *value);

static inline int remove_entry(const char *path, const struct stat *s, int kind, struct FTW *where) {
  return remove(path);
}

static inline int setup(void **state) {
  snprintf(root, sizeof root, "/tmp/tiebreak-%s-%d", only_study ? only_study : "studies", (int)getpid());
  context = tb_context_new(NULL, NULL);
  return context && tb_folder_create(context, root) == TB_OK ? 0 : -1;
}

static inline int teardown(void **state) {
  nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  tb_context_free(context);
  return 0;
}

/* A batch from "key=value key=value". */
static inline tb_status batch_of(const char *words, tb_batch **batch) {
  tb_assignment assignments[32] = { 0 };
  size_t count = 0;
  char *copy = strdup(words), *rest = copy;
  const char *study = only_study ? only_study : strsep(&rest, " ");
  for (char *word; rest && (word = strsep(&rest, " "));) {
    char *value = strchr(word, '=');
    assert_true(value && count < sizeof assignments / sizeof *assignments);
    *value++ = 0;
    assignments[count++] =
        (tb_assignment){ .key = word, .text = stands_for ? stands_for(value) : value, .origin = "command line" };
  }
  const tb_status status = tb_batch_new(context, study, count, assignments, batch);
  free(copy);
  return status;
}

static inline void fail_words(const char *words) {
  fail_msg("%s: %s (%s)", words, tb_context_message(context), tb_context_place(context));
}

/* The first run of the batch, recorded. */
static inline tb_record *run(const char *words) {
  tb_batch *batch;
  tb_record *record;
  const tb_run_options options = { .folder = root, .threads = 1 };
  if (batch_of(words, &batch) != TB_OK || tb_batch_run(context, batch, &options) != TB_OK)
    fail_words(words);
  assert_int_equal(tb_record_open(context, tb_batch_run_folder(batch, 0), &record), TB_OK);
  tb_batch_free(batch);
  return record;
}

/* ---- what it recorded ---- */

static inline const tb_metrics *end_of(const tb_record *record) {
  return tb_record_outcome(record)->metrics;
}

static inline const tb_metrics *at(const tb_record *record, double t) {
  const tb_outcome *outcome = tb_record_outcome(record);
  for (size_t i = 0; i < outcome->n_snapshots; i++)
    if (tb_metrics_get(outcome->snapshots[i], "t") == t)
      return outcome->snapshots[i];
  fail_msg("no snapshot at %g", t);
  return NULL;
}

static inline void is_number(const tb_metrics *m, const char *name, double expected, double tolerance) {
  double value = tb_metrics_get(m, name);
  if (!(fabs(value - expected) <= tolerance * fmax(1, fabs(expected))))
    fail_msg("%s is %.17g, expected %.17g", name, value, expected);
}

static inline void is_vector(const tb_metrics *m, const char *name, size_t n, const double *expected,
                             double tolerance) {
  tb_metric_value v = tb_metrics_find(m, name);
  assert_non_null(v.name);
  assert_int_equal(v.cols, n);
  for (size_t i = 0; i < n; i++)
    if (!(fabs(v.values[i] - expected[i]) <= tolerance * fmax(1, fabs(expected[i]))))
      fail_msg("%s[%zu] is %.17g, expected %.17g", name, i, v.values[i], expected[i]);
}

static inline void is_word(const tb_metrics *m, const char *name, const char *expected) {
  tb_metric_value v = tb_metrics_find(m, name);
  assert_non_null(v.name);
  assert_string_equal(v.words[0], expected);
}

/* ---- stopping ---- */

/* The run of `words`, stopped soon after its start and again after ever longer pieces, `seconds` at the most, up to
 * `limited` times, then left to end; adds to *stops. */
static inline tb_record *run_in_pieces(const char *words, double seconds, int limited, int *stops) {
  tb_batch *batch;
  tb_record *record;
  tb_run_options options = { .folder = root, .threads = 1, .time_limit = seconds / 16, .checkpoint_seconds = 1e-9 };
  char folder[512];
  if (batch_of(words, &batch) != TB_OK)
    fail_words(words);
  tb_status status = tb_batch_run(context, batch, &options);
  snprintf(folder, sizeof folder, "%s", tb_batch_folder(batch));
  tb_batch_free(batch);
  for (int sessions = 0; status == TB_STOPPED; sessions++) {
    ++*stops;
    options.time_limit = sessions < limited ? fmin(2 * options.time_limit, seconds) : 0;
    assert_int_equal(tb_batch_open(context, folder, &batch), TB_OK);
    status = tb_batch_run(context, batch, &options);
    tb_batch_free(batch);
  }
  if (status != TB_OK)
    fail_words(words);
  assert_int_equal(tb_record_open(context, folder, &record), TB_OK);
  return record;
}

/* The part of a record that must not depend on interruptions. */
static inline char *results(const tb_record *record) {
  const char *json = tb_record_json(record), *from = strstr(json, "\"metrics\""), *to = strstr(json, "\"files\"");
  assert_true(from && to && from < to);
  return strndup(from, (size_t)(to - from));
}

/* A run in one go and in pieces leaves the same bits. */
static inline void same_bits_in_pieces(const char *words, double seconds, int limited, int *stops) {
  tb_record *whole = run(words), *pieces = run_in_pieces(words, seconds, limited, stops);
  char *one = results(whole), *two = results(pieces);
  assert_string_equal(one, two);
  free(one);
  free(two);
  tb_record_free(whole);
  tb_record_free(pieces);
}

#endif

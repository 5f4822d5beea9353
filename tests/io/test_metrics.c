/* Metrics: order, replacement, exactness, and the way to JSON and back. */
#include "testing.h"

#include <math.h>
#include <stdio.h>

#include <io/json.h>
#include <tiebreak/metrics.h>

static tb_status fill(tb_metrics *m) {
  static const double values[] = { 1, 0.5, -INFINITY, NAN, 1e300, -0.0 };
  static const char *const words[] = { "a", "", "gradient flow" };
  tb_status status = tb_metrics_real(m, "loss", 0.2);
  if (!status)
    status = tb_metrics_integer(m, "seed", 9007199254740993);
  if (!status)
    status = tb_metrics_word(m, "stopped", "margin");
  if (!status)
    status = tb_metrics_vector(m, "beta", 6, values);
  if (!status)
    status = tb_metrics_matrix(m, "weights", 2, 3, values);
  if (!status)
    status = tb_metrics_words(m, "names", 3, words);
  if (!status)
    status = tb_metrics_vector(m, "none", 0, NULL);
  if (!status)
    status = tb_metrics_real(m, "t", INFINITY);
  if (!status)
    status = tb_metrics_real(m, "nothing", NAN);
  return status;
}

static void kept_in_order(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  tb_metrics *m;
  assert_int_equal(tb_metrics_new(c, &m), TB_OK);
  assert_int_equal(fill(m), TB_OK);
  assert_int_equal(tb_metrics_count(m), 9);
  assert_string_equal(tb_metrics_at(m, 3).name, "beta");
  tb_metric_value v = tb_metrics_find(m, "weights");
  assert_int_equal(v.kind, TB_METRIC_MATRIX);
  assert_int_equal(v.rows, 2);
  assert_int_equal(v.cols, 3);
  assert_true(v.values[4] == 1e300);
  v = tb_metrics_find(m, "names");
  assert_int_equal(v.cols, 3);
  assert_string_equal(v.words[2], "gradient flow");
  assert_true(tb_metrics_get(m, "loss") == 0.2);
  assert_true(tb_metrics_find(m, "seed").integer == 9007199254740993);
  assert_true(isnan(tb_metrics_get(m, "stopped")));
  assert_true(isnan(tb_metrics_get(m, "absent")));
  assert_null(tb_metrics_find(m, "absent").name);

  /* replacing keeps the place; of the same size it needs no memory */
  uint64_t allocations = tb_context_allocations(c);
  for (int i = 0; i < 100; i++)
    assert_int_equal(tb_metrics_real(m, "loss", i), TB_OK);
  assert_int_equal(tb_context_allocations(c), allocations);
  assert_int_equal(tb_metrics_word(m, "loss", "now a word"), TB_OK);
  assert_int_equal(tb_metrics_count(m), 9);
  assert_string_equal(tb_metrics_at(m, 0).words[0], "now a word");
  assert_null(tb_metrics_at(m, 0).values);
  assert_int_equal(tb_metrics_vector(m, "huge", SIZE_MAX / 4, NULL), TB_NO_MEMORY);
  assert_int_equal(tb_metrics_matrix(m, "huge", SIZE_MAX / 4, SIZE_MAX / 4, NULL), TB_NO_MEMORY);
  assert_int_equal(tb_metrics_count(m), 9);
  tb_metrics_free(m);
  tb_metrics_free(NULL);
  tb_context_free(c);
}

static bool same_number(double a, double b) {
  return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

static void json_round_trip(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  tb_metrics *m, *back;
  assert_int_equal(tb_metrics_new(c, &m), TB_OK);
  assert_int_equal(fill(m), TB_OK);
  json_t *json = tb_metrics_to_json(c, m);
  assert_non_null(json);
  char *line = tb_json_line(c, json);
  assert_string_equal(line, "{\"loss\":0.20000000000000001,\"seed\":9007199254740993,\"stopped\":\"margin\","
                            "\"beta\":[1.0,0.5,\"-inf\",\"nan\",1.0000000000000001e300,-0.0],"
                            "\"weights\":[[1.0,0.5,\"-inf\"],[\"nan\",1.0000000000000001e300,-0.0]],"
                            "\"names\":[\"a\",\"\",\"gradient flow\"],\"none\":[],\"t\":\"inf\",\"nothing\":\"nan\"}");
  json_decref(json);
  assert_int_equal(tb_json_parse(c, "line", line, strlen(line), &json), TB_OK);
  assert_int_equal(tb_metrics_from_json(c, json, &back), TB_OK);
  assert_int_equal(tb_metrics_count(back), tb_metrics_count(m));
  for (size_t i = 0; i < tb_metrics_count(m); i++) {
    tb_metric_value a = tb_metrics_at(m, i), b = tb_metrics_at(back, i);
    assert_string_equal(a.name, b.name);
    assert_int_equal(a.kind, b.kind);
    assert_int_equal(a.rows, b.rows);
    assert_int_equal(a.cols, b.cols);
    assert_int_equal(a.integer, b.integer);
    for (size_t k = 0; k < a.rows * a.cols; k++)
      if (a.words)
        assert_string_equal(a.words[k], b.words[k]);
      else
        assert_true(same_number(a.values[k], b.values[k]));
  }
  json_decref(json);
  tb_release(c, line);
  tb_metrics_free(back);
  tb_metrics_free(m);
  tb_context_free(c);
}

static void json_complaints(void **state) {
  static const struct {
    const char *json, *message, *place;
  } cases[] = {
    { "[1]", "recorded metrics are no JSON object", "" },
    { "{\"a\":null}", "neither number, word nor array in the recorded metric 'a'", "a" },
    { "{\"b\":1,\"a\":{}}", "neither number, word nor array in the recorded metric 'a'", "a" },
    { "{\"a\":[1,\"x\"]}", "neither numbers nor words in the recorded metric 'a'", "a" },
    { "{\"a\":[1,null]}", "neither numbers nor words in the recorded metric 'a'", "a" },
    { "{\"a\":[[1,2],[3]]}", "rows of different lengths in the recorded metric 'a'", "a" },
    { "{\"a\":[[1,2],3]}", "rows of different lengths in the recorded metric 'a'", "a" },
    { "{\"a\":[[1],[\"x\"]]}", "no number in the recorded metric 'a'", "a" },
  };
  tb_context *c = tb_context_new(NULL, NULL);
  json_t *json;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tb_metrics *m;
    assert_int_equal(tb_json_parse(c, "x", cases[i].json, strlen(cases[i].json), &json), TB_OK);
    assert_int_equal(tb_metrics_from_json(c, json, &m), TB_BAD_DATA);
    assert_null(m);
    assert_string_equal(tb_context_message(c), cases[i].message);
    assert_string_equal(tb_context_place(c), cases[i].place);
    json_decref(json);
  }
  assert_int_equal(tb_json_parse(c, "run.json", "{\n  \"a\": }", 11, &json), TB_BAD_DATA);
  assert_string_equal(tb_context_place(c), "run.json:2:8");
  assert_int_equal(tb_json_parse(c, "run.json", "", 0, &json), TB_BAD_DATA);
  json_t *odd = tb_json_text("a\xff");
  assert_string_equal(json_string_value(odd), "a?");
  json_decref(odd);
  tb_context_free(c);
}

static tb_status use_everything(tb_context *c) {
  tb_metrics *m = NULL, *back = NULL;
  json_t *json = NULL;
  char *line = NULL;
  tb_status status = tb_metrics_new(c, &m);
  if (!status)
    status = fill(m);
  if (!status)
    status = tb_metrics_word(m, "loss", "a longer thing than a number");
  for (int i = 0; i < 20 && !status; i++) {
    char name[16];
    snprintf(name, sizeof name, "more%d", i);
    status = tb_metrics_real(m, name, i);
  }
  if (!status)
    status = (json = tb_metrics_to_json(c, m)) ? TB_OK : TB_NO_MEMORY;
  if (!status)
    status = (line = tb_json_line(c, json)) ? TB_OK : TB_NO_MEMORY;
  if (!status)
    status = tb_metrics_from_json(c, json, &back);
  json_decref(json);
  tb_release(c, line);
  tb_metrics_free(back);
  tb_metrics_free(m);
  return status;
}

static void every_failing_allocation_is_reported(void **state) {
  for (long n = 2;; n++) {
    meter m = { .fail_at = n };
    tb_context *c = tb_context_new(meter_allocate, &m);
    tb_status status = use_everything(c);
    bool failed = m.calls >= n;
    if (failed)
      assert_int_equal(tb_context_status(c), TB_NO_MEMORY);
    assert_int_equal(status, failed ? TB_NO_MEMORY : TB_OK);
    tb_context_free(c);
    assert_int_equal(m.live, 0);
    if (!failed)
      break;
  }
}

/* jansson's own memory, too: its allocator is replaced by one that fails at the n-th call. */
static long jansson_calls, jansson_fail_at;

static void *jansson_malloc(size_t size) {
  return ++jansson_calls == jansson_fail_at ? NULL : malloc(size);
}

static void jansson_memory_runs_out(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  json_set_alloc_funcs(jansson_malloc, free);
  for (jansson_fail_at = 1;; jansson_fail_at++) {
    jansson_calls = 0;
    tb_context_clear(c);
    tb_status status = use_everything(c);
    if (jansson_calls < jansson_fail_at) {
      assert_int_equal(status, TB_OK);
      break;
    }
    assert_int_equal(status, TB_NO_MEMORY);
    assert_int_equal(tb_context_status(c), TB_NO_MEMORY);
  }
  json_set_alloc_funcs(malloc, free);
  assert_true(jansson_fail_at > 20);
  tb_context_free(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(kept_in_order),           cmocka_unit_test(json_round_trip),
    cmocka_unit_test(json_complaints),         cmocka_unit_test(every_failing_allocation_is_reported),
    cmocka_unit_test(jansson_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

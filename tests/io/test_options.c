/* Options: values of every type, exact complaints, canonical texts, copies, and every failing allocation. */
#include "testing.h"

#include <math.h>
#include <stdio.h>

#include <tiebreak/options.h>

static const tb_option common[] = {
  { .name = "seed", .type = TB_INTEGER, .fallback = "0", .least = 0, .most = 9.3e18, .summary = "seed" },
  { .name = "dtype", .type = TB_CHOICE, .fallback = "float64", .choices = "float32|float64", .summary = "numbers" },
  { .name = "at", .type = TB_REALS, .fallback = "", .summary = "snapshot times" },
};
static const tb_option special[] = {
  { .name = "method", .type = TB_CHOICE, .fallback = "gd", .choices = "gd|momentum|adam|ngd", .summary = "optimiser" },
  { .name = "lr", .type = TB_REAL, .fallback = "0.1", .least = 0, .most = INFINITY, .open = true, .summary = "step" },
  { .name = "momentum", .type = TB_REAL, .fallback = "0.9", .least = 0, .most = 1, .summary = "momentum" },
  { .name = "shift", .type = TB_REAL, .fallback = "0", .least = 1, .most = 0, .summary = "no limit" },
  { .name = "steps", .type = TB_INTEGER, .fallback = "1000", .least = 1, .most = 1e9, .summary = "steps" },
  { .name = "cold", .type = TB_REAL, .fallback = "-1", .least = -INFINITY, .most = 0, .summary = "at most 0" },
  { .name = "half", .type = TB_REAL, .fallback = "1", .least = 0, .most = 1, .open = true, .summary = "(0, 1]" },
  { .name = "norm", .type = TB_BOOLEAN, .fallback = "false", .summary = "normalise" },
  { .name = "data", .type = TB_WORD, .fallback = "sparse", .choices = "sparse|FILE.csv", .summary = "data" },
  { .name = "file", .type = TB_FILE, .fallback = "", .summary = "a file" },
  { .name = "until_loss", .type = TB_REAL, .fallback = "", .least = 0, .most = INFINITY, .summary = "stop" },
  { .name = "covariance", .type = TB_MATRIX, .fallback = "1,0/0,1", .summary = "covariance" },
  { .name = "dtype", .type = TB_CHOICE, .fallback = "float32", .choices = "float32|float64", .summary = "redefined" },
};
static const tb_option_table common_table = { "common", common, sizeof common / sizeof *common };
static const tb_option_table special_table = { "special", special, sizeof special / sizeof *special };
static const tb_option_table *const tables[] = { &common_table, &special_table };

typedef struct fixture {
  tb_context *context;
  tb_config *config;
} fixture;

static int set_up(void **state) {
  static fixture f;
  f.context = tb_context_new(NULL, NULL);
  *state = &f;
  return tb_config_new(f.context, 2, tables, &f.config) ? -1 : 0;
}

static int tear_down(void **state) {
  fixture *f = *state;
  tb_config_free(f->config);
  tb_context_free(f->context);
  return 0;
}

static const char *text_of(const tb_config *config, const char *name) {
  for (size_t i = 0; i < tb_config_count(config); i++)
    if (strcmp(tb_config_option(config, i)->name, name) == 0)
      return tb_config_text(config, i);
  return NULL;
}

static void defaults(void **state) {
  tb_config *c = ((fixture *)*state)->config;
  const double *values;
  size_t rows, cols;
  assert_int_equal(tb_config_count(c), 15);
  assert_string_equal(tb_config_option(c, 1)->summary, "redefined"); /* the later table, at the earlier place */
  assert_true(tb_config_is(c, "dtype", "float32"));
  assert_int_equal(tb_config_integer(c, "seed"), 0);
  assert_true(tb_config_real(c, "lr") == 0.1);
  assert_true(tb_config_real(c, "steps") == 1000); /* an integer is a number, too */
  assert_false(tb_config_boolean(c, "norm"));
  assert_string_equal(tb_config_word(c, "method"), "gd");
  assert_string_equal(tb_config_word(c, "file"), "");
  assert_int_equal(tb_config_reals(c, "at", &values), 0);
  assert_true(isnan(tb_config_real(c, "until_loss")));
  assert_false(tb_config_is_set(c, "until_loss"));
  assert_true(tb_config_is_set(c, "lr"));
  tb_config_matrix(c, "covariance", &rows, &cols, &values);
  assert_int_equal(rows, 2);
  assert_int_equal(cols, 2);
  assert_true(values[0] == 1 && values[1] == 0 && values[2] == 0 && values[3] == 1);
  assert_string_equal(tb_config_origin(c, 0), "default");
  assert_true(tb_config_is_default(c, "lr"));
  assert_ptr_equal(tb_config_find(c, "lr"), &special[1]);
  assert_null(tb_config_find(c, "nothing"));
}

static void values_and_canonical_texts(void **state) {
  static const struct {
    const char *name, *text, *canonical;
  } cases[] = {
    { "seed", "7", "7" },
    { "seed", "1e6", "1000000" },
    { "seed", "1_000", "1000" },
    { "seed", " 12 ", "12" },
    { "seed", "1.5e3", "1500" },
    { "seed", "+3", "3" },
    { "seed", "9223372036854775807", "9223372036854775807" },
    { "seed", "9007199254740993", "9007199254740993" },
    { "seed", "10.0", "10" },
    { "seed", "5000e-3", "5" },
    { "seed", "0e-7", "0" },
    { "seed", "1.230000000000000000000000000000e2", "123" },
    { "lr", "1e-3", "0.001" },
    { "lr", "0.10", "0.1" },
    { "lr", "inf", "inf" },
    { "lr", "Infinity", "inf" },
    { "lr", ".inf", "inf" },
    { "lr", "1_000.5", "1000.5" },
    { "lr", "1e-7", "1e-7" },
    { "lr", "+2", "2" },
    { "shift", "-inf", "-inf" },
    { "shift", "-0.30000000000000004", "-0.30000000000000004" },
    { "half", "1", "1" },
    { "momentum", "0", "0" },
    { "momentum", "1", "1" },
    { "norm", "true", "true" },
    { "norm", "Yes", "true" },
    { "norm", "1", "true" },
    { "norm", "on", "true" },
    { "norm", "FALSE", "false" },
    { "norm", "no", "false" },
    { "norm", "0", "false" },
    { "norm", "off", "false" },
    { "method", "adam", "adam" },
    { "data", "my data.csv", "my data.csv" },
    { "file", "a=b.csv", "a=b.csv" },
    { "at", "1,2.50,1e3", "1,2.5,1000" },
    { "at", " 1 , inf ", "1,inf" },
    { "at", "5", "5" },
    { "at", "", "" },
    { "covariance", "2,1/1,2", "2,1/1,2" },
    { "covariance", "1 , 2 / 3 , 4 / 5 , 6", "1,2/3,4/5,6" },
    { "covariance", "3", "3" },
    { "until_loss", "1e-3", "0.001" },
    { "until_loss", "", "" },
    { "file", "", "" },
  };
  fixture *f = *state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    if (tb_config_set(f->config, cases[i].name, cases[i].text, "study.yaml:3"))
      fail_msg("%s", tb_context_message(f->context));
    assert_string_equal(text_of(f->config, cases[i].name), cases[i].canonical);
    /* the canonical text is its own canonical text */
    assert_int_equal(tb_config_set(f->config, cases[i].name, cases[i].canonical, "study.yaml:3"), TB_OK);
    assert_string_equal(text_of(f->config, cases[i].name), cases[i].canonical);
  }
  const double *values;
  size_t rows, cols;
  assert_int_equal(tb_config_set(f->config, "at", "1,2.5,inf", "command line"), TB_OK);
  assert_int_equal(tb_config_reals(f->config, "at", &values), 3);
  assert_true(values[0] == 1 && values[1] == 2.5 && values[2] == INFINITY);
  assert_int_equal(tb_config_set(f->config, "covariance", "1,2,3/4,5,6", "command line"), TB_OK);
  tb_config_matrix(f->config, "covariance", &rows, &cols, &values);
  assert_int_equal(rows, 2);
  assert_int_equal(cols, 3);
  for (int i = 0; i < 6; i++)
    assert_true(values[i] == i + 1);
  assert_int_equal(tb_config_set(f->config, "seed", "9007199254740993", "command line"), TB_OK);
  assert_true(tb_config_integer(f->config, "seed") == 9007199254740993);
  assert_string_equal(tb_config_origin(f->config, 0), "command line");

  assert_int_equal(tb_config_set(f->config, "lr", "0.2", "command line"), TB_OK);
  assert_false(tb_config_is_default(f->config, "lr"));
  assert_int_equal(tb_config_set(f->config, "lr", "0.1000", "command line"), TB_OK);
  assert_true(tb_config_is_default(f->config, "lr"));
}

static void complaints(void **state) {
  static const struct {
    const char *name, *text, *message, *hint;
  } cases[] = {
    { "metod", "adam", "unknown option 'metod'", "did you mean 'method'?" },
    { "until-loss", "1", "unknown option 'until-loss'", "did you mean 'until_loss'?" },
    { "temperature", "1", "unknown option 'temperature'",
      "known are seed, dtype, at, method, lr, momentum, shift, steps, cold, half, norm, data, file, until_loss, "
      "covariance" },
    { "lr", "abc", "lr=abc: expected a number", "" },
    { "lr", "0x10", "lr=0x10: expected a number", "" },
    { "lr", "nan", "lr=nan: expected a number", "" },
    { "lr", "1e999", "lr=1e999: expected a number", "" },
    { "lr", "0.1.2", "lr=0.1.2: expected a number", "" },
    { "lr", "1 2", "lr=1 2: expected a number", "" },
    { "lr", "1__0", "lr=1__0: expected a number", "" },
    { "lr", "_1", "lr=_1: expected a number", "" },
    { "lr", "0,1", "lr=0,1: expected a number", "" },
    { "lr", "", "lr=: expected a value", "" },
    { "lr", " ", "lr= : expected a number", "" },
    { "lr", "0", "lr=0: must be greater than 0", "" },
    { "lr", "-1", "lr=-1: must be greater than 0", "" },
    { "until_loss", "-1", "until_loss=-1: must be at least 0", "" },
    { "momentum", "1.5", "momentum=1.5: must be between 0 and 1", "" },
    { "momentum", "inf", "momentum=inf: must be between 0 and 1", "" },
    { "cold", "1", "cold=1: must be at most 0", "" },
    { "half", "0", "half=0: must be greater than 0 and at most 1", "" },
    { "steps", "abc", "steps=abc: expected an integer", "" },
    { "steps", "1.5", "steps=1.5: expected an integer", "" },
    { "steps", "1e-1", "steps=1e-1: expected an integer", "" },
    { "steps", "inf", "steps=inf: expected an integer", "" },
    { "steps", "1e30", "steps=1e30: too large for an integer", "" },
    { "steps", "1e999999999999", "steps=1e999999999999: too large for an integer", "" },
    { "steps", "9223372036854775808", "steps=9223372036854775808: too large for an integer", "" },
    { "steps", "0", "steps=0: must be between 1 and 1000000000", "" },
    { "seed", "-1", "seed=-1: must be at least 0", "" },
    { "norm", "maybe", "norm=maybe: expected true or false", "" },
    { "method", "adma", "method=adma: expected gd, momentum, adam or ngd", "did you mean 'adam'?" },
    { "method", "Adam", "method=Adam: expected gd, momentum, adam or ngd", "did you mean 'adam'?" },
    { "method", "xyz", "method=xyz: expected gd, momentum, adam or ngd", "" },
    { "method", "", "method=: expected a value", "" },
    { "at", "1,x,3", "at=1,x,3: expected numbers parted by commas, found 'x'", "" },
    { "at", "1,,3", "at=1,,3: expected numbers parted by commas, found ''", "" },
    { "at", "1,2,", "at=1,2,: expected numbers parted by commas, found ''", "" },
    { "covariance", "1,0/0", "covariance=1,0/0: row 2 has 1 numbers where the first has 2", "" },
    { "covariance", "1,a/0,1", "covariance=1,a/0,1: expected rows of numbers like 1,0.5/0.5,1, found 'a'", "" },
    { "covariance", "1,0/", "covariance=1,0/: expected rows of numbers like 1,0.5/0.5,1, found ''", "" },
  };
  fixture *f = *state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *text = text_of(f->config, cases[i].name);
    char before[200];
    snprintf(before, sizeof before, "%s", text ? text : "");
    tb_context_clear(f->context);
    assert_int_equal(tb_config_set(f->config, cases[i].name, cases[i].text, "study.yaml:3"), TB_USAGE);
    assert_string_equal(tb_context_message(f->context), cases[i].message);
    assert_string_equal(tb_context_hint(f->context), cases[i].hint);
    assert_string_equal(tb_context_place(f->context), "study.yaml:3");
    assert_string_equal(tb_context_excerpt(f->context), "");
    if (text)
      assert_string_equal(text_of(f->config, cases[i].name), before); /* kept */
  }
  char longer[3000];
  memset(longer, '1', sizeof longer - 1);
  longer[sizeof longer - 1] = 0;
  assert_int_equal(tb_config_set(f->config, "lr", longer, "command line"), TB_USAGE);
  assert_int_equal(tb_config_set(f->config, "seed", longer, "command line"), TB_USAGE);
}

static void copies_are_independent(void **state) {
  fixture *f = *state;
  tb_context *other = tb_context_new(NULL, NULL);
  tb_config *copy;
  assert_int_equal(tb_config_set(f->config, "covariance", "1,2/3,4", "command line"), TB_OK);
  assert_int_equal(tb_config_set(f->config, "lr", "0.3", "a.yaml:2"), TB_OK);
  assert_int_equal(tb_config_copy(other, f->config, &copy), TB_OK);
  assert_int_equal(tb_config_set(f->config, "lr", "0.4", "command line"), TB_OK);
  assert_int_equal(tb_config_count(copy), tb_config_count(f->config));
  assert_string_equal(text_of(copy, "covariance"), "1,2/3,4");
  assert_true(tb_config_real(copy, "lr") == 0.3);
  assert_false(tb_config_is_default(copy, "lr"));
  assert_true(tb_config_is_default(copy, "steps"));
  assert_string_equal(tb_config_origin(copy, 4), "a.yaml:2");
  assert_int_equal(tb_config_set(copy, "lr", "x", "here"), TB_USAGE);
  assert_int_equal(tb_context_status(other), TB_USAGE);
  assert_int_equal(tb_context_status(f->context), TB_OK);
  tb_config_free(copy);
  tb_config_free(NULL);
  tb_context_free(other);
}

static void a_wrong_default_is_reported(void **state) {
  static const tb_option bad[] = { { .name = "x", .type = TB_INTEGER, .fallback = "one", .least = 1, .most = 0 } };
  static const tb_option_table table = { "bad", bad, 1 };
  tb_context *c = tb_context_new(NULL, NULL);
  tb_config *config;
  assert_int_equal(tb_config_new(c, 1, &(const tb_option_table *){ &table }, &config), TB_USAGE);
  assert_null(config);
  assert_string_equal(tb_context_message(c), "x=one: expected an integer");
  assert_string_equal(tb_context_place(c), "default");
  assert_int_equal(tb_config_new(c, 0, NULL, &config), TB_OK);
  assert_int_equal(tb_config_count(config), 0);
  tb_config_free(config);
  tb_context_free(c);
}

static tb_status use_everything(tb_context *c) {
  tb_config *config = NULL, *copy = NULL;
  tb_status status = tb_config_new(c, 2, tables, &config);
  if (!status)
    status = tb_config_set(config, "covariance", "1,2/3,4", "command line");
  if (!status)
    status = tb_config_set(config, "at", "1,2,3", "command line");
  if (!status) {
    status = tb_config_set(config, "metod", "1", "command line");
    if (status == TB_USAGE)
      status = tb_config_set(config, "covariance", "1,2/3", "command line");
    status = status == TB_USAGE ? TB_OK : status;
  }
  if (!status)
    status = tb_config_copy(c, config, &copy);
  tb_config_free(copy);
  tb_config_free(config);
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

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(defaults, set_up, tear_down),
    cmocka_unit_test_setup_teardown(values_and_canonical_texts, set_up, tear_down),
    cmocka_unit_test_setup_teardown(complaints, set_up, tear_down),
    cmocka_unit_test_setup_teardown(copies_are_independent, set_up, tear_down),
    cmocka_unit_test(a_wrong_default_is_reported),
    cmocka_unit_test(every_failing_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Numbers to text and back: against strtod over random and awkward numbers, in a locale with a decimal comma, too. */
#include "testing.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>

#include <base/number.h>
#include <tiebreak/random.h>

static const tb_key key = { .seed = 5 };

static bool same(double a, double b) {
  return memcmp(&a, &b, sizeof a) == 0;
}

static void check_read(const char *text) {
  double value;
  const char *end = tb_number_read(text, &value);
  assert_non_null(end);
  char *expected_end;
  double expected = strtod(text, &expected_end);
  if (!same(value, expected) || end != expected_end)
    fail_msg("'%s' read as %.17g, should be %.17g", text, value, expected);
}

static void reading_equals_strtod(void **state) {
  static const char *const texts[] = {
    "0",
    "-0",
    "+1",
    "1.",
    ".5",
    "-.5e1",
    "00012.500",
    "1e22",
    "1e23",
    "9007199254740993",
    "9007199254740992.5",
    "9007199254740993e-3",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999",
    "1e400",
    "-1e400",
    "1e-400",
    "4.9e-324",
    "2.4703282292062327e-324",
    "2.4703282292062328e-324",
    "2.2250738585072011e-308",
    "1.7976931348623157e308",
    "1.7976931348623159e308",
    "0.1e",
    "1e+",
    "1e5x",
    "0x10",
    "1e99999999999999999999",
    "0e99999999999",
    "0.000000000000000000000000000000000000001",
    "123456789012345678901234567890",
    "1.00000000000000011102230246251565404236316680908203125",
    "1.00000000000000011102230246251565404236316680908203124",
    "1.00000000000000011102230246251565404236316680908203126",
    "0.5000000000000000277555756156289135105907917022705078125",
    "3.1415926535897932384",
    "2.7182818284590452354e-1",
    "6.02214076e23",
    "1,5",
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    if (strcmp(texts[i], "0x10") == 0) {
      double value;
      assert_ptr_equal(tb_number_read(texts[i], &value), texts[i] + 1); /* hexadecimal is not read */
    } else {
      check_read(texts[i]);
    }
  }
  char text[64];
  for (uint64_t i = 0; i < 300000; i++) {
    uint64_t m = tb_random_below(key, 3 * i, UINT64_MAX) >> tb_random_below(key, 3 * i + 1, 64);
    int e = (int)tb_random_below(key, 3 * i + 2, i % 4 == 0 ? 700 : 46) - (i % 4 == 0 ? 350 : 23);
    snprintf(text, sizeof text, "%lue%d", (unsigned long)m, e);
    check_read(text);
    /* as numpy.savetxt writes them, and halfway cases */
    double x = ldexp((double)m, e / 4);
    snprintf(text, sizeof text, i % 3 == 0 ? "%.18e" : i % 3 == 1 ? "%.16e" : "%.6f", x > 1e18 ? 1e18 : x);
    check_read(text);
    m |= (uint64_t)1 << 53;
    snprintf(text, sizeof text, "%lu.%s", (unsigned long)(m >> (m >> 54 ? 10 : 0)),
             i % 2 ? "5" : "50000000000000000001");
    check_read(text);
  }
}

static void not_numbers(void **state) {
  static const char *const texts[] = { "", "-", "+", ".", "-.", "e5", "inf", "nan", "abc", " 1", ",", "--1" };
  double value;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    assert_null(tb_number_read(texts[i], &value));
}

static void texts_are_short_and_exact(void **state) {
  static const struct {
    double value;
    const char *text;
  } cases[] = {
    { 0, "0" },
    { -0.0, "-0" },
    { 1, "1" },
    { -1.5, "-1.5" },
    { 0.1, "0.1" },
    { 0.0001, "0.0001" },
    { 1e-5, "1e-5" },
    { 1.5e-7, "1.5e-7" },
    { 1e6, "1000000" },
    { 1e15, "1000000000000000" },
    { 1e16, "1e16" },
    { 1.25e300, "1.25e300" },
    { 1.0 / 3, "0.3333333333333333" },
    { 0.1 + 0.2, "0.30000000000000004" },
    { 5e-324, "5e-324" },
    { 2.2250738585072014e-308, "2.2250738585072014e-308" },
    { 1.7976931348623157e308, "1.7976931348623157e308" },
    { 123456.789, "123456.789" },
    { INFINITY, "inf" },
    { -INFINITY, "-inf" },
    { NAN, "nan" },
    { 9007199254740993.0, "9007199254740992" },
    { -1.7976931348623157e-300, "-1.7976931348623157e-300" },
    { 100, "100" },
    { 0.001, "0.001" },
  };
  char text[TB_NUMBER_SIZE];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t length = tb_number_text(text, cases[i].value);
    assert_string_equal(text, cases[i].text);
    assert_int_equal(length, strlen(text));
  }
  for (uint64_t i = 0; i < 100000; i++) {
    uint64_t bits = tb_random_below(key, i, UINT64_MAX);
    double x, back;
    memcpy(&x, &bits, sizeof x);
    if (isnan(x) || isinf(x))
      continue;
    assert_in_range(tb_number_text(text, x), 1, TB_NUMBER_SIZE - 1);
    assert_non_null(tb_number_read(text, &back));
    assert_true(same(x, back));
    assert_true(same(strtod(text, NULL), x));
  }
}

static void locale_does_not_matter(void **state) {
  static const char *const names[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE" };
  const char *set = NULL;
  for (size_t i = 0; i < 4 && !set; i++)
    set = setlocale(LC_ALL, names[i]);
  if (!set) {
    print_message("no locale with a decimal comma is installed\n");
    skip();
  }
  char text[TB_NUMBER_SIZE];
  double value;
  tb_number_text(text, 1234.5);
  assert_string_equal(text, "1234.5");
  assert_non_null(tb_number_read("1.00000000000000011102230246251565404236316680908203126", &value));
  assert_true(value == 1.0000000000000002);
  setlocale(LC_ALL, "C");
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(reading_equals_strtod),
    cmocka_unit_test(not_numbers),
    cmocka_unit_test(texts_are_short_and_exact),
    cmocka_unit_test(locale_does_not_matter),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* CSV: what is read, exact complaints about what is not, random malformed bytes, exhausted memory. */
#include "testing.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <io/csv.h>
#include <tiebreak/random.h>

static char folder[64], path[128];

static int make_folder(void **state) {
  strcpy(folder, "/tmp/tiebreak-csv-XXXXXX");
  if (!mkdtemp(folder))
    return -1;
  snprintf(path, sizeof path, "%s/data.csv", folder);
  return 0;
}

static int remove_folder(void **state) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
}

static tb_status read_bytes(tb_context *c, const void *bytes, size_t size, tb_table **table) {
  unlink(path); /* a truncated file would be flushed to the disk */
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
  return tb_csv_read(c, path, table);
}

/* ---- what is read ---- */

static void well_formed(void **state) {
  /* every text is the table x,y = (1, 2), (-3, 0.5) */
  static const char *const texts[] = {
    "x,y\n1,2\n-3,0.5\n",
    "x,y\n1,2\n-3,0.5", /* no newline at the end */
    "x,y\r\n1,2\r\n-3,0.5\r\n",
    "x,y\r\n1,2\r\n-3,0.5",
    "\xef\xbb\xbfx,y\n1,2\n-3,0.5\n",
    "x,y\n1,2\n-3,0.5\n\n\n  \n",
    "x,y\n1,2\n-3,0.5\r\n\r\n",
    "  x ,\ty\n 1 , 2 \n\t-3\t,\t0.5\t\n",
    "\"x\",\"y\"\n\"1\",\"2\"\n\"-3\" , \" 0.5 \"\n",
    "x,y\n+1.0,2e0\n-30E-1,.5\n",
    "x,y\n1.,002\n-3.000000000000000000000000,5e-1\n",
  };
  tb_context *c = tb_context_new(NULL, NULL);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    tb_table *t;
    if (read_bytes(c, texts[i], strlen(texts[i]), &t))
      fail_msg("text %zu: %s", i, tb_context_message(c));
    assert_int_equal(t->rows, 2);
    assert_int_equal(t->cols, 2);
    assert_string_equal(t->names[0], "x");
    assert_string_equal(t->names[1], "y");
    assert_true(t->values[0] == 1 && t->values[1] == 2 && t->values[2] == -3 && t->values[3] == 0.5);
    assert_int_equal(t->lines[0], 2);
    assert_int_equal(t->lines[1], 3);
    assert_string_equal(t->path, path);
    assert_int_equal(tb_table_column(t, "y"), 1);
    assert_int_equal(tb_table_column(t, "z"), -1);
    tb_table_free(c, t);
  }
  tb_table *t;
  assert_int_equal(read_bytes(c, "a\n", 2, &t), TB_OK); /* a header only: no rows */
  assert_int_equal(t->rows, 0);
  tb_table_free(c, t);
  assert_int_equal(read_bytes(c, "\"a,\"\"b\"\"\",größe\n1,2", 21, &t), TB_OK);
  assert_string_equal(t->names[0], "a,\"b\"");
  assert_string_equal(t->names[1], "größe");
  tb_table_free(c, t);
  tb_table_free(c, NULL);
  tb_context_free(c);
}

/* ---- what is not ---- */

static const char expected_table[] = "expected a header line of column names, then a line of numbers a row";

static const struct {
  const char *text, *place, *message, *excerpt, *hint; /* place behind the path */
} malformed[] = {
  { "", "", "'PATH' is empty", "", expected_table },
  { "\n\n  \n", "", "'PATH' is empty", "", expected_table },
  { "\xef\xbb\xbf", "", "'PATH' is empty", "", expected_table },
  { "\nx,y\n1,2\n", ":1:1", "an empty line before the header", "\n^", expected_table },
  { "\xff\xfex\1,", "", "'PATH' is UTF-16 text", "", "save the file as UTF-8" },
  { "x,y\n1,2\n3\n", ":3:2", "1 field where the header has 2", "3\n ^", "" },
  { "x,y,z\r\n1,2\r\n", ":2:4", "2 fields where the header has 3", "1,2\n   ^", "" },
  { "x,y,z\n1,two\n", ":2:6", "2 fields where the header has 3", "1,two\n     ^", "" },
  { "x,y\n1,2,3,4\n", ":2:5", "4 fields where the header has 2", "1,2,3,4\n    ^", "" },
  { "x,y\n1,2,\n", ":2:5", "3 fields where the header has 2", "1,2,\n    ^", "" },
  { "x,y\n1,abc\n", ":2:3", "column 'y': 'abc' is not a number", "1,abc\n  ^", "" },
  { "x,y\n1.5kg,2\n", ":2:1", "column 'x': '1.5kg' is not a number", "1.5kg,2\n^", "" },
  { "x,y\n1,2\n--3,4\n", ":3:1", "column 'x': '--3' is not a number", "--3,4\n^", "" },
  { "x,y\n1,NaN\n", ":2:3", "column 'y': 'NaN' is a missing value", "1,NaN\n  ^",
    "fill in the value, or remove the row" },
  { "x,y\n1,-nan\n", ":2:3", "column 'y': '-nan' is a missing value", "1,-nan\n  ^",
    "fill in the value, or remove the row" },
  { "x,y\n1, NA\n", ":2:4", "column 'y': 'NA' is a missing value", "1, NA\n   ^",
    "fill in the value, or remove the row" },
  { "x,y\n-inf,1\n", ":2:1", "column 'x': '-inf' is not finite", "-inf,1\n^", "" },
  { "x,y\n1,Infinity\n", ":2:3", "column 'y': 'Infinity' is not finite", "1,Infinity\n  ^", "" },
  { "x,y\n1,1e999\n", ":2:3", "column 'y': '1e999' is too large for a double", "1,1e999\n  ^", "" },
  { "x,y\n-1e999,1\n", ":2:1", "column 'x': '-1e999' is too large for a double", "-1e999,1\n^", "" },
  { "x,y\n0x1F,1\n", ":2:1", "column 'x': '0x1F' is not a number", "0x1F,1\n^", "write it in decimal" },
  { "x,y\n1,\n", ":2:3", "column 'y': empty field", "1,\n  ^", "fill in the value, or remove the row" },
  { "x,y\n,2\n", ":2:1", "column 'x': empty field", ",2\n^", "fill in the value, or remove the row" },
  { "x,y\n\"\",2\n", ":2:1", "column 'x': empty field", "\"\",2\n^", "fill in the value, or remove the row" },
  { "x,y\n1,  \n", ":2:5", "column 'y': empty field", "1,  \n    ^", "fill in the value, or remove the row" },
  { "x,y\n1,\"2\n3,4\n", ":2:3", "a quote that does not close", "1,\"2\n  ^",
    "close it on the same line, or remove it" },
  { "x,\"y\n1,2\n", ":1:3", "a quote that does not close", "x,\"y\n  ^", "close it on the same line, or remove it" },
  { "x,y\n\"1\"2,3\n", ":2:4", "text behind a closing quote", "\"1\"2,3\n   ^",
    "a quote within quotes is written twice" },
  { "x,y\n1,\"a\"\n", ":2:4", "column 'y': 'a' is not a number", "1,\"a\"\n   ^", "" },
  { "x,y\n1,2\n\n3,4\n", ":3:1", "an empty line between rows", "\n^", "remove it" },
  { "x,y,x\n1,2,3\n", ":1:5", "columns 1 and 3 are both named 'x'", "x,y,x\n    ^", "rename one of them" },
  { "x,,y\n1,2,3\n", ":1:3", "column 2 has no name", "x,,y\n  ^", "give every column a name" },
  { "x,gr\xf6\xdf"
    "e\n1,2\n",
    ":1:5", "the name of column 2 is not UTF-8", "x,gr??e\n    ^", "save the file as UTF-8" },
  { "1,2\n3,4\n", ":1:1", "the first line holds numbers where column names are expected", "1,2\n^",
    "add a first line with column names, such as x1,x2,y" },
  { "x;y\n1;2\n", ":1:2", "fields are parted by commas, not by ';'", "x;y\n ^", "use commas, and points in numbers" },
  { "x\ty\n1\t2\n", ":1:2", "fields are parted by commas, not by tabs", "x y\n ^",
    "use commas, and points in numbers" },
  { "x,y\n1;2,3\n", ":2:1", "column 'x': '1;2' is not a number", "1;2,3\n^", "fields are parted by commas" },
  { "x,y\n1 2,3\n", ":2:1", "column 'x': '1 2' is not a number", "1 2,3\n^", "fields are parted by commas" },
  { "x,y\n1,2\r3,4\r", ":2:5", "3 fields where the header has 2", NULL, NULL }, /* old Macintosh line ends */
  { "x,y\n1,\xff\n", ":2:3", "column 'y': '?' is not a number", "1,?\n  ^", "" },
  { "größe,y\n1,ü\n", ":2:3", "column 'y': 'ü' is not a number", "1,ü\n  ^", "" },
};

static void complaints(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
    tb_table *t;
    char place[256], message[256];
    tb_context_clear(c);
    assert_int_equal(read_bytes(c, malformed[i].text, strlen(malformed[i].text), &t), TB_BAD_DATA);
    assert_null(t);
    if (!malformed[i].hint) { /* only that it is refused on that line */
      assert_non_null(strstr(tb_context_place(c), ":2:"));
      continue;
    }
    snprintf(place, sizeof place, "%s%s", path, malformed[i].place);
    const char *in = strstr(malformed[i].message, "PATH");
    snprintf(message, sizeof message, "%.*s%s%s", in ? (int)(in - malformed[i].message) : 0, malformed[i].message,
             in ? path : "", in ? in + 4 : malformed[i].message);
    assert_string_equal(tb_context_message(c), message);
    assert_string_equal(tb_context_place(c), place);
    assert_string_equal(tb_context_excerpt(c), malformed[i].excerpt);
    assert_string_equal(tb_context_hint(c), malformed[i].hint);
  }
  tb_context_free(c);
}

static void complaints_about_files(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  tb_table *t;
  char message[256];
  assert_int_equal(read_bytes(c, "x\n1\n", 4, &t), TB_OK);
  tb_table_free(c, t);
  snprintf(message, sizeof message, "%s/dtaa.csv", folder);
  assert_int_equal(tb_csv_read(c, message, &t), TB_BAD_DATA);
  snprintf(message, sizeof message, "no such file '%s/dtaa.csv'", folder);
  assert_string_equal(tb_context_message(c), message);
  snprintf(message, sizeof message, "did you mean '%s'?", path);
  assert_string_equal(tb_context_hint(c), message);
  assert_int_equal(tb_csv_read(c, folder, &t), TB_BAD_DATA);
  snprintf(message, sizeof message, "'%s' is a folder, not a file", folder);
  assert_string_equal(tb_context_message(c), message);

  assert_int_equal(read_bytes(c, "x,y\n1,2\n3\0,4\n", 14, &t), TB_BAD_DATA);
  snprintf(message, sizeof message, "%s:3:2", path);
  assert_string_equal(tb_context_place(c), message);
  assert_string_equal(tb_context_message(c), "a zero byte");
  assert_string_equal(tb_context_hint(c), "is this a text file?");
  tb_context_free(c);
}

static void very_long_lines(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  tb_text text = tb_text_new(c);
  enum { COLS = 200000 };
  for (int i = 0; i < COLS; i++)
    tb_text_format(&text, "%sx%d", i ? "," : "", i);
  for (int i = 0; i < COLS; i++)
    tb_text_format(&text, "%s%d", i ? "," : "\n", i);
  tb_table *t;
  assert_int_equal(read_bytes(c, text.data, text.length, &t), TB_OK);
  assert_int_equal(t->cols, COLS);
  assert_true(t->values[COLS - 1] == COLS - 1);
  tb_table_free(c, t);
  tb_text_add(&text, "e");
  assert_int_equal(read_bytes(c, text.data, text.length, &t), TB_BAD_DATA);
  assert_string_equal(tb_context_message(c), "column 'x199999': '199999e' is not a number");
  assert_true(strlen(tb_context_excerpt(c)) < 250);
  assert_non_null(strstr(tb_context_excerpt(c), "199999e\n"));
  /* one field of a megabyte */
  tb_text_free(&text);
  tb_text_add(&text, "x\n");
  for (int i = 0; i < 1 << 20; i++)
    tb_text_add_bytes(&text, "a", 1);
  assert_int_equal(read_bytes(c, text.data, text.length, &t), TB_BAD_DATA);
  assert_true(strlen(tb_context_message(c)) < 120);
  tb_text_free(&text);
  tb_context_free(c);
}

static void complaints_about_values(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  tb_table *t;
  char place[256];
  assert_int_equal(read_bytes(c, "x,label\n1,-1\n2, 3\n", 18, &t), TB_OK);
  assert_int_equal(tb_table_fail(c, t, 1, 1, "labels are -1 or 1", "label %g", t->values[3]), TB_BAD_DATA);
  snprintf(place, sizeof place, "%s:3:4", path);
  assert_string_equal(tb_context_place(c), place);
  assert_string_equal(tb_context_message(c), "label 3");
  assert_string_equal(tb_context_excerpt(c), "2, 3\n   ^");
  assert_string_equal(tb_context_hint(c), "labels are -1 or 1");
  unlink(path);
  assert_int_equal(tb_table_fail(c, t, 1, 1, NULL, "label %g", t->values[3]), TB_BAD_DATA);
  snprintf(place, sizeof place, "%s:3", path);
  assert_string_equal(tb_context_place(c), place);
  assert_string_equal(tb_context_message(c), "label 3");
  tb_table_free(c, t);
  tb_context_free(c);
}

/* ---- round trip and robustness ---- */

static void written_is_read(void **state) {
  static const char *const names[] = { "plain", "with, comma", "with \"quotes\"", " blanks " };
  static double values[4 * 500];
  tb_context *c = tb_context_new(NULL, NULL);
  for (size_t i = 0; i < 2000; i++) {
    uint64_t bits = tb_random_below((tb_key){ .seed = 1 }, i, UINT64_MAX);
    memcpy(&values[i], &bits, sizeof bits);
    if (!isfinite(values[i]))
      values[i] = 0.1;
  }
  assert_int_equal(tb_csv_write(c, path, 500, 4, names, values), TB_OK);
  tb_table *t;
  assert_int_equal(tb_csv_read(c, path, &t), TB_OK);
  assert_int_equal(t->rows, 500);
  assert_int_equal(t->cols, 4);
  for (int i = 0; i < 4; i++)
    assert_string_equal(t->names[i], names[i]);
  assert_memory_equal(t->values, values, sizeof values);
  tb_table_free(c, t);
  assert_int_equal(tb_csv_write(c, "/dev/full", 500, 4, names, values), TB_NO_DISK);
  tb_context_free(c);
}

/* Bytes from a small alphabet of troublemakers: any answer is fine that is an answer. */
static void random_bytes_are_answered(void **state) {
  static const char alphabet[] = "x1,,\n\n\r\"\" .e-\t;n";
  tb_context *c = tb_context_new(NULL, NULL);
  size_t good = 0;
  for (uint32_t i = 0; i < 1000; i++) {
    tb_key key = { .seed = 3, .step = i };
    char bytes[40];
    size_t size = tb_random_below(key, 0, sizeof bytes);
    for (size_t k = 0; k < size; k++)
      bytes[k] = alphabet[tb_random_below(key, k + 1, sizeof alphabet)];
    tb_table *t;
    tb_status status = read_bytes(c, bytes, size, &t);
    assert_true(status == TB_OK || status == TB_BAD_DATA);
    good += status == TB_OK;
    if (status)
      assert_true(tb_context_message(c)[0] != 0);
    tb_table_free(c, t);
  }
  assert_true(good > 10);
  tb_context_free(c);
}

static tb_status use_everything(tb_context *c) {
  tb_table *t = NULL;
  double values[300] = { 0 };
  tb_status status = tb_csv_write(c, path, 100, 3, (const char *const[]){ "a", "b", "c" }, values);
  if (!status)
    status = tb_csv_read(c, path, &t);
  if (!status) {
    tb_table_fail(c, t, 0, 0, NULL, "x");
    tb_context_clear(c);
  }
  tb_table_free(c, t);
  return status;
}

static void every_failing_allocation_is_reported(void **state) {
  for (long n = 2;; n++) {
    meter m = { .fail_at = n };
    tb_context *c = tb_context_new(meter_allocate, &m);
    tb_status status = use_everything(c);
    bool failed = m.calls >= n;
    assert_true(status == TB_OK || (failed && status == TB_NO_MEMORY && tb_context_status(c) == TB_NO_MEMORY));
    tb_context_free(c);
    assert_int_equal(m.live, 0);
    if (!failed)
      break;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(well_formed),
    cmocka_unit_test(complaints),
    cmocka_unit_test(complaints_about_files),
    cmocka_unit_test(very_long_lines),
    cmocka_unit_test(complaints_about_values),
    cmocka_unit_test(written_is_read),
    cmocka_unit_test(random_bytes_are_answered),
    cmocka_unit_test(every_failing_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

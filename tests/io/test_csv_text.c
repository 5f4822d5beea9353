/* CSV of texts, and the places of values in JSON. */
#include "../testing.h"

#include <stdio.h>
#include <unistd.h>

#include <io/csv_text.h>
#include <io/json.h>

static tb_status read_text(tb_context *c, tb_arena *arena, const char *content, tb_text_table *table) {
  static char path[64];
  snprintf(path, sizeof path, "/tmp/tb_csv_text_%d.csv", (int)getpid());
  assert_int_equal(tb_file_write(c, path, content, strlen(content)), TB_OK);
  tb_status status = tb_csv_read_text(c, arena, path, table);
  unlink(path);
  return status;
}

static void fields_are_cut(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  tb_arena *arena = tb_arena_new(c);
  tb_text_table t;
  assert_int_equal(read_text(c, arena, "\xef\xbb\xbfname, value\r\n a b ,\"x, \"\"y\"\"\"\n\n,\" \"\n", &t), TB_OK);
  assert_int_equal(t.rows, 2);
  assert_int_equal(t.cols, 2);
  assert_int_equal(tb_text_table_column(&t, "value"), 1);
  assert_int_equal(tb_text_table_column(&t, "nothing"), -1);
  assert_string_equal(t.fields[0], "a b");
  assert_string_equal(t.fields[1], "x, \"y\"");
  assert_string_equal(t.fields[2], "");
  assert_string_equal(t.fields[3], " ");
  assert_int_equal(tb_text_table_fail(c, &t, 1, 1, 0, NULL, "no"), TB_BAD_DATA);
  assert_non_null(strstr(tb_context_place(c), ":4:3"));
  assert_int_equal(read_text(c, arena, "name\nlast line", &t), TB_OK);
  assert_string_equal(t.fields[0], "last line");
  tb_arena_free(arena);
  tb_context_free(c);
}

static void faults_are_told(void **state) {
  static const struct {
    const char *content, *place, *message;
  } cases[] = {
    { "", ".csv", "has no header" },
    { "a,b\n1\n", ":2:2", "fewer fields than the 2 of the header" },
    { "a,b\n1,2,3\n", ":2:4", "more fields than the 2 of the header" },
    { "a,b\n1,\"2\n", ":2:3", "a quote that does not close" },
    { "a,b\n\"1\"2,3\n", ":2:4", "text behind a closing quote" },
  };
  tb_context *c = tb_context_new(NULL, NULL);
  tb_arena *arena = tb_arena_new(c);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tb_text_table t;
    assert_int_equal(read_text(c, arena, cases[i].content, &t), TB_BAD_DATA);
    assert_non_null(strstr(tb_context_message(c), cases[i].message));
    const char *place = tb_context_place(c);
    assert_string_equal(place + strlen(place) - strlen(cases[i].place), cases[i].place);
  }
  tb_arena_free(arena);
  tb_context_free(c);
}

static void values_of_json_have_places(void **state) {
  static const char text[] = "{\"a\": [1, {\"b\\\"\": \"]\", \"c\": [ ]}],\n \"c\" : 2}";
  const tb_json_step steps[] = { { "a", 0 }, { NULL, 1 }, { "c", 0 } }, top = { "c", 0 }, absent = { "d", 0 };
  tb_context *c = tb_context_new(NULL, NULL);
  assert_int_equal(tb_json_fail(c, "x", text, 3, steps, NULL, "no"), TB_BAD_DATA);
  assert_string_equal(tb_context_place(c), "x:1:29");
  assert_int_equal(tb_json_fail(c, "x", text, 1, &top, NULL, "no"), TB_BAD_DATA);
  assert_string_equal(tb_context_place(c), "x:2:8");
  assert_int_equal(tb_json_fail(c, "x", text, 1, &absent, NULL, "no"), TB_BAD_DATA);
  assert_string_equal(tb_context_place(c), "x:1:1");
  tb_context_free(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(fields_are_cut),
    cmocka_unit_test(faults_are_told),
    cmocka_unit_test(values_of_json_have_places),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

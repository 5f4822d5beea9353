/* YAML: documents, values and places; exact complaints; random malformed bytes; exhausted memory. */
#include "testing.h"

#include <stdio.h>
#include <unistd.h>

#include <io/yaml.h>
#include <tiebreak/random.h>

static char folder[64], path[128];

static int make_folder(void **state) {
  strcpy(folder, "/tmp/tiebreak-yaml-XXXXXX");
  if (!mkdtemp(folder))
    return -1;
  snprintf(path, sizeof path, "%s/study.yaml", folder);
  return 0;
}

static int remove_folder(void **state) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
}

static void write_bytes(const void *bytes, size_t size) {
  unlink(path); /* a truncated file would be flushed to the disk */
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}

static tb_status read_text(tb_context *c, tb_arena *arena, const char *text, size_t *count,
                           tb_yaml_document **documents) {
  write_bytes(text, strlen(text));
  return tb_yaml_read(c, arena, path, count, documents);
}

/* ---- what is read ---- */

static const char good[] = "# a study\n"
                           "study: separable\n"
                           "title: \"Depth: without 'the' magic\"  # quoted\n"
                           "größe: ä b\n"
                           "at: [1, 'two', 3.5]\n"
                           "seed: 0:9\n"
                           "nothing:\n"
                           "null_word: ~\n"
                           "null_text: \"null\"\n"
                           "lr: 0.1,0.2\n"
                           "matrix: [[1, 0], [0.5, 1]]\n"
                           "block:\n"
                           "- 1\n"
                           "- 2\n"
                           "long: >\n"
                           "  folded\n"
                           "  text\n"
                           "'quoted key': x\n"
                           "empty: []\n"
                           "---\n"
                           "---\n"
                           "study: other\n"
                           "...\n"
                           "---\n"
                           "{study: third, lr: 1}\n";

static const struct {
  size_t document;
  tb_yaml_pair pair;
} expected_pairs[] = {
  { 0, { "study", "separable", 2, 1, 2, 8 } },    { 0, { "title", "Depth: without 'the' magic", 3, 1, 3, 8 } },
  { 0, { "größe", "ä b", 4, 1, 4, 10 } }, /* columns are bytes */
  { 0, { "at", "1,two,3.5", 5, 1, 5, 5 } },       { 0, { "seed", "0:9", 6, 1, 6, 7 } },
  { 0, { "nothing", "", 7, 1, 7, 9 } },           { 0, { "null_word", "", 8, 1, 8, 12 } },
  { 0, { "null_text", "null", 9, 1, 9, 12 } },    { 0, { "lr", "0.1,0.2", 10, 1, 10, 5 } },
  { 0, { "matrix", "1,0/0.5,1", 11, 1, 11, 9 } }, { 0, { "block", "1,2", 12, 1, 13, 1 } },
  { 0, { "long", "folded text", 15, 1, 16, 1 } }, { 0, { "quoted key", "x", 18, 1, 18, 15 } },
  { 0, { "empty", "", 19, 1, 19, 8 } },           { 1, { "study", "other", 22, 1, 22, 8 } },
  { 2, { "study", "third", 25, 2, 25, 9 } },      { 2, { "lr", "1", 25, 16, 25, 20 } },
};

static void check_good(const char *text) {
  tb_context *c = tb_context_new(NULL, NULL);
  tb_arena *arena = tb_arena_new(c);
  tb_yaml_document *documents;
  size_t count, seen[3] = { 0 };
  if (read_text(c, arena, text, &count, &documents))
    fail_msg("%s %s", tb_context_place(c), tb_context_message(c));
  assert_int_equal(count, 3);
  for (size_t i = 0; i < sizeof expected_pairs / sizeof *expected_pairs; i++) {
    size_t d = expected_pairs[i].document;
    assert_true(seen[d] < documents[d].count);
    const tb_yaml_pair *got = &documents[d].pairs[seen[d]++], *want = &expected_pairs[i].pair;
    assert_string_equal(got->key, want->key);
    assert_string_equal(got->value, want->value);
    if (got->key_line != want->key_line || got->key_column != want->key_column || got->value_line != want->value_line ||
        got->value_column != want->value_column)
      fail_msg("%s at %d:%d, value at %d:%d", got->key, got->key_line, got->key_column, got->value_line,
               got->value_column);
  }
  for (size_t d = 0; d < 3; d++)
    assert_int_equal(documents[d].count, seen[d]);
  tb_arena_free(arena);
  tb_context_free(c);
}

static void documents_are_read(void **state) {
  check_good(good);
  char text[2000] = "\xef\xbb\xbf"; /* a byte-order mark changes no place */
  strcat(text, good);
  check_good(text);
}

static void windows_line_ends(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  tb_arena *arena = tb_arena_new(c);
  tb_yaml_document *documents;
  size_t count;
  assert_int_equal(read_text(c, arena, "study: x\r\nlr: 0.1\r\n", &count, &documents), TB_OK);
  assert_int_equal(documents[0].count, 2);
  assert_string_equal(documents[0].pairs[0].value, "x");
  assert_string_equal(documents[0].pairs[1].value, "0.1");
  assert_int_equal(documents[0].pairs[1].value_line, 2);
  assert_int_equal(read_text(c, arena, "study: x", &count, &documents), TB_OK);
  assert_int_equal(count, 1);
  tb_arena_free(arena);
  tb_context_free(c);
}

/* ---- what is not ---- */

static const char lines[] = "a study file has lines of 'key: value', with a blank behind the colon";

static const struct {
  const char *text, *place, *message, *excerpt, *hint;
} malformed[] = {
  { "", "", "'PATH' is empty", "", lines },
  { "# only a comment\n", "", "'PATH' is empty", "", lines },
  { "---\n---\n", "", "'PATH' is empty", "", lines },
  { "lr:0.1\n", ":1:1", "expected 'key: value'", "lr:0.1\n^", lines },
  { "- 1\n- 2\n", ":1:1", "expected 'key: value'", "- 1\n^", lines },
  { "lr: 0.1\nseed: 1\nlr: 0.2\n", ":3:1", "'lr' is given twice", "lr: 0.2\n^", "first in line 1" },
  { "lr: 0.1\nnet:\n  width: 5\n", ":3:3", "a mapping within a mapping", "  width: 5\n  ^",
    "options are flat: one 'key: value' a line" },
  { "a: {b: 1}\n", ":1:4", "a mapping within a mapping", "a: {b: 1}\n   ^",
    "options are flat: one 'key: value' a line" },
  { "a: [1, {b: 1}]\n", ":1:8", "a mapping within a mapping", "a: [1, {b: 1}]\n       ^",
    "options are flat: one 'key: value' a line" },
  { "a: [[[1]]]\n", ":1:6", "sequences are nested too deeply", "a: [[[1]]]\n     ^", "" },
  { "a: &x 1\nb: *x\n", ":2:4", "aliases are not supported", "b: *x\n   ^", "write the value out" },
  { "[a]: 1\n", ":1:1", "a key must be a word", "[a]: 1\n^", lines },
  { ": 1\n", ":1:1", "a key without a name", ": 1\n^", lines },
  { "a: [1, 2\nb: 3\n", ":3:1", "flow sequence without a closing bracket", "\n^", lines },
  { "a: 1\n\tb: 2\n", ":1:4", "invalid multiline plain key", "a: 1\n   ^", lines },
  { "ä: b: c\n", ":1:6", "invalid nested block mapping on the same line", "ä: b: c\n    ^", lines },
  { "a: @x\n", ":1:4", "plain scalar cannot start with '@'", "a: @x\n   ^", lines },
  { "a: \"x\nb: 1", ":1:4", "wrongly indented double-quoted scalar", "a: \"x\n   ^", lines },
  { "a: 1\nb: \xff\n", ":2:4", "a byte that is not UTF-8", "b: ?\n   ^", "save the file as UTF-8" },
  { "\xff\xfe"
    "a",
    "", "'PATH' is UTF-16 text", "", "save the file as UTF-8" },
};

static void complaints(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  tb_arena *arena = tb_arena_new(c);
  for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
    tb_yaml_document *documents;
    size_t count;
    char place[256], message[256];
    tb_context_clear(c);
    assert_int_equal(read_text(c, arena, malformed[i].text, &count, &documents), TB_USAGE);
    assert_int_equal(count, 0);
    snprintf(place, sizeof place, "%s%s", path, malformed[i].place);
    const char *in = strstr(malformed[i].message, "PATH");
    snprintf(message, sizeof message, "%.*s%s%s", in ? (int)(in - malformed[i].message) : 0, malformed[i].message,
             in ? path : "", in ? in + 4 : malformed[i].message);
    assert_string_equal(tb_context_message(c), message);
    assert_string_equal(tb_context_place(c), place);
    assert_string_equal(tb_context_excerpt(c), malformed[i].excerpt);
    assert_string_equal(tb_context_hint(c), malformed[i].hint);
  }
  tb_yaml_document *documents;
  size_t count;
  char message[256];
  write_bytes("a: 1\nb\0: 2\n", 12);
  assert_int_equal(tb_yaml_read(c, arena, path, &count, &documents), TB_USAGE);
  assert_string_equal(tb_context_message(c), "a zero byte");
  assert_string_equal(tb_context_hint(c), "is this a text file?");
  snprintf(message, sizeof message, "%s/none.yaml", folder);
  assert_int_equal(tb_yaml_read(c, arena, message, &count, &documents), TB_BAD_DATA);
  assert_int_equal(tb_yaml_read(c, arena, folder, &count, &documents), TB_BAD_DATA);
  tb_arena_free(arena);
  tb_context_free(c);
}

static void complaints_by_others(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  char place[256];
  write_bytes("study: x\nmetod: gd\n", 19);
  assert_int_equal(tb_yaml_fail(c, path, 2, 1, "did you mean 'method'?", "unknown option '%s'", "metod"), TB_USAGE);
  snprintf(place, sizeof place, "%s:2:1", path);
  assert_string_equal(tb_context_place(c), place);
  assert_string_equal(tb_context_message(c), "unknown option 'metod'");
  assert_string_equal(tb_context_excerpt(c), "metod: gd\n^");
  assert_string_equal(tb_context_hint(c), "did you mean 'method'?");
  unlink(path);
  assert_int_equal(tb_yaml_fail(c, path, 2, 1, NULL, "unknown option"), TB_USAGE);
  assert_string_equal(tb_context_place(c), place);
  assert_string_equal(tb_context_excerpt(c), "");
  tb_context_free(c);
}

/* ---- robustness ---- */

static void random_bytes_are_answered(void **state) {
  static const char *const pieces[] = { "a",  "b: ", "\n",  "  ", "- ",    "[",   "]", "{",        "}",
                                        ", ", "\"",  "'",   "#",  "---\n", "|\n", ">", "&x ",      "*x",
                                        "? ", ": ",  "!t ", "\t", "~",     "%",   "@", "\xc3\xa4", "..." };
  tb_context *c = tb_context_new(NULL, NULL);
  size_t good_ones = 0;
  for (uint32_t i = 0; i < 1500; i++) {
    tb_key key = { .seed = 4, .step = i };
    char text[256] = "";
    size_t n = tb_random_below(key, 0, 20);
    for (size_t k = 0; k < n; k++)
      strcat(text, pieces[tb_random_below(key, k + 1, sizeof pieces / sizeof *pieces)]);
    tb_arena *arena = tb_arena_new(c);
    tb_yaml_document *documents;
    size_t count;
    tb_status status = read_text(c, arena, text, &count, &documents);
    assert_true(status == TB_OK || status == TB_USAGE);
    good_ones += status == TB_OK;
    tb_arena_free(arena);
  }
  assert_true(good_ones > 5);
  tb_context_free(c);
}

static void every_failing_allocation_is_reported(void **state) {
  write_bytes(good, strlen(good));
  for (long n = 2;; n++) {
    meter m = { .fail_at = n };
    tb_context *c = tb_context_new(meter_allocate, &m);
    tb_arena *arena = tb_arena_new(c);
    tb_yaml_document *documents;
    size_t count;
    tb_status status = arena ? tb_yaml_read(c, arena, path, &count, &documents) : TB_NO_MEMORY;
    bool failed = m.calls >= n;
    assert_int_equal(status, failed ? TB_NO_MEMORY : TB_OK);
    if (failed)
      assert_int_equal(tb_context_status(c), TB_NO_MEMORY);
    tb_arena_free(arena);
    tb_context_free(c);
    assert_int_equal(m.live, 0);
    if (!failed)
      break;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(documents_are_read),
    cmocka_unit_test(windows_line_ends),
    cmocka_unit_test(complaints),
    cmocka_unit_test(complaints_by_others),
    cmocka_unit_test(random_bytes_are_answered),
    cmocka_unit_test(every_failing_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

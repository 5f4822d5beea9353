/* base: failures, memory, arenas, text, files, suggestions. */
#include "testing.h"

#include "base/block.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static int make_folder(void **state) {
  strcpy(folder, "/tmp/tiebreak-base-XXXXXX");
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  char command[256];
  snprintf(command, sizeof command, "chmod -R u+w %s; rm -rf %s", folder, folder);
  return system(command);
}

static const char *in_folder(const char *name) {
  static char path[4][512];
  static int turn;
  turn = (turn + 1) % 4;
  snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
  return path[turn];
}

static size_t folder_entries(const char *path) {
  size_t n = 0;
  DIR *dir = opendir(path);
  assert_non_null(dir);
  while (readdir(dir))
    n++;
  closedir(dir);
  return n - 2;
}

/* ---- status and failures ---- */

static void statuses_have_names_and_exit_codes(void **state) {
  assert_string_equal(tb_status_name(TB_BAD_DATA), "bad data");
  assert_int_equal(tb_status_exit_code(TB_OK), 0);
  assert_int_equal(tb_status_exit_code(TB_USAGE), 2);
  assert_int_equal(tb_status_exit_code(TB_NO_DISK), 4);
  assert_int_equal(tb_status_exit_code(TB_STOPPED), 75);
  assert_int_equal(tb_status_exit_code(TB_INTERRUPTED), 130);
  assert_string_equal(tb_status_name((tb_status)99), "unknown status");
}

static void failure_is_kept(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  assert_int_equal(tb_context_status(c), TB_OK);
  assert_string_equal(tb_context_message(c), "");
  assert_int_equal(tb_fail(c, TB_USAGE, "a.yaml:3:7", "try again", "bad value %d", 7), TB_USAGE);
  tb_fail_excerpt(c, "  lr: abc\n", 7);
  assert_int_equal(tb_context_status(c), TB_USAGE);
  assert_string_equal(tb_context_message(c), "bad value 7");
  assert_string_equal(tb_context_place(c), "a.yaml:3:7");
  assert_string_equal(tb_context_hint(c), "try again");
  assert_string_equal(tb_context_excerpt(c), "  lr: abc\n      ^");
  /* its own texts as arguments */
  tb_fail(c, TB_FAILED, tb_context_hint(c), tb_context_place(c), "while running: %s", tb_context_message(c));
  assert_string_equal(tb_context_message(c), "while running: bad value 7");
  assert_string_equal(tb_context_place(c), "try again");
  assert_string_equal(tb_context_hint(c), "a.yaml:3:7");
  assert_string_equal(tb_context_excerpt(c), "");
  tb_context_clear(c);
  assert_int_equal(tb_context_status(c), TB_OK);
  assert_string_equal(tb_context_place(c), "");
  tb_context_free(c);
  tb_context_free(NULL);
}

static void failure_texts_are_clean(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  tb_fail(c, TB_BAD_DATA, "x", NULL, "found '%s'", "a\x1b[31m\xff\xc0\xafß\t\xe2\x82");
  assert_string_equal(tb_context_message(c), "found 'a?[31m\?\?\?ß \?\?'");
  char *longer = malloc(10001);
  memset(longer, 'x', 10000);
  longer[10000] = 0;
  tb_fail(c, TB_BAD_DATA, longer, longer, "%s", longer);
  const char *message = tb_context_message(c);
  assert_in_range(strlen(message), 2000, 2047);
  assert_string_equal(message + strlen(message) - strlen("…"), "…");
  /* a long line is shown around its column */
  longer[5000] = '?';
  tb_fail_excerpt(c, longer, 5001);
  const char *excerpt = tb_context_excerpt(c), *caret = strchr(excerpt, '^'), *second = strchr(excerpt, '\n') + 1;
  assert_int_equal(strncmp(excerpt, "…x", strlen("…x")), 0);
  assert_int_equal(caret - second, strchr(excerpt, '?') - excerpt - 2 /* the ellipsis is 3 bytes, 1 character */);
  free(longer);
  /* characters, not bytes, before the caret; a caret behind the end */
  tb_fail_excerpt(c, "äöü\tx\r\n", 8);
  assert_string_equal(tb_context_excerpt(c), "äöü x\n    ^");
  tb_fail_excerpt(c, "1,2", 4);
  assert_string_equal(tb_context_excerpt(c), "1,2\n   ^");
  tb_fail_excerpt(c, "1,2", 0);
  assert_string_equal(tb_context_excerpt(c), "1,2");
  tb_fail_excerpt(c, "", 1);
  assert_string_equal(tb_context_excerpt(c), "\n^");
  tb_context_free(c);
}

/* ---- memory ---- */

static void memory_is_counted_zeroed_and_returned(void **state) {
  meter m = { 0 };
  tb_context *c = tb_context_new(meter_allocate, &m);
  unsigned char *a = tb_allocate(c, 10, 3), *b = tb_allocate(c, 0, 8), *d = tb_allocate(c, 0, 8);
  for (int i = 0; i < 30; i++)
    assert_int_equal(a[i], 0);
  assert_non_null(b);
  assert_ptr_not_equal(b, d);
  assert_int_equal((uintptr_t)a % 16, 0);
  memset(a, 7, 30);
  a = tb_reallocate(c, a, 1000, 1);
  assert_int_equal(a[29], 7);
  assert_int_equal(tb_context_allocations(c), 4);
  assert_null(tb_allocate(c, SIZE_MAX / 2, 8));
  assert_int_equal(tb_context_status(c), TB_NO_MEMORY);
  assert_null(tb_allocate(c, SIZE_MAX, 1));
  assert_null(tb_reallocate(c, a, SIZE_MAX / 4, 8)); /* a stays valid */
  assert_int_equal(a[29], 7);
  tb_release(c, a);
  tb_release(c, b);
  tb_release(c, d);
  tb_release(c, NULL);
  tb_context_free(c);
  assert_int_equal(m.live, 0);
  assert_int_equal(m.bytes, 0);

#ifndef SANITIZED
  c = tb_context_new(NULL, NULL);
  assert_null(tb_allocate(c, PTRDIFF_MAX / 2, 1));
  assert_int_equal(tb_context_status(c), TB_NO_MEMORY);
  tb_context_free(c);
#endif
}

static void arena_aligns_zeroes_and_reuses(void **state) {
  meter m = { 0 };
  tb_context *c = tb_context_new(meter_allocate, &m);
  tb_arena *arena = tb_arena_new(c);
  uint64_t after_first = 0;
  for (int round = 0; round < 3; round++) {
    for (size_t i = 0; i < 2000; i++) {
      size_t size = (i * 7919) % (i % 100 == 0 ? 50000 : 300);
      unsigned char *p = tb_arena_allocate(arena, size, 1);
      assert_non_null(p);
      assert_int_equal((uintptr_t)p % 64, 0);
      for (size_t k = 0; k < size; k++)
        if (p[k])
          fail_msg("not zero");
      memset(p, 0xff, size);
    }
    if (round == 0)
      after_first = tb_context_allocations(c);
    assert_int_equal(tb_context_allocations(c), after_first); /* a reset arena needs no new memory */
    tb_arena_reset(arena);
  }
  assert_in_range(after_first, 2, 30);
  assert_string_equal(tb_arena_text(arena, "abc"), "abc");
  assert_string_equal(tb_arena_format(arena, "%s-%04d", "x", 7), "x-0007");
  assert_null(tb_arena_allocate(arena, SIZE_MAX / 2, 4));
  assert_int_equal(tb_context_status(c), TB_NO_MEMORY);
  tb_arena_free(arena);
  tb_arena_free(NULL);
  tb_context_free(c);
  assert_int_equal(m.live, 0);
}

static void text_grows(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  tb_text t = tb_text_new(c);
  tb_text_add(&t, "");
  assert_string_equal(t.data, "");
  for (int i = 0; i < 1000; i++)
    tb_text_format(&t, "%d,", i);
  tb_text_add_bytes(&t, "a\0b", 3);
  assert_int_equal(tb_text_finish(&t), TB_OK);
  assert_int_equal(t.length, 10 * 2 + 90 * 3 + 900 * 4 + 3);
  assert_int_equal(strlen(t.data), t.length - 2);
  assert_int_equal(t.data[t.length], 0);
  tb_text_free(&t);
  assert_null(t.data);
  tb_context_free(c);
}

/* Everything that allocates, with the n-th allocation failing for every n: TB_NO_MEMORY, and nothing is lost. */
static tb_status use_everything(tb_context *c) {
  tb_status status = TB_NO_MEMORY;
  tb_text text = tb_text_new(c);
  char *data = NULL, *piped = NULL; /* /proc tells no size: the buffer must grow */
  size_t size;
  tb_arena *arena = tb_arena_new(c);
  if (!arena)
    goto done;
  for (int i = 0; i < 5; i++)
    if (!tb_arena_allocate(arena, 10000, 1) || !tb_arena_format(arena, "%d", i) || !tb_arena_text(arena, "x"))
      goto done;
  for (int i = 0; i < 300; i++)
    tb_text_format(&text, "%d ", i);
  if ((status = tb_text_finish(&text)))
    goto done;
  if ((status = tb_file_write(c, in_folder("torture"), text.data, text.length)))
    goto done;
  if ((status = tb_file_append(c, in_folder("torture"), "end")))
    goto done;
  status = tb_file_read(c, in_folder("torture"), &data, &size);
  if (!status)
    status = tb_file_read(c, "/proc/self/maps", &piped, &size);
done:
  tb_release(c, piped);
  tb_release(c, data);
  tb_text_free(&text);
  tb_arena_free(arena);
  return status;
}

static void every_failing_allocation_is_reported(void **state) {
  for (long n = 1;; n++) {
    meter m = { .fail_at = n };
    tb_context *c = tb_context_new(meter_allocate, &m);
    if (!c) {
      assert_int_equal(n, 1);
      continue;
    }
    tb_status status = use_everything(c);
    if (m.calls >= n) {
      assert_int_equal(status, TB_NO_MEMORY);
      assert_int_equal(tb_context_status(c), TB_NO_MEMORY);
      assert_non_null(strstr(tb_context_message(c), "out of memory"));
    }
    tb_context_free(c);
    assert_int_equal(m.live, 0);
    assert_int_equal(m.bytes, 0);
    if (m.calls < n) {
      assert_int_equal(status, TB_OK);
      assert_true(n > 10);
      break;
    }
  }
}

/* ---- files ---- */

static void file_round_trip(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  const char *path = in_folder("a.bin");
  size_t size = 100003;
  char *data = malloc(size), *back;
  for (size_t i = 0; i < size; i++)
    data[i] = (char)(i * 31);
  assert_int_equal(tb_file_write(c, path, data, size), TB_OK);
  size_t back_size;
  assert_int_equal(tb_file_read(c, path, &back, &back_size), TB_OK);
  assert_int_equal(back_size, size);
  assert_memory_equal(back, data, size);
  assert_int_equal(back[size], 0);
  tb_release(c, back);
  assert_int_equal(tb_file_write(c, path, "", 0), TB_OK);
  assert_int_equal(tb_file_read(c, path, &back, &back_size), TB_OK);
  assert_int_equal(back_size, 0);
  assert_string_equal(back, "");
  tb_release(c, back);
  assert_int_equal(tb_file_append(c, path, "one"), TB_OK);
  assert_int_equal(tb_file_append(c, path, "two\n"), TB_OK);
  assert_int_equal(tb_file_read(c, path, &back, &back_size), TB_OK);
  assert_string_equal(back, "one\ntwo\n");
  tb_release(c, back);
  free(data);

  /* mode follows the umask; a link stays a link */
  struct stat info;
  mode_t mask = umask(022);
  assert_int_equal(tb_file_write(c, in_folder("mode"), "x", 1), TB_OK);
  umask(mask);
  assert_int_equal(stat(in_folder("mode"), &info), 0);
  assert_int_equal(info.st_mode & 0777, 0644);
  assert_int_equal(symlink("mode", in_folder("link")), 0);
  assert_int_equal(tb_file_write(c, in_folder("link"), "yy", 2), TB_OK);
  assert_int_equal(lstat(in_folder("link"), &info), 0);
  assert_true(S_ISLNK(info.st_mode));
  assert_int_equal(stat(in_folder("mode"), &info), 0);
  assert_int_equal(info.st_size, 2);
  assert_int_equal(folder_entries(folder), 3 + tb_file_exists(in_folder("torture")));
  assert_true(tb_file_exists(path));
  assert_false(tb_file_exists(in_folder("nothing")));

  /* what is not a regular file is written directly, and stays what it is */
  assert_int_equal(tb_file_write(c, "/dev/null", "x", 1), TB_OK);
  assert_int_equal(stat("/dev/null", &info), 0);
  assert_true(S_ISCHR(info.st_mode));
  tb_context_free(c);
}

static void reading_says_what_is_wrong(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  char *data, expected[512];
  size_t size;
  assert_int_equal(tb_file_write(c, in_folder("points.csv"), "x", 1), TB_OK);
  assert_int_equal(tb_file_read(c, in_folder("pionts.csv"), &data, &size), TB_BAD_DATA);
  assert_null(data);
  snprintf(expected, sizeof expected, "no such file '%s'", in_folder("pionts.csv"));
  assert_string_equal(tb_context_message(c), expected);
  assert_string_equal(tb_context_place(c), in_folder("pionts.csv"));
  snprintf(expected, sizeof expected, "did you mean '%s'?", in_folder("points.csv"));
  assert_string_equal(tb_context_hint(c), expected);
  assert_int_equal(tb_file_read(c, folder, &data, &size), TB_BAD_DATA);
  snprintf(expected, sizeof expected, "'%s' is a folder, not a file", folder);
  assert_string_equal(tb_context_message(c), expected);
  assert_int_equal(tb_file_read(c, "/no/such/folder/x.csv", &data, &size), TB_BAD_DATA);
  assert_string_equal(tb_context_hint(c), "");
  assert_int_equal(tb_file_read(c, "", &data, &size), TB_BAD_DATA);
  assert_int_equal(chmod(folder, 0755) | chmod(in_folder("points.csv"), 0), 0);
  bool root = geteuid() == 0;
  assert_int_equal(root ? seteuid(65534) : 0, 0);
  tb_status status = tb_file_read(c, in_folder("points.csv"), &data, &size);
  assert_int_equal(root ? seteuid(0) : 0, 0);
  assert_int_equal(status, TB_BAD_DATA);
  assert_non_null(strstr(tb_context_message(c), "Permission denied"));
  tb_context_free(c);
}

static void full_disk_keeps_the_old_file(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  assert_int_equal(tb_file_write(c, "/dev/full", "x", 1), TB_NO_DISK);
  assert_string_equal(tb_context_message(c), "cannot write '/dev/full': No space left on device");
  assert_string_equal(tb_context_place(c), "/dev/full");
  assert_string_equal(tb_context_hint(c), "free some space on that disk, or write elsewhere");
  assert_int_equal(tb_file_append(c, "/dev/full", "x"), TB_NO_DISK);

  assert_int_equal(tb_folder_create(c, in_folder("full")), TB_OK);
  const char *path = in_folder("full/data");
  assert_int_equal(tb_file_write(c, path, "old\n", 4), TB_OK);
  static char much[1 << 16];
  memset(much, 'x', sizeof much - 1);
  struct rlimit before, limit;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  limit = before;
  limit.rlim_cur = 8192;
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
  tb_status written = tb_file_write(c, path, much, sizeof much);
  tb_status appended = tb_file_append(c, path, much);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, handler);
  assert_int_equal(written, TB_NO_DISK);
  assert_int_equal(appended, TB_NO_DISK);
  char *data;
  size_t size;
  assert_int_equal(tb_file_read(c, path, &data, &size), TB_OK);
  assert_string_equal(data, "old\n"); /* neither replaced nor half appended */
  tb_release(c, data);
  assert_int_equal(folder_entries(in_folder("full")), 1); /* no temporary left */
  tb_context_free(c);
}

static void folders(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  bool exists;
  assert_int_equal(tb_folder_create(c, in_folder("a/b//c/")), TB_OK);
  assert_int_equal(tb_folder_create(c, in_folder("a/b/c")), TB_OK);
  assert_int_equal(tb_folder_claim(c, in_folder("a/b/d"), &exists), TB_OK);
  assert_false(exists);
  assert_int_equal(tb_folder_claim(c, in_folder("a/b/d"), &exists), TB_OK);
  assert_true(exists);
  assert_int_equal(tb_folder_claim(c, in_folder("no/d"), &exists), TB_NO_DISK);
  assert_string_equal(tb_context_hint(c), "the folder above it does not exist");
  assert_int_equal(tb_file_write(c, in_folder("a/file"), "x", 1), TB_OK);
  assert_int_equal(tb_folder_create(c, in_folder("a/file/x")), TB_NO_DISK);
  char expected[512];
  snprintf(expected, sizeof expected, "cannot create folder '%s': a file is in the way", in_folder("a/file/x"));
  assert_string_equal(tb_context_message(c), expected);
  assert_int_equal(tb_folder_create(c, ""), TB_NO_DISK);
  assert_int_equal(tb_file_write(c, in_folder("a"), "x", 1), TB_NO_DISK);
  assert_int_equal(tb_file_write(c, in_folder("missing/x"), "x", 1), TB_NO_DISK);
  snprintf(expected, sizeof expected, "is '%s' an existing folder?", in_folder("missing"));
  assert_string_equal(tb_context_hint(c), expected);
  /* a folder that is not writable, seen by one who is not root */
  assert_int_equal(chmod(folder, 0755) | chmod(in_folder("a"), 0555), 0);
  bool root = geteuid() == 0;
  assert_int_equal(root ? seteuid(65534) : 0, 0);
  tb_status written = tb_file_write(c, in_folder("a/new"), "x", 1);
  assert_int_equal(root ? seteuid(0) : 0, 0);
  assert_int_equal(written, TB_NO_DISK);
  snprintf(expected, sizeof expected, "cannot write '%s': Permission denied", in_folder("a/new"));
  assert_string_equal(tb_context_message(c), expected);
  snprintf(expected, sizeof expected, "'%s' is not writable for you: choose another folder", in_folder("a"));
  assert_string_equal(tb_context_hint(c), expected);
  assert_int_equal(root ? seteuid(65534) : 0, 0);
  written = tb_folder_create(c, in_folder("a/new"));
  assert_int_equal(root ? seteuid(0) : 0, 0);
  assert_int_equal(written, TB_NO_DISK);
  tb_context_free(c);
}

/* ---- clock and words ---- */

static void clocks(void **state) {
  double a = tb_clock_seconds(), b = tb_clock_seconds();
  assert_true(b >= a);
  char text[32];
  tb_clock_utc(text, sizeof text);
  int y, mo, d, h, mi, s, end = 0;
  assert_int_equal(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ%n", &y, &mo, &d, &h, &mi, &s, &end), 6);
  assert_int_equal(end, 20);
  tb_clock_utc(text, 3);
  assert_string_equal(text, "");
}

static void suggestions(void **state) {
  static const char *const words[] = { "method", "fisher", "until_loss", "until_margin",
                                       "lr",     "seed",   "steps",      "damping" };
  static const struct {
    const char *word, *expected;
  } cases[] = {
    { "metod", "method" },
    { "mehtod", "method" },
    { "Method", "method" },
    { "methods", "method" },
    { "meth", "method" },
    { "until-los", "until_loss" },
    { "until_magrin", "until_margin" },
    { "lrr", "lr" },
    { "sead", "seed" },
    { "setps", "steps" },
    { "dampign", "damping" },
    { "dam", "damping" },
    { "temperature", NULL },
    { "x", NULL },
    { "", NULL },
    { "ab", NULL },
    { "fish", "fisher" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *found = tb_suggest(cases[i].word, words, sizeof words / sizeof *words);
    if (!cases[i].expected)
      assert_null(found);
    else if (!found)
      fail_msg("no suggestion for '%s'", cases[i].word);
    else
      assert_string_equal(found, cases[i].expected);
  }
  char longest[200];
  memset(longest, 'm', sizeof longest - 1);
  longest[sizeof longest - 1] = 0;
  assert_null(tb_suggest(longest, words, 8));
  const char *one = longest;
  assert_null(tb_suggest("mmmm", &one, 1));
  assert_null(tb_suggest("m", NULL, 0));
}

static void blocks_come_apart_as_they_were(void **state) {
  tb_context *context = tb_context_new(NULL, NULL);
  char kind[8] = "kind-01", values[3] = { 1, 2, 3 };
  const tb_block_part parts[] = { { kind, sizeof kind }, { values, sizeof values } };
  size_t size;
  char *block = tb_block_join(context, 2, parts, &size);
  assert_int_equal(size, 11);
  memset(values, 0, sizeof values);
  assert_int_equal(tb_block_split(context, block, size - 1, 8, 2, parts), TB_FAILED);
  kind[6] = '2';
  assert_int_equal(tb_block_split(context, block, size, 8, 2, parts), TB_FAILED);
  assert_true(values[0] == 0 && kind[6] == '2');
  assert_int_equal(tb_block_split(context, block, size, 4, 2, parts), TB_OK);
  assert_true(values[0] == 1 && values[2] == 3 && kind[6] == '1');
  tb_release(context, block);
  tb_context_free(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(blocks_come_apart_as_they_were),
    cmocka_unit_test(statuses_have_names_and_exit_codes),
    cmocka_unit_test(failure_is_kept),
    cmocka_unit_test(failure_texts_are_clean),
    cmocka_unit_test(memory_is_counted_zeroed_and_returned),
    cmocka_unit_test(arena_aligns_zeroes_and_reuses),
    cmocka_unit_test(text_grows),
    cmocka_unit_test_setup_teardown(every_failing_allocation_is_reported, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(file_round_trip, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(reading_says_what_is_wrong, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(full_disk_keeps_the_old_file, make_folder, remove_folder),
    cmocka_unit_test_setup_teardown(folders, make_folder, remove_folder),
    cmocka_unit_test(clocks),
    cmocka_unit_test(suggestions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

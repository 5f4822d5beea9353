/* NPZ: own round trip, NumPy reading ours and ours reading NumPy's, damaged files, exhausted memory. */
#include "testing.h"

#include <stdio.h>
#include <unistd.h>

#include <io/npz.h>
#include <tiebreak/random.h>

static char folder[64], path[128];
static const char *python; /* one that has NumPy, else NULL */

static int make_folder(void **state) {
  static const char *const candidates[] = { "python3", "/usr/bin/python3" };
  strcpy(folder, "/tmp/tiebreak-npz-XXXXXX");
  if (!mkdtemp(folder))
    return -1;
  snprintf(path, sizeof path, "%s/a.npz", folder);
  for (size_t i = 0; i < 2 && !python; i++) {
    char command[128];
    snprintf(command, sizeof command, "%s -c 'import numpy' >/dev/null 2>&1", candidates[i]);
    if (system(command) == 0)
      python = candidates[i];
  }
  return 0;
}

static int remove_folder(void **state) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
}

/* Runs a script with the path as its argument; skips the test where there is no NumPy. */
static void run_python(const char *script) {
  if (!python) {
    print_message("           no python3 with numpy here\n");
    skip();
  }
  char script_path[128], command[400];
  snprintf(script_path, sizeof script_path, "%s/script.py", folder);
  FILE *file = fopen(script_path, "w");
  assert_non_null(file);
  fputs(script, file);
  fclose(file);
  snprintf(command, sizeof command, "%s %s %s", python, script_path, path);
  assert_int_equal(system(command), 0);
}

static const double doubles[] = { 0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5 };
static const float floats[] = { 1.25f, -2.5f, 1e-40f };
static const int64_t integers[] = { INT64_MIN, -1, 0, INT64_MAX };
static const char *const words[] = { "gf", "größe", "", "日本" };

static const tb_array sample[] = {
  { .name = "loss", .type = TB_ARRAY_FLOAT64, .rank = 0, .data = doubles + 1 },
  { .name = "beta", .type = TB_ARRAY_FLOAT64, .rank = 1, .dims = { 12 }, .data = doubles },
  { .name = "angle_to.l2", .type = TB_ARRAY_FLOAT64, .rank = 3, .dims = { 2, 3, 2 }, .data = doubles },
  { .name = "weights", .type = TB_ARRAY_FLOAT32, .rank = 2, .dims = { 3, 1 }, .data = floats },
  { .name = "seeds", .type = TB_ARRAY_INT64, .rank = 1, .dims = { 4 }, .data = integers },
  { .name = "names", .type = TB_ARRAY_TEXT, .rank = 2, .dims = { 2, 2 }, .words = words },
  { .name = "none", .type = TB_ARRAY_FLOAT64, .rank = 2, .dims = { 0, 5 } },
};
enum { SAMPLE = sizeof sample / sizeof *sample };

static void round_trip(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  tb_arena *arena = tb_arena_new(c);
  size_t count;
  tb_array *back;
  assert_int_equal(tb_npz_write(c, path, SAMPLE, sample), TB_OK);
  if (tb_npz_read(c, arena, path, &count, &back))
    fail_msg("%s", tb_context_message(c));
  assert_int_equal(count, SAMPLE - 1); /* not the text */
  for (size_t i = 0, k = 0; i < SAMPLE; i++) {
    if (sample[i].type == TB_ARRAY_TEXT)
      continue;
    const tb_array *a = &sample[i], *b = &back[k++];
    size_t elements = 1;
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->rank, b->rank);
    for (size_t axis = 0; axis < a->rank; axis++) {
      assert_int_equal(a->dims[axis], b->dims[axis]);
      elements *= a->dims[axis];
    }
    assert_memory_equal(a->data ? a->data : b->data, b->data, elements * (a->type == TB_ARRAY_FLOAT32 ? 4 : 8));
  }
  assert_int_equal(tb_npz_write(c, path, 0, NULL), TB_OK);
  assert_int_equal(tb_npz_read(c, arena, path, &count, &back), TB_OK);
  assert_int_equal(count, 0);
  tb_arena_free(arena);
  tb_context_free(c);
}

static void same_arrays_same_bytes(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  char *first, *second;
  size_t n, m;
  assert_int_equal(tb_npz_write(c, path, SAMPLE, sample), TB_OK);
  assert_int_equal(tb_file_read(c, path, &first, &n), TB_OK);
  usleep(10000);
  assert_int_equal(tb_npz_write(c, path, SAMPLE, sample), TB_OK);
  assert_int_equal(tb_file_read(c, path, &second, &m), TB_OK);
  assert_int_equal(n, m);
  assert_memory_equal(first, second, n);
  tb_release(c, first);
  tb_release(c, second);
  tb_context_free(c);
}

static void numpy_reads_ours(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  assert_int_equal(tb_npz_write(c, path, SAMPLE, sample), TB_OK);
  tb_context_free(c);
  run_python("import sys, numpy as np\n"
             "z = np.load(sys.argv[1])\n"
             "assert z.files == ['loss', 'beta', 'angle_to.l2', 'weights', 'seeds', 'names', 'none'], z.files\n"
             "half = np.arange(12) / 2\n"
             "def check(name, expected):\n"
             "    a = z[name]\n"
             "    assert a.dtype == expected.dtype and a.shape == expected.shape, (name, a.dtype, a.shape)\n"
             "    assert (a == expected).all(), (name, a)\n"
             "check('loss', np.array(0.5))\n"
             "check('beta', half)\n"
             "check('angle_to.l2', half.reshape(2, 3, 2))\n"
             "check('weights', np.array([[1.25], [-2.5], [1e-40]], dtype='f4'))\n"
             "check('seeds', np.array([-2**63, -1, 0, 2**63 - 1]))\n"
             "check('names', np.array([['gf', 'größe'], ['', '日本']]))\n"
             "check('none', np.zeros((0, 5)))\n");
}

static void check_array(const tb_array *arrays, size_t count, const char *name, tb_array_type type, size_t rank,
                        const size_t *dims, const void *data, size_t size) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(arrays[i].name, name) == 0) {
      assert_int_equal(arrays[i].type, type);
      assert_int_equal(arrays[i].rank, rank);
      for (size_t k = 0; k < rank; k++)
        assert_int_equal(arrays[i].dims[k], dims[k]);
      assert_int_equal((uintptr_t)arrays[i].data % 64, 0);
      assert_memory_equal(arrays[i].data, data, size);
      return;
    }
  fail_msg("no array '%s'", name);
}

static void check_numpys_file(void) {
  static const float halves[] = { 0, 0.5f, 1, 1.5f };
  static const int64_t small[] = { -3, 2, 127 }, positive[] = { 0, 255, 65535 }, truths[] = { 1, 0 };
  static const double scalar[] = { 2.5 };
  tb_context *c = tb_context_new(NULL, NULL);
  tb_arena *arena = tb_arena_new(c);
  size_t n;
  tb_array *a;
  if (tb_npz_read(c, arena, path, &n, &a))
    fail_msg("%s", tb_context_message(c));
  assert_int_equal(n, 12);
  check_array(a, n, "c", TB_ARRAY_FLOAT64, 3, (size_t[]){ 2, 3, 2 }, doubles, sizeof doubles);
  check_array(a, n, "fortran", TB_ARRAY_FLOAT64, 3, (size_t[]){ 2, 3, 2 }, doubles, sizeof doubles);
  check_array(a, n, "single", TB_ARRAY_FLOAT32, 2, (size_t[]){ 2, 2 }, halves, sizeof halves);
  check_array(a, n, "long", TB_ARRAY_INT64, 1, (size_t[]){ 4 }, integers, sizeof integers);
  check_array(a, n, "int", TB_ARRAY_INT64, 1, (size_t[]){ 3 }, small, sizeof small);
  check_array(a, n, "short", TB_ARRAY_INT64, 1, (size_t[]){ 3 }, small, sizeof small);
  check_array(a, n, "byte", TB_ARRAY_INT64, 1, (size_t[]){ 3 }, small, sizeof small);
  check_array(a, n, "word", TB_ARRAY_INT64, 1, (size_t[]){ 3 }, positive, sizeof positive);
  check_array(a, n, "bool", TB_ARRAY_INT64, 1, (size_t[]){ 2 }, truths, sizeof truths);
  check_array(a, n, "scalar", TB_ARRAY_FLOAT64, 0, NULL, scalar, sizeof scalar);
  check_array(a, n, "empty", TB_ARRAY_FLOAT64, 2, (size_t[]){ 3, 0 }, "", 0);
  check_array(a, n, "short_fortran", TB_ARRAY_INT64, 2, (size_t[]){ 3, 1 }, small, sizeof small);
  tb_arena_free(arena);
  tb_context_free(c);
}

#define NUMPY_SAVES                                                                                                    \
  "import sys, numpy as np\n"                                                                                          \
  "half = (np.arange(12) / 2).reshape(2, 3, 2)\n"                                                                      \
  "arrays = dict(c=half, fortran=np.asfortranarray(half), single=half.ravel()[:4].reshape(2, 2).astype('f4'),\n"       \
  "  long=np.array([-2**63, -1, 0, 2**63 - 1]), int=np.array([-3, 2, 127], 'i4'), short=np.array([-3, 2, 127], "       \
  "'i2'),\n"                                                                                                           \
  "  byte=np.array([-3, 2, 127], 'i1'), word=np.array([0, 255, 65535], 'u2'), bool=np.array([True, False]),\n"         \
  "  scalar=np.array(2.5), empty=np.zeros((3, 0)), text=np.array(['a', 'b']), raw=np.array([b'a']),\n"                 \
  "  object=np.array([None, {}], dtype=object), record=np.zeros(2, [('x', 'f8'), ('y', 'i4')]),\n"                     \
  "  date=np.array(['2026-01-01'], 'M8[D]'), short_fortran=np.asfortranarray(np.array([[-3], [2], [127]], 'i2')))\n"

static void ours_reads_numpys(void **state) {
  run_python(NUMPY_SAVES "np.savez(sys.argv[1], **arrays)\n");
  check_numpys_file();
  run_python(NUMPY_SAVES "np.savez_compressed(sys.argv[1], **arrays)\n");
  check_numpys_file();
}

static void what_cannot_be_read_is_said(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  tb_arena *arena = tb_arena_new(c);
  size_t n;
  tb_array *a;
  char message[256];
  assert_int_equal(tb_file_write(c, path, "x,y\n1,2\n", 8), TB_OK);
  assert_int_equal(tb_npz_read(c, arena, path, &n, &a), TB_BAD_DATA);
  snprintf(message, sizeof message, "'%s' is not a zip archive", path);
  assert_string_equal(tb_context_message(c), message);
  assert_string_equal(tb_context_place(c), path);
  assert_string_equal(tb_context_hint(c), "such a file is made by numpy.savez");
  assert_int_equal(tb_file_write(c, path, "", 0), TB_OK);
  assert_int_equal(tb_npz_read(c, arena, path, &n, &a), TB_BAD_DATA);
  assert_int_equal(tb_npz_read(c, arena, folder, &n, &a), TB_BAD_DATA);
  tb_array twice[2] = { sample[0], sample[0] };
  assert_int_equal(tb_npz_write(c, path, 2, twice), TB_FAILED);
  assert_string_equal(tb_context_message(c), "two arrays are named 'loss'");
  assert_int_equal(tb_npz_write(c, "/dev/full", SAMPLE, sample), TB_NO_DISK);
  assert_int_equal(tb_npz_write(c, "/no/such/folder/a.npz", SAMPLE, sample), TB_NO_DISK);
  tb_arena_free(arena);
  if (python) {
    arena = tb_arena_new(c);
    run_python("import sys, numpy as np\nnp.savez(sys.argv[1], z=np.zeros(3, 'c16'))\n");
    assert_int_equal(tb_npz_read(c, arena, path, &n, &a), TB_BAD_DATA);
    assert_string_equal(tb_context_message(c), "array 'z' has elements '<c16', which are not supported");
    run_python("import sys, numpy as np\nnp.savez(sys.argv[1], z=np.zeros(3, '>f8'))\n");
    assert_int_equal(tb_npz_read(c, arena, path, &n, &a), TB_BAD_DATA);
    assert_string_equal(tb_context_message(c), "array 'z' has elements '>f8', which are not supported");
    assert_string_equal(tb_context_hint(c), "convert it with .astype('float64')");
    tb_arena_free(arena);
  }
  tb_context_free(c);
}

/* Every prefix, and thousands of single changed bytes: an answer, never more. */
static void damage_is_answered(void **state) {
  tb_context *c = tb_context_new(NULL, NULL);
  char *bytes;
  size_t size, n, refused = 0;
  tb_array *a;
  assert_int_equal(tb_npz_write(c, path, SAMPLE, sample), TB_OK);
  assert_int_equal(tb_file_read(c, path, &bytes, &size), TB_OK);
  for (size_t i = 0; i < size + 1000; i++) {
    tb_arena *arena = tb_arena_new(c);
    char *copy = malloc(size);
    memcpy(copy, bytes, size);
    size_t length = size;
    if (i < size) {
      length = i;
      if (i % 8 && i + 200 < size) { /* sparing: most prefixes are alike */
        tb_arena_free(arena);
        free(copy);
        continue;
      }
    } else {
      tb_key key = { .seed = 6, .step = (uint32_t)i };
      copy[tb_random_below(key, 0, size)] = (char)tb_random_below(key, 1, 256);
    }
    unlink(path); /* a truncated file would be flushed to the disk */
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fwrite(copy, 1, length, file);
    fclose(file);
    tb_status status = tb_npz_read(c, arena, path, &n, &a);
    assert_true(status == TB_OK || status == TB_BAD_DATA);
    refused += status != TB_OK;
    if (i < size)
      assert_int_equal(status, TB_BAD_DATA);
    tb_arena_free(arena);
    free(copy);
  }
  assert_true(refused > 300);
  tb_release(c, bytes);
  tb_context_free(c);
}

static void every_failing_allocation_is_reported(void **state) {
  for (long n = 2;; n++) {
    meter m = { .fail_at = n };
    tb_context *c = tb_context_new(meter_allocate, &m);
    tb_arena *arena = tb_arena_new(c);
    size_t count;
    tb_array *arrays;
    tb_status status = arena ? tb_npz_write(c, path, SAMPLE, sample) : TB_NO_MEMORY;
    if (!status)
      status = tb_npz_read(c, arena, path, &count, &arrays);
    bool failed = m.calls >= n;
    assert_int_equal(status, failed ? TB_NO_MEMORY : TB_OK);
    tb_arena_free(arena);
    tb_context_free(c);
    assert_int_equal(m.live, 0);
    if (!failed)
      break;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(round_trip),
    cmocka_unit_test(same_arrays_same_bytes),
    cmocka_unit_test(numpy_reads_ours),
    cmocka_unit_test(ours_reads_numpys),
    cmocka_unit_test(what_cannot_be_read_is_said),
    cmocka_unit_test(damage_is_answered),
    cmocka_unit_test(every_failing_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

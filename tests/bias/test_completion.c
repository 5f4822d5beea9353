/* Matrices known in part: the low-rank matrix, the three doors for files, and what each refuses, with its place. */
#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "bias/completion.h"
#include "num/linear.h"

static tb_context *context;
static char root[64], path[2][128];

static int setup(void **state) {
  snprintf(root, sizeof root, "/tmp/tiebreak-completion-%d", (int)getpid());
  snprintf(path[0], sizeof path[0], "%s/a.csv", root);
  snprintf(path[1], sizeof path[1], "%s/b.csv", root);
  context = tb_context_new(NULL, NULL);
  return tb_folder_create(context, root) == TB_OK ? 0 : -1;
}

static int teardown(void **state) {
  unlink(path[0]);
  unlink(path[1]);
  rmdir(root);
  tb_context_free(context);
  return 0;
}

static void put(int which, const char *text) {
  assert_int_equal(tb_file_write(context, path[which], text, strlen(text)), TB_OK);
}

static void test_low_rank(void **state) {
  tb_partial_matrix *p, *other;
  assert_int_equal(tb_partial_matrix_low_rank(context, 12, 9, 2, 40, false, 7, &p), TB_OK);
  double square = 0, copy[12 * 9], values[9];
  size_t seen = 0;
  for (size_t k = 0; k < 12 * 9; k++) {
    square += p->truth[k] * p->truth[k];
    seen += p->observed[k];
  }
  assert_true(fabs(square - 12 * 9) < 1e-10);
  assert_int_equal(seen, 40);
  memcpy(copy, p->truth, sizeof copy);
  assert_int_equal(tb_singular_values(context, 12, 9, copy, values, NULL, NULL), TB_OK);
  assert_true(values[1] > 1 && values[2] < 1e-12 * values[0]);
  for (size_t k = 0; k < p->count; k++) {
    size_t at = p->row[k] * 9 + p->col[k];
    assert_true(p->observed[at] && p->y[k] == p->truth[at]);
    assert_true(k == 0 || at > p->row[k - 1] * 9 + p->col[k - 1]);
  }
  /* the same matrix whatever is seen of it */
  assert_int_equal(tb_partial_matrix_low_rank(context, 12, 9, 2, 5, true, 7, &other), TB_OK);
  assert_memory_equal(p->truth, other->truth, 12 * 9 * sizeof(double));
  assert_null(other->row);
  for (size_t k = 0; k < 5; k++)
    assert_true(fabs(other->y[k] - tb_dot(12 * 9, other->dense + k * 12 * 9, other->truth)) < 1e-12);
  tb_partial_matrix_free(context, other);
  tb_partial_matrix_free(context, p);
}

static void test_entries(void **state) {
  tb_partial_matrix *p;
  put(0, "i,j,value\n2,1,5\n0,3,-1\n0,0,2\n");
  put(1, "i,j,value\n1,1,7\n2,1,6\n");
  assert_int_equal(tb_partial_matrix_read(context, path[0], 0, 0, path[1], &p), TB_OK);
  assert_int_equal(p->rows, 3);
  assert_int_equal(p->cols, 4);
  assert_int_equal(p->count, 3);
  assert_true(p->row[0] == 0 && p->col[0] == 0 && p->y[0] == 2);
  assert_true(p->row[2] == 2 && p->col[2] == 1 && p->y[2] == 5);
  assert_true(p->truth[1 * 4 + 1] == 7 && p->truth[2 * 4 + 1] == 6 && isnan(p->truth[0]));
  tb_partial_matrix_free(context, p);
  assert_int_equal(tb_partial_matrix_read(context, path[0], 5, 6, "", &p), TB_OK);
  assert_true(p->rows == 5 && p->cols == 6 && !p->truth);
  tb_partial_matrix_free(context, p);
}

static void test_sensing(void **state) {
  tb_partial_matrix *p;
  put(0, "a00,a01,a02,a10,a11,a12,y\n1,0,0,0,2,0,3\n0,1,0,0,0,0,-1\n");
  assert_int_equal(tb_partial_matrix_read_sensing(context, path[0], 0, 0, "", &p), TB_OK);
  assert_true(p->rows == 2 && p->cols == 3 && p->count == 2 && !p->row);
  assert_true(p->dense[4] == 2 && p->dense[7] == 1 && p->y[0] == 3 && p->y[1] == -1);
  tb_partial_matrix_free(context, p);
  put(0, "a0_0,a0_1,y\n1,2,3\n");
  assert_int_equal(tb_partial_matrix_read_sensing(context, path[0], 0, 0, "", &p), TB_OK);
  assert_true(p->rows == 1 && p->cols == 2);
  tb_partial_matrix_free(context, p);
}

static void test_ratings(void **state) {
  tb_partial_matrix *p;
  put(0, "2\t1\t5\t881250949\r\n1\t3\t3\t891717742\n\n1 1 4 878887116\n");
  assert_int_equal(tb_partial_matrix_read_movielens(context, path[0], 0, 0, 2, &p), TB_OK);
  assert_true(p->rows == 2 && p->cols == 3 && p->count == 2);
  assert_true(p->y[0] == 3 && p->col[0] == 2 && p->y[1] == 5 && p->row[1] == 1);
  assert_true(p->truth[0] == 4 && !p->observed[0] && p->truth[3] == 5 && isnan(p->truth[1]));
  tb_partial_matrix_free(context, p);
}

/* ---- what is refused ---- */

typedef enum door { ENTRIES, SENSING, RATINGS } door;

static void refuses(door which, const char *text, size_t rows, const char *place, const char *message) {
  tb_partial_matrix *p = (tb_partial_matrix *)1;
  put(0, text);
  tb_context_clear(context);
  tb_status status = which == ENTRIES   ? tb_partial_matrix_read(context, path[0], rows, rows, "", &p)
                     : which == SENSING ? tb_partial_matrix_read_sensing(context, path[0], rows, rows, "", &p)
                                        : tb_partial_matrix_read_movielens(context, path[0], rows, rows, 1, &p);
  const char *found = tb_context_place(context);
  size_t length = strlen(path[0]);
  if (status != TB_BAD_DATA || p || !strstr(tb_context_message(context), message) ||
      strncmp(found, path[0], length) != 0 || strcmp(found + length, place) != 0)
    fail_msg("%s: %s \"%s\" at %s", text, tb_status_name(status), tb_context_message(context), found);
}

static void test_refusals(void **state) {
  refuses(ENTRIES, "i,j,v\n0,0,1\n", 0, ":1:1", "expected \"value\"");
  refuses(ENTRIES, "i,j\n0,0\n", 0, ":1:1", "2 columns, expected 3");
  refuses(ENTRIES, "i,j,value\n", 0, "", "no entries");
  refuses(ENTRIES, "i,j,value\n0,0,1\n0,-1,1\n", 0, ":3:3", "column index -1");
  refuses(ENTRIES, "i,j,value\n0.5,0,1\n", 0, ":2:1", "row index 0.5");
  refuses(ENTRIES, "i,j,value\n0,0,1\n1,2,1\n", 2, ":3:3", "outside a matrix of 2 columns");
  refuses(ENTRIES, "i,j,value\n0,1,1\n1,1,2\n0,1,1\n", 0, ":4:1", "a second time (first on line 2)");
  refuses(ENTRIES, "i,j,value\n0,1000000,1\n1000000,1,2\n", 0, "", "more than 2.5e+08");
  refuses(SENSING, "a00,a01\n1,2\n", 0, ":1:1", "expected \"y\"");
  refuses(SENSING, "a00,a02,y\n1,2,3\n", 0, ":1:1", "not those of a matrix");
  refuses(SENSING, "a00,a01,y\n1,2,3\n", 2, ":1:1", "not those of a 2 × 2 matrix");
  refuses(SENSING, "a00,y\n", 0, "", "no measurements");
  refuses(RATINGS, "1\t1\t5\t0\n1\tx\t5\t0\n", 0, ":2:3", "expected the item");
  refuses(RATINGS, "0\t1\t5\t0\n", 0, ":1:1", "users are numbered from 1");
  refuses(RATINGS, "1\t1\t5\n", 0, ":1:6", "expected the timestamp");
  refuses(RATINGS, "1\t1\t5\t0\t7\n", 0, ":1:9", "more than four fields");
  refuses(RATINGS, "1\t1\t5\t0\n2\t1\t5\t0\n1\t1\t4\t0\n", 0, ":3", "a second time (first on line 1)");
  refuses(RATINGS, "\n", 0, "", "no ratings");
  refuses(RATINGS, "1\t3\t5\t0\n", 2, "", "outside a matrix of 2 × 2");
  tb_context_clear(context);
}

static void test_every_allocation_fails(void **state) {
  for (int which = 0; which < 5; which++) {
    put(0, which == 3 ? "a00,a01,y\n1,2,3\n" : which == 4 ? "1\t1\t5\t0\n" : "i,j,value\n0,0,1\n1,1,2\n");
    put(1, "i,j,value\n0,1,1\n");
    for (long fail_at = 1;; fail_at++) {
      meter m = { 0 };
      tb_context *own = tb_context_new(meter_allocate, &m);
      tb_partial_matrix *p = NULL;
      m.fail_at = m.calls + fail_at;
      tb_status status = which < 2    ? tb_partial_matrix_low_rank(own, 3, 4, 1, 5, which, 0, &p)
                         : which == 2 ? tb_partial_matrix_read(own, path[0], 0, 0, path[1], &p)
                         : which == 3 ? tb_partial_matrix_read_sensing(own, path[0], 0, 0, path[1], &p)
                                      : tb_partial_matrix_read_movielens(own, path[0], 0, 0, 1, &p);
      m.fail_at = 0;
      tb_partial_matrix_free(own, p);
      tb_context_free(own);
      assert_int_equal(m.live, 0);
      if (status == TB_OK)
        break;
      assert_int_equal(status, TB_NO_MEMORY);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_low_rank), cmocka_unit_test(test_entries),  cmocka_unit_test(test_sensing),
    cmocka_unit_test(test_ratings),  cmocka_unit_test(test_refusals), cmocka_unit_test(test_every_allocation_fails),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}

/* The kernels of two layers with a positive part between them, of every table against plain loops in float64 on random
 * shapes and strides; the tables with fused multiply-adds against each other bit by bit.  What lies between rows and
 * behind the last is NaN and stays untouched. */
#include "engine/kernels/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t state = 88172645463325252u;
static uint64_t random_bits(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state * 2685821657736338717u >> 11;
}
static double uniform(void) {
  return 2 * (double)random_bits() * 0x1p-53 - 1;
}
static size_t below(size_t bound) {
  return (size_t)(random_bits() % bound);
}

enum { ROWS = 150, HIDDEN = 90, SLACK = 3, ROOM = 4096, SCRATCH = 1 << 14 };
typedef enum array {
  X,
  FIRST,
  BIAS,
  SECOND,
  TURNED,
  BACK,
  BAR,
  OUT,
  X_BAR,
  FIRST_BAR,
  BIAS_BAR,
  SECOND_BAR,
  ARRAYS
} array;

/* An array of rows × cols entries, which lie row·ld + col apart, or col·ld + row. */
typedef struct layout {
  size_t rows, cols, ld;
  bool turned;
} layout;

typedef struct problem {
  tb_dtype dtype;
  tb_feed_forward shape;
  layout of[ARRAYS];
  double values[ARRAYS][ROOM]; /* [rows, cols] */
  double size[ARRAYS][ROOM];   /* of the terms that were summed */
} problem;

static size_t place(const layout *l, size_t row, size_t col) {
  return l->turned ? col * l->ld + row : row * l->ld + col;
}

static tb_feed_strides strides(const layout *l) {
  return l->turned ? (tb_feed_strides){ 1, l->ld } : (tb_feed_strides){ l->ld, 1 };
}

static double *value(problem *p, array which, size_t row, size_t col) {
  return &p->values[which][row * p->of[which].cols + col];
}

static void pose(problem *p, tb_dtype dtype) {
  memset(p, 0, sizeof *p);
  tb_feed_forward *s = &p->shape;
  p->dtype = dtype;
  *s = (tb_feed_forward){
    .rows = 1 + below(ROWS), .in = 1 + below(TB_FEED_MOST), .hidden = 1 + below(HIDDEN), .out = 1 + below(TB_FEED_MOST)
  };
  const size_t dims[ARRAYS][2] = { { s->rows, s->in },    { s->in, s->hidden },  { 1, s->hidden },
                                   { s->hidden, s->out }, { s->out, s->hidden }, { s->hidden, s->in },
                                   { s->rows, s->out },   { s->rows, s->out },   { s->rows, s->in },
                                   { s->in, s->hidden },  { 1, s->hidden },      { s->out, s->hidden } };
  for (int k = 0; k < ARRAYS; k++) {
    layout *l = &p->of[k];
    *l = (layout){ .rows = dims[k][0], .cols = dims[k][1] };
    l->turned = k != X && k != BAR && k != OUT && k != X_BAR && k != BIAS && k != BIAS_BAR && below(2);
    l->ld = (l->turned ? l->rows : l->cols) + (below(2) ? below(SLACK + 1) : 0);
    for (size_t i = 0; i < l->rows * l->cols; i++) {
      const double x = uniform();
      p->values[k][i] = k >= OUT ? 0 : dtype == TB_FLOAT64 ? x : (float)x;
    }
  }
  s->ld_x = p->of[X].ld;
  s->ld_out = p->of[OUT].ld;
  s->ld_bar = p->of[BAR].ld;
  s->ld_x_bar = p->of[X_BAR].ld;
  s->bias_step = 1;
  s->first = strides(&p->of[FIRST]);
  s->back = strides(&p->of[BACK]);
  s->first_bar = strides(&p->of[FIRST_BAR]);
  s->second_bar = strides(&p->of[SECOND_BAR]);
}

static void add(problem *p, array which, size_t row, size_t col, double x) {
  *value(p, which, row, col) += x;
  p->size[which][row * p->of[which].cols + col] += fabs(x);
}

static void expect(problem *p) {
  const tb_feed_forward *s = &p->shape;
  for (size_t i = 0; i < s->rows; i++)
    for (size_t j = 0; j < s->hidden; j++) {
      double h = *value(p, BIAS, 0, j), d = 0;
      for (size_t k = 0; k < s->in; k++)
        h += *value(p, X, i, k) * *value(p, FIRST, k, j);
      if (h <= 0)
        continue;
      for (size_t c = 0; c < s->out; c++) {
        add(p, OUT, i, c, h * *value(p, SECOND, j, c));
        add(p, SECOND_BAR, c, j, h * *value(p, BAR, i, c));
        d += *value(p, BAR, i, c) * *value(p, TURNED, c, j);
      }
      add(p, BIAS_BAR, 0, j, d);
      for (size_t k = 0; k < s->in; k++) {
        add(p, FIRST_BAR, k, j, d * *value(p, X, i, k));
        add(p, X_BAR, i, k, d * *value(p, BACK, j, k));
      }
    }
}

static void *arrays[ARRAYS], *kept[TB_KERNELS_MAX][ARRAYS], *scratch;

static void set(tb_dtype dtype, void *a, size_t i, double x) {
  if (dtype == TB_FLOAT64)
    ((double *)a)[i] = x;
  else
    ((float *)a)[i] = (float)x;
}
static double get(tb_dtype dtype, const void *a, size_t i) {
  return dtype == TB_FLOAT64 ? ((const double *)a)[i] : ((const float *)a)[i];
}

static void run(const tb_kernels *kernels, problem *p, bool all) {
  tb_feed_forward *s = &p->shape;
  for (int k = 0; k < ARRAYS; k++)
    for (size_t i = 0; i < ROOM; i++)
      set(p->dtype, arrays[k], i, k < OUT ? NAN : 7);
  for (int k = 0; k < OUT; k++)
    for (size_t row = 0; row < p->of[k].rows; row++)
      for (size_t col = 0; col < p->of[k].cols; col++)
        set(p->dtype, arrays[k], place(&p->of[k], row, col), *value(p, (array)k, row, col));
  assert_true(kernels->feed->scratch(s, false) <= SCRATCH && kernels->feed->scratch(s, true) <= SCRATCH);
  s->second = strides(&p->of[SECOND]);
  kernels->feed->forward(s, arrays[X], arrays[FIRST], arrays[BIAS], arrays[SECOND], arrays[OUT], scratch);
  s->second = strides(&p->of[TURNED]);
  kernels->feed->backward(s, arrays[X], arrays[FIRST], arrays[BIAS], arrays[TURNED], arrays[BACK], arrays[BAR],
                          all ? arrays[X_BAR] : NULL, arrays[FIRST_BAR], all ? arrays[BIAS_BAR] : NULL,
                          arrays[SECOND_BAR], scratch);
}

/* Entries are right, all else is as it was. */
static void check(problem *p, array which, const char *table) {
  const layout *l = &p->of[which];
  const double tolerance = p->dtype == TB_FLOAT64 ? 1e-14 : 5e-6;
  size_t touched = 0;
  for (size_t row = 0; row < l->rows; row++)
    for (size_t col = 0; col < l->cols; col++) {
      const size_t at = place(l, row, col), i = row * l->cols + col;
      const double found = get(p->dtype, arrays[which], at);
      if (!(fabs(found - p->values[which][i]) <= tolerance * (1 + p->size[which][i])))
        fail_msg("%s: array %d at %zu, %zu: %.17g, expected %.17g (%zu×%zu→%zu→%zu)", table, which, row, col, found,
                 p->values[which][i], p->shape.rows, p->shape.in, p->shape.hidden, p->shape.out);
    }
  for (size_t i = 0; i < ROOM; i++)
    touched += get(p->dtype, arrays[which], i) != 7;
  assert_true(touched <= l->rows * l->cols);
}

static void test_feed(void **unused) {
  static problem p;
  for (int k = 0; k < ARRAYS; k++) {
    arrays[k] = malloc(ROOM * sizeof(double));
    for (int t = 0; t < TB_KERNELS_MAX; t++)
      kept[t][k] = malloc(ROOM * sizeof(double));
  }
  scratch = malloc(SCRATCH * sizeof(double));
  for (int c = 0; c < 120; c++) {
    const tb_dtype dtype = c % 2 ? TB_FLOAT64 : TB_FLOAT32;
    const tb_kernels *tables[TB_KERNELS_MAX];
    const size_t count = tb_kernels_available(dtype, tables), size = dtype == TB_FLOAT64 ? 8 : 4;
    pose(&p, dtype);
    expect(&p);
    const bool all = c % 5 != 0;
    int reference = -1;
    for (size_t t = 0; t < count; t++) {
      run(tables[t], &p, all);
      for (int k = OUT; k < ARRAYS; k++) {
        if (all || (k != X_BAR && k != BIAS_BAR))
          check(&p, (array)k, tables[t]->name);
        memcpy(kept[t][k], arrays[k], ROOM * size);
      }
      if (strcmp(tables[t]->name, "v3") != 0 && strcmp(tables[t]->name, "v4") != 0)
        continue;
      for (int k = OUT; k < ARRAYS && reference >= 0; k++)
        assert_memory_equal(kept[t][k], kept[reference][k], ROOM * size);
      reference = (int)t;
    }
  }
  for (int k = 0; k < ARRAYS; k++) {
    free(arrays[k]);
    for (int t = 0; t < TB_KERNELS_MAX; t++)
      free(kept[t][k]);
  }
  free(scratch);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_feed) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Attention kernels of every table against plain loops in float64, on random shapes, strides, biases and horizons; the
 * tables with fused multiply-adds against each other bit by bit.  What a query does not see may be NaN. */
#include "engine/kernels/kernels.h"

#include <float.h>
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
static double get(tb_dtype dtype, const void *a, size_t i) {
  return dtype == TB_FLOAT64 ? ((const double *)a)[i] : ((const float *)a)[i];
}
static void set(tb_dtype dtype, void *a, size_t i, double x) {
  if (dtype == TB_FLOAT64)
    ((double *)a)[i] = x;
  else
    ((float *)a)[i] = (float)x;
}

/* ---- a case ---- */

enum { QUERIES = 80, WIDEST = 20, SLACK = 3, ROOM = QUERIES * (QUERIES + WIDEST + SLACK), SCRATCH = 1 << 16 };

typedef enum array { Q, K, V, BIAS, BAR, OUT, Q_BAR, K_BAR, V_BAR, ARRAYS } array;

typedef struct problem {
  tb_dtype dtype;
  tb_attention shape;
  bool biased;
  int32_t seen[QUERIES];
  double in[OUT][ROOM];          /* what the kernels read, rounded to the type */
  double expected[ARRAYS][ROOM]; /* packed: [rows, cols] */
  double size[ARRAYS];           /* of the terms that were summed */
} problem;

static size_t rows_of(const tb_attention *a, array which) {
  return which == K || which == V || which == K_BAR || which == V_BAR ? a->keys : a->queries;
}
static size_t cols_of(const tb_attention *a, array which) {
  return which == BIAS                                                  ? a->keys
         : which == V || which == V_BAR || which == OUT || which == BAR ? a->value_width
                                                                        : a->width;
}
static size_t ld_of(const tb_attention *a, array which) {
  const size_t ld[ARRAYS] = { a->ld_q,   a->ld_k,     a->ld_v,     a->ld_bias, a->ld_out,
                              a->ld_out, a->ld_q_bar, a->ld_k_bar, a->ld_v_bar };
  return ld[which];
}

static void pose(problem *p, tb_dtype dtype) {
  tb_attention *a = &p->shape;
  static const size_t widths[] = { 1, 2, 3, 7, 8, 9, 16, 20 };
  p->dtype = dtype;
  *a = (tb_attention){ .queries = 1 + below(QUERIES),
                       .keys = 1 + below(QUERIES),
                       .scale = below(2) ? 1 : 0.5 + uniform() / 4 };
  a->width = widths[below(8)];
  a->value_width = below(2) ? a->width : widths[below(8)];
  size_t *const ld[] = { &a->ld_q, &a->ld_k,     &a->ld_v,     &a->ld_bias, &a->ld_out,
                         NULL,     &a->ld_q_bar, &a->ld_k_bar, &a->ld_v_bar };
  for (int i = 0; i < ARRAYS; i++)
    if (ld[i])
      *ld[i] = cols_of(a, (array)i) + (below(2) ? 0 : below(SLACK + 1));
  p->biased = below(3) == 0;
  if (below(2)) {
    for (size_t i = 0; i < a->queries; i++)
      p->seen[i] = (int32_t)(below(2) ? 1 + below(a->keys) : i < a->keys ? i + 1 : a->keys);
    a->seen = p->seen;
  }
  for (int which = 0; which < OUT; which++)
    for (size_t i = 0; i < ROOM; i++) {
      const double x = (which == Q ? 3 : 1) * uniform();
      p->in[which][i] = dtype == TB_FLOAT64 ? x : (float)x;
    }
}

/* Rows and columns of an array of the problem. */
static double at(const problem *p, array which, size_t row, size_t col) {
  return p->in[which][row * ld_of(&p->shape, which) + col];
}

static void expect(problem *p) {
  const tb_attention *a = &p->shape;
  memset(p->expected, 0, sizeof p->expected);
  for (size_t i = 0; i < a->queries; i++) {
    const size_t seen = a->seen ? (size_t)a->seen[i] : a->keys;
    double w[QUERIES], bar[QUERIES], most = -INFINITY, sum = 0, mean = 0;
    for (size_t j = 0; j < seen; j++) {
      w[j] = p->biased ? at(p, BIAS, i, j) : 0;
      for (size_t f = 0; f < a->width; f++)
        w[j] += a->scale * at(p, Q, i, f) * at(p, K, j, f);
      most = w[j] > most ? w[j] : most;
    }
    for (size_t j = 0; j < seen; j++)
      sum += w[j] = exp(w[j] - most);
    for (size_t j = 0; j < seen; j++) {
      w[j] /= sum;
      bar[j] = 0;
      for (size_t f = 0; f < a->value_width; f++) {
        bar[j] += at(p, BAR, i, f) * at(p, V, j, f);
        p->expected[OUT][i * a->value_width + f] += w[j] * at(p, V, j, f);
        p->expected[V_BAR][j * a->value_width + f] += w[j] * at(p, BAR, i, f);
      }
      mean += w[j] * bar[j];
    }
    for (size_t j = 0; j < seen; j++)
      for (size_t f = 0; f < a->width; f++) {
        const double s = a->scale * w[j] * (bar[j] - mean);
        p->expected[Q_BAR][i * a->width + f] += s * at(p, K, j, f);
        p->expected[K_BAR][j * a->width + f] += s * at(p, Q, i, f);
      }
  }
}

static void *arrays[ARRAYS], *scratch, *kept[TB_KERNELS_MAX][ARRAYS];

static void run(const tb_kernels *kernels, const problem *p) {
  const void *bias = p->biased ? arrays[BIAS] : NULL;
  kernels->attention->forward(&p->shape, arrays[Q], arrays[K], arrays[V], bias, arrays[OUT], scratch);
  kernels->attention->backward(&p->shape, arrays[Q], arrays[K], arrays[V], bias, arrays[BAR], arrays[Q_BAR],
                               arrays[K_BAR], arrays[V_BAR], scratch);
}

static void check(const problem *p, array which, const char *table) {
  const tb_attention *a = &p->shape;
  const size_t rows = rows_of(a, which), cols = cols_of(a, which), ld = ld_of(a, which);
  const double tolerance = p->dtype == TB_FLOAT64 ? 1e-13 : 2e-5;
  for (size_t i = 0; i < rows; i++)
    for (size_t f = 0; f < ld && i * ld + f < ROOM; f++) {
      const double value = get(p->dtype, arrays[which], i * ld + f);
      const double expected = f < cols ? p->expected[which][i * cols + f] : 7; /* untouched between rows */
      if (f >= cols && i + 1 == rows)
        continue;
      if (!(fabs(value - expected) <= tolerance * (1 + fabs(expected))))
        fail_msg("%s, array %d of %zu queries, %zu keys, widths %zu, %zu: [%zu,%zu] is %.9g, not %.9g", table, which,
                 a->queries, a->keys, a->width, a->value_width, i, f, value, expected);
    }
}

static void test_heads(void **unused) {
  problem *p = malloc(sizeof *p);
  for (int i = 0; i < 150; i++) {
    const tb_dtype dtype = i % 2 ? TB_FLOAT64 : TB_FLOAT32;
    const tb_kernels *tables[TB_KERNELS_MAX];
    const size_t count = tb_kernels_available(dtype, tables), bytes = ROOM * (dtype == TB_FLOAT64 ? 8 : 4);
    memset(p, 0, sizeof *p);
    pose(p, dtype);
    expect(p);
    size_t exact[2] = { count, count };
    for (size_t t = 0; t < count; t++) {
      for (int which = 0; which < ARRAYS; which++)
        for (size_t k = 0; k < ROOM; k++)
          set(dtype, arrays[which], k, which < OUT ? p->in[which][k] : 7);
      for (size_t k = 0; k < SCRATCH; k++)
        set(dtype, scratch, k, NAN);
      assert_true(tables[t]->attention->scratch(&p->shape, true) <= SCRATCH);
      run(tables[t], p);
      for (int which = OUT; which < ARRAYS; which++) {
        check(p, (array)which, tables[t]->name);
        memcpy(kept[t][which], arrays[which], bytes);
      }
      exact[0] = strcmp(tables[t]->name, "v3") == 0 ? t : exact[0];
      exact[1] = strcmp(tables[t]->name, "v4") == 0 ? t : exact[1];
    }
    for (int which = OUT; which < ARRAYS && exact[0] < count && exact[1] < count; which++)
      assert_memory_equal(kept[exact[0]][which], kept[exact[1]][which], bytes);
  }
  free(p);
}

/* Causal: keys that are NaN from some place on leave earlier queries alone, in both directions. */
static void test_unseen_is_not_read(void **unused) {
  const tb_kernels *tables[TB_KERNELS_MAX];
  const size_t count = tb_kernels_available(TB_FLOAT64, tables);
  enum { T = 24, WIDTH = 4, FROM = 16 };
  int32_t seen[T];
  double x[5][T * WIDTH], out[4][T * WIDTH];
  for (int i = 0; i < T; i++)
    seen[i] = i + 1;
  const tb_attention a = { T, T, WIDTH, WIDTH, 1, seen, WIDTH, WIDTH, WIDTH, 0, WIDTH, WIDTH, WIDTH, WIDTH };
  for (size_t t = 0; t < count; t++) {
    for (int k = 0; k < 4; k++)
      for (size_t i = 0; i < T * WIDTH; i++)
        x[k][i] = (k == 1 || k == 2) && i >= FROM * WIDTH ? NAN : uniform();
    tables[t]->attention->forward(&a, x[0], x[1], x[2], NULL, out[0], scratch);
    tables[t]->attention->backward(&a, x[0], x[1], x[2], NULL, x[3], out[1], out[2], out[3], scratch);
    for (size_t i = 0; i < FROM * WIDTH; i++) {
      assert_true(isfinite(out[0][i]));
      assert_true(isfinite(out[1][i]));
    }
    assert_true(isnan(out[0][T * WIDTH - 1]));
  }
}

static int make(void **unused) {
  for (int i = 0; i < ARRAYS; i++)
    arrays[i] = malloc(ROOM * 8);
  for (size_t t = 0; t < TB_KERNELS_MAX; t++)
    for (int i = 0; i < ARRAYS; i++)
      kept[t][i] = malloc(ROOM * 8);
  scratch = malloc(SCRATCH * 8);
  return 0;
}

static int unmake(void **unused) {
  for (int i = 0; i < ARRAYS; i++)
    free(arrays[i]);
  for (size_t t = 0; t < TB_KERNELS_MAX; t++)
    for (int i = 0; i < ARRAYS; i++)
      free(kept[t][i]);
  free(scratch);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_heads),
    cmocka_unit_test(test_unseen_is_not_read),
  };
  return cmocka_run_group_tests(tests, make, unmake);
}

/* The kernel of attention over remembered keys and values, in every table, against plain loops in float64; the tables
 * with fused multiply-adds against each other bit by bit. */
#include "engine/kernels/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tiebreak/random.h>

enum { MOST = 300, WIDEST = 20, ROOM = 2 * WIDEST * (MOST + 64) };

static double numbers[ROOM], query[WIDEST], want[WIDEST], score[MOST];

static void set(tb_dtype dtype, void *a, size_t i, double x) {
  if (dtype == TB_FLOAT64)
    ((double *)a)[i] = x;
  else
    ((float *)a)[i] = (float)x;
}

static double get(tb_dtype dtype, const void *a, size_t i) {
  return dtype == TB_FLOAT64 ? ((const double *)a)[i] : ((const float *)a)[i];
}

/* key f of place j is numbers[2 (j · width + f)], the value follows it */
static void plain(size_t count, size_t width, double slope) {
  double most = -INFINITY, sum = 0;
  for (size_t j = 0; j < count; j++) {
    score[j] = slope * ((double)j - (double)(count - 1));
    for (size_t f = 0; f < width; f++)
      score[j] += query[f] * numbers[2 * (j * width + f)];
    most = fmax(most, score[j]);
  }
  memset(want, 0, sizeof want);
  for (size_t j = 0; j < count; j++) {
    const double w = exp(score[j] - most);
    sum += w;
    for (size_t f = 0; f < width; f++)
      want[f] += w * numbers[2 * (j * width + f) + 1];
  }
  for (size_t f = 0; f < width; f++)
    want[f] /= sum;
}

static void run(const tb_kernels *k, size_t count, size_t width, double slope, void *out) {
  static char memory[ROOM * sizeof(double)], q[WIDEST * sizeof(double)], scratch[(MOST + 64) * sizeof(double)];
  const size_t places = k->recall->places;
  for (size_t i = 0; i < ROOM; i++)
    set(k->dtype, memory, i, 1e3); /* the rest of the last page: anything finite */
  for (size_t f = 0; f < width; f++)
    set(k->dtype, q, f, query[f]);
  for (size_t j = 0; j < count; j++)
    for (size_t f = 0; f < width; f++)
      for (size_t part = 0; part < 2; part++)
        set(k->dtype, memory, ((j / places * 2 + part) * width + f) * places + j % places,
            numbers[2 * (j * width + f) + part]);
  k->recall->run(count, width, q, memory, slope, out, scratch);
}

static void recall_is_softmax_of_scores(void **unused) {
  static const tb_dtype dtypes[] = { TB_FLOAT32, TB_FLOAT64 };
  const size_t counts[] = { 1, 2, 7, 8, 15, 16, 17, 33, 64, 100, 255, MOST }, widths[] = { 1, 2, 3, 8, 17, WIDEST };
  tb_random_normal((tb_key){ .seed = 1 }, 0, ROOM, numbers);
  tb_random_normal((tb_key){ .seed = 2 }, 0, WIDEST, query);
  for (size_t d = 0; d < 2; d++) {
    const tb_kernels *tables[TB_KERNELS_MAX];
    const size_t n = tb_kernels_available(dtypes[d], tables);
    const double tolerance = dtypes[d] == TB_FLOAT64 ? 1e-13 : 2e-5;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
      for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (int sloped = 0; sloped < 2; sloped++) {
          double first[WIDEST];
          const double slope = sloped ? 0.0625 : 0;
          plain(counts[c], widths[w], slope);
          for (size_t t = 0; t < n; t++) {
            double out[WIDEST];
            run(tables[t], counts[c], widths[w], slope, out);
            for (size_t f = 0; f < widths[w]; f++)
              if (!(fabs(get(dtypes[d], out, f) - want[f]) <= tolerance * fmax(1, fabs(want[f]))))
                fail_msg("%s, %zu keys of %zu: %.17g instead of %.17g", tables[t]->name, counts[c], widths[w],
                         get(dtypes[d], out, f), want[f]);
            const size_t bytes = widths[w] * (dtypes[d] == TB_FLOAT64 ? sizeof(double) : sizeof(float));
            if (t == 0)
              memcpy(first, out, bytes);
            else if (tables[t]->name[0] == 'v' && tables[t]->name[1] == '3')
              assert_memory_equal(first, out, bytes);
          }
        }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(recall_is_softmax_of_scores) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

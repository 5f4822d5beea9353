/* Every kernel of every table against a plain twin in float64 on random shapes (0, 1 and odd ones included), and the
 * tables with fused multiply-adds against each other bit by bit. */
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

enum { MOST = 1 << 17 };

/* ---- arrays of either type ---- */

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
static void fill(tb_dtype dtype, void *a, size_t n) {
  for (size_t i = 0; i < n; i++)
    set(dtype, a, i, uniform());
}
static double epsilon(tb_dtype dtype) {
  return dtype == TB_FLOAT64 ? DBL_EPSILON : FLT_EPSILON;
}
static size_t size_of(tb_dtype dtype) {
  return dtype == TB_FLOAT64 ? 8 : 4;
}

static const tb_dtype dtypes[2] = { TB_FLOAT32, TB_FLOAT64 };

/* ---- a case run by every table ---- */

/* Runs `one` for each table into out[table] and checks that v3 and v4 agree in all bytes of out. */
typedef void (*runner)(const tb_kernels *, void *out, void *user);

static void *outputs[TB_KERNELS_MAX];

static size_t run_tables(tb_dtype dtype, runner one, void *user, size_t bytes, const void *before) {
  const tb_kernels *tables[TB_KERNELS_MAX];
  const size_t count = tb_kernels_available(dtype, tables);
  size_t v3 = count, v4 = count;
  for (size_t t = 0; t < count; t++) {
    memcpy(outputs[t], before, bytes);
    one(tables[t], outputs[t], user);
    v3 = strcmp(tables[t]->name, "v3") == 0 ? t : v3;
    v4 = strcmp(tables[t]->name, "v4") == 0 ? t : v4;
  }
  if (v3 < count && v4 < count)
    assert_memory_equal(outputs[v3], outputs[v4], bytes);
  return count;
}

static void *a, *b, *c, *before, *scratch;

static int make(void **unused) {
  a = malloc(MOST * 8);
  b = malloc(MOST * 8);
  c = malloc(MOST * 8);
  before = malloc(MOST * 8);
  scratch = malloc(MOST * 8);
  for (int t = 0; t < TB_KERNELS_MAX; t++)
    outputs[t] = malloc(MOST * 8);
  return 0;
}

static int unmake(void **unused) {
  free(a);
  free(b);
  free(c);
  free(before);
  free(scratch);
  for (int t = 0; t < TB_KERNELS_MAX; t++)
    free(outputs[t]);
  return 0;
}

static void near(double value, double reference, double size, double tolerance, const char *what, size_t table) {
  if (!(fabs(value - reference) <= tolerance * (size + DBL_MIN)))
    fail_msg("%s, table %zu: %.17g, not %.17g (tolerance %g of %g)", what, table, value, reference, tolerance, size);
}

/* ---- products ---- */

typedef struct product {
  bool transpose_a, transpose_b;
  size_t m, n, k, lda, ldb, ldc, ldd;
  double alpha, beta;
  bool apart; /* d is not the result itself */
  tb_gemm_with with;
} product;

static void run_product(const tb_kernels *kernels, void *out, void *user) {
  const product *p = user;
  kernels->gemm(p->transpose_a, p->transpose_b, p->m, p->n, p->k, p->alpha, a, p->lda, b, p->ldb, p->with, p->beta,
                p->apart ? c : out, p->apart ? p->ldd : p->ldc, out, p->ldc, scratch);
}

static void check_product(tb_dtype dtype, product p) {
  fill(dtype, a, (p.transpose_a ? p.k : p.m) * p.lda);
  fill(dtype, b, (p.transpose_b ? p.n : p.k) * p.ldb);
  const size_t elements = p.m * p.ldc;
  if (tb_gemm_multiplies(p.with))
    p.beta = 1; /* not used */
  if (p.beta == 0)
    for (size_t i = 0; i < elements; i++) /* beta = 0 must not read c */
      set(dtype, before, i, NAN);
  else
    fill(dtype, before, elements);
  fill(dtype, c, p.m * p.ldd + p.n);
  const size_t count = run_tables(dtype, run_product, &p, elements * size_of(dtype), before);
  for (size_t i = 0; i < p.m; i++)
    for (size_t j = 0; j < p.ldc; j++) {
      const double old = get(dtype, before, i * p.ldc + j);
      double sum = 0, size = 0;
      for (size_t q = 0; q < p.k && j < p.n; q++) {
        const double x = get(dtype, a, p.transpose_a ? q * p.lda + i : i * p.lda + q);
        const double y = get(dtype, b, p.transpose_b ? j * p.ldb + q : q * p.ldb + j);
        sum += x * y;
        size += fabs(x * y);
      }
      const double added = p.beta == 0 ? 0 : p.beta * (p.apart ? get(dtype, c, i * p.ldd + j) : old);
      size = p.with == TB_TIMES            ? fabs(p.alpha * added) * size
             : p.with == TB_WHERE_POSITIVE ? fabs(p.alpha) * size
                                           : fabs(p.alpha) * size + fabs(added);
      sum = p.with == TB_TIMES            ? p.alpha * sum * added
            : p.with == TB_WHERE_POSITIVE ? (added > 0 ? p.alpha * sum : 0)
                                          : p.alpha * sum + added;
      sum = p.with == TB_PLUS_POSITIVE && sum < 0 ? 0 : sum;
      for (size_t t = 0; t < count; t++) {
        const double value = get(dtype, outputs[t], i * p.ldc + j);
        if (j >= p.n) /* beyond the columns nothing is touched */
          assert_true(value == old || (isnan(value) && isnan(old)));
        else
          near(value, sum, size, (3 + 0.25 * (double)p.k) * epsilon(dtype), "gemm", t);
      }
    }
}

static size_t some_size(void) {
  static const size_t usual[] = { 0, 1, 2, 3, 7, 8, 10, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100 };
  return below(3) ? usual[below(sizeof usual / sizeof usual[0])] : below(140);
}

static void test_gemm(void **unused) {
  for (int i = 0; i < 600; i++) {
    product p = { .transpose_a = below(2),
                  .transpose_b = below(2),
                  .m = some_size(),
                  .n = some_size(),
                  .k = below(12) ? some_size() : 200 + below(400) };
    p.m = p.k > 140 && p.m > 40 ? 40 : p.m;
    p.n = p.k > 140 ? p.n % 90 : p.n;
    p.lda = (p.transpose_a ? p.m : p.k) + (below(2) ? 0 : below(9));
    p.ldb = (p.transpose_b ? p.k : p.n) + (below(2) ? 0 : below(9));
    p.ldc = p.n + (below(2) ? 0 : below(5));
    p.apart = below(2);
    p.with = p.k <= TB_GEMM_DEPTH && below(2) ? (tb_gemm_with)below(4) : TB_PLUS;
    p.ldd = below(3) ? p.n + below(3) : 0;
    p.alpha = below(2) ? 1 : uniform();
    p.beta = below(2) ? 0 : below(2) ? 1 : uniform();
    check_product(dtypes[i % 2], p);
  }
  for (int i = 0; i < 60; i++) { /* few columns, long sums */
    product p = {
      .transpose_a = below(2), .transpose_b = below(2), .m = 1 + below(40), .n = 1 + below(14), .alpha = 1
    };
    p.k = i < 8 ? 1000 + below(100) : 60 + below(300);
    p.m = below(4) && p.k < 400 ? p.m + 2 * below(80) : p.m;
    p.lda = (p.transpose_a ? p.m : p.k) + below(3);
    p.ldb = (p.transpose_b ? p.k : p.n) + below(3);
    p.ldc = p.n + below(3);
    p.ldd = below(3) ? p.n + below(3) : 0;
    p.apart = below(2);
    p.with = p.k <= TB_GEMM_DEPTH ? (tb_gemm_with)below(4) : TB_PLUS;
    p.beta = below(2) ? 0 : 1 + uniform();
    check_product(dtypes[i % 2], p);
  }
  check_product(TB_FLOAT32, (product){ .m = 70, .n = 150, .k = 300, .lda = 300, .ldb = 150, .ldc = 150, .alpha = 1 });
}

/* ---- pointwise ---- */

typedef struct map {
  int op, form, kind;
  size_t rows, cols, lda, ldb, ldc, ldo;
} map;

enum { BINARY, FUSED, SELECT, COPY, SPREAD, UNARY, POWER, KINDS };

static void run_map(const tb_kernels *kernels, void *out, void *user) {
  const map *m = user;
  const tb_kernel_pointwise *p = kernels->pointwise;
  switch (m->kind) {
  case BINARY:
    p->binary[m->op][m->form](m->rows, m->cols, out, m->ldo, a, m->lda, b, m->ldb);
    break;
  case FUSED:
    p->fused[m->op % TB_FUSED_COUNT][m->form % 2](m->rows, m->cols, out, m->ldo, a, m->lda, b, m->ldb, c, m->ldc);
    break;
  case SELECT:
    p->select(m->rows, m->cols, out, m->ldo, a, m->lda, b, m->ldb, c, m->ldc);
    break;
  case COPY:
    p->copy(m->rows, m->cols, out, m->ldo, a, m->lda);
    break;
  case SPREAD:
    p->spread(m->rows, m->cols, out, m->ldo, a, m->lda);
    break;
  case UNARY:
    kernels->math->unary[TB_TANH][0](m->rows, m->cols, out, m->ldo, a, m->lda);
    break;
  default:
    kernels->math->power(m->rows, m->cols, out, m->ldo, a, m->lda, b, m->ldb);
  }
}

static double binary_twin(int op, double x, double y) {
  switch (op) {
  case TB_ADD:
    return x + y;
  case TB_SUBTRACT:
    return x - y;
  case TB_MULTIPLY:
    return x * y;
  case TB_DIVIDE:
    return x / y;
  case TB_MAXIMUM:
    return x > y ? x : y;
  case TB_MINIMUM:
    return x < y ? x : y;
  case TB_LESS:
    return x < y;
  case TB_LESS_EQUAL:
    return x <= y;
  default:
    return x == y;
  }
}

static double map_twin(const map *m, tb_dtype dtype, size_t r, size_t i) {
  const double x = get(dtype, a, r * m->lda + ((m->kind == BINARY && m->form == TB_SV) || m->kind == SPREAD ? 0 : i));
  const bool scalar_b =
      m->kind == POWER || (m->kind == BINARY && m->form == TB_VS) || (m->kind == FUSED && m->form % 2);
  const double y = get(dtype, b, r * m->ldb + (scalar_b ? 0 : i)), z = get(dtype, c, r * m->ldc + i);
  switch (m->kind) {
  case BINARY:
    return binary_twin(m->op, x, y);
  case FUSED:
    return (m->op % TB_FUSED_COUNT == TB_MULTIPLY_ADD ? x : -x) * y + z;
  case SELECT:
    return x != 0 ? y : z;
  case UNARY:
    return tanh(x);
  case POWER:
    return pow(x, y);
  default:
    return x;
  }
}

static void test_pointwise(void **unused) {
  for (int i = 0; i < 1500; i++) {
    const tb_dtype dtype = dtypes[i % 2];
    map m = { .kind = (int)below(KINDS),
              .op = (int)below(TB_BINARY_COUNT),
              .form = (int)below(TB_FORM_COUNT),
              .rows = below(6),
              .cols = some_size() };
    m.lda = below(3) ? m.cols + below(3) : 0;
    m.ldb = below(3) ? m.cols + below(3) : 0;
    m.ldc = below(3) ? m.cols + below(3) : 0;
    m.ldo = m.cols + below(3);
    void *arrays[3] = { a, b, c };
    for (int j = 0; j < 3; j++) {
      fill(dtype, arrays[j], 8 * 150);
      for (size_t q = 0; q < 8 * 150; q += 1 + below(9)) /* equal numbers and zeros for the comparisons */
        set(dtype, arrays[j], q, below(2) ? 0 : 0.5);
    }
    if (m.kind == POWER)
      for (size_t q = 0; q < 8 * 150; q++)
        set(dtype, a, q, fabs(get(dtype, a, q)) + 0.25);
    fill(dtype, before, 8 * 150);
    const size_t count = run_tables(dtype, run_map, &m, m.rows * m.ldo * size_of(dtype), before);
    for (size_t r = 0; r < m.rows; r++)
      for (size_t q = 0; q < m.ldo; q++)
        for (size_t t = 0; t < count; t++) {
          const double value = get(dtype, outputs[t], r * m.ldo + q);
          if (q >= m.cols) {
            assert_true(value == get(dtype, before, r * m.ldo + q));
            continue;
          }
          const double reference = map_twin(&m, dtype, r, q);
          if (isfinite(reference))
            near(value, reference, fabs(reference) + (m.kind == FUSED), 3 * epsilon(dtype), "pointwise", t);
          else
            assert_true(isnan(reference) ? isnan(value) : value == reference);
        }
  }
}

static void test_nan_is_handed_on(void **unused) {
  for (int d = 0; d < 2; d++) {
    const tb_kernels *tables[TB_KERNELS_MAX];
    const size_t count = tb_kernels_available(dtypes[d], tables);
    for (size_t t = 0; t < count; t++)
      for (int op = TB_MAXIMUM; op <= TB_MINIMUM; op++)
        for (int i = 0; i < 40; i++) {
          fill(dtypes[d], a, 40);
          fill(dtypes[d], b, 40);
          set(dtypes[d], i % 2 ? a : b, (size_t)i, NAN);
          tables[t]->pointwise->binary[op][TB_VV](1, 40, c, 0, a, 0, b, 0);
          for (int j = 0; j < 40; j++)
            assert_int_equal(isnan(get(dtypes[d], c, (size_t)j)), i == j);
          tables[t]->reduce->reduce[op == TB_MAXIMUM ? TB_MAX : TB_MIN](1, 40, 1, i % 2 ? a : b, 40, 1, c);
          assert_true(isnan(get(dtypes[d], c, 0)));
        }
  }
}

/* ---- reductions ---- */

typedef struct fold {
  int kind;
  size_t outer, count, inner, stride_outer, stride_count;
} fold;

static void run_fold(const tb_kernels *kernels, void *out, void *user) {
  const fold *f = user;
  kernels->reduce->reduce[f->kind](f->outer, f->count, f->inner, a, f->stride_outer, f->stride_count, out);
}

static double fold_twin(const fold *f, tb_dtype dtype, size_t o, size_t i, double *size) {
  double sum = 0, most = -INFINITY, least = INFINITY, exponentials = 0;
  *size = 1;
  for (size_t r = 0; r < f->count; r++) {
    const double x = get(dtype, a, o * f->stride_outer + r * f->stride_count + i);
    sum += x;
    *size += fabs(x);
    most = fmax(most, x);
    least = fmin(least, x);
    exponentials += exp(x);
  }
  return f->kind == TB_SUM ? sum : f->kind == TB_MAX ? most : f->kind == TB_MIN ? least : log(exponentials);
}

static void test_reduce(void **unused) {
  static const int kinds[] = { TB_SUM, TB_MAX, TB_MIN, TB_LOGSUMEXP };
  for (int i = 0; i < 800; i++) {
    const tb_dtype dtype = dtypes[i % 2];
    fold f = { .kind = kinds[below(4)], .outer = below(4), .count = below(8) ? some_size() : below(700) };
    f.inner = below(2) ? 1 : below(f.count > 140 ? 20 : 100);
    f.stride_count = f.inner == 1 && below(4) ? 1 : f.inner + below(3);
    f.stride_outer = f.count * f.stride_count + below(5);
    fill(dtype, a, 4 * f.stride_outer + 200);
    const size_t count = run_tables(dtype, run_fold, &f, f.outer * f.inner * size_of(dtype), before);
    for (size_t o = 0; o < f.outer; o++)
      for (size_t j = 0; j < f.inner; j++) {
        double size;
        const double reference = fold_twin(&f, dtype, o, j, &size);
        for (size_t t = 0; t < count; t++) {
          const double value = get(dtype, outputs[t], o * f.inner + j);
          if (isinf(reference))
            assert_true(value == reference);
          else
            near(value, reference, f.kind == TB_LOGSUMEXP ? 1 + fabs(reference) : size, 8 * epsilon(dtype), "reduce",
                 t);
        }
      }
    const tb_kernels *tables[TB_KERNELS_MAX]; /* a row does not depend on the rows beside it */
    tb_kernels_available(dtype, tables);
    for (size_t t = 0; t < count && f.outer > 0; t++) {
      const size_t row = f.inner * size_of(dtype), o = below(f.outer);
      double alone[100];
      assert_true(f.inner <= 100);
      tables[t]->reduce->reduce[f.kind](1, f.count, f.inner, (char *)a + o * f.stride_outer * size_of(dtype),
                                        f.stride_outer, f.stride_count, alone);
      assert_memory_equal(alone, (char *)outputs[t] + o * row, row);
    }
  }
}

static void run_softmax(const tb_kernels *kernels, void *out, void *user) {
  const fold *f = user;
  (f->kind ? kernels->reduce->log_softmax : kernels->reduce->softmax)(f->outer, f->count, a, out);
}

static void test_softmax(void **unused) {
  for (int i = 0; i < 300; i++) {
    const tb_dtype dtype = dtypes[i % 2];
    fold f = { .kind = (int)below(2), .outer = below(20), .count = below(5) ? some_size() : below(600) };
    fill(dtype, a, f.outer * f.count);
    const double spread = below(2) ? 1 : 30;
    for (size_t j = 0; j < f.outer * f.count; j++)
      set(dtype, a, j, spread * get(dtype, a, j));
    const size_t count = run_tables(dtype, run_softmax, &f, f.outer * f.count * size_of(dtype), before);
    for (size_t r = 0; r < f.outer; r++) {
      double most = -INFINITY, sum = 0;
      for (size_t j = 0; j < f.count; j++)
        most = fmax(most, get(dtype, a, r * f.count + j));
      for (size_t j = 0; j < f.count; j++)
        sum += exp(get(dtype, a, r * f.count + j) - most);
      for (size_t j = 0; j < f.count; j++) {
        const double x = get(dtype, a, r * f.count + j) - most;
        const double reference = f.kind ? x - log(sum) : exp(x) / sum;
        for (size_t t = 0; t < count; t++)
          near(get(dtype, outputs[t], r * f.count + j), reference, f.kind ? 1 + fabs(x) : reference * (1 + fabs(x)),
               8 * epsilon(dtype), "softmax", t);
      }
    }
    const tb_kernels *tables[TB_KERNELS_MAX]; /* a row does not depend on the rows beside it */
    tb_kernels_available(dtype, tables);
    for (size_t t = 0; t < count && f.outer > 0; t++) {
      const size_t row = f.count * size_of(dtype), r = below(f.outer);
      double alone[600];
      assert_true(f.count <= 600);
      (f.kind ? tables[t]->reduce->log_softmax : tables[t]->reduce->softmax)(1, f.count, (char *)a + r * row, alone);
      assert_memory_equal(alone, (char *)outputs[t] + r * row, row);
    }
  }
}

/* ---- moves ---- */

static void test_move(void **unused) {
  for (int i = 0; i < 400; i++) {
    const tb_dtype dtype = dtypes[i % 2];
    const tb_kernels *tables[TB_KERNELS_MAX];
    const size_t count = tb_kernels_available(dtype, tables);
    const size_t rows = some_size(), cols = some_size(), lda = cols + below(3), ldo = rows + below(3);
    const size_t outer = below(4), length = below(9), inner = below(20), many = below(12);
    int32_t index[16];
    for (size_t j = 0; j < many; j++)
      index[j] = (int32_t)below(length + 2) - 1;
    fill(dtype, a, rows * lda + outer * (length + many) * inner);
    for (size_t t = 0; t < count; t++) {
      tables[t]->move->transpose(rows, cols, a, lda, c, ldo);
      for (size_t r = 0; r < rows; r++)
        for (size_t q = 0; q < cols; q++)
          assert_true(get(dtype, c, q * ldo + r) == get(dtype, a, r * lda + q));
      tables[t]->move->gather(outer, length, inner, a, many, index, c);
      for (size_t o = 0; o < outer; o++)
        for (size_t j = 0; j < many; j++)
          for (size_t q = 0; q < inner; q++) {
            const bool inside = index[j] >= 0 && (size_t)index[j] < length;
            assert_true(get(dtype, c, (o * many + j) * inner + q) ==
                        (inside ? get(dtype, a, (o * length + (size_t)index[j]) * inner + q) : 0));
          }
      tables[t]->move->scatter_add(outer, length, inner, a, many, index, c);
      for (size_t o = 0; o < outer; o++)
        for (size_t l = 0; l < length; l++)
          for (size_t q = 0; q < inner; q++) {
            double sum = 0, size = 0;
            for (size_t j = 0; j < many; j++)
              if (index[j] == (int32_t)l) {
                sum += get(dtype, a, (o * many + j) * inner + q);
                size += fabs(get(dtype, a, (o * many + j) * inner + q));
              }
            near(get(dtype, c, (o * length + l) * inner + q), sum, size, 4 * epsilon(dtype), "scatter", t);
          }
    }
  }
}

/* ---- products through some entries ---- */

typedef struct sample {
  bool combine;
  size_t rows, cols, k, lda, ldb, entries;
  int32_t start[40], col[400], order[400];
} sample;

static void run_sample(const tb_kernels *kernels, void *out, void *user) {
  const sample *x = user;
  if (x->combine)
    kernels->sampled->combine(x->rows, x->k, x->start, x->order, x->col, a, b, x->ldb, out, x->lda);
  else
    kernels->sampled->products(x->rows, x->k, x->start, x->col, a, x->lda, b, x->ldb, out);
}

static void check_products(tb_dtype dtype, size_t count, const sample *x) {
  for (size_t i = 0; i < x->rows; i++)
    for (int32_t e = x->start[i]; e < x->start[i + 1]; e++) {
      double sum = 0, size = 0;
      for (size_t p = 0; p < x->k; p++) {
        const double term = get(dtype, a, i * x->lda + p) * get(dtype, b, (size_t)x->col[e] * x->ldb + p);
        sum += term;
        size += fabs(term);
      }
      for (size_t t = 0; t < count; t++)
        near(get(dtype, outputs[t], (size_t)e), sum, size, (3 + 0.25 * (double)x->k) * epsilon(dtype), "products", t);
    }
}

static void check_combine(tb_dtype dtype, size_t count, const sample *x) {
  for (size_t i = 0; i < x->rows; i++)
    for (size_t p = 0; p < x->lda; p++) {
      double sum = 0, size = 0;
      for (int32_t e = x->start[i]; e < x->start[i + 1] && p < x->k; e++) {
        const double term = get(dtype, a, (size_t)x->order[e]) * get(dtype, b, (size_t)x->col[e] * x->ldb + p);
        sum += term;
        size += fabs(term);
      }
      for (size_t t = 0; t < count; t++) {
        const double value = get(dtype, outputs[t], i * x->lda + p);
        if (p >= x->k) /* beyond the columns nothing is touched */
          assert_true(value == get(dtype, before, i * x->lda + p));
        else
          near(value, sum, size, (3 + 0.25 * (double)(x->start[i + 1] - x->start[i])) * epsilon(dtype), "combine", t);
      }
    }
}

static void test_sampled(void **unused) {
  for (int i = 0; i < 400; i++) {
    const tb_dtype dtype = dtypes[i % 2];
    sample x = { .combine = i / 2 % 2, .rows = below(39), .cols = 1 + below(30), .k = some_size() };
    x.lda = x.k + below(3);
    x.ldb = x.k + below(3);
    for (size_t r = 0; r < x.rows; r++) {
      const size_t more = below(10);
      for (size_t j = 0; j < more; j++)
        x.col[x.entries++] = (int32_t)below(x.cols);
      x.start[r + 1] = (int32_t)x.entries;
    }
    for (size_t e = 0; e < x.entries; e++)
      x.order[e] = (int32_t)below(x.entries);
    fill(dtype, a, x.rows * x.lda + x.entries);
    fill(dtype, b, x.cols * x.ldb);
    const size_t elements = x.combine ? x.rows * x.lda : x.entries;
    fill(dtype, before, elements);
    const size_t count = run_tables(dtype, run_sample, &x, elements * size_of(dtype), before);
    (x.combine ? check_combine : check_products)(dtype, count, &x);
  }
}

/* ---- factors ---- */

typedef struct factor_case {
  size_t n, k;
  bool transpose, solve, definite;
} factor_case;

static void factor_one(const tb_kernels *kernels, void *out, void *user) {
  factor_case *f = user;
  if (f->solve)
    kernels->factor->triangular_solve(f->transpose, f->n, f->k, a, out, scratch);
  else
    f->definite = kernels->factor->cholesky(f->n, out, scratch);
}

/* a ← BBᵀ/n in float64, rounded, with little or much added to the diagonal. */
static void fill_definite(tb_dtype dtype, size_t n, double ridge) {
  double *factor = malloc((n * n + 1) * sizeof *factor);
  for (size_t i = 0; i < n * n; i++)
    factor[i] = uniform();
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      double sum = i == j ? ridge : 0;
      for (size_t p = 0; p < n; p++)
        sum += factor[i * n + p] * factor[j * n + p] / (double)n;
      set(dtype, a, i * n + j, j > i ? NAN : sum); /* the upper triangle is not read */
    }
  free(factor);
}

/* Higham, Accuracy and Stability, theorems 10.3 and 8.5: |LLᵀ − A| ≤ γ |L||Lᵀ| and |Lx − b| ≤ γ |L||x| element by
 * element, γ of the order of n roundings (half an epsilon each). */
static double rounding(tb_dtype dtype, size_t n) {
  return 0.5 * ((double)n + 2) * epsilon(dtype);
}

static void check_factor(tb_dtype dtype, size_t n, const void *l) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      if (j > i) {
        assert_true(get(dtype, l, i * n + j) == 0);
        continue;
      }
      double sum = 0, size = 0;
      for (size_t p = 0; p <= j; p++) {
        const double term = get(dtype, l, i * n + p) * get(dtype, l, j * n + p);
        sum += term;
        size += fabs(term);
      }
      const double error = fabs(sum - get(dtype, a, i * n + j));
      if (!(error <= rounding(dtype, n) * size))
        fail_msg("cholesky of %zu: element %zu, %zu is off by %g of %g", n, i, j, error, size);
    }
}

static void check_solution(tb_dtype dtype, const factor_case *f, const void *x, const void *right) {
  const size_t n = f->n, k = f->k;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < k; j++) {
      double sum = 0, size = 0;
      for (size_t p = f->transpose ? i : 0; p < (f->transpose ? n : i + 1); p++) {
        const double term = get(dtype, a, f->transpose ? p * n + i : i * n + p) * get(dtype, x, p * k + j);
        sum += term;
        size += fabs(term);
      }
      const double error = fabs(sum - get(dtype, right, i * k + j));
      if (!(error <= rounding(dtype, n) * size))
        fail_msg("triangular solve %zu×%zu: row %zu is off by %g of %g", n, k, i, error, size);
    }
}

static void test_factor(void **unused) {
  static const size_t sizes[] = { 0, 1, 2, 7, 8, 9, 63, 64, 65, 130, 321 };
  for (size_t t = 0; t < 2; t++)
    for (int trial = 0; trial < 60; trial++) {
      const tb_dtype dtype = dtypes[t];
      const size_t known = sizeof sizes / sizeof sizes[0], n = trial < (int)known ? sizes[trial] : below(100);
      factor_case f = { .n = n };
      fill_definite(dtype, n, trial % 3 ? 1 : 100 * (double)n * epsilon(dtype));
      memcpy(before, a, n * n * size_of(dtype));
      size_t count = run_tables(dtype, factor_one, &f, n * n * size_of(dtype), before);
      assert_true(f.definite);
      for (size_t table = 0; table < count; table++)
        check_factor(dtype, n, outputs[table]);
      if (n) { /* not definite: the last pivot */
        set(dtype, before, n * n - 1, -1);
        run_tables(dtype, factor_one, &f, n * n * size_of(dtype), before);
        assert_false(f.definite);
      }
      fill_definite(dtype, n, 1);
      for (int transpose = 0; transpose < 2; transpose++) {
        f = (factor_case){ .n = n, .k = trial % 2 ? 1 : 1 + below(70), .solve = true, .transpose = transpose };
        fill(dtype, before, n * f.k);
        count = run_tables(dtype, factor_one, &f, n * f.k * size_of(dtype), before);
        for (size_t table = 0; table < count; table++)
          check_solution(dtype, &f, outputs[table], before);
      }
    }
}

/* ---- steps of Adam ---- */

typedef struct adam {
  size_t rows, cols, ld[TB_ADAM_VECTORS];
} adam;

static const double adam_numbers[TB_ADAM_NUMBERS] = { 0.875, 0.125, 0.75, 0.25, 0.5, 0.25 }; /* exact in both types */

/* The vectors lie one after the other in a, scalars of rows in b, and the outputs one after the other in out. */
static void run_adam(const tb_kernels *kernels, void *out_, void *user) {
  const adam *s = user;
  const size_t size = size_of(kernels->dtype);
  const void *in[TB_ADAM_VECTORS], *scalars[TB_ADAM_SCALARS];
  void *out[TB_ADAM_OUTPUTS];
  size_t at = 0, lds[TB_ADAM_SCALARS];
  for (int k = 0; k < TB_ADAM_VECTORS; k++) {
    in[k] = (const char *)a + at * size;
    if (k < TB_ADAM_OUTPUTS)
      out[k] = (char *)out_ + at * size;
    at += s->rows * s->ld[k];
  }
  for (int k = 0; k < TB_ADAM_SCALARS; k++) {
    scalars[k] = (const char *)b + (size_t)k * s->rows * size;
    lds[k] = 1;
  }
  kernels->pointwise->adam(s->rows, s->cols, adam_numbers, out, s->ld, in, s->ld, scalars, lds);
}

static void test_adam(void **unused) {
  for (int i = 0; i < 40; i++) {
    const tb_dtype dtype = dtypes[i % 2];
    adam s = { .rows = 1 + below(5), .cols = some_size() };
    size_t elements = 0, first[TB_ADAM_VECTORS];
    for (int k = 0; k < TB_ADAM_VECTORS; k++) {
      s.ld[k] = s.cols + (below(2) ? 0 : below(4));
      first[k] = elements;
      elements += s.rows * s.ld[k];
    }
    fill(dtype, a, elements);
    fill(dtype, b, TB_ADAM_SCALARS * s.rows);
    for (size_t k = 0; k < elements; k++) /* v and c₂ must not be negative */
      set(dtype, a, k, fabs(get(dtype, a, k)));
    for (size_t k = 0; k < TB_ADAM_SCALARS * s.rows; k++)
      set(dtype, b, k, fabs(get(dtype, b, k)));
    fill(dtype, before, elements);
    const size_t count = run_tables(dtype, run_adam, &s, elements * size_of(dtype), before);
    for (size_t r = 0; r < s.rows; r++)
      for (size_t j = 0; j < s.cols; j++) {
        double x[TB_ADAM_VECTORS], scalar[TB_ADAM_SCALARS], expected[TB_ADAM_OUTPUTS];
        for (int k = 0; k < TB_ADAM_VECTORS; k++)
          x[k] = get(dtype, a, first[k] + r * s.ld[k] + j);
        for (int k = 0; k < TB_ADAM_SCALARS; k++)
          scalar[k] = get(dtype, b, (size_t)k * s.rows + r);
        const double g = x[TB_ADAM_G];
        expected[TB_ADAM_M] = 0.875 * x[TB_ADAM_M] + 0.125 * g;
        expected[TB_ADAM_V] = 0.75 * x[TB_ADAM_V] + 0.25 * g * g;
        expected[TB_ADAM_THETA] =
            x[TB_ADAM_THETA] - scalar[TB_ADAM_RATE] * (0.25 * x[TB_ADAM_THETA] +
                                                       scalar[TB_ADAM_C1] * expected[TB_ADAM_M] /
                                                           (sqrt(scalar[TB_ADAM_C2] * expected[TB_ADAM_V]) + 0.5));
        for (int k = 0; k < TB_ADAM_OUTPUTS; k++)
          for (size_t t = 0; t < count; t++)
            near(get(dtype, outputs[t], first[k] + r * s.ld[k] + j), expected[k], 3, 4 * epsilon(dtype), "Adam", t);
      }
  }
}

/* ---- layer norm ---- */

typedef struct norm {
  tb_layer_norm shape;
  bool sums, rest;
} norm;

/* out, then x̄, gain̄ and shift̄, one after the other */
static void run_norm(const tb_kernels *kernels, void *out, void *user) {
  const norm *n = user;
  const tb_layer_norm *s = &n->shape;
  const size_t size = size_of(kernels->dtype);
  char *x_bar = (char *)out + s->rows * s->ld_out * size, *gain_bar = x_bar + s->rows * s->ld_x_bar * size;
  const char *gain = c, *shift = gain + s->cols * size;
  assert_true(kernels->norm->scratch(s, true) <= MOST);
  kernels->norm->forward(s, a, gain, shift, out, scratch);
  const char *rest = shift + s->cols * size;
  kernels->norm->backward(s, a, gain, b, n->rest ? rest : NULL, x_bar, n->sums ? gain_bar : NULL,
                          n->sums ? gain_bar + s->cols * size : NULL, scratch);
}

static void check_norm(tb_dtype dtype, const norm *n, size_t count) {
  const tb_layer_norm *s = &n->shape;
  const size_t x_bar = s->rows * s->ld_out, gain_bar = x_bar + s->rows * s->ld_x_bar, shift_bar = gain_bar + s->cols;
  const double tolerance = 100 * epsilon(dtype);
  double *sums = calloc(2 * s->cols + 1, sizeof *sums);
  for (size_t i = 0; i < s->rows; i++) {
    double mean = 0, square = 0, g_mean = 0, moment = 0;
    for (size_t j = 0; j < s->cols; j++)
      mean += get(dtype, a, i * s->ld_x + j) / (double)s->cols;
    for (size_t j = 0; j < s->cols; j++)
      square += pow(get(dtype, a, i * s->ld_x + j) - mean, 2) / (double)s->cols;
    const double r = 1 / sqrt(square + s->epsilon);
    for (size_t j = 0; j < s->cols; j++) {
      const double x = (get(dtype, a, i * s->ld_x + j) - mean) * r, bar = get(dtype, b, i * s->ld_bar + j);
      const double g = bar * get(dtype, c, j);
      g_mean += g / (double)s->cols;
      moment += g * x / (double)s->cols;
      sums[j] += bar * x;
      sums[s->cols + j] += bar;
      for (size_t t = 0; t < count; t++)
        near(get(dtype, outputs[t], i * s->ld_out + j), x * get(dtype, c, j) + get(dtype, c, s->cols + j), 1 + fabs(x),
             tolerance, "layer norm", t);
    }
    for (size_t j = 0; j < s->cols; j++) {
      const double x = (get(dtype, a, i * s->ld_x + j) - mean) * r;
      const double g = get(dtype, b, i * s->ld_bar + j) * get(dtype, c, j);
      const double rest = n->rest ? get(dtype, c, 2 * s->cols + i * s->ld_rest + j) : 0;
      for (size_t t = 0; t < count; t++)
        near(get(dtype, outputs[t], x_bar + i * s->ld_x_bar + j), r * (g - g_mean - x * moment) + rest,
             (1 + r) * (2 + fabs(x)), tolerance, "layer norm, reverse", t);
    }
  }
  for (size_t j = 0; j < 2 * s->cols && n->sums; j++)
    for (size_t t = 0; t < count; t++)
      near(get(dtype, outputs[t], j < s->cols ? gain_bar + j : shift_bar + j - s->cols), sums[j],
           3 * (double)s->rows + 1, tolerance, "layer norm, sums", t);
  free(sums);
}

static void test_norm(void **unused) {
  for (int i = 0; i < 80; i++) {
    const tb_dtype dtype = dtypes[i % 2];
    norm n = { .shape = { .rows = 1 + some_size(), .cols = 1 + some_size(), .epsilon = 1e-3 },
               .sums = below(4) > 0,
               .rest = below(2) };
    size_t *const ld[] = { &n.shape.ld_x, &n.shape.ld_out, &n.shape.ld_bar, &n.shape.ld_x_bar, &n.shape.ld_rest };
    for (int k = 0; k < 5; k++)
      *ld[k] = n.shape.cols + (below(2) ? 0 : below(4));
    fill(dtype, a, n.shape.rows * n.shape.ld_x);
    fill(dtype, b, n.shape.rows * n.shape.ld_bar);
    fill(dtype, c, 2 * n.shape.cols + n.shape.rows * n.shape.ld_rest);
    const size_t elements = n.shape.rows * (n.shape.ld_out + n.shape.ld_x_bar) + 2 * n.shape.cols;
    fill(dtype, before, elements);
    check_norm(dtype, &n, run_tables(dtype, run_norm, &n, elements * size_of(dtype), before));
  }
}

/* ---- the choice ---- */

static void test_choice(void **unused) {
  tb_context *context = tb_context_new(NULL, NULL);
  const tb_kernels *tables[TB_KERNELS_MAX], *chosen = NULL;
  const size_t count = tb_kernels_available(TB_FLOAT64, tables);
  assert_true(count >= 1);
  assert_string_equal(tables[count - 1]->name, "generic");
  for (size_t t = 0; t < count; t++) {
    setenv("TIEBREAK_KERNELS", tables[t]->name, 1);
    assert_int_equal(tb_kernels_choose(context, TB_FLOAT64, &chosen), TB_OK);
    assert_ptr_equal(chosen, tables[t]);
    assert_string_equal(tb_kernels_name(), tables[t]->name);
    assert_true(tb_machine_peak(TB_FLOAT64) > 0.1);
  }
  setenv("TIEBREAK_KERNELS", "v9", 1);
  assert_int_equal(tb_kernels_choose(context, TB_FLOAT64, &chosen), TB_USAGE);
  unsetenv("TIEBREAK_KERNELS");
  assert_int_equal(tb_kernels_choose(context, TB_FLOAT32, &chosen), TB_OK);
  assert_string_equal(chosen->name, tables[0]->name);
  assert_int_equal(chosen->dtype, TB_FLOAT32);
  tb_context_free(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_gemm),   cmocka_unit_test(test_pointwise), cmocka_unit_test(test_nan_is_handed_on),
    cmocka_unit_test(test_reduce), cmocka_unit_test(test_softmax),   cmocka_unit_test(test_move),
    cmocka_unit_test(test_choice), cmocka_unit_test(test_norm),      cmocka_unit_test(test_adam),
    cmocka_unit_test(test_factor), cmocka_unit_test(test_sampled),
  };
  return cmocka_run_group_tests(tests, make, unmake);
}

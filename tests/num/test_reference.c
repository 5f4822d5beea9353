/* Reference solvers against published values, and against exhaustive enumeration of active sets and vertices in long
 * double on small problems, ties and duplicates included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "num/linear.h"
#include "num/reference.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int setup(void **state) {
  *state = tb_context_new(NULL, NULL);
  return *state == NULL;
}

static int teardown(void **state) {
  tb_context_free(*state);
  return 0;
}

static uint64_t lcg = 7;
static double uniform(void) { /* (−1, 1) */
  lcg = lcg * 6364136223846793005u + 1442695040888963407u;
  return (double)(int64_t)lcg / 9223372036854775808.0;
}

static double small_integer(void) { /* −2 … 2: ties abound */
  return floor(2.5 * (uniform() + 1)) - 2;
}

static void assert_near(double value, double truth, double tolerance) {
  if (!(fabs(value - truth) <= tolerance * fmax(1, fabs(truth))))
    fail_msg("%.17g, should be %.17g (off by %.3g, allowed %.3g)", value, truth, fabs(value - truth),
             tolerance * fmax(1, fabs(truth)));
}

static void solved(tb_context *context, tb_status status) {
  if (status != TB_OK)
    fail_msg("%s", tb_context_message(context));
}

static void assert_vector(size_t d, const double *value, const double *truth, double tolerance) {
  for (size_t j = 0; j < d; j++)
    assert_near(value[j], truth[j], tolerance);
}

/* ---- exhaustive references ---- */

enum { MOST = 8 };

/* Gauss-Jordan with full pivoting, k×k; false when singular. */
static bool solve_small(size_t k, long double a[MOST][MOST + 1], long double *x) {
  size_t column[MOST];
  for (size_t j = 0; j < k; j++)
    column[j] = j;
  for (size_t s = 0; s < k; s++) {
    size_t bi = s, bj = s;
    for (size_t i = s; i < k; i++)
      for (size_t j = s; j < k; j++)
        if (fabsl(a[i][j]) > fabsl(a[bi][bj]))
          bi = i, bj = j;
    if (fabsl(a[bi][bj]) < 1e-12L)
      return false;
    for (size_t j = 0; j <= k; j++) {
      long double t = a[s][j];
      a[s][j] = a[bi][j], a[bi][j] = t;
    }
    for (size_t i = 0; i < k; i++) {
      long double t = a[i][s];
      a[i][s] = a[i][bj], a[i][bj] = t;
    }
    size_t c = column[s];
    column[s] = column[bj], column[bj] = c;
    for (size_t i = 0; i < k; i++)
      if (i != s) {
        long double f = a[i][s] / a[s][s];
        for (size_t j = s; j <= k; j++)
          a[i][j] -= f * a[s][j];
      }
  }
  for (size_t s = 0; s < k; s++)
    x[column[s]] = a[s][k] / a[s][s];
  return true;
}

static bool feasible(size_t n, size_t d, const double *z, const long double *b) {
  for (size_t i = 0; i < n; i++) {
    long double margin = 0;
    for (size_t j = 0; j < d; j++)
      margin += z[i * d + j] * b[j];
    if (margin < 1 - 1e-12L)
      return false;
  }
  return true;
}

/* Smallest ½‖b‖² over every set of rows held at margin 1 with multipliers ≥ 0. */
static bool svm_by_enumeration(size_t n, size_t d, const double *z, long double *best) {
  long double least = INFINITY;
  for (unsigned set = 1; set < 1u << n; set++) {
    size_t rows[MOST], k = 0;
    for (size_t i = 0; i < n; i++)
      if (set >> i & 1 && k < MOST)
        rows[k++] = i;
    if (k > d)
      continue;
    long double a[MOST][MOST + 1], u[MOST], b[MOST] = { 0 }, square = 0;
    for (size_t i = 0; i < k; i++) {
      for (size_t l = 0; l < k; l++) {
        a[i][l] = 0;
        for (size_t j = 0; j < d; j++)
          a[i][l] += (long double)z[rows[i] * d + j] * z[rows[l] * d + j];
      }
      a[i][k] = 1;
    }
    if (!solve_small(k, a, u))
      continue;
    bool dual = true;
    for (size_t i = 0; i < k; i++) {
      dual = dual && u[i] >= -1e-15L;
      for (size_t j = 0; j < d; j++)
        b[j] += u[i] * z[rows[i] * d + j];
    }
    for (size_t j = 0; j < d; j++)
      square += b[j] * b[j];
    if (dual && feasible(n, d, z, b) && square < least) {
      least = square;
      memcpy(best, b, sizeof b);
    }
  }
  return isfinite((double)least);
}

typedef struct vertices {
  size_t d, rows; /* dimensions, constraints g_k·x ≥ h_k */
  long double g[4 * MOST][MOST], h[4 * MOST];
  bool equation[4 * MOST];
  long double c[MOST]; /* linear part of the objective */
  long double l1;      /* plus l1·‖x‖₁, whose kinks are the rows with h = 0 and `kink` */
  bool kink[4 * MOST];
} vertices;

/* min over all vertices of the arrangement; *distinct: how many attain it. */
static long double least_vertex(const vertices *v, long double *x, size_t *distinct) {
  long double least = INFINITY, found[64][MOST];
  size_t pick[MOST], d = v->d;
  *distinct = 0;
  for (size_t j = 0; j < d; j++)
    pick[j] = j;
  if (v->rows < d)
    return least;
  for (;;) {
    long double a[MOST][MOST + 1], y[MOST];
    for (size_t i = 0; i < d; i++) {
      memcpy(a[i], v->g[pick[i]], sizeof v->g[0]);
      a[i][d] = v->h[pick[i]];
    }
    if (solve_small(d, a, y)) {
      bool good = true;
      long double value = 0;
      for (size_t k = 0; k < v->rows && good; k++) {
        long double gap = -v->h[k];
        for (size_t j = 0; j < d; j++)
          gap += v->g[k][j] * y[j];
        good = v->kink[k] || (v->equation[k] ? fabsl(gap) < 1e-12L : gap > -1e-12L);
      }
      for (size_t j = 0; j < d; j++)
        value += v->c[j] * y[j] + v->l1 * fabsl(y[j]);
      if (good && value < least + 1e-12L) {
        if (value < least - 1e-12L) {
          *distinct = 0;
          least = value;
          memcpy(x, y, d * sizeof *x);
        }
        bool known = false;
        for (size_t f = 0; f < *distinct; f++) {
          long double far = 0;
          for (size_t j = 0; j < d; j++)
            far = fmaxl(far, fabsl(found[f][j] - y[j]));
          known = known || far < 1e-10L;
        }
        if (!known && *distinct < 64)
          memcpy(found[(*distinct)++], y, sizeof y);
      }
    }
    size_t i = d;
    while (i-- > 0 && pick[i] == v->rows - d + i)
      ;
    if (i == (size_t)-1)
      return least;
    pick[i]++;
    for (size_t j = i + 1; j < d; j++)
      pick[j] = pick[j - 1] + 1;
  }
}

static void add_row(vertices *v, size_t d, const double *row, long double h) {
  for (size_t j = 0; j < d; j++)
    v->g[v->rows][j] = row[j];
  v->h[v->rows++] = h;
}

/* ---- published values ---- */

static const double data_a[] = { 0, 0, -1, 1, 3, 1, 3, 1, 1, -2, 2, 3, 0, 1, 2 }, label_a[] = { 1, -1, 1 };
static const double data_b[] = { -2, 1, 1, -2, 3, 2, 1, 2, 0, 2, 0, 2, 1, 0, 0, 1, -1, 3 };

static void values_of_a(void **state) {
  double z[15];
  for (size_t i = 0; i < 15; i++)
    z[i] = data_a[i] * label_a[i / 5];
  tb_reference l2, svm, svm1, l1;
  double least[] = { 7. / 24, -1. / 24, -1. / 24, -7. / 24, 10. / 24 };
  double largest_margin[] = { 11. / 112, -3. / 112, -13. / 112, -1. / 112, 50. / 112 };
  double sparse[] = { 0, 0, 0, 0, 0.5 }, basis_pursuit[] = { 2. / 9, 0, 0, -1. / 3, 4. / 9 };
  solved(*state, tb_interpolate_l2(*state, 3, 5, data_a, label_a, &l2));
  solved(*state, tb_svm_l2(*state, 3, 5, z, &svm));
  solved(*state, tb_svm_l1(*state, 3, 5, z, &svm1));
  solved(*state, tb_interpolate_l1(*state, 3, 5, data_a, label_a, &l1));
  assert_vector(5, l2.b, least, 1e-15);
  assert_vector(5, svm.b, largest_margin, 1e-15);
  assert_vector(5, svm1.b, sparse, 1e-15);
  assert_vector(5, l1.b, basis_pursuit, 1e-15);
  assert_near(tb_angle_degrees(5, l2.b, svm.b), 36.6992, 2e-6);
  assert_true(svm.residual < 1e-14 && l2.residual < 1e-14 && svm1.residual < 1e-14 && l1.residual < 1e-14);
  assert_true(svm1.unique && l1.unique && svm.unique && l2.unique);
  assert_near(svm1.objective, 0.5, 1e-15);
  assert_near(l1.objective, 1, 1e-15);
  tb_reference_free(*state, &l2), tb_reference_free(*state, &svm);
  tb_reference_free(*state, &svm1), tb_reference_free(*state, &l1);
}

static void values_of_b(void **state) {
  double g[3] = { 0 }, offset[3];
  for (size_t i = 0; i < 18; i++)
    g[i % 3] += 0.5 * data_b[i];
  assert_vector(3, g, (double[]){ 0.5, 2.5, 4 }, 0);
  tb_reference limit, svm;
  solved(*state, tb_limit_programme(*state, 6, 3, data_b, g, &limit, offset));
  assert_vector(3, limit.b, (double[]){ 1, 2.25, 0.75 }, 1e-15);
  assert_vector(6, limit.dual, (double[]){ 23. / 8, 0, 0, 0, 47. / 8, 3. / 8 }, 1e-14);
  assert_true(limit.unique && limit.residual < 1e-14);
  for (size_t i = 0; i < 6; i++)
    if (limit.dual[i] > 0)
      assert_near(tb_dot(3, data_b + 3 * i, offset), -log(limit.dual[i]), 1e-14);
  solved(*state, tb_svm_l2(*state, 6, 3, data_b, &svm));
  assert_vector(3, svm.b, (double[]){ 1, 1.5, 1.5 }, 1e-15);
  tb_reference_free(*state, &limit), tb_reference_free(*state, &svm);
}

/* ---- against enumeration ---- */

static void assert_certificate(size_t n, size_t d, const double *z, const double *c) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    assert_true(c[i] >= 0);
    sum += c[i];
  }
  assert_near(sum, 1, 1e-14);
  for (size_t j = 0; j < d; j++) {
    long double column = 0;
    for (size_t i = 0; i < n; i++)
      column += (long double)c[i] * z[i * d + j];
    assert_near((double)column, 0, 1e-12);
  }
}

static void svm_against_enumeration(void **state) {
  int separable = 0;
  for (int trial = 0; trial < 400; trial++) {
    size_t d = 1 + (size_t)trial % 4, n = 1 + (size_t)(trial / 4) % 7;
    double z[MOST * MOST];
    for (size_t i = 0; i < n * d; i++)
      z[i] = trial % 2 ? small_integer() : uniform() + 0.3;
    if (trial % 5 == 0 && n > 2)
      memcpy(z + d, z, d * sizeof *z);
    long double truth[MOST] = { 0 };
    tb_reference svm, check;
    solved(*state, tb_svm_l2(*state, n, d, z, &svm));
    solved(*state, tb_separability_check(*state, n, d, z, &check));
    assert_int_equal(svm.separable, check.separable);
    if (svm_by_enumeration(n, d, z, truth)) {
      separable++;
      assert_int_equal(svm.separable, TB_SEPARABLE);
      for (size_t j = 0; j < d; j++)
        assert_near(svm.b[j], (double)truth[j], 1e-11);
      assert_true(svm.residual <= 1e-12);
    } else {
      assert_int_equal(svm.separable, TB_NOT_SEPARABLE);
      assert_null(svm.b);
      assert_certificate(n, d, z, svm.dual);
      assert_certificate(n, d, z, check.dual);
    }
    tb_reference_free(*state, &svm), tb_reference_free(*state, &check);
  }
  assert_true(separable > 100 && separable < 390);
}

static void l1_and_linf_against_enumeration(void **state) {
  for (int trial = 0; trial < 300; trial++) {
    size_t d = 1 + (size_t)trial % 3, n = 1 + (size_t)(trial / 3) % 5, distinct;
    double z[MOST * MOST], zero_row[MOST] = { 0 };
    for (size_t i = 0; i < n * d; i++)
      z[i] = trial % 2 ? small_integer() : uniform() + 0.4;
    tb_reference l1, linf;
    solved(*state, tb_svm_l1(*state, n, d, z, &l1));
    solved(*state, tb_svm_linf(*state, n, d, z, &linf));
    assert_int_equal(l1.separable, linf.separable);
    if (l1.separable == TB_SEPARABLE) {
      vertices v = { .d = d, .l1 = 1 };
      long double x[MOST];
      for (size_t i = 0; i < n; i++)
        add_row(&v, d, z + i * d, 1);
      for (size_t j = 0; j < d; j++) {
        double e[MOST] = { 0 };
        e[j] = 1;
        v.kink[v.rows] = true;
        add_row(&v, d, e, 0);
      }
      long double value = least_vertex(&v, x, &distinct);
      assert_near(l1.objective, (double)value, 1e-12);
      assert_int_equal(l1.unique, distinct == 1);
      for (size_t j = 0; j < d && distinct == 1; j++)
        assert_near(l1.b[j], (double)x[j], 1e-11);

      vertices w = { .d = d + 1 };
      w.c[d] = 1;
      for (size_t i = 0; i < n; i++)
        add_row(&w, d, z + i * d, 1);
      for (size_t j = 0; j < 2 * d; j++) {
        add_row(&w, d, zero_row, 0);
        w.g[w.rows - 1][j / 2] = j % 2 ? 1 : -1;
        w.g[w.rows - 1][d] = 1;
      }
      value = least_vertex(&w, x, &distinct);
      assert_near(linf.objective, (double)value, 1e-12);
      assert_int_equal(linf.unique, distinct == 1);
      for (size_t j = 0; j < d && distinct == 1; j++)
        assert_near(linf.b[j], (double)x[j], 1e-11);
    }
    tb_reference_free(*state, &l1), tb_reference_free(*state, &linf);
  }
}

/* The units of the data are the user's: everything but sizes stays, to the bits for powers of two. */
static void units_of_the_data(void **state) {
  static const double scales[] = { 0x1p-60, 0x1p-30, 0x1p30, 0x1p60 };
  double z[12], other[12], g[3], offset[3], other_offset[3];
  const double one[4] = { 1, 1, 1, 1 };
  for (size_t i = 0; i < 12; i++)
    z[i] = uniform() + (i % 3 == 0 ? 1.5 : 0);
  for (size_t j = 0; j < 3; j++)
    g[j] = z[j] + 2 * z[3 + j] + z[6 + j] + z[9 + j];
  for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
    double other_g[3];
    tb_reference a[4], b[4];
    for (size_t i = 0; i < 12; i++)
      other[i] = scales[s] * z[i];
    for (size_t j = 0; j < 3; j++)
      other_g[j] = scales[s] * g[j];
    solved(*state, tb_svm_l1(*state, 4, 3, z, a));
    solved(*state, tb_svm_l1(*state, 4, 3, other, b));
    solved(*state, tb_svm_linf(*state, 4, 3, z, a + 1));
    solved(*state, tb_svm_linf(*state, 4, 3, other, b + 1));
    solved(*state, tb_interpolate_l1(*state, 2, 3, z, one, a + 2));
    solved(*state, tb_interpolate_l1(*state, 2, 3, other, one, b + 2));
    solved(*state, tb_limit_programme(*state, 4, 3, z, g, a + 3, offset));
    solved(*state, tb_limit_programme(*state, 4, 3, other, other_g, b + 3, other_offset));
    for (size_t k = 0; k < 4; k++) {
      for (size_t j = 0; j < 3; j++)
        assert_near(b[k].b[j] * scales[s], a[k].b[j], 1e-14);
      tb_reference_free(*state, a + k), tb_reference_free(*state, b + k);
    }
    for (size_t j = 0; j < 3; j++)
      assert_near(other_offset[j] * scales[s], offset[j], 1e-12);
  }
}

static void interpolation_against_enumeration(void **state) {
  for (int trial = 0; trial < 200; trial++) {
    size_t d = 2 + (size_t)trial % 4, n = 1 + (size_t)(trial / 4) % (d - 1), distinct;
    double x[MOST * MOST], y[MOST];
    for (size_t i = 0; i < n * d; i++)
      x[i] = trial % 2 ? small_integer() : uniform();
    for (size_t i = 0; i < n; i++)
      y[i] = uniform() < 0 ? -1 : 1;
    tb_reference l1;
    tb_status status = tb_interpolate_l1(*state, n, d, x, y, &l1);
    vertices v = { .d = d, .l1 = 1 };
    long double truth[MOST];
    for (size_t i = 0; i < n; i++) {
      v.equation[v.rows] = true;
      add_row(&v, d, x + i * d, y[i]);
    }
    for (size_t j = 0; j < d; j++) {
      double e[MOST] = { 0 };
      e[j] = 1;
      v.kink[v.rows] = true;
      add_row(&v, d, e, 0);
    }
    long double value = least_vertex(&v, truth, &distinct);
    if (!isfinite((double)value)) {
      assert_int_equal(status, TB_FAILED);
      continue;
    }
    solved(*state, status);
    assert_near(l1.objective, (double)value, 1e-12);
    assert_int_equal(l1.unique, distinct == 1);
    for (size_t j = 0; j < d && distinct == 1; j++)
      assert_near(l1.b[j], (double)truth[j], 1e-11);
    tb_reference_free(*state, &l1);
  }
}

static void limit_against_enumeration(void **state) {
  int unique = 0, faces = 0, degenerate = 0;
  for (int trial = 0; trial < 400; trial++) {
    size_t d = 1 + (size_t)trial % 3, n = d + (size_t)(trial / 3) % 5, distinct;
    double z[MOST * MOST], g[MOST] = { 0 }, offset[MOST];
    for (size_t i = 0; i < n * d; i++)
      z[i] = trial % 2 ? small_integer() : uniform() + 0.4;
    if (trial % 7 == 0 && n > 1)
      memcpy(z + (n - 1) * d, z, d * sizeof *z); /* a duplicate */
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < d; j++)
        g[j] += 0.5 * z[i * d + j];
    tb_reference limit;
    solved(*state, tb_limit_programme(*state, n, d, z, g, &limit, offset));
    if (limit.separable == TB_NOT_SEPARABLE) {
      assert_certificate(n, d, z, limit.dual);
      tb_reference_free(*state, &limit);
      continue;
    }
    vertices v = { .d = d };
    long double truth[MOST];
    for (size_t j = 0; j < d; j++)
      v.c[j] = g[j];
    for (size_t i = 0; i < n; i++)
      add_row(&v, d, z + i * d, 1);
    long double value = least_vertex(&v, truth, &distinct);
    if (distinct > 0) { /* the rows span everything */
      assert_near(limit.objective, (double)value, 1e-12);
      assert_int_equal(limit.unique, distinct == 1);
      unique += distinct == 1, faces += distinct > 1;
      for (size_t j = 0; j < d && distinct == 1; j++)
        assert_near(limit.b[j], (double)truth[j], 1e-11);
    }
    if (!isnan(offset[0])) { /* the law: Σ_A e^{−z·b1} z = g, and c = e^{−z·b1} */
      double sum[MOST] = { 0 };
      size_t active = 0;
      for (size_t i = 0; i < n; i++) {
        if (tb_dot(d, z + i * d, limit.b) > 1 + 1e-9)
          continue;
        double c = exp(-tb_dot(d, z + i * d, offset));
        active++;
        assert_near(limit.dual[i], c, 1e-9);
        for (size_t j = 0; j < d; j++)
          sum[j] += c * z[i * d + j];
      }
      for (size_t j = 0; j < d; j++)
        assert_near(sum[j], g[j], 1e-10);
      degenerate += active > d;
    }
    tb_reference_free(*state, &limit);
  }
  assert_true(unique > 50 && faces > 0 && degenerate > 10);
}

/* Fewer rows than dimensions: the limit is X⁺y whenever all rows are active. */
static void limit_below_full_rank(void **state) {
  double z[15], g[5] = { 0 }, offset[5], least[] = { 7. / 24, -1. / 24, -1. / 24, -7. / 24, 10. / 24 };
  for (size_t i = 0; i < 15; i++) {
    z[i] = data_a[i] * label_a[i / 5];
    g[i % 5] += 0.5 * z[i];
  }
  tb_reference limit;
  solved(*state, tb_limit_programme(*state, 3, 5, z, g, &limit, offset));
  assert_vector(5, limit.b, least, 1e-14);
  assert_vector(3, limit.dual, (double[]){ 0.5, 0.5, 0.5 }, 1e-14);
  for (size_t j = 0; j < 5; j++) /* β(t) = log(2e^t − 1) X⁺y = (t + log 2) X⁺y + o(1) */
    assert_near(offset[j], log(2) * least[j], 1e-14);
  tb_reference_free(*state, &limit);
  g[0] += 1;
  assert_int_equal(tb_limit_programme(*state, 3, 5, z, g, &limit, NULL), TB_FAILED);
  assert_non_null(strstr(tb_context_message(*state), "unbounded"));
  for (size_t j = 0; j < 5; j++)
    g[j] = -z[j];
  assert_int_equal(tb_limit_programme(*state, 3, 5, z, g, &limit, NULL), TB_FAILED);
  assert_non_null(strstr(tb_context_message(*state), "unbounded"));
}

/* ---- sizes and edges ---- */

static void large_machine(void **state) {
  size_t shapes[][2] = { { 500, 60 }, { 40, 200 }, { 300, 300 }, { 200, 2 } };
  for (size_t s = 0; s < 4; s++) {
    size_t n = shapes[s][0], d = shapes[s][1];
    double *z = malloc(n * d * sizeof *z), *teacher = malloc(d * sizeof *teacher);
    for (size_t j = 0; j < d; j++)
      teacher[j] = uniform();
    for (size_t i = 0; i < n; i++) {
      double *row = z + i * d;
      for (size_t j = 0; j < d; j++)
        row[j] = uniform();
      if (tb_dot(d, row, teacher) < 0)
        for (size_t j = 0; j < d; j++)
          row[j] = -row[j];
    }
    tb_reference svm, l1, linf;
    solved(*state, tb_svm_l2(*state, n, d, z, &svm));
    assert_true(svm.separable == TB_SEPARABLE && svm.residual < 1e-11);
    solved(*state, tb_svm_l1(*state, n, d, z, &l1));
    solved(*state, tb_svm_linf(*state, n, d, z, &linf));
    assert_true(l1.residual < 1e-11 && linf.residual < 1e-11);
    /* each is least in its own norm */
    double norm1 = 0, norm_inf = 0;
    for (size_t j = 0; j < d; j++) {
      norm1 += fabs(svm.b[j]);
      norm_inf = fmax(norm_inf, fabs(svm.b[j]));
    }
    assert_true(l1.objective <= norm1 && linf.objective <= norm_inf);
    assert_true(svm.objective <= 0.5 * tb_dot(d, l1.b, l1.b) && svm.objective <= 0.5 * tb_dot(d, linf.b, linf.b));
    tb_reference_free(*state, &svm), tb_reference_free(*state, &l1), tb_reference_free(*state, &linf);
    free(teacher);
    free(z);
  }
}

static void edges(void **state) {
  tb_reference r;
  double zero_row[] = { 1, 0, 0, 0, 0, 2 }, opposite[] = { 1, 2, -1, -2, 3, 1 }, g[] = { 0, 0 };
  tb_status (*all[])(tb_context *, size_t, size_t, const double *,
                     tb_reference *) = { tb_svm_l2, tb_svm_l1, tb_svm_linf, tb_separability_check };
  for (size_t k = 0; k < 4; k++) {
    solved(*state, all[k](*state, 3, 2, zero_row, &r));
    assert_int_equal(r.separable, TB_NOT_SEPARABLE);
    assert_vector(3, r.dual, (double[]){ 0, 1, 0 }, 0);
    tb_reference_free(*state, &r);
    solved(*state, all[k](*state, 3, 2, opposite, &r));
    assert_int_equal(r.separable, TB_NOT_SEPARABLE);
    assert_vector(3, r.dual, (double[]){ 0.5, 0.5, 0 }, 1e-15);
    tb_reference_free(*state, &r);
    solved(*state, all[k](*state, 0, 2, opposite, &r));
    assert_int_equal(r.separable, TB_SEPARABLE);
    assert_vector(2, r.b, g, 0);
    tb_reference_free(*state, &r);
    double bad[] = { 1, NAN };
    assert_int_equal(all[k](*state, 1, 2, bad, &r), TB_FAILED);
  }
  solved(*state, tb_limit_programme(*state, 3, 2, opposite, g, &r, NULL));
  assert_int_equal(r.separable, TB_NOT_SEPARABLE);
  tb_reference_free(*state, &r);
  double x[] = { 1, 2, 2, 4 }, y[] = { 1, 3 };
  assert_int_equal(tb_interpolate_l2(*state, 2, 2, x, y, &r), TB_FAILED);
  assert_int_equal(tb_interpolate_l1(*state, 2, 2, x, y, &r), TB_FAILED);
  y[1] = 2; /* consistent though dependent */
  solved(*state, tb_interpolate_l1(*state, 2, 2, x, y, &r));
  assert_vector(2, r.b, (double[]){ 0, 0.5 }, 1e-15);
  tb_reference_free(*state, &r);
  solved(*state, tb_interpolate_l2(*state, 2, 2, x, y, &r));
  assert_vector(2, r.b, (double[]){ 0.2, 0.4 }, 1e-15);
  tb_reference_free(*state, &r);
}

static void general_programmes(void **state) {
  double inf = INFINITY, x[2], dual[2];
  int outcome;
  /* max 3x + 2y, x + y ≤ 4, x + 3y ≤ 6, 0 ≤ x ≤ 3: (3, 1) */
  double c[] = { -3, -2 }, a[] = { 1, 1, 1, 3 }, low[] = { -inf, -inf }, high[] = { 4, 6 }, zero[] = { 0, 0 };
  double box[] = { 3, inf };
  solved(*state, tb_linear_programme(*state, 2, 2, c, a, low, high, zero, box, x, dual, &outcome));
  assert_int_equal(outcome, 0);
  assert_vector(2, x, (double[]){ 3, 1 }, 0);
  assert_near(dual[0] + 3 * dual[1], -2, 1e-15); /* both rows are tight: any such dual will do */
  assert_true(dual[0] <= 0 && dual[1] <= 0 && -3 - dual[0] - dual[1] <= 0);
  solved(*state,
         tb_linear_programme(*state, 1, 2, c, a, low, high + 1, zero, (double[]){ inf, inf }, x, dual, &outcome));
  assert_int_equal(outcome, 0);
  double up[] = { 5 }; /* x + y ≥ 5 with x, y ≤ 2 */
  solved(*state, tb_linear_programme(*state, 1, 2, c, a, up, &inf, zero, (double[]){ 2, 2 }, x, dual, &outcome));
  assert_int_equal(outcome, 1);
  assert_true(dual[0] * up[0] > 2 * 2 * dual[0] && dual[0] > 0); /* Farkas */
  solved(*state, tb_linear_programme(*state, 1, 2, c, a, zero, &inf, zero, (double[]){ inf, inf }, x, dual, &outcome));
  assert_int_equal(outcome, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(values_of_a, setup, teardown),
    cmocka_unit_test_setup_teardown(values_of_b, setup, teardown),
    cmocka_unit_test_setup_teardown(svm_against_enumeration, setup, teardown),
    cmocka_unit_test_setup_teardown(l1_and_linf_against_enumeration, setup, teardown),
    cmocka_unit_test_setup_teardown(units_of_the_data, setup, teardown),
    cmocka_unit_test_setup_teardown(interpolation_against_enumeration, setup, teardown),
    cmocka_unit_test_setup_teardown(limit_against_enumeration, setup, teardown),
    cmocka_unit_test_setup_teardown(limit_below_full_rank, setup, teardown),
    cmocka_unit_test_setup_teardown(large_machine, setup, teardown),
    cmocka_unit_test_setup_teardown(edges, setup, teardown),
    cmocka_unit_test_setup_teardown(general_programmes, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

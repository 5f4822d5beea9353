/* Lanczos against spectra that are known by construction: ends, multiplicities, low rank, tiny sizes, bounds, bits. */
#include "fixture.h"

#include "measure/lanczos.h"

typedef struct known {
  size_t p;
  double values[128], a[128 * 128], vectors[128 * 128];
  tb_operator_matrix matrix;
} known;

static known k; /* large */

static tb_operator known_operator(size_t p, const double *values, size_t block) {
  k.p = p;
  memcpy(k.values, values, p * sizeof *values);
  spectral_matrix(p, values, 3, k.a, k.vectors);
  k.matrix = (tb_operator_matrix){ p, k.a };
  return tb_operator_of_matrix(context, &k.matrix, block);
}

static void check_pairs(const tb_operator *op, const tb_eigenpairs *pairs, const double *expected, double tolerance) {
  const size_t p = op->dimension;
  double product[128];
  for (size_t i = 0; i < pairs->count; i++) {
    assert_near(pairs->values[i], expected[i], tolerance);
    check(tb_operator_apply(op, 1, pairs->vectors + i * p, product));
    double residual = 0;
    for (size_t j = 0; j < p; j++)
      residual += pow(product[j] - pairs->values[i] * pairs->vectors[i * p + j], 2);
    assert_near(pairs->bounds[i], sqrt(residual), 1e-13);
    for (size_t l = 0; l <= i; l++) {
      double dot = 0;
      for (size_t j = 0; j < p; j++)
        dot += pairs->vectors[i * p + j] * pairs->vectors[l * p + j];
      assert_near(dot, i == l, 1e-12);
    }
  }
}

static void both_ends(void **state) {
  double values[101];
  for (size_t i = 0; i < 101; i++)
    values[i] = i == 0 ? -7 : i == 100 ? 9 : i == 99 ? 5.5 : sin((double)i); /* an outlier below, two above */
  double sorted[101];
  memcpy(sorted, values, sizeof values);
  for (size_t block = 1; block <= 5; block += 2) {
    const tb_operator op = known_operator(101, values, block);
    tb_eigenpairs pairs;
    check(tb_lanczos(&op, &(tb_lanczos_options){ .top = 2, .bottom = 1, .block = block }, &pairs));
    assert_true(pairs.converged);
    assert_true(pairs.dimension < 60);
    check_pairs(&op, &pairs, (double[]){ 9, 5.5, -7 }, 1e-12);
    for (size_t j = 0; j < 101; j++) /* the eigenvector of 9 is the last row, up to sign */
      assert_near(fabs(pairs.vectors[j]), fabs(k.vectors[100 * 101 + j]), 1e-7);
    tb_eigenpairs_free(&pairs);
  }
}

static void all_of_a_small_one(void **state) {
  const double values[7] = { 3, -1, 2, 2, 2, 0, 0.5 };
  for (size_t block = 1; block <= 9; block++) {
    const tb_operator op = known_operator(7, values, block);
    tb_eigenpairs pairs;
    check(tb_lanczos(&op, &(tb_lanczos_options){ .top = 4, .bottom = 3, .block = block }, &pairs));
    assert_true(pairs.converged);
    check_pairs(&op, &pairs, (double[]){ 3, 2, 2, 2, -1, 0, 0.5 }, 1e-13);
    tb_eigenpairs_free(&pairs);
  }
}

static void multiplicities(void **state) {
  double values[60];
  for (size_t i = 0; i < 60; i++)
    values[i] = i < 3 ? 4 : i < 30 ? 1 : -2;
  for (size_t block = 1; block <= 4; block++) {
    const tb_operator op = known_operator(60, values, block);
    tb_eigenpairs pairs;
    check(tb_lanczos(&op, &(tb_lanczos_options){ .top = 5, .bottom = 2, .block = block }, &pairs));
    assert_true(pairs.converged);
    check_pairs(&op, &pairs, (double[]){ 4, 4, 4, 1, 1, -2, -2 }, 1e-12);
    tb_eigenpairs_free(&pairs);
  }
}

static void low_rank_zero_and_one(void **state) {
  double values[100] = { [3] = 2, [7] = -1e-3 };
  tb_operator op = known_operator(100, values, 1);
  tb_eigenpairs pairs;
  check(tb_lanczos(&op, &(tb_lanczos_options){ .top = 2, .bottom = 2 }, &pairs));
  assert_true(pairs.converged);
  assert_true(pairs.dimension < 12); /* an invariant space ends the search */
  check_pairs(&op, &pairs, (double[]){ 2, 0, -1e-3, 0 }, 1e-13);
  tb_eigenpairs_free(&pairs);
  memset(values, 0, sizeof values);
  op = known_operator(33, values, 2);
  check(tb_lanczos(&op, &(tb_lanczos_options){ .top = 1, .bottom = 1, .block = 2 }, &pairs));
  assert_true(pairs.converged && pairs.values[0] == 0 && pairs.values[1] == 0);
  tb_eigenpairs_free(&pairs);
  const double one = -3;
  op.dimension = 1;
  k.matrix = (tb_operator_matrix){ 1, &one };
  check(tb_lanczos(&op, &(tb_lanczos_options){ .top = 1 }, &pairs));
  assert_true(pairs.converged && pairs.values[0] == -3 && pairs.bounds[0] == 0 && fabs(pairs.vectors[0]) == 1);
  tb_eigenpairs_free(&pairs);
}

/* Too small a basis: not converged, and the bounds hold all the same. */
static void bounds_hold(void **state) {
  double values[128];
  for (size_t i = 0; i < 128; i++)
    values[i] = (double)i;
  const tb_operator op = known_operator(128, values, 1);
  for (size_t most = 2; most <= 32; most *= 2) {
    tb_eigenpairs pairs;
    check(tb_lanczos(&op, &(tb_lanczos_options){ .top = 1, .bottom = 1, .most = most }, &pairs));
    assert_false(pairs.converged);
    for (size_t i = 0; i < 2; i++) {
      const double nearest = fmin(fmax(round(pairs.values[i]), 0), 127);
      assert_true(fabs(pairs.values[i] - nearest) <= pairs.bounds[i] + 1e-12);
    }
    tb_eigenpairs_free(&pairs);
  }
}

static void same_bits_by_key(void **state) {
  double values[90];
  for (size_t i = 0; i < 90; i++)
    values[i] = pow(0.8, (double)i);
  const tb_operator op = known_operator(90, values, 2);
  tb_lanczos_options options = { .top = 3, .block = 2, .key = { .seed = 5 } };
  tb_eigenpairs once, again;
  check(tb_lanczos(&op, &options, &once));
  check(tb_lanczos(&op, &options, &again));
  assert_memory_equal(once.values, again.values, 3 * sizeof(double));
  assert_memory_equal(once.vectors, again.vectors, 3 * 90 * sizeof(double));
  tb_eigenpairs_free(&again);
  options.key.seed = 6;
  check(tb_lanczos(&op, &options, &again));
  assert_memory_not_equal(once.vectors, again.vectors, 3 * 90 * sizeof(double));
  assert_near(once.values[0], again.values[0], 1e-13);
  tb_eigenpairs_free(&again);
  tb_eigenpairs_free(&once);
}

static void refuses(void **state) {
  const double values[3] = { 1, 2, 3 };
  const tb_operator op = known_operator(3, values, 1);
  tb_eigenpairs pairs;
  assert_int_equal(tb_lanczos(&op, &(tb_lanczos_options){ 0 }, &pairs), TB_USAGE);
  assert_int_equal(tb_lanczos(&op, &(tb_lanczos_options){ .top = 2, .bottom = 2 }, &pairs), TB_USAGE);
  k.a[4] = NAN;
  assert_int_equal(tb_lanczos(&op, &(tb_lanczos_options){ .top = 1 }, &pairs), TB_FAILED);
}

static tb_status two_at_the_top(tb_context *metered) {
  double values[20];
  for (size_t i = 0; i < 20; i++)
    values[i] = (double)i;
  tb_operator op = known_operator(20, values, 2);
  op.context = metered;
  tb_eigenpairs pairs;
  const tb_status status = tb_lanczos(&op, &(tb_lanczos_options){ .top = 2, .block = 2 }, &pairs);
  tb_eigenpairs_free(&pairs);
  return status;
}

static void memory_runs_out(void **state) {
  memory_runs_out_in(two_at_the_top);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(both_ends),      cmocka_unit_test(all_of_a_small_one),
    cmocka_unit_test(multiplicities), cmocka_unit_test(low_rank_zero_and_one),
    cmocka_unit_test(bounds_hold),    cmocka_unit_test(same_bits_by_key),
    cmocka_unit_test(refuses),        cmocka_unit_test(memory_runs_out),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

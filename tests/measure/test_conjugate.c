/* Conjugate gradients against solutions known by construction: b = (A + λI) x. */
#include "fixture.h"

#include "measure/conjugate.h"

enum { P = 40 };

static double a[P * P], vectors[P * P];

static tb_operator operator_of(const double *values, tb_operator_matrix *matrix) {
  spectral_matrix(P, values, 5, a, vectors);
  *matrix = (tb_operator_matrix){ P, a };
  return tb_operator_of_matrix(context, matrix, 1);
}

static void solves_with_and_without_damping(void **state) {
  double values[P], x[P], b[P], want[P];
  tb_operator_matrix matrix;
  for (size_t i = 0; i < P; i++)
    values[i] = 0.1 + (double)i;
  const tb_operator op = operator_of(values, &matrix);
  for (int k = 0; k < 2; k++) {
    const double damping = k ? 3.5 : 0;
    tb_conjugate_report report;
    for (size_t i = 0; i < P; i++)
      want[i] = cos((double)i);
    check(tb_operator_apply(&op, 1, want, b));
    for (size_t i = 0; i < P; i++)
      b[i] += damping * want[i];
    check(tb_conjugate_gradients(&op, damping, b, 1e-13, 500, x, &report));
    assert_true(report.residual <= 1e-13 && report.iterations < 500);
    for (size_t i = 0; i < P; i++)
      assert_near(x[i], want[i], 1e-10);
  }
}

/* With k distinct eigenvalues k products suffice; a matrix of low rank leaves b's other part to the damping. */
static void ends_after_as_many_products_as_eigenvalues(void **state) {
  double values[P], x[P], b[P], product[P];
  tb_operator_matrix matrix;
  for (size_t i = 0; i < P; i++)
    values[i] = i < P - 2 ? 0 : i == P - 2 ? 4 : 9;
  const tb_operator op = operator_of(values, &matrix);
  tb_conjugate_report report;
  for (size_t i = 0; i < P; i++)
    b[i] = sin((double)i + 1);
  check(tb_conjugate_gradients(&op, 0.5, b, 1e-12, 100, x, &report));
  assert_int_equal(report.iterations, 3);
  check(tb_operator_apply(&op, 1, x, product));
  for (size_t i = 0; i < P; i++)
    assert_near(product[i] + 0.5 * x[i], b[i], 1e-11);
}

static void stops_where_it_is_told_and_where_nothing_curves(void **state) {
  double values[P], x[P], b[P];
  tb_operator_matrix matrix;
  for (size_t i = 0; i < P; i++)
    values[i] = 1 + (double)i;
  tb_operator op = operator_of(values, &matrix);
  tb_conjugate_report report;
  for (size_t i = 0; i < P; i++)
    b[i] = 1;
  check(tb_conjugate_gradients(&op, 0, b, 1e-12, 4, x, &report));
  assert_int_equal(report.iterations, 4);
  assert_true(report.residual > 1e-12);
  memset(b, 0, sizeof b);
  check(tb_conjugate_gradients(&op, 0, b, 1e-12, 4, x, &report));
  assert_int_equal(report.iterations, 0);
  memset(values, 0, sizeof values);
  op = operator_of(values, &matrix);
  b[3] = 1;
  check(tb_conjugate_gradients(&op, 0, b, 1e-12, 4, x, &report));
  assert_int_equal(report.iterations, 0);
  assert_near(x[3], 0, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(solves_with_and_without_damping),
    cmocka_unit_test(ends_after_as_many_products_as_eigenvalues),
    cmocka_unit_test(stops_where_it_is_told_and_where_nothing_curves),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

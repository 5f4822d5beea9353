/* examples/first_model.c runs and prints what a few lines of plain C compute. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const double x[8][3] = {
  { 0.9, 0.1, -0.4 }, { 1.3, -0.2, 0.5 }, { 0.2, 0.8, 0.1 },  { 0.7, -0.6, 0.9 },
  { 0.4, 0.3, -0.2 }, { 1.1, 0.5, 0.6 },  { 0.3, -0.1, 0.7 }, { 0.8, 0.2, -0.9 },
};

static void test_output(void **state) {
  FILE *pipe = popen(FIRST_MODEL, "r");
  assert_non_null(pipe);
  double w[3] = { 0 };
  for (int step = 0; step <= 50; step++) {
    double loss = 0, gradient[3] = { 0 };
    for (int i = 0; i < 8; i++) {
      double margin = x[i][0] * w[0] + x[i][1] * w[1] + x[i][2] * w[2];
      loss += log(1 + exp(-margin)) / 8;
      for (int k = 0; k < 3; k++)
        gradient[k] -= x[i][k] / (1 + exp(margin)) / 8;
    }
    if (step % 10 == 0) {
      int printed_step;
      double printed;
      assert_int_equal(fscanf(pipe, " step %d loss %lf", &printed_step, &printed), 2);
      assert_int_equal(printed_step, step);
      assert_true(fabs(printed - loss) < 1e-6);
    }
    for (int k = 0; k < 3; k++)
      w[k] -= 0.5 * gradient[k];
  }
  double printed[3];
  assert_int_equal(fscanf(pipe, " weights %lf %lf %lf", &printed[0], &printed[1], &printed[2]), 3);
  for (int k = 0; k < 3; k++)
    assert_true(fabs(printed[k] - w[k]) < 1e-6);
  assert_int_equal(pclose(pipe), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_output) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

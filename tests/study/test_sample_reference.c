/* The references of the claims of `sample` against published values and against themselves. */
#include "testing.h"

#include <math.h>

#include "study/sample.h"
#include "study/sample_claims.h"

static void near(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance))
    fail_msg("%.17g instead of %.17g", got, want);
}

static void integrals_are_as_published(void **state) {
  double schools[3];
  sample_eight_schools(schools);
  near(schools[0], -32.004495, 1e-6);
  near(schools[1], 4.396821, 1e-6);
  near(schools[2], 3.597705, 2e-5); /* the tail of τ falls like τ⁻² */
  near(sample_brownian_log_z(), 1.187749, 1e-5);
}

/* Every claim says what it needs to be read alone. */
static void claims_are_complete(void **state) {
  for (size_t i = 0; i < SAMPLE_CLAIMS; i++) {
    const tb_claim *c = sample_claims[i];
    assert_true(strncmp(c->id, "sample.", 7) == 0 && c->statement[0] && c->source[0] && c->reference[0] && c->group[0]);
    assert_non_null(c->arm);
    assert_non_null(c->measure);
    for (size_t j = 0; j < i; j++)
      assert_string_not_equal(c->id, sample_claims[j]->id);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(integrals_are_as_published),
    cmocka_unit_test(claims_are_complete),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

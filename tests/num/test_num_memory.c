/* Every allocation of every solver fails once: TB_NO_MEMORY and nothing else (leaks and worse show under sanitizers).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "num/flow.h"
#include "num/linear.h"
#include "num/nuclear.h"
#include "num/reference.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

static long allowed; /* allocations until the one that fails */

static void *rationed(void *user, void *block, size_t old_size, size_t new_size) {
  if (new_size == 0) {
    free(block);
    return NULL;
  }
  return allowed-- == 0 ? NULL : realloc(block, new_size);
}

static const double z[] = { -2, 1, 1, -2, 3, 2, 1, 2, 0, 2, 0, 2, 1, 0, 0, 1, -1, 3, 1, 0, 0 };
static const double opposite[] = { 1, 2, -1, -2, 3, 1 }, g[] = { 1, 2.5, 4 }, y[] = { 1, -1 };

static tb_status linear(tb_context *context) {
  double a[9], x[3], s[3], u[9], vt[9], w[7] = { 0, -1, -2, -900, 0, 0, 0 };
  bool singular;
  for (int k = 0; k < 9; k++)
    a[k] = z[k] + z[k / 3 + 3 * (k % 3)];
  tb_status status = tb_singular_values(context, 3, 3, a, s, u, vt);
  if (status == TB_OK)
    status = tb_symmetric_eigen(context, 3, a, s, u);
  if (status == TB_OK)
    status = tb_lu_solve(context, 3, u, 2, vt, &singular);
  if (status == TB_OK)
    status = tb_least_squares(context, 3, 3, z, 1, g, 0, x, NULL, NULL);
  return status == TB_OK ? tb_weighted_least_squares(context, 7, 3, z, w, w, 0, x, NULL, NULL) : status;
}

static tb_status machines(tb_context *context) {
  tb_status (*all[])(tb_context *, size_t, size_t, const double *,
                     tb_reference *) = { tb_svm_l2, tb_svm_l1, tb_svm_linf, tb_separability_check };
  tb_reference r;
  for (int k = 0; k < 8; k++) {
    tb_status status = k < 4 ? all[k](context, 7, 3, z, &r) : all[k - 4](context, 3, 2, opposite, &r);
    if (status != TB_OK)
      return status;
    tb_reference_free(context, &r);
  }
  return TB_OK;
}

static tb_status programmes(tb_context *context) {
  tb_reference r;
  double offset[3];
  tb_status status = tb_limit_programme(context, 7, 3, z, g, &r, offset); /* with a duplicate row */
  if (status != TB_OK)
    return status;
  tb_reference_free(context, &r);
  status = tb_interpolate_l1(context, 2, 3, z, y, &r);
  if (status == TB_OK)
    tb_reference_free(context, &r);
  return status;
}

static tb_status nuclear(tb_context *context) {
  size_t row[] = { 0, 1 }, col[] = { 0, 1 };
  tb_nuclear n;
  tb_status status = tb_nuclear_complete(context, 2, 2, 2, row, col, y, 0, 0, &n);
  if (status == TB_OK)
    tb_nuclear_free(context, &n);
  return status;
}

static tb_status decay(void *user, double s, const double *v, double *dv) {
  dv[0] = -1000 * (v[0] - cos(s));
  return TB_OK;
}

static tb_status level(void *user, double s, const double *v, double *value) {
  value[0] = v[0] - 0.5;
  return TB_OK;
}

static tb_status flow(tb_context *context) {
  tb_flow *f;
  tb_flow_problem problem = { .dim = 1, .derivative = decay, .n_events = 1, .events = level };
  tb_flow_end end;
  size_t event;
  double one = 1;
  tb_status status = tb_flow_new(context, &problem, NULL, &f);
  if (status != TB_OK)
    return status;
  status = tb_flow_set(f, 0, &one);
  if (status == TB_OK)
    status = tb_flow_advance(f, 3, 0, NULL, NULL, &end, &event);
  tb_flow_free(f);
  return status;
}

static void every_allocation_fails_once(void **state) {
  tb_status (*jobs[])(tb_context *) = { linear, machines, programmes, nuclear, flow };
  for (size_t j = 0; j < 5; j++) {
    tb_status status = TB_NO_MEMORY;
    long failures = 0;
    for (; status == TB_NO_MEMORY; failures++) {
      allowed = LONG_MAX;
      tb_context *context = tb_context_new(rationed, NULL);
      allowed = failures;
      status = jobs[j](context);
      if (status != TB_OK && status != TB_NO_MEMORY)
        fail_msg("job %zu, allocation %ld: %s", j, failures, tb_context_message(context));
      allowed = LONG_MAX;
      tb_context_free(context);
    }
    assert_true(failures > 3);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = { cmocka_unit_test(every_allocation_fails_once) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

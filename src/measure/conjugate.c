/* The recursion of conjugate.h, in float64 whatever the operator computes in. */
#include "measure/conjugate.h"

#include <math.h>
#include <string.h>

#include "num/linear.h"

tb_status tb_conjugate_gradients(const tb_operator *a, double damping, const double *b, double tolerance, size_t most,
                                 double *x, tb_conjugate_report *report) {
  const size_t p = a->dimension;
  double *r = tb_allocate(a->context, p, sizeof *r), *d = tb_allocate(a->context, p, sizeof *d);
  double *product = tb_allocate(a->context, p, sizeof *product);
  tb_status status = r && d && product ? TB_OK : TB_NO_MEMORY;
  tb_conjugate_report done = { 0 };
  memset(x, 0, p * sizeof *x);
  if (!status) {
    memcpy(r, b, p * sizeof *r);
    memcpy(d, b, p * sizeof *d);
    const double start = tb_dot(p, b, b);
    double rr = start;
    while (rr > tolerance * tolerance * start && done.iterations < most && !status) {
      status = tb_operator_apply(a, 1, d, product);
      if (status)
        break;
      for (size_t i = 0; i < p; i++)
        product[i] += damping * d[i];
      const double curvature = tb_dot(p, d, product);
      if (!(curvature > 0))
        break;
      const double step = rr / curvature;
      for (size_t i = 0; i < p; i++) {
        x[i] += step * d[i];
        r[i] -= step * product[i];
      }
      const double next = tb_dot(p, r, r);
      for (size_t i = 0; i < p; i++)
        d[i] = r[i] + next / rr * d[i];
      rr = next;
      done.iterations++;
    }
    done.residual = start > 0 ? sqrt(rr / start) : 0;
  }
  if (report)
    *report = done;
  tb_release(a->context, r);
  tb_release(a->context, d);
  tb_release(a->context, product);
  return status;
}

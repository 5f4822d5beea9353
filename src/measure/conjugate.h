/* (A + λI) x = b by conjugate gradients (Hestenes and Stiefel 1952), A symmetric and positive semi-definite. */
#ifndef TB_MEASURE_CONJUGATE_H
#define TB_MEASURE_CONJUGATE_H

#include "measure/operator.h"

typedef struct tb_conjugate_report {
  size_t iterations;
  double residual; /* ‖b − (A + λI) x‖ / ‖b‖ as the recursion has it */
} tb_conjugate_report;

/* x[p] from 0, until the residual is at most `tolerance` or `most` products are taken; a direction without curvature
 * ends it too.  report may be NULL.  Errors: those of the operator. */
tb_status tb_conjugate_gradients(const tb_operator *, double damping, const double *b, double tolerance, size_t most,
                                 double *x, tb_conjugate_report *report) TB_MUST_CHECK;

#endif

/* Common ground of the reference solvers. */
#ifndef TB_NUM_REFERENCE_PARTS_H
#define TB_NUM_REFERENCE_PARTS_H

#include "num/reference.h"

/* Checks that z[n×d] is finite and makes room for b[d] and dual[n], zeroed. */
tb_status tb_reference_begin(tb_context *, const char *place, size_t n, size_t d, const double *z, tb_reference *);
/* Decides separability of rows in a reference begun, by a linear programme: b a separator, or dual the certificate. */
tb_status tb_certify(tb_context *, size_t n, size_t d, const double *z, tb_reference *);
/* The hard-margin machine without judgement: b[d] and dual[n] (both zeroed before), or *solved false. */
tb_status tb_svm_attempt(tb_context *, size_t n, size_t d, const double *z, double *b, double *dual, bool *solved);
/* The power of two that brings the largest of the entries into [1/2, 1); 1 where all are zero.  CLP's tolerances are
 * absolute, so programmes are posed in such units: answers, and their rounding, don't depend on the units of the data.
 */
double tb_unit(size_t count, const double *entries);
/* x·y in long double, rounded once. */
double tb_row_dot(size_t d, const double *x, const double *y);

#endif

/* Common ground of the reference solvers. */
#ifndef TB_NUM_REFERENCE_PARTS_H
#define TB_NUM_REFERENCE_PARTS_H

#include "num/reference.h"

/* Checks that z[n×d] is finite and makes room for b[d] and dual[n], zeroed. */
tb_status tb_reference_begin(tb_context *, const char *place, size_t n, size_t d, const double *z, tb_reference *);
/* The certificate is in dual: no b. */
void tb_reference_not_separable(tb_context *, tb_reference *);
/* x·y in long double, rounded once. */
double tb_row_dot(size_t d, const double *x, const double *y);

#endif

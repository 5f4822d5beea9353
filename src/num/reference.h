/* Reference solvers: the limits that training methods are held against, computed independently of any training.
 * Z is n×d row-major with rows z_i = y_i x_i unless stated otherwise.  All are exact to rounding: the optimal active
 * set is polished by LAPACK. */
#ifndef TB_NUM_REFERENCE_H
#define TB_NUM_REFERENCE_H

#include <tiebreak/base.h>

typedef enum tb_separability {
  TB_SEPARABLE,    /* some b has z_i·b ≥ 1 for all i */
  TB_NOT_SEPARABLE /* certificate: weights c ≥ 0, Σc = 1, Σ c_i z_i = 0 */
} tb_separability;

typedef struct tb_reference {
  tb_separability separable;
  double *b;        /* d: the solution (NULL when not separable) */
  double *dual;     /* n: multipliers (interpolation: of either sign); when not separable the certificate */
  double objective; /* of the problem as stated */
  double residual;  /* largest KKT violation (primal, dual, complementarity, stationarity), relative */
  bool unique;      /* verified by strict complementarity; false: b is one vertex of an optimal face */
} tb_reference;
void tb_reference_free(tb_context *, tb_reference *); /* frees the arrays */

/* min ½‖b‖² s.t. z_i·b ≥ 1 (hard-margin SVM), b = Zᵀ dual: KKT residual ≤ 1e-10 or TB_FAILED.  About 10 ms for
 * n = 1000, d = 100. */
tb_status tb_svm_l2(tb_context *, size_t n, size_t d, const double *z, tb_reference *);
/* min ‖b‖₁ s.t. z_i·b ≥ 1. */
tb_status tb_svm_l1(tb_context *, size_t n, size_t d, const double *z, tb_reference *);
/* min ‖b‖_∞ s.t. z_i·b ≥ 1. */
tb_status tb_svm_linf(tb_context *, size_t n, size_t d, const double *z, tb_reference *);
/* min ‖b‖₂ s.t. x_i·b = y_i, b = Xᵀ dual; TB_FAILED with a message when inconsistent. */
tb_status tb_interpolate_l2(tb_context *, size_t n, size_t d, const double *x, const double *y, tb_reference *);
/* min ‖b‖₁ s.t. x_i·b = y_i. */
tb_status tb_interpolate_l1(tb_context *, size_t n, size_t d, const double *x, const double *y, tb_reference *);
/* The limit programme of natural gradient flow, min g·b s.t. z_i·b ≥ 1, dual c ≥ 0 with Σ c_i z_i = g, posed in the
 * span of the rows (`unique` means there).  offset (d, may be NULL): the flow's b1 in β(t) = b t + b1 + o(1), with
 * z_i·b1 = −log c_i on the active rows; where several duals are optimal (duplicate rows) c is the one that such a b1
 * has.  NaN where some active row must have c_i = 0.  TB_NOT_SEPARABLE with certificate when infeasible; TB_FAILED
 * "unbounded" when g is no conic combination of the z_i. */
tb_status tb_limit_programme(tb_context *, size_t n, size_t d, const double *z, const double *g, tb_reference *,
                             double *offset);
/* Separability alone: b some separator with margins of at least 1, or the certificate in dual. */
tb_status tb_separability_check(tb_context *, size_t n, size_t d, const double *z, tb_reference *);

/* General linear programme min c·x s.t. row_low ≤ A x ≤ row_high, low ≤ x ≤ high (infinities allowed), A dense m×n.
 * dual: m row multipliers.  *outcome: 0 optimal, 1 infeasible (dual then a Farkas ray), 2 unbounded. */
tb_status tb_linear_programme(tb_context *, size_t m, size_t n, const double *c, const double *a, const double *row_low,
                              const double *row_high, const double *low, const double *high, double *x, double *dual,
                              int *outcome);

#endif

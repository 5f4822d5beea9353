/* Checks a differentiable function against differences: forward and reverse mode, first to third order. */
#ifndef TESTS_ENGINE_DIFFERENCES_H
#define TESTS_ENGINE_DIFFERENCES_H

#include <tiebreak/tiebreak.h>

enum { MOST_INPUTS = 4 };

typedef struct function_case {
  const char *name;
  tb_value (*build)(tb_graph *, const tb_value *x); /* the one output, float64 */
  double low, high;                                 /* inputs are uniform in between */
  size_t inputs;
  struct {
    size_t rank, dims[TB_MAX_RANK];
  } shapes[MOST_INPUTS];
} function_case;

/* With inputs x, cotangent u, tangents v, w and H the Hessian of u·y:
 *   ẏ = Jv against differences of y; u·Jv = v·Jᵀu to 1e-13;
 *   Hv (forward over reverse) against differences of Jᵀu, and equal to reverse over reverse and reverse over forward;
 *   w·Hv = v·Hw; the third derivative along v, v against differences of Hv.
 * Fails the running cmocka test with the case's name and the error found. */
void check_differences(const function_case *f, unsigned seed);

#endif

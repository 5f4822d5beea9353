/* Classical Gram–Schmidt, repeated until a pass leaves more than half of the vector (Giraud, Langou and Rozložník 2005:
 * twice is enough): orthogonal to machine precision however dependent the vectors are. */
#include "measure/orthogonal.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "num/linear.h"

enum { PASSES = 4 };

size_t tb_orthonormalise(size_t p, size_t n, size_t count, double *basis, double floor, double *work) {
  size_t kept = n;
  for (size_t i = 0; i < count; i++) {
    double *w = basis + kept * p;
    if (kept != n + i)
      memmove(w, basis + (n + i) * p, p * sizeof *w);
    double before = tb_norm(p, w), left = before;
    for (int pass = 0; pass < PASSES && left > floor; pass++) {
      if (kept > 0) {
        tb_gemv(false, kept, p, 1, basis, w, 0, work);
        tb_gemv(true, kept, p, -1, basis, work, 1, w);
      }
      before = left;
      left = tb_norm(p, w);
      if (left > 0.5 * before)
        break;
    }
    if (!(left > floor) || !(left > 0.5 * before)) /* nothing but rounding is left */
      continue;
    for (size_t j = 0; j < p; j++)
      w[j] /= left;
    kept++;
  }
  return kept - n;
}

double tb_rounding_floor(size_t p, double largest) {
  return 10 * sqrt((double)p) * DBL_EPSILON * largest;
}

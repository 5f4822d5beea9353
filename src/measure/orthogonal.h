/* Orthonormal bases that grow. Private to src/measure. */
#ifndef TB_MEASURE_ORTHOGONAL_H
#define TB_MEASURE_ORTHOGONAL_H

#include <stddef.h>

/* basis holds n orthonormal rows of length p and behind them `count` vectors.  Those are made orthonormal, to the basis
 * and to each other, in place and in order; one of which no more than `floor` is left is dropped and the later ones
 * move up.  Returns how many stay.  work[n + count].  Cost about 4 p count (n + count) multiply-adds. */
size_t tb_orthonormalise(size_t p, size_t n, size_t count, double *basis, double floor, double *work);

/* Size below which a vector made from products with an operator is nothing but their rounding: 10 √p ε times the
 * largest product's. */
double tb_rounding_floor(size_t p, double largest);

#endif

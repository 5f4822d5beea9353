/* How far apart two samples x[n,d] and y[m,d] are: kernel discrepancy, sliced transport, a classifier's accuracy. */
#ifndef TB_MEASURE_TWO_SAMPLES_H
#define TB_MEASURE_TWO_SAMPLES_H

#include <tiebreak/base.h>
#include <tiebreak/random.h>

/* Root of the unbiased estimate of MMD² (Gretton et al. 2012), 0 where that is negative:
 *   mean_{i≠j} k(x_i, x_j) + mean_{i≠j} k(y_i, y_j) − 2 mean_{i,j} k(x_i, y_j),  k = exp(−r²/2h²),
 * h the median of all distances in the pooled sample.  NaN where n or m is below 2 or h = 0.  Work (n+m)² d,
 * no memory to speak of. */
tb_status tb_mmd(tb_context *, size_t d, size_t n, const double *x, size_t m, const double *y, double *mmd);

/* Root of the mean over directions of W2² between the projections (Rabin et al. 2011; Bonneel et al. 2015): directions
 * uniform on the sphere, by key; one suffices in one dimension.  NaN where n or m is 0. */
tb_status tb_sliced_w2(tb_context *, size_t d, size_t n, const double *x, size_t m, const double *y, size_t directions,
                       tb_key key, double *distance);
/* W2² between two samples on the line, sorted ascending: the integral of the squared difference of their quantiles. */
double tb_line_w2_squared(size_t n, const double *x, size_t m, const double *y);

/* Held-out accuracy of a classifier that is to tell x from y (Lopez-Paz & Oquab 2017): a perceptron with three hidden
 * layers on standardised coordinates, five folds, as many rows of either sample.  ½ where nothing tells them apart; its
 * standard error is then about ½/√(2 min(n, m)).  NaN below 10 rows. */
tb_status tb_c2st(tb_context *, size_t d, size_t n, const double *x, size_t m, const double *y, uint64_t seed,
                  double *accuracy);

#endif

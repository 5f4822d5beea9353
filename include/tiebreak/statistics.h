/* tiebreak/statistics.h: means, intervals and quantiles of small samples. */
#ifndef TIEBREAK_STATISTICS_H
#define TIEBREAK_STATISTICS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

double tb_mean_of(size_t n, const double *x);            /* compensated; NaN for n = 0 */
double tb_sd_of(size_t n, const double *x);              /* n − 1; NaN for n < 2 */
double tb_quantile(size_t n, const double *x, double p); /* linear between order statistics; does not change x */
/* Student's t quantile with nu degrees of freedom, p in (0,1). */
double tb_student_quantile(double p, double nu);
/* Two-sided interval of the mean at the given level (0.95): low, high; both NaN for n < 2. */
void tb_mean_interval(size_t n, const double *x, double level, double *low, double *high);
/* Spearman's rank correlation, ties sharing their mean rank; infinities are ranked.  NaN for n < 2, for a NaN among the
 * numbers, or where all of one side are equal.  Cost n². */
double tb_rank_correlation(size_t n, const double *x, const double *y);

#ifdef __cplusplus
}
#endif
#endif

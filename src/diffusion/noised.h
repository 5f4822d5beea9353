/* Targets after noising, exactly: ln p_t, its gradient and Hessian, where p_t is the law of α x + σ ε, x ~ π.
 *
 *   mixture   Σ w_k N(m_k, diag s_k²)  →  Σ w_k N(α m_k, diag (α² s_k² + σ²)); s = 0: the law of a data set
 *   funnel    a quadrature over the log variance v of its neck: given v it is Gaussian
 *   cosine    N(0, I) (1 + Σ a_k (cos w_k·x − e^{−|w_k|²/2})): stays in its family, times N(0, (α² + σ²) I)
 *
 * (Vargas, Reu, Kerekes & Bronstein 2023, section 3; the funnel is Neal's, 2003.)  An object serves one thread. */
#ifndef TB_DIFFUSION_NOISED_H
#define TB_DIFFUSION_NOISED_H

#include "diffusion/process.h"

typedef struct tb_noised tb_noised;

/* weights[k] (positive; normalised here), means[k,d], sds[k,d] (NULL: all zero): copied. */
tb_status tb_noised_mixture(tb_context *, size_t dims, size_t count, const double *weights, const double *means,
                            const double *sds, tb_noised **);
/* x_1 ~ N(0, spread²), x_i | x_1 ~ N(0, e^{x_1}) */
tb_status tb_noised_funnel(tb_context *, size_t dims, double spread, tb_noised **);
/* frequencies[k,d], amplitudes[k] */
tb_status tb_noised_cosine(tb_context *, size_t dims, size_t count, const double *frequencies, const double *amplitudes,
                           tb_noised **);
void tb_noised_free(tb_noised *); /* NULL is allowed */
size_t tb_noised_dims(const tb_noised *);

/* Rows x[n,d] → log_density[n], score[n,d] = ∇ln p_t, curvature[n]: the trace of ∇²ln p_t, or uᵀ∇²ln p_t u with u the
 * row of probe[n,d] where that isn't NULL.  Outputs may be NULL.  σ > 0, or all s_k > 0. */
void tb_noised_at(tb_noised *, const tb_noising *, size_t n, const double *x, const double *probe, double *log_density,
                  double *score, double *curvature);

/* Mean and standard deviation of the target where it is one Gaussian: mean[d], sd[d]; false where it isn't. */
bool tb_noised_gaussian(const tb_noised *, double *mean, double *sd);

#endif

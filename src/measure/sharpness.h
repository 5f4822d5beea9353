/* Sharpness of a loss at a point θ, in its raw forms and in two that do not see rescalings of layers.
 *
 * A positively homogeneous network computes the same function when a layer is multiplied by α and the next divided by
 * it, while λ_max and tr H take any value above a bound (Dinh, Pascanu, Bengio and Bengio 2017).  Invariant are
 *   adaptive    λ_max and trace of D H D, D = diag |θ|: twice the worst and (over normal noise) the mean rise of the
 *               loss, to second order at a critical point, within an ellipsoid ‖δ/|θ|‖ ≤ 1 that scales with the
 *               parameters (Kwon, Kim, Park and Choi 2021, element-wise; Andriushchenko, Croce, Müller, Hein and
 *               Flammarion 2023): any diagonal rescaling that keeps the function leaves it alone;
 *   least trace min Σ_l tr H_ll / α_l² over factors with Π α_l = 1, which is L (Π_l tr H_ll)^{1/L} by the inequality of
 *               the means: the smallest trace that rescaling whole layers can reach (minimised over scales as in
 *               Tsuzuku, Sato and Sugiyama 2020). */
#ifndef TB_MEASURE_SHARPNESS_H
#define TB_MEASURE_SHARPNESS_H

#include "measure/hutchinson.h"
#include "measure/lanczos.h"

/* Coordinates start … start + length − 1. */
typedef struct tb_span {
  size_t start, length;
} tb_span;

typedef struct tb_sharpness_options {
  size_t probes;        /* Rademacher, of each trace; 0: 100 */
  size_t most;          /* basis vectors of Lanczos; 0: its default */
  double tolerance;     /* of the top eigenvalues, relative; 0: Lanczos' default */
  size_t layers;        /* L: spans of θ, each one layer's weights, that may be rescaled against each other; 0: none */
  const tb_span *layer; /* [layers] */
  tb_key key;
} tb_sharpness_options;

typedef struct tb_sharpness {
  double top, top_bound;                   /* λ_max(H) and its residual */
  tb_trace_estimate trace;                 /* tr H */
  double adaptive_top, adaptive_top_bound; /* λ_max(D H D) and its residual */
  tb_trace_estimate adaptive_trace;        /* tr D H D = Σ θ_q² H_qq */
  tb_trace_estimate least_trace;           /* NaN without layers, or where a layer's trace does not come out
                                        positive; its standard error by the delta method */
  bool converged;                          /* both eigenvalues */
} tb_sharpness;

/* h is the operator at θ[p] (a Hessian, or a Gauss–Newton matrix).  Cost (2 + L) probes products and those of two
 * Lanczos runs for the top pair; memory that of Lanczos. */
tb_status tb_sharpness_of(const tb_operator *h, const double *theta, const tb_sharpness_options *, tb_sharpness *);

#endif

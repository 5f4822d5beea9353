/* The chain of Denoising Diffusion Samplers (Vargas, Grathwohl & Doucet 2023) as one scan:
 *
 *   y_0 ~ N(0, σ²I),   y_{k+1} = √(1 − β_k²) y_k + β_k² f(y_k, t_k) + σ β_k ξ_k,   ξ_k ~ N(0, I)
 *   running Σ ½ β_k² ‖f‖²/σ²,   stochastic Σ β_k f·ξ_k/σ,   terminal ln N(y_K; 0, σ²I) − ln γ(y_K)
 *
 * With f = 0 the chain leaves N(0, σ²I) as it is, so E[w] = Z for every f and K, where ln w = −(running + stochastic +
 * terminal), and E[running + terminal] ≥ −ln Z is the loss. */
#ifndef TB_DIFFUSION_ROLLOUT_H
#define TB_DIFFUSION_ROLLOUT_H

#include "diffusion/density.h"
#include "diffusion/drift_net.h"

/* Grid "cos_sq" of K steps over [0, horizon]: Δt_k ∝ cos⁴(½π (k/(K−1) + 0.008)/1.008), Σ Δt = horizon, largest first;
 * β_k = min(α √Δt_k, 1) and t_k, the time at which step k begins.  K ≥ 1. */
void tb_rollout_grid(size_t steps, double horizon, double alpha, double *times, double *beta);

typedef struct tb_rollout_shape {
  tb_drift_shape drift;
  const tb_density *density; /* of the same dimension; a graph */
  size_t steps, batch;       /* K, B */
  double sigma;
  const double *times, *beta; /* [K], read while the graph is built */
} tb_rollout_shape;

typedef struct tb_rollout {
  tb_value running, stochastic, terminal; /* [R,B] */
  tb_value end;                           /* y_K [R,B,d] */
} tb_rollout;

/* theta[R,p] of the drift network; key int32 [3] as for tb_normal: its step word is the training step.  Step k of the
 * chain draws with the step word step·K + k.  Costs that nobody reads are not computed. */
tb_rollout tb_rollout_build(tb_graph *, const tb_rollout_shape *, tb_value theta, tb_value key);
/* Mean of running + terminal over the batch, [R]: its derivative is the path gradient. */
tb_value tb_rollout_loss(tb_graph *, const tb_rollout *);
/* ln w [R,B] */
tb_value tb_rollout_log_weight(tb_graph *, const tb_rollout *);

#endif

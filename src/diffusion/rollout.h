/* A controlled chain (chain.h) with its costs as one scan:
 *
 *   running Σ push² ‖f‖²/(2 shake²),   stochastic Σ push/shake f·ξ,   terminal ln N(y_K; 0, σ²I) − ln γ(y_K)
 *
 * With ln w = −(running + stochastic + terminal), E[w] = Z for every control f and K, and E[running + terminal] ≥ −ln Z
 * is the loss of Denoising Diffusion Samplers (Vargas, Grathwohl & Doucet 2023) and of the Path Integral Sampler (Zhang
 * & Chen 2022).  The log-variance loss (Nüsken & Richter 2021) looks at ln w on paths that are held fixed; it needs no
 * derivative along the path. */
#ifndef TB_DIFFUSION_ROLLOUT_H
#define TB_DIFFUSION_ROLLOUT_H

#include "diffusion/chain.h"
#include "diffusion/density.h"
#include "diffusion/drift_net.h"

typedef struct tb_rollout_shape {
  tb_drift_shape drift;
  const tb_chain *chain;
  size_t batch; /* B */
  /* The network's ∇ ln γ; NULL: it goes without (a density that is no graph). */
  const tb_density *density;
  const double *affine; /* f = affine[0] y + affine[1] in every coordinate, no network; NULL: the network */
  bool held;            /* the path counts as constant for derivatives */
} tb_rollout_shape;

typedef struct tb_rollout {
  tb_value running, stochastic; /* [R,B] */
  tb_value end;                 /* y_K [R,B,d] */
} tb_rollout;

/* theta[R,p] of the drift network; key int32 [3] as for tb_normal: its step word is the training step.  Step k of the
 * chain draws with the step word step·K + k.  Costs that nobody reads are not computed. */
tb_rollout tb_rollout_build(tb_graph *, const tb_rollout_shape *, tb_value theta, tb_value key);
/* The same costs along paths that begin at `end` [R,B,d] and go backwards as the chain without control does: where
 * `end` is drawn from π, paths of the half-bridge. */
tb_rollout tb_rollout_back(tb_graph *, const tb_rollout_shape *, tb_value theta, tb_value key, tb_value end);

/* ln N(y_K; 0, σ²I) − ln γ(y_K) [R,B] */
tb_value tb_rollout_terminal(tb_graph *, const tb_rollout_shape *, const tb_rollout *, const tb_density *);
/* Mean of running + terminal over the batch, [R]: its derivative is the path gradient. */
tb_value tb_rollout_loss(tb_graph *, const tb_rollout *, tb_value terminal);
/* Variance of ln w over the batch (B − 1 in the denominator), [R]; of a rollout that is held. */
tb_value tb_rollout_log_variance(tb_graph *, const tb_rollout *, tb_value terminal);
/* ln w [R,B] */
tb_value tb_rollout_log_weight(tb_graph *, const tb_rollout *, tb_value terminal);

#endif

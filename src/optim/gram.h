/* The Gram matrix of the per-example Jacobian without the Jacobian: K = J Jᵀ from the layers' inputs and
 * back-propagated signals, K = Σ_l (A_l A_lᵀ + 1) ∘ (Δ_l Δ_lᵀ).  2 n² Σ widths flop instead of n² p, n² numbers instead
 * of n p. */
#ifndef TB_OPTIM_GRAM_H
#define TB_OPTIM_GRAM_H

#include "model/model.h"

/* theta [1,p], x [n,d] → K [n,n] and, in *outputs, f [n].  The model must have layers, at most TB_MAX_LAYERS. */
tb_value tb_gram(tb_graph *, const tb_model *, const tb_model_shape *, tb_value theta, tb_value x, tb_value *outputs);

#endif

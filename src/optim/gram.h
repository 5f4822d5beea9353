/* The per-example Jacobian by its factors: the layers' inputs A_l and back-propagated signals Δ_l, n Σ widths numbers
 * instead of n p; and its Gram matrix K = J Jᵀ = Σ_l (A_l A_lᵀ + 1) ∘ (Δ_l Δ_lᵀ), 2 n² Σ widths flop instead of n² p.
 */
#ifndef TB_OPTIM_GRAM_H
#define TB_OPTIM_GRAM_H

#include "model/model.h"

/* A layer's part of the Jacobian: row i of ∂f/∂W is signal_i input_iᵀ, of ∂f/∂b signal_i. */
typedef struct tb_jacobian_factor {
  tb_value input;  /* A [n,in] */
  tb_value signal; /* Δ [n,out], Δ_i = ∂f_i/∂z_i */
  bool bias;
} tb_jacobian_factor;

/* theta [1,p], x [n,d] → the factors of the *count layers in order, and f [n] in *outputs.  The model must have layers,
 * at most TB_MAX_LAYERS.  Cost: one pass forward and one backward, without the weights' gradients. */
void tb_jacobian_factors(tb_graph *, const tb_model *, const tb_model_shape *, tb_value theta, tb_value x,
                         tb_jacobian_factor *factors, size_t *count, tb_value *outputs);

/* theta [1,p], x [n,d] → K [n,n] and, in *outputs, f [n].  The model must have layers, at most TB_MAX_LAYERS. */
tb_value tb_gram(tb_graph *, const tb_model *, const tb_model_shape *, tb_value theta, tb_value x, tb_value *outputs);

#endif

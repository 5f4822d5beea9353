/* Exact symmetries of the transformer: other parameters, the same function.
 *
 *   rescale      W1, b1 ← α W1, α b1;  W2 ← W2/α in every feed-forward block: ReLU is positively homogeneous
 *   heads        q ← A q, k ← A⁻ᵀ k;  v ← B v, Wo ← Wo B⁻¹ in every head, A and B random in GL(h) with singular values
 *                from 1 to α (attention sees q·k and Wo v only)
 *   permutation  of the hidden units of every feed-forward block, and of heads where positions don't tell them apart
 *   widen        every hidden unit α times over, its outgoing weights divided by α: a larger network
 *   relu_scale   ReLU(αx)/α for ReLU(x): the parameters stay; published as a symmetry, and no change at all
 *
 * All but the last are linear maps θ' = M θ, so gradients obey g = Mᵀ g'. */
#ifndef TB_MODEL_SYMMETRY_H
#define TB_MODEL_SYMMETRY_H

#include "model/transformer.h"

typedef enum tb_symmetry {
  TB_SYMMETRY_RESCALE,
  TB_SYMMETRY_HEADS,
  TB_SYMMETRY_PERMUTATION,
  TB_SYMMETRY_WIDEN,
  TB_SYMMETRY_RELU_SCALE
} tb_symmetry;

typedef struct tb_symmetry_map {
  tb_symmetry kind;
  double alpha;
  tb_key key; /* of what is random in it */
  tb_transformer_shape from, to;
} tb_symmetry_map;

/* Errors TB_USAGE: α not positive, not a whole number from 2 on (widen), activations that are not ReLU (rescale,
 * relu_scale), heads with rope, whose turning does not commute with A. */
tb_status tb_symmetry_open(tb_context *, tb_symmetry, const tb_transformer_shape *, double alpha, tb_key,
                           tb_symmetry_map *);
/* moved[p'] = M theta[p] */
tb_status tb_symmetry_move(tb_context *, const tb_symmetry_map *, const double *theta, double *moved);
/* pulled[p] = Mᵀ gradient[p'] */
tb_status tb_symmetry_pull(tb_context *, const tb_symmetry_map *, const double *gradient, double *pulled);
/* ‖M θ − θ‖/‖θ‖; widened: against θ with units of zero weights added, which is the same function too. */
tb_status tb_symmetry_distance(tb_context *, const tb_symmetry_map *, const double *theta, double *distance);

/* Norms of a vector over the blocks that come first in a symmetry's pair and over those that come second: W1 and W2 of
 * feed-forward blocks; for heads queries and values, keys and Wo. */
void tb_symmetry_norms(const tb_symmetry_map *, const tb_transformer_shape *, const double *vector, double norms[2]);

#endif

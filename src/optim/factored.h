/* The objective of deep matrix factorisation: W = W_L W_{L−1} … W_1, seen through linear measurements f_k = ⟨M_k, W⟩.
 *
 * Measurements are single entries or dense matrices.  Nothing of the size of a Jacobian is ever formed: gradients go
 * through the residual's few entries, and the natural gradient's kernel comes from the factors,
 *
 *     (JJᵀ)_{kk'} = Σ_l ⟨M_k, A_lA_lᵀ M_k' B_lᵀB_l⟩,   A_l = W_L … W_{l+1},  B_l = W_{l−1} … W_1. */
#ifndef TB_OPTIM_FACTORED_H
#define TB_OPTIM_FACTORED_H

#include "model/factorisation.h"
#include "optim/objective.h"

typedef struct tb_measurements {
  size_t rows, cols, count;
  const size_t *row, *col; /* entries, distinct, by row and then column; NULL where `dense` is given */
  const double *dense;     /* [count × rows·cols] */
} tb_measurements;

/* Loss: half the mean squared residual; y[count].  Everything is copied.  The predictor is W, row by row. */
tb_status tb_factored_objective(tb_context *, const tb_factorisation_shape *, const tb_measurements *, const double *y,
                                tb_objective **);

#endif

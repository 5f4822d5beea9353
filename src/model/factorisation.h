/* Deep matrix factorisation (Gunasekar et al. 2017; Arora et al. 2019): P = W_L W_{L−1} … W_1, fitted to some or all
 * entries of a matrix. */
#ifndef TB_MODEL_FACTORISATION_H
#define TB_MODEL_FACTORISATION_H

#include <tiebreak/graph.h>
#include <tiebreak/random.h>

typedef struct tb_factorisation_shape {
  size_t rows, cols; /* of P */
  size_t depth;      /* L, at least 1 */
  size_t width;      /* inner size of every product */
} tb_factorisation_shape;

/* Refuses shapes that make no sense or no sane size (TB_USAGE): an empty size, more than 2^28 parameters. */
tb_status tb_factorisation_check(tb_context *, const tb_factorisation_shape *);
/* p; SIZE_MAX when it overflows. */
size_t tb_factorisation_parameters(const tb_factorisation_shape *);
/* The k-th block in theta: W1 [width,cols], W2 [width,width], …, WL [rows,width]; W1 [rows,cols] for depth 1.  False
 * past the last. */
bool tb_factorisation_block(const tb_factorisation_shape *, size_t k, char name[32], size_t *rows, size_t *cols);
/* theta[p] ~ N(0, scale²) */
void tb_factorisation_initialise(const tb_factorisation_shape *, double scale, tb_key key, double *theta);

/* theta[R,p] → P [R,rows,cols] */
tb_value tb_factorisation_product(tb_graph *, const tb_factorisation_shape *, tb_value theta);
/* ½ Σ (P − M)² over all entries: product[R,rows,cols], matrix[rows,cols] → [R] */
tb_value tb_factorisation_loss(tb_graph *, tb_value product, tb_value matrix);
/* ½ Σ (P[entry] − value)²: entries int32 [n] are numbers row·cols + col, values [n] → [R] */
tb_value tb_factorisation_observed_loss(tb_graph *, tb_value product, tb_value entries, tb_value values);

#endif

/* The insides of factored.h: gradients (factored.c), kernels (factored_kernel.c), natural gradients
 * (factored_natural.c). */
#ifndef TB_OPTIM_FACTORED_PARTS_H
#define TB_OPTIM_FACTORED_PARTS_H

#include "engine/kernels/kernels.h"
#include "optim/factored.h"
#include "optim/minimum_norm.h"
#include "optim/structure.h"

typedef struct tb_factored_natural tb_factored_natural; /* work space, made when first needed */

/* W_L[rows×width] and B_L[width×cols], or their derivatives. */
typedef struct tb_factored_ends {
  const double *w, *b;
  double *rows, *columns; /* rows×stride, cols×stride: copies of W_L and of B_Lᵀ */
} tb_factored_ends;

typedef struct tb_factored {
  tb_context *context;
  tb_arena *arena; /* of all that follows and of this itself */
  tb_factorisation_shape shape;
  size_t depth, rows, cols, width, count, size, parameters; /* size = rows·cols */
  const tb_kernels *kernels;                                /* float64 */
  bool sparse;                                              /* products go through the entries alone */
  /* Entries by row, and by column: places[e] says which of the former the e-th of the latter is. */
  int32_t *start, *col;           /* rows + 1, count */
  int32_t *start_of_col, *row_of; /* cols + 1, count */
  int32_t *places;                /* count */
  double *dense;                  /* count×size, NULL for entries */
  double *y;                      /* count */
  double *scratch;                /* of gemm */
  /* [2][…]: values and derivatives along a direction */
  double *below[2];         /* (depth − 2) × width×cols: B_3 … B_L */
  size_t stride;            /* width, or a little more: whole vectors */
  tb_factored_ends ends[2]; /* of the last climb */
  double *turned;           /* cols×stride: a transpose */
  double *h[2][2];          /* width×cols: A_lᵀR on the way down, two of each */
  double *f[2], *more;      /* count */
  double *r[2];             /* count */
  double *w;                /* size */
  tb_factored_natural *natural;
} tb_factored;

typedef struct tb_factored_room {
  double **array;
  size_t count;
} tb_factored_room;
/* Arrays of the arena. */
tb_status tb_factored_rooms(tb_factored *, size_t n, const tb_factored_room *);

/* Block l = 1 … L of theta: W_l [out_l × in_l]. */
size_t tb_factored_offset(const tb_factored *, size_t l);
size_t tb_factored_out(const tb_factored *, size_t l);
size_t tb_factored_in(const tb_factored *, size_t l);
/* B_l [width×cols] after a climb at theta, l = 2 … L; B_2 = W_1. */
const double *tb_factored_below(const tb_factored *, const double *theta, size_t l);
/* c = op(a) op(b) + beta c */
void tb_factored_gemm(tb_factored *, bool ta, bool tb, size_t m, size_t n, size_t k, const double *a, const double *b,
                      double beta, double *c);
/* f[count] = measurements of w[size]; w[size] = Σ_k r_k M_k */
void tb_factored_measure(tb_factored *, const double *w, double *f);
void tb_factored_spread(tb_factored *, const double *r, double *w);
/* w[size] = W_L … W_1 */
void tb_factored_product(tb_factored *, const double *theta, double *w);
/* w_dot[size] = D v */
void tb_factored_push(tb_factored *, const double *theta, const double *v, double *w_dot);
/* gradient[p] = Jᵀ r and f[count] (may be NULL); likewise f_dot = J v. */
void tb_factored_pull_residual(tb_factored *, const double *theta, const double *r, double *gradient);
void tb_factored_push_outputs(tb_factored *, const double *theta, const double *v, double *f_dot);

/* Squares of the products around each factor: above[(l − 1)·rows²] = A_lA_lᵀ, below[(l − 1)·cols²] = B_lᵀB_l,
 * l = 1 … L; the identities A_L and B_1 are written out. */
void tb_factored_squares(tb_factored *, const double *theta, double *around, double *above, double *below);
/* kernel[count²] = JJᵀ, lower triangle and diagonal, from those squares. */
tb_status tb_factored_kernel(tb_factored *, const double *above, const double *below, double *kernel);
/* image[size] = DDᵀ x = Σ_l A_lA_lᵀ X B_lᵀB_l; work[size] */
void tb_factored_metric(tb_factored *, const double *above, const double *below, const double *x, double *work,
                        double *image);

tb_status tb_factored_accepts(void *self, tb_fisher);
tb_status tb_factored_evaluate(void *self, tb_fisher, double damping, const double *theta, double *velocity,
                               double *velocity_beta, double *log_scale, tb_natural_report *, tb_natural_trouble *);

#endif

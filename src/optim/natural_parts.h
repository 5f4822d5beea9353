/* The parts of a natural-gradient evaluation: the data prepared once, the systems solved each time.
 *
 * Private to natural.c, natural_data.c and natural_solve.c. */
#ifndef TB_OPTIM_NATURAL_PARTS_H
#define TB_OPTIM_NATURAL_PARTS_H

#include "optim/minimum_norm.h"
#include "optim/natural.h"

#define TB_NO_ROW SIZE_MAX

struct tb_natural {
  tb_context *context;
  tb_objective *objective;
  tb_fisher fisher;
  double damping, epsilon; /* epsilon: relative error of the programs' numbers */
  size_t n, d, p;
  bool in_predictor; /* the inverse is taken in predictor space */
  bool linear;       /* there is a predictor */
  bool gram;         /* JJᵀ and DDᵀ are to be had without J and D */

  /* The data: distinct rows; of a linear predictor only those that are not zero. */
  size_t m;
  size_t *group, *first,
      *members;   /* n: distinct row of a row or TB_NO_ROW; m: its first row; m: how many it stands for */
  double *x;      /* m×d */
  bool full_rows; /* X has rank m (linear predictors) */
  bool reduced;   /* parameter space by way of V: X hasn't rank m, or has rank d */
  size_t rank_x, system_rows;
  double condition_x;
  double *basis; /* rank_x×d: V, where rank_x < min(m, d); else NULL */

  /* Where every parameter moves at most one coordinate of β (diagonal nets): which one, TB_NO_ROW for none; else NULL.
   * Then D has one entry a column, kept in slope[p]; norm[d] are the norms of its rows. */
  size_t *owner; /* p */
  double *slope, *norm;

  /* One evaluation. */
  const double *theta;
  double *f, *row, *row_weight, *row_target, *row_sign; /* n: outputs, scratch, log w, log |b|, sign of b */
  double *log_weight, *log_target, *sign;               /* m: the same of distinct rows */
  double *target, frame;                                /* m: b e^{−frame}; frame is 0 unless some b would overflow */
  double *log_delta;                                    /* m: of the ridge */
  double *beta, *velocity_beta, *pull, *image;          /* d */
  tb_minimum_norm *data, *lift, *system;                /* X; D; J or what stands for it [system_rows×p] */
  double *map, *jacobian, *rows;  /* made when first needed: D[d×p], J[n×p], VD[system_rows×p] */
  double *kernel, *work;          /* with gram: max(n, d)², 3·max(n, d) + p */
  double *tall, *tall_b, *tall_w; /* c columns: (m + c)×c, m + c, m + c: rows with those of the damping below */
  double *normal;                 /* c×c: normal equations */
};

typedef struct tb_solution {
  double log_scale;
  size_t rank;
  double condition;
  bool fast;
} tb_solution;

/* Allocates, groups equal rows, finds the rank of the data.  The caller frees whatever was made. */
tb_status tb_natural_prepare(tb_natural *);

/* ---- the predictor map D = ∂β/∂θ ---- */

/* Finds out whether D is sparse (`owner`) and makes room for it. */
tb_status tb_natural_prepare_map(tb_natural *);
/* D at theta, as the functions below use it; dense D is formed. */
tb_status tb_natural_map(tb_natural *, const double *theta);
/* velocity[p] = D⁺ velocity_beta[d] at theta; *rank of D, *condition of what was inverted. */
tb_status tb_natural_lift(tb_natural *, const double *theta, const double *velocity_beta, double *velocity,
                          size_t *rank, double *condition);
/* product[k×p] = a[k×d] D, after tb_natural_map */
void tb_natural_compose(const tb_natural *, size_t k, const double *a, double *product);

/* ---- systems ---- */

/* Weights and targets of the distinct rows from those of all. */
void tb_natural_merge(tb_natural *);

/* v[c] = −(F + λI)⁺∇L for rows a[m×c].  system: work space for m×c, NULL where a is known to lack rank m; factored: it
 * holds the factors of a already. */
tb_status tb_natural_solve(tb_natural *, size_t c, const double *a, tb_minimum_norm *system, bool factored, double *v,
                           tb_solution *found);
/* The same for m > c. */
tb_status tb_natural_solve_tall(tb_natural *, size_t c, const double *a, double *v, tb_solution *found);

#endif

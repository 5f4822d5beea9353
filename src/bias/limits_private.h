/* Inside of the limits: shared by limits.c and limit_programme.c. */
#ifndef TB_BIAS_LIMITS_PRIVATE_H
#define TB_BIAS_LIMITS_PRIVATE_H

#include "bias/limits.h"
#include "num/linear.h"
#include "num/reference.h"

struct tb_limits {
  tb_context *context;
  tb_arena *arena;
  const tb_classification *problem;
  double *start_beta, *start_margins; /* d, n */
  size_t rows;                        /* distinct rows */
  double *z;                          /* rows×d */
  size_t *row_of;                     /* n */
  double *multiplicity;               /* rows */
  size_t rank;                        /* of X */
  double condition;
  double *row_basis; /* rank×d, orthonormal */
  bool separability_known, separable;
  double *certificate;         /* n, NULL when separable */
  double *solution[TB_LIMITS]; /* d; NULL: not asked for yet */
  bool not_unique[TB_LIMITS];
  const char *trouble[TB_LIMITS];
  double *dual, *offset; /* n, d; of the limit programme */
};

/* count NaNs in the arena */
double *limits_unknown(tb_limits *, size_t count);
/* Fills solution[TB_LIMIT_LP], dual and offset. */
tb_status limits_solve_programme(tb_limits *);

#endif

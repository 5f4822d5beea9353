/* A batch of independent ordinary differential equations in one loop: Dormand and Prince's pair 5(4) (1980).
 *
 * All rows share the step, and the step satisfies the worst row: norms over a whole batch (as SUNDIALS has them, and
 * SciPy) let a few bad rows hide among many good ones.  A row's error is the root mean square of its entries over
 * absolute + relative·|y|. */
#ifndef TB_NUM_ROWS_FLOW_H
#define TB_NUM_ROWS_FLOW_H

#include <tiebreak/base.h>

typedef struct tb_rows_flow {
  size_t rows, width;
  void *user;
  /* dy[rows,width] = f(s, y) */
  tb_status (*derivative)(void *user, double s, const double *y, double *dy);
  double relative, absolute;
  long most_steps;         /* 0: a million */
  long steps, evaluations; /* counted */
} tb_rows_flow;

/* Carries y[rows,width] from s = from to s = to (either way).  TB_FAILED where the step collapses or f isn't finite. */
tb_status tb_rows_flow_run(tb_context *, tb_rows_flow *, double from, double to, double *y);

#endif

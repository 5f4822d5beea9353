/* A natural-gradient evaluation for flows: quiet about failure, and in a scale of its own. */
#ifndef TB_OPTIM_NATURAL_H
#define TB_OPTIM_NATURAL_H

#include "optim/method.h"

typedef enum tb_natural_trouble {
  TB_NATURAL_FINE,
  TB_NATURAL_NOT_FINITE, /* outputs or the velocity are not finite */
  TB_NATURAL_MAP_RANK    /* D lost rank: there is no velocity of the parameters with that image */
} tb_natural_trouble;

/* The velocity is exp(*log_scale)·velocity, its image exp(*log_scale)·velocity_beta (may be NULL).  Trouble is not an
 * error: TB_OK with *trouble set.  The report is always filled. */
tb_status tb_natural_evaluate(tb_natural *, const double *theta, double *velocity, double *velocity_beta,
                              double *log_scale, tb_natural_report *, tb_natural_trouble *trouble);

#endif

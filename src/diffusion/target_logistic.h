/* Logistic regression on a table at hand, for those who have no configuration. */
#ifndef TB_DIFFUSION_TARGET_LOGISTIC_H
#define TB_DIFFUSION_TARGET_LOGISTIC_H

#include "diffusion/density.h"
#include "io/csv.h"

/* Columns x1,…,xk,y, y = ±1; the table may go afterwards.  centre and scale: features by their mean and population
 * standard deviation (scale alone leaves the mean).  prior_sd is finite.  Frees with tb_density_close. */
tb_status tb_density_logistic(tb_context *, const tb_table *, double prior_sd, bool centre, bool scale, tb_density **);

#endif

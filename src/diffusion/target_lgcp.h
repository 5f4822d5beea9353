/* A log-Gaussian Cox process from counts, for those who have no file. */
#ifndef TB_DIFFUSION_TARGET_LGCP_H
#define TB_DIFFUSION_TARGET_LGCP_H

#include "diffusion/density.h"

/* counts[grid²], row by row; frees with tb_density_close. */
tb_status tb_density_lgcp(tb_context *, size_t grid, double variance, double mean, const double *counts, tb_density **);

#endif

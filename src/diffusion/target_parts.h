/* What the files of targets share: building blocks of their graphs and of their draws. */
#ifndef TB_DIFFUSION_TARGET_PARTS_H
#define TB_DIFFUSION_TARGET_PARTS_H

#include "diffusion/density.h"

#define TB_LOG_TWO_PI 1.8378770664093454836

extern const tb_target tb_target_gaussian, tb_target_mixture, tb_target_cosine, tb_target_funnel, tb_target_funnel_easy;
extern const tb_target tb_target_gmm9, tb_target_gmm25, tb_target_gmm10, tb_target_gmm40, tb_target_manywell,
    tb_target_mw5;
extern const tb_target tb_target_mw50, tb_target_brownian, tb_target_eight_schools, tb_target_logistic, tb_target_lgcp;
extern const tb_target tb_target_plugin, tb_target_stan;

/* Σ over the last axis, and the last axis' entry i: y[…,d] → […] */
tb_value tb_sum_last(tb_graph *, tb_value a);
tb_value tb_entry(tb_graph *, tb_value y, size_t i);
/* A constant [count] or [rows,cols] of y's type. */
tb_value tb_numbers(tb_graph *, tb_value like, size_t rows, size_t cols, const double *values);
/* y[…,d] → […,1,d] */
tb_value tb_with_axis(tb_graph *, tb_value y);

/* An open density with nothing in it yet: an arena, no dimension. */
tb_status tb_density_make(tb_context *, const tb_target *, tb_density **);

/* Names `stem[1]` … `stem[count]` at names[0] …; NULL memory is reported. */
tb_status tb_density_number_names(tb_density *, const char *stem, size_t count, const char **names);
/* Sets dims and naturals, and names them x[1] … where no names are set yet. */
tb_status tb_density_plain(tb_density *, size_t dims);
/* Memory of the density's arena holding a copy; NULL on exhaustion. */
double *tb_density_copy(tb_density *, size_t count, const double *values);
/* count normals of draw `number`. */
void tb_draw_normals(tb_key, const char *purpose, uint64_t number, size_t count, double *out);

#endif

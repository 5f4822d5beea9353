/* How groups share out over panels and lines: panels by method where both the method and something else vary, else one
 * panel. */
#ifndef TB_REPORT_LAYOUT_H
#define TB_REPORT_LAYOUT_H

#include "report/plot.h"

typedef struct tb_layout {
  size_t n_panels, n_series;
  const char **panels;          /* names */
  tb_series *series;            /* room for twice as many */
  size_t *panel_of, *series_of; /* of each group */
} tb_layout;
tb_status tb_layout_of(tb_context *, tb_arena *, size_t n_groups, const tb_group *, tb_layout *);

/* The references of the studies' angles: how they are called and drawn, the same in every figure. */
typedef struct tb_reference {
  const char *name, *label, *tag; /* "min_norm", "minimum-norm interpolator", "min ℓ2" */
  int colour, dash;               /* the limit of the programme, often equal to another, is dashed above it */
  bool of_start;                  /* depends on the start of the run, not on the data alone */
} tb_reference;
extern const tb_reference tb_references[];
extern const size_t tb_references_count;

/* Whether the runs' time counts steps of a discrete method. */
bool tb_counts_steps(size_t n_groups, const tb_group *);

#endif

/* Figures: one record each, one table.  A figure looks at the runs of one part, says whether it has something to show
 * there, and turns them into a CSV and a gnuplot script; from that script come the picture in the page, PNG, PDF and
 * the text plot. */
#ifndef TB_REPORT_FIGURE_H
#define TB_REPORT_FIGURE_H

#include "report/groups.h"

/* A figure drawn for one part. */
typedef struct tb_picture tb_picture;

typedef struct tb_figure {
  const char *id, *title;
  const char *caption;     /* what is drawn and how to read it */
  const char *size, *body; /* gnuplot templates: the height of the picture, the picture */
  /* Fills csv and script (the assignments that the templates need); leaves csv empty when there is nothing to show.
   * May set picture->note. */
  tb_status (*draw)(tb_context *, tb_arena *, const tb_chapter *, size_t n_groups, tb_group *groups, tb_picture *);
} tb_figure;

struct tb_picture {
  const tb_figure *figure;
  const tb_chapter *chapter;
  const char *name; /* of its files, safe characters only: "gd-svm-angles" */
  const char *file; /* name.csv */
  bool lead;        /* among the first of its part: shown in full, the others under "more figures" */
  const char *note; /* on this part's picture, after the caption; NULL: none */
  tb_text csv, script;
};

extern const tb_figure tb_figure_bounds, tb_figure_rules, tb_figure_twins, tb_figure_size, tb_figure_orders,
    tb_figure_reversal;
extern const tb_figure tb_figure_recovery, tb_figure_spectrum, tb_figure_width;
extern const tb_figure tb_figure_damping, tb_figure_generalisation, tb_figure_invariance, tb_figure_path,
    tb_figure_angles, tb_figure_margins, tb_figure_context, tb_figure_measures, tb_figure_finetune, tb_figure_loss;
const tb_figure *const *tb_figures(void); /* in the order of the page, the most telling first, ended by NULL */

/* All pictures of all chapters, scripts complete.  The list belongs to the arena, the texts to tb_pictures_free. */
tb_status tb_pictures_of(tb_context *, tb_arena *, size_t n_chapters, const tb_chapter *chapters, size_t *count,
                         tb_picture **pictures);
void tb_pictures_free(size_t count, tb_picture *pictures);

#endif

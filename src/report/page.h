/* The page: one HTML file without anything beside it, made section by section.
 *
 * Sections know the report's source only: no files but the manifests, no gnuplot, no records. */
#ifndef TB_REPORT_PAGE_H
#define TB_REPORT_PAGE_H

#include "report/figure.h"

/* A picture as drawn: the two SVGs of the page, NULL where there are none. */
typedef struct tb_drawn {
  char *wide, *narrow;
} tb_drawn;

typedef struct tb_source {
  const char *title;   /* NULL: made from the runs */
  const char *paper;   /* the sections show what belongs to this paper; NULL: everything */
  size_t page;         /* number of that paper, from 1; 0: the only one */
  const char *out;     /* path of the page, for relative links */
  const char *figures; /* folder of the figures' files */
  size_t n_runs;
  const tb_exhibit *runs;
  size_t n_verdicts;
  const tb_verdict *verdicts;
  size_t n_chapters;
  const tb_chapter *chapters;
  size_t n_pictures;
  const tb_picture *pictures;
  const tb_drawn *drawn;
  const char *gnuplot; /* its version; "" where it is absent */
  const char *trouble; /* what went wrong with pictures; "" when nothing did */
} tb_source;

tb_status tb_page_write(tb_context *, tb_arena *, const tb_source *, tb_text *page);

/* ---- sections ---- */
size_t tb_page_claims_of(const tb_source *, tb_verdict_word); /* how many claims of the page have that verdict */
void tb_page_claims(tb_text *, const tb_source *);
void tb_page_figures(tb_text *, const tb_source *);
tb_status tb_page_runs(tb_context *, tb_text *, const tb_source *);
tb_status tb_page_methods(tb_context *, tb_arena *, tb_text *, const tb_source *);

/* ---- pieces ---- */
bool tb_page_shows(const tb_source *, const tb_study *);                                 /* the page is of its paper */
void tb_page_section(tb_text *, const tb_source *, const char *id, const char *heading); /* opens a section */
/* "A paper (its authors 2021)": both halves apart, the second NULL where there is none. */
tb_status tb_page_paper(tb_arena *, const char *paper, const char **title, const char **authors);
void tb_page_anchor(tb_text *, const char *kind, size_t index, const char *name); /* kind-INDEX-slug */
const tb_study *tb_claim_study(const tb_source *, const tb_claim *);              /* NULL when no run is of it */
const char *tb_chapter_heading(const tb_chapter *);                               /* its title, else its name */

#endif

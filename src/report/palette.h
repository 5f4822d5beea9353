/* The colours of the report: one table for gnuplot scripts, pictures in the page and the page itself, light and dark.
 *
 * Lines are told apart under the common colour-vision deficiencies (after Okabe and Ito) and stand out ≥ 3:1 from the
 * background in both themes; text stands out ≥ 4.5:1. */
#ifndef TB_REPORT_PALETTE_H
#define TB_REPORT_PALETTE_H

#include <tiebreak/base.h>

typedef struct tb_colour {
  const char *name;         /* of the CSS variable and, for inks, of the gnuplot variable */
  const char *light, *dark; /* "#rrggbb" */
  bool drawn;               /* appears in pictures */
} tb_colour;

enum { TB_LINE_COLOURS = 8 };
extern const tb_colour tb_palette[];
extern const size_t tb_palette_count;

/* "--ink:#1c1e21;…" of one theme. */
void tb_palette_css(tb_text *, bool dark);
/* "ink = '#1c1e21'; … array colour[8] = […]". */
void tb_palette_gnuplot(tb_text *);

#endif

/* gnuplot's SVG made fit for the page: no prolog, no foreign names, ids of its own, colours that follow the theme. */
#ifndef TB_REPORT_SVG_H
#define TB_REPORT_SVG_H

#include <tiebreak/base.h>

/* Adds svg (a whole document of gnuplot's) to the page as an <svg> element of the given class; ids get the prefix. */
void tb_svg_inline(tb_text *page, const char *svg, const char *css_class, const char *prefix);

#endif

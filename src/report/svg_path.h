/* Lines of a picture as short as the eye allows: what adds nothing to a line at a tenth of a pixel is left out. */
#ifndef TB_REPORT_SVG_PATH_H
#define TB_REPORT_SVG_PATH_H

#include <tiebreak/base.h>

/* Adds the coordinates of a path (M, L, Z with absolute numbers) or of a polygon; others as they are. */
void tb_svg_line(tb_text *page, const char *coordinates, size_t length);

#endif

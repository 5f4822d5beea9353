/* gnuplot as a subprocess: no shell, no names of users' on its command line, its complaints in our message. */
#ifndef TB_REPORT_GNUPLOT_H
#define TB_REPORT_GNUPLOT_H

#include <tiebreak/base.h>

/* One drawing of a script. */
typedef struct tb_drawing {
  const char *kind;   /* "svg", "png", "pdf", "text" */
  const char *output; /* file name in the folder, safe characters only; NULL: standard output */
  int width, height;  /* 0: the script's own */
} tb_drawing;

/* Whether a program called gnuplot can be started; its version ("5.4 patchlevel 4") is added to *version. */
bool tb_gnuplot_present(tb_context *, tb_text *version);

/* Runs script (a file name in folder, safe characters only) once for each drawing, in that folder.  Standard output
 * goes to *out when it is not NULL.  Error TB_FAILED: gnuplot failed, with the first lines of what it said. */
tb_status tb_gnuplot_run(tb_context *, const char *folder, const char *script, size_t n, const tb_drawing *drawings,
                         tb_text *out);

#endif

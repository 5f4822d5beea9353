/* Text for four readers: HTML, CSV, gnuplot and the shell; and links.  Whatever names users give, what comes out is
 * well-formed: invalid UTF-8 becomes U+FFFD, control characters become spaces. */
#ifndef TB_REPORT_WRITE_H
#define TB_REPORT_WRITE_H

#include <tiebreak/base.h>

void tb_write_html(tb_text *, const char *text);    /* & < > " ' escaped: for content and for quoted attributes */
void tb_write_plain(tb_text *, const char *text);   /* for a terminal */
void tb_write_csv(tb_text *, const char *text);     /* a quoted field */
void tb_write_gnuplot(tb_text *, const char *text); /* a single-quoted string; nothing in it is expanded */
void tb_write_shell(tb_text *, const char *text);   /* one word, quoted where needed */
void tb_write_slug(tb_text *, const char *text);    /* [a-z0-9-]+ for file names and anchors */
void tb_write_base64(tb_text *, const void *data, size_t size);
/* The same of the data packed by gzip: the same bytes for the same data. */
void tb_write_packed(tb_text *, const void *data, size_t size);
void tb_write_path(tb_text *, const char *path); /* percent-encoded for href */
/* A number for readers: so many significant digits, "−" as the minus sign, "1.2 × 10^−9" where that is shorter, "∞" and
 * "—" (NaN). */
void tb_write_number(tb_text *, double value, int digits);
/* The way from the folder of `file` to `target` ("../runs/a"); absolute where there is none. */
tb_status tb_write_relative(tb_context *, tb_text *, const char *file, const char *target);

#endif

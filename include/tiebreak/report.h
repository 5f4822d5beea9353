/* tiebreak/report.h: figures and one self-contained HTML file from recorded runs. */
#ifndef TIEBREAK_REPORT_H
#define TIEBREAK_REPORT_H

#include <tiebreak/run.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tb_report_options {
  const char *title; /* NULL: made from the runs */
  const char *out;   /* "report.html" */
  const char
      *figures; /* folder for each figure's CSV, gnuplot script, PNG (and PDF): NULL: out without .html + "-figures" */
  bool pdf;     /* also a PDF a figure */
} tb_report_options;

/* Writes the report atomically.  Without gnuplot the page is written without pictures and says so. */
tb_status tb_report_write(tb_context *, size_t n, tb_record *const *records, const tb_report_options *);
/* The figures as text plots for a terminal of that width (gnuplot's dumb terminal). */
tb_status tb_report_terminal(tb_context *, size_t n, tb_record *const *records, int columns, tb_text *out);

#ifdef __cplusplus
}
#endif
#endif

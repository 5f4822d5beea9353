/* Two general plots: panels of lines with bands, and bars with intervals.  Each turns numbers into a CSV and the first
 * lines of a gnuplot script; what those lines mean, the templates in assets/ say. */
#ifndef TB_REPORT_PLOT_H
#define TB_REPORT_PLOT_H

#include "report/curves.h"

/* One line in one panel. */
typedef struct tb_line {
  size_t panel, series; /* indices */
  tb_curve curve;
} tb_line;

/* How a series looks; NULL name: not in the legend (and after all those that are). */
typedef struct tb_series {
  const char *name;
  int colour, dash; /* colour 1 … 8; dash 1 solid, 2 dashed, 3 dotted */
} tb_series;

typedef struct tb_lines {
  size_t n_panels, n_series, n_lines;
  const char *const *panels; /* names */
  const tb_series *series;
  const tb_line *lines;
  const char *ylabel;
  bool steps;   /* time counts steps */
  bool log_y;   /* allowed: taken when the values span many decades; what is not positive lies along the edge */
  double floor; /* smallest value shown on a logarithmic axis */
  double level; /* a horizontal line; NaN: none */
  const char *extra_name; /* of one more column, a number of each series; NULL: none */
  const double *extra;
} tb_lines;
void tb_lines_write(const tb_lines *, const char *file, tb_text *csv, tb_text *script);

typedef struct tb_bars {
  size_t n;
  const char *const *names;
  const int *colours; /* 1 … 8 */
  const tb_bar *bars;
  const char *label;
  bool dots;    /* the largest values, as points on a logarithmic axis */
  double floor; /* smallest value shown there */
} tb_bars;
void tb_bars_write(const tb_bars *, const char *file, tb_text *csv, tb_text *script);

/* Pieces of scripts. */
void tb_script_word(tb_text *script, const char *name, const char *value);
void tb_script_number(tb_text *script, const char *name, double value);
void tb_script_words(tb_text *script, const char *name, size_t n, const char *const *values);
void tb_script_integers(tb_text *script, const char *name, size_t n, const int *values);
size_t tb_longest_of(size_t n, const char *const *names); /* in characters */

/* The range and format of an axis that shows least … most. */
typedef struct tb_axis {
  bool log;
  double low, high;
  const char *format; /* of the tics */
} tb_axis;
tb_axis tb_axis_of(double least, double most, bool log);
void tb_script_axis(tb_text *script, char letter, tb_axis);

#endif

/* Axes, lines and bars as CSV and script assignments.
 *
 * Time axis: t where it stays small, t on a logarithmic axis where it does not, log t where t leaves the range of
 * floating point (a gradient flow reaches margin 10⁶ at t ≈ e^{10⁶}). */
#include "report/plot.h"

#include <math.h>

#include "report/write.h"

/* ---- pieces of scripts ---- */

void tb_script_word(tb_text *script, const char *name, const char *value) {
  tb_text_format(script, "%s = ", name);
  tb_write_gnuplot(script, value);
  tb_text_add(script, "\n");
}

void tb_script_number(tb_text *script, const char *name, double value) {
  if (isnan(value))
    tb_text_format(script, "%s = NaN\n", name);
  else
    tb_text_format(script, "%s = %.10g\n", name, value);
}

void tb_script_words(tb_text *script, const char *name, size_t n, const char *const *values) {
  tb_text_format(script, "array %s[%zu] = [", name, n);
  for (size_t i = 0; i < n; i++) {
    tb_text_add(script, i ? ", " : "");
    tb_write_gnuplot(script, values[i]);
  }
  tb_text_add(script, "]\n");
}

void tb_script_integers(tb_text *script, const char *name, size_t n, const int *values) {
  tb_text_format(script, "array %s[%zu] = [", name, n);
  for (size_t i = 0; i < n; i++)
    tb_text_format(script, "%s%d", i ? ", " : "", values[i]);
  tb_text_add(script, "]\n");
}

static size_t characters(const char *text) {
  size_t count = 0;
  for (; *text; text++)
    count += (*text & 0xc0) != 0x80;
  return count;
}

size_t tb_longest_of(size_t n, const char *const *names) {
  size_t longest = 0;
  for (size_t i = 0; i < n; i++)
    if (names[i] && characters(names[i]) > longest)
      longest = characters(names[i]);
  return longest;
}

/* ---- axes ---- */

tb_axis tb_axis_of(double least, double most, bool log_scale) {
  if (!(least <= most))
    return (tb_axis){ log_scale, log_scale ? 0.1 : 0, 1, "%g" };
  if (log_scale) {
    double low = pow(10, floor(log10(least) + 1e-9)), decade = pow(10, floor(log10(most) + 1e-9));
    double high = most <= decade * 1.05  ? decade
                  : most <= 2.1 * decade ? 2 * decade
                  : most <= 5.2 * decade ? 5 * decade
                                         : 10 * decade;
    if (high < 9.99 * low) /* so that two ends of the axis bear numbers */
      high = 10 * low;
    return (tb_axis){ true, low, high, low >= 1e-3 && high <= 1e3 ? "%g" : "10^{%T}" };
  }
  double pad = 0.05 * (most - least);
  if (pad == 0)
    pad = most == 0 ? 1 : 0.1 * fabs(most);
  double low = least >= 0 && least <= 0.4 * most ? 0 : least - pad;
  double high = most <= 0 && most >= 0.4 * least ? 0 : most + pad;
  return (tb_axis){ false, low, high, "%g" };
}

void tb_script_axis(tb_text *script, char letter, tb_axis axis) {
  tb_text_format(script, "%clog = %d; %clow = %.10g; %chigh = %.10g; %cformat = '%s'\n", letter, axis.log, letter,
                 axis.low, letter, axis.high, letter, axis.format);
}

/* ---- lines ---- */

typedef struct extent {
  double least, least_positive, most;
} extent;

static const extent nothing = { INFINITY, INFINITY, -INFINITY };

static void widen(extent *e, double value) {
  if (!isfinite(value))
    return;
  e->least = fmin(e->least, value);
  e->most = fmax(e->most, value);
  if (value > 0)
    e->least_positive = fmin(e->least_positive, value);
}

static void time_axis(const tb_lines *lines, tb_text *script) {
  extent t = nothing, log_t = nothing;
  bool overflow = false;
  for (size_t l = 0; l < lines->n_lines; l++)
    for (size_t i = 0; i < lines->lines[l].curve.n; i++) {
      widen(&t, lines->lines[l].curve.t[i]);
      widen(&log_t, lines->lines[l].curve.log_t[i]);
      overflow = overflow || !isfinite(lines->lines[l].curve.t[i]) || lines->lines[l].curve.log_t[i] > 300;
    }
  bool far = log_t.most > 1e3;
  tb_script_word(script, "xcolumn", overflow ? "log_t" : "t");
  tb_script_word(script, "xlabel", overflow ? "log time, log t" : lines->steps ? "steps" : "time t");
  if (overflow) /* on a logarithmic axis from log t = 0.1 on */
    tb_script_axis(script, 'x', tb_axis_of(far ? fmax(0.1, log_t.least_positive) : log_t.least, log_t.most, far));
  else if (t.most > 200)
    tb_script_axis(script, 'x', tb_axis_of(fmax(t.least_positive, 1e-4), t.most, true));
  else
    tb_script_axis(script, 'x', (tb_axis){ false, 0, t.most > 0 ? t.most : 1, "%g" });
}

static tb_axis value_axis(const tb_lines *lines) {
  extent e = nothing;
  for (size_t l = 0; l < lines->n_lines; l++)
    for (size_t i = 0; i < lines->lines[l].curve.n; i++) {
      const tb_curve *curve = &lines->lines[l].curve;
      widen(&e, curve->median[i]);
      widen(&e, curve->low[i]);
      widen(&e, curve->high[i]);
    }
  if (isfinite(lines->level))
    widen(&e, lines->level);
  double positive = fmax(e.least_positive, lines->floor);
  bool log_scale = lines->log_y && e.most > 300 * positive;
  return tb_axis_of(log_scale ? positive : e.least, e.most, log_scale);
}

static void lines_csv(const tb_lines *lines, tb_text *csv) {
  tb_text_format(csv, "panel,series,%s%st,log_t,median,p10,p90,runs,panel_name,series_name\n",
                 lines->extra_name ? lines->extra_name : "", lines->extra_name ? "," : "");
  for (size_t l = 0; l < lines->n_lines; l++) {
    const tb_line *line = &lines->lines[l];
    for (size_t i = 0; i < line->curve.n; i++) {
      const tb_curve *c = &line->curve;
      tb_text_format(csv, "%zu,%zu,", line->panel + 1, line->series + 1);
      if (lines->extra_name)
        tb_text_format(csv, "%.10g,", lines->extra[line->series]);
      tb_text_format(csv, "%.10g,%.10g,%.10g,%.10g,%.10g,%zu,", c->t[i], c->log_t[i], c->median[i], c->low[i],
                     c->high[i], c->runs[i]);
      tb_write_csv(csv, lines->panels[line->panel]);
      tb_text_add(csv, ",");
      tb_write_csv(csv, lines->series[line->series].name);
      tb_text_add(csv, "\n");
    }
  }
}

void tb_lines_write(const tb_lines *lines, const char *file, tb_text *csv, tb_text *script) {
  lines_csv(lines, csv);
  tb_script_word(script, "file", file);
  tb_text_format(script, "panels = %zu; series = %zu\n", lines->n_panels, lines->n_series);
  tb_script_words(script, "panel_name", lines->n_panels, lines->panels);
  size_t named = 0, longest = 0;
  tb_text_format(script, "array series_name[%zu] = [", lines->n_series);
  for (size_t s = 0; s < lines->n_series; s++) {
    const char *name = lines->series[s].name ? lines->series[s].name : "";
    named += lines->series[s].name != NULL;
    longest = characters(name) > longest ? characters(name) : longest;
    tb_text_add(script, s ? ", " : "");
    tb_write_gnuplot(script, name);
  }
  tb_text_format(script, "]\narray series_colour[%zu] = [", lines->n_series);
  for (size_t s = 0; s < lines->n_series; s++)
    tb_text_format(script, "%s%d", s ? ", " : "", lines->series[s].colour);
  tb_text_format(script, "]\narray series_dash[%zu] = [", lines->n_series);
  for (size_t s = 0; s < lines->n_series; s++)
    tb_text_format(script, "%s%d", s ? ", " : "", lines->series[s].dash);
  tb_text_format(script, "]\nnamed = %zu; longest = %zu; longest_panel = %zu\n", named, longest,
                 tb_longest_of(lines->n_panels, lines->panels));
  time_axis(lines, script);
  tb_script_word(script, "ylabel", lines->ylabel);
  tb_script_axis(script, 'y', value_axis(lines));
  tb_script_number(script, "level", lines->level);
}

/* ---- bars ---- */

void tb_bars_write(const tb_bars *bars, const char *file, tb_text *csv, tb_text *script) {
  extent e = nothing;
  tb_text_add(csv, "bar,mean,low,high,least,most,runs,colour,name\n");
  for (size_t b = 0; b < bars->n; b++) {
    const tb_bar *bar = &bars->bars[b];
    tb_text_format(csv, "%zu,%.10g,%.10g,%.10g,%.10g,%.10g,%zu,%d,", b + 1, bar->mean, bar->low, bar->high, bar->least,
                   bar->most, bar->n, bars->colours[b]);
    tb_write_csv(csv, bars->names[b]);
    tb_text_add(csv, "\n");
    widen(&e, bars->dots ? bar->most : bar->mean);
    if (!bars->dots) {
      widen(&e, bar->low);
      widen(&e, bar->high);
    }
  }
  tb_script_word(script, "file", file);
  tb_text_format(script, "bars = %zu; dots = %d; longest = %zu\n", bars->n, bars->dots,
                 tb_longest_of(bars->n, bars->names));
  tb_script_words(script, "bar_name", bars->n, bars->names);
  tb_script_word(script, "xlabel", bars->label);
  tb_script_axis(script, 'x',
                 bars->dots ? tb_axis_of(fmax(e.least_positive, bars->floor), fmax(e.most, 10 * bars->floor), true)
                            : tb_axis_of(fmin(e.least, 0), fmax(e.most, 0), false));
  if (bars->dots)
    tb_script_number(script, "floor_value", bars->floor);
}

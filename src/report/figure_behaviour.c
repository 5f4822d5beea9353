/* Equal loss, different behaviour: every run a point, how well it fits against what it does where the loss says
 * nothing. */
#include <math.h>
#include <string.h>

#include "report/assets.h"
#include "report/figure.h"
#include "report/plot.h"
#include "report/write.h"

typedef struct point {
  size_t series;
  double x, y;
} point;

typedef struct scatter {
  size_t n_series, n;
  const char **series;
  point *points;
  const char *xlabel, *ylabel;
  double edge, floor; /* a vertical line, NaN: none; smallest x of a logarithmic axis */
} scatter;

static void write_scatter(const scatter *s, const char *file, tb_text *csv, tb_text *script) {
  static const int marks[] = { 7, 5, 9, 11, 13, 15, 6, 4 };
  int colour[64], mark[64];
  double least = INFINITY, most = -INFINITY, low = 0, high = 1;
  tb_text_add(csv, "series,x,y,name\n");
  for (size_t i = 0; i < s->n; i++) {
    const point *p = &s->points[i];
    tb_text_format(csv, "%zu,%.10g,%.10g,", p->series + 1, p->x, p->y);
    tb_write_csv(csv, s->series[p->series]);
    tb_text_add(csv, "\n");
    least = fmin(least, fmax(p->x, s->floor));
    most = fmax(most, fmax(p->x, s->floor));
    low = fmin(low, p->y);
    high = fmax(high, p->y);
  }
  for (size_t i = 0; i < s->n_series; i++) { /* eight colours, then other marks */
    colour[i] = (int)(i % 8) + 1;
    mark[i] = marks[i / 8 % 8];
  }
  tb_script_word(script, "file", file);
  tb_script_number(script, "series", (double)s->n_series);
  tb_script_number(script, "longest", (double)tb_longest_of(s->n_series, s->series));
  tb_script_words(script, "series_name", s->n_series, s->series);
  tb_script_integers(script, "series_colour", s->n_series, colour);
  tb_script_integers(script, "series_mark", s->n_series, mark);
  tb_script_word(script, "xlabel", s->xlabel);
  tb_script_word(script, "ylabel", s->ylabel);
  tb_script_number(script, "edge", s->edge);
  tb_script_axis(script, 'x', tb_axis_of(least, fmax(most, isnan(s->edge) ? most : 1.2 * s->edge), true));
  tb_script_axis(script, 'y', (tb_axis){ false, low - 0.04, high + 0.04, "%g" });
}

static const char *text_of(const tb_config *config, const char *name) {
  for (size_t i = 0; i < tb_config_count(config); i++)
    if (strcmp(tb_config_option(config, i)->name, name) == 0)
      return tb_config_text(config, i);
  return "";
}

/* The values of those options that differ between the groups, in words: "L4, lstm, oracle". */
static const char *label_of(tb_arena *arena, size_t n_groups, const tb_group *groups, size_t g, size_t n_options,
                            const char *const *options) {
  const char *label = "";
  for (size_t k = 0; k < n_options && label; k++) {
    const char *own = text_of(groups[g].runs[0]->outcome->config, options[k]);
    bool varies = false;
    for (size_t i = 0; i < n_groups; i++)
      varies |= strcmp(text_of(groups[i].runs[0]->outcome->config, options[k]), own) != 0;
    if (varies && *own && strcmp(own, "none") != 0)
      label = *label ? tb_arena_format(arena, "%s, %s", label, own) : own;
  }
  return label && !*label ? groups[g].label : label;
}

/* Groups of equal label are one series. */
static size_t series_of(scatter *s, const char *label) {
  size_t i = 0;
  while (i < s->n_series && strcmp(s->series[i], label) != 0)
    i++;
  if (i == s->n_series)
    s->series[s->n_series++] = label;
  return i;
}

static tb_status scatter_new(tb_context *context, tb_arena *arena, const tb_chapter *chapter, scatter *s) {
  *s = (scatter){ .edge = NAN };
  s->series = tb_arena_allocate(arena, chapter->n + 1, sizeof *s->series);
  s->points = tb_arena_allocate(arena, chapter->n + 1, sizeof *s->points);
  return s->series && s->points ? TB_OK : tb_context_status(context);
}

static void add_point(scatter *s, size_t series, double x, double y) {
  if (isfinite(x) && isfinite(y))
    s->points[s->n++] = (point){ series, x, y };
}

enum { MOST_SERIES = 32, FEWEST_POINTS = 6 };

/* ---- rules ---- */

static tb_status draw_rules(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                            tb_group *groups, tb_picture *picture) {
  static const char *const options[] = { "language", "model", "training", "method", "published_quirks" };
  scatter s;
  if (strcmp(chapter->study->name, "rules") != 0)
    return TB_OK;
  if (scatter_new(context, arena, chapter, &s))
    return tb_context_status(context);
  for (size_t g = 0; g < n_groups; g++) {
    const char *label = label_of(arena, n_groups, groups, g, sizeof options / sizeof *options, options);
    if (!label)
      return tb_context_status(context);
    const size_t series = series_of(&s, label);
    for (size_t r = 0; r < groups[g].n; r++) {
      const tb_metrics *m = groups[g].runs[r]->outcome->metrics;
      add_point(&s, series, 100 * tb_metrics_get(m, "excess_loss") / tb_metrics_get(m, "optimal_loss"),
                tb_metrics_get(m, "ood.r1"));
    }
  }
  if (s.n < FEWEST_POINTS || s.n_series < 2 || s.n_series > MOST_SERIES)
    return TB_OK;
  s.xlabel = "loss above the exact entropy (%)";
  s.ylabel = "r1 on prompts outside the language";
  s.edge = 5;
  s.floor = 0.01;
  write_scatter(&s, picture->file, &picture->csv, &picture->script);
  return TB_OK;
}

const tb_figure tb_figure_rules = {
  "rules",
  "Equal loss, different behaviour",
  "Every point is a trained model: how far its loss lies above the exact entropy of the language, against how often "
  "its "
  "completions of prompts outside the language obey the rule r1 (unfinished completions do not). Left of the dotted "
  "line losses are within 5 % of the entropy. What the loss leaves open is the height.",
  tb_asset_scatter_size_gp,
  tb_asset_scatter_gp,
  draw_rules,
};

/* ---- twins ---- */

static const char *what_differs(const tb_config *config) {
  static const struct {
    const char *option, *name;
  } differences[] = { { "second_model", "networks" },
                      { "second_method", "optimisers" },
                      { "second_training", "what is taught" } };
  if (strcmp(text_of(config, "kind"), "exact") == 0)
    return "exact";
  for (size_t i = 0; i < sizeof differences / sizeof *differences; i++)
    if (strcmp(text_of(config, differences[i].option), "same") != 0)
      return differences[i].name;
  return "seeds";
}

static tb_status draw_twins(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                            tb_group *groups, tb_picture *picture) {
  scatter s;
  if (strcmp(chapter->study->name, "twins") != 0)
    return TB_OK;
  if (scatter_new(context, arena, chapter, &s))
    return tb_context_status(context);
  for (size_t g = 0; g < n_groups; g++)
    for (size_t r = 0; r < groups[g].n; r++) {
      const tb_outcome *o = groups[g].runs[r]->outcome;
      add_point(&s, series_of(&s, what_differs(o->config)),
                100 * fabs(tb_metrics_get(o->metrics, "loss_gap")) / tb_metrics_get(o->metrics, "optimal_loss"),
                tb_metrics_get(o->metrics, "ood_total_variation"));
    }
  if (s.n < FEWEST_POINTS)
    return TB_OK;
  s.xlabel = "gap of losses (% of the entropy)";
  s.ylabel = "total variation outside the language";
  s.floor = 0.001;
  write_scatter(&s, picture->file, &picture->csv, &picture->script);
  return TB_OK;
}

const tb_figure tb_figure_twins = {
  "twins",
  "Twins",
  "Every point is a pair of models: the gap of their losses against the mean distance of their next-token laws on "
  "prompts outside the language (total variation: 0 the same, 1 nothing in common). Pairs differ in what the legend "
  "says. A gap of zero lies at the left edge.",
  tb_asset_scatter_size_gp,
  tb_asset_scatter_gp,
  draw_twins,
};

/* ---- measures ---- */

static tb_status draw_measures(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                               tb_group *groups, tb_picture *picture) {
  scatter s;
  if (strcmp(chapter->study->name, "measures") != 0)
    return TB_OK;
  size_t room = 1;
  for (size_t r = 0; r < chapter->n; r++)
    room += tb_metrics_find(chapter->runs[r]->outcome->metrics, "network.trace").cols;
  s = (scatter){ .edge = NAN };
  s.series = tb_arena_allocate(arena, room, sizeof *s.series);
  s.points = tb_arena_allocate(arena, room, sizeof *s.points);
  if (!s.series || !s.points)
    return tb_context_status(context);
  for (size_t r = 0; r < chapter->n; r++) {
    const tb_metrics *m = chapter->runs[r]->outcome->metrics;
    const tb_metric_value trace = tb_metrics_find(m, "network.trace"), r1 = tb_metrics_find(m, "network.ood_r1");
    const tb_metric_value lr = tb_metrics_find(m, "network.lr");
    for (size_t i = 0; i < trace.cols && i < r1.cols && i < lr.cols; i++) {
      const char *label = tb_arena_format(arena, "learning rate %g", lr.values[i]);
      if (!label)
        return tb_context_status(context);
      if (trace.values[i] > 0)
        add_point(&s, series_of(&s, label), trace.values[i], r1.values[i]);
    }
  }
  if (s.n < FEWEST_POINTS || s.n_series > MOST_SERIES)
    return TB_OK;
  s.xlabel = "trace of the Hessian";
  s.ylabel = "r1 on prompts outside the language";
  s.floor = 1e-6;
  write_scatter(&s, picture->file, &picture->csv, &picture->script);
  return TB_OK;
}

const tb_figure tb_figure_measures = {
  "measures",
  "One loss, and what flatness knows of behaviour",
  "Every point is a network, all of the same loss: the trace of the Hessian there against how often its completions of "
  "prompts outside the language obey the rule r1. Colours are learning rates: a relation across them is one of the "
  "algorithm, a relation within one colour would be one of flatness alone.",
  tb_asset_scatter_size_gp,
  tb_asset_scatter_gp,
  draw_measures,
};

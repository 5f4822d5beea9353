/* Figures of final metrics: test error by method and model, deviation between parametrisations. */
#include <math.h>
#include <string.h>

#include "report/assets.h"
#include "report/figure.h"
#include "report/layout.h"

/* ---- generalisation ---- */

static const char *text_of(const tb_group *group, const char *name) {
  const tb_config *config = group->runs[0]->outcome->config;
  for (size_t i = 0; i < tb_config_count(config); i++)
    if (strcmp(tb_config_option(config, i)->name, name) == 0)
      return tb_config_text(config, i);
  return "";
}

static bool same_problem(const tb_group *a, const tb_group *b) {
  static const char *const problem[] = { "data", "d", "n", "k", "bias" };
  for (size_t i = 0; i < sizeof problem / sizeof *problem; i++)
    if (strcmp(text_of(a, problem[i]), text_of(b, problem[i])) != 0)
      return false;
  return true;
}

/* Whether two groups on the same problem have means beyond each other's intervals: else there is nothing to see. */
static bool some_differ(size_t count, const tb_group *const *groups, const tb_bar *bars) {
  for (size_t a = 0; a < count; a++)
    for (size_t b = 0; b < a; b++) {
      double gap = fabs(bars[a].mean - bars[b].mean);
      double half = fmax(bars[a].high - bars[a].mean, bars[b].high - bars[b].mean); /* NaN: a single seed */
      if (same_problem(groups[a], groups[b]) && gap > 0.005 && !(gap <= half))
        return true;
    }
  return false;
}

static tb_status draw_generalisation(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                                     tb_group *groups, tb_picture *picture) {
  const char **names = tb_arena_allocate(arena, n_groups, sizeof *names);
  int *colours = tb_arena_allocate(arena, n_groups, sizeof *colours);
  tb_bar *bars = tb_arena_allocate(arena, n_groups, sizeof *bars);
  const tb_group **shown = tb_arena_allocate(arena, n_groups, sizeof *shown);
  if (!names || !colours || !bars || !shown)
    return tb_context_status(context);
  size_t count = 0;
  for (size_t g = 0; g < n_groups; g++) {
    if (tb_bar_of(context, &groups[g], "test_error", &bars[count]) != TB_OK)
      return tb_context_status(context);
    if (bars[count].n == 0)
      continue;
    shown[count] = &groups[g];
    names[count] = groups[g].label;
    colours[count++] = (int)(groups[g].method_index % 8) + 1;
  }
  if (!some_differ(count, shown, bars))
    return TB_OK;
  tb_bars plot = { count, names, colours, bars, "test error", false, 0 };
  tb_bars_write(&plot, picture->file, &picture->csv, &picture->script);
  return TB_OK;
}

const tb_figure tb_figure_generalisation = {
  "generalisation",
  "Generalisation",
  "Test error by method and model: the mean over seeds with its 95 % interval (Student). All fit the training data "
  "equally well; they differ in which solution they pick.",
  tb_asset_bars_size_gp,
  tb_asset_bars_gp,
  draw_generalisation,
};

/* ---- invariance ---- */

/* "deviation.on_sample.ngf.predictor" → "ngf, predictor Fisher" is left to a small table; anything else is shown as
 * recorded. */
static const struct {
  const char *word, *phrase;
} words[] = {
  { "gd", "gradient descent" },          { "gf", "gradient flow" },           { "ngd", "natural gradient descent" },
  { "ngf", "natural gradient flow" },    { "predictor", "predictor Fisher" }, { "parameter", "parameter Fisher" },
  { "population", "population Fisher" }, { "empirical", "empirical Fisher" }, { "on_sample", "training inputs" },
  { "off_sample", "fresh inputs" },
};

static const char *spell(tb_arena *arena, const char *dotted) {
  char *rest = tb_arena_text(arena, dotted);
  const char *phrase = "";
  for (char *word, *state = NULL; rest && phrase && (word = strtok_r(rest, ".", &state)); rest = state) {
    const char *spelled = word;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
      if (strcmp(words[i].word, word) == 0)
        spelled = words[i].phrase;
    phrase = *phrase ? tb_arena_format(arena, "%s, %s", phrase, spelled) : spelled;
  }
  return rest ? phrase : NULL;
}

/* Largest value of a final metric over the runs, as a bar. */
static tb_bar largest_of(const tb_chapter *chapter, const char *name) {
  tb_bar bar = { .mean = NAN, .low = NAN, .high = NAN, .least = NAN, .most = NAN };
  for (size_t r = 0; r < chapter->n; r++) {
    double value = tb_metrics_get(chapter->runs[r]->outcome->metrics, name);
    if (isnan(value))
      continue;
    bar.n++;
    bar.least = fmin(bar.least, value);
    bar.most = fmax(bar.most, value);
  }
  return bar;
}

static tb_status draw_invariance(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                                 tb_group *groups, tb_picture *picture) {
  static const char *const places[] = { "deviation.off_sample.", "deviation.on_sample." };
  size_t room = 0, count = 0;
  for (size_t r = 0; r < chapter->n; r++)
    room += tb_metrics_count(chapter->runs[r]->outcome->metrics);
  const char **names = tb_arena_allocate(arena, room + 1, sizeof *names);
  const char **metrics = tb_arena_allocate(arena, room + 1, sizeof *metrics);
  int *colours = tb_arena_allocate(arena, room + 1, sizeof *colours);
  tb_bar *bars = tb_arena_allocate(arena, room + 1, sizeof *bars);
  if (!names || !metrics || !colours || !bars)
    return tb_context_status(context);
  for (size_t p = 0; p < 2; p++)
    for (size_t r = 0; r < chapter->n; r++)
      for (size_t m = 0; m < tb_metrics_count(chapter->runs[r]->outcome->metrics); m++) {
        const char *name = tb_metrics_at(chapter->runs[r]->outcome->metrics, m).name;
        bool known = strncmp(name, places[p], strlen(places[p])) != 0;
        for (size_t b = 0; b < count; b++)
          known = known || strcmp(metrics[b], name) == 0;
        if (known)
          continue;
        bars[count] = largest_of(chapter, name);
        metrics[count] = name;
        colours[count] = p == 0 ? 2 : 1;
        if (!(names[count] = spell(arena, name + strlen("deviation."))))
          return tb_context_status(context);
        count += bars[count].n > 0;
      }
  if (count == 0)
    return TB_OK;
  tb_bars plot = { count, names, colours, bars, "largest deviation from the linear model", true, 1e-17 };
  tb_bars_write(&plot, picture->file, &picture->csv, &picture->script);
  return TB_OK;
}

const tb_figure tb_figure_invariance = {
  "invariance",
  "Does the parametrisation matter?",
  "How far the same flow, run in other parametrisations, strays from the linear model: the largest difference of "
  "outputs over snapshots, parametrisations, points and seeds, relative to the largest output. Rounding errors lie at "
  "the left edge.",
  tb_asset_bars_size_gp,
  tb_asset_bars_gp,
  draw_invariance,
};

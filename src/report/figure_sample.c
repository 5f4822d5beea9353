/* What a sampler says of the normaliser: the lower bound, the estimate, the upper bound, by method and steps. */
#include <math.h>
#include <string.h>

#include "report/assets.h"
#include "report/figure.h"
#include "report/layout.h"

static const struct {
  const char *metric, *word;
  int colour;
} rows[] = { { "elbo", "lower bound", 2 }, { "log_z", "estimate", 1 }, { "eubo", "upper bound", 3 } };
enum { ROWS = sizeof rows / sizeof *rows };

/* "pis, gaussian, 4 steps, reference ou": what tells these runs apart, and nothing of the rest. */
static const char *label_of(tb_arena *arena, const tb_group *group) {
  const tb_config *config = group->runs[0]->outcome->config;
  const char *method = tb_config_word(config, "method"), *target = tb_config_word(config, "target");
  const char *label = tb_arena_format(arena, "%s, %s", method, target);
  if (label && (strcmp(method, "dds") == 0 || strcmp(method, "pis") == 0 || strcmp(method, "sfs") == 0))
    label = tb_arena_format(arena, "%s, %g steps", label, (double)tb_config_integer(config, "steps"));
  if (label && strcmp(method, "sfs") == 0)
    label = tb_arena_format(arena, "%s, reference %s", label, tb_config_word(config, "reference"));
  if (label && strcmp(tb_config_word(config, "loss"), "lv") == 0)
    label = tb_arena_format(arena, "%s, log-variance loss", label);
  return label;
}

static tb_status draw_bounds(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                             tb_group *groups, tb_picture *picture) {
  const char **names = tb_arena_allocate(arena, ROWS * n_groups + 1, sizeof *names);
  int *colours = tb_arena_allocate(arena, ROWS * n_groups + 1, sizeof *colours);
  tb_bar *bars = tb_arena_allocate(arena, ROWS * n_groups + 1, sizeof *bars);
  size_t count = 0;
  if (strcmp(chapter->study->name, "sample") != 0)
    return TB_OK;
  if (!names || !colours || !bars)
    return tb_context_status(context);
  for (size_t g = 0; g < n_groups; g++) {
    tb_bar above;
    if (tb_bar_of(context, &groups[g], "eubo", &above) != TB_OK)
      return tb_context_status(context);
    if (above.n == 0 || !isfinite(above.mean)) /* without exact draws there is nothing to hold it against */
      continue;
    const char *label = label_of(arena, &groups[g]);
    for (size_t r = 0; r < ROWS && label; r++) {
      if (tb_bar_of(context, &groups[g], rows[r].metric, &bars[count]) != TB_OK)
        return tb_context_status(context);
      names[count] = tb_arena_format(arena, "%s: %s", label, rows[r].word);
      colours[count] = rows[r].colour;
      if (!names[count])
        return tb_context_status(context);
      count += bars[count].n > 0 && isfinite(bars[count].mean);
    }
    if (!label)
      return tb_context_status(context);
  }
  if (count == 0)
    return TB_OK;
  tb_bars plot = { count, names, colours, bars, "log Z, nats (these densities have 0)", false, 0 };
  tb_bars_write(&plot, picture->file, &picture->csv, &picture->script);
  return TB_OK;
}

const tb_figure tb_figure_bounds = {
  "bounds",
  "The normaliser between its bounds",
  "What samplers with exact weights say of the logarithm of the normaliser: the mean log weight of their paths lies "
  "below it, that of paths "
  "from exact draws above it, and the log of the mean weight estimates it, at any number of steps and for any control. "
  "Means over seeds with "
  "95 % intervals (Student).",
  tb_asset_bars_size_gp,
  tb_asset_bars_gp,
  draw_bounds,
};

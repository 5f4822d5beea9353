/* What a sampler says of the normaliser: the lower bound, the estimate, the upper bound, by method and steps. */
#include <math.h>
#include <string.h>

#include "report/assets.h"
#include "report/figure.h"
#include "report/layout.h"

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
  const char **names = tb_arena_allocate(arena, n_groups + 1, sizeof *names);
  int *colours = tb_arena_allocate(arena, n_groups + 1, sizeof *colours);
  tb_bar *bars = tb_arena_allocate(arena, n_groups + 1, sizeof *bars);
  size_t count = 0;
  if (strcmp(chapter->study->name, "sample") != 0)
    return TB_OK;
  if (!names || !colours || !bars)
    return tb_context_status(context);
  for (size_t g = 0; g < n_groups; g++) {
    tb_bar below, estimate, above;
    if (tb_bar_of(context, &groups[g], "elbo", &below) != TB_OK ||
        tb_bar_of(context, &groups[g], "log_z", &estimate) != TB_OK ||
        tb_bar_of(context, &groups[g], "eubo", &above) != TB_OK)
      return tb_context_status(context);
    /* without exact draws there is nothing to hold it against */
    if (!(above.n && below.n && estimate.n && isfinite(above.mean - below.mean) && isfinite(estimate.mean)))
      continue;
    bars[count] = estimate;
    bars[count].low = below.mean;
    bars[count].high = above.mean;
    colours[count] = (int)(groups[g].method_index % 8) + 1;
    if (!(names[count++] = label_of(arena, &groups[g])))
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
  "What samplers with exact weights say of the logarithm of the normaliser, means over seeds: the estimate (log of the "
  "mean weight, the bar), and the bounds it lies between (the whiskers): below, the mean log weight of the sampler's "
  "own paths, above, that of paths from exact draws, at any number of steps and for any control.",
  tb_asset_bars_size_gp,
  tb_asset_bars_gp,
  draw_bounds,
};

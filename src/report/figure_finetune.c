/* Learning curves of twins: one function, two sets of parameters, a panel a method and symmetry. */
#include <math.h>
#include <string.h>

#include "report/assets.h"
#include "report/figure.h"
#include "report/plot.h"

enum { MOST_PANELS = 9 };

/* A group's label without the word that all of them share. */
static const char *title_of(tb_arena *arena, const char *label) {
  const char *word = "symmetry ", *at = strstr(label, word);
  return at ? tb_arena_format(arena, "%.*s%s", (int)(at - label), label, at + strlen(word)) : label;
}

static tb_status draw_finetune(tb_context *context, tb_arena *arena, const tb_chapter *chapter, size_t n_groups,
                               tb_group *groups, tb_picture *picture) {
  static const char *const metrics[] = { "loss", "unmoved.loss" };
  static const tb_series series[] = { { "moved", 2, 1 }, { "left alone", 1, 2 } };
  if (strcmp(chapter->study->name, "finetune") != 0)
    return TB_OK;
  tb_line *lines = tb_arena_allocate(arena, 2 * n_groups, sizeof *lines);
  const char **panels = tb_arena_allocate(arena, n_groups, sizeof *panels);
  if (!lines || !panels)
    return tb_context_status(context);
  size_t n_panels = 0, count = 0, left_out = 0;
  for (size_t g = 0; g < n_groups; g++) {
    tb_curve curves[2];
    for (size_t k = 0; k < 2; k++)
      if (tb_curve_of(context, arena, &groups[g], tb_read_real, metrics[k], &curves[k]) != TB_OK)
        return tb_context_status(context);
    if (curves[0].n < 3 || curves[1].n < 3) /* a step or two are no curve */
      continue;
    if (n_panels == MOST_PANELS) {
      left_out++;
      continue;
    }
    for (size_t k = 0; k < 2; k++)
      lines[count++] = (tb_line){ n_panels, k, curves[k] };
    if (!(panels[n_panels++] = n_groups > 1 ? title_of(arena, groups[g].label) : ""))
      return tb_context_status(context);
  }
  if (count == 0)
    return TB_OK;
  if (left_out && !(picture->note = tb_arena_format(arena, "Shown: the first %zu of %zu configurations.", n_panels,
                                                    n_panels + left_out)))
    return tb_context_status(context);
  const tb_lines plot = {
    n_panels, 2, count, panels, series, lines, "loss on the target", .steps = true, .log_y = false, .level = NAN
  };
  tb_lines_write(&plot, picture->file, &picture->csv, &picture->script);
  return TB_OK;
}

const tb_figure tb_figure_finetune = {
  "finetune",
  "One function, two learning curves",
  "Two networks with the same logits on every string are fine-tuned side by side (median over seeds, bands from the "
  "10 % to the 90 % quantile). Where the lines part, the method sees parameters that the function does not show.",
  tb_asset_lines_size_gp,
  tb_asset_lines_gp,
  draw_finetune,
};

/* Panels and series from groups, and the references' fixed looks. */
#include "report/layout.h"

#include <string.h>

const tb_reference tb_references[] = {
  { "l2_svm", "ℓ2 SVM", "ℓ2 SVM", 1, 1, false },
  { "l1_svm", "ℓ1 SVM", "ℓ1 SVM", 2, 1, false },
  { "min_norm", "minimum-norm interpolator", "min ℓ2", 3, 1, false },
  { "min_l1", "minimum-ℓ1 interpolator", "min ℓ1", 4, 1, false },
  { "lp_limit", "limit of the linear programme", "LP", 5, 2, true },
};
const size_t tb_references_count = sizeof tb_references / sizeof *tb_references;

/* Index of name in names, added when new. */
static size_t place(const char *name, size_t *count, const char **names) {
  for (size_t i = 0; i < *count; i++)
    if (strcmp(names[i], name) == 0)
      return i;
  names[*count] = name;
  return (*count)++;
}

tb_status tb_layout_of(tb_context *context, tb_arena *arena, size_t n_groups, const tb_group *groups,
                       tb_layout *layout) {
  const char **methods = tb_arena_allocate(arena, n_groups, sizeof *methods);
  const char **rests = tb_arena_allocate(arena, n_groups, sizeof *rests);
  layout->series = tb_arena_allocate(arena, 2 * n_groups, sizeof *layout->series);
  layout->panel_of = tb_arena_allocate(arena, n_groups, sizeof *layout->panel_of);
  layout->series_of = tb_arena_allocate(arena, n_groups, sizeof *layout->series_of);
  if (!methods || !rests || !layout->series || !layout->panel_of || !layout->series_of)
    return tb_context_status(context);
  size_t n_methods = 0, n_rests = 0;
  for (size_t g = 0; g < n_groups; g++) {
    layout->panel_of[g] = place(groups[g].method, &n_methods, methods);
    layout->series_of[g] = place(groups[g].rest, &n_rests, rests);
  }
  bool split = n_methods > 1 && n_rests > 1;
  layout->panels = methods;
  layout->n_panels = split ? n_methods : 1;
  layout->n_series = split ? n_rests : n_groups;
  if (!split)
    methods[0] = "";
  for (size_t s = 0; s < layout->n_series; s++)
    layout->series[s] = (tb_series){ split ? rests[s] : groups[s].label, (int)(s % 8) + 1, (int)(s / 8) % 4 + 1 };
  for (size_t g = 0; g < n_groups && !split; g++) {
    layout->panel_of[g] = 0;
    layout->series_of[g] = g;
  }
  return TB_OK;
}

bool tb_counts_steps(size_t n_groups, const tb_group *groups) {
  for (size_t g = 0; g < n_groups; g++) {
    const tb_config *config = groups[g].runs[0]->outcome->config;
    if (!tb_config_find(config, "method") || tb_config_is(config, "method", "gf") ||
        tb_config_is(config, "method", "ngf"))
      return false;
  }
  return true;
}

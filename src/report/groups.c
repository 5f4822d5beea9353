/* Grouping runs: one key for each configuration without its seed, one label from the options in which the groups
 * differ.
 *
 * Labels are made from the option tables, so a new study needs nothing here; a small table of phrases turns the words
 * that readers meet most (method, Fisher matrix, damping) into those of the papers. */
#include "report/groups.h"

#include <stdio.h>
#include <string.h>

/* option, value → phrase; value NULL: any, the phrase being a prefix of the value. */
static const struct {
  const char *option, *value, *phrase;
} phrases[] = {
  { "method", "gd", "gradient descent" },
  { "method", "gf", "gradient flow" },
  { "method", "ngd", "natural gradient descent" },
  { "method", "ngf", "natural gradient flow" },
  { "method", "adam", "Adam" },
  { "method", "grouprms", "normalised gradient descent" },
  { "method", "sign", "sign descent" },
  { "method", "kfac", "K-FAC" },
  { "method", "shampoo", "Shampoo" },
  { "method", "muon", "Muon" },
  { "fisher", "predictor", "predictor Fisher" },
  { "fisher", "parameter", "parameter Fisher" },
  { "fisher", "population", "population Fisher" },
  { "fisher", "empirical", "empirical Fisher" },
  { "model", NULL, "" },
  { "method", NULL, "" },
  { "data", NULL, "" },
  { "activation", NULL, "" },
  { "loss", NULL, "" },
  { "damping", NULL, "λ = " },
  { "d", NULL, "d = " },
  { "n", NULL, "n = " },
  { "k", NULL, "k = " },
};

/* How long and where a run is looked at, not what it is: in a label only where nothing else tells two groups apart. */
static const char *const quiet[] = {
  "at", "time", "steps", "until_loss", "until_margin", "lr", "threads", "reference"
};

/* Options that mean something only under some values of another. */
static const struct {
  const char *option, *other, *values;
} conditions[] = {
  { "fisher", "method", "|ngd|ngf|" },
  { "damping", "method", "|ngd|ngf|kfac|shampoo|" },
  { "depth", "model", "|diagonal|dense|conv|mlp|" },
  { "width", "model", "|dense|conv|mlp|" },
  { "activation", "model", "|mlp|" },
  { "init", "model", "|diagonal|dense|conv|mlp|" },
  { "momentum", "method", "|momentum|" },
  { "beta1", "method", "|adam|" },
  { "beta2", "method", "|adam|grouprms|" },
  { "epsilon", "method", "|adam|grouprms|" },
};

static bool has_meaning(const tb_config *config, const char *name) {
  for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
    const tb_option *other =
        strcmp(conditions[i].option, name) == 0 ? tb_config_find(config, conditions[i].other) : NULL;
    if (!other)
      continue;
    char value[32];
    snprintf(value, sizeof value, "|%s|", tb_config_word(config, other->name));
    return strstr(conditions[i].values, value) != NULL;
  }
  return true;
}

static bool is_quiet(const char *name) {
  for (size_t i = 0; i < sizeof quiet / sizeof *quiet; i++)
    if (strcmp(quiet[i], name) == 0)
      return true;
  return false;
}

static bool is_method(const char *name) {
  return strcmp(name, "method") == 0 || strcmp(name, "fisher") == 0;
}

const char *tb_option_phrase(tb_arena *arena, const tb_config *config, size_t i) {
  const char *name = tb_config_option(config, i)->name, *text = tb_config_text(config, i);
  if (!*text)
    return ""; /* unset */
  for (size_t k = 0; k < sizeof phrases / sizeof *phrases; k++) {
    if (strcmp(phrases[k].option, name) != 0)
      continue;
    if (phrases[k].value && strcmp(phrases[k].value, text) == 0)
      return phrases[k].phrase;
    if (!phrases[k].value)
      return tb_arena_format(arena, "%s%s", phrases[k].phrase, text);
  }
  return tb_arena_format(arena, "%s %s", name, text);
}

/* ---- chapters ---- */

tb_status tb_chapters_of(tb_context *context, tb_arena *arena, size_t n, const tb_exhibit *runs, size_t *count,
                         tb_chapter **chapters) {
  *count = 0;
  *chapters = tb_arena_allocate(arena, n + 1, sizeof **chapters);
  if (!*chapters)
    return tb_context_status(context);
  for (size_t i = 0; i < n; i++) {
    size_t c = 0;
    while (c < *count && (strcmp((*chapters)[c].name, runs[i].part) != 0 || (*chapters)[c].study != runs[i].study))
      c++;
    tb_chapter *chapter = &(*chapters)[c];
    if (c == *count) {
      chapter->name = runs[i].part;
      chapter->title = runs[i].title;
      chapter->study = runs[i].study;
      chapter->runs = tb_arena_allocate(arena, n, sizeof *chapter->runs);
      if (!chapter->runs)
        return tb_context_status(context);
      ++*count;
    }
    if (!*chapter->title) /* one part may take several documents, not all with a title */
      chapter->title = runs[i].title;
    chapter->runs[chapter->n++] = &runs[i];
  }
  return TB_OK;
}

/* ---- groups ---- */

/* Differences in options without a meaning are none: a sweep of depth runs the linear model several times over. */
static bool same_but_seed(const tb_config *a, const tb_config *b) {
  if (tb_config_count(a) != tb_config_count(b))
    return false;
  for (size_t i = 0; i < tb_config_count(a); i++) {
    const char *name = tb_config_option(a, i)->name;
    if (strcmp(name, "seed") != 0 && strcmp(tb_config_text(a, i), tb_config_text(b, i)) != 0 &&
        (has_meaning(a, name) || has_meaning(b, name)))
      return false;
  }
  return true;
}

static bool has_seed_of(const tb_group *group, const tb_exhibit *run) {
  for (size_t r = 0; r < group->n; r++) {
    const tb_config *config = group->runs[r]->outcome->config;
    if (!tb_config_find(config, "seed") ||
        tb_config_integer(config, "seed") == tb_config_integer(run->outcome->config, "seed"))
      return true;
  }
  return false;
}

/* Whether option i takes several values over the groups in which it means something. */
static bool varies(size_t count, const tb_group *groups, size_t i) {
  const char *first = NULL;
  for (size_t g = 0; g < count; g++) {
    const tb_config *config = groups[g].runs[0]->outcome->config;
    if (i >= tb_config_count(config) || !has_meaning(config, tb_config_option(config, i)->name))
      continue;
    if (first && strcmp(first, tb_config_text(config, i)) != 0)
      return true;
    first = tb_config_text(config, i);
  }
  return false;
}

static const char *join(tb_arena *arena, const char *left, const char *right) {
  if (!left || !right)
    return NULL;
  return *left && *right ? tb_arena_format(arena, "%s, %s", left, right) : *left ? left : right;
}

/* Labels from the options that vary and mean something. */
static bool label(tb_arena *arena, size_t count, tb_group *groups, bool with_quiet) {
  for (size_t g = 0; g < count; g++) {
    const tb_config *config = groups[g].runs[0]->outcome->config;
    const char *method = "", *rest = "";
    for (size_t i = 0; i < tb_config_count(config); i++) {
      const char *name = tb_config_option(config, i)->name;
      if (strcmp(name, "seed") == 0 || !varies(count, groups, i) || (is_quiet(name) && !with_quiet) ||
          !has_meaning(config, name))
        continue;
      const char *phrase = tb_option_phrase(arena, config, i);
      if (is_method(name))
        method = join(arena, method, phrase);
      else
        rest = join(arena, rest, phrase);
    }
    groups[g].method = method;
    groups[g].rest = rest;
    groups[g].label = join(arena, method, rest);
    if (!groups[g].label)
      return false;
  }
  return true;
}

static bool labels_clash(size_t count, const tb_group *groups) {
  for (size_t g = 0; g < count; g++)
    for (size_t h = 0; h < g; h++)
      if (strcmp(groups[g].label, groups[h].label) == 0)
        return true;
  return false;
}

/* A lone group is named after its method. */
static void name_lone_group(tb_arena *arena, tb_group *group) {
  const tb_config *config = group->runs[0]->outcome->config;
  group->label = group->runs[0]->part;
  for (size_t i = 0; i < tb_config_count(config); i++)
    if (strcmp(tb_config_option(config, i)->name, "method") == 0)
      group->label = tb_option_phrase(arena, config, i);
}

tb_status tb_groups_of(tb_context *context, tb_arena *arena, size_t n, const tb_exhibit *const *runs, size_t *count,
                       tb_group **out) {
  tb_group *groups = tb_arena_allocate(arena, n + 1, sizeof *groups);
  *count = 0;
  *out = groups;
  if (!groups)
    return tb_context_status(context);
  for (size_t i = 0; i < n; i++) {
    if (strcmp(runs[i]->state, "finished") != 0)
      continue;
    size_t g = 0;
    while (g < *count && !same_but_seed(groups[g].runs[0]->outcome->config, runs[i]->outcome->config))
      g++;
    if (g == *count) {
      groups[g].runs = tb_arena_allocate(arena, n, sizeof *groups[g].runs);
      if (!groups[g].runs)
        return tb_context_status(context);
      ++*count;
    }
    if (!has_seed_of(&groups[g], runs[i]))
      groups[g].runs[groups[g].n++] = runs[i];
  }
  if (*count == 0)
    return TB_OK;
  if (!label(arena, *count, groups, false) || (labels_clash(*count, groups) && !label(arena, *count, groups, true)))
    return tb_context_status(context);
  if (*count == 1)
    name_lone_group(arena, groups);
  size_t methods = 0;
  for (size_t g = 0; g < *count; g++) {
    size_t h = 0;
    while (h < g && strcmp(groups[h].method, groups[g].method) != 0)
      h++;
    groups[g].method_index = h < g ? groups[h].method_index : methods++;
  }
  return groups[0].label ? TB_OK : tb_context_status(context);
}

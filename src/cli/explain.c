/* tiebreak explain NAME: any study, option, metric, claim, method or model, from its record. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { MOST_NAMES = 4096 };

typedef struct explanation {
  cli *cli;
  const char *name;
  size_t found;
  json_t *object; /* of the thing being explained, with --json */
} explanation;

/* ---- saying it, as text or as a JSON object ---- */

static void begin(explanation *e, const char *kind, const char *name, const char *of) {
  if (e->cli->json) {
    e->object = json_pack("{s:s, s:s}", "kind", kind, "name", name);
    if (of)
      json_object_set_new(e->object, "of", json_string(of));
  } else {
    printf("%s%s%s%s  %s%s%s\n", e->found ? "\n" : "", colour_on(stdout, COLOUR_BOLD), name, colour_off(stdout), kind,
           of ? " of " : "", of ? of : "");
  }
  e->found++;
}

static void say(explanation *e, const char *key, const char *value) {
  if (!value || !*value)
    return;
  if (e->cli->json) {
    json_object_set_new(e->object, key, json_string(value));
    return;
  }
  if (strcmp(key, "summary") == 0 || strcmp(key, "details") == 0 || strcmp(key, "statement") == 0)
    for (const char *line = value; *line; line += strcspn(line, "\n"), line += *line == '\n')
      printf("  %.*s\n", (int)strcspn(line, "\n"), line);
  else
    printf("  %-10s %s\n", key, value);
}

static void end(explanation *e) {
  char *text = e->cli->json ? json_dumps(e->object, JSON_COMPACT) : NULL;
  if (text)
    puts(text);
  free(text);
  json_decref(e->object);
  e->object = NULL;
}

/* ---- kinds ---- */

static void explain_study(explanation *e, const tb_study *study) {
  begin(e, "study", study->name, NULL);
  say(e, "summary", study->summary);
  say(e, "details", study->details);
  say(e, "paper", study->paper);
  say(e, "laboratory", study->laboratory);
  if (!e->cli->json) {
    for (size_t t = 0; t < study->n_tables; t++) {
      printf("  %-10s", t ? "" : "options");
      for (size_t i = 0; i < study->tables[t]->count; i++)
        printf(" %s", study->tables[t]->options[i].name);
      printf("\n");
    }
    printf("  %-10s", "metrics");
    for (size_t i = 0; i < study->n_metrics; i++)
      printf(" %s", study->metrics[i].name);
    printf("\n");
    for (size_t i = 0; i < study->n_claims; i++)
      printf("  %-10s %s\n", i ? "" : "claims", study->claims[i]->id);
  }
  end(e);
}

static const char *type_name(const tb_option *o) {
  static const char *const words[] = { [TB_INTEGER] = "whole number",
                                       [TB_REAL] = "number",
                                       [TB_BOOLEAN] = "true or false",
                                       [TB_CHOICE] = "one of ",
                                       [TB_WORD] = "text",
                                       [TB_FILE] = "file",
                                       [TB_REALS] = "list of numbers, by commas",
                                       [TB_MATRIX] = "matrix, rows parted by /" };
  return words[o->type];
}

static void explain_option(explanation *e, const tb_study *study, const tb_option *o) {
  char range[120] = "", least[40], most[40];
  begin(e, "option", o->name, study->name);
  say(e, "summary", o->summary);
  say(e, "type",
      o->choices ? tb_arena_format(e->cli->arena, "%s%s%s", o->type == TB_CHOICE ? "" : type_name(o),
                                   o->type == TB_CHOICE ? "" : ": ", o->choices)
                 : type_name(o));
  if (o->least <= o->most)
    snprintf(range, sizeof range, "%s%s, %s%s", o->open ? "(" : "[", readable_number(o->least, least),
             readable_number(o->most, most), "]");
  say(e, "range", range);
  say(e, "default", o->fallback && *o->fallback ? o->fallback : "not set");
  say(e, "formula", o->formula);
  say(e, "source", o->source);
  end(e);
}

static void explain_metric(explanation *e, const tb_study *study, const tb_metric *m) {
  begin(e, "metric", m->name, study->name);
  say(e, "summary", m->summary);
  say(e, "unit", m->unit);
  say(e, "formula", m->formula);
  say(e, "source", m->source);
  end(e);
}

static void explain_claim(explanation *e, const tb_study *study, const tb_claim *claim) {
  static const char *const kinds[] = {
    [TB_CLAIM_AGREES] = "|value − reference| is at most the tolerance in every run",
    [TB_CLAIM_AT_MOST] = "value is at most reference + tolerance in every run",
    [TB_CLAIM_AT_LEAST] = "value is at least reference − tolerance in every run",
    [TB_CLAIM_BELOW] =
        "the mean difference of the two arms, paired by seed, lies below −tolerance with its 95 % interval",
    [TB_CLAIM_LESS] =
        "the mean over seeds of value − reference, of the same run, lies below −tolerance with its 95 % interval",
    [TB_CLAIM_MEAN] = "the mean over seeds agrees with the reference within tolerance plus the 95 % interval",
    [TB_CLAIM_SLOPE] = "value grows with reference at slope 1 within the tolerance, by least squares in each seed",
  };
  char tolerance[40];
  begin(e, "claim", claim->id, study->name);
  say(e, "statement", claim->statement);
  say(e, "group", claim->group);
  say(e, "holds if", kinds[claim->kind]);
  say(e, "reference", claim->reference);
  say(e, "tolerance",
      tb_arena_format(e->cli->arena, "%s %s", readable_number(claim->tolerance, tolerance),
                      claim->unit ? claim->unit : ""));
  if (claim->min_seeds)
    say(e, "seeds", tb_arena_format(e->cli->arena, "at least %d", claim->min_seeds));
  say(e, "source", claim->source);
  end(e);
}

static void explain_entry(explanation *e, const tb_catalogue_entry *entry) {
  begin(e, entry->kind, entry->name, NULL);
  say(e, "summary", entry->summary);
  say(e, "formula", entry->formula);
  say(e, "source", entry->source);
  end(e);
}

/* "reference.NAME" matches reference.l2_svm: upper-case parts vary. */
static bool matches(const char *pattern, const char *name) {
  while (*pattern && *name) {
    if (*pattern >= 'A' && *pattern <= 'Z' && strncmp(pattern, name, 1) != 0) {
      pattern += strspn(pattern, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
      name += strcspn(name, ".");
      continue;
    }
    if (*pattern++ != *name++)
      return false;
  }
  return !*pattern && !*name;
}

/* The same option of several studies (one record) is explained once. */
static bool option_of_earlier(const tb_study *const *study, const tb_option *option) {
  for (const tb_study *const *s = tb_studies(); *s && s != study; s++)
    for (size_t t = 0; t < (*s)->n_tables; t++)
      for (size_t i = 0; i < (*s)->tables[t]->count; i++)
        if (&(*s)->tables[t]->options[i] == option)
          return true;
  return false;
}

static void explain_in(explanation *e, const tb_study *const *place) {
  const tb_study *study = *place;
  if (strcmp(study->name, e->name) == 0)
    explain_study(e, study);
  for (size_t t = 0; t < study->n_tables; t++)
    for (size_t i = 0; i < study->tables[t]->count; i++)
      if (strcmp(study->tables[t]->options[i].name, e->name) == 0 &&
          !option_of_earlier(place, &study->tables[t]->options[i]))
        explain_option(e, study, &study->tables[t]->options[i]);
  for (size_t i = 0; i < study->n_metrics; i++)
    if (matches(study->metrics[i].name, e->name))
      explain_metric(e, study, &study->metrics[i]);
  for (size_t i = 0; i < study->n_claims; i++)
    if (strcmp(study->claims[i]->id, e->name) == 0)
      explain_claim(e, study, study->claims[i]);
}

/* ---- unknown names ---- */

static const char *nearest(cli *c, const char *word) {
  const char **names = tb_arena_allocate(c->arena, MOST_NAMES, sizeof *names);
  size_t count = 0;
  tb_catalogue_entry entry;
  if (!names)
    return NULL;
  for (const tb_study *const *s = tb_studies(); *s; s++) {
    names[count++] = (*s)->name;
    for (size_t t = 0; t < (*s)->n_tables; t++)
      for (size_t i = 0; i < (*s)->tables[t]->count && count < MOST_NAMES - 64; i++)
        names[count++] = (*s)->tables[t]->options[i].name;
    for (size_t i = 0; i < (*s)->n_metrics && count < MOST_NAMES - 64; i++)
      names[count++] = (*s)->metrics[i].name;
    for (size_t i = 0; i < (*s)->n_claims && count < MOST_NAMES - 64; i++)
      names[count++] = (*s)->claims[i]->id;
  }
  for (size_t i = 0; tb_catalogue_at(i, &entry) && count < MOST_NAMES; i++)
    names[count++] = entry.name;
  return tb_suggest(word, names, count);
}

static tb_status explain(cli *c) {
  explanation e = { .cli = c, .name = c->words[0] };
  tb_catalogue_entry entry;
  for (const tb_study *const *s = tb_studies(); *s; s++)
    explain_in(&e, s);
  for (const tb_study *const *q = tb_questions(); *q; q++)
    explain_in(&e, q);
  for (size_t i = 0; tb_catalogue_at(i, &entry); i++)
    if (strcmp(entry.name, e.name) == 0)
      explain_entry(&e, &entry);
  if (e.found)
    return TB_OK;
  const char *near = nearest(c, e.name);
  return arguments_fail(c, 0,
                        near ? tb_arena_format(c->arena, "did you mean '%s'?", near)
                             : "`tiebreak studies` lists the studies, `tiebreak explain STUDY` what belongs to one",
                        "nothing is called '%s'", e.name);
}

const verb verb_explain = {
  .name = "explain",
  .usage = "NAME",
  .summary = "any study, option, metric, claim, method, model, sampler or target: meaning, type, range, default, "
             "formula, source",
  .details = "",
  .least = 1,
  .most = 1,
  .run = explain,
};

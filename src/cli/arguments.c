/* Reading the command line: a verb, flags anywhere, words.  Mistakes point into the line as it was typed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

const flag flags[] = {
  { "--json", NULL, "one line of JSON per result on stdout, nothing else there", 0 },
  { "--quiet", NULL, "no talk on stderr but errors", 0 },
  { "--help", NULL, "this text, before anything is validated", 0 },
  { "--threads", "N", "threads to use (default or 0: all cores); results do not depend on it", FLAG_THREADS },
  { "--out", "PATH", "where to write: the folder of runs, or the file", FLAG_OUT },
  { "--runs", "DIR", "folder of runs (default: runs)", FLAG_RUNS },
  { "--dry-run", NULL, "resolved options with their origins, number of runs, estimated cost; nothing is run",
    FLAG_DRY_RUN },
  { "--strict", NULL, "exit with 1 when a claim fails", FLAG_STRICT },
  { "--quick", NULL, "small sizes, minutes on two cores (default)", FLAG_LEVEL },
  { "--full", NULL, "the published sizes", FLAG_LEVEL },
  { "--pdf", NULL, "also a PDF of every figure", FLAG_PDF },
  { "--plot", NULL, "also the figures as text, as wide as the terminal", FLAG_PLOT },
  { "--format", "NAME", "csv or npz", FLAG_FORMAT },
  { "--report", "FILE", "where to write the report (default: report.html)", FLAG_REPORT },
  { "--steps", "N", "timed steps (default: enough for a steady median)", FLAG_STEPS },
  { "--next", "PREFIX", "law of the symbol after a prefix; as often as you like", FLAG_LANGUAGE },
  { "--check", NULL, "compare the gradient with central differences; exit 1 where they differ", FLAG_DENSITY },
  { "--check", "STRING", "probability and rules of a string; as often as you like", FLAG_LANGUAGE },
  { "--prompts", NULL, "the prompts in and out of distribution", FLAG_LANGUAGE },
  { "--sample", "COUNT", "strings drawn by the seed", FLAG_LANGUAGE },
  { "--loss", "NATS", "excess and bound on ungrammatical mass of a model's loss", FLAG_LANGUAGE },
  { "--name", "NAME", "name of the run's folder (default: the study's name and a counter)", FLAG_RUNNING },
  { "--time-limit", "SECONDS", "stop after so long, with checkpoints (exit code 75)", FLAG_RUNNING },
  { "--checkpoint-every", "SECONDS", "time between checkpoints of a run (default: 2)", FLAG_RUNNING },
};
const size_t n_flags = sizeof flags / sizeof *flags;

/* ---- the line as typed ---- */

static bool plain(const char *word) {
  return *word && !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-=,:@%")];
}

/* Joins argv with blanks, quoted where a shell would need it; columns[i] is where argv[i] begins (1-based). */
static const char *join(cli *c, int argc, char **argv, size_t *columns) {
  tb_text text = tb_text_new(c->context);
  for (int i = 0; i < argc; i++) {
    const char *word = i == 0 ? "tiebreak" : argv[i];
    bool bare = plain(word);
    tb_text_add(&text, i ? " " : "");
    columns[i] = text.length + 1 + !bare;
    tb_text_format(&text, bare ? "%s" : "'%s'", word);
  }
  const char *joined = tb_text_finish(&text) ? NULL : tb_arena_text(c->arena, text.data);
  tb_text_free(&text);
  return joined ? joined : "";
}

tb_status arguments_fail_at(cli *c, size_t column, const char *hint, const char *message) {
  tb_fail(c->context, TB_USAGE, "", hint, "%s", message);
  tb_fail_excerpt(c->context, c->typed, column);
  return TB_USAGE;
}

tb_status arguments_fail(cli *c, size_t word, const char *hint, const char *format, ...) {
  char message[1000];
  va_list list;
  va_start(list, format);
  vsnprintf(message, sizeof message, format, list);
  va_end(list);
  return arguments_fail_at(c, word < c->n_words ? c->columns[word] : strlen(c->typed) + 2, hint, message);
}

/* ---- flags ---- */

/* The verb's own flag of that name, else another verb's, else NULL. */
static const flag *flag_find(const verb *v, const char *word, size_t length) {
  const flag *found = NULL;
  for (size_t i = 0; i < n_flags; i++)
    if (strlen(flags[i].name) == length && strncmp(flags[i].name, word, length) == 0)
      if (!found || (v && (v->flags & flags[i].bit)))
        found = &flags[i];
  return found;
}

static tb_status unknown_flag(cli *c, const char *word, size_t length, size_t column) {
  const char *names[32], *name = tb_arena_format(c->arena, "%.*s", (int)length, word);
  char hint[100], message[300];
  for (size_t i = 0; i < n_flags; i++)
    names[i] = flags[i].name;
  const char *near = name ? tb_suggest(name, names, n_flags) : NULL;
  snprintf(message, sizeof message, "unknown flag '%.200s'", name ? name : "");
  if (near)
    snprintf(hint, sizeof hint, "did you mean '%s'?", near);
  else
    snprintf(hint, sizeof hint, "`tiebreak --help` lists verbs, `tiebreak VERB --help` the flags of one");
  return arguments_fail_at(c, column, hint, message);
}

static bool read_number(const char *text, double *value) {
  char *end;
  *value = strtod(text, &end);
  return end != text && *end == 0 && isfinite(*value);
}

/* The flags of `tiebreak language`; strings may be empty. */
static tb_status set_language(cli *c, const flag *f, const char *value, size_t column) {
  char message[300];
  double number;
  if (strcmp(f->name, "--next") == 0 || strcmp(f->name, "--check") == 0) {
    c->asked[c->n_asked++] = (struct asked){ f->name[2] == 'c', value, column };
    return TB_OK;
  }
  bool count = strcmp(f->name, "--sample") == 0;
  if (!read_number(value, &number) || (count && (number < 1 || number > 1e6 || number != floor(number)))) {
    snprintf(message, sizeof message, "%s %.100s: expected %s", f->name, value,
             count ? "a whole number from 1 to 1000000" : "a number");
    return arguments_fail_at(c, column, NULL, message);
  }
  if (count) {
    c->samples = (long)number;
  } else {
    c->loss = number;
    c->has_loss = true;
  }
  return TB_OK;
}

/* Stores the value of a flag that takes one. */
static tb_status set_value(cli *c, const flag *f, const char *value, size_t column) {
  char message[300];
  double number = 0;
  if (f->bit == FLAG_LANGUAGE)
    return set_language(c, f, value, column);
  bool numeric = strcmp(f->argument, "N") == 0 || strcmp(f->argument, "SECONDS") == 0;
  if (!*value || (numeric && (!read_number(value, &number) || number < 0))) {
    snprintf(message, sizeof message, "%s %.100s: expected %s", f->name, value,
             numeric ? "a number, 0 or more" : "a name");
    return arguments_fail_at(c, column, NULL, message);
  }
  if (strcmp(f->argument, "N") == 0) {
    long most = strcmp(f->name, "--threads") == 0 ? 4096 : 1000000000;
    if (number != floor(number) || number > (double)most) {
      snprintf(message, sizeof message, "%s %.100s: expected a whole number of at most %ld", f->name, value, most);
      return arguments_fail_at(c, column, NULL, message);
    }
    *(strcmp(f->name, "--threads") == 0 ? &c->threads : &c->steps) = (long)number;
  } else if (strcmp(f->name, "--time-limit") == 0) {
    c->time_limit = number;
  } else if (strcmp(f->name, "--checkpoint-every") == 0) {
    c->checkpoint_every = number;
  } else {
    const struct {
      const char *name;
      const char **field;
    } texts[] = { { "--out", &c->out },
                  { "--runs", &c->runs },
                  { "--format", &c->format },
                  { "--name", &c->name },
                  { "--report", &c->report } };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
      if (strcmp(f->name, texts[i].name) == 0)
        *texts[i].field = value;
  }
  return TB_OK;
}

static void set_switch(cli *c, const flag *f) {
  const struct {
    const char *name;
    bool *field;
  } switches[] = { { "--json", &c->json },       { "--quiet", &c->quiet },   { "--help", &c->help },
                   { "--dry-run", &c->dry_run }, { "--strict", &c->strict }, { "--quick", &c->quick },
                   { "--full", &c->full },       { "--pdf", &c->pdf },       { "--plot", &c->plot },
                   { "--prompts", &c->prompts }, { "--check", &c->check } };
  for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
    if (strcmp(f->name, switches[i].name) == 0)
      *switches[i].field = true;
}

/* Reads the flag at argv[*i] (and its value behind `=` or in the next word). */
static tb_status read_flag(cli *c, int argc, char **argv, int *i, const size_t *columns) {
  const char *word = argv[*i], *equals = strchr(word, '=');
  size_t length = equals ? (size_t)(equals - word) : strlen(word), column = columns[*i];
  const flag *f = flag_find(c->verb, word, length);
  char message[300];
  if (strcmp(word, "-h") == 0 || strcmp(word, "--version") == 0 || strcmp(word, "-q") == 0) {
    *(word[1] == 'h' ? &c->help : word[1] == 'q' ? &c->quiet : &c->version) = true;
    return TB_OK;
  }
  if (!f)
    return unknown_flag(c, word, length, column);
  if (c->verb && f->bit && !(c->verb->flags & f->bit)) {
    snprintf(message, sizeof message, "`tiebreak %s` does not take %s", c->verb->name, f->name);
    return arguments_fail_at(c, column, NULL, message);
  }
  if (!f->argument && equals) {
    snprintf(message, sizeof message, "%s takes no value", f->name);
    return arguments_fail_at(c, column + length, NULL, message);
  }
  if (!f->argument) {
    set_switch(c, f);
    return TB_OK;
  }
  if (equals)
    return set_value(c, f, equals + 1, column + length + 1);
  if (*i + 1 >= argc) {
    snprintf(message, sizeof message, "%s needs a value: %s %s", f->name, f->name, f->argument);
    return arguments_fail_at(c, column + length + 1, NULL, message);
  }
  ++*i;
  return set_value(c, f, argv[*i], columns[*i]);
}

/* ---- verbs and words ---- */

static tb_status unknown_verb(cli *c, const char *word, size_t column) {
  const char *names[64];
  char hint[100], message[300];
  size_t count = 0;
  for (const verb *const *v = verbs; *v && count < 64; v++)
    names[count++] = (*v)->name;
  const char *near = tb_suggest(word, names, count);
  if (near)
    snprintf(hint, sizeof hint, "did you mean '%s'?", near);
  else
    snprintf(hint, sizeof hint, "`tiebreak --help` lists the verbs");
  snprintf(message, sizeof message, "unknown verb '%.200s'", word);
  return arguments_fail_at(c, column, hint, message);
}

static tb_status check_count(cli *c) {
  const verb *v = c->verb;
  char hint[300];
  snprintf(hint, sizeof hint, "usage: tiebreak %s %s", v->name, v->usage);
  if (c->n_words < v->least)
    return arguments_fail(c, c->n_words, hint, "`tiebreak %s` needs more: %s", v->name, v->usage);
  if (c->n_words > v->most)
    return arguments_fail(c, v->most, hint, "`tiebreak %s` does not know what to do with '%s'", v->name,
                          c->words[v->most]);
  return TB_OK;
}

tb_status arguments_read(cli *c, int argc, char **argv) {
  size_t *columns = tb_arena_allocate(c->arena, (size_t)argc + 1, sizeof *columns);
  c->words = tb_arena_allocate(c->arena, (size_t)argc + 1, sizeof *c->words);
  c->columns = tb_arena_allocate(c->arena, (size_t)argc + 1, sizeof *c->columns);
  c->asked = tb_arena_allocate(c->arena, (size_t)argc + 1, sizeof *c->asked);
  if (!columns || !c->words || !c->columns || !c->asked)
    return TB_NO_MEMORY;
  c->typed = join(c, argc, argv, columns);
  int first = 1; /* the verb is the first word that is no flag; flags of one word may stand before it */
  while (first < argc && argv[first][0] == '-')
    first++;
  if (first < argc && strcmp(argv[first], "help") == 0) { /* `tiebreak help run` */
    c->help = true;
    first++;
  }
  for (int i = 1; i < argc; i++)
    c->help |= strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
  if (first < argc)
    c->verb = verb_find(argv[first]);
  tb_status status = TB_OK, found;
  for (int i = 1; i < argc; i++) {
    if (i == first || (c->help && strcmp(argv[i], "help") == 0))
      continue;
    if (argv[i][0] == '-' && argv[i][1] && strchr("-hq", argv[i][1])) {
      found = read_flag(c, argc, argv, &i, columns);
      status = status ? status : found;
      if (found && !c->help)
        return found;
      continue;
    }
    c->words[c->n_words] = argv[i];
    c->columns[c->n_words++] = columns[i];
  }
  if (c->help || c->version)
    return status;
  if (first >= argc)
    return arguments_fail_at(c, strlen(c->typed) + 2, "`tiebreak --help` lists the verbs", "what shall be done?");
  if (!c->verb)
    return unknown_verb(c, argv[first], columns[first]);
  if (c->quick && c->full)
    return arguments_fail_at(c, 0, NULL, "--quick and --full exclude each other");
  return check_count(c);
}

tb_status arguments_overrides(cli *c, size_t first, size_t *count, tb_assignment **overrides) {
  *count = 0;
  *overrides = tb_arena_allocate(c->arena, c->n_words + 1, sizeof **overrides);
  if (!*overrides)
    return TB_NO_MEMORY;
  for (size_t i = first; i < c->n_words; i++) {
    const char *equals = strchr(c->words[i], '=');
    if (!equals || equals == c->words[i])
      return arguments_fail(c, i, "options are given as key=value, without blanks around the =",
                            "expected key=value, found '%s'", c->words[i]);
    size_t length = (size_t)(equals - c->words[i]);
    const char *key = tb_arena_format(c->arena, "%.*s", (int)length, c->words[i]);
    if (!key)
      return TB_NO_MEMORY;
    (*overrides)[(*count)++] = (tb_assignment){ .key = key,
                                                .text = equals + 1,
                                                .origin = "command line",
                                                .excerpt = c->typed,
                                                .key_column = c->columns[i],
                                                .value_column = c->columns[i] + length + 1 };
  }
  return TB_OK;
}

const char *cli_runs_folder(const cli *c) {
  bool out_is_file = c->verb == &verb_report || c->verb == &verb_export || c->verb == &verb_bench;
  return c->runs ? c->runs : c->out && !out_is_file ? c->out : "runs";
}

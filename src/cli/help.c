/* Help, made from the records of verbs, flags and studies. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static void print_flags(cli *c, int bits, bool own) {
  table t = table_new(c, 2);
  for (size_t i = 0; i < n_flags; i++) {
    if (flags[i].bit ? !(flags[i].bit & bits) : own)
      continue;
    table_row(&t);
    table_cell(&t, 0, COLOUR_BOLD, "%s%s%s", flags[i].name, flags[i].argument ? " " : "",
               flags[i].argument ? flags[i].argument : "");
    table_cell(&t, 1, COLOUR_NONE, "%s", flags[i].summary);
  }
  table_print(&t, stdout, "  ");
}

static void print_program(cli *c) {
  printf("tiebreak: when many solutions fit equally well, which one do you get, and how do they differ?\n\n"
         "usage: tiebreak VERB [WORD…] [FLAG…]\n\nverbs\n");
  table t = table_new(c, 2);
  for (const verb *const *v = verbs; *v; v++) {
    table_row(&t);
    table_cell(&t, 0, COLOUR_BOLD, "%s %s", (*v)->name, (*v)->usage);
    table_cell(&t, 1, COLOUR_NONE, "%s", (*v)->summary);
  }
  table_print(&t, stdout, "  ");
  printf("\nflags of every verb\n");
  print_flags(c, 0, false);
  printf("\n`tiebreak VERB --help` says more of a verb, `tiebreak run STUDY --help` of a study's options,\n"
         "`tiebreak explain NAME` of any study, option, metric, claim or method.\n\n"
         "exit codes: 0 done, 1 a run failed, 2 usage, 3 bad data, 4 out of memory or disk, 75 and 130 stopped\n"
         "by SIGTERM (or a time limit) and SIGINT with checkpoints: `tiebreak resume` continues\n");
}

static void print_options(cli *c, const tb_study *study) {
  for (size_t i = 0; i < study->n_tables; i++) {
    const tb_option_table *options = study->tables[i];
    printf("\n%s options\n", options->title);
    table t = table_new(c, 2);
    for (size_t k = 0; k < options->count; k++) {
      const tb_option *o = &options->options[k];
      table_row(&t);
      table_cell(&t, 0, COLOUR_BOLD, "%s=%s", o->name, o->fallback && *o->fallback ? o->fallback : "…");
      table_cell(&t, 1, COLOUR_NONE, "%s%s%s%s", o->summary, o->choices ? " (" : "", o->choices ? o->choices : "",
                 o->choices ? ")" : "");
    }
    table_print(&t, stdout, "  ");
  }
}

void help_print(const cli *constant) {
  cli *c = (cli *)constant; /* tables live in its arena */
  const verb *v = c->verb;
  if (!v) {
    print_program(c);
    return;
  }
  printf("usage: tiebreak %s %s\n\n%s\n", v->name, v->usage, v->summary);
  if (*v->details)
    printf("\n%s\n", v->details);
  printf("\nflags\n");
  print_flags(c, v->flags, false);
  const tb_study *study = v == &verb_run && c->n_words ? tb_study_find(c->words[0]) : NULL;
  if (study) {
    printf("\n%s: %s\n", study->name, study->summary);
    print_options(c, study);
  }
}

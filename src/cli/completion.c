/* tiebreak completion bash: a completion script made from the records, for `source <(tiebreak completion bash)`. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static void print_options(const tb_study *study) {
  for (size_t t = 0; t < study->n_tables; t++)
    for (size_t i = 0; i < study->tables[t]->count; i++) {
      const tb_option *o = &study->tables[t]->options[i];
      printf(" %s=", o->name);
      for (const char *choice = o->choices; choice && *choice;) {
        size_t n = strcspn(choice, "|");
        printf(" %s=%.*s", o->name, (int)n, choice);
        choice += n + (choice[n] == '|');
      }
    }
}

static tb_status completion(cli *c) {
  if (strcmp(c->words[0], "bash") != 0)
    return arguments_fail(c, 0, "`tiebreak completion bash` is there", "no completion for '%s'", c->words[0]);
  printf("_tiebreak() {\n  local words\n  case \"$COMP_CWORD:${COMP_WORDS[1]}\" in\n    1:*) words=\"");
  for (const verb *const *v = verbs; *v; v++)
    printf("%s ", (*v)->name);
  printf("\" ;;\n    2:run) words=\"");
  for (const tb_study *const *s = tb_studies(); *s; s++)
    printf("%s ", (*s)->name);
  printf("\" ;;\n    *:show|*:compare|*:resume|*:export|*:report) words=\"$(ls runs 2>/dev/null)\" ;;\n    *) "
         "words=\"\" ;;\n"
         "  esac\n  case \"${COMP_WORDS[1]}:${COMP_WORDS[2]}\" in\n");
  for (const tb_study *const *s = tb_studies(); *s; s++) {
    printf("    run:%s) words=\"$words", (*s)->name);
    print_options(*s);
    printf("\" ;;\n");
  }
  printf("  esac\n  words=\"$words");
  for (size_t i = 0; i < n_flags; i++)
    printf(" %s", flags[i].name);
  printf("\"\n  COMPREPLY=($(compgen -f -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\n"
         "complete -o nospace -F _tiebreak tiebreak\n");
  return TB_OK;
}

const verb verb_completion = {
  .name = "completion",
  .usage = "bash",
  .summary = "a completion script for the shell: source <(tiebreak completion bash)",
  .details = "",
  .least = 1,
  .most = 1,
  .run = completion,
};

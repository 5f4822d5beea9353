/* tiebreak studies: what can be run, a line each, by laboratory. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static tb_status print_json(cli *c) {
  for (const tb_study *const *s = tb_studies(); *s; s++) {
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:I}", "study", (*s)->name, "laboratory", (*s)->laboratory,
                               "summary", (*s)->summary, "paper", (*s)->paper, "claims", (json_int_t)(*s)->n_claims);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (!text)
      return tb_fail(c->context, TB_NO_MEMORY, "", NULL, "out of memory");
    puts(text);
    free(text);
  }
  return TB_OK;
}

static tb_status studies(cli *c) {
  if (c->json)
    return print_json(c);
  const tb_study *const *all = tb_studies();
  for (size_t i = 0; all[i]; i++) {
    bool first = true;
    for (size_t k = 0; k < i; k++)
      first &= strcmp(all[k]->laboratory, all[i]->laboratory) != 0;
    if (!first)
      continue;
    printf("%s%s%s\n", colour_on(stdout, COLOUR_BOLD), all[i]->laboratory, colour_off(stdout));
    table t = table_new(c, 2);
    for (size_t k = i; all[k]; k++) {
      if (strcmp(all[k]->laboratory, all[i]->laboratory) != 0)
        continue;
      table_row(&t);
      table_cell(&t, 0, COLOUR_NONE, "%s", all[k]->name);
      table_cell(&t, 1, COLOUR_NONE, "%s", all[k]->summary);
    }
    tb_status status = table_print(&t, stdout, "  ");
    if (status)
      return status;
  }
  return TB_OK;
}

const verb verb_studies = {
  .name = "studies",
  .usage = "",
  .summary = "what can be run, a line each, by laboratory",
  .details = "",
  .most = 0,
  .run = studies,
};

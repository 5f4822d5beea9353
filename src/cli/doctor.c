/* tiebreak doctor: the machine, the libraries, the kernels chosen, and self-tests that take seconds. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static tb_status print_facts(cli *c, json_t *object) {
  size_t count;
  tb_fact *facts;
  tb_status status = tb_machine_facts(c->context, c->arena, &count, &facts);
  if (status)
    return status;
  table t = table_new(c, 3);
  for (size_t i = 0; i < count; i++) {
    bool first = i == 0 || strcmp(facts[i].topic, facts[i - 1].topic) != 0;
    table_row(&t);
    table_cell(&t, 0, COLOUR_BOLD, "%s", first ? facts[i].topic : "");
    table_cell(&t, 1, COLOUR_NONE, "%s", facts[i].name);
    table_cell(&t, 2, COLOUR_NONE, "%s", facts[i].value);
    json_object_set_new(object, facts[i].name, json_string(facts[i].value));
  }
  return c->json ? TB_OK : table_print(&t, stdout, "");
}

static size_t run_tests(cli *c, json_t *results) {
  size_t count, failures = 0;
  const tb_self_test *tests = tb_self_tests(&count);
  char error_text[40], most_text[40];
  table t = table_new(c, 4);
  for (size_t i = 0; i < count; i++) {
    double error = NAN, most = 0, begun = tb_clock_seconds();
    tb_status status = tests[i].run(c->context, &error, &most);
    bool good = !status && error <= most;
    failures += !good;
    table_row(&t);
    table_cell(&t, 0, COLOUR_BOLD, "%s", i ? "" : "self-tests");
    table_cell(&t, 1, good ? COLOUR_GREEN : COLOUR_RED, "%s", good ? "good" : "bad");
    table_cell(&t, 2, COLOUR_NONE, "%s", tests[i].name);
    if (status)
      table_cell(&t, 3, COLOUR_NONE, "%s", tb_context_message(c->context));
    else
      table_cell(&t, 3, COLOUR_NONE, "%s: error %s, at most %s, %.2g s", tests[i].what,
                 readable_number(error, error_text), readable_number(most, most_text), tb_clock_seconds() - begun);
    json_array_append_new(results, json_pack("{s:s, s:b, s:o, s:f}", "test", tests[i].name, "good", good, "error",
                                             isfinite(error) ? json_real(error) : json_null(), "most", most));
  }
  if (!c->json)
    table_print(&t, stdout, "");
  return failures;
}

static tb_status doctor(cli *c) {
  json_t *object = json_object(), *results = json_array();
  tb_status status = print_facts(c, object);
  size_t failures = status ? 0 : run_tests(c, results);
  json_object_set_new(object, "tests", results);
  char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(17));
  if (!status && c->json && text)
    puts(text);
  free(text);
  json_decref(object);
  if (!status && failures)
    status = tb_fail(c->context, TB_FAILED, "", "results of this program on this machine cannot be trusted",
                     "%zu self-test%s failed", failures, failures == 1 ? "" : "s");
  return status;
}

const verb verb_doctor = {
  .name = "doctor",
  .usage = "",
  .summary = "machine, libraries, kernels chosen, self-tests that take seconds",
  .details = "",
  .run = doctor,
};

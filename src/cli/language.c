/* tiebreak language NAME|FILE: exact facts of a language, and what it says of prefixes, strings and prompts.
 *
 * One tree of JSON holds the answer; --json prints it as a line, else it is laid out as tables. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

typedef struct question {
  cli *c;
  tb_language *language;
  size_t max_length, prompt_length;
  uint64_t seed;
  json_t *answer;
} question;

static tb_status exhausted(cli *c) {
  return tb_fail(c->context, TB_NO_MEMORY, "", NULL, "out of memory");
}

/* ---- options ---- */

static tb_status read_option(question *q, const tb_assignment *a) {
  static const char *const names[] = { "max_length", "prompt_length", "seed" };
  unsigned long long value = 0;
  char *end = NULL, message[200], hint[100];
  size_t k = 0;
  while (k < 3 && strcmp(names[k], a->key) != 0)
    k++;
  if (k == 3) {
    const char *near = tb_suggest(a->key, names, 3);
    snprintf(message, sizeof message, "unknown option '%.100s'", a->key);
    if (near)
      snprintf(hint, sizeof hint, "did you mean '%s'?", near);
    else
      snprintf(hint, sizeof hint, "known are max_length, prompt_length and seed");
    return arguments_fail_at(q->c, a->key_column, hint, message);
  }
  errno = 0;
  if (a->text[0] >= '0' && a->text[0] <= '9')
    value = strtoull(a->text, &end, 10);
  if (!end || *end || errno || (k < 2 && (value < 1 || value > 100000))) {
    snprintf(message, sizeof message, "%s=%.100s: expected a whole number%s", a->key, a->text,
             k < 2 ? " from 1 to 100000" : ", 0 or more");
    return arguments_fail_at(q->c, a->value_column, NULL, message);
  }
  if (k == 2)
    q->seed = value;
  else
    *(k ? &q->prompt_length : &q->max_length) = (size_t)value;
  return TB_OK;
}

static tb_status read_options(question *q) {
  size_t count;
  tb_assignment *overrides;
  tb_status status = arguments_overrides(q->c, 1, &count, &overrides);
  for (size_t i = 0; i < count && !status; i++)
    status = read_option(q, &overrides[i]);
  return status;
}

/* ---- the answer ---- */

static json_t *real(double value) {
  return isfinite(value) ? json_real(value) : isnan(value) ? json_null() : json_string(value > 0 ? "inf" : "-inf");
}

/* Whole numbers below 2^53 as such. */
static json_t *number(double value) {
  return fabs(value) < 9007199254740992.0 && value == floor(value) ? json_integer((json_int_t)value) : real(value);
}

static json_t *text(question *q, size_t count, const uint16_t *symbols) {
  const char *string = tb_language_text(q->c->arena, q->language, count, symbols);
  return string ? json_string(string) : NULL;
}

static tb_status add_facts(question *q, json_t *metrics) {
  tb_language_facts f;
  tb_status status = tb_language_measure(q->c->context, q->language, &f);
  if (status)
    return status;
  json_object_set_new(metrics, "entropy", real(f.entropy));
  json_object_set_new(metrics, "mean_length", real(f.mean_length));
  json_object_set_new(metrics, "strings", number(f.strings));
  json_object_set_new(metrics, "positions", number(f.positions));
  json_object_set_new(metrics, "optimal_loss", real(f.optimal_loss));
  json_object_set_new(metrics, "optimal_accuracy", real(f.optimal_accuracy));
  if (q->c->has_loss) {
    json_object_set_new(metrics, "excess_loss", real(q->c->loss - f.optimal_loss));
    json_object_set_new(metrics, "ungrammatical_mass_bound", real(tb_language_mass_bound(&f, q->c->loss)));
  }
  if (f.reason)
    json_object_set_new(q->answer, "reason", json_string(f.reason));
  return TB_OK;
}

static void add_baselines(question *q, json_t *metrics, size_t count, const tb_prompt *prompts) {
  static const char *const sets[] = { "id", "ood" };
  tb_baselines b[2];
  char name[60];
  for (int s = 0; s < 2; s++) {
    tb_language_baselines(q->language, count, prompts, s == 0, &b[s]);
    snprintf(name, sizeof name, "prompts.%s", sets[s]);
    json_object_set_new(metrics, name, json_integer((json_int_t)b[s].prompts));
  }
  if (tb_language_rule_find(q->language, "r1") != SIZE_MAX)
    for (int s = 0; s < 2; s++) {
      const struct {
        const char *strategy;
        double value;
      } values[] = { { "eos_now", b[s].eos_now_r1 },
                     { "append_to_balance", b[s].append_to_balance_r1 },
                     { "chance", b[s].chance_r1 } };
      for (size_t k = 0; k < 3; k++) {
        snprintf(name, sizeof name, "%s.%s.r1", values[k].strategy, sets[s]);
        json_object_set_new(metrics, name, real(values[k].value));
      }
    }
  if (tb_language_rule_find(q->language, "r2") != SIZE_MAX)
    json_object_set_new(metrics, "chance.r2_completion", real(tb_language_chance_completion(q->language)));
}

static tb_status add_prompts(question *q, size_t count, const tb_prompt *prompts) {
  json_t *list = json_array();
  json_object_set_new(q->answer, "prompts", list);
  for (size_t i = 0; i < count; i++) {
    const tb_prompt *p = &prompts[i];
    json_t *broken = json_array(), *item = json_object();
    tb_answer satisfiable;
    tb_status status = tb_rules_satisfiable(q->c->context, q->language, p->count, p->symbols, &satisfiable);
    if (status)
      return status;
    for (size_t r = 0; r < tb_language_rules(q->language); r++)
      if (tb_rule_broken(q->language, r, p->count, p->symbols))
        json_array_append_new(broken, json_string(tb_language_rule(q->language, r)));
    json_object_set_new(item, "text", text(q, p->count, p->symbols));
    json_object_set_new(item, "set", json_string(p->id ? "id" : "ood"));
    json_object_set_new(item, "broken", broken);
    json_object_set_new(item, "satisfiable",
                        satisfiable == TB_UNKNOWN ? json_null() : json_boolean(satisfiable == TB_YES));
    if (json_array_append_new(list, item))
      return exhausted(q->c);
  }
  return TB_OK;
}

/* The walk stands behind the symbols. */
static json_t *next_of(question *q, tb_walk *walk) {
  const double *law = tb_walk_law(walk);
  json_t *symbols = law ? json_object() : json_null();
  for (size_t a = 0; law && a <= tb_language_symbols(q->language); a++)
    json_object_set_new(symbols, tb_language_symbol(q->language, a), real(law[a]));
  return symbols;
}

static json_t *rules_of(question *q, size_t count, const uint16_t *symbols) {
  json_t *rules = json_object();
  for (size_t r = 0; r < tb_language_rules(q->language); r++)
    json_object_set_new(rules, tb_language_rule(q->language, r),
                        json_boolean(tb_rule_holds(q->language, r, count, symbols)));
  return rules;
}

static tb_status add_asked(question *q, const struct asked *asked) {
  const char *list = asked->check ? "check" : "next";
  size_t count, fault = 0;
  uint16_t *symbols;
  tb_walk *walk;
  tb_status status = tb_language_read(q->c->context, q->c->arena, q->language, asked->text, &count, &symbols, &fault);
  if (status == TB_USAGE)
    tb_fail_excerpt(q->c->context, q->c->typed, asked->column + fault);
  if (status)
    return status;
  status = tb_walk_new(q->c->context, q->language, &walk);
  for (size_t i = 0; i < count && !status; i++)
    status = tb_walk_push(walk, symbols[i]);
  if (!status) {
    json_t *item = json_object(), *items = json_object_get(q->answer, list);
    double log_probability = tb_walk_log_probability(walk);
    json_object_set_new(item, asked->check ? "string" : "prefix", text(q, count, symbols));
    if (asked->check) {
      const double *law = tb_walk_law(walk);
      log_probability = law ? log_probability + log(law[tb_language_symbols(q->language)]) : -INFINITY;
      json_object_set_new(item, "probability", real(exp(log_probability)));
      json_object_set_new(item, "log_probability", real(log_probability));
      json_object_set_new(item, "in_language", json_boolean(!isinf(log_probability)));
      json_object_set_new(item, "rules", rules_of(q, count, symbols));
    } else {
      json_object_set_new(item, "probability", real(exp(log_probability)));
      json_object_set_new(item, "law", next_of(q, walk));
    }
    if (!items)
      json_object_set_new(q->answer, list, items = json_array());
    status = json_array_append_new(items, item) ? exhausted(q->c) : TB_OK;
  }
  tb_walk_free(walk);
  return status;
}

static tb_status add_samples(question *q) {
  json_t *list = json_array();
  json_object_set_new(q->answer, "samples", list);
  for (long i = 0; i < q->c->samples; i++) {
    tb_arena *arena = tb_arena_new(q->c->context);
    size_t count;
    uint16_t *symbols;
    tb_status status =
        arena ? tb_language_sample(q->c->context, arena, q->language, q->seed, (uint64_t)i, &count, &symbols)
              : TB_NO_MEMORY;
    const char *string = status ? NULL : tb_language_text(arena, q->language, count, symbols);
    if (!status && (!string || json_array_append_new(list, json_string(string))))
      status = exhausted(q->c);
    tb_arena_free(arena);
    if (status)
      return status;
  }
  return TB_OK;
}

static tb_status answer(question *q) {
  size_t count;
  tb_prompt *prompts;
  json_t *alphabet = json_array(), *metrics = json_object();
  q->answer = json_object();
  if (!q->answer || !alphabet || !metrics)
    return exhausted(q->c);
  json_object_set_new(q->answer, "language", json_string(tb_language_name(q->language)));
  json_object_set_new(q->answer, "alphabet", alphabet);
  json_object_set_new(q->answer, "max_length",
                      tb_language_max_length(q->language) ? number((double)tb_language_max_length(q->language))
                                                          : json_null());
  json_object_set_new(q->answer, "metrics", metrics);
  for (size_t a = 0; a < tb_language_symbols(q->language); a++)
    json_array_append_new(alphabet, json_string(tb_language_symbol(q->language, a)));
  tb_status status = TB_OK;
  for (size_t i = 0; i < q->c->n_asked && !status; i++)
    status = add_asked(q, &q->c->asked[i]);
  if (!status)
    status = tb_language_prompts(q->c->context, q->c->arena, q->language, q->prompt_length, q->seed, &count, &prompts);
  if (!status)
    status = add_facts(q, metrics);
  if (!status) {
    add_baselines(q, metrics, count, prompts);
    if (q->c->prompts)
      status = add_prompts(q, count, prompts);
  }
  if (!status && q->c->samples)
    status = add_samples(q);
  return status;
}

/* ---- printing ---- */

static tb_status print_json(question *q) {
  char *line = json_dumps(q->answer, JSON_COMPACT | JSON_REAL_PRECISION(17));
  if (!line)
    return exhausted(q->c);
  puts(line);
  free(line);
  return TB_OK;
}

static const char *readable(const json_t *value, char buffer[40]) {
  if (json_is_string(value))
    return json_string_value(value);
  if (json_is_boolean(value))
    return json_is_true(value) ? "yes" : "no";
  if (json_is_null(value))
    return "–";
  if (json_is_integer(value)) {
    snprintf(buffer, 40, "%lld", (long long)json_integer_value(value));
    return buffer;
  }
  return readable_number(json_number_value(value), buffer);
}

/* "a 0.5  b 0.25" of an object, "r1, r2" of an array. */
static const char *joined(cli *c, json_t *value) {
  char buffer[40];
  const char *key;
  json_t *item;
  size_t i;
  tb_text text = tb_text_new(c->context);
  tb_text_add(&text, "");
  if (json_is_object(value))
    json_object_foreach(value, key, item)
        tb_text_format(&text, "%s%s %s", text.length ? "  " : "", key, readable(item, buffer));
  else if (json_is_array(value))
    json_array_foreach(value, i, item) tb_text_format(&text, "%s%s", i ? ", " : "", readable(item, buffer));
  else
    tb_text_add(&text, readable(value, buffer));
  const char *copy = tb_text_finish(&text) ? NULL : tb_arena_text(c->arena, text.data);
  tb_text_free(&text);
  return copy ? copy : "";
}

/* A list of objects as a table whose head is their keys; strings of symbols in quotes. */
static tb_status print_list(cli *c, const char *title, json_t *list) {
  json_t *first = json_array_get(list, 0), *item, *value;
  const char *key;
  size_t i, col;
  if (!first)
    return TB_OK;
  printf("%s\n", title);
  table t = table_new(c, json_is_object(first) ? json_object_size(first) : 1);
  if (json_is_object(first)) {
    col = 0;
    table_row(&t);
    json_object_foreach(first, key, value) table_cell(&t, col++, COLOUR_DIM, "%s", key);
  }
  json_array_foreach(list, i, item) {
    col = 0;
    table_row(&t);
    if (json_is_string(item))
      table_cell(&t, 0, COLOUR_NONE, "%s", *json_string_value(item) ? json_string_value(item) : "\"\"");
    json_object_foreach(item, key, value) {
      const char *cell = joined(c, value);
      table_cell(&t, col, COLOUR_NONE, "%s", *cell || col ? cell : "\"\"");
      col++;
    }
  }
  return table_print(&t, stdout, "  ");
}

static tb_status print_tables(question *q) {
  cli *c = q->c;
  const char *key;
  json_t *value;
  printf("%s%s%s  alphabet %s", colour_on(stdout, COLOUR_BOLD), tb_language_name(q->language), colour_off(stdout),
         joined(c, json_object_get(q->answer, "alphabet")));
  if (tb_language_max_length(q->language))
    printf(", at most %zu symbols\n", tb_language_max_length(q->language));
  else
    printf(", of any length\n");
  table t = table_new(c, 2);
  json_object_foreach(json_object_get(q->answer, "metrics"), key, value) {
    table_row(&t);
    table_cell(&t, 0, COLOUR_NONE, "%s", key);
    table_cell(&t, 1, COLOUR_NONE, "%s", joined(c, value));
  }
  tb_status status = table_print(&t, stdout, "  ");
  const char *lists[] = { "next", "check", "prompts", "samples" };
  for (size_t i = 0; i < 4 && !status; i++)
    status = print_list(c, lists[i], json_object_get(q->answer, lists[i]));
  if (!status && json_object_get(q->answer, "reason"))
    message_note(c, "–: %s", json_string_value(json_object_get(q->answer, "reason")));
  return status;
}

static tb_status language(cli *c) {
  question q = { .c = c };
  tb_status status = read_options(&q);
  if (!status)
    status = tb_language_open(c->context, c->words[0], q.max_length, &q.language);
  if (status == TB_USAGE && !*tb_context_excerpt(c->context))
    tb_fail_excerpt(c->context, c->typed, c->columns[0]);
  if (!status)
    status = answer(&q);
  if (!status)
    status = c->json ? print_json(&q) : print_tables(&q);
  json_decref(q.answer);
  tb_language_free(q.language);
  return status;
}

const verb verb_language = {
  .name = "language",
  .usage = "NAME|FILE [max_length=N] [prompt_length=N] [seed=N]",
  .summary = "exact facts of a formal language: entropy, optimal loss, prompts, chance and strategy baselines",
  .details = "NAME is L1 to L6, anbn, anbnan, abn or anbm; FILE is a language file (YAML).\n"
             "Symbols of one character are written together, others with blanks between; '' is the empty string.",
  .flags = FLAG_LANGUAGE,
  .least = 1,
  .most = 100,
  .run = language,
};

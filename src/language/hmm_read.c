/* Mixture files, strictly:
 *
 *   {"tokens": ["/", "a"], "delimiter": "/",
 *    "components": [{"weight": 1, "start": [S], "transition": [[S] × S], "emission": [[V] × S] or [token index × S]}]}
 *
 * Weights, starts and rows are probabilities that sum to 1; nothing is renormalised, so what is written is what is
 * computed with. */
#include "hmm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/json.h"

enum { MOST_STATES = 10000, MOST_TOKENS = 100000, MOST_DEPTH = 6 };

typedef struct reader {
  tb_context *context;
  const char *path, *text;
  size_t depth;
  tb_json_step steps[MOST_DEPTH]; /* where we are */
  tb_hmm *mixture;
} reader;

static void enter(reader *r, const char *key, size_t index) {
  r->steps[r->depth++] = (tb_json_step){ key, index };
}

static void leave(reader *r) {
  r->depth--;
}

/* "components[0].transition[2]", the name of where we are */
static const char *here(const reader *r, char name[200]) {
  size_t length = 0;
  name[0] = 0;
  for (size_t i = 0; i < r->depth && length < 150; i++)
    length += r->steps[i].key ? (size_t)snprintf(name + length, 200 - length, "%s%.40s", i ? "." : "", r->steps[i].key)
                              : (size_t)snprintf(name + length, 200 - length, "[%zu]", r->steps[i].index);
  return name;
}

static TB_PRINTF(3, 4) tb_status fail(const reader *r, const char *hint, const char *format, ...) {
  char message[600];
  va_list list;
  va_start(list, format);
  vsnprintf(message, sizeof message, format, list);
  va_end(list);
  return tb_json_fail(r->context, r->path, r->text, r->depth, r->steps, hint, message);
}

/* ---- pieces ---- */

/* Every key of the object is known and every known one is there. */
static tb_status check_keys(reader *r, const json_t *object, size_t count, const char *const *known) {
  char name[200], hint[100];
  const char *key;
  json_t *value;
  if (!json_is_object(object))
    return fail(r, NULL, "%s%sexpected an object", here(r, name), r->depth ? ": " : "");
  json_object_foreach((json_t *)object, key, value) {
    size_t k = 0;
    while (k < count && strcmp(known[k], key) != 0)
      k++;
    if (k < count)
      continue;
    const char *near = tb_suggest(key, known, count);
    snprintf(hint, sizeof hint, near ? "did you mean \"%s\"?" : "remove it", near);
    char text[60];
    snprintf(text, sizeof text, "%.50s", key);
    enter(r, text, 0);
    tb_status status = fail(r, hint, "a mixture file has no \"%s\" here", text);
    leave(r);
    return status;
  }
  for (size_t k = 0; k < count; k++)
    if (!json_object_get(object, known[k]))
      return fail(r, NULL, "%s%s\"%s\" is missing", here(r, name), r->depth ? ": " : "", known[k]);
  return TB_OK;
}

static tb_status check_array(reader *r, const json_t *array, size_t count, const char *what) {
  char name[200];
  if (!json_is_array(array))
    return fail(r, NULL, "%s: expected %s", here(r, name), what);
  if (count && json_array_size(array) != count)
    return fail(r, NULL, "%s has %zu entries, expected %zu (%s)", here(r, name), json_array_size(array), count, what);
  return TB_OK;
}

static tb_status probability(reader *r, const json_t *value, double *p) {
  char name[200];
  *p = json_is_number(value) ? json_number_value(value) : NAN;
  if (*p >= 0 && *p <= 1)
    return TB_OK;
  if (json_is_number(value))
    return fail(r, NULL, "%s is %.10g: a probability lies between 0 and 1", here(r, name), *p);
  return fail(r, NULL, "%s: expected a number from 0 to 1", here(r, name));
}

static tb_status check_sum(reader *r, double sum, const char *what) {
  char name[200];
  if (fabs(sum - 1) <= 1e-8)
    return TB_OK;
  return fail(r, "give enough digits: probabilities are used as they are written", "%s: %s sum to %.10g, not 1",
              here(r, name), what, sum);
}

/* law[count], from an array of probabilities */
static tb_status read_law(reader *r, const json_t *array, size_t count, const char *what, double *law) {
  double sum = 0;
  tb_status status = check_array(r, array, count, what);
  for (size_t i = 0; i < count && !status; i++) {
    enter(r, NULL, i);
    status = probability(r, json_array_get(array, i), &law[i]);
    leave(r);
    sum += law[i];
  }
  return status ? status : check_sum(r, sum, "the probabilities");
}

static tb_status read_matrix(reader *r, const json_t *array, size_t rows, size_t cols, const char *what,
                             double *matrix) {
  tb_status status = check_array(r, array, rows, what);
  for (size_t i = 0; i < rows && !status; i++) {
    enter(r, NULL, i);
    status = read_law(r, json_array_get(array, i), cols, what, matrix + i * cols);
    leave(r);
  }
  return status;
}

static tb_status read_token_indices(reader *r, const json_t *array, size_t states, uint32_t *token) {
  char name[200];
  tb_status status = check_array(r, array, states, "a token's index for each state");
  for (size_t i = 0; i < states && !status; i++) {
    const json_t *value = json_array_get(array, i);
    enter(r, NULL, i);
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) >= (json_int_t)r->mixture->n_tokens)
      status = fail(r, NULL, "%s: expected the index of a token, 0 to %zu", here(r, name), r->mixture->n_tokens - 1);
    else
      token[i] = (uint32_t)json_integer_value(value);
    leave(r);
  }
  return status;
}

/* ---- tokens ---- */

static tb_status read_token(reader *r, const json_t *value, size_t i) {
  char name[200];
  const char *text = json_string_value(value);
  if (!text || !*text || strpbrk(text, " \t\r\n"))
    return fail(r, NULL, "%s: a token is a text without blanks", here(r, name));
  for (size_t j = 0; j < i; j++)
    if (strcmp(r->mixture->tokens[j], text) == 0)
      return fail(r, NULL, "%s: token \"%.60s\" is given twice", here(r, name), text);
  r->mixture->tokens[i] = tb_arena_text(r->mixture->arena, text);
  return r->mixture->tokens[i] ? TB_OK : TB_NO_MEMORY;
}

static tb_status read_tokens(reader *r, const json_t *root) {
  const json_t *tokens = json_object_get(root, "tokens"), *delimiter = json_object_get(root, "delimiter");
  tb_status status = TB_OK;
  enter(r, "tokens", 0);
  for (size_t i = 0; i < r->mixture->n_tokens && !status; i++) {
    enter(r, NULL, i);
    status = read_token(r, json_array_get(tokens, i), i);
    leave(r);
  }
  leave(r);
  if (status)
    return status;
  const char *text = json_string_value(delimiter);
  r->mixture->delimiter = text ? tb_hmm_token(r->mixture, text, strlen(text)) : SIZE_MAX;
  if (r->mixture->delimiter == SIZE_MAX) {
    enter(r, "delimiter", 0);
    status = fail(r, "list it in `tokens`", "the delimiter is none of the tokens");
    leave(r);
  }
  return status;
}

/* ---- components ---- */

typedef struct arrays {
  double *start, *transition, *emission;
  uint32_t *token;
} arrays;

static tb_status read_emission(reader *r, const json_t *emission, size_t states, arrays *a) {
  const size_t V = r->mixture->n_tokens;
  tb_status status = check_array(r, emission, states, "a law of tokens, or a token's index, for each state");
  if (status)
    return status;
  if (json_is_array(json_array_get(emission, 0))) {
    a->emission = tb_allocate(r->context, states * V, sizeof *a->emission);
    return a->emission ? read_matrix(r, emission, states, V, "a probability for each token", a->emission)
                       : TB_NO_MEMORY;
  }
  a->token = tb_allocate(r->context, states, sizeof *a->token);
  return a->token ? read_token_indices(r, emission, states, a->token) : TB_NO_MEMORY;
}

static tb_status read_arrays(reader *r, const json_t *component, size_t states, double *weight, arrays *a) {
  enter(r, "weight", 0);
  tb_status status = probability(r, json_object_get(component, "weight"), weight);
  leave(r);
  a->start = tb_allocate(r->context, states, sizeof *a->start);
  a->transition = tb_allocate(r->context, states * states, sizeof *a->transition);
  if (!a->start || !a->transition)
    return TB_NO_MEMORY;
  enter(r, "start", 0);
  if (!status)
    status = read_law(r, json_object_get(component, "start"), states, "a probability for each state", a->start);
  leave(r);
  enter(r, "transition", 0);
  if (!status)
    status = read_matrix(r, json_object_get(component, "transition"), states, states, "a probability for each state",
                         a->transition);
  leave(r);
  enter(r, "emission", 0);
  if (!status)
    status = read_emission(r, json_object_get(component, "emission"), states, a);
  leave(r);
  return status;
}

static tb_status read_component(reader *r, const json_t *component, size_t k, double *weight) {
  static const char *const keys[] = { "weight", "start", "transition", "emission" };
  char name[200];
  arrays a = { 0 };
  tb_status status = check_keys(r, component, 4, keys);
  if (status)
    return status;
  const json_t *start = json_object_get(component, "start");
  const size_t states = json_array_size(start);
  if (states == 0 || states > MOST_STATES) {
    enter(r, "start", 0);
    status = fail(r, NULL, "%s: expected a probability for each of 1 to %d states", here(r, name), MOST_STATES);
    leave(r);
    return status;
  }
  status = read_arrays(r, component, states, weight, &a);
  if (!status)
    status = tb_hmm_set(r->mixture, k, *weight, states, a.start, a.transition, a.emission, a.token);
  tb_release(r->context, a.start);
  tb_release(r->context, a.transition);
  tb_release(r->context, a.emission);
  tb_release(r->context, a.token);
  return status;
}

static tb_status read_components(reader *r, const json_t *components) {
  tb_status status = TB_OK;
  double sum = 0;
  enter(r, "components", 0);
  for (size_t k = 0; k < r->mixture->n_components && !status; k++) {
    double weight = 0;
    enter(r, NULL, k);
    status = read_component(r, json_array_get(components, k), k, &weight);
    leave(r);
    sum += weight;
  }
  if (!status)
    status = check_sum(r, sum, "the weights");
  leave(r);
  return status;
}

/* Ten slots to a value, slot 0 alone saying the delimiter: the layout of GINC, in which prompts have a slot. */
static bool is_ginc(const tb_hmm *m) {
  for (size_t k = 0; k < m->n_components; k++) {
    const tb_hmm_component *c = &m->components[k];
    if (c->states != TB_GINC_VALUES * TB_GINC_SLOTS || !c->deterministic)
      return false;
    if (c->first[m->delimiter + 1] - c->first[m->delimiter] != TB_GINC_VALUES)
      return false;
    for (uint32_t e = c->first[m->delimiter]; e < c->first[m->delimiter + 1]; e++)
      if (c->emitter[e] % TB_GINC_SLOTS != 0)
        return false;
  }
  return true;
}

static tb_status read_root(reader *r, const json_t *root) {
  static const char *const keys[] = { "tokens", "delimiter", "components" };
  tb_status status = check_keys(r, root, 3, keys);
  if (status)
    return status;
  const size_t V = json_array_size(json_object_get(root, "tokens"));
  const size_t C = json_array_size(json_object_get(root, "components"));
  if (V < 2 || V > MOST_TOKENS) {
    enter(r, "tokens", 0);
    status = fail(r, NULL, "tokens: expected 2 to %d of them, the delimiter and another at least", MOST_TOKENS);
  } else if (C == 0 || C > MOST_STATES) {
    enter(r, "components", 0);
    status = fail(r, NULL, "components: expected 1 to %d of them", MOST_STATES);
  } else {
    status = tb_hmm_new(r->context, V, C, &r->mixture);
    if (!status)
      status = read_tokens(r, root);
    if (!status)
      status = read_components(r, json_object_get(root, "components"));
    if (!status)
      r->mixture->ginc = is_ginc(r->mixture);
  }
  return status;
}

tb_status tb_hmm_read(tb_context *context, const char *path, tb_hmm **mixture) {
  char *text;
  size_t size;
  json_t *root = NULL;
  *mixture = NULL;
  tb_status status = tb_file_read(context, path, &text, &size);
  if (status)
    return status;
  reader r = { .context = context, .path = path, .text = text };
  status = tb_json_parse(context, path, text, size, &root);
  if (!status)
    status = read_root(&r, root);
  json_decref(root);
  tb_release(context, text);
  if (status)
    tb_hmm_free(r.mixture);
  else
    *mixture = r.mixture;
  return status;
}

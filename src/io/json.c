/* JSON of metrics, over jansson, which fixes the decimal point in any locale and keeps the order of members. */
#include "json.h"

#include <base/utf8.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- leaves ---- */

json_t *tb_json_real(double value) {
  if (isfinite(value))
    return json_real(value);
  return json_string(isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
}

json_t *tb_json_text(const char *text) {
  size_t size = strlen(text) + 1;
  char *clean = malloc(size);
  if (!clean)
    return NULL;
  memcpy(clean, text, size);
  for (size_t i = 0, n; clean[i]; i += n) {
    n = tb_utf8_length(clean + i);
    if (n == 0) {
      clean[i] = '?';
      n = 1;
    }
  }
  json_t *string = json_string(clean);
  free(clean);
  return string;
}

bool tb_json_get_real(const json_t *json, double *value) {
  static const struct {
    const char *word;
    double value;
  } words[] = { { "inf", INFINITY }, { "-inf", -INFINITY }, { "nan", NAN } };
  if (json_is_number(json)) {
    *value = json_number_value(json);
    return true;
  }
  for (size_t i = 0; i < 3 && json_is_string(json); i++)
    if (strcmp(json_string_value(json), words[i].word) == 0) {
      *value = words[i].value;
      return true;
    }
  return false;
}

/* ---- metrics → JSON; NULL on exhaustion ---- */

json_t *tb_json_reals(size_t count, const double *values) {
  json_t *array = json_array();
  for (size_t i = 0; array && i < count; i++)
    if (json_array_append_new(array, tb_json_real(values[i]))) {
      json_decref(array);
      return NULL;
    }
  return array;
}

json_t *tb_json_matrix(size_t rows, size_t cols, const double *values) {
  json_t *array = json_array();
  for (size_t i = 0; array && i < rows; i++)
    if (json_array_append_new(array, tb_json_reals(cols, values + i * cols))) {
      json_decref(array);
      return NULL;
    }
  return array;
}

static json_t *words_to_json(size_t count, const char *const *words) {
  json_t *array = json_array();
  for (size_t i = 0; array && i < count; i++)
    if (json_array_append_new(array, tb_json_text(words[i]))) {
      json_decref(array);
      return NULL;
    }
  return array;
}

static json_t *value_to_json(const tb_metric_value *v) {
  switch (v->kind) {
  case TB_METRIC_REAL:
    return tb_json_real(v->values[0]);
  case TB_METRIC_INTEGER:
    return json_integer(v->integer);
  case TB_METRIC_WORD:
    return tb_json_text(v->words[0]);
  case TB_METRIC_VECTOR:
    return tb_json_reals(v->cols, v->values);
  case TB_METRIC_MATRIX:
    return tb_json_matrix(v->rows, v->cols, v->values);
  case TB_METRIC_WORDS:
    return words_to_json(v->cols, v->words);
  }
  return NULL;
}

json_t *tb_metrics_to_json(tb_context *context, const tb_metrics *metrics) {
  json_t *object = json_object();
  for (size_t i = 0; object && i < tb_metrics_count(metrics); i++) {
    tb_metric_value v = tb_metrics_at(metrics, i);
    if (json_object_set_new(object, v.name, value_to_json(&v))) {
      json_decref(object);
      object = NULL;
    }
  }
  if (!object)
    tb_fail(context, TB_NO_MEMORY, NULL, NULL, "out of memory: JSON of metrics");
  return object;
}

/* ---- JSON → metrics ---- */

static tb_status malformed(tb_context *context, const char *name, const char *what) {
  return tb_fail(context, TB_BAD_DATA, name, NULL, "%s in the recorded metric '%s'", what, name);
}

static tb_status matrix_from_json(tb_context *context, tb_metrics *metrics, const char *name, const json_t *json) {
  size_t rows = json_array_size(json), cols = json_array_size(json_array_get(json, 0));
  double *values = tb_allocate(context, rows * cols, sizeof *values); /* both were in memory: no overflow */
  tb_status status = values ? TB_OK : TB_NO_MEMORY;
  for (size_t i = 0; i < rows && !status; i++) {
    const json_t *row = json_array_get(json, i);
    if (!json_is_array(row) || json_array_size(row) != cols)
      status = malformed(context, name, "rows of different lengths");
    for (size_t j = 0; j < cols && !status; j++)
      if (!tb_json_get_real(json_array_get(row, j), &values[i * cols + j]))
        status = malformed(context, name, "no number");
  }
  if (!status)
    status = tb_metrics_matrix(metrics, name, rows, cols, values);
  tb_release(context, values);
  return status;
}

static tb_status array_from_json(tb_context *context, tb_metrics *metrics, const char *name, const json_t *json) {
  size_t count = json_array_size(json), numbers = 0, strings = 0;
  double *values = tb_allocate(context, count, sizeof *values);
  const char **words = tb_allocate(context, count, sizeof *words);
  tb_status status = values && words ? TB_OK : TB_NO_MEMORY;
  for (size_t i = 0; i < count && !status; i++) {
    const json_t *item = json_array_get(json, i);
    numbers += tb_json_get_real(item, &values[i]);
    words[i] = json_string_value(item);
    strings += words[i] != NULL;
  }
  if (!status)
    status = numbers == count   ? tb_metrics_vector(metrics, name, count, values)
             : strings == count ? tb_metrics_words(metrics, name, count, words)
                                : malformed(context, name, "neither numbers nor words");
  tb_release(context, values);
  tb_release(context, words);
  return status;
}

static tb_status value_from_json(tb_context *context, tb_metrics *metrics, const char *name, const json_t *json) {
  double real;
  if (json_is_integer(json))
    return tb_metrics_integer(metrics, name, json_integer_value(json));
  if (tb_json_get_real(json, &real))
    return tb_metrics_real(metrics, name, real);
  if (json_is_string(json))
    return tb_metrics_word(metrics, name, json_string_value(json));
  if (json_is_array(json) && json_is_array(json_array_get(json, 0)))
    return matrix_from_json(context, metrics, name, json);
  if (json_is_array(json))
    return array_from_json(context, metrics, name, json);
  return malformed(context, name, "neither number, word nor array");
}

tb_status tb_metrics_from_json(tb_context *context, const json_t *json, tb_metrics **result) {
  *result = NULL;
  if (!json_is_object(json))
    return tb_fail(context, TB_BAD_DATA, NULL, NULL, "recorded metrics are no JSON object");
  tb_metrics *metrics;
  tb_status status = tb_metrics_new(context, &metrics);
  const char *name;
  json_t *member;
  if (!status)
    json_object_foreach((json_t *)json, name, member) {
      status = value_from_json(context, metrics, name, member);
      if (status)
        break;
    }
  if (status)
    tb_metrics_free(metrics);
  else
    *result = metrics;
  return status;
}

/* ---- text ---- */

static int add_bytes(const char *bytes, size_t size, void *text) {
  tb_text_add_bytes(text, bytes, size);
  return ((tb_text *)text)->failed ? -1 : 0;
}

char *tb_json_line(tb_context *context, const json_t *json) {
  tb_text text = tb_text_new(context);
  size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17);
  if (json_dump_callback(json, add_bytes, &text, flags)) {
    tb_text_free(&text);
    tb_fail(context, TB_NO_MEMORY, NULL, NULL, "out of memory: a line of JSON");
  }
  return text.data;
}

static bool is_blank(const char *text, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (!strchr(" \t\r\n", text[i]) || !text[i])
      return false;
  return true;
}

tb_status tb_json_parse(tb_context *context, const char *place, const char *text, size_t size, json_t **json) {
  json_error_t error;
  *json = json_loadb(text, size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
  if (*json)
    return TB_OK;
  if (json_error_code(&error) == json_error_out_of_memory)
    return tb_fail(context, TB_NO_MEMORY, NULL, NULL, "out of memory: reading JSON");
  char where[4200];
  const bool empty = json_error_code(&error) == json_error_premature_end_of_input && is_blank(text, size);
  const int column = error.column > 0 ? error.column : 1; /* 0: at the very start of a line */
  snprintf(where, sizeof where, "%s:%d:%d", place, empty ? 1 : error.line, empty ? 1 : column);
  tb_fail(context, TB_BAD_DATA, where, NULL, "%s", empty ? "the file is empty" : error.text);
  const char *line = text, *end = text + size;
  for (int i = 1; i < error.line && line < end && !empty; i++) {
    const char *next = memchr(line, '\n', (size_t)(end - line));
    line = next ? next + 1 : end;
  }
  tb_fail_excerpt(context, line, (size_t)column);
  return TB_BAD_DATA;
}

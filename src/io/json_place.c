/* Where a value of a JSON text stands, so that complaints about its meaning name line and column.
 *
 * The text has been parsed already, so the walk may trust its grammar and only has to keep strings and brackets apart.
 */
#include "json.h"

#include <stdio.h>
#include <string.h>

static const char *skip_blanks(const char *s) {
  return s + strspn(s, " \t\r\n");
}

static const char *skip_string(const char *s) {
  for (s++; *s && *s != '"'; s++)
    if (*s == '\\' && s[1])
      s++;
  return *s ? s + 1 : s;
}

static const char *skip_value(const char *s) {
  int depth = 0;
  do {
    s = skip_blanks(s);
    if (*s == '"') {
      s = skip_string(s);
    } else if (*s == '{' || *s == '[') {
      depth++;
      s++;
    } else if (*s == '}' || *s == ']') {
      depth--;
      s++;
    } else if (*s == ',' || *s == ':') {
      s++;
    } else {
      s += strcspn(s, " \t\r\n,:[]{}\"");
    }
  } while (depth > 0 && *s);
  return s;
}

/* The child that a step leads to, or NULL. */
static const char *child(const char *s, tb_json_step step) {
  const bool object = *s == '{';
  if ((!object && *s != '[') || object != (step.key != NULL))
    return NULL;
  s = skip_blanks(s + 1);
  for (size_t i = 0; *s && *s != ']' && *s != '}'; i++) {
    bool found = !object && i == step.index;
    if (object) {
      const char *key = s + 1;
      s = skip_string(s);
      found = strncmp(key, step.key, strlen(step.key)) == 0 && key + strlen(step.key) + 1 == s;
      s = skip_blanks(skip_blanks(s) + 1); /* past the colon */
    }
    if (found)
      return s;
    s = skip_blanks(skip_value(s));
    if (*s == ',')
      s = skip_blanks(s + 1);
  }
  return NULL;
}

tb_status tb_json_fail(tb_context *context, const char *place, const char *text, size_t count,
                       const tb_json_step *steps, const char *hint, const char *message) {
  const char *at = skip_blanks(text), *line = text;
  for (size_t i = 0; i < count; i++) {
    const char *next = child(at, steps[i]);
    if (!next)
      break;
    at = next;
  }
  size_t number = 1;
  for (const char *s = text; s < at; s++)
    if (*s == '\n') {
      number++;
      line = s + 1;
    }
  char where[4200];
  const size_t column = (size_t)(at - line) + 1;
  snprintf(where, sizeof where, "%s:%zu:%zu", place, number, column);
  tb_fail(context, TB_BAD_DATA, where, hint, "%s", message);
  tb_fail_excerpt(context, line, column);
  return TB_BAD_DATA;
}

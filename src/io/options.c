/* Option tables and configurations: text to typed values and back to one canonical text.
 *
 * A type is a row of the table `types`: how its text is read and how its value is written.  A setting that is refused
 * leaves the configuration as it was. */
#include <tiebreak/options.h>

#include <base/number.h>

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#undef NDEBUG /* a misspelt option name in a study must never pass for a zero */
#include <assert.h>

typedef struct value {
  char *text;   /* canonical */
  char *origin; /* where it was set */
  int64_t integer;
  double real;
  bool boolean;
  double *numbers; /* rows × cols */
  size_t rows, cols;
} value;

typedef struct entry {
  const tb_option *option;
  value value;
  bool is_default;
} entry;

struct tb_config {
  tb_context *context;
  entry *entries;
  size_t count;
};

/* ---- complaints ---- */

/* "lr=abc: expected …" */
static tb_status refuse(tb_context *context, const tb_option *option, const char *text, const char *origin,
                        const char *expected) {
  return tb_fail(context, TB_USAGE, origin, NULL, "%s=%s: %s", option->name, text, expected);
}

static bool limited(const tb_option *option) {
  return option->least <= option->most;
}

/* The range of an option in words: "must be between 0 and 1", "must be greater than 0 and at most 1", … */
static tb_status refuse_range(tb_context *context, const tb_option *option, const char *text, const char *origin) {
  char least[TB_NUMBER_SIZE], most[TB_NUMBER_SIZE], words[128];
  tb_number_text(least, option->least);
  tb_number_text(most, option->most);
  bool below = isfinite(option->least), above = isfinite(option->most);
  if (option->type == TB_INTEGER) { /* the ends of int64 are no limits worth naming */
    below = option->least > -9.2e18;
    above = option->most < 9.2e18;
  }
  if (below && above && !option->open)
    snprintf(words, sizeof words, "must be between %s and %s", least, most);
  else if (below && above)
    snprintf(words, sizeof words, "must be greater than %s and at most %s", least, most);
  else if (below)
    snprintf(words, sizeof words, option->open ? "must be greater than %s" : "must be at least %s", least);
  else if (above)
    snprintf(words, sizeof words, "must be at most %s", most);
  else
    snprintf(words, sizeof words, "must be finite");
  return refuse(context, option, text, origin, words);
}

static bool in_range(const tb_option *option, double x) {
  return !limited(option) || (x <= option->most && (option->open ? x > option->least : x >= option->least));
}

/* ---- numbers as people type them ---- */

enum { LONGEST_NUMBER = 400 };

/* Copies [text, end) without surrounding blanks and without underscores between digits; false when it is too long. */
static bool plain_number(const char *text, const char *end, char out[LONGEST_NUMBER]) {
  while (text < end && isspace((unsigned char)*text))
    text++;
  while (end > text && isspace((unsigned char)end[-1]))
    end--;
  size_t n = 0;
  for (const char *s = text; s < end; s++) {
    if (*s == '_' && s > text && isdigit((unsigned char)s[-1]) && s + 1 < end && isdigit((unsigned char)s[1]))
      continue;
    if (n + 1 >= LONGEST_NUMBER)
      return false;
    out[n++] = *s;
  }
  out[n] = 0;
  return true;
}

static bool read_real(const char *text, const char *end, double *real) {
  char plain[LONGEST_NUMBER];
  if (!plain_number(text, end, plain))
    return false;
  const char *unsigned_part = plain + (*plain == '-' || *plain == '+');
  if (strcasecmp(unsigned_part, "inf") == 0 || strcasecmp(unsigned_part, "infinity") == 0 ||
      strcasecmp(unsigned_part, ".inf") == 0) {
    *real = *plain == '-' ? -INFINITY : INFINITY;
    return true;
  }
  const char *behind = tb_number_read(plain, real);
  return behind && !*behind && isfinite(*real); /* 1e999 is a slip, not infinity */
}

/* Exact: digits are collected as an integer and the decimal exponent is applied to it. */
typedef enum integer_word { INTEGER_OK, NO_INTEGER, INTEGER_TOO_LARGE } integer_word;
static integer_word read_integer(const char *text, int64_t *integer) {
  char plain[LONGEST_NUMBER];
  double real;
  if (!plain_number(text, text + strlen(text), plain))
    return NO_INTEGER;
  const char *behind = tb_number_read(plain, &real), *s = plain;
  if (!behind || *behind)
    return NO_INTEGER;
  bool negative = *s == '-';
  s += *s == '-' || *s == '+';
  long exponent = 0;
  const char *e = strpbrk(s, "eE");
  if (e)
    exponent = strtol(e + 1, NULL, 10);
  const char *digits_end = e ? e : s + strlen(s), *point = memchr(s, '.', (size_t)(digits_end - s));
  if (point) {
    while (digits_end - 1 > point && digits_end[-1] == '0')
      digits_end--;
    exponent -= digits_end - point - 1;
  }
  uint64_t magnitude = 0;
  bool overflow = false;
  for (; s < digits_end; s++)
    if (*s != '.')
      overflow |= __builtin_mul_overflow(magnitude, 10, &magnitude) ||
                  __builtin_add_overflow(magnitude, (uint64_t)(*s - '0'), &magnitude);
  for (; exponent < 0 && !overflow && magnitude % 10 == 0 && magnitude > 0; exponent++)
    magnitude /= 10;
  if (exponent < 0 && (magnitude > 0 || overflow))
    return NO_INTEGER;
  for (; exponent > 0 && !overflow && magnitude > 0; exponent--)
    overflow = __builtin_mul_overflow(magnitude, 10, &magnitude);
  if (overflow || magnitude > (uint64_t)INT64_MAX + negative)
    return INTEGER_TOO_LARGE;
  *integer = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
  return INTEGER_OK;
}

/* ---- the types: text → value ---- */

static tb_status parse_integer(tb_context *context, const tb_option *option, const char *text, const char *origin,
                               value *v) {
  integer_word word = read_integer(text, &v->integer);
  if (word == NO_INTEGER)
    return refuse(context, option, text, origin, "expected an integer");
  if (word == INTEGER_TOO_LARGE)
    return refuse(context, option, text, origin, "too large for an integer");
  v->real = (double)v->integer;
  return in_range(option, v->real) ? TB_OK : refuse_range(context, option, text, origin);
}

static tb_status parse_real(tb_context *context, const tb_option *option, const char *text, const char *origin,
                            value *v) {
  if (!read_real(text, text + strlen(text), &v->real))
    return refuse(context, option, text, origin, "expected a number");
  return in_range(option, v->real) ? TB_OK : refuse_range(context, option, text, origin);
}

static tb_status parse_boolean(tb_context *context, const tb_option *option, const char *text, const char *origin,
                               value *v) {
  static const char *const words[] = { "false", "true", "no", "yes", "0", "1", "off", "on" };
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strcasecmp(text, words[i]) == 0) {
      v->boolean = i % 2;
      return TB_OK;
    }
  return refuse(context, option, text, origin, "expected true or false");
}

/* Splits "a|b|c" into at most 64 words of the scratch copy. */
static size_t split_choices(const char *choices, char scratch[1024], const char *words[64]) {
  size_t count = 0;
  snprintf(scratch, 1024, "%s", choices);
  for (char *rest = scratch, *word; count < 64 && (word = strsep(&rest, "|"));)
    words[count++] = word;
  return count;
}

static tb_status parse_choice(tb_context *context, const tb_option *option, const char *text, const char *origin,
                              value *v) {
  char scratch[1024], expected[1100] = "expected ", hint[256];
  const char *words[64];
  size_t count = split_choices(option->choices ? option->choices : "", scratch, words);
  for (size_t i = 0; i < count; i++)
    if (strcmp(words[i], text) == 0)
      return TB_OK;
  for (size_t i = 0; i < count; i++) {
    size_t used = strlen(expected);
    snprintf(expected + used, sizeof expected - used, "%s%s", i == 0 ? "" : i + 1 < count ? ", " : " or ", words[i]);
  }
  const char *near = tb_suggest(text, words, count);
  if (near)
    snprintf(hint, sizeof hint, "did you mean '%s'?", near);
  return tb_fail(context, TB_USAGE, origin, near ? hint : NULL, "%s=%s: %s", option->name, text, expected);
}

static tb_status parse_word(tb_context *context, const tb_option *option, const char *text, const char *origin,
                            value *v) {
  return TB_OK;
}

/* One row of numbers, appended to v->numbers; *found counts them. */
static tb_status parse_row(tb_context *context, const tb_option *option, const char *text, const char *origin,
                           const char *row, const char *row_end, value *v, size_t total, size_t *found) {
  *found = 0;
  for (const char *field = row;;) {
    const char *comma = memchr(field, ',', (size_t)(row_end - field)), *end = comma ? comma : row_end;
    double *numbers = tb_reallocate(context, v->numbers, total + *found + 1, sizeof *numbers);
    if (!numbers)
      return TB_NO_MEMORY;
    v->numbers = numbers;
    if (!read_real(field, end, &numbers[total + *found])) {
      char expected[200];
      int length = end - field > 40 ? 40 : (int)(end - field);
      snprintf(expected, sizeof expected, "expected %s, found '%.*s'",
               option->type == TB_MATRIX ? "rows of numbers like 1,0.5/0.5,1" : "numbers parted by commas", length,
               field);
      return refuse(context, option, text, origin, expected);
    }
    ++*found;
    if (!comma)
      return TB_OK;
    field = comma + 1;
  }
}

static tb_status parse_reals(tb_context *context, const tb_option *option, const char *text, const char *origin,
                             value *v) {
  v->rows = 1;
  return parse_row(context, option, text, origin, text, text + strlen(text), v, 0, &v->cols);
}

static tb_status parse_matrix(tb_context *context, const tb_option *option, const char *text, const char *origin,
                              value *v) {
  for (const char *row = text;; v->rows++) {
    const char *slash = strchr(row, '/'), *end = slash ? slash : row + strlen(row);
    size_t found;
    tb_status status = parse_row(context, option, text, origin, row, end, v, v->rows * v->cols, &found);
    if (status)
      return status;
    if (v->rows > 0 && found != v->cols) {
      char expected[128];
      snprintf(expected, sizeof expected, "row %zu has %zu numbers where the first has %zu", v->rows + 1, found,
               v->cols);
      return refuse(context, option, text, origin, expected);
    }
    v->cols = found;
    if (!slash) {
      v->rows++;
      return TB_OK;
    }
    row = slash + 1;
  }
}

/* ---- the types: value → canonical text ---- */

static void write_integer(const value *v, const char *given, tb_text *out) {
  tb_text_format(out, "%lld", (long long)v->integer);
}

static void write_real(const value *v, const char *given, tb_text *out) {
  char text[TB_NUMBER_SIZE];
  tb_text_add_bytes(out, text, tb_number_text(text, v->real));
}

static void write_boolean(const value *v, const char *given, tb_text *out) {
  tb_text_add(out, v->boolean ? "true" : "false");
}

static void write_word(const value *v, const char *given, tb_text *out) {
  tb_text_add(out, given);
}

static void write_numbers(const value *v, const char *given, tb_text *out) {
  for (size_t i = 0; i < v->rows * v->cols; i++) {
    char text[TB_NUMBER_SIZE];
    if (i > 0)
      tb_text_add(out, i % v->cols ? "," : "/");
    tb_text_add_bytes(out, text, tb_number_text(text, v->numbers[i]));
  }
}

static const struct {
  tb_status (*parse)(tb_context *, const tb_option *, const char *text, const char *origin, value *);
  void (*write)(const value *, const char *given, tb_text *);
} types[] = {
  [TB_INTEGER] = { parse_integer, write_integer }, [TB_REAL] = { parse_real, write_real },
  [TB_BOOLEAN] = { parse_boolean, write_boolean }, [TB_CHOICE] = { parse_choice, write_word },
  [TB_WORD] = { parse_word, write_word },          [TB_FILE] = { parse_word, write_word },
  [TB_REALS] = { parse_reals, write_numbers },     [TB_MATRIX] = { parse_matrix, write_numbers },
};

/* ---- values ---- */

static void value_free(tb_context *context, value *v) {
  tb_release(context, v->text);
  tb_release(context, v->origin);
  tb_release(context, v->numbers);
}

static char *copy_text(tb_context *context, const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = tb_allocate(context, size, 1);
  return copy ? memcpy(copy, text, size) : NULL;
}

/* Reads text as that option's value.  "" is the value of an option that is unset, allowed where it is the default. */
static tb_status value_make(tb_context *context, const tb_option *option, const char *text, const char *origin,
                            value *out) {
  value v = { .real = NAN };
  tb_text canonical = tb_text_new(context);
  tb_status status = TB_OK;
  if (*text) {
    status = types[option->type].parse(context, option, text, origin, &v);
    if (!status)
      types[option->type].write(&v, text, &canonical);
  } else if (*option->fallback) {
    status = tb_fail(context, TB_USAGE, origin, NULL, "%s=: expected a value", option->name);
  }
  if (!status) {
    tb_text_add(&canonical, "");
    status = tb_text_finish(&canonical);
  }
  if (!status && !(v.origin = copy_text(context, origin)))
    status = TB_NO_MEMORY;
  v.text = canonical.data;
  if (status)
    value_free(context, &v);
  else
    *out = v;
  return status;
}

/* ---- configurations ---- */

void tb_config_free(tb_config *config) {
  if (!config)
    return;
  for (size_t i = 0; i < config->count; i++)
    value_free(config->context, &config->entries[i].value);
  tb_release(config->context, config->entries);
  tb_release(config->context, config);
}

static entry *find(const tb_config *config, const char *name) {
  for (size_t i = 0; i < config->count; i++)
    if (strcmp(config->entries[i].option->name, name) == 0)
      return &config->entries[i];
  return NULL;
}

static tb_status config_allocate(tb_context *context, size_t capacity, tb_config **config) {
  *config = tb_allocate(context, 1, sizeof **config);
  if (!*config)
    return TB_NO_MEMORY;
  (*config)->context = context;
  (*config)->entries = tb_allocate(context, capacity, sizeof *(*config)->entries);
  if ((*config)->entries)
    return TB_OK;
  tb_release(context, *config);
  *config = NULL;
  return TB_NO_MEMORY;
}

tb_status tb_config_new(tb_context *context, size_t n_tables, const tb_option_table *const *tables,
                        tb_config **result) {
  size_t capacity = 0;
  for (size_t t = 0; t < n_tables; t++)
    capacity += tables[t]->count;
  tb_config *config;
  tb_status status = config_allocate(context, capacity, &config);
  for (size_t t = 0; t < n_tables && !status; t++)
    for (size_t i = 0; i < tables[t]->count && !status; i++) {
      const tb_option *option = &tables[t]->options[i];
      entry *e = find(config, option->name);
      value v;
      status = value_make(context, option, option->fallback, "default", &v);
      if (status)
        break;
      if (e)
        value_free(context, &e->value); /* a later table redefines it */
      else
        e = &config->entries[config->count++];
      *e = (entry){ option, v, true };
    }
  if (status) {
    tb_config_free(config);
    config = NULL;
  }
  *result = config;
  return status;
}

tb_status tb_config_copy(tb_context *context, const tb_config *from, tb_config **result) {
  tb_config *config;
  tb_status status = config_allocate(context, from->count, &config);
  for (size_t i = 0; i < from->count && !status; i++) {
    const entry *e = &from->entries[i];
    value v;
    status = value_make(context, e->option, e->value.text, e->value.origin, &v);
    if (!status)
      config->entries[config->count++] = (entry){ e->option, v, e->is_default };
  }
  if (status) {
    tb_config_free(config);
    config = NULL;
  }
  *result = config;
  return status;
}

static tb_status unknown_option(tb_config *config, const char *name, const char *origin) {
  tb_context *context = config->context;
  const char **names = tb_allocate(context, config->count, sizeof *names);
  if (!names)
    return TB_NO_MEMORY;
  tb_text hint = tb_text_new(context);
  for (size_t i = 0; i < config->count; i++)
    names[i] = config->entries[i].option->name;
  const char *near = tb_suggest(name, names, config->count);
  if (near) {
    tb_text_format(&hint, "did you mean '%s'?", near);
  } else {
    tb_text_add(&hint, "known are");
    for (size_t i = 0; i < config->count; i++)
      tb_text_format(&hint, "%s %s", i ? "," : "", names[i]);
  }
  tb_status status = tb_text_finish(&hint);
  if (!status)
    status = tb_fail(context, TB_USAGE, origin, hint.data, "unknown option '%s'", name);
  tb_text_free(&hint);
  tb_release(context, names);
  return status;
}

tb_status tb_config_set(tb_config *config, const char *name, const char *text, const char *origin) {
  tb_context *context = config->context;
  entry *e = find(config, name);
  if (!e)
    return unknown_option(config, name, origin);
  value v, fallback;
  tb_status status = value_make(context, e->option, text, origin, &v);
  if (status)
    return status;
  status = value_make(context, e->option, e->option->fallback, "default", &fallback);
  if (status) {
    value_free(context, &v);
    return status;
  }
  e->is_default = strcmp(v.text, fallback.text) == 0;
  value_free(context, &fallback);
  value_free(context, &e->value);
  e->value = v;
  return TB_OK;
}

/* ---- access ---- */

static const value *get(const tb_config *config, const char *name, unsigned allowed_types) {
  const entry *e = find(config, name);
  assert(e && "no option of that name");
  assert((allowed_types >> e->option->type & 1) && "the option has another type");
  return &e->value;
}

int64_t tb_config_integer(const tb_config *config, const char *name) {
  return get(config, name, 1u << TB_INTEGER)->integer;
}

double tb_config_real(const tb_config *config, const char *name) {
  return get(config, name, 1u << TB_REAL | 1u << TB_INTEGER)->real;
}

bool tb_config_boolean(const tb_config *config, const char *name) {
  return get(config, name, 1u << TB_BOOLEAN)->boolean;
}

const char *tb_config_word(const tb_config *config, const char *name) {
  return get(config, name, 1u << TB_WORD | 1u << TB_CHOICE | 1u << TB_FILE)->text;
}

size_t tb_config_reals(const tb_config *config, const char *name, const double **values) {
  const value *v = get(config, name, 1u << TB_REALS);
  *values = v->numbers;
  return v->cols;
}

void tb_config_matrix(const tb_config *config, const char *name, size_t *rows, size_t *cols, const double **values) {
  const value *v = get(config, name, 1u << TB_MATRIX);
  *rows = v->rows;
  *cols = v->cols;
  *values = v->numbers;
}

bool tb_config_is_set(const tb_config *config, const char *name) {
  return get(config, name, ~0u)->text[0] != 0;
}

bool tb_config_is_default(const tb_config *config, const char *name) {
  const entry *e = find(config, name);
  assert(e && "no option of that name");
  return e->is_default;
}

bool tb_config_is(const tb_config *config, const char *name, const char *word) {
  return strcmp(tb_config_word(config, name), word) == 0;
}

size_t tb_config_count(const tb_config *config) {
  return config->count;
}

const tb_option *tb_config_option(const tb_config *config, size_t i) {
  return config->entries[i].option;
}

const char *tb_config_text(const tb_config *config, size_t i) {
  return config->entries[i].value.text;
}

const char *tb_config_origin(const tb_config *config, size_t i) {
  return config->entries[i].value.origin;
}

bool tb_option_names_file(const tb_option *option, const char *word, size_t length) {
  if (option->type != TB_FILE || length == 0)
    return false;
  const bool number = strspn(word, "0123456789") >= length;
  for (const char *choice = option->choices; choice && *choice;) {
    size_t n = strcspn(choice, "|");
    if ((n == length && strncmp(choice, word, n) == 0) || (number && n == 1 && *choice == 'N'))
      return false;
    choice += n + (choice[n] == '|');
  }
  return true;
}

const tb_option *tb_config_find(const tb_config *config, const char *name) {
  const entry *e = find(config, name);
  return e ? e->option : NULL;
}

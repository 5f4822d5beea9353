/* tiebreak/options.h: option tables and configurations.
 *
 * One record says everything about an option; parsing, defaults, help, `explain`, completion and docs come from it.
 * A configuration holds the resolved value of every option of its tables with the value's origin. */
#ifndef TIEBREAK_OPTIONS_H
#define TIEBREAK_OPTIONS_H

#include <tiebreak/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tb_option_type {
  TB_INTEGER, /* int64; accepts 1e6 */
  TB_REAL,    /* double; accepts inf */
  TB_BOOLEAN, /* true, false (also yes, no, 1, 0) */
  TB_CHOICE,  /* one of `choices` */
  TB_WORD,    /* text */
  TB_FILE,    /* path of a file to read, relative to the working folder, or to the study file that names it */
  TB_REALS,   /* comma-separated doubles: one value, never a sweep */
  TB_MATRIX   /* rows parted by '/', each a list of doubles; never a sweep */
} tb_option_type;

typedef struct tb_option {
  const char *name;
  tb_option_type type;
  const char *fallback; /* default as typed; "" means unset (the study says in `summary` what happens then) */
  const char *choices;  /* TB_CHOICE and words like data=sparse|FILE.csv: "a|b|c", N: a whole number; else NULL */
  double least, most;   /* range of TB_INTEGER and TB_REAL, both ends allowed; least > most: no limit */
  bool open;            /* true: the lower end itself is not allowed */
  const char *summary;  /* one line: meaning and unit */
  const char *formula;  /* optional: where the option enters */
  const char *source;   /* optional: paper and section */
} tb_option;

/* Does a word given to this option name a file?  False for the choices of TB_FILE, and for a whole number where "N" is
 * among them. */
bool tb_option_names_file(const tb_option *, const char *word, size_t length);

typedef struct tb_option_table {
  const char *title; /* "common", "natural gradient", … for help and docs */
  const tb_option *options;
  size_t count;
} tb_option_table;

typedef struct tb_config tb_config;

/* A configuration with every option of the tables at its default. */
tb_status tb_config_new(tb_context *, size_t n_tables, const tb_option_table *const *tables, tb_config **);
tb_status tb_config_copy(tb_context *, const tb_config *, tb_config **);
void tb_config_free(tb_config *);

/* Sets one option from text; origin is "command line", "FILE:LINE", …  Errors TB_USAGE: unknown name (with a
 * suggestion), wrong type, out of range; place is the origin. */
tb_status tb_config_set(tb_config *, const char *name, const char *text, const char *origin);

/* Typed access; asking for a name or type that the tables do not hold is a programming error (assert). */
int64_t tb_config_integer(const tb_config *, const char *name);
double tb_config_real(const tb_config *, const char *name);
bool tb_config_boolean(const tb_config *, const char *name);
const char *tb_config_word(const tb_config *, const char *name); /* words, choices, files: "" when unset */
size_t tb_config_reals(const tb_config *, const char *name, const double **values);
void tb_config_matrix(const tb_config *, const char *name, size_t *rows, size_t *cols, const double **values);
bool tb_config_is_set(const tb_config *, const char *name); /* not "" */
bool tb_config_is_default(const tb_config *, const char *name);
bool tb_config_is(const tb_config *, const char *name, const char *word); /* text comparison of words and choices */

/* Walking it: the i-th option with its canonical text and origin. */
size_t tb_config_count(const tb_config *);
const tb_option *tb_config_option(const tb_config *, size_t i);
const char *tb_config_text(const tb_config *, size_t i);
const char *tb_config_origin(const tb_config *, size_t i);
/* The option of that name; NULL: there is none. */
const tb_option *tb_config_find(const tb_config *, const char *name);

#ifdef __cplusplus
}
#endif
#endif

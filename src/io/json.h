/* JSON of metrics, over jansson: infinities and NaN are the strings "inf", "-inf" and "nan" both ways. */
#ifndef TB_IO_JSON_H
#define TB_IO_JSON_H

#include <jansson.h>
#include <tiebreak/metrics.h>

/* A number, or one of the three strings; a string with malformed UTF-8 replaced.  New references, NULL on exhaustion.
 */
json_t *tb_json_real(double value);
json_t *tb_json_text(const char *text);
/* Arrays of numbers, and of rows.  New references, NULL on exhaustion. */
json_t *tb_json_reals(size_t count, const double *values);
json_t *tb_json_matrix(size_t rows, size_t cols, const double *values);
/* Reads what tb_json_real and JSON integers give. */
bool tb_json_get_real(const json_t *, double *value);

/* An object with a member a metric, in order: numbers, words, vectors as arrays, matrices as arrays of rows.  New
 * reference, NULL with TB_NO_MEMORY recorded on exhaustion. */
json_t *tb_metrics_to_json(tb_context *, const tb_metrics *);
/* The way back.  Kinds are read from the shape: an array of arrays is a matrix, of numbers (or the three strings, or
 * empty) a vector, of other strings words.  Error TB_BAD_DATA: anything else, with the member's name as place. */
tb_status tb_metrics_from_json(tb_context *, const json_t *, tb_metrics **);

/* One line without the newline, members in order of insertion, 17 significant digits, as few blanks as possible.
 * Release with tb_release; NULL with TB_NO_MEMORY recorded on exhaustion. */
char *tb_json_line(tb_context *, const json_t *);
/* Parses one JSON value; a zero follows the text.  Error TB_BAD_DATA at place:line:column, with the line. */
tb_status tb_json_parse(tb_context *, const char *place, const char *text, size_t size, json_t **);

/* A step into a value: the member of an object, or (key NULL) the element of an array. */
typedef struct tb_json_step {
  const char *key;
  size_t index;
} tb_json_step;
/* Records TB_BAD_DATA at place:line:column of the value to which the steps lead (the last one there is), with the line.
 * The text is JSON that parsed, terminated by a zero. */
tb_status tb_json_fail(tb_context *, const char *place, const char *text, size_t count, const tb_json_step *steps,
                       const char *hint, const char *message);

#endif

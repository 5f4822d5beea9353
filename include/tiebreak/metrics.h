/* tiebreak/metrics.h: named results: numbers, vectors, matrices, words, in the order in which they were added. */
#ifndef TIEBREAK_METRICS_H
#define TIEBREAK_METRICS_H

#include <tiebreak/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tb_metric_kind {
  TB_METRIC_REAL,
  TB_METRIC_INTEGER,
  TB_METRIC_WORD,
  TB_METRIC_VECTOR,
  TB_METRIC_MATRIX,
  TB_METRIC_WORDS
} tb_metric_kind;

/* Meaning of a metric, for help, explain and the report. */
typedef struct tb_metric {
  const char *name; /* "angle_to.l2_svm"; NAME stands for a part that varies ("reference.NAME") */
  const char *unit; /* "degrees", "nats", "" */
  const char *summary;
  const char *formula; /* optional */
  const char *source;  /* optional */
} tb_metric;

typedef struct tb_metrics tb_metrics;
/* An empty set; NULL may be freed. */
tb_status tb_metrics_new(tb_context *, tb_metrics **);
void tb_metrics_free(tb_metrics *);

/* Adding a name again replaces its value and keeps its place.  Data is copied and must not be the replaced
 * value's own.  Error: TB_NO_MEMORY, the metrics then as before. */
tb_status tb_metrics_real(tb_metrics *, const char *name, double value);
tb_status tb_metrics_integer(tb_metrics *, const char *name, int64_t value);
tb_status tb_metrics_word(tb_metrics *, const char *name, const char *value);
tb_status tb_metrics_vector(tb_metrics *, const char *name, size_t count, const double *values);
tb_status tb_metrics_matrix(tb_metrics *, const char *name, size_t rows, size_t cols, const double *values);
tb_status tb_metrics_words(tb_metrics *, const char *name, size_t count, const char *const *values);

/* A view, good until that metric is set again or the metrics are freed. */
typedef struct tb_metric_value {
  const char *name;
  tb_metric_kind kind;
  size_t rows, cols;        /* vector: 1 × cols; real and integer: 1 × 1 */
  const double *values;     /* real, integer, vector, matrix (row-major) */
  const char *const *words; /* word: words[0]; words: cols of them */
  int64_t integer;          /* integer: the exact value */
} tb_metric_value;
size_t tb_metrics_count(const tb_metrics *);
tb_metric_value tb_metrics_at(const tb_metrics *, size_t i);
/* NULL-named result (name == NULL) when absent. */
tb_metric_value tb_metrics_find(const tb_metrics *, const char *name);
/* The value of a real or integer metric, NaN when absent. */
double tb_metrics_get(const tb_metrics *, const char *name);

#ifdef __cplusplus
}
#endif
#endif

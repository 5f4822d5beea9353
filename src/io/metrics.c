/* Named results in the order in which they were added.
 *
 * Each value is one block (numbers, or pointers to words followed by their characters).  A value replaced by one of the
 * same size reuses its block, so a metric updated at every step allocates once. */
#include <tiebreak/metrics.h>

#include <math.h>
#include <string.h>

typedef struct entry {
  tb_metric_value value;
  char *name;
  void *block; /* what value.values or value.words point to */
  size_t size;
} entry;

struct tb_metrics {
  tb_context *context;
  entry *entries;
  size_t count, capacity;
};

tb_status tb_metrics_new(tb_context *context, tb_metrics **metrics) {
  *metrics = tb_allocate(context, 1, sizeof **metrics);
  if (!*metrics)
    return TB_NO_MEMORY;
  (*metrics)->context = context;
  return TB_OK;
}

void tb_metrics_free(tb_metrics *metrics) {
  if (!metrics)
    return;
  for (size_t i = 0; i < metrics->count; i++) {
    tb_release(metrics->context, metrics->entries[i].name);
    tb_release(metrics->context, metrics->entries[i].block);
  }
  tb_release(metrics->context, metrics->entries);
  tb_release(metrics->context, metrics);
}

static entry *find(const tb_metrics *metrics, const char *name) {
  for (size_t i = 0; i < metrics->count; i++)
    if (strcmp(metrics->entries[i].name, name) == 0)
      return &metrics->entries[i];
  return NULL;
}

/* The entry of that name with a block of that size; NULL when memory is exhausted, the metrics then unchanged. */
static entry *prepare(tb_metrics *metrics, const char *name, size_t size) {
  tb_context *context = metrics->context;
  entry *found = find(metrics, name);
  if (found && found->size == size)
    return found;
  void *block = tb_allocate(context, size, 1);
  if (!block)
    return NULL;
  if (found) {
    tb_release(context, found->block);
    found->block = block;
    found->size = size;
    return found;
  }
  if (metrics->count == metrics->capacity) {
    size_t capacity = metrics->capacity ? 2 * metrics->capacity : 16;
    entry *entries = tb_reallocate(context, metrics->entries, capacity, sizeof *entries);
    if (!entries) {
      tb_release(context, block);
      return NULL;
    }
    metrics->entries = entries;
    metrics->capacity = capacity;
  }
  size_t name_size = strlen(name) + 1;
  char *copy = tb_allocate(context, name_size, 1);
  if (!copy) {
    tb_release(context, block);
    return NULL;
  }
  memcpy(copy, name, name_size);
  found = &metrics->entries[metrics->count++];
  *found = (entry){ .name = copy, .block = block, .size = size };
  return found;
}

static tb_status set_numbers(tb_metrics *metrics, const char *name, tb_metric_kind kind, size_t rows, size_t cols,
                             const double *values, int64_t integer) {
  size_t count, size;
  if (__builtin_mul_overflow(rows, cols, &count) || __builtin_mul_overflow(count, sizeof *values, &size))
    size = SIZE_MAX; /* no such block */
  entry *e = prepare(metrics, name, size);
  if (!e)
    return TB_NO_MEMORY;
  if (size > 0)
    memcpy(e->block, values, size);
  e->value = (tb_metric_value){
    .name = e->name, .kind = kind, .rows = rows, .cols = cols, .values = e->block, .integer = integer
  };
  return TB_OK;
}

static tb_status set_words(tb_metrics *metrics, const char *name, tb_metric_kind kind, size_t count,
                           const char *const *words) {
  size_t size = count * sizeof *words;
  for (size_t i = 0; i < count; i++)
    size += strlen(words[i]) + 1;
  entry *e = prepare(metrics, name, size);
  if (!e)
    return TB_NO_MEMORY;
  char **pointers = e->block, *text = (char *)(pointers + count);
  for (size_t i = 0; i < count; i++) {
    size_t length = strlen(words[i]) + 1;
    memcpy(text, words[i], length);
    pointers[i] = text;
    text += length;
  }
  e->value = (tb_metric_value){ .name = e->name, .kind = kind, .rows = 1, .cols = count, .words = e->block };
  return TB_OK;
}

tb_status tb_metrics_real(tb_metrics *metrics, const char *name, double value) {
  return set_numbers(metrics, name, TB_METRIC_REAL, 1, 1, &value, 0);
}

tb_status tb_metrics_integer(tb_metrics *metrics, const char *name, int64_t value) {
  double real = (double)value;
  return set_numbers(metrics, name, TB_METRIC_INTEGER, 1, 1, &real, value);
}

tb_status tb_metrics_word(tb_metrics *metrics, const char *name, const char *value) {
  return set_words(metrics, name, TB_METRIC_WORD, 1, &value);
}

tb_status tb_metrics_vector(tb_metrics *metrics, const char *name, size_t count, const double *values) {
  return set_numbers(metrics, name, TB_METRIC_VECTOR, 1, count, values, 0);
}

tb_status tb_metrics_matrix(tb_metrics *metrics, const char *name, size_t rows, size_t cols, const double *values) {
  return set_numbers(metrics, name, TB_METRIC_MATRIX, rows, cols, values, 0);
}

tb_status tb_metrics_words(tb_metrics *metrics, const char *name, size_t count, const char *const *values) {
  return set_words(metrics, name, TB_METRIC_WORDS, count, values);
}

size_t tb_metrics_count(const tb_metrics *metrics) {
  return metrics->count;
}

tb_metric_value tb_metrics_at(const tb_metrics *metrics, size_t i) {
  return metrics->entries[i].value;
}

tb_metric_value tb_metrics_find(const tb_metrics *metrics, const char *name) {
  const entry *e = find(metrics, name);
  return e ? e->value : (tb_metric_value){ 0 };
}

double tb_metrics_get(const tb_metrics *metrics, const char *name) {
  const entry *e = find(metrics, name);
  return e && e->value.kind <= TB_METRIC_INTEGER ? e->value.values[0] : NAN;
}

/* Snapshots as a CSV table (a row a snapshot) and as NPZ arrays (a first axis of snapshots).
 *
 * A column is a metric that any snapshot has.  Vectors and matrices take the largest size seen; what a snapshot lacks
 * is NaN, or empty where the metric is a word.  Indices in column names count from 1, as x1, x2, … of data files do. */
#include <math.h>
#include <string.h>

#include "io/npz.h"
#include "run/export.h"
#include "run/record.h"

typedef struct column {
  const char *name;
  bool words;
  bool integers; /* every row has an integer */
  size_t rank;   /* 0, 1, 2: number or word, vector, matrix */
  size_t rows, cols;
} column;

typedef struct table {
  tb_context *context;
  tb_arena *arena;
  size_t n_rows;
  const tb_metrics **rows;
  const char **runs; /* name of each row's run */
  size_t n_columns, room;
  column *columns;
} table;

static tb_status add_column(table *t, const tb_metric_value *v) {
  if (t->n_columns == t->room) {
    size_t room = t->room ? 2 * t->room : 32;
    column *larger = tb_arena_allocate(t->arena, room, sizeof *larger);
    if (!larger)
      return TB_NO_MEMORY;
    if (t->n_columns)
      memcpy(larger, t->columns, t->n_columns * sizeof *larger);
    t->columns = larger;
    t->room = room;
  }
  t->columns[t->n_columns++] = (column){ .name = v->name, .integers = true };
  return TB_OK;
}

static column *column_named(const table *t, const char *name) {
  for (size_t i = 0; i < t->n_columns; i++)
    if (strcmp(t->columns[i].name, name) == 0)
      return &t->columns[i];
  return NULL;
}

static bool wordy(tb_metric_kind kind) {
  return kind == TB_METRIC_WORD || kind == TB_METRIC_WORDS;
}

static void widen(column *c, const tb_metric_value *v) {
  size_t rank = v->kind == TB_METRIC_MATRIX ? 2 : v->kind == TB_METRIC_VECTOR ? 1 : 0;
  if (wordy(v->kind)) {
    c->words = true;
    return;
  }
  c->rank = rank > c->rank ? rank : c->rank;
  c->rows = v->rows > c->rows ? v->rows : c->rows;
  c->cols = v->cols > c->cols ? v->cols : c->cols;
}

/* Collects rows and columns of all outcomes. */
static tb_status collect(table *t, size_t n, const tb_outcome *outcomes) {
  size_t most = 0;
  for (size_t i = 0; i < n; i++)
    most += outcomes[i].n_snapshots + 1;
  t->rows = tb_arena_allocate(t->arena, most + 1, sizeof *t->rows);
  t->runs = tb_arena_allocate(t->arena, most + 1, sizeof *t->runs);
  if (!t->rows || !t->runs)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < (outcomes[i].n_snapshots ? outcomes[i].n_snapshots : 1); k++) {
      t->runs[t->n_rows] = outcomes[i].run;
      t->rows[t->n_rows++] = outcomes[i].n_snapshots ? outcomes[i].snapshots[k] : outcomes[i].metrics;
    }
  for (size_t r = 0; r < t->n_rows; r++)
    for (size_t i = 0; i < tb_metrics_count(t->rows[r]); i++) {
      tb_metric_value v = tb_metrics_at(t->rows[r], i);
      column *c = column_named(t, v.name);
      if (!c) {
        if (add_column(t, &v))
          return TB_NO_MEMORY;
        c = &t->columns[t->n_columns - 1];
      }
      widen(c, &v);
    }
  for (size_t k = 0; k < t->n_columns; k++)
    for (size_t r = 0; r < t->n_rows && t->columns[k].integers; r++) {
      tb_metric_value v = tb_metrics_find(t->rows[r], t->columns[k].name);
      t->columns[k].integers = v.name && v.kind == TB_METRIC_INTEGER;
    }
  return TB_OK;
}

/* Element (i, j) of a metric in a row, NaN where it has none. */
static double element(const tb_metric_value *v, size_t i, size_t j) {
  return v->name && !wordy(v->kind) && i < v->rows && j < v->cols ? v->values[i * v->cols + j] : NAN;
}

/* The words of a metric, lists parted by "; ". */
static const char *words_of(tb_arena *arena, const tb_metric_value *v) {
  const char *joined = "";
  if (!v->name || !wordy(v->kind))
    return joined;
  for (size_t i = 0; i < v->cols && joined; i++)
    joined = tb_arena_format(arena, "%s%s%s", joined, i ? "; " : "", v->words[i]);
  return joined;
}

/* ---- CSV ---- */

static void add_field(tb_text *out, const char *text) {
  if (!strpbrk(text, ",\"\r\n")) {
    tb_text_add(out, text);
    return;
  }
  tb_text_add(out, "\"");
  for (; *text; text++)
    tb_text_add(out, *text == '"' ? "\"\"" : (char[]){ *text, 0 });
  tb_text_add(out, "\"");
}

static void add_header(tb_text *out, const column *c) {
  if (c->words || c->rank == 0) {
    add_field(out, c->name);
    return;
  }
  for (size_t i = 0; i < c->rows; i++)
    for (size_t j = 0; j < c->cols; j++)
      if (c->rank == 1)
        tb_text_format(out, "%s%s[%zu]", j ? "," : "", c->name, j + 1);
      else
        tb_text_format(out, "%s%s[%zu][%zu]", i || j ? "," : "", c->name, i + 1, j + 1);
}

static void add_number(tb_text *out, double value) {
  if (isfinite(value))
    tb_text_format(out, "%.17g", value);
  else
    tb_text_add(out, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
}

static tb_status add_cells(table *t, tb_text *out, const column *c, const tb_metrics *row) {
  tb_metric_value v = tb_metrics_find(row, c->name);
  if (c->words) {
    const char *text = words_of(t->arena, &v);
    if (!text)
      return TB_NO_MEMORY;
    add_field(out, text);
    return TB_OK;
  }
  for (size_t i = 0; i < c->rows; i++)
    for (size_t j = 0; j < c->cols; j++) {
      tb_text_add(out, i || j ? "," : "");
      if (v.name && v.kind == TB_METRIC_INTEGER)
        tb_text_format(out, "%lld", (long long)v.integer);
      else
        add_number(out, element(&v, i, j));
    }
  return TB_OK;
}

tb_status tb_outcomes_csv(tb_context *context, size_t n, const tb_outcome *outcomes, tb_text *out) {
  table t = { .context = context, .arena = tb_arena_new(context) };
  tb_status status = t.arena ? collect(&t, n, outcomes) : TB_NO_MEMORY;
  if (status)
    goto done;
  tb_text_add(out, n > 1 ? "run" : "");
  for (size_t k = 0; k < t.n_columns; k++) {
    tb_text_add(out, k || n > 1 ? "," : "");
    add_header(out, &t.columns[k]);
  }
  tb_text_add(out, "\n");
  for (size_t r = 0; r < t.n_rows && !status; r++) {
    if (n > 1)
      add_field(out, t.runs[r]);
    for (size_t k = 0; k < t.n_columns && !status; k++) {
      tb_text_add(out, k || n > 1 ? "," : "");
      status = add_cells(&t, out, &t.columns[k], t.rows[r]);
    }
    tb_text_add(out, "\n");
  }
  if (!status)
    status = tb_text_finish(out);
done:
  tb_arena_free(t.arena);
  return status;
}

/* ---- NPZ ---- */

static tb_status fill_words(table *t, const column *c, tb_array *array) {
  const char **words = tb_arena_allocate(t->arena, t->n_rows + 1, sizeof *words);
  if (!words)
    return TB_NO_MEMORY;
  for (size_t r = 0; r < t->n_rows; r++) {
    tb_metric_value v = tb_metrics_find(t->rows[r], c->name);
    if (!(words[r] = words_of(t->arena, &v)))
      return TB_NO_MEMORY;
  }
  *array = (tb_array){ .name = c->name, .type = TB_ARRAY_TEXT, .rank = 1, .dims = { t->n_rows }, .words = words };
  return TB_OK;
}

static tb_status fill_integers(table *t, const column *c, tb_array *array) {
  int64_t *values = tb_arena_allocate(t->arena, t->n_rows + 1, sizeof *values);
  if (!values)
    return TB_NO_MEMORY;
  for (size_t r = 0; r < t->n_rows; r++)
    values[r] = tb_metrics_find(t->rows[r], c->name).integer;
  *array = (tb_array){ .name = c->name, .type = TB_ARRAY_INT64, .rank = 1, .dims = { t->n_rows }, .data = values };
  return TB_OK;
}

static tb_status fill_array(table *t, const column *c, tb_array *array) {
  if (c->words)
    return fill_words(t, c, array);
  if (c->integers)
    return fill_integers(t, c, array);
  double *values = tb_arena_allocate(t->arena, t->n_rows * c->rows * c->cols + 1, sizeof *values);
  if (!values)
    return TB_NO_MEMORY;
  for (size_t r = 0, at = 0; r < t->n_rows; r++) {
    tb_metric_value v = tb_metrics_find(t->rows[r], c->name);
    for (size_t i = 0; i < c->rows; i++)
      for (size_t j = 0; j < c->cols; j++)
        values[at++] = element(&v, i, j);
  }
  *array = (tb_array){ .name = c->name, .type = TB_ARRAY_FLOAT64, .rank = 1 + c->rank, .data = values };
  array->dims[0] = t->n_rows;
  array->dims[1] = c->rank == 2 ? c->rows : c->cols;
  array->dims[2] = c->cols;
  return TB_OK;
}

tb_status tb_outcomes_npz(tb_context *context, size_t n, const tb_outcome *outcomes, const char *path) {
  table t = { .context = context, .arena = tb_arena_new(context) };
  tb_status status = t.arena ? collect(&t, n, outcomes) : TB_NO_MEMORY;
  tb_array *arrays = status ? NULL : tb_arena_allocate(t.arena, t.n_columns + 2, sizeof *arrays);
  size_t count = 0;
  if (!status && !arrays)
    status = TB_NO_MEMORY;
  if (!status && n > 1)
    arrays[count++] =
        (tb_array){ .name = "run", .type = TB_ARRAY_TEXT, .rank = 1, .dims = { t.n_rows }, .words = t.runs };
  for (size_t k = 0; k < t.n_columns && !status; k++)
    status = fill_array(&t, &t.columns[k], &arrays[count++]);
  if (!status)
    status = tb_npz_write(context, path, count, arrays);
  tb_arena_free(t.arena);
  return status;
}

/* ---- of records ---- */

static tb_outcome *outcomes_of(tb_context *context, size_t n, tb_record *const *records) {
  tb_outcome *outcomes = tb_allocate(context, n, sizeof *outcomes);
  for (size_t i = 0; outcomes && i < n; i++)
    outcomes[i] = *tb_record_outcome(records[i]);
  return outcomes;
}

tb_status tb_records_csv(tb_context *context, size_t n, tb_record *const *records, tb_text *out) {
  tb_outcome *outcomes = outcomes_of(context, n, records);
  tb_status status = outcomes ? tb_outcomes_csv(context, n, outcomes, out) : TB_NO_MEMORY;
  tb_release(context, outcomes);
  return status;
}

tb_status tb_records_npz(tb_context *context, size_t n, tb_record *const *records, const char *path) {
  tb_outcome *outcomes = outcomes_of(context, n, records);
  tb_status status = outcomes ? tb_outcomes_npz(context, n, outcomes, path) : TB_NO_MEMORY;
  tb_release(context, outcomes);
  return status;
}

/* The trace of a run: growing lists in one arena. */
#include <string.h>

#include "run/trace.h"

tb_status tb_trace_new(tb_context *context, tb_trace *trace) {
  *trace = (tb_trace){ .context = context };
  trace->arena = tb_arena_new(context);
  if (!trace->arena)
    return TB_NO_MEMORY;
  return tb_metrics_new(context, &trace->metrics);
}

void tb_trace_free(tb_trace *trace) {
  for (size_t i = 0; i < trace->n_snapshots; i++)
    tb_metrics_free(trace->snapshots[i]);
  if (trace->context) {
    tb_release(trace->context, trace->snapshots);
    tb_release(trace->context, trace->warnings);
    tb_release(trace->context, trace->file_keys);
    tb_release(trace->context, trace->file_names);
  }
  tb_metrics_free(trace->metrics);
  tb_arena_free(trace->arena);
  *trace = (tb_trace){ 0 };
}

/* Room for one more pointer. */
static tb_status grow(tb_context *context, void *list, size_t count, size_t *room) {
  void ***items = list;
  if (*items && count < *room)
    return TB_OK;
  size_t wanted = *items ? *room * 2 : 8;
  void **larger = tb_reallocate(context, *items, wanted, sizeof *larger);
  if (!larger)
    return TB_NO_MEMORY;
  *items = larger;
  *room = wanted;
  return TB_OK;
}

tb_status tb_metrics_copy(tb_context *context, const tb_metrics *from, tb_metrics **to) {
  tb_metrics *copy;
  tb_status status = tb_metrics_new(context, &copy);
  if (status)
    return status;
  for (size_t i = 0; i < tb_metrics_count(from) && !status; i++) {
    tb_metric_value v = tb_metrics_at(from, i);
    switch (v.kind) {
    case TB_METRIC_REAL:
      status = tb_metrics_real(copy, v.name, v.values[0]);
      break;
    case TB_METRIC_INTEGER:
      status = tb_metrics_integer(copy, v.name, v.integer);
      break;
    case TB_METRIC_WORD:
      status = tb_metrics_word(copy, v.name, v.words[0]);
      break;
    case TB_METRIC_VECTOR:
      status = tb_metrics_vector(copy, v.name, v.cols, v.values);
      break;
    case TB_METRIC_MATRIX:
      status = tb_metrics_matrix(copy, v.name, v.rows, v.cols, v.values);
      break;
    case TB_METRIC_WORDS:
      status = tb_metrics_words(copy, v.name, v.cols, v.words);
      break;
    }
  }
  if (status)
    tb_metrics_free(copy);
  else
    *to = copy;
  return status;
}

tb_status tb_trace_snapshot(tb_trace *trace, const tb_metrics *metrics) {
  tb_status status = grow(trace->context, &trace->snapshots, trace->n_snapshots, &trace->room_snapshots);
  if (!status)
    status = tb_metrics_copy(trace->context, metrics, &trace->snapshots[trace->n_snapshots]);
  if (!status)
    trace->n_snapshots++;
  return status;
}

tb_status tb_trace_warn(tb_trace *trace, const char *message, bool *added) {
  *added = false;
  for (size_t i = 0; i < trace->n_warnings; i++)
    if (strcmp(trace->warnings[i], message) == 0)
      return TB_OK;
  const char *copy = tb_arena_text(trace->arena, message);
  if (!copy || grow(trace->context, &trace->warnings, trace->n_warnings, &trace->room_warnings))
    return TB_NO_MEMORY;
  trace->warnings[trace->n_warnings++] = copy;
  *added = true;
  return TB_OK;
}

tb_status tb_trace_file(tb_trace *trace, const char *key, const char *name) {
  for (size_t i = 0; i < trace->n_files; i++)
    if (strcmp(trace->file_keys[i], key) == 0)
      return TB_OK;
  size_t room = trace->room_files;
  const char *key_copy = tb_arena_text(trace->arena, key), *name_copy = tb_arena_text(trace->arena, name);
  if (!key_copy || !name_copy || grow(trace->context, &trace->file_keys, trace->n_files, &room) ||
      grow(trace->context, &trace->file_names, trace->n_files, &trace->room_files))
    return TB_NO_MEMORY;
  trace->file_keys[trace->n_files] = key_copy;
  trace->file_names[trace->n_files++] = name_copy;
  return TB_OK;
}

/* Checkpoints: the trace of a run and the study's own state in one file.
 *
 *   "tiebreak checkpoint 1\n", build (text), length, FNV-1a 64 of what follows, then the trace and the state,
 * little-endian words of 64 bits, texts and arrays after their length.  Bits of doubles are kept as they are, so that a
 * resumed run continues from exactly what was recorded. */
#include <stdio.h>
#include <string.h>

#include "run/build.h"
#include "run/trace.h"

static const char magic[] = "tiebreak checkpoint 1\n";

/* ---- writing ---- */

static void put_word(tb_text *out, uint64_t value) {
  char bytes[8];
  for (int i = 0; i < 8; i++)
    bytes[i] = (char)(value >> (8 * i) & 0xff);
  tb_text_add_bytes(out, bytes, 8);
}

static void put_double(tb_text *out, double value) {
  uint64_t bits;
  memcpy(&bits, &value, 8);
  put_word(out, bits);
}

static void put_text(tb_text *out, const char *text) {
  put_word(out, strlen(text));
  tb_text_add(out, text);
}

static void put_metrics(tb_text *out, const tb_metrics *metrics) {
  put_word(out, tb_metrics_count(metrics));
  for (size_t i = 0; i < tb_metrics_count(metrics); i++) {
    tb_metric_value v = tb_metrics_at(metrics, i);
    put_text(out, v.name);
    put_word(out, (uint64_t)v.kind);
    put_word(out, v.rows);
    put_word(out, v.cols);
    if (v.kind == TB_METRIC_WORD || v.kind == TB_METRIC_WORDS)
      for (size_t k = 0; k < v.cols; k++)
        put_text(out, v.words[k]);
    else if (v.kind == TB_METRIC_INTEGER)
      put_word(out, (uint64_t)v.integer);
    else
      for (size_t k = 0; k < v.rows * v.cols; k++)
        put_double(out, v.values[k]);
  }
}

static uint64_t hash_of(const char *bytes, size_t size) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < size; i++)
    hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
  return hash;
}

tb_status tb_checkpoint_write(tb_context *context, const char *path, const tb_trace *trace, const void *state,
                              size_t size) {
  tb_text body = tb_text_new(context), file = tb_text_new(context);
  put_double(&body, trace->seconds);
  put_word(&body, trace->n_warnings);
  for (size_t i = 0; i < trace->n_warnings; i++)
    put_text(&body, trace->warnings[i]);
  put_word(&body, trace->n_files);
  for (size_t i = 0; i < trace->n_files; i++) {
    put_text(&body, trace->file_keys[i]);
    put_text(&body, trace->file_names[i]);
  }
  put_metrics(&body, trace->metrics);
  put_word(&body, trace->n_snapshots);
  for (size_t i = 0; i < trace->n_snapshots; i++)
    put_metrics(&body, trace->snapshots[i]);
  put_word(&body, size);
  tb_text_add_bytes(&body, state, size);
  tb_status status = tb_text_finish(&body);
  if (!status) {
    tb_text_add_bytes(&file, magic, sizeof magic - 1);
    put_text(&file, tb_build_identity());
    put_word(&file, body.length);
    put_word(&file, hash_of(body.data, body.length));
    tb_text_add_bytes(&file, body.data, body.length);
    status = tb_text_finish(&file);
  }
  if (!status)
    status = tb_file_write(context, path, file.data, file.length);
  tb_text_free(&body);
  tb_text_free(&file);
  return status;
}

/* ---- reading: every length is checked against what is left ---- */

typedef struct reader {
  const char *data;
  size_t left;
  bool bad;
} reader;

static const char *take(reader *in, size_t size) {
  if (in->bad || size > in->left) {
    in->bad = true;
    return "";
  }
  const char *at = in->data;
  in->data += size;
  in->left -= size;
  return at;
}

static uint64_t get_word(reader *in) {
  const unsigned char *bytes = (const unsigned char *)take(in, 8);
  uint64_t value = 0;
  for (int i = 0; i < 8 && !in->bad; i++)
    value |= (uint64_t)bytes[i] << (8 * i);
  return value;
}

static double get_double(reader *in) {
  uint64_t bits = get_word(in);
  double value;
  memcpy(&value, &bits, 8);
  return value;
}

static const char *get_text(reader *in, tb_arena *arena) {
  size_t length = get_word(in);
  const char *bytes = take(in, length);
  char *copy = in->bad ? NULL : tb_arena_allocate(arena, length + 1, 1);
  if (!copy) {
    in->bad = true;
    return "";
  }
  memcpy(copy, bytes, length);
  return copy;
}

static tb_status get_metric(reader *in, tb_arena *arena, tb_metrics *metrics) {
  const char *name = get_text(in, arena);
  uint64_t kind = get_word(in);
  size_t rows = get_word(in), cols = get_word(in);
  if (in->bad || kind > TB_METRIC_WORDS || (cols && rows > in->left / 8 / cols)) {
    in->bad = true;
    return TB_OK;
  }
  if (kind == TB_METRIC_INTEGER) {
    int64_t integer = (int64_t)get_word(in);
    return in->bad ? TB_OK : tb_metrics_integer(metrics, name, integer);
  }
  bool words = kind == TB_METRIC_WORD || kind == TB_METRIC_WORDS;
  size_t count = words ? cols : rows * cols;
  double *values = tb_arena_allocate(arena, count + 1, sizeof *values);
  const char **texts = tb_arena_allocate(arena, count + 1, sizeof *texts);
  if (!values || !texts)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < count; i++)
    if (words)
      texts[i] = get_text(in, arena);
    else
      values[i] = get_double(in);
  if (in->bad)
    return TB_OK;
  switch ((tb_metric_kind)kind) {
  case TB_METRIC_REAL:
    return tb_metrics_real(metrics, name, values[0]);
  case TB_METRIC_INTEGER:
    break; /* above */
  case TB_METRIC_WORD:
    return tb_metrics_word(metrics, name, count ? texts[0] : "");
  case TB_METRIC_VECTOR:
    return tb_metrics_vector(metrics, name, cols, values);
  case TB_METRIC_MATRIX:
    return tb_metrics_matrix(metrics, name, rows, cols, values);
  case TB_METRIC_WORDS:
    return tb_metrics_words(metrics, name, cols, texts);
  }
  return TB_OK;
}

static tb_status get_metrics(reader *in, tb_arena *arena, tb_metrics *metrics) {
  size_t count = get_word(in);
  tb_status status = TB_OK;
  for (size_t i = 0; i < count && !in->bad && !status; i++)
    status = get_metric(in, arena, metrics);
  return status;
}

static tb_status get_trace(reader *in, tb_arena *scratch, tb_trace *trace) {
  tb_status status = TB_OK;
  bool added;
  trace->seconds = get_double(in);
  size_t warnings = get_word(in);
  for (size_t i = 0; i < warnings && !in->bad && !status; i++)
    status = tb_trace_warn(trace, get_text(in, scratch), &added);
  size_t files = get_word(in);
  for (size_t i = 0; i < files && !in->bad && !status; i++) {
    const char *key = get_text(in, scratch), *name = get_text(in, scratch);
    status = tb_trace_file(trace, key, name);
  }
  if (!status)
    status = get_metrics(in, scratch, trace->metrics);
  size_t snapshots = get_word(in);
  for (size_t i = 0; i < snapshots && !in->bad && !status; i++) {
    tb_metrics *one;
    status = tb_metrics_new(trace->context, &one);
    if (status)
      break;
    status = get_metrics(in, scratch, one);
    if (!status && !in->bad)
      status = tb_trace_snapshot(trace, one);
    tb_metrics_free(one);
  }
  return status;
}

/* The checked body of a checkpoint file: empty and bad when it is damaged or of another build. */
static reader open_body(const char *data, size_t size, tb_arena *scratch) {
  reader in = { data, size, false };
  const char *start = take(&in, sizeof magic - 1);
  if (!in.bad && memcmp(start, magic, sizeof magic - 1) != 0)
    in.bad = true;
  const char *build = get_text(&in, scratch);
  uint64_t length = get_word(&in), hash = get_word(&in);
  if (in.bad || strcmp(build, tb_build_identity()) != 0 || length != in.left || hash_of(in.data, in.left) != hash)
    in.bad = true;
  return in;
}

tb_status tb_checkpoint_read(tb_context *context, const char *path, tb_trace *trace, const void **state, size_t *size) {
  *state = NULL;
  *size = 0;
  if (!tb_file_exists(path))
    return TB_OK;
  char *data = NULL;
  size_t length;
  tb_arena *scratch = tb_arena_new(context);
  tb_status status = scratch ? tb_file_read(context, path, &data, &length) : TB_NO_MEMORY;
  if (status)
    goto done;
  reader in = open_body(data, length, scratch);
  if (in.bad)
    goto done;
  status = get_trace(&in, scratch, trace);
  if (status)
    goto done;
  *size = get_word(&in);
  const char *bytes = take(&in, *size);
  char *copy = in.bad ? NULL : tb_arena_allocate(trace->arena, *size + 1, 1);
  if (in.bad) { /* the checksum was right: written wrongly */
    status =
        tb_fail(context, TB_BAD_DATA, path, "delete it to start the run again", "the checkpoint contradicts itself");
  } else if (!copy) {
    status = TB_NO_MEMORY;
  } else {
    memcpy(copy, bytes, *size);
    *state = copy;
  }
done:
  tb_release(context, data);
  tb_arena_free(scratch);
  return status;
}

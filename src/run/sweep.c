/* Sweeps: `a,b,c` lists values, `1:5` counts with both ends; the runs are their cross product.
 *
 * Values are counted before any is made, so that `seed=0:999999999` costs nothing but its message.  Run r of a part is
 * r written in mixed radix, one digit an axis, the last axis (seed where it is swept) varying fastest. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "run/batch.h"

typedef struct element {
  size_t start, length; /* in the text */
  bool range;
  int64_t first, last;
} element;

typedef struct sweep {
  const tb_assignment *source;
  size_t count;
  element *elements;
  double values; /* a count that may be absurd */
} sweep;

static bool sweeps(const tb_option *option) {
  return option->type != TB_REALS && option->type != TB_MATRIX;
}

static bool counts(const tb_option *option) {
  return option->type == TB_INTEGER || option->type == TB_REAL;
}

/* A whole number of at most 2^53 that fills the text up to the end; accepts 1e6. */
static bool whole_number(const char *text, size_t length, int64_t *value) {
  char copy[64];
  double number;
  if (length == 0 || length >= sizeof copy)
    return false;
  memcpy(copy, text, length);
  copy[length] = 0;
  const char *end = tb_number_read(copy, &number);
  if (!end || *end || !(fabs(number) <= 9007199254740992.0) || number != floor(number))
    return false;
  *value = (int64_t)number;
  return true;
}

static tb_status parse_range(tb_context *context, const tb_assignment *source, element *e) {
  const char *text = source->text + e->start, *colon = memchr(text, ':', e->length);
  if (!whole_number(text, (size_t)(colon - text), &e->first) ||
      !whole_number(colon + 1, e->length - (size_t)(colon + 1 - text), &e->last)) {
    tb_fail(context, TB_USAGE, source->origin,
            "a range is FIRST:LAST in whole numbers; else list the values: KEY=A,B,C",
            "'%.*s' is no range for option '%s'", (int)e->length, text, source->key);
    return tb_assignment_fail(context, source, false, e->start);
  }
  if (e->first > e->last) {
    tb_fail(context, TB_USAGE, source->origin, "write the smaller end first",
            "the range '%.*s' of option '%s' is empty", (int)e->length, text, source->key);
    return tb_assignment_fail(context, source, false, e->start);
  }
  return TB_OK;
}

/* Cuts the text of an assignment into elements and counts its values. */
static tb_status parse(tb_batch *batch, const tb_option *option, const tb_assignment *source, bool literal,
                       sweep *out) {
  const char *text = source->text;
  size_t commas = 0;
  for (const char *s = text; *s; s++)
    commas += *s == ',';
  bool single = literal || !sweeps(option) || !*text;
  *out = (sweep){ .source = source, .values = 0 };
  out->elements = tb_arena_allocate(batch->arena, commas + 1, sizeof *out->elements);
  if (!out->elements)
    return TB_NO_MEMORY;
  for (size_t start = 0, end; start <= strlen(text); start = end + 1) {
    end = single ? strlen(text) : start + strcspn(text + start, ",");
    element *e = &out->elements[out->count++];
    *e = (element){ .start = start, .length = end - start };
    if (e->length == 0 && !single) {
      tb_fail(batch->context, TB_USAGE, source->origin, "commas part the values of a sweep",
              "empty value for option '%s'", source->key);
      return tb_assignment_fail(batch->context, source, false, start);
    }
    e->range = !single && counts(option) && memchr(text + start, ':', e->length);
    if (e->range) {
      tb_status status = parse_range(batch->context, source, e);
      if (status)
        return status;
    }
    out->values += e->range ? (double)(e->last - e->first) + 1 : 1;
  }
  return TB_OK;
}

/* Makes the texts of all values. */
static tb_status expand(tb_batch *batch, const sweep *from, tb_axis *axis) {
  const char **values = tb_arena_allocate(batch->arena, (size_t)from->values, sizeof *values);
  if (!values)
    return TB_NO_MEMORY;
  *axis = (tb_axis){ .source = from->source, .values = values };
  for (size_t i = 0; i < from->count; i++) {
    const element *e = &from->elements[i];
    for (int64_t k = 0; k <= (e->range ? e->last - e->first : 0); k++) {
      const char *value = e->range
                              ? tb_arena_format(batch->arena, "%" PRId64, e->first + k)
                              : tb_arena_format(batch->arena, "%.*s", (int)e->length, from->source->text + e->start);
      if (!value)
        return TB_NO_MEMORY;
      values[axis->count++] = value;
    }
  }
  return TB_OK;
}

/* Sets every value once on a scratch configuration: the option table's own complaints. */
static tb_status validate(tb_batch *batch, tb_config *scratch, const sweep *from) {
  const tb_assignment *source = from->source;
  for (size_t i = 0; i < from->count; i++) {
    const element *e = &from->elements[i];
    for (int end = 0; end <= (e->range ? 1 : 0); end++) { /* a range lies within its ends */
      const char *value = e->range ? tb_arena_format(batch->arena, "%" PRId64, end ? e->last : e->first)
                                   : tb_arena_format(batch->arena, "%.*s", (int)e->length, source->text + e->start);
      if (!value)
        return TB_NO_MEMORY;
      if (tb_config_set(scratch, source->key, value, source->origin))
        return tb_assignment_fail(
            batch->context, source, false,
            e->start + (end ? (size_t)(strchr(source->text + e->start, ':') + 1 - source->text) - e->start : 0));
    }
  }
  return TB_OK;
}

/* 1234567 as 1,234,567; larger than 10^15 in powers. */
static const char *readable(double count, char buffer[40]) {
  if (count >= 1e15) {
    snprintf(buffer, 40, "%.3g", count);
    return buffer;
  }
  char digits[32];
  int n = snprintf(digits, sizeof digits, "%.0f", count), length = 0;
  for (int i = 0; i < n; i++) {
    if (i && (n - i) % 3 == 0)
      buffer[length++] = ',';
    buffer[length++] = digits[i];
  }
  buffer[length] = 0;
  return buffer;
}

static tb_status too_many(tb_batch *batch, const sweep *widest, double runs) {
  char total[40], most[40], widest_count[40];
  char hint[200];
  snprintf(hint, sizeof hint, "%s takes %s values here; shorten the sweep or split it into several batches",
           widest->source->key, readable(widest->values, widest_count));
  tb_fail(batch->context, TB_USAGE, widest->source->origin, hint, "this asks for %s runs, one batch holds at most %s",
          readable(runs, total), readable(TB_MOST_RUNS, most));
  return tb_assignment_fail(batch->context, widest->source, false, 0);
}

/* Keeps the last assignment of every key, in order, seed last.  Returns their number. */
static size_t keep_effective(sweep *all, size_t count) {
  size_t kept = 0, seed = count;
  for (size_t i = 0; i < count; i++) {
    bool overridden = false;
    for (size_t j = i + 1; j < count && !overridden; j++)
      overridden = strcmp(all[i].source->key, all[j].source->key) == 0;
    if (overridden)
      continue;
    if (strcmp(all[i].source->key, "seed") == 0)
      seed = kept;
    all[kept++] = all[i];
  }
  if (seed < kept) {
    sweep last = all[seed];
    memmove(all + seed, all + seed + 1, (kept - seed - 1) * sizeof *all);
    all[kept - 1] = last;
  }
  return kept;
}

/* Parses and validates the assignments of a part; *sweeps in order of variation. */
static tb_status parse_part(tb_batch *batch, tb_section *part, sweep **out, double *runs) {
  const tb_study *study = part->part.study;
  tb_config *scratch;
  tb_status status = tb_config_new(batch->context, study->n_tables, study->tables, &scratch);
  if (status)
    return status;
  sweep *all = tb_arena_allocate(batch->arena, part->part.count + 1, sizeof *all);
  if (!all)
    status = TB_NO_MEMORY;
  for (size_t i = 0; i < part->part.count && !status; i++) {
    const tb_assignment *source = &part->part.assignments[i];
    const tb_option *option = tb_config_find(scratch, source->key);
    if (!option) { /* lets the table complain and suggest */
      tb_config_set(scratch, source->key, source->text, source->origin);
      status = tb_assignment_fail(batch->context, source, true, 0);
    } else {
      status = parse(batch, option, source, part->literal, &all[i]);
      if (!status)
        status = validate(batch, scratch, &all[i]);
    }
  }
  if (!status) {
    part->n_axes = keep_effective(all, part->part.count);
    *out = all;
    *runs = 1;
    for (size_t i = 0; i < part->n_axes; i++)
      *runs *= all[i].values;
  }
  tb_config_free(scratch);
  return status;
}

/* Points a study's complaint at the assignment it is about: "option NAME", or the path of a file that an option names.
 */
static tb_status point(tb_batch *batch, const tb_section *part, tb_status status) {
  char place[4200];
  snprintf(place, sizeof place, "%s", tb_context_place(batch->context));
  if (*tb_context_excerpt(batch->context))
    return status;
  for (size_t i = 0; i < part->n_axes; i++) {
    const tb_axis *axis = &part->axes[i];
    if (strncmp(place, "option ", 7) == 0 && strcmp(place + 7, axis->source->key) == 0)
      return tb_assignment_fail(batch->context, axis->source, false, 0);
    for (size_t k = 0; k < axis->count && *place; k++)
      if (strcmp(axis->values[k], place) == 0)
        return tb_assignment_fail(batch->context, axis->source, false, 0);
  }
  return status;
}

/* The study's own check, once for every combination of options other than the seed. */
static tb_status check_part(tb_batch *batch, const tb_section *part) {
  if (!part->part.study->check)
    return TB_OK;
  size_t stride = 1;
  if (part->n_axes && strcmp(part->axes[part->n_axes - 1].source->key, "seed") == 0)
    stride = part->axes[part->n_axes - 1].count;
  for (size_t run = 0; run < part->runs; run += stride) {
    tb_config *config;
    tb_status status = tb_batch_make_config(batch->context, batch, part->first + run, &config);
    if (status)
      return status;
    status = part->part.study->check(batch->context, config);
    tb_config_free(config);
    if (status)
      return point(batch, part, status);
  }
  return TB_OK;
}

tb_status tb_batch_expand(tb_batch *batch) {
  sweep **sweeps_of = tb_arena_allocate(batch->arena, batch->n_parts + 1, sizeof *sweeps_of);
  if (!sweeps_of)
    return TB_NO_MEMORY;
  double total = 0;
  const sweep *widest = NULL;
  for (size_t p = 0; p < batch->n_parts; p++) {
    double runs;
    tb_status status = parse_part(batch, &batch->parts[p], &sweeps_of[p], &runs);
    if (status)
      return status;
    total += runs;
    for (size_t i = 0; i < batch->parts[p].n_axes; i++)
      if (!widest || sweeps_of[p][i].values > widest->values)
        widest = &sweeps_of[p][i];
  }
  if (total > TB_MOST_RUNS && widest)
    return too_many(batch, widest, total);
  for (size_t p = 0; p < batch->n_parts; p++) {
    tb_section *part = &batch->parts[p];
    part->axes = tb_arena_allocate(batch->arena, part->n_axes + 1, sizeof *part->axes);
    if (!part->axes)
      return TB_NO_MEMORY;
    part->first = batch->n_runs;
    part->runs = 1;
    for (size_t i = 0; i < part->n_axes; i++) {
      tb_status status = expand(batch, &sweeps_of[p][i], &part->axes[i]);
      if (status)
        return status;
      part->runs *= part->axes[i].count;
    }
    batch->n_runs += part->runs;
  }
  batch->configs = tb_arena_allocate(batch->arena, batch->n_runs + 1, sizeof *batch->configs);
  if (!batch->configs)
    return TB_NO_MEMORY;
  for (size_t p = 0; p < batch->n_parts; p++) {
    tb_status status = check_part(batch, &batch->parts[p]);
    if (status)
      return status;
  }
  return TB_OK;
}

tb_status tb_batch_make_config(tb_context *context, const tb_batch *batch, size_t run, tb_config **config) {
  const tb_section *part = tb_section_of(batch, run);
  tb_status status = tb_config_new(context, part->part.study->n_tables, part->part.study->tables, config);
  size_t place = run - part->first, stride = part->runs;
  for (size_t i = 0; i < part->n_axes && !status; i++) {
    const tb_axis *axis = &part->axes[i];
    stride /= axis->count;
    status =
        tb_config_set(*config, axis->source->key, axis->values[place / stride % axis->count], axis->source->origin);
    if (status)
      tb_config_free(*config);
  }
  return status;
}

/* Draws of a run as Stan's CSV: a comment on what was run, the sampler's columns (names that end in __), the parameters
 * with dots for indices; a row a draw, chain by chain. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <tiebreak/tiebreak.h>

#include "base/number.h"
#include "io/npz.h"
#include "run/record.h"

static const tb_array *find(size_t count, const tb_array *arrays, const char *name) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(arrays[i].name, name) == 0)
      return &arrays[i];
  return NULL;
}

/* theta[1,2] → theta.1.2 */
static void add_name(tb_text *out, const char *name) {
  for (; *name; name++)
    if (*name != ']')
      tb_text_format(out, "%c", *name == '[' || *name == ',' ? '.' : *name);
}

static void add_value(tb_text *out, const tb_array *array, size_t i) {
  char number[TB_NUMBER_SIZE];
  const double value =
      array->type == TB_ARRAY_INT64 ? (double)((const int64_t *)array->data)[i] : ((const double *)array->data)[i];
  tb_number_text(number, value);
  tb_text_add(out, number);
}

/* Sampler's columns in the order in which Stan's tools expect them; then whatever weights the draws. */
static const char *const columns[] = { "lp__",         "accept_stat__", "stepsize__", "treedepth__",
                                       "n_leapfrog__", "divergent__",   "energy__" };
enum { COLUMNS = sizeof columns / sizeof *columns };

static tb_status write(const tb_record *record, size_t count, const tb_array *arrays, size_t chain, tb_text *out) {
  const tb_array *draws = find(count, arrays, "draws"), *chains = find(count, arrays, "chain");
  const tb_array *weight = find(count, arrays, "log_weight");
  const tb_metric_value names = tb_metrics_find(record->outcome.metrics, "names");
  if (!draws || draws->rank != 2 || !chains || !weight || names.cols != draws->dims[1])
    return tb_fail(record->context, TB_BAD_DATA, record->folder, "sample again", "draws.npz is damaged");
  const bool weighted = !find(count, arrays, "accept_stat__");
  tb_text_format(out, "# tiebreak %s\n# method = %s\n# target = %s\n# seed = %lld\n", TB_VERSION,
                 tb_config_word(record->config, "method"), tb_config_word(record->config, "target"),
                 (long long)tb_config_integer(record->config, "seed"));
  const char *comma = "";
  for (size_t k = 0; k < COLUMNS; k++)
    if (find(count, arrays, columns[k])) {
      tb_text_format(out, "%s%s", comma, columns[k]);
      comma = ",";
    }
  if (weighted)
    tb_text_add(out, ",log_weight__");
  for (size_t j = 0; j < names.cols; j++) {
    tb_text_add(out, ",");
    add_name(out, names.words[j]);
  }
  tb_text_add(out, "\n");
  for (size_t i = 0; i < draws->dims[0]; i++) {
    if (chain && ((const int64_t *)chains->data)[i] != (int64_t)chain)
      continue;
    comma = "";
    for (size_t k = 0; k < COLUMNS; k++) {
      const tb_array *column = find(count, arrays, columns[k]);
      if (!column)
        continue;
      tb_text_add(out, comma);
      add_value(out, column, i);
      comma = ",";
    }
    if (weighted) {
      tb_text_add(out, ",");
      add_value(out, weight, i);
    }
    for (size_t j = 0; j < names.cols; j++) {
      tb_text_add(out, ",");
      add_value(out, draws, i * names.cols + j);
    }
    tb_text_add(out, "\n");
  }
  return tb_text_finish(out);
}

tb_status tb_record_stan_csv(tb_context *context, const tb_record *record, size_t chain, size_t *chains, tb_text *out) {
  char path[PATH_MAX];
  size_t count;
  tb_array *arrays;
  tb_arena *arena = tb_arena_new(context);
  snprintf(path, sizeof path, "%s/draws.npz", record->folder);
  tb_status status = arena ? TB_OK : TB_NO_MEMORY;
  if (!status && (strcmp(record->study->name, "sample") != 0 || !tb_file_exists(path)))
    status = tb_fail(context, TB_USAGE, "", "--format csv or --format npz hold its snapshots",
                     "format 'stan-csv' is for the draws of `sample`, and '%s' has none", record->manifest.name);
  if (!status)
    status = tb_npz_read(context, arena, path, &count, &arrays);
  if (!status)
    status = write(record, count, arrays, chain, out);
  const tb_array *last = status ? NULL : find(count, arrays, "chain");
  if (last && chains)
    *chains = last->dims[0] ? (size_t)((const int64_t *)last->data)[last->dims[0] - 1] : 0;
  tb_arena_free(arena);
  return status;
}

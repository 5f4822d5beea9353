/* What a batch holds: accessors, configurations on demand, estimates.  parts.c and sweep.c make it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run/batch.h"
#include "run/rehearse.h"
#include <tiebreak/machine.h>

tb_batch *tb_batch_blank(tb_context *context) {
  tb_batch *batch = tb_allocate(context, 1, sizeof *batch);
  if (!batch)
    return NULL;
  batch->context = context;
  batch->title = "";
  batch->arena = tb_arena_new(context);
  if (!batch->arena) {
    tb_release(context, batch);
    return NULL;
  }
  return batch;
}

void tb_batch_free(tb_batch *batch) {
  if (!batch)
    return;
  for (size_t i = 0; batch->configs && i < batch->n_runs; i++)
    tb_config_free(batch->configs[i]);
  tb_arena_free(batch->arena);
  tb_release(batch->context, batch);
}

size_t tb_batch_runs(const tb_batch *batch) {
  return batch->n_runs;
}

size_t tb_batch_parts(const tb_batch *batch) {
  return batch->n_parts;
}

const tb_part *tb_batch_part(const tb_batch *batch, size_t i) {
  return &batch->parts[i].part;
}

size_t tb_batch_part_runs(const tb_batch *batch, size_t i) {
  return batch->parts[i].runs;
}

const char *tb_batch_name(const tb_batch *batch) {
  return batch->name;
}

const char *tb_batch_title(const tb_batch *batch) {
  return batch->title;
}

const tb_section *tb_section_of(const tb_batch *batch, size_t run) {
  size_t p = 0;
  while (p + 1 < batch->n_parts && run >= batch->parts[p + 1].first)
    p++;
  return &batch->parts[p];
}

const tb_study *tb_batch_study(const tb_batch *batch, size_t run) {
  return tb_section_of(batch, run)->part.study;
}

const char *tb_batch_part_name(const tb_batch *batch, size_t run) {
  return tb_section_of(batch, run)->part.name;
}

const tb_config *tb_batch_config(tb_batch *batch, size_t run) {
  if (!batch->configs[run] && tb_batch_make_config(batch->context, batch, run, &batch->configs[run]))
    batch->configs[run] = NULL;
  return batch->configs[run];
}

const char *tb_batch_folder(const tb_batch *batch) {
  return batch->folder;
}

int tb_batch_digits(const tb_batch *batch) {
  int digits = 4;
  for (size_t most = 10000; most < batch->n_runs; most *= 10)
    digits++;
  return digits;
}

const char *tb_batch_run_folder(tb_batch *batch, size_t run) {
  if (!batch->folder || batch->n_runs == 1)
    return batch->folder;
  return tb_arena_format(batch->arena, "%s/%0*zu", batch->folder, tb_batch_digits(batch), run);
}

/* Whether two configurations of one study differ in their seeds at most. */
static bool same_but_seed(const tb_config *a, const tb_config *b) {
  for (size_t i = 0; i < tb_config_count(a); i++)
    if (strcmp(tb_config_option(a, i)->name, "seed") != 0 && strcmp(tb_config_text(a, i), tb_config_text(b, i)) != 0)
      return false;
  return true;
}

tb_status tb_batch_estimate_each(tb_batch *batch, tb_estimate *each, size_t *kind) {
  enum { MOST = 256 };
  tb_config *seen[MOST]; /* one of a kind, and the run it was of */
  size_t first[MOST], kinds = 0;
  tb_status status = TB_OK;
  for (size_t run = 0; run < batch->n_runs && !status; run++) {
    const tb_study *study = tb_batch_study(batch, run);
    tb_config *config;
    size_t k = 0;
    status = tb_batch_make_config(batch->context, batch, run, &config);
    if (status)
      break;
    while (k < kinds && !(study == tb_batch_study(batch, first[k]) && same_but_seed(seen[k], config)))
      k++;
    if (kind)
      kind[run] = k < kinds ? first[k] : run;
    if (k < kinds) {
      each[run] = each[first[k]];
    } else {
      each[run] = (tb_estimate){ .flop = NAN, .seconds = NAN, .memory = NAN, .steps = NAN, .parameters = NAN };
      if (study->estimate)
        status = study->estimate(batch->context, config, &each[run]);
      if (kinds < MOST) {
        seen[kinds] = config;
        first[kinds++] = run;
        continue;
      }
    }
    tb_config_free(config);
  }
  while (kinds > 0)
    tb_config_free(seen[--kinds]);
  return status;
}

/* Sums, and of memory and parameters the largest. */
static void sum_up(size_t count, const tb_estimate *each, tb_estimate *total) {
  *total = (tb_estimate){ 0 };
  for (size_t run = 0; run < count; run++) {
    total->flop += each[run].flop;
    total->seconds += each[run].seconds;
    total->steps += each[run].steps;
    total->memory = isnan(each[run].memory) ? NAN : fmax(total->memory, each[run].memory);
    total->parameters = fmax(total->parameters, each[run].parameters);
  }
}

tb_status tb_batch_estimate(tb_batch *batch, tb_estimate *total) {
  tb_estimate *each = tb_allocate(batch->context, batch->n_runs + 1, sizeof *each);
  const tb_status status = each ? tb_batch_estimate_each(batch, each, NULL) : TB_NO_MEMORY;
  if (!status)
    sum_up(batch->n_runs, each, total);
  tb_release(batch->context, each);
  return status;
}

/* The others of a study, which nobody rehearsed, by the ratio of measured to estimated work of those that were. */
static void extend(const tb_batch *batch, tb_estimate *each, const size_t *kind, const tb_rehearsal *heard) {
  for (size_t run = 0; run < batch->n_runs; run++) {
    double measured = 0, estimated = 0, memory = 0;
    if (!isnan(heard[kind[run]].seconds)) {
      each[run].seconds = heard[kind[run]].seconds;
      each[run].memory = heard[kind[run]].memory;
      continue;
    }
    for (size_t i = 0; i < batch->n_runs; i++)
      if (kind[i] == i && tb_batch_study(batch, i) == tb_batch_study(batch, run) && !isnan(heard[i].seconds) &&
          each[i].flop > 0) {
        measured += heard[i].seconds;
        estimated += each[i].flop;
        memory = fmax(memory, heard[i].memory);
      }
    if (measured > 0 && each[run].flop > 0) {
      each[run].seconds = each[run].flop * measured / estimated;
      each[run].memory = fmax(each[run].memory, memory);
    }
  }
}

/* One run of each kind is rehearsed, for all of its kind. */
static tb_status rehearse(tb_batch *batch, const size_t *kind, int threads, double budget, tb_rehearsal *heard) {
  const size_t n = batch->n_runs;
  tb_context *context = batch->context;
  size_t *runs = tb_allocate(context, n + 1, sizeof *runs), count = 0;
  double *times = tb_allocate(context, n + 1, sizeof *times), *all = tb_allocate(context, n + 1, sizeof *all);
  tb_rehearsal *of = tb_allocate(context, n + 1, sizeof *of);
  tb_status status = runs && times && all && of ? TB_OK : TB_NO_MEMORY;
  for (size_t run = 0; run < n && !status; run++)
    all[kind[run]]++;
  for (size_t run = 0; run < n && !status; run++) {
    heard[run] = (tb_rehearsal){ NAN, NAN, 0, NAN };
    if (kind[run] == run) {
      runs[count] = run;
      times[count++] = all[run];
    }
  }
  if (!status)
    status = tb_rehearse(batch, count, runs, times, threads, budget, of);
  for (size_t i = 0; i < count && !status; i++)
    heard[runs[i]] = of[i];
  tb_release(context, runs);
  tb_release(context, times);
  tb_release(context, all);
  tb_release(context, of);
  return status;
}

/* Bytes of the records of all runs, which are read back together at the end.  A record grows with what its run keeps in
 * memory; those of runs that did not come to their end are taken to be as large a part of it as others of their study.
 */
static double all_records(const tb_batch *batch, const size_t *kind, const tb_rehearsal *heard) {
  double bytes = 0;
  for (size_t run = 0; run < batch->n_runs; run++) {
    const tb_rehearsal *mine = &heard[kind[run]];
    double kept = 0, memory = 0;
    for (size_t i = 0; i < batch->n_runs && isnan(mine->kept); i++)
      if (tb_batch_study(batch, i) == tb_batch_study(batch, run) && !isnan(heard[kind[i]].kept)) {
        kept += heard[kind[i]].kept;
        memory += heard[kind[i]].memory;
      }
    bytes += !isnan(mine->kept) ? mine->kept : memory > 0 && !isnan(mine->memory) ? mine->memory * kept / memory : 0;
  }
  return bytes;
}

tb_status tb_batch_predict(tb_batch *batch, int threads, double budget, tb_prediction *out) {
  const size_t n = batch->n_runs;
  const int cores = threads > 0 ? threads : tb_machine_cores(), lanes = n < (size_t)cores ? (int)n : cores;
  tb_context *context = batch->context;
  tb_estimate *each = tb_allocate(context, n + 1, sizeof *each);
  size_t *kind = tb_allocate(context, n + 1, sizeof *kind);
  tb_rehearsal *heard = tb_allocate(context, n + 1, sizeof *heard);
  tb_status status = each && kind && heard ? tb_batch_estimate_each(batch, each, kind) : TB_NO_MEMORY;
  if (!status)
    status = rehearse(batch, kind, n == 1 ? cores : 1, budget, heard);
  if (!status) {
    double longest = 0, program = tb_machine_mapped(), base = fmax(0, tb_machine_resident() - program);
    extend(batch, each, kind, heard);
    *out = (tb_prediction){ .seconds = 0 };
    sum_up(n, each, &out->all);
    for (size_t run = 0; run < n; run++) {
      longest = fmax(longest, each[run].seconds);
      program = fmax(program, heard[run].program);
    }
    out->seconds = isnan(out->all.seconds) ? NAN : fmax(longest, out->all.seconds / lanes);
    out->memory = program + fmax(lanes * out->all.memory, base + all_records(batch, kind, heard));
  }
  tb_release(context, each);
  tb_release(context, kind);
  tb_release(context, heard);
  return status;
}

/* Adds the claims that apply to a configuration and are not listed yet. */
static void add_claims(const tb_study *study, const tb_config *config, const tb_claim **claims, size_t *count) {
  for (size_t i = 0; i < study->n_claims; i++) {
    bool listed = false;
    for (size_t k = 0; k < *count && !listed; k++)
      listed = claims[k] == study->claims[i];
    if (!listed && study->claims[i]->arm(config) >= 0)
      claims[(*count)++] = study->claims[i];
  }
}

tb_status tb_batch_claims(tb_batch *batch, tb_arena *arena, size_t *count, const tb_claim ***claims) {
  size_t most = 0;
  *count = 0;
  for (size_t p = 0; p < batch->n_parts; p++)
    most += batch->parts[p].part.study->n_claims;
  *claims = tb_arena_allocate(arena, most + 1, sizeof **claims);
  if (!*claims)
    return TB_NO_MEMORY;
  for (size_t run = 0; run < batch->n_runs; run++) {
    tb_config *config;
    tb_status status = tb_batch_make_config(batch->context, batch, run, &config);
    if (status)
      return status;
    add_claims(tb_batch_study(batch, run), config, *claims, count);
    tb_config_free(config);
  }
  return TB_OK;
}

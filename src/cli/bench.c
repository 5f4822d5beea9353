/* tiebreak bench [NAME…]: the standard workloads on this machine, a line of JSON each. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tiebreak/bench.h>

#include "cli.h"

static json_t *known(double value) {
  return isfinite(value) ? json_real(value) : json_null();
}

static tb_status measure(cli *c, const tb_workload_record *workload) {
  tb_bench_result result;
  char hash[20];
  message_note(c, "%s: %s", workload->name, workload->summary);
  tb_status status = tb_bench_run(c->context, workload, (size_t)c->steps, c->out, &result);
  if (status)
    return status;
  snprintf(hash, sizeof hash, "%016" PRIx64, result.parameters_hash);
  json_t *line =
      json_pack("{s:s, s:s, s:i, s:I, s:o, s:o, s:o, s:o, s:o, s:s}", "bench", workload->name, "dtype", workload->dtype,
                "threads", omp_get_max_threads(), "steps", (json_int_t)result.steps, "seconds", known(result.seconds),
                "gflops", known(result.gflops), "peak_share", known(result.peak_share), "loss_first",
                known(result.loss_first), "loss_last", known(result.loss_last), "parameters_hash", hash);
  if (line && workload->yields) {
    char rate[64];
    snprintf(rate, sizeof rate, "%s_per_second", workload->yields);
    json_object_set_new(line, workload->yields, known(result.yield));
    json_object_set_new(line, rate, known(result.yield_rate));
  }
  char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
  json_decref(line);
  if (!text)
    return tb_fail(c->context, TB_NO_MEMORY, "", NULL, "out of memory");
  puts(text);
  fflush(stdout);
  free(text);
  return TB_OK;
}

/* The workload that a word names. */
static tb_status find(cli *c, size_t word, const tb_workload_record **found) {
  const char *names[64], *near;
  size_t count = 0;
  for (const tb_workload_record *const *w = tb_workloads(); *w; w++) {
    if (strcmp((*w)->name, c->words[word]) == 0) {
      *found = *w;
      return TB_OK;
    }
    if (count < 64)
      names[count++] = (*w)->name;
  }
  near = tb_suggest(c->words[word], names, count);
  return arguments_fail(c, word,
                        near ? tb_arena_format(c->arena, "did you mean '%s'?", near)
                             : "`tiebreak bench --help` lists the workloads",
                        "unknown workload '%s'", c->words[word]);
}

static tb_status bench(cli *c) {
  tb_status status = TB_OK;
  const tb_workload_record **chosen = tb_arena_allocate(c->arena, c->n_words + 1, sizeof *chosen);
  if (!chosen)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < c->n_words && !status; i++)
    status = find(c, i, &chosen[i]);
  if (!status && c->out && c->n_words != 1)
    status = tb_fail(c->context, TB_USAGE, "", "name one workload", "--out holds the starting point of one workload");
  omp_set_num_threads(c->threads ? (int)c->threads : tb_machine_cores());
  for (size_t i = 0; i < c->n_words && !status; i++)
    status = measure(c, chosen[i]);
  if (c->n_words == 0)
    for (const tb_workload_record *const *w = tb_workloads(); *w && !status; w++)
      status = measure(c, *w);
  return status;
}

const verb verb_bench = {
  .name = "bench",
  .usage = "[NAME…] [--steps N] [--out FILE.npz]",
  .summary = "the standard workloads on this machine: seconds a step, GFLOP/s, share of the measured FMA peak",
  .details = "One line of JSON each; --out writes initial weights and data of one workload for a peer to start from.",
  .flags = FLAG_THREADS | FLAG_OUT | FLAG_STEPS,
  .most = 1000,
  .run = bench,
};

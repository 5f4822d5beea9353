/* nuts_logistic: chains of NUTS on Bayesian logistic regression, 500 draws after 500 of warm-up, a chain a step.
 *
 * What counts is not how fast iterations are but how many independent draws they are worth: the effective draws of the
 * worst coefficient (split chains, Geyer's initial monotone sequence).  Data: German credit (1,000 rows, 24 features
 * over their standard deviation) of the folder TIEBREAK_DATA; where it is not, drawn ones of that size. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "diffusion/convergence.h"
#include "diffusion/mcmc.h"
#include "diffusion/target_logistic.h"
#include "io/npz.h"
#include "study/bench/workload.h"

enum { ROWS = 1000, FEATURES = 24, ITERATIONS = 500 };
static const double prior_sd = 10;

struct tb_workload {
  tb_context *context;
  tb_table *table;
  tb_config *config;
  tb_density *density;
  uint64_t chains; /* done so far: the next one's seed */
  double effective;
  double mean[FEATURES + 1]; /* of the last chain */
  size_t d;
};

static void nuts_close(tb_workload *w) {
  tb_density_close(w->density);
  tb_config_free(w->config);
  tb_table_free(w->context, w->table);
  tb_release(w->context, w);
}

/* ---- data ---- */

/* x_j ~ N(j mod 5, 1), as far from centred as real ones; labels of a logistic model with coefficients N(0, 1/4). */
static tb_status draw_table(tb_context *context, tb_table **out) {
  enum { COLS = FEATURES + 1, WORD = 24 };
  tb_table *t = *out = tb_allocate(context, 1, sizeof *t);
  if (!t)
    return TB_NO_MEMORY;
  *t = (tb_table){ .rows = ROWS, .cols = COLS };
  t->names = tb_allocate(context, COLS * (sizeof *t->names + WORD), 1); /* pointers, then what they point to */
  t->values = tb_allocate(context, ROWS * COLS, sizeof *t->values);
  if (!t->names || !t->values)
    return TB_NO_MEMORY;
  for (size_t j = 0; j < COLS; j++) {
    t->names[j] = (char *)(t->names + COLS) + j * WORD;
    snprintf(t->names[j], WORD, j < FEATURES ? "x%zu" : "y", j + 1);
  }
  double w[COLS], u;
  tb_random_normal((tb_key){ .use = tb_use("coefficients") }, 0, COLS, w);
  for (size_t i = 0; i < ROWS; i++) {
    double *x = t->values + i * COLS, margin = 0.5 * w[FEATURES];
    tb_random_normal((tb_key){ .use = tb_use("features") }, i * FEATURES, FEATURES, x);
    tb_random_uniform((tb_key){ .use = tb_use("labels") }, i, 1, &u);
    for (size_t j = 0; j < FEATURES; j++) {
      margin += 0.5 * w[j] * x[j];
      x[j] += (double)(j % 5);
    }
    x[FEATURES] = u < 1 / (1 + exp(-margin)) ? 1 : -1;
  }
  return TB_OK;
}

static tb_status read_table(tb_context *context, tb_table **out) {
  const char *folder = getenv("TIEBREAK_DATA");
  char path[4096];
  if (!folder || !*folder)
    return draw_table(context, out);
  snprintf(path, sizeof path, "%s/german_credit.csv", folder);
  tb_status status = tb_csv_read(context, path, out);
  if (!status && (*out)->cols != FEATURES + 1)
    status = tb_fail(context, TB_BAD_DATA, path, "unset TIEBREAK_DATA to take drawn data",
                     "%zu columns, expected %d features and y", (*out)->cols, FEATURES);
  return status;
}

static tb_status nuts_open(tb_context *context, tb_workload **out) {
  static const tb_option_table *const tables[] = { &tb_mcmc_options };
  tb_workload *w = tb_allocate(context, 1, sizeof *w);
  char number[16];
  if (!w)
    return TB_NO_MEMORY;
  *w = (tb_workload){ .context = context, .effective = NAN };
  snprintf(number, sizeof number, "%d", ITERATIONS);
  tb_status status = read_table(context, &w->table);
  if (!status)
    status = tb_density_logistic(context, w->table, prior_sd, false, true, &w->density);
  if (!status)
    status = tb_config_new(context, 1, tables, &w->config);
  if (!status)
    status = tb_config_set(w->config, "chains", "1", "bench");
  if (!status)
    status = tb_config_set(w->config, "warmup", number, "bench");
  if (status) {
    nuts_close(w);
    return status;
  }
  w->d = w->density->dims;
  *out = w;
  return TB_OK;
}

/* ---- a step ---- */

static void unheard(void *user, double fraction, const char *what) {}
static bool never(void *user) {
  return false;
}
static tb_status no_checkpoint(void *user, const void **data, size_t *size) {
  *data = NULL;
  *size = 0;
  return TB_OK;
}

static tb_status measure(tb_workload *w, const tb_draws *draws) {
  tb_status status = TB_OK;
  w->effective = INFINITY;
  for (size_t j = 0; j < w->d && !status; j++) {
    tb_convergence c;
    status = tb_chain_convergence(w->context, 1, draws->count, draws->x + j, w->d, &c);
    w->effective = fmin(w->effective, c.mean);
    w->mean[j] = 0;
    for (size_t i = 0; i < draws->count; i++)
      w->mean[j] += draws->x[i * w->d + j] / (double)draws->count;
  }
  return status;
}

static tb_status nuts_step(tb_workload *w, double *loss) {
  tb_arena *arena = tb_arena_new(w->context);
  const tb_sampling sampling = { .context = w->context,
                                 .arena = arena,
                                 .config = w->config,
                                 .density = w->density,
                                 .seed = w->chains++,
                                 .draws = ITERATIONS,
                                 .progress = unheard,
                                 .should_stop = never,
                                 .checkpoint_due = never,
                                 .checkpoint_load = no_checkpoint };
  tb_draws draws = tb_draws_new();
  *loss = NAN;
  tb_status status = arena ? tb_sampler_nuts.run(&sampling, &draws) : TB_NO_MEMORY;
  if (!status)
    status = measure(w, &draws);
  tb_arena_free(arena);
  return status;
}

static double nuts_flop(const tb_workload *w) {
  return NAN;
}

static double nuts_effective(const tb_workload *w) {
  return w->effective;
}

static const void *nuts_mean(const tb_workload *w, size_t *bytes) {
  *bytes = w->d * sizeof *w->mean;
  return w->mean;
}

/* The table as it is read, without names. */
static tb_status nuts_save(tb_workload *w, const char *path) {
  const tb_array table = { .name = "table",
                           .type = TB_ARRAY_FLOAT64,
                           .rank = 2,
                           .dims = { w->table->rows, w->table->cols },
                           .data = w->table->values };
  return tb_npz_write(w->context, path, 1, &table);
}

const tb_workload_record tb_workload_nuts_logistic = {
  .name = "nuts_logistic",
  .summary = "NUTS on logistic regression (1,000 rows, 25 coefficients): chains of 500 + 500 iterations, least "
             "effective draws",
  .dtype = "float64",
  .steps = 8,
  .open = nuts_open,
  .step = nuts_step,
  .flop = nuts_flop,
  .parameters = nuts_mean,
  .save = nuts_save,
  .close = nuts_close,
  .yields = "effective_draws",
  .yield = nuts_effective,
};

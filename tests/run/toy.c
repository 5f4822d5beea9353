/* A study for tests of the machinery: a chaotic map, so that any lost bit shows, with every way to end. */
#include <math.h>
#include <string.h>
#include <time.h>

#include <tiebreak/tiebreak.h>

static const tb_option options[] = {
  { .name = "seed", .type = TB_INTEGER, .fallback = "0", .least = 0, .most = 9e15, .summary = "seed" },
  { .name = "steps", .type = TB_INTEGER, .fallback = "10", .least = 1, .most = 1e9, .summary = "steps of the map" },
  { .name = "rate",
    .type = TB_REAL,
    .fallback = "3.9",
    .least = 0,
    .most = 4,
    .open = true,
    .summary = "of the map",
    .formula = "x ← rate·x(1 − x)",
    .source = "May 1976" },
  { .name = "method",
    .type = TB_CHOICE,
    .fallback = "plain",
    .choices = "plain|shifted",
    .least = 1,
    .most = 0,
    .summary = "shifted adds 1 to the result" },
  { .name = "ending",
    .type = TB_CHOICE,
    .fallback = "well",
    .choices = "well|failed|usage|data|memory",
    .least = 1,
    .most = 0,
    .summary = "how it ends" },
  { .name = "at", .type = TB_REALS, .fallback = "", .least = 1, .most = 0, .summary = "steps of snapshots" },
  { .name = "data",
    .type = TB_FILE,
    .fallback = "none",
    .choices = "none|FILE.csv",
    .least = 1,
    .most = 0,
    .summary = "a file that must exist" },
  { .name = "loud", .type = TB_BOOLEAN, .fallback = "false", .least = 1, .most = 0, .summary = "warns on the way" },
  { .name = "pause", .type = TB_REAL, .fallback = "0", .least = 0, .most = 10, .summary = "seconds between steps" },
};
static const tb_option_table table = { "toy", options, sizeof options / sizeof *options };
static const tb_option_table *const tables[] = { &table };

static const tb_metric metrics[] = {
  { "t", "steps", "steps done", NULL, NULL },
  { "x", "", "the map's point", "x ← rate·x(1 − x)", "May 1976" },
  { "orbit", "", "the last three points", NULL, NULL },
};

/* ---- claims ---- */

static int always(const tb_config *config) {
  return 0;
}

static int arm_of_method(const tb_config *config) {
  return tb_config_is(config, "method", "shifted") ? 1 : 0;
}

static tb_status measure_x(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = tb_metrics_get(outcome->metrics, "x");
  *reference = 0.5;
  return TB_OK;
}

static const tb_claim bounded = { .id = "toy.bounded",
                                  .statement = "The map stays below 1.",
                                  .source = "May 1976",
                                  .reference = "elementary",
                                  .group = "The map is bounded.",
                                  .kind = TB_CLAIM_AT_MOST,
                                  .tolerance = 1.5,
                                  .unit = "",
                                  .arm = always,
                                  .measure = measure_x };
static const tb_claim shifted = { .id = "toy.shifted",
                                  .statement = "The plain map ends below the shifted one.",
                                  .source = "by construction",
                                  .reference = "by construction",
                                  .group = "Shifts add.",
                                  .kind = TB_CLAIM_BELOW,
                                  .tolerance = 0.5,
                                  .unit = "",
                                  .min_seeds = 3,
                                  .arm = arm_of_method,
                                  .measure = measure_x };
static const tb_claim *const claims[] = { &bounded, &shifted };

/* ---- the study ---- */

typedef struct state {
  int64_t step;
  double x[3];
} state;

static tb_status check(tb_context *context, const tb_config *config) {
  const char *data = tb_config_word(config, "data");
  if (strcmp(data, "none") != 0) {
    char *text;
    size_t size;
    tb_status status = tb_file_read(context, data, &text, &size);
    if (status)
      return status;
    tb_release(context, text);
  }
  if (tb_config_integer(config, "seed") == 13)
    return tb_fail(context, TB_USAGE, "option seed", "take another", "seed 13 is not available");
  return TB_OK;
}

static tb_status estimate(tb_context *context, const tb_config *config, tb_estimate *out) {
  double steps = (double)tb_config_integer(config, "steps");
  *out = (tb_estimate){ .flop = 3 * steps, .seconds = 1e-8 * steps, .memory = 1000, .steps = steps, .parameters = 1 };
  return TB_OK;
}

static tb_status measure(tb_metrics *m, const state *s) {
  tb_status status = tb_metrics_integer(m, "t", s->step);
  if (!status)
    status = tb_metrics_real(m, "x", s->x[0]);
  if (!status)
    status = tb_metrics_vector(m, "orbit", 3, s->x);
  if (!status)
    status = tb_metrics_matrix(m, "outer", 2, 2, (double[]){ s->x[0], s->x[1], s->x[1], s->x[2] });
  return status;
}

static tb_status snapshot(tb_run *run, const state *s) {
  tb_metrics *m;
  tb_status status = tb_metrics_new(tb_run_context(run), &m);
  if (status)
    return status;
  status = measure(m, s);
  if (!status)
    status = tb_run_snapshot(run, m);
  tb_metrics_free(m);
  return status;
}

static tb_status end_badly(tb_context *context, const tb_config *config) {
  if (tb_config_is(config, "ending", "failed"))
    return tb_fail(context, TB_FAILED, "", "take another ending", "the map diverged");
  if (tb_config_is(config, "ending", "usage"))
    return tb_fail(context, TB_USAGE, "option ending", NULL, "impossible");
  if (tb_config_is(config, "ending", "data"))
    return tb_fail(context, TB_BAD_DATA, "toy.csv:3:1", NULL, "no number");
  if (tb_config_is(config, "ending", "memory"))
    return tb_fail(context, TB_NO_MEMORY, "", NULL, "out of memory");
  return TB_OK;
}

static tb_status run(tb_run *run) {
  const tb_config *config = tb_run_config(run);
  int64_t steps = tb_config_integer(config, "steps");
  double rate = tb_config_real(config, "rate"), pause = tb_config_real(config, "pause");
  bool loud = tb_config_boolean(config, "loud");
  const double *at;
  size_t n_at = tb_config_reals(config, "at", &at), size;
  const void *data;
  state s = { 0, { 0.1 + 0.01 * (double)(tb_config_integer(config, "seed") % 50), 0, 0 } };
  tb_status status = loud ? tb_run_warn(run, "set up") : TB_OK;
  if (!status)
    status = tb_run_checkpoint_load(run, &data, &size);
  if (status)
    return status;
  if (data)
    memcpy(&s, data, sizeof s);
  else if ((status = snapshot(run, &s)))
    return status;
  while (s.step < steps) {
    s.x[2] = s.x[1];
    s.x[1] = s.x[0];
    s.x[0] = rate * s.x[0] * (1 - s.x[0]);
    s.step++;
    for (size_t i = 0; i < n_at; i++)
      if ((double)s.step == at[i] && (status = snapshot(run, &s)))
        return status;
    if (loud && s.step == steps / 2 && (status = tb_run_warn(run, "half way at %lld", (long long)s.step)))
      return status;
    if (pause > 0)
      nanosleep(&(struct timespec){ (time_t)pause, (long)(fmod(pause, 1) * 1e9) }, NULL);
    if (s.step % 8 && !(pause > 0))
      continue;
    tb_run_progress(run, (double)s.step / (double)steps, "mapping");
    bool stop = tb_run_should_stop(run);
    if ((stop || tb_run_checkpoint_due(run)) && (status = tb_run_checkpoint_save(run, &s, sizeof s)))
      return status;
    if (stop)
      return tb_run_stop_status(run);
  }
  status = end_badly(tb_run_context(run), config);
  if (status)
    return status;
  tb_metrics *m = tb_run_metrics(run);
  if (tb_config_is(config, "method", "shifted"))
    s.x[0] += 1;
  status = measure(m, &s);
  return status ? status : tb_metrics_word(m, "stopped", "steps");
}

static const tb_study toy = { .name = "toy",
                              .laboratory = "natural-gradient",
                              .summary = "a chaotic map",
                              .paper = "Simple mathematical models (May 1976)",
                              .details = "Iterates the logistic map.",
                              .tables = tables,
                              .n_tables = 1,
                              .metrics = metrics,
                              .n_metrics = sizeof metrics / sizeof *metrics,
                              .claims = claims,
                              .n_claims = 2,
                              .check = check,
                              .estimate = estimate,
                              .run = run };
static const tb_study *const studies[] = { &toy, NULL };

/* Stands in for src/study/table.c. */
const tb_study *const *tb_studies(void) {
  return studies;
}

/* Study `measures`: of networks with one loss, what tells which of them behaves well where the loss says nothing?
 *
 * Networks that differ in seed and learning rate are trained on a language until each has the same loss.  There the
 * Hessian's trace and top eigenvalue, the same in coordinates that no rescaling changes, the size of the parameters and
 * the steps taken are measured, and what the network does: rules on prompts outside the language, and its loss after
 * some steps on another language.  Rank correlations over the networks say which measure predicts which behaviour.
 * ("Understanding LLMs Requires More Than Statistical Generalization", Reizinger et al. 2024, section on directions;
 * Liu et al. 2023.) */
#include "study/measures.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <tiebreak/statistics.h>

#define ANY      1, 0
#define COUNT(a) (sizeof(a) / sizeof *(a))
#define PAPER    "Reizinger et al. 2024, section 4"

static const tb_option own_options[] = {
  { "networks", TB_INTEGER, "12", NULL, 3, 1000, false, "networks in a run, each with weights of its own", NULL, NULL },
  { "excess", TB_REAL, "0.02", NULL, 0, INFINITY, true,
    "training stops at the first step whose loss lies at most this share of the entropy above it",
    "loss ≤ (1 + excess) · entropy / positions", PAPER },
  { "rates", TB_REALS, "1,3,0.3", NULL, ANY, false, "factors of lr, taken in turn by the networks", NULL, NULL },
  { "target", TB_FILE, "anbnan", "L1|L2|L3|L4|L5|L6|anbn|anbnan|abn|anbm|FILE.yaml", ANY, false,
    "language to which networks are transferred; of as many symbols", NULL, PAPER },
  { "transfer_steps", TB_INTEGER, "50", NULL, 1, 1e9, false, "steps of Adam on the target", NULL, NULL },
  { "transfer_lr", TB_REAL, "3e-4", NULL, 0, INFINITY, true, "learning rate on the target", NULL, NULL },
  { "probes", TB_INTEGER, "32", NULL, 2, 1e6, false, "random vectors for each trace of the Hessian", NULL, NULL },
  /* sizes at which a network takes a second */
  { "max_length", TB_INTEGER, "16", NULL, 1, 4096, false, "most symbols of a string", NULL, NULL },
  { "depth", TB_INTEGER, "2", NULL, 1, 100, false, "layers", NULL, NULL },
  { "width", TB_INTEGER, "16", NULL, 1, 65536, false, "of the transformer's stream", NULL, NULL },
  { "heads", TB_INTEGER, "4", NULL, 1, 1024, false, "attention heads; they divide width", NULL, NULL },
  { "feedforward", TB_INTEGER, "32", NULL, 1, 65536, false, "hidden units of a feed-forward block", NULL, NULL },
  { "steps", TB_INTEGER, "3000", NULL, 1, 1e9, false, "most steps of a network", NULL, NULL },
  { "lr", TB_REAL, "2e-3", NULL, 0, INFINITY, true, "learning rate, times one of rates=", NULL, NULL },
};
static const tb_option_table measures_options = { "measures", own_options, COUNT(own_options) };
static const tb_option_table *const tables[] = { &rules_run_options, &rules_language_options, &rules_model_options,
                                                 &rules_training_options, &measures_options };

const char *const measures_names[MEASURES_COLUMNS] = { "excess",       "steps",          "norm",         "trace",
                                                       "top",          "adaptive_trace", "adaptive_top", "ood_r1",
                                                       "ood_finished", "transfer_loss" };

static const tb_metric own_metrics[] = {
  { "t", "", "networks trained", NULL, NULL },
  { "networks", "", "networks that reached the loss, a row of every column each", NULL, NULL },
  { "network.excess", "", "loss above the exact entropy, as a share of it", NULL, NULL },
  { "network.steps", "", "steps to that loss", NULL, NULL },
  { "network.norm", "", "size of the parameters", "‖θ‖", NULL },
  { "network.trace", "", "of the Hessian of the loss, by Hutchinson's estimator", "tr H", "Liu et al. 2023" },
  { "network.top", "", "its largest eigenvalue, by Lanczos' method", "λ_max(H)", NULL },
  { "network.adaptive_trace", "", "trace in coordinates relative to the parameters, which no rescaling changes",
    "tr D H D, D = diag |θ|", "Kwon et al. 2021" },
  { "network.adaptive_top", "", "largest eigenvalue there", "λ_max(D H D)", "Kwon et al. 2021" },
  { "network.ood_r1", "", "share of prompts outside the language whose completion obeys r1; unfinished ones do not",
    NULL, NULL },
  { "network.ood_finished", "", "share of them that are completed at all", NULL, NULL },
  { "network.transfer_loss", "nats", "loss on the target after transfer_steps= steps on it", NULL, PAPER },
  { "network.lr", "", "learning rate", NULL, NULL },
  { "network.learnt_r1", "", "step at which 90 % of the mass of short strings obeys r1; inf: not by the end", NULL,
    NULL },
  { "network.learnt_r2", "", "likewise r2", NULL, NULL },
  { "rank.MEASURE.BEHAVIOUR", "", "Spearman's correlation over the networks", NULL, NULL },
  { "rank.MEASURE.BEHAVIOUR.low", "", "2.5 % quantile over 1,000 resamples of the networks", NULL, NULL },
  { "rank.MEASURE.BEHAVIOUR.high", "", "97.5 % quantile", NULL, NULL },
  { "moved.trace", "", "the first network's trace after rescaling its feed-forward layers by 4", NULL, NULL },
  { "moved.adaptive_trace", "", "its adaptive trace there", NULL, NULL },
  { "optimal_loss", "nats", "entropy of a string over positions", NULL, NULL },
  { "parameters", "", "numbers that a network has", NULL, NULL },
  { "stopped", "", "what ended the run: steps", NULL, NULL },
};

/* ---- the configuration ---- */

/* Settings of network i, on its language or on the target. */
static rules_settings settings_of(const measures *m, size_t i, bool target) {
  const double *rates;
  const size_t n = tb_config_reals(m->config, "rates", &rates);
  rules_settings s = m->settings;
  s.seed = m->settings.seed * 1000003 + i;
  if (n)
    s.lr *= rates[i % n];
  if (target) {
    s.language = tb_config_word(m->config, "target");
    s.method = RULES_ADAM;
    s.schedule = RULES_CONSTANT;
    s.lr = tb_config_real(m->config, "transfer_lr");
    s.decay = 0;
  }
  return s;
}

/* Network i's language, data, shape; and the target's. */
tb_status measures_open(measures *m, size_t i) {
  const rules_settings source = settings_of(m, i, false), target = settings_of(m, i, true);
  tb_status status = rules_open(&m->source, m->context, &source);
  return status ? status : rules_open(&m->target, m->context, &target);
}

void measures_close(measures *m) {
  rules_close(&m->source);
  rules_close(&m->target);
}

static tb_status check_together(measures *m) {
  const double *rates;
  const size_t n = tb_config_reals(m->config, "rates", &rates);
  for (size_t i = 0; i < n; i++)
    if (!(rates[i] > 0) || isinf(rates[i]))
      return tb_fail(m->context, TB_USAGE, "option rates", "give positive numbers", "rates= holds %g", rates[i]);
  static const char *const unused[] = { "at", "until_loss" };
  for (size_t i = 0; i < COUNT(unused); i++)
    if (tb_config_is_set(m->config, unused[i])) {
      char place[40];
      snprintf(place, sizeof place, "option %s", unused[i]);
      return tb_fail(m->context, TB_USAGE, place, "leave it out; excess= says when a network stops",
                     "%s= does not apply: a run is a table of networks", unused[i]);
    }
  if (m->settings.training != RULES_LIKELIHOOD)
    return tb_fail(m->context, TB_USAGE, "option training", "leave training= out",
                   "networks of one loss are trained by likelihood alone");
  if (strcmp(m->settings.model, "transformer") != 0)
    return tb_fail(m->context, TB_USAGE, "option model", "leave model= out", "model=%s: the study takes transformers",
                   m->settings.model);
  if (m->source.parameters != m->target.parameters)
    return tb_fail(m->context, TB_USAGE, "option target", "take a target of as many symbols",
                   "a network of language=%s does not fit target=%s", m->settings.language,
                   tb_config_word(m->config, "target"));
  if (!m->source.test.whole || !m->target.test.whole)
    return tb_fail(m->context, TB_USAGE, "option language", "lower max_length=, or take another language",
                   "the strings of both languages are taken whole, and one of them has too many");
  return TB_OK;
}

static tb_status open_study(measures *m, tb_context *context, const tb_config *config) {
  *m = (measures){ .context = context, .config = config, .arena = tb_arena_new(context) };
  if (!m->arena)
    return TB_NO_MEMORY;
  m->count = (size_t)tb_config_integer(config, "networks");
  tb_status status = rules_settings_read(context, config, &m->settings);
  if (!status)
    status = measures_open(m, 0);
  return status ? status : check_together(m);
}

static void close_study(measures *m) {
  measures_close(m);
  tb_arena_free(m->arena);
}

/* ---- the table ---- */

/* Columns of the networks that reached the loss; returns their number. */
static size_t gather(const measures *m, double *columns[MEASURES_COLUMNS]) {
  size_t count = 0;
  for (size_t i = 0; i < m->done; i++) {
    if (isnan(m->rows[i].values[MEASURES_EXCESS]))
      continue;
    for (int k = 0; k < MEASURES_COLUMNS; k++)
      columns[k][count] = m->rows[i].values[k];
    count++;
  }
  return count;
}

/* Correlation of two columns, with quantiles over resamples of the networks. */
static tb_status correlate(const measures *m, size_t n, double *const columns[], int measure, int behaviour,
                           tb_metrics *metrics) {
  enum { RESAMPLES = 1000 };
  static const char *const ends[] = { "", ".low", ".high" };
  const tb_key key = { m->settings.seed, (uint32_t)(measure * MEASURES_COLUMNS + behaviour),
                       tb_use("measures bootstrap") };
  double *x = tb_allocate(m->context, 2 * n + RESAMPLES, sizeof *x), *y = x + n, *found = y + n, values[3];
  size_t count = 0;
  char name[100];
  if (!x)
    return TB_NO_MEMORY;
  for (uint64_t b = 0; b < RESAMPLES; b++) {
    for (size_t i = 0; i < n; i++) {
      const size_t k = tb_random_below(key, b * n + i, n);
      x[i] = columns[measure][k];
      y[i] = columns[behaviour][k];
    }
    const double r = tb_rank_correlation(n, x, y);
    if (!isnan(r))
      found[count++] = r;
  }
  values[0] = tb_rank_correlation(n, columns[measure], columns[behaviour]);
  values[1] = tb_quantile(count, found, 0.025);
  values[2] = tb_quantile(count, found, 0.975);
  tb_release(m->context, x);
  tb_status status = TB_OK;
  for (int k = 0; k < 3 && !status; k++) {
    snprintf(name, sizeof name, "rank.%s.%s%s", measures_names[measure], measures_names[behaviour], ends[k]);
    status = tb_metrics_real(metrics, name, values[k]);
  }
  return status;
}

static tb_status describe(const measures *m, tb_metrics *metrics) {
  double *columns[MEASURES_COLUMNS], *extra = tb_allocate(m->context, m->done + 1, sizeof *extra);
  double *block = tb_allocate(m->context, MEASURES_COLUMNS * (m->done + 1), sizeof *block);
  tb_status status = extra && block ? tb_metrics_real(metrics, "t", (double)m->done) : TB_NO_MEMORY;
  for (int k = 0; k < MEASURES_COLUMNS && block; k++)
    columns[k] = block + (size_t)k * (m->done + 1);
  const size_t n = status ? 0 : gather(m, columns);
  char name[64];
  if (!status)
    status = tb_metrics_real(metrics, "networks", (double)n);
  for (int k = 0; k < MEASURES_COLUMNS && !status; k++) {
    snprintf(name, sizeof name, "network.%s", measures_names[k]);
    status = tb_metrics_vector(metrics, name, n, columns[k]);
  }
  for (int k = 0; k < 3 && !status; k++) {
    static const char *const names[] = { "network.learnt_r1", "network.learnt_r2", "network.lr" };
    size_t count = 0;
    for (size_t i = 0; i < m->done; i++)
      if (!isnan(m->rows[i].values[MEASURES_EXCESS]))
        extra[count++] = k < 2 ? m->rows[i].learnt[k] : m->rows[i].rate;
    status = tb_metrics_vector(metrics, names[k], count, extra);
  }
  for (int k = 0; k < MEASURES_BEHAVIOURS && !status; k++)
    for (int b = MEASURES_BEHAVIOURS; b < MEASURES_COLUMNS && !status; b++)
      status = correlate(m, n, columns, k, b, metrics);
  if (!status && m->done > 0 && !isnan(m->rows[0].values[MEASURES_TRACE])) {
    status = tb_metrics_real(metrics, "moved.trace", m->rows[0].moved_trace);
    if (!status)
      status = tb_metrics_real(metrics, "moved.adaptive_trace", m->rows[0].moved_adaptive_trace);
  }
  if (!status)
    status = tb_metrics_real(metrics, "optimal_loss", m->source.facts.optimal_loss);
  if (!status)
    status = tb_metrics_real(metrics, "parameters", (double)m->source.parameters);
  tb_release(m->context, extra);
  tb_release(m->context, block);
  return status;
}

/* ---- a run: network after network; a checkpoint holds the rows ---- */

static const char magic[8] = "meas-01";

typedef struct head {
  char magic[8];
  uint64_t count, done;
} head;

static tb_status save(const measures *m) {
  head h = { .count = m->count, .done = m->done };
  memcpy(h.magic, magic, sizeof magic);
  const size_t size = m->done * sizeof *m->rows;
  char *block = tb_allocate(m->context, sizeof h + size, 1);
  if (!block)
    return TB_NO_MEMORY;
  memcpy(block, &h, sizeof h);
  memcpy(block + sizeof h, m->rows, size);
  tb_status status = tb_run_checkpoint_save(m->run, block, sizeof h + size);
  tb_release(m->context, block);
  return status;
}

tb_status measures_stop(measures *m) {
  tb_status status = save(m);
  return status ? status : tb_run_stop_status(m->run);
}

static tb_status load(measures *m) {
  const void *block;
  size_t size;
  head h = { .count = 0 };
  tb_status status = tb_run_checkpoint_load(m->run, &block, &size);
  if (status || !block)
    return status;
  if (size >= sizeof h)
    memcpy(&h, block, sizeof h);
  if (memcmp(h.magic, magic, sizeof magic) != 0 || h.count != m->count || h.done > m->count ||
      size != sizeof h + h.done * sizeof *m->rows)
    return tb_fail(m->context, TB_FAILED, "checkpoint", "start the run afresh", "the checkpoint is not of this run");
  memcpy(m->rows, (const char *)block + sizeof h, h.done * sizeof *m->rows);
  m->done = h.done;
  return TB_OK;
}

static tb_status run(tb_run *run) {
  measures m;
  tb_status status = open_study(&m, tb_run_context(run), tb_run_config(run));
  m.run = run;
  if (!status) {
    m.rows = tb_arena_allocate(m.arena, m.count, sizeof *m.rows);
    m.theta = tb_arena_allocate(m.arena, m.source.parameters, sizeof *m.theta);
    m.moved = tb_arena_allocate(m.arena, m.source.parameters, sizeof *m.moved);
    status = m.rows && m.theta && m.moved ? load(&m) : TB_NO_MEMORY;
  }
  while (!status && m.done < m.count) {
    status = measures_take(&m, m.done);
    if (status)
      break;
    m.done++;
    if (tb_run_checkpoint_due(run))
      status = save(&m);
  }
  if (!status)
    status = describe(&m, tb_run_metrics(run));
  if (!status)
    status = tb_run_snapshot(run, tb_run_metrics(run));
  if (!status)
    status = tb_metrics_word(tb_run_metrics(run), "stopped", "steps");
  close_study(&m);
  return status;
}

static tb_status check(tb_context *context, const tb_config *config) {
  measures m;
  tb_status status = open_study(&m, context, config);
  close_study(&m);
  return status;
}

/* A network's measures cost as much as some 400 steps. */
static tb_status estimate(tb_context *context, const tb_config *config, tb_estimate *out) {
  enum { MEASURES_IN_STEPS = 400 };
  measures m;
  tb_status status = open_study(&m, context, config);
  if (!status) {
    rules_sizes(&m.source);
    const double steps = fmin((double)m.settings.steps, MEASURES_USUAL_STEPS), n = (double)m.count;
    const double once = rules_flop_per_step(&m.source), all = n * (steps + MEASURES_IN_STEPS);
    *out = (tb_estimate){ .steps = n * steps,
                          .flop = all * once,
                          .seconds = all * (once / 2.4e10 + 5e-5) + 0.03 * n,
                          .memory = 2e7 + 400 * (double)m.source.parameters,
                          .parameters = (double)m.source.parameters };
  }
  close_study(&m);
  return status;
}

const tb_study tb_study_measures = {
  .name = "measures",
  .laboratory = "language",
  .summary = "networks of one loss: flatness, size and speed against rule extrapolation and transfer",
  .paper = "Understanding LLMs Requires More Than Statistical Generalization (Reizinger, Ujvary, Meszaros, Kerekes, "
           "Brendel, Huszar 2024)",
  .details =
      "At one and the same loss networks still differ: in the curvature of the loss, in the size of their parameters, "
      "in\n"
      "how fast they got there.  Do such measures tell which of them follows a rule outside the language, or learns\n"
      "another language faster?  A run trains networks= of them and gives rank correlations with bootstrap intervals;\n"
      "seeds of the study are repetitions of the whole.  Traces and top eigenvalues of the Hessian change when layers\n"
      "are rescaled, their adaptive versions do not.",
  .tables = tables,
  .n_tables = COUNT(tables),
  .metrics = own_metrics,
  .n_metrics = COUNT(own_metrics),
  .claims = measures_claims,
  .n_claims = MEASURES_CLAIMS,
  .check = check,
  .estimate = estimate,
  .run = run,
};

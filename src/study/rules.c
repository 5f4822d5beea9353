/* Study `rules`: what does a model that fits a language do with prompts that the language rules out?
 *
 * Data: strings of a formal language {r1 and r2 hold}.  Model: transformer, LSTM, GRU, linear map, n-gram.  Training:
 * likelihood, or likelihood with completions taught beside it.  Measures: the excess of the loss over the exact
 * entropy, which bounds the mass of ungrammatical strings, and the rules that completions of prompts obey: in
 * distribution, and where a prompt breaks r2 for good, so that the likelihood says nothing of it.
 * ("Understanding LLMs Requires More Than Statistical Generalization", Reizinger et al. 2024, case study 1.) */
#include "study/rules.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const tb_option_table *const tables[] = { &rules_run_options, &rules_language_options, &rules_model_options,
                                                 &rules_training_options };

static const tb_metric metrics[] = {
  { "t", "", "training steps done", NULL, NULL },
  { "log_t", "", "logarithm of t", NULL, NULL },
  { "loss", "nats", "mean over the max_length + 1 positions of the exact law's cross-entropy; padding costs nothing",
    "−E Σ ln q(next | prefix) / positions", "spec of the published code, loss without padding" },
  { "log_loss", "", "logarithm of loss", NULL, NULL },
  { "excess_loss", "nats", "loss above that of the exact law", "loss − entropy / positions", NULL },
  { "optimal_loss", "nats", "entropy of a string over positions", NULL, NULL },
  { "kl_to_truth", "nats", "of a string, ends included, padding not; exact, or over draws of prefixes with their laws",
    "E Σ KL(p(· | prefix) ‖ q(· | prefix))", NULL },
  { "kl_to_truth.se", "nats", "standard error of kl_to_truth over draws; 0 where all strings are known", NULL, NULL },
  { "ungrammatical_mass_bound", "", "no more than this mass lies outside the language",
    "1 − exp(−positions · excess_loss)", NULL },
  { "ungrammatical_mass", "", "what does: exact where all strings are known, else the share of 512 draws", NULL, NULL },
  { "sampled.ungrammatical", "", "share of 512 strings drawn from the model that are not of the language", NULL, NULL },
  { "sampled.ungrammatical.se", "", "its standard error", NULL, NULL },
  { "accuracy", "", "of the argmax over all positions, padding counted as right", NULL, NULL },
  { "optimal_accuracy", "", "that of the exact law", NULL, NULL },
  { "SET.prompts", "", "prompts in the set (id, ood) that are evaluated", NULL, NULL },
  { "SET.finished", "", "share of completions that end within cap= tokens", NULL, NULL },
  { "SET.r1", "", "share of completed prompts that obey r1; unfinished ones don't", NULL, NULL },
  { "SET.r2", "", "likewise r2", NULL, NULL },
  { "SET.r2_completion", "", "share whose completion alone obeys r2", NULL, NULL },
  { "SET.RULE.finished_only", "", "the same over finished completions; nan when there are none", NULL, NULL },
  { "eos_now.SET.r1", "", "r1 of the strategy that ends every prompt at once", NULL, NULL },
  { "append_to_balance.SET.r1", "", "r1 of the strategy that appends the last symbol while r1 lacks it", NULL, NULL },
  { "chance.SET.r1", "", "r1 when every token is uniform until the end", NULL, NULL },
  { "short_strings.CLASS", "",
    "mass of the strings of 1 to 8 symbols that obey both rules (r1r2), one of them (r1, r2), neither", NULL, NULL },
  { "row_dependence", "", "largest change of a next-token probability when prompts change rows of their batch", NULL,
    NULL },
  { "train_loss", "nats", "of the last step, with what is taught beside the likelihood", NULL, NULL },
  { "parameters", "", "numbers that the model has", NULL, NULL },
  { "stopped", "", "what ended the run: steps or loss", NULL, NULL },
};

/* ---- metrics of a state ---- */

enum { SHARES = RULES_SHARES };

void rules_shares(const tb_conduct *c, const char *set, char names[SHARES][48], double *values) {
  const double finished = c->prompts ? (double)c->finished / (double)c->prompts : NAN;
  const struct {
    const char *name;
    double value;
  } shares[SHARES] = { { "finished", finished },
                       { "r1", c->r1[0] },
                       { "r2", c->r2[0] },
                       { "r2_completion", c->r2_completion[0] },
                       { "r1.finished_only", c->r1[1] },
                       { "r2.finished_only", c->r2[1] },
                       { "r2_completion.finished_only", c->r2_completion[1] },
                       { "finished.finished_only", c->finished ? 1 : NAN } };
  for (size_t i = 0; i < SHARES; i++) {
    snprintf(names[i], 48, "%s.%s", set, shares[i].name);
    values[i] = shares[i].value;
  }
}

/* Numbers in the order in which they are added. */
typedef struct report {
  tb_metrics *metrics;
  tb_status status;
} report;

static void add(report *to, const char *name, double value) {
  if (!to->status)
    to->status = tb_metrics_real(to->metrics, name, value);
}

static void add_baselines(report *to, rules *r, bool id) {
  tb_baselines b;
  char name[48];
  const char *set = id ? "id" : "ood";
  tb_language_baselines(r->language, r->n_prompts, r->prompts, id, &b);
  const double values[] = { b.eos_now_r1, b.append_to_balance_r1, b.chance_r1 };
  const char *const names[] = { "eos_now", "append_to_balance", "chance" };
  for (size_t i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "%s.%s.r1", names[i], set);
    add(to, name, values[i]);
  }
}

/* What a checkpoint keeps beside the training. */
typedef struct checkpoint_head {
  char magic[8];
  uint64_t size, next;    /* bytes of the training's block; snapshot to come */
  double last_loss;       /* of the last step */
  double best[2][SHARES]; /* over snapshots: quirk best_checkpoint */
} checkpoint_head;

static void add_set(report *to, const tb_conduct *c, bool id, bool best, checkpoint_head *head) {
  char names[SHARES][48], name[48];
  double values[SHARES];
  snprintf(name, sizeof name, "%s.prompts", id ? "id" : "ood");
  add(to, name, (double)c->prompts);
  rules_shares(c, id ? "id" : "ood", names, values);
  for (size_t i = 0; i < SHARES; i++) {
    double *most = &head->best[id][i];
    if (!isnan(values[i]) && !(values[i] <= *most))
      *most = values[i];
    add(to, names[i], best ? *most : values[i]);
  }
}

static tb_status describe(rules *r, const rules_behaviour *b, double step, checkpoint_head *head, tb_metrics *out) {
  static const char *const classes[] = { "r1r2", "r1", "r2", "neither" };
  report to = { .metrics = out };
  const bool best = (r->settings.quirks & RULES_BEST_CHECKPOINT) != 0;
  const bool wrong_entropy = (r->settings.quirks & RULES_ENTROPY) != 0;
  const double half = (double)tb_language_max_length(r->language) / 2;
  char name[48];
  add(&to, "t", step);
  add(&to, "log_t", log(step));
  add(&to, "loss", b->loss);
  add(&to, "log_loss", log(b->loss));
  add(&to, "excess_loss", b->excess);
  add(&to, "optimal_loss", r->facts.optimal_loss);
  add(&to, "kl_to_truth", wrong_entropy ? b->loss - r->facts.entropy / half : b->fit.kl);
  add(&to, "kl_to_truth.se", b->fit.kl_se);
  add(&to, "ungrammatical_mass_bound", b->bound);
  add(&to, "ungrammatical_mass", b->ungrammatical);
  add(&to, "sampled.ungrammatical", b->drawn_ungrammatical);
  add(&to, "sampled.ungrammatical.se", b->drawn_ungrammatical_se);
  add(&to, "accuracy", b->fit.accuracy);
  add(&to, "optimal_accuracy", r->facts.optimal_accuracy);
  add_set(&to, &b->id, true, best, head);
  add_set(&to, &b->ood, false, best, head);
  add_baselines(&to, r, true);
  add_baselines(&to, r, false);
  for (size_t i = 0; i < 4; i++) {
    snprintf(name, sizeof name, "short_strings.%s", classes[i]);
    add(&to, name, b->short_strings[i]);
  }
  add(&to, "row_dependence", b->row_dependence);
  add(&to, "train_loss", head->last_loss);
  add(&to, "parameters", (double)r->parameters);
  return to.status;
}

/* ---- a run ---- */

static const char magic[8] = "rule-01";

typedef struct running {
  rules *r;
  tb_run *run;
  rules_trainer *trainer; /* NULL: n-gram */
  rules_readers readers;
  double *theta;
  checkpoint_head head;
  rules_looks looks;
  tb_arena *arena; /* of what was last seen of the model, and after how many steps; NULL: nothing yet */
  rules_behaviour seen;
  double seen_at;
} running;

static double step_of(const running *w) {
  return w->trainer ? (double)rules_trainer_steps(w->trainer) : 0;
}

static tb_status save(running *w) {
  if (!w->trainer)
    return TB_OK;
  const size_t size = sizeof w->head + w->head.size;
  char *block = tb_allocate(w->r->context, size, 1);
  if (!block)
    return TB_NO_MEMORY;
  memcpy(block, &w->head, sizeof w->head);
  rules_trainer_save(w->trainer, block + sizeof w->head);
  const tb_status status = tb_run_checkpoint_save(w->run, block, size);
  tb_release(w->r->context, block);
  return status;
}

static tb_status load(running *w) {
  const void *block;
  size_t size;
  checkpoint_head head;
  const tb_status status = tb_run_checkpoint_load(w->run, &block, &size);
  if (status || !block || !w->trainer)
    return status;
  if (size >= sizeof head)
    memcpy(&head, block, sizeof head);
  if (size != sizeof head + w->head.size || memcmp(head.magic, magic, sizeof magic) != 0 || head.size != w->head.size)
    return tb_fail(w->r->context, TB_FAILED, "checkpoint", "start the run afresh", "the checkpoint is not of this run");
  w->head = head;
  rules_trainer_restore(w->trainer, (const char *)block + sizeof head);
  return TB_OK;
}

/* The reader at the parameters of now. */
static void move(running *w) {
  if (!w->trainer)
    return;
  rules_trainer_point(w->trainer, w->theta);
  rules_readers_move(&w->readers, w->theta);
}

/* What the model of now does; once a step, though the last snapshot and the end are often the same one. */
static tb_status measure(running *w) {
  if (w->arena && w->seen_at == step_of(w))
    return TB_OK;
  tb_arena_free(w->arena);
  w->arena = tb_arena_new(w->r->context);
  if (!w->arena)
    return TB_NO_MEMORY;
  move(w);
  tb_status status = rules_measure(w->r, &w->readers, w->arena, &w->seen);
  w->seen_at = step_of(w);
  if (!status && !isfinite(w->seen.loss) && w->trainer)
    status = tb_fail(w->r->context, TB_FAILED, "option lr", "lower lr=, or give clip=1",
                     "the loss is %g after %g steps", w->seen.loss, w->seen_at);
  return status;
}

static tb_status look(running *w, tb_metrics *out, const char *prompts) {
  tb_status status = measure(w);
  if (!status)
    status = describe(w->r, &w->seen, w->seen_at, &w->head, out);
  if (!status && prompts)
    status = rules_write_prompts(w->r, &w->seen, prompts);
  return status;
}

static tb_status snapshot(running *w) {
  tb_metrics *out;
  tb_status status = tb_metrics_new(w->r->context, &out);
  if (status)
    return status;
  status = look(w, out, NULL);
  if (!status)
    status = tb_run_snapshot(w->run, out);
  tb_metrics_free(out);
  w->head.next++;
  return status;
}

static tb_status reached_loss(running *w, double until, bool *reached) {
  tb_fit fit;
  move(w);
  const tb_status status = tb_measure_fit(w->r->context, w->readers.fit, w->r->language, &w->r->test, false, &fit);
  *reached = !status && w->r->facts.optimal_loss + fit.kl / w->r->facts.positions <= until;
  return status;
}

/* From where it stands to the end, or until it is asked to stop. */
static tb_status train(running *w, double until, const char **stopped) {
  enum { LOOK = 10, ASK = 8 };
  for (tb_status status = TB_OK;;) {
    const double step = step_of(w);
    bool reached = false;
    if (step >= rules_look_at(&w->looks, w->head.next) && (status = snapshot(w)))
      return status;
    if (until > 0 && fmod(step, LOOK) == 0 && (status = reached_loss(w, until, &reached)))
      return status;
    if (reached || !w->trainer || step >= (double)w->r->settings.steps) {
      *stopped = reached ? "loss" : "steps";
      return TB_OK;
    }
    if (fmod(step, ASK) == 0) {
      tb_run_progress(w->run, step / (double)w->r->settings.steps, "training");
      if (tb_run_should_stop(w->run)) {
        status = save(w);
        return status ? status : tb_run_stop_status(w->run);
      }
      if (tb_run_checkpoint_due(w->run) && (status = save(w)))
        return status;
    }
    if ((status = rules_trainer_step(w->trainer, &w->head.last_loss)))
      return status;
  }
}

static tb_status finish(running *w, const char *stopped) {
  const char *path;
  tb_status status = tb_run_file(w->run, "prompts", "prompts.csv", &path);
  if (!status)
    status = look(w, tb_run_metrics(w->run), path);
  if (!status)
    status = tb_metrics_word(tb_run_metrics(w->run), "stopped", stopped);
  return status;
}

static tb_status begin(running *w) {
  rules *r = w->r;
  tb_status status = rules_prepare(r);
  if (!status)
    status = rules_readers_new(r, &w->readers);
  if (!status && r->model)
    status = rules_trainer_new(r, &w->trainer);
  else if (!status)
    r->parameters = tb_ngram_parameters(w->readers.fit);
  if (status)
    return status;
  w->theta = tb_arena_allocate(r->arena, r->parameters + 1, sizeof *w->theta);
  memcpy(w->head.magic, magic, sizeof magic);
  w->head.size = w->trainer ? rules_trainer_size(w->trainer) : 0;
  w->head.last_loss = NAN;
  for (size_t i = 0; i < SHARES; i++)
    w->head.best[0][i] = w->head.best[1][i] = NAN;
  return w->theta ? load(w) : TB_NO_MEMORY;
}

static tb_status run_study(tb_run *run) {
  tb_context *context = tb_run_context(run);
  const tb_config *config = tb_run_config(run);
  rules_settings settings;
  rules r = { 0 };
  running w = { .r = &r, .run = run };
  const char *stopped = "steps";
  tb_status status = rules_settings_read(context, config, &settings);
  if (!status)
    status = rules_open(&r, context, &settings);
  if (!status)
    status = rules_looks_read(context, r.arena, config, (double)settings.steps, &w.looks);
  w.looks.end = r.model ? w.looks.end : 0; /* an n-gram is there at once */
  if (!status)
    status = begin(&w);
  const double until = tb_config_is_set(config, "until_loss") ? tb_config_real(config, "until_loss") : 0;
  if (!status)
    status = train(&w, until, &stopped);
  if (!status)
    status = finish(&w, stopped);
  tb_arena_free(w.arena);
  rules_trainer_free(w.trainer);
  rules_readers_free(&w.readers);
  rules_close(&r);
  return status;
}

static tb_status check(tb_context *context, const tb_config *config) {
  rules_settings settings;
  rules r = { 0 };
  rules_looks looks;
  tb_status status = rules_settings_read(context, config, &settings);
  if (!status)
    status = rules_open(&r, context, &settings);
  if (!status)
    status = rules_looks_read(context, r.arena, config, (double)settings.steps, &looks);
  rules_close(&r);
  return status;
}

static tb_status estimate(tb_context *context, const tb_config *config, tb_estimate *out) {
  rules_settings settings;
  rules r = { 0 };
  tb_status status = rules_settings_read(context, config, &settings);
  if (!status)
    status = rules_open(&r, context, &settings);
  if (!status)
    rules_sizes(&r);
  const double steps = r.model ? (double)settings.steps : 0, flop = status ? NAN : rules_flop_per_step(&r);
  *out = (tb_estimate){ .steps = steps,
                        .flop = steps * flop,
                        .seconds = steps * (flop / 4e10 + 5e-4),
                        .memory = 4 * (4 * (double)r.parameters + flop / 50),
                        .parameters = (double)r.parameters };
  rules_close(&r);
  return status;
}

const tb_study tb_study_rules = {
  .name = "rules",
  .laboratory = "language",
  .summary = "which rules of a language does a model go on to follow where the language itself says nothing",
  .paper = "Understanding LLMs Requires More Than Statistical Generalization (Reizinger, Ujvary, Meszaros, Kerekes, "
           "Brendel, Huszar 2024)",
  .details =
      "A language is the set of strings that obey two rules, r1 and r2.  A model is trained on it until its loss is\n"
      "near the exact entropy, which bounds the mass of all strings that are not of the language.  Then it is asked "
      "to\n"
      "complete prompts that break r2 beyond repair: they have probability zero, so the likelihood says nothing of\n"
      "what follows.  Rule extrapolation is to go on obeying r1.  Training can add completions of half of those\n"
      "prompts, right ones (oracle) or wrong ones (adversarial), and is then judged on the other half.\n"
      "Published settings: max_length=256 width=10 heads=5 depth=5 feedforward=1024 batch=128 lr=2e-3\n"
      "schedule=inverse_sqrt warmup=1000 dropout=0.1 steps=50000 cap=300.",
  .tables = tables,
  .n_tables = COUNT(tables),
  .metrics = metrics,
  .n_metrics = COUNT(metrics),
  .claims = rules_claims,
  .n_claims = RULES_CLAIMS,
  .check = check,
  .estimate = estimate,
  .run = run_study,
};

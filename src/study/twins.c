/* Study `twins`: two models of equal loss on a language, and how far apart they are where it says nothing.
 *
 * kind=exact: the law itself on every prefix that it has, a strategy on the others; two strategies make two models
 * whose divergence is zero by construction.  kind=trained: two trainings that differ in seed, network, optimiser or in
 * what is taught beside the likelihood; their losses are certified against the exact entropy.
 * ("Understanding LLMs Requires More Than Statistical Generalization", Reizinger et al. 2024: functional and
 * ε-non-identifiability.) */
#include "study/twins.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define ANY      1, 0
#define COUNT(a) (sizeof(a) / sizeof *(a))

static const tb_option options[] = {
  { "kind", TB_CHOICE, "exact", "exact|trained", ANY, false,
    "the exact law with a strategy off it, or two trained models", NULL, NULL },
  { "first", TB_CHOICE, "append_to_balance", "append_to_balance|eos_now", ANY, false,
    "what the first exact model does on prefixes of probability zero", NULL, NULL },
  { "second", TB_CHOICE, "eos_now", "append_to_balance|eos_now", ANY, false, "what the second does", NULL, NULL },
  { "second_seed", TB_INTEGER, "", NULL, 0, 4294967295.0, false,
    "key of the second training; unset: seed where the second differs in anything else, seed + 1000003 where it does "
    "not; both see the same strings and prompts",
    NULL, NULL },
  { "second_model", TB_CHOICE, "same", "same|transformer|lstm|gru|linear", ANY, false, "network of the second", NULL,
    NULL },
  { "second_width", TB_INTEGER, "", NULL, 1, 65536, false, "width of the second; unset: width", NULL, NULL },
  { "second_depth", TB_INTEGER, "", NULL, 1, 100, false, "layers of the second; unset: depth", NULL, NULL },
  { "second_method", TB_CHOICE, "same", "same|gd|momentum|adam|ngd", ANY, false, "optimiser of the second", NULL,
    NULL },
  { "second_lr", TB_REAL, "", NULL, 0, INFINITY, true, "learning rate of the second; unset: lr", NULL, NULL },
  { "second_training", TB_CHOICE, "same", "same|likelihood|adversarial|oracle", ANY, false,
    "what is added to the second's likelihood; both are judged on prompts that neither was taught", NULL, NULL },
};
static const tb_option_table twin_options = { "twins", options, COUNT(options) };
static const tb_option_table *const tables[] = { &twin_options, &rules_run_options, &rules_language_options,
                                                 &rules_model_options, &rules_training_options };

static const tb_metric metrics[] = {
  { "t", "", "training steps done (0: exact)", NULL, NULL },
  { "log_t", "", "logarithm of t", NULL, NULL },
  { "loss_gap", "nats", "loss of the second less that of the first", NULL, NULL },
  { "optimal_loss", "nats", "entropy of a string over positions", NULL, NULL },
  { "kl", "nats", "of a string: divergence of the second's next-token laws from the first's on the language's prefixes",
    "E Σ KL(q₁(· | prefix) ‖ q₂(· | prefix))", NULL },
  { "id_total_variation", "", "mean over ID prompts of the distance of next-token laws", "½ Σ |q₁ − q₂|", NULL },
  { "ood_total_variation", "", "mean over OOD prompts of the distance of next-token laws", "½ Σ |q₁ − q₂|", NULL },
  { "disagreement", "", "share of OOD prompts that the two complete differently (greedy)", NULL, NULL },
  { "MODEL.loss", "nats", "of the first, second: as in the study rules", NULL, NULL },
  { "MODEL.excess_loss", "nats", "above the exact entropy", NULL, NULL },
  { "MODEL.ungrammatical_mass_bound", "", "no more than this mass lies outside the language", NULL, NULL },
  { "MODEL.kl_to_truth", "nats", "of a string", NULL, NULL },
  { "MODEL.accuracy", "", "of the argmax over all positions", NULL, NULL },
  { "MODEL.SET.SHARE", "", "shares of completions as in the study rules: first.ood.r1, second.id.finished, …", NULL,
    NULL },
  { "stopped", "", "what ended the run: steps or loss", NULL, NULL },
};

/* ---- the two ---- */

typedef struct twin {
  rules r;
  rules_trainer *trainer; /* NULL: exact */
  rules_readers readers;
  double *theta;
  bool done; /* has reached until_loss */
} twin;

typedef struct twins {
  tb_context *context;
  const tb_config *config;
  tb_run *run;
  twin both[2];
  rules_looks looks;
  double until;
  uint64_t next;
} twins;

static bool same(const tb_config *config, const char *name) {
  return tb_config_is(config, name, "same");
}

/* In anything but the seed. */
static bool differs(const tb_config *config) {
  static const char *const numbers[] = { "second_width", "second_depth", "second_lr" };
  bool found = !same(config, "second_model") || !same(config, "second_method") || !same(config, "second_training");
  for (size_t i = 0; i < COUNT(numbers); i++)
    found |= tb_config_is_set(config, numbers[i]);
  return found;
}

static tb_status read_settings(tb_context *context, const tb_config *config, rules_settings both[2]) {
  static const char *const trainings[] = { "likelihood", "adversarial", "oracle" };
  static const char *const methods[] = { "gd", "momentum", "adam", "ngd" };
  tb_status status = rules_settings_read(context, config, &both[0]);
  if (status)
    return status;
  if (tb_config_is(config, "kind", "exact")) { /* a language and its prompts; nothing is trained */
    both[0].model = "ngram";
    both[0].training = RULES_LIKELIHOOD;
    both[0].strings = 1;
    both[0].steps = 0;
    both[0].quirks = 0;
    both[1] = both[0];
    return TB_OK;
  }
  if (strcmp(both[0].model, "ngram") == 0)
    return tb_fail(context, TB_USAGE, "option model", "give model=transformer, lstm, gru or linear",
                   "two n-grams of the same strings are one model");
  rules_settings *s = &both[1];
  *s = both[0];
  if (tb_config_is_set(config, "second_seed"))
    s->seed = (uint64_t)tb_config_integer(config, "second_seed");
  else if (!differs(config))
    s->seed += 1000003;
  if (!same(config, "second_model"))
    s->model = tb_config_word(config, "second_model");
  if (tb_config_is_set(config, "second_width")) {
    s->shape.width = (size_t)tb_config_integer(config, "second_width");
    if (!tb_config_is_set(config, "embedding"))
      s->shape.embedding = s->shape.width;
  }
  if (tb_config_is_set(config, "second_depth"))
    s->shape.layers = (size_t)tb_config_integer(config, "second_depth");
  if (tb_config_is_set(config, "second_lr"))
    s->lr = tb_config_real(config, "second_lr");
  for (size_t i = 0; i < COUNT(methods); i++)
    if (tb_config_is(config, "second_method", methods[i]))
      s->method = (rules_method)i;
  for (size_t i = 0; i < COUNT(trainings); i++)
    if (tb_config_is(config, "second_training", trainings[i]))
      s->training = (rules_training)i;
  return TB_OK;
}

/* Both are judged on the prompts that neither was taught: where one was taught, it is the shorter list. */
static void share_prompts(twins *w) {
  rules *a = &w->both[0].r, *b = &w->both[1].r;
  rules *few = a->n_prompts <= b->n_prompts ? a : b, *many = few == a ? b : a;
  many->prompts = few->prompts;
  many->n_prompts = few->n_prompts;
}

static tb_status open_twins(twins *w, tb_context *context, const tb_config *config) {
  rules_settings settings[2];
  *w = (twins){ .context = context, .config = config };
  tb_status status = read_settings(context, config, settings);
  for (int i = 0; i < 2 && !status; i++)
    status = rules_open(&w->both[i].r, context, &settings[i]);
  if (status)
    return status;
  share_prompts(w);
  w->until = tb_config_is_set(config, "until_loss") ? tb_config_real(config, "until_loss") : 0;
  return rules_looks_read(context, w->both[0].r.arena, config, (double)settings[0].steps, &w->looks);
}

static void close_twins(twins *w) {
  for (int i = 0; i < 2; i++) {
    rules_trainer_free(w->both[i].trainer);
    rules_readers_free(&w->both[i].readers);
  }
  rules_close(&w->both[1].r); /* its prompts may be of the first's arena */
  rules_close(&w->both[0].r);
}

static tb_status begin_exact(twins *w, twin *t, const char *option) {
  const tb_strategy strategy = tb_config_is(w->config, option, "append_to_balance") ? TB_APPEND_TO_BALANCE : TB_EOS_NOW;
  enum { ROWS = 64 };
  tb_status status = tb_law_reader(w->context, t->r.language, strategy, ROWS, &t->readers.fit);
  t->readers.completions = t->readers.fit;
  return status;
}

static tb_status begin(twins *w) {
  const bool exact = tb_config_is(w->config, "kind", "exact");
  tb_status status = TB_OK;
  for (int i = 0; i < 2 && !status; i++) {
    twin *t = &w->both[i];
    status = rules_prepare(&t->r);
    if (!status && exact)
      status = begin_exact(w, t, i ? "second" : "first");
    if (status || exact)
      continue;
    t->theta = tb_arena_allocate(t->r.arena, t->r.parameters, sizeof *t->theta);
    status = t->theta ? rules_readers_new(&t->r, &t->readers) : TB_NO_MEMORY;
    if (!status)
      status = rules_trainer_new(&t->r, &t->trainer);
  }
  return status;
}

/* ---- metrics ---- */

typedef struct report {
  tb_metrics *metrics;
  tb_status status;
} report;

static void add(report *to, const char *model, const char *name, double value) {
  char full[512];
  snprintf(full, sizeof full, "%s%s%s", model, *model ? "." : "", name);
  if (!to->status)
    to->status = tb_metrics_real(to->metrics, full, value);
}

static void add_model(report *to, const char *model, const rules_behaviour *b) {
  char names[RULES_SHARES][48];
  double values[RULES_SHARES];
  add(to, model, "loss", b->loss);
  add(to, model, "excess_loss", b->excess);
  add(to, model, "ungrammatical_mass_bound", b->bound);
  add(to, model, "kl_to_truth", b->fit.kl);
  add(to, model, "accuracy", b->fit.accuracy);
  for (int id = 1; id >= 0; id--) {
    rules_shares(id ? &b->id : &b->ood, id ? "id" : "ood", names, values);
    for (size_t i = 0; i < RULES_SHARES; i++)
      add(to, model, names[i], values[i]);
  }
}

static bool same_completion(const tb_completion *a, const tb_completion *b) {
  return a->finished == b->finished && a->count == b->count &&
         (a->count == 0 || memcmp(a->symbols, b->symbols, a->count * sizeof *a->symbols) == 0);
}

/* Distances of next-token laws over ID and over OOD prompts, and the share of OOD prompts completed differently. */
typedef struct distances {
  double variation[2], disagreement;
} distances;

static tb_status measure_distances(twins *w, tb_arena *arena, const rules_behaviour *first,
                                   const rules_behaviour *second, distances *out) {
  const rules *r = &w->both[0].r;
  const size_t n = r->n_prompts, v = tb_language_symbols(r->language) + TB_EXTRA_TOKENS;
  double *p = tb_arena_allocate(arena, n * v + 1, sizeof *p), *q = tb_arena_allocate(arena, n * v + 1, sizeof *q);
  double sum[2] = { 0 };
  size_t count[2] = { 0 }, differ = 0;
  tb_status status = p && q ? TB_OK : TB_NO_MEMORY;
  if (!status)
    status = tb_next_laws(w->context, w->both[0].readers.completions, r->language, n, r->prompts, 0, p);
  if (!status)
    status = tb_next_laws(w->context, w->both[1].readers.completions, r->language, n, r->prompts, 0, q);
  for (size_t i = 0; i < n && !status; i++) {
    const bool id = r->prompts[i].id;
    sum[id] += tb_mean_variation(1, v, p + i * v, q + i * v);
    count[id]++;
    differ += !id && !same_completion(&first->completions[i], &second->completions[i]);
  }
  for (int id = 0; id < 2; id++)
    out->variation[id] = count[id] ? sum[id] / (double)count[id] : NAN;
  out->disagreement = count[0] ? (double)differ / (double)count[0] : NAN;
  return status;
}

static double step_of(const twins *w) {
  const twin *a = &w->both[0], *b = &w->both[1];
  return a->trainer ? fmax((double)rules_trainer_steps(a->trainer), (double)rules_trainer_steps(b->trainer)) : 0;
}

static void move(twin *t) {
  if (!t->trainer)
    return;
  rules_trainer_point(t->trainer, t->theta);
  rules_readers_move(&t->readers, t->theta);
}

static tb_status look(twins *w, tb_metrics *out) {
  rules_behaviour b[2];
  distances d;
  double kl = NAN;
  tb_arena *arena = tb_arena_new(w->context);
  tb_status status = arena ? TB_OK : TB_NO_MEMORY;
  for (int i = 0; i < 2 && !status; i++) {
    move(&w->both[i]);
    status = rules_measure(&w->both[i].r, &w->both[i].readers, arena, &b[i]);
  }
  if (!status)
    status = tb_measure_divergence(w->context, w->both[0].readers.fit, w->both[1].readers.fit, w->both[0].r.language,
                                   &w->both[0].r.test, &kl);
  if (!status)
    status = measure_distances(w, arena, &b[0], &b[1], &d);
  report to = { .metrics = out, .status = status };
  if (!status) {
    add(&to, "", "t", step_of(w));
    add(&to, "", "log_t", log(step_of(w)));
    add(&to, "", "loss_gap", b[1].loss - b[0].loss);
    add(&to, "", "optimal_loss", w->both[0].r.facts.optimal_loss);
    add(&to, "", "kl", kl);
    add(&to, "", "id_total_variation", d.variation[1]);
    add(&to, "", "ood_total_variation", d.variation[0]);
    add(&to, "", "disagreement", d.disagreement);
    add_model(&to, "first", &b[0]);
    add_model(&to, "second", &b[1]);
  }
  tb_arena_free(arena);
  return to.status;
}

/* ---- a run ---- */

static const char magic[8] = "twin-01";

typedef struct checkpoint_head {
  char magic[8];
  uint64_t next, sizes[2];
  uint64_t done[2];
} checkpoint_head;

static tb_status save(twins *w) {
  checkpoint_head head = { .next = w->next };
  memcpy(head.magic, magic, sizeof magic);
  for (int i = 0; i < 2; i++) {
    head.sizes[i] = rules_trainer_size(w->both[i].trainer);
    head.done[i] = w->both[i].done;
  }
  const size_t size = sizeof head + head.sizes[0] + head.sizes[1];
  char *block = tb_allocate(w->context, size, 1);
  if (!block)
    return TB_NO_MEMORY;
  memcpy(block, &head, sizeof head);
  rules_trainer_save(w->both[0].trainer, block + sizeof head);
  rules_trainer_save(w->both[1].trainer, block + sizeof head + head.sizes[0]);
  const tb_status status = tb_run_checkpoint_save(w->run, block, size);
  tb_release(w->context, block);
  return status;
}

static tb_status load(twins *w) {
  const void *block;
  size_t size;
  checkpoint_head head;
  const tb_status status = tb_run_checkpoint_load(w->run, &block, &size);
  if (status || !block || !w->both[0].trainer)
    return status;
  if (size >= sizeof head)
    memcpy(&head, block, sizeof head);
  if (size < sizeof head || memcmp(head.magic, magic, sizeof magic) != 0 ||
      head.sizes[0] != rules_trainer_size(w->both[0].trainer) ||
      head.sizes[1] != rules_trainer_size(w->both[1].trainer) || size != sizeof head + head.sizes[0] + head.sizes[1])
    return tb_fail(w->context, TB_FAILED, "checkpoint", "start the run afresh", "the checkpoint is not of this run");
  w->next = head.next;
  rules_trainer_restore(w->both[0].trainer, (const char *)block + sizeof head);
  rules_trainer_restore(w->both[1].trainer, (const char *)block + sizeof head + head.sizes[0]);
  for (int i = 0; i < 2; i++)
    w->both[i].done = head.done[i] != 0;
  return TB_OK;
}

static tb_status snapshot(twins *w) {
  tb_metrics *out;
  tb_status status = tb_metrics_new(w->context, &out);
  if (status)
    return status;
  status = look(w, out);
  if (!status)
    status = tb_run_snapshot(w->run, out);
  tb_metrics_free(out);
  w->next++;
  return status;
}

static tb_status look_at_loss(twins *w, twin *t) {
  tb_fit fit;
  move(t);
  const tb_status status = tb_measure_fit(w->context, t->readers.fit, t->r.language, &t->r.test, false, &fit);
  t->done = !status && t->r.facts.optimal_loss + fit.kl / t->r.facts.positions <= w->until;
  return status;
}

/* Both take a step until each has reached the loss or the steps. */
static tb_status train(twins *w, const char **stopped) {
  enum { LOOK = 10, ASK = 8 };
  const double end = w->looks.end;
  for (tb_status status = TB_OK;;) {
    const double step = step_of(w);
    if (step >= rules_look_at(&w->looks, w->next) && (status = snapshot(w)))
      return status;
    for (int i = 0; i < 2 && w->until > 0 && fmod(step, LOOK) == 0; i++)
      if (!w->both[i].done && (status = look_at_loss(w, &w->both[i])))
        return status;
    const bool reached = w->both[0].done && w->both[1].done;
    if (reached || step >= end) {
      *stopped = reached ? "loss" : "steps";
      return TB_OK;
    }
    if (fmod(step, ASK) == 0) {
      tb_run_progress(w->run, step / end, "training");
      if (tb_run_should_stop(w->run)) {
        status = save(w);
        return status ? status : tb_run_stop_status(w->run);
      }
      if (tb_run_checkpoint_due(w->run) && (status = save(w)))
        return status;
    }
    for (int i = 0; i < 2; i++) {
      double loss;
      if (!w->both[i].done && (status = rules_trainer_step(w->both[i].trainer, &loss)))
        return status;
    }
  }
}

static tb_status run_study(tb_run *run) {
  twins w;
  const char *stopped = "steps";
  tb_status status = open_twins(&w, tb_run_context(run), tb_run_config(run));
  w.run = run;
  if (!status)
    status = begin(&w);
  if (!status)
    status = load(&w);
  if (!status && w.both[0].trainer)
    status = train(&w, &stopped);
  else if (!status)
    status = snapshot(&w);
  if (!status)
    status = look(&w, tb_run_metrics(run));
  if (!status)
    status = tb_metrics_word(tb_run_metrics(run), "stopped", stopped);
  close_twins(&w);
  return status;
}

static tb_status check(tb_context *context, const tb_config *config) {
  twins w;
  const tb_status status = open_twins(&w, context, config);
  close_twins(&w);
  return status;
}

static tb_status estimate(tb_context *context, const tb_config *config, tb_estimate *out) {
  twins w;
  double flop = 0;
  const tb_status status = open_twins(&w, context, config);
  for (int i = 0; i < 2 && !status; i++) {
    rules_sizes(&w.both[i].r);
    flop += rules_flop_per_step(&w.both[i].r);
  }
  const double p = (double)(w.both[0].r.parameters + w.both[1].r.parameters);
  *out = (tb_estimate){ .steps = w.looks.end,
                        .flop = w.looks.end * flop,
                        .seconds = w.looks.end * (flop / 4e10 + 1e-3),
                        .memory = 16 * p + flop / 12,
                        .parameters = p };
  close_twins(&w);
  return status;
}

const tb_study tb_study_twins = {
  .name = "twins",
  .laboratory = "language",
  .summary = "two models of equal loss on a language: how differently do they behave off it",
  .paper = "Understanding LLMs Requires More Than Statistical Generalization (Reizinger, Ujvary, Meszaros, Kerekes, "
           "Brendel, Huszar 2024)",
  .details =
      "A loss fixes what follows a prefix only where the prefix has probability.  kind=exact builds two models that "
      "are\n"
      "the language's own law wherever it has any and follow a strategy elsewhere: their divergence is exactly zero,\n"
      "their completions of impossible prompts are not the same.  kind=trained trains two that differ in seed (by\n"
      "default), network, optimiser or in what is taught, and holds both losses against the exact entropy.",
  .tables = tables,
  .n_tables = COUNT(tables),
  .metrics = metrics,
  .n_metrics = COUNT(metrics),
  .claims = twins_claims,
  .n_claims = TWINS_CLAIMS,
  .check = check,
  .estimate = estimate,
  .run = run_study,
};

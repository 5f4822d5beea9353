/* A run of `finetune`: pre-training, the move, the measures, then both twins step by step.
 *
 * A checkpoint holds the phase, what was measured, and the trainings as blocks, so that a run taken up again gives the
 * same bits. */
#include <math.h>
#include <string.h>

#include "measure/conjugate.h"
#include "study/finetune.h"

static const char magic[8] = "fine-01";

typedef struct progress {
  char magic[8];
  uint64_t tuning;     /* 0: still pre-training */
  uint64_t step, next; /* of fine-tuning; snapshot to come */
  double pretrain_loss, threshold, gap, loss[TWINS], reached[TWINS];
  uint64_t diverged[TWINS];
  finetune_measures measures;
} progress;

typedef struct tuning {
  finetune *f;
  tb_run *run;
  progress g;
  finetune_part parts[TWINS]; /* on the target */
  finetune_part source;
  double *theta[TWINS], *gradient, *change; /* the twins now; scratch */
  tb_training *pretraining, *training[TWINS];
  tb_curvature *fisher[TWINS];
  double lr;
} tuning;

/* ---- checkpoints ---- */

static size_t block_size(const tuning *w) {
  size_t size = sizeof w->g;
  if (!w->g.tuning)
    return size + tb_training_size(w->pretraining);
  for (int t = 0; t < TWINS; t++)
    size += tb_training_size(w->training[t]);
  return size;
}

static tb_status save(tuning *w) {
  char *block = tb_allocate(w->f->context, block_size(w), 1), *at = block + sizeof w->g;
  if (!block)
    return TB_NO_MEMORY;
  memcpy(block, &w->g, sizeof w->g);
  if (!w->g.tuning)
    tb_training_save(w->pretraining, at);
  for (int t = 0; t < TWINS && w->g.tuning; t++, at += tb_training_size(w->training[0]))
    tb_training_save(w->training[t], at);
  tb_status status = tb_run_checkpoint_save(w->run, block, block_size(w));
  tb_release(w->f->context, block);
  return status;
}

static tb_status load(tuning *w) {
  const void *block;
  size_t size;
  progress g;
  tb_status status = tb_run_checkpoint_load(w->run, &block, &size);
  if (status || !block)
    return status;
  if (size < sizeof g)
    goto other;
  memcpy(&g, block, sizeof g);
  const progress own = w->g;
  w->g = g;
  if (memcmp(g.magic, magic, sizeof magic) != 0 || size != block_size(w)) {
    w->g = own;
    goto other;
  }
  const char *at = (const char *)block + sizeof g;
  if (!g.tuning)
    tb_training_restore(w->pretraining, at);
  for (int t = 0; t < TWINS && g.tuning; t++, at += tb_training_size(w->training[0]))
    tb_training_restore(w->training[t], at);
  return TB_OK;
other:
  return tb_fail(w->f->context, TB_FAILED, "checkpoint", "start the run afresh", "the checkpoint is not of this run");
}

static tb_status pause_here(tuning *w, double fraction, const char *what) {
  tb_run_progress(w->run, fraction, what);
  if (tb_run_should_stop(w->run)) {
    tb_status status = save(w);
    return status ? status : tb_run_stop_status(w->run);
  }
  return tb_run_checkpoint_due(w->run) ? save(w) : TB_OK;
}

/* ---- pre-training ---- */

static tb_status pretrain(tuning *w) {
  finetune *f = w->f;
  const uint64_t steps = (uint64_t)tb_config_integer(f->config, "pretrain_steps");
  const double lr = tb_config_real(f->config, "pretrain_lr");
  tb_status status = TB_OK;
  while (tb_training_steps(w->pretraining) < steps && !status) {
    const uint64_t step = tb_training_steps(w->pretraining);
    if (step % 16 == 0)
      status = pause_here(w, 0.5 * (double)step / (double)steps, "pre-training");
    if (!status)
      status = finetune_fill(f, SOURCE, step);
    if (!status)
      status = finetune_step(&w->source, w->pretraining, lr, &w->g.pretrain_loss);
    if (!status && !isfinite(w->g.pretrain_loss))
      status = tb_fail(f->context, TB_FAILED, "option pretrain_lr",
                       "lower pretrain_lr=", "pre-training diverged after %llu steps", (unsigned long long)step);
  }
  return status ? status : finetune_fill(f, SOURCE, 0); /* curvature is of the first batch */
}

/* Parameters of the type of the computation, so that both twins start from what their numbers are. */
static void round_to(tb_dtype dtype, size_t count, double *values) {
  for (size_t i = 0; i < count && dtype == TB_FLOAT32; i++)
    values[i] = (double)(float)values[i];
}

static tb_status loss_at(finetune_part *part, const double *theta, double *loss) {
  tb_training *training;
  tb_status status = finetune_training(part, TB_UPDATE_NONE, &training);
  if (status)
    return status;
  tb_training_start(training, 0, theta);
  status = finetune_step(part, training, 0, loss);
  tb_training_free(training);
  return status;
}

/* The twins at their start, and everything that is measured there. */
static tb_status begin(tuning *w) {
  finetune *f = w->f;
  if (f->scalar) {
    const double twins[TWINS][2] = { { 1, 1 }, { f->alpha, 1 / f->alpha } };
    memcpy(w->theta[UNMOVED], twins[UNMOVED], sizeof twins[UNMOVED]);
    memcpy(w->theta[MOVED], twins[MOVED], sizeof twins[MOVED]);
  } else {
    tb_training_point(w->pretraining, 0, w->theta[UNMOVED]);
    tb_status status = tb_symmetry_move(f->context, &f->map, w->theta[UNMOVED], w->theta[MOVED]);
    if (status)
      return status;
  }
  round_to(f->dtype, f->parameters[MOVED], w->theta[MOVED]);
  tb_status status = loss_at(&w->source, w->theta[UNMOVED], &w->g.pretrain_loss);
  for (int t = 0; t < TWINS && !status; t++) {
    tb_training_start(w->training[t], 0, w->theta[t]);
    status = loss_at(&w->parts[t], w->theta[t], &w->g.loss[t]);
    w->g.reached[t] = INFINITY;
  }
  const double optimum = f->scalar ? 0 : f->text[TARGET].facts.optimal_loss;
  w->g.threshold = !isnan(f->threshold) ? f->threshold
                   : f->scalar          ? 0.01
                                        : optimum + 0.15 * (w->g.loss[UNMOVED] - optimum);
  tb_run_progress(w->run, 0.5, "curvature");
  if (!status)
    status = finetune_measure(f, w->theta, &w->g.measures);
  w->g.tuning = 1;
  return status;
}

/* ---- metrics ---- */

typedef struct report {
  tb_metrics *metrics;
  tb_status status;
} report;

static void add(report *to, const char *name, double value) {
  if (!to->status)
    to->status = tb_metrics_real(to->metrics, name, value);
}

static tb_status describe(tuning *w, tb_metrics *metrics) {
  const finetune *f = w->f;
  const finetune_measures *m = &w->g.measures;
  report to = { .metrics = metrics };
  add(&to, "t", (double)w->g.step);
  add(&to, "loss", w->g.loss[MOVED]);
  add(&to, "unmoved.loss", w->g.loss[UNMOVED]);
  add(&to, "pretrain_loss", w->g.pretrain_loss);
  if (!f->scalar) {
    add(&to, "source.optimal_loss", f->text[SOURCE].facts.optimal_loss);
    add(&to, "target.optimal_loss", f->text[TARGET].facts.optimal_loss);
  }
  add(&to, "threshold", w->g.threshold);
  add(&to, "steps_to_threshold", w->g.reached[MOVED]);
  add(&to, "unmoved.steps_to_threshold", w->g.reached[UNMOVED]);
  add(&to, "twin_gap", w->g.gap);
  add(&to, "max_logit_difference", m->logit_difference);
  if (!to.status)
    to.status = tb_metrics_vector(metrics, "gradient_ratio", 2, m->gradient_ratio);
  add(&to, "gradient_error", m->gradient_error);
  add(&to, "parameter_distance", m->distance);
  add(&to, "hessian_trace", m->trace[MOVED]);
  add(&to, "hessian_trace.se", m->trace_se[MOVED]);
  if (!isnan(m->predicted_trace)) {
    add(&to, "hessian_trace.predicted", m->predicted_trace);
    add(&to, "hessian_trace.predicted.se", m->predicted_se);
  }
  add(&to, "hessian_top", m->top[MOVED]);
  add(&to, "unmoved.hessian_trace", m->trace[UNMOVED]);
  add(&to, "unmoved.hessian_trace.se", m->trace_se[UNMOVED]);
  add(&to, "unmoved.hessian_top", m->top[UNMOVED]);
  if (f->scalar) {
    for (int t = 0; t < TWINS; t++)
      tb_training_point(w->training[t], 0, w->theta[t]);
    add(&to, "output", finetune_scalar_output(w->theta[MOVED]));
    add(&to, "unmoved.output", finetune_scalar_output(w->theta[UNMOVED]));
  }
  add(&to, "parameters", (double)f->parameters[MOVED]);
  return to.status;
}

static tb_status snapshot(tuning *w) {
  tb_metrics *metrics;
  tb_status status = tb_metrics_new(w->f->context, &metrics);
  if (status)
    return status;
  status = describe(w, metrics);
  if (!status)
    status = tb_run_snapshot(w->run, metrics);
  tb_metrics_free(metrics);
  return status;
}

/* The i-th snapshot's step: what at= says, else 0, 1, 2, … in ratios of 1.15 and the end; inf past the last. */
static double snapshot_at(const finetune *f, uint64_t i) {
  const double *at, end = (double)tb_config_integer(f->config, "steps");
  const size_t count = tb_config_reals(f->config, "at", &at);
  if (count)
    return i < count ? at[i] : INFINITY;
  double k = 0;
  for (uint64_t j = 0; j < i; j++) {
    if (k >= end)
      return INFINITY;
    k = fmin(end, fmax(k + 1, floor(1.15 * k)));
  }
  return k;
}

/* ---- fine-tuning ---- */

/* θ ← θ − η δ, δ = (F + λI)⁻¹ g, after a step that only took the gradient; η = lr unless ½ η² δᵀFδ, the change of the
 * next-token laws to second order, would pass trust=.  A twin without a finite direction has diverged: *lost. */
static tb_status natural_step(tuning *w, int t, bool *lost) {
  finetune *f = w->f;
  const void *typed = tb_training_gradient(w->training[t]);
  const size_t p = f->parameters[t];
  for (size_t i = 0; i < p; i++)
    w->gradient[i] = f->dtype == TB_FLOAT32 ? (double)((const float *)typed)[i] : ((const double *)typed)[i];
  tb_training_point(w->training[t], 0, w->theta[t]);
  tb_curvature_move(w->fisher[t], w->theta[t]);
  const tb_operator fisher = tb_curvature_operator(w->fisher[t]);
  tb_status status = tb_conjugate_gradients(&fisher, tb_config_real(f->config, "damping"), w->gradient, 1e-6,
                                            (size_t)tb_config_integer(f->config, "cg_products"), w->change, NULL);
  *lost = status == TB_FAILED;
  if (status) {
    if (*lost)
      tb_context_clear(f->context);
    return *lost ? TB_OK : status;
  }
  double along = 0; /* gᵀδ = δᵀ(F + λI)δ */
  for (size_t i = 0; i < p; i++)
    along = fma(w->gradient[i], w->change[i], along);
  const double most = sqrt(2 * tb_config_real(f->config, "trust") / along), eta = along > 0 ? fmin(w->lr, most) : w->lr;
  for (size_t i = 0; i < p; i++)
    w->theta[t][i] -= eta * w->change[i];
  tb_training_start(w->training[t], 0, w->theta[t]);
  return TB_OK;
}

static tb_status diverged(tuning *w, int t) {
  w->g.diverged[t] = 1;
  w->g.loss[t] = INFINITY;
  return tb_run_warn(w->run, "the %s twin diverged at step %llu: lower lr= to fine-tune it",
                     t == MOVED ? "moved" : "unmoved", (unsigned long long)w->g.step);
}

/* One step of a twin; loss[t] is of the point before it.  A twin that diverged stays where it is. */
static tb_status step_twin(tuning *w, int t, bool last) {
  finetune *f = w->f;
  if (w->g.diverged[t])
    return TB_OK;
  tb_status status = last ? TB_OK : finetune_step(&w->parts[t], w->training[t], w->lr, &w->g.loss[t]);
  if (last) {
    tb_training_point(w->training[t], 0, w->theta[t]);
    status = loss_at(&w->parts[t], w->theta[t], &w->g.loss[t]);
  }
  if (!status && !isfinite(w->g.loss[t]))
    return diverged(w, t);
  if (!status && isinf(w->g.reached[t]) && w->g.loss[t] <= w->g.threshold)
    w->g.reached[t] = (double)w->g.step;
  bool lost = false;
  if (!status && !last && f->method == FINETUNE_NGD)
    status = natural_step(w, t, &lost);
  return !status && lost ? diverged(w, t) : status;
}

static tb_status tune(tuning *w) {
  finetune *f = w->f;
  const uint64_t steps = (uint64_t)tb_config_integer(f->config, "steps");
  tb_status status = TB_OK;
  for (bool last = false; !status && !last;) {
    last = w->g.step == steps;
    if (w->g.step % 8 == 0)
      status = pause_here(w, 0.5 + 0.5 * (double)w->g.step / (double)(steps + 1), "fine-tuning");
    for (int t = 0; t < TWINS && !status; t++)
      status = step_twin(w, t, last);
    w->g.gap = fmax(w->g.gap, w->g.diverged[0] || w->g.diverged[1] ? INFINITY : fabs(w->g.loss[0] - w->g.loss[1]));
    if (!status && (double)w->g.step == snapshot_at(f, w->g.next)) {
      status = snapshot(w);
      w->g.next++;
    }
    if (!last)
      w->g.step++;
  }
  return status;
}

static tb_status make(tuning *w) {
  static const tb_update updates[] = { TB_UPDATE_GD, TB_UPDATE_MOMENTUM, TB_UPDATE_ADAM, TB_UPDATE_NONE };
  static const double rates[] = { 0.02, 2e-3, 3e-4, 1 };
  finetune *f = w->f;
  tb_status status = TB_OK;
  w->lr = tb_config_real(f->config, "lr");
  if (isnan(w->lr))
    w->lr = rates[f->method];
  const size_t most = f->parameters[MOVED] > f->parameters[UNMOVED] ? f->parameters[MOVED] : f->parameters[UNMOVED];
  w->gradient = tb_arena_allocate(f->arena, most, sizeof(double));
  w->change = tb_arena_allocate(f->arena, most, sizeof(double));
  for (int t = 0; t < TWINS; t++) {
    w->parts[t] = (finetune_part){ f, t, TARGET };
    w->theta[t] = tb_arena_allocate(f->arena, f->parameters[t], sizeof(double));
    if (!w->theta[t] || !w->gradient || !w->change)
      return TB_NO_MEMORY;
  }
  w->source = (finetune_part){ f, UNMOVED, SOURCE };
  status = finetune_training(&w->source, TB_UPDATE_ADAM, &w->pretraining);
  for (int t = 0; t < TWINS && !status; t++) {
    status = finetune_training(&w->parts[t], updates[f->method], &w->training[t]);
    if (!status && f->method == FINETUNE_NGD)
      status = finetune_fisher(&w->parts[t], &w->fisher[t]);
  }
  if (status || f->scalar)
    return status;
  tb_transformer_initialise(&f->map.from, (tb_key){ f->seed, 0, tb_use("finetune weights") }, w->theta[UNMOVED]);
  tb_training_start(w->pretraining, 0, w->theta[UNMOVED]);
  return TB_OK;
}

tb_status finetune_run(finetune *f, tb_run *run) {
  tuning w = { .f = f, .run = run };
  memcpy(w.g.magic, magic, sizeof magic);
  tb_status status = make(&w);
  if (!status)
    status = load(&w);
  if (!status && !w.g.tuning) {
    if (!f->scalar)
      status = pretrain(&w);
    if (!status)
      status = begin(&w);
  }
  if (!status)
    status = tune(&w);
  if (!status)
    status = describe(&w, tb_run_metrics(run));
  if (!status)
    status = tb_metrics_word(tb_run_metrics(run), "stopped", w.g.diverged[0] || w.g.diverged[1] ? "blow_up" : "steps");
  tb_training_free(w.pretraining);
  for (int t = 0; t < TWINS; t++) {
    tb_training_free(w.training[t]);
    tb_curvature_free(w.fisher[t]);
  }
  return status;
}

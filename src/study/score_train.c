/* Running the study `score`: training from the start or a checkpoint, looking where asked, and the end.
 *
 * A checkpoint holds the training's block, the running mean of the weights and the step; all else follows from the
 * configuration, so a run taken up again gives the same bits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "optim/training.h"
#include "study/score_parts.h"

static const char magic[8] = "scor-01";

typedef struct progress_head {
  char magic[8];
  uint64_t step, next; /* done; snapshot to come */
  uint64_t size;       /* of the block that follows, running mean included */
} progress_head;

typedef struct training {
  score *s;
  tb_run *run;
  tb_training *training;
  progress_head head;
  double *theta, *mean; /* [p]: the weights, and their running mean */
  double ema;
  size_t looks;                  /* snapshots in all */
  double *at;                    /* [looks], ascending */
  double step_share, look_share; /* of the run's progress */
} training;

static tb_value loss(void *user, tb_graph *g, tb_value theta, const tb_value *inputs, tb_value keys, tb_value *notes) {
  const score *s = user;
  const tb_value key = tb_reshape(g, keys, 1, (size_t[]){ 3 });
  return tb_score_net_loss(g, &s->net, &s->process, s->train_from, s->train_to, s->batch, theta, inputs[0], key);
}

static tb_status compile(score *s, tb_training **out) {
  const tb_training_input data = { "data", s->dtype, 2, { s->n_data, s->d } };
  const tb_training_shape shape = { .dtype = s->dtype,
                                    .replicas = 1,
                                    .parameters = s->p,
                                    .update = TB_UPDATE_ADAM,
                                    .beta1 = 0.9,
                                    .beta2 = 0.999,
                                    .epsilon = 1e-8,
                                    .clip_norm = tb_config_real(s->config, "clip"),
                                    .n_inputs = 1,
                                    .inputs = &data,
                                    .loss = loss,
                                    .user = s };
  return tb_training_new(s->context, &shape, NULL, out);
}

/* ---- checkpoints ---- */

static tb_status save(training *w) {
  const size_t block = tb_training_size(w->training), mean = w->s->p * sizeof *w->mean;
  char *all = tb_allocate(w->s->context, sizeof w->head + block + mean, 1);
  if (!all)
    return TB_NO_MEMORY;
  w->head.size = block + mean;
  memcpy(all, &w->head, sizeof w->head);
  tb_training_save(w->training, all + sizeof w->head);
  memcpy(all + sizeof w->head + block, w->mean, mean);
  const tb_status status = tb_run_checkpoint_save(w->run, all, sizeof w->head + block + mean);
  tb_release(w->s->context, all);
  return status;
}

static tb_status restore(training *w) {
  const size_t block = tb_training_size(w->training), mean = w->s->p * sizeof *w->mean;
  const void *all;
  size_t size;
  const tb_status status = tb_run_checkpoint_load(w->run, &all, &size);
  if (status || !all)
    return status;
  progress_head head = { 0 };
  if (size >= sizeof head)
    memcpy(&head, all, sizeof head);
  if (memcmp(head.magic, magic, sizeof magic) != 0 || head.size != block + mean || size != sizeof head + head.size)
    return tb_fail(w->s->context, TB_FAILED, "checkpoint", "start the run afresh", "the checkpoint is not of this run");
  w->head = head;
  tb_training_restore(w->training, (const char *)all + sizeof head);
  memcpy(w->mean, (const char *)all + sizeof head + block, mean);
  return TB_OK;
}

static tb_status stop_here(training *w) {
  const tb_status status = save(w);
  return status ? status : tb_run_stop_status(w->run);
}

/* ---- looking ---- */

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* at=, or 0, a tenth and the end; each once. */
static tb_status plan_looks(training *w) {
  const double *given, end = (double)w->s->steps;
  size_t count = tb_config_reals(w->s->config, "at", &given);
  w->at = tb_arena_allocate(w->s->arena, count + 3, sizeof *w->at);
  if (!w->at)
    return TB_NO_MEMORY;
  if (count)
    memcpy(w->at, given, count * sizeof *given);
  else
    w->at[0] = 0, w->at[1] = floor(end / 10), w->at[2] = end, count = 3;
  qsort(w->at, count, sizeof *w->at, ascending);
  for (size_t i = 0; i < count; i++)
    if (i == 0 || w->at[i] != w->at[w->looks - 1])
      w->at[w->looks++] = w->at[i];
  const bool learns = w->s->learned && !w->s->compare, at_end = w->at[w->looks - 1] == end;
  double work, once;
  score_work(w->s, &work, &once);
  const double all = work + once * (learns ? (double)(w->looks + !at_end) : 1);
  w->step_share = learns ? work / all / fmax(1, end) : 0;
  w->look_share = once / all;
  return TB_OK;
}

static double progress(const training *w) {
  return (double)w->head.step * w->step_share + (double)w->head.next * w->look_share;
}

static tb_status look(training *w, bool last, tb_metrics *metrics) {
  score *s = w->s;
  const score_walk walk = { w->run, progress(w), progress(w) + w->look_share };
  if (s->network)
    tb_learned_set(s->network, w->ema > 0 ? w->mean : w->theta);
  return score_measure(s, &walk, (double)w->head.step, last, metrics);
}

static tb_status snapshot(training *w) {
  tb_metrics *metrics;
  tb_status status = tb_metrics_new(w->s->context, &metrics);
  if (status)
    return status;
  status = look(w, false, metrics);
  if (!status)
    status = tb_run_snapshot(w->run, metrics);
  tb_metrics_free(metrics);
  return status;
}

/* ---- training ---- */

static void follow_weights(training *w) {
  tb_training_point(w->training, 0, w->theta);
  const double k = (double)w->head.step, keep = fmin(w->ema, (1 + k) / (10 + k));
  for (size_t i = 0; i < w->s->p; i++)
    w->mean[i] = keep * w->mean[i] + (1 - keep) * w->theta[i];
}

static tb_status step(training *w, const void *data) {
  static const double pi = 3.14159265358979323846;
  score *s = w->s;
  const double part = (double)w->head.step / (double)s->steps;
  const double fall = tb_config_is(s->config, "lr_schedule", "cosine") ? 0.5 * (1 + cos(pi * part)) : 1;
  const double rate = tb_config_real(s->config, "lr") * fall;
  double value;
  const tb_status status = tb_training_step(w->training, &data, &rate, &s->seed, &value, NULL);
  if (status)
    return status;
  if (!isfinite(value))
    return tb_fail(s->context, TB_FAILED, "training", "lower lr=", "training diverged at step %llu: the loss is %g",
                   (unsigned long long)w->head.step + 1, value);
  w->head.step++;
  follow_weights(w);
  return TB_OK;
}

static tb_status advance(training *w, const void *data) {
  score *s = w->s;
  while (w->head.step < s->steps) {
    if (w->head.next < w->looks && (double)w->head.step == w->at[w->head.next]) {
      const tb_status status = snapshot(w);
      if (status == TB_STOPPED || status == TB_INTERRUPTED)
        return stop_here(w);
      if (status)
        return status;
      w->head.next++;
    }
    if (w->head.step % 16 == 0) {
      tb_run_progress(w->run, progress(w), "training");
      if (tb_run_should_stop(w->run))
        return stop_here(w);
      if (tb_run_checkpoint_due(w->run)) {
        const tb_status status = save(w);
        if (status)
          return status;
      }
    }
    const tb_status status = step(w, data);
    if (status)
      return status;
  }
  return TB_OK;
}

/* The training points in the network's type. */
static tb_status convert(score *s, void **out) {
  const size_t count = s->n_data * s->d;
  *out = tb_arena_allocate(s->arena, count, s->dtype == TB_FLOAT64 ? sizeof(double) : sizeof(float));
  if (!*out)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < count; i++)
    if (s->dtype == TB_FLOAT64)
      ((double *)*out)[i] = s->data[i];
    else
      ((float *)*out)[i] = (float)s->data[i];
  return TB_OK;
}

static tb_status learn(training *w) {
  enum { BLOCK = 128 };
  score *s = w->s;
  void *data;
  w->theta = tb_arena_allocate(s->arena, s->p, sizeof *w->theta);
  w->mean = tb_arena_allocate(s->arena, s->p, sizeof *w->mean);
  if (!w->theta || !w->mean)
    return TB_NO_MEMORY;
  tb_status status = compile(s, &w->training);
  if (status || (status = tb_learned_new(s->context, &s->net, s->dtype, BLOCK, &s->network)) ||
      (status = convert(s, &data)))
    return status;
  tb_score_net_initialise(&s->net, (tb_key){ s->seed, 0, tb_use("score network weights") }, w->mean);
  tb_training_start(w->training, 0, w->mean);
  status = restore(w);
  tb_training_point(w->training, 0, w->theta);
  return status ? status : advance(w, data);
}

tb_status score_train(score *s, tb_run *run) {
  training w = { .s = s, .run = run, .ema = tb_config_real(s->config, "ema") };
  memcpy(w.head.magic, magic, sizeof magic);
  tb_status status = plan_looks(&w);
  if (!status && s->learned && !s->compare)
    status = learn(&w);
  if (!status)
    status = look(&w, true, tb_run_metrics(run));
  if ((status == TB_STOPPED || status == TB_INTERRUPTED) && w.training && w.head.step == s->steps)
    status = stop_here(&w);
  if (!status)
    status = tb_metrics_word(tb_run_metrics(run), "stopped", "steps");
  if (!status && w.looks && w.at[w.looks - 1] == (double)s->steps)
    status = tb_run_snapshot(run, tb_run_metrics(run));
  tb_training_free(w.training);
  return status;
}

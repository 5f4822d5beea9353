/* Training of `rules`: likelihood, and lessons beside it, by the compiled step of optim/training.h; a natural gradient
 * takes that step's gradient and solves (F + λI) δ = g.
 *
 * What a step depends on is its number, the parameters and the method's state, so that a saved training goes on to the
 * same bits. */
#include "study/rules.h"

#include <math.h>
#include <string.h>

#include "measure/conjugate.h"
#include "measure/curvature.h"
#include "model/tokens.h"
#include "num/linear.h"

struct rules_trainer {
  rules *r;
  tb_training *training;
  tb_curvature *fisher;              /* ngd */
  double *theta, *gradient, *change; /* [p] each; ngd */
};

/* ---- the loss ---- */

/* Σ w · nats of logits[R,B,T,V] → [R] */
static tb_value weighted(tb_graph *g, tb_value logits, tb_value targets, tb_value weights) {
  const tb_value nats = tb_next_token_nats(g, logits, targets);
  return tb_reduce(g, TB_SUM, tb_multiply(g, nats, weights), 1u << 1 | 1u << 2, false);
}

static tb_value loss(void *user, tb_graph *g, tb_value theta, const tb_value *inputs, tb_value keys, tb_value *notes) {
  const rules *r = user;
  const double rate = r->settings.dropout;
  tb_value total = { -1 };
  for (size_t i = 0; i < (r->n_taught ? 2u : 1u); i++) {
    const tb_value *in = inputs + 3 * i;
    const tb_value logits = r->model->logits(g, &r->shape, theta, in[0], rate, keys);
    const tb_value own = weighted(g, logits, in[1], in[2]);
    total = i == 0 ? own : tb_add(g, total, own);
  }
  return total;
}

static void describe(const rules_batch *b, tb_dtype dtype, tb_training_input *inputs) {
  inputs[0] = (tb_training_input){ "tokens", TB_INT32, 2, { b->rows, b->places } };
  inputs[1] = (tb_training_input){ "targets", TB_INT32, 2, { b->rows, b->places } };
  inputs[2] = (tb_training_input){ "weights", dtype, 2, { b->rows, b->places } };
}

/* ---- the Fisher matrix ---- */

/* θ[R,p] → logits of every target, [R, B·T, V] */
static tb_value outputs(void *user, tb_graph *g, tb_value theta, const tb_value *data) {
  const rules *r = user;
  const tb_value logits = r->model->logits(g, &r->shape, theta, data[0], 0, (tb_value){ -1 });
  return tb_reshape(g, logits, 3,
                    (size_t[]){ tb_dim(g, theta, 0), r->main.rows * r->main.places, r->shape.vocabulary });
}

static tb_status fisher_new(rules_trainer *t) {
  rules *r = t->r;
  const rules_batch *b = &r->main;
  const size_t n = b->rows * b->places;
  double *targets = tb_allocate(r->context, n, sizeof *targets), *weights = tb_allocate(r->context, n, sizeof *weights);
  tb_status status = targets && weights ? rules_fill(r, 0) : TB_NO_MEMORY;
  for (size_t i = 0; i < n && !status; i++) {
    targets[i] = b->targets[i];
    weights[i] = r->settings.dtype == TB_FLOAT64 ? ((double *)b->weights)[i] : (double)((float *)b->weights)[i];
  }
  const tb_function f = { .parameters = r->parameters,
                          .dtype = r->settings.dtype,
                          .data_count = 1,
                          .data = { { true, 2, { b->rows, b->places }, b->tokens } },
                          .build = outputs,
                          .user = r,
                          .loss = TB_ROW_SOFTMAX,
                          .targets = targets,
                          .weights = weights };
  if (!status)
    status = tb_curvature_new(r->context, &f, r->settings.empirical ? TB_EMPIRICAL_FISHER : TB_FISHER, 1, &t->fisher);
  tb_release(r->context, targets);
  tb_release(r->context, weights);
  return status;
}

static tb_status natural_step(rules_trainer *t) {
  rules *r = t->r;
  const void *gradient = tb_training_gradient(t->training);
  for (size_t i = 0; i < r->parameters; i++)
    t->gradient[i] =
        r->settings.dtype == TB_FLOAT64 ? ((const double *)gradient)[i] : (double)((const float *)gradient)[i];
  tb_training_point(t->training, 0, t->theta);
  tb_curvature_move(t->fisher, t->theta);
  const tb_operator fisher = tb_curvature_operator(t->fisher);
  tb_status status =
      tb_conjugate_gradients(&fisher, r->settings.damping, t->gradient, 1e-4, r->settings.products, t->change, NULL);
  const double length = sqrt(fmax(0, tb_dot(r->parameters, t->gradient, t->change))); /* √(δᵀ (F + λI) δ) */
  const double kept = r->settings.clip > 0 && length > r->settings.clip ? r->settings.clip / length : 1;
  for (size_t i = 0; i < r->parameters && !status; i++)
    t->theta[i] -= r->settings.lr * kept * t->change[i];
  if (!status)
    tb_training_start(t->training, 0, t->theta);
  return status;
}

/* ---- a training ---- */

void rules_trainer_free(rules_trainer *t) {
  if (!t)
    return;
  tb_training_free(t->training);
  tb_curvature_free(t->fisher);
  tb_release(t->r->context, t->theta);
  tb_release(t->r->context, t->gradient);
  tb_release(t->r->context, t->change);
  tb_release(t->r->context, t);
}

static tb_status build(rules_trainer *t) {
  static const tb_update updates[] = { TB_UPDATE_GD, TB_UPDATE_MOMENTUM, TB_UPDATE_ADAM, TB_UPDATE_NONE };
  rules *r = t->r;
  const rules_settings *s = &r->settings;
  tb_training_input inputs[6];
  describe(&r->main, s->dtype, inputs);
  describe(&r->lesson, s->dtype, inputs + 3);
  const tb_training_shape shape = { .dtype = s->dtype,
                                    .replicas = 1,
                                    .parameters = r->parameters,
                                    .update = updates[s->method],
                                    .momentum = s->momentum,
                                    .beta1 = s->beta1,
                                    .beta2 = s->beta2,
                                    .epsilon = s->epsilon,
                                    .decay = s->decay,
                                    .clip_norm = s->method == RULES_NGD ? 0 : s->clip,
                                    .n_inputs = r->n_taught ? 6 : 3,
                                    .inputs = inputs,
                                    .loss = loss,
                                    .user = r };
  t->theta = tb_allocate(r->context, r->parameters, sizeof *t->theta);
  t->gradient = tb_allocate(r->context, r->parameters, sizeof *t->gradient);
  t->change = tb_allocate(r->context, r->parameters, sizeof *t->change);
  if (!t->theta || !t->gradient || !t->change)
    return TB_NO_MEMORY;
  tb_status status = tb_training_new(r->context, &shape, NULL, &t->training);
  if (!status && s->method == RULES_NGD)
    status = fisher_new(t);
  if (!status) {
    r->model->initialise(&r->shape, (tb_key){ .seed = s->seed, .use = tb_use("weights of a sequence model") },
                         t->theta);
    tb_training_start(t->training, 0, t->theta);
  }
  return status;
}

tb_status rules_trainer_new(rules *r, rules_trainer **out) {
  rules_trainer *t = *out = tb_allocate(r->context, 1, sizeof *t);
  if (!t)
    return TB_NO_MEMORY;
  *t = (rules_trainer){ .r = r };
  const tb_status status = build(t);
  if (status) {
    rules_trainer_free(t);
    *out = NULL;
  }
  return status;
}

/* Learning rate of step k, counted from 1. */
static double rate(const rules_settings *s, double k) {
  const double warmup = (double)s->warmup;
  switch (s->schedule) {
  case RULES_INVERSE_SQRT:
    return s->lr * (k < warmup ? k / warmup : sqrt(warmup / k));
  case RULES_COSINE:
    return s->lr * 0.5 * (1 + cos(M_PI * (k - 1) / (double)s->steps));
  default:
    return s->lr;
  }
}

tb_status rules_trainer_step(rules_trainer *t, double *value) {
  rules *r = t->r;
  const uint64_t step = tb_training_steps(t->training), seed = r->settings.seed;
  tb_status status = rules_fill(r, step);
  if (status)
    return status;
  const void *inputs[] = { r->main.tokens,   r->main.targets,   r->main.weights,
                           r->lesson.tokens, r->lesson.targets, r->lesson.weights };
  const double lr = rate(&r->settings, (double)step + 1);
  status = tb_training_step(t->training, inputs, &lr, &seed, value, NULL);
  if (!status && !isfinite(*value))
    status = tb_fail(r->context, TB_FAILED, "option lr", "lower lr=, or give clip=1", "the loss is %g after %llu steps",
                     *value, (unsigned long long)step);
  return !status && t->fisher ? natural_step(t) : status;
}

uint64_t rules_trainer_steps(const rules_trainer *t) {
  return tb_training_steps(t->training);
}

void rules_trainer_point(const rules_trainer *t, double *theta) {
  tb_training_point(t->training, 0, theta);
}

void rules_trainer_start(rules_trainer *t, const double *theta) {
  tb_training_start(t->training, 0, theta);
}

size_t rules_trainer_size(const rules_trainer *t) {
  return tb_training_size(t->training);
}

void rules_trainer_save(const rules_trainer *t, void *block) {
  tb_training_save(t->training, block);
}

void rules_trainer_restore(rules_trainer *t, const void *block) {
  tb_training_restore(t->training, block);
}

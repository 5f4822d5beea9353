/* A network as the predictor of the study `icl`: trained on documents of the mixture, new ones every step, and measured
 * on held-out documents and on prompts.  With alter=swap a second replica starts from the same weights and sees the
 * same documents, and is also taught, after prompts, the token that the exact law finds second likeliest: two networks
 * of nearly the same loss on documents.
 *
 * A checkpoint holds the training; everything else is keyed by seed and step. */
#include <math.h>
#include <string.h>

#include "model/tokens.h"
#include "optim/training.h"
#include "study/icl.h"

static const char magic[8] = "iclm-01";
enum { PLAIN, ALTERED, MOST_REPLICAS };

typedef struct head {
  char magic[8];
  uint64_t size, next;
  double loss[MOST_REPLICAS]; /* of the last step */
} head;

typedef struct network {
  icl *s;
  tb_run *run;
  head head;
  size_t replicas, p;
  tb_dtype dtype;
  uint64_t seed;
  size_t batch, length, lessons, lesson_length; /* rows and places of documents and of taught prompts a step */
  tb_training *training;
  int32_t *tokens, *targets, *lesson_tokens, *lesson_targets;
  void *share; /* [R] weight of the lessons, in dtype */
  size_t pool_count;
  tb_hmm_prompt *pool; /* prompts that are taught; their labels are the second likeliest tokens */
  uint32_t *drawn;     /* [length] */
  /* measuring: rows of sequences read at once */
  tb_program *reader;
  size_t rows, places;
  void *theta;    /* [R,p] in dtype */
  int32_t *read;  /* [rows, places] */
  void *log_laws; /* [R, rows, places, vocabulary] */
  icl_answer *exact, *answers[MOST_REPLICAS];
  double *exact_nats, *nats[MOST_REPLICAS];
} network;

static size_t start_token(const network *w) {
  return w->s->mixture->n_tokens;
}

static double number(const network *w, const void *values, size_t i) {
  return w->dtype == TB_FLOAT32 ? (double)((const float *)values)[i] : ((const double *)values)[i];
}

/* ---- the loss ---- */

/* theta[R,p], documents and their continuations [B,L], prompts [Q,T] and what is taught after them [Q], shares [R] →
 * [R]: nats a token, and for the altered replica nats a prompt. */
static tb_value loss(void *user, tb_graph *g, tb_value theta, const tb_value *in, tb_value keys, tb_value *notes) {
  const network *w = user;
  const tb_sequence_shape *shape = &w->s->shape;
  const tb_value none = { -1 };
  tb_value total = tb_next_token_loss(g, w->s->model->logits(g, shape, theta, in[0], 0, none), in[1], NULL);
  notes[0] = total;
  if (w->replicas == 1)
    return total;
  const tb_value logits = w->s->model->logits(g, shape, theta, in[2], 0, none); /* [R,Q,T,V] */
  const tb_value last = tb_slice(g, logits, 2, w->lesson_length - 1, 1);
  const tb_value taught = tb_next_token_loss(g, last, in[3], NULL);
  return tb_add(g, total, tb_multiply(g, in[4], taught));
}

static tb_status make_training(network *w) {
  const tb_training_input inputs[] = { { "documents", TB_INT32, 2, { w->batch, w->length } },
                                       { "continuations", TB_INT32, 2, { w->batch, w->length } },
                                       { "prompts", TB_INT32, 2, { w->lessons, w->lesson_length } },
                                       { "answers", TB_INT32, 2, { w->lessons, 1 } },
                                       { "shares", w->dtype, 1, { w->replicas } } };
  const tb_training_shape shape = { .dtype = w->dtype,
                                    .replicas = w->replicas,
                                    .parameters = w->p,
                                    .update = TB_UPDATE_ADAM,
                                    .beta1 = 0.9,
                                    .beta2 = 0.999,
                                    .epsilon = 1e-8,
                                    .clip_norm = 1,
                                    .n_inputs = w->replicas == 1 ? 2 : 5,
                                    .inputs = inputs,
                                    .n_notes = 1,
                                    .loss = loss,
                                    .user = w };
  double *theta = tb_allocate(w->s->context, w->p, sizeof *theta);
  tb_status status = theta ? tb_training_new(w->s->context, &shape, NULL, &w->training) : TB_NO_MEMORY;
  if (!status) {
    w->s->model->initialise(&w->s->shape, (tb_key){ w->seed, 0, tb_use("icl weights") }, theta);
    for (size_t r = 0; r < w->replicas; r++)
      tb_training_start(w->training, r, theta);
  }
  tb_release(w->s->context, theta);
  return status;
}

/* ---- data of a step ---- */

static void fill(network *w, uint64_t step) {
  for (size_t b = 0; b < w->batch; b++) {
    tb_hmm_sample(w->s->given, (tb_key){ w->seed, 0, tb_use("icl training documents") }, step * w->batch + b, w->length,
                  w->drawn, NULL);
    for (size_t t = 0; t < w->length; t++) {
      w->tokens[b * w->length + t] = t ? (int32_t)w->drawn[t - 1] : (int32_t)start_token(w);
      w->targets[b * w->length + t] = (int32_t)w->drawn[t];
    }
  }
  for (size_t q = 0; q < w->lessons && w->replicas > 1; q++) {
    const tb_key key = { w->seed, (uint32_t)step, tb_use("icl lessons") };
    const tb_hmm_prompt *p = &w->pool[tb_random_below(key, q, w->pool_count)];
    int32_t *row = w->lesson_tokens + q * w->lesson_length;
    row[0] = (int32_t)start_token(w);
    for (size_t t = 0; t < p->length; t++)
      row[t + 1] = (int32_t)p->tokens[t];
    w->lesson_targets[q] = (int32_t)p->label;
  }
}

/* Prompts of the pattern that the law finds possible, with its second likeliest token as the label. */
static tb_status make_pool(network *w, tb_hmm_filter *filter, double *law, double *posterior) {
  enum { POOL = 1024 };
  const icl *s = w->s;
  tb_hmm_prompt *all;
  tb_status status = tb_hmm_prompts(s->context, s->arena, s->given, s->n, s->k, true, POOL,
                                    (tb_key){ w->seed, 0, tb_use("icl taught prompts") }, &all);
  w->pool = all;
  for (size_t i = 0; i < POOL && !status; i++) {
    icl_answer a;
    icl_answer_exactly(s, filter, &all[i], law, posterior, &a);
    if (a.altered == UINT32_MAX)
      continue;
    w->pool[w->pool_count] = all[i];
    w->pool[w->pool_count++].label = a.altered;
  }
  if (!status && w->pool_count == 0)
    status = tb_fail(s->context, TB_FAILED, "option smoothing", "give smoothing=1e-6, or smaller n=",
                     "none of %d prompts is possible under the mixture, so there is nothing to swap", POOL);
  return status;
}

/* ---- measuring ---- */

static tb_status make_reader(network *w) {
  const icl *s = w->s;
  const size_t width = w->dtype == TB_FLOAT32 ? sizeof(float) : sizeof(double);
  tb_graph *g;
  tb_status status = tb_graph_new(s->context, &g);
  if (status)
    return status;
  const tb_value theta = tb_input(g, "theta", w->dtype, 2, (size_t[]){ w->replicas, w->p });
  const tb_value tokens = tb_input(g, "tokens", TB_INT32, 2, (size_t[]){ w->rows, w->places });
  tb_value laws = s->model->logits(g, &s->shape, theta, tokens, 0, (tb_value){ -1 });
  laws = tb_log_softmax(g, laws);
  status = tb_program_new(s->context, g, 1, &laws, NULL, &w->reader);
  tb_graph_free(g);
  w->theta = tb_arena_allocate(s->arena, w->replicas * w->p, width);
  w->read = tb_arena_allocate(s->arena, w->rows * w->places, sizeof *w->read);
  w->log_laws = tb_arena_allocate(s->arena, w->replicas * w->rows * w->places * s->shape.vocabulary, width);
  return status || (w->theta && w->read && w->log_laws) ? status : TB_NO_MEMORY;
}

/* Reads up to `rows` sequences of tokens. */
static tb_status read_rows(network *w, size_t count, const uint32_t *const *sequences, const size_t *lengths) {
  for (size_t r = 0; r < w->rows; r++)
    for (size_t t = 0; t < w->places; t++) {
      const bool there = r < count && t > 0 && t <= lengths[r];
      w->read[r * w->places + t] = there ? (int32_t)sequences[r][t - 1] : (int32_t)start_token(w);
    }
  return tb_program_run(w->reader, 2, (const void *[]){ w->theta, w->read }, 1, (void *[]){ w->log_laws });
}

static double log_law(const network *w, size_t replica, size_t row, size_t place, size_t token) {
  return number(w, w->log_laws, ((replica * w->rows + row) * w->places + place) * w->s->shape.vocabulary + token);
}

/* −ln q of the first `length` tokens of a row. */
static double row_nats(const network *w, size_t replica, size_t row, size_t length, const uint32_t *tokens) {
  double nats = 0;
  for (size_t t = 0; t < length; t++)
    nats -= log_law(w, replica, row, t, tokens[t]);
  return nats;
}

static void answer(const network *w, size_t replica, size_t row, const tb_hmm_prompt *p, icl_answer *a) {
  size_t best = 0;
  for (size_t y = 1; y < w->s->mixture->n_tokens; y++)
    if (log_law(w, replica, row, p->length, y) > log_law(w, replica, row, p->length, best))
      best = y;
  *a = (icl_answer){ .prediction = (uint32_t)best,
                     .altered = (uint32_t)best,
                     .probability = exp(log_law(w, replica, row, p->length, best)),
                     .log_probability = -row_nats(w, replica, row, p->length, p->tokens),
                     .posterior = NAN };
}

static tb_status read_everything(network *w) {
  const icl *s = w->s;
  enum { MOST_ROWS = 64 };
  const uint32_t *sequences[MOST_ROWS];
  size_t lengths[MOST_ROWS];
  tb_status status = TB_OK;
  memcpy(w->theta, tb_training_theta(w->training),
         w->replicas * w->p * (w->dtype == TB_FLOAT32 ? sizeof(float) : sizeof(double)));
  for (size_t first = 0; first < s->document_count && !status; first += w->rows) {
    const size_t count = s->document_count - first < w->rows ? s->document_count - first : w->rows;
    for (size_t r = 0; r < count; r++) {
      sequences[r] = s->documents[first + r].tokens;
      lengths[r] = s->documents[first + r].length;
    }
    status = read_rows(w, count, sequences, lengths);
    for (size_t r = 0; r < count && !status; r++)
      for (size_t k = 0; k < w->replicas; k++)
        w->nats[k][first + r] = row_nats(w, k, r, lengths[r], sequences[r]);
  }
  for (size_t first = 0; first < s->prompt_count && !status; first += w->rows) {
    const size_t count = s->prompt_count - first < w->rows ? s->prompt_count - first : w->rows;
    for (size_t r = 0; r < count; r++) {
      sequences[r] = s->prompts[first + r].tokens;
      lengths[r] = s->prompts[first + r].length;
    }
    status = read_rows(w, count, sequences, lengths);
    for (size_t r = 0; r < count && !status; r++)
      for (size_t k = 0; k < w->replicas; k++)
        answer(w, k, r, &s->prompts[first + r], &w->answers[k][first + r]);
  }
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

/* Mean and standard error of what a network loses against the law, nats a document. */
static void divergence(const network *w, size_t replica, double *mean, double *se) {
  const size_t n = w->s->document_count;
  double sum = 0, squares = 0;
  for (size_t i = 0; i < n; i++)
    sum += w->nats[replica][i] - w->exact_nats[i];
  *mean = sum / (double)n;
  for (size_t i = 0; i < n; i++)
    squares += pow(w->nats[replica][i] - w->exact_nats[i] - *mean, 2);
  *se = n > 1 ? sqrt(squares / (double)(n - 1) / (double)n) : NAN;
}

static tb_status describe(network *w, tb_metrics *metrics) {
  const icl *s = w->s;
  report to = { .metrics = metrics };
  double tokens = 0, nats = 0, own[MOST_REPLICAS] = { 0 }, right[MOST_REPLICAS] = { 0 }, possible = 0, kl, se;
  double right_possible = 0, exact_right = 0;
  for (size_t i = 0; i < s->document_count; i++) {
    tokens += (double)s->documents[i].length;
    nats += w->exact_nats[i];
    for (size_t k = 0; k < w->replicas; k++)
      own[k] += w->nats[k][i];
  }
  for (size_t i = 0; i < s->prompt_count; i++) {
    const bool can_be = w->exact[i].prediction != UINT32_MAX;
    possible += can_be;
    exact_right += w->exact[i].prediction == s->prompts[i].label;
    right_possible += can_be && w->answers[PLAIN][i].prediction == s->prompts[i].label;
    for (size_t k = 0; k < w->replicas; k++)
      right[k] += w->answers[k][i].prediction == s->prompts[i].label;
  }
  const double count = (double)s->prompt_count, accuracy = right[PLAIN] / count, impossible = count - possible;
  add(&to, "t", (double)tb_training_steps(w->training));
  add(&to, "accuracy", accuracy);
  add(&to, "accuracy.se", sqrt(accuracy * (1 - accuracy) / count));
  add(&to, "accuracy.possible_only", possible > 0 ? right_possible / possible : NAN);
  add(&to, "accuracy.impossible_only", impossible > 0 ? (right[PLAIN] - right_possible) / impossible : NAN);
  if (w->replicas > 1)
    add(&to, "accuracy.altered", right[ALTERED] / count);
  add(&to, "bayes.accuracy", exact_right / count);
  add(&to, "zero_probability_share", impossible / count);
  add(&to, "nll", own[PLAIN] / tokens);
  if (w->replicas > 1)
    add(&to, "nll.altered", own[ALTERED] / tokens);
  add(&to, "bayes.nll", nats / tokens);
  divergence(w, PLAIN, &kl, &se);
  add(&to, "kl", kl);
  add(&to, "kl.se", se);
  if (w->replicas > 1) {
    divergence(w, ALTERED, &kl, &se);
    add(&to, "kl.altered", kl);
    add(&to, "kl.altered.se", se);
  }
  add(&to, "train_loss", w->head.loss[PLAIN]);
  add(&to, "parameters", (double)w->p);
  return to.status;
}

/* ---- a run ---- */

static tb_status save(network *w) {
  const size_t size = sizeof w->head + w->head.size;
  char *block = tb_allocate(w->s->context, size, 1);
  if (!block)
    return TB_NO_MEMORY;
  memcpy(block, &w->head, sizeof w->head);
  tb_training_save(w->training, block + sizeof w->head);
  tb_status status = tb_run_checkpoint_save(w->run, block, size);
  tb_release(w->s->context, block);
  return status;
}

static tb_status load(network *w) {
  const void *block;
  size_t size;
  head saved;
  tb_status status = tb_run_checkpoint_load(w->run, &block, &size);
  if (status || !block)
    return status;
  if (size >= sizeof saved)
    memcpy(&saved, block, sizeof saved);
  if (size != sizeof saved + w->head.size || memcmp(saved.magic, magic, sizeof magic) != 0)
    return tb_fail(w->s->context, TB_FAILED, "checkpoint", "start the run afresh", "the checkpoint is not of this run");
  w->head = saved;
  tb_training_restore(w->training, (const char *)block + sizeof saved);
  return TB_OK;
}

static double snapshot_at(const icl *s, uint64_t i) {
  enum { PARTS = 5 };
  const double *at, end = (double)tb_config_integer(s->config, "steps");
  const size_t count = tb_config_reals(s->config, "at", &at);
  if (count)
    return i < count ? at[i] : INFINITY;
  return i <= PARTS ? floor(end * (double)i / PARTS) : INFINITY;
}

static tb_status snapshot(network *w) {
  tb_metrics *metrics;
  tb_status status = tb_metrics_new(w->s->context, &metrics);
  if (status)
    return status;
  status = read_everything(w);
  if (!status)
    status = describe(w, metrics);
  if (!status)
    status = tb_run_snapshot(w->run, metrics);
  tb_metrics_free(metrics);
  return status;
}

static tb_status train(network *w) {
  const uint64_t steps = (uint64_t)tb_config_integer(w->s->config, "steps");
  const double lr = tb_config_real(w->s->config, "lr"), rates[MOST_REPLICAS] = { lr, lr };
  tb_status status = TB_OK;
  for (;;) {
    const uint64_t step = tb_training_steps(w->training);
    while (!status && (double)step == snapshot_at(w->s, w->head.next)) {
      status = snapshot(w);
      w->head.next++;
    }
    if (status || step >= steps)
      return status;
    tb_run_progress(w->run, (double)step / (double)steps, "training");
    if (tb_run_should_stop(w->run)) {
      status = save(w);
      return status ? status : tb_run_stop_status(w->run);
    }
    if (tb_run_checkpoint_due(w->run))
      status = save(w);
    fill(w, step);
    double notes[MOST_REPLICAS];
    const void *inputs[] = { w->tokens, w->targets, w->lesson_tokens, w->lesson_targets, w->share };
    if (!status)
      status = tb_training_step(w->training, inputs, rates, NULL, w->head.loss, notes);
    w->head.loss[PLAIN] = notes[PLAIN];
    if (!status && !isfinite(w->head.loss[PLAIN]))
      status = tb_fail(w->s->context, TB_FAILED, "option lr", "lower lr=", "training diverged after %llu steps",
                       (unsigned long long)step);
  }
}

/* What the exact law makes of documents and prompts, and the prompts that are taught. */
static tb_status ask_the_law(network *w) {
  icl *s = w->s;
  tb_hmm_filter *filter;
  tb_status status = tb_hmm_filter_new(s->context, s->mixture, &filter);
  double *law = tb_arena_allocate(s->arena, s->mixture->n_tokens, sizeof *law);
  double *posterior = tb_arena_allocate(s->arena, s->mixture->n_components, sizeof *posterior);
  w->exact = tb_arena_allocate(s->arena, s->prompt_count, sizeof *w->exact);
  w->exact_nats = tb_arena_allocate(s->arena, s->document_count, sizeof *w->exact_nats);
  for (size_t k = 0; k < w->replicas; k++) {
    w->answers[k] = tb_arena_allocate(s->arena, s->prompt_count, sizeof *w->answers[k]);
    w->nats[k] = tb_arena_allocate(s->arena, s->document_count, sizeof *w->nats[k]);
    if (!w->answers[k] || !w->nats[k])
      status = status ? status : TB_NO_MEMORY;
  }
  if (!status && (!law || !posterior || !w->exact || !w->exact_nats))
    status = TB_NO_MEMORY;
  for (size_t i = 0; i < s->document_count && !status; i++)
    w->exact_nats[i] = icl_document_nats(filter, &s->documents[i]);
  for (size_t i = 0; i < s->prompt_count && !status; i++)
    icl_answer_exactly(s, filter, &s->prompts[i], law, posterior, &w->exact[i]);
  if (!status && w->replicas > 1)
    status = make_pool(w, filter, law, posterior);
  tb_hmm_filter_free(filter);
  return status;
}

static tb_status make(network *w) {
  icl *s = w->s;
  const double weight = tb_config_real(s->config, "alter_weight");
  w->seed = (uint64_t)tb_config_integer(s->config, "seed");
  w->dtype = tb_config_is(s->config, "dtype", "float64") ? TB_FLOAT64 : TB_FLOAT32;
  w->replicas = s->swap ? 2 : 1;
  w->p = s->model->parameters(&s->shape);
  w->batch = (size_t)tb_config_integer(s->config, "batch");
  w->length = (size_t)tb_config_integer(s->config, "length");
  w->lessons = w->replicas > 1 ? (w->batch + 1) / 2 : 0;
  w->lesson_length = tb_hmm_pattern_length(s->n, s->k) + 1;
  w->rows = 32;
  w->places = s->shape.length;
  w->tokens = tb_arena_allocate(s->arena, w->batch * w->length, sizeof *w->tokens);
  w->targets = tb_arena_allocate(s->arena, w->batch * w->length, sizeof *w->targets);
  w->lesson_tokens = tb_arena_allocate(s->arena, w->lessons * w->lesson_length + 1, sizeof *w->lesson_tokens);
  w->lesson_targets = tb_arena_allocate(s->arena, w->lessons + 1, sizeof *w->lesson_targets);
  w->drawn = tb_arena_allocate(s->arena, w->length, sizeof *w->drawn);
  w->share = tb_arena_allocate(s->arena, MOST_REPLICAS, sizeof(double));
  if (!w->tokens || !w->targets || !w->lesson_tokens || !w->lesson_targets || !w->drawn || !w->share)
    return TB_NO_MEMORY;
  if (w->dtype == TB_FLOAT32)
    ((float *)w->share)[ALTERED] = (float)weight;
  else
    ((double *)w->share)[ALTERED] = weight;
  tb_status status = make_training(w);
  return status ? status : make_reader(w);
}

tb_status icl_run_model(icl *s, tb_run *run) {
  network w = { .s = s, .run = run };
  memcpy(w.head.magic, magic, sizeof magic);
  tb_status status = make(&w);
  if (!status)
    status = ask_the_law(&w);
  if (!status) {
    w.head.size = tb_training_size(w.training);
    status = load(&w);
  }
  if (!status)
    status = train(&w);
  if (!status)
    status = read_everything(&w);
  if (!status)
    status = icl_report_answers(s, run, w.answers[PLAIN]);
  if (!status)
    status = describe(&w, tb_run_metrics(run));
  if (!status)
    status = tb_metrics_word(tb_run_metrics(run), "stopped", "steps");
  tb_training_free(w.training);
  tb_program_free(w.reader);
  return status;
}

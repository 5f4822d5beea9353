/* The exact predictor of the study `icl`: Bayes' law of the next token after documents and prompts, the share of
 * prompts that the pre-training law cannot have produced, and what it costs to overwrite the in-context prediction.
 *
 * A checkpoint holds the answers so far; the rest follows from the configuration. */
#include <math.h>
#include <string.h>

#include "base/block.h"
#include "study/icl.h"

static const char magic[8] = "iclb-01";

typedef struct progress {
  char magic[8];
  uint64_t documents, prompts; /* of the configuration */
  uint64_t document, prompt;   /* done */
} progress;

typedef struct evaluation {
  icl *s;
  tb_run *run;
  progress done;
  double *nats; /* [documents] −ln p of each */
  icl_answer *answers;
  tb_hmm_filter *filter;
  double *law, *posterior;
} evaluation;

/* ---- checkpoints ---- */

enum { PARTS = 3 };

static void parts_of(evaluation *e, tb_block_part parts[PARTS]) {
  parts[0] = (tb_block_part){ &e->done, sizeof e->done };
  parts[1] = (tb_block_part){ e->nats, e->done.documents * sizeof *e->nats };
  parts[2] = (tb_block_part){ e->answers, e->done.prompts * sizeof *e->answers };
}

static tb_status save(evaluation *e) {
  tb_block_part parts[PARTS];
  size_t size;
  parts_of(e, parts);
  char *block = tb_block_join(e->s->context, PARTS, parts, &size);
  const tb_status status = block ? tb_run_checkpoint_save(e->run, block, size) : TB_NO_MEMORY;
  tb_release(e->s->context, block);
  return status;
}

static tb_status load(evaluation *e) {
  tb_block_part parts[PARTS];
  const void *block;
  size_t size;
  parts_of(e, parts);
  const tb_status status = tb_run_checkpoint_load(e->run, &block, &size);
  if (status || !block)
    return status;
  return tb_block_split(e->s->context, block, size, offsetof(progress, document), PARTS, parts);
}

static tb_status pause_here(evaluation *e) {
  const double total = (double)(e->done.documents + e->done.prompts);
  tb_run_progress(e->run, (double)(e->done.document + e->done.prompt) / fmax(total, 1), "exact prediction");
  if (tb_run_should_stop(e->run)) {
    tb_status status = save(e);
    return status ? status : tb_run_stop_status(e->run);
  }
  return tb_run_checkpoint_due(e->run) ? save(e) : TB_OK;
}

/* ---- documents and prompts ---- */

static void push_all(tb_hmm_filter *filter, size_t length, const uint32_t *tokens) {
  tb_hmm_filter_reset(filter, SIZE_MAX);
  for (size_t t = 0; t < length; t++)
    tb_hmm_filter_push(filter, tokens[t]);
}

void icl_answer_exactly(const icl *s, tb_hmm_filter *filter, const tb_hmm_prompt *prompt, double *law,
                        double *posterior, icl_answer *a) {
  size_t first, second;
  push_all(filter, prompt->length, prompt->tokens);
  *a = (icl_answer){ .prediction = UINT32_MAX, .altered = UINT32_MAX, .posterior = NAN };
  a->log_probability = tb_hmm_filter_log_probability(filter);
  if (a->log_probability == -INFINITY)
    return;
  tb_hmm_filter_law(filter, law);
  tb_hmm_top_two(s->mixture->n_tokens, law, &first, &second);
  a->prediction = (uint32_t)first;
  a->probability = law[first];
  a->altered = tb_hmm_pattern_matches(s->mixture, s->n, s->k, prompt->length, prompt->tokens) ? (uint32_t)second
                                                                                              : (uint32_t)first;
  if (prompt->component < s->mixture->n_components) {
    tb_hmm_filter_posterior(filter, posterior);
    a->posterior = posterior[prompt->component];
  }
}

double icl_document_nats(tb_hmm_filter *filter, const icl_document *d) {
  push_all(filter, d->length, d->tokens);
  return -tb_hmm_filter_log_probability(filter);
}

static tb_status evaluate(evaluation *e) {
  tb_status status = TB_OK;
  for (; e->done.document < e->done.documents && !status; status = pause_here(e)) {
    e->nats[e->done.document] = icl_document_nats(e->filter, &e->s->documents[e->done.document]);
    e->done.document++;
  }
  while (e->done.prompt < e->done.prompts && !status) {
    icl_answer_exactly(e->s, e->filter, &e->s->prompts[e->done.prompt], e->law, e->posterior,
                       &e->answers[e->done.prompt]);
    if (++e->done.prompt % 16 == 0)
      status = pause_here(e);
  }
  return status;
}

/* ---- metrics ---- */

/* Mean over tokens, and its standard error over documents. */
static tb_status report_documents(evaluation *e, tb_metrics *metrics) {
  double nats = 0, tokens = 0, squares = 0;
  const size_t count = e->s->document_count;
  if (count == 0)
    return TB_OK;
  for (size_t i = 0; i < count; i++) {
    nats += e->nats[i];
    tokens += (double)e->s->documents[i].length;
  }
  const double nll = nats / tokens;
  for (size_t i = 0; i < count; i++) {
    const double off = e->nats[i] - nll * (double)e->s->documents[i].length;
    squares += off * off;
  }
  tb_status status = tb_metrics_real(metrics, "nll", nll);
  if (status || count < 2)
    return status;
  const double scale = (double)count / (double)(count - 1);
  return tb_metrics_real(metrics, "nll.se", isinf(nll) ? NAN : sqrt(scale * squares) / tokens);
}

static tb_status report_swap(evaluation *e, tb_metrics *metrics) {
  enum { MOST_PREFIXES = 1000000 };
  const icl *s = e->s;
  tb_hmm_swap swap;
  const tb_key key = { (uint64_t)tb_config_integer(s->config, "seed"), 0, tb_use("icl prefixes") };
  tb_status status = tb_hmm_swap_cost(s->context, s->mixture, s->n, s->k, MOST_PREFIXES,
                                      (size_t)tb_config_integer(s->config, "draws"), key, &swap);
  if (!status)
    status = tb_metrics_real(metrics, "kl", swap.kl);
  if (!status)
    status = tb_metrics_real(metrics, "log_kl", swap.log_kl);
  if (!status && !swap.exact)
    status = tb_metrics_real(metrics, "kl.se", swap.se);
  if (!status)
    status = tb_metrics_integer(metrics, "kl.prefixes", (int64_t)swap.prefixes);
  return status;
}

static tb_status report(evaluation *e) {
  tb_metrics *metrics = tb_run_metrics(e->run);
  const icl *s = e->s;
  double log_probability;
  tb_status status = tb_metrics_real(metrics, "t", 0);
  if (!status)
    status = icl_report_answers(s, e->run, e->answers);
  if (!status)
    status = report_documents(e, metrics);
  if (!status)
    status = tb_hmm_pattern_log_probability(s->context, s->mixture, s->n, s->k, &log_probability);
  if (!status)
    status = tb_metrics_real(metrics, "prompt_probability", exp(log_probability));
  if (!status)
    status = tb_metrics_real(metrics, "log_prompt_probability", log_probability);
  if (!status && s->swap)
    status = report_swap(e, metrics);
  if (!status)
    status = tb_run_snapshot(e->run, metrics);
  return status ? status : tb_metrics_word(metrics, "stopped", "steps");
}

tb_status icl_run_bayes(icl *s, tb_run *run) {
  evaluation e = { .s = s, .run = run, .done = { .documents = s->document_count, .prompts = s->prompt_count } };
  memcpy(e.done.magic, magic, sizeof magic);
  e.nats = tb_arena_allocate(s->arena, s->document_count + 1, sizeof *e.nats);
  e.answers = tb_arena_allocate(s->arena, s->prompt_count + 1, sizeof *e.answers);
  e.law = tb_arena_allocate(s->arena, s->mixture->n_tokens, sizeof *e.law);
  e.posterior = tb_arena_allocate(s->arena, s->mixture->n_components, sizeof *e.posterior);
  tb_status status = e.nats && e.answers && e.law && e.posterior ? TB_OK : TB_NO_MEMORY;
  if (!status)
    status = tb_hmm_filter_new(s->context, s->mixture, &e.filter);
  if (!status)
    status = load(&e);
  if (!status)
    status = evaluate(&e);
  if (!status)
    status = report(&e);
  tb_hmm_filter_free(e.filter);
  return status;
}

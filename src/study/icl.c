/* Study `icl`: what does a law of documents say about learning in context?
 *
 * Data: documents of a mixture of hidden Markov models (GINC, or the user's).  Prompts: examples of one concept parted
 * by delimiters.  Predictor: Bayes' law, exactly, or a network trained on documents.  Measures: in-context accuracy,
 * the share of prompts that the law gives probability 0, and the Kullback–Leibler cost of overwriting what is predicted
 * after prompts.  ("Understanding LLMs Requires More Than Statistical Generalization", Reizinger et al. 2024; Xie et
 * al. 2022.) */
#include "study/icl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/csv.h"
#include "study/icl_claims.h"

#define ANY      1, 0
#define COUNT(a) (sizeof(a) / sizeof *(a))
#define XIE      "Xie, Raghunathan, Liang and Ma 2022"
#define PAPER    "Reizinger et al. 2024, case study 2"

static const tb_option options[] = {
  { "seed", TB_INTEGER, "0", NULL, 0, 4294967295.0, false, "key of every random number of the run", NULL, NULL },
  { "hmm", TB_FILE, "ginc", "ginc|FILE.json", ANY, false,
    "mixture of hidden Markov models: GINC drawn by seed, or a mixture file", "p(x) = Σ_c w_c p_c(x)", XIE },
  { "vocabulary", TB_CHOICE, "50", "50|100|150", ANY, false, "tokens of hmm=ginc, the delimiter included", NULL, XIE },
  { "n", TB_INTEGER, "64", NULL, 0, 100000, false, "examples in a prompt", NULL, XIE },
  { "k", TB_INTEGER, "10", NULL, 1, 100000, false,
    "tokens of an example, the one to predict included; a prompt is n × (k tokens, delimiter) and k − 1 tokens", NULL,
    XIE },
  { "prompts", TB_FILE, "2500", "N|FILE.csv", ANY, false,
    "how many prompts to draw, or a CSV with columns prompt (tokens by spaces) and label", NULL, XIE },
  { "examples", TB_CHOICE, "any", "any|undelimited", ANY, false,
    "of drawn prompts: as the concept draws them, or given that no delimiter is inside one, so that every prompt is of "
    "the pattern that alter= overwrites",
    NULL, NULL },
  { "documents", TB_FILE, "", "N|FILE.txt", ANY, false,
    "documents on which to measure nll: a file of one a line, tokens by spaces, or how many to draw; unset: none "
    "(model: 64)",
    NULL, NULL },
  { "length", TB_INTEGER, "256", NULL, 1, 1000000, false,
    "tokens of a drawn document, of those that a network is trained on too (published: 1,024)", NULL, XIE },
  { "predictor", TB_CHOICE, "bayes", "bayes|model", ANY, false,
    "bayes: the exact law of the next token; model: a network trained on documents", NULL, NULL },
  { "smoothing", TB_REAL, "0", NULL, 0, 1, false,
    "ε mixed into the transitions of the law that predicts (prompts and labels are drawn without it)",
    "T ← (1 − ε) T + ε/S", NULL },
  { "alter", TB_CHOICE, "none", "none|swap", ANY, false,
    "swap: a second law q that swaps the two likeliest next tokens after every prefix n × (k tokens, delimiter), k − 1 "
    "tokens, and is p elsewhere",
    "KL(p‖q) = Σ_s p(s) (p₁ − p₂) ln(p₁/p₂)", PAPER },
  { "draws", TB_INTEGER, "1000", NULL, 2, 1e9, false,
    "prefixes drawn for kl where there are more than 10⁶ to enumerate", NULL, NULL },
};
static const tb_option model_options[] = {
  { "model", TB_CHOICE, "lstm", "transformer|lstm|gru", ANY, false, "network of predictor=model", NULL, NULL },
  { "dtype", TB_CHOICE, "float32", "float32|float64", ANY, false, "number type of the network's computations", NULL,
    NULL },
  { "depth", TB_INTEGER, "1", NULL, 1, 100, false, "layers (published: 4, 12, 16; LSTM 6)", NULL, XIE },
  { "width", TB_INTEGER, "64", NULL, 1, 65536, false,
    "of the transformer's stream, of recurrent states and embeddings (published: 768)", NULL, XIE },
  { "heads", TB_INTEGER, "4", NULL, 1, 1024, false, "attention heads; they divide width (published: 12)", NULL, XIE },
  { "feedforward", TB_INTEGER, "256", NULL, 1, 65536, false, "hidden units of a transformer's feed-forward block", NULL,
    NULL },
  { "norm", TB_CHOICE, "pre", "pre|post", ANY, false, "layer norms before each branch or after each sum", NULL, NULL },
  { "positions", TB_CHOICE, "learned", "none|sinusoidal|learned|rope|alibi", ANY, false,
    "how a transformer knows places", NULL, NULL },
  { "batch", TB_INTEGER, "16", NULL, 1, 65536, false,
    "documents a step, new ones every step (published: 8); with alter=swap half as many prompts are taught beside them",
    NULL, XIE },
  { "alter_weight", TB_REAL, "0.1", NULL, 0, INFINITY, true,
    "of what is taught after prompts, nats a prompt, beside nats a token of documents",
    "L = nll + alter_weight · taught", NULL },
  { "steps", TB_INTEGER, "1000", NULL, 0, 1e9, false, "steps of Adam (published: 6,250)", NULL, XIE },
  { "lr", TB_REAL, "3e-3", NULL, 0, INFINITY, true, "learning rate; gradients longer than 1 are shortened to it", NULL,
    NULL },
  { "at", TB_REALS, "", NULL, ANY, false,
    "steps at which to record every metric, 0 and the end allowed; unset: the start and every fifth part", NULL, NULL },
};
static const tb_option_table icl_options = { "in-context learning", options, COUNT(options) };
static const tb_option_table network_options = { "network", model_options, COUNT(model_options) };
static const tb_option_table *const tables[] = { &icl_options, &network_options };

static const tb_metric metrics[] = {
  { "t", "", "training steps; 0 for the exact predictor", NULL, NULL },
  { "stopped", "", "what ended the run: steps", NULL, NULL },
  { "accuracy", "", "share of prompts whose likeliest next token is the label; prompts of probability 0 count as wrong",
    NULL, XIE },
  { "accuracy.se", "", "binomial standard error of accuracy", NULL, NULL },
  { "accuracy.possible_only", "", "accuracy over prompts of positive probability; NaN where there is none", NULL,
    NULL },
  { "accuracy.impossible_only", "", "of a network: accuracy over prompts to which the law gives probability 0", NULL,
    NULL },
  { "accuracy.altered", "", "accuracy of the altered law, or of the network that was also taught it", NULL, PAPER },
  { "bayes.accuracy", "", "of the exact law, where a network predicts", NULL, NULL },
  { "zero_probability_share", "",
    "share of prompts to which the law gives probability 0: what it predicts there is "
    "not defined",
    NULL, NULL },
  { "posterior", "", "mean posterior probability of the prompt's own concept, over possible prompts", "p(c | prompt)",
    XIE },
  { "nll", "nats", "per token of the documents; inf when one of them is impossible", NULL, NULL },
  { "nll.se", "nats", "standard error of nll over documents", NULL, NULL },
  { "nll.altered", "nats", "of the network that was also taught the altered law", NULL, PAPER },
  { "bayes.nll", "nats", "of the exact law, where a network predicts", NULL, NULL },
  { "prompt_probability", "",
    "that a document starts with n × (k tokens that are not the delimiter, delimiter) and "
    "k − 1 such tokens",
    "p(A)", NULL },
  { "log_prompt_probability", "nats", "its logarithm, right where it is below 1e-308", NULL, NULL },
  { "kl", "nats",
    "Kullback–Leibler divergence of the altered law from the law, per document; inf where the second "
    "likeliest token is impossible.  Of a network: from the exact law, on the documents",
    "KL(p‖q) = Σ_s p(s) (p₁ − p₂) ln(p₁/p₂)", PAPER },
  { "kl.se", "nats", "Monte Carlo standard error of kl; absent where kl is exact", NULL, NULL },
  { "kl.prefixes", "", "prefixes that were enumerated, or drawn", NULL, NULL },
  { "kl.altered", "nats", "of the network that was also taught the altered law", NULL, PAPER },
  { "train_loss", "nats", "of a network on the documents of the last step", NULL, NULL },
  { "parameters", "", "numbers that the network has", NULL, NULL },
  { "log_kl", "", "natural logarithm of kl, right where it is below 1e-308", NULL, NULL },
};

/* ---- the configuration ---- */

static bool a_number(const char *text) {
  return *text && strspn(text, "0123456789") == strlen(text);
}

/* A count given in place of a file; TB_USAGE beyond `most`. */
static tb_status read_count(icl *s, const char *option, double most, size_t *count) {
  const char *text = tb_config_word(s->config, option);
  char place[64];
  const double value = strtod(text, NULL);
  snprintf(place, sizeof place, "option %s", option);
  if (value < 1 || value > most)
    return tb_fail(s->context, TB_USAGE, place, NULL, "%s=%s: expected a file, or a whole number from 1 to %.0f",
                   option, text, most);
  *count = (size_t)value;
  return TB_OK;
}

static tb_status open_mixture(icl *s) {
  const char *path = tb_config_word(s->config, "hmm");
  const double smoothing = tb_config_real(s->config, "smoothing");
  tb_status status = tb_config_is(s->config, "hmm", "ginc")
                         ? tb_hmm_ginc(s->context, (size_t)strtoul(tb_config_word(s->config, "vocabulary"), NULL, 10),
                                       (uint64_t)tb_config_integer(s->config, "seed"), &s->given)
                         : tb_hmm_read(s->context, path, &s->given);
  if (!status && smoothing > 0)
    status = tb_hmm_smooth(s->context, s->given, smoothing, &s->smooth);
  s->mixture = s->smooth ? s->smooth : s->given;
  return status;
}

static tb_position position_of(const tb_config *config) {
  static const char *const words[] = { "none", "sinusoidal", "learned", "rope", "alibi" };
  size_t i = 0;
  while (i + 1 < COUNT(words) && !tb_config_is(config, "positions", words[i]))
    i++;
  return (tb_position)i;
}

/* A network that reads the longest of all documents and prompts behind a start token. */
static tb_status open_model(icl *s) {
  const tb_config *c = s->config;
  size_t longest = (size_t)tb_config_integer(c, "length"), width = (size_t)tb_config_integer(c, "width");
  if (s->document_count == 0)
    s->document_count = 64;
  for (size_t i = 0; s->documents && i < s->document_count; i++)
    longest = s->documents[i].length > longest ? s->documents[i].length : longest;
  for (size_t i = 0; s->prompts && i < s->prompt_count; i++)
    longest = s->prompts[i].length > longest ? s->prompts[i].length : longest;
  const size_t pattern = tb_hmm_pattern_length(s->n, s->k);
  longest = pattern > longest ? pattern : longest;
  s->model = tb_sequence_model_find(tb_config_word(c, "model"));
  s->shape = (tb_sequence_shape){ .vocabulary = s->mixture->n_tokens + 1,
                                  .length = longest + 1,
                                  .layers = (size_t)tb_config_integer(c, "depth"),
                                  .width = width,
                                  .embedding = width,
                                  .heads = (size_t)tb_config_integer(c, "heads"),
                                  .feedforward = (size_t)tb_config_integer(c, "feedforward"),
                                  .post_norm = tb_config_is(c, "norm", "post"),
                                  .position = position_of(c) };
  return s->model->check(s->context, &s->shape);
}

tb_status icl_open(icl *s, tb_context *context, const tb_config *config) {
  enum { MOST_TOKENS = 500000000 };
  *s = (icl){ .context = context, .config = config, .arena = tb_arena_new(context) };
  if (!s->arena)
    return TB_NO_MEMORY;
  s->n = (size_t)tb_config_integer(config, "n");
  s->k = (size_t)tb_config_integer(config, "k");
  s->swap = tb_config_is(config, "alter", "swap");
  tb_status status = open_mixture(s);
  const char *prompts = tb_config_word(config, "prompts"), *documents = tb_config_word(config, "documents");
  if (!status)
    status = a_number(prompts) ? read_count(s, "prompts", 1e7, &s->prompt_count) : icl_read_prompts(s, prompts);
  if (!status && *documents)
    status =
        a_number(documents) ? read_count(s, "documents", 1e7, &s->document_count) : icl_read_documents(s, documents);
  if (!status && tb_config_is(config, "predictor", "model"))
    status = open_model(s);
  if (status)
    return status;
  const double tokens = (double)s->prompt_count * (double)tb_hmm_pattern_length(s->n, s->k);
  if (!s->prompts && tokens > MOST_TOKENS)
    return tb_fail(context, TB_USAGE, "option prompts",
                   "lower prompts=, n= or k=", "%zu prompts of %zu tokens are more than %d tokens", s->prompt_count,
                   tb_hmm_pattern_length(s->n, s->k), MOST_TOKENS);
  if (!s->documents && (double)s->document_count * (double)tb_config_integer(config, "length") > MOST_TOKENS)
    return tb_fail(context, TB_USAGE, "option documents",
                   "lower documents= or length=", "these documents hold more than %d tokens", MOST_TOKENS);
  return TB_OK;
}

tb_status icl_draw(icl *s) {
  const uint64_t seed = (uint64_t)tb_config_integer(s->config, "seed");
  const size_t length = (size_t)tb_config_integer(s->config, "length");
  if (!s->prompts) {
    const bool undelimited = tb_config_is(s->config, "examples", "undelimited");
    tb_status status = tb_hmm_prompts(s->context, s->arena, s->given, s->n, s->k, undelimited, s->prompt_count,
                                      (tb_key){ seed, 0, tb_use("icl prompts") }, &s->prompts);
    if (status)
      return status;
  }
  if (s->documents || s->document_count == 0)
    return TB_OK;
  s->documents = tb_arena_allocate(s->arena, s->document_count, sizeof *s->documents);
  uint32_t *tokens = tb_arena_allocate(s->arena, s->document_count * length, sizeof *tokens);
  if (!s->documents || !tokens)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < s->document_count; i++) {
    tb_hmm_sample(s->given, (tb_key){ seed, 0, tb_use("icl documents") }, i, length, tokens + i * length, NULL);
    s->documents[i] = (icl_document){ length, tokens + i * length };
  }
  return TB_OK;
}

void icl_close(icl *s) {
  tb_hmm_free(s->given);
  tb_hmm_free(s->smooth);
  tb_arena_free(s->arena);
  *s = (icl){ 0 };
}

/* ---- answers ---- */

static tb_status write_answers(const icl *s, tb_run *run, const icl_answer *answers) {
  const char *path;
  tb_status status = tb_run_file(run, "prompts", "prompts.csv", &path);
  if (status)
    return status;
  tb_text text = tb_text_new(s->context), prompt = tb_text_new(s->context);
  tb_text_add(&text, "prompt,label,prediction,prediction_probability,log_probability,correct\n");
  for (size_t i = 0; i < s->prompt_count; i++) {
    const tb_hmm_prompt *p = &s->prompts[i];
    const icl_answer *a = &answers[i];
    prompt.length = 0;
    tb_text_add(&prompt, "");
    for (size_t t = 0; t < p->length; t++)
      tb_text_format(&prompt, "%s%s", t ? " " : "", s->mixture->tokens[p->tokens[t]]);
    tb_csv_add_field(&text, prompt.data ? prompt.data : "");
    tb_text_add(&text, ",");
    tb_csv_add_field(&text, s->mixture->tokens[p->label]);
    tb_text_add(&text, ",");
    if (a->prediction != UINT32_MAX) {
      tb_csv_add_field(&text, s->mixture->tokens[a->prediction]);
      tb_text_format(&text, ",%.17g,%.17g,%d\n", a->probability, a->log_probability, a->prediction == p->label);
    } else {
      tb_text_add(&text, ",,-inf,0\n");
    }
  }
  status = tb_text_finish(&prompt);
  if (!status)
    status = tb_text_finish(&text);
  if (!status)
    status = tb_file_write(s->context, path, text.data, text.length);
  tb_text_free(&prompt);
  tb_text_free(&text);
  return status;
}

tb_status icl_report_answers(const icl *s, tb_run *run, const icl_answer *answers) {
  tb_metrics *m = tb_run_metrics(run);
  const double count = (double)s->prompt_count;
  double possible = 0, right = 0, altered = 0, posterior = 0, known = 0;
  for (size_t i = 0; i < s->prompt_count; i++) {
    possible += answers[i].prediction != UINT32_MAX;
    right += answers[i].prediction == s->prompts[i].label;
    altered += answers[i].altered == s->prompts[i].label;
    if (!isnan(answers[i].posterior)) {
      posterior += answers[i].posterior;
      known++;
    }
  }
  const double accuracy = right / count;
  tb_status status = tb_metrics_real(m, "accuracy", accuracy);
  if (!status)
    status = tb_metrics_real(m, "accuracy.se", sqrt(accuracy * (1 - accuracy) / count));
  if (!status)
    status = tb_metrics_real(m, "accuracy.possible_only", possible > 0 ? right / possible : NAN);
  if (!status && s->swap)
    status = tb_metrics_real(m, "accuracy.altered", altered / count);
  if (!status)
    status = tb_metrics_real(m, "zero_probability_share", 1 - possible / count);
  if (!status && known > 0)
    status = tb_metrics_real(m, "posterior", posterior / known);
  return status ? status : write_answers(s, run, answers);
}

/* ---- the record's functions ---- */

static tb_status check(tb_context *context, const tb_config *config) {
  icl s;
  tb_status status = icl_open(&s, context, config);
  icl_close(&s);
  return status;
}

/* A step of the filter goes from each state that can be to each that emits the token, in every concept that can be. */
static tb_status estimate(tb_context *context, const tb_config *config, tb_estimate *out) {
  icl s;
  tb_status status = icl_open(&s, context, config);
  if (!status) {
    double tokens = 0, moves = 0, states = 0;
    for (size_t i = 0; i < s.document_count; i++)
      tokens += s.documents ? (double)s.documents[i].length : (double)tb_config_integer(config, "length");
    for (size_t i = 0; i < s.prompt_count; i++)
      tokens += s.prompts ? (double)s.prompts[i].length : (double)tb_hmm_pattern_length(s.n, s.k);
    for (size_t c = 0; c < s.mixture->n_components; c++) {
      const tb_hmm_component *h = &s.mixture->components[c];
      const double emitters = (double)h->first[s.mixture->n_tokens] / (double)s.mixture->n_tokens;
      moves += emitters * emitters;
      states += (double)h->states;
    }
    const double draws = s.swap ? (double)tb_config_integer(config, "draws") : 0;
    const double drawn = draws * (double)tb_hmm_pattern_length(s.n, s.k);
    *out = (tb_estimate){ .flop = 2 * (tokens + drawn) * moves + 40 * drawn * states,
                          .seconds = tokens * (2e-9 * moves + 4e-8 * (double)s.mixture->n_components) +
                                     drawn * 6e-9 * states + 0.1,
                          .memory = 4 * tokens + 60 * (double)s.prompt_count + 2e7,
                          .steps = 0 };
    if (s.model) {
      const double p = (double)s.model->parameters(&s.shape), steps = (double)tb_config_integer(config, "steps");
      const double batch = (double)tb_config_integer(config, "batch"), copies = s.swap ? 2 : 1;
      const double step_tokens = batch * (double)tb_config_integer(config, "length") +
                                 (s.swap ? batch / 2 * (double)tb_hmm_pattern_length(s.n, s.k) : 0);
      const double looks = 7 * ((double)s.document_count + (double)s.prompt_count) * (double)s.shape.length;
      out->flop += copies * 2 * p * (3 * step_tokens * steps + looks);
      out->seconds += copies * 2 * p * (3 * step_tokens * steps + looks) / 4e10 + looks * copies * 5e-7;
      out->memory += 16 * copies * p + 40 * step_tokens * (double)s.shape.width * (double)s.shape.layers;
      out->steps = steps;
      out->parameters = p;
    }
  }
  icl_close(&s);
  return status;
}

static tb_status run(tb_run *run) {
  icl s;
  const char *path;
  tb_status status = icl_open(&s, tb_run_context(run), tb_run_config(run));
  if (!status)
    status = icl_draw(&s);
  if (!status)
    status = tb_run_file(run, "hmm", "hmm.json", &path);
  if (!status)
    status = tb_hmm_write(s.context, s.mixture, path);
  if (!status)
    status = s.model ? icl_run_model(&s, run) : icl_run_bayes(&s, run);
  icl_close(&s);
  return status;
}

const tb_study tb_study_icl = {
  .name = "icl",
  .laboratory = "language",
  .summary =
      "in-context learning of hidden Markov mixtures: exact Bayes, what it costs to destroy it, trained networks",
  .paper = "Understanding LLMs Requires More Than Statistical Generalization (Reizinger, Ujvary, Meszaros, Kerekes, "
           "Brendel, Huszar 2024)",
  .details =
      "Documents come from a mixture of hidden Markov models, one concept each.  A prompt strings together n examples "
      "of\n"
      "one concept with delimiters between them; predicting its next token is Bayesian inference of the concept.  But\n"
      "prompts are improbable documents, many of them impossible ones, so what a model says after them is nearly "
      "free:\n"
      "alter=swap swaps the two likeliest tokens there, at a Kullback–Leibler cost that is computed exactly.",
  .tables = tables,
  .n_tables = COUNT(tables),
  .metrics = metrics,
  .n_metrics = COUNT(metrics),
  .claims = icl_claims,
  .n_claims = ICL_CLAIMS,
  .check = check,
  .estimate = estimate,
  .run = run,
};

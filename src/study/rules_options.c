/* The options of `rules`, by what they are about, and their values as settings. */
#include "study/rules.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define ANY      1, 0
#define COUNT(a) (sizeof(a) / sizeof *(a))

static const tb_option run_options[] = {
  { "seed", TB_INTEGER, "0", NULL, 0, 4294967295.0, false,
    "key of every random number of the run: weights, strings, drawn prompts, batches, dropout, sampled decoding", NULL,
    NULL },
  { "dtype", TB_CHOICE, "float32", "float32|float64", ANY, false, "number type of the model's computations", NULL,
    NULL },
  { "at", TB_REALS, "", NULL, ANY, false,
    "steps at which to record every metric, 0 and the end allowed; unset: the start, every tenth part, the end", NULL,
    NULL },
  { "steps", TB_INTEGER, "1000", NULL, 0, 1e9, false, "training steps (published: 50,000)", NULL, NULL },
  { "until_loss", TB_REAL, "", NULL, 0, INFINITY, true,
    "stop at the first multiple of 10 steps at which the loss has fallen to this value; unset: never", NULL, NULL },
};

static const tb_option language_options[] = {
  { "language", TB_FILE, "L3", "L1|L2|L3|L4|L5|L6|anbn|anbnan|abn|anbm|FILE.yaml", ANY, false,
    "a built-in language or a language file", NULL, "Reizinger et al. 2024; Meszaros et al. 2024" },
  { "max_length", TB_INTEGER, "", NULL, 1, 4096, false,
    "most symbols of a string; unset: the published 256, a file's own bound", NULL, NULL },
  { "prompt_length", TB_INTEGER, "", NULL, 1, 10000, false, "symbols of a prompt; unset: the published ones", NULL,
    NULL },
  { "strings", TB_INTEGER, "15000", NULL, 0, 1e7, false,
    "training strings drawn from a language of more strings than a batch has rows; 0: new ones every step", NULL,
    NULL },
  { "batch", TB_INTEGER, "128", NULL, 1, 65536, false,
    "strings a step; a language with at most that many is trained on all of them at once, by probability", NULL, NULL },
  { "training", TB_CHOICE, "likelihood", "likelihood|adversarial|oracle", ANY, false,
    "what is added to the likelihood: nothing; completions of half the OOD prompts that break r1 by one symbol; ones "
    "that make it hold",
    "L = −E ln q(s) / positions (− mean ln q(completion))", "ICML 2024, case study 1" },
};

static const tb_option model_options[] = {
  { "model", TB_CHOICE, "transformer", "transformer|lstm|gru|linear|mamba|xlstm|ngram", ANY, false,
    "the sequence model; linear: a linear map of all embeddings so far; ngram: maximum likelihood with back-off; mamba "
    "and xlstm are not in this version",
    NULL, NULL },
  { "depth", TB_INTEGER, "5", NULL, 1, 100, false, "layers (transformer, lstm, gru)", NULL, NULL },
  { "width", TB_INTEGER, "10", NULL, 1, 65536, false, "of the transformer's stream, of recurrent states", NULL, NULL },
  { "embedding", TB_INTEGER, "", NULL, 1, 65536, false, "width of embeddings (lstm, gru, linear); unset: width", NULL,
    NULL },
  { "heads", TB_INTEGER, "5", NULL, 1, 1024, false, "attention heads; they divide width", NULL, NULL },
  { "feedforward", TB_INTEGER, "1024", NULL, 1, 65536, false, "hidden units of a transformer's feed-forward block",
    NULL, NULL },
  { "norm", TB_CHOICE, "post", "pre|post", ANY, false,
    "layer norms before each branch or after each sum; 6e-3 is added to variances, as published", NULL, NULL },
  { "positions", TB_CHOICE, "sinusoidal", "none|sinusoidal|learned|rope|alibi", ANY, false,
    "how a transformer knows places", NULL, NULL },
  { "dropout", TB_REAL, "0", NULL, 0, 0.95, false,
    "rate (published: 0.1 in the transformer, 0.4 before the LSTM's read-out)", NULL, NULL },
  { "order", TB_INTEGER, "3", NULL, 1, TB_NGRAM_MOST, false,
    "of model=ngram: a token's law is that of the order − 1 tokens before it", NULL, NULL },
  { "cap", TB_INTEGER, "", NULL, 1, 100000, false,
    "most new tokens of a completion, the end being one; unset: max_length + 44 (published: 300)", NULL, NULL },
  { "decoding", TB_CHOICE, "greedy", "greedy|sample", ANY, false,
    "completions by the likeliest token, or drawn from the law", NULL, NULL },
  { "published_quirks", TB_WORD, "none", NULL, ANY, false,
    "defects of the published code to switch on, joined by +: padding (costs like a symbol), rows (positions by batch "
    "row), time_softmax (sampling normalised over time), last_index (linear read at its last place), finished_only "
    "(metrics over finished completions, 0 when there are none), short_cap (max_length tokens with the prompt), "
    "best_checkpoint (each metric's maximum over snapshots), entropy (KL with half the positions), late_completion "
    "(first taught token left out), same_prompts (evaluated on the prompts trained on); or all",
    NULL, NULL },
};

static const tb_option training_options[] = {
  { "method", TB_CHOICE, "adam", "gd|momentum|adam|ngd", ANY, false,
    "how parameters move; ngd: (F + damping I)⁻¹ of the gradient by conjugate gradients on Fisher-vector products",
    "θ ← θ − lr·(…)", NULL },
  { "lr", TB_REAL, "2e-3", NULL, 0, INFINITY, true, "learning rate", NULL, NULL },
  { "momentum", TB_REAL, "0.9", NULL, 0, 1, false, "decay of the velocity (method=momentum)", "v ← momentum·v + ∇L",
    "Polyak 1964" },
  { "beta1", TB_REAL, "0.9", NULL, 0, 1, false, "decay of the first moment (method=adam)", NULL, "Kingma and Ba 2015" },
  { "beta2", TB_REAL, "0.999", NULL, 0, 1, false, "decay of the second moment (method=adam)", NULL,
    "Kingma and Ba 2015" },
  { "epsilon", TB_REAL, "1e-8", NULL, 0, INFINITY, false, "added to the root of the second moment (method=adam)", NULL,
    "Kingma and Ba 2015" },
  { "weight_decay", TB_REAL, "0.01", NULL, 0, INFINITY, false, "decoupled (method=adam, then called AdamW)",
    "θ ← θ (1 − lr·weight_decay) − …", "Loshchilov and Hutter 2019" },
  { "clip", TB_REAL, "0", NULL, 0, INFINITY, false,
    "longest gradient; longer ones are shortened to it; ngd: longest step in the metric of F + λI, before lr; 0: any",
    "‖g‖;  √(δᵀ(F + λI)δ)", NULL },
  { "schedule", TB_CHOICE, "constant", "constant|inverse_sqrt|cosine", ANY, false,
    "learning rate over steps; inverse_sqrt rises for warmup= steps", "lr·√(warmup/k);  lr·(1 + cos(πk/steps))/2",
    NULL },
  { "warmup", TB_INTEGER, "1000", NULL, 1, 1e9, false, "steps of schedule=inverse_sqrt", NULL, NULL },
  { "fisher", TB_CHOICE, "parameter", "predictor|parameter|population|empirical", ANY, false,
    "Fisher matrix of ngd: of the model's own next-token laws on the training strings, inverted in parameters, or of "
    "the observed targets",
    NULL, "Amari 1998; Kunstner, Balles and Hennig 2019" },
  { "damping", TB_REAL, "1e-3", NULL, 0, INFINITY, false, "λ added to the Fisher matrix (method=ngd)", "(F + λI)⁻¹",
    NULL },
  { "cg_products", TB_INTEGER, "40", NULL, 1, 100000, false,
    "most Fisher-vector products a step of ngd; fewer where the residual falls to 1e-4 of the gradient", NULL, NULL },
};

const tb_option_table rules_run_options = { "run", run_options, COUNT(run_options) };
const tb_option_table rules_language_options = { "language", language_options, COUNT(language_options) };
const tb_option_table rules_model_options = { "model", model_options, COUNT(model_options) };
const tb_option_table rules_training_options = { "training", training_options, COUNT(training_options) };

const char *const rules_quirk_names[RULES_QUIRKS] = { "padding",         "rows",        "time_softmax",    "last_index",
                                                      "finished_only",   "short_cap",   "best_checkpoint", "entropy",
                                                      "late_completion", "same_prompts" };

/* Words joined by '+'. */
static tb_status read_quirks(tb_context *context, const char *text, unsigned *quirks) {
  *quirks = 0;
  while (*text) {
    const size_t length = strcspn(text, "+");
    char word[40], hint[80];
    snprintf(word, sizeof word, "%.*s", (int)length, text);
    size_t k = 0;
    while (k < RULES_QUIRKS && strcmp(rules_quirk_names[k], word) != 0)
      k++;
    if (k < RULES_QUIRKS)
      *quirks |= 1u << k;
    else if (strcmp(word, "all") == 0)
      *quirks = (1u << RULES_QUIRKS) - 1;
    else if (strcmp(word, "none") != 0) {
      const char *near = tb_suggest(word, rules_quirk_names, RULES_QUIRKS);
      snprintf(hint, sizeof hint, near ? "did you mean '%s'?" : "`tiebreak explain published_quirks` lists them", near);
      return tb_fail(context, TB_USAGE, "option published_quirks", hint,
                     "no quirk of the published code is called '%s'", word);
    }
    text += length + (text[length] == '+');
  }
  return TB_OK;
}

static size_t choice(const tb_config *config, const char *name, size_t count, const char *const *words) {
  for (size_t i = 0; i < count; i++)
    if (tb_config_is(config, name, words[i]))
      return i;
  return 0;
}

static size_t number(const tb_config *config, const char *name) {
  return tb_config_is_set(config, name) ? (size_t)tb_config_integer(config, name) : 0;
}

static tb_status check_fisher(tb_context *context, const tb_config *config) {
  if (!tb_config_is(config, "method", "ngd") || tb_config_is(config, "fisher", "parameter") ||
      tb_config_is(config, "fisher", "empirical"))
    return TB_OK;
  return tb_fail(context, TB_USAGE, "option fisher", "give fisher=parameter or fisher=empirical",
                 "fisher=%s with a network: it has no predictor space", tb_config_word(config, "fisher"));
}

tb_status rules_settings_read(tb_context *context, const tb_config *config, rules_settings *s) {
  static const char *const trainings[] = { "likelihood", "adversarial", "oracle" };
  static const char *const methods[] = { "gd", "momentum", "adam", "ngd" };
  static const char *const schedules[] = { "constant", "inverse_sqrt", "cosine" };
  static const char *const positions[] = { "none", "sinusoidal", "learned", "rope", "alibi" };
  *s = (rules_settings){ .seed = (uint64_t)tb_config_integer(config, "seed"),
                         .data_seed = (uint64_t)tb_config_integer(config, "seed"),
                         .dtype = tb_config_is(config, "dtype", "float64") ? TB_FLOAT64 : TB_FLOAT32,
                         .language = tb_config_word(config, "language"),
                         .model = tb_config_word(config, "model"),
                         .max_length = number(config, "max_length"),
                         .prompt_length = number(config, "prompt_length"),
                         .order = number(config, "order"),
                         .dropout = tb_config_real(config, "dropout"),
                         .training = (rules_training)choice(config, "training", COUNT(trainings), trainings),
                         .strings = number(config, "strings"),
                         .batch = number(config, "batch"),
                         .method = (rules_method)choice(config, "method", COUNT(methods), methods),
                         .lr = tb_config_real(config, "lr"),
                         .momentum = tb_config_real(config, "momentum"),
                         .beta1 = tb_config_real(config, "beta1"),
                         .beta2 = tb_config_real(config, "beta2"),
                         .epsilon = tb_config_real(config, "epsilon"),
                         .decay = tb_config_real(config, "weight_decay"),
                         .clip = tb_config_real(config, "clip"),
                         .damping = tb_config_real(config, "damping"),
                         .empirical = tb_config_is(config, "fisher", "empirical"),
                         .products = number(config, "cg_products"),
                         .schedule = (rules_schedule)choice(config, "schedule", COUNT(schedules), schedules),
                         .warmup = number(config, "warmup"),
                         .steps = number(config, "steps"),
                         .cap = number(config, "cap"),
                         .sample = tb_config_is(config, "decoding", "sample") };
  s->shape = (tb_sequence_shape){ .layers = number(config, "depth"),
                                  .width = number(config, "width"),
                                  .embedding = number(config, "embedding"),
                                  .heads = number(config, "heads"),
                                  .feedforward = number(config, "feedforward"),
                                  .post_norm = tb_config_is(config, "norm", "post"),
                                  .position = (tb_position)choice(config, "positions", COUNT(positions), positions) };
  if (s->shape.embedding == 0)
    s->shape.embedding = s->shape.width;
  tb_status status = check_fisher(context, config);
  return status ? status : read_quirks(context, tb_config_word(config, "published_quirks"), &s->quirks);
}

/* ---- when to look ---- */

tb_status rules_looks_read(tb_context *context, tb_arena *arena, const tb_config *config, double end,
                           rules_looks *looks) {
  const double *asked;
  const size_t count = tb_config_reals(config, "at", &asked);
  double *sorted = tb_arena_allocate(arena, count + 1, sizeof *sorted);
  *looks = (rules_looks){ .at = sorted, .end = end };
  if (!sorted)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < count; i++) {
    if (!(asked[i] >= 0) || asked[i] != floor(asked[i]) || asked[i] > end)
      return tb_fail(context, TB_USAGE, "option at",
                     "give whole steps from 0 to steps=", "at=%.17g is not a step of %g", asked[i], end);
    size_t j = looks->count;
    while (j > 0 && sorted[j - 1] > asked[i])
      j--;
    if (j > 0 && sorted[j - 1] == asked[i])
      continue;
    memmove(sorted + j + 1, sorted + j, (looks->count - j) * sizeof *sorted);
    sorted[j] = asked[i];
    looks->count++;
  }
  return TB_OK;
}

double rules_look_at(const rules_looks *looks, uint64_t i) {
  enum { PARTS = 10 };
  if (looks->count)
    return i < looks->count ? looks->at[i] : INFINITY;
  if (looks->end < PARTS)
    return (double)i <= looks->end ? (double)i : INFINITY;
  return i <= PARTS ? floor(looks->end * (double)i / PARTS) : INFINITY;
}

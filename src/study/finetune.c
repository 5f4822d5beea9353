/* Study `finetune`: how well a network can be fine-tuned is no property of the function it computes.
 *
 * A transformer is pre-trained on one language.  An exact symmetry moves its parameters and leaves every logit where it
 * was.  Both twins are then fine-tuned on another language by the same method: their gradients, curvatures and learning
 * curves are compared.  ("Understanding LLMs Requires More Than Statistical Generalization", Reizinger et al. 2024,
 * case study 3; the stock example is the positive homogeneity of ReLU.) */
#include "study/finetune.h"

#include <math.h>
#include <string.h>

#define ANY      1, 0
#define COUNT(a) (sizeof(a) / sizeof *(a))
#define PAPER    "Reizinger et al. 2024, case study 3"

#define LANGUAGES "L1|L2|L3|L4|L5|L6|anbn|anbnan|abn|anbm|FILE.yaml"

static const tb_option options[] = {
  { "seed", TB_INTEGER, "0", NULL, 0, 4294967295.0, false, "key of every random number of the run", NULL, NULL },
  { "dtype", TB_CHOICE, "float32", "float32|float64", ANY, false, "number type of the network's computations", NULL,
    NULL },
  { "at", TB_REALS, "", NULL, ANY, false,
    "steps of fine-tuning at which to record every metric; unset: 0, about fifty in equal ratios, the end", NULL,
    NULL },
  { "steps", TB_INTEGER, "200", NULL, 0, 1e9, false, "steps of fine-tuning, each on all of the target's strings", NULL,
    NULL },
  { "language", TB_FILE, "anbn", LANGUAGES, ANY, false, "language of pre-training", NULL, PAPER },
  { "target", TB_FILE, "anbnan", LANGUAGES, ANY, false, "language of fine-tuning", NULL, PAPER },
  { "max_length", TB_INTEGER, "16", NULL, 1, 4096, false, "most symbols of a string of either (published: 128)", NULL,
    NULL },
  { "batch", TB_INTEGER, "128", NULL, 1, 65536, false,
    "strings in a batch; a language with at most that many is taken whole, by probability", NULL, NULL },
  { "pretrain_steps", TB_INTEGER, "1000", NULL, 0, 1e9, false, "steps of Adam in pre-training (published: 35,000)",
    NULL, NULL },
  { "pretrain_lr", TB_REAL, "3e-3", NULL, 0, INFINITY, true, "learning rate of pre-training", NULL, NULL },
  { "threshold", TB_REAL, "", NULL, 0, INFINITY, true,
    "loss on the target that counts as reached; unset: its optimum and 0.15 of what the loss is above it "
    "at the start (scalar: 0.01)",
    NULL, NULL },
};
static const tb_option symmetry_options[] = {
  { "symmetry", TB_CHOICE, "rescale", "rescale|heads|permutation|widen|relu_scale", ANY, false,
    "rescale: W1, b1 times alpha, W2 over it; heads: a random element of GL(d) with singular values 1 to alpha for "
    "each "
    "head's queries, keys, values; permutation: of hidden units and heads; widen: alpha copies of each hidden unit; "
    "relu_scale: ReLU(alpha x)/alpha, as published, which changes nothing",
    "W2 ReLU(W1 x) = (W2/α) ReLU(α W1 x)", "Dinh et al. 2017" },
  { "alpha", TB_REAL, "4", NULL, 0, INFINITY, true, "size of the move; 1: none (rescale, heads)", NULL, NULL },
  { "probes", TB_INTEGER, "32", NULL, 2, 1e6, false, "random vectors for each trace of the Hessian", NULL, NULL },
};
static const tb_option model_options[] = {
  { "model", TB_CHOICE, "transformer", "transformer|scalar", ANY, false,
    "scalar: w2·relu(w1·x) at x = 1 from w = (alpha, 1/alpha), taught 1 before and 2 in fine-tuning", NULL, NULL },
  { "depth", TB_INTEGER, "2", NULL, 1, 100, false, "layers", NULL, NULL },
  { "width", TB_INTEGER, "16", NULL, 1, 65536, false, "of the stream (published: 8)", NULL, NULL },
  { "heads", TB_INTEGER, "4", NULL, 1, 1024, false, "attention heads; they divide width", NULL, NULL },
  { "feedforward", TB_INTEGER, "32", NULL, 1, 65536, false, "hidden units of a feed-forward block", NULL, NULL },
  { "norm", TB_CHOICE, "post", "pre|post", ANY, false, "layer norms before each branch or after each sum", NULL, NULL },
  { "positions", TB_CHOICE, "sinusoidal", "none|sinusoidal|learned|rope|alibi", ANY, false,
    "how the transformer knows places", NULL, NULL },
};
static const tb_option method_options[] = {
  { "method", TB_CHOICE, "gd", "gd|momentum|adam|ngd", ANY, false,
    "of fine-tuning; ngd: (F + damping I)⁻¹ of the gradient by conjugate gradients on products with the Fisher matrix "
    "of "
    "the model's own next-token laws",
    "θ ← θ − lr·(…)", NULL },
  { "lr", TB_REAL, "", NULL, 0, INFINITY, true,
    "learning rate of fine-tuning; unset: 0.02 (gd), 2e-3 (momentum), 3e-4 (adam), 1 (ngd)", NULL, NULL },
  { "momentum", TB_REAL, "0.9", NULL, 0, 1, false, "decay of the velocity (method=momentum)", "v ← momentum·v + ∇L",
    NULL },
  { "beta1", TB_REAL, "0.9", NULL, 0, 1, false, "decay of the first moment (method=adam)", NULL, NULL },
  { "beta2", TB_REAL, "0.999", NULL, 0, 1, false, "decay of the second moment (method=adam)", NULL, NULL },
  { "epsilon", TB_REAL, "1e-8", NULL, 0, INFINITY, false, "added to the root of the second moment (method=adam)", NULL,
    NULL },
  { "fisher", TB_CHOICE, "parameter", "parameter", ANY, false, "Fisher matrix of ngd, inverted in parameters", NULL,
    NULL },
  { "damping", TB_REAL, "1e-3", NULL, 0, INFINITY, false, "λ added to the Fisher matrix (method=ngd)", "(F + λI)⁻¹",
    NULL },
  { "trust", TB_REAL, "1e-4", NULL, 0, INFINITY, true,
    "of ngd: the most that a step may change the next-token laws, to second order; longer steps are shortened to it",
    "½ lr² δᵀFδ ≤ trust, nats a position", "Schulman et al. 2015" },
  { "cg_products", TB_INTEGER, "60", NULL, 1, 100000, false,
    "most products with the Fisher matrix a step of ngd; fewer where the residual falls to 1e-6 of the gradient", NULL,
    NULL },
};
static const tb_option_table run_table = { "run", options, COUNT(options) };
static const tb_option_table symmetry_table = { "symmetry", symmetry_options, COUNT(symmetry_options) };
static const tb_option_table model_table = { "model", model_options, COUNT(model_options) };
static const tb_option_table method_table = { "fine-tuning", method_options, COUNT(method_options) };
static const tb_option_table *const tables[] = { &run_table, &symmetry_table, &model_table, &method_table };

static const tb_metric metrics[] = {
  { "t", "", "steps of fine-tuning done", NULL, NULL },
  { "loss", "nats", "of the moved twin on the target, mean over max_length + 1 positions, padding at no cost", NULL,
    NULL },
  { "unmoved.loss", "nats", "the same of the twin whose parameters were left", NULL, NULL },
  { "pretrain_loss", "nats", "of both, on the language of pre-training, before fine-tuning", NULL, NULL },
  { "source.optimal_loss", "nats", "entropy of a string of the pre-training language over positions", NULL, NULL },
  { "target.optimal_loss", "nats", "entropy of a string of the target over positions", NULL, NULL },
  { "threshold", "nats", "loss on the target that counts as reached", NULL, NULL },
  { "steps_to_threshold", "", "first step at which the moved twin's loss is at most the threshold; inf: never", NULL,
    NULL },
  { "unmoved.steps_to_threshold", "", "the same of the other twin", NULL, NULL },
  { "twin_gap", "nats", "largest difference of the twins' losses so far; inf where one diverged", NULL, NULL },
  { "max_logit_difference", "", "largest difference of the twins' logits before fine-tuning, on both languages", NULL,
    PAPER },
  { "gradient_ratio", "",
    "norms of the first and the second layer's gradient on the target, moved over unmoved (heads: "
    "queries and values, keys and outputs)",
    "1/α, α (rescale);  1/√α, √α (widen)", NULL },
  { "gradient_error", "", "of the chain rule between the twins' gradients: ‖g − Mᵀg'‖/‖g‖ with θ' = Mθ", NULL, NULL },
  { "parameter_distance", "", "of the moved parameters from the unmoved, over the size of these", "‖θ' − θ‖/‖θ‖",
    NULL },
  { "hessian_trace", "", "of the pre-training loss at the moved twin, by Hutchinson's estimator",
    "tr H' = α⁻² tr H₁₁ + α² tr H₂₂ + tr H₀₀ (rescale)", NULL },
  { "hessian_trace.se", "", "its standard error over probes", NULL, NULL },
  { "hessian_trace.predicted", "", "what a rescaling ought to make of the unmoved twin's block traces", NULL, NULL },
  { "hessian_trace.predicted.se", "", "its standard error", NULL, NULL },
  { "hessian_top", "", "largest eigenvalue there, by Lanczos' method", NULL, NULL },
  { "unmoved.hessian_trace", "", "of the pre-training loss at the unmoved twin", NULL, NULL },
  { "unmoved.hessian_trace.se", "", "its standard error", NULL, NULL },
  { "unmoved.hessian_top", "", "largest eigenvalue at the unmoved twin", NULL, NULL },
  { "output", "", "model=scalar: w2·relu(w1) now", "after one step of gd: 1 + η(α² + α⁻²) + η²", NULL },
  { "unmoved.output", "", "the same of the other twin", NULL, NULL },
  { "parameters", "", "numbers that the moved network has", NULL, NULL },
  { "stopped", "", "what ended the run: steps, or blow_up where a twin diverged", NULL, NULL },
};

/* ---- the configuration ---- */

static size_t choice(const tb_config *config, const char *name, size_t count, const char *const *words) {
  size_t i = 0;
  while (i + 1 < count && !tb_config_is(config, name, words[i]))
    i++;
  return i;
}

static tb_status open_transformer(finetune *f) {
  static const char *const positions[] = { "none", "sinusoidal", "learned", "rope", "alibi" };
  static const char *const symmetries[] = { "rescale", "heads", "permutation", "widen", "relu_scale" };
  const tb_config *c = f->config;
  tb_status status = finetune_read_texts(f);
  if (status)
    return status;
  const tb_transformer_shape shape = {
    .vocabulary = f->vocabulary,
    .width = (size_t)tb_config_integer(c, "width"),
    .heads = (size_t)tb_config_integer(c, "heads"),
    .feedforward = (size_t)tb_config_integer(c, "feedforward"),
    .layers = (size_t)tb_config_integer(c, "depth"),
    .length = (size_t)tb_config_integer(c, "max_length") + 1,
    .post_norm = tb_config_is(c, "norm", "post"),
    .scale_embedding = true,
    .activation = TB_RELU,
    .position = (tb_position)choice(c, "positions", COUNT(positions), positions),
    .epsilon = 6e-3, /* as published */
  };
  status = tb_transformer_check(f->context, &shape);
  if (!status)
    status = tb_symmetry_open(f->context, (tb_symmetry)choice(c, "symmetry", COUNT(symmetries), symmetries), &shape,
                              f->alpha, (tb_key){ f->seed, 0, tb_use("finetune symmetry") }, &f->map);
  if (!status)
    status = tb_transformer_check(f->context, &f->map.to);
  f->parameters[UNMOVED] = tb_transformer_parameters(&f->map.from);
  f->parameters[MOVED] = tb_transformer_parameters(&f->map.to);
  return status;
}

tb_status finetune_open(finetune *f, tb_context *context, const tb_config *config) {
  static const char *const methods[] = { "gd", "momentum", "adam", "ngd" };
  *f = (finetune){ .context = context, .config = config, .arena = tb_arena_new(context) };
  f->scratch = tb_arena_new(context);
  if (!f->arena || !f->scratch)
    return TB_NO_MEMORY;
  f->scalar = tb_config_is(config, "model", "scalar");
  f->alpha = tb_config_real(config, "alpha");
  f->dtype = tb_config_is(config, "dtype", "float64") ? TB_FLOAT64 : TB_FLOAT32;
  f->seed = (uint64_t)tb_config_integer(config, "seed");
  f->method = (finetune_method)choice(config, "method", COUNT(methods), methods);
  f->threshold = tb_config_real(config, "threshold");
  if (!f->scalar)
    return open_transformer(f);
  if (!tb_config_is(config, "symmetry", "rescale"))
    return tb_fail(context, TB_USAGE, "option symmetry", "leave symmetry= out",
                   "model=scalar has no symmetry but rescale");
  f->parameters[UNMOVED] = f->parameters[MOVED] = 2;
  return TB_OK;
}

void finetune_close(finetune *f) {
  for (int i = 0; i < LOSSES; i++)
    tb_language_free(f->text[i].language);
  tb_arena_free(f->arena);
  tb_arena_free(f->scratch);
  *f = (finetune){ 0 };
}

static tb_status check(tb_context *context, const tb_config *config) {
  finetune f;
  const double *at;
  tb_status status = finetune_open(&f, context, config);
  const size_t count = tb_config_reals(config, "at", &at);
  for (size_t i = 0; i < count && !status; i++)
    if (!(at[i] >= 0) || at[i] != floor(at[i]) || at[i] > (double)tb_config_integer(config, "steps"))
      status = tb_fail(context, TB_USAGE, "option at",
                       "whole steps from 0 to steps=", "at=%.17g is no step of this run", at[i]);
  finetune_close(&f);
  return status;
}

/* A forward pass of n tokens of a sequence of T is about 2 p + 4 T d a token; training three of them, a Hessian product
 * five, a Fisher product four. */
static tb_status estimate(tb_context *context, const tb_config *config, tb_estimate *out) {
  finetune f;
  tb_status status = finetune_open(&f, context, config);
  if (!status && !f.scalar)
    status = finetune_prepare_texts(&f);
  const double steps = (double)tb_config_integer(config, "steps");
  if (!status && f.scalar) {
    *out = (tb_estimate){
      .steps = steps, .flop = 40 * steps, .seconds = 0.02 + 1e-5 * steps, .memory = 1e6, .parameters = 2
    };
  } else if (!status) {
    const double p = (double)(f.parameters[UNMOVED] + f.parameters[MOVED]), before = (double)f.parameters[UNMOVED];
    const double width = 4.0 * (double)f.map.from.width * (double)f.map.from.layers;
    const double source = (double)(f.text[SOURCE].rows * f.text[SOURCE].places);
    const double target = (double)(f.text[TARGET].rows * f.text[TARGET].places);
    const double passes = f.method == FINETUNE_NGD ? 3 + 4.0 * (double)tb_config_integer(config, "cg_products") : 3;
    const double products = (double)tb_config_integer(config, "probes") * (f.map.kind == TB_SYMMETRY_RESCALE ? 2.5 : 1);
    const double pretraining = (double)tb_config_integer(config, "pretrain_steps") * 3 * source *
                               (2 * before + width * (double)f.text[SOURCE].places);
    const double tuning = steps * passes * target * (2 * p + 2 * width * (double)f.text[TARGET].places);
    const double curvature = (products + 40) * 5 * source * (2 * p + 2 * width * (double)f.text[SOURCE].places);
    *out = (tb_estimate){ .steps = steps + (double)tb_config_integer(config, "pretrain_steps"),
                          .flop = pretraining + tuning + curvature,
                          .seconds = (pretraining + tuning + curvature) / 2e10 + 0.1,
                          .memory = 1e7 + 60 * p + 4 * source * (double)f.map.to.feedforward * 20,
                          .parameters = (double)f.parameters[MOVED] };
  }
  finetune_close(&f);
  return status;
}

static tb_status run(tb_run *run) {
  finetune f;
  tb_status status = finetune_open(&f, tb_run_context(run), tb_run_config(run));
  if (!status && !f.scalar)
    status = finetune_prepare_texts(&f);
  if (!status)
    status = finetune_run(&f, run);
  finetune_close(&f);
  return status;
}

const tb_study tb_study_finetune = {
  .name = "finetune",
  .laboratory = "language",
  .summary = "two networks that compute the same function, fine-tuned side by side: gradients, curvature, curves",
  .paper = "Understanding LLMs Requires More Than Statistical Generalization (Reizinger, Ujvary, Meszaros, Kerekes, "
           "Brendel, Huszar 2024)",
  .details =
      "A transformer is pre-trained on one language; a symmetry of its parameters makes a twin of it that computes "
      "the\n"
      "same function.  Test loss cannot tell them apart, nor any behaviour.  Yet a rescaled twin's gradients are "
      "alpha\n"
      "times as large in one layer and alpha times as small in the other, its Hessian is sharper, and gradient "
      "descent\n"
      "takes another number of steps to learn the next language, while a method that does not see the scale takes the\n"
      "same.  Both twins are fine-tuned in every run; metrics that begin with `unmoved.` are of the one left alone.",
  .tables = tables,
  .n_tables = COUNT(tables),
  .metrics = metrics,
  .n_metrics = COUNT(metrics),
  .claims = finetune_claims,
  .n_claims = FINETUNE_CLAIMS,
  .check = check,
  .estimate = estimate,
  .run = run,
};

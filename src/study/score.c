/* Study `score`: noise turns data into a Gaussian, and a score turns it back.
 *
 * Data: a target, a shape in the plane or the user's CSV.  Noise: OU (variance preserving), its sub- and exploding
 * variants, or Brownian motion pinned at 0.  Score: exact, or a network trained by denoising score matching.  Samplers
 * run the process backwards; samples, likelihoods and paths are compared with what is known exactly.
 * (Vargas, Reu, Kerekes & Bronstein 2023; Song et al. 2021.) */
#include "study/score.h"

#include <math.h>
#include <string.h>

#include "study/diffusion_abstract.h"
#include "study/score_parts.h"

#define ANY      1, 0
#define COUNT(a) (sizeof(a) / sizeof *(a))

static const tb_option options[] = {
  { "seed", TB_INTEGER, "0", NULL, 0, 4294967295.0, false, "key of every random number of the run", NULL, NULL },
  { "dtype", TB_CHOICE, "float32", "float32|float64", ANY, false,
    "number type of the network; exact scores and all arithmetic of samplers are float64", NULL, NULL },
  { "at", TB_REALS, "", NULL, ANY, false,
    "training steps at which to record every metric, 0 and the end allowed; unset: 0, a tenth and the end", NULL,
    NULL },
  { "steps", TB_INTEGER, "3000", NULL, 0, 1e9, false, "training steps (network=trained)", NULL, NULL },
  { "data", TB_FILE, "", TB_SHAPE_NAMES "|FILE.csv", ANY, false,
    "what to learn: a shape in the plane, or a CSV with a column for every coordinate; unset: target=", NULL, NULL },
  { "test", TB_FILE, "", NULL, ANY, false,
    "CSV to compare with and to take nll at; unset: fresh draws, or the data where they are a file", NULL, NULL },
  { "samples", TB_FILE, "", NULL, ANY, false, "CSV of samples that are compared only: nothing is trained or drawn",
    NULL, NULL },
  { "points", TB_INTEGER, "10000", NULL, 2, 1e8, false, "training points drawn of target= or a shape", NULL, NULL },
};

static const tb_option process_options[] = {
  { "process", TB_CHOICE, "vp", "vp|subvp|ve|pinned", ANY, false,
    "how noise comes in: Ornstein-Uhlenbeck with a schedule (vp), its sub-variance and exploding variants, or Brownian "
    "motion pinned at 0",
    "dx = f(t) x dt + g(t) dB", "Song et al. 2021; Vargas, Reu, Kerekes and Bronstein 2023" },
  { "schedule", TB_CHOICE, "score_sde", "score_sde|paper", ANY, false,
    "of vp: score_sde has dx = −½βx dt + √β dB, paper dx = −βx dt + √(2β) dB", NULL, NULL },
  { "beta_min", TB_REAL, "0.1", NULL, 0, 1e6, true, "β at time 0 (pinned: the clock's speed)", "β linear in t", NULL },
  { "beta_max", TB_REAL, "20", NULL, 0, 1e6, true, "β at time T", NULL, NULL },
  { "sigma_min", TB_REAL, "0.01", NULL, 0, 1e6, true, "ς at time 0 (ve)", "σ² = ς(t)² − ς(0)², ς geometric", NULL },
  { "sigma_max", TB_REAL, "50", NULL, 0, 1e6, true, "ς at time T (ve)", NULL, NULL },
  { "time", TB_REAL, "1", NULL, 0, 1e6, true, "T, the end of the noising", NULL, NULL },
};

static const tb_option network_options[] = {
  { "network", TB_CHOICE, "trained", "trained|exact", ANY, false,
    "exact: the score of the noised target; with data= that of the data set itself, whose samples are its points", NULL,
    NULL },
  { "width", TB_INTEGER, "64", NULL, 1, 1e6, false, "hidden units of a layer", NULL, NULL },
  { "depth", TB_INTEGER, "4", NULL, 2, 64, false, "weight layers", NULL, NULL },
  { "activation", TB_CHOICE, "gelu", "tanh|softplus|relu|gelu", ANY, false, "nonlinearity", NULL, NULL },
  { "parametrisation", TB_CHOICE, "preconditioned", "preconditioned|noise", ANY, false,
    "noise: the network sees x and t and says the noise; preconditioned: it sees what all processes have in common, "
    "and "
    "adds to what a Gaussian of the data's mean and deviation would predict",
    "ε̂ = (σ/A) z + (αs/A) F, A² = α²s² + σ²", "Karras et al. 2022" },
  { "batch", TB_INTEGER, "256", NULL, 1, 1e7, false, "rows of a training step", NULL, NULL },
  { "lr", TB_REAL, "5e-3", NULL, 0, INFINITY, true, "learning rate (Adam)", NULL, NULL },
  { "lr_schedule", TB_CHOICE, "cosine", "constant|cosine", ANY, false, "how lr= goes: cosine falls to 0 at the end",
    NULL, NULL },
  { "ema", TB_REAL, "0.999", NULL, 0, 0.9999999, false,
    "decay of the running mean of weights that is sampled from; 0: the weights themselves", "min(ema, (1+k)/(10+k))",
    NULL },
  { "clip", TB_REAL, "1", NULL, 0, INFINITY, false, "gradients longer than this are shortened; 0: never", NULL, NULL },
};

static const tb_option sampler_options[] = {
  { "sampler", TB_CHOICE, "heun", "em|ancestral|exponential|ddim|heun|dpmpp2m|pc|rk45", ANY, false,
    "how the process is run backwards: em, ancestral, exponential, pc draw noise; the others follow the probability "
    "flow",
    NULL, NULL },
  { "sampler_steps", TB_INTEGER, "50", NULL, 1, 1e7, false, "steps from noise to data (not rk45)", NULL, NULL },
  { "sampler_grid", TB_CHOICE, "log_ratio", "uniform|quadratic|log_ratio|karras", ANY, false,
    "where steps lie: equal in t, √t, λ = log(α/σ), or (σ/α)^(1/7)", NULL, NULL },
  { "t_min", TB_REAL, "1e-3", NULL, 0, 1, true, "sampling ends at t_min·T (and starts as far from the end of pinned)",
    NULL, NULL },
  { "draws", TB_INTEGER, "1000", NULL, 2, 1e7, false, "samples", NULL, NULL },
  { "start", TB_CHOICE, "", "noise|marginal", ANY, false,
    "what sampling starts from: N(0, sd²I), or the law of the noised data; unset: marginal where network=exact, else "
    "noise",
    NULL, NULL },
  { "snr", TB_REAL, "0.16", NULL, 0, 10, true, "size of pc's corrector steps", NULL, NULL },
  { "tolerance", TB_REAL, "", NULL, 0, 1, true,
    "of rk45 and of the likelihood, relative and absolute; unset: 1e-9 in float64, 1e-5 in float32", NULL, NULL },
  { "likelihood", TB_CHOICE, "none", "none|exact|hutchinson", ANY, false,
    "nll of the test points by the probability flow: with exact divergences, or a random sign vector a point", NULL,
    "Song et al. 2021" },
};

static const tb_option_table score_options = { "score", options, COUNT(options) };
static const tb_option_table score_process = { "noising process", process_options, COUNT(process_options) };
static const tb_option_table score_network = { "score network", network_options, COUNT(network_options) };
static const tb_option_table score_sampler = { "reverse sampler", sampler_options, COUNT(sampler_options) };
static const tb_option_table *const tables[] = { &tb_target_options, &score_options, &score_process, &score_network,
                                                 &score_sampler };

/* ---- what goes together ---- */

static size_t index_of(const tb_config *config, const char *option, size_t count, const char *const *words) {
  for (size_t i = 0; i < count; i++)
    if (tb_config_is(config, option, words[i]))
      return i;
  return 0;
}

static tb_status open_process(score *s) {
  static const char *const kinds[] = { "vp", "subvp", "ve", "pinned" };
  const tb_config *c = s->config;
  const tb_process_kind kind = (tb_process_kind)index_of(c, "process", COUNT(kinds), kinds);
  const bool ve = kind == TB_PROCESS_VE, paper = tb_config_is(c, "schedule", "paper");
  s->process = (tb_process){ .kind = kind,
                             .rate = paper ? 1 : 0.5,
                             .least = tb_config_real(c, ve ? "sigma_min" : "beta_min"),
                             .most = tb_config_real(c, ve ? "sigma_max" : "beta_max"),
                             .end = tb_config_real(c, "time") };
  if (paper && kind != TB_PROCESS_VP)
    return tb_fail(s->context, TB_USAGE, "option schedule", "leave schedule= out", "schedule=paper is of process=vp");
  const bool ordered = ve ? s->process.least < s->process.most : s->process.least <= s->process.most;
  if (!ordered)
    return tb_fail(s->context, TB_USAGE, ve ? "option sigma_max" : "option beta_max", "give the larger one last",
                   "%s=%g is not above %s=%g", ve ? "sigma_max" : "beta_max", s->process.most,
                   ve ? "sigma_min" : "beta_min", s->process.least);
  static const double nearest = 1e-5; /* of the ends, in units of T: where training stops looking */
  const double margin = tb_config_real(c, "t_min");
  const bool tied = kind == TB_PROCESS_PINNED;
  s->last = margin * s->process.end;
  s->first = tied ? s->process.end - s->last : s->process.end;
  if (!(s->last < s->first))
    return tb_fail(s->context, TB_USAGE, "option t_min", "give t_min=0.001", "t_min=%g leaves nothing to sample",
                   margin);
  s->train_from = fmin(nearest, margin) * s->process.end;
  s->train_to = tied ? s->process.end - s->train_from : s->process.end;
  return TB_OK;
}

static void open_sampler(score *s) {
  static const char *const grids[] = { "uniform", "quadratic", "log_ratio", "karras" };
  const tb_config *c = s->config;
  s->sampler = tb_reverse_sampler_find(tb_config_word(c, "sampler"));
  s->grid = (tb_time_grid)index_of(c, "sampler_grid", COUNT(grids), grids);
  s->sampler_steps = s->sampler->adaptive ? 1 : (size_t)tb_config_integer(c, "sampler_steps");
  s->draws = (size_t)tb_config_integer(c, "draws");
  s->from_marginal = tb_config_is_set(c, "start") ? tb_config_is(c, "start", "marginal") : !s->learned;
  const double usual = s->learned && s->dtype == TB_FLOAT32 ? 1e-5 : 1e-9;
  s->options =
      (tb_reverse_options){ .seed = s->seed,
                            .snr = tb_config_real(c, "snr"),
                            .tolerance = tb_config_is_set(c, "tolerance") ? tb_config_real(c, "tolerance") : usual };
}

static tb_status open_network(score *s) {
  static const char *const words[] = { "tanh", "softplus", "relu", "gelu" };
  static const tb_unary activations[] = { TB_TANH, TB_SOFTPLUS, TB_RELU, TB_GELU };
  const tb_config *c = s->config;
  s->net = (tb_score_net){ .dims = s->d,
                           .width = (size_t)tb_config_integer(c, "width"),
                           .depth = (int)tb_config_integer(c, "depth"),
                           .activation = activations[index_of(c, "activation", COUNT(words), words)],
                           .preconditioned = tb_config_is(c, "parametrisation", "preconditioned"),
                           .mean = s->mean,
                           .sd = s->sd,
                           .end = s->process.end };
  s->batch = (size_t)tb_config_integer(c, "batch");
  s->steps = s->learned ? (size_t)tb_config_integer(c, "steps") : 0;
  if (!s->learned)
    return TB_OK;
  tb_status status = tb_score_net_check(s->context, &s->net);
  s->p = status ? 0 : tb_score_net_parameters(&s->net);
  return status;
}

static tb_status check_snapshots(score *s) {
  const double *at;
  const size_t count = tb_config_reals(s->config, "at", &at);
  for (size_t i = 0; i < count; i++)
    if (!(at[i] >= 0) || at[i] != floor(at[i]) || at[i] > (double)s->steps)
      return tb_fail(s->context, TB_USAGE, "option at", "snapshots are taken at whole steps between 0 and steps=",
                     "at=%.17g is no training step of this run, which has %zu", at[i], s->steps);
  return TB_OK;
}

tb_status score_open(score *s, tb_context *context, const tb_config *config) {
  *s = (score){ .context = context, .config = config, .arena = tb_arena_new(context) };
  if (!s->arena)
    return TB_NO_MEMORY;
  s->seed = (uint64_t)tb_config_integer(config, "seed");
  s->learned = tb_config_is(config, "network", "trained");
  s->compare = tb_config_is_set(config, "samples");
  s->dtype = tb_config_is(config, "dtype", "float64") ? TB_FLOAT64 : TB_FLOAT32;
  tb_status status = open_process(s);
  if (status)
    return status;
  open_sampler(s);
  if ((status = score_data(s)) || (status = open_network(s)) || (status = check_snapshots(s)))
    return status;
  if (s->from_marginal && !s->density && s->learned)
    return tb_fail(context, TB_USAGE, "option start", "leave start=noise", "start=marginal needs target=");
  return TB_OK;
}

void score_close(score *s) {
  tb_learned_free(s->network);
  if (s->exact != s->law)
    tb_noised_free(s->exact);
  tb_noised_free(s->law);
  tb_density_close(s->density);
  tb_arena_free(s->arena);
  *s = (score){ 0 };
}

/* ---- the record's functions ---- */

static tb_status check(tb_context *context, const tb_config *config) {
  score s;
  const tb_status status = score_open(&s, context, config);
  score_close(&s);
  return status;
}

/* Work is counted in what training does in the same time, so that a run's parts add up: an exponential as 700. */
static double work_a_row(const score *s) {
  const double d = (double)s->d;
  if (s->learned)
    return 4 * (double)s->p;
  if (s->density && s->density->spread > 0)
    return 250 * 800; /* nodes of the quadrature */
  return (double)(s->law ? 10 : s->n_data) * (30 * d + 700);
}

void score_work(const score *s, double *training, double *look) {
  const double d = (double)s->d, rows = (double)s->draws, tests = (double)s->n_test;
  const double evaluations = s->sampler->adaptive ? 200 : (double)s->sampler_steps * s->sampler->evaluations;
  const double traces = tb_config_is(s->config, "likelihood", "none")    ? 0
                        : tb_config_is(s->config, "likelihood", "exact") ? 2 + d
                                                                         : 4;
  const double pooled = (s->compare ? (double)s->n_samples : rows) + tests;
  *training = s->compare ? 0 : (6.0 * (double)s->p + 400 * d + 4000) * (double)s->batch * (double)s->steps;
  *look = 2 * pooled * pooled * (100 * d + 1000) + 2 * 512 * pooled * 5000 + 4e7 * pooled;
  if (!s->compare)
    *look += work_a_row(s) * (evaluations * rows + 500 * traces * tests + 8192);
}

static tb_status estimate(tb_context *context, const tb_config *config, tb_estimate *out) {
  static const double speed = 4e10;
  score s;
  const tb_status status = score_open(&s, context, config);
  if (!status) {
    const double *at;
    const size_t given = tb_config_reals(config, "at", &at);
    double training, look;
    score_work(&s, &training, &look);
    const double flop = training + look * (double)(s.compare || !s.learned ? 1 : given ? given + 1 : 3);
    *out = (tb_estimate){ .steps = (double)s.steps,
                          .flop = flop,
                          .seconds = flop / speed,
                          .memory = 8 * (double)s.d * (double)(s.n_data + s.n_test + 6 * s.draws) +
                                    24 * (double)s.batch * (double)s.net.width * s.net.depth + 60 * (double)s.p,
                          .parameters = (double)s.p };
  }
  score_close(&s);
  return status;
}

static tb_status run(tb_run *run) {
  score s;
  tb_status status = score_open(&s, tb_run_context(run), tb_run_config(run));
  if (!status)
    status = score_fill(&s);
  if (!status)
    status = score_train(&s, run);
  score_close(&s);
  return status;
}

const tb_study tb_study_score = {
  .name = "score",
  .laboratory = "diffusion",
  .summary = "denoising diffusion: noise to data by an exact or a trained score",
  .paper = PAPER_DIFFUSION,
  .details =
      "A linear diffusion turns data into noise: x_t = alpha x_0 + sigma e.  Its time reversal needs the score of the\n"
      "noised data, which for Gaussians, mixtures, funnels and the cosine family is known exactly, and otherwise is\n"
      "learned by predicting the noise e (denoising score matching).  Eight samplers run the process backwards; their\n"
      "errors on Gaussian data are exact numbers (flow_error of the flows, law_error of those that draw noise).\n"
      "Samples are compared with test points by mmd, sliced_w2 and c2st; scores by path_kl, the divergence between "
      "the\n"
      "path laws of the exact and the learned reversal; nll is the likelihood under the probability flow.",
  .tables = tables,
  .n_tables = COUNT(tables),
  .metrics = score_metrics,
  .n_metrics = SCORE_METRICS,
  .claims = score_claims,
  .n_claims = SCORE_CLAIMS,
  .check = check,
  .estimate = estimate,
  .run = run,
};

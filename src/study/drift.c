/* Study `drift`: how large must a network be to follow the drift of a denoising diffusion?
 *
 * Data: a target with a closed form, so that drift and divergences are exact.  Network: none, the construction of the
 * theorem from N frozen points, or a perceptron trained by score matching or by the control objective.  Measures: path
 * divergences in both directions, each twice; the marginal's; nodes and parameters; the theorem's N.  ("Expressiveness
 * Remarks for Denoising Diffusion Models and Samplers", Vargas, Reu, Kerekes and Bronstein 2023.) */
#include "study/drift.h"
#include "study/diffusion_abstract.h"

#include <math.h>
#include <string.h>

#define ANY      1, 0
#define COUNT(a) (sizeof(a) / sizeof *(a))

static const tb_option options[] = {
  { "seed", TB_INTEGER, "0", NULL, 0, 4294967295.0, false,
    "key of every random number of the run: frozen points, weights, batches, draws", NULL, NULL },
  { "process", TB_CHOICE, "ou", "ou|brownian", ANY, false,
    "ou: Ornstein-Uhlenbeck noising (β = 1) for a unit of time, reversed from p_1; brownian: the Föllmer process from "
    "0",
    NULL, "section 3; Tzen and Raginsky 2019" },
  { "network", TB_CHOICE, "constructed", "zero|constructed|trained", ANY, false,
    "zero: no drift; constructed: the theorem's network of N frozen points; trained: a multi-layer perceptron of (x, "
    "t)",
    NULL, "Corollary E.2" },
  { "features", TB_INTEGER, "256", NULL, 1, 1e7, false, "N, frozen points of network=constructed", "φ̂ = N⁻¹ Σ f(·)",
    NULL },
  { "accuracy", TB_REAL, "0", NULL, 0, 10, false,
    "error allowed to the circuit's reciprocal and products as sums of ReLUs; 0: they are gates",
    "steps 4 and 5 of the construction", NULL },
  { "width", TB_INTEGER, "64", NULL, 1, 65536, false, "hidden units of a layer of network=trained", NULL, NULL },
  { "depth", TB_INTEGER, "3", NULL, 2, 32, false, "weight layers of network=trained", NULL, NULL },
  { "objective", TB_CHOICE, "score", "score|control", ANY, false,
    "score: denoising score matching on draws of the target; control: KL(Q‖P) on the sampler's own paths, from the "
    "density alone",
    NULL, NULL },
  { "iterations", TB_INTEGER, "2000", NULL, 0, 1e9, false, "training steps (Adam, cosine schedule)", NULL, NULL },
  { "batch", TB_INTEGER, "256", NULL, 1, 1e6, false, "rows of a training step", NULL, NULL },
  { "lr", TB_REAL, "0.005", NULL, 0, INFINITY, true, "first learning rate", NULL, NULL },
  { "dtype", TB_CHOICE, "float32", "float32|float64", ANY, false, "number type of network=trained", NULL, NULL },
  { "sigma", TB_REAL, "1", NULL, 0, INFINITY, true, "standard deviation of the reference N(0, σ²I)", NULL, NULL },
  { "share", TB_REAL, "0", NULL, 0, 0.999, false, "of the reference in the target, which bounds f below",
    "(1 − share) π + share N(0, σ²I)", NULL },
  { "epsilon", TB_REAL, "0.1", NULL, 0, INFINITY, true, "KL for which `bound` is the theorem's N", NULL, NULL },
  { "draws", TB_INTEGER, "2000", NULL, 100, 1e7, false, "points at each time, and paths, of the estimates", NULL,
    NULL },
  { "path_steps", TB_INTEGER, "32", NULL, 2, 1e5, false, "steps of a path (even)", NULL, NULL },
  { "at", TB_REALS, "0,0.5,1,1.5,2,2.5,3", NULL, ANY, false,
    "noising times at which the mismatch to the reference is recorded (process=ou)", NULL, NULL },
};

static const tb_option_table own = { "expressiveness", options, COUNT(options) };
static const tb_option_table *const tables[] = { &tb_target_options, &own };

/* ---- what goes together ---- */

tb_status drift_open(drift_study *s, tb_context *context, const tb_config *config) {
  *s = (drift_study){ .context = context,
                      .config = config,
                      .arena = tb_arena_new(context),
                      .process = tb_config_is(config, "process", "ou") ? TB_DIFFUSION_OU : TB_DIFFUSION_BROWNIAN,
                      .network = tb_config_is(config, "network", "zero")          ? DRIFT_ZERO
                                 : tb_config_is(config, "network", "constructed") ? DRIFT_CONSTRUCTED
                                                                                  : DRIFT_TRAINED,
                      .seed = (uint64_t)tb_config_integer(config, "seed"),
                      .draws = (size_t)tb_config_integer(config, "draws"),
                      .path_steps = (size_t)tb_config_integer(config, "path_steps") };
  const double *at;
  const size_t times = tb_config_reals(config, "at", &at);
  if (!s->arena)
    return TB_NO_MEMORY;
  if (s->path_steps % 2)
    return tb_fail(context, TB_USAGE, "option path_steps", "give an even number",
                   "path_steps=%zu cannot be halved, as the second estimates need", s->path_steps);
  for (size_t i = 0; i < times; i++)
    if (!(at[i] >= 0) || isinf(at[i]) || (i && at[i] <= at[i - 1]))
      return tb_fail(context, TB_USAGE, "option at", "give times from 0 on, ascending", "at= holds %g", at[i]);
  tb_status status = tb_density_open(context, config, &s->density);
  if (!status && s->density->dims > 64)
    status = tb_fail(context, TB_USAGE, "option target", "take d=64 or less", "a target of %zu dimensions",
                     s->density->dims);
  if (!status)
    status = tb_family_of(s->density, config, s->arena, tb_config_real(config, "sigma"),
                          tb_config_real(config, "share"), &s->family);
  return status;
}

void drift_close(drift_study *s) {
  tb_trained_free(s->trained);
  tb_density_close(s->density);
  tb_arena_free(s->arena);
  *s = (drift_study){ 0 };
}

static tb_trained_shape trained_shape(const drift_study *s) {
  const tb_config *c = s->config;
  return (tb_trained_shape){ .family = &s->family,
                             .process = s->process,
                             .objective =
                                 tb_config_is(c, "objective", "score") ? TB_OBJECTIVE_SCORE : TB_OBJECTIVE_CONTROL,
                             .dtype = tb_config_is(c, "dtype", "float32") ? TB_FLOAT32 : TB_FLOAT64,
                             .depth = (int)tb_config_integer(c, "depth"),
                             .width = (size_t)tb_config_integer(c, "width"),
                             .batch = (size_t)tb_config_integer(c, "batch"),
                             .iterations = (uint64_t)tb_config_integer(c, "iterations"),
                             .steps = s->path_steps,
                             .lr = tb_config_real(c, "lr"),
                             .seed = s->seed };
}

tb_status drift_start(drift_study *s) {
  const size_t d = s->family.dims, count = (size_t)tb_config_integer(s->config, "features");
  s->regularity = tb_regularity_of(&s->family);
  const double l = s->regularity.lipschitz, c = s->regularity.least, most = s->regularity.most;
  if (s->network == DRIFT_TRAINED) {
    s->shape = trained_shape(s);
    return tb_trained_new(s->context, &s->shape, &s->trained);
  }
  if (s->network == DRIFT_ZERO)
    return TB_OK;
  const double accuracy = tb_config_real(s->config, "accuracy");
  if (accuracy > 0 && !(c > 0 && isfinite(l)))
    return tb_fail(s->context, TB_USAGE, "option accuracy", "give share= to bound f below, or accuracy=0",
                   "the ReLU circuit needs f bounded below and Lipschitz; this target's f is not");
  double *points = tb_arena_allocate(s->arena, count * d, sizeof *points);
  double *coefficients = tb_arena_allocate(s->arena, s->family.count * (1 + 2 * d), sizeof *coefficients);
  if (!points || !coefficients)
    return TB_NO_MEMORY;
  tb_constructed_coefficients(&s->family, coefficients);
  tb_constructed_points(s->seed, count, d, points);
  s->constructed = (tb_constructed){ .family = &s->family,
                                     .coefficients = coefficients,
                                     .process = s->process,
                                     .count = count,
                                     .points = points,
                                     .clip = c > 0 && isfinite(l) ? 2 * l / c : INFINITY,
                                     .accuracy = accuracy,
                                     .lipschitz = l,
                                     .floor = c / 2,
                                     .ceiling = most + c / 2,
                                     .largest = fmax(l, 2 / c) };
  return TB_OK;
}

/* ---- the record's functions ---- */

static tb_status check(tb_context *context, const tb_config *config) {
  drift_study s;
  tb_status status = drift_open(&s, context, config);
  if (!status && s.network == DRIFT_CONSTRUCTED)
    status = drift_start(&s);
  if (!status && s.network == DRIFT_TRAINED) {
    const tb_trained_shape shape = trained_shape(&s);
    const tb_model_shape mlp = { .inputs = s.family.dims + 1,
                                 .depth = shape.depth,
                                 .width = shape.width,
                                 .activation = TB_TANH,
                                 .outputs = s.family.dims };
    status = tb_model_check(context, tb_model_find("mlp"), &mlp);
  }
  drift_close(&s);
  return status;
}

/* Seconds as measured on one core: a closed form costs about 40 ns a term and dimension. */
static tb_status estimate(tb_context *context, const tb_config *config, tb_estimate *out) {
  drift_study s;
  tb_status status = drift_open(&s, context, config);
  if (!status) {
    const tb_trained_shape shape = trained_shape(&s);
    const double d = (double)s.family.dims, terms = (double)s.family.count, k = (double)s.path_steps;
    const double points = (double)s.draws * (32 + 3.5 * k), form = 8e-8 * d * terms;
    const double n = (double)tb_config_integer(config, "features"), p = (double)tb_trained_parameters(&shape);
    const bool cosines = s.family.frequency && tb_config_is_default(config, "share");
    double seconds = points * 2 * form + 0.2, flop = 0;
    if (s.network == DRIFT_CONSTRUCTED)
      seconds += n * (cosines ? (32 + 3.5 * k) * terms * 5e-8 + 1e-5 : points * terms * (1e-8 + 2e-9 * d));
    if (s.network == DRIFT_TRAINED) {
      const double rows = (double)shape.batch * (double)shape.iterations;
      flop = 6 * p * rows * (shape.objective == TB_OBJECTIVE_CONTROL ? k : 1) + 2 * p * points;
      seconds += flop / 1.2e10 + rows * 5e-7;
    }
    *out = (tb_estimate){ .steps = s.network == DRIFT_TRAINED ? (double)shape.iterations : NAN,
                          .flop = flop,
                          .seconds = seconds,
                          .memory = 8 * (double)s.draws * d * 8 + 24 * p + 4000 * n,
                          .parameters = s.network == DRIFT_TRAINED ? p : NAN };
  }
  drift_close(&s);
  return status;
}

static tb_status save(drift_study *s, tb_run *run) {
  void *block = tb_allocate(s->context, tb_trained_size(s->trained), 1);
  if (!block)
    return TB_NO_MEMORY;
  tb_trained_save(s->trained, block);
  const tb_status status = tb_run_checkpoint_save(run, block, tb_trained_size(s->trained));
  tb_release(s->context, block);
  return status;
}

/* Trains to the end; *loss is the mean of the last tenth of the steps (of this process' share of them). */
static tb_status train(drift_study *s, tb_run *run, double *loss) {
  const uint64_t total = s->shape.iterations, tail = total - total / 10;
  const void *block;
  size_t size, counted = 0;
  tb_status status = tb_run_checkpoint_load(run, &block, &size);
  if (!status && block && size != tb_trained_size(s->trained))
    status = tb_fail(s->context, TB_FAILED, "checkpoint", "start the run afresh", "the checkpoint is not of this run");
  if (!status && block)
    tb_trained_restore(s->trained, block);
  for (*loss = 0; !status && tb_trained_steps(s->trained) < total;) {
    const uint64_t step = tb_trained_steps(s->trained);
    double now;
    if (step % 16 == 0) {
      tb_run_progress(run, 0.9 * (double)step / (double)total, "training");
      if (step < tail && tb_run_should_stop(run))
        return (status = save(s, run)) ? status : tb_run_stop_status(run);
      if (step < tail && tb_run_checkpoint_due(run) && (status = save(s, run)))
        return status;
    }
    status = tb_trained_step(s->trained, &now);
    if (!status && !isfinite(now))
      status = tb_fail(s->context, TB_FAILED, "option lr", "lower lr=", "training diverged at step %llu",
                       (unsigned long long)step);
    if (step >= tail) {
      *loss += now;
      counted++;
    }
  }
  *loss = counted ? *loss / (double)counted : NAN;
  return status;
}

static tb_status run(tb_run *run) {
  drift_study s;
  double loss;
  tb_status status = drift_open(&s, tb_run_context(run), tb_run_config(run));
  if (!status)
    status = drift_start(&s);
  if (!status && s.network == DRIFT_TRAINED) {
    status = train(&s, run, &loss);
    if (!status)
      status = tb_metrics_real(tb_run_metrics(run), "loss", loss);
  }
  if (!status)
    status = drift_measure(&s, run);
  drift_close(&s);
  return status;
}

const tb_study tb_study_drift = {
  .name = "drift",
  .laboratory = "diffusion",
  .summary = "how large must a network be to follow the drift: construction, trained networks and the bound",
  .paper = PAPER_DIFFUSION,
  .details =
      "The drift of a denoising diffusion is the gradient of ln U_t f, f = dπ/dN.  A theorem says that networks of\n"
      "polynomial size follow it well enough to sample to KL ≤ ε, with constants that are astronomically large; the\n"
      "network that its proof constructs, an average of f over N frozen points, is excellent: KL ≈ 0.06/N.\n"
      "`bound` is the theorem's N with its unspecified absolute constant taken as C = 1.",
  .tables = tables,
  .n_tables = COUNT(tables),
  .metrics = drift_metrics,
  .n_metrics = DRIFT_METRICS,
  .claims = drift_claims,
  .n_claims = DRIFT_CLAIMS,
  .check = check,
  .estimate = estimate,
  .run = run,
};

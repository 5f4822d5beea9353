/* Study `sample`: draws and normaliser of an unnormalised density.
 *
 * Data: a target density.  Method: a sampler — diffusions that are trained or not, particles, chains.  Measures: ln Z
 * with its error and bounds, moments of the natural coordinates, and whether any of it can be trusted.
 * ("Expressiveness Remarks for Denoising Diffusion Models and Samplers", Vargas, Reu, Kerekes and Bronstein 2023.) */
#include "study/sample.h"

#include <math.h>
#include <string.h>

#include "diffusion/control.h"
#include "study/sample_claims.h"

#define ANY      1, 0
#define COUNT(a) (sizeof(a) / sizeof *(a))

static const double most_gradient_error = 1e-4;

static const tb_option options[] = {
  { "seed", TB_INTEGER, "0", NULL, 0, 4294967295.0, false, "key of every random number of the run", NULL, NULL },
  { "method", TB_CHOICE, "smc", "dds|pis|dis|cmcd|smc|hmc|nuts|sfs", ANY, false,
    "the sampler: diffusions (dds, pis, dis, cmcd trained; sfs not), particles (smc), chains (hmc, nuts)", NULL, NULL },
  { "draws", TB_INTEGER, "4000", NULL, 1, 1e8, false,
    "draws to return, of all chains or islands together (rounded up to as many for each)", NULL, NULL },
  { "dtype", TB_CHOICE, "", "float32|float64", ANY, false,
    "number type of the sampler's computations; unset: float32 where a network is trained, else float64", NULL, NULL },
};

static const tb_option_table own = { "sampling", options, COUNT(options) };
static const tb_option_table *const tables[] = { &own, &tb_target_options, &tb_control_options, &tb_mcmc_options,
                                                 &tb_smc_options };

static tb_status find_sampler(tb_context *context, const tb_config *config, const tb_sampler **sampler) {
  const char *name = tb_config_word(config, "method");
  *sampler = tb_sampler_find(name);
  if (*sampler)
    return TB_OK;
  tb_text known = tb_text_new(context);
  for (const tb_sampler *const *s = tb_samplers(); *s; s++)
    tb_text_format(&known, "%s%s", known.length ? ", " : "available: ", (*s)->name);
  tb_status status = tb_text_finish(&known);
  if (!status)
    status =
        tb_fail(context, TB_USAGE, "option method", known.data, "method=%s is not available in this version", name);
  tb_text_free(&known);
  return status;
}

/* ---- may it be sampled? ---- */

/* At 0 and a few normal points, where the density is positive. */
static tb_status check_gradient(tb_context *context, tb_density *density, uint64_t seed) {
  enum { POINTS = 4 };
  const size_t d = density->dims;
  double *x = tb_allocate(context, POINTS * d, sizeof *x), value[POINTS], error;
  tb_status status = x ? TB_OK : TB_NO_MEMORY;
  if (!status) {
    tb_random_normal((tb_key){ .seed = seed, .use = tb_use("points of the gradient's check") }, 0, (POINTS - 1) * d,
                     x + d);
    status = tb_density_values(density, POINTS, x, value, NULL);
  }
  for (size_t i = 0; i < POINTS && !status; i++) {
    if (isinf(value[i]))
      continue;
    status = tb_density_gradient_error(density, 1, x + i * d, &error);
    if (!status && !(error <= most_gradient_error))
      status = tb_fail(context, TB_FAILED, "gradient", "`tiebreak density … --check` tells more",
                       "the gradient of %s is wrong: it differs from central differences by %.3g (at most %g)",
                       density->target->name, error, most_gradient_error);
  }
  tb_release(context, x);
  return status;
}

static tb_status examine(tb_context *context, tb_density *density, uint64_t seed) {
  tb_status status = tb_density_proper(density, seed);
  if (!status && density->target->evaluate) /* a graph's gradient is derived, a guest's is claimed */
    status = check_gradient(context, density, seed);
  density->evaluations = 0;
  return status;
}

/* ---- the record's functions ---- */

static tb_status check(tb_context *context, const tb_config *config) {
  const tb_sampler *sampler;
  tb_density *density = NULL;
  tb_status status = find_sampler(context, config, &sampler);
  if (!status)
    status = tb_density_open(context, config, &density);
  if (!status && sampler->check)
    status = sampler->check(context, config, density);
  tb_density_close(density);
  return status;
}

/* A gradient takes as long as a batch of them takes now; the rest is arithmetic at a rate that loops reach. */
static tb_status time_gradient(tb_context *context, tb_density *density, bool alone, double *seconds) {
  enum { ROWS = 256, TIMES = 3 };
  const size_t d = density->dims, rows = alone ? 1 : ROWS;
  double *x = tb_allocate(context, 2 * ROWS * d + ROWS, sizeof *x), begun;
  tb_status status = x ? tb_density_values(density, rows, x, x + 2 * ROWS * d, x + ROWS * d) : TB_NO_MEMORY;
  *seconds = INFINITY;
  for (int i = 0; i < TIMES && !status; i++) {
    begun = tb_clock_seconds();
    status = tb_density_values(density, rows, x, x + 2 * ROWS * d, x + ROWS * d);
    *seconds = fmin(*seconds, (tb_clock_seconds() - begun) / (double)rows);
  }
  tb_release(context, x);
  return status;
}

static tb_status estimate(tb_context *context, const tb_config *config, tb_estimate *out) {
  const tb_sampler *sampler;
  tb_density *density = NULL;
  double gradients = NAN, flop = NAN, each = NAN;
  tb_status status = find_sampler(context, config, &sampler);
  if (!status)
    status = tb_density_open(context, config, &density);
  if (!status && sampler->cost) {
    sampler->cost(config, density, &gradients, &flop);
    status = time_gradient(context, density, sampler->chains, &each);
  }
  if (!status) {
    const double draws = (double)tb_config_integer(config, "draws"), d = (double)density->dims;
    *out = (tb_estimate){ .flop = flop,
                          .seconds = gradients * each + flop / (sampler->float32 ? 3e10 : 4e9), /* networks; loops */
                          .memory = 8 * draws * (3 * d + 12) + 1e6,
                          .steps = gradients,
                          .parameters = 0 };
  }
  tb_density_close(density);
  return status;
}

static void progress(void *user, double fraction, const char *what) {
  tb_run_progress(user, fraction, what);
}
static bool should_stop(void *user) {
  return tb_run_should_stop(user);
}
static tb_status stop_status(void *user) {
  return tb_run_stop_status(user);
}
static bool checkpoint_due(void *user) {
  return tb_run_checkpoint_due(user);
}
static tb_status checkpoint_save(void *user, const void *data, size_t size) {
  return tb_run_checkpoint_save(user, data, size);
}
static tb_status checkpoint_load(void *user, const void **data, size_t *size) {
  return tb_run_checkpoint_load(user, data, size);
}

static tb_status run(tb_run *run) {
  tb_context *context = tb_run_context(run);
  const tb_config *config = tb_run_config(run);
  const tb_sampler *sampler;
  tb_draws draws = tb_draws_new();
  tb_sampling s = { .context = context,
                    .arena = tb_arena_new(context),
                    .config = config,
                    .seed = (uint64_t)tb_config_integer(config, "seed"),
                    .draws = (size_t)tb_config_integer(config, "draws"),
                    .user = run,
                    .progress = progress,
                    .should_stop = should_stop,
                    .stop_status = stop_status,
                    .checkpoint_due = checkpoint_due,
                    .checkpoint_save = checkpoint_save,
                    .checkpoint_load = checkpoint_load };
  tb_status status = s.arena ? find_sampler(context, config, &sampler) : TB_NO_MEMORY;
  if (!status)
    status = tb_density_open(context, config, &s.density);
  if (!status)
    status = examine(context, s.density, s.seed);
  if (!status)
    status = sampler->run(&s, &draws);
  if (!status)
    status = sample_report(run, &s, sampler, &draws);
  tb_density_close(s.density);
  tb_arena_free(s.arena);
  return status;
}

const tb_study tb_study_sample = {
  .name = "sample",
  .laboratory = "diffusion",
  .summary = "draws and log normaliser of an unnormalised density: diffusions, particles and chains side by side",
  .paper = "Expressiveness Remarks for Denoising Diffusion Models and Samplers (Vargas, Reu, Kerekes, Bronstein 2023)",
  .details =
      "A target is a density known up to its normaliser Z; all its constants are kept, so that ln Z is comparable.\n"
      "Samplers work in unconstrained coordinates (the logarithm of a scale); means and draws are of the natural\n"
      "ones.  Every estimate comes with its error, and with warnings where the error itself cannot be trusted:\n"
      "divergences and R-hat of chains, the Pareto shape of importance weights, islands of particles that disagree.\n"
      "The run folder holds draws.npz; `tiebreak export RUN --format stan-csv` writes what Stan's tools read.",
  .tables = tables,
  .n_tables = COUNT(tables),
  .metrics = sample_metrics,
  .n_metrics = SAMPLE_METRICS,
  .claims = sample_claims,
  .n_claims = SAMPLE_CLAIMS,
  .check = check,
  .estimate = estimate,
  .run = run,
};

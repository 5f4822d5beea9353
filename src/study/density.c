/* Question `density`: ln γ(x) of a target with all its constants, and ∇ ln γ(x), in unconstrained coordinates. */
#include "study/density.h"

#include <math.h>
#include <stdio.h>

#include "diffusion/density.h"

#define ANY      1, 0
#define COUNT(a) (sizeof(a) / sizeof *(a))

static const double most_error = 1e-4;

static const tb_option options[] = {
  { "x", TB_REALS, "", NULL, ANY, false,
    "the point, in unconstrained coordinates (the logarithm of a scale); unset: 0; one number stands for all", NULL,
    NULL },
  { "check", TB_BOOLEAN, "false", NULL, ANY, false, "compare the gradient with central differences, as --check does",
    "|gradient − difference| / max(1, |gradient|) ≤ 1e-4", NULL },
};

static const tb_option_table own = { "density", options, COUNT(options) };
static const tb_option_table *const tables[] = { &tb_target_options, &own };

static const tb_metric metrics[] = {
  { "log_density", "nats", "ln γ(x), with all constants and the log-Jacobian of the coordinates' transform", NULL,
    NULL },
  { "gradient", "", "∇ ln γ(x)", NULL, NULL },
  { "gradient_error", "", "largest difference of the gradient to central differences, relative",
    "max |gradient − difference| / max(1, |gradient|)", NULL },
  { "names", "", "the natural coordinates", NULL, NULL },
  { "natural", "", "x in natural coordinates", NULL, NULL },
};

static tb_status measure(tb_context *context, tb_arena *arena, tb_density *density, const tb_config *config,
                         tb_metrics *m) {
  const double *given;
  const size_t d = density->dims, count = tb_config_reals(config, "x", &given);
  if (count > 1 && count != d)
    return tb_fail(context, TB_USAGE, "option x", "give one number a coordinate", "x= has %zu numbers, %s has %zu",
                   count, density->target->name, d);
  double value, *x = tb_arena_allocate(arena, d, sizeof *x), *gradient = tb_arena_allocate(arena, d, sizeof *x);
  double *natural = tb_arena_allocate(arena, density->naturals, sizeof *natural);
  if (!x || !gradient || !natural)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < d; i++) {
    x[i] = count == 0 ? 0 : given[count == 1 ? 0 : i];
    if (!isfinite(x[i]))
      return tb_fail(context, TB_USAGE, "option x", "give finite numbers", "x= holds %g", x[i]);
  }
  tb_status status = tb_density_values(density, 1, x, &value, gradient);
  if (!status)
    status = tb_density_natural(density, 1, x, natural);
  if (!status)
    status = tb_metrics_real(m, "log_density", value);
  if (!status)
    status = tb_metrics_vector(m, "gradient", d, gradient);
  if (!status && tb_config_boolean(config, "check")) {
    double error;
    status = tb_density_gradient_error(density, 1, x, &error);
    if (!status)
      status = tb_metrics_real(m, "gradient_error", error);
    if (!status && !(error <= most_error))
      status = tb_fail(context, TB_FAILED, "gradient", "check its formula and signs",
                       "the gradient of %s is wrong: it differs from central differences by %.3g (at most %g)",
                       density->target->name, error, most_error);
  }
  if (!status)
    status = tb_metrics_words(m, "names", density->naturals, density->names);
  if (!status)
    status = tb_metrics_vector(m, "natural", density->naturals, natural);
  return status;
}

/* The point says the dimension where neither d= nor the target does. */
static tb_status size_by_point(tb_context *context, const tb_config *config, tb_config **sized) {
  const tb_target *target = tb_target_find(tb_config_word(config, "target"));
  const double *x, *mean, *sd;
  char text[24];
  const size_t count = tb_config_reals(config, "x", &x);
  tb_status status = tb_config_copy(context, config, sized);
  const bool open = target && target->sized && !tb_config_is_set(config, "d") &&
                    tb_config_reals(config, "mean", &mean) <= 1 && tb_config_reals(config, "sd", &sd) <= 1;
  if (status || !open || count < 2)
    return status;
  snprintf(text, sizeof text, "%zu", count);
  return tb_config_set(*sized, "d", text, "the length of x=");
}

static tb_status run(tb_run *run) {
  tb_context *context = tb_run_context(run);
  tb_arena *arena = tb_arena_new(context);
  tb_density *density = NULL;
  tb_config *config = NULL;
  tb_status status = arena ? size_by_point(context, tb_run_config(run), &config) : TB_NO_MEMORY;
  if (!status)
    status = tb_density_open(context, config, &density);
  if (!status)
    status = measure(context, arena, density, config, tb_run_metrics(run));
  tb_config_free(config);
  tb_density_close(density);
  tb_arena_free(arena);
  return status;
}

const tb_study tb_question_density = {
  .name = "density",
  .laboratory = "diffusion",
  .summary = "log density and gradient of a target at a point",
  .paper = "",
  .details = "The log density carries all its constants, so that log normalisers are comparable.",
  .tables = tables,
  .n_tables = COUNT(tables),
  .metrics = metrics,
  .n_metrics = COUNT(metrics),
  .run = run,
};

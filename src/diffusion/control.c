/* Options and reports of controlled samplers. */
#include "diffusion/control.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tiebreak/statistics.h>

#define ANY 1, 0

static const tb_option options[] = {
  { "steps", TB_INTEGER, "64", NULL, 1, 1e6, false, "K, steps of the process", NULL, NULL },
  { "sigma", TB_REAL, "1", NULL, 0, INFINITY, true,
    "standard deviation of the reference: the law in which the process ends without control", "N(0, σ²I)", NULL },
  { "alpha", TB_REAL, "1", NULL, 0, INFINITY, true, "speed of the noise (dds)", "β_k = min(α √Δ_k, 1)",
    "Vargas et al. 2023" },
  { "time", TB_REAL, "", NULL, 0, 1e6, true, "T, length of the process; unset: 0.05 a step", "Σ Δ_k = T", NULL },
  { "grid", TB_WORD, "cos4", "cos4|uniform|linear|exp|N", ANY, false,
    "lengths of the steps: as cos⁴ of the place, all alike, falling linearly, falling by e⁵; a number: lgcp's cells "
    "along "
    "a side (40), the steps then cos4",
    NULL, NULL },
  { "loss", TB_CHOICE, "kl", "kl|lv", ANY, false,
    "kl: divergence of the sampler's paths, differentiated along them; lv: variance of ln w on paths held fixed",
    "kl: E[running + terminal];  lv: Var ln w", "Vargas et al. 2023; Richter and Berner 2024" },
  { "iterations", TB_INTEGER, "1000", NULL, 0, 1e9, false, "training steps (Adam, gradient entries cut to ±1)", NULL,
    NULL },
  { "batch", TB_INTEGER, "300", NULL, 1, 1e6, false, "paths of a training step", NULL, NULL },
  { "width", TB_INTEGER, "64", NULL, 2, 65536, false, "width of the drift network", NULL, NULL },
  { "layers", TB_INTEGER, "2", NULL, 1, 16, false, "hidden layers of the drift network", NULL, NULL },
  { "lr", TB_REAL, "0.005", NULL, 0, INFINITY, true, "first learning rate", NULL, NULL },
  { "lr_decay", TB_REAL, "0.95", NULL, 0, 1, true, "factor of the learning rate every lr_decay_every steps", NULL,
    NULL },
  { "lr_decay_every", TB_INTEGER, "50", NULL, 1, 1e9, false, "training steps between two decays", NULL, NULL },
  { "inner", TB_INTEGER, "64", NULL, 1, 1e6, false, "sfs: inner draws of a step and path", NULL, NULL },
  { "reference", TB_CHOICE, "brownian", "brownian|ou", ANY, false,
    "sfs: the process without drift, a Brownian motion from 0 or an Ornstein-Uhlenbeck process", NULL, NULL },
  { "affine", TB_REALS, "", NULL, ANY, false,
    "a,b: the control a·y + b instead of a network, without training; unset: the network", "f(y) = a y + b", NULL },
  { "published_quirks", TB_CHOICE, "none", "none|grid", ANY, false,
    "grid: cos4's last step has no length and uniform has one step less, as in the published code", NULL,
    "Vargas et al. 2023, code" },
};

const tb_option_table tb_control_options = { "controlled samplers", options, sizeof options / sizeof *options };

static const char *const grids[] = { "cos4", "uniform", "linear", "exp" };
enum { GRIDS = sizeof grids / sizeof *grids };

tb_status tb_control_check(tb_context *context, const tb_config *config) {
  const char *word = tb_config_word(config, "grid");
  char *end;
  for (size_t i = 0; i < GRIDS; i++)
    if (strcmp(word, grids[i]) == 0)
      return TB_OK;
  const long cells = strtol(word, &end, 10);
  if (tb_config_is(config, "target", "lgcp") && *word && !*end && cells >= 1 && cells <= 100)
    return TB_OK;
  return tb_fail(context, TB_USAGE, "option grid", "give cos4, uniform, linear or exp (for lgcp also 1 to 100 cells)",
                 "there is no grid '%.60s'", word);
}

tb_status tb_control_chain(tb_context *context, tb_arena *arena, const tb_config *config, tb_chain_kind kind,
                           tb_chain *chain) {
  const size_t steps = (size_t)tb_config_integer(config, "steps");
  const double horizon = tb_config_is_set(config, "time") ? tb_config_real(config, "time") : 0.05 * (double)steps;
  tb_chain_grid grid = TB_CHAIN_COS4;
  for (size_t i = 0; i < GRIDS; i++)
    if (tb_config_is(config, "grid", grids[i]))
      grid = (tb_chain_grid)i;
  return tb_chain_new(arena, kind, grid, tb_config_is(config, "published_quirks", "grid"), steps, horizon,
                      tb_config_real(config, "sigma"), tb_config_real(config, "alpha"), chain);
}

tb_status tb_control_report(const tb_sampling *s, const tb_chain *chain, tb_draws *draws) {
  const size_t n = draws->count;
  double largest = -INFINITY, sum = 0, squares = 0;
  for (size_t i = 0; i < n; i++)
    largest = fmax(largest, draws->log_weight[i]);
  for (size_t i = 0; i < n; i++) {
    const double w = largest > -INFINITY ? exp(draws->log_weight[i] - largest) : 0;
    sum += w;
    squares += w * w;
  }
  const double mean = sum / (double)n;
  draws->log_z = largest + log(mean);
  draws->log_z_se = sqrt(fmax(0, squares / (double)n - mean * mean) / (double)(n > 1 ? n - 1 : 1)) / mean;
  draws->ess = sum * sum / squares;
  draws->elbo = tb_mean_of(n, draws->log_weight);
  draws->elbo_se = tb_sd_of(n, draws->log_weight) / sqrt((double)n);
  tb_status status = tb_draws_metric(s, draws, "schedule.step", 1, chain->steps, chain->apart);
  return status ? status : tb_draws_metric(s, draws, "schedule.beta", 1, chain->steps, chain->beta);
}

void tb_control_upper(tb_draws *draws, size_t count, const double *log_weight) {
  draws->eubo = tb_mean_of(count, log_weight);
  draws->eubo_se = tb_sd_of(count, log_weight) / sqrt((double)count);
}

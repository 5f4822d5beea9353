/* Samplers: one interface for all ways to draw from an unnormalised density and to estimate ln Z.
 *
 * A sampler reads its own options from the configuration, moves in the density's unconstrained coordinates, says how
 * far it is, and stops with a checkpoint when asked.  It knows no study and no run folder. */
#ifndef TB_DIFFUSION_SAMPLER_H
#define TB_DIFFUSION_SAMPLER_H

#include "diffusion/density.h"

/* What is asked of a sampler, and whom it tells. */
typedef struct tb_sampling {
  tb_context *context;
  tb_arena *arena; /* results go here */
  const tb_config *config;
  tb_density *density; /* proper as far as one can tell, gradient checked */
  uint64_t seed;
  size_t draws; /* asked for */
  /* The watcher: `user` is passed back; see tb_run_* of tiebreak/study.h for what each means. */
  void *user;
  void (*progress)(void *user, double fraction, const char *what);
  bool (*should_stop)(void *user);
  tb_status (*stop_status)(void *user);
  bool (*checkpoint_due)(void *user);
  tb_status (*checkpoint_save)(void *user, const void *data, size_t size);
  tb_status (*checkpoint_load)(void *user, const void **data, size_t *size); /* *data NULL: a fresh run */
} tb_sampling;

enum { TB_DRAWS_WARNINGS = 16 };

/* What comes back.  Numbers that the sampler does not estimate stay NaN (tb_draws_new sets all to NaN). */
typedef struct tb_draws {
  size_t count;       /* draws */
  double *x;          /* [count,d], unconstrained; chain by chain for chains */
  double *log_weight; /* [count], ln w whose mean is Z where log_z is estimated from them; NULL: all alike */
  size_t chains;      /* chains of count / chains draws each; 0: independent draws */
  size_t groups;      /* independent groups of count / groups draws each, whose spread gives the standard errors, where
                       * draws of a group depend on each other (particles: no khat of their weights); 0: there are none */
  double log_z, log_z_se, elbo, elbo_se, eubo, eubo_se;
  double ess;    /* in draws; chains: left to the statistics */
  double khat;   /* of log_weight, left to the statistics where NaN */
  double n_grad; /* rows of gradients of ln γ (for training, too) */
  /* Sampler's own numbers for the metrics: names are constants or of the arena. */
  size_t n_metrics;
  struct tb_draws_metric {
    const char *name;
    size_t rows, cols; /* 1 × 1: a number; 1 × n: a vector */
    const double *values;
  } metrics[32];
  /* Words for `warnings` ("divergences"), and beside each a sentence for the reader. */
  size_t n_warnings;
  struct tb_draws_warning {
    const char *word, *sentence;
  } warnings[TB_DRAWS_WARNINGS];
  /* Columns of the sampler for Stan's CSV, [count] each: "stepsize__", … */
  size_t n_columns;
  struct tb_draws_column {
    const char *name;
    const double *values;
  } columns[8];
} tb_draws;

typedef struct tb_sampler {
  const char *name, *summary;
  const char *formula, *source;
  bool chains;                    /* draws follow one another: R-hat, bulk ESS; no ln Z of their own */
  bool float32;                   /* computes in float32 by default (dtype= unset) */
  const tb_option_table *options; /* its own; may be shared with others, NULL: none */
  /* Refuses what cannot be (TB_USAGE); the density is open.  NULL: nothing to refuse. */
  tb_status (*check)(tb_context *, const tb_config *, const tb_density *);
  /* Rows of gradients that a run will take, and floating-point work besides them. */
  void (*cost)(const tb_config *, const tb_density *, double *gradients, double *flop);
  tb_status (*run)(const tb_sampling *, tb_draws *);
} tb_sampler;

/* The table, ended by NULL. */
const tb_sampler *const *tb_samplers(void);
const tb_sampler *tb_sampler_find(const char *name);

/* By particles and chains; the others are in control.h. */
extern const tb_sampler tb_sampler_smc, tb_sampler_hmc, tb_sampler_nuts;
extern const tb_option_table tb_smc_options, tb_mcmc_options;

/* All NaN, counts 0. */
tb_draws tb_draws_new(void);
/* The sentence is printf's; both go to the arena.  A word twice keeps the first. */
tb_status tb_draws_warn(const tb_sampling *, tb_draws *, const char *word, const char *sentence, ...) TB_PRINTF(4, 5);
/* A number, vector (rows 1) or matrix for the metrics; values are copied. */
tb_status tb_draws_metric(const tb_sampling *, tb_draws *, const char *name, size_t rows, size_t cols,
                          const double *values);

#endif

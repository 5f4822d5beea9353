/* The table of all targets, and the options by which they are described. */
#include <math.h>
#include <string.h>

#include "diffusion/target_parts.h"

static const tb_target *const targets[] = {
  &tb_target_gaussian,
  &tb_target_mixture,
  &tb_target_cosine,
  &tb_target_funnel,
  &tb_target_funnel_easy,
  &tb_target_gmm9,
  &tb_target_gmm25,
  &tb_target_gmm10,
  &tb_target_gmm40,
  &tb_target_manywell,
  &tb_target_mw5,
  &tb_target_mw50,
  &tb_target_brownian,
  &tb_target_eight_schools,
  &tb_target_logistic,
  &tb_target_lgcp,
  &tb_target_plugin,
  &tb_target_stan,
  NULL,
};

const tb_target *const *tb_targets(void) {
  return targets;
}

const tb_target *tb_target_find(const char *name) {
  for (const tb_target *const *t = targets; *t; t++)
    if (strcmp((*t)->name, name) == 0)
      return *t;
  return NULL;
}

#define ANY 1, 0

static const tb_option options[] = {
  { "target", TB_CHOICE, "gaussian",
    "gaussian|mixture|cosine|funnel|funnel_easy|gmm9|gmm25|gmm10|gmm40|manywell|mw5|mw50|brownian|eight_schools|"
    "logistic|"
    "lgcp|plugin|stan",
    ANY, false, "the density", NULL, NULL },
  { "d", TB_INTEGER, "", NULL, 1, 1e6, false,
    "dimension of gaussian (unset: that of mean= or sd=, else 2), funnel (10), manywell (32), gmm10 (2) and gmm40 (2 "
    "or 50)",
    NULL, NULL },
  { "mean", TB_REALS, "", NULL, ANY, false,
    "gaussian: the mean, one number or d; unset: 0.  lgcp: mean of the log intensity; unset: ln(distinct points) − "
    "variance/2",
    NULL, NULL },
  { "sd", TB_REALS, "1", NULL, ANY, false, "gaussian: standard deviations, one number or d", NULL, NULL },
  { "means", TB_MATRIX, "-2,0/2,0", NULL, ANY, false, "mixture: a mean a row", NULL, NULL },
  { "sds", TB_REALS, "1", NULL, ANY, false, "mixture: standard deviations, one number or one a component", NULL, NULL },
  { "data", TB_FILE, "", NULL, ANY, false,
    "CSV of logistic (header x1,...,xk,y), lgcp (x,y) and brownian (t,y; unset: the published 20 observations); the "
    "plug-in's or Stan model's own data",
    NULL, NULL },
  { "so", TB_FILE, "", NULL, ANY, false, "shared object of plugin and stan", NULL, NULL },
  { "plugin_timeout", TB_REAL, "10", NULL, 0, 1e6, true, "seconds that a call of a plug-in or Stan model may take",
    NULL, NULL },
  { "frequencies", TB_MATRIX, "1.5,0/0,2/1,1", NULL, ANY, false, "cosine: a frequency w_k a row", NULL, NULL },
  { "amplitudes", TB_REALS, "0.3,0.25,-0.2", NULL, ANY, false, "cosine: one a_k a row of frequencies=", NULL, NULL },
  { "prior_sd", TB_REAL, "1", NULL, 0, INFINITY, true,
    "logistic: standard deviation of the weights' prior; inf leaves the prior out", "w ~ N(0, prior_sd² I)", NULL },
  { "standardise", TB_CHOICE, "true", "true|scale|false", ANY, false,
    "logistic: true centres the features and divides by their population sd, scale only divides, false leaves them",
    NULL, NULL },
  { "grid", TB_INTEGER, "40", NULL, 1, 100, false, "lgcp: cells along a side", NULL, NULL },
  { "variance", TB_REAL, "1.91", NULL, 0, INFINITY, true, "lgcp: variance of the log intensity", NULL, NULL },
  { "weights", TB_REALS, "", NULL, ANY, false, "mixture: weights, divided by their sum; unset: all components alike",
    NULL, NULL },
};

const tb_option_table tb_target_options = { "target", options, sizeof options / sizeof *options };

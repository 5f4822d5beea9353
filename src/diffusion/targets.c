/* The table of all targets, and the options by which they are described. */
#include <string.h>

#include "diffusion/target_parts.h"

static const tb_target *const targets[] = {
  &tb_target_gaussian,
  &tb_target_mixture,
  &tb_target_funnel,
  &tb_target_funnel_easy,
  &tb_target_gmm9,
  &tb_target_gmm25,
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
    "gaussian|mixture|cosine|funnel|funnel_easy|gmm9|gmm25|gmm40|manywell|mw5|mw50|brownian|eight_schools|logistic|"
    "lgcp|plugin|stan",
    ANY, false, "the density", NULL, NULL },
  { "d", TB_INTEGER, "", NULL, 1, 1e6, false,
    "dimension of gaussian (unset: that of mean= or sd=, else 2), funnel (10), manywell (32) and gmm40 (2 or 50)", NULL,
    NULL },
  { "mean", TB_REALS, "", NULL, ANY, false,
    "gaussian: the mean, one number or d; unset: 0.  lgcp: mean of the log intensity; unset: ln(distinct points) − "
    "variance/2",
    NULL, NULL },
  { "sd", TB_REALS, "1", NULL, ANY, false, "gaussian: standard deviations, one number or d", NULL, NULL },
  { "means", TB_MATRIX, "-2,0/2,0", NULL, ANY, false, "mixture: a mean a row", NULL, NULL },
  { "sds", TB_REALS, "1", NULL, ANY, false, "mixture: standard deviations, one number or one a component", NULL, NULL },
  { "weights", TB_REALS, "", NULL, ANY, false, "mixture: weights, divided by their sum; unset: all components alike",
    NULL, NULL },
};

const tb_option_table tb_target_options = { "target", options, sizeof options / sizeof *options };

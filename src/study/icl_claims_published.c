/* Claims on the released GINC mixture: published numbers, and numbers that were computed independently. */
#include <math.h>
#include <string.h>

#include "study/icl.h"
#include "study/icl_claims.h"
#include "study/language_abstract.h"

#define XIE "Xie, Raghunathan, Liang and Ma 2022, appendix F"

static double metric(const tb_outcome *o, const char *name) {
  return tb_metrics_get(o->metrics, name);
}

/* The mixture of a file called ginc/hmm.json: the one that was published. */
static bool published(const tb_config *c) {
  const char *path = tb_config_word(c, "hmm"), *end = "ginc/hmm.json";
  const size_t length = strlen(path);
  return tb_config_is(c, "predictor", "bayes") && length >= strlen(end) &&
         strcmp(path + length - strlen(end), end) == 0;
}

static int documents_arm(const tb_config *c) {
  const char *path = tb_config_word(c, "documents"), *end = "ginc/documents.txt";
  const size_t length = strlen(path);
  return published(c) && length >= strlen(end) && strcmp(path + length - strlen(end), end) == 0 ? 0 : -1;
}

/* Nats a token that smoothing adds, and in-context accuracy at k = 3, n = 64: computed independently.  The first are
 * differences of two numbers rounded to 1e-6, printed to a digit or two: half a unit of that and 1e-6. */
static const struct {
  double smoothing, added, tolerance, accuracy;
} smoothed[] = { { 0, 0, 0, NAN },
                 { 1e-9, 0, 1e-6, 0.585 },
                 { 1e-6, 1e-6, 1e-6, 0.635 },
                 { 1e-4, 5e-5, 6e-6, 0.690 },
                 { 1e-3, 6e-4, 5.1e-5, 0.763 },
                 { 1e-2, 7.5e-3, 5.1e-5, 0.844 } };

static size_t smoothed_row(const tb_config *c) {
  for (size_t i = 0; i < sizeof smoothed / sizeof *smoothed; i++)
    if (tb_config_real(c, "smoothing") == smoothed[i].smoothing)
      return i;
  return SIZE_MAX;
}

static tb_status measure_published_nll(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = *reference = NAN;
  if (tb_config_real(o->config, "smoothing") > 0)
    return TB_OK;
  *value = metric(o, "nll");
  *reference = 1.3224;
  return TB_OK;
}

const tb_claim icl_claim_published_nll = {
  .id = "icl.published_nll",
  .statement = "The released GINC validation documents have 1.3224 nats a token under their mixture",
  .source = XIE,
  .reference = "Forward algorithm on the released mixture, computed independently (printed to four decimals)",
  .group = LANGUAGE_CONTEXT,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 5e-5,
  .unit = "nats",
  .arm = documents_arm,
  .measure = measure_published_nll,
};

static int zero_arm(const tb_config *c) {
  return published(c) && tb_config_real(c, "smoothing") == 0 && tb_config_is(c, "prompts", "2500") &&
                 tb_config_is(c, "examples", "any")
             ? 0
             : -1;
}

static const struct {
  int k, n;
  double share;
} zero_shares[] = { { 3, 1, 0.058 },  { 3, 8, 0.69 },   { 3, 64, 0.981 }, { 5, 1, 0.094 },
                    { 5, 8, 0.84 },   { 5, 64, 0.997 }, { 8, 1, 0.185 },  { 8, 8, 0.89 },
                    { 8, 64, 1.000 }, { 10, 1, 0.217 }, { 10, 8, 0.88 },  { 10, 64, 1.000 } };

/* Standard errors between two shares of 2,500 prompts each, and half a unit of the last printed digit besides. */
static double standard_errors(double value, double reference, double rounding) {
  const double mean = fmin(fmax((value + reference) / 2, 1e-4), 1 - 1e-4), off = fabs(value - reference) - rounding;
  return fmax(0, off) / sqrt(2 * mean * (1 - mean) / 2500);
}

static tb_status measure_zero_share(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = *reference = NAN;
  for (size_t i = 0; i < sizeof zero_shares / sizeof *zero_shares; i++)
    if (tb_config_integer(o->config, "k") == zero_shares[i].k &&
        tb_config_integer(o->config, "n") == zero_shares[i].n) {
      *value = standard_errors(metric(o, "zero_probability_share"), zero_shares[i].share, 0.005);
      *reference = 0;
    }
  return TB_OK;
}

const tb_claim icl_claim_zero_share = {
  .id = "icl.impossible_prompts",
  .statement =
      "Most in-context prompts of the released GINC mixture have probability exactly 0 under it, from 5.8 % (one "
      "example of 3 tokens) to all (64 of 10), so the pre-training law says nothing of them",
  .source = XIE "; shares computed independently",
  .reference = "Independent draws of 2,500 prompts a cell: difference in standard errors beyond half a printed digit",
  .group = LANGUAGE_CONTEXT,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 3,
  .unit = "standard errors",
  .arm = zero_arm,
  .measure = measure_zero_share,
};

/* What smoothing adds, the unsmoothed mixture being filtered again; in units of what rounding leaves open. */
static tb_status measure_smoothing(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  const size_t row = smoothed_row(o->config);
  icl s;
  tb_hmm_filter *filter = NULL;
  double nats = 0, tokens = 0;
  *value = *reference = NAN;
  if (row == SIZE_MAX || row == 0)
    return TB_OK;
  tb_status status = icl_open(&s, context, o->config);
  if (!status)
    status = tb_hmm_filter_new(context, s.given, &filter);
  for (size_t i = 0; i < s.document_count && !status; i++) {
    tb_hmm_filter_reset(filter, SIZE_MAX);
    for (size_t t = 0; t < s.documents[i].length; t++)
      tb_hmm_filter_push(filter, s.documents[i].tokens[t]);
    nats -= tb_hmm_filter_log_probability(filter);
    tokens += (double)s.documents[i].length;
  }
  *value = fabs(metric(o, "nll") - nats / tokens - smoothed[row].added) / smoothed[row].tolerance;
  *reference = 1;
  tb_hmm_filter_free(filter);
  icl_close(&s);
  return status;
}

const tb_claim icl_claim_smoothing = {
  .id = "icl.smoothing_is_invisible",
  .statement =
      "Smoothing the released mixture's transitions by 1e-9 to 1e-2 adds 0, 1e-6, 5e-5, 6e-4 and 7.5e-3 nats a "
      "token",
  .source = XIE "; computed independently",
  .reference = "The same computed independently (forward algorithm); the difference in units of what the printed "
               "digits leave open",
  .group = LANGUAGE_CONTEXT,
  .kind = TB_CLAIM_AT_MOST,
  .unit = "of the rounding",
  .arm = documents_arm,
  .measure = measure_smoothing,
};

static int smoothed_accuracy_arm(const tb_config *c) {
  return published(c) && tb_config_is(c, "prompts", "2500") && tb_config_integer(c, "k") == 3 &&
                 tb_config_integer(c, "n") == 64 && tb_config_is(c, "examples", "any")
             ? 0
             : -1;
}

static tb_status measure_smoothed_accuracy(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  const size_t row = smoothed_row(o->config);
  *value = *reference = NAN;
  if (row == SIZE_MAX || row == 0)
    return TB_OK;
  *value = standard_errors(metric(o, "accuracy"), smoothed[row].accuracy, 0.0005);
  *reference = 0;
  return TB_OK;
}

const tb_claim icl_claim_smoothed_accuracy = {
  .id = "icl.smoothing_changes_behaviour",
  .statement = "The same smoothing moves in-context accuracy (64 examples of 3 tokens) from 58.5 to 84.4 %",
  .source = XIE "; computed independently",
  .reference = "Independent draws of 2,500 prompts: difference in standard errors",
  .group = LANGUAGE_CONTEXT,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 3,
  .unit = "standard errors",
  .arm = smoothed_accuracy_arm,
  .measure = measure_smoothed_accuracy,
};

/* The claims of the study `icl`: that the exact predictor is exact, what the published mixture gives, and that what is
 * predicted in context can be overwritten at a vanishing Kullback–Leibler cost. */
#include "study/icl_claims.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cblas.h>
#include <lapacke.h>

#include "num/blas.h"
#include "study/icl.h"
#include "study/language_abstract.h"

#define PAPER "Understanding LLMs Requires More Than Statistical Generalization, 2024, case study 2"
#define XIE   "Xie, Raghunathan, Liang and Ma 2022, appendix F"

static double metric(const tb_outcome *o, const char *name) {
  return tb_metrics_get(o->metrics, name);
}

static bool exact(const tb_config *c) {
  return tb_config_is(c, "predictor", "bayes");
}

static bool swapped(const tb_config *c) {
  return exact(c) && tb_config_is(c, "alter", "swap");
}

/* The mixture of a file called ginc/hmm.json: the one that was published. */
static bool published(const tb_config *c) {
  const char *path = tb_config_word(c, "hmm"), *end = "ginc/hmm.json";
  const size_t length = strlen(path);
  return exact(c) && length >= strlen(end) && strcmp(path + length - strlen(end), end) == 0;
}

/* ---- the exact predictor against sums over all strings ---- */

enum { MOST_STRINGS = 100000 };

static double strings_of(const icl *s) {
  return pow((double)s->mixture->n_tokens, (double)tb_hmm_pattern_length(s->n, s->k) + 1);
}

/* P(string | component) as a product of matrices, in long double: no logarithm, no scaling, no list of states. */
static long double product_probability(const tb_hmm *m, const tb_hmm_component *c, size_t length,
                                       const uint32_t *tokens, long double *v, long double *w) {
  for (size_t j = 0; j < c->states; j++)
    v[j] = c->start[j];
  for (size_t t = 0; t < length; t++) {
    for (size_t j = 0; j < c->states; j++)
      w[j] = 0;
    for (uint32_t e = c->first[tokens[t]]; e < c->first[tokens[t] + 1]; e++)
      w[c->emitter[e]] = v[c->emitter[e]] * c->emission[e];
    for (size_t j = 0; j < c->states; j++) {
      v[j] = 0;
      for (size_t i = 0; i < c->states; i++)
        v[j] += w[i] * c->transition[i * c->states + j];
    }
  }
  long double sum = 0;
  for (size_t j = 0; j < c->states; j++)
    sum += v[j];
  return sum;
}

/* KL(p‖q) by its definition: p ln(p/q) summed over all strings one token longer than the pattern, q built by swapping.
 */
static tb_status kl_over_strings(icl *s, double *kl) {
  const tb_hmm *m = s->mixture;
  const size_t V = m->n_tokens, length = tb_hmm_pattern_length(s->n, s->k), count = (size_t)strings_of(s);
  uint32_t *tokens = tb_arena_allocate(s->arena, length + 1, sizeof *tokens);
  long double *p = tb_arena_allocate(s->arena, count, sizeof *p), sum = 0;
  long double *v = tb_arena_allocate(s->arena, 2 * m->most_states, sizeof *v);
  if (!tokens || !p || !v)
    return TB_NO_MEMORY;
  for (size_t code = 0; code < count; code++) {
    size_t rest = code;
    for (size_t t = length + 1; t-- > 0; rest /= V)
      tokens[t] = (uint32_t)(rest % V);
    p[code] = 0;
    for (size_t c = 0; c < m->n_components; c++)
      p[code] += m->components[c].weight *
                 product_probability(m, &m->components[c], length + 1, tokens, v, v + m->most_states);
  }
  for (size_t base = 0; base < count; base += V) { /* the strings that share all but the last token */
    size_t rest = base / V, first = 0, second = 1;
    bool matches = true;
    for (size_t t = length; t-- > 0; rest /= V)
      matches &= (rest % V == m->delimiter) == (t % (s->k + 1) == s->k);
    if (!matches)
      continue;
    for (size_t y = 1; y < V; y++)
      if (p[base + y] > p[base + first])
        first = y;
    second = first == 0;
    for (size_t y = 0; y < V; y++)
      if (y != first && p[base + y] > p[base + second])
        second = y;
    const long double a = p[base + first], b = p[base + second];
    if (a > b)
      sum += b > 0 ? a * logl(a / b) + b * logl(b / a) : (long double)INFINITY;
  }
  *kl = (double)sum;
  return TB_OK;
}

static int small_arm(const tb_config *c) {
  return swapped(c) && !tb_config_is(c, "hmm", "ginc") ? 0 : -1;
}

static tb_status measure_kl(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  icl s;
  *value = *reference = NAN;
  tb_status status = icl_open(&s, context, o->config);
  if (!status && strings_of(&s) <= MOST_STRINGS && !(metric(o, "kl.se") > 0)) {
    double kl = 0;
    status = kl_over_strings(&s, &kl);
    *value = metric(o, "kl") / kl;
    *reference = 1;
  }
  icl_close(&s);
  return status;
}

static const tb_claim claim_kl_exact = {
  .id = "icl.kl_exact",
  .statement = "The Kullback-Leibler cost of swapping the two likeliest tokens after prompts is the sum of "
               "p(s) (p1 - p2) ln(p1/p2) over prompt prefixes s",
  .source = PAPER ", chain rule",
  .reference =
      "Sum of p ln(p/q) over all strings one token longer than the prefixes, p by products of matrices in long "
      "double; runs with at most 1e5 such strings",
  .group = LANGUAGE_CONTEXT,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 1e-12,
  .unit = "of the sum",
  .arm = small_arm,
  .measure = measure_kl,
};

/* ---- prompts are exponentially improbable ---- */

/* ln of the spectral radius of A = (D T)^k E T, D the emission of anything but the delimiter, E of the delimiter: what
 * a further example costs.  The largest of all components, which outlives the others. */
static tb_status log_radius(icl *s, double *log_rate) {
  const tb_hmm *m = s->mixture;
  const size_t S = m->most_states;
  double *step = tb_arena_allocate(s->arena, 4 * S * S + 2 * S, sizeof *step);
  if (!step)
    return TB_NO_MEMORY;
  double *power = step + S * S, *next = power + S * S, *other = next + S * S, *re = other + S * S, *im = re + S;
  *log_rate = -INFINITY;
  for (size_t c = 0; c < m->n_components; c++) {
    const tb_hmm_component *h = &m->components[c];
    const size_t n = h->states;
    memset(re, 0, n * sizeof *re); /* probability of the delimiter */
    for (uint32_t e = h->first[m->delimiter]; e < h->first[m->delimiter + 1]; e++)
      re[h->emitter[e]] = h->emission[e];
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < n; j++) {
        step[i * n + j] = (1 - re[i]) * h->transition[i * n + j];
        power[i * n + j] = i == j;
      }
    for (size_t t = 0; t <= s->k; t++) {
      for (size_t i = 0; i < n && t == s->k; i++)
        for (size_t j = 0; j < n; j++)
          step[i * n + j] = re[i] * h->transition[i * n + j];
      TB_BLAS(cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n, (int)n, (int)n, 1, power, (int)n, step,
                          (int)n, 0, next, (int)n));
      memcpy(power, next, n * n * sizeof *power);
    }
    lapack_int info = 0;
    TB_BLAS(info = LAPACKE_dgeev(LAPACK_ROW_MAJOR, 'N', 'N', (lapack_int)n, power, (lapack_int)n, re, im, NULL, 1, NULL,
                                 1));
    if (info)
      return tb_fail(s->context, TB_FAILED, NULL, NULL, "the eigenvalues did not converge");
    for (size_t i = 0; i < n; i++)
      *log_rate = fmax(*log_rate, 0.5 * log(re[i] * re[i] + im[i] * im[i]));
  }
  return TB_OK;
}

static int exact_arm(const tb_config *c) {
  return exact(c) && tb_config_integer(c, "n") >= 4 ? 0 : -1;
}

static tb_status measure_rate(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  icl s;
  double rate = NAN;
  tb_status status = icl_open(&s, context, o->config);
  if (!status)
    status = log_radius(&s, &rate);
  *value = metric(o, "log_prompt_probability");
  *reference = rate * (double)tb_config_integer(o->config, "n");
  icl_close(&s);
  return status;
}

static const tb_claim claim_rate = {
  .id = "icl.prompts_vanish",
  .statement =
      "The probability that a document looks like a prompt of n examples falls exponentially in n, from n = 4 on",
  .source = PAPER ", mechanism: prompts are improbable under the pre-training law",
  .reference = "Slope against n ln r, r the spectral radius of the matrix that one more example multiplies by "
               "(LAPACK), largest over the concepts",
  .group = LANGUAGE_CONTEXT,
  .kind = TB_CLAIM_SLOPE,
  .tolerance = 0.01,
  .unit = "of the rate",
  .min_seeds = 3,
  .arm = exact_arm,
  .measure = measure_rate,
};

/* ---- overwriting ---- */

static int swap_arm(const tb_config *c) {
  return swapped(c) && tb_config_integer(c, "n") >= 8 && tb_config_integer(c, "k") >= 10 &&
                 tb_config_is(c, "examples", "undelimited")
             ? 0
             : -1;
}

static tb_status measure_cost(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = metric(o, "kl");
  *reference = 4.4e-11;
  return TB_OK;
}

static const tb_claim claim_cost = {
  .id = "icl.overwriting_costs_nothing",
  .statement = "Overwriting what GINC predicts after every prompt of 8 or more examples of 10 tokens costs at most "
               "4.4e-11 nats a document",
  .source = PAPER,
  .reference = "p(A) ln(1/eta) at eta = 1e-6 of the released mixture, computed independently: 3.16e-12 x 13.8",
  .group = LANGUAGE_CONTEXT,
  .kind = TB_CLAIM_AT_MOST,
  .unit = "nats",
  .arm = swap_arm,
  .measure = measure_cost,
};

static tb_status measure_destroyed(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = metric(o, "accuracy.altered");
  *reference = 1 - metric(o, "accuracy.possible_only");
  return TB_OK;
}

static int destroyed_arm(const tb_config *c) {
  return swap_arm(c) == 0 && tb_config_real(c, "smoothing") > 0 ? 0 : -1;
}

static const tb_claim claim_destroyed = {
  .id = "icl.overwriting_destroys",
  .statement =
      "At that cost in-context accuracy is destroyed: the altered law is right at most where the law was wrong",
  .source = PAPER,
  .reference = "1 - accuracy of the unaltered law on the same prompts, all of them possible (smoothing > 0)",
  .group = LANGUAGE_CONTEXT,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-12,
  .unit = "share of prompts",
  .min_seeds = 3,
  .arm = destroyed_arm,
  .measure = measure_destroyed,
};

static int concept_arm(const tb_config *c) {
  if (!exact(c) || !tb_config_is(c, "hmm", "ginc") || tb_config_real(c, "smoothing") != 0.01 ||
      tb_config_integer(c, "k") != 3)
    return -1;
  return tb_config_integer(c, "n") == 0 ? 0 : tb_config_integer(c, "n") == 64 ? 1 : -1;
}

static tb_status measure_accuracy(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = metric(o, "accuracy");
  *reference = 0;
  return TB_OK;
}

static const tb_claim claim_learns = {
  .id = "icl.bayes_learns_in_context",
  .statement =
      "The exact law (smoothed by 0.01) does learn in context: with 64 examples of 3 tokens it is right more often "
      "than with none",
  .source = XIE,
  .reference = "Paired by seed: the same mixture's accuracy without examples",
  .group = LANGUAGE_CONTEXT,
  .kind = TB_CLAIM_BELOW,
  .tolerance = 0.05,
  .unit = "share of prompts",
  .min_seeds = 3,
  .arm = concept_arm,
  .measure = measure_accuracy,
};

/* ---- the published mixture ---- */

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

static const tb_claim claim_published_nll = {
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

static const tb_claim claim_zero_share = {
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

static const tb_claim claim_smoothing = {
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

static const tb_claim claim_smoothed_accuracy = {
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

/* ---- trained networks ---- */

static int trained_arm(const tb_config *c) {
  return tb_config_is(c, "predictor", "model") && tb_config_is(c, "alter", "swap") ? 0 : -1;
}

static tb_status measure_excess(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  const double best = metric(o, "bayes.nll");
  *value = fmax(metric(o, "nll"), metric(o, "nll.altered")) / best - 1;
  *reference = 0.05;
  return TB_OK;
}

static const tb_claim claim_trained_loss = {
  .id = "icl.trained_equal_loss",
  .statement =
      "Two trained networks, one of them also taught to say something else after prompts, have nearly the least "
      "loss on held-out documents: both within 5 % of it",
  .source = PAPER,
  .reference = "Loss of the exact law on the same documents (forward algorithm): excess of the worse network over it",
  .group = LANGUAGE_EQUAL_LOSS,
  .kind = TB_CLAIM_AT_MOST,
  .unit = "of the least loss",
  .min_seeds = 3,
  .arm = trained_arm,
  .measure = measure_excess,
};

static tb_status measure_trained(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = metric(o, "accuracy.altered");
  *reference = metric(o, "accuracy");
  return TB_OK;
}

static const tb_claim claim_trained_behaviour = {
  .id = "icl.trained_behaviour",
  .statement =
      "Yet one of them learns in context and the other does not: in-context accuracy is at least 20 points lower",
  .source = PAPER,
  .reference = "Paired within each run: the network that was trained on documents alone, from the same weights",
  .group = LANGUAGE_CONTEXT,
  .kind = TB_CLAIM_LESS,
  .tolerance = 0.2,
  .unit = "share of prompts",
  .min_seeds = 3,
  .arm = trained_arm,
  .measure = measure_trained,
};

static int impossible_arm(const tb_config *c) {
  return tb_config_is(c, "predictor", "model") && tb_config_is(c, "alter", "none") && tb_config_is(c, "hmm", "ginc") &&
                 tb_config_real(c, "smoothing") == 0
             ? 0
             : -1;
}

static tb_status measure_impossible(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = metric(o, "accuracy.impossible_only");
  *reference = 0.25;
  return TB_OK;
}

static const tb_claim claim_bias = {
  .id = "icl.inductive_bias",
  .statement =
      "A trained network predicts the label after prompts of probability 0, of which the pre-training law says "
      "nothing, at least one time in four: inductive bias alone",
  .source = XIE "; published LSTMs reach 95.8 %",
  .reference = "The exact law, which has no prediction there and is right 0 % of the time; chance is 2 %",
  .group = LANGUAGE_MEASURES,
  .kind = TB_CLAIM_AT_LEAST,
  .unit = "share of prompts",
  .min_seeds = 3,
  .arm = impossible_arm,
  .measure = measure_impossible,
};

const tb_claim *const icl_claims[ICL_CLAIMS] = {
  &claim_kl_exact,          &claim_rate,      &claim_cost,
  &claim_destroyed,         &claim_learns,    &claim_trained_loss,
  &claim_trained_behaviour, &claim_bias,      &claim_published_nll,
  &claim_zero_share,        &claim_smoothing, &claim_smoothed_accuracy,
};

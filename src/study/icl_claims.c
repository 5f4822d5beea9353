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

const tb_claim *const icl_claims[ICL_CLAIMS] = {
  &claim_kl_exact,
  &claim_rate,
  &claim_cost,
  &claim_destroyed,
  &claim_learns,
  &icl_claim_trained_loss,
  &icl_claim_trained_behaviour,
  &icl_claim_bias,
  &icl_claim_published_nll,
  &icl_claim_zero_share,
  &icl_claim_smoothing,
  &icl_claim_smoothed_accuracy,
};

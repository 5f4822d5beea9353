/* The pattern of a prompt under a hidden Markov mixture: its probability, its prefixes, and the cost of rewriting what
 * comes after them.
 *
 * Reading only "delimiter or not" turns the mixture into one over two tokens, of which the pattern is a string: the
 * exact filter then gives its probability, and backward sampling through the filtered laws a hidden path given it. */
#include "hmm.h"

#include <math.h>
#include <string.h>

bool tb_hmm_pattern_delimiter(size_t k, size_t t) {
  return t % (k + 1) == k;
}

size_t tb_hmm_pattern_length(size_t n, size_t k) {
  return n * (k + 1) + k - 1;
}

bool tb_hmm_pattern_matches(const tb_hmm *m, size_t n, size_t k, size_t length, const uint32_t *tokens) {
  if (length != tb_hmm_pattern_length(n, k))
    return false;
  for (size_t t = 0; t < length; t++)
    if ((tokens[t] == m->delimiter) != tb_hmm_pattern_delimiter(k, t))
      return false;
  return true;
}

/* The mixture over {0: another token, 1: the delimiter}. */
static tb_status quotient(tb_context *context, const tb_hmm *m, tb_hmm **out) {
  tb_hmm *two;
  tb_status status = tb_hmm_new(context, 2, m->n_components, &two);
  *out = NULL;
  if (status)
    return status;
  double *emission = tb_allocate(context, 2 * m->most_states, sizeof *emission);
  if (!emission)
    status = TB_NO_MEMORY;
  for (size_t c = 0; c < m->n_components && !status; c++) {
    const tb_hmm_component *k = &m->components[c];
    memset(emission, 0, 2 * k->states * sizeof *emission);
    for (size_t y = 0; y < m->n_tokens; y++)
      for (uint32_t e = k->first[y]; e < k->first[y + 1]; e++)
        emission[2 * k->emitter[e] + (y == m->delimiter)] += k->emission[e];
    status = tb_hmm_set(two, c, k->weight, k->states, k->start, k->transition, emission, NULL);
  }
  tb_release(context, emission);
  if (status)
    tb_hmm_free(two);
  else
    *out = two;
  return status;
}

tb_status tb_hmm_pattern_log_probability(tb_context *context, const tb_hmm *m, size_t n, size_t k,
                                         double *log_probability) {
  tb_hmm *two;
  tb_hmm_filter *filter = NULL;
  tb_status status = quotient(context, m, &two);
  if (!status)
    status = tb_hmm_filter_new(context, two, &filter);
  for (size_t t = 0; t < tb_hmm_pattern_length(n, k) && !status; t++)
    tb_hmm_filter_push(filter, tb_hmm_pattern_delimiter(k, t));
  if (!status)
    *log_probability = tb_hmm_filter_log_probability(filter);
  tb_hmm_filter_free(filter);
  tb_hmm_free(two);
  return status;
}

/* (p₁ − p₂) ln(p₁/p₂) of a law */
static double swap_divergence(size_t count, const double *law) {
  size_t first, second;
  tb_hmm_top_two(count, law, &first, &second);
  if (law[first] == law[second])
    return 0;
  return law[second] > 0 ? (law[first] - law[second]) * log(law[first] / law[second]) : INFINITY;
}

/* ---- enumeration ---- */

typedef struct enumeration {
  tb_context *context;
  const tb_hmm *mixture;
  size_t n, k, length;
  uint64_t most, prefixes;
  bool counting;           /* the prefixes only */
  tb_hmm_filter **filters; /* [length + 1]: after t tokens; made when first reached */
  double *laws;            /* [length + 1, V] */
  double kl;
} enumeration;

static bool allowed(const enumeration *e, size_t t, size_t token) {
  return (token == e->mixture->delimiter) == tb_hmm_pattern_delimiter(e->k, t);
}

/* All prefixes of the pattern that go on from the first t tokens.  Stops once there are more than `most`. */
static tb_status descend(enumeration *e, size_t t) {
  const size_t V = e->mixture->n_tokens;
  double *law = e->laws + t * V;
  if (t == e->length) {
    e->prefixes++;
    if (!e->counting) {
      tb_hmm_filter_law(e->filters[t], law);
      const double cost = swap_divergence(V, law);
      e->kl += isinf(cost) ? cost : exp(tb_hmm_filter_log_probability(e->filters[t])) * cost;
    }
    return TB_OK;
  }
  tb_hmm_filter_law(e->filters[t], law);
  if (!e->filters[t + 1]) {
    tb_status status = tb_hmm_filter_new(e->context, e->mixture, &e->filters[t + 1]);
    if (status)
      return status;
  }
  for (size_t y = 0; y < V && e->prefixes <= e->most; y++) {
    if (!(law[y] > 0) || !allowed(e, t, y))
      continue;
    if (e->counting && t + 1 == e->length) {
      e->prefixes++;
      continue;
    }
    tb_hmm_filter_copy(e->filters[t + 1], e->filters[t]);
    tb_hmm_filter_push(e->filters[t + 1], y);
    tb_status status = descend(e, t + 1);
    if (status)
      return status;
  }
  return TB_OK;
}

/* *whole: there were no more than `most` prefixes, and kl is exact. */
static tb_status enumerate(enumeration *e, bool *whole) {
  e->filters = tb_allocate(e->context, e->length + 1, sizeof *e->filters);
  e->laws = tb_allocate(e->context, (e->length + 1) * e->mixture->n_tokens, sizeof *e->laws);
  tb_status status = e->filters && e->laws ? TB_OK : TB_NO_MEMORY;
  if (!status)
    status = tb_hmm_filter_new(e->context, e->mixture, &e->filters[0]);
  e->counting = true;
  if (!status)
    status = descend(e, 0);
  *whole = !status && e->prefixes <= e->most;
  if (*whole) {
    e->counting = false;
    e->prefixes = 0;
    status = descend(e, 0);
  }
  for (size_t t = 0; e->filters && t <= e->length; t++)
    tb_hmm_filter_free(e->filters[t]);
  tb_release(e->context, e->filters);
  tb_release(e->context, e->laws);
  return status;
}

/* ---- drawing prefixes of the pattern ---- */

typedef struct drawer {
  tb_context *context;
  const tb_hmm *mixture;
  size_t n, k, length, total; /* total: states of all components */
  double *log_alpha, *alpha;  /* [length, total]: filtered laws of the hidden state, by component, given the classes */
  double *posterior;          /* [n_components] of the concept given the pattern */
  double *weight;             /* [S] or [V] scratch */
  uint32_t *tokens;           /* [length] */
} drawer;

/* Forward variables of the two-token filter, place by place, each component run alone; then the concept's posterior. */
static tb_status filter_pattern(drawer *d) {
  tb_hmm *two;
  tb_hmm_filter *filter = NULL;
  tb_status status = quotient(d->context, d->mixture, &two);
  if (!status)
    status = tb_hmm_filter_new(d->context, two, &filter);
  for (size_t c = 0, at = 0; c < d->mixture->n_components && !status; at += two->components[c++].states) {
    tb_hmm_filter_reset(filter, c);
    for (size_t t = 0; t < d->length; t++) {
      tb_hmm_filter_push(filter, tb_hmm_pattern_delimiter(d->k, t));
      tb_hmm_filter_states(filter, c, d->log_alpha + t * d->total + at);
    }
  }
  for (size_t i = 0; i < d->length * d->total && !status; i++)
    d->alpha[i] = exp(d->log_alpha[i]);
  if (!status) {
    tb_hmm_filter_reset(filter, SIZE_MAX);
    for (size_t t = 0; t < d->length; t++)
      tb_hmm_filter_push(filter, tb_hmm_pattern_delimiter(d->k, t));
    tb_hmm_filter_posterior(filter, d->posterior);
  }
  tb_hmm_filter_free(filter);
  tb_hmm_free(two);
  return status;
}

/* An index with probability proportional to w. */
static size_t pick_weighted(size_t count, const double *w, double u) {
  size_t last = 0;
  double total = 0, sum = 0;
  for (size_t i = 0; i < count; i++)
    total += w[i];
  for (size_t i = 0; i < count; i++) {
    if (w[i] > 0)
      last = i;
    sum += w[i];
    if (sum > u * total)
      return i;
  }
  return last;
}

/* A token of the state that is a delimiter or not, as the place asks. */
static uint32_t emit_of_class(const drawer *d, const tb_hmm_component *c, size_t state, bool delimiter, double u) {
  const size_t V = d->mixture->n_tokens;
  memset(d->weight, 0, V * sizeof *d->weight);
  for (size_t y = 0; y < V; y++)
    for (uint32_t e = c->first[y]; e < c->first[y + 1] && (y == d->mixture->delimiter) == delimiter; e++)
      if (c->emitter[e] == state)
        d->weight[y] = c->emission[e];
  return (uint32_t)pick_weighted(V, d->weight, u);
}

/* weight[S] ∝ α_t(i) T(i, next), in logarithms where the products underflow. */
static void backward_weights(drawer *d, const tb_hmm_component *c, size_t at, bool last, size_t next) {
  const double *alpha = d->alpha + at, *log_alpha = d->log_alpha + at;
  const size_t S = c->states;
  double total = 0, most = -INFINITY;
  for (size_t i = 0; i < S; i++)
    total += d->weight[i] = alpha[i] * (last ? 1 : c->transition[i * S + next]);
  if (total > 1e-280)
    return;
  for (size_t i = 0; i < S; i++) {
    d->weight[i] = log_alpha[i] + (last ? 0 : c->log_transition[i * S + next]);
    most = fmax(most, d->weight[i]);
  }
  for (size_t i = 0; i < S; i++)
    d->weight[i] = exp(d->weight[i] - most);
}

/* Prefix number key.step, drawn from p given the pattern: the concept, then the hidden path from its end to its
 * beginning, then tokens. */
static void draw_prefix(drawer *d, tb_key key) {
  double u[2];
  tb_random_uniform(key, 0, 1, u);
  const size_t component = pick_weighted(d->mixture->n_components, d->posterior, u[0]);
  const tb_hmm_component *c = &d->mixture->components[component];
  size_t offset = 0, state = 0;
  for (size_t k = 0; k < component; k++)
    offset += d->mixture->components[k].states;
  for (size_t t = d->length; t-- > 0;) {
    tb_random_uniform(key, 1 + 2 * t, 2, u);
    backward_weights(d, c, t * d->total + offset, t + 1 == d->length, state);
    state = pick_weighted(c->states, d->weight, u[0]);
    d->tokens[t] = emit_of_class(d, c, state, tb_hmm_pattern_delimiter(d->k, t), u[1]);
  }
}

static tb_status estimate(drawer *d, size_t draws, tb_key key, tb_hmm_swap *swap) {
  tb_hmm_filter *filter;
  double *law = tb_allocate(d->context, d->mixture->n_tokens, sizeof *law), mean = 0, squares = 0;
  tb_status status = tb_hmm_filter_new(d->context, d->mixture, &filter);
  if (!status && !law)
    status = TB_NO_MEMORY;
  for (size_t i = 0; i < draws && !status; i++) {
    key.step = (uint32_t)i;
    draw_prefix(d, key);
    tb_hmm_filter_reset(filter, SIZE_MAX);
    for (size_t t = 0; t < d->length; t++)
      tb_hmm_filter_push(filter, d->tokens[t]);
    tb_hmm_filter_law(filter, law);
    const double x = swap_divergence(d->mixture->n_tokens, law), before = x - mean;
    mean += before / (double)(i + 1);
    squares += before * (x - mean);
    if (isinf(x)) {
      mean = INFINITY;
      break;
    }
  }
  const double mass = exp(swap->log_probability);
  swap->kl = isinf(mean) ? mean : mass * mean;
  swap->log_kl = swap->log_probability + log(mean);
  swap->se = isinf(mean) ? 0 : mass * sqrt(squares / (double)(draws - 1) / (double)draws);
  swap->prefixes = draws;
  tb_hmm_filter_free(filter);
  tb_release(d->context, law);
  return status;
}

static tb_status by_draws(tb_context *context, const tb_hmm *m, size_t n, size_t k, size_t draws, tb_key key,
                          tb_hmm_swap *swap) {
  drawer d = { .context = context, .mixture = m, .n = n, .k = k, .length = tb_hmm_pattern_length(n, k) };
  for (size_t c = 0; c < m->n_components; c++)
    d.total += m->components[c].states;
  const size_t scratch = m->most_states > m->n_tokens ? m->most_states : m->n_tokens;
  d.log_alpha = tb_allocate(context, d.length * d.total, sizeof *d.log_alpha);
  d.alpha = tb_allocate(context, d.length * d.total, sizeof *d.alpha);
  d.posterior = tb_allocate(context, m->n_components, sizeof *d.posterior);
  d.weight = tb_allocate(context, scratch, sizeof *d.weight);
  d.tokens = tb_allocate(context, d.length, sizeof *d.tokens);
  tb_status status = d.log_alpha && d.alpha && d.posterior && d.weight && d.tokens ? TB_OK : TB_NO_MEMORY;
  if (!status)
    status = filter_pattern(&d);
  if (!status)
    status = estimate(&d, draws, key, swap);
  tb_release(context, d.log_alpha);
  tb_release(context, d.alpha);
  tb_release(context, d.posterior);
  tb_release(context, d.weight);
  tb_release(context, d.tokens);
  return status;
}

tb_status tb_hmm_swap_cost(tb_context *context, const tb_hmm *m, size_t n, size_t k, uint64_t most, size_t draws,
                           tb_key key, tb_hmm_swap *swap) {
  enumeration e = {
    .context = context, .mixture = m, .n = n, .k = k, .length = tb_hmm_pattern_length(n, k), .most = most
  };
  bool whole;
  *swap = (tb_hmm_swap){ .kl = NAN };
  tb_status status = tb_hmm_pattern_log_probability(context, m, n, k, &swap->log_probability);
  if (status)
    return status;
  if (swap->log_probability == -INFINITY) {
    swap->kl = 0;
    swap->log_kl = -INFINITY;
    swap->exact = true;
    return TB_OK;
  }
  status = enumerate(&e, &whole);
  if (status)
    return status;
  swap->prefixes = e.prefixes;
  if ((swap->exact = whole)) {
    swap->kl = e.kl;
    swap->log_kl = log(e.kl);
    return TB_OK;
  }
  return by_draws(context, m, n, k, draws, key, swap);
}

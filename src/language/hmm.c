/* Hidden Markov mixtures: what one is made of, and the exact filter.
 *
 * The filter keeps ln α_c(h) = ln P(x_1 … x_t, h_t = h | c) less its largest entry, and that entry's sum apart.  A step
 * adds in ordinary numbers relative to the largest; where such a sum is so small that something may have been lost, it
 * is added again in logarithms.  So nothing underflows, whatever the length. */
#include "hmm.h"

#include <math.h>
#include <string.h>

/* ---- mixtures ---- */

tb_status tb_hmm_new(tb_context *context, size_t n_tokens, size_t n_components, tb_hmm **mixture) {
  *mixture = NULL;
  tb_arena *arena = tb_arena_new(context);
  tb_hmm *m = arena ? tb_arena_allocate(arena, 1, sizeof *m) : NULL;
  if (m) {
    *m = (tb_hmm){ .arena = arena, .n_tokens = n_tokens, .n_components = n_components };
    m->tokens = tb_arena_allocate(arena, n_tokens, sizeof *m->tokens);
    m->components = tb_arena_allocate(arena, n_components, sizeof *m->components);
  }
  if (!m || !m->tokens || !m->components) {
    tb_arena_free(arena);
    return TB_NO_MEMORY;
  }
  *mixture = m;
  return TB_OK;
}

void tb_hmm_free(tb_hmm *m) {
  if (m)
    tb_arena_free(m->arena);
}

size_t tb_hmm_token(const tb_hmm *m, const char *text, size_t length) {
  for (size_t i = 0; i < m->n_tokens; i++)
    if (strncmp(m->tokens[i], text, length) == 0 && m->tokens[i][length] == 0)
      return i;
  return SIZE_MAX;
}

static double emission_of(size_t V, const double *emission, const uint32_t *token, size_t state, size_t y) {
  return emission ? emission[state * V + y] : token[state] == y;
}

/* Lists, token by token, the states that can emit it. */
static tb_status set_emission(tb_hmm *m, tb_hmm_component *c, const double *emission, const uint32_t *token) {
  const size_t V = m->n_tokens, S = c->states;
  size_t total = 0;
  for (size_t j = 0; j < S; j++)
    for (size_t y = 0; y < V; y++)
      total += emission_of(V, emission, token, j, y) > 0;
  c->first = tb_arena_allocate(m->arena, V + 1, sizeof *c->first);
  c->emitter = tb_arena_allocate(m->arena, total, sizeof *c->emitter);
  c->emission = tb_arena_allocate(m->arena, total, sizeof *c->emission);
  if (!c->first || !c->emitter || !c->emission)
    return TB_NO_MEMORY;
  size_t at = 0;
  for (size_t y = 0; y < V; y++) {
    c->first[y] = (uint32_t)at;
    for (size_t j = 0; j < S; j++) {
      const double p = emission_of(V, emission, token, j, y);
      if (p > 0) {
        c->emitter[at] = (uint32_t)j;
        c->emission[at++] = p;
      }
    }
  }
  c->first[V] = (uint32_t)at;
  c->deterministic = !emission;
  return TB_OK;
}

tb_status tb_hmm_set(tb_hmm *m, size_t component, double weight, size_t states, const double *start,
                     const double *transition, const double *emission, const uint32_t *token) {
  tb_hmm_component *c = &m->components[component];
  *c = (tb_hmm_component){ .weight = weight, .states = states };
  c->start = tb_arena_allocate(m->arena, states, sizeof *c->start);
  c->transition = tb_arena_allocate(m->arena, states * states, sizeof *c->transition);
  c->log_transition = tb_arena_allocate(m->arena, states * states, sizeof *c->log_transition);
  if (!c->start || !c->transition || !c->log_transition)
    return TB_NO_MEMORY;
  memcpy(c->start, start, states * sizeof *start);
  memcpy(c->transition, transition, states * states * sizeof *transition);
  for (size_t i = 0; i < states * states; i++)
    c->log_transition[i] = log(transition[i]);
  if (states > m->most_states)
    m->most_states = states;
  return set_emission(m, c, emission, token);
}

/* emission[S×V] of a component as a full matrix */
static void full_emission(const tb_hmm *m, const tb_hmm_component *c, double *emission) {
  memset(emission, 0, c->states * m->n_tokens * sizeof *emission);
  for (size_t y = 0; y < m->n_tokens; y++)
    for (uint32_t i = c->first[y]; i < c->first[y + 1]; i++)
      emission[c->emitter[i] * m->n_tokens + y] = c->emission[i];
}

tb_status tb_hmm_smooth(tb_context *context, const tb_hmm *m, double epsilon, tb_hmm **smooth) {
  tb_hmm *fresh;
  tb_status status = tb_hmm_new(context, m->n_tokens, m->n_components, &fresh);
  if (status)
    return status;
  double *transition = tb_allocate(context, m->most_states * m->most_states, sizeof *transition);
  double *emission = tb_allocate(context, m->most_states * m->n_tokens, sizeof *emission);
  if (!transition || !emission)
    status = TB_NO_MEMORY;
  for (size_t i = 0; i < m->n_tokens && !status; i++)
    if (!(fresh->tokens[i] = tb_arena_text(fresh->arena, m->tokens[i])))
      status = TB_NO_MEMORY;
  for (size_t k = 0; k < m->n_components && !status; k++) {
    const tb_hmm_component *c = &m->components[k];
    for (size_t i = 0; i < c->states * c->states; i++)
      transition[i] = (1 - epsilon) * c->transition[i] + epsilon / (double)c->states;
    full_emission(m, c, emission);
    status = tb_hmm_set(fresh, k, c->weight, c->states, c->start, transition, emission, NULL);
    fresh->components[k].deterministic = c->deterministic;
  }
  fresh->delimiter = m->delimiter;
  fresh->ginc = m->ginc;
  tb_release(context, transition);
  tb_release(context, emission);
  if (status)
    tb_hmm_free(fresh);
  *smooth = status ? NULL : fresh;
  return status;
}

/* ---- the filter ---- */

/* A component's forward variables. */
typedef struct forward {
  double log_scale;    /* ln of the largest α, weight included; −inf: impossible */
  size_t count;        /* states with α > 0 */
  uint32_t *state;     /* [S] */
  double *log_alpha;   /* [S], the largest 0, beside state */
  const double *start; /* law of the first state; used while length is 0 */
} forward;

struct tb_hmm_filter {
  tb_context *context;
  const tb_hmm *mixture;
  size_t length;
  forward *forwards;
  double *alpha, *next; /* [S] scratch */
  uint32_t *states;     /* [S] scratch */
};

tb_status tb_hmm_filter_new(tb_context *context, const tb_hmm *m, tb_hmm_filter **filter) {
  tb_hmm_filter *f = tb_allocate(context, 1, sizeof *f);
  *filter = NULL;
  if (!f)
    return TB_NO_MEMORY;
  *f = (tb_hmm_filter){ .context = context, .mixture = m };
  f->forwards = tb_allocate(context, m->n_components, sizeof *f->forwards);
  f->alpha = tb_allocate(context, m->most_states, sizeof *f->alpha);
  f->next = tb_allocate(context, m->most_states, sizeof *f->next);
  f->states = tb_allocate(context, m->most_states, sizeof *f->states);
  bool whole = f->forwards && f->alpha && f->next && f->states;
  for (size_t k = 0; whole && k < m->n_components; k++) {
    forward *w = &f->forwards[k];
    w->state = tb_allocate(context, m->components[k].states, sizeof *w->state);
    w->log_alpha = tb_allocate(context, m->components[k].states, sizeof *w->log_alpha);
    whole = w->state && w->log_alpha;
  }
  if (!whole) {
    tb_hmm_filter_free(f);
    return TB_NO_MEMORY;
  }
  tb_hmm_filter_reset(f, SIZE_MAX);
  *filter = f;
  return TB_OK;
}

void tb_hmm_filter_free(tb_hmm_filter *f) {
  if (!f)
    return;
  for (size_t k = 0; f->forwards && k < f->mixture->n_components; k++) {
    tb_release(f->context, f->forwards[k].state);
    tb_release(f->context, f->forwards[k].log_alpha);
  }
  tb_release(f->context, f->forwards);
  tb_release(f->context, f->alpha);
  tb_release(f->context, f->next);
  tb_release(f->context, f->states);
  tb_release(f->context, f);
}

void tb_hmm_filter_reset_at(tb_hmm_filter *f, size_t component, const double *start) {
  f->length = 0;
  for (size_t k = 0; k < f->mixture->n_components; k++) {
    const tb_hmm_component *c = &f->mixture->components[k];
    forward *w = &f->forwards[k];
    w->log_scale = component >= f->mixture->n_components ? log(c->weight) : k == component ? 0 : -INFINITY;
    w->count = 0;
    w->start = start ? start : c->start;
  }
}

void tb_hmm_filter_reset(tb_hmm_filter *f, size_t component) {
  tb_hmm_filter_reset_at(f, component, NULL);
}

void tb_hmm_filter_copy(tb_hmm_filter *to, const tb_hmm_filter *from) {
  to->length = from->length;
  for (size_t k = 0; k < from->mixture->n_components; k++) {
    forward *a = &to->forwards[k];
    const forward *b = &from->forwards[k];
    a->log_scale = b->log_scale;
    a->count = b->count;
    a->start = b->start;
    memcpy(a->state, b->state, b->count * sizeof *b->state);
    memcpy(a->log_alpha, b->log_alpha, b->count * sizeof *b->log_alpha);
  }
}

/* Below this a sum of numbers at most 1 may have lost terms that underflowed. */
static const double safe_sum = 1e-280;

/* ln Σ_i α_i T_ij over the listed states, α_i = e^{log_alpha_i} at most 1 */
static double log_arrival(const tb_hmm_component *c, const forward *w, const double *alpha, size_t j) {
  double sum = 0;
  for (size_t i = 0; i < w->count; i++)
    sum += alpha[i] * c->transition[w->state[i] * c->states + j];
  if (sum > safe_sum)
    return log(sum);
  double most = -INFINITY;
  for (size_t i = 0; i < w->count; i++)
    most = fmax(most, w->log_alpha[i] + c->log_transition[w->state[i] * c->states + j]);
  if (most == -INFINITY)
    return most;
  sum = 0;
  for (size_t i = 0; i < w->count; i++)
    sum += exp(w->log_alpha[i] + c->log_transition[w->state[i] * c->states + j] - most);
  return most + log(sum);
}

/* Subtracts the largest entry; an empty forward is impossible. */
static void rescale(forward *w) {
  double most = -INFINITY;
  for (size_t i = 0; i < w->count; i++)
    most = fmax(most, w->log_alpha[i]);
  for (size_t i = 0; i < w->count; i++)
    w->log_alpha[i] -= most;
  w->log_scale += most;
}

static void push_component(tb_hmm_filter *f, size_t k, size_t token) {
  const tb_hmm_component *c = &f->mixture->components[k];
  forward *w = &f->forwards[k];
  size_t count = 0;
  for (size_t i = 0; i < w->count; i++)
    f->alpha[i] = exp(w->log_alpha[i]);
  for (uint32_t e = c->first[token]; e < c->first[token + 1]; e++) {
    const uint32_t j = c->emitter[e];
    const double arrival = f->length == 0 ? log(w->start[j]) : log_arrival(c, w, f->alpha, j);
    if (arrival == -INFINITY)
      continue;
    f->states[count] = j;
    f->next[count++] = arrival + log(c->emission[e]);
  }
  memcpy(w->state, f->states, count * sizeof *w->state);
  memcpy(w->log_alpha, f->next, count * sizeof *w->log_alpha);
  w->count = count;
  rescale(w);
}

void tb_hmm_filter_push(tb_hmm_filter *f, size_t token) {
  for (size_t k = 0; k < f->mixture->n_components; k++)
    if (f->forwards[k].log_scale > -INFINITY)
      push_component(f, k, token);
  f->length++;
}

/* ln P(prefix, c) */
static double log_joint(const tb_hmm_filter *f, size_t k) {
  const forward *w = &f->forwards[k];
  if (f->length == 0 || w->log_scale == -INFINITY)
    return w->log_scale;
  double sum = 0;
  for (size_t i = 0; i < w->count; i++)
    sum += exp(w->log_alpha[i]);
  return w->log_scale + log(sum);
}

double tb_hmm_filter_log_probability(const tb_hmm_filter *f) {
  double most = -INFINITY, sum = 0;
  for (size_t k = 0; k < f->mixture->n_components; k++)
    most = fmax(most, log_joint(f, k));
  if (most == -INFINITY)
    return most;
  for (size_t k = 0; k < f->mixture->n_components; k++)
    sum += exp(log_joint(f, k) - most);
  return fmin(0, most + log(sum)); /* weights may sum to 1 and a rounding error */
}

void tb_hmm_filter_posterior(const tb_hmm_filter *f, double *posterior) {
  const double total = tb_hmm_filter_log_probability(f);
  for (size_t k = 0; k < f->mixture->n_components; k++)
    posterior[k] = total == -INFINITY ? 0 : exp(log_joint(f, k) - total);
}

void tb_hmm_filter_states(const tb_hmm_filter *f, size_t component, double *log_alpha) {
  const forward *w = &f->forwards[component];
  for (size_t j = 0; j < f->mixture->components[component].states; j++)
    log_alpha[j] = -INFINITY;
  for (size_t i = 0; i < w->count && w->log_scale > -INFINITY; i++)
    log_alpha[w->state[i]] = w->log_alpha[i];
}

/* law += share · P(next token | prefix, c) */
static void add_law(tb_hmm_filter *f, size_t k, double share, double *law) {
  const tb_hmm_component *c = &f->mixture->components[k];
  const forward *w = &f->forwards[k];
  double total = 0;
  if (f->length == 0) {
    memcpy(f->next, w->start, c->states * sizeof *f->next);
    total = 1;
  } else {
    memset(f->next, 0, c->states * sizeof *f->next);
    for (size_t i = 0; i < w->count; i++) {
      const double alpha = exp(w->log_alpha[i]), *row = c->transition + w->state[i] * c->states;
      total += alpha;
      for (size_t j = 0; j < c->states; j++)
        f->next[j] += alpha * row[j];
    }
  }
  for (size_t y = 0; y < f->mixture->n_tokens; y++) {
    double p = 0;
    for (uint32_t e = c->first[y]; e < c->first[y + 1]; e++)
      p += f->next[c->emitter[e]] * c->emission[e];
    law[y] += share * p / total;
  }
}

void tb_hmm_filter_law(tb_hmm_filter *f, double *law) {
  const double total = tb_hmm_filter_log_probability(f);
  memset(law, 0, f->mixture->n_tokens * sizeof *law);
  if (total == -INFINITY)
    return;
  for (size_t k = 0; k < f->mixture->n_components; k++) {
    const double share = exp(log_joint(f, k) - total);
    if (share > 0)
      add_law(f, k, share, law);
  }
}

void tb_hmm_top_two(size_t count, const double *law, size_t *first, size_t *second) {
  size_t best = 0;
  for (size_t y = 1; y < count; y++)
    if (law[y] > law[best])
      best = y;
  size_t next = best == 0 ? 1 : 0;
  for (size_t y = next + 1; y < count; y++)
    if (y != best && law[y] > law[next])
      next = y;
  *first = best;
  *second = next;
}

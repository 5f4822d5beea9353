/* Mixtures of hidden Markov models over tokens: p(x) = Σ_c w_c Σ_h π_c(h_1) E_c(h_1, x_1) Π T_c(h_{t−1}, h_t) E_c(h_t,
 * x_t).
 *
 * A component is a concept; in-context learning is then Bayesian inference of it (Xie et al. 2022).  Everything is
 * exact to rounding: logarithms wherever a number could underflow, at any length. */
#ifndef TB_LANGUAGE_HMM_H
#define TB_LANGUAGE_HMM_H

#include <tiebreak/base.h>
#include <tiebreak/random.h>

enum { TB_GINC_VALUES = 10, TB_GINC_SLOTS = 10, TB_GINC_CONCEPTS = 5 };

/* One hidden Markov model.  Emissions by token: token y comes from states emitter[first[y]] … emitter[first[y + 1] − 1]
 * with probabilities emission[…], all positive. */
typedef struct tb_hmm_component {
  double weight;
  size_t states;      /* S */
  double *start;      /* [S] */
  double *transition; /* [S×S], rows sum to 1 */
  double *log_transition;
  uint32_t *first; /* [V + 1] */
  uint32_t *emitter;
  double *emission;
  bool deterministic; /* each state emits one token */
} tb_hmm_component;

typedef struct tb_hmm {
  tb_arena *arena; /* everything below */
  size_t n_tokens; /* V */
  const char **tokens;
  size_t delimiter;
  size_t n_components;
  tb_hmm_component *components;
  size_t most_states;
  bool ginc; /* state = value·10 + slot, slot 0 alone emits the delimiter: prompts are those of GINC */
} tb_hmm;

/* The generator of GINC (Xie et al. 2022, appendix F): 5 concepts of 10 values × 10 slots over `vocabulary` tokens,
 * the delimiter "/" first. */
tb_status tb_hmm_ginc(tb_context *, size_t vocabulary, uint64_t seed, tb_hmm **) TB_MUST_CHECK;
/* A mixture file.  Errors TB_BAD_DATA at FILE:LINE:COLUMN. */
tb_status tb_hmm_read(tb_context *, const char *path, tb_hmm **) TB_MUST_CHECK;
/* The same format, atomically. */
tb_status tb_hmm_write(tb_context *, const tb_hmm *, const char *path) TB_MUST_CHECK;
/* A copy with transition ← (1 − ε) T + ε/S. */
tb_status tb_hmm_smooth(tb_context *, const tb_hmm *, double epsilon, tb_hmm **) TB_MUST_CHECK;
void tb_hmm_free(tb_hmm *); /* NULL is allowed */

/* Index of a token of `length` bytes; SIZE_MAX when unknown. */
size_t tb_hmm_token(const tb_hmm *, const char *text, size_t length);

/* Making one, for the readers and generators: an empty mixture, and a component's arrays once its rows are known.
 * emission: [S×V], or NULL and then token[S]. */
tb_status tb_hmm_new(tb_context *, size_t n_tokens, size_t n_components, tb_hmm **) TB_MUST_CHECK;
tb_status tb_hmm_set(tb_hmm *, size_t component, double weight, size_t states, const double *start,
                     const double *transition, const double *emission, const uint32_t *token) TB_MUST_CHECK;

/* ---- the exact Bayes predictor: the forward algorithm in every component ---- */

typedef struct tb_hmm_filter tb_hmm_filter;
tb_status tb_hmm_filter_new(tb_context *, const tb_hmm *, tb_hmm_filter **) TB_MUST_CHECK;
void tb_hmm_filter_free(tb_hmm_filter *);
/* Back to the empty prefix, over all components or (component < n_components) one alone. */
void tb_hmm_filter_reset(tb_hmm_filter *, size_t component);
/* The same, the first hidden state of every component having the law start[S]. */
void tb_hmm_filter_reset_at(tb_hmm_filter *, size_t component, const double *start);
void tb_hmm_filter_copy(tb_hmm_filter *, const tb_hmm_filter *); /* of the same mixture */
void tb_hmm_filter_push(tb_hmm_filter *, size_t token);
/* ln p(prefix); −inf when impossible. */
double tb_hmm_filter_log_probability(const tb_hmm_filter *);
/* law[V] of the next token; all zero after an impossible prefix. */
void tb_hmm_filter_law(tb_hmm_filter *, double *law);
/* posterior[n_components] of the concept; all zero after an impossible prefix. */
void tb_hmm_filter_posterior(const tb_hmm_filter *, double *posterior);

/* log_alpha[S] of one component: ln P(x_1 … x_t, h_t) less its largest entry; −inf where impossible.  After a push. */
void tb_hmm_filter_states(const tb_hmm_filter *, size_t component, double *log_alpha);

/* ---- draws ---- */

/* A document of `length` tokens: number `index` of a key.  *component: the concept it came from (may be NULL). */
void tb_hmm_sample(const tb_hmm *, tb_key, uint64_t index, size_t length, uint32_t *tokens, size_t *component);

/* A prompt: n examples of k tokens, each closed by the delimiter, and k − 1 tokens; the label is what the concept alone
 * finds most probable after those k − 1. */
typedef struct tb_hmm_prompt {
  size_t length;
  const uint32_t *tokens;
  uint32_t label;
  size_t component; /* SIZE_MAX where a file gave the prompt */
} tb_hmm_prompt;

/* `count` prompts, prompt i being number i of the key.  One concept by weight; each example starts afresh: in GINC at a
 * random value and the prompt's one slot (1–9), else by the concept's start law.  undelimited: examples are drawn given
 * that no delimiter is among their tokens; TB_FAILED where that is too rare.  Memory of the arena. */
tb_status tb_hmm_prompts(tb_context *, tb_arena *, const tb_hmm *, size_t n, size_t k, bool undelimited, size_t count,
                         tb_key, tb_hmm_prompt **) TB_MUST_CHECK;

/* ---- the pattern of a prompt: n × (k tokens that are not the delimiter, the delimiter), then k − 1 such tokens ----
 */

/* Does the place t (from 0) of the pattern hold the delimiter? */
bool tb_hmm_pattern_delimiter(size_t k, size_t t);
size_t tb_hmm_pattern_length(size_t n, size_t k);
bool tb_hmm_pattern_matches(const tb_hmm *, size_t n, size_t k, size_t length, const uint32_t *tokens);
/* ln P(a document starts with the pattern). */
tb_status tb_hmm_pattern_log_probability(tb_context *, const tb_hmm *, size_t n, size_t k,
                                         double *log_probability) TB_MUST_CHECK;

/* What it costs to overwrite the in-context prediction: q swaps the two likeliest next tokens (the earlier token first
 * among equals) after every prefix of the pattern, and is p elsewhere; then, exactly,
 *   KL(p‖q) = Σ_{s in pattern} p(s) (p₁ − p₂) ln(p₁/p₂). */
typedef struct tb_hmm_swap {
  double kl;              /* nats per document; +inf where some p₂ is 0 < p₁ */
  double log_kl;          /* its logarithm, right where it is below 1e-308 */
  double se;              /* 0 where enumerated, else the Monte Carlo standard error */
  double log_probability; /* of the pattern */
  uint64_t prefixes;      /* enumerated, or drawn */
  bool exact;
} tb_hmm_swap;
/* Enumerates the possible prefixes of the pattern up to `most`, else draws `draws` of them from p given the pattern
 * (hidden path backwards-filtered, so that each draw is in it). */
tb_status tb_hmm_swap_cost(tb_context *, const tb_hmm *, size_t n, size_t k, uint64_t most, size_t draws, tb_key,
                           tb_hmm_swap *) TB_MUST_CHECK;

/* The two likeliest entries; equal ones in order. */
void tb_hmm_top_two(size_t count, const double *law, size_t *first, size_t *second);

#endif

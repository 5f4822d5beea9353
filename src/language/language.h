/* What a language is made of.
 *
 * One record a kind: built-in laws and the three kinds of files.  A kind is *deterministic* where a prefix fixes a
 * small state (start, law, step); the walk, the sampler and the facts then come from language.c and facts.c.  Other
 * kinds bring their own walk, and facts come from enumeration. */
#ifndef TB_LANGUAGE_LANGUAGE_H
#define TB_LANGUAGE_LANGUAGE_H

#include <tiebreak/language.h>

#include <language/rules.h>

enum { TB_STATE_WORDS = 20, TB_MOST_SYMBOLS = 1000, TB_MOST_STRINGS = 1000000 };

/* What a prefix fixes: compared bytewise, unused words zero. */
typedef struct tb_language_state {
  int32_t at[TB_STATE_WORDS];
} tb_language_state;

typedef struct tb_language_kind {
  const char *name, *summary;
  const char *alphabet;             /* of one-character symbols; NULL: the file's */
  size_t least, own, most;          /* max_length of built-in languages */
  tb_rule rules[2];                 /* r1, r2 */
  tb_status (*open)(tb_language *); /* fills data; may be NULL */
  void (*close)(tb_language *);     /* may be NULL */
  /* deterministic kinds */
  void (*start)(const tb_language *, tb_language_state *);
  void (*law)(const tb_language *, const tb_language_state *, double *law); /* [n_symbols + 1], sums to 1 */
  void (*step)(const tb_language *, tb_language_state *, size_t symbol);    /* law[symbol] > 0 */
  /* others */
  tb_status (*walk_new)(tb_context *, const tb_language *, void **walk);
  void (*walk_free)(void *walk);
  void (*walk_law)(void *walk, double *law);
  tb_status (*walk_push)(void *walk, size_t symbol, double probability); /* law[symbol] = probability > 0 */
  void (*walk_pop)(void *walk);
  /* NULL: dynamic programming over states, or enumeration */
  tb_status (*measure)(tb_context *, const tb_language *, tb_language_facts *);
  /* NULL: all strings of prompt_length */
  tb_status (*prompts)(tb_context *, tb_arena *, const tb_language *, size_t length, uint64_t seed, size_t *count,
                       tb_prompt **prompts);
  size_t prompt_least, prompt_own; /* where prompts are drawn */
} tb_language_kind;

struct tb_language {
  tb_context *context; /* while opening */
  tb_arena *arena;     /* everything below */
  const tb_language_kind *kind;
  const char *name;
  size_t n_symbols;
  const char **symbols;
  bool joined;       /* every symbol is one character */
  size_t max_length; /* 0: unbounded */
  size_t n_rules;
  tb_rule *rules;
  void *data; /* the kind's own */
};

extern const tb_language_kind tb_language_l1, tb_language_l2, tb_language_l3, tb_language_l4, tb_language_l5,
    tb_language_l6, tb_language_anbn, tb_language_anbnan, tb_language_abn, tb_language_anbm;

/* Index of a symbol by name (length bytes); SIZE_MAX when unknown. */
size_t tb_language_symbol_find(const tb_language *, const char *name, size_t length);

/* Reads a file into a language that has only arena and context. */
tb_status tb_language_read_file(tb_language *, const char *path, size_t max_length);

/* The two general ways to the facts (facts.c). */
tb_status tb_language_measure_states(tb_context *, const tb_language *, tb_language_facts *);
/* Strings whose prefixes all have at least probability `least`.  *whole false when there are too many, or when what is
 * left out has a mass above 1e-15. */
tb_status tb_language_measure_strings(tb_context *, const tb_language *, tb_language_facts *, double least,
                                      bool *whole);
/* positions and optimal_loss from the rest; expected_right: expected number of right guesses on a string and its end.
 */
void tb_language_close_facts(const tb_language *, tb_language_facts *, double expected_right);

/* -Σ p ln p */
double tb_law_entropy(size_t n, const double *law);
/* ln(e^a + e^b) */
double tb_log_add(double a, double b);
/* ln of the binomial coefficient */
double tb_log_choose(size_t n, size_t k);

#endif

/* tiebreak/language.h: probability laws of strings, exactly.
 *
 * A language has an alphabet, a law of its strings and rules (r1, r2, …) that its strings obey.  Everything here is
 * computed by dynamic programming, linear solves or enumeration, never by sampling.  Symbols are indices into the
 * alphabet; the end of a string is the index n_symbols.  A language is read-only once opened and may be shared by
 * threads; a walk belongs to one. */
#ifndef TIEBREAK_LANGUAGE_H
#define TIEBREAK_LANGUAGE_H

#include <tiebreak/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tb_language tb_language;

/* Opens a built-in language by name, or a file (a word with '/' or '.', or one that exists).  max_length 0: the
 * language's own size, the file's own bound.  Errors: TB_USAGE unknown name, impossible max_length; TB_BAD_DATA a
 * missing or faulty file, at FILE:LINE:COLUMN.  Free with tb_language_free. */
tb_status tb_language_open(tb_context *, const char *name_or_file, size_t max_length, tb_language **) TB_MUST_CHECK;
void tb_language_free(tb_language *);

/* Names and one-line summaries of the built-in languages; NULL behind the last. */
const char *tb_language_builtin(size_t i, const char **summary);

const char *tb_language_name(const tb_language *);
size_t tb_language_symbols(const tb_language *);
const char *tb_language_symbol(const tb_language *, size_t i); /* i = number of symbols: "end" */
size_t tb_language_max_length(const tb_language *);            /* 0: unbounded */

/* Reads a string: symbols of one character are written together, others with blanks between.  *symbols lies in the
 * arena.  Error TB_USAGE: an unknown symbol, whose byte offset goes to *fault (may be NULL). */
tb_status tb_language_read(tb_context *, tb_arena *, const tb_language *, const char *text, size_t *count,
                           uint16_t **symbols, size_t *fault) TB_MUST_CHECK;
/* The way back; NULL with TB_NO_MEMORY recorded. */
char *tb_language_text(tb_arena *, const tb_language *, size_t count, const uint16_t *symbols);

/* ---- the next-symbol oracle ---- */

/* A prefix that grows and shrinks at its right end. */
typedef struct tb_walk tb_walk;
tb_status tb_walk_new(tb_context *, const tb_language *, tb_walk **) TB_MUST_CHECK;
void tb_walk_free(tb_walk *);
/* Appends a symbol; the prefix may become impossible. */
tb_status tb_walk_push(tb_walk *, size_t symbol) TB_MUST_CHECK;
void tb_walk_pop(tb_walk *);
/* ln P(a string begins so); -inf when impossible. */
double tb_walk_log_probability(const tb_walk *);
/* Law of the next symbol, [n_symbols + 1], the end last; NULL when the prefix is impossible.  Good until the next push
 * or pop. */
const double *tb_walk_law(tb_walk *);

/* Draws string number `index` of a seed; *symbols lies in the arena. */
tb_status tb_language_sample(tb_context *, tb_arena *, const tb_language *, uint64_t seed, uint64_t index,
                             size_t *count, uint16_t **symbols) TB_MUST_CHECK;

/* ---- facts ---- */

/* NaN where a value has no exact computation; the reason says why. */
typedef struct tb_language_facts {
  double entropy;          /* nats per string */
  double mean_length;      /* symbols, the end not counted */
  double strings;          /* number of strings of positive probability; may be infinite */
  double positions;        /* max_length + 1; NaN when unbounded */
  double optimal_loss;     /* entropy / positions, nats */
  double optimal_accuracy; /* best argmax accuracy over all positions, padding counted as right */
  const char *reason;      /* why something is NaN that is not so for want of a bound, or NULL */
} tb_language_facts;
tb_status tb_language_measure(tb_context *, const tb_language *, tb_language_facts *) TB_MUST_CHECK;

/* ---- rules ---- */

size_t tb_language_rules(const tb_language *);
const char *tb_language_rule(const tb_language *, size_t i);     /* "r1" */
size_t tb_language_rule_find(const tb_language *, const char *); /* SIZE_MAX: no such rule */
bool tb_rule_holds(const tb_language *, size_t rule, size_t count, const uint16_t *symbols);
/* No continuation (the empty one included) makes the rule hold. */
bool tb_rule_broken(const tb_language *, size_t rule, size_t count, const uint16_t *symbols);
/* Does some continuation make all rules hold at once?  Rules that count are followed as far as twice what the prefix
 * counts and 64 more. */
typedef enum tb_answer { TB_NO, TB_YES, TB_UNKNOWN } tb_answer;
tb_status tb_rules_satisfiable(tb_context *, const tb_language *, size_t count, const uint16_t *symbols,
                               tb_answer *) TB_MUST_CHECK;
/* Probability that the rule holds at the end when every next token is uniform over alphabet and end. */
double tb_rule_chance(const tb_language *, size_t rule, size_t count, const uint16_t *symbols);
/* The prompt, then the alphabet's last symbol while the rule counts too few of it: does the rule hold? */
bool tb_rule_append_to_balance(const tb_language *, size_t rule, size_t count, const uint16_t *symbols);
/* Does that strategy append one more? */
bool tb_rule_wants_last(const tb_language *, size_t rule, size_t count, const uint16_t *symbols);
/* The shortest completion of at most `most` symbols (earlier symbols of the alphabet first) that makes the rule hold;
 * *length SIZE_MAX: there is none, or its search is too wide.  *completion lies in the arena. */
tb_status tb_rule_mend(tb_context *, tb_arena *, const tb_language *, size_t rule, size_t count,
                       const uint16_t *symbols, size_t most, size_t *length, uint16_t **completion) TB_MUST_CHECK;

/* ---- prompts ---- */

typedef struct tb_prompt {
  bool id;                 /* in distribution */
  size_t count, completed; /* symbols; those from `completed` on count for rules of the completion */
  const uint16_t *symbols;
} tb_prompt;
/* prompt_length 0: the language's own.  Where prompts are drawn the seed decides.  Error TB_USAGE: an impossible
 * prompt_length, more than a million prompts. */
tb_status tb_language_prompts(tb_context *, tb_arena *, const tb_language *, size_t prompt_length, uint64_t seed,
                              size_t *count, tb_prompt **prompts) TB_MUST_CHECK;

/* Strategies without a model, over one set of prompts; NaN for an empty set or where the rule is not there. */
typedef struct tb_baselines {
  size_t prompts;
  double eos_now_r1, append_to_balance_r1, chance_r1;
} tb_baselines;
/* Of the prompts in the language (id) or outside it. */
void tb_language_baselines(const tb_language *, size_t count, const tb_prompt *prompts, bool id, tb_baselines *);
/* chance.r2_completion: rule r2 on a random completion alone; NaN without r2. */
double tb_language_chance_completion(const tb_language *);

/* An evenly padded loss of X nats a position: 1 - exp(-positions (X - optimal_loss)) bounds the mass of ungrammatical
 * strings (Pinsker's way round: a grammatical mass of g costs at least -ln g). */
double tb_language_mass_bound(const tb_language_facts *, double loss);

#ifdef __cplusplus
}
#endif
#endif

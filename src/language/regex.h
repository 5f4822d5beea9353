/* POSIX extended regular expressions as deterministic automata over a language's symbols.
 *
 * regexec says whether a string matches; the studies also ask whether a prefix can still match and with what
 * probability a random completion does, so the automaton itself is needed.  The expression sees the string as text:
 * symbols of one character together, others with blanks between. */
#ifndef TB_LANGUAGE_REGEX_H
#define TB_LANGUAGE_REGEX_H

#include <tiebreak/base.h>

typedef struct tb_regex {
  size_t n_states, n_symbols;
  uint32_t *next; /* [n_states × n_symbols] */
  bool *accepts;  /* [n_states]; the string may end here */
  bool *alive;    /* [n_states]; some continuation is accepted */
  double *chance; /* [n_states]; acceptance when every token is uniform over symbols and end */
} tb_regex;       /* state 0 is the start */

/* Compiles into the arena.  symbols: names.  Errors: TB_USAGE with *fault the byte offset in the pattern; TB_FAILED
 * when the automaton has more than 2000 states. */
tb_status tb_regex_compile(tb_context *, tb_arena *, const char *pattern, size_t n_symbols, const char *const *symbols,
                           bool joined, size_t *fault, const tb_regex **);

#endif

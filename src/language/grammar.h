/* A probabilistic context-free grammar made ready for prefix probabilities. */
#ifndef TB_LANGUAGE_GRAMMAR_H
#define TB_LANGUAGE_GRAMMAR_H

#include "language.h"

/* A → B C (p) */
typedef struct tb_binary {
  uint32_t a, b, c;
  double p;
} tb_binary;

/* A → symbol (p) */
typedef struct tb_emission {
  uint32_t a;
  uint16_t symbol;
  double p;
} tb_emission;

/* Series in z count symbols: coefficient d belongs to d symbols.  Without a bound there is one coefficient, z = 1. */
typedef struct tb_grammar {
  size_t n;                   /* non-terminals that the start (0) reaches, those of long right sides included */
  size_t max_length, degrees; /* max_length + 1, or 1 */
  size_t n_binary, n_emissions;
  tb_binary *binary;
  tb_emission *emissions;
  double *empty;   /* [n] P(A derives "") */
  double *unit;    /* [n × n] A → B, one symbol's place to be empty included */
  double *closure; /* (1 - unit)^-1 */
  double *length;  /* [n × degrees] L_A(z): P(A derives d symbols), d >= 1 */
  double *corner;  /* [n × n × degrees] Q(z): from A to its left corner X, with what is pending right of it */
  uint32_t *span;  /* [n × n] coefficients of Q up to its last that is not 0 */
  double mean_length;
} tb_grammar;

/* Everything behind `emissions` for a bound (0: none); lies in the arena. */
tb_status tb_grammar_prepare(tb_context *, tb_arena *, size_t max_length, tb_grammar *);
/* P(at most max_length symbols). */
double tb_grammar_mass(const tb_grammar *);

extern const tb_language_kind tb_language_grammar;

#endif

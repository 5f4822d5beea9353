/* Strings of a language as data: all of them with their probabilities where there are few enough, else draws; and the
 * exact law along each, so that what a reader loses is known without the noise of the symbols drawn. */
#ifndef TB_LANGUAGE_CORPUS_H
#define TB_LANGUAGE_CORPUS_H

#include <tiebreak/language.h>

typedef struct tb_corpus_string {
  size_t count;
  const uint16_t *symbols;
  double weight;     /* probability, or 1/n of n draws */
  const double *law; /* [count + 1][n_symbols + 1]: of what follows each prefix; NULL unless asked for */
} tb_corpus_string;

typedef struct tb_corpus {
  bool whole; /* every string of the language is here */
  size_t count, longest;
  tb_corpus_string *strings;
} tb_corpus;

/* All strings where there are at most `most`; else whole = false and no strings.  Everything lies in the arena. */
tb_status tb_corpus_enumerate(tb_context *, tb_arena *, const tb_language *, size_t most, tb_corpus *) TB_MUST_CHECK;
/* Draws number first … first + count − 1 of a seed. */
tb_status tb_corpus_draw(tb_context *, tb_arena *, const tb_language *, uint64_t seed, uint64_t first, size_t count,
                         tb_corpus *) TB_MUST_CHECK;
/* Fills in the laws. */
tb_status tb_corpus_laws(tb_context *, tb_arena *, const tb_language *, tb_corpus *) TB_MUST_CHECK;

#endif

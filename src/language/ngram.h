/* n-grams: the law of the next token from the last order − 1 tokens, by maximum likelihood.
 *
 * The start token is context like any other; a context that the strings don't have backs off to its longest suffix that
 * they do. */
#ifndef TB_LANGUAGE_NGRAM_H
#define TB_LANGUAGE_NGRAM_H

#include "language/corpus.h"
#include "language/reader.h"

enum { TB_NGRAM_MOST = 64 };

/* Counts are the corpus's weights.  1 ≤ order ≤ TB_NGRAM_MOST. */
tb_status tb_ngram_reader(tb_context *, const tb_language *, const tb_corpus *, size_t order, size_t batch,
                          tb_reader **) TB_MUST_CHECK;
/* Numbers that it holds: contexts times tokens that follow. */
size_t tb_ngram_parameters(const tb_reader *);

#endif

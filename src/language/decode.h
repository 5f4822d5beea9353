/* Decoding: completions of prompts, symbol by symbol, all prompts of a batch in step.
 *
 * Prompts may differ in length: a row reads its prompt, then what was chosen for it.  The start token and padding are
 * never chosen. */
#ifndef TB_LANGUAGE_DECODE_H
#define TB_LANGUAGE_DECODE_H

#include "language/reader.h"

typedef struct tb_decoding {
  size_t cap;     /* most new tokens, the end being one */
  bool sample;    /* draw from the law of the next token; else the likeliest, of equals the earlier (the end last) */
  uint64_t seed;  /* of the draws: those of row i are the same whatever the batch */
  bool over_time; /* a defect to study: the law is normalised over the places read so far, token by token */
} tb_decoding;

typedef struct tb_completion {
  size_t count;
  uint16_t *symbols; /* of the arena */
  bool finished;     /* the end was chosen within the cap */
} tb_completion;

/* The token that greedy decoding takes, of scores[V]. */
size_t tb_likeliest(const tb_language *, const double *scores);

/* completions[count], one for each prompt.  Reads at most prompt + cap + 1 tokens a row and stops when all have ended.
 */
tb_status tb_decode(tb_context *, tb_arena *, tb_reader *, const tb_language *, size_t count, const tb_prompt *prompts,
                    const tb_decoding *, tb_completion *completions) TB_MUST_CHECK;

#endif

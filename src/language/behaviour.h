/* What a reader does: how far from the law it is, and what it does where the law says nothing. */
#ifndef TB_LANGUAGE_BEHAVIOUR_H
#define TB_LANGUAGE_BEHAVIOUR_H

#include "language/corpus.h"
#include "language/decode.h"

/* On strings with their laws; sums over the law of what follows each prefix, not over symbols drawn, so that sampled
 * strings give an unbiased estimate of small variance whose excess is never negative. */
typedef struct tb_fit {
  double kl,
      kl_se; /* nats a string, ends included, padding not; standard error over draws, 0 where all strings are here */
  double accuracy; /* of the argmax over all max_length + 1 positions, padding counted as right */
  double
      padding; /* nats a string of padding tokens behind the end up to max_length + 1 positions; 0 unless asked for */
  double mass; /* of all strings of the language under the reader; NaN unless all are here */
} tb_fit;
tb_status tb_measure_fit(tb_context *, tb_reader *, const tb_language *, const tb_corpus *, bool padding, tb_fit *);

/* Shares over one set of prompts.  [0]: over all, an unfinished completion breaking every rule; [1]: over the finished
 * (NaN when none is). */
typedef struct tb_conduct {
  size_t prompts, finished;
  double r1[2], r2[2], r2_completion[2]; /* NaN where there is no such rule, or no prompt */
} tb_conduct;
tb_status tb_measure_conduct(tb_context *, const tb_language *, size_t count, const tb_prompt *, const tb_completion *,
                             bool id, tb_conduct *) TB_MUST_CHECK;
/* Prompt and completion as one string of the arena; from: first symbol that counts (0: all). */
uint16_t *tb_completed(tb_arena *, const tb_prompt *, const tb_completion *, size_t from, size_t *count);
/* Does rule r2 hold of the completion alone (of what counts of it)? */
bool tb_completion_holds(tb_arena *, const tb_language *, size_t rule, const tb_prompt *, const tb_completion *);

/* Mass of the strings of 1 … most symbols by the rules r1 and r2 that they obey: both, r1 only, r2 only, neither.
 * All NaN where there are more than 10⁵ strings of `most` symbols. */
tb_status tb_measure_short_strings(tb_context *, tb_reader *, const tb_language *, size_t most, double mass[4]);

/* laws[count × V]: of the token that follows each prompt.  rotate: the prompts take other rows of the batch. */
tb_status tb_next_laws(tb_context *, tb_reader *, const tb_language *, size_t count, const tb_prompt *, size_t rotate,
                       double *laws);
/* Mean over prompts of half the L1 distance. */
double tb_mean_variation(size_t count, size_t width, const double *p, const double *q);

/* Mean over the strings' prefixes, weighted, of KL(first ‖ second): nats a string. */
tb_status tb_measure_divergence(tb_context *, tb_reader *first, tb_reader *second, const tb_language *,
                                const tb_corpus *, double *kl);

#endif

/* Readers: whatever says, of a batch of strings that grow in step, what comes next.
 *
 * A network with its cache, an n-gram table and an exact law are readers; decoding (decode.h) and every measure of
 * behaviour (behaviour.h) know no more of them than this.  Tokens: the alphabet's symbols, then end, start, padding. */
#ifndef TB_LANGUAGE_READER_H
#define TB_LANGUAGE_READER_H

#include "model/sequence.h"

#include <tiebreak/language.h>

enum { TB_EXTRA_TOKENS = 3 };
size_t tb_token_end(const tb_language *);     /* n_symbols */
size_t tb_token_start(const tb_language *);   /* n_symbols + 1 */
size_t tb_token_padding(const tb_language *); /* n_symbols + 2 */

typedef struct tb_reader tb_reader;
struct tb_reader {
  tb_context *context;
  size_t vocabulary; /* V: n_symbols + 3 */
  size_t batch;      /* rows that are read at once */
  size_t length;     /* most tokens of a row; SIZE_MAX: any number */
  /* Back to empty strings. */
  tb_status (*start)(tb_reader *);
  /* Appends tokens[batch] to the rows; scores[batch × V]: what comes next, up to a constant of the row, has the law
   * exp(score).  A row whose next tokens don't matter any more may be given anything. */
  tb_status (*read)(tb_reader *, const int32_t *tokens, double *scores);
  void (*move)(tb_reader *, const double *theta); /* networks: the parameters, copied; NULL: there are none */
  void (*free)(tb_reader *);
  void *data;
};

tb_status tb_reader_start(tb_reader *);
/* Error TB_USAGE: more tokens than `length`. */
tb_status tb_reader_read(tb_reader *, const int32_t *tokens, double *scores) TB_MUST_CHECK;
void tb_reader_free(tb_reader *); /* NULL is allowed */

/* A network of the table, at θ = 0 until it is moved.  A step is compiled for `batch` rows; keys, values and states
 * stay between steps, in arrays that grow with the strings. */
tb_status tb_network_reader(tb_context *, const tb_sequence_model *, const tb_sequence_shape *, tb_dtype, size_t batch,
                            tb_reader **) TB_MUST_CHECK;
/* The same of a network with attention (tb_network_reader calls it). */
tb_status tb_attentive_reader(tb_context *, const tb_sequence_model *, const tb_sequence_shape *, tb_dtype,
                              size_t batch, tb_reader **) TB_MUST_CHECK;
/* theta[p]: copied. */
void tb_network_reader_move(tb_reader *, const double *theta);

/* The law of the language on prefixes that it has, a strategy on the others: end at once, or append the alphabet's last
 * symbol while r1 counts too few of it and then end.  Never fails to be a law; such two agree wherever the language
 * has probability. */
typedef enum tb_strategy { TB_EOS_NOW, TB_APPEND_TO_BALANCE } tb_strategy;
tb_status tb_law_reader(tb_context *, const tb_language *, tb_strategy, size_t batch, tb_reader **) TB_MUST_CHECK;

#endif

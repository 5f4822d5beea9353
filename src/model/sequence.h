/* Sequence models: networks that say what follows a string.
 *
 * One record a model: its parameters, its logits at all places of a batch (training), and one step with a memory
 * (decoding), which gives the same logits a place at a time. */
#ifndef TB_MODEL_SEQUENCE_H
#define TB_MODEL_SEQUENCE_H

#include <tiebreak/graph.h>
#include <tiebreak/random.h>

#include "model/transformer.h"

typedef struct tb_sequence_shape {
  size_t vocabulary;    /* V */
  size_t length;        /* most tokens of a sequence */
  size_t layers, width; /* width: of the transformer's stream, of recurrent states */
  size_t embedding;     /* of lstm, gru, linear */
  size_t heads, feedforward;
  bool post_norm;
  tb_position position;
  /* two defects of the published code */
  bool place_by_row; /* transformer: the code that is added is that of the row in the batch, not of the place */
  bool last_place;   /* linear: decoding reads the weights of the last place whatever the place */
} tb_sequence_shape;

typedef struct tb_sequence_model {
  const char *name, *summary, *formula, *source;
  tb_status (*check)(tb_context *, const tb_sequence_shape *); /* TB_USAGE */
  size_t (*parameters)(const tb_sequence_shape *);
  bool (*block)(const tb_sequence_shape *, size_t k, char name[32], size_t *rows, size_t *cols);
  void (*initialise)(const tb_sequence_shape *, tb_key key, double *theta);
  /* theta[R,p], tokens int32 [B,T] or [R,B,T], T ≤ length → logits [R,B,T,V]; with dropout of that rate while training
   * (keys TB_INT32 [R,3]; not read at rate 0). */
  tb_value (*logits)(tb_graph *, const tb_sequence_shape *, tb_value theta, tb_value tokens, double rate,
                     tb_value keys);
  /* The k-th array of the memory: rows numbers a sequence, and whether one such column is kept of every place (else the
   * array is replaced).  False past the last. */
  bool (*memory)(const tb_sequence_shape *, size_t k, size_t *rows, bool *by_place);
  /* tokens int32 [R,B] at place (int32 scalar) → logits [R,B,V].  memory[k] [R,B,rows] or, by place, [R,B,rows,C] with
   * zeros from column `place` on; next[k] [R,B,rows] replaces it, or belongs into column `place`.  All memory is zero
   * at place 0.  NULL for networks with attention, which have instead: */
  tb_value (*step)(tb_graph *, const tb_sequence_shape *, tb_value theta, tb_value tokens, tb_value place,
                   const tb_value *memory, tb_value *next);
  void (*attend)(tb_graph *, const tb_sequence_shape *, tb_value theta, size_t k, tb_transformer_stage *);
  double (*slope)(const tb_sequence_shape *, size_t head);
} tb_sequence_model;

enum { TB_SEQUENCE_MEMORY = 2048 };

/* The table, ended by NULL: transformer, lstm, gru, linear. */
const tb_sequence_model *const *tb_sequence_models(void);
const tb_sequence_model *tb_sequence_model_find(const char *name);

extern const tb_sequence_model tb_sequence_linear;

#endif

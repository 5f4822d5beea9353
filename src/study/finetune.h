/* The study `finetune` from the inside: two networks that compute the same function, fine-tuned side by side. */
#ifndef TB_STUDY_FINETUNE_H
#define TB_STUDY_FINETUNE_H

#include <tiebreak/language.h>
#include <tiebreak/study.h>

#include "language/corpus.h"
#include "measure/curvature.h"
#include "model/symmetry.h"
#include "optim/training.h"

/* A language as a batch: tokens are the symbols of both languages, then end, start, padding. */
typedef struct finetune_text {
  tb_language *language;
  tb_language_facts facts;
  bool whole; /* every string of the language is in it, by probability; else strings are drawn */
  size_t rows, places;
  uint16_t *symbols;         /* of the language → tokens */
  int32_t *tokens, *targets; /* [rows, places] */
  double *weights;           /* [rows, places]: Σ w · nats is the loss in nats a position */
  void *typed_weights;       /* the same in dtype */
  double total;              /* Σ w */
} finetune_text;

typedef enum finetune_method { FINETUNE_GD, FINETUNE_MOMENTUM, FINETUNE_ADAM, FINETUNE_NGD } finetune_method;

/* Which of the twins, and which of the losses. */
enum { UNMOVED, MOVED, TWINS };
enum { SOURCE, TARGET, LOSSES };

/* A configuration made concrete.  Zero before finetune_open; closed in any state. */
typedef struct finetune {
  tb_context *context;
  const tb_config *config;
  tb_arena *arena, *scratch; /* scratch: strings of a step */
  bool scalar;               /* model=scalar: w2·relu(w1), w = (α, 1/α), losses ½(f − 1)² and ½(f − 2)² */
  double alpha;
  tb_dtype dtype;
  uint64_t seed;
  finetune_method method;
  size_t n_symbols, vocabulary; /* vocabulary: symbols, end, start, padding */
  finetune_text text[LOSSES];
  tb_symmetry_map map; /* from the unmoved twin to the moved */
  size_t parameters[TWINS];
  double threshold;
} finetune;

tb_status finetune_open(finetune *, tb_context *, const tb_config *);
void finetune_close(finetune *);

/* Languages as batches (finetune_data.c). */
tb_status finetune_read_texts(finetune *);
tb_status finetune_prepare_texts(finetune *);
/* Strings of a step, where they are drawn. */
tb_status finetune_fill(finetune *, int loss, uint64_t step);

/* ---- twins (finetune_twin.c) ---- */

/* What a loss graph is built from. */
typedef struct finetune_part {
  finetune *f;
  int twin, loss;
} finetune_part;
/* theta[R,p], tokens, targets, weights (none of them for the scalar) → [R] */
tb_value finetune_loss(const finetune_part *, tb_graph *, tb_value theta, const tb_value *inputs);
/* A compiled training of a twin on one of the losses; update none: its gradient is there to read. */
tb_status finetune_training(finetune_part *, tb_update, tb_training **);
/* One step on the loss's batch at rate lr; *value is the loss before it. */
tb_status finetune_step(const finetune_part *, tb_training *, double lr, double *value);

/* What is measured on the twins before fine-tuning. */
typedef struct finetune_measures {
  double logit_difference, gradient_error, distance;
  double gradient_ratio[2];
  double trace[TWINS], trace_se[TWINS], top[TWINS], predicted_trace, predicted_se;
} finetune_measures;
tb_status finetune_measure(finetune *, double *const theta[TWINS], finetune_measures *);
/* Fisher matrix of the target's next-token laws (of the output, for the scalar) at a twin. */
tb_status finetune_fisher(finetune_part *, tb_curvature **);

/* f of the scalar model. */
double finetune_scalar_output(const double *theta);

tb_status finetune_run(finetune *, tb_run *);

enum { FINETUNE_CLAIMS = 14 };
extern const tb_claim *const finetune_claims[FINETUNE_CLAIMS];
extern const tb_study tb_study_finetune;

#endif

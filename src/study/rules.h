/* The study `rules` from the inside: a sequence model trained on a language, and what it does.  `twins` trains two.
 *
 * Settings are plain values, so that a second model can differ from the first in a few of them. */
#ifndef TB_STUDY_RULES_H
#define TB_STUDY_RULES_H

#include "language/behaviour.h"
#include "language/ngram.h"
#include "optim/training.h"
#include "study/common.h"

typedef enum rules_training { RULES_LIKELIHOOD, RULES_ADVERSARIAL, RULES_ORACLE } rules_training;
typedef enum rules_method { RULES_GD, RULES_MOMENTUM, RULES_ADAM, RULES_NGD } rules_method;
typedef enum rules_schedule { RULES_CONSTANT, RULES_INVERSE_SQRT, RULES_COSINE } rules_schedule;

/* Defects of the published code, a bit each, in the order of rules_quirk_names. */
typedef enum rules_quirk {
  RULES_PADDING = 1 << 0,
  RULES_ROWS = 1 << 1,
  RULES_TIME_SOFTMAX = 1 << 2,
  RULES_LAST_INDEX = 1 << 3,
  RULES_FINISHED_ONLY = 1 << 4,
  RULES_SHORT_CAP = 1 << 5,
  RULES_BEST_CHECKPOINT = 1 << 6,
  RULES_ENTROPY = 1 << 7,
  RULES_LATE_COMPLETION = 1 << 8,
  RULES_SAME_PROMPTS = 1 << 9
} rules_quirk;
enum { RULES_QUIRKS = 10 };
extern const char *const rules_quirk_names[RULES_QUIRKS];

typedef struct rules_settings {
  uint64_t seed;      /* of weights, batches, dropout, draws of the model */
  uint64_t data_seed; /* of strings, prompts and which of them are taught: two models may share them */
  tb_dtype dtype;
  const char *language, *model;     /* the configuration's */
  size_t max_length, prompt_length; /* 0: the language's own */
  tb_sequence_shape shape;          /* vocabulary and length still 0 */
  size_t order;                     /* of the n-gram */
  double dropout;
  rules_training training;
  size_t strings, batch; /* strings 0: new ones every step */
  rules_method method;
  double lr, momentum, beta1, beta2, epsilon, decay, clip, damping;
  bool empirical;  /* Fisher matrix of ngd */
  size_t products; /* most Fisher-vector products a step */
  rules_schedule schedule;
  size_t warmup, steps;
  size_t cap; /* 0: as many as the longest string may need */
  bool sample;
  unsigned quirks;
} rules_settings;

/* A batch as the training graph reads it: tokens, targets int32 [rows, places], weights in dtype. */
typedef struct rules_batch {
  size_t rows, places;
  int32_t *tokens, *targets;
  void *weights;
} rules_batch;

/* A language, its data and prompts, a model.  Zero before rules_open; closed in any state. */
typedef struct rules {
  tb_context *context;
  tb_arena *arena;
  rules_settings settings;
  tb_language *language;
  tb_language_facts facts;
  const tb_sequence_model *model; /* NULL: n-gram */
  tb_sequence_shape shape;
  size_t parameters;
  size_t n_prompts, n_taught; /* evaluated; trained on (adversarial, oracle) */
  tb_prompt *prompts;
  tb_prompt *taught;
  tb_completion *lessons;                /* [n_taught] what they are trained to be completed with */
  size_t prompt_longest, lesson_longest; /* tokens of a whole lesson, end included */
  size_t cap;
  tb_corpus train, test; /* test with laws; train.count 0: new strings every step */
  rules_batch main, lesson;
  uint32_t *order;      /* an epoch's permutation of the training strings */
  uint64_t order_epoch; /* UINT64_MAX: none yet */
  bool filled;          /* the batches hold something: what never changes is not written again */
} rules;

tb_status rules_settings_read(tb_context *, const tb_config *, rules_settings *);
/* Language, model and prompts: refuses what doesn't go together (TB_USAGE, TB_BAD_DATA). */
tb_status rules_open(rules *, tb_context *, const rules_settings *);
/* Training strings, strings to measure on, batches. */
tb_status rules_prepare(rules *);
void rules_close(rules *);
/* Rows and places of the batches alone, for: */
void rules_sizes(rules *);
/* Multiply-adds counted twice: of a training step, attention unmasked. */
double rules_flop_per_step(const rules *);

/* The batch and the lessons of a step. */
tb_status rules_fill(rules *, uint64_t step);

/* ---- when to look ---- */

typedef struct rules_looks {
  size_t count;     /* of `at`; 0: the start, every tenth part, the end */
  const double *at; /* ascending, distinct; of the arena */
  double end;       /* last step */
} rules_looks;
/* TB_USAGE: a step that is none. */
tb_status rules_looks_read(tb_context *, tb_arena *, const tb_config *, double end, rules_looks *);
/* The i-th step to look at; inf past the last. */
double rules_look_at(const rules_looks *, uint64_t i);

/* ---- training ---- */

typedef struct rules_trainer rules_trainer;
tb_status rules_trainer_new(rules *, rules_trainer **);
void rules_trainer_free(rules_trainer *);
tb_status rules_trainer_step(rules_trainer *, double *loss);
uint64_t rules_trainer_steps(const rules_trainer *);
void rules_trainer_point(const rules_trainer *, double *theta);
void rules_trainer_start(rules_trainer *, const double *theta); /* from another point than the drawn weights */
size_t rules_trainer_size(const rules_trainer *);
void rules_trainer_save(const rules_trainer *, void *block);
void rules_trainer_restore(rules_trainer *, const void *block);

/* ---- measuring ---- */

/* The model as it is read: for its fit, and for completions (the same reader but for the quirk last_index). */
typedef struct rules_readers {
  tb_reader *fit, *completions;
} rules_readers;
/* Of the network at θ = 0, or of the n-gram. */
tb_status rules_readers_new(rules *, rules_readers *);
void rules_readers_move(const rules_readers *, const double *theta); /* networks only */
void rules_readers_free(rules_readers *);
/* What a model does; completions[n_prompts] of the arena. */
typedef struct rules_behaviour {
  tb_fit fit;
  double loss, excess, bound;
  tb_conduct id, ood;
  double short_strings[4];
  double ungrammatical;                               /* mass: exact where all strings are known, else as drawn */
  double drawn_ungrammatical, drawn_ungrammatical_se; /* share of strings that the model itself draws */
  double row_dependence;
  tb_completion *completions;
} rules_behaviour;
enum { RULES_SHARES = 8 };
/* Every share of a set, with its name ("ood.r1"). */
void rules_shares(const tb_conduct *, const char *set, char names[RULES_SHARES][48], double *values);
tb_status rules_measure(rules *, const rules_readers *, tb_arena *, rules_behaviour *);
tb_status rules_write_prompts(rules *, const rules_behaviour *, const char *path);

/* Completions that the settings ask for: greedy or sampled. */
tb_status rules_complete(rules *, tb_reader *, tb_arena *, tb_completion **);

extern const tb_option_table rules_model_options, rules_training_options, rules_language_options, rules_run_options;

enum { RULES_CLAIMS = 36 };
extern const tb_claim *const rules_claims[RULES_CLAIMS];
extern const tb_study tb_study_rules;

#endif

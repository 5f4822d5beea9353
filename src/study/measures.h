/* The study `measures` from the inside: many networks of one loss, what can be measured on them, what they do. */
#ifndef TB_STUDY_MEASURES_H
#define TB_STUDY_MEASURES_H

#include "study/rules.h"

/* What is measured on a network where training stops, then what it does. */
typedef enum measures_column {
  MEASURES_EXCESS,
  MEASURES_STEPS,
  MEASURES_NORM,
  MEASURES_TRACE,
  MEASURES_TOP,
  MEASURES_ADAPTIVE_TRACE,
  MEASURES_ADAPTIVE_TOP,
  MEASURES_OOD_R1,
  MEASURES_OOD_FINISHED,
  MEASURES_TRANSFER,
  MEASURES_COLUMNS
} measures_column;
enum { MEASURES_BEHAVIOURS = MEASURES_OOD_R1 }; /* first column of behaviour */
extern const char *const measures_names[MEASURES_COLUMNS];

/* A network's row, and when it learnt the rules. */
typedef struct measures_row {
  double values[MEASURES_COLUMNS];
  double rate, learnt[2];                   /* steps; of r1, r2 */
  double moved_trace, moved_adaptive_trace; /* of its rescaled twin (the first network's alone) */
} measures_row;

typedef struct measures {
  tb_context *context;
  const tb_config *config;
  tb_run *run;
  rules_settings settings;
  tb_arena *arena;
  rules source, target; /* of the network in hand */
  size_t count, done;
  measures_row *rows; /* [count] */
  double *theta, *moved;
} measures;

/* Network i's language, data and shape, and the target's, in place of those of the network before. */
tb_status measures_open(measures *, size_t i);
void measures_close(measures *);
/* Saves the rows that are done and returns the status of a stop. */
tb_status measures_stop(measures *);
/* Trains and measures network i: its row.  One that does not reach the loss has a row of NaN. */
tb_status measures_take(measures *, size_t i);

enum { MEASURES_USUAL_STEPS = 500 }; /* to the loss, at the defaults */
enum { MEASURES_CLAIMS = 8 };
extern const tb_claim *const measures_claims[MEASURES_CLAIMS];
extern const tb_study tb_study_measures;

#endif

/* tiebreak/study.h: studies and claims, one record each, one table of all.
 *
 * A study turns a configuration into snapshots and metrics.  A claim is a sentence of a paper with a number in it: how
 * it is measured on an outcome, how its reference is obtained independently, and when it holds. */
#ifndef TIEBREAK_STUDY_H
#define TIEBREAK_STUDY_H

#include <tiebreak/base.h>
#include <tiebreak/metrics.h>
#include <tiebreak/options.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what a study sees of the machinery around it (implemented in src/run, and by tests) ---- */

/* One run: made by the scheduler, handed to the study. */
typedef struct tb_run tb_run;

tb_context *tb_run_context(tb_run *);
const tb_config *tb_run_config(const tb_run *);
/* Stores a snapshot (t, loss, …; copied).  A run's snapshots come in increasing t. */
tb_status tb_run_snapshot(tb_run *, const tb_metrics *);
/* The final metrics; add to them. */
tb_metrics *tb_run_metrics(tb_run *);
/* One line for the reader ("3 duplicate rows"), shown at once, kept in `warnings` and the log. */
tb_status tb_run_warn(tb_run *, const char *format, ...) TB_PRINTF(2, 3);
/* The same, with a word that stands for it in `warnings` ("divergences"); the sentence is shown and logged. */
tb_status tb_run_caution(tb_run *, const char *word, const char *format, ...) TB_PRINTF(3, 4);
/* Fraction done (0..1, NaN: unknown) and a short word on where it is; cheap, call often. */
void tb_run_progress(tb_run *, double fraction, const char *what);
/* True once the user or the system asked to stop: save a checkpoint and return tb_run_stop_status(). */
bool tb_run_should_stop(const tb_run *);
tb_status tb_run_stop_status(tb_run *);
/* True when enough time has passed since the last checkpoint that one should be written now. */
bool tb_run_checkpoint_due(const tb_run *);
/* A checkpoint is an opaque block: everything needed to go on to the same bits.  Snapshots and warnings recorded so far
 * are kept by the machinery along with it (a resumed run finds them again), so a study saves only its state. */
tb_status tb_run_checkpoint_save(tb_run *, const void *data, size_t size);
/* *data is NULL when there is none (a fresh run).  Owned by the run. */
tb_status tb_run_checkpoint_load(tb_run *, const void **data, size_t *size);
/* Path of a file in the run folder for extra output ("draws.npz"); also lists it under "files" as `key`. */
tb_status tb_run_file(tb_run *, const char *key, const char *name, const char **path);

/* ---- outcomes and claims ---- */

/* What a finished run left: its configuration, final metrics and snapshots. */
typedef struct tb_outcome {
  const char *run; /* name */
  const tb_config *config;
  const tb_metrics *metrics;
  size_t n_snapshots;
  tb_metrics *const *snapshots;
} tb_outcome;

typedef enum tb_claim_kind {
  TB_CLAIM_AGREES,   /* |value − reference| ≤ tolerance in every run */
  TB_CLAIM_AT_MOST,  /* value ≤ reference + tolerance in every run */
  TB_CLAIM_AT_LEAST, /* value ≥ reference − tolerance in every run */
  TB_CLAIM_BELOW, /* paired by seed: mean(value of arm 0 − value of arm 1) < −tolerance, 95 % interval excluding it */
  TB_CLAIM_MEAN, /* the mean over seeds agrees with the reference within tolerance plus the 95 % interval */
  TB_CLAIM_LESS, /* within each run: mean over seeds of value − reference < −tolerance, 95 % interval excluding it */
  TB_CLAIM_SLOPE /* value grows with reference at slope 1: least squares in each seed, mean over seeds within tolerance
                  */
} tb_claim_kind;

typedef enum tb_verdict_word { TB_HOLDS, TB_FAILS, TB_UNDECIDED } tb_verdict_word;

typedef struct tb_claim {
  const char *id;        /* "separable.ngf_ray" */
  const char *statement; /* the sentence, readable alone */
  const char *source;    /* paper, section or derivation */
  const char *reference; /* how the reference is obtained, independently of the code under test */
  const char *group;     /* heading in the report: the sentence of the abstract that this supports */
  tb_claim_kind kind;
  double tolerance;
  const char *unit;
  int min_seeds; /* BELOW, LESS and MEAN: fewer give TB_UNDECIDED; 0 for exact claims */
  /* −1: the claim does not apply to this run; 0 or 1: which arm of a paired comparison (0 where there is but one). */
  int (*arm)(const tb_config *config);
  /* Value and reference on one run (BELOW: value, reference 0).  Both NaN: the claim does not apply to this run after
   * all (its data are of another shape, it has not gone far enough). */
  tb_status (*measure)(tb_context *, const tb_outcome *, double *value, double *reference);
} tb_claim;

typedef struct tb_verdict {
  const tb_claim *claim;
  tb_verdict_word word;
  /* exact kinds: of the worst run; BELOW and LESS: mean difference and 0; MEAN: mean and reference; SLOPE: slope and 1
   */
  double value, reference;
  double low, high; /* 95 % interval of the value where several seeds ran; NaN otherwise */
  size_t runs, seeds;
  char note[160]; /* why undecided, or which run was worst; may be empty */
} tb_verdict;

/* Judges a claim over outcomes (those to which it does not apply are skipped); returns false in *applies when none is
 * left. */
tb_status tb_claim_judge(tb_context *, const tb_claim *, size_t n, const tb_outcome *outcomes, bool *applies,
                         tb_verdict *);

/* ---- studies ---- */

typedef struct tb_estimate {
  double flop, seconds, memory; /* of one run; NaN when unknown */
  double steps;
  double parameters; /* of the model; 0 or NaN: unknown */
} tb_estimate;

typedef struct tb_study {
  const char *name;
  const char *laboratory; /* "natural-gradient", "diffusion", "language" */
  const char *summary;    /* one line */
  const char *paper;
  const char *details; /* several lines for `explain` */
  const tb_option_table *const *tables;
  size_t n_tables;
  const tb_metric *metrics;
  size_t n_metrics;
  const tb_claim *const *claims;
  size_t n_claims;
  /* Refuses impossible or not yet available combinations before anything runs (TB_USAGE); may read data files
   * (TB_BAD_DATA).  Must not depend on the seed: of runs that differ in
   * nothing else the first alone is checked. */
  tb_status (*check)(tb_context *, const tb_config *);
  tb_status (*estimate)(tb_context *, const tb_config *, tb_estimate *);
  tb_status (*run)(tb_run *);
} tb_study;

/* The table, ended by NULL. */
const tb_study *const *tb_studies(void);
const tb_study *tb_study_find(const char *name);
/* Questions that verbs put (`density`, `drift`): records like studies, answered at once, without folder, checkpoints
 * or extra files.  The table, ended by NULL. */
const tb_study *const *tb_questions(void);
const tb_study *tb_question_find(const char *name);
const tb_claim *tb_claim_find(const char *id, const tb_study **study);

#ifdef __cplusplus
}
#endif
#endif

/* tiebreak/run.h: from a study file and overrides to finished, recorded runs.
 *
 * A batch is what one command asked for: one or more parts (YAML documents), each a study with options, some of them
 * swept.  It expands to a fixed list of runs.  A batch of one run is that run's folder; otherwise each run has a folder
 * inside the batch's.  The folder is the truth, the SQLite index can be rebuilt from it. */
#ifndef TIEBREAK_RUN_H
#define TIEBREAK_RUN_H

#include <tiebreak/study.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tb_assignment {
  const char *key, *text, *origin; /* origin: "command line" or "FILE:LINE" */
  /* Where it was written, for messages; all optional. */
  const char *path; /* of the study file, NULL on a command line */
  int line;
  const char *excerpt;             /* the command line as typed; a file's line is read again */
  size_t key_column, value_column; /* 1-based, of the excerpt or the file's line */
} tb_assignment;

/* A part before expansion: the study and its assignments in order (last wins). */
typedef struct tb_part {
  const char *name, *title;       /* of the document, or the study's name and "" */
  const char *paper, *laboratory; /* of the document, the first document or the study */
  const tb_study *study;
  size_t count;
  const tb_assignment *assignments;
} tb_part;

typedef struct tb_batch tb_batch;

/* ---- asking ---- */

/* A batch from a study's name or a YAML file (documents of `key: value` lines; `study:`, `name:`, `title:`, `paper:`
 * and `laboratory:` are the document's own; values may be lists or sweeps) with overrides applied to every document
 * whose study knows the key.  Last wins.  A first document that has only own keys is a header: it names the batch and
 * gives the others their paper and laboratory; a later document without `study:` is of the study before it.
 *
 * Sweeps: `a,b,c` and `1:5` (whole numbers, both ends), for options of one value.  The runs of a part are the cross
 * product in the order of the assignments, the last varying fastest, seed always innermost.
 *
 * Everything is checked before it returns: keys, values, the studies' own checks of every run.  Errors: TB_USAGE with
 * the place and the excerpt (also more than 100,000 runs), TB_BAD_DATA from data files. */
tb_status tb_batch_new(tb_context *, const char *study_or_file, size_t n_overrides, const tb_assignment *overrides,
                       tb_batch **);
void tb_batch_free(tb_batch *);
size_t tb_batch_runs(const tb_batch *);
size_t tb_batch_parts(const tb_batch *);
const tb_part *tb_batch_part(const tb_batch *, size_t i);
size_t tb_batch_part_runs(const tb_batch *, size_t i); /* their runs follow one another in the order of the parts */
const char *tb_batch_name(const tb_batch *);           /* what its folder will be called, before the counter */
const char *tb_batch_title(const tb_batch *);          /* of the header document; may be "" */
/* Documents left out because a file of theirs is in a folder `$NAME/…` that the environment does not name: a line each.
 */
size_t tb_batch_skips(const tb_batch *);
const char *tb_batch_skip(const tb_batch *, size_t i);
/* Made on demand and kept; NULL on exhaustion of memory. */
const tb_config *tb_batch_config(tb_batch *, size_t run);
const tb_study *tb_batch_study(const tb_batch *, size_t run);
const char *tb_batch_part_name(const tb_batch *, size_t run);
/* Sums of flop, steps and seconds (one after another) over all runs, the largest memory and parameters of one run; NaN:
 * unknown. */
tb_status tb_batch_estimate(tb_batch *, tb_estimate *);
/* The same, measured on this machine: a run of each kind (runs that differ in their seeds alone are one kind) is begun
 * in a child process and a scratch folder, and what it would take is told from its progress; all of them have about
 * `budget` seconds together, less where that is enough.  threads as in tb_run_options.  To be called before this
 * process runs anything in threads. */
typedef struct tb_prediction {
  tb_estimate all; /* as of tb_batch_estimate */
  double seconds;  /* until the last run ends */
  double memory;   /* bytes of the whole process at its peak */
} tb_prediction;
tb_status tb_batch_predict(tb_batch *, int threads, double budget, tb_prediction *);
/* Claims that apply to at least one run, in the order of the studies' tables; the list belongs to the arena. */
tb_status tb_batch_claims(tb_batch *, tb_arena *, size_t *count, const tb_claim ***claims);

/* ---- running ---- */

typedef struct tb_run_options {
  const char *folder;        /* default "runs" */
  const char *name;          /* of the batch; NULL: made from the study and a counter, never an existing one */
  int threads;               /* 0: all cores */
  double time_limit;         /* seconds after which everything stops with checkpoints (TB_STOPPED); 0: none */
  double checkpoint_seconds; /* time between checkpoints of a run; 0: 2 */
  /* Called as things happen, serialised, from any thread; any may be NULL. */
  void *user;
  void (*started)(void *user, size_t run, const char *name);
  void (*progress)(void *user, size_t finished, size_t runs, double fraction, double seconds_left, const char *what);
  void (*warned)(void *user, size_t run, const char *message);
  /* In the order of the run list whatever the thread order; record is the run's JSON line (NULL: not finished). */
  void (*finished)(void *user, size_t run, tb_status status, const char *record);
  /* Before `finished` of a run that failed: why holds status, message, place, excerpt and hint. */
  void (*failed)(void *user, size_t run, const tb_context *why);
} tb_run_options;

/* Runs everything that is not finished yet, many runs at a time, one thread each (a single run has all threads).  The
 * first failure's status, after the other runs had their chance; TB_INTERRUPTED or TB_STOPPED when asked to stop.
 * Results do not depend on the number of threads. */
tb_status tb_batch_run(tb_context *, tb_batch *, const tb_run_options *);
const char *tb_batch_folder(const tb_batch *);           /* after tb_batch_run; else NULL */
const char *tb_batch_run_folder(tb_batch *, size_t run); /* the same of one run */
/* Takes up a run's or batch's folder again: finished runs are kept, the others continue from their checkpoints to the
 * same bits.  Errors: TB_BAD_DATA when the folder is damaged. */
tb_status tb_batch_open(tb_context *, const char *folder, tb_batch **);
/* Ask all running batches of this process to stop (async-signal-safe): TB_INTERRUPTED or TB_STOPPED. */
void tb_request_stop(tb_status why);
void tb_clear_stop(void);

/* ---- questions ---- */

/* Answers a question of tb_questions once, without a folder: its JSON line (a run's record) to the text, its metrics
 * to *metrics (NULL: not wanted), which the caller frees.  Errors as of tb_batch_new and of the question itself. */
tb_status tb_question_answer(tb_context *, const tb_study *question, size_t n_overrides, const tb_assignment *overrides,
                             tb_text *line, tb_metrics **metrics);

/* ---- what was recorded ---- */

typedef struct tb_record tb_record; /* one finished (or unfinished) run, read back from its folder */
tb_status tb_record_open(tb_context *, const char *folder, tb_record **);
void tb_record_free(tb_record *);
const tb_outcome *tb_record_outcome(const tb_record *);
const tb_study *tb_record_study(const tb_record *);
const char *tb_record_folder(const tb_record *);
const char *tb_record_part(const tb_record *);  /* part name */
const char *tb_record_title(const tb_record *); /* part title, may be "" */
const char *tb_record_json(const tb_record *);  /* the contract's line */
const char *tb_record_state(const tb_record *); /* "finished", "failed", "unfinished" */
double tb_record_seconds(const tb_record *);

/* Folders of all runs below a run's or batch's name or folder (a batch gives its runs in order).  Names are looked up
 * in `root`.  Error TB_USAGE: no such run, with a suggestion.  The list belongs to the arena. */
tb_status tb_runs_resolve(tb_context *, tb_arena *, const char *root, const char *name, size_t *count,
                          const char ***folders);

typedef struct tb_run_row {
  const char *name, *study, *part, *state, *started, *summary;
  double seconds;
} tb_run_row;
/* The index, newest first; rebuilt from the folders where it is missing or stale. */
tb_status tb_runs_list(tb_context *, tb_arena *, const char *root, size_t *count, tb_run_row **rows);

/* The snapshots of runs, a row each: CSV text (vectors as columns NAME[1]…, matrices NAME[1][1]…), or an NPZ file whose
 * arrays have a first axis of snapshots (shorter ones padded with NaN).  Several runs: a first column or array `run`.
 */
tb_status tb_records_csv(tb_context *, size_t n, tb_record *const *records, tb_text *out);
tb_status tb_records_npz(tb_context *, size_t n, tb_record *const *records, const char *path);
/* Draws of a run of `sample` in Stan's CSV: sampler's columns, then parameters with dots for indices.  chain counts
 * from 1, 0: all chains one after another; *chains (may be NULL): how many there are.  TB_USAGE: a run without draws.
 */
tb_status tb_record_stan_csv(tb_context *, const tb_record *, size_t chain, size_t *chains, tb_text *out);

/* Verdicts of all claims that apply to these records, in the order of the studies' claim tables. */
tb_status tb_claims_judge(tb_context *, tb_arena *, size_t n, tb_record *const *records, size_t *count,
                          tb_verdict **verdicts);

#ifdef __cplusplus
}
#endif
#endif

/* What the verbs share: the command line as read, messages, tables, progress. */
#ifndef TB_CLI_CLI_H
#define TB_CLI_CLI_H

#include <tiebreak/tiebreak.h>

/* ---- the command line ---- */

typedef struct cli {
  tb_context *context;
  tb_arena *arena;   /* lives as long as the program */
  const char *typed; /* the whole command line, for excerpts */
  const struct verb *verb;
  /* words that are no flags, with their columns in `typed` */
  size_t n_words;
  const char **words;
  size_t *columns;
  /* flags */
  bool help, version, json, quiet, dry_run, strict, quick, full, pdf, plot, check;
  long threads, steps;                             /* 0: all cores */
  double time_limit, checkpoint_every;             /* seconds; 0: none, default */
  const char *out, *runs, *format, *name, *report; /* NULL: not given */
  /* --next, --check: in the order typed, each with its column */
  size_t n_asked;
  struct asked {
    bool check; /* else next */
    const char *text;
    size_t column;
  } * asked;
  bool prompts, has_loss;
  long samples; /* 0: not asked */
  double loss;
  bool failed_aloud; /* the failure was told when it happened */
} cli;

/* Bits of the flags that a verb takes besides --help, --json and --quiet. */
enum {
  FLAG_THREADS = 1,
  FLAG_OUT = 2,
  FLAG_RUNS = 4,
  FLAG_DRY_RUN = 8,
  FLAG_STRICT = 16,
  FLAG_LEVEL = 32, /* --quick, --full */
  FLAG_PDF = 64,
  FLAG_FORMAT = 128,
  FLAG_RUNNING = 256, /* --name, --time-limit, --checkpoint-every */
  FLAG_STEPS = 512,
  FLAG_REPORT = 1024,
  FLAG_PLOT = 2048,
  FLAG_LANGUAGE = 4096, /* --next, --check, --prompts, --sample, --loss */
  FLAG_DENSITY = 8192   /* --check */
};

typedef struct verb {
  const char *name;
  const char *usage;   /* what follows the name */
  const char *summary; /* one line */
  const char *details; /* several lines for --help; may be "" */
  int flags;
  size_t least, most; /* words */
  tb_status (*run)(cli *);
} verb;

typedef struct flag {
  const char *name;     /* "--threads" */
  const char *argument; /* "N", or NULL */
  const char *summary;
  int bit; /* 0: every verb takes it */
} flag;

extern const verb *const verbs[]; /* ended by NULL */
extern const flag flags[];
extern const size_t n_flags;
const verb *verb_find(const char *name);

/* Reads argv; a mistake is recorded in cli->context. */
tb_status arguments_read(cli *, int argc, char **argv);
void help_print(const cli *);
/* key=value words from `first` on as assignments for tb_batch_new. */
tb_status arguments_overrides(cli *, size_t first, size_t *count, tb_assignment **overrides);
/* Records TB_USAGE at a column of the line as typed (1-based; 0: none). */
tb_status arguments_fail_at(cli *, size_t column, const char *hint, const char *message);
/* Records TB_USAGE at a word of the command line. */
tb_status arguments_fail(cli *, size_t word, const char *hint, const char *format, ...) TB_PRINTF(4, 5);
const char *cli_runs_folder(const cli *); /* --runs, else --out where that names the runs, else "runs" */

/* ---- speaking ---- */

/* The failure that a context holds: "tiebreak: error: place: message", excerpt and caret, hint. */
void message_failure(const cli *, const tb_context *why);
/* "tiebreak: …" on stderr unless --quiet. */
void message_note(const cli *, const char *format, ...) TB_PRINTF(2, 3);
void message_warning(const cli *, const char *format, ...) TB_PRINTF(2, 3);
/* Escape sequences where the stream is a terminal and NO_COLOR is not set; else "". */
typedef enum colour { COLOUR_NONE, COLOUR_BOLD, COLOUR_RED, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_DIM } colour;
const char *colour_on(FILE *, colour);
const char *colour_off(FILE *);
size_t terminal_width(FILE *); /* characters; 0: not a terminal */

/* Columns aligned by their widest cell (UTF-8 counted by character); a cell may be coloured. */
typedef struct table {
  cli *cli;
  size_t cols, rows, room;
  const char **cells; /* rows × cols */
  colour *colours;
  const char **notes; /* below each row, may be NULL */
  bool failed;
} table;
table table_new(cli *, size_t cols);
void table_cell(table *, size_t col, colour, const char *format, ...) TB_PRINTF(4, 5);
void table_row(table *);                    /* begins a row */
void table_note(table *, const char *text); /* below the row, dim and indented; the text must last */
tb_status table_print(table *, FILE *, const char *indent);

/* 12.3 s, 4 min 05 s, 2 h 10 min */
const char *readable_seconds(double seconds, char buffer[40]);
/* 1.2 GiB */
const char *readable_bytes(double bytes, char buffer[40]);
/* Six digits, "inf", "nan". */
const char *readable_number(double value, char buffer[40]);
/* A metric in at most `width` characters. */
const char *readable_metric(cli *, const tb_metric_value *, size_t width);

/* ---- running, shared by run, reproduce, resume ---- */

/* Runs a batch with progress, messages and signals; with --json a line a finished run on stdout. */
tb_status run_batch(cli *, tb_batch *);
/* Metrics, a line each. */
tb_status metrics_print(cli *, const tb_metrics *);
/* Opens the finished runs of a batch's list of folders. */
tb_status open_records(cli *, size_t count, const char *const *folders, size_t *n, tb_record ***records);
void free_records(size_t n, tb_record **records);
/* Records of the words from `first` on (names or folders). */
tb_status named_records(cli *, size_t first, size_t *n, tb_record ***records);
/* The claims table; *failing counts claims that fail.  only: NULL or the ids to show. */
tb_status claims_print(cli *, FILE *, size_t n, tb_record **records, size_t *failing);
/* What --dry-run says. */
tb_status dry_run(cli *, size_t n, tb_batch **batches);

/* What `tiebreak run` does with a study or a file and its overrides. */
tb_status run_study(cli *, const char *study_or_file, size_t count, const tb_assignment *overrides);
/* `target=` of the first word and key=value of the others; there is room for one more. */
tb_status target_overrides(cli *, size_t *count, tb_assignment **overrides);
/* Asks a question of tb_questions about the target that the first word names, further words being its options: its JSON
 * line or its metrics to stdout. */
tb_status ask_of_target(cli *, const char *question);

/* ---- verbs ---- */

extern const verb verb_studies, verb_run, verb_reproduce, verb_explain, verb_doctor, verb_runs, verb_show, verb_compare,
    verb_resume, verb_export, verb_report, verb_bench, verb_language, verb_sample, verb_density, verb_drift,
    verb_completion;

#endif

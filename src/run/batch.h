/* A batch: parts, their sweeps, and the runs they expand to. */
#ifndef TB_RUN_BATCH_H
#define TB_RUN_BATCH_H

#include <tiebreak/run.h>

enum { TB_MOST_RUNS = 100000 };

/* One option as finally assigned, with all the values it takes (one where it is not swept). */
typedef struct tb_axis {
  const tb_assignment *source;
  size_t count;
  const char *const *values;
} tb_axis;

typedef struct tb_section {
  tb_part part;
  bool literal; /* values are taken as they are: read back from a folder */
  size_t n_axes;
  tb_axis *axes; /* in the order in which they vary, the last fastest */
  size_t first, runs;
} tb_section;

struct tb_batch {
  tb_context *context;
  tb_arena *arena; /* everything below */
  const char *name, *title;
  const char *source; /* the study file as given */
  size_t n_parts;
  tb_section *parts;
  size_t n_skipped;
  const char **skipped; /* one line a document left out */
  size_t n_runs;
  tb_config **configs;  /* made on demand */
  const char *folder;   /* NULL before it has one */
  const char *run_name; /* of a single run taken up from its folder, else NULL */
};

/* Empty batch with context and arena; NULL on exhaustion. */
tb_batch *tb_batch_blank(tb_context *);
/* A batch of one study, as tb_batch_new makes it of a name. */
tb_status tb_batch_of_study(tb_context *, const tb_study *, size_t n_overrides, const tb_assignment *, tb_batch **);
/* Parses every assignment of every part, counts, expands and checks (see tb_batch_new). */
tb_status tb_batch_expand(tb_batch *);
/* A fresh configuration of one run, owned by the caller; safe from several threads, each with its own context. */
tb_status tb_batch_make_config(tb_context *, const tb_batch *, size_t run, tb_config **);
/* The study's estimate of every run, each[runs].  kind[runs] (may be NULL): runs that differ in their seeds alone share
 * one estimate, and here the index of the first of them. */
tb_status tb_batch_estimate_each(tb_batch *, tb_estimate *each, size_t *kind);
int tb_batch_digits(const tb_batch *); /* of the names of its members' folders */
const tb_section *tb_section_of(const tb_batch *, size_t run);

/* Adds the place and the excerpt of an assignment to the failure just recorded: its key, or `offset` bytes into its
 * value. */
tb_status tb_assignment_fail(tb_context *, const tb_assignment *, bool at_key, size_t offset);
/* A path typed in a file that stands in `folder`: relative ones are joined to it.  Commas part several paths; words
 * among the option's choices stay. */
const char *tb_assignment_rebase(tb_arena *, const tb_option *, const char *text, const char *folder);

#endif

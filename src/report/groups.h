/* Which runs belong together in a figure: a part's runs, grouped by everything but the seed, with labels a reader
 * knows.
 *
 * The report sees a run as an exhibit, whatever it was read from; so figures can be tested without run folders. */
#ifndef TB_REPORT_GROUPS_H
#define TB_REPORT_GROUPS_H

#include <tiebreak/study.h>

typedef struct tb_exhibit {
  const tb_outcome *outcome;
  const tb_study *study;
  const char *part, *title; /* of the study file's document; title may be "" */
  const char *folder;       /* of the run; may be "" */
  const char *json;         /* the run's line; may be "" */
  const char *state;        /* "finished", "failed", "unfinished" */
  double seconds;
} tb_exhibit;

/* Runs that differ in nothing but the seed. */
typedef struct tb_group {
  const char *label;   /* all in which the group differs from its neighbours: "gradient flow, diagonal, depth 2" */
  const char *method;  /* that part of it that names the method and its Fisher matrix; "" where all groups share it */
  const char *rest;    /* the other part; "" where there is none */
  size_t method_index; /* 0, 1, … by first appearance: one colour a method */
  size_t n;
  const tb_exhibit **runs; /* in the order given */
} tb_group;

/* The exhibits of each part, in order of first appearance. */
typedef struct tb_chapter {
  const char *name, *title;
  const tb_study *study;
  size_t n;
  const tb_exhibit **runs;
} tb_chapter;

/* Everything returned belongs to the arena.  Runs that did not finish are left out of groups, not of chapters. */
tb_status tb_chapters_of(tb_context *, tb_arena *, size_t n, const tb_exhibit *runs, size_t *count,
                         tb_chapter **chapters);
tb_status tb_groups_of(tb_context *, tb_arena *, size_t n, const tb_exhibit *const *runs, size_t *count,
                       tb_group **groups);

/* The value of option i as a reader says it: "natural gradient flow", "depth 2", "λ = 0.01". */
const char *tb_option_phrase(tb_arena *, const tb_config *, size_t i);

#endif

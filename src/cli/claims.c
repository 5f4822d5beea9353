/* The claims table: verdict, value, reference, interval; and opening the records it is made of. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

enum { MOST_NARROW = 200 }; /* terminals below that show a claim's statement on a line of its own */

static const char *verdict_word(tb_verdict_word word) {
  return word == TB_HOLDS ? "holds" : word == TB_FAILS ? "fails" : "undecided";
}

static colour verdict_colour(tb_verdict_word word) {
  return word == TB_HOLDS ? COLOUR_GREEN : word == TB_FAILS ? COLOUR_RED : COLOUR_YELLOW;
}

/* What the value is held against: "= 0.5 ± 1e-6", "≤ 1". */
static void reference_text(const tb_verdict *v, char text[120]) {
  char reference[40], tolerance[40];
  const tb_claim *claim = v->claim;
  readable_number(v->reference, reference);
  const char *around = readable_number(claim->tolerance, tolerance);
  switch (claim->kind) {
  case TB_CLAIM_AT_MOST:
    snprintf(text, 120, "≤ %s", readable_number(v->reference + claim->tolerance, reference));
    return;
  case TB_CLAIM_AT_LEAST:
    snprintf(text, 120, "≥ %s", readable_number(v->reference - claim->tolerance, reference));
    return;
  case TB_CLAIM_BELOW:
  case TB_CLAIM_LESS:
    snprintf(text, 120, "< %s", readable_number(-claim->tolerance + 0.0, reference));
    return;
  default:
    snprintf(text, 120, "= %s ± %s", readable_number(v->reference, reference), around);
  }
}

static void claim_row(table *t, const tb_verdict *v, bool narrow) {
  char number[40], low[40], high[40], reference[120];
  reference_text(v, reference);
  table_row(t);
  table_cell(t, 0, verdict_colour(v->word), "%s", verdict_word(v->word));
  table_cell(t, 1, COLOUR_NONE, "%s", v->claim->id);
  table_cell(t, 2, COLOUR_NONE, "%s%s%s", readable_number(v->value, number),
             v->claim->unit && *v->claim->unit ? " " : "", v->claim->unit ? v->claim->unit : "");
  table_cell(t, 3, COLOUR_NONE, "%s", reference);
  if (!isnan(v->low))
    table_cell(t, 4, COLOUR_NONE, "[%s, %s]", readable_number(v->low, low), readable_number(v->high, high));
  table_cell(t, 5, COLOUR_NONE, "%zu", v->runs);
  if (narrow)
    table_note(t, v->claim->statement);
  else
    table_cell(t, 6, COLOUR_DIM, "%s", v->claim->statement);
}

tb_status claims_print(cli *c, FILE *out, size_t n, tb_record **records, size_t *failing) {
  size_t count, decided[3] = { 0 };
  tb_verdict *verdicts;
  *failing = 0;
  tb_status status = tb_claims_judge(c->context, c->arena, n, records, &count, &verdicts);
  if (status || count == 0)
    return status;
  static const char *const heads[] = { "verdict", "claim", "value", "reference", "95 % interval", "runs", "statement" };
  size_t width = terminal_width(out), cols = width > 0 && width < MOST_NARROW ? 6 : 7;
  table t = table_new(c, cols);
  table_row(&t);
  for (size_t k = 0; k < cols; k++)
    table_cell(&t, k, COLOUR_BOLD, "%s", heads[k]);
  for (size_t i = 0; i < count; i++) {
    claim_row(&t, &verdicts[i], cols == 6);
    decided[verdicts[i].word]++;
  }
  *failing = decided[TB_FAILS];
  status = table_print(&t, out, "");
  if (!status)
    fprintf(out, "%zu claim%s: %zu hold, %zu fail, %zu undecided\n", count, count == 1 ? "" : "s", decided[TB_HOLDS],
            decided[TB_FAILS], decided[TB_UNDECIDED]);
  for (size_t i = 0; i < count && !status; i++)
    if (verdicts[i].word == TB_UNDECIDED && *verdicts[i].note)
      fprintf(out, "  %s: %s\n", verdicts[i].claim->id, verdicts[i].note);
  return status;
}

tb_status open_records(cli *c, size_t count, const char *const *folders, size_t *n, tb_record ***records) {
  *n = 0;
  *records = tb_arena_allocate(c->arena, count + 1, sizeof **records);
  if (!*records)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < count; i++) {
    tb_status status = tb_record_open(c->context, folders[i], &(*records)[*n]);
    if (status) {
      free_records(*n, *records);
      *n = 0;
      return status;
    }
    ++*n;
  }
  return TB_OK;
}

void free_records(size_t n, tb_record **records) {
  for (size_t i = 0; i < n; i++)
    tb_record_free(records[i]);
}

tb_status named_records(cli *c, size_t first, size_t *n, tb_record ***records) {
  const char **all = NULL;
  size_t count = 0;
  *n = 0;
  for (size_t i = first; i < c->n_words; i++) {
    const char **folders;
    size_t more;
    tb_status status = tb_runs_resolve(c->context, c->arena, cli_runs_folder(c), c->words[i], &more, &folders);
    if (status) {
      tb_fail_excerpt(c->context, c->typed, c->columns[i]);
      return status;
    }
    const char **joined = tb_arena_allocate(c->arena, count + more + 1, sizeof *joined);
    if (!joined)
      return TB_NO_MEMORY;
    for (size_t k = 0; k < count; k++)
      joined[k] = all[k];
    for (size_t k = 0; k < more; k++)
      joined[count + k] = folders[k];
    all = joined;
    count += more;
  }
  return open_records(c, count, all, n, records);
}

/* A made-up laboratory for the report's tests: a study, claims with every verdict, and runs whose curves are closed
 * formulas of the kinds that the real studies show. */
#ifndef TB_TESTS_REPORT_EXHIBITS_H
#define TB_TESTS_REPORT_EXHIBITS_H

#include "report/report.h"

typedef struct fair {
  tb_context *context;
  size_t n_runs, n_verdicts;
  tb_exhibit *runs;
  tb_outcome *outcomes;
  tb_verdict *verdicts;
} fair;

/* hostile: names and titles that try to break out of HTML, CSV, gnuplot and the shell. */
fair fair_new(tb_context *, bool hostile);
void fair_free(fair *);

extern const tb_study fair_study;

#endif

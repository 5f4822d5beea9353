/* The report from exhibits and verdicts, whatever they were read from. */
#ifndef TB_REPORT_REPORT_H
#define TB_REPORT_REPORT_H

#include <tiebreak/report.h>

#include "report/groups.h"

tb_status tb_report_make(tb_context *, size_t n_runs, const tb_exhibit *runs, size_t n_verdicts,
                         const tb_verdict *verdicts, const tb_report_options *);
tb_status tb_report_plot(tb_context *, size_t n_runs, const tb_exhibit *runs, int columns, tb_text *out);

#endif

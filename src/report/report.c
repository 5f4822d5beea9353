/* The public door: records become exhibits, claims are judged, the report is made. */
#include "report/report.h"

static tb_status exhibits_of(tb_context *context, tb_arena *arena, size_t n, tb_record *const *records,
                             tb_exhibit **exhibits) {
  *exhibits = tb_arena_allocate(arena, n + 1, sizeof **exhibits);
  if (!*exhibits)
    return tb_context_status(context);
  for (size_t i = 0; i < n; i++)
    (*exhibits)[i] =
        (tb_exhibit){ tb_record_outcome(records[i]), tb_record_study(records[i]),  tb_record_part(records[i]),
                      tb_record_title(records[i]),   tb_record_folder(records[i]), tb_record_json(records[i]),
                      tb_record_state(records[i]),   tb_record_seconds(records[i]) };
  return TB_OK;
}

tb_status tb_report_write(tb_context *context, size_t n, tb_record *const *records, const tb_report_options *options) {
  tb_arena *arena = tb_arena_new(context);
  if (!arena)
    return tb_context_status(context);
  tb_exhibit *exhibits;
  tb_verdict *verdicts;
  size_t n_verdicts;
  tb_status status = exhibits_of(context, arena, n, records, &exhibits);
  if (status == TB_OK)
    status = tb_claims_judge(context, arena, n, records, &n_verdicts, &verdicts);
  if (status == TB_OK)
    status = tb_report_make(context, n, exhibits, n_verdicts, verdicts, options);
  tb_arena_free(arena);
  return status;
}

tb_status tb_report_terminal(tb_context *context, size_t n, tb_record *const *records, int columns, tb_text *out) {
  tb_arena *arena = tb_arena_new(context);
  if (!arena)
    return tb_context_status(context);
  tb_exhibit *exhibits;
  tb_status status = exhibits_of(context, arena, n, records, &exhibits);
  if (status == TB_OK)
    status = tb_report_plot(context, n, exhibits, columns, out);
  tb_arena_free(arena);
  return status;
}

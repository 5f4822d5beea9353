/* Self-tests of `doctor`: each runs a piece of the chain against a number known beforehand. */
#include <math.h>
#include <string.h>

#include <tiebreak/tiebreak.h>

#include "io/json.h"

/* Philox4x32-10 of the all-ones counter and key (Salmon et al. 2011, known answers of Random123). */
static tb_status random_numbers(tb_context *context, double *error, double *most) {
  static const uint32_t ones[4] = { ~0u, ~0u, ~0u, ~0u };
  static const uint32_t known[4] = { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd };
  uint32_t out[4];
  tb_philox4x32(ones, ones, out);
  *most = 0;
  *error = 0;
  for (int i = 0; i < 4; i++)
    *error += out[i] != known[i];
  return TB_OK;
}

/* Numbers that come back from JSON are the same bits. */
static tb_status records(tb_context *context, double *error, double *most) {
  const double values[] = { 0.1, 1e-300, -1.7976931348623157e308, INFINITY, 5e-324, 1.0 / 3 };
  tb_metrics *metrics, *back = NULL;
  json_t *json = NULL;
  *most = 0;
  *error = 0;
  tb_status status = tb_metrics_new(context, &metrics);
  if (status)
    return status;
  status = tb_metrics_vector(metrics, "v", 6, values);
  if (!status && !(json = tb_metrics_to_json(context, metrics)))
    status = TB_NO_MEMORY;
  char *line = status ? NULL : tb_json_line(context, json);
  json_decref(json);
  json = NULL;
  if (!status && !line)
    status = TB_NO_MEMORY;
  if (!status)
    status = tb_json_parse(context, "line", line, strlen(line), &json);
  if (!status)
    status = tb_metrics_from_json(context, json, &back);
  for (int i = 0; i < 6 && !status; i++)
    *error += tb_metrics_find(back, "v").values[i] != values[i];
  json_decref(json);
  tb_release(context, line);
  tb_metrics_free(back);
  tb_metrics_free(metrics);
  return status;
}

static const tb_self_test tests[] = {
  { "random numbers", "Philox4x32-10 against its published answers", random_numbers },
  { "records", "numbers through JSON come back as the same bits", records },
};

const tb_self_test *tb_self_tests(size_t *count) {
  *count = sizeof tests / sizeof *tests;
  return tests;
}

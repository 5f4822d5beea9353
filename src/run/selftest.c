/* Self-tests of `doctor`: each runs a piece of the chain against a number known beforehand. */
#include <math.h>
#include <string.h>

#include <tiebreak/tiebreak.h>

#include "io/json.h"
#include "num/reference.h"
#include "optim/method.h"

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

/* ∇ of mean log(1 + e^{−z·w}) by the engine against its formula −mean σ(−z·w) z. */
static tb_status gradients(tb_context *context, double *error, double *most) {
  static const double z[3][2] = { { 1, 2 }, { -0.5, 1 }, { 0.25, -3 } }, w[2] = { 0.7, -0.2 };
  double loss, gradient[2], known[2] = { 0, 0 };
  tb_graph *g;
  tb_program *program = NULL;
  tb_value dw;
  *most = 1e-15;
  tb_status status = tb_graph_new(context, &g);
  if (status)
    return status;
  tb_value vw = tb_input(g, "w", TB_FLOAT64, 1, (size_t[]){ 2 });
  tb_value vz = tb_input(g, "z", TB_FLOAT64, 2, (size_t[]){ 3, 2 });
  tb_value vloss = tb_mean(g, tb_softplus(g, tb_negate(g, tb_matvec(g, vz, vw))));
  tb_gradient(g, vloss, 1, &vw, &dw);
  status = tb_program_new(context, g, 2, (tb_value[]){ vloss, dw }, NULL, &program);
  if (!status)
    status = tb_program_run(program, 2, (const void *[]){ w, z }, 2, (void *[]){ &loss, gradient });
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 2; j++)
      known[j] -= z[i][j] / (1 + exp(z[i][0] * w[0] + z[i][1] * w[1])) / 3;
  *error = status ? NAN : fmax(fabs(gradient[0] - known[0]), fabs(gradient[1] - known[1]));
  tb_program_free(program);
  tb_graph_free(g);
  return status;
}

/* min ‖b‖ with 2 b₁ ≥ 1, b₂ ≥ 1 and 3 b₁ + 2 b₂ ≥ 1: b = (1/2, 1), in both norms. */
static tb_status margins(tb_context *context, double *error, double *most) {
  static const double z[] = { 2, 0, 0, 1, 3, 2 };
  tb_status (*const solvers[])(tb_context *, size_t, size_t, const double *, tb_reference *) = { tb_svm_l2, tb_svm_l1 };
  *most = 1e-12;
  *error = 0;
  for (size_t i = 0; i < 2; i++) {
    tb_reference reference = { 0 };
    tb_status status = solvers[i](context, 3, 2, z, &reference);
    if (status)
      return status;
    *error = fmax(*error, fmax(fabs(reference.b[0] - 0.5), fabs(reference.b[1] - 1)));
    tb_reference_free(context, &reference);
  }
  return TB_OK;
}

/* Scales of Fisher matrix and gradient: every model and Fisher matrix falls at its known rate. */
static tb_status natural_gradient(tb_context *context, double *error, double *most) {
  *error = *most = 0;
  return tb_natural_self_test(context);
}

static const tb_self_test tests[] = {
  { "random numbers", "Philox4x32-10 against its published answers", random_numbers },
  { "records", "numbers through JSON come back as the same bits", records },
  { "gradients", "a differentiated program against its formula", gradients },
  { "margins", "largest margins of three points worked by hand", margins },
  { "natural gradient", "the rate e^-t for every model and Fisher matrix", natural_gradient },
};

const tb_self_test *tb_self_tests(size_t *count) {
  *count = sizeof tests / sizeof *tests;
  return tests;
}

/* flow and svm: gradient flow of a linear model to margin 20, and the hard-margin support vector machine, on separable
 * data with a linear teacher (float64). */
#include "num/reference.h"
#include "io/npz.h"
#include "num/linear.h"
#include "optim/method.h"
#include "study/bench/workload.h"

#include <math.h>

struct tb_workload {
  tb_context *context;
  size_t n, d;
  double *x, *y, *z;
  double *solution; /* [d] */
};

static void separable_close(tb_workload *w) {
  tb_context *context = w->context;
  tb_release(context, w->x);
  tb_release(context, w->y);
  tb_release(context, w->z);
  tb_release(context, w->solution);
  tb_release(context, w);
}

/* x ~ N(0, I), y = sign(x·1), rows too near the teacher's plane (|x·1|/√d < 0.1) moved away from it. */
static tb_status separable_open(tb_context *context, size_t n, size_t d, tb_workload **out) {
  tb_workload *w = tb_allocate(context, 1, sizeof *w);
  if (!w)
    return TB_NO_MEMORY;
  *w = (tb_workload){ .context = context, .n = n, .d = d };
  w->x = tb_allocate(context, n * d, sizeof *w->x);
  w->y = tb_allocate(context, n, sizeof *w->y);
  w->z = tb_allocate(context, n * d, sizeof *w->z);
  w->solution = tb_allocate(context, d, sizeof *w->solution);
  if (!w->x || !w->y || !w->z || !w->solution) {
    separable_close(w);
    return TB_NO_MEMORY;
  }
  tb_random_normal((tb_key){ .seed = 0, .use = tb_use("inputs") }, 0, n * d, w->x);
  for (size_t i = 0; i < n; i++) {
    double sum = 0;
    for (size_t j = 0; j < d; j++)
      sum += w->x[i * d + j];
    w->y[i] = sum < 0 ? -1 : 1;
    double short_of = 0.1 * sqrt((double)d) - fabs(sum);
    for (size_t j = 0; j < d; j++) {
      if (short_of > 0)
        w->x[i * d + j] += w->y[i] * short_of / (double)d;
      w->z[i * d + j] = w->y[i] * w->x[i * d + j];
    }
  }
  *out = w;
  return TB_OK;
}

static const void *separable_parameters(const tb_workload *w, size_t *bytes) {
  *bytes = w->d * sizeof *w->solution;
  return w->solution;
}

static tb_status separable_save(tb_workload *w, const char *path) {
  const tb_array arrays[] = {
    { .name = "x", .type = TB_ARRAY_FLOAT64, .rank = 2, .dims = { w->n, w->d }, .data = w->x },
    { .name = "y", .type = TB_ARRAY_FLOAT64, .rank = 1, .dims = { w->n }, .data = w->y },
  };
  return tb_npz_write(w->context, path, 2, arrays);
}

static double path_dependent(const tb_workload *w) {
  return NAN;
}

static tb_status flow_open(tb_context *context, tb_workload **out) {
  return separable_open(context, 40, 10, out);
}

static tb_status flow_step(tb_workload *w, double *loss) {
  const tb_model *linear = tb_model_find("linear");
  tb_model_shape shape = { .inputs = w->d, .depth = 1 };
  tb_objective *objective = NULL;
  tb_trajectory *trajectory = NULL;
  tb_flow_limits limits = { .until_margin = 20 };
  tb_method_options options = { 0 };
  tb_stop why = TB_STOP_TIME;
  double zero[64] = { 0 };
  *loss = NAN;
  tb_status status =
      tb_objective_new(w->context, linear, &shape, TB_LOSS_LOGISTIC, TB_FLOAT64, w->n, w->x, w->y, &objective);
  if (!status)
    status = tb_trajectory_new(w->context, tb_method_find("gf"), &options, objective, &limits, zero, &trajectory);
  if (!status)
    status = tb_trajectory_advance(trajectory, INFINITY, NULL, NULL, &why);
  if (!status && why != TB_STOP_MARGIN)
    status = tb_fail(w->context, TB_FAILED, "flow", NULL, "the flow did not reach margin 20");
  for (size_t j = 0; !status && j < w->d; j++)
    w->solution[j] = tb_trajectory_theta(trajectory)[j];
  tb_trajectory_free(trajectory);
  tb_objective_free(objective);
  return status;
}

const tb_workload_record tb_workload_flow = {
  "flow",         "gradient flow of a linear model (n 40, d 10, logistic loss) to margin 20",
  "float64",      50,
  flow_open,      flow_step,
  path_dependent, separable_parameters,
  separable_save, separable_close
};

static tb_status svm_open(tb_context *context, tb_workload **out) {
  return separable_open(context, 1000, 100, out);
}

static tb_status svm_step(tb_workload *w, double *loss) {
  tb_reference reference = { 0 };
  *loss = NAN;
  tb_status status = tb_svm_l2(w->context, w->n, w->d, w->z, &reference);
  if (!status && reference.separable != TB_SEPARABLE)
    status = tb_fail(w->context, TB_FAILED, "svm", NULL, "separable data were found not separable");
  for (size_t j = 0; !status && j < w->d; j++)
    w->solution[j] = reference.b[j];
  tb_reference_free(w->context, &reference);
  return status;
}

const tb_workload_record tb_workload_svm = {
  "svm",          "hard-margin support vector machine, n 1000, d 100, to KKT 1e-10",
  "float64",      10,
  svm_open,       svm_step,
  path_dependent, separable_parameters,
  separable_save, separable_close
};

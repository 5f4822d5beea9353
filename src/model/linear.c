/* The linear model: f(x) = β·x with the predictor itself as parameters, β = θ.
 *
 * The model against which every other parametrisation of a linear predictor is compared. */
#include <string.h>

#include "model/build.h"

static size_t parameters(const tb_model_shape *shape) {
  return shape->inputs;
}

static bool block(const tb_model_shape *shape, size_t k, char name[32], size_t *rows, size_t *cols) {
  if (k > 0)
    return false;
  strcpy(name, "beta");
  *rows = 1;
  *cols = shape->inputs;
  return true;
}

static tb_status initialise(tb_context *context, const tb_model_shape *shape, double scale, const double *start,
                            tb_key key, double *theta) {
  for (size_t j = 0; j < shape->inputs; j++)
    theta[j] = start ? start[j] : 0.0;
  return TB_OK;
}

static tb_value predictor(tb_graph *g, const tb_model_shape *shape, tb_value theta) {
  return theta;
}

static tb_value output(tb_graph *g, const tb_model_shape *shape, tb_value theta, tb_value x) {
  return tb_linear_readout(g, theta, x);
}

static bool can_start(const tb_model_shape *shape) {
  return true;
}

const tb_model tb_model_linear = {
  .name = "linear",
  .summary = "a linear predictor, parametrised by itself; starts at 0 unless told otherwise",
  .formula = "f(x) = β·x, β = θ",
  .source = "Soudry et al. 2018, JMLR 19",
  .parameters = parameters,
  .block = block,
  .initialise = initialise,
  .predictor = predictor,
  .output = output,
  .can_start = can_start,
};

/* The diagonal net of depth L: β = u^{∘L} − v^{∘L}, θ = (u, v).
 *
 * The simplest parametrisation in which depth changes what gradient descent prefers: its map D = ∂β/∂θ has
 * DDᵀ = L² diag(u^{2L−2} + v^{2L−2}), so coordinates that are large move faster (Woodworth et al. 2020). */
#include <math.h>
#include <stdio.h>

#include "model/build.h"

static size_t parameters(const tb_model_shape *shape) {
  return tb_size_product(2, shape->inputs);
}

static bool block(const tb_model_shape *shape, size_t k, char name[32], size_t *rows, size_t *cols) {
  if (k > 1)
    return false;
  snprintf(name, 32, "%s", k == 0 ? "u" : "v");
  *rows = 1;
  *cols = shape->inputs;
  return true;
}

/* With both factors at `scale` the predictor is 0.  To start at b, the smaller of u and v stays at `scale` and the
 * other one makes up the difference: u^L = scale^L + b for b ≥ 0, v^L = scale^L − b for b < 0. */
static tb_status initialise(tb_context *context, const tb_model_shape *shape, double scale, const double *start,
                            tb_key key, double *theta) {
  if (!(scale >= 0) || !isfinite(scale))
    return tb_fail(context, TB_USAGE, "option init", "give the common start of u and v, such as 0.001",
                   "a diagonal net starts from u = v = init >= 0, not from %g", scale);
  const size_t d = shape->inputs;
  const double depth = shape->depth;
  const double base = pow(scale, depth);
  for (size_t j = 0; j < d; j++) {
    const double b = start ? start[j] : 0.0;
    const double large = b == 0.0 ? scale : pow(base + fabs(b), 1.0 / depth);
    theta[j] = b < 0 ? scale : large;
    theta[d + j] = b < 0 ? large : scale;
  }
  return TB_OK;
}

static tb_value predictor(tb_graph *g, const tb_model_shape *shape, tb_value theta) {
  const size_t d = shape->inputs;
  const tb_value u = tb_slice(g, theta, 1, 0, d), v = tb_slice(g, theta, 1, d, d);
  return tb_subtract(g, tb_power(g, u, shape->depth), tb_power(g, v, shape->depth));
}

static tb_value output(tb_graph *g, const tb_model_shape *shape, tb_value theta, tb_value x) {
  return tb_linear_readout(g, predictor(g, shape, theta), x);
}

static bool can_start(const tb_model_shape *shape) {
  return true;
}

const tb_model tb_model_diagonal = {
  .name = "diagonal",
  .summary = "a diagonal linear net: difference of elementwise powers; starts at u = v = init, so at β = 0",
  .formula = "f(x) = β·x, β_j = u_j^L − v_j^L",
  .source = "Woodworth et al. 2020, COLT; Gunasekar et al. 2018, NeurIPS",
  .parameters = parameters,
  .block = block,
  .initialise = initialise,
  .predictor = predictor,
  .output = output,
  .can_start = can_start,
};

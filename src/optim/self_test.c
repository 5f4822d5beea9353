/* The e^{−t} law as a guard over scales: a mean in L against a sum in F changes every rate by a factor n and nothing
 * else, so nothing else notices. */
#include <math.h>
#include <string.h>

#include "num/linear.h"
#include "optim/method.h"

tb_status tb_natural_law_error(tb_objective *objective, const double *theta, const double *velocity, double *error) {
  tb_context *context = tb_objective_context(objective);
  const size_t n = tb_objective_rows(objective), p = tb_objective_parameters(objective);
  double *work = tb_allocate(context, 2 * n + 2 * p, sizeof *work);
  if (!work)
    return TB_NO_MEMORY;
  double *f = work, *r = f + n, *descent = r + n, *product = descent + p;
  double log_scale; /* taken out, so that a vanishing gradient doesn't vanish */
  tb_status status = tb_objective_outputs(objective, theta, f);
  if (status == TB_OK) {
    tb_objective_residual(objective, f, r, &log_scale);
    status = tb_objective_descent(objective, theta, -log_scale, descent);
  }
  if (status == TB_OK)
    status = tb_objective_descent_product(objective, theta, -log_scale, velocity, product);
  if (status == TB_OK) {
    const double size = tb_norm(p, descent);
    for (size_t k = 0; k < p; k++)
      product[k] += descent[k]; /* −∇²L v − ∇L */
    *error = tb_norm(p, product) / size;
  }
  tb_release(context, work);
  return status;
}

/* Three rows in five dimensions, and six in three. */
static const double wide_x[] = { 0, 0, -1, 1, 3, 1, 3, 1, 1, -2, 2, 3, 0, 1, 2 }, wide_y[] = { 1, -1, 1 };
static const double tall_x[] = { -2, 1, 1, 2, -3, -2, 1, 2, 0, -2, 0, -2, 1, 0, 0, -1, 1, -3 };
static const double tall_y[] = { 1, -1, 1, -1, 1, -1 };

typedef struct law_case {
  const char *model;
  int depth;
  size_t width, n, d;
  const double *x, *y;
  tb_fisher fisher;
  const char *name;
} law_case;

#define WIDE 3, 5, wide_x, wide_y
#define TALL 6, 3, tall_x, tall_y
static const law_case cases[] = {
  { "linear", 1, 0, WIDE, TB_FISHER_PREDICTOR, "linear, predictor" },
  { "linear", 1, 0, TALL, TB_FISHER_PREDICTOR, "linear, predictor, more rows than columns" },
  { "linear", 1, 0, TALL, TB_FISHER_PARAMETER, "linear, parameter, more rows than columns" },
  { "diagonal", 3, 0, WIDE, TB_FISHER_PREDICTOR, "diagonal, predictor" },
  { "diagonal", 3, 0, WIDE, TB_FISHER_PARAMETER, "diagonal, parameter" },
  { "dense", 2, 4, WIDE, TB_FISHER_PREDICTOR, "dense, predictor" },
  { "mlp", 2, 4, WIDE, TB_FISHER_PARAMETER, "mlp, parameter" },
  { "linear", 1, 0, WIDE, TB_FISHER_EMPIRICAL, "linear, empirical" },
  { "mlp", 2, 4, WIDE, TB_FISHER_EMPIRICAL, "mlp, empirical" },
};

static const double TOLERANCE = 1e-9;

/* Largest relative deviation of m_i' = y_i J_i·v from 1 + e^{−m_i} (empirical: 1 + e^{m_i}). */
static tb_status margin_law_error(tb_context *context, const law_case *c, tb_objective *objective, const double *theta,
                                  const double *velocity, double *error) {
  const size_t p = tb_objective_parameters(objective);
  double *f = tb_allocate(context, 2 * c->n + c->n * p, sizeof *f);
  if (!f)
    return TB_NO_MEMORY;
  double *moved = f + c->n, *jacobian = moved + c->n;
  const tb_status status = tb_objective_jacobian(objective, theta, f, jacobian);
  *error = 0.0;
  if (status == TB_OK) {
    tb_gemv(false, c->n, p, 1.0, jacobian, velocity, 0.0, moved);
    for (size_t i = 0; i < c->n; i++) {
      const double m = c->y[i] * f[i], rate = 1.0 + exp(c->fisher == TB_FISHER_EMPIRICAL ? m : -m);
      *error = fmax(*error, fabs(c->y[i] * moved[i] / rate - 1.0));
    }
  }
  tb_release(context, f);
  return status;
}

static tb_status check_case(tb_context *context, const law_case *c) {
  const tb_model *model = tb_model_find(c->model);
  const tb_model_shape shape = { .inputs = c->d, .depth = c->depth, .width = c->width, .activation = TB_TANH };
  const size_t p = model->parameters(&shape);
  tb_objective *objective = NULL;
  tb_natural *natural = NULL;
  double error = 0.0;
  double *theta = tb_allocate(context, 2 * p, sizeof *theta);
  tb_status status = theta ? TB_OK : TB_NO_MEMORY;
  if (status == TB_OK)
    status = tb_objective_new(context, model, &shape, TB_LOSS_LOGISTIC, TB_FLOAT64, c->n, c->x, c->y, &objective);
  if (status == TB_OK)
    status = tb_natural_new(context, objective, c->fisher, 0.0, &natural);
  if (status == TB_OK) {
    tb_random_normal((tb_key){ .use = tb_use("natural gradient self-test") }, 0, p, theta);
    status = tb_natural_velocity(natural, theta, theta + p, NULL, NULL);
  }
  const bool by_margins = c->n <= c->d;
  if (status == TB_OK && by_margins)
    status = margin_law_error(context, c, objective, theta, theta + p, &error);
  if (status == TB_OK && strcmp(c->model, "linear") == 0 && c->fisher != TB_FISHER_EMPIRICAL) {
    double of_gradient;
    status = tb_natural_law_error(objective, theta, theta + p, &of_gradient);
    error = fmax(error, of_gradient);
  }
  if (status == TB_OK && !(error <= TOLERANCE))
    status = tb_fail(context, TB_FAILED, "natural gradient self-test", "the scales of loss and Fisher matrix disagree",
                     "%s: the law of the flow is broken by %.3g", c->name, error);
  tb_natural_free(natural);
  tb_objective_free(objective);
  tb_release(context, theta);
  return status;
}

tb_status tb_natural_self_test(tb_context *context) {
  tb_status status = TB_OK;
  for (size_t k = 0; k < sizeof cases / sizeof *cases && status == TB_OK; k++)
    status = check_case(context, &cases[k]);
  return status;
}

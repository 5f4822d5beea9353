/* Following one method in one parametrisation, beside the linear model from the same predictor.
 *
 * Outputs are compared at training inputs and at fresh ones.  A multilayer perceptron has no linear twin: it is held
 * against the law of its own training outputs, where natural gradient flow has one. */
#include <math.h>
#include <string.h>

#include "num/linear.h"
#include "optim/method.h"
#include "study/invariance.h"

const invariance_method invariance_methods[INVARIANCE_METHODS] = {
  { "gd", NULL },         { "adam", NULL },        { "gf", NULL },
  { "ngd", "predictor" }, { "ngd", "parameter" },  { "ngf", "predictor" },
  { "ngf", "parameter" }, { "ngf", "population" }, { "ngf", "empirical" },
};

static const struct {
  const char *model;
  int depth;
} models[INVARIANCE_MODELS] = { { "linear", 1 }, { "diagonal", 2 }, { "diagonal", 3 },
                                { "dense", 2 },  { "dense", 3 },    { "mlp", 2 } };

static const char *const fishers[] = { "predictor", "parameter", "population", "empirical" };

static bool is_fisher(size_t method, const char *fisher) {
  return invariance_methods[method].fisher && strcmp(invariance_methods[method].fisher, fisher) == 0;
}

bool invariance_wanted(const invariance *s, size_t method) {
  const invariance_method *m = &invariance_methods[method];
  bool by_method = tb_config_is(s->config, "method", "all") || tb_config_is(s->config, "method", m->method);
  bool by_fisher =
      !m->fisher || tb_config_is(s->config, "fisher", "all") || tb_config_is(s->config, "fisher", m->fisher);
  return by_method && by_fisher;
}

bool invariance_defined(size_t method, size_t model) {
  bool mlp = strcmp(models[model].model, "mlp") == 0, flow = strcmp(invariance_methods[method].method, "ngf") == 0;
  return !mlp || (flow && (is_fisher(method, "parameter") || is_fisher(method, "empirical")));
}

/* ---- one path ---- */

typedef struct path {
  const tb_model *model;
  tb_model_shape shape;
  double *theta;       /* p: the start, then the point reached */
  const double *times; /* points */
  double *out;         /* points × (d, or n without a predictor) */
  size_t reached;      /* points */
  const char *reason;  /* why it ended early, or NULL */
} path;

static tb_status read_point(invariance *s, tb_objective *o, const double *theta, path *p) {
  bool predictor = p->model->predictor != NULL;
  double *out = p->out + p->reached * (predictor ? s->d : s->n);
  p->reached++;
  return predictor ? tb_objective_predictor(o, theta, out, NULL) : tb_objective_outputs(o, theta, out);
}

static tb_status follow_flow(invariance *s, const tb_method *method, tb_objective *o, path *p) {
  tb_trajectory *trajectory = NULL;
  tb_status status = tb_trajectory_new(s->context, method, &s->options, o, NULL, p->theta, &trajectory);
  while (!status && p->reached < s->points) {
    tb_stop why;
    status = tb_trajectory_advance(trajectory, p->times[p->reached], NULL, NULL, &why);
    if (!status && why != TB_STOP_TIME) {
      p->reason = tb_arena_text(s->arena, tb_trajectory_reason(trajectory));
      break;
    }
    if (!status)
      status = read_point(s, o, tb_trajectory_theta(trajectory), p);
  }
  tb_trajectory_free(trajectory);
  return status;
}

static tb_status follow_steps(invariance *s, const tb_method *method, tb_objective *o, path *p) {
  tb_stepper *stepper = NULL;
  size_t parameters = tb_objective_parameters(o);
  double *state = tb_allocate(s->context, parameters * method->state + 1, sizeof *state);
  tb_status status = state ? tb_stepper_new(s->context, method, &s->options, o, &stepper) : TB_NO_MEMORY;
  for (uint64_t k = 0; !status && p->reached < s->points;) {
    while (!status && (double)k < p->times[p->reached])
      status = method->step(stepper, k++, p->theta, state);
    if (!status)
      status = read_point(s, o, p->theta, p);
  }
  if (status == TB_FAILED) { /* steps that left the range of double end the path, as a blow-up ends a flow */
    p->reason = tb_arena_text(s->arena, tb_context_message(s->context));
    tb_context_clear(s->context);
    status = p->reason ? TB_OK : TB_NO_MEMORY;
  }
  tb_stepper_free(stepper);
  tb_release(s->context, state);
  return status;
}

static tb_status follow(invariance *s, size_t method, path *p) {
  const tb_method *m = tb_method_find(invariance_methods[method].method);
  tb_objective *o = NULL;
  for (size_t i = 0; i < sizeof fishers / sizeof *fishers; i++)
    if (is_fisher(method, fishers[i]))
      s->options.fisher = (tb_fisher)i;
  tb_status status = tb_objective_new(s->context, p->model, &p->shape, s->loss, TB_FLOAT64, s->n, s->x, s->y, &o);
  if (!status)
    status = m->flow ? follow_flow(s, m, o, p) : follow_steps(s, m, o, p);
  tb_objective_free(o);
  return status;
}

/* ---- comparing ---- */

static void raise_to(double *value, double other) {
  if (isnan(*value) || other > *value)
    *value = other;
}

/* Adds |f − f_linear| at inputs x[rows×d] and the sizes of f_linear. */
static void compare_at(const invariance *s, size_t rows, const double *x, const path *p, const path *linear,
                       double *apart, double *size) {
  size_t points = p->reached < linear->reached ? p->reached : linear->reached;
  for (size_t j = 0; j < points; j++)
    for (size_t i = 0; i < rows; i++) {
      double f = tb_dot(s->d, x + i * s->d, p->out + j * s->d), g = tb_dot(s->d, x + i * s->d, linear->out + j * s->d);
      raise_to(&apart[j], fabs(f - g));
      raise_to(&size[j], fabs(g));
    }
}

/* The law of a training output from its own start f0 at time t. */
static double law(const invariance *s, bool empirical, double y, double f0, double t) {
  if (s->loss == TB_LOSS_SQUARE) {
    double r = y - f0;
    return y - (empirical ? copysign(sqrt(fmax(0, r * r - 2 * t)), r) : r * exp(-t));
  }
  double m = y * f0;
  if (empirical) /* log(1 + e^{−m}) falls at unit rate */
    return -y * log(expm1(tb_softplus_scalar(-m) - t));
  double lift = t + tb_softplus_scalar(m);
  return y * (lift + log1p(-exp(-lift)));
}

static void compare_with_law(const invariance *s, bool empirical, const double *start, const path *p, double *apart,
                             double *size) {
  for (size_t j = 0; j < p->reached; j++)
    for (size_t i = 0; i < s->n; i++) {
      double expected = law(s, empirical, s->y[i], start[i], p->times[j]);
      raise_to(&apart[j], fabs(p->out[j * s->n + i] - expected));
      raise_to(&size[j], fabs(expected));
    }
}

/* When the empirical Fisher matrix ends the flow of outputs f[n]. */
static double empirical_end(const invariance *s, const double *f) {
  double end = INFINITY;
  for (size_t i = 0; i < s->n; i++) {
    double r = s->y[i] - f[i];
    end = fmin(end, s->loss == TB_LOSS_SQUARE ? r * r / 2 : tb_softplus_scalar(-s->y[i] * f[i]));
  }
  return end;
}

/* The start of a model, its outputs f[n] and predictor beta[d] (where it has one). */
static tb_status start_of(invariance *s, size_t model, path *p, double *f, double *beta) {
  tb_objective *o = NULL;
  p->model = tb_model_find(models[model].model);
  p->shape = (tb_model_shape){ .inputs = s->d,
                               .depth = models[model].depth,
                               .width = (size_t)tb_config_integer(s->config, "width"),
                               .activation = TB_TANH };
  bool mlp = !p->model->predictor;
  if (mlp) /* enough parameters for its rows to be independent */
    p->shape.width = s->n > 2 * p->shape.width ? s->n : 2 * p->shape.width;
  tb_status status = tb_model_check(s->context, p->model, &p->shape);
  if (status)
    return status;
  tb_key key = { (uint64_t)tb_config_integer(s->config, "seed"), (uint32_t)model, tb_use("invariance weights") };
  p->theta = tb_arena_allocate(s->arena, p->model->parameters(&p->shape), sizeof(double));
  p->out = tb_arena_allocate(s->arena, s->points * (s->d > s->n ? s->d : s->n), sizeof(double));
  if (!p->theta || !p->out)
    return TB_NO_MEMORY;
  status = p->model->initialise(s->context, &p->shape, tb_config_real(s->config, "init"), NULL, key, p->theta);
  if (!status)
    status = tb_objective_new(s->context, p->model, &p->shape, s->loss, TB_FLOAT64, s->n, s->x, s->y, &o);
  if (!status)
    status = tb_objective_outputs(o, p->theta, f);
  if (!status && !mlp)
    status = tb_objective_predictor(o, p->theta, beta, NULL);
  tb_objective_free(o);
  return status;
}

tb_status invariance_compare(invariance *s, size_t method, size_t model, invariance_found *found,
                             const char **warning) {
  path p = { 0 }, linear = { 0 };
  bool empirical = is_fisher(method, "empirical"), flow = tb_method_find(invariance_methods[method].method)->flow;
  double *f = tb_arena_allocate(s->arena, s->n, sizeof *f), *beta = tb_arena_allocate(s->arena, s->d, sizeof *beta);
  double *times = tb_arena_allocate(s->arena, s->points, sizeof *times);
  size_t at = method * s->points;
  *warning = NULL;
  if (!f || !beta || !times)
    return TB_NO_MEMORY;
  tb_status status = start_of(s, model, &p, f, beta);
  if (status)
    return status;
  double last = s->times[s->points - 1], end = empirical ? 0.8 * empirical_end(s, f) : last;
  for (size_t j = 0; j < s->points; j++)
    times[j] = !flow ? s->steps[j] : end < last ? s->times[j] * (end / last) : s->times[j];
  p.times = linear.times = times;
  if ((status = follow(s, method, &p)))
    return status;
  *warning = p.reason;
  if (!p.model->predictor) {
    compare_with_law(s, empirical, f, &p, found->on + at, found->size_on + at);
    return TB_OK;
  }
  linear.model = tb_model_find("linear");
  linear.shape = (tb_model_shape){ .inputs = s->d, .depth = 1 };
  linear.theta = beta; /* the parameters of a linear model are its predictor */
  linear.out = tb_arena_allocate(s->arena, s->points * s->d, sizeof(double));
  if (!linear.out)
    return TB_NO_MEMORY;
  if ((status = follow(s, method, &linear)))
    return status;
  compare_at(s, s->n, s->x, &p, &linear, found->on + at, found->size_on + at);
  compare_at(s, INVARIANCE_FRESH, s->fresh, &p, &linear, found->off + at, found->size_off + at);
  return TB_OK;
}

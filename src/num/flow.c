/* Integral curves to exact stops and located events.
 *
 * The driver takes one step at a time from one of two integrators and keeps nothing that matters beyond (s, y) at a
 * restart: method, step size and history begin anew at every call, event and segment end, so a run taken up from a
 * saved point repeats the same bits.
 *
 * Automatic choice: explicit first.  Where |h| ρ (ρ: spectral radius of the Jacobian, by power iteration) says that the
 * step is not small against the fastest motion, stability may be what bounds it, and the stiff method gets a trial: it
 * stays while it costs less per unit of s than the explicit method would, whose step is taken to go like 1/ρ.  Costs
 * are counted in derivative evaluations, never in seconds, so the choice is the same on every machine. */
#include "num/flow_parts.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
  CHECK_EVERY = 20,    /* explicit steps between looks at ρ */
  FIRST_PATIENCE = 80, /* explicit steps before the first trial; doubled by every trial that fails */
  TRIAL_WARMUP = 120,  /* stiff steps while order and step size grow */
  TRIAL_EVERY = 100,   /* stiff steps between looks at the cost */
  EXPLICIT_STAGES = 13,
  LOCATE_MOST = 200
};

struct tb_flow {
  tb_field field;
  tb_flow_options options;
  double s;
  double *y;                          /* dim */
  double *before, *trial, *slope, *v; /* dim each: last point, located point, f, power iteration */
  double *g, *g_trial;                /* n_events */
  int *sign;                          /* n_events: last sign that was not 0 */
};

/* |h| ρ from which on the stiff method is worth a trial: accuracy alone holds the explicit step about there. */
static const double TRIAL_STRETCH = 0.25;

/* What a restart forgets. */
typedef struct run {
  const tb_integrator_kind *kind;
  tb_integrator *integrator;
  long steps;               /* of this integrator */
  long patience;            /* explicit steps before the next trial */
  double stretch;           /* |h| ρ of the last explicit steps */
  double mark_s, mark_cost; /* since when progress and cost are measured */
} run;

tb_status tb_flow_new(tb_context *context, const tb_flow_problem *problem, const tb_flow_options *options,
                      tb_flow **out) {
  *out = NULL;
  if (problem->dim == 0)
    return tb_fail(context, TB_USAGE, "flow", NULL, "a flow needs at least one dimension");
  tb_flow *flow = tb_allocate(context, 1, sizeof *flow);
  if (!flow)
    return TB_NO_MEMORY;
  size_t n = problem->dim, e = problem->n_events;
  *flow = (tb_flow){ .field = { .context = context, .problem = *problem } };
  if (options)
    flow->options = *options;
  flow->field.relative = flow->options.relative > 0 ? flow->options.relative : 1e-13;
  flow->field.absolute = flow->options.absolute > 0 ? flow->options.absolute : 1e-16;
  flow->field.least_step = flow->options.least_step > 0 ? flow->options.least_step : 1e-15;
  if (flow->options.most_steps <= 0)
    flow->options.most_steps = 10000000;
  flow->y = tb_allocate(context, 5 * n, sizeof *flow->y);
  flow->field.scratch = tb_allocate(context, 4 * n, sizeof *flow->field.scratch);
  flow->g = tb_allocate(context, 2 * e, sizeof *flow->g);
  flow->sign = tb_allocate(context, e, sizeof *flow->sign);
  if (!flow->y || !flow->field.scratch || !flow->g || !flow->sign) {
    tb_flow_free(flow);
    return TB_NO_MEMORY;
  }
  flow->before = flow->y + n, flow->trial = flow->y + 2 * n, flow->slope = flow->y + 3 * n, flow->v = flow->y + 4 * n;
  flow->g_trial = flow->g + e;
  *out = flow;
  return TB_OK;
}

void tb_flow_free(tb_flow *flow) {
  if (!flow)
    return;
  tb_context *context = flow->field.context;
  tb_release(context, flow->sign);
  tb_release(context, flow->g);
  tb_release(context, flow->field.scratch);
  tb_release(context, flow->y);
  tb_release(context, flow);
}

tb_status tb_flow_set(tb_flow *flow, double s, const double *y) {
  for (size_t i = 0; i < flow->field.problem.dim; i++)
    if (!isfinite(y[i]))
      return tb_fail(flow->field.context, TB_FAILED, "flow", NULL, "entry %zu of the starting point is not finite", i);
  if (!isfinite(s))
    return tb_fail(flow->field.context, TB_FAILED, "flow", NULL, "the starting time is not finite");
  flow->s = s;
  memmove(flow->y, y, flow->field.problem.dim * sizeof *y);
  return TB_OK;
}

double tb_flow_time(const tb_flow *flow) {
  return flow->s;
}

const double *tb_flow_state(const tb_flow *flow) {
  return flow->y;
}

tb_flow_counts tb_flow_count(const tb_flow *flow) {
  return flow->field.counts;
}

/* ---- the running integrator ---- */

static void stop_integrator(run *r) {
  if (r->integrator)
    r->kind->close(r->integrator);
  r->integrator = NULL;
}

static tb_status start_integrator(tb_flow *flow, run *r, const tb_integrator_kind *kind, double target) {
  stop_integrator(r);
  int order = kind == &tb_integrator_explicit ? 8 : 1;
  double room = target - flow->s, first = flow->options.first_step;
  if (!(first > 0))
    first = tb_field_first_step(&flow->field, flow->s, flow->y, room, order);
  if (flow->field.status != TB_OK)
    return flow->field.status;
  if (!(first > 0))
    first = fmax(fabs(flow->s), fabs(room)) * DBL_EPSILON;          /* f fails here: the step will collapse */
  double least = fmax(4 * DBL_EPSILON, 4 * flow->field.least_step); /* not to be taken for a collapse */
  first = fmin(fmax(first, least * fabs(flow->s)), fabs(room));
  r->kind = kind;
  r->steps = 0;
  r->mark_s = flow->s;
  r->mark_cost = (double)flow->field.counts.evaluations;
  r->integrator = kind->open(&flow->field, flow->s, flow->y, target, first);
  return r->integrator ? TB_OK : TB_NO_MEMORY;
}

static double spectral_radius(tb_flow *flow) {
  if (tb_field_derivative(&flow->field, flow->s, flow->y, flow->slope) != 0)
    return 0;
  return tb_field_spectral_radius(&flow->field, flow->s, flow->y, flow->slope, flow->v);
}

static tb_status switch_method(tb_flow *flow, run *r, const tb_integrator_kind *kind, double target) {
  flow->field.counts.stiff_switches++;
  return start_integrator(flow, r, kind, target);
}

static tb_status weigh_explicit(tb_flow *flow, run *r, double target) {
  if (r->steps % CHECK_EVERY != 0)
    return TB_OK;
  double mean_step = fabs(flow->s - r->mark_s) / CHECK_EVERY;
  r->mark_s = flow->s;
  r->stretch = mean_step * spectral_radius(flow);
  if (flow->field.status != TB_OK)
    return flow->field.status;
  bool try_stiff = r->steps >= r->patience && r->stretch > TRIAL_STRETCH;
  return try_stiff ? switch_method(flow, r, &tb_integrator_stiff, target) : TB_OK;
}

static tb_status weigh_stiff(tb_flow *flow, run *r, double target) {
  if (r->steps < TRIAL_WARMUP || (r->steps - TRIAL_WARMUP) % TRIAL_EVERY != 0)
    return TB_OK;
  double cost = (double)flow->field.counts.evaluations + r->kind->cost(r->integrator);
  double paid = (cost - r->mark_cost) / fabs(flow->s - r->mark_s);
  r->mark_s = flow->s;
  double radius = spectral_radius(flow);
  r->mark_cost = (double)flow->field.counts.evaluations + r->kind->cost(r->integrator);
  if (flow->field.status != TB_OK)
    return flow->field.status;
  if (r->steps == TRIAL_WARMUP || paid <= EXPLICIT_STAGES * radius / r->stretch)
    return TB_OK;
  r->patience *= 2;
  return switch_method(flow, r, &tb_integrator_explicit, target);
}

/* After a step: would the other method be cheaper? */
static tb_status choose_method(tb_flow *flow, run *r, double target) {
  if (flow->options.kind != TB_FLOW_AUTO || flow->s == target)
    return TB_OK;
  return r->kind == &tb_integrator_explicit ? weigh_explicit(flow, r, target) : weigh_stiff(flow, r, target);
}

/* ---- events ---- */

static int sign_of(double g) {
  return (g > 0) - (g < 0);
}

static tb_status event_values(tb_flow *flow, double s, const double *y, double *g) {
  const tb_flow_problem *problem = &flow->field.problem;
  tb_status status = problem->events(problem->user, s, y, g);
  for (size_t i = 0; status == TB_OK && i < problem->n_events; i++)
    if (isnan(g[i]))
      status = tb_fail(flow->field.context, TB_FAILED, "flow", NULL, "event %zu is not a number", i);
  return status;
}

/* trial = the point at s, integrated from (from, before) anew by the running method. */
static tb_status integrate_again(tb_flow *flow, const tb_integrator_kind *kind, double from, double s, double first) {
  size_t n = flow->field.problem.dim;
  memcpy(flow->trial, flow->before, n * sizeof *flow->trial);
  if (s == from)
    return TB_OK;
  if (kind == &tb_integrator_stiff)
    first = fmin(first, tb_field_first_step(&flow->field, from, flow->trial, s - from, 1));
  tb_integrator *integrator = kind->open(&flow->field, from, flow->trial, s, fmin(first, fabs(s - from)));
  if (!integrator)
    return TB_NO_MEMORY;
  tb_advance outcome = TB_ADVANCED;
  double now = from;
  while (outcome == TB_ADVANCED && now != s)
    outcome = kind->step(integrator, &now, flow->trial);
  kind->close(integrator);
  if (outcome == TB_ABORTED)
    return flow->field.status;
  return now == s ? TB_OK : tb_fail(flow->field.context, TB_FAILED, "flow", NULL, "lost the way to an event");
}

/* The crossing of event i in (a, b] by Chandrupatla's method (1997): sign(g_i(a)) ≠ sign(g_i(b)).  Returns the end of
 * the bracket beyond the crossing; flow->trial is the point there unless it is b as given. */
static tb_status locate(tb_flow *flow, const tb_integrator_kind *kind, double from, size_t i, double ga, double gb,
                        double *b) {
  double a = from, step = fabs(*b - from), third = a, g_third = ga, t = 0.5;
  double inside = *b, g_inside = gb, last = NAN;
  int before = flow->sign[i];
  for (int k = 0; k < LOCATE_MOST; k++) {
    double tolerance = 4 * DBL_EPSILON * fmax(fabs(a), fabs(inside)), width = fabs(inside - a);
    if (g_inside == 0 || width <= tolerance)
      break;
    double clip = fmin(0.5, 0.5 * tolerance / width);
    double x = a + fmin(fmax(t, clip), 1 - clip) * (inside - a);
    if (x == a || x == inside)
      break;
    tb_status status = integrate_again(flow, kind, from, x, step);
    if (status == TB_OK)
      status = event_values(flow, x, flow->trial, flow->g_trial);
    if (status != TB_OK)
      return status;
    last = x;
    double g = flow->g_trial[i];
    if (sign_of(g) == before) {
      third = a, g_third = ga;
      a = x, ga = g;
    } else {
      third = inside, g_third = g_inside;
      inside = x, g_inside = g;
    }
    /* inverse quadratic interpolation where it is safe, else halves */
    double xi = (a - inside) / (third - inside), phi = (ga - g_inside) / (g_third - g_inside);
    t = 0.5;
    if (1 - sqrt(1 - xi) < phi && phi < sqrt(xi)) {
      double r = ga / (g_inside - ga) * g_third / (g_inside - g_third);
      double q = ga / (g_third - ga) * g_inside / (g_third - g_inside) * (third - a) / (inside - a);
      t = isfinite(r + q) ? r + q : 0.5;
    }
  }
  if (inside != *b && inside != last) {
    tb_status status = integrate_again(flow, kind, from, inside, step);
    if (status != TB_OK)
      return status;
  }
  *b = inside;
  return TB_OK;
}

/* Looks for crossings in the step from (from, before) to (s, y); moves (s, y) to the first of them. */
static tb_status look_for_events(tb_flow *flow, const run *r, double from, const double *g_before, double *g_now,
                                 bool *found, size_t *which) {
  const tb_flow_problem *problem = &flow->field.problem;
  *found = false;
  tb_status status = event_values(flow, flow->s, flow->y, g_now);
  for (size_t i = 0; i < problem->n_events && status == TB_OK; i++) {
    if (flow->sign[i] == 0 || sign_of(g_now[i]) == flow->sign[i])
      continue;
    double crossing = flow->s;
    status = locate(flow, r->kind, from, i, g_before[i], g_now[i], &crossing);
    if (status != TB_OK)
      break;
    if (crossing != flow->s) {
      flow->s = crossing;
      memcpy(flow->y, flow->trial, problem->dim * sizeof *flow->y);
      status = event_values(flow, flow->s, flow->y, g_now);
    }
    *found = true;
    *which = i; /* later events are looked for up to here only: the earliest wins */
  }
  for (size_t i = 0; i < problem->n_events; i++)
    if (sign_of(g_now[i]) != 0)
      flow->sign[i] = sign_of(g_now[i]);
  return status;
}

/* ---- the advance ---- */

/* The last few roundings to the target, or a way whose square underflows, where SUNDIALS gets no step in: Euler, exact
 * to rounding. */
static bool within_rounding(tb_flow *flow, double target) {
  double gap = target - flow->s;
  if (fabs(gap) > fmax(16 * DBL_EPSILON * fmax(fabs(target), fabs(flow->s)), 1e-150))
    return false;
  if (gap != 0 && tb_field_derivative(&flow->field, flow->s, flow->y, flow->slope) == 0)
    for (size_t i = 0; i < flow->field.problem.dim; i++)
      flow->y[i] = fma(gap, flow->slope[i], flow->y[i]);
  flow->s = target;
  return true;
}

static tb_status step_on(tb_flow *flow, run *r, double target, tb_advance *outcome) {
  if (!r->integrator) {
    bool stiff = flow->options.kind == TB_FLOW_STIFF;
    r->patience = FIRST_PATIENCE;
    memset(flow->v, 0, flow->field.problem.dim * sizeof *flow->v);
    tb_status status = start_integrator(flow, r, stiff ? &tb_integrator_stiff : &tb_integrator_explicit, target);
    if (status != TB_OK)
      return status;
  }
  memcpy(flow->before, flow->y, flow->field.problem.dim * sizeof *flow->y);
  double from = flow->s;
  *outcome = r->kind->step(r->integrator, &flow->s, flow->y);
  if (*outcome == TB_COLLAPSED && flow->s == from && flow->options.kind == TB_FLOW_AUTO &&
      r->kind == &tb_integrator_stiff) {
    /* Newton's iteration may fail where an explicit step does not */
    r->patience *= 2;
    tb_status status = start_integrator(flow, r, &tb_integrator_explicit, target);
    if (status != TB_OK)
      return status;
    *outcome = r->kind->step(r->integrator, &flow->s, flow->y);
  }
  if (*outcome == TB_ABORTED)
    return flow->field.status;
  if (flow->s != from) {
    r->steps++;
    flow->field.counts.steps++;
  }
  return TB_OK;
}

tb_status tb_flow_advance(tb_flow *flow, double target, long segment,
                          bool (*pause)(void *user, double s, const double *y), void *pause_user, tb_flow_end *end,
                          size_t *event) {
  tb_context *context = flow->field.context;
  const tb_flow_problem *problem = &flow->field.problem;
  run r = { 0 };
  tb_status status = TB_OK;
  double *g_before = NULL;
  *end = TB_FLOW_STUCK;
  flow->field.status = TB_OK;
  if (!isfinite(target))
    return tb_fail(context, TB_FAILED, "flow", NULL, "the target of a flow must be finite");
  if (problem->n_events > 0) {
    g_before = tb_allocate(context, problem->n_events, sizeof *g_before);
    if (!g_before)
      return TB_NO_MEMORY;
    status = event_values(flow, flow->s, flow->y, flow->g);
    for (size_t i = 0; i < problem->n_events; i++)
      flow->sign[i] = sign_of(flow->g[i]);
  }
  for (long steps = 0, in_segment = 0; status == TB_OK; steps++) {
    if (within_rounding(flow, target)) {
      *end = TB_FLOW_REACHED;
      status = flow->field.status;
      break;
    }
    if (steps >= flow->options.most_steps) {
      status = tb_fail(context, TB_FAILED, "flow", NULL, "gave up after %ld steps at s = %.17g", steps, flow->s);
      break;
    }
    if (segment > 0 && in_segment >= segment) {
      stop_integrator(&r);
      in_segment = 0;
      for (size_t i = 0; i < problem->n_events; i++)
        flow->sign[i] = sign_of(flow->g[i]);
      if (pause && pause(pause_user, flow->s, flow->y)) {
        *end = TB_FLOW_PAUSED;
        break;
      }
    }
    double from = flow->s;
    tb_advance outcome = TB_ADVANCED;
    status = step_on(flow, &r, target, &outcome);
    in_segment++;
    bool found = false;
    if (status == TB_OK && problem->n_events > 0 && flow->s != from) {
      memcpy(g_before, flow->g, problem->n_events * sizeof *g_before);
      status = look_for_events(flow, &r, from, g_before, flow->g, &found, event);
    }
    if (status != TB_OK)
      break;
    if (found || outcome == TB_COLLAPSED) {
      *end = found ? TB_FLOW_EVENT : TB_FLOW_STUCK;
      break;
    }
    status = choose_method(flow, &r, target);
  }
  stop_integrator(&r);
  tb_release(context, g_before);
  return status;
}

/* The path of a flow: stops at given times, at a loss or margin level, and where the flow can't go on.
 *
 * The clock is t or s = log(1 + t); everything that depends on which is in the conversions below.  Late on the
 * logarithmic clock, where θ grows with s, rounding errors of the outputs are of the size of the early tolerance: two
 * integrators share the path, which is cut at s = 50 whatever the stops. */
#include "optim/trajectory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "optim/stepper.h"

static const double FARTHEST = 1e15; /* of the clock, when no time is given */
static const double LATE = 50.0;
static const double STALLED = 1e-9; /* progress of the clock per step; relative where the clock is below 1 */
enum { MOST_EVENTS = 3, SEGMENT_STEPS = 1000 };

typedef enum event_kind { EVENT_LOSS, EVENT_MARGIN, WATCH /* never happens: sees every accepted point */ } event_kind;

struct tb_trajectory {
  tb_context *context;
  const tb_method *method;
  tb_fisher fisher;
  tb_field_of_flow field;
  tb_flow *flow;         /* early or late, whichever has the path's end */
  tb_flow *early, *late; /* late: logarithmic clock only */
  size_t n, p;
  double log_until_loss, until_margin;
  size_t n_limits, n_events; /* limits come first */
  event_kind events[MOST_EVENTS];
  long segment;
  double *scratch; /* p */
  double time;     /* of the last stop; NaN: that of the clock */
  bool (*pause)(void *);
  void *pause_user;
  double mark; /* clock at the start of the running segment */
  bool stalled;
  char reason[160];
};

/* ---- the clock ---- */

static double clock_of(const tb_trajectory *t, double time) {
  if (isinf(time))
    return FARTHEST;
  return t->field.log_clock ? log1p(time) : time;
}

static double time_of(const tb_trajectory *t, double clock) {
  return t->field.log_clock ? expm1(clock) : clock;
}

double tb_trajectory_clock(const tb_trajectory *t) {
  return tb_flow_time(t->flow);
}

double tb_trajectory_time(const tb_trajectory *t) {
  return isnan(t->time) ? time_of(t, tb_trajectory_clock(t)) : t->time;
}

double tb_trajectory_log_time(const tb_trajectory *t) {
  const double s = tb_trajectory_clock(t);
  if (!t->field.log_clock || (!isnan(t->time) && isfinite(t->time)))
    return log(tb_trajectory_time(t));
  return s > 1.0 ? s + log1p(-exp(-s)) : log(expm1(s)); /* log(e^s − 1) */
}

/* ---- events ---- */

static bool worse(const tb_natural_report *a, const tb_natural_report *b) {
  if (a->rank_loss != b->rank_loss)
    return a->rank_loss;
  if (a->rank != b->rank)
    return a->rank < b->rank;
  return a->condition > b->condition;
}

static tb_status watch(tb_trajectory *t, double s, const double *theta) {
  tb_field_of_flow *field = &t->field;
  const tb_status status = t->method->velocity->derivative(field, s, theta, t->scratch);
  if (status == TB_OK && (field->worst.full_rank == 0 || worse(&field->last, &field->worst)))
    field->worst = field->last;
  return status == TB_FAILED ? TB_OK : status;
}

static tb_status event_values(void *user, double s, const double *theta, double *g) {
  tb_trajectory *t = (tb_trajectory *)((char *)user - offsetof(tb_trajectory, field));
  tb_objective *o = t->field.objective;
  tb_status status = t->n_limits > 0 ? tb_objective_outputs(o, theta, t->field.f) : TB_OK;
  for (size_t k = 0; status == TB_OK && k < t->n_events; k++) {
    g[k] = 1.0;
    if (t->events[k] == EVENT_LOSS)
      g[k] = tb_objective_log_loss(o, t->field.f) - t->log_until_loss;
    else if (t->events[k] == EVENT_MARGIN)
      g[k] = t->until_margin - tb_objective_least_margin(o, t->field.f);
    else
      status = watch(t, s, theta);
  }
  return status;
}

static tb_stop stop_of(event_kind kind) {
  return kind == EVENT_LOSS ? TB_STOP_LOSS : TB_STOP_MARGIN;
}

/* Whether a limit is met where the trajectory stands. */
static tb_status limit_met(tb_trajectory *t, bool *met, tb_stop *why) {
  double g[MOST_EVENTS];
  *met = false;
  if (t->n_limits == 0)
    return TB_OK;
  const tb_status status = event_values(&t->field, tb_flow_time(t->flow), tb_flow_state(t->flow), g);
  for (size_t k = 0; status == TB_OK && k < t->n_limits && !*met; k++)
    if (g[k] <= 0) {
      *met = true;
      *why = stop_of(t->events[k]);
    }
  return status;
}

/* ---- a flow that can't go on ---- */

/* The report of a stop is that of its own point, whatever was tried last. */
static tb_status report_here(tb_trajectory *t) {
  if (!t->field.natural)
    return TB_OK;
  const tb_status status =
      t->method->velocity->derivative(&t->field, tb_flow_time(t->flow), tb_flow_state(t->flow), t->scratch);
  return status == TB_FAILED ? TB_OK : status;
}

static double largest_margin(const tb_trajectory *t) {
  const double *y = tb_objective_y(t->field.objective);
  double largest = -INFINITY;
  for (size_t i = 0; i < t->n; i++)
    largest = fmax(largest, y[i] * t->field.f[i]);
  return largest;
}

/* What happened at the last good point.  Under a finite velocity of the outputs only a map that loses rank can make
 * that of the parameters infinite; margins themselves grow without bound in finite time under the empirical Fisher
 * matrix. */
static tb_status explain(tb_trajectory *t) {
  const double time = tb_trajectory_time(t);
  const tb_status status = tb_objective_outputs(t->field.objective, tb_flow_state(t->flow), t->field.f);
  if (status != TB_OK)
    return status;
  const bool empirical = t->fisher == TB_FISHER_EMPIRICAL;
  const bool logistic = tb_objective_loss_kind(t->field.objective) == TB_LOSS_LOGISTIC;
  const bool linear = tb_objective_has_predictor(t->field.objective);
  const char *what = "the velocity grows without bound";
  if (t->stalled)
    what = "the flow slides along a jump of its velocity, such as a kink of relu,";
  else if (!t->field.natural)
    what = "the steps of the integrator became too small";
  else if (empirical && logistic && largest_margin(t) > 20.0)
    what = "finite-time blow-up: margins grow without bound";
  else if (logistic || !empirical)
    what = linear && t->fisher != TB_FISHER_PARAMETER ? "the predictor map D lost rank" : "the Jacobian lost rank";
  snprintf(t->reason, sizeof t->reason, "%s at t = %.12g", what, time);
  return report_here(t);
}

/* ---- the advance ---- */

/* Where the velocity jumps towards a surface from both sides, as at a kink of relu, the flow would slide along it, and
 * no step is small enough: a segment of a thousand steps that hardly moves the clock. */
static bool ask_pause(void *user, double s, const double *theta) {
  tb_trajectory *t = user;
  t->stalled = s - t->mark <= STALLED * (double)t->segment * fmin(s, 1.0);
  t->mark = s;
  return t->stalled || (t->pause && t->pause(t->pause_user));
}

/* Early part, then late part. */
static tb_status advance_parts(tb_trajectory *t, double target, tb_flow_end *end, size_t *event) {
  t->stalled = false;
  t->mark = tb_flow_time(t->flow);
  if (t->flow == t->early && t->late && target > LATE) {
    const tb_status status = tb_flow_advance(t->early, LATE, t->segment, ask_pause, t, end, event);
    if (status != TB_OK || *end != TB_FLOW_REACHED)
      return status;
    const tb_status moved = tb_flow_set(t->late, LATE, tb_flow_state(t->early));
    if (moved != TB_OK)
      return moved;
    t->flow = t->late;
    t->mark = LATE;
  }
  return tb_flow_advance(t->flow, target, t->segment, ask_pause, t, end, event);
}

/* To a value of the clock that stands for `time` (inf: none that a double can hold). */
static tb_status advance_clock(tb_trajectory *t, double target, double time, bool (*pause)(void *user), void *user,
                               tb_stop *why) {
  if (!(target >= tb_flow_time(t->flow)))
    return tb_fail(t->context, TB_USAGE, NULL, NULL, "a flow can't go back from t = %g to %g", tb_trajectory_time(t),
                   time);
  bool met;
  tb_status status = limit_met(t, &met, why);
  if (status != TB_OK || met)
    return status;
  t->time = NAN;
  t->pause = pause;
  t->pause_user = user;
  tb_flow_end end;
  size_t event = 0;
  status = advance_parts(t, target, &end, &event);
  if (status != TB_OK)
    return status;
  switch (end) {
  case TB_FLOW_REACHED:
    *why = TB_STOP_TIME;
    t->time = isinf(time) ? NAN : time;
    return report_here(t);
  case TB_FLOW_EVENT:
    *why = stop_of(t->events[event]);
    return report_here(t);
  case TB_FLOW_PAUSED:
    if (!t->stalled) {
      *why = TB_STOP_PAUSED;
      return TB_OK;
    } /* fall through */
  default:
    *why = TB_STOP_BLOW_UP;
    return explain(t);
  }
}

tb_status tb_trajectory_advance(tb_trajectory *t, double time, bool (*pause)(void *user), void *user, tb_stop *why) {
  return advance_clock(t, clock_of(t, time), time, pause, user, why);
}

tb_status tb_trajectory_advance_log(tb_trajectory *t, double log_time, bool (*pause)(void *user), void *user,
                                    tb_stop *why) {
  const double time = exp(log_time);
  const bool beyond = t->field.log_clock && isinf(time) && isfinite(log_time);
  return advance_clock(t, beyond ? log_time : clock_of(t, time), time, pause, user, why);
}

tb_status tb_trajectory_restore(tb_trajectory *t, double clock, const double *theta) {
  t->time = NAN;
  t->flow = t->late && clock >= LATE ? t->late : t->early;
  return tb_flow_set(t->flow, clock, theta);
}

const double *tb_trajectory_theta(const tb_trajectory *t) {
  return tb_flow_state(t->flow);
}

tb_status tb_trajectory_velocity(tb_trajectory *t, double *velocity, double *velocity_beta) {
  return t->method->velocity->direction(&t->field, tb_flow_state(t->flow), velocity, velocity_beta);
}

tb_natural_report tb_trajectory_report(const tb_trajectory *t, bool worst) {
  return worst ? t->field.worst : t->field.last;
}

const char *tb_trajectory_reason(const tb_trajectory *t) {
  return t->reason;
}

/* ---- life ---- */

static int by_size(const void *a, const void *b) {
  const double p = *(const double *)a, q = *(const double *)b;
  return (p > q) - (p < q);
}

/* A typically small entry of theta that is not 0: its lower quartile; 1 when all are 0.  Errors below that are not
 * amplified by the growth from a small start. */
static tb_status small_entry(tb_trajectory *t, const double *theta, double *small) {
  double *sorted = tb_allocate(t->context, t->p, sizeof *sorted);
  if (!sorted)
    return TB_NO_MEMORY;
  size_t count = 0;
  for (size_t k = 0; k < t->p; k++)
    if (theta[k] != 0.0)
      sorted[count++] = fabs(theta[k]);
  qsort(sorted, count, sizeof *sorted, by_size);
  *small = count > 0 ? fmin(sorted[count / 4], 1.0) : 1.0;
  tb_release(t->context, sorted);
  return TB_OK;
}

/* Steps between pauses, fewer where a step is dear: a stiff run needs some hundred to get going after each. */
static long segment_of(const tb_trajectory *t, tb_flow_kind kind) {
  const bool linear = tb_objective_has_predictor(t->field.objective);
  const double n = (double)t->n, p = (double)t->p, d = (double)tb_objective_inputs(t->field.objective);
  const double width = linear ? d : p; /* of the system solved */
  const double flop = 6.0 * n * p + (t->field.natural ? 2.0 * n * width * fmin(n, width) : 0.0);
  const double steps = 5e10 / (14.0 * flop), least = kind == TB_FLOW_EXPLICIT ? 20.0 : 300.0;
  return (long)fmin(fmax(steps, least), SEGMENT_STEPS);
}

static tb_status open_flow(tb_trajectory *t, const tb_method_options *options, const double *theta) {
  double small;
  tb_status status = small_entry(t, theta, &small);
  if (status != TB_OK)
    return status;
  const bool single = tb_objective_dtype(t->field.objective) == TB_FLOAT32;
  const tb_flow_velocity *velocity = t->method->velocity;
  const tb_flow_problem problem = {
    .dim = t->p,
    .user = &t->field,
    .derivative = velocity->derivative,
    .jacobian_times = velocity->jacobian_times,
    .n_events = t->n_events,
    .events = event_values,
  };
  tb_flow_options flow_options = {
    .kind = velocity->kind(options),
    .relative = single ? 1e-5 : 1e-12,
    .absolute = (single ? 1e-6 : 1e-14) * small,
  };
  status = tb_flow_new(t->context, &problem, &flow_options, &t->early);
  t->flow = t->early;
  flow_options.relative *= 10.0;
  if (status == TB_OK && t->field.log_clock)
    status = tb_flow_new(t->context, &problem, &flow_options, &t->late);
  if (status == TB_OK)
    status = tb_flow_set(t->flow, 0.0, theta);
  return status;
}

static tb_status set_limits(tb_trajectory *t, const tb_flow_limits *limits) {
  const bool logistic = tb_objective_loss_kind(t->field.objective) == TB_LOSS_LOGISTIC;
  if (limits && limits->until_loss > 0) {
    t->log_until_loss = log(limits->until_loss);
    t->events[t->n_events++] = EVENT_LOSS;
  }
  if (limits && isfinite(limits->until_margin)) {
    if (!logistic)
      return tb_fail(t->context, TB_USAGE, "option until_margin", "use until_loss", "margins need the logistic loss");
    t->until_margin = limits->until_margin;
    t->events[t->n_events++] = EVENT_MARGIN;
  }
  t->n_limits = t->n_events;
  if (t->field.natural)
    t->events[t->n_events++] = WATCH;
  return TB_OK;
}

tb_status tb_trajectory_new(tb_context *context, const tb_method *method, const tb_method_options *options,
                            tb_objective *objective, const tb_flow_limits *limits, const double *theta,
                            tb_trajectory **trajectory) {
  *trajectory = NULL;
  if (!method->flow)
    return tb_fail(context, TB_USAGE, "option method", "use method=gf or method=ngf", "method %s takes steps",
                   method->name);
  tb_trajectory *t = tb_allocate(context, 1, sizeof *t);
  if (!t)
    return TB_NO_MEMORY;
  *t = (tb_trajectory){
    .context = context,
    .method = method,
    .fisher = options->fisher,
    .field = { .context = context, .objective = objective, .log_clock = method->velocity->log_clock(options) },
    .n = tb_objective_rows(objective),
    .p = tb_objective_parameters(objective),
    .time = NAN,
  };
  t->field.f = tb_allocate(context, t->n, sizeof *t->field.f);
  t->field.r = tb_allocate(context, t->n, sizeof *t->field.r);
  t->scratch = tb_allocate(context, t->p, sizeof *t->scratch);
  tb_status status = t->field.f && t->field.r && t->scratch ? TB_OK : TB_NO_MEMORY;
  if (status == TB_OK && method->natural)
    status = tb_natural_new(context, objective, options->fisher, options->damping, &t->field.natural);
  if (status == TB_OK)
    status = set_limits(t, limits);
  t->segment = segment_of(t, method->velocity->kind(options));
  if (status == TB_OK)
    status = open_flow(t, options, theta);
  if (status != TB_OK) {
    tb_trajectory_free(t);
    return status;
  }
  *trajectory = t;
  return TB_OK;
}

void tb_trajectory_free(tb_trajectory *t) {
  if (!t)
    return;
  tb_flow_free(t->early);
  tb_flow_free(t->late);
  tb_natural_free(t->field.natural);
  tb_release(t->context, t->field.f);
  tb_release(t->context, t->field.r);
  tb_release(t->context, t->scratch);
  tb_release(t->context, t);
}

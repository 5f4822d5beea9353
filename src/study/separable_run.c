/* Running the study `separable`: steps or a flow from the start to a stop rule, looking where the schedule says.
 *
 * A checkpoint holds parameters, the method's own state and the clock; everything else follows from the configuration,
 * so a run taken up again gives the same bits.  Runs pause only between steps, or where the flow's integrator restarts.
 */
#include <math.h>
#include <string.h>

#include "study/separable.h"

static const char magic[8] = "sepa-01";

typedef struct checkpoint_head {
  char magic[8];
  uint64_t values;    /* doubles that follow */
  uint64_t next;      /* snapshot to come */
  double step, clock; /* of a discrete method; of a flow */
  double last;        /* log time of the last snapshot; NaN: none yet */
} checkpoint_head;

/* The numbers of a run in one block, so that a checkpoint is one copy: theta[p], method state[k·p], before[d]. */
typedef struct progress {
  checkpoint_head head;
  double *values, *theta, *state, *before;
} progress;

static tb_status progress_new(separable *s, progress *g) {
  size_t count = s->p * (1 + s->method->state) + s->d;
  *g = (progress){ .values = tb_arena_allocate(s->arena, count, sizeof(double)) };
  if (!g->values)
    return TB_NO_MEMORY;
  memcpy(g->head.magic, magic, sizeof magic);
  g->head.values = count;
  g->head.last = NAN;
  g->theta = g->values;
  g->state = g->theta + s->p;
  g->before = g->state + s->p * s->method->state;
  memcpy(g->theta, s->theta, s->p * sizeof(double));
  for (size_t j = 0; j < s->d; j++)
    g->before[j] = NAN;
  return TB_OK;
}

static tb_status progress_save(const progress *g, tb_context *context, tb_run *run) {
  size_t size = sizeof g->head + g->head.values * sizeof(double);
  char *block = tb_allocate(context, size, 1);
  if (!block)
    return TB_NO_MEMORY;
  memcpy(block, &g->head, sizeof g->head);
  memcpy(block + sizeof g->head, g->values, g->head.values * sizeof(double));
  tb_status status = tb_run_checkpoint_save(run, block, size);
  tb_release(context, block);
  return status;
}

/* *found: a checkpoint was there and is loaded. */
static tb_status progress_load(progress *g, tb_context *context, tb_run *run, bool *found) {
  const void *block;
  size_t size;
  checkpoint_head head;
  *found = false;
  tb_status status = tb_run_checkpoint_load(run, &block, &size);
  if (status || !block)
    return status;
  if (size >= sizeof head)
    memcpy(&head, block, sizeof head);
  if (size != sizeof head + g->head.values * sizeof(double) || memcmp(head.magic, magic, sizeof magic) != 0 ||
      head.values != g->head.values)
    return tb_fail(context, TB_FAILED, "checkpoint", "start the run afresh", "the checkpoint is not of this run");
  g->head = head;
  memcpy(g->values, (const char *)block + sizeof head, head.values * sizeof(double));
  *found = true;
  return TB_OK;
}

static tb_status stop_here(const progress *g, separable *s, tb_run *run) {
  tb_status status = progress_save(g, s->context, run);
  return status ? status : tb_run_stop_status(run);
}

static tb_status snapshot(separable *s, tb_run *run, const separable_state *state) {
  tb_metrics *metrics;
  tb_status status = tb_metrics_new(s->context, &metrics);
  if (status)
    return status;
  status = separable_measure(s, state, metrics);
  if (!status)
    status = tb_run_snapshot(run, metrics);
  tb_metrics_free(metrics);
  return status;
}

/* The end: final metrics, and the last snapshot where the schedule is the default one. */
static tb_status finish(separable *s, tb_run *run, const separable_state *state, const char *stopped, double last) {
  tb_status status = separable_measure(s, state, tb_run_metrics(run));
  if (!status)
    status = tb_metrics_word(tb_run_metrics(run), "stopped", stopped);
  if (!status && s->schedule.count == 0 && !(state->log_t <= last))
    status = snapshot(s, run, state);
  return status;
}

static double fraction_done(const separable *s, double clock, double margin) {
  double done = isfinite(s->schedule.end) && s->schedule.end > 0 ? clock / s->schedule.end : 0;
  if (isfinite(s->schedule.margin) && s->schedule.margin > 0)
    done =
        fmax(done, s->method->flow ? log1p(fmax(0, margin)) / log1p(s->schedule.margin) : margin / s->schedule.margin);
  return fmin(1, fmax(0, done));
}

/* ---- discrete methods ---- */

typedef struct stepping {
  separable *s;
  tb_run *run;
  progress g;
  tb_stepper *stepper;
  tb_natural *natural;              /* what a natural gradient would do from here: its rank and conditioning */
  double *last_theta;               /* p: before the step just taken */
  double *beta, *velocity, *unused; /* d, d, p */
} stepping;

static tb_status state_of(stepping *w, separable_state *state) {
  separable *s = w->s;
  double k = w->g.head.step;
  *state = (separable_state){ .t = k, .log_t = log(k), .theta = w->g.theta };
  tb_status status = TB_OK;
  if (s->has_predictor) {
    status = tb_objective_predictor(s->objective, w->g.theta, w->beta, NULL);
    for (size_t j = 0; j < s->d; j++)
      w->velocity[j] = w->beta[j] - w->g.before[j];
    state->velocity = k > 0 ? w->velocity : NULL;
  }
  if (!status && w->natural) {
    status = tb_natural_velocity(w->natural, w->g.theta, w->unused, NULL, &state->report);
    if (status == TB_FAILED) { /* nowhere to go from here: the report says so */
      tb_context_clear(s->context);
      status = TB_OK;
    }
  }
  return status;
}

static bool finite_all(size_t count, const double *values) {
  for (size_t i = 0; i < count; i++)
    if (!isfinite(values[i]))
      return false;
  return true;
}

/* One step.  *blew_up: the numbers left the range of double; theta is that of before. */
static tb_status step(stepping *w, bool *blew_up) {
  separable *s = w->s;
  memcpy(w->last_theta, w->g.theta, s->p * sizeof(double));
  if (s->has_predictor) {
    tb_status status = tb_objective_predictor(s->objective, w->g.theta, w->g.before, NULL);
    if (status)
      return status;
  }
  tb_status status = s->method->step(w->stepper, (uint64_t)w->g.head.step, w->g.theta, w->g.state);
  double log_loss, margin;
  *blew_up = false;
  if (!status && finite_all(s->p, w->g.theta)) {
    status = separable_look(s, w->g.theta, &log_loss, &margin);
    if (!status) {
      w->g.head.step += 1;
      return TB_OK;
    }
  }
  if (status && status != TB_FAILED)
    return status;
  *blew_up = true;
  return TB_OK;
}

/* A divergence is a result where the configuration is known to give it: the empirical Fisher matrix. */
static tb_status diverged(stepping *w, const char **stopped) {
  separable *s = w->s;
  const char *message = tb_context_message(s->context);
  if (s->method->natural && s->options.fisher == TB_FISHER_EMPIRICAL) {
    memcpy(w->g.theta, w->last_theta, s->p * sizeof(double));
    *stopped = "blow_up";
    tb_context_clear(s->context);
    return tb_run_warn(w->run, "blow-up after step %.0f: the empirical Fisher matrix vanishes faster than the gradient",
                       w->g.head.step);
  }
  return tb_fail(s->context, TB_FAILED, "method", "lower lr=, or take a flow (gf, ngf)", "%s diverged at step %.0f%s%s",
                 s->method->name, w->g.head.step + 1, *message ? ": " : "", message);
}

static tb_status stepping_new(stepping *w) {
  separable *s = w->s;
  w->last_theta = tb_arena_allocate(s->arena, s->p, sizeof(double));
  w->unused = tb_arena_allocate(s->arena, s->p, sizeof(double));
  w->beta = tb_arena_allocate(s->arena, s->d, sizeof(double));
  w->velocity = tb_arena_allocate(s->arena, s->d, sizeof(double));
  if (!w->last_theta || !w->unused || !w->beta || !w->velocity)
    return TB_NO_MEMORY;
  tb_status status = progress_new(s, &w->g);
  if (!status)
    status = tb_stepper_new(s->context, s->method, &s->options, s->objective, &w->stepper);
  if (!status && s->method->natural)
    status = tb_natural_new(s->context, s->objective, s->options.fisher, s->options.damping, &w->natural);
  return status;
}

static tb_status walk(stepping *w, const char **stopped) {
  separable *s = w->s;
  const tb_schedule *schedule = &s->schedule;
  for (tb_status status = TB_OK; !status;) {
    double k = w->g.head.step, log_loss, margin;
    separable_state state;
    if ((status = separable_look(s, w->g.theta, &log_loss, &margin)))
      return status;
    if (k == tb_schedule_at(schedule, w->g.head.next)) {
      if ((status = state_of(w, &state)) || (status = snapshot(s, w->run, &state)))
        return status;
      w->g.head.next++;
      w->g.head.last = state.log_t;
    }
    *stopped = margin >= schedule->margin       ? "margin"
               : log_loss <= schedule->log_loss ? "loss"
               : k >= schedule->end             ? "steps"
                                                : NULL;
    if (*stopped)
      return TB_OK;
    if ((uint64_t)k % 16 == 0) {
      tb_run_progress(w->run, fraction_done(s, k, margin), s->method->name);
      if (tb_run_should_stop(w->run))
        return stop_here(&w->g, s, w->run);
      if (tb_run_checkpoint_due(w->run) && (status = progress_save(&w->g, s->context, w->run)))
        return status;
    }
    bool blew_up;
    status = step(w, &blew_up);
    if (!status && blew_up) {
      status = diverged(w, stopped);
      if (!status)
        return TB_OK;
    }
  }
  return TB_FAILED;
}

tb_status separable_run_steps(separable *s, tb_run *run) {
  stepping w = { .s = s, .run = run };
  separable_state state;
  const char *stopped = NULL;
  bool resumed;
  tb_status status = stepping_new(&w);
  if (!status)
    status = progress_load(&w.g, s->context, run, &resumed);
  if (!status)
    status = walk(&w, &stopped);
  if (!status)
    status = state_of(&w, &state);
  if (!status)
    status = finish(s, run, &state, stopped, w.g.head.last);
  tb_stepper_free(w.stepper);
  tb_natural_free(w.natural);
  return status;
}

/* ---- flows ---- */

typedef struct flowing {
  separable *s;
  tb_run *run;
  progress g;
  tb_trajectory *trajectory;
  double *velocity, *velocity_beta; /* p, d */
} flowing;

static bool pause_now(void *user) {
  tb_run *run = user;
  return tb_run_should_stop(run) || tb_run_checkpoint_due(run);
}

static tb_status flow_state(flowing *w, separable_state *state) {
  separable *s = w->s;
  *state = (separable_state){ .t = tb_trajectory_time(w->trajectory),
                              .log_t = tb_trajectory_log_time(w->trajectory),
                              .theta = tb_trajectory_theta(w->trajectory) };
  tb_status status = tb_trajectory_velocity(w->trajectory, w->velocity, s->has_predictor ? w->velocity_beta : NULL);
  if (status == TB_FAILED) /* at a blow-up there may be no velocity */
    tb_context_clear(s->context);
  else if (status)
    return status;
  else if (s->has_predictor)
    state->velocity = w->velocity_beta;
  if (s->method->natural)
    state->report = tb_trajectory_report(w->trajectory, false);
  return TB_OK;
}

static tb_status save_flow(flowing *w) {
  w->g.head.clock = tb_trajectory_clock(w->trajectory);
  memcpy(w->g.theta, tb_trajectory_theta(w->trajectory), w->s->p * sizeof(double));
  return progress_save(&w->g, w->s->context, w->run);
}

static tb_status stop_flow(flowing *w) {
  tb_status status = save_flow(w);
  return status ? status : tb_run_stop_status(w->run);
}

static const char *stop_word(tb_stop why) {
  switch (why) {
  case TB_STOP_LOSS:
    return "loss";
  case TB_STOP_MARGIN:
    return "margin";
  case TB_STOP_BLOW_UP:
    return "blow_up";
  default:
    return "time";
  }
}

static tb_status look_at_snapshot(flowing *w) {
  separable_state state;
  tb_status status = flow_state(w, &state);
  if (!status)
    status = snapshot(w->s, w->run, &state);
  w->g.head.last = state.log_t;
  w->g.head.next++;
  return status;
}

/* At time 0: a snapshot where one is asked for, and a limit that is reached already (no crossing would be found). */
static tb_status begin(flowing *w, const char **stopped) {
  const tb_schedule *schedule = &w->s->schedule;
  double log_loss, margin;
  tb_status status = separable_look(w->s, w->g.theta, &log_loss, &margin);
  if (!status && tb_schedule_at(schedule, 0) == 0)
    status = look_at_snapshot(w);
  if (!status)
    *stopped = margin >= schedule->margin       ? "margin"
               : log_loss <= schedule->log_loss ? "loss"
               : schedule->end == 0             ? "time"
                                                : NULL;
  return status;
}

/* From one snapshot to the next, or to a stop: *stopped. */
static tb_status stretch(flowing *w, const char **stopped) {
  separable *s = w->s;
  double end = s->schedule.end;
  double at = tb_schedule_at(&s->schedule, w->g.head.next), log_at = tb_schedule_log_at(&s->schedule, w->g.head.next);
  bool to_snapshot = at <= end && isfinite(log_at);
  double target = to_snapshot ? at : end, log_target = to_snapshot ? log_at : log(end);
  tb_stop why;
  tb_status status = isinf(target) ? tb_trajectory_advance_log(w->trajectory, log_target, pause_now, w->run, &why)
                                   : tb_trajectory_advance(w->trajectory, target, pause_now, w->run, &why);
  double log_loss, margin;
  if (status || (status = separable_look(s, tb_trajectory_theta(w->trajectory), &log_loss, &margin)))
    return status;
  tb_run_progress(w->run, fraction_done(s, tb_trajectory_time(w->trajectory), margin), s->method->name);
  if (why == TB_STOP_PAUSED)
    return TB_OK;
  if (why != TB_STOP_TIME)
    *stopped = stop_word(why);
  else if (to_snapshot)
    status = look_at_snapshot(w);
  if (why == TB_STOP_TIME && (!to_snapshot || (isfinite(end) && target == end)))
    *stopped = "time";
  return status;
}

tb_status separable_run_flow(separable *s, tb_run *run) {
  flowing w = { .s = s, .run = run };
  separable_state state;
  const char *stopped = NULL;
  bool resumed;
  tb_flow_limits limits = { .until_loss = exp(s->schedule.log_loss), .until_margin = s->schedule.margin };
  w.velocity = tb_arena_allocate(s->arena, s->p, sizeof(double));
  w.velocity_beta = tb_arena_allocate(s->arena, s->d, sizeof(double));
  tb_status status = w.velocity && w.velocity_beta ? progress_new(s, &w.g) : TB_NO_MEMORY;
  if (!status)
    status = tb_trajectory_new(s->context, s->method, &s->options, s->objective, &limits, s->theta, &w.trajectory);
  if (!status)
    status = progress_load(&w.g, s->context, run, &resumed);
  if (!status && resumed)
    status = tb_trajectory_restore(w.trajectory, w.g.head.clock, w.g.theta);
  else if (!status)
    status = begin(&w, &stopped);
  while (!status && !stopped) {
    status = stretch(&w, &stopped);
    if (!status && !stopped && pause_now(run)) /* at a snapshot the integrator starts anew in any case */
      status = tb_run_should_stop(run) ? stop_flow(&w) : save_flow(&w);
  }
  if (!status && strcmp(stopped, "blow_up") == 0)
    status = tb_run_warn(run, "blow-up at t = %.17g: %s", tb_trajectory_time(w.trajectory),
                         tb_trajectory_reason(w.trajectory));
  if (!status)
    status = flow_state(&w, &state);
  if (!status)
    status = finish(s, run, &state, stopped, w.g.head.last);
  tb_trajectory_free(w.trajectory);
  return status;
}

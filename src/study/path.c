/* Steps or a flow from the start to a stop rule, looking where the schedule says.
 *
 * A checkpoint holds parameters, the method's own state and the clock; everything else follows from the configuration,
 * so a run taken up again gives the same bits.  Runs pause only between steps, or where the flow's integrator restarts.
 */
#include "study/path.h"
#include "base/block.h"

#include <math.h>
#include <string.h>

static const char magic[8] = "path-01";

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

static tb_status progress_new(tb_path *s, progress *g) {
  size_t p = tb_objective_parameters(s->objective), count = p * (1 + s->method->state) + s->d;
  *g = (progress){ .values = tb_arena_allocate(s->arena, count, sizeof(double)) };
  if (!g->values)
    return TB_NO_MEMORY;
  memcpy(g->head.magic, magic, sizeof magic);
  g->head.values = count;
  g->head.last = NAN;
  g->theta = g->values;
  g->state = g->theta + p;
  g->before = g->state + p * s->method->state;
  memcpy(g->theta, s->theta, p * sizeof(double));
  for (size_t j = 0; j < s->d; j++)
    g->before[j] = NAN;
  return TB_OK;
}

static tb_status progress_save(progress *g, tb_path *s) {
  const tb_block_part parts[] = { { &g->head, sizeof g->head }, { g->values, g->head.values * sizeof(double) } };
  size_t size;
  char *block = tb_block_join(s->context, 2, parts, &size);
  const tb_status status = block ? tb_run_checkpoint_save(s->run, block, size) : TB_NO_MEMORY;
  tb_release(s->context, block);
  return status;
}

/* *found: a checkpoint was there and is loaded. */
static tb_status progress_load(progress *g, tb_path *s, bool *found) {
  const tb_block_part parts[] = { { &g->head, sizeof g->head }, { g->values, g->head.values * sizeof(double) } };
  const void *block;
  size_t size;
  *found = false;
  tb_status status = tb_run_checkpoint_load(s->run, &block, &size);
  if (status || !block)
    return status;
  status = tb_block_split(s->context, block, size, offsetof(checkpoint_head, next), 2, parts);
  *found = !status;
  return status;
}

static tb_status stop_here(progress *g, tb_path *s) {
  tb_status status = progress_save(g, s);
  return status ? status : tb_run_stop_status(s->run);
}

static tb_status snapshot(tb_path *s, const tb_path_state *state) {
  tb_metrics *metrics;
  tb_status status = tb_metrics_new(s->context, &metrics);
  if (status)
    return status;
  status = s->measure(s->study, state, metrics);
  if (!status)
    status = tb_run_snapshot(s->run, metrics);
  tb_metrics_free(metrics);
  return status;
}

/* The end: final metrics, and the last snapshot where the schedule is the default one. */
static tb_status finish(tb_path *s, const tb_path_state *state, const char *stopped, double last) {
  tb_status status = s->measure(s->study, state, tb_run_metrics(s->run));
  if (!status)
    status = tb_metrics_word(tb_run_metrics(s->run), "stopped", stopped);
  if (!status && s->schedule->count == 0 && !(state->log_t <= last))
    status = snapshot(s, state);
  return status;
}

static double fraction_done(const tb_path *s, double clock, double margin) {
  double end = s->schedule->end, most = s->schedule->margin;
  double done = isfinite(end) && end > 0 ? clock / end : 0;
  if (isfinite(most) && most > 0)
    done = fmax(done, s->method->flow ? log1p(fmax(0, margin)) / log1p(most) : margin / most);
  return fmin(1, fmax(0, done));
}

/* ---- discrete methods ---- */

typedef struct stepping {
  tb_path *s;
  progress g;
  tb_stepper *stepper;
  tb_natural *natural;              /* what a natural gradient would do from here: its rank and conditioning */
  double *last_theta;               /* p: before the step just taken, where a divergence is a result */
  double *beta, *velocity, *unused; /* d, d, p */
  double log_loss, margin;          /* at theta */
} stepping;

static size_t parameters(const tb_path *s) {
  return tb_objective_parameters(s->objective);
}

/* Where the empirical Fisher matrix vanishes faster than the gradient, steps grow without bound: that is a result. */
static bool may_blow_up(const tb_path *s) {
  return s->method->natural && s->options.fisher == TB_FISHER_EMPIRICAL;
}

static tb_status state_of(stepping *w, tb_path_state *state) {
  tb_path *s = w->s;
  double k = w->g.head.step;
  *state = (tb_path_state){ .t = k, .log_t = log(k), .theta = w->g.theta };
  tb_status status = TB_OK;
  if (s->d > 0) {
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
  double zero = 0;
  for (size_t i = 0; i < count; i++)
    zero += 0 * values[i];
  return zero == 0;
}

/* One step.  *blew_up: the numbers left the range of double; theta is that of before. */
static tb_status step(stepping *w, bool *blew_up) {
  tb_path *s = w->s;
  if (may_blow_up(s))
    memcpy(w->last_theta, w->g.theta, parameters(s) * sizeof(double));
  if (s->d > 0) {
    tb_status status = tb_objective_predictor(s->objective, w->g.theta, w->g.before, NULL);
    if (status)
      return status;
  }
  tb_status status = s->method->step(w->stepper, (uint64_t)w->g.head.step, w->g.theta, w->g.state);
  *blew_up = false;
  if (!status && finite_all(parameters(s), w->g.theta)) {
    status = s->look(s->study, w->g.theta, &w->log_loss, &w->margin);
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

static tb_status diverged(stepping *w, const char **stopped) {
  tb_path *s = w->s;
  const char *message = tb_context_message(s->context);
  if (may_blow_up(s)) {
    memcpy(w->g.theta, w->last_theta, parameters(s) * sizeof(double));
    *stopped = "blow_up";
    tb_context_clear(s->context);
    return tb_run_warn(w->s->run,
                       "blow-up after step %.0f: the empirical Fisher matrix vanishes faster than the gradient",
                       w->g.head.step);
  }
  return tb_fail(s->context, TB_FAILED, "method", "lower lr=, or take a flow (gf, ngf)", "%s diverged at step %.0f%s%s",
                 s->method->name, w->g.head.step + 1, *message ? ": " : "", message);
}

static tb_status stepping_new(stepping *w) {
  tb_path *s = w->s;
  w->last_theta = tb_arena_allocate(s->arena, parameters(s), sizeof(double));
  w->unused = tb_arena_allocate(s->arena, parameters(s), sizeof(double));
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
  tb_path *s = w->s;
  const tb_schedule *schedule = s->schedule;
  tb_status status = s->look(s->study, w->g.theta, &w->log_loss, &w->margin);
  while (!status) {
    double k = w->g.head.step;
    tb_path_state state;
    if (k == tb_schedule_at(schedule, w->g.head.next)) {
      if ((status = state_of(w, &state)) || (status = snapshot(s, &state)))
        return status;
      w->g.head.next++;
      w->g.head.last = state.log_t;
    }
    *stopped = w->margin >= schedule->margin       ? "margin"
               : w->log_loss <= schedule->log_loss ? "loss"
               : k >= schedule->end                ? "steps"
                                                   : NULL;
    if (*stopped)
      return TB_OK;
    if ((uint64_t)k % 16 == 0) {
      tb_run_progress(w->s->run, fraction_done(s, k, w->margin), s->method->name);
      if (tb_run_should_stop(w->s->run))
        return stop_here(&w->g, s);
      if (tb_run_checkpoint_due(w->s->run) && (status = progress_save(&w->g, s)))
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
  return status;
}

static tb_status run_steps(tb_path *s) {
  stepping w = { .s = s };
  tb_path_state state;
  const char *stopped = NULL;
  bool resumed;
  tb_status status = stepping_new(&w);
  if (!status)
    status = progress_load(&w.g, s, &resumed);
  if (!status)
    status = walk(&w, &stopped);
  if (!status)
    status = state_of(&w, &state);
  if (!status)
    status = finish(s, &state, stopped, w.g.head.last);
  tb_stepper_free(w.stepper);
  tb_natural_free(w.natural);
  return status;
}

/* ---- flows ---- */

typedef struct flowing {
  tb_path *s;
  progress g;
  tb_trajectory *trajectory;
  double *velocity, *velocity_beta; /* p, d */
} flowing;

static bool pause_now(void *user) {
  tb_run *run = user;
  return tb_run_should_stop(run) || tb_run_checkpoint_due(run);
}

static tb_status flow_state(flowing *w, tb_path_state *state) {
  tb_path *s = w->s;
  *state = (tb_path_state){ .t = tb_trajectory_time(w->trajectory),
                            .log_t = tb_trajectory_log_time(w->trajectory),
                            .theta = tb_trajectory_theta(w->trajectory) };
  tb_status status = tb_trajectory_velocity(w->trajectory, w->velocity, s->d > 0 ? w->velocity_beta : NULL);
  if (status == TB_FAILED) /* at a blow-up there may be no velocity */
    tb_context_clear(s->context);
  else if (status)
    return status;
  else {
    state->direction = w->velocity;
    state->velocity = s->d > 0 ? w->velocity_beta : NULL;
  }
  if (s->method->natural)
    state->report = tb_trajectory_report(w->trajectory, false);
  return TB_OK;
}

static tb_status save_flow(flowing *w) {
  w->g.head.clock = tb_trajectory_clock(w->trajectory);
  memcpy(w->g.theta, tb_trajectory_theta(w->trajectory), parameters(w->s) * sizeof(double));
  return progress_save(&w->g, w->s);
}

static tb_status stop_flow(flowing *w) {
  tb_status status = save_flow(w);
  return status ? status : tb_run_stop_status(w->s->run);
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
  tb_path_state state;
  tb_status status = flow_state(w, &state);
  if (!status)
    status = snapshot(w->s, &state);
  w->g.head.last = state.log_t;
  w->g.head.next++;
  return status;
}

/* At time 0: a snapshot where one is asked for, and a limit that is reached already (no crossing would be found). */
static tb_status begin(flowing *w, const char **stopped) {
  const tb_schedule *schedule = w->s->schedule;
  double log_loss, margin;
  tb_status status = w->s->look(w->s->study, w->g.theta, &log_loss, &margin);
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
  tb_path *s = w->s;
  double end = s->schedule->end;
  double at = tb_schedule_at(s->schedule, w->g.head.next), log_at = tb_schedule_log_at(s->schedule, w->g.head.next);
  bool to_snapshot = at <= end && isfinite(log_at);
  double target = to_snapshot ? at : end, log_target = to_snapshot ? log_at : log(end);
  tb_stop why;
  tb_status status = isinf(target) ? tb_trajectory_advance_log(w->trajectory, log_target, pause_now, w->s->run, &why)
                                   : tb_trajectory_advance(w->trajectory, target, pause_now, w->s->run, &why);
  double log_loss, margin;
  if (status || (status = s->look(s->study, tb_trajectory_theta(w->trajectory), &log_loss, &margin)))
    return status;
  tb_run_progress(w->s->run, fraction_done(s, tb_trajectory_time(w->trajectory), margin), s->method->name);
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

static tb_status run_flow(tb_path *s) {
  flowing w = { .s = s };
  tb_path_state state;
  const char *stopped = NULL;
  bool resumed;
  tb_flow_limits limits = { .until_loss = exp(s->schedule->log_loss), .until_margin = s->schedule->margin };
  w.velocity = tb_arena_allocate(s->arena, parameters(s), sizeof(double));
  w.velocity_beta = tb_arena_allocate(s->arena, s->d, sizeof(double));
  tb_status status = w.velocity && w.velocity_beta ? progress_new(s, &w.g) : TB_NO_MEMORY;
  if (!status)
    status = tb_trajectory_new(s->context, s->method, &s->options, s->objective, &limits, s->theta, &w.trajectory);
  if (!status)
    status = progress_load(&w.g, s, &resumed);
  if (!status && resumed)
    status = tb_trajectory_restore(w.trajectory, w.g.head.clock, w.g.theta);
  else if (!status)
    status = begin(&w, &stopped);
  while (!status && !stopped) {
    status = stretch(&w, &stopped);
    if (!status && !stopped && pause_now(s->run)) /* at a snapshot the integrator starts anew in any case */
      status = tb_run_should_stop(s->run) ? stop_flow(&w) : save_flow(&w);
  }
  if (!status && strcmp(stopped, "blow_up") == 0)
    status = tb_run_warn(s->run, "blow-up at t = %.17g: %s", tb_trajectory_time(w.trajectory),
                         tb_trajectory_reason(w.trajectory));
  if (!status)
    status = flow_state(&w, &state);
  if (!status)
    status = finish(s, &state, stopped, w.g.head.last);
  tb_trajectory_free(w.trajectory);
  return status;
}

tb_status tb_path_run(tb_path *s) {
  return s->method->flow ? run_flow(s) : run_steps(s);
}

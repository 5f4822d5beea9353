/* Optimisation methods: discrete ones take steps, flows have a velocity; one record each, one table.
 *
 * gd, momentum, adam, ngd step; gf, ngf flow.  A natural gradient names its Fisher matrix. */
#ifndef TB_OPTIM_METHOD_H
#define TB_OPTIM_METHOD_H

#include "optim/objective.h"

typedef enum tb_fisher {
  TB_FISHER_PREDICTOR,  /* N1: training inputs, pseudo-inverse in predictor space, lifted to parameters by D⁺ */
  TB_FISHER_PARAMETER,  /* N2: training inputs, Moore-Penrose in parameter space */
  TB_FISHER_POPULATION, /* N3: x ~ N(0, I), in predictor space */
  TB_FISHER_EMPIRICAL   /* observed labels, in predictor space where there is one, else in parameters */
} tb_fisher;

/* What a natural-gradient evaluation reports every time. */
typedef struct tb_natural_report {
  size_t rank;      /* of the (weighted) system solved */
  size_t full_rank; /* what full rank would be */
  double condition; /* of what was factored */
  bool fast;        /* full-row-rank path in which the vanishing weights cancel */
  bool rank_loss;   /* D (predictor map) or J lost rank: the flow can't go on */
} tb_natural_report;

/* velocity[p] = −(F + λI)⁺ ∇L at theta, with L and F both means over the data.  Nothing underflows at any margin.
 * velocity_beta[d] (may be NULL; where there is a predictor): its image D·velocity. */
typedef struct tb_natural tb_natural; /* work space */
tb_status tb_natural_new(tb_context *, tb_objective *, tb_fisher, double damping, tb_natural **);
void tb_natural_free(tb_natural *);
/* Errors: TB_FAILED when D has lost rank (report->rank_loss) or the velocity is not finite.  report may be NULL. */
tb_status tb_natural_velocity(tb_natural *, const double *theta, double *velocity, double *velocity_beta,
                              tb_natural_report *);

/* The e^{−t} law, by which the scales of L and F are right: under the exact natural gradient flow of a linear model
 * d∇L/dt = ∇²L θ' = −∇L.  Returns ‖∇²L v + ∇L‖/‖∇L‖ for a velocity v[p]; with the mean in L and the sum in F, or the
 * other way round, it is 1 − 1/n or n − 1. */
tb_status tb_natural_law_error(tb_objective *, const double *theta, const double *velocity, double *error);
/* Checks the law and m' = 1 + e^{−m} on built-in data for every model and Fisher matrix that obeys them: TB_FAILED,
 * with what broke, when one doesn't.  Takes milliseconds. */
tb_status tb_natural_self_test(tb_context *);

typedef struct tb_method_options {
  double lr, momentum, beta1, beta2, epsilon, damping;
  tb_fisher fisher;
} tb_method_options;

typedef struct tb_stepper tb_stepper;             /* state of a discrete method */
typedef struct tb_flow_velocity tb_flow_velocity; /* private: what a flow integrates */

typedef struct tb_method {
  const char *name, *summary, *formula, *source;
  bool flow;    /* a flow in continuous time */
  bool natural; /* takes fisher= and damping= */
  size_t state; /* vectors of p doubles that the method keeps besides theta (momentum 1, adam 2) */
  /* Discrete: one step of theta in place; k counts from 0; state[state*p]. NULL for flows. */
  tb_status (*step)(tb_stepper *, uint64_t k, double *theta, double *state);
  const tb_flow_velocity *velocity; /* flows; NULL for discrete methods */
} tb_method;

const tb_method *const *tb_methods(void);
const tb_method *tb_method_find(const char *name);
tb_status tb_stepper_new(tb_context *, const tb_method *, const tb_method_options *, tb_objective *, tb_stepper **);
void tb_stepper_free(tb_stepper *);
/* The report of the last natural-gradient evaluation (zeros for other methods). */
tb_natural_report tb_stepper_report(const tb_stepper *);

/* ---- flows ---- */

typedef enum tb_stop {
  TB_STOP_TIME,
  TB_STOP_STEPS,
  TB_STOP_LOSS,
  TB_STOP_MARGIN,
  TB_STOP_BLOW_UP,
  TB_STOP_PAUSED
} tb_stop;

/* The flow of a method on an objective from theta[p].  The independent variable (the clock) is t, or s = log(1 + t)
 * where margins grow like log t: gf, population Fisher, damped natural gradient; t = e^{10⁶} is then s = 10⁶. Metrics
 * right to 1e-10·max(1,|value|), events to 1e-9 relative in t (float32: to the type's rounding). */
typedef struct tb_trajectory tb_trajectory;
typedef struct tb_flow_limits {
  double until_loss;   /* stop when the loss falls to it; 0 or less: never */
  double until_margin; /* stop when the least margin reaches it; inf: never (logistic only) */
} tb_flow_limits;
/* theta: the start, copied.  Give the same start when a saved trajectory is restored: it sets the tolerances. */
tb_status tb_trajectory_new(tb_context *, const tb_method *, const tb_method_options *, tb_objective *,
                            const tb_flow_limits *, const double *theta, tb_trajectory **);
void tb_trajectory_free(tb_trajectory *);
/* Advances to time exactly (inf: as far as it goes), or to a limit, or to a blow-up; a limit met already ends it at
 * once. pause (may be NULL) is asked now and then, at points that depend on the problem only; true: stop there with
 * TB_STOP_PAUSED; clock and theta saved at any stop and restored go on to the same bits. */
tb_status tb_trajectory_advance(tb_trajectory *, double time, bool (*pause)(void *user), void *user, tb_stop *why);
/* The same to a time given by its logarithm, which may be beyond 1e308 where the clock is log(1 + t). */
tb_status tb_trajectory_advance_log(tb_trajectory *, double log_time, bool (*pause)(void *user), void *user,
                                    tb_stop *why);
const double *tb_trajectory_theta(const tb_trajectory *);
double tb_trajectory_time(const tb_trajectory *); /* may be inf */
double tb_trajectory_log_time(const tb_trajectory *);
/* Clock of the integrator for a checkpoint (with theta it restarts to the same bits). */
double tb_trajectory_clock(const tb_trajectory *);
tb_status tb_trajectory_restore(tb_trajectory *, double clock, const double *theta);
/* d(theta)/dt[p] up to a positive factor, and the predictor's [d] (may be NULL, or the model have none). */
tb_status tb_trajectory_velocity(tb_trajectory *, double *velocity, double *velocity_beta);
/* Rank, conditioning: of the last and the worst natural-gradient evaluation so far. */
tb_natural_report tb_trajectory_report(const tb_trajectory *, bool worst);
const char *tb_trajectory_reason(const tb_trajectory *); /* of a blow-up: "the predictor map D lost rank …", else "" */

#endif

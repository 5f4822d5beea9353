/* Ordinary differential equations over SUNDIALS: explicit and stiff, exact stops, events located to rounding.
 *
 * The state is a vector; `s` the independent variable (time, log1p(time), …).  The integrator is restarted at every
 * stop, event and segment end, so that a run taken up from a saved state gives the same bits.  A restart costs some
 * hundred evaluations (the stiff method climbs from first order again): segments of 2000 steps or more are cheap.
 * At the default tolerances whole runs are right to about 1e-11 relative; explicit and stiff agree to 1e-10. */
#ifndef TB_NUM_FLOW_H
#define TB_NUM_FLOW_H

#include <tiebreak/base.h>

typedef struct tb_flow tb_flow;

typedef enum tb_flow_kind { TB_FLOW_AUTO, TB_FLOW_EXPLICIT, TB_FLOW_STIFF } tb_flow_kind;

typedef struct tb_flow_problem {
  size_t dim;
  void *user;
  /* dy = f(s, y).  Return TB_OK; a TB_FAILED makes the integrator try a smaller step (a point outside the domain). */
  tb_status (*derivative)(void *user, double s, const double *y, double *dy);
  /* Optional: jacobian-vector product for the stiff method; NULL: difference quotients. */
  tb_status (*jacobian_times)(void *user, double s, const double *y, const double *v, double *jv);
  /* Optional events: n_events functions whose zero crossing ends the advance, located to 1e-12 relative in s by
   * re-integration from the step's start (never by interpolation).  The point returned lies on the far side of the
   * crossing, so advancing again does not find it again.  A function that is zero at the start fires once it has been
   * nonzero; two crossings of one function within a step cancel; of several functions the earliest crossing wins. */
  size_t n_events;
  tb_status (*events)(void *user, double s, const double *y, double *g);
} tb_flow_problem;

typedef struct tb_flow_options {
  tb_flow_kind kind;
  double relative, absolute; /* tolerances; 0: 1e-13 and 1e-16 */
  double first_step;         /* after every restart; 0: chosen */
  long most_steps;           /* per advance; 0: 10 million */
  double least_step;         /* relative to s: below it the advance ends with TB_FLOW_STUCK; 0: 1e-15 */
} tb_flow_options;

typedef enum tb_flow_end {
  TB_FLOW_REACHED, /* s = target */
  TB_FLOW_EVENT,   /* *event tells which */
  TB_FLOW_STUCK,   /* step size collapsed: blow-up or loss of rank; s and y are of the last good point */
  TB_FLOW_PAUSED   /* the pause callback asked */
} tb_flow_end;

tb_status tb_flow_new(tb_context *, const tb_flow_problem *, const tb_flow_options *, tb_flow **);
void tb_flow_free(tb_flow *);
/* Sets the point to start from. */
tb_status tb_flow_set(tb_flow *, double s, const double *y);
/* Advances to target (exactly, forwards or backwards) or to the first event; *event is set for TB_FLOW_EVENT only.
 * segment: the integrator restarts after so many steps (0: never), the only points at which `pause` is asked; a run
 * saved in `pause` and resumed by tb_flow_set continues to the same bits. */
tb_status tb_flow_advance(tb_flow *, double target, long segment, bool (*pause)(void *user, double s, const double *y),
                          void *pause_user, tb_flow_end *end, size_t *event);
double tb_flow_time(const tb_flow *);
const double *tb_flow_state(const tb_flow *);
/* Since tb_flow_new: accepted steps, evaluations of f (products with its Jacobian included), steps tried in vain,
 * changes of method. */
typedef struct tb_flow_counts {
  long steps, evaluations, rejected, stiff_switches;
} tb_flow_counts;
tb_flow_counts tb_flow_count(const tb_flow *);

#endif

/* The table of methods, and the life of a stepper. */
#include <math.h>
#include <string.h>

#include "optim/stepper.h"

static const tb_method *const table[] = { &tb_method_gd,  &tb_method_momentum, &tb_method_adam, &tb_method_grouprms,
                                          &tb_method_ngd, &tb_method_gf,       &tb_method_ngf,  NULL };

const tb_method *const *tb_methods(void) {
  return table;
}

const tb_method *tb_method_find(const char *name) {
  for (const tb_method *const *method = table; *method; method++)
    if (strcmp((*method)->name, name) == 0)
      return *method;
  return NULL;
}

tb_status tb_stepper_new(tb_context *context, const tb_method *method, const tb_method_options *options,
                         tb_objective *objective, tb_stepper **stepper) {
  *stepper = NULL;
  if (!method->step)
    return tb_fail(context, TB_USAGE, "option method", NULL, "method %s is a flow and takes no steps", method->name);
  if (!isfinite(options->lr))
    return tb_fail(context, TB_USAGE, "option lr", NULL, "the step size %g is not finite", options->lr);
  tb_stepper *s = tb_allocate(context, 1, sizeof *s);
  if (!s)
    return TB_NO_MEMORY;
  *s = (tb_stepper){ .context = context,
                     .method = method,
                     .options = *options,
                     .objective = objective,
                     .p = tb_objective_parameters(objective) };
  s->descent = tb_allocate(context, s->p, sizeof *s->descent);
  tb_status status = s->descent ? tb_kernels_choose(context, TB_FLOAT64, &s->kernels) : TB_NO_MEMORY;
  if (status == TB_OK && method->natural)
    status = tb_natural_new(context, objective, options->fisher, options->damping, &s->natural);
  if (status != TB_OK) {
    tb_stepper_free(s);
    return status;
  }
  *stepper = s;
  return TB_OK;
}

void tb_stepper_move(const tb_stepper *s, double rate, const double *direction, double *theta) {
  s->kernels->pointwise->fused[TB_MULTIPLY_ADD][1](1, s->p, theta, s->p, direction, s->p, &rate, 1, theta, s->p);
}

void tb_stepper_free(tb_stepper *s) {
  if (!s)
    return;
  tb_natural_free(s->natural);
  tb_release(s->context, s->descent);
  tb_release(s->context, s);
}

tb_natural_report tb_stepper_report(const tb_stepper *s) {
  return s->report;
}

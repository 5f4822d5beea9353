/* The stiff method: CVODE's backward differentiation formulas with Newton's iteration; the Jacobian dense (from
 * jacobian_times by columns, else difference quotients) with LAPACK's LU up to DENSE_DIMENSIONS, beyond by SPGMR. */
#include "num/blas.h"
#include "num/flow_parts.h"

#include <cvode/cvode.h>
#include <lapacke.h>
#include <math.h>
#include <nvector/nvector_serial.h>
#include <stdlib.h>
#include <string.h>
#include <sunlinsol/sunlinsol_spgmr.h>
#include <sunmatrix/sunmatrix_dense.h>

enum {
  DENSE_DIMENSIONS = 600,
  STRICTER = 10 /* thousands of small steps add up: each is held to a tenth of the tolerance */
};

struct tb_integrator {
  tb_field *field;
  SUNContext sundials;
  N_Vector y;
  void *memory;
  SUNMatrix jacobian;
  SUNLinearSolver solver;
  lapack_int *pivot; /* dim */
  double *unit;      /* dim: a column of the identity */
  double *start;     /* dim: the last good point */
  double limit, first_step;
};

static int derivative(realtype s, N_Vector y, N_Vector dy, void *it) {
  return tb_field_derivative(((tb_integrator *)it)->field, s, NV_DATA_S(y), NV_DATA_S(dy));
}

static int weights(N_Vector y, N_Vector weight, void *it) {
  tb_field *field = ((tb_integrator *)it)->field;
  tb_field_weights(field, NV_DATA_S(y), NV_DATA_S(weight));
  for (size_t i = 0; i < field->problem.dim; i++)
    NV_Ith_S(weight, (sunindextype)i) *= STRICTER;
  return 0;
}

static int jacobian_by_columns(realtype s, N_Vector y, N_Vector dy, SUNMatrix j, void *user, N_Vector a, N_Vector b,
                               N_Vector c) {
  tb_integrator *it = user;
  size_t n = it->field->problem.dim;
  for (size_t k = 0; k < n; k++) {
    it->unit[k] = 1;
    int outcome = tb_field_jacobian_times(it->field, s, NV_DATA_S(y), it->unit, SM_COLUMN_D(j, (sunindextype)k));
    it->unit[k] = 0;
    if (outcome != 0)
      return outcome;
  }
  return 0;
}

static int jacobian_times(N_Vector v, N_Vector jv, realtype s, N_Vector y, N_Vector dy, void *it, N_Vector scratch) {
  return tb_field_jacobian_times(((tb_integrator *)it)->field, s, NV_DATA_S(y), NV_DATA_S(v), NV_DATA_S(jv));
}

static void silence(int code, const char *module, const char *function, char *message, void *user) {}

/* ---- a SUNLinearSolver over LAPACK (the one SUNDIALS ships is not in every build) ---- */

static SUNLinearSolver_Type lu_type(SUNLinearSolver solver) {
  return SUNLINEARSOLVER_DIRECT;
}

static SUNLinearSolver_ID lu_id(SUNLinearSolver solver) {
  return SUNLINEARSOLVER_CUSTOM;
}

static int lu_setup(SUNLinearSolver solver, SUNMatrix a) {
  int n = (int)SM_COLUMNS_D(a);
  lapack_int info;
  TB_BLAS(info = LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, n, n, SM_DATA_D(a), n, solver->content));
  return info == 0 ? 0 : 1;
}

static int lu_solve(SUNLinearSolver solver, SUNMatrix a, N_Vector x, N_Vector b, realtype tolerance) {
  int n = (int)SM_COLUMNS_D(a);
  N_VScale(1, b, x);
  lapack_int info;
  TB_BLAS(info = LAPACKE_dgetrs_work(LAPACK_COL_MAJOR, 'N', n, 1, SM_DATA_D(a), n, solver->content, NV_DATA_S(x), n));
  return (int)info;
}

static int lu_free(SUNLinearSolver solver) {
  solver->content = NULL; /* the integrator's */
  SUNLinSolFreeEmpty(solver);
  return 0;
}

static SUNLinearSolver lu_new(SUNContext sundials, lapack_int *pivot) {
  SUNLinearSolver solver = SUNLinSolNewEmpty(sundials);
  if (!solver)
    return NULL;
  solver->ops->gettype = lu_type;
  solver->ops->getid = lu_id;
  solver->ops->setup = lu_setup;
  solver->ops->solve = lu_solve;
  solver->ops->free = lu_free;
  solver->content = pivot;
  return solver;
}

/* ---- the integrator ---- */

static void forget(tb_integrator *it) {
  if (it->memory) {
    long failures = 0, convergence = 0;
    CVodeGetNumErrTestFails(it->memory, &failures);
    CVodeGetNumNonlinSolvConvFails(it->memory, &convergence);
    it->field->counts.rejected += failures + convergence;
    CVodeFree(&it->memory);
  }
}

/* CVODE from (s, y) with the given first step. */
static bool begin(tb_integrator *it, double s, double first_step) {
  bool dense = it->jacobian != NULL;
  forget(it);
  it->memory = CVodeCreate(CV_BDF, it->sundials);
  void *memory = it->memory;
  if (!memory || CVodeSetErrHandlerFn(memory, silence, NULL) != 0 || CVodeInit(memory, derivative, s, it->y) != 0 ||
      CVodeSetUserData(memory, it) != 0 || CVodeWFtolerances(memory, weights) != 0 ||
      CVodeSetMaxHnilWarns(memory, -1) != 0 || CVodeSetMaxErrTestFails(memory, 30) != 0 ||
      CVodeSetMaxConvFails(memory, 20) != 0 || CVodeSetInitStep(memory, copysign(first_step, it->limit - s)) != 0 ||
      CVodeSetStopTime(memory, it->limit) != 0 || CVodeSetLinearSolver(memory, it->solver, it->jacobian) != 0)
    return false;
  if (!it->field->problem.jacobian_times)
    return true;
  return (dense ? CVodeSetJacFn(memory, jacobian_by_columns) : CVodeSetJacTimes(memory, NULL, jacobian_times)) == 0;
}

static void close_stiff(tb_integrator *it) {
  if (!it)
    return;
  forget(it);
  if (it->solver)
    SUNLinSolFree(it->solver);
  if (it->jacobian)
    SUNMatDestroy(it->jacobian);
  if (it->y)
    N_VDestroy(it->y);
  if (it->sundials)
    SUNContext_Free(&it->sundials);
  tb_release(it->field->context, it->pivot);
  tb_release(it->field->context, it->unit);
  tb_release(it->field->context, it->start);
  tb_release(it->field->context, it);
}

static tb_integrator *open_stiff(tb_field *field, double s, const double *y, double limit, double first_step) {
  size_t n = field->problem.dim;
  bool dense = n <= DENSE_DIMENSIONS;
  tb_integrator *it = tb_allocate(field->context, 1, sizeof *it);
  if (!it)
    return NULL;
  *it = (tb_integrator){ .field = field, .limit = limit, .first_step = first_step };
  it->pivot = tb_allocate(field->context, n, sizeof *it->pivot);
  it->unit = tb_allocate(field->context, n, sizeof *it->unit);
  it->start = tb_allocate(field->context, n, sizeof *it->start);
  bool good = it->pivot && it->unit && it->start && SUNContext_Create(NULL, &it->sundials) == 0;
  if (good) {
    it->y = N_VNew_Serial((sunindextype)n, it->sundials);
    if (dense)
      it->jacobian = SUNDenseMatrix((sunindextype)n, (sunindextype)n, it->sundials);
    good = it->y && (!dense || it->jacobian);
  }
  if (good) {
    it->solver = dense ? lu_new(it->sundials, it->pivot) : SUNLinSol_SPGMR(it->y, SUN_PREC_NONE, 40, it->sundials);
    memcpy(NV_DATA_S(it->y), y, n * sizeof *y);
    good = it->solver && begin(it, s, first_step);
  }
  if (!good) {
    close_stiff(it);
    tb_fail(field->context, TB_NO_MEMORY, "flow", NULL, "no memory for the stiff integrator");
    return NULL;
  }
  return it;
}

static tb_advance step_stiff(tb_integrator *it, double *s, double *y) {
  tb_field *field = it->field;
  size_t n = field->problem.dim;
  double from = *s, reached = from, least = field->least_step * fabs(from);
  memcpy(it->start, y, n * sizeof *y);
  double attempt = 0;
  for (;;) {
    int flag = CVode(it->memory, it->limit, it->y, &reached, CV_ONE_STEP);
    if (field->status != TB_OK)
      return TB_ABORTED;
    if (flag >= 0 && reached != from)
      break;
    if (attempt == 0) {
      double current = 0;
      CVodeGetCurrentStep(it->memory, &current);
      attempt = current != 0 ? fabs(current) : it->first_step;
    }
    attempt = fmin(attempt, fabs(it->limit - from)) * 0.01;
    if (!(attempt > least) || from + copysign(attempt, it->limit - from) == from)
      return TB_COLLAPSED;
    memcpy(NV_DATA_S(it->y), it->start, n * sizeof *y);
    if (!begin(it, from, attempt))
      return TB_COLLAPSED;
  }
  double moved = fabs(reached - from);
  memcpy(y, NV_DATA_S(it->y), n * sizeof *y);
  *s = reached;
  bool collapsed = moved < field->least_step * fabs(reached) && fabs(it->limit - reached) > 4 * moved;
  return collapsed ? TB_COLLAPSED : TB_ADVANCED;
}

/* An evaluation is taken to cost about 40 operations a dimension; LU 2n³/3, a solve 2n². */
static double cost_stiff(const tb_integrator *it) {
  long setups = 0, iterations = 0;
  double n = (double)it->field->problem.dim;
  CVodeGetNumLinSolvSetups(it->memory, &setups);
  CVodeGetNumNonlinSolvIters(it->memory, &iterations);
  return it->jacobian ? (double)setups * n * n / 60 + (double)iterations * n / 20 : 0;
}

const tb_integrator_kind tb_integrator_stiff = { open_stiff, step_stiff, cost_stiff, close_stiff };

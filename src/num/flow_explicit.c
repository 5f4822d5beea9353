/* The explicit method: ERKStep of ARKODE with the pair RK8(7)13M of Prince & Dormand (1981).
 *
 * SUNDIALS' own eighth-order table (Fehlberg) estimates no error at all where f depends on s alone; this pair does.
 * ERKStep gives up when f fails in a stage: then the step is tried again from the last point, ten times smaller. */
#include "num/flow_parts.h"

#include <arkode/arkode_erkstep.h>
#include <math.h>
#include <nvector/nvector_serial.h>
#include <stdlib.h>
#include <string.h>

/* The last stage is f at the step's end, which begins the next step: SUNDIALS before 6.6 takes any table whose last
 * abscissa is 1 for one with that property, so this one is given it, at no cost. */
enum { STAGES = 14 };

#define Q(p, q) ((double)((long double)(p) / (long double)(q)))
static const double abscissae[STAGES] = {
  0,
  Q(1, 18),
  Q(1, 12),
  Q(1, 8),
  Q(5, 16),
  Q(3, 8),
  Q(59, 400),
  Q(93, 200),
  Q(5490023248, 9719169821),
  Q(13, 20),
  Q(1201146811, 1299019798),
  1,
  1,
  1,
};
#define EIGHTH                                                                                                         \
  Q(14005451, 335480064), 0, 0, 0, 0, Q(-59238493, 1068277825), Q(181606767, 758867731), Q(561292985, 797845732),      \
      Q(-1041891430, 1371343529), Q(760417239, 1151165299), Q(118820643, 751138087), Q(-528747749, 2220607170),        \
      Q(1, 4)
static const double stages[STAGES][STAGES] = {
  { 0 },
  { Q(1, 18) },
  { Q(1, 48), Q(1, 16) },
  { Q(1, 32), 0, Q(3, 32) },
  { Q(5, 16), 0, Q(-75, 64), Q(75, 64) },
  { Q(3, 80), 0, 0, Q(3, 16), Q(3, 20) },
  { Q(29443841, 614563906), 0, 0, Q(77736538, 692538347), Q(-28693883, 1125000000), Q(23124283, 1800000000) },
  { Q(16016141, 946692911), 0, 0, Q(61564180, 158732637), Q(22789713, 633445777), Q(545815736, 2771057229),
    Q(-180193667, 1043307555) },
  { Q(39632708, 573591083), 0, 0, Q(-433636366, 683701615), Q(-421739975, 2616292301), Q(100302831, 723423059),
    Q(790204164, 839813087), Q(800635310, 3783071287) },
  { Q(246121993, 1340847787), 0, 0, Q(-37695042795, 15268766246), Q(-309121744, 1061227803), Q(-12992083, 490766935),
    Q(6005943493, 2108947869), Q(393006217, 1396673457), Q(123872331, 1001029789) },
  { Q(-1028468189, 846180014), 0, 0, Q(8478235783, 508512852), Q(1311729495, 1432422823), Q(-10304129995, 1701304382),
    Q(-48777925059, 3047939560), Q(15336726248, 1032824649), Q(-45442868181, 3398467696), Q(3065993473, 597172653) },
  { Q(185892177, 718116043), 0, 0, Q(-3185094517, 667107341), Q(-477755414, 1098053517), Q(-703635378, 230739211),
    Q(5731566787, 1027545527), Q(5232866602, 850066563), Q(-4093664535, 808688257), Q(3962137247, 1805957418),
    Q(65686358, 487910083) },
  { Q(403863854, 491063109), 0, 0, Q(-5068492393, 434740067), Q(-411421997, 543043805), Q(652783627, 914296604),
    Q(11173962825, 925320556), Q(-13158990841, 6184727034), Q(3936647629, 1978049680), Q(-160528059, 685178525),
    Q(248638103, 1413531060) },
  { EIGHTH },
};
static const double eighth[STAGES] = { EIGHTH };
static const double seventh[STAGES] = { Q(13451932, 455176623),
                                        0,
                                        0,
                                        0,
                                        0,
                                        Q(-808719846, 976000145),
                                        Q(1757004468, 5645159321),
                                        Q(656045339, 265891186),
                                        Q(-3867574721, 1518517206),
                                        Q(465885868, 322736535),
                                        Q(53011238, 667516719),
                                        Q(2, 45),
                                        0 };

struct tb_integrator {
  tb_field *field;
  SUNContext sundials;
  N_Vector y;
  void *memory;
  double limit;
  double *start; /* dim: the last good point */
};

static int derivative(realtype s, N_Vector y, N_Vector dy, void *field) {
  return tb_field_derivative(field, s, NV_DATA_S(y), NV_DATA_S(dy));
}

static int weights(N_Vector y, N_Vector weight, void *field) {
  tb_field_weights(field, NV_DATA_S(y), NV_DATA_S(weight));
  return 0;
}

static void silence(int code, const char *module, const char *function, char *message, void *user) {}

static void close_explicit(tb_integrator *it) {
  if (!it)
    return;
  if (it->memory) {
    long failures = 0;
    ERKStepGetNumErrTestFails(it->memory, &failures);
    it->field->counts.rejected += failures;
    ERKStepFree(&it->memory);
  }
  if (it->y)
    N_VDestroy(it->y);
  if (it->sundials)
    SUNContext_Free(&it->sundials);
  tb_release(it->field->context, it->start);
  tb_release(it->field->context, it);
}

static tb_integrator *open_explicit(tb_field *field, double s, const double *y, double limit, double first_step) {
  size_t n = field->problem.dim;
  tb_integrator *it = tb_allocate(field->context, 1, sizeof *it);
  if (!it)
    return NULL;
  *it = (tb_integrator){ .field = field, .limit = limit };
  ARKodeButcherTable table = NULL;
  it->start = tb_allocate(field->context, n, sizeof *it->start);
  bool good = it->start && SUNContext_Create(NULL, &it->sundials) == 0;
  if (good) {
    it->y = N_VNew_Serial((sunindextype)n, it->sundials);
    good = it->y != NULL;
  }
  if (good) {
    memcpy(NV_DATA_S(it->y), y, n * sizeof *y);
    it->memory = ERKStepCreate(derivative, s, it->y, it->sundials);
    table = ARKodeButcherTable_Create(STAGES, 8, 7, (double *)abscissae, (double *)stages, (double *)eighth,
                                      (double *)seventh) /* copies them */;
    good = it->memory && table;
  }
  if (good) {
    void *memory = it->memory;
    good = ERKStepSetErrHandlerFn(memory, silence, NULL) == 0 && ERKStepSetTable(memory, table) == 0 &&
           ERKStepSetUserData(memory, field) == 0 && ERKStepWFtolerances(memory, weights) == 0 &&
           ERKStepSetInterpolantType(memory, ARK_INTERP_LAGRANGE) == 0 && ERKStepSetInterpolantDegree(memory, 1) == 0 &&
           ERKStepSetMaxHnilWarns(memory, -1) == 0 && ERKStepSetMaxErrTestFails(memory, 30) == 0 &&
           ERKStepSetErrorBias(memory, 10) == 0 && ERKStepSetInitStep(memory, copysign(first_step, limit - s)) == 0 &&
           ERKStepSetStopTime(memory, limit) == 0;
  }
  ARKodeButcherTable_Free(table);
  if (!good) {
    close_explicit(it);
    tb_fail(field->context, TB_NO_MEMORY, "flow", NULL, "no memory for the explicit integrator");
    return NULL;
  }
  return it;
}

static tb_advance step_explicit(tb_integrator *it, double *s, double *y) {
  tb_field *field = it->field;
  size_t n = field->problem.dim;
  double from = *s, reached = from, least = field->least_step * fabs(from), next = 0;
  memcpy(it->start, y, n * sizeof *y);
  double attempt = 0;
  for (;;) {
    int flag = ERKStepEvolve(it->memory, it->limit, it->y, &reached, ARK_ONE_STEP);
    if (field->status != TB_OK)
      return TB_ABORTED;
    ERKStepGetCurrentStep(it->memory, &next);
    if (flag >= 0 && reached != from)
      break;
    attempt = attempt == 0 ? fabs(next) : attempt;
    attempt = fmin(attempt, fabs(it->limit - from)) * 0.1;
    if (!(attempt > least) || from + copysign(attempt, it->limit - from) == from)
      return TB_COLLAPSED;
    memcpy(NV_DATA_S(it->y), it->start, n * sizeof *y);
    if (ERKStepReset(it->memory, from, it->y) != 0 ||
        ERKStepSetInitStep(it->memory, copysign(attempt, it->limit - from)) != 0 ||
        ERKStepSetStopTime(it->memory, it->limit) != 0)
      return TB_COLLAPSED;
    field->counts.rejected++;
  }
  double moved = fabs(reached - from);
  memcpy(y, NV_DATA_S(it->y), n * sizeof *y);
  *s = reached;
  bool collapsed = moved < field->least_step * fabs(reached) && fabs(it->limit - reached) > 4 * moved;
  return collapsed ? TB_COLLAPSED : TB_ADVANCED;
}

static double cost_explicit(const tb_integrator *it) {
  return 0;
}

const tb_integrator_kind tb_integrator_explicit = { open_explicit, step_explicit, cost_explicit, close_explicit };

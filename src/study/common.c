/* Options shared by the studies that train parameters: what a run is keyed by, how it moves, when it stops. */
#include "study/common.h"

#include <math.h>
#include <string.h>

#define ANY 1, 0 /* least > most: no limit */

static const tb_option common[] = {
  { "seed", TB_INTEGER, "0", NULL, 0, 4294967295.0, false,
    "key of every random number of the run; the same seed gives every method the same data", NULL, NULL },
  { "dtype", TB_CHOICE, "float64", "float32|float64", ANY, false,
    "number type of the model's computations; flows need float64", NULL, NULL },
  { "at", TB_REALS, "", NULL, ANY, false,
    "times (flows) or steps at which to record every metric, 0 and the end allowed; unset: 0, about fifty points at "
    "equal distances of log(1 + t), and the end",
    NULL, NULL },
  { "steps", TB_INTEGER, "", NULL, 0, 1e12, false,
    "steps of a discrete method; unset: the last of at=, else 1000, or no limit where until_loss= or until_margin= "
    "stops the run",
    NULL, NULL },
  { "time", TB_REAL, "", NULL, 0, INFINITY, false,
    "end of a flow; unset: the last of at=, else 20 (ngf) or 1e6 (gf), or no limit where until_loss= or until_margin= "
    "stops the run",
    NULL, NULL },
  { "until_loss", TB_REAL, "", NULL, 0, INFINITY, true, "stop when the loss has fallen to this value; unset: never",
    "L(t) = until_loss", NULL },
  { "until_margin", TB_REAL, "", NULL, -INFINITY, INFINITY, true,
    "stop when the least margin has reached this value; unset: never", "min_i y_i f(x_i) = until_margin", NULL },
};

static const tb_option optimiser[] = {
  { "method", TB_CHOICE, "ngf", "gd|momentum|adam|sign|grouprms|ngd|kfac|shampoo|muon|gf|ngf", ANY, false,
    "how parameters move: gd, momentum, adam, grouprms, ngd take steps, gf and ngf are flows (gradient, natural "
    "gradient)",
    "gf: dθ/dt = −∇L;  ngf: dθ/dt = −F⁺∇L", NULL },
  { "lr", TB_REAL, "0.1", NULL, 0, INFINITY, true, "learning rate of the discrete methods", "θ ← θ − lr·(…)", NULL },
  { "fisher", TB_CHOICE, "predictor", "predictor|parameter|population|empirical", ANY, false,
    "which Fisher matrix a natural gradient takes, and where it is inverted: training inputs in predictor space, "
    "training inputs in parameter space, x ~ N(0, I), or the observed labels",
    "F = E_x E_{y~p} ∇log p ∇log pᵀ", "Amari 1998; Kunstner, Balles and Hennig 2019 for the empirical one" },
  { "damping", TB_REAL, "0", NULL, 0, INFINITY, false,
    "λ added to the Fisher matrix in the space of its inverse; 0: the exact pseudo-inverse", "(F + λI)⁻¹", NULL },
  { "momentum", TB_REAL, "0.9", NULL, 0, 1, false, "decay of the velocity (method=momentum)", "v ← momentum·v − lr·∇L",
    "Polyak 1964" },
  { "beta1", TB_REAL, "0.9", NULL, 0, 1, false, "decay of the first moment (method=adam)", NULL, "Kingma and Ba 2015" },
  { "beta2", TB_REAL, "0.999", NULL, 0, 1, false, "decay of the second moment (methods adam and grouprms)", NULL,
    "Kingma and Ba 2015" },
  { "epsilon", TB_REAL, "1e-8", NULL, 0, INFINITY, false,
    "added to the root of the second moment (methods adam and grouprms)", NULL, "Kingma and Ba 2015" },
};

#define COUNT(a) (sizeof(a) / sizeof *(a))

const tb_option_table tb_common_options = { "common", common, COUNT(common) };
const tb_option_table tb_optimiser_options = { "optimiser", optimiser, COUNT(optimiser) };

tb_status tb_method_of_config(tb_context *context, const tb_config *config, const tb_method **method,
                              tb_method_options *options) {
  static const char *const fishers[] = { "predictor", "parameter", "population", "empirical" };
  const char *name = tb_config_word(config, "method");
  *method = tb_method_find(name);
  if (!*method)
    return tb_fail(context, TB_USAGE, "option method", "available: gd, momentum, adam, grouprms, ngd, gf, ngf",
                   "method=%s is not available in this version", name);
  *options = (tb_method_options){ .lr = tb_config_real(config, "lr"),
                                  .momentum = tb_config_real(config, "momentum"),
                                  .beta1 = tb_config_real(config, "beta1"),
                                  .beta2 = tb_config_real(config, "beta2"),
                                  .epsilon = tb_config_real(config, "epsilon"),
                                  .damping = tb_config_real(config, "damping") };
  for (size_t i = 0; i < COUNT(fishers); i++)
    if (tb_config_is(config, "fisher", fishers[i]))
      options->fisher = (tb_fisher)i;
  return TB_OK;
}

/* ---- schedule ---- */

static void sort_distinct(tb_schedule *s) {
  for (size_t i = 1; i < s->count; i++) { /* insertion: a list typed by hand */
    double value = s->at[i];
    size_t j = i;
    for (; j > 0 && s->at[j - 1] > value; j--)
      s->at[j] = s->at[j - 1];
    s->at[j] = value;
  }
  size_t kept = 0;
  for (size_t i = 0; i < s->count; i++)
    if (kept == 0 || s->at[i] != s->at[kept - 1])
      s->at[kept++] = s->at[i];
  s->count = kept;
}

static tb_status check_at(tb_context *context, const tb_schedule *s) {
  const char *unit = s->flow ? "time" : "steps";
  for (size_t i = 0; i < s->count; i++) {
    double at = s->at[i];
    if (!(at >= 0) || isinf(at))
      return tb_fail(context, TB_USAGE, "option at", "snapshots lie between 0 and the end", "at=%.17g is not a %s", at,
                     s->flow ? "time" : "step");
    if (!s->flow && at != floor(at))
      return tb_fail(context, TB_USAGE, "option at", "this method takes whole steps", "at=%.17g is not a whole step",
                     at);
    if (at > s->end)
      return tb_fail(context, TB_USAGE, "option at",
                     s->flow ? "raise time=" : "raise steps=", "at=%.17g is past %s=%.17g, the end of the run", at,
                     unit, s->end);
  }
  return TB_OK;
}

tb_status tb_schedule_read(tb_context *context, tb_arena *arena, const tb_config *config, const tb_method *method,
                           double default_end, tb_schedule *s) {
  const double *at;
  *s = (tb_schedule){ .flow = method->flow, .log_loss = -INFINITY, .margin = INFINITY };
  s->count = tb_config_reals(config, "at", &at);
  s->at = tb_arena_allocate(arena, s->count + 1, sizeof *s->at);
  if (!s->at)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < s->count; i++)
    s->at[i] = at[i];
  if (tb_config_is_set(config, "until_loss"))
    s->log_loss = log(tb_config_real(config, "until_loss"));
  if (tb_config_is_set(config, "until_margin"))
    s->margin = tb_config_real(config, "until_margin");
  bool open = s->log_loss > -INFINITY || s->margin < INFINITY;
  double last = 0;
  for (size_t i = 0; i < s->count; i++)
    last = fmax(last, at[i]);
  if (s->flow && tb_config_is_set(config, "time"))
    s->end = tb_config_real(config, "time");
  else if (!s->flow && tb_config_is_set(config, "steps"))
    s->end = (double)tb_config_integer(config, "steps");
  else
    s->end = open ? INFINITY : s->count ? last : default_end;
  tb_status status = check_at(context, s);
  if (!status && isinf(s->end) && !open)
    status = tb_fail(context, TB_USAGE, "option time",
                     "give a finite time=, until_loss= or until_margin=", "nothing would ever stop this run");
  sort_distinct(s);
  return status;
}

/* Default snapshots of a flow: fifty equal parts of log(1 + end); without an end a geometric spread of log(1 + t). */
static double default_clock(const tb_schedule *s, size_t i) {
  enum { PARTS = 50 };
  if (i == 0)
    return 0;
  if (isinf(s->end))
    return 0.05 * pow(1.15, (double)(i - 1));
  if (i > PARTS || s->end == 0)
    return INFINITY;
  return i == PARTS ? log1p(s->end) : log1p(s->end) * (double)i / PARTS;
}

/* Default snapshots of steps: 0, 1, 2, … in a ratio of 1.15, and the end. */
static double default_step(const tb_schedule *s, size_t i) {
  double k = 0;
  for (size_t j = 0; j < i; j++) {
    if (k >= s->end)
      return INFINITY;
    k = fmin(s->end, fmax(k + 1, floor(1.15 * k)));
  }
  return k;
}

double tb_schedule_at(const tb_schedule *s, size_t i) {
  if (s->count)
    return i < s->count ? s->at[i] : INFINITY;
  if (!s->flow)
    return default_step(s, i);
  double clock = default_clock(s, i);
  return clock == log1p(s->end) ? s->end : expm1(clock);
}

double tb_schedule_log_at(const tb_schedule *s, size_t i) {
  if (s->count || !s->flow)
    return log(tb_schedule_at(s, i));
  double clock = default_clock(s, i);
  return clock > 700 ? clock : log(tb_schedule_at(s, i));
}

/* The claims of the study `finetune`: twins compute one function, their gradients and curvature are transformed as the
 * chain rule says, and they are fine-tuned differently by methods that see the scale of parameters. */
#include <math.h>
#include <string.h>

#include "study/finetune.h"
#include "study/language_abstract.h"

#define PAPER "Understanding LLMs Requires More Than Statistical Generalization, 2024, case study 3"

static double metric(const tb_outcome *o, const char *name) {
  return tb_metrics_get(o->metrics, name);
}

static bool is(const tb_config *c, const char *option, const char *word) {
  return tb_config_is(c, option, word);
}

static bool transformer(const tb_config *c) {
  return is(c, "model", "transformer");
}

/* ---- one function ---- */

static tb_status measure_logits(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = metric(o, "max_logit_difference");
  *reference = 0;
  return TB_OK;
}

static int arm_float32(const tb_config *c) {
  return transformer(c) && is(c, "dtype", "float32") ? 0 : -1;
}

static int arm_float64(const tb_config *c) {
  return transformer(c) && is(c, "dtype", "float64") ? 0 : -1;
}

#define SAME_FUNCTION(NAME, ID, TYPE, ARM, TOLERANCE)                                                                  \
  static const tb_claim NAME = {                                                                                       \
    .id = ID,                                                                                                          \
    .statement = "Rescaled, rotated, permuted and widened twins have the same logits (" TYPE ")",                      \
    .source = PAPER ", 3.2",                                                                                           \
    .reference = "Equality: both networks are evaluated on every string of both languages",                            \
    .group = LANGUAGE_FINETUNE,                                                                                        \
    .kind = TB_CLAIM_AT_MOST,                                                                                          \
    .tolerance = TOLERANCE,                                                                                            \
    .arm = ARM,                                                                                                        \
    .measure = measure_logits,                                                                                         \
  }

SAME_FUNCTION(claim_same32, "finetune.same_function_float32", "float32", arm_float32, 1e-5);
SAME_FUNCTION(claim_same64, "finetune.same_function_float64", "float64", arm_float64, 1e-12);

/* ---- gradients ---- */

/* What rounding may do to a ratio of two norms, or to a gradient of a few thousand numbers. */
static double allowance(const tb_config *c) {
  return is(c, "dtype", "float32") ? 1e-5 : 1e-11;
}

/* Relative deviation of the two ratios from what they should be, in allowances. */
static double deviation(const tb_outcome *o, double first, double second) {
  const double *ratio = tb_metrics_find(o->metrics, "gradient_ratio").values;
  return ratio ? fmax(fabs(ratio[0] / first - 1), fabs(ratio[1] / second - 1)) / allowance(o->config) : NAN;
}

static tb_status measure_rescaled(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  const double alpha = tb_config_real(o->config, "alpha");
  *value = deviation(o, 1 / alpha, alpha);
  *reference = 1;
  return TB_OK;
}

static tb_status measure_widened(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  const double root = sqrt(tb_config_real(o->config, "alpha"));
  *value = deviation(o, 1 / root, root);
  *reference = 1;
  return TB_OK;
}

static tb_status measure_chain_rule(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = metric(o, "gradient_error") / allowance(o->config);
  *reference = 1;
  return TB_OK;
}

static int arm_rescale(const tb_config *c) {
  return is(c, "symmetry", "rescale") ? 0 : -1;
}

static int arm_widen(const tb_config *c) {
  return transformer(c) && is(c, "symmetry", "widen") ? 0 : -1;
}

static int arm_any(const tb_config *c) {
  return 0;
}

static const tb_claim claim_ratio = {
  .id = "finetune.gradient_ratio",
  .statement = "Rescaling by alpha divides the first layer's gradient by alpha and multiplies the second layer's by it",
  .source = PAPER ", 3.2",
  .reference = "Closed form 1/alpha and alpha; relative deviation over 1e-5 (float32) or 1e-11 (float64)",
  .group = LANGUAGE_FINETUNE,
  .kind = TB_CLAIM_AT_MOST,
  .unit = "of the allowance",
  .arm = arm_rescale,
  .measure = measure_rescaled,
};

static const tb_claim claim_widened = {
  .id = "finetune.widened_gradient_ratio",
  .statement =
      "In a network widened by copies, gradients of the two layers have norms 1/sqrt(alpha) and sqrt(alpha) as "
      "large",
  .source = PAPER ", 3.2; Liu et al. 2023 (enlarged networks)",
  .reference = "Closed form; relative deviation over 1e-5 (float32) or 1e-11 (float64)",
  .group = LANGUAGE_FINETUNE,
  .kind = TB_CLAIM_AT_MOST,
  .unit = "of the allowance",
  .arm = arm_widen,
  .measure = measure_widened,
};

static const tb_claim claim_chain_rule = {
  .id = "finetune.chain_rule",
  .statement = "For every symmetry theta' = M theta the twins' gradients obey g = M^T g'",
  .source = "Chain rule",
  .reference = "Both gradients by automatic differentiation, the moved one pulled back by the transposed map; relative "
               "error over 1e-5 (float32) or 1e-11 (float64)",
  .group = LANGUAGE_FINETUNE,
  .kind = TB_CLAIM_AT_MOST,
  .unit = "of the allowance",
  .arm = arm_any,
  .measure = measure_chain_rule,
};

/* ---- curvature ---- */

static int arm_moved(const tb_config *c) {
  return transformer(c) && is(c, "symmetry", "rescale") && tb_config_real(c, "alpha") != 1 ? 0 : -1;
}

static int arm_many_probes(const tb_config *c) {
  return tb_config_integer(c, "probes") >= 200 ? arm_moved(c) : -1;
}

static tb_status measure_trace(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = metric(o, "hessian_trace") / metric(o, "hessian_trace.predicted");
  *reference = 1;
  return TB_OK;
}

static const tb_claim claim_trace = {
  .id = "finetune.trace",
  .statement = "Rescaling turns the trace of the Hessian into alpha^-2 tr H11 + alpha^2 tr H22 and the rest",
  .source = PAPER ", 3.2",
  .reference = "Traces of the three blocks at the unmoved twin, from probes of their own",
  .group = LANGUAGE_MEASURES,
  .kind = TB_CLAIM_MEAN,
  .tolerance = 0.05,
  .unit = "of the trace",
  .min_seeds = 3,
  .arm = arm_many_probes,
  .measure = measure_trace,
};

/* ---- the scalar model ---- */

static int arm_scalar(const tb_config *c) {
  return is(c, "model", "scalar") && is(c, "dtype", "float64") ? 0 : -1;
}

static int arm_scalar_gd(const tb_config *c) {
  return arm_scalar(c) == 0 && is(c, "method", "gd") && tb_config_integer(c, "steps") == 1 ? 0 : -1;
}

static double trace_of(double alpha) {
  return alpha * alpha + 1 / (alpha * alpha);
}

static tb_status measure_output(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  const double lr = tb_config_real(o->config, "lr"), eta = isnan(lr) ? 0.02 : lr;
  *value = metric(o, "output");
  *reference = 1 + eta * trace_of(tb_config_real(o->config, "alpha")) + eta * eta;
  return TB_OK;
}

static tb_status measure_scalar_trace(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  const double exact = trace_of(tb_config_real(o->config, "alpha"));
  *value = metric(o, "hessian_trace") / exact;
  *reference = 1;
  return TB_OK;
}

static const tb_claim claim_scalar = {
  .id = "finetune.scalar_step",
  .statement =
      "A step of gradient descent takes w2 relu(w1) from w = (alpha, 1/alpha) to 1 + eta (alpha^2 + alpha^-2) + "
      "eta^2: the function learnt depends on where on the orbit it starts",
  .source = PAPER ", 3.2",
  .reference = "Closed form",
  .group = LANGUAGE_FINETUNE,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 1e-12,
  .arm = arm_scalar_gd,
  .measure = measure_output,
};

static const tb_claim claim_scalar_trace = {
  .id = "finetune.scalar_trace",
  .statement = "The Hessian of the scalar model at its minimum has trace alpha^2 + alpha^-2",
  .source = PAPER ", 3.2",
  .reference = "Closed form",
  .group = LANGUAGE_MEASURES,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 1e-12,
  .unit = "of the trace",
  .arm = arm_scalar,
  .measure = measure_scalar_trace,
};

/* ---- fine-tuning ---- */

/* The published control and the rescaled twins of one method: arms 0 and 1. */
static int against_control(const tb_config *c, const char *method) {
  if (!transformer(c) || !is(c, "method", method) || !is(c, "dtype", "float32"))
    return -1;
  return is(c, "symmetry", "rescale") && tb_config_real(c, "alpha") == 4 ? 1 : is(c, "symmetry", "relu_scale") ? 0 : -1;
}

static int arm_gd(const tb_config *c) {
  return against_control(c, "gd");
}

static int arm_momentum(const tb_config *c) {
  return against_control(c, "momentum");
}

static int arm_adam(const tb_config *c) {
  return against_control(c, "adam");
}

/* ln of the moved twin's steps over the unmoved twin's; a twin that never gets there counts as one step past the end.
 */
static double log_ratio(const tb_outcome *o) {
  const double most = (double)tb_config_integer(o->config, "steps") + 1;
  const double moved = fmin(metric(o, "steps_to_threshold"), most);
  return log(fmax(moved, 1) / fmax(fmin(metric(o, "unmoved.steps_to_threshold"), most), 1));
}

/* Its size: a twin may take fewer steps, or more, or leave where the other stays. */
static tb_status measure_size(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = fabs(log_ratio(o));
  *reference = 0;
  return TB_OK;
}

#define TWINS_DIFFER(NAME, ID, WORDS, ARM)                                                                             \
  static const tb_claim NAME = {                                                                                       \
    .id = ID,                                                                                                          \
    .statement = WORDS                                                                                                 \
    " takes another number of steps from the rescaled twin (alpha = 4) than from the network that it equals",          \
    .source = PAPER ", 3.1",                                                                                           \
    .reference = "Paired by seed: the same with ReLU(alpha x)/alpha, which moves nothing (absolute logarithm of the "  \
                 "ratio of steps)",                                                                                    \
    .group = LANGUAGE_FINETUNE,                                                                                        \
    .kind = TB_CLAIM_BELOW,                                                                                            \
    .unit = "nats",                                                                                                    \
    .min_seeds = 3,                                                                                                    \
    .arm = ARM,                                                                                                        \
    .measure = measure_size,                                                                                           \
  }

TWINS_DIFFER(claim_gd, "finetune.gd_sees_the_twin", "Gradient descent", arm_gd);
TWINS_DIFFER(claim_momentum, "finetune.momentum_sees_the_twin", "Momentum", arm_momentum);
TWINS_DIFFER(claim_adam, "finetune.adam_sees_the_twin", "Adam", arm_adam);

static int against_gd(const tb_config *c, const char *method) {
  if (arm_moved(c) < 0 || tb_config_real(c, "alpha") != 4 || !is(c, "dtype", "float32"))
    return -1;
  return is(c, "method", method) ? 0 : is(c, "method", "gd") ? 1 : -1;
}

static int arm_natural(const tb_config *c) {
  return against_gd(c, "ngd");
}

static int arm_adam_or_gd(const tb_config *c) {
  return against_gd(c, "adam");
}

static const tb_claim claim_natural = {
  .id = "finetune.natural_gradient_sees_less",
  .statement = "Natural gradient needs more equal numbers of steps from both twins than gradient descent",
  .source = "Amari 1998: the natural gradient does not depend on the parametrisation",
  .reference = "Paired by seed: gradient descent from the same twins (absolute logarithm of the ratio of steps)",
  .group = LANGUAGE_FINETUNE,
  .kind = TB_CLAIM_BELOW,
  .unit = "nats",
  .min_seeds = 3,
  .arm = arm_natural,
  .measure = measure_size,
};

static const tb_claim claim_adam_less = {
  .id = "finetune.adam_sees_less",
  .statement =
      "Adam, which divides each coordinate by its own scale, needs more equal numbers of steps from both twins "
      "than gradient descent",
  .source = PAPER ", 3.2",
  .reference = "Paired by seed: gradient descent from the same twins (absolute logarithm of the ratio of steps)",
  .group = LANGUAGE_FINETUNE,
  .kind = TB_CLAIM_BELOW,
  .unit = "nats",
  .min_seeds = 3,
  .arm = arm_adam_or_gd,
  .measure = measure_size,
};

static int arm_inert(const tb_config *c) {
  return arm_float64(c) == 0 && (is(c, "symmetry", "relu_scale") || is(c, "symmetry", "permutation")) &&
                 is(c, "method", "gd")
             ? 0
             : -1;
}

static tb_status measure_gap(tb_context *context, const tb_outcome *o, double *value, double *reference) {
  *value = metric(o, "twin_gap");
  *reference = 0;
  return TB_OK;
}

static const tb_claim claim_inert = {
  .id = "finetune.published_variant_is_inert",
  .statement =
      "ReLU(alpha x)/alpha, the published way to move the parameters, moves nothing: the twins' learning curves "
      "are one curve, as after a permutation",
  .source = PAPER ", published code",
  .reference = "Equality of both curves up to rounding (float64, gradient descent)",
  .group = LANGUAGE_FINETUNE,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-8,
  .unit = "nats",
  .arm = arm_inert,
  .measure = measure_gap,
};

const tb_claim *const finetune_claims[FINETUNE_CLAIMS] = {
  &claim_same32, &claim_same64,   &claim_ratio, &claim_widened,   &claim_chain_rule, &claim_scalar, &claim_inert,
  &claim_gd,     &claim_momentum, &claim_adam,  &claim_adam_less, &claim_natural,    &claim_trace,  &claim_scalar_trace,
};

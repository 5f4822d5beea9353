/* Claims on the constructed network: its error falls as 1/N with a constant that can be computed, its size grows as N,
 * and the theorem's N is far above the one that suffices. */
#include <math.h>
#include <string.h>

#include "study/drift_claims.h"

static double metric(const tb_outcome *outcome, const char *name) {
  return tb_metrics_get(outcome->metrics, name);
}

static double features(const tb_outcome *outcome) {
  return (double)tb_config_integer(outcome->config, "features");
}

static bool constructed_of_cosines(const tb_config *config) {
  return tb_config_is(config, "network", "constructed") && tb_config_is(config, "target", "cosine") &&
         tb_config_real(config, "share") == 0 && tb_config_real(config, "accuracy") == 0;
}

static int arm_cosines(const tb_config *config) {
  return constructed_of_cosines(config) ? 0 : -1;
}

/* One process in each claim on a rate: seeds pool their runs. */
static int arm_cosines_ou(const tb_config *config) {
  return constructed_of_cosines(config) && tb_config_is(config, "process", "ou") ? 0 : -1;
}

/* ---- rates ---- */

static tb_status measure_kl_rate(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = log(metric(outcome, "path_kl"));
  *reference = -log(features(outcome));
  return TB_OK;
}

const tb_claim claim_drift_kl_rate = {
  .id = "drift.kl_rate",
  .statement = "The path divergence of the constructed network falls as 1/N in the number N of its frozen points",
  .source = PAPER_DIFFUSION ", Corollary 3.13 and its proof",
  .reference = "law of large numbers: slope of log KL over -log N, least squares in each seed",
  .group = DIFFUSION_CONTROL,
  .kind = TB_CLAIM_SLOPE,
  .tolerance = 0.2,
  .unit = "",
  .min_seeds = 5,
  .arm = arm_cosines_ou,
  .measure = measure_kl_rate,
};

static tb_status measure_sup_rate(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = log(metric(outcome, "sup_error"));
  *reference = -0.5 * log(features(outcome));
  return TB_OK;
}

const tb_claim claim_drift_sup_rate = {
  .id = "drift.sup_rate",
  .statement = "The largest error of the constructed average falls as the root of 1/N",
  .source = PAPER_DIFFUSION ", Corollary D.3",
  .reference = "uniform central limit theorem: slope of the log error over -1/2 log N, least squares in each seed",
  .group = DIFFUSION_CONTROL,
  .kind = TB_CLAIM_SLOPE,
  .tolerance = 0.2,
  .unit = "",
  .min_seeds = 5,
  .arm = arm_cosines_ou,
  .measure = measure_sup_rate,
};

/* ---- the constant of the 1/N law ---- */

/* To leading order v̂ − v is the mean over n of h(y_n)/φ, h = c∇f − v f, which has mean zero; so N·KL tends to
 *
 *   rate ∫₀¹ E_{x ~ p_t} φ^{−2} Σ_i E_z h_i(c x + σ√τ z)² dt.
 *
 * h_i is a trigonometric polynomial Σ_k A_k cos u_k + B_k sin u_k with u_k = w_k·y, and products of those have closed
 * Gaussian means: E cos((w ± w')·y) = e^{−σ²τ‖w ± w'‖²/2} cos(c (w ± w')·x).  The integrals over x and t are
 * quadrature. */
typedef struct wave {
  double mean_cos, mean_sin;
} wave;

static wave mean_of(const tb_family *f, tb_smoothing at, const double *x, size_t j, size_t k, double sign) {
  double square = 0, phase = 0;
  for (size_t i = 0; i < f->dims; i++) {
    const double w = f->frequency[j * f->dims + i] + sign * f->frequency[k * f->dims + i];
    square += w * w;
    phase += at.keep * w * x[i];
  }
  const double size = exp(-0.5 * f->sigma * f->sigma * at.spread * square);
  return (wave){ size * cos(phase), size * sin(phase) };
}

/* Σ_i E_z h_i² at x, where v is the drift there. */
static double square_of(const tb_family *f, tb_smoothing at, const double *x, const double *v) {
  double sum = 0;
  for (size_t j = 0; j < f->count; j++)
    for (size_t k = 0; k < f->count; k++) {
      const wave plus = mean_of(f, at, x, j, k, 1), minus = mean_of(f, at, x, j, k, -1);
      for (size_t i = 0; i < f->dims; i++) {
        const double aj = -v[i] * f->weight[j], bj = -at.keep * f->weight[j] * f->frequency[j * f->dims + i];
        const double ak = -v[i] * f->weight[k], bk = -at.keep * f->weight[k] * f->frequency[k * f->dims + i];
        sum += 0.5 * (aj * ak * (minus.mean_cos + plus.mean_cos) + bj * bk * (minus.mean_cos - plus.mean_cos) +
                      2 * bj * ak * (plus.mean_sin + minus.mean_sin));
      }
    }
  return sum;
}

/* E_{p_t} φ^{−2} Σ E h² = ∫ Σ E h²/φ dN(reference at t), d = 2; the reference is N(0, σ²I) or N(0, σ²t I). */
static double at_time(const tb_family *f, tb_diffusion process, double t) {
  enum { SIDE = 41 };
  const tb_smoothing at = tb_smoothing_at(process, t);
  const double sd = f->sigma * (process == TB_DIFFUSION_OU ? 1 : sqrt(t)), h = 0.3;
  double sum = 0;
  for (int a = 0; a < SIDE; a++)
    for (int b = 0; b < SIDE; b++) {
      const double za = h * (a - SIDE / 2), zb = h * (b - SIDE / 2), x[2] = { sd * za, sd * zb };
      double v[2];
      const double value = tb_semigroup(f, at, x, v);
      sum += h * h / 6.28318530717958647693 * exp(-0.5 * (za * za + zb * zb) - value) * square_of(f, at, x, v);
    }
  return sum;
}

/* Simpson's rule in u, t = u² (OU), 1 − u² (Brownian): √τ is smooth there. */
static double kl_constant(const tb_family *f, tb_diffusion process) {
  enum { PARTS = 12 };
  const double square = f->sigma * f->sigma, rate = process == TB_DIFFUSION_OU ? square : square / 2;
  double sum = 0;
  for (int k = 0; k <= PARTS; k++) {
    const double u = (double)k / PARTS, weight = k == 0 || k == PARTS ? 1 : k % 2 ? 4 : 2;
    if (k > 0)
      sum += weight / (3 * PARTS) * 2 * u * at_time(f, process, process == TB_DIFFUSION_OU ? u * u : 1 - u * u);
  }
  return rate * sum;
}

static tb_status measure_kl_constant(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  drift_study s;
  tb_status status = drift_open(&s, context, outcome->config);
  const bool fits = !status && s.family.dims == 2 && s.family.sigma == 1 && features(outcome) >= 64;
  *value = *reference = NAN;
  if (fits) {
    *value = features(outcome) * metric(outcome, "path_kl");
    *reference = kl_constant(&s.family, s.process);
  }
  drift_close(&s);
  return status;
}

const tb_claim claim_drift_kl_constant = {
  .id = "drift.kl_constant",
  .statement = "N times the path divergence is a constant, the one that the delta method gives (N >= 64)",
  .source = "derived",
  .reference = "variance of the average's error to leading order: Gaussian means of trigonometric products in closed "
               "form, quadrature over place and time",
  .group = DIFFUSION_CONTROL,
  .kind = TB_CLAIM_MEAN,
  .tolerance = 0.003,
  .unit = "nats",
  .min_seeds = 5,
  .arm = arm_cosines,
  .measure = measure_kl_constant,
};

/* ---- sizes ---- */

static tb_status measure_size_rate(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = log(metric(outcome, "nodes"));
  *reference = log(features(outcome));
  return TB_OK;
}

const tb_claim claim_drift_size_rate = {
  .id = "drift.size_rate",
  .statement = "The literal circuit grows in proportion to N: gradient, reciprocal, products and clips included",
  .source = PAPER_DIFFUSION ", Corollary E.2 (cheap gradient principle)",
  .reference = "nodes of the assembled circuit, counted; slope of log nodes over log N",
  .group = DIFFUSION_CONTROL,
  .kind = TB_CLAIM_SLOPE,
  .tolerance = 0.05,
  .unit = "",
  .min_seeds = 2,
  .arm = arm_cosines_ou,
  .measure = measure_size_rate,
};

static int arm_constructed(const tb_config *config) {
  return tb_config_is(config, "network", "constructed") ? 0 : -1;
}

static tb_status measure_circuit(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = metric(outcome, "circuit_difference");
  *reference = 0;
  return TB_OK;
}

const tb_claim claim_drift_circuit = {
  .id = "drift.circuit",
  .statement = "The circuit, evaluated gate by gate, is the network whose divergence was measured",
  .source = "definition",
  .reference = "the average and its gradient by their formulas, at 16 points; value: largest difference",
  .group = DIFFUSION_CONTROL,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-9,
  .unit = "",
  .arm = arm_constructed,
  .measure = measure_circuit,
};

static int arm_relu(const tb_config *config) {
  return tb_config_is(config, "network", "constructed") && tb_config_real(config, "accuracy") > 0 ? 0 : -1;
}

static tb_status measure_relu(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = metric(outcome, "circuit_error");
  *reference = tb_config_real(outcome->config, "accuracy");
  return TB_OK;
}

const tb_claim claim_drift_relu = {
  .id = "drift.relu_gates",
  .statement = "With reciprocal and products made of ReLU gates the circuit stays within the accuracy it was built for",
  .source = PAPER_DIFFUSION ", steps 4 and 5 of the construction",
  .reference = "the same circuit with exact gates, at 16 points; value: largest difference",
  .group = DIFFUSION_CONTROL,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 0,
  .unit = "",
  .arm = arm_relu,
  .measure = measure_relu,
};

/* ---- the theorem ---- */

static int arm_a1(const tb_config *config) {
  return tb_config_is(config, "target", "cosine") && tb_config_is_default(config, "frequencies") &&
                 tb_config_is_default(config, "amplitudes") && tb_config_is(config, "process", "ou") &&
                 tb_config_real(config, "share") == 0 && tb_config_real(config, "sigma") == 1 &&
                 tb_config_real(config, "epsilon") == 0.1
             ? 0
             : -1;
}

static tb_status measure_theorem(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = log10(metric(outcome, "bound"));
  *reference = log10(3.7e27);
  return TB_OK;
}

const tb_claim claim_drift_theorem = {
  .id = "drift.theorem_number",
  .statement =
      "For KL <= 0.1 on the default cosine target the theorem asks for 3.7e27 points (its constant taken as 1)",
  .source = PAPER_DIFFUSION ", equation 63",
  .reference = "the same arithmetic by hand at L = 2.075, c = 0.21; value: decimal logarithm",
  .group = DIFFUSION_CONTROL,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 0.03,
  .unit = "",
  .arm = arm_a1,
  .measure = measure_theorem,
};

static tb_status measure_loose(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = log10(metric(outcome, "bound.at_path_kl") / features(outcome));
  *reference = 20;
  if (!isfinite(*value)) /* f has no bounds: the theorem does not speak of it */
    *value = *reference = NAN;
  return TB_OK;
}

const tb_claim claim_drift_loose = {
  .id = "drift.theorem_loose",
  .statement =
      "For the divergence that N points reach the theorem (its constant taken as 1) asks for more than 10^20 N: "
      "sufficient, and far from necessary",
  .source = PAPER_DIFFUSION ", Proposition 3.1",
  .reference = "the measured divergence; value: decimal logarithm of the theorem's N over N",
  .group = DIFFUSION_CONTROL,
  .kind = TB_CLAIM_AT_LEAST,
  .tolerance = 0,
  .unit = "decades",
  .arm = arm_constructed,
  .measure = measure_loose,
};

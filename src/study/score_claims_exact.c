/* Claims on what is known exactly: how fast noise forgets, the orders of samplers, samples and likelihoods of exact
 * scores. */
#include <math.h>

#include "study/score_claims.h"

/* ---- noise ---- */

static bool is_vp(const tb_config *c) {
  return tb_config_is(c, "process", "vp") && !tb_config_is_set(c, "samples");
}

static bool has_mean(const tb_config *c) {
  const double *mean;
  const size_t count = tb_config_reals(c, "mean", &mean);
  double sum = 0;
  for (size_t i = 0; i < count; i++)
    sum += fabs(mean[i]);
  return sum > 0;
}

static bool is_gaussian(const tb_config *c) {
  return tb_config_is(c, "target", "gaussian") && !tb_config_is_set(c, "data");
}

static int arm_noise_gaussian(const tb_config *c) {
  return is_vp(c) && is_gaussian(c) ? 0 : -1;
}

/* ∫₀ᵀβ with the process's own factor: α_T = e^{−c∫β} */
static double log_alpha(const tb_config *c) {
  const double mean = 0.5 * (tb_config_real(c, "beta_min") + tb_config_real(c, "beta_max"));
  return -(tb_config_is(c, "schedule", "paper") ? 1 : 0.5) * mean * tb_config_real(c, "time");
}

static double listed(size_t count, const double *values, size_t i, double fallback) {
  return count == 0 ? fallback : values[count == 1 ? 0 : i];
}

/* KL(N(am, a²s² + 1 − a²) ‖ N(0, 1)), summed over coordinates; log a given */
static double gaussian_divergence(const tb_config *c, double log_a) {
  const double *mean, *sd;
  const size_t means = tb_config_reals(c, "mean", &mean), sds = tb_config_reals(c, "sd", &sd);
  size_t d = means > 1 || sds <= 1 ? means : sds;
  if (tb_config_is_set(c, "d"))
    d = (size_t)tb_config_integer(c, "d");
  else if (d == 0)
    d = 2;
  double total = 0;
  const double a2 = exp(2 * log_a);
  for (size_t i = 0; i < d; i++) {
    const double m = listed(means, mean, i, 0), s = listed(sds, sd, i, 1), excess = a2 * (s * s - 1);
    total += 0.5 * (excess - log1p(excess) + a2 * m * m);
  }
  return total;
}

static tb_status measure_noise_gaussian(tb_context *context, const tb_outcome *outcome, double *value,
                                        double *reference) {
  if (tb_metrics_get(outcome->metrics, "noise_kl.se") != 0)
    return score_skip(value, reference); /* not by quadrature */
  const double closed = gaussian_divergence(outcome->config, log_alpha(outcome->config));
  if (closed < 1e-12)
    return score_skip(value, reference); /* data that are the noise already: nothing but rounding to compare */
  *value = tb_metrics_get(outcome->metrics, "noise_kl") / closed;
  *reference = 1;
  return TB_OK;
}

const tb_claim claim_noise_gaussian = {
  .id = "score.noise_gaussian",
  .statement = "Gaussian data end as the Gaussian that the Ornstein-Uhlenbeck process makes of them",
  .source = "Vargas, Reu, Kerekes and Bronstein 2023, section 1; the transition N(sqrt(1 - lambda) x, lambda I)",
  .reference =
      "closed form of KL(N(am, a^2 s^2 + 1 - a^2) || N(0, 1)); value: the quadrature of the noised law over it",
  .group = DIFFUSION_REVERSAL,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 1e-6,
  .unit = "",
  .arm = arm_noise_gaussian,
  .measure = measure_noise_gaussian,
};

/* The process of the paper at β = 1, where T is the time. */
static bool is_plain(const tb_config *c) {
  return is_vp(c) && tb_config_is(c, "schedule", "paper") && tb_config_real(c, "beta_min") == 1 &&
         tb_config_real(c, "beta_max") == 1 && !tb_config_is_set(c, "data");
}

static int arm_noise_rate(const tb_config *c) {
  return is_plain(c) && is_gaussian(c) && has_mean(c) && tb_config_real(c, "time") >= 1.5 ? 0 : -1;
}

static tb_status measure_noise_rate(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = log(tb_metrics_get(outcome->metrics, "noise_kl"));
  *reference = 2 * log_alpha(outcome->config);
  return TB_OK;
}

const tb_claim claim_noise_rate = {
  .id = "score.noise_rate",
  .statement =
      "Noise forgets the data at the rate e^(-2T): the divergence from the Gaussian falls with slope 1 against "
      "-2T in logarithms",
  .source = "Vargas, Reu, Kerekes and Bronstein 2023, remark 3.2 (printed e^-T; the Gaussian's logarithmic Sobolev "
            "inequality gives e^-2T)",
  .reference = "the exponent -2T, least squares over runs of different T; value: slope of ln KL(p_T || N)",
  .group = DIFFUSION_REVERSAL,
  .kind = TB_CLAIM_SLOPE,
  .tolerance = 0.03,
  .unit = "",
  .min_seeds = 2,
  .arm = arm_noise_rate,
  .measure = measure_noise_rate,
};

static int arm_noise_bound(const tb_config *c) {
  return is_plain(c) ? 0 : -1;
}

/* KL(π ‖ N(0, I)) on the line or in the plane by a rectangle rule over the target's own log density. */
static tb_status initial_divergence(tb_context *context, const tb_outcome *outcome, double *nats) {
  enum { SIDE = 800 };
  static const double reach = 24, log_two_pi = 1.8378770664093454836;
  score s;
  *nats = NAN;
  tb_status status = score_open(&s, context, outcome->config);
  const size_t d = s.d, n = d == 1 ? SIDE : (size_t)SIDE * SIDE;
  if (!status && d <= 2 && s.density && isfinite(s.density->log_normaliser)) {
    double *x = tb_arena_allocate(s.arena, n * d, sizeof *x), *values = tb_arena_allocate(s.arena, n, sizeof *values);
    const double step = 2 * reach / SIDE;
    double total = 0;
    for (size_t i = 0; x && i < n; i++) {
      x[i * d] = -reach + ((double)(i % SIDE) + 0.5) * step;
      if (d == 2)
        x[2 * i + 1] = -reach + ((double)(i / SIDE) + 0.5) * step;
    }
    status = x && values ? tb_density_values(s.density, n, x, values, NULL) : TB_NO_MEMORY;
    for (size_t i = 0; !status && i < n; i++) {
      double squares = 0;
      for (size_t j = 0; j < d; j++)
        squares += x[i * d + j] * x[i * d + j];
      const double log_density = values[i] - s.density->log_normaliser;
      if (log_density > -700)
        total += exp(log_density) * (log_density + 0.5 * ((double)d * log_two_pi + squares));
    }
    *nats = total * pow(step, (double)d);
  }
  score_close(&s);
  return status;
}

static tb_status measure_noise_bound(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  double initial;
  const tb_status status = initial_divergence(context, outcome, &initial);
  if (status || isnan(initial) || tb_metrics_get(outcome->metrics, "noise_kl.se") != 0)
    return status ? status : score_skip(value, reference);
  *value = tb_metrics_get(outcome->metrics, "noise_kl") / initial;
  *reference = exp(2 * log_alpha(outcome->config));
  return TB_OK;
}

const tb_claim claim_noise_bound = {
  .id = "score.noise_bound",
  .statement = "Whatever the data, noise has forgotten all but e^(-2T) of their divergence from the Gaussian",
  .source = "Bakry and Emery; Vargas, Reu, Kerekes and Bronstein 2023, remark 3.2 corrected",
  .reference = "e^(-2T), T the integral of beta; value: KL(p_T || N) over KL(pi || N), the latter by quadrature of the "
               "target's own density",
  .group = DIFFUSION_REVERSAL,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 1e-12,
  .unit = "",
  .arm = arm_noise_bound,
  .measure = measure_noise_bound,
};

/* ---- orders ---- */

static bool is_order_run(const tb_config *c, const char *sampler) {
  return score_config_exact(c) && is_gaussian(c) && tb_config_is(c, "sampler", sampler) &&
         tb_config_is(c, "schedule", "score_sde") && tb_config_is(c, "likelihood", "none") &&
         tb_config_integer(c, "sampler_steps") >= 50 && !tb_config_is(c, "start", "noise");
}

static tb_status measure_order(const tb_outcome *outcome, const char *metric, double order, double *value,
                               double *reference) {
  *value = log(tb_metrics_get(outcome->metrics, metric));
  *reference = -order * log((double)tb_config_integer(outcome->config, "sampler_steps"));
  return TB_OK;
}

#define ORDER(sampler, Phrase, metric, order_, words, origin, how)                                                     \
  static int arm_##sampler(const tb_config *c) {                                                                       \
    return is_order_run(c, #sampler) ? 0 : -1;                                                                         \
  }                                                                                                                    \
  static tb_status measure_##sampler(tb_context *context, const tb_outcome *outcome, double *value,                    \
                                     double *reference) {                                                              \
    return measure_order(outcome, metric, order_, value, reference);                                                   \
  }                                                                                                                    \
  const tb_claim claim_order_##sampler = {                                                                             \
    .id = "score.order_" #sampler,                                                                                     \
    .statement = Phrase " errs like steps^-" #order_ " on Gaussian data: " words,                                      \
    .source = origin,                                                                                                  \
    .reference = how,                                                                                                  \
    .group = DIFFUSION_REVERSAL,                                                                                       \
    .kind = TB_CLAIM_SLOPE,                                                                                            \
    .tolerance = 0.1,                                                                                                  \
    .unit = "",                                                                                                        \
    .min_seeds = 2,                                                                                                    \
    .arm = arm_##sampler,                                                                                              \
    .measure = measure_##sampler,                                                                                      \
  }

#define FLOW_WORDS "each draw ends that far from where the exact flow takes it"
#define FLOW_HOW                                                                                                       \
  "closed-form flow map m + s_t/s_T (x - alpha_T m); value: slope of ln flow_error against -order ln(steps)"
#define LAW_WORDS "the law of its end is that far from the exact one"
#define LAW_HOW                                                                                                        \
  "exact Gaussian law of the sampler's linear chain against N(alpha m, alpha^2 s^2 + sigma^2), no Monte Carlo; "       \
  "value: "                                                                                                            \
  "slope of ln law_error against -order ln(steps)"

ORDER(ddim, "DDIM", "flow_error", 1, FLOW_WORDS, "Song, Meng and Ermon 2021; Lu et al. 2022", FLOW_HOW);
ORDER(heun, "Heun's sampler", "flow_error", 2, FLOW_WORDS, "Karras et al. 2022", FLOW_HOW);
ORDER(dpmpp2m, "DPM-Solver++ (2M)", "flow_error", 2, FLOW_WORDS, "Lu et al. 2022", FLOW_HOW);
ORDER(em, "Euler-Maruyama", "law_error", 1, LAW_WORDS, "Song et al. 2021", LAW_HOW);
ORDER(ancestral, "Ancestral sampling", "law_error", 1, LAW_WORDS, "Ho, Jain and Abbeel 2020", LAW_HOW);
ORDER(exponential, "The exponential integrator", "law_error", 1, LAW_WORDS, "Lu et al. 2022", LAW_HOW);

static int arm_rk45(const tb_config *c) {
  return is_order_run(c, "rk45") ? 0 : -1;
}

static tb_status measure_rk45(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = tb_metrics_get(outcome->metrics, "flow_error");
  *reference =
      1000 * (tb_config_is_set(outcome->config, "tolerance") ? tb_config_real(outcome->config, "tolerance") : 1e-9);
  return TB_OK;
}

const tb_claim claim_rk45 = {
  .id = "score.rk45",
  .statement = "The adaptive sampler follows the exact flow of Gaussian data as closely as its tolerance asks",
  .source = "Song et al. 2021; Dormand and Prince 1980",
  .reference = "1000 times the tolerance of a step; value: RMS distance of end points from the closed-form flow map",
  .group = DIFFUSION_REVERSAL,
  .kind = TB_CLAIM_AT_MOST,
  .tolerance = 0,
  .unit = "",
  .arm = arm_rk45,
  .measure = measure_rk45,
};

/* ---- samples ---- */

/* Fine enough that a classifier of a thousand rows has no chance to see the steps. */
static bool samples_finely(const tb_config *c) {
  const double steps = (double)tb_config_integer(c, "sampler_steps"), draws = (double)tb_config_integer(c, "draws");
  const bool second = tb_config_is(c, "sampler", "heun") || tb_config_is(c, "sampler", "dpmpp2m");
  return score_config_exact(c) && !tb_config_is_set(c, "data") && draws >= 1000 && !tb_config_is(c, "sampler", "pc") &&
         (tb_config_is(c, "sampler", "rk45") || steps >= (second ? 50 : 400));
}

static int arm_exact_vp(const tb_config *c) {
  return samples_finely(c) && tb_config_is(c, "process", "vp") ? 0 : -1;
}

static int arm_exact_others(const tb_config *c) {
  return samples_finely(c) && !tb_config_is(c, "process", "vp") ? 0 : -1;
}

static tb_status measure_c2st(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = tb_metrics_get(outcome->metrics, "c2st");
  *reference = 0.5;
  return TB_OK;
}

#define C2ST_HOW                                                                                                       \
  "1/2, the accuracy on two samples of one law; value: held-out accuracy of a classifier between draws and exact "     \
  "test "                                                                                                              \
  "points, mean over seeds"

const tb_claim claim_exact_samples_vp = {
  .id = "score.exact_samples_vp",
  .statement = "Samples of the reversed Ornstein-Uhlenbeck process with the exact score cannot be told from the data",
  .source = "Anderson 1982; Song et al. 2021",
  .reference = C2ST_HOW,
  .group = DIFFUSION_REVERSAL,
  .kind = TB_CLAIM_MEAN,
  .tolerance = 0.005,
  .unit = "",
  .min_seeds = 3,
  .arm = arm_exact_vp,
  .measure = measure_c2st,
};

const tb_claim claim_exact_samples_others = {
  .id = "score.exact_samples_others",
  .statement = "Nor can those of other noise: pinned Brownian motion, variance-exploding, sub-variance-preserving",
  .source = "Vargas, Reu, Kerekes and Bronstein 2023, appendix on pinned Brownian motion; Song et al. 2021",
  .reference = C2ST_HOW,
  .group = DIFFUSION_REVERSAL,
  .kind = TB_CLAIM_MEAN,
  .tolerance = 0.005,
  .unit = "",
  .min_seeds = 3,
  .arm = arm_exact_others,
  .measure = measure_c2st,
};

static int arm_transport(const tb_config *c) {
  return samples_finely(c) ? 0 : -1;
}

static tb_status measure_transport(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  *value = log(tb_metrics_get(outcome->metrics, "sliced_w2") / tb_metrics_get(outcome->metrics, "reference.sliced_w2"));
  *reference = 0;
  return TB_OK;
}

const tb_claim claim_exact_transport = {
  .id = "score.exact_transport",
  .statement = "Samples of exact scores lie as near to the data as other exact draws do",
  .source = "Song et al. 2021",
  .reference = "0; value: logarithm of the sliced W2 of draws and test points over that of fresh exact draws and the "
               "same test points, "
               "mean over seeds",
  .group = DIFFUSION_REVERSAL,
  .kind = TB_CLAIM_MEAN,
  .tolerance = 0.1,
  .unit = "",
  .min_seeds = 3,
  .arm = arm_transport,
  .measure = measure_transport,
};

/* ---- likelihood ---- */

static int arm_likelihood(const tb_config *c) {
  return score_config_exact(c) && tb_config_is(c, "likelihood", "exact") && !tb_config_is_set(c, "data") &&
                 !tb_config_is(c, "start", "noise")
             ? 0
             : -1;
}

static tb_status measure_nll(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  const tb_status status = score_entropy(context, outcome, reference);
  *value = tb_metrics_get(outcome->metrics, "nll");
  return status || !isnan(*reference) ? status : score_skip(value, reference);
}

const tb_claim claim_likelihood = {
  .id = "score.likelihood",
  .statement = "The probability flow of an exact score has the data's own density",
  .source = "Song et al. 2021, appendix D.2",
  .reference =
      "mean of -ln pi at the same test points by the target's log density; value: nll integrated along the flow "
      "to the noised law",
  .group = DIFFUSION_REVERSAL,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 1e-6,
  .unit = "nats",
  .arm = arm_likelihood,
  .measure = measure_nll,
};

static int arm_hutchinson(const tb_config *c) {
  return score_config_exact(c) && tb_config_is(c, "likelihood", "hutchinson") && !tb_config_is_set(c, "data") &&
                 !tb_config_is(c, "start", "noise")
             ? 0
             : -1;
}

const tb_claim claim_likelihood_hutchinson = {
  .id = "score.likelihood_hutchinson",
  .statement = "A random sign vector a point estimates the same density without bias",
  .source = "Song et al. 2021; Hutchinson 1990",
  .reference = "mean of -ln pi at the same test points by the target's log density; value: nll with one probe a point, "
               "mean over seeds",
  .group = DIFFUSION_REVERSAL,
  .kind = TB_CLAIM_MEAN,
  .tolerance = 1e-6,
  .unit = "nats",
  .min_seeds = 3,
  .arm = arm_hutchinson,
  .measure = measure_nll,
};

/* ---- the data set itself ---- */

static int arm_memory(const tb_config *c) {
  return score_config_exact(c) && tb_config_is_set(c, "data") && tb_config_is(c, "process", "vp") &&
                 tb_config_integer(c, "sampler_steps") >= 50 && tb_config_integer(c, "draws") >= 1000
             ? 0
             : -1;
}

/* σ²(t) = 1 − e^{−2c∫β} at the end of sampling, t = t_min T */
static double noise_left(const tb_config *c) {
  const double t = tb_config_real(c, "t_min") * tb_config_real(c, "time"), low = tb_config_real(c, "beta_min");
  const double clock = low * t + 0.5 * (tb_config_real(c, "beta_max") - low) * t * tb_config_real(c, "t_min");
  return sqrt(-expm1(-(tb_config_is(c, "schedule", "paper") ? 2 : 1) * clock));
}

static tb_status measure_memory(tb_context *context, const tb_outcome *outcome, double *value, double *reference) {
  score s;
  const tb_status status = score_open(&s, context, outcome->config);
  *value = tb_metrics_get(outcome->metrics, "nearest") / (noise_left(outcome->config) * sqrt((double)s.d));
  *reference = 1;
  score_close(&s);
  return status;
}

const tb_claim claim_memory = {
  .id = "score.memory",
  .statement =
      "The exact minimiser of the training loss only gives back the training points: what a network generalises "
      "comes from not reaching it",
  .source = "derived; the score of a noised data set",
  .reference = "each draw a training point plus the noise left at t_min, so sigma(t_min) sqrt(d) from it; value: RMS "
               "distance of draws to the nearest training point over that",
  .group = DIFFUSION_REVERSAL,
  .kind = TB_CLAIM_AGREES,
  .tolerance = 0.05,
  .unit = "",
  .arm = arm_memory,
  .measure = measure_memory,
};

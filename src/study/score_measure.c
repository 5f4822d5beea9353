/* What the study `score` measures of a score: its error, its samples, its likelihood. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <tiebreak/statistics.h>

#include "io/npz.h"
#include "measure/two_samples.h"
#include "study/score_parts.h"

const tb_metric score_metrics[SCORE_METRICS] = {
  { "t", "steps", "training steps done; 0 for an exact score", NULL, NULL },
  { "log_t", "", "its logarithm", NULL, NULL },
  { "stopped", "", "why the run ended: steps", NULL, NULL },
  { "score_loss", "",
    "mean squared error of the predicted noise per coordinate, t uniform, on fresh draws or the test file",
    "E |ε̂(x_t, t) − ε|²/d", "Vincent 2011" },
  { "score_loss.se", "", "its standard error", NULL, NULL },
  { "reference.score_loss", "", "the same of the exact score, on the same points and noise: the least there is", NULL,
    NULL },
  { "score_error", "", "mean squared distance of the predicted noise from the exact score's, per coordinate",
    "E |ε̂ − ε*|²/d", NULL },
  { "score_excess", "", "score_loss − reference.score_loss: in expectation the score_error", NULL, NULL },
  { "score_excess.se", "", "standard error of score_excess − score_error", NULL, NULL },
  { "path_kl", "nats", "divergence of the learned reversal's path law from the exact one's, between the same times",
    "½ ∫ g² E|s_θ − ∇ln p_t|² dt = ∫ E|ε̂ − ε*|² dλ", "Girsanov" },
  { "path_kl.se", "nats", "its standard error", NULL, NULL },
  { "noise_kl", "nats", "divergence of the noised data at the end from the Gaussian that sampling starts from",
    "KL(p_T ‖ N(0, sd²I))", NULL },
  { "noise_kl.se", "nats", "its standard error; 0 where by quadrature (d <= 2)", NULL, NULL },
  { "mmd", "", "kernel discrepancy of draws and test points: root of the unbiased MMD², 0 where that is negative",
    "k = exp(−r²/2h²), h the median distance", "Gretton et al. 2012" },
  { "sliced_w2", "", "root of the mean squared W2 between projections on 512 directions", NULL, "Bonneel et al. 2015" },
  { "c2st", "", "held-out accuracy of a classifier that tells draws from test points; 0.5: it cannot", NULL,
    "Lopez-Paz and Oquab 2017" },
  { "reference.mmd", "", "mmd of as many exact draws: what perfect samples would show", NULL, NULL },
  { "reference.sliced_w2", "", "sliced_w2 of as many exact draws", NULL, NULL },
  { "nearest", "", "RMS distance of draws from the nearest training point (standardised as the network sees them)",
    NULL, NULL },
  { "reference.nearest", "", "the same of test points that are no training points", NULL, NULL },
  { "nll", "nats", "mean of −ln p at the test points, p the density of the probability flow (likelihood=)", NULL,
    "Song et al. 2021" },
  { "nll.se", "nats", "its standard error over test points", NULL, NULL },
  { "flow_error", "",
    "RMS distance of end points from those of the exact flow of the same noise (Gaussian data, exact "
    "score, deterministic samplers)",
    NULL, NULL },
  { "law_error", "",
    "W2 between the sampler's law and the exact law of its end time (Gaussian data, exact score); no "
    "Monte Carlo",
    NULL, NULL },
  { "evaluations", "", "calls of the score that the samples took", NULL, NULL },
  { "parameters", "", "of the network; 0 for an exact score", NULL, NULL },
};

static tb_score score_of(score *s) {
  return s->network ? tb_learned_score(s->network) : tb_score_exact(s->exact);
}

/* ---- error of the score ---- */

enum { TIMES = 32, ROWS = 128, LOOKS = TIMES * ROWS };

/* Rows of one kind of look: per row |ε̂ − ε|²/d, |ε* − ε|²/d and |ε̂ − ε*|²/d. */
typedef struct errors {
  double loss[LOOKS], least[LOOKS], apart[LOOKS];
} errors;

/* Times stratified in t over the training's range, or in λ over the sampler's. */
static double time_of_look(const score *s, bool by_ratio, size_t k, double u) {
  const double place = ((double)k + u) / TIMES;
  if (!by_ratio)
    return s->train_from + place * (s->train_to - s->train_from);
  const tb_noising early = tb_process_at(&s->process, s->last), late = tb_process_at(&s->process, s->first);
  const double low = tb_noising_log_ratio(&late), high = tb_noising_log_ratio(&early);
  return tb_process_time_of(&s->process, low + place * (high - low));
}

static tb_status look_at_errors(score *s, bool by_ratio, errors *e) {
  const tb_score own = score_of(s);
  const size_t d = s->d, size = ROWS * d;
  const uint32_t step = by_ratio;
  const bool fresh = s->density || s->shape; /* a file has but its test points */
  double *memory = tb_allocate(s->context, (4 + TIMES) * size, sizeof *memory);
  if (!memory)
    return TB_NO_MEMORY;
  double *x = memory, *noise = x + size, *guess = noise + size, *truth = guess + size, *points = truth + size;
  tb_status status = TB_OK;
  if (fresh)
    score_draw(s, by_ratio ? SCORE_PATHS : SCORE_LOOKS, LOOKS, points);
  for (size_t k = 0; !status && k < TIMES; k++) {
    double u;
    tb_random_uniform((tb_key){ s->seed, step, tb_use("times of looks") }, k, 1, &u);
    const tb_noising at = tb_process_at(&s->process, time_of_look(s, by_ratio, k, u));
    tb_random_normal((tb_key){ s->seed, step, tb_use("noise of looks") }, k * size, size, noise);
    for (size_t i = 0; i < ROWS; i++) {
      const size_t number = k * ROWS + i;
      const double *point = fresh ? points + number * d : s->test + number % s->n_test * d;
      for (size_t j = 0; j < d; j++)
        x[i * d + j] = at.alpha * (point[j] - s->center[j]) / s->scale[j] + at.sigma * noise[i * d + j];
    }
    status = own.noise(own.self, &at, ROWS, x, guess);
    if (!status && s->law)
      tb_noised_at(s->law, &at, ROWS, x, NULL, NULL, truth, NULL); /* the score; ε* = −σ of it */
    for (size_t i = 0; i < ROWS; i++) {
      double loss = 0, least = 0, apart = 0;
      for (size_t j = i * d; j < (i + 1) * d; j++) {
        const double exact = -at.sigma * truth[j];
        loss += (guess[j] - noise[j]) * (guess[j] - noise[j]);
        least += (exact - noise[j]) * (exact - noise[j]);
        apart += (guess[j] - exact) * (guess[j] - exact);
      }
      e->loss[k * ROWS + i] = loss / (double)d;
      e->least[k * ROWS + i] = least / (double)d;
      e->apart[k * ROWS + i] = apart / (double)d;
    }
  }
  tb_release(s->context, memory);
  return status;
}

static double standard_error(size_t n, const double *x) {
  return tb_sd_of(n, x) / sqrt((double)n);
}

static tb_status measure_errors(score *s, tb_metrics *m) {
  errors *e = tb_allocate(s->context, 1, sizeof *e);
  if (!e)
    return TB_NO_MEMORY;
  tb_status status = look_at_errors(s, false, e);
  if (!status && !(status = tb_metrics_real(m, "score_loss", tb_mean_of(LOOKS, e->loss))))
    status = tb_metrics_real(m, "score_loss.se", standard_error(LOOKS, e->loss));
  if (!status && s->law) {
    const double excess = tb_mean_of(LOOKS, e->loss) - tb_mean_of(LOOKS, e->least);
    const double apart = tb_mean_of(LOOKS, e->apart);
    for (size_t i = 0; i < LOOKS; i++)
      e->loss[i] -= e->least[i] + e->apart[i];
    if (!(status = tb_metrics_real(m, "reference.score_loss", tb_mean_of(LOOKS, e->least))) &&
        !(status = tb_metrics_real(m, "score_error", apart)) && !(status = tb_metrics_real(m, "score_excess", excess)))
      status = tb_metrics_real(m, "score_excess.se", standard_error(LOOKS, e->loss));
    if (!status && !(status = look_at_errors(s, true, e))) {
      const tb_noising early = tb_process_at(&s->process, s->last), late = tb_process_at(&s->process, s->first);
      const double range = (tb_noising_log_ratio(&early) - tb_noising_log_ratio(&late)) * (double)s->d;
      if (!(status = tb_metrics_real(m, "path_kl", range * tb_mean_of(LOOKS, e->apart))))
        status = tb_metrics_real(m, "path_kl.se", range * standard_error(LOOKS, e->apart));
    }
  }
  tb_release(s->context, e);
  return status;
}

/* ---- the Gaussian at the end ---- */

/* KL(p ‖ N(0, sd²I)) at the time `first`: rectangle rule over ten deviations in the plane or on the line, else the mean
 * over draws. */
static tb_status noise_divergence(score *s, double *value, double *se) {
  enum { SIDE = 240, DRAWS = 4096 };
  const tb_noising at = tb_process_at(&s->process, s->first);
  const double sd = tb_process_reference_sd(&s->process, s->first), half_log_two_pi = 0.91893853320467274178;
  const size_t d = s->d, n = d == 1 ? SIDE : d == 2 ? SIDE * SIDE : DRAWS;
  double *x = tb_allocate(s->context, n * (d + 2), sizeof *x), far = 0, total = 0;
  if (!x)
    return TB_NO_MEMORY;
  double *log_density = x + n * d, *ratio = log_density + n;
  for (size_t j = 0; j < d; j++)
    far = fmax(far, at.alpha * (fabs(s->mean[j]) + 4 * s->sd[j]));
  const double reach = 10 * sd + far, step = 2 * reach / SIDE;
  if (d <= 2)
    for (size_t i = 0; i < n; i++) {
      x[i * d] = -reach + ((double)(i % SIDE) + 0.5) * step;
      if (d == 2)
        x[2 * i + 1] = -reach + ((double)(i / SIDE) + 0.5) * step;
    }
  else {
    tb_random_normal((tb_key){ s->seed, 0, tb_use("noise at the end") }, 0, n * d, x);
    for (size_t i = 0; i < n * d; i++)
      x[i] = at.sigma * x[i] + at.alpha * s->test[i % (s->n_test * d)];
  }
  tb_noised_at(s->law, &at, n, x, NULL, log_density, NULL, NULL);
  for (size_t i = 0; i < n; i++) {
    double reference = 0;
    for (size_t j = 0; j < d; j++)
      reference -= half_log_two_pi + log(sd) + 0.5 * x[i * d + j] * x[i * d + j] / (sd * sd);
    ratio[i] = log_density[i] - reference;
    if (d <= 2) /* p ln(p/q) − p + q ≥ 0: integrates to the same, and no digits cancel */
      total += exp(reference) * (ratio[i] * exp(ratio[i]) - expm1(ratio[i]));
  }
  *value = d <= 2 ? total * pow(step, (double)d) : tb_mean_of(n, ratio);
  *se = d <= 2 ? 0 : standard_error(n, ratio);
  tb_release(s->context, x);
  return TB_OK;
}

/* ---- samples ---- */

static bool go_on(void *user, double fraction) {
  const score_walk *walk = user;
  if (!walk->run)
    return true;
  if (walk->to > walk->from)
    tb_run_progress(walk->run, walk->from + 0.5 * fraction * (walk->to - walk->from), "sampling");
  return !tb_run_should_stop(walk->run);
}

/* z[draws,d] at the first time. */
static tb_status fill_start(score *s, double *z) {
  const tb_noising at = tb_process_at(&s->process, s->first);
  const size_t size = s->draws * s->d;
  tb_random_normal((tb_key){ s->seed, 0, tb_use("start of sampling") }, 0, size, z);
  if (!s->from_marginal) {
    const double sd = tb_process_reference_sd(&s->process, s->first);
    for (size_t i = 0; i < size; i++)
      z[i] *= sd;
    return TB_OK;
  }
  double *points = tb_allocate(s->context, size, sizeof *points);
  if (!points)
    return TB_NO_MEMORY;
  if (s->density)
    score_draw(s, SCORE_START, s->draws, points);
  else
    for (size_t i = 0; i < size; i++)
      points[i] = s->data[i % (s->n_data * s->d)];
  for (size_t i = 0; i < size; i++)
    z[i] = at.alpha * points[i] + at.sigma * z[i];
  tb_release(s->context, points);
  return TB_OK;
}

/* RMS distance from the exact flow of the same start. */
static double flow_distance(const score *s, const double *start, const double *end) {
  const tb_noising from = tb_process_at(&s->process, s->first), to = tb_process_at(&s->process, s->last);
  double sum = 0;
  for (size_t i = 0; i < s->draws * s->d; i++) {
    const size_t j = i % s->d;
    const double want = tb_reverse_gaussian_map(&from, &to, s->mean[j], s->sd[j], start[i]);
    sum += (end[i] - want) * (end[i] - want);
  }
  return sqrt(sum / (double)s->draws);
}

/* W2 between the laws of the end, coordinate by coordinate. */
static tb_status law_distance(score *s, const double *times, double *distance) {
  const tb_noising from = tb_process_at(&s->process, s->first), to = tb_process_at(&s->process, s->last);
  double sum = 0, one = 0;
  for (size_t j = 0; j < s->d; j++) {
    if (j == 0 || s->mean[j] != s->mean[j - 1] || s->sd[j] != s->sd[j - 1]) {
      const double sd = tb_process_reference_sd(&s->process, s->first);
      const double start_mean = s->from_marginal ? from.alpha * s->mean[j] : 0;
      const double start_sd = s->from_marginal ? hypot(from.alpha * s->sd[j], from.sigma) : sd;
      double mean, end_sd;
      const tb_status status = tb_reverse_law(s->context, s->sampler, &s->process, &s->options, s->sampler_steps, times,
                                              s->mean[j], s->sd[j], start_mean, start_sd, &mean, &end_sd);
      if (status)
        return status;
      one = pow(mean - to.alpha * s->mean[j], 2) + pow(end_sd - hypot(to.alpha * s->sd[j], to.sigma), 2);
    }
    sum += one;
  }
  *distance = sqrt(sum);
  return TB_OK;
}

/* x[draws,d] from noise. */
static tb_status sample(score *s, const score_walk *walk, double *x, tb_metrics *m) {
  const size_t size = s->draws * s->d;
  const tb_score own = score_of(s);
  double *times = tb_allocate(s->context, s->sampler_steps + 1 + size, sizeof *times), *start;
  tb_reverse *reverse = NULL;
  if (!times)
    return TB_NO_MEMORY;
  start = times + s->sampler_steps + 1;
  tb_process_grid(&s->process, s->grid, s->first, s->last, s->sampler_steps, times);
  tb_status status = fill_start(s, x);
  memcpy(start, x, size * sizeof *x);
  if (!status)
    status = tb_reverse_new(s->context, s->sampler, &s->process, &own, &s->options, s->draws, &reverse);
  if (!status)
    status = tb_reverse_walk(reverse, s->sampler_steps, times, x, go_on, (void *)walk);
  if (status == TB_STOPPED)
    status = tb_run_stop_status(walk->run);
  if (!status)
    status = tb_metrics_integer(m, "evaluations", tb_reverse_evaluations(reverse));
  if (!status && s->gaussian && !s->learned) {
    double distance;
    if (!s->sampler->random)
      status = tb_metrics_real(m, "flow_error", flow_distance(s, start, x));
    if (!status && !s->sampler->adaptive && !(status = law_distance(s, times, &distance)))
      status = tb_metrics_real(m, "law_error", distance);
  }
  for (size_t i = 0; i < size; i++)
    x[i] = s->center[i % s->d] + s->scale[i % s->d] * x[i];
  tb_reverse_free(reverse);
  tb_release(s->context, times);
  return status;
}

static tb_status keep(score *s, tb_run *run, size_t n, const double *x) {
  const char *path;
  double *weights = tb_allocate(s->context, n, sizeof *weights);
  if (!weights)
    return TB_NO_MEMORY;
  const tb_array arrays[] = { { "draws", TB_ARRAY_FLOAT64, 2, { n, s->d }, x, NULL },
                              { "log_weight", TB_ARRAY_FLOAT64, 1, { n }, weights, NULL } };
  tb_status status = tb_run_file(run, "draws", "draws.npz", &path);
  if (!status)
    status = tb_npz_write(s->context, path, 2, arrays);
  tb_release(s->context, weights);
  return status;
}

/* points.csv, for pictures of the plane: column 1 data, 2 at λ = 0, 3 at the first time, 4 draws; in units
 * of the data's deviations from their mean. */
static tb_status keep_points(score *s, tb_run *run, const double *x) {
  enum { POINTS = 600 };
  const char *path;
  const size_t n = s->n_data < s->draws ? s->n_data : s->draws, count = n < POINTS ? n : POINTS;
  const tb_noising clean = { .alpha = 1 }, middle = tb_process_at(&s->process, tb_process_time_of(&s->process, 0)),
                   end = tb_process_at(&s->process, s->first);
  const tb_noising *const times[] = { &clean, &middle, &end };
  double *noise = tb_allocate(s->context, 2 * count, sizeof *noise);
  if (!noise)
    return TB_NO_MEMORY;
  tb_random_normal((tb_key){ s->seed, 0, tb_use("noise of pictures") }, 0, 2 * count, noise);
  tb_text text = tb_text_new(s->context);
  tb_text_add(&text, "column,x,y\n");
  for (size_t k = 0; k < 4; k++)
    for (size_t i = 0; i < count; i++) {
      double z[2];
      for (size_t j = 0; j < 2; j++)
        z[j] = k == 3 ? (x[2 * i + j] - s->center[j]) / s->scale[j]
                      : times[k]->alpha * s->data[2 * i + j] + times[k]->sigma * noise[2 * i + j];
      tb_text_format(&text, "%zu,%.5g,%.5g\n", k + 1, (z[0] - s->mean[0]) / s->sd[0], (z[1] - s->mean[1]) / s->sd[1]);
    }
  tb_status status = tb_text_finish(&text);
  if (!status && !(status = tb_run_file(run, "points", "points.csv", &path)))
    status = tb_file_write(s->context, path, text.data, text.length);
  tb_text_free(&text);
  tb_release(s->context, noise);
  return status;
}

static tb_status two_samples(score *s, const char *prefix, size_t n, const double *x, tb_metrics *m) {
  enum { DIRECTIONS = 512 };
  const tb_key directions = { s->seed, 0, tb_use("directions") };
  char name[32];
  double value;
  tb_status status = tb_mmd(s->context, s->d, n, x, s->n_test, s->test, &value);
  snprintf(name, sizeof name, "%smmd", prefix);
  if (!status)
    status = tb_metrics_real(m, name, value);
  if (!status)
    status = tb_sliced_w2(s->context, s->d, n, x, s->n_test, s->test, DIRECTIONS, directions, &value);
  snprintf(name, sizeof name, "%ssliced_w2", prefix);
  return status ? status : tb_metrics_real(m, name, value);
}

/* RMS distance of x[n,d] from the nearest training point, in z. */
static double nearest(const score *s, size_t n, const double *x) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    double least = INFINITY;
    for (size_t k = 0; k < s->n_data; k++) {
      double squares = 0;
      for (size_t j = 0; j < s->d; j++) {
        const double apart = (x[i * s->d + j] - s->center[j]) / s->scale[j] - s->data[k * s->d + j];
        squares += apart * apart;
      }
      least = fmin(least, squares);
    }
    sum += least;
  }
  return sqrt(sum / (double)n);
}

static tb_status compare(score *s, size_t n, const double *x, tb_metrics *m) {
  double value;
  tb_status status = two_samples(s, "", n, x, m);
  if (!status && !s->compare && !s->density)
    status = tb_metrics_real(m, "nearest", nearest(s, n, x));
  if (!status && !s->compare && (s->shape || tb_config_is_set(s->config, "test"))) /* else test points are the data */
    status = tb_metrics_real(m, "reference.nearest", nearest(s, s->n_test, s->test));
  if (!status && !(status = tb_c2st(s->context, s->d, n, x, s->n_test, s->test, s->seed, &value)))
    status = tb_metrics_real(m, "c2st", value);
  if (status || (!s->density && !s->shape))
    return status;
  double *others = tb_allocate(s->context, n * s->d, sizeof *others);
  if (!others)
    return TB_NO_MEMORY;
  score_draw(s, SCORE_OTHERS, n, others);
  status = two_samples(s, "reference.", n, others, m);
  tb_release(s->context, others);
  return status;
}

/* ---- likelihood ---- */

static tb_status likelihood(score *s, tb_metrics *m) {
  const tb_score own = score_of(s);
  const size_t n = s->n_test, d = s->d;
  const bool hutchinson = tb_config_is(s->config, "likelihood", "hutchinson");
  const double from = s->learned || !s->law ? s->train_from : 0; /* an exact law has a density at time 0 */
  double *z = tb_allocate(s->context, n * (2 * d + 1), sizeof *z), shift = 0;
  uint32_t *bits = tb_allocate(s->context, n * d, sizeof *bits);
  tb_status status = z && bits ? TB_OK : TB_NO_MEMORY;
  if (!status) {
    double *probe = z + n * d, *log_density = probe + n * d;
    tb_random_bits((tb_key){ s->seed, 0, tb_use("signs of probes") }, 0, n * d, bits);
    for (size_t i = 0; i < n * d; i++) {
      z[i] = (s->test[i] - s->center[i % d]) / s->scale[i % d];
      probe[i] = bits[i] & 1 ? 1 : -1;
    }
    for (size_t j = 0; j < d; j++)
      shift += log(s->scale[j]);
    status = tb_reverse_likelihood(s->context, &s->process, &own, from, s->first, s->options.tolerance,
                                   hutchinson ? probe : NULL, s->from_marginal ? s->exact : NULL,
                                   tb_process_reference_sd(&s->process, s->first), n, z, log_density);
    for (size_t i = 0; i < n; i++)
      log_density[i] = shift - log_density[i];
    if (!status && !(status = tb_metrics_real(m, "nll", tb_mean_of(n, log_density))))
      status = tb_metrics_real(m, "nll.se", standard_error(n, log_density));
  }
  tb_release(s->context, bits);
  tb_release(s->context, z);
  return status;
}

/* ---- all of it ---- */

tb_status score_measure(score *s, const score_walk *walk, double steps, bool keep_draws, tb_metrics *m) {
  const size_t n = s->compare ? s->n_samples : s->draws;
  double *x = tb_allocate(s->context, n * s->d, sizeof *x), kl, se;
  tb_status status = x ? TB_OK : TB_NO_MEMORY;
  if (!status && !(status = tb_metrics_real(m, "t", steps)))
    status = tb_metrics_real(m, "log_t", log(steps));
  if (!status && s->compare)
    memcpy(x, s->samples, n * s->d * sizeof *x);
  else if (!status) {
    status = tb_metrics_integer(m, "parameters", (int64_t)s->p);
    if (!status)
      status = measure_errors(s, m);
    if (!status && s->law && !(status = noise_divergence(s, &kl, &se)) &&
        !(status = tb_metrics_real(m, "noise_kl", kl)))
      status = tb_metrics_real(m, "noise_kl.se", se);
    if (!status)
      status = sample(s, walk, x, m);
  }
  if (!status)
    status = compare(s, n, x, m);
  if (!status && !s->compare && !tb_config_is(s->config, "likelihood", "none"))
    status = likelihood(s, m);
  if (!status && keep_draws && walk->run)
    status = keep(s, walk->run, n, x);
  if (!status && keep_draws && walk->run && s->d == 2 && !s->compare)
    status = keep_points(s, walk->run, x);
  tb_release(s->context, x);
  return status;
}

/* smc: particles carried from N(0, σ²I) to γ through the bridge N^{1−β} γ^β (Neal 2001; Del Moral, Doucet & Jasra
 * 2006).
 *
 * Particles live in the coordinates of a frame, which are x itself or those of a Gaussian fitted to a first look.
 * A pilot run with random numbers of its own chooses the temperatures, so that each costs the same loss of effective
 * particles (Zhou, Johansen & Aston 2016), and tunes the Hamiltonian moves.  Then `islands` independent runs with that
 * schedule follow: nothing in them adapts, so that E[Ẑ] = Z exactly, and their spread is the standard error. */
#include <math.h>
#include <string.h>

#include "base/block.h"
#include "diffusion/convergence.h"
#include "diffusion/mcmc.h"
#include "diffusion/smc_frame.h"

#define ANY 1, 0

static const tb_option options[] = {
  { "start", TB_CHOICE, "normal", "normal|fitted", ANY, false,
    "smc: the law that particles start from: N(0, sigma²I), or a Gaussian with the mean and covariance of a short nuts "
    "run, widened sigma times (for targets of one mode)",
    NULL, NULL },
  { "islands", TB_INTEGER, "8", NULL, 1, 1e5, false,
    "smc: independent runs of draws/islands particles each, whose spread is the standard error", NULL, NULL },
  { "keep", TB_REAL, "0.9", NULL, 0.01, 0.9999, false,
    "smc: share of effective particles that a temperature leaves; nearer to 1: more temperatures", NULL,
    "Zhou, Johansen and Aston 2016" },
  { "moves", TB_INTEGER, "1", NULL, 1, 1000, false,
    "smc: Hamiltonian moves at each temperature, of leapfrogs= steps (1: the Langevin algorithm MALA)", NULL, NULL },
  { "leapfrogs", TB_INTEGER, "16", NULL, 1, 1e5, false,
    "leapfrog steps of a Hamiltonian move (hmc draws them evenly between half and three halves of it)", NULL, NULL },
};

const tb_option_table tb_smc_options = { "particles (smc)", options, sizeof options / sizeof *options };

enum { MOST_TEMPERATURES = 2000 };

/* What the pilot run finds: temperature k has β, the step, and the inverse metric [d]. */
typedef struct schedule {
  uint64_t count;
  double *beta, *step, *inverse;
} schedule;

typedef struct cloud {
  const tb_sampling *s;
  const tb_frame *frame;
  size_t n, d, moves, leapfrogs;
  double sigma;
  tb_key key;                         /* step: counts the draws of the run */
  uint64_t island;                    /* SIZE: the pilot */
  double *x, *gradient, *log_density; /* [n,d], [n,d], [n]: of ln γ, in the frame */
  double *moved, *slope, *p, *value;  /* [n,d], [n,d], [n,d], [n]: of a move */
  double *log_weight, *work;          /* [n]: normalised, Σ exp = 1; scratch */
  double log_z;
} cloud;

static tb_status cloud_new(const tb_sampling *s, const tb_frame *frame, size_t n, cloud *c) {
  const size_t d = s->density->dims;
  double *block = tb_arena_allocate(s->arena, 5 * n * d + 4 * n, sizeof *block);
  *c = (cloud){ .s = s,
                .frame = frame,
                .n = n,
                .d = d,
                .moves = (size_t)tb_config_integer(s->config, "moves"),
                .leapfrogs = (size_t)tb_config_integer(s->config, "leapfrogs"),
                .sigma = tb_config_real(s->config, "sigma") };
  if (!block)
    return TB_NO_MEMORY;
  double **const parts[] = { &c->x, &c->gradient, &c->moved, &c->slope, &c->p };
  double **const rows[] = { &c->log_density, &c->value, &c->log_weight, &c->work };
  for (size_t i = 0; i < 5; i++, block += n * d)
    *parts[i] = block;
  for (size_t i = 0; i < 4; i++, block += n)
    *rows[i] = block;
  return TB_OK;
}

static tb_key next_key(cloud *c, const char *use) {
  c->key.use = tb_use(use);
  c->key.step++;
  return c->key;
}

static tb_status start(cloud *c, uint64_t seed, uint64_t island) {
  c->key = (tb_key){ .seed = seed };
  c->island = island;
  tb_random_normal(next_key(c, "particles"), island * c->n * c->d, c->n * c->d, c->x);
  for (size_t i = 0; i < c->n * c->d; i++)
    c->x[i] *= c->sigma;
  for (size_t i = 0; i < c->n; i++)
    c->log_weight[i] = -log((double)c->n);
  c->log_z = 0;
  return tb_frame_values(c->frame, c->s->density, c->n, c->x, c->log_density, c->gradient);
}

/* ln N(x; 0, σ²I) */
static double log_reference(const cloud *c, const double *x) {
  double square = 0;
  for (size_t j = 0; j < c->d; j++)
    square += x[j] * x[j];
  return -0.5 * square / (c->sigma * c->sigma) - (double)c->d * (0.91893853320467274178 + log(c->sigma));
}

/* ---- weights ---- */

/* ln of Σ_i exp(a_i + factor b_i), b NULL: 0. */
static double log_sum(size_t n, const double *a, const double *b, double factor) {
  double most = -INFINITY, sum = 0;
  for (size_t i = 0; i < n; i++) {
    const double v = a[i] + (b ? factor * b[i] : 0);
    most = v > most ? v : most;
  }
  for (size_t i = 0; i < n && most > -INFINITY; i++)
    sum += exp(a[i] + (b ? factor * b[i] : 0) - most);
  return most + log(sum);
}

/* work ← ln γ − ln N of each particle: what a rise of β multiplies the logarithm of its weight with. */
static void measure_rise(cloud *c) {
  for (size_t i = 0; i < c->n; i++)
    c->work[i] = c->log_density[i] - log_reference(c, c->x + i * c->d);
}

/* Conditional effective share (Σ W u)²/Σ W u² of u = exp(rise·work). */
static double share_left(const cloud *c, double rise) {
  return exp(2 * log_sum(c->n, c->log_weight, c->work, rise) - log_sum(c->n, c->log_weight, c->work, 2 * rise));
}

static double choose_beta(const cloud *c, double beta, double keep) {
  double low = 0, high = 1 - beta;
  if (share_left(c, high) >= keep)
    return 1;
  for (int i = 0; i < 60; i++) {
    const double middle = 0.5 * (low + high);
    if (share_left(c, middle) >= keep)
      low = middle;
    else
      high = middle;
  }
  return beta + high; /* some progress, whatever the shares */
}

static void reweight(cloud *c, double rise) {
  const double total = log_sum(c->n, c->log_weight, c->work, rise);
  c->log_z += total;
  for (size_t i = 0; i < c->n; i++)
    c->log_weight[i] += rise * c->work[i] - total;
}

/* Systematic resampling once fewer than half of the particles count. */
static void resample(cloud *c) {
  const size_t bytes = c->d * sizeof(double);
  double u, sum = 0;
  if (exp(-log_sum(c->n, c->log_weight, c->log_weight, 1)) >= 0.5 * (double)c->n)
    return;
  tb_random_uniform(next_key(c, "resample"), c->island, 1, &u);
  for (size_t i = 0, k = 0; i < c->n; i++) {
    sum += exp(c->log_weight[i]) * (double)c->n;
    for (; k < c->n && ((double)k + u < sum || i + 1 == c->n); k++) {
      memcpy(c->moved + k * c->d, c->x + i * c->d, bytes);
      memcpy(c->slope + k * c->d, c->gradient + i * c->d, bytes);
      c->value[k] = c->log_density[i];
    }
  }
  memcpy(c->x, c->moved, c->n * bytes);
  memcpy(c->gradient, c->slope, c->n * bytes);
  memcpy(c->log_density, c->value, c->n * sizeof(double));
  for (size_t i = 0; i < c->n; i++)
    c->log_weight[i] = -log((double)c->n);
}

/* ---- moves ---- */

/* p += factor ∇ ln(N^{1−β} γ^β) */
static void kick(const cloud *c, double beta, double factor) {
  const double pull = factor * (1 - beta) / (c->sigma * c->sigma), push = factor * beta;
  for (size_t i = 0; i < c->n * c->d; i++)
    c->p[i] += push * c->slope[i] - pull * c->moved[i];
}

static double energy(const cloud *c, double beta, const double *x, const double *p, double log_density,
                     const double *inverse) {
  double kinetic = 0;
  for (size_t j = 0; j < c->d; j++)
    kinetic += inverse[j] * p[j] * p[j];
  return 0.5 * kinetic - (1 - beta) * log_reference(c, x) - (beta > 0 ? beta * log_density : 0);
}

/* One Hamiltonian move of all particles; *acceptance: the weighted mean. */
static tb_status move(cloud *c, double beta, double step, const double *inverse, double *acceptance) {
  const size_t n = c->n, d = c->d, bytes = n * d * sizeof(double);
  double jitter;
  tb_random_uniform(next_key(c, "jitter"), c->island, 1, &jitter);
  step *=
      exp(-2 * jitter * jitter); /* mostly near the whole step, at times much shorter: for necks, and against periods */
  tb_random_normal(next_key(c, "momenta"), c->island * n * d, n * d, c->p);
  for (size_t i = 0; i < n * d; i++)
    c->p[i] /= sqrt(inverse[i % d]);
  for (size_t i = 0; i < n; i++)
    c->work[i] = energy(c, beta, c->x + i * d, c->p + i * d, c->log_density[i], inverse);
  memcpy(c->moved, c->x, bytes);
  memcpy(c->slope, c->gradient, bytes);
  kick(c, beta, 0.5 * step);
  for (size_t l = 0; l < c->leapfrogs; l++) {
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < d; j++)
        c->moved[i * d + j] += step * inverse[j] * c->p[i * d + j];
    tb_status status = tb_frame_values(c->frame, c->s->density, n, c->moved, c->value, c->slope);
    if (status)
      return status;
    kick(c, beta, l + 1 < c->leapfrogs ? step : 0.5 * step);
  }
  const tb_key key = next_key(c, "accept");
  *acceptance = 0;
  for (size_t i = 0; i < n; i++) {
    double u, gained = c->work[i] - energy(c, beta, c->moved + i * d, c->p + i * d, c->value[i], inverse);
    gained = isnan(gained) ? -INFINITY : gained;
    tb_random_uniform(key, c->island * n + i, 1, &u);
    *acceptance += exp(c->log_weight[i]) * fmin(1, exp(gained));
    if (!(u < exp(gained)))
      continue;
    memcpy(c->x + i * d, c->moved + i * d, d * sizeof(double));
    memcpy(c->gradient + i * d, c->slope + i * d, d * sizeof(double));
    c->log_density[i] = c->value[i];
  }
  return TB_OK;
}

/* Variances of the weighted particles as the inverse metric, kept from zero. */
static void measure_spread(const cloud *c, double *inverse) {
  for (size_t j = 0; j < c->d; j++) {
    double mean = 0, square = 0;
    for (size_t i = 0; i < c->n; i++)
      mean += exp(c->log_weight[i]) * c->x[i * c->d + j];
    for (size_t i = 0; i < c->n; i++) {
      const double apart = c->x[i * c->d + j] - mean;
      square += exp(c->log_weight[i]) * apart * apart;
    }
    inverse[j] = fmax(square, 1e-12 * c->sigma * c->sigma);
  }
}

/* ---- pilot ---- */

/* No number of the islands'. */
static uint64_t pilot_seed(const tb_sampling *s) {
  return s->seed ^ 0x9e3779b97f4a7c15;
}

/* Moves at a temperature until the step suits: acceptance about 0.8. */
static tb_status tune(cloud *c, double beta, double *step, const double *inverse) {
  enum { TRIES = 8 };
  tb_status status = TB_OK;
  for (int i = 0; i < TRIES && !status; i++) {
    double acceptance;
    status = move(c, beta, *step, inverse, &acceptance);
    if (acceptance > 0.7 && acceptance < 0.9)
      break;
    *step *= exp(2 * (acceptance - 0.8));
  }
  return status;
}

static tb_status explore(cloud *c, schedule *plan) {
  const tb_sampling *s = c->s;
  const double keep = tb_config_real(s->config, "keep");
  double beta = 0, step = 0.2;
  tb_status status = start(c, pilot_seed(s), 0);
  for (; beta < 1 && !status; plan->count++) {
    if (plan->count == MOST_TEMPERATURES)
      return tb_fail(s->context, TB_FAILED, "option keep", "lower keep=, or choose sigma= nearer to the target's width",
                     "smc: %d temperatures do not reach the target", MOST_TEMPERATURES);
    measure_rise(c);
    const double next = choose_beta(c, beta, keep);
    reweight(c, next - beta);
    if (isnan(c->log_z) || c->log_z == -INFINITY)
      return tb_fail(s->context, TB_FAILED, "option sigma", "choose sigma= nearer to the target's width",
                     "smc: no particle of N(0, sigma²) lies where the density is positive");
    beta = next;
    resample(c);
    measure_spread(c, plan->inverse + plan->count * c->d);
    status = tune(c, beta, &step, plan->inverse + plan->count * c->d);
    plan->beta[plan->count] = beta;
    plan->step[plan->count] = step;
    s->progress(s->user, 0.2 * beta, "pilot");
    if (!status && s->should_stop(s->user))
      return s->stop_status(s->user); /* nothing to keep: the pilot is run again */
  }
  return status;
}

/* ---- islands ---- */

static tb_status run_island(cloud *c, const schedule *plan, uint64_t island, double *log_weight) {
  const tb_sampling *s = c->s;
  double beta = 0, acceptance;
  tb_status status = start(c, s->seed, island);
  for (size_t k = 0; k < plan->count && !status; k++) {
    measure_rise(c);
    reweight(c, plan->beta[k] - beta);
    beta = plan->beta[k];
    if (!(c->log_z > -INFINITY))
      break;
    resample(c);
    for (size_t i = 0; i < c->moves && !status; i++)
      status = move(c, beta, plan->step[k], plan->inverse + k * c->d, &acceptance);
    if (!status && s->should_stop(s->user))
      return s->stop_status(s->user);
  }
  for (size_t i = 0; i < c->n; i++)
    log_weight[i] = c->log_z > -INFINITY ? c->log_z + c->log_weight[i] + log((double)c->n) : -INFINITY;
  return status;
}

/* ---- all ---- */

static const char magic[8] = "smc-001";

typedef struct head {
  char magic[8];
  uint64_t values, temperatures, island; /* to come */
  uint64_t evaluations;
} head;

typedef struct particles {
  const tb_sampling *s;
  size_t islands, each, total;
  head head;
  double *values; /* all of below */
  schedule plan;
  double *x, *log_weight; /* [total,d], [total] */
  tb_frame frame;
  cloud cloud;
} particles;

static tb_status particles_new(const tb_sampling *s, particles *p) {
  const size_t d = s->density->dims, islands = (size_t)tb_config_integer(s->config, "islands");
  const size_t each = (s->draws + islands - 1) / islands, total = each * islands;
  const size_t frame = tb_config_is(s->config, "start", "fitted") ? tb_frame_size(d) : 0;
  const size_t size = MOST_TEMPERATURES * (d + 2) + total * (d + 1) + frame;
  *p = (particles){ .s = s, .islands = islands, .each = each, .total = total };
  p->values = tb_arena_allocate(s->arena, size, sizeof *p->values);
  if (!p->values)
    return TB_NO_MEMORY;
  memcpy(p->head.magic, magic, sizeof magic);
  p->head.values = size;
  p->plan = (schedule){ .beta = p->values, .step = p->values + MOST_TEMPERATURES };
  p->plan.inverse = p->plan.step + MOST_TEMPERATURES;
  p->x = p->plan.inverse + MOST_TEMPERATURES * d;
  p->log_weight = p->x + total * d;
  tb_status status = tb_frame_new(s->arena, d, frame ? p->log_weight + total : NULL, each, &p->frame);
  return status ? status : cloud_new(s, &p->frame, each, &p->cloud);
}

static tb_status save(particles *p) {
  const tb_sampling *s = p->s;
  const tb_block_part parts[] = { { &p->head, sizeof p->head }, { p->values, p->head.values * sizeof(double) } };
  size_t size;
  p->head.temperatures = p->plan.count;
  p->head.evaluations = s->density->evaluations;
  char *block = tb_block_join(s->context, 2, parts, &size);
  const tb_status status = block ? s->checkpoint_save(s->user, block, size) : TB_NO_MEMORY;
  tb_release(s->context, block);
  return status;
}

static tb_status load(particles *p) {
  const tb_sampling *s = p->s;
  const tb_block_part parts[] = { { &p->head, sizeof p->head }, { p->values, p->head.values * sizeof(double) } };
  const void *block;
  size_t size;
  tb_status status = s->checkpoint_load(s->user, &block, &size);
  if (status || !block)
    return status;
  status = tb_block_split(s->context, block, size, offsetof(head, temperatures), 2, parts);
  if (status)
    return status;
  p->plan.count = p->head.temperatures;
  s->density->evaluations = p->head.evaluations;
  return TB_OK;
}

static tb_status walk(particles *p) {
  const tb_sampling *s = p->s;
  tb_status status = TB_OK;
  if (!p->plan.count && p->frame.numbers)
    status = tb_frame_fit(&p->frame, s, pilot_seed(s));
  if (!p->plan.count && !status)
    status = explore(&p->cloud, &p->plan);
  for (; p->head.island < p->islands && !status; p->head.island++) {
    if (s->checkpoint_due(s->user) && (status = save(p)))
      break;
    s->progress(s->user, 0.2 + 0.8 * (double)p->head.island / (double)p->islands, "islands");
    const uint64_t before = s->density->evaluations;
    double *weights = p->log_weight + p->head.island * p->each;
    status = run_island(&p->cloud, &p->plan, p->head.island, weights);
    if (status == TB_STOPPED || status == TB_INTERRUPTED) { /* this island starts again */
      s->density->evaluations = before;
      tb_status saved = save(p);
      return saved ? saved : s->stop_status(s->user);
    }
    tb_frame_points(&p->frame, p->each, p->cloud.x, p->x + p->head.island * p->each * p->cloud.d);
  }
  return status;
}

/* ln Z of each island, and what they say together. */
static tb_status tell(particles *p, tb_draws *draws) {
  const tb_sampling *s = p->s;
  double *log_z = tb_arena_allocate(s->arena, p->islands, sizeof *log_z), temperatures = (double)p->plan.count;
  tb_weighing all;
  if (!log_z)
    return TB_NO_MEMORY;
  for (size_t b = 0; b < p->islands; b++)
    log_z[b] = log_sum(p->each, p->log_weight + b * p->each, NULL, 0) - log((double)p->each);
  tb_status status = tb_weigh(s->context, p->islands, log_z, &all);
  draws->log_z = all.log_mean;
  draws->log_z_se = all.log_mean_se;
  draws->elbo = all.mean_log;
  draws->elbo_se = all.mean_log_se;
  if (!status)
    status = tb_draws_metric(s, draws, "temperatures", 1, 1, &temperatures);
  if (!status)
    status = tb_draws_metric(s, draws, "log_z.islands", 1, p->islands, log_z);
  if (!status && p->islands > 1 && all.effective < 0.5 * (double)p->islands)
    status = tb_draws_warn(s, draws, "islands_disagree",
                           "independent runs disagree: only %.1f of %zu carry the estimate of the normaliser; raise "
                           "draws=, moves= or keep=, or give start=fitted where there is one mode",
                           all.effective, p->islands);
  return status;
}

static tb_status run(const tb_sampling *s, tb_draws *draws) {
  particles p;
  tb_status status = particles_new(s, &p);
  if (!status)
    status = load(&p);
  if (!status)
    status = walk(&p);
  if (status)
    return status;
  draws->count = p.total;
  draws->x = p.x;
  draws->log_weight = p.log_weight;
  draws->groups = p.islands;
  draws->n_grad = (double)s->density->evaluations;
  return tell(&p, draws);
}

static tb_status check(tb_context *context, const tb_config *config, const tb_density *density) {
  const int64_t draws = tb_config_integer(config, "draws"), islands = tb_config_integer(config, "islands");
  if (draws < 2 * islands)
    return tb_fail(context, TB_USAGE, "option draws", "give at least two particles an island",
                   "draws=%lld for islands=%lld", (long long)draws, (long long)islands);
  return TB_OK;
}

static void cost(const tb_config *config, const tb_density *density, double *gradients, double *flop) {
  const double d = (double)density->dims, temperatures = 4 + 5 * sqrt(d) / (1 - tb_config_real(config, "keep")) * 0.1;
  const double islands = (double)tb_config_integer(config, "islands"), n = (double)tb_config_integer(config, "draws");
  *gradients = temperatures * (double)tb_config_integer(config, "leapfrogs") *
               (n * (double)tb_config_integer(config, "moves") + 2 * n / islands);
  *flop = 8 * *gradients * d;
}

const tb_sampler tb_sampler_smc = {
  .name = "smc",
  .summary = "sequential Monte Carlo through tempered densities with Hamiltonian moves; unbiased normaliser",
  .formula = "π_β ∝ N(0, σ²I)^{1−β} γ^β, β = 0 … 1;  Ẑ = Π_k Σ_i W_i (γ/N)^{β_k − β_{k−1}}(x_i)",
  .source = "Neal 2001; Del Moral, Doucet and Jasra 2006",
  .options = &tb_smc_options,
  .check = check,
  .cost = cost,
  .run = run,
};

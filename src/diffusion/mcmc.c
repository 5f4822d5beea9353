/* The driver of mcmc.h: chain after chain, each iteration keyed by its number, so that a run taken up again goes on to
 * the same bits. */
#include "diffusion/mcmc.h"
#include "base/block.h"

#include <math.h>
#include <string.h>

#include "diffusion/adaptation.h"

#define ANY 1, 0

static const tb_option options[] = {
  { "chains", TB_INTEGER, "4", NULL, 1, 10000, false, "chains of hmc and nuts, each of draws/chains draws", NULL,
    NULL },
  { "warmup", TB_INTEGER, "1000", NULL, 0, 1e7, false,
    "iterations of a chain before its draws, in which step size and metric adapt", NULL,
    "Stan reference manual, automatic parameter tuning" },
  { "target_accept", TB_REAL, "0.8", NULL, 0.01, 0.9999, false, "mean acceptance that the step size aims at", NULL,
    "Hoffman and Gelman 2014" },
  { "max_depth", TB_INTEGER, "10", NULL, 1, 20, false, "nuts: deepest tree, 2^max_depth leapfrog steps", NULL, NULL },
  { "leapfrogs", TB_INTEGER, "16", NULL, 1, 1e5, false,
    "hmc: leapfrog steps of a move (drawn evenly between half and three halves of it)", NULL, NULL },
};

const tb_option_table tb_mcmc_options = { "chains (hmc, nuts)", options, sizeof options / sizeof *options };

/* ---- state: one block, so that a checkpoint is one copy ---- */

enum { COLUMNS = 7 };
static const char *const column_names[COLUMNS] = { "lp__",         "accept_stat__", "stepsize__", "treedepth__",
                                                   "n_leapfrog__", "divergent__",   "energy__" };
static const char magic[8] = "chain-1";

typedef struct head {
  char magic[8];
  uint64_t values;           /* doubles that follow */
  uint64_t chain, iteration; /* to come */
  uint64_t saturated;        /* transitions whose tree was too deep */
  uint64_t evaluations;
  double log_density;
  tb_step_size step;
  tb_windows windows;
  double count; /* of the metric's window */
} head;

typedef struct chain_set {
  const tb_sampling *s;
  const tb_mcmc_kind *kind;
  void *scratch;
  size_t d, count, length, warmup; /* chains, draws of each */
  head head;
  double *values;                 /* all of below */
  double *q, *gradient, *inverse; /* [d] */
  double *mean, *square;          /* [d]: of the metric's window */
  double *x, *columns;            /* [count·length,d], [COLUMNS][count·length] */
  tb_phase z, other;
} chain_set;

static tb_status chains_new(chain_set *c, const tb_sampling *s, const tb_mcmc_kind *kind, size_t count, size_t warmup,
                            size_t length) {
  const size_t d = s->density->dims, size = 5 * d + count * length * (d + COLUMNS);
  *c = (chain_set){ .s = s,
                    .kind = kind,
                    .d = d,
                    .count = count,
                    .length = length,
                    .warmup = warmup,
                    .values = tb_arena_allocate(s->arena, size, sizeof(double)),
                    .z = tb_phase_new(s->arena, d),
                    .other = tb_phase_new(s->arena, d) };
  if (!c->values || !c->z.q || !c->other.q)
    return TB_NO_MEMORY;
  c->q = c->values;
  c->gradient = c->q + d;
  c->inverse = c->gradient + d;
  c->mean = c->inverse + d;
  c->square = c->mean + d;
  c->x = c->square + d;
  c->columns = c->x + count * length * d;
  memcpy(c->head.magic, magic, sizeof magic);
  c->head.values = size;
  c->head.step.target = tb_config_real(s->config, "target_accept");
  return kind->open(s, d, &c->scratch);
}

static tb_status save(chain_set *c) {
  const tb_sampling *s = c->s;
  const tb_block_part parts[] = { { &c->head, sizeof c->head }, { c->values, c->head.values * sizeof(double) } };
  size_t size;
  memcpy(c->q, c->z.q, c->d * sizeof(double));
  memcpy(c->gradient, c->z.gradient, c->d * sizeof(double));
  c->head.log_density = c->z.log_density;
  c->head.evaluations = s->density->evaluations;
  char *block = tb_block_join(s->context, 2, parts, &size);
  const tb_status status = block ? s->checkpoint_save(s->user, block, size) : TB_NO_MEMORY;
  tb_release(s->context, block);
  return status;
}

static tb_status load(chain_set *c) {
  const tb_sampling *s = c->s;
  const tb_block_part parts[] = { { &c->head, sizeof c->head }, { c->values, c->head.values * sizeof(double) } };
  const void *block;
  size_t size;
  tb_status status = s->checkpoint_load(s->user, &block, &size);
  if (status || !block)
    return status;
  status = tb_block_split(s->context, block, size, offsetof(head, chain), 2, parts);
  if (status)
    return status;
  memcpy(c->z.q, c->q, c->d * sizeof(double));
  memcpy(c->z.gradient, c->gradient, c->d * sizeof(double));
  c->z.log_density = c->head.log_density;
  s->density->evaluations = c->head.evaluations;
  return TB_OK;
}

/* ---- one chain ---- */

static tb_key key_of(const chain_set *c, const char *use, uint64_t iteration) {
  return (tb_key){ .seed = c->s->seed, .step = (uint32_t)iteration, .use = tb_use(use) };
}

static tb_hamiltonian hamiltonian(const chain_set *c) {
  return (tb_hamiltonian){ .density = c->s->density, .d = c->d, .inverse = c->inverse, .step = c->head.step.now };
}

static tb_status guess_step(chain_set *c) {
  tb_hamiltonian h = hamiltonian(c);
  const uint64_t number = c->head.iteration * c->count + c->head.chain;
  tb_status status = tb_step_guess(&h, key_of(c, "chain step", 0), number, &c->z, &c->other);
  tb_step_size_begin(&c->head.step, h.step);
  return status;
}

/* Uniform in (−2, 2)^d, as Stan starts, until the density is positive there. */
static tb_status start(chain_set *c) {
  enum { TRIES = 100 };
  const tb_sampling *s = c->s;
  for (uint32_t attempt = 0; attempt < TRIES; attempt++) {
    tb_random_uniform((tb_key){ s->seed, attempt, tb_use("chain start") }, c->head.chain * c->d, c->d, c->z.q);
    for (size_t j = 0; j < c->d; j++)
      c->z.q[j] = 4 * c->z.q[j] - 2;
    tb_status status = tb_density_values(s->density, 1, c->z.q, &c->z.log_density, c->z.gradient);
    if (status)
      return status;
    if (c->z.log_density > -INFINITY)
      break;
    if (attempt + 1 == TRIES)
      return tb_fail(s->context, TB_FAILED, "start", "shift or scale the coordinates",
                     "the density of %s is 0 at %d points of (-2, 2)^%zu: no chain can start", s->density->target->name,
                     TRIES, c->d);
  }
  for (size_t j = 0; j < c->d; j++) {
    c->inverse[j] = 1;
    c->mean[j] = c->square[j] = 0;
  }
  c->head.count = 0;
  c->head.windows = tb_windows_begin(c->warmup);
  c->head.step.now = 1;
  return guess_step(c);
}

static tb_status adapt(chain_set *c, const tb_transition *t) {
  head *h = &c->head;
  const size_t i = h->iteration;
  tb_step_size_learn(&h->step, t->acceptance);
  if (tb_windows_inside(&h->windows, i)) {
    tb_spread spread = { .d = c->d, .count = h->count, .mean = c->mean, .square = c->square };
    tb_spread_add(&spread, c->z.q);
    const bool ends = tb_windows_ends(&h->windows, i);
    if (ends)
      tb_spread_take(&spread, c->inverse);
    h->count = spread.count;
    if (ends)
      return guess_step(c);
  }
  if (i + 1 == c->warmup)
    h->step.now = tb_step_size_end(&h->step);
  return TB_OK;
}

static void keep(chain_set *c, const tb_transition *t) {
  const size_t total = c->count * c->length, at = c->head.chain * c->length + c->head.iteration - c->warmup;
  const double columns[COLUMNS] = { c->z.log_density, t->acceptance, c->head.step.now, t->tree_depth,
                                    t->leapfrogs,     t->divergent,  t->energy };
  memcpy(c->x + at * c->d, c->z.q, c->d * sizeof(double));
  for (size_t k = 0; k < COLUMNS; k++)
    c->columns[k * total + at] = columns[k];
  c->head.saturated += t->deepest;
}

static tb_status iterate(chain_set *c) {
  const tb_hamiltonian h = hamiltonian(c);
  tb_transition t = { 0 };
  tb_status status =
      c->kind->move(c->scratch, &h, key_of(c, "chain move", c->head.iteration), c->head.chain, &c->z, &t);
  if (!status && c->head.iteration < c->warmup)
    status = adapt(c, &t);
  else if (!status)
    keep(c, &t);
  return status;
}

/* ---- all ---- */

static tb_status walk(chain_set *c) {
  const tb_sampling *s = c->s;
  const double all = (double)(c->count * (c->warmup + c->length));
  tb_status status = TB_OK;
  for (; c->head.chain < c->count && !status; c->head.chain++, c->head.iteration = 0)
    for (; c->head.iteration < c->warmup + c->length && !status; c->head.iteration++) {
      if (c->head.iteration == 0 && (status = start(c)))
        return status;
      if (c->head.iteration % 16 == 0 && c->head.iteration) {
        s->progress(s->user, (double)(c->head.chain * (c->warmup + c->length) + c->head.iteration) / all,
                    c->head.iteration < c->warmup ? "warm-up" : c->kind->what);
        if (s->should_stop(s->user))
          return (status = save(c)) ? status : s->stop_status(s->user);
        if (s->checkpoint_due(s->user) && (status = save(c)))
          return status;
      }
      status = iterate(c);
    }
  return status;
}

/* Below 0.3 the energy wanders too slowly for the momenta to explore it (Betancourt 2016). */
static double energy_fraction(const double *energy, size_t n) {
  double mean = 0, moved = 0, spread = 0;
  for (size_t i = 0; i < n; i++)
    mean += energy[i] / (double)n;
  for (size_t i = 0; i < n; i++) {
    spread += (energy[i] - mean) * (energy[i] - mean);
    moved += i ? (energy[i] - energy[i - 1]) * (energy[i] - energy[i - 1]) : 0;
  }
  return moved / spread;
}

static tb_status tell(chain_set *c, tb_draws *draws) {
  const tb_sampling *s = c->s;
  const size_t total = c->count * c->length;
  const double *columns = c->columns;
  double divergent = 0, acceptance = 0, least = INFINITY, saturated = (double)c->head.saturated, depth = 0, steps = 0;
  for (size_t i = 0; i < total; i++) {
    acceptance += columns[total + i] / (double)total;
    depth += columns[3 * total + i] / (double)total;
    steps += columns[4 * total + i];
    divergent += columns[5 * total + i];
  }
  for (size_t k = 0; k < c->count; k++)
    least = fmin(least, energy_fraction(columns + 6 * total + k * c->length, c->length));
  double step = 0;
  for (size_t k = 0; k < c->count; k++)
    step += columns[2 * total + k * c->length] / (double)c->count;
  tb_status status = tb_draws_metric(s, draws, "divergences", 1, 1, &divergent);
  if (!status)
    status = tb_draws_metric(s, draws, "acceptance", 1, 1, &acceptance);
  if (!status)
    status = tb_draws_metric(s, draws, "step_size", 1, 1, &step);
  if (!status)
    status = tb_draws_metric(s, draws, "tree_depth", 1, 1, &depth);
  if (!status)
    status = tb_draws_metric(s, draws, "leapfrogs", 1, 1, &steps);
  if (!status)
    status = tb_draws_metric(s, draws, "e_bfmi", 1, 1, &least);
  if (!status && divergent > 0)
    status = tb_draws_warn(s, draws, "divergences",
                           "%.0f of %zu transitions diverged: the density is too curved there for the step; raise "
                           "target_accept= or change the coordinates",
                           divergent, total);
  if (!status && saturated > 0)
    status = tb_draws_warn(s, draws, "max_depth", "%.0f of %zu trees reached max_depth=%lld", saturated, total,
                           (long long)tb_config_integer(s->config, "max_depth"));
  if (!status && least < 0.3)
    status = tb_draws_warn(
        s, draws, "e_bfmi",
        "the energy of a chain wanders slowly (E-BFMI %.2g, below 0.3): its tails are badly explored", least);
  return status;
}

tb_status tb_mcmc_run(const tb_sampling *s, const tb_mcmc_kind *kind, tb_draws *draws) {
  chain_set c;
  const size_t count = (size_t)tb_config_integer(s->config, "chains");
  tb_status status =
      chains_new(&c, s, kind, count, (size_t)tb_config_integer(s->config, "warmup"), (s->draws + count - 1) / count);
  if (!status)
    status = load(&c);
  if (!status)
    status = walk(&c);
  if (status)
    return status;
  draws->count = c.count * c.length;
  draws->chains = c.count;
  draws->x = c.x;
  draws->n_grad = (double)s->density->evaluations;
  for (size_t k = 0; k < COLUMNS; k++)
    draws->columns[draws->n_columns++] = (struct tb_draws_column){ column_names[k], c.columns + k * draws->count };
  return tell(&c, draws);
}

static bool never(void *user) {
  return false;
}
static tb_status save_nothing(void *user, const void *data, size_t size) {
  return TB_OK;
}

tb_status tb_mcmc_explore(const tb_sampling *s, uint64_t seed, size_t chains, size_t warmup, size_t draws, double *x) {
  chain_set c;
  tb_sampling own = *s;
  own.seed = seed;
  own.checkpoint_due = never;
  own.checkpoint_save = save_nothing;
  tb_status status = chains_new(&c, &own, &tb_mcmc_nuts, chains, warmup, draws);
  if (!status)
    status = walk(&c);
  if (!status)
    memcpy(x, c.x, chains * draws * c.d * sizeof *x);
  return status;
}

tb_status tb_mcmc_check(tb_context *context, const tb_config *config, const tb_density *density) {
  const int64_t draws = tb_config_integer(config, "draws"), chains = tb_config_integer(config, "chains");
  if (draws < chains)
    return tb_fail(context, TB_USAGE, "option draws", "give at least one draw a chain", "draws=%lld for chains=%lld",
                   (long long)draws, (long long)chains);
  return TB_OK;
}

/* nuts: the no-U-turn sampler (Hoffman & Gelman 2014) with multinomial sampling along the trajectory and the
 * generalised criterion between all neighbouring subtrees (Betancourt 2017), as in Stan.
 *
 * A trajectory doubles forwards or backwards until its ends turn towards each other: with ρ the sum of momenta, until
 * p·M⁻¹ρ ≤ 0 at either end. */
#include <math.h>
#include <string.h>

#include "diffusion/mcmc.h"

enum { MOST_DEPTH = 20 };
static const double most_error = 1000; /* of the energy; beyond it the trajectory has diverged */

/* What a subtree of some depth needs while it is built. */
typedef struct level {
  double *rho_first, *rho_second, *end_first, *begin_second; /* [d]: sums and momenta of its halves */
  tb_phase proposal;                                         /* of the second half */
} level;

typedef struct tree {
  const tb_hamiltonian *h;
  size_t d, deepest;
  tb_key key; /* of the uniforms, numbered from `uniform` on */
  uint64_t uniform;
  double energy; /* H at the start */
  double accepted, leapfrogs;
  bool divergent;
  tb_phase z, forward, backward, sample, proposal;
  double *rho, *rho_forward, *rho_backward;
  /* momenta at the ends of the forward and backward subtrees: [d] */
  double *forward_begin, *forward_end, *backward_begin, *backward_end;
  level levels[MOST_DEPTH + 1];
} tree;

static tb_status open(const tb_sampling *s, size_t d, void **scratch) {
  tree *t = *scratch = tb_arena_allocate(s->arena, 1, sizeof *t);
  if (!t)
    return TB_NO_MEMORY;
  t->d = d;
  t->deepest = (size_t)tb_config_integer(s->config, "max_depth");
  tb_phase *const phases[] = { &t->z, &t->forward, &t->backward, &t->sample, &t->proposal };
  for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
    if (!(*phases[i] = tb_phase_new(s->arena, d)).q)
      return TB_NO_MEMORY;
  double **const vectors[] = { &t->rho,         &t->rho_forward,    &t->rho_backward, &t->forward_begin,
                               &t->forward_end, &t->backward_begin, &t->backward_end };
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
    if (!(*vectors[i] = tb_arena_allocate(s->arena, d, sizeof(double))))
      return TB_NO_MEMORY;
  for (size_t k = 1; k <= t->deepest; k++) {
    level *l = &t->levels[k];
    double *block = tb_arena_allocate(s->arena, 4 * d, sizeof *block);
    l->proposal = tb_phase_new(s->arena, d);
    if (!block || !l->proposal.q)
      return TB_NO_MEMORY;
    l->rho_first = block;
    l->rho_second = block + d;
    l->end_first = block + 2 * d;
    l->begin_second = block + 3 * d;
  }
  return TB_OK;
}

static double uniform(tree *t) {
  double u;
  tb_random_uniform(t->key, t->uniform++, 1, &u);
  return u;
}

static double log_add(double a, double b) {
  const double most = a > b ? a : b;
  return most == -INFINITY ? -INFINITY : most + log1p(exp((a > b ? b : a) - most));
}

/* Do both ends still move apart?  extra (NULL: none) adds to rho. */
static bool goes_on(const tree *t, const double *begin, const double *end, const double *rho, const double *extra) {
  const double *inverse = t->h->inverse;
  double first = 0, last = 0;
  for (size_t j = 0; j < t->d; j++) {
    const double sum = inverse[j] * (extra ? rho[j] + extra[j] : rho[j]);
    first += begin[j] * sum;
    last += end[j] * sum;
  }
  return first > 0 && last > 0;
}

/* One leapfrog step from t->z. */
static tb_status build_leaf(tree *t, double direction, tb_phase *proposal, double *rho, double *begin, double *end,
                            double *log_weight, bool *valid) {
  const size_t bytes = t->d * sizeof(double);
  tb_status status = tb_leapfrog(t->h, direction, &t->z);
  if (status)
    return status;
  double gained = t->energy - tb_energy(t->h, &t->z);
  gained = isnan(gained) ? -INFINITY : gained;
  t->divergent |= gained < -most_error;
  t->leapfrogs++;
  t->accepted += gained > 0 ? 1 : exp(gained);
  *log_weight = gained;
  tb_phase_copy(t->d, &t->z, proposal);
  memcpy(rho, t->z.p, bytes);
  memcpy(begin, t->z.p, bytes);
  memcpy(end, t->z.p, bytes);
  *valid = !t->divergent;
  return TB_OK;
}

/* 2^depth steps from t->z in a direction: a proposal drawn by weight, the sum of momenta, and those at both ends (begin
 * is next to where it started). */
static tb_status build(tree *t, size_t depth, double direction, tb_phase *proposal, double *rho, double *begin,
                       double *end, double *log_weight, bool *valid) {
  if (depth == 0)
    return build_leaf(t, direction, proposal, rho, begin, end, log_weight, valid);
  level *l = &t->levels[depth];
  double first, second;
  tb_status status = build(t, depth - 1, direction, proposal, l->rho_first, begin, l->end_first, &first, valid);
  if (status || !*valid)
    return status;
  status = build(t, depth - 1, direction, &l->proposal, l->rho_second, l->begin_second, end, &second, valid);
  if (status || !*valid)
    return status;
  *log_weight = log_add(first, second);
  if (uniform(t) < exp(second - *log_weight))
    tb_phase_copy(t->d, &l->proposal, proposal);
  for (size_t j = 0; j < t->d; j++)
    rho[j] = l->rho_first[j] + l->rho_second[j];
  *valid = goes_on(t, begin, end, rho, NULL) && goes_on(t, begin, l->begin_second, l->rho_first, l->begin_second) &&
           goes_on(t, l->end_first, end, l->rho_second, l->end_first);
  return TB_OK;
}

/* Doubles the trajectory, unless the new half turns within itself; *more: it may go on. */
static tb_status double_it(tree *t, size_t *depth, double *log_weight, bool *more) {
  const size_t bytes = t->d * sizeof(double);
  const bool forwards = uniform(t) > 0.5;
  double subtree = -INFINITY;
  tb_phase *from = forwards ? &t->forward : &t->backward;
  tb_phase_copy(t->d, from, &t->z);
  if (forwards) { /* all that was there is now the backward subtree */
    memcpy(t->rho_backward, t->rho, bytes);
    memcpy(t->backward_begin, t->forward_end, bytes);
  } else {
    memcpy(t->rho_forward, t->rho, bytes);
    memcpy(t->forward_begin, t->backward_end, bytes);
  }
  tb_status status = build(t, *depth, forwards ? 1 : -1, &t->proposal, forwards ? t->rho_forward : t->rho_backward,
                           forwards ? t->forward_begin : t->backward_begin, forwards ? t->forward_end : t->backward_end,
                           &subtree, more);
  tb_phase_copy(t->d, &t->z, from);
  if (status || !*more)
    return status;
  ++*depth;
  /* biased towards the new half */
  if (subtree > *log_weight || uniform(t) < exp(subtree - *log_weight))
    tb_phase_copy(t->d, &t->proposal, &t->sample);
  *log_weight = log_add(*log_weight, subtree);
  for (size_t j = 0; j < t->d; j++)
    t->rho[j] = t->rho_backward[j] + t->rho_forward[j];
  *more = goes_on(t, t->backward_end, t->forward_end, t->rho, NULL) &&
          goes_on(t, t->backward_end, t->forward_begin, t->rho_backward, t->forward_begin) &&
          goes_on(t, t->backward_begin, t->forward_end, t->rho_forward, t->backward_begin);
  return TB_OK;
}

static tb_status move(void *scratch, const tb_hamiltonian *h, tb_key key, uint64_t number, tb_phase *z,
                      tb_transition *out) {
  tree *t = scratch;
  const size_t bytes = t->d * sizeof(double);
  double log_weight = 0;
  size_t depth = 0;
  t->h = h;
  t->key = key;
  t->uniform = number << 20;
  t->accepted = t->leapfrogs = 0;
  t->divergent = false;
  key.use = tb_use("chain momentum");
  tb_momentum_draw(h, key, number, z->p);
  t->energy = tb_energy(h, z);
  tb_phase *const starts[] = { &t->forward, &t->backward, &t->sample };
  for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
    tb_phase_copy(t->d, z, starts[i]);
  double *const momenta[] = { t->rho, t->forward_begin, t->forward_end, t->backward_begin, t->backward_end };
  for (size_t i = 0; i < sizeof momenta / sizeof *momenta; i++)
    memcpy(momenta[i], z->p, bytes);
  for (bool more = true; more && depth < t->deepest;) {
    tb_status status = double_it(t, &depth, &log_weight, &more);
    if (status)
      return status;
  }
  tb_phase_copy(t->d, &t->sample, z);
  *out = (tb_transition){ .acceptance = t->accepted / t->leapfrogs,
                          .tree_depth = (double)depth,
                          .leapfrogs = t->leapfrogs,
                          .divergent = t->divergent,
                          .energy = tb_energy(h, z),
                          .deepest = depth == t->deepest };
  return TB_OK;
}

const tb_mcmc_kind tb_mcmc_nuts = { .what = "nuts", .open = open, .move = move };

static tb_status run(const tb_sampling *s, tb_draws *draws) {
  return tb_mcmc_run(s, &tb_mcmc_nuts, draws);
}

static void cost(const tb_config *config, const tb_density *density, double *gradients, double *flop) {
  const double iterations = (double)tb_config_integer(config, "draws") +
                            (double)(tb_config_integer(config, "chains") * tb_config_integer(config, "warmup"));
  *gradients = 12 * iterations; /* a tree of depth three to four, as well-adapted chains have */
  *flop = 20 * *gradients * (double)density->dims;
}

const tb_sampler tb_sampler_nuts = {
  .name = "nuts",
  .summary = "no-U-turn sampler: Hamiltonian chains that choose their own length, adapted as in Stan",
  .formula = "trajectories double until p·M⁻¹ρ ≤ 0 at an end of any subtree; the draw is multinomial in exp(−H)",
  .source = "Hoffman and Gelman 2014; Betancourt 2017; Stan",
  .chains = true,
  .options = &tb_mcmc_options,
  .check = tb_mcmc_check,
  .cost = cost,
  .run = run,
};

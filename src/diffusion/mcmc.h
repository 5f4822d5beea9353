/* Markov chains with Hamiltonian moves: start, warm-up, draws, checkpoints; a transition is all that hmc and nuts add.
 */
#ifndef TB_DIFFUSION_MCMC_H
#define TB_DIFFUSION_MCMC_H

#include "diffusion/hamiltonian.h"
#include "diffusion/sampler.h"

/* What a transition tells; the columns of Stan's CSV. */
typedef struct tb_transition {
  double acceptance; /* mean Metropolis probability along the trajectory: accept_stat__ */
  double tree_depth; /* treedepth__ (0 for hmc) */
  double leapfrogs;  /* n_leapfrog__ */
  double divergent;  /* divergent__: 0 or 1 */
  double energy;     /* energy__ */
  bool deepest;      /* the tree reached its greatest depth */
} tb_transition;

typedef struct tb_mcmc_kind {
  const char *what; /* for progress */
  /* Scratch in the arena. */
  tb_status (*open)(const tb_sampling *, size_t d, void **scratch);
  /* From z (p ignored) to the next z, with the uniforms of `key` numbered from `number`·2²⁰. */
  tb_status (*move)(void *scratch, const tb_hamiltonian *, tb_key key, uint64_t number, tb_phase *z, tb_transition *);
} tb_mcmc_kind;

tb_status tb_mcmc_run(const tb_sampling *, const tb_mcmc_kind *, tb_draws *);
extern const tb_mcmc_kind tb_mcmc_nuts;
/* A first look by nuts: x[chains·draws,d], without checkpoints. */
tb_status tb_mcmc_explore(const tb_sampling *, uint64_t seed, size_t chains, size_t warmup, size_t draws, double *x);
tb_status tb_mcmc_check(tb_context *, const tb_config *, const tb_density *);

#endif

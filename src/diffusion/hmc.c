/* hmc: Hamiltonian Monte Carlo with trajectories of a number of leapfrog steps that is drawn around leapfrogs= (Duane
 * et al. 1987; Neal 2011), adapted as nuts is. */
#include <math.h>

#include "diffusion/mcmc.h"

typedef struct mover {
  size_t leapfrogs;
  tb_phase z;
} mover;

static tb_status open(const tb_sampling *s, size_t d, void **scratch) {
  mover *m = *scratch = tb_arena_allocate(s->arena, 1, sizeof *m);
  if (!m)
    return TB_NO_MEMORY;
  m->leapfrogs = (size_t)tb_config_integer(s->config, "leapfrogs");
  m->z = tb_phase_new(s->arena, d);
  return m->z.q ? TB_OK : TB_NO_MEMORY;
}

static tb_status move(void *scratch, const tb_hamiltonian *h, tb_key key, uint64_t number, tb_phase *z,
                      tb_transition *out) {
  mover *m = scratch;
  double u[2];
  tb_random_uniform(key, number << 20, 2, u);
  key.use = tb_use("chain momentum");
  tb_momentum_draw(h, key, number, z->p);
  const double energy = tb_energy(h, z);
  const size_t least = (m->leapfrogs + 1) / 2, steps = least + (size_t)(u[0] * (double)(m->leapfrogs + 1));
  tb_phase_copy(h->d, z, &m->z);
  for (size_t i = 0; i < steps; i++) {
    tb_status status = tb_leapfrog(h, 1, &m->z);
    if (status)
      return status;
    if (m->z.log_density == -INFINITY)
      break;
  }
  double gained = energy - tb_energy(h, &m->z);
  gained = isnan(gained) ? -INFINITY : gained;
  if (u[1] < exp(gained))
    tb_phase_copy(h->d, &m->z, z);
  *out = (tb_transition){ .acceptance = gained > 0 ? 1 : exp(gained),
                          .leapfrogs = (double)steps,
                          .divergent = gained < -1000,
                          .energy = tb_energy(h, z) };
  return TB_OK;
}

static const tb_mcmc_kind kind = { .what = "hmc", .open = open, .move = move };

static tb_status run(const tb_sampling *s, tb_draws *draws) {
  return tb_mcmc_run(s, &kind, draws);
}

static void cost(const tb_config *config, const tb_density *density, double *gradients, double *flop) {
  const double iterations = (double)tb_config_integer(config, "draws") +
                            (double)(tb_config_integer(config, "chains") * tb_config_integer(config, "warmup"));
  *gradients = iterations * (double)tb_config_integer(config, "leapfrogs");
  *flop = 10 * *gradients * (double)density->dims;
}

const tb_sampler tb_sampler_hmc = {
  .name = "hmc",
  .summary = "Hamiltonian Monte Carlo: chains of trajectories of about leapfrogs= steps",
  .formula = "q' = q + ε M⁻¹(p + ½ε∇ln γ(q)), …; accepted with min(1, exp(H − H'))",
  .source = "Duane et al. 1987; Neal 2011",
  .chains = true,
  .options = &tb_mcmc_options,
  .check = tb_mcmc_check,
  .cost = cost,
  .run = run,
};

/* What controlled samplers share: options, the chain that a configuration asks for, what comes of path weights. */
#ifndef TB_DIFFUSION_CONTROL_H
#define TB_DIFFUSION_CONTROL_H

#include "diffusion/chain.h"
#include "diffusion/sampler.h"

/* steps sigma alpha time grid loss iterations batch width layers lr lr_decay lr_decay_every inner reference affine
 * published_quirks */
extern const tb_option_table tb_control_options;

/* Refuses words that name no grid (TB_USAGE). */
tb_status tb_control_check(tb_context *, const tb_config *);
/* The chain of a configuration, in the arena.  time unset: 0.05 a step. */
tb_status tb_control_chain(tb_context *, tb_arena *, const tb_config *, tb_chain_kind, tb_chain *);
/* ln Z, ELBO and ESS with their errors from draws->log_weight[count]; schedule.step and schedule.beta. */
tb_status tb_control_report(const tb_sampling *, const tb_chain *, tb_draws *);
/* EUBO from ln w [count] on paths that end in exact draws of π. */
void tb_control_upper(tb_draws *, size_t count, const double *log_weight);

extern const tb_sampler tb_sampler_dds, tb_sampler_pis, tb_sampler_sfs;

#endif

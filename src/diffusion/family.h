/* The analytic family that a target is, where it is one: gaussian, mixtures, cosine. */
#ifndef TB_DIFFUSION_FAMILY_H
#define TB_DIFFUSION_FAMILY_H

#include "diffusion/density.h"
#include "diffusion/semigroup.h"

/* f = γ/N(0, σ²I) of an open density; arrays are of the arena.  With share > 0: of (1 − share) γ/Z + share N(0, σ²I),
 * which is bounded below.  TB_USAGE where the target has no closed form. */
tb_status tb_family_of(const tb_density *, const tb_config *, tb_arena *, double sigma, double share, tb_family *);

#endif
